package webhook

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/signed"
	"ringback/connectors/webhook/webhookfake"
)

// floor is a desk with a hook.
type floor struct {
	tb     testing.TB
	clock  *connectortest.Clock
	desk   *connectortest.Desk
	memory *connectortest.Memory
	there  *webhookfake.Receiver
	deps   connectors.Deps
	config Config
	c      *Connector
}

func open(tb testing.TB, change ...func(*Config)) *floor {
	tb.Helper()
	f := &floor{tb: tb, clock: connectortest.NewClock(), memory: connectortest.NewMemory()}
	f.desk = connectortest.NewDesk(f.clock.Now, connectortest.SupervisorCallback())
	f.desk.Hire(connectortest.Floor()...)
	f.there = webhookfake.Serve(tb, f.clock.Now)
	f.deps = connectors.Deps{Desk: f.desk, Memory: f.memory, Now: f.clock.Now, Sleep: f.clock.Sleep}
	f.config = Config{Name: "ops", URL: f.there.URL + "/hook", Secret: webhookfake.Secret}
	for _, one := range change {
		one(&f.config)
	}
	f.c = f.again()
	return f
}

func (f *floor) again() *Connector {
	c, err := New(f.config, f.deps)
	require.NoError(f.tb, err)
	return c
}

func (f *floor) promise() string {
	id, err := f.desk.Promise(context.Background(), "freshdesk", uuid.NewString(), connectors.Promise{
		Policy: "supervisor-callback", Customer: book.Customer{Ref: "CRM-1", Name: "Asha Rao", Phone: connectortest.Phone(1), Email: "asha@customer.example"},
		Reason: "She has waited for a week", Source: book.Source{System: "freshdesk", Ref: uuid.NewString()},
	})
	require.NoError(f.tb, err)
	return id
}

func (f *floor) do(staffID, id, command string, body any) {
	f.tb.Helper()
	require.NoError(f.tb, f.desk.Do(context.Background(), uuid.NewString(), staffID, id, command, body))
}

// worked is a callback from promise to completion.
func (f *floor) worked() string {
	id := f.promise()
	f.do("sup1", id, "claim", nil)
	f.do("sup1", id, "start", nil)
	f.do("sup1", id, "attempts", map[string]any{"disposition": "reached", "note": "She cried"})
	f.do("sup1", id, "complete", map[string]any{"resolution_reason": "resolved", "call_summary": "She was refunded"})
	return id
}

func (f *floor) deliver() error { return f.desk.DeliverAll(context.Background(), f.c) }

func (f *floor) owed() *connectors.Owed {
	f.tb.Helper()
	var owed *connectors.Owed
	require.ErrorAs(f.tb, f.deliver(), &owed)
	return owed
}

func TestEveryEventIsTold_SignedAndShapedAsCloudEvents(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.worked()
	require.NoError(t, f.deliver())
	events := f.desk.Events(id)
	messages := f.there.Messages()
	require.Len(t, messages, len(events))
	for i, m := range messages {
		e := m.Event
		require.Equal(t, "1.0", e["specversion"])
		require.Equal(t, m.ID, e["id"])
		require.Equal(t, connectors.OperationID(id, "webhook:ops", events[i].Seq), m.ID)
		require.Equal(t, "/ringback", e["source"])
		require.Equal(t, "ringback.callback."+string(events[i].Fact.Type()), e["type"])
		require.Equal(t, id, e["subject"])
		require.Equal(t, events[i].At.String(), e["time"])
		require.Equal(t, "application/json", e["datacontenttype"])
		require.Equal(t, "application/cloudevents+json", m.Header.Get("Content-Type"))
		require.Less(t, len(m.Body), signed.MaxBody)
		data := e["data"].(map[string]any)
		require.EqualValues(t, events[i].Seq, data["seq"])
		require.EqualValues(t, events[i].Seq, data["callback"].(map[string]any)["version"], "as it was right after it")
		require.Equal(t, events[i].Actor, data["actor"])
		for _, personal := range []string{"Asha", "CRM-1", "98765", "customer.example", "waited", "cried", "refunded"} {
			require.NotContains(t, string(m.Body), personal)
		}
	}
	require.Equal(t, "webhook:ops", f.c.Name())
}

func TestOnlyTheTypesAndPoliciesThatWereAskedFor(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) {
		c.Types = []string{"completed", "breached"}
		c.Policies = []string{"supervisor-callback"}
	})
	f.worked()
	require.NoError(t, f.deliver())
	require.Len(t, f.there.Messages(), 1)
	require.Equal(t, "ringback.callback.completed", f.there.Messages()[0].Event["type"])
	f.config.Policies = []string{"another"}
	require.False(t, f.again().Wants(book.Intake{Policy: "supervisor-callback"}, nil))
	require.True(t, f.again().Wants(book.Intake{Policy: "another"}, nil))
}

func TestWhatIsPersonalGoesOnlyWhereItIsConfigured(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Include = []string{"customer", "source", "reason", "fields", "text"} })
	f.worked()
	require.NoError(t, f.deliver())
	first := f.there.Messages()[0].Event["data"].(map[string]any)
	require.Equal(t, "Asha Rao", first["customer"].(map[string]any)["name"])
	require.Equal(t, "freshdesk", first["source"].(map[string]any)["system"])
	require.Equal(t, "She has waited for a week", first["reason"])
	var texts []any
	for _, m := range f.there.Messages() {
		if text := m.Event["data"].(map[string]any)["text"]; text != nil {
			texts = append(texts, text)
		}
	}
	require.Contains(t, texts, "She was refunded")
}

func TestALongMessageIsCutToSize(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Include = []string{"reason", "text", "fields"} })
	d := connectors.Delivery{
		OperationID: "op", Event: callback.Event{Seq: 3, Fact: &callback.Assigned{To: "sup1", Candidates: strings.Split(strings.Repeat("someone,", 2000), ",")}},
		Callback: &callback.Callback{ID: uuid.NewString()},
		Intake:   book.Intake{Reason: strings.Repeat("\x01ü", 9000), Fields: map[string]string{"a": strings.Repeat("b", 30_000)}},
		Text:     &book.Text{Body: strings.Repeat("<>&", 9000)},
	}
	body, err := f.c.body(d)
	require.NoError(t, err)
	require.Less(t, len(body), signed.MaxBody)
	require.Len(t, d.Event.Fact.(*callback.Assigned).Candidates, 2001, "the event itself stays whole")
	d.Event.Fact = &callback.Noted{TextID: strings.Repeat("x", 30_000)}
	var owed *connectors.Owed
	require.ErrorAs(t, f.c.Deliver(context.Background(), d), &owed)
	require.Equal(t, connectors.Rejected, owed.Code)
}

func TestWhateverTheReceiverDoesNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.worked()
	for _, test := range []struct {
		status int
		header http.Header
		code   connectors.OwedCode
		after  time.Duration
	}{
		{500, nil, connectors.Unavailable, 0},
		{503, http.Header{"Retry-After": {"120"}}, connectors.Unavailable, 2 * time.Minute},
		{429, http.Header{"Retry-After": {f.clock.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}, connectors.RateLimited, time.Hour},
		{429, nil, connectors.RateLimited, 0},
		{404, nil, connectors.Unavailable, 0},
		{401, nil, connectors.Unauthorized, 0},
		{400, nil, connectors.Rejected, 0},
		{302, http.Header{"Location": {"/elsewhere"}}, connectors.Rejected, 0},
	} {
		f.there.Answer(test.status, test.header)
		owed := f.owed()
		require.Equal(t, test.code, owed.Code, test.status)
		require.Equal(t, test.after, owed.RetryAfter, test.status)
	}
	f.there.Answer(0, nil)
	f.there.Next(connectortest.Broken, connectortest.Lost, connectortest.BusySilently, connectortest.Lost)
	for range 4 {
		require.Error(t, f.deliver())
	}
	require.NoError(t, f.deliver())
	events, messages := f.desk.Events(id), f.there.Messages()
	require.Len(t, messages, len(events))
	for i := range events {
		require.EqualValues(t, events[i].Seq, messages[i].Event["data"].(map[string]any)["seq"], "in order")
	}
	repeats, unsigned := f.there.Counts()
	require.Equal(t, 2, repeats, "what was lost on the way back came again under its id")
	require.Zero(t, unsigned)
	f.memory.Fail(errors.New("away"))
	f.promise()
	require.Error(t, f.deliver(), "whether it is off is not known")
}

func TestAReceiverThatIsGoneIsLeftAloneUntilAPersonPutsTheHookOnAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx := context.Background()
	f.worked()
	require.NoError(t, f.c.Check(ctx))
	f.there.Answer(http.StatusGone, nil)
	require.Equal(t, connectors.Gone, f.owed().Code)
	f.there.Answer(0, nil)
	f.c = f.again() // remembered by every process
	owed := f.owed()
	require.Equal(t, connectors.Gone, owed.Code)
	require.Contains(t, owed.Detail, callback.At(f.clock.Now()).String())
	require.Empty(t, f.there.Messages(), "it is not even asked")
	off, err := f.c.Disabled(ctx)
	require.NoError(t, err)
	require.True(t, off)
	require.ErrorContains(t, f.c.Check(ctx), "410")

	require.NoError(t, f.c.Enable(ctx))
	require.NoError(t, f.deliver())
	require.NotEmpty(t, f.there.Messages())
	off, err = f.c.Disabled(ctx)
	require.NoError(t, err)
	require.False(t, off)
}

func TestADeliveryThatAPersonReplaysHasItsOldID(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Types = []string{"completed"} })
	id := f.worked()
	require.NoError(t, f.deliver())
	events := f.desk.Events(id)
	last := events[len(events)-1]
	for _, e := range events {
		if e.Fact.Type() == callback.TypeCompleted {
			last = e
		}
	}
	v := f.desk.View(id)
	require.NoError(t, f.c.Deliver(context.Background(), connectors.Delivery{
		OperationID: connectors.OperationID(id, f.c.Name(), last.Seq), Again: true, Event: last, Callback: v.State, Latest: v.State, Intake: v.Intake,
	}))
	repeats, _ := f.there.Counts()
	require.Equal(t, 1, repeats)
}

func TestAMistakeInTheConfigurationNamesItsKey(t *testing.T) {
	t.Parallel()
	good := Config{URL: "https://example.com/hook?x=1", Secret: webhookfake.Secret}
	tests := []struct {
		path   string
		change func(*Config)
	}{
		{"url", func(c *Config) { c.URL = "" }},
		{"url", func(c *Config) { c.URL = "ftp://example.com" }},
		{"url", func(c *Config) { c.URL = "https://user:topsecret@example.com" }},
		{"secret_env", func(c *Config) { c.Secret = "topsecret" }},
		{"name", func(c *Config) { c.Name = "a b" }},
		{"types[1]", func(c *Config) { c.Types = []string{"completed", "finished"} }},
		{"types[1]", func(c *Config) { c.Types = []string{"completed", "completed"} }},
		{"types[0]", func(c *Config) { c.Types = []string{"delivered"} }},
		{"include[0]", func(c *Config) { c.Include = []string{"everything"} }},
		{"include", func(c *Config) { c.URL, c.Include = "http://example.com", []string{"customer"} }},
		{"source", func(c *Config) { c.Source = ":" }},
	}
	for _, test := range tests {
		c := good
		test.change(&c)
		_, err := New(c, connectors.Deps{})
		var fault *callback.Fault
		require.ErrorAs(t, err, &fault, test.path)
		require.Equal(t, test.path, fault.Errors[0].Path)
		require.NotContains(t, err.Error(), "topsecret")
	}
	c, err := New(good, connectors.Deps{})
	require.NoError(t, err)
	require.Equal(t, "webhook:example.com", c.Name())
	require.NotContains(t, c.Types(), callback.TypeDelivered, "that something was told is not told")
}

// TestContract runs against the fake, and against a real receiver where
// RINGBACK_TEST_WEBHOOK_URL and RINGBACK_TEST_WEBHOOK_SECRET name one: it is sent
// one message twice, and one with a wrong signature.
func TestContract(t *testing.T) {
	t.Parallel()
	contract := func(t *testing.T, url, secret string) {
		f := open(t, func(c *Config) { c.URL, c.Secret, c.Types = url, secret, []string{"requested"} })
		f.deps.Now = time.Now
		f.c = f.again()
		id := f.promise()
		require.NoError(t, f.desk.Deliver(context.Background(), f.c, id))
		d := f.desk.Events(id)[0]
		v := f.desk.View(id)
		require.NoError(t, f.c.Deliver(context.Background(), connectors.Delivery{
			OperationID: connectors.OperationID(id, f.c.Name(), d.Seq), Again: true, Event: d, Callback: v.State, Latest: v.State, Intake: v.Intake,
		}), "a repeat is taken, and does nothing")
		f.config.Secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
		var owed *connectors.Owed
		require.ErrorAs(t, f.desk.Deliver(context.Background(), f.again(), f.promise()), &owed)
		require.Contains(t, []connectors.OwedCode{connectors.Unauthorized, connectors.Rejected}, owed.Code)
	}
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		contract(t, webhookfake.Serve(t, time.Now).URL, webhookfake.Secret)
	})
	url, secret := os.Getenv("RINGBACK_TEST_WEBHOOK_URL"), os.Getenv("RINGBACK_TEST_WEBHOOK_SECRET")
	if url == "" || secret == "" {
		return
	}
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		contract(t, url, secret)
	})
}

var (
	_ connectors.Connector = (*Connector)(nil)
	_ connectors.Checker   = (*Connector)(nil)
)
