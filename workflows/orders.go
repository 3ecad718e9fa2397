package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ringback/callback"
	"ringback/contract"
)

// listen registers everything that can be said to a callback. Its state exists
// by now: an update that came with the start finds it whole.
func (r *Run) listen(ctx workflow.Context) error {
	err := workflow.SetUpdateHandlerWithOptions(ctx, contract.UpdateCreate, r.created, workflow.UpdateHandlerOptions{
		Validator: func(ctx workflow.Context, in contract.Create) error {
			_, _, err := r.again(ctx, in.Digest)
			return err
		},
		Description: "makes the promise; asked again it answers the same",
	})
	for _, register := range []func(workflow.Context, *Run) error{
		order[callback.Claim], order[callback.Start], order[callback.Attempt], order[callback.Note],
		order[callback.Escalate], order[callback.Reassign], order[callback.Release],
		order[callback.HoldClock], order[callback.Resume], order[callback.Reschedule],
		order[callback.Complete], order[callback.Cancel], order[callback.Waive],
	} {
		if err == nil {
			err = register(ctx, r)
		}
	}
	if err == nil {
		err = workflow.SetQueryHandlerWithOptions(ctx, contract.QueryState, r.tellState, workflow.QueryHandlerOptions{
			Description: "the whole state of the callback",
		})
	}
	if err == nil {
		err = workflow.SetQueryHandlerWithOptions(ctx, contract.QueryEvents, r.tellEvents, workflow.QueryHandlerOptions{
			Description: "the events after a version",
		})
	}
	workflow.Go(ctx, r.hearFacts)
	workflow.Go(ctx, r.hearCandidates)
	return err
}

// created answers the update that came with the start.
func (r *Run) created(ctx workflow.Context, in contract.Create) (contract.Outcome, error) {
	if _, again, err := r.again(ctx, in.Digest); err != nil {
		return contract.Outcome{}, err
	} else if !again {
		r.remember(workflow.GetCurrentUpdateInfo(ctx).ID, in.Digest)
	}
	return contract.Outcome{Version: r.state.Version, Events: r.since(0), Digest: in.Digest}, nil
}

// order registers the update of one command. The validator asks the rules on a
// copy, so that a refusal costs no history; the handler asks them again and
// answers at once: it never waits for the database.
func order[C callback.Command](ctx workflow.Context, r *Run) error {
	var command C
	handle := func(ctx workflow.Context, o contract.Order[C]) (contract.Outcome, error) {
		if first, again, err := r.again(ctx, o.Digest); again || err != nil {
			return r.outcomeOf(first, o.Since, o.CallerProjects), err
		}
		if f := r.stale(o.IfVersion); f != nil {
			return contract.Outcome{}, contract.Error(f)
		}
		events, f := r.state.Do(r.policy, o.Command, o.By, workflow.Now(ctx), r.worktime(ctx))
		if f != nil {
			return contract.Outcome{}, contract.Error(f)
		}
		r.journal = append(r.journal, events...)
		r.remember(workflow.GetCurrentUpdateInfo(ctx).ID, o.Digest)
		r.projected = max(r.projected, o.Since)
		if o.CallerProjects {
			events = r.since(o.Since) // what it writes must follow on what is written
		} else if len(events) > 0 {
			r.owed = r.state.Version
		}
		return contract.Outcome{Version: r.state.Version, Events: events, Digest: o.Digest}, nil
	}
	validate := func(ctx workflow.Context, o contract.Order[C]) error {
		if _, again, err := r.again(ctx, o.Digest); again || err != nil {
			return err
		}
		f := r.stale(o.IfVersion)
		if f == nil {
			_, f = r.state.Clone().Do(r.policy, o.Command, o.By, workflow.Now(ctx), r.policy.Calendar)
		}
		if f != nil {
			return contract.Error(f)
		}
		return nil
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, string(command.Name()), handle, workflow.UpdateHandlerOptions{
		Validator:   validate,
		Description: "command of a person",
	})
}

// again tells whether an earlier run has accepted the current update: the engine
// recognises a repeat within one run only. The error is that it came with another
// body then.
func (r *Run) again(ctx workflow.Context, digest string) (first contract.Heard, again bool, err error) {
	first, again = r.heard.Of(workflow.GetCurrentUpdateInfo(ctx).ID)
	if again && first.Digest != digest {
		return first, again, contract.Error(&callback.Fault{
			Code: callback.CodeIdempotencyKeyReused, Detail: "this was commanded with another body before",
		})
	}
	return first, again, nil
}

func (r *Run) remember(id, digest string) {
	r.heard = r.heard.With(contract.Heard{ID: id, Digest: digest, Version: r.state.Version})
}

// outcomeOf is the first outcome of a command, to be given again: its events are
// those that the caller lacks, as far as this run still knows them. All others
// are in the read model, or owed to it.
func (r *Run) outcomeOf(first contract.Heard, since int64, callerProjects bool) contract.Outcome {
	o := contract.Outcome{Version: first.Version, Digest: first.Digest}
	if !callerProjects {
		return o
	}
	r.projected = max(r.projected, since)
	for _, e := range r.since(since) {
		if e.Seq <= first.Version {
			o.Events = append(o.Events, e)
		}
	}
	return o
}

func (r *Run) stale(ifVersion int64) *callback.Fault {
	if ifVersion == 0 || ifVersion == r.state.Version {
		return nil
	}
	return &callback.Fault{Code: callback.CodeStaleVersion, Detail: "the callback has changed since you read it"}
}

// hearFacts takes note of what needs no answer: the customer calling in again,
// outages (R23), what has arrived after all, and tags that were taken off
// elsewhere (R09). One coroutine hears them all: an open callback has few.
func (r *Run) hearFacts(ctx workflow.Context) {
	facts := workflow.NewSelector(ctx)
	hear(ctx, facts, contract.SignalCustomerCalled, func(call contract.CustomerCalled) {
		if _, again := r.heard.Of(call.Operation); again {
			return
		}
		if r.happened(r.state.CustomerCalls(r.policy, call.By, call.TextID, workflow.Now(ctx), r.worktime(ctx))) {
			r.remember(call.Operation, "")
		}
	})
	hear(ctx, facts, contract.SignalOutageEnded, func(news callback.OutageNews) {
		r.happened(r.state.OutageEnded(r.policy, news, workflow.Now(ctx), r.worktime(ctx)))
	})
	hear(ctx, facts, contract.SignalOutageBegan, func(news callback.OutageNews) {
		r.happened(r.state.OutageBegan(r.policy, news, workflow.Now(ctx), r.worktime(ctx)))
	})
	hear(ctx, facts, contract.SignalDeliveryConfirmed, func(c contract.DeliveryConfirmed) {
		r.happened(r.state.Confirm(r.policy, c.Destination, c.Seq, workflow.Now(ctx), r.worktime(ctx)))
	})
	hear(ctx, facts, contract.SignalTagMissing, func(m contract.TagMissing) {
		r.happened(r.state.TagMissing(r.policy, m.By, workflow.Now(ctx), r.worktime(ctx)))
	})
	for ctx.Err() == nil {
		facts.Select(ctx)
	}
}

// hear has f called for every signal of a name.
func hear[T any](ctx workflow.Context, facts workflow.Selector, name string, f func(T)) {
	facts.AddReceive(workflow.GetSignalChannel(ctx, name), func(signals workflow.ReceiveChannel, _ bool) {
		var told T
		if signals.ReceiveAsync(&told) {
			f(told)
		}
	})
}

func (r *Run) tellState() (contract.State, error) {
	next, _ := r.state.Next()
	told := contract.State{Callback: r.state, NextAt: next, Projected: r.projected}
	for _, b := range r.outboxes {
		if told.Outboxes == nil {
			told.Outboxes = map[string]contract.Outbox{}
		}
		told.Outboxes[b.Name] = b.Outbox
	}
	return told, nil
}

func (r *Run) tellEvents(since int64) (contract.News, error) {
	news := contract.News{Version: r.state.Version, Events: r.since(since), From: r.state.Version + 1}
	if len(r.journal) > 0 {
		news.From = r.journal[0].Seq
	}
	return news, nil
}
