package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/contract"
)

// CodeUnavailable is why something is owed where nobody said why.
const CodeUnavailable = string(connectors.Unavailable)

// Shown is what a delivery is made from: what is shown of a callback, and who is
// behind it. Errors are those of package book.
type Shown interface {
	Callback(ctx context.Context, id string) (book.View, error)
	Timeline(ctx context.Context, callbackID string) ([]book.Entry, error)
	// Text is what somebody wrote; book.ErrNotFound: nothing, or it was erased.
	Text(ctx context.Context, callbackID, id string) (book.Text, error)
	Policy(ctx context.Context, hash string) (*callback.Policy, error)
	Staff(ctx context.Context) ([]book.Staff, error)
	Outage(ctx context.Context, id string) (book.Outage, error)
}

// Deliveries is the ledger of what came of deliveries.
type Deliveries interface {
	// States are those of operations that were tried; others are left out.
	States(ctx context.Context, operationIDs []string) (map[string]book.DeliveryState, error)
	// NoteDelivery notes one try and what came of it. What is settled stays so.
	NoteDelivery(ctx context.Context, d book.Delivery) error
}

// Delivery brings events to one destination. It is shared by all of them: make
// it with NewDelivery.
type Delivery struct {
	DeliveryOptions
	gate gate

	mu      sync.Mutex
	staff   map[string]*book.Staff
	staffAt time.Time
}

// DeliveryOptions say where a delivery goes, and what it is made from.
type DeliveryOptions struct {
	Connector connectors.Connector
	Shown     Shown
	Ledger    Deliveries
	// Logger hears codes and causes, nothing personal; nil: slog.Default().
	Logger *slog.Logger
	// Tried is told of every try: the code it ended with, empty where it arrived; nil: nobody is.
	Tried func(destination, code string, took time.Duration)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// NewDelivery returns the activity of one destination.
func NewDelivery(o DeliveryOptions) *Delivery {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Tried == nil {
		o.Tried = func(string, string, time.Duration) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Delivery{DeliveryOptions: o}
}

const (
	// deliverWithin bounds one try, well inside of what the workflow waits.
	deliverWithin = 30 * time.Second
	// shownWithin is how long what is to be delivered may take until it is shown: the
	// caller of a command writes that.
	shownWithin = 5 * time.Second
	// noteWithin bounds the writing of what came of it.
	noteWithin = 4 * time.Second
	// staffAge is how old what is known of people may be.
	staffAge = 5 * time.Second

	// What is owed is tried again after firstPause, then doubling up to longestPause.
	firstPause   = 5 * time.Second
	longestPause = 5 * time.Minute
)

// Deliver brings events to the destination, in order. What is there already by
// the ledger is passed over; what may be is looked for by the connector. It ends
// at the first that is owed, with an error whose type is the code and whose
// detail is that event's number.
//
// Nothing personal and no word of the other system is in the error: those are
// in the ledger.
func (d *Delivery) Deliver(ctx context.Context, in contract.Delivery) error {
	defer beating(ctx)()
	name := d.Connector.Name()
	if err := d.rest(ctx, in.Events[0]); err != nil {
		return err
	}
	ids := make([]string, len(in.Events))
	for i, seq := range in.Events {
		ids[i] = connectors.OperationID(in.CallbackID, name, seq)
	}
	states, err := d.Ledger.States(ctx, ids)
	if err != nil {
		return err
	}
	var c *shownCallback
	for i, seq := range in.Events {
		if s := states[ids[i]]; s == book.DeliveryDelivered || s == book.DeliveryWaived {
			continue
		}
		if c == nil {
			c, err = d.load(ctx, in.CallbackID, in.Events[len(in.Events)-1])
			if errors.Is(err, errNotShown) {
				return d.again(seq, connectors.Unavailable, true, 0) // what it is made from is late
			}
			if err != nil {
				return err
			}
		}
		delivery, err := d.delivery(ctx, c, seq)
		if err != nil {
			return err
		}
		_, tried := states[ids[i]]
		delivery.Again = tried || in.Owed || activity.GetInfo(ctx).Attempt > 1
		if err := d.try(ctx, in, delivery); err != nil {
			return err
		}
	}
	return nil
}

// shortRest is a pause that is waited for here: a longer one lets others work meanwhile.
const shortRest = 10 * time.Second

// rest waits while the destination asks for a pause. A long one is an error by
// which the engine waits; it is no try.
func (d *Delivery) rest(ctx context.Context, seq int64) error {
	for {
		wait := d.gate.closedFor(d.Now())
		switch {
		case wait <= 0:
			return nil
		case wait > shortRest:
			return d.again(seq, connectors.RateLimited, true, spread(wait))
		case !pause(ctx, spread(wait)):
			return d.again(seq, connectors.RateLimited, true, 0)
		}
	}
}

// Redeliver brings one event there once more, because somebody asked for it.
func (d *Delivery) Redeliver(ctx context.Context, in contract.Delivery) error {
	defer beating(ctx)()
	c, err := d.load(ctx, in.CallbackID, in.Events[0])
	if err != nil {
		return err
	}
	delivery, err := d.delivery(ctx, c, in.Events[0])
	if err != nil {
		return err
	}
	if delivery.Intake.Erased != nil {
		return nil // there is nothing left to bring
	}
	delivery.Again = true
	return d.try(ctx, in, delivery)
}

// beatEvery is how often an activity shows that it lives.
const beatEvery = 5 * time.Second

// beating shows the engine that this process lives, and how far it has come,
// until it is stopped.
func beating(ctx context.Context, progress ...func() any) (stop func()) {
	stopped := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() {
		ticker := time.NewTicker(beatEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				details := make([]any, len(progress))
				for i, so := range progress {
					details[i] = so()
				}
				activity.RecordHeartbeat(ctx, details...)
			case <-stopped:
				return
			}
		}
	})
	return func() { close(stopped); beats.Wait() }
}

// try delivers one event and notes what came of it. A delivery that has begun is
// not broken off: whether it arrived would not be known.
//
// Once its customer is erased, no system is told anything any more: what a ticket or
// a task is known by is gone with the rest (R26). The ledger says that it was given up.
func (d *Delivery) try(ctx context.Context, in contract.Delivery, delivery connectors.Delivery) error {
	began := d.Now()
	if delivery.Intake.Erased != nil {
		return d.note(ctx, book.Delivery{
			OperationID: delivery.OperationID, Destination: d.Connector.Name(), CallbackID: in.CallbackID, Seq: delivery.Event.Seq,
			Type: delivery.Event.Fact.Type(), State: book.DeliveryWaived, TriedAt: callback.At(began), SettledAt: callback.At(began),
		})
	}
	trying, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverWithin)
	err := d.Connector.Deliver(trying, delivery)
	cancel()
	now := d.Now()
	row := book.Delivery{
		OperationID: delivery.OperationID, Destination: d.Connector.Name(), CallbackID: in.CallbackID, Seq: delivery.Event.Seq,
		Type: delivery.Event.Fact.Type(), State: book.DeliveryDelivered, TriedAt: callback.At(now), SettledAt: callback.At(now),
	}
	if err == nil {
		d.gate.passed()
		d.Tried(row.Destination, "", now.Sub(began))
		return d.note(ctx, row)
	}
	owed := owedFor(err)
	d.Tried(row.Destination, string(owed.Code), now.Sub(began))
	d.Logger.WarnContext(ctx, "a delivery is owed", "destination", row.Destination, "callback_id", in.CallbackID,
		"event", row.Seq, "code", string(owed.Code), "operation_id", row.OperationID, "error", cause(owed))
	if owed.Code == connectors.RateLimited || owed.RetryAfter > 0 {
		d.gate.close(now, owed.RetryAfter)
	}
	pause := d.pause(activity.GetInfo(ctx).Attempt, owed.RetryAfter)
	row.State, row.SettledAt = book.DeliveryTrying, callback.Instant{}
	row.Code, row.Detail = string(owed.Code), owed.Detail
	if in.Owed {
		row.State = book.DeliveryOwed
	}
	if in.Owed || owed.Code.Passing() {
		row.NextAt = callback.At(now.Add(pause))
	}
	if err := d.note(ctx, row); err != nil {
		return err
	}
	if !in.Owed {
		pause = owed.RetryAfter // else as the workflow's quick tries go
	}
	return d.again(row.Seq, owed.Code, in.Owed || owed.Code.Passing(), pause)
}

func (d *Delivery) note(ctx context.Context, row book.Delivery) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	return d.Ledger.NoteDelivery(ctx, row)
}

// again is the error by which the engine tries it again: after a pause, or as it
// thinks fit for 0; not at all where quick tries cannot help.
func (d *Delivery) again(seq int64, code connectors.OwedCode, helps bool, pause time.Duration) error {
	return temporal.NewApplicationErrorWithOptions("owed", string(code), temporal.ApplicationErrorOptions{
		NonRetryable: !helps, NextRetryDelay: pause, Details: []any{seq}, Category: temporal.ApplicationErrorCategoryBenign,
	})
}

// pause is how long to wait after a try that failed.
func (d *Delivery) pause(attempt int32, asked time.Duration) time.Duration {
	if asked > 0 {
		return spread(asked)
	}
	pause := firstPause << min(max(attempt, 1)-1, 10)
	return spread(min(pause, longestPause))
}

// spread adds up to a fifth, so that many who wait for the same do not come back at once.
func spread(d time.Duration) time.Duration {
	return d + rand.N(d/5+1) //nolint:gosec // nothing secret hangs on it
}

// owedFor is what an error of a connector says.
func owedFor(err error) *connectors.Owed {
	var owed *connectors.Owed
	if errors.As(err, &owed) {
		if owed.Code == "" {
			return &connectors.Owed{Code: connectors.Unavailable, Detail: owed.Detail, RetryAfter: owed.RetryAfter, Err: owed.Err}
		}
		return owed
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &connectors.Owed{Code: connectors.Unavailable, Detail: "no answer in time", Err: err}
	}
	return &connectors.Owed{Code: connectors.Unavailable, Detail: "it could not be delivered", Err: err}
}

func cause(o *connectors.Owed) string {
	if o.Err != nil {
		return o.Err.Error()
	}
	return o.Detail
}

var errNotShown = errors.New("it is not shown yet")

// shownCallback is what is shown of a callback.
type shownCallback struct {
	view   book.View
	events []book.Entry
	policy *callback.Policy
}

// load waits until the event is shown: whoever gave the command is writing it.
func (d *Delivery) load(ctx context.Context, id string, seq int64) (*shownCallback, error) {
	waiting, cancel := context.WithTimeout(ctx, shownWithin)
	defer cancel()
	c := &shownCallback{}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		var err error
		c.view, err = d.Shown.Callback(ctx, id)
		if err == nil && c.view.State != nil && c.view.State.Version >= seq {
			break
		}
		if err != nil && !errors.Is(err, book.ErrNotFound) {
			return nil, err
		}
		if !pause(waiting, wait) {
			return nil, fmt.Errorf("event %d of callback %s: %w", seq, id, errNotShown)
		}
	}
	var err error
	if c.events, err = d.Shown.Timeline(ctx, id); err != nil {
		return nil, err
	}
	c.policy, err = d.Shown.Policy(ctx, c.view.Intake.PolicyHash)
	if errors.Is(err, book.ErrNotFound) {
		c.policy, err = &callback.Policy{Name: c.view.State.Policy}, nil // it was not promised through this desk
	}
	return c, err
}

// pause waits; false: ctx was done first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// delivery is what the connector is given of one event.
func (d *Delivery) delivery(ctx context.Context, c *shownCallback, seq int64) (connectors.Delivery, error) {
	i := slices.IndexFunc(c.events, func(e book.Entry) bool { return e.Seq == seq })
	if i < 0 {
		return connectors.Delivery{}, fmt.Errorf("event %d of callback %s is not shown", seq, c.view.State.ID)
	}
	events := make([]callback.Event, i+1)
	for j := range events {
		events[j] = c.events[j].Event
	}
	state, err := callback.Fold(nil, events)
	if err != nil {
		return connectors.Delivery{}, err
	}
	e := events[i]
	given := connectors.Delivery{
		OperationID: connectors.OperationID(state.ID, d.Connector.Name(), seq),
		Event:       e, Callback: state, Latest: c.view.State.Clone(), Intake: c.view.Intake, Policy: c.policy,
	}
	if id := callback.TextOf(e.Fact); id != "" {
		switch text, err := d.Shown.Text(ctx, state.ID, id); {
		case err == nil && text.Body != "":
			given.Text = &text
		case err != nil && !errors.Is(err, book.ErrNotFound):
			return given, err
		}
	}
	if given.Author, err = d.person(ctx, e.Actor); err != nil {
		return given, err
	}
	given.Outage, err = d.outage(ctx, e.Fact)
	return given, err
}

// person is somebody of the staff; nil: it is nobody's name.
func (d *Delivery) person(ctx context.Context, id string) (*book.Staff, error) {
	d.mu.Lock()
	known, fresh := d.staff, d.Now().Sub(d.staffAt) < staffAge
	d.mu.Unlock()
	if !fresh {
		staff, err := d.Shown.Staff(ctx)
		if err != nil {
			return nil, err
		}
		known = make(map[string]*book.Staff, len(staff))
		for i := range staff {
			known[staff[i].ID] = &staff[i]
		}
		d.mu.Lock()
		d.staff, d.staffAt = known, d.Now()
		d.mu.Unlock()
	}
	s := known[id]
	if s == nil {
		return nil, nil //nolint:nilnil // documented
	}
	author := *s
	return &author, nil
}

// outage is the one that a fact names (R23).
func (d *Delivery) outage(ctx context.Context, f callback.Fact) (*book.Outage, error) {
	id := ""
	switch f := f.(type) {
	case *callback.Held:
		id = f.Outage
	case *callback.Resumed:
		id = f.Outage
	}
	if id == "" {
		return nil, nil //nolint:nilnil // documented
	}
	o, err := d.Shown.Outage(ctx, id)
	if errors.Is(err, book.ErrNotFound) {
		return &book.Outage{ID: id}, nil
	}
	return &o, err
}

// gate is closed while a destination asks for a pause: all of its deliveries
// wait, not just the one that was told.
type gate struct {
	mu    sync.Mutex
	until time.Time
	pause time.Duration
}

// How long a destination rests that asks for a pause and does not say how long: at
// first, then doubling, until something arrives there.
const (
	firstRest = time.Second
	lastRest  = time.Minute
)

func (g *gate) close(now time.Time, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d <= 0 {
		if g.until.After(now) {
			return // it was under way when the others were told
		}
		d = max(g.pause, firstRest)
		g.pause = min(2*d, lastRest)
	}
	if until := now.Add(d); until.After(g.until) {
		g.until = until
	}
}

// passed: something has arrived.
func (g *gate) passed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pause = 0
}

func (g *gate) closedFor(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until.Sub(now)
}
