package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ringback/audit"
	"ringback/callback"
)

func TestR24_EveryRecordedHistoryReplays(t *testing.T) {
	t.Parallel()
	for name, h := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := auditorOf(name).Replay(h)
			require.True(t, v.Held(), v.Detail)
			require.Equal(t, h.Len(), v.Events)
			require.Contains(t, v.Detail, "no database at hand")
		})
	}
}

// Whatever stops a workflow between two of its tasks leaves a history that
// replays as far as it goes.
func TestR24_EveryBeginningOfAHistoryReplays(t *testing.T) {
	t.Parallel()
	for name, h := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last := h.Runs[len(h.Runs)-1]
			for n := 1; n < len(last.Events); n++ {
				if inTask(last.Events[n]) {
					continue // the engine writes these together with what is before them
				}
				begun := &audit.History{CallbackID: h.CallbackID, Runs: slices.Clone(h.Runs)}
				begun.Runs[len(begun.Runs)-1] = &historypb.History{Events: last.Events[:n]}
				v := auditorOf(name).Replay(begun)
				require.True(t, v.Held(), "%d of %d events: %s", n, len(last.Events), v.Detail)
			}
		})
	}
}

// inTask reports whether an event is what a workflow task did.
func inTask(e *historypb.HistoryEvent) bool {
	switch e.GetEventType() {
	case enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
		enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED, enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
		enums.EVENT_TYPE_TIMER_STARTED, enums.EVENT_TYPE_TIMER_CANCELED, enums.EVENT_TYPE_MARKER_RECORDED,
		enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, enums.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
		enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
		enums.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
		return true
	}
	return false
}

// payloads are all of an event that carry what a workflow was told or said.
func payloads(e *historypb.HistoryEvent) []*commonpb.Payload {
	var all []*commonpb.Payload
	for _, p := range []*commonpb.Payloads{
		e.GetWorkflowExecutionStartedEventAttributes().GetInput(),
		e.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput().GetArgs(),
		e.GetWorkflowExecutionUpdateCompletedEventAttributes().GetOutcome().GetSuccess(),
		e.GetWorkflowExecutionSignaledEventAttributes().GetInput(),
		e.GetActivityTaskScheduledEventAttributes().GetInput(),
		e.GetActivityTaskCompletedEventAttributes().GetResult(),
		e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetInput(),
		e.GetMarkerRecordedEventAttributes().GetDetails()["data"],
	} {
		all = append(all, p.GetPayloads()...)
	}
	return all
}

// leaves visits every value of a JSON document that says something, and lets
// change give it another; it puts each change into a document of its own.
func leaves(t *testing.T, document []byte, change func(path string, value any) (any, bool), visit func(path string, changed []byte)) {
	t.Helper()
	var root any
	require.NoError(t, json.Unmarshal(document, &root))
	var walk func(path string, value any, set func(any))
	walk = func(path string, value any, set func(any)) {
		switch value := value.(type) {
		case map[string]any:
			for name, v := range value {
				walk(path+"."+name, v, func(n any) { value[name] = n })
			}
		case []any:
			for i, v := range value {
				walk(fmt.Sprintf("%s[%d]", path, i), v, func(n any) { value[i] = n })
			}
		default:
			other, do := change(path, value)
			if !do {
				return
			}
			set(other)
			changed, err := json.Marshal(root)
			require.NoError(t, err)
			visit(path, changed)
			set(value)
		}
	}
	walk("", root, func(n any) { root = n })
}

// another is a different value of the same kind.
func another(_ string, value any) (any, bool) {
	switch v := value.(type) {
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.Add(7 * time.Minute).Format(time.RFC3339Nano), true
		}
		if d, err := time.ParseDuration(v); err == nil {
			return (d + 7*time.Minute).String(), true
		}
		return v + "x", true
	case float64:
		return v + 1, true
	case bool:
		return !v, true
	}
	return nil, false
}

// A value changed anywhere in what a workflow was told or said is noticed,
// unless nothing follows from it.
func TestR24_AChangedValueIsNoticed(t *testing.T) {
	t.Parallel()
	for name, original := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tried := 0
			for r, run := range original.Runs {
				if r > 1 {
					break // the later ones are like the second
				}
				for i, e := range run.Events {
					for p, payload := range payloads(e) {
						leaves(t, payload.GetData(), another, func(path string, changed []byte) {
							if withoutConsequence(e, path) {
								return
							}
							tried++
							tampered := cloned(original)
							payloads(tampered.Runs[r].Events[i])[p].Data = changed
							v := auditorOf(name).Replay(tampered)
							if strings.Contains(v.Detail, "today's calendar") {
								return // the deadline was recorded; that the policy says otherwise is told
							}
							require.False(t, v.Held(), "run %d, event %d (%s): %s was changed: %s", r+1, e.GetEventId(), e.GetEventType(), path, v.Detail)
							require.NotEmpty(t, v.Detail)
						})
					}
				}
			}
			require.Greater(t, tried, 30)
		})
	}
}

// withoutConsequence are values from which nothing that happened followed: the
// history would have gone the same way with another.
func withoutConsequence(e *historypb.HistoryEvent, path string) bool {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(path, p) })
	}
	switch e.GetEventType() {
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		// Of the policy, what this callback had no use for; of a carried state everything counts.
		return strings.HasPrefix(path, ".policy") && !has(".ladder[0].tat", ".ladder[0].tier", ".ladder[0].queue", ".tag.required", ".name") ||
			has(".starter_projects")
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
		// Ranks and queues that sufficed and would still suffice; how far the caller had read.
		return has(".by.rank", ".by.queues", ".since", ".caller_projects", ".if_version", ".until")
	case enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		return has(".from", ".avoid")
	}
	return false
}

// A value that lets nothing of what was recorded follow is noticed too.
func TestR24_AForgedPermissionIsNoticed(t *testing.T) {
	t.Parallel()
	h := recording(t, "met")
	eachOrder(t, h, "claim", func(e *historypb.HistoryEvent) {
		p := payloads(e)[0]
		p.Data = bytes.ReplaceAll(p.Data, []byte("Supervisors - RM"), []byte("Somebody else's"))
	})
	require.False(t, auditor.Replay(h).Held())
}

func eachOrder(t *testing.T, h *audit.History, name string, f func(*historypb.HistoryEvent)) {
	t.Helper()
	found := 0
	for _, run := range h.Runs {
		for _, e := range run.Events {
			if e.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput().GetName() == name {
				f(e)
				found++
			}
		}
	}
	require.Positive(t, found)
}

func ofType(t *testing.T, h *audit.History, kind enums.EventType) (run *historypb.History, i int) {
	t.Helper()
	for _, run := range h.Runs {
		for i, e := range run.Events {
			if e.GetEventType() == kind {
				return run, i
			}
		}
	}
	require.Fail(t, "no such event", kind)
	return nil, 0
}

func TestR27_AMovedTimerIsNoticed(t *testing.T) {
	t.Parallel()
	by := func(at *timestamppb.Timestamp, d time.Duration) *timestamppb.Timestamp {
		return timestamppb.New(at.AsTime().Add(d))
	}
	for name, move := range map[string]func(h *audit.History){
		"set for later": func(h *audit.History) {
			run, i := ofType(t, h, enums.EVENT_TYPE_TIMER_STARTED)
			a := run.Events[i].GetTimerStartedEventAttributes()
			a.StartToFireTimeout = durationpb.New(a.StartToFireTimeout.AsDuration() + time.Minute)
		},
		"set for sooner": func(h *audit.History) {
			run, i := ofType(t, h, enums.EVENT_TYPE_TIMER_STARTED)
			a := run.Events[i].GetTimerStartedEventAttributes()
			a.StartToFireTimeout = durationpb.New(a.StartToFireTimeout.AsDuration() - time.Millisecond)
		},
		"fired before its time": func(h *audit.History) {
			run, i := ofType(t, h, enums.EVENT_TYPE_TIMER_FIRED)
			run.Events[i].EventTime = by(run.Events[i].EventTime, -time.Hour)
		},
		"fired after what it brought about": func(h *audit.History) {
			run, i := ofType(t, h, enums.EVENT_TYPE_TIMER_FIRED)
			run.Events[i].EventTime = by(run.Events[i].EventTime, time.Hour)
		},
		"what it brought about came later": func(h *audit.History) {
			run, i := ofType(t, h, enums.EVENT_TYPE_TIMER_FIRED)
			for _, e := range run.Events[i:] {
				if e.GetEventType() == enums.EVENT_TYPE_WORKFLOW_TASK_STARTED {
					e.EventTime = by(e.EventTime, time.Second)
					return
				}
			}
		},
		"another fired": func(h *audit.History) {
			run, i := ofType(t, h, enums.EVENT_TYPE_TIMER_FIRED)
			run.Events[i].GetTimerFiredEventAttributes().TimerId = "4711"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := recording(t, "escalated")
			move(h)
			v := auditor.Replay(h)
			require.False(t, v.Held(), v.Detail)
		})
	}
}

func TestR24_ARemovedEventIsNoticed(t *testing.T) {
	t.Parallel()
	for name, original := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := original.Runs[0]
			for i := range len(first.Events) - 1 {
				tampered := cloned(original)
				tampered.Runs[0].Events = slices.Delete(tampered.Runs[0].Events, i, i+1)
				require.False(t, auditorOf(name).Replay(tampered).Held(), "event %d was removed", i+1)
			}
		})
	}
}

// Closing the gap by numbering the rest anew does not help.
func TestR24_ARemovedEventIsNoticedWithoutItsGap(t *testing.T) {
	t.Parallel()
	counts := func(e *historypb.HistoryEvent) bool {
		switch e.GetEventType() {
		case enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, enums.EVENT_TYPE_ACTIVITY_TASK_STARTED, enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
			return false // nothing follows from them
		}
		return true
	}
	for name, original := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, e := range original.Runs[0].Events {
				if !counts(e) || i == len(original.Runs[0].Events)-1 {
					continue
				}
				tampered := cloned(original)
				run := tampered.Runs[0]
				run.Events = slices.Delete(run.Events, i, i+1)
				for j, later := range run.Events {
					later.EventId = int64(j) + 1
				}
				require.False(t, auditorOf(name).Replay(tampered).Held(), "event %d (%s) was removed", i+1, e.GetEventType())
			}
		})
	}
}

func TestR24_RunsMustFollowOnEachOther(t *testing.T) {
	t.Parallel()
	whole := recording(t, "continued")
	require.Greater(t, len(whole.Runs), 2)
	for name, tampered := range map[string]*audit.History{
		"a run is missing":   {CallbackID: whole.CallbackID, Runs: slices.Delete(slices.Clone(whole.Runs), 1, 2)},
		"in another order":   {CallbackID: whole.CallbackID, Runs: []*historypb.History{whole.Runs[1], whole.Runs[0]}},
		"a run twice":        {CallbackID: whole.CallbackID, Runs: []*historypb.History{whole.Runs[0], whole.Runs[0]}},
		"of another":         {CallbackID: "somebody-else", Runs: whole.Runs},
		"none":               {CallbackID: whole.CallbackID},
		"without its events": {CallbackID: whole.CallbackID, Runs: []*historypb.History{{}}},
	} {
		v := patient.Replay(tampered)
		require.False(t, v.OK, name)
		require.NotEmpty(t, v.Detail, name)
	}
	// A later run by itself replays, and says what it does not know.
	v := patient.Replay(&audit.History{CallbackID: whole.CallbackID, Runs: whole.Runs[1:]})
	require.True(t, v.Held(), v.Detail)
	require.Contains(t, v.Detail, "taken on trust")
}

// Another program than the one that ran does not pass.
func TestR24_OtherCodeIsNoticed(t *testing.T) {
	t.Parallel()
	v := auditor.Replay(recording(t, "continued"))
	require.False(t, v.OK)
	require.Contains(t, v.Detail, "the running code does something else")
}

// A history that is forged as a whole holds in itself; lists give it away.
func TestR24_AForgedWholeDiffersFromWhatIsShown(t *testing.T) {
	t.Parallel()
	genuine := recording(t, "met")
	forged := cloned(genuine)
	for _, e := range forged.Runs[0].Events {
		for _, p := range payloads(e) {
			p.Data = bytes.ReplaceAll(p.Data, []byte(`"sup1"`), []byte(`"sup2"`))
		}
	}
	v := auditor.Replay(forged)
	require.True(t, v.Held(), v.Detail)

	a := audit.New(audit.Options{Engine: newEngine(forged), Book: showing(t, genuine), Patience: time.Millisecond})
	v, err := a.Verdict(t.Context(), genuine.CallbackID)
	require.NoError(t, err)
	require.True(t, v.OK)
	require.False(t, v.OutcomeMatches)
	require.Contains(t, v.Detail, "entry 4 (claimed): actor")
	require.NotContains(t, v.Detail, "sup", "a verdict names what differs, not how")
}

func TestR24_TheVerdictComparesWithWhatIsShown(t *testing.T) {
	t.Parallel()
	h := recording(t, "met")
	verdict := func(t *testing.T, m *memory) audit.Verdict {
		t.Helper()
		a := audit.New(audit.Options{Engine: newEngine(h), Book: m, Patience: time.Millisecond})
		v, err := a.Verdict(t.Context(), h.CallbackID)
		require.NoError(t, err)
		require.True(t, v.OK, v.Detail)
		require.Equal(t, h.Len(), v.Events)
		return v
	}
	t.Run("the same", func(t *testing.T) {
		t.Parallel()
		v := verdict(t, showing(t, h))
		require.True(t, v.Held(), v.Detail)
		require.Contains(t, v.Detail, "lists and timeline show the same")
	})
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, verdict(t, newMemory()).Detail, "lists show 0 of 11 timeline entries")
	})
	t.Run("less", func(t *testing.T) {
		t.Parallel()
		m := showing(t, h)
		events := m.timeline[h.CallbackID][:4]
		state, err := callback.Fold(nil, events)
		require.NoError(t, err)
		m.timeline[h.CallbackID], m.views[h.CallbackID] = events, state
		v := verdict(t, m)
		require.False(t, v.OutcomeMatches)
		require.Contains(t, v.Detail, "lists show 4 of 11")
	})
	t.Run("another state", func(t *testing.T) {
		t.Parallel()
		m := showing(t, h)
		m.views[h.CallbackID].Owner = "sup9"
		v := verdict(t, m)
		require.False(t, v.OutcomeMatches)
		require.Contains(t, v.Detail, "another state than the history leads to: owner")
	})
	t.Run("more", func(t *testing.T) {
		t.Parallel()
		m := showing(t, h)
		m.views[h.CallbackID].Version++
		m.timeline[h.CallbackID] = append(m.timeline[h.CallbackID], callback.Event{
			Seq: m.views[h.CallbackID].Version, Fact: &callback.Noted{Kind: callback.KindNote},
		})
		v := verdict(t, m)
		require.False(t, v.OutcomeMatches)
		require.Contains(t, v.Detail, "entry 12 (noted), which the history does not have")
	})
}

func TestHistoryComesFromTheEngineAndThenTheArchive(t *testing.T) {
	t.Parallel()
	whole := recording(t, "continued")
	n := len(whole.Runs)
	read := func(e *engineWith, m *memory) (*audit.History, error) {
		return audit.New(audit.Options{Engine: e, Book: m, ContinueAfter: continueAfter}).History(t.Context(), whole.CallbackID)
	}
	h, err := read(newEngine(whole), newMemory())
	require.NoError(t, err)
	require.Len(t, h.Runs, n)

	// The engine has forgotten the first runs of a callback that is still open.
	forgetful := newEngine(&audit.History{CallbackID: whole.CallbackID, Runs: whole.Runs[n-1:]})
	_, err = read(forgetful, newMemory())
	require.ErrorIs(t, err, audit.ErrRunMissing)
	m := newMemory()
	m.shelve(t, whole, whole.Runs[:n-1]...)
	h, err = read(forgetful, m)
	require.NoError(t, err)
	require.Len(t, h.Runs, n)
	require.True(t, patient.Replay(h).Held(), "an archived run is as good as one of the engine")

	// It has forgotten all of a callback that has closed.
	_, err = read(newEngine(), newMemory())
	require.ErrorIs(t, err, audit.ErrNoHistory)
	met := recording(t, "met")
	m.shelve(t, met, met.Runs...)
	h, err = audit.New(audit.Options{Engine: newEngine(), Book: m}).History(t.Context(), met.CallbackID)
	require.NoError(t, err)
	require.Equal(t, met.Len(), h.Len())

	// It is away: what is whole in the archive is answered, the rest is an outage.
	away := newEngine()
	away.err = serviceerror.NewUnavailable("away")
	_, err = audit.New(audit.Options{Engine: away, Book: m}).History(t.Context(), met.CallbackID)
	require.NoError(t, err)
	_, err = read(away, newMemory())
	require.ErrorIs(t, err, away.err)
}

func TestExportIsTemporalsOwnJSON(t *testing.T) {
	t.Parallel()
	met := recording(t, "met")
	a := audit.New(audit.Options{Engine: newEngine(met)})
	data, err := a.HistoryJSON(t.Context(), met.CallbackID)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(data, []byte(`{"events":[{"eventId":"1",`)), string(data[:80]))
	require.NotContains(t, string(data), "\n")
	byTemporal, err := client.HistoryFromJSON(bytes.NewReader(data), client.HistoryJSONOptions{})
	require.NoError(t, err)
	require.Len(t, byTemporal.Events, met.Len())

	dir := t.TempDir()
	for _, name := range []string{"met", "continued"} {
		h := recording(t, name)
		var out bytes.Buffer
		require.NoError(t, audit.New(audit.Options{Engine: newEngine(h)}).Export(t.Context(), h.CallbackID, &out))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".json"), out.Bytes(), 0o600))
		again, err := audit.ReadFile(filepath.Join(dir, name+".json"))
		require.NoError(t, err)
		require.Equal(t, h.Len(), again.Len())
		require.Len(t, again.Runs, len(h.Runs))
		v, err := auditorOf(name).ReplayFile(filepath.Join(dir, name+".json"))
		require.NoError(t, err)
		require.True(t, v.Held(), v.Detail)
	}
	_, err = audit.ReadFile(filepath.Join(dir, "absent.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other.json"), []byte(`{"hello":1}`), 0o600))
	_, err = audit.ReadFile(filepath.Join(dir, "other.json"))
	require.ErrorContains(t, err, "not the history of a callback")
}

// Runs of one callback may lie in files of their own, gzipped or not.
func TestReplayDirPutsRunsTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := recording(t, "continued")
	for i, run := range h.Runs {
		packed, err := audit.Pack(run)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("run%d.json.gz", len(h.Runs)-i)), packed, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no history"), 0o600))
	var verdicts []audit.Verdict
	require.NoError(t, patient.ReplayDir(t.Context(), dir, func(id string, v audit.Verdict) {
		require.Equal(t, h.CallbackID, id)
		verdicts = append(verdicts, v)
	}))
	require.Len(t, verdicts, 1)
	require.True(t, verdicts[0].Held(), verdicts[0].Detail)
	require.Equal(t, h.Len(), verdicts[0].Events)
	require.Error(t, auditor.ReplayDir(t.Context(), t.TempDir(), nil))
}

func TestR24_TheTimelineIsDerivedFromTheHistoriesAlone(t *testing.T) {
	t.Parallel()
	for name, h := range recorded(t) {
		events, err := audit.New(audit.Options{Engine: newEngine(h), ContinueAfter: continueAfterOf(h)}).Timeline(t.Context(), h.CallbackID)
		require.NoError(t, err, name)
		for i, e := range events {
			require.Equal(t, int64(i)+1, e.Seq, name)
		}
		require.Equal(t, callback.TypeRequested, events[0].Fact.Type())
	}
}

func BenchmarkReplay(b *testing.B) {
	for _, name := range []string{"met", "escalated"} {
		h := recording(b, name)
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if v := auditor.Replay(h); !v.Held() {
						b.Error(v.Detail)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "histories/s")
		})
	}
}

// What is compared with the archive afterwards must be what the engine gave.
func TestR24_AReplayLeavesTheHistoryAlone(t *testing.T) {
	t.Parallel()
	// This one was started with search attributes and upserts them.
	met, err := audit.ReadFile("../workflows/testdata/histories/v1/met.json.gz")
	require.NoError(t, err)
	require.NotNil(t, met.Runs[0].Events[0].GetWorkflowExecutionStartedEventAttributes().GetSearchAttributes())
	before := cloned(met)
	require.True(t, auditor.Replay(met).Held())
	require.True(t, proto.Equal(before.Runs[0], met.Runs[0]))
}
