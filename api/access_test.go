package api_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
)

// caller is one kind of who may ask.
type caller struct {
	name string
	// header proves it; nil: nothing does.
	header map[string]string
	// has are the accesses that the table of docs/identity.md gives it.
	has string
}

// callers are all kinds, with what they may: the expectation that the walk holds the code to.
func (d *desk) callers() []caller {
	d.t.Helper()
	key := func(scopes ...string) map[string]string {
		token, k, err := api.MintKey("walker", append(scopes, "read"), "test", time.Hour)
		require.NoError(d.t, err)
		k.Scopes, k.ExpiresAt = scopes, callback.At(d.clock.now().Add(time.Hour))
		require.NoError(d.t, d.book.AddKey(d.t.Context(), k, nil))
		return map[string]string{"Authorization": "Bearer " + token}
	}
	dev := func(id string) map[string]string { return map[string]string{"Authorization": "Bearer dev:" + id} }
	return []caller{
		{"nobody", nil, "open"},
		{"an associate", dev("agent1"), "open anybody read policies create command tell presence own"},
		{"a supervisor", dev("sup1"), "open anybody read policies create command tell presence own"},
		{"a manager", dev("mgr1"), "open anybody read policies create command tell presence own"},
		{"an admin", dev("admin1"), "open anybody read policies create command tell presence own admin"},
		{"an auditor", dev("audit1"), "open anybody read policies presence own audit"},
		{"an auditor who is an admin too", dev("both1"), "open anybody read policies presence own audit"},
		{"a key to take in", key("intake"), "open anybody policies create"},
		{"a key to read", key("read"), "open anybody read policies"},
		{"a key to audit", key("audit"), "open anybody audit"},
		{"a key for all", key("intake", "read", "audit"), "open anybody read policies create audit"},
		{"a key for nothing", key(), "open anybody"},
	}
}

// sent is a body with which an operation goes as far as asking who may.
func sent(route, id string) any {
	switch method, path, _ := strings.Cut(route, " "); {
	case route == "POST /v1/callbacks":
		return asked()
	case route == "POST /v1/transfers":
		return object{"tier": "manager", "queue": "Managers - RM"}
	case route == "PUT /v1/me/presence":
		return object{"state": "away"}
	case route == "PUT /v1/policies/draft":
		return object{"text": "good"}
	case route == "PUT /v1/me/views":
		return object{"name": "mine", "query": "status=queued"}
	case route == "POST /v1/keys":
		return object{"name": "x", "scopes": []string{"read"}, "expires_at": "2026-12-01T00:00:00Z"}
	case route == "POST /v1/staff":
		return object{"id": "new-" + id, "name": "New", "tier": "supervisor"}
	case route == "PATCH /v1/staff/{id}":
		return object{"capacity": 3}
	case method != http.MethodPost:
		return nil
	default:
		return map[string]any{
			"attempts": object{"disposition": "no_answer"}, "notes": object{"kind": "note", "body": "x"}, "escalate": object{"reason": "x"},
			"reassign": object{"to": "sup2", "reason": "x"}, "release": object{"reason": "x"}, "hold": object{"until": "2026-11-23T13:00:00Z", "reason": "x"},
			"reschedule": object{"scheduled_for": "2026-11-23T15:00:00Z", "reason": "x"}, "complete": object{"resolution_reason": "resolved"},
			"cancel": object{"reason": "x"}, "waive": object{"destination": "freshdesk", "reason": "x"}, "discard": object{"reason": "x"}, "erase": object{"ground": "request"}, "outages": object{"queue": "Supervisors - RM"},
		}[path[strings.LastIndex(path, "/")+1:]]
	}
}

// operationsByAccess are the published operations under the access that each names.
func (d *desk) operationsByAccess() map[string][]string {
	by := map[string][]string{}
	for path, item := range d.spec.Paths.Map() {
		for method, op := range item.Operations() {
			access, _ := op.Extensions["x-access"].(string)
			by[access] = append(by[access], method+" "+path)
		}
	}
	for _, routes := range by {
		slices.SortFunc(routes, func(x, y string) int { // by path
			_, xp, _ := strings.Cut(x, " ")
			_, yp, _ := strings.Cut(y, " ")
			return strings.Compare(xp+x, yp+y)
		})
	}
	return by
}

// TestWhoMayUseWhat walks every operation as every kind of caller.
func TestWhoMayUseWhat(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	by := d.operationsByAccess()
	require.ElementsMatch(t, []string{"open", "anybody", "read", "policies", "create", "command", "tell", "presence", "own", "audit", "admin"}, slices.Collect(maps.Keys(by)),
		"an operation that names no access is nobody's")
	_, err := d.book.store.Declare(t.Context(), book.Outage{ID: unknownID, Queue: "Supervisors - RM", DeclaredBy: "mgr1", DeclaredAt: callback.At(d.clock.now())})
	require.NoError(t, err)
	require.NoError(t, d.book.store.Keep(t.Context(), book.Message{ID: unknownID, Connector: "freshdesk", Reason: "no such ticket"}))
	require.NoError(t, d.book.store.NoteDelivery(t.Context(), book.Delivery{
		OperationID: unknownID, Destination: "freshdesk", CallbackID: d.create(), Seq: 1, Type: callback.TypeRequested, State: book.DeliveryOwed,
		Code: "unavailable", FirstAt: callback.At(d.clock.now()), TriedAt: callback.At(d.clock.now()),
	}))
	walked := 0
	for access, routes := range by {
		for _, route := range routes {
			for n, who := range d.callers() {
				method, path, _ := strings.Cut(route, " ")
				target := "mgr2"
				switch {
				case strings.HasPrefix(path, "/v1/keys"):
					target = "aaaa"
				case strings.HasPrefix(path, "/v1/callbacks/"):
					target = d.create() // a fresh one, so that nothing else is the matter
				case strings.HasPrefix(path, "/v1/outages/"), strings.HasPrefix(path, "/v1/deliveries/"), strings.HasPrefix(path, "/v1/inbound/{id}"):
					target = unknownID // known by now, as one of each
				}
				if method+path == "DELETE/v1/me/views" {
					path += "?name=mine"
				}
				if strings.HasSuffix(path, "/stream") {
					method = http.MethodHead // it would not end
				}
				r := d.do(call{method: method, path: strings.ReplaceAll(path, "{id}", target), header: who.header, body: sent(route, fmt.Sprint(n))})
				at := fmt.Sprintf("%s by %s: %d %s", route, who.name, r.status, r.body)
				walked++
				switch {
				case slices.Contains(strings.Fields(who.has), access):
					require.NotEqual(t, http.StatusUnauthorized, r.status, at)
					if r.status == http.StatusForbidden { // the rules refuse this one callback, not the operation
						require.Equal(t, "command", access, at)
						require.NotContains(t, r.text(), "R24", at)
						require.NotContains(t, r.text(), "only staff", at)
					}
					require.Less(t, r.status, 500, at)
				case who.header == nil:
					if method == http.MethodHead {
						require.Equal(t, http.StatusUnauthorized, r.status, at)
						continue
					}
					r.refused(http.StatusUnauthorized, "unauthenticated", "")
				default:
					require.Equal(t, http.StatusForbidden, r.status, at)
					if method != http.MethodHead {
						require.Equal(t, "forbidden", r.str("code"), at)
					}
				}
			}
		}
	}
	require.Equal(t, (len(contractRoutes)+len(deskRoutes))*12, walked)
}

// sup1HasRoles adds people with roles to the desk.
func (d *desk) sup1HasRoles(t *testing.T) {
	t.Helper()
	people := staff()
	admin, both := people[0], people[0]
	admin.ID, admin.Roles = "admin1", []string{"admin"}
	both.ID, both.Roles = "both1", []string{"auditor", "admin"}
	require.NoError(t, d.book.store.SyncStaff(t.Context(), append(people, admin, both)))
	d.clock.move(6 * time.Second) // the directory is read again
}

// TestR04_R05_R07_WhoMayDoWhatOverHTTP walks every command in every state as
// everybody, and holds what is answered to what the callback's own page offers.
func TestR04_R05_R07_WhoMayDoWhatOverHTTP(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	do := func(as, id, command string, body any) {
		t.Helper()
		d.command(as, id, command, body).want(http.StatusOK)
	}
	states := map[string]func(id string){
		"queued":  func(string) {},
		"claimed": func(id string) { do("sup1", id, "claim", nil) },
		"in progress": func(id string) {
			do("sup1", id, "claim", nil)
			do("sup1", id, "start", nil)
		},
		"held": func(id string) {
			do("sup1", id, "claim", nil)
			do("sup1", id, "hold", object{"until": "2026-11-23T14:00:00Z", "reason": "x"})
		},
		"owned by one, claimed by another": func(id string) {
			do("sup1", id, "claim", nil)
			do("mgr1", id, "reassign", object{"to": "sup2", "reason": "x"})
		},
		"at the manager's": func(id string) {
			do("sup1", id, "claim", nil)
			do("sup1", id, "escalate", object{"reason": "x"})
		},
		"in progress at the manager's": func(id string) {
			do("sup1", id, "claim", nil)
			do("sup1", id, "escalate", object{"reason": "x"})
			do("mgr1", id, "claim", nil)
			do("mgr1", id, "start", nil)
		},
		"cancelled": func(id string) { do("mgr1", id, "cancel", object{"reason": "x"}) },
	}
	paths := map[string]string{"attempt": "attempts", "note": "notes"}
	everybody := []string{"agent1", "sup1", "sup2", "mgr1", "mgr2", "audit1", "admin1", "both1"}
	for state, bring := range states {
		for _, command := range callback.CommandNames {
			path := string(command)
			if p := paths[path]; p != "" {
				path = p
			}
			body := sent("POST /v1/callbacks/{id}/"+path, "")
			if command == callback.CommandReassign && strings.Contains(state, "manager's") {
				body = object{"to": "mgr2", "reason": "x"}
			}
			id := ""
			for _, who := range everybody {
				if id == "" {
					id = d.create()
					bring(id)
				}
				offered := slices.Contains(d.get(who, "/v1/callbacks/"+id).want(http.StatusOK).at("allowed").([]any), any(path2command(path)))
				r := d.command(who, id, path, body)
				at := fmt.Sprintf("%s: %s by %s: %d %s", state, command, who, r.status, r.body)
				switch {
				case r.status < 300:
					require.True(t, offered, at)
				case offered: // what is refused for its content alone is offered
					require.Contains(t, []string{"contact_required", "already_claimed"}, r.str("code"), at)
				}
				if r.status < 300 {
					id = "" // the next one finds it as it was
				}
				if strings.HasPrefix(who, "audit") || strings.HasPrefix(who, "both") {
					require.False(t, offered, at)
					require.GreaterOrEqual(t, r.status, 400, at)
				}
			}
		}
	}
}

func path2command(path string) string {
	switch path {
	case "attempts":
		return "attempt"
	case "notes":
		return "note"
	}
	return path
}

var update = flag.Bool("update", false, "write the tables of docs/identity.md from the code")

// TestTheTableOfAccessesIsTheCode holds docs/identity.md to what is published
// and to what the walk expects.
func TestTheTableOfAccessesIsTheCode(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	var table strings.Builder
	table.WriteString("| access | operations | staff | admin | auditor | key `intake` | key `read` | key `audit` | nobody |\n|---|---|---|---|---|---|---|---|---|\n")
	callers := map[string]string{}
	for _, c := range d.callers() {
		callers[c.name] = c.has
	}
	by := d.operationsByAccess()
	for _, access := range []string{"open", "anybody", "read", "policies", "create", "command", "tell", "presence", "own", "audit", "admin"} {
		fmt.Fprintf(&table, "| %s | `%s` |", access, strings.Join(by[access], "`, `"))
		for _, name := range []string{"a supervisor", "an admin", "an auditor", "a key to take in", "a key to read", "a key to audit", "nobody"} {
			mark := " – |"
			if slices.Contains(strings.Fields(callers[name]), access) {
				mark = " yes |"
			}
			table.WriteString(mark)
		}
		table.WriteString("\n")
	}
	holdTable(t, "accesses", table.String())
}

// holdTable compares a table of docs/identity.md with what the code says it is.
func holdTable(t *testing.T, name, want string) {
	t.Helper()
	const file = "../docs/identity.md"
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), "<!-- "+name+" -->\n")
	require.True(t, found, name)
	have, after, found := strings.Cut(rest, "<!-- end -->")
	require.True(t, found, name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(before+"<!-- "+name+" -->\n"+want+"<!-- end -->"+after), 0o600))
		return
	}
	require.Equal(t, want, have, "run go test ./api -run Table -update")
}
