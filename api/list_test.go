package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
)

func ids(items []map[string]any) []string {
	all := make([]string, len(items))
	for i, item := range items {
		all[i], _ = item["id"].(string)
	}
	return all
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	plain := d.create()
	air := d.create(func(b object) {
		b["lob"] = "flights"
		b["customer"] = object{"ref": "crm-2", "name": "Börje Ek", "phone": "+46701234567"}
		b["source"] = object{"system": "freshdesk", "ref": "77", "url": "https://acme.freshdesk.com/a/tickets/77"}
		b["reason"] = "Seat missing"
	})
	bought := d.create(func(b object) {
		b["policy"], b["fields"] = "purchasing-escalation", object{"order_number": "ORD-4711", "needed": "hinges"}
	})
	d.command("sup1", plain, "claim", nil).want(200)
	d.command("sup1", plain, "notes", object{"kind": "note", "body": "Wants compensation"}).want(201)
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"", []string{plain, air, bought}},
		{"status=claimed", []string{plain}},
		{"status=claimed,queued", []string{plain, air, bought}},
		{"status=claimed&status=completed", []string{plain}},
		{"tier=manager", nil},
		{"queue=" + url.QueryEscape("Supervisors - Air"), []string{air}},
		{"queue=Nowhere", nil},
		{"policy=supervisor-callback", []string{plain, air}},
		{"policy=purchasing-escalation,supervisor-callback&status=queued", []string{air, bought}},
		{"owner=sup1", []string{plain}},
		{"assignee=sup1,sup2", []string{plain}},
		{"requested_by=agent1", []string{plain, air, bought}},
		{"requested_by=sup1,system:crm", nil},
		{"customer=crm-2", []string{air}},
		{"source=freshdesk", []string{air}},
		{"source=freshdesk:77", []string{air}},
		{"source=freshdesk:78", nil},
		{"tag=" + url.QueryEscape("Callback Required"), []string{plain, air}},
		{"overdue=false", []string{plain, air, bought}},
		{"overdue=true", nil},
		{"due_before=2026-11-23T13:00:00.001Z", []string{plain, air, bought}},
		{"due_before=2026-11-23T14:00:00.000%2B01:00", nil},
		{"q=b%C3%B6rje", []string{air}},
		{"q=seat+miss", []string{air}},
		{"q=compens", []string{plain}},
		{"q=ORD-4711", []string{bought}},
		{"q=nothing+at+all", nil},
	} {
		require.ElementsMatch(t, c.want, ids(d.get("sup2", "/v1/callbacks?"+c.query).want(200).items()), c.query)
	}
	shown := d.get("sup1", "/v1/callbacks?customer=crm-2").items()[0]
	require.Equal(t, "Börje Ek", shown["customer"].(object)["name"])
	require.Equal(t, []any{"claim", "note"}, shown["allowed"])
	require.Equal(t, object{
		"self": "/v1/callbacks/" + air, "timeline": "/v1/callbacks/" + air + "/timeline", "ticket": "https://acme.freshdesk.com/a/tickets/77",
		"temporal": "http://127.0.0.1:8233/namespaces/ringback/workflows/callback%2F" + air,
	}, shown["links"])
}

func TestListRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for query, paths := range map[string][]string{
		"limit=0": {"limit"}, "limit=201": {"limit"}, "limit=-1": {"limit"}, "limit=ten": {"limit"}, "limit=": {"limit"}, "limit=%2B5": {"limit"},
		"limit=1&limit=2": {"limit"}, "limit=99999999999999999999": {"limit"},
		"sort=name": {"sort"}, "sort=requested_at": {"sort"}, "status=open": {"status"}, "status=queued,": {"status"}, "status=": {"status"},
		"overdue=yes": {"overdue"}, "overdue=1": {"overdue"},
		"due_before=today": {"due_before"}, "due_before=2026-11-23": {"due_before"}, "due_before=0001-01-01T00:00:00Z": {"due_before"},
		"cursor=abc": {"cursor"}, "cursor=": {"cursor"}, "statuss=queued": {"statuss"}, "q=%ff": {"q"}, "q=a%00b": {"q"}, "%zz": {"query"}, "q=": {"q"},
		"assignee=": {"assignee"}, "limit=0&sort=x&foo=1": {"limit", "sort", "foo"},
	} {
		d.get("sup1", "/v1/callbacks?"+query).invalid(paths...)
	}
	d.get("sup1", "/v1/stats?by=name&from=x&to=y").invalid("by", "from", "to")
	d.get("sup1", "/v1/stats?from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z").invalid("from")
	d.get("sup1", "/v1/stats?from=2024-11-23T00:00:00Z&to=2026-11-22T00:00:00Z").invalid("from")
	d.get("sup1", "/v1/availability?tier=king&queue=Nowhere").invalid("tier", "queue")
	d.get("sup1", "/v1/stream?limit=3").invalid("limit")
	d.get("sup1", "/v1/stream?sort=due_at").invalid("sort")
	d.get("sup1", "/v1/stream?q="+strings.Repeat("a", 501)).invalid("q")
}

func TestPaging(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	all := []string{}
	for i := range 7 {
		all = append(all, d.create(func(b object) { b["customer"].(object)["ref"] = fmt.Sprint(i) }))
		d.clock.move(time.Second)
	}
	pages := func(query string, limit int) []string {
		var got []string
		next := ""
		for range 20 {
			r := d.get("sup1", fmt.Sprintf("/v1/callbacks?limit=%d%s%s", limit, query, next)).want(200)
			require.LessOrEqual(t, len(r.items()), limit)
			got = append(got, ids(r.items())...)
			if r.at("next_cursor") == nil {
				return got
			}
			next = "&cursor=" + url.QueryEscape(r.str("next_cursor"))
		}
		t.Fatal("the pages do not end")
		return nil
	}
	for _, limit := range []int{1, 3, 7, 8, 200} {
		require.Equal(t, all, pages("", limit), "limit %d", limit)
	}
	newest := slices.Clone(all)
	slices.Reverse(newest)
	require.Equal(t, newest, pages("&sort=-requested_at", 2))

	// A cursor binds sort and filters, not limit.
	cursor := "&cursor=" + url.QueryEscape(d.get("sup1", "/v1/callbacks?limit=2&status=queued").str("next_cursor"))
	d.get("sup1", "/v1/callbacks?limit=5&status=queued"+cursor).want(200)
	d.get("sup1", "/v1/callbacks?limit=2"+cursor).invalid("cursor")
	d.get("sup1", "/v1/callbacks?limit=2&status=queued&sort=-requested_at"+cursor).invalid("cursor")

	// Stable under change: what does not move is given once.
	first := d.get("sup1", "/v1/callbacks?limit=3").want(200)
	d.command("sup1", all[0], "claim", nil).want(200)
	d.create(func(b object) { b["scheduled_for"] = noon.Add(-time.Hour).Add(2 * time.Hour) })
	rest := d.get("sup1", "/v1/callbacks?limit=200&cursor="+url.QueryEscape(first.str("next_cursor"))).want(200)
	require.Equal(t, all[3:], ids(rest.items())[:4])

	// The customer called in again: first in the queue.
	d.command("agent1", all[4], "customer-called", nil).want(202)
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	require.Equal(t, all[4], d.get("sup1", "/v1/callbacks?limit=1").items()[0]["id"])
}

func TestConditionalGet(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	get := func(tag string) *reply {
		return d.do(call{method: "GET", path: "/v1/callbacks/" + id, as: "sup1", header: map[string]string{"If-None-Match": tag}})
	}
	require.Empty(t, get(`"3"`).want(http.StatusNotModified).body)
	for _, same := range []string{`W/"3"`, `"1", "3"`, `"a,b",W/"3"`, `*`, ` "3" `} {
		require.Empty(t, get(same).want(http.StatusNotModified).body, same)
	}
	for _, other := range []string{`"2"`, `"1", "2"`, `3`, `"3`, `"2" "3"`, `"3", *`} {
		get(other).want(http.StatusOK)
	}
}

// A callback whose policy is gone, or was shortened, is shown all the same: only what may be done with it is not known here.
func TestR10_ACallbackOfAPolicyThatIsGoneIsListed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	known := d.create()
	for id, name := range map[string]string{
		"01a20000-0000-7000-8000-000000000001": "gone", "01a20000-0000-7000-8000-000000000002": "supervisor-callback",
	} {
		p := *policies()["supervisor-callback"].Pin("", "")
		p.Name = name
		for range 3 {
			p.Ladder = append(p.Ladder, p.Ladder[len(p.Ladder)-1])
		}
		c, events := callback.Open(&p, callback.Request{ID: id, By: "agent1", At: callback.At(noon.Add(-24 * time.Hour))}, p.Calendar)
		events = append(events, c.Advance(&p, noon.Add(-19*time.Hour), p.Calendar)...) // to its last tier
		for range p.Ladder {
			events = append(events, c.Advance(&p, noon, p.Calendar)...)
		}
		require.Greater(t, c.TierIndex, 1)
		_, err := d.book.store.Project(t.Context(), book.Batch{CallbackID: id, Events: events})
		require.NoError(t, err)

		shown := d.get("sup1", "/v1/callbacks/"+id).want(200)
		require.Equal(t, []any{}, shown.at("allowed"))
		require.Equal(t, name, shown.str("policy"))
		d.get("sup1", "/v1/callbacks/"+id+"/deadline").want(200)
		d.get("sup1", "/v1/callbacks/"+id+"/timeline").want(200)
	}
	require.Len(t, d.get("sup1", "/v1/callbacks").want(200).items(), 3)
	require.NotEmpty(t, d.get("sup1", "/v1/callbacks/"+known).want(200).at("allowed"))
}
