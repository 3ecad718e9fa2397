package sweep

import (
	"context"
	"errors"
	"fmt"
	"time"

	historypb "go.temporal.io/api/history/v1"

	"ringback/audit"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// archive exports the histories of callbacks that have closed, and those of
// runs that continued as new, while the engine still has them.
func (s *Sweeper) archive(ctx context.Context, r *Report) error {
	return errors.Join(s.shelveClosed(ctx, r), s.shelveContinued(ctx, r), s.endedFromOutside(ctx, r))
}

func (s *Sweeper) shelveClosed(ctx context.Context, r *Report) error {
	now := s.now()
	ids, err := s.Book.ClosedWithoutHistory(ctx, now.Plus(-shelveAfter), atOnce+len(s.lost))
	if err != nil {
		return err
	}
	missing := map[string]bool{}
	var failures []error
	for _, id := range ids {
		if ctx.Err() != nil || len(failures) == failuresInARow {
			break
		}
		n, err := s.shelve(ctx, id)
		r.Archived += n
		switch {
		case errors.Is(err, audit.ErrNoHistory), errors.Is(err, audit.ErrRunMissing):
			missing[id] = true
			if !s.lost[id] {
				s.Logger.ErrorContext(ctx, "the history of a closed callback is missing: the engine has forgotten it and the archive never had it",
					"callback_id", id, "error", err)
			}
		case err != nil:
			failures = append(failures, fmt.Errorf("callback %s: %w", id, err))
		}
	}
	s.lost = missing
	r.Missing = len(missing)
	s.metrics.missing.Set(float64(len(missing)))
	if neglectedIDs, err := s.Book.ClosedWithoutHistory(ctx, now.Plus(-neglected), atOnce+len(missing)); err == nil {
		waiting := max(0, len(neglectedIDs)-len(missing))
		s.metrics.neglected.Set(float64(waiting))
		if waiting > 0 {
			s.Logger.ErrorContext(ctx, "histories of closed callbacks wait for their archive for more than an hour", "callbacks", waiting)
		}
	}
	return errors.Join(failures...)
}

// shelve archives every run of a callback that has ended, and says how many.
func (s *Sweeper) shelve(ctx context.Context, id string) (int, error) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	h, err := s.auditor.History(ctx, id)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, run := range h.Runs {
		if !audit.Ended(run) {
			continue // it is still handing over what it owes
		}
		if err := s.save(ctx, id, audit.RunID(run), run); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s *Sweeper) save(ctx context.Context, id, runID string, run *historypb.History) error {
	packed, err := audit.Pack(run)
	if err != nil {
		return err
	}
	last := run.Events[len(run.Events)-1]
	err = s.Book.SaveHistory(ctx, book.Archived{
		CallbackID: id, RunID: runID, ClosedAt: callback.At(last.GetEventTime().AsTime()), History: packed,
	})
	if err == nil {
		s.metrics.archived.Inc()
	}
	return err
}

// overlap is how far back the engine's lists are read again: they lag.
const overlap = callback.Duration(10 * time.Minute)

// shelveContinued archives runs that continued as new: a callback may be open
// for longer than the engine keeps them.
func (s *Sweeper) shelveContinued(ctx context.Context, r *Report) error {
	began := s.now()
	condition := "ExecutionStatus = 'ContinuedAsNew'"
	if !s.shelved.IsZero() {
		condition += fmt.Sprintf(" AND CloseTime > '%s'", s.shelved)
	}
	err := audit.EachWorkflow(ctx, s.Engine, s.Namespace, condition, func(w audit.Workflow) error {
		ctx, cancel := finishing(ctx)
		defer cancel()
		archived, err := s.Book.Histories(ctx, w.CallbackID)
		if err != nil {
			return err
		}
		for _, a := range archived {
			if a.RunID == w.RunID {
				return nil
			}
		}
		run, err := audit.Fetch(ctx, s.Engine, contract.WorkflowID(w.CallbackID), w.RunID)
		if err != nil || !audit.Ended(run) {
			return err
		}
		r.Archived++
		return s.save(ctx, w.CallbackID, w.RunID, run)
	})
	if err == nil {
		s.shelved = began.Plus(-overlap)
	}
	return err
}

// endedFromOutside looks for workflows that somebody's hand has ended: their
// callbacks are kept by nobody.
func (s *Sweeper) endedFromOutside(ctx context.Context, r *Report) error {
	const condition = "ExecutionStatus IN ('Failed', 'Terminated', 'TimedOut', 'Canceled')"
	err := audit.EachWorkflow(ctx, s.Engine, s.Namespace, condition, func(w audit.Workflow) error {
		r.Ended++
		return nil
	})
	if err != nil {
		return err
	}
	s.metrics.ended.Set(float64(r.Ended))
	if r.Ended > 0 {
		s.Logger.ErrorContext(ctx, "workflows of callbacks were ended from outside: nobody keeps those promises", "workflows", r.Ended)
	}
	return nil
}
