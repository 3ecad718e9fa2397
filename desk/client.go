package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"ringback/api"
	"ringback/callback"
)

// client asks the API in this process, on behalf of whoever the context names.
type client struct{ http.Handler }

// refusal is an answer of the API other than 2xx.
type refusal struct{ api.Problem }

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Detail) }

// ownCodes are those of what the desk itself refuses.
var ownCodes = map[int]callback.Code{
	http.StatusBadRequest: callback.CodeMalformed, http.StatusForbidden: callback.CodeForbidden, http.StatusNotFound: callback.CodeNotFound,
	http.StatusUnprocessableEntity: callback.CodeInvalid, http.StatusServiceUnavailable: callback.CodeUnavailable,
	http.StatusInternalServerError: callback.CodeInternal,
}

// note leaves it in the access log, with its rule.
func (r *refusal) note(ctx context.Context) {
	code, rule := callback.Code(r.Code), callback.Rule("")
	if code == "" {
		code = ownCodes[r.Status]
	}
	if r.Rule != nil {
		rule = callback.Rule(*r.Rule)
	}
	api.Refused(ctx, code, rule)
}

// fetch asks for a path; *refusal where the API refuses.
func (c client) fetch(ctx context.Context, path string, query url.Values) (*reply, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return c.do(r)
}

// do sends a request; *refusal where the API refuses.
func (c client) do(r *http.Request) (*reply, error) {
	w := &reply{header: http.Header{}, status: http.StatusOK}
	c.ServeHTTP(w, r)
	if w.status/100 == 2 {
		return w, nil
	}
	refused := &refusal{}
	if err := json.Unmarshal(w.body.Bytes(), &refused.Problem); err != nil {
		return nil, fmt.Errorf("the API answered %s with %d and no problem", r.URL.Path, w.status)
	}
	return nil, refused
}

// get asks for a path and decodes what is published for it.
func (c client) get(ctx context.Context, path string, query url.Values, into any) error {
	w, err := c.fetch(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(w.body.Bytes(), into); err != nil {
		return fmt.Errorf("decoding %s: %w", path, err)
	}
	return nil
}

// reply keeps an answer.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *reply) Header() http.Header { return r.header }

// Write implements http.ResponseWriter.
func (r *reply) Write(b []byte) (int, error) { return r.body.Write(b) }

// WriteHeader implements http.ResponseWriter.
func (r *reply) WriteHeader(status int) { r.status = status }

// callbackPath is the API's path of a callback.
func callbackPath(id string) string { return "/v1/callbacks/" + url.PathEscape(id) }

func (v *visit) get(path string, query url.Values, into any) error {
	return v.api.get(v.ctx(), path, query, into)
}

// list asks for one page of callbacks.
func (v *visit) list(query url.Values) ([]*item, string, error) {
	var page api.Page
	if err := v.get("/v1/callbacks", query, &page); err != nil {
		return nil, "", err
	}
	items := make([]*item, len(page.Items))
	for i := range page.Items {
		items[i] = v.item(&page.Items[i])
	}
	next := ""
	if page.NextCursor != nil {
		next = *page.NextCursor
	}
	return items, next, nil
}
