package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
)

func TestBuiltinHasEveryPolicyOfTheRules(t *testing.T) {
	t.Parallel()
	c := Builtin()
	require.Equal(t, []string{
		"supervisor-callback", "callback-exception", "customer-service-escalation", "executive-escalation", "tier3-escalation", "purchasing-escalation",
	}, c.PolicyNames)
	require.Empty(t, c.File)
	for _, name := range c.PolicyNames {
		p := c.Policies[name]
		require.NoError(t, p.Validate())
		require.Nil(t, p.Calendar, "a first look works at any hour")
		require.NotNil(t, p.Overdue, "R10: somebody is always chased")
		require.Equal(t, c.Tiers["manager"], p.CancelRank)
		for _, s := range p.Ladder {
			require.Equal(t, callback.Duration(time.Hour), s.TAT, "R02")
			require.Equal(t, c.Tiers[s.Tier], s.Rank)
			require.Equal(t, []callback.Warning{"50%", "90%"}, s.WarnAt)
			for _, q := range append([]string{s.Queue}, values(s.QueueByLOB)...) {
				require.NotEmpty(t, c.Queues[q], q)
				for _, id := range c.Queues[q] {
					require.GreaterOrEqual(t, person(t, c, id).Rank, s.Rank, "%s works %s", id, q)
				}
			}
		}
		if name == "purchasing-escalation" {
			continue
		}
		require.Equal(t, callback.CompletionRule{Contact: true, CallSummary: true}, p.Completion, "R09, R12: the customer is called")
		unreachable, ok := p.Reason("unreachable")
		require.True(t, ok)
		require.Equal(t, callback.Reason{Code: "unreachable", Title: "Customer could not be reached", WithoutContact: true, AfterAttempts: 3}, unreachable)
		require.Equal(t, callback.AttemptRule{Max: 3, Spacing: callback.Duration(10 * time.Minute)}, p.Attempts)
	}
}

func TestR03_BuiltinSupervisorCallback(t *testing.T) {
	t.Parallel()
	c := Builtin()
	p := c.Policies["supervisor-callback"]
	require.Equal(t, callback.TagRule{Required: "Callback Required", Unserved: "Callback Not Served"}, p.Tag)
	require.Len(t, p.Ladder, 2)
	require.Equal(t, callback.Step{
		Tier: "supervisor", Rank: 2, Queue: "Supervisors - RM", QueueByLOB: map[string]string{"flights": "Supervisors - Air"},
		TAT: callback.Duration(time.Hour), WarnAt: []callback.Warning{"50%", "90%"}, Assign: callback.AssignPull,
		StartWithin: callback.Duration(15 * time.Minute),
	}, p.Ladder[0])
	require.Equal(t, "manager", p.Ladder[1].Tier)
	require.Equal(t, "Managers - RM", p.Ladder[1].Queue)
	require.Equal(t, &callback.ChaseRule{Every: callback.Duration(15 * time.Minute), Max: callback.Duration(4 * time.Hour)}, p.Overdue)
	require.Equal(t, callback.Duration(24*time.Hour), p.CloseWithin)
	require.Equal(t, callback.Duration(24*time.Hour), p.HoldMax)
	require.Contains(t, c.Queues["Supervisors - RM"], "sup1")
	require.Contains(t, c.Queues["Managers - RM"], "mgr1")
	require.GreaterOrEqual(t, len(c.Queues["Supervisors - RM"]), 2, "a race for a claim needs two")
}

func tiers(p *callback.Policy) (names []string) {
	for _, s := range p.Ladder {
		names = append(names, s.Tier)
	}
	return names
}

func TestR14_BuiltinCallbackException(t *testing.T) {
	t.Parallel()
	p := Builtin().Policies["callback-exception"]
	require.Equal(t, []string{"agent", "supervisor", "manager"}, tiers(p))
	require.Equal(t, "Callback BPO 1", p.Ladder[0].Queue)
}

func TestR19_BuiltinCustomerServiceEscalation(t *testing.T) {
	t.Parallel()
	c := Builtin()
	p := c.Policies["customer-service-escalation"]
	require.Equal(t, []string{"supervisor", "manager"}, tiers(p))
	require.Equal(t, callback.AssignDirectSupervisor, p.Ladder[0].Assign)
	for _, s := range c.Staff {
		if s.Tier == "associate" && len(s.Roles) == 0 {
			require.Contains(t, c.Queues[p.Ladder[0].Queue], s.ReportsTo, "the supervisor of %s works the queue", s.ID)
		}
	}
}

func TestR20_BuiltinExecutiveEscalation(t *testing.T) {
	t.Parallel()
	p := Builtin().Policies["executive-escalation"]
	require.Equal(t, []string{"executive"}, tiers(p))
	require.Equal(t, callback.AssignDirect, p.Ladder[0].Assign)
	require.Equal(t, "exec1", p.Ladder[0].AssignTo)
}

func TestR21_BuiltinTier3Escalation(t *testing.T) {
	t.Parallel()
	c := Builtin()
	p := c.Policies["tier3-escalation"]
	require.Equal(t, []string{"tier3", "supervisor", "manager"}, tiers(p))
	require.Equal(t, callback.AssignRandom, p.Ladder[0].Assign)
	require.GreaterOrEqual(t, len(c.Queues["Tier 3"]), 3, "fairness shows among several")
	for _, id := range c.Queues["Tier 3"] {
		require.Nil(t, person(t, c, id).Shift, "a draw finds somebody at any hour")
		require.Positive(t, person(t, c, id).Capacity)
	}
}

func TestR22_BuiltinPurchasingEscalation(t *testing.T) {
	t.Parallel()
	p := Builtin().Policies["purchasing-escalation"]
	require.Equal(t, []string{"purchasing", "manager"}, tiers(p))
	require.Empty(t, p.CheckFields(map[string]string{"order_number": "PO-4711", "what_is_needed": "A longer hose"}))
	require.Equal(t, []callback.FieldError{
		{Path: "fields.order_number", Message: "expected a value that matches ^[A-Z0-9-]{4,20}$"},
		{Path: "fields.what_is_needed", Message: "is required by this policy"},
	}, p.CheckFields(map[string]string{"order_number": "po 1"}))
	require.False(t, p.Completion.Contact)
}

func TestBuiltinPeople(t *testing.T) {
	t.Parallel()
	c := Builtin()
	for id, tier := range map[string]string{
		"sup1": "supervisor", "sup2": "supervisor", "sup3": "supervisor", "mgr1": "manager", "mgr2": "manager", "exec1": "executive", "tech1": "tier2",
	} {
		require.Equal(t, tier, person(t, c, id).Tier)
	}
	require.Equal(t, []string{"auditor"}, person(t, c, "aud1").Roles)
	require.Equal(t, []string{"admin"}, person(t, c, "admin1").Roles)
	require.NotNil(t, person(t, c, "buyer1").Shift, "a shift to learn from, where nothing is drawn")
	for _, s := range c.Staff {
		for up := s; len(s.Roles) == 0; {
			if up.ReportsTo == "" {
				require.Equal(t, "executive", up.Tier, "where the chain from %s ends", s.ID)
				break
			}
			above := person(t, c, up.ReportsTo)
			require.Greater(t, above.Rank, up.Rank-1)
			up = above
		}
	}
}

// TestBuiltinTextIsForCopying: the file that a newcomer copies gives the same as the built-in one, and it loads as it is.
func TestBuiltinTextIsForCopying(t *testing.T) {
	t.Parallel()
	c, err := Parse("copy.yaml", BuiltinYAML())
	require.NoError(t, err)
	for name, p := range Builtin().Policies {
		require.Equal(t, Hash(p), Hash(c.Policies[name]))
	}
	// What is commented out loads too.
	text := string(BuiltinYAML())
	require.Contains(t, text, "    # calendar: weekdays ")
	text = strings.Replace(text, "# calendar: weekdays ", "calendar: weekdays #", 1)
	for _, block := range []string{"server", "database", "temporal", "embedded", "telemetry"} {
		require.Contains(t, text, "\n# "+block+": {")
		text = strings.Replace(text, "\n# "+block+": {", "\n"+block+": {", 1)
	}
	c, err = Parse("copy.yaml", []byte(text))
	require.NoError(t, err)
	require.NotNil(t, c.Policies["purchasing-escalation"].Calendar)
	require.Equal(t, defaults(), c.Settings, "it shows the defaults")
}

func TestAccelerate(t *testing.T) {
	t.Parallel()
	c, err := Parse("r.yaml", []byte(whole))
	require.NoError(t, err)
	before := Hash(c.Policies["supervisor-callback"])
	p := c.Accelerate(1200).Policies["supervisor-callback"]
	require.Equal(t, before, Hash(c.Policies["supervisor-callback"]), "the original is left alone")
	require.NoError(t, p.Validate())
	require.Nil(t, p.Calendar)
	require.Equal(t, "3s", p.Ladder[0].TAT.String())
	require.Equal(t, []callback.Warning{"50%", "90%", "1s"}, p.Ladder[0].WarnAt)
	require.Equal(t, "1s", p.Ladder[0].StartWithin.String(), "never below 1s")
	require.Zero(t, p.Ladder[1].StartWithin)
	require.Equal(t, "1s", p.Overdue.Every.String())
	require.Equal(t, "12s", p.Overdue.Max.String())
	require.Equal(t, "1m12s", p.CloseWithin.String())
	require.Equal(t, "1m12s", p.HoldMax.String())
	require.Equal(t, "1s", p.Attempts.Spacing.String())
	require.Equal(t, 3, p.Attempts.Max)
	require.Equal(t, "1m12s", Accelerate(c.Policies["executive-escalation"], 1200).HoldMax.String(), "the default is scaled too")
}

// TestDeployedConfiguration: the file that the compose file serves is a valid one.
func TestDeployedConfiguration(t *testing.T) {
	t.Parallel()
	_, err := Load(Source{File: "../deploy/ringback.yaml"})
	require.NoError(t, err)
}

func person(t *testing.T, c *Config, id string) book.Staff {
	t.Helper()
	i := slices.IndexFunc(c.Staff, func(s book.Staff) bool { return s.ID == id })
	require.GreaterOrEqual(t, i, 0, id)
	return c.Staff[i]
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}
