package connectortest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
)

// Desk is a connectors.Desk in memory. What may happen is for the rules of
// package callback to say; nothing happens by time alone unless Tick is called.
type Desk struct {
	now func() time.Time

	mu       sync.Mutex
	policies map[string]*callback.Policy
	staff    []book.Staff
	records  map[string]*record
	order    []string // ids, oldest first
	promised map[string]promised
	done     map[string]string // key of a command: its body
	fail     error
	missing  map[string]time.Time
}

// promised is what a key was used for.
type promised struct{ id, said string }

// record is one callback with all that happened to it.
type record struct {
	policy *callback.Policy
	state  *callback.Callback
	intake book.Intake
	was    book.Source // what the source was before an erasure
	events []callback.Event
	after  []*callback.Callback // the state after each event
	texts  map[string]book.Text
	sent   map[string]int  // deliveries done, by destination
	tried  map[string]bool // by operation id
}

// NewDesk returns a desk with these policies, on which nothing has been promised.
func NewDesk(now func() time.Time, policies ...*callback.Policy) *Desk {
	d := &Desk{
		now: now, policies: map[string]*callback.Policy{}, records: map[string]*record{}, promised: map[string]promised{},
		done: map[string]string{}, missing: map[string]time.Time{},
	}
	for _, p := range policies {
		d.policies[p.Name] = p
	}
	return d
}

// Hire makes these people part of the staff; somebody of the same ID is replaced.
func (d *Desk) Hire(people ...book.Staff) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range people {
		d.staff = slices.DeleteFunc(d.staff, func(s book.Staff) bool { return s.ID == p.ID })
		d.staff = append(d.staff, p)
	}
}

// Fail makes every call of connectors fail with err, until it is nil.
func (d *Desk) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// View is one callback as it is now.
func (d *Desk) View(id string) book.View {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, found := d.records[id]
	if !found {
		return book.View{State: &callback.Callback{}}
	}
	return r.view()
}

// Events are what happened to one callback.
func (d *Desk) Events(id string) []callback.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, found := d.records[id]; found {
		return slices.Clone(r.events)
	}
	return nil
}

// Count says how many events of a type happened to one callback.
func (d *Desk) Count(id string, t callback.EventType) (n int) {
	for _, e := range d.Events(id) {
		if e.Fact.Type() == t {
			n++
		}
	}
	return n
}

// All are the ids of all callbacks, oldest first.
func (d *Desk) All() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.order)
}

// Erase forgets the text of one callback, as erasing its customer does.
func (d *Desk) Erase(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.records[id].texts)
}

// EraseCustomer empties all that was asked and said of one callback, and forgets the
// key under which it was promised, as an erasure and a month do: its source
// is known only to who asks for its callbacks.
func (d *Desk) EraseCustomer(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.records[id]
	clear(r.texts)
	if r.intake.Source != nil {
		r.was = *r.intake.Source
	}
	r.intake = book.Intake{
		CallbackID: id, Policy: r.intake.Policy, PolicyHash: r.intake.PolicyHash, RequestedBy: r.intake.RequestedBy, RequestedAt: r.intake.RequestedAt,
		Erased: &book.Erasure{By: "admin1", At: callback.At(d.now()), Ground: book.GroundRequest, After: r.state.Version},
	}
	maps.DeleteFunc(d.promised, func(_ string, p promised) bool { return p.id == id })
}

// Tick lets the clock act on every open callback: deadlines, warnings, reminders.
func (d *Desk) Tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range d.order {
		r := d.records[id]
		r.took(r.state.Advance(r.policy, d.now(), clockTime{}))
	}
}

// Promise implements connectors.Desk.
func (d *Desk) Promise(_ context.Context, connector, key string, c connectors.Promise) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return "", d.fail
	}
	said, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	if before, found := d.promised[connector+"\n"+key]; found {
		if before.said != string(said) {
			return "", &callback.Fault{Code: callback.CodeIdempotencyKeyReused, Detail: "the key was used for another body"}
		}
		return before.id, nil
	}
	p, err := d.pinned(&c)
	if err != nil {
		return "", err
	}
	for _, id := range d.order {
		r := d.records[id]
		if in := r.intake; in.Policy == c.Policy && in.Source != nil && in.Source.Ref == c.Source.Ref &&
			in.Source.System == c.Source.System && !r.state.Status.Closed() {
			return "", &callback.Fault{Code: callback.CodeDuplicate, Rule: "R14", Detail: "there is one already", Existing: id}
		}
	}
	by := "system:" + connector
	id := uuid.Must(uuid.NewV7()).String()
	at := callback.At(d.now())
	r := &record{policy: p, texts: map[string]book.Text{}, sent: map[string]int{}, tried: map[string]bool{}}
	source := c.Source
	r.intake = book.Intake{
		CallbackID: id, Policy: p.Name, Customer: c.Customer, Reason: c.Reason, Source: &source, LOB: c.LOB,
		Fields: c.Fields, Parent: c.Parent, RequestedBy: by, RequestedAt: at,
	}
	if source == (book.Source{}) {
		r.intake.Source = nil
	}
	r.state = &callback.Callback{}
	_, events := callback.Open(p, callback.Request{ID: id, By: by, At: at, Parent: c.Parent}, clockTime{})
	r.fold(events)
	d.records[id] = r
	d.order = append(d.order, id)
	d.promised[connector+"\n"+key] = promised{id, string(said)}
	return id, nil
}

// pinned checks a promise as the API does and returns the policy as it will carry it.
func (d *Desk) pinned(c *connectors.Promise) (*callback.Policy, error) {
	p, known := d.policies[c.Policy]
	switch {
	case !known:
		return nil, &callback.Fault{Code: callback.CodeUnknownPolicy, Detail: "there is no such policy"}
	case strings.TrimSpace(c.Customer.Name) == "":
		return nil, callback.Invalid("customer.name", "expected some text")
	case c.Customer.Phone == "" && c.Customer.Email == "":
		return nil, callback.Invalid("customer.phone", "expected a phone number or an e-mail address")
	case c.Customer.Phone != "" && !e164.MatchString(c.Customer.Phone):
		return nil, callback.Invalid("customer.phone", "expected a phone number in E.164")
	}
	if wrong := p.CheckFields(c.Fields); len(wrong) > 0 {
		return nil, &callback.Fault{Code: callback.CodeInvalid, Detail: "fields", Errors: wrong}
	}
	p = p.Pin(c.LOB, "")
	if c.Queue != "" {
		p.Ladder[0].Queue = c.Queue
	}
	if c.AssignTo != "" {
		p.Ladder[0].Assign, p.Ladder[0].AssignTo = callback.AssignDirect, c.AssignTo
	}
	return p, nil
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// Do implements connectors.Desk.
func (d *Desk) Do(_ context.Context, key, staffID, callbackID, name string, body any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	r, found := d.records[callbackID]
	if !found {
		return &callback.Fault{Code: callback.CodeNotFound, Detail: "there is no such callback"}
	}
	said, err := json.Marshal(body)
	if err != nil {
		return err
	}
	scope := staffID + "\n" + callbackID + "\n" + name + "\n" + key
	if before, given := d.done[scope]; given {
		if before != string(said) {
			return &callback.Fault{Code: callback.CodeIdempotencyKeyReused, Detail: "the key was used for another body"}
		}
		return nil
	}
	by, text := d.person(staffID), func(kind book.TextKind, body string) string {
		if body == "" {
			return ""
		}
		id := uuid.Must(uuid.NewV7()).String()
		r.texts[id] = book.Text{
			ID: id, CallbackID: callbackID, Kind: kind, Author: staffID, Body: body, CreatedAt: callback.At(d.now()),
		}
		return id
	}
	cmd, err := d.command(name, said, text)
	if err != nil {
		return err
	}
	next := r.state.Clone()
	events, fault := next.Do(r.policy, cmd, by, d.now(), clockTime{})
	if fault != nil {
		return fault
	}
	r.fold(events)
	d.done[scope] = string(said)
	return nil
}

// command reads the body of POST /v1/callbacks/{id}/NAME.
func (d *Desk) command(name string, said []byte, text func(book.TextKind, string) string) (callback.Command, error) {
	var b struct {
		Disposition      string           `json:"disposition"`
		Note             string           `json:"note"`
		Kind             string           `json:"kind"`
		Body             string           `json:"body"`
		Reason           string           `json:"reason"`
		To               string           `json:"to"`
		Until            callback.Instant `json:"until"`
		ScheduledFor     callback.Instant `json:"scheduled_for"`
		ResolutionReason string           `json:"resolution_reason"`
		CallSummary      string           `json:"call_summary"`
	}
	if err := json.Unmarshal(said, &b); err != nil {
		return nil, &callback.Fault{Code: callback.CodeMalformed, Detail: "expected a JSON object"}
	}
	switch name {
	case "claim":
		return callback.Claim{}, nil
	case "start":
		return callback.Start{}, nil
	case "attempts":
		return callback.Attempt{Disposition: callback.Disposition(b.Disposition), TextID: text(book.TextNote, b.Note)}, nil
	case "notes":
		return callback.Note{Kind: callback.NoteKind(b.Kind), TextID: text(book.TextKind(b.Kind), b.Body)}, nil
	case "escalate":
		return callback.Escalate{TextID: text(book.TextReason, b.Reason)}, nil
	case "reassign":
		return callback.Reassign{To: d.person(b.To), TextID: text(book.TextReason, b.Reason)}, nil
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
	return nil, &callback.Fault{Code: callback.CodeNotFound, Detail: "there is no such command"}
}

func (d *Desk) person(id string) callback.Person {
	for _, s := range d.staff {
		if s.ID == id {
			return callback.Person{
				ID: s.ID, Rank: s.Rank, Queues: s.Queues,
				Auditor: slices.Contains(s.Roles, "auditor"), Admin: slices.Contains(s.Roles, "admin"),
			}
		}
	}
	return callback.Person{}
}

// CustomerCalled implements connectors.Desk.
func (d *Desk) CustomerCalled(_ context.Context, connector, key, callbackID, note string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	r, found := d.records[callbackID]
	if !found {
		return &callback.Fault{Code: callback.CodeNotFound, Detail: "there is no such callback"}
	}
	scope := connector + "\n" + callbackID + "\ncustomer-called\n" + key
	if _, given := d.done[scope]; given {
		return nil
	}
	if r.state.Status.Closed() {
		return closed()
	}
	d.done[scope] = note
	textID := ""
	if note != "" {
		textID = uuid.Must(uuid.NewV7()).String()
		r.texts[textID] = book.Text{ID: textID, CallbackID: callbackID, Kind: book.TextNote, Author: "system:" + connector, Body: note}
	}
	r.took(r.state.CustomerCalls(r.policy, "system:"+connector, textID, d.now(), clockTime{}))
	return nil
}

// TagMissing implements connectors.Desk: it is told once a minute, and refused
// where the callback is closed.
func (d *Desk) TagMissing(_ context.Context, connector, callbackID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	r, found := d.records[callbackID]
	if !found {
		return &callback.Fault{Code: callback.CodeNotFound, Detail: "there is no such callback"}
	}
	if r.state.Status.Closed() {
		return closed()
	}
	told, ever := d.missing[callbackID]
	if r.policy.Tag.Required == "" || ever && d.now().Sub(told) < time.Minute {
		return nil
	}
	d.missing[callbackID] = d.now()
	r.fold([]callback.Event{{
		Seq: r.state.Version + 1, At: callback.At(d.now()), Actor: "system:" + connector, Tier: r.state.Tier, Rule: "R09",
		Fact: &callback.Tagged{Tag: r.policy.Tag.Required},
	}})
	tags := slices.Compact(slices.Sorted(slices.Values(r.state.Tags)))
	r.state.Tags, r.last().Tags = tags, slices.Clone(tags)
	return nil
}

// Callbacks implements connectors.Desk.
func (d *Desk) Callbacks(_ context.Context, system, ref string) ([]book.View, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	var found []book.View
	for _, id := range slices.Backward(d.order) {
		s := d.records[id].was
		if d.records[id].intake.Source != nil {
			s = *d.records[id].intake.Source
		}
		if s.System == system && s.Ref == ref {
			found = append(found, d.records[id].view())
		}
	}
	return found, nil
}

// Open implements connectors.Desk.
func (d *Desk) Open(_ context.Context, system string, f func(book.View) error) error {
	d.mu.Lock()
	if d.fail != nil {
		defer d.mu.Unlock()
		return d.fail
	}
	var found []book.View
	for _, id := range d.order {
		r := d.records[id]
		if s := r.intake.Source; s != nil && s.System == system && !r.state.Status.Closed() {
			found = append(found, r.view())
		}
	}
	d.mu.Unlock()
	for _, v := range found {
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

// Staff implements connectors.Desk.
func (d *Desk) Staff(context.Context) ([]book.Staff, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	return slices.Clone(d.staff), nil
}

// Deliver brings what a connector has not been given yet of one callback, in
// order, as the outbox does: the first that is owed ends it, and is tried again
// with the same operation id when it is called again.
func (d *Desk) Deliver(ctx context.Context, c connectors.Connector, id string) error {
	for {
		next, ok := d.next(c, id)
		if !ok {
			return nil
		}
		if err := c.Deliver(ctx, next); err != nil {
			return fmt.Errorf("event %d (%s): %w", next.Event.Seq, next.Event.Fact.Type(), err)
		}
		d.Waive(c, id)
	}
}

// DeliverAll brings everything of every callback; the errors are those of Deliver.
func (d *Desk) DeliverAll(ctx context.Context, c connectors.Connector) error {
	var all []error
	for _, id := range d.All() {
		all = append(all, d.Deliver(ctx, c, id))
	}
	return errors.Join(all...)
}

// Waive counts the next delivery of one callback as done.
func (d *Desk) Waive(c connectors.Connector, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[id].sent[c.Name()]++
}

// next is the delivery that comes next, with everything that the outbox gives.
func (d *Desk) next(c connectors.Connector, id string) (connectors.Delivery, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, found := d.records[id]
	if !found || !c.Wants(r.intake, r.policy) {
		return connectors.Delivery{}, false
	}
	for r.sent[c.Name()] < len(r.events) && !slices.Contains(c.Types(), r.events[r.sent[c.Name()]].Fact.Type()) {
		r.sent[c.Name()]++
	}
	i := r.sent[c.Name()]
	if i >= len(r.events) {
		return connectors.Delivery{}, false
	}
	e := r.events[i]
	op := connectors.OperationID(id, c.Name(), e.Seq)
	next := connectors.Delivery{
		OperationID: op, Event: e, Again: r.tried[op],
		Callback: r.after[i].Clone(), Latest: r.state.Clone(), Intake: r.intake, Policy: r.policy,
	}
	r.tried[op] = true
	if text, found := r.texts[textID(e.Fact)]; found {
		next.Text = &text
	}
	for _, s := range d.staff {
		if s.ID == e.Actor {
			next.Author = &s
		}
	}
	return next, true
}

func closed() error {
	return &callback.Fault{Code: callback.CodeClosed, Rule: "R09", Detail: "this callback is closed: nothing can happen to it any more"}
}

// textID is what a fact calls text_id.
func textID(f callback.Fact) string {
	var named struct {
		TextID string `json:"text_id"`
	}
	b, err := json.Marshal(f)
	if err != nil || json.Unmarshal(b, &named) != nil {
		return ""
	}
	return named.TextID
}

func (r *record) view() book.View { return book.View{State: r.state.Clone(), Intake: r.intake} }

// took keeps events that are applied to the state already.
func (r *record) took(events []callback.Event) {
	for _, e := range events {
		after, err := callback.Fold(r.last(), []callback.Event{e})
		if err != nil {
			panic("connectortest: " + err.Error()) // the rules made them: they follow
		}
		r.events, r.after = append(r.events, e), append(r.after, after)
	}
}

// fold keeps events and applies them.
func (r *record) fold(events []callback.Event) {
	r.took(events)
	if last := r.last(); last != nil {
		r.state = last.Clone()
	}
}

func (r *record) last() *callback.Callback {
	if len(r.after) == 0 {
		return nil
	}
	return r.after[len(r.after)-1]
}

// clockTime counts around the clock.
type clockTime struct{}

// Instants implements callback.Worktime.
func (clockTime) Instants(from time.Time, after ...callback.Duration) []time.Time {
	at := make([]time.Time, len(after))
	for i, d := range after {
		at[i] = from.Add(time.Duration(d))
	}
	return at
}

// Spans implements callback.Worktime.
func (clockTime) Spans(from time.Time, to ...time.Time) []callback.Duration {
	spans := make([]callback.Duration, len(to))
	for i, t := range to {
		spans[i] = callback.Duration(max(t.Sub(from), 0))
	}
	return spans
}

// Phone is a valid number of nobody; each n has its own.
func Phone(n int) string { return "+9198765" + strconv.Itoa(43210+n) }
