package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/callback"
)

// administered is a desk with an administrator and a calendar.
func administered(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t, func(o *api.Options) {
		o.Config.Calendars = map[string]*callback.Calendar{"weekdays": {TimeZone: "Asia/Kolkata", Hours: map[string][]string{"mon-fri": {"09:00-18:00"}}}}
	})
	d.sup1HasRoles(t)
	return d
}

func (d *desk) patch(as, id string, body any, header ...string) *reply {
	d.t.Helper()
	c := call{method: http.MethodPatch, path: "/v1/staff/" + id, as: as, body: body}
	if len(header) > 0 {
		c.header = map[string]string{"If-Match": header[0]}
	}
	return d.do(c)
}

func TestR13_PeopleAreAdministered(t *testing.T) {
	t.Parallel()
	d := administered(t)
	made := d.post("admin1", "/v1/staff", object{
		"id": "sup4", "name": "Supervisor Four", "tier": "supervisor", "queues": []string{"Supervisors - RM", "Elsewhere"}, "capacity": 4,
		"reports_to": "mgr1", "shift": "weekdays", "identities": object{"freshdesk": "1104", "oneview": "sup4"},
	}).want(201)
	require.Equal(t, "/v1/staff/sup4", made.header.Get("Location"))
	require.Equal(t, `"1"`, made.header.Get("ETag"))
	require.Equal(t, object{
		"id": "sup4", "name": "Supervisor Four", "tier": "supervisor", "queues": []any{"Supervisors - RM", "Elsewhere"}, "capacity": 4.0,
		"reports_to": "mgr1", "shift": "weekdays", "identities": object{"freshdesk": "1104", "oneview": "sup4"}, "roles": []any{},
		"presence": object{"staff_id": "sup4", "state": nil, "until": nil}, "active": true, "origin": "admin", "signs_in": false, "version": 1.0,
		"pinned": []any{"queues", "capacity", "reports_to", "shift", "identities", "name", "tier"},
	}, made.json())
	require.Equal(t, made.json(), d.get("sup1", "/v1/staff/sup4").want(200).json())

	// They are there at once: they claim, and are found.
	id := d.create()
	d.command("sup4", id, "claim", nil).want(200)
	require.Contains(t, d.get("sup1", "/v1/queues").text(), `"sup4"`)

	changed := d.patch("admin1", "sup4", object{"capacity": nil, "reports_to": nil, "shift": nil, "queues": []string{}, "tier": "manager"}).want(200)
	require.Equal(t, `"2"`, changed.header.Get("ETag"))
	for name, v := range map[string]any{"capacity": nil, "reports_to": nil, "shift": nil, "queues": []any{}, "tier": "manager", "version": 2.0, "name": "Supervisor Four"} {
		require.Equal(t, v, changed.at(name), name)
	}
	require.Equal(t, "manager", d.get("sup4", "/v1/me").str("tier"))
	require.EqualValues(t, 2, d.patch("admin1", "sup4", object{"tier": "manager"}).want(200).at("version"), "nothing has changed")
	require.Contains(t, d.log.String(), `"msg":"person changed","principal":"admin1","staff_id":"sup4"`)
	require.NotContains(t, d.log.String(), "Supervisor Four")
}

func TestAPersonHasAVersion(t *testing.T) {
	t.Parallel()
	d := administered(t)
	read := d.get("sup1", "/v1/staff/sup1").want(200).header.Get("ETag")
	require.Equal(t, `"1"`, read)
	d.patch("admin1", "sup1", object{"capacity": 6}, read).want(200)
	d.patch("admin1", "sup1", object{"capacity": 7}, read).refused(412, "stale_version", "")
	d.patch("admin1", "sup1", object{"capacity": 7}, `"2"`).want(200)
	d.patch("admin1", "sup1", object{"capacity": 8}, `*`).want(200)
	d.patch("admin1", "sup1", object{"capacity": 8}, `nonsense`).invalid("If-Match")
	d.patch("sup1", "sup1", object{"capacity": 9}, read).refused(412, "stale_version", "") // before who may
	d.patch("sup1", "sup1", object{"capacity": 9}).refused(403, "forbidden", "")
	d.do(call{method: "DELETE", path: "/v1/staff/sup1", as: "admin1", header: map[string]string{"If-Match": read}}).refused(412, "stale_version", "")
	require.EqualValues(t, 8, d.get("sup1", "/v1/staff/sup1").at("capacity"))
}

func TestAnAddedPersonIsAddedOnce(t *testing.T) {
	t.Parallel()
	d := administered(t)
	body := object{"id": "sup4", "name": "Four", "tier": "supervisor"}
	add := func(key string, body any) *reply {
		return d.do(call{method: "POST", path: "/v1/staff", as: "admin1", key: key, body: body})
	}
	first := add("k", body).want(201)
	require.Equal(t, first.json(), add("k", body).want(201).json())
	require.Equal(t, `"1"`, add("k", body).header.Get("ETag"))
	add("k", object{"id": "sup5", "name": "Five", "tier": "supervisor"}).refused(422, "idempotency_key_reused", "")
	require.Equal(t, "sup4", add("", body).refused(409, "duplicate", "").str("existing"))
	for _, r := range d.together(6, call{method: "POST", path: "/v1/staff", as: "admin1", key: "k6", body: object{"id": "sup6", "name": "Six", "tier": "supervisor"}}) {
		r.want(201)
	}
}

func TestR05_NobodyLeavesWithOpenCallbacks(t *testing.T) {
	t.Parallel()
	d := administered(t)
	leave := func(id string) *reply { return d.do(call{method: "DELETE", path: "/v1/staff/" + id, as: "admin1"}) }
	id := d.create()
	d.command("sup1", id, "claim", nil).want(200)
	require.Contains(t, leave("sup1").invalid("active").text(), "1 open callbacks: reassign those first")
	d.patch("admin1", "sup1", object{"active": false}).invalid("active")
	d.command("mgr1", id, "reassign", object{"to": "sup2", "reason": "leaves"}).want(200)
	gone := leave("sup1").want(200)
	require.Equal(t, false, gone.at("active"))
	leave("sup1").want(200) // twice is once
	require.EqualValues(t, gone.at("version"), d.get("mgr1", "/v1/staff/sup1").at("version"))

	d.get("sup1", "/v1/me").refused(401, "unauthenticated", "")
	for _, p := range d.get("mgr1", "/v1/staff").items() {
		require.NotEqual(t, "sup1", p["id"])
	}
	former := d.get("mgr1", "/v1/staff?active=false").want(200).items()
	require.Len(t, former, 1)
	require.Equal(t, "sup1", former[0]["id"])
	d.get("mgr1", "/v1/staff?active=maybe").invalid("active")
	other := d.create()
	d.command("mgr1", other, "reassign", object{"to": "sup1", "reason": "x"}).invalid("to")

	d.patch("admin1", "sup1", object{"active": true}).want(200)
	d.get("sup1", "/v1/me").want(200)
}

func TestR19_ASupervisorWhoHasLeftGetsNothing(t *testing.T) {
	t.Parallel()
	d := administered(t)
	d.do(call{method: "DELETE", path: "/v1/staff/sup1", as: "admin1"}).want(200)
	id := d.create(func(b object) { b["policy"] = "customer-service-escalation" })
	require.Nil(t, d.get("sup2", "/v1/callbacks/"+id).at("assignee"), "else any available")
}

func TestR20_WhomAPolicyNamesCannotLeave(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *api.Options) {
		o.Config.Policies["executive-escalation"] = &callback.Policy{
			Name: "executive-escalation", Title: "x", Ladder: []callback.Step{{Tier: "manager", Rank: 3, Queue: "Managers - RM", TAT: callback.Duration(time.Hour), Assign: callback.AssignDirect, AssignTo: "mgr2"}},
			Reasons: []callback.Reason{{Code: "done", Title: "Done"}},
		}
	})
	d.sup1HasRoles(t)
	require.Contains(t, d.do(call{method: "DELETE", path: "/v1/staff/mgr2", as: "admin1"}).invalid("active").text(), "executive-escalation")
}

func TestAnAdministratorCannotLockThemselvesOut(t *testing.T) {
	t.Parallel()
	d := administered(t)
	d.do(call{method: "DELETE", path: "/v1/staff/admin1", as: "admin1"}).invalid("active")
	d.patch("admin1", "admin1", object{"roles": []string{}}).invalid("roles")
	d.patch("admin1", "admin1", object{"name": "Another Name"}).want(200)
	d.patch("admin1", "mgr1", object{"roles": []string{"admin"}}).want(200)
	d.patch("mgr1", "admin1", object{"roles": []string{}}).want(200)
	d.patch("admin1", "mgr1", object{"roles": []string{}}).refused(403, "forbidden", "")
}

func TestWhatAPersonMayBe(t *testing.T) {
	t.Parallel()
	d := administered(t)
	for path, body := range map[string]object{
		"tier":                 {"tier": "clerk"},
		"queues[1]":            {"queues": []string{"Supervisors - RM", "Supervisors - RM"}},
		"queues[0]":            {"queues": []string{"supervisors-rm"}},
		"reports_to":           {"reports_to": "nobody"},
		"shift":                {"shift": "nights"},
		"identities":           {"identities": object{"a b": "x"}},
		"identities.freshdesk": {"identities": object{"freshdesk": " 1"}},
		"roles":                {"roles": []string{"auditor", "admin"}},
		"roles[0]":             {"roles": []string{"root"}},
		"capacity":             {"capacity": 0},
		"name":                 {"name": " x"},
		"unpin[0]":             {"unpin": []string{"id"}},
		"signs_in":             {"signs_in": true},
		"id":                   {"id": "other"},
	} {
		d.patch("admin1", "sup1", body).invalid(path)
	}
	require.Contains(t, d.patch("admin1", "sup1", object{"queues": []string{"supervisors-rm"}}).text(), `did you mean \"Supervisors - RM\"?`)
	d.patch("admin1", "mgr1", object{"reports_to": "sup1"}).invalid("reports_to") // sup1 reports to mgr1
	d.patch("admin1", "mgr1", object{"reports_to": "mgr1"}).invalid("reports_to")
	d.patch("admin1", "nobody", object{"capacity": 1}).refused(404, "not_found", "")
	d.patch("sup1", "nobody", object{"capacity": 1}).refused(404, "not_found", "")
	d.post("admin1", "/v1/staff", object{"id": "clock", "name": "Clock", "tier": "supervisor"}).invalid("id")
	d.post("admin1", "/v1/staff", object{"id": "system:x", "name": "X", "tier": "supervisor"}).invalid("id")
	d.post("admin1", "/v1/staff", object{"id": "x y", "name": "X", "tier": "supervisor"}).invalid("id")
	d.post("admin1", "/v1/staff", object{"id": "x"}).invalid("name", "tier")
	key := d.key("a", time.Hour, "intake").str("key")
	d.bearer(key, "PATCH", "/v1/staff/nobody", object{"capacity": 1}).refused(403, "forbidden", "") // no way to find out who works here
	d.bearer(key, "PATCH", "/v1/staff/sup1", object{"capacity": 1}).refused(403, "forbidden", "")
	d.bearer(key, "GET", "/v1/staff/nobody", nil).refused(403, "forbidden", "")
	d.get("sup1", "/v1/staff/nobody").refused(404, "not_found", "")
}

func TestWhatAnAdministratorSetsSurvivesTheFile(t *testing.T) {
	t.Parallel()
	d := administered(t)
	d.patch("admin1", "sup1", object{"capacity": 9, "queues": []string{"Managers - RM"}}).want(200)
	d.post("admin1", "/v1/staff", object{"id": "sup4", "name": "Four", "tier": "supervisor"}).want(201)
	d.do(call{method: "DELETE", path: "/v1/staff/mgr2", as: "admin1"}).want(200)
	people := staff()
	people[1].Name, people[1].Capacity, people[1].Queues = "Supervisor Renamed", 1, []string{"Supervisors - RM"}
	require.NoError(t, d.book.store.SyncStaff(t.Context(), people)) // a start, with another file
	d.clock.move(6 * time.Second)
	p := d.get("mgr1", "/v1/staff/sup1").want(200)
	require.EqualValues(t, 9, p.at("capacity"))
	require.Equal(t, []any{"Managers - RM"}, p.at("queues"))
	require.Equal(t, "Supervisor Renamed", p.str("name"))
	require.Equal(t, true, d.get("mgr1", "/v1/staff/sup4").at("active"))
	require.Equal(t, false, d.get("mgr1", "/v1/staff/mgr2").at("active"))
	require.Equal(t, false, d.get("mgr1", "/v1/staff/admin1").at("active"), "the file no longer has them")

	people = staff()
	admin := people[0]
	admin.ID, admin.Roles = "admin1", []string{"admin"}
	require.NoError(t, d.book.store.SyncStaff(t.Context(), append(people, admin)))
	d.clock.move(6 * time.Second)
	d.patch("admin1", "sup1", object{"unpin": []string{"capacity"}}).want(200)
	require.NoError(t, d.book.store.SyncStaff(t.Context(), append(people, admin)))
	require.EqualValues(t, 5, d.get("mgr1", "/v1/staff/sup1").at("capacity"), "given back to the file")
}
