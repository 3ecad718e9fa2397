package callback

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errOther = errors.New("another error")

func TestR02_PromiseIsFixedWhenItIsMade(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	require.Equal(t, []EventType{TypeRequested, TypeTagged, TypeQueued}, types(f.events))
	require.Equal(t, StatusQueued, f.Status)
	require.Equal(t, f.at(time.Hour), f.DueAt)
	require.Equal(t, At(monday), f.RequestedAt)
	require.Equal(t, assoc1.ID, f.RequestedBy)
	require.Equal(t, Place{TierIndex: 0, Tier: "supervisor", Queue: "Supervisors - RM"}, f.Place)
	require.Empty(t, f.Owner+f.Assignee, "R05: before the first assignee there is no owner")
	require.Equal(t, []Outcome{{
		Tier: "supervisor", Queue: "Supervisors - RM", MadeAt: At(monday), DueAt: f.at(time.Hour), Result: ResultOpen,
	}}, f.Promises)

	f.does(sup1, Claim{})
	f.does(sup1, Start{})
	f.does(sup1, Attempt{Disposition: NoAnswer})
	f.does(sup1, Release{})
	f.does(sup2, Claim{})
	f.does(mgr1, Reassign{To: sup3})
	f.does(assoc1, Note{Kind: KindNote, TextID: "n"})
	f.customerCalls(assoc1.ID)
	f.passes(59 * time.Minute)
	require.Equal(t, f.at(time.Hour), f.DueAt, "nothing of this moves it")
}

func TestR02_PromiseInWorkingTime(t *testing.T) {
	t.Parallel()
	kolkata := calendarHours("Asia/Kolkata", "mon-fri", "09:00-13:00 14:00-18:00")
	p := supervisorCallback(func(p *Policy) { p.Calendar = kolkata })
	// Monday 15:30 in India; two hours and a half are left of the day.
	f := openFloor(t, p)
	require.Equal(t, f.at(time.Hour), f.DueAt)
	f.passes(time.Hour)
	require.Equal(t, f.at(2*time.Hour), f.DueAt)
	// The manager's promise, held 10 minutes before it ends until Tuesday 12:55:
	// five minutes before lunch, five after.
	f.works(mgr1)
	f.passes(50 * time.Minute)
	f.does(mgr1, HoldClock{Until: At(calendarTime(t, "2026-11-24T12:55:00+05:30"))})
	require.Equal(t, At(calendarTime(t, "2026-11-24T14:05:00+05:30")), f.DueAt)
	require.Equal(t, 10*minute, f.Hold.Remaining)
}

func TestR02_ScheduledForLater(t *testing.T) {
	t.Parallel()
	f := requestFloor(t, supervisorCallback(), Request{ID: "c1", By: assoc1.ID, At: At(monday), ScheduledFor: At(monday.Add(5 * time.Hour)), Parent: "c0"})
	require.Equal(t, []EventType{TypeRequested, TypeTagged, TypeScheduled}, types(f.events))
	require.Equal(t, StatusScheduled, f.Status)
	require.Equal(t, "c0", f.Parent, "R21")
	require.Equal(t, f.at(5*time.Hour), f.ScheduledFor)
	require.Equal(t, f.at(6*time.Hour), f.DueAt)
	next, ok := f.Next()
	require.True(t, ok)
	require.Equal(t, f.at(5*time.Hour), next)
	f.passes(5*time.Hour - time.Millisecond)
	require.Equal(t, StatusScheduled, f.Status)
	f.passes(time.Millisecond)
	require.Equal(t, StatusQueued, f.Status)
	require.Equal(t, ActorClock, f.events[len(f.events)-1].Actor)

	early := requestFloor(t, supervisorCallback(), Request{ID: "c2", By: assoc1.ID, At: At(monday), ScheduledFor: At(monday.Add(5 * time.Hour))})
	require.Equal(t, []EventType{TypeQueued, TypeClaimed}, types(early.does(sup1, Claim{})), "taken before its time")
	_, queued := last[*Queued](early)
	require.Equal(t, "Supervisors - RM", queued.Queue)
	require.Equal(t, sup1.ID, early.events[len(early.events)-2].Actor, "no clock did that")
	require.Equal(t, early.at(6*time.Hour), early.DueAt)
}

func TestR04_OneSupervisorAtATime(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	won := 0
	for range 2 {
		for _, by := range []Person{sup1, sup2, sup3} {
			if _, fault := f.Do(f.policy, Claim{}, by, f.now, f.work()); fault == nil {
				won++
			} else {
				require.Equal(t, CodeAlreadyClaimed, fault.Code)
			}
		}
	}
	require.Equal(t, 1, won)
	require.Equal(t, sup1.ID, f.Assignee)
}

func TestR05_FirstAssigneeOwnsToTheEnd(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(executives))
	f.does(sup1, Claim{})
	require.Equal(t, sup1.ID, f.Owner)
	f.does(sup1, Release{})
	require.Equal(t, [2]string{"sup1", ""}, [2]string{f.Owner, f.Assignee})
	f.does(sup2, Claim{})
	require.Equal(t, [2]string{"sup1", "sup2"}, [2]string{f.Owner, f.Assignee})
	f.does(sup2, Escalate{})
	f.does(mgr1, Claim{})
	f.does(exec1, Reassign{To: mgr2})
	require.Equal(t, [2]string{"sup1", "mgr2"}, [2]string{f.Owner, f.Assignee}, "the manager's role, not the owner's")
	f.passes(time.Hour)
	f.reaches(exec1)
	f.does(exec1, Complete{Reason: "resolved", SummaryID: "s"})
	require.Equal(t, [2]string{"sup1", "exec1"}, [2]string{f.Owner, f.Assignee}, "both stay after close")
}

func TestR05_OwnerIsWhoeverComesFirstAtAnyTier(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.passes(time.Hour)
	require.Equal(t, "manager", f.Tier)
	require.Empty(t, f.Owner)
	f.does(mgr1, Claim{})
	require.Equal(t, [2]any{"mgr1", 1}, [2]any{f.Owner, f.OwnerTier})

	f = openFloor(t, supervisorCallback())
	f.does(mgr1, Reassign{To: sup2})
	require.Equal(t, "sup2", f.Owner, "reassigned before anybody claimed")
	_, reassigned := last[*Reassigned](f)
	require.Empty(t, reassigned.Owner, "nobody's role was given away")
}

func TestR05_ReassignOfTheOwnersRole(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.works(sup1)
	events := f.does(mgr1, Reassign{To: sup2, TextID: "why"})
	require.Len(t, events, 1)
	e, fact := last[*Reassigned](f)
	require.Equal(t, &Reassigned{From: "sup1", To: "sup2", Owner: "sup2", TextID: "why", StartBy: f.at(15 * time.Minute)}, fact)
	require.Equal(t, [2]string{"mgr1", "R05"}, [2]string{e.Actor, string(e.Rule)})
	require.Equal(t, [2]string{"sup2", "sup2"}, [2]string{f.Owner, f.Assignee})
	require.Equal(t, StatusClaimed, f.Status, "the new one has to start")
	f.refuses(CodeNotStarted, "R16", sup2, Attempt{Disposition: Reached})
	f.refuses(CodeNotAssignee, "R04", sup1, Attempt{Disposition: Reached})
	f.does(adm, Reassign{To: sup3})
	require.Equal(t, "sup3", f.Owner, "an admin may as well")
	f.does(sup3, Escalate{})
	f.does(mgr1, Claim{})
	f.does(exec1, Reassign{To: mgr2})
	e, fact = last[*Reassigned](f)
	require.Empty(t, fact.Owner)
	require.Equal(t, Rule("R07"), e.Rule)
}

func TestR06_FreshPromisePerTier(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(func(p *Policy) {
		p.Ladder[1].TAT, p.Ladder[1].WarnAt = 2*hour, []Warning{"30m"}
	}))
	f.works(sup1)
	f.passes(40 * time.Minute)
	f.does(sup1, Attempt{Disposition: Reached})
	f.does(sup1, Note{Kind: KindCallSummary, TextID: "s"})
	require.Equal(t, f.at(40*time.Minute), f.ContactedAt)
	f.does(sup1, Escalate{TextID: "asked for a manager"})
	e, x := last[*Escalated](f)
	require.Equal(t, &Escalated{
		Place: Place{1, "manager", "Managers - RM"}, FromTier: "supervisor", By: "hand",
		DueAt: f.at(time.Hour), NewDueAt: f.at(160 * time.Minute), WarnAt: []Instant{f.at(130 * time.Minute)}, TextID: "asked for a manager",
	}, x)
	require.Equal(t, [3]string{"sup1", "R06", "manager"}, [3]string{e.Actor, string(e.Rule), e.Tier})
	require.Equal(t, StatusQueued, f.Status)
	require.Equal(t, f.at(160*time.Minute), f.DueAt)
	require.Equal(t, 1, f.Escalations)
	require.True(t, f.CallbackRequired, "the tag stays")
	require.Equal(t, "sup1", f.Owner)
	require.Empty(t, f.Assignee)
	require.Empty(t, f.Former, "nobody was cut off")
	require.True(t, f.ContactedAt.IsZero() && f.WarnedAt.IsZero() && f.NextAttemptAt.IsZero(), "a contact counts for its own tier only")

	f.works(mgr1)
	f.refuses(CodeContactRequired, "R09", mgr1, Complete{Reason: "resolved", SummaryID: "s"})
	f.does(mgr1, Attempt{Disposition: Reached})
	f.refuses(CodeCallSummaryRequired, "R12", mgr1, Complete{Reason: "resolved"})
	f.does(mgr1, Complete{Reason: "resolved", SummaryID: "s2"})
	require.Equal(t, []Outcome{
		{0, "supervisor", "Supervisors - RM", At(monday), f.at(time.Hour), ResultKept, f.at(40 * time.Minute), ""},
		{1, "manager", "Managers - RM", f.at(40 * time.Minute), f.at(160 * time.Minute), ResultKept, f.at(40 * time.Minute), ""},
	}, f.Promises)
}

func TestR06_PromiseLeftBeforeItsTimeCountsNeitherWay(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	escalatedByHand(f)
	require.Equal(t, []Result{ResultDropped, ResultOpen}, results(f))
}

func TestR06_TransferAssignsAtOnce(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(func(p *Policy) { p.Ladder[1].StartWithin = 5 * minute }))
	f.works(sup1)
	events := f.does(sup1, Escalate{Transfer: &Transfer{ID: "t1", To: mgr1}})
	require.Equal(t, []EventType{TypeEscalated, TypeAssigned}, types(events))
	_, x := last[*Escalated](f)
	require.Equal(t, "t1", x.TransferID)
	_, a := last[*Assigned](f)
	require.Equal(t, &Assigned{To: "mgr1", By: AssignDirect, TransferID: "t1", StartBy: f.at(5 * time.Minute)}, a)
	require.Equal(t, StatusClaimed, f.Status)
	require.Equal(t, [2]string{"sup1", "mgr1"}, [2]string{f.Owner, f.Assignee})
	f.does(mgr1, Start{})
}

func TestR06_TransferGoesBeforeADirectAssignment(t *testing.T) {
	t.Parallel()
	p := supervisorCallback(func(p *Policy) { p.Ladder[1].Assign, p.Ladder[1].AssignTo = AssignDirect, "mgr3" })
	f := openFloor(t, p)
	f.works(sup1)
	f.does(sup1, Escalate{Transfer: &Transfer{ID: "t1", To: mgr1}})
	require.Equal(t, "mgr1", f.Assignee)
	f = openFloor(t, p)
	f.works(sup1)
	f.does(sup1, Escalate{})
	require.Equal(t, "mgr3", f.Assignee)
}

func TestR06_LastTier(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	managerHasIt(f)
	f.refuses(CodeNoHigherTier, "R06", mgr1, Escalate{})
	f.refuses(CodeNoHigherTier, "R06", sup1, Escalate{})
}

func TestR08_R09_TagsLife(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		tag  TagRule
		end  func(f *floor)
		tags []string
		last []EventType
	}{
		{"served: just removed", TagRule{Required: "R", Unserved: "U"}, served, nil, []EventType{TypeNoted, TypeCompleted, TypeUntagged}},
		{"served: replaced", TagRule{Required: "R", Done: "D", Unserved: "U"}, served, []string{"D"}, []EventType{TypeCompleted, TypeUntagged, TypeTagged}},
		{"unreachable", TagRule{Required: "R", Done: "D", Unserved: "U"}, unreachable, []string{"U"}, []EventType{TypeCompleted, TypeUntagged, TypeTagged}},
		{"unreachable, no tag for it", TagRule{Required: "R", Done: "D"}, unreachable, nil, []EventType{TypeNoted, TypeCompleted, TypeUntagged}},
		{"cancelled", TagRule{Required: "R", Done: "D", Unserved: "U"}, withdrawn, []string{"U"}, []EventType{TypeCancelled, TypeUntagged, TypeTagged}},
		{"no tag at all", TagRule{}, served, nil, []EventType{TypeContacted, TypeNoted, TypeCompleted}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := openFloor(t, supervisorCallback(func(p *Policy) { p.Tag = c.tag }))
			if c.tag.Required != "" {
				require.Equal(t, []string{"R"}, f.Tags)
			}
			f.works(sup1)
			f.does(sup1, Attempt{Disposition: Voicemail})
			f.does(sup1, Release{})
			f.passes(61 * time.Minute) // warned, breached, escalated: none takes it off
			if c.tag.Required != "" {
				require.Equal(t, []string{"R"}, f.Tags)
			}
			c.end(f)
			require.ElementsMatch(t, c.tags, f.Tags)
			require.False(t, f.CallbackRequired)
			require.Equal(t, c.last, types(f.events[len(f.events)-3:]))
		})
	}
}

func served(f *floor) {
	f.reaches(mgr1)
	f.does(mgr1, Complete{Reason: "resolved", SummaryID: "s"})
}

func unreachable(f *floor) {
	f.works(mgr1)
	f.does(mgr1, Attempt{Disposition: NoAnswer})
	f.does(mgr1, Attempt{Disposition: Busy})
	f.does(mgr1, Complete{Reason: "unreachable", SummaryID: "s"})
}

func withdrawn(f *floor) { f.does(mgr1, Cancel{TextID: "why"}) }

func results(f *floor) []Result {
	list := []Result{}
	for _, p := range f.Promises {
		list = append(list, p.Result)
	}
	return list
}

func TestR09_ClosedWithoutServiceIsNotKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, end func(f *floor)
		want        Result
		by          Party
	}{
		"cancelled in time":                {func(*floor) {}, withdrawn, ResultMissed, ByPeople},
		"cancelled after contact":          {func(f *floor) { f.reaches(sup1) }, withdrawn, ResultMissed, ByPeople},
		"unreachable in time":              {func(f *floor) { f.works(sup1); f.does(sup1, Attempt{Disposition: NoAnswer}); f.does(sup1, Escalate{}) }, unreachable, ResultMissed, ByPeople},
		"cancelled, missed by the system":  {func(f *floor) { f.sleeps(2 * time.Hour); f.looks() }, withdrawn, ResultMissed, BySystem},
		"served in time":                   {func(f *floor) { f.works(sup1); f.does(sup1, Escalate{}) }, served, ResultKept, ""},
		"served after the promise was not": {func(f *floor) { f.passes(2 * time.Hour) }, served, ResultMissed, ByPeople},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := []func(*Policy){withoutStartWithin}
			if name == "cancelled, missed by the system" {
				changes = append(changes, supervisorsOnly)
			}
			f := openFloor(t, supervisorCallback(changes...))
			c.before(f)
			c.end(f)
			p := f.Promises[len(f.Promises)-1]
			require.Equal(t, c.want, p.Result)
			require.Equal(t, c.by, p.LateBy)
			require.Equal(t, c.want == ResultKept || name == "served after the promise was not", f.Served)
		})
	}
}

func TestR09_AttemptsLeft(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.works(sup1)
	f.does(sup1, Attempt{Disposition: NoAnswer})
	f.does(sup1, Attempt{Disposition: Reached})
	f.does(sup1, Escalate{})
	f.works(mgr1)
	f.does(mgr1, Attempt{Disposition: WrongNumber})
	require.Equal(t, [2]int{3, 2}, [2]int{f.Attempts, f.Unreached}, "what reached somebody does not count")
	f.refuses(CodeAttemptsLeft, "R09", mgr1, Complete{Reason: "unreachable", SummaryID: "s"})
	f.does(mgr1, Attempt{Disposition: CallDropped})
	f.refuses(CodeContactRequired, "R09", mgr1, Complete{Reason: "resolved", SummaryID: "s"})
	f.does(mgr1, Complete{Reason: "unreachable", SummaryID: "s"})
	require.Equal(t, []string{"Callback Not Served"}, f.Tags)
	require.Equal(t, "unreachable", f.ResolutionReason)
	require.False(t, f.Served)
}

func TestR09_NoContactAskedNoContactNeeded(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(func(p *Policy) { p.Completion = CompletionRule{} }))
	f.works(sup1)
	f.does(sup1, Complete{Reason: "resolved"})
	require.Equal(t, []Result{ResultKept}, results(f), "done in time")
	require.True(t, f.Served)
}

func TestR10_RemindersBackOffUpToMax(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(supervisorsOnly))
	f.passes(20 * time.Hour)
	require.True(t, f.Overdue)
	require.Equal(t, []time.Duration{time.Hour}, f.times(TypeBreached))
	m := time.Minute
	require.Equal(t, []time.Duration{75 * m, 105 * m, 165 * m, 285 * m, 525 * m, 765 * m, 1005 * m}, f.times(TypeReminded),
		"after 15m, 30m, 1h, 2h, 4h, 4h, 4h")
	require.Equal(t, 7, f.Reminders)
	require.True(t, f.CallbackRequired)
	require.Equal(t, StatusQueued, f.Status)
	f.reaches(sup1)
	require.False(t, f.Overdue)
	require.Zero(t, f.Reminders)
	f.passes(24*time.Hour - time.Millisecond)
	require.Len(t, f.times(TypeReminded), 7)
	f.passes(2 * time.Hour)
	h := 44 * time.Hour
	require.Equal(t, []time.Duration{h, h + 15*m, h + 45*m, h + 105*m}, f.times(TypeReminded)[7:], "close_within, then in the same way")
	f.does(sup1, Complete{Reason: "resolved", SummaryID: "s"})
	_, ok := f.Next()
	require.False(t, ok)
	require.Empty(t, f.looks())
}

func TestR10_LateClockRemindsOnce(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(supervisorsOnly))
	f.passes(time.Hour)
	f.sleeps(10 * time.Hour)
	require.Equal(t, []EventType{TypeReminded}, types(f.looks()))
	require.Equal(t, At(f.now.Add(30*time.Minute)), f.ChaseAt)
}

func TestR10_NoOverdueBlockNoReminders(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(supervisorsOnly, func(p *Policy) { p.Overdue, p.CloseWithin = nil, 0 }))
	f.passes(100 * time.Hour)
	require.True(t, f.Overdue)
	require.Empty(t, f.times(TypeReminded))
	_, ok := f.Next()
	require.False(t, ok)
	f.reaches(sup1)
	_, ok = f.Next()
	require.False(t, ok)
}

func TestR10_ContactMeetsTheTATOfItsTier(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(withoutStartWithin))
	f.works(sup1)
	f.passes(time.Hour - time.Millisecond)
	f.does(sup1, Attempt{Disposition: Reached, TextID: "x"})
	_, a := last[*Attempted](f)
	require.Equal(t, &Attempted{Number: 1, Disposition: Reached, TextID: "x"}, a)
	_, c := last[*Contacted](f)
	require.Equal(t, &Contacted{Kept: true, DueAt: f.at(time.Hour), ChaseAt: At(f.now.Add(24 * time.Hour))}, c)
	require.Equal(t, []Result{ResultKept}, results(f))
	require.Empty(t, f.WarnAt)
	contacted := f.ContactedAt
	f.passes(5 * time.Hour)
	require.Empty(t, f.times(TypeBreached))
	require.Equal(t, "supervisor", f.Tier)
	require.Equal(t, []EventType{TypeAttempted}, types(f.does(sup1, Attempt{Disposition: Reached})), "contacted once")
	require.Equal(t, contacted, f.ContactedAt)
	f.does(sup1, Attempt{Disposition: NoAnswer})
	require.Equal(t, contacted, f.ContactedAt, "a failed attempt undoes nothing")
}

func TestR10_HoldOfAPassedPromise(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(supervisorsOnly, withoutStartWithin))
	f.works(sup1)
	f.passes(time.Hour)
	f.refuses(CodeHeld, "R10", sup1, HoldClock{Until: At(f.now.Add(time.Hour))})
	f.does(sup1, Attempt{Disposition: Reached})
	due, chase := f.DueAt, f.ChaseAt
	f.does(sup1, HoldClock{Until: At(f.now.Add(time.Hour))})
	require.Equal(t, due, f.DueAt)
	require.Equal(t, &Hold{Since: At(f.now), Until: At(f.now.Add(time.Hour)), WarnIn: f.Hold.WarnIn, CountsFrom: At(f.now)}, f.Hold, "no promise is running")
	f.passes(30 * time.Minute)
	f.does(sup1, Resume{})
	require.Equal(t, due, f.DueAt)
	require.Equal(t, chase.Plus(30*minute), f.ChaseAt, "the chase stood still as well")
}

func TestR11_ClockEscalates(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(executives))
	f.passes(time.Hour - time.Millisecond)
	require.Equal(t, "supervisor", f.Tier)
	f.passes(time.Millisecond)
	require.Equal(t, []EventType{TypeBreached, TypeEscalated}, types(f.events[len(f.events)-2:]))
	e, b := last[*Breached](f)
	require.Equal(t, &Breached{DueAt: f.at(time.Hour), FiredAt: f.at(time.Hour), LateBy: ByPeople}, b)
	require.Equal(t, [3]string{ActorClock, "R11", "supervisor"}, [3]string{e.Actor, string(e.Rule), e.Tier})
	e, x := last[*Escalated](f)
	require.Equal(t, &Escalated{
		Place: Place{1, "manager", "Managers - RM"}, FromTier: "supervisor", By: "clock",
		DueAt: f.at(time.Hour), FiredAt: f.at(time.Hour), NewDueAt: f.at(2 * time.Hour),
	}, x)
	require.Equal(t, [2]string{ActorClock, "R11"}, [2]string{e.Actor, string(e.Rule)})
	require.Equal(t, f.at(time.Hour), f.BreachedAt)
	require.False(t, f.Overdue, "not at the last tier")
	require.False(t, f.Breached, "this tier's promise has not passed")
	f.passes(time.Hour)
	require.Equal(t, "executive", f.Tier)
	f.passes(time.Hour)
	require.Equal(t, "executive", f.Tier)
	_, b = last[*Breached](f)
	require.Equal(t, &Breached{
		DueAt: f.at(3 * time.Hour), FiredAt: f.at(3 * time.Hour), LateBy: ByPeople,
		Overdue: true, ChaseAt: f.at(195 * time.Minute), Every: 30 * minute,
	}, b)
	require.True(t, f.Overdue)
	require.False(t, f.Status.Closed())
	require.True(t, f.CallbackRequired)
	require.Equal(t, []Result{ResultMissed, ResultMissed, ResultMissed}, results(f))
	require.Equal(t, 2, f.Escalations)
}

func TestR11_CommandAtTheDeadlineFindsItPassed(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(withoutStartWithin))
	f.works(sup1)
	f.sleeps(time.Hour) // nobody looked, but it is due
	require.Contains(t, f.allows(mgr1), CommandClaim)
	events := f.does(sup1, Attempt{Disposition: Reached})
	require.Equal(t, []EventType{TypeBreached, TypeEscalated, TypeAttempted, TypeContacted}, types(events))
	require.Equal(t, []Result{ResultMissed, ResultKept}, results(f), "reached at the manager tier")
	require.Equal(t, ActorClock, events[0].Actor)
	require.Equal(t, sup1.ID, events[2].Actor)
}

func TestR11_FormerAssigneeIsNotCutOff(t *testing.T) {
	t.Parallel()
	p := supervisorCallback(executives, withoutStartWithin)
	f := openFloor(t, p)
	f.works(sup1)
	f.passes(time.Hour)
	require.Equal(t, [2]string{"sup1", ""}, [2]string{f.Former, f.Assignee})
	f.does(sup1, Attempt{Disposition: NoAnswer})
	f.does(sup1, Attempt{Disposition: Reached})
	f.refuses(CodeCallSummaryRequired, "R12", sup1, Complete{Reason: "resolved"})
	f.refuses(CodeNotAssignee, "R04", sup1, Start{})
	f.refuses(CodeNotAssignee, "R04", sup1, Release{})
	f.refuses(CodeNotYourQueue, "R04", sup1, Claim{})
	f.does(sup1, Complete{Reason: "resolved", SummaryID: "s"})
	require.Equal(t, StatusCompleted, f.Status)

	f = openFloor(t, p)
	f.works(sup1)
	f.passes(time.Hour)
	f.does(mgr1, Claim{})
	require.Empty(t, f.Former)
	f.refuses(CodeNotAssignee, "R04", sup1, Attempt{Disposition: Reached})

	f = openFloor(t, p)
	f.does(sup1, Claim{})
	f.passes(time.Hour)
	require.Equal(t, "sup1", f.Former, "claimed, and perhaps dialling: the former assignee all the same")
	f.refuses(CodeNotAssignee, "R04", sup2, Attempt{Disposition: Reached})
	f.refuses(CodeNotAssignee, "R04", sup1, Start{})
	f.does(sup1, Attempt{Disposition: Reached})
	f.does(sup1, Complete{Reason: "resolved", SummaryID: "s"})
	require.Equal(t, StatusCompleted, f.Status)

	f = openFloor(t, p)
	f.does(sup1, Claim{})
	f.passes(time.Hour)
	f.does(mgr1, Claim{})
	f.refuses(CodeNotAssignee, "R04", sup1, Attempt{Disposition: Reached})

	f = openFloor(t, p)
	f.does(sup1, Claim{})
	f.does(sup1, Release{})
	f.passes(time.Hour)
	require.Empty(t, f.Former, "gave it back before the hour passed")
	f.refuses(CodeNotAssignee, "R04", sup1, Attempt{Disposition: Reached})

	f = openFloor(t, p)
	f.does(sup1, Claim{})
	f.does(sup1, Escalate{})
	require.Empty(t, f.Former, "by hand: handed over")
	f.refuses(CodeNotAssignee, "R04", sup1, Attempt{Disposition: Reached})

	f = openFloor(t, p)
	f.policy.Edition = 0
	f.does(sup1, Claim{})
	f.passes(time.Hour)
	require.Empty(t, f.Former, "promised under older rules: replays as it was recorded (R24)")

	f = openFloor(t, p)
	f.works(sup1)
	f.passes(2 * time.Hour)
	require.Equal(t, [2]string{"executive", "sup1"}, [2]string{f.Tier, f.Former}, "nobody has claimed, whatever the clock did since")
	f.does(sup1, Attempt{Disposition: Reached})
	f.does(sup1, Reschedule{For: At(f.now.Add(time.Hour))})
	require.Empty(t, f.Former, "called at another time, by somebody of the tier")

	f = openFloor(t, p)
	f.works(sup1)
	f.passes(time.Hour)
	f.does(mgr1, Claim{})
	f.does(mgr1, Start{})
	f.passes(time.Hour)
	require.Equal(t, "mgr1", f.Former, "whoever was on the call last")
	f.does(exec2, Claim{})
	require.Empty(t, f.Former)

	f = openFloor(t, p)
	f.works(sup1)
	f.passes(time.Hour)
	f.does(sup1, Escalate{})
	require.Empty(t, f.Former, "gave it up by hand")

	f = openFloor(t, p)
	f.works(sup1)
	f.passes(time.Hour)
	f.does(exec1, Reassign{To: mgr1})
	require.Empty(t, f.Former)
}

func TestR11_FormerAssigneeBesideOneAssignedByTheClock(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(withoutStartWithin, func(p *Policy) {
		p.Ladder[1].Assign, p.Ladder[1].AssignTo = AssignDirect, "mgr1"
	}))
	f.works(sup1)
	f.passes(time.Hour)
	require.Equal(t, [3]string{"sup1", "sup1", "mgr1"}, [3]string{f.Owner, f.Former, f.Assignee})
	f.refuses(CodeNotStarted, "R16", mgr1, Attempt{Disposition: Reached})
	f.does(sup1, Attempt{Disposition: Reached})
	f.does(mgr1, Start{})
	require.Empty(t, f.Former)
	f.refuses(CodeNotAssignee, "R04", sup1, Complete{Reason: "resolved", SummaryID: "s"})
}

func TestR11_LateBySystemOrPeople(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		late time.Duration
		by   Party
	}{
		{0, ByPeople}, {time.Second, ByPeople}, {SystemLateness, ByPeople}, {SystemLateness + time.Millisecond, BySystem}, {time.Hour, BySystem},
	} {
		f := openFloor(t, supervisorCallback())
		f.sleeps(time.Hour + c.late)
		require.Equal(t, []EventType{TypeBreached, TypeEscalated}, types(f.looks()), "its warnings are overtaken")
		_, b := last[*Breached](f)
		require.Equal(t, c.by, b.LateBy)
		require.Equal(t, [2]Instant{f.at(time.Hour), At(f.now)}, [2]Instant{b.DueAt, b.FiredAt})
		require.Equal(t, c.by, f.Promises[0].LateBy)
		require.Equal(t, At(f.now.Add(time.Hour)), f.DueAt, "fresh from the moment of escalation")
	}
}

func TestR12_NoCompletionWithoutASummary(t *testing.T) {
	t.Parallel()
	complete := Complete{Reason: "resolved"}
	f := openFloor(t, supervisorCallback())
	f.reaches(sup1)
	f.refuses(CodeCallSummaryRequired, "R12", sup1, complete)
	f.does(sup1, Note{Kind: KindNote, TextID: "just a note"})
	f.refuses(CodeCallSummaryRequired, "R12", sup1, complete)
	f.does(sup2, Note{Kind: KindCallSummary, TextID: "somebody else's"})
	f.refuses(CodeCallSummaryRequired, "R12", sup1, complete)
	f.does(sup1, Note{Kind: KindCallSummary, TextID: "own"})
	f.does(sup1, Note{Kind: KindCallSummary, TextID: "own, again"})
	require.Equal(t, []string{"sup2", "sup1"}, f.Summaries)
	require.Equal(t, []EventType{TypeCompleted, TypeUntagged}, types(f.does(sup1, complete)))
	_, done := last[*Completed](f)
	require.Equal(t, &Completed{Reason: "resolved", Served: true}, done)

	f = openFloor(t, supervisorCallback())
	f.reaches(sup1)
	f.does(sup1, Complete{Reason: "resolved", SummaryID: "s"})
	_, n := last[*Noted](f)
	require.Equal(t, &Noted{Kind: KindCallSummary, TextID: "s"}, n)
	_, done = last[*Completed](f)
	require.Equal(t, &Completed{Reason: "resolved", Served: true, TextID: "s"}, done)
	require.Equal(t, [2]string{"sup1", "resolved"}, [2]string{f.ClosedBy, f.ResolutionReason})
	require.Equal(t, At(f.now), f.ClosedAt)

	f = openFloor(t, supervisorCallback(func(p *Policy) { p.Completion.CallSummary = false }))
	f.reaches(sup1)
	f.does(sup1, complete)
}

func TestR16_InProgressBeforeWork(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.does(sup1, Claim{})
	f.refuses(CodeNotStarted, "R16", sup1, Attempt{Disposition: Reached})
	f.refuses(CodeNotStarted, "R16", sup1, Complete{Reason: "resolved"})
	f.does(sup1, Start{})
	require.Equal(t, StatusInProgress, f.Status)
	require.Empty(t, f.does(sup1, Start{}), "starting twice is once")
}

func TestR16_StartWithin(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.passes(10 * time.Minute)
	f.does(sup1, Claim{})
	require.Equal(t, f.at(25*time.Minute), f.StartBy)
	f.passes(15*time.Minute - time.Millisecond)
	require.Equal(t, StatusClaimed, f.Status)
	f.passes(time.Millisecond)
	require.Equal(t, StatusQueued, f.Status)
	e, r := last[*Released](f)
	require.Equal(t, &Released{From: "sup1", By: "clock"}, r)
	require.Equal(t, ActorClock, e.Actor)
	require.Equal(t, [3]string{"sup1", "", "sup1"}, [3]string{f.Owner, f.Assignee, f.LastAssignee})
	f.works(sup2)
	f.passes(30 * time.Minute)
	require.Equal(t, "sup2", f.Assignee, "started")
	require.Len(t, f.times(TypeReleased), 1)
}

func TestR16_StartWithinCountsWorkingTime(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(func(p *Policy) { p.Calendar = calendarHours("UTC", "mon-fri", "10:00-10:10 11:00-18:00") }))
	f.does(sup1, Claim{})
	require.Equal(t, f.at(65*time.Minute), f.StartBy)
}

func TestR17_AReasonOfThePolicy(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.reaches(sup1)
	f.refuses(CodeResolutionReasonRequired, "R17", sup1, Complete{SummaryID: "s"})
	f.refuses(CodeUnknownResolutionReason, "R17", sup1, Complete{Reason: "other", SummaryID: "s"})
	f.refuses(CodeAttemptsLeft, "R09", sup1, Complete{Reason: "unreachable", SummaryID: "s"})
	f.does(sup1, Complete{Reason: "resolved", SummaryID: "s"})
	e, _ := last[*Completed](f)
	require.Equal(t, Rule("R17"), e.Rule)
}

func TestR19_DirectSupervisorElsePull(t *testing.T) {
	t.Parallel()
	p := supervisorCallback(func(p *Policy) { p.Ladder[0].Assign = AssignDirectSupervisor })
	open := func(supervisor string) *Callback {
		c, _ := Open(p.Pin("", supervisor), Request{ID: "c1", By: assoc1.ID, At: At(monday)}, p.Calendar)
		return c
	}
	c := open("sup2")
	require.Equal(t, [3]string{"claimed", "sup2", "sup2"}, [3]string{string(c.Status), c.Owner, c.Assignee})
	require.Equal(t, At(monday.Add(15*time.Minute)), c.StartBy)
	require.Equal(t, []EventType{TypeReleased}, types(c.Advance(p.Pin("", "sup2"), monday.Add(15*time.Minute), p.Calendar)), "cannot help: any supervisor may")
	require.Equal(t, StatusQueued, c.Status)
	_, fault := c.Do(p.Pin("", "sup2"), Claim{}, sup1, monday.Add(16*time.Minute), p.Calendar)
	require.Nil(t, fault)

	c = open("")
	require.Equal(t, [2]string{"queued", ""}, [2]string{string(c.Status), c.Assignee})
	require.False(t, c.WantsDraw(p.Pin("", "")))
}

func TestR20_DirectToANamedPerson(t *testing.T) {
	t.Parallel()
	direct := func(p *Policy) { p.Ladder[0].Assign, p.Ladder[0].AssignTo = AssignDirect, "exec1" }
	f := openFloor(t, supervisorCallback(direct))
	require.Equal(t, []EventType{TypeRequested, TypeTagged, TypeQueued, TypeAssigned}, types(f.events))
	e, a := last[*Assigned](f)
	require.Equal(t, &Assigned{To: "exec1", By: AssignDirect, StartBy: f.at(15 * time.Minute)}, a)
	require.Equal(t, [2]string{ActorClock, "R20"}, [2]string{e.Actor, string(e.Rule)})
	f.refuses(CodeAlreadyClaimed, "R04", exec1, Claim{}) // though exec1 is not of the queue
	f.works(exec1)
	require.Equal(t, "exec1", f.Owner)

	f = requestFloor(t, supervisorCallback(direct), Request{ID: "c1", By: "system:mailbox", At: At(monday), ScheduledFor: At(monday.Add(time.Hour))})
	require.Empty(t, f.Assignee)
	f.passes(time.Hour)
	require.Equal(t, "exec1", f.Assignee, "when its time has come")
}

func TestR21_Draws(t *testing.T) {
	t.Parallel()
	for _, by := range []Assign{AssignRandom, AssignRoundRobin, AssignLeastLoaded} {
		f := openFloor(t, supervisorCallback(func(p *Policy) { p.Ladder[0].Assign = by }))
		require.True(t, f.WantsDraw(f.policy))
		require.Equal(t, StatusQueued, f.Status, "can be claimed, the TAT runs")
		f.draws(Draw{ID: "d1", To: "sup2", Candidates: []string{"sup1", "sup2"}})
		e, a := last[*Assigned](f)
		require.Equal(t, &Assigned{To: "sup2", By: by, DrawID: "d1", Candidates: []string{"sup1", "sup2"}, StartBy: f.at(15 * time.Minute)}, a)
		require.Equal(t, [2]string{ActorClock, "R21"}, [2]string{e.Actor, string(e.Rule)})
		require.Equal(t, [2]string{"sup2", "sup2"}, [2]string{f.Owner, f.Assignee})
		require.Equal(t, StatusClaimed, f.Status)
		require.Empty(t, f.draws(Draw{ID: "d2", To: "sup1"}), "drawn already")
		f.passes(15 * time.Minute)
		require.True(t, f.WantsDraw(f.policy), "not started: drawn again")
		require.Equal(t, "sup2", f.LastAssignee)
		f.does(sup3, Claim{})
		require.Empty(t, f.draws(Draw{ID: "d3", To: "sup1"}), "claimed meanwhile")
		f.does(sup3, HoldClock{Until: At(f.now.Add(time.Hour))})
		f.does(sup3, Release{})
		require.False(t, f.WantsDraw(f.policy), "held")
	}
	require.False(t, openFloor(t, supervisorCallback()).WantsDraw(supervisorCallback()), "pulled")
}

func TestR07_R21_DrawForTheTierBelowIsVoid(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(func(p *Policy) {
		p.Ladder[0].Assign, p.Ladder[1].Assign = AssignRandom, AssignRandom
	}))
	f.sleeps(time.Hour) // drawn in time, heard at the deadline
	require.Equal(t, []EventType{TypeBreached, TypeEscalated}, types(f.draws(Draw{ID: "d1", To: "sup1"})))
	require.Empty(t, f.Assignee)
	require.True(t, f.WantsDraw(f.policy))
	require.Equal(t, []EventType{TypeAssigned}, types(f.draws(Draw{ID: "d2", To: "mgr1"})))
}

func TestR22_RequiredFields(t *testing.T) {
	t.Parallel()
	p := supervisorCallback(func(p *Policy) {
		p.Fields = append(p.Fields, Field{Name: "needed", Required: true}, Field{Name: "code", Pattern: "a|b"})
	})
	require.NoError(t, p.Validate())
	for _, c := range []struct {
		name   string
		values map[string]string
		wrong  []string
	}{
		{"all there", map[string]string{"order_number": "AB-12", "needed": "a valve"}, nil},
		{"nothing", nil, []string{"fields.order_number", "fields.needed"}},
		{"blank is missing", map[string]string{"order_number": "AB-12", "needed": "  "}, []string{"fields.needed"}},
		{"does not match", map[string]string{"order_number": "ab", "needed": "x"}, []string{"fields.order_number"}},
		{"the whole value must match", map[string]string{"order_number": "AB-12", "needed": "x", "code": "ab"}, []string{"fields.code"}},
		{"the whole of several lines", map[string]string{"order_number": "AB-12\nx", "needed": "x"}, []string{"fields.order_number"}},
		{"empty and not required", map[string]string{"order_number": "AB-12", "needed": "x", "code": ""}, nil},
		{"no pattern", map[string]string{"order_number": "AB-12", "needed": "x", "comment": "any\nthing"}, nil},
		{"unknown ones, in order", map[string]string{"order_number": "AB-12", "needed": "x", "z": "", "y": "1"}, []string{"fields.y", "fields.z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var paths []string
			for _, e := range p.CheckFields(c.values) {
				paths = append(paths, e.Path)
				require.NotEmpty(t, e.Message)
				for _, v := range c.values {
					require.False(t, len(v) > 1 && slices.Contains([]string{e.Message}, v), "the value is not repeated")
				}
			}
			require.Equal(t, c.wrong, paths)
		})
	}
}

func TestR10_Warnings(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(func(p *Policy) { p.Ladder[0].WarnAt = []Warning{"90%", "20m", "50%", "30m"} }))
	require.Equal(t, []Instant{f.at(30 * time.Minute), f.at(30 * time.Minute), f.at(40 * time.Minute), f.at(54 * time.Minute)}, f.WarnAt)
	require.True(t, f.WarnedAt.IsZero())
	f.passes(30*time.Minute - time.Millisecond)
	require.Empty(t, f.times(TypeWarned))
	f.passes(time.Millisecond)
	require.Equal(t, f.at(30*time.Minute), f.WarnedAt)
	f.passes(29 * time.Minute)
	require.Equal(t, []time.Duration{30 * time.Minute, 40 * time.Minute, 54 * time.Minute}, f.times(TypeWarned), "two at one instant are one")
	_, w := last[*Warned](f)
	require.Equal(t, WarningOfTAT, w.Of)
	require.Equal(t, f.at(time.Hour), w.DueAt)
	require.Equal(t, f.at(54*time.Minute), f.WarnedAt)
	f.passes(time.Minute)
	require.True(t, f.WarnedAt.IsZero(), "cleared by escalation")

	f = openFloor(t, supervisorCallback())
	f.sleeps(59 * time.Minute)
	require.Equal(t, []EventType{TypeWarned}, types(f.looks()), "two that nobody looked for are one")
	f.reaches(sup1)
	require.Empty(t, f.WarnAt)

	f = openFloor(t, supervisorCallback())
	f.reaches(sup1)
	f.passes(2 * time.Hour)
	require.Empty(t, f.times(TypeWarned), "reached in time")
}

func TestR09_AttemptsSpacingAndMax(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.works(sup1)
	f.does(sup1, Attempt{Disposition: NoAnswer, TextID: "x"})
	_, a := last[*Attempted](f)
	require.Equal(t, &Attempted{Number: 1, Disposition: NoAnswer, NextAttemptAt: f.at(10 * time.Minute), TextID: "x"}, a)
	require.Equal(t, f.at(10*time.Minute), f.NextAttemptAt)
	f.does(sup1, Attempt{Disposition: Busy}) // too soon, and not refused
	require.Empty(t, f.times(TypeWarned))
	events := f.does(sup1, Attempt{Disposition: RefusedCall})
	require.Equal(t, []EventType{TypeAttempted, TypeWarned}, types(events))
	_, w := last[*Warned](f)
	require.Equal(t, &Warned{Of: WarningOfAttempts, DueAt: f.at(time.Hour), Left: []Instant{f.at(30 * time.Minute), f.at(54 * time.Minute)}}, w)
	require.True(t, f.WarnedAt.IsZero(), "the TAT was not warned of")
	require.Len(t, f.WarnAt, 2)
	require.Len(t, f.does(sup1, Attempt{Disposition: CallDropped}), 1, "warned once, and not refused")
	require.Equal(t, [2]int{4, 4}, [2]int{f.Attempts, f.Unreached})
	f.does(sup1, Attempt{Disposition: Reached})
	require.True(t, f.NextAttemptAt.IsZero())

	f = openFloor(t, supervisorCallback(func(p *Policy) { p.Attempts = AttemptRule{} }))
	f.works(sup1)
	for range 5 {
		require.Len(t, f.does(sup1, Attempt{Disposition: NoAnswer}), 1)
	}
	require.True(t, f.NextAttemptAt.IsZero())

	f = openFloor(t, supervisorCallback())
	f.reaches(sup1)
	f.does(sup1, Attempt{Disposition: NoAnswer})
	require.Len(t, f.does(sup1, Attempt{Disposition: NoAnswer}), 1, "the customer was reached: nothing to warn of")
}

func TestR02_HoldKeepsTheRemainingTime(t *testing.T) {
	t.Parallel()
	until := func(f *floor, d time.Duration) HoldClock { return HoldClock{Until: f.at(d), TextID: "why"} }
	held := func(t *testing.T) *floor {
		f := openFloor(t, supervisorCallback(func(p *Policy) { p.Ladder[0].StartWithin = 30 * minute }))
		f.passes(15 * time.Minute)
		f.does(sup1, Claim{})
		f.does(sup1, until(f, 5*time.Hour))
		return f
	}
	f := held(t)
	_, h := last[*Held](f)
	require.Equal(t, &Held{
		Until: f.at(5 * time.Hour), DueAt: f.at(5*time.Hour + 45*time.Minute), Remaining: 45 * minute, TextID: "why",
		WarnAt: []Instant{f.at(5*time.Hour + 15*time.Minute), f.at(5*time.Hour + 39*time.Minute)}, WarnIn: []Duration{15 * minute, 39 * minute},
		CountsFrom: At(f.now),
	}, h)
	require.Equal(t, f.at(5*time.Hour+45*time.Minute), f.DueAt, "at once the value for until")
	require.True(t, f.Held())
	require.Equal(t, f.DueAt, f.Promises[0].DueAt)
	next, _ := f.Next()
	require.Equal(t, f.at(5*time.Hour), next)
	for _, cmd := range []Command{Claim{}, Start{}, Attempt{Disposition: Reached}, Complete{Reason: "resolved"}, until(f, time.Hour)} {
		f.refuses(CodeHeld, "", sup1, cmd)
	}

	t.Run("resumed by the clock", func(t *testing.T) {
		t.Parallel()
		f := held(t)
		f.passes(4*time.Hour + 45*time.Minute)
		require.False(t, f.Held())
		e, r := last[*Resumed](f)
		require.Equal(t, [2]string{ActorClock, "clock"}, [2]string{e.Actor, r.By})
		require.Equal(t, f.at(5*time.Hour+45*time.Minute), f.DueAt)
		require.Equal(t, f.at(5*time.Hour+30*time.Minute), f.StartBy, "30 minutes from the claim, less those it stood")
		f.refuses(CodeHeld, "", sup1, Resume{})
	})
	t.Run("resumed late by the clock moves nothing", func(t *testing.T) {
		t.Parallel()
		f := held(t)
		f.sleeps(5*time.Hour + 10*time.Minute)
		require.Equal(t, []EventType{TypeResumed, TypeWarned}, types(f.looks()))
		require.Equal(t, f.at(5*time.Hour+45*time.Minute), f.DueAt)
		f = held(t)
		f.sleeps(10 * time.Hour)
		require.Equal(t, []EventType{TypeResumed, TypeBreached, TypeEscalated}, types(f.looks()))
		_, b := last[*Breached](f)
		require.Equal(t, [2]any{f.at(5*time.Hour + 45*time.Minute), BySystem}, [2]any{b.DueAt, b.LateBy})
	})
	t.Run("resumed early by hand", func(t *testing.T) {
		t.Parallel()
		f := held(t)
		f.passes(time.Hour)
		require.Equal(t, []EventType{TypeResumed}, types(f.does(sup1, Resume{})))
		e, r := last[*Resumed](f)
		require.Equal(t, [2]string{"sup1", "hand"}, [2]string{e.Actor, r.By})
		require.Equal(t, f.at(2*time.Hour), f.DueAt)
		require.Equal(t, []Instant{f.at(90 * time.Minute), f.at(114 * time.Minute)}, f.WarnAt)
		require.Equal(t, f.at(105*time.Minute), f.StartBy)
		require.Equal(t, f.DueAt, f.Promises[0].DueAt)
	})
	t.Run("escalated while held", func(t *testing.T) {
		t.Parallel()
		f := held(t)
		f.passes(time.Hour)
		f.does(sup1, Escalate{})
		require.False(t, f.Held())
		require.Equal(t, f.at(135*time.Minute), f.DueAt)
	})
	t.Run("reassigned while held", func(t *testing.T) {
		t.Parallel()
		f := held(t)
		f.passes(time.Hour)
		f.does(mgr1, Reassign{To: sup2})
		require.True(t, f.Held())
		f.passes(time.Hour)
		f.does(sup2, Resume{})
		require.Equal(t, At(f.now.Add(30*time.Minute)), f.StartBy, "the whole of it is left")
	})
	t.Run("closed while held", func(t *testing.T) {
		t.Parallel()
		f := held(t)
		f.does(sup1, Cancel{})
		require.False(t, f.Held())
		_, ok := f.Next()
		require.False(t, ok)
	})
	t.Run("no cap given", func(t *testing.T) {
		t.Parallel()
		f := openFloor(t, supervisorCallback(func(p *Policy) { p.HoldMax = 0 }))
		f.works(sup1)
		f.refuses(CodeInvalid, "", sup1, HoldClock{Until: f.at(24*time.Hour + time.Millisecond)})
		f.does(sup1, HoldClock{Until: f.at(24 * time.Hour)})
	})
}

func TestR02_HoldOfAScheduledOne(t *testing.T) {
	t.Parallel()
	rescheduled := func(t *testing.T) *floor {
		f := openFloor(t, supervisorCallback())
		f.works(sup1)
		f.does(sup1, Reschedule{For: f.at(4 * time.Hour)})
		return f
	}
	f := rescheduled(t)
	f.does(sup1, HoldClock{Until: f.at(2 * time.Hour)})
	require.Equal(t, f.at(5*time.Hour), f.DueAt, "it does not run before its time anyway")
	f.passes(2 * time.Hour)
	require.Equal(t, [2]any{StatusScheduled, f.at(5 * time.Hour)}, [2]any{f.Status, f.DueAt})

	f = rescheduled(t)
	f.does(sup1, HoldClock{Until: f.at(6 * time.Hour)})
	require.Equal(t, f.at(7*time.Hour), f.DueAt)
	f.passes(time.Hour)
	f.does(sup1, Resume{})
	require.Equal(t, f.at(5*time.Hour), f.DueAt, "resumed before its time")

	f = rescheduled(t)
	f.does(sup1, HoldClock{Until: f.at(6 * time.Hour)})
	f.passes(5 * time.Hour)
	require.Equal(t, []EventType{TypeResumed, TypeQueued}, types(f.does(sup1, Resume{})), "its time came while it was held")
	require.Equal(t, f.at(6*time.Hour), f.DueAt)

	f = rescheduled(t)
	f.does(sup1, HoldClock{Until: f.at(6 * time.Hour)})
	f.passes(6 * time.Hour)
	require.Equal(t, [2]any{StatusQueued, f.at(7 * time.Hour)}, [2]any{f.Status, f.DueAt})
}

// Given to somebody while it was held, a callback for later is still for later.
func TestR27_ReassignedWhileHeldBeforeItsTimeItIsNotDueBeforeIt(t *testing.T) {
	t.Parallel()
	scheduled := func(t *testing.T) *floor {
		p := supervisorCallback(withoutStartWithin, holdingOutages)
		return requestFloor(t, p, Request{ID: "c1", By: assoc1.ID, At: At(monday), ScheduledFor: At(monday.Add(29 * time.Hour))})
	}
	fixed := 30 * time.Hour
	for name, stops := range map[string][2]func(*floor){
		"by hand": {
			func(f *floor) { f.does(sup1, HoldClock{Until: f.at(20 * time.Hour)}) },
			func(f *floor) { f.does(sup2, Resume{}) },
		},
		"by an outage": {
			func(f *floor) { f.outageBegins("o1") }, func(f *floor) { f.outageEnds("o1") },
		},
		"to its end": {
			func(f *floor) { f.does(sup1, HoldClock{Until: f.at(2 * time.Hour)}) },
			func(f *floor) { f.passes(time.Hour) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := scheduled(t)
			f.does(mgr1, Reassign{To: sup1})
			f.does(sup1, Reschedule{For: f.at(29 * time.Hour)}) // an owner, and nobody has it
			stops[0](f)
			require.Equal(t, f.at(fixed), f.DueAt)
			f.passes(time.Hour)
			f.does(mgr1, Reassign{To: sup2})
			stops[1](f)
			require.Equal(t, [2]any{false, f.at(fixed)}, [2]any{f.Held(), f.DueAt})
			f.passes(fixed - f.now.Sub(monday) - time.Millisecond)
			require.Equal(t, "supervisor", f.Tier)
			f.passes(time.Millisecond)
			require.Equal(t, "manager", f.Tier)
		})
	}

	t.Run("its time came while it was held", func(t *testing.T) {
		t.Parallel()
		f := scheduled(t)
		f.passes(20 * time.Hour)
		f.outageBegins("o1")
		f.does(mgr1, Reassign{To: sup2})
		f.passes(12 * time.Hour)
		f.outageEnds("o1")
		require.Equal(t, f.at(33*time.Hour), f.DueAt)
	})
	t.Run("escalated by hand, the fresh promise counts from then", func(t *testing.T) {
		t.Parallel()
		f := scheduled(t)
		f.does(sup1, Claim{})
		f.does(sup1, Escalate{})
		f.does(sup1, HoldClock{Until: f.at(5 * time.Hour)})
		f.passes(time.Hour)
		f.does(sup1, Resume{})
		require.Equal(t, f.at(2*time.Hour), f.DueAt)
	})
}

// A start is waited for in working time, and so is what a hold leaves of it.
func TestR04_HoldKeepsTheWorkingTimeInWhichToStart(t *testing.T) {
	t.Parallel()
	p := supervisorCallback(func(p *Policy) {
		p.Calendar = calendarHours("UTC", "mon-fri", "09:00-18:00")
		p.Ladder[0].TAT, p.Ladder[0].WarnAt = 20*hour, nil
	})
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC) }
	claimed := func(t *testing.T, when, held, until time.Time) *floor {
		f := requestFloor(t, p, Request{ID: "c1", By: assoc1.ID, At: At(when)})
		f.does(sup1, Claim{})
		f.passes(held.Sub(f.now))
		f.does(sup1, HoldClock{Until: At(until)})
		return f
	}

	f := claimed(t, at(23, 17, 40), at(23, 17, 45), at(23, 17, 56))
	f.passes(time.Hour)
	require.Equal(t, [2]any{StatusClaimed, At(at(24, 9, 6))}, [2]any{f.Status, f.StartBy}, "4 minutes of Monday, 6 of Tuesday")
	f.passes(at(24, 9, 6).Sub(f.now))
	require.Equal(t, StatusQueued, f.Status)

	f = claimed(t, at(27, 17, 50), at(27, 17, 55), at(28, 17, 55)) // from Friday to Saturday
	f.passes(at(28, 18, 0).Sub(f.now))
	require.Equal(t, At(at(30, 9, 10)), f.StartBy)

	f = claimed(t, at(23, 17, 40), at(23, 17, 45), at(24, 17, 0))
	f.passes(at(23, 17, 52).Sub(f.now))
	f.does(sup1, Resume{})
	require.Equal(t, At(at(24, 9, 2)), f.StartBy, "resumed by hand: 10 minutes are left")

	f = claimed(t, at(23, 17, 40), at(23, 17, 45), at(24, 17, 0))
	f.does(mgr1, Reassign{To: sup2})
	f.passes(at(24, 8, 0).Sub(f.now))
	f.does(sup2, Resume{})
	require.Equal(t, At(at(24, 9, 15)), f.StartBy, "reassigned meanwhile: all of it is left")

	f = requestFloor(t, p, Request{ID: "c1", By: assoc1.ID, At: At(monday)})
	f.policy.Edition = 0
	f.passes(at(23, 17, 40).Sub(f.now))
	f.does(sup1, Claim{})
	f.passes(5 * time.Minute)
	f.does(sup1, HoldClock{Until: At(at(23, 17, 56))})
	f.passes(20 * time.Minute)
	require.Equal(t, At(at(23, 18, 6)), f.StartBy, "promised under older rules: replays as it was recorded (R24)")
}

func TestR02_Reschedule(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(withoutStartWithin))
	f.works(sup1)
	f.does(sup1, Note{Kind: KindCallSummary, TextID: "s"})
	f.passes(40 * time.Minute)
	f.does(sup1, Reschedule{For: f.at(3 * time.Hour), TextID: "busy now"})
	_, r := last[*Rescheduled](f)
	require.Equal(t, &Rescheduled{
		For: f.at(3 * time.Hour), TextID: "busy now",
		Promise: Promise{DueAt: f.at(4 * time.Hour), WarnAt: []Instant{f.at(210 * time.Minute), f.at(234 * time.Minute)}},
	}, r)
	require.Equal(t, StatusScheduled, f.Status)
	require.Equal(t, [4]string{"supervisor", "sup1", "", "sup1"}, [4]string{f.Tier, f.Owner, f.Assignee, f.LastAssignee})
	require.Empty(t, f.Summaries)
	require.True(t, f.WarnedAt.IsZero())
	require.True(t, f.CallbackRequired)
	require.Equal(t, []Result{ResultOpen}, results(f))
	require.Equal(t, f.at(4*time.Hour), f.Promises[0].DueAt)
	f.passes(2*time.Hour + 20*time.Minute)
	require.Equal(t, StatusQueued, f.Status)
	f.passes(time.Hour)
	require.Equal(t, "manager", f.Tier)
	require.Equal(t, f.at(4*time.Hour), f.BreachedAt)
}

func TestR02_RescheduleUndoesNoBreach(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(supervisorsOnly, withoutStartWithin))
	f.works(sup1)
	f.passes(90 * time.Minute)
	require.True(t, f.Overdue)
	f.does(sup1, Reschedule{For: f.at(3 * time.Hour)})
	require.Equal(t, f.at(time.Hour), f.BreachedAt)
	require.False(t, f.Overdue, "not past the new promise")
	require.True(t, f.ChaseAt.IsZero())
	require.Equal(t, []Result{ResultMissed}, results(f))
	require.Equal(t, f.at(time.Hour), f.Promises[0].DueAt, "the one that was missed")
	f.passes(90 * time.Minute)
	f.reaches(sup1)
	_, c := last[*Contacted](f)
	require.False(t, c.Kept, "in time for the second, but the promise of this tier was broken")
	require.Equal(t, []Result{ResultMissed}, results(f))

	f = openFloor(t, supervisorCallback(supervisorsOnly))
	f.passes(time.Hour)
	f.works(sup1)
	f.does(sup1, Reschedule{For: f.at(3 * time.Hour)})
	f.passes(4 * time.Hour)
	require.True(t, f.Overdue)
	require.Equal(t, f.at(4*time.Hour), f.BreachedAt, "the latest promise missed")
	require.Equal(t, []time.Duration{time.Hour, 4 * time.Hour}, f.times(TypeBreached))
}

func TestR02_RescheduleAfterContact(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.reaches(sup1)
	require.Equal(t, []Result{ResultKept}, results(f))
	f.does(sup1, Reschedule{For: f.at(3 * time.Hour)})
	require.True(t, f.ContactedAt.IsZero(), "asked for another time: still to be called")
	require.Equal(t, []Result{ResultOpen}, results(f))
	f.passes(4 * time.Hour)
	require.Equal(t, []Result{ResultMissed, ResultOpen}, results(f))
}

func TestR10_CustomerCallsAgain(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.passes(5 * time.Minute)
	f.customerCalls("assoc2")
	e, c := last[*CustomerCalled](f)
	require.Equal(t, "assoc2", e.Actor)
	require.Equal(t, "text", c.TextID)
	require.Equal(t, f.at(5*time.Minute), f.CustomerCalledAt)
	require.Equal(t, f.at(time.Hour), f.DueAt)
	f.does(mgr1, Cancel{})
	require.Empty(t, f.customerCalls("assoc2"))
}

func TestR05_WhoMayCancel(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(func(p *Policy) { p.CancelRank = 0 }))
	f.refuses(CodeForbidden, "R05", exec1, Cancel{})
	f.works(sup1)
	f.does(sup1, Release{})
	f.works(sup2)
	f.refuses(CodeForbidden, "R05", sup2, Cancel{})
	f.does(sup1, Cancel{TextID: "withdrew"})
	require.Equal(t, StatusCancelled, f.Status)
	require.Equal(t, [2]string{"sup1", "sup2"}, [2]string{f.Owner, f.Assignee})
	require.Equal(t, [2]any{"sup1", At(f.now)}, [2]any{f.ClosedBy, f.ClosedAt})
	e, c := last[*Cancelled](f)
	require.Equal(t, "withdrew", c.TextID)
	require.Equal(t, Rule("R09"), e.Rule)
}

// What the clock is set for is said in the words that operators read.
func TestR10_WhatComesNext(t *testing.T) {
	t.Parallel()
	f := requestFloor(t, supervisorCallback(supervisorsOnly), Request{ID: "c1", By: "assoc1", At: At(monday), ScheduledFor: At(monday.Add(time.Hour))})
	next := func(of string, after time.Duration) {
		t.Helper()
		at, ok := f.Next()
		require.Equal(t, of != "", ok)
		require.Equal(t, of, f.NextIs())
		if ok {
			require.Equal(t, f.at(after), at)
		}
	}
	next("opening", time.Hour)
	f.passes(time.Hour)
	next("warning", 90*time.Minute)
	f.does(sup1, Claim{})
	next("release", 75*time.Minute)
	f.does(sup1, HoldClock{Until: f.at(61 * time.Minute)})
	next("end of hold", 61*time.Minute)
	f.passes(time.Minute)
	f.does(sup1, Start{})
	next("warning", 91*time.Minute)
	f.passes(54 * time.Minute)
	next("deadline", 121*time.Minute)
	f.passes(6 * time.Minute)
	next("reminder", 136*time.Minute)
	f.does(sup1, Cancel{})
	next("", 0)
}

func TestR27_NeverEarlyNotByAFraction(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(withoutStartWithin))
	f.sleeps(time.Hour - time.Nanosecond)
	require.Equal(t, []EventType{TypeWarned}, types(f.looks()))
	require.Empty(t, f.looks())
	require.Equal(t, "supervisor", f.Tier)
	f.sleeps(time.Nanosecond)
	f.looks()
	require.Equal(t, "manager", f.Tier)
	require.Empty(t, f.looks(), "once")
}
