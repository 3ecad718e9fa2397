package embedded

import (
	"maps"
	"time"

	"go.temporal.io/server/common/dynamicconfig"

	"ringback/engine"
)

// dynamicConfig is engine.Tuning and what is right for a server of one process besides, then the caller's overrides.
func dynamicConfig(overrides map[string]any) dynamicconfig.StaticClient {
	values := engine.Tuning()
	maps.Copy(values, map[string]any{
		// One process needs no partitions, which serve to spread a task queue over hosts: each costs polls and forwards.
		"matching.numTaskqueueReadPartitions":  1,
		"matching.numTaskqueueWritePartitions": 1,

		// The queues of a shard take 512 workers each by default; behind SQLite's one writer they would only wait.
		"history.transferProcessorSchedulerWorkerCount":    workers,
		"history.timerProcessorSchedulerWorkerCount":       workers,
		"history.visibilityProcessorSchedulerWorkerCount":  workers,
		"history.archivalProcessorSchedulerWorkerCount":    1,
		"history.memoryTimerProcessorSchedulerWorkerCount": workers,

		// A timer that is set for less than this ahead can be late by as much: a margin for the clocks of several hosts,
		// of which there is one.
		"history.timerProcessorMaxTimeShift": 10 * time.Millisecond,

		// A timer task that a workflow's progress has made needless, such as the time-out of every workflow task, goes
		// with it instead of being read and thrown away when it is due.
		"history.enableBestEffortDeleteTasksOnWorkflowUpdate": true,

		// Health signals would compute percentiles over every database call for a load shedder that is off.
		"system.persistenceHealthSignalMetricsEnabled":     false,
		"system.persistenceHealthSignalAggregationEnabled": false,
		"system.historyHealthSignalMetricsEnabled":         false,
	})
	maps.Copy(values, overrides)
	return asDynamic(values)
}

// workers is enough to keep two cores busy while some wait for the database.
const workers = 64

func asDynamic(values map[string]any) dynamicconfig.StaticClient {
	out := make(dynamicconfig.StaticClient, len(values))
	for key, value := range values {
		out[dynamicconfig.MakeKey(key)] = value
	}
	return out
}
