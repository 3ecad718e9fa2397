package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/contract"
)

// Connectors is how the systems around the desk are.
type Connectors struct {
	Items []ConnectorHealth `json:"items"`
}

// ConnectorHealth is how the deliveries to one system go, and what came in from
// it that was not understood.
type ConnectorHealth struct {
	Name        string           `json:"name" example:"freshdesk"`
	Status      string           `json:"status" enum:"ok,failing,idle" doc:"failing: something is owed; idle: nothing was delivered yet"`
	Enabled     bool             `json:"enabled" doc:"false: it has stopped by itself; trying an owed delivery again lets it go on"`
	Configured  bool             `json:"configured" doc:"false: it is owed something and is not configured any more"`
	Inbound     *string          `json:"inbound" doc:"where the other system sends to; null: it does not"`
	LastSuccess callback.Instant `json:"last_success"`
	LastError   *ConnectorError  `json:"last_error"`
	Owed        int64            `json:"owed" minimum:"0"`
	OldestOwed  callback.Instant `json:"oldest_owed"`
	Kept        int64            `json:"kept" minimum:"0" doc:"messages that came in and were not understood yet"`
}

// ConnectorError is the last try of a delivery that failed.
type ConnectorError struct {
	At     callback.Instant `json:"at"`
	Code   string           `json:"code" example:"unauthorized"`
	Detail *string          `json:"detail"`
}

// TransformSchema implements huma.SchemaTransformer.
func (ConnectorHealth) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	nullable(s, "last_error")
	return s
}

func (a *API) connectorOperations() []*operation {
	return []*operation{{
		method: http.MethodGet, path: "/v1/connectors", id: "connectors", tag: "deliveries", access: accessRead,
		summary: "How the systems around the desk are",
		answers: []reply{{http.StatusOK, "each of them", Connectors{}, ""}},
		serve:   a.listConnectors,
	}}
}

// connector is the one of a name; nil: it is not configured.
func (a *API) connector(name string) connectors.Connector {
	for _, c := range a.connectors {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// destinations are the systems that a callback's events are brought to.
func (a *API) destinations(in book.Intake, p *callback.Policy) []contract.Destination {
	var all []contract.Destination
	for _, c := range a.connectors {
		if types := c.Types(); len(types) > 0 && c.Wants(in, p) {
			all = append(all, contract.Destination{Name: c.Name(), Types: types})
		}
	}
	return all
}

func (a *API) listConnectors(ctx context.Context, r *request) (*answer, error) {
	if err := r.may(); err != nil {
		return nil, err
	}
	counts, err := a.book.OwedCounts(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := a.book.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	given := Connectors{Items: []ConnectorHealth{}}
	known := map[string]bool{}
	add := func(name string, c connectors.Connector) error {
		if known[name] {
			return nil
		}
		known[name] = true
		h, err := a.health(ctx, name, c, counts)
		h.Kept = kept[name]
		given.Items = append(given.Items, h)
		return err
	}
	for _, c := range a.connectors {
		if err := add(c.Name(), c); err != nil {
			return nil, err
		}
	}
	for _, c := range counts {
		if err := add(c.Destination, nil); err != nil {
			return nil, err
		}
	}
	return ok(given)
}

// health looks at one destination; c is nil where it is not configured any more.
func (a *API) health(ctx context.Context, name string, c connectors.Connector, counts []book.OwedCount) (ConnectorHealth, error) {
	w := ConnectorHealth{Name: name, Status: "idle", Enabled: true, Configured: c != nil}
	lately, err := a.book.Health(ctx, name)
	if err != nil {
		return w, err
	}
	w.LastSuccess = lately.LastSuccess
	if !lately.LastSuccess.IsZero() {
		w.Status = "ok"
	}
	if !lately.LastFailure.IsZero() {
		w.LastError = &ConnectorError{lately.LastFailure, lately.LastCode, null(lately.LastDetail)}
	}
	for _, n := range counts {
		if n.Destination != name {
			continue
		}
		w.Owed += n.Count
		w.Status = "failing"
		if w.OldestOwed.IsZero() || n.Oldest.Before(w.OldestOwed.Time) {
			w.OldestOwed = n.Oldest
		}
	}
	if in, is := c.(connectors.Inbound); is && in.Path() != "" {
		w.Inbound = null(inboundPath(in.Path()))
	}
	if d, is := c.(interface {
		Disabled(ctx context.Context) (bool, error)
	}); is {
		disabled, err := d.Disabled(ctx)
		if err != nil {
			return w, err
		}
		w.Enabled = !disabled
	}
	return w, nil
}
