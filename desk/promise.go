package desk

import (
	"net/url"
	"slices"
	"time"

	"ringback/api"
)

// newPage is where a callback is promised: who is free first (R01).
type newPage struct {
	*Frame
	Policies []api.Policy
	Chosen   string
	LOBs     []string
	Zones    []string
	Outcomes []outcome
	Parent   *item
}

// outcome is what came of a live transfer.
type outcome struct{ Code, Text string }

// transferOutcomes are what may have come of a live transfer that was tried first.
var transferOutcomes = []outcome{
	{"none_free", "Nobody was free"},
	{"not_answered", "Nobody answered"},
	{"failed", "The transfer failed"},
	{"customer_declined", "The customer did not want to wait"},
}

// zones are offered for the customer's clock; any other of the database may be typed.
var zones = []string{
	"Africa/Accra", "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "America/Argentina/Buenos_Aires", "America/Bogota",
	"America/Chicago", "America/Denver", "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Sao_Paulo", "America/Toronto",
	"Asia/Bangkok", "Asia/Colombo", "Asia/Dhaka", "Asia/Dubai", "Asia/Hong_Kong", "Asia/Jakarta", "Asia/Karachi", "Asia/Kathmandu", "Asia/Kolkata",
	"Asia/Manila", "Asia/Riyadh", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Tokyo", "Australia/Perth", "Australia/Sydney",
	"Europe/Amsterdam", "Europe/Athens", "Europe/Berlin", "Europe/Dublin", "Europe/Istanbul", "Europe/Lisbon", "Europe/London", "Europe/Madrid",
	"Europe/Moscow", "Europe/Oslo", "Europe/Paris", "Europe/Rome", "Europe/Stockholm", "Europe/Warsaw", "Europe/Zurich", "Pacific/Auckland", "UTC",
}

func (v *visit) newCallback() error {
	v.Title, v.Nav, v.Module = "New callback", "new", "new.js"
	v.Rules = rulesAbout("R01", "R02", "R03", "R14", "R19", "R21", "R22")
	p := &newPage{Frame: v.Frame, Zones: zones, Outcomes: transferOutcomes}
	var err error
	if p.Policies, err = v.policies(); err != nil {
		return err
	}
	p.Chosen = "supervisor-callback"
	if asked := v.URL.Query().Get("policy"); asked != "" {
		p.Chosen = asked
	}
	if !slices.ContainsFunc(p.Policies, func(x api.Policy) bool { return x.Name == p.Chosen }) && len(p.Policies) > 0 {
		p.Chosen = p.Policies[0].Name
	}
	for _, policy := range p.Policies {
		for _, s := range policy.Ladder {
			for lob := range s.QueueByLOB {
				if !slices.Contains(p.LOBs, lob) {
					p.LOBs = append(p.LOBs, lob)
				}
			}
		}
	}
	slices.Sort(p.LOBs)
	if parent := v.URL.Query().Get("parent"); parent != "" {
		var c api.Callback
		if err := v.get(callbackPath(parent), nil, &c); err != nil {
			return err
		}
		p.Parent = v.item(&c)
	}
	return v.show("new", p)
}

// promisedPage has the words to say to the customer.
type promisedPage struct {
	*item
	Policy  *api.Policy
	Step    api.Step
	Others  []*item
	zone    *time.Location
	ofTheir bool
}

// promised is where an associate lands after a promise: what to say, with the
// time as the customer's clock shows it.
func (v *visit) promised() error {
	var c api.Callback
	if err := v.get(callbackPath(v.PathValue("id")), nil, &c); err != nil {
		return err
	}
	if _, err := v.policies(); err != nil {
		return err
	}
	var d api.Deadline
	if err := v.get(callbackPath(c.ID)+"/deadline", nil, &d); err != nil {
		return err
	}
	p := &promisedPage{item: v.item(&c), Policy: d.Policy, zone: v.Zone}
	if d.Policy != nil && c.TierIndex < len(d.Policy.Ladder) {
		p.Step = d.Policy.Ladder[c.TierIndex]
	}
	if c.Customer != nil && c.Customer.TimeZone != nil {
		if zone, err := time.LoadLocation(*c.Customer.TimeZone); err == nil {
			p.zone, p.ofTheir = zone, true
		}
	}
	var err error
	if p.Others, err = v.othersOf(p.item); err != nil {
		return err
	}
	v.Title, v.Nav = "Promised", "promised"
	v.Rules = rulesAbout("R02", "R01")
	return v.show("promised", p)
}

// othersOf are the other open callbacks of the same customer.
func (v *visit) othersOf(c *item) ([]*item, error) {
	q := url.Values{"status": openStatuses, "limit": {"20"}}
	switch {
	case c.Customer != nil && c.Customer.Ref != nil:
		q.Set("customer", *c.Customer.Ref)
	case c.Phone() != "":
		q.Set("q", c.Phone())
	default:
		return nil, nil
	}
	items, _, err := v.list(q)
	return slices.DeleteFunc(items, func(o *item) bool {
		return o.ID == c.ID || c.Customer.Ref == nil && o.Phone() != c.Phone()
	}), err
}

// By is the promise as the customer's clock shows it.
func (p *promisedPage) By() string {
	at, today := p.DueAt.In(p.zone), p.now.In(p.zone)
	switch days := int(midnight(at).Sub(midnight(today)).Hours()+12) / 24; {
	case days <= 0:
		return at.Format("15:04")
	case days == 1:
		return "tomorrow, " + at.Format("15:04")
	}
	return at.Format("Monday 2 January, 15:04")
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// Words are what to say.
func (p *promisedPage) Words() string {
	who := capital(somebodyOf(p.Tier))
	when := "by " + p.By()
	if p.ofTheir {
		when += " your time"
	}
	if !p.ScheduledFor.IsZero() {
		at := p.ScheduledFor.In(p.zone).Format("Monday 2 January, 15:04")
		when = "after " + at + ", at the latest " + when
	}
	return "Thank you, " + isolated(p.CustomerName()) + ". " + who + " will call you on " + p.PhoneText() + " " + when + "."
}

// ZoneOf says whose clock the words go by.
func (p *promisedPage) ZoneOf() string {
	if p.ofTheir {
		return p.zone.String() + ", the customer's"
	}
	return p.zone.String() + ", yours: the customer's is not known"
}
