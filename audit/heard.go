package audit

import (
	"context"
	"errors"

	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"ringback/contract"
)

// Heard finds in a callback's histories what came of an update, by its id, or
// that a signal with that operation has reached it: whatever the engine keeps.
// False where they know nothing of it, or where there are none; another error is
// an outage.
func (a *Auditor) Heard(ctx context.Context, callbackID, id string) (contract.Heard, bool, error) {
	h, err := a.History(ctx, callbackID)
	switch {
	case errors.Is(err, ErrNoHistory), errors.Is(err, ErrRunMissing):
		return contract.Heard{}, false, nil
	case err != nil:
		return contract.Heard{}, false, err
	}
	for _, run := range h.Runs {
		for _, e := range run.Events {
			if heard, ok := a.heard(e, id); ok {
				return heard, true, nil
			}
		}
	}
	return contract.Heard{}, false, nil
}

func (a *Auditor) heard(e *historypb.HistoryEvent, id string) (contract.Heard, bool) {
	r := reader{converter: a.converter}
	switch e.GetEventType() { // nothing is heard in the others
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		done := e.GetWorkflowExecutionUpdateCompletedEventAttributes()
		var o outcome
		if done.GetMeta().GetUpdateId() != id || r.decode(done.GetOutcome().GetSuccess(), &o) != nil {
			return contract.Heard{}, false
		}
		return contract.Heard{ID: id, Digest: o.Digest, Version: o.Version}, true
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		told := e.GetWorkflowExecutionSignaledEventAttributes()
		var call contract.CustomerCalled
		known := told.GetSignalName() == contract.SignalCustomerCalled && r.decode(told.GetInput(), &call) == nil
		return contract.Heard{ID: id}, known && call.Operation == id
	}
	return contract.Heard{}, false
}
