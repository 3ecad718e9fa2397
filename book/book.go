// Package book holds the words of what is written down beside the histories:
// originals (what was asked, who the customer is, what was said), the read
// model that lists and boards show, and the ledgers of draws and reservations.
//
// It is types only. Package store keeps them; activities, api and audit each
// declare the few methods of the store that they need.
package book

import (
	"errors"
	"fmt"
	"time"

	"ringback/callback"
)

// Errors of the store that callers tell apart; everything else means that the
// database did not do what was asked.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: the database could not be reached, refused or took too long.
	// Whether what was to be written is written is not known; it may be repeated.
	ErrUnavailable = errors.New("database unavailable")
	// ErrNoneAvailable: nobody could be reserved, or drawn, right now (R01, R21).
	ErrNoneAvailable = errors.New("nobody is free")
	// ErrRepeated: the same request has an answer already.
	ErrRepeated = errors.New("answered already")
	// ErrBadCursor: a cursor that this server did not make for this sort and these filters.
	ErrBadCursor = errors.New("unreadable cursor")
)

// DuplicateError refuses an errand: an open callback has the same source (R14).
type DuplicateError struct{ Existing string }

// Error implements error.
func (e *DuplicateError) Error() string { return "duplicate of callback " + e.Existing }

// GapError refuses a batch that does not follow on what is written: fetch the
// events after Have from the engine and write those.
type GapError struct{ Have, First int64 }

// Error implements error.
func (e *GapError) Error() string {
	return fmt.Sprintf("events from %d cannot follow version %d", e.First, e.Have)
}

// Customer is who was promised to be called. Personal: never leaves the
// database for a history, a log or a metric (R26).
type Customer struct {
	Ref      string `json:"ref"`
	Name     string `json:"name"`
	Phone    string `json:"phone"` // E.164
	Email    string `json:"email"`
	TimeZone string `json:"time_zone"`
}

// Source is the ticket, job or mail that a callback came from.
type Source struct {
	System string `json:"system"`
	Ref    string `json:"ref"`
	URL    string `json:"url"`
}

// TransferAttempt is the live transfer that was tried first (R01).
type TransferAttempt struct {
	Tier    string `json:"tier"`
	Outcome string `json:"outcome"`
}

// Intake is the original of one callback: what was asked, as it was asked. It
// is kept and backed up, never derived from a history.
type Intake struct {
	CallbackID   string
	Policy       string
	PolicyHash   string // names the pinned policy: see Policies
	Customer     Customer
	Reason       string
	Source       *Source // nil: none given
	LOB          string
	Transfer     *TransferAttempt
	Fields       map[string]string
	Parent       string
	RequestedBy  string
	RequestedAt  callback.Instant
	ScheduledFor callback.Instant
	// Erased says that what was personal has been emptied (R26); nil: it has not.
	Erased *Erasure
}

// TextKind is what a stored text is.
type TextKind string

// The kinds of texts. Notes and call summaries are shown as notes; a reason is
// shown where it was given, on the timeline.
const (
	TextNote        TextKind = "note"
	TextCallSummary TextKind = "call_summary"
	TextReason      TextKind = "reason"
)

// Text is what somebody wrote. It is staged with its errand and becomes visible
// with the event that names it.
type Text struct {
	ID         string
	CallbackID string
	Kind       TextKind
	Author     string
	Body       string
	CreatedAt  callback.Instant
}

// Errand is one command on its way through the engine. It is written before
// the command is sent and settled with its outcome, so that whatever dies in
// between, the read model catches up; with an idempotency key it also
// remembers the answer (CONTRACT §4).
type Errand struct {
	// ID is the Temporal update id: derived from principal, path and key where a
	// key was given, random otherwise.
	ID string
	// Principal, Path and Key scope an idempotency key; Key is empty without one.
	Principal, Path, Key string
	// Digest is a keyed hash of the request body.
	Digest     string
	CallbackID string
	Command    string // "create", or a callback.CommandName, or "note", "transfer"…
	CreatedAt  callback.Instant
	// LeaseUntil: until then whoever began it is at it; after that a repeat of the
	// same request, or the sweeper, takes it over.
	LeaseUntil callback.Instant
	// Answer is nil until a 2xx was given.
	Answer *Answer
}

// Answer is a 2xx given to a keyed request, to be given again.
type Answer struct {
	Status   int
	Location string
	ETag     string
	Body     []byte
}

// Begin is what is written, in one transaction, before a command is sent.
type Begin struct {
	Errand Errand
	Intake *Intake // create only
	Texts  []Text
	// Reservation is the one that the command uses; empty: none.
	Reservation string
}

// Batch is news of one callback: consecutive events, in order.
type Batch struct {
	CallbackID string
	Events     []callback.Event
}

// View is one callback as lists show it: its state beside its original.
type View struct {
	State  *callback.Callback
	Intake Intake
}

// Version is the number of the newest entry on the callback's timeline: of what its
// history holds, and of an erasure, which is in none.
func (v *View) Version() int64 {
	if v.Intake.Erased == nil {
		return v.State.Version
	}
	return v.State.Version + 1
}

// UpdatedAt is when that entry was made.
func (v *View) UpdatedAt() callback.Instant {
	if e := v.Intake.Erased; e != nil && e.At.After(v.State.UpdatedAt.Time) {
		return e.At
	}
	return v.State.UpdatedAt
}

// Entry is one entry of a timeline, with the text that its text_id names.
type Entry struct {
	callback.Event
	Text string // empty: none, or erased
}

// Filter narrows a list; zero members do not.
type Filter struct {
	// ID names the callbacks themselves.
	ID       []string `json:",omitempty"`
	Status   []callback.Status
	Tier     []string
	Queue    []string
	Policy   []string
	Owner    []string
	Assignee []string
	Customer string // customer.ref
	Source   string // "system" or "system:ref"
	// Erased: also those from which the source was erased, where it is "system:ref".
	Erased bool `json:",omitempty"`
	Tag    string
	// RequestedBy are those who promised it.
	RequestedBy []string `json:",omitempty"`
	// Required: the policy's tag is on (R09).
	Required  *bool `json:",omitempty"`
	Overdue   *bool
	DueBefore callback.Instant
	Q         string // full text: every word must occur (prefix match) in name, ref, phone, e-mail, reason, source ref, field values, notes
}

// Sort is the order of a list.
type Sort string

// The orders. By due_at, a queued callback whose customer called in again comes
// first (CONTRACT §4, customer-called); then earlier promises; null last. By
// promise, nobody is put before an older one (R10).
const (
	SortDueAt       Sort = "due_at"
	SortPromise     Sort = "promise"
	SortRequestedAt Sort = "-requested_at"
)

// Page is one page of a list; NextCursor is empty on the last.
type Page struct {
	Items      []View
	NextCursor string
}

// CountBy is what callbacks are counted by.
type CountBy string

// What callbacks are counted by.
const (
	CountByStatus   CountBy = "status"
	CountByTier     CountBy = "tier"
	CountByQueue    CountBy = "queue"
	CountByPolicy   CountBy = "policy"
	CountByOwner    CountBy = "owner"
	CountByAssignee CountBy = "assignee"
)

// Count is how many callbacks have the same values of what is counted by.
type Count struct {
	// Key has a value for each CountBy that was asked for, in its order.
	Key            []string
	Count, Overdue int64
	// FirstDueAt is the earliest promise among them that is not kept yet; zero: none.
	FirstDueAt callback.Instant
}

// FeedItem is one change, for the stream: the callback as it was then, without
// anything personal. Seq is in commit order.
type FeedItem struct {
	Seq   int64
	State *callback.Callback
	// LOB is the intake's, which is nothing personal; empty: none.
	LOB string
}

// Staff is a person who works here (CONTRACT §3, staff).
type Staff struct {
	ID         string
	Name       string
	Tier       string
	Rank       int
	Queues     []string
	Capacity   int // of open assignments; 0: unlimited; it limits draws, never claims
	ReportsTo  string
	Shift      *callback.Calendar // nil: always on shift
	ShiftName  string
	Identities map[string]string
	Roles      []string // "auditor", "admin"
}

// Session is what is kept of a browser that is signed in, or about to be.
type Session struct {
	// ID is a hash of the token that the browser's cookie holds.
	ID string
	// StaffID is who it is signed in as; empty: nobody yet.
	StaffID   string
	Data      []byte
	ExpiresAt callback.Instant
}

// PresenceState is what a person says of themselves.
type PresenceState string

// The states of presence.
const (
	Available PresenceState = "available"
	BusyState PresenceState = "busy"
	Away      PresenceState = "away"
	Offline   PresenceState = "offline"
)

// Presence is who is free: State is empty where it was never set.
type Presence struct {
	StaffID string
	State   PresenceState
	// Until: then it lapses to offline, 15 minutes after the last renewal.
	Until callback.Instant
	// ReservedUntil is set while a live transfer is reserved.
	ReservedUntil callback.Instant
}

// Reservation holds one person for a live transfer (R01).
type Reservation struct {
	ID        string
	StaffID   string
	Tier      string
	Queue     string
	By        string
	ExpiresAt callback.Instant
	// UsedAt is when a command used it, once; zero: not yet. ErrandID is that command's:
	// it alone may use it again.
	UsedAt   callback.Instant
	ErrandID string
}

// DrawRequest asks for an assignee among a queue's members (R21). The same
// request again gives the same answer.
type DrawRequest struct {
	// ID of the draw: the callback's id and the version at which it was wanted.
	ID         string
	CallbackID string
	Version    int64
	Queue      string
	Tier       string
	Method     callback.Assign
	// Avoid is drawn only if nobody else can be: who had it last.
	Avoid string
	At    callback.Instant
}

// Term is how long a connector remembers what is under keys that begin with
// Prefix: after it was written last, and while it names a callback that is open,
// or was closed within that time.
type Term struct {
	Connector, Prefix string
	Lasts             callback.Duration
}

// DrawRecord is a row of the ledger of draws: how its fairness is shown.
type DrawRecord struct {
	DrawRequest
	Candidates []string
	To         string
}

// Archived is the exported history of one closed run.
type Archived struct {
	CallbackID string
	RunID      string
	ClosedAt   callback.Instant
	History    []byte // protobuf JSON, gzip
}

// ListView is a list that somebody wants to see again: its filters and order as
// the query of an address, under a name of its own.
type ListView struct {
	StaffID string
	Name    string
	Query   string
}

// StatsQuery bounds a report: promises made within [From, To).
type StatsQuery struct {
	From, To callback.Instant
	// By groups: "", "queue", "tier", "policy", "day" or "hour" (UTC).
	By string
}

// Stats counts promises: one per tier (CONTRACT §4). Attainment = kept /
// (kept + missed), nil while nothing has been decided.
type Stats struct {
	Open           int64        `json:"open"`
	Overdue        int64        `json:"overdue"`
	Made           int64        `json:"made"`
	Kept           int64        `json:"kept"`
	MissedByPeople int64        `json:"missed_by_people"`
	MissedBySystem int64        `json:"missed_by_system"`
	Attainment     *float64     `json:"attainment"`
	Groups         []StatsGroup `json:"groups"`
}

// StatsGroup is one row of a grouped report.
type StatsGroup struct {
	Key            string   `json:"key"`
	Made           int64    `json:"made"`
	Kept           int64    `json:"kept"`
	MissedByPeople int64    `json:"missed_by_people"`
	MissedBySystem int64    `json:"missed_by_system"`
	Attainment     *float64 `json:"attainment"`
}

// Watch is what a look from outside at the clock found.
type Watch struct {
	// Open and Overdue count callbacks.
	Open, Overdue int64
	// Late counts open callbacks for which the clock should have acted by now, and
	// has not: a promise passed without a breach, a hold without its end, a
	// reminder that was not given. Lateness is how long ago the first of them was due.
	Late     int64
	Lateness time.Duration
	// Errands counts those without an answer; OldestErrand is the age of the oldest.
	Errands      int64
	OldestErrand time.Duration
}

// ReportQuery bounds a report: promises made within [From, To), of these tiers,
// queues and policies where any are named.
type ReportQuery struct {
	From, To            callback.Instant
	Tier, Queue, Policy []string
}

// PromiseCount is how many promises came to the same.
type PromiseCount struct {
	Tier, Queue, Policy string
	Result              callback.Result
	LateBy              callback.Party
	// At is when, cut to the quarter of an hour, of which every zone's hours and
	// days are made: when they were made, or fell due.
	At    time.Time
	Count int64
}

// Report is what a report is made of.
type Report struct {
	// Made counts promises by when they were made, Due by when they fell due.
	Made, Due []PromiseCount
	// Reached counts callbacks by the whole minutes from the promise, or from the
	// time that the customer asked for, to the first contact at any tier; Unreached
	// those without one.
	Reached   map[int64]int64
	Unreached int64
	// Attempts counts callbacks by how many calls were made; Dispositions calls, and
	// callbacks that had any such, by how they went.
	Attempts     map[int64]int64
	Dispositions map[callback.Disposition]Calls
}

// Calls are how many there were, and of how many callbacks.
type Calls struct{ Calls, Callbacks int64 }

// PromiseFilter narrows promises beyond a ReportQuery; zero members do not.
type PromiseFilter struct {
	Result []string
	LateBy string
	// First: only a callback's first promise; what is below is about the whole callback.
	First bool
	// ReachedFrom and ReachedUpTo bound the whole minutes to the first contact: from
	// the first up to but not including the second; Unreached: there was none.
	ReachedFrom, ReachedUpTo *int64
	Unreached                bool
	Attempts                 *int64
	Disposition              string
}

// PromiseRow is one promise, in the order in which they were made.
type PromiseRow struct {
	CallbackID string
	TierIndex  int
	Tier       string
	Queue      string
	Policy     string
	MadeAt     callback.Instant
	DueAt      callback.Instant
	Result     callback.Result
	ResultAt   callback.Instant
	LateBy     callback.Party
}

// Outage is a system outage that was declared (R23). What it is about and what
// to say are in the database alone.
type Outage struct {
	ID string
	// What it affects: a callback whose queue, line of business and source system
	// are these; an empty one narrows nothing, and one at least is given.
	Queue, LOB, Source string
	// Words are what to tell customers meanwhile, EndWords when it is over; either may be empty.
	Words, EndWords string
	DeclaredBy      string
	DeclaredAt      callback.Instant
	EndedBy         string
	EndedAt         callback.Instant // zero: it goes on
}

// Active reports whether the outage goes on.
func (o *Outage) Active() bool { return o.EndedAt.IsZero() }

// OutageLink is an open callback that is linked to an outage that is over.
type OutageLink struct {
	CallbackID, Outage string
	// EndedBy is who ended it; empty: it never began, and is not there any more.
	EndedBy string
}

// Message is something that came in from another system and could not be
// understood, or not be done. It is kept, and can be replayed after a fix.
type Message struct {
	ID        string
	Connector string
	Received  callback.Instant
	// Reason is shown to people: nothing personal is in it.
	Reason string
	// Media and Body are what came, as it came: personal.
	Media string
	Body  []byte
	// Tries since it was kept; ReplayedAt is when it was understood after all.
	Tries      int
	ReplayedAt callback.Instant
	// Discarded is who declined it, when and why; nil: nobody has. Its body is gone then.
	Discarded *Discard
}

// Discard is that a person declined a kept message.
type Discard struct {
	At     callback.Instant
	By     string
	Reason string
}

// DeliveryState is what became of bringing one event to one destination.
type DeliveryState string

// The states of a delivery. Owed ones are on the callback's timeline; waived
// ones were given up, or done there by hand.
const (
	DeliveryTrying    DeliveryState = "trying"
	DeliveryOwed      DeliveryState = "owed"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryWaived    DeliveryState = "waived"
)

// DeliveryStates lists every state.
var DeliveryStates = []DeliveryState{DeliveryTrying, DeliveryOwed, DeliveryDelivered, DeliveryWaived}

// Delivery is a row of the ledger of deliveries: one event on its way to one
// destination. Nothing personal is in it.
type Delivery struct {
	OperationID string
	Destination string
	CallbackID  string
	Seq         int64
	Type        callback.EventType
	State       DeliveryState
	Tries       int
	// Code and Detail say what was the matter at the last try that failed.
	Code, Detail string
	FirstAt      callback.Instant
	TriedAt      callback.Instant
	NextAt       callback.Instant // zero: none is planned
	SettledAt    callback.Instant // zero: neither delivered nor waived yet
}

// DeliveryFilter narrows a list of deliveries; zero members do not.
type DeliveryFilter struct {
	Destination []string
	Code        []string
	State       []DeliveryState
	CallbackID  string
}

// OwedCount is how much is owed to a destination for one reason.
type OwedCount struct {
	Destination string
	Code        string
	Count       int64
	Oldest      callback.Instant
}

// DestinationHealth is how the deliveries to a destination have gone lately.
type DestinationHealth struct {
	LastSuccess callback.Instant
	LastFailure callback.Instant
	LastCode    string // of the last failure
	LastDetail  string
}
