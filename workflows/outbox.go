package workflows

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/callback"
	"ringback/contract"
)

// How deliveries are tried. A few quick tries, and what is not there by then is
// owed: once on the timeline, and then tried by the engine for as long as it
// takes, which writes nothing to the history.
var (
	quickRetry = &temporal.RetryPolicy{
		InitialInterval: time.Second, BackoffCoefficient: 3, MaximumAttempts: 3,
	}
	owedRetry = &temporal.RetryPolicy{
		InitialInterval: 5 * time.Second, BackoffCoefficient: 2, MaximumInterval: 5 * time.Minute,
		MaximumAttempts: math.MaxInt32, // for as long as it takes
	}
)

const (
	// deliveryTakes is how long the delivery of one event may take, with the pause
	// that its destination asks for before.
	deliveryTakes = 50 * time.Second
	// deliveryWaits is how long quick tries may wait for a worker, and between them.
	deliveryWaits = time.Minute
	// deliveryBeats is how soon a delivery whose worker has died is tried by another.
	deliveryBeats = 15 * time.Second
	// deliveriesAtOnce bounds how many events that wait together are one activity.
	deliveriesAtOnce = 5
)

// outbox brings the events of one callback to one destination, in order.
type outbox struct {
	contract.Destination
	contract.Outbox
	// looked is the version up to which events are either pending or not wanted.
	looked int64
	// owing is the event that the timeline says is owed; 0: none.
	owing int64
	// resting: nothing is under way.
	resting bool
}

// openOutboxes makes one for each destination, or takes up those of the run before.
func (r *Run) openOutboxes(in contract.Input) {
	for i, d := range in.Destinations {
		b := &outbox{Destination: d, resting: true}
		if c := in.Carried; c != nil {
			b.looked = c.State.Version
			if i < len(c.Outboxes) {
				b.Outbox = c.Outboxes[i]
			}
			if debt, owed := c.State.Debt(d.Name); owed {
				b.owing = debt.Seq
			}
		}
		r.outboxes = append(r.outboxes, b)
	}
}

// wants reports whether a destination is given events of a type. What becomes
// of deliveries is not itself delivered.
func (b *outbox) wants(t callback.EventType) bool {
	return t != callback.TypeDelivered && t != callback.TypeDeliveryOwed && slices.Contains(b.Types, t)
}

// look takes note of what has happened; it reports whether anything is to be delivered.
func (b *outbox) look(r *Run) bool {
	for _, e := range r.since(b.looked) {
		if e.Seq > b.looked && b.wants(e.Fact.Type()) {
			b.Pending = append(b.Pending, e.Seq)
		}
	}
	b.looked = max(b.looked, r.state.Version)
	b.settle(r)
	return len(b.Pending) > 0
}

// settle passes over what is no longer owed: it is there now, or was given up.
func (b *outbox) settle(r *Run) {
	if _, owed := r.state.Debt(b.Name); b.owing == 0 || owed {
		return
	}
	if len(b.Pending) > 0 && b.Pending[0] == b.owing {
		b.Pending = b.Pending[1:]
	}
	b.Sent, b.Told, b.owing = b.owing, b.owing, 0
}

// untold: the callback has ended, all is there, and the timeline does not say so yet.
func (b *outbox) untold(r *Run) bool {
	return r.state.Status.Closed() && len(b.Pending) == 0 && b.Sent > b.Told
}

// drained reports whether every destination has all that it wants: the workflow
// may end. The callback is closed long before, if need be.
func (r *Run) drained() bool {
	for _, b := range r.outboxes {
		if b.look(r) || b.untold(r) || !b.resting {
			return false
		}
	}
	return true
}

// atRest reports whether no delivery is under way.
func (r *Run) atRest() bool {
	return !slices.ContainsFunc(r.outboxes, func(b *outbox) bool { return !b.resting })
}

// deliver is a coroutine of its own for each destination: whatever happens
// there, neither the clock nor people nor other destinations wait for it.
func (r *Run) deliver(ctx workflow.Context, b *outbox) {
	for {
		b.resting = true
		err := workflow.Await(ctx, func() bool { return !r.moving && (b.look(r) || b.untold(r)) })
		if err != nil {
			return
		}
		b.resting = false
		switch {
		case len(b.Pending) == 0:
			r.isThere(ctx, b, b.Sent)
			b.Told = b.Sent
		case b.owing != 0:
			r.insist(ctx, b)
		default:
			r.send(ctx, b)
		}
	}
}

// send tries to deliver what waits, quickly.
func (r *Run) send(ctx workflow.Context, b *outbox) {
	batch := slices.Clone(b.Pending[:min(len(b.Pending), deliveriesAtOnce)])
	takes := time.Duration(len(batch)) * deliveryTakes
	err := r.bring(ctx, b, workflow.ActivityOptions{
		StartToCloseTimeout: takes, ScheduleToCloseTimeout: takes + deliveryWaits, RetryPolicy: quickRetry,
	}, batch, false).Get(ctx, nil)
	if err == nil {
		b.Sent, b.Pending = batch[len(batch)-1], b.Pending[len(batch):]
		return
	}
	if ctx.Err() != nil {
		return // the workflow is being cancelled
	}
	seq, code := whatIsOwed(err)
	if i := slices.Index(batch, seq); i > 0 {
		b.Sent, b.Pending = batch[i-1], b.Pending[i:]
	}
	b.owing = b.Pending[0]
	r.happened(r.state.Owe(r.policy, b.Name, code, b.owing, workflow.Now(ctx), r.worktime(ctx)))
}

// insist delivers what is owed, for as long as it takes, or until it is given up
// or known to have arrived.
func (r *Run) insist(ctx workflow.Context, b *outbox) {
	trying, cancel := workflow.WithCancel(ctx)
	delivery := r.bring(trying, b, workflow.ActivityOptions{
		StartToCloseTimeout: deliveryTakes, RetryPolicy: owedRetry,
	}, []int64{b.owing}, true)
	owed := func() bool { _, owed := r.state.Debt(b.Name); return owed }
	err := workflow.Await(ctx, func() bool { return delivery.IsReady() || r.moving || !owed() })
	// A try that is under way ends first: of two events of a callback one is on its way.
	cancel()
	if err == nil && delivery.Get(ctx, nil) == nil && owed() {
		r.isThere(ctx, b, b.owing)
	}
	b.settle(r)
}

func (r *Run) isThere(ctx workflow.Context, b *outbox, seq int64) {
	r.happened(r.state.Deliver(r.policy, b.Name, seq, callback.DeliveredBySystem, workflow.Now(ctx), r.worktime(ctx)))
}

// bring starts the activity, on the destination's own task queue.
func (r *Run) bring(ctx workflow.Context, b *outbox, o workflow.ActivityOptions, events []int64, owed bool) workflow.Future {
	o.TaskQueue = contract.DeliveryQueue(workflow.GetInfo(ctx).TaskQueueName, b.Name)
	o.WaitForCancellation = true
	o.HeartbeatTimeout = deliveryBeats
	o.Summary = b.Name + ", " + numbered(events)
	var a *activities.Delivery
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), a.Deliver, contract.Delivery{
		CallbackID: r.state.ID, Destination: b.Name, Events: events, Owed: owed,
	})
}

func numbered(events []int64) string {
	names := make([]string, len(events))
	for i, seq := range events {
		names[i] = fmt.Sprint(seq)
	}
	if len(names) == 1 {
		return "event " + names[0]
	}
	return "events " + strings.Join(names, ", ")
}

// whatIsOwed is the event that could not be delivered, and why; 0 where that is
// not known.
func whatIsOwed(err error) (seq int64, code string) {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Details(&seq) != nil {
		return 0, activities.CodeUnavailable
	}
	return seq, app.Type()
}

// handOver is what the next run takes up.
func (r *Run) handOver() []contract.Outbox {
	var boxes []contract.Outbox
	for _, b := range r.outboxes {
		b.look(r)
		boxes = append(boxes, b.Outbox)
	}
	return boxes
}
