package callback

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A situation is a callback in some status, and who is what to it there.
type situation struct {
	name  string
	tier  string
	build func(f *floor)
	table string
}

func escalatedByHand(f *floor) { // sup1 owns it, nobody has it
	f.works(sup1)
	f.does(sup1, Escalate{})
}

func escalatedByClock(f *floor) { // sup1 owns it, sup2 was on the call
	f.works(sup1)
	f.does(sup1, Release{})
	f.works(sup2)
	f.passes(time.Hour)
}

func ownedByOther(f *floor) { // sup1 owns it, sup2 has it
	f.works(sup1)
	f.does(sup1, Release{})
	f.does(sup2, Claim{})
}

func managerHasIt(f *floor) { // sup1 owns it, mgr1 has it
	escalatedByHand(f)
	f.does(mgr1, Claim{})
}

// roles says who stands for each column of the tables.
func (s situation) roles() []Person {
	if s.tier == "supervisor" {
		return []Person{sup2, sup1, sup3, assoc1, {}, mgr1, exec1, auditor, adm}
	}
	return []Person{mgr1, sup1, mgr2, sup3, sup2, mgr3, exec1, auditor, adm}
}

// commands are what is given: each with nothing wrong in it.
func (s situation) commands(f *floor) []Command {
	to := sup3
	if s.tier == "manager" {
		to = mgr3
	}
	later := At(f.now.Add(time.Hour))
	return []Command{
		Claim{}, Start{}, Attempt{Disposition: NoAnswer}, Note{Kind: KindNote, TextID: "n"}, Escalate{},
		Reassign{To: to}, Release{}, HoldClock{Until: later}, Resume{}, Reschedule{For: later},
		Complete{Reason: "resolved", SummaryID: "s"}, Cancel{}, Waive{Destination: "freshdesk"},
	}
}

// TestR04_R05_R07_WhoMayDoWhatWhen is the whole matrix: status × command × role.
//
// The columns are roles: assignee; owner, where that is somebody else; other member of
// the queue; staff outside it; who was on the call when the clock escalated; a manager
// (at the manager tier another one); an executive; an auditor; an admin.
// Where nobody is in a role, the cell says "-".
func TestR04_R05_R07_WhoMayDoWhatWhen(t *testing.T) {
	t.Parallel()
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			lines := strings.Split(strings.TrimSpace(s.table), "\n")
			require.Equal(t, "assignee owner member outsider former above executive auditor admin",
				strings.Join(strings.Fields(lines[0]), " "))
			require.Len(t, lines, 1+len(CommandNames))
			for i, name := range CommandNames {
				row := strings.Fields(lines[1+i])
				require.Equal(t, string(name), row[0])
				for column, by := range s.roles() {
					f := openFloor(t, supervisorCallback(executives, withoutStartWithin))
					s.build(f)
					if vacant := column == 0 && f.Assignee != by.ID || column == 1 && f.Owner != by.ID || column == 4 && f.Former == ""; vacant {
						require.Equal(t, "-", row[1+column], "%s: nobody is in this role", name)
						continue
					}
					cmd := s.commands(f)[i]
					require.Equal(t, name, cmd.Name())
					before := inJSON(t, f.Callback)
					offered := slices.Contains(f.allows(by), name)
					events, fault := f.Do(f.policy, cmd, by, f.now, f.work())
					require.Equal(t, row[1+column], codeOf(fault), "%s by %s", name, by.ID)
					if fault != nil {
						require.Equal(t, before, inJSON(t, f.Callback), "%s by %s is refused, and changes something", name, by.ID)
					} else {
						f.happened(events)
					}
					// What is refused for its content alone is offered.
					require.Equal(t, fault == nil || fault.Code == CodeContactRequired, offered, "%s to %s", name, by.ID)
				}
			}
		})
	}
}

const unownedTable = `
           assignee  owner  member        outsider        former  above           executive       auditor    admin
claim      -         -      ok            not_your_queue  -       not_your_queue  not_your_queue  forbidden  not_your_queue
start      -         -      not_claimed   not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
attempt    -         -      not_claimed   not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
note       -         -      ok            ok              -       ok              ok              forbidden  ok
escalate   -         -      not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reassign   -         -      forbidden     forbidden       -       ok              ok              forbidden  ok
release    -         -      not_claimed   not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
hold       -         -      not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
resume     -         -      not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reschedule -         -      not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
complete   -         -      not_claimed   not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
cancel     -         -      forbidden     forbidden       -       ok              ok              forbidden  forbidden
waive      -         -      forbidden     forbidden       -       not_found       not_found       forbidden  not_found
`

const closedTable = `
           assignee  owner   member  outsider  former  above   executive  auditor  admin
claim      closed    closed  closed  closed    -       closed  closed     closed   closed
start      closed    closed  closed  closed    -       closed  closed     closed   closed
attempt    closed    closed  closed  closed    -       closed  closed     closed   closed
note       closed    closed  closed  closed    -       closed  closed     closed   closed
escalate   closed    closed  closed  closed    -       closed  closed     closed   closed
reassign   closed    closed  closed  closed    -       closed  closed     closed   closed
release    closed    closed  closed  closed    -       closed  closed     closed   closed
hold       closed    closed  closed  closed    -       closed  closed     closed   closed
resume     closed    closed  closed  closed    -       closed  closed     closed   closed
reschedule closed    closed  closed  closed    -       closed  closed     closed   closed
complete   closed    closed  closed  closed    -       closed  closed     closed   closed
cancel     closed    closed  closed  closed    -       closed  closed     closed   closed
waive      closed    closed  closed  closed    -       closed  closed     closed   closed
`

var situations = []situation{
	{name: "scheduled, nobody owns it", tier: "supervisor", build: func(f *floor) {
		*f = *requestFloor(f.t, f.policy, Request{ID: "c1", By: assoc1.ID, At: At(monday), ScheduledFor: f.at(time.Hour)})
	}, table: unownedTable},
	{name: "scheduled again by its owner", tier: "supervisor", build: func(f *floor) {
		f.works(sup1)
		f.does(sup1, Reschedule{For: f.at(2 * time.Hour)})
	}, table: `
           assignee  owner        member        outsider        former  above           executive       auditor    admin
claim      -         ok           ok            not_your_queue  -       not_your_queue  not_your_queue  forbidden  not_your_queue
start      -         not_claimed  not_claimed   not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
attempt    -         not_claimed  not_claimed   not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
note       -         ok           ok            ok              -       ok              ok              forbidden  ok
escalate   -         ok           not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reassign   -         forbidden    forbidden     forbidden       -       ok              ok              forbidden  ok
release    -         not_claimed  not_claimed   not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
hold       -         ok           not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
resume     -         held         not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reschedule -         ok           not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
complete   -         not_claimed  not_claimed   not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
cancel     -         ok           forbidden     forbidden       -       ok              ok              forbidden  forbidden
waive      -         not_found    forbidden     forbidden       -       not_found       not_found       forbidden  not_found
`},
	{name: "queued, nobody owns it", tier: "supervisor", build: func(*floor) {}, table: unownedTable},
	{name: "queued for a manager, by hand", tier: "manager", build: escalatedByHand, table: `
           assignee  owner           member        outsider        former  above         executive       auditor    admin
claim      -         not_your_queue  ok            not_your_queue  -       ok            not_your_queue  forbidden  not_your_queue
start      -         not_assignee    not_claimed   not_assignee    -       not_claimed   not_assignee    forbidden  not_assignee
attempt    -         not_assignee    not_claimed   not_assignee    -       not_claimed   not_assignee    forbidden  not_assignee
note       -         ok              ok            ok              -       ok            ok              forbidden  ok
escalate   -         ok              not_assignee  not_assignee    -       not_assignee  not_assignee    forbidden  not_assignee
reassign   -         forbidden       forbidden     forbidden       -       forbidden     ok              forbidden  ok
release    -         not_assignee    not_claimed   not_assignee    -       not_claimed   not_assignee    forbidden  not_assignee
hold       -         ok              not_assignee  not_assignee    -       not_assignee  not_assignee    forbidden  not_assignee
resume     -         held            not_assignee  not_assignee    -       not_assignee  not_assignee    forbidden  not_assignee
reschedule -         ok              not_assignee  not_assignee    -       not_assignee  not_assignee    forbidden  not_assignee
complete   -         not_assignee    not_claimed   not_assignee    -       not_claimed   not_assignee    forbidden  not_assignee
cancel     -         ok              ok            forbidden       -       ok            ok              forbidden  forbidden
waive      -         not_found       not_found     forbidden       -       not_found     not_found       forbidden  not_found
`},
	{name: "queued for a manager, by the clock", tier: "manager", build: escalatedByClock, table: `
           assignee  owner           member        outsider        former            above         executive       auditor    admin
claim      -         not_your_queue  ok            not_your_queue  not_your_queue    ok            not_your_queue  forbidden  not_your_queue
start      -         not_assignee    not_claimed   not_assignee    not_assignee      not_claimed   not_assignee    forbidden  not_assignee
attempt    -         not_assignee    not_claimed   not_assignee    ok                not_claimed   not_assignee    forbidden  not_assignee
note       -         ok              ok            ok              ok                ok            ok              forbidden  ok
escalate   -         ok              not_assignee  not_assignee    not_assignee      not_assignee  not_assignee    forbidden  not_assignee
reassign   -         forbidden       forbidden     forbidden       forbidden         forbidden     ok              forbidden  ok
release    -         not_assignee    not_claimed   not_assignee    not_assignee      not_claimed   not_assignee    forbidden  not_assignee
hold       -         ok              not_assignee  not_assignee    not_assignee      not_assignee  not_assignee    forbidden  not_assignee
resume     -         held            not_assignee  not_assignee    not_assignee      not_assignee  not_assignee    forbidden  not_assignee
reschedule -         ok              not_assignee  not_assignee    not_assignee      not_assignee  not_assignee    forbidden  not_assignee
complete   -         not_assignee    not_claimed   not_assignee    contact_required  not_claimed   not_assignee    forbidden  not_assignee
cancel     -         ok              ok            forbidden       forbidden         ok            ok              forbidden  forbidden
waive      -         not_found       not_found     forbidden       forbidden         not_found     not_found       forbidden  not_found
`},
	{name: "queued and held by its owner", tier: "manager", build: func(f *floor) {
		escalatedByClock(f)
		f.does(sup1, HoldClock{Until: At(f.now.Add(2 * time.Hour))})
	}, table: `
           assignee  owner           member        outsider        former          above         executive       auditor    admin
claim      -         not_your_queue  held          not_your_queue  not_your_queue  held          not_your_queue  forbidden  not_your_queue
start      -         not_assignee    held          not_assignee    not_assignee    held          not_assignee    forbidden  not_assignee
attempt    -         not_assignee    held          not_assignee    held            held          not_assignee    forbidden  not_assignee
note       -         ok              ok            ok              ok              ok            ok              forbidden  ok
escalate   -         ok              not_assignee  not_assignee    not_assignee    not_assignee  not_assignee    forbidden  not_assignee
reassign   -         forbidden       forbidden     forbidden       forbidden       forbidden     ok              forbidden  ok
release    -         not_assignee    not_claimed   not_assignee    not_assignee    not_claimed   not_assignee    forbidden  not_assignee
hold       -         held            not_assignee  not_assignee    not_assignee    not_assignee  not_assignee    forbidden  not_assignee
resume     -         ok              not_assignee  not_assignee    not_assignee    not_assignee  not_assignee    forbidden  not_assignee
reschedule -         ok              not_assignee  not_assignee    not_assignee    not_assignee  not_assignee    forbidden  not_assignee
complete   -         not_assignee    held          not_assignee    held            held          not_assignee    forbidden  not_assignee
cancel     -         ok              ok            forbidden       forbidden       ok            ok              forbidden  forbidden
waive      -         not_found       not_found     forbidden       forbidden       not_found     not_found       forbidden  not_found
`},
	{name: "claimed", tier: "supervisor", build: ownedByOther, table: `
           assignee         owner            member           outsider        former  above           executive       auditor    admin
claim      already_claimed  already_claimed  already_claimed  not_your_queue  -       not_your_queue  not_your_queue  forbidden  not_your_queue
start      ok               not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
attempt    not_started      not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
note       ok               ok               ok               ok              -       ok              ok              forbidden  ok
escalate   ok               ok               not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reassign   forbidden        forbidden        forbidden        forbidden       -       ok              ok              forbidden  ok
release    ok               not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
hold       ok               ok               not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
resume     held             held             not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reschedule ok               ok               not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
complete   not_started      not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
cancel     forbidden        ok               forbidden        forbidden       -       ok              ok              forbidden  forbidden
waive      not_found        not_found        forbidden        forbidden       -       not_found       not_found       forbidden  not_found
`},
	{name: "claimed by a manager", tier: "manager", build: managerHasIt, table: `
           assignee         owner           member           outsider        former  above            executive       auditor    admin
claim      already_claimed  not_your_queue  already_claimed  not_your_queue  -       already_claimed  not_your_queue  forbidden  not_your_queue
start      ok               not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
attempt    not_started      not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
note       ok               ok              ok               ok              -       ok               ok              forbidden  ok
escalate   ok               ok              not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
reassign   forbidden        forbidden       forbidden        forbidden       -       forbidden        ok              forbidden  ok
release    ok               not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
hold       ok               ok              not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
resume     held             held            not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
reschedule ok               ok              not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
complete   not_started      not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
cancel     ok               ok              ok               forbidden       -       ok               ok              forbidden  forbidden
waive      not_found        not_found       not_found        forbidden       -       not_found        not_found       forbidden  not_found
`},
	{name: "in progress", tier: "supervisor", build: func(f *floor) {
		ownedByOther(f)
		f.does(sup2, Start{})
	}, table: `
           assignee          owner            member           outsider        former  above           executive       auditor    admin
claim      already_claimed   already_claimed  already_claimed  not_your_queue  -       not_your_queue  not_your_queue  forbidden  not_your_queue
start      ok                not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
attempt    ok                not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
note       ok                ok               ok               ok              -       ok              ok              forbidden  ok
escalate   ok                ok               not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reassign   forbidden         forbidden        forbidden        forbidden       -       ok              ok              forbidden  ok
release    ok                not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
hold       ok                ok               not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
resume     held              held             not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reschedule ok                ok               not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
complete   contact_required  not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
cancel     forbidden         ok               forbidden        forbidden       -       ok              ok              forbidden  forbidden
waive      not_found         not_found        forbidden        forbidden       -       not_found       not_found       forbidden  not_found
`},
	{name: "in progress at a manager's, contacted", tier: "manager", build: func(f *floor) {
		managerHasIt(f)
		f.reaches(mgr1)
	}, table: `
           assignee         owner           member           outsider        former  above            executive       auditor    admin
claim      already_claimed  not_your_queue  already_claimed  not_your_queue  -       already_claimed  not_your_queue  forbidden  not_your_queue
start      ok               not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
attempt    ok               not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
note       ok               ok              ok               ok              -       ok               ok              forbidden  ok
escalate   ok               ok              not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
reassign   forbidden        forbidden       forbidden        forbidden       -       forbidden        ok              forbidden  ok
release    ok               not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
hold       ok               ok              not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
resume     held             held            not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
reschedule ok               ok              not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
complete   ok               not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
cancel     ok               ok              ok               forbidden       -       ok               ok              forbidden  forbidden
waive      not_found        not_found       not_found        forbidden       -       not_found        not_found       forbidden  not_found
`},
	{name: "in progress and held", tier: "supervisor", build: func(f *floor) {
		ownedByOther(f)
		f.does(sup2, Start{})
		f.does(sup2, HoldClock{Until: At(f.now.Add(time.Hour))})
	}, table: `
           assignee   owner         member        outsider        former  above           executive       auditor    admin
claim      held       held          held          not_your_queue  -       not_your_queue  not_your_queue  forbidden  not_your_queue
start      held       not_assignee  not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
attempt    held       not_assignee  not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
note       ok         ok            ok            ok              -       ok              ok              forbidden  ok
escalate   ok         ok            not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reassign   forbidden  forbidden     forbidden     forbidden       -       ok              ok              forbidden  ok
release    ok         not_assignee  not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
hold       held       held          not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
resume     ok         ok            not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reschedule ok         ok            not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
complete   held       not_assignee  not_assignee  not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
cancel     forbidden  ok            forbidden     forbidden       -       ok              ok              forbidden  forbidden
waive      not_found  not_found     forbidden     forbidden       -       not_found       not_found       forbidden  not_found
`},
	{name: "breached at the last tier", tier: "manager", build: func(f *floor) {
		f.policy.Ladder = f.policy.Ladder[:2]
		managerHasIt(f)
		f.passes(2 * time.Hour)
	}, table: `
           assignee         owner           member           outsider        former  above            executive       auditor    admin
claim      already_claimed  not_your_queue  already_claimed  not_your_queue  -       already_claimed  not_your_queue  forbidden  not_your_queue
start      ok               not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
attempt    not_started      not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
note       ok               ok              ok               ok              -       ok               ok              forbidden  ok
escalate   no_higher_tier   no_higher_tier  not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
reassign   forbidden        forbidden       forbidden        forbidden       -       forbidden        ok              forbidden  ok
release    ok               not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
hold       held             held            not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
resume     held             held            not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
reschedule ok               ok              not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
complete   not_started      not_assignee    not_assignee     not_assignee    -       not_assignee     not_assignee    forbidden  not_assignee
cancel     ok               ok              ok               forbidden       -       ok               ok              forbidden  forbidden
waive      not_found        not_found       not_found        forbidden       -       not_found        not_found       forbidden  not_found
`},
	{name: "claimed, and a note is owed", tier: "supervisor", build: func(f *floor) {
		ownedByOther(f)
		f.owes("freshdesk", "no_identity")
	}, table: `
           assignee         owner            member           outsider        former  above           executive       auditor    admin
claim      already_claimed  already_claimed  already_claimed  not_your_queue  -       not_your_queue  not_your_queue  forbidden  not_your_queue
start      ok               not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
attempt    not_started      not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
note       ok               ok               ok               ok              -       ok              ok              forbidden  ok
escalate   ok               ok               not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reassign   forbidden        forbidden        forbidden        forbidden       -       ok              ok              forbidden  ok
release    ok               not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
hold       ok               ok               not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
resume     held             held             not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
reschedule ok               ok               not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
complete   not_started      not_assignee     not_assignee     not_assignee    -       not_assignee    not_assignee    forbidden  not_assignee
cancel     forbidden        ok               forbidden        forbidden       -       ok              ok              forbidden  forbidden
waive      ok               ok               forbidden        forbidden       -       ok              ok              forbidden  ok
`},
	{name: "completed, and a note is owed", tier: "manager", build: func(f *floor) {
		managerHasIt(f)
		f.owes("freshdesk", "unavailable")
		f.reaches(mgr1)
		f.does(mgr1, Complete{Reason: "resolved", SummaryID: "s"})
	}, table: `
           assignee  owner   member  outsider  former  above   executive  auditor  admin
claim      closed    closed  closed  closed    -       closed  closed     closed   closed
start      closed    closed  closed  closed    -       closed  closed     closed   closed
attempt    closed    closed  closed  closed    -       closed  closed     closed   closed
note       closed    closed  closed  closed    -       closed  closed     closed   closed
escalate   closed    closed  closed  closed    -       closed  closed     closed   closed
reassign   closed    closed  closed  closed    -       closed  closed     closed   closed
release    closed    closed  closed  closed    -       closed  closed     closed   closed
hold       closed    closed  closed  closed    -       closed  closed     closed   closed
resume     closed    closed  closed  closed    -       closed  closed     closed   closed
reschedule closed    closed  closed  closed    -       closed  closed     closed   closed
complete   closed    closed  closed  closed    -       closed  closed     closed   closed
cancel     closed    closed  closed  closed    -       closed  closed     closed   closed
waive      ok         ok      ok      forbidden  -       ok      ok         forbidden  ok
`},
	{name: "completed", tier: "manager", build: func(f *floor) {
		managerHasIt(f)
		f.reaches(mgr1)
		f.does(mgr1, Complete{Reason: "resolved", SummaryID: "s"})
	}, table: closedTable},
	{name: "cancelled", tier: "supervisor", build: func(f *floor) {
		ownedByOther(f)
		f.does(sup1, Cancel{})
	}, table: closedTable},
}
