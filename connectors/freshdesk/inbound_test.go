package freshdesk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/freshdesk/freshdeskfake"
)

// post sends a hook.
func (fl *floor) post(body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/inbound/freshdesk", strings.NewReader(body))
	r.Header.Set("X-Ringback-Token", token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	fl.Receive(w, r)
	return w
}

func codeOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	var p struct {
		Code   string
		Status int
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, w.Code, p.Status)
	return p.Code
}

// callbacks are those of a ticket.
func (fl *floor) callbacks(ticket int64) []book.View {
	fl.t.Helper()
	views, err := fl.desk.Callbacks(context.Background(), Name, strconv.FormatInt(ticket, 10))
	require.NoError(fl.t, err)
	return views
}

// hooked lets the automation call the connector over HTTP.
func (fl *floor) hooked() {
	server := httptest.NewServer(http.HandlerFunc(fl.Receive))
	fl.t.Cleanup(server.Close)
	fl.fake.Hook(server.URL, token, server.Client())
}

func TestAHookProvesItselfBeforeItIsRead(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	for _, given := range []string{"", "token", token + "x", strings.ToUpper(token)} {
		w := fl.post(`{"ticket_id": 7}`, "X-Ringback-Token", given)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.Equal(t, "unauthenticated", codeOf(t, w))
	}
	w := httptest.NewRecorder()
	fl.Receive(w, httptest.NewRequest(http.MethodGet, "/v1/inbound/freshdesk", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "method_not_allowed", codeOf(t, w))
	w = fl.post(`{"ticket_id": 7, "more": "` + strings.Repeat("x", maxHook) + `"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Zero(t, fl.memory.Keys(Name, "hints:"))
	require.Empty(t, fl.kept.Messages())

	silent := newFloor(t, func(c *Config) { c.WebhookToken = "" })
	require.Equal(t, http.StatusUnauthorized, silent.post(`{"ticket_id": 7}`, "X-Ringback-Token", "").Code, "no token is no open door")
}

func TestR03_OnlyHooksThatProveThemselvesCount(t *testing.T) {
	t.Parallel()
	fl, gate := newFloor(t), &connectortest.Gate{}
	post := func(token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/v1/inbound/freshdesk", strings.NewReader(`{"ticket_id": 7}`))
		r.Header.Set("X-Ringback-Token", token)
		w := httptest.NewRecorder()
		fl.Receive(w, gate.At(r))
		return w
	}
	require.Equal(t, http.StatusUnauthorized, post("a guess").Code)
	require.Zero(t, gate.Proven)
	gate.Full = true
	refused := post(token)
	require.Equal(t, []any{http.StatusTooManyRequests, "rate_limited", "1"}, []any{refused.Code, codeOf(t, refused), refused.Header().Get("Retry-After")})
	require.Zero(t, fl.memory.Keys(Name, "hints:"))
	gate.Full = false
	require.Equal(t, http.StatusAccepted, post(token).Code)
	require.Equal(t, 2, gate.Proven)
}

func TestAHookThatCannotBeUnderstoodIsKept(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	for _, body := range []string{``, `null`, `[]`, `{"ticket_id": null}`, `{"ticket_id": "{{ticket.id}}"}`, `{"ticket_id": -7}`, `ticket_id=7`, `{"ticket_id": 99999999999999999999}`} {
		require.Equal(t, http.StatusAccepted, fl.post(body, "Content-Type", "application/json").Code)
	}
	require.Len(t, fl.kept.Messages(), 8)
	m := fl.kept.Messages()[4]
	require.JSONEq(t, `{"ticket_id": "{{ticket.id}}"}`, string(m.Body))
	require.Equal(t, "application/json", m.Media)
	require.Equal(t, Name, m.Connector)
	require.Contains(t, m.Reason, "ticket_id")
	require.ErrorContains(t, fl.Replay(context.Background(), m), "ticket_id")
}

func TestAHookIsAnsweredOnlyWhenItIsDurable(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.memory.Fail(errors.New("database away"))
	fl.kept.Fail(errors.New("database away"))
	for _, body := range []string{`{"ticket_id": 7}`, `nonsense`} {
		w := fl.post(body)
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "unavailable", codeOf(t, w))
		require.NotEmpty(t, w.Header().Get("Retry-After"))
	}
}

func TestR03_ATicketMovedToTheGroupBecomesACallback(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.LOBField = "cf_lob" })
	fl.hooked()
	fl.fake.Add(freshdeskfake.Ticket{
		ID: 7, Subject: "Refund of a missed train", GroupID: elsewhr, Custom: map[string]any{"cf_lob": "trains"},
		Requester: freshdeskfake.Requester{ID: 70007, Name: "Asha Rao", Email: "asha@example.com", Phone: "+91 98765 43217"},
	})
	fl.work()
	require.Empty(t, fl.callbacks(7), "it is in another group")
	fl.fake.Edit(7, func(t *freshdeskfake.Ticket) { t.GroupID = rm })
	require.Equal(t, http.StatusAccepted, fl.fake.Notify(7), "hooks come twice")
	fl.work()
	views := fl.callbacks(7)
	require.Len(t, views, 1)
	in := views[0].Intake
	require.Equal(t, book.Customer{Ref: "70007", Name: "Asha Rao", Phone: "+919876543217", Email: "asha@example.com"}, in.Customer)
	require.Equal(t, "Refund of a missed train", in.Reason)
	require.Equal(t, "trains", in.LOB)
	require.Equal(t, "supervisor-callback", in.Policy)
	require.Equal(t, book.Source{System: Name, Ref: "7", URL: fl.address + "/a/tickets/7"}, *in.Source)
	require.Equal(t, "system:freshdesk", in.RequestedBy)
	require.Equal(t, "Supervisors - RM", views[0].State.Queue)

	require.NoError(t, fl.deliver(views[0].State.ID))
	require.Equal(t, []string{"Callback Required"}, fl.tags(7))
	fl.fake.Notify(7)
	fl.work()
	require.Len(t, fl.callbacks(7), 1, "our own write is no new callback")
}

func TestR03_TheGroupSaysTheQueue(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, mgr)
	require.NoError(t, fl.poll(context.Background()))
	require.Equal(t, "Managers - RM", fl.callbacks(7)[0].State.Queue)
}

// done is the callback of a ticket that came by the hook, completed, with Freshdesk told of it.
func (fl *floor) done(ticket int64) (id string) {
	fl.t.Helper()
	fl.hooked()
	fl.ticket(ticket, rm)
	fl.work()
	id = fl.callbacks(ticket)[0].State.ID
	fl.do("sup1", id, "claim", nil)
	fl.do("sup1", id, "start", nil)
	fl.do("sup1", id, "attempts", reached())
	fl.do("sup1", id, "complete", resolved("Refunded."))
	require.NoError(fl.t, fl.deliver(id))
	return id
}

func TestR03_ATicketIsACallbackAgainOnlyWhenItEntersAgain(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.done(7)
	for range 3 {
		fl.clock.Advance(time.Minute)
		fl.fake.Edit(7, func(t *freshdeskfake.Ticket) { t.Subject += "!" })
		fl.work()
		require.NoError(t, fl.poll(context.Background()))
	}
	require.Len(t, fl.callbacks(7), 1, "it stays in the group when it is done")
	fl.clock.Advance(time.Minute)
	fl.fake.Edit(7, func(t *freshdeskfake.Ticket) { t.GroupID = elsewhr })
	fl.work()
	fl.fake.Edit(7, func(t *freshdeskfake.Ticket) { t.GroupID = rm })
	fl.work()
	fl.fake.Notify(7)
	fl.work()
	require.Len(t, fl.callbacks(7), 2)
}

func TestR26_ATicketOfAnErasedCustomerIsNoNewCallback(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id := fl.done(7)
	fl.desk.EraseCustomer(id)
	for range 3 { // it stays in the group, and is changed there
		fl.clock.Advance(time.Minute)
		fl.fake.Edit(7, func(t *freshdeskfake.Ticket) { t.Subject += "!" })
		fl.fake.Notify(7)
		fl.work()
		require.NoError(t, fl.poll(context.Background()))
	}
	require.Equal(t, []string{id}, fl.desk.All())
}

func TestR03_OurOwnMoveIntoTheGroupIsNoNewCallback(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.hooked()
	fl.ticket(7, elsewhr)
	id := fl.promise(7, "supervisor-callback") // by the API: the ticket is still elsewhere
	fl.fake.Notify(7)
	fl.work()
	require.Equal(t, 1, fl.memory.Keys(Name, "left:"))
	require.NoError(t, fl.deliver(id))
	fl.do("sup1", id, "claim", nil)
	fl.do("sup1", id, "cancel", map[string]any{"reason": "withdrew"})
	require.NoError(t, fl.deliver(id))
	fl.fake.Notify(7)
	fl.work()
	require.NoError(t, fl.poll(context.Background()))
	require.Len(t, fl.callbacks(7), 1)
}

func TestR03_WhatIsNoCallback(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, change := range map[string]func(*freshdeskfake.Ticket){
		"resolved": func(t *freshdeskfake.Ticket) { t.Status = 4 },
		"closed":   func(t *freshdeskfake.Ticket) { t.Status = 5 },
		"deleted":  func(t *freshdeskfake.Ticket) { t.Deleted = true },
		"no group": func(t *freshdeskfake.Ticket) { t.GroupID = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fl := newFloor(t)
			fl.ticket(7, rm)
			fl.fake.EditQuietly(7, change)
			require.NoError(t, fl.hints.Add(ctx, "7"))
			fl.work()
			require.NoError(t, fl.poll(ctx))
			require.Empty(t, fl.callbacks(7))
			require.Empty(t, fl.kept.Messages())
		})
	}
	outwardOnly := newFloor(t, func(c *Config) { c.Policy = "" })
	outwardOnly.ticket(7, rm)
	require.NoError(t, outwardOnly.poll(ctx))
	require.Empty(t, outwardOnly.callbacks(7))
}

func TestPhoneNumbersAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ phone, mobile, region, want string }{
		{"+91 98765-43210", "", "", "+919876543210"},
		{"", "+919876543210", "", "+919876543210"},
		{"12", "+919876543210", "", "+919876543210"},
		{"098765 43210", "", "IN", "+919876543210"},
		{"020 7946 0018", "", "GB", "+442079460018"},
		{"098765 43210", "", "", ""},
		{"", "", "IN", ""},
		{"call me", "n/a", "IN", ""},
	} {
		fl := newFloor(t, func(f *Config) { f.DefaultRegion = c.region })
		got, found := fl.phone(c.phone, c.mobile)
		require.Equal(t, c.want, got, c)
		require.Equal(t, c.want != "", found)
	}
}

func TestATicketThatCannotBeACallbackIsKeptWithItsReasonAndReplayed(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	fl.fake.Add(freshdeskfake.Ticket{ID: 7, GroupID: rm, Requester: freshdeskfake.Requester{ID: 1, Name: "Asha Rao", Phone: "ext. 12"}})
	require.NoError(t, fl.hints.Add(ctx, "7"))
	fl.work()
	require.NoError(t, fl.poll(ctx))
	messages := fl.kept.Messages()
	require.Len(t, messages, 1, "the same ticket is one message")
	require.Contains(t, messages[0].Reason, "phone")
	require.NotContains(t, messages[0].Reason, "Asha")
	require.Error(t, fl.Replay(ctx, messages[0]))
	fl.fake.EditQuietly(7, func(t *freshdeskfake.Ticket) { t.Requester.Phone = "+91 98765 43210" })
	require.NoError(t, fl.Replay(ctx, messages[0]))
	require.Len(t, fl.callbacks(7), 1)
	require.NoError(t, fl.Replay(ctx, messages[0]))
	require.Len(t, fl.callbacks(7), 1)
}

func TestARefusalOfTheDeskIsKeptAndAnOutageIsWaitedFor(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.Policy = "no-such-policy" })
	ctx := context.Background()
	fl.ticket(7, rm)
	require.NoError(t, fl.hints.Add(ctx, "7"))
	fl.work()
	require.Contains(t, fl.kept.Messages()[0].Reason, "unknown_policy")

	for _, away := range []error{errors.New("database away"), callback.Refused(callback.CodeUnavailable), callback.Refused(callback.CodeOutcomeUnknown)} {
		fl = newFloor(t)
		fl.ticket(7, rm)
		fl.desk.Fail(away)
		require.NoError(t, fl.hints.Add(ctx, "7"))
		_, err := fl.hints.Once(ctx, fl.hinted)
		require.ErrorIs(t, err, away)
		require.ErrorIs(t, fl.poll(ctx), away)
		fl.desk.Fail(nil)
		fl.work()
		require.Len(t, fl.callbacks(7), 1)
		require.Empty(t, fl.kept.Messages())
	}
}

func TestAHintThatFailsForADayIsKept(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	fl.ticket(7, rm)
	fl.fake.Faults.Always(connectortest.Broken)
	require.NoError(t, fl.hints.Add(ctx, "7"))
	for range 24 {
		_, err := fl.hints.Once(ctx, fl.hinted)
		require.Error(t, err)
		fl.clock.Advance(time.Hour)
	}
	fl.clock.Advance(time.Minute)
	fl.work()
	require.Contains(t, fl.kept.Messages()[0].Reason, "unavailable")
	fl.fake.Faults.Always(connectortest.Well)
	require.NoError(t, fl.Replay(ctx, fl.kept.Messages()[0]))
	require.Len(t, fl.callbacks(7), 1)
}

func TestR09_ATagTakenOffByHandIsPutBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	off := func(t *freshdeskfake.Ticket) { t.Tags = []string{"VIP"} }
	for name, notice := range map[string]func(*floor){
		"a hook":  func(fl *floor) { fl.fake.Notify(7); fl.work() },
		"a poll":  func(fl *floor) { require.NoError(fl.t, fl.poll(ctx)) },
		"a sweep": func(fl *floor) { require.NoError(fl.t, fl.sweep(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fl := newFloor(t)
			fl.ticket(7, rm)
			fl.hooked()
			id := fl.promise(7, "supervisor-callback")
			notice(fl)
			require.Equal(t, 1, fl.desk.Count(id, callback.TypeTagged), "what was not on yet was not taken off")
			require.NoError(t, fl.deliver(id))
			notice(fl)
			require.Equal(t, 1, fl.desk.Count(id, callback.TypeTagged))
			for n := 2; n < 5; n++ { // again and again
				fl.clock.Advance(2 * time.Minute)
				fl.fake.EditQuietly(7, off)
				notice(fl)
				fl.clock.Advance(2 * time.Minute)
				notice(fl)
				require.Equal(t, n, fl.desk.Count(id, callback.TypeTagged), "told once, on the timeline")
				events := fl.desk.Events(id)
				require.Equal(t, "system:freshdesk", events[len(events)-1].Actor)
				require.NoError(t, fl.deliver(id))
				require.Equal(t, []string{"VIP", "Callback Required"}, fl.tags(7))
			}
			fl.do("sup1", id, "claim", nil)
			fl.do("mgr1", id, "cancel", map[string]any{"reason": "withdrew"})
			require.NoError(t, fl.deliver(id))
			fl.clock.Advance(2 * time.Minute)
			fl.fake.EditQuietly(7, off)
			notice(fl)
			require.Equal(t, 5, fl.desk.Count(id, callback.TypeTagged), "4, and Callback Not Served; closed ones are let be")
			require.Equal(t, []string{"VIP"}, fl.tags(7))
		})
	}
}

// The read model may be a moment late: a tag that we took off ourselves is not missed.
func TestR09_ATagThatWeTookOffIsNotMissed(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm)
	id := fl.worked("sup1")
	require.NoError(t, fl.deliver(id))
	late := fl.callbacks(7)
	fl.do("sup1", id, "attempts", reached())
	fl.do("sup1", id, "complete", resolved("Done."))
	require.NoError(t, fl.deliver(id))
	fl.deps.Desk = &lateDesk{Desk: fl.desk, views: late}
	require.NoError(t, fl.understand(context.Background(), "7"))
	require.Equal(t, 1, fl.desk.Count(id, callback.TypeTagged))
}

// lateDesk shows callbacks as they were.
type lateDesk struct {
	connectors.Desk
	views []book.View
}

func (l *lateDesk) Callbacks(context.Context, string, string) ([]book.View, error) {
	return l.views, nil
}

func TestAPollFindsWhatNoHookSaid(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	const tickets = 450
	for i := range int64(tickets) {
		fl.ticket(1000+i, rm)
		if i%3 == 0 && (i < 150 || i > 300) { // 150 of them in the same second
			fl.clock.Advance(time.Second)
		}
	}
	fl.clock.Advance(-fl.clock.Now().Sub(connectortest.Monday)) // the first poll begins when it begins
	require.NoError(t, fl.poll(ctx))
	require.Len(t, fl.desk.All(), tickets)
	gets := fl.fake.Calls("GET /tickets/{id}")
	require.NoError(t, fl.poll(ctx))
	require.Equal(t, gets, fl.fake.Calls("GET /tickets/{id}"), "nothing has changed: nothing is fetched")
}

func TestR03_ATicketThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	for id := range int64(4) {
		fl.ticket(7+id, rm)
	}
	fl.fake.Faults.Only(func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/tickets/7") || strings.HasSuffix(r.URL.Path, "/tickets/8")
	})
	fl.fake.Faults.Always(connectortest.Broken)
	for range 2 * 3 {
		require.Error(t, fl.poll(ctx), "it may pass")
	}
	require.NoError(t, fl.poll(ctx))
	require.Len(t, fl.desk.All(), 2, "both that can be read")
	require.NoError(t, fl.poll(ctx))
	require.Equal(t, 2, fl.memory.Keys(Name, "hints:"), "two hints, each once")

	// A hint is tried for a day.
	fl.fake.Faults.Always(connectortest.Well)
	fl.work()
	require.Len(t, fl.desk.All(), 4)
}

func TestR09_ATicketThatCannotBeReadHidesNoOther(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	var last string
	for id := range int64(3) {
		fl.ticket(7+id, rm)
		last = fl.promise(7+id, "supervisor-callback")
		require.NoError(t, fl.deliver(last))
	}
	fl.fake.Edit(9, func(t *freshdeskfake.Ticket) { t.Tags = nil })
	fl.fake.Faults.Only(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/tickets/7") })
	fl.fake.Faults.Always(connectortest.Broken)
	require.Error(t, fl.sweep(ctx))
	require.Equal(t, 2, fl.desk.Count(last, callback.TypeTagged))
	fl.fake.Faults.Always(connectortest.Well)
	for id := range int64(8) {
		fl.ticket(20+id, rm)
		fl.promise(20+id, "supervisor-callback")
	}
	fl.fake.Faults.Only(nil)
	fl.fake.Faults.Always(connectortest.Broken)
	require.Error(t, fl.sweep(ctx))
	require.Equal(t, failuresInARow, fl.fake.Faults.Count(connectortest.Broken)-1, "it is not the tickets, then")
}

func TestAPollGoesOnWhereItWasWhenItDied(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	for i := range int64(300) {
		fl.clock.Advance(2 * time.Second)
		fl.ticket(1000+i, elsewhr)
	}
	fl.clock.Advance(-fl.clock.Now().Sub(connectortest.Monday))
	fl.fake.Faults.Next(connectortest.Well, connectortest.Well, connectortest.Broken)
	require.Error(t, fl.poll(ctx))
	cursor, _, err := fl.memory.Recall(ctx, Name, "poll")
	require.NoError(t, err)
	require.NotEqual(t, connectortest.Monday.Format(time.RFC3339), cursor, "two pages are done")
	lists := fl.fake.Calls("GET /tickets")
	require.NoError(t, fl.poll(ctx))
	require.Equal(t, 2, fl.fake.Calls("GET /tickets")-lists, "not from the beginning")
}

func TestTheFirstPollLooksBackOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	for backfill, want := range map[time.Duration]int{0: 0, 12 * time.Hour: 0, 48 * time.Hour: 1} {
		fl := newFloor(t, func(c *Config) { c.Backfill = callback.Duration(backfill) })
		fl.ticket(7, rm)
		fl.clock.Advance(24 * time.Hour)
		require.NoError(t, fl.poll(context.Background()))
		require.Len(t, fl.callbacks(7), want)
	}
}

func TestRunWorksOffHintsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.PollEvery, c.SweepEvery = callback.Duration(time.Hour), -1 })
	deps := fl.deps
	deps.Sleep = func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
	running, err := New(fl.config, deps)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx) }()
	fl.ticket(7, rm)
	fl.Freshdesk = running
	require.Equal(t, http.StatusAccepted, fl.post(`{"ticket_id": 7}`).Code)
	require.Eventually(t, func() bool { return len(fl.callbacks(7)) == 1 }, 10*time.Second, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestConfigurationSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	good := Config{URL: "https://acme.freshdesk.com/", APIKey: "k", Policy: "p", Groups: map[string]int64{"a": 1, "b": 2}, DefaultRegion: "IN"}
	require.NoError(t, good.Validate())
	bad := Config{
		URL: "acme.freshdesk.com", Groups: map[string]int64{"a": 1, "b": 1, "c": 0}, DefaultRegion: "India", PollEvery: -1, CallsPerMinute: -1,
	}
	var fault *callback.Fault
	require.ErrorAs(t, bad.Validate(), &fault)
	var paths []string
	for _, e := range fault.Errors {
		paths = append(paths, e.Path)
	}
	require.Equal(t, []string{"api_key_env", "calls_per_minute", "default_region", "groups.b", "groups.c", "poll_every", "url"}, paths)
	_, err := New(bad, connectors.Deps{})
	require.ErrorAs(t, err, &fault)
	bad = Config{URL: "https://key:X@acme.freshdesk.com", APIKey: "k", Policy: "p"}
	require.ErrorAs(t, bad.Validate(), &fault)
	require.Len(t, fault.Errors, 2)
	require.NotContains(t, fault.Error(), "key:X")
}

func TestCheckSaysWhatIsWrongThere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	fl := newFloor(t)
	for i := range int64(150) {
		fl.fake.AddGroup(300+i, "Other")
	}
	require.NoError(t, fl.Check(ctx))
	fl.fake.Faults.Next(connectortest.Broken)
	require.Equal(t, connectors.Unavailable, owed(t, fl.Check(ctx)).Code)
	require.Equal(t, connectors.Unauthorized, owed(t, newFloor(t, func(c *Config) { c.APIKey = "x" }).Check(ctx)).Code)
	o := owed(t, newFloor(t, func(c *Config) { c.Groups["Tier 3"] = 555 }).Check(ctx))
	require.Contains(t, o.Detail, "Tier 3")
}

func FuzzHints(f *testing.F) {
	for _, seed := range []string{`{"ticket_id": 7}`, `{"ticket_id": "7"}`, `{"ticket_id": null}`, `[]`, `{"ticket_id": 1e3}`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ticket, understood := parseHint(body)
		if !understood {
			require.Empty(t, ticket)
			return
		}
		n, err := strconv.ParseInt(ticket, 10, 64)
		require.NoError(t, err)
		require.Positive(t, n)
		require.Equal(t, ticket, strconv.FormatInt(n, 10))
	})
}

func TestR09_ACallbackThatIsClosedInTheSameMomentIsNoMessage(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm)
	id := fl.worked("sup1")
	require.NoError(t, fl.deliver(id))
	late := fl.callbacks(7)
	fl.fake.EditQuietly(7, func(t *freshdeskfake.Ticket) { t.Tags = nil })
	fl.do("sup1", id, "cancel", map[string]any{"reason": "withdrew"}) // its deliveries have not come yet
	fl.deps.Desk = &lateDesk{Desk: fl.desk, views: late}
	require.NoError(t, fl.hints.Add(context.Background(), "7"))
	fl.work()
	require.Empty(t, fl.kept.Messages())
}
