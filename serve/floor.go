package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/store"
)

// floor is what connectors ask of the desk: the API, in this process, with the
// same checks as for everybody.
type floor struct {
	// api is set once it is made: it is made with the connectors.
	api   *api.API
	store *store.Store
}

var _ connectors.Desk = (*floor)(nil)

// system is the principal of a connector.
func system(connector string) api.Principal {
	return api.Principal{ID: "system:" + connector, Scopes: []string{api.ScopeIntake, api.ScopeConnector}}
}

// Promise implements connectors.Desk.
func (d *floor) Promise(ctx context.Context, connector, key string, p connectors.Promise) (string, error) {
	return d.api.Promise(ctx, system(connector), key, api.Asked{
		Policy: p.Policy, Customer: p.Customer, Reason: p.Reason, Source: p.Source, LOB: p.LOB, Fields: p.Fields, Parent: p.Parent,
		Queue: p.Queue, AssignTo: p.AssignTo,
	})
}

// Do implements connectors.Desk.
func (d *floor) Do(ctx context.Context, key, staffID, callbackID, name string, body any) error {
	staff, err := d.store.Staff(ctx)
	if err != nil {
		return err
	}
	for i := range staff {
		if staff[i].ID == staffID {
			return d.post(ctx, api.Principal{ID: staffID, Staff: &staff[i]}, key, callbackID, name, body)
		}
	}
	return &callback.Fault{Code: callback.CodeForbidden, Rule: "R13", Detail: "there is nobody of the staff with that id"}
}

// CustomerCalled implements connectors.Desk.
func (d *floor) CustomerCalled(ctx context.Context, connector, key, callbackID, note string) error {
	body := map[string]any{}
	if note != "" {
		body["note"] = note
	}
	return d.post(ctx, system(connector), key, callbackID, "customer-called", body)
}

// TagMissing implements connectors.Desk.
func (d *floor) TagMissing(ctx context.Context, connector, callbackID string) error {
	return d.api.TagMissing(ctx, system(connector), callbackID)
}

// post gives a command over the API's own handler.
func (d *floor) post(ctx context.Context, who api.Principal, key, callbackID, name string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		raw = []byte("{}")
	}
	r, err := http.NewRequestWithContext(api.As(ctx, who), http.MethodPost, "/v1/callbacks/"+callbackID+"/"+name, bytes.NewReader(raw))
	if err != nil {
		return &callback.Fault{Code: callback.CodeNotFound, Detail: "there is nothing at this address"}
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", api.KeyFor(key))
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	d.api.Handler().ServeHTTP(w, r)
	if w.status < http.StatusMultipleChoices {
		return nil
	}
	return w.refusal()
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// refusal is the fault that an answer says; another error where it is worth
// trying again.
func (r *recorder) refusal() error {
	var p api.Problem
	if err := json.Unmarshal(r.body.Bytes(), &p); err != nil || p.Code == "" {
		return fmt.Errorf("the desk answered with the status %d", r.status)
	}
	f := p.Fault()
	if r.status >= http.StatusInternalServerError || r.status == http.StatusTooManyRequests {
		return errors.New(f.Error())
	}
	return f
}

// pageSize is how many callbacks are read at once.
const pageSize = 200

// Callbacks implements connectors.Desk.
func (d *floor) Callbacks(ctx context.Context, system, ref string) ([]book.View, error) {
	if system == "" || ref == "" || strings.Contains(system, ":") {
		return nil, nil
	}
	var all []book.View
	err := d.each(ctx, book.Filter{Source: system + ":" + ref, Erased: true}, func(v book.View) error {
		all = append(all, v)
		return nil
	})
	return all, err
}

// Open implements connectors.Desk.
func (d *floor) Open(ctx context.Context, system string, f func(book.View) error) error {
	if system == "" || strings.Contains(system, ":") {
		return nil
	}
	var open []callback.Status
	for _, s := range callback.Statuses {
		if !s.Closed() {
			open = append(open, s)
		}
	}
	return d.each(ctx, book.Filter{Source: system, Status: open}, f)
}

func (d *floor) each(ctx context.Context, filter book.Filter, f func(book.View) error) error {
	for cursor := ""; ; {
		page, err := d.store.List(ctx, filter, book.SortRequestedAt, pageSize, cursor)
		if err != nil {
			return err
		}
		for _, v := range page.Items {
			if err := f(v); err != nil {
				return err
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return nil
		}
	}
}

// Staff implements connectors.Desk.
func (d *floor) Staff(ctx context.Context) ([]book.Staff, error) { return d.store.Staff(ctx) }

// nobody lets nobody in: the API of a worker answers this process alone.
type nobody struct{}

// Authenticate implements api.Authenticator.
func (nobody) Authenticate(context.Context, string) (api.Principal, error) {
	return api.Principal{}, api.ErrUnauthenticated
}
