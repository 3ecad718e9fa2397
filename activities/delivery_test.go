package activities_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"ringback/activities"
	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/contract"
)

var noon = callback.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))

// floor is what is shown and what the ledger has, in memory.
type floor struct {
	mu      sync.Mutex
	now     time.Time
	policy  *callback.Policy
	state   *callback.Callback
	events  []callback.Event
	shown   int64 // versions that lists show; 0: all
	texts   map[string]book.Text
	outages map[string]book.Outage
	ledger  map[string]book.Delivery
	reads   int
	away    error
	erased  *book.Erasure
}

func newFloor() *floor {
	p := &callback.Policy{
		Name: "test", Title: "Test", Tag: callback.TagRule{Required: "Callback Required"},
		Ladder: []callback.Step{{Tier: "supervisor", Rank: 2, Queue: "S", TAT: callback.Duration(time.Hour), Assign: callback.AssignPull}},
	}
	f := &floor{now: noon.Time, policy: p, texts: map[string]book.Text{}, outages: map[string]book.Outage{}, ledger: map[string]book.Delivery{}}
	f.state, f.events = callback.Open(p, callback.Request{ID: "c1", By: "agent1", At: noon}, p.Calendar)
	return f
}

func (f *floor) does(by string, c callback.Command) {
	events, fault := f.state.Do(f.policy, c, callback.Person{ID: by, Rank: 2, Queues: []string{"S"}}, f.now, f.policy.Calendar)
	if fault != nil {
		panic(fault)
	}
	f.events = append(f.events, events...)
}

func (f *floor) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *floor) passes(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *floor) Callback(context.Context, string) (book.View, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	events := f.events
	if f.shown > 0 {
		events = events[:f.shown]
	}
	state, err := callback.Fold(nil, events)
	return book.View{State: state, Intake: book.Intake{CallbackID: "c1", PolicyHash: "h1", Customer: book.Customer{Name: "Asha Rao"}, Erased: f.erased}}, errors.Join(err, f.away)
}

func (f *floor) Timeline(context.Context, string) ([]book.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entries := make([]book.Entry, len(f.events))
	for i, e := range f.events {
		entries[i].Event = e
	}
	return entries, nil
}

func (f *floor) Text(_ context.Context, _, id string) (book.Text, error) {
	t, known := f.texts[id]
	if !known {
		return t, book.ErrNotFound
	}
	return t, nil
}

func (f *floor) Policy(context.Context, string) (*callback.Policy, error) { return f.policy, nil }

func (f *floor) Staff(context.Context) ([]book.Staff, error) {
	return []book.Staff{{ID: "sup1", Identities: map[string]string{"freshdesk": "1001"}}}, nil
}

func (f *floor) Outage(_ context.Context, id string) (book.Outage, error) {
	o, known := f.outages[id]
	if !known {
		return o, book.ErrNotFound
	}
	return o, nil
}

func (f *floor) States(_ context.Context, ids []string) (map[string]book.DeliveryState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := map[string]book.DeliveryState{}
	for _, id := range ids {
		if d, known := f.ledger[id]; known {
			found[id] = d.State
		}
	}
	return found, f.away
}

func (f *floor) NoteDelivery(_ context.Context, d book.Delivery) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.Tries = f.ledger[d.OperationID].Tries + 1
	f.ledger[d.OperationID] = d
	return nil
}

// taker is a connector in a test.
type taker struct {
	got  []connectors.Delivery
	fail func(d connectors.Delivery) error
}

func (*taker) Name() string                             { return "freshdesk" }
func (*taker) Wants(book.Intake, *callback.Policy) bool { return true }
func (*taker) Types() []callback.EventType              { return nil }

func (c *taker) Deliver(_ context.Context, d connectors.Delivery) error {
	c.got = append(c.got, d)
	if c.fail != nil {
		return c.fail(d)
	}
	return nil
}

type bundle struct {
	*testsuite.TestActivityEnvironment
	*floor
	t        *testing.T
	taker    *taker
	delivery *activities.Delivery
	tried    []string
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	b := &bundle{TestActivityEnvironment: suite.NewTestActivityEnvironment(), floor: newFloor(), t: t, taker: &taker{}}
	b.delivery = activities.NewDelivery(activities.DeliveryOptions{
		Connector: b.taker, Shown: b.floor, Ledger: b.floor, Logger: slog.New(slog.DiscardHandler), Now: b.clock,
		Tried: func(destination, code string, _ time.Duration) { b.tried = append(b.tried, destination+":"+code) },
	})
	b.RegisterActivity(b.delivery)
	return b
}

func (b *bundle) deliver(in contract.Delivery) error {
	in.CallbackID, in.Destination = "c1", "freshdesk"
	_, err := b.ExecuteActivity(b.delivery.Deliver, in)
	return err
}

// owed requires a delivery to be owed, and returns how.
func (b *bundle) owed(err error, code connectors.OwedCode, seq int64) *temporal.ApplicationError {
	b.t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(b.t, err, &app)
	require.Equal(b.t, string(code), app.Type())
	var at int64
	require.NoError(b.t, app.Details(&at))
	require.Equal(b.t, seq, at)
	require.Equal(b.t, "owed", app.Message(), "nothing of the other system is in a history (R26)")
	return app
}

func TestR12_ADeliveryHasAllThatAConnectorNeeds(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.texts["n1"] = book.Text{ID: "n1", Kind: book.TextNote, Author: "sup1", Body: "Refund explained"}
	b.does("sup1", callback.Claim{})
	b.does("sup1", callback.Note{Kind: callback.KindNote, TextID: "n1"})
	b.does("sup1", callback.Note{Kind: callback.KindNote, TextID: "erased"})
	require.NoError(t, b.deliver(contract.Delivery{Events: []int64{2, 5, 6}}))
	require.Len(t, b.taker.got, 3)
	tag, note, erased := b.taker.got[0], b.taker.got[1], b.taker.got[2]
	require.Equal(t, book.OperationID("c1", "freshdesk", 2), tag.OperationID)
	require.Equal(t, []any{int64(2), int64(6), callback.StatusQueued}, []any{tag.Callback.Version, tag.Latest.Version, tag.Callback.Status}, "as it was right after")
	require.Equal(t, "Asha Rao", tag.Intake.Customer.Name)
	require.Same(t, b.policy, tag.Policy)
	require.Nil(t, tag.Author, "agent1 is not of the staff")
	require.Nil(t, tag.Text)
	require.Equal(t, "Refund explained", note.Text.Body)
	require.Equal(t, "1001", note.Author.Identities["freshdesk"])
	require.Nil(t, erased.Text)
	require.False(t, tag.Again || note.Again)
	for _, d := range b.taker.got {
		row := b.ledger[d.OperationID]
		require.Equal(t, []any{book.DeliveryDelivered, 1, noon, d.Event.Fact.Type()}, []any{row.State, row.Tries, row.SettledAt, row.Type})
	}
	require.Equal(t, []string{"freshdesk:", "freshdesk:", "freshdesk:"}, b.tried)
	require.Equal(t, 1, b.reads, "one look for all of them")

	require.NoError(t, b.deliver(contract.Delivery{Events: []int64{2, 5, 6}}))
	require.Len(t, b.taker.got, 3, "what is there by the ledger is passed over")
}

func TestR13_AQuickTryEndsAtTheFirstThatIsOwed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.does("sup1", callback.Claim{})
	b.taker.fail = func(d connectors.Delivery) error {
		if d.Event.Seq == 3 {
			return fmt.Errorf("wrapped: %w", &connectors.Owed{Code: connectors.NoIdentity, Detail: "sup1 has no identity there"})
		}
		return nil
	}
	app := b.owed(b.deliver(contract.Delivery{Events: []int64{2, 3, 4}}), connectors.NoIdentity, 3)
	require.True(t, app.NonRetryable(), "quick tries cannot help")
	require.Len(t, b.taker.got, 2)
	row := b.ledger[book.OperationID("c1", "freshdesk", 3)]
	require.Equal(t, []any{book.DeliveryTrying, "no_identity", "sup1 has no identity there", callback.Instant{}}, []any{row.State, row.Code, row.Detail, row.NextAt})

	app = b.owed(b.deliver(contract.Delivery{Events: []int64{3}, Owed: true}), connectors.NoIdentity, 3)
	require.False(t, app.NonRetryable(), "what is owed is tried for as long as it takes")
	require.True(t, b.taker.got[2].Again)
	row = b.ledger[book.OperationID("c1", "freshdesk", 3)]
	require.Equal(t, book.DeliveryOwed, row.State)
	require.Equal(t, callback.At(noon.Add(app.NextRetryDelay())), row.NextAt, "the ledger says when")
	require.InDelta(t, 5.5, app.NextRetryDelay().Seconds(), 0.6)
}

func TestR13_ErrorsThatAreNoneOfOursAreOwedToo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		code   connectors.OwedCode
		detail string
	}{
		"any":      {errors.New("secret"), connectors.Unavailable, "it could not be delivered"},
		"deadline": {context.DeadlineExceeded, connectors.Unavailable, "no answer in time"},
		"no code":  {&connectors.Owed{Detail: "why"}, connectors.Unavailable, "why"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.taker.fail = func(connectors.Delivery) error { return c.err }
			app := b.owed(b.deliver(contract.Delivery{Events: []int64{2}}), c.code, 2)
			require.False(t, app.NonRetryable())
			row := b.ledger[book.OperationID("c1", "freshdesk", 2)]
			require.Equal(t, c.detail, row.Detail)
		})
	}
}

func TestAPauseThatIsAskedForHoldsForAll(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.taker.fail = func(connectors.Delivery) error {
		return &connectors.Owed{Code: connectors.RateLimited, Detail: "429", RetryAfter: time.Minute}
	}
	app := b.owed(b.deliver(contract.Delivery{Events: []int64{2}}), connectors.RateLimited, 2)
	require.GreaterOrEqual(t, app.NextRetryDelay(), time.Minute)
	b.taker.fail = nil
	app = b.owed(b.deliver(contract.Delivery{Events: []int64{3}}), connectors.RateLimited, 3)
	require.Len(t, b.taker.got, 1, "nobody asks meanwhile")
	require.GreaterOrEqual(t, app.NextRetryDelay(), time.Minute)
	require.LessOrEqual(t, app.NextRetryDelay(), 73*time.Second)
	require.NotContains(t, b.ledger, book.OperationID("c1", "freshdesk", 3), "that is no try")
	b.passes(time.Minute)
	require.NoError(t, b.deliver(contract.Delivery{Events: []int64{2, 3}}))
}

// Who asks for a pause and does not say how long is left alone for a moment, and longer
// each time.
func TestAPauseWithoutALengthGrowsUntilSomethingArrives(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	refused := func(connectors.Delivery) error { return &connectors.Owed{Code: connectors.RateLimited, Detail: "429"} }
	b.taker.fail = refused
	for tries, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		rest := time.Duration(seconds) * time.Second
		b.owed(b.deliver(contract.Delivery{Events: []int64{2}}), connectors.RateLimited, 2)
		require.Len(t, b.taker.got, tries+1)
		if rest > 10*time.Second { // a shorter one would be waited for
			app := b.owed(b.deliver(contract.Delivery{Events: []int64{3}}), connectors.RateLimited, 3)
			require.Len(t, b.taker.got, tries+1, "nobody asks meanwhile")
			require.GreaterOrEqual(t, app.NextRetryDelay(), rest)
			require.LessOrEqual(t, app.NextRetryDelay(), rest*6/5+time.Second)
		}
		b.passes(rest)
	}
	b.taker.fail = nil
	require.NoError(t, b.deliver(contract.Delivery{Events: []int64{2}}))
	b.taker.fail = refused
	b.owed(b.deliver(contract.Delivery{Events: []int64{3}}), connectors.RateLimited, 3)
	b.passes(time.Second)
	b.taker.fail = nil
	require.NoError(t, b.deliver(contract.Delivery{Events: []int64{3}}))
}

// A short pause is waited for: it makes nothing owed.
func TestAShortPauseIsNoTry(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.taker.fail = func(connectors.Delivery) error {
		return &connectors.Owed{Code: connectors.RateLimited, Detail: "429", RetryAfter: 50 * time.Millisecond}
	}
	b.owed(b.deliver(contract.Delivery{Events: []int64{2}}), connectors.RateLimited, 2)
	b.taker.fail = nil
	done := make(chan error, 1)
	go func() { done <- b.deliver(contract.Delivery{Events: []int64{3}}) }()
	b.passes(time.Second)
	require.NoError(t, <-done)
	require.Len(t, b.taker.got, 2)
}

func TestADeliveryWaitsUntilItIsShown(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.shown = 1
	done := make(chan error, 1)
	go func() { done <- b.deliver(contract.Delivery{Events: []int64{2, 3}}) }()
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.reads >= 2
	}, 10*time.Second, time.Millisecond)
	b.mu.Lock()
	b.shown = 3
	b.mu.Unlock()
	require.NoError(t, <-done)
	require.Len(t, b.taker.got, 2)
}

func TestTheDatabaseIsNoOtherSystem(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.away = book.ErrUnavailable
	require.Error(t, b.deliver(contract.Delivery{Events: []int64{2}}))
	require.Empty(t, b.taker.got)
	require.Empty(t, b.ledger)
}

func TestR23_TheOutageGoesWithIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.outages["o1"] = book.Outage{ID: "o1", EndWords: "All is well"}
	news := callback.OutageNews{Outage: "o1", By: "sup1"}
	b.events = append(b.events, b.state.OutageBegan(b.policy, news, b.now, b.policy.Calendar)...)
	b.events = append(b.events, b.state.OutageEnded(b.policy, news, b.now, b.policy.Calendar)...)
	require.NoError(t, b.deliver(contract.Delivery{Events: []int64{4, 5}}))
	require.Equal(t, "All is well", b.taker.got[0].Outage.EndWords)
	require.Equal(t, "All is well", b.taker.got[1].Outage.EndWords)
}

func TestRedeliveredThoughItIsThere(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	require.NoError(t, b.deliver(contract.Delivery{Events: []int64{2}}))
	_, err := b.ExecuteActivity(b.delivery.Redeliver, contract.Delivery{CallbackID: "c1", Destination: "freshdesk", Events: []int64{2}})
	require.NoError(t, err)
	require.Len(t, b.taker.got, 2)
	require.True(t, b.taker.got[1].Again)
	require.Equal(t, b.taker.got[0].OperationID, b.taker.got[1].OperationID)
}

// Over real HTTP: what a server does badly is owed, and goes once.
func TestR13_OverRealHTTP(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var mu sync.Mutex
	taken := map[string]int{}
	script := []int{http.StatusInternalServerError, -1, http.StatusServiceUnavailable}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodGet {
			if taken[r.URL.Path] == 0 {
				w.WriteHeader(http.StatusNotFound)
			}
			return
		}
		fault := 0
		if len(script) > 0 {
			fault, script = script[0], script[1:]
		}
		if fault > 0 {
			w.WriteHeader(fault)
			return
		}
		taken[r.URL.Path]++
		if fault < 0 { // it got there, and nobody learns
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	ask := func(method, id string) (int, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/"+id, http.NoBody)
		if err != nil {
			return 0, err
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err
		}
		return res.StatusCode, res.Body.Close()
	}
	b.taker.fail = func(d connectors.Delivery) error {
		if d.Again {
			if status, err := ask(http.MethodGet, d.OperationID); err != nil || status == http.StatusOK {
				return err
			}
		}
		status, err := ask(http.MethodPost, d.OperationID)
		switch {
		case err != nil:
			return &connectors.Owed{Code: connectors.Unavailable, Detail: "no answer", Err: err}
		case status != http.StatusOK:
			return &connectors.Owed{Code: connectors.Unavailable, Detail: "it answered " + http.StatusText(status)}
		}
		return nil
	}
	tries := 0
	for tries < 10 && b.deliver(contract.Delivery{Events: []int64{2, 3}}) != nil {
		tries++
	}
	require.Equal(t, 3, tries)
	require.Len(t, taken, 2)
	for path, n := range taken {
		require.Equal(t, 1, n, path)
	}
}

func TestR26_NothingIsBroughtAnywhereOnceTheCustomerIsErased(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.does("sup1", callback.Claim{})
	require.NoError(t, b.deliver(contract.Delivery{Events: []int64{2}}))
	require.Len(t, b.taker.got, 1)
	b.erased = &book.Erasure{By: "admin1", At: noon, After: 4}
	require.NoError(t, b.deliver(contract.Delivery{Events: []int64{3, 4}}))
	_, err := b.ExecuteActivity(b.delivery.Redeliver, contract.Delivery{CallbackID: "c1", Destination: "freshdesk", Events: []int64{2}})
	require.NoError(t, err)
	require.Len(t, b.taker.got, 1, "neither what was on its way nor what is asked for again")
	for seq, state := range map[int64]book.DeliveryState{2: book.DeliveryDelivered, 3: book.DeliveryWaived, 4: book.DeliveryWaived} {
		require.Equal(t, state, b.ledger[book.OperationID("c1", "freshdesk", seq)].State)
	}
}
