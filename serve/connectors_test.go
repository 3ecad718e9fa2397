package serve

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/config"
	"ringback/connectors"
	"ringback/store"
)

func opened(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "desk.db"), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

func TestOneProcessRunsItAtATime(t *testing.T) {
	s := opened(t)
	var running, most, turns atomic.Int64
	var holders sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for _, holder := range []string{"a", "b", "c"} {
		l := &lease{store: s, name: "run:x", holder: holder, lasts: 10 * time.Second, every: 200 * time.Millisecond}
		holders.Go(func() {
			for ctx.Err() == nil {
				_ = l.while(ctx, func(ctx context.Context) error {
					now := running.Add(1)
					defer running.Add(-1)
					for at := most.Load(); now > at && !most.CompareAndSwap(at, now); at = most.Load() {
					}
					turns.Add(1)
					return sleep(ctx, 30*time.Millisecond)
				})
			}
		})
	}
	require.Eventually(t, func() bool { return turns.Load() >= 6 }, time.Minute, 10*time.Millisecond, "given up, it goes to the next at once")
	stop()
	holders.Wait()
	require.EqualValues(t, 1, most.Load())
}

// gate is a store that can be away.
type gate struct {
	*store.Store
	shut atomic.Bool
}

func (g *gate) Lease(ctx context.Context, name, holder string, now, until callback.Instant) (bool, error) {
	if g.shut.Load() {
		<-ctx.Done() // as a network does that swallows what it is given
		return false, ctx.Err()
	}
	return g.Store.Lease(ctx, name, holder, now, until)
}

func TestWhoCannotRenewStopsBeforeAnotherMayBegin(t *testing.T) {
	s := opened(t)
	away := &gate{Store: s}
	const lasts, every = 4 * time.Second, time.Second // as they are to each other in production
	first := &lease{store: away, name: "run:x", holder: "a", lasts: lasts, every: every}
	second := &lease{store: s, name: "run:x", holder: "b", lasts: lasts, every: every}
	ctx, stop := context.WithCancel(t.Context())

	began, ended := make(chan struct{}), make(chan time.Time, 1)
	var both sync.WaitGroup
	both.Go(func() {
		_ = first.while(ctx, func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			ended <- time.Now()
			return ctx.Err()
		})
	})
	<-began
	away.shut.Store(true)
	next := make(chan time.Time, 1)
	both.Go(func() {
		_ = second.while(ctx, func(ctx context.Context) error {
			next <- time.Now()
			<-ctx.Done()
			return ctx.Err()
		})
	})
	require.True(t, (<-ended).Before(<-next))
	stop()
	both.Wait()
}

// named is a connector that is only called something.
type named string

func (n named) Name() string                           { return string(n) }
func (named) Types() []callback.EventType              { return nil }
func (named) Wants(book.Intake, *callback.Policy) bool { return false }
func (named) Deliver(context.Context, connectors.Delivery) error {
	return errors.New("nothing is delivered here")
}

func TestPluggedConnectorsNeedNamesOfTheirOwn(t *testing.T) {
	c, err := configured(t, "")
	require.NoError(t, err)
	plug := func(name string) Plug {
		return func(func(string) connectors.Deps) (connectors.Connector, error) { return named(name), nil }
	}
	s := opened(t)
	d := deskOf(c, s)
	d.Plugged = []Plug{plug("one"), plug("two")}
	all, err := d.connect(&floor{store: s})
	require.NoError(t, err)
	require.Len(t, all, 2)

	d.Plugged = append(d.Plugged, plug("one"))
	_, err = d.connect(&floor{store: s})
	require.EqualError(t, err, "two connectors are called one")
}

func TestAConnectorThatTheProgramDoesNotHaveIsAMistake(t *testing.T) {
	_, err := configured(t, "connectors:\n  carrierpigeon: {url: x}\n")
	var mistake *config.Error
	require.ErrorAs(t, err, &mistake)
	require.Equal(t, "connectors.carrierpigeon", mistake.Path)
	require.Positive(t, mistake.Line)
}

// What the desk refuses, a connector tells from what it should try again.
func TestRefusalsOfTheDesk(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		fault  callback.Code // empty: try again
	}{
		"held":               {http.StatusConflict, `{"status":409,"code":"held","rule":"R06","detail":"it is held"}`, callback.CodeHeld},
		"not there":          {http.StatusNotFound, `{"status":404,"code":"not_found","detail":"no"}`, callback.CodeNotFound},
		"too many":           {http.StatusTooManyRequests, `{"status":429,"code":"rate_limited","detail":"slowly"}`, ""},
		"engine away":        {http.StatusServiceUnavailable, `{"status":503,"code":"unavailable","detail":"no engine"}`, ""},
		"not from this desk": {http.StatusBadGateway, `<html>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := &recorder{header: http.Header{}, status: http.StatusOK}
			w.WriteHeader(c.status)
			_, err := w.Write([]byte(c.body))
			require.NoError(t, err)
			err = w.refusal()
			require.Error(t, err)
			var f *callback.Fault
			require.Equal(t, c.fault != "", errors.As(err, &f))
			if f != nil {
				require.Equal(t, c.fault, f.Code)
			}
		})
	}
}
