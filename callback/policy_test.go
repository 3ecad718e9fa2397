package callback

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, supervisorCallback().Validate())
	require.NoError(t, supervisorCallback(executives).Validate())
	for _, c := range []struct {
		name   string
		change func(p *Policy)
		want   string // part of the message; empty: valid
	}{
		{"a bare one", func(p *Policy) {
			*p = Policy{Name: "p", Ladder: []Step{{Tier: "agent", Queue: "Q", TAT: second, Assign: AssignPull}}, Reasons: []Reason{{Code: "done"}}}
		}, ""},
		{"a calendar", func(p *Policy) { p.Calendar = calendarKolkata() }, ""},
		{"equal ranks", func(p *Policy) { p.Ladder[1].Rank = 2 }, ""},
		{"direct", func(p *Policy) { p.Ladder[0].Assign, p.Ladder[0].AssignTo = AssignDirect, "exec1" }, ""},
		{"direct supervisor, not pinned", func(p *Policy) { p.Ladder[0].Assign = AssignDirectSupervisor }, ""},
		{"direct supervisor, pinned", func(p *Policy) { p.Ladder[0].Assign, p.Ladder[0].AssignTo = AssignDirectSupervisor, "sup1" }, ""},
		{"no name", func(p *Policy) { p.Name = "" }, "a policy needs a name"},
		{"a wrong calendar", func(p *Policy) { p.Calendar = &Calendar{TimeZone: "Mars"} }, "calendar: time_zone"},
		{"done without required", func(p *Policy) { p.Tag = TagRule{Done: "D"} }, "tag: done and unserved replace"},
		{"unserved without required", func(p *Policy) { p.Tag = TagRule{Unserved: "U"} }, "tag: done and unserved replace"},
		{"done is required", func(p *Policy) { p.Tag = TagRule{Required: "R", Done: "R"} }, "must differ from required"},
		{"unserved is required", func(p *Policy) { p.Tag = TagRule{Required: "R", Unserved: "R"} }, "must differ from required"},
		{"no ladder", func(p *Policy) { p.Ladder = nil }, "ladder: expected at least one step"},
		{"a ladder that goes down", func(p *Policy) { p.Ladder[1].Rank = 1 }, "ladder[1]: tier manager ranks below supervisor"},
		{"no tier", func(p *Policy) { p.Ladder[1].Tier = "" }, "ladder[1]: expected a tier"},
		{"no queue", func(p *Policy) { p.Ladder[0].Queue = "" }, "ladder[0]: expected a queue"},
		{"no TAT", func(p *Policy) { p.Ladder[0].TAT = 0 }, "ladder[0]: tat: expected 1s or longer"},
		{"a TAT too short", func(p *Policy) { p.Ladder[0].TAT = second - 1 }, "tat: expected 1s or longer"},
		{"start_within too short", func(p *Policy) { p.Ladder[0].StartWithin = second - 1 }, "start_within: expected 1s or longer"},
		{"start_within negative", func(p *Policy) { p.Ladder[0].StartWithin = -hour }, "start_within: expected 1s or longer"},
		{"assign: nothing", func(p *Policy) { p.Ladder[0].Assign = "" }, "assign: expected pull, random"},
		{"assign: something else", func(p *Policy) { p.Ladder[0].Assign = "best" }, "assign: expected pull, random"},
		{"direct to nobody", func(p *Policy) { p.Ladder[0].Assign = AssignDirect }, "assign: direct needs a staff id"},
		{"pulled by somebody", func(p *Policy) { p.Ladder[0].AssignTo = "sup1" }, "assign: pull names nobody"},
		{"a wrong warning", func(p *Policy) { p.Ladder[0].WarnAt = []Warning{"50%", "half"} }, `warn_at "half"`},
		{"remind_every too short", func(p *Policy) { p.Overdue.Every = second - 1 }, "overdue: expected remind_every"},
		{"max shorter than remind_every", func(p *Policy) { p.Overdue.Max = p.Overdue.Every - 1 }, "overdue: expected remind_every"},
		{"close_within negative", func(p *Policy) { p.CloseWithin = -hour }, "close_within, hold.max and attempts.spacing"},
		{"hold.max too short", func(p *Policy) { p.HoldMax = 1 }, "close_within, hold.max and attempts.spacing"},
		{"spacing negative", func(p *Policy) { p.Attempts.Spacing = -1 }, "close_within, hold.max and attempts.spacing"},
		{"attempts.max negative", func(p *Policy) { p.Attempts.Max = -1 }, "attempts.max: cannot be negative"},
		{"close_within without overdue", func(p *Policy) { p.Overdue = nil }, "close_within: it is chased as overdue says"},
		{"a field without a name", func(p *Policy) { p.Fields[1].Name = "" }, "fields[1]: expected a name of its own"},
		{"a field twice", func(p *Policy) { p.Fields[1].Name = p.Fields[0].Name }, "fields[1]: expected a name of its own"},
		{"a wrong pattern", func(p *Policy) { p.Fields[0].Pattern = "(" }, "fields[0]: pattern"},
		{"a pattern that cannot be a whole one", func(p *Policy) { p.Fields[0].Pattern = `\Qa` }, "fields[0]: pattern"},
		{"a pattern that breaks out of the whole", func(p *Policy) { p.Fields[0].Pattern = `a)|(b` }, "fields[0]: pattern"},
		{"no reasons", func(p *Policy) { p.Reasons = nil }, "resolution_reasons: expected at least one"},
		{"a reason without a code", func(p *Policy) { p.Reasons[0].Code = "" }, "resolution_reasons[0]: expected a code"},
		{"a reason twice", func(p *Policy) { p.Reasons[1].Code = "resolved" }, "resolution_reasons[1]: expected a code of its own"},
		{"after_attempts negative", func(p *Policy) { p.Reasons[1].AfterAttempts = -1 }, "after_attempts cannot be negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := supervisorCallback(c.change).Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestWarningAfter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		warning Warning
		tat     Duration
		want    Duration // 0: refused
	}{
		{"50%", hour, 30 * minute},
		{"90%", hour, 54 * minute},
		{"0.5%", hour, 18 * second},
		{"50%", second, second / 2},
		{"10m", hour, 50 * minute},
		{"1s", 2 * second, second},
		{"0%", hour, 0}, {"100%", hour, 0}, {"-1%", hour, 0}, {"NaN%", hour, 0}, {"Inf%", hour, 0}, {"%", hour, 0}, {"half%", hour, 0},
		{"1h", hour, 0}, {"2h", hour, 0}, {"0s", hour, 0}, {"-1m", hour, 0}, {"999ms", hour, 0}, {"", hour, 0}, {"50", hour, 0},
	} {
		got, err := c.warning.After(c.tat)
		if c.want == 0 {
			require.ErrorContains(t, err, "warn_at", "%q of %s", c.warning, c.tat)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%q of %s", c.warning, c.tat)
	}
}

func TestR03_R19_Pin(t *testing.T) {
	t.Parallel()
	p := supervisorCallback(func(p *Policy) {
		p.Ladder[1].Assign = AssignDirectSupervisor
		p.Ladder[1].QueueByLOB = map[string]string{"hotels": "Managers - Hotels"}
	})
	before := inJSON(t, p)
	for _, c := range []struct {
		lob, supervisor string
		queues          [2]string
		assign          Assign
	}{
		{"", "", [2]string{"Supervisors - RM", "Managers - RM"}, AssignPull},
		{"flights", "mgr1", [2]string{"Supervisors - Air", "Managers - RM"}, AssignDirectSupervisor},
		{"hotels", "mgr1", [2]string{"Supervisors - RM", "Managers - Hotels"}, AssignDirectSupervisor},
		{"trains", "mgr1", [2]string{"Supervisors - RM", "Managers - RM"}, AssignDirectSupervisor},
	} {
		pinned := p.Pin(c.lob, c.supervisor)
		require.NoError(t, pinned.Validate())
		queues := [2]string{pinned.Ladder[0].Queue, pinned.Ladder[1].Queue}
		require.Equal(t, c.queues, queues)
		require.Equal(t, c.assign, pinned.Ladder[1].Assign)
		require.Equal(t, c.supervisor, pinned.Ladder[1].AssignTo)
		require.Equal(t, AssignPull, pinned.Ladder[0].Assign)
		require.Empty(t, pinned.Ladder[0].AssignTo)
		require.NotContains(t, inJSON(t, pinned), "flights", "R26: not what it was pinned for")
		require.NotContains(t, inJSON(t, pinned), "hotels")
		require.Equal(t, before, inJSON(t, p), "the policy itself stays")
	}
}

func TestR24_EditingAPolicyMovesNoRunningCallback(t *testing.T) {
	t.Parallel()
	p := supervisorCallback()
	pinned := p.Pin("", "")
	c, _ := Open(pinned, Request{ID: "c1", By: "assoc1", At: At(monday)}, pinned.Calendar)
	p.Ladder[1].TAT = minute
	c.Advance(pinned, monday.Add(time.Hour), pinned.Calendar)
	require.Equal(t, At(monday.Add(2*time.Hour)), c.DueAt)
}

func TestPolicySurvivesJSON(t *testing.T) {
	t.Parallel()
	for _, p := range []*Policy{
		supervisorCallback(), supervisorCallback(executives, func(p *Policy) { p.Calendar = calendarKolkata() }),
		{Name: "bare", Ladder: []Step{{Tier: "agent", Queue: "Q", TAT: second, Assign: AssignPull}}, Reasons: []Reason{{Code: "done"}}},
	} {
		decoded := &Policy{}
		require.NoError(t, json.Unmarshal([]byte(inJSON(t, p)), decoded))
		require.Equal(t, p, decoded)
	}
}
