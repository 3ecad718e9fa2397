package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
)

func TestR01_ReserveForALiveTransfer(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	free := func() []string {
		all := []string{}
		for _, c := range d.get("agent1", "/v1/availability?tier=manager&queue=Managers%20-%20RM").want(200).items() {
			if c["free"].(bool) {
				all = append(all, c["staff_id"].(string))
			}
		}
		return all
	}
	require.Empty(t, free(), "never set: not free for transfers")
	require.Len(t, d.get("agent1", "/v1/availability?tier=manager").items(), 3)
	require.Len(t, d.get("agent1", "/v1/availability").items(), 6)
	said := d.do(call{method: "PUT", path: "/v1/me/presence", as: "mgr1", body: object{"state": "available"}}).want(200)
	require.Equal(t, "2026-11-23T12:15:00.000Z", said.str("until"))
	require.Equal(t, []string{"mgr1"}, free())
	require.Equal(t, "available", d.get("mgr1", "/v1/me").str("presence", "state"))

	var held []*reply
	for _, r := range d.together(8, call{method: "POST", path: "/v1/transfers", as: "agent1", body: object{"tier": "manager", "queue": "Managers - RM"}}) {
		if r.status == 201 {
			held = append(held, r)
			continue
		}
		r.refused(409, "none_available", "R01")
	}
	require.Len(t, held, 1)
	require.Equal(t, "mgr1", held[0].str("staff_id"))
	require.Equal(t, "2026-11-23T12:01:00.000Z", held[0].str("expires_at"))
	require.Empty(t, free())
	require.Equal(t, "busy", d.get("mgr1", "/v1/me").str("presence", "state"))
	d.clock.move(time.Minute)
	require.Equal(t, []string{"mgr1"}, free(), "it lapses by itself")
	d.clock.move(14 * time.Minute)
	require.Empty(t, free(), "lapsed to offline")
	require.Equal(t, "offline", d.get("mgr1", "/v1/me").str("presence", "state"))
}

func TestR06_ATransferAssignsAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.started()
	other := d.started()
	transfer := d.reserve("sup1")
	d.command("mgr1", id, "escalate", object{"reason": "x", "transfer_id": transfer}).refused(403, "not_assignee", "R05")
	another := d.create()
	d.command("sup2", another, "claim", nil).want(200)
	d.command("sup2", another, "escalate", object{"reason": "x", "transfer_id": transfer}).invalid("transfer_id")
	r := d.command("sup1", id, "escalate", object{"reason": "asks for a manager", "transfer_id": transfer}).want(200)
	require.Equal(t, "mgr1", r.str("assignee"))
	require.Equal(t, "sup1", r.str("owner"))
	require.Equal(t, "claimed", r.str("status"))
	d.api.Close() // waits for what runs in the background
	d.command("sup1", other, "escalate", object{"reason": "x", "transfer_id": transfer}).refused(409, "none_available", "R01")
	require.Equal(t, "busy", d.get("mgr1", "/v1/me").str("presence", "state"))
}

// Of callbacks that are escalated at once with one transfer, one gets the
// manager: no more than one customer is on the line.
func TestR06_OneTransferServesOneEscalation(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var ids []string
	for i := range 4 {
		ids = append(ids, d.started(func(b object) { b["customer"].(object)["ref"] = fmt.Sprint("crm-", i) }))
	}
	transfer := d.reserve("sup1")
	var arrived, all sync.WaitGroup
	arrived.Add(len(ids))
	d.book.set(func(b *flakyBook) {
		b.before = func(name string) error {
			if name == "begin" { // all of them have seen that it is not used
				arrived.Done()
				arrived.Wait()
			}
			return nil
		}
	})
	replies := make([]*reply, len(ids))
	for i, id := range ids {
		all.Go(func() { replies[i] = d.command("sup1", id, "escalate", object{"reason": "x", "transfer_id": transfer}) })
	}
	all.Wait()
	d.book.set(func(b *flakyBook) { b.before = nil })
	given := 0
	for i, r := range replies {
		if r.status == 200 {
			given++
			require.Equal(t, "mgr1", r.str("assignee"))
			continue
		}
		r.refused(409, "none_available", "R01")
		require.Equal(t, "in_progress", d.get("sup1", "/v1/callbacks/"+ids[i]).str("status"))
	}
	require.Equal(t, 1, given)
}

// What was refused has used nothing up, and whoever takes a request over has
// what it had.
func TestR06_ATransferBelongsToItsEscalation(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	one, two := d.started(), d.started(func(b object) { b["customer"].(object)["ref"] = "crm-2" })
	transfer := d.reserve("sup1")
	escalate := func(id, key string) call {
		return call{method: "POST", path: "/v1/callbacks/" + id + "/escalate", as: "sup1", key: key, body: object{"reason": "x", "transfer_id": transfer}}
	}
	d.engine.set(func(e *fakeEngine) { e.away = true })
	d.do(escalate(one, "k1")).refused(503, "unavailable", "")
	d.engine.set(func(e *fakeEngine) { e.away = false })

	crash(d, false, escalate(two, "k2")) // the engine was not told
	d.do(escalate(one, "k3")).refused(409, "none_available", "R01")
	d.clock.move(2 * time.Minute) // the lease is over, and so is the reservation
	require.Equal(t, "mgr1", d.do(escalate(two, "k2")).want(200).str("assignee"))
	require.Eventually(t, func() bool { return d.get("mgr1", "/v1/me").want(200).str("presence", "state") == "busy" }, time.Minute, time.Millisecond,
		"nobody waits for it, and it must not come after what they say next")
	d.do(escalate(one, "k3")).refused(409, "none_available", "R01")

	// A first try that has none, since another release began it, takes none over.
	three := d.started(func(b object) { b["customer"].(object)["ref"] = "crm-3" })
	transfer = d.reserve("sup1")
	crash(d, false, escalate(three, "k4"))
	open, err := d.book.store.OpenErrands(t.Context(), callback.At(d.clock.now().Add(time.Hour)), 10)
	require.NoError(t, err)
	require.Len(t, open, 1)
	require.NoError(t, d.book.store.Drop(t.Context(), open[0].ID))
	_, err = d.book.store.Begin(t.Context(), book.Begin{Errand: open[0]})
	require.NoError(t, err)
	d.do(escalate(one, "k5")).want(200)
	d.clock.move(time.Minute)
	d.do(escalate(three, "k4")).invalid("transfer_id")
}

func TestR24_NobodyGivesACallbackToAnAuditor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	d.command("sup1", id, "claim", nil).want(200)
	d.command("sup1", id, "escalate", object{"reason": "x"}).want(200)
	d.command("mgr1", id, "reassign", object{"to": "audit1", "reason": "x"}).invalid("to")
	d.do(call{method: "PUT", path: "/v1/me/presence", as: "audit1", body: object{"state": "available"}}).want(200)
	for _, c := range d.get("sup1", "/v1/availability?queue=Managers+-+RM").want(200).items() {
		require.False(t, c["staff_id"] == "audit1" && c["free"] == true)
	}
	d.post("sup1", "/v1/transfers", object{"tier": "manager", "queue": "Managers - RM"}).refused(409, "none_available", "R01")
}

func TestR16_StartingMakesBusy(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.do(call{method: "PUT", path: "/v1/me/presence", as: "sup1", body: object{"state": "available"}}).want(200)
	id := d.create()
	d.command("sup1", id, "claim", nil).want(200)
	require.Equal(t, "available", d.get("sup1", "/v1/me").str("presence", "state"), "claiming does not")
	d.command("sup1", id, "start", nil).want(200)
	d.api.Close()
	require.Equal(t, "busy", d.get("sup1", "/v1/me").str("presence", "state"))
}

func TestR19_TheDirectSupervisorFirst(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create(func(b object) { b["policy"] = "customer-service-escalation" })
	require.Equal(t, "sup1", d.get("sup1", "/v1/callbacks/"+id).str("assignee"))
}

func TestR21_WhoeverWaitsForADrawIsToldThatSomebodyCameFree(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.book.set(func(b *flakyBook) { b.waiting = map[string][]string{"Supervisors - RM": {"a", "b"}} })
	d.do(call{method: "PUT", path: "/v1/me/presence", as: "mgr1", body: object{"state": "available"}}).want(200)
	d.do(call{method: "PUT", path: "/v1/me/presence", as: "sup1", body: object{"state": "busy"}}).want(200)
	id := d.create()
	d.command("sup2", id, "claim", nil).want(200)
	d.command("sup2", id, "release", object{"reason": "at lunch"}).want(200)
	d.api.Close()
	require.Equal(t, []string{"a", "b"}, d.engine.drawn)
}

func TestR21_ACallbackNamesItsParent(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	parent := d.create()
	id := d.create(func(b object) { b["parent"] = parent })
	require.Equal(t, parent, d.get("sup1", "/v1/callbacks/"+id).str("parent"))
}

func TestTheSameCustomerIsAWarning(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.post("agent1", "/v1/callbacks", asked()).want(201)
	require.Equal(t, []any{}, first.at("warnings"))
	second := d.post("agent1", "/v1/callbacks", asked()).want(201)
	require.Equal(t, []any{object{"code": "same_customer", "existing": first.str("id")}}, second.at("warnings"))
	require.Equal(t, []any{}, d.get("sup1", "/v1/callbacks/"+second.str("id")).at("warnings"))
}

func TestWhoTheDeskIs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	me := d.get("sup1", "/v1/me").want(200)
	require.Equal(t, object{
		"id": "sup1", "name": "Supervisor One", "tier": "supervisor", "queues": []any{"Supervisors - RM", "Supervisors - Air"},
		"roles": []any{}, "scopes": []any{}, "may": []any{"create", "command"}, "presence": object{"staff_id": "sup1", "state": nil, "until": nil},
	}, me.json())
	everybody := d.get("audit1", "/v1/staff").want(200).items()
	require.Len(t, everybody, 6)
	require.Equal(t, "agent1", everybody[0]["id"])
	require.Equal(t, object{
		"id": "agent1", "name": "Associate One", "tier": "associate", "queues": []any{}, "capacity": nil, "reports_to": "sup1", "shift": nil,
		"identities": object{}, "roles": []any{}, "presence": object{"staff_id": "agent1", "state": nil, "until": nil},
		"active": true, "pinned": []any{}, "origin": "file", "signs_in": false, "version": 1.0,
	}, everybody[0])
	queues := d.get("sup1", "/v1/queues").want(200).items()
	require.Equal(t, object{
		"name": "Supervisors - Air", "tiers": []any{"supervisor"}, "policies": []any{"supervisor-callback"}, "members": []any{"sup1"},
	}, queues[1])
	policies := d.get("sup1", "/v1/policies").want(200).items()
	require.Len(t, policies, 3)
	p := policies[2]
	require.Equal(t, "supervisor-callback", p["name"])
	require.Equal(t, object{"requires": []any{"contact", "call_summary", "resolution_reason"}}, p["completion"])
	require.Equal(t, object{"remind_every": "15m0s", "max": "4h0m0s"}, p["overdue"])
	require.Equal(t, object{"code": "unreachable", "title": "Customer could not be reached", "needs_contact": false, "after_attempts": 3.0}, p["resolution_reasons"].([]any)[1])
}

func TestStats(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.Nil(t, d.get("sup1", "/v1/stats").want(200).at("attainment"))
	d.completed()
	late := d.create()
	d.clock.move(61 * time.Minute)
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	require.Equal(t, "manager", d.get("sup1", "/v1/callbacks/"+late).str("tier"))
	s := d.get("sup1", "/v1/stats?by=tier").want(200)
	for name, n := range map[string]any{"open": 1.0, "overdue": 0.0, "made": 3.0, "kept": 1.0, "missed": 1.0, "missed_by_people": 0.0, "missed_by_system": 1.0, "attainment": 0.5} {
		require.Equal(t, n, s.at(name), name)
	}
	require.Len(t, s.at("groups"), 2)
	require.Equal(t, 0.0, d.get("sup1", "/v1/stats?to=2026-11-23T12:00:00Z").want(200).at("made"))
	require.Equal(t, 2.0, d.get("sup1", "/v1/stats?from=2026-11-23T12:00:00Z&to=2026-11-23T13:00:00Z&by=hour").want(200).at("made"))
}

func TestR24_AuditorsReadAndReplay(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.completed()
	require.NotEmpty(t, d.get("audit1", "/v1/callbacks/"+id+"/history").want(200).at("events"))
	require.Equal(t, object{"ok": true, "events": 21.0, "outcome_matches": true, "detail": "6 events compared"}, d.command("audit1", id, "replay", nil).want(200).json())
	d.get("audit1", "/v1/callbacks").want(200)
	none := newDesk(t, func(o *api.Options) { o.Auditor = nil })
	none.get("audit1", "/v1/callbacks/"+none.create()+"/history").refused(503, "unavailable", "")
}

func TestR12_TimelineAndNotesSayWhatWasWritten(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.started()
	d.command("sup1", id, "attempts", object{"disposition": "no_answer", "note": "rang for long"}).want(200)
	d.command("sup1", id, "release", object{"reason": "end of shift"}).want(200)
	d.command("sup2", id, "notes", object{"kind": "call_summary", "body": "nothing yet"}).want(201)
	items := d.get("agent1", "/v1/callbacks/"+id+"/timeline").want(200).items()
	for i, item := range items {
		require.EqualValues(t, i+1, item["seq"], "gapless from 1")
		require.Len(t, item["at"], len("2026-11-23T12:00:00.000Z"))
	}
	require.Equal(t, object{"number": 1.0, "disposition": "no_answer", "next_attempt_at": "2026-11-23T12:10:00.000Z", "text_id": items[5]["data"].(object)["text_id"], "text": "rang for long"}, items[5]["data"])
	require.Equal(t, "end of shift", items[6]["data"].(object)["text"])
	require.Equal(t, "hand", items[6]["data"].(object)["by"])
	notes := d.get("agent1", "/v1/callbacks/"+id+"/notes").want(200).items()
	require.Len(t, notes, 2, "a reason is no note")
	require.Equal(t, "call_summary", notes[1]["kind"])
	require.Equal(t, "sup2", notes[1]["author"])
}

func TestR11_ABreachByTheClockSaysWhen(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	d.clock.move(time.Hour)
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	items := d.get("sup1", "/v1/callbacks/"+id+"/timeline").items()
	for _, item := range items[len(items)-2:] {
		require.Equal(t, "clock", item["actor"])
		require.Equal(t, "R11", item["rule"])
		require.Equal(t, "2026-11-23T13:00:00.000Z", item["data"].(object)["due_at"])
		require.Equal(t, "2026-11-23T13:00:00.000Z", item["data"].(object)["fired_at"])
	}
	// A command that comes with the deadline finds it passed.
	second := d.create()
	d.clock.move(time.Hour)
	d.command("sup1", second, "claim", nil).refused(403, "not_your_queue", "R04")
	d.command("mgr1", second, "claim", nil).want(http.StatusOK)
}

// What the API says that somebody may do is what it lets them do.
func TestMeSaysWhatOneMayDo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	for who, may := range map[string][]any{
		"agent1": {"create", "command"}, "sup1": {"create", "command"}, "mgr1": {"create", "command", "oversee"},
		"admin1": {"create", "command", "oversee", "administer"}, "audit1": {"audit"}, "both1": {"audit"},
	} {
		require.Equal(t, may, d.get(who, "/v1/me").want(200).at("may"), who)
		oversees := d.post(who, "/v1/outages", object{"lob": "trains"}).status == http.StatusCreated
		require.Equal(t, slices.Contains(may, any("oversee")), oversees, who)
		administers := d.get(who, "/v1/keys").status == http.StatusOK
		require.Equal(t, slices.Contains(may, any("administer")), administers, who)
	}
}
