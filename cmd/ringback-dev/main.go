// Command ringback-dev is the whole desk in one process, for a first look and
// for development: an embedded Temporal with its Web UI, an embedded database,
// the API and a worker. Everything durable is in one folder; it survives
// kill -9 and goes on from there.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "time/tzdata" // calendars need no zone files on the machine

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"ringback/api"
	"ringback/cmd/internal/cli"
	"ringback/config"
	"ringback/engine"
	"ringback/engine/embedded"
	"ringback/observe"
	"ringback/serve"
	"ringback/store"
)

func main() { cli.Main(command()) }

func command() *cobra.Command {
	var source config.Source
	root := &cobra.Command{
		Use:   "ringback-dev",
		Short: "The whole desk in one process",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := cli.Load(source)
			if err != nil {
				return err
			}
			server := &cfg.Settings.Server
			if !server.Loopback() {
				return cli.Mistake("--listen %s: expected a loopback address: anybody could sign in as anybody", server.Listen)
			}
			if !server.PublicLoopback() {
				return cli.Mistake("--public-url %s: expected none: anybody could sign in as anybody", server.PublicURL)
			}
			server.DevTokens = true
			server.RequestsPerSecond, server.AttemptsPerMinute = 0, 0 // one's own machine may be asked as fast as it answers
			return run(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	source.AddFlags(root.PersistentFlags(), "server.listen", "embedded.data", "embedded.temporal_port", "embedded.ui_port", "telemetry.log_level", "telemetry.otlp_endpoint")
	desk := func(ctx context.Context, server string) (*cli.Desk, error) { return open(ctx, source, server) }
	root.AddCommand(tourCommand(&source), cli.Audit(desk, true), cli.Rebuild(desk, true))
	return root
}

// run serves the desk until ctx is done.
func run(ctx context.Context, cfg *config.Config, out io.Writer) error {
	return with(ctx, cfg, func(ctx context.Context, p *process) error {
		return p.serve(ctx, func(base string) { p.greet(out, base) })
	})
}

// process is the embedded desk: its parts, started.
type process struct {
	*serve.Desk
	server *embedded.Server
}

// with starts the parts, hands them to do, and stops them.
func with(ctx context.Context, cfg *config.Config, do func(context.Context, *process) error) (err error) {
	settings := &cfg.Settings
	logger := observe.Logger(os.Stderr, settings.Telemetry.LogLevel)
	interceptors, flush, err := observe.Tracing(ctx, settings.Telemetry.OTLPEndpoint, "ringback-dev")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, flush(context.WithoutCancel(ctx))) }()

	data := settings.Embedded.Data
	p := &process{}
	registry := observe.Registry()
	var starting errgroup.Group
	starting.Go(func() (err error) {
		p.server, err = embedded.Start(ctx, embedded.Config{
			DataDir: data, Port: settings.Embedded.TemporalPort, UIPort: settings.Embedded.UIPort,
			Namespace: settings.Temporal.Namespace, Logger: logger,
		})
		return err
	})
	var book *store.Store
	starting.Go(func() (err error) {
		book, err = openBook(ctx, data)
		return err
	})
	err = starting.Wait()
	if p.server != nil {
		defer func() { err = errors.Join(err, p.server.Stop()) }()
	}
	if book != nil {
		defer func() { err = errors.Join(err, book.Close()) }()
	}
	if err != nil {
		return err
	}
	c, err := engine.Dial(ctx, engine.Config{
		Address: p.server.Address(), Namespace: settings.Temporal.Namespace,
		Logger: logger, MetricsHandler: engine.Metrics(registry), Interceptors: interceptors,
		DialOptions: []grpc.DialOption{api.WatchSends()},
	})
	if err != nil {
		return err
	}
	defer c.Close()
	p.Desk = &serve.Desk{Config: cfg, Store: book, Client: c, Logger: logger, Registry: registry, EngineInside: true}
	if ui := p.server.UIAddress(); ui != "" {
		p.TemporalUI = "http://" + ui
	}
	where, err := whereaboutsOf(data, p.server.Address(), settings.Temporal.Namespace)
	if err != nil {
		return err
	}
	p.Beside = map[string]http.Handler{whereaboutsPath: where}
	return do(ctx, p)
}

// bookIn is where the embedded database is in a data folder.
func bookIn(data string) string { return filepath.Join(data, "desk.db") }

// openBook opens the embedded database, up to date.
func openBook(ctx context.Context, data string) (*store.Store, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder: %w", err)
	}
	book, err := store.OpenSQLite(ctx, bookIn(data), store.Options{})
	if err != nil {
		return nil, err
	}
	if err := book.Migrate(ctx); err != nil {
		return nil, errors.Join(err, book.Close())
	}
	return book, nil
}

// serve runs API and worker until ctx is done; ready is told the address once
// nothing is wrong with what the API is made of. The worker goes on until the
// API has answered what was under way: commands need it.
func (p *process) serve(ctx context.Context, ready func(base string)) error {
	if err := p.Introduce(ctx); err != nil {
		return err
	}
	listen, err := net.Listen("tcp", p.Config.Settings.Server.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	p.Open = func() { ready("http://" + listen.Addr().String()) }
	working, rest := context.WithCancel(context.WithoutCancel(ctx))
	defer rest()
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error {
		defer rest()
		return p.API(ctx, listen)
	})
	running.Go(func() error { return p.Work(working) })
	return running.Wait()
}

// greet says where everything is, who can sign in, and what to try first.
func (p *process) greet(out io.Writer, base string) {
	fmt.Fprintf(out, "%s is open.\n\n", p.Config.Organization)
	fmt.Fprintf(out, "  desk         %s\n", base)
	fmt.Fprintf(out, "  API          %s/v1/callbacks   (%s/docs)\n", base, base)
	if ui := p.TemporalUI; ui != "" {
		fmt.Fprintf(out, "  Temporal UI  %s\n", ui)
	}
	fmt.Fprintf(out, "  Temporal     %s\n", p.server.Address())
	fmt.Fprintf(out, "  data         %s\n\nOpen the desk in a browser and choose who to be, or send one of these tokens:\n\n", p.Config.Settings.Embedded.Data)
	for _, s := range p.Config.Staff {
		fmt.Fprintf(out, "  %-16s %s, %s\n", "dev:"+s.ID, s.Name, s.Tier)
	}
	if creator, body := example(p.Config); creator != "" {
		fmt.Fprintf(out, `
Promise a callback:

  curl -sS %s/v1/callbacks -H 'Authorization: Bearer dev:%s' -H 'Content-Type: application/json' \
    -d '%s'

`, base, creator, strings.ReplaceAll(body, "'", `'\''`))
	}
}

// open opens the desk's data for an auditor: with nothing else running, or,
// given the address of a running desk, beside it.
func open(ctx context.Context, source config.Source, server string) (*cli.Desk, error) {
	cfg, err := cli.Load(source)
	if err != nil {
		return nil, err
	}
	settings := &cfg.Settings
	where := whereabouts{Data: settings.Embedded.Data, Temporal: fmt.Sprintf("127.0.0.1:%d", settings.Embedded.TemporalPort), Namespace: settings.Temporal.Namespace}
	if server != "" {
		if err := cli.Running(ctx, server); err != nil {
			return nil, err
		}
		if where, err = where.told(ctx, server); err != nil {
			return nil, err
		}
	}
	// What is not there holds no histories, and would seem to verify.
	if _, err := os.Stat(bookIn(where.Data)); err != nil {
		return nil, cli.Mistake("--data %s: expected the folder of a desk that has run: %s is not there", where.Data, bookIn(where.Data))
	}
	if server == "" {
		settings.Embedded.TemporalPort, settings.Embedded.UIPort = 0, 0
		return cli.Hold(ctx, func(ctx context.Context, ready func(*serve.Desk)) error {
			return with(ctx, cfg, func(ctx context.Context, p *process) error {
				ready(p.Desk)
				<-ctx.Done()
				return nil
			})
		})
	}
	logger := observe.Logger(os.Stderr, slog.LevelWarn)
	return cli.Hold(ctx, func(ctx context.Context, ready func(*serve.Desk)) error {
		book, err := store.OpenSQLite(ctx, bookIn(where.Data), store.Options{})
		if err != nil {
			return err
		}
		defer book.Close()
		dialling, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		settings.Temporal.Namespace = where.Namespace
		c, err := engine.Dial(dialling, engine.Config{Address: where.Temporal, Namespace: where.Namespace, Logger: logger})
		if err != nil {
			return err
		}
		defer c.Close()
		ready(&serve.Desk{Config: cfg, Store: book, Client: c, Logger: logger, Registry: observe.Registry()})
		<-ctx.Done()
		return nil
	})
}
