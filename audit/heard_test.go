package audit_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"ringback/audit"
	"ringback/contract"
)

// Whatever the engine has forgotten of a callback, its histories say what came of a command.
func TestR24_HistoriesKnowWhatCameOfACommand(t *testing.T) {
	t.Parallel()
	for name, h := range golden(t, "v3") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine, archive := newEngine(h), newMemory()
			archive.shelve(t, h, h.Runs...)
			for from, a := range map[string]*audit.Auditor{
				"the engine":  audit.New(audit.Options{Engine: engine}),
				"the archive": audit.New(audit.Options{Engine: newEngine(), Book: archive}),
			} {
				heard := 0
				for _, run := range h.Runs {
					for _, e := range run.Events {
						id := heardIn(t, e)
						if id == "" {
							continue
						}
						heard++
						first, known, err := a.Heard(t.Context(), h.CallbackID, id)
						require.NoError(t, err)
						require.True(t, known, "%s: %s", from, e)
						require.Equal(t, id, first.ID)
						if e.GetEventType() == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED {
							require.NotEmpty(t, first.Digest)
							require.Positive(t, first.Version)
						}
					}
				}
				require.Positive(t, heard)
				_, known, err := a.Heard(t.Context(), h.CallbackID, "never said")
				require.NoError(t, err)
				require.False(t, known)
				_, known, err = a.Heard(t.Context(), "another callback", "never said")
				require.NoError(t, err)
				require.False(t, known)
			}
			engine.err = errors.New("away")
			_, _, err := audit.New(audit.Options{Engine: engine}).Heard(t.Context(), h.CallbackID, "x")
			require.Error(t, err, "not known is not the same as nothing")
		})
	}
}

// heardIn is the id of what an event says was accepted; empty: nothing was.
func heardIn(t *testing.T, e *historypb.HistoryEvent) string {
	t.Helper()
	if told := e.GetWorkflowExecutionSignaledEventAttributes(); told.GetSignalName() == contract.SignalCustomerCalled {
		var call contract.CustomerCalled
		require.NoError(t, json.Unmarshal(told.GetInput().GetPayloads()[0].GetData(), &call))
		return call.Operation
	}
	return e.GetWorkflowExecutionUpdateCompletedEventAttributes().GetMeta().GetUpdateId()
}
