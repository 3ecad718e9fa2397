package desk

import (
	"html/template"
	"net/url"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"ringback/api"
	"ringback/callback"
)

// item is a callback as pages show it to whoever looks.
type item struct {
	*api.Callback
	*Frame
}

func (v *visit) item(c *api.Callback) *item { return &item{c, v.Frame} }

// May tells whether the viewer may give a command now: the API's own word.
func (c *item) May(command string) bool { return slices.Contains(c.Allowed, command) }

// MayAny tells whether there is any command to give besides notes.
func (c *item) MayAny() bool {
	return slices.ContainsFunc(c.Allowed, func(name string) bool { return name != "note" })
}

// Href is its page.
func (c *item) Href() string { return "/callbacks/" + c.ID }

// Action is where a command goes; path is as in the contract.
func (c *item) Action(path string) string { return callbackPath(c.ID) + "/" + path }

// Mine tells whether the viewer makes the next call.
func (c *item) Mine() bool { return c.Assignee != nil && *c.Assignee == c.Me.ID }

// Owned tells whether the viewer is accountable.
func (c *item) Owned() bool { return c.Owner != nil && *c.Owner == c.Me.ID }

// Closed tells whether nothing can happen any more.
func (c *item) Closed() bool { return callback.Status(c.Status).Closed() }

// Contacted tells whether this tier has reached the customer.
func (c *item) Contacted() bool { return !c.ContactedAt.IsZero() }

// CustomerName is what to call the customer; erased ones have none left.
func (c *item) CustomerName() string {
	if c.Customer == nil || c.Customer.Name == nil {
		return "Customer erased"
	}
	return *c.Customer.Name
}

// Erased tells whether nothing of the customer is left.
func (c *item) Erased() bool { return c.Customer == nil || c.Customer.Name == nil }

// Phone is the customer's number; empty once erased.
func (c *item) Phone() string {
	if c.Customer == nil || c.Customer.Phone == nil {
		return ""
	}
	return *c.Customer.Phone
}

// PhoneText is the number in groups, as people read it out.
func (c *item) PhoneText() string {
	n, err := phonenumbers.Parse(c.Phone(), "")
	if err != nil {
		return c.Phone()
	}
	return phonenumbers.Format(n, phonenumbers.INTERNATIONAL)
}

// Tel is the address that dials. A template takes a scheme such as this one on
// no word but a template.URL's, so nothing gets into it but what a number is
// made of: the API takes E.164 only, and what is no digit of that is left out.
func (c *item) Tel() template.URL {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, c.Phone())
	return template.URL("tel:+" + digits) //nolint:gosec // made of digits
}

// Kind is the policy's title.
func (c *item) Kind() string { return c.PolicyTitle(c.Policy) }

// StatusWord is the status for people.
func (c *item) StatusWord() string { return statusWord(c.Status) }

func statusWord(s string) string {
	if callback.Status(s) == callback.StatusQueued {
		return "Waiting"
	}
	return title(s)
}

// Short is enough of the id to tell it from others on a screen.
func (c *item) Short() string { return shortID(c.ID) }

func shortID(id string) string {
	if len(id) < 8 {
		return id
	}
	return id[len(id)-8:]
}

// ReasonText is why the customer wants to be called.
func (c *item) ReasonText() string { return text(c.Reason) }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// tone is how urgent something looks. Its word says the same: colour is never alone.
type tone string

const (
	toneCalm  tone = "calm"
	toneWarn  tone = "warn"
	toneLate  tone = "late"
	toneHeld  tone = "held"
	toneGood  tone = "good"
	toneQuiet tone = "quiet"
)

// state is where a callback stands in one look.
type state struct {
	Tone tone
	Word string
	// At is the instant that matters; Left counts down to it.
	At   callback.Instant
	Left bool
}

// State is the one thing to know of its clock.
func (c *item) State() state {
	late := c.running() && c.DueAt.Reached(callback.At(c.now))
	switch status := callback.Status(c.Status); {
	case status == callback.StatusCompleted:
		return state{toneQuiet, "Completed", c.CompletedAt, false}
	case status == callback.StatusCancelled:
		return state{toneQuiet, "Cancelled", callback.Instant{}, false}
	case c.Held:
		return state{toneHeld, "On hold, due", c.DueAt, false}
	case c.Overdue:
		return state{toneLate, "Overdue", c.DueAt, true}
	case c.Contacted():
		return state{toneGood, "Close it: reached", c.ContactedAt, false}
	case status == callback.StatusScheduled:
		return state{toneCalm, "Scheduled", c.ScheduledFor, false}
	case late:
		return state{toneLate, "Promise has passed", c.DueAt, true}
	case !c.WarnedAt.IsZero():
		return state{toneWarn, "Running out", c.DueAt, true}
	}
	return state{toneCalm, "In time", c.DueAt, true}
}

// running tells whether this tier's promise is still to be kept.
func (c *item) running() bool { return !c.Closed() && !c.Contacted() }

// Missed tells that an earlier tier's promise was not kept.
func (c *item) Missed() bool { return !c.Closed() && !c.BreachedAt.IsZero() && !c.Overdue }

// step is what to do next with a callback, as one button.
type step struct {
	Label string
	// Command is given at once, Dialog opened first; one of them is empty.
	Command, Dialog string
	// Call dials as well.
	Call bool
}

// Next is the viewer's next step; nil: there is none.
func (c *item) Next() *step {
	switch {
	case c.Held && c.May("resume"):
		return &step{Label: "Resume the clock", Command: "resume"}
	case c.May("complete") && c.Contacted():
		return &step{Label: "Complete", Dialog: "complete"}
	case c.May("attempt"):
		return &step{Label: "Call " + c.PhoneText(), Call: true}
	case c.May("start") && c.Status == string(callback.StatusClaimed):
		return &step{Label: "Start", Command: "start"}
	case c.May("claim"):
		return &step{Label: "Claim", Command: "claim"}
	}
	return nil
}

// Caller says who makes the next call.
func (c *item) Caller() string {
	switch {
	case c.Assignee == nil && c.Closed():
		return "Nobody had it"
	case c.Assignee == nil:
		return "Nobody has it"
	case c.Closed():
		return c.Name(*c.Assignee) + " had it"
	case c.Mine():
		return "You make the next call"
	}
	return c.Name(*c.Assignee) + " makes the next call"
}

// CustomerHref is the page of the customer: named by the callback, so that no
// reference or number gets into an address.
func (c *item) CustomerHref() string { return "/callbacks/" + c.ID + "/customer" }

// QueueHref is the list of a queue.
func (c *item) QueueHref() string {
	return "/activities?" + url.Values{"queue": {c.Queue}}.Encode()
}
