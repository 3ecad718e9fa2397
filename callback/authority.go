package callback

import "strings"

// Who may give which command in which state: the whole of it is Permissions.
// Everybody's question is answered from that table, in the contract's order:
// closed, down, who, state.

// Relation is what a person is to a callback.
type Relation string

// The relations.
const (
	// ToAssignee: makes the next call.
	ToAssignee Relation = "assignee"
	// ToCandidate: belongs to its queue while nobody has it. Where a command is the
	// assignee's, such a person is told to claim it first, not that it is none of
	// their business.
	ToCandidate Relation = "candidate"
	// ToOwner: accountable to the end (R05).
	ToOwner Relation = "owner"
	// ToFormer: had it when the clock escalated it, and nobody has claimed it since
	// (R11). Whether they had started does not matter: they cannot any more, and may
	// be dialling.
	ToFormer Relation = "former"
	// ToMember: belongs to its queue.
	ToMember Relation = "member"
	// ToAbove: outranks its tier.
	ToAbove Relation = "above"
	// ToSenior: has the rank from which on a policy lets people cancel.
	ToSenior Relation = "senior"
	// ToAdmin: has the role admin.
	ToAdmin Relation = "admin"
	// ToStaff: works here.
	ToStaff Relation = "staff"
)

// Need is what must hold of a callback, whoever asks.
type Need string

// The needs.
const (
	NotHeld      Need = "not held"
	IsHeld       Need = "held"
	Unclaimed    Need = "unclaimed"
	IsClaimed    Need = "claimed"
	IsStarted    Need = "started" // by the assignee; not asked of the former one (R11)
	HigherTier   Need = "a higher tier"
	PromiseAhead Need = "promise not passed"
	ToOfQueue    Need = "to is of the queue" // whoever is to get it
	IsOwed       Need = "something owed"     // to another system (R13)
)

// Permission is one row of the table. An auditor gives no command, whatever else
// they are; to a closed callback nothing happens any more, but that what other
// systems are still owed of it is waived; and nothing that goes
// down to a lower tier happens at all (R24, R09, R07).
type Permission struct {
	Command CommandName
	// Who may give it: whoever is any of these.
	Who []Relation
	// Else is how everybody else is refused.
	Else Code
	// Rule that refuses them; empty: R05, and R07 above the first tier.
	Rule Rule
	// Needs are asked in this order, once it is clear that they may.
	Needs []Need
	// words of that refusal; {tier} and {queue} are the callback's.
	words string
}

// Permissions is the table, in the order of the contract (CONTRACT §3).
var Permissions = []Permission{
	{CommandClaim, []Relation{ToMember, ToAssignee}, CodeNotYourQueue, "R04", []Need{NotHeld, Unclaimed}, "you do not belong to the queue {queue}"},
	{CommandStart, assigned, CodeNotAssignee, "R04", []Need{NotHeld, IsClaimed}, onlyAssignee},
	{CommandAttempt, onTheCall, CodeNotAssignee, "R04", []Need{NotHeld, IsStarted}, onlyAssignee},
	{CommandNote, []Relation{ToStaff}, CodeForbidden, "R12", nil, "only staff may do this"},
	{CommandEscalate, accountable, CodeNotAssignee, "R05", []Need{HigherTier}, onlyAccountable},
	{CommandReassign, []Relation{ToAbove, ToAdmin}, CodeForbidden, "", []Need{ToOfQueue}, "only somebody above the tier {tier} may reassign this callback"},
	{CommandRelease, assigned, CodeNotAssignee, "R04", []Need{IsClaimed}, onlyAssignee},
	{CommandHold, accountable, CodeNotAssignee, "R05", []Need{NotHeld, PromiseAhead}, onlyAccountable},
	{CommandResume, accountable, CodeNotAssignee, "R05", []Need{IsHeld}, onlyAccountable},
	{CommandReschedule, accountable, CodeNotAssignee, "R05", nil, onlyAccountable},
	{CommandComplete, onTheCall, CodeNotAssignee, "R04", []Need{NotHeld, IsStarted}, onlyAssignee},
	{CommandCancel, []Relation{ToOwner, ToSenior}, CodeForbidden, "R05", nil, "only its owner, a manager or above may cancel"},
	{CommandWaive, []Relation{ToAssignee, ToOwner, ToSenior, ToAdmin}, CodeForbidden, "R13", []Need{IsOwed},
		"only its assignee, its owner, a manager or above, or an administrator may give up what is owed"},
}

var (
	assigned    = []Relation{ToAssignee, ToCandidate}
	onTheCall   = []Relation{ToFormer, ToAssignee, ToCandidate}
	accountable = []Relation{ToAssignee, ToOwner}
)

// What refusals say.
const (
	onlyAssignee    = "only its assignee may do this"
	onlyAccountable = "only its assignee or its owner may do this"
)

// given is a command that gives a callback to somebody.
type given interface{ to() Person }

func (r Reassign) to() Person { return r.To }

func permission(name CommandName) *Permission {
	for i := range Permissions {
		if Permissions[i].Command == name {
			return &Permissions[i]
		}
	}
	return &Permission{Command: name, Else: CodeForbidden, Rule: "R24", words: "nobody may do this"}
}

// authorize asks who and whether now: what can be known without the command's
// own content. Refusals come in the contract's order of checks.
func (t *turn) authorize(cmd Command, by Person) *Fault {
	if _, late := cmd.(Waive); t.Status.Closed() && (!late || len(t.Owed) == 0) {
		return refuse(CodeClosed, "R09", "this callback is %s: nothing can happen to it any more", t.Status)
	}
	if r, ok := cmd.(given); ok && r.to().Rank < t.step().Rank {
		return refuse(CodeTransferDownForbidden, "R07", "a %s call never goes down to a lower tier", t.Tier)
	}
	switch {
	case by.Auditor:
		return refuse(CodeForbidden, "R24", "an auditor reads and gives no command")
	case by.ID == "":
		return refuse(CodeForbidden, "R24", "a command is given by somebody: this one names nobody")
	}
	p := permission(cmd.Name())
	if !t.isAny(by, p.Who) {
		rule := p.Rule
		if rule == "" {
			rule = t.fromAbove()
		}
		return refuse(p.Else, rule, "%s", strings.NewReplacer("{tier}", t.Tier, "{queue}", t.Queue).Replace(p.words))
	}
	for _, need := range p.Needs {
		if f := t.needs(need, cmd, by); f != nil {
			return f
		}
	}
	return nil
}

// fromAbove is the rule by which a callback is given to somebody else.
func (t *turn) fromAbove() Rule {
	if t.TierIndex > 0 {
		return "R07"
	}
	return "R05"
}

func (t *turn) isAny(by Person, who []Relation) bool {
	for _, r := range who {
		if t.is(by, r) {
			return true
		}
	}
	return false
}

func (t *turn) is(by Person, r Relation) bool {
	switch r {
	case ToAssignee:
		return by.ID == t.Assignee
	case ToCandidate:
		return t.Assignee == "" && by.of(t.Queue)
	case ToOwner:
		return by.ID == t.Owner
	case ToFormer:
		return by.ID == t.Former
	case ToMember:
		return by.of(t.Queue)
	case ToAbove:
		return by.Rank > t.step().Rank
	case ToSenior:
		return t.policy.CancelRank > 0 && by.Rank >= t.policy.CancelRank
	case ToAdmin:
		return by.Admin
	case ToStaff:
		return true
	}
	return false
}

// missed reports whether the promise of this tier has passed unmet: then there
// is no clock to hold.
func (t *turn) missed() bool { return t.Breached && t.ContactedAt.IsZero() }

// needs refuses where a need does not hold.
func (t *turn) needs(n Need, cmd Command, by Person) *Fault {
	switch n {
	case NotHeld:
		if t.Hold != nil {
			return refuse(CodeHeld, "", "this callback is held until %s: resume it first", t.Hold.Until)
		}
	case IsHeld:
		if t.Hold == nil {
			return refuse(CodeHeld, "", "this callback is not held")
		}
	case Unclaimed:
		if t.Assignee != "" {
			f := refuse(CodeAlreadyClaimed, "R04", "%s has already claimed this callback", t.Assignee)
			f.Holder = t.Assignee
			return f
		}
	case IsClaimed:
		if t.Assignee == "" {
			return refuse(CodeNotClaimed, "R04", "nobody has claimed this callback yet: claim it first")
		}
	case IsStarted:
		if t.is(by, ToFormer) || t.Status == StatusInProgress {
			return nil
		}
		if f := t.needs(IsClaimed, cmd, by); f != nil {
			return f
		}
		return refuse(CodeNotStarted, "R16", "set it in progress first: start it")
	case HigherTier:
		if t.last() {
			return refuse(CodeNoHigherTier, "R06", "%s is the last tier of this callback's ladder", t.Tier)
		}
	case PromiseAhead:
		if t.missed() {
			return refuse(CodeHeld, "R10", "the promise has passed: it can no longer be held")
		}
	case IsOwed:
		if len(t.Owed) == 0 {
			return refuse(CodeNotFound, "", "nothing is owed to any other system")
		}
	case ToOfQueue:
		if r, ok := cmd.(given); ok && !r.to().of(t.Queue) {
			return refuse(CodeNotYourQueue, t.fromAbove(), "whoever gets it must belong to the queue %s", t.Queue)
		}
	}
	return nil
}
