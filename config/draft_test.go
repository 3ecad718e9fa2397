package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestADraftOfWhatIsThereIsTheSame(t *testing.T) {
	t.Parallel()
	c := Builtin()
	text, err := c.DraftText()
	require.NoError(t, err)
	policies, names, err := c.CheckDraft([]byte(text))
	require.NoError(t, err, text)
	require.Equal(t, c.PolicyNames, names)
	for _, name := range names {
		require.Equal(t, Hash(c.Policies[name]), Hash(policies[name]), name)
	}
	withCalendar, err := Parse("file", []byte(`
tiers: {supervisor: 2}
staff: [{id: sup1, name: One, tier: supervisor, queues: [S]}]
calendars: {office: {time_zone: Asia/Kolkata, hours: {mon-fri: ["09:00-13:00"]}, holidays: ["2026-12-25"], half_days: {"2026-12-24": ["09:00-11:00"]}}}
policies:
  p:
    title: P
    calendar: office
    ladder: [{tier: supervisor, queue: S, tat: 90m, assign: {direct: sup1}, warn_at: [10m], queue_by_lob: {air: S}}]
    fields: [{name: order, title: Order, required: true, pattern: "^[A-Z]+$"}]
    resolution_reasons: [{code: done, title: Done}, {code: gone, title: Gone, needs_contact: false, after_attempts: 2}]
`))
	require.NoError(t, err)
	text, err = withCalendar.DraftText()
	require.NoError(t, err)
	policies, _, err = withCalendar.CheckDraft([]byte(text))
	require.NoError(t, err, text)
	require.Equal(t, Hash(withCalendar.Policies["p"]), Hash(policies["p"]), text)
}

func TestADraftsMistakesAreInItsOwnLines(t *testing.T) {
	t.Parallel()
	c := Builtin()
	const draft = `policies:
  mine:
    title: Mine
    ladder:
      - {tier: supervisor, queue: Supervisors - RM, tat: 1h}
    resolution_reasons: [{code: done, title: Done}]
`
	policies, names, err := c.CheckDraft([]byte(draft))
	require.NoError(t, err)
	require.Equal(t, []string{"mine"}, names)
	require.Equal(t, 2, policies["mine"].Ladder[0].Rank)
	for name, bad := range map[string]struct {
		text string
		line int
		says string
	}{
		"a tier":         {"policies:\n  mine:\n    title: Mine\n    ladder:\n      - {tier: supervizor, queue: Supervisors - RM, tat: 1h}\n    resolution_reasons: [{code: a, title: A}]\n", 5, "supervisor"},
		"an empty queue": {"policies:\n  mine:\n    title: Mine\n    ladder:\n      - {tier: supervisor, queue: Nobody, tat: 1h}\n    resolution_reasons: [{code: a, title: A}]\n", 5, "a queue with a member"},
		"a ladder":       {"policies:\n  mine:\n    title: Mine\n    resolution_reasons: [{code: a, title: A}]\n", 2, "at least one step"},
		"people":         {"staff: []\n" + draft, 1, "a known key"},
		"a calendar":     {"policies:\n  mine:\n    calendar: never\n    title: Mine\n    ladder: [{tier: supervisor, queue: Supervisors - RM, tat: 1h}]\n    resolution_reasons: [{code: a, title: A}]\n", 3, "calendar"},
		"YAML":           {"policies: [", 1, ""},
		"nothing":        {"", 1, "policy"},
	} {
		_, _, err := c.CheckDraft([]byte(bad.text))
		var wrong *Error
		require.ErrorAs(t, err, &wrong, name)
		require.Equal(t, bad.line, wrong.Line, "%s: %v", name, err)
		require.Contains(t, wrong.Expected, bad.says, name)
	}
	require.Len(t, c.Queues["Supervisors - RM"], 2, "the configuration itself is untouched")
	require.NotContains(t, c.Queues, "Nobody")
}
