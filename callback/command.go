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

// Claim.

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

func (Start) decide(t *turn, _ Person) *Fault {
	if t.Status != StatusInProgress { // starting twice is once
		t.record("R16", &Started{})
	}
	return nil
}

// Attempt.

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

func (n Note) decide(t *turn, _ Person) *Fault {
	if n.Kind != KindNote && n.Kind != KindCallSummary {
		return Invalid("kind", "expected note or call_summary")
	}
	t.record("R12", &Noted{Kind: n.Kind, TextID: n.TextID})
	return nil
}

// Escalate.

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
	t.record(t.fromAbove(), e)
	return nil
}

// Release.

func (r Release) decide(t *turn, _ Person) *Fault {
	t.record("R04", &Released{From: t.Assignee, By: byHand, TextID: r.TextID})
	return nil
}

// Hold and resume.

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
	if t.policy.Edition >= EditionWorkingHolds {
		e.CountsFrom = t.countsFrom(t.now)
	}
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
	from := t.countsFrom(t.now)
	// Whatever became of it meanwhile: who was given it before the time that the
	// customer asked for has not got an earlier promise to keep (R27).
	if t.Hold.CountsFrom.After(from.Time) {
		from = t.Hold.CountsFrom
	}
	return t.promiseAfter(from, append(slices.Clone(t.Hold.WarnIn), t.Hold.Remaining))
}

// Reschedule.

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

func (c Cancel) decide(t *turn, _ Person) *Fault {
	t.record("R09", &Cancelled{TextID: c.TextID})
	t.untag(false)
	return nil
}

// Waive.

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
