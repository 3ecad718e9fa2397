package main

import (
	"time"

	"ringback/callback"
)

// Who works on the floor.
var (
	agent1 = callback.Person{ID: "agent1", Rank: 1}
	sup1   = callback.Person{ID: "sup1", Rank: 2, Queues: []string{supervisors}}
	sup2   = callback.Person{ID: "sup2", Rank: 2, Queues: []string{supervisors}}
	sup3   = callback.Person{ID: "sup3", Rank: 2, Queues: []string{supervisors}}
	mgr1   = callback.Person{ID: "mgr1", Rank: 3, Queues: []string{managers}}
	mgr2   = callback.Person{ID: "mgr2", Rank: 3, Queues: []string{managers}}
	exec1  = callback.Person{ID: "exec1", Rank: 4, Queues: []string{executives}}
	audit1 = callback.Person{ID: "audit1", Rank: 4, Auditor: true}
)

const (
	supervisors = "Supervisors - RM"
	managers    = "Managers - RM"
	executives  = "Executives"
)

// long is a promise that no path waits for.
const long = time.Hour

func of(d time.Duration) callback.Duration { return callback.Duration(d) }

// policy is that of supervisor callbacks with these TATs, one per tier from the supervisor's on, and what is changed.
func policy(tats []time.Duration, changes ...func(*callback.Policy)) *callback.Policy {
	ladder := []callback.Step{
		{Tier: "supervisor", Rank: 2, Queue: supervisors, Assign: callback.AssignPull},
		{Tier: "manager", Rank: 3, Queue: managers, Assign: callback.AssignPull},
		{Tier: "executive", Rank: 4, Queue: executives, Assign: callback.AssignPull},
	}[:len(tats)]
	for i, tat := range tats {
		ladder[i].TAT = of(tat)
	}
	p := &callback.Policy{
		Name: "supervisor-callback", Title: "Supervisor callback",
		Tag:         callback.TagRule{Required: "Callback Required", Unserved: "Callback Not Served"},
		Ladder:      ladder,
		Overdue:     &callback.ChaseRule{Every: of(15 * time.Minute), Max: of(4 * time.Hour)},
		CloseWithin: of(24 * time.Hour),
		HoldMax:     of(24 * time.Hour),
		Attempts:    callback.AttemptRule{Max: 3, Spacing: of(10 * time.Minute)},
		Completion:  callback.CompletionRule{Contact: true, CallSummary: true},
		Reasons: []callback.Reason{
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

func hour() []time.Duration { return []time.Duration{long, long} }

func tats(d ...time.Duration) []time.Duration { return d }

func named(name string) func(*callback.Policy) {
	return func(p *callback.Policy) { p.Name = name }
}

func warnedAt(warnings ...callback.Warning) func(*callback.Policy) {
	return func(p *callback.Policy) { p.Ladder[0].WarnAt = warnings }
}

func startedWithin(d time.Duration) func(*callback.Policy) {
	return func(p *callback.Policy) { p.Ladder[0].StartWithin = of(d) }
}

func reminded(every, most time.Duration) func(*callback.Policy) {
	return func(p *callback.Policy) { p.Overdue = &callback.ChaseRule{Every: of(every), Max: of(most)} }
}

func closedWithin(d time.Duration) func(*callback.Policy) {
	return func(p *callback.Policy) { p.CloseWithin = of(d) }
}

func assigned(by callback.Assign) func(*callback.Policy) {
	return func(p *callback.Policy) { p.Ladder[0].Assign = by }
}

func assignedTo(step int, to callback.Person) func(*callback.Policy) {
	return func(p *callback.Policy) {
		p.Ladder[step].Assign, p.Ladder[step].AssignTo = callback.AssignDirect, to.ID
	}
}

func in(c *callback.Calendar) func(*callback.Policy) {
	return func(p *callback.Policy) { p.Calendar = c }
}

// weekdays has split shifts and a holiday.
func weekdays() *callback.Calendar {
	return &callback.Calendar{
		TimeZone: "Asia/Kolkata",
		Hours:    map[string][]string{"mon-fri": {"09:00-13:00", "14:00-18:00"}},
		Holidays: []string{"2026-12-25"},
	}
}

// always goes through a calendar and never closes.
func always() *callback.Calendar {
	return &callback.Calendar{TimeZone: "Asia/Kolkata", Hours: map[string][]string{"daily": {"00:00-24:00"}}}
}

// bare asks for nothing but a reason, and has no tag, no reminders and no warnings.
func bare() *callback.Policy {
	p := &callback.Policy{
		Name: "purchasing-escalation", Title: "Purchasing escalation",
		Ladder:  []callback.Step{{Tier: "supervisor", Rank: 2, Queue: supervisors, TAT: of(time.Second), Assign: callback.AssignPull}},
		Reasons: []callback.Reason{{Code: "supplied", Title: "Supplied"}},
	}
	return p
}
