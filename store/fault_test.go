package store_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/e2e/harness/pg"
	"ringback/store"
)

// calls is one call of every kind.
func calls(s *store.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Ping":         s.Ping,
		"CheckVersion": s.CheckVersion,
		"Callback":     func(ctx context.Context) error { _, err := s.Callback(ctx, "x"); return err },
		"List": func(ctx context.Context) error {
			_, err := s.List(ctx, book.Filter{}, book.SortDueAt, 1, "")
			return err
		},
		"Timeline": func(ctx context.Context) error { _, err := s.Timeline(ctx, "x"); return err },
		"Errand":   func(ctx context.Context) error { _, err := s.Errand(ctx, "x"); return err },
		"Begin": func(ctx context.Context) error {
			_, err := s.Begin(ctx, book.Begin{Errand: errand("x", "claim"), Texts: []book.Text{{ID: "x", CreatedAt: noon}}})
			return err
		},
		"Begin alone": func(ctx context.Context) error {
			_, err := s.Begin(ctx, book.Begin{Errand: errand("x", "claim")})
			return err
		},
		"Settle": func(ctx context.Context) error {
			_, err := s.Settle(ctx, "x", book.Batch{CallbackID: "x"}, nil)
			return err
		},
		"Draw": func(ctx context.Context) error {
			_, err := s.Draw(ctx, book.DrawRequest{ID: "x", Method: callback.AssignRandom})
			return err
		},
		"Feed":    func(ctx context.Context) error { _, err := s.Feed(ctx, 0, 1); return err },
		"HashKey": func(ctx context.Context) error { _, err := s.HashKey(ctx); return err },
		"Staff":   func(ctx context.Context) error { _, err := s.Staff(ctx); return err },
		"Digest":  func(ctx context.Context) error { _, err := s.Digest(ctx); return err },
	}
}

// requireUnavailable makes every call, which all must fail within a time.
func requireUnavailable(t testing.TB, s *store.Store, within time.Duration) {
	t.Helper()
	for name, call := range calls(s) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		began := time.Now()
		err := call(ctx)
		cancel()
		require.ErrorIs(t, err, book.ErrUnavailable, name)
		require.Less(t, time.Since(began), within, name)
	}
}

func TestADatabaseThatRefuses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	s, err := store.OpenPostgres(t.Context(), "postgres://u:secret@"+address+"/d", store.Options{})
	require.NoError(t, err, "a process may start while its database is away")
	defer func() { require.NoError(t, s.Close()) }()
	requireUnavailable(t, s, 2*time.Second)
	require.NotContains(t, s.Ping(t.Context()).Error(), "secret")
}

func TestADatabaseThatSaysNothing(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	s, err := store.OpenPostgres(t.Context(), "postgres://u@"+l.Addr().String()+"/d", store.Options{ConnectTimeout: 50 * time.Millisecond})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	requireUnavailable(t, s, 3*time.Second)
}

func TestADatabaseThatTakesTooLong(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{Timeout: 3 * time.Second, ConnectTimeout: time.Minute})
		l := opened(t, noon)
		// The one writer of an SQLite file is held by having it at all.
		held := []string{"BEGIN"}
		if s.IsPostgres() {
			held = []string{"BEGIN", "SET LOCAL idle_in_transaction_session_timeout = 0", "LOCK TABLE callbacks, intakes"}
		}
		holder, err := s.DB().Conn(t.Context())
		require.NoError(t, err)
		for _, statement := range held {
			_, err = holder.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		began := time.Now()
		_, err = s.Project(t.Context(), l.all())
		require.ErrorIs(t, err, book.ErrUnavailable)
		require.Less(t, time.Since(began), 30*time.Second)
		if !s.IsPostgres() {
			_, err := s.List(t.Context(), book.Filter{}, book.SortDueAt, 1, "")
			require.ErrorIs(t, err, book.ErrUnavailable, "the first cursor key is made by the writer")
			_, err = s.Feed(t.Context(), 0, 1)
			require.NoError(t, err, "readers never wait for the writer")
		}
		_, err = holder.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
		require.NoError(t, holder.Close())
		require.Eventually(t, func() bool { _, err := s.Project(t.Context(), l.all()); return err == nil }, time.Minute, time.Millisecond)
	})
}

func TestADatabaseThatDiesAndComesBack(t *testing.T) {
	t.Parallel()
	server := pg.Start(t, pg.Durable())
	s, err := store.OpenPostgres(t.Context(), server.Database(t), store.Options{Timeout: 20 * time.Second, ConnectTimeout: 10 * time.Second})
	require.NoError(t, err)
	migrated(t, s)
	l := opened(t, noon)
	keep(t, s, l)
	called := make(chan struct{}, 1000)
	defer s.Subscribe(func() { called <- struct{}{} })()
	<-called

	require.NoError(t, server.Crash())
	requireUnavailable(t, s, 3*time.Second)
	require.NoError(t, server.Resume())
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
	project(t, s, l, l.do(t, after(time.Minute), supervisor("sup1"), callback.Claim{}))
	for range 2 { // it listens again, and has heard of the claim
		<-called
	}
}

func TestWhoGivesUpIsNotToldThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range calls(s) {
			err := call(ctx)
			require.ErrorIs(t, err, context.Canceled, name)
			require.NotErrorIs(t, err, book.ErrUnavailable, name)
		}
	})
}

func TestAFileThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	_, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "no", "such", "folder", "desk.db"), store.Options{})
	require.ErrorIs(t, err, book.ErrUnavailable)
	_, err = store.OpenPostgres(t.Context(), "postgres://%%", store.Options{})
	require.Error(t, err)
}

func TestR26_NoErrorHoldsWhatIsInARow(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon, func(i *book.Intake) { i.Customer.Name = "Sekret Secretsson"; i.Reason = "Sekret reason" })
		keep(t, s, l)
		b := l.begin()
		_, err := s.Begin(t.Context(), b) // another errand for the same callback
		require.Error(t, err)
		require.NotErrorIs(t, err, book.ErrUnavailable)
		require.NotContains(t, err.Error(), "Sekret")
		require.NotContains(t, err.Error(), l.ID)
		_, err = s.Errand(t.Context(), b.Errand.ID)
		require.ErrorIs(t, err, book.ErrNotFound, "all of it or nothing")
	})
}
