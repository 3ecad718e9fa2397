package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
	"ringback/store"
)

// fakeEngine keeps callbacks as the workflows do: it decides with the real
// rules, gives the first outcome to a repeated update id, and knows nothing of
// closed callbacks but their outcomes.
type fakeEngine struct {
	now  func() time.Time
	book api.Book

	mu   sync.Mutex
	runs map[string]*run
	// away: nothing reaches it. lose: what it is told it does, but the answer is lost.
	away, lose bool
	// busy: it turns everything away. strange: an error that it answers all with.
	busy    bool
	strange error
	// before is called with the name of everything that reaches it, outside of the lock.
	before func(name string)
	// drawn are the callbacks that were told that somebody came free.
	drawn []string
	// hurried are the callbacks whose deliveries were to be tried at once, redelivered
	// what was to be brought somewhere once more, by id.
	hurried     []string
	redelivered map[string]contract.Delivery
	// outages by id; true: it goes on.
	outages map[string]contract.OutageState
	// inputs with which callbacks were started.
	inputs map[string]contract.Input
	// history is what callbacks have heard, whatever the engine has forgotten of it;
	// unreadable: why that cannot be told.
	history    map[string]contract.Memory
	unreadable error
}

type run struct {
	policy   *callback.Policy
	state    *callback.Callback
	events   []callback.Event
	outcomes map[string]contract.Outcome
	owed     int64
}

func newFakeEngine(now func() time.Time, b api.Book) *fakeEngine {
	return &fakeEngine{
		now: now, book: b, runs: map[string]*run{}, redelivered: map[string]contract.Delivery{},
		outages: map[string]contract.OutageState{}, inputs: map[string]contract.Input{},
		history: map[string]contract.Memory{},
	}
}

func (e *fakeEngine) set(f func(e *fakeEngine)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f(e)
}

func (e *fakeEngine) arrive(name string) error {
	e.mu.Lock()
	away, busy, strange, before := e.away, e.busy, e.strange, e.before
	e.mu.Unlock()
	if strange != nil {
		return strange
	}
	if away {
		return api.ErrEngineAway
	}
	if busy {
		return api.ErrEngineBusy
	}
	if before != nil {
		before(name)
	}
	return nil
}

// answered loses answers, if it is to.
func (e *fakeEngine) answered(o contract.Outcome, err error) (contract.Outcome, error) {
	if e.lose && err == nil {
		return contract.Outcome{}, api.ErrOutcomeUnknown
	}
	return o, err
}

func (e *fakeEngine) Create(ctx context.Context, updateID string, in contract.Input, digest string) (contract.Outcome, error) {
	if err := e.arrive("create"); err != nil {
		return contract.Outcome{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[in.Request.ID]
	if r == nil {
		r = &run{policy: in.Policy, outcomes: map[string]contract.Outcome{}}
		r.state, r.events = callback.Open(in.Policy, in.Request, in.Policy.Calendar)
		e.runs[in.Request.ID] = r
		e.inputs[in.Request.ID] = in
	}
	o, known := r.outcomes[updateID]
	if !known {
		o = contract.Outcome{Version: r.state.Version, Events: r.events, Digest: digest}
		r.outcomes[updateID] = o
	}
	return e.answered(o, nil)
}

// order is a contract.Order of any command.
type order struct {
	By             callback.Person
	IfVersion      int64 `json:"if_version"`
	Since          int64
	CallerProjects bool `json:"caller_projects"`
	Digest         string
	Command        json.RawMessage
}

func (e *fakeEngine) Command(ctx context.Context, id, updateID string, name callback.CommandName, given any) (contract.Outcome, error) {
	if err := e.arrive(string(name)); err != nil {
		return contract.Outcome{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[id]
	if r == nil {
		return contract.Outcome{}, api.ErrNoWorkflow
	}
	if o, known := r.outcomes[updateID]; known {
		return e.answered(o, nil)
	}
	if r.state.Status.Closed() && len(r.state.Owed) == 0 { // else it waits until that is delivered
		return contract.Outcome{}, api.ErrNoWorkflow
	}
	var o order
	raw, err := json.Marshal(given)
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	if err != nil {
		return contract.Outcome{}, err
	}
	command, err := decodeCommand(name, o.Command)
	if err != nil {
		return contract.Outcome{}, err
	}
	if o.IfVersion != 0 && o.IfVersion != r.state.Version {
		return contract.Outcome{}, &callback.Fault{Code: callback.CodeStaleVersion, Detail: "it has changed"}
	}
	events, f := r.state.Do(r.policy, command, o.By, e.now(), r.policy.Calendar)
	if f != nil {
		return contract.Outcome{}, f
	}
	r.events = append(r.events, events...)
	out := contract.Outcome{Version: r.state.Version, Events: events, Digest: o.Digest}
	if o.CallerProjects {
		out.Events = r.events[min(o.Since, int64(len(r.events))):]
	} else {
		r.owed = r.state.Version
	}
	r.outcomes[updateID] = out
	e.history[id] = e.history[id].With(contract.Heard{ID: updateID, Digest: o.Digest, Version: out.Version})
	return e.answered(out, nil)
}

func decodeCommand(name callback.CommandName, raw json.RawMessage) (callback.Command, error) {
	switch name {
	case callback.CommandClaim:
		return as[callback.Claim](raw)
	case callback.CommandStart:
		return as[callback.Start](raw)
	case callback.CommandAttempt:
		return as[callback.Attempt](raw)
	case callback.CommandNote:
		return as[callback.Note](raw)
	case callback.CommandEscalate:
		return as[callback.Escalate](raw)
	case callback.CommandReassign:
		return as[callback.Reassign](raw)
	case callback.CommandRelease:
		return as[callback.Release](raw)
	case callback.CommandHold:
		return as[callback.HoldClock](raw)
	case callback.CommandResume:
		return as[callback.Resume](raw)
	case callback.CommandReschedule:
		return as[callback.Reschedule](raw)
	case callback.CommandComplete:
		return as[callback.Complete](raw)
	case callback.CommandCancel:
		return as[callback.Cancel](raw)
	case callback.CommandWaive:
		return as[callback.Waive](raw)
	}
	return nil, fmt.Errorf("no command %q", name)
}

func as[C callback.Command](raw json.RawMessage) (callback.Command, error) {
	var c C
	err := json.Unmarshal(raw, &c)
	return c, err
}

func (e *fakeEngine) CustomerCalled(ctx context.Context, id string, in contract.CustomerCalled) error {
	if err := e.arrive(contract.SignalCustomerCalled); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[id]
	if r == nil || r.state.Status.Closed() {
		return api.ErrNoWorkflow
	}
	if _, again := e.history[id].Of(in.Operation); again {
		return nil
	}
	e.history[id] = e.history[id].With(contract.Heard{ID: in.Operation, Version: r.state.Version + 1})
	r.events = append(r.events, r.state.CustomerCalls(r.policy, in.By, in.TextID, e.now(), r.policy.Calendar)...)
	r.owed = r.state.Version
	_, err := e.answered(contract.Outcome{}, nil)
	return err
}

func (e *fakeEngine) CandidateAvailable(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drawn = append(e.drawn, id)
	return nil
}

func (e *fakeEngine) TagMissing(_ context.Context, id string, in contract.TagMissing) error {
	if err := e.arrive(contract.SignalTagMissing); err != nil {
		return err
	}
	return e.happens(id, func(r *run) []callback.Event {
		return r.state.TagMissing(r.policy, in.By, e.now(), r.policy.Calendar)
	})
}

// happens lets something happen that no command brings about.
func (e *fakeEngine) happens(id string, f func(r *run) []callback.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[id]
	if r == nil {
		return api.ErrNoWorkflow
	}
	r.events = append(r.events, f(r)...)
	r.owed = r.state.Version
	return nil
}

// forget drops the outcomes of a callback, as the engine does with earlier runs,
// and with all of one that closed long ago.
func (e *fakeEngine) forget(id string) {
	e.set(func(e *fakeEngine) { e.runs[id].outcomes = map[string]contract.Outcome{} })
}

func (e *fakeEngine) HurryDelivery(_ context.Context, id string) error {
	if err := e.arrive("hurry"); err != nil {
		return err
	}
	e.set(func(e *fakeEngine) { e.hurried = append(e.hurried, id) })
	return nil
}

func (e *fakeEngine) Redeliver(_ context.Context, id string, in contract.Delivery) error {
	if err := e.arrive("redeliver"); err != nil {
		return err
	}
	e.set(func(e *fakeEngine) { e.redelivered[id] = in })
	return nil
}

func (e *fakeEngine) BeginOutage(_ context.Context, in contract.OutageInput) error {
	if err := e.arrive("begin outage"); err != nil {
		return err
	}
	e.set(func(e *fakeEngine) {
		if _, known := e.outages[in.ID]; !known {
			e.outages[in.ID] = contract.OutageState{}
		}
	})
	return nil
}

func (e *fakeEngine) EndOutage(_ context.Context, _ string, in contract.OutageInput, end contract.OutageEnd) (contract.OutageState, error) {
	if err := e.arrive("end outage"); err != nil {
		return contract.OutageState{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.outages[in.ID].Ended == nil {
		e.outages[in.ID] = contract.OutageState{Ended: &end}
	}
	return e.outages[in.ID], nil
}

func (e *fakeEngine) News(_ context.Context, id string, since int64) (contract.News, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return contract.News{}, api.ErrEngineAway
	}
	r := e.runs[id]
	if r == nil {
		return contract.News{}, api.ErrNoWorkflow
	}
	return contract.News{Version: r.state.Version, Events: r.events[since:], From: 1}, nil
}

func (e *fakeEngine) Healthy(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return api.ErrEngineAway
	}
	return nil
}

// advance lets the clock of every callback run, and the workflows project what they owe.
func (e *fakeEngine) advance(ctx context.Context, s *store.Store) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, r := range e.runs {
		if events := r.state.Advance(r.policy, e.now(), r.policy.Calendar); len(events) > 0 {
			r.events = append(r.events, events...)
			r.owed = r.state.Version
		}
		if r.owed == 0 {
			continue
		}
		if _, err := s.Project(ctx, book.Batch{CallbackID: id, Events: r.events}); err != nil {
			return err
		}
		r.owed = 0
	}
	return nil
}

// flakyBook is a store whose database can be away.
type flakyBook struct {
	api.Book
	store *store.Store

	mu   sync.Mutex
	away bool
	// ahead is by how much callbacks seem newer than they are.
	ahead int64
	// waiting are the callbacks that wait for a draw, by queue; nil: as the store says.
	waiting map[string][]string
	// before is called with the name of every call, outside of the lock; its error is the call's.
	before func(name string) error
}

func (b *flakyBook) set(f func(b *flakyBook)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

func (b *flakyBook) arrive(name string) error {
	b.mu.Lock()
	away, before := b.away, b.before
	b.mu.Unlock()
	if away {
		return fmt.Errorf("%s: %w", name, book.ErrUnavailable)
	}
	if before != nil {
		return before(name)
	}
	return nil
}

// through calls f, if the database is there.
func through[T any](b *flakyBook, name string, f func() (T, error)) (T, error) {
	if err := b.arrive(name); err != nil {
		var none T
		return none, err
	}
	return f()
}

func (b *flakyBook) Ping(ctx context.Context) error {
	if err := b.arrive("ping"); err != nil {
		return err
	}
	return b.Book.Ping(ctx)
}

func (b *flakyBook) SavePolicy(ctx context.Context, hash string, p *callback.Policy) error {
	if err := b.arrive("save policy"); err != nil {
		return err
	}
	return b.Book.SavePolicy(ctx, hash, p)
}

func (b *flakyBook) SameCustomer(ctx context.Context, c book.Customer, except string) ([]string, error) {
	return through(b, "same customer", func() ([]string, error) { return b.Book.SameCustomer(ctx, c, except) })
}

func (b *flakyBook) Begin(ctx context.Context, in book.Begin) (*book.Errand, error) {
	return through(b, "begin", func() (*book.Errand, error) { return b.Book.Begin(ctx, in) })
}

func (b *flakyBook) Errand(ctx context.Context, id string) (book.Errand, error) {
	return through(b, "errand", func() (book.Errand, error) { return b.Book.Errand(ctx, id) })
}

func (b *flakyBook) Release(ctx context.Context, id string) error {
	if err := b.arrive("release"); err != nil {
		return err
	}
	return b.Book.Release(ctx, id)
}

func (b *flakyBook) Settle(ctx context.Context, id string, batch book.Batch, render func(book.View) (*book.Answer, error)) (book.View, error) {
	return through(b, "settle", func() (book.View, error) { return b.Book.Settle(ctx, id, batch, render) })
}

func (b *flakyBook) Drop(ctx context.Context, id string) error {
	if err := b.arrive("drop"); err != nil {
		return err
	}
	return b.Book.Drop(ctx, id)
}

func (b *flakyBook) Callback(ctx context.Context, id string) (book.View, error) {
	return through(b, "callback", func() (book.View, error) {
		v, err := b.Book.Callback(ctx, id)
		if err == nil {
			b.mu.Lock()
			v.State.Version += b.ahead
			b.mu.Unlock()
		}
		return v, err
	})
}

func (b *flakyBook) List(ctx context.Context, f book.Filter, s book.Sort, limit int, cursor string) (book.Page, error) {
	return through(b, "list", func() (book.Page, error) { return b.Book.List(ctx, f, s, limit, cursor) })
}

func (b *flakyBook) Counts(ctx context.Context, f book.Filter, by []book.CountBy) ([]book.Count, error) {
	return through(b, "counts", func() ([]book.Count, error) { return b.Book.Counts(ctx, f, by) })
}

func (b *flakyBook) Timeline(ctx context.Context, id string) ([]book.Entry, error) {
	return through(b, "timeline", func() ([]book.Entry, error) { return b.Book.Timeline(ctx, id) })
}

func (b *flakyBook) Notes(ctx context.Context, id string) ([]book.Text, error) {
	return through(b, "notes", func() ([]book.Text, error) { return b.Book.Notes(ctx, id) })
}

func (b *flakyBook) Stats(ctx context.Context, q book.StatsQuery) (book.Stats, error) {
	return through(b, "stats", func() (book.Stats, error) { return b.Book.Stats(ctx, q) })
}

func (b *flakyBook) Feed(ctx context.Context, after int64, limit int) ([]book.FeedItem, error) {
	return through(b, "feed", func() ([]book.FeedItem, error) { return b.Book.Feed(ctx, after, limit) })
}

func (b *flakyBook) FeedBounds(ctx context.Context) (int64, int64, error) {
	if err := b.arrive("feed bounds"); err != nil {
		return 0, 0, err
	}
	return b.Book.FeedBounds(ctx)
}

func (b *flakyBook) Staff(ctx context.Context) ([]book.Staff, error) {
	return through(b, "staff", func() ([]book.Staff, error) { return b.Book.Staff(ctx) })
}

func (b *flakyBook) People(ctx context.Context) ([]book.Person, error) {
	return through(b, "people", func() ([]book.Person, error) { return b.Book.People(ctx) })
}

func (b *flakyBook) Person(ctx context.Context, id string) (book.Person, error) {
	return through(b, "person", func() (book.Person, error) { return b.Book.Person(ctx, id) })
}

func (b *flakyBook) Key(ctx context.Context, id string) (book.Key, error) {
	return through(b, "key", func() (book.Key, error) { return b.Book.Key(ctx, id) })
}

func (b *flakyBook) Keys(ctx context.Context) ([]book.Key, error) {
	return through(b, "keys", func() ([]book.Key, error) { return b.Book.Keys(ctx) })
}

func (b *flakyBook) UseKey(ctx context.Context, id string, now, unlessAfter callback.Instant) error {
	if err := b.arrive("use key"); err != nil {
		return err
	}
	return b.Book.UseKey(ctx, id, now, unlessAfter)
}

func (b *flakyBook) RenewPresence(ctx context.Context, id string, now callback.Instant) (book.Presence, error) {
	return through(b, "renew presence", func() (book.Presence, error) { return b.Book.RenewPresence(ctx, id, now) })
}

func (b *flakyBook) SetPresence(ctx context.Context, id string, s book.PresenceState, now callback.Instant) (book.Presence, error) {
	return through(b, "set presence", func() (book.Presence, error) { return b.Book.SetPresence(ctx, id, s, now) })
}

func (b *flakyBook) MakeBusy(ctx context.Context, id string, now callback.Instant) error {
	if err := b.arrive("make busy"); err != nil {
		return err
	}
	return b.Book.MakeBusy(ctx, id, now)
}

func (b *flakyBook) Presences(ctx context.Context, now callback.Instant) ([]book.Presence, error) {
	return through(b, "presences", func() ([]book.Presence, error) { return b.Book.Presences(ctx, now) })
}

func (b *flakyBook) Reserve(ctx context.Context, r book.Reservation, now callback.Instant) (book.Reservation, error) {
	return through(b, "reserve", func() (book.Reservation, error) { return b.Book.Reserve(ctx, r, now) })
}

func (b *flakyBook) Reservation(ctx context.Context, id string) (book.Reservation, error) {
	return through(b, "reservation", func() (book.Reservation, error) { return b.Book.Reservation(ctx, id) })
}

func (b *flakyBook) Undeclare(ctx context.Context, id string) error {
	if err := b.arrive("undeclare"); err != nil {
		return err
	}
	return b.Book.Undeclare(ctx, id)
}

func (b *flakyBook) Answer(ctx context.Context, id string, given book.Answer) error {
	if err := b.arrive("answer"); err != nil {
		return err
	}
	return b.Book.Answer(ctx, id, given)
}

func (b *flakyBook) DrawWaits(ctx context.Context, queues []string) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		return b.Book.DrawWaits(ctx, queues)
	}
	var all []string
	for _, q := range queues {
		all = append(all, b.waiting[q]...)
	}
	return all, nil
}
