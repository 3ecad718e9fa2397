package sweep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"

	"ringback/audit"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// failuresInARow after which the engine, or the database, is taken to be away.
const failuresInARow = 3

// errands catches up with what somebody began and did not end: they died, or
// did not learn the outcome in time.
func (s *Sweeper) errands(ctx context.Context, r *Report) error {
	now := s.now()
	open, err := s.Book.OpenErrands(ctx, now, atOnce+len(s.again))
	if err != nil {
		return err
	}
	s.forget(open)
	oldest := now
	var failures []error
	inARow := 0
	for _, group := range s.toAsk(open, now) {
		if ctx.Err() != nil || inARow == failuresInARow {
			r.Postponed += len(group)
			oldest = earlier(oldest, group[0].CreatedAt)
			continue
		}
		postponed, err := s.settle(ctx, group, r)
		if len(postponed) > 0 {
			r.Postponed += len(postponed)
			oldest = earlier(oldest, postponed[0].CreatedAt)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("callback %s: %w", group[0].CallbackID, err))
			inARow++
			continue
		}
		inARow = 0
	}
	s.metrics.lag.Set(now.Sub(oldest.Time).Seconds())
	return errors.Join(failures...)
}

func earlier(a, b callback.Instant) callback.Instant {
	if b.Before(a.Time) {
		return b
	}
	return a
}

// forget forgets what is no longer open.
func (s *Sweeper) forget(open []book.Errand) {
	ids := make(map[string]bool, len(open))
	for _, e := range open {
		ids[e.ID] = true
	}
	for id := range s.again {
		if !ids[id] {
			delete(s.again, id)
		}
	}
	for id := range s.seen {
		if !ids[id] {
			delete(s.seen, id)
		}
	}
}

// toAsk are the errands to be asked about now, by callback, the oldest first.
func (s *Sweeper) toAsk(open []book.Errand, now callback.Instant) [][]book.Errand {
	var groups [][]book.Errand
	at := map[string]int{}
	for _, e := range open {
		if s.again[e.ID].After(now.Time) {
			continue
		}
		i, known := at[e.CallbackID]
		if !known {
			i = len(groups)
			at[e.CallbackID] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], e)
	}
	return groups
}

// settle takes over the errands of one callback, brings the read model up to
// date, and ends those errands that are decided. What was accepted is in the
// history by now: the engine answers a question only after the commands that
// came before it.
func (s *Sweeper) settle(ctx context.Context, group []book.Errand, r *Report) (postponed []book.Errand, err error) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	now := s.now()
	mine := make([]book.Errand, 0, len(group))
	for _, e := range group {
		// A repeat of the request waits meanwhile.
		_, taken, err := s.Book.TakeOver(ctx, e.ID, now.Plus(callback.Duration(time.Millisecond)), now.Plus(settled))
		if err != nil && !errors.Is(err, book.ErrNotFound) {
			return group, err
		}
		if taken {
			mine = append(mine, e)
		}
	}
	if len(mine) == 0 {
		return nil, nil
	}
	exists := true
	if mine[0].CallbackID != "" {
		var caughtUp bool
		caughtUp, exists, err = s.catchUp(ctx, mine[0].CallbackID)
		if err != nil {
			s.releaseKeyed(ctx, mine)
			return mine, err
		}
		if caughtUp {
			r.CaughtUp++
		}
	}
	for _, e := range mine {
		done, err := s.end(ctx, e, exists, now)
		if err != nil {
			return mine, err
		}
		if done {
			r.Dropped++
		} else if e.Key == "" {
			postponed = append(postponed, e)
		}
	}
	return postponed, nil
}

// releaseKeyed lets repeats go on with what could not be decided.
func (s *Sweeper) releaseKeyed(ctx context.Context, errands []book.Errand) {
	for _, e := range errands {
		if e.Key == "" {
			continue
		}
		if err := s.Book.Release(ctx, e.ID); err != nil {
			s.Logger.WarnContext(ctx, "an errand could not be released; its lease will run out", "callback_id", e.CallbackID, "error", err)
		}
	}
}

// end forgets an errand if it is over, and reports whether it is.
//
// Nothing that was sent lately is over: it may still be on its way to the
// engine. One with a key is kept for as long as its key counts: its request may
// be repeated, and then gets the answer; until then it is asked about ever more
// seldom, since a repeat may have died as well. Of a create whose callback
// does not exist nothing is kept: it promises nothing.
func (s *Sweeper) end(ctx context.Context, e book.Errand, exists bool, now callback.Instant) (bool, error) {
	age := callback.Duration(now.Sub(e.CreatedAt.Time))
	over := age >= settled
	switch {
	case age >= keepAnswers:
	case !exists:
		since, seen := s.seen[e.ID]
		if !seen {
			since = now
			s.seen[e.ID] = now
		}
		if e.Key != "" {
			over = over && callback.Duration(now.Sub(since.Time)) >= settled
		}
	case e.Key != "":
		s.again[e.ID] = now.Plus(backOff(age))
		return false, s.Book.Release(ctx, e.ID)
	}
	if !over {
		if e.Key != "" {
			return false, s.Book.Release(ctx, e.ID)
		}
		return false, nil // its lease brings it back
	}
	if err := s.Book.Drop(ctx, e.ID); err != nil {
		return false, err
	}
	delete(s.seen, e.ID)
	return true, nil
}

// backOff is when to look again at what has been so for a while: ever more seldom.
func backOff(age callback.Duration) callback.Duration {
	return min(max(age, settled), callback.Duration(time.Hour))
}

// catchUp brings what lists show of a callback to where its history is; exists
// is false where neither the engine nor the archive nor the lists know it.
func (s *Sweeper) catchUp(ctx context.Context, id string) (caughtUp, exists bool, err error) {
	version, err := s.version(ctx, id)
	if err != nil {
		return false, false, err
	}
	events, err := s.news(ctx, id, version)
	var absent *serviceerror.NotFound
	if errors.As(err, &absent) {
		events, err = s.auditor.Timeline(ctx, id)
		if errors.Is(err, audit.ErrNoHistory) {
			if version == 0 {
				return false, false, nil
			}
			s.metrics.lost.Inc()
			s.Logger.ErrorContext(ctx, "a promise is lost: lists show a callback of which there is no history", "callback_id", id)
			return false, true, nil
		}
	}
	if err != nil {
		return false, false, err
	}
	if n := len(events); n == 0 || events[n-1].Seq <= version {
		return false, true, nil
	}
	_, err = s.Book.Project(ctx, book.Batch{CallbackID: id, Events: events})
	var gap *book.GapError
	if errors.As(err, &gap) {
		// This run does not know what earlier ones did: their histories do.
		if events, err = s.auditor.Timeline(ctx, id); err == nil {
			_, err = s.Book.Project(ctx, book.Batch{CallbackID: id, Events: events})
		}
	}
	if err != nil {
		return false, true, err
	}
	s.metrics.caughtUp.Inc()
	s.Logger.InfoContext(ctx, "the read model was behind and has caught up", "callback_id", id, "from_version", version)
	return true, true, nil
}

// version is what lists show of a callback; 0: nothing.
func (s *Sweeper) version(ctx context.Context, id string) (int64, error) {
	v, err := s.Book.Callback(ctx, id)
	if errors.Is(err, book.ErrNotFound) || err == nil && v.State == nil {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return v.State.Version, nil
}

// news asks a callback's workflow for its events after a version.
func (s *Sweeper) news(ctx context.Context, id string, since int64) ([]callback.Event, error) {
	value, err := s.Engine.QueryWorkflow(ctx, contract.WorkflowID(id), "", contract.QueryEvents, since)
	if err != nil {
		return nil, err
	}
	var news contract.News
	if err := value.Get(&news); err != nil {
		return nil, err
	}
	return news.Events, nil
}
