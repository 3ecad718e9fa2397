package callback

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEventSurvivesJSON(t *testing.T) {
	t.Parallel()
	for _, typ := range EventTypes {
		fact := newFact(typ)
		require.NotNil(t, fact, typ)
		require.Equal(t, typ, fact.Type())
		e := Event{Seq: 3, At: At(monday), Actor: ActorClock, Tier: "supervisor", Rule: "R11", Fact: fact}
		var decoded Event
		require.NoError(t, json.Unmarshal([]byte(inJSON(t, e)), &decoded))
		require.Equal(t, e, decoded)
	}
}

// The shape of a timeline entry is the contract's.
func TestEventShape(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.passes(time.Hour)
	breached, _ := last[*Breached](f)
	require.JSONEq(t, `{
		"seq": 6, "type": "breached", "at": "2026-11-23T11:00:00.000Z", "actor": "clock", "tier": "supervisor", "rule": "R11",
		"data": {"due_at": "2026-11-23T11:00:00.000Z", "fired_at": "2026-11-23T11:00:00.000Z", "late_by": "people", "overdue": false}
	}`, inJSON(t, breached))
	escalated, _ := last[*Escalated](f)
	require.JSONEq(t, `{
		"seq": 7, "type": "escalated", "at": "2026-11-23T11:00:00.000Z", "actor": "clock", "tier": "manager", "rule": "R11",
		"data": {"tier_index": 1, "tier": "manager", "queue": "Managers - RM", "from_tier": "supervisor", "by": "clock",
			"due_at": "2026-11-23T11:00:00.000Z", "fired_at": "2026-11-23T11:00:00.000Z", "new_due_at": "2026-11-23T12:00:00.000Z"}
	}`, inJSON(t, escalated))
	require.JSONEq(t, `{"seq": 1, "type": "requested", "at": "2026-11-23T10:00:00.000Z", "actor": "assoc1", "tier": "supervisor", "rule": "R02",
		"data": {"id": "c1", "policy": "supervisor-callback", "tier_index": 0, "tier": "supervisor", "queue": "Supervisors - RM",
			"due_at": "2026-11-23T11:00:00.000Z", "warn_at": ["2026-11-23T10:30:00.000Z", "2026-11-23T10:54:00.000Z"]}
	}`, inJSON(t, f.events[0]))
}

func TestEventThatCannotBeUnderstood(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{`{"seq": 7, "type": "teleported", "data": {}}`, `event 7 has the unknown type "teleported"`},
		{`{"seq": 7, "type": "erased", "data": {}}`, `event 7 has the unknown type "erased"`},
		{`{"seq": 7, "type": "queued", "data": {"queue": 1}}`, "event 7 (queued)"},
		{`{"seq": 7, "type": "queued"}`, "event 7 (queued)"},
		{`{"seq": 7, "type": "queued", "at": "yesterday", "data": {}}`, "expected an RFC 3339 time"},
		{`[]`, "cannot unmarshal"},
	} {
		e := Event{Seq: 1}
		require.ErrorContains(t, json.Unmarshal([]byte(c.in), &e), c.want)
		require.Equal(t, Event{Seq: 1}, e, "left as it was")
	}
	_, err := json.Marshal(Event{Fact: &Queued{}, At: At(monday)})
	require.NoError(t, err)
}

func TestFoldTakesEventsInOrderOnly(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.works(sup1)
	state, err := Fold(nil, f.events[:3])
	require.NoError(t, err)
	before := inJSON(t, state)
	whole, err := Fold(state, f.events[3:])
	require.NoError(t, err)
	require.Equal(t, inJSON(t, f.Callback), inJSON(t, whole))
	require.Equal(t, before, inJSON(t, state), "what it starts from is not changed")

	_, err = Fold(state, f.events[2:])
	require.EqualError(t, err, "event 3 cannot follow version 3 of callback c1")
	_, err = Fold(state, f.events[4:])
	require.EqualError(t, err, "event 5 cannot follow version 3 of callback c1")
	require.Error(t, state.Apply(f.events[4]))
	require.Equal(t, before, inJSON(t, state))
}

// A clone shares nothing: what happens to one is not seen in the other.
func TestCloneIsDeep(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.works(sup1)
	f.does(sup1, Note{Kind: KindCallSummary, TextID: "s"})
	f.does(sup1, HoldClock{Until: f.at(time.Hour)})
	clone := f.Clone()
	before := inJSON(t, clone)
	require.Equal(t, f.Callback, clone)
	f.WarnAt[0], f.Summaries[0], f.Tags[0], f.Promises[0].Tier, f.Hold.WarnIn[0] = Instant{}, "x", "x", "x", 0
	f.Hold.Until = Instant{}
	require.Equal(t, before, inJSON(t, clone))
}

func TestInstant(t *testing.T) {
	t.Parallel()
	kolkata := time.FixedZone("", 19800)
	i := At(time.Date(2026, 11, 23, 15, 30, 0, 123_999_999, kolkata))
	require.Equal(t, "2026-11-23T10:00:00.123Z", i.String(), "cut off, in UTC")
	require.Equal(t, At(i.Time), i)
	require.True(t, At(time.Date(2026, 11, 23, 10, 0, 0, 123_000_000, time.UTC)) == i, "the same time is ==")
	require.Empty(t, Instant{}.String())
	require.True(t, At(time.Time{}).IsZero())
	require.Equal(t, `"2026-11-23T10:00:00.000Z"`, inJSON(t, At(monday)), "exactly three decimals")
	require.Equal(t, `null`, inJSON(t, Instant{}))
	require.Equal(t, At(monday.Add(time.Second)), At(monday).Plus(second))
	require.True(t, At(monday).Reached(At(monday)))
	require.False(t, At(monday).Plus(Duration(time.Millisecond)).Reached(At(monday)))
	require.False(t, Instant{}.Reached(At(monday)), "never")

	for _, c := range []struct {
		in   string
		want Instant
		ok   bool
	}{
		{`null`, Instant{}, true},
		{`"2026-11-23T10:00:00Z"`, At(monday), true},
		{`"2026-11-23T15:30:00.0009+05:30"`, At(monday), true},
		{`"9999-12-31T23:59:59.999Z"`, At(time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)), true},
		{`"9999-12-31T23:59:59-01:00"`, Instant{}, false},
		{`"0000-01-01T00:00:00Z"`, Instant{}, false},
		{`"0001-01-01T00:00:00+01:00"`, Instant{}, false},
		{`"2026-11-23"`, Instant{}, false},
		{`1`, Instant{}, false},
		{`""`, Instant{}, false},
	} {
		got := At(monday.Add(time.Minute))
		err := json.Unmarshal([]byte(c.in), &got)
		require.Equal(t, c.ok, err == nil, c.in)
		if c.ok {
			require.Equal(t, c.want, got, c.in)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	require.Equal(t, `"1h30m0s"`, inJSON(t, 90*minute))
	var d Duration
	require.NoError(t, json.Unmarshal([]byte(`"1h30m"`), &d))
	require.Equal(t, 90*minute, d)
	require.ErrorContains(t, json.Unmarshal([]byte(`"soon"`), &d), "expected a Go duration")
	require.Error(t, json.Unmarshal([]byte(`90`), &d))
	require.Equal(t, 90*minute, d)
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, s := range Statuses {
		require.Equal(t, s == StatusCompleted || s == StatusCancelled, s.Closed())
	}
	require.Equal(t, Outcome{}, *(&Callback{}).promise(), "nothing was promised yet")
}
