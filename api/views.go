package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
)

// ListViews are lists that the caller wants to see again.
type (
	ListViews struct {
		Items []ListView `json:"items"`
	}
	ListView struct {
		Name  string `json:"name"`
		Query string `json:"query" doc:"filters and sort as the query of GET /v1/callbacks" example:"status=queued&sort=due_at"`
	}
)

type listViewBody struct {
	Name  string `json:"name" pattern:"\\S" patternDescription:"some text" maxLength:"60"`
	Query string `json:"query" maxLength:"2000" doc:"filters and sort as the query of GET /v1/callbacks; without q, customer and source, which are about one customer"`
}

// mostListViews is how many one person may keep.
const mostListViews = 50

// keptFilters are what a view is made of. What is about one customer is left
// out: it would outlive the customer's erasure.
var keptFilters = []string{"status", "tier", "queue", "policy", "owner", "assignee", "requested_by", "tag", "callback_required", "overdue", "sort"}

func (a *API) listViewOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/me/views", id: "list-views", tag: "people", access: accessOwn, summary: "Lists that the caller wants to see again",
			answers: []reply{{http.StatusOK, "the views, by name", ListViews{}, ""}},
			serve:   a.listViews,
		},
		{
			method: http.MethodPut, path: "/v1/me/views", id: "save-list-view", tag: "people", access: accessOwn, summary: "Keep a list under a name",
			doc:     "In place of the one of that name.",
			body:    listViewBody{},
			answers: []reply{{http.StatusOK, "the views, by name", ListViews{}, ""}},
			serve:   a.saveListView,
		},
		{
			method: http.MethodDelete, path: "/v1/me/views", id: "forget-list-view", tag: "people", access: accessOwn, summary: "Forget a list",
			query:   []*huma.Param{param("name", "its name")},
			answers: []reply{{http.StatusOK, "the views that are left, by name", ListViews{}, ""}},
			serve:   a.forgetListView,
		},
	}
}

func (a *API) listViews(ctx context.Context, r *request) (*answer, error) {
	if err := r.may(); err != nil {
		return nil, err
	}
	views, err := a.book.ListViews(ctx, r.who.ID)
	if err != nil {
		return nil, err
	}
	given := ListViews{Items: []ListView{}}
	for _, v := range views {
		given.Items = append(given.Items, ListView{v.Name, v.Query})
	}
	return ok(given)
}

func (a *API) saveListView(ctx context.Context, r *request) (*answer, error) {
	b, err := decode[listViewBody](a, r)
	if err != nil {
		return nil, err
	}
	kept, parseErr := url.ParseQuery(b.Query)
	for name := range kept {
		if !slices.Contains(keptFilters, name) {
			return nil, callback.Invalid("query", "expected only %s", strings.Join(keptFilters, ", "))
		}
	}
	if parseErr != nil {
		return nil, callback.Invalid("query", "expected name=value pairs, percent-encoded")
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	views, err := a.book.ListViews(ctx, r.who.ID)
	if err != nil {
		return nil, err
	}
	v := book.ListView{StaffID: r.who.ID, Name: strings.TrimSpace(b.Name), Query: kept.Encode()}
	if len(views) >= mostListViews && !slices.ContainsFunc(views, func(o book.ListView) bool { return o.Name == v.Name }) {
		return nil, callback.Invalid("name", "expected at most %d views: forget one first", mostListViews)
	}
	if err := a.book.SaveListView(ctx, v); err != nil {
		return nil, err
	}
	return a.listViews(ctx, r)
}

func (a *API) forgetListView(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	name := q.one("name")
	if name == "" && len(q.wrong) == 0 {
		q.refuse("name", "is required")
	}
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	if err := a.book.ForgetListView(ctx, r.who.ID, name); err != nil {
		return nil, err
	}
	return a.listViews(ctx, r)
}
