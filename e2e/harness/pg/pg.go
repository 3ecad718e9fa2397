// Package pg gives tests a real PostgreSQL. It links nothing of the desk, so that a package's tests can use it in
// seconds.
//
// The server is the one that RINGBACK_TEST_POSTGRES names (a DSN of a user who may create databases), else one that the
// package starts from the postgres and initdb that it finds on the PATH or where distributions put them. Where there is
// neither, the test is skipped and says so, unless RINGBACK_REQUIRE lists postgres: then it fails.
package pg

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds what a test waits for the server to do one thing.
const patience = 60 * time.Second

// Database returns the DSN of a new, empty database, which is dropped with force when the test ends. All tests of a
// process share one server, which ends with the process, however that ends.
func Database(tb testing.TB) string {
	tb.Helper()
	admin := os.Getenv("RINGBACK_TEST_POSTGRES")
	if admin == "" {
		admin = shared(tb).DSN()
	}
	return createDatabase(tb, admin)
}

var (
	sharedMu     sync.Mutex
	sharedServer *Server
)

// shared starts the process's own server when it is first needed. Nobody stops it: it stops when the process is gone.
func shared(tb testing.TB) *Server {
	tb.Helper()
	programs := find(tb)
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if sharedServer == nil {
		server, err := newServer(programs, options{})
		if err != nil {
			tb.Fatalf("starting PostgreSQL: %v", err)
		}
		sharedServer = server
	}
	return sharedServer
}

func createDatabase(tb testing.TB, admin string) string {
	tb.Helper()
	name := "ringback_test_" + strings.ToLower(rand.Text()[:12])
	run := func(statement string) error {
		// Cleanups run after the test's context is done.
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conn, err := pgx.Connect(ctx, admin)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, statement)
		return err
	}
	if err := run("CREATE DATABASE " + name); err != nil {
		tb.Fatalf("creating a database: %v", err)
	}
	tb.Cleanup(func() {
		if err := run("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			tb.Logf("dropping database %s: %v", name, err)
		}
	})
	dsn, err := withDatabase(admin, name)
	if err != nil {
		tb.Fatal(err)
	}
	return dsn
}

// withDatabase is the DSN with another database's name; both forms, URL and keywords, stay what they are.
func withDatabase(dsn, name string) (string, error) {
	if !strings.Contains(dsn, "://") {
		// Of a keyword given twice the last one counts.
		return dsn + " dbname=" + name, nil
	}
	parsed, err := url.Parse(dsn)
	if err != nil {
		return "", fmt.Errorf("reading the DSN: %w", err)
	}
	parsed.Path = "/" + name
	return parsed.String(), nil
}

// absent ends a test that cannot have what it needs.
func absent(tb testing.TB, why string) {
	tb.Helper()
	required := strings.Split(os.Getenv("RINGBACK_REQUIRE"), ",")
	if slices.ContainsFunc(required, func(word string) bool { return strings.TrimSpace(word) == "postgres" }) {
		tb.Fatalf("RINGBACK_REQUIRE lists postgres, but %s", why)
	}
	tb.Skipf("skipped: %s; install PostgreSQL or set RINGBACK_TEST_POSTGRES", why)
}
