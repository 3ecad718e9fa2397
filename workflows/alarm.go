package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"ringback/callback"
)

// alarm is the one timer of a callback: at the next instant at which time alone
// brings something about. It is set anew only when that instant moves, so no
// wake-up does nothing and no event is spent on a timer that stays.
type alarm struct {
	at     callback.Instant
	timer  workflow.Future
	cancel workflow.CancelFunc
}

// set makes the alarm ring at the callback's next instant.
func (a *alarm) set(ctx workflow.Context, c *callback.Callback) {
	next, some := c.Next()
	if a.timer != nil && !a.timer.IsReady() && next == a.at {
		return
	}
	a.stop()
	if !some {
		return
	}
	a.at = next
	timerCtx, cancel := workflow.WithCancel(ctx)
	a.cancel = cancel
	a.timer = workflow.NewTimerWithOptions(timerCtx, next.Sub(workflow.Now(ctx)), workflow.TimerOptions{
		Summary: fmt.Sprintf("%s at tier %s, promised by %s", c.NextIs(), c.Tier, c.DueAt),
	})
}

// stop takes the alarm back.
func (a *alarm) stop() {
	if a.timer != nil && !a.timer.IsReady() {
		a.cancel()
	}
	a.timer = nil
	a.at = callback.Instant{}
}

// rang reports whether the instant has come.
func (a *alarm) rang() bool { return a.timer != nil && a.timer.IsReady() }
