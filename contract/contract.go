// Package contract holds the words on the wire to Temporal (CONTRACT §5): ids,
// names of updates, signals and queries with their typed input and output,
// search attributes, and how a refusal crosses.
//
// Everything here is stored in histories in plain text: ids, ranks, queues and
// codes only, nothing personal (R26).
package contract

import (
	"strconv"
	"strings"

	"go.temporal.io/sdk/temporal"

	"ringback/callback"
)

// Names of the engine's things.
const (
	DefaultNamespace = "ringback"
	DefaultTaskQueue = "ringback"
	WorkflowType     = "Callback"

	// UpdateCreate answers with the first events of the promise; it is sent with the start.
	UpdateCreate = "create"

	// SignalCustomerCalled: the customer called in again (CustomerCalled).
	SignalCustomerCalled = "customer-called"
	// SignalCandidateAvailable: somebody of the queue came free; draw again now. No input.
	SignalCandidateAvailable = "candidate-available"
	// SignalOutageBegan and SignalOutageEnded: an outage affects the callback, and is
	// over (callback.OutageNews; R23).
	SignalOutageBegan = "outage-began"
	SignalOutageEnded = "outage-ended"
	// SignalDeliveryConfirmed: what is owed to a destination has arrived after all (DeliveryConfirmed).
	SignalDeliveryConfirmed = "delivery-confirmed"
	// SignalTagMissing: a tag was taken off by hand elsewhere (TagMissing; R09).
	SignalTagMissing = "tag-missing"

	// QueryState answers with State.
	QueryState = "state"
	// QueryEvents takes a version and answers with News after it.
	QueryEvents = "events"
)

// WorkflowID is the id of the workflow of a callback.
func WorkflowID(callbackID string) string { return "callback/" + callbackID }

// CallbackID is the callback of a workflow id; false for another kind of id.
func CallbackID(workflowID string) (string, bool) {
	return strings.CutPrefix(workflowID, "callback/")
}

// The search attributes.
var (
	SearchStatus = temporal.NewSearchAttributeKeyKeyword("RingbackStatus")
	SearchTier   = temporal.NewSearchAttributeKeyKeyword("RingbackTier")
	SearchQueue  = temporal.NewSearchAttributeKeyKeyword("RingbackQueue")
	SearchPolicy = temporal.NewSearchAttributeKeyKeyword("RingbackPolicy")
	SearchDueAt  = temporal.NewSearchAttributeKeyTime("RingbackDueAt")
)

// SearchAttributes are a callback's, all together: upserting is dear.
func SearchAttributes(c *callback.Callback) []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{
		SearchStatus.ValueSet(string(c.Status)),
		SearchTier.ValueSet(c.Tier),
		SearchQueue.ValueSet(c.Queue),
		SearchPolicy.ValueSet(c.Policy),
		SearchDueAt.ValueSet(c.DueAt.Time),
	}
}

// Input starts the workflow of one callback.
type Input struct {
	// Policy is pinned: queues chosen, supervisor named.
	Policy  *callback.Policy `json:"policy"`
	Request callback.Request `json:"request"`
	// StarterProjects: whoever starts it has written an errand and writes the first
	// events into the read model; otherwise the workflow does.
	StarterProjects bool `json:"starter_projects,omitempty"`
	// Destinations are the systems that the callback's events are brought to: as
	// they were when it was promised.
	Destinations []Destination `json:"destinations,omitempty"`
	// Carried is what a run hands to the next when it continues as new.
	Carried *Carried `json:"carried,omitempty"`
}

// Destination is another system, with the events that it is given.
type Destination struct {
	Name  string               `json:"name"`
	Types []callback.EventType `json:"types"`
}

// DeliveryQueue is the task queue of the deliveries to a destination, beside the
// one that the workflows are on.
func DeliveryQueue(taskQueue, destination string) string {
	return taskQueue + "-connector-" + destination
}

// Carried is a callback between two runs of its workflow.
type Carried struct {
	State *callback.Callback `json:"state"`
	// Unprojected events, the last of which brought about State.
	Unprojected []callback.Event `json:"unprojected,omitempty"`
	// Outboxes are in the order of the destinations.
	Outboxes []Outbox `json:"outboxes,omitempty"`
	// Heard is what must not take effect once more.
	Heard Memory `json:"heard,omitempty"`
}

// Outbox is how far the deliveries to one destination have come.
type Outbox struct {
	// Pending are the events that are still to be delivered, in order.
	Pending []int64 `json:"pending,omitempty"`
	// Sent is the last event that is there, Told the last that the timeline says is.
	Sent int64 `json:"sent,omitempty"`
	Told int64 `json:"told,omitempty"`
}

// Order is the input of a command's update.
type Order[C callback.Command] struct {
	By callback.Person `json:"by"`
	// IfVersion refuses with stale_version unless it is the current one; 0: any.
	IfVersion int64 `json:"if_version,omitempty"`
	// Since is the version that the read model is known to have; the outcome holds
	// every event after it.
	Since int64 `json:"since,omitempty"`
	// CallerProjects: the caller has written an errand and writes the outcome into
	// the read model; otherwise the workflow does.
	CallerProjects bool `json:"caller_projects,omitempty"`
	// Digest is a keyed hash of the request, given back in the outcome: a repeated
	// update id returns the first outcome whatever its input.
	Digest  string `json:"digest,omitempty"`
	Command C      `json:"command"`
}

// Create is the input of UpdateCreate.
type Create struct {
	Digest string `json:"digest,omitempty"`
}

// Outcome answers an update: the events after Since, and the version reached.
type Outcome struct {
	Version int64            `json:"version"`
	Events  []callback.Event `json:"events"`
	Digest  string           `json:"digest,omitempty"`
}

// CustomerCalled is the input of SignalCustomerCalled.
type CustomerCalled struct {
	By     string `json:"by"`
	TextID string `json:"text_id,omitempty"`
	// Operation, if given, names what is told: told again under the same id it is
	// told once.
	Operation string `json:"operation,omitempty"`
}

// DeliveryConfirmed is the input of SignalDeliveryConfirmed.
type DeliveryConfirmed struct {
	Destination string `json:"destination"`
	Seq         int64  `json:"seq"`
}

// TagMissing is the input of SignalTagMissing.
type TagMissing struct {
	By string `json:"by"` // "system:NAME"
}

// State answers QueryState.
type State struct {
	Callback *callback.Callback `json:"callback"`
	// NextAt is when the clock will look again; null: it waits for people.
	NextAt callback.Instant `json:"next_at"`
	// Projected is the version that the read model is known to have.
	Projected int64 `json:"projected"`
	// Outboxes are how far deliveries have come, by destination.
	Outboxes map[string]Outbox `json:"outboxes,omitempty"`
}

// News answers QueryEvents.
type News struct {
	Version int64            `json:"version"`
	Events  []callback.Event `json:"events"`
	// From is the first version whose event this run still knows; older ones are in
	// the histories of earlier runs, and are in the read model.
	From int64 `json:"from"`
}

// Projection is the input of the activity that writes the read model.
type Projection struct {
	CallbackID string           `json:"callback_id"`
	Events     []callback.Event `json:"events"`
	// From is the first version whose event the run still knows: earlier ones it
	// cannot supply.
	From int64 `json:"from"`
}

// Delivery is the input of the activity that brings events to a destination.
type Delivery struct {
	CallbackID  string `json:"callback_id"`
	Destination string `json:"destination"`
	// Events by their number, in order.
	Events []int64 `json:"events"`
	// Owed: they are on the timeline as owed; it is tried for as long as it takes.
	Owed bool `json:"owed,omitempty"`
}

// DrawRequest is the input of the activity that draws an assignee (R21).
type DrawRequest struct {
	CallbackID string           `json:"callback_id"`
	Version    int64            `json:"version"`
	Queue      string           `json:"queue"`
	Tier       string           `json:"tier"`
	Method     callback.Assign  `json:"method"`
	Avoid      string           `json:"avoid,omitempty"`
	At         callback.Instant `json:"at"`
}

// ID names the draw: asked again for the same callback at the same version it
// has the same answer.
func (r DrawRequest) ID() string { return r.CallbackID + "/" + strconv.FormatInt(r.Version, 10) }
