// Package oneview writes notes into Oneview, an in-house dashboard (R13): each as
// one signed webhook (Standard Webhooks) with its author's own identity there and
// a reference to the ticket. Where an author has none, the note is owed, and a
// person may copy it by hand and say so.
package oneview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/wire"
)

// Name is the connector's, its configuration's and that of the staff's identities.
const Name = "oneview"

// Config is the block connectors.oneview (CONTRACT §6).
type Config struct {
	// URL takes the notes (url).
	URL string
	// Secret signs them, "whsec_" and base64 of at least 24 bytes (secret_env).
	Secret string
	// Policies whose notes go there (policies); none: all, of callbacks with a source.
	Policies []string
	// CallsPerMinute is a limit of our own (calls_per_minute; 0: none), Timeout that of
	// one call (timeout; 0: 20 s).
	CallsPerMinute int
	Timeout        callback.Duration
}

// Validate reports everything that is wrong with the configuration: a
// *callback.Fault with a path below connectors.oneview for each.
func (c *Config) Validate() error {
	var wrong []callback.FieldError
	say := func(path, format string, args ...any) {
		wrong = append(wrong, callback.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if !wire.Address(c.URL) {
		say("url", "expected the address that takes notes, like https://oneview.example/notes")
	}
	if _, err := key(c.Secret); err != nil {
		say("secret_env", "%s", err)
	}
	if c.Timeout < 0 {
		say("timeout", "expected a duration like 20s")
	}
	if c.CallsPerMinute < 0 {
		say("calls_per_minute", "cannot be negative")
	}
	return wire.Wrong(wrong)
}

// leastSecret is what Standard Webhooks asks of a secret, in bytes.
const leastSecret = 24

func key(secret string) (*standardwebhooks.Webhook, error) {
	const expected = "expected the name of an environment variable that holds whsec_ and base64 of at least 24 bytes"
	if !strings.HasPrefix(secret, "whsec_") || len(secret) < len("whsec_")+leastSecret*4/3 {
		return nil, errors.New(expected)
	}
	k, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, errors.New(expected) // its own error may quote the secret
	}
	return k, nil
}

// Oneview is one dashboard.
type Oneview struct {
	config Config
	now    func() time.Time
	key    *standardwebhooks.Webhook
	client *wire.Client
}

var _ connectors.Connector = (*Oneview)(nil)

// New returns the connector; the error is that of Config.Validate.
func New(c Config, deps connectors.Deps) (*Oneview, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	k, err := key(c.Secret)
	if err != nil {
		return nil, err
	}
	deps = wire.Complete(deps)
	wire.Default(&c.Timeout, 20*time.Second)
	return &Oneview{
		config: c, now: deps.Now, key: k,
		client: &wire.Client{
			Vendor: "Oneview", Base: c.URL, HTTP: wire.NewHTTP(), Timeout: time.Duration(c.Timeout),
			Limiter: wire.NewLimiter(c.CallsPerMinute, wire.Patience, deps.Now, deps.Sleep),
		},
	}, nil
}

// Name implements connectors.Connector.
func (o *Oneview) Name() string { return Name }

// Wants implements connectors.Connector.
func (o *Oneview) Wants(in book.Intake, _ *callback.Policy) bool {
	return in.Source != nil && (len(o.config.Policies) == 0 || slices.Contains(o.config.Policies, in.Policy))
}

// Types implements connectors.Connector.
func (o *Oneview) Types() []callback.EventType {
	return []callback.EventType{callback.TypeNoted, callback.TypeAttempted}
}

// Note is the payload of one webhook.
type Note struct {
	Type      string           `json:"type"` // "note.written"
	Timestamp callback.Instant `json:"timestamp"`
	Data      NoteData         `json:"data"`
}

// NoteData is one note.
type NoteData struct {
	// OperationID is also the webhook-id: the same however often it is sent.
	OperationID string      `json:"operation_id"`
	CallbackID  string      `json:"callback_id"`
	Ticket      book.Source `json:"ticket"`
	// Author is the identity there (R13).
	Author string `json:"author"`
	// Kind is note, call_summary or attempt; Disposition is of an attempt, else null.
	Kind        string           `json:"kind"`
	Disposition *string          `json:"disposition"`
	Body        string           `json:"body"`
	WrittenAt   callback.Instant `json:"written_at"`
}

// Deliver implements connectors.Connector.
func (o *Oneview) Deliver(ctx context.Context, d connectors.Delivery) error {
	n := Note{Type: "note.written", Timestamp: callback.At(o.now()), Data: NoteData{
		OperationID: d.OperationID, CallbackID: d.Callback.ID, WrittenAt: d.Event.At,
	}}
	switch e := d.Event.Fact.(type) {
	case *callback.Noted:
		n.Data.Kind = string(e.Kind)
	case *callback.Attempted:
		n.Data.Kind = "attempt"
		disposition := string(e.Disposition)
		n.Data.Disposition = &disposition
	default:
		return nil
	}
	if d.Text == nil {
		return nil // a call without a note, or erased
	}
	if d.Author == nil {
		return &connectors.Owed{Code: connectors.NoIdentity, Detail: "its author is no longer among the staff"}
	}
	if n.Data.Author = d.Author.Identities[Name]; n.Data.Author == "" {
		return &connectors.Owed{Code: connectors.NoIdentity, Detail: "its author has no identity in Oneview: give them one, or copy the note by hand"}
	}
	if d.Intake.Source != nil {
		n.Data.Ticket = *d.Intake.Source
	}
	n.Data.Body = d.Text.Body
	return o.send(ctx, n)
}

// send signs a note and posts it. Oneview tells repeats by the webhook-id.
func (o *Oneview) send(ctx context.Context, n Note) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	now := o.now()
	signature, err := o.key.Sign(n.Data.OperationID, now, body)
	if err != nil {
		return err
	}
	a, err := o.client.Call(ctx, http.MethodPost, "", http.Header{
		http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookID):        {n.Data.OperationID},
		http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookTimestamp): {strconv.FormatInt(now.Unix(), 10)},
		http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookSignature): {signature},
	}, body)
	if err != nil {
		return err
	}
	if a.OK() {
		o.client.Limiter.Saw(0, -1)
		return nil
	}
	var said struct {
		Code string `json:"code"`
	}
	_ = o.client.Read(a, &said) // what cannot be read says nothing
	owed := o.client.Refusal(a, said.Code)
	switch {
	case said.Code == "unknown_author":
		owed.Code, owed.Detail = connectors.NoIdentity, "Oneview does not know the author's identity: correct it, or copy the note by hand"
	case owed.Code == connectors.Gone:
		owed.Detail = "Oneview does not know the ticket, or no longer takes notes at this address"
	case owed.Code == connectors.Unauthorized:
		owed.Detail += ": is the secret the same on both sides?"
	}
	return owed
}
