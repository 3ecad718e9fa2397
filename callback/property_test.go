package callback

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// policies draws policies: every block there or not, tiers and times of any size.
func policies() *rapid.Generator[*Policy] {
	return rapid.Custom(func(t *rapid.T) *Policy {
		flip := func(label string) bool { return rapid.Bool().Draw(t, label) }
		long := func(label string, most Duration) Duration {
			return rapid.Map(rapid.Int64Range(1, int64(most/second)), func(s int64) Duration { return Duration(s) * second }).Draw(t, label)
		}
		p := &Policy{Name: "drawn", Edition: currentEdition, CancelRank: rapid.SampledFrom([]int{0, 3}).Draw(t, "cancel rank")}
		if flip("tag") {
			p.Tag = TagRule{
				Required: "R",
				Done:     rapid.SampledFrom([]string{"", "D"}).Draw(t, "done"), Unserved: rapid.SampledFrom([]string{"", "U"}).Draw(t, "unserved"),
			}
		}
		tiers := []Step{
			{Tier: "supervisor", Rank: 2, Queue: sup1.Queues[0], AssignTo: "sup2"},
			{Tier: "manager", Rank: 3, Queue: mgr1.Queues[0], AssignTo: "mgr2"},
			{Tier: "executive", Rank: 4, Queue: exec1.Queues[0], AssignTo: "exec2"},
		}
		for _, s := range tiers[:rapid.IntRange(1, len(tiers)).Draw(t, "tiers")] {
			s.TAT = long("tat", 2*hour)
			s.Assign = rapid.SampledFrom([]Assign{AssignPull, AssignPull, AssignRandom, AssignDirect, AssignDirectSupervisor}).Draw(t, "assign")
			if s.Assign == AssignPull || s.Assign.Draws() {
				s.AssignTo = ""
			}
			for range rapid.IntRange(0, 3).Draw(t, "warnings") {
				w := Warning(fmt.Sprintf("%d%%", rapid.IntRange(1, 99).Draw(t, "percent")))
				if s.TAT > 2*second && flip("a duration") {
					w = Warning(long("before", s.TAT-second).String())
				}
				s.WarnAt = append(s.WarnAt, w)
			}
			if flip("start_within") {
				s.StartWithin = long("within", hour)
			}
			p.Ladder = append(p.Ladder, s)
		}
		if flip("overdue") {
			every := long("every", hour)
			p.Overdue = &ChaseRule{Every: every, Max: every + long("max", 5*hour)}
			if flip("close_within") {
				p.CloseWithin = long("close", 5*hour)
			}
		}
		if flip("hold") {
			p.HoldMax = long("hold max", 5*hour)
		}
		p.Attempts = AttemptRule{Max: rapid.IntRange(0, 3).Draw(t, "max"), Spacing: rapid.SampledFrom([]Duration{0, 10 * minute}).Draw(t, "spacing")}
		p.Completion = CompletionRule{Contact: flip("contact"), CallSummary: flip("summary")}
		p.Reasons = []Reason{
			{Code: "resolved"}, {Code: "later", AfterAttempts: rapid.IntRange(0, 2).Draw(t, "after")},
			{Code: "unreachable", WithoutContact: true, AfterAttempts: rapid.IntRange(0, 2).Draw(t, "after")},
		}
		p.Outage.Hold = flip("outage")
		if rapid.IntRange(0, 3).Draw(t, "calendar") == 0 {
			p.Calendar = calendarHours("Europe/Berlin", "mon-fri", "09:00-12:30 13:00-18:00", "sat", "22:00-02:00")
		}
		return p
	})
}

// life is a callback that random people and a random clock play with, and what
// it must look like: shadow is folded from its events, each through JSON.
type life struct {
	policy *Policy
	now    time.Time
	real   *Callback
	shadow *Callback
	// fixed is the promise of this tier as it was made: no hold brings it forward.
	fixed Instant
}

func (l *life) work() Worktime { return l.policy.Calendar }

// person draws who gives a command: mostly one who may, else little would ever happen.
func (l *life) person(t *rapid.T, name CommandName) Person {
	anybody := rapid.SampledFrom(everybody).Draw(t, "by")
	if rapid.IntRange(0, 3).Draw(t, "anybody") == 0 {
		return anybody
	}
	switch name {
	case CommandClaim:
		return rapid.SampledFrom(l.members()).Draw(t, "member")
	case CommandReassign, CommandCancel, CommandNote, CommandWaive:
		return anybody
	}
	id := rapid.SampledFrom([]string{l.real.Assignee, l.real.Assignee, l.real.Owner, l.real.Former}).Draw(t, "who")
	return byID(id, anybody)
}

func (l *life) members() []Person {
	return slices.DeleteFunc(slices.Clone(everybody), func(p Person) bool { return !p.of(l.real.Queue) || p.Auditor })
}

func byID(id string, otherwise Person) Person {
	if i := slices.IndexFunc(everybody, func(p Person) bool { return p.ID == id }); i >= 0 {
		return everybody[i]
	}
	return otherwise
}

func (l *life) command(t *rapid.T, name CommandName) Command {
	later := func(label string, most Duration) Instant {
		return At(l.now.Add(time.Duration(rapid.Int64Range(-int64(most/20), int64(most)).Draw(t, label))))
	}
	switch name {
	case CommandClaim:
		return Claim{}
	case CommandStart:
		return Start{}
	case CommandAttempt:
		return Attempt{Disposition: rapid.SampledFrom(append([]Disposition{"", Reached}, Dispositions...)).Draw(t, "disposition")}
	case CommandNote:
		return Note{Kind: rapid.SampledFrom([]NoteKind{KindNote, KindCallSummary, ""}).Draw(t, "kind"), TextID: "n"}
	case CommandEscalate:
		x := Escalate{}
		if rapid.IntRange(0, 3).Draw(t, "transfer") == 0 {
			x.Transfer = &Transfer{ID: "t", To: rapid.SampledFrom(everybody).Draw(t, "to")}
		}
		return x
	case CommandReassign:
		return Reassign{To: rapid.SampledFrom(everybody).Draw(t, "to")}
	case CommandRelease:
		return Release{}
	case CommandHold:
		return HoldClock{Until: later("until", l.policy.holdMax()+minute)}
	case CommandResume:
		return Resume{}
	case CommandReschedule:
		return Reschedule{For: later("for", 3*hour)}
	case CommandComplete:
		return Complete{
			Reason:    rapid.SampledFrom([]string{"resolved", "resolved", "later", "unreachable", "", "other"}).Draw(t, "reason"),
			SummaryID: rapid.SampledFrom([]string{"", "s"}).Draw(t, "summary"),
		}
	}
	if name == CommandWaive {
		return Waive{
			Destination:  rapid.SampledFrom(destinations).Draw(t, "destination"),
			CopiedByHand: rapid.Bool().Draw(t, "copied"), TextID: "w",
		}
	}
	return Cancel{}
}

// destinations of deliveries.
var destinations = []string{"freshdesk", "zohodesk"}

// unaided hides a test's Helper, which looks at the whole stack at every check.
type unaided struct{ require.TestingT }

// happened takes what was brought about and holds every event, and where they
// lead to, against the rules.
func (l *life) happened(t require.TestingT, before *Callback, events []Event) {
	t = unaided{t}
	if len(events) == 0 {
		require.Equal(t, before, l.real, "what does not happen changes nothing")
		return
	}
	for i, e := range events {
		require.Equal(t, before.Version+int64(i)+1, e.Seq, "gapless")
		require.Equal(t, At(l.now), e.At)
		var decoded Event
		b, err := json.Marshal(e)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &decoded))
		again, err := json.Marshal(decoded)
		require.NoError(t, err)
		require.Equal(t, string(b), string(again))
		was := l.shadow.Clone()
		require.NoError(t, l.shadow.Apply(decoded))
		l.held(t, was, l.shadow, decoded)
	}
	state := inJSON(t, l.real)
	require.Equal(t, state, inJSON(t, l.shadow), "Fold(events) == state")
	decoded := &Callback{}
	require.NoError(t, json.Unmarshal([]byte(state), decoded))
	require.Equal(t, state, inJSON(t, decoded))
	l.stands(t)
}

// held checks one event: what it may change, who may bring it about, and when.
func (l *life) held(t require.TestingT, was, is *Callback, e Event) {
	typ := e.Fact.Type()
	clock := e.Actor == ActorClock
	actor := byID(e.Actor, Person{ID: e.Actor})
	if is.DueAt != was.DueAt {
		require.Contains(t, []EventType{TypeRequested, TypeHeld, TypeResumed, TypeEscalated, TypeRescheduled}, typ, "R02: due_at moves by these only")
		require.False(t, typ == TypeResumed && clock, "R02: a clock that resumes moves nothing")
	}
	switch typ {
	case TypeRequested, TypeEscalated, TypeRescheduled:
		l.fixed = is.DueAt
	default:
		require.False(t, is.DueAt.Before(l.fixed.Time), "R27: no promise is due before the instant that was given")
	}
	if is.Owner != was.Owner {
		if was.Owner != "" {
			require.Equal(t, TypeReassigned, typ, "R05: the owner changes by a reassign only")
			require.True(t, actor.Rank > l.policy.Ladder[was.TierIndex].Rank || actor.Admin, "R07: from above")
		}
		require.Equal(t, is.Assignee, is.Owner, "R05: the owner was assignee first")
	}
	if is.Assignee != "" && is.Assignee != was.Assignee {
		require.Contains(t, []EventType{TypeClaimed, TypeAssigned, TypeReassigned}, typ)
		require.GreaterOrEqual(t, byID(is.Assignee, Person{}).Rank, l.policy.Ladder[is.TierIndex].Rank, "R07: never down")
	}
	if is.TierIndex != was.TierIndex {
		require.Equal(t, was.TierIndex+1, is.TierIndex, "up, one step at a time")
		require.Equal(t, TypeEscalated, typ)
		require.True(t, is.ContactedAt.IsZero() && is.WarnedAt.IsZero() && is.Summaries == nil, "R06: per tier")
	}
	if is.ContactedAt != was.ContactedAt && !is.ContactedAt.IsZero() {
		require.Equal(t, TypeContacted, typ)
		require.Equal(t, e.At, is.ContactedAt)
	}
	// Who.
	switch e.Fact.(type) {
	case *Claimed:
		require.True(t, actor.of(was.Queue), "R04")
		require.Empty(t, was.Assignee, "R04: one at a time")
	case *Started:
		require.Equal(t, was.Assignee, e.Actor)
	case *Attempted, *Contacted, *Completed:
		require.Contains(t, []string{was.Assignee, was.Former}, e.Actor)
		require.True(t, was.Status == StatusInProgress || was.Former == e.Actor, "R16")
		require.Nil(t, was.Hold)
	case *Escalated, *Held, *Rescheduled:
		if held, ok := e.Fact.(*Held); !clock && (!ok || held.Outage == "") {
			require.Contains(t, []string{was.Assignee, was.Owner}, e.Actor)
		}
	}
	require.False(t, actor.Auditor, "R24")
	// When: R27, nothing before its time.
	switch fact := e.Fact.(type) {
	case *Breached:
		require.True(t, clock && was.DueAt.Reached(e.At) && was.ContactedAt.IsZero() && was.Hold == nil)
		require.Equal(t, was.DueAt, fact.DueAt)
		require.Equal(t, e.At, fact.FiredAt)
	case *Escalated:
		if clock {
			require.True(t, was.Breached && was.DueAt.Reached(e.At), "R11")
		}
		require.True(t, is.DueAt.After(e.At.Time), "a fresh promise")
	case *Warned:
		if fact.Of == WarningOfTAT {
			require.True(t, was.WarnAt[0].Reached(e.At) && !was.DueAt.Reached(e.At), "neither before its time nor after the promise")
		}
	case *Released:
		require.True(t, fact.By == byHand || clock && was.StartBy.Reached(e.At) && was.Status == StatusClaimed)
	case *Reminded:
		require.True(t, was.ChaseAt.Reached(e.At))
		require.True(t, was.Overdue || !was.ContactedAt.IsZero(), "R10")
	case *Held:
		if fact.ClockRuns {
			require.Equal(t, was.Hold, is.Hold)
		} else {
			require.Nil(t, was.Hold, "a hold is never held again")
		}
		require.True(t, fact.Outage == "" || was.Outage == "" && is.Outage == fact.Outage, "R23")
		require.True(t, is.Hold == nil || l.policy.Outage.Hold || is.Hold.Outage == "", "R23: only where the policy says so")
	case *Resumed:
		require.True(t, fact.By != byClock || was.Hold.Until.Reached(e.At))
		require.Equal(t, fact.By == byOutage, was.Outage != is.Outage, "R23")
		require.False(t, fact.By == byOutage && is.Hold != nil && is.Hold.Outage == fact.Outage, "R23: all resume")
	case *Delivered, *DeliveryOwed:
		unchanged := is.Clone()
		unchanged.Owed, unchanged.Version, unchanged.UpdatedAt = was.Owed, was.Version, was.UpdatedAt
		require.Equal(t, was, unchanged, "it changes nothing but what is owed")
	case *Queued:
		require.True(t, !clock || was.ScheduledFor.IsZero() || was.ScheduledFor.Reached(e.At))
	case *Contacted:
		require.Equal(t, fact.Kept, is.promise().Result == ResultKept)
		if fact.Kept {
			require.True(t, e.At.Before(was.DueAt.Time), "kept only if reached by due_at")
		}
	case *Completed:
		reason, known := l.policy.Reason(fact.Reason)
		require.True(t, known, "R17")
		require.True(t, !l.policy.Completion.Contact || reason.WithoutContact || !was.ContactedAt.IsZero(), "R09, R06")
		require.True(t, !l.policy.Completion.CallSummary || slices.Contains(was.Summaries, e.Actor), "R12")
		require.GreaterOrEqual(t, was.Unreached, reason.AfterAttempts, "R09")
		require.Equal(t, !reason.WithoutContact, fact.Served)
	}
}

// stands checks the state that a command or the clock has left behind.
func (l *life) stands(t require.TestingT) {
	c, open := l.real, !l.real.Status.Closed()
	require.Equal(t, open && l.policy.Tag.Required != "", slices.Contains(c.Tags, "R"), "R09: on exactly while open")
	require.Equal(t, open && l.policy.Tag.Required != "", c.CallbackRequired)
	if !open && l.policy.Tag.Required != "" {
		want := l.policy.Tag.Unserved
		if c.Served {
			want = l.policy.Tag.Done
		}
		require.Equal(t, want, strings.Join(c.Tags, ","))
	}
	if open {
		require.Equal(t, c.Status == StatusClaimed || c.Status == StatusInProgress, c.Assignee != "")
	}
	require.True(t, c.Assignee == "" || c.Owner != "", "R05")
	require.True(t, c.StartBy.IsZero() || c.Status == StatusClaimed)
	require.True(t, c.Former == "" || c.Former != c.Assignee)
	require.Equal(t, open && c.Breached && c.ContactedAt.IsZero() && c.TierIndex == len(l.policy.Ladder)-1, c.Overdue)

	for i, p := range c.Promises {
		require.Equal(t, i, p.TierIndex, "one promise per tier")
		switch p.Result {
		case ResultOpen:
			require.True(t, open && i == len(c.Promises)-1)
			require.Equal(t, c.DueAt, p.DueAt)
		case ResultKept:
			require.True(t, p.At.Before(p.DueAt.Time), "kept only in time")
		case ResultMissed:
			require.NotEmpty(t, p.LateBy)
			require.True(t, !p.At.Before(p.DueAt.Time) || !open && !c.Served, "missed only when passed, or closed without service")
		case ResultDropped:
			require.Less(t, i, len(c.Promises)-1)
		}
	}
	require.Len(t, c.Promises, c.TierIndex+1)
	require.Equal(t, c.Escalations, c.TierIndex)
	if !open {
		require.Equal(t, c.Served, !slices.Contains([]Result{ResultOpen, ResultDropped}, c.promise().Result) && c.Served)
		require.True(t, c.Served || c.promise().Result == ResultMissed, "R09: closed without service is not kept")
	}

	next, ok := c.Next()
	switch {
	case !open:
		require.False(t, ok)
	case c.Hold != nil:
		require.Equal(t, c.Hold.Until, next)
	case l.policy.Overdue != nil && l.policy.CloseWithin > 0:
		require.True(t, ok, "R10: there is always an instant at which somebody will be chased")
	}
	if ok {
		// Nothing before that instant, something at it: no wake-up is for nothing.
		require.True(t, next.After(l.now), "all that was due has been done")
		twin := c.Clone()
		require.Empty(t, twin.Advance(l.policy, next.Add(-time.Nanosecond), l.work()), "R27: never early")
		require.Equal(t, c, twin)
		require.NotEmpty(t, twin.Advance(l.policy, next.Time, l.work()))
	}
	twin := c.Clone()
	require.Empty(t, twin.Advance(l.policy, l.now, l.work()), "advancing twice is once")
	require.Equal(t, c, twin)
}

// content are the codes of what is wrong with what a command contains, or
// whom it names: who may give it does not know them before.
var content = []Code{
	CodeInvalid, CodeResolutionReasonRequired, CodeUnknownResolutionReason, CodeContactRequired, CodeAttemptsLeft, CodeCallSummaryRequired,
}

func (l *life) gives(t *rapid.T, name CommandName) {
	by := l.person(t, name)
	cmd := l.command(t, name)
	allowed := slices.Contains(l.real.Allowed(l.policy, by, l.now, l.work()), name)
	before := l.real.Clone()
	events, fault := l.real.Do(l.policy, cmd, by, l.now, l.work())
	if fault != nil {
		require.Equal(t, before, l.real, "a refused command changes nothing")
		require.Empty(t, events)
		about := content
		if name == CommandWaive {
			about = append([]Code{CodeNotFound}, content...)
		}
		if name == CommandReassign {
			about = append([]Code{CodeTransferDownForbidden, CodeNotYourQueue, CodeAlreadyClaimed}, content...)
		}
		if allowed {
			require.Contains(t, about, fault.Code, "%s is offered to %s", name, by.ID)
		} else {
			require.NotContains(t, content, fault.Code, "%s is not offered to %s", name, by.ID)
		}
		late := name == CommandWaive && len(before.Owed) > 0
		require.Equal(t, before.Status.Closed() && !late, fault.Code == CodeClosed)
		return
	}
	require.True(t, allowed, "%s is not offered to %s", name, by.ID)
	l.happened(t, before, events)
}

// TestR02_R05_R06_R07_R09_R10_R11_R12_R27_WhateverPeopleDo plays random
// commands and steps of time under random policies.
func TestR02_R05_R06_R07_R09_R10_R11_R12_R27_WhateverPeopleDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, playLife)
}

func playLife(t *rapid.T) {
	p := policies().Draw(t, "policy")
	require.NoError(t, p.Validate())
	r := Request{ID: "c", By: "assoc1", At: At(monday.Add(time.Duration(rapid.Int64Range(0, int64(7*24*hour)).Draw(t, "request"))))}
	if rapid.IntRange(0, 4).Draw(t, "scheduled") == 0 {
		r.ScheduledFor = r.At.Plus(Duration(rapid.Int64Range(int64(second), int64(5*hour)).Draw(t, "for")))
	}
	l := &life{policy: p, now: r.At.Time, shadow: &Callback{}}
	var events []Event
	l.real, events = Open(p, r, l.work())
	l.happened(t, &Callback{}, events)

	actions := map[string]func(*rapid.T){
		"time": func(t *rapid.T) {
			most := rapid.SampledFrom([]Duration{second, 10 * minute, 10 * minute, 3 * hour}).Draw(t, "most")
			l.now = l.now.Add(time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, "passes")))
		},
		"next": func(t *rapid.T) {
			if next, ok := l.real.Next(); ok {
				l.now = next.Add(time.Duration(rapid.SampledFrom([]int64{-1, 0, 1e6, 1e9, 3e9}).Draw(t, "late")))
			}
		},
		"": func(t *rapid.T) { // after each: the clock looks, but not always in time
			if rapid.IntRange(0, 3).Draw(t, "looks") > 0 {
				before := l.real.Clone()
				l.happened(t, before, l.real.Advance(p, l.now, l.work()))
			}
		},
		"draw": func(t *rapid.T) {
			before := l.real.Clone()
			d := Draw{ID: "d", To: rapid.SampledFrom(l.members()).Draw(t, "drawn").ID}
			l.happened(t, before, l.real.Assign(p, d, l.now, l.work()))
		},
		"customer calls": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "calls") > 0 {
				return
			}
			before := l.real.Clone()
			events := l.real.CustomerCalls(p, "assoc1", "x", l.now, l.work())
			require.Equal(t, before.Status.Closed(), events == nil)
			if events != nil {
				l.happened(t, before, events)
			}
		},
		"hold and resume": func(t *rapid.T) { l.holdAndResume(t) },
		"told":            func(t *rapid.T) { l.told(t) },
	}
	for _, name := range CommandNames {
		act := func(t *rapid.T) { l.gives(t, name) }
		actions[string(name)] = act
		switch name { // what leads on is given more often
		case CommandClaim, CommandStart, CommandAttempt, CommandHold, CommandComplete:
			actions[string(name)+" again"] = act
		}
	}
	delete(actions, string(CommandCancel)) // ends it, and so is given less often
	actions["end"] = func(t *rapid.T) {
		if rapid.IntRange(0, 9).Draw(t, "end") == 0 {
			l.gives(t, CommandCancel)
		}
	}
	t.Repeat(actions)
	t.Repeat(actions) // a long life
}

// TestR27_NeverDueBeforeTheTimeThatWasPromised plays nothing but what moves the
// clock of a callback for later: holds by hand and by outages, and people who get
// it, give it back and are given it meanwhile.
func TestR27_NeverDueBeforeTheTimeThatWasPromised(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		p.Outage.Hold = true
		r := Request{ID: "c", By: "assoc1", At: At(monday)}
		r.ScheduledFor = r.At.Plus(Duration(rapid.Int64Range(int64(hour), int64(72*hour)).Draw(t, "for")))
		l := &life{policy: p, now: r.At.Time, shadow: &Callback{}}
		var events []Event
		l.real, events = Open(p, r, l.work())
		l.happened(t, &Callback{}, events)
		gives := func(by Person, cmd Command) {
			before := l.real.Clone()
			if events, fault := l.real.Do(p, cmd, by, l.now, l.work()); fault == nil {
				l.happened(t, before, events)
			}
		}
		news := OutageNews{Outage: "o1", By: "mgr1"}
		accountable := func() Person { return byID(l.real.Owner, sup1) }
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				l.now = l.now.Add(time.Duration(rapid.Int64Range(0, int64(4*hour)).Draw(t, "passes")))
				before := l.real.Clone()
				l.happened(t, before, l.real.Advance(p, l.now, l.work()))
			},
			"claim":    func(t *rapid.T) { gives(rapid.SampledFrom(l.members()).Draw(t, "by"), Claim{}) },
			"release":  func(*rapid.T) { gives(byID(l.real.Assignee, sup1), Release{}) },
			"reassign": func(t *rapid.T) { gives(adm, Reassign{To: rapid.SampledFrom(l.members()).Draw(t, "to")}) },
			"hold": func(t *rapid.T) {
				gives(accountable(), HoldClock{Until: At(l.now).Plus(Duration(rapid.Int64Range(1, int64(p.holdMax())).Draw(t, "for")))})
			},
			"resume": func(*rapid.T) { gives(accountable(), Resume{}) },
			"reschedule": func(t *rapid.T) {
				gives(accountable(), Reschedule{For: At(l.now).Plus(Duration(rapid.Int64Range(1, int64(24*hour)).Draw(t, "for")))})
			},
			"escalate": func(*rapid.T) { gives(accountable(), Escalate{}) },
			"outage began": func(*rapid.T) {
				before := l.real.Clone()
				l.happened(t, before, l.real.OutageBegan(p, news, l.now, l.work()))
			},
			"outage ended": func(*rapid.T) {
				before := l.real.Clone()
				l.happened(t, before, l.real.OutageEnded(p, news, l.now, l.work()))
			},
		})
	})
}

// told lets a fact come in from outside.
func (l *life) told(t *rapid.T) {
	before := l.real.Clone()
	to := rapid.SampledFrom(destinations).Draw(t, "to")
	debt, owed := before.Debt(to)
	news := OutageNews{Outage: rapid.SampledFrom([]string{"o1", "o1", "o2"}).Draw(t, "outage"), By: "mgr1"}
	var events []Event
	what := rapid.SampledFrom([]string{"owed", "delivered", "confirmed", "tag", "began", "ended"}).Draw(t, "what")
	switch what {
	case "owed":
		events = l.real.Owe(l.policy, to, "unavailable", before.Version, l.now, l.work())
	case "delivered":
		if !owed {
			return
		}
		events = l.real.Deliver(l.policy, to, debt.Seq, DeliveredBySystem, l.now, l.work())
	case "confirmed":
		events = l.real.Confirm(l.policy, to, debt.Seq, l.now, l.work())
	case "tag":
		events = l.real.TagMissing(l.policy, "system:freshdesk", l.now, l.work())
	case "began":
		events = l.real.OutageBegan(l.policy, news, l.now, l.work())
	case "ended":
		events = l.real.OutageEnded(l.policy, news, l.now, l.work())
	}
	l.happened(t, before, events)
	open := !l.real.Status.Closed()
	_, owes := l.real.Debt(to)
	switch what {
	case "owed":
		require.True(t, owes)
	case "delivered", "confirmed":
		require.False(t, owes && owed && what == "delivered")
	case "began":
		require.True(t, !open || l.real.Outage != "", "R23: linked")
	case "ended":
		require.False(t, open && l.real.Outage == news.Outage, "R23: let go")
	}
}

// holdAndResume checks, on a twin, that a hold keeps the working time that remains.
func (l *life) holdAndResume(t *rapid.T) {
	twin := l.real.Clone()
	twin.Advance(l.policy, l.now, l.work())
	due, warnings, startBy, running := twin.DueAt, twin.WarnAt, twin.StartBy, twin.running()
	by := byID(twin.Owner, Person{})
	_, fault := twin.Do(l.policy, HoldClock{Until: At(l.now).Plus(l.policy.holdMax())}, by, l.now, l.work())
	if fault != nil {
		return
	}
	require.False(t, twin.DueAt.Before(due.Time), "held, a promise is never earlier")
	at := At(l.now).Add(time.Duration(rapid.Int64Range(0, int64(l.policy.holdMax()-1)).Draw(t, "stood")))
	remaining := twin.Hold.Remaining
	_, fault = twin.Do(l.policy, Resume{}, by, at, l.work())
	require.Nil(t, fault)
	if !startBy.IsZero() {
		left := l.work().Spans(At(l.now).Time, startBy.Time)[0]
		require.Equal(t, left, l.work().Spans(At(at).Time, twin.StartBy.Time)[0], "R04: as is the working time in which to start")
	}
	if !running {
		require.Equal(t, due, twin.DueAt)
		return
	}
	from := at
	if twin.Status == StatusScheduled && twin.ScheduledFor.After(from) {
		from = twin.ScheduledFor.Time
	}
	require.Equal(t, remaining, l.work().Spans(At(from).Time, twin.DueAt.Time)[0], "the remaining working time is kept")
	if At(at) == At(l.now) {
		require.Equal(t, due, twin.DueAt, "a hold of no time changes nothing")
		require.Len(t, twin.WarnAt, len(warnings))
	}
}
