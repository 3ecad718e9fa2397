package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"ringback/activities"
	"ringback/book"
	"ringback/callback"
	"ringback/config"
	"ringback/connectors"
	"ringback/worker"
)

// A maker makes the connectors of one kind of block. It reads the blocks, all
// their keys, and returns how to make what they ask for; that is not called
// where something is wrong with them.
type maker func(c *config.Config, blocks []*config.Block) func(d deps) ([]connectors.Connector, error)

// deps are those of one connector, by its name.
type deps func(connector string) connectors.Deps

// makers are by the names of their blocks under connectors: what is not here
// cannot be configured.
var makers = map[string]maker{}

// making is how to make the connectors of one kind of block.
type making struct {
	blocks []*config.Block
	make   func(d deps) ([]connectors.Connector, error)
}

// readConnectors reads every block under connectors. The error is a
// [*config.Error] for the first mistake.
func readConnectors(c *config.Config) ([]making, error) {
	all := make([]making, 0, len(c.Connectors.Names))
	for _, name := range c.Connectors.Names {
		blocks := c.Connectors.Blocks(name)
		read, known := makers[name]
		if !known {
			for _, b := range blocks {
				return nil, b.Wrong("", "a connector that this program has")
			}
			continue
		}
		m := making{blocks: blocks, make: read(c, blocks)}
		for _, b := range blocks {
			if err := b.Err(); err != nil {
				return nil, err
			}
		}
		all = append(all, m)
	}
	return all, nil
}

// CheckConnectors returns the first mistake in the blocks under connectors, a
// [*config.Error]. Secrets need not be there: most commands speak to nobody.
func CheckConnectors(c *config.Config) error {
	_, err := readConnectors(c)
	return err
}

// connect makes every connector that is configured, and those that are plugged
// in. The error is a [*config.Error] where a secret is missing, or a connector
// finds something wrong with its block.
func (d *Desk) connect(desk connectors.Desk) ([]connectors.Connector, error) {
	makings, err := readConnectors(d.Config)
	if err != nil {
		return nil, err
	}
	deps := func(connector string) connectors.Deps {
		return connectors.Deps{
			Desk: desk, Memory: d.Store, Kept: d.Store, Logger: d.Logger.With("connector", connector), Now: time.Now, Sleep: sleep,
		}
	}
	var all []connectors.Connector
	for _, m := range makings {
		for _, b := range m.blocks {
			if err := b.Unset(); err != nil {
				return nil, err
			}
		}
		made, err := m.make(deps)
		if err != nil {
			return nil, inBlock(m.blocks, err)
		}
		all = append(all, made...)
	}
	for _, plug := range d.Plugged {
		c, err := plug(deps)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.Name()] {
			return nil, fmt.Errorf("two connectors are called %s", c.Name())
		}
		seen[c.Name()] = true
	}
	return all, nil
}

// inBlock puts what a connector found wrong with its configuration where it is
// in the file.
func inBlock(blocks []*config.Block, err error) error {
	var f *callback.Fault
	if !errors.As(err, &f) || len(f.Errors) == 0 || len(blocks) == 0 {
		return err
	}
	return blocks[0].Wrong(f.Errors[0].Path, f.Errors[0].Message)
}

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bring runs the deliveries to every connector, and what connectors do by
// themselves, until ctx is done. The error is why it could not begin.
func (d *Desk) bring(ctx context.Context, all []connectors.Connector) (wait func(), err error) {
	tries := newTries(d.Registry)
	var stops []func()
	stop := func() {
		var stopping sync.WaitGroup
		for _, s := range stops {
			stopping.Go(s)
		}
		stopping.Wait()
	}
	var running sync.WaitGroup
	for _, c := range all {
		if len(c.Types()) > 0 {
			w := worker.Deliveries(d.Client, d.Config.Settings.Temporal.TaskQueue, activities.NewDelivery(activities.DeliveryOptions{
				Connector: c, Shown: d.Store, Ledger: d.Store, Logger: d.Logger, Tried: tries.note,
			}), worker.DeliveryRate{})
			if err := w.Start(); err != nil {
				stop()
				return nil, fmt.Errorf("starting the deliveries to %s: %w", c.Name(), err)
			}
			stops = append(stops, w.Stop)
		}
		if r, runs := c.(connectors.Runner); runs {
			running.Go(func() { d.keepRunning(ctx, c.Name(), r) })
		}
		if checks, can := c.(connectors.Checker); can {
			running.Go(func() { check(ctx, d.Logger, c.Name(), checks) })
		}
	}
	return func() { running.Wait(); stop() }, nil
}

// terms are what connectors need not remember for ever.
func terms(all []connectors.Connector) []book.Term {
	var terms []book.Term
	for _, c := range all {
		if f, forgets := c.(connectors.Forgetful); forgets {
			terms = append(terms, f.Terms()...)
		}
	}
	return terms
}

// checkWithin bounds the first look at another system.
const checkWithin = 30 * time.Second

// check says in the log how another system is, once.
func check(ctx context.Context, log *slog.Logger, name string, c connectors.Checker) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	if err := c.Check(ctx); err != nil {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			log.WarnContext(ctx, "a system around the desk does not answer as it should", "connector", name, "error", err.Error())
		}
		return
	}
	log.InfoContext(ctx, "connected", "connector", name)
}

// Of many processes one runs what a connector does by itself: whoever holds its
// lease, which is renewed often and lost soon after its holder has died.
const (
	leaseFor   = 20 * time.Second
	leaseRenew = 5 * time.Second
	// restartAfter is the pause before something that ended by itself is run again.
	restartAfter = 5 * time.Second
)

func (d *Desk) keepRunning(ctx context.Context, name string, r connectors.Runner) {
	lease := &lease{store: d.Store, name: "run:" + name, holder: uuid.NewString(), lasts: leaseFor, every: leaseRenew}
	for ctx.Err() == nil {
		err := lease.while(ctx, r.Run)
		if err != nil && ctx.Err() == nil {
			d.Logger.WarnContext(ctx, "what a connector does by itself has ended; it will be run again", "connector", name, "error", err.Error())
		}
		if sleep(ctx, restartAfter) != nil {
			return
		}
	}
}

// lease is held by one process at a time.
type lease struct {
	store interface {
		Lease(ctx context.Context, name, holder string, now, until callback.Instant) (bool, error)
	}
	name, holder string
	lasts, every time.Duration
}

// while runs f for as long as the lease is held; it waits for it first. A
// database that is away takes the lease away when it would have run out.
func (l *lease) while(ctx context.Context, f func(context.Context) error) error {
	held := time.Now()
	for !l.hold(ctx) {
		if err := sleep(ctx, l.every); err != nil {
			return err
		}
		held = time.Now()
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(running) }()
	for {
		select {
		case err := <-done:
			l.giveUp(ctx)
			return err
		case <-time.After(l.every):
		}
		asked := time.Now()
		switch {
		case ctx.Err() != nil:
		case l.hold(ctx):
			held = asked
		case time.Since(held) >= l.lasts-l.every:
			cancel() // somebody else may hold it by now
		}
	}
}

func (l *lease) hold(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, l.every/2)
	defer cancel()
	now := callback.At(time.Now())
	held, err := l.store.Lease(ctx, l.name, l.holder, now, now.Plus(callback.Duration(l.lasts)))
	return err == nil && held
}

// giveUp lets another process go on at once.
func (l *lease) giveUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.every)
	defer cancel()
	now := callback.At(time.Now())
	_, _ = l.store.Lease(ctx, l.name, l.holder, now, now) // else it runs out
}

// tries are the metrics of deliveries.
type tries struct {
	total *prometheus.CounterVec
	took  *prometheus.HistogramVec
}

func newTries(r prometheus.Registerer) *tries {
	t := &tries{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringback_delivery_tries_total", Help: "Tries to bring something to another system, by the code they ended with; empty: it arrived.",
		}, []string{"destination", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ringback_delivery_seconds", Help: "How long a try took.", Buckets: []float64{.01, .05, .1, .5, 1, 5, 10, 30},
		}, []string{"destination"}),
	}
	if r != nil {
		r.MustRegister(t.total, t.took)
	}
	return t
}

func (t *tries) note(destination, code string, took time.Duration) {
	t.total.WithLabelValues(destination, code).Inc()
	t.took.WithLabelValues(destination).Observe(took.Seconds())
}
