// Package workflows waits, and nothing else: one durable workflow per callback
// (R24). It holds the state, asks the rules what is due, sleeps until then or
// until somebody gives a command, and sees to it that the read model learns of
// what happened.
//
// What may happen is decided in package callback; what touches the world is in
// package activities.
package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/callback"
	"ringback/contract"
)

// Callbacks is the workflow of callbacks. The zero value is what a worker runs.
type Callbacks struct {
	// Observe, if set, is shown every callback as far as its run has come. An audit
	// replays a history with it and compares what it sees with what was shown.
	Observe func(*Run)
	// ContinueAfter continues as new after that many events of the history; 0 means
	// when the engine suggests it. Tests set it.
	ContinueAfter int
}

// Run is one run of a callback's workflow.
type Run struct {
	policy *callback.Policy
	state  *callback.Callback
	// journal holds this run's events, and those carried over unprojected.
	journal []callback.Event
	// projected is the version that the read model is known to have; owed the
	// version that this workflow itself must bring it to. What a caller promised to
	// write is not owed.
	projected, owed int64
	// heard is what was accepted, in this run and those before.
	heard      contract.Memory
	alarm      alarm
	searchable searchable
	redraw     bool
	// outboxes are those of the destinations, in their order.
	outboxes []*outbox
	// moving: the callback goes on in another run as soon as no delivery is under way.
	moving bool
	// leaving: the run is about to be followed by another; nothing new is begun.
	leaving bool
}

// State returns the callback as far as the run has come.
func (r *Run) State() *callback.Callback { return r.state }

// Journal returns the events that the run knows, in order: all of them, or
// after a continue-as-new those since then.
func (r *Run) Journal() []callback.Event { return r.journal }

// Callback is the life of one callback, from its promise to its end (R24).
func (w *Callbacks) Callback(ctx workflow.Context, in contract.Input) error {
	r := open(ctx, in)
	if w.Observe != nil {
		w.Observe(r)
	}
	if err := r.listen(ctx); err != nil {
		return err
	}
	workflow.Go(ctx, r.project)
	workflow.Go(ctx, r.draw)
	for _, b := range r.outboxes {
		workflow.Go(ctx, func(ctx workflow.Context) { r.deliver(ctx, b) })
	}

	for !r.state.Status.Closed() {
		if r.advance(ctx) {
			continue
		}
		r.describe(ctx)
		r.moving = w.wantsNewRun(ctx)
		if r.moving && r.atRest() {
			return r.continueAsNew(ctx, in)
		}
		if err := r.sleep(ctx, w); err != nil {
			return err
		}
	}
	r.describe(ctx)
	r.moving = false
	// Done for the customer; the workflow ends when the read model and every
	// destination have it and everybody who asked has been answered.
	return workflow.Await(ctx, func() bool {
		return r.drained() && r.projected >= r.owed && workflow.AllHandlersFinished(ctx)
	})
}

// open makes the promise, or takes up a callback from an earlier run.
func open(ctx workflow.Context, in contract.Input) *Run {
	r := &Run{policy: in.Policy}
	r.openOutboxes(in)
	if c := in.Carried; c != nil {
		r.state, r.journal, r.heard = c.State, c.Unprojected, c.Heard
		r.projected = c.State.Version - int64(len(c.Unprojected))
		r.owed = c.State.Version
		return r
	}
	r.state, r.journal = callback.Open(in.Policy, in.Request, r.worktime(ctx))
	if !in.StarterProjects {
		r.owed = r.state.Version
	}
	return r
}

// advance brings about what is due; it reports whether anything was.
func (r *Run) advance(ctx workflow.Context) bool {
	return r.happened(r.state.Advance(r.policy, workflow.Now(ctx), r.worktime(ctx)))
}

// happened takes note of events that this workflow owes the read model.
func (r *Run) happened(events []callback.Event) bool {
	if len(events) == 0 {
		return false
	}
	r.journal = append(r.journal, events...)
	r.owed = r.state.Version
	return true
}

// sleep waits for the next alarm, or until something has happened.
func (r *Run) sleep(ctx workflow.Context, w *Callbacks) error {
	version := r.state.Version
	r.alarm.set(ctx, r.state)
	err := workflow.Await(ctx, func() bool {
		return r.state.Version != version || r.alarm.rang() || w.wantsNewRun(ctx) && (!r.moving || r.atRest())
	})
	if r.alarm.rang() {
		workflow.GetMetricsHandler(ctx).Timer(clockLateness).Record(workflow.Now(ctx).Sub(r.alarm.at.Time))
	}
	return err
}

// clockLateness is the metric of how long after its instant an alarm rang: the
// engine's, the worker's and the machine's share of a promise. It is not
// measured in a replay.
const clockLateness = "ringback_clock_lateness"

// wantsNewRun reports whether the history has grown long enough.
func (w *Callbacks) wantsNewRun(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return info.GetContinueAsNewSuggested() || w.ContinueAfter > 0 && info.GetCurrentHistoryLength() > w.ContinueAfter
}

// continueAsNew hands the callback to a fresh run, with whatever the read
// model does not have yet.
func (r *Run) continueAsNew(ctx workflow.Context, in contract.Input) error {
	r.leaving = true
	if err := hearOut(ctx); err != nil {
		return err
	}
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	in.Carried = &contract.Carried{State: r.state, Unprojected: r.since(r.projected), Outboxes: r.handOver(), Heard: r.heard}
	return workflow.NewContinueAsNewError(ctx, contract.WorkflowType, in)
}

// hearOut lets those who listen take what has arrived with this task: a signal
// that nobody has received ends with its run. Coroutines take turns in the
// order in which they were begun.
func hearOut(ctx workflow.Context) error {
	heard := false
	workflow.Go(ctx, func(workflow.Context) { heard = true })
	return workflow.Await(ctx, func() bool { return heard })
}

// since returns the events after a version, as far back as the run knows.
func (r *Run) since(version int64) []callback.Event {
	if n := len(r.journal); n > 0 {
		if i := version - r.journal[0].Seq + 1; i > 0 {
			return r.journal[min(i, int64(n)):]
		}
	}
	return r.journal
}

// searchable is what the engine's visibility and its UI were last told.
type searchable struct {
	status callback.Status
	place  callback.Place
	dueAt  callback.Instant
	held   bool
}

// describe tells visibility and the UI where the callback stands, if that
// changed: all attributes in one go, since each write of them is dear.
func (r *Run) describe(ctx workflow.Context) {
	now := searchable{r.state.Status, r.state.Place, r.state.DueAt, r.state.Held()}
	if now == r.searchable {
		return
	}
	first := r.searchable == searchable{}
	r.searchable = now
	workflow.SetCurrentDetails(ctx, r.details())
	if first && workflow.GetTypedSearchAttributes(ctx).ContainsKey(contract.SearchDueAt) {
		return // whoever started it said so already
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, contract.SearchAttributes(r.state)...); err != nil {
		workflow.GetLogger(ctx).Error("search attributes were refused", "error", err)
	}
}

// details is the callback in words for the engine's UI: nothing personal (R26).
func (r *Run) details() string {
	c := r.state
	text := fmt.Sprintf("**%s** at tier **%s**, queue %s\n\npromised by %s", c.Status, c.Tier, c.Queue, c.DueAt)
	if c.Held() {
		text += fmt.Sprintf("\n\nheld until %s", c.Hold.Until)
	}
	if c.Owner != "" {
		text += fmt.Sprintf("\n\nowner %s, assignee %s", c.Owner, c.Assignee)
	}
	return text
}

// worktime computes in the policy's calendar and records what it computed:
// time-zone data may have changed before a replay. Around the clock there is
// nothing to record.
func (r *Run) worktime(ctx workflow.Context) callback.Worktime {
	if r.policy.Calendar == nil {
		return r.policy.Calendar
	}
	return &recorded{ctx: ctx, calendar: r.policy.Calendar}
}

type recorded struct {
	ctx      workflow.Context
	calendar *callback.Calendar
}

// Instants implements callback.Worktime.
func (w *recorded) Instants(from time.Time, after ...callback.Duration) []time.Time {
	return record(w.ctx, func() []time.Time { return w.calendar.Instants(from, after...) })
}

// Spans implements callback.Worktime.
func (w *recorded) Spans(from time.Time, to ...time.Time) []callback.Duration {
	return record(w.ctx, func() []callback.Duration { return w.calendar.Spans(from, to...) })
}

func record[T any](ctx workflow.Context, compute func() T) T {
	var value T
	computed := workflow.SideEffect(ctx, func(workflow.Context) any { return compute() })
	if err := computed.Get(&value); err != nil {
		// A recorded value that cannot be read is a broken history: stop the task, keep the workflow.
		panic(temporal.NewNonRetryableApplicationError("a recorded deadline cannot be read", "history", err))
	}
	return value
}
