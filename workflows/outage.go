package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/contract"
)

// tellingRetry goes on for as long as it takes: a telling that dies is taken up
// where its last heartbeat was.
var tellingRetry = &temporal.RetryPolicy{
	InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second,
}

const (
	// tellingTakes bounds one telling; it is begun again after that.
	tellingTakes = 24 * time.Hour
	// tellingBeats is how soon a telling whose worker has died is taken up by another.
	tellingBeats = 20 * time.Second
)

// Outage is the life of one outage, from when it was declared until everybody
// whom it affected has been told that it is over (R23).
//
// While it goes on, one activity looks for callbacks that it affects, new ones
// too, and tells them; it is retried for as long as that takes, without writing
// to the history.
func Outage(ctx workflow.Context, in contract.OutageInput) error {
	state := contract.OutageState{}
	err := workflow.SetUpdateHandlerWithOptions(ctx, contract.UpdateEnd, func(_ workflow.Context, end contract.OutageEnd) (contract.OutageState, error) {
		if state.Ended == nil {
			state.Ended = &end
		}
		return state, nil
	}, workflow.UpdateHandlerOptions{Description: "ends the outage; again changes nothing"})
	if err == nil {
		err = workflow.SetQueryHandlerWithOptions(ctx, contract.QueryOutage, func() (contract.OutageState, error) {
			return state, nil
		}, workflow.QueryHandlerOptions{Description: "how far it has come"})
	}
	if err != nil {
		return err
	}
	if err := tellBeginning(ctx, in, &state); err != nil {
		return err
	}
	in.Ended = state.Ended
	if err := tellEnd(ctx, in); err != nil {
		return err
	}
	state.Resumed = true
	return workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

// tellBeginning links callbacks until the outage has ended.
func tellBeginning(ctx workflow.Context, in contract.OutageInput, state *contract.OutageState) error {
	telling, cancel := workflow.WithCancel(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: tellingTakes, HeartbeatTimeout: tellingBeats, RetryPolicy: tellingRetry,
		Summary: "links what the outage affects, for as long as it goes on",
	}))
	defer cancel()
	var a *activities.Outages
	workflow.ExecuteActivity(telling, a.TellBeginning, contract.OutageTelling{ID: in.ID, By: in.By})
	return workflow.Await(ctx, func() bool { return state.Ended != nil })
}

// tellEnd notes the end where desks look, and tells everybody who was linked.
func tellEnd(ctx workflow.Context, in contract.OutageInput) error {
	ending := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second, RetryPolicy: projectionRetry, Summary: "notes the end",
	})
	var a *activities.Outages
	if err := workflow.ExecuteActivity(ending, a.NoteEnd, in).Get(ctx, nil); err != nil {
		return err
	}
	telling := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: tellingTakes, HeartbeatTimeout: tellingBeats, RetryPolicy: tellingRetry,
		Summary: "lets everything go on that was linked",
	})
	return workflow.ExecuteActivity(telling, a.TellEnd, contract.OutageTelling{ID: in.ID, By: in.Ended.By}).Get(ctx, nil)
}

// Redelivery brings one event to a destination once more, because somebody
// asked for it.
func Redelivery(ctx workflow.Context, in contract.Delivery) error {
	delivering := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           contract.DeliveryQueue(workflow.GetInfo(ctx).TaskQueueName, in.Destination),
		StartToCloseTimeout: deliveryTakes, ScheduleToCloseTimeout: time.Hour, HeartbeatTimeout: deliveryBeats,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: 10},
		Summary:     in.Destination + ", " + numbered(in.Events),
	})
	var a *activities.Delivery
	return workflow.ExecuteActivity(delivering, a.Redeliver, in).Get(ctx, nil)
}
