package audit_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"ringback/audit"
)

// golden are the histories of a release: what a real engine recorded of every path.
func golden(t *testing.T, release string) map[string]*audit.History {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../workflows/testdata/histories", release, "*.json.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	byID := map[string]*audit.History{}
	names := map[string]string{}
	for _, file := range files { // runs are in order
		h, err := audit.ReadFile(file)
		require.NoError(t, err)
		if known := byID[h.CallbackID]; known != nil {
			known.Runs = append(known.Runs, h.Runs...)
			continue
		}
		byID[h.CallbackID] = h
		name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json.gz"), "-run-")
		names[name] = h.CallbackID
	}
	all := map[string]*audit.History{}
	for name, id := range names {
		all[name] = byID[id]
	}
	return all
}

func TestR24_GoldenHistoriesFollowByTheRules(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"v1", "v2", "v3"} {
		for name, h := range golden(t, release) {
			t.Run(release+"/"+name, func(t *testing.T) {
				t.Parallel()
				v := audit.New(audit.Options{}).Replay(h)
				require.True(t, v.Held(), v.Detail)
			})
		}
	}
}

func TestR24_EveryBeginningOfADeliveryFollows(t *testing.T) {
	t.Parallel()
	for name, h := range golden(t, "v2") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last := h.Runs[len(h.Runs)-1]
			for n := 1; n < len(last.Events); n++ {
				if inTask(last.Events[n]) {
					continue
				}
				begun := &audit.History{CallbackID: h.CallbackID, Runs: slices.Clone(h.Runs)}
				begun.Runs[len(begun.Runs)-1] = &historypb.History{Events: last.Events[:n]}
				v := audit.New(audit.Options{}).Replay(begun)
				require.True(t, v.Held(), "%d of %d events: %s", n, len(last.Events), v.Detail)
			}
		})
	}
}

// What was delivered, in which order and with what result is part of the proof.
func TestR24_AForgedDeliveryIsNoticed(t *testing.T) {
	t.Parallel()
	for name, h := range golden(t, "v2") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forged := 0
			notice := func(what string) {
				forged++
				v := audit.New(audit.Options{}).Replay(h)
				require.False(t, v.Held(), "%s", what)
			}
			for _, run := range h.Runs {
				for _, e := range run.Events {
					a := e.GetActivityTaskScheduledEventAttributes()
					if a.GetActivityType().GetName() != "Deliver" {
						continue
					}
					p := a.GetInput().GetPayloads()[0]
					leaves(t, p.Data, another, func(path string, changed []byte) {
						was := p.Data
						p.Data = changed
						notice("event " + e.String() + " at " + path)
						p.Data = was
					})
				}
				for _, e := range run.Events {
					if f := e.GetActivityTaskFailedEventAttributes().GetFailure().GetApplicationFailureInfo(); f.GetType() != "" && owedFirst(run, e) {
						was := f.Type
						f.Type = "conflict"
						notice("another code of " + e.String())
						f.Type = was
					}
				}
			}
			if len(h.Runs[0].GetEvents()) > 0 && strings.Contains(name, "deliver") {
				require.Positive(t, forged)
			}
		})
	}
}

// owedFirst reports whether a delivery that failed was a quick one: its code is
// on the timeline.
func owedFirst(run *historypb.History, e *historypb.HistoryEvent) bool {
	scheduled := run.Events[e.GetActivityTaskFailedEventAttributes().GetScheduledEventId()-1]
	a := scheduled.GetActivityTaskScheduledEventAttributes()
	return a.GetActivityType().GetName() == "Deliver" && !strings.Contains(string(a.GetInput().GetPayloads()[0].GetData()), `"owed":true`)
}

// What was told from outside is part of the proof, where it brought something about.
func TestR23_AForgedOutageIsNoticed(t *testing.T) {
	t.Parallel()
	h := golden(t, "v2")["outage-holds-in-working-time"]
	forged := 0
	for _, e := range h.Runs[0].Events {
		if e.GetEventType() != enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED {
			continue
		}
		p := e.GetWorkflowExecutionSignaledEventAttributes().GetInput().GetPayloads()[0]
		leaves(t, p.Data, another, func(path string, changed []byte) {
			was := p.Data
			p.Data = changed
			require.False(t, audit.New(audit.Options{}).Replay(h).Held(), "%s at %s", e, path)
			p.Data = was
			forged++
		})
	}
	require.Equal(t, 4, forged)
	require.True(t, audit.New(audit.Options{}).Replay(h).Held())
}

// What a callback has heard decides what takes effect again: it follows from the runs before.
func TestR24_AForgedMemoryIsNoticed(t *testing.T) {
	t.Parallel()
	h := golden(t, "v3")["repeated-after-continue-as-new"]
	require.Len(t, h.Runs, 2)
	from := h.Runs[0].Events[len(h.Runs[0].Events)-1].GetWorkflowExecutionContinuedAsNewEventAttributes().GetInput().GetPayloads()[0]
	to := h.Runs[1].Events[0].GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
	forged := 0
	leaves(t, from.Data, another, func(path string, changed []byte) {
		if !strings.Contains(path, "heard") {
			return
		}
		was := from.Data
		from.Data, to.Data = changed, changed
		require.False(t, audit.New(audit.Options{}).Replay(h).Held(), path)
		from.Data, to.Data = was, was
		forged++
	})
	require.Greater(t, forged, 20)
	require.True(t, audit.New(audit.Options{}).Replay(h).Held())
}
