package sweep

import (
	"context"
)

// watch compares what the database says is due with what has happened: a clock
// that stands still cannot report itself.
func (s *Sweeper) watch(ctx context.Context, r *Report) error {
	w, err := s.Book.Watch(ctx, s.now(), watchGrace)
	if err != nil {
		return err
	}
	r.Watch = w
	s.metrics.open.Set(float64(w.Open))
	s.metrics.overdue.Set(float64(w.Overdue))
	s.metrics.late.Set(float64(w.Late))
	s.metrics.lateness.Set(w.Lateness.Seconds())
	s.metrics.errands.Set(float64(w.Errands))
	switch {
	case w.Late > 0 && w.Late != s.late:
		s.Logger.ErrorContext(ctx, "the clock is late: callbacks are due and nothing has happened", "callbacks", w.Late, "oldest", w.Lateness.String())
	case w.Late == 0 && s.late > 0:
		s.Logger.InfoContext(ctx, "the clock has caught up")
	}
	s.late = w.Late
	return nil
}
