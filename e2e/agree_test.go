package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors/freshdesk/freshdeskfake"
	"ringback/connectors/mailbox/mailboxfake"
	"ringback/connectors/oneview/oneviewfake"
	"ringback/connectors/servicebench/servicebenchfake"
	"ringback/connectors/smtp/smtpfake"
	"ringback/connectors/webhook/webhookfake"
	"ringback/connectors/zohodesk/zohodeskfake"
)

// row is one callback as the desk has it.
type row struct {
	id     string
	view   object
	events []callback.Event
	// texts are what people wrote, by the events' numbers; states what it was like after each event.
	texts  map[int64]string
	states []*callback.Callback
}

func (r *row) source() (system, ref string) {
	source, _ := r.view["source"].(object)
	return text(source["system"]), text(source["ref"])
}

func (r *row) last() *callback.Callback { return r.states[len(r.states)-1] }

// after is the callback right after an event.
func (r *row) after(e callback.Event) *callback.Callback { return r.states[e.Seq-1] }

func (r *row) operation(destination string, e callback.Event) string {
	return book.OperationID(r.id, destination, e.Seq)
}

// of are the events of some types.
func (r *row) of(types ...callback.EventType) (found []callback.Event) {
	for _, e := range r.events {
		if slices.Contains(types, e.Fact.Type()) {
			found = append(found, e)
		}
	}
	return found
}

// wanted are the destinations of a callback with the types of events that each is told of.
func (r *row) wanted() map[string][]callback.EventType {
	all := map[string][]callback.EventType{
		"smtp":        {callback.TypeWarned, callback.TypeBreached, callback.TypeEscalated, callback.TypeReminded, callback.TypeCompleted},
		"webhook:day": hookTypes,
	}
	system, _ := r.source()
	if system != "" {
		all["oneview"] = []callback.EventType{callback.TypeNoted, callback.TypeAttempted}
	}
	switch system {
	case "freshdesk":
		all["freshdesk"] = []callback.EventType{
			callback.TypeRequested, callback.TypeTagged, callback.TypeUntagged, callback.TypeEscalated, callback.TypeNoted, callback.TypeAttempted,
		}
	case "servicebench":
		all["servicebench"] = []callback.EventType{
			callback.TypeAssigned, callback.TypeClaimed, callback.TypeStarted, callback.TypeEscalated, callback.TypeReassigned, callback.TypeReleased,
			callback.TypeHeld, callback.TypeResumed, callback.TypeRescheduled, callback.TypeCompleted, callback.TypeCancelled,
		}
	case "mailbox":
		all["mailbox"] = []callback.EventType{callback.TypeRequested}
	}
	if policy := r.last().Policy; policy == "callback-exception" || policy == "executive-escalation" {
		all["zohodesk"] = []callback.EventType{
			callback.TypeRequested, callback.TypeQueued, callback.TypeAssigned, callback.TypeClaimed, callback.TypeStarted, callback.TypeEscalated,
			callback.TypeReassigned, callback.TypeReleased, callback.TypeHeld, callback.TypeResumed, callback.TypeRescheduled, callback.TypeTagged,
			callback.TypeUntagged, callback.TypeCompleted, callback.TypeCancelled,
		}
	}
	return all
}

// missing says which destination does not have everything yet, by the callback's own timeline; empty: none.
func (r *row) missing() string {
	if !r.last().Status.Closed() {
		return "it is open"
	}
	for destination, types := range r.wanted() {
		events := r.of(types...)
		if len(events) == 0 {
			continue
		}
		seq := events[len(events)-1].Seq
		there := slices.ContainsFunc(r.of(callback.TypeDelivered), func(e callback.Event) bool {
			f := e.Fact.(*callback.Delivered)
			return f.Destination == destination && f.Seq == seq && f.By == callback.DeliveredBySystem
		})
		if !there {
			return fmt.Sprintf("%s has no event %d", destination, seq)
		}
	}
	return ""
}

// written are the events with something that somebody wrote.
func (r *row) written() (found []callback.Event) {
	for _, e := range r.of(callback.TypeNoted, callback.TypeAttempted) {
		if r.texts[e.Seq] != "" {
			found = append(found, e)
		}
	}
	return found
}

// read reads one callback with its timeline.
func (d *day) read(view object) (*row, error) {
	r := &row{id: text(view["id"]), view: view, texts: map[int64]string{}}
	status, _, timeline, err := d.call("sup1", "GET", "/v1/callbacks/"+r.id+"/timeline", nil)
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("the timeline of %s: %d %w", r.id, status, err)
	}
	raw, err := json.Marshal(timeline["items"])
	if err != nil {
		return nil, err
	}
	var said []struct {
		Seq  int64
		Data struct{ Text *string }
	}
	if err := json.Unmarshal(raw, &r.events); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return nil, err
	}
	for _, s := range said {
		if s.Data.Text != nil {
			r.texts[s.Seq] = *s.Data.Text
		}
	}
	c := &callback.Callback{}
	for _, e := range r.events {
		if err := c.Apply(e); err != nil {
			return nil, err
		}
		r.states = append(r.states, c.Clone())
	}
	return r, nil
}

// page is one page of a list; the cursor of the first is empty.
func (d *day) page(path, cursor string) object {
	d.t.Helper()
	if cursor != "" {
		path += "&cursor=" + url.QueryEscape(cursor)
	}
	return d.must(http.StatusOK, "sup1", "GET", path, nil)
}

// drained waits until every system has everything, and returns all callbacks.
func (d *day) drained() map[string]*row {
	d.t.Helper()
	views := map[string]object{}
	for cursor, more := "", true; more; more = cursor != "" {
		page := d.page("/v1/callbacks?limit=200&sort=-requested_at", cursor)
		for _, item := range page["items"].([]any) {
			view := item.(object)
			require.NotContains(d.t, views, view["id"], "each is listed once")
			views[text(view["id"])] = view
		}
		cursor = text(page["next_cursor"])
	}
	rows := map[string]*row{}
	why := map[string]string{}
	late := time.Now().Add(patienceOfADay + time.Duration(len(views))*time.Second/2)
	for pass := 0; len(views) > 0; pass++ {
		require.True(d.t, time.Now().Before(late), "not everybody has everything: %v", why)
		var mu sync.Mutex
		var all errgroup.Group
		all.SetLimit(8)
		clear(why)
		for id, view := range views {
			all.Go(func() error {
				r, err := d.read(view)
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				if missing := r.missing(); missing == "" {
					rows[id] = r
				} else if len(why) < 10 {
					why[id] = missing
				}
				return nil
			})
		}
		require.NoError(d.t, all.Wait())
		for id := range rows {
			delete(views, id)
		}
		owed, err := d.hurries()
		require.NoError(d.t, err)
		if pass%5 == 0 {
			d.t.Logf("%s: %d callbacks are not everywhere yet, %d deliveries are owed", d.since(), len(views), owed)
		}
		<-time.After(time.Second)
	}
	return rows
}

// sides are what the desk has and what the systems around it have.
type sides struct {
	rows     map[string]*row
	tickets  map[int64]freshdeskfake.Ticket
	notes    map[int64][]freshdeskfake.Note
	items    []zohodeskfake.Item
	oneview  []oneviewfake.Note
	news     []servicebenchfake.News
	standing map[string]string // exceptions
	hooks    []webhookfake.Message
	mails    []smtpfake.Mail
	letters  []mailboxfake.Message
	put      int
	// dropped are the files, by name, that have been in the directory; left are still there.
	dropped map[string]string
	left    []string

	wrong []string
}

// sides looks at every system.
func (d *day) sides(rows map[string]*row) *sides {
	d.t.Helper()
	s := &sides{
		rows: rows, tickets: d.freshdesk.Tickets(), notes: map[int64][]freshdeskfake.Note{}, oneview: d.oneview.Notes(), news: d.bench.News(),
		standing: map[string]string{}, hooks: d.hook.Messages(), mails: d.mail.Mails(), letters: d.inbox.Look(d.t, "INBOX"), put: int(d.letters.Load()),
		dropped: map[string]string{},
	}
	s.items = append(d.zoho.Items(false), d.zoho.Items(true)...)
	for id := range s.tickets {
		s.notes[id] = d.freshdesk.Notes(id)
	}
	for k := range len(rows) {
		for _, exception := range []string{fmt.Sprintf("EX-%d", k), ofSameJob(k)} {
			if status := d.bench.Status(exception); status != "" {
				s.standing[exception] = status
			}
		}
	}
	for dir, keep := range map[string]func(name, content string){
		d.drop:                        func(name, _ string) { s.left = append(s.left, name) },
		filepath.Join(d.drop, "done"): func(name, content string) { s.dropped[name] = content },
	} {
		entries, err := os.ReadDir(dir)
		require.NoError(d.t, err)
		for _, e := range entries {
			if e.Type().IsRegular() {
				content, err := os.ReadFile(filepath.Join(dir, e.Name()))
				require.NoError(d.t, err)
				keep(e.Name(), string(content))
			}
		}
	}
	return s
}

func (s *sides) notesInAll() (n int) {
	for _, notes := range s.notes {
		n += len(notes)
	}
	return n
}

// disagreements compares both sides, row by row and in both directions.
func (s *sides) disagreements() []string {
	s.wrong = nil
	s.agreesFreshdesk()
	s.agreesZoho()
	s.agreesOneview()
	s.agreesServiceBench()
	s.agreesHook()
	s.agreesMail()
	s.agreesInbox()
	slices.Sort(s.wrong)
	return s.wrong
}

// same notes a disagreement unless both are the same.
func same[T any](s *sides, what string, desk, there T) {
	if d, t := fmt.Sprint(desk), fmt.Sprint(there); d != t {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: %s at the desk, %s there", what, d, t))
	}
}

func sorted(all []string) []string { return slices.Sorted(slices.Values(all)) }

// inOrder are the rows in an order that is always the same.
func (s *sides) inOrder() []*row {
	return slices.SortedFunc(maps.Values(s.rows), func(a, b *row) int { return cmp.Compare(a.id, b.id) })
}

// agreesFreshdesk: tags and group of every ticket, and every note, once, private, in order and under its author.
func (s *sides) agreesFreshdesk() {
	seen := map[int64]bool{}
	for _, r := range s.inOrder() {
		system, ref := r.source()
		if system != "freshdesk" {
			continue
		}
		id, _ := strconv.ParseInt(ref, 10, 64)
		t, there := s.tickets[id]
		what := "Freshdesk: ticket " + ref
		same(s, what+" is there, for one callback", []bool{true, false}, []bool{there, seen[id]})
		seen[id] = true
		c := r.last()
		same(s, what+" wears", sorted(append([]string{"vip"}, c.Tags...)), sorted(t.Tags))
		same(s, what+" is in the group", groups[c.Queue], t.GroupID)
		customer, _ := r.view["customer"].(object)
		same(s, what+" is of", text(customer["phone"]), t.Requester.Phone)
		var want, got []string
		for _, e := range r.written() {
			want = append(want, fmt.Sprintf("%s, private: %s %s", identities[e.Actor]["freshdesk"], r.texts[e.Seq], r.operation("freshdesk", e)))
		}
		for n, note := range s.notes[id] {
			said := fmt.Sprintf("%d", note.UserID)
			if note.Private {
				said += ", private"
			}
			body := html.UnescapeString(note.Body)
			if n < len(r.written()) { // what else is in a note is its title
				if e := r.written()[n]; strings.Contains(body, r.texts[e.Seq]) && strings.Contains(body, r.operation("freshdesk", e)) {
					body = r.texts[e.Seq] + " " + r.operation("freshdesk", e)
				}
			}
			got = append(got, said+": "+body)
		}
		same(s, what+" has the notes", want, got)
	}
	for id, t := range s.tickets {
		if !seen[id] {
			same(s, fmt.Sprintf("Freshdesk: ticket %d, which is no callback,", id), []any{[]string{"vip"}, int64(elsewhere), 0}, []any{t.Tags, t.GroupID, len(s.notes[id])})
		}
	}
}

// agreesZoho: one task or ticket for each callback that has one, with its status, owner, due date, reason and tags.
func (s *sides) agreesZoho() {
	by := map[string][]zohodeskfake.Item{}
	for _, i := range s.items {
		_, mark, _ := strings.Cut(i.Subject, "(")
		mark = strings.TrimSuffix(mark, ")")
		by[mark] = append(by[mark], i)
	}
	for _, r := range s.inOrder() {
		items, c := by[marker(r.id)], r.last()
		delete(by, marker(r.id))
		what := "Zoho Desk: of " + r.id
		if _, wanted := r.wanted()["zohodesk"]; !wanted {
			same(s, what, 0, len(items))
			continue
		}
		if same(s, what, 1, len(items)); len(items) != 1 {
			continue
		}
		i, ticket := items[0], c.Policy == "executive-escalation"
		status, reason, resolution, tags := "Completed", c.ResolutionReason, "", []string{}
		if ticket {
			status, reason, resolution, tags = "Closed", "<nil>", "Commitment made and confirmed in writing", c.Tags
		}
		if c.Status == callback.StatusCancelled {
			status, reason = "Out of Scope", "<nil>"
		}
		customer, _ := r.view["customer"].(object)
		same(s, what+" ticket, status, owner, due, reason, resolution, tags, comments",
			[]any{ticket, status, identities[c.Assignee]["zoho"], c.DueAt.String(), reason, resolution, sorted(tags), 0},
			[]any{i.Ticket, i.Status, i.Owner, i.DueDate, fmt.Sprint(i.Fields["cf_reason"]), i.Resolution, sorted(i.Tags), len(i.Comments)})
		same(s, what+" can be called", true, strings.Contains(i.Description, text(customer["phone"])))
	}
	for mark, items := range by {
		same(s, "Zoho Desk: nobody's "+mark, 0, len(items))
	}
}

// agreesOneview: every note, once, in order and under its author.
func (s *sides) agreesOneview() {
	type note struct{ operation, author, kind, ref, body string }
	got := map[string][]note{}
	for _, n := range s.oneview {
		got[n.CallbackID] = append(got[n.CallbackID], note{n.OperationID, n.Author, n.Kind, n.Ticket.System + ":" + n.Ticket.Ref, n.Body})
	}
	for _, r := range s.inOrder() {
		var want []note
		system, ref := r.source()
		if system != "" {
			for _, e := range r.written() {
				kind := "attempt"
				if noted, is := e.Fact.(*callback.Noted); is {
					kind = string(noted.Kind)
				}
				want = append(want, note{r.operation("oneview", e), identities[e.Actor]["oneview"], kind, system + ":" + ref, r.texts[e.Seq]})
			}
		}
		same(s, "Oneview: notes of "+r.id, want, got[r.id])
		delete(got, r.id)
	}
	same(s, "Oneview: nobody's notes", 0, len(got))
}

// agreesServiceBench: every change of status, once, in order, and where each exception stands; every file taken once.
func (s *sides) agreesServiceBench() {
	type news struct{ operation, what, exception, status, user, assignee, outcome, reason string }
	said := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	got := map[string][]news{}
	for _, n := range s.news {
		d := n.Data
		got[d.CallbackID] = append(got[d.CallbackID], news{n.ID, n.Type, d.ExceptionID, d.Status, said(d.UserID), said(d.Assignee), said(d.Outcome), said(d.ResolutionReason)})
	}
	standing, files := map[string]string{}, map[string]string{}
	for _, r := range s.inOrder() {
		var want []news
		if system, ref := r.source(); system == "servicebench" {
			for _, e := range r.of(r.wanted()["servicebench"]...) {
				c := r.after(e)
				n := news{r.operation("servicebench", e), "exception.status", ref, "Open", identities[e.Actor]["servicebench"], identities[c.Assignee]["servicebench"], "", ""}
				switch {
				case c.Status.Closed():
					n.what, n.status, n.outcome, n.reason = "exception.completed", "Complete", string(c.Status), c.ResolutionReason
				case c.Status == callback.StatusInProgress:
					n.status = "In Progress"
				}
				want = append(want, n)
			}
			k, _ := strconv.Atoi(strings.TrimPrefix(ref, "EX-"))
			standing[ref] = "Complete"
			if hasSame(k) {
				standing[ofSameJob(k)] = "Complete"
			}
			if inAFile(k) {
				files[fmt.Sprintf("%d.csv", k)] = "2 rows"
				if besideABad(k) {
					files[fmt.Sprintf("%d.csv", k)], files[fmt.Sprintf("%d.rejected.csv", k)] = "3 rows", "2 rows"
				}
			}
		}
		same(s, "ServiceBench: news of "+r.id, want, got[r.id])
		delete(got, r.id)
	}
	same(s, "ServiceBench: nobody's news", 0, len(got))
	same(s, "ServiceBench: where exceptions stand", standing, s.standing)
	there := map[string]string{}
	for name, content := range s.dropped {
		there[name] = fmt.Sprintf("%d rows", strings.Count(content, "\n"))
	}
	same(s, "ServiceBench: files that were taken", files, there)
	same(s, "ServiceBench: files that were not", 0, len(s.left))
}

// agreesHook: every event of the hook's types, once and in order.
func (s *sides) agreesHook() {
	type told struct {
		operation, what, actor string
		seq                    int64
	}
	got := map[string][]told{}
	for _, m := range s.hooks {
		data, _ := m.Event["data"].(object)
		seq, _ := data["seq"].(float64)
		subject := text(m.Event["subject"])
		got[subject] = append(got[subject], told{m.ID, text(m.Event["type"]), text(data["actor"]), int64(seq)})
	}
	for _, r := range s.inOrder() {
		var want []told
		for _, e := range r.of(hookTypes...) {
			want = append(want, told{r.operation("webhook:day", e), "ringback.callback." + string(e.Fact.Type()), e.Actor, e.Seq})
		}
		same(s, "webhook: events of "+r.id, want, got[r.id])
		delete(got, r.id)
	}
	same(s, "webhook: nobody's events", 0, len(got))
}

// members are who has mail of a queue's people, reportsTo who is above them; others have no address.
var (
	members = map[string][]string{
		"Supervisors - RM": {"sup1"}, "Supervisors - Customer Service": {"sup1"}, "Managers - RM": {"mgr1"}, "Managers - Customer Service": {"mgr1"},
		"Callback BPO 1": {"agent1"}, "Executive Escalations": {"exec1"},
	}
	reportsTo = map[string]string{"assoc1": "sup1", "sup1": "mgr1", "mgr1": "exec1"}
)

// audience is who is to be told of an event by mail.
func audience(e callback.Event, c *callback.Callback) (who []string) {
	people := func(ids ...string) {
		for _, id := range ids {
			if identities[id] != nil && id != e.Actor && !slices.Contains(who, id) {
				who = append(who, id)
			}
		}
	}
	working := func() {
		if c.Assignee != "" {
			people(c.Assignee)
			return
		}
		people(members[c.Queue]...)
	}
	switch f := e.Fact.(type) {
	case *callback.Warned:
		working()
		if f.Of == callback.WarningOfAttempts {
			people(c.Owner)
		}
	case *callback.Breached:
		working()
		people(c.Owner)
		for _, id := range slices.Clone(who) {
			people(reportsTo[id])
		}
	case *callback.Escalated:
		working()
		people(c.Owner, c.Former)
	case *callback.Reminded:
		working()
		people(c.Owner)
	case *callback.Completed:
		people(c.Owner, c.Assignee, c.RequestedBy)
	}
	return who
}

// eachMail is what arrives in mailboxes, which drop repeats by their Message-ID: those must say the same.
func (s *sides) eachMail() (each []smtpfake.Mail) {
	seen := map[string]smtpfake.Mail{}
	for _, m := range s.mails {
		id := m.Header.Get("Message-Id")
		before, again := seen[id]
		if again {
			same(s, "mail "+id+" came again, and", fmt.Sprint(before.To, before.Subject(), before.Text), fmt.Sprint(m.To, m.Subject(), m.Text))
			continue
		}
		seen[id] = m
		each = append(each, m)
	}
	return each
}

// told are the notices in the mails, by person and callback: the types of the events.
func (s *sides) told() (notices map[string][]string, others []smtpfake.Mail) {
	headlines := map[string]callback.EventType{
		"due at": callback.TypeWarned, "as many attempts": callback.TypeWarned, "missed, was due": callback.TypeBreached, "escalated to": callback.TypeEscalated,
		"still open": callback.TypeReminded, "completed:": callback.TypeCompleted,
	}
	notices = map[string][]string{}
	for _, m := range s.eachMail() {
		to := strings.Join(m.To, ",")
		who, staff := strings.CutSuffix(to, "@desk.example")
		if !staff {
			others = append(others, m)
			continue
		}
		for block := range strings.SplitSeq(strings.ReplaceAll(m.Text, "\r\n", "\n"), "\n\n") {
			_, id, about := strings.Cut(block, "\n  callback ")
			for line := range strings.SplitSeq(block, "\n") {
				for begins, of := range headlines {
					if at, said, _ := strings.Cut(strings.TrimPrefix(line, "  "), "  "); about && len(at) == len("15:04") && strings.HasPrefix(said, begins) {
						key := who + " of " + strings.TrimSpace(id)
						notices[key] = append(notices[key], string(of))
					}
				}
			}
		}
	}
	return notices, others
}

// shouldBeTold are the notices that there should be.
func (s *sides) shouldBeTold() map[string][]string {
	want := map[string][]string{}
	for _, r := range s.rows {
		for _, e := range r.of(r.wanted()["smtp"]...) {
			for _, who := range audience(e, r.after(e)) {
				key := who + " of " + r.id
				want[key] = append(want[key], string(e.Fact.Type()))
			}
		}
	}
	return want
}

// agreesMail: everybody is told once of what they should know, and who wrote is answered once.
func (s *sides) agreesMail() {
	got, others := s.told()
	want := s.shouldBeTold()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		same(s, "mail: to "+key, sorted(want[key]), sorted(got[key]))
		delete(got, key)
	}
	same(s, "mail: about nothing that anybody should be told", 0, len(got))
	answered := map[string]int{}
	for _, m := range others {
		answered[strings.Join(m.To, ",")+" "+m.Header.Get("In-Reply-To")]++
	}
	for _, r := range s.inOrder() {
		if system, ref := r.source(); system == "mailbox" {
			key := "asha" + ref + " <" + ref + ">"
			same(s, "mail: answers to "+key, 1, answered[key])
			delete(answered, key)
		}
	}
	same(s, "mail: to strangers", 0, len(answered))
}

// agreesInbox: every letter was taken, and who wrote again is heard once.
func (s *sides) agreesInbox() {
	same(s, "inbox: letters", s.put, len(s.letters))
	for _, l := range s.letters {
		same(s, fmt.Sprintf("inbox: letter %d is seen, and waits for nobody", l.UID), []bool{true, false}, []bool{l.Seen(), l.Flagged()})
	}
	for _, r := range s.inOrder() {
		if system, ref := r.source(); system == "mailbox" {
			k, _ := strconv.Atoi(strings.TrimSuffix(ref, "@customer.example"))
			again := 0
			if answers(k) {
				again = 1
			}
			same(s, "inbox: second letters of "+ref, len(r.of(callback.TypeCustomerCalled)), again)
		}
	}
}

// settles waits until the notices have gone out, which are bundled and so come later than their deliveries, and every
// letter is marked.
func (d *day) settles(rows map[string]*row) {
	d.t.Helper()
	late := time.Now().Add(patienceOfADay)
	for {
		s := &sides{rows: rows, mails: d.mail.Mails()}
		got, _ := s.told()
		missing := 0
		for key, want := range s.shouldBeTold() {
			if len(got[key]) < len(want) {
				missing++
			}
		}
		unread := 0
		for _, l := range d.inbox.Look(d.t, "INBOX") {
			if !l.Seen() {
				unread++
			}
		}
		if missing == 0 && unread == 0 {
			return
		}
		require.True(d.t, time.Now().Before(late), "%d notices have not gone out, %d letters are unread", missing, unread)
		<-time.After(time.Second)
	}
}

// mailsAgain has the first mail to a domain arrive under another id as well.
func (s *sides) mailsAgain(domain string) {
	i := slices.IndexFunc(s.mails, func(m smtpfake.Mail) bool { return strings.HasSuffix(m.To[0], domain) })
	m := s.mails[i]
	m.Header = m.Header.Copy()
	m.Header.Set("Message-Id", "<another@desk.example>")
	s.mails = append(s.mails, m)
}

// canDisagree: a comparison that finds nothing proves something only if it finds what is there.
func (s *sides) canDisagree(t *testing.T) {
	t.Helper()
	some := func(fits func(id int64) bool) int64 {
		for _, id := range slices.Sorted(maps.Keys(s.tickets)) {
			if fits(id) {
				return id
			}
		}
		t.Fatal("no such ticket")
		return 0
	}
	noted := some(func(id int64) bool { return len(s.notes[id]) > 1 })
	stranger := some(func(id int64) bool { return id >= 500_000 })
	ticket := func(c *sides, change func(t *freshdeskfake.Ticket)) {
		t := c.tickets[noted]
		t.Tags = slices.Clone(t.Tags)
		change(&t)
		c.tickets[noted] = t
	}
	for name, tamper := range map[string]func(c *sides){
		"a tag is still there":    func(c *sides) { ticket(c, func(t *freshdeskfake.Ticket) { t.Tags = append(t.Tags, tagOfADay) }) },
		"a tag of theirs is gone": func(c *sides) { ticket(c, func(t *freshdeskfake.Ticket) { t.Tags = nil }) },
		"a ticket is elsewhere":   func(c *sides) { ticket(c, func(t *freshdeskfake.Ticket) { t.GroupID = elsewhere }) },
		"a ticket is lost":        func(c *sides) { delete(c.tickets, noted) },
		"a stranger has a note":   func(c *sides) { c.notes[stranger] = c.notes[noted] },
		"a note is lost":          func(c *sides) { c.notes[noted] = c.notes[noted][1:] },
		"a note is doubled":       func(c *sides) { c.notes[noted] = append(slices.Clone(c.notes[noted]), c.notes[noted][0]) },
		"a note is somebody else's": func(c *sides) {
			c.notes[noted] = slices.Clone(c.notes[noted])
			c.notes[noted][0].UserID = freshdeskfake.Me
		},
		"a note is public":           func(c *sides) { c.notes[noted] = slices.Clone(c.notes[noted]); c.notes[noted][0].Private = false },
		"notes are out of order":     func(c *sides) { c.notes[noted] = slices.Clone(c.notes[noted]); slices.Reverse(c.notes[noted]) },
		"a task is lost":             func(c *sides) { c.items = c.items[1:] },
		"a task is doubled":          func(c *sides) { c.items = append(c.items, c.items[0]) },
		"a task is open":             func(c *sides) { c.items[0].Status = "In Progress" },
		"a task is nobody's":         func(c *sides) { c.items[0].Owner = "" },
		"a task has no reason":       func(c *sides) { c.items[0].Fields = nil },
		"a task is due later":        func(c *sides) { c.items[0].DueDate = "2036-11-24T12:00:00.000Z" },
		"a task has a comment":       func(c *sides) { c.items[0].Comments = make([]zohodeskfake.Comment, 1) },
		"a copied note is lost":      func(c *sides) { c.oneview = c.oneview[1:] },
		"a copied note is doubled":   func(c *sides) { c.oneview = append(c.oneview, c.oneview[0]) },
		"a copied note is another's": func(c *sides) { c.oneview[0].Author = "sup2" },
		"news is lost":               func(c *sides) { c.news = c.news[1:] },
		"news is doubled":            func(c *sides) { c.news = append(c.news, c.news[0]) },
		"news is out of order":       func(c *sides) { slices.Reverse(c.news) },
		"an exception is open":       func(c *sides) { c.standing["EX-0"] = "Open" },
		"a file was not taken":       func(c *sides) { c.left = []string{"9.csv"} },
		"a file is lost":             func(c *sides) { delete(c.dropped, "4.csv") },
		"a bad row is lost":          func(c *sides) { delete(c.dropped, "4.rejected.csv") },
		"a hook's event is lost":     func(c *sides) { c.hooks = c.hooks[1:] },
		"a hook's event is doubled":  func(c *sides) { c.hooks = append(c.hooks, c.hooks[0]) },
		"a hook's are out of order":  func(c *sides) { slices.Reverse(c.hooks) },
		"mails are lost":             func(c *sides) { c.mails = c.mails[len(c.mails)/2:] },
		"a notice comes twice":       func(c *sides) { c.mailsAgain("@desk.example") },
		"an answer comes twice":      func(c *sides) { c.mailsAgain("@customer.example") },
		"a letter is not seen":       func(c *sides) { c.letters[0].Flags = nil },
		"a letter is lost":           func(c *sides) { c.letters = c.letters[1:] },
		"a callback is lost":         func(c *sides) { delete(c.rows, s.inOrder()[0].id) },
		"a callback too many":        func(c *sides) { r := *s.inOrder()[0]; r.id = "0193a0c0-0000-7000-8000-000000000001"; c.rows[r.id] = &r },
		"an event is not theirs":     func(c *sides) { c.hooks[0].Event = object{} },
	} {
		c := *s
		c.rows, c.tickets, c.notes, c.standing, c.dropped = maps.Clone(s.rows), maps.Clone(s.tickets), maps.Clone(s.notes), maps.Clone(s.standing), maps.Clone(s.dropped)
		c.items, c.oneview, c.news, c.hooks = slices.Clone(s.items), slices.Clone(s.oneview), slices.Clone(s.news), slices.Clone(s.hooks)
		c.mails, c.letters = slices.Clone(s.mails), slices.Clone(s.letters)
		tamper(&c)
		require.NotEmpty(t, c.disagreements(), "nobody notices that %s", name)
	}
}

// countsAgree: what /v1/stats counts is what the timelines say.
func (d *day) countsAgree(rows map[string]*row) {
	d.t.Helper()
	want := map[string]float64{"open": 0, "overdue": 0, "owed": 0, "made": 0, "kept": 0, "missed": 0}
	for _, r := range rows {
		for _, p := range r.last().Promises {
			want["made"]++
			switch p.Result {
			case callback.ResultKept:
				want["kept"]++
			case callback.ResultMissed:
				want["missed"]++
			case callback.ResultOpen, callback.ResultDropped:
			}
		}
	}
	stats := d.must(http.StatusOK, "sup1", "GET", "/v1/stats", nil)
	got := map[string]float64{}
	for name := range want {
		got[name], _ = stats[name].(float64)
	}
	require.Equal(d.t, want, got)
	require.Positive(d.t, want["missed"])
	require.InDelta(d.t, want["kept"]/(want["kept"]+want["missed"]), stats["attainment"], 1e-9)
	require.Empty(d.t, stats["owed_to"])
}

// logAgrees: the desk's own log has every delivery, each once and arrived; it returns how many.
func (d *day) logAgrees(rows map[string]*row) int {
	d.t.Helper()
	want := map[string]string{}
	for _, r := range rows {
		for destination, types := range r.wanted() {
			for _, e := range r.of(types...) {
				want[r.operation(destination, e)] = destination
			}
		}
	}
	all := len(want)
	for cursor, more := "", true; more; more = cursor != "" {
		page := d.page("/v1/deliveries?limit=200", cursor)
		for _, item := range page["items"].([]any) {
			entry := item.(object)
			operation := text(entry["operation"])
			require.Equal(d.t, want[operation], entry["destination"], "%v", entry)
			require.Equal(d.t, "delivered", entry["state"], "%v", entry)
			delete(want, operation)
		}
		cursor = text(page["next_cursor"])
	}
	require.Empty(d.t, want, "these are not in the log")
	return all
}
