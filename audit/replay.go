package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"ringback/callback"
	"ringback/contract"
	"ringback/workflows"
)

// replayed is what came out of a callback's history.
type replayed struct {
	history *History
	// err is the first thing that is wrong; nil: nothing.
	err error
	// events that were regenerated, in order, and as they are written. Of a history
	// without its earlier runs they are those that its first run knows.
	events  []callback.Event
	entries []json.RawMessage
	state   *callback.Callback
	notes   []string
}

// replay runs every run of a history against the running code, and checks what
// came out against what the history recorded and against what the rules make
// of it by themselves.
func (a *Auditor) replay(h *History) *replayed {
	r := &replayed{history: h}
	defer func() {
		// A tampered history may hold what the rules never do.
		if p := recover(); p != nil {
			r.err = wrong("the history holds what the rules cannot follow")
			a.logger.Warn("a replay panicked", "callback", h.CallbackID, "panic", fmt.Sprint(p))
		}
	}()
	transcripts, err := a.transcribeAll(h)
	if err != nil {
		r.err = err
		return r
	}
	timeline := make([]json.RawMessage, 0, 16)
	for i, t := range transcripts {
		if t.settled == 0 {
			continue
		}
		run, err := a.run(h, i, t)
		if err != nil {
			r.err = err
			return r
		}
		if timeline, err = r.add(i, timeline, run); err != nil {
			r.err = err
			return r
		}
	}
	r.entries = timeline[min(len(timeline), len(timeline)-len(r.events)):]
	for i, t := range transcripts {
		if r.err = checkShown(i+1, t, timeline); r.err != nil {
			return r
		}
	}
	f := &folder{converter: a.converter, timeline: timeline}
	for _, t := range transcripts {
		if r.err = f.fold(t); r.err != nil {
			return r
		}
	}
	r.err = r.folded(f)
	return r
}

// transcribeAll reads the runs and sees that each follows on the one before.
func (a *Auditor) transcribeAll(h *History) ([]*transcript, error) {
	if len(h.Runs) == 0 {
		return nil, wrong("there is no run")
	}
	transcripts := make([]*transcript, len(h.Runs))
	for i, run := range h.Runs {
		t, err := transcribe(a.converter, run)
		if err != nil {
			return nil, inRun(i, len(h.Runs), err)
		}
		if t.callbackID() != h.CallbackID || started(run).GetWorkflowId() != contract.WorkflowID(h.CallbackID) {
			return nil, inRun(i, len(h.Runs), wrong("it is the history of another callback"))
		}
		if i > 0 {
			before := transcripts[i-1]
			switch {
			case before.end != endContinued:
				return nil, wrong("run %d follows on one that did not continue", i+1)
			case continued(run) != before.runID:
				return nil, wrong("run %d does not continue run %d: a run is missing", i+1, i)
			case !bytes.Equal(t.input.raw, before.next.raw):
				return nil, wrong("run %d was started with something else than run %d handed over", i+1, i)
			}
		}
		transcripts[i] = t
	}
	return transcripts, nil
}

func inRun(i, of int, err error) error {
	if of == 1 {
		return err
	}
	return wrong("run %d: %v", i+1, err)
}

// quiet is the log of the replayer: what it says is in its error.
var quiet = log.NewStructuredLogger(slog.New(slog.DiscardHandler))

// run replays one run as far as its past is settled.
func (a *Auditor) run(h *History, i int, t *transcript) (*workflows.Run, error) {
	var run *workflows.Run
	code := &workflows.Callbacks{Observe: func(r *workflows.Run) { run = r }, ContinueAfter: a.continueAfter}
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		DataConverter: a.converter,
		// A loaded machine is no reason to doubt a history.
		DisableDeadlockDetection: true,
	})
	if err != nil {
		return nil, err
	}
	replayer.RegisterWorkflowWithOptions(code.Callback, workflow.RegisterOptions{
		Name: contract.WorkflowType, VersioningBehavior: workflow.VersioningBehaviorAutoUpgrade,
	})
	// The replayer writes into what it is given: payloads, and the search attributes of the first event.
	settled := proto.CloneOf(&historypb.History{Events: h.Runs[i].Events[:t.settled]})
	err = replayer.ReplayWorkflowHistoryWithOptions(quiet, settled, worker.ReplayWorkflowHistoryOptions{
		OriginalExecution: workflow.Execution{ID: contract.WorkflowID(h.CallbackID), RunID: t.runID},
	})
	if err != nil {
		a.logger.Warn("a history does not replay", "callback", h.CallbackID, "run", i+1, "error", err)
		return nil, inRun(i, len(h.Runs), wrong("the running code does something else than the history says: %s", inShort(err)))
	}
	if run == nil {
		return nil, inRun(i, len(h.Runs), wrong("the running code cannot read the input of the workflow"))
	}
	return run, nil
}

// inShort is the first line of the replayer's error, without the payloads that
// it may quote.
func inShort(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	for _, quote := range []string{", resp:", " details:", "history event is", "{", "replay command"} {
		if before, _, found := strings.Cut(text, quote); found && before != "" {
			text = before
		}
	}
	return strings.TrimRight(text, " :,")
}

// add puts a run's events behind those of the runs before; what both know must
// be the same.
func (r *replayed) add(i int, timeline []json.RawMessage, run *workflows.Run) ([]json.RawMessage, error) {
	for _, e := range run.Journal() {
		entry, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		if len(r.events) == 0 && e.Seq > 1 && len(timeline) == 0 {
			// The earlier runs are not at hand.
			timeline = make([]json.RawMessage, e.Seq-1)
			r.notes = append(r.notes, fmt.Sprintf("earlier runs are not here: what came before entry %d is taken on trust", e.Seq))
		}
		switch n := int64(len(timeline)); {
		case e.Seq == n+1:
			timeline = append(timeline, entry)
			r.events = append(r.events, e)
		case e.Seq > n+1:
			return nil, wrong("run %d: entry %d follows on entry %d", i+1, e.Seq, n)
		case !bytes.Equal(entry, timeline[e.Seq-1]):
			return nil, wrong("run %d: entry %d is not what it was in the run before", i+1, e.Seq)
		}
	}
	if r.state = run.State(); r.state.Version != int64(len(timeline)) {
		if len(r.events) > 0 || i > 0 {
			return nil, wrong("run %d: version %d of the callback has %d timeline entries", i+1, r.state.Version, len(timeline))
		}
		// A later run alone that has seen nothing happen yet.
		timeline = make([]json.RawMessage, r.state.Version)
	}
	return timeline, nil
}

// checkShown compares what a run says was answered and written to the read
// model with what was regenerated.
func checkShown(run int, t *transcript, timeline []json.RawMessage) error {
	var known int64
	for known < int64(len(timeline)) && timeline[known] == nil {
		known++
	}
	for _, s := range t.shown {
		for i, entry := range s.entries {
			var head struct {
				Seq  int64  `json:"seq"`
				Type string `json:"type"`
			}
			if json.Unmarshal(entry, &head) != nil || head.Seq < 1 || head.Seq > int64(len(timeline)) {
				return wrong("run %d, event %d: %s holds an entry that replay does not give", run, s.at, s.where)
			}
			if i > 0 && !follows(s.entries[i-1], head.Seq) {
				return wrong("run %d, event %d: %s has a gap before entry %d", run, s.at, s.where, head.Seq)
			}
			if head.Seq <= known {
				continue
			}
			if where, differ := difference(timeline[head.Seq-1], entry); differ {
				return wrong("run %d, event %d: %s differs from replay at entry %d: %s", run, s.at, s.where, head.Seq, where)
			}
		}
	}
	for i := range t.tasks {
		for _, o := range t.tasks[i].orders {
			if err := checkOutcome(run, &o); err != nil {
				return err
			}
		}
	}
	return nil
}

func follows(entry json.RawMessage, seq int64) bool {
	var head struct {
		Seq int64 `json:"seq"`
	}
	return json.Unmarshal(entry, &head) == nil && head.Seq+1 == seq
}

// checkOutcome sees that an outcome reaches from what its caller knew to the
// version that it names.
func checkOutcome(run int, o *order) error {
	if o.outcome == nil {
		if o.refusal == nil {
			return wrong("run %d, event %d: %s was accepted and never answered", run, o.at, o.name)
		}
		return nil
	}
	n := len(o.outcome.Events)
	switch {
	case n > 0 && !follows(o.outcome.Events[n-1], o.outcome.Version+1):
		return wrong("run %d, event %d: the outcome of %s does not end with the version that it names", run, o.at, o.name)
	case n > 0 && o.caller && o.since > 0 && !follows(o.outcome.Events[0], o.since+2):
		// Entries before those that a run still knows are not given; they are in the read model.
		var head struct {
			Seq int64 `json:"seq"`
		}
		if json.Unmarshal(o.outcome.Events[0], &head) != nil || head.Seq <= o.since {
			return wrong("run %d, event %d: the outcome of %s does not begin after what its caller knew", run, o.at, o.name)
		}
	case n == 0 && o.caller && o.outcome.Version > o.since && o.first == nil: // a repeat's may be of another run
		return wrong("run %d, event %d: the outcome of %s lacks what its caller did not know", run, o.at, o.name)
	}
	return nil
}

// folded compares what the rules came to with what the workflow's code came to.
func (r *replayed) folded(f *folder) error {
	if r.state == nil || f.state == nil {
		return nil
	}
	if f.state.Version != r.state.Version {
		return wrong("the rules follow the history up to entry %d, the running code gives entry %d as well", f.state.Version, f.state.Version+1)
	}
	byCode, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	byRules, err := json.Marshal(f.state)
	if err != nil {
		return err
	}
	if where, differ := difference(byCode, byRules); differ {
		return wrong("the running code and the rules come to different states: %s", where)
	}
	if f.drifted {
		r.notes = append(r.notes, "today's calendar or time-zone data would compute another deadline than the one that was promised and recorded")
	}
	return nil
}

// verdict compares with nothing but the history's own records.
func (r *replayed) verdict() Verdict {
	v := Verdict{OK: r.err == nil, Events: r.history.Len(), OutcomeMatches: r.err == nil}
	if r.err != nil {
		v.Detail = r.err.Error()
		return v
	}
	v.Detail = r.found() + "; compared with the history's own records, no database at hand"
	return v
}

// found says what a good replay came to.
func (r *replayed) found() string {
	if r.state == nil {
		return fmt.Sprintf("%s: nothing has been worked on yet", count(r.history.Len(), "history event"))
	}
	text := fmt.Sprintf("%s in %s replay to %s, as recorded and as the rules say; the callback is %s at version %d",
		count(r.history.Len(), "history event"), count(len(r.history.Runs), "run"),
		count(len(r.events), "timeline entry"), r.state.Status, r.state.Version)
	for _, note := range r.notes {
		text += "; " + note
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if stem, ok := strings.CutSuffix(what, "y"); ok {
		what = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, what)
}
