package desk

import (
	"net/url"
	"slices"
	"strings"
)

// filterNames are the API's filters that pages take over from their own address.
var filterNames = []string{
	"status", "tier", "queue", "policy", "owner", "assignee", "requested_by", "customer", "source", "tag", "callback_required", "overdue", "due_before", "q",
}

// filters are those of a page's address, as the API takes them. Values that are
// empty were left open in a form.
func (v *visit) filters() url.Values {
	asked := v.URL.Query()
	f := url.Values{}
	for _, name := range filterNames {
		for _, value := range asked[name] {
			if value = strings.TrimSpace(value); value != "" {
				if name == "q" {
					value = oneNumber(value)
				}
				f.Add(name, value)
			}
		}
	}
	return f
}

// oneNumber makes one word of a number that is written in groups, as pages show
// it: the API looks for words. search.js does the same.
func oneNumber(q string) string {
	rest, plus := strings.CutPrefix(q, "+")
	if !plus {
		if rest, plus = strings.CutPrefix(q, "00"); !plus {
			return q
		}
	}
	if strings.Trim(rest, "0123456789 -()./\u00a0") != "" {
		return q
	}
	return "+" + strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, rest)
}

// with returns a copy in which some values are others; an empty one takes the
// name out.
func with(q url.Values, pairs ...string) url.Values {
	changed := url.Values{}
	for name, values := range q {
		changed[name] = slices.Clone(values)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		changed.Del(pairs[i])
		if pairs[i+1] != "" {
			changed.Set(pairs[i], pairs[i+1])
		}
	}
	return changed
}

// choices are what the filters of a page offer.
type choices struct {
	*Frame
	Filter   url.Values
	Queues   []string
	Tiers    []string
	Policies []string
	Staff    []person
}

type person struct{ ID, Name string }

// Has tells whether a value of a filter is chosen.
func (c *choices) Has(name, value string) bool { return slices.Contains(c.Filter[name], value) }

// Only is the value of a filter that has one.
func (c *choices) Only(name string) string { return c.Filter.Get(name) }

// Narrowed tells whether anything is filtered at all.
func (c *choices) Narrowed() bool { return len(c.Filter) > 0 }

// choose asks for what filters may offer.
func (v *visit) choose(f url.Values) (*choices, error) {
	policies, err := v.policies()
	if err != nil {
		return nil, err
	}
	c := &choices{Frame: v.Frame, Filter: f}
	add := func(to *[]string, s string) {
		if !slices.Contains(*to, s) {
			*to = append(*to, s)
		}
	}
	for _, p := range policies {
		c.Policies = append(c.Policies, p.Name)
		for _, s := range p.Ladder {
			add(&c.Tiers, s.Tier)
			add(&c.Queues, s.Queue)
			for _, q := range s.QueueByLOB {
				add(&c.Queues, q)
			}
		}
	}
	slices.Sort(c.Queues)
	for _, p := range v.staff {
		c.Staff = append(c.Staff, person{p.ID, p.Name})
	}
	return c, nil
}
