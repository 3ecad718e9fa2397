// Package worker puts workflows and activities on a task queue: registration,
// tuning, and how long a stop may take.
package worker

import (
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/activities"
	"ringback/contract"
	"ringback/workflows"
)

// Options say what a worker works with.
type Options struct {
	// TaskQueue; empty: contract.DefaultTaskQueue.
	TaskQueue string
	// ReadModel and Ledger are the database; both are needed.
	ReadModel activities.ReadModel
	Ledger    activities.Ledger
	// Outages tells callbacks of outages; nil: none can be declared.
	Outages *activities.Outages
	// Alone: the engine is in this process and ends with it, and no other worker serves
	// this queue for long.
	Alone bool
	// OnFatalError hears of an error after which the worker works no more.
	OnFatalError func(error)
	// Workflows lets tests run the workflow differently; nil: as it is.
	Workflows *workflows.Callbacks
}

// stopWithin lets tasks that run at a stop finish; the engine hands the rest to
// other workers.
const stopWithin = 10 * time.Second

// cached is how many open callbacks a process keeps in memory, about 50 kB each
// and only while there are so many. With fewer than are open each step of one
// that fell out reads and replays its history: 10,000 callbacks due at one
// instant took four times as long with a cache of 10,000, which they and some
// others did not fit into.
const cached = 32_768

// waitForCached is how long a task waits for the worker that has its callback in
// memory, before any other may take it, where a worker may die alone: what it
// leaves waits that long at most.
const waitForCached = 5 * time.Second

// waitForOnly is that long where there is no other worker. A task that has waited
// in vain is written into the history, and whoever takes it then reads and
// replays all of it: of 10,000 callbacks due at one instant most waited longer
// than 5 s, and all together took half as long again.
const waitForOnly = 10 * time.Minute

// New returns a worker that is not started yet.
func New(c client.Client, o Options) worker.Worker {
	if o.TaskQueue == "" {
		o.TaskQueue = contract.DefaultTaskQueue
	}
	worker.SetStickyWorkflowCacheSize(cached)
	wait := waitForCached
	if o.Alone {
		wait = waitForOnly
	}
	w := worker.New(c, o.TaskQueue, worker.Options{
		// Pollers follow the load: with a fixed few of them, commands of 32 clients at
		// once waited two seconds for one.
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{
			InitialNumberOfPollers: 5, MaximumNumberOfPollers: 50,
		}),
		ActivityTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{
			InitialNumberOfPollers: 2, MaximumNumberOfPollers: 20,
		}),
		StickyScheduleToStartTimeout: wait,
		WorkerStopTimeout:            stopWithin,
		OnFatalError:                 o.OnFatalError,
	})
	Register(w, o)
	return w
}

// Register tells a registry (a worker's, a replayer's, a test's) what there is.
func Register(r interface {
	worker.WorkflowRegistry
	worker.ActivityRegistry
}, o Options) {
	callbacks := o.Workflows
	if callbacks == nil {
		callbacks = &workflows.Callbacks{}
	}
	r.RegisterWorkflowWithOptions(callbacks.Callback, workflow.RegisterOptions{
		Name: contract.WorkflowType,
		// A callback may outlive many releases: it moves to the newest worker, and
		// changes of its workflow are gated by GetVersion.
		VersioningBehavior: workflow.VersioningBehaviorAutoUpgrade,
	})
	upgrading := workflow.RegisterOptions{VersioningBehavior: workflow.VersioningBehaviorAutoUpgrade}
	upgrading.Name = contract.OutageWorkflowType
	r.RegisterWorkflowWithOptions(workflows.Outage, upgrading)
	upgrading.Name = contract.RedeliveryWorkflowType
	r.RegisterWorkflowWithOptions(workflows.Redelivery, upgrading)
	outages := o.Outages
	if outages == nil {
		outages = &activities.Outages{}
	}
	r.RegisterActivityWithOptions(outages, activity.RegisterOptions{})
	r.RegisterActivityWithOptions(&activities.Projection{ReadModel: o.ReadModel}, activity.RegisterOptions{})
	r.RegisterActivityWithOptions(&activities.Assignment{Ledger: o.Ledger}, activity.RegisterOptions{})
}

// Deliveries is a worker for the deliveries to one destination, on a task queue
// of its own: what happens there holds up nothing else.
func Deliveries(c client.Client, taskQueue string, d *activities.Delivery, rate DeliveryRate) worker.Worker {
	if taskQueue == "" {
		taskQueue = contract.DefaultTaskQueue
	}
	rate = rate.withDefaults()
	w := worker.New(c, contract.DeliveryQueue(taskQueue, d.Connector.Name()), worker.Options{
		MaxConcurrentActivityExecutionSize: rate.AtOnce,
		TaskQueueActivitiesPerSecond:       rate.PerSecond,
		// Taking a task up costs the engine a write, and a poller waits for it: two of them
		// brought eight a second while the machine was busy, and what came in was more.
		ActivityTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{
			InitialNumberOfPollers: 2, MaximumNumberOfPollers: rate.AtOnce,
		}),
		DisableWorkflowWorker: true,
		WorkerStopTimeout:     stopWithin,
	})
	w.RegisterActivityWithOptions(d, activity.RegisterOptions{})
	return w
}

// DeliveryRate limits the deliveries to one destination, whatever its vendor's
// own limits are: connectors keep to those.
type DeliveryRate struct {
	// PerSecond, by all workers together; 0: 50.
	PerSecond float64
	// AtOnce, by one worker; 0: 16.
	AtOnce int
}

func (r DeliveryRate) withDefaults() DeliveryRate {
	if r.PerSecond <= 0 {
		r.PerSecond = 50
	}
	if r.AtOnce <= 0 {
		r.AtOnce = 16
	}
	return r
}
