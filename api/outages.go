package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// Outage is a system outage (R23).
type Outage struct {
	ID         string           `json:"id" format:"uuid"`
	Queue      *string          `json:"queue" doc:"it affects callbacks of this queue; null: of any"`
	LOB        *string          `json:"lob" doc:"and of this line of business; null: of any"`
	Source     *string          `json:"source" doc:"and from this source system; null: from any"`
	Words      *string          `json:"words" doc:"what to tell customers meanwhile"`
	EndWords   *string          `json:"end_words" doc:"what customers are told when it is over"`
	Active     bool             `json:"active"`
	DeclaredBy string           `json:"declared_by"`
	DeclaredAt callback.Instant `json:"declared_at"`
	EndedBy    *string          `json:"ended_by"`
	EndedAt    callback.Instant `json:"ended_at"`
	Linked     int64            `json:"linked" minimum:"0" doc:"open callbacks that are linked to it now"`
	Links      OutageLinks      `json:"links"`
}

// OutageLinks are hrefs.
type OutageLinks struct {
	Self string `json:"self"`
}

// Outages is one page of them.
type Outages struct {
	Items      []Outage `json:"items"`
	NextCursor *string  `json:"next_cursor" doc:"null on the last page"`
}

type (
	declareBody struct {
		Queue  *string `json:"queue" required:"false" maxLength:"200" doc:"one of queue, lob and source at least; several narrow"`
		LOB    *string `json:"lob" required:"false" maxLength:"200"`
		Source *string `json:"source" required:"false" maxLength:"100" doc:"a source system, like freshdesk"`
		Words  *string `json:"words" required:"false" maxLength:"4000" doc:"what to tell customers meanwhile"`
	}
	endBody struct {
		Words *string `json:"words" required:"false" maxLength:"4000" doc:"what customers are told now; without any they are not"`
	}
)

func outagePath(id string) string { return "/v1/outages/" + id }

func (a *API) outageOperations() []*operation {
	paging := a.owedOperations()[1].query
	return []*operation{
		{
			method: http.MethodPost, path: "/v1/outages", id: "declare-outage", tag: "outages", access: accessCommand,
			summary: "Declare a system outage",
			doc: "Open callbacks that it affects, and new ones at once, are linked to it (R23); their clocks stand still where their " +
				"policies say so. A manager or above, or an administrator.",
			body:    declareBody{},
			answers: []reply{{http.StatusCreated, "the outage", Outage{}, ""}},
			serve:   a.declareOutage,
		},
		{
			method: http.MethodGet, path: "/v1/outages", id: "outages", tag: "outages", access: accessRead, summary: "System outages, the newest first",
			query:   append([]*huma.Param{choiceParam("active", "only those that go on", "true", "false")}, paging[len(paging)-2:]...),
			answers: []reply{{http.StatusOK, "one page", Outages{}, ""}},
			serve:   a.listOutages,
		},
		{
			method: http.MethodGet, path: "/v1/outages/{id}", id: "outage", tag: "outages", access: accessRead, names: namesOutage, summary: "One outage",
			answers: []reply{{http.StatusOK, "the outage", Outage{}, ""}},
			serve: func(ctx context.Context, r *request) (*answer, error) {
				o, err := a.outage(ctx, r)
				if err == nil {
					err = r.may()
				}
				if err != nil {
					return nil, err
				}
				return a.answerOutage(ctx, http.StatusOK, o)
			},
		},
		{
			method: http.MethodPost, path: "/v1/outages/{id}/end", id: "end-outage", tag: "outages", access: accessCommand, names: namesOutage,
			summary: "It is over",
			doc: "Everything that is linked to it goes on, thousands at the engine's pace, and the customers are told. Ended again it " +
				"stays as it is. A manager or above, or an administrator.",
			body: endBody{}, bodyOptional: true,
			answers: []reply{{http.StatusOK, "the outage", Outage{}, ""}},
			serve:   a.endOutage,
		},
	}
}

// mayOversee: a manager or above, or an administrator.
func (a *API) mayOversee(who Principal, rule callback.Rule) error {
	if err := who.may(accessCommand); err != nil {
		return err
	}
	rank, known := a.config.Tiers["manager"]
	if !known {
		for _, r := range a.config.Tiers {
			rank = max(rank, r)
		}
	}
	if who.Staff.Rank >= rank || who.is(roleAdmin) {
		return nil
	}
	return refuse(callback.CodeForbidden, rule, "only a manager or above, or an administrator, may do this")
}

func (a *API) declareOutage(ctx context.Context, r *request) (*answer, error) {
	b, err := decode[declareBody](a, r)
	if err != nil {
		return nil, err
	}
	o := book.Outage{
		Queue: strings.TrimSpace(deref(b.Queue)), LOB: strings.TrimSpace(deref(b.LOB)), Source: strings.TrimSpace(deref(b.Source)),
		Words: strings.TrimSpace(deref(b.Words)), DeclaredBy: r.who.ID,
	}
	switch {
	case o.Queue == "" && o.LOB == "" && o.Source == "":
		return nil, callback.Invalid("queue", "expected a queue, a line of business (lob) or a source system")
	case o.Queue != "" && !slices.Contains(a.queueNames(), o.Queue):
		return nil, callback.Invalid("queue", "expected a queue of this desk")
	}
	if err := a.mayOversee(r.who, "R23"); err != nil {
		return nil, err
	}
	return a.repeatable(ctx, r, "declare-outage", func(ctx context.Context, e *errand) (*answer, error) {
		// The same request again is the same outage.
		o.ID, o.DeclaredAt = e.ID, e.CreatedAt
		declared, err := a.book.Declare(ctx, o)
		if err != nil {
			return nil, err
		}
		beginning, cancel := context.WithTimeout(ctx, a.limits.Engine)
		defer cancel()
		err = a.engine.BeginOutage(beginning, contract.OutageInput{ID: o.ID, By: declared.DeclaredBy, At: declared.DeclaredAt})
		// What a first try declared may have begun; it is not undone for a second one.
		if !e.taken && (errors.Is(err, ErrEngineAway) || errors.Is(err, ErrEngineBusy)) {
			if undo := a.book.Undeclare(ctx, o.ID); undo != nil {
				// It begins when the engine is back, by a repeat or by the sweeper: it is not refused.
				a.log.WarnContext(ctx, "an outage that did not begin is still declared; it begins later", "outage", o.ID, "error", undo.Error())
				err = ErrOutcomeUnknown
			}
		}
		if err != nil {
			return nil, err
		}
		a.outagesChanged()
		return a.answerOutage(ctx, http.StatusCreated, declared)
	})
}

// outagesChanged makes it felt at once in this process.
func (a *API) outagesChanged() {
	a.outages.forget()
	a.hub.outagesChanged()
}

// outage finds the one that a request names.
func (a *API) outage(ctx context.Context, r *request) (book.Outage, error) {
	o, err := a.book.Outage(ctx, r.pathID)
	if errors.Is(err, book.ErrNotFound) {
		err = refuse(callback.CodeNotFound, "R23", "there is no outage with this id")
	}
	return o, err
}

func (a *API) endOutage(ctx context.Context, r *request) (*answer, error) {
	o, err := a.outage(ctx, r)
	if err != nil {
		return nil, err
	}
	b, err := decode[endBody](a, r)
	if err == nil {
		err = a.mayOversee(r.who, "R23")
	}
	if err != nil {
		return nil, err
	}
	return a.repeatable(ctx, r, "end-outage", func(ctx context.Context, e *errand) (*answer, error) {
		if !o.Active() {
			return a.answerOutage(ctx, http.StatusOK, o)
		}
		if words := strings.TrimSpace(deref(b.Words)); words != "" { // before anybody is told
			if err := a.book.SayAtEnd(ctx, o.ID, words); err != nil {
				return nil, err
			}
		}
		ending, cancel := context.WithTimeout(ctx, a.limits.Engine)
		defer cancel()
		state, err := a.engine.EndOutage(ending, e.ID,
			contract.OutageInput{ID: o.ID, By: o.DeclaredBy, At: o.DeclaredAt}, contract.OutageEnd{By: r.who.ID, At: e.CreatedAt})
		if err != nil {
			return nil, err
		}
		// It is in the history; the workflow notes it too, should this fail.
		end := contract.OutageEnd{By: r.who.ID, At: e.CreatedAt}
		if state.Ended != nil {
			end = *state.Ended
		}
		if err := a.book.EndOutage(ctx, o.ID, end.By, end.At); err != nil {
			return nil, err
		}
		a.outagesChanged()
		ended, err := a.book.Outage(ctx, o.ID)
		if err != nil {
			return nil, err
		}
		return a.answerOutage(ctx, http.StatusOK, ended)
	})
}

func (a *API) listOutages(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	active := q.flag("active")
	limit, cursor := q.integer("limit", 1, 200, 50), q.one("cursor")
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	var page []book.Outage
	var err error
	next := ""
	if active != nil && *active {
		if page, err = a.book.ActiveOutages(ctx); err != nil {
			return nil, err
		}
		slices.Reverse(page)
	} else {
		if cursor != "" {
			if _, err := uuid.Parse(cursor); err != nil {
				return nil, book.ErrBadCursor
			}
			if _, err := a.book.Outage(ctx, cursor); errors.Is(err, book.ErrNotFound) {
				return nil, book.ErrBadCursor
			}
		}
		if page, err = a.book.Outages(ctx, limit+1, cursor); err != nil {
			return nil, err
		}
		if len(page) > limit {
			page = page[:limit]
			next = page[limit-1].ID
		}
		if active != nil {
			page = slices.DeleteFunc(page, func(o book.Outage) bool { return o.Active() })
		}
	}
	linked, err := a.book.LinkedCounts(ctx)
	if err != nil {
		return nil, err
	}
	given := Outages{Items: make([]Outage, 0, len(page)), NextCursor: null(next)}
	for _, o := range page {
		given.Items = append(given.Items, outageOf(o, linked[o.ID]))
	}
	return ok(given)
}

func (a *API) answerOutage(ctx context.Context, status int, o book.Outage) (*answer, error) {
	linked, err := a.book.LinkedCounts(ctx)
	if err != nil {
		return nil, err
	}
	body, err := encode(outageOf(o, linked[o.ID]))
	given := &answer{status: status, body: body}
	if status == http.StatusCreated {
		given.location = outagePath(o.ID)
	}
	return given, err
}

func outageOf(o book.Outage, linked int64) Outage {
	return Outage{
		ID: o.ID, Queue: null(o.Queue), LOB: null(o.LOB), Source: null(o.Source), Words: null(o.Words), EndWords: null(o.EndWords),
		Active: o.Active(), DeclaredBy: o.DeclaredBy, DeclaredAt: o.DeclaredAt, EndedBy: null(o.EndedBy), EndedAt: o.EndedAt,
		Linked: linked, Links: OutageLinks{outagePath(o.ID)},
	}
}

// activeAge is how old what is known of outages may be: what was promised
// before another process's outage was heard of is linked by its workflow.
const activeAge = 2 * time.Second

// activeOutages are those that go on, kept in memory: promising costs nothing
// more for them.
type activeOutages struct {
	read func(context.Context) ([]book.Outage, error)
	now  func() time.Time

	mu     sync.Mutex
	all    []book.Outage
	readAt time.Time
}

func (o *activeOutages) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.readAt = time.Time{}
}

// affecting is the outage that affects a callback that is about to be promised;
// nil: none. While they cannot be read, what is known counts.
func (o *activeOutages) affecting(ctx context.Context, in book.Intake, p *callback.Policy) *callback.OutageNews {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := o.now(); o.readAt.IsZero() || now.Sub(o.readAt) >= activeAge || now.Before(o.readAt) {
		reading, cancel := context.WithTimeout(ctx, directoryPatience)
		all, err := o.read(reading)
		cancel()
		if err == nil {
			o.all = all
		}
		o.readAt = now
	}
	system := ""
	if in.Source != nil {
		system = in.Source.System
	}
	for _, x := range o.all {
		if (x.Queue == "" || x.Queue == p.Ladder[0].Queue) && (x.LOB == "" || x.LOB == in.LOB) && (x.Source == "" || x.Source == system) {
			return &callback.OutageNews{Outage: x.ID, By: x.DeclaredBy}
		}
	}
	return nil
}
