package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// What is sent with the commands.
type (
	nothing     struct{}
	attemptBody struct {
		Disposition string  `json:"disposition" enum:"reached,no_answer,busy,voicemail,wrong_number,call_dropped,refused"`
		Note        *string `json:"note" required:"false" maxLength:"20000"`
	}
	noteBody struct {
		Kind string `json:"kind" enum:"note,call_summary"`
		Body string `json:"body" pattern:"\\S" patternDescription:"some text" maxLength:"20000"`
	}
	escalateBody struct {
		Reason     string  `json:"reason" pattern:"\\S" patternDescription:"some text" maxLength:"4000"`
		TransferID *string `json:"transfer_id" required:"false" maxLength:"100" doc:"a live transfer that succeeded: assigns at once (R06)"`
	}
	customerCalledBody struct {
		Note *string `json:"note" required:"false" maxLength:"20000"`
	}
	reassignBody struct {
		To     string `json:"to" minLength:"1" maxLength:"200" doc:"a staff id"`
		Reason string `json:"reason" pattern:"\\S" patternDescription:"some text" maxLength:"4000"`
	}
	reasonBody struct {
		Reason string `json:"reason" pattern:"\\S" patternDescription:"some text" maxLength:"4000"`
	}
	holdBody struct {
		Reason string `json:"reason" pattern:"\\S" patternDescription:"some text" maxLength:"4000"`
		Until  moment `json:"until" doc:"the clock goes on then at the latest; at most hold.max of the policy from now"`
	}
	rescheduleBody struct {
		ScheduledFor moment `json:"scheduled_for" doc:"when the customer asked to be called"`
		Reason       string `json:"reason" pattern:"\\S" patternDescription:"some text" maxLength:"4000"`
	}
	completeBody struct {
		ResolutionReason *string `json:"resolution_reason" required:"false" maxLength:"100" doc:"one of the policy's (R17)"`
		CallSummary      *string `json:"call_summary" required:"false" maxLength:"20000" doc:"may have been given before, as a note (R12)"`
	}
)

// build turns what was sent into a command; text is staged with e.text.
type build[B any, C callback.Command] func(ctx context.Context, r *request, e *errand, b *B) (C, error)

// command is the operation of one command of people.
func command[B any, C callback.Command](a *API, path, summary, doc string, codes []callback.Code, built build[B, C]) *operation {
	var body B
	var zero C
	_, bare := any(body).(nothing)
	_, completes := any(body).(completeBody)
	return &operation{
		method: http.MethodPost, path: "/v1/callbacks/{id}/" + path, id: string(zero.Name()), tag: "commands", access: accessCommand,
		summary: summary, doc: doc, body: body, bodyOptional: bare || completes, conditional: true,
		answers: []reply{
			{http.StatusOK, "the callback", Callback{}, ""},
			{http.StatusAccepted, "accepted and durable, but not shown in lists yet; a repeat with the same key becomes 200", Accepted{}, ""},
		},
		refusals: append(codes, callback.CodeClosed),
		serve: func(ctx context.Context, r *request) (*answer, error) {
			return a.order(ctx, r, zero.Name(), func() (func(context.Context, *errand) (sender, error), error) {
				b, err := decode[B](a, r)
				return func(ctx context.Context, e *errand) (sender, error) {
					c, err := built(ctx, r, e, b)
					return orderOf(a, c), err
				}, err
			}, nil)
		},
	}
}

// sender gives a command to the engine.
type sender func(ctx context.Context, e *errand, v *book.View) (contract.Outcome, error)

func orderOf[C callback.Command](a *API, c C) sender {
	return func(ctx context.Context, e *errand, v *book.View) (contract.Outcome, error) {
		o := contract.Order[C]{By: e.who.person(), IfVersion: e.ifVersion, Digest: e.Digest, Command: c}
		if v != nil {
			o.Since, o.CallerProjects = v.State.Version, true
		}
		return a.engine.Command(ctx, e.CallbackID, e.ID, c.Name(), o)
	}
}

// order finds the callback, reads the body and carries the command; give makes
// the answer, nil: 200 with the callback.
func (a *API) order(
	ctx context.Context, r *request, name callback.CommandName,
	read func() (func(context.Context, *errand) (sender, error), error),
	give func(e *errand, v book.View) (*answer, error),
) (*answer, error) {
	view, dbAway, err := a.find(ctx, r)
	if err != nil {
		return nil, err
	}
	prepare, err := read()
	if err != nil {
		return nil, err
	}
	w := &work{
		name: string(name), callbackID: r.callbackID, view: view, away: dbAway,
		evenClosed: name == callback.CommandWaive, // what is owed is owed after the end too
	}
	w.prepare = func(ctx context.Context, e *errand) error {
		send, err := prepare(ctx, e)
		if err != nil {
			return err
		}
		var policy *callback.Policy
		if view != nil {
			if policy, err = a.policyOf(ctx, view.Intake); err != nil {
				return err
			}
		}
		e.check = r.who.isStaff
		if late := e.late; late != nil {
			e.check = func() error {
				if err := r.who.isStaff(); err != nil {
					return err
				}
				return late(view, policy)
			}
		}
		accepted := e.accepted
		e.accepted = func() {
			if accepted != nil {
				accepted()
			}
			a.accepted(name, r.who, view)
		}
		e.send = func(ctx context.Context, blind bool) (contract.Outcome, error) {
			if blind {
				return send(ctx, e, nil)
			}
			return send(ctx, e, view)
		}
		e.answer = func(v book.View) (*answer, error) {
			if give != nil {
				return give(e, v)
			}
			return a.answerCallback(http.StatusOK, a.show(v, policy, r.who))
		}
		return nil
	}
	return a.carry(ctx, r, w)
}

// find reads the callback that a request names; dbAway: it cannot be told.
func (a *API) find(ctx context.Context, r *request) (v *book.View, dbAway, err error) {
	view, err := a.book.Callback(ctx, r.callbackID)
	switch {
	case errors.Is(err, book.ErrNotFound):
		return nil, nil, notFound()
	case away(err):
		return nil, err, nil
	case err != nil:
		return nil, nil, err
	}
	return &view, nil, nil
}

// policyOf is the policy that was pinned into a callback; nil where nobody
// knows it: its workflow was started by other means.
func (a *API) policyOf(ctx context.Context, in book.Intake) (*callback.Policy, error) {
	if in.PolicyHash != "" {
		p, err := a.book.Policy(ctx, in.PolicyHash)
		if !errors.Is(err, book.ErrNotFound) {
			return p, err
		}
	}
	if p, known := a.config.Policies[in.Policy]; known {
		return p.Pin(in.LOB, ""), nil
	}
	return nil, nil //nolint:nilnil // documented
}

func (a *API) answerCallback(status int, c Callback) (*answer, error) {
	body, err := encode(c)
	given := &answer{status: status, etag: etag(c.Version), body: body}
	if status == http.StatusCreated {
		given.location = c.Links.Self
	}
	return given, err
}

func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// accepted does what an accepted command brings about beside the callback.
// Nobody waits for it, and nothing is lost without it.
func (a *API) accepted(name callback.CommandName, who Principal, before *book.View) {
	switch name {
	case callback.CommandStart:
		a.later.do(func(ctx context.Context) {
			if err := a.book.MakeBusy(ctx, who.ID, a.instant()); err != nil {
				a.log.WarnContext(ctx, "presence could not be set", "principal", who.ID, "error", err.Error())
			}
		})
	case callback.CommandComplete, callback.CommandRelease, callback.CommandCancel,
		callback.CommandReassign, callback.CommandEscalate, callback.CommandReschedule:
		if before != nil && before.State.Assignee != "" {
			a.cameFree(before.State.Assignee)
		}
	case callback.CommandClaim, callback.CommandAttempt, callback.CommandNote, callback.CommandHold, callback.CommandResume,
		callback.CommandWaive:
	}
}

// commandOperations are the commands of people, in the order of the contract.
func (a *API) commandOperations() []*operation {
	assignee := []callback.Code{callback.CodeNotAssignee, callback.CodeNotClaimed, callback.CodeHeld}
	return []*operation{
		command(a, "claim", "Take it", "The caller becomes assignee; whoever first does also becomes owner (R04, R05).",
			[]callback.Code{callback.CodeNotYourQueue, callback.CodeAlreadyClaimed, callback.CodeHeld},
			func(context.Context, *request, *errand, *nothing) (callback.Claim, error) {
				return callback.Claim{}, nil
			}),
		command(a, "start", "Set it in progress", "Attempts and completion need it (R16).", assignee,
			func(context.Context, *request, *errand, *nothing) (callback.Start, error) {
				return callback.Start{}, nil
			}),
		command(a, "attempts", "Record one call", "`reached` sets `contacted_at` and meets the TAT.",
			append(assignee, callback.CodeNotStarted), makeAttempt),
		command(a, "escalate", "Hand it to the next tier",
			"A fresh TAT; the owner stays. With a reservation it is assigned to that person at once (R06).",
			[]callback.Code{callback.CodeNotAssignee, callback.CodeNoHigherTier, callback.CodeNoneAvailable}, a.makeEscalate),
		a.customerCalled(),
		command(a, "reassign", "Give it to somebody else", "From above, and never down (R05, R07).",
			[]callback.Code{callback.CodeNotYourQueue, callback.CodeTransferDownForbidden, callback.CodeAlreadyClaimed}, a.makeReassign),
		command(a, "release", "Put it back in its queue", "", []callback.Code{callback.CodeNotAssignee, callback.CodeNotClaimed},
			func(_ context.Context, _ *request, e *errand, b *reasonBody) (callback.Release, error) {
				return callback.Release{TextID: e.text(book.TextReason, b.Reason)}, nil
			}),
		command(a, "hold", "Stop the clock", "The remaining working time is kept; `due_at` is at once the value for `until`.",
			[]callback.Code{callback.CodeNotAssignee, callback.CodeHeld}, makeHold),
		command(a, "resume", "Let the clock go on", "", []callback.Code{callback.CodeNotAssignee, callback.CodeHeld},
			func(context.Context, *request, *errand, *nothing) (callback.Resume, error) {
				return callback.Resume{}, nil
			}),
		command(a, "reschedule", "The customer asked for another time",
			"`due_at` = `scheduled_for` + TAT; tier and owner stay, the assignee is cleared, a breach is not undone.",
			[]callback.Code{callback.CodeNotAssignee}, a.makeReschedule),
		command(a, "complete", "End it", "Takes what the policy asks for: contact, a call summary, a resolution reason (R09, R12, R17).",
			append(assignee, callback.CodeNotStarted, callback.CodeResolutionReasonRequired, callback.CodeUnknownResolutionReason,
				callback.CodeContactRequired, callback.CodeAttemptsLeft, callback.CodeCallSummaryRequired),
			func(_ context.Context, _ *request, e *errand, b *completeBody) (callback.Complete, error) {
				return callback.Complete{
					Reason: deref(b.ResolutionReason), SummaryID: e.text(book.TextCallSummary, deref(b.CallSummary)),
				}, nil
			}),
		command(a, "cancel", "The customer withdrew", "Its owner, a manager or above.", nil,
			func(_ context.Context, _ *request, e *errand, b *reasonBody) (callback.Cancel, error) {
				return callback.Cancel{TextID: e.text(book.TextReason, b.Reason)}, nil
			}),
	}
}

func makeAttempt(_ context.Context, _ *request, e *errand, b *attemptBody) (callback.Attempt, error) {
	return callback.Attempt{
		Disposition: callback.Disposition(b.Disposition), TextID: e.text(book.TextNote, deref(b.Note)),
	}, nil
}

func makeHold(_ context.Context, _ *request, e *errand, b *holdBody) (callback.HoldClock, error) {
	if err := within("until", b.Until.Instant); err != nil {
		return callback.HoldClock{}, err
	}
	return callback.HoldClock{Until: b.Until.Instant, TextID: e.text(book.TextReason, b.Reason)}, nil
}

func (a *API) makeReschedule(_ context.Context, _ *request, e *errand, b *rescheduleBody) (callback.Reschedule, error) {
	at := b.ScheduledFor.Instant
	if err := within("scheduled_for", at); err != nil {
		return callback.Reschedule{}, err
	}
	if err := a.soonEnough(at); err != nil && !e.taken {
		return callback.Reschedule{}, err
	}
	return callback.Reschedule{For: at, TextID: e.text(book.TextReason, b.Reason)}, nil
}

// within refuses instants that no desk means.
func within(path string, at callback.Instant) error {
	if at.Before(earliest) || !at.Before(latest) {
		return callback.Invalid(path, "expected a time between the years 1970 and 9999")
	}
	return nil
}

func (a *API) makeReassign(ctx context.Context, _ *request, e *errand, b *reassignBody) (callback.Reassign, error) {
	everybody, err := a.people.everybody(ctx)
	if err != nil {
		return callback.Reassign{}, err
	}
	to, known := everybody[b.To]
	if !known {
		return callback.Reassign{}, callback.Invalid("to", "expected the id of somebody of the staff")
	}
	if person(to).Auditor {
		return callback.Reassign{}, callback.Invalid("to", "expected somebody who may give commands: an auditor could do nothing with it")
	}
	return callback.Reassign{To: person(to), TextID: e.text(book.TextReason, b.Reason)}, nil
}

func (a *API) makeEscalate(ctx context.Context, r *request, e *errand, b *escalateBody) (callback.Escalate, error) {
	c := callback.Escalate{TextID: e.text(book.TextReason, b.Reason)}
	if b.TransferID == nil {
		return c, nil
	}
	e.needsBook = true
	everybody, err := a.people.everybody(ctx)
	if err != nil {
		return c, err
	}
	c.Transfer = &callback.Transfer{ID: *b.TransferID}
	reserved, err := a.book.Reservation(ctx, *b.TransferID)
	to := everybody[reserved.StaffID]
	switch {
	case err != nil && !errors.Is(err, book.ErrNotFound):
		return c, err
	case e.taken && (to == nil || reserved.ErrandID != e.ID):
		// If the first try was accepted its outcome is given again, whoever it gave it
		// to; if not, this is refused.
		return c, nil
	case err != nil, reserved.By != r.who.ID, to == nil:
		bare := callback.Escalate{TextID: c.TextID}
		e.late = a.unless(bare, r.who, callback.Invalid("transfer_id", "expected the id of a transfer that you have reserved"))
		return c, nil //nolint:nilerr // that there is none is told later
	}
	c.Transfer.To = person(to)
	if !e.taken && (!reserved.UsedAt.IsZero() || reserved.ExpiresAt.Reached(e.CreatedAt)) {
		e.late = a.unless(c, r.who, refuse(callback.CodeNoneAvailable, "R01", "the reservation has lapsed or was used: reserve again"))
		return c, nil
	}
	e.reservation = reserved.ID
	e.accepted = func() {
		a.later.do(func(ctx context.Context) {
			if err := a.book.Transferred(ctx, reserved.ID); err != nil {
				a.log.WarnContext(ctx, "whoever took a transfer could not be set busy", "error", err.Error())
			}
		})
	}
	return c, nil
}

// unless refuses a command for what is only known here, unless the rules refuse
// it anyway: who may not give it at all is told so first.
func (a *API) unless(c callback.Command, who Principal, refusal *callback.Fault) func(*book.View, *callback.Policy) error {
	return func(v *book.View, p *callback.Policy) error {
		if v != nil && knows(p, v.State) {
			if _, f := v.State.Clone().Do(p, c, who.person(), a.now(), p.Calendar); f != nil {
				return f
			}
		}
		return refusal
	}
}

// customerCalled is a fact, not a command: it is signalled, and refused only
// where there is nobody to tell.
func (a *API) customerCalled() *operation {
	return &operation{
		method: http.MethodPost, path: "/v1/callbacks/{id}/customer-called", id: contract.SignalCustomerCalled, tag: "commands", access: accessTell,
		summary: "The customer called in again",
		doc:     "On the timeline soon after, and while it is queued first in the queue.",
		body:    customerCalledBody{}, bodyOptional: true, conditional: true,
		answers:  []reply{{http.StatusAccepted, "the callback, as it was", Callback{}, ""}},
		refusals: []callback.Code{callback.CodeClosed},
		serve: func(ctx context.Context, r *request) (*answer, error) {
			view, dbAway, err := a.find(ctx, r)
			if err == nil && view == nil {
				err = dbAway // what is answered is in the database
			}
			if err != nil {
				return nil, err
			}
			b, err := decode[customerCalledBody](a, r)
			if err != nil {
				return nil, err
			}
			policy, err := a.policyOf(ctx, view.Intake)
			if err != nil {
				return nil, err
			}
			w := &work{name: contract.SignalCustomerCalled, callbackID: r.callbackID, view: view, local: true}
			w.prepare = func(_ context.Context, e *errand) error {
				// A signal, unlike an update, has no id by which the engine would know it again: the
				// operation's is the callback's to remember.
				call := contract.CustomerCalled{By: e.who.ID, TextID: e.text(book.TextNote, deref(b.Note)), Operation: e.ID}
				e.check, e.needsBook = r.may, true
				e.send = func(ctx context.Context, _ bool) (contract.Outcome, error) {
					return contract.Outcome{Digest: e.Digest}, a.engine.CustomerCalled(ctx, e.CallbackID, call)
				}
				e.answer = func(v book.View) (*answer, error) {
					given, err := a.answerCallback(http.StatusAccepted, a.show(v, policy, r.who))
					given.location = callbackPath(r.callbackID)
					return given, err
				}
				e.unsettled = func() (*answer, error) { return e.answer(*view) }
				return nil
			}
			return a.carry(ctx, r, w)
		},
	}
}
