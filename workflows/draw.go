package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/callback"
	"ringback/contract"
)

// drawRetry draws again at latest each minute while nobody can be drawn
// (CONTRACT §4). Retries write nothing to the history, so a callback can wait
// for days.
var drawRetry = &temporal.RetryPolicy{
	InitialInterval:    time.Second,
	BackoffCoefficient: 2,
	MaximumInterval:    time.Minute,
}

// draw is a coroutine of its own: while the callback stands in a queue whose
// assignees are drawn, it draws one (R21). Somebody may claim it first; then
// the draw is called off.
func (r *Run) draw(ctx workflow.Context) {
	for {
		if workflow.Await(ctx, func() bool { return r.wantsDraw() && !r.leaving }) != nil {
			return
		}
		r.redraw = false
		drawCtx, cancel := workflow.WithCancel(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: 10 * time.Second,
			RetryPolicy:         drawRetry,
			Summary:             fmt.Sprintf("%s among %s", r.policy.Ladder[r.state.TierIndex].Assign, r.state.Queue),
		}))
		version := r.state.Version
		var a *activities.Assignment
		drawing := workflow.ExecuteActivity(drawCtx, a.Draw, contract.DrawRequest{
			CallbackID: r.state.ID, Version: version, Queue: r.state.Queue, Tier: r.state.Tier,
			Method: r.policy.Ladder[r.state.TierIndex].Assign, Avoid: r.state.LastAssignee,
			At: callback.At(workflow.Now(ctx)),
		})
		place := r.state.Place
		waited := workflow.Await(ctx, func() bool {
			return drawing.IsReady() || !r.leaving && (r.redraw || !r.wantsDraw() || r.state.Place != place)
		})
		var drawn callback.Draw
		if waited == nil && drawing.IsReady() && drawing.Get(ctx, &drawn) == nil && r.state.Place == place {
			r.happened(r.state.Assign(r.policy, drawn, workflow.Now(ctx), r.worktime(ctx)))
		}
		cancel()
		if waited != nil {
			return
		}
	}
}

func (r *Run) wantsDraw() bool { return r.state.WantsDraw(r.policy) }

// hearCandidates draws again at once when somebody of the queue came free.
func (r *Run) hearCandidates(ctx workflow.Context) {
	free := workflow.GetSignalChannel(ctx, contract.SignalCandidateAvailable)
	for free.Receive(ctx, nil) {
		r.redraw = true
	}
}
