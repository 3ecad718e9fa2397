package callback

import (
	"slices"
	"time"
)

// Person is who gives a command, or whom one names: what the rules need to
// know of them.
type Person struct {
	ID string `json:"id"`
	// Rank of their tier; a higher one outranks.
	Rank   int      `json:"rank"`
	Queues []string `json:"queues,omitempty"`
	// Auditor may give no command; Admin may reassign.
	Auditor bool `json:"auditor,omitempty"`
	Admin   bool `json:"admin,omitempty"`
}

func (p Person) of(queue string) bool { return slices.Contains(p.Queues, queue) }

// CommandName is a command's name on the wire (CONTRACT §5).
type CommandName string

// The commands of people.
const (
	CommandClaim      CommandName = "claim"
	CommandStart      CommandName = "start"
	CommandAttempt    CommandName = "attempt"
	CommandNote       CommandName = "note"
	CommandEscalate   CommandName = "escalate"
	CommandReassign   CommandName = "reassign"
	CommandRelease    CommandName = "release"
	CommandHold       CommandName = "hold"
	CommandResume     CommandName = "resume"
	CommandReschedule CommandName = "reschedule"
	CommandComplete   CommandName = "complete"
	CommandCancel     CommandName = "cancel"
	CommandWaive      CommandName = "waive"
)

// CommandNames lists every command in the order of the contract.
var CommandNames = []CommandName{
	CommandClaim, CommandStart, CommandAttempt, CommandNote, CommandEscalate, CommandReassign, CommandRelease,
	CommandHold, CommandResume, CommandReschedule, CommandComplete, CommandCancel, CommandWaive,
}

// A Command is what a person wants to happen. Free text goes by its id (R26).
type Command interface {
	Name() CommandName
	// authorize asks who and whether now: what can be known without the
	// command's own content. Refusals come in the contract's order of checks.
	authorize(t *turn, by Person) *Fault
	// decide checks the content and records what happens.
	decide(t *turn, by Person) *Fault
}

// The commands.
type (
	// Claim takes a queued callback (R04).
	Claim struct{}
	// Start begins the work on it (R16).
	Start struct{}
	// Attempt records one call.
	Attempt struct {
		Disposition Disposition `json:"disposition"`
		TextID      string      `json:"text_id,omitempty"`
	}
	// Note records a private note (R12).
	Note struct {
		Kind   NoteKind `json:"kind"`
		TextID string   `json:"text_id"`
	}
	// Escalate climbs to the next tier by hand (R06).
	Escalate struct {
		TextID string `json:"text_id,omitempty"`
		// Transfer is a reservation that succeeded: it assigns at once.
		Transfer *Transfer `json:"transfer,omitempty"`
	}
	// Reassign gives the callback to somebody else, from above (R05, R07).
	Reassign struct {
		To     Person `json:"to"`
		TextID string `json:"text_id,omitempty"`
	}
	// Release puts it back in its queue.
	Release struct {
		TextID string `json:"text_id,omitempty"`
	}
	// HoldClock stops the clock.
	HoldClock struct {
		Until  Instant `json:"until"`
		TextID string  `json:"text_id,omitempty"`
	}
	// Resume lets the clock go on.
	Resume struct{}
	// Reschedule moves the promise to a time the customer asked for.
	Reschedule struct {
		For    Instant `json:"scheduled_for"`
		TextID string  `json:"text_id,omitempty"`
	}
	// Complete ends it (R09, R12, R17).
	Complete struct {
		Reason string `json:"resolution_reason"`
		// SummaryID is the call summary given with it.
		SummaryID string `json:"summary_id,omitempty"`
	}
	// Cancel ends it because the customer withdrew.
	Cancel struct {
		TextID string `json:"text_id,omitempty"`
	}
	// Waive gives up what is owed to a destination, or says that it was done there
	// by hand (R13). It may be given after the end.
	Waive struct {
		Destination string `json:"destination"`
		// Seq is the event that is owed; 0: whichever is.
		Seq          int64  `json:"seq,omitempty"`
		CopiedByHand bool   `json:"copied_by_hand,omitempty"`
		TextID       string `json:"text_id,omitempty"`
	}
)

// Transfer is a person reserved for a live transfer (R01, R06).
type Transfer struct {
	ID string `json:"id"`
	To Person `json:"to"`
}

// Name implements Command.
func (Claim) Name() CommandName      { return CommandClaim }
func (Start) Name() CommandName      { return CommandStart }
func (Attempt) Name() CommandName    { return CommandAttempt }
func (Note) Name() CommandName       { return CommandNote }
func (Escalate) Name() CommandName   { return CommandEscalate }
func (Reassign) Name() CommandName   { return CommandReassign }
func (Release) Name() CommandName    { return CommandRelease }
func (HoldClock) Name() CommandName  { return CommandHold }
func (Resume) Name() CommandName     { return CommandResume }
func (Reschedule) Name() CommandName { return CommandReschedule }
func (Complete) Name() CommandName   { return CommandComplete }
func (Cancel) Name() CommandName     { return CommandCancel }
func (Waive) Name() CommandName      { return CommandWaive }

// Do decides a command. It either refuses with a *Fault, and then nothing has
// changed, or changes the state and returns the events. What is due at now
// comes first: a command that arrives with the deadline finds it passed.
func (c *Callback) Do(p *Policy, cmd Command, by Person, now time.Time, w Worktime) ([]Event, *Fault) {
	t := c.turn(p, by.ID, now, w)
	t.advance()
	if f := t.authorize(cmd, by); f != nil {
		return nil, f
	}
	if f := cmd.decide(t, by); f != nil {
		return nil, f
	}
	return t.commit(c), nil
}

// Allowed returns the commands that the person may give at now, in the order
// of the contract: those that who, whether and when do not refuse. What a
// command contains is checked when it is given.
func (c *Callback) Allowed(p *Policy, by Person, now time.Time, w Worktime) []CommandName {
	t := c.turn(p, by.ID, now, w)
	t.advance()
	allowed := []CommandName{}
	for _, cmd := range []Command{
		Claim{}, Start{}, Attempt{}, Note{}, Escalate{}, Reassign{To: Person{Rank: t.step().Rank, Queues: []string{t.Queue}}}, Release{},
		HoldClock{}, Resume{}, Reschedule{}, Complete{}, Cancel{}, Waive{},
	} {
		if t.authorize(cmd, by) == nil {
			allowed = append(allowed, cmd.Name())
		}
	}
	return allowed
}

func (t *turn) authorize(cmd Command, by Person) *Fault {
	if _, late := cmd.(Waive); t.Status.Closed() && !(late && len(t.Owed) > 0) {
		return refuse(CodeClosed, "R09", "this callback is %s: nothing can happen to it any more", t.Status)
	}
	if r, ok := cmd.(interface{ goesDown(t *turn) bool }); ok && r.goesDown(t) {
		return refuse(CodeTransferDownForbidden, "R07", "a %s call never goes down to a lower tier", t.Tier)
	}
	switch {
	case by.Auditor:
		return refuse(CodeForbidden, "R24", "an auditor reads and gives no command")
	case by.ID == "":
		return refuse(CodeForbidden, "R24", "a command is given by somebody: this one names nobody")
	}
	return cmd.authorize(t, by)
}

// Who may.

// mustBeAssignee lets pass, while there is none, whoever could be: they are
// told to claim it, by mustBeClaimed, after what comes before that.
func (t *turn) mustBeAssignee(by Person) *Fault {
	if t.Assignee == by.ID || t.Assignee == "" && by.of(t.Queue) {
		return nil
	}
	return refuse(CodeNotAssignee, "R04", "only its assignee may do this")
}

func (t *turn) mustBeClaimed() *Fault {
	if t.Assignee == "" {
		return refuse(CodeNotClaimed, "R04", "nobody has claimed this callback yet: claim it first")
	}
	return nil
}

func (t *turn) mustBeAssigneeOrFormer(by Person) *Fault {
	if t.Former == by.ID {
		return nil // R11: who was on the call is not cut off
	}
	return t.mustBeAssignee(by)
}

func (t *turn) mustBeAssigneeOrOwner(by Person) *Fault {
	if by.ID == t.Assignee || by.ID == t.Owner {
		return nil
	}
	return refuse(CodeNotAssignee, "R05", "only its assignee or its owner may do this")
}

func (t *turn) mustNotBeHeld() *Fault {
	if t.Hold != nil {
		return refuse(CodeHeld, "", "this callback is held until %s: resume it first", t.Hold.Until)
	}
	return nil
}

func (t *turn) mustBeStarted(by Person) *Fault {
	if t.Former == by.ID || t.Status == StatusInProgress {
		return nil
	}
	if f := t.mustBeClaimed(); f != nil {
		return f
	}
	return refuse(CodeNotStarted, "R16", "set it in progress first: start it")
}

func first(checks ...func() *Fault) *Fault {
	for _, check := range checks {
		if f := check(); f != nil {
			return f
		}
	}
	return nil
}

// Claim.

func (Claim) authorize(t *turn, by Person) *Fault {
	if !by.of(t.Queue) && by.ID != t.Assignee { // whoever has it is told so
		return refuse(CodeNotYourQueue, "R04", "you do not belong to the queue %s", t.Queue)
	}
	if f := t.mustNotBeHeld(); f != nil {
		return f
	}
	if t.Assignee != "" {
		f := refuse(CodeAlreadyClaimed, "R04", "%s has already claimed this callback", t.Assignee)
		f.Holder = t.Assignee
		return f
	}
	return nil
}

func (Claim) decide(t *turn, _ Person) *Fault {
	t.enqueueEarly()
	t.record("R04", &Claimed{StartBy: t.startBy()})
	return nil
}

// enqueueEarly ends the schedule of a callback that is taken before its time.
func (t *turn) enqueueEarly() {
	if t.Status == StatusScheduled {
		t.record("", &Queued{Queue: t.Queue})
	}
}

// Start.

func (Start) authorize(t *turn, by Person) *Fault {
	return first(func() *Fault { return t.mustBeAssignee(by) }, t.mustNotBeHeld, t.mustBeClaimed)
}

func (Start) decide(t *turn, _ Person) *Fault {
	if t.Status != StatusInProgress { // starting twice is once
		t.record("R16", &Started{})
	}
	return nil
}

// Attempt.

func (Attempt) authorize(t *turn, by Person) *Fault {
	return first(
		func() *Fault { return t.mustBeAssigneeOrFormer(by) },
		t.mustNotBeHeld,
		func() *Fault { return t.mustBeStarted(by) },
	)
}

func (a Attempt) decide(t *turn, _ Person) *Fault {
	if !slices.Contains(Dispositions, a.Disposition) {
		return Invalid("disposition", "expected one of %v", Dispositions)
	}
	made := &Attempted{Number: t.Attempts + 1, Disposition: a.Disposition, TextID: a.TextID}
	if a.Disposition == Reached {
		t.record("R04", made)
		if t.ContactedAt.IsZero() {
			t.contact()
		}
		return nil
	}
	if s := t.policy.Attempts.Spacing; s > 0 {
		made.NextAttemptAt = t.now.Plus(s)
	}
	t.record("R04", made)
	if most := t.policy.Attempts.Max; most > 0 && t.Attempts == most && t.ContactedAt.IsZero() {
		t.recordAs(ActorClock, "", &Warned{Of: WarningOfAttempts, DueAt: t.DueAt, Left: t.WarnAt})
	}
	return nil
}

// contact records that the customer was reached: it meets the TAT of this tier (R10).
func (t *turn) contact() {
	c := &Contacted{Kept: t.promise().Result == ResultOpen, DueAt: t.DueAt}
	if w := t.policy.CloseWithin; w > 0 {
		c.ChaseAt = t.now.Plus(w)
	}
	t.record("R10", c)
}

// Note.

func (Note) authorize(*turn, Person) *Fault { return nil }

func (n Note) decide(t *turn, _ Person) *Fault {
	if n.Kind != KindNote && n.Kind != KindCallSummary {
		return Invalid("kind", "expected note or call_summary")
	}
	t.record("R12", &Noted{Kind: n.Kind, TextID: n.TextID})
	return nil
}

// Escalate.

func (Escalate) authorize(t *turn, by Person) *Fault {
	return first(
		func() *Fault { return t.mustBeAssigneeOrOwner(by) },
		func() *Fault {
			if t.last() {
				return refuse(CodeNoHigherTier, "R06", "%s is the last tier of this callback's ladder", t.Tier)
			}
			return nil
		},
	)
}

func (e Escalate) decide(t *turn, _ Person) *Fault {
	transferID := ""
	if e.Transfer != nil {
		next := &t.policy.Ladder[t.TierIndex+1]
		if e.Transfer.To.Rank < next.Rank || !e.Transfer.To.of(next.Queue) {
			return Invalid("transfer_id", "reserves somebody who is not of the queue %s", next.Queue)
		}
		transferID = e.Transfer.ID
	}
	t.climb("R06", byHand, e.TextID, transferID)
	if e.Transfer != nil {
		t.record("R06", &Assigned{To: e.Transfer.To.ID, By: AssignDirect, TransferID: transferID, StartBy: t.startBy()})
		return nil
	}
	t.assignDirect()
	return nil
}

// Reassign.

func (r Reassign) goesDown(t *turn) bool { return r.To.Rank < t.step().Rank }

func (r Reassign) authorize(t *turn, by Person) *Fault {
	rule := Rule("R05")
	if t.TierIndex > 0 {
		rule = "R07"
	}
	if by.Rank <= t.step().Rank && !by.Admin {
		return refuse(CodeForbidden, rule, "only somebody above the tier %s may reassign this callback", t.Tier)
	}
	if !r.To.of(t.Queue) {
		return refuse(CodeNotYourQueue, rule, "whoever gets it must belong to the queue %s", t.Queue)
	}
	return nil
}

func (r Reassign) decide(t *turn, _ Person) *Fault {
	if r.To.ID == t.Assignee {
		f := refuse(CodeAlreadyClaimed, "R04", "%s already has this callback", t.Assignee)
		f.Holder = t.Assignee
		return f
	}
	t.enqueueEarly()
	e := &Reassigned{From: t.Assignee, To: r.To.ID, TextID: r.TextID, StartBy: t.startBy()}
	if t.Owner != "" && t.OwnerTier == t.TierIndex {
		e.Owner = r.To.ID // the owner's role itself is given away (R05)
	}
	rule := Rule("R05")
	if t.TierIndex > 0 {
		rule = "R07"
	}
	t.record(rule, e)
	return nil
}

// Release.

func (Release) authorize(t *turn, by Person) *Fault {
	return first(func() *Fault { return t.mustBeAssignee(by) }, t.mustBeClaimed)
}

func (r Release) decide(t *turn, _ Person) *Fault {
	t.record("R04", &Released{From: t.Assignee, By: byHand, TextID: r.TextID})
	return nil
}

// Hold and resume.

func (HoldClock) authorize(t *turn, by Person) *Fault {
	return first(
		func() *Fault { return t.mustBeAssigneeOrOwner(by) },
		t.mustNotBeHeld,
		func() *Fault {
			if t.missed() {
				return refuse(CodeHeld, "R10", "the promise has passed: it can no longer be held")
			}
			return nil
		},
	)
}

// missed reports whether the promise of this tier has passed unmet: then there
// is no clock to hold.
func (t *turn) missed() bool { return t.Breached && t.ContactedAt.IsZero() }

func (h HoldClock) decide(t *turn, _ Person) *Fault {
	most := t.now.Plus(t.policy.holdMax())
	if !h.Until.After(t.now.Time) || h.Until.After(most.Time) {
		return Invalid("until", "expected a time in the future, at most %s from now", t.policy.holdMax())
	}
	e := t.holding(h.Until)
	e.TextID = h.TextID
	t.record("", e)
	return nil
}

// holding is the clock standing still from now on until an instant.
func (t *turn) holding(until Instant) *Held {
	e := &Held{Until: until, DueAt: t.DueAt}
	if t.running() {
		to := make([]time.Time, 0, len(t.WarnAt)+1)
		for _, w := range t.WarnAt {
			to = append(to, w.Time)
		}
		left := t.work.Spans(t.countsFrom(t.now).Time, append(to, t.DueAt.Time)...)
		p := t.promiseAfter(t.countsFrom(until), left)
		e.DueAt, e.WarnAt = p.DueAt, p.WarnAt
		e.Remaining, e.WarnIn = left[len(left)-1], left[:len(left)-1]
	}
	return e
}

// countsFrom is where the promise counts from at an instant: not before the
// time that the customer asked for.
func (t *turn) countsFrom(at Instant) Instant {
	if t.Status == StatusScheduled && t.ScheduledFor.After(at.Time) {
		return t.ScheduledFor
	}
	return at
}

func (Resume) authorize(t *turn, by Person) *Fault {
	if f := t.mustBeAssigneeOrOwner(by); f != nil {
		return f
	}
	if t.Hold == nil {
		return refuse(CodeHeld, "", "this callback is not held")
	}
	return nil
}

func (Resume) decide(t *turn, _ Person) *Fault {
	t.resumeNow()
	return nil
}

func (t *turn) resumeNow() {
	t.resume(t.now, t.promiseNow())
	t.advance() // its scheduled time may have come meanwhile
}

// promiseNow is the promise of a held callback whose clock goes on now.
func (t *turn) promiseNow() Promise {
	if !t.running() {
		return Promise{DueAt: t.DueAt, WarnAt: t.WarnAt}
	}
	return t.promiseAfter(t.countsFrom(t.now), append(slices.Clone(t.Hold.WarnIn), t.Hold.Remaining))
}

// Reschedule.

func (Reschedule) authorize(t *turn, by Person) *Fault { return t.mustBeAssigneeOrOwner(by) }

func (r Reschedule) decide(t *turn, _ Person) *Fault {
	if !r.For.After(t.now.Time) {
		return Invalid("scheduled_for", "expected a time in the future")
	}
	p := t.promiseFrom(r.For, t.step())
	if !p.DueAt.writable() {
		return Invalid("scheduled_for", "expected a time before the year 10000")
	}
	t.record("R02", &Rescheduled{For: r.For, Promise: p, TextID: r.TextID})
	return nil
}

// Complete and cancel.

func (Complete) authorize(t *turn, by Person) *Fault { return Attempt{}.authorize(t, by) }

func (c Complete) decide(t *turn, by Person) *Fault {
	if c.Reason == "" {
		return refuse(CodeResolutionReasonRequired, "R17", "say why it can be closed: give a resolution reason of the policy")
	}
	reason, known := t.policy.Reason(c.Reason)
	switch {
	case !known:
		return refuse(CodeUnknownResolutionReason, "R17", "that is not a resolution reason of the policy %s", t.Policy)
	case t.policy.Completion.Contact && !reason.WithoutContact && t.ContactedAt.IsZero():
		return refuse(CodeContactRequired, "R09", "the customer has not been reached at the tier %s yet", t.Tier)
	case t.Unreached < reason.AfterAttempts:
		return refuse(CodeAttemptsLeft, "R09", "%d of %d attempts made: try again before closing without contact", t.Unreached, reason.AfterAttempts)
	case t.policy.Completion.CallSummary && c.SummaryID == "" && !slices.Contains(t.Summaries, by.ID):
		return refuse(CodeCallSummaryRequired, "R12", "write a call summary")
	}
	if c.SummaryID != "" {
		t.record("R12", &Noted{Kind: KindCallSummary, TextID: c.SummaryID})
	}
	served := !reason.WithoutContact
	t.record("R17", &Completed{Reason: c.Reason, Served: served, TextID: c.SummaryID})
	t.untag(served)
	return nil
}

func (Cancel) authorize(t *turn, by Person) *Fault {
	if t.accountable(by) {
		return nil
	}
	return refuse(CodeForbidden, "R05", "only its owner, a manager or above may cancel")
}

// accountable reports whether somebody is its owner, a manager or above.
func (t *turn) accountable(by Person) bool {
	return by.ID == t.Owner || (t.policy.CancelRank > 0 && by.Rank >= t.policy.CancelRank)
}

func (c Cancel) decide(t *turn, _ Person) *Fault {
	t.record("R09", &Cancelled{TextID: c.TextID})
	t.untag(false)
	return nil
}

// Waive.

func (Waive) authorize(t *turn, by Person) *Fault {
	if by.ID != t.Assignee && !t.accountable(by) && !by.Admin {
		return refuse(CodeForbidden, "R13", "only its assignee, its owner, a manager or above, or an administrator may give up what is owed")
	}
	if len(t.Owed) == 0 {
		return refuse(CodeNotFound, "", "nothing is owed to any other system")
	}
	return nil
}

func (w Waive) decide(t *turn, _ Person) *Fault {
	debt, owed := t.Debt(w.Destination)
	if !owed || w.Seq != 0 && w.Seq != debt.Seq {
		return refuse(CodeNotFound, "", "that is not owed, or not any more")
	}
	e := &Delivered{Destination: debt.Destination, Seq: debt.Seq, By: DeliveredByWaiving, TextID: w.TextID}
	if w.CopiedByHand {
		e.By = DeliveredByHand
	}
	t.record("R13", e)
	return nil
}

// untag takes the tag off at the end, or replaces it (R08, R09).
func (t *turn) untag(served bool) {
	tag := t.policy.Tag
	if tag.Required == "" {
		return
	}
	t.record("R09", &Untagged{Tag: tag.Required})
	after := tag.Unserved
	if served {
		after = tag.Done
	}
	if after != "" {
		t.record("R09", &Tagged{Tag: after})
	}
}
