package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
)

// together sends the same request many times at once.
func (d *desk) together(n int, c call) []*reply {
	d.t.Helper()
	replies := make([]*reply, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { replies[i] = d.do(c) })
	}
	wg.Wait()
	return replies
}

func TestIdempotency_TwentyAtOnceAreOneCallback(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	replies := d.together(20, call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "k1", body: asked()})
	for _, r := range replies {
		r.want(http.StatusCreated)
		require.Equal(t, replies[0].text(), r.text())
		require.Equal(t, replies[0].header.Get("Location"), r.header.Get("Location"))
		require.Equal(t, `"3"`, r.header.Get("ETag"))
	}
	require.Len(t, d.get("sup1", "/v1/callbacks").items(), 1)
	require.Len(t, d.engine.runs, 1)
}

func TestIdempotency_TwentyAtOnceInTwoProcessesAreOneCallback(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	other, err := api.New(api.Options{
		Book: d.book, Engine: d.engine, DevTokens: true, Listen: "127.0.0.1:1", Now: d.clock.now, Logger: slog.New(slog.DiscardHandler),
		Config: api.Config{Policies: policies(), Tiers: map[string]int{"supervisor": 2}},
	})
	require.NoError(t, err)
	t.Cleanup(other.Close)
	twin := *d
	twin.http = other.Handler()
	c := call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "k1", body: asked()}
	var here, there []*reply
	var wg sync.WaitGroup
	wg.Go(func() { here = d.together(10, c) })
	wg.Go(func() { there = twin.together(10, c) })
	wg.Wait()
	for _, r := range append(here, there...) {
		r.want(http.StatusCreated)
		require.Equal(t, here[0].str("id"), r.str("id"))
	}
	require.Len(t, d.engine.runs, 1)
}

func TestIdempotency_TheFirstAnswerAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	claim := call{method: "POST", path: "/v1/callbacks/" + id + "/claim", as: "sup1", key: "k1"}
	first := d.do(claim).want(200)
	d.command("sup1", id, "start", nil).want(200)
	again := d.do(claim).want(200)
	require.Equal(t, first.text(), again.text())
	require.Equal(t, `"4"`, again.header.Get("ETag"))

	claim.body = "{}" // means the same
	require.Equal(t, first.text(), d.do(claim).want(200).text())
	claim.header = map[string]string{"If-Match": `"99"`}
	require.Equal(t, first.text(), d.do(claim).want(200).text(), "the stored answer comes before 412")

	// The key is the caller's own, and the path's.
	claim = call{method: "POST", path: claim.path, as: "sup2", key: "k1"}
	d.do(claim).refused(409, "already_claimed", "R04")
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/release", as: "sup1", key: "k1", body: object{"reason": "x"}}).want(200)
	d.do(claim).want(200) // a refusal binds no key

	note := call{method: "POST", path: "/v1/callbacks/" + id + "/notes", as: "sup2", key: "n1", body: `{"kind":"note","body":"Überweisung <b>"}`}
	one := d.do(note).want(201)
	note.body = "{ \"body\": \"\\u00dcberweisung <b>\",\n \"kind\": \"note\" }" // the same, written otherwise
	require.Equal(t, one.text(), d.do(note).want(201).text())
	require.Contains(t, one.text(), "Überweisung <b>")
	require.Len(t, d.get("sup2", "/v1/callbacks/"+id+"/notes").items(), 1)
	note.body = object{"kind": "note", "body": "other"}
	d.do(note).refused(422, "idempotency_key_reused", "")

	reserve := call{method: "POST", path: "/v1/transfers", as: "sup2", key: "t1", body: object{"tier": "manager", "queue": "Managers - RM"}}
	d.do(reserve).refused(409, "none_available", "R01")
	d.do(call{method: "PUT", path: "/v1/me/presence", as: "mgr1", body: object{"state": "available"}}).want(200)
	held := d.do(reserve).want(201)
	require.Equal(t, held.text(), d.do(reserve).want(201).text())
	reserve.body = object{"tier": "supervisor", "queue": "Supervisors - RM"}
	d.do(reserve).refused(422, "idempotency_key_reused", "")

	called := call{method: "POST", path: "/v1/callbacks/" + id + "/customer-called", as: "agent1", key: "c1", body: object{"note": "still waiting"}}
	told := d.do(called).want(202)
	require.Equal(t, told.text(), d.do(called).want(202).text())
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	require.Len(t, d.get("sup2", "/v1/callbacks/"+id+"/notes").items(), 2)

	replay := call{method: "POST", path: "/v1/callbacks/" + id + "/replay", as: "audit1", key: "r1"}
	verdict := d.do(replay).want(200).text()
	require.Equal(t, verdict, d.do(replay).want(200).text())
}

func TestIdempotency_SurvivesClosing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.started()
	d.command("sup1", id, "attempts", object{"disposition": "reached"}).want(200)
	complete := call{
		method: "POST", path: "/v1/callbacks/" + id + "/complete", as: "sup1", key: "k1", header: map[string]string{"If-Match": `"7"`},
		body: object{"resolution_reason": "resolved", "call_summary": "explained"},
	}
	first := d.do(complete).want(200)
	require.Equal(t, first.text(), d.do(complete).want(200).text())
	complete.key = "k2"
	d.do(complete).refused(412, "stale_version", "")
	complete.header = nil
	d.do(complete).refused(409, "closed", "R09")
}

// The engine knows the outcomes of a callback's last run, and forgets those of one that closed long ago.
func TestIdempotency_SurvivesTheEnginesForgetting(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	create := call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "k0", body: asked()}
	crash(d, true, create)
	id := d.started()
	attempt := call{method: "POST", path: "/v1/callbacks/" + id + "/attempts", as: "sup1", key: "k1", body: object{"disposition": "no_answer", "note": "rang out"}}
	crash(d, true, attempt)
	called := call{method: "POST", path: "/v1/callbacks/" + id + "/customer-called", as: "agent1", key: "k2"}
	crash(d, true, called)
	never := call{method: "POST", path: "/v1/callbacks/" + id + "/attempts", as: "sup1", key: "k3", body: object{"disposition": "busy"}}
	crash(d, false, never)
	d.clock.move(time.Minute)
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))

	d.do(called).want(202)
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	count := func(typ string) (n int) {
		for _, e := range d.get("sup1", "/v1/callbacks/"+id+"/timeline").items() {
			if e["type"] == typ {
				n++
			}
		}
		return n
	}
	require.Equal(t, 1, count("customer_called"), "told twice it is told once")

	d.command("sup1", id, "attempts", object{"disposition": "reached"}).want(200)
	d.command("sup1", id, "complete", object{"resolution_reason": "resolved", "call_summary": "explained"}).want(200)
	for made := range d.engine.runs {
		d.engine.forget(made)
	}
	d.engine.set(func(e *fakeEngine) { e.unreadable = errors.New("the archive is away") })
	d.do(attempt).refused(504, "outcome_unknown", "")
	d.engine.set(func(e *fakeEngine) { e.unreadable = nil })
	other := attempt
	other.body = object{"disposition": "busy"}
	d.do(other).refused(422, "idempotency_key_reused", "")
	first := d.do(attempt).want(200)
	require.Equal(t, first.text(), d.do(attempt).want(200).text())
	require.Equal(t, 2, count("attempted"), "each once")
	d.do(never).refused(409, "closed", "R09")
	attempt.key = "k4"
	d.do(attempt).refused(409, "closed", "R09")

	// The promise itself is not begun anew.
	var promised string
	for made := range d.engine.runs {
		if made != id {
			promised = made
		}
	}
	_, err := d.book.store.Project(t.Context(), book.Batch{CallbackID: promised, Events: d.engine.runs[promised].events}) // the sweeper caught up
	require.NoError(t, err)
	d.engine.set(func(e *fakeEngine) { delete(e.runs, promised) })
	require.Equal(t, promised, d.do(create).want(201).str("id"))
	require.Len(t, d.engine.runs, 1)
}

// TestIdempotency_TakesOverAfterACrash: whoever began died with the errand
// written, before or after the engine was told.
func TestIdempotency_TakesOverAfterACrash(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{false, true} {
		t.Run(fmt.Sprintf("engine told: %v", told), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			create := call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "k1", body: asked()}
			id := d.create()
			note := call{method: "POST", path: "/v1/callbacks/" + id + "/notes", as: "sup1", key: "k2", body: object{"kind": "note", "body": "first"}}
			for _, c := range []call{create, note} {
				crash(d, told, c)
			}
			policy := d.engine.runs[id].policy
			d.clock.move(time.Minute) // the leases are over

			made := d.do(create).want(201)
			require.Equal(t, "2026-11-23T12:00:00.000Z", made.str("requested_at"), "as it was asked, not as it was taken over")
			require.Equal(t, "2026-11-23T13:00:00.000Z", made.str("due_at"))
			require.Equal(t, policy, d.engine.runs[made.str("id")].policy)
			require.Equal(t, made.text(), d.do(create).want(201).text())

			d.do(note).want(201)
			notes := d.get("sup1", "/v1/callbacks/"+id+"/notes").items()
			require.Len(t, notes, 1)
			require.Equal(t, "first", notes[0]["body"])
			require.Len(t, d.engine.runs, 2)
		})
	}
}

// crash gives a command whose process dies before it can settle it.
func crash(d *desk, told bool, c call) {
	d.t.Helper()
	d.engine.set(func(e *fakeEngine) {
		e.before = func(string) {
			if !told {
				panic(http.ErrAbortHandler)
			}
		}
	})
	d.book.set(func(b *flakyBook) {
		b.before = func(name string) error {
			if name == "settle" || name == "release" {
				panic(http.ErrAbortHandler)
			}
			return nil
		}
	})
	require.Panics(d.t, func() { d.http.ServeHTTP(discard{}, c.request(d.t)) })
	d.engine.set(func(e *fakeEngine) { e.before = nil })
	d.book.set(func(b *flakyBook) { b.before = nil })
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// TestIdempotency_WaitsForAnotherProcess: it is under way elsewhere, and its
// answer is given when it is there.
func TestIdempotency_WaitsForAnotherProcess(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	claim := call{method: "POST", path: "/v1/callbacks/" + id + "/claim", as: "sup1", key: "k1"}
	crash(d, true, claim) // it is not dead: its lease lives
	looked := make(chan struct{}, 1000)
	d.book.set(func(b *flakyBook) {
		b.before = func(name string) error {
			if name == "errand" {
				looked <- struct{}{}
			}
			return nil
		}
	})
	var wg sync.WaitGroup
	var waited *reply
	wg.Go(func() { waited = d.do(claim) })
	<-looked
	<-looked // twice: it waits
	open, err := d.book.store.OpenErrands(t.Context(), callback.At(noon.Add(time.Hour)), 10)
	require.NoError(t, err)
	require.Len(t, open, 1)
	_, err = d.book.store.Project(t.Context(), book.Batch{CallbackID: id, Events: d.engine.runs[id].events})
	require.NoError(t, err)
	body := d.get("sup1", "/v1/callbacks/"+id).want(200).body
	_, err = d.book.store.Settle(t.Context(), open[0].ID, book.Batch{CallbackID: id}, func(book.View) (*book.Answer, error) {
		return &book.Answer{Status: 200, ETag: `"4"`, Body: body}, nil
	})
	require.NoError(t, err)
	wg.Wait()
	require.Equal(t, "sup1", waited.want(200).str("assignee"))
}

func TestIdempotency_ARefusalLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	refused := call{method: "POST", path: "/v1/callbacks/" + id + "/escalate", as: "sup1", key: "k1", body: object{"reason": "secret"}}
	d.do(refused).refused(403, "not_assignee", "R05")
	left, err := d.book.store.OpenErrands(t.Context(), callback.At(noon.Add(time.Hour)), 10)
	require.NoError(t, err)
	require.Empty(t, left)
	d.command("sup1", id, "claim", nil).want(200)
	refused.body = object{"reason": "another"}
	d.do(refused).want(200) // the key is free, for another body too
}

func TestR27_AnAcceptedCommandIs202WhereItCannotBeShown(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	broken := func(name string) error {
		if name == "settle" {
			return fmt.Errorf("%w: pulled the plug", book.ErrUnavailable)
		}
		return nil
	}
	create := call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "k1", body: asked()}
	note := call{method: "POST", path: "/v1/callbacks/" + id + "/notes", as: "sup1", key: "k2", body: object{"kind": "note", "body": "hello"}}
	called := call{method: "POST", path: "/v1/callbacks/" + id + "/customer-called", as: "sup1", key: "k3"}
	d.book.set(func(b *flakyBook) { b.before = broken })
	made := d.do(create).want(202)
	require.Equal(t, "/v1/callbacks/"+made.str("id"), made.header.Get("Location"))
	require.EqualValues(t, 3, made.at("version"))
	noted := d.do(note).want(202)
	require.Equal(t, id, noted.str("id"))
	require.Equal(t, id, d.do(called).want(202).str("id"))

	d.book.set(func(b *flakyBook) { b.before = nil })
	d.get("sup1", "/v1/callbacks/"+made.str("id")).refused(404, "not_found", "")
	d.clock.move(time.Minute)
	require.Equal(t, made.str("id"), d.do(create).want(201).str("id"), "repeated with its key it becomes 201")
	d.do(note).want(201)
	d.do(called).want(202)
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	types := []string{}
	for _, e := range d.get("sup1", "/v1/callbacks/"+id+"/timeline").items() {
		types = append(types, e["type"].(string))
	}
	require.Equal(t, []string{"requested", "tagged", "queued", "noted", "customer_called"}, types, "each once")
}

// TestOutcomeUnknown: it may have been done; the same key tells.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	claim := call{method: "POST", path: "/v1/callbacks/" + id + "/claim", as: "sup1", key: "k1"}
	d.engine.set(func(e *fakeEngine) { e.lose = true })
	d.do(claim).refused(504, "outcome_unknown", "")
	d.do(claim).refused(504, "outcome_unknown", "") // at once: nobody waits for a lease
	d.engine.set(func(e *fakeEngine) { e.lose = false })
	require.Equal(t, "sup1", d.do(claim).want(200).str("assignee"))
	require.Len(t, d.get("sup1", "/v1/callbacks/"+id+"/timeline").items(), 4)

	// An error that nobody knows is an unknown outcome too, never a refusal.
	d.engine.set(func(e *fakeEngine) { e.strange = errors.New("what is this") })
	d.command("sup1", id, "start", nil).refused(504, "outcome_unknown", "")
}

func TestEngineAway(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	d.engine.set(func(e *fakeEngine) { e.away = true })
	create := call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "k1", body: asked(func(b object) { b["source"] = object{"system": "s", "ref": "1"} })}
	require.Equal(t, "2", d.do(create).refused(503, "unavailable", "").header.Get("Retry-After"))
	d.command("sup1", id, "claim", nil).refused(503, "unavailable", "")
	d.command("agent1", id, "customer-called", object{"note": "x"}).refused(503, "unavailable", "")
	// Reads go on.
	require.Len(t, d.get("sup1", "/v1/callbacks").want(200).items(), 1)
	d.get("sup1", "/v1/callbacks/"+id+"/timeline").want(200)
	d.get("sup1", "/v1/stats").want(200)
	d.get("", "/healthz").want(200)
	d.get("", "/readyz").refused(503, "unavailable", "")
	// Nothing half-done.
	left, err := d.book.store.OpenErrands(t.Context(), callback.At(noon.Add(time.Hour)), 10)
	require.NoError(t, err)
	require.Empty(t, left)
	d.engine.set(func(e *fakeEngine) { e.away = false })
	d.do(create).want(201)
	d.get("", "/readyz").want(200)
	require.Empty(t, d.get("sup1", "/v1/callbacks/"+id+"/notes").items())
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	queued, working := d.create(), d.started()
	held := d.create()
	d.command("sup1", held, "claim", nil).want(200)
	d.command("sup1", held, "hold", object{"reason": "x", "until": noon.Add(time.Hour)}).want(200)
	d.do(call{method: "POST", path: "/v1/callbacks/" + queued + "/notes", as: "sup1", key: "warm", body: object{"kind": "note", "body": "x"}}).want(201)
	d.book.set(func(b *flakyBook) { b.away = true })

	for _, path := range []string{"/v1/callbacks", "/v1/callbacks/" + queued, "/v1/callbacks/" + queued + "/timeline", "/v1/stats", "/v1/me", "/v1/staff", "/v1/stream"} {
		require.Equal(t, "2", d.get("sup1", path).refused(503, "unavailable", "").header.Get("Retry-After"), path)
	}
	d.get("sup1", "/v1/policies").want(200)
	d.get("", "/readyz").refused(503, "unavailable", "")

	// What carries text, and create, is refused.
	d.post("agent1", "/v1/callbacks", asked()).refused(503, "unavailable", "")
	d.command("sup1", working, "notes", object{"kind": "note", "body": "x"}).refused(503, "unavailable", "")
	d.command("sup1", working, "attempts", object{"disposition": "busy", "note": "x"}).refused(503, "unavailable", "")
	d.command("sup1", working, "escalate", object{"reason": "x"}).refused(503, "unavailable", "")
	d.command("sup1", working, "complete", object{"resolution_reason": "resolved", "call_summary": "x"}).refused(503, "unavailable", "")
	d.command("agent1", queued, "customer-called", nil).refused(503, "unavailable", "")

	// What carries none goes on, and the rules still rule.
	claim := call{method: "POST", path: "/v1/callbacks/" + queued + "/claim", as: "sup1", key: "k1", header: map[string]string{"If-Match": `"4"`}}
	accepted := d.do(claim).want(202)
	require.Equal(t, "/v1/callbacks/"+queued, accepted.header.Get("Location"))
	require.EqualValues(t, 5, accepted.at("version"))
	require.Equal(t, accepted.text(), d.do(claim).want(202).text())
	claim.body = object{"x": 1}
	d.do(claim).invalid("x")
	d.command("sup2", queued, "claim", nil).refused(409, "already_claimed", "R04")
	d.command("sup1", queued, "start", nil).want(202)
	d.command("sup1", working, "attempts", object{"disposition": "reached"}).want(202)
	d.command("sup1", held, "resume", nil).want(202)
	d.command("sup1", working, "complete", object{"resolution_reason": "resolved"}).refused(422, "call_summary_required", "R12")
	d.command("sup1", unknownID, "claim", nil).refused(503, "unavailable", "")

	// All of it is there afterwards.
	d.book.set(func(b *flakyBook) { b.away = false })
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	require.Equal(t, "in_progress", d.get("sup1", "/v1/callbacks/"+queued).str("status"))
	require.Equal(t, "2026-11-23T12:00:00.000Z", d.get("sup1", "/v1/callbacks/"+working).str("contacted_at"))
	claim.body = nil
	require.Equal(t, "sup1", d.do(claim).want(200).str("assignee"), "repeated with its key it becomes 200, in spite of If-Match")
}

// TestDatabaseGoesAwayMidway: it is there for the reading and gone for the writing.
func TestDatabaseGoesAwayMidway(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	d.book.set(func(b *flakyBook) {
		b.before = func(name string) error {
			if name == "begin" || name == "settle" {
				return book.ErrUnavailable
			}
			return nil
		}
	})
	d.command("sup1", id, "notes", object{"kind": "note", "body": "x"}).refused(503, "unavailable", "")
	d.command("sup1", id, "claim", nil).want(202)
	d.book.set(func(b *flakyBook) { b.before = nil })
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	require.Equal(t, "sup1", d.get("sup1", "/v1/callbacks/"+id).str("assignee"))
}

// TestGap: the read model lacks events that the outcome does not hold.
func TestGap(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	d.book.set(func(b *flakyBook) { b.ahead = 2 }) // it says it has more than it has
	d.engine.set(func(e *fakeEngine) {
		e.before = func(string) {
			d.book.set(func(b *flakyBook) { b.ahead = 0 })
		}
	})
	d.command("agent1", id, "customer-called", nil).want(202)
	r := d.command("sup1", id, "claim", nil).want(200)
	require.EqualValues(t, 5, r.at("version"))
}

// TestTheCallerMayLeave: what has begun is brought to its end.
func TestTheCallerMayLeave(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	c := call{method: "POST", path: "/v1/callbacks/" + id + "/claim", as: "sup1"}
	request := c.request(t)
	ctx, leave := context.WithCancel(request.Context())
	d.engine.set(func(e *fakeEngine) { e.before = func(string) { leave() } })
	d.http.ServeHTTP(discard{}, request.WithContext(ctx))
	require.Equal(t, "sup1", d.get("sup1", "/v1/callbacks/"+id).str("assignee"))
}

func TestR04_OfTwelveClaimsOneWins(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	var won int
	for _, r := range append(d.together(6, call{method: "POST", path: "/v1/callbacks/" + id + "/claim", as: "sup1"}),
		d.together(6, call{method: "POST", path: "/v1/callbacks/" + id + "/claim", as: "sup2"})...) {
		if r.status == 200 {
			won++
			continue
		}
		r.refused(409, "already_claimed", "R04")
	}
	require.Equal(t, 1, won)
}

// R27: the engine may have taken the first try; that it is busy with the second
// one says nothing about that.
func TestR27_ABusyEngineDoesNotUndoWhatItHasAccepted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	create := call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "k1", body: asked(func(b object) {
		b["source"], b["customer"].(object)["ref"] = object{"system": "s", "ref": "1"}, "crm-2"
	})}
	note := call{method: "POST", path: "/v1/callbacks/" + id + "/notes", as: "sup1", key: "k2", body: object{"kind": "note", "body": "promised a refund"}}
	declare := call{method: "POST", path: "/v1/outages", as: "mgr1", key: "k3", body: object{"lob": "flights"}}
	crash(d, true, create)
	crash(d, true, note)
	d.book.set(func(b *flakyBook) {
		b.before = func(name string) error {
			if name == "answer" {
				panic(http.ErrAbortHandler) // it has begun, and its answer is not kept
			}
			return nil
		}
	})
	require.Panics(t, func() { d.http.ServeHTTP(discard{}, declare.request(t)) })
	d.book.set(func(b *flakyBook) { b.before = nil })
	require.Len(t, d.engine.outages, 1)
	d.clock.move(time.Minute) // the leases are over

	for _, trouble := range []func(e *fakeEngine){
		func(e *fakeEngine) { e.busy = true },
		func(e *fakeEngine) { e.busy, e.away = false, true },
	} {
		d.engine.set(trouble)
		for _, c := range []call{create, note, declare} {
			require.Contains(t, []int{429, 503}, d.do(c).status, c.path)
		}
	}
	d.engine.set(func(e *fakeEngine) { e.busy, e.away = false, false })
	require.Len(t, d.get("mgr1", "/v1/outages?active=true").items(), 1, "R23: it goes on")
	open, err := d.book.store.OpenErrands(t.Context(), callback.At(d.clock.now().Add(time.Hour)), 10)
	require.NoError(t, err)
	require.Len(t, open, 3, "what became of them is still to be learnt")

	made := d.do(create).want(201)
	require.Equal(t, "Asha Rao", made.str("customer", "name"))
	create.key = "k4"
	require.Equal(t, made.str("id"), d.do(create).refused(409, "duplicate", "R14").str("existing"), "its source is still taken")
	d.do(note).want(201)
	require.Equal(t, "promised a refund", d.get("sup1", "/v1/callbacks/"+id+"/notes").items()[0]["body"])
	d.do(declare).want(201)
	require.Len(t, d.engine.runs, 2)
	require.Len(t, d.engine.outages, 1)
}
