package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
)

// Person is somebody of the staff, or who was.
type Person struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Tier       string            `json:"tier"`
	Queues     []string          `json:"queues"`
	Capacity   *int              `json:"capacity" doc:"of open assignments; limits draws, never claims; null: unlimited"`
	ReportsTo  *string           `json:"reports_to"`
	Shift      *string           `json:"shift" doc:"the calendar of their shift; null: always on shift"`
	Identities map[string]string `json:"identities" doc:"who they are in other systems (R13)"`
	Roles      []string          `json:"roles"`
	Presence   Presence          `json:"presence"`
	Active     bool              `json:"active" doc:"false: they no longer work here"`
	Pinned     []string          `json:"pinned" doc:"attributes that an administrator has set; neither the file nor the sign-in changes those"`
	Origin     string            `json:"origin" enum:"file,sign_in,admin" doc:"where they were first heard of"`
	SignsIn    bool              `json:"signs_in" doc:"somebody at the identity provider signs in as this person"`
	Version    int64             `json:"version" minimum:"1" doc:"raised by every change; the ETag"`
}

// Presence is what somebody says of themselves.
type Presence struct {
	StaffID string           `json:"staff_id"`
	State   *string          `json:"state" enum:"available,busy,away,offline" doc:"null: never set"`
	Until   callback.Instant `json:"until" doc:"it lapses to offline then, unless renewed"`
}

// TransformSchema implements huma.SchemaTransformer.
func (Presence) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return enumOrNull(s, "state")
}

// Me is the caller.
type Me struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Tier     *string   `json:"tier"`
	Queues   []string  `json:"queues"`
	Roles    []string  `json:"roles"`
	Scopes   []string  `json:"scopes" doc:"of a system's key"`
	May      []string  `json:"may" enum:"create,command,oversee,audit,administer" doc:"what the caller may do beside what a callback's own allowed says; oversee: outages, and deliveries of others"`
	Presence *Presence `json:"presence"`
}

// TransformSchema implements huma.SchemaTransformer.
func (Me) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	nullable(s, "presence")
	return s
}

// Staff is everybody.
type Staff struct {
	Items []Person `json:"items"`
}

const meID = "me"

type presenceBody struct {
	State string `json:"state,omitempty" enum:"available,busy,away,offline"`
	Renew bool   `json:"renew,omitempty" doc:"instead of a state: what was said holds on, whatever that is; what has lapsed stays so"`
}

func (a *API) peopleOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/staff", id: "staff", tag: "people", access: accessRead, summary: "Who works here",
			query:   []*huma.Param{choiceParam("active", "false: those who no longer do", "true", "false")},
			answers: []reply{{http.StatusOK, "everybody, by id", Staff{}, ""}},
			serve:   a.listStaff,
		},
		{
			method: http.MethodGet, path: "/v1/me", id: meID, tag: "people", access: accessAnybody, summary: "Who the caller is",
			answers: []reply{{http.StatusOK, "the caller", Me{}, ""}},
			serve:   a.me,
		},
		{
			method: http.MethodPut, path: "/v1/me/presence", id: "presence", tag: "people", access: accessPresence, summary: "Say whether you are free",
			doc: "Lapses to `offline` 15 minutes after the last renewal. The same state again renews it; `renew` does so without saying which, " +
				"for a page that cannot know whether another one has said something else since.",
			body:    presenceBody{},
			answers: []reply{{http.StatusOK, "what was said", Presence{}, ""}},
			serve:   a.setPresence,
		},
	}
}

func presenceOf(p book.Presence) Presence {
	if p.State == book.Offline {
		p.Until = callback.Instant{} // it has lapsed, or holds until something else is said
	}
	return Presence{StaffID: p.StaffID, State: null(string(p.State)), Until: p.Until}
}

// presences are those of everybody who ever said something.
func (a *API) presences(ctx context.Context) (map[string]book.Presence, error) {
	all, err := a.book.Presences(ctx, a.instant())
	if err != nil {
		return nil, err
	}
	by := make(map[string]book.Presence, len(all))
	for _, p := range all {
		by[p.StaffID] = p
	}
	return by, nil
}

func presenceIn(by map[string]book.Presence, id string) Presence {
	p := by[id]
	p.StaffID = id
	return presenceOf(p)
}

func (a *API) listStaff(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	active := q.flag("active")
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	people, err := a.book.People(ctx)
	if err != nil {
		return nil, err
	}
	present, err := a.presences(ctx)
	if err != nil {
		return nil, err
	}
	given := Staff{Items: []Person{}}
	for i := range people {
		if people[i].Inactive != (active != nil && !*active) {
			continue
		}
		given.Items = append(given.Items, personAs(&people[i], presenceIn(present, people[i].ID)))
	}
	return ok(given)
}

func personAs(p *book.Person, present Presence) Person {
	w := Person{
		ID: p.ID, Name: p.Name, Tier: p.Tier, Queues: list(p.Queues), ReportsTo: null(p.ReportsTo), Shift: null(p.ShiftName),
		Identities: entries(p.Identities), Roles: list(p.Roles), Presence: present, Active: !p.Inactive, Pinned: []string{},
		Origin: string(p.Origin), SignsIn: p.Subject != "", Version: p.Version,
	}
	if p.Capacity > 0 {
		w.Capacity = &p.Capacity
	}
	for _, attribute := range p.Pinned {
		w.Pinned = append(w.Pinned, string(attribute))
	}
	return w
}

func (a *API) me(ctx context.Context, r *request) (*answer, error) {
	if err := r.may(); err != nil {
		return nil, err
	}
	s := r.who.Staff
	if s == nil {
		return ok(Me{ID: r.who.ID, Name: r.who.ID, Queues: []string{}, Roles: []string{}, Scopes: list(r.who.Scopes), May: a.mayDo(r.who)})
	}
	present, err := a.presences(ctx)
	if err != nil {
		return nil, err
	}
	p := presenceIn(present, s.ID)
	return ok(Me{
		ID: s.ID, Name: s.Name, Tier: null(s.Tier), Queues: list(s.Queues), Roles: list(s.Roles), Scopes: list(r.who.Scopes), May: a.mayDo(r.who), Presence: &p,
	})
}

// mayDo is what somebody may do beside what a callback's own allowed says.
func (a *API) mayDo(who Principal) []string {
	may := []string{}
	for _, m := range []struct {
		word string
		err  error
	}{
		{"create", who.may(accessCreate)}, {"command", who.may(accessCommand)}, {"oversee", a.mayOversee(who, "")},
		{"audit", who.may(accessAudit)}, {"administer", who.may(accessAdmin)},
	} {
		if m.err == nil {
			may = append(may, m.word)
		}
	}
	return may
}

func (a *API) setPresence(ctx context.Context, r *request) (*answer, error) {
	b, err := decode[presenceBody](a, r)
	if err == nil {
		err = r.may()
	}
	if err != nil {
		return nil, err
	}
	if b.Renew == (b.State != "") {
		return nil, callback.Invalid("state", "expected a state, or renew and no state")
	}
	if b.Renew {
		p, err := a.book.RenewPresence(ctx, r.who.ID, a.instant())
		if err != nil {
			return nil, err
		}
		return ok(presenceOf(p))
	}
	p, err := a.book.SetPresence(ctx, r.who.ID, book.PresenceState(b.State), a.instant())
	if err != nil {
		return nil, err
	}
	if p.State == book.Available {
		a.cameFree(r.who.ID)
	}
	return ok(presenceOf(p))
}

// cameFree has the callbacks that wait for a draw in somebody's queues draw
// again (R21). They do so by themselves too, a little later.
func (a *API) cameFree(staffID string) {
	a.later.do(func(ctx context.Context) {
		everybody, err := a.people.everybody(ctx)
		s := everybody[staffID]
		if err != nil || s == nil || len(s.Queues) == 0 {
			return
		}
		waiting, err := a.book.DrawWaits(ctx, s.Queues)
		if err != nil {
			return
		}
		for _, id := range waiting[:min(len(waiting), nudges)] {
			if err := a.engine.CandidateAvailable(ctx, id); err != nil && ctx.Err() != nil {
				return
			}
		}
	})
}

// nudges is how many waiting callbacks are told that somebody came free: one
// person rarely takes more.
const nudges = 20
