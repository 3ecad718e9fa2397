package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
)

const unknownID = "01900000-0000-7000-8000-000000000000"

// refusal is one way to be refused, from a fresh desk.
type refusal struct {
	code   string
	status int
	rule   string
	// ask brings the desk to where it refuses, and asks.
	ask func(d *desk) *reply
}

func refusals() map[string]refusal {
	claimed := func(d *desk) string {
		id := d.create()
		d.command("sup1", id, "claim", nil).want(http.StatusOK)
		return id
	}
	atManager := func(d *desk) string {
		id := claimed(d)
		d.command("sup1", id, "escalate", object{"reason": "asks for a manager"}).want(http.StatusOK)
		return id
	}
	reached := func(d *desk) string {
		id := d.started()
		d.command("sup1", id, "attempts", object{"disposition": "reached"}).want(http.StatusOK)
		return id
	}
	return map[string]refusal{
		"no JSON":           {"malformed", 400, "", func(d *desk) *reply { return d.post("agent1", "/v1/callbacks", `{"policy":`) }},
		"no UTF-8":          {"malformed", 400, "", func(d *desk) *reply { return d.post("agent1", "/v1/callbacks", []byte("{\"policy\":\"\xff\"}")) }},
		"JSON and more":     {"malformed", 400, "", func(d *desk) *reply { return d.post("agent1", "/v1/callbacks", `{} {}`) }},
		"no token":          {"unauthenticated", 401, "", func(d *desk) *reply { return d.get("", "/v1/callbacks") }},
		"a token of nobody": {"unauthenticated", 401, "", func(d *desk) *reply { return d.get("nobody", "/v1/callbacks") }},
		"another scheme": {"unauthenticated", 401, "", func(d *desk) *reply {
			return d.do(call{method: "GET", path: "/v1/callbacks", header: map[string]string{"Authorization": "Basic c3VwMTp4"}})
		}},
		"an auditor commands":                      {"forbidden", 403, "R24", func(d *desk) *reply { return d.command("audit1", d.create(), "cancel", object{"reason": "x"}) }},
		"an auditor creates":                       {"forbidden", 403, "R24", func(d *desk) *reply { return d.post("audit1", "/v1/callbacks", asked()) }},
		"an auditor says that the customer called": {"forbidden", 403, "R24", func(d *desk) *reply { return d.command("audit1", d.create(), "customer-called", nil) }},
		"an auditor reserves": {"forbidden", 403, "R24", func(d *desk) *reply {
			return d.post("audit1", "/v1/transfers", object{"tier": "supervisor", "queue": "Supervisors - RM"})
		}},
		"a supervisor reads a history": {"forbidden", 403, "R24", func(d *desk) *reply { return d.get("sup1", "/v1/callbacks/"+d.create()+"/history") }},
		"a supervisor replays":         {"forbidden", 403, "R24", func(d *desk) *reply { return d.command("sup1", d.create(), "replay", nil) }},
		"a colleague cancels":          {"forbidden", 403, "R05", func(d *desk) *reply { return d.command("sup2", claimed(d), "cancel", object{"reason": "x"}) }},
		"a colleague reassigns": {"forbidden", 403, "R05", func(d *desk) *reply {
			return d.command("sup2", claimed(d), "reassign", object{"to": "sup2", "reason": "x"})
		}},
		"claim from another queue": {"not_your_queue", 403, "R04", func(d *desk) *reply { return d.command("mgr1", d.create(), "claim", nil) }},
		"reassign to another queue": {"not_your_queue", 403, "R05", func(d *desk) *reply {
			return d.command("mgr1", claimed(d), "reassign", object{"to": "mgr2", "reason": "x"})
		}},
		"start somebody else's":        {"not_assignee", 403, "R04", func(d *desk) *reply { return d.command("sup2", claimed(d), "start", nil) }},
		"start what one may not claim": {"not_assignee", 403, "R04", func(d *desk) *reply { return d.command("agent1", d.create(), "start", nil) }},
		"escalate somebody else's": {"not_assignee", 403, "R05", func(d *desk) *reply {
			return d.command("sup2", claimed(d), "escalate", object{"reason": "x"})
		}},
		"a manager's call handed down": {"transfer_down_forbidden", 403, "R07", func(d *desk) *reply {
			return d.command("sup1", atManager(d), "reassign", object{"to": "sup2", "reason": "x"})
		}},
		"no such callback":        {"not_found", 404, "", func(d *desk) *reply { return d.get("sup1", "/v1/callbacks/"+unknownID) }},
		"no id at all":            {"not_found", 404, "", func(d *desk) *reply { return d.get("sup1", "/v1/callbacks/7") }},
		"command to no callback":  {"not_found", 404, "", func(d *desk) *reply { return d.command("sup1", unknownID, "claim", nil) }},
		"timeline of no callback": {"not_found", 404, "", func(d *desk) *reply { return d.get("sup1", "/v1/callbacks/"+unknownID+"/timeline") }},
		"notes of no callback":    {"not_found", 404, "", func(d *desk) *reply { return d.get("sup1", "/v1/callbacks/"+unknownID+"/notes") }},
		"no such address":         {"not_found", 404, "", func(d *desk) *reply { return d.get("sup1", "/v1/nothing") }},
		"an address with a slash": {"not_found", 404, "", func(d *desk) *reply { return d.get("sup1", "/v1/callbacks/") }},
		"another method":          {"method_not_allowed", 405, "", func(d *desk) *reply { return d.do(call{method: "DELETE", path: "/v1/callbacks", as: "sup1"}) }},
		"claimed by another":      {"already_claimed", 409, "R04", func(d *desk) *reply { return d.command("sup2", claimed(d), "claim", nil) }},
		"claimed by oneself":      {"already_claimed", 409, "R04", func(d *desk) *reply { return d.command("sup1", claimed(d), "claim", nil) }},
		"reassigned to who has it": {"already_claimed", 409, "R04", func(d *desk) *reply {
			return d.command("mgr1", claimed(d), "reassign", object{"to": "sup1", "reason": "x"})
		}},
		"start unclaimed":   {"not_claimed", 409, "R04", func(d *desk) *reply { return d.command("sup1", d.create(), "start", nil) }},
		"release unclaimed": {"not_claimed", 409, "R04", func(d *desk) *reply { return d.command("sup1", d.create(), "release", object{"reason": "x"}) }},
		"attempt unstarted": {"not_started", 409, "R16", func(d *desk) *reply { return d.command("sup1", claimed(d), "attempts", object{"disposition": "busy"}) }},
		"complete without contact": {"contact_required", 409, "R09", func(d *desk) *reply {
			return d.command("sup1", d.started(), "complete", object{"resolution_reason": "resolved", "call_summary": "x"})
		}},
		"above the last tier": {"no_higher_tier", 409, "R06", func(d *desk) *reply {
			id := atManager(d)
			d.command("mgr1", id, "claim", nil).want(http.StatusOK)
			return d.command("mgr1", id, "escalate", object{"reason": "x"})
		}},
		"a command to what is completed": {"closed", 409, "R09", func(d *desk) *reply { return d.command("sup1", d.completed(), "claim", nil) }},
		"the customer of what is closed": {"closed", 409, "R09", func(d *desk) *reply { return d.command("agent1", d.completed(), "customer-called", nil) }},
		"start what is held": {"held", 409, "", func(d *desk) *reply {
			id := claimed(d)
			d.command("sup1", id, "hold", object{"reason": "x", "until": noon.Add(2 * time.Hour)}).want(http.StatusOK)
			return d.command("sup1", id, "start", nil)
		}},
		"resume what is not held": {"held", 409, "", func(d *desk) *reply { return d.command("sup1", claimed(d), "resume", nil) }},
		"hold a passed promise": {"held", 409, "R10", func(d *desk) *reply {
			id := atManager(d)
			d.command("mgr1", id, "claim", nil).want(http.StatusOK)
			d.clock.move(2 * time.Hour)
			return d.command("mgr1", id, "hold", object{"reason": "x", "until": d.clock.now().Add(time.Hour)})
		}},
		"the same source twice": {"duplicate", 409, "R14", func(d *desk) *reply {
			from := func(b object) { b["source"] = object{"system": "freshdesk", "ref": "48213"} }
			d.create(from)
			return d.post("sup1", "/v1/callbacks", asked(from))
		}},
		"nobody to transfer to": {"none_available", 409, "R01", func(d *desk) *reply {
			return d.post("agent1", "/v1/transfers", object{"tier": "supervisor", "queue": "Supervisors - RM"})
		}},
		"a reservation that lapsed": {"none_available", 409, "R01", func(d *desk) *reply {
			id := claimed(d)
			transfer := d.reserve("sup1")
			d.clock.move(61 * time.Second)
			return d.command("sup1", id, "escalate", object{"reason": "x", "transfer_id": transfer})
		}},
		"unreachable too early": {"attempts_left", 409, "R09", func(d *desk) *reply {
			return d.command("sup1", d.started(), "complete", object{"resolution_reason": "unreachable", "call_summary": "x"})
		}},
		"an old version": {"stale_version", 412, "", func(d *desk) *reply {
			return d.do(call{method: "POST", path: "/v1/callbacks/" + claimed(d) + "/start", as: "sup1", header: map[string]string{"If-Match": `"3"`}})
		}},
		"a version yet to come": {"stale_version", 412, "", func(d *desk) *reply {
			return d.do(call{method: "POST", path: "/v1/callbacks/" + claimed(d) + "/start", as: "sup1", header: map[string]string{"If-Match": `"9"`}})
		}},
		"a weak version": {"stale_version", 412, "", func(d *desk) *reply {
			return d.do(call{method: "POST", path: "/v1/callbacks/" + claimed(d) + "/start", as: "sup1", header: map[string]string{"If-Match": `W/"4"`}})
		}},
		"more than 1 MiB": {"too_large", 413, "", func(d *desk) *reply { return d.post("agent1", "/v1/callbacks", `"`+strings.Repeat("a", 1<<20)+`"`) }},
		"no media type": {"unsupported_media_type", 415, "", func(d *desk) *reply {
			return d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", body: asked(), header: map[string]string{"Content-Type": ""}})
		}},
		"a form": {"unsupported_media_type", 415, "", func(d *desk) *reply {
			return d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", body: "a=b", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}})
		}},
		"Latin 1": {"unsupported_media_type", 415, "", func(d *desk) *reply {
			return d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", body: asked(), header: map[string]string{"Content-Type": "application/json; charset=latin1"}})
		}},
		"a wrong member": {"invalid", 422, "", func(d *desk) *reply { return d.post("agent1", "/v1/callbacks", asked(func(b object) { b["x"] = 1 })) }},
		"a field of the policy missing": {"invalid", 422, "R22", func(d *desk) *reply {
			return d.post("agent1", "/v1/callbacks", asked(func(b object) { b["policy"] = "purchasing-escalation" }))
		}},
		"reassign to nobody": {"invalid", 422, "", func(d *desk) *reply {
			return d.command("mgr1", claimed(d), "reassign", object{"to": "nobody", "reason": "x"})
		}},
		"a wrong filter": {"invalid", 422, "", func(d *desk) *reply { return d.get("sup1", "/v1/callbacks?limit=201") }},
		"an unknown policy": {"unknown_policy", 422, "", func(d *desk) *reply {
			return d.post("agent1", "/v1/callbacks", asked(func(b object) { b["policy"] = "nothing" }))
		}},
		"an unknown reason": {"unknown_resolution_reason", 422, "R17", func(d *desk) *reply {
			return d.command("sup1", reached(d), "complete", object{"resolution_reason": "bored", "call_summary": "x"})
		}},
		"no reason":          {"resolution_reason_required", 422, "R17", func(d *desk) *reply { return d.command("sup1", reached(d), "complete", object{"call_summary": "x"}) }},
		"no reason, no body": {"resolution_reason_required", 422, "R17", func(d *desk) *reply { return d.command("sup1", reached(d), "complete", nil) }},
		"no call summary": {"call_summary_required", 422, "R12", func(d *desk) *reply {
			return d.command("sup1", reached(d), "complete", object{"resolution_reason": "resolved"})
		}},
		"an empty call summary": {"call_summary_required", 422, "R12", func(d *desk) *reply {
			return d.command("sup1", reached(d), "complete", object{"resolution_reason": "resolved", "call_summary": " "})
		}},
		"a key for something else": {"idempotency_key_reused", 422, "", func(d *desk) *reply {
			d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "k1", body: asked()}).want(http.StatusCreated)
			return d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "k1", body: asked(func(b object) { b["reason"] = "other" })})
		}},
		"too fast": {"rate_limited", 429, "", func(d *desk) *reply {
			fast := newDesk(d.t, func(o *api.Options) { o.Limits.PerSecond, o.Limits.Burst = 1, 2 })
			fast.get("sup1", "/v1/me").want(http.StatusOK)
			fast.get("sup1", "/v1/me").want(http.StatusOK)
			fast.get("sup2", "/v1/me").want(http.StatusOK)
			return fast.get("sup1", "/v1/me")
		}},
		"the engine turns it away": {"rate_limited", 429, "", func(d *desk) *reply {
			id := d.create()
			d.engine.set(func(e *fakeEngine) { e.busy = true })
			return d.command("sup1", id, "claim", nil)
		}},
		"the engine is away": {"unavailable", 503, "", func(d *desk) *reply {
			id := d.create()
			d.engine.set(func(e *fakeEngine) { e.away = true })
			return d.command("sup1", id, "claim", nil)
		}},
		"the database is away": {"unavailable", 503, "", func(d *desk) *reply {
			d.get("sup1", "/v1/me").want(http.StatusOK)
			d.book.set(func(b *flakyBook) { b.away = true })
			return d.get("sup1", "/v1/callbacks")
		}},
		"not ready": {"unavailable", 503, "", func(d *desk) *reply {
			d.engine.set(func(e *fakeEngine) { e.away = true })
			return d.get("", "/readyz")
		}},
		"the answer is lost": {"outcome_unknown", 504, "", func(d *desk) *reply {
			id := d.create()
			d.engine.set(func(e *fakeEngine) { e.lose = true })
			return d.command("sup1", id, "claim", nil)
		}},
		"a bug": {"internal", 500, "", func(d *desk) *reply {
			d.book.set(func(b *flakyBook) { b.before = func(string) error { panic("Asha Rao") } })
			return d.get("sup1", "/v1/callbacks")
		}},
	}
}

// everyCode is the table of the contract.
var everyCode = map[string]int{
	"malformed": 400, "unauthenticated": 401, "forbidden": 403, "not_your_queue": 403, "not_assignee": 403, "transfer_down_forbidden": 403,
	"not_found": 404, "method_not_allowed": 405, "already_claimed": 409, "not_claimed": 409, "not_started": 409, "contact_required": 409,
	"no_higher_tier": 409, "closed": 409, "held": 409, "duplicate": 409, "none_available": 409, "attempts_left": 409, "stale_version": 412,
	"too_large": 413, "unsupported_media_type": 415, "invalid": 422, "unknown_policy": 422, "unknown_resolution_reason": 422,
	"resolution_reason_required": 422, "call_summary_required": 422, "idempotency_key_reused": 422, "rate_limited": 429,
	"unavailable": 503, "outcome_unknown": 504, "internal": 500,
}

func TestEveryRefusal(t *testing.T) {
	t.Parallel()
	reached := map[string]bool{}
	for name, r := range refusals() {
		require.Equal(t, everyCode[r.code], r.status, r.code)
		reached[r.code] = true
		t.Run(r.code+": "+name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			got := r.ask(d).refused(r.status, r.code, r.rule)
			wait := got.header.Get("Retry-After")
			require.Equal(t, r.status == 429 || r.status == 503 || r.status == 504, wait != "", "Retry-After: %q", wait)
			require.Equal(t, r.status == 401, got.header.Get("WWW-Authenticate") != "")
			if r.code != "rate_limited" {
				require.Contains(t, d.log.String(), `"code":"`+r.code+`","rule":"`+r.rule+`"`)
				require.Contains(t, d.get("", "/metrics").text(), `ringback_refusals_total{code="`+r.code+`"} 1`)
			}
			require.NotContains(t, d.log.String(), "Asha")
		})
	}
	for code := range everyCode {
		require.True(t, reached[code], "no test reaches %s", code)
	}
}

func TestR04_AlreadyClaimedNamesTheHolder(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	d.command("sup1", id, "claim", nil).want(http.StatusOK)
	require.Equal(t, "sup1", d.command("sup2", id, "claim", nil).str("holder"))
}

func TestR14_DuplicateNamesTheExistingOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	from := func(b object) { b["source"] = object{"system": "freshdesk", "ref": "48213"} }
	id := d.create(from)
	require.Equal(t, id, d.post("agent1", "/v1/callbacks", asked(from)).refused(409, "duplicate", "R14").str("existing"))

	d.create(from, func(b object) { b["policy"] = "customer-service-escalation" }) // another policy
	d.command("mgr1", id, "cancel", object{"reason": "withdrew"}).want(http.StatusOK)
	d.create(from) // once it is closed
}

// TestOrderOfChecks has each request be wrong in two ways: the one that the
// contract names first is told.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	open, done := d.create(), d.completed()
	atManager := d.create()
	d.command("sup1", atManager, "claim", nil).want(http.StatusOK)
	d.command("sup1", atManager, "escalate", object{"reason": "x"}).want(http.StatusOK)
	working := d.started()
	stale := map[string]string{"If-Match": `"1"`}
	used := func() object {
		transfer := d.reserve("sup1")
		id := d.create()
		d.command("sup1", id, "claim", nil).want(http.StatusOK)
		d.command("sup1", id, "escalate", object{"reason": "x", "transfer_id": transfer}).want(http.StatusOK)
		require.Eventually(t, func() bool {
			mine := d.create()
			d.command("sup1", mine, "claim", nil).want(http.StatusOK)
			return d.command("sup1", mine, "escalate", object{"reason": "x", "transfer_id": transfer}).status == http.StatusConflict
		}, 5*time.Second, 10*time.Millisecond)
		return object{"reason": "x", "transfer_id": transfer}
	}()
	others := d.create()
	d.command("sup2", others, "claim", nil).want(http.StatusOK)
	large := `"` + strings.Repeat("a", 1<<20) + `"`
	noType := map[string]string{"Content-Type": "text/plain"}
	d.do(call{method: "POST", path: "/v1/callbacks/" + working + "/notes", as: "sup1", key: "used", body: object{"kind": "note", "body": "x"}}).want(http.StatusCreated)
	for name, c := range map[string]struct {
		call
		status int
		code   string
	}{
		"401 before 413": {call{method: "POST", path: "/v1/callbacks", body: large}, 401, "unauthenticated"},
		"401 before 404": {call{method: "POST", path: "/v1/callbacks/" + unknownID + "/claim"}, 401, "unauthenticated"},
		"413 before 415": {call{method: "POST", path: "/v1/callbacks", as: "agent1", body: large, header: noType}, 413, "too_large"},
		"415 before 400": {call{method: "POST", path: "/v1/callbacks", as: "agent1", body: "{", header: noType}, 415, "unsupported_media_type"},
		"400 before 404": {call{method: "POST", path: "/v1/callbacks/" + unknownID + "/notes", as: "sup1", body: "{"}, 400, "malformed"},
		"404 before 422": {call{method: "POST", path: "/v1/callbacks/" + unknownID + "/notes", as: "sup1", body: object{}}, 404, "not_found"},
		"422 before the stored answer": {call{
			method: "POST", path: "/v1/callbacks/" + working + "/notes", as: "sup1", key: "used", body: object{"kind": "note"},
		}, 422, "invalid"},
		"the stored answer before 412": {call{
			method: "POST", path: "/v1/callbacks/" + working + "/notes", as: "sup1", key: "used", body: object{"kind": "note", "body": "other"}, header: stale,
		}, 422, "idempotency_key_reused"},
		"422 before 412": {call{
			method: "POST", path: "/v1/callbacks/" + open + "/release", as: "sup1", body: object{}, header: stale,
		}, 422, "invalid"},
		"412 before closed": {call{method: "POST", path: "/v1/callbacks/" + done + "/claim", as: "sup1", header: stale}, 412, "stale_version"},
		"412 before closed, with a key": {call{
			method: "POST", path: "/v1/callbacks/" + done + "/claim", as: "sup1", header: stale, key: "k",
		}, 412, "stale_version"},
		"closed before 403": {call{method: "POST", path: "/v1/callbacks/" + done + "/claim", as: "agent1"}, 409, "closed"},
		"closed before 403, with a key": {call{
			method: "POST", path: "/v1/callbacks/" + done + "/claim", as: "agent1", key: "k2",
		}, 409, "closed"},
		"closed before an auditor": {call{method: "POST", path: "/v1/callbacks/" + done + "/customer-called", as: "audit1"}, 409, "closed"},
		"closed before transfer_down": {call{
			method: "POST", path: "/v1/callbacks/" + done + "/reassign", as: "sup2", body: object{"to": "agent1", "reason": "x"},
		}, 409, "closed"},
		"transfer_down before an auditor": {call{
			method: "POST", path: "/v1/callbacks/" + atManager + "/reassign", as: "audit1", body: object{"to": "sup1", "reason": "x"},
		}, 403, "transfer_down_forbidden"},
		"412 before a reservation that is used": {call{
			method: "POST", path: "/v1/callbacks/" + working + "/escalate", as: "sup1", body: used, header: stale, key: "k3",
		}, 412, "stale_version"},
		"closed before a reservation that is used": {call{
			method: "POST", path: "/v1/callbacks/" + done + "/escalate", as: "sup1", body: used, key: "k4",
		}, 409, "closed"},
		"403 before a reservation that is used": {call{
			method: "POST", path: "/v1/callbacks/" + others + "/escalate", as: "sup1", body: used,
		}, 403, "not_assignee"},
		"403 before 409":            {call{method: "POST", path: "/v1/callbacks/" + working + "/claim", as: "mgr1"}, 403, "not_your_queue"},
		"409 before the reason":     {call{method: "POST", path: "/v1/callbacks/" + open + "/complete", as: "sup1", body: object{}}, 409, "not_claimed"},
		"the reason before contact": {call{method: "POST", path: "/v1/callbacks/" + working + "/complete", as: "sup1", body: object{}}, 422, "resolution_reason_required"},
		"an unknown reason before contact": {call{
			method: "POST", path: "/v1/callbacks/" + working + "/complete", as: "sup1", body: object{"resolution_reason": "x"},
		}, 422, "unknown_resolution_reason"},
		"contact before the summary": {call{
			method: "POST", path: "/v1/callbacks/" + working + "/complete", as: "sup1", body: object{"resolution_reason": "resolved"},
		}, 409, "contact_required"},
		"attempts before the summary": {call{
			method: "POST", path: "/v1/callbacks/" + working + "/complete", as: "sup1", body: object{"resolution_reason": "unreachable"},
		}, 409, "attempts_left"},
	} {
		r := d.do(c.call)
		require.Equal(t, c.status, r.status, "%s: %s", name, r.body)
		require.Equal(t, c.code, r.str("code"), name)
	}
}

func TestUnmatchedRoutesAreProblemsToo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.get("", "/nothing").refused(404, "not_found", "")
	d.do(call{method: "PATCH", path: "/nothing"}).refused(404, "not_found", "")
	r := d.do(call{method: "POST", path: "/v1/callbacks/" + unknownID}).refused(405, "method_not_allowed", "")
	require.ElementsMatch(t, []string{"GET", "HEAD", "OPTIONS"}, strings.Split(r.header.Get("Allow"), ", "))
	d.do(call{method: "BREW", path: "/v1/callbacks"}).refused(405, "method_not_allowed", "")
}

func TestHeadAndOptions(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	server := httptest.NewServer(d.http)
	t.Cleanup(server.Close)
	send := func(method, path, as string) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		require.NoError(t, err)
		if as != "" {
			request.Header.Set("Authorization", "Bearer dev:"+as)
		}
		response, err := server.Client().Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { _ = response.Body.Close() })
		return response
	}
	head := send("HEAD", "/v1/callbacks/"+id, "sup1")
	require.Equal(t, 200, head.StatusCode)
	require.Equal(t, `"3"`, head.Header.Get("ETag"))
	require.Positive(t, head.ContentLength)
	require.Equal(t, 401, send("HEAD", "/v1/callbacks/"+id, "").StatusCode)
	require.Equal(t, 200, send("HEAD", "/v1/stream", "sup1").StatusCode)
	options := send("OPTIONS", "/v1/callbacks", "")
	require.Equal(t, 204, options.StatusCode)
	require.Equal(t, "GET, HEAD, POST, OPTIONS", options.Header.Get("Allow"))
	require.Equal(t, 404, send("OPTIONS", "/nothing", "").StatusCode)
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ask := func(id string) string {
		return d.do(call{method: "GET", path: "/healthz", header: map[string]string{"X-Request-Id": id}}).header.Get("X-Request-Id")
	}
	require.Equal(t, "from-a-proxy:7", ask("from-a-proxy:7"))
	require.Len(t, ask(""), 36)
	require.Len(t, ask("with spaces"), 36)
	require.Len(t, ask(strings.Repeat("a", 129)), 36)
	require.Contains(t, d.log.String(), `"request_id":"from-a-proxy:7"`)
}

// Browsers give up requests all day: that is no error of the desk's.
func TestWhoeverGoesAwayIsNoError(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ask := func(ctx context.Context) {
		r := call{method: "GET", path: "/v1/callbacks", as: "sup1"}.request(t)
		d.http.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ask(gone)
	require.Contains(t, d.log.String(), `"level":"INFO","msg":"refused"`)
	require.Contains(t, d.log.String(), `"status":503`)
	require.NotContains(t, d.log.String(), `"level":"ERROR"`)

	d.book.away = true
	ask(t.Context())
	require.Contains(t, d.log.String(), `"level":"ERROR","msg":"refused"`)
}

func TestStrictBodies(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	create := func(change func(object)) *reply { return d.post("agent1", "/v1/callbacks", asked(change)) }
	customer := func(name string, value any) func(object) {
		return func(b object) { b["customer"].(object)[name] = value }
	}
	create(func(b object) { b["x"] = 1; b["customer"].(object)["y"] = 2 }).invalid("x", "customer.y")
	create(func(b object) { b["Policy"] = b["policy"]; delete(b, "policy") }).invalid("Policy", "policy")
	create(func(b object) { delete(b, "customer") }).invalid("customer")
	create(func(b object) { b["customer"] = nil }).invalid("customer")
	create(func(b object) { b["policy"] = nil }).invalid("policy")
	create(func(b object) { b["policy"] = 7 }).invalid("policy")
	create(func(b object) { b["customer"] = object{} }).invalid("customer.name", "customer.phone")
	create(customer("name", "  ")).invalid("customer.name")
	create(customer("name", strings.Repeat("ä", 201))).invalid("customer.name")
	create(customer("name", "a\u0000b")).invalid("customer.name")
	for _, phone := range []any{"", "9876543210", "+", "+91", "+15555550100", "00919876543210", "+91987654321012345", "tel:+919876543210", "+1 800 FLOWERS", 919876543210} {
		create(customer("phone", phone)).invalid("customer.phone")
	}
	require.Equal(t, "+919876543210", create(customer("phone", "+91 98765-43210")).want(201).str("customer", "phone"))
	create(customer("email", "asha")).invalid("customer.email")
	create(customer("email", "Asha <asha@example.com>")).invalid("customer.email")
	for _, zone := range []string{"Local", "India", "../UTC", "Asia/Nowhere"} {
		create(customer("time_zone", zone)).invalid("customer.time_zone")
	}
	create(func(b object) { b["reason"] = strings.Repeat("x", 4001) }).invalid("reason")
	create(func(b object) { b["source"] = object{"system": "a b", "ref": ""} }).invalid("source.system", "source.ref")
	create(func(b object) { b["source"] = object{"system": "a", "ref": "1", "url": "javascript:alert(1)"} }).invalid("source.url")
	create(func(b object) { b["transfer_attempt"] = object{"tier": "king", "outcome": "x"} }).invalid("transfer_attempt.tier")
	create(func(b object) { b["transfer_attempt"] = object{"tier": "manager", "outcome": " "} }).invalid("transfer_attempt.outcome")
	create(func(b object) { b["transfer_attempt"] = object{"tier": "manager", "outcome": strings.Repeat("x", 65)} }).invalid("transfer_attempt.outcome")
	create(func(b object) { b["fields"] = object{"a": 1} }).invalid("fields.a")
	create(func(b object) { b["fields"] = object{"a": "1"} }).invalid("fields.a")
	create(func(b object) { b["parent"] = "7" }).invalid("parent")
	create(func(b object) { b["parent"] = unknownID }).invalid("parent")
	for _, at := range []any{"tomorrow", "2026-11-24", "2026-11-23T12:00:00.000Z", "2026-11-23T11:00:00Z", "2027-11-25T12:00:00Z", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 7} {
		create(func(b object) { b["scheduled_for"] = at }).invalid("scheduled_for")
	}
	d.post("agent1", "/v1/callbacks", `[]`).invalid("body")
	d.post("agent1", "/v1/callbacks", `null`).invalid("body")
	d.post("agent1", "/v1/callbacks", `"x"`).invalid("body")

	id := d.started()
	d.command("sup1", id, "claim", object{"x": 1}).invalid("x")
	d.command("sup1", id, "attempts", object{"disposition": "asleep"}).invalid("disposition")
	d.command("sup1", id, "attempts", object{}).invalid("disposition")
	d.command("sup1", id, "notes", object{"kind": "secret", "body": "  "}).invalid("kind", "body")
	d.command("sup1", id, "notes", object{"kind": "note", "body": strings.Repeat("x", 20001)}).invalid("body")
	for _, command := range []string{"escalate", "release", "cancel"} {
		d.command("sup1", id, command, object{}).invalid("reason")
		d.command("sup1", id, command, object{"reason": " "}).invalid("reason")
		d.command("sup1", id, command, object{"reason": nil}).invalid("reason")
	}
	d.command("sup1", id, "reassign", object{}).invalid("to", "reason")
	d.command("sup1", id, "hold", object{"reason": "x"}).invalid("until")
	d.command("sup1", id, "hold", object{"reason": "x", "until": nil}).invalid("until")
	d.command("sup1", id, "hold", object{"reason": "x", "until": noon}).invalid("until")
	d.command("sup1", id, "hold", object{"reason": "x", "until": noon.Add(25 * time.Hour)}).invalid("until")
	d.command("sup1", id, "reschedule", object{"reason": "x", "scheduled_for": noon.Add(-time.Hour)}).invalid("scheduled_for")
	d.command("sup1", id, "reschedule", object{"reason": "x", "scheduled_for": noon.AddDate(1, 0, 3)}).invalid("scheduled_for")
	d.command("sup1", id, "complete", object{"resolution_reason": 7}).invalid("resolution_reason")
	d.command("sup1", id, "escalate", object{"reason": "x", "transfer_id": "none"}).invalid("transfer_id")
	d.do(call{method: "PUT", path: "/v1/me/presence", as: "sup1", body: object{"state": "asleep"}}).invalid("state")
	d.post("agent1", "/v1/transfers", object{"tier": "king", "queue": "Nowhere"}).invalid("tier", "queue")
	d.post("agent1", "/v1/transfers", object{}).invalid("tier", "queue")
	for _, key := range []string{"a b", strings.Repeat("a", 256), "ä"} {
		d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", key: key, body: asked()}).invalid("Idempotency-Key")
	}
	for _, tag := range []string{"7", `"7`, `"7",,`, "x"} {
		d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/start", as: "sup1", header: map[string]string{"If-Match": tag}}).invalid("If-Match")
	}
}

// What a request asks for is done or refused, never passed over: on operations
// without parameters too, and after who asks and what is asked about.
func TestParametersThatNobodyKnowsAreRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	for _, path := range []string{
		"/v1/me", "/v1/policies", "/v1/queues", "/v1/staff/sup1", "/v1/connectors", "/v1/me/views",
		"/v1/callbacks/" + id, "/v1/callbacks/" + id + "/timeline", "/v1/callbacks/" + id + "/notes",
	} {
		d.get("sup1", path+"?zzz=1").invalid("zzz")
		d.get("sup1", path+"?zzz=1&aaa=").invalid("aaa", "zzz")
		d.get("", path+"?zzz=1").refused(401, "unauthenticated", "")
	}
	d.get("sup1", "/v1/callbacks/"+unknownID+"?zzz=1").refused(404, "not_found", "")
	d.post("agent1", "/v1/callbacks?zzz=1", asked()).invalid("zzz")
	d.command("sup3", id, "claim?zzz=1", nil).refused(401, "unauthenticated", "")
	d.command("agent1", id, "claim?zzz=1", nil).invalid("zzz")
	d.command("agent1", unknownID, "claim?zzz=1", nil).refused(404, "not_found", "")
	d.command("sup1", id, "notes?zzz=1", object{"kind": "note"}).invalid("zzz", "body")
	d.do(call{method: "PUT", path: "/v1/me/presence?zzz=1", as: "sup1", body: object{"state": "busy"}}).invalid("zzz")
	for _, open := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"} {
		d.get("", open+"?zzz=1").want(200)
	}
}

// A reservation that is none is told to whoever may escalate, of a callback that
// they have read: as one that has lapsed is.
func TestR06_AReservationThatIsNoneIsToldLast(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.started()
	none := object{"reason": "x", "transfer_id": "none"}
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/escalate", as: "sup1", body: none, header: map[string]string{"If-Match": `"1"`}}).
		refused(412, "stale_version", "")
	d.command("sup2", id, "escalate", none).refused(403, "not_assignee", "R05")
	d.command("audit1", id, "escalate", none).refused(403, "forbidden", "R24")
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/escalate", as: "sup1", key: "k", body: none}).invalid("transfer_id")
	d.command("sup1", d.completed(), "escalate", none).refused(409, "closed", "R09")
	d.command("sup1", id, "escalate", object{"reason": "x"}).want(200)
	d.command("sup1", id, "escalate", none).refused(409, "no_higher_tier", "R06")
}

// A callback that is closed is told so, whoever asks (the contract's order).
func TestR09_ClosedComesBeforeWhoAsks(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *api.Options) {
		o.Authenticator = keys{"intake": {ID: "system:x", Scopes: []string{api.ScopeIntake}}}
	})
	closed, open := d.completed(), d.create(func(b object) { b["customer"].(object)["ref"] = "crm-2" })
	for _, key := range []string{"", "k"} {
		claim := func(id string) *reply {
			return d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/claim", key: key, header: map[string]string{"Authorization": "Bearer intake"}})
		}
		claim(closed).refused(409, "closed", "R09")
		claim(open).refused(403, "forbidden", "")
	}
}

func TestCompressedBodiesAreNotUnderstood(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for coding, status := range map[string]int{"gzip": 415, "br": 415, "identity": 201} {
		d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", body: asked(), header: map[string]string{"Content-Encoding": coding}}).want(status)
	}
}

func TestBodiesMayBeAbsentWhereNothingIsSaid(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/claim", as: "sup1", header: map[string]string{"Content-Type": "text/plain"}}).want(200)
	d.command("sup1", id, "start", object{}).want(200)
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/start", as: "sup1", body: "{}", header: map[string]string{"Content-Type": "application/json; charset=UTF-8"}}).want(200)
	d.command("agent1", id, "customer-called", nil).want(202)
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/notes", as: "sup1"}).refused(415, "unsupported_media_type", "")
	d.command("sup1", id, "notes", "").refused(400, "malformed", "")
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/start", as: "sup1", body: "{}", header: map[string]string{"Content-Type": ""}}).refused(415, "unsupported_media_type", "")
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	claim := func(tag string) *reply {
		return d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/claim", as: "sup1", header: map[string]string{"If-Match": tag}})
	}
	claim(`"2"`).refused(412, "stale_version", "")
	claim(`"03"`).refused(412, "stale_version", "")
	claim(`"abc"`).refused(412, "stale_version", "")
	claim(`"2,3"`).refused(412, "stale_version", "")
	claim(`W/"3"`).refused(412, "stale_version", "")
	claim(`3`).invalid("If-Match")
	claim(`"3" "3"`).invalid("If-Match")
	claim(`"1", "3"`).want(200)
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/start", as: "sup1", header: map[string]string{"If-Match": "*"}}).want(200)

	// What the read model does not have yet, the engine knows.
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/customer-called", as: "agent1", header: map[string]string{"If-Match": `"5"`}}).want(202)
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/attempts", as: "sup1", body: object{"disposition": "busy"}, header: map[string]string{"If-Match": `"5"`}}).refused(412, "stale_version", "")
	r := d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/attempts", as: "sup1", body: object{"disposition": "busy"}, header: map[string]string{"If-Match": `"6"`}}).want(200)
	require.Equal(t, `"7"`, r.header.Get("ETag"), "with the news that the read model lacked")
	require.Len(t, d.get("sup1", "/v1/callbacks/"+id+"/timeline").items(), 7)
}
