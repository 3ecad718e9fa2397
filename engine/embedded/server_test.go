package embedded_test

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/engine"
	"ringback/engine/embedded"
)

// promise is a small callback: it counts updates until its timer fires or an update finishes it.
func promise(ctx workflow.Context, tat time.Duration) (int, error) {
	count, done := 0, false
	err := workflow.SetUpdateHandler(ctx, "add", func(_ workflow.Context, n int) (int, error) {
		count += n
		return count, nil
	})
	if err != nil {
		return 0, err
	}
	if err := workflow.SetUpdateHandler(ctx, "finish", func(workflow.Context) error {
		done = true
		return nil
	}); err != nil {
		return 0, err
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx,
		temporal.NewSearchAttributeKeyKeyword(engine.AttributeStatus).ValueSet("queued"),
		temporal.NewSearchAttributeKeyTime(engine.AttributeDueAt).ValueSet(workflow.Now(ctx).Add(tat)),
	); err != nil {
		return 0, err
	}
	if _, err := workflow.AwaitWithTimeout(ctx, tat, func() bool { return done }); err != nil {
		return 0, err
	}
	return count, nil
}

func startServer(t testing.TB, cfg embedded.Config) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	server, err := embedded.Start(ctx, cfg)
	require.NoError(t, err)
	t.Logf("ready after %v", time.Since(began))
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

func dial(t testing.TB, server *embedded.Server) client.Client {
	t.Helper()
	c, err := engine.Dial(t.Context(), engine.Config{Address: server.Address(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func startWorker(t testing.TB, c client.Client) worker.Worker {
	t.Helper()
	w := worker.New(c, engine.DefaultTaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(promise, workflow.RegisterOptions{Name: "promise"})
	require.NoError(t, w.Start())
	return w
}

func add(t testing.TB, c client.Client, id string, n int) (sum int) {
	t.Helper()
	handle, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: id, UpdateName: "add", Args: []any{n}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	require.NoError(t, err)
	require.NoError(t, handle.Get(t.Context(), &sum))
	return sum
}

func TestGoesOnWithItsDataAfterRestart(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{DataDir: filepath.Join(t.TempDir(), "data")}

	server := startServer(t, cfg)
	c := dial(t, server)
	w := startWorker(t, c)
	due := time.Now().Add(20 * time.Second) // the restart is over by then
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "callback/1", TaskQueue: engine.DefaultTaskQueue,
	}, "promise", time.Until(due))
	require.NoError(t, err)
	require.Equal(t, 3, add(t, c, "callback/1", 3))
	w.Stop()
	c.Close()
	stopping := time.Now()
	require.NoError(t, server.Stop())
	t.Logf("stopped in %v", time.Since(stopping))
	require.NoError(t, server.Stop(), "a second stop does nothing")

	// At rest the database is its two files alone, wherever they are.
	for _, name := range []string{"temporal.db", "temporal-visibility.db"} {
		require.FileExists(t, filepath.Join(cfg.DataDir, name))
		if info, err := os.Stat(filepath.Join(cfg.DataDir, name+"-wal")); err == nil {
			require.Zero(t, info.Size())
		}
	}
	moved := filepath.Join(t.TempDir(), "moved")
	require.NoError(t, os.Rename(cfg.DataDir, moved))

	server = startServer(t, embedded.Config{DataDir: moved})
	c = dial(t, server)
	w = startWorker(t, c)
	defer w.Stop()
	require.Equal(t, 5, add(t, c, "callback/1", 2))
	var sum int
	require.NoError(t, c.GetWorkflow(t.Context(), "callback/1", run.GetRunID()).Get(t.Context(), &sum))
	require.Equal(t, 5, sum)
	require.WithinDuration(t, due, time.Now(), 15*time.Second)
	found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
		Query: "RingbackStatus = 'queued'",
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, found.GetCount(), "what was searchable before the move is so after it")
}

func TestReplacedDataIsNotTheOldData(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{DataDir: filepath.Join(t.TempDir(), "data")}
	server := startServer(t, cfg)
	_, err := dial(t, server).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "callback/1", TaskQueue: engine.DefaultTaskQueue,
	}, "promise", time.Hour)
	require.NoError(t, err)
	require.NoError(t, server.Stop())
	require.NoError(t, os.RemoveAll(cfg.DataDir))

	_, err = dial(t, startServer(t, cfg)).DescribeWorkflowExecution(t.Context(), "callback/1", "")
	var absent *serviceerror.NotFound
	require.ErrorAs(t, err, &absent)
}

func TestRefusesAnotherSchema(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{DataDir: t.TempDir()}
	require.NoError(t, startServer(t, cfg).Stop())
	db, err := sql.Open("sqlite", filepath.Join(cfg.DataDir, "temporal.db"))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "UPDATE ringback_schema SET main = '99'")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = embedded.Start(t.Context(), cfg)
	require.ErrorContains(t, err, "has the tables of Temporal schema 99/")
}

func TestNamespaceIsReady(t *testing.T) { //nolint:tparallel // its subtests take turns
	t.Parallel()
	server := startServer(t, embedded.Config{
		DataDir: t.TempDir(), Namespace: "elsewhere", Retention: 48 * time.Hour, UIPort: embedded.FreePort,
	})
	c := dial(t, server)

	describe := func() *workflowservice.DescribeNamespaceResponse {
		found, err := c.WorkflowService().DescribeNamespace(t.Context(),
			&workflowservice.DescribeNamespaceRequest{Namespace: "elsewhere"})
		require.NoError(t, err)
		return found
	}
	before := describe()
	require.Equal(t, 48*time.Hour, before.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
	listed, err := c.OperatorService().ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: "elsewhere"})
	require.NoError(t, err)
	for name, kind := range engine.SearchAttributes() {
		require.Equal(t, kind, listed.GetCustomAttributes()[name], name)
	}

	t.Run("preparing it again changes nothing", func(t *testing.T) {
		began := time.Now()
		require.NoError(t, engine.Prepare(t.Context(), c, "elsewhere", time.Hour))
		require.Less(t, time.Since(began), 10*time.Second)
		require.Equal(t, before.GetConfig().String(), describe().GetConfig().String())
	})
	t.Run("a longer retention is taken", func(t *testing.T) {
		require.NoError(t, engine.Prepare(t.Context(), c, "elsewhere", 72*time.Hour))
		require.Equal(t, 72*time.Hour, describe().GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
	})
	t.Run("a new namespace is made through the API", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		require.NoError(t, engine.Prepare(ctx, c, "new", 0))
		counted, err := c.WorkflowService().CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: "new", Query: "RingbackStatus = 'queued'",
		})
		require.NoError(t, err)
		require.Zero(t, counted.GetCount())
	})
	t.Run("an attribute of another type is refused", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		_, err := c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace: "odd", WorkflowExecutionRetentionPeriod: before.GetConfig().GetWorkflowExecutionRetentionTtl(),
		})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, err := c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
				Namespace:        "odd",
				SearchAttributes: map[string]enums.IndexedValueType{engine.AttributeDueAt: enums.INDEXED_VALUE_TYPE_KEYWORD},
			})
			return err == nil
		}, time.Minute, 100*time.Millisecond)
		require.ErrorContains(t, engine.Prepare(ctx, c, "odd", 0), "RingbackDueAt exists as Keyword, the desk needs Datetime")
	})
	t.Run("it is healthy", func(t *testing.T) {
		require.NoError(t, engine.Healthy(t.Context(), c))
	})
	t.Run("the Web UI answers", func(t *testing.T) {
		for _, path := range []string{"/", "/api/v1/namespaces/elsewhere"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.UIAddress()+path, nil)
			require.NoError(t, err)
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusOK, response.StatusCode, path)
		}
	})
}

func TestSearchAttributesAreSearchable(t *testing.T) {
	t.Parallel()
	c := dial(t, startServer(t, embedded.Config{DataDir: t.TempDir()}))
	w := startWorker(t, c)
	defer w.Stop()
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "callback/1", TaskQueue: engine.DefaultTaskQueue,
	}, "promise", time.Hour)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		counted, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: "RingbackStatus = 'queued' AND RingbackDueAt > '2020-01-01T00:00:00Z'",
		})
		return err == nil && counted.GetCount() == 1
	}, time.Minute, 20*time.Millisecond)
}

func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := t.TempDir()
	server := startServer(t, embedded.Config{DataDir: dir})

	_, err := embedded.Start(ctx, embedded.Config{DataDir: dir})
	require.ErrorContains(t, err, "another process is running on this data")

	_, err = embedded.Start(ctx, embedded.Config{DataDir: t.TempDir(), Port: portOf(t, server.Address())})
	require.ErrorContains(t, err, "address already in use")

	_, err = embedded.Start(ctx, embedded.Config{})
	require.ErrorContains(t, err, "no data directory")
}
