package api

import (
	"slices"
	"strings"

	"ringback/callback"
)

// Who may use which operation: every operation names its access, and grants is
// the whole of what that means. Which commands somebody may give to one callback,
// in one state, is the rules' to say: see callback.Permissions.

// access is who may use an operation.
type access string

const (
	accessOpen     access = "open"     // nobody has to say who they are
	accessAnybody  access = "anybody"  // whoever proves to be somebody
	accessRead     access = "read"     // lists, callbacks, timelines, notes, people
	accessPolicies access = "policies" // what to know for reading, or for creating
	accessCreate   access = "create"   // a new callback
	accessCommand  access = "command"  // what changes something on the floor
	accessTell     access = "tell"     // facts of the floor, such as that the customer called
	accessPresence access = "presence" // what people say of themselves
	accessOwn      access = "own"      // what people keep for themselves
	accessAudit    access = "audit"    // histories and replays
	accessAdmin    access = "admin"    // people and keys
)

// grant is who has an access.
type grant struct {
	// staff is everybody who works here, without a role that says otherwise.
	staff, auditor, admin bool
	// scopes, any of which a key needs; nil: no key is enough.
	scopes []string
	// rule and words of the refusal.
	rule  callback.Rule
	words string
}

var grants = map[access]grant{
	accessOpen:     {staff: true, auditor: true, admin: true, scopes: allScopes},
	accessAnybody:  {staff: true, auditor: true, admin: true, scopes: allScopes},
	accessRead:     {staff: true, auditor: true, admin: true, scopes: []string{ScopeRead}, words: "only staff may read this"},
	accessPolicies: {staff: true, auditor: true, admin: true, scopes: []string{ScopeRead, ScopeIntake}, words: "only staff may read this"},
	accessCreate:   {staff: true, admin: true, scopes: []string{ScopeIntake}, words: "only staff may create callbacks"},
	accessCommand:  {staff: true, admin: true, words: "only staff may give commands"},
	accessTell:     {staff: true, admin: true, scopes: []string{ScopeConnector}, words: "only staff may tell this"},
	accessPresence: {staff: true, auditor: true, admin: true, words: "only staff are present or not"},
	accessOwn:      {staff: true, auditor: true, admin: true, words: "only staff keep views"},
	accessAudit:    {auditor: true, scopes: []string{ScopeAudit}, rule: "R24", words: "only an auditor may see histories"},
	accessAdmin:    {admin: true, words: "only an administrator may do this"},
}

// may refuses an access that a principal does not have. An auditor changes
// nothing, and therefore is no administrator, whatever else they are.
func (p Principal) may(what access) error {
	if what == accessOpen {
		return nil
	}
	g, known := grants[what]
	if !known {
		return refuse(callback.CodeForbidden, "", "nobody may do this")
	}
	var has bool
	switch {
	case p.Staff == nil:
		has = what == accessAnybody || slices.ContainsFunc(p.Scopes, func(s string) bool { return slices.Contains(g.scopes, s) })
	case p.is(roleAuditor):
		has = g.auditor
	case p.is(roleAdmin):
		has = g.admin
	default:
		has = g.staff
	}
	switch {
	case has:
		return nil
	case p.Staff == nil && len(g.scopes) > 0 && what != accessTell: // no key has its scope
		return refuse(callback.CodeForbidden, g.rule, "this key lacks the scope "+strings.Join(g.scopes, " or "))
	case p.is(roleAuditor):
		return refuse(callback.CodeForbidden, "R24", "an auditor reads and gives no command")
	}
	return refuse(callback.CodeForbidden, g.rule, g.words)
}

// may refuses a request that its operation does not let the caller make, or that
// asks for something that the operation does not know: what is wrong with its
// shape comes first.
func (r *request) may() error {
	if wrong := r.unknown(); len(wrong) > 0 {
		return invalid(wrong)
	}
	return r.who.may(r.op.access)
}

// isStaff refuses systems: auditors are refused by the rules, which know when
// that is the matter and when something else comes first.
func (p Principal) isStaff() error {
	if p.Staff == nil {
		return p.may(accessCommand)
	}
	return nil
}
