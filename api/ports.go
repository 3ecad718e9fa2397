package api

import (
	"context"
	"errors"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// Book is what the API needs of the store. Its errors are those of package
// book; anything else means that the database did not do what was asked.
type Book interface {
	Originals
	Errands
	Views
	Lists
	People
	Keys
	Ledgers

	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	// HashKey is the secret under which keys and bodies are hashed; always the same.
	HashKey(ctx context.Context) ([]byte, error)
}

// Originals are what was asked, and under which policy.
type Originals interface {
	// SavePolicy keeps a pinned policy under the hash that names it.
	SavePolicy(ctx context.Context, hash string, p *callback.Policy) error
	// Policy is shared: it is not to be changed.
	Policy(ctx context.Context, hash string) (*callback.Policy, error)
	// Intake is what was asked, whether or not a callback has come of it yet.
	Intake(ctx context.Context, callbackID string) (book.Intake, error)
	// SameCustomer returns the open callbacks of the same customer.
	SameCustomer(ctx context.Context, c book.Customer, except string) (callbackIDs []string, err error)
	// Erase empties all that is personal of a callback's customer, and notes it, in
	// one transaction. *book.NotErasableError: not yet; book.ErrRepeated: the errand
	// that is written with it has an answer already.
	Erase(ctx context.Context, e book.Erase) (book.Erased, error)
}

// Errands are commands on their way (see book.Errand).
type Errands interface {
	// Begin writes an errand with what belongs to it, before anything is sent. An
	// errand that is there already under its id is returned, and nothing is written.
	// *book.DuplicateError: an open callback has the same source.
	Begin(ctx context.Context, b book.Begin) (existing *book.Errand, err error)
	Errand(ctx context.Context, id string) (book.Errand, error)
	// TakeOver extends the lease of an unanswered errand whose lease ran out before
	// staleBefore; of those who try at once one has taken it.
	TakeOver(ctx context.Context, id string, staleBefore, leaseUntil callback.Instant) (e book.Errand, taken bool, err error)
	// Release ends the lease, so that a repeat need not wait for it.
	Release(ctx context.Context, id string) error
	// Settle writes the outcome into the read model and the answer that render makes
	// of it into the errand, in one transaction. *book.GapError: earlier events are missing.
	Settle(ctx context.Context, id string, b book.Batch, render func(book.View) (*book.Answer, error)) (book.View, error)
	// Drop forgets an errand that was refused, with what was staged for it.
	Drop(ctx context.Context, id string) error
	// Answer keeps the answer to an errand that is about no callback.
	Answer(ctx context.Context, id string, a book.Answer) error
}

// Views are what lists, boards and timelines show.
type Views interface {
	Callback(ctx context.Context, id string) (book.View, error)
	List(ctx context.Context, f book.Filter, s book.Sort, limit int, cursor string) (book.Page, error)
	// Counts counts what passes a filter, grouped by none or several members.
	Counts(ctx context.Context, f book.Filter, by []book.CountBy) ([]book.Count, error)
	// Matches reports whether List would find a callback by the words of q.
	Matches(ctx context.Context, callbackID, q string) (bool, error)
	Timeline(ctx context.Context, callbackID string) ([]book.Entry, error)
	Notes(ctx context.Context, callbackID string) ([]book.Text, error)
	Stats(ctx context.Context, q book.StatsQuery) (book.Stats, error)
	// Report counts promises, and Promises lists what it counts: at most limit after
	// one of them, in the order in which they were made.
	Report(ctx context.Context, q book.ReportQuery) (book.Report, error)
	Promises(ctx context.Context, q book.ReportQuery, f book.PromiseFilter, after *book.PromiseRow, limit int) ([]book.PromiseRow, error)

	// Feed returns at most limit changes after seq, in commit order.
	Feed(ctx context.Context, after int64, limit int) ([]book.FeedItem, error)
	// FeedBounds are the oldest and the newest change that the feed still has.
	FeedBounds(ctx context.Context) (oldest, newest int64, err error)
	// Subscribe calls f when there may be something new in the feed; f returns at once.
	Subscribe(f func()) (cancel func())
}

// Lists are what people want to see again.
type Lists interface {
	ListViews(ctx context.Context, staffID string) ([]book.ListView, error)
	SaveListView(ctx context.Context, v book.ListView) error
	ForgetListView(ctx context.Context, staffID, name string) error
}

// People are who works here, and who of them is free.
type People interface {
	Staff(ctx context.Context) ([]book.Staff, error)
	// People are also those who no longer work here.
	People(ctx context.Context) ([]book.Person, error)
	Person(ctx context.Context, id string) (book.Person, error)
	// EditPerson adds or changes one person, while nobody else changes any, and with
	// it writes the errand that conclude makes of them, which has an answer; nil, or
	// conclude nil: none. book.ErrRepeated: that errand has an answer already.
	EditPerson(ctx context.Context, id string, edit func(book.Roster) (book.Person, error), conclude func(book.Person) (*book.Errand, error)) (book.Person, error)
	MakeBusy(ctx context.Context, staffID string, now callback.Instant) error
	SetPresence(ctx context.Context, staffID string, s book.PresenceState, now callback.Instant) (book.Presence, error)
	RenewPresence(ctx context.Context, staffID string, now callback.Instant) (book.Presence, error)
	Presences(ctx context.Context, now callback.Instant) ([]book.Presence, error)
	// Reserve holds one free person of a tier and queue, other than who asks, for a
	// live transfer. The same id again is the same reservation. book.ErrNoneAvailable: nobody is free.
	Reserve(ctx context.Context, r book.Reservation, now callback.Instant) (book.Reservation, error)
	Reservation(ctx context.Context, id string) (book.Reservation, error)
	// Transferred makes whoever it holds busy; again changes nothing.
	Transferred(ctx context.Context, reservationID string) error
	// DrawWaits returns the callbacks that wait in these queues for somebody to be drawn.
	DrawWaits(ctx context.Context, queues []string) ([]string, error)
}

// Keys are those of systems.
type Keys interface {
	// AddKey keeps a new key, and with it an errand that has an answer; nil: none.
	// book.ErrRepeated: that errand has an answer already.
	AddKey(ctx context.Context, k book.Key, e *book.Errand) error
	Key(ctx context.Context, id string) (book.Key, error)
	// Keys are all that ever were, the newest first.
	Keys(ctx context.Context) ([]book.Key, error)
	// RevokeKey ends a key for good; one that is revoked stays as it is.
	RevokeKey(ctx context.Context, id, by string, now callback.Instant) (book.Key, error)
	// UseKey notes a use, unless one was noted after a time.
	UseKey(ctx context.Context, id string, now, unlessAfter callback.Instant) error
}

// Ledgers are what other systems are owed, what came in from them and was not
// understood, and outages.
type Ledgers interface {
	Owed(ctx context.Context, f book.DeliveryFilter, limit int, cursor string) (page []book.Delivery, next string, err error)
	Deliveries(ctx context.Context, f book.DeliveryFilter, limit int, cursor string) (page []book.Delivery, next string, err error)
	Delivery(ctx context.Context, operationID string) (book.Delivery, error)
	OwedCounts(ctx context.Context) ([]book.OwedCount, error)
	Health(ctx context.Context, destination string) (book.DestinationHealth, error)

	Messages(ctx context.Context, connector string, waiting bool, limit int, after string) ([]book.Message, error)
	Message(ctx context.Context, id string) (book.Message, error)
	// Replayed notes that a message was tried again: understood, unless a reason says why not.
	Replayed(ctx context.Context, id string, at callback.Instant, reason string) error
	Waiting(ctx context.Context) (map[string]int64, error)

	// Declare writes an outage down; the same id again is the one that is there.
	Declare(ctx context.Context, o book.Outage) (book.Outage, error)
	Undeclare(ctx context.Context, id string) error
	Outage(ctx context.Context, id string) (book.Outage, error)
	ActiveOutages(ctx context.Context) ([]book.Outage, error)
	Outages(ctx context.Context, limit int, after string) ([]book.Outage, error)
	SayAtEnd(ctx context.Context, id, words string) error
	EndOutage(ctx context.Context, id, by string, at callback.Instant) error
	LinkedCounts(ctx context.Context) (map[string]int64, error)
}

// Errors of an Engine. A refusal by the rules is a *callback.Fault; every other
// error means that it is not known whether the command was accepted.
var (
	// ErrEngineAway: nothing was sent.
	ErrEngineAway = errors.New("engine away")
	// ErrEngineBusy: the engine turned it away because too much is under way; it was not accepted.
	ErrEngineBusy = errors.New("engine busy")
	// ErrOutcomeUnknown: it was sent, and may or may not be accepted.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrNoWorkflow: no running workflow keeps this callback: it is closed, or there is none.
	ErrNoWorkflow = errors.New("no such workflow is running")
)

// Engine carries commands to the workflows. The same update id sent again gives
// the first outcome.
type Engine interface {
	Create(ctx context.Context, updateID string, in contract.Input, digest string) (contract.Outcome, error)
	// Command sends an order, a contract.Order of the command of that name.
	Command(ctx context.Context, callbackID, updateID string, name callback.CommandName, order any) (contract.Outcome, error)
	// CustomerCalled signals.
	CustomerCalled(ctx context.Context, callbackID string, call contract.CustomerCalled) error
	// CandidateAvailable has a callback draw again now.
	CandidateAvailable(ctx context.Context, callbackID string) error
	// TagMissing tells that a tag was taken off by hand elsewhere.
	TagMissing(ctx context.Context, callbackID string, in contract.TagMissing) error
	// HurryDelivery has what a callback owes tried at once.
	HurryDelivery(ctx context.Context, callbackID string) error
	// Redeliver brings an event to a destination once more; the same id again is once.
	Redeliver(ctx context.Context, id string, in contract.Delivery) error
	// BeginOutage starts an outage, once; EndOutage ends it, and starts it first if need be.
	BeginOutage(ctx context.Context, in contract.OutageInput) error
	EndOutage(ctx context.Context, updateID string, in contract.OutageInput, end contract.OutageEnd) (contract.OutageState, error)
	// News are a callback's events after a version.
	News(ctx context.Context, callbackID string, since int64) (contract.News, error)
	Healthy(ctx context.Context) error
}

// Auditor answers auditors (R24).
type Auditor interface {
	// History is a callback's Temporal history as protobuf JSON.
	History(ctx context.Context, callbackID string) ([]byte, error)
	// Replay runs it against the code that runs now.
	Replay(ctx context.Context, callbackID string) (Verdict, error)
	// Heard is what came of a command, or of an operation that was told, as the
	// histories have it; false: they know nothing of it.
	Heard(ctx context.Context, callbackID, id string) (contract.Heard, bool, error)
}

// Verdict is what a replay found.
type Verdict struct {
	OK             bool   `json:"ok" doc:"the history replays, and leads to what was projected"`
	Events         int    `json:"events" doc:"events of the Temporal history"`
	OutcomeMatches bool   `json:"outcome_matches" doc:"the rules, folded over the recorded commands and timers, lead to the timeline that is shown"`
	Detail         string `json:"detail" doc:"what was compared, or what differs"`
}

// Drafts reads policies that somebody writes, as the configuration would.
type Drafts interface {
	// Text is the running policies as a draft to begin with.
	Text() (string, error)
	// Check reads a draft; mistake is the first thing that is wrong with it, nil for nothing.
	Check(text string) (policies []*callback.Policy, mistake *DraftMistake)
}

// DraftMistake is what is wrong with a draft, and where.
type DraftMistake struct {
	Line     int    `json:"line" doc:"from 1"`
	Path     string `json:"path" example:"policies.supervisor-callback.ladder[0].tat"`
	Expected string `json:"expected" doc:"completes \"expected …\""`
}

// Watch counts what is open right now, for the metrics.
type Watch interface {
	Open(ctx context.Context) (open, overdue int64, err error)
}
