package sweep

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// outages begins those of which nobody knows whether they have begun, and tells
// callbacks that are still linked to one that is over (R23).
func (s *Sweeper) outages(ctx context.Context, r *Report) error {
	return errors.Join(s.beginOutages(ctx), s.endLinks(ctx, r))
}

// beginOutages has a workflow for every outage that goes on: whoever declared it
// may have died before it had one. One that was declared lately is left alone:
// it may still come to nothing.
func (s *Sweeper) beginOutages(ctx context.Context) error {
	active, err := s.Book.ActiveOutages(ctx)
	if err != nil {
		return err
	}
	before := s.begun
	s.begun = make(map[string]bool, len(active))
	var failures []error
	for _, o := range active {
		switch {
		case before[o.ID]:
		case len(failures) == failuresInARow, s.now().Before(o.DeclaredAt.Plus(settled).Time):
			continue
		default:
			beginning, cancel := finishing(ctx)
			err := s.Outages.BeginOutage(beginning, contract.OutageInput{ID: o.ID, By: o.DeclaredBy, At: o.DeclaredAt})
			cancel()
			if err != nil {
				failures = append(failures, fmt.Errorf("outage %s: %w", o.ID, err))
				continue
			}
		}
		s.begun[o.ID] = true
	}
	return errors.Join(failures...)
}

// telling is when a callback was first told that its outage is over, and when it
// is told again, should it still be linked.
type telling struct{ since, again callback.Instant }

// endLinks tells open callbacks that are linked to an outage that is over, or
// that never began, that it is: they were linked, or shown to be, when everybody
// had been told. A callback that knows takes no note, and one that does not
// answer is told ever more seldom.
func (s *Sweeper) endLinks(ctx context.Context, r *Report) error {
	now := s.now()
	links, err := s.Book.EndedLinks(ctx, now.Plus(-settled), atOnce+len(s.told))
	if err != nil {
		return err
	}
	before := s.told
	s.told = make(map[string]telling, len(links))
	var failures []error
	inARow := 0
	for _, l := range links {
		t, told := before[l.CallbackID]
		if told {
			s.told[l.CallbackID] = t
		}
		if ctx.Err() != nil || inARow == failuresInARow || t.again.After(now.Time) {
			continue
		}
		if err := s.tellEnd(ctx, l); err != nil {
			failures = append(failures, fmt.Errorf("callback %s: %w", l.CallbackID, err))
			inARow++
			continue
		}
		inARow = 0
		r.Resumed++
		if !told {
			t.since = now
			s.Logger.InfoContext(ctx, "a callback was linked to an outage that is over; it has been told", "callback_id", l.CallbackID, "outage", l.Outage)
		}
		t.again = now.Plus(backOff(callback.Duration(now.Sub(t.since.Time))))
		s.told[l.CallbackID] = t
	}
	return errors.Join(failures...)
}

func (s *Sweeper) tellEnd(ctx context.Context, l book.OutageLink) error {
	by := l.EndedBy
	if by == "" {
		by = callback.ActorClock // nobody ended what never began
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	err := s.Engine.SignalWorkflow(ctx, contract.WorkflowID(l.CallbackID), "", contract.SignalOutageEnded, callback.OutageNews{Outage: l.Outage, By: by})
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return nil // it has ended meanwhile
	}
	return err
}
