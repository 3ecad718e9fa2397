package store_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/store"
)

// noon is when the tests begin.
var noon = callback.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))

func after(d time.Duration) callback.Instant { return noon.Plus(callback.Duration(d)) }

// policy is a ladder of two tiers; the first draws where a way of drawing is given.
func policy(assign callback.Assign) *callback.Policy {
	return &callback.Policy{
		Name: "supervisor-callback", Title: "Supervisor callback",
		Tag: callback.TagRule{Required: "Callback Required", Unserved: "Callback Not Served"},
		Ladder: []callback.Step{
			{Tier: "supervisor", Rank: 2, Queue: "Supervisors", TAT: callback.Duration(time.Hour), WarnAt: []callback.Warning{"50%"}, Assign: assign},
			{Tier: "manager", Rank: 3, Queue: "Managers", TAT: callback.Duration(time.Hour), Assign: callback.AssignPull},
		},
		Overdue:    &callback.ChaseRule{Every: callback.Duration(15 * time.Minute), Max: callback.Duration(4 * time.Hour)},
		Completion: callback.CompletionRule{Contact: true, CallSummary: true},
		Reasons: []callback.Reason{
			{Code: "resolved", Title: "Resolved"},
			{Code: "unreachable", Title: "Unreachable", WithoutContact: true},
		},
		CancelRank: 3,
	}
}

func supervisor(id string) callback.Person {
	return callback.Person{ID: id, Rank: 2, Queues: []string{"Supervisors"}}
}

func manager(id string) callback.Person {
	return callback.Person{ID: id, Rank: 3, Queues: []string{"Managers"}}
}

var lastID atomic.Int64

func newID(what string) string { return fmt.Sprintf("%s-%06d", what, lastID.Add(1)) }

// life is a callback as the engine would run it: its events so far.
type life struct {
	*callback.Callback
	policy *callback.Policy
	intake book.Intake
	events []callback.Event
}

// opened makes a callback requested at an instant.
func opened(t testing.TB, at callback.Instant, change ...func(*book.Intake)) *life {
	t.Helper()
	return openedWith(t, policy(callback.AssignPull), at, change...)
}

func openedWith(t testing.TB, p *callback.Policy, at callback.Instant, change ...func(*book.Intake)) *life {
	t.Helper()
	id := newID("cb")
	l := &life{policy: p, intake: book.Intake{
		CallbackID: id, Policy: p.Name, PolicyHash: "hash", Customer: book.Customer{
			Ref: "crm-" + id, Name: "Asha Rao", Phone: "+919876543210", Email: "asha@example.com", TimeZone: "Asia/Kolkata",
		},
		Reason: "Refund not received", LOB: "flights", Transfer: &book.TransferAttempt{Tier: "supervisor", Outcome: "none_free"},
		Fields: map[string]string{"order_number": "ORD-55"}, RequestedBy: "agent1", RequestedAt: at,
	}}
	for _, f := range change {
		f(&l.intake)
	}
	l.Callback, l.events = callback.Open(p, callback.Request{
		ID: l.intake.CallbackID, By: "agent1", At: at, Parent: l.intake.Parent, ScheduledFor: l.intake.ScheduledFor,
	}, (*callback.Calendar)(nil))
	return l
}

// do gives a command and returns the events that came of it.
func (l *life) do(t testing.TB, at callback.Instant, by callback.Person, c callback.Command) []callback.Event {
	t.Helper()
	events, refused := l.Do(l.policy, c, by, at.Time, (*callback.Calendar)(nil))
	if refused != nil {
		require.FailNow(t, "the rules refused", "%s: %s", c.Name(), refused.Error())
	}
	l.events = append(l.events, events...)
	return events
}

// try gives a command that may be refused.
func (l *life) try(c callback.Command, by callback.Person, at callback.Instant) []callback.Event {
	events, _ := l.Do(l.policy, c, by, at.Time, (*callback.Calendar)(nil))
	l.events = append(l.events, events...)
	return events
}

// wait lets the clock run up to an instant.
func (l *life) wait(at callback.Instant) []callback.Event {
	events := l.Advance(l.policy, at.Time, (*callback.Calendar)(nil))
	l.events = append(l.events, events...)
	return events
}

func (l *life) batch(events []callback.Event) book.Batch {
	return book.Batch{CallbackID: l.ID, Events: events}
}

func (l *life) all() book.Batch { return l.batch(l.events) }

// begin is the errand that creates it.
func (l *life) begin(texts ...book.Text) book.Begin {
	intake := l.intake
	return book.Begin{Errand: errand(l.ID, "create"), Intake: &intake, Texts: texts}
}

func errand(callbackID, command string) book.Errand {
	return book.Errand{
		ID: newID("errand"), Principal: "agent1", Path: "/v1/callbacks", Digest: "digest", CallbackID: callbackID, Command: command,
		CreatedAt: noon, LeaseUntil: after(10 * time.Second),
	}
}

// keyed gives the errand an idempotency key.
func keyed(b book.Begin) book.Begin {
	b.Errand.Key = "key of " + b.Errand.ID
	return b
}

func note(l *life, kind book.TextKind, body string) book.Text {
	return book.Text{ID: newID("text"), CallbackID: l.ID, Kind: kind, Author: "sup1", Body: body, CreatedAt: noon}
}

// keep writes a callback as the desk does, from errand to settlement.
func keep(t testing.TB, s *store.Store, l *life) book.View {
	t.Helper()
	b := l.begin()
	existing, err := s.Begin(t.Context(), b)
	require.NoError(t, err)
	require.Nil(t, existing)
	v, err := s.Settle(t.Context(), b.Errand.ID, l.all(), nil)
	require.NoError(t, err)
	return v
}

// say stages a text with an errand, and settles the errand with events.
func say(t testing.TB, s *store.Store, l *life, text book.Text, events []callback.Event) {
	t.Helper()
	e := errand(l.ID, "note")
	_, err := s.Begin(t.Context(), book.Begin{Errand: e, Texts: []book.Text{text}})
	require.NoError(t, err)
	_, err = s.Settle(t.Context(), e.ID, l.batch(events), nil)
	require.NoError(t, err)
}

func project(t testing.TB, s *store.Store, l *life, events []callback.Event) book.View {
	t.Helper()
	v, err := s.Project(t.Context(), l.batch(events))
	require.NoError(t, err)
	return v
}

// requireState compares states by what is kept of them.
func requireState(t testing.TB, want, got *callback.Callback) {
	t.Helper()
	w, err := json.Marshal(want)
	require.NoError(t, err)
	g, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equal(t, string(w), string(g))
}
