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
	People

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
}

// Views are what lists, boards and timelines show.
type Views interface {
	Callback(ctx context.Context, id string) (book.View, error)
	List(ctx context.Context, f book.Filter, s book.Sort, limit int, cursor string) (book.Page, error)
	// Matches reports whether List would find a callback by the words of q.
	Matches(ctx context.Context, callbackID, q string) (bool, error)
	Timeline(ctx context.Context, callbackID string) ([]book.Entry, error)
	Notes(ctx context.Context, callbackID string) ([]book.Text, error)
	Stats(ctx context.Context, q book.StatsQuery) (book.Stats, error)

	// Feed returns at most limit changes after seq, in commit order.
	Feed(ctx context.Context, after int64, limit int) ([]book.FeedItem, error)
	// FeedBounds are the oldest and the newest change that the feed still has.
	FeedBounds(ctx context.Context) (oldest, newest int64, err error)
	// Subscribe calls f when there may be something new in the feed; f returns at once.
	Subscribe(f func()) (cancel func())
}

// People are who works here, and who of them is free.
type People interface {
	Staff(ctx context.Context) ([]book.Staff, error)
	SetPresence(ctx context.Context, staffID string, s book.PresenceState, now callback.Instant) (book.Presence, error)
	Presences(ctx context.Context, now callback.Instant) ([]book.Presence, error)
	// Reserve holds one free person of a tier and queue, other than who asks, for a
	// live transfer. The same id again is the same reservation. book.ErrNoneAvailable: nobody is free.
	Reserve(ctx context.Context, r book.Reservation, now callback.Instant) (book.Reservation, error)
	Reservation(ctx context.Context, id string) (book.Reservation, error)
	ConsumeReservation(ctx context.Context, id string) error
	// DrawWaits returns the callbacks that wait in these queues for somebody to be drawn.
	DrawWaits(ctx context.Context, queues []string) ([]string, error)
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
}

// Verdict is what a replay found.
type Verdict struct {
	OK             bool   `json:"ok" doc:"the history replays, and leads to what was projected"`
	Events         int    `json:"events" doc:"events of the Temporal history"`
	OutcomeMatches bool   `json:"outcome_matches" doc:"the rules, folded over the recorded commands and timers, lead to the timeline that is shown"`
	Detail         string `json:"detail" doc:"what was compared, or what differs"`
}

// Watch counts what is open right now, for the metrics.
type Watch interface {
	Open(ctx context.Context) (open, overdue int64, err error)
}
