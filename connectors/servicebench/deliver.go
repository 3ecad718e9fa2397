package servicebench

import (
	"context"
	"encoding/json"
	"slices"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/plain"
	"ringback/connectors/signed"
)

// The types of what is sent.
const (
	typeStatus    = "exception.status"
	typeCompleted = "exception.completed"
)

// sent is a message to ServiceBench.
type sent struct {
	Type      string           `json:"type"`
	Timestamp callback.Instant `json:"timestamp"`
	Data      news             `json:"data"`
}

// news is what became of an exception.
type news struct {
	Schema      string `json:"schema"`
	Source      string `json:"source"`
	ExceptionID string `json:"exception_id"`
	// Also are exceptions of the same job and type that the same callback is for (R14).
	Also   []string `json:"also"`
	Status Status   `json:"status"`
	// UserID is the identity there of who did it; Assignee of who calls next; null: the
	// clock, nobody, or somebody without one.
	UserID    *string          `json:"user_id"`
	Assignee  *string          `json:"assignee"`
	UpdatedAt callback.Instant `json:"updated_at"`
	// FollowUpAt is when the customer is to be called; null: as soon as can be.
	FollowUpAt callback.Instant `json:"follow_up_at"`
	CallbackID string           `json:"callback_id"`
	Tier       string           `json:"tier"`
	// Completion only.
	Outcome          *string `json:"outcome"` // completed or cancelled
	ResolutionReason *string `json:"resolution_reason"`
	Resolution       *string `json:"resolution"` // its title
	Served           *bool   `json:"served"`
	// Comment is a call summary, sent when it is written, where that is configured.
	Comment *string `json:"comment"`
}

// maxSentComment leaves room for the rest within signed.MaxBody, whatever has to be escaped.
const maxSentComment = 2000

// Wants implements connectors.Connector: what came from there.
func (c *Connector) Wants(in book.Intake, _ *callback.Policy) bool {
	return c.config.URL != "" && in.Source != nil && slices.Contains(c.sources, in.Source.System)
}

// Types implements connectors.Connector.
func (c *Connector) Types() []callback.EventType {
	if c.config.URL == "" {
		return nil
	}
	types := []callback.EventType{
		callback.TypeAssigned, callback.TypeClaimed, callback.TypeStarted, callback.TypeEscalated, callback.TypeReassigned,
		callback.TypeReleased, callback.TypeHeld, callback.TypeResumed, callback.TypeRescheduled, callback.TypeCompleted, callback.TypeCancelled,
	}
	if c.config.Comment {
		types = append(types, callback.TypeNoted)
	}
	return types
}

// Deliver implements connectors.Connector: the status there follows ours (R18).
func (c *Connector) Deliver(ctx context.Context, d connectors.Delivery) error {
	comment := ""
	if noted, is := d.Event.Fact.(*callback.Noted); is {
		if noted.Kind != callback.KindCallSummary || d.Text == nil {
			return nil // an ordinary note, or erased
		}
		comment = plain.Cut(d.Text.Body, maxSentComment)
	}
	also, err := c.joined(ctx, d.Callback.ID)
	if err != nil {
		return err
	}
	staff, err := c.deps.Desk.Staff(ctx)
	if err != nil {
		return err
	}
	s := sent{Type: typeStatus, Timestamp: d.Event.At, Data: news{
		Schema: Schema, Source: d.Intake.Source.System, ExceptionID: d.Intake.Source.Ref, Also: also, Status: statusOf(d.Callback),
		Assignee: identity(staff, d.Callback.Assignee), UpdatedAt: d.Event.At, CallbackID: d.Callback.ID, Tier: d.Callback.Tier,
		Comment: orNull(comment),
	}}
	if d.Author != nil {
		s.Data.UserID = orNull(d.Author.Identities[name])
	}
	if s.Data.Status == FollowUp {
		s.Data.FollowUpAt = d.Callback.ScheduledFor
	}
	if d.Callback.Status.Closed() {
		s.Type = typeCompleted
		outcome, served := string(d.Callback.Status), d.Callback.Served
		s.Data.Outcome, s.Data.Served = &outcome, &served
		s.Data.ResolutionReason = orNull(d.Callback.ResolutionReason)
		if d.Policy != nil {
			if reason, known := d.Policy.Reason(d.Callback.ResolutionReason); known {
				s.Data.Resolution = orNull(reason.Title)
			}
		}
	}
	body, err := json.Marshal(s)
	if err != nil {
		return &connectors.Owed{Code: connectors.Rejected, Detail: "it cannot be written", Err: err}
	}
	return c.key.Send(ctx, c.client, signed.Post{URL: c.config.URL, ID: d.OperationID, Body: body}, c.deps.Now())
}

// statusOf is what a callback's state is called there.
func statusOf(c *callback.Callback) Status {
	switch c.Status {
	case callback.StatusCompleted, callback.StatusCancelled:
		return Complete
	case callback.StatusScheduled:
		return FollowUp
	case callback.StatusQueued, callback.StatusClaimed, callback.StatusInProgress:
	}
	switch {
	case c.Held():
		return Pending
	case c.Status == callback.StatusInProgress:
		return InProgress
	}
	return Open
}

// identity is who a member of staff is there; nil: nobody, or not known.
func identity(staff []book.Staff, id string) *string {
	for _, s := range staff {
		if s.ID == id && id != "" {
			return orNull(s.Identities[name])
		}
	}
	return nil
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
