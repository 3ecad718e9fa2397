package freshdesk

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/freshdesk/freshdeskfake"
)

const (
	apiKey  = "key-0f8fad5b"
	token   = "token-d9cb469f"
	rm      = 101
	mgr     = 102
	elsewhr = 900
)

// floor is a desk beside an account of Freshdesk.
type floor struct {
	*Freshdesk
	t       *testing.T
	fake    *freshdeskfake.Fake
	desk    *connectortest.Desk
	memory  *connectortest.Memory
	kept    *connectortest.Kept
	clock   *connectortest.Clock
	log     *bytes.Buffer
	address string
}

func newFloor(t *testing.T, changes ...func(*Config)) *floor {
	t.Helper()
	clock := connectortest.NewClock()
	fl := &floor{
		t: t, fake: freshdeskfake.New(apiKey, clock.Now), memory: connectortest.NewMemory(), kept: &connectortest.Kept{},
		clock: clock, log: &bytes.Buffer{},
		desk: connectortest.NewDesk(clock.Now, connectortest.SupervisorCallback(), connectortest.CallbackException()),
	}
	fl.desk.Hire(connectortest.Floor()...)
	for id, name := range map[int64]string{rm: "Supervisors - RM", mgr: "Managers - RM", elsewhr: "Billing"} {
		fl.fake.AddGroup(id, name)
	}
	for _, s := range connectortest.Floor() {
		if id, err := strconv.ParseInt(s.Identities[Name], 10, 64); err == nil {
			fl.fake.AddAgent(id, s.Name)
		}
	}
	server := httptest.NewServer(fl.fake.Handler())
	t.Cleanup(server.Close)
	fl.address = server.URL
	c := Config{
		URL: server.URL, APIKey: apiKey, WebhookToken: token, Policy: "supervisor-callback",
		Groups: map[string]int64{"Supervisors - RM": rm, "Managers - RM": mgr},
	}
	for _, change := range changes {
		change(&c)
	}
	var err error
	fl.Freshdesk, err = New(c, connectors.Deps{
		Desk: fl.desk, Memory: fl.memory, Kept: fl.kept, Logger: slog.New(slog.NewTextHandler(fl.log, nil)), Now: clock.Now, Sleep: clock.Sleep,
	})
	require.NoError(t, err)
	return fl
}

// ticket makes a ticket of a customer with a phone.
func (fl *floor) ticket(id, group int64, tags ...string) {
	fl.fake.Add(freshdeskfake.Ticket{
		ID: id, Subject: "Refund of a missed train", Tags: tags, GroupID: group,
		Requester: freshdeskfake.Requester{ID: 70000 + id, Name: "Asha Rao", Phone: connectortest.Phone(int(id))},
	})
}

// promise promises a callback for a ticket, as an associate does.
func (fl *floor) promise(id int64, policy string) string {
	fl.t.Helper()
	callbackID, err := fl.desk.Promise(context.Background(), "associate", policy+strconv.FormatInt(id, 10), connectors.Promise{
		Policy: policy, Customer: book.Customer{Name: "Asha Rao", Phone: connectortest.Phone(int(id))},
		Source: book.Source{System: Name, Ref: strconv.FormatInt(id, 10)},
	})
	require.NoError(fl.t, err)
	return callbackID
}

// do gives a command of somebody.
func (fl *floor) do(who, callbackID, name string, body map[string]any) {
	fl.t.Helper()
	key := strconv.FormatInt(fl.desk.View(callbackID).State.Version, 10)
	require.NoError(fl.t, fl.desk.Do(context.Background(), key, who, callbackID, name, body))
}

func (fl *floor) deliver(callbackID string) error {
	return fl.desk.Deliver(context.Background(), fl.Freshdesk, callbackID)
}

// work works off everything that was hinted at.
func (fl *floor) work() {
	fl.t.Helper()
	for {
		some, err := fl.hints.Once(context.Background(), fl.hinted)
		require.NoError(fl.t, err)
		if !some {
			return
		}
	}
}

// owed is the reason why a delivery is owed.
func owed(t *testing.T, err error) *connectors.Owed {
	t.Helper()
	var o *connectors.Owed
	require.ErrorAs(t, err, &o)
	require.NotContains(t, o.Detail, apiKey)
	require.NotContains(t, o.Error(), apiKey)
	return o
}

func (fl *floor) worked(who string) string {
	id := fl.promise(7, "supervisor-callback")
	fl.do(who, id, "claim", nil)
	fl.do(who, id, "start", nil)
	return id
}

func reached() map[string]any { return map[string]any{"disposition": "reached"} }

func resolved(summary string) map[string]any {
	return map[string]any{"resolution_reason": "resolved", "call_summary": summary}
}

// tags are those of a ticket.
func (fl *floor) tags(id int64) []string { return fl.fake.Ticket(id).Tags }
