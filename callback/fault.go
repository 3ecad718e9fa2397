package callback

import "fmt"

// Code names one way in which the desk refuses (CONTRACT §4). It is the `code`
// member of a problem+json and the type of the error that crosses Temporal.
type Code string

// Every refusal the desk knows.
const (
	CodeMalformed                Code = "malformed"
	CodeUnauthenticated          Code = "unauthenticated"
	CodeForbidden                Code = "forbidden"
	CodeNotYourQueue             Code = "not_your_queue"
	CodeNotAssignee              Code = "not_assignee"
	CodeTransferDownForbidden    Code = "transfer_down_forbidden"
	CodeNotFound                 Code = "not_found"
	CodeMethodNotAllowed         Code = "method_not_allowed"
	CodeAlreadyClaimed           Code = "already_claimed"
	CodeNotClaimed               Code = "not_claimed"
	CodeNotStarted               Code = "not_started"
	CodeContactRequired          Code = "contact_required"
	CodeNoHigherTier             Code = "no_higher_tier"
	CodeClosed                   Code = "closed"
	CodeHeld                     Code = "held"
	CodeDuplicate                Code = "duplicate"
	CodeNoneAvailable            Code = "none_available"
	CodeAttemptsLeft             Code = "attempts_left"
	CodeStaleVersion             Code = "stale_version"
	CodeTooLarge                 Code = "too_large"
	CodeUnsupportedMediaType     Code = "unsupported_media_type"
	CodeInvalid                  Code = "invalid"
	CodeUnknownPolicy            Code = "unknown_policy"
	CodeUnknownResolutionReason  Code = "unknown_resolution_reason"
	CodeResolutionReasonRequired Code = "resolution_reason_required"
	CodeCallSummaryRequired      Code = "call_summary_required"
	CodeIdempotencyKeyReused     Code = "idempotency_key_reused"
	CodeRateLimited              Code = "rate_limited"
	CodeUnavailable              Code = "unavailable"
	CodeOutcomeUnknown           Code = "outcome_unknown"
	CodeInternal                 Code = "internal"
)

// Rule is the number of a rule of the floor, "R01" to "R27"; empty where no
// rule stands behind a refusal or an event.
type Rule string

// A Fault is a refusal: what the caller did cannot be done, and why. Its Detail
// is written for the person who sees it and never holds anything personal.
type Fault struct {
	Code   Code   `json:"code"`
	Rule   Rule   `json:"rule,omitempty"`
	Detail string `json:"detail"`
	// Errors point at the members of a request that are wrong (code invalid).
	Errors []FieldError `json:"errors,omitempty"`
	// Existing is the id of the open callback that a duplicate repeats (R14), or of
	// the one for which an erasure has to wait (R26).
	Existing string `json:"existing,omitempty"`
	// Holder is the staff id of whoever has the callback (code already_claimed).
	Holder string `json:"holder,omitempty"`
}

// FieldError is one wrong member of a request.
type FieldError struct {
	// Path of the member, dotted, as in "customer.phone".
	Path string `json:"path"`
	// Message says what was expected; it never repeats the value.
	Message string `json:"message"`
}

// Error implements error.
func (f *Fault) Error() string {
	if f.Rule != "" {
		return fmt.Sprintf("%s (%s): %s", f.Code, f.Rule, f.Detail)
	}
	return fmt.Sprintf("%s: %s", f.Code, f.Detail)
}

// Is reports whether target is a Fault of the same code, so that
// errors.Is(err, callback.Refused(code)) asks for the kind of refusal.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Code == f.Code
}

// Refused returns a bare Fault of the given code, to compare with errors.Is.
func Refused(code Code) *Fault { return &Fault{Code: code} }

func refuse(code Code, rule Rule, format string, args ...any) *Fault {
	return &Fault{Code: code, Rule: rule, Detail: fmt.Sprintf(format, args...)}
}

// Invalid returns the refusal of one wrong member of a request.
func Invalid(path, format string, args ...any) *Fault {
	message := fmt.Sprintf(format, args...)
	return &Fault{
		Code: CodeInvalid, Detail: path + ": " + message,
		Errors: []FieldError{{Path: path, Message: message}},
	}
}
