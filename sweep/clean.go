package sweep

import (
	"context"
	"errors"
	"fmt"

	"ringback/callback"
)

// clean deletes what is no longer needed.
func (s *Sweeper) clean(ctx context.Context, r *Report) error {
	now := s.now()
	if !s.cleaned.IsZero() && now.Before(s.cleaned.Plus(cleanEvery).Time) {
		return nil
	}
	var failures []error
	note := func(what string, err error) {
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", what, err))
		}
	}
	var err error
	r.Texts, err = s.Book.SweepTexts(ctx, now.Plus(-keepTexts))
	note("texts", err)
	r.Errands, err = s.Book.SweepErrands(ctx, now.Plus(-keepAnswers))
	note("errands", err)
	r.Reservations, err = s.Book.SweepReservations(ctx, now.Plus(-keepReservations))
	note("reservations", err)
	note("feed", s.Book.TrimFeed(ctx, now.Plus(-keepFeed)))
	r.Waits, err = s.Book.SweepDrawWaits(ctx)
	note("draws", err)
	r.Messages, err = s.Book.SweepMessages(ctx, now.Plus(-keepMessages))
	note("messages", err)
	note("memory", s.forgetTerms(ctx, now, r))
	if len(failures) == 0 {
		s.cleaned = now
	}
	return errors.Join(failures...)
}

// forgetTerms forgets what connectors need not remember any more.
func (s *Sweeper) forgetTerms(ctx context.Context, now callback.Instant, r *Report) error {
	if !s.forgot.IsZero() && now.Before(s.forgot.Plus(forgetEvery).Time) {
		return nil
	}
	for _, t := range s.Terms {
		n, err := s.Book.SweepMemory(ctx, t, now)
		r.Forgotten += n
		if err != nil {
			return err
		}
	}
	s.forgot = now
	return nil
}
