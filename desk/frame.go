package desk

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	_ "time/tzdata" // people look from zones whose files the machine may lack

	"ringback/api"
	"ringback/callback"
)

// Frame is what is around every page: who looks, from where, and what is where.
type Frame struct {
	Organization string
	Title        string
	// Nav is the name of the page in the menu; empty: it is not there.
	Nav string
	// Module is the script of this page besides that of all pages; empty: none.
	Module string
	// Rules are those that this page's help explains.
	Rules []Rule
	// Me is who looks; nobody on the page of a problem that came before.
	Me      api.Me
	SignOut string
	// Outages are those that go on: everybody is told how to handle customers (R23).
	Outages []api.Outage
	// Theme is "light" or "dark" where somebody chose one.
	Theme string
	// Zone is the viewer's, as their browser told last; UTC before it did.
	Zone *time.Location
	now  time.Time
	// Feed is the number of a change up to which the page surely shows all; empty: that
	// could not be told, and the browser looks again.
	Feed string

	people map[string]*api.Person
	staff  []api.Person
	titles map[string]string
}

// frame is one that knows nobody yet.
func (v *visit) frame() *Frame {
	f := &Frame{Organization: v.site.Organization, SignOut: v.site.SignOut, Zone: time.UTC, now: v.Now().UTC(), people: map[string]*api.Person{}}
	if c, err := v.Cookie("ringback_theme"); err == nil && (c.Value == "light" || c.Value == "dark") {
		f.Theme = c.Value
	}
	if c, err := v.Cookie("ringback_zone"); err == nil {
		if name, err := url.QueryUnescape(c.Value); err == nil && name != "" && name != "Local" {
			if zone, err := time.LoadLocation(name); err == nil {
				f.Zone = zone
			}
		}
	}
	return f
}

// begin asks who looks, who works here, and what kinds of callbacks there are.
func (v *visit) begin() error {
	v.Frame = v.frame()
	v.Feed = v.feed() // before anything that the page shows is read
	if err := v.get("/v1/me", nil, &v.Me); err != nil {
		return err
	}
	var staff api.Staff
	if err := v.get("/v1/staff", nil, &staff); err != nil {
		return err
	}
	v.staff = staff.Items
	for i := range v.staff {
		v.people[v.staff[i].ID] = &v.staff[i]
	}
	var outages api.Outages
	if err := v.get("/v1/outages", url.Values{"active": {"true"}}, &outages); err != nil {
		return err
	}
	v.Outages = outages.Items
	return nil
}

// feed asks where a stream would begin that is opened now. The browser opens its
// own later, and has it go on from here: what happens between is told then, at no
// cost to a page during which nothing happens.
func (v *visit) feed() string {
	r, err := http.NewRequestWithContext(v.ctx(), http.MethodHead, "/v1/stream", nil)
	if err != nil {
		return ""
	}
	w, err := v.api.do(r)
	if err != nil {
		return "" // too many streams are open, for one
	}
	return w.header.Get("Last-Event-ID")
}

// policies asks what kinds of callbacks there are.
func (v *visit) policies() ([]api.Policy, error) {
	var all api.Policies
	if err := v.get("/v1/policies", nil, &all); err != nil {
		return nil, err
	}
	v.titles = map[string]string{}
	for _, p := range all.Items {
		v.titles[p.Name] = p.Title
	}
	return all.Items, nil
}

// PolicyTitle is what people call a policy.
func (f *Frame) PolicyTitle(name string) string {
	if t := f.titles[name]; t != "" {
		return t
	}
	return title(strings.ReplaceAll(name, "-", " "))
}

// Is tells whether the viewer has a role.
func (f *Frame) Is(role string) bool { return slices.Contains(f.Me.Roles, role) }

// Commands tells whether the viewer may give any: auditors may not.
func (f *Frame) Commands() bool { return f.MayDo("command") }

// Name is what a person, or whatever acted, is called.
func (f *Frame) Name(id string) string {
	switch {
	case id == "":
		return "nobody"
	case id == callback.ActorClock:
		return "the clock"
	case strings.HasPrefix(id, "system:"):
		return strings.TrimPrefix(id, "system:")
	}
	if p := f.people[id]; p != nil && p.Name != "" {
		return p.Name
	}
	return id
}

// Who is Name of somebody who may be nobody, and "you" for the viewer.
func (f *Frame) Who(id *string) string {
	switch {
	case id == nil:
		return "nobody"
	case *id == f.Me.ID:
		return "you"
	}
	return f.Name(*id)
}

// Presence is what the viewer says of themselves.
func (f *Frame) Presence() string {
	if p := f.Me.Presence; p != nil && p.State != nil {
		return *p.State
	}
	return ""
}

// NowText is the server's clock, by which the browser sets its own.
func (f *Frame) NowText() string { return callback.At(f.now).String() }

// ZoneName is the viewer's zone.
func (f *Frame) ZoneName() string { return f.Zone.String() }

// Clock shows an instant: the time, with the day unless it is today.
func (f *Frame) Clock(at callback.Instant) template.HTML {
	if at.IsZero() {
		return "–"
	}
	return element("clock", at, f.clock(at.Time, f.Zone))
}

// Day shows an instant with its day, always.
func (f *Frame) Day(at callback.Instant) template.HTML {
	if at.IsZero() {
		return "–"
	}
	return element("day", at, at.In(f.Zone).Format("Mon 2 Jan 2006, 15:04"))
}

func (f *Frame) clock(at time.Time, zone *time.Location) string {
	at, now := at.In(zone), f.now.In(zone)
	switch {
	case at.Year() == now.Year() && at.YearDay() == now.YearDay():
		return at.Format("15:04")
	case at.Year() == now.Year():
		return at.Format("Mon 2 Jan, 15:04")
	}
	return at.Format("Mon 2 Jan 2006, 15:04")
}

// Left counts down to an instant, and up after it.
func (f *Frame) Left(at callback.Instant) template.HTML {
	if at.IsZero() {
		return ""
	}
	left := at.Sub(f.now)
	text := short(left) + " left"
	if left < 0 {
		text = short(left) + " late"
	}
	return element("left", at, text)
}

// Ago tells how long ago an instant was, or in how long it will be.
func (f *Frame) Ago(at callback.Instant) template.HTML {
	if at.IsZero() {
		return ""
	}
	gone := f.now.Sub(at.Time)
	text := short(gone) + " ago"
	if gone < 0 {
		text = "in " + short(gone)
	}
	return element("ago", at, text)
}

// element is a time that assets/time.js keeps up to date.
func element(kind string, at callback.Instant, text string) template.HTML {
	return template.HTML(`<time class="` + kind + `" data-time="` + kind + `" datetime="` + at.String() + `">` + //nolint:gosec // made of times
		template.HTMLEscapeString(text) + `</time>`)
}
