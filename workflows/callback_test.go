package workflows_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/callback"
	"ringback/contract"
	"ringback/workflows"
)

var (
	sup1 = callback.Person{ID: "sup1", Rank: 2, Queues: []string{"S"}}
	sup2 = callback.Person{ID: "sup2", Rank: 2, Queues: []string{"S"}}
	mgr1 = callback.Person{ID: "mgr1", Rank: 3, Queues: []string{"M"}}
)

func policy() *callback.Policy {
	return &callback.Policy{
		Name: "test", Title: "Test", Tag: callback.TagRule{Required: "Callback Required", Unserved: "Not Served"},
		Ladder: []callback.Step{
			{Tier: "supervisor", Rank: 2, Queue: "S", TAT: callback.Duration(time.Hour), Assign: callback.AssignPull,
				WarnAt: []callback.Warning{"50%", "90%"}, StartWithin: callback.Duration(15 * time.Minute)},
			{Tier: "manager", Rank: 3, Queue: "M", TAT: callback.Duration(time.Hour), Assign: callback.AssignPull},
		},
		Overdue:     &callback.ChaseRule{Every: callback.Duration(15 * time.Minute), Max: callback.Duration(4 * time.Hour)},
		CloseWithin: callback.Duration(24 * time.Hour),
		Attempts:    callback.AttemptRule{Max: 3, Spacing: callback.Duration(10 * time.Minute)},
		Completion:  callback.CompletionRule{Contact: true, CallSummary: true},
		Reasons: []callback.Reason{
			{Code: "resolved", Title: "Resolved"},
			{Code: "unreachable", Title: "Unreachable", WithoutContact: true, AfterAttempts: 3},
		},
		CancelRank: 3,
	}
}

// bundle is one callback's workflow in the test environment, with what it wrote
// into the read model and what its commands were answered.
type bundle struct {
	*testsuite.TestWorkflowEnvironment
	t         *testing.T
	policy    *callback.Policy
	start     time.Time
	run       *workflows.Run
	projected []callback.Event
	batches   int
	callbacks workflows.Callbacks
}

// newEnvironment is one that waits for a busy machine: by itself it gives up
// after seconds of real time, however little of its own has passed.
func newEnvironment() *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	return env
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{TestWorkflowEnvironment: newEnvironment(), t: t, policy: policy()}
	b.start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	b.SetStartTime(b.start)
	b.callbacks.Observe = func(r *workflows.Run) { b.run = r }
	b.RegisterWorkflowWithOptions(b.callbacks.Callback, workflow.RegisterOptions{Name: contract.WorkflowType})
	b.RegisterActivity(&activities.Assignment{})
	b.RegisterActivity(&activities.Projection{})
	b.RegisterActivity(activities.NewDelivery(activities.DeliveryOptions{}))
	return b
}

// writesReadModel lets every projection succeed at once.
func (b *bundle) writesReadModel() *bundle {
	var a *activities.Projection
	b.OnActivity(a.Project, mock.Anything, mock.Anything).Return(func(_ context.Context, in contract.Projection) error {
		b.write(in)
		return nil
	}).Maybe()
	return b
}

func (b *bundle) write(in contract.Projection) {
	b.batches++
	for _, e := range in.Events {
		if e.Seq == int64(len(b.projected))+1 {
			b.projected = append(b.projected, e)
		} else {
			require.LessOrEqual(b.t, e.Seq, int64(len(b.projected)), "the timeline must have no gap")
		}
	}
}

func (b *bundle) input() contract.Input {
	return contract.Input{Policy: b.policy, Request: callback.Request{ID: "c1", By: "agent1", At: callback.At(b.start)}}
}

func (b *bundle) execute(in contract.Input) error {
	b.ExecuteWorkflow(contract.WorkflowType, in)
	require.True(b.t, b.IsWorkflowCompleted())
	return b.GetWorkflowError()
}

// after lets a person give a command when that much time has passed; check gets
// what came of it.
func after[C callback.Command](b *bundle, d time.Duration, by callback.Person, command C, check ...func(contract.Outcome, error)) {
	order(b, d, contract.Order[C]{By: by, Command: command}, check...)
}

func order[C callback.Command](b *bundle, d time.Duration, o contract.Order[C], check ...func(contract.Outcome, error)) {
	orderAs(b, d, "", o, check...)
}

// orderAs gives a command under an update id.
func orderAs[C callback.Command](b *bundle, d time.Duration, id string, o contract.Order[C], check ...func(contract.Outcome, error)) {
	b.RegisterDelayedCallback(func() {
		b.UpdateWorkflow(string(o.Command.Name()), id, &testsuite.TestUpdateCallback{
			OnAccept: func() {},
			OnReject: func(err error) {
				require.NotEmpty(b.t, check, "%s was refused: %v", o.Command.Name(), err)
				check[0](contract.Outcome{}, err)
			},
			OnComplete: func(result any, err error) {
				if len(check) > 0 {
					outcome, _ := result.(contract.Outcome)
					check[0](outcome, err)
				} else {
					require.NoError(b.t, err)
				}
			},
		}, o)
	}, d)
}

func (b *bundle) refused(code callback.Code) func(contract.Outcome, error) {
	return func(_ contract.Outcome, err error) {
		f, ok := contract.Fault(err)
		require.True(b.t, ok, "expected the refusal %s, got %v", code, err)
		require.Equal(b.t, code, f.Code)
	}
}

func (b *bundle) types() []callback.EventType {
	types := make([]callback.EventType, len(b.projected))
	for i, e := range b.projected {
		types[i] = e.Fact.Type()
	}
	return types
}

func (b *bundle) at(t callback.EventType) []time.Duration {
	var at []time.Duration
	for _, e := range b.projected {
		if e.Fact.Type() == t {
			at = append(at, e.At.Sub(b.start))
		}
	}
	return at
}

func TestR04_SupervisorServesCustomerWithinTheHour(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	after(b, 10*time.Minute, sup1, callback.Claim{})
	after(b, 12*time.Minute, sup1, callback.Start{})
	after(b, 13*time.Minute, sup1, callback.Attempt{Disposition: callback.Reached})
	after(b, 20*time.Minute, sup1, callback.Complete{Reason: "resolved", SummaryID: "t1"})
	require.NoError(t, b.execute(b.input()))
	require.Equal(t, []callback.EventType{
		"requested", "tagged", "queued", "claimed", "started", "attempted", "contacted", "noted", "completed", "untagged",
	}, b.types())
	require.Equal(t, b.run.Journal(), b.projected)
	require.Equal(t, callback.StatusCompleted, b.run.State().Status)
}

func TestR11_HourPassesAtEachTier_R10_ChasedUntilClosed(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	after(b, 6*time.Hour, mgr1, callback.Claim{})
	after(b, 6*time.Hour+time.Minute, mgr1, callback.Start{})
	after(b, 6*time.Hour+2*time.Minute, mgr1, callback.Attempt{Disposition: callback.Reached})
	after(b, 6*time.Hour+3*time.Minute, mgr1, callback.Complete{Reason: "resolved", SummaryID: "t1"})
	require.NoError(t, b.execute(b.input()))
	require.Equal(t, []time.Duration{30 * time.Minute, 54 * time.Minute}, b.at(callback.TypeWarned))
	require.Equal(t, []time.Duration{time.Hour, 2 * time.Hour}, b.at(callback.TypeBreached))
	require.Equal(t, []time.Duration{time.Hour}, b.at(callback.TypeEscalated))
	require.Equal(t, []time.Duration{
		2*time.Hour + 15*time.Minute, 2*time.Hour + 45*time.Minute, 3*time.Hour + 45*time.Minute, 5*time.Hour + 45*time.Minute,
	}, b.at(callback.TypeReminded))
	require.Empty(t, b.run.State().Tags)
}

func TestR04_OfTwoWhoClaimOneWins(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	after(b, time.Minute, sup1, callback.Claim{})
	after(b, time.Minute, sup2, callback.Claim{}, b.refused(callback.CodeAlreadyClaimed))
	after(b, 2*time.Minute, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.input()))
	require.Equal(t, "sup1", b.run.State().Owner)
	require.Equal(t, callback.StatusCancelled, b.run.State().Status)
}

func TestR02_HeldClockStandsStill(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	after(b, 10*time.Minute, sup1, callback.Claim{})
	after(b, 11*time.Minute, sup1, callback.Start{})
	after(b, 20*time.Minute, sup1, callback.HoldClock{Until: callback.At(b.start.Add(10 * time.Hour))})
	after(b, 15*time.Hour, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.input()))
	require.Equal(t, []time.Duration{10 * time.Hour}, b.at(callback.TypeResumed))
	require.Equal(t, []time.Duration{10*time.Hour + 40*time.Minute, 11*time.Hour + 40*time.Minute}, b.at(callback.TypeBreached))
}

func TestR27_DatabaseOutageDelaysListsNeverTheClock(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var a *activities.Projection
	failing := 6
	b.OnActivity(a.Project, mock.Anything, mock.Anything).Return(func(_ context.Context, in contract.Projection) error {
		if failing--; failing >= 0 {
			return temporal.NewApplicationError("database unavailable", "unavailable")
		}
		b.write(in)
		return nil
	})
	after(b, time.Second, sup1, callback.Claim{})
	after(b, 2*time.Hour+time.Minute, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.input()))
	require.Negative(t, failing)
	require.Equal(t, b.run.Journal(), b.projected)
	require.Equal(t, []time.Duration{time.Hour, 2 * time.Hour}, b.at(callback.TypeBreached))
}

func TestR25_ReadModelAsksForWhatItMisses(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var a *activities.Projection
	calls := 0
	b.OnActivity(a.Project, mock.Anything, mock.Anything).Return(func(_ context.Context, in contract.Projection) error {
		if calls++; calls == 1 {
			require.Equal(t, int64(4), in.Events[0].Seq, "what the read model is known to have is not sent again")
			return temporal.NewNonRetryableApplicationError("behind", activities.GapErrorType, nil, int64(0))
		}
		b.write(in)
		return nil
	})
	in := b.input()
	in.StarterProjects = true
	order(b, time.Second, contract.Order[callback.Claim]{By: sup1, Since: 3, CallerProjects: true})
	after(b, 2*time.Second, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(in))
	require.Equal(t, b.run.Journal(), b.projected)
}

func TestR24_WhatACallerProjectsIsNotProjectedTwice(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	in := b.input()
	in.StarterProjects = true
	since := int64(3)
	var got []callback.Event
	give := func(o contract.Outcome, err error) {
		require.NoError(t, err)
		got = append(got, o.Events...)
	}
	order(b, time.Second, contract.Order[callback.Claim]{By: sup1, Since: since, CallerProjects: true}, give)
	order(b, 2*time.Second, contract.Order[callback.Start]{By: sup1, Since: 4, CallerProjects: true}, give)
	order(b, 3*time.Second, contract.Order[callback.Attempt]{By: sup1, Since: 5, CallerProjects: true, Command: callback.Attempt{Disposition: callback.Reached}}, give)
	order(b, 4*time.Second, contract.Order[callback.Complete]{By: sup1, Since: 7, CallerProjects: true, Command: callback.Complete{Reason: "resolved", SummaryID: "t1"}}, give)
	require.NoError(t, b.execute(in))
	require.Zero(t, b.batches)
	require.Equal(t, b.run.Journal()[3:], got)
}

func TestStaleVersionIsRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	order(b, time.Second, contract.Order[callback.Claim]{By: sup1, IfVersion: 2}, b.refused(callback.CodeStaleVersion))
	order(b, 2*time.Second, contract.Order[callback.Claim]{By: sup1, IfVersion: 3})
	after(b, 3*time.Second, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.input()))
	require.Equal(t, "sup1", b.run.State().Owner)
}

func TestR10_CustomerCallsAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	b.RegisterDelayedCallback(func() {
		b.SignalWorkflow(contract.SignalCustomerCalled, contract.CustomerCalled{By: "agent1", TextID: "t9"})
	}, time.Minute)
	after(b, 2*time.Minute, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.input()))
	require.Equal(t, []time.Duration{time.Minute}, b.at(callback.TypeCustomerCalled))
	require.Equal(t, b.start.Add(time.Minute), b.run.State().CustomerCalledAt.Time)
}

func TestR21_DrawnAmongCandidatesAndRecorded(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	b.policy.Ladder[0].Assign = callback.AssignRandom
	var a *activities.Assignment
	tries := 0
	b.OnActivity(a.Draw, mock.Anything, mock.Anything).Return(func(_ context.Context, in contract.DrawRequest) (callback.Draw, error) {
		require.Equal(t, "S", in.Queue)
		if tries++; tries < 3 {
			return callback.Draw{}, temporal.NewApplicationError("nobody", activities.NobodyErrorType)
		}
		return callback.Draw{ID: in.ID(), To: "sup2", Candidates: []string{"sup1", "sup2"}}, nil
	})
	after(b, 5*time.Minute, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.input()))
	require.Equal(t, 3, tries)
	require.Equal(t, "sup2", b.run.State().Owner)
	for _, e := range b.projected {
		if assigned, ok := e.Fact.(*callback.Assigned); ok {
			require.Equal(t, []string{"sup1", "sup2"}, assigned.Candidates)
			require.Equal(t, "c1/3", assigned.DrawID)
		}
	}
}

func TestR21_ClaimedByHandCallsOffTheDraw(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	b.policy.Ladder[0].Assign = callback.AssignLeastLoaded
	var a *activities.Assignment
	b.OnActivity(a.Draw, mock.Anything, mock.Anything).Return(callback.Draw{}, temporal.NewApplicationError("nobody", activities.NobodyErrorType))
	after(b, 500*time.Millisecond, sup1, callback.Claim{})
	after(b, time.Minute, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.input()))
	require.Equal(t, "sup1", b.run.State().Owner)
	require.NotContains(t, b.types(), callback.TypeAssigned)
}

func TestR21_SomebodyComesFree(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	b.policy.Ladder[0].Assign = callback.AssignRoundRobin
	free := false
	var a *activities.Assignment
	b.OnActivity(a.Draw, mock.Anything, mock.Anything).Return(func(_ context.Context, in contract.DrawRequest) (callback.Draw, error) {
		if !free {
			return callback.Draw{}, temporal.NewApplicationError("nobody", activities.NobodyErrorType)
		}
		return callback.Draw{ID: in.ID(), To: "sup1", Candidates: []string{"sup1"}}, nil
	})
	b.RegisterDelayedCallback(func() {
		free = true
		b.SignalWorkflow(contract.SignalCandidateAvailable, nil)
	}, 3*time.Second+500*time.Millisecond)
	after(b, 10*time.Minute, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.input()))
	require.Equal(t, []time.Duration{3*time.Second + 500*time.Millisecond}, b.at(callback.TypeAssigned))
}

func TestR24_ContinuesAsNewAndCarriesWhatIsOwed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.RegisterDelayedCallback(func() { b.SetContinueAsNewSuggested(true) }, time.Second)
	var a *activities.Projection
	b.OnActivity(a.Project, mock.Anything, mock.Anything).Return(temporal.NewApplicationError("database unavailable", "unavailable")).Maybe()
	err := b.execute(b.input())
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, err, &next)
	require.Equal(t, contract.WorkflowType, next.WorkflowType.Name)

	var in contract.Input
	require.NoError(t, json.Unmarshal(next.Input.Payloads[0].Data, &in))
	require.Equal(t, b.run.State(), in.Carried.State)
	require.Len(t, in.Carried.Unprojected, 3)
	require.Equal(t, b.run.Journal(), in.Carried.Unprojected)

	again := newBundle(t).writesReadModel()
	after(again, time.Minute, sup1, callback.Claim{})
	after(again, 2*time.Minute, mgr1, callback.Cancel{})
	require.NoError(t, again.execute(in))
	require.Equal(t, []callback.EventType{"requested", "tagged", "queued", "claimed", "cancelled", "untagged", "tagged"}, again.types())
	require.Equal(t, in.Carried.State.DueAt, again.run.State().DueAt, "the promise does not move (R02)")
}

// continued plays a callback until it has continued as new, and returns what the next run is given.
func (b *bundle) continued(in contract.Input) contract.Input {
	b.t.Helper()
	var next *workflow.ContinueAsNewError
	require.ErrorAs(b.t, b.execute(in), &next)
	var carried contract.Input
	require.NoError(b.t, json.Unmarshal(next.Input.Payloads[0].Data, &carried))
	return carried
}

// The engine recognises a repeated update within one run; a run that follows must do so by itself.
func TestR04_ACommandRepeatedInALaterRunTakesEffectOnce(t *testing.T) {
	t.Parallel()
	claim := contract.Order[callback.Claim]{By: sup1, Since: 3, CallerProjects: true, Digest: "claimed"}
	start := contract.Order[callback.Start]{By: sup1, Since: 4, CallerProjects: true, Digest: "started"}
	attempt := contract.Order[callback.Attempt]{By: sup1, Since: 5, CallerProjects: true, Digest: "attempted", Command: callback.Attempt{Disposition: callback.NoAnswer}}
	escalate := contract.Order[callback.Escalate]{By: sup1, Since: 6, CallerProjects: true, Digest: "escalated"}
	var first []contract.Outcome
	keep := func(o contract.Outcome, err error) {
		require.NoError(t, err)
		first = append(first, o)
	}
	b := newBundle(t)
	b.policy.Ladder = append(b.policy.Ladder, callback.Step{
		Tier: "executive", Rank: 4, Queue: "E", TAT: callback.Duration(time.Hour), Assign: callback.AssignPull,
	})
	in := b.input()
	in.StarterProjects = true
	orderAs(b, time.Second, "u1", claim, keep)
	orderAs(b, 2*time.Second, "u2", start, keep)
	orderAs(b, 3*time.Second, "u3", attempt, keep)
	orderAs(b, 4*time.Second, "u4", escalate, keep)
	b.RegisterDelayedCallback(func() {
		b.SignalWorkflow(contract.SignalCustomerCalled, contract.CustomerCalled{By: "agent1", Operation: "s1"})
		b.SignalWorkflow(contract.SignalCustomerCalled, contract.CustomerCalled{By: "agent1", Operation: "s1"})
	}, 5*time.Second)
	b.RegisterDelayedCallback(func() { b.SetContinueAsNewSuggested(true) }, 6*time.Second)
	var a *activities.Projection
	b.OnActivity(a.Project, mock.Anything, mock.Anything).Return(temporal.NewApplicationError("database unavailable", "unavailable")).Maybe()
	carried := b.continued(in)
	require.Equal(t, int64(8), b.run.State().Version, "the customer was heard once")
	require.Len(t, carried.Carried.Heard, 5)

	again := newBundle(t).writesReadModel()
	again.projected = b.run.Journal()[:6]
	repeated := 0
	same := func(n int, events []callback.Event) func(contract.Outcome, error) {
		return func(o contract.Outcome, err error) {
			require.NoError(t, err)
			require.Equal(t, contract.Outcome{Version: first[n].Version, Digest: first[n].Digest, Events: events}, o)
			repeated++
		}
	}
	orderAs(again, time.Second, "u3", attempt, same(2, nil)) // the read model is known to have it
	orderAs(again, time.Second, "u4", escalate, same(3, first[3].Events))
	stale := escalate
	stale.IfVersion = 6
	orderAs(again, 2*time.Second, "u4b", stale, again.refused(callback.CodeStaleVersion))
	other := attempt
	other.Digest = "another body"
	again.RegisterDelayedCallback(func() {
		again.SignalWorkflow(contract.SignalCustomerCalled, contract.CustomerCalled{By: "agent1", Operation: "s1"})
	}, 3*time.Second)
	orderAs(again, 4*time.Second, "u2", other, again.refused(callback.CodeIdempotencyKeyReused))
	after(again, 5*time.Second, mgr1, callback.Cancel{})
	require.NoError(t, again.execute(carried))
	require.Equal(t, 2, repeated)
	require.Equal(t, []callback.EventType{
		"requested", "tagged", "queued", "claimed", "started", "attempted", "escalated", "customer_called", "cancelled", "untagged", "tagged",
	}, again.types())
	require.Equal(t, 1, again.run.State().Escalations, "one tier was climbed")
	require.Equal(t, 1, again.run.State().Attempts)
}

func TestR27_AMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var m contract.Memory
	for i := range contract.MemoryMost + 10 {
		m = m.With(contract.Heard{ID: strconv.Itoa(i), Version: int64(i)})
	}
	require.Len(t, m, contract.MemoryMost)
	_, known := m.Of("9")
	require.False(t, known, "the oldest are forgotten")
	h, known := m.Of("10")
	require.True(t, known)
	require.Equal(t, int64(10), h.Version)
	_, known = m.With(contract.Heard{}).Of("")
	require.False(t, known, "what has no id is not recognised")
}

// A signal that arrives with the very task that continues as new is heard first.
func TestR10_ACallOfTheCustomerGoesAlongToTheNextRun(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var a *activities.Projection
	b.OnActivity(a.Project, mock.Anything, mock.Anything).Return(func(context.Context, contract.Projection) error {
		b.SetContinueAsNewSuggested(true) // seen with the next task, which is the signal's
		b.SignalWorkflow(contract.SignalCustomerCalled, contract.CustomerCalled{By: "agent1"})
		return nil
	}).Once()
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, b.execute(b.input()), &next)
	var in contract.Input
	require.NoError(t, json.Unmarshal(next.Input.Payloads[0].Data, &in))
	require.Equal(t, int64(4), in.Carried.State.Version)
	require.Equal(t, callback.TypeCustomerCalled, in.Carried.Unprojected[len(in.Carried.Unprojected)-1].Fact.Type())
}

func TestR02_CalendarDeadlinesAreRecorded(t *testing.T) {
	t.Parallel()
	b := newBundle(t).writesReadModel()
	b.policy.Calendar = &callback.Calendar{TimeZone: "Asia/Kolkata", Hours: map[string][]string{"mon-fri": {"09:00-13:00", "14:00-18:00"}}}
	b.policy.Ladder[0].StartWithin = 0
	// 09:00 UTC is 14:30 in Kolkata; the hour ends 15:30 there.
	after(b, 30*time.Minute+time.Second, sup1, callback.Claim{})
	after(b, 40*time.Minute, sup1, callback.HoldClock{Until: callback.At(b.start.Add(15 * time.Hour))})
	after(b, 50*time.Hour, mgr1, callback.Cancel{})
	require.NoError(t, b.execute(b.input()))
	// Held until midnight UTC (05:30 in Kolkata): the 20 minutes left end at 09:20 there.
	require.Equal(t, time.Date(2026, 11, 24, 3, 50, 0, 0, time.UTC).Sub(b.start), b.at(callback.TypeBreached)[0])
}
