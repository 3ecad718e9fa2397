package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"

	"ringback/audit"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// continueAfter is that of the recorded callback that has continued as new.
const continueAfter = 20

var auditor = audit.New(audit.Options{})

// patient replays the history that continued as new.
var patient = audit.New(audit.Options{ContinueAfter: continueAfter})

// recorded are the histories in testdata, by name.
func recorded(t testing.TB) map[string]*audit.History {
	t.Helper()
	names, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	histories := map[string]*audit.History{}
	for _, name := range names {
		h, err := audit.ReadFile(name)
		require.NoError(t, err)
		histories[strings.TrimSuffix(filepath.Base(name), ".json")] = h
	}
	require.Len(t, histories, 7, "a recorded history is gone")
	return histories
}

func recording(t testing.TB, name string) *audit.History {
	t.Helper()
	h, err := audit.ReadFile(filepath.Join("testdata", name+".json"))
	require.NoError(t, err)
	return h
}

func auditorOf(name string) *audit.Auditor {
	if name == "continued" {
		return patient
	}
	return auditor
}

func cloned(h *audit.History) *audit.History {
	c := &audit.History{CallbackID: h.CallbackID}
	for _, r := range h.Runs {
		c.Runs = append(c.Runs, proto.Clone(r).(*historypb.History))
	}
	return c
}

// engineWith is an engine that has these runs, by run id; the last of a
// callback is its latest.
type engineWith struct {
	mu   sync.Mutex
	runs map[string][]*historypb.History
	err  error
}

func newEngine(histories ...*audit.History) *engineWith {
	e := &engineWith{runs: map[string][]*historypb.History{}}
	for _, h := range histories {
		e.runs[contract.WorkflowID(h.CallbackID)] = slices.Clone(h.Runs)
	}
	return e
}

type events struct {
	run *historypb.History
	err error
	at  int
}

func (i *events) HasNext() bool { return i.err != nil || i.at < len(i.run.GetEvents()) }

func (i *events) Next() (*historypb.HistoryEvent, error) {
	if i.err != nil {
		return nil, i.err
	}
	i.at++
	return i.run.Events[i.at-1], nil
}

func (e *engineWith) GetWorkflowHistory(_ context.Context, id, runID string, _ bool, _ enums.HistoryEventFilterType) client.HistoryEventIterator {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return &events{err: e.err}
	}
	runs := e.runs[id]
	for i, run := range runs {
		if audit.RunID(run) == runID || runID == "" && i == len(runs)-1 {
			return &events{run: run}
		}
	}
	return &events{err: serviceerror.NewNotFound("no such workflow")}
}

func (e *engineWith) ListWorkflow(_ context.Context, _ *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return nil, e.err
	}
	var page workflowservice.ListWorkflowExecutionsResponse
	for _, id := range slices.Sorted(maps.Keys(e.runs)) {
		for _, run := range e.runs[id] {
			page.Executions = append(page.Executions, &workflowpb.WorkflowExecutionInfo{
				Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: audit.RunID(run)},
			})
		}
	}
	return &page, nil
}

// memory is a database.
type memory struct {
	mu       sync.Mutex
	views    map[string]*callback.Callback
	timeline map[string][]callback.Event
	texts    map[string]string
	intakes  map[string]book.Intake
	archived map[string][]book.Archived
	policies map[string]*callback.Policy
	dropped  int
	err      error
	// misfiled are the tables in which callbacks stand otherwise than they are.
	misfiled map[string]string
}

func newMemory() *memory {
	return &memory{
		views: map[string]*callback.Callback{}, timeline: map[string][]callback.Event{}, texts: map[string]string{},
		intakes: map[string]book.Intake{}, archived: map[string][]book.Archived{}, policies: map[string]*callback.Policy{},
	}
}

// showing is a database that shows what these histories lead to.
func showing(t testing.TB, histories ...*audit.History) *memory {
	t.Helper()
	m := newMemory()
	for _, h := range histories {
		a := audit.New(audit.Options{Engine: newEngine(h), ContinueAfter: continueAfterOf(h)})
		events, err := a.Timeline(t.Context(), h.CallbackID)
		require.NoError(t, err)
		_, err = m.Project(t.Context(), book.Batch{CallbackID: h.CallbackID, Events: events})
		require.NoError(t, err)
		m.intakes[h.CallbackID] = book.Intake{
			CallbackID: h.CallbackID, Policy: "supervisor-callback", Reason: "Refund for a cancelled train",
			Customer: book.Customer{Ref: "CUST-77120", Name: "Asha Verma", Phone: "+919812345678", Email: "asha@example.org"},
			Source:   &book.Source{System: "freshdesk", Ref: "TKT-90417", URL: "https://desk.example/tickets/90417"},
			Fields:   map[string]string{"order_number": "ZX-4412-B"},
		}
		m.texts["t-summary"] = "Refund promised, money within a week"
	}
	return m
}

func continueAfterOf(h *audit.History) int {
	if len(h.Runs) > 1 {
		return continueAfter
	}
	return 0
}

func (m *memory) Histories(_ context.Context, id string) ([]book.Archived, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.archived[id], m.err
}

func (m *memory) Callback(_ context.Context, id string) (book.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return book.View{}, m.err
	}
	if m.views[id] == nil {
		return book.View{}, book.ErrNotFound
	}
	return book.View{State: m.views[id], Intake: m.intakes[id]}, nil
}

func (m *memory) Timeline(_ context.Context, id string) ([]book.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.timeline[id]) == 0 {
		return nil, book.ErrNotFound
	}
	entries := make([]book.Entry, len(m.timeline[id]))
	for i, e := range m.timeline[id] {
		entries[i].Event = e
		if note, is := e.Fact.(*callback.Noted); is {
			entries[i].Text = m.texts[note.TextID]
		}
	}
	return entries, m.err
}

func (m *memory) EachCallbackID(_ context.Context, f func(string) error) error {
	for _, id := range slices.Sorted(maps.Keys(m.intakes)) {
		if err := f(id); err != nil {
			return err
		}
	}
	return m.err
}

func (m *memory) Intake(_ context.Context, id string) (book.Intake, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, known := m.intakes[id]
	if !known {
		return i, book.ErrNotFound
	}
	return i, m.err
}

func (m *memory) Policy(_ context.Context, hash string) (*callback.Policy, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.policies[hash] == nil {
		return nil, book.ErrNotFound
	}
	return m.policies[hash], m.err
}

func (m *memory) Notes(context.Context, string) ([]book.Text, error) { return nil, nil }

func (m *memory) Misfiled(_ context.Context, id string) (string, error) { return m.misfiled[id], nil }

func (m *memory) Digest(context.Context) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	digests := map[string]string{}
	for id, c := range m.views {
		shown, err := json.Marshal([]any{c, m.timeline[id]})
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(shown)
		digests[id] = hex.EncodeToString(sum[:])
	}
	return digests, m.err
}

func (m *memory) DropProjections(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped++
	m.views, m.timeline = map[string]*callback.Callback{}, map[string][]callback.Event{}
	return nil
}

func (m *memory) Project(_ context.Context, b book.Batch) (book.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := int64(len(m.timeline[b.CallbackID]))
	for _, e := range b.Events {
		if e.Seq <= have {
			continue
		}
		state, err := callback.Fold(m.views[b.CallbackID], []callback.Event{e})
		if err != nil {
			return book.View{}, err
		}
		m.views[b.CallbackID] = state
		m.timeline[b.CallbackID] = append(m.timeline[b.CallbackID], e)
	}
	return book.View{State: m.views[b.CallbackID]}, nil
}

// shelve puts runs into the archive.
func (m *memory) shelve(t testing.TB, h *audit.History, runs ...*historypb.History) {
	t.Helper()
	for _, run := range runs {
		packed, err := audit.Pack(run)
		require.NoError(t, err)
		last := run.Events[len(run.Events)-1]
		m.archived[h.CallbackID] = append(m.archived[h.CallbackID], book.Archived{
			CallbackID: h.CallbackID, RunID: audit.RunID(run), ClosedAt: callback.At(last.GetEventTime().AsTime()), History: packed,
		})
	}
}
