package desk

import (
	"fmt"
	"html/template"

	"ringback/api"
	"ringback/callback"
)

// told is one entry of a timeline in a sentence.
type told struct {
	api.Entry
	Tone tone
	// What happened; Quote is what somebody wrote.
	What  template.HTML
	Quote string
	frame *Frame
}

// ByName is who, or what, brought it about.
func (t *told) ByName() string {
	if t.Actor == callback.ActorClock {
		return "The clock"
	}
	return t.frame.Name(t.Actor)
}

// When is how long ago it was.
func (t *told) When() template.HTML { return t.frame.Ago(t.At) }

// fact reads what an entry says besides.
type fact struct {
	*Frame
	data map[string]any
}

func (f fact) str(name string) string {
	s, _ := f.data[name].(string)
	return s
}

func (f fact) number(name string) int {
	n, _ := f.data[name].(float64)
	return int(n)
}

func (f fact) is(name string) bool {
	b, _ := f.data[name].(bool)
	return b
}

func (f fact) at(name string) callback.Instant {
	var at callback.Instant
	_ = at.UnmarshalJSON([]byte(`"` + f.str(name) + `"`)) // stays zero: no time
	return at
}

func (f fact) clock(name string) template.HTML { return f.Clock(f.at(name)) }

func (f fact) name(name string) string { return f.Name(f.str(name)) }

// say fills a sentence: text is escaped, times are elements.
func say(format string, args ...any) template.HTML {
	for i, a := range args {
		if s, is := a.(string); is {
			args[i] = template.HTMLEscapeString(s)
		}
	}
	return template.HTML(fmt.Sprintf(format, args...)) //nolint:gosec // formats are constants, text is escaped
}

// tell says what an entry of a timeline means. The policy, if known, has the
// titles of resolution reasons.
func (v *visit) tell(e api.Entry, p *api.Policy) *told {
	f := fact{v.Frame, e.Data}
	t := &told{Entry: e, Tone: toneQuiet, Quote: f.str("text"), frame: v.Frame}
	t.What = f.sentence(e, p)
	switch callback.EventType(e.Type) {
	case callback.TypeBreached:
		t.Tone = toneLate
	case callback.TypeWarned, callback.TypeReminded, callback.TypeEscalated, callback.TypeCustomerCalled:
		t.Tone = toneWarn
	case callback.TypeContacted, callback.TypeCompleted:
		t.Tone = toneGood
	case callback.TypeHeld, callback.TypeResumed, callback.TypeRescheduled, callback.TypeScheduled:
		t.Tone = toneHeld
	case callback.TypeRequested, callback.TypeQueued, callback.TypeAssigned, callback.TypeClaimed, callback.TypeStarted,
		callback.TypeAttempted, callback.TypeNoted, callback.TypeReassigned, callback.TypeReleased, callback.TypeTagged,
		callback.TypeUntagged, callback.TypeCancelled:
		t.Tone = toneCalm
	case callback.TypeDeliveryOwed:
		t.Tone = toneWarn
	case callback.TypeDelivered:
	}
	return t
}

func (f fact) sentence(e api.Entry, p *api.Policy) template.HTML {
	switch callback.EventType(e.Type) {
	case callback.TypeRequested:
		return say("Promised by %s", f.clock("due_at"))
	case callback.TypeScheduled:
		return say("The customer asked to be called at %s", f.clock("scheduled_for"))
	case callback.TypeQueued:
		return say("Waits in the queue %s", f.str("queue"))
	case callback.TypeCustomerCalled:
		return say("The customer called in again")
	case callback.TypeAssigned:
		return f.assigned()
	case callback.TypeClaimed:
		return say("Claimed")
	case callback.TypeStarted:
		return say("Set in progress")
	case callback.TypeAttempted:
		return say("Call %d: %s", f.number("number"), title(f.str("disposition")))
	case callback.TypeContacted:
		if f.is("kept") {
			return say("The customer was reached: promise kept")
		}
		return say("The customer was reached, after the promise had passed")
	case callback.TypeNoted:
		if f.str("kind") == string(callback.KindCallSummary) {
			return say("Wrote the call summary")
		}
		return say("Wrote a note")
	case callback.TypeWarned:
		if f.str("of") == string(callback.WarningOfAttempts) {
			return say("All planned attempts are used up")
		}
		return say("Warned: due at %s", f.clock("due_at"))
	case callback.TypeBreached:
		if f.str("late_by") == string(callback.BySystem) {
			return say("The promise for %s was missed because the system was down", f.clock("due_at"))
		}
		return say("The promise for %s was missed", f.clock("due_at"))
	case callback.TypeEscalated:
		return say("Escalated from %s to %s, with a fresh promise for %s", plain(f.str("from_tier")), plain(f.str("tier")), f.clock("new_due_at"))
	case callback.TypeReminded:
		return say("Chased, reminder %d; again at %s", f.number("number"), f.clock("chase_at"))
	case callback.TypeReassigned:
		return f.reassigned()
	case callback.TypeReleased:
		if e.Actor == callback.ActorClock {
			return say("Back in the queue: %s had not started in time", f.name("from"))
		}
		return say("Put back in the queue")
	case callback.TypeHeld:
		if f.str("outage") != "" {
			if f.is("clock_runs") {
				return say("Linked to an outage; the clock goes on")
			}
			return say("Linked to an outage: the clock stands still, until %s at the latest", f.clock("until"))
		}
		return say("Stopped the clock until %s; then due at %s", f.clock("until"), f.clock("due_at"))
	case callback.TypeResumed:
		if f.is("clock_kept") {
			return say("The outage is over; the clock went on throughout")
		}
		if f.str("outage") != "" {
			return say("The outage is over: due at %s", f.clock("due_at"))
		}
		return say("The clock goes on: due at %s", f.clock("due_at"))
	case callback.TypeRescheduled:
		return say("The customer asked for %s; due at %s", f.clock("scheduled_for"), f.clock("due_at"))
	case callback.TypeTagged:
		return say("The ticket wears the tag “%s”", f.str("tag"))
	case callback.TypeUntagged:
		return say("The tag “%s” is off", f.str("tag"))
	case callback.TypeCompleted:
		return f.completed(p)
	case callback.TypeCancelled:
		return say("Cancelled: the customer withdrew")
	case callback.TypeDelivered:
		return f.delivered()
	case callback.TypeDeliveryOwed:
		return say("Owed to %s: %s", f.str("destination"), owedWhy(f.str("code"), ""))
	}
	if e.Type == "erased" {
		for _, g := range grounds {
			if g.Code == f.str("ground") {
				return say("The customer was erased. %s", g.Title)
			}
		}
		return say("The customer was erased")
	}
	return say("%s", title(e.Type))
}

func (f fact) delivered() template.HTML {
	to := f.str("destination")
	switch callback.DeliveredBy(f.str("by")) {
	case callback.DeliveredByWaiving:
		return say("What was owed to %s was given up", to)
	case callback.DeliveredByHand:
		return say("Copied to %s by hand", to)
	case callback.DeliveredByConfirmed:
		return say("%s has it: confirmed later", to)
	case callback.DeliveredBySystem:
	}
	return say("%s has everything", to)
}

func (f fact) assigned() template.HTML {
	to := f.name("to")
	if f.str("transfer_id") != "" {
		return say("Given to %s by live transfer", to)
	}
	switch callback.Assign(f.str("by")) {
	case callback.AssignRandom, callback.AssignRoundRobin, callback.AssignLeastLoaded:
		candidates, _ := f.data["candidates"].([]any)
		return say("%s was drawn (%s), out of %d", to, title(f.str("by")), len(candidates))
	case callback.AssignDirectSupervisor:
		return say("Given to %s, the direct supervisor", to)
	case callback.AssignPull, callback.AssignDirect:
	}
	return say("Given to %s directly", to)
}

func (f fact) reassigned() template.HTML {
	if f.str("owner") != "" {
		return say("Given from %s to %s, who also owns it now", f.name("from"), f.name("to"))
	}
	return say("Given from %s to %s", f.name("from"), f.name("to"))
}

func (f fact) completed(p *api.Policy) template.HTML {
	reason := title(f.str("resolution_reason"))
	if p != nil {
		for _, r := range p.ResolutionReasons {
			if r.Code == f.str("resolution_reason") {
				reason = r.Title
			}
		}
	}
	if f.is("served") {
		return say("Completed: %s", reason)
	}
	return say("Closed without service: %s", reason)
}
