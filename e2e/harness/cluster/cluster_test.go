package cluster_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/e2e/harness/cluster"
	"ringback/engine"
)

// promise counts updates until its timer fires.
func promise(ctx workflow.Context, tat time.Duration) (int, error) {
	count := 0
	if err := workflow.SetUpdateHandler(ctx, "add", func(_ workflow.Context, n int) (int, error) {
		count += n
		return count, nil
	}); err != nil {
		return 0, err
	}
	return count, workflow.Sleep(ctx, tat)
}

func TestGoesOnAfterBeingKilled(t *testing.T) {
	t.Parallel()
	began := time.Now()
	server := cluster.Start(t)
	t.Logf("healthy after %v", time.Since(began))

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c, err := engine.Dial(ctx, engine.Config{Address: server.Address(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer c.Close()
	began = time.Now()
	require.NoError(t, engine.Prepare(ctx, c, "", 0))
	t.Logf("prepared in %v", time.Since(began))
	began = time.Now()
	require.NoError(t, engine.Prepare(ctx, c, "", 0), "again")
	require.Less(t, time.Since(began), 20*time.Second)

	w := worker.New(c, engine.DefaultTaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(promise, workflow.RegisterOptions{Name: "promise"})
	require.NoError(t, w.Start())
	defer w.Stop()

	add := func(n int) (sum int) {
		handle, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: "callback/1", UpdateName: "add", Args: []any{n}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		require.NoError(t, err)
		require.NoError(t, handle.Get(ctx, &sum))
		return sum
	}
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: "callback/1", TaskQueue: engine.DefaultTaskQueue,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword(engine.AttributeStatus).ValueSet("queued"),
			temporal.NewSearchAttributeKeyTime(engine.AttributeDueAt).ValueSet(time.Now()),
		),
	}, "promise", 45*time.Second) // two restarts are over by then
	require.NoError(t, err)
	require.Equal(t, 3, add(3))

	require.NoError(t, server.Kill())
	require.Error(t, engine.Healthy(ctx, c))
	began = time.Now()
	require.NoError(t, server.Restart(ctx))
	t.Logf("healthy again after %v", time.Since(began))
	require.Equal(t, 5, add(2))

	began = time.Now()
	require.NoError(t, server.Restart(ctx))
	t.Logf("restarted in %v", time.Since(began))
	require.Equal(t, 6, add(1))
	require.NoError(t, run.Get(ctx, nil), "its timer fires")
}
