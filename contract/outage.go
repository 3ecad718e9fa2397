package contract

import (
	"strings"

	"ringback/callback"
)

// Names of the workflow of an outage (R23). What it affects and what to say is
// in the database alone (R26).
const (
	OutageWorkflowType = "Outage"
	// UpdateEnd ends an outage (OutageEnd); again changes nothing. It answers with OutageState.
	UpdateEnd = "end"
	// QueryOutage answers with OutageState.
	QueryOutage = "outage"

	// RedeliveryWorkflowType brings one event to a destination once more (Delivery).
	RedeliveryWorkflowType = "Redelivery"
)

// OutageWorkflowID is the id of the workflow of an outage.
func OutageWorkflowID(outageID string) string { return "outage/" + outageID }

// OutageID is the outage of a workflow id; false for another kind of id.
func OutageID(workflowID string) (string, bool) { return strings.CutPrefix(workflowID, "outage/") }

// RedeliveryWorkflowID is the id of one redelivery.
func RedeliveryWorkflowID(id string) string { return "redelivery/" + id }

// OutageInput starts the workflow of an outage.
type OutageInput struct {
	ID string           `json:"id"`
	By string           `json:"by"`
	At callback.Instant `json:"at"`
	// Ended is set for the activity that notes the end.
	Ended *OutageEnd `json:"ended,omitempty"`
}

// OutageEnd is the input of UpdateEnd.
type OutageEnd struct {
	By string           `json:"by"`
	At callback.Instant `json:"at"`
}

// OutageState is how far an outage has come.
type OutageState struct {
	Ended *OutageEnd `json:"ended,omitempty"`
	// Resumed: everybody who was linked has been told that it is over.
	Resumed bool `json:"resumed,omitempty"`
}

// OutageTelling is the input of the activities that tell callbacks of an outage.
type OutageTelling struct {
	ID string `json:"id"`
	By string `json:"by"`
}
