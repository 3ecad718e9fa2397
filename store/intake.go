package store

import (
	"context"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

type intakeRow struct {
	CallbackID       string `gorm:"primaryKey"`
	Policy           string
	PolicyHash       string
	CustomerRef      string
	CustomerName     string
	CustomerPhone    string
	CustomerEmail    string
	CustomerTimeZone string
	Reason           string
	SourceSystem     string
	SourceRef        string
	SourceURL        string
	LOB              string `gorm:"column:lob"`
	TransferTier     string
	TransferOutcome  string
	Fields           document[map[string]string]
	Parent           string
	RequestedBy      string
	RequestedAt      instant
	ScheduledFor     instant
	ErasedAt         instant
	ErasedBy         string
	ErasedFor        string
	ErasedAfter      int64
	ErasedSource     string
}

func (intakeRow) TableName() string { return "intakes" }

// intakeColumns are selected as columns() scans them.
const intakeColumns = `i.callback_id, i.policy, i.policy_hash,
	i.customer_ref, i.customer_name, i.customer_phone, i.customer_email, i.customer_time_zone, i.reason,
	i.source_system, i.source_ref, i.source_url, i.lob, i.transfer_tier, i.transfer_outcome, i.fields, i.parent,
	i.requested_by, i.requested_at, i.scheduled_for, i.erased_at, i.erased_by, i.erased_for, i.erased_after, i.erased_source`

func (r *intakeRow) columns() []any {
	return []any{
		&r.CallbackID, &r.Policy, &r.PolicyHash,
		&r.CustomerRef, &r.CustomerName, &r.CustomerPhone, &r.CustomerEmail, &r.CustomerTimeZone, &r.Reason,
		&r.SourceSystem, &r.SourceRef, &r.SourceURL, &r.LOB, &r.TransferTier, &r.TransferOutcome, &r.Fields, &r.Parent,
		&r.RequestedBy, &r.RequestedAt, &r.ScheduledFor, &r.ErasedAt, &r.ErasedBy, &r.ErasedFor, &r.ErasedAfter, &r.ErasedSource,
	}
}

func rowOfIntake(i *book.Intake) intakeRow {
	r := intakeRow{
		CallbackID: i.CallbackID, Policy: i.Policy, PolicyHash: i.PolicyHash,
		CustomerRef: i.Customer.Ref, CustomerName: i.Customer.Name, CustomerPhone: i.Customer.Phone,
		CustomerEmail: i.Customer.Email, CustomerTimeZone: i.Customer.TimeZone,
		Reason: i.Reason, LOB: i.LOB, Fields: document[map[string]string]{i.Fields}, Parent: i.Parent,
		RequestedBy: i.RequestedBy, RequestedAt: instant{i.RequestedAt}, ScheduledFor: instant{i.ScheduledFor},
	}
	if r.Fields.of == nil {
		r.Fields.of = map[string]string{}
	}
	if s := i.Source; s != nil {
		r.SourceSystem, r.SourceRef, r.SourceURL = s.System, s.Ref, s.URL
	}
	if t := i.Transfer; t != nil {
		r.TransferTier, r.TransferOutcome = t.Tier, t.Outcome
	}
	if e := i.Erased; e != nil {
		r.ErasedAt, r.ErasedBy, r.ErasedFor, r.ErasedAfter = instant{e.At}, e.By, string(e.Ground), e.After
	}
	return r
}

func (r *intakeRow) intake() book.Intake {
	i := book.Intake{
		CallbackID: r.CallbackID, Policy: r.Policy, PolicyHash: r.PolicyHash,
		Customer: book.Customer{
			Ref: r.CustomerRef, Name: r.CustomerName, Phone: r.CustomerPhone,
			Email: r.CustomerEmail, TimeZone: r.CustomerTimeZone,
		},
		Reason: r.Reason, LOB: r.LOB, Parent: r.Parent,
		RequestedBy: r.RequestedBy, RequestedAt: r.RequestedAt.Instant, ScheduledFor: r.ScheduledFor.Instant,
	}
	if len(r.Fields.of) > 0 {
		i.Fields = r.Fields.of
	}
	if (r.SourceSystem + r.SourceRef + r.SourceURL) != "" {
		i.Source = &book.Source{System: r.SourceSystem, Ref: r.SourceRef, URL: r.SourceURL}
	}
	if (r.TransferTier + r.TransferOutcome) != "" {
		i.Transfer = &book.TransferAttempt{Tier: r.TransferTier, Outcome: r.TransferOutcome}
	}
	if !r.ErasedAt.IsZero() {
		i.Erased = &book.Erasure{By: r.ErasedBy, At: r.ErasedAt.Instant, Ground: book.Ground(r.ErasedFor), After: r.ErasedAfter}
	}
	return i
}

// emptyIntake is the original of a callback that nobody asked this desk for:
// its workflow was started by other means.
func emptyIntake(c *callback.Callback) *book.Intake {
	return &book.Intake{
		CallbackID: c.ID, Policy: c.Policy, Parent: c.Parent, RequestedBy: c.RequestedBy, RequestedAt: c.RequestedAt,
		ScheduledFor: c.ScheduledFor,
	}
}

// Intake returns the original of a callback, whether or not one has come of it yet.
func (s *Store) Intake(ctx context.Context, callbackID string) (book.Intake, error) {
	var row intakeRow
	err := s.read(ctx, "read an original", func(db *gorm.DB) error {
		return one(db.Raw(`SELECT `+intakeColumns+` FROM intakes i WHERE i.callback_id = ?`, callbackID), row.columns()...)
	})
	if err != nil {
		return book.Intake{}, err
	}
	return row.intake(), nil
}
