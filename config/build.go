package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ringback/book"
	"ringback/callback"
)

// builder turns a document into a Config.
type builder struct {
	reader
	*Config
	set   map[string]*Error // where each setting was set, as a mistake there
	tiers []string          // names of Tiers by rank
	staff []entry           // by id, at that id
	// staffQueues are the queues of all staff by name, where they are named.
	staffQueues []entry
	// hasStaff: only then are people and the members of queues checked.
	hasStaff bool
	// environment holds secrets by the names of their variables.
	environment map[string]string
}

func (b *builder) build(root value) {
	if len(b.mistakes[unread]) > 0 {
		return
	}
	top := root.fields(blockFile)
	b.settings(top)
	b.Organization = "Ringback"
	if v := top.get("organization"); v.given() {
		b.Organization = v.text("the name of the organization")
	}
	b.buildTiers(top.get("tiers"))
	b.buildCalendars(top.get("calendars"))
	b.buildStaff(top.get("staff"))
	b.buildPolicies(top.get("policies"))
	b.Connectors = b.connectors(top.get("connectors"))
	b.buildSignIn(top.get("sign_in"))
	b.checkQueueNames()
}

func (b *builder) buildTiers(v value) {
	const like = "tiers with their ranks, like {supervisor: 2, manager: 3}"
	b.Tiers = map[string]int{}
	for _, e := range v.entries(like) {
		if !identifier.MatchString(e.key) {
			e.fail("a name of a tier: %s", identifierWords)
			continue
		}
		const rank = "a rank as whole number"
		if !e.given() {
			e.fail("%s, 1 or more", rank)
		}
		b.Tiers[e.key] = e.number(rank, 1)
		b.tiers = append(b.tiers, e.key)
	}
	if len(b.Tiers) == 0 {
		v.fail(like)
	}
	slices.SortStableFunc(b.tiers, func(x, y string) int { return b.Tiers[x] - b.Tiers[y] })
}

// tier reads the name of a tier and returns it with its rank.
func (b *builder) tier(v value) (string, int) {
	name := v.text("a tier")
	rank, ok := b.Tiers[name]
	if !ok {
		v.refer("%s", among("one of the tiers", name, b.tiers))
	}
	return name, rank
}

func (b *builder) buildCalendars(v value) {
	b.Calendars = map[string]*callback.Calendar{}
	for _, e := range v.entries("calendars by name") {
		b.Calendars[e.key] = b.buildCalendar(e.value)
	}
}

func (b *builder) buildCalendar(v value) *callback.Calendar {
	lines := map[string]int{} // by callback.CalendarError.Path, and by path and value
	spans := func(of value) map[string][]string {
		if !of.given() {
			return nil
		}
		all := map[string][]string{}
		name := strings.TrimPrefix(of.path, v.path+".")
		for _, e := range of.entries(`spans by day, like {mon-fri: ["09:00-18:00"]}`) {
			at := name + "." + e.key
			lines[at] = e.line
			all[e.key] = nil
			for i, span := range e.list(`spans, like ["09:00-18:00"]`) {
				lines[fmt.Sprintf("%s[%d]", at, i)] = span.line
				all[e.key] = append(all[e.key], span.text(`a span "HH:MM-HH:MM"`))
			}
		}
		return all
	}
	f := v.fields(blockCalendar)
	zone, hours, holidays, halfDays := f.get("time_zone"), f.get("hours"), f.get("holidays"), f.get("half_days")
	lines["time_zone"], lines["hours"], lines["half_days"] = zone.line, hours.line, halfDays.line
	c := &callback.Calendar{
		TimeZone: zone.text(`an IANA time zone, such as "Asia/Kolkata"`),
		Hours:    spans(hours),
		HalfDays: spans(halfDays),
	}
	for i, date := range holidays.list("dates, as YYYY-MM-DD") {
		lines[fmt.Sprintf("holidays[%d]", i)] = date.line
		c.Holidays = append(c.Holidays, date.text("a date, as YYYY-MM-DD"))
	}
	var wrong *callback.CalendarError
	if err := c.Validate(); errors.As(err, &wrong) {
		v.path += "." + wrong.Path
		for _, place := range []string{wrong.Path, wrong.Path + "." + wrong.Value} {
			if line, ok := lines[place]; ok {
				v.line = line
			}
		}
		v.fail("%s", wrong.Want)
	}
	return c
}

// calendar finds a calendar by its name; nil if none is named.
func (b *builder) calendar(v value) (string, *callback.Calendar) {
	if !v.given() {
		return "", nil
	}
	name := v.text("the name of a calendar")
	c, ok := b.Calendars[name]
	if !ok {
		v.refer("%s", among("one of the calendars", name, slices.Sorted(maps.Keys(b.Calendars))))
	}
	return name, c
}

// Roles (CONTRACT §3).
var roles = []string{"auditor", "admin"}

func (b *builder) buildStaff(v value) {
	b.hasStaff = v.given()
	if !b.hasStaff {
		return
	}
	b.Staff = []book.Staff{}
	superiors := make(map[string]value)
	for _, item := range v.list("people") {
		f := item.fields(blockStaff)
		id := f.get("id")
		s := book.Staff{ID: id.id("a staff id"), Name: f.get("name").text("a name")}
		switch i := slices.IndexFunc(b.staff, func(e entry) bool { return e.key == s.ID }); {
		case s.ID == callback.ActorClock:
			id.fail("another staff id: %s is who acts when time alone does", s.ID)
		case i >= 0 && s.ID != "":
			id.fail("a staff id of its own; line %d has it already", b.staff[i].line)
		}
		b.staff = append(b.staff, entry{s.ID, id})
		s.Tier, s.Rank = b.tier(f.get("tier"))
		for _, q := range f.get("queues").list("queues") {
			name := q.text("the name of a queue")
			if slices.Contains(s.Queues, name) {
				q.fail("each queue once")
			}
			s.Queues = append(s.Queues, name)
			b.staffQueues = append(b.staffQueues, entry{name, q})
		}
		s.Capacity = f.get("capacity").number("a number of open assignments", 1)
		if r := f.get("reports_to"); r.given() {
			s.ReportsTo = r.text("a staff id")
			superiors[s.ID] = r
		}
		s.ShiftName, s.Shift = b.calendar(f.get("shift"))
		for _, e := range f.get("identities").entries(`identities by system, like {freshdesk: "1001"}`) {
			if s.Identities == nil {
				s.Identities = map[string]string{}
			}
			s.Identities[e.key] = e.text("this person's identity there")
		}
		for _, r := range f.get("roles").list("roles") {
			role := r.text("a role")
			if !slices.Contains(roles, role) {
				r.fail("%s", among("a role", role, roles))
			}
			s.Roles = append(s.Roles, role)
		}
		b.Staff = append(b.Staff, s)
		for _, q := range s.Queues {
			members := b.Queues[q]
			if !slices.Contains(s.Roles, "auditor") {
				members = append(members, s.ID)
			}
			b.Queues[q] = members
		}
	}
	b.checkSuperiors(superiors)
}

// checkSuperiors holds reports_to to lead to somebody, and never back.
func (b *builder) checkSuperiors(superiors map[string]value) {
	above := map[string]string{}
	for _, s := range b.Staff {
		above[s.ID] = s.ReportsTo
	}
	for _, s := range b.Staff {
		at, given := superiors[s.ID]
		if !given {
			continue
		}
		if _, ok := above[s.ReportsTo]; !ok {
			at.refer("%s", among("the id of somebody under staff", s.ReportsTo, b.staffIDs()))
			continue
		}
		// A chain longer than the staff goes round; whoever is on the ring is to blame, not who leads to it.
		boss := s.ReportsTo
		for range b.Staff {
			if boss == s.ID {
				at.refer("somebody who does not report back to %s", s.ID)
				break
			}
			boss = above[boss]
		}
	}
}

func (b *builder) staffIDs() []string {
	ids := make([]string, len(b.Staff))
	for i, s := range b.Staff {
		ids[i] = s.ID
	}
	return ids
}

func (b *builder) buildPolicies(v value) {
	b.Policies = map[string]*callback.Policy{}
	for _, e := range v.entries("policies by name") {
		if !identifier.MatchString(e.key) {
			e.fail("a name of a policy: %s", identifierWords)
			continue
		}
		b.Policies[e.key] = b.buildPolicy(e.key, e.value)
		b.PolicyNames = append(b.PolicyNames, e.key)
		if err := b.Policies[e.key].Validate(); err != nil && b.mistake() == nil {
			// What the rules ask for and nothing here has asked for in better words.
			e.fail("a policy that can be kept (%s)", err)
		}
	}
	if len(b.PolicyNames) == 0 {
		v.fail("at least one policy")
	}
}

func (b *builder) buildPolicy(name string, v value) *callback.Policy {
	f := v.fields(blockPolicy)
	p := &callback.Policy{Name: name, Title: f.get("title").text("a title")}
	_, p.Calendar = b.calendar(f.get("calendar"))
	p.Tag = buildTag(f.get("tag"))

	ladder := f.get("ladder")
	for _, item := range ladder.list("steps") {
		s := b.buildStep(item)
		if last := len(p.Ladder) - 1; last >= 0 && 0 < s.Rank && s.Rank < p.Ladder[last].Rank {
			item.refer("a tier of rank %d (%s) or higher: a ladder only climbs", p.Ladder[last].Rank, p.Ladder[last].Tier)
		}
		p.Ladder = append(p.Ladder, s)
	}
	if len(p.Ladder) == 0 {
		ladder.fail("at least one step")
	} else {
		p.CancelRank = p.Ladder[len(p.Ladder)-1].Rank
	}
	if rank, ok := b.Tiers["manager"]; ok {
		p.CancelRank = rank
	}

	p.Overdue = buildOverdue(f.get("overdue"))
	if c := f.get("close_within"); c.given() {
		p.CloseWithin = callback.Duration(c.duration("24h"))
		if p.Overdue == nil {
			c.fail("an overdue block beside it, which says how to chase")
		}
	}
	p.Outage.Hold = f.get("outage").fields(blockOutage).get("hold").boolean(false)
	if h := f.get("hold"); h.given() {
		p.HoldMax = callback.Duration(h.fields(blockHold).get("max").duration("24h"))
	}
	attempts := f.get("attempts").fields(blockAttempts)
	p.Attempts.Max = attempts.get("max").number("a number of attempts", 1)
	if s := attempts.get("spacing"); s.given() {
		p.Attempts.Spacing = callback.Duration(s.duration("10m"))
	}
	p.Completion = buildCompletion(f.get("completion"))
	p.Fields = buildFields(f.get("fields"))
	p.Reasons = buildReasons(f.get("resolution_reasons"))

	return p
}

func buildTag(v value) callback.TagRule {
	var t callback.TagRule
	if !v.given() {
		return t
	}
	f := v.fields(blockTag)
	t.Required = f.get("required").text("the tag that an open callback wears")
	after := func(v value) string {
		if !v.given() {
			return ""
		}
		tag := v.text("a tag")
		if tag == t.Required {
			v.fail("another tag than %q, which only an open callback wears", t.Required)
		}
		return tag
	}
	t.Done, t.Unserved = after(f.get("done")), after(f.get("unserved"))
	return t
}

func (b *builder) buildStep(v value) callback.Step {
	if !v.given() {
		v.fail("a step, like {tier: supervisor, queue: Supervisors, tat: 1h}")
		return callback.Step{}
	}
	f := v.fields(blockStep)
	s := callback.Step{TAT: callback.Duration(f.get("tat").duration("1h"))}
	s.Tier, s.Rank = b.tier(f.get("tier"))
	queues := []value{f.get("queue")}
	s.Queue = queues[0].text("a queue")
	for _, e := range f.get("queue_by_lob").entries("queues by line of business, like {flights: Supervisors - Air}") {
		if s.QueueByLOB == nil {
			s.QueueByLOB = map[string]string{}
		}
		s.QueueByLOB[e.key] = e.text("a queue")
		queues = append(queues, e.value)
	}
	for _, w := range f.get("warn_at").list(`percentages and durations, like ["50%", "10m"]`) {
		s.WarnAt = append(s.WarnAt, warning(w, s.TAT))
	}
	if w := f.get("start_within"); w.given() {
		s.StartWithin = callback.Duration(w.duration("15m"))
	}
	assign := f.get("assign")
	s.Assign, s.AssignTo = buildAssign(assign)
	for _, q := range queues {
		b.checkQueue(q, &s, assign)
	}
	if s.Assign == callback.AssignDirect && b.hasStaff {
		b.checkDirect(assign, &s)
	}
	return s
}

func warning(v value, tat callback.Duration) callback.Warning {
	const like = `a percentage of the TAT between 0%% and 100%%, or a Go duration of 1s or longer but shorter than it, like "50%%" or "10m"`
	text, ok := v.scalar()
	w := callback.Warning(text)
	if tat < callback.Duration(shortestDuration) {
		tat = callback.Duration(longestDuration) // a mistake already; not one of this warning
	}
	if _, err := w.After(tat); !ok || err != nil {
		v.fail(like)
	}
	return w
}

// buildAssign reads who is to have the callbacks of a step.
func buildAssign(v value) (how callback.Assign, to string) {
	const like = "pull, random, round_robin, least_loaded, direct_supervisor, or direct: STAFF_ID"
	if !v.given() {
		return callback.AssignPull, ""
	}
	if text, ok := v.scalar(); ok {
		if id, direct := strings.CutPrefix(text, string(callback.AssignDirect)+":"); direct {
			how, to = callback.AssignDirect, strings.TrimSpace(id)
		} else {
			how = callback.Assign(text)
		}
	} else {
		for _, e := range v.entries(like) {
			if e.key == string(callback.AssignDirect) {
				how = callback.AssignDirect
				to, _ = e.scalar()
			} else {
				v.fail(like)
				return callback.AssignPull, ""
			}
		}
	}
	if !how.Valid() || (how == callback.AssignDirect) != (to != "") {
		v.fail(like)
		return callback.AssignPull, ""
	}
	return how, to
}

// checkQueue holds a queue of a ladder to have somebody who can work it.
func (b *builder) checkQueue(v value, s *callback.Step, assign value) {
	name, ok := v.scalar()
	if !ok || name == "" {
		return
	}
	members := b.Queues[name]
	b.Queues[name] = members
	if !b.hasStaff {
		return
	}
	if len(members) == 0 {
		v.refer("a queue with a member: nobody under staff who may give a command has %q among their queues", name)
		return
	}
	if s.Assign == callback.AssignDirect && s.AssignTo != "" && slices.Contains(b.staffIDs(), s.AssignTo) && !slices.Contains(members, s.AssignTo) {
		assign.refer("a member of the queue %q, which %s is not", name, s.AssignTo)
	}
}

// checkDirect holds a direct assignment to name somebody of the tier or above (R07).
func (b *builder) checkDirect(v value, s *callback.Step) {
	i := slices.IndexFunc(b.Staff, func(p book.Staff) bool { return p.ID == s.AssignTo })
	switch {
	case i < 0:
		v.refer("%s", among("the id of somebody under staff", s.AssignTo, b.staffIDs()))
	case b.Staff[i].Rank < s.Rank:
		v.refer("somebody of the tier %s or above; %s is %s", s.Tier, s.AssignTo, b.Staff[i].Tier)
	}
}

// checkQueueNames finds queues of people that differ from one of a ladder in
// nothing but letter case, spaces and punctuation. Other queues that no ladder
// names are right: a connector may route to them (R14).
func (b *builder) checkQueueNames() {
	plain := func(name string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(" -–—_./&", r) {
				return -1
			}
			return r
		}, strings.ToLower(name))
	}
	inLadder := map[string]string{}
	for _, p := range b.PolicyNames {
		for _, s := range b.Policies[p].Ladder {
			for _, q := range append(slices.Sorted(maps.Values(s.QueueByLOB)), s.Queue) {
				inLadder[plain(q)] = q
			}
		}
	}
	names := map[string]bool{}
	for _, q := range inLadder {
		names[q] = true
	}
	for _, q := range b.staffQueues {
		if known, ok := inLadder[plain(q.key)]; ok && !names[q.key] {
			q.refer("a queue; did you mean %q?", known)
		}
	}
}

func buildOverdue(v value) *callback.ChaseRule {
	if !v.given() {
		return nil
	}
	f := v.fields(blockOverdue)
	every := callback.Duration(f.get("remind_every").duration("15m"))
	o := &callback.ChaseRule{Every: every, Max: every}
	if m := f.get("max"); m.given() {
		o.Max = callback.Duration(m.duration("4h"))
		if o.Max >= callback.Duration(shortestDuration) && o.Max < o.Every {
			m.fail("a Go duration of %s or longer: reminders start with remind_every and slow down", short(o.Every))
		}
	}
	return o
}

// short writes a duration as people do: 15m, not 15m0s.
func short(d callback.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// What completing may take; the reason is always due (R17).
var requirements = []string{"contact", "call_summary", "resolution_reason"}

func buildCompletion(v value) callback.CompletionRule {
	var c callback.CompletionRule
	for _, r := range v.fields(blockCompletion).get("requires").list("what completing takes: " + strings.Join(requirements, ", ")) {
		name, _ := r.scalar()
		if !slices.Contains(requirements, name) {
			r.fail("%s", among("something that completing can take", name, requirements))
		}
		c.Contact = c.Contact || name == "contact"
		c.CallSummary = c.CallSummary || name == "call_summary"
	}
	return c
}

func buildFields(v value) []callback.Field {
	var all []callback.Field
	for _, item := range v.list("fields, like [{name: order_number, required: true}]") {
		f := item.fields(blockField)
		name := f.get("name")
		field := callback.Field{Name: name.id("a name of a field"), Required: f.get("required").boolean(false)}
		if slices.ContainsFunc(all, func(other callback.Field) bool { return other.Name == field.Name }) {
			name.fail("a name of its own; another field of this policy has it already")
		}
		if t := f.get("title"); t.given() {
			field.Title = t.text("a title")
		}
		if p := f.get("pattern"); p.given() {
			text, ok := p.scalar()
			_, err := regexp.Compile(text)
			if err == nil {
				_, err = regexp.Compile(`^(?:` + text + `)$`) // as it will be used
			}
			if !ok || err != nil {
				p.fail(`a regular expression (RE2), like "^[A-Z0-9-]{4,20}$"`)
			}
			field.Pattern = text
		}
		all = append(all, field)
	}
	return all
}

func buildReasons(v value) []callback.Reason {
	var all []callback.Reason
	for _, item := range v.list("reasons, like [{code: resolved, title: Resolved on the call}]") {
		f := item.fields(blockReason)
		code := f.get("code")
		r := callback.Reason{
			Code:           code.id("a code of a resolution reason"),
			Title:          f.get("title").text("a title"),
			WithoutContact: !f.get("needs_contact").boolean(true),
			AfterAttempts:  f.get("after_attempts").number("a number of attempts that reached nobody", 0),
		}
		if slices.ContainsFunc(all, func(other callback.Reason) bool { return other.Code == r.Code }) {
			code.fail("a code of its own; another reason of this policy has it already")
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		v.fail("at least one resolution reason: without one nothing can be completed")
	}
	return all
}
