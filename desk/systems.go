package desk

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"ringback/api"
	"ringback/callback"
)

// MayDo tells whether the viewer may do something beside what a callback's own
// allowed says: the API's word.
func (f *Frame) MayDo(what string) bool { return slices.Contains(f.Me.May, what) }

// systemsPage is how the systems around the desk are, and what they are owed.
type systemsPage struct {
	*Frame
	Connectors []api.ConnectorHealth
	Owed       []owedRow
	Next       string
	// Kept are messages that were not understood; for administrators.
	Kept []api.KeptMessage
}

type owedRow struct {
	api.Delivery
	Of *item
}

// Why is the code in words, for people.
func (r owedRow) Why() string { return owedWhy(text(r.Delivery.Code), text(r.Detail)) }

// owedWords say why a delivery is owed, where its own words do not.
var owedWords = map[string]string{
	"unavailable":  "it does not answer",
	"rate_limited": "it takes no more right now",
	"conflict":     "somebody else wrote there meanwhile",
	"unauthorized": "it does not take the key",
	"no_identity":  "the author has no identity there (R13)",
	"gone":         "what it belongs to is no more there",
	"rejected":     "it refuses what is sent",
}

func owedWhy(code, detail string) string {
	if detail != "" {
		return detail
	}
	if w := owedWords[code]; w != "" {
		return w
	}
	return title(code)
}

func (v *visit) systems() error {
	v.Title, v.Nav = "Systems", "systems"
	v.Rules = rulesAbout("R13", "R14", "R18", "R12")
	p := &systemsPage{Frame: v.Frame}
	var health api.Connectors
	if err := v.get("/v1/connectors", nil, &health); err != nil {
		return err
	}
	p.Connectors = health.Items
	var owed api.Deliveries
	if err := v.get("/v1/owed", with(url.Values{"limit": {"50"}}, "cursor", v.URL.Query().Get("cursor")), &owed); err != nil {
		return err
	}
	if next := text(owed.NextCursor); next != "" {
		p.Next = "/systems?" + url.Values{"cursor": {next}}.Encode()
	}
	if _, err := v.policies(); err != nil {
		return err
	}
	of := map[string]*item{}
	var ids []string
	for _, d := range owed.Items {
		if !slices.Contains(ids, d.CallbackID) {
			ids = append(ids, d.CallbackID)
		}
	}
	if len(ids) > 0 {
		items, _, err := v.list(url.Values{"id": ids, "limit": {"100"}})
		if err != nil {
			return err
		}
		for _, c := range items {
			of[c.ID] = c
		}
	}
	for _, d := range owed.Items {
		p.Owed = append(p.Owed, owedRow{d, of[d.CallbackID]})
	}
	if v.MayDo("administer") {
		var kept api.KeptMessages
		if err := v.get("/v1/inbound", url.Values{"waiting": {"true"}, "limit": {"50"}}, &kept); err != nil {
			return err
		}
		p.Kept = kept.Items
	}
	return v.show("systems", p)
}

// keptPage is one message that was not understood, for an administrator to look at
// before they vouch for it, or decline it.
type keptPage struct {
	*Frame
	Message api.KeptMessage
}

// Waits tells whether nobody has decided about it yet.
func (p keptPage) Waits() bool {
	return p.Message.ReplayedAt.IsZero() && p.Message.DiscardedAt.IsZero()
}

// Vouch is what to press: a mail is taken as coming from whom it says.
func (p keptPage) Vouch() string {
	if s := p.Message.Shown; s != nil && s.Sender != nil {
		return "I vouch for it: read it again"
	}
	return "Read it again"
}

func (v *visit) keptMessage() error {
	if err := v.mustAdminister(); err != nil {
		return err
	}
	p := keptPage{Frame: v.Frame}
	if err := v.get("/v1/inbound/"+url.PathEscape(v.PathValue("id")), nil, &p.Message); err != nil {
		return err
	}
	v.Title, v.Nav = "Not understood", "systems"
	v.Rules = rulesAbout("R20", "R14")
	return v.show("kept", p)
}

// outagesPage are system outages, and what to tell customers (R23).
type outagesPage struct {
	*Frame
	Going, Over []api.Outage
	Queues      []string
	Next        string
}

// OutageOf says what an outage affects.
func (f *Frame) OutageOf(o api.Outage) string {
	var of []string
	if o.LOB != nil {
		of = append(of, "line of business "+*o.LOB)
	}
	if o.Queue != nil {
		of = append(of, "queue "+*o.Queue)
	}
	if o.Source != nil {
		of = append(of, "from "+*o.Source)
	}
	return sentence(of, "and")
}

func (v *visit) outagesShown() error {
	v.Title, v.Nav = "Outages", "outages"
	v.Rules = rulesAbout("R23")
	p := &outagesPage{Frame: v.Frame, Going: v.Outages}
	var over api.Outages
	if err := v.get("/v1/outages", with(url.Values{"active": {"false"}, "limit": {"25"}}, "cursor", v.URL.Query().Get("cursor")), &over); err != nil {
		return err
	}
	p.Over = over.Items
	if next := text(over.NextCursor); next != "" {
		p.Next = "/outages?" + url.Values{"cursor": {next}}.Encode()
	}
	c, err := v.choose(nil)
	if err != nil {
		return err
	}
	p.Queues = c.Queues
	return v.show("outages", p)
}

// lasted is how long an outage was.
func lasted(o api.Outage) string {
	if o.EndedAt.IsZero() {
		return ""
	}
	return words(o.EndedAt.Sub(o.DeclaredAt.Time))
}

// peoplePage is who works here, and which systems may ask.
type peoplePage struct {
	*Frame
	People []api.Person
	Gone   bool
	Keys   []keyRow
	Form   *personForm
}

type keyRow struct {
	api.Key
	State string
	Good  bool
}

// personForm is what may be said of somebody.
type personForm struct {
	*Frame
	Person    *api.Person // nil: somebody new
	Superiors []api.Person
	Tiers     []string
	Queues    []string
	Calendars []string
	Systems   []string
}

// Has tells whether somebody is of a queue.
func (f *personForm) Has(queue string) bool {
	return f.Person != nil && slices.Contains(f.Person.Queues, queue)
}

// HasRole tells whether somebody has a role.
func (f *personForm) HasRole(role string) bool {
	return f.Person != nil && slices.Contains(f.Person.Roles, role)
}

// Identity is who somebody is in another system.
func (f *personForm) Identity(system string) string {
	if f.Person == nil {
		return ""
	}
	return f.Person.Identities[system]
}

// Pinned tells whether an administrator has set an attribute.
func (f *personForm) Pinned(attribute string) bool {
	return f.Person != nil && slices.Contains(f.Person.Pinned, attribute)
}

// identitySystems are the systems in which people are known by something of
// their own: those that notes and work are posted to under somebody's name, those
// whose work comes for somebody by name (R14, R18), and the mail of notices.
var identitySystems = []string{"email", "freshdesk", "oneview", "servicebench", "zoho"}

func (v *visit) mustAdminister() error {
	if v.MayDo("administer") {
		return nil
	}
	return &refusal{api.Problem{Status: 403, Title: "You may not do this", Detail: "Only an administrator sees and changes this page. Who works here is on the wallboard and in every list."}}
}

func (v *visit) peopleShown() error {
	if err := v.mustAdminister(); err != nil {
		return err
	}
	v.Title, v.Nav, v.Module = "People", "people", "people.js"
	v.Rules = rulesAbout("R05", "R07", "R13", "R21")
	p := &peoplePage{Frame: v.Frame, Gone: v.URL.Query().Get("gone") != ""}
	active := url.Values{}
	if p.Gone {
		active.Set("active", "false")
	}
	var staff api.Staff
	if err := v.get("/v1/staff", active, &staff); err != nil {
		return err
	}
	p.People = staff.Items
	var keys api.KeyList
	if err := v.get("/v1/keys", nil, &keys); err != nil {
		return err
	}
	for _, k := range keys.Items {
		r := keyRow{Key: k, State: "Good", Good: true}
		switch {
		case !k.RevokedAt.IsZero():
			r.State, r.Good = "Revoked", false
		case k.ExpiresAt.Reached(callback.At(v.now)):
			r.State, r.Good = "Expired", false
		}
		p.Keys = append(p.Keys, r)
	}
	var err error
	if p.Form, err = v.personForm(nil); err != nil {
		return err
	}
	return v.show("people", p)
}

func (v *visit) personForm(of *api.Person) (*personForm, error) {
	f := &personForm{Frame: v.Frame, Person: of}
	c, err := v.choose(nil)
	if err != nil {
		return nil, err
	}
	f.Tiers, f.Queues = c.Tiers, c.Queues
	f.Calendars = slices.Sorted(slices.Values(v.Calendars))
	add := func(to *[]string, s string) {
		if s != "" && !slices.Contains(*to, s) {
			*to = append(*to, s)
		}
	}
	// Those that the configuration has, lowest first, and nobody is of yet.
	for _, tier := range slices.SortedFunc(maps.Keys(v.Tiers), func(a, b string) int {
		return cmp.Or(v.Tiers[a]-v.Tiers[b], strings.Compare(a, b))
	}) {
		add(&f.Tiers, tier)
	}
	// Who the form is of may have left, and with them what nobody else has.
	everybody := slices.Clone(v.staff)
	if of != nil && !of.Active {
		everybody = append(everybody, *of)
	}
	for _, p := range v.staff {
		if of == nil || p.ID != of.ID {
			f.Superiors = append(f.Superiors, p)
		}
	}
	if of != nil && of.ReportsTo != nil && v.people[*of.ReportsTo] == nil {
		f.Superiors = append(f.Superiors, api.Person{ID: *of.ReportsTo, Name: *of.ReportsTo + " (no longer works here)"})
	}
	for _, p := range everybody {
		add(&f.Tiers, p.Tier)
		add(&f.Calendars, text(p.Shift))
		for _, q := range p.Queues {
			add(&f.Queues, q)
		}
		for system := range p.Identities {
			add(&f.Systems, system)
		}
	}
	for _, system := range identitySystems {
		add(&f.Systems, system)
	}
	slices.Sort(f.Queues)
	slices.Sort(f.Systems)
	return f, nil
}

// personPage is one person, to be changed.
type personPage struct {
	*Frame
	Form *personForm
	Open []*item
}

func (v *visit) person() error {
	if err := v.mustAdminister(); err != nil {
		return err
	}
	var p api.Person
	if err := v.get("/v1/staff/"+url.PathEscape(v.PathValue("id")), nil, &p); err != nil {
		return err
	}
	form, err := v.personForm(&p)
	if err != nil {
		return err
	}
	open, _, err := v.list(url.Values{"assignee": {p.ID}, "status": openStatuses, "limit": {"20"}})
	if err != nil {
		return err
	}
	v.Title, v.Nav, v.Module = p.Name, "people", "people.js"
	v.Rules = rulesAbout("R05", "R07", "R13", "R21")
	return v.show("person", personPage{v.Frame, form, open})
}
