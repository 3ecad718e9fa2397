package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
)

// KeptMessage came in from another system and was not understood.
type KeptMessage struct {
	ID         string           `json:"id"`
	Connector  string           `json:"connector" example:"servicebench"`
	ReceivedAt callback.Instant `json:"received_at"`
	Reason     string           `json:"reason" doc:"why it was not understood, or not done"`
	Media      string           `json:"media" example:"application/json"`
	Tries      int              `json:"tries" minimum:"0" doc:"how often it was replayed"`
	ReplayedAt callback.Instant `json:"replayed_at" doc:"when it was understood after all; null: not yet"`
	Body       *string          `json:"body" doc:"as it came, where one message is asked for"`
	Base64     bool             `json:"base64" doc:"the body is no text, and is encoded in base64"`
	Shown      *ShownMessage    `json:"shown" doc:"the body for people to read, where one message is asked for; null: it cannot be read, or is gone"`

	DiscardedAt   callback.Instant `json:"discarded_at" doc:"when a person declined it; null: nobody has"`
	DiscardedBy   *string          `json:"discarded_by" doc:"who"`
	DiscardReason *string          `json:"discard_reason" doc:"why"`
}

// TransformSchema implements huma.SchemaTransformer.
func (KeptMessage) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	nullable(s, "shown")
	return s
}

// ShownMessage is a kept message as a person reads it before they vouch for it, or
// decline it. It is plain text, whatever came.
type ShownMessage struct {
	Sender  *string `json:"sender" doc:"who it says it is from"`
	Subject *string `json:"subject"`
	Verdict *string `json:"verdict" doc:"what is known of whether the sender is forged"`
	Text    string  `json:"text"`
}

type discardBody struct {
	Reason string `json:"reason" pattern:"\\S" patternDescription:"some text" maxLength:"4000"`
}

// KeptMessages is one page of them.
type KeptMessages struct {
	Items      []KeptMessage `json:"items"`
	NextCursor *string       `json:"next_cursor" doc:"null on the last page"`
}

// Replayed is what came of understanding a message again.
type Replayed struct {
	OK     bool    `json:"ok" doc:"it was understood, and done"`
	Reason *string `json:"reason" doc:"why it was not"`
}

// inboundPaths are those of the contract; they are there whether or not their
// connectors are configured.
var inboundPaths = []struct{ path, from, proof string }{
	{"freshdesk", "Freshdesk: a ticket has changed", "the token in `X-Ringback-Token`"},
	{"zohodesk", "Zoho Desk: its events", "`X-ZDesk-JWT`"},
	{"exceptions", "The field-service system: one exception (R14)", "a Standard Webhooks signature"},
	{emailPath, "A mail (R20)", "an API key with the scope `intake`"},
}

func inboundPath(name string) string { return "/v1/inbound/" + name }

func (a *API) inboundOperations() []*operation {
	list := a.owedOperations()[1].query // limit and cursor are the same everywhere
	operations := []*operation{
		{
			method: http.MethodGet, path: "/v1/inbound", id: "kept", tag: "deliveries", access: accessAdmin,
			summary: "What came in and was not understood, the newest first", doc: "For administrators.",
			query: append([]*huma.Param{
				param("connector", "the system that it came from"), choiceParam("waiting", "not understood yet", "true", "false"),
			}, list[len(list)-2:]...),
			answers: []reply{{http.StatusOK, "one page, without bodies", KeptMessages{}, ""}},
			serve:   a.listKept,
		},
		{
			method: http.MethodGet, path: "/v1/inbound/{id}", id: "kept-message", tag: "deliveries", access: accessAdmin, names: namesMessage,
			summary: "One of them, as it came", doc: "For administrators.",
			answers: []reply{{http.StatusOK, "the message", KeptMessage{}, ""}},
			serve: func(ctx context.Context, r *request) (*answer, error) {
				m, err := a.kept(ctx, r)
				if err != nil {
					return nil, err
				}
				return ok(a.messageShown(m))
			},
		},
		{
			method: http.MethodPost, path: "/v1/inbound/{id}/replay", id: "replay-message", tag: "deliveries", access: accessAdmin, names: namesMessage,
			summary: "Understand one of them again, after a fix", doc: "For administrators.",
			body: nothing{}, bodyOptional: true,
			answers: []reply{{http.StatusOK, "what came of it", Replayed{}, ""}},
			serve:   a.replayMessage,
		},
		{
			method: http.MethodPost, path: "/v1/inbound/{id}/discard", id: "discard-message", tag: "deliveries", access: accessAdmin, names: namesMessage,
			summary: "Decline one of them, with a reason",
			doc: "For administrators. It waits no longer, and is never understood: who, when and why is kept, and its body is emptied. " +
				"One that was discarded before stays as it was.",
			body:     discardBody{},
			answers:  []reply{{http.StatusOK, "the message, without its body", KeptMessage{}, ""}},
			refusals: []callback.Code{callback.CodeClosed},
			serve:    a.discardMessage,
		},
	}
	for _, in := range inboundPaths {
		operations = append(operations, a.receiving(http.MethodPost, in.path, in.from, in.proof))
	}
	operations = append(operations, a.receiving(http.MethodGet, "zohodesk", "Zoho Desk's validation of the address", "nothing"))
	for _, c := range a.connectors {
		in, is := c.(connectors.Inbound)
		if is && in.Path() != "" && !slices.ContainsFunc(inboundPaths, func(p struct{ path, from, proof string }) bool { return p.path == in.Path() }) {
			operations = append(operations, a.receiving(http.MethodPost, in.Path(), in.Name(), "its own means"))
		}
	}
	return operations
}

// receiving is the operation to which another system sends.
func (a *API) receiving(method, path, from, proof string) *operation {
	return &operation{
		method: method, path: inboundPath(path), id: strings.ToLower(method) + "-inbound-" + path, tag: "inbound", access: accessOpen, open: true, raw: true,
		summary: from, doc: "Sent by the other system, which proves itself by " + proof + ". 404 while its connector is not configured.",
		answers: []reply{
			{http.StatusOK, "taken", nil, ""}, {http.StatusCreated, "taken", nil, ""}, {http.StatusAccepted, "taken, and worked off soon", nil, ""},
			{http.StatusNoContent, "taken", nil, ""},
		},
		refusals: []callback.Code{
			callback.CodeMalformed, callback.CodeUnauthenticated, callback.CodeForbidden, callback.CodeNotFound, callback.CodeMethodNotAllowed,
			callback.CodeTooLarge, callback.CodeUnsupportedMediaType, callback.CodeInvalid, callback.CodeDuplicate, callback.CodeClosed,
			callback.CodeRateLimited, callback.CodeUnavailable, callback.CodeInternal,
		},
		repeatable: method == http.MethodPost && path == emailPath,
		serve:      func(ctx context.Context, r *request) (*answer, error) { return a.receive(ctx, r, path) },
	}
}

// emailPath is where a gateway posts mail, by a key: of it alone is known whose
// requests they are, so that Idempotency-Key means something.
const emailPath = "email"

// receive hands a request to its connector: limited in size and, as long as it
// proves nothing, in the rate of its address; once it has, in that of its system.
// Where the connector does not verify by itself, an API key is the proof.
func (a *API) receive(ctx context.Context, r *request, path string) (*answer, error) {
	i := slices.IndexFunc(a.connectors, func(c connectors.Connector) bool {
		in, is := c.(connectors.Inbound)
		return is && in.Path() == path
	})
	if i < 0 {
		return nil, refuse(callback.CodeNotFound, "", "this connector is not configured")
	}
	in := a.connectors[i].(connectors.Inbound) // as it was found
	from, proven := a.throttle.address(r.Request), false
	if !a.unproven.left(from, a.now()) {
		return nil, refuse(callback.CodeRateLimited, "", "too much that proves nothing came from where you are: slow down")
	}
	defer func() {
		if !proven {
			a.unproven.count(from, a.now())
		}
	}()
	ctx = connectors.WithAdmission(ctx, func() *callback.Fault {
		proven = true
		if !a.inbound.allow(in.Name(), a.now()) {
			return refuse(callback.CodeRateLimited, "", "slow down a little")
		}
		return nil
	})
	if scoped, is := in.(connectors.Scoped); is {
		who, err := a.authenticate(r.Request)
		if err != nil {
			return nil, err
		}
		r.who, r.trail.principal = who, who.ID
		if who.Staff != nil || !slices.Contains(who.Scopes, scoped.Scope()) {
			return nil, refuse(callback.CodeForbidden, "", "this takes an API key with the scope "+scoped.Scope())
		}
		if f := connectors.Proven(ctx); f != nil {
			return nil, f
		}
	}
	most := int64(maxBody)
	if sized, is := in.(connectors.Sized); is {
		most = sized.MaxBody()
	}
	handed := r.Request.WithContext(ctx)
	handed.Body = http.MaxBytesReader(r.write, r.Request.Body, most)
	if r.op.repeatable && r.Header.Get("Idempotency-Key") != "" {
		return a.receiveOnce(ctx, r, in, handed)
	}
	in.Receive(r.write, handed)
	return &answer{written: true}, nil
}

// receiveOnce hands on a request of which a repeat is to get the first answer.
func (a *API) receiveOnce(ctx context.Context, r *request, in connectors.Inbound, handed *http.Request) (*answer, error) {
	raw, err := io.ReadAll(handed.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refuse(callback.CodeTooLarge, "", "this is larger than the connector takes")
	case err != nil:
		return nil, refuse(callback.CodeMalformed, "", "the request ended before its body did")
	}
	r.canonical = raw
	return a.repeatable(ctx, r, "inbound-"+in.Path(), func(ctx context.Context, _ *errand) (*answer, error) {
		ctx, cancel := context.WithTimeout(ctx, a.limits.Request)
		defer cancel()
		again := handed.WithContext(ctx)
		again.Body = io.NopCloser(bytes.NewReader(raw))
		w := &recorded{header: http.Header{}}
		in.Receive(w, again)
		return w.answer()
	})
}

// recorded is an answer that a connector gives, before it is sent.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *recorded) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorded) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *recorded) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// answer is what was recorded; a problem is the refusal that it tells of.
func (w *recorded) answer() (*answer, error) {
	w.WriteHeader(http.StatusOK)
	if w.status < http.StatusBadRequest {
		return &answer{status: w.status, location: w.header.Get("Location"), media: w.header.Get("Content-Type"), body: w.body.Bytes()}, nil
	}
	var p Problem
	if err := json.Unmarshal(w.body.Bytes(), &p); err != nil || kinds[callback.Code(p.Code)].status != w.status {
		return nil, fmt.Errorf("a connector answered %d without a problem", w.status)
	}
	return nil, p.Fault()
}

func messageOf(m book.Message) KeptMessage {
	w := KeptMessage{
		ID: m.ID, Connector: m.Connector, ReceivedAt: m.Received, Reason: m.Reason, Media: m.Media, Tries: m.Tries, ReplayedAt: m.ReplayedAt,
	}
	if d := m.Discarded; d != nil {
		w.DiscardedAt, w.DiscardedBy, w.DiscardReason = d.At, null(d.By), null(d.Reason)
		return w
	}
	if m.Body == nil {
		return w
	}
	body := string(m.Body)
	if !utf8.Valid(m.Body) {
		body, w.Base64 = base64.StdEncoding.EncodeToString(m.Body), true
	}
	w.Body = &body
	return w
}

// messageShown is a message with its body, as it came and as people read it.
func (a *API) messageShown(m book.Message) KeptMessage {
	w := messageOf(m)
	if m.Discarded != nil {
		return w
	}
	if c, can := a.connector(m.Connector).(connectors.Shower); can {
		if s, err := c.Show(m); err == nil {
			w.Shown = &ShownMessage{null(s.Sender), null(s.Subject), null(s.Verdict), readable(s.Text)}
			return w
		}
	}
	var indented bytes.Buffer
	switch {
	case !utf8.Valid(m.Body), len(m.Body) == 0:
	case json.Indent(&indented, m.Body, "", "  ") == nil:
		w.Shown = &ShownMessage{Text: readable(indented.String())}
	default:
		w.Shown = &ShownMessage{Text: readable(string(m.Body))}
	}
	return w
}

// readable is text without characters that nobody sees or that turn the direction of
// what follows, and not more of it than somebody reads.
func readable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, s)
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + " […]"
	}
	return s
}

// maxShown is how much of a message is shown to people, in bytes.
const maxShown = 64 << 10

func (a *API) discardMessage(ctx context.Context, r *request) (*answer, error) {
	m, err := a.kept(ctx, r)
	if err != nil {
		return nil, err
	}
	b, err := decode[discardBody](a, r)
	if err != nil {
		return nil, err
	}
	return a.repeatable(ctx, r, "discard-message", func(ctx context.Context, e *errand) (*answer, error) {
		err := a.book.Discard(ctx, m.ID, book.Discard{At: e.CreatedAt, By: r.who.ID, Reason: strings.TrimSpace(b.Reason)})
		if err != nil {
			return nil, err
		}
		now, err := a.book.Message(ctx, m.ID)
		switch {
		case err != nil:
			return nil, err
		case now.Discarded == nil:
			return nil, refuse(callback.CodeClosed, "", "it was understood already, and done")
		}
		return ok(messageOf(now))
	})
}

func (a *API) listKept(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	connector, waiting := q.one("connector"), q.flag("waiting")
	limit, cursor := q.integer("limit", 1, 200, 50), q.one("cursor")
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	if cursor != "" {
		if _, err := a.book.Message(ctx, cursor); errors.Is(err, book.ErrNotFound) {
			return nil, book.ErrBadCursor
		}
	}
	page, err := a.book.Messages(ctx, connector, waiting != nil && *waiting, limit+1, cursor)
	if err != nil {
		return nil, err
	}
	given := KeptMessages{Items: []KeptMessage{}}
	if len(page) > limit {
		page = page[:limit]
		given.NextCursor = null(page[limit-1].ID)
	}
	for _, m := range page {
		m.Body = nil
		given.Items = append(given.Items, messageOf(m))
	}
	return ok(given)
}

// kept finds a message for an administrator.
func (a *API) kept(ctx context.Context, r *request) (book.Message, error) {
	m, err := a.book.Message(ctx, r.pathID)
	if errors.Is(err, book.ErrNotFound) {
		err = refuse(callback.CodeNotFound, "", "there is no such message")
	}
	if err == nil {
		err = r.may()
	}
	return m, err
}

func (a *API) replayMessage(ctx context.Context, r *request) (*answer, error) {
	m, err := a.kept(ctx, r)
	if err == nil {
		_, err = decode[nothing](a, r)
	}
	if err != nil {
		return nil, err
	}
	return a.repeatable(ctx, r, "replay-message", func(ctx context.Context, _ *errand) (*answer, error) {
		if !m.ReplayedAt.IsZero() {
			return ok(Replayed{OK: true}) // it was understood already
		}
		if m.Discarded != nil {
			return ok(Replayed{Reason: null("it was discarded")})
		}
		again, can := a.connector(m.Connector).(connectors.Replayer)
		if !can {
			return ok(Replayed{Reason: null("its connector is not configured, or cannot replay")})
		}
		ctx, cancel := context.WithTimeout(ctx, a.limits.Request)
		defer cancel()
		reason := ""
		if err := again.Replay(ctx, m); err != nil {
			a.log.WarnContext(ctx, "a kept message was not understood again", "connector", m.Connector, "message", m.ID, "error", err.Error())
			reason = replayFailed(err)
		}
		if err := a.book.Replayed(ctx, m.ID, a.instant(), reason); err != nil {
			return nil, err
		}
		return ok(Replayed{OK: reason == "", Reason: null(reason)})
	})
}

// replayFailed says in words why a message was not understood again, without
// what is in it.
func replayFailed(err error) string {
	var f *callback.Fault
	var owed *connectors.Owed
	switch {
	case errors.As(err, &f) && f.Detail != "":
		return string(f.Code) + ": " + f.Detail
	case errors.As(err, &f):
		return string(f.Code)
	case errors.As(err, &owed):
		return string(owed.Code) + ": " + owed.Detail
	case errors.Is(err, book.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return "it could not be done right now"
	}
	return "it was not understood: see the log"
}
