package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/e2e/harness/pg"
	"ringback/store"
)

// patient is for tests that are not about time: the machine may be busy.
func patient(o store.Options) store.Options {
	if o.Timeout == 0 {
		o.Timeout, o.ConnectTimeout = time.Minute, time.Minute
	}
	return o
}

// opener makes a fresh store with its tables.
type opener func(t testing.TB, o store.Options) *store.Store

func openSQLite(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "desk.db"), patient(o))
	require.NoError(t, err)
	return migrated(t, s)
}

func openPostgres(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.OpenPostgres(t.Context(), pg.Database(t), patient(o))
	require.NoError(t, err)
	return migrated(t, s)
}

func migrated(t testing.TB, s *store.Store) *store.Store {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	require.NoError(t, s.CheckVersion(t.Context()))
	return s
}

// onBoth runs a test of the contract on both databases.
func onBoth(t *testing.T, test func(t *testing.T, open opener)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, openSQLite)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, openPostgres)
	})
}
