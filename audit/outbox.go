package audit

import (
	"encoding/json"
	"slices"

	"ringback/callback"
	"ringback/contract"
)

// An outbox follows the deliveries to one destination: everything that it wants
// is brought there once, in order, or is on the timeline as owed.
type outbox struct {
	contract.Destination
	contract.Outbox
	looked int64
	owing  int64
	// flight is the delivery that is under way, by the event that scheduled it; 0: none.
	flight int64
	flown  contract.Delivery
}

// openOutboxes makes those of a run, or takes up those of the run before.
func (f *folder) openOutboxes(t *transcript) error {
	before := f.outboxes
	f.outboxes = nil
	for i, d := range t.input.Destinations {
		b := &outbox{Destination: d}
		if c := t.input.Carried; c != nil {
			if i < len(c.Outboxes) {
				b.Outbox = c.Outboxes[i]
			}
			b.looked = f.state.Version
			if debt, owed := f.state.Debt(d.Name); owed {
				b.owing = debt.Seq
			}
			if i < len(before) && !sameOutbox(b.Outbox, before[i].Outbox) {
				return wrong("run %d: the deliveries to %s that were taken up differ from what the history leads to", f.run, d.Name)
			}
		}
		f.outboxes = append(f.outboxes, b)
	}
	return nil
}

func sameOutbox(a, b contract.Outbox) bool {
	return slices.Equal(a.Pending, b.Pending) && a.Sent == b.Sent && a.Told == b.Told
}

// look takes note of what has happened.
func (f *folder) look() {
	for _, b := range f.outboxes {
		for ; b.looked < f.state.Version; b.looked++ {
			var entry struct {
				Type callback.EventType `json:"type"`
			}
			if json.Unmarshal(f.timeline[b.looked], &entry) != nil {
				continue // of a run that is not at hand
			}
			own := entry.Type == callback.TypeDelivered || entry.Type == callback.TypeDeliveryOwed
			if !own && slices.Contains(b.Types, entry.Type) {
				b.Pending = append(b.Pending, b.looked+1)
			}
		}
		if _, owed := f.state.Debt(b.Name); b.owing == 0 || owed {
			continue
		}
		if len(b.Pending) > 0 && b.Pending[0] == b.owing {
			b.Pending = b.Pending[1:]
		}
		b.Sent, b.Told, b.owing = b.owing, b.owing, 0
	}
}

// bring deals with the end of one delivery.
func (f *folder) bring(d brought, now *task, work *recorded) bool {
	i := slices.IndexFunc(f.outboxes, func(b *outbox) bool { return b.flight == d.scheduledAt })
	if i < 0 {
		return false
	}
	b := f.outboxes[i]
	landed := func() bool { b.flight = 0; return true }
	switch {
	case d.called:
		return landed()
	case d.owed && b.flown.Owed:
		return landed() // it is asked for again
	case d.owed:
		at := max(slices.Index(b.flown.Events, d.seq), 0)
		owed := f.try(work, func(c *callback.Callback, w callback.Worktime) []callback.Event {
			return c.Owe(f.policy, b.Name, d.code, b.flown.Events[at], now.now, w)
		})
		if !owed {
			return false
		}
		if at > 0 {
			b.Sent = b.flown.Events[at-1]
		}
		b.Pending = b.Pending[at:]
		b.owing = b.Pending[0]
		return landed()
	case b.flown.Owed:
		if debt, owed := f.state.Debt(b.Name); owed && !f.try(work, func(c *callback.Callback, w callback.Worktime) []callback.Event {
			return c.Deliver(f.policy, b.Name, debt.Seq, callback.DeliveredBySystem, now.now, w)
		}) {
			return false
		}
		f.look()
		return landed()
	}
	b.Sent = b.flown.Events[len(b.flown.Events)-1]
	b.Pending = b.Pending[len(b.flown.Events):]
	return landed()
}

// tell lets the timeline say that a destination has all of a callback that has ended.
func (f *folder) tell(now *task, work *recorded) bool {
	f.look()
	for _, b := range f.outboxes {
		if !f.untold(b) {
			continue
		}
		if f.try(work, func(c *callback.Callback, w callback.Worktime) []callback.Event {
			return c.Deliver(f.policy, b.Name, b.Sent, callback.DeliveredBySystem, now.now, w)
		}) {
			b.Told = b.Sent
			return true
		}
	}
	return false
}

func (f *folder) untold(b *outbox) bool {
	return f.state.Status.Closed() && len(b.Pending) == 0 && b.flight == 0 && b.Sent > b.Told
}

// delivering checks the deliveries that a task asked for, and what it left undone.
func (f *folder) delivering(now *task, last bool) error {
	f.look()
	for _, d := range now.sent {
		i := slices.IndexFunc(f.outboxes, func(b *outbox) bool { return b.Name == d.Destination })
		if i < 0 {
			return wrong("run %d, event %d: a delivery was asked for to a destination that the callback does not have", f.run, d.at)
		}
		b := f.outboxes[i]
		n := len(d.Events)
		switch {
		case b.flight != 0:
			return wrong("run %d, event %d: a delivery was asked for while another to %s was under way", f.run, d.at, b.Name)
		case n > len(b.Pending) || !slices.Equal(d.Events, b.Pending[:n]):
			return wrong("run %d, event %d: what was delivered to %s is not what came next", f.run, d.at, b.Name)
		case d.Owed != (b.owing != 0) || d.Owed && (n != 1 || d.Events[0] != b.owing):
			return wrong("run %d, event %d: a delivery to %s is not that which the timeline says is owed", f.run, d.at, b.Name)
		}
		b.flight, b.flown = d.at, d.Delivery
	}
	if last {
		return nil
	}
	for _, b := range f.outboxes {
		if f.untold(b) {
			return wrong("run %d, event %d: %s has everything, and the timeline does not say so", f.run, now.at, b.Name)
		}
	}
	return nil
}

// handedOver checks what the next run takes up, and that nothing is under way.
func (f *folder) handedOver(t *transcript) error {
	f.look()
	for i, b := range f.outboxes {
		if b.flight != 0 {
			return wrong("run %d: it was handed over while a delivery to %s was under way", f.run, b.Name)
		}
		if i >= len(t.next.Carried.Outboxes) || !sameOutbox(b.Outbox, t.next.Carried.Outboxes[i]) {
			return wrong("run %d: the deliveries to %s that were handed over differ from what the history leads to", f.run, b.Name)
		}
	}
	return nil
}

// drained checks that a workflow did not end before everything was delivered.
func (f *folder) drained() error {
	f.look()
	for _, b := range f.outboxes {
		if len(b.Pending) > 0 || b.flight != 0 || f.untold(b) {
			return wrong("run %d: the workflow ended before %s had everything", f.run, b.Name)
		}
	}
	return nil
}
