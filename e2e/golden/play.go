package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	sdkworker "go.temporal.io/sdk/worker"

	"ringback/api"
	"ringback/audit"
	"ringback/callback"
	"ringback/contract"
	"ringback/engine"
	"ringback/worker"
)

// path is one way that a callback can go.
type path struct {
	name   string
	policy *callback.Policy
	// play lets people do their part, until the callback is closed.
	play func(*play)
	// want are the types of the events that it is about, in order.
	want string
	// runs of the workflow; 0 means 1.
	runs int
	// open: its history is recorded before its end.
	open bool
	// dynamic configures an engine of its own.
	dynamic map[string]any
	// since is the release in which it became possible; empty: v1.
	since string
	// to are the systems that the callback is brought to.
	to []contract.Destination
	// patience, if it takes longer than patience.
	patience time.Duration
}

// play is a path being played: one callback, with a worker and a read model of its own. What goes wrong in it ends it.
type play struct {
	ctx    context.Context
	engine client.Client
	// address of the engine.
	address string
	// api sends what is said to the callback: as the API does it, since it is the API's own.
	api    *api.TemporalEngine
	policy *callback.Policy
	id     string
	queue  string
	worker sdkworker.Worker
	book   *readModel
	ledger *ledger
	// to are the systems that the callback is brought to, by their names.
	to      []contract.Destination
	systems map[string]*system
	// accepted counts the updates that were not refused: the only ones in a history.
	accepted int
}

// patience is how long a path may take.
const patience = 90 * time.Second

// pathError is why a path went wrong; methods of play panic with it.
type pathError struct{ error }

// record plays the path and returns what is kept of its runs.
func (p path) record(ctx context.Context, on *floor) (recorded []recording, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(patience, p.patience))
	defer cancel()
	if err := p.policy.Validate(); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	queue := contract.DefaultTaskQueue + "-" + p.name
	played := &play{
		ctx: ctx, engine: on.client, address: on.server.Address(), api: api.NewTemporalEngine(on.client, engine.DefaultNamespace, queue),
		policy: p.policy, id: id.String(), queue: queue,
		book: &readModel{}, ledger: &ledger{}, to: p.to, systems: map[string]*system{},
	}
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(pathError)
			if !ok {
				panic(r)
			}
			recorded, err = nil, f.error
		}
	}()
	played.startWorker()
	defer func() { played.worker.Stop() }()
	for _, d := range p.to {
		played.systems[d.Name] = &system{play: played, name: d.Name}
		defer played.systems[d.Name].stop()
		played.systems[d.Name].start()
	}
	p.play(played)
	if !p.open {
		played.must(on.client.GetWorkflow(ctx, played.workflowID(), "").Get(ctx, nil))
	}
	return played.recording(p), nil
}

// must ends the path if something went wrong.
func (p *play) must(err error) {
	if err != nil {
		panic(pathError{err})
	}
}

func (p *play) mustBe(ok bool, format string, args ...any) {
	if !ok {
		p.must(fmt.Errorf(format, args...))
	}
}

func (p *play) workflowID() string { return contract.WorkflowID(p.id) }

func (p *play) startWorker() { p.worker = p.startWorkerOn(p.engine) }

func (p *play) startWorkerOn(c client.Client) sdkworker.Worker {
	w := worker.New(c, worker.Options{TaskQueue: p.queue, ReadModel: p.book, Ledger: p.ledger})
	p.must(w.Start())
	return w
}

// request is what is asked for; at its instant the promise begins.
func (p *play) request() callback.Request {
	return callback.Request{ID: p.id, By: agent1.ID, At: callback.At(time.Now())}
}

// create makes the callback as the API does: one update, sent with the start.
func (p *play) create(r callback.Request) { p.createAs(newID(), r) }

// createAs makes it under an update id; the same id again is the same request.
func (p *play) createAs(updateID string, r callback.Request) {
	in := contract.Input{Policy: p.policy, Request: r, StarterProjects: true, Destinations: p.to}
	o, err := p.api.Create(p.ctx, updateID, in, digest(updateID))
	p.must(err)
	p.accepted++
	p.settle(o.Events)
}

func newID() string { return uuid.NewString() }

// digest looks like the keyed hash of a request.
func digest(updateID string) string { return hex.EncodeToString([]byte(updateID)[:16]) }

// do gives a command as the API does, and writes its outcome into the read model.
func do[C callback.Command](p *play, by callback.Person, c C) {
	doAs(p, newID(), contract.Order[C]{By: by, Command: c})
	p.accepted++
}

// doAs gives a command under an update id; the same id again is the same command.
func doAs[C callback.Command](p *play, updateID string, o contract.Order[C]) {
	o.Since, o.CallerProjects, o.Digest = p.book.version(), true, digest(updateID)
	outcome, err := order(p, updateID, o)
	p.must(err)
	p.settle(outcome.Events)
}

// doBlind gives a command as the API does while its database is away: the workflow projects.
func doBlind[C callback.Command](p *play, by callback.Person, c C) {
	_, err := order(p, newID(), contract.Order[C]{By: by, Command: c})
	p.must(err)
	p.accepted++
}

// refused gives a command that must be refused with the code.
func refused[C callback.Command](p *play, code callback.Code, o contract.Order[C]) {
	o.Since, o.CallerProjects = p.book.version(), true
	_, err := order(p, newID(), o)
	p.mustBe(errors.Is(err, callback.Refused(code)), "%s: expected the refusal %s, got %v", o.Command.Name(), code, err)
}

func order[C callback.Command](p *play, updateID string, o contract.Order[C]) (contract.Outcome, error) {
	return p.api.Command(p.ctx, p.id, updateID, o.Command.Name(), o)
}

// customerCalls signals that the customer called in again.
func (p *play) customerCalls() {
	p.must(p.api.CustomerCalled(p.ctx, p.id, contract.CustomerCalled{By: agent1.ID, TextID: text()}))
}

// comesFree signals that somebody of the queue came free.
func (p *play) comesFree() { p.must(p.api.CandidateAvailable(p.ctx, p.id)) }

// text is the id under which a text would be kept.
func text() string { return uuid.Must(uuid.NewV7()).String() }

func (p *play) news(since int64) contract.News {
	news, err := p.api.News(p.ctx, p.id, since)
	p.must(err)
	return news
}

func (p *play) run() string {
	described, err := p.engine.DescribeWorkflowExecution(p.ctx, p.workflowID(), "")
	p.must(err)
	return described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// until waits for a condition.
func (p *play) until(what string, met func() bool) {
	for !met() {
		select {
		case <-p.ctx.Done():
			p.must(fmt.Errorf("waiting for %s: %w; so far: %s", what, p.ctx.Err(), types(p.book.timeline())))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// untilShown waits until the read model shows so many events of a type.
func (p *play) untilShown(of callback.EventType, n int) {
	p.until(string(of), func() bool { return count(p.book.timeline(), of) >= n })
}

func count(events []callback.Event, of callback.EventType) (n int) {
	for _, e := range events {
		if e.Fact.Type() == of {
			n++
		}
	}
	return n
}

func types(events []callback.Event) string {
	names := make([]string, len(events))
	for i, e := range events {
		names[i] = string(e.Fact.Type())
	}
	return strings.Join(names, " ")
}

// recording fetches the runs and says what each must come to: what the read model shows, as far as that run went. The
// path must have gone as it was meant to, and the workflow must say the same of its state.
func (p *play) recording(of path) []recording {
	runs := p.histories()
	p.mustBe(len(runs) == max(of.runs, 1), "it took %d runs", len(runs))
	events := p.book.timeline()
	p.mustBe(types(events) == of.want, "it went another way: %s", types(events))
	updates := 0
	recorded := make([]recording, len(runs))
	from := int64(0)
	for i, h := range runs {
		to, next := int64(len(events)), int64(0)
		for _, e := range h.GetEvents() {
			switch e.GetEventType() {
			case enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
				updates++
			case enums.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
				carried := p.carried(e)
				to = carried.State.Version
				next = to - int64(len(carried.Unprojected))
			}
		}
		state, err := callback.Fold(nil, events[:to])
		p.must(err)
		recorded[i] = recording{of.name, h, outcome{State: state, Events: events[from:to]}}
		if len(runs) > 1 {
			recorded[i].name = runName(of.name, i)
		}
		from = next
	}
	p.mustBe(updates == p.accepted, "%d commands were accepted, %d are in the history", p.accepted, updates)
	p.mustAgree(recorded[len(recorded)-1].outcome.State)
	return recorded
}

// histories are those of all runs, the oldest first.
func (p *play) histories() []*historypb.History {
	var runs []*historypb.History
	for runID := p.run(); runID != ""; {
		h, err := audit.Fetch(p.ctx, p.engine, p.workflowID(), runID)
		p.must(err)
		nameless(h)
		runs = append(runs, h)
		runID = h.Events[0].GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId()
	}
	slices.Reverse(runs)
	return runs
}

// nameless puts the worker's identity where the SDK writes the name of its host: into the names of sticky task queues.
func nameless(h *historypb.History) {
	for _, e := range h.GetEvents() {
		queue := e.GetWorkflowTaskScheduledEventAttributes().GetTaskQueue()
		if _, worker, sticky := strings.Cut(queue.GetName(), ":"); sticky && queue.GetKind() == enums.TASK_QUEUE_KIND_STICKY {
			queue.Name = identity + ":" + worker
		}
	}
}

func (p *play) carried(e *historypb.HistoryEvent) *contract.Carried {
	var in contract.Input
	input := e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetInput()
	p.must(converter.GetDefaultDataConverter().FromPayloads(input, &in))
	return in.Carried
}

func (p *play) mustAgree(state *callback.Callback) {
	value, err := p.engine.QueryWorkflow(p.ctx, p.workflowID(), "", contract.QueryState)
	p.must(err)
	var told contract.State
	p.must(value.Get(&told))
	shown, err := json.Marshal(state)
	p.must(err)
	held, err := json.Marshal(told.Callback)
	p.must(err)
	p.mustBe(string(shown) == string(held), "the read model shows %s, the workflow holds %s", shown, held)
}
