package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/google/uuid"

	"ringback/callback"
)

// maxBody is the most that a request may carry (CONTRACT §4).
const maxBody = 1 << 20

// request is a request that has been understood as far as its form goes.
type request struct {
	*http.Request
	trail *trail
	who   Principal
	op    *operation
	// callbackID is the id in the path: of a callback, or of what the operation says;
	// empty where there is none.
	callbackID string
	// pathID is the id in the path of something else.
	pathID string
	// body is what was sent, decoded; canonical the same for everybody who means the same.
	body      any
	canonical []byte
	// write takes over the answer: for the stream.
	write http.ResponseWriter
}

// readBody reads, sizes and parses the body: 413, 415, 400, in this order. What
// is compressed is not understood (RFC 9110, 15.5.16).
func readBody(w http.ResponseWriter, r *http.Request, optional bool) (body any, canonical []byte, err error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, nil, refuse(callback.CodeTooLarge, "", "a request may carry 1 MiB at most")
	}
	if optional && len(raw) == 0 && err == nil {
		return map[string]any{}, []byte("{}"), nil
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, nil, refuse(callback.CodeUnsupportedMediaType, "", "send application/json, in UTF-8")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, nil, refuse(callback.CodeUnsupportedMediaType, "", "send it as it is, without Content-Encoding")
	}
	if err != nil {
		return nil, nil, refuse(callback.CodeMalformed, "", "the request ended before its body did")
	}
	if !utf8.Valid(raw) || json.Unmarshal(raw, &body) != nil {
		return nil, nil, refuse(callback.CodeMalformed, "", "the body is not JSON in UTF-8")
	}
	canonical, err = encode(body)
	return body, canonical, err
}

func isJSON(contentType string) bool {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" {
		return false
	}
	charset, given := parameters["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

// decode checks the body against the schema that is published for it, and
// returns it. Every refusal is 422 invalid with the paths of what is wrong.
func decode[T any](a *API, r *request) (*T, error) {
	result := &huma.ValidateResult{}
	huma.Validate(a.huma.OpenAPI().Components.Schemas, r.op.bodySchema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, r.body, result)
	wrong := zeroBytes(r.body, "", r.unknown())
	for _, err := range result.Errors {
		wrong = append(wrong, fieldError(err))
	}
	if len(wrong) > 0 {
		slices.SortStableFunc(wrong, func(a, b callback.FieldError) int { return strings.Compare(a.Path, b.Path) })
		return nil, invalid(wrong)
	}
	var v T
	if err := json.Unmarshal(r.canonical, &v); err != nil {
		return nil, callback.Invalid("body", "expected what the API description says")
	}
	return &v, nil
}

// fieldError is what huma found wrong, without the value.
func fieldError(err error) callback.FieldError {
	var d *huma.ErrorDetail
	if !errors.As(err, &d) {
		return callback.FieldError{Path: "body", Message: "expected something else"}
	}
	path, message := d.Location, d.Message
	var missing string
	if _, err := fmt.Sscanf(message, validation.MsgExpectedRequiredProperty, &missing); err == nil {
		path, message = strings.TrimPrefix(path+"."+missing, "."), "is required"
	} else if message == validation.MsgUnexpectedProperty {
		message = "is not known here"
	} else {
		// Some messages go on with what a parser said, which may repeat the value.
		message, _, _ = strings.Cut(message, ": ")
	}
	if path == "" {
		path = "body"
	}
	return callback.FieldError{Path: path, Message: message}
}

// zeroBytes finds text that no database keeps: U+0000.
func zeroBytes(v any, path string, wrong []callback.FieldError) []callback.FieldError {
	switch v := v.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			wrong = append(wrong, callback.FieldError{Path: path, Message: "expected text without U+0000"})
		}
	case []any:
		for i, item := range v {
			wrong = zeroBytes(item, path+"["+strconv.Itoa(i)+"]", wrong)
		}
	case map[string]any:
		for name, item := range v {
			wrong = zeroBytes(item, strings.TrimPrefix(path+"."+name, "."), wrong)
			if strings.ContainsRune(name, 0) {
				wrong = append(wrong, callback.FieldError{Path: path, Message: "expected names without U+0000"})
			}
		}
	}
	return wrong
}

// parseID refuses what cannot be a callback's id: there is no such callback.
func parseID(s string) (string, error) {
	if id, err := uuid.Parse(s); err != nil || id.String() != s {
		return "", notFound()
	}
	return s, nil
}

func notFound() error { return refuse(callback.CodeNotFound, "", "there is no callback with this id") }

// query reads the parameters of a URL; what is unreadable or out of range is
// refused, never clamped (CONTRACT §4).
type query struct {
	values url.Values
	wrong  []callback.FieldError
}

// query reads the parameters that the operation knows.
func (r *request) query() *query {
	q := &query{}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.refuse("query", "expected name=value pairs, percent-encoded")
		q.values = url.Values{}
	}
	for name, values := range q.values {
		switch {
		case !slices.ContainsFunc(r.op.query, func(p *huma.Param) bool { return p.Name == name }):
			q.refuse(printable(name), "is not a parameter here")
			delete(q.values, name)
		case slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) || strings.ContainsRune(v, 0) }):
			q.refuse(name, "expected UTF-8 without U+0000")
			delete(q.values, name)
		case slices.Contains(values, ""):
			q.refuse(name, "expected a value")
			delete(q.values, name)
		}
	}
	return q
}

// unknown are the parameters of a URL where the operation has none: as with
// members of a body, what is not known is not passed over.
func (r *request) unknown() []callback.FieldError {
	if len(r.op.query) > 0 || r.URL.RawQuery == "" {
		return nil
	}
	q := r.query()
	slices.SortStableFunc(q.wrong, func(a, b callback.FieldError) int { return strings.Compare(a.Path, b.Path) })
	return q.wrong
}

// printable keeps a name from the request short and plain.
func printable(name string) string {
	if len(name) > 40 || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return "query"
	}
	return name
}

func (q *query) refuse(name, message string) {
	q.wrong = append(q.wrong, callback.FieldError{Path: name, Message: message})
}

// fault is the refusal of everything that was wrong, nil for nothing.
func (q *query) fault() error {
	if len(q.wrong) == 0 {
		return nil
	}
	slices.SortStableFunc(q.wrong, func(a, b callback.FieldError) int { return strings.Compare(a.Path, b.Path) })
	return invalid(q.wrong)
}

// one returns a parameter that may be given once; empty: it was not.
func (q *query) one(name string) string {
	values := q.values[name]
	if len(values) > 1 {
		q.refuse(name, "expected one value")
	}
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// many returns a parameter that may be repeated, or hold several values with
// commas between them. A value that is one of the names is not taken apart.
func (q *query) many(name string, names ...string) []string {
	var all []string
	for _, value := range q.values[name] {
		values := strings.Split(value, ",")
		if slices.Contains(names, value) {
			values = []string{value}
		}
		for _, v := range values {
			if v = strings.TrimSpace(v); v == "" {
				q.refuse(name, "expected a value")
			} else if !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	if len(all) > 100 {
		q.refuse(name, "expected at most 100 values")
	}
	return all
}

// choice is one with a closed list of values.
func (q *query) choice(name string, from ...string) string {
	v := q.one(name)
	if v != "" && !slices.Contains(from, v) {
		q.refuse(name, "expected one of "+strings.Join(from, ", "))
		return ""
	}
	return v
}

func (q *query) flag(name string) *bool {
	switch q.choice(name, "true", "false") {
	case "true":
		yes := true
		return &yes
	case "false":
		no := false
		return &no
	}
	return nil
}

// earliest and latest bound every instant that is asked for.
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

func (q *query) instant(name string) callback.Instant {
	v := q.one(name)
	if v == "" {
		return callback.Instant{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil || t.Before(earliest) || !t.Before(latest) {
		q.refuse(name, `expected an RFC 3339 time, like "2026-11-22T10:00:00.000Z"`)
		return callback.Instant{}
	}
	return callback.At(t)
}

func (q *query) integer(name string, least, most, def int) int {
	v := q.one(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most || strings.HasPrefix(v, "+") {
		q.refuse(name, fmt.Sprintf("expected a whole number from %d to %d", least, most))
		return def
	}
	return n
}
