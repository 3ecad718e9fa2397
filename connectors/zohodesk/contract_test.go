package zohodesk

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/zohodesk/zohodeskfake"
)

// TestContract is what this package relies on. It runs against the fake, and
// against a real organization where RINGBACK_TEST_ZOHO_URL, _ACCOUNTS_URL, _ORG_ID,
// _DEPARTMENT_ID, _CLIENT_ID, _CLIENT_SECRET, _REFRESH_TOKEN and _AGENT (the id of an
// agent who may own tasks) say which. It leaves a task and a ticket there, closed.
func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		fake := zohodeskfake.New(account, time.Now, "2001")
		server := httptest.NewServer(fake.Handler())
		t.Cleanup(server.Close)
		contract(t, "2001", Config{
			URL: server.URL, AccountsURL: server.URL, OrgID: account.OrgID, DepartmentID: account.DepartmentID,
			ClientID: account.ClientID, ClientSecret: account.ClientSecret, RefreshToken: account.RefreshToken,
		})
	})
	env := func(name string) string { return os.Getenv("RINGBACK_TEST_ZOHO_" + name) }
	if env("URL") == "" {
		return // set RINGBACK_TEST_ZOHO_URL, _ACCOUNTS_URL, _ORG_ID, _DEPARTMENT_ID, _CLIENT_ID, _CLIENT_SECRET, _REFRESH_TOKEN and _AGENT to run this against one
	}
	t.Run("organization", func(t *testing.T) {
		t.Parallel()
		contract(t, env("AGENT"), Config{
			URL: env("URL"), AccountsURL: env("ACCOUNTS_URL"), OrgID: env("ORG_ID"), DepartmentID: env("DEPARTMENT_ID"),
			ClientID: env("CLIENT_ID"), ClientSecret: env("CLIENT_SECRET"), RefreshToken: env("REFRESH_TOKEN"),
		})
	})
}

func contract(t *testing.T, agent string, c Config) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c.Tickets, c.DefaultReason, c.SummaryField = []string{"executive-escalation"}, "information_given", ""
	desk := connectortest.NewDesk(time.Now, connectortest.CallbackException(), connectortest.ExecutiveEscalation())
	people := connectortest.Floor()
	for i := range people {
		if people[i].ID == "agent1" || people[i].ID == "exec1" {
			people[i].Identities = map[string]string{Identity: agent}
		}
	}
	desk.Hire(people...)
	deps := connectors.Deps{Desk: desk, Memory: connectortest.NewMemory(), Kept: &connectortest.Kept{}}
	z, err := New(c, deps)
	require.NoError(t, err)
	require.NoError(t, z.Check(ctx))

	promise := func(policy string) (string, *record) {
		id, err := desk.Promise(ctx, "contract", policy, connectors.Promise{
			Policy: policy, Customer: book.Customer{Name: "Nobody", Phone: connectortest.Phone(1)}, Reason: "Contract <test> & more",
		})
		require.NoError(t, err)
		require.NoError(t, desk.Deliver(ctx, z, id))
		r, err := z.known(ctx, id)
		require.NoError(t, err)
		return id, r
	}
	n := 0
	do := func(who, id, name string, body map[string]any) {
		n++
		require.NoError(t, desk.Do(ctx, strconv.Itoa(n), who, id, name, body))
		require.NoError(t, desk.Deliver(ctx, z, id))
	}

	// A task is as it was written, and is found again by the list and by its subject.
	id, r := promise("callback-exception")
	i, err := z.fetch(ctx, tasks, r.ID, "")
	require.NoError(t, err)
	require.Equal(t, "Not Started", i.Status)
	require.False(t, i.closed())
	require.WithinDuration(t, time.Now(), i.CreatedTime.Time, skew)
	found, err := z.lookFor(ctx, tasks, id, time.Now())
	require.NoError(t, err)
	require.NotNil(t, found)
	require.Equal(t, r.ID, string(found.ID))
	do("agent1", id, "claim", nil)
	do("agent1", id, "start", nil)
	i, err = z.fetch(ctx, tasks, r.ID, "")
	require.NoError(t, err)
	require.Equal(t, "In Progress", i.Status)
	require.Equal(t, agent, string(i.OwnerID))
	changed, err := z.list(ctx, tasks, "-modifiedTime", 0)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(changed, func(c item) bool { return string(c.ID) == r.ID && c.Status == "In Progress" }))
	do("agent1", id, "release", map[string]any{"reason": "contract"})
	i, err = z.fetch(ctx, tasks, r.ID, "")
	require.NoError(t, err)
	require.Empty(t, i.OwnerID, "nobody's again")

	// Completed there is completed here; we are the same account, so it is whose it is.
	do("agent1", id, "claim", nil)
	do("agent1", id, "start", nil)
	require.NoError(t, z.call(ctx, http.MethodPatch, "/tasks/"+r.ID, map[string]any{"status": "Completed"}, nil))
	require.NoError(t, z.poll(ctx))
	require.Equal(t, callback.StatusCompleted, desk.View(id).State.Status)
	require.NoError(t, desk.Deliver(ctx, z, id))
	i, err = z.fetch(ctx, tasks, r.ID, "")
	require.NoError(t, err)
	require.True(t, i.closed())

	// A ticket, its tags, a private comment, its resolution.
	id, r = promise("executive-escalation")
	do("exec1", id, "start", nil)
	require.NoError(t, z.comment(ctx, r, "operation-1", false, "Contract"))
	require.NoError(t, z.comment(ctx, r, "operation-1", true, "Contract"))
	var comments struct {
		Data []struct {
			IsPublic bool `json:"isPublic"`
		} `json:"data"`
	}
	require.NoError(t, z.call(ctx, http.MethodGet, "/tickets/"+r.ID+"/comments", nil, &comments))
	require.Len(t, comments.Data, 1)
	require.False(t, comments.Data[0].IsPublic)
	do("exec1", id, "complete", map[string]any{"resolution_reason": "resolved"})
	i, err = z.fetch(ctx, tickets, r.ID, "")
	require.NoError(t, err)
	require.True(t, i.closed())

	_, err = z.fetch(ctx, tasks, "999999999999999999", "")
	require.Equal(t, connectors.Gone, owed(t, err).Code)
	c.RefreshToken = "1000.no.such"
	stranger, err := New(c, deps)
	require.NoError(t, err)
	require.Equal(t, connectors.Unauthorized, owed(t, stranger.Check(ctx)).Code)
}
