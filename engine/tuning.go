package engine

// Tuning returns the dynamic configuration of a Temporal server that serves the desk well, by Temporal's keys: what the
// embedded server runs with, and what a production cluster's dynamic configuration file should hold. Values are ints
// and bools; a new map at each call.
//
// By default a server looks at most 20 times a second at each of a shard's queues, which costs every step up to 50 ms,
// and caps rates for the good of neighbours that the desk's own cluster does not have. The limits on Updates (10 in
// flight, 2,000 in all for one run) are left alone: workflows must live within them on any cluster.
func Tuning() map[string]any {
	const (
		polls     = 1000    // per second, shard and queue: a look at most 1 ms after there is something to see
		unlimited = 100_000 // per second: more than a server of any size here reaches
	)
	return map[string]any{
		"history.transferProcessorMaxPollRPS":   polls,
		"history.timerProcessorMaxPollRPS":      polls,
		"history.visibilityProcessorMaxPollRPS": polls,
		"history.outboundProcessorMaxPollRPS":   polls,

		"frontend.rps":                     unlimited,
		"frontend.namespaceRPS":            unlimited,
		"frontend.namespaceRPS.visibility": 1000,   // 10 by default: the sweeper and the watchdog list workflows
		"frontend.namespaceCount":          20_000, // calls of one kind that wait at the same time: commands, polls
		"history.rps":                      unlimited,
		"matching.rps":                     unlimited,

		"frontend.persistenceMaxQPS":              unlimited,
		"history.persistenceMaxQPS":               unlimited,
		"matching.persistenceMaxQPS":              unlimited,
		"worker.persistenceMaxQPS":                unlimited,
		"system.visibilityPersistenceMaxReadQPS":  unlimited,
		"system.visibilityPersistenceMaxWriteQPS": unlimited,

		// On by default in the server this was written for; the desk depends on them.
		"frontend.enableUpdateWorkflowExecution":              true,
		"frontend.enableUpdateWorkflowExecutionAsyncAccepted": true,
		"system.enableEagerWorkflowStart":                     true,
		"system.enableActivityEagerExecution":                 true,

		// The server would ask its makers for newer versions of itself.
		"frontend.enableServerVersionCheck": false,
	}
}
