// Package connectors is the one port behind which other systems are: ticket
// desks, task lists, inboxes, hooks. Each connector is a folder of its own with
// the fake that stands in for its vendor.
//
// Outward, a connector is given one event of one callback at a time, in order,
// for as long as it takes (Connector). Inward, it understands what a system
// says and tells the desk (Desk). What is personal stays between the database
// and the vendor: it enters no history, log or metric (R26).
package connectors

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"ringback/book"
	"ringback/callback"
)

// Connector speaks to one other system.
type Connector interface {
	// Name is that of its block in the configuration, like "freshdesk"; a webhook's
	// is "webhook:" and its name. It is the destination of deliveries.
	Name() string
	// Wants says which callbacks are delivered to it at all; asked once, when the
	// callback is promised.
	Wants(in book.Intake, p *callback.Policy) bool
	// Types are the events that it is given; the others are skipped without
	// costing anything.
	Types() []callback.EventType
	// Deliver brings one event there. It is called again with the same OperationID
	// until it returns nil, and never for two events of one callback at once; what
	// may have arrived is looked for before it is sent again. Any error that is no
	// *Owed counts as one with the code "unavailable".
	Deliver(ctx context.Context, d Delivery) error
}

// Delivery is one event of one callback on its way to one system.
type Delivery struct {
	// OperationID is the same however often it is tried, and no other's.
	OperationID string
	Event       callback.Event
	// Again: it may have been tried before, and may have arrived. False is certain:
	// nothing needs to be looked for.
	Again bool
	// Callback is the state right after the event; Latest the newest that is known.
	Callback, Latest *callback.Callback
	Intake           book.Intake
	// Policy is the one that was pinned when it was promised. It is shared: it is
	// not to be changed.
	Policy *callback.Policy
	// Text is what the event's text_id names; nil: none, or erased.
	Text *book.Text
	// Author is who is behind the event; nil: the clock, or a system. An author
	// without an identity there is not posted for as somebody else (R13).
	Author *book.Staff
	// Outage is the one that the event is about, with the words to say (R23): set
	// where a *callback.Held or *callback.Resumed names one.
	Outage *book.Outage
}

// Owed says why a delivery is still owed. Detail is shown to people: it holds
// nothing personal and no secret.
type Owed struct {
	Code   OwedCode
	Detail string
	// RetryAfter is what the vendor asked for; 0: as the desk thinks fit.
	RetryAfter time.Duration
	// Err is the cause, for the log.
	Err error
}

// OwedCode is why a delivery is owed.
type OwedCode string

// Why a delivery is owed. The first three pass by themselves; the others wait
// for a person who mends the cause, or waives the delivery.
const (
	Unavailable  OwedCode = "unavailable"  // no answer, or 5xx
	RateLimited  OwedCode = "rate_limited" // 429
	Conflict     OwedCode = "conflict"     // somebody else wrote meanwhile
	Unauthorized OwedCode = "unauthorized" // the key or token is not taken
	NoIdentity   OwedCode = "no_identity"  // the author has no identity there (R13)
	Gone         OwedCode = "gone"         // the ticket or task is no more
	Rejected     OwedCode = "rejected"     // the vendor refuses what is sent
)

// Passing reports whether trying again can help by itself.
func (c OwedCode) Passing() bool {
	return c == Unavailable || c == RateLimited || c == Conflict
}

// Error implements error.
func (o *Owed) Error() string {
	if o.Err != nil {
		return fmt.Sprintf("%s: %s: %v", o.Code, o.Detail, o.Err)
	}
	return fmt.Sprintf("%s: %s", o.Code, o.Detail)
}

// Unwrap returns the cause.
func (o *Owed) Unwrap() error { return o.Err }

// Inbound is a connector to which its system sends requests.
type Inbound interface {
	Connector
	// Path is the last part of the address to which they go: "exceptions" for
	// /v1/inbound/exceptions.
	Path() string
	// Receive answers one request, GET or POST, within the vendor's time limit. It
	// verifies, says so by Proven, and only then parses; it keeps what it cannot
	// understand. The body ends in an *http.MaxBytesError where it is longer than 1
	// MiB, or than MaxBody says. Too many from one address that do not prove
	// themselves never get here.
	Receive(w http.ResponseWriter, r *http.Request)
}

type admissionKey struct{}

// WithAdmission has Proven ask admit.
func WithAdmission(ctx context.Context, admit func() *callback.Fault) context.Context {
	return context.WithValue(ctx, admissionKey{}, admit)
}

// Proven says that the request of a context has proved where it comes from: only
// such requests count for how many its system may send, so that nobody else can
// use that up. The fault, if any, is the one to refuse it with, because there are
// too many of them.
func Proven(ctx context.Context) *callback.Fault {
	if admit, is := ctx.Value(admissionKey{}).(func() *callback.Fault); is {
		return admit()
	}
	return nil
}

// Scoped is an Inbound that does not verify by itself: only requests with an API
// key of that scope get to it, and they are proven; the others are refused before.
type Scoped interface{ Scope() string }

// Sized is an Inbound that takes more than 1 MiB.
type Sized interface{ MaxBody() int64 }

// Replayer understands again what was kept because it could not be understood.
type Replayer interface {
	Replay(ctx context.Context, m Message) error
}

// Runner is a connector that has something to do by itself: poll, listen, watch.
type Runner interface {
	// Run works until ctx is done. An outage of the other system is no error. Of
	// many processes one runs it at a time; when that one dies another goes on.
	Run(ctx context.Context) error
}

// Checker is a connector that can tell, without doing anything there, whether its
// system can be reached and takes what it is configured with.
type Checker interface {
	Check(ctx context.Context) error
}

// Deps is what every connector is made with, besides its own configuration.
type Deps struct {
	Desk   Desk
	Memory Memory
	Kept   Kept
	// Logger hears nothing personal and no secret.
	Logger *slog.Logger
	// Now is the clock; Sleep waits, or returns ctx's error. Tests set them.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Desk is what connectors ask of the desk. Its refusals are *callback.Fault,
// with the codes of the contract; any other error means: try again.
type Desk interface {
	// Promise makes a callback in the name of "system:CONNECTOR". The same key
	// again is the same callback; a duplicate is refused with the one that exists (R14).
	Promise(ctx context.Context, connector, key string, c Promise) (callbackID string, err error)
	// Do gives a command of people in the name of a member of staff: name and body
	// as in POST /v1/callbacks/{id}/NAME. The same key again is the same command.
	Do(ctx context.Context, key, staffID, callbackID, name string, body any) error
	// CustomerCalled tells that the customer came back by another way.
	CustomerCalled(ctx context.Context, connector, key, callbackID, note string) error
	// TagMissing tells that a tag was taken off by hand while the callback is open:
	// a tagged event by "system:CONNECTOR" follows, whose delivery puts it back (R09).
	// Told again within a minute it is told once.
	TagMissing(ctx context.Context, connector, callbackID string) error
	// Callbacks are those of a source, newest first, closed ones too, and those whose
	// customer was erased: of what was asked nothing is left in them.
	Callbacks(ctx context.Context, system, ref string) ([]book.View, error)
	// Open calls f for every open callback of a source system.
	Open(ctx context.Context, system string, f func(book.View) error) error
	// Staff are the people, to find whose identity somebody is.
	Staff(ctx context.Context) ([]book.Staff, error)
}

// Promise is what a connector asks the desk to promise.
type Promise struct {
	Policy string
	// Customer needs a name, and a valid phone number (E.164) or an e-mail address.
	Customer book.Customer
	Reason   string
	Source   book.Source
	LOB      string
	// Queue overrides the first step's; it must be one that the configuration knows. Empty: the policy's.
	Queue string
	// AssignTo assigns the first step directly to a member of staff; empty: as the policy says.
	AssignTo string
	Fields   map[string]string
	Parent   string
}

// Memory is what connectors remember across restarts: which task is whose, how
// far a poll has come. Keys are unique within a connector.
type Memory interface {
	Recall(ctx context.Context, connector, key string) (value string, found bool, err error)
	Remember(ctx context.Context, connector, key, value string) error
	// Claim remembers value unless there is one: first is false, and value the other one, then.
	Claim(ctx context.Context, connector, key, value string) (existing string, first bool, err error)
	// Replace remembers value in place of was, if that is what is remembered; done reports whether.
	Replace(ctx context.Context, connector, key, was, value string) (done bool, err error)
	Forget(ctx context.Context, connector, key string) error
}

// Forgetful is a connector that need not remember everything for ever.
type Forgetful interface {
	// Terms say for how long what; keys that none of them names are kept.
	Terms() []book.Term
}

// Message is something that came in and could not be understood, or not be
// done. ID, Connector, Reason, Media and Body are the connector's to give.
type Message = book.Message

// Kept is where such messages are.
type Kept interface {
	// Keep keeps a message; without an ID it gets one, and the same ID again is the same message.
	Keep(ctx context.Context, m Message) error
}
