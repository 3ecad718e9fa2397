package connectortest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
)

// Desk implements connectors.Desk in memory, with the real rules. Its clock
// stands still until Advance moves it. The zero value has no policies and nobody.
type Desk struct {
	Policies map[string]*callback.Policy
	People   []book.Staff
	// Fail, if set, is asked before everything that a connector says.
	Fail func(what string) error

	mu    sync.Mutex
	now   time.Time
	order []string
	cases map[string]*promised
	keys  map[string]string // of promises and commands -> callback id
}

type promised struct {
	intake  book.Intake
	policy  *callback.Policy
	state   *callback.Callback
	events  []callback.Event
	texts   map[string]book.Text
	reached map[string]int64 // by destination: the last event that was delivered
	tried   map[string]bool  // by operation id
}

// Start is when a Desk's clock begins: a Monday at noon in UTC.
var Start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Deps are those of a connector that speaks to this desk; what it remembers and
// keeps is in memory, and waiting takes no time.
func (d *Desk) Deps() (connectors.Deps, *Memory, *Kept) {
	memory, kept := &Memory{}, &Kept{}
	return connectors.Deps{
		Desk: d, Memory: memory, Kept: kept, Logger: slog.New(slog.DiscardHandler), Now: d.Now,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}, memory, kept
}

// Now is the desk's clock.
func (d *Desk) Now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock()
}

func (d *Desk) clock() time.Time {
	if d.now.IsZero() {
		d.now = Start
	}
	return d.now
}

// Advance moves the clock, and lets it bring about what is due.
func (d *Desk) Advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.clock().Add(by)
	for _, id := range d.order {
		p := d.cases[id]
		p.happened(p.state.Advance(p.policy, d.now, p.policy.Calendar))
	}
}

func (p *promised) happened(events []callback.Event) { p.events = append(p.events, events...) }

func (d *Desk) ask(what string) error {
	if d.Fail != nil {
		return d.Fail(what)
	}
	return nil
}

// Promise implements connectors.Desk.
func (d *Desk) Promise(_ context.Context, connector, key string, asked connectors.Promise) (string, error) {
	if err := d.ask("promise"); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key = connector + "\n" + key
	if id, known := d.keys[key]; known {
		return id, nil
	}
	p, known := d.Policies[asked.Policy]
	if !known {
		return "", &callback.Fault{Code: callback.CodeUnknownPolicy, Detail: "there is no such policy"}
	}
	if wrong := p.CheckFields(asked.Fields); len(wrong) > 0 {
		return "", &callback.Fault{Code: callback.CodeInvalid, Detail: "fields", Errors: wrong}
	}
	if strings.TrimSpace(asked.Customer.Name) == "" || asked.Customer.Phone == "" && asked.Customer.Email == "" {
		return "", callback.Invalid("customer", "expected a name, and a phone number or an e-mail address")
	}
	for _, id := range d.order {
		c := d.cases[id]
		if s := c.intake.Source; s != nil && *s == asked.Source && s.Ref != "" && c.intake.Policy == asked.Policy && !c.state.Status.Closed() {
			return "", &callback.Fault{Code: callback.CodeDuplicate, Rule: "R14", Existing: id}
		}
	}
	id := d.promise(book.Intake{
		Policy: asked.Policy, Customer: asked.Customer, Reason: asked.Reason, Source: &asked.Source, LOB: asked.LOB,
		Fields: asked.Fields, Parent: asked.Parent, RequestedBy: "system:" + connector,
	}, p.Pin(asked.LOB, "").Route(asked.Queue, asked.AssignTo))
	d.remember(key, id)
	return id, nil
}

func (d *Desk) remember(key, id string) {
	if d.keys == nil {
		d.keys = map[string]string{}
	}
	d.keys[key] = id
}

// Make promises a callback as a member of staff does, and returns its id.
func (d *Desk) Make(in book.Intake) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, known := d.Policies[in.Policy]
	if !known {
		panic("connectortest: there is no policy " + in.Policy)
	}
	return d.promise(in, p.Pin(in.LOB, ""))
}

func (d *Desk) promise(in book.Intake, p *callback.Policy) string {
	at := callback.At(d.clock())
	in.CallbackID, in.RequestedAt = uuid.Must(uuid.NewV7()).String(), at
	c := &promised{intake: in, policy: p, texts: map[string]book.Text{}, reached: map[string]int64{}, tried: map[string]bool{}}
	c.state, c.events = callback.Open(p, callback.Request{
		ID: in.CallbackID, By: in.RequestedBy, At: at, Parent: in.Parent, ScheduledFor: in.ScheduledFor,
	}, p.Calendar)
	if d.cases == nil {
		d.cases = map[string]*promised{}
	}
	d.cases[in.CallbackID] = c
	d.order = append(d.order, in.CallbackID)
	return in.CallbackID
}

// Do implements connectors.Desk.
func (d *Desk) Do(_ context.Context, key, staffID, callbackID, name string, body any) error {
	if err := d.ask(name); err != nil {
		return err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key = staffID + "\n" + key
	if _, known := d.keys[key]; known && !strings.HasSuffix(key, "\n") {
		return nil
	}
	if err := d.command(staffID, callbackID, name, raw); err != nil {
		return err
	}
	d.remember(key, callbackID)
	return nil
}

// Command gives a command of people: name and body as in POST /v1/callbacks/{id}/NAME.
func (d *Desk) Command(staffID, callbackID, name string, body any) error {
	return d.Do(context.Background(), "", staffID, callbackID, name, body)
}

func (d *Desk) command(staffID, callbackID, name string, raw json.RawMessage) error {
	c, known := d.cases[callbackID]
	if !known {
		return callback.Refused(callback.CodeNotFound)
	}
	i := slices.IndexFunc(d.People, func(s book.Staff) bool { return s.ID == staffID })
	if i < 0 {
		return callback.Refused(callback.CodeUnauthenticated)
	}
	command, err := c.read(d, staffID, name, raw)
	if err != nil {
		return err
	}
	events, refused := c.state.Do(c.policy, command, person(&d.People[i]), d.clock(), c.policy.Calendar)
	if refused != nil {
		return refused
	}
	c.happened(events)
	return nil
}

func person(s *book.Staff) callback.Person {
	return callback.Person{
		ID: s.ID, Rank: s.Rank, Queues: s.Queues, Auditor: slices.Contains(s.Roles, "auditor"), Admin: slices.Contains(s.Roles, "admin"),
	}
}

// read makes a command of what the API would be sent.
func (p *promised) read(d *Desk, author, name string, raw json.RawMessage) (callback.Command, error) {
	var b struct {
		Disposition      callback.Disposition
		Note             string
		Kind             book.TextKind
		Body             string
		Reason           string
		To               string
		Until            callback.Instant
		ScheduledFor     callback.Instant `json:"scheduled_for"`
		ResolutionReason string           `json:"resolution_reason"`
		CallSummary      string           `json:"call_summary"`
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, callback.Invalid("body", "expected what the API description says")
		}
	}
	text := func(kind book.TextKind, body string) string {
		if body == "" {
			return ""
		}
		t := book.Text{
			ID: uuid.Must(uuid.NewV7()).String(), CallbackID: p.intake.CallbackID, Kind: kind, Author: author, Body: body,
			CreatedAt: callback.At(d.clock()),
		}
		p.texts[t.ID] = t
		return t.ID
	}
	switch name {
	case "claim":
		return callback.Claim{}, nil
	case "start":
		return callback.Start{}, nil
	case "attempts":
		return callback.Attempt{Disposition: b.Disposition, TextID: text(book.TextNote, b.Note)}, nil
	case "notes":
		return callback.Note{Kind: callback.NoteKind(b.Kind), TextID: text(b.Kind, b.Body)}, nil
	case "escalate":
		return callback.Escalate{TextID: text(book.TextReason, b.Reason)}, nil
	case "reassign":
		i := slices.IndexFunc(d.People, func(s book.Staff) bool { return s.ID == b.To })
		if i < 0 {
			return nil, callback.Invalid("to", "expected the id of somebody of the staff")
		}
		return callback.Reassign{To: person(&d.People[i]), TextID: text(book.TextReason, b.Reason)}, nil
	case "release":
		return callback.Release{TextID: text(book.TextReason, b.Reason)}, nil
	case "hold":
		return callback.HoldClock{Until: b.Until, TextID: text(book.TextReason, b.Reason)}, nil
	case "resume":
		return callback.Resume{}, nil
	case "reschedule":
		return callback.Reschedule{For: b.ScheduledFor, TextID: text(book.TextReason, b.Reason)}, nil
	case "complete":
		return callback.Complete{Reason: b.ResolutionReason, SummaryID: text(book.TextCallSummary, b.CallSummary)}, nil
	case "cancel":
		return callback.Cancel{TextID: text(book.TextReason, b.Reason)}, nil
	}
	return nil, callback.Refused(callback.CodeNotFound)
}

// CustomerCalled implements connectors.Desk.
func (d *Desk) CustomerCalled(_ context.Context, connector, key, callbackID, note string) error {
	return d.tell("customer called", connector, key, callbackID, func(p *promised) {
		id := ""
		if note != "" {
			id = uuid.Must(uuid.NewV7()).String()
			p.texts[id] = book.Text{ID: id, CallbackID: callbackID, Kind: book.TextNote, Author: "system:" + connector, Body: note}
		}
		p.happened(p.state.CustomerCalls(p.policy, "system:"+connector, id, d.clock(), p.policy.Calendar))
	})
}

// TagMissing implements connectors.Desk.
func (d *Desk) TagMissing(_ context.Context, connector, callbackID string) error {
	return d.tell("tag missing", connector, "", callbackID, func(p *promised) {
		p.happened(p.state.TagMissing(p.policy, "system:"+connector, d.clock(), p.policy.Calendar))
	})
}

func (d *Desk) tell(what, connector, key, callbackID string, f func(*promised)) error {
	if err := d.ask(what); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if key != "" {
		key = connector + "\n" + what + "\n" + key
		if _, known := d.keys[key]; known {
			return nil
		}
		d.remember(key, callbackID)
	}
	p, known := d.cases[callbackID]
	switch {
	case !known:
		return callback.Refused(callback.CodeNotFound)
	case p.state.Status.Closed():
		return callback.Refused(callback.CodeClosed)
	}
	f(p)
	return nil
}

// Callbacks implements connectors.Desk.
func (d *Desk) Callbacks(_ context.Context, system, ref string) ([]book.View, error) {
	if err := d.ask("callbacks"); err != nil {
		return nil, err
	}
	var found []book.View
	d.each(func(v book.View) {
		if s := v.Intake.Source; s != nil && s.System == system && s.Ref == ref {
			found = append(found, v)
		}
	})
	slices.Reverse(found)
	return found, nil
}

// Open implements connectors.Desk.
func (d *Desk) Open(_ context.Context, system string, f func(book.View) error) error {
	if err := d.ask("open"); err != nil {
		return err
	}
	var open []book.View
	d.each(func(v book.View) {
		if s := v.Intake.Source; s != nil && s.System == system && !v.State.Status.Closed() {
			open = append(open, v)
		}
	})
	for _, v := range open {
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) each(f func(book.View)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range d.order {
		f(d.cases[id].view())
	}
}

func (p *promised) view() book.View { return book.View{State: p.state.Clone(), Intake: p.intake} }

// Staff implements connectors.Desk.
func (d *Desk) Staff(context.Context) ([]book.Staff, error) {
	return d.People, d.ask("staff")
}

// All are the callbacks, the oldest first.
func (d *Desk) All() []book.View {
	var all []book.View
	d.each(func(v book.View) { all = append(all, v) })
	return all
}

// View is one callback.
func (d *Desk) View(callbackID string) book.View {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cases[callbackID].view()
}

// Events are what happened to a callback so far.
func (d *Desk) Events(callbackID string) []callback.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.cases[callbackID].events)
}

// Text is what somebody wrote.
func (d *Desk) Text(callbackID, id string) book.Text {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cases[callbackID].texts[id]
}

// Deliver gives a connector, callback by callback, every event that it wants and
// does not have yet, in order, as the desk does. It goes on with the next
// callback where something stays owed, and returns what does, joined; each of
// them can be had with errors.As.
func (d *Desk) Deliver(ctx context.Context, to connectors.Connector) error {
	d.mu.Lock()
	ids := slices.Clone(d.order)
	d.mu.Unlock()
	var owed []error
	for _, id := range ids {
		if err := d.DeliverOne(ctx, to, id); err != nil {
			owed = append(owed, fmt.Errorf("callback %s: %w", id, err))
		}
	}
	return errors.Join(owed...)
}

// DeliverOne is Deliver for one callback.
func (d *Desk) DeliverOne(ctx context.Context, to connectors.Connector, callbackID string) error {
	for {
		next, some := d.next(to, callbackID)
		if !some {
			return nil
		}
		if err := to.Deliver(ctx, next); err != nil {
			return err
		}
		d.delivered(to.Name(), callbackID, next.Event.Seq)
	}
}

// Skip gives up on the next event that a connector is owed, as a person who waives it does.
func (d *Desk) Skip(to connectors.Connector, callbackID string) {
	if next, some := d.next(to, callbackID); some {
		d.delivered(to.Name(), callbackID, next.Event.Seq)
	}
}

func (d *Desk) delivered(destination, callbackID string, seq int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cases[callbackID].reached[destination] = seq
}

// next is the next delivery of a callback to a connector.
func (d *Desk) next(to connectors.Connector, callbackID string) (connectors.Delivery, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.cases[callbackID]
	if !to.Wants(p.intake, p.policy) {
		return connectors.Delivery{}, false
	}
	types := to.Types()
	for i, e := range p.events {
		if e.Seq <= p.reached[to.Name()] || !slices.Contains(types, e.Fact.Type()) {
			continue
		}
		state, err := callback.Fold(nil, p.events[:i+1])
		if err != nil {
			panic(err) // they were folded before
		}
		next := connectors.Delivery{
			OperationID: connectors.OperationID(callbackID, to.Name(), e.Seq), Event: e,
			Callback: state, Latest: p.state.Clone(), Intake: p.intake, Policy: p.policy,
		}
		next.Again = p.tried[next.OperationID]
		p.tried[next.OperationID] = true
		if text, named := p.texts[textID(e)]; named {
			next.Text = &text
		}
		if at := slices.IndexFunc(d.People, func(s book.Staff) bool { return s.ID == e.Actor }); at >= 0 {
			author := d.People[at]
			next.Author = &author
		}
		return next, true
	}
	return connectors.Delivery{}, false
}

// textID is the text that an event names.
func textID(e callback.Event) string {
	var named struct {
		TextID string `json:"text_id"`
	}
	raw, err := json.Marshal(e.Fact)
	if err != nil || json.Unmarshal(raw, &named) != nil {
		return ""
	}
	return named.TextID
}
