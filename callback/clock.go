package callback

import (
	"slices"
	"time"
)

// SystemLateness is how late after a deadline the clock may look before the
// miss is put down to a system that was not running, not to people (CONTRACT
// §4, late_by). A running engine is far inside it.
const SystemLateness = 2 * time.Second

// Request is what a promise is made from.
type Request struct {
	ID     string  `json:"id"`
	By     string  `json:"by"` // staff id, or "system:NAME"
	At     Instant `json:"at"`
	Parent string  `json:"parent,omitempty"` // R21
	// ScheduledFor is when the customer asked to be called; zero: now.
	ScheduledFor Instant `json:"scheduled_for,omitzero"`
	// Outage is one that affects it from the beginning (R23).
	Outage *OutageNews `json:"outage,omitempty"`
}

// Open makes the promise: the first events of a callback, and what they fold
// to. The policy must be pinned. The promise counts from the request, or from
// the time that the customer asked for (R02).
func Open(p *Policy, r Request, w Worktime) (*Callback, []Event) {
	c := &Callback{}
	t := c.turn(p, r.By, r.At.Time, w)
	from := r.At
	if !r.ScheduledFor.IsZero() {
		from = r.ScheduledFor
	}
	t.record("R02", &Requested{
		ID: r.ID, Policy: p.Name, Parent: r.Parent,
		Place: t.place(0), Promise: t.promiseFrom(from, &p.Ladder[0]),
	})
	if p.Tag.Required != "" {
		t.record("R03", &Tagged{Tag: p.Tag.Required})
	}
	if from == r.At {
		t.record("R03", &Queued{Queue: t.Queue})
		t.assignDirect()
	} else {
		t.record("", &Scheduled{For: r.ScheduledFor})
	}
	if r.Outage != nil {
		t.link(*r.Outage)
	}
	return t.Callback, t.commit(c)
}

// Next returns the next instant at which time alone brings something about;
// false where none will. Whoever waits sleeps until then and calls Advance.
func (c *Callback) Next() (Instant, bool) {
	next := c.nextAlarm()
	return next.at, next.of != ""
}

// NextIs says in a word what comes at Next; empty where nothing does.
func (c *Callback) NextIs() string { return c.nextAlarm().of }

type alarm struct {
	at Instant
	of string
}

func (c *Callback) nextAlarm() alarm {
	if c.Status.Closed() {
		return alarm{}
	}
	if c.Hold != nil {
		return alarm{c.Hold.Until, "end of hold"}
	}
	var next alarm
	for _, a := range c.alarms() {
		if !a.at.IsZero() && (next.of == "" || a.at.Before(next.at.Time)) {
			next = a
		}
	}
	return next
}

// alarms are all that may come next; an instant that is not set is none.
func (c *Callback) alarms() [5]alarm {
	alarms := [5]alarm{{c.StartBy, "release"}, {c.ChaseAt, "reminder"}}
	if c.Status == StatusScheduled {
		alarms[2] = alarm{c.ScheduledFor, "opening"}
	}
	if len(c.WarnAt) > 0 {
		alarms[3] = alarm{c.WarnAt[0], "warning"}
	}
	if c.running() {
		alarms[4] = alarm{c.DueAt, "deadline"}
	}
	return alarms
}

// running reports whether the promise of this tier can still be missed.
func (c *Callback) running() bool { return c.ContactedAt.IsZero() && !c.Breached }

// Advance brings about what is due at now and returns it; nothing where nothing
// is. It never acts before an instant (R27) and never moves a promise by being
// late (R02). Of what fell due while nobody looked, it leaves out what a breach
// has overtaken: its warnings, and a start that was waited for.
func (c *Callback) Advance(p *Policy, now time.Time, w Worktime) []Event {
	t := c.turn(p, ActorClock, now, w)
	t.advance()
	if len(t.events) == 0 {
		return nil
	}
	return t.commit(c)
}

func (t *turn) advance() {
	actor := t.actor
	t.actor = ActorClock
	defer func() { t.actor = actor }()
	for {
		next, ok := t.Next()
		if !ok || !next.Reached(t.now) {
			return
		}
		t.alarm()
	}
}

// alarm brings about the one thing that comes first of what is due.
func (t *turn) alarm() {
	switch {
	case t.Hold != nil:
		// The promise for `until` was fixed when the hold began: waking late moves nothing.
		t.resume(t.Hold.Until, Promise{DueAt: t.DueAt, WarnAt: t.WarnAt})
	case t.Status == StatusScheduled && t.ScheduledFor.Reached(t.now):
		t.record("R03", &Queued{Queue: t.Queue})
		t.assignDirect()
	case t.running() && t.DueAt.Reached(t.now):
		t.breach()
	case t.StartBy.Reached(t.now):
		t.record("R04", &Released{From: t.Assignee, By: byClock})
	case len(t.WarnAt) > 0 && t.WarnAt[0].Reached(t.now):
		t.record("R04", &Warned{Of: WarningOfTAT, DueAt: t.DueAt, Left: t.warningsLeft()})
	default:
		t.remind()
	}
}

// warningsLeft are the warnings still to come; several that fell due together
// are one.
func (t *turn) warningsLeft() (left []Instant) {
	for _, at := range t.WarnAt {
		if !at.Reached(t.now) {
			left = append(left, at)
		}
	}
	return left
}

func (t *turn) breach() {
	b := &Breached{DueAt: t.DueAt, FiredAt: t.now, LateBy: ByPeople, Overdue: t.last()}
	if t.now.Sub(t.DueAt.Time) > SystemLateness {
		b.LateBy = BySystem
	}
	if !t.last() {
		t.record("R11", b)
		t.climb("R11", byClock, "", "")
		t.assignDirect()
		return
	}
	if o := t.policy.Overdue; o != nil {
		b.ChaseAt, b.Every = t.now.Plus(o.Every), min(2*o.Every, o.Max)
	}
	t.record("R10", b)
}

// remind chases, and doubles the pause to the next time (R10).
func (t *turn) remind() {
	o, every := t.policy.Overdue, t.ChaseEvery
	if every == 0 {
		every = o.Every
	}
	t.record("R10", &Reminded{Number: t.Reminders + 1, ChaseAt: t.now.Plus(every), Every: min(2*every, o.Max)})
}

// resume lets the clock go on from an instant with the promise given.
func (t *turn) resume(from Instant, p Promise) {
	r := &Resumed{By: byHand, Promise: p}
	if t.actor == ActorClock {
		r.By = byClock
	}
	t.goOn("", r, from)
}

// goOn records that the clock goes on from an instant; what else waited has
// moved by as long as it stood: a start by working time, a reminder by the wall clock.
func (t *turn) goOn(rule Rule, r *Resumed, from Instant) {
	stood := Duration(from.Sub(t.Hold.Since.Time))
	switch {
	case t.StartBy.IsZero():
	case t.Hold.CountsFrom.IsZero(): // recorded before it was known to be working time
		r.StartBy = t.StartBy.Plus(stood)
	default:
		left := t.work.Spans(t.Hold.Since.Time, t.StartBy.Time)[0]
		r.StartBy = At(t.work.Instants(from.Time, left)[0])
	}
	if !t.ChaseAt.IsZero() {
		r.ChaseAt = t.ChaseAt.Plus(stood)
	}
	t.record(rule, r)
}

// Draw is an assignee drawn from a queue's members (R21).
type Draw struct {
	// ID of the ledger row; Candidates are all who could have been drawn, sorted.
	ID         string   `json:"id"`
	To         string   `json:"to"`
	Candidates []string `json:"candidates"`
}

// WantsDraw reports whether somebody must be drawn for the callback now.
func (c *Callback) WantsDraw(p *Policy) bool {
	return c.Status == StatusQueued && c.Hold == nil && p.Ladder[c.TierIndex].Assign.Draws()
}

// Assign records a draw, unless somebody claimed the callback meanwhile or it
// falls due and leaves the tier that was drawn for.
func (c *Callback) Assign(p *Policy, d Draw, now time.Time, w Worktime) []Event {
	t := c.turn(p, ActorClock, now, w)
	t.advance()
	// Who was drawn for the tier below is not of this one (R07).
	if t.Place == c.Place && t.WantsDraw(p) {
		t.record("R21", &Assigned{
			To: d.To, By: t.step().Assign, DrawID: d.ID, Candidates: d.Candidates, StartBy: t.startBy(),
		})
	}
	if len(t.events) == 0 {
		return nil
	}
	return t.commit(c)
}

// CustomerCalls records that the customer called in again; it puts the callback
// first in its queue. A closed callback takes no note of it.
func (c *Callback) CustomerCalls(p *Policy, by, textID string, now time.Time, w Worktime) []Event {
	t := c.turn(p, by, now, w)
	t.advance()
	if t.Status.Closed() {
		return nil
	}
	t.record("R10", &CustomerCalled{TextID: textID})
	return t.commit(c)
}

func sortInstants(at []Instant) {
	slices.SortFunc(at, func(a, b Instant) int { return a.Compare(b.Time) })
}
