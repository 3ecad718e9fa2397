package api_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// report is a desk on which promises were kept and missed, over a day.
func report(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	d.completed() // reached at once
	reached := func(after time.Duration, air bool) {
		id := d.create(func(b object) {
			if air {
				b["lob"] = "flights"
			}
		})
		d.command("sup1", id, "claim", nil).want(200)
		d.command("sup1", id, "start", nil).want(200)
		d.command("sup1", id, "attempts", object{"disposition": "busy"}).want(200)
		d.command("sup1", id, "attempts", object{"disposition": "busy"}).want(200)
		d.clock.move(after)
		require.NoError(t, d.engine.advance(t.Context(), d.book.store))
		d.command("sup1", id, "attempts", object{"disposition": "reached"}).want(200)
	}
	reached(7*time.Minute, true)
	reached(31*time.Minute, false)
	reached(61*time.Minute, false) // too late for the supervisors: the managers' promise is kept by whoever was on the call (R11)
	missed := d.create()
	require.NotEmpty(t, missed)
	for range 5 {
		d.clock.move(31 * time.Minute)
		require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	}
	d.create()
	return d
}

// rows are all promises behind a figure.
func (d *desk) rows(query url.Values) int {
	d.t.Helper()
	n, cursor := 0, ""
	for {
		q := url.Values{"limit": {"2"}}
		for name, values := range query {
			q[name] = values
		}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		r := d.get("mgr1", "/v1/promises?"+q.Encode()).want(200)
		n += len(r.items())
		next, more := r.at("next_cursor").(string)
		if !more {
			return n
		}
		cursor = next
	}
}

func count(v any) int {
	f, _ := v.(float64)
	return int(f)
}

// Each figure of a report is the number of rows that are listed for it, in any zone.
func TestReportsDrillDown(t *testing.T) {
	t.Parallel()
	d := report(t)
	for _, zone := range []string{"UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"} {
		r := d.get("audit1", "/v1/reports?zone="+url.QueryEscape(zone)).want(200).json()
		figures := 0
		tally := func(v any, by url.Values) {
			t.Helper()
			m, _ := v.(map[string]any)
			for name, narrow := range map[string]url.Values{
				"made": {}, "open": {"result": {"open"}}, "kept": {"result": {"kept"}}, "missed": {"result": {"missed"}}, "dropped": {"result": {"dropped"}},
				"missed_by_people": {"result": {"missed"}, "late_by": {"people"}}, "missed_by_system": {"result": {"missed"}, "late_by": {"system"}},
			} {
				q := url.Values{"zone": {zone}}
				for n, values := range by {
					q[n] = values
				}
				for n, values := range narrow {
					q[n] = values
				}
				require.Equal(t, count(m[name]), d.rows(q), "%s of %v", name, by)
				figures++
			}
		}
		tally(r["totals"], url.Values{})
		for member, name := range map[string]string{"by_queue": "queue", "by_tier": "tier", "by_policy": "policy", "by_day": "day"} {
			sum := 0
			for _, g := range r[member].([]any) {
				m, _ := g.(map[string]any)
				sum += count(m["made"])
				if count(m["made"]) > 0 || name != "day" {
					key, _ := m["key"].(string)
					tally(g, url.Values{name: {key}})
				}
			}
			require.Equal(t, count(r["totals"].(map[string]any)["made"]), sum, member)
		}
		sum := 0
		for _, g := range r["hours"].([]any) {
			m, _ := g.(map[string]any)
			sum += count(m["made"])
			tally(g, url.Values{"weekday": {fmt.Sprint(m["weekday"])}, "hour": {fmt.Sprint(m["hour"])}})
		}
		require.Equal(t, count(r["totals"].(map[string]any)["made"]), sum)
		require.Greater(t, figures, 60)

		w, _ := r["time_to_contact"].(map[string]any)
		require.Equal(t, count(w["unreached"]), d.rows(url.Values{"unreached": {"true"}}))
		reached := 0
		for _, s := range w["spans"].([]any) {
			m, _ := s.(map[string]any)
			q := url.Values{"reached_from": {fmt.Sprint(m["from_minutes"])}}
			if m["up_to_minutes"] != nil {
				q.Set("reached_up_to", fmt.Sprint(m["up_to_minutes"]))
			}
			require.Equal(t, count(m["count"]), d.rows(q))
			reached += count(m["count"])
		}
		require.Equal(t, count(w["reached"]), reached)
		require.Equal(t, 4, reached)
		require.Equal(t, 7, count(w["median_minutes"]))
		require.Equal(t, 61, count(w["p90_minutes"]))

		attempts, _ := r["attempts"].(map[string]any)
		for _, c := range attempts["callbacks"].([]any) {
			m, _ := c.(map[string]any)
			require.Equal(t, count(m["count"]), d.rows(url.Values{"attempts": {fmt.Sprint(m["attempts"])}}))
		}
		require.Equal(t, []any{
			map[string]any{"disposition": "reached", "count": 4.0, "callbacks": 4.0}, map[string]any{"disposition": "busy", "count": 6.0, "callbacks": 3.0},
		}, attempts["dispositions"])
		require.Equal(t, 3, d.rows(url.Values{"disposition": {"busy"}}))
	}
}

// The report's totals are those of stats.
func TestReportsAgreeWithStats(t *testing.T) {
	t.Parallel()
	d := report(t)
	totals, _ := d.get("mgr1", "/v1/reports").want(200).at("totals").(map[string]any)
	stats := d.get("mgr1", "/v1/stats").want(200).json()
	for _, name := range []string{"made", "kept", "missed", "missed_by_people", "missed_by_system", "attainment"} {
		require.Equal(t, stats[name], totals[name], name)
	}
}

func TestReportsRefuse(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.get("sup1", "/v1/reports?zone=Mars/Base").invalid("zone")
	d.get("sup1", "/v1/reports?from=2026-11-24T00:00:00Z&to=2026-11-23T00:00:00Z").invalid("from")
	d.get("sup1", "/v1/reports?from=2020-11-24T00:00:00Z").invalid("from")
	d.get("sup1", "/v1/reports?result=missed").invalid("result")
	d.get("sup1", "/v1/promises?result=lost&hour=24&weekday=0&day=today&late_by=me&attempts=-1&disposition=x&limit=201").
		invalid("result", "hour", "weekday", "day", "late_by", "attempts", "disposition", "limit")
	d.create()
	d.create()
	cursor := d.get("sup1", "/v1/promises?limit=1").want(200).str("next_cursor")
	require.Len(t, d.get("sup1", "/v1/promises?limit=1&cursor="+cursor).want(200).items(), 1)
	d.get("sup1", "/v1/promises?limit=1&result=open&cursor="+cursor).invalid("cursor")
	d.get("sup1", "/v1/promises?cursor=x").invalid("cursor")
	d.get("", "/v1/promises").refused(401, "unauthenticated", "")
}
