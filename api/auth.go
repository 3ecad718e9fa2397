package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"ringback/book"
	"ringback/callback"
)

// Principal is whoever a request comes from: a person of the staff, or a
// system ("system:NAME") with the scopes of its key.
type Principal struct {
	ID     string
	Staff  *book.Staff // nil: a system
	Scopes []string
}

// ScopeIntake lets a system create callbacks (CONTRACT §3).
const ScopeIntake = "intake"

// The roles of staff (CONTRACT §3).
const (
	roleAuditor = "auditor"
	roleAdmin   = "admin"
)

func (p Principal) is(role string) bool {
	return p.Staff != nil && slices.Contains(p.Staff.Roles, role)
}

// person is what the rules need to know of a principal.
func (p Principal) person() callback.Person {
	if p.Staff == nil {
		return callback.Person{ID: p.ID}
	}
	return person(p.Staff)
}

func person(s *book.Staff) callback.Person {
	return callback.Person{
		ID: s.ID, Rank: s.Rank, Queues: s.Queues,
		Auditor: slices.Contains(s.Roles, roleAuditor), Admin: slices.Contains(s.Roles, roleAdmin),
	}
}

// mayRead: all staff read; a system does not.
func (p Principal) mayRead() error {
	if p.Staff == nil {
		return refuse(callback.CodeForbidden, "", "only staff may read this")
	}
	return nil
}

// mayCommand: staff, but no auditor.
func (p Principal) mayCommand() error {
	switch {
	case p.Staff == nil:
		return refuse(callback.CodeForbidden, "", "only staff may give commands")
	case p.is(roleAuditor):
		return refuse(callback.CodeForbidden, "R24", "an auditor reads and gives no command")
	}
	return nil
}

// mayTell: whoever may command; and this process's own connectors.
func (p Principal) mayTell() error {
	if p.Staff == nil && slices.Contains(p.Scopes, ScopeConnector) {
		return nil
	}
	return p.mayCommand()
}

// mayCreate: staff, but no auditor; or a system with the scope.
func (p Principal) mayCreate() error {
	if p.Staff == nil && slices.Contains(p.Scopes, ScopeIntake) {
		return nil
	}
	if p.Staff == nil {
		return refuse(callback.CodeForbidden, "", "this key lacks the scope "+ScopeIntake)
	}
	return p.mayCommand()
}

// mayAudit: auditors.
func (p Principal) mayAudit() error {
	if !p.is(roleAuditor) {
		return refuse(callback.CodeForbidden, "R24", "only an auditor may see histories")
	}
	return nil
}

// ErrUnauthenticated says that a request proves nobody.
var ErrUnauthenticated = errors.New("unauthenticated")

// Authenticator finds out who a bearer token belongs to. ErrUnauthenticated:
// to nobody; any other error: it cannot be told right now.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Principal, error)
}

// Sessions finds out who a browser is signed in as, by the cookie that it
// sends. ErrUnauthenticated: nobody; any other error: it cannot be told right now.
type Sessions interface {
	Principal(r *http.Request) (Principal, error)
}

type principalKey struct{}

// As makes a request of this process's own one of the principal's: the web
// desk asks the API on behalf of whoever looks at it.
func As(ctx context.Context, who Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, who)
}

// authenticate finds out who a request comes from: by its bearer token, or
// without one by its session. A session's cookie is sent by the browser
// whoever made it do so; therefore a page of another origin cannot command with it.
func (a *API) authenticate(r *http.Request) (Principal, error) {
	if who, ok := r.Context().Value(principalKey{}).(Principal); ok {
		return who, nil
	}
	if a.sessions != nil && len(r.Header.Values("Authorization")) == 0 {
		who, err := a.sessions.Principal(r)
		if err == nil && a.crossOrigin.Check(r) != nil {
			return Principal{}, refuse(callback.CodeForbidden, "", "a page of another origin cannot use this session")
		}
		if !errors.Is(err, ErrUnauthenticated) {
			return who, err
		}
		return Principal{}, unauthenticated("sign in, or send Authorization: Bearer with a token")
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(r.Header.Values("Authorization")) != 1 {
		return Principal{}, unauthenticated("send Authorization: Bearer with a token")
	}
	for _, by := range a.authenticators {
		who, err := by.Authenticate(r.Context(), strings.TrimSpace(token))
		if errors.Is(err, ErrUnauthenticated) {
			continue
		}
		return who, err
	}
	return Principal{}, unauthenticated("this token is nobody's")
}

func unauthenticated(detail string) error {
	return refuse(callback.CodeUnauthenticated, "", detail)
}

// devTokens takes anybody at their word: `dev:STAFF_ID`. Only on a loopback address.
type devTokens struct{ people *directory }

// Authenticate implements Authenticator.
func (d devTokens) Authenticate(ctx context.Context, token string) (Principal, error) {
	id, ok := strings.CutPrefix(token, "dev:")
	if !ok {
		return Principal{}, ErrUnauthenticated
	}
	everybody, err := d.people.everybody(ctx)
	if err != nil {
		return Principal{}, err
	}
	s, ok := everybody[id]
	if !ok {
		return Principal{}, ErrUnauthenticated
	}
	return Principal{ID: id, Staff: s}, nil
}

// loopback refuses an address that others can reach.
func loopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("api: dev tokens need the address that is listened on, HOST:PORT: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("api: dev tokens let anybody be anybody, and %s can be reached by others: listen on 127.0.0.1", listen)
	}
	return nil
}

const (
	// directoryAge is how old the directory may be before it is read again;
	// directoryRetry is when it is tried again where that failed.
	directoryAge   = 5 * time.Second
	directoryRetry = time.Second
	// directoryPatience bounds the reading.
	directoryPatience = 2 * time.Second
)

// directory is the staff, kept in memory: people stay themselves while the
// database is away.
type directory struct {
	read func(context.Context) ([]book.Staff, error)
	now  func() time.Time

	mu     sync.Mutex
	people map[string]*book.Staff
	readAt time.Time
	busy   bool
}

// everybody returns the staff by id. The error says that they were never read.
func (d *directory) everybody(ctx context.Context) (map[string]*book.Staff, error) {
	d.mu.Lock()
	people := d.people
	stale := people == nil || d.now().Sub(d.readAt) >= directoryAge || d.now().Before(d.readAt)
	if !stale || (people != nil && d.busy) {
		d.mu.Unlock()
		return people, nil
	}
	d.busy = true
	d.mu.Unlock()

	reading, cancel := context.WithTimeout(ctx, directoryPatience)
	defer cancel()
	staff, err := d.read(reading)

	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = false
	if err != nil && d.people == nil {
		return nil, err
	}
	if err != nil {
		d.readAt = d.now().Add(directoryRetry - directoryAge)
		return d.people, nil
	}
	d.people, d.readAt = make(map[string]*book.Staff, len(staff)), d.now()
	for i := range staff {
		d.people[staff[i].ID] = &staff[i]
	}
	return d.people, nil
}
