package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"ringback/book"
)

const (
	// rememberedFor is how long somebody stays who they were last found to be, while
	// the database cannot be asked.
	rememberedFor = 15 * time.Minute
	// rememberedMost is how many are remembered.
	rememberedMost = 10_000
	// askPatience bounds one question to the database.
	askPatience = 2 * time.Second
	// askRetry is when it is asked again where it could not be reached.
	askRetry = time.Second
)

// Remembered knows who somebody was last found to be, so that people and systems
// stay themselves while the database is away: the clock goes on, and so do
// commands that carry no text.
type Remembered[T any] struct {
	now func() time.Time

	mu   sync.Mutex
	of   map[string]remembered[T]
	away time.Time // when the database could last not be reached
}

type remembered[T any] struct {
	who T
	at  time.Time
}

// NewRemembered returns one that remembers nobody yet.
func NewRemembered[T any](now func() time.Time) *Remembered[T] {
	return &Remembered[T]{now: now, of: map[string]remembered[T]{}}
}

// Ask finds out who it is by a key. Where the database cannot be reached, it is
// whoever it was within the last minutes; where nobody is remembered, the error
// is find's.
func (r *Remembered[T]) Ask(ctx context.Context, key string, find func(context.Context) (T, error)) (T, error) {
	now := r.now()
	r.mu.Lock()
	was, known := r.of[key]
	known = known && now.Sub(was.at) < rememberedFor
	resting := known && now.Sub(r.away) < askRetry && !now.Before(r.away)
	r.mu.Unlock()
	if resting {
		return was.who, nil
	}
	asking, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	who, err := find(asking)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.makeRoom(now)
		r.of[key] = remembered[T]{who, now}
	case ctx.Err() != nil: // whoever asked has gone
	case errors.Is(err, book.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		r.away = now
		if known {
			return was.who, nil
		}
	default:
		delete(r.of, key)
	}
	return who, err
}

// Forget makes nobody of a key.
func (r *Remembered[T]) Forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, key)
}

func (r *Remembered[T]) makeRoom(now time.Time) {
	if len(r.of) < rememberedMost {
		return
	}
	for key, was := range r.of {
		if now.Sub(was.at) >= rememberedFor {
			delete(r.of, key)
		}
	}
	for key := range r.of {
		if len(r.of) < rememberedMost {
			return
		}
		delete(r.of, key) // any: whoever comes again is found again
	}
}
