package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// contractRoutes are those of the contract, less what later issues bring, and with the administration of people and keys.
var contractRoutes = []string{
	"POST /v1/callbacks", "GET /v1/callbacks", "GET /v1/callbacks/{id}",
	"POST /v1/callbacks/{id}/claim", "POST /v1/callbacks/{id}/start", "POST /v1/callbacks/{id}/attempts", "POST /v1/callbacks/{id}/notes",
	"POST /v1/callbacks/{id}/escalate", "POST /v1/callbacks/{id}/customer-called", "POST /v1/callbacks/{id}/reassign",
	"POST /v1/callbacks/{id}/release", "POST /v1/callbacks/{id}/hold", "POST /v1/callbacks/{id}/resume",
	"POST /v1/callbacks/{id}/reschedule", "POST /v1/callbacks/{id}/complete", "POST /v1/callbacks/{id}/cancel",
	"GET /v1/callbacks/{id}/timeline", "GET /v1/callbacks/{id}/notes", "GET /v1/callbacks/{id}/history", "POST /v1/callbacks/{id}/replay",
	"GET /v1/availability", "POST /v1/transfers", "PUT /v1/me/presence",
	"GET /v1/policies", "GET /v1/queues", "GET /v1/staff", "GET /v1/me", "GET /v1/stats", "GET /v1/stream",
	"POST /v1/staff", "GET /v1/staff/{id}", "PATCH /v1/staff/{id}", "DELETE /v1/staff/{id}",
	"POST /v1/keys", "GET /v1/keys", "DELETE /v1/keys/{id}",
	"POST /v1/outages", "GET /v1/outages", "GET /v1/outages/{id}", "POST /v1/outages/{id}/end",
	"POST /v1/callbacks/{id}/waive", "GET /v1/owed", "GET /v1/deliveries", "POST /v1/deliveries/{id}/retry", "GET /v1/connectors",
	"POST /v1/inbound/freshdesk", "POST /v1/inbound/zohodesk", "GET /v1/inbound/zohodesk", "POST /v1/inbound/exceptions", "POST /v1/inbound/email",
	"GET /v1/inbound", "GET /v1/inbound/{id}", "POST /v1/inbound/{id}/replay",
	"GET /openapi.json", "GET /docs", "GET /healthz", "GET /readyz", "GET /metrics",
}

// deskRoutes are what the web desk needs beside it, and R26.
var deskRoutes = []string{
	"GET /v1/counts", "GET /v1/callbacks/{id}/deadline", "GET /v1/me/views", "PUT /v1/me/views", "DELETE /v1/me/views",
	"GET /v1/reports", "GET /v1/promises",
	"GET /v1/policies/draft", "PUT /v1/policies/draft",
	"POST /v1/callbacks/{id}/erase",
}

func TestTheDescriptionIsTheContract(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.NoError(t, d.spec.Validate(t.Context()))
	require.Equal(t, "3.1.0", d.spec.OpenAPI)
	var published []string
	for path, item := range d.spec.Paths.Map() {
		for method := range item.Operations() {
			published = append(published, method+" "+path)
		}
	}
	routes := append(slices.Clone(contractRoutes), deskRoutes...)
	require.ElementsMatch(t, routes, published)
	for _, route := range routes { // and each is really there
		method, path, _ := strings.Cut(route, " ")
		r := d.do(call{method: method, path: strings.ReplaceAll(path, "{id}", unknownID), as: "nobody"})
		open := strings.Contains("/openapi.json /docs /healthz /readyz /metrics /v1/inbound/freshdesk /v1/inbound/zohodesk /v1/inbound/exceptions /v1/inbound/email", path) &&
			path != "/v1/inbound"
		require.Equal(t, !open, r.status == http.StatusUnauthorized, route)
		require.Equal(t, !open, d.spec.Paths.Find(path).GetOperation(method).Security != nil, route)
	}
}

// contractMembers are those of the callback in the contract.
var contractMembers = strings.Split("id, policy, status, tier, tier_index, queue, owner, assignee, lob, customer, reason, source, fields, tags, "+
	"callback_required, requested_at, requested_by, scheduled_for, due_at, warned_at, contacted_at, next_attempt_at, breached_at, overdue, held, "+
	"attempts, escalations, parent, resolution_reason, completed_at, completed_by, version, updated_at, outage, links", ", ")

func TestTheCallbackHasEveryMember(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	shown := d.get("sup1", "/v1/callbacks/"+d.create()).json()
	for _, name := range contractMembers {
		require.Contains(t, shown, name)
	}
	besides := []string{"transfer_attempt", "customer_called_at", "allowed", "warnings", "owed"}
	require.Len(t, shown, len(contractMembers)+len(besides))
	for name := range shown {
		require.True(t, slices.Contains(contractMembers, name) || slices.Contains(besides, name), name)
	}
	require.Equal(t, object{"tier": "supervisor", "outcome": "none_free"}, shown["transfer_attempt"], "R01")
	for _, name := range []string{"requested_at", "due_at", "updated_at"} {
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, shown[name])
	}
}

func TestTheDescriptionListsEveryCode(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var codes []any
	for code := range everyCode {
		codes = append(codes, code)
	}
	require.ElementsMatch(t, codes, d.spec.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum)
}

func TestDocsBringEverythingAlong(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	r := d.get("", "/docs").want(200)
	require.Equal(t, "text/html; charset=utf-8", r.header.Get("Content-Type"))
	require.NotRegexp(t, `(?i)(src|href)\s*=\s*["']?(https?:)?//|@import|url\(`, r.text())
	policy := r.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Regexp(t, `script-src 'sha256-[^']+'; style-src 'sha256-[^']+'$`, policy)
	require.Equal(t, "application/openapi+json", d.get("", "/openapi.json").header.Get("Content-Type"))
	require.Equal(t, fmt.Sprint(object{"status": "ok"}), fmt.Sprint(d.get("", "/healthz").json()))
}
