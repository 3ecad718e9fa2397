// Package sweep does later what nobody did in time, so that nothing stays half
// done: it brings the read model up to date where whoever gave a command died
// before writing its outcome, begins and ends for callbacks the outages of which
// they were not told, exports closed histories before the engine
// forgets them, deletes what is no longer needed, and watches the clock from
// outside the engine.
//
// Workers run it. Everything it does may be repeated and may meet another
// sweeper; one is enough, and a lease sees to that.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/converter"

	"ringback/audit"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// Book is what a sweeper needs of the store. Its errors are those of package book.
type Book interface {
	audit.Book

	// OpenErrands are unanswered errands whose lease ran out before an instant, the
	// oldest first.
	OpenErrands(ctx context.Context, leaseBefore callback.Instant, limit int) ([]book.Errand, error)
	// TakeOver makes the caller the one who is at an errand; of many callers one is.
	TakeOver(ctx context.Context, id string, staleBefore, leaseUntil callback.Instant) (e book.Errand, taken bool, err error)
	// Release lets a repeat take it over at once.
	Release(ctx context.Context, id string) error
	// Drop forgets an errand, and what was staged for it and is not named by an
	// event: its texts, and the original of a callback that never came to be.
	Drop(ctx context.Context, id string) error
	// Project writes events; *book.GapError: earlier ones are missing.
	Project(ctx context.Context, b book.Batch) (book.View, error)

	// SaveHistory archives a run; again changes nothing.
	SaveHistory(ctx context.Context, a book.Archived) error
	// ClosedWithoutHistory are callbacks that closed before an instant and whose last
	// run is not archived, the longest closed first.
	ClosedWithoutHistory(ctx context.Context, closedBefore callback.Instant, limit int) (callbackIDs []string, err error)

	// ActiveOutages are those that go on.
	ActiveOutages(ctx context.Context) ([]book.Outage, error)
	// EndedLinks are open callbacks that are linked to an outage that ended before an
	// instant, or to one that is not there.
	EndedLinks(ctx context.Context, endedBefore callback.Instant, limit int) ([]book.OutageLink, error)

	// Watch compares what should have happened by now with what has.
	Watch(ctx context.Context, now callback.Instant, grace time.Duration) (book.Watch, error)

	SweepTexts(ctx context.Context, before callback.Instant) (int64, error)
	SweepErrands(ctx context.Context, answeredBefore callback.Instant) (int64, error)
	SweepReservations(ctx context.Context, expiredBefore callback.Instant) (int64, error)
	SweepDrawWaits(ctx context.Context) (int64, error)
	SweepMessages(ctx context.Context, replayedBefore callback.Instant) (int64, error)
	SweepMemory(ctx context.Context, t book.Term, now callback.Instant) (int64, error)
	TrimFeed(ctx context.Context, before callback.Instant) error
}

// Engine is what a sweeper asks of Temporal; client.Client is one.
type Engine interface {
	audit.Engine
	QueryWorkflow(ctx context.Context, workflowID, runID, queryType string, args ...any) (converter.EncodedValue, error)
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
}

// Outages begins outages; one that has begun stays as it is.
type Outages interface {
	BeginOutage(ctx context.Context, in contract.OutageInput) error
}

// Lease lets one sweeper of many work at a time.
type Lease interface {
	// Lease gives a name to a holder until an instant, if nobody else holds it at
	// now; it reports whether the holder has it.
	Lease(ctx context.Context, name, holder string, now, until callback.Instant) (bool, error)
}

// Options of a sweeper. Book, Engine and Outages are needed.
type Options struct {
	Book    Book
	Engine  Engine
	Outages Outages
	// Terms say what connectors need not remember for ever.
	Terms []book.Term
	// Namespace of the engine's callbacks; empty: the engine's own.
	Namespace string
	// Lease; nil: this is the only sweeper, or it does not matter.
	Lease Lease
	// Logger; nil: slog.Default().
	Logger *slog.Logger
	// Registry shows the metrics; nil: nobody sees them.
	Registry prometheus.Registerer
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Every is the pause between two looks; 0: 15 s.
	Every time.Duration
	// Tick, if not nil, starts each look after the first instead of Every.
	Tick <-chan time.Time
	// Converter of payloads; nil: Temporal's default.
	Converter converter.DataConverter
	// ContinueAfter is that of the workflows (tests set it).
	ContinueAfter int
}

// How long things may take or stay. The engine keeps closed histories for 30
// days unless it is told otherwise.
const (
	// settled: by then nothing that was sent before is on its way any more.
	settled = callback.Duration(time.Minute)
	// shelveAfter a callback closed its workflow has usually ended too.
	shelveAfter = callback.Duration(10 * time.Second)
	// neglected: a closed history should be in the archive by then.
	neglected = callback.Duration(time.Hour)

	keepAnswers      = callback.Duration(30 * 24 * time.Hour) // CONTRACT §4
	keepTexts        = callback.Duration(48 * time.Hour)
	keepReservations = keepAnswers // one is the answer to its key
	keepFeed         = callback.Duration(24 * time.Hour)
	keepMessages     = callback.Duration(30 * 24 * time.Hour) // after they were understood
	cleanEvery       = callback.Duration(10 * time.Minute)
	forgetEvery      = callback.Duration(24 * time.Hour) // it looks at all that is remembered

	// watchGrace is how late the clock may be before it is an alarm.
	watchGrace = 10 * time.Second
	// patience with one question or one statement.
	patience = 5 * time.Second
	atOnce   = 200
)

// Sweeper does it.
type Sweeper struct {
	Options
	auditor *audit.Auditor
	metrics *metrics
	holder  string

	// What is remembered between looks; forgetting it costs a repetition.
	again   map[string]callback.Instant // errands that need not be asked about before then
	seen    map[string]callback.Instant // creates without a workflow, since when
	lost    map[string]bool             // closed callbacks whose history is nowhere
	begun   map[string]bool             // outages that have their workflow
	told    map[string]telling          // callbacks that were told that their outage is over
	shelved callback.Instant            // runs that continued before then are archived
	cleaned callback.Instant
	forgot  callback.Instant // what connectors remember was gone through
	late    int64
	holding bool // the lease, at the last look
}

// New returns a sweeper.
func New(o Options) *Sweeper {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Every <= 0 {
		o.Every = 15 * time.Second
	}
	return &Sweeper{
		Options: o,
		auditor: audit.New(audit.Options{
			Engine: o.Engine, Namespace: o.Namespace, Book: o.Book, Converter: o.Converter, ContinueAfter: o.ContinueAfter,
		}),
		metrics: newMetrics(o.Registry),
		holder:  uuid.NewString(),
		again:   map[string]callback.Instant{}, seen: map[string]callback.Instant{}, lost: map[string]bool{},
	}
}

// Report says what one look came to.
type Report struct {
	// Idle: another sweeper holds the lease; only the watch was kept.
	Idle bool
	// CaughtUp callbacks were behind in the read model; Dropped errands came to
	// nothing, or are done; Postponed ones could not be decided yet.
	CaughtUp, Dropped, Postponed int
	// Archived runs; Missing closed callbacks whose history is nowhere.
	Archived, Missing int
	// Resumed callbacks were still linked to an outage that is over.
	Resumed int
	// Ended from outside: workflows that were terminated, failed or cancelled.
	Ended int
	// Watch is what the look at the clock found.
	Watch book.Watch
	// Texts, Errands, Reservations, Waits for draws and kept Messages that were
	// deleted; Forgotten memories of connectors.
	Texts, Errands, Reservations, Waits, Messages, Forgotten int64
}

// Run looks at once and then again and again until ctx is done; what it is at
// then is finished first. It returns nil.
func (s *Sweeper) Run(ctx context.Context) error {
	tick := s.Tick
	if tick == nil {
		ticker := time.NewTicker(s.Every)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		if _, err := s.Once(ctx); err != nil && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "a part of the sweep failed; it will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			s.giveUp(ctx)
			return nil
		case <-tick:
		}
	}
}

// task is one of the things done at a look.
type task struct {
	name string
	do   func(ctx context.Context, r *Report) error
}

// Once looks once. Every task is tried, whatever became of the others; the
// error joins what went wrong.
func (s *Sweeper) Once(ctx context.Context) (Report, error) {
	var r Report
	tasks := []task{{"watch", s.watch}}
	held, err := s.hold(ctx)
	if held {
		tasks = []task{{"errands", s.errands}, {"outages", s.outages}, {"watch", s.watch}, {"archive", s.archive}, {"clean", s.clean}}
	}
	r.Idle = !held
	if s.holding && !held && err == nil {
		s.metrics.handOver()
	}
	if err == nil {
		s.holding = held
	}
	failures := []error{err}
	for _, t := range tasks {
		if ctx.Err() != nil {
			break
		}
		began := s.Now()
		err := t.do(ctx, &r)
		s.metrics.took(t.name, s.Now().Sub(began), err)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", t.name, err))
		}
	}
	return r, errors.Join(failures...)
}

func (s *Sweeper) now() callback.Instant { return callback.At(s.Now()) }

// finishing bounds one small thing that is finished even if ctx ends meanwhile.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), patience)
}

const leaseName = "sweep"

// hold takes or keeps the lease, for three looks.
func (s *Sweeper) hold(ctx context.Context) (bool, error) {
	if s.Lease == nil {
		return true, nil
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	now := s.now()
	held, err := s.Lease.Lease(ctx, leaseName, s.holder, now, now.Plus(callback.Duration(3*s.Every)))
	if err != nil {
		return false, fmt.Errorf("lease: %w", err)
	}
	return held, nil
}

// giveUp lets another sweeper go on at once.
func (s *Sweeper) giveUp(ctx context.Context) {
	if s.Lease == nil {
		return
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	now := s.now()
	if _, err := s.Lease.Lease(ctx, leaseName, s.holder, now, now); err != nil {
		s.Logger.InfoContext(ctx, "the sweeper's lease could not be given up; it will run out", "error", err)
	}
}
