package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
)

const connected = `tiers: {agent: 1}
staff:
  - {id: a1, name: Agent One, tier: agent, queues: [Courtesy]}
policies:
  courtesy-call:
    title: Courtesy call
    ladder: [{tier: agent, queue: Courtesy, tat: 4h}]
    resolution_reasons: [{code: done, title: Done}]
connectors:
  freshdesk:
    url: https://acme.example
    api_key_env: ACME_KEY
    policy: courtesy-call
    groups: {Courtesy: 101}
    poll_every: 30s
  mailbox: {assign: {default: a1}, routes: [{user_id: "BPO1*", policy: courtesy-call}]}
  webhooks:
    - {url: https://example.com/one, secret_env: HOOK, types: [completed, escalated]}
    - {url: https://example.com/two, secret_env: HOOK}
`

func connectedWith(t *testing.T, data string, environment map[string]string) *Config {
	t.Helper()
	c, err := load("r.yaml", []byte(data), nil, nil, environment)
	require.NoError(t, err)
	return c
}

func TestConnectorsAreReadByWhoeverMakesThem(t *testing.T) {
	t.Parallel()
	c := connectedWith(t, connected, map[string]string{"ACME_KEY": "s3cret"})
	require.Equal(t, []string{"freshdesk", "mailbox", "webhooks"}, c.Connectors.Names)
	require.Empty(t, c.Connectors.Blocks("oneview"))
	b := c.Connectors.Blocks("freshdesk")[0]
	require.Equal(t, "https://acme.example", b.Text("url", "an address"))
	require.Equal(t, "s3cret", b.Secret("api_key_env"))
	require.Equal(t, "courtesy-call", b.Policy("policy", true))
	require.Equal(t, map[string]int64{"Courtesy": 101}, b.NumberByName("groups", "group ids"))
	require.Equal(t, 30*time.Second, b.Duration("poll_every", "1m"))
	require.Zero(t, b.Duration("sweep_every", "1m"))
	require.Empty(t, b.OptionalSecret("webhook_token_env"))
	require.True(t, b.Bool("flag", true))
	require.Zero(t, b.Number("calls_per_minute", "a number", 1))
	require.NoError(t, b.Err())
	require.NoError(t, b.Unset())
	require.Contains(t, b.Asked(), "sweep_every")
	require.EqualError(t, b.Wrong("groups.Courtesy", "expected another id"), "r.yaml:14: connectors.freshdesk.groups.Courtesy: expected another id")
	require.EqualError(t, b.Wrong("nowhere", "something"), "r.yaml:10: connectors.freshdesk.nowhere: expected something")

	mailbox := c.Connectors.Blocks("mailbox")[0]
	require.Equal(t, map[string]string{"default": "a1"}, mailbox.StaffByName("assign", "people by address"))
	routes := mailbox.List("routes", "routes")
	require.Len(t, routes, 1)
	require.Equal(t, "BPO1*", routes[0].Optional("user_id"))
	require.Equal(t, "courtesy-call", routes[0].Policy("policy", true))
	mailbox.Join(routes...)
	require.NoError(t, mailbox.Err())
	require.EqualError(t, mailbox.Wrong("routes[0].policy", "expected more"), "r.yaml:16: connectors.mailbox.routes[0].policy: expected more")

	hooks := c.Connectors.Blocks("webhooks")
	require.Len(t, hooks, 2)
	require.Equal(t, []callback.EventType{callback.TypeCompleted, callback.TypeEscalated}, hooks[0].EventTypes("types"))
	require.Empty(t, hooks[1].EventTypes("types"))
	require.Empty(t, hooks[0].Secret("secret_env"))
	require.EqualError(t, hooks[0].Unset(), "r.yaml:18: connectors.webhooks[0].secret_env: expected the environment variable HOOK to hold the secret; it is not set")
	require.EqualError(t, hooks[0].Err(), `r.yaml:18: connectors.webhooks[0].url: expected a known key: secret_env, types`)
}

func TestMistakesInConnectorsSayWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data string
		read func(b *Block)
		want string
	}{
		"a key that nobody asks for": {"{urk: x}", func(b *Block) { b.Text("url", "an address") },
			`r.yaml:10: connectors.freshdesk.urk: expected a known key; did you mean "url"?`},
		"what must be there": {"{}", func(b *Block) { b.Text("url", "an address") }, "r.yaml:10: connectors.freshdesk.url: expected an address"},
		"another policy": {"{policy: courtesy}", func(b *Block) { b.Policy("policy", true) },
			"r.yaml:10: connectors.freshdesk.policy: expected one of the policies: courtesy-call"},
		"nobody": {"{assign: {default: a2}}", func(b *Block) { b.StaffByName("assign", "people") },
			`r.yaml:10: connectors.freshdesk.assign.default: expected the id of somebody under staff; did you mean "a1"?`},
		"no queue": {"{queue: Courtesi}", func(b *Block) { b.Queue("queue") },
			`r.yaml:10: connectors.freshdesk.queue: expected one of the queues; did you mean "Courtesy"?`},
		"no number": {"{groups: {Courtesy: many}}", func(b *Block) { b.NumberByName("groups", "ids of groups") },
			"r.yaml:10: connectors.freshdesk.groups.Courtesy: expected ids of groups"},
		"no type": {"{types: [done]}", func(b *Block) { b.EventTypes("types") },
			"r.yaml:10: connectors.freshdesk.types[0]: expected a type of timeline entries, not \"done\""},
		"a key of an inner block": {"{routes: [{polizy: x}]}", func(b *Block) {
			routes := b.List("routes", "routes")
			routes[0].Policy("policy", false)
			b.Join(routes...)
		}, `r.yaml:10: connectors.freshdesk.routes[0].polizy: expected a known key; did you mean "policy"?`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := connected[:strings.Index(connected, "  freshdesk:")] + "  freshdesk: " + c.data + "\n"
			b := connectedWith(t, data, nil).Connectors.Blocks("freshdesk")[0]
			c.read(b)
			require.EqualError(t, b.Err(), c.want)
		})
	}
	_, err := Parse("r.yaml", []byte(connected+"  smtp: [x]\n"))
	require.EqualError(t, err, "r.yaml:20: connectors.smtp: expected a mapping with the keys of this connector")
}
