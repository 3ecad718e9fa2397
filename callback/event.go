package callback

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Event is one thing that happened to a callback: an entry of its timeline.
// Seq counts from 1 without gaps and is the callback's version after it.
type Event struct {
	Seq   int64
	At    Instant
	Actor string // a staff id, ActorClock, or "system:NAME"
	Tier  string // the tier at which it happened
	Rule  Rule   // on what authority; empty where no rule speaks of it
	Fact  Fact
}

// ActorClock is the actor of what time alone brought about.
const ActorClock = "clock"

// EventType is the `type` of a timeline entry (CONTRACT §4).
type EventType string

// The types of timeline entries.
const (
	TypeRequested      EventType = "requested"
	TypeCustomerCalled EventType = "customer_called"
	TypeScheduled      EventType = "scheduled"
	TypeQueued         EventType = "queued"
	TypeAssigned       EventType = "assigned"
	TypeClaimed        EventType = "claimed"
	TypeStarted        EventType = "started"
	TypeAttempted      EventType = "attempted"
	TypeContacted      EventType = "contacted"
	TypeNoted          EventType = "noted"
	TypeWarned         EventType = "warned"
	TypeBreached       EventType = "breached"
	TypeEscalated      EventType = "escalated"
	TypeReminded       EventType = "reminded"
	TypeReassigned     EventType = "reassigned"
	TypeReleased       EventType = "released"
	TypeHeld           EventType = "held"
	TypeResumed        EventType = "resumed"
	TypeRescheduled    EventType = "rescheduled"
	TypeTagged         EventType = "tagged"
	TypeUntagged       EventType = "untagged"
	TypeCompleted      EventType = "completed"
	TypeCancelled      EventType = "cancelled"
	TypeDelivered      EventType = "delivered"
	TypeDeliveryOwed   EventType = "delivery_owed"
)

// EventTypes lists every type, in the order of a callback's life.
var EventTypes = []EventType{
	TypeRequested, TypeCustomerCalled, TypeScheduled, TypeQueued, TypeAssigned, TypeClaimed, TypeStarted, TypeAttempted,
	TypeContacted, TypeNoted, TypeWarned, TypeBreached, TypeEscalated, TypeReminded, TypeReassigned, TypeReleased, TypeHeld,
	TypeResumed, TypeRescheduled, TypeTagged, TypeUntagged, TypeCompleted, TypeCancelled, TypeDelivered, TypeDeliveryOwed,
}

// Fact is what an event says. Facts carry every value that follows from them
// (deadlines computed, queues chosen), so that applying one needs no policy, no
// calendar and no clock. Free text is never in one: text_id names where it is
// kept (R26).
type Fact interface {
	Type() EventType
	apply(c *Callback, e *Event)
}

// Promise is the deadline that a fact sets, with the warnings before it.
type Promise struct {
	DueAt  Instant   `json:"due_at"`
	WarnAt []Instant `json:"warn_at,omitempty"`
}

// Place is a rung of the ladder.
type Place struct {
	TierIndex int    `json:"tier_index"`
	Tier      string `json:"tier"`
	Queue     string `json:"queue"`
}

// The facts, in the order of a callback's life.
type (
	// Requested: the promise was made (R01, R02).
	Requested struct {
		ID     string `json:"id"`
		Policy string `json:"policy"`
		Place
		Promise
		Parent string `json:"parent,omitempty"` // R21
	}
	// Scheduled: the customer asked for a later time when the promise was made.
	Scheduled struct {
		For Instant `json:"scheduled_for"`
	}
	// Queued: it can be claimed now.
	Queued struct {
		Queue string `json:"queue"`
	}
	// CustomerCalled: the customer called in again and comes first in the queue.
	CustomerCalled struct {
		TextID string `json:"text_id,omitempty"`
	}
	// Assigned: by draw, by policy, or to whoever was reserved (R06, R19-R21).
	Assigned struct {
		To         string   `json:"to"`
		By         Assign   `json:"by"`
		DrawID     string   `json:"draw_id,omitempty"`
		Candidates []string `json:"candidates,omitempty"`
		TransferID string   `json:"transfer_id,omitempty"`
		StartBy    Instant  `json:"start_by,omitzero"`
	}
	// Claimed: the actor took it from the queue (R04).
	Claimed struct {
		StartBy Instant `json:"start_by,omitzero"`
	}
	// Started: the assignee works it (R16).
	Started struct{}
	// Attempted: one call was made.
	Attempted struct {
		Number        int         `json:"number"`
		Disposition   Disposition `json:"disposition"`
		NextAttemptAt Instant     `json:"next_attempt_at,omitzero"`
		TextID        string      `json:"text_id,omitempty"`
	}
	// Contacted: the customer was reached; Kept says whether in time.
	Contacted struct {
		Kept    bool    `json:"kept"`
		DueAt   Instant `json:"due_at"`
		ChaseAt Instant `json:"chase_at,omitzero"`
	}
	// Noted: a note was written; it is text_id (R12).
	Noted struct {
		Kind   NoteKind `json:"kind"`
		TextID string   `json:"text_id"`
	}
	// Warned: of a TAT that runs out, or of attempts that used up their maximum.
	Warned struct {
		Of    WarningOf `json:"of"`
		DueAt Instant   `json:"due_at"`
		// Left are the warnings still to come at this tier.
		Left []Instant `json:"left,omitempty"`
	}
	// Breached: a TAT passed unmet (R10, R11).
	Breached struct {
		DueAt   Instant  `json:"due_at"`
		FiredAt Instant  `json:"fired_at"`
		LateBy  Party    `json:"late_by"`
		Overdue bool     `json:"overdue"`
		ChaseAt Instant  `json:"chase_at,omitzero"`
		Every   Duration `json:"every,omitempty"`
	}
	// Escalated: by the clock (R11) or by hand (R06); DueAt is the promise it
	// leaves, NewDueAt the fresh one.
	Escalated struct {
		Place
		FromTier   string    `json:"from_tier"`
		By         string    `json:"by"` // "clock" or "hand"
		DueAt      Instant   `json:"due_at"`
		FiredAt    Instant   `json:"fired_at,omitzero"`
		NewDueAt   Instant   `json:"new_due_at"`
		WarnAt     []Instant `json:"warn_at,omitempty"`
		TextID     string    `json:"text_id,omitempty"`
		TransferID string    `json:"transfer_id,omitempty"`
		// Former is who had it when the clock escalated, started or not: they are not
		// cut off (R11). Before EditionWorkingHolds it is not said.
		Former string `json:"former,omitempty"`
	}
	// Reminded: somebody was chased (R10).
	Reminded struct {
		Number  int      `json:"number"`
		ChaseAt Instant  `json:"chase_at"`
		Every   Duration `json:"every"`
	}
	// Reassigned: from above (R05, R07). Owner is set where that changed too.
	Reassigned struct {
		From    string  `json:"from,omitempty"`
		To      string  `json:"to"`
		Owner   string  `json:"owner,omitempty"`
		TextID  string  `json:"text_id,omitempty"`
		StartBy Instant `json:"start_by,omitzero"`
	}
	// Released: back to the queue, by hand or because nobody started in time.
	Released struct {
		From   string `json:"from"`
		By     string `json:"by"` // "clock" or "hand"
		TextID string `json:"text_id,omitempty"`
	}
	// Held: the clock stands still until Until at the latest. With an outage the
	// callback is linked to that (R23); then ClockRuns where the policy, or the state
	// that it was in, lets the clock be.
	Held struct {
		Until     Instant    `json:"until"`
		DueAt     Instant    `json:"due_at"`
		Remaining Duration   `json:"remaining"`
		WarnAt    []Instant  `json:"warn_at,omitempty"`
		WarnIn    []Duration `json:"warn_in,omitempty"`
		TextID    string     `json:"text_id,omitempty"`
		// CountsFrom is the instant before which the promise does not count (Hold).
		CountsFrom Instant `json:"counts_from,omitzero"`
		Outage     string  `json:"outage,omitempty"`
		ClockRuns  bool    `json:"clock_runs,omitempty"`
	}
	// Resumed: the clock goes on. With an outage that is over (R23); then ClockKept
	// where it did not stand still for it.
	Resumed struct {
		By string `json:"by"` // "clock", "hand" or "outage"
		Promise
		StartBy   Instant `json:"start_by,omitzero"`
		ChaseAt   Instant `json:"chase_at,omitzero"`
		Outage    string  `json:"outage,omitempty"`
		ClockKept bool    `json:"clock_kept,omitempty"`
	}
	// Rescheduled: the customer asked for another time.
	Rescheduled struct {
		For Instant `json:"scheduled_for"`
		Promise
		TextID string `json:"text_id,omitempty"`
	}
	// Tagged: the ticket wears the tag from now on (R03), or again: somebody took it
	// off by hand (R09).
	Tagged struct {
		Tag string `json:"tag"`
	}
	// Untagged: the tag is off (R09).
	Untagged struct {
		Tag string `json:"tag"`
	}
	// Completed: the end, with its reason (R17). Served is false where the
	// customer was not (R09).
	Completed struct {
		Reason string `json:"resolution_reason"`
		Served bool   `json:"served"`
		TextID string `json:"text_id,omitempty"`
	}
	// Cancelled: the customer withdrew.
	Cancelled struct {
		TextID string `json:"text_id,omitempty"`
	}
	// Delivered: a destination has every event that it wants up to the one numbered
	// Seq, whatever happened on the way.
	Delivered struct {
		Destination string      `json:"destination"`
		Seq         int64       `json:"seq"`
		By          DeliveredBy `json:"by"`
		TextID      string      `json:"text_id,omitempty"`
	}
	// DeliveryOwed: the event numbered Seq could not be brought to a destination yet.
	DeliveryOwed struct {
		Destination string `json:"destination"`
		Seq         int64  `json:"seq"`
		Code        string `json:"code"`
	}
)

// Disposition is how one call went.
type Disposition string

// The dispositions (CONTRACT §4).
const (
	Reached     Disposition = "reached"
	NoAnswer    Disposition = "no_answer"
	Busy        Disposition = "busy"
	Voicemail   Disposition = "voicemail"
	WrongNumber Disposition = "wrong_number"
	CallDropped Disposition = "call_dropped"
	RefusedCall Disposition = "refused"
)

// Dispositions lists every disposition in the order of the contract.
var Dispositions = []Disposition{Reached, NoAnswer, Busy, Voicemail, WrongNumber, CallDropped, RefusedCall}

// NoteKind is what a note is.
type NoteKind string

// The kinds of notes.
const (
	KindNote        NoteKind = "note"
	KindCallSummary NoteKind = "call_summary"
)

// WarningOf says what a warning is about.
type WarningOf string

// What one may be warned of.
const (
	WarningOfTAT      WarningOf = "tat"
	WarningOfAttempts WarningOf = "attempts"
)

// Party is who let a promise pass: people, or a system that was not running
// when it fell due.
type Party string

// The parties.
const (
	ByPeople Party = "people"
	BySystem Party = "system"
)

const (
	byClock  = "clock"
	byHand   = "hand"
	byOutage = "outage"
)

// DeliveredBy is how a destination came to have what it wants.
type DeliveredBy string

// How something is delivered: by the connector, which may have learnt later that
// it had arrived; given up by a person with a reason; or done there by hand (R13).
const (
	DeliveredBySystem    DeliveredBy = "system"
	DeliveredByConfirmed DeliveredBy = "confirmed"
	DeliveredByWaiving   DeliveredBy = "waived"
	DeliveredByHand      DeliveredBy = "copied_by_hand"
)

// Type implements Fact.
func (Requested) Type() EventType      { return TypeRequested }
func (Scheduled) Type() EventType      { return TypeScheduled }
func (Queued) Type() EventType         { return TypeQueued }
func (CustomerCalled) Type() EventType { return TypeCustomerCalled }
func (Assigned) Type() EventType       { return TypeAssigned }
func (Claimed) Type() EventType        { return TypeClaimed }
func (Started) Type() EventType        { return TypeStarted }
func (Attempted) Type() EventType      { return TypeAttempted }
func (Contacted) Type() EventType      { return TypeContacted }
func (Noted) Type() EventType          { return TypeNoted }
func (Warned) Type() EventType         { return TypeWarned }
func (Breached) Type() EventType       { return TypeBreached }
func (Escalated) Type() EventType      { return TypeEscalated }
func (Reminded) Type() EventType       { return TypeReminded }
func (Reassigned) Type() EventType     { return TypeReassigned }
func (Released) Type() EventType       { return TypeReleased }
func (Held) Type() EventType           { return TypeHeld }
func (Resumed) Type() EventType        { return TypeResumed }
func (Rescheduled) Type() EventType    { return TypeRescheduled }
func (Tagged) Type() EventType         { return TypeTagged }
func (Untagged) Type() EventType       { return TypeUntagged }
func (Completed) Type() EventType      { return TypeCompleted }
func (Cancelled) Type() EventType      { return TypeCancelled }
func (Delivered) Type() EventType      { return TypeDelivered }
func (DeliveryOwed) Type() EventType   { return TypeDeliveryOwed }

// TextOf is the id of the text that a fact names; empty: it names none.
func TextOf(f Fact) string {
	if id := reflect.Indirect(reflect.ValueOf(f)).FieldByName("TextID"); id.IsValid() {
		return id.String()
	}
	return ""
}

// newFact returns an empty fact to decode into, nil for an unknown type.
func newFact(t EventType) Fact {
	switch t {
	case TypeRequested:
		return &Requested{}
	case TypeCustomerCalled:
		return &CustomerCalled{}
	case TypeScheduled:
		return &Scheduled{}
	case TypeQueued:
		return &Queued{}
	case TypeAssigned:
		return &Assigned{}
	case TypeClaimed:
		return &Claimed{}
	case TypeStarted:
		return &Started{}
	case TypeAttempted:
		return &Attempted{}
	case TypeContacted:
		return &Contacted{}
	case TypeNoted:
		return &Noted{}
	case TypeWarned:
		return &Warned{}
	case TypeBreached:
		return &Breached{}
	case TypeEscalated:
		return &Escalated{}
	case TypeReminded:
		return &Reminded{}
	case TypeReassigned:
		return &Reassigned{}
	case TypeReleased:
		return &Released{}
	case TypeHeld:
		return &Held{}
	case TypeResumed:
		return &Resumed{}
	case TypeRescheduled:
		return &Rescheduled{}
	case TypeTagged:
		return &Tagged{}
	case TypeUntagged:
		return &Untagged{}
	case TypeCompleted:
		return &Completed{}
	case TypeCancelled:
		return &Cancelled{}
	case TypeDelivered:
		return &Delivered{}
	case TypeDeliveryOwed:
		return &DeliveryOwed{}
	}
	return nil
}

type wireEvent struct {
	Seq   int64           `json:"seq"`
	Type  EventType       `json:"type"`
	At    Instant         `json:"at"`
	Actor string          `json:"actor"`
	Tier  string          `json:"tier"`
	Rule  Rule            `json:"rule,omitempty"`
	Data  json.RawMessage `json:"data"`
}

// MarshalJSON implements json.Marshaler: the shape of a timeline entry.
func (e Event) MarshalJSON() ([]byte, error) {
	data, err := json.Marshal(e.Fact)
	if err != nil {
		return nil, err
	}
	return json.Marshal(wireEvent{e.Seq, e.Fact.Type(), e.At, e.Actor, e.Tier, e.Rule, data})
}

// UnmarshalJSON implements json.Unmarshaler; an unknown type is an error, since
// what cannot be understood cannot be folded.
func (e *Event) UnmarshalJSON(b []byte) error {
	var w wireEvent
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	fact := newFact(w.Type)
	if fact == nil {
		return fmt.Errorf("event %d has the unknown type %q", w.Seq, w.Type)
	}
	if err := json.Unmarshal(w.Data, fact); err != nil {
		return fmt.Errorf("event %d (%s): %w", w.Seq, w.Type, err)
	}
	*e = Event{w.Seq, w.At, w.Actor, w.Tier, w.Rule, fact}
	return nil
}
