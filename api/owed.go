package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// Debt is what could not be brought to another system yet, as the callback shows it.
type Debt struct {
	Operation   string           `json:"operation" format:"uuid" doc:"names the delivery: see /v1/owed"`
	Destination string           `json:"destination" example:"freshdesk"`
	Seq         int64            `json:"seq" minimum:"1" doc:"the timeline entry that is to be brought there; what follows it waits"`
	Code        string           `json:"code" doc:"why" example:"unavailable"`
	Since       callback.Instant `json:"since"`
}

// Delivery is one timeline entry on its way to another system.
type Delivery struct {
	Operation   string           `json:"operation" format:"uuid" doc:"the same however often it is tried, and no other's"`
	CallbackID  string           `json:"callback_id" format:"uuid"`
	Destination string           `json:"destination" example:"freshdesk"`
	Seq         int64            `json:"seq" minimum:"1" doc:"of the timeline entry"`
	Type        string           `json:"type" doc:"of the timeline entry" example:"noted"`
	State       string           `json:"state" enum:"trying,owed,delivered,waived"`
	Tries       int              `json:"tries" minimum:"0"`
	Code        *string          `json:"code" doc:"why the last try that failed did so; null: none did" example:"no_identity"`
	Detail      *string          `json:"detail" doc:"the same in words"`
	FirstAt     callback.Instant `json:"first_at"`
	TriedAt     callback.Instant `json:"tried_at"`
	NextTryAt   callback.Instant `json:"next_try_at" doc:"null: none is planned"`
	SettledAt   callback.Instant `json:"settled_at" doc:"delivered or waived"`
	Links       DeliveryLinks    `json:"links"`
}

// DeliveryLinks are hrefs.
type DeliveryLinks struct {
	Callback string `json:"callback"`
}

// Deliveries is one page.
type Deliveries struct {
	Items      []Delivery `json:"items"`
	NextCursor *string    `json:"next_cursor" doc:"null on the last page"`
}

type waiveBody struct {
	Destination  *string `json:"destination" required:"false" maxLength:"200" doc:"give up what is owed there"`
	Operation    *string `json:"operation" required:"false" maxLength:"36" doc:"or this very delivery"`
	Reason       string  `json:"reason" pattern:"\\S" patternDescription:"some text" maxLength:"4000"`
	CopiedByHand *bool   `json:"copied_by_hand" required:"false" doc:"it was done there by hand (R13)"`
}

func debtsOf(c *callback.Callback) []Debt {
	debts := make([]Debt, len(c.Owed))
	for i, d := range c.Owed {
		debts[i] = Debt{book.OperationID(c.ID, d.Destination, d.Seq), d.Destination, d.Seq, d.Code, d.Since}
	}
	return debts
}

func deliveryOf(d book.Delivery) Delivery {
	return Delivery{
		Operation: d.OperationID, CallbackID: d.CallbackID, Destination: d.Destination, Seq: d.Seq, Type: string(d.Type),
		State: string(d.State), Tries: d.Tries, Code: null(d.Code), Detail: null(d.Detail), FirstAt: d.FirstAt, TriedAt: d.TriedAt,
		NextTryAt: d.NextAt, SettledAt: d.SettledAt, Links: DeliveryLinks{callbackPath(d.CallbackID)},
	}
}

func (a *API) owedOperations() []*operation {
	least, most := 1.0, 200.0
	page := []*huma.Param{
		{Name: "limit", In: "query", Description: "items on a page", Schema: &huma.Schema{
			Type: huma.TypeInteger, Minimum: &least, Maximum: &most, Default: 50,
		}},
		param("cursor", "the next_cursor of the page before"),
	}
	narrow := []*huma.Param{
		manyParam("destination", "the systems"), manyParam("code", "why"), param("callback", "the callback's id"),
	}
	states := make([]string, len(book.DeliveryStates))
	for i, s := range book.DeliveryStates {
		states[i] = string(s)
	}
	waive := command(a, "waive", "Give up what is owed to another system",
		"With a reason, or because it was done there by hand (R13): its assignee, its owner, a manager or above, an administrator; "+
			"after the callback has ended too.", nil, a.makeWaive)
	return []*operation{
		waive,
		{
			method: http.MethodGet, path: "/v1/owed", id: "owed", tag: "deliveries", access: accessRead,
			summary: "What is owed to other systems, the longest owed first",
			doc:     "It is tried again for as long as it takes, or until somebody waives it. What follows it to the same system waits.",
			query:   append(slices.Clone(narrow), page...),
			answers: []reply{{http.StatusOK, "one page", Deliveries{}, ""}},
			serve: func(ctx context.Context, r *request) (*answer, error) {
				return a.listDeliveries(ctx, r, a.book.Owed)
			},
		},
		{
			method: http.MethodGet, path: "/v1/deliveries", id: "deliveries", tag: "deliveries", access: accessRead,
			summary: "The log of deliveries to other systems, the last tried first",
			query:   append(append(slices.Clone(narrow), manyParam("state", "what became of it", states...)), page...),
			answers: []reply{{http.StatusOK, "one page", Deliveries{}, ""}},
			serve: func(ctx context.Context, r *request) (*answer, error) {
				return a.listDeliveries(ctx, r, a.book.Deliveries)
			},
		},
		{
			method: http.MethodPost, path: "/v1/deliveries/{id}/retry", id: "retry-delivery", tag: "deliveries", access: accessCommand, names: namesDelivery,
			summary: "Try a delivery again now",
			doc: "One that is owed is tried at once, instead of when its time comes. One that was delivered or waived is brought " +
				"there once more, under the same operation. A manager or above, or an administrator.",
			body: nothing{}, bodyOptional: true,
			answers:  []reply{{http.StatusAccepted, "it will be tried; as it was", Delivery{}, ""}},
			refusals: []callback.Code{callback.CodeInvalid, callback.CodeClosed},
			serve:    a.retry,
		},
	}
}

func (a *API) listDeliveries(
	ctx context.Context, r *request,
	list func(ctx context.Context, f book.DeliveryFilter, limit int, cursor string) ([]book.Delivery, string, error),
) (*answer, error) {
	q := r.query()
	f := book.DeliveryFilter{Destination: q.many("destination"), Code: q.many("code"), CallbackID: q.one("callback")}
	for _, s := range q.many("state") {
		if !slices.Contains(book.DeliveryStates, book.DeliveryState(s)) {
			q.refuse("state", "expected trying, owed, delivered or waived")
		}
		f.State = append(f.State, book.DeliveryState(s))
	}
	limit, cursor := q.integer("limit", 1, 200, 50), q.one("cursor")
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	page, next, err := list(ctx, f, limit, cursor)
	if err != nil {
		return nil, err
	}
	given := Deliveries{Items: make([]Delivery, 0, len(page)), NextCursor: null(next)}
	for _, d := range page {
		given.Items = append(given.Items, deliveryOf(d))
	}
	return ok(given)
}

func (a *API) makeWaive(ctx context.Context, r *request, e *errand, b *waiveBody) (callback.Waive, error) {
	c := callback.Waive{
		Destination: deref(b.Destination), CopiedByHand: b.CopiedByHand != nil && *b.CopiedByHand,
		TextID: e.text(book.TextReason, b.Reason),
	}
	if b.Operation != nil {
		e.needsBook = true
		d, err := a.book.Delivery(ctx, *b.Operation)
		switch {
		case err != nil && !errors.Is(err, book.ErrNotFound):
			return c, err
		case err != nil, d.CallbackID != r.callbackID, c.Destination != "" && c.Destination != d.Destination:
			return c, callback.Invalid("operation", "expected the operation of something that is owed for this callback")
		}
		c.Destination, c.Seq = d.Destination, d.Seq
	}
	if c.Destination == "" {
		return c, callback.Invalid("destination", "expected the system to which something is owed, or an operation")
	}
	return c, nil
}

// enabler is a connector that stops by itself, until a person lets it go on.
type enabler interface {
	Enable(ctx context.Context) error
}

// retryWithin bounds what a retry asks of others.
const retryWithin = 10 * time.Second

func (a *API) retry(ctx context.Context, r *request) (*answer, error) {
	d, err := a.book.Delivery(ctx, r.pathID)
	if errors.Is(err, book.ErrNotFound) {
		err = refuse(callback.CodeNotFound, "", "there is no delivery of this operation")
	}
	if err == nil {
		_, err = decode[nothing](a, r)
	}
	if err == nil {
		err = a.mayOversee(r.who, "")
	}
	if err == nil {
		err = a.notErased(ctx, d.CallbackID)
	}
	if err != nil {
		return nil, err
	}
	return a.repeatable(ctx, r, "retry-delivery", func(ctx context.Context, e *errand) (*answer, error) {
		ctx, cancel := context.WithTimeout(ctx, retryWithin)
		defer cancel()
		if c, can := a.connector(d.Destination).(enabler); can {
			if err := c.Enable(ctx); err != nil {
				return nil, err
			}
		}
		var err error
		if d.State == book.DeliveryOwed || d.State == book.DeliveryTrying {
			err = a.engine.HurryDelivery(ctx, d.CallbackID)
		} else {
			err = a.engine.Redeliver(ctx, e.ID, contract.Delivery{
				CallbackID: d.CallbackID, Destination: d.Destination, Events: []int64{d.Seq},
			})
		}
		if err != nil && !errors.Is(err, ErrNoWorkflow) { // else it has just arrived
			return nil, err
		}
		body, err := encode(deliveryOf(d))
		return &answer{status: http.StatusAccepted, location: "/v1/deliveries?callback=" + d.CallbackID, body: body}, err
	})
}
