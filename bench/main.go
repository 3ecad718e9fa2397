// Command bench measures the desk side by side with the bare engine, in one
// run on one server: (a) a textbook workflow of the same shape with the SDK's
// defaults, (b) the best-tuned bare one, (c) the desk through HTTP. Rounds are
// interleaved and medians reported. It writes docs/performance.md and its plot.
//
// It takes about a quarter of an hour; -quick shrinks everything to try it out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"go.temporal.io/sdk/client"

	"ringback/api"
	"ringback/callback"
	"ringback/config"
	"ringback/engine"
	"ringback/engine/embedded"
	"ringback/observe"
	"ringback/serve"
	"ringback/store"
)

// plan is how much is measured.
type plan struct {
	Rounds     int   // interleaved rounds of every subject at every number of clients
	Clients    []int // at once
	Lifecycles int   // in each round
	Rate       int   // promises due a second, held by the engine
	DueFor     int   // seconds of that
	AtOnce     int   // promises due at one instant
	Open       int   // callbacks kept open, for memory and disk
	Out        string
	Profile    string // folder for a CPU profile of each part; empty: none
}

func main() {
	p := plan{Rounds: 3, Clients: []int{1, 8, 32}, Lifecycles: 240, Rate: 20, DueFor: 30, AtOnce: 10_000, Open: 2_000}
	quick := flag.Bool("quick", false, "a small run, to see that it works")
	flag.IntVar(&p.AtOnce, "at-once", p.AtOnce, "promises due at one instant")
	flag.IntVar(&p.Rate, "rate", p.Rate, "promises that fall due in a second, for punctuality")
	flag.StringVar(&p.Out, "out", "docs", "folder of performance.md and performance.svg")
	flag.StringVar(&p.Profile, "profile", "", "folder for a CPU profile of each part")
	only := flag.String("only", "", "one part alone, without a report: lifecycles, open, punctuality, stampede or proofs")
	flag.Parse()
	if *quick {
		p = plan{Rounds: 1, Clients: []int{1, 8}, Lifecycles: 24, Rate: 10, DueFor: 3, AtOnce: 100, Open: 50, Out: p.Out, Profile: p.Profile}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, p, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan, only string) error {
	dir, err := os.MkdirTemp("", "ringback-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer b.close()

	measured := &report{Plan: p, When: time.Now().UTC()}
	done := 0
	for _, part := range []struct {
		name    string
		measure func(context.Context, plan, *report) error
	}{
		{"lifecycles", b.lifecycles}, {"open", b.openCallbacks}, {"punctuality", b.punctuality},
		{"stampede", b.stampede}, {"proofs", b.proofs},
	} {
		if only != "" && only != part.name {
			continue
		}
		done++
		if err := profiled(p.Profile, part.name, func() error { return part.measure(ctx, p, measured) }); err != nil {
			return err
		}
	}
	switch {
	case done == 0:
		return fmt.Errorf("there is no part %q", only)
	case only != "":
		return measured.say(os.Stdout, only)
	}
	return measured.write(p.Out)
}

// profiled writes a CPU profile of do into a file of that name in a folder.
func profiled(folder, name string, do func() error) (err error) {
	if folder == "" {
		return do()
	}
	f, err := os.Create(filepath.Join(folder, name+".prof"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return do()
}

// bed is everything under test: one engine, the bare workers and the desk.
type bed struct {
	dir      string
	base     string
	client   client.Client
	engine   *api.TemporalEngine
	desk     *serve.Desk
	policy   *callback.Policy
	subjects []subject
	closers  []func()
}

// subject is one of the three that are compared.
type subject struct {
	Name string
	runs interface {
		lifecycle(ctx context.Context, id string, timed func(step string, do func() error) error) error
	}
}

func (b *bed) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
}

func open(ctx context.Context, dir string) (_ *bed, err error) {
	b := &bed{dir: dir}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	logger := observe.Logger(io.Discard, slog.LevelError)
	server, err := embedded.Start(ctx, embedded.Config{DataDir: dir, Logger: logger})
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, func() { _ = server.Stop() })
	b.client, err = engine.Dial(ctx, engine.Config{
		Address: server.Address(), Logger: logger, DialOptions: []grpc.DialOption{api.WatchSends()},
	})
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, b.client.Close)
	b.engine = api.NewTemporalEngine(b.client, engine.DefaultNamespace, engine.DefaultTaskQueue)

	notes, err := openNotebook(ctx, dir)
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, func() { _ = notes.db.Close() })
	stopBare, err := startBareWorkers(b.client, notes)
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, stopBare)
	if err := b.openDesk(ctx, logger); err != nil {
		return nil, err
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	b.subjects = []subject{
		{"(a) textbook", &bareSubject{b.client, textbookQueue}},
		{"(b) best bare", &bareSubject{b.client, tunedQueue}},
		{"(c) desk", &deskSubject{base: b.base}},
	}
	return b, nil
}

// openDesk serves the built-in desk over HTTP in this process.
func (b *bed) openDesk(ctx context.Context, logger *slog.Logger) error {
	cfg := config.Builtin()
	cfg.Settings.Server.DevTokens = true
	cfg.Settings.Server.RequestsPerSecond = 0 // a few people do the work of many here
	b.policy = cfg.Policies[deskPolicy]
	book, err := store.OpenSQLite(ctx, filepath.Join(b.dir, "desk.db"), store.Options{})
	if err != nil {
		return err
	}
	b.closers = append(b.closers, func() { _ = book.Close() })
	if err := book.Migrate(ctx); err != nil {
		return err
	}
	b.desk = &serve.Desk{Config: cfg, Store: book, Client: b.client, Logger: logger, Registry: observe.Registry(), EngineInside: true}
	if err := b.desk.Introduce(ctx); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.base = "http://" + l.Addr().String()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running errgroup.Group
	running.Go(func() error { return b.desk.API(serving, l) })
	running.Go(func() error { return b.desk.Work(serving) })
	b.closers = append(b.closers, func() { stop(); _ = running.Wait() })
	return nil
}
