package callback

import "time"

// A Worktime computes instants in working time. *Calendar is one; a workflow
// wraps it so that what was computed is recorded, since time-zone data may
// change before a replay.
type Worktime interface {
	// Instants returns, for each duration, the instant at which that much
	// working time since from has passed.
	Instants(from time.Time, after ...Duration) []time.Time
	// Spans returns the working time from from to each instant, 0 for earlier ones.
	Spans(from time.Time, to ...time.Time) []Duration
}

// Instants implements Worktime.
func (c *Calendar) Instants(from time.Time, after ...Duration) []time.Time {
	at := make([]time.Time, len(after))
	for i, d := range after {
		at[i] = c.Add(from, time.Duration(d))
	}
	return at
}

// Spans implements Worktime.
func (c *Calendar) Spans(from time.Time, to ...time.Time) []Duration {
	d := make([]Duration, len(to))
	for i, t := range to {
		d[i] = Duration(c.Between(from, t))
	}
	return d
}

// turn is one decision under way: a copy of the state to which what happens is
// applied as it is recorded, so that a later step sees the earlier ones.
type turn struct {
	*Callback
	policy *Policy
	work   Worktime
	now    Instant
	actor  string
	events []Event
}

func (c *Callback) turn(p *Policy, actor string, now time.Time, w Worktime) *turn {
	return &turn{Callback: c.Clone(), policy: p, work: w, now: At(now), actor: actor}
}

// record applies a fact brought about by the turn's actor.
func (t *turn) record(rule Rule, f Fact) { t.recordAs(t.actor, rule, f) }

func (t *turn) recordAs(actor string, rule Rule, f Fact) {
	e := Event{Seq: t.Version + 1, At: t.now, Actor: actor, Rule: rule, Fact: f}
	if r, ok := f.(*Requested); ok {
		e.Tier = r.Tier
	} else if x, ok := f.(*Escalated); ok {
		e.Tier = x.Tier
	} else {
		e.Tier = t.Tier
	}
	f.apply(t.Callback, &e)
	t.Version, t.UpdatedAt = e.Seq, e.At
	t.events = append(t.events, e)
}

// commit makes the turn's outcome the state.
func (t *turn) commit(c *Callback) []Event {
	*c = *t.Callback
	return t.events
}

func (t *turn) step() *Step { return &t.policy.Ladder[t.TierIndex] }

func (t *turn) last() bool { return t.TierIndex == len(t.policy.Ladder)-1 }

// promiseFrom computes the promise of a step that counts from an instant.
func (t *turn) promiseFrom(from Instant, s *Step) Promise {
	after := make([]Duration, 0, len(s.WarnAt)+1)
	for _, w := range s.WarnAt {
		if d, err := w.After(s.TAT); err == nil {
			after = append(after, d)
		}
	}
	return t.promiseAfter(from, append(after, s.TAT))
}

// promiseAfter computes a promise from its working time: the warnings' first, the deadline's last.
func (t *turn) promiseAfter(from Instant, after []Duration) Promise {
	at := t.work.Instants(from.Time, after...)
	p := Promise{DueAt: At(at[len(at)-1])}
	for _, w := range at[:len(at)-1] {
		p.WarnAt = append(p.WarnAt, At(w))
	}
	sortInstants(p.WarnAt)
	return p
}

// startBy is when an assignee must have started, zero where the step says nothing.
func (t *turn) startBy() Instant {
	s := t.step()
	if s.StartWithin == 0 {
		return Instant{}
	}
	from := t.now
	if t.Hold != nil {
		from = t.Hold.Since // all of it is left when the clock goes on
	}
	return At(t.work.Instants(from.Time, s.StartWithin)[0])
}

// place is the callback's rung at index i.
func (t *turn) place(i int) Place {
	s := t.policy.Ladder[i]
	return Place{TierIndex: i, Tier: s.Tier, Queue: s.Queue}
}

// assignDirect hands the callback to whoever the step names, if it names one.
func (t *turn) assignDirect() {
	s := t.step()
	if s.AssignTo == "" {
		return
	}
	rule := Rule("R20")
	if s.Assign == AssignDirectSupervisor {
		rule = "R19"
	}
	t.recordAs(ActorClock, rule, &Assigned{To: s.AssignTo, By: s.Assign, StartBy: t.startBy()})
}

// climb moves the callback to the next rung with a fresh promise (R06, R11).
func (t *turn) climb(rule Rule, by, textID, transferID string) {
	from, due := t.Tier, t.DueAt
	next := t.TierIndex + 1
	p := t.promiseFrom(t.now, &t.policy.Ladder[next])
	x := &Escalated{
		Place: t.place(next), FromTier: from, By: by, DueAt: due,
		NewDueAt: p.DueAt, WarnAt: p.WarnAt, TextID: textID, TransferID: transferID,
	}
	if by == byClock {
		x.FiredAt = t.now
		if t.policy.Edition >= EditionWorkingHolds {
			x.Former = t.Assignee
		}
	}
	t.record(rule, x)
}
