package callback

import "time"

// What other systems have of a callback, and what their being away does to it.

// Owe records that an event could not be brought to a destination yet, once for
// as long as it is owed. Code says why.
func (c *Callback) Owe(p *Policy, destination, code string, seq int64, now time.Time, w Worktime) []Event {
	if _, owed := c.Debt(destination); owed {
		return nil
	}
	rule := Rule("")
	if code == codeNoIdentity {
		rule = "R13"
	}
	return c.system(p, destination, now, w, func(t *turn) {
		t.record(rule, &DeliveryOwed{Destination: destination, Seq: seq, Code: code})
	})
}

// codeNoIdentity is the code of what is owed since its author has no identity there (R13).
const codeNoIdentity = "no_identity"

// Deliver records that a destination has what it wants up to an event.
func (c *Callback) Deliver(p *Policy, destination string, seq int64, by DeliveredBy, now time.Time, w Worktime) []Event {
	return c.system(p, destination, now, w, func(t *turn) {
		t.record("", &Delivered{Destination: destination, Seq: seq, By: by})
	})
}

// Confirm records that what is owed to a destination has arrived after all;
// nothing where that is not owed.
func (c *Callback) Confirm(p *Policy, destination string, seq int64, now time.Time, w Worktime) []Event {
	if debt, owed := c.Debt(destination); !owed || debt.Seq != seq {
		return nil
	}
	return c.Deliver(p, destination, seq, DeliveredByConfirmed, now, w)
}

func (c *Callback) system(p *Policy, name string, now time.Time, w Worktime, f func(*turn)) []Event {
	return c.told(p, "system:"+name, now, w, f)
}

// told lets a fact from outside take effect, after what is due at now.
func (c *Callback) told(p *Policy, by string, now time.Time, w Worktime, f func(*turn)) []Event {
	t := c.turn(p, by, now, w)
	t.advance()
	f(t)
	if len(t.events) == 0 {
		return nil
	}
	return t.commit(c)
}

// putBackEvery bounds how often a tag is put back: a system may tell several
// times that it is missing before it is there again.
const putBackEvery = Duration(time.Minute)

// TagMissing records that the tag of an open callback was taken off elsewhere
// and is put back (R09).
func (c *Callback) TagMissing(p *Policy, by string, now time.Time, w Worktime) []Event {
	return c.told(p, by, now, w, func(t *turn) {
		again := t.PutBackAt.IsZero() || t.PutBackAt.Plus(putBackEvery).Reached(t.now)
		if !t.Status.Closed() && t.CallbackRequired && again {
			t.record("R09", &Tagged{Tag: t.policy.Tag.Required})
		}
	})
}

// OutageNews is an outage with whoever declared it, or its end (R23).
type OutageNews struct {
	Outage string `json:"outage"`
	By     string `json:"by"`
}

// OutageBegan links an open callback to an outage, unless it is linked to one,
// and stops its clock where the policy says so (R23).
func (c *Callback) OutageBegan(p *Policy, news OutageNews, now time.Time, w Worktime) []Event {
	return c.told(p, news.By, now, w, func(t *turn) {
		if !t.Status.Closed() && t.Outage == "" {
			t.link(news)
		}
	})
}

func (t *turn) link(news OutageNews) {
	e := &Held{DueAt: t.DueAt, ClockRuns: true}
	if t.policy.Outage.Hold && t.Hold == nil && !t.missed() {
		e = t.holding(t.now.Plus(t.policy.holdMax()))
	}
	e.Outage = news.Outage
	t.recordAs(news.By, "R23", e)
}

// OutageEnded takes the link off; a clock that stood still for the outage goes
// on (R23).
func (c *Callback) OutageEnded(p *Policy, news OutageNews, now time.Time, w Worktime) []Event {
	return c.told(p, news.By, now, w, func(t *turn) {
		if t.Status.Closed() || t.Outage != news.Outage {
			return
		}
		r := &Resumed{By: byOutage, Outage: news.Outage}
		if t.Hold == nil || t.Hold.Outage != news.Outage {
			r.ClockKept, r.Promise = true, Promise{DueAt: t.DueAt, WarnAt: t.WarnAt}
			t.record("R23", r)
			return
		}
		r.Promise = t.promiseNow()
		t.goOn("R23", r, t.now)
		t.advance() // its scheduled time may have come meanwhile
	})
}
