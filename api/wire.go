package api

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
)

// Callback is a callback as every answer shows it (CONTRACT §4). Every member
// is always there. On the stream, what is personal, and what depends on who
// looks, is null.
type Callback struct {
	ID        string  `json:"id" format:"uuid"`
	Policy    string  `json:"policy" example:"supervisor-callback"`
	Status    string  `json:"status" enum:"scheduled,queued,claimed,in_progress,completed,cancelled"`
	Tier      string  `json:"tier" example:"supervisor"`
	TierIndex int     `json:"tier_index" minimum:"0" doc:"the rung of the policy's ladder, from 0"`
	Queue     string  `json:"queue" example:"Supervisors - RM"`
	Owner     *string `json:"owner" doc:"accountable to the end (R05)"`
	Assignee  *string `json:"assignee" doc:"makes the next call"`
	LOB       *string `json:"lob" doc:"line of business"`

	Customer        *Customer         `json:"customer"`
	Reason          *string           `json:"reason"`
	Source          *Source           `json:"source" doc:"the ticket, job or mail that it came from"`
	Fields          map[string]string `json:"fields" doc:"what the policy asks for besides (R22)"`
	TransferAttempt *TransferAttempt  `json:"transfer_attempt" doc:"the live transfer that was tried first (R01)"`

	Tags             []string `json:"tags"`
	CallbackRequired bool     `json:"callback_required" doc:"the policy's tag is on (R09)"`

	RequestedAt   callback.Instant `json:"requested_at"`
	RequestedBy   string           `json:"requested_by"`
	ScheduledFor  callback.Instant `json:"scheduled_for"`
	DueAt         callback.Instant `json:"due_at" doc:"the promise at this tier (R02)"`
	WarnedAt      callback.Instant `json:"warned_at" doc:"at this tier"`
	ContactedAt   callback.Instant `json:"contacted_at" doc:"at this tier (R06)"`
	NextAttemptAt callback.Instant `json:"next_attempt_at"`
	BreachedAt    callback.Instant `json:"breached_at" doc:"the latest promise missed"`
	Overdue       bool             `json:"overdue" doc:"past due_at unmet, at the last tier (R10)"`
	Held          bool             `json:"held" doc:"the clock stands still"`

	Attempts    int     `json:"attempts" minimum:"0"`
	Escalations int     `json:"escalations" minimum:"0"`
	Parent      *string `json:"parent" doc:"the callback that was handed over as this one (R21)"`

	ResolutionReason *string          `json:"resolution_reason"`
	CompletedAt      callback.Instant `json:"completed_at"`
	CompletedBy      *string          `json:"completed_by"`

	Version   int64            `json:"version" minimum:"1" doc:"raised by everything that happens; the ETag"`
	UpdatedAt callback.Instant `json:"updated_at"`
	Outage    *string          `json:"outage" doc:"the outage that it is linked to (R23)"`
	Owed      []Debt           `json:"owed" doc:"what could not be brought to other systems yet, one for each"`
	Links     Links            `json:"links"`

	CustomerCalledAt callback.Instant `json:"customer_called_at" doc:"when the customer last called in again; while it is queued it then comes first"`

	Allowed  []string  `json:"allowed" doc:"the commands that the caller may give now"`
	Warnings []Warning `json:"warnings" doc:"what the creator should know"`
}

// TransformSchema implements huma.SchemaTransformer.
func (Callback) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	nullable(s, "customer", "source", "transfer_attempt")
	for _, p := range []string{"fields", "allowed"} {
		s.Properties[p].Nullable = true
	}
	return s
}

// Customer is who was promised to be called; every member is null once erased.
type Customer struct {
	Ref      *string `json:"ref" doc:"the customer's id with you"`
	Name     *string `json:"name"`
	Phone    *string `json:"phone" doc:"E.164" example:"+919876543210"`
	Email    *string `json:"email"`
	TimeZone *string `json:"time_zone" doc:"IANA" example:"Asia/Kolkata"`
}

// Source is the ticket, job or mail that a callback came from.
type Source struct {
	System string  `json:"system" example:"freshdesk"`
	Ref    string  `json:"ref" example:"48213"`
	URL    *string `json:"url"`
}

// TransferAttempt is the live transfer that was tried first (R01).
type TransferAttempt struct {
	Tier    string `json:"tier"`
	Outcome string `json:"outcome" example:"none_free"`
}

// Links are hrefs.
type Links struct {
	Self     string  `json:"self"`
	Timeline string  `json:"timeline"`
	Ticket   *string `json:"ticket"`
	Temporal *string `json:"temporal" doc:"the workflow in the Temporal UI"`
}

// Warning is something that refused nothing.
type Warning struct {
	Code     string  `json:"code" enum:"same_customer"`
	Existing *string `json:"existing" doc:"the open callback of the same customer"`
}

// impersonal is a callback without anything personal, and without anything
// that depends on who looks.
func (a *API) impersonal(c *callback.Callback) Callback {
	w := Callback{
		ID: c.ID, Policy: c.Policy, Status: string(c.Status), Tier: c.Tier, TierIndex: c.TierIndex, Queue: c.Queue,
		Owner: null(c.Owner), Assignee: null(c.Assignee),
		Tags: list(c.Tags), CallbackRequired: c.CallbackRequired,
		RequestedAt: c.RequestedAt, RequestedBy: c.RequestedBy, ScheduledFor: c.ScheduledFor,
		DueAt: c.DueAt, WarnedAt: c.WarnedAt, ContactedAt: c.ContactedAt, NextAttemptAt: c.NextAttemptAt,
		BreachedAt: c.BreachedAt, Overdue: c.Overdue, Held: c.Held(),
		Attempts: c.Attempts, Escalations: c.Escalations, Parent: null(c.Parent),
		CustomerCalledAt: c.CustomerCalledAt,
		ResolutionReason: null(c.ResolutionReason), Version: c.Version, UpdatedAt: c.UpdatedAt,
		Outage: null(c.Outage), Owed: debtsOf(c),
		Links:    Links{Self: callbackPath(c.ID), Timeline: callbackPath(c.ID) + "/timeline"},
		Warnings: []Warning{},
	}
	if c.Status == callback.StatusCompleted {
		w.CompletedAt, w.CompletedBy = c.ClosedAt, null(c.ClosedBy)
	}
	if a.temporalUI != "" {
		w.Links.Temporal = null(a.temporalUI + "/" + url.PathEscape("callback/"+c.ID))
	}
	return w
}

// show is a callback as one caller sees it.
func (a *API) show(v book.View, p *callback.Policy, who Principal) Callback {
	in := v.Intake
	w := a.impersonal(v.State)
	w.Version, w.UpdatedAt = v.Version(), v.UpdatedAt()
	w.LOB, w.Reason = null(in.LOB), null(in.Reason)
	w.Customer = &Customer{
		null(in.Customer.Ref), null(in.Customer.Name), null(in.Customer.Phone), null(in.Customer.Email), null(in.Customer.TimeZone),
	}
	if in.Source != nil {
		w.Source = &Source{in.Source.System, in.Source.Ref, null(in.Source.URL)}
		w.Links.Ticket = null(in.Source.URL)
	}
	w.Fields = in.Fields
	if w.Fields == nil {
		w.Fields = map[string]string{}
	}
	if t := in.Transfer; t != nil {
		w.TransferAttempt = &TransferAttempt{t.Tier, t.Outcome}
	}
	w.Allowed = []string{}
	// Where nobody here knows the policy, only the workflow can tell what is allowed.
	if who.Staff != nil && knows(p, v.State) {
		for _, name := range v.State.Allowed(p, who.person(), a.now(), p.Calendar) {
			w.Allowed = append(w.Allowed, string(name))
		}
	}
	return w
}

// knows reports whether a policy, as policyOf found it, has the tier that a callback is at.
func knows(p *callback.Policy, c *callback.Callback) bool {
	return p != nil && c.TierIndex < len(p.Ladder)
}

func callbackPath(id string) string { return "/v1/callbacks/" + id }

// list is never null in JSON.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return slices.Clone(s)
}

// nullable lets members that are objects be null.
func nullable(s *huma.Schema, names ...string) {
	for _, name := range names {
		p := s.Properties[name]
		s.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{p, {Type: "null"}}, Description: p.Description}
	}
}

// enumOrNull lets a member with a closed list of values be null.
func enumOrNull(s *huma.Schema, name string) *huma.Schema {
	s.Properties[name].Enum = append(s.Properties[name].Enum, nil)
	return s
}

// moment is an instant in a request. What is no time that a desk could mean is
// left zero, for within to refuse with its path.
type moment struct{ callback.Instant }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(b []byte) error {
	if m.Instant.UnmarshalJSON(b) != nil {
		m.Instant = callback.Instant{}
	}
	return nil
}

// Schema implements huma.SchemaProvider.
func (moment) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{"2026-11-22T10:00:00.000Z"}}
}

// instantSchema stands for callback.Instant in the schemas of answers.
type instantSchema struct{}

// Schema implements huma.SchemaProvider.
func (instantSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Nullable: true, Format: "date-time",
		Pattern: `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`,
	}
}

// encode writes JSON as it is, without escaping for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
