package desk

import (
	"slices"
	"strings"
)

// Rule is one rule of the floor in words that a new supervisor understands.
type Rule struct {
	ID, Name, Text string
}

// rulesOfTheFloor are what pages explain. The numbers are the procedure's own.
var rulesOfTheFloor = []Rule{
	{"R01", "Try a live transfer first", "A callback is promised only when a transfer failed. Help the customer once yourself, then look who is free and reserve them. Only when nobody is free, promise a callback; what you tried is kept with it."},
	{"R02", "The promise does not move", "You tell the customer “within the hour”. From that moment the time is fixed. Nothing moves it by itself: no restart, no break, no busy day."},
	{"R03", "Tag and queue", "The ticket gets the tag “Callback Required” and the callback goes to the queue of its supervisors, or of its line of business."},
	{"R04", "One person has it", "Whoever claims a callback calls the customer. When two claim at the same moment, one gets it and the other is told who."},
	{"R05", "Owner and assignee", "The first person who takes a callback owns it to the end: they answer for it. The assignee makes the next call, and may change. Only somebody above can give the owner's part to somebody else."},
	{"R06", "To a manager, with a fresh hour", "If the customer asks for a manager, look for a free one and transfer. If none is free, escalate: the manager has an hour of their own, and has to call even if you have."},
	{"R07", "Never down, never sideways", "A manager's call stays with managers. It is not handed to a supervisor or passed along for convenience."},
	{"R08", "The manager finishes it", "The manager claims it within the time, calls, and it is the manager's completion that takes the tag off."},
	{"R09", "The tag stays until it is done", "Only a customer who was reached and served ends a callback. A failed attempt, a timer or an escalation does not. Closed without service, it says so, and it counts as a promise not kept."},
	{"R10", "Late is chased until closed", "A missed promise stays open. Reminders repeat, and it stays on the list of open tags, oldest first. Reaching the customer keeps the promise; it still has to be closed."},
	{"R11", "A missed hour climbs by itself", "When the supervisors' time passes, it goes to the managers with a fresh one. Whoever was on the call just then is not cut off: they may still record the contact and complete."},
	{"R12", "Every call has a summary", "What was said is written down as a private note. Without a summary a callback cannot be completed."},
	{"R13", "Under your own name", "Notes go to the other systems under the name of whoever wrote them. If you have no identity there, the note is shown as owed, and is never posted as somebody else."},
	{"R14", "One exception, one callback", "The same exception twice is one callback. While one is open for the same job and kind, no second is made."},
	{"R15", "Three ways to look", "Every callback is in the list, on the board, and on the page of its customer."},
	{"R16", "In progress first", "Start a callback before you work on it, so that everybody sees that somebody does."},
	{"R17", "Say why it can be closed", "Completing takes a resolution reason from the policy's list."},
	{"R18", "Done here is done there", "Completing it in one system completes it in the other."},
	{"R19", "Your own supervisor first", "A customer-service escalation goes to the associate's own supervisor first, then to any that is free, then to a manager."},
	{"R20", "An executive case has a name on it", "Mail to the executive inbox becomes a case that is given to one named person, not to a team."},
	{"R21", "Tier 3 is drawn by lot", "Cases of tier 3 are drawn among those on shift who have room. Every draw is recorded, so that anybody can check that it was fair."},
	{"R22", "Purchasing asks for more", "When an order needs purchasing, a form with its own fields is filled in: the order number and what is needed."},
	{"R23", "During an outage", "Affected callbacks are linked to the outage, their clocks may be held, and when it ends they go on and the customers are told."},
	{"R24", "Everything can be replayed", "Who did what, when and on what authority is one history. An auditor can run it again against the code and see the same outcome."},
	{"R25", "Lists can be thrown away", "What lists and boards show is derived from the histories, and comes out the same when it is built again."},
	{"R26", "Nothing personal in a history", "Names, numbers and what was said are never in the history. A customer can be erased without touching it: by an administrator, on the customer's page, once none of their callbacks is open."},
	{"R27", "A promise accepted is never lost", "Once the desk has said yes, the callback exists, whatever breaks afterwards. And nothing escalates early."},
}

// rulesAbout returns rules by number, in the order given.
func rulesAbout(ids ...string) []Rule {
	var about []Rule
	for _, id := range ids {
		if i := slices.IndexFunc(rulesOfTheFloor, func(r Rule) bool { return r.ID == id }); i >= 0 {
			about = append(about, rulesOfTheFloor[i])
		}
	}
	return about
}

// RuleName is what a rule is about; empty for what is none.
func (f *Frame) RuleName(id *string) string {
	if about := rulesAbout(strings.ToUpper(text(id))); len(about) > 0 {
		return about[0].Name
	}
	return ""
}

type helpPage struct {
	*Frame
	All []Rule
}

// help explains every rule, and the keys.
func (v *visit) help() error {
	v.Title, v.Nav = "Help", "help"
	return v.show("help", helpPage{v.Frame, rulesOfTheFloor})
}
