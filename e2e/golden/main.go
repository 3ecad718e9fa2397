// Command golden records golden histories: it plays every path that a callback can take against a real engine with the
// real worker, and keeps what the engine recorded, with what came of it, for every later release to replay
// (workflows/replay_test.go).
//
//	go run ./e2e/golden                       the paths that the newest release has brought and lacks
//	go run ./e2e/golden -release v1           those of another release
//	go run ./e2e/golden met reschedule        only these
//
// A history that was released is never written again: what is there stays, and what is listed but gone or altered stops
// everything.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"ringback/engine"
	"ringback/engine/embedded"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "golden:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir := flag.String("dir", filepath.FromSlash("workflows/testdata/histories"), "folder of the golden histories")
	name := flag.String("release", "v3", "the release whose histories these are: its folder")
	parallel := flag.Int("parallel", 4, "paths that are played at once")
	flag.Parse()

	wanted, err := choose(flag.Args())
	if err != nil {
		return err
	}
	folder, err := openRelease(filepath.Join(*dir, *name))
	if err != nil {
		return err
	}
	wanted = slices.DeleteFunc(wanted, func(p path) bool { return folder.has(p.name) || cmp.Or(p.since, "v1") != *name })
	if len(wanted) == 0 {
		fmt.Printf("%s has them all\n", *name)
		return nil
	}
	began := time.Now()
	floors := &floors{}
	defer floors.close()
	var mu sync.Mutex
	var failed []string
	each(*parallel, wanted, func(p path) {
		recorded, err := floors.record(ctx, p)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			err = folder.add(recorded)
		}
		if err != nil {
			failed = append(failed, p.name)
			fmt.Printf("%-40s %v\n", p.name, err)
			return
		}
		for _, r := range recorded {
			fmt.Printf("%-40s %3d history events, %2d timeline entries, %s\n",
				r.name, len(r.history.GetEvents()), len(r.outcome.Events), r.outcome.State.Status)
		}
	})
	fmt.Printf("%d paths in %.0f s, %d histories in %s\n", len(wanted)-len(failed), time.Since(began).Seconds(), folder.count(), *name)
	if len(failed) > 0 {
		return fmt.Errorf("not recorded: %s", strings.Join(failed, ", "))
	}
	return nil
}

// choose returns the paths of these names; none: all.
func choose(names []string) ([]path, error) {
	paths := slices.Concat(paths, outwardPaths, repeatedPaths)
	if len(names) == 0 {
		return paths, nil
	}
	var chosen []path
	for _, name := range names {
		i := slices.IndexFunc(paths, func(p path) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no path %q", name)
		}
		chosen = append(chosen, paths[i])
	}
	return chosen, nil
}

// each calls f for every path, so many at once.
func each(parallel int, all []path, f func(path)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(parallel, 1))
	for _, p := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(p)
		})
	}
	wg.Wait()
}

// floors are the engines that are played on: one for all paths, and one for each that wants the engine otherwise.
type floors struct {
	mu     sync.Mutex
	shared *floor
	all    []*floor
}

// floor is one engine.
type floor struct {
	dir    string
	server *embedded.Server
	client client.Client
}

// identity stands in the histories where the engine would write the process and the host.
const identity = "ringback"

func (f *floors) open(ctx context.Context, dynamic map[string]any) (*floor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if dynamic == nil && f.shared != nil {
		return f.shared, nil
	}
	dir, err := os.MkdirTemp("", "golden")
	if err != nil {
		return nil, err
	}
	opened := &floor{dir: dir}
	f.all = append(f.all, opened)
	quiet := slog.New(slog.DiscardHandler)
	if opened.server, err = embedded.Start(ctx, embedded.Config{DataDir: dir, Dynamic: dynamic, Logger: quiet}); err != nil {
		return nil, err
	}
	opened.client, err = engine.Dial(ctx, engine.Config{Address: opened.server.Address(), Identity: identity, Logger: quiet})
	if err != nil {
		return nil, err
	}
	if dynamic == nil {
		f.shared = opened
	}
	return opened, nil
}

func (f *floors) close() {
	for _, opened := range f.all {
		if opened.client != nil {
			opened.client.Close()
		}
		if opened.server != nil {
			_ = opened.server.Stop()
		}
		_ = os.RemoveAll(opened.dir)
	}
}

// tries is how often a path is played until it goes as it should: its clocks run in seconds, on a machine that may be
// busy.
const tries = 3

func (f *floors) record(ctx context.Context, p path) (recorded []recording, err error) {
	for range tries {
		var on *floor
		if on, err = f.open(ctx, p.dynamic); err != nil {
			return nil, err
		}
		if recorded, err = p.record(ctx, on); err == nil || ctx.Err() != nil {
			break
		}
	}
	return recorded, err
}
