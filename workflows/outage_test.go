package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"ringback/activities"
	"ringback/callback"
	"ringback/contract"
	"ringback/workflows"
)

// outage is one outage's workflow in the test environment, with what it did in order.
type outage struct {
	*testsuite.TestWorkflowEnvironment
	t     *testing.T
	did   []string
	ended contract.OutageInput
	// failing is how often each of its activities fails first.
	failing int
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{TestWorkflowEnvironment: newEnvironment(), t: t}
	o.RegisterWorkflow(workflows.Outage)
	o.RegisterActivity(&activities.Outages{})
	var a *activities.Outages
	left := map[string]int{}
	does := func(what string) error {
		if left[what]++; left[what] <= o.failing {
			return temporal.NewApplicationError("the engine is busy", "busy")
		}
		o.did = append(o.did, what)
		return nil
	}
	o.OnActivity(a.TellBeginning, mock.Anything, mock.Anything).Return(func(context.Context, contract.OutageTelling) error {
		return does("tell beginning")
	}).Maybe()
	o.OnActivity(a.NoteEnd, mock.Anything, mock.Anything).Return(func(_ context.Context, in contract.OutageInput) error {
		o.ended = in
		return does("note end")
	}).Maybe()
	o.OnActivity(a.TellEnd, mock.Anything, mock.Anything).Return(func(_ context.Context, in contract.OutageTelling) error {
		require.Equal(t, contract.OutageTelling{ID: "o1", By: "mgr2"}, in)
		return does("tell end")
	}).Maybe()
	return o
}

// ends ends it after that much time, and gives what came of it to check.
func (o *outage) ends(after time.Duration, by string, check func(contract.OutageState)) {
	o.RegisterDelayedCallback(func() {
		o.UpdateWorkflow(contract.UpdateEnd, "", &testsuite.TestUpdateCallback{
			OnAccept: func() {},
			OnReject: func(err error) { o.t.Error(err) },
			OnComplete: func(result any, err error) {
				require.NoError(o.t, err)
				state, is := result.(contract.OutageState)
				require.True(o.t, is)
				check(state)
			},
		}, contract.OutageEnd{By: by, At: callback.At(o.Now())})
	}, after)
}

func TestR23_AnOutageLastsUntilSomebodyEndsIt(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	o.failing = 3
	first := func(state contract.OutageState) { require.Equal(t, "mgr2", state.Ended.By) }
	o.ends(30*time.Hour, "mgr2", first)
	o.ends(30*time.Hour, "mgr1", first) // again changes nothing
	o.RegisterDelayedCallback(func() {
		require.Equal(t, []string{"tell beginning"}, o.did)
		value, err := o.QueryWorkflow(contract.QueryOutage)
		require.NoError(t, err)
		var state contract.OutageState
		require.NoError(t, value.Get(&state))
		require.Nil(t, state.Ended)
	}, 29*time.Hour)
	o.ExecuteWorkflow(workflows.Outage, contract.OutageInput{ID: "o1", By: "mgr1"})
	require.True(t, o.IsWorkflowCompleted())
	require.NoError(t, o.GetWorkflowError())
	require.Equal(t, []string{"tell beginning", "note end", "tell end"}, o.did, "the desks know before the customers are told")
	require.Equal(t, "mgr2", o.ended.Ended.By)
}

func TestRedeliveryGoesToTheDestinationsOwnQueue(t *testing.T) {
	t.Parallel()
	env := newEnvironment()
	env.RegisterWorkflow(workflows.Redelivery)
	env.RegisterActivity(activities.NewDelivery(activities.DeliveryOptions{}))
	var a *activities.Delivery
	tries := 0
	in := contract.Delivery{CallbackID: "c1", Destination: "webhook:one", Events: []int64{7}}
	env.OnActivity(a.Redeliver, mock.Anything, in).Return(func(context.Context, contract.Delivery) error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	env.ExecuteWorkflow(workflows.Redelivery, in)
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, 3, tries)
}
