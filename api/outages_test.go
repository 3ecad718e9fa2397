package api_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
)

func TestR23_AnOutageIsDeclaredAndEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	before := d.create(func(b object) { b["lob"] = "flights" })
	declare := object{"lob": "flights", "words": "Bookings are down; we call you back"}
	d.post("sup1", "/v1/outages", declare).refused(403, "forbidden", "R23")
	d.post("audit1", "/v1/outages", declare).refused(403, "forbidden", "R24")
	d.post("mgr1", "/v1/outages", object{"words": "x"}).invalid("queue")
	d.post("mgr1", "/v1/outages", object{"queue": "Nowhere"}).invalid("queue")
	d.post("mgr1", "/v1/outages", object{"lob": "flights", "title": "x"}).invalid("title")
	send := func(body object) *reply {
		return d.do(call{method: "POST", path: "/v1/outages", as: "mgr1", key: "k1", body: body})
	}
	declared := send(declare).want(201)
	id := declared.str("id")
	require.Equal(t, "/v1/outages/"+id, declared.header.Get("Location"))
	require.Equal(t, []any{"flights", nil, nil, true, "mgr1", nil, 0.0}, []any{
		declared.at("lob"), declared.at("queue"), declared.at("source"), declared.at("active"), declared.at("declared_by"), declared.at("ended_at"), declared.at("linked"),
	})
	require.Equal(t, declared.body, send(declare).want(201).body, "the same key is the same outage")
	send(object{"lob": "trains"}).refused(422, "idempotency_key_reused", "")
	require.Len(t, d.engine.outages, 1)
	require.Len(t, d.get("agent1", "/v1/outages?active=true").want(200).items(), 1, "everyone's desk shows it")
	require.Equal(t, "Bookings are down; we call you back", d.get("agent1", "/v1/outages/"+id).at("words"))
	d.get("agent1", "/v1/outages/"+unknownID).refused(404, "not_found", "R23")

	during := d.create(func(b object) { b["lob"], b["customer"].(object)["ref"] = "flights", "crm-2" })
	other := d.create(func(b object) { b["lob"], b["customer"].(object)["ref"] = "trains", "crm-3" })
	require.Equal(t, id, d.get("sup1", "/v1/callbacks/"+during).at("outage"), "a new one is linked at once")
	require.Nil(t, d.get("sup1", "/v1/callbacks/"+other).at("outage"))
	require.Nil(t, d.get("sup1", "/v1/callbacks/"+before).at("outage"), "this one by its workflow")
	require.Equal(t, 1.0, d.get("sup1", "/v1/outages/"+id).at("linked"))
	require.Contains(t, d.get("", "/metrics").text(), "ringback_outages_active 1")

	d.clock.move(time.Hour)
	d.post("sup1", "/v1/outages/"+id+"/end", nil).refused(403, "forbidden", "R23")
	d.post("mgr1", "/v1/outages/"+unknownID+"/end", nil).refused(404, "not_found", "R23")
	ended := d.post("mgr2", "/v1/outages/"+id+"/end", object{"words": "Bookings work again"}).want(200)
	require.Equal(t, []any{false, "mgr2", "2026-11-23T13:00:00.000Z", "Bookings work again"},
		[]any{ended.at("active"), ended.at("ended_by"), ended.at("ended_at"), ended.at("end_words")})
	again := d.post("mgr1", "/v1/outages/"+id+"/end", object{"words": "Something else"}).want(200)
	require.Equal(t, []any{"mgr2", "Bookings work again"}, []any{again.at("ended_by"), again.at("end_words")})
	require.Empty(t, d.get("agent1", "/v1/outages?active=true").items())
	require.Len(t, d.get("agent1", "/v1/outages?active=false").items(), 1)
	after := d.create(func(b object) { b["lob"], b["customer"].(object)["ref"] = "flights", "crm-4" })
	require.Nil(t, d.get("sup1", "/v1/callbacks/"+after).at("outage"))
}

func TestR23_OutagesByQueueAndSourceNarrow(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.post("mgr1", "/v1/outages", object{"queue": "Supervisors - Air", "source": "freshdesk"}).want(201).str("id")
	made := func(ref, lob, system string) any {
		made := d.create(func(b object) {
			b["lob"], b["customer"].(object)["ref"], b["source"] = lob, ref, object{"system": system, "ref": ref}
		})
		return d.get("sup1", "/v1/callbacks/"+made).at("outage")
	}
	require.Equal(t, id, made("1", "flights", "freshdesk"), "by the queue of its line of business")
	require.Nil(t, made("2", "flights", "zohodesk"))
	require.Nil(t, made("3", "trains", "freshdesk"))
}

func TestR23_AnOutageThatCannotBeginLeavesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.engine.set(func(e *fakeEngine) { e.away = true })
	d.post("mgr1", "/v1/outages", object{"lob": "flights"}).refused(503, "unavailable", "")
	require.Empty(t, d.get("mgr1", "/v1/outages").items())
	d.engine.set(func(e *fakeEngine) { e.away = false })
	id := d.post("mgr1", "/v1/outages", object{"lob": "flights"}).want(201).str("id")
	d.engine.set(func(e *fakeEngine) { e.away = true })
	d.post("mgr1", "/v1/outages/"+id+"/end", nil).refused(503, "unavailable", "")
	require.Equal(t, true, d.get("mgr1", "/v1/outages/"+id).at("active"))
	d.book.set(func(b *flakyBook) { b.away = true })
	d.post("mgr1", "/v1/outages/"+id+"/end", nil).refused(503, "unavailable", "")
}

// It stays declared, and whoever looks after it begins it: that it came to
// nothing cannot be said.
func TestR23_AnOutageThatCannotBeUndoneIsNotRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	declare := call{method: "POST", path: "/v1/outages", as: "mgr1", key: "k1", body: object{"lob": "flights"}}
	d.engine.set(func(e *fakeEngine) { e.away = true })
	d.book.set(func(b *flakyBook) {
		b.before = func(name string) error {
			if name == "undeclare" {
				return book.ErrUnavailable
			}
			return nil
		}
	})
	d.do(declare).refused(504, "outcome_unknown", "")
	d.book.set(func(b *flakyBook) { b.before = nil })
	d.do(declare).refused(503, "unavailable", "")
	d.engine.set(func(e *fakeEngine) { e.away = false })
	id := d.do(declare).want(201).str("id")
	require.Len(t, d.get("mgr1", "/v1/outages").items(), 1)
	require.Contains(t, d.engine.outages, id)
}

func TestR23_OutagesAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var ids []any
	for range 3 {
		ids = append([]any{d.post("mgr1", "/v1/outages", object{"lob": "flights"}).want(201).str("id")}, ids...)
		d.clock.move(time.Minute)
	}
	page := d.get("agent1", "/v1/outages?limit=2").want(200)
	rest := d.get("agent1", "/v1/outages?limit=2&cursor="+page.str("next_cursor")).want(200)
	var got []any
	for _, o := range append(page.items(), rest.items()...) {
		got = append(got, o["id"])
	}
	require.Equal(t, ids, got)
	require.Nil(t, rest.at("next_cursor"))
	d.get("agent1", "/v1/outages?cursor=x").invalid("cursor")
	d.get("agent1", "/v1/outages?cursor="+unknownID).invalid("cursor")
}

func TestR23_ACallbackShowsItsOutage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	news := callback.OutageNews{Outage: unknownID, By: "mgr1"}
	require.NoError(t, d.engine.happens(id, func(r *run) []callback.Event {
		return r.state.OutageBegan(r.policy, news, d.clock.now(), r.policy.Calendar)
	}))
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	require.Equal(t, unknownID, d.get("sup1", "/v1/callbacks/"+id).at("outage"))
	timeline := d.get("sup1", "/v1/callbacks/"+id+"/timeline").items()
	last := timeline[len(timeline)-1]
	require.Equal(t, []any{"held", "mgr1", "R23", unknownID}, []any{last["type"], last["actor"], last["rule"], last["data"].(object)["outage"]})
}
