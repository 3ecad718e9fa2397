package desk

import (
	"net/url"
	"slices"
	"time"

	"github.com/nyaruka/phonenumbers"

	"ringback/api"
	"ringback/callback"
)

// newPage is where a callback is promised: who is free first (R01).
type newPage struct {
	*Frame
	Policies []api.Policy
	Chosen   string
	LOBs     []string
	Zones    []string
	Outcomes []outcome
	// Parent is the callback that is handed over (R21); From is what is known of its
	// customer and source already.
	Parent *item
	From   known
}

// known is what a form is filled with.
type known struct{ Name, Phone, Zone, Ref, Email, System, Ticket, URL, LOB string }

// knownOf is what is known from a callback.
func knownOf(c *item) (k known) {
	of := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	if p := c.Customer; p != nil {
		k.Name, k.Phone, k.Zone, k.Ref, k.Email = of(p.Name), of(p.Phone), of(p.TimeZone), of(p.Ref), of(p.Email)
	}
	if s := c.Source; s != nil {
		k.System, k.Ticket, k.URL = s.System, s.Ref, of(s.URL)
	}
	k.LOB = of(c.LOB)
	return k
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
	parent := v.URL.Query().Get("parent")
	if parent != "" { // to a team's backlog, where there is one
		for _, x := range p.Policies {
			if len(x.Ladder) > 0 && x.Ladder[0].Assign == string(callback.AssignRandom) {
				p.Chosen = x.Name
			}
		}
	}
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
	if parent != "" {
		var c api.Callback
		if err := v.get(callbackPath(parent), nil, &c); err != nil {
			return err
		}
		p.Parent = v.item(&c)
		p.From = knownOf(p.Parent)
	}
	return v.show("new", p)
}

// promisedPage has the words to say to the customer.
type promisedPage struct {
	*item
	Policy *api.Policy
	Step   api.Step
	Others []*item
	zone   *time.Location
	// whose zone it is.
	whose whose
}

// whose clock the words to say go by.
type whose int

const (
	viewers whose = iota
	customers
	ofTheirNumber
)

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
			p.zone, p.whose = zone, customers
		}
	}
	if zone := zoneOfNumber(p.Phone()); zone != nil && p.whose == viewers {
		p.zone, p.whose = zone, ofTheirNumber
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
	return p.day(at)
}

// day is a time on another day, with the year where it is not this one.
func (p *promisedPage) day(at time.Time) string {
	if at.Year() != p.now.In(p.zone).Year() {
		return at.Format("Monday 2 January 2006, 15:04")
	}
	return at.Format("Monday 2 January, 15:04")
}

// renamed are zones that number plans still give by a name they had once.
var renamed = map[string]string{"Asia/Calcutta": "Asia/Kolkata", "Asia/Katmandu": "Asia/Kathmandu", "America/Buenos_Aires": "America/Argentina/Buenos_Aires"}

// zoneOfNumber is the zone of a number whose plan has only one; nil: it cannot
// be told.
func zoneOfNumber(phone string) *time.Location {
	n, err := phonenumbers.Parse(phone, "")
	if err != nil {
		return nil
	}
	names, err := phonenumbers.GetTimezonesForNumber(n)
	if err != nil || len(names) != 1 {
		return nil
	}
	name := names[0]
	if now := renamed[name]; now != "" {
		name = now
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return zone
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// Climbs tells whether anybody is above, should nobody call in time.
func (p *promisedPage) Climbs() bool {
	return p.Policy != nil && p.TierIndex+1 < len(p.Policy.Ladder)
}

// Words are what to say.
func (p *promisedPage) Words() string {
	who := capital(somebodyOf(p.Tier))
	when := "by " + p.By()
	if p.whose != viewers {
		when += " your time"
	}
	if !p.ScheduledFor.IsZero() {
		at := p.day(p.ScheduledFor.In(p.zone))
		when = "after " + at + ", at the latest " + when
	}
	return "Thank you, " + isolated(p.CustomerName()) + ". " + who + " will call you on " + p.PhoneText() + " " + when + "."
}

// ZoneOf says whose clock the words go by.
func (p *promisedPage) ZoneOf() string {
	switch p.whose {
	case customers:
		return p.zone.String() + ", the customer's"
	case ofTheirNumber:
		return p.zone.String() + ", which their number belongs to"
	case viewers:
	}
	return p.zone.String() + ", yours: the customer's is not known"
}
