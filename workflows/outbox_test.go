package workflows_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/callback"
	"ringback/contract"
)

// system is another system in a test: what got there, and when it is away.
type system struct {
	mu    sync.Mutex // the environment runs activities side by side
	got   []string   // "freshdesk:4"
	tries int
	// refuse says why an event cannot be taken now; empty: it is taken.
	refuse func(in contract.Delivery, seq int64, now time.Time) (code string)
}

// everything is what a destination of these tests wants.
var everything = []callback.EventType{
	callback.TypeTagged, callback.TypeClaimed, callback.TypeNoted, callback.TypeEscalated, callback.TypeCompleted, callback.TypeUntagged,
	callback.TypeHeld, callback.TypeResumed,
}

// delivers lets deliveries reach a system.
func (b *bundle) delivers(s *system) *bundle {
	var a *activities.Delivery
	b.OnActivity(a.Deliver, mock.Anything, mock.Anything).Return(func(_ context.Context, in contract.Delivery) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tries++
		for _, seq := range in.Events {
			if s.refuse != nil {
				if code := s.refuse(in, seq, b.Now()); code != "" {
					return temporal.NewApplicationErrorWithOptions("owed", code, temporal.ApplicationErrorOptions{
						NonRetryable: !in.Owed && code == "no_identity", Details: []any{seq},
					})
				}
			}
			s.got = append(s.got, fmt.Sprintf("%s:%d", in.Destination, seq))
		}
		return nil
	}).Maybe()
	return b
}

func to(names ...string) []contract.Destination {
	var all []contract.Destination
	for _, name := range names {
		all = append(all, contract.Destination{Name: name, Types: everything})
	}
	return all
}

func (b *bundle) inputTo(names ...string) contract.Input {
	in := b.input()
	in.Destinations = to(names...)
	return in
}

// serves has sup1 serve the customer within minutes.
func serves(b *bundle) {
	after(b, 10*time.Minute, sup1, callback.Claim{})
	after(b, 12*time.Minute, sup1, callback.Start{})
	after(b, 13*time.Minute, sup1, callback.Attempt{Disposition: callback.Reached})
	after(b, 20*time.Minute, sup1, callback.Complete{Reason: "resolved", SummaryID: "t1"})
}

func facts[F callback.Fact](b *bundle) []F {
	var all []F
	for _, e := range b.projected {
		if f, ok := e.Fact.(F); ok {
			all = append(all, f)
		}
	}
	return all
}

func TestR18_WhatIsWantedIsBroughtThereInOrder(t *testing.T) {
	t.Parallel()
	s := &system{}
	b := newBundle(t).writesReadModel().delivers(s)
	serves(b)
	require.NoError(t, b.execute(b.inputTo("freshdesk")))
	require.Equal(t, []string{"freshdesk:2", "freshdesk:4", "freshdesk:8", "freshdesk:9", "freshdesk:10"}, s.got)
	require.Equal(t, 3, s.tries, "what happens together goes together")
	require.Equal(t, []*callback.Delivered{{Destination: "freshdesk", Seq: 10, By: callback.DeliveredBySystem}}, facts[*callback.Delivered](b),
		"the timeline says so once, at the end")
	require.Equal(t, callback.TypeDelivered, b.types()[len(b.types())-1])
	require.Equal(t, b.run.Journal(), b.projected)
}

func TestR27_ASystemThatIsAwayHoldsUpNothing(t *testing.T) {
	t.Parallel()
	away := func(_ contract.Delivery, _ int64, now time.Time) string {
		if now.Before(time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC)) { // for 65 minutes
			return "unavailable"
		}
		return ""
	}
	s := &system{refuse: away}
	b := newBundle(t).writesReadModel().delivers(s)
	serves(b)
	closed := time.Time{}
	b.RegisterDelayedCallback(func() {
		require.Equal(t, callback.StatusCompleted, b.run.State().Status, "completed comes before drained")
		require.Equal(t, []callback.Debt{{Destination: "freshdesk", Seq: 2, Code: "unavailable", Since: b.run.State().Owed[0].Since}}, b.run.State().Owed)
		closed = b.Now()
	}, 25*time.Minute)
	require.NoError(t, b.execute(b.inputTo("freshdesk")))
	require.False(t, closed.IsZero())
	require.Equal(t, []string{"freshdesk:2", "freshdesk:5", "freshdesk:9", "freshdesk:10", "freshdesk:11"}, s.got, "in order, each once")
	require.Equal(t, []*callback.DeliveryOwed{{Destination: "freshdesk", Seq: 2, Code: "unavailable"}}, facts[*callback.DeliveryOwed](b), "said once")
	require.Less(t, b.at(callback.TypeDeliveryOwed)[0], 10*time.Second, "after a few quick tries")
	delivered := b.at(callback.TypeDelivered)
	require.Len(t, delivered, 2)
	require.Greater(t, delivered[0], 65*time.Minute)
	require.Less(t, delivered[0], 71*time.Minute, "tried for as long as it takes, at latest every five minutes")
	require.Equal(t, int64(2), facts[*callback.Delivered](b)[0].Seq)
	require.Less(t, s.tries, 40)
	require.Empty(t, b.run.State().Owed)
}

func TestR27_OneSystemDoesNotWaitForAnother(t *testing.T) {
	t.Parallel()
	s := &system{refuse: func(in contract.Delivery, _ int64, now time.Time) string {
		if in.Destination == "oneview" && now.Before(time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)) {
			return "unauthorized"
		}
		return ""
	}}
	b := newBundle(t).writesReadModel().delivers(s)
	serves(b)
	b.RegisterDelayedCallback(func() {
		require.Equal(t, []string{"freshdesk:2", "freshdesk:5", "freshdesk:9", "freshdesk:10", "freshdesk:11"}, s.got)
	}, 30*time.Minute)
	require.NoError(t, b.execute(b.inputTo("oneview", "freshdesk")))
	require.Len(t, s.got, 10)
}

func TestR13_WhatCannotBePostedWaitsForAPerson(t *testing.T) {
	t.Parallel()
	s := &system{refuse: func(_ contract.Delivery, seq int64, _ time.Time) string {
		if seq == 8 { // the call summary: its author has no identity there
			return "no_identity"
		}
		return ""
	}}
	b := newBundle(t).writesReadModel().delivers(s)
	serves(b)
	after(b, 24*time.Hour, sup2, callback.Waive{Destination: "oneview", TextID: "t2"}, b.refused(callback.CodeForbidden))
	after(b, 25*time.Hour, sup1, callback.Waive{Destination: "oneview", CopiedByHand: true, TextID: "t2"})
	require.NoError(t, b.execute(b.inputTo("oneview")))
	require.Equal(t, []string{"oneview:2", "oneview:4", "oneview:9", "oneview:10"}, s.got, "what follows goes on")
	require.Equal(t, []*callback.DeliveryOwed{{Destination: "oneview", Seq: 8, Code: "no_identity"}}, facts[*callback.DeliveryOwed](b))
	require.Equal(t, []time.Duration{20 * time.Minute}, b.at(callback.TypeDeliveryOwed), "quick tries cannot help")
	require.Equal(t, []*callback.Delivered{
		{Destination: "oneview", Seq: 8, By: callback.DeliveredByHand, TextID: "t2"}, {Destination: "oneview", Seq: 10, By: callback.DeliveredBySystem},
	}, facts[*callback.Delivered](b))
}

func TestR18_WhatHasArrivedAfterAllIsNotSentAgain(t *testing.T) {
	t.Parallel()
	s := &system{refuse: func(_ contract.Delivery, seq int64, _ time.Time) string {
		if seq == 4 {
			return "unavailable"
		}
		return ""
	}}
	b := newBundle(t).writesReadModel().delivers(s)
	serves(b)
	for _, seq := range []int64{2, 4} {
		b.RegisterDelayedCallback(func() {
			b.SignalWorkflow(contract.SignalDeliveryConfirmed, contract.DeliveryConfirmed{Destination: "freshdesk", Seq: seq})
		}, time.Hour)
	}
	require.NoError(t, b.execute(b.inputTo("freshdesk")))
	require.Equal(t, []string{"freshdesk:2", "freshdesk:9", "freshdesk:10", "freshdesk:11"}, s.got, "5 is owed")
	require.Equal(t, &callback.Delivered{Destination: "freshdesk", Seq: 4, By: callback.DeliveredByConfirmed}, facts[*callback.Delivered](b)[0])
}

func TestR09_ATagTakenOffByHandIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	s := &system{}
	b := newBundle(t).writesReadModel().delivers(s)
	serves(b)
	for range 2 {
		b.RegisterDelayedCallback(func() {
			b.SignalWorkflow(contract.SignalTagMissing, contract.TagMissing{By: "system:freshdesk"})
		}, 5*time.Minute)
	}
	require.NoError(t, b.execute(b.inputTo("freshdesk")))
	require.Equal(t, []time.Duration{0, 5 * time.Minute}, b.at(callback.TypeTagged))
	require.Equal(t, []string{"freshdesk:2", "freshdesk:4"}, s.got[:2])
}

func TestR23_OutageHoldsAndLetsGoOn(t *testing.T) {
	t.Parallel()
	s := &system{}
	b := newBundle(t).writesReadModel().delivers(s)
	b.policy.Outage.Hold = true
	signal := func(d time.Duration, name, outage string) {
		b.RegisterDelayedCallback(func() { b.SignalWorkflow(name, callback.OutageNews{Outage: outage, By: "mgr1"}) }, d)
	}
	signal(10*time.Minute, contract.SignalOutageBegan, "o1")
	signal(11*time.Minute, contract.SignalOutageBegan, "o1")
	signal(12*time.Minute, contract.SignalOutageEnded, "o2")
	after(b, 20*time.Minute, sup1, callback.Claim{}, b.refused(callback.CodeHeld))
	signal(3*time.Hour, contract.SignalOutageEnded, "o1")
	signal(3*time.Hour, contract.SignalOutageEnded, "o1")
	after(b, 4*time.Hour, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.inputTo("smtp")))
	require.Equal(t, []time.Duration{10 * time.Minute}, b.at(callback.TypeHeld))
	require.Equal(t, []time.Duration{3 * time.Hour}, b.at(callback.TypeResumed))
	require.Equal(t, []time.Duration{3*time.Hour + 50*time.Minute}, b.at(callback.TypeBreached), "the fifty minutes that were left")
	require.Contains(t, s.got, "smtp:5", "the customers are told")
}

func TestR24_NoDestinationCostsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	serves(b)
	require.NoError(t, b.execute(b.input()))
	require.NotContains(t, b.types(), callback.TypeDelivered)
}

func TestR24_NothingWantedCostsNothing(t *testing.T) {
	t.Parallel()
	s := &system{}
	b := newBundle(t).writesReadModel().delivers(s)
	serves(b)
	in := b.input()
	in.Destinations = []contract.Destination{{Name: "webhook:1", Types: []callback.EventType{callback.TypeBreached}}}
	require.NoError(t, b.execute(in))
	require.Zero(t, s.tries)
	require.NotContains(t, b.types(), callback.TypeDelivered)
}

// A run that goes on in another one hands over how far deliveries have come; a
// delivery that is under way ends first, so that nothing goes twice.
func TestR24_ContinuesAsNewWithItsOutboxes(t *testing.T) {
	t.Parallel()
	s := &system{refuse: func(in contract.Delivery, seq int64, _ time.Time) string {
		if in.Destination == "oneview" {
			return "unavailable"
		}
		return ""
	}}
	b := newBundle(t).writesReadModel().delivers(s)
	after(b, 10*time.Minute, sup1, callback.Claim{})
	b.RegisterDelayedCallback(func() { b.SetContinueAsNewSuggested(true) }, 20*time.Minute)
	after(b, 21*time.Minute, sup1, callback.Note{Kind: callback.KindNote, TextID: "n"})
	err := b.execute(b.inputTo("freshdesk", "oneview"))
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, err, &next)
	var in contract.Input
	require.NoError(t, json.Unmarshal(next.Input.Payloads[0].Data, &in))
	require.Equal(t, to("freshdesk", "oneview"), in.Destinations)
	require.Equal(t, []string{"freshdesk:2", "freshdesk:5"}, s.got[:2])
	owed := in.Carried.State.Owed
	require.Equal(t, []callback.Debt{{Destination: "oneview", Seq: 2, Code: "unavailable", Since: owed[0].Since}}, owed)
	require.Equal(t, int64(2), in.Carried.Outboxes[1].Pending[0])
	require.Zero(t, in.Carried.Outboxes[1].Sent)

	again := newBundle(t).writesReadModel()
	rest := &system{}
	again.delivers(rest)
	after(again, 2*time.Minute, mgr1, callback.Cancel{})
	// What the first run has shown is shown already.
	again.projected = b.projected
	require.NoError(t, again.execute(in))
	all := append(s.got, rest.got...)
	seen := map[string]int{}
	for _, what := range all {
		seen[what]++
		require.Equal(t, 1, seen[what], "%s went twice: %v", what, all)
	}
	for _, name := range []string{"freshdesk", "oneview"} {
		for _, e := range again.run.Journal() {
			if !contains(everything, e.Fact.Type()) {
				continue
			}
			require.Equal(t, 1, seen[fmt.Sprintf("%s:%d", name, e.Seq)], "event %d to %s", e.Seq, name)
		}
		require.Equal(t, 1, seen[name+":2"])
	}
	require.Empty(t, again.run.State().Owed)
}

func contains(types []callback.EventType, t callback.EventType) bool {
	for _, x := range types {
		if x == t {
			return true
		}
	}
	return false
}
