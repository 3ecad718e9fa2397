package api

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	laterWorkers  = 4
	laterBacklog  = 256
	laterPatience = 5 * time.Second
)

// later does what nobody waits for, a few at a time. What it does is a help,
// not a duty: where it is too much, or the process ends, it is left undone.
type later struct {
	log  *slog.Logger
	jobs chan func(context.Context)
	wg   sync.WaitGroup

	mu     sync.RWMutex
	closed bool
}

func newLater(log *slog.Logger) *later {
	l := &later{log: log, jobs: make(chan func(context.Context), laterBacklog)}
	for range laterWorkers {
		l.wg.Go(func() {
			for job := range l.jobs {
				l.run(job)
			}
		})
	}
	return l
}

func (l *later) run(job func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), laterPatience)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("a job in the background panicked", "at", stack())
		}
	}()
	job(ctx)
}

func (l *later) do(job func(context.Context)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return
	}
	select {
	case l.jobs <- job:
	default:
		l.log.Warn("too much is waiting in the background; something was left undone")
	}
}

// close waits for what has been begun.
func (l *later) close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.jobs)
	}
	l.mu.Unlock()
	l.wg.Wait()
}
