// Package webhook tells other systems what happens to callbacks: Standard
// Webhooks, shaped as CloudEvents. What is personal stays here, unless it is
// configured to go.
//
// A receiver that answers 410 wants no more: its hook is off until a person
// puts it on again. Whatever else it answers, nothing is lost and nothing is
// doubled: a message has the same id however often it is sent.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/plain"
	"ringback/connectors/signed"
	"ringback/connectors/wire"
)

// Config is one of the list `webhooks` of the configuration.
type Config struct {
	// Name tells it from others; empty: the host of its URL.
	Name string
	URL  string
	// Secret signs what is sent (Standard Webhooks, "whsec_…"); several with spaces
	// between while it is being replaced.
	Secret string
	// Types are the events that are sent; none: every one.
	Types []string
	// Policies are those whose callbacks are told of; none: all.
	Policies []string
	// Include sends what is personal along: "customer", "source", "reason", "fields", "text" (of
	// notes and reasons). Over https alone, or on a loopback address.
	Include []string
	// Source is the CloudEvents attribute: who tells; empty: "/ringback".
	Source string
	// Client sends; nil: an ordinary one.
	Client *http.Client
}

// The parts of Config.Include.
const (
	includeCustomer = "customer"
	includeSource   = "source"
	includeReason   = "reason"
	includeFields   = "fields"
	includeText     = "text"
)

var includes = []string{includeCustomer, includeSource, includeReason, includeFields, includeText}

// typePrefix begins the CloudEvents attribute type.
const typePrefix = "ringback.callback."

// types are the events that can be sent.
var types = []callback.EventType{
	callback.TypeRequested, callback.TypeCustomerCalled, callback.TypeScheduled, callback.TypeQueued, callback.TypeAssigned,
	callback.TypeClaimed, callback.TypeStarted, callback.TypeAttempted, callback.TypeContacted, callback.TypeNoted,
	callback.TypeWarned, callback.TypeBreached, callback.TypeEscalated, callback.TypeReminded, callback.TypeReassigned,
	callback.TypeReleased, callback.TypeHeld, callback.TypeResumed, callback.TypeRescheduled, callback.TypeTagged,
	callback.TypeUntagged, callback.TypeCompleted, callback.TypeCancelled,
}

// Connector is one hook.
type Connector struct {
	config Config
	deps   connectors.Deps
	key    *signed.Key
	client *http.Client
	name   string
	types  []callback.EventType
}

// New checks the configuration; a mistake in it is a *callback.Fault that names the key.
func New(c Config, deps connectors.Deps) (*Connector, error) {
	made := &Connector{config: c, deps: wire.Complete(deps), client: c.Client}
	var wrong []callback.FieldError
	say := func(path, format string, args ...any) {
		wrong = append(wrong, callback.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.Fragment != "" {
		say("url", "expected an http or https address, without a user")
		u = &url.URL{}
	}
	if made.name = c.Name; c.Name == "" {
		made.name = u.Host
	}
	if strings.ContainsAny(made.name, " \t\n/") || len(made.name) > 100 {
		say("name", "expected a short name without spaces and slashes")
	}
	if made.key, err = signed.ParseKey(c.Secret); err != nil {
		say("secret_env", "%s", err)
	}
	for i, t := range c.Types {
		known := callback.EventType(t)
		if !slices.Contains(types, known) || slices.Contains(made.types, known) {
			say(fmt.Sprintf("types[%d]", i), "expected an event's type, once, like completed")
		}
		made.types = append(made.types, known)
	}
	if len(c.Types) == 0 {
		made.types = types
	}
	for i, part := range c.Include {
		if !slices.Contains(includes, part) {
			say(fmt.Sprintf("include[%d]", i), "expected one of %s", strings.Join(includes, ", "))
		}
	}
	if len(c.Include) > 0 && u.Scheme == "http" && !wire.Loopback(u.Hostname()) {
		say("include", "expected an https address where what is personal is sent")
	}
	if made.config.Source == "" {
		made.config.Source = "/ringback"
	} else if _, err := url.Parse(c.Source); err != nil {
		say("source", "expected a URI")
	}
	if made.client == nil {
		made.client = wire.NewHTTP()
	}
	if err := wire.Wrong(wrong); err != nil {
		return nil, err
	}
	return made, nil
}

// Name implements connectors.Connector.
func (c *Connector) Name() string { return "webhook:" + c.name }

// Wants implements connectors.Connector.
func (c *Connector) Wants(in book.Intake, _ *callback.Policy) bool {
	return len(c.config.Policies) == 0 || slices.Contains(c.config.Policies, in.Policy)
}

// Types implements connectors.Connector.
func (c *Connector) Types() []callback.EventType { return c.types }

// Event is what is sent: CloudEvents 1.0 in JSON.
type Event struct {
	SpecVersion     string           `json:"specversion"`
	ID              string           `json:"id"` // webhook-id too
	Source          string           `json:"source"`
	Type            string           `json:"type"`
	Subject         string           `json:"subject"` // the callback's id
	Time            callback.Instant `json:"time"`
	DataContentType string           `json:"datacontenttype"`
	Data            Data             `json:"data"`
}

// Data is one event of a callback, with the callback as it was right after it.
type Data struct {
	// Seq orders the events of one callback. Those that no hook is told of have one too.
	Seq   int64         `json:"seq"`
	Type  string        `json:"type"`
	Actor string        `json:"actor"`
	Tier  string        `json:"tier"`
	Rule  callback.Rule `json:"rule"`
	// Fact has the members of the timeline's entry.
	Fact     callback.Fact `json:"fact"`
	Callback *State        `json:"callback"`
	// What is personal is null unless it is configured to be sent.
	Customer *book.Customer    `json:"customer"`
	Source   *book.Source      `json:"source"`
	Reason   *string           `json:"reason"`
	Fields   map[string]string `json:"fields"`
	Text     *string           `json:"text"`
}

// State is a callback: what lists show, without what is personal.
type State struct {
	ID               string           `json:"id"`
	Policy           string           `json:"policy"`
	Status           callback.Status  `json:"status"`
	Tier             string           `json:"tier"`
	TierIndex        int              `json:"tier_index"`
	Queue            string           `json:"queue"`
	Owner            *string          `json:"owner"`
	Assignee         *string          `json:"assignee"`
	Tags             []string         `json:"tags"`
	CallbackRequired bool             `json:"callback_required"`
	RequestedAt      callback.Instant `json:"requested_at"`
	RequestedBy      string           `json:"requested_by"`
	ScheduledFor     callback.Instant `json:"scheduled_for"`
	DueAt            callback.Instant `json:"due_at"`
	WarnedAt         callback.Instant `json:"warned_at"`
	ContactedAt      callback.Instant `json:"contacted_at"`
	NextAttemptAt    callback.Instant `json:"next_attempt_at"`
	BreachedAt       callback.Instant `json:"breached_at"`
	Overdue          bool             `json:"overdue"`
	Held             bool             `json:"held"`
	Attempts         int              `json:"attempts"`
	Escalations      int              `json:"escalations"`
	Parent           *string          `json:"parent"`
	ResolutionReason *string          `json:"resolution_reason"`
	CompletedAt      callback.Instant `json:"completed_at"`
	CompletedBy      *string          `json:"completed_by"`
	Served           bool             `json:"served"`
	Outage           *string          `json:"outage"`
	Version          int64            `json:"version"`
	UpdatedAt        callback.Instant `json:"updated_at"`
}

func stateOf(c *callback.Callback) *State {
	tags := c.Tags
	if tags == nil {
		tags = []string{}
	}
	return &State{
		ID: c.ID, Policy: c.Policy, Status: c.Status, Tier: c.Tier, TierIndex: c.TierIndex, Queue: c.Queue,
		Owner: null(c.Owner), Assignee: null(c.Assignee), Tags: tags, CallbackRequired: c.CallbackRequired,
		RequestedAt: c.RequestedAt, RequestedBy: c.RequestedBy, ScheduledFor: c.ScheduledFor, DueAt: c.DueAt, WarnedAt: c.WarnedAt,
		ContactedAt: c.ContactedAt, NextAttemptAt: c.NextAttemptAt, BreachedAt: c.BreachedAt, Overdue: c.Overdue, Held: c.Held(),
		Attempts: c.Attempts, Escalations: c.Escalations, Parent: null(c.Parent), ResolutionReason: null(c.ResolutionReason),
		CompletedAt: c.ClosedAt, CompletedBy: null(c.ClosedBy), Served: c.Served, Outage: null(c.Outage), Version: c.Version, UpdatedAt: c.UpdatedAt,
	}
}

func null(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// The lengths that what is personal is cut to where the whole is too large, in bytes; 0: it is left out.
var cuts = []int{20_000, 4000, 1000, 200, 0}

// body writes the message, shorter where it is too large: first what people
// wrote, then lists of candidates.
func (c *Connector) body(d connectors.Delivery) ([]byte, error) {
	for _, limit := range cuts {
		e := Event{
			SpecVersion: "1.0", ID: d.OperationID, Source: c.config.Source, Type: typePrefix + string(d.Event.Fact.Type()),
			Subject: d.Callback.ID, Time: d.Event.At, DataContentType: "application/json",
			Data: Data{
				Seq: d.Event.Seq, Type: string(d.Event.Fact.Type()), Actor: d.Event.Actor, Tier: d.Event.Tier, Rule: d.Event.Rule,
				Fact: d.Event.Fact, Callback: stateOf(d.Callback),
			},
		}
		c.include(&e.Data, d, limit)
		if assigned, is := e.Data.Fact.(*callback.Assigned); is && limit == 0 {
			short := *assigned
			short.Candidates = nil
			e.Data.Fact = &short
		}
		body, err := json.Marshal(e)
		if err != nil || len(body) < signed.MaxBody {
			return body, err
		}
	}
	return nil, fmt.Errorf("it has %d bytes or more", signed.MaxBody)
}

func (c *Connector) include(data *Data, d connectors.Delivery, limit int) {
	has := func(part string) bool { return slices.Contains(c.config.Include, part) }
	if has(includeCustomer) && d.Intake.Customer != (book.Customer{}) {
		data.Customer = &d.Intake.Customer
	}
	if has(includeSource) {
		data.Source = d.Intake.Source
	}
	if has(includeReason) {
		data.Reason = null(plain.Cut(d.Intake.Reason, limit))
	}
	if has(includeFields) && limit > 0 {
		data.Fields = map[string]string{}
		for name, value := range d.Intake.Fields {
			data.Fields[name] = plain.Cut(value, limit)
		}
	}
	if has(includeText) && d.Text != nil {
		data.Text = null(plain.Cut(d.Text.Body, limit))
	}
}

// offKey is remembered while the hook is off.
const offKey = "off"

// Deliver implements connectors.Connector.
func (c *Connector) Deliver(ctx context.Context, d connectors.Delivery) error {
	since, off, err := c.off(ctx)
	if err != nil {
		return err
	}
	if off {
		return &connectors.Owed{Code: connectors.Gone, Detail: "the receiver answered 410 on " + since.String() + ": the hook is off until somebody puts it on again"}
	}
	body, err := c.body(d)
	if err != nil {
		return &connectors.Owed{Code: connectors.Rejected, Detail: "the message is too large", Err: err}
	}
	err = c.key.Send(ctx, c.client, signed.Post{URL: c.config.URL, ID: d.OperationID, Body: body, Media: "application/cloudevents+json"}, c.deps.Now())
	if !wire.Is(err, connectors.Gone) {
		return err
	}
	at := callback.At(c.deps.Now())
	if err := c.deps.Memory.Remember(ctx, c.Name(), offKey, at.String()); err != nil {
		return err // it is asked, and answers, again
	}
	c.deps.Logger.WarnContext(ctx, "a webhook is off: its receiver answered 410")
	return &connectors.Owed{Code: connectors.Gone, Detail: "the receiver answered 410: the hook is off until somebody puts it on again", Err: err}
}

// off says since when the hook is off, if it is.
func (c *Connector) off(ctx context.Context) (since callback.Instant, off bool, err error) {
	at, off, err := c.deps.Memory.Recall(ctx, c.Name(), offKey)
	if err != nil || !off {
		return since, false, err
	}
	// What cannot be read is off all the same, since whenever.
	_ = since.UnmarshalJSON([]byte(`"` + at + `"`))
	return since, true, nil
}

// Disabled reports whether the hook is off: its receiver answered 410.
func (c *Connector) Disabled(ctx context.Context) (bool, error) {
	_, off, err := c.off(ctx)
	return off, err
}

// Enable puts the hook on again.
func (c *Connector) Enable(ctx context.Context) error {
	return c.deps.Memory.Forget(ctx, c.Name(), offKey)
}

// Check implements connectors.Checker: whether the hook is on. A receiver can only
// be asked by sending it something.
func (c *Connector) Check(ctx context.Context) error {
	since, off, err := c.off(ctx)
	if err == nil && off {
		return fmt.Errorf("the hook is off since %s: its receiver answered 410", since)
	}
	return err
}
