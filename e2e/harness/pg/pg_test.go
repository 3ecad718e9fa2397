package pg_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"ringback/e2e/harness/pg"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	return conn
}

func tables(t *testing.T, dsn string) (n int) {
	t.Helper()
	conn := connect(t, dsn)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	require.NoError(t, conn.QueryRow(t.Context(),
		"SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'").Scan(&n))
	return n
}

func TestDatabasesAreEmptyAndApart(t *testing.T) {
	t.Parallel()
	one, two := pg.Database(t), pg.Database(t)
	require.NotEqual(t, one, two)
	require.Zero(t, tables(t, one))

	conn := connect(t, one)
	_, err := conn.Exec(t.Context(), "CREATE TABLE callbacks (id int)")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.Equal(t, 1, tables(t, one))
	require.Zero(t, tables(t, two))
}

func TestDatabaseGoesWithItsTest(t *testing.T) { //nolint:tparallel // its subtest ends first
	t.Parallel()
	var dsn string
	t.Run("uses it and leaves a connection open", func(t *testing.T) {
		dsn = pg.Database(t)
		connect(t, dsn)
	})
	_, err := pgx.Connect(t.Context(), dsn)
	require.ErrorContains(t, err, "does not exist")
}

func TestLettersBeyondASCIIHaveCase(t *testing.T) {
	t.Parallel()
	conn := connect(t, pg.Database(t))
	var lower string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT lower('ÄÖÜ')").Scan(&lower))
	require.Equal(t, "äöü", lower)
}

func TestServerOfOnesOwn(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]pg.Option{
		"quick":   {pg.Setting("log_min_duration_statement=0")},
		"durable": {pg.Durable()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pg.Start(t, options...)
			dsn := server.Database(t)
			conn := connect(t, dsn)
			_, err := conn.Exec(t.Context(), "CREATE TABLE callbacks (id int)")
			require.NoError(t, err)

			for _, down := range []func() error{server.Stop, server.Crash} {
				require.NoError(t, down())
				_, err = pgx.Connect(t.Context(), dsn)
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
				require.NoError(t, server.Resume())
				require.Equal(t, 1, tables(t, dsn))
			}
		})
	}
}

// TestNothingStaysBehind runs a test process, this one, that is killed while its server runs.
func TestNothingStaysBehind(t *testing.T) {
	const child = "RINGBACK_PG_CHILD"
	if file := os.Getenv(child); file != "" {
		server := pg.Start(t)
		require.NoError(t, os.WriteFile(file+".part", []byte(server.DSN()), 0o600))
		require.NoError(t, os.Rename(file+".part", file))
		select {} // until it is killed
	}
	t.Parallel()
	pg.Start(t) // skips where there is no PostgreSQL

	file := filepath.Join(t.TempDir(), "dsn")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingStaysBehind$")
	cmd.Env = append(os.Environ(), child+"="+file)
	require.NoError(t, cmd.Start())
	var dsn []byte
	require.Eventually(t, func() bool {
		var err error
		dsn, err = os.ReadFile(file)
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	conn := connect(t, string(dsn))
	var data string
	require.NoError(t, conn.QueryRow(t.Context(), "SHOW data_directory").Scan(&data))

	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Dir(data))
		return os.IsNotExist(err) && conn.Ping(t.Context()) != nil
	}, time.Minute, 20*time.Millisecond, "the server and its data go with the process")
}

func TestSkipsOrFailsWithout(t *testing.T) {
	const child = "RINGBACK_PG_ABSENT"
	if os.Getenv(child) != "" {
		pg.ForgetPlaces()
		pg.Database(t)
		return
	}
	t.Parallel()
	for requires, verdict := range map[string]string{"": "--- SKIP", "chromium": "--- SKIP", "chromium, postgres": "--- FAIL"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestSkipsOrFailsWithout$")
		cmd.Env = []string{"PATH=" + t.TempDir(), child + "=1", "RINGBACK_REQUIRE=" + requires}
		output, _ := cmd.CombinedOutput() // its exit code is part of the verdict
		require.Contains(t, string(output), verdict+": TestSkipsOrFailsWithout", requires)
		require.Contains(t, string(output), "there is no initdb and postgres", requires)
	}
}
