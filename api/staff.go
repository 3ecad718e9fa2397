package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"ringback/book"
	"ringback/callback"
)

// What is sent about people.
type (
	newPersonBody struct {
		ID   string `json:"id" pattern:"^[A-Za-z0-9][A-Za-z0-9._@-]*$" patternDescription:"letters, digits, . _ @ and -" maxLength:"64" example:"sup4" doc:"for good: it is in histories"`
		Name string `json:"name" minLength:"1" maxLength:"200"`
		Tier string `json:"tier" minLength:"1" maxLength:"64"`
		PersonAttributes
	}
	editPersonBody struct {
		Name *string `json:"name" required:"false" minLength:"1" maxLength:"200"`
		Tier *string `json:"tier" required:"false" minLength:"1" maxLength:"64"`
		PersonAttributes
		Active  *bool    `json:"active" required:"false"`
		Unpin   []string `json:"unpin" required:"false" enum:"name,tier,queues,capacity,reports_to,shift,identities,roles,active" maxItems:"9" doc:"attributes to give back to the file or the sign-in"`
		SignsIn *bool    `json:"signs_in" required:"false" doc:"false: their sessions end, and whoever signs in with this id next is this person from then on"`
	}
	// PersonAttributes are what may be said of anybody.
	PersonAttributes struct {
		Queues     []string          `json:"queues" required:"false" maxItems:"200" doc:"in order"`
		Capacity   *int              `json:"capacity" required:"false" minimum:"1" maximum:"1000000" doc:"null: unlimited"`
		ReportsTo  *string           `json:"reports_to" required:"false" maxLength:"64" doc:"a staff id; null: nobody"`
		Shift      *string           `json:"shift" required:"false" maxLength:"200" doc:"a calendar; null: always on shift"`
		Identities map[string]string `json:"identities" required:"false" maxProperties:"50" doc:"who they are in other systems, by system (R13)" example:"{\"freshdesk\": \"1001\"}"`
		Roles      []string          `json:"roles" required:"false" enum:"auditor,admin" maxItems:"2" uniqueItems:"true"`
	}
)

func (a *API) staffOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/staff/{id}", id: "person", tag: "people", access: accessRead, names: namesPerson,
			summary: "One person, whether or not they still work here",
			answers: []reply{{http.StatusOK, "the person", Person{}, ""}},
			serve: func(ctx context.Context, r *request) (*answer, error) {
				if err := r.may(); err != nil {
					return nil, err
				}
				p, err := a.book.Person(ctx, r.pathID)
				if err != nil {
					return nil, noSuchPerson(err)
				}
				return a.answerPerson(ctx, http.StatusOK, &p)
			},
		},
		{
			method: http.MethodPost, path: "/v1/staff", id: "create-person", tag: "administration", access: accessAdmin,
			summary:  "Add somebody",
			doc:      "What is given is pinned: neither the configuration file nor the sign-in changes it.",
			body:     newPersonBody{},
			answers:  []reply{{http.StatusCreated, "the person", Person{}, ""}},
			refusals: []callback.Code{callback.CodeDuplicate},
			serve:    a.createPerson,
		},
		{
			method: http.MethodPatch, path: "/v1/staff/{id}", id: "edit-person", tag: "administration", access: accessAdmin, names: namesPerson,
			summary: "Change somebody",
			doc: "Members that are left out stay as they are. What is given is pinned; `unpin` gives it back. " +
				"`active` true takes somebody back.",
			body: editPersonBody{}, conditional: true,
			answers: []reply{{http.StatusOK, "the person", Person{}, ""}},
			serve:   a.editPerson,
		},
		{
			method: http.MethodDelete, path: "/v1/staff/{id}", id: "deactivate-person", tag: "administration", access: accessAdmin, names: namesPerson,
			summary: "Somebody no longer works here",
			doc: "They can no longer sign in, and their sessions end. What they did keeps their id. Refused while they have " +
				"open callbacks: reassign those first.",
			conditional: true,
			answers:     []reply{{http.StatusOK, "the person", Person{}, ""}},
			refusals:    []callback.Code{callback.CodeInvalid},
			serve:       a.deactivatePerson,
		},
	}
}

func noSuchPerson(err error) error {
	if errors.Is(err, book.ErrNotFound) {
		return refuse(callback.CodeNotFound, "", "there is nobody with this id")
	}
	return err
}

func (a *API) answerPerson(ctx context.Context, status int, p *book.Person) (*answer, error) {
	present, err := a.presences(ctx)
	if err != nil {
		return nil, err
	}
	return personAnswer(status, p, presenceIn(present, p.ID))
}

func personAnswer(status int, p *book.Person, present Presence) (*answer, error) {
	body, err := encode(personAs(p, present))
	given := &answer{status: status, etag: etag(p.Version), body: body}
	if status == http.StatusCreated {
		given.location = "/v1/staff/" + p.ID
	}
	return given, err
}

func (a *API) createPerson(ctx context.Context, r *request) (*answer, error) {
	b, err := decode[newPersonBody](a, r)
	if err != nil {
		return nil, err
	}
	return a.once(ctx, r, "create-person", func(ctx context.Context, e *errand) (*answer, error) {
		if err := r.may(); err != nil {
			return nil, err
		}
		given := r.attributes(b.PersonAttributes)
		given.from.Name, given.from.Tier = b.Name, b.Tier
		given.which = append(given.which, book.AttributeName, book.AttributeTier)
		var done *answer
		p, err := a.book.EditPerson(ctx, b.ID, func(roster book.Roster) (book.Person, error) {
			if roster.Person(b.ID) != nil {
				return book.Person{}, &callback.Fault{Code: callback.CodeDuplicate, Existing: b.ID, Detail: "there is somebody with this id, or was: change them"}
			}
			now := book.Person{Staff: book.Staff{ID: b.ID}, Origin: book.OriginAdmin}
			return a.edited(roster, r.who, now, given)
		}, func(p book.Person) (_ *book.Errand, err error) {
			done, err = personAnswer(http.StatusCreated, &p, Presence{StaffID: p.ID})
			return e.concluded(done), err
		})
		if err != nil {
			return nil, err
		}
		a.changed(ctx, r.who, &p, given.which)
		return done, nil
	})
}

func (a *API) editPerson(ctx context.Context, r *request) (*answer, error) {
	if err := a.seesPeople(ctx, r); err != nil {
		return nil, err
	}
	b, err := decode[editPersonBody](a, r)
	if err != nil {
		return nil, err
	}
	given := r.attributes(b.PersonAttributes)
	if b.Name != nil {
		given.which = append(given.which, book.AttributeName)
	}
	if b.Tier != nil {
		given.which = append(given.which, book.AttributeTier)
	}
	given.from.Name, given.from.Tier = deref(b.Name), deref(b.Tier)
	if b.Active != nil {
		given.from.Inactive = !*b.Active
		given.which = append(given.which, book.AttributeActive)
	}
	for _, name := range b.Unpin {
		given.unpin = append(given.unpin, book.Attribute(name))
	}
	if b.SignsIn != nil && *b.SignsIn {
		return nil, callback.Invalid("signs_in", "expected false: that somebody signs in as this person only the provider can say")
	}
	given.unlink = b.SignsIn != nil
	return a.apply(ctx, r, given)
}

func (a *API) deactivatePerson(ctx context.Context, r *request) (*answer, error) {
	if err := a.seesPeople(ctx, r); err != nil {
		return nil, err
	}
	return a.apply(ctx, r, edit{from: book.Person{Inactive: true}, which: []book.Attribute{book.AttributeActive}})
}

// seesPeople refuses what the contract refuses before what somebody may do: that
// there is no such person. Who may not even see who works here is told first
// that they may not.
func (a *API) seesPeople(ctx context.Context, r *request) error {
	if r.who.may(accessRead) != nil {
		return r.may()
	}
	_, err := a.book.Person(ctx, r.pathID)
	return noSuchPerson(err)
}

// edit is what is to be different about a person.
type edit struct {
	from  book.Person
	which []book.Attribute
	unpin []book.Attribute
	// unlink: nobody at the provider is this person any more.
	unlink bool
}

// attributes are those that a request gives, be it null.
func (r *request) attributes(b PersonAttributes) edit {
	c := edit{from: book.Person{Staff: book.Staff{
		Queues: b.Queues, ReportsTo: deref(b.ReportsTo), ShiftName: deref(b.Shift), Identities: b.Identities, Roles: b.Roles,
	}}}
	if b.Capacity != nil {
		c.from.Capacity = *b.Capacity
	}
	sent, _ := r.body.(map[string]any)
	for _, name := range []book.Attribute{
		book.AttributeQueues, book.AttributeCapacity, book.AttributeReportsTo, book.AttributeShift, book.AttributeIdentities, book.AttributeRoles,
	} {
		if _, there := sent[string(name)]; there {
			c.which = append(c.which, name)
		}
	}
	return c
}

// apply changes somebody who is there.
func (a *API) apply(ctx context.Context, r *request, c edit) (*answer, error) {
	p, err := a.book.EditPerson(ctx, r.pathID, func(roster book.Roster) (book.Person, error) {
		was := roster.Person(r.pathID)
		if was == nil {
			return book.Person{}, noSuchPerson(book.ErrNotFound)
		}
		wanted, err := ifMatch(r.Request, was.Version)
		if err == nil && wanted != 0 && wanted != was.Version {
			err = refuse(callback.CodeStaleVersion, "", "they have been changed since you read them")
		}
		if err == nil {
			err = r.may()
		}
		if err != nil {
			return book.Person{}, err
		}
		return a.edited(roster, r.who, *was, c)
	}, nil)
	if err != nil {
		return nil, err
	}
	a.changed(ctx, r.who, &p, append(c.which, c.unpin...))
	return a.answerPerson(ctx, http.StatusOK, &p)
}

// changed makes a change felt at once in this process, and notes who made it.
func (a *API) changed(ctx context.Context, who Principal, p *book.Person, which []book.Attribute) {
	a.people.forget()
	if !p.Inactive {
		a.cameFree(p.ID)
	}
	a.log.InfoContext(ctx, "person changed", "principal", who.ID, "staff_id", p.ID, "version", p.Version, "attributes", which)
}

// edited is a person with a change made to them, or what is wrong with it.
func (a *API) edited(roster book.Roster, by Principal, was book.Person, c edit) (book.Person, error) {
	now := was
	c.from.Rank = a.config.Tiers[c.from.Tier]
	c.from.Shift = a.config.Calendars[c.from.ShiftName]
	now.Set(c.from, c.which)
	now.Unpin(c.unpin)
	if c.unlink {
		now.Subject = ""
	}
	var wrong []callback.FieldError
	refuse := func(path, format string, args ...any) {
		wrong = append(wrong, callback.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if now.ID == callback.ActorClock {
		refuse("id", "expected another id: %s is who acts when time alone does", now.ID)
	}
	for _, attribute := range c.which {
		switch attribute {
		case book.AttributeName:
			if !oneLine(now.Name) {
				refuse("name", "expected one line without spaces around it")
			}
		case book.AttributeTier:
			if now.Rank == 0 {
				refuse("tier", "expected one of the tiers: %s", strings.Join(a.tierNames(), ", "))
			}
		case book.AttributeQueues:
			a.checkQueues(now.Queues, refuse)
		case book.AttributeReportsTo:
			checkSuperior(roster, &now, refuse)
		case book.AttributeShift:
			if now.ShiftName != "" && now.Shift == nil {
				refuse("shift", "expected one of the calendars: %s", strings.Join(slices.Sorted(maps.Keys(a.config.Calendars)), ", "))
			}
		case book.AttributeIdentities:
			checkIdentities(now.Identities, refuse)
		case book.AttributeRoles:
			checkRoles(by, &was, &now, refuse)
		case book.AttributeActive:
			a.checkLeaving(roster, by, &now, refuse)
		case book.AttributeCapacity:
		}
	}
	if len(wrong) > 0 {
		slices.SortStableFunc(wrong, func(a, b callback.FieldError) int { return strings.Compare(a.Path, b.Path) })
		return now, invalid(wrong)
	}
	return now, nil
}

type refusing func(path, format string, args ...any)

func oneLine(s string) bool {
	return s != "" && strings.TrimSpace(s) == s && utf8.RuneCountInString(s) <= 200 && !strings.ContainsFunc(s, unicode.IsControl)
}

func (a *API) tierNames() []string {
	return slices.SortedFunc(maps.Keys(a.config.Tiers), func(x, y string) int {
		if d := a.config.Tiers[x] - a.config.Tiers[y]; d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
}

// checkQueues takes a queue that differs from one of a ladder in nothing but
// letter case, spaces and punctuation for the slip it is. Others that no ladder
// names are right: a connector may route to them (R14).
func (a *API) checkQueues(queues []string, refuse refusing) {
	known := a.queueNames()
	for i, q := range queues {
		at := "queues[" + strconv.Itoa(i) + "]"
		switch {
		case !oneLine(q):
			refuse(at, "expected the name of a queue, in one line without spaces around it")
		case slices.Contains(queues[:i], q):
			refuse(at, "expected each queue once")
		case !slices.Contains(known, q):
			for _, k := range known {
				if plain(k) == plain(q) {
					refuse(at, "expected a queue; did you mean %q?", k)
				}
			}
		}
	}
}

func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -–—_./&", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// checkSuperior holds reports_to to lead to somebody who works here, and never back.
func checkSuperior(roster book.Roster, now *book.Person, refuse refusing) {
	if now.ReportsTo == "" {
		return
	}
	boss := roster.Person(now.ReportsTo)
	if now.ReportsTo != now.ID && (boss == nil || boss.Inactive) {
		refuse("reports_to", "expected the id of somebody who works here")
		return
	}
	above := now.ReportsTo
	for range len(roster.People) + 1 {
		if above == now.ID {
			refuse("reports_to", "expected somebody who does not report back to %s", now.ID)
			return
		}
		boss := roster.Person(above)
		if boss == nil || boss.ReportsTo == "" {
			return
		}
		above = boss.ReportsTo
	}
}

var systemName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func checkIdentities(all map[string]string, refuse refusing) {
	for system, id := range all {
		switch {
		case !systemName.MatchString(system):
			refuse("identities", "expected names of systems, like freshdesk")
		case !oneLine(id):
			refuse("identities."+system, "expected who they are there, in one line without spaces around it")
		}
	}
}

func checkRoles(by Principal, was, now *book.Person, refuse refusing) {
	admin := slices.Contains(now.Roles, roleAdmin)
	switch {
	case admin && slices.Contains(now.Roles, roleAuditor):
		refuse("roles", "expected one of them: an auditor changes nothing, and so is no administrator")
	case by.ID == was.ID && !admin:
		refuse("roles", "expected another administrator to do this: nobody locks themselves out")
	}
}

// checkLeaving holds nobody to leave who is still needed.
func (a *API) checkLeaving(roster book.Roster, by Principal, now *book.Person, refuse refusing) {
	if !now.Inactive {
		return
	}
	if by.ID == now.ID {
		refuse("active", "expected another administrator to do this: nobody locks themselves out")
	}
	if roster.Assigned > 0 {
		refuse("active", "has %d open callbacks: reassign those first", roster.Assigned)
	}
	for _, name := range slices.Sorted(maps.Keys(a.config.Policies)) {
		if slices.ContainsFunc(a.config.Policies[name].Ladder, func(s callback.Step) bool { return s.Assign == callback.AssignDirect && s.AssignTo == now.ID }) {
			refuse("active", "the policy %s assigns to them: change that first", name)
		}
	}
}
