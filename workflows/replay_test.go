package workflows_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/callback"
	"ringback/contract"
	"ringback/workflows"
)

// Golden histories are what a real engine recorded of every path that a callback can take, one folder for each release
// (go run ./e2e/golden). Callbacks outlive releases, and auditors replay old ones: every release must replay them all.
// When one of these tests fails the code is wrong, not the history: gate the change with workflow.GetVersion.
const golden = "testdata/histories"

// releases that have golden histories. One is added with each release, none ever goes.
var releases = []string{"v1", "v2", "v3"}

const (
	historySuffix = ".json.gz"
	outcomeSuffix = ".outcome.json"
)

func TestR24_NoGoldenHistoryIsLostOrAltered(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir(golden)
	require.NoError(t, err)
	names := make([]string, len(folders))
	for i, f := range folders {
		names[i] = f.Name()
	}
	require.ElementsMatch(t, releases, names)

	for _, release := range releases {
		dir := filepath.Join(golden, release)
		histories := historiesOf(t, release)
		count, err := strconv.Atoi(strings.TrimSpace(string(read(t, dir, "COUNT"))))
		require.NoError(t, err)
		require.Len(t, histories, count, "release %s", release)

		sums := map[string]string{}
		for line := range strings.Lines(string(read(t, dir, "SUMS"))) {
			sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
			require.True(t, ok, "release %s: SUMS: %q", release, line)
			sums[name] = sum
		}
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, files, len(sums)+len([]string{"COUNT", "SUMS"}), "release %s: every file is listed, every listed one is there", release)
		for name, sum := range sums {
			is := sha256.Sum256(read(t, dir, name))
			require.Equal(t, sum, hex.EncodeToString(is[:]), "release %s: %s was altered; a golden history is never regenerated", release, name)
		}
		for _, name := range histories {
			require.Contains(t, sums, name+outcomeSuffix, "release %s", release)
		}
	}
}

func TestR24_GoldenHistoriesReplayToTheirOutcome(t *testing.T) {
	t.Parallel()
	for _, release := range releases {
		for _, name := range historiesOf(t, release) {
			t.Run(release+"/"+name, func(t *testing.T) {
				t.Parallel()
				history := readHistory(t, release, name)
				run, deeds := replay(t, history)

				var outcome struct {
					State  json.RawMessage   `json:"state"`
					Events []json.RawMessage `json:"events"`
				}
				require.NoError(t, json.Unmarshal(read(t, golden, release, name+outcomeSuffix), &outcome))
				requireSame[callback.Callback](t, outcome.State, run.State())
				require.Len(t, run.Journal(), len(outcome.Events))
				for i, e := range run.Journal() {
					requireSame[callback.Event](t, outcome.Events[i], e)
				}
				requireDone(t, deedsOf(history), deeds)
			})
		}
	}
}

// A golden history proves nothing of what does not occur in it.
func TestR24_GoldenHistoriesCoverWhateverCanHappen(t *testing.T) {
	t.Parallel()
	commands, signals, events := map[callback.CommandName]bool{}, map[string]bool{}, map[callback.EventType]bool{}
	recorded := map[enums.EventType]bool{}
	for _, release := range releases {
		for _, name := range historiesOf(t, release) {
			for _, e := range readHistory(t, release, name).GetEvents() {
				recorded[e.GetEventType()] = true
				if a := e.GetWorkflowExecutionUpdateAcceptedEventAttributes(); a != nil {
					commands[callback.CommandName(a.GetAcceptedRequest().GetInput().GetName())] = true
				}
				if a := e.GetWorkflowExecutionSignaledEventAttributes(); a != nil {
					signals[a.GetSignalName()] = true
				}
			}
			var outcome struct{ Events []callback.Event }
			require.NoError(t, json.Unmarshal(read(t, golden, release, name+outcomeSuffix), &outcome))
			for _, e := range outcome.Events {
				events[e.Fact.Type()] = true
			}
		}
	}
	require.Subset(t, slices.Collect(maps.Keys(commands)), append(callback.CommandNames, contract.UpdateCreate))
	require.Subset(t, slices.Collect(maps.Keys(signals)), []string{
		contract.SignalCustomerCalled, contract.SignalCandidateAvailable, contract.SignalOutageBegan, contract.SignalOutageEnded,
		contract.SignalDeliveryConfirmed, contract.SignalTagMissing,
	})
	require.Subset(t, slices.Collect(maps.Keys(events)), callback.EventTypes)
	require.Subset(t, slices.Collect(maps.Keys(recorded)), []enums.EventType{
		enums.EVENT_TYPE_TIMER_STARTED, enums.EVENT_TYPE_TIMER_FIRED, enums.EVENT_TYPE_TIMER_CANCELED,
		enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, enums.EVENT_TYPE_ACTIVITY_TASK_FAILED,
		enums.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, enums.EVENT_TYPE_ACTIVITY_TASK_CANCELED, enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, enums.EVENT_TYPE_MARKER_RECORDED,
		enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
		enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
	})
}

func historiesOf(t *testing.T, release string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(golden, release, "*"+historySuffix))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), historySuffix)
	}
	return files
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return content
}

func readHistory(t *testing.T, release, name string) *historypb.History {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(read(t, golden, release, name+historySuffix)))
	require.NoError(t, err)
	content, err := io.ReadAll(r)
	require.NoError(t, err)
	history, err := client.HistoryFromJSON(bytes.NewReader(content), client.HistoryJSONOptions{})
	require.NoError(t, err)
	return history
}

// replay runs a history against the code as a worker would, and watches what it does.
func replay(t *testing.T, history *historypb.History) (*workflows.Run, []deed) {
	t.Helper()
	var run *workflows.Run
	code := &workflows.Callbacks{Observe: func(r *workflows.Run) { run = r }}
	w := &watch{}
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		Interceptors: []interceptor.WorkerInterceptor{w}, DisableDeadlockDetection: true, // the machine may be busy
	})
	require.NoError(t, err)
	replayer.RegisterWorkflowWithOptions(code.Callback, workflow.RegisterOptions{Name: contract.WorkflowType})
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	require.NoError(t, replayer.ReplayWorkflowHistory(quiet, history))
	require.NotNil(t, run)
	return run, w.did
}

// requireSame holds what a replay gives against what was recorded: every member that was recorded has its value still, and
// one that the type has gained since is empty.
func requireSame[T any](t *testing.T, recorded json.RawMessage, replayed any) {
	t.Helper()
	now, err := json.Marshal(replayed)
	require.NoError(t, err)
	var known T
	require.NoError(t, json.Unmarshal(recorded, &known))
	then, err := json.Marshal(known)
	require.NoError(t, err)
	require.JSONEq(t, string(then), string(now))
	require.True(t, holds(decode(t, recorded), decode(t, now)), "recorded %s, replayed %s", recorded, now)
}

func decode(t *testing.T, raw json.RawMessage) (value any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &value))
	return value
}

// holds reports whether every member that was recorded is there with the same value. There may be others.
func holds(recorded, now any) bool {
	switch recorded := recorded.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		for name, value := range recorded {
			ok = ok && holds(value, now[name])
		}
		return ok
	case []any:
		now, ok := now.([]any)
		return ok && slices.EqualFunc(recorded, now, holds)
	default:
		return reflect.DeepEqual(recorded, now)
	}
}

// A deed is what a workflow did: the engine's replayer compares which commands it gives and in which order, but not what
// is in them. A timer that is set for another instant, or an update that is answered otherwise, would go unseen.
type deed struct {
	what  string
	value json.RawMessage
}

func did(what string, value any) deed {
	raw, err := json.Marshal(value)
	if err != nil {
		raw = json.RawMessage(strconv.Quote(err.Error()))
	}
	return deed{what, raw}
}

// String implements fmt.Stringer.
func (d deed) String() string { return string(d.value) }

// deedsOf are those that a history recorded.
func deedsOf(history *historypb.History) (deeds []deed) {
	for _, e := range history.GetEvents() {
		switch e.GetEventType() {
		case enums.EVENT_TYPE_TIMER_STARTED:
			deeds = append(deeds, did("timer", e.GetTimerStartedEventAttributes().GetStartToFireTimeout().AsDuration()))
		case enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
			a := e.GetActivityTaskScheduledEventAttributes()
			deeds = append(deeds, did("activity "+a.GetActivityType().GetName(), data(a.GetInput())))
		case enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
			said := map[string]json.RawMessage{}
			for name, value := range e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields() {
				said[name] = value.GetData()
			}
			deeds = append(deeds, did("search attributes", said))
		case enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
			a := e.GetWorkflowExecutionUpdateCompletedEventAttributes()
			deeds = append(deeds, did("answer to "+a.GetMeta().GetUpdateId(), data(a.GetOutcome().GetSuccess())))
		case enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
			deeds = append(deeds, did("next run", data(e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetInput())))
		}
	}
	return deeds
}

// data are the values that were recorded, as they were written.
func data(payloads *commonpb.Payloads) []json.RawMessage {
	values := make([]json.RawMessage, len(payloads.GetPayloads()))
	for i, p := range payloads.GetPayloads() {
		values[i] = p.GetData()
	}
	return values
}

// requireDone sees that everything recorded was done again, of each kind in the same order. What was done and taken back
// within one task never reached the engine, and is passed over.
func requireDone(t *testing.T, recorded, replayed []deed) {
	t.Helper()
	done := map[string]int{}
	for i, want := range recorded {
		rest := slices.DeleteFunc(slices.Clone(replayed), func(d deed) bool { return d.what != want.what })[done[want.what]:]
		at := slices.IndexFunc(rest, func(d deed) bool { return holds(decode(t, want.value), decode(t, d.value)) })
		require.NotEqual(t, -1, at, "deed %d, %s, was recorded as\n%s\nand is done no more; instead: %s", i+1, want.what, want.value, rest)
		done[want.what] += at + 1
	}
}

// watch takes down what a workflow does.
type watch struct {
	interceptor.WorkerInterceptorBase
	did []deed
}

func (w *watch) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &inbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, watch: w}
}

func (w *watch) saw(what string, value any) { w.did = append(w.did, did(what, value)) }

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	watch *watch
}

func (i *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&outbound{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: next}, watch: i.watch})
}

func (i *inbound) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (any, error) {
	answer, err := i.Next.ExecuteUpdate(ctx, in)
	i.watch.saw("answer to "+workflow.GetCurrentUpdateInfo(ctx).ID, []any{answer})
	return answer, err
}

type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	watch *watch
}

func (o *outbound) NewTimerWithOptions(ctx workflow.Context, d time.Duration, options workflow.TimerOptions) workflow.Future {
	o.watch.saw("timer", d)
	return o.Next.NewTimerWithOptions(ctx, d, options)
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, activityType string, args ...any) workflow.Future {
	o.watch.saw("activity "+activityType, args)
	return o.Next.ExecuteActivity(ctx, activityType, args...)
}

func (o *outbound) UpsertTypedSearchAttributes(ctx workflow.Context, attributes ...temporal.SearchAttributeUpdate) error {
	said := map[string]any{}
	for key, value := range temporal.NewSearchAttributes(attributes...).GetUntypedValues() {
		said[key.GetName()] = value
	}
	o.watch.saw("search attributes", said)
	return o.Next.UpsertTypedSearchAttributes(ctx, attributes...)
}

func (o *outbound) NewContinueAsNewError(ctx workflow.Context, wfn any, args ...any) error {
	o.watch.saw("next run", args)
	return o.Next.NewContinueAsNewError(ctx, wfn, args...)
}
