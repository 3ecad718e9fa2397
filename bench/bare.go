package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	_ "modernc.org/sqlite" // the driver that the desk's embedded database uses
)

// The bare engine: a workflow of the desk's shape without the desk. It takes the
// same five updates, holds one timer of an hour, and writes one row after each
// update, as a textbook does: inside the handler, before it answers.

const (
	textbookQueue = "bench-textbook"
	tunedQueue    = "bench-tuned"
)

// row is what the bare workflow projects.
type row struct {
	ID      string
	Version int
	Status  string
	DueAt   time.Time
}

// notebook is the read model of the bare workflow: one table in an SQLite file
// that is set up as the desk's is.
type notebook struct{ db *sql.DB }

func openNotebook(ctx context.Context, dir string) (*notebook, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "bare.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS bare (id TEXT PRIMARY KEY, version INTEGER, status TEXT, due_at TEXT)`)
	return &notebook{db}, err
}

// Write is the projection, idempotent and versioned.
func (n *notebook) Write(ctx context.Context, r row) error {
	_, err := n.db.ExecContext(ctx, `INSERT INTO bare (id, version, status, due_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET version = excluded.version, status = excluded.status WHERE excluded.version > bare.version`,
		r.ID, r.Version, r.Status, r.DueAt)
	return err
}

// textbook projects by an ordinary activity.
func textbook(ctx workflow.Context, id string) error {
	return bare(ctx, id, func(ctx workflow.Context, r row) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
		return workflow.ExecuteActivity(ctx, "Write", r).Get(ctx, nil)
	})
}

// tuned projects by a local activity: the fewest events the engine offers.
func tuned(ctx workflow.Context, id string) error {
	return bare(ctx, id, func(ctx workflow.Context, r row) error {
		ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 10 * time.Second})
		return workflow.ExecuteLocalActivity(ctx, "Write", r).Get(ctx, nil)
	})
}

var bareUpdates = []string{"create", "claim", "start", "attempt", "complete"}

func bare(ctx workflow.Context, id string, project func(workflow.Context, row) error) error {
	state := row{ID: id, DueAt: workflow.Now(ctx).Add(time.Hour)}
	for _, name := range bareUpdates {
		err := workflow.SetUpdateHandler(ctx, name, func(ctx workflow.Context) (int, error) {
			state.Version++
			state.Status = name
			return state.Version, project(ctx, state)
		})
		if err != nil {
			return err
		}
	}
	timerCtx, cancel := workflow.WithCancel(ctx)
	timer := workflow.NewTimer(timerCtx, time.Hour)
	err := workflow.Await(ctx, func() bool {
		return timer.IsReady() || state.Status == "complete" && workflow.AllHandlersFinished(ctx)
	})
	cancel()
	return err
}

// startBareWorkers runs the two: with the SDK's defaults, and tuned.
func startBareWorkers(c client.Client, n *notebook) (stop func(), err error) {
	plain := worker.New(c, textbookQueue, worker.Options{})
	best := worker.New(c, tunedQueue, worker.Options{
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{InitialNumberOfPollers: 5, MaximumNumberOfPollers: 50}),
	})
	for _, w := range []worker.Worker{plain, best} {
		w.RegisterWorkflowWithOptions(textbook, workflow.RegisterOptions{Name: textbookQueue})
		w.RegisterWorkflowWithOptions(tuned, workflow.RegisterOptions{Name: tunedQueue})
		w.RegisterActivity(n)
		if err := w.Start(); err != nil {
			return nil, fmt.Errorf("starting a bare worker: %w", err)
		}
	}
	return func() { plain.Stop(); best.Stop() }, nil
}

// bareSubject plays lifecycles against the bare engine.
type bareSubject struct {
	client client.Client
	queue  string
}

func (s *bareSubject) lifecycle(ctx context.Context, id string, timed func(step string, do func() error) error) error {
	workflowID := s.queue + "/" + id
	create := s.client.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID: workflowID, TaskQueue: s.queue, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, s.queue, id)
	for _, name := range bareUpdates {
		err := timed(name, func() error {
			options := client.UpdateWorkflowOptions{
				WorkflowID: workflowID, UpdateName: name, WaitForStage: client.WorkflowUpdateStageCompleted,
			}
			var handle client.WorkflowUpdateHandle
			var err error
			if name == "create" {
				handle, err = s.client.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
					StartWorkflowOperation: create, UpdateOptions: options,
				})
			} else {
				handle, err = s.client.UpdateWorkflow(ctx, options)
			}
			if err != nil {
				return err
			}
			return handle.Get(ctx, nil)
		})
		if err != nil {
			return fmt.Errorf("%s %s: %w", s.queue, name, err)
		}
	}
	return nil
}
