package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// Asked is what this process's own connectors ask for: as POST /v1/callbacks,
// and what only they may say.
type Asked struct {
	Policy   string
	Customer book.Customer
	Reason   string
	Source   book.Source
	LOB      string
	Fields   map[string]string
	Parent   string
	// Queue and AssignTo override the policy's first step; empty: they do not.
	Queue, AssignTo string
}

// ScopeConnector lets this process's own connectors tell facts. No key has it.
const ScopeConnector = "connector"

// promiseOperation is never published: there is no address for it.
var promiseOperation = &operation{method: http.MethodPost, path: "/v1/callbacks", id: "promise", access: accessCreate}

// Promise makes a callback in the name of a system. The same key again is the
// same callback. Refusals are *callback.Fault; other errors mean: try again.
func (a *API) Promise(ctx context.Context, who Principal, key string, p Asked) (callbackID string, err error) {
	b := createBody{
		Policy: p.Policy, Customer: customerBody{
			Ref: null(p.Customer.Ref), Name: p.Customer.Name, Phone: p.Customer.Phone, Email: null(p.Customer.Email), TimeZone: null(p.Customer.TimeZone),
		},
		Reason: null(p.Reason), LOB: null(p.LOB), Fields: p.Fields, Parent: null(p.Parent),
	}
	if p.Source != (book.Source{}) {
		b.Source = &sourceBody{System: p.Source.System, Ref: p.Source.Ref, URL: null(p.Source.URL)}
	}
	canonical, err := encode(p)
	if err != nil {
		return "", err
	}
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, promiseOperation.path, http.NoBody)
	if err != nil {
		return "", err
	}
	if key != "" {
		asked.Header.Set("Idempotency-Key", KeyFor(key))
	}
	r := &request{Request: asked, trail: &trail{principal: who.ID}, who: who, op: promiseOperation, canonical: canonical}
	switch {
	case strings.TrimSpace(b.Customer.Name) == "":
		err = callback.Invalid("customer.name", "expected a name")
	case p.Queue != "" && !slices.Contains(a.queueNames(), p.Queue):
		err = callback.Invalid("queue", "expected a queue of this desk")
	case b.Customer.Phone == "" && deref(b.Customer.Email) == "":
		err = callback.Invalid("customer.phone", "expected a phone number, or an e-mail address")
	default:
		err = b.check()
	}
	if err == nil && p.AssignTo != "" {
		err = a.known(ctx, p.AssignTo)
	}
	if err != nil {
		return "", a.asFault(err)
	}
	given, err := a.promise(ctx, r, &b, route{p.Queue, p.AssignTo})
	if err != nil {
		return "", a.asFault(err)
	}
	id, found := strings.CutPrefix(given.location, callbackPath(""))
	if !found {
		return "", errors.New("api: a promise without an address")
	}
	return id, nil
}

// KeyFor is an idempotency key as a header can carry it: of any text, the same for
// the same.
func KeyFor(key string) string {
	if saneKey.MatchString(key) {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256-" + hex.EncodeToString(sum[:])
}

func (a *API) known(ctx context.Context, staffID string) error {
	everybody, err := a.people.everybody(ctx)
	if err == nil && everybody[staffID] == nil {
		err = callback.Invalid("assign_to", "expected the id of somebody of the staff")
	}
	return err
}

// asFault makes a refusal of what will not be better if it is tried again.
func (a *API) asFault(err error) error {
	f := fault(err)
	switch kinds[f.Code].status {
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests, http.StatusInternalServerError:
		return err
	}
	return f
}

// route overrides the first step of a policy.
type route struct{ queue, assignTo string }

// TagMissing tells that a tag was taken off by hand elsewhere (R09).
func (a *API) TagMissing(ctx context.Context, who Principal, callbackID string) error {
	v, err := a.book.Callback(ctx, callbackID)
	switch {
	case errors.Is(err, book.ErrNotFound):
		return notFound()
	case err != nil:
		return err
	case v.State.Status.Closed():
		return closed(v.State)
	}
	err = a.engine.TagMissing(ctx, callbackID, contract.TagMissing{By: who.ID})
	if errors.Is(err, ErrNoWorkflow) {
		return refuse(callback.CodeClosed, "R09", "this callback has just been closed")
	}
	return err
}

// newCallbackID is a fresh one.
func newCallbackID() (string, error) {
	id, err := uuid.NewV7()
	return id.String(), err
}
