package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"pgregory.net/rapid"

	"ringback/callback"
	"ringback/contract"
)

// A refusal crosses Temporal whole: the API shows what the rules said.
func TestRefusalsCrossTheWire(t *testing.T) {
	t.Parallel()
	converter := temporal.GetDefaultFailureConverter()
	rapid.Check(t, func(t *rapid.T) {
		sent := &callback.Fault{
			Code:     callback.Code(rapid.StringMatching(`[a-z_]{1,30}`).Draw(t, "code")),
			Rule:     callback.Rule(rapid.StringMatching(`(R[0-9]{2})?`).Draw(t, "rule")),
			Detail:   rapid.String().Draw(t, "detail"),
			Holder:   rapid.StringMatching(`[a-z0-9]{0,8}`).Draw(t, "holder"),
			Existing: rapid.StringMatching(`[a-f0-9-]{0,36}`).Draw(t, "existing"),
		}
		if path := rapid.StringMatching(`[a-z.]{0,20}`).Draw(t, "path"); path != "" {
			sent.Errors = []callback.FieldError{{Path: path, Message: "expected something else"}}
		}
		got, ok := contract.Fault(converter.FailureToError(converter.ErrorToFailure(contract.Error(sent))))
		require.True(t, ok)
		require.Equal(t, sent, got)
	})
}

func TestOtherErrorsAreNoRefusals(t *testing.T) {
	t.Parallel()
	converter := temporal.GetDefaultFailureConverter()
	for _, err := range []error{
		nil, temporal.NewApplicationError("something else", "other"),
		temporal.NewApplicationError("details of another kind", "other", 7),
		temporal.NewApplicationError("no code", "other", callback.Fault{Detail: "x"}),
	} {
		if err != nil { // as it arrives
			err = converter.FailureToError(converter.ErrorToFailure(err))
		}
		_, ok := contract.Fault(err)
		require.False(t, ok, "%v", err)
	}
}

func TestWorkflowIDsNameTheirCallback(t *testing.T) {
	t.Parallel()
	id, ok := contract.CallbackID(contract.WorkflowID("01a20cc5-b9d3-7c46-a1c1-26a4aaa10595"))
	require.True(t, ok)
	require.Equal(t, "01a20cc5-b9d3-7c46-a1c1-26a4aaa10595", id)
	_, ok = contract.CallbackID("outage/01a20cc5-b9d3-7c46-a1c1-26a4aaa10595")
	require.False(t, ok)
}
