// Package notice tells people by mail what they should not miss: a promise that
// runs out or has passed, an escalation, a reminder, a completion (R10, R11). A
// second connector tells customers that an outage is over (R23).
//
// A person gets one mail for all that has happened lately, and none outside
// their shift. What is to be told is written down before the desk is answered:
// whatever dies, it is told once it can be.
package notice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/smtp"
	"ringback/connectors/wire"
)

// name of the connector and of its block in the configuration; identity is where a person's
// address is.
const (
	name     = "smtp"
	identity = "email"
)

// Config is the block `smtp` of the configuration, but for what sending needs.
type Config struct {
	// Post sends; it is required.
	Post Post
	// Types are the events that people are told of; none: warned, breached, escalated,
	// reminded, completed. "assigned" may be among them.
	Types []string
	// Every is how often one person gets mail at most; 0: 5 min. What happens
	// meanwhile is in one mail.
	Every time.Duration
	// AnyTime sends mail outside people's shifts too.
	AnyTime bool
	// Link to a callback for people, with "{id}" in it; empty: mail has its id alone.
	Link string
	// CustomerSubject is the subject of mail to customers; empty: one of the desk's own.
	CustomerSubject string
}

// Post sends mail; *smtp.Sender does.
type Post interface {
	Send(ctx context.Context, m smtp.Mail) error
	Check(ctx context.Context) error
	Domain() string
}

const (
	standardEvery = 5 * time.Minute
	longestEvery  = 24 * time.Hour
)

// usual are the types that people are told of where nothing else is configured; types
// those that can be.
var (
	usual = []callback.EventType{callback.TypeWarned, callback.TypeBreached, callback.TypeEscalated, callback.TypeReminded, callback.TypeCompleted}
	types = append(slices.Clone(usual), callback.TypeAssigned)
)

// Connector sends notices.
type Connector struct {
	config Config
	deps   connectors.Deps
	types  []callback.EventType
	// locks keep this process from writing to one list twice at once.
	locks wire.Keyed

	mu      sync.Mutex
	fresh   map[string]bool      // who has something new
	after   map[string]time.Time // whose address is refused, until then
	failing time.Time            // since when no mail can be sent; zero: it can
}

// New checks the configuration; a mistake in it is a *callback.Fault that names the key.
func New(c Config, deps connectors.Deps) (*Connector, error) {
	made := &Connector{config: c, deps: wire.Complete(deps), fresh: map[string]bool{}, after: map[string]time.Time{}}
	var wrong []callback.FieldError
	say := func(path, format string, args ...any) {
		wrong = append(wrong, callback.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if c.Post == nil {
		say("url", "expected where mail is sent to")
	}
	for i, t := range c.Types {
		known := callback.EventType(t)
		if !slices.Contains(types, known) || slices.Contains(made.types, known) {
			say(fmt.Sprintf("types[%d]", i), "expected one of warned, breached, escalated, reminded, completed, assigned, once")
		}
		made.types = append(made.types, known)
	}
	if len(c.Types) == 0 {
		made.types = usual
	}
	if made.config.Every = cmp.Or(c.Every, standardEvery); made.config.Every < time.Second || made.config.Every > longestEvery {
		say("every", "expected a duration between 1s and 24h")
	}
	if c.Link != "" {
		u, err := url.Parse(strings.ReplaceAll(c.Link, "{id}", "id"))
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || !strings.Contains(c.Link, "{id}") {
			say("link", `expected an address with {id} in it, like https://desk.example/callbacks/{id}`)
		}
	}
	if err := wire.Wrong(wrong); err != nil {
		return nil, err
	}
	return made, nil
}

// Name implements connectors.Connector.
func (c *Connector) Name() string { return name }

// Wants implements connectors.Connector.
func (c *Connector) Wants(book.Intake, *callback.Policy) bool { return true }

// Types implements connectors.Connector.
func (c *Connector) Types() []callback.EventType { return c.types }

// Check implements connectors.Checker: it signs in at the mail server.
func (c *Connector) Check(ctx context.Context) error { return c.config.Post.Check(ctx) }

// Deliver implements connectors.Connector: what people are to be told is written down for
// each of them. While no mail can be sent it says so, and people see what is
// owed; it is written down all the same.
func (c *Connector) Deliver(ctx context.Context, d connectors.Delivery) error {
	staff, err := c.deps.Desk.Staff(ctx)
	if err != nil {
		return err
	}
	at := c.deps.Now()
	for _, s := range recipients(d, staff, at) {
		if address(s) == "" {
			continue // nobody is told in somebody else's place
		}
		if err := c.list(s.ID).add(ctx, entryOf(d), d.Again, at); err != nil {
			return err
		}
		c.again(map[string]bool{s.ID: true})
	}
	return c.trouble(ctx)
}

// address is where a member of staff gets mail; empty: nowhere.
func address(s *book.Staff) string {
	a, err := mail.ParseAddress(s.Identities[identity])
	if err != nil {
		return ""
	}
	return a.Address
}

// recipients are those who should know of an event: who has the callback and who owns it;
// where nobody has it, its queue; and who is above them, where it is late. Nobody is
// told what they did themselves.
func recipients(d connectors.Delivery, staff []book.Staff, at time.Time) []*book.Staff {
	to := &audience{staff: staff, at: at, skip: d.Event.Actor}
	c := d.Callback
	switch fact := d.Event.Fact.(type) {
	case *callback.Warned:
		to.working(c)
		if fact.Of == callback.WarningOfAttempts {
			to.person(c.Owner)
		}
	case *callback.Breached:
		to.working(c)
		to.person(c.Owner)
		to.above()
	case *callback.Escalated:
		to.working(c)
		to.person(c.Owner)
		to.person(c.Former)
	case *callback.Reminded:
		to.working(c)
		to.person(c.Owner)
		if fact.Number > 1 {
			to.above() // the first reminder was for those who can do it
		}
	case *callback.Assigned:
		to.person(fact.To)
	case *callback.Completed:
		to.person(c.Owner)
		to.person(c.Assignee)
		to.person(c.RequestedBy)
	}
	return to.all
}

// audience gathers people, each once.
type audience struct {
	staff []book.Staff
	at    time.Time
	skip  string
	all   []*book.Staff
}

func (a *audience) find(id string) *book.Staff {
	for i := range a.staff {
		if a.staff[i].ID == id && id != "" {
			return &a.staff[i]
		}
	}
	return nil
}

func (a *audience) person(id string) {
	if s := a.find(id); s != nil && s.ID != a.skip && !slices.Contains(a.all, s) {
		a.all = append(a.all, s)
	}
}

// working is who has a callback, or else everybody of its queue who is on shift; if
// nobody is, all of them, for when they come.
func (a *audience) working(c *callback.Callback) {
	if a.find(c.Assignee) != nil {
		a.person(c.Assignee)
		return
	}
	var on, off []string
	for _, s := range a.staff {
		switch {
		case !slices.Contains(s.Queues, c.Queue):
		case s.Shift == nil || s.Shift.Open(a.at):
			on = append(on, s.ID)
		default:
			off = append(off, s.ID)
		}
	}
	if len(on) == 0 {
		on = off
	}
	for _, id := range on {
		a.person(id)
	}
}

// above adds those to whom the people so far report.
func (a *audience) above() {
	for _, s := range slices.Clone(a.all) {
		a.person(s.ReportsTo)
	}
}

// troubleKey is remembered while mail cannot be sent: why, in words for people.
const troubleKey = "trouble"

// trouble is what keeps mail from being sent; nil: nothing. It passes: once mail
// goes out again, so does what is written down.
func (c *Connector) trouble(ctx context.Context) error {
	why, some, err := c.deps.Memory.Recall(ctx, name, troubleKey)
	if err != nil || !some {
		return err
	}
	return &connectors.Owed{Code: connectors.Unavailable, Detail: "it is written down, and will be sent when mail can be sent again: " + why}
}

// lasting is how long mail cannot be sent until that is trouble: a mail that a server
// wants to be sent again in a moment makes nothing owed.
const lasting = time.Minute

func (c *Connector) setTrouble(ctx context.Context, err error) error {
	var owed *connectors.Owed
	if !errors.As(err, &owed) {
		c.mu.Lock()
		c.failing = time.Time{}
		c.mu.Unlock()
		return c.deps.Memory.Forget(ctx, name, troubleKey)
	}
	now := c.deps.Now()
	c.mu.Lock()
	if c.failing.IsZero() {
		c.failing = now
	}
	lasts := now.Sub(c.failing) >= lasting
	c.mu.Unlock()
	if owed.Code.Passing() && !lasts {
		return nil
	}
	return c.deps.Memory.Remember(ctx, name, troubleKey, owed.Detail)
}
