package audit

import (
	"context"
	"sync"
)

// inParallel works on every item, n at a time, and hands each result to done,
// one at a time. The first error ends it.
func inParallel[I, O any](ctx context.Context, n int, items []I, work func(context.Context, I) (O, error), done func(I, O)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan I)
	var working sync.WaitGroup
	var one sync.Mutex
	for range min(n, len(items)) {
		working.Go(func() {
			for item := range todo {
				result, err := work(ctx, item)
				if err != nil {
					cancel(err)
					continue
				}
				one.Lock()
				done(item, result)
				one.Unlock()
			}
		})
	}
	for _, item := range items {
		select {
		case todo <- item:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(todo)
	working.Wait()
	return context.Cause(ctx)
}
