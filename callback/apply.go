package callback

import (
	"fmt"
	"slices"
)

// Apply folds one event into the state. Events come in order: the error says
// which one was expected, and then nothing has changed.
func (c *Callback) Apply(e Event) error {
	if e.Seq != c.Version+1 {
		return fmt.Errorf("event %d cannot follow version %d of callback %s", e.Seq, c.Version, c.ID)
	}
	e.Fact.apply(c, &e)
	c.Version = e.Seq
	c.UpdatedAt = e.At
	return nil
}

// Fold returns the state that the events lead to, starting from state (nil:
// from nothing). State itself is not changed.
func Fold(state *Callback, events []Event) (*Callback, error) {
	c := &Callback{}
	if state != nil {
		c = state.Clone()
	}
	for _, e := range events {
		if err := c.Apply(e); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (f *Requested) apply(c *Callback, e *Event) {
	c.ID, c.Policy, c.Parent = f.ID, f.Policy, f.Parent
	c.RequestedAt, c.RequestedBy = e.At, e.Actor
	c.Status = StatusQueued
	c.enter(f.Place, f.Promise, e.At)
}

func (f *Scheduled) apply(c *Callback, _ *Event) {
	c.Status = StatusScheduled
	c.ScheduledFor = f.For
}

func (f *Queued) apply(c *Callback, _ *Event) {
	c.Status = StatusQueued
	c.Queue = f.Queue
}

func (f *CustomerCalled) apply(c *Callback, e *Event) { c.CustomerCalledAt = e.At }

func (f *Assigned) apply(c *Callback, _ *Event) { c.assign(f.To, f.StartBy) }

func (f *Claimed) apply(c *Callback, e *Event) {
	c.assign(e.Actor, f.StartBy)
	c.Former = ""
}

func (f *Started) apply(c *Callback, _ *Event) {
	c.Status = StatusInProgress
	c.StartBy = Instant{}
	c.Former = ""
}

func (f *Attempted) apply(c *Callback, _ *Event) {
	c.Attempts++
	if f.Disposition != Reached {
		c.Unreached++
	}
	c.NextAttemptAt = f.NextAttemptAt
}

func (f *Contacted) apply(c *Callback, e *Event) {
	if c.ContactedAt.IsZero() {
		c.ContactedAt = e.At
	}
	c.Overdue = false
	c.WarnAt = nil
	c.ChaseAt, c.ChaseEvery, c.Reminders = f.ChaseAt, 0, 0
	if p := c.promise(); f.Kept && p.Result == ResultOpen {
		p.Result, p.At = ResultKept, e.At
	}
}

func (f *Noted) apply(c *Callback, e *Event) {
	if f.Kind == KindCallSummary && !slices.Contains(c.Summaries, e.Actor) {
		c.Summaries = append(c.Summaries, e.Actor)
	}
}

func (f *Warned) apply(c *Callback, e *Event) {
	if f.Of == WarningOfTAT {
		c.WarnedAt = e.At
		c.WarnAt = slices.Clone(f.Left)
	}
}

func (f *Breached) apply(c *Callback, e *Event) {
	c.BreachedAt = e.At
	c.Breached = true
	c.Overdue = f.Overdue
	c.WarnAt = nil
	c.ChaseAt, c.ChaseEvery, c.Reminders = f.ChaseAt, f.Every, 0
	if p := c.promise(); p.Result == ResultOpen {
		p.Result, p.At, p.LateBy = ResultMissed, e.At, f.LateBy
	}
}

func (f *Escalated) apply(c *Callback, e *Event) {
	if p := c.promise(); p.Result == ResultOpen {
		p.Result, p.At = ResultDropped, e.At
	}
	switch {
	case f.By != byClock:
		c.Former = ""
	case f.Former != "":
		c.Former = f.Former
	case c.Status == StatusInProgress:
		c.Former = c.Assignee // else whoever was cut off last: nobody has taken over since
	}
	c.unassign()
	c.Escalations++
	c.enter(f.Place, Promise{DueAt: f.NewDueAt, WarnAt: f.WarnAt}, e.At)
}

func (f *Reminded) apply(c *Callback, _ *Event) {
	c.ChaseAt, c.ChaseEvery, c.Reminders = f.ChaseAt, f.Every, f.Number
}

func (f *Reassigned) apply(c *Callback, _ *Event) {
	c.assign(f.To, f.StartBy)
	c.Former = ""
	if f.Owner != "" {
		c.Owner, c.OwnerTier = f.Owner, c.TierIndex
	}
}

func (f *Released) apply(c *Callback, _ *Event) { c.unassign() }

func (f *Held) apply(c *Callback, e *Event) {
	if f.Outage != "" {
		c.Outage = f.Outage
	}
	if f.ClockRuns {
		return
	}
	c.Hold = &Hold{
		Since: e.At, Until: f.Until, Remaining: f.Remaining, WarnIn: slices.Clone(f.WarnIn), CountsFrom: f.CountsFrom, Outage: f.Outage,
	}
	c.promised(Promise{DueAt: f.DueAt, WarnAt: f.WarnAt})
}

func (f *Resumed) apply(c *Callback, _ *Event) {
	if f.Outage != "" {
		c.Outage = ""
	}
	if f.ClockKept {
		return
	}
	c.Hold = nil
	c.StartBy, c.ChaseAt = f.StartBy, f.ChaseAt
	c.promised(f.Promise)
}

func (f *Rescheduled) apply(c *Callback, _ *Event) {
	c.unassign()
	c.Status = StatusScheduled
	c.ScheduledFor = f.For
	c.Former = ""
	c.fresh()
	if p := c.promise(); p.Result == ResultKept {
		// The contact that kept it asked for another time: the promise is open again.
		p.Result, p.At = ResultOpen, Instant{}
	}
	c.promised(f.Promise)
}

func (f *Tagged) apply(c *Callback, e *Event) {
	if slices.Contains(c.Tags, f.Tag) {
		c.PutBackAt = e.At
		return
	}
	c.Tags = append(c.Tags, f.Tag)
	c.CallbackRequired = c.CallbackRequired || !c.Status.Closed()
}

func (f *Untagged) apply(c *Callback, _ *Event) {
	c.Tags = slices.DeleteFunc(c.Tags, func(t string) bool { return t == f.Tag })
	c.CallbackRequired = false
}

func (f *Completed) apply(c *Callback, e *Event) {
	c.ResolutionReason = f.Reason
	c.close(StatusCompleted, f.Served, e)
}

func (f *Cancelled) apply(c *Callback, e *Event) { c.close(StatusCancelled, false, e) }

func (f *Delivered) apply(c *Callback, _ *Event) {
	c.Owed = slices.DeleteFunc(c.Owed, func(d Debt) bool { return d.Destination == f.Destination })
}

func (f *DeliveryOwed) apply(c *Callback, e *Event) {
	c.Owed = append(c.Owed, Debt{f.Destination, f.Seq, f.Code, e.At})
}

// enter puts the callback on a rung with a fresh promise.
func (c *Callback) enter(at Place, p Promise, now Instant) {
	c.Place = at
	c.fresh()
	c.Promises = append(c.Promises, Outcome{
		TierIndex: at.TierIndex, Tier: at.Tier, Queue: at.Queue, MadeAt: now, Result: ResultOpen,
	})
	c.promised(p)
}

// fresh forgets what belonged to the promise before.
func (c *Callback) fresh() {
	c.Hold = nil
	c.WarnedAt, c.ContactedAt, c.NextAttemptAt = Instant{}, Instant{}, Instant{}
	c.ChaseAt, c.ChaseEvery, c.Reminders = Instant{}, 0, 0
	c.Breached, c.Overdue = false, false
	c.Summaries = nil
}

func (c *Callback) promised(p Promise) {
	c.DueAt, c.WarnAt = p.DueAt, slices.Clone(p.WarnAt)
	if o := c.promise(); o.Result == ResultOpen {
		o.DueAt = p.DueAt
	}
}

func (c *Callback) assign(to string, startBy Instant) {
	c.Status = StatusClaimed
	c.Assignee, c.StartBy = to, startBy
	if c.Owner == "" {
		c.Owner, c.OwnerTier = to, c.TierIndex
	}
}

func (c *Callback) unassign() {
	if c.Assignee != "" {
		c.LastAssignee = c.Assignee
	}
	c.Assignee, c.StartBy = "", Instant{}
	c.Status = StatusQueued
}

func (c *Callback) close(s Status, served bool, e *Event) {
	c.Status, c.Served = s, served
	c.ClosedAt, c.ClosedBy = e.At, e.Actor
	c.Hold, c.Overdue = nil, false
	c.WarnAt, c.StartBy = nil, Instant{}
	c.ChaseAt, c.ChaseEvery = Instant{}, 0
	switch p := c.promise(); {
	case served && p.Result == ResultOpen:
		p.Result, p.At = ResultKept, e.At
	case !served && p.Result != ResultMissed:
		p.Result, p.At, p.LateBy = ResultMissed, e.At, ByPeople // R09
	}
}
