package audit

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ringback/book"
	"ringback/callback"
)

// Engine is where histories are read; client.Client is one.
type Engine interface {
	GetWorkflowHistory(ctx context.Context, workflowID, runID string, longPoll bool, filter enums.HistoryEventFilterType) client.HistoryEventIterator
	ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
}

// Book is what an audit reads in the database. Its errors are those of package book.
type Book interface {
	// Histories are the archived runs of a callback, in any order; none is no error.
	Histories(ctx context.Context, callbackID string) ([]book.Archived, error)
	// Callback is what lists show of it, Timeline what is shown of its past;
	// book.ErrNotFound where they show nothing.
	Callback(ctx context.Context, id string) (book.View, error)
	Timeline(ctx context.Context, callbackID string) ([]book.Entry, error)
}

// Options say what an auditor audits.
type Options struct {
	// Engine, if nil, leaves the archive alone to hold histories.
	Engine Engine
	// Namespace of the callbacks that are listed; empty: the engine's own.
	Namespace string
	// Book, if nil, leaves histories to be compared with their own records alone.
	Book Book
	// Converter of payloads; nil: Temporal's default.
	Converter converter.DataConverter
	// Parallel replays; 0: one for each processor.
	Parallel int
	// Patience is how long what lists show may lag behind a history before that is
	// a difference; 0: 3 s.
	Patience time.Duration
	// ContinueAfter is that of the workflows under audit (tests set it).
	ContinueAfter int
	// Logger hears of replays that go wrong; nil: nobody.
	Logger *slog.Logger
}

// Auditor answers auditors. Its methods may be called concurrently.
type Auditor struct {
	engine        Engine
	namespace     string
	book          Book
	converter     converter.DataConverter
	parallel      int
	patience      time.Duration
	continueAfter int
	logger        *slog.Logger
}

var defaultConverter = converter.GetDefaultDataConverter()

// New returns an auditor.
func New(o Options) *Auditor {
	a := &Auditor{
		engine: o.Engine, namespace: o.Namespace, book: o.Book, converter: o.Converter, parallel: o.Parallel,
		patience: o.Patience, continueAfter: o.ContinueAfter, logger: o.Logger,
	}
	if a.converter == nil {
		a.converter = defaultConverter
	}
	if a.parallel <= 0 {
		a.parallel = runtime.GOMAXPROCS(0)
	}
	if a.patience == 0 {
		a.patience = 3 * time.Second
	}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	return a
}

// Verdict is what a replay found (CONTRACT §4).
type Verdict struct {
	// OK: the history is whole, replays against the running code, and what it
	// recorded is what follows from it.
	OK bool `json:"ok"`
	// Events of the history, in all its runs.
	Events int `json:"events"`
	// OutcomeMatches: what lists show is that outcome; without a database at hand,
	// what the history says was answered and shown is.
	OutcomeMatches bool `json:"outcome_matches"`
	// Detail says in words what was compared, or names the first difference.
	// Nothing personal is in it.
	Detail string `json:"detail"`
}

// Held reports whether there is nothing to object to.
func (v Verdict) Held() bool { return v.OK && v.OutcomeMatches }

// HistoryJSON returns a callback's history as (*History).JSON writes it, on one line.
func (a *Auditor) HistoryJSON(ctx context.Context, callbackID string) ([]byte, error) {
	h, err := a.History(ctx, callbackID)
	if err != nil {
		return nil, err
	}
	return h.JSON(false)
}

// Export writes a callback's history, laid out for people; ReadFile reads it.
func (a *Auditor) Export(ctx context.Context, callbackID string, w io.Writer) error {
	h, err := a.History(ctx, callbackID)
	if err != nil {
		return err
	}
	data, err := h.JSON(true)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// Timeline derives a callback's timeline from its histories alone. The error is
// the verdict's detail where they do not replay.
func (a *Auditor) Timeline(ctx context.Context, callbackID string) ([]callback.Event, error) {
	h, err := a.History(ctx, callbackID)
	if err != nil {
		return nil, err
	}
	r := a.replay(h)
	if r.err != nil {
		return nil, r.err
	}
	return r.events, nil
}

// Verdict replays a callback's history and compares the outcome with what lists
// show now.
func (a *Auditor) Verdict(ctx context.Context, callbackID string) (Verdict, error) {
	h, err := a.History(ctx, callbackID)
	if err != nil {
		return Verdict{}, err
	}
	if a.book == nil {
		return a.Replay(h), nil
	}
	r := a.replay(h)
	if r.err != nil {
		return r.verdict(), nil
	}
	return a.compare(ctx, r)
}

// Replay replays a history that is at hand, an exported one for instance, and
// compares the outcome with the history's own records.
func (a *Auditor) Replay(h *History) Verdict { return a.replay(h).verdict() }

// ReplayFile replays one exported history.
func (a *Auditor) ReplayFile(name string) (Verdict, error) {
	h, err := ReadFile(name)
	if err != nil {
		return Verdict{}, err
	}
	return a.Replay(h), nil
}

// ReplayDir replays every exported history under a directory and gives each
// verdict as it comes, in no particular order. The error is why they could not
// all be read.
func (a *Auditor) ReplayDir(ctx context.Context, dir string, each func(callbackID string, v Verdict)) error {
	histories, err := ReadDir(dir)
	if err != nil {
		return err
	}
	if len(histories) == 0 {
		return errors.New(dir + ": no exported histories (*.json, *.json.gz) here")
	}
	return inParallel(ctx, a.parallel, histories, func(_ context.Context, h *History) (Verdict, error) {
		return a.Replay(h), nil
	}, func(h *History, v Verdict) { each(h.CallbackID, v) })
}
