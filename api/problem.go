package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
)

// kind is how one code of refusal looks over HTTP.
type kind struct {
	status int
	title  string
}

// kinds is the one place where the code of a refusal becomes a status (CONTRACT §4).
var kinds = map[callback.Code]kind{
	callback.CodeMalformed:                {http.StatusBadRequest, "The request cannot be read"},
	callback.CodeUnauthenticated:          {http.StatusUnauthorized, "Nobody is signed in"},
	callback.CodeForbidden:                {http.StatusForbidden, "You may not do this"},
	callback.CodeNotYourQueue:             {http.StatusForbidden, "Not of this queue"},
	callback.CodeNotAssignee:              {http.StatusForbidden, "Somebody else has this callback"},
	callback.CodeTransferDownForbidden:    {http.StatusForbidden, "A callback never goes down"},
	callback.CodeNotFound:                 {http.StatusNotFound, "There is no such thing"},
	callback.CodeMethodNotAllowed:         {http.StatusMethodNotAllowed, "This cannot be done here"},
	callback.CodeAlreadyClaimed:           {http.StatusConflict, "Already claimed"},
	callback.CodeNotClaimed:               {http.StatusConflict, "Not claimed yet"},
	callback.CodeNotStarted:               {http.StatusConflict, "Not started yet"},
	callback.CodeContactRequired:          {http.StatusConflict, "The customer has not been reached"},
	callback.CodeNoHigherTier:             {http.StatusConflict, "There is no higher tier"},
	callback.CodeClosed:                   {http.StatusConflict, "The callback is closed"},
	callback.CodeHeld:                     {http.StatusConflict, "The clock is held, or cannot be"},
	callback.CodeDuplicate:                {http.StatusConflict, "There is one already"},
	callback.CodeNoneAvailable:            {http.StatusConflict, "Nobody is free"},
	callback.CodeAttemptsLeft:             {http.StatusConflict, "There are attempts left to make"},
	callback.CodeStaleVersion:             {http.StatusPreconditionFailed, "The callback has changed"},
	callback.CodeTooLarge:                 {http.StatusRequestEntityTooLarge, "The request is too large"},
	callback.CodeUnsupportedMediaType:     {http.StatusUnsupportedMediaType, "Only JSON is understood"},
	callback.CodeInvalid:                  {http.StatusUnprocessableEntity, "Something in the request is wrong"},
	callback.CodeUnknownPolicy:            {http.StatusUnprocessableEntity, "Unknown policy"},
	callback.CodeUnknownResolutionReason:  {http.StatusUnprocessableEntity, "Unknown resolution reason"},
	callback.CodeResolutionReasonRequired: {http.StatusUnprocessableEntity, "A resolution reason is required"},
	callback.CodeCallSummaryRequired:      {http.StatusUnprocessableEntity, "A call summary is required"},
	callback.CodeIdempotencyKeyReused:     {http.StatusUnprocessableEntity, "The idempotency key was used for something else"},
	callback.CodeRateLimited:              {http.StatusTooManyRequests, "Too many requests"},
	callback.CodeUnavailable:              {http.StatusServiceUnavailable, "Not available right now"},
	callback.CodeOutcomeUnknown:           {http.StatusGatewayTimeout, "The outcome is not known yet"},
	callback.CodeInternal:                 {http.StatusInternalServerError, "Something went wrong here"},
}

// retryAfter is how long a caller should wait where waiting helps.
var retryAfter = map[callback.Code]time.Duration{ //nolint:exhaustive // with the others it does not
	callback.CodeRateLimited:    time.Second,
	callback.CodeUnavailable:    2 * time.Second,
	callback.CodeOutcomeUnknown: time.Second,
}

// Problem is a refusal as RFC 9457 has it, with the desk's own members.
type Problem struct {
	Type     string       `json:"type" doc:"where the code is explained" example:"/docs#already_claimed"`
	Title    string       `json:"title" doc:"the code in words"`
	Status   int          `json:"status" doc:"the HTTP status"`
	Detail   string       `json:"detail" doc:"what is the matter this time, for the person who sees it"`
	Code     string       `json:"code" doc:"which refusal it is, for programs" example:"already_claimed"`
	Rule     *string      `json:"rule" doc:"the rule of the floor that refused; null where none speaks of it" example:"R04"`
	Errors   []FieldError `json:"errors" doc:"what is wrong with the request, member by member (code invalid)"`
	Existing *string      `json:"existing" doc:"the open callback that this one would repeat (code duplicate), or the one for which an erasure has to wait"`
	Holder   *string      `json:"holder" doc:"who has the callback (code already_claimed)"`
}

// Fault is the refusal that a problem tells of.
func (p *Problem) Fault() *callback.Fault {
	f := &callback.Fault{
		Code: callback.Code(p.Code), Rule: callback.Rule(deref(p.Rule)), Detail: p.Detail, Existing: deref(p.Existing), Holder: deref(p.Holder),
	}
	for _, e := range p.Errors {
		f.Errors = append(f.Errors, callback.FieldError{Path: e.Path, Message: e.Message})
	}
	return f
}

// FieldError is one wrong member of a request.
type FieldError struct {
	Path    string `json:"path" doc:"the member, dotted; a query parameter or header by its name" example:"customer.phone"`
	Message string `json:"message" doc:"what was expected"`
}

// TransformSchema implements huma.SchemaTransformer: it lists every code.
func (Problem) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	explained := map[string]any{}
	code := s.Properties["code"]
	for _, c := range slices.Sorted(maps.Keys(kinds)) {
		code.Enum = append(code.Enum, string(c))
		explained[string(c)] = map[string]any{"status": kinds[c].status, "title": kinds[c].title}
	}
	s.Extensions = map[string]any{"x-problems": explained}
	return s
}

func problem(f *callback.Fault) Problem {
	k := kinds[f.Code]
	p := Problem{
		Type: "/docs#" + string(f.Code), Title: k.title, Status: k.status, Detail: f.Detail, Code: string(f.Code),
		Rule: null(string(f.Rule)), Errors: []FieldError{}, Existing: null(f.Existing), Holder: null(f.Holder),
	}
	for _, e := range f.Errors {
		p.Errors = append(p.Errors, FieldError{e.Path, e.Message})
	}
	return p
}

// WriteProblem answers with a problem where a page cannot be shown.
func WriteProblem(w http.ResponseWriter, f *callback.Fault) {
	p := problem(f)
	body, err := encode(p)
	if err != nil {
		http.Error(w, p.Title, p.Status)
		return
	}
	w.Header().Set("Content-Type", mediaProblem)
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // whoever asked has gone
}

// StatusOf is the status of a code.
func StatusOf(code callback.Code) int { return kinds[code].status }

// TitleOf is a code in words.
func TitleOf(code callback.Code) string { return kinds[code].title }

func refuse(code callback.Code, rule callback.Rule, detail string) *callback.Fault {
	return &callback.Fault{Code: code, Rule: rule, Detail: detail}
}

// invalid refuses a request for what is wrong with its members.
func invalid(wrong []callback.FieldError) *callback.Fault {
	f := &callback.Fault{Code: callback.CodeInvalid, Errors: wrong, Detail: wrong[0].Path + ": " + wrong[0].Message}
	if n := len(wrong); n > 1 {
		f.Detail += " (and " + strconv.Itoa(n-1) + " more)"
	}
	return f
}

// fault is the refusal that an error amounts to.
func fault(err error) *callback.Fault {
	var f *callback.Fault
	var duplicate *book.DuplicateError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &duplicate):
		return &callback.Fault{
			Code: callback.CodeDuplicate, Rule: "R14", Existing: duplicate.Existing,
			Detail: "an open callback of this policy has the same source",
		}
	case errors.Is(err, book.ErrBadCursor):
		return callback.Invalid("cursor", "expected the next_cursor of a page with the same sort and filters")
	case errors.Is(err, book.ErrNoneAvailable):
		return refuse(callback.CodeNoneAvailable, "R01", "nobody of that tier and queue is free right now")
	case errors.Is(err, book.ErrNotFound), errors.Is(err, ErrNoWorkflow):
		return refuse(callback.CodeNotFound, "", "there is no such thing (any more)")
	case errors.Is(err, book.ErrUnavailable):
		return refuse(callback.CodeUnavailable, "", "the database cannot be reached right now; nothing was sent")
	case errors.Is(err, ErrEngineAway):
		return refuse(callback.CodeUnavailable, "", "the engine cannot be reached right now; nothing was sent")
	case errors.Is(err, ErrEngineBusy):
		return refuse(callback.CodeRateLimited, "", "too much is under way at once; nothing was sent")
	case errors.Is(err, ErrOutcomeUnknown):
		return refuse(callback.CodeOutcomeUnknown, "", "no answer in time; send it again with the same Idempotency-Key to learn what became of it")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return refuse(callback.CodeUnavailable, "", "the answer took too long; nothing was sent")
	}
	return refuse(callback.CodeInternal, "", "an error that should not happen; it has been logged")
}

func null(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
