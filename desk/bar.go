package desk

import (
	"time"

	"ringback/api"
	"ringback/callback"
)

// bar is a promise drawn along time: what counts, what does not, and where we
// are. Numbers are of a drawing 1000 wide.
type bar struct {
	Work, Holds []stretch
	Warnings    []int
	// Now is where we are; -1: outside of the drawing.
	Now      int
	From, To callback.Instant
}

type stretch struct{ X, Width int }

const barWidth = 1000

// drawDeadline draws the promise of this tier; nil where there is nothing to draw.
func (v *visit) drawDeadline(c *item, d *api.Deadline) *bar {
	if len(d.Segments) == 0 || d.CountsFrom.IsZero() {
		return nil
	}
	b := &bar{From: d.CountsFrom, To: d.Segments[len(d.Segments)-1].To, Now: -1}
	// A promise that has passed unmet is drawn up to now, within reason.
	if late := v.now.Sub(b.To.Time); c.running() && late > 0 {
		b.To = b.To.Plus(callback.Duration(min(late, b.To.Sub(b.From.Time))))
	}
	whole := b.To.Sub(b.From.Time)
	if whole <= 0 {
		return nil
	}
	x := func(at time.Time) int {
		return int(min(max(barWidth*float64(at.Sub(b.From.Time))/float64(whole), 0), barWidth))
	}
	put := func(to *[]stretch, from, until callback.Instant) {
		*to = append(*to, stretch{x(from.Time), max(x(until.Time)-x(from.Time), 2)})
	}
	for _, s := range d.Segments {
		put(&b.Work, s.From, s.To)
	}
	for _, h := range d.Holds {
		put(&b.Holds, h.From, h.To)
	}
	for _, w := range d.WarnAt {
		if at, err := time.Parse(time.RFC3339, w); err == nil {
			b.Warnings = append(b.Warnings, x(at))
		}
	}
	if !v.now.Before(b.From.Time) && !v.now.After(b.To.Time) && !c.Closed() {
		b.Now = x(v.now)
	}
	return b
}
