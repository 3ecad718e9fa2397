package connectortest

import (
	"time"

	"ringback/book"
	"ringback/callback"
)

// SupervisorCallback is the policy of CONTRACT §3 around the clock, with tags.
func SupervisorCallback() *callback.Policy {
	hour := callback.Duration(time.Hour)
	return &callback.Policy{
		Name: "supervisor-callback", Title: "Supervisor callback",
		Tag: callback.TagRule{Required: "Callback Required", Unserved: "Callback Not Served"},
		Ladder: []callback.Step{
			{Tier: "supervisor", Rank: 2, Queue: "Supervisors - RM", TAT: hour, Assign: callback.AssignPull},
			{Tier: "manager", Rank: 3, Queue: "Managers - RM", TAT: hour, Assign: callback.AssignPull},
		},
		Completion: callback.CompletionRule{Contact: true, CallSummary: true},
		Reasons: []callback.Reason{
			{Code: "resolved", Title: "Resolved on the call"},
			{Code: "unreachable", Title: "Customer could not be reached", WithoutContact: true, AfterAttempts: 3},
		},
		CancelRank: 3,
	}
}

// CallbackException is a policy of callback groups: completing takes a reason (R17).
func CallbackException() *callback.Policy {
	return &callback.Policy{
		Name: "callback-exception", Title: "Callback for an exception",
		Ladder: []callback.Step{
			{Tier: "agent", Rank: 1, Queue: "Callback BPO 1", TAT: callback.Duration(time.Hour), Assign: callback.AssignPull},
			{Tier: "supervisor", Rank: 2, Queue: "Supervisors - RM", TAT: callback.Duration(time.Hour), Assign: callback.AssignPull},
		},
		Reasons: []callback.Reason{
			{Code: "information_given", Title: "Question answered"},
			{Code: "visit_confirmed", Title: "Visit confirmed as planned"},
		},
		CancelRank: 3,
	}
}

// ExecutiveEscalation goes to a named person (R20).
func ExecutiveEscalation() *callback.Policy {
	return &callback.Policy{
		Name: "executive-escalation", Title: "Executive escalation",
		Tag: callback.TagRule{Required: "Callback Required", Unserved: "Callback Not Served"},
		Ladder: []callback.Step{{
			Tier: "executive", Rank: 4, Queue: "Executive Escalations", TAT: callback.Duration(time.Hour),
			Assign: callback.AssignDirect, AssignTo: "exec1",
		}},
		Reasons:    []callback.Reason{{Code: "resolved", Title: "Resolved by the executive"}},
		CancelRank: 3,
	}
}

// Floor are people of every tier. Each has an identity in Freshdesk, Zoho and
// Oneview, but nobody.
func Floor() []book.Staff {
	of := func(id, tier string, rank int, number string, queues ...string) book.Staff {
		return book.Staff{ID: id, Name: "Some " + id, Tier: tier, Rank: rank, Queues: queues, Identities: map[string]string{
			"freshdesk": "10" + number, "zoho": "20" + number, "oneview": id + "@oneview",
		}}
	}
	nobody := of("nobody", "supervisor", 2, "99", "Supervisors - RM", "Callback BPO 1")
	nobody.Identities = nil
	return []book.Staff{
		of("agent1", "agent", 1, "01", "Callback BPO 1"), of("agent2", "agent", 1, "02", "Callback BPO 1"),
		of("sup1", "supervisor", 2, "11", "Supervisors - RM"), of("sup2", "supervisor", 2, "12", "Supervisors - RM"),
		of("mgr1", "manager", 3, "21", "Managers - RM"), of("exec1", "executive", 4, "31", "Executive Escalations"),
		nobody,
	}
}
