// Package zohodeskfake stands in for Zoho Desk and Zoho's sign-in: the parts of
// the API v1 that package zohodesk uses, with the behaviour that makes them hard.
//
// Refresh tokens are refused with 200, tokens are rationed, calls beyond the
// concurrency are refused without Retry-After, tickets cannot be listed by the
// time of their change, events come as arrays without ids, twice and out of order, their tokens
// may count in milliseconds, and a subscription ends with a 410.
package zohodeskfake

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ringback/connectors/connectortest"
)

// Me is the agent whose token it is.
const Me = "2000"

// Item is a task or a ticket.
type Item struct {
	ID           string
	Ticket       bool
	Subject      string
	Description  string
	Status       string
	Owner        string // ownerId of a task, assigneeId of a ticket; empty: nobody
	DueDate      string
	DepartmentID string
	TicketID     string // of a task
	Fields       map[string]any
	Tags         []string
	Resolution   string
	Contact      map[string]any
	Email, Phone string
	CreatedAt    time.Time
	ModifiedAt   time.Time
	ModifiedBy   string
	Trashed      bool
	Comments     []Comment
}

// Comment is one comment.
type Comment struct {
	Content  string
	By       string
	IsPublic bool
}

// Webhook is a subscription.
type Webhook struct {
	ID            string
	URL           string
	Subscriptions map[string]any
	IgnoreSource  string
	Enabled       bool
	failures      int
}

// Fake is one organization.
type Fake struct {
	// Faults make the API fail, SignIn the giving of tokens.
	Faults, SignIn connectortest.Faults
	// Concurrency is how many calls it takes at once; 0: any.
	Concurrency int
	// TokensWithin10Minutes is the ration; 0: 10.
	TokensWithin10Minutes int
	// Milliseconds makes tokens of events count in them; KeyID is that of their key.
	Milliseconds bool
	KeyID        string
	// TaskStatuses and TicketStatuses are the picklists, and whether each is an end.
	TaskStatuses, TicketStatuses map[string]bool
	// Deliver sends events at once; otherwise they wait for Send.
	Deliver bool

	now          func() time.Time
	orgID        string
	client       string
	secret       string
	refresh      string
	key          *rsa.PrivateKey
	departments  []string
	agents       map[string]bool
	transport    *http.Client
	mu           sync.Mutex
	items        map[string]*Item
	webhooks     map[string]*Webhook
	tokens       map[string]time.Time
	given        []time.Time
	revoked      bool
	next         int64
	running      int
	calls        map[string]int
	events       []event
	tokensIssued int
}

type event struct {
	EventType string         `json:"eventType"`
	EventTime string         `json:"eventTime"`
	OrgID     string         `json:"orgId"`
	Payload   map[string]any `json:"payload"`
	source    string
}

// Account is who may have tokens of an organization.
type Account struct {
	OrgID, DepartmentID, ClientID, ClientSecret, RefreshToken string
}

// signing is one key for all fakes: making one takes long.
var signing = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// New returns an organization with one department and these agents.
func New(a Account, now func() time.Time, agents ...string) *Fake {
	f := &Fake{
		KeyID: "k1",
		TaskStatuses: map[string]bool{
			"Not Started": false, "In Progress": false, "Follow Up": false, "Pending": false, "Waiting on Someone Else": false,
			"Out of Scope": true, "Completed": true,
		},
		TicketStatuses: map[string]bool{"Open": false, "On Hold": false, "Escalated": false, "Closed": true},
		now:            now, orgID: a.OrgID, client: a.ClientID, secret: a.ClientSecret, refresh: a.RefreshToken, key: signing(),
		departments: []string{a.DepartmentID}, agents: map[string]bool{Me: true},
		transport: &http.Client{Timeout: 5 * time.Second},
		items:     map[string]*Item{}, webhooks: map[string]*Webhook{}, tokens: map[string]time.Time{}, next: 3000000000000, calls: map[string]int{},
	}
	for _, id := range agents {
		f.agents[id] = true
	}
	return f
}

// Revoke ends the refresh token, or makes it good again, and ends every access token.
func (f *Fake) Revoke(revoked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked = revoked
	clear(f.tokens)
}

// EndTokens ends every access token before its time.
func (f *Fake) EndTokens() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.tokens)
}

// Issued says how many access tokens were given.
func (f *Fake) Issued() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tokensIssued
}

// Calls says how often a route was called, like "PATCH /tasks/{id}".
func (f *Fake) Calls(route string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[route]
}

// Items are all tasks, or tickets, in the order in which they were made.
func (f *Fake) Items(tickets bool) []Item {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []Item
	for _, i := range f.items {
		if i.Ticket == tickets {
			found = append(found, f.copied(i))
		}
	}
	slices.SortFunc(found, func(a, b Item) int { return strings.Compare(a.ID, b.ID) })
	return found
}

// Find is the first with these words in its subject; false: there is none.
func (f *Fake) Find(words string) (Item, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.items {
		if strings.Contains(i.Subject, words) {
			return f.copied(i), true
		}
	}
	return Item{}, false
}

// Item is one as it is now.
func (f *Fake) Item(id string) Item {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.copied(f.items[id])
}

func (f *Fake) copied(i *Item) Item {
	c := *i
	c.Tags, c.Comments = slices.Clone(i.Tags), slices.Clone(i.Comments)
	return c
}

// Add makes a ticket, as somebody of the vendor's side does, and returns its id.
func (f *Fake) Add(i Item) string {
	f.mu.Lock()
	if i.DepartmentID == "" {
		i.DepartmentID = f.departments[0]
	}
	f.insert(&i)
	f.happened("Add", &i, "")
	f.mu.Unlock()
	f.flush()
	return i.ID
}

// insert is called with the lock held.
func (f *Fake) insert(i *Item) {
	f.next += 1003
	i.ID = strconv.FormatInt(f.next, 10)
	i.CreatedAt = f.now().UTC()
	i.ModifiedAt = i.CreatedAt
	f.items[i.ID] = i
}

// Edit changes one by hand, as an agent.
func (f *Fake) Edit(agent, id string, change func(*Item)) {
	f.mu.Lock()
	i := f.items[id]
	change(i)
	i.ModifiedBy, i.ModifiedAt = agent, f.now().UTC()
	what := "Update"
	if i.Trashed {
		what = "Delete"
	}
	f.happened(what, i, "")
	f.mu.Unlock()
	f.flush()
}

// happened notes an event for the subscriptions; with the lock held.
func (f *Fake) happened(what string, i *Item, source string) {
	name := "Task_"
	if i.Ticket {
		name = "Ticket_"
	}
	f.events = append(f.events, event{
		EventType: name + what, EventTime: i.ModifiedAt.Format("2006-01-02T15:04:05.000Z"), OrgID: f.orgID, Payload: f.shown(i), source: source,
	})
}

// Forget drops the events that wait: they are lost.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = nil
}

func (f *Fake) flush() {
	f.mu.Lock()
	deliver := f.Deliver
	f.mu.Unlock()
	if deliver {
		f.Send(nil)
	}
}

// Send sends the events that wait to every subscription that wants them, as one
// array; order may rearrange or repeat them. It returns the answers' statuses, 0
// where there was none.
func (f *Fake) Send(order func([]int) []int) (statuses []int) {
	f.mu.Lock()
	waiting := f.events
	f.events = nil
	var hooks []*Webhook
	for _, w := range f.webhooks {
		hooks = append(hooks, w)
	}
	f.mu.Unlock()
	for _, w := range hooks {
		var wanted []event
		for _, e := range waiting {
			if _, subscribed := w.Subscriptions[e.EventType]; subscribed && w.Enabled && (e.source == "" || e.source != w.IgnoreSource) {
				wanted = append(wanted, e)
			}
		}
		if len(wanted) == 0 {
			continue
		}
		if order != nil {
			which := make([]int, len(wanted))
			for n := range which {
				which[n] = n
			}
			var sent []event
			for _, n := range order(which) {
				sent = append(sent, wanted[n])
			}
			wanted = sent
		}
		body, _ := json.Marshal(wanted)
		statuses = append(statuses, f.Post(w.ID, body))
	}
	return statuses
}

// Post sends a body to a subscription with a token, and does what follows from
// the answer.
func (f *Fake) Post(webhookID string, body []byte) int {
	f.mu.Lock()
	w := f.webhooks[webhookID]
	f.mu.Unlock()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-ZDesk-JWT", f.Token(webhookID, f.now().Add(5*time.Minute)))
	status := 0
	if answer, err := f.transport.Do(r); err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		status = answer.StatusCode
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case status == http.StatusGone:
		delete(f.webhooks, webhookID)
	case status != http.StatusOK:
		if w.failures++; w.failures >= 10 {
			w.Enabled = false
		}
	default:
		w.failures = 0
	}
	return status
}

// Token is one of an event for a subscription, good until then.
func (f *Fake) Token(webhookID string, until time.Time) string {
	exp := until.Unix()
	if f.Milliseconds {
		exp = until.UnixMilli()
	}
	return f.Sign(jose.RS256, f.key, map[string]any{"iss": "orgId:" + f.orgID, "aud": "webhookId:" + webhookID, "exp": exp, "iat": f.now().Unix()})
}

// Sign makes a token of any kind.
func (f *Fake) Sign(alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", f.KeyID))
	if err != nil {
		panic(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	return token
}

// Key is the private key of its tokens.
func (f *Fake) Key() *rsa.PrivateKey { return f.key }

// Webhooks are the subscriptions.
func (f *Fake) Webhooks() []Webhook {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Webhook
	for _, w := range f.webhooks {
		all = append(all, *w)
	}
	return all
}

// Subscribe makes a subscription by hand and returns its id; the address is not validated.
func (f *Fake) Subscribe(w Webhook) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next += 7
	w.ID, w.Enabled = strconv.FormatInt(f.next, 10), true
	f.webhooks[w.ID] = &w
	return w.ID
}

// SwitchOff disables every subscription.
func (f *Fake) SwitchOff() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.webhooks {
		w.Enabled = false
	}
}

// Handler is the organization over HTTP: sign-in, keys, and the API below /api/v1.
func (f *Fake) Handler() http.Handler {
	api := http.NewServeMux()
	for route, serve := range map[string]http.HandlerFunc{
		"GET /departments/{id}":            f.department,
		"GET /tasks":                       f.list(false),
		"POST /tasks":                      f.create(false),
		"GET /tasks/{id}":                  f.get(false),
		"PATCH /tasks/{id}":                f.patch(false),
		"GET /tasks/{id}/comments":         f.comments(false),
		"POST /tasks/{id}/comments":        f.comment(false),
		"GET /tickets":                     f.list(true),
		"POST /tickets":                    f.create(true),
		"GET /tickets/{id}":                f.get(true),
		"PATCH /tickets/{id}":              f.patch(true),
		"GET /tickets/{id}/tasks":          f.tasksOf,
		"GET /tickets/{id}/comments":       f.comments(true),
		"POST /tickets/{id}/comments":      f.comment(true),
		"POST /tickets/{id}/associateTag":  f.tag(true),
		"POST /tickets/{id}/dissociateTag": f.tag(false),
		"PATCH /tickets/{id}/resolution":   f.resolve,
		"GET /webhooks":                    f.listWebhooks,
		"POST /webhooks":                   f.addWebhook,
		"PATCH /webhooks/{id}":             f.editWebhook,
	} {
		method, path, _ := strings.Cut(route, " ")
		api.HandleFunc(method+" /api/v1"+path, func(w http.ResponseWriter, r *http.Request) {
			if f.admitted(w, r, route) {
				defer f.leave()
				serve(w, r)
			}
		})
	}
	all := http.NewServeMux()
	all.Handle("/api/v1/", f.Faults.Wrap(api))
	all.Handle("POST /oauth/v2/token", f.SignIn.Wrap(http.HandlerFunc(f.give)))
	all.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: f.key.Public(), KeyID: f.KeyID, Algorithm: "RS256", Use: "sig"}}})
	})
	return all
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]any{"errorCode": code, "message": "What somebody sent is not what it should be"})
}

func invalid(w http.ResponseWriter, field, what string) {
	answer(w, http.StatusUnprocessableEntity, map[string]any{
		"errorCode": "INVALID_DATA", "message": "The data is invalid due to validation restrictions",
		"errors": []map[string]any{{"fieldName": "/" + field, "errorType": what, "errorMessage": ""}},
	})
}

// give gives an access token for the refresh token; what it refuses it refuses with 200.
func (f *Fake) give(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	f.given = slices.DeleteFunc(f.given, func(at time.Time) bool { return now.Sub(at) >= 10*time.Minute })
	ration := f.TokensWithin10Minutes
	if ration == 0 {
		ration = 10
	}
	switch {
	case len(f.given) >= ration:
		answer(w, http.StatusBadRequest, map[string]any{
			"error": "Access Denied", "error_description": "You have made too many requests continuously. Please try again after some time.", "status": "failure",
		})
		return
	case r.PostFormValue("client_id") != f.client || r.PostFormValue("client_secret") != f.secret:
		answer(w, http.StatusOK, map[string]any{"error": "invalid_client"})
		return
	case r.PostFormValue("grant_type") != "refresh_token" || r.PostFormValue("refresh_token") != f.refresh || f.revoked:
		answer(w, http.StatusOK, map[string]any{"error": "invalid_code"})
		return
	}
	f.given = append(f.given, now)
	f.tokensIssued++
	access := fmt.Sprintf("1000.access-%d", f.tokensIssued)
	f.tokens[access] = now.Add(time.Hour)
	answer(w, http.StatusOK, map[string]any{"access_token": access, "expires_in": 3600, "api_domain": "https://www.zohoapis.com", "token_type": "Bearer"})
}

func (f *Fake) admitted(w http.ResponseWriter, r *http.Request, route string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[route]++
	access, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Zoho-oauthtoken ")
	until, known := f.tokens[access]
	switch {
	case !known || !f.now().Before(until):
		refuse(w, http.StatusUnauthorized, "INVALID_OAUTH")
		return false
	case r.Header.Get("orgId") != f.orgID:
		refuse(w, http.StatusForbidden, "OAUTH_ORG_MISMATCH")
		return false
	case f.Concurrency > 0 && f.running >= f.Concurrency:
		refuse(w, http.StatusTooManyRequests, "TOO_MANY_REQUESTS")
		return false
	}
	f.running++
	w.Header().Set("X-Rate-Limit-Request-Weight-v3", "1")
	w.Header().Set("X-Rate-Limit-Remaining-v3", "100000")
	return true
}

func (f *Fake) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
}

func (f *Fake) department(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(f.departments, r.PathValue("id")) {
		refuse(w, http.StatusNotFound, "URL_NOT_FOUND")
		return
	}
	answer(w, http.StatusOK, map[string]any{"id": r.PathValue("id")})
}

func (f *Fake) statuses(ticket bool) map[string]bool {
	if ticket {
		return f.TicketStatuses
	}
	return f.TaskStatuses
}

func (f *Fake) shown(i *Item) map[string]any {
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	kind := "Open"
	if f.statuses(i.Ticket)[i.Status] {
		kind = "Closed"
	}
	v := map[string]any{
		"id": i.ID, "subject": i.Subject, "description": null(i.Description), "status": i.Status, "statusType": kind,
		"dueDate": null(i.DueDate), "departmentId": i.DepartmentID, "cf": i.Fields, "isTrashed": i.Trashed, "isSpam": false,
		"createdTime": i.CreatedAt.Format("2006-01-02T15:04:05.000Z"), "modifiedTime": i.ModifiedAt.UnixMilli(), "modifiedBy": nil,
		"webUrl": "https://desk.zoho.com/support/acme/" + i.ID,
	}
	if i.ModifiedBy != "" {
		v["modifiedBy"] = map[string]any{"id": i.ModifiedBy, "firstName": "Some", "lastName": "Body"}
	}
	if i.Ticket {
		v["assigneeId"], v["email"], v["phone"] = null(i.Owner), null(i.Email), null(i.Phone)
	} else {
		v["ownerId"], v["ticketId"] = null(i.Owner), null(i.TicketID)
	}
	return v
}

// find returns the item of the path, with the lock held by the caller.
func (f *Fake) find(w http.ResponseWriter, r *http.Request, ticket bool) *Item {
	i, found := f.items[r.PathValue("id")]
	if !found || i.Ticket != ticket {
		refuse(w, http.StatusNotFound, "URL_NOT_FOUND")
		return nil
	}
	return i
}

func (f *Fake) get(ticket bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if i := f.find(w, r, ticket); i != nil {
			v := f.shown(i)
			if strings.Contains(r.URL.Query().Get("include"), "contacts") {
				v["contact"] = i.Contact
			}
			answer(w, http.StatusOK, v)
		}
	}
}

func (f *Fake) list(ticket bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		q := r.URL.Query()
		var found []*Item
		for _, i := range f.items {
			if i.Ticket == ticket && !i.Trashed && i.DepartmentID == q.Get("departmentId") {
				found = append(found, i)
			}
		}
		switch q.Get("sortBy") {
		case "-createdTime":
			slices.SortFunc(found, func(a, b *Item) int { return strings.Compare(b.ID, a.ID) })
		case "-modifiedTime":
			if ticket {
				invalid(w, "sortBy", "invalid")
				return
			}
			slices.SortFunc(found, func(a, b *Item) int {
				if c := b.ModifiedAt.Compare(a.ModifiedAt); c != 0 {
					return c
				}
				return strings.Compare(b.ID, a.ID)
			})
		default:
			invalid(w, "sortBy", "invalid")
			return
		}
		from, to := part(len(found), q)
		var all []map[string]any
		for _, i := range found[from:to] {
			all = append(all, f.shown(i))
		}
		give(w, all)
	}
}

// part is that of a list of n which is asked for, from counted from 0.
func part(n int, q url.Values) (from, to int) {
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > 100 {
		limit = 10
	}
	from, _ = strconv.Atoi(q.Get("from"))
	return min(from, n), min(from+limit, n)
}

// page is a part of a list.
func page(w http.ResponseWriter, all []map[string]any, q url.Values) {
	from, to := part(len(all), q)
	give(w, all[from:to])
}

// give gives a page; an empty one is no content.
func give(w http.ResponseWriter, all []map[string]any) {
	if len(all) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, http.StatusOK, map[string]any{"data": all})
}

func (f *Fake) tasksOf(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []map[string]any
	for _, i := range f.items {
		if !i.Ticket && i.TicketID == r.PathValue("id") {
			all = append(all, f.shown(i))
		}
	}
	page(w, all, r.URL.Query())
}

func (f *Fake) create(ticket bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var b map[string]any
		if json.NewDecoder(r.Body).Decode(&b) != nil {
			refuse(w, http.StatusBadRequest, "BAD_REQUEST")
			return
		}
		f.mu.Lock()
		i := &Item{Ticket: ticket, Status: "Not Started", Fields: map[string]any{}, ModifiedBy: Me}
		if ticket {
			i.Status = "Open"
		}
		for _, field := range []string{"departmentId", "subject"} {
			if s, _ := b[field].(string); s == "" {
				f.mu.Unlock()
				invalid(w, field, "missing")
				return
			}
		}
		if ticket && b["contact"] == nil && b["contactId"] == nil {
			f.mu.Unlock()
			invalid(w, "contactId", "missing")
			return
		}
		if field := f.apply(i, b); field != "" {
			f.mu.Unlock()
			invalid(w, field, "invalid")
			return
		}
		f.insert(i)
		f.happened("Add", i, r.Header.Get("sourceId"))
		v := f.shown(i)
		f.mu.Unlock()
		f.flush()
		answer(w, http.StatusOK, v)
	}
}

// apply writes members, and names the first that is wrong; with the lock held.
func (f *Fake) apply(i *Item, b map[string]any) string {
	for _, field := range slices.Sorted(maps.Keys(b)) {
		value := b[field]
		s, isText := value.(string)
		owner := "ownerId"
		if i.Ticket {
			owner = "assigneeId"
		}
		switch field {
		case "departmentId":
			if !slices.Contains(f.departments, s) {
				return field
			}
			i.DepartmentID = s
		case "subject":
			if len(s) > 255 {
				return field
			}
			i.Subject = s
		case "description":
			i.Description = s
		case "status":
			if _, listed := f.statuses(i.Ticket)[s]; !listed {
				return field
			}
			i.Status = s
		case "dueDate":
			if _, err := time.Parse("2006-01-02T15:04:05.000Z", s); err != nil {
				return field
			}
			i.DueDate = s
		case owner:
			if value != nil && (!isText || !f.agents[s]) {
				return field
			}
			i.Owner = s
		case "ticketId":
			if t, found := f.items[s]; !found || !t.Ticket {
				return field
			}
			i.TicketID = s
		case "contact":
			c, isObject := value.(map[string]any)
			if !i.Ticket || !isObject || c["lastName"] == "" {
				return field
			}
			i.Contact = c
		case "cf":
			fields, isObject := value.(map[string]any)
			if !isObject {
				return field
			}
			if i.Fields == nil {
				i.Fields = map[string]any{}
			}
			for name, v := range fields {
				i.Fields[name] = v
			}
		default:
			return field
		}
	}
	return ""
}

func (f *Fake) patch(ticket bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var b map[string]any
		if json.NewDecoder(r.Body).Decode(&b) != nil {
			refuse(w, http.StatusBadRequest, "BAD_REQUEST")
			return
		}
		f.mu.Lock()
		i := f.find(w, r, ticket)
		if i == nil {
			f.mu.Unlock()
			return
		}
		if i.Trashed {
			f.mu.Unlock()
			refuse(w, http.StatusNotFound, "URL_NOT_FOUND")
			return
		}
		changed := *i
		if field := f.apply(&changed, b); field != "" {
			f.mu.Unlock()
			invalid(w, field, "invalid")
			return
		}
		*i = changed
		i.ModifiedBy, i.ModifiedAt = Me, f.now().UTC()
		f.happened("Update", i, r.Header.Get("sourceId"))
		v := f.shown(i)
		f.mu.Unlock()
		f.flush()
		answer(w, http.StatusOK, v)
	}
}

func (f *Fake) comments(ticket bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		i := f.find(w, r, ticket)
		if i == nil {
			return
		}
		var all []map[string]any
		for n, c := range slices.Backward(i.Comments) {
			all = append(all, map[string]any{"id": strconv.Itoa(n + 1), "content": c.Content, "commenterId": c.By})
		}
		page(w, all, r.URL.Query())
	}
}

func (f *Fake) comment(ticket bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var b struct {
			Content     string
			ContentType string
			IsPublic    *bool
		}
		if json.NewDecoder(r.Body).Decode(&b) != nil {
			refuse(w, http.StatusBadRequest, "BAD_REQUEST")
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		i := f.find(w, r, ticket)
		switch {
		case i == nil:
			return
		case i.Trashed:
			refuse(w, http.StatusNotFound, "URL_NOT_FOUND")
			return
		case b.Content == "" || len(b.Content) > 32000:
			invalid(w, "content", "invalid")
			return
		}
		// A ticket's comment is for the customer too unless it says otherwise.
		i.Comments = append(i.Comments, Comment{b.Content, Me, ticket && (b.IsPublic == nil || *b.IsPublic)})
		answer(w, http.StatusOK, map[string]any{"id": strconv.Itoa(len(i.Comments)), "content": b.Content, "commenterId": Me})
	}
}

func (f *Fake) tag(on bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var b struct{ Tags []string }
		if json.NewDecoder(r.Body).Decode(&b) != nil || len(b.Tags) == 0 {
			refuse(w, http.StatusBadRequest, "BAD_REQUEST")
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		i := f.find(w, r, true)
		if i == nil {
			return
		}
		for _, t := range b.Tags {
			i.Tags = slices.DeleteFunc(i.Tags, func(s string) bool { return strings.EqualFold(s, t) })
			if on {
				i.Tags = append(i.Tags, t)
			}
		}
		w.WriteHeader(http.StatusOK)
	}
}

func (f *Fake) resolve(w http.ResponseWriter, r *http.Request) {
	var b struct{ Content string }
	if json.NewDecoder(r.Body).Decode(&b) != nil || b.Content == "" {
		invalid(w, "content", "missing")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(w, r, true); i != nil {
		i.Resolution = b.Content
		answer(w, http.StatusOK, map[string]any{"content": b.Content})
	}
}

func (f *Fake) listWebhooks(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.webhooks) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var all []map[string]any
	for _, h := range f.webhooks {
		all = append(all, shownWebhook(h))
	}
	answer(w, http.StatusOK, map[string]any{"data": all})
}

func shownWebhook(h *Webhook) map[string]any {
	return map[string]any{
		"id": h.ID, "url": h.URL, "subscriptions": h.Subscriptions, "ignoreSourceId": h.IgnoreSource, "isEnabled": h.Enabled,
		"type": "CUSTOMER_WEBHOOK",
	}
}

// addWebhook takes an address only if it answers a GET, or else a POST, with 200.
func (f *Fake) addWebhook(w http.ResponseWriter, r *http.Request) {
	var b struct {
		URL            string
		Subscriptions  map[string]any
		IgnoreSourceID string `json:"ignoreSourceId"`
		IsEnabled      *bool
	}
	if json.NewDecoder(r.Body).Decode(&b) != nil || len(b.Subscriptions) == 0 {
		invalid(w, "subscriptions", "missing")
		return
	}
	if !f.validates(r.Context(), b.URL) {
		invalid(w, "url", "invalid")
		return
	}
	h := Webhook{URL: b.URL, Subscriptions: b.Subscriptions, IgnoreSource: b.IgnoreSourceID}
	id := f.Subscribe(h)
	f.mu.Lock()
	defer f.mu.Unlock()
	answer(w, http.StatusOK, shownWebhook(f.webhooks[id]))
}

func (f *Fake) validates(ctx context.Context, address string) bool {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
		if err != nil {
			return false
		}
		a, err := f.transport.Do(r)
		if err != nil {
			continue
		}
		_ = a.Body.Close()
		if a.StatusCode == http.StatusOK {
			return true
		}
	}
	return false
}

func (f *Fake) editWebhook(w http.ResponseWriter, r *http.Request) {
	var b struct {
		Subscriptions  map[string]any
		IgnoreSourceID *string `json:"ignoreSourceId"`
		IsEnabled      *bool
	}
	if json.NewDecoder(r.Body).Decode(&b) != nil || len(b.Subscriptions) == 0 {
		invalid(w, "subscriptions", "missing")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	h, found := f.webhooks[r.PathValue("id")]
	if !found {
		refuse(w, http.StatusNotFound, "URL_NOT_FOUND")
		return
	}
	h.Subscriptions = b.Subscriptions
	if b.IgnoreSourceID != nil {
		h.IgnoreSource = *b.IgnoreSourceID
	}
	if b.IsEnabled != nil {
		h.Enabled, h.failures = *b.IsEnabled, 0
	}
	answer(w, http.StatusOK, shownWebhook(h))
}
