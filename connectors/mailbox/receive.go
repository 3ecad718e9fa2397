package mailbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"ringback/callback"
	"ringback/connectors/wire"
)

const (
	// maxBody is how large a message can be that is posted: its attachments are passed over.
	maxBody = 25 << 20
	// patience bounds the work on one request, reading it included.
	patience = 25 * time.Second
)

// Path implements connectors.Inbound.
func (c *Connector) Path() string { return "email" }

// Scope implements connectors.Scoped: who posts mail has an API key for intake.
func (c *Connector) Scope() string { return "intake" }

// MaxBody implements connectors.Sized.
func (c *Connector) MaxBody() int64 { return maxBody }

// Receive implements connectors.Inbound: one message, as a mail gateway has it. What waits
// for a person is answered with 202.
func (c *Connector) Receive(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		wire.Refuse(w, &callback.Fault{Code: callback.CodeMethodNotAllowed, Detail: "messages are posted"})
		return
	}
	if m, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || m != media {
		wire.Refuse(w, &callback.Fault{Code: callback.CodeUnsupportedMediaType, Detail: "expected " + media})
		return
	}
	var raw bytes.Buffer
	_, err := io.CopyN(&raw, r.Body, c.config.MaxSize)
	more := false
	if err == nil {
		var rest int64
		rest, err = io.Copy(io.Discard, r.Body)
		more = rest > 0
	}
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		wire.Refuse(w, &callback.Fault{Code: callback.CodeTooLarge, Detail: "the message is too large"})
		return
	case err != nil && !errors.Is(err, io.EOF):
		wire.Refuse(w, &callback.Fault{Code: callback.CodeMalformed, Detail: "the message ends too early"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	done, err := c.takeOrKeep(ctx, raw.Bytes(), more)
	switch {
	case err != nil:
		c.deps.Logger.WarnContext(ctx, "a message waits for its sender to try again", "error", err)
		wire.Refuse(w, &callback.Fault{Code: callback.CodeUnavailable, Detail: "it cannot be taken right now; send it again"})
	case done.Outcome == KeptBack:
		c.tell(ctx, done)
		wire.Reply(w, http.StatusAccepted, done)
	default:
		c.tell(ctx, done)
		wire.Reply(w, http.StatusOK, done)
	}
}

// tell logs what became of a message, without what is in it.
func (c *Connector) tell(ctx context.Context, done result) {
	args := []any{"outcome", string(done.Outcome)}
	if done.Callback != nil {
		args = append(args, "callback", *done.Callback)
	}
	if done.Reason != nil {
		args = append(args, "reason", *done.Reason)
	}
	c.deps.Logger.InfoContext(ctx, "a message was taken", args...)
}
