package wire

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"ringback/callback"
	"ringback/connectors"
)

// looks is how a refusal looks over HTTP, for those codes with which a connector
// refuses a request (CONTRACT §4).
func looks(code callback.Code) (status int, title string) {
	switch code { //nolint:exhaustive // the others are the API's
	case callback.CodeMalformed:
		return http.StatusBadRequest, "The request cannot be read"
	case callback.CodeUnauthenticated:
		return http.StatusUnauthorized, "The request does not prove where it comes from"
	case callback.CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed, "This cannot be done here"
	case callback.CodeTooLarge:
		return http.StatusRequestEntityTooLarge, "The request is too large"
	case callback.CodeUnsupportedMediaType:
		return http.StatusUnsupportedMediaType, "That media type is not understood"
	case callback.CodeInvalid:
		return http.StatusUnprocessableEntity, "Something in the request is wrong"
	case callback.CodeRateLimited:
		return http.StatusTooManyRequests, "Too many requests"
	case callback.CodeUnavailable:
		return http.StatusServiceUnavailable, "Not available right now"
	}
	return http.StatusInternalServerError, "Something went wrong here"
}

// Refuse answers with a refusal as problem+json.
func Refuse(w http.ResponseWriter, f *callback.Fault) {
	status, title := looks(f.Code)
	errs := f.Errors
	if errs == nil {
		errs = []callback.FieldError{}
	}
	var rule *callback.Rule
	if f.Rule != "" {
		rule = &f.Rule
	}
	body, err := json.Marshal(map[string]any{
		"type": "/docs#" + string(f.Code), "title": title, "status": status, "detail": f.Detail, "code": f.Code,
		"rule": rule, "errors": errs, "existing": nil, "holder": nil,
	})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	switch f.Code { //nolint:exhaustive // with the others waiting does not help
	case callback.CodeRateLimited:
		w.Header().Set("Retry-After", "1")
	case callback.CodeUnavailable:
		w.Header().Set("Retry-After", "2")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// Body reads the body of a request, up to most bytes. The fault is the one to
// refuse it with.
func Body(r *http.Request, most int64) ([]byte, *callback.Fault) {
	b, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), int64(len(b)) > most:
		return nil, &callback.Fault{Code: callback.CodeTooLarge, Detail: "the body is too large"}
	case err != nil:
		return nil, &callback.Fault{Code: callback.CodeMalformed, Detail: "the body ends too early"}
	}
	return b, nil
}

// Same compares secrets in the same time whatever they are; an empty one is
// like none.
func Same(given, secret string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && secret != ""
}

// ID is a vendor's id: digits, which they send as a number or as a string;
// empty where there is null, or none.
type ID string

// UnmarshalJSON implements json.Unmarshaler.
func (id *ID) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" || s == "" {
		*id = ""
		return nil
	}
	if !Digits(s) {
		return errors.New("expected an id of digits")
	}
	*id = ID(s)
	return nil
}

// Digits reports whether s is the decimal form of an id: up to 20 digits, the first not 0.
func Digits(s string) bool {
	if s == "" || len(s) > 20 || s[0] == '0' {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

// Wrong makes of everything that is wrong with a configuration one fault with a
// path for each; nil where nothing is.
func Wrong(wrong []callback.FieldError) error {
	if len(wrong) == 0 {
		return nil
	}
	slices.SortFunc(wrong, func(a, b callback.FieldError) int { return strings.Compare(a.Path, b.Path) })
	return &callback.Fault{Code: callback.CodeInvalid, Errors: wrong, Detail: wrong[0].Path + ": " + wrong[0].Message}
}

// Address reports whether s is the address of a system: http or https, and nothing personal in it.
func Address(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// Default sets a duration that is not given.
func Default(d *callback.Duration, usual time.Duration) {
	if *d == 0 {
		*d = callback.Duration(usual)
	}
}

// Final returns the refusal of the desk that err is, if the desk will refuse
// again: nil where there is no err, or where it may pass.
func Final(err error) *callback.Fault {
	var fault *callback.Fault
	if !errors.As(err, &fault) || slices.Contains(passing, fault.Code) {
		return nil
	}
	return fault
}

var passing = []callback.Code{callback.CodeUnavailable, callback.CodeOutcomeUnknown, callback.CodeRateLimited}

// Complete fills in what need not be given: a logger, a clock, a way to sleep.
func Complete(d connectors.Deps) connectors.Deps {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Sleep == nil {
		d.Sleep = sleep
	}
	return d
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
