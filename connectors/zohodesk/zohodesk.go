// Package zohodesk works callbacks in Zoho Desk (API v1).
//
// Outward: each callback has a task with its owner, status, due date and, at the
// end, its resolution reason (R15-R17); executive cases have a ticket (R20).
//
// Inward: what is completed there is completed here (R18), in the name of whoever
// did it; where the desk's rules refuse, it is put back to its true status with a
// comment that says why. Events are hints: the task is fetched. A poll finds what
// no event said.
//
// Notes are not written here: the API writes everything under the name of the
// account whose token it is, and a note is its author's own (R13). What is
// written, the desk says itself.
package zohodesk

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/backlog"
	"ringback/connectors/wire"
)

// Name is the connector's, its configuration's and its sources' system; Identity
// is under what name the staff's ids as agents are.
const (
	Name     = "zohodesk"
	Identity = "zoho"
)

// kind is what a callback is in Zoho Desk.
type kind string

// The kinds, as the API's paths name them.
const (
	tasks   kind = "tasks"
	tickets kind = "tickets"
)

// one is its name for people.
func (k kind) one() string { return strings.TrimSuffix(string(k), "s") }

// Zoho is one organization's Zoho Desk.
type Zoho struct {
	config  Config
	deps    connectors.Deps
	client  *wire.Client
	token   *token
	keys    *keySet
	room    chan struct{}
	words   map[kind]map[string]string
	source  string
	locks   wire.Keyed
	rounds  wire.Rounds
	events  *backlog.Backlog
	watched *backlog.Backlog

	mu      sync.Mutex
	staff   []book.Staff
	staffAt time.Time
	me      string // our own id as an agent; empty: not known yet
}

var (
	_ connectors.Inbound  = (*Zoho)(nil)
	_ connectors.Replayer = (*Zoho)(nil)
	_ connectors.Runner   = (*Zoho)(nil)
	_ connectors.Checker  = (*Zoho)(nil)
)

// names is the name space of what is derived from ids.
var names = uuid.MustParse("5d5c6f0b-1f4e-5c39-8b47-5b3f1d4f3f7e")

// New returns the connector; the error is that of Config.Validate.
func New(c Config, deps connectors.Deps) (*Zoho, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	deps = wire.Complete(deps)
	wire.Default(&c.PollEvery, 2*time.Minute)
	wire.Default(&c.SweepEvery, 10*time.Minute)
	wire.Default(&c.Timeout, 20*time.Second)
	if c.Concurrency == 0 {
		c.Concurrency = 10
	}
	if c.TicketsDepartmentID == "" {
		c.TicketsDepartmentID = c.DepartmentID
	}
	c.URL, c.AccountsURL = strings.TrimRight(c.URL, "/"), strings.TrimRight(c.AccountsURL, "/")
	z := &Zoho{
		config: c, deps: deps, room: make(chan struct{}, c.Concurrency), source: c.SourceID,
		words:   map[kind]map[string]string{tasks: c.words(tasks), tickets: c.words(tickets)},
		events:  backlog.New(deps.Memory, Name, "events", deps.Now),
		watched: backlog.New(deps.Memory, Name, "watched", deps.Now),
	}
	if z.source == "" {
		z.source = uuid.NewSHA1(names, []byte("source:"+c.OrgID)).String()
	}
	z.client = &wire.Client{
		Vendor: "Zoho Desk", Base: c.URL + "/api/v1", HTTP: wire.NewHTTP(), Timeout: time.Duration(c.Timeout),
		Limiter:   wire.NewLimiter(c.CallsPerMinute, wire.Patience, deps.Now, deps.Sleep),
		Authorize: z.authorize,
	}
	z.token = newToken(c, deps, z.client.HTTP)
	z.keys = &keySet{url: c.URL + "/.well-known/jwks.json", client: z.client.HTTP, timeout: time.Duration(c.Timeout), now: deps.Now}
	return z, nil
}

// Name implements connectors.Connector.
func (z *Zoho) Name() string { return Name }

// Path implements connectors.Inbound.
func (z *Zoho) Path() string { return Name }

// Wants implements connectors.Connector.
func (z *Zoho) Wants(in book.Intake, _ *callback.Policy) bool {
	_, wanted := z.kindOf(in)
	return wanted
}

// kindOf is what a callback is there; false: nothing.
func (z *Zoho) kindOf(in book.Intake) (kind, bool) {
	switch {
	case slices.Contains(z.config.Tickets, in.Policy), z.config.FromTickets == in.Policy && sourceTicket(in) != "":
		return tickets, true
	case slices.Contains(z.config.Tasks, in.Policy), len(z.config.Tasks) == 0:
		return tasks, true
	}
	return "", false
}

// sourceTicket is the ticket here that a callback comes from; empty: it comes from elsewhere.
func sourceTicket(in book.Intake) string {
	if in.Source != nil && in.Source.System == Name && wire.Digits(in.Source.Ref) {
		return in.Source.Ref
	}
	return ""
}

// Types implements connectors.Connector.
func (z *Zoho) Types() []callback.EventType {
	return []callback.EventType{
		callback.TypeRequested, callback.TypeQueued, callback.TypeAssigned, callback.TypeClaimed, callback.TypeStarted,
		callback.TypeEscalated, callback.TypeReassigned, callback.TypeReleased, callback.TypeHeld, callback.TypeResumed,
		callback.TypeRescheduled, callback.TypeTagged, callback.TypeUntagged, callback.TypeCompleted, callback.TypeCancelled,
	}
}

// Check implements connectors.Checker: the token is taken, and the department is there.
func (z *Zoho) Check(ctx context.Context) error {
	err := z.call(ctx, http.MethodGet, "/departments/"+z.config.DepartmentID, nil, nil)
	if wire.Is(err, connectors.Gone) {
		return &connectors.Owed{Code: connectors.Rejected, Detail: "Zoho Desk has no such department: is department_id right?", Err: err}
	}
	return err
}

// authorize puts the token and the organization on a request.
func (z *Zoho) authorize(ctx context.Context, r *http.Request) error {
	access, err := z.token.get(ctx)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Zoho-oauthtoken "+access)
	r.Header.Set("orgId", z.config.OrgID)
	r.Header.Set("sourceId", z.source)
	return nil
}

// problem is what Zoho Desk says about a refusal. Its message may quote what was
// sent, so only codes and names of fields are repeated.
type problem struct {
	ErrorCode string `json:"errorCode"`
	Errors    []struct {
		FieldName string `json:"fieldName"`
		ErrorType string `json:"errorType"`
	} `json:"errors"`
}

func (p *problem) words() []string {
	words := []string{p.ErrorCode}
	for _, e := range p.Errors {
		words = append(words, strings.Trim(e.FieldName+":"+e.ErrorType, ":"))
	}
	return words
}

// call makes one call and reads the answer into v unless it is nil, or there is
// none (204: an empty list). Errors are *connectors.Owed, or ctx's.
func (z *Zoho) call(ctx context.Context, method, path string, body, v any) error {
	select {
	case z.room <- struct{}{}:
		defer func() { <-z.room }()
	case <-ctx.Done():
		return ctx.Err()
	}
	a, used, err := z.once(ctx, method, path, body)
	if err == nil && a.Status == http.StatusUnauthorized {
		// A token may end before its time: another one is got, once.
		z.token.drop(used)
		a, _, err = z.once(ctx, method, path, body)
	}
	if err != nil {
		return err
	}
	if a.OK() {
		z.client.Limiter.Saw(0, -1)
		if a.Status == http.StatusNoContent {
			return nil
		}
		return z.client.Read(a, v)
	}
	var p problem
	_ = z.client.Read(a, &p) // what cannot be read says nothing
	owed := z.client.Refusal(a, p.words()...)
	if owed.Code == connectors.Unauthorized {
		owed.Detail += ": does the token have the scopes that are needed, and belong to this organization?"
	}
	return owed
}

func (z *Zoho) once(ctx context.Context, method, path string, body any) (a *wire.Answer, used string, err error) {
	used, err = z.token.get(ctx)
	if err == nil {
		a, err = z.client.Call(ctx, method, path, nil, body)
	}
	return a, used, err
}

// when is an instant as Zoho writes it: RFC 3339, or milliseconds.
type when struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler; what cannot be read is never.
func (w *when) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		w.Time = t
	} else if ms, ok := milliseconds(s); ok {
		w.Time = time.UnixMilli(ms)
	}
	return nil
}

// item is a task or a ticket, as far as it is read.
type item struct {
	ID           wire.ID        `json:"id"`
	Subject      string         `json:"subject"`
	Status       string         `json:"status"`
	StatusType   string         `json:"statusType"`
	OwnerID      wire.ID        `json:"ownerId"`    // of a task
	AssigneeID   wire.ID        `json:"assigneeId"` // of a ticket
	DepartmentID wire.ID        `json:"departmentId"`
	CreatedTime  when           `json:"createdTime"`
	ModifiedTime when           `json:"modifiedTime"`
	Trashed      bool           `json:"isTrashed"`
	Spam         bool           `json:"isSpam"`
	Fields       map[string]any `json:"cf"`
	ModifiedBy   *struct {
		ID wire.ID `json:"id"`
	} `json:"modifiedBy"`
	Email   string `json:"email"`
	Phone   string `json:"phone"`
	WebURL  string `json:"webUrl"`
	Contact *struct {
		ID        wire.ID `json:"id"`
		FirstName string  `json:"firstName"`
		LastName  string  `json:"lastName"`
		Email     string  `json:"email"`
		Phone     string  `json:"phone"`
		Mobile    string  `json:"mobile"`
	} `json:"contact"`
}

// closed reports an item that is done there, by whatever status.
func (i *item) closed() bool { return strings.EqualFold(i.StatusType, "closed") }

// fetch reads one. What is in the recycle bin is as good as gone.
func (z *Zoho) fetch(ctx context.Context, k kind, id, query string) (*item, error) {
	var i item
	err := z.call(ctx, http.MethodGet, "/"+string(k)+"/"+url.PathEscape(id)+query, nil, &i)
	if err == nil && (i.Trashed || i.Spam) || wire.Is(err, connectors.Gone) {
		return nil, gone(k)
	}
	return &i, err
}

func gone(k kind) error {
	return &connectors.Owed{Code: connectors.Gone, Detail: "the " + k.one() + " has been deleted in Zoho Desk"}
}

// people are the staff, at most some seconds old.
func (z *Zoho) people(ctx context.Context) ([]book.Staff, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if now := z.deps.Now(); z.staff == nil || now.Sub(z.staffAt) > 10*time.Second || now.Before(z.staffAt) {
		staff, err := z.deps.Desk.Staff(ctx)
		if err != nil {
			return nil, err
		}
		z.staff, z.staffAt = staff, now
	}
	return z.staff, nil
}

// agentOf is somebody's id as an agent; empty: they have none, or there is nobody.
func (z *Zoho) agentOf(ctx context.Context, staffID string) (string, error) {
	if staffID == "" {
		return "", nil
	}
	people, err := z.people(ctx)
	if err != nil {
		return "", err
	}
	for _, s := range people {
		if s.ID == staffID && wire.Digits(s.Identities[Identity]) {
			return s.Identities[Identity], nil
		}
	}
	return "", nil
}

// staffOf is who is the first of the agents who is one of the staff; empty: none is.
func (z *Zoho) staffOf(ctx context.Context, agents []string) (string, error) {
	people, err := z.people(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range agents {
		for _, s := range people {
			if a != "" && s.Identities[Identity] == a {
				return s.ID, nil
			}
		}
	}
	return "", nil
}

func (z *Zoho) log(ctx context.Context, what string, err error) {
	z.deps.Logger.LogAttrs(ctx, slog.LevelWarn, what, slog.String("connector", Name), slog.String("error", err.Error()))
}

// recall is a value of the memory; empty where there is none.
func (z *Zoho) recall(ctx context.Context, key string) (string, error) {
	value, _, err := z.deps.Memory.Recall(ctx, Name, key)
	return value, err
}
