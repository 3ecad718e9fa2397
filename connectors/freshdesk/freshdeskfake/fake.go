// Package freshdeskfake stands in for Freshdesk: the parts of its API v2 that
// package freshdesk uses, with the behaviour that makes them hard.
//
// Tags are replaced as a whole list, there is no ETag, limits are per minute
// and refused calls count, search is minutes behind, deleted tickets can be
// read but not written, and automations call a hook without a signature.
package freshdeskfake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ringback/connectors/connectortest"
)

// Authorship is what the key's role lets it do with a note's user_id.
type Authorship int

// What may happen to a note in somebody else's name.
const (
	// Allowed: it is written under that name.
	Allowed Authorship = iota
	// Forbidden: 403.
	Forbidden
	// Invalid: 400, the field is refused.
	Invalid
	// Ignored: it is written under the key's own name.
	Ignored
)

// Ticket is one ticket.
type Ticket struct {
	ID        int64
	Subject   string
	Tags      []string
	GroupID   int64
	Status    int // 2 open, 3 pending, 4 resolved, 5 closed
	Requester Requester
	Custom    map[string]any
	UpdatedAt time.Time
	Deleted   bool
}

// Requester is the customer of a ticket.
type Requester struct {
	ID                         int64
	Name, Email, Phone, Mobile string
}

// Note is one note of a ticket.
type Note struct {
	ID      int64
	UserID  int64
	Body    string
	Private bool
}

// Fake is one account. Its zero time stands at what now says.
type Fake struct {
	// Faults make it fail.
	Faults connectortest.Faults
	// PerMinute is the account's limit; 0: none. SilentLimit leaves out Retry-After.
	PerMinute   int
	SilentLimit bool
	// Role is what the key may do with user_id.
	Role Authorship
	// IndexDelay is how far search is behind.
	IndexDelay time.Duration
	// BeforeWrite is called before a ticket is written, between somebody's reading and writing.
	BeforeWrite func(id int64)

	key string
	now func() time.Time

	mu      sync.Mutex
	tickets map[int64]*Ticket
	past    []snapshot
	notes   map[int64][]Note
	groups  map[int64]string
	agents  map[int64]string
	nextID  int64
	used    int
	began   time.Time
	calls   map[string]int
	hook    *hook
}

// snapshot is a ticket as it once was, for the search that is behind.
type snapshot struct {
	at     time.Time
	ticket Ticket
}

type hook struct {
	url, token string
	client     *http.Client
}

// Me is the agent whose key it is.
const Me = 1000

// New returns an account with that key, without tickets.
func New(key string, now func() time.Time) *Fake {
	return &Fake{
		key: key, now: now, tickets: map[int64]*Ticket{}, notes: map[int64][]Note{}, groups: map[int64]string{},
		agents: map[int64]string{Me: "Ringback"}, nextID: 9000, calls: map[string]int{},
	}
}

// AddGroup makes a group.
func (f *Fake) AddGroup(id int64, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups[id] = name
}

// AddAgent makes an agent.
func (f *Fake) AddAgent(id int64, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.agents[id] = name
}

// Add makes a ticket, as somebody of the vendor's side does.
func (f *Fake) Add(t Ticket) {
	f.mu.Lock()
	if t.Status == 0 {
		t.Status = 2
	}
	f.tickets[t.ID] = &t
	f.touch(&t)
	f.mu.Unlock()
	f.fire(t.ID)
}

// Edit changes a ticket by hand, and the automation calls the hook.
func (f *Fake) Edit(id int64, change func(*Ticket)) {
	f.EditQuietly(id, change)
	f.fire(id)
}

// EditQuietly changes a ticket by hand, and no automation notices.
func (f *Fake) EditQuietly(id int64, change func(*Ticket)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tickets[id]
	change(t)
	f.touch(t)
}

// Purge deletes a ticket for ever.
func (f *Fake) Purge(id int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.tickets, id)
}

// Ticket is one as it is now.
func (f *Fake) Ticket(id int64) Ticket {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := *f.tickets[id]
	t.Tags = slices.Clone(t.Tags)
	return t
}

// Tickets are all of them as they are now, by their ids.
func (f *Fake) Tickets() map[int64]Ticket {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make(map[int64]Ticket, len(f.tickets))
	for id, t := range f.tickets {
		c := *t
		c.Tags = slices.Clone(t.Tags)
		all[id] = c
	}
	return all
}

// Notes are those of one ticket.
func (f *Fake) Notes(id int64) []Note {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.notes[id])
}

// Calls says how often a route was called, like "PUT /tickets/{id}"; those that
// the limit refused count too.
func (f *Fake) Calls(route string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[route]
}

// Hook makes the automation call an address with a token for every change by hand.
func (f *Fake) Hook(url, token string, client *http.Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = &hook{url, token, client}
}

// Notify calls the hook for a ticket once more, as automations do after a
// failure, and returns the status; 0: no answer.
func (f *Fake) Notify(id int64) int {
	f.mu.Lock()
	h := f.hook
	f.mu.Unlock()
	body := fmt.Sprintf(`{"ticket_id": "%d", "triggered_event": "{group:[from:any,to:any]}"}`, id)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, h.url, strings.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Ringback-Token", h.token)
	answer, err := h.client.Do(r)
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

func (f *Fake) fire(id int64) {
	f.mu.Lock()
	hooked := f.hook != nil
	f.mu.Unlock()
	if hooked {
		f.Notify(id)
	}
}

// touch is called with the lock held.
func (f *Fake) touch(t *Ticket) {
	t.UpdatedAt = f.now().UTC().Truncate(time.Second)
	if f.IndexDelay > 0 {
		s := *t
		s.Tags = slices.Clone(t.Tags)
		f.past = append(f.past, snapshot{f.now(), s})
	}
}

// Handler is the account over HTTP, below /api/v2.
func (f *Fake) Handler() http.Handler {
	api := http.NewServeMux()
	for route, serve := range map[string]func(w http.ResponseWriter, r *http.Request){
		"GET /tickets":                    f.list,
		"GET /tickets/{id}":               f.get,
		"PUT /tickets/{id}":               f.put,
		"GET /tickets/{id}/conversations": f.conversations,
		"POST /tickets/{id}/notes":        f.note,
		"DELETE /conversations/{id}":      f.deleteNote,
		"GET /search/tickets":             f.search,
		"GET /groups":                     f.listGroups,
		"GET /agents/me":                  f.me,
	} {
		method, path, _ := strings.Cut(route, " ")
		api.HandleFunc(method+" /api/v2"+path, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			f.calls[route]++
			f.mu.Unlock()
			if !f.admitted(w, r) {
				return
			}
			serve(w, r)
		})
	}
	return f.Faults.Wrap(api)
}

// admitted counts the call and checks the key.
func (f *Fake) admitted(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.PerMinute > 0 {
		if now := f.now(); now.Sub(f.began) >= time.Minute {
			f.began, f.used = now, 0
		}
		f.used++
		h := w.Header()
		h.Set("X-RateLimit-Total", strconv.Itoa(f.PerMinute))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, f.PerMinute-f.used)))
		h.Set("X-RateLimit-Used-CurrentRequest", "1")
		if f.used > f.PerMinute {
			if !f.SilentLimit {
				h.Set("Retry-After", strconv.Itoa(int(time.Minute.Seconds()-f.now().Sub(f.began).Seconds())+1))
			}
			answer(w, http.StatusTooManyRequests, map[string]any{"message": "You have exceeded the limit of requests per minute"})
			return false
		}
	}
	if user, password, ok := r.BasicAuth(); !ok || user != f.key || password != "X" {
		answer(w, http.StatusUnauthorized, map[string]any{"code": "invalid_credentials", "message": "You have to be logged in to perform this action."})
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func invalid(w http.ResponseWriter, field, code string) {
	answer(w, http.StatusBadRequest, map[string]any{
		"description": "Validation failed",
		"errors":      []map[string]any{{"field": field, "message": "It should be something else than what somebody sent", "code": code}},
	})
}

// find returns the ticket of the path, with the lock held by the caller.
func (f *Fake) find(w http.ResponseWriter, r *http.Request) *Ticket {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	t, found := f.tickets[id]
	if !found {
		w.WriteHeader(http.StatusNotFound)
		return nil
	}
	return t
}

func (f *Fake) get(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.find(w, r); t != nil {
		answer(w, http.StatusOK, shown(t, strings.Contains(r.URL.Query().Get("include"), "requester")))
	}
}

func shown(t *Ticket, requester bool) map[string]any {
	v := map[string]any{
		"id": t.ID, "subject": t.Subject, "tags": append([]string{}, t.Tags...), "status": t.Status, "requester_id": t.Requester.ID,
		"updated_at": t.UpdatedAt.Format(time.RFC3339), "group_id": nil, "custom_fields": t.Custom, "spam": false,
	}
	if t.GroupID != 0 {
		v["group_id"] = t.GroupID
	}
	if t.Deleted {
		v["deleted"] = true
	}
	if requester {
		null := func(s string) any {
			if s == "" {
				return nil
			}
			return s
		}
		v["requester"] = map[string]any{
			"id": t.Requester.ID, "name": t.Requester.Name, "email": null(t.Requester.Email),
			"phone": null(t.Requester.Phone), "mobile": null(t.Requester.Mobile),
		}
	}
	return v
}

func (f *Fake) put(w http.ResponseWriter, r *http.Request) {
	var b map[string]json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"code": "invalid_json", "message": "Request body has invalid json format"})
		return
	}
	if f.BeforeWrite != nil {
		id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
		f.BeforeWrite(id)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.find(w, r)
	if t == nil {
		return
	}
	if t.Deleted {
		w.Header().Set("Allow", "GET")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	changed := *t
	for name, value := range b {
		switch name {
		case "tags":
			var tags []string
			if json.Unmarshal(value, &tags) != nil || tags == nil || slices.ContainsFunc(tags, func(s string) bool { return s == "" || len(s) > 32 }) {
				invalid(w, "tags", "datatype_mismatch")
				return
			}
			changed.Tags = tags
		case "group_id":
			if json.Unmarshal(value, &changed.GroupID) != nil || f.groups[changed.GroupID] == "" {
				invalid(w, "group_id", "invalid_value")
				return
			}
		default:
			invalid(w, name, "invalid_field")
			return
		}
	}
	*t = changed
	f.touch(t)
	answer(w, http.StatusOK, shown(t, false))
}

func (f *Fake) note(w http.ResponseWriter, r *http.Request) {
	var b struct {
		Body    string
		Private *bool
		UserID  int64 `json:"user_id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"code": "invalid_json", "message": "Request body has invalid json format"})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.find(w, r)
	switch {
	case t == nil:
		return
	case t.Deleted:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case b.Body == "":
		invalid(w, "body", "missing_field")
		return
	}
	author := b.UserID
	if author == 0 {
		author = Me
	}
	switch {
	case author == Me || f.Role == Allowed && f.agents[author] != "":
	case f.Role == Forbidden:
		answer(w, http.StatusForbidden, map[string]any{"code": "access_denied", "message": "You are not authorized to perform this action."})
		return
	case f.Role == Ignored:
		author = Me
	default:
		invalid(w, "user_id", "invalid_value")
		return
	}
	f.nextID++
	n := Note{ID: f.nextID, UserID: author, Body: b.Body, Private: b.Private == nil || *b.Private}
	f.notes[t.ID] = append(f.notes[t.ID], n)
	f.touch(t)
	answer(w, http.StatusCreated, shownNote(n))
}

var element = regexp.MustCompile(`<[^>]*>`)

func shownNote(n Note) map[string]any {
	return map[string]any{
		"id": n.ID, "user_id": n.UserID, "body": n.Body, "private": n.Private, "source": 2,
		"body_text": html.UnescapeString(element.ReplaceAllString(n.Body, " ")),
	}
}

func (f *Fake) conversations(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.find(w, r)
	if t == nil {
		return
	}
	all := make([]map[string]any, 0, len(f.notes[t.ID]))
	for _, n := range f.notes[t.ID] {
		all = append(all, shownNote(n))
	}
	answer(w, http.StatusOK, page(all, r.URL.Query(), 30, 100))
}

// page is one page, counted from 1.
func page(all []map[string]any, q url.Values, usual, most int) []map[string]any {
	per, n := usual, 1
	if p, err := strconv.Atoi(q.Get("per_page")); err == nil && p > 0 {
		per = min(p, most)
	}
	if p, err := strconv.Atoi(q.Get("page")); err == nil && p > 0 {
		n = p
	}
	from := min((n-1)*per, len(all))
	return all[from:min(from+per, len(all))]
}

func (f *Fake) deleteNote(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	for ticket, notes := range f.notes {
		if i := slices.IndexFunc(notes, func(n Note) bool { return n.ID == id }); i >= 0 {
			f.notes[ticket] = slices.Delete(notes, i, i+1)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

func (f *Fake) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := r.URL.Query()
	since, err := time.Parse(time.RFC3339, q.Get("updated_since"))
	if err != nil {
		invalid(w, "updated_since", "invalid_date")
		return
	}
	if n, _ := strconv.Atoi(q.Get("page")); n > 300 {
		invalid(w, "page", "invalid_value")
		return
	}
	var found []*Ticket
	for _, t := range f.tickets {
		if !t.Deleted && !t.UpdatedAt.Before(since) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b *Ticket) int {
		order := a.UpdatedAt.Compare(b.UpdatedAt)
		if q.Get("order_type") != "asc" {
			order = -order
		}
		if order == 0 {
			return int(a.ID - b.ID)
		}
		return order
	})
	all := make([]map[string]any, 0, len(found))
	for _, t := range found {
		all = append(all, shown(t, false))
	}
	answer(w, http.StatusOK, page(all, q, 30, 100))
}

var queried = regexp.MustCompile(`(tag|group_id):'?([^'"]+?)'?(?: AND |"?$)`)

// search answers from what the index knew some time ago: 30 a page, 10 pages.
func (f *Fake) search(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := map[int64]Ticket{}
	for _, s := range f.past {
		if !s.at.After(f.now().Add(-f.IndexDelay)) {
			known[s.ticket.ID] = s.ticket
		}
	}
	if f.IndexDelay == 0 {
		for id, t := range f.tickets {
			known[id] = *t
		}
	}
	var found []map[string]any
	for _, t := range known {
		fits := !t.Deleted
		for _, m := range queried.FindAllStringSubmatch(strings.Trim(r.URL.Query().Get("query"), `"`), -1) {
			switch m[1] {
			case "tag":
				fits = fits && slices.Contains(t.Tags, m[2])
			case "group_id":
				fits = fits && strconv.FormatInt(t.GroupID, 10) == m[2]
			}
		}
		if fits {
			found = append(found, shown(&t, false))
		}
	}
	if n, _ := strconv.Atoi(r.URL.Query().Get("page")); n > 10 {
		invalid(w, "page", "invalid_value")
		return
	}
	answer(w, http.StatusOK, map[string]any{"total": len(found), "results": page(found, r.URL.Query(), 30, 30)})
}

func (f *Fake) listGroups(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]map[string]any, 0, len(f.groups))
	for id, name := range f.groups {
		all = append(all, map[string]any{"id": id, "name": name})
	}
	slices.SortFunc(all, func(a, b map[string]any) int { return int(a["id"].(int64) - b["id"].(int64)) })
	answer(w, http.StatusOK, page(all, r.URL.Query(), 30, 100))
}

func (f *Fake) me(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(map[string]any{"id": Me, "available": true})
	w.Header().Set("Content-Type", "application/json")
	_, _ = b.WriteTo(w)
}
