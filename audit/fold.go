package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"ringback/callback"
	"ringback/contract"
)

// A folder walks transcripts and computes with the rules alone what follows:
// what the workflow's code is not asked about. Within one task the workflow may
// take what has arrived in any order; the folder takes the one that leads to
// the timeline, if there is one.
type folder struct {
	converter converter.DataConverter
	// timeline is what must come out, entry by entry.
	timeline []json.RawMessage
	run      int // counts from 1
	policy   *callback.Policy
	state    *callback.Callback
	alarms   map[string]callback.Instant // timers that are set, with when they ring
	draws    map[int64]*pendingDraw
	outboxes []*outbox
	// heard is what must not take effect once more.
	heard contract.Memory
	// drifted: today's calendar would compute another deadline than was recorded.
	drifted bool
}

type pendingDraw struct {
	contract.DrawRequest
	calledOff bool
}

// fold walks the next run. The error names the first thing that does not follow.
func (f *folder) fold(t *transcript) error {
	f.run++
	f.policy = t.input.Policy
	f.alarms, f.draws = map[string]callback.Instant{}, map[int64]*pendingDraw{}
	if err := f.begin(t); err != nil {
		return err
	}
	if err := f.openOutboxes(t); err != nil {
		return err
	}
	for i := range t.tasks {
		last := i == len(t.tasks)-1
		if err := f.task(t, &t.tasks[i], i == 0, last && t.end == endContinued); err != nil {
			return err
		}
	}
	return f.ended(t)
}

// begin takes up what an earlier run handed over.
func (f *folder) begin(t *transcript) error {
	c := t.input.Carried
	if c == nil {
		if f.run > 1 {
			return wrong("run %d begins anew instead of taking up the callback", f.run)
		}
		return nil
	}
	var carried callback.Callback
	if json.Unmarshal(c.State, &carried) != nil {
		return wrong("run %d: the state that was carried over cannot be read", f.run)
	}
	if f.state != nil {
		if err := f.isCarried(c.State, "taken up"); err != nil {
			return err
		}
	}
	if f.state != nil && !f.remembers(c.Heard) {
		return wrong("run %d: what was taken up of what had been heard differs from the history", f.run)
	}
	f.state, f.heard = &carried, c.Heard
	return nil
}

// remembers reports whether this is what the runs so far have heard, in any
// order within one task; older code remembered nothing.
func (f *folder) remembers(heard contract.Memory) bool {
	byID := func(a, b contract.Heard) int { return strings.Compare(a.ID, b.ID) }
	sorted := func(m contract.Memory) contract.Memory { return slices.SortedFunc(slices.Values(m), byID) }
	return heard == nil || slices.Equal(sorted(heard), sorted(f.heard))
}

func (f *folder) isCarried(state json.RawMessage, how string) error {
	have, err := json.Marshal(f.state)
	if err != nil {
		return err
	}
	if where, differ := difference(have, state); differ {
		return wrong("run %d: the state that was %s differs from what the rules make of the history: %s", f.run, how, where)
	}
	return nil
}

// task brings about everything that happened in one task.
func (f *folder) task(t *transcript, now *task, first, last bool) error {
	work := &recorded{converter: f.converter, values: now.computed, calendar: f.policy.Calendar}
	from := int64(-1)
	if f.state != nil {
		from = f.state.Version
	}
	if first && t.input.Carried == nil {
		var events []callback.Event
		f.state, events = callback.Open(f.policy, t.input.Request, work)
		if work.failed || !f.follow(events) {
			return wrong("run %d: the promise does not follow from the request", f.run)
		}
	}
	rang := false
	for _, id := range now.fired {
		if _, set := f.alarms[id]; set {
			delete(f.alarms, id)
			rang = true
		}
	}
	left := arrivals{signals: now.signals, drawn: now.drawn, orders: now.orders, brought: now.brought, void: map[int64]bool{}}
	for {
		if f.takeOne(&left, now, work) || f.tell(now, work) {
			continue
		}
		// The clock is looked at when it rang and after everything that happened.
		if (rang || first || f.state.Version != from) && f.advance(now, work) {
			continue
		}
		break
	}
	if err := f.leftOver(&left); err != nil {
		return err
	}
	if rang || first || f.state.Version != from {
		if due := f.state.Clone().Advance(f.policy, now.now, f.policy.Calendar); !last && len(due) > 0 {
			return wrong("run %d, event %d: %s was due and did not happen", f.run, now.at, due[0].Fact.Type())
		}
	}
	if work.next != len(work.values) {
		return wrong("run %d, event %d: a deadline was computed that nothing needs", f.run, now.at)
	}
	f.drifted = f.drifted || work.drifted
	if err := f.drawing(now); err != nil {
		return err
	}
	if err := f.delivering(now, last); err != nil {
		return err
	}
	return f.alarm(now, last)
}

// arrivals are what a task has not dealt with yet.
type arrivals struct {
	signals []signal
	drawn   []drawn
	orders  []order
	brought []brought
	// void are the signals that would have brought nothing about at some point of the
	// task, by their event: they said what was known, or over.
	void map[int64]bool
}

// takeOne deals with one of them that leads to the next timeline entries.
func (f *folder) takeOne(left *arrivals, now *task, work *recorded) bool {
	if len(left.orders) > 0 {
		if f.order(&left.orders[0], now, work) {
			left.orders = left.orders[1:]
			return true
		}
	}
	for i, heard := range left.signals {
		if f.mustWait(left, i, now) {
			continue // those of a name come in order
		}
		if f.try(work, func(c *callback.Callback, w callback.Worktime) []callback.Event {
			return heard.hear(c, f.policy, now.now, w)
		}) {
			f.heard = f.heard.With(contract.Heard{ID: heard.operation, Version: f.state.Version})
			left.signals = slices.Delete(slices.Clone(left.signals), i, i+1)
			return true
		}
	}
	for i, d := range left.brought {
		if f.bring(d, now, work) {
			left.brought = slices.Delete(slices.Clone(left.brought), i, i+1)
			return true
		}
	}
	for i, d := range left.drawn {
		if f.try(work, func(c *callback.Callback, w callback.Worktime) []callback.Event {
			return c.Assign(f.policy, d.draw, now.now, w)
		}) {
			left.drawn = slices.Delete(slices.Clone(left.drawn), i, i+1)
			return true
		}
	}
	return false
}

// mustWait reports whether a signal comes after one of its name that still has
// to bring something about; it notes which would not, as things stand.
func (f *folder) mustWait(left *arrivals, i int, now *task) bool {
	s := left.signals[i]
	if len(s.hear(f.state.Clone(), f.policy, now.now, f.policy.Calendar)) == 0 {
		left.void[s.at] = true
	}
	return slices.ContainsFunc(left.signals[:i], func(before signal) bool {
		return before.name == s.name && !left.void[before.at]
	})
}

// order deals with one update, as its handler did.
func (f *folder) order(o *order, now *task, work *recorded) bool {
	if o.create != nil {
		if o.outcome == nil || o.outcome.Version != f.state.Version {
			return false
		}
		if o.first == nil {
			f.hear(o)
		}
		return true
	}
	if o.first != nil {
		return o.outcome != nil && o.outcome.Version == o.first.Version && o.digest == o.first.Digest
	}
	c := f.state.Clone()
	w := *work
	var events []callback.Event
	var refusal *callback.Fault
	if o.version != 0 && o.version != c.Version {
		refusal = callback.Refused(callback.CodeStaleVersion)
	} else {
		events, refusal = c.Do(f.policy, o.command, o.by, now.now, &w)
	}
	switch {
	case w.failed:
		return false
	case o.outcome == nil:
		return refusal != nil && o.refusal != nil && refusal.Code == o.refusal.Code
	case refusal != nil || c.Version != o.outcome.Version || !f.follow(events):
		return false
	}
	f.state, *work = c, w
	f.hear(o)
	return true
}

func (f *folder) hear(o *order) {
	f.heard = f.heard.With(contract.Heard{ID: o.id, Digest: o.digest, Version: f.state.Version})
}

// advance lets the clock act.
func (f *folder) advance(now *task, work *recorded) bool {
	version := f.state.Version
	return f.try(work, func(c *callback.Callback, w callback.Worktime) []callback.Event {
		return c.Advance(f.policy, now.now, w)
	}) && f.state.Version != version
}

// try takes a step if it leads to the next timeline entries, or to none where
// none is due.
func (f *folder) try(work *recorded, step func(*callback.Callback, callback.Worktime) []callback.Event) bool {
	c, w := f.state.Clone(), *work
	events := step(c, &w)
	if w.failed || !f.follow(events) || len(events) == 0 && !c.Status.Closed() {
		return false
	}
	f.state, *work = c, w
	return true
}

// follow reports whether the events are the next entries of the timeline.
func (f *folder) follow(events []callback.Event) bool {
	for _, e := range events {
		if e.Seq < 1 || e.Seq > int64(len(f.timeline)) {
			return false
		}
		entry, err := json.Marshal(e)
		if err != nil || !bytes.Equal(entry, f.timeline[e.Seq-1]) {
			return false
		}
	}
	return true
}

// leftOver names what arrived and had no effect though it should have had one.
func (f *folder) leftOver(left *arrivals) error {
	switch {
	case len(left.orders) > 0:
		return wrong("run %d, event %d: the outcome of %s does not follow from it by the rules", f.run, left.orders[0].at, left.orders[0].name)
	case len(left.brought) > 0:
		return wrong("run %d, event %d: what became of a delivery is not on the timeline", f.run, left.brought[0].at)
	}
	for _, s := range left.signals {
		if !left.void[s.at] {
			return wrong("run %d, event %d: %s was told, and nothing came of it", f.run, s.at, s.name)
		}
	}
	for _, d := range left.drawn {
		asked := f.draws[d.scheduledAt]
		if asked != nil && !asked.calledOff && asked.Queue == f.state.Queue && f.state.WantsDraw(f.policy) {
			return wrong("run %d, event %d: somebody was drawn and not assigned", f.run, d.at)
		}
	}
	return nil
}

// drawing checks the draws that a task asked for, and notes those it called off.
func (f *folder) drawing(now *task) error {
	for _, d := range now.drawn {
		asked := f.draws[d.scheduledAt]
		if asked == nil || d.draw.ID != asked.ID() || !slices.Contains(d.draw.Candidates, d.draw.To) {
			return wrong("run %d, event %d: a draw gave somebody who was no candidate", f.run, d.at)
		}
	}
	for _, d := range now.draws {
		r := d.request
		known := slices.ContainsFunc(f.policy.Ladder, func(s callback.Step) bool {
			return s.Tier == r.Tier && s.Queue == r.Queue && s.Assign == r.Method
		})
		if !known || r.Version > f.state.Version || r.At != callback.At(now.now) {
			return wrong("run %d, event %d: a draw was asked for that the policy does not want", f.run, d.at)
		}
		f.draws[d.at] = &pendingDraw{DrawRequest: r}
	}
	for _, at := range now.calledOf {
		if d := f.draws[at]; d != nil {
			d.calledOff = true
		}
	}
	return nil
}

// alarm checks that after a task the one timer of the callback is set for the
// next instant at which time alone brings something about (R02, R27).
func (f *folder) alarm(now *task, last bool) error {
	for _, id := range now.stopped {
		delete(f.alarms, id)
	}
	for _, a := range now.alarms {
		f.alarms[a.timer] = callback.At(now.now.Add(a.after))
		if !f.alarms[a.timer].Equal(now.now.Add(a.after)) {
			return wrong("run %d, event %d: the timer is set for an instant that is no deadline", f.run, a.at)
		}
	}
	if last || f.state.Status.Closed() {
		return nil
	}
	next, some := f.state.Next()
	set := make([]callback.Instant, 0, 1)
	for _, at := range f.alarms {
		set = append(set, at)
	}
	switch {
	case !some && len(set) == 0, some && len(set) == 1 && set[0] == next:
		return nil
	case !some:
		return wrong("run %d, event %d: a timer is set though nothing is due", f.run, now.at)
	case len(set) == 0:
		return wrong("run %d, event %d: no timer is set for %s", f.run, now.at, f.state.NextIs())
	}
	return wrong("run %d, event %d: the timer for %s is not set for the instant at which it is due", f.run, now.at, f.state.NextIs())
}

// ended checks the end of a run.
func (f *folder) ended(t *transcript) error {
	closed := f.state != nil && f.state.Status.Closed()
	switch t.end {
	case endCompleted:
		if !closed {
			return wrong("run %d: the workflow ended while the callback is open", f.run)
		}
		return f.drained()
	case endContinued:
		if closed {
			return wrong("run %d: a closed callback was carried over", f.run)
		}
		if err := f.handedOver(t); err != nil {
			return err
		}
		if !f.remembers(t.next.Carried.Heard) {
			return wrong("run %d: what was handed over of what had been heard differs from the history", f.run)
		}
		return f.isCarried(t.next.Carried.State, "handed over")
	case endOther:
		return wrong("run %d: the workflow was ended from outside, not by the callback's end", f.run)
	case endNone:
	}
	return nil
}

// recorded is a calendar whose answers were recorded.
type recorded struct {
	converter converter.DataConverter
	calendar  *callback.Calendar
	values    []*commonpb.Payloads
	next      int
	failed    bool // it was asked for what was not recorded
	drifted   bool // today's calendar says otherwise
}

// Instants implements callback.Worktime.
func (w *recorded) Instants(from time.Time, after ...callback.Duration) []time.Time {
	computed := w.calendar.Instants(from, after...)
	if w.calendar == nil {
		return computed // around the clock there is nothing to record
	}
	at := recall[time.Time](w, len(after))
	if at == nil {
		return computed
	}
	w.drifted = w.drifted || !slices.EqualFunc(at, computed, time.Time.Equal)
	return at
}

// Spans implements callback.Worktime.
func (w *recorded) Spans(from time.Time, to ...time.Time) []callback.Duration {
	computed := w.calendar.Spans(from, to...)
	if w.calendar == nil {
		return computed
	}
	spans := recall[callback.Duration](w, len(to))
	if spans == nil {
		return computed
	}
	w.drifted = w.drifted || !slices.Equal(spans, computed)
	return spans
}

// recall returns the next recorded value, nil where there is none of n members.
func recall[T any](w *recorded, n int) []T {
	if w.next >= len(w.values) || len(w.values[w.next].GetPayloads()) != 1 {
		w.failed = true
		return nil
	}
	var value []T
	if w.converter.FromPayload(w.values[w.next].Payloads[0], &value) != nil || len(value) != n {
		w.failed = true
		return nil
	}
	w.next++
	return value
}

// difference names where two JSON documents differ: a path of members, without
// their values.
func difference(a, b []byte) (path string, differ bool) {
	if bytes.Equal(a, b) {
		return "", false
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return "it cannot be read", true
	}
	path, differ = differs("", x, y)
	if !differ {
		return "it is written differently", true
	}
	if path == "" {
		path = "as a whole"
	}
	return path, true
}

func differs(at string, x, y any) (string, bool) {
	switch x := x.(type) {
	case map[string]any:
		y, same := y.(map[string]any)
		if !same {
			return at, true
		}
		names := map[string]bool{}
		for name := range x {
			names[name] = true
		}
		for name := range y {
			names[name] = true
		}
		sorted := make([]string, 0, len(names))
		for name := range names {
			sorted = append(sorted, name)
		}
		slices.Sort(sorted)
		for _, name := range sorted {
			if path, differ := differs(join(at, name), x[name], y[name]); differ {
				return path, true
			}
		}
		return "", false
	case []any:
		y, same := y.([]any)
		if !same || len(x) != len(y) {
			return at, true
		}
		for i := range x {
			if path, differ := differs(fmt.Sprintf("%s[%d]", at, i), x[i], y[i]); differ {
				return path, true
			}
		}
		return "", false
	}
	return at, x != y
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
