// Command ringback is the desk in production: each process scaled on its own,
// on an existing Temporal cluster and PostgreSQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	_ "time/tzdata" // calendars need no zone files on the machine

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"ringback/api"
	"ringback/cmd/internal/cli"
	"ringback/config"
	"ringback/engine"
	"ringback/observe"
	"ringback/serve"
	"ringback/store"
)

func main() { cli.Main(command()) }

func command() *cobra.Command {
	var source config.Source
	root := &cobra.Command{Use: "ringback", Short: "A desk on which no promised callback is ever forgotten"}
	source.AddFlags(root.PersistentFlags(),
		"server.listen", "server.metrics_listen", "server.public_url", "server.dev_tokens",
		"server.requests_per_second", "server.attempts_per_minute", "server.trusted_proxies", "database.url",
		"temporal.address", "temporal.namespace", "temporal.task_queue", "temporal.ui_url", "temporal.tls.enabled",
		"temporal.tls.cert", "temporal.tls.key", "temporal.tls.ca", "temporal.tls.server_name",
		"telemetry.log_level", "telemetry.otlp_endpoint",
	)
	desk := func(ctx context.Context, _ string) (*cli.Desk, error) {
		return cli.Hold(ctx, func(ctx context.Context, ready func(*serve.Desk)) error {
			cfg, err := cli.Load(source)
			if err != nil {
				return err
			}
			return with(ctx, cfg, "audit", func(ctx context.Context, d *serve.Desk) error {
				ready(d)
				<-ctx.Done()
				return nil
			})
		})
	}
	root.AddCommand(
		run(&source, "api", "Serve the HTTP API", signInOrLoopback, serveAPI),
		run(&source, "worker", "Run the workflows, their activities and the sweeper", nil, work),
		migrateCommand(&source), keyCommand(&source), healthCommand(&source),
		cli.Audit(desk, false), cli.Rebuild(desk, false),
	)
	return root
}

func run(source *config.Source, name, short string, check func(*config.Config) error, do func(context.Context, *serve.Desk) error) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		cfg, err := cli.Load(*source)
		if err != nil {
			return err
		}
		if check != nil {
			if err := check(cfg); err != nil {
				return err
			}
		}
		return with(cmd.Context(), cfg, name, do)
	}}
}

// with connects to the database and, lazily, to Temporal, and hands the desk
// to do. A process starts while the cluster is away; an unmigrated database stops it.
func with(ctx context.Context, cfg *config.Config, service string, do func(context.Context, *serve.Desk) error) (err error) {
	settings := &cfg.Settings
	logger := observe.Logger(os.Stderr, settings.Telemetry.LogLevel)
	interceptors, flush, err := observe.Tracing(ctx, settings.Telemetry.OTLPEndpoint, "ringback-"+service)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, flush(context.WithoutCancel(ctx))) }()
	book, err := openBook(ctx, settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	if err := book.CheckVersion(ctx); err != nil {
		return err
	}
	registry := observe.Registry()
	dial := connection(settings)
	dial.Logger, dial.MetricsHandler, dial.Interceptors = logger, engine.Metrics(registry), interceptors
	dial.DialOptions = []grpc.DialOption{api.WatchSends()}
	c, err := engine.DialLazy(dial)
	if err != nil {
		return err
	}
	defer c.Close()
	d := &serve.Desk{Config: cfg, Store: book, Client: c, Logger: logger, Registry: registry}
	if err := d.Introduce(ctx); err != nil {
		return err
	}
	return do(ctx, d)
}

func openBook(ctx context.Context, settings *config.Settings) (*store.Store, error) {
	if settings.Database.URL == "" {
		return nil, cli.Mistake("RINGBACK_DATABASE_URL or --database-url: expected the URL of a PostgreSQL database")
	}
	return store.OpenPostgres(ctx, string(settings.Database.URL), store.Options{})
}

func connection(settings *config.Settings) engine.Config {
	t := settings.Temporal
	return engine.Config{
		Address: t.Address, Namespace: t.Namespace, TaskQueue: t.TaskQueue,
		TLS: engine.TLS{Enabled: t.TLS.Enabled, CertFile: t.TLS.Cert, KeyFile: t.TLS.Key, CAFile: t.TLS.CA, ServerName: t.TLS.ServerName},
	}
}

// signInOrLoopback keeps the API on this machine unless somebody can prove who
// they are: without a sign-in it knows development tokens only, with which
// anybody is whoever they say.
func signInOrLoopback(cfg *config.Config) error {
	server := &cfg.Settings.Server
	if cfg.SignIn.Configured() {
		if cfg.SignIn.OIDC == nil {
			return nil
		}
		_, err := cfg.SignIn.OIDC.Secret(os.Environ())
		return err
	}
	if !server.Loopback() {
		return cli.Mistake("--listen %s: expected a loopback address: no sign_in is configured that could be trusted beyond it", server.Listen)
	}
	if !server.PublicLoopback() {
		return cli.Mistake("--public-url %s: expected a sign_in in the configuration file: anybody could sign in as anybody", server.PublicURL)
	}
	server.DevTokens = true
	return nil
}

func serveAPI(ctx context.Context, d *serve.Desk) error {
	l, err := net.Listen("tcp", d.Config.Settings.Server.Listen)
	if err != nil {
		return err
	}
	d.Logger.Info("serving", "listen", l.Addr().String())
	return d.API(ctx, l)
}

// work runs the worker, with health and metrics beside it.
func work(ctx context.Context, d *serve.Desk) error {
	l, err := listenBeside(&d.Config.Settings.Server, d.Logger)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.Registry, promhttp.HandlerOpts{Registry: d.Registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context(), d.Store, d.Client); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	beside := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return d.Work(ctx) })
	running.Go(func() error {
		if err := beside.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	running.Go(func() error {
		<-ctx.Done()
		return beside.Close()
	})
	d.Logger.Info("working", "listen", l.Addr().String())
	return running.Wait()
}

// listenBeside is where a worker serves health and metrics. Where nobody has said
// where, the API of the same machine may be there already: better a worker
// somewhere else than none.
func listenBeside(server *config.Server, logger *slog.Logger) (net.Listener, error) {
	l, err := net.Listen("tcp", server.WorkerListen())
	if err == nil || server.MetricsListen != "" || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	logger.Warn("health and metrics are at a port of their own: set metrics_listen", "taken", server.Listen)
	return net.Listen("tcp", "127.0.0.1:0")
}

func ready(ctx context.Context, book *store.Store, c client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return errors.Join(book.Ping(ctx), engine.Healthy(ctx, c))
}

func migrateCommand(source *config.Source) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database and Temporal's namespace up to date",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			cfg, err := cli.Load(*source)
			if err != nil {
				return err
			}
			book, err := openBook(ctx, &cfg.Settings)
			if err != nil {
				return err
			}
			defer book.Close()
			if err := book.Migrate(ctx); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "The database is up to date.")
			c, err := engine.Dial(ctx, connection(&cfg.Settings))
			if err != nil {
				return err
			}
			defer c.Close()
			if err := engine.Prepare(ctx, c, cfg.Settings.Temporal.Namespace, 0); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The namespace %s and its search attributes are ready.\n", cfg.Settings.Temporal.Namespace)
			return nil
		},
	}
}

// keyCommand makes a key where nobody can sign in yet to make one.
func keyCommand(source *config.Source) *cobra.Command {
	var scopes []string
	var lasts time.Duration
	cmd := &cobra.Command{
		Use:   "key NAME",
		Short: "Make an API key for a system, and print it once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			token, k, err := api.MintKey(args[0], scopes, "operator", lasts)
			if err != nil {
				return cli.Mistake("%s", err)
			}
			cfg, err := cli.Load(*source)
			if err != nil {
				return err
			}
			book, err := openBook(ctx, &cfg.Settings)
			if err != nil {
				return err
			}
			defer book.Close()
			if err := book.CheckVersion(ctx); err != nil {
				return err
			}
			if err := book.AddKey(ctx, k, nil); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Key %s of %s, good until %s. It is shown this once:\n", k.ID, k.Name, k.ExpiresAt)
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&scopes, "scope", []string{api.ScopeIntake}, "`SCOPE` of the key: intake, read or audit; may be repeated")
	cmd.Flags().DurationVar(&lasts, "for", 365*24*time.Hour, "`DURATION` for which it is good, at most two years")
	return cmd
}

func healthCommand(source *config.Source) *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running process whether it is ready; exit 0 if so",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				cfg, err := cli.Load(*source)
				if err != nil {
					return err
				}
				url = "http://" + cfg.Settings.Server.WorkerListen()
			}
			return cli.Running(cmd.Context(), url)
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "`URL` of the process; where this environment's would listen, if empty")
	return cmd
}
