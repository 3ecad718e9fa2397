package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"ringback/book"
	"ringback/callback"
)

type eraseBody struct {
	Ground book.Ground `json:"ground" enum:"request,no_longer_needed,unlawful,legal_obligation" doc:"on which of the grounds of Article 17 (1) of the GDPR; no free text, which would be one more thing to erase"`
}

// Erasure is what an erasure came to.
type Erasure struct {
	Erased int `json:"erased" minimum:"0" doc:"callbacks that were emptied; 0: the customer had been erased before"`
	Left   int `json:"left" minimum:"0" doc:"callbacks to the same phone number that are another customer's, by their reference: they are as they were"`
}

// settledAfter is how long after its end a callback counts as told to every
// system that it was to be told to, where its history never came into the archive.
const settledAfter = time.Hour

func (a *API) eraseOperations() []*operation {
	return []*operation{{
		method: http.MethodPost, path: "/v1/callbacks/{id}/erase", id: "erase", tag: "callbacks", access: accessAdmin,
		summary: "Erase the customer of this callback, for good",
		doc: "With all of the customer's callbacks: those with the same reference, and those without one to the same phone number. " +
			"Name, numbers, addresses, reasons, notes, sources and fields are emptied; what happened, when, and who did it stays, as the " +
			"histories do, which hold nothing personal (R26). The timeline of each says `erased`. Refused while one of them is open " +
			"(`contact_required`, with `existing`), or owed to another system, and for a moment after its end (`held`). " +
			"What other systems were told is to be erased there. For administrators.",
		body: eraseBody{}, conditional: true,
		answers:  []reply{{http.StatusOK, "what was erased", Erasure{}, ""}},
		refusals: []callback.Code{callback.CodeContactRequired, callback.CodeHeld},
		serve:    a.erase,
	}}
}

func (a *API) erase(ctx context.Context, r *request) (*answer, error) {
	view, dbAway, err := a.find(ctx, r)
	if err == nil && view == nil {
		err = dbAway
	}
	if err != nil {
		return nil, err
	}
	b, err := decode[eraseBody](a, r)
	if err != nil {
		return nil, err
	}
	return a.once(ctx, r, "erase", func(ctx context.Context, e *errand) (*answer, error) {
		matches := func(v book.View) error {
			wanted, err := ifMatch(r.Request, v.Version())
			if err == nil && wanted != 0 && wanted != v.Version() {
				err = stale()
			}
			return err
		}
		if err := matches(*view); err != nil {
			return nil, err
		}
		if err := r.may(); err != nil {
			return nil, err
		}
		var given *answer
		conclude := func(done book.Erased) (*book.Errand, error) {
			var err error
			if given, err = ok(Erasure{done.Callbacks, done.Left}); err != nil {
				return nil, err
			}
			return e.concluded(given), nil
		}
		now := a.instant()
		// Begun, it is brought to its end, whether or not the caller still listens.
		done, err := a.book.Erase(context.WithoutCancel(ctx), book.Erase{
			CallbackID: r.callbackID, By: r.who.ID, At: now, Ground: b.Ground, SettledBy: now.Plus(-callback.Duration(settledAfter)),
			Check: matches, Redact: redacted, Conclude: conclude,
		})
		var not *book.NotErasableError
		if errors.As(err, &not) {
			return nil, notErasable(not)
		}
		if err != nil {
			return nil, err
		}
		a.log.InfoContext(ctx, "a customer was erased", "by", r.who.ID, "ground", string(b.Ground), "callback_id", r.callbackID, "callbacks", done.Callbacks)
		return given, nil
	})
}

func notErasable(not *book.NotErasableError) error {
	switch not.Why {
	case book.StillOpen:
		return &callback.Fault{
			Code: callback.CodeContactRequired, Rule: "R09", Existing: not.CallbackID,
			Detail: "a callback of this customer is still open, and needs the number to call: complete or cancel it first",
		}
	case book.StillOwed:
		return &callback.Fault{
			Code: callback.CodeHeld, Rule: "R26", Existing: not.CallbackID,
			Detail: not.Destination + " is still to be told of a callback of this customer, and cannot be without its reference: deliver or waive that first",
		}
	case book.StillClosing:
	}
	return &callback.Fault{
		Code: callback.CodeHeld, Rule: "R26", Existing: not.CallbackID,
		Detail: "a callback of this customer has just ended, and its history is on its way into the archive: try again in a minute; nothing was erased",
	}
}

// redacted is an answer to a command without what was personal in it.
func redacted(_ string, body []byte) ([]byte, error) {
	var has map[string]json.RawMessage
	if err := json.Unmarshal(body, &has); err != nil {
		return nil, err // nothing that this server answers
	}
	switch {
	case has["customer"] != nil:
		var c Callback
		if err := json.Unmarshal(body, &c); err != nil {
			return nil, err
		}
		c.forgetCustomer()
		return encode(c)
	case has["body"] != nil:
		var n Note
		if err := json.Unmarshal(body, &n); err != nil {
			return nil, err
		}
		n.Body = nil
		return encode(n)
	}
	return body, nil
}

// forgetCustomer makes it look as it does once its customer is erased.
func (c *Callback) forgetCustomer() {
	c.Customer, c.Reason, c.Source, c.Fields, c.TransferAttempt, c.Links.Ticket = &Customer{}, nil, nil, map[string]string{}, nil, nil
}

// notErased refuses to bring anything of an erased customer to another system.
func (a *API) notErased(ctx context.Context, callbackID string) error {
	in, err := a.book.Intake(ctx, callbackID)
	if err != nil && !errors.Is(err, book.ErrNotFound) {
		return err
	}
	if in.Erased != nil {
		return refuse(callback.CodeClosed, "R26", "the customer of this callback was erased: there is nothing left to bring there")
	}
	return nil
}

// typeErased is the one type of entry that is in no history.
const typeErased = "erased"

// withErasure adds to a timeline that the customer was erased, where that came:
// what has followed it, however late, has the next numbers.
func withErasure(entries []Entry, e *book.Erasure) []Entry {
	if e == nil || e.After > int64(len(entries)) {
		return entries
	}
	given := make([]Entry, 0, len(entries)+1)
	given = append(given, entries[:e.After]...)
	tier := ""
	if e.After > 0 {
		tier = entries[e.After-1].Tier
	}
	given = append(given, Entry{
		Seq: e.After + 1, Type: typeErased, At: e.At, Actor: e.By, Tier: tier, Rule: null("R26"), Data: map[string]any{"ground": string(e.Ground)},
	})
	for _, later := range entries[e.After:] {
		later.Seq++
		given = append(given, later)
	}
	return given
}
