package api_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/callback"
)

// office is a calendar of short days: noon, when the tests begin, is half an hour before lunch.
func office(o *api.Options) {
	p := *o.Config.Policies["supervisor-callback"]
	p.Calendar = &callback.Calendar{TimeZone: "UTC", Hours: map[string][]string{"mon-fri": {"09:00-12:30", "13:00-17:00"}}}
	o.Config.Policies["supervisor-callback"] = &p
}

type span struct{ From, To string }

func spans(t *testing.T, v any) []span {
	t.Helper()
	all := []span{}
	items, ok := v.([]any)
	require.True(t, ok)
	for _, item := range items {
		m, _ := item.(map[string]any)
		from, _ := m["from"].(string)
		to, _ := m["to"].(string)
		all = append(all, span{from[11:16], to[11:16]})
	}
	return all
}

func TestR02DeadlineIsExplainedInWorkingTime(t *testing.T) {
	t.Parallel()
	d := newDesk(t, office)
	id := d.started()
	r := d.get("agent1", "/v1/callbacks/"+id+"/deadline").want(200)
	require.Equal(t, "2026-11-23T13:30:00.000Z", r.at("due_at"))
	require.Equal(t, "1h0m0s", r.at("tat"))
	require.Equal(t, "2026-11-23T12:00:00.000Z", r.at("counts_from"))
	require.Equal(t, []span{{"12:00", "12:30"}, {"13:00", "13:30"}}, spans(t, r.at("segments")))
	require.Equal(t, "supervisor-callback", r.at("policy", "name"))
	require.Len(t, r.str("policy_version"), 12)
	require.Equal(t, "warning", r.at("next"))
	require.Equal(t, "2026-11-23T12:30:00.000Z", r.at("next_at"), "half of the hour, before lunch")

	// A hold over lunch until 14:00 keeps the 40 minutes that were left.
	d.clock.move(20 * time.Minute)
	d.command("sup1", id, "hold", object{"reason": "Bank is closed", "until": "2026-11-23T14:00:00.000Z"}).want(200)
	r = d.get("agent1", "/v1/callbacks/"+id+"/deadline").want(200)
	require.Equal(t, []span{{"12:00", "12:20"}, {"14:00", "14:40"}}, spans(t, r.at("segments")))
	require.Equal(t, "2026-11-23T14:40:00.000Z", r.at("due_at"))
	require.Equal(t, "40m0s", r.at("remaining"))
	require.Equal(t, "2026-11-23T14:00:00.000Z", r.at("held_until"))
	require.Equal(t, "end of hold", r.at("next"))

	// Resumed early, in the middle of lunch.
	d.clock.move(25 * time.Minute)
	d.command("sup1", id, "resume", nil).want(200)
	r = d.get("agent1", "/v1/callbacks/"+id+"/deadline").want(200)
	require.Equal(t, []span{{"12:00", "12:20"}, {"13:00", "13:40"}}, spans(t, r.at("segments")))
	require.Equal(t, "2026-11-23T13:40:00.000Z", r.at("due_at"))
	require.Equal(t, []span{{"12:20", "12:45"}}, spans(t, r.at("holds")))
	require.Nil(t, r.at("held_until"))
	require.Nil(t, r.at("remaining"))
}

func TestR06DeadlineOfEveryTier(t *testing.T) {
	t.Parallel()
	d := newDesk(t, office)
	id := d.started()
	d.clock.move(90 * time.Minute)
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	r := d.get("mgr1", "/v1/callbacks/"+id+"/deadline").want(200)
	require.Equal(t, "2026-11-23T13:30:00.000Z", r.at("counts_from"), "a fresh promise")
	require.Equal(t, []span{{"13:30", "14:30"}}, spans(t, r.at("segments")))
	promises, _ := r.at("promises").([]any)
	require.Len(t, promises, 2)
	first, _ := promises[0].(map[string]any)
	require.Equal(t, "missed", first["result"])
	require.Equal(t, "people", first["late_by"])
	second, _ := promises[1].(map[string]any)
	require.Equal(t, "open", second["result"])
	require.Nil(t, second["late_by"])
}

func TestR02DeadlineOfARescheduledCallback(t *testing.T) {
	t.Parallel()
	d := newDesk(t, office)
	id := d.create(func(b object) { b["scheduled_for"] = "2026-11-24T12:15:00.000Z" })
	r := d.get("sup1", "/v1/callbacks/"+id+"/deadline").want(200)
	require.Equal(t, []span{{"12:15", "12:30"}, {"13:00", "13:45"}}, spans(t, r.at("segments")))
	require.Equal(t, "opening", r.at("next"))
	d.command("sup1", id, "claim", nil).want(200)
	d.command("sup1", id, "reschedule", object{"reason": "In a meeting", "scheduled_for": "2026-11-25T16:30:00.000Z"}).want(200)
	r = d.get("sup1", "/v1/callbacks/"+id+"/deadline").want(200)
	require.Equal(t, []span{{"16:30", "17:00"}, {"09:00", "09:30"}}, spans(t, r.at("segments")))
	require.Equal(t, "2026-11-26T09:30:00.000Z", r.at("due_at"))
}

func TestDeadlineAfterContactAndTheEnd(t *testing.T) {
	t.Parallel()
	d := newDesk(t, office)
	id := d.started()
	d.command("sup1", id, "attempts", object{"disposition": "reached"}).want(200)
	d.command("sup1", id, "hold", object{"reason": "Waits for the bank", "until": "2026-11-23T15:00:00.000Z"}).want(200)
	r := d.get("sup1", "/v1/callbacks/"+id+"/deadline").want(200)
	require.Equal(t, []span{{"12:00", "12:30"}, {"13:00", "13:30"}}, spans(t, r.at("segments")), "a promise that is kept does not move")
	closed := d.get("sup1", "/v1/callbacks/"+d.completed()+"/deadline").want(200)
	require.Nil(t, closed.at("next"))
	d.get("sup1", "/v1/callbacks/"+unknownID+"/deadline").refused(404, "not_found", "")
}

func TestR23_DeadlineThroughAnOutage(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]bool{"held": true, "running": false} {
		d := newDesk(t, office, func(o *api.Options) {
			p := *o.Config.Policies["supervisor-callback"]
			p.Outage.Hold, p.HoldMax = hold, callback.Duration(2*time.Hour)
			o.Config.Policies["supervisor-callback"] = &p
		})
		outage := d.post("mgr1", "/v1/outages", object{"lob": "trains"}).want(201).str("id")
		id := d.create(func(b object) { b["lob"] = "trains" })
		r := d.get("sup1", "/v1/callbacks/"+id+"/deadline").want(200)
		segments := spans(t, r.at("segments"))
		due := r.str("due_at")[11:16]
		require.Equal(t, due, segments[len(segments)-1].To, name)
		holds, _ := r.at("holds").([]any)
		if !hold {
			require.Equal(t, "13:30", due)
			require.Empty(t, holds)
			continue
		}
		require.Equal(t, "15:00", due, "an hour after the longest hold")
		require.Len(t, holds, 1)
		span, _ := holds[0].(map[string]any)
		require.Equal(t, outage, span["outage"])
	}
}
