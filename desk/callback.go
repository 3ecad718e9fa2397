package desk

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"ringback/api"
	"ringback/callback"
)

// callbackPage is everything about one callback.
type callbackPage struct {
	*item
	Deadline api.Deadline
	// Step is the policy's step that it is at; nil where nobody knows the policy.
	Step     *api.Step
	Ladder   []rung
	Bar      *bar
	Timeline []*told
	Notes    []api.Note
	Reasons  []reasonChoice
	// SummaryDue: completing will ask for a call summary that is not there yet (R12).
	SummaryDue bool
	// Summarized: the viewer has given theirs; it may be wanted or not.
	Summarized bool
	// Unreached are the attempts that reached nobody, over all tiers.
	Unreached    int
	Dispositions []string
	// Candidates may be given the callback.
	Candidates []api.Person
	// NextStep is the next rung of the ladder; nil: there is none.
	NextStep *api.Step
	// Deliveries are how things stand with each other system.
	Deliveries []delivered
	// CustomerZone is the customer's own; nil: not known.
	CustomerZone *time.Location
}

// rung is one step of the ladder as it is drawn.
type rung struct {
	api.Step
	Promise *api.Promise
	Current bool
}

// reasonChoice is a resolution reason, and why it cannot be given yet.
type reasonChoice struct {
	api.Reason
	Unless string
}

// delivered is how things stand with one other system.
type delivered struct {
	To      string
	Tone    tone
	Word    string
	Why     string
	At      callback.Instant
	NextTry callback.Instant
}

// NoDetail is where a debt has no words of its own.
func (p *callbackPage) NoDetail() *string { return nil }

// callback is the page of one callback.
func (v *visit) callback() error {
	id := v.PathValue("id")
	p := &callbackPage{Dispositions: dispositions()}
	var c api.Callback
	if err := v.get(callbackPath(id), nil, &c); err != nil {
		return err
	}
	p.item = v.item(&c)
	if _, err := v.policies(); err != nil {
		return err
	}
	if err := v.get(callbackPath(id)+"/deadline", nil, &p.Deadline); err != nil {
		return err
	}
	var t api.Timeline
	if err := v.get(callbackPath(id)+"/timeline", nil, &t); err != nil {
		return err
	}
	var notes api.Notes
	if err := v.get(callbackPath(id)+"/notes", nil, &notes); err != nil {
		return err
	}
	p.Notes = notes.Items
	slices.Reverse(p.Notes)
	p.read(t.Items, v)
	p.climb()
	if err := p.deliveries(v); err != nil {
		return err
	}
	if err := p.askFor(v); err != nil {
		return err
	}
	if c.Customer != nil && c.Customer.TimeZone != nil {
		if zone, err := time.LoadLocation(*c.Customer.TimeZone); err == nil {
			p.CustomerZone = zone
		}
	}
	p.Bar = v.drawDeadline(p.item, &p.Deadline)
	v.Title, v.Nav = p.CustomerName(), "callback"
	v.Rules = rulesAbout("R02", "R05", "R06", "R07", "R09", "R11", "R12", "R17", "R13")
	return v.show("callback", p)
}

func dispositions() []string {
	all := make([]string, len(callback.Dispositions))
	for i, d := range callback.Dispositions {
		all[i] = string(d)
	}
	return all
}

// read takes from the timeline what the page says besides.
func (p *callbackPage) read(entries []api.Entry, v *visit) {
	summarized := false
	for _, e := range entries {
		p.Timeline = append(p.Timeline, v.tell(e, p.Deadline.Policy))
		f := fact{v.Frame, e.Data}
		switch e.Type {
		case string(callback.TypeRequested), string(callback.TypeEscalated), string(callback.TypeRescheduled):
			summarized = false // a promise made afresh wants a summary of its own
		case string(callback.TypeNoted):
			summarized = summarized || e.Actor == v.Me.ID && f.str("kind") == string(callback.KindCallSummary)
		case string(callback.TypeAttempted):
			if f.str("disposition") != string(callback.Reached) {
				p.Unreached++
			}
		}
	}
	slices.Reverse(p.Timeline)
	p.Summarized = summarized
	if policy := p.Deadline.Policy; policy != nil {
		p.SummaryDue = slices.Contains(policy.Completion.Requires, "call_summary") && !summarized
		needsContact := slices.Contains(policy.Completion.Requires, "contact")
		for _, r := range policy.ResolutionReasons {
			choice := reasonChoice{Reason: r}
			switch {
			case needsContact && r.NeedsContact && !p.Contacted():
				choice.Unless = "The customer has to be reached first"
			case p.Unreached < r.AfterAttempts:
				choice.Unless = "Only after " + many(int64(r.AfterAttempts), "attempt") + " that reached nobody; so far " + many(int64(p.Unreached), "attempt")
			}
			p.Reasons = append(p.Reasons, choice)
		}
	}
}

// deliveries asks how things stand with other systems: the last of each.
func (p *callbackPage) deliveries(v *visit) error {
	var all api.Deliveries
	if err := v.get("/v1/deliveries", url.Values{"callback": {p.ID}, "limit": {"200"}}, &all); err != nil {
		return err
	}
	for _, d := range all.Items {
		i := slices.IndexFunc(p.Deliveries, func(o delivered) bool { return o.To == d.Destination })
		is := delivered{To: d.Destination, Tone: toneGood, Word: "Has everything", At: d.SettledAt}
		switch d.State {
		case "owed":
			is = delivered{To: d.Destination, Tone: toneWarn, Word: "Owed", At: d.FirstAt, Why: owedWhy(text(d.Code), text(d.Detail)), NextTry: d.NextTryAt}
		case "trying":
			is = delivered{To: d.Destination, Tone: toneCalm, Word: "On its way", At: d.FirstAt}
		case "waived":
			is = delivered{To: d.Destination, Tone: toneQuiet, Word: "Given up", At: d.SettledAt}
		}
		switch {
		case i < 0:
			p.Deliveries = append(p.Deliveries, is)
		case is.Tone == toneWarn: // what is owed is what there is to know
			p.Deliveries[i] = is
		}
	}
	slices.SortFunc(p.Deliveries, func(a, b delivered) int { return strings.Compare(a.To, b.To) })
	return nil
}

// climb draws the ladder.
func (p *callbackPage) climb() {
	if p.Deadline.Policy == nil {
		return
	}
	for i, s := range p.Deadline.Policy.Ladder {
		r := rung{Step: s, Current: i == p.TierIndex}
		for j := range p.Deadline.Promises {
			if p.Deadline.Promises[j].TierIndex == i {
				r.Promise = &p.Deadline.Promises[j]
			}
		}
		p.Ladder = append(p.Ladder, r)
	}
	if p.TierIndex < len(p.Ladder) {
		p.Step = &p.Ladder[p.TierIndex].Step
	}
	if next := p.TierIndex + 1; next < len(p.Ladder) {
		p.NextStep = &p.Ladder[next].Step
	}
}

// askFor asks for what the dialogs offer.
func (p *callbackPage) askFor(v *visit) error {
	if !p.May("reassign") {
		return nil
	}
	// Whoever is of the queue and ranks as high as the callback's tier at least: the
	// API refuses everybody else (R07).
	var who api.Availability
	if err := v.get("/v1/availability", url.Values{"queue": {p.Queue}}, &who); err != nil {
		return err
	}
	for _, c := range who.Items {
		person := v.people[c.StaffID]
		if person != nil && v.Tiers[person.Tier] >= v.Tiers[p.Tier] && !slices.Contains(person.Roles, "auditor") && (p.Assignee == nil || *p.Assignee != c.StaffID) {
			p.Candidates = append(p.Candidates, *person)
		}
	}
	return nil
}

// CustomerTime is what the clock shows where the customer is; empty: not known.
func (p *callbackPage) CustomerTime() string {
	if p.CustomerZone == nil {
		return ""
	}
	return p.now.In(p.CustomerZone).Format("15:04")
}

// HoldMax is the longest hold.
func (p *callbackPage) HoldMax() string {
	if p.Deadline.Policy == nil {
		return ""
	}
	return length(p.Deadline.Policy.Hold.Max)
}

// HoldSeconds is the same for the script.
func (p *callbackPage) HoldSeconds() int {
	if p.Deadline.Policy == nil {
		return 0
	}
	d, err := time.ParseDuration(p.Deadline.Policy.Hold.Max)
	if err != nil {
		return 0
	}
	return int(d.Seconds())
}

// ReasonTitle is the resolution reason in words.
func (p *callbackPage) ReasonTitle() string {
	code := text(p.ResolutionReason)
	for _, r := range p.Reasons {
		if r.Code == code {
			return r.Title
		}
	}
	return title(code)
}

// AttemptsMax is how many attempts the policy plans; 0: it does not say.
func (p *callbackPage) AttemptsMax() int {
	if p.Deadline.Policy == nil || p.Deadline.Policy.Attempts.Max == nil {
		return 0
	}
	return *p.Deadline.Policy.Attempts.Max
}
