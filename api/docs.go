package api

import (
	"context"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"sync"
)

// page renders /openapi.json. It brings everything along: nothing is fetched
// from elsewhere.
//
//go:embed docs/index.html
var page []byte

const (
	mediaOpenAPI = "application/openapi+json"
	mediaHTML    = "text/html; charset=utf-8"
)

func (a *API) docsOperations() []*operation {
	published := sync.OnceValues(func() ([]byte, error) { return json.Marshal(a.huma.OpenAPI()) })
	policy := contentPolicy(page)
	return []*operation{
		{
			method: http.MethodGet, path: "/openapi.json", id: "openapi", tag: "operation", open: true,
			summary: "This description, as OpenAPI 3.1",
			answers: []reply{{http.StatusOK, "the description", map[string]any{}, mediaOpenAPI}},
			serve: func(context.Context, *request) (*answer, error) {
				body, err := published()
				return &answer{status: http.StatusOK, media: mediaOpenAPI, body: body}, err
			},
		},
		{
			method: http.MethodGet, path: "/docs", id: "docs", tag: "operation", open: true,
			summary: "This description, for people",
			answers: []reply{{http.StatusOK, "a page", "", "text/html"}},
			serve: func(_ context.Context, r *request) (*answer, error) {
				r.write.Header().Set("Content-Security-Policy", policy)
				return &answer{status: http.StatusOK, media: mediaHTML, body: page}, nil
			},
		},
	}
}

var inline = regexp.MustCompile(`(?s)<(script|style)>(.*?)</(?:script|style)>`)

// contentPolicy allows a page what is in it, and to read from where it came.
func contentPolicy(page []byte) string {
	sources := map[string]string{}
	for _, m := range inline.FindAllSubmatch(page, -1) {
		sum := sha256.Sum256(m[2])
		sources[string(m[1])] += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src" +
		sources["script"] + "; style-src" + sources["style"]
}
