package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/config"
)

func TestExamplesMatchTheirPattern(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"^[A-Z0-9-]{4,20}$", "[a-z]+@[a-z]+", `\d{3}-\d{2,}`, "(yes|no)", "ORD-(19|20)[0-9]{2}", "[^A-Z0-9]?x", `[\x{3b1}-\x{3c9}]{2}`, ".{5}", "a*b+c?", "(?i)abc",
	} {
		require.Regexp(t, "^(?:"+pattern+")$", exampleOf(pattern))
	}
}

// One curl is printed under whatever policies there are (CONTRACT §2).
func TestTheExampleCanBePromised(t *testing.T) {
	t.Parallel()
	creator, body := example(config.Builtin())
	require.Equal(t, "assoc1", creator)
	require.True(t, json.Valid([]byte(body)), body)
	require.NotContains(t, body, "fields")

	demanding, err := config.Parse("demanding.yaml", []byte(`
tiers: {associate: 1}
staff: [{id: boss, name: Boss, tier: associate, queues: [Q], roles: [admin]}]
policies:
  p:
    title: P
    ladder: [{tier: associate, queue: Q, tat: 1h}]
    fields: [{name: order_number, required: true, pattern: "^[A-Z0-9-]{4,20}$"}, {name: why, required: true}, {name: more}]
    resolution_reasons: [{code: done, title: Done}]
`))
	require.NoError(t, err)
	creator, body = example(demanding)
	require.Equal(t, "boss", creator, "nobody else is there")
	var asked struct {
		Policy string
		Fields map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(body), &asked))
	require.Empty(t, demanding.Policies[asked.Policy].CheckFields(asked.Fields))
	require.Len(t, asked.Fields, 2)
}
