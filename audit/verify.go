package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// Ledger is what verifying and rebuilding need of the database beyond Book.
type Ledger interface {
	Book
	// EachCallbackID visits every callback that there is an original of, also of one
	// that never came to be.
	EachCallbackID(ctx context.Context, f func(id string) error) error
	// Intake is the original of a callback.
	Intake(ctx context.Context, callbackID string) (book.Intake, error)
	// Policy is the one that was pinned into a callback, by the hash that its
	// original names.
	Policy(ctx context.Context, hash string) (*callback.Policy, error)
	// Notes are what people wrote about it, as far as it is shown.
	Notes(ctx context.Context, callbackID string) ([]book.Text, error)

	// Misfiled names the table in which a callback stands otherwise than the state
	// that is shown of it says; empty: in none.
	Misfiled(ctx context.Context, callbackID string) (table string, err error)
	// Digest is a digest of all that lists and timelines show, by callback.
	Digest(ctx context.Context) (map[string]string, error)
	// DropProjections throws that away; Project derives it again (R25).
	DropProjections(ctx context.Context) error
	Project(ctx context.Context, b book.Batch) (book.View, error)
}

// ErrNoDatabase: this auditor has no database that can do what was asked.
var ErrNoDatabase = errors.New("verifying and rebuilding need the desk's database")

func (a *Auditor) ledger() (Ledger, error) {
	l, ok := a.book.(Ledger)
	if !ok {
		return nil, ErrNoDatabase
	}
	return l, nil
}

// Step is how far something has come that takes long.
type Step struct {
	// Doing says what, in words.
	Doing string
	// Done of Total callbacks.
	Done, Total int
	Elapsed     time.Duration
	// Finding is what the last callback came to, while verifying.
	Finding *Finding
}

// Rate is how many callbacks a second have been done.
func (s Step) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Done) / s.Elapsed.Seconds()
}

// Finding is what verifying one callback came to.
type Finding struct {
	CallbackID string `json:"callback_id"`
	// Events of its history, Runs it took.
	Events int `json:"events"`
	Runs   int `json:"runs"`
	// Pending: it was begun and never accepted, or is just being accepted. It promises nothing.
	Pending bool `json:"pending"`
	// Problems, in words without anything personal; none: all is well.
	Problems []string `json:"problems"`
}

// Report is what verifying everything came to.
type Report struct {
	Callbacks int           `json:"callbacks"`
	Runs      int           `json:"runs"`
	Events    int           `json:"events"`
	Pending   int           `json:"pending"`
	Elapsed   time.Duration `json:"elapsed"`
	// Findings with problems, by callback.
	Findings []Finding `json:"findings"`
}

// OK reports whether nothing was found.
func (r Report) OK() bool { return len(r.Findings) == 0 }

// Verify checks every callback that the engine or the database knows: its
// history is there, replays, and is what lists and timelines show; the tag is
// on exactly while it is open; no promise is lost; nothing personal is in any
// history (R24, R26). progress, if not nil, hears of every callback, one at a
// time. The error is an outage; what is wrong is in the report.
func (a *Auditor) Verify(ctx context.Context, progress func(Step)) (Report, error) {
	ledger, err := a.ledger()
	if err != nil {
		return Report{}, err
	}
	began := time.Now()
	tell := func(s Step) {
		if progress != nil {
			s.Elapsed = time.Since(began)
			progress(s)
		}
	}
	ids, err := a.everyCallback(ctx, ledger)
	if err != nil {
		return Report{}, err
	}
	secrets, err := a.personal(ctx, ledger, ids, tell)
	if err != nil {
		return Report{}, err
	}
	began = time.Now()
	report := Report{Findings: []Finding{}}
	err = inParallel(ctx, a.parallel, ids, func(ctx context.Context, id string) (Finding, error) {
		return a.verify(ctx, ledger, secrets, id)
	}, func(_ string, f Finding) {
		report.Callbacks++
		report.Events += f.Events
		report.Runs += f.Runs
		if f.Pending {
			report.Pending++
		}
		if len(f.Problems) > 0 {
			report.Findings = append(report.Findings, f)
		}
		tell(Step{Doing: "verifying", Done: report.Callbacks, Total: len(ids), Finding: &f})
	})
	slices.SortFunc(report.Findings, byCallback)
	report.Elapsed = time.Since(began)
	return report, err
}

func byCallback(a, b Finding) int { return strings.Compare(a.CallbackID, b.CallbackID) }

// everyCallback lists the callbacks of the engine and of the database, sorted.
func (a *Auditor) everyCallback(ctx context.Context, ledger Ledger) ([]string, error) {
	known := map[string]bool{}
	if a.engine != nil {
		err := EachWorkflow(ctx, a.engine, a.namespace, "", func(w Workflow) error {
			known[w.CallbackID] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	err := ledger.EachCallbackID(ctx, func(id string) error {
		known[id] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(known))
	for id := range known {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

// Workflow is one run that the engine lists.
type Workflow struct {
	CallbackID string
	RunID      string
	ClosedAt   time.Time // zero: it runs
	Status     enums.WorkflowExecutionStatus
}

// EachWorkflow visits the runs of callbacks that the engine lists; a condition
// in the engine's list-filter language narrows them. A list lags a little
// behind the histories.
func EachWorkflow(ctx context.Context, e Engine, namespace, condition string, f func(Workflow) error) error {
	query := "WorkflowType = '" + contract.WorkflowType + "'"
	if condition != "" {
		query += " AND " + condition
	}
	request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: namespace, PageSize: 500, Query: query}
	for {
		page, err := e.ListWorkflow(ctx, request)
		if err != nil {
			return fmt.Errorf("listing workflows: %w", err)
		}
		for _, x := range page.GetExecutions() {
			id, ok := contract.CallbackID(x.GetExecution().GetWorkflowId())
			if !ok {
				continue
			}
			w := Workflow{CallbackID: id, RunID: x.GetExecution().GetRunId(), Status: x.GetStatus()}
			if x.GetCloseTime() != nil {
				w.ClosedAt = x.GetCloseTime().AsTime()
			}
			if err := f(w); err != nil {
				return err
			}
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return nil
		}
	}
}

// personal gathers everything personal that the database holds.
func (a *Auditor) personal(ctx context.Context, ledger Ledger, ids []string, tell func(Step)) (*personal, error) {
	type original struct {
		intake  book.Intake
		entries []book.Entry
		notes   []book.Text
	}
	secrets := newPersonal()
	done := 0
	err := inParallel(ctx, a.parallel, ids, func(ctx context.Context, id string) (o original, err error) {
		if o.intake, err = ledger.Intake(ctx, id); isOutage(err) {
			return o, err
		}
		if o.entries, err = ledger.Timeline(ctx, id); isOutage(err) {
			return o, err
		}
		if o.notes, err = ledger.Notes(ctx, id); isOutage(err) {
			return o, err
		}
		return o, nil
	}, func(_ string, o original) {
		secrets.addIntake(o.intake)
		secrets.addTexts(o.entries, o.notes)
		done++
		tell(Step{Doing: "reading originals", Done: done, Total: len(ids)})
	})
	return secrets, err
}

func isOutage(err error) bool { return err != nil && !errors.Is(err, book.ErrNotFound) }

// verify checks one callback.
func (a *Auditor) verify(ctx context.Context, ledger Ledger, secrets *personal, id string) (Finding, error) {
	f := Finding{CallbackID: id, Problems: []string{}}
	object := func(format string, args ...any) { f.Problems = append(f.Problems, fmt.Sprintf(format, args...)) }
	h, err := a.History(ctx, id)
	switch {
	case errors.Is(err, ErrNoHistory):
		_, err := ledger.Callback(ctx, id)
		if err == nil {
			object("a promise is lost: lists show it, and there is no history of it (R27)")
		} else if isOutage(err) {
			return f, err
		}
		f.Pending = err != nil
		return f, nil
	case errors.Is(err, ErrRunMissing):
		object("%v", err)
		return f, nil
	case err != nil:
		return f, err
	}
	f.Events, f.Runs = h.Len(), len(h.Runs)

	r := a.replay(h)
	if r.err != nil {
		object("%v", r.err)
	} else {
		v, err := a.compare(ctx, r)
		if err != nil {
			return f, err
		}
		if !v.Held() {
			object("%s", v.Detail)
		}
		table, err := ledger.Misfiled(ctx, id)
		if err != nil {
			return f, err
		}
		if table != "" {
			object("lists find it under what it is not: its rows in %s are not what its state says", table)
		}
		if problem := tagProblem(h, r.events); problem != "" {
			object("%s", problem)
		}
	}
	problem, err := originalProblem(ctx, ledger, h)
	if err != nil {
		return f, err
	}
	if problem != "" && r.state != nil {
		object("%s", problem)
	}
	for _, what := range secrets.foundIn(h) {
		object("%s is in its history (R26)", what)
	}
	problem, err = a.archiveProblem(ctx, h)
	if problem != "" {
		object("%s", problem)
	}
	return f, err
}

// originalProblem says what is wrong with the original of a callback: it is
// gone, or names another policy than was pinned into the workflow.
func originalProblem(ctx context.Context, ledger Ledger, h *History) (string, error) {
	original, err := ledger.Intake(ctx, h.CallbackID)
	if errors.Is(err, book.ErrNotFound) {
		return "its original is missing: nobody knows who was promised to be called", nil
	}
	if err != nil || original.PolicyHash == "" {
		return "", err
	}
	kept, err := ledger.Policy(ctx, original.PolicyHash)
	if errors.Is(err, book.ErrNotFound) {
		return "the policy that was pinned into it is not kept", nil
	}
	if err != nil {
		return "", err
	}
	want, err := json.Marshal(kept)
	if err != nil {
		return "", err
	}
	pinned, err := json.Marshal(pinnedPolicy(h.Runs[0]))
	if err != nil {
		return "", err
	}
	if where, differ := difference(want, pinned); differ {
		return "its history has another policy than was pinned into it: " + where, nil
	}
	return "", nil
}

// pinnedPolicy is the policy in a run's input, nil where it cannot be read.
func pinnedPolicy(run *historypb.History) *callback.Policy {
	var in input
	if json.Unmarshal(raw(started(run).GetInput()), &in) != nil {
		return nil
	}
	return in.Policy
}

// tagProblem says where the policy's tag was not on exactly while the callback
// was open (R03, R09), looked at whenever something had happened.
func tagProblem(h *History, events []callback.Event) string {
	if len(events) == 0 || events[0].Seq != 1 {
		return ""
	}
	policy := pinnedPolicy(h.Runs[0])
	if policy == nil {
		return "the pinned policy cannot be read"
	}
	tag := policy.Tag.Required
	c := &callback.Callback{}
	for i, e := range events {
		if err := c.Apply(e); err != nil {
			return err.Error()
		}
		if i+1 < len(events) && events[i+1].At == e.At {
			continue
		}
		on := slices.Contains(c.Tags, tag)
		open := tag != "" && !c.Status.Closed()
		if on != open || c.CallbackRequired != open {
			return fmt.Sprintf("after entry %d the tag is on though it should be off, or the other way round (R09)", e.Seq)
		}
	}
	return ""
}

// archiveProblem says where the archive differs from the engine.
func (a *Auditor) archiveProblem(ctx context.Context, h *History) (string, error) {
	if a.engine == nil {
		return "", nil
	}
	archived, err := a.book.Histories(ctx, h.CallbackID)
	if err != nil {
		return "", err
	}
	for _, x := range archived {
		copied, err := Unpack(x.History)
		if err != nil {
			return "an archived run cannot be read: " + err.Error(), nil
		}
		for _, run := range h.Runs {
			if started(run).GetOriginalExecutionRunId() == x.RunID && !sameHistory(run, copied) {
				return "the archive holds another history than the engine", nil
			}
		}
	}
	return "", nil
}
