package floor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
	"ringback/store"
)

// Engine keeps callbacks in memory as the workflows do: it decides with the
// real rules and gives the first outcome to a repeated update id. It draws
// nobody.
type Engine struct {
	now func() time.Time

	mu   sync.Mutex
	runs map[string]*run
	away bool
	// outages are those that callbacks are told of.
	outages []*outage
}

// outage is one that goes on, or whose end is still to be told.
type outage struct {
	contract.OutageInput
	ended *contract.OutageEnd
}

type run struct {
	policy   *callback.Policy
	state    *callback.Callback
	events   []callback.Event
	outcomes map[string]contract.Outcome
	owed     bool
}

// SetAway lets nothing reach it.
func (e *Engine) SetAway(away bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.away = away
}

// tell gives it a clock.
func (e *Engine) tell(now func() time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = now
}

// enter locks it, unless it is away.
func (e *Engine) enter() error {
	e.mu.Lock()
	if e.away {
		e.mu.Unlock()
		return api.ErrEngineAway
	}
	return nil
}

// Create implements api.Engine.
func (e *Engine) Create(_ context.Context, updateID string, in contract.Input, digest string) (contract.Outcome, error) {
	if err := e.enter(); err != nil {
		return contract.Outcome{}, err
	}
	defer e.mu.Unlock()
	r := e.runs[in.Request.ID]
	if r == nil {
		r = &run{policy: in.Policy, outcomes: map[string]contract.Outcome{}}
		r.state, r.events = callback.Open(in.Policy, in.Request, in.Policy.Calendar)
		e.runs[in.Request.ID] = r
	}
	o, known := r.outcomes[updateID]
	if !known {
		o = contract.Outcome{Version: r.state.Version, Events: slices.Clone(r.events), Digest: digest}
		r.outcomes[updateID] = o
	}
	return o, nil
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

// Command implements api.Engine.
func (e *Engine) Command(_ context.Context, id, updateID string, name callback.CommandName, given any) (contract.Outcome, error) {
	if err := e.enter(); err != nil {
		return contract.Outcome{}, err
	}
	defer e.mu.Unlock()
	r := e.runs[id]
	if r == nil {
		return contract.Outcome{}, api.ErrNoWorkflow
	}
	if o, known := r.outcomes[updateID]; known {
		return o, nil
	}
	if r.state.Status.Closed() {
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
	command, err := decode(name, o.Command)
	if err != nil {
		return contract.Outcome{}, err
	}
	if o.IfVersion != 0 && o.IfVersion != r.state.Version {
		return contract.Outcome{}, &callback.Fault{Code: callback.CodeStaleVersion, Detail: "it has changed since"}
	}
	events, refused := r.state.Do(r.policy, command, o.By, e.now(), r.policy.Calendar)
	if refused != nil {
		return contract.Outcome{}, refused
	}
	r.events = append(r.events, events...)
	out := contract.Outcome{Version: r.state.Version, Events: events, Digest: o.Digest}
	if o.CallerProjects {
		out.Events = slices.Clone(r.events[min(o.Since, int64(len(r.events))):])
	} else {
		r.owed = true
	}
	r.outcomes[updateID] = out
	return out, nil
}

func decode(name callback.CommandName, raw json.RawMessage) (callback.Command, error) {
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

// CustomerCalled implements api.Engine.
func (e *Engine) CustomerCalled(_ context.Context, id string, in contract.CustomerCalled) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.mu.Unlock()
	r := e.runs[id]
	if r == nil || r.state.Status.Closed() {
		return api.ErrNoWorkflow
	}
	if _, again := r.outcomes[in.Operation]; again {
		return nil
	}
	r.outcomes[in.Operation] = contract.Outcome{}
	r.events = append(r.events, r.state.CustomerCalls(r.policy, in.By, in.TextID, e.now(), r.policy.Calendar)...)
	r.owed = true
	return nil
}

// CandidateAvailable implements api.Engine.
func (e *Engine) CandidateAvailable(context.Context, string) error { return nil }

// News implements api.Engine.
func (e *Engine) News(_ context.Context, id string, since int64) (contract.News, error) {
	if err := e.enter(); err != nil {
		return contract.News{}, err
	}
	defer e.mu.Unlock()
	r := e.runs[id]
	if r == nil {
		return contract.News{}, api.ErrNoWorkflow
	}
	return contract.News{Version: r.state.Version, Events: slices.Clone(r.events[since:]), From: 1}, nil
}

// Healthy implements api.Engine.
func (e *Engine) Healthy(context.Context) error {
	if err := e.enter(); err != nil {
		return err
	}
	e.mu.Unlock()
	return nil
}

// next is the next instant at which something is due.
func (e *Engine) next() (at time.Time, due bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.runs {
		if next, set := r.state.Next(); set && (!due || next.Before(at)) {
			at, due = next.Time, true
		}
	}
	return at, due
}

// advance lets the clock of every callback run, and projects what is owed.
func (e *Engine) advance(ctx context.Context, s *store.Store) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return nil
	}
	if err := e.tellOutages(ctx, s); err != nil {
		return err
	}
	for id, r := range e.runs {
		if next, set := r.state.Next(); set && next.Reached(callback.At(e.now())) {
			if events := r.state.Advance(r.policy, e.now(), r.policy.Calendar); len(events) > 0 {
				r.events = append(r.events, events...)
				r.owed = true
			}
		}
		if !r.owed {
			continue
		}
		if _, err := s.Project(ctx, book.Batch{CallbackID: id, Events: r.events}); err != nil {
			return err
		}
		r.owed = false
	}
	return nil
}

// TagMissing implements api.Engine.
func (e *Engine) TagMissing(_ context.Context, id string, in contract.TagMissing) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.mu.Unlock()
	r := e.runs[id]
	if r == nil {
		return api.ErrNoWorkflow
	}
	if events := r.state.TagMissing(r.policy, in.By, e.now(), r.policy.Calendar); len(events) > 0 {
		r.events, r.owed = append(r.events, events...), true
	}
	return nil
}

// HurryDelivery implements api.Engine: there are no deliveries here.
func (e *Engine) HurryDelivery(context.Context, string) error { return api.ErrNoWorkflow }

// Redeliver implements api.Engine: there are no connectors here.
func (e *Engine) Redeliver(context.Context, string, contract.Delivery) error {
	return api.ErrEngineAway
}

// Owe lets something be owed: the last event of a callback could not be brought
// to a destination.
func (e *Engine) Owe(id, destination, code string) (seq int64, of callback.EventType, err error) {
	if err := e.enter(); err != nil {
		return 0, "", err
	}
	defer e.mu.Unlock()
	r := e.runs[id]
	if r == nil {
		return 0, "", api.ErrNoWorkflow
	}
	last := r.events[len(r.events)-1]
	r.events = append(r.events, r.state.Owe(r.policy, destination, code, last.Seq, e.now(), r.policy.Calendar)...)
	r.owed = true
	return last.Seq, last.Fact.Type(), nil
}

// BeginOutage implements api.Engine.
func (e *Engine) BeginOutage(_ context.Context, in contract.OutageInput) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.mu.Unlock()
	if e.outage(in.ID) == nil {
		e.outages = append(e.outages, &outage{OutageInput: in})
	}
	return nil
}

// EndOutage implements api.Engine.
func (e *Engine) EndOutage(_ context.Context, _ string, in contract.OutageInput, end contract.OutageEnd) (contract.OutageState, error) {
	if err := e.enter(); err != nil {
		return contract.OutageState{}, err
	}
	defer e.mu.Unlock()
	if o := e.outage(in.ID); o != nil {
		o.ended = &end
	}
	return contract.OutageState{Ended: &end}, nil
}

func (e *Engine) outage(id string) *outage {
	for _, o := range e.outages {
		if o.ID == id {
			return o
		}
	}
	return nil
}

// tellOutages links callbacks to what goes on, and lets go on what was linked to
// what is over.
func (e *Engine) tellOutages(ctx context.Context, s *store.Store) error {
	for _, o := range slices.Clone(e.outages) {
		var ids []string
		var err error
		if o.ended != nil {
			ids, err = s.Linked(ctx, o.ID, "", len(e.runs)+1)
		} else {
			declared, missing := s.Outage(ctx, o.ID)
			if errors.Is(missing, book.ErrNotFound) {
				continue
			}
			if err = missing; err == nil {
				ids, err = s.Affected(ctx, declared, "", len(e.runs)+1)
			}
		}
		if err != nil {
			return err
		}
		for _, id := range ids {
			r := e.runs[id]
			if r == nil || r.owed {
				continue // at the next tick
			}
			var events []callback.Event
			if o.ended != nil {
				events = r.state.OutageEnded(r.policy, callback.OutageNews{Outage: o.ID, By: o.ended.By}, e.now(), r.policy.Calendar)
			} else {
				events = r.state.OutageBegan(r.policy, callback.OutageNews{Outage: o.ID, By: o.By}, e.now(), r.policy.Calendar)
			}
			if len(events) > 0 {
				r.events, r.owed = append(r.events, events...), true
			}
		}
		if o.ended != nil && len(ids) == 0 {
			e.outages = slices.DeleteFunc(e.outages, func(x *outage) bool { return x == o })
		}
	}
	return nil
}
