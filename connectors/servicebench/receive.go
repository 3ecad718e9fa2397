package servicebench

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"time"

	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/wire"
)

const (
	// maxBody is more than any exception has.
	maxBody = 64 << 10
	// patience bounds the work on one request.
	patience = 15 * time.Second
	// media of exceptions.
	media = "application/json"
)

// Path implements connectors.Inbound.
func (c *Connector) Path() string { return "exceptions" }

// Receive implements connectors.Inbound: one exception, signed. What is signed and
// cannot be understood, or not be done, is kept and answered with 202.
func (c *Connector) Receive(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		wire.Refuse(w, &callback.Fault{Code: callback.CodeMethodNotAllowed, Detail: "exceptions are posted"})
		return
	}
	body, unread := wire.Body(r, maxBody)
	if unread != nil {
		wire.Refuse(w, unread)
		return
	}
	if err := c.key.Verify(r.Header, body, c.deps.Now()); err != nil {
		wire.Refuse(w, &callback.Fault{Code: callback.CodeUnauthenticated, Detail: "the signature is not one of this connector's secret, or too old"})
		return
	}
	if fault := connectors.Proven(r.Context()); fault != nil {
		wire.Refuse(w, fault)
		return
	}
	if m, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || m != media {
		wire.Refuse(w, &callback.Fault{Code: callback.CodeUnsupportedMediaType, Detail: "expected " + media})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	done, err := c.receive(ctx, body)
	switch {
	case err != nil:
		c.deps.Logger.WarnContext(ctx, "an exception waits for its sender to try again", "error", err)
		wire.Refuse(w, &callback.Fault{Code: callback.CodeUnavailable, Detail: "it cannot be taken right now; send it again"})
	case done.Outcome == KeptBack:
		c.deps.Logger.WarnContext(ctx, "an exception was kept", "reason", *done.Reason)
		wire.Reply(w, http.StatusAccepted, done)
	default:
		wire.Reply(w, http.StatusOK, done)
	}
}

func (c *Connector) receive(ctx context.Context, body []byte) (result, error) {
	x, err := Parse(body)
	var f *callback.Fault
	if errors.As(err, &f) {
		reason := "it cannot be understood: " + f.Detail
		return result{Outcome: KeptBack, Reason: &reason}, c.keep(ctx, media, body, reason)
	}
	return c.takeOrKeep(ctx, x, media, body)
}
