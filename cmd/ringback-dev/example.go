package main

import (
	"encoding/json"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	"ringback/book"
	"ringback/callback"
	"ringback/config"
)

// example is a callback that somebody of this desk may promise: who, and the
// body of the request. Empty where there is nobody, or no policy whose fields can be made up.
func example(c *config.Config) (creator, body string) {
	lowest := 0
	for _, s := range c.Staff {
		if len(s.Roles) == 0 && (creator == "" || s.Rank < lowest) {
			creator, lowest = s.ID, s.Rank
		}
	}
	if creator == "" { // an administrator may, too
		i := slices.IndexFunc(c.Staff, func(s book.Staff) bool { return !slices.Contains(s.Roles, "auditor") })
		if i < 0 {
			return "", ""
		}
		creator = c.Staff[i].ID
	}
	var policy string
	var fields map[string]string
	for _, name := range c.PolicyNames {
		made, ok := exampleFields(c.Policies[name])
		if ok && (policy == "" || len(made) < len(fields)) {
			policy, fields = name, made
		}
	}
	if policy == "" {
		return "", ""
	}
	body = `{"policy": "` + policy + `", "customer": {"name": "Ada Example", "phone": "+442079460123"}, "reason": "Wants to speak to a supervisor"`
	if len(fields) > 0 {
		made, err := json.Marshal(fields)
		if err != nil {
			return "", ""
		}
		body += `, "fields": ` + string(made)
	}
	return creator, body + "}"
}

// exampleFields makes up the fields that a policy requires (R22); false where that cannot be done.
func exampleFields(p *callback.Policy) (map[string]string, bool) {
	fields := map[string]string{}
	for _, f := range p.Fields {
		if !f.Required {
			continue
		}
		fields[f.Name] = "Example"
		if f.Pattern != "" {
			fields[f.Name] = exampleOf(f.Pattern)
		}
	}
	return fields, len(p.CheckFields(fields)) == 0
}

// exampleOf is a short text that a regular expression is meant to match. Where
// it looks around itself, like \b, it may not.
func exampleOf(pattern string) string {
	expression, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return ""
	}
	var b strings.Builder
	var write func(e *syntax.Regexp)
	write = func(e *syntax.Regexp) {
		switch e.Op { //nolint:exhaustive // the others match without a letter
		case syntax.OpLiteral:
			b.WriteString(string(e.Rune))
		case syntax.OpCharClass:
			b.WriteRune(readable(e.Rune))
		case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
			b.WriteRune('x')
		case syntax.OpCapture, syntax.OpPlus, syntax.OpAlternate:
			write(e.Sub[0])
		case syntax.OpRepeat:
			for range e.Min {
				write(e.Sub[0])
			}
		case syntax.OpConcat:
			for _, sub := range e.Sub {
				write(sub)
			}
		}
	}
	write(expression)
	return b.String()
}

// readable is a letter of a class, given as pairs of first and last: one that
// people type, if there is any.
func readable(class []rune) rune {
	for _, r := range "A1ax-" {
		for i := 0; i+1 < len(class); i += 2 {
			if class[i] <= r && r <= class[i+1] {
				return r
			}
		}
	}
	for i := 0; i+1 < len(class); i += 2 {
		if unicode.IsPrint(class[i]) {
			return class[i]
		}
	}
	return 'x'
}
