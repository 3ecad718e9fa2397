package audit

import (
	"encoding/json"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"

	"ringback/activities"
	"ringback/callback"
	"ringback/contract"
)

// A transcript is one run's history, read: what reached the workflow in each of
// its tasks, and what it said it did about it.
type transcript struct {
	runID string
	input input
	tasks []task
	// settled is how many of its events are the workflow's own past; later ones
	// have reached no workflow task yet.
	settled int
	end     ending
	// next is the input that was handed to the next run.
	next *input
	// shown are the timeline entries that were answered or projected, where it says so.
	shown []shown
}

// input is contract.Input, with what was carried over as it was written.
type input struct {
	Policy       *callback.Policy       `json:"policy"`
	Request      callback.Request       `json:"request"`
	Destinations []contract.Destination `json:"destinations"`
	Carried      *struct {
		State       json.RawMessage   `json:"state"`
		Unprojected []json.RawMessage `json:"unprojected"`
		Outboxes    []contract.Outbox `json:"outboxes"`
		Heard       contract.Memory   `json:"heard"`
	} `json:"carried"`
	raw []byte
}

// ending is how a run ended.
type ending int

const (
	endNone ending = iota
	endCompleted
	endContinued
	endOther // by somebody's hand: terminated, timed out, failed or cancelled
)

// task is one workflow task: everything that happened in it happened at now.
type task struct {
	now time.Time
	// at is the id of the event that began it.
	at      int64
	signals []signal
	fired   []string // timer ids
	drawn   []drawn
	orders  []order
	// computed are the values that a calendar gave, in the order of their recording.
	computed []*commonpb.Payloads
	alarms   []alarm  // timers it set
	stopped  []string // timers it took back
	draws    []drawRequest
	calledOf []int64 // draws it called off, by the event that scheduled them
	// sent are the deliveries that it asked for, brought those that came to an end.
	sent    []delivery
	brought []brought
}

// signal is a fact from outside, with what the rules make of it.
type signal struct {
	at   int64
	name string
	// operation, if it has one: told again under the same it is told once.
	operation string
	hear      func(c *callback.Callback, p *callback.Policy, now time.Time, w callback.Worktime) []callback.Event
}

// delivery is one that was asked for, by the event that scheduled it.
type delivery struct {
	at int64
	contract.Delivery
}

// brought is how a delivery ended: owed where it did not get there.
type brought struct {
	at, scheduledAt int64
	owed            bool
	called          bool // called off
	seq             int64
	code            string
}

type alarm struct {
	at    int64
	timer string
	after time.Duration
	since time.Time
}

type drawRequest struct {
	at      int64
	request contract.DrawRequest
}

type drawn struct {
	at, scheduledAt int64
	draw            callback.Draw
}

// order is one update that was accepted.
type order struct {
	at      int64
	id      string
	name    string
	create  *contract.Create
	by      callback.Person
	command callback.Command
	version int64 // if_version
	since   int64
	caller  bool // caller_projects
	digest  string
	outcome *outcome
	refusal *callback.Fault
	// first is what an earlier run remembers of it, if it is a repeat.
	first *contract.Heard
}

// outcome is contract.Outcome, with its events as they were written.
type outcome struct {
	Version int64             `json:"version"`
	Events  []json.RawMessage `json:"events"`
	Digest  string            `json:"digest"`
}

// shown are consecutive timeline entries as one place in the history has them.
type shown struct {
	at      int64
	where   string
	entries []json.RawMessage
}

// problem is one thing that is wrong, in words without anything personal.
type problem struct{ text string }

func (p *problem) Error() string { return p.text }

func wrong(format string, args ...any) error { return &problem{fmt.Sprintf(format, args...)} }

// reader reads one run.
type reader struct {
	converter converter.DataConverter
	t         transcript
	pending   task // what has arrived since the last task that was done
	current   *task
	orders    map[int64]*order // by the event that accepted them
	admitted  map[string]*commonpb.Payloads
	names     map[string]string
	timers    map[string]alarm
	draws     map[int64]bool
	sent      map[int64]bool  // deliveries under way, by the event that scheduled them
	told      map[string]bool // operations of signals
	last      time.Time
}

// clockSkew is how much the clocks of the engine's hosts may differ.
const clockSkew = time.Second

// transcribe reads one run. The error names the first event that cannot be
// what it says.
func transcribe(dc converter.DataConverter, run *historypb.History) (*transcript, error) {
	r := &reader{
		converter: dc,
		orders:    map[int64]*order{}, admitted: map[string]*commonpb.Payloads{}, names: map[string]string{},
		timers: map[string]alarm{}, draws: map[int64]bool{}, sent: map[int64]bool{}, told: map[string]bool{},
	}
	s := started(run)
	if s == nil {
		return nil, wrong("the history does not begin with the start of a workflow")
	}
	if t := s.GetWorkflowType().GetName(); t != contract.WorkflowType {
		return nil, wrong("the history is of a workflow of another type than %s", contract.WorkflowType)
	}
	if err := r.decode(s.GetInput(), &r.t.input); err != nil || r.t.input.Policy == nil || len(r.t.input.Policy.Ladder) == 0 {
		return nil, wrong("event 1: the input of the workflow cannot be read")
	}
	r.t.input.raw = raw(s.GetInput())
	r.t.runID = s.GetOriginalExecutionRunId()
	for i, e := range run.Events {
		if e.GetEventId() != int64(i)+1 {
			return nil, wrong("event %d is missing: event %d stands in its place", i+1, e.GetEventId())
		}
		if err := r.read(run, i); err != nil {
			return nil, err
		}
	}
	return &r.t, nil
}

func (r *reader) read(run *historypb.History, i int) error {
	e := run.Events[i]
	if at := e.GetEventTime().AsTime(); at.After(r.last) && e.GetEventType() != enums.EVENT_TYPE_WORKFLOW_TASK_STARTED {
		r.last = at
	}
	switch e.GetEventType() {
	case enums.EVENT_TYPE_WORKFLOW_TASK_STARTED:
		if i+1 < len(run.Events) && run.Events[i+1].GetEventType() == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			return r.begin(e)
		}
	case enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
		return r.settle(run, i)
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		return r.signal(e)
	case enums.EVENT_TYPE_TIMER_FIRED:
		return r.fired(e)
	case enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		return r.done(e)
	case enums.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		a := e.GetActivityTaskFailedEventAttributes()
		r.notBrought(brought{at: e.GetEventId(), scheduledAt: a.GetScheduledEventId()}, a.GetFailure())
	case enums.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		a := e.GetActivityTaskTimedOutEventAttributes()
		r.notBrought(brought{at: e.GetEventId(), scheduledAt: a.GetScheduledEventId()}, a.GetFailure())
	case enums.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		a := e.GetActivityTaskCanceledEventAttributes()
		r.notBrought(brought{at: e.GetEventId(), scheduledAt: a.GetScheduledEventId(), called: true}, nil)
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
		request := e.GetWorkflowExecutionUpdateAdmittedEventAttributes().GetRequest()
		r.admitted[request.GetMeta().GetUpdateId()] = request.GetInput().GetArgs()
		r.names[request.GetMeta().GetUpdateId()] = request.GetInput().GetName()
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		r.t.end = endOther
	default:
		if of, command := taskOf(e); command && (r.current == nil || of != 0 && of != r.completed()) {
			return wrong("event %d is of no workflow task", e.GetEventId())
		}
		if r.current != nil {
			return r.command(e)
		}
	}
	return nil
}

// completed is the event that completed the current task.
func (r *reader) completed() int64 { return r.current.at + 1 }

// begin starts a task with what has arrived since the one before.
func (r *reader) begin(e *historypb.HistoryEvent) error {
	now := e.GetEventTime().AsTime()
	if r.last.Sub(now) > clockSkew {
		return wrong("event %d: a workflow task begins before what it is about had happened", e.GetEventId())
	}
	r.pending.now, r.pending.at = now, e.GetEventId()
	r.t.tasks = append(r.t.tasks, r.pending)
	r.pending = task{}
	r.current = &r.t.tasks[len(r.t.tasks)-1]
	return nil
}

// settle notes that the current task became part of the workflow's past.
func (r *reader) settle(run *historypb.History, i int) error {
	e := run.Events[i]
	if i == 0 || run.Events[i-1].GetEventType() != enums.EVENT_TYPE_WORKFLOW_TASK_STARTED ||
		e.GetWorkflowTaskCompletedEventAttributes().GetStartedEventId() != int64(i) {
		return wrong("event %d: a workflow task ends that did not begin", e.GetEventId())
	}
	r.t.settled = int(e.GetEventId())
	return nil
}

// taskOf is the event that completed the task in which a command was given;
// false for an event that is no task's doing.
func taskOf(e *historypb.HistoryEvent) (completed int64, command bool) {
	type of interface{ GetWorkflowTaskCompletedEventId() int64 }
	var a of
	switch e.GetEventType() { // the other commands are none of a callback's
	case enums.EVENT_TYPE_MARKER_RECORDED:
		a = e.GetMarkerRecordedEventAttributes()
	case enums.EVENT_TYPE_TIMER_STARTED:
		a = e.GetTimerStartedEventAttributes()
	case enums.EVENT_TYPE_TIMER_CANCELED:
		a = e.GetTimerCanceledEventAttributes()
	case enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		a = e.GetActivityTaskScheduledEventAttributes()
	case enums.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
		a = e.GetActivityTaskCancelRequestedEventAttributes()
	case enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
		a = e.GetUpsertWorkflowSearchAttributesEventAttributes()
	case enums.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
		a = e.GetWorkflowPropertiesModifiedEventAttributes()
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		a = e.GetWorkflowExecutionCompletedEventAttributes()
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		a = e.GetWorkflowExecutionContinuedAsNewEventAttributes()
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		a = e.GetWorkflowExecutionFailedEventAttributes()
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
		a = e.GetWorkflowExecutionCanceledEventAttributes()
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		return 0, true
	default:
		return 0, false
	}
	return a.GetWorkflowTaskCompletedEventId(), true
}

// arrived notes that something came from outside: what follows is no longer the last task's doing.
func (r *reader) arrived() { r.current = nil }

func (r *reader) signal(e *historypb.HistoryEvent) error {
	r.arrived()
	a := e.GetWorkflowExecutionSignaledEventAttributes()
	read, known := signals[a.GetSignalName()]
	if !known {
		return nil
	}
	hear, err := read(r, a.GetInput())
	if err != nil {
		return wrong("event %d: the signal %s cannot be read", e.GetEventId(), a.GetSignalName())
	}
	told := signal{at: e.GetEventId(), name: a.GetSignalName(), hear: hear}
	if told.name == contract.SignalCustomerCalled {
		var call contract.CustomerCalled
		if err := r.decode(a.GetInput(), &call); err == nil {
			told.operation = call.Operation
		}
	}
	if told.operation != "" && (r.told[told.operation] || r.t.input.first(told.operation) != nil) {
		told.hear = unheard
	}
	r.told[told.operation] = true
	r.pending.signals = append(r.pending.signals, told)
	return nil
}

// unheard is what comes of a signal that was told before: nothing.
func unheard(*callback.Callback, *callback.Policy, time.Time, callback.Worktime) []callback.Event {
	return nil
}

// first is what earlier runs remember of an update or a signal; nil: nothing.
func (in *input) first(id string) *contract.Heard {
	if in.Carried == nil {
		return nil
	}
	h, heard := in.Carried.Heard.Of(id)
	if !heard {
		return nil
	}
	return &h
}

type hearing = func(c *callback.Callback, p *callback.Policy, now time.Time, w callback.Worktime) []callback.Event

// signals are the facts from outside that a callback takes note of. That
// somebody came free is none: it brings nothing about by itself.
var signals = map[string]func(r *reader, args *commonpb.Payloads) (hearing, error){
	contract.SignalCustomerCalled: heard(func(in contract.CustomerCalled) hearing {
		return func(c *callback.Callback, p *callback.Policy, now time.Time, w callback.Worktime) []callback.Event {
			return c.CustomerCalls(p, in.By, in.TextID, now, w)
		}
	}),
	contract.SignalOutageBegan: heard(func(in callback.OutageNews) hearing {
		return func(c *callback.Callback, p *callback.Policy, now time.Time, w callback.Worktime) []callback.Event {
			return c.OutageBegan(p, in, now, w)
		}
	}),
	contract.SignalOutageEnded: heard(func(in callback.OutageNews) hearing {
		return func(c *callback.Callback, p *callback.Policy, now time.Time, w callback.Worktime) []callback.Event {
			return c.OutageEnded(p, in, now, w)
		}
	}),
	contract.SignalDeliveryConfirmed: heard(func(in contract.DeliveryConfirmed) hearing {
		return func(c *callback.Callback, p *callback.Policy, now time.Time, w callback.Worktime) []callback.Event {
			return c.Confirm(p, in.Destination, in.Seq, now, w)
		}
	}),
	contract.SignalTagMissing: heard(func(in contract.TagMissing) hearing {
		return func(c *callback.Callback, p *callback.Policy, now time.Time, w callback.Worktime) []callback.Event {
			return c.TagMissing(p, in.By, now, w)
		}
	}),
}

func heard[T any](of func(T) hearing) func(r *reader, args *commonpb.Payloads) (hearing, error) {
	return func(r *reader, args *commonpb.Payloads) (hearing, error) {
		var in T
		if err := r.decode(args, &in); err != nil {
			return nil, err
		}
		return of(in), nil
	}
}

func (r *reader) fired(e *historypb.HistoryEvent) error {
	r.arrived()
	id := e.GetTimerFiredEventAttributes().GetTimerId()
	a, set := r.timers[id]
	if !set {
		return wrong("event %d: a timer fired that was never set, or was taken back", e.GetEventId())
	}
	if e.GetTimerFiredEventAttributes().GetStartedEventId() != a.at {
		return wrong("event %d: a timer fired under the number of another", e.GetEventId())
	}
	if a.since.Add(a.after).Sub(e.GetEventTime().AsTime()) > clockSkew {
		return wrong("event %d: a timer fired before its time (R27)", e.GetEventId())
	}
	delete(r.timers, id)
	r.pending.fired = append(r.pending.fired, id)
	return nil
}

func (r *reader) done(e *historypb.HistoryEvent) error {
	r.arrived()
	a := e.GetActivityTaskCompletedEventAttributes()
	if r.sent[a.GetScheduledEventId()] {
		delete(r.sent, a.GetScheduledEventId())
		r.pending.brought = append(r.pending.brought, brought{at: e.GetEventId(), scheduledAt: a.GetScheduledEventId()})
		return nil
	}
	if !r.draws[a.GetScheduledEventId()] {
		return nil
	}
	d := drawn{at: e.GetEventId(), scheduledAt: a.GetScheduledEventId()}
	if r.decode(a.GetResult(), &d.draw) != nil {
		return wrong("event %d: the result of a draw cannot be read", e.GetEventId())
	}
	r.pending.drawn = append(r.pending.drawn, d)
	return nil
}

// notBrought notes a delivery that did not get there.
func (r *reader) notBrought(b brought, why *failurepb.Failure) {
	r.arrived()
	if !r.sent[b.scheduledAt] {
		return
	}
	delete(r.sent, b.scheduledAt)
	b.owed = !b.called
	b.code = activities.CodeUnavailable
	for ; why != nil; why = why.GetCause() {
		info := why.GetApplicationFailureInfo()
		if info != nil && r.decode(info.GetDetails(), &b.seq) == nil {
			b.code = info.GetType()
			break
		}
	}
	r.pending.brought = append(r.pending.brought, b)
}

// command reads what the current task did.
func (r *reader) command(e *historypb.HistoryEvent) error {
	id := e.GetEventId()
	switch e.GetEventType() {
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
		if err := r.accepted(e); err != nil {
			return err
		}
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		if err := r.answered(e); err != nil {
			return err
		}
	case enums.EVENT_TYPE_MARKER_RECORDED:
		if a := e.GetMarkerRecordedEventAttributes(); a.GetMarkerName() == "SideEffect" {
			r.current.computed = append(r.current.computed, a.GetDetails()["data"])
		}
	case enums.EVENT_TYPE_TIMER_STARTED:
		a := e.GetTimerStartedEventAttributes()
		set := alarm{at: id, timer: a.GetTimerId(), after: a.GetStartToFireTimeout().AsDuration(), since: r.current.now}
		r.timers[set.timer] = set
		r.current.alarms = append(r.current.alarms, set)
	case enums.EVENT_TYPE_TIMER_CANCELED:
		timer := e.GetTimerCanceledEventAttributes().GetTimerId()
		delete(r.timers, timer)
		r.current.stopped = append(r.current.stopped, timer)
	case enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		if err := r.scheduled(e); err != nil {
			return err
		}
	case enums.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
		r.current.calledOf = append(r.current.calledOf, e.GetActivityTaskCancelRequestedEventAttributes().GetScheduledEventId())
	case enums.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, enums.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
		enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		r.t.end = endCompleted
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		r.t.end = endContinued
		a := e.GetWorkflowExecutionContinuedAsNewEventAttributes()
		r.t.next = &input{raw: raw(a.GetInput())}
		if r.decode(a.GetInput(), r.t.next) != nil || r.t.next.Carried == nil {
			return wrong("event %d: what was handed to the next run cannot be read", id)
		}
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
		r.t.end = endOther
	default:
		r.arrived()
		return nil
	}
	r.t.settled = int(id)
	return nil
}

// activities of the workflow, by the names under which they are registered.
const (
	activityProject = "Project"
	activityDraw    = "Draw"
	activityDeliver = "Deliver"
)

func (r *reader) scheduled(e *historypb.HistoryEvent) error {
	a := e.GetActivityTaskScheduledEventAttributes()
	switch a.GetActivityType().GetName() {
	case activityProject:
		var in struct {
			CallbackID string            `json:"callback_id"`
			Events     []json.RawMessage `json:"events"`
		}
		if r.decode(a.GetInput(), &in) != nil || in.CallbackID != r.t.callbackID() || len(in.Events) == 0 {
			return wrong("event %d: what was projected cannot be read", e.GetEventId())
		}
		r.t.shown = append(r.t.shown, shown{e.GetEventId(), "what was written to the read model", in.Events})
	case activityDraw:
		d := drawRequest{at: e.GetEventId()}
		if r.decode(a.GetInput(), &d.request) != nil || d.request.CallbackID != r.t.callbackID() {
			return wrong("event %d: the request for a draw cannot be read", e.GetEventId())
		}
		r.draws[d.at] = true
		r.current.draws = append(r.current.draws, d)
	case activityDeliver:
		d := delivery{at: e.GetEventId()}
		if r.decode(a.GetInput(), &d.Delivery) != nil || d.CallbackID != r.t.callbackID() || len(d.Events) == 0 {
			return wrong("event %d: what was to be delivered cannot be read", e.GetEventId())
		}
		r.sent[d.at] = true
		r.current.sent = append(r.current.sent, d)
	}
	return nil
}

func (t *transcript) callbackID() string { return t.input.Request.ID }

func (r *reader) accepted(e *historypb.HistoryEvent) error {
	a := e.GetWorkflowExecutionUpdateAcceptedEventAttributes()
	id := a.GetProtocolInstanceId()
	name, args := a.GetAcceptedRequest().GetInput().GetName(), a.GetAcceptedRequest().GetInput().GetArgs()
	if name == "" {
		name, args = r.names[id], r.admitted[id]
	}
	o := order{at: e.GetEventId(), id: id, name: name, first: r.t.input.first(id)}
	decode, known := commands[callback.CommandName(name)]
	switch {
	case name == contract.UpdateCreate:
		o.create = &contract.Create{}
		if r.decode(args, o.create) != nil {
			return wrong("event %d: the update %s cannot be read", o.at, name)
		}
		o.digest = o.create.Digest
	case !known:
		return wrong("event %d: an update was accepted that is no command", o.at)
	case decode(r, args, &o) != nil:
		return wrong("event %d: the update %s cannot be read", o.at, name)
	}
	r.current.orders = append(r.current.orders, o)
	return nil
}

// answered puts the outcome to the update that it belongs to: handlers answer
// in the task that accepted them.
func (r *reader) answered(e *historypb.HistoryEvent) error {
	a := e.GetWorkflowExecutionUpdateCompletedEventAttributes()
	for i := range r.current.orders {
		o := &r.current.orders[i]
		if o.at != a.GetAcceptedEventId() {
			continue
		}
		if f := a.GetOutcome().GetFailure(); f != nil {
			o.refusal = r.fault(f)
			return nil
		}
		o.outcome = &outcome{}
		if r.decode(a.GetOutcome().GetSuccess(), o.outcome) != nil {
			return wrong("event %d: the outcome of %s cannot be read", e.GetEventId(), o.name)
		}
		if o.outcome.Digest != o.digest {
			return wrong("event %d: the outcome of %s is that of another request", e.GetEventId(), o.name)
		}
		r.t.shown = append(r.t.shown, shown{e.GetEventId(), "the outcome of " + o.name, o.outcome.Events})
		return nil
	}
	return wrong("event %d: an outcome of an update that was not accepted", e.GetEventId())
}

func (r *reader) fault(f *failurepb.Failure) *callback.Fault {
	fault := &callback.Fault{}
	if r.decode(f.GetApplicationFailureInfo().GetDetails(), fault) != nil {
		fault.Code = callback.Code(f.GetApplicationFailureInfo().GetType())
	}
	return fault
}

// commands decode the updates of people.
var commands = map[callback.CommandName]func(r *reader, args *commonpb.Payloads, into *order) error{
	callback.CommandClaim:      decodeOrder[callback.Claim],
	callback.CommandStart:      decodeOrder[callback.Start],
	callback.CommandAttempt:    decodeOrder[callback.Attempt],
	callback.CommandNote:       decodeOrder[callback.Note],
	callback.CommandEscalate:   decodeOrder[callback.Escalate],
	callback.CommandReassign:   decodeOrder[callback.Reassign],
	callback.CommandRelease:    decodeOrder[callback.Release],
	callback.CommandHold:       decodeOrder[callback.HoldClock],
	callback.CommandResume:     decodeOrder[callback.Resume],
	callback.CommandReschedule: decodeOrder[callback.Reschedule],
	callback.CommandComplete:   decodeOrder[callback.Complete],
	callback.CommandCancel:     decodeOrder[callback.Cancel],
	callback.CommandWaive:      decodeOrder[callback.Waive],
}

func decodeOrder[C callback.Command](r *reader, args *commonpb.Payloads, into *order) error {
	var o contract.Order[C]
	if err := r.decode(args, &o); err != nil {
		return err
	}
	into.by, into.command, into.version = o.By, o.Command, o.IfVersion
	into.since, into.caller, into.digest = o.Since, o.CallerProjects, o.Digest
	return nil
}

func (r *reader) decode(p *commonpb.Payloads, into any) error {
	if len(p.GetPayloads()) != 1 {
		return fmt.Errorf("expected one payload")
	}
	return r.converter.FromPayload(p.Payloads[0], into)
}

func raw(p *commonpb.Payloads) []byte {
	if len(p.GetPayloads()) != 1 {
		return nil
	}
	return p.Payloads[0].GetData()
}
