package pg

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ringback/e2e/harness/process"
	"ringback/engine/embedded/freeport"
)

// Option changes the server that Start starts.
type Option func(*options)

type options struct {
	durable  bool
	settings []string
}

// Durable makes the server keep every commit through a crash. Without it fsync is off, which is several times faster
// and survives Crash, but no failure of the machine.
func Durable() Option { return func(o *options) { o.durable = true } }

// Setting adds a NAME=VALUE of postgresql.conf.
func Setting(assignment string) Option {
	return func(o *options) { o.settings = append(o.settings, assignment) }
}

// Server is a PostgreSQL server of a test's own, which may be stopped, crashed and resumed on the same port and data.
// Its methods are for one goroutine at a time.
type Server struct {
	programs programs
	options  options
	dir      string // holds data/, and the server's log
	port     int
	password string
	// leash is the write end of the guard's pipe: when it closes, by release or with this process, the guard ends the
	// server and removes dir.
	leash io.Closer
	guard *exec.Cmd
	// running is nil while the server is down.
	running *process.Process
}

// Start starts a server for this test alone, which ends with the test.
func Start(tb testing.TB, with ...Option) *Server {
	tb.Helper()
	programs := find(tb)
	var o options
	for _, option := range with {
		option(&o)
	}
	server, err := newServer(programs, o)
	if err != nil {
		tb.Fatalf("starting PostgreSQL: %v", err)
	}
	tb.Cleanup(server.release)
	return server
}

// DSN is that of the superuser postgres in the database postgres; it stays the same through Stop and Resume.
func (s *Server) DSN() string {
	return fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", s.password, freeport.Address(s.port))
}

// Database returns the DSN of a new, empty database on this server, which is dropped when the test ends if the server
// still runs then.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	return createDatabase(tb, s.DSN())
}

// Stop shuts the server down in good order, cutting off its clients, and returns when it is down.
func (s *Server) Stop() error { return s.signal(syscall.SIGINT) }

// Crash ends the server at once: nothing is flushed, and Resume recovers from the write-ahead log.
func (s *Server) Crash() error { return s.signal(syscall.SIGQUIT) }

// Resume starts a server that is down, on the same port and data, and returns when it accepts connections.
func (s *Server) Resume() error {
	if s.running != nil {
		return nil
	}
	args := []string{
		"-D", s.data(), "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=" + freeport.Host, "-c", "unix_socket_directories=",
		"-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "timezone=UTC", "-c", "log_timezone=UTC",
		"-c", "lc_messages=C", "-c", "log_destination=stderr", "-c", "logging_collector=off", "-c", "jit=off",
	}
	if !s.options.durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	for _, assignment := range s.options.settings {
		args = append(args, "-c", assignment)
	}
	running, err := process.Start(s.programs.command("postgres", args...), func(line string) bool {
		return strings.Contains(line, "database system is ready to accept connections")
	})
	if err != nil {
		return err
	}
	s.running = running
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) signal(signal os.Signal) error {
	if s.running == nil {
		return nil
	}
	if err := s.running.End(signal); err != nil {
		return err
	}
	s.running = nil
	return nil
}

// release ends the server for good and removes its data.
func (s *Server) release() {
	_ = s.signal(syscall.SIGQUIT)
	_ = s.leash.Close()
	_ = s.guard.Wait()
}

func newServer(programs programs, o options) (_ *Server, err error) {
	s := &Server{programs: programs, options: o, password: rand.Text()}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.dir, err = programs.tempDir(); err != nil {
		return nil, err
	}
	if err := s.tie(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if err := s.initialise(ctx); err != nil {
		return nil, err
	}
	// Another process can be faster at the port; its error is then the server's.
	for try := 0; ; try++ {
		ports, err := freeport.Take(ctx, 0)
		if err != nil {
			return nil, err
		}
		s.port = ports[0]
		if err = s.Resume(); err == nil {
			return s, nil
		}
		if try == 4 || !strings.Contains(err.Error(), "Address already in use") {
			return nil, err
		}
	}
}

// tie starts the guard: a shell that sleeps on a pipe from this process and cleans up once that closes, be it that the
// test is over, that it panicked, or that somebody killed it.
func (s *Server) tie() error {
	// The last thing that postgres does is to remove postmaster.pid.
	const script = `
cat >/dev/null
lock=$1/data/postmaster.pid
pid=$(head -n 1 "$lock" 2>/dev/null)
[ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null
tries=0
while [ -e "$lock" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
rm -rf -- "$1"`
	s.guard = s.programs.command("sh", "-c", script, "sh", s.dir)
	leash, err := s.guard.StdinPipe()
	if err != nil {
		return err
	}
	s.leash = leash
	return s.guard.Start()
}

func (s *Server) initialise(ctx context.Context) error {
	passwordFile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := s.programs.give(passwordFile); err != nil {
		return err
	}
	// Upper and lower case beyond ASCII, as in production, without depending on which languages are installed.
	locale := "C.UTF-8"
	if runtime.GOOS != "linux" {
		locale = "en_US.UTF-8"
	}
	// Passwords travel the loopback only; hashing them would cost each connection milliseconds.
	initdb := s.programs.command("initdb", "-D", s.data(), "-U", "postgres", "-E", "UTF8", "--locale="+locale,
		"--auth=password", "--pwfile="+passwordFile, "--no-sync")
	stop := context.AfterFunc(ctx, func() { _ = initdb.Process.Kill() })
	defer stop()
	var output bytes.Buffer
	initdb.Stdout, initdb.Stderr = &output, &output
	if err := initdb.Run(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output.String())
	}
	return os.Remove(passwordFile)
}
