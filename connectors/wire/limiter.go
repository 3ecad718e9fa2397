package wire

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ringback/connectors"
)

// Limiter is the one limit under which all calls to a system are made. It
// spreads them, stops before the vendor has to refuse, and waits as long as the
// vendor says once it has refused.
type Limiter struct {
	now      func() time.Time
	sleep    func(context.Context, time.Duration) error
	patience time.Duration

	mu        sync.Mutex
	bucket    *rate.Limiter
	perMinute int
	// until is when the next call may be made at all.
	until time.Time
	// left is what the vendor said last remains of the window that began at began.
	left  int
	began time.Time
	// pause is for the next refusal that does not say how long; it doubles.
	pause time.Duration
}

// How long a refusal lasts that does not say: at first, and at most.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	// window is the vendors' unit of counting.
	window = time.Minute
)

// NewLimiter returns a limit of so many calls a minute until the vendor says
// otherwise; 0 or less: none. Who would have to wait longer than patience is
// not kept waiting but told for how long.
func NewLimiter(perMinute int, patience time.Duration, now func() time.Time, sleep func(context.Context, time.Duration) error) *Limiter {
	l := &Limiter{now: now, sleep: sleep, patience: patience, bucket: rate.NewLimiter(rate.Inf, 1), pause: firstPause}
	l.limit(perMinute)
	return l
}

func (l *Limiter) limit(perMinute int) {
	if perMinute <= 0 || perMinute == l.perMinute {
		return
	}
	l.perMinute = perMinute
	l.bucket = rate.NewLimiter(rate.Limit(float64(perMinute)/window.Seconds()), max(1, perMinute/4))
}

// Wait waits for its turn. The error is ctx's, or an *connectors.Owed that says
// for how long to come back.
func (l *Limiter) Wait(ctx context.Context) error {
	for {
		wait, stopped := l.turn()
		if wait > l.patience {
			return &connectors.Owed{Code: connectors.RateLimited, Detail: "waiting for the vendor's limit", RetryAfter: wait}
		}
		if wait > 0 {
			if err := l.sleep(ctx, wait); err != nil {
				return err
			}
		}
		if !stopped {
			return ctx.Err()
		}
	}
}

// turn takes a place in the row and says how long it is; where everything is
// stopped it takes none, and it must be asked again afterwards.
func (l *Limiter) turn() (wait time.Duration, stopped bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.until.After(now) {
		return l.until.Sub(now), true
	}
	place := l.bucket.ReserveN(now, 1)
	wait = place.DelayFrom(now)
	if wait > l.patience {
		place.CancelAt(now)
	}
	return wait, false
}

// Saw learns from an answer how many calls the vendor allows in a minute, and
// how many of them remain; a negative number was not said.
func (l *Limiter) Saw(perMinute, left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.limit(perMinute)
	l.pause = firstPause
	if left < 0 {
		return
	}
	// Answers overtake each other: only a real rise is a new window.
	if l.began.IsZero() || left > l.left+max(1, perMinute/10) || now.Sub(l.began) >= window {
		l.began = now
	}
	l.left = left
	if left == 0 {
		l.stop(l.began.Add(window))
	}
}

// Refused learns that a call was refused for its number, and for how long to
// stop; 0: the vendor did not say. It returns how long that is.
func (l *Limiter) Refused(retryAfter time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if retryAfter <= 0 {
		retryAfter = l.pause
		l.pause = min(2*l.pause, lastPause)
	}
	l.stop(l.now().Add(retryAfter))
	return retryAfter
}

func (l *Limiter) stop(until time.Time) {
	if until.After(l.until) {
		l.until = until
	}
}
