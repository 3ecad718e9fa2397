package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
)

// Availability is who is there, and who of them is free (R01).
type Availability struct {
	Items []Candidate `json:"items"`
}

// Candidate is somebody who might take a live transfer.
type Candidate struct {
	StaffID string           `json:"staff_id"`
	Name    string           `json:"name"`
	Tier    string           `json:"tier"`
	Queues  []string         `json:"queues"`
	State   *string          `json:"state" enum:"available,busy,away,offline" doc:"null: never set"`
	Until   callback.Instant `json:"until" doc:"it lapses to offline then, unless renewed"`
	Free    bool             `json:"free" doc:"can be reserved for a live transfer right now"`
}

// Transfer is somebody held for a live transfer.
type Transfer struct {
	ID        string           `json:"id"`
	StaffID   string           `json:"staff_id"`
	ExpiresAt callback.Instant `json:"expires_at"`
}

// reservationLasts is how long somebody is held for a live transfer (CONTRACT §4).
const reservationLasts = callback.Duration(time.Minute)

type transferBody struct {
	Tier  string `json:"tier" minLength:"1" maxLength:"100"`
	Queue string `json:"queue" minLength:"1" maxLength:"200"`
}

// TransformSchema implements huma.SchemaTransformer.
func (Candidate) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return enumOrNull(s, "state")
}

func (a *API) availabilityOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/availability", id: "availability", tag: "people", access: accessRead,
			summary: "Who is free for a live transfer", doc: "Everybody of the tier and queue with what they say of themselves, the free ones first (R01).",
			query:   []*huma.Param{param("tier", "only of this tier"), param("queue", "only members of this queue")},
			answers: []reply{{http.StatusOK, "the candidates", Availability{}, ""}},
			serve:   a.availability,
		},
		{
			method: http.MethodPost, path: "/v1/transfers", id: "transfer", tag: "people", access: accessCommand,
			summary:  "Reserve somebody for a live transfer",
			doc:      "For 60 seconds, in one compare-and-set: nobody is reserved twice. Escalate with the id if the transfer succeeds.",
			body:     transferBody{},
			answers:  []reply{{http.StatusCreated, "the reservation", Transfer{}, ""}},
			refusals: []callback.Code{callback.CodeNoneAvailable},
			serve:    a.transfer,
		},
	}
}

func (a *API) availability(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	tier, queue := q.one("tier"), q.one("queue")
	if _, known := a.config.Tiers[tier]; tier != "" && !known {
		q.refuse("tier", "expected a tier of this desk")
	}
	if queue != "" && !slices.Contains(a.queueNames(), queue) {
		q.refuse("queue", "expected a queue of this desk")
	}
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	everybody, err := a.people.everybody(ctx)
	if err != nil {
		return nil, err
	}
	present, err := a.presences(ctx)
	if err != nil {
		return nil, err
	}
	var free, others []Candidate
	for _, id := range slices.Sorted(maps.Keys(everybody)) {
		s := everybody[id]
		if (tier != "" && s.Tier != tier) || (queue != "" && !slices.Contains(s.Queues, queue)) {
			continue
		}
		p := presenceIn(present, id)
		c := Candidate{
			StaffID: id, Name: s.Name, Tier: s.Tier, Queues: list(s.Queues), State: p.State, Until: p.Until,
			Free: deref(p.State) == string(book.Available) && !person(s).Auditor,
		}
		if c.Free {
			free = append(free, c)
		} else {
			others = append(others, c)
		}
	}
	return ok(Availability{Items: list(append(free, others...))})
}

// transfer reserves somebody. The reservation's id follows from the key, so
// that a repeat finds it.
func (a *API) transfer(ctx context.Context, r *request) (*answer, error) {
	b, err := decode[transferBody](a, r)
	if err != nil {
		return nil, err
	}
	e, err := a.newErrand(ctx, r, &work{name: "transfer"})
	if err != nil {
		return nil, err
	}
	if e.Key != "" {
		leave, err := a.flights.board(ctx, e.ID)
		if err != nil {
			return nil, ErrOutcomeUnknown
		}
		defer leave()
		reserved, err := a.book.Reservation(ctx, e.ID)
		switch {
		case err == nil && (reserved.Tier != b.Tier || reserved.Queue != b.Queue):
			return nil, keyReused()
		case err == nil:
			return reservedAs(reserved)
		case !errors.Is(err, book.ErrNotFound):
			return nil, err
		}
	}
	var wrong []callback.FieldError
	if _, known := a.config.Tiers[b.Tier]; !known {
		wrong = append(wrong, callback.FieldError{Path: "tier", Message: "expected a tier of this desk"})
	}
	if !slices.Contains(a.queueNames(), b.Queue) {
		wrong = append(wrong, callback.FieldError{Path: "queue", Message: "expected a queue of this desk"})
	}
	if len(wrong) > 0 {
		return nil, invalid(wrong)
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	reserved, err := a.book.Reserve(ctx, book.Reservation{
		ID: e.ID, Tier: b.Tier, Queue: b.Queue, By: r.who.ID, ExpiresAt: a.instant().Plus(reservationLasts),
	}, a.instant())
	if err != nil {
		return nil, err
	}
	return reservedAs(reserved)
}

func reservedAs(r book.Reservation) (*answer, error) {
	body, err := encode(Transfer{r.ID, r.StaffID, r.ExpiresAt})
	return &answer{status: http.StatusCreated, body: body}, err
}
