package api

import (
	"context"
	"net/http"
	"slices"

	"ringback/book"
	"ringback/callback"
)

// Counts is how many callbacks there are: what heads the columns of a board.
type (
	Counts struct {
		By         []string         `json:"by" enum:"status,tier,queue,policy,owner,assignee"`
		Count      int64            `json:"count"`
		Overdue    int64            `json:"overdue" doc:"of them, past their promise at the last tier"`
		FirstDueAt callback.Instant `json:"first_due_at" doc:"the earliest promise among them that is not kept yet"`
		Groups     []CountGroup     `json:"groups"`
	}
	CountGroup struct {
		Status     *string          `json:"status" doc:"null: not counted by it"`
		Tier       *string          `json:"tier"`
		Queue      *string          `json:"queue"`
		Policy     *string          `json:"policy"`
		Owner      *string          `json:"owner" doc:"empty: nobody"`
		Assignee   *string          `json:"assignee" doc:"empty: nobody"`
		Count      int64            `json:"count"`
		Overdue    int64            `json:"overdue"`
		FirstDueAt callback.Instant `json:"first_due_at"`
	}
)

// countable is what callbacks are counted by.
var countable = []book.CountBy{
	book.CountByStatus, book.CountByTier, book.CountByQueue, book.CountByPolicy, book.CountByOwner, book.CountByAssignee,
}

// mostCountedBy is by how many members at once callbacks are counted.
const mostCountedBy = 3

func (a *API) countOperations() []*operation {
	return []*operation{{
		method: http.MethodGet, path: "/v1/counts", id: "counts", tag: "callbacks", access: accessRead, summary: "Count callbacks",
		doc: "Of those that pass the filters of the list, which are counted and not read: grouped by up to three of their members.",
		query: append(filterParams(),
			manyParam("by", "grouped by", "status", "tier", "queue", "policy", "owner", "assignee")),
		answers: []reply{{http.StatusOK, "the counts", Counts{}, ""}},
		serve:   a.counts,
	}}
}

func (a *API) counts(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	filter := a.filter(q)
	names := q.many("by")
	by := make([]book.CountBy, len(names))
	for i, name := range names {
		by[i] = book.CountBy(name)
	}
	unknown := func(b book.CountBy) bool { return !slices.Contains(countable, b) }
	if len(by) > mostCountedBy || slices.ContainsFunc(by, unknown) {
		q.refuse("by", "expected up to three of status, tier, queue, policy, owner, assignee")
	}
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	counts, err := a.book.Counts(ctx, filter, by)
	if err != nil {
		return nil, err
	}
	given := Counts{By: list(names), Groups: []CountGroup{}}
	for _, c := range counts {
		given.Count += c.Count
		given.Overdue += c.Overdue
		if !c.FirstDueAt.IsZero() && (given.FirstDueAt.IsZero() || c.FirstDueAt.Before(given.FirstDueAt.Time)) {
			given.FirstDueAt = c.FirstDueAt
		}
		if len(by) == 0 {
			continue
		}
		g := CountGroup{Count: c.Count, Overdue: c.Overdue, FirstDueAt: c.FirstDueAt}
		for i, b := range by {
			value := c.Key[i]
			switch b {
			case book.CountByStatus:
				g.Status = &value
			case book.CountByTier:
				g.Tier = &value
			case book.CountByQueue:
				g.Queue = &value
			case book.CountByPolicy:
				g.Policy = &value
			case book.CountByOwner:
				g.Owner = &value
			case book.CountByAssignee:
				g.Assignee = &value
			}
		}
		given.Groups = append(given.Groups, g)
	}
	return ok(given)
}
