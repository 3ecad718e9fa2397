package callback

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The people of the floor. Who is what on a callback is for each test to say.
var (
	assoc1 = Person{ID: "assoc1", Rank: 1, Queues: []string{"Associates"}}
	sup1   = Person{ID: "sup1", Rank: 2, Queues: []string{"Supervisors - RM"}}
	sup2   = Person{ID: "sup2", Rank: 2, Queues: []string{"Supervisors - RM"}}
	sup3   = Person{ID: "sup3", Rank: 2, Queues: []string{"Supervisors - RM"}}
	mgr1   = Person{ID: "mgr1", Rank: 3, Queues: []string{"Managers - RM"}}
	mgr2   = Person{ID: "mgr2", Rank: 3, Queues: []string{"Managers - RM"}}
	mgr3   = Person{ID: "mgr3", Rank: 3, Queues: []string{"Managers - RM"}}
	exec1  = Person{ID: "exec1", Rank: 4, Queues: []string{"Executives"}}
	exec2  = Person{ID: "exec2", Rank: 4, Queues: []string{"Executives"}}
	adm    = Person{ID: "adm", Rank: 1, Admin: true}
	// The auditor has every queue and the highest rank: being one is all that stops them.
	auditor = Person{ID: "auditor", Rank: 9, Auditor: true, Queues: []string{"Supervisors - RM", "Managers - RM", "Executives"}}

	everybody = []Person{assoc1, sup1, sup2, sup3, mgr1, mgr2, mgr3, exec1, exec2, adm, auditor}
)

// monday is when every test begins: 10:00 in UTC.
var monday = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

const (
	second = Duration(time.Second)
	minute = Duration(time.Minute)
	hour   = Duration(time.Hour)
)

// supervisorCallback is the policy of CONTRACT §3, around the clock.
func supervisorCallback(changes ...func(p *Policy)) *Policy {
	p := &Policy{
		Name: "supervisor-callback", Title: "Supervisor callback",
		Tag: TagRule{Required: "Callback Required", Unserved: "Callback Not Served"},
		Ladder: []Step{
			{
				Tier: "supervisor", Rank: 2, Queue: "Supervisors - RM", TAT: hour, Assign: AssignPull,
				WarnAt: []Warning{"50%", "90%"}, StartWithin: 15 * minute,
				QueueByLOB: map[string]string{"flights": "Supervisors - Air"},
			},
			{Tier: "manager", Rank: 3, Queue: "Managers - RM", TAT: hour, Assign: AssignPull},
		},
		Overdue:     &ChaseRule{Every: 15 * minute, Max: 4 * hour},
		CloseWithin: 24 * hour,
		HoldMax:     24 * hour,
		Attempts:    AttemptRule{Max: 3, Spacing: 10 * minute},
		Completion:  CompletionRule{Contact: true, CallSummary: true},
		Fields:      []Field{{Name: "order_number", Required: true, Pattern: "^[A-Z0-9-]{4,20}$"}, {Name: "comment"}},
		Reasons: []Reason{
			{Code: "resolved", Title: "Resolved on the call"},
			{Code: "unreachable", Title: "Customer could not be reached", WithoutContact: true, AfterAttempts: 3},
		},
		CancelRank: 3,
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

// executives adds a third tier.
func executives(p *Policy) {
	p.Ladder = append(p.Ladder, Step{Tier: "executive", Rank: 4, Queue: "Executives", TAT: hour, Assign: AssignPull})
}

// supervisorsOnly leaves the first tier as the last one.
func supervisorsOnly(p *Policy) { p.Ladder = p.Ladder[:1] }

// withoutStartWithin gives an assignee all the time to start.
func withoutStartWithin(p *Policy) {
	for i := range p.Ladder {
		p.Ladder[i].StartWithin = 0
	}
}

// floor plays one callback: it gives commands, lets time pass, and after every
// step checks that the events fold to the state.
type floor struct {
	t      testing.TB
	policy *Policy
	now    time.Time
	*Callback
	events []Event
}

func openFloor(t testing.TB, p *Policy) *floor {
	t.Helper()
	return requestFloor(t, p, Request{ID: "c1", By: assoc1.ID, At: At(monday)})
}

func requestFloor(t testing.TB, p *Policy, r Request) *floor {
	t.Helper()
	require.NoError(t, p.Validate())
	f := &floor{t: t, policy: p.Pin("", ""), now: r.At.Time}
	f.Callback, f.events = Open(f.policy, r, f.work())
	f.checked()
	return f
}

func (f *floor) work() Worktime { return f.policy.Calendar }

// does gives a command that must succeed, and returns what it brought about.
func (f *floor) does(by Person, cmd Command) []Event {
	f.t.Helper()
	events, fault := f.Do(f.policy, cmd, by, f.now, f.work())
	require.Nil(f.t, fault, "%s by %s", cmd.Name(), by.ID)
	return f.happened(events)
}

// refuses gives a command that must be refused: with this code, on this rule.
func (f *floor) refuses(code Code, rule Rule, by Person, cmd Command) *Fault {
	f.t.Helper()
	before := inJSON(f.t, f.Callback)
	events, fault := f.Do(f.policy, cmd, by, f.now, f.work())
	require.NotNil(f.t, fault, "%s by %s", cmd.Name(), by.ID)
	require.Equal(f.t, [2]string{string(code), string(rule)}, [2]string{string(fault.Code), string(fault.Rule)}, fault.Detail)
	require.Empty(f.t, events)
	require.Equal(f.t, before, inJSON(f.t, f.Callback), "a refused command changes nothing")
	return fault
}

// passes lets time pass with a clock that looks whenever Next says so.
func (f *floor) passes(d time.Duration) {
	f.t.Helper()
	end := f.now.Add(d)
	for {
		next, ok := f.Next()
		if !ok || next.After(end) {
			break
		}
		f.now = next.Time
		require.NotEmpty(f.t, f.looks(), "woke up for nothing at %s", next)
	}
	f.now = end
}

// sleeps lets time pass while nobody looks at the clock, as when the system is down.
func (f *floor) sleeps(d time.Duration) { f.now = f.now.Add(d) }

// looks is the clock looking now.
func (f *floor) looks() []Event {
	f.t.Helper()
	return f.happened(f.Advance(f.policy, f.now, f.work()))
}

func (f *floor) draws(d Draw) []Event {
	f.t.Helper()
	return f.happened(f.Assign(f.policy, d, f.now, f.work()))
}

func (f *floor) customerCalls(by string) []Event {
	f.t.Helper()
	return f.happened(f.CustomerCalls(f.policy, by, "text", f.now, f.work()))
}

// owes lets the newest event be owed to a destination.
func (f *floor) owes(destination, code string) []Event {
	f.t.Helper()
	return f.happened(f.Owe(f.policy, destination, code, f.Version, f.now, f.work()))
}

func (f *floor) delivers(destination string, seq int64) []Event {
	f.t.Helper()
	return f.happened(f.Deliver(f.policy, destination, seq, DeliveredBySystem, f.now, f.work()))
}

func (f *floor) outageBegins(id string) []Event {
	f.t.Helper()
	return f.happened(f.OutageBegan(f.policy, OutageNews{Outage: id, By: mgr1.ID}, f.now, f.work()))
}

func (f *floor) outageEnds(id string) []Event {
	f.t.Helper()
	return f.happened(f.OutageEnded(f.policy, OutageNews{Outage: id, By: mgr2.ID}, f.now, f.work()))
}

func (f *floor) happened(events []Event) []Event {
	f.t.Helper()
	f.events = append(f.events, events...)
	f.checked()
	return events
}

func (f *floor) checked() {
	f.t.Helper()
	folded, err := Fold(nil, f.events)
	require.NoError(f.t, err)
	require.Equal(f.t, inJSON(f.t, f.Callback), inJSON(f.t, folded), "the events fold to the state")
	require.Equal(f.t, f.policy.Tag.Required != "" && !f.Status.Closed(), f.CallbackRequired, "R09")
}

// works brings it to in_progress: claimed, or taken as it is, and started.
func (f *floor) works(by Person) {
	f.t.Helper()
	if f.Assignee != by.ID {
		f.does(by, Claim{})
	}
	f.does(by, Start{})
}

// reaches brings it to contacted.
func (f *floor) reaches(by Person) {
	f.t.Helper()
	f.works(by)
	f.does(by, Attempt{Disposition: Reached})
}

// allows asks which commands are offered.
func (f *floor) allows(by Person) []CommandName {
	return f.Allowed(f.policy, by, f.now, f.work())
}

// at is the instant d after the request.
func (f *floor) at(d time.Duration) Instant { return At(monday.Add(d)) }

// times lists when events of a type happened, since the request.
func (f *floor) times(typ EventType) []time.Duration {
	at := []time.Duration{}
	for _, e := range f.events {
		if e.Fact.Type() == typ {
			at = append(at, e.At.Sub(monday))
		}
	}
	return at
}

func types(events []Event) []EventType {
	list := []EventType{}
	for _, e := range events {
		list = append(list, e.Fact.Type())
	}
	return list
}

// last returns the last event with a fact of the type, and that fact.
func last[F Fact](f *floor) (Event, F) {
	f.t.Helper()
	for _, e := range slices.Backward(f.events) {
		if fact, ok := e.Fact.(F); ok {
			return e, fact
		}
	}
	var none F
	require.Failf(f.t, "no such event", "%T among %v", none, types(f.events))
	return Event{}, none
}

func inJSON(t require.TestingT, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func codeOf(f *Fault) string {
	if f == nil {
		return "ok"
	}
	return string(f.Code)
}
