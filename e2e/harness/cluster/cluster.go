// Package cluster gives tests a real Temporal server on a real PostgreSQL: the server's own program in a process of its
// own, with its four services, gossip and history shards, as in production, which may be stopped, killed and started
// again. For everything that does not need this, engine/embedded is a hundred times quicker to have.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ringback/e2e/harness/pg"
	"ringback/e2e/harness/process"
	"ringback/engine"
	"ringback/engine/embedded/freeport"
)

// Temporal's programs are built from the module that go.mod names, where they are listed as tools.
const (
	serverProgram = "go.temporal.io/server/cmd/server"
	schemaProgram = "go.temporal.io/server/cmd/tools/sql"
)

// shards of the history service; as few as can still show that there are several.
const shards = 4

// Option changes the cluster that Start starts.
type Option func(*options)

type options struct {
	dynamic map[string]any
	main    string
	visible string
}

// Dynamic overrides values of Temporal's dynamic configuration, by key; the rest is engine.Tuning.
func Dynamic(values map[string]any) Option {
	return func(o *options) { maps.Copy(o.dynamic, values) }
}

// On puts the cluster's two databases, which must be new and empty, where the caller wants them: on a server that it
// stops and crashes (pg.Start), say. Both are DSNs of TCP.
func On(main, visibility string) Option {
	return func(o *options) { o.main, o.visible = main, visibility }
}

// Cluster is a Temporal server. Its methods are for one goroutine at a time, but for Address.
type Cluster struct {
	program string
	config  string
	address string
	running *process.Process
}

// Start starts a Temporal server on two new databases and returns when it is healthy. It ends with the test. Namespaces
// there are none: engine.Prepare makes them.
//
// The first call on a machine builds the server, which takes minutes; later ones find it in Go's build cache.
func Start(tb testing.TB, with ...Option) *Cluster {
	tb.Helper()
	o := options{dynamic: engine.Tuning()}
	for _, option := range with {
		option(&o)
	}
	if o.main == "" {
		o.main, o.visible = pg.Database(tb), pg.Database(tb)
	}
	server, schema := program(tb, serverProgram), program(tb, schemaProgram)
	c, err := newCluster(tb.Context(), tb.TempDir(), server, schema, o)
	if err != nil {
		tb.Fatalf("starting a Temporal server: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() && c.running != nil {
			tb.Logf("the Temporal server said:\n%s", c.running.Output())
		}
		if err := c.Kill(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// Address is the HOST:PORT of the frontend; it stays the same through Restart.
func (c *Cluster) Address() string { return c.address }

// Stop ends the server in good order.
func (c *Cluster) Stop() error { return c.end(syscall.SIGTERM) }

// Kill ends the server at once (SIGKILL).
func (c *Cluster) Kill() error { return c.end(syscall.SIGKILL) }

// Restart ends the server in good order if it runs, starts it on the same data, and returns when it is healthy.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := c.Stop(); err != nil {
		return err
	}
	return c.start(ctx)
}

func newCluster(ctx context.Context, dir, server, schema string, o options) (*Cluster, error) {
	for dsn, name := range map[string]string{o.main: "temporal", o.visible: "visibility"} {
		if err := setUp(ctx, schema, dsn, name); err != nil {
			return nil, err
		}
	}
	c := &Cluster{program: server, config: filepath.Join(dir, "temporal.yaml")}
	// Another process can be faster at a port.
	for try := 0; ; try++ {
		ports, err := freeport.Take(ctx, make([]int, 2*len(services))...)
		if err != nil {
			return nil, err
		}
		c.address = freeport.Address(ports[0])
		if err := writeConfig(c.config, ports, o); err != nil {
			return nil, err
		}
		err = c.start(ctx)
		if err == nil {
			return c, nil
		}
		if try == 3 || !strings.Contains(err.Error(), "address already in use") {
			return nil, err
		}
	}
}

func (c *Cluster) start(ctx context.Context) error {
	cmd := exec.CommandContext(context.Background(), c.program, "--config-file", c.config, "--allow-no-auth", "start")
	// Nothing of the machine's own Temporal, such as TEMPORAL_SERVICES, may change what this one is.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(c.config), "TZ=UTC"}
	running, err := process.Start(cmd, nil)
	if err != nil {
		return err
	}
	c.running = running
	if err := running.Tie(); err != nil {
		return errors.Join(err, c.Kill())
	}
	if err := c.awaitHealthy(ctx); err != nil {
		return errors.Join(fmt.Errorf("%w\n%s", err, running.Output()), c.Kill())
	}
	return nil
}

func (c *Cluster) awaitHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, process.Patience)
	defer cancel()
	probe, err := engine.DialLazy(engine.Config{Address: c.address, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer probe.Close()
	for {
		attempt, done := context.WithTimeout(ctx, time.Second)
		err := engine.Healthy(attempt, probe)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-c.running.Exited():
			return fmt.Errorf("the Temporal server ended: %w", c.running.Err())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *Cluster) end(signal syscall.Signal) error {
	if c.running == nil {
		return nil
	}
	if err := c.running.End(signal); err != nil {
		return err
	}
	c.running = nil
	return nil
}

// setUp makes Temporal's tables with the tool that operators use.
func setUp(ctx context.Context, tool, dsn, schema string) error {
	flags, err := connection(dsn)
	if err != nil {
		return err
	}
	for _, command := range [][]string{
		{"setup-schema", "--version", "0.0"},
		{"update-schema", "--schema-name", "postgresql/v12/" + schema},
	} {
		cmd := exec.CommandContext(ctx, tool, append(slices.Clone(flags), command...)...)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("setting up Temporal's %s tables: %w\n%s", schema, err, output)
		}
	}
	return nil
}

func connection(dsn string) (flags []string, err error) {
	parsed, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	return []string{
		"--plugin", plugin, "--endpoint", parsed.Host, "--port", strconv.Itoa(int(parsed.Port)),
		"--user", parsed.User, "--password", parsed.Password, "--database", parsed.Database,
	}, nil
}

var (
	programsMu sync.Mutex
	programs   = map[string]string{}
)

// program builds one of Temporal's programs, or finds it built, and returns its path.
func program(tb testing.TB, name string) string {
	tb.Helper()
	programsMu.Lock()
	defer programsMu.Unlock()
	if path := programs[name]; path != "" {
		return path
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(tb.Context(), "go", "tool", "-n", name)
	cmd.Stderr = &stderr
	path, err := cmd.Output()
	if err != nil {
		tb.Fatalf("building %s: %v\n%s", name, err, stderr.String())
	}
	programs[name] = strings.TrimSpace(string(path))
	return programs[name]
}
