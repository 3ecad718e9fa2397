package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"ringback/callback"
	"ringback/contract"
)

// TemporalEngine is the Engine that Temporal is.
type TemporalEngine struct {
	client    client.Client
	namespace string
	taskQueue string
}

// NewTemporalEngine speaks through a client to workers that poll a task queue.
// Dial the client with WatchSends: without it a command that found the cluster
// away cannot be told from one whose answer was lost, and its outcome counts as
// unknown.
func NewTemporalEngine(c client.Client, namespace, taskQueue string) *TemporalEngine {
	return &TemporalEngine{c, namespace, taskQueue}
}

// Create implements Engine: one Update-with-Start, so that the promise is made
// and answered in one round trip. Sent again it gives the first outcome, also
// when the callback is closed by then.
func (e *TemporalEngine) Create(ctx context.Context, updateID string, in contract.Input, digest string) (contract.Outcome, error) {
	state, _ := callback.Open(in.Policy, in.Request, in.Policy.Calendar)
	update := client.UpdateWorkflowOptions{
		UpdateID: updateID, WorkflowID: contract.WorkflowID(in.Request.ID), UpdateName: contract.UpdateCreate,
		Args: []any{contract.Create{Digest: digest}}, WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	outcome, err := e.update(ctx, func(ctx context.Context) (client.WorkflowUpdateHandle, error) {
		return e.client.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
			UpdateOptions: update,
			StartWorkflowOperation: e.client.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
				ID: update.WorkflowID, TaskQueue: e.taskQueue,
				WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
				WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
				TypedSearchAttributes:    temporal.NewSearchAttributes(contract.SearchAttributes(state)...),
				StaticSummary:            fmt.Sprintf("%s at %s", state.Policy, state.Tier),
			}, contract.WorkflowType, in),
		})
	})
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &started) { // and closed
		return e.update(ctx, func(ctx context.Context) (client.WorkflowUpdateHandle, error) {
			return e.client.UpdateWorkflow(ctx, update)
		})
	}
	return outcome, err
}

// Command implements Engine.
func (e *TemporalEngine) Command(
	ctx context.Context, callbackID, updateID string, name callback.CommandName, order any,
) (contract.Outcome, error) {
	return e.update(ctx, func(ctx context.Context) (client.WorkflowUpdateHandle, error) {
		return e.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			UpdateID: updateID, WorkflowID: contract.WorkflowID(callbackID), UpdateName: string(name),
			Args: []any{order}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
	})
}

func (e *TemporalEngine) update(
	ctx context.Context, send func(context.Context) (client.WorkflowUpdateHandle, error),
) (outcome contract.Outcome, err error) {
	ctx, sent := watchSends(ctx)
	defer sent.cancel()
	handle, err := send(ctx)
	if err == nil {
		err = handle.Get(ctx, &outcome)
	}
	return outcome, sent.sort(err)
}

// CustomerCalled implements Engine.
func (e *TemporalEngine) CustomerCalled(ctx context.Context, callbackID string, call contract.CustomerCalled) error {
	return e.signal(ctx, callbackID, contract.SignalCustomerCalled, call)
}

// CandidateAvailable implements Engine.
func (e *TemporalEngine) CandidateAvailable(ctx context.Context, callbackID string) error {
	return e.signal(ctx, callbackID, contract.SignalCandidateAvailable, nil)
}

func (e *TemporalEngine) signal(ctx context.Context, callbackID, name string, arg any) error {
	ctx, sent := watchSends(ctx)
	defer sent.cancel()
	return sent.sort(e.client.SignalWorkflow(ctx, contract.WorkflowID(callbackID), "", name, arg))
}

// TagMissing implements Engine.
func (e *TemporalEngine) TagMissing(ctx context.Context, callbackID string, in contract.TagMissing) error {
	return e.signal(ctx, callbackID, contract.SignalTagMissing, in)
}

// HurryDelivery implements Engine: the engine forgets how long it meant to wait
// until the next try.
func (e *TemporalEngine) HurryDelivery(ctx context.Context, callbackID string) error {
	ctx, sent := watchSends(ctx)
	defer sent.cancel()
	_, err := e.client.WorkflowService().ResetActivity(ctx, &workflowservice.ResetActivityRequest{
		Namespace: e.namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: contract.WorkflowID(callbackID)},
		Activity: &workflowservice.ResetActivityRequest_Type{Type: activityDeliver},
	})
	return sent.sort(err)
}

// activityDeliver is the name of the activity that delivers.
const activityDeliver = "Deliver"

// Redeliver implements Engine.
func (e *TemporalEngine) Redeliver(ctx context.Context, id string, in contract.Delivery) error {
	return e.start(ctx, client.StartWorkflowOptions{ID: contract.RedeliveryWorkflowID(id)}, contract.RedeliveryWorkflowType, in)
}

// BeginOutage implements Engine.
func (e *TemporalEngine) BeginOutage(ctx context.Context, in contract.OutageInput) error {
	return e.start(ctx, client.StartWorkflowOptions{ID: contract.OutageWorkflowID(in.ID)}, contract.OutageWorkflowType, in)
}

// start starts a workflow, once.
func (e *TemporalEngine) start(ctx context.Context, o client.StartWorkflowOptions, workflowType string, in any) error {
	ctx, sent := watchSends(ctx)
	defer sent.cancel()
	o.TaskQueue = e.taskQueue
	o.WorkflowIDReusePolicy = enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	o.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	_, err := e.client.ExecuteWorkflow(ctx, o, workflowType, in)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &started) {
		return nil // and closed
	}
	return sent.sort(err)
}

// EndOutage implements Engine.
func (e *TemporalEngine) EndOutage(
	ctx context.Context, updateID string, in contract.OutageInput, end contract.OutageEnd,
) (state contract.OutageState, err error) {
	ctx, sent := watchSends(ctx)
	defer sent.cancel()
	id := contract.OutageWorkflowID(in.ID)
	handle, err := e.client.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateID: updateID, WorkflowID: id, UpdateName: contract.UpdateEnd, Args: []any{end},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		},
		StartWorkflowOperation: e.client.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
			ID: id, TaskQueue: e.taskQueue,
			WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
			WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		}, contract.OutageWorkflowType, in),
	})
	if err == nil {
		err = handle.Get(ctx, &state)
	}
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &started) {
		return state, nil // it has ended, and closed
	}
	return state, sent.sort(err)
}

// News implements Engine. Asking changes nothing: every error is just one.
func (e *TemporalEngine) News(ctx context.Context, callbackID string, since int64) (contract.News, error) {
	var news contract.News
	value, err := e.client.QueryWorkflow(ctx, contract.WorkflowID(callbackID), "", contract.QueryEvents, since)
	if err != nil {
		var absent *serviceerror.NotFound
		if errors.As(err, &absent) {
			err = errors.Join(ErrNoWorkflow, err)
		}
		return news, err
	}
	return news, value.Get(&news)
}

// Healthy implements Engine.
func (e *TemporalEngine) Healthy(ctx context.Context) error {
	_, err := e.client.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}

// sends is what is known of one command's way over the wire. The SDK sends it
// again for as long as the cluster cannot be reached, under the same id; only
// each attempt on its own tells whether anything has left this process.
type sends struct {
	cancel context.CancelFunc

	mu sync.Mutex
	// watched: a stats handler reports to it; open: an attempt left this process and
	// was not turned away.
	watched, open bool
}

type sendsKey struct{}

func watchSends(ctx context.Context) (context.Context, *sends) {
	ctx, cancel := context.WithCancel(ctx)
	s := &sends{cancel: cancel}
	return context.WithValue(ctx, sendsKey{}, s), s
}

// ended is told how one attempt ended. There is no use in trying for long what
// never left: the caller learns at once, and may come again.
func (s *sends) ended(left bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched = true
	s.open = s.open || left && !turnedAway(err)
	if !s.open && status.Code(err) == codes.Unavailable {
		s.cancel()
	}
}

// turnedAway tells an answer of the server that it did not do it. What is not
// one leaves the outcome open, as does an answer that it did.
func turnedAway(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.ResourceExhausted,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.Unauthenticated:
		return true
	}
	return false
}

// sort says what an error of the SDK means for the command.
func (s *sends) sort(err error) error {
	if err == nil {
		return nil
	}
	if f, refused := contract.Fault(err); refused {
		return f
	}
	s.mu.Lock()
	never := s.watched && !s.open
	s.mu.Unlock()
	var (
		absent    *serviceerror.NotFound
		started   *serviceerror.WorkflowExecutionAlreadyStarted
		exhausted *serviceerror.ResourceExhausted
		failed    *temporal.ApplicationError
	)
	switch {
	case errors.As(err, &absent):
		return errors.Join(ErrNoWorkflow, err)
	case errors.As(err, &started):
		return err
	case errors.As(err, &exhausted) && never:
		return errors.Join(ErrEngineBusy, err)
	case errors.As(err, &failed): // the workflow turned it away, but not by a rule
		return errors.Join(refuse(callback.CodeInternal, "", "the engine could not do this; it has been logged"), err)
	case never:
		return errors.Join(ErrEngineAway, err)
	}
	return errors.Join(ErrOutcomeUnknown, err)
}

// WatchSends has a client's connections tell which commands have left this
// process: dial with it (client.ConnectionOptions.DialOptions).
func WatchSends() grpc.DialOption { return grpc.WithStatsHandler(sendWatcher{}) }

// sendWatcher implements stats.Handler.
type sendWatcher struct{}

// attempt is one call on the wire.
type attempt struct {
	*sends
	commands bool // what it calls brings something about
	left     atomic.Bool
}

type attemptKey struct{}

// TagRPC implements stats.Handler.
func (sendWatcher) TagRPC(ctx context.Context, call *stats.RPCTagInfo) context.Context {
	s, watched := ctx.Value(sendsKey{}).(*sends)
	if !watched {
		return ctx
	}
	return context.WithValue(ctx, attemptKey{}, &attempt{sends: s, commands: commanding[call.FullMethodName]})
}

const workflowService = "/temporal.api.workflowservice.v1.WorkflowService/"

// commanding are the calls that bring something about.
var commanding = map[string]bool{
	workflowService + "ExecuteMultiOperation":   true,
	workflowService + "UpdateWorkflowExecution": true,
	workflowService + "SignalWorkflowExecution": true,
	workflowService + "StartWorkflowExecution":  true,
	workflowService + "ResetActivity":           true,
}

// HandleRPC implements stats.Handler.
func (sendWatcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	a, watched := ctx.Value(attemptKey{}).(*attempt)
	if !watched {
		return
	}
	switch event := event.(type) {
	case *stats.OutHeader, *stats.OutPayload:
		a.left.Store(true)
	case *stats.End:
		a.ended(a.commands && a.left.Load(), event.Error)
	}
}

// TagConn implements stats.Handler.
func (sendWatcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (sendWatcher) HandleConn(context.Context, stats.ConnStats) {}
