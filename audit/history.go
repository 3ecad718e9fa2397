package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"

	"ringback/contract"
)

// Errors about histories that callers tell apart.
var (
	// ErrNoHistory: neither the engine nor the archive knows the callback.
	ErrNoHistory = errors.New("no history")
	// ErrRunMissing: an earlier run of the callback is neither in the engine nor in the archive.
	ErrRunMissing = errors.New("the history of an earlier run is missing")
)

// History is everything that the engine recorded of one callback: its runs, the
// oldest first. All but the last ended by continuing as new.
type History struct {
	CallbackID string
	Runs       []*historypb.History
}

// Len is the number of history events in all runs.
func (h *History) Len() int {
	n := 0
	for _, r := range h.Runs {
		n += len(r.GetEvents())
	}
	return n
}

// History returns every run of a callback, oldest first: from the engine, and
// what the engine no longer has from the archive. ErrNoHistory and
// ErrRunMissing can be told apart; another error is an outage.
func (a *Auditor) History(ctx context.Context, callbackID string) (*History, error) {
	archive := &shelf{auditor: a, callbackID: callbackID}
	h := &History{CallbackID: callbackID}
	for runID := ""; ; {
		run, err := a.fetch(ctx, callbackID, runID)
		switch {
		case errors.Is(err, errGone):
			run, err = archive.take(ctx, runID)
		case err != nil && runID == "":
			// The engine is away. A callback that has ended is whole in the archive.
			if archived, _ := archive.take(ctx, ""); archived != nil {
				run, err = archived, nil
			}
		}
		if err != nil {
			return nil, err
		}
		if run == nil && len(h.Runs) == 0 {
			return nil, fmt.Errorf("callback %s: %w", callbackID, ErrNoHistory)
		}
		if run == nil {
			return nil, fmt.Errorf("callback %s, run %s: %w", callbackID, runID, ErrRunMissing)
		}
		h.Runs = append(h.Runs, run)
		runID = continued(run)
		if runID == "" {
			slices.Reverse(h.Runs)
			return h, nil
		}
	}
}

// errGone: the engine does not know the run, or no longer.
var errGone = errors.New("not in the engine")

// fetch reads one run from the engine; runID "" is the latest.
func (a *Auditor) fetch(ctx context.Context, callbackID, runID string) (*historypb.History, error) {
	if a.engine == nil {
		return nil, errGone
	}
	return Fetch(ctx, a.engine, contract.WorkflowID(callbackID), runID)
}

// Fetch reads one run from the engine; runID "" is the latest. The error wraps
// serviceerror.NotFound where the engine does not have it, or no longer.
func Fetch(ctx context.Context, e Engine, workflowID, runID string) (*historypb.History, error) {
	h := &historypb.History{}
	events := e.GetWorkflowHistory(ctx, workflowID, runID, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		var notFound *serviceerror.NotFound
		if errors.As(err, &notFound) {
			return nil, fmt.Errorf("%w: %w", errGone, err)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the history of %s: %w", workflowID, err)
		}
		h.Events = append(h.Events, event)
	}
	return h, nil
}

// shelf is the archive of one callback, read when it is first needed.
type shelf struct {
	auditor    *Auditor
	callbackID string
	read       bool
	byRun      map[string]*historypb.History
	last       *historypb.History // whose end is the end of the callback
}

// take returns a run; runID "" is the last, if it ended the callback; nil: it
// is not there.
func (s *shelf) take(ctx context.Context, runID string) (*historypb.History, error) {
	if !s.read {
		if err := s.open(ctx); err != nil {
			return nil, err
		}
	}
	if runID == "" {
		return s.last, nil
	}
	return s.byRun[runID], nil
}

func (s *shelf) open(ctx context.Context) error {
	s.byRun = map[string]*historypb.History{}
	if s.auditor.book == nil {
		s.read = true
		return nil
	}
	archived, err := s.auditor.book.Histories(ctx, s.callbackID)
	if err != nil {
		return fmt.Errorf("reading the archive of callback %s: %w", s.callbackID, err)
	}
	for _, a := range archived {
		h, err := Unpack(a.History)
		if err != nil {
			return fmt.Errorf("archived run %s of callback %s: %w", a.RunID, s.callbackID, err)
		}
		s.byRun[a.RunID] = h
		if e := end(h); e != enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW {
			s.last = h
		}
	}
	s.read = true
	return nil
}

func started(h *historypb.History) *historypb.WorkflowExecutionStartedEventAttributes {
	if len(h.GetEvents()) == 0 {
		return nil
	}
	return h.Events[0].GetWorkflowExecutionStartedEventAttributes()
}

// continued is the id of the run that came before, empty for the first.
func continued(h *historypb.History) string { return started(h).GetContinuedExecutionRunId() }

func end(h *historypb.History) enums.EventType {
	if n := len(h.GetEvents()); n > 0 {
		return h.Events[n-1].GetEventType()
	}
	return enums.EVENT_TYPE_UNSPECIFIED
}

// JSON returns the history as Temporal's own protobuf JSON, which the Temporal
// CLI and SDKs read: {"events":[…]}. A callback that has continued as new has
// several runs; then it is {"runs":[{"events":[…]},…]}, the oldest first, each
// of them such a history. With indent it is laid out for people.
func (h *History) JSON(indent bool) ([]byte, error) {
	runs := make([][]byte, len(h.Runs))
	for i, r := range h.Runs {
		b, err := (temporalproto.CustomJSONMarshalOptions{}).Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("run %d of callback %s: %w", i+1, h.CallbackID, err)
		}
		runs[i] = b
	}
	whole := []byte(`{"runs":[` + string(bytes.Join(runs, []byte(","))) + `]}`)
	if len(runs) == 1 {
		whole = runs[0]
	}
	// protobuf's JSON varies its white space on purpose; an export does not.
	var out bytes.Buffer
	var err error
	if indent {
		err = json.Indent(&out, whole, "", "  ")
		out.WriteByte('\n')
	} else {
		err = json.Compact(&out, whole)
	}
	return out.Bytes(), err
}

// Parse reads what JSON wrote, or any history that the Temporal CLI or UI
// exported, gzipped or not.
func Parse(data []byte) (*History, error) {
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if data, err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
	var container struct {
		Runs []json.RawMessage `json:"runs"`
	}
	if err := json.Unmarshal(data, &container); err != nil {
		return nil, fmt.Errorf("this is no exported history: %w", err)
	}
	if container.Runs == nil {
		container.Runs = []json.RawMessage{data}
	}
	h := &History{}
	for i, raw := range container.Runs {
		run, err := client.HistoryFromJSON(bytes.NewReader(raw), client.HistoryJSONOptions{})
		if err != nil {
			return nil, fmt.Errorf("run %d is no exported history: %w", i+1, err)
		}
		id, ok := contract.CallbackID(started(run).GetWorkflowId())
		if !ok {
			return nil, fmt.Errorf("run %d is not the history of a callback", i+1)
		}
		if h.CallbackID != "" && h.CallbackID != id {
			return nil, fmt.Errorf("run %d is of another callback", i+1)
		}
		h.CallbackID = id
		h.Runs = append(h.Runs, run)
	}
	if len(h.Runs) == 0 {
		return nil, errors.New("this export holds no run")
	}
	return h, nil
}

// ReadFile reads one exported history, gzipped or not.
func ReadFile(name string) (*History, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	h, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return h, nil
}

// ReadDir reads every exported history (*.json, *.json.gz) under a directory,
// by callback in the order of their ids. Runs of one callback that lie in
// files of their own are put together.
func ReadDir(dir string) ([]*History, error) {
	byID := map[string]*History{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(strings.TrimSuffix(name, ".gz"), ".json") {
			return err
		}
		h, err := ReadFile(name)
		if err != nil {
			return err
		}
		if known := byID[h.CallbackID]; known != nil {
			known.Runs = append(known.Runs, h.Runs...)
		} else {
			byID[h.CallbackID] = h
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	histories := make([]*History, 0, len(byID))
	for _, h := range byID {
		h.Runs = inOrder(h.Runs)
		histories = append(histories, h)
	}
	slices.SortFunc(histories, func(a, b *History) int { return strings.Compare(a.CallbackID, b.CallbackID) })
	return histories, nil
}

// inOrder sorts the runs of one callback, the oldest first.
func inOrder(runs []*historypb.History) []*historypb.History {
	slices.SortStableFunc(runs, func(a, b *historypb.History) int {
		return a.Events[0].GetEventTime().AsTime().Compare(b.Events[0].GetEventTime().AsTime())
	})
	return runs
}

// packers are kept: each has most of a megabyte of tables, for a history of some kilobytes.
var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// Pack makes the archived form of one run: its protobuf JSON, gzipped.
func Pack(run *historypb.History) ([]byte, error) {
	data, err := (&History{Runs: []*historypb.History{run}}).JSON(false)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := packers.Get().(*gzip.Writer)
	defer packers.Put(w)
	w.Reset(&out)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Unpack reads what Pack made.
func Unpack(archived []byte) (*historypb.History, error) {
	r, err := gzip.NewReader(bytes.NewReader(archived))
	if err != nil {
		return nil, err
	}
	h, err := client.HistoryFromJSON(r, client.HistoryJSONOptions{})
	if err != nil {
		return nil, err
	}
	if started(h) == nil {
		return nil, errors.New("it does not begin with a start")
	}
	return h, nil
}

// Ended reports whether a run is over: nothing will be added to its history.
func Ended(run *historypb.History) bool {
	switch end(run) { // the others are not ends
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
		enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
		enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		return true
	}
	return false
}

// RunID is the id of a run, as its history gives it.
func RunID(run *historypb.History) string { return started(run).GetOriginalExecutionRunId() }
