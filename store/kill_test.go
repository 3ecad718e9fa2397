package store_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/store"
)

// fileToWrite makes the test below the process that is killed.
const fileToWrite = "RINGBACK_STORE_TEST_WRITES"

func TestR27_WhatWasCommittedSurvivesKill9(t *testing.T) {
	if path := os.Getenv(fileToWrite); path != "" {
		writeUntilKilled(t, path)
	}
	t.Parallel()
	path := t.TempDir() + "/desk.db"
	for round := range 3 {
		self, err := os.Executable()
		require.NoError(t, err)
		writer := exec.CommandContext(t.Context(), self, "-test.run=^TestR27_WhatWasCommittedSurvivesKill9$")
		writer.Env = append(os.Environ(), fileToWrite+"="+path)
		out, err := writer.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, writer.Start())
		var ids []string
		for said := bufio.NewScanner(out); said.Scan(); {
			ids = append(ids, said.Text())
			if len(ids) == 20+7*round {
				require.NoError(t, writer.Process.Kill())
			}
		}
		require.Error(t, writer.Wait())
		require.GreaterOrEqual(t, len(ids), 20)

		s, err := store.OpenSQLite(t.Context(), path, patient(store.Options{}))
		require.NoError(t, err)
		require.NoError(t, s.CheckVersion(t.Context()))
		for _, id := range ids {
			v, err := s.Callback(t.Context(), id)
			require.NoError(t, err)
			entries, err := s.Timeline(t.Context(), id)
			require.NoError(t, err)
			require.Len(t, entries, int(v.State.Version))
		}
		var verdict string
		require.NoError(t, s.DB().QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict))
		require.Equal(t, "ok", verdict)
		require.NoError(t, s.Close())
	}
}

func writeUntilKilled(t *testing.T, path string) {
	t.Helper()
	s, err := store.OpenSQLite(t.Context(), path, patient(store.Options{}))
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	lastID.Store(int64(os.Getpid()) * 1e6) // another one's were others
	for {
		l := opened(t, noon)
		keep(t, s, l)
		fmt.Println(l.ID)
	}
}
