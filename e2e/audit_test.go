package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"ringback/activities"
	"ringback/audit"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
	"ringback/engine"
	"ringback/engine/embedded"
	"ringback/worker"
	"ringback/workflows"
)

var (
	auditSup1 = callback.Person{ID: "sup1", Rank: 2, Queues: []string{"Supervisors - RM"}}
	auditSup2 = callback.Person{ID: "sup2", Rank: 2, Queues: []string{"Supervisors - RM"}}
	auditMgr1 = callback.Person{ID: "mgr1", Rank: 3, Queues: []string{"Managers - RM"}}
)

func seconds(n float64) callback.Duration { return callback.Duration(n * float64(time.Second)) }

func auditPolicy(tat callback.Duration) *callback.Policy {
	return &callback.Policy{
		Name: "supervisor-callback", Title: "Supervisor callback",
		Tag: callback.TagRule{Required: "Callback Required", Done: "Callback Done", Unserved: "Callback Not Served"},
		Ladder: []callback.Step{
			{Tier: "supervisor", Rank: 2, Queue: "Supervisors - RM", TAT: tat, Assign: callback.AssignPull, WarnAt: []callback.Warning{"50%"}},
			{Tier: "manager", Rank: 3, Queue: "Managers - RM", TAT: tat, Assign: callback.AssignPull},
		},
		Overdue:     &callback.ChaseRule{Every: seconds(1), Max: seconds(60)},
		CloseWithin: callback.Duration(24 * time.Hour),
		Attempts:    callback.AttemptRule{Max: 3, Spacing: seconds(1)},
		Completion:  callback.CompletionRule{Contact: true, CallSummary: true},
		Reasons: []callback.Reason{
			{Code: "resolved", Title: "Resolved on the call"},
			{Code: "unreachable", Title: "Customer could not be reached", WithoutContact: true, AfterAttempts: 1},
		},
		CancelRank: 3,
	}
}

// calendarPolicy is always open, but goes through a calendar.
func calendarPolicy(tat callback.Duration) *callback.Policy {
	p := auditPolicy(tat)
	p.Calendar = &callback.Calendar{TimeZone: "Asia/Kolkata", Hours: map[string][]string{"daily": {"00:00-24:00"}}}
	return p
}

func drawPolicy(tat callback.Duration) *callback.Policy {
	p := auditPolicy(tat)
	p.Ladder[0].Assign = callback.AssignRandom
	return p
}

// memory is a read model and a ledger of draws that forgets nothing.
type memory struct {
	mu     sync.Mutex
	states map[string]*callback.Callback
	events map[string][]callback.Event
	runs   map[string][]book.Archived
}

func newMemory() *memory {
	return &memory{states: map[string]*callback.Callback{}, events: map[string][]callback.Event{}, runs: map[string][]book.Archived{}}
}

func (m *memory) Project(_ context.Context, b book.Batch) (book.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := int64(len(m.events[b.CallbackID]))
	for _, e := range b.Events {
		if e.Seq <= have {
			continue
		}
		if e.Seq > have+1 {
			return book.View{}, &book.GapError{Have: have, First: e.Seq}
		}
		state, err := callback.Fold(m.states[b.CallbackID], []callback.Event{e})
		if err != nil {
			return book.View{}, err
		}
		m.states[b.CallbackID] = state
		m.events[b.CallbackID] = append(m.events[b.CallbackID], e)
		have++
	}
	return book.View{State: m.states[b.CallbackID]}, nil
}

func (m *memory) Draw(_ context.Context, r book.DrawRequest) (book.DrawRecord, error) {
	return book.DrawRecord{DrawRequest: r, Candidates: []string{"sup1", "sup2"}, To: "sup2"}, nil
}

func (m *memory) Callback(_ context.Context, id string) (book.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.states[id] == nil {
		return book.View{}, book.ErrNotFound
	}
	return book.View{State: m.states[id]}, nil
}

func (m *memory) Timeline(_ context.Context, id string) ([]book.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := make([]book.Entry, len(m.events[id]))
	for i, e := range m.events[id] {
		entries[i].Event = e
	}
	return entries, nil
}

func (m *memory) Histories(_ context.Context, id string) ([]book.Archived, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[id], nil
}

// floor is a running desk without its API: an engine, a worker, a read model.
type floor struct {
	t      *testing.T
	engine client.Client
	memory *memory
}

func newFloor(t *testing.T, code *workflows.Callbacks) *floor {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	server, err := embedded.Start(t.Context(), embedded.Config{DataDir: t.TempDir(), Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Stop() })
	f := &floor{t: t, memory: newMemory()}
	f.engine, err = engine.Dial(t.Context(), engine.Config{Address: server.Address(), Logger: quiet, Identity: "desk"})
	require.NoError(t, err)
	t.Cleanup(f.engine.Close)
	w := worker.New(f.engine, worker.Options{ReadModel: f.memory, Ledger: f.memory, Workflows: code})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	return f
}

// create makes a promise as the API does; the outcome is written by the caller.
func (f *floor) create(p *callback.Policy, scheduled callback.Instant) string {
	f.t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	start := f.engine.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID: contract.WorkflowID(id), TaskQueue: contract.DefaultTaskQueue,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, contract.WorkflowType, contract.Input{
		Policy:          p.Pin("", ""),
		Request:         callback.Request{ID: id, By: "agent1", At: callback.At(time.Now()), ScheduledFor: scheduled},
		StarterProjects: true,
	})
	handle, err := f.engine.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID: contract.WorkflowID(id), UpdateID: uuid.NewString(), UpdateName: contract.UpdateCreate,
			Args: []any{contract.Create{Digest: "d"}}, WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	require.NoError(f.t, err)
	var outcome contract.Outcome
	require.NoError(f.t, handle.Get(ctx, &outcome))
	f.write(id, outcome)
	return id
}

func (f *floor) write(id string, outcome contract.Outcome) {
	f.t.Helper()
	_, err := f.memory.Project(f.t.Context(), book.Batch{CallbackID: id, Events: outcome.Events})
	require.NoError(f.t, err)
}

func (f *floor) version(id string) int64 {
	f.memory.mu.Lock()
	defer f.memory.mu.Unlock()
	return int64(len(f.memory.events[id]))
}

// say gives a command; the caller writes the outcome.
func say[C callback.Command](f *floor, id string, by callback.Person, command C) error {
	_, err := sayAs(f, id, uuid.NewString(), by, command)
	return err
}

// sayAs gives it under an update id; the same id again is the same command.
func sayAs[C callback.Command](f *floor, id, updateID string, by callback.Person, command C) (outcome contract.Outcome, err error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	options := client.UpdateWorkflowOptions{
		WorkflowID: contract.WorkflowID(id), UpdateID: updateID, UpdateName: string(command.Name()),
		Args:         []any{contract.Order[C]{By: by, Command: command, CallerProjects: true, Since: f.version(id), Digest: "d"}},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	handle, err := f.engine.UpdateWorkflow(ctx, options)
	// The workflow's end, or its next run, met something new: the command was not accepted.
	for notReady := (*serviceerror.WorkflowNotReady)(nil); errors.As(err, &notReady); {
		handle, err = f.engine.UpdateWorkflow(ctx, options)
	}
	if err != nil {
		return outcome, err
	}
	if err := handle.Get(ctx, &outcome); err != nil {
		return outcome, err
	}
	_, err = f.memory.Project(ctx, book.Batch{CallbackID: id, Events: outcome.Events})
	return outcome, err
}

func do[C callback.Command](f *floor, id string, by callback.Person, command C) {
	f.t.Helper()
	require.NoError(f.t, say(f, id, by, command))
}

func (f *floor) customerCalls(id string) {
	f.t.Helper()
	require.NoError(f.t, f.engine.SignalWorkflow(f.t.Context(), contract.WorkflowID(id), "", contract.SignalCustomerCalled,
		contract.CustomerCalled{By: "agent1", TextID: "t-called"}))
}

// await waits until the read model shows it.
func (f *floor) await(id string, seen func(*callback.Callback) bool) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		v, err := f.memory.Callback(f.t.Context(), id)
		return err == nil && seen(v.State)
	}, 30*time.Second, 10*time.Millisecond)
}

func (f *floor) awaitClosed(id string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	require.NoError(f.t, f.engine.GetWorkflow(ctx, contract.WorkflowID(id), "").Get(ctx, nil))
}

// lives are ways that a callback can go; each returns its id.
func lives() map[string]func(f *floor) string {
	hour := callback.Duration(time.Hour)
	finish := func(f *floor, id string, by callback.Person) {
		do(f, id, by, callback.Start{})
		do(f, id, by, callback.Attempt{Disposition: callback.Reached})
		do(f, id, by, callback.Note{Kind: callback.KindCallSummary, TextID: "t-summary"})
		do(f, id, by, callback.Complete{Reason: "resolved"})
	}
	return map[string]func(f *floor) string{
		"met": func(f *floor) string {
			id := f.create(auditPolicy(hour), callback.Instant{})
			do(f, id, auditSup1, callback.Claim{})
			finish(f, id, auditSup1)
			f.awaitClosed(id)
			return id
		},
		"escalated": func(f *floor) string {
			id := f.create(auditPolicy(seconds(1)), callback.Instant{})
			f.await(id, func(c *callback.Callback) bool { return c.TierIndex == 1 })
			f.await(id, func(c *callback.Callback) bool { return c.Reminders > 0 })
			do(f, id, auditMgr1, callback.Claim{})
			finish(f, id, auditMgr1)
			f.awaitClosed(id)
			return id
		},
		"held": func(f *floor) string {
			id := f.create(calendarPolicy(hour), callback.Instant{})
			do(f, id, auditSup1, callback.Claim{})
			do(f, id, auditSup1, callback.HoldClock{Until: callback.At(time.Now().Add(time.Hour)), TextID: "t-hold"})
			do(f, id, auditSup1, callback.Resume{})
			do(f, id, auditSup1, callback.Reschedule{For: callback.At(time.Now().Add(5 * time.Second)), TextID: "t-when"})
			f.await(id, func(c *callback.Callback) bool { return c.Status == callback.StatusQueued })
			f.customerCalls(id)
			f.await(id, func(c *callback.Callback) bool { return !c.CustomerCalledAt.IsZero() })
			do(f, id, auditSup2, callback.Claim{})
			do(f, id, auditSup2, callback.Start{})
			do(f, id, auditSup2, callback.Start{})
			do(f, id, auditSup2, callback.Attempt{Disposition: callback.NoAnswer})
			do(f, id, auditSup2, callback.Note{Kind: callback.KindCallSummary, TextID: "t-summary"})
			do(f, id, auditSup2, callback.Complete{Reason: "unreachable"})
			f.awaitClosed(id)
			return id
		},
		"drawn": func(f *floor) string {
			id := f.create(drawPolicy(hour), callback.Instant{})
			f.await(id, func(c *callback.Callback) bool { return c.Assignee == "sup2" })
			do(f, id, auditSup2, callback.Release{})
			f.await(id, func(c *callback.Callback) bool { return c.Assignee == "sup2" })
			finish(f, id, auditSup2)
			f.awaitClosed(id)
			return id
		},
		"open": func(f *floor) string {
			id := f.create(auditPolicy(hour), callback.At(time.Now().Add(time.Hour)))
			do(f, id, auditSup1, callback.Claim{})
			do(f, id, auditMgr1, callback.Cancel{})
			id = f.create(auditPolicy(hour), callback.Instant{})
			do(f, id, auditSup1, callback.Claim{})
			return id
		},
		"crowded": func(f *floor) string {
			id := f.create(calendarPolicy(hour), callback.Instant{})
			// All at once: what arrives in one task may be taken in any order.
			var all sync.WaitGroup
			all.Go(func() { _ = say(f, id, auditSup1, callback.Claim{}) })
			all.Go(func() { _ = say(f, id, auditSup2, callback.Claim{}) })
			for i := range 4 {
				all.Go(func() {
					_ = say(f, id, auditSup1, callback.Note{Kind: callback.KindNote, TextID: fmt.Sprintf("t-%d", i)})
				})
				all.Go(func() { f.customerCalls(id) })
			}
			all.Wait()
			do(f, id, auditMgr1, callback.Cancel{})
			f.awaitClosed(id)
			return id
		},
	}
}

// R24: every history replays against the running code, to what is shown.
func TestR24_HistoriesReplayToWhatIsShown(t *testing.T) {
	t.Parallel()
	f := newFloor(t, nil)
	auditor := audit.New(audit.Options{Engine: f.engine, Book: f.memory})
	for name, live := range lives() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &floor{t: t, engine: f.engine, memory: f.memory}
			id := live(f)
			v, err := auditor.Verdict(t.Context(), id)
			require.NoError(t, err)
			require.True(t, v.OK, v.Detail)
			require.True(t, v.OutcomeMatches, v.Detail)

			events, err := auditor.Timeline(t.Context(), id)
			require.NoError(t, err)
			f.memory.mu.Lock()
			shown := slices.Clone(f.memory.events[id])
			f.memory.mu.Unlock()
			require.Equal(t, shown, events)
			f.keep(name, id, auditor)
		})
	}
}

// R24: a callback that has continued as new replays over all of its runs.
func TestR24_SeveralRunsReplayAsOne(t *testing.T) {
	t.Parallel()
	const after = 20
	f := newFloor(t, &workflows.Callbacks{ContinueAfter: after})
	id := f.create(calendarPolicy(callback.Duration(time.Hour)), callback.Instant{})
	for range 8 {
		do(f, id, auditSup1, callback.Claim{})
		do(f, id, auditSup1, callback.Release{})
	}
	auditor := audit.New(audit.Options{Engine: f.engine, Book: f.memory, ContinueAfter: after})
	v, err := auditor.Verdict(t.Context(), id)
	require.NoError(t, err)
	require.True(t, v.Held(), v.Detail)
	h, err := auditor.History(t.Context(), id)
	require.NoError(t, err)
	require.Greater(t, len(h.Runs), 1)
	require.Equal(t, h.Len(), v.Events)
	f.keep("continued", id, auditor)
}

// R06: who repeats a command whose answer they never got, in a later run or after the end, does not give it twice.
func TestR06_ACommandRepeatedInALaterRunClimbsOneTier(t *testing.T) {
	t.Parallel()
	const after = 20
	f := newFloor(t, &workflows.Callbacks{ContinueAfter: after})
	id := f.create(auditPolicy(callback.Duration(time.Hour)), callback.Instant{})
	auditor := audit.New(audit.Options{Engine: f.engine, Book: f.memory, ContinueAfter: after})
	runs := func() int {
		h, err := auditor.History(t.Context(), id)
		require.NoError(t, err)
		return len(h.Runs)
	}
	do(f, id, auditSup1, callback.Claim{})
	escalated := uuid.NewString()
	first, err := sayAs(f, id, escalated, auditSup1, callback.Escalate{})
	require.NoError(t, err)
	for began := runs(); runs() == began; {
		do(f, id, auditSup1, callback.Note{Kind: callback.KindNote, TextID: "t-note"})
	}
	again, err := sayAs(f, id, escalated, auditSup1, callback.Escalate{})
	require.NoError(t, err)
	require.Equal(t, first.Version, again.Version)
	view, err := f.memory.Callback(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 1, view.State.Escalations)
	v, err := auditor.Verdict(t.Context(), id)
	require.NoError(t, err)
	require.True(t, v.Held(), v.Detail)

	do(f, id, auditMgr1, callback.Cancel{})
	require.NoError(t, f.engine.GetWorkflow(t.Context(), contract.WorkflowID(id), "").Get(t.Context(), nil))
	heard, known, err := auditor.Heard(t.Context(), id, escalated)
	require.NoError(t, err)
	require.True(t, known, "the histories know it")
	require.Equal(t, contract.Heard{ID: escalated, Digest: "d", Version: first.Version}, heard)
}

// R10: a call of the customer is taken note of even if it comes when the
// workflow continues as new.
func TestR10_NoCallOfTheCustomerIsLostBetweenRuns(t *testing.T) {
	t.Parallel()
	const after = 20
	f := newFloor(t, &workflows.Callbacks{ContinueAfter: after})
	id := f.create(auditPolicy(callback.Duration(time.Hour)), callback.Instant{})
	auditor := audit.New(audit.Options{Engine: f.engine, Book: f.memory, ContinueAfter: after})
	for n := range 12 {
		f.customerCalls(id)
		require.Eventually(t, func() bool { return f.called(id) == n+1 }, time.Minute, 10*time.Millisecond, "call %d was lost", n+1)
	}
	v, err := auditor.Verdict(t.Context(), id)
	require.NoError(t, err)
	require.True(t, v.Held(), v.Detail)
}

// keep writes a history for the tests of package audit, if it is asked for.
func (f *floor) keep(name, id string, auditor *audit.Auditor) {
	f.t.Helper()
	dir := os.Getenv("RINGBACK_UPDATE_TESTDATA")
	if dir == "" {
		return
	}
	exported, err := auditor.HistoryJSON(f.t.Context(), id)
	require.NoError(f.t, err)
	host, err := os.Hostname()
	require.NoError(f.t, err)
	exported = bytes.ReplaceAll(exported, []byte(`"`+host+`:`), []byte(`"host:`))
	require.NoError(f.t, os.WriteFile(filepath.Join(dir, name+".json"), append(exported, '\n'), 0o644))
}

// called counts how often the customer called in again, as it is shown.
func (f *floor) called(id string) int {
	f.memory.mu.Lock()
	defer f.memory.mu.Unlock()
	n := 0
	for _, e := range f.memory.events[id] {
		if e.Fact.Type() == callback.TypeCustomerCalled {
			n++
		}
	}
	return n
}

var (
	_ activities.ReadModel = (*memory)(nil)
	_                      = workflowservice.ListWorkflowExecutionsRequest{}
)
