// Package answer writes what a connector answers to the system that called it.
package answer

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"ringback/callback"
)

// JSON answers with a value.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		Problem(w, &callback.Fault{Code: callback.CodeInternal, Detail: "the answer could not be written"})
		return
	}
	write(w, status, "application/json; charset=utf-8", body)
}

// kind is how a refusal looks over HTTP (CONTRACT §4).
type kind struct {
	status int
	title  string
}

// kinds are the refusals that an inbound call can meet.
var kinds = map[callback.Code]kind{ //nolint:exhaustive // the others come of commands, which are no inbound calls
	callback.CodeMalformed:            {http.StatusBadRequest, "The request cannot be read"},
	callback.CodeUnauthenticated:      {http.StatusUnauthorized, "Nobody has proved who calls"},
	callback.CodeForbidden:            {http.StatusForbidden, "You may not do this"},
	callback.CodeNotFound:             {http.StatusNotFound, "There is no such thing"},
	callback.CodeMethodNotAllowed:     {http.StatusMethodNotAllowed, "This cannot be done here"},
	callback.CodeTooLarge:             {http.StatusRequestEntityTooLarge, "The request is too large"},
	callback.CodeUnsupportedMediaType: {http.StatusUnsupportedMediaType, "This kind of content is not understood"},
	callback.CodeInvalid:              {http.StatusUnprocessableEntity, "Something in the request is wrong"},
	callback.CodeRateLimited:          {http.StatusTooManyRequests, "Too many requests"},
	callback.CodeUnavailable:          {http.StatusServiceUnavailable, "Not available right now"},
	callback.CodeInternal:             {http.StatusInternalServerError, "Something went wrong here"},
}

// again is when to try again where that helps.
const again = 5 * time.Second

// problem is a refusal as RFC 9457 has it, with the members that the desk's own have.
type problem struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail"`
	Code     string  `json:"code"`
	Rule     *string `json:"rule"`
	Errors   []wrong `json:"errors"`
	Existing *string `json:"existing"`
	Holder   *string `json:"holder"`
}

type wrong struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Problem answers with a refusal.
func Problem(w http.ResponseWriter, f *callback.Fault) {
	k, known := kinds[f.Code]
	if !known {
		k, f = kinds[callback.CodeInternal], &callback.Fault{Code: callback.CodeInternal, Detail: "an error that should not happen"}
	}
	p := problem{
		Type: "/docs#" + string(f.Code), Title: k.title, Status: k.status, Detail: f.Detail, Code: string(f.Code),
		Rule: null(string(f.Rule)), Errors: []wrong{}, Existing: null(f.Existing), Holder: null(f.Holder),
	}
	for _, e := range f.Errors {
		p.Errors = append(p.Errors, wrong{e.Path, e.Message})
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{}`)
	}
	switch f.Code { //nolint:exhaustive // the others have no header of their own
	case callback.CodeUnavailable, callback.CodeRateLimited:
		w.Header().Set("Retry-After", strconv.Itoa(int(again/time.Second)))
	case callback.CodeMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	write(w, k.status, "application/problem+json", body)
}

// Unread answers to a request whose body could not be read whole.
func Unread(w http.ResponseWriter, err error) {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		Problem(w, &callback.Fault{Code: callback.CodeTooLarge, Detail: "the body is larger than " + strconv.FormatInt(long.Limit, 10) + " bytes"})
		return
	}
	Problem(w, &callback.Fault{Code: callback.CodeMalformed, Detail: "the body ended too early"})
}

func write(w http.ResponseWriter, status int, media string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever asked is gone
}

func null(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
