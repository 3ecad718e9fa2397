package callback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestR07_R09_R12_R17_OrderOfChecks gives commands with more than one thing
// wrong with them: what CONTRACT §4 names first is what refuses.
func TestR07_R09_R12_R17_OrderOfChecks(t *testing.T) {
	t.Parallel()
	closed := func(f *floor) { f.does(mgr1, Cancel{}) }
	queued := func(*floor) {}
	claimed := func(f *floor) { f.does(sup1, Claim{}) }
	working := func(f *floor) { f.works(sup1) }
	held := func(f *floor) {
		f.works(sup1)
		f.does(sup1, HoldClock{Until: At(f.now.Add(time.Hour))})
	}
	heldAndReleased := func(f *floor) {
		held(f)
		f.does(sup1, Release{})
	}
	atManagers := func(f *floor) { managerHasIt(f) }
	down := Reassign{To: Person{ID: "sup9", Rank: 2}}
	for _, c := range []struct {
		name  string
		build func(f *floor)
		by    Person
		cmd   Command
		code  Code
		rule  Rule
	}{
		{"closed before transfer down", closed, sup1, Reassign{To: assoc1}, CodeClosed, "R09"},
		{"closed before an auditor's command", closed, auditor, Claim{}, CodeClosed, "R09"},
		{"closed before not your queue", closed, assoc1, Claim{}, CodeClosed, "R09"},
		{"closed before a missing reason", closed, sup1, Complete{}, CodeClosed, "R09"},
		{"closed before what the content lacks", closed, sup1, Attempt{}, CodeClosed, "R09"},
		{"transfer down before an auditor's command", atManagers, auditor, down, CodeTransferDownForbidden, "R07"},
		{"transfer down before who may not reassign at all", atManagers, assoc1, down, CodeTransferDownForbidden, "R07"},
		{"transfer down before whom it is given to", atManagers, exec1, down, CodeTransferDownForbidden, "R07"},
		{"transfer down even by an admin", atManagers, adm, down, CodeTransferDownForbidden, "R07"},
		{"transfer down at the first tier too", claimed, mgr1, Reassign{To: assoc1}, CodeTransferDownForbidden, "R07"},
		{"transfer down by the owner, to a colleague", atManagers, sup1, Reassign{To: sup2}, CodeTransferDownForbidden, "R07"},
		{"sideways is forbidden", atManagers, mgr1, Reassign{To: mgr2}, CodeForbidden, "R07"},
		{"sideways is forbidden at the first tier", claimed, sup1, Reassign{To: sup2}, CodeForbidden, "R05"},
		{"an auditor before the queue", queued, auditor, Claim{}, CodeForbidden, "R24"},
		{"who may before whom it is given to", claimed, sup1, Reassign{To: mgr1}, CodeForbidden, "R05"},
		{"whom it is given to before that they have it", claimed, mgr1, Reassign{To: Person{ID: "sup1", Rank: 2}}, CodeNotYourQueue, "R05"},
		{"they have it", claimed, mgr1, Reassign{To: sup1}, CodeAlreadyClaimed, "R04"},
		{"not your queue before held", held, assoc1, Claim{}, CodeNotYourQueue, "R04"},
		{"not your queue before already claimed", claimed, mgr1, Claim{}, CodeNotYourQueue, "R04"},
		{"not assignee before held", held, sup2, Start{}, CodeNotAssignee, "R04"},
		{"not assignee before not claimed", queued, mgr1, Start{}, CodeNotAssignee, "R04"},
		{"not assignee before not started", claimed, sup2, Attempt{Disposition: Reached}, CodeNotAssignee, "R04"},
		{"not assignee before a missing reason", working, sup2, Complete{}, CodeNotAssignee, "R04"},
		{"not assignee before no higher tier", func(f *floor) { f.policy.Ladder = f.policy.Ladder[:1] }, sup2, Escalate{}, CodeNotAssignee, "R05"},
		{"not assignee before not held", working, sup2, Resume{}, CodeNotAssignee, "R05"},
		{"held before already claimed", held, sup2, Claim{}, CodeHeld, ""},
		{"held before one's own is already claimed", held, sup1, Claim{}, CodeHeld, ""},
		{"held before not claimed", heldAndReleased, sup2, Start{}, CodeHeld, ""},
		{"held before not started", func(f *floor) {
			f.does(sup1, Claim{})
			f.does(sup1, HoldClock{Until: At(f.now.Add(time.Hour))})
		}, sup1, Attempt{Disposition: NoAnswer}, CodeHeld, ""},
		{"held before a missing reason", held, sup1, Complete{}, CodeHeld, ""},
		{"held before an until that is wrong", held, sup1, HoldClock{}, CodeHeld, ""},
		{"while held a release is not claimed", heldAndReleased, sup2, Release{}, CodeNotClaimed, "R04"},
		{"not started before a missing reason", claimed, sup1, Complete{}, CodeNotStarted, "R16"},
		{"not started before contact", claimed, sup1, Complete{Reason: "resolved"}, CodeNotStarted, "R16"},
		{"not started before what the content lacks", claimed, sup1, Attempt{}, CodeNotStarted, "R16"},
		{"a reason before contact", working, sup1, Complete{}, CodeResolutionReasonRequired, "R17"},
		{"a known reason before contact", working, sup1, Complete{Reason: "bored"}, CodeUnknownResolutionReason, "R17"},
		{"contact before attempts", working, sup1, Complete{Reason: "called back"}, CodeContactRequired, "R09"},
		{"attempts before the call summary", working, sup1, Complete{Reason: "unreachable"}, CodeAttemptsLeft, "R09"},
		{"contact before the call summary", working, sup1, Complete{Reason: "resolved"}, CodeContactRequired, "R09"},
		{"the call summary at last", func(f *floor) { f.reaches(sup1) }, sup1, Complete{Reason: "resolved"}, CodeCallSummaryRequired, "R12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := openFloor(t, supervisorCallback(func(p *Policy) {
				p.Reasons = append(p.Reasons, Reason{Code: "called back", AfterAttempts: 1})
			}))
			c.build(f)
			f.refuses(c.code, c.rule, c.by, c.cmd)
		})
	}
}

func TestContentIsChecked(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.works(sup1)
	for _, c := range []struct {
		cmd  Command
		path string
	}{
		{Attempt{}, "disposition"},
		{Attempt{Disposition: "hung_up"}, "disposition"},
		{Note{}, "kind"},
		{Note{Kind: "public", TextID: "x"}, "kind"},
		{HoldClock{}, "until"},
		{HoldClock{Until: At(f.now)}, "until"},
		{HoldClock{Until: f.at(-time.Minute)}, "until"},
		{HoldClock{Until: f.at(24*time.Hour + time.Millisecond)}, "until"},
		{Reschedule{}, "scheduled_for"},
		{Reschedule{For: At(f.now)}, "scheduled_for"},
		{Reschedule{For: At(time.Date(9999, 12, 31, 23, 30, 0, 0, time.UTC))}, "scheduled_for"},
		{Escalate{Transfer: &Transfer{ID: "t1", To: sup2}}, "transfer_id"},
		{Escalate{Transfer: &Transfer{ID: "t1", To: Person{ID: "mgr9", Rank: 3}}}, "transfer_id"},
		{Escalate{Transfer: &Transfer{ID: "t1", To: Person{ID: "sup9", Rank: 2, Queues: mgr1.Queues}}}, "transfer_id"},
	} {
		fault := f.refuses(CodeInvalid, "", sup1, c.cmd)
		require.Len(t, fault.Errors, 1)
		require.Equal(t, c.path, fault.Errors[0].Path)
		require.NotEmpty(t, fault.Errors[0].Message)
	}
	f.does(sup1, HoldClock{Until: f.at(24 * time.Hour)})
	f.does(sup1, Resume{})
	f.does(sup1, HoldClock{Until: f.at(time.Millisecond)})
}

// Whatever comes without a name is nobody's: it must not pass for the assignee
// or the owner that a queued callback has not.
func TestR24_NobodyGivesNoCommand(t *testing.T) {
	t.Parallel()
	for _, nobody := range []Person{{}, {Rank: 9, Admin: true, Queues: []string{"Supervisors - RM"}}} {
		f := openFloor(t, supervisorCallback())
		for _, cmd := range (situation{tier: "supervisor"}).commands(f) {
			f.refuses(CodeForbidden, "R24", nobody, cmd)
		}
		require.Empty(t, f.allows(nobody))
	}
}

// A command may be decoded into a pointer, which is a Command as well: the
// checks are the same.
func TestR07_PointersAreNoWayDown(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	managerHasIt(f)
	f.refuses(CodeTransferDownForbidden, "R07", exec1, &Reassign{To: Person{ID: "sup9", Rank: 2, Queues: mgr1.Queues}})
	f.does(exec1, &Reassign{To: mgr2})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.does(sup1, Claim{})
	fault := f.refuses(CodeAlreadyClaimed, "R04", sup2, Claim{})
	require.Equal(t, "sup1", fault.Holder)
	require.EqualError(t, fault, "already_claimed (R04): sup1 has already claimed this callback")
	require.ErrorIs(t, fault, Refused(CodeAlreadyClaimed))
	require.NotErrorIs(t, fault, Refused(CodeClosed))
	require.NotErrorIs(t, fault, errOther)
	require.EqualError(t, Invalid("a.b", "expected %d", 1), "invalid: a.b: expected 1")
	require.Equal(t, "sup1", f.refuses(CodeAlreadyClaimed, "R04", mgr1, Reassign{To: sup1}).Holder)
}
