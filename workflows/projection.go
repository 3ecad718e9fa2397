package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/contract"
)

// projectionRetry goes on for as long as the database is away: an outage delays
// lists, never the clock, and loses nothing.
var projectionRetry = &temporal.RetryPolicy{
	InitialInterval:    200 * time.Millisecond,
	BackoffCoefficient: 2,
	MaximumInterval:    10 * time.Second,
}

// batchSize bounds the events of one projection: well inside the engine's
// limit of 2 MiB for an activity's input.
const batchSize = 200

// project is a coroutine of its own: it brings the read model to what this
// workflow owes it, whatever the clock and people do meanwhile. What a caller
// has promised to write goes along, so that the timeline has no gaps.
func (r *Run) project(ctx workflow.Context) {
	for {
		if workflow.Await(ctx, func() bool { return r.owed > r.projected && !r.leaving }) != nil {
			return
		}
		batch := r.since(r.projected)
		batch = batch[:min(len(batch), batchSize)]
		last := batch[len(batch)-1]
		projectCtx := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: 10 * time.Second,
			RetryPolicy:         projectionRetry,
			Summary:             fmt.Sprintf("versions %d to %d", batch[0].Seq, last.Seq),
		})
		var a *activities.Projection
		err := workflow.ExecuteActivity(projectCtx, a.Project, contract.Projection{
			CallbackID: r.state.ID, Events: batch, From: r.journal[0].Seq,
		}).Get(ctx, nil)
		switch have, gap := readModelHas(err); {
		case gap:
			r.projected = have
		case err != nil:
			return // the workflow is being cancelled
		default:
			r.projected = max(r.projected, last.Seq)
		}
	}
}

// readModelHas returns the version from which the read model asks for events.
func readModelHas(err error) (version int64, gap bool) {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.Type() == activities.GapErrorType && app.Details(&version) == nil {
		return version, true
	}
	return 0, false
}
