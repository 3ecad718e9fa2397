package desk

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ringback/api"
	"ringback/callback"
)

// activitiesPage is the list of callbacks, with its filters in its address.
type activitiesPage struct {
	*Frame
	Choices *choices
	Items   []*item
	Total   int64
	Sort    string
	// Sorted: somebody asked for this order.
	Sorted bool
	// Here is the page without where in the list one is; Next that of what comes after.
	Here, Next, CSV string
	First           bool
	Presets         []preset
	Views           []preset
}

// preset is a list that somebody wants again.
type preset struct {
	Name, Href string
	Current    bool
}

const activitiesShown = 50

// openList is the list that one wants first: what is open, by promise.
var openList = "/activities?" + url.Values{"status": openStatuses}.Encode()

// sortings are the orders of a list: the API's words and people's.
var sortings = []string{"due_at", "-requested_at", oldestPromise}

// oldestPromise is R10's order: whoever called in again is not put before an older promise.
const oldestPromise = "promise"

// sorting is the order that is asked for. Without one, what is open is in order of
// promise, and a list in which years of closed ones may be begins with the newest.
func sorting(asked string, f url.Values) string {
	if slices.Contains(sortings, asked) {
		return asked
	}
	status := strings.Join(f["status"], ",")
	open := status != "" && !strings.Contains(status, string(callback.StatusCompleted)) && !strings.Contains(status, string(callback.StatusCancelled))
	if open || f.Get("overdue") == "true" || f.Get("callback_required") == "true" {
		return sortings[0]
	}
	return sortings[1]
}

func (v *visit) activities() error {
	v.Title, v.Nav, v.Module = "Activities", "activities", "activities.js"
	v.Rules = rulesAbout("R15", "R05", "R07", "R09")
	asked := v.URL.Query()
	f := v.filters()
	p := &activitiesPage{Frame: v.Frame, Sort: sorting(asked.Get("sort"), f), First: asked.Get("cursor") == ""}
	p.Sorted = p.Sort == asked.Get("sort")
	var err error
	if p.Choices, err = v.choose(f); err != nil {
		return err
	}
	var counts api.Counts
	if err := v.get("/v1/counts", f, &counts); err != nil {
		return err
	}
	p.Total = counts.Count
	var next string
	p.Items, next, err = v.list(with(f, "sort", p.Sort, "limit", strconv.Itoa(activitiesShown), "cursor", asked.Get("cursor")))
	if err != nil {
		return err
	}
	p.Here = "/activities?" + with(f, "sort", p.Sort).Encode()
	p.CSV = "/activities.csv?" + with(f, "sort", p.Sort).Encode()
	if next != "" {
		p.Next = "/activities?" + with(f, "sort", p.Sort, "cursor", next).Encode()
	}
	p.Presets = v.presets(f)
	var views api.ListViews
	if err := v.get("/v1/me/views", nil, &views); err != nil {
		return err
	}
	here := with(f, "sort", p.Sort).Encode()
	for _, view := range views.Items {
		p.Views = append(p.Views, preset{view.Name, strings.TrimSuffix("/activities?"+view.Query, "?"), view.Query == here})
	}
	return v.show("activities", p)
}

// presets are lists that everybody wants.
func (v *visit) presets(f url.Values) []preset {
	open := url.Values{"status": openStatuses}
	all := []preset{
		{Name: "Open", Href: open.Encode()},
		{Name: "Waiting", Href: url.Values{"status": {"queued"}}.Encode()},
		{Name: "Overdue", Href: url.Values{"overdue": {"true"}}.Encode()},
		{Name: "Mine", Href: url.Values{"status": openStatuses, "assignee": {v.Me.ID}}.Encode()},
		{Name: "Owned by me", Href: url.Values{"status": openStatuses, "owner": {v.Me.ID}}.Encode()},
		{Name: "Promised by me", Href: url.Values{"requested_by": {v.Me.ID}}.Encode()},
		{Name: "Closed", Href: url.Values{"status": {"completed", "cancelled"}}.Encode()},
		{Name: "All", Href: url.Values{}.Encode()},
	}
	here := f.Encode()
	for i := range all {
		all[i].Current = all[i].Href == here
		all[i].Href = strings.TrimSuffix("/activities?"+all[i].Href, "?")
	}
	return all
}

// searchPage is what was found.
type searchPage struct {
	*Frame
	Q            string
	Open, Closed []*item
	MoreOpen     string
	MoreClosed   string
}

func (v *visit) search() error {
	v.Title, v.Nav = "Search", "search"
	v.Rules = rulesAbout("R15", "R14", "R26")
	p := &searchPage{Frame: v.Frame, Q: strings.TrimSpace(v.URL.Query().Get("q"))}
	if p.Q == "" {
		return v.show("search", p)
	}
	if _, err := v.policies(); err != nil {
		return err
	}
	look := func(status []string, sort string) (items []*item, more string, err error) {
		items, next, err := v.list(url.Values{"q": {oneNumber(p.Q)}, "status": status, "sort": {sort}, "limit": {"50"}})
		if next != "" {
			more = "/activities?" + url.Values{"q": {p.Q}, "status": status, "sort": {sort}}.Encode()
		}
		return items, more, err
	}
	var err error
	if p.Open, p.MoreOpen, err = look(openStatuses, "due_at"); err != nil {
		return err
	}
	if p.Closed, p.MoreClosed, err = look([]string{"completed", "cancelled"}, "-requested_at"); err != nil {
		return err
	}
	return v.show("search", p)
}

// customerPage is everything of one customer, open first (R15).
type customerPage struct {
	*Frame
	Of           *item
	Open, Closed []*item
	// ByPhone: the customer has no reference, and is known by number alone.
	ByPhone bool
}

// groundChoice is a ground for an erasure.
type groundChoice struct{ Code, Title string }

// grounds are those of Article 17 (1) of the GDPR, as the API has them, for people.
var grounds = []groundChoice{
	{"request", "The customer asked for it"},
	{"no_longer_needed", "It is no longer needed"},
	{"unlawful", "It should not have been kept"},
	{"legal_obligation", "The law requires it"},
}

// Grounds are those that an erasure may have.
func (p *customerPage) Grounds() []groundChoice { return grounds }

// customer shows the callbacks of the customer of a callback: named by it, so
// that nothing personal is in an address.
func (v *visit) customer() error {
	var c api.Callback
	if err := v.get(callbackPath(v.PathValue("id")), nil, &c); err != nil {
		return err
	}
	if _, err := v.policies(); err != nil {
		return err
	}
	p := &customerPage{Frame: v.Frame, Of: v.item(&c)}
	v.Title, v.Nav = p.Of.CustomerName(), "customer"
	v.Rules = rulesAbout("R15", "R14", "R26")
	q := url.Values{"limit": {"200"}, "sort": {"-requested_at"}}
	switch {
	case c.Customer != nil && c.Customer.Ref != nil:
		q.Set("customer", *c.Customer.Ref)
	case p.Of.Phone() != "":
		q.Set("q", p.Of.Phone())
		p.ByPhone = true
	default:
		q.Set("id", c.ID) // erased: this one is all that is known
	}
	items, _, err := v.list(q)
	if err != nil {
		return err
	}
	for _, i := range items {
		switch {
		case p.ByPhone && i.Phone() != p.Of.Phone():
		case i.Closed():
			p.Closed = append(p.Closed, i)
		default:
			p.Open = append(p.Open, i)
		}
	}
	slices.SortStableFunc(p.Open, func(a, b *item) int { return a.DueAt.Compare(b.DueAt.Time) })
	return v.show("customer", p)
}

// tagsPage is R10's list: every callback whose tag is on, oldest promise first.
type tagsPage struct {
	*Frame
	Items   []*item
	Total   int64
	Overdue int64
	Next    string
}

func (v *visit) tags() error {
	v.Title, v.Nav, v.Module = "Open tags", "tags", "tags.js"
	v.Rules = rulesAbout("R10", "R09", "R03", "R08")
	p := &tagsPage{Frame: v.Frame}
	if _, err := v.policies(); err != nil {
		return err
	}
	tagged := url.Values{"callback_required": {"true"}}
	var counts api.Counts
	if err := v.get("/v1/counts", tagged, &counts); err != nil {
		return err
	}
	p.Total, p.Overdue = counts.Count, counts.Overdue
	items, next, err := v.list(with(tagged, "sort", oldestPromise, "limit", "100", "cursor", v.URL.Query().Get("cursor")))
	if err != nil {
		return err
	}
	p.Items = items
	if next != "" {
		p.Next = "/tags?" + url.Values{"cursor": {next}}.Encode()
	}
	return v.show("tags", p)
}

// ChaseWho is whom to chase: who calls next, else who owns it, else the queue.
func (c *item) ChaseWho() string {
	switch {
	case c.Assignee != nil:
		return c.Name(*c.Assignee)
	case c.Owner != nil:
		return c.Name(*c.Owner) + " or anybody of " + c.Queue
	}
	return "anybody of " + c.Queue
}

// ChaseText is what to say to them: nothing personal, so that it may go anywhere.
func (c *item) ChaseText() string {
	// Whoever reads it may be elsewhere, and on another day.
	at := func(i callback.Instant) string { return i.In(c.Zone).Format("Mon 2 Jan, 15:04 MST") }
	who := c.ChaseWho()
	if c.Contacted() {
		return who + ": the customer was reached on " + at(c.ContactedAt) + ", and the callback is still open. Please write the summary and complete it."
	}
	since := "is due on " + at(c.DueAt)
	if c.DueAt.Reached(callback.At(c.now)) {
		since = "was promised for " + at(c.DueAt) + " and has not happened"
	}
	do := "Please claim it and call the customer."
	if c.Assignee != nil {
		do = "Please call the customer now, or put it back in the queue."
	}
	return who + ": a callback of the tier " + plain(c.Tier) + " " + since + ". " + do
}
