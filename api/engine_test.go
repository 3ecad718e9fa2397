package api_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"

	"ringback/api"
	"ringback/callback"
	"ringback/contract"
)

// cluster is a Temporal frontend that answers as a test says.
type cluster struct {
	workflowservice.UnimplementedWorkflowServiceServer
	server *grpc.Server
	addr   string

	mu     sync.Mutex
	update func(context.Context, *workflowservice.UpdateWorkflowExecutionRequest) (*workflowservice.UpdateWorkflowExecutionResponse, error)
	multi  func(context.Context, *workflowservice.ExecuteMultiOperationRequest) (*workflowservice.ExecuteMultiOperationResponse, error)
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cluster{server: grpc.NewServer(), addr: l.Addr().String()}
	workflowservice.RegisterWorkflowServiceServer(c.server, c)
	go func() { _ = c.server.Serve(l) }()
	t.Cleanup(c.server.Stop)
	return c
}

func (c *cluster) engine(t *testing.T, watched bool) *api.TemporalEngine {
	t.Helper()
	o := client.Options{HostPort: c.addr, Namespace: "ringback", Logger: silent{}}
	if watched {
		o.ConnectionOptions.DialOptions = []grpc.DialOption{api.WatchSends()}
	}
	temporalClient, err := client.NewLazyClient(o)
	require.NoError(t, err)
	t.Cleanup(temporalClient.Close)
	return api.NewTemporalEngine(temporalClient, "ringback", "ringback")
}

type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}

func (c *cluster) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{Capabilities: &workflowservice.GetSystemInfoResponse_Capabilities{}}, nil
}

func (c *cluster) UpdateWorkflowExecution(
	ctx context.Context, r *workflowservice.UpdateWorkflowExecutionRequest,
) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
	c.mu.Lock()
	update := c.update
	c.mu.Unlock()
	o, err := update(ctx, r)
	return o, serviceerror.ToStatus(err).Err()
}

func (c *cluster) ExecuteMultiOperation(
	ctx context.Context, r *workflowservice.ExecuteMultiOperationRequest,
) (*workflowservice.ExecuteMultiOperationResponse, error) {
	o, err := c.multi(ctx, r)
	return o, serviceerror.ToStatus(err).Err()
}

func outcomeOf(t *testing.T, o contract.Outcome) *workflowservice.UpdateWorkflowExecutionResponse {
	t.Helper()
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(o)
	require.NoError(t, err)
	return &workflowservice.UpdateWorkflowExecutionResponse{
		UpdateRef: &updatepb.UpdateRef{WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "callback/x", RunId: "r"}, UpdateId: "u"},
		Stage:     enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED,
		Outcome:   &updatepb.Outcome{Value: &updatepb.Outcome_Success{Success: payloads}},
	}
}

func rejected(f *callback.Fault) *workflowservice.UpdateWorkflowExecutionResponse {
	failure := temporal.GetDefaultFailureConverter().ErrorToFailure(contract.Error(f))
	return &workflowservice.UpdateWorkflowExecutionResponse{
		UpdateRef: &updatepb.UpdateRef{WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "callback/x", RunId: "r"}, UpdateId: "u"},
		Stage:     enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED,
		Outcome:   &updatepb.Outcome{Value: &updatepb.Outcome_Failure{Failure: failure}},
	}
}

func (c *cluster) answers(f func(context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.update = func(ctx context.Context, _ *workflowservice.UpdateWorkflowExecutionRequest) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
		return f(ctx)
	}
}

func claim(ctx context.Context, e *api.TemporalEngine) (contract.Outcome, error) {
	return e.Command(ctx, "x", "u", callback.CommandClaim, contract.Order[callback.Claim]{By: callback.Person{ID: "sup1"}})
}

func TestEngineErrors(t *testing.T) {
	t.Parallel()
	patience := func(t *testing.T) context.Context {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("accepted", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.answers(func(context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
			return outcomeOf(t, contract.Outcome{Version: 7, Digest: "d"}), nil
		})
		o, err := claim(patience(t), c.engine(t, true))
		require.NoError(t, err)
		require.EqualValues(t, 7, o.Version)
	})
	t.Run("refused by the rules", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.answers(func(context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
			return rejected(&callback.Fault{Code: callback.CodeHeld, Rule: "R10", Detail: "no"}), nil
		})
		_, err := claim(patience(t), c.engine(t, true))
		require.ErrorIs(t, err, callback.Refused(callback.CodeHeld))
	})
	t.Run("no workflow", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.answers(func(context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
			return nil, serviceerror.NewNotFound("workflow execution already completed")
		})
		_, err := claim(patience(t), c.engine(t, true))
		require.ErrorIs(t, err, api.ErrNoWorkflow)
	})
	t.Run("turned away", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.answers(func(context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
			return nil, serviceerror.NewInvalidArgument("no such namespace")
		})
		_, err := claim(patience(t), c.engine(t, true))
		require.ErrorIs(t, err, api.ErrEngineAway)
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.server.Stop()
		began := time.Now()
		_, err := claim(patience(t), c.engine(t, true))
		require.ErrorIs(t, err, api.ErrEngineAway)
		require.Less(t, time.Since(began), 10*time.Second, "at once")
		_, err = claim(patience(t), c.engine(t, false))
		require.ErrorIs(t, err, api.ErrOutcomeUnknown, "who does not watch does not know")
	})
	t.Run("goes away after it was told", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.answers(func(context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
			go c.server.Stop()
			select {}
		})
		_, err := claim(patience(t), c.engine(t, true))
		require.ErrorIs(t, err, api.ErrOutcomeUnknown)
		require.NotErrorIs(t, err, api.ErrEngineAway)
	})
	t.Run("goes away between two commands", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.answers(func(context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
			return outcomeOf(t, contract.Outcome{Version: 7}), nil
		})
		e := c.engine(t, true)
		_, err := claim(patience(t), e)
		require.NoError(t, err)
		c.server.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		// The first may still find a connection that looks alive: then it is not known.
		if _, err = claim(ctx, e); !errors.Is(err, api.ErrEngineAway) {
			require.ErrorIs(t, err, api.ErrOutcomeUnknown)
			_, err = claim(patience(t), e)
		}
		require.ErrorIs(t, err, api.ErrEngineAway)
	})
	t.Run("never answers", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c.answers(func(asked context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
			cancel() // the caller's patience ends once it was told
			<-asked.Done()
			return nil, asked.Err()
		})
		_, err := claim(ctx, c.engine(t, true))
		require.ErrorIs(t, err, api.ErrOutcomeUnknown)
	})
	t.Run("too much at once", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.answers(func(context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
			return nil, serviceerror.NewResourceExhausted(enums.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT, "limit on updates")
		})
		e := c.engine(t, true)
		for wait := 300 * time.Millisecond; ; wait *= 2 {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			_, err := claim(ctx, e)
			cancel()
			if errors.Is(err, api.ErrOutcomeUnknown) && wait < time.Minute {
				continue // the time ended while a try was on its way, as it may on a busy machine
			}
			require.True(t, errors.Is(err, api.ErrEngineBusy) || errors.Is(err, api.ErrEngineAway), "%v", err)
			break
		}
	})
}

func TestEngineCreates(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var asked *workflowservice.StartWorkflowExecutionRequest
	c.multi = func(_ context.Context, r *workflowservice.ExecuteMultiOperationRequest) (*workflowservice.ExecuteMultiOperationResponse, error) {
		asked = r.Operations[0].GetStartWorkflow()
		return &workflowservice.ExecuteMultiOperationResponse{Responses: []*workflowservice.ExecuteMultiOperationResponse_Response{
			{Response: &workflowservice.ExecuteMultiOperationResponse_Response_StartWorkflow{StartWorkflow: &workflowservice.StartWorkflowExecutionResponse{RunId: "r", Started: true}}},
			{Response: &workflowservice.ExecuteMultiOperationResponse_Response_UpdateWorkflow{UpdateWorkflow: outcomeOf(t, contract.Outcome{Version: 3})}},
		}}, nil
	}
	e := c.engine(t, true)
	in := contract.Input{
		Policy:  policies()["supervisor-callback"].Pin("flights", ""),
		Request: callback.Request{ID: "x", By: "agent1", At: callback.At(noon)}, StarterProjects: true,
	}
	o, err := e.Create(t.Context(), "u", in, "d")
	require.NoError(t, err)
	require.EqualValues(t, 3, o.Version)
	require.Equal(t, "callback/x", asked.WorkflowId)
	require.Equal(t, "Callback", asked.WorkflowType.Name)
	require.Equal(t, enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, asked.WorkflowIdReusePolicy)
	require.Equal(t, enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, asked.WorkflowIdConflictPolicy)
	attributes := map[string]string{}
	for name, p := range asked.SearchAttributes.IndexedFields {
		attributes[name] = string(p.Data)
	}
	require.Equal(t, map[string]string{
		"RingbackStatus": `"queued"`, "RingbackTier": `"supervisor"`, "RingbackQueue": `"Supervisors - Air"`,
		"RingbackPolicy": `"supervisor-callback"`, "RingbackDueAt": `"2026-11-23T13:00:00Z"`,
	}, attributes)
	require.Contains(t, string(asked.UserMetadata.Summary.Data), "supervisor-callback at supervisor")

	// It was made before, and is closed by now: the first outcome again.
	c.multi = func(context.Context, *workflowservice.ExecuteMultiOperationRequest) (*workflowservice.ExecuteMultiOperationResponse, error) {
		return nil, serviceerror.NewMultiOperationExecution("both or none", []error{
			serviceerror.NewWorkflowExecutionAlreadyStarted("closed", "u", "r"), serviceerror.NewMultiOperationAborted("aborted"),
		})
	}
	c.answers(func(context.Context) (*workflowservice.UpdateWorkflowExecutionResponse, error) {
		return outcomeOf(t, contract.Outcome{Version: 4}), nil
	})
	o, err = e.Create(t.Context(), "u", in, "d")
	require.NoError(t, err)
	require.EqualValues(t, 4, o.Version)
}
