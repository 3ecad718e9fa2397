package wire

import (
	"context"
	"time"
)

// Patience is how long a call waits in place for its turn; who would wait longer
// is told to come back.
const Patience = 5 * time.Second

// Every does something again and again, with pauses of that length, until ctx is
// done. Failed hears of failures; after one the pause is at least as long as the
// vendor asked for.
func Every(
	ctx context.Context, sleep func(context.Context, time.Duration) error, pause time.Duration,
	do func(context.Context) error, failed func(error),
) error {
	for ended := false; !ended && ctx.Err() == nil; {
		wait := pause
		if err := do(ctx); err != nil && ctx.Err() == nil {
			failed(err)
			wait = max(wait, OwedAs(err).RetryAfter)
		}
		ended = sleep(ctx, wait) != nil
	}
	return nil
}
