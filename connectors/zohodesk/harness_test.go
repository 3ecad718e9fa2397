package zohodesk

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

// account are the credentials of the fake.
var account = zohodeskfake.Account{
	OrgID: "60001", DepartmentID: "70001", ClientID: "1000.CLIENT", ClientSecret: "secret-5f1d", RefreshToken: "1000.refresh-9c2e",
}

// floor is a desk beside an organization's Zoho Desk.
type floor struct {
	*Zoho
	t      *testing.T
	fake   *zohodeskfake.Fake
	desk   *connectortest.Desk
	memory *connectortest.Memory
	kept   *connectortest.Kept
	clock  *connectortest.Clock
	log    *bytes.Buffer
	n      int
}

func newFloor(t *testing.T, changes ...func(*Config)) *floor {
	t.Helper()
	clock := connectortest.NewClock()
	var agents []string
	for _, s := range connectortest.Floor() {
		if s.Identities[Identity] != "" {
			agents = append(agents, s.Identities[Identity])
		}
	}
	fl := &floor{
		t: t, fake: zohodeskfake.New(account, clock.Now, agents...), memory: connectortest.NewMemory(), kept: &connectortest.Kept{}, clock: clock,
		log:  &bytes.Buffer{},
		desk: connectortest.NewDesk(clock.Now, connectortest.SupervisorCallback(), connectortest.CallbackException(), connectortest.ExecutiveEscalation()),
	}
	fl.desk.Hire(connectortest.Floor()...)
	server := httptest.NewServer(fl.fake.Handler())
	t.Cleanup(server.Close)
	c := Config{
		URL: server.URL, AccountsURL: server.URL, OrgID: account.OrgID, DepartmentID: account.DepartmentID,
		ClientID: account.ClientID, ClientSecret: account.ClientSecret, RefreshToken: account.RefreshToken,
		Tickets: []string{"executive-escalation"},
	}
	for _, change := range changes {
		change(&c)
	}
	var err error
	fl.Zoho, err = New(c, connectors.Deps{
		Desk: fl.desk, Memory: fl.memory, Kept: fl.kept, Logger: slog.New(slog.NewTextHandler(fl.log, nil)), Now: clock.Now, Sleep: clock.Sleep,
	})
	require.NoError(t, err)
	return fl
}

// promise promises a callback of a policy, each with a source of its own.
func (fl *floor) promise(policy string) string {
	fl.t.Helper()
	fl.n++
	id, err := fl.desk.Promise(context.Background(), "associate", strconv.Itoa(fl.n), connectors.Promise{
		Policy: policy, Customer: book.Customer{Name: "Asha Rao", Phone: connectortest.Phone(fl.n), Email: "asha@example.com"}, Reason: "Part did not come",
		Source: book.Source{System: "servicebench", Ref: strconv.Itoa(fl.n)},
	})
	require.NoError(fl.t, err)
	return id
}

func (fl *floor) do(who, callbackID, name string, body map[string]any) {
	fl.t.Helper()
	key := strconv.FormatInt(fl.desk.View(callbackID).State.Version, 10)
	require.NoError(fl.t, fl.desk.Do(context.Background(), key, who, callbackID, name, body))
}

func (fl *floor) deliver(callbackID string) error {
	return fl.desk.Deliver(context.Background(), fl.Zoho, callbackID)
}

// task is the one task that there is, or ticket.
func (fl *floor) only(tickets bool) zohodeskfake.Item {
	fl.t.Helper()
	items := fl.fake.Items(tickets)
	require.Len(fl.t, items, 1)
	return items[0]
}

// worked is a callback that agent1 works, with its task.
func (fl *floor) worked() (id, task string) {
	fl.t.Helper()
	id = fl.promise("callback-exception")
	fl.do("agent1", id, "claim", nil)
	fl.do("agent1", id, "start", nil)
	require.NoError(fl.t, fl.deliver(id))
	r, err := fl.known(context.Background(), id)
	require.NoError(fl.t, err)
	return id, r.ID
}

// edit changes a task there by hand, a second later.
func (fl *floor) edit(agent, id string, change func(*zohodeskfake.Item)) {
	fl.clock.Advance(time.Second)
	fl.fake.Edit(agent, id, change)
}

func status(s string) func(*zohodeskfake.Item) { return func(i *zohodeskfake.Item) { i.Status = s } }

// work works off everything that was hinted at.
func (fl *floor) work() {
	fl.t.Helper()
	for {
		some, err := fl.events.Once(context.Background(), fl.hinted)
		require.NoError(fl.t, err)
		if !some {
			return
		}
	}
}

// subscribed lets the fake send its events to the connector over HTTP.
func (fl *floor) subscribed() {
	fl.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(fl.Receive))
	fl.t.Cleanup(server.Close)
	fl.config.WebhookURL = server.URL
	require.NoError(fl.t, fl.subscribe(context.Background()))
	fl.fake.Deliver = true
}

func (fl *floor) state(id string) *callback.Callback { return fl.desk.View(id).State }

// owed is the reason why a delivery is owed.
func owed(t *testing.T, err error) *connectors.Owed {
	t.Helper()
	var o *connectors.Owed
	require.ErrorAs(t, err, &o)
	for _, secret := range []string{account.ClientSecret, account.RefreshToken, "1000.access"} {
		require.NotContains(t, o.Detail, secret)
		require.NotContains(t, o.Error(), secret)
	}
	return o
}
