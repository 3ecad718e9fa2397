package contract

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"ringback/callback"
)

// Error makes a refusal an error that crosses Temporal: its type is the code,
// its details the whole fault. It is never retried.
func Error(f *callback.Fault) error {
	return temporal.NewApplicationErrorWithOptions(f.Detail, string(f.Code), temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Category:     temporal.ApplicationErrorCategoryBenign,
		Details:      []any{*f},
	})
}

// Fault returns the refusal that an update's error carries; false where the
// error is none, or of another kind.
func Fault(err error) (*callback.Fault, bool) {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || !app.HasDetails() {
		return nil, false
	}
	var f callback.Fault
	if app.Details(&f) != nil || f.Code == "" {
		return nil, false //nolint:nilerr // details of another kind: no refusal of ours
	}
	return &f, true
}
