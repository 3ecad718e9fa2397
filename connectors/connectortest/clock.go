package connectortest

import (
	"context"
	"sync"
	"time"
)

// Clock stands still until it is moved. Who sleeps by it does not wait: the
// clock goes on by as much, so that a test sees how long something would have taken.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Monday is when clocks start: 10:00 in UTC.
var Monday = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// NewClock returns a clock that stands at Monday.
func NewClock() *Clock { return &Clock{now: Monday} }

// Now is what the clock says.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Sleep moves the clock on at once, unless ctx is done.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.Advance(max(d, 0))
	return nil
}
