package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
)

// Stats counts promises, one per tier: attainment = kept / (kept + missed).
type (
	Stats struct {
		From           callback.Instant `json:"from" doc:"promises made at this instant or later"`
		To             callback.Instant `json:"to" doc:"and before this one"`
		By             *string          `json:"by" enum:"queue,tier,policy,day,hour"`
		Open           int64            `json:"open" doc:"callbacks that are open now"`
		Overdue        int64            `json:"overdue" doc:"of them, past their promise at the last tier"`
		Made           int64            `json:"made"`
		Kept           int64            `json:"kept"`
		Missed         int64            `json:"missed"`
		MissedByPeople int64            `json:"missed_by_people"`
		MissedBySystem int64            `json:"missed_by_system"`
		Attainment     *float64         `json:"attainment" doc:"null while nothing has been decided"`
		Groups         []StatsGroup     `json:"groups"`
		Owed           int64            `json:"owed" minimum:"0" doc:"deliveries that are owed to other systems now"`
		OwedTo         []OwedCount      `json:"owed_to" doc:"the same by system and code"`
	}
	// OwedCount is how much is owed to one system for one reason.
	OwedCount struct {
		Destination string           `json:"destination" example:"freshdesk"`
		Code        string           `json:"code" example:"unavailable"`
		Count       int64            `json:"count" minimum:"1"`
		Oldest      callback.Instant `json:"oldest"`
	}
	StatsGroup struct {
		Key            string   `json:"key" doc:"the queue, tier or policy; the day, or the hour, in UTC"`
		Made           int64    `json:"made"`
		Kept           int64    `json:"kept"`
		Missed         int64    `json:"missed"`
		MissedByPeople int64    `json:"missed_by_people"`
		MissedBySystem int64    `json:"missed_by_system"`
		Attainment     *float64 `json:"attainment"`
	}
)

// TransformSchema implements huma.SchemaTransformer.
func (Stats) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return enumOrNull(s, "by")
}

const (
	// statsDays is what a report covers unless it is told; statsMost is the longest.
	statsDays = 30 * 24 * time.Hour
	statsMost = 366 * 24 * time.Hour
)

func (a *API) statsOperations() []*operation {
	return []*operation{{
		method: http.MethodGet, path: "/v1/stats", id: "stats", tag: "desk", access: accessRead, summary: "How promises are kept",
		doc: "Of the promises made from `from` up to `to`: the last 30 days unless told, 366 at most. `open`, `overdue` and `owed` are now.",
		query: []*huma.Param{
			timeParam("from", "promises made at this instant or later"), timeParam("to", "and before this one"),
			choiceParam("by", "grouped by", "queue", "tier", "policy", "day", "hour"),
		},
		answers: []reply{{http.StatusOK, "the report", Stats{}, ""}},
		serve:   a.stats,
	}}
}

func (a *API) stats(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	query := book.StatsQuery{From: q.instant("from"), To: q.instant("to"), By: q.choice("by", "queue", "tier", "policy", "day", "hour")}
	if query.To.IsZero() {
		query.To = a.instant().Plus(callback.Duration(time.Millisecond)) // what has just been promised counts
	}
	if query.From.IsZero() {
		query.From = callback.At(query.To.Add(-statsDays))
	}
	switch length := query.To.Sub(query.From.Time); {
	case len(q.wrong) > 0:
	case length <= 0:
		q.refuse("from", "expected an instant before to")
	case length > statsMost:
		q.refuse("from", "expected at most 366 days before to")
	}
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	s, err := a.book.Stats(ctx, query)
	if err != nil {
		return nil, err
	}
	owed, err := a.book.OwedCounts(ctx)
	if err != nil {
		return nil, err
	}
	given := Stats{
		OwedTo: make([]OwedCount, len(owed)),
		From:   query.From, To: query.To, By: null(query.By), Open: s.Open, Overdue: s.Overdue, Made: s.Made, Kept: s.Kept,
		Missed: s.MissedByPeople + s.MissedBySystem, MissedByPeople: s.MissedByPeople, MissedBySystem: s.MissedBySystem,
		Attainment: s.Attainment, Groups: []StatsGroup{},
	}
	for i, n := range owed {
		given.Owed += n.Count
		given.OwedTo[i] = OwedCount(n)
	}
	for _, g := range s.Groups {
		given.Groups = append(given.Groups, StatsGroup{
			g.Key, g.Made, g.Kept, g.MissedByPeople + g.MissedBySystem, g.MissedByPeople, g.MissedBySystem, g.Attainment,
		})
	}
	return ok(given)
}
