package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	_ "time/tzdata" // the same zones on every machine

	"github.com/stretchr/testify/require"
)

// whole is a configuration with every block. The broken files below are made
// from it, each by one change.
const whole = `organization: Train support
tiers: {associate: 1, supervisor: 2, manager: 3, executive: 4}
staff:
  - id: assoc1
    name: Associate One
    tier: associate
    reports_to: sup1
  - {id: sup1, name: Supervisor One, tier: supervisor, queues: ["Supervisors - RM", Supervisors - Air], capacity: 5,
     reports_to: mgr1, shift: weekdays, identities: {freshdesk: "1001", oneview: sup1}, roles: []}
  - {id: mgr1, name: Manager One, tier: manager, queues: ["Managers - RM", Elsewhere], roles: [admin]}
  - {id: exec1, name: Executive One, tier: executive, queues: [Executives]}
  - {id: aud1, name: Auditor One, tier: associate, queues: [Audited], roles: [auditor]}
calendars:
  weekdays:
    time_zone: Asia/Kolkata
    hours: {mon-fri: ["09:00-13:00", "14:00-18:00"]}
    holidays: [2026-12-25]
    half_days: {2026-12-24: ["09:00-13:00"]}
policies:
  supervisor-callback:
    title: Supervisor callback
    calendar: weekdays
    tag: {required: Callback Required, done: Callback Done, unserved: Callback Not Served}
    ladder:
      - tier: supervisor
        queue: Supervisors - RM
        tat: 1h
        warn_at: [50%, 90%, 5m]
        assign: pull
        start_within: 15m
        queue_by_lob: {flights: Supervisors - Air}
      - {tier: manager, queue: Managers - RM, tat: 1h}
    overdue:
      remind_every: 15m
      max: 4h
    close_within: 24h
    hold: {max: 24h}
    attempts: {max: 3, spacing: 10m}
    completion: {requires: [contact, call_summary, resolution_reason]}
    fields:
      - {name: order_number, title: Order number, required: true, pattern: "^[A-Z0-9-]{4,20}$"}
      - {name: remark}
    resolution_reasons:
      - {code: resolved, title: Resolved on the call}
      - code: unreachable
        title: Customer could not be reached
        needs_contact: false
        after_attempts: 3
  executive-escalation:
    title: Executive escalation
    ladder: [{tier: executive, queue: Executives, tat: 30m, assign: {direct: exec1}}]
    resolution_reasons: [{code: resolved, title: Resolved}]
connectors:
  freshdesk: {url: "https://acme.example", anything: [1, {2: 3}]}
server: {listen: "127.0.0.1:9090", metrics_listen: ":9091", dev_tokens: false}
database: {url: "postgres://u:hunter2@db.example/ringback?sslmode=disable"}
temporal:
  address: temporal:7233
  namespace: ringback
  task_queue: ringback
  tls: {enabled: true, cert: c.pem, key: k.pem, ca: ca.pem, server_name: temporal.example}
embedded: {data: .ringback, temporal_port: 7233, ui_port: 8233}
telemetry: {log_level: info, otlp_endpoint: "http://127.0.0.1:4317"}
`

// mistakes: each one is made in whole.
var mistakes = []struct {
	name     string
	old, new string // what is changed in whole
	want     string // after "r.yaml:"
}{
	// What YAML itself refuses.
	{"tab", "    name: Associate One", "\tname: Associate One", "4: expected YAML that can be read (found a tab character that violates indentation)"},
	{"open bracket", "[Executives]}", "[Executives}", "11: expected YAML that can be read (did not find expected ',' or ']')"},
	{"open quote", "name: Associate One", "name: 'Associate One", "5: expected YAML that can be read (found unexpected end of stream)"},
	{"two colons", "title: Executive escalation", "title: Executive: escalation", "50: expected YAML that can be read (mapping values are not allowed in this context)"},
	{"at sign", "organization: Train support", "organization: @train", "1: expected YAML that can be read (found character that cannot start any token)"},
	{"a list in a mapping", "tiers: {associate", "- tiers: {associate", "2: expected YAML that can be read (did not find expected key)"},
	{"unknown anchor", "close_within: 24h", "close_within: *day", "36: expected YAML that can be read (unknown anchor 'day' referenced)"},
	{"two documents", "calendars:\n", "---\ncalendars:\n", "13: expected one YAML document in the file, not another one after ---"},
	{"not UTF-8", "Associate One", "Associ\xe9 One", "5: expected text in UTF-8 without control characters"},
	{"control character", "Associate One", "Associate\x00 One", "5: expected text in UTF-8 without control characters"},
	{"merge", "close_within: 24h", "<<: {close_within: 24h}", "36: policies.supervisor-callback: expected keys that are written out; merging with << is not read"},
	{"key twice", "calendar: weekdays\n", "calendar: weekdays\n    title: Again\n", "23: policies.supervisor-callback.title: expected each key once; it is on line 21 already"},
	{"key that is a list", "close_within: 24h", "[a]: b", "36: policies.supervisor-callback: expected a name as key"},
	{"no mapping", whole, "just text\n", "1: expected a mapping with the keys organization, tiers, staff, calendars, policies, connectors, sign_in, server, database, temporal, embedded, telemetry"},
	{"empty", whole, "", "1: tiers: expected tiers with their ranks, like {supervisor: 2, manager: 3}"},

	// Unknown keys.
	{"unknown key, a slip", "policies:\n", "polcies:\n", `19: polcies: expected a known key; did you mean "policies"?`},
	{"unknown key", "organization:", "company:", "1: company: expected a known key: organization, tiers, staff, calendars, policies, connectors, sign_in, server, database, temporal, embedded, telemetry"},
	{"unknown key of staff", "capacity: 5", "capactiy: 5", `8: staff[1].capactiy: expected a known key; did you mean "capacity"?`},
	{"unknown key of a calendar", "time_zone: Asia", "timezone: Asia", `15: calendars.weekdays.timezone: expected a known key; did you mean "time_zone"?`},
	{"unknown key of a policy", "close_within: 24h", "closes_in: 24h", "36: policies.supervisor-callback.closes_in: expected a known key: title, calendar, tag, ladder, overdue, close_within, hold, outage, attempts, completion, fields, resolution_reasons"},
	{"unknown key of a step", "        tat: 1h", "        TAT: 1h", `27: policies.supervisor-callback.ladder[0].TAT: expected a known key; did you mean "tat"?`},
	{"unknown key of a reason", "needs_contact: false", "need_contact: false", `47: policies.supervisor-callback.resolution_reasons[1].need_contact: expected a known key; did you mean "needs_contact"?`},
	{"unknown connector", "  freshdesk: {url", "  freshdesc: {url", `54: connectors.freshdesc: expected a known key; did you mean "freshdesk"?`},
	{"unknown setting", "ui_port: 8233", "uiport: 8233", `62: embedded.uiport: expected a known key; did you mean "ui_port"?`},

	// Tiers.
	{"no tiers", "tiers: {associate: 1, supervisor: 2, manager: 3, executive: 4}", "", "1: tiers: expected tiers with their ranks, like {supervisor: 2, manager: 3}"},
	{"rank zero", "associate: 1", "associate: 0", "2: tiers.associate: expected a rank as whole number, 1 or more"},
	{"rank in words", "associate: 1", "associate: low", "2: tiers.associate: expected a rank as whole number, 1 or more"},
	{"no rank", "associate: 1", "associate: ", "2: tiers.associate: expected a rank as whole number, 1 or more"},
	{"tier with a space", "associate: 1", "an associate: 1", `2: tiers.an associate: expected a name of a tier: letters, digits, ".", "_", "@" and "-", beginning with a letter or digit, at most 64`},

	// People.
	{"no staff id", "  - id: assoc1\n    name", "  - name", "4: staff[0].id: expected a staff id"},
	{"staff id of the clock", "id: assoc1", "id: clock", "4: staff[0].id: expected another staff id: clock is who acts when time alone does"},
	{"staff id with a colon", "id: assoc1", "id: dev:assoc1", `4: staff[0].id: expected a staff id: letters, digits, ".", "_", "@" and "-", beginning with a letter or digit, at most 64`},
	{"staff id twice", "{id: exec1,", "{id: sup1,", "11: staff[3].id: expected a staff id of its own; line 8 has it already"},
	{"no name", "    name: Associate One\n", "", "4: staff[0].name: expected a name"},
	{"unknown tier", "tier: associate\n", "tier: asociate\n", `6: staff[0].tier: expected one of the tiers; did you mean "associate"?`},
	{"unknown tier, nothing like it", "tier: associate\n", "tier: clerk\n", "6: staff[0].tier: expected one of the tiers: associate, supervisor, manager, executive"},
	{"queues no list", "queues: [Executives]", "queues: Executives", "11: staff[3].queues: expected a list of queues"},
	{"queue twice", "queues: [Executives]", "queues: [Executives, Executives]", "11: staff[3].queues[1]: expected each queue once"},
	{"queue written otherwise", `["Managers - RM", Elsewhere]`, `["Managers - RM", Managers-RM]`, `10: staff[2].queues[1]: expected a queue; did you mean "Managers - RM"?`},
	{"capacity zero", "capacity: 5", "capacity: 0", "8: staff[1].capacity: expected a number of open assignments, 1 or more"},
	{"capacity beyond reason", "capacity: 5", "capacity: 99999999999999999999", "8: staff[1].capacity: expected a number of open assignments, 1 or more"},
	{"unknown superior", "reports_to: mgr1", "reports_to: mgr2", `9: staff[1].reports_to: expected the id of somebody under staff; did you mean "mgr1"?`},
	{"superior of oneself", "reports_to: mgr1", "reports_to: sup1", "9: staff[1].reports_to: expected somebody who does not report back to sup1"},
	{"superiors in a ring", "reports_to: mgr1", "reports_to: assoc1", "7: staff[0].reports_to: expected somebody who does not report back to assoc1"},
	{"unknown shift", "shift: weekdays", "shift: nights", "9: staff[1].shift: expected one of the calendars: weekdays"},
	{"identity that is a list", `freshdesk: "1001"`, "freshdesk: []", "9: staff[1].identities.freshdesk: expected this person's identity there"},
	{"unknown role", "roles: [admin]", "roles: [administrator]", "10: staff[2].roles[0]: expected a role: auditor, admin"},

	// Calendars.
	{"unknown zone", "time_zone: Asia/Kolkata", "time_zone: Asia/Nowhere", `15: calendars.weekdays.time_zone: expected an IANA time zone that is known here, such as "Asia/Kolkata"`},
	{"no hours", "    hours: {mon-fri: [\"09:00-13:00\", \"14:00-18:00\"]}\n", "", `14: calendars.weekdays.hours: expected at least one span, such as mon-fri: ["09:00-18:00"]`},
	{"unknown day", "mon-fri:", "mon-fryday:", `16: calendars.weekdays.hours: expected days as in "mon", "mon-fri", "sat,sun" or "daily"`},
	{"span", `"14:00-18:00"`, `"2pm-6pm"`, `16: calendars.weekdays.hours.mon-fri[1]: expected a span "HH:MM-HH:MM", 00:00 to 24:00`},
	{"spans no list", `["09:00-13:00", "14:00-18:00"]`, `"09:00-18:00"`, `16: calendars.weekdays.hours.mon-fri: expected a list of spans, like ["09:00-18:00"]`},
	{"holiday that does not exist", "2026-12-25", "2026-02-30", "17: calendars.weekdays.holidays[0]: expected a date that exists, as YYYY-MM-DD"},
	{"half day on a holiday", "2026-12-24:", "2026-12-25:", "18: calendars.weekdays.half_days: expected a date that is not one of the holidays"},

	// Policies.
	{"no policies", whole[strings.Index(whole, "policies:"):strings.Index(whole, "connectors:")], "policies:\n", "19: policies: expected at least one policy"},
	{"policy with a space", "  executive-escalation:", "  executive escalation:", `49: policies.executive escalation: expected a name of a policy: letters, digits, ".", "_", "@" and "-", beginning with a letter or digit, at most 64`},
	{"no title", "    title: Executive escalation\n", "", "49: policies.executive-escalation.title: expected a title"},
	{"title of two lines", "title: Executive escalation", `title: "Executive\nescalation"`, "50: policies.executive-escalation.title: expected a title, in one line of at most 200 characters without spaces around it"},
	{"unknown calendar", "calendar: weekdays", "calendar: weekday", `22: policies.supervisor-callback.calendar: expected one of the calendars; did you mean "weekdays"?`},
	{"tag without required", "{required: Callback Required, done", "{done", "23: policies.supervisor-callback.tag.required: expected the tag that an open callback wears"},
	{"tag that replaces itself", "done: Callback Done", "done: Callback Required", `23: policies.supervisor-callback.tag.done: expected another tag than "Callback Required", which only an open callback wears`},
	{"no ladder", "    ladder: [{tier: executive, queue: Executives, tat: 30m, assign: {direct: exec1}}]\n", "", "49: policies.executive-escalation.ladder: expected at least one step"},
	{"ladder no list", "ladder: [{tier: executive, queue: Executives, tat: 30m, assign: {direct: exec1}}]", "ladder: {tier: executive}", "51: policies.executive-escalation.ladder: expected a list of steps"},
	{"TAT too short", "        tat: 1h", "        tat: 900ms", `27: policies.supervisor-callback.ladder[0].tat: expected a Go duration of 1s or longer, like "1h"`},
	{"TAT without a unit", "        tat: 1h", "        tat: 60", `27: policies.supervisor-callback.ladder[0].tat: expected a Go duration of 1s or longer, like "1h"`},
	{"no TAT", "        tat: 1h\n", "", `25: policies.supervisor-callback.ladder[0].tat: expected a Go duration of 1s or longer, like "1h"`},
	{"TAT too long", "        tat: 1h", "        tat: 876000h", "27: policies.supervisor-callback.ladder[0].tat: expected a Go duration of at most 87600h, ten years"},
	{"step of an unknown tier", "      - tier: supervisor", "      - tier: supervisors", `25: policies.supervisor-callback.ladder[0].tier: expected one of the tiers; did you mean "supervisor"?`},
	{"ladder that goes down", "      - {tier: manager,", "      - {tier: associate,", "32: policies.supervisor-callback.ladder[1]: expected a tier of rank 2 (supervisor) or higher: a ladder only climbs"},
	{"no queue", "        queue: Supervisors - RM\n", "", "25: policies.supervisor-callback.ladder[0].queue: expected a queue"},
	{"queue without a member", "queue: Managers - RM", "queue: Managers", `32: policies.supervisor-callback.ladder[1].queue: expected a queue with a member: nobody under staff who may give a command has "Managers" among their queues`},
	{"queue of a line of business without a member", "{flights: Supervisors - Air}", "{flights: Supervisors - Sea}", `31: policies.supervisor-callback.ladder[0].queue_by_lob.flights: expected a queue with a member: nobody under staff who may give a command has "Supervisors - Sea" among their queues`},
	{"queue of auditors only", "queue: Managers - RM", "queue: Audited", `32: policies.supervisor-callback.ladder[1].queue: expected a queue with a member: nobody under staff who may give a command has "Audited" among their queues`},
	{"warning of 100%", "90%", "100%", `28: policies.supervisor-callback.ladder[0].warn_at[1]: expected a percentage of the TAT between 0% and 100%, or a Go duration of 1s or longer but shorter than it, like "50%" or "10m"`},
	{"warning before the promise", "5m]", "90m]", `28: policies.supervisor-callback.ladder[0].warn_at[2]: expected a percentage of the TAT between 0% and 100%, or a Go duration of 1s or longer but shorter than it, like "50%" or "10m"`},
	{"unknown assignment", "assign: pull", "assign: lottery", "29: policies.supervisor-callback.ladder[0].assign: expected pull, random, round_robin, least_loaded, direct_supervisor, or direct: STAFF_ID"},
	{"direct to nobody", "assign: pull", "assign: direct", "29: policies.supervisor-callback.ladder[0].assign: expected pull, random, round_robin, least_loaded, direct_supervisor, or direct: STAFF_ID"},
	{"direct to somebody unknown", "{direct: exec1}", "{direct: exec2}", `51: policies.executive-escalation.ladder[0].assign: expected the id of somebody under staff; did you mean "exec1"?`},
	{"direct to no member", "{direct: exec1}", "{direct: mgr1}", `51: policies.executive-escalation.ladder[0].assign: expected a member of the queue "Executives", which mgr1 is not`},
	{"direct down", "assign: pull", `assign: "direct: aud1"`, `29: policies.supervisor-callback.ladder[0].assign: expected a member of the queue "Supervisors - RM", which aud1 is not`},
	{"start_within", "start_within: 15m", "start_within: soon", `30: policies.supervisor-callback.ladder[0].start_within: expected a Go duration of 1s or longer, like "15m"`},
	{"overdue without pace", "      remind_every: 15m\n", "", `33: policies.supervisor-callback.overdue.remind_every: expected a Go duration of 1s or longer, like "15m"`},
	{"overdue that speeds up", "max: 4h", "max: 10m", "35: policies.supervisor-callback.overdue.max: expected a Go duration of 15m or longer: reminders start with remind_every and slow down"},
	{"close_within without overdue", "    overdue:\n      remind_every: 15m\n      max: 4h\n", "", "33: policies.supervisor-callback.close_within: expected an overdue block beside it, which says how to chase"},
	{"hold without a cap", "hold: {max: 24h}", "hold: {}", `37: policies.supervisor-callback.hold.max: expected a Go duration of 1s or longer, like "24h"`},
	{"attempts", "attempts: {max: 3", "attempts: {max: three", "38: policies.supervisor-callback.attempts.max: expected a number of attempts, 1 or more"},
	{"spacing", "spacing: 10m", "spacing: -10m", `38: policies.supervisor-callback.attempts.spacing: expected a Go duration of 1s or longer, like "10m"`},
	{"unknown requirement", "[contact, call_summary", "[contact, summary", "39: policies.supervisor-callback.completion.requires[1]: expected something that completing can take: contact, call_summary, resolution_reason"},
	{"field twice", "{name: remark}", "{name: order_number}", "42: policies.supervisor-callback.fields[1].name: expected a name of its own; another field of this policy has it already"},
	{"pattern", "^[A-Z0-9-]{4,20}$", "^[A-Z", `41: policies.supervisor-callback.fields[0].pattern: expected a regular expression (RE2), like "^[A-Z0-9-]{4,20}$"`},
	{"pattern that swallows its end", `"^[A-Z0-9-]{4,20}$"`, `'\QAB'`, `41: policies.supervisor-callback.fields[0].pattern: expected a regular expression (RE2), like "^[A-Z0-9-]{4,20}$"`},
	{"required in words", "required: true,", "required: yes please,", "41: policies.supervisor-callback.fields[0].required: expected true or false"},
	{"no reasons", "    resolution_reasons: [{code: resolved, title: Resolved}]\n", "", "49: policies.executive-escalation.resolution_reasons: expected at least one resolution reason: without one nothing can be completed"},
	{"reason twice", "- code: unreachable", "- code: resolved", "45: policies.supervisor-callback.resolution_reasons[1].code: expected a code of its own; another reason of this policy has it already"},
	{"reason without a title", "        title: Customer could not be reached\n", "", "45: policies.supervisor-callback.resolution_reasons[1].title: expected a title"},
	{"after_attempts", "after_attempts: 3", "after_attempts: -1", "48: policies.supervisor-callback.resolution_reasons[1].after_attempts: expected a number of attempts that reached nobody, 0 or more"},

	// Settings.
	{"listen", `"127.0.0.1:9090"`, "127.0.0.1", `55: server.listen: expected HOST:PORT, like "127.0.0.1:8080"`},
	{"listen, a mapping", `"127.0.0.1:9090"`, "{port: 9090}", `55: server.listen: expected HOST:PORT, like "127.0.0.1:8080"`},
	{"dev tokens for the world", `{listen: "127.0.0.1:9090", metrics_listen: ":9091", dev_tokens: false}`, `{listen: ":9090", dev_tokens: true}`, `55: server.dev_tokens: expected false, or a loopback address to listen on, like "127.0.0.1:8080": such tokens prove nothing`},
	{"database, without its password", "postgres://u:hunter2@db.example", "mysql://u:hunter2@db.example", `56: database.url: expected a PostgreSQL URL, like "postgres://USER:PASSWORD@HOST:5432/DATABASE"`},
	{"Temporal's address", "temporal:7233", "temporal", `58: temporal.address: expected HOST:PORT of the cluster, like "127.0.0.1:7233" or "dns:///temporal:7233"`},
	{"namespace", "namespace: ringback", "namespace: ring back", `59: temporal.namespace: expected a name: letters, digits, ".", "_", "@" and "-", beginning with a letter or digit, at most 64`},
	{"certificate without key", "key: k.pem, ", "", "61: temporal.tls.cert: expected temporal.tls.key beside it: a certificate is of no use without its key"},
	{"key without certificate", "cert: c.pem, ", "", "61: temporal.tls.key: expected temporal.tls.cert beside it: a key is of no use without its certificate"},
	{"port", "ui_port: 8233", "ui_port: 82333", "62: embedded.ui_port: expected a port from 1 to 65535, 0 for none, or -1 for any free one"},
	{"log level", "log_level: info", "log_level: loud", "63: telemetry.log_level: expected debug, info, warn or error"},
	{"traces", `"http://127.0.0.1:4317"`, "127.0.0.1:4317", `63: telemetry.otlp_endpoint: expected an http or https URL, like "http://127.0.0.1:4317"`},

	// The first one in the file is told, and a name that leads nowhere only when all else is in order.
	{"several", "tier: associate\n", "tier: clerk\n    capacity: none\n    shift: 3\n", "7: staff[0].capacity: expected a number of open assignments, 1 or more"},
}

func TestMistakesSayWhereAndWhatWasExpected(t *testing.T) {
	t.Parallel()
	valid, err := Parse("r.yaml", []byte(whole))
	require.NoError(t, err)
	require.Len(t, valid.Policies, 2)
	for _, test := range mistakes {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, 1, strings.Count(whole, test.old), "what is changed is there once")
			_, err := Parse("r.yaml", []byte(strings.Replace(whole, test.old, test.new, 1)))
			var mistake *Error
			require.ErrorAs(t, err, &mistake)
			require.Equal(t, "r.yaml:"+test.want, err.Error())
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestBlocksThatAreLeftOut(t *testing.T) {
	t.Parallel()
	c, err := Parse("small.yaml", []byte(`
tiers: {agent: 1}
staff:            # nothing: people come from elsewhere
policies:
  p:
    title: Smallest
    overdue:
    ladder: [{tier: agent, queue: Anybody, tat: 1s, assign: "direct: somebody"}]
    resolution_reasons: [{code: done, title: Done}]
`))
	require.NoError(t, err)
	require.Equal(t, "Ringback", c.Organization)
	require.Nil(t, c.Staff)
	require.Equal(t, map[string][]string{"Anybody": nil}, c.Queues)
	p := c.Policies["p"]
	require.Equal(t, 1, p.CancelRank, "without a tier manager, the last step's")
	require.Equal(t, "somebody", p.Ladder[0].AssignTo)
	require.Nil(t, p.Calendar)
	require.Nil(t, p.Overdue)
	require.Zero(t, p.Tag)
	require.Zero(t, p.Completion)
	require.False(t, p.Reasons[0].WithoutContact)
	require.Equal(t, defaults(), c.Settings)
}

func TestWhatIsReadIsWhatIsWritten(t *testing.T) {
	t.Parallel()
	c, err := Parse("r.yaml", []byte(whole))
	require.NoError(t, err)
	require.Equal(t, "r.yaml", c.File)
	require.Equal(t, []string{"supervisor-callback", "executive-escalation"}, c.PolicyNames)
	require.Equal(t, []string{"freshdesk"}, c.Connectors.Names)
	require.Equal(t, map[string][]string{
		"Supervisors - RM": {"sup1"}, "Supervisors - Air": {"sup1"}, "Managers - RM": {"mgr1"}, "Elsewhere": {"mgr1"},
		"Executives": {"exec1"}, "Audited": nil,
	}, c.Queues)
	sup := c.Staff[1]
	require.Equal(t, 2, sup.Rank)
	require.Same(t, c.Calendars["weekdays"], sup.Shift)
	require.Equal(t, "weekdays", sup.ShiftName)
	require.Equal(t, map[string]string{"freshdesk": "1001", "oneview": "sup1"}, sup.Identities)
	require.Equal(t, "mgr1", sup.ReportsTo)
	require.Equal(t, []string{"2026-12-25"}, c.Calendars["weekdays"].Holidays)
	require.Equal(t, 3, c.Policies["executive-escalation"].CancelRank, "the manager's, wherever the ladder ends")
	golden(t, "testdata/supervisor-callback.json", canonical(c.Policies["supervisor-callback"]))
	// A running callback names its policy by this: it must not change for the same policy.
	require.Equal(t, "83a57e18ef4460068f8f32a81e997bd11e81283a10a17458b0e529125678f2f9", Hash(c.Policies["supervisor-callback"]))
	require.Equal(t, "904ebfead3c642001d5cbd0caaf202bddf5fce9c6a3c94accd4e02b98bb076e9", Hash(c.Policies["executive-escalation"]))
}

// TestTheHashIsOfTheContent: other spelling, same hash; other content, another one.
func TestTheHashIsOfTheContent(t *testing.T) {
	t.Parallel()
	hash := func(old, new string) string {
		require.Contains(t, whole, old)
		c, err := Parse("", []byte(strings.Replace(whole, old, new, 1)))
		require.NoError(t, err)
		return Hash(c.Policies["supervisor-callback"])
	}
	same := hash("", "")
	for _, change := range [][2]string{
		{"        tat: 1h", "        tat: 60m"},
		{"        assign: pull\n", ""},
		{"hold: {max: 24h}", "hold:\n      max: 24h # a day"},
		{"organization: Train support", "organization: Plane support"},
		{"title: Executive escalation", "title: Something else"},
	} {
		require.Equal(t, same, hash(change[0], change[1]), change[1])
	}
	for _, change := range [][2]string{
		{"        tat: 1h", "        tat: 61m"},
		{"supervisor: 2", "supervisor: 3"},
		{"title: Resolved on the call", "title: Resolved in the call"},
		{"2026-12-25", "2026-12-26"},
	} {
		require.NotEqual(t, same, hash(change[0], change[1]), change[1])
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "make it with UPDATE_GOLDEN=1")
	require.Equal(t, strings.TrimSuffix(string(want), "\n"), string(got))
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none.yaml")
	_, err := Load(Source{File: missing})
	require.EqualError(t, err, missing+": expected a file that can be read (no such file or directory)")
	folder := t.TempDir()
	_, err = Load(Source{Environ: []string{"RINGBACK_CONFIG=" + folder}})
	require.EqualError(t, err, folder+": expected a file that can be read (is a directory)")
}

var hexHash = regexp.MustCompile("^[0-9a-f]{64}$")

// lineBreak is what YAML takes for one.
var lineBreak = regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]")

// FuzzParse: whatever the file, there is a configuration or a mistake in words,
// never a panic; and what is accepted keeps the rules' own promises.
func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add(string(builtin))
	f.Add("tiers: &t {a: 1}\npolicies: *t\n")
	f.Add("a: &a [*a]\npolicies: &p {p: *p}\nstaff: &s [*s]\n")
	f.Add("tiers: {a: 1}\npolicies: {p: {title: T, ladder: [{tier: a, queue: q, tat: 1s, assign: {direct: [x]}}], resolution_reasons: [{code: c, title: d}]}}")
	f.Add("? {a: b}\n: [c]\n? \n: d\n!!binary x: !!set {}\n")
	f.Add("\xef\xbb\xbftiers: {a: !!int x, b: 0x10, c: .inf}\n")
	f.Add("%YAML 1.1\n--- !!map\nstaff: !!omap [a: 1]\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f.yaml", []byte(text))
		if err != nil {
			var mistake *Error
			if !errors.As(err, &mistake) || mistake.Expected == "" || mistake.File != "f.yaml" ||
				mistake.Line < 1 || mistake.Line > 1+len(lineBreak.FindAllString(text, -1)) {
				t.Fatalf("not a mistake with a place and an expectation: %#v", err)
			}
			return
		}
		if len(c.PolicyNames) == 0 || len(c.PolicyNames) != len(c.Policies) {
			t.Fatalf("policies %v", c.PolicyNames)
		}
		for name, p := range c.Policies {
			if err := p.Validate(); err != nil {
				t.Fatalf("accepted %s: %v", name, err)
			}
			if err := Accelerate(p, 1200).Validate(); err != nil {
				t.Fatalf("accelerated %s: %v", name, err)
			}
			if !hexHash.MatchString(Hash(p)) {
				t.Fatalf("hash %s", Hash(p))
			}
		}
	})
}

// TestNearest: slips of the pen are recognised, other words are not.
func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"tier", "title", "tat", "queue"}
	for got, want := range map[string]string{
		"teir": "tier", "Title": "title", "titel": "title", "quue": "queue", "queues": "queue", "tta": "tat", "rank": "", "": "", "q": "", "ta": "tat",
	} {
		require.Equal(t, want, nearest(got, names), got)
	}
	require.Equal(t, 1, slips("ab", "ba"))
	require.Equal(t, 3, slips("kitten", "sitting"))
	require.Equal(t, strconv.Itoa(2), fmt.Sprint(slips("über", "uber ")))
	require.True(t, slices.Contains(names, nearest("tite", names)))
}
