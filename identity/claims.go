package identity

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ringback/book"
	"ringback/callback"
)

// Claims say what a token's claims mean here. A claim without a path is not
// read: what it is about is then the database's alone.
type Claims struct {
	ID, Name, Tier, Queues, Roles Claim
}

// Claim is where something stands in a token, and what its values mean here.
type Claim struct {
	// Path leads to it from the outside in. One step alone may also be written
	// with dots, where no claim has that whole name.
	Path []string
	// Values maps what is claimed to what it means here; what is not in it means
	// nothing. Nil: it means what it says.
	Values map[string][]string
	// Default is what holds where nothing else does.
	Default []string
}

func (c *Claim) given() bool { return len(c.Path) > 0 }

// read returns what is claimed, in words of this desk, each once.
func (c *Claim) read(claims map[string]any) []string {
	var all []string
	for _, claimed := range strs(c.find(claims)) {
		means := []string{claimed}
		if c.Values != nil {
			means = c.Values[claimed]
		}
		for _, m := range means {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	if len(all) == 0 {
		return slices.Clone(c.Default)
	}
	return all
}

func (c *Claim) find(claims map[string]any) any {
	path := c.Path
	if len(path) == 1 {
		if v, there := claims[path[0]]; there {
			return v
		}
		path = strings.Split(path[0], ".")
	}
	var v any = claims
	for _, step := range path {
		inside, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = inside[step]
	}
	return v
}

// strs are the texts of a claim that is one or has a list of them.
func strs(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

// staffID is what may be a person's id: it is in histories, addresses and logs.
var staffID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

const longestText = 200

func printable(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= longestText && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, unicode.IsControl)
}

// roles are those that a person may have (CONTRACT §3).
var roles = []string{"auditor", "admin"}

// meeting is who a subject's claims say that they are. A claim that is mapped but
// missing says as much as an empty one: a provider that leaves an empty list out
// must not leave somebody an administrator. Why is empty, or what is wrong, for the log.
func (c *Claims) meeting(issuer, subject string, claims map[string]any, ranks map[string]int) (m book.Meeting, why string) {
	m.Subject = issuer + " " + subject
	ids := c.ID.read(claims)
	if len(ids) != 1 || !staffID.MatchString(ids[0]) || ids[0] == callback.ActorClock {
		return m, "no_staff_id"
	}
	p := book.Person{Staff: book.Staff{ID: ids[0], Name: ids[0]}}
	if names := c.Name.read(claims); len(names) == 1 && printable(names[0]) {
		p.Name = names[0]
		m.Claimed = append(m.Claimed, book.AttributeName)
	}
	if c.Tier.given() {
		for _, t := range c.Tier.read(claims) {
			if rank, known := ranks[t]; known && rank > p.Rank {
				p.Tier, p.Rank = t, rank
			}
		}
		if p.Tier == "" {
			return m, "no_tier"
		}
		m.Claimed = append(m.Claimed, book.AttributeTier)
	}
	if c.Queues.given() {
		p.Queues = slices.DeleteFunc(c.Queues.read(claims), func(q string) bool { return !printable(q) })
		m.Claimed = append(m.Claimed, book.AttributeQueues)
	}
	if c.Roles.given() {
		p.Roles = slices.DeleteFunc(c.Roles.read(claims), func(r string) bool { return !slices.Contains(roles, r) })
		m.Claimed = append(m.Claimed, book.AttributeRoles)
	}
	m.Person = p
	return m, ""
}
