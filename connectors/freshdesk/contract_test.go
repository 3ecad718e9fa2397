package freshdesk

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
	"ringback/connectors/freshdesk/freshdeskfake"
)

// account is what the contract suite is pointed at.
type account struct {
	url, key string
	// ticket may be changed in any way; group is one that it is not in; agent is one
	// in whose name the key may write.
	ticket, agent string
	group         int64
}

// TestContract is what this package relies on. It runs against the fake, and
// against a real account where RINGBACK_TEST_FRESHDESK_URL, _API_KEY, _TICKET (one
// that may be changed), _GROUP and _AGENT (ids) say which.
func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		fake := freshdeskfake.New(apiKey, time.Now)
		fake.AddGroup(rm, "Supervisors - RM")
		fake.AddAgent(1011, "Supervisor One")
		fake.Add(freshdeskfake.Ticket{ID: 7, Subject: "Contract", Requester: freshdeskfake.Requester{ID: 1, Name: "Nobody", Phone: connectortest.Phone(1)}})
		server := httptest.NewServer(fake.Handler())
		t.Cleanup(server.Close)
		contract(t, account{url: server.URL, key: apiKey, ticket: "7", agent: "1011", group: rm})
	})
	env := func(name string) string { return os.Getenv("RINGBACK_TEST_FRESHDESK_" + name) }
	if env("URL") == "" {
		return // set RINGBACK_TEST_FRESHDESK_URL, _API_KEY, _TICKET, _GROUP and _AGENT to run this against one
	}
	t.Run("account", func(t *testing.T) {
		t.Parallel()
		group, err := strconv.ParseInt(env("GROUP"), 10, 64)
		require.NoError(t, err, "RINGBACK_TEST_FRESHDESK_GROUP")
		contract(t, account{env("URL"), env("API_KEY"), env("TICKET"), env("AGENT"), group})
	})
}

func contract(t *testing.T, a account) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	policy := connectortest.SupervisorCallback()
	desk := connectortest.NewDesk(time.Now, policy)
	people := connectortest.Floor()
	for i := range people {
		if people[i].ID == "sup1" {
			people[i].Identities = map[string]string{Name: a.agent}
		}
	}
	desk.Hire(people...)
	c := Config{URL: a.url, APIKey: a.key, Policy: policy.Name, Groups: map[string]int64{policy.Ladder[0].Queue: a.group}}
	deps := connectors.Deps{Desk: desk, Memory: connectortest.NewMemory(), Kept: &connectortest.Kept{}}
	f, err := New(c, deps)
	require.NoError(t, err)
	require.NoError(t, f.Check(ctx))

	start := time.Now().Add(-time.Minute)
	require.NoError(t, f.change(ctx, a.ticket, change{add: "ringback-contract"}))
	id, err := desk.Promise(ctx, Name, a.ticket, connectors.Promise{
		Policy: policy.Name, Customer: book.Customer{Name: "Nobody", Phone: connectortest.Phone(1)},
		Source: book.Source{System: Name, Ref: a.ticket},
	})
	require.NoError(t, err)
	require.NoError(t, desk.Deliver(ctx, f, id))
	ticket, err := f.ticket(ctx, a.ticket)
	require.NoError(t, err)
	require.True(t, wearing(ticket.Tags, "Callback Required"))
	require.True(t, wearing(ticket.Tags, "ringback-contract"), "tags of others stay")
	require.Equal(t, a.group, ticket.GroupID)
	require.NotEmpty(t, ticket.Requester.ID)

	changed, err := f.changed(ctx, start, 1)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(changed, func(c ticketOfList) bool { return string(c.ID) == a.ticket }), "a change shows in the list")

	for i, command := range []struct {
		name string
		body any
	}{
		{"claim", nil}, {"start", nil}, {"attempts", reached()}, {"complete", resolved("A summary with <b>marks</b> & signs")},
	} {
		require.NoError(t, desk.Do(ctx, strconv.Itoa(i), "sup1", id, command.name, command.body))
	}
	require.NoError(t, desk.Deliver(ctx, f, id))
	ticket, err = f.ticket(ctx, a.ticket)
	require.NoError(t, err)
	require.False(t, wearing(ticket.Tags, "Callback Required"))

	// What may have arrived is found by its operation id, and is its author's.
	var operation string
	for _, e := range desk.Events(id) {
		if e.Fact.Type() == callback.TypeNoted {
			operation = connectors.OperationID(id, Name, e.Seq)
		}
	}
	note, err := f.find(ctx, a.ticket, operation)
	require.NoError(t, err)
	require.NotNil(t, note, "the note is there")
	require.Equal(t, a.agent, strconv.FormatInt(note.UserID, 10))
	require.Contains(t, note.Body, "&lt;b&gt;marks&lt;/b&gt;")
	require.NoError(t, f.call(ctx, http.MethodDelete, "/conversations/"+strconv.FormatInt(note.ID, 10), nil, nil))
	require.NoError(t, f.change(ctx, a.ticket, change{remove: "ringback-contract"}))

	_, err = f.ticket(ctx, "999999999")
	require.Equal(t, connectors.Gone, owed(t, err).Code)
	c.APIKey = "no-such-key"
	stranger, err := New(c, deps)
	require.NoError(t, err)
	require.Equal(t, connectors.Unauthorized, owed(t, stranger.Check(ctx)).Code)
}

type ticketOfList = ticket
