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

// The scopes of a system's key.
const (
	// ScopeIntake lets a system create callbacks (CONTRACT §3).
	ScopeIntake = "intake"
	// ScopeRead lets it read what staff read.
	ScopeRead = "read"
	// ScopeAudit lets it read and replay histories.
	ScopeAudit = "audit"
)

var allScopes = []string{ScopeIntake, ScopeRead, ScopeAudit}

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

// inside tells that a request comes from this process itself.
func inside(ctx context.Context) bool {
	_, is := ctx.Value(principalKey{}).(Principal)
	return is
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
		if _, dev := by.(devTokens); dev && !Local(r) {
			continue
		}
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

// Loopback refuses an address that others can reach, on which nobody may be
// taken at their word.
func Loopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("dev tokens need the address that is listened on, HOST:PORT: %w", err)
	}
	if !loopback(host) {
		return fmt.Errorf("dev tokens let anybody be anybody, and %s can be reached by others: listen on 127.0.0.1", listen)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// LoopbackHost reports whether HOST or HOST:PORT names this machine to itself.
func LoopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return loopback(host)
}

// Local reports whether a request was made on this machine, for this machine:
// nothing between passed it on, and no other name was asked for. A page that has
// its own name point here (DNS rebinding) does not speak for who sits there.
func Local(r *http.Request) bool {
	for _, passedOn := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(passedOn) != "" {
			return false
		}
	}
	return LoopbackHost(r.Host) && LoopbackHost(r.RemoteAddr)
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
	// changed counts the changes made here; seen is how many of them people shows.
	changed, seen int
}

// forget has the staff read again when they are next asked for: what was read
// before, or is being read, is not enough.
func (d *directory) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed++
}

// everybody returns the staff by id. The error says that they were never read.
func (d *directory) everybody(ctx context.Context) (map[string]*book.Staff, error) {
	d.mu.Lock()
	people := d.people
	current := people != nil && d.seen == d.changed
	stale := d.now().Sub(d.readAt) >= directoryAge || d.now().Before(d.readAt)
	if current && (!stale || d.busy) {
		d.mu.Unlock()
		return people, nil
	}
	d.busy = true
	changed := d.changed
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
		d.readAt, d.seen = d.now().Add(directoryRetry-directoryAge), max(d.seen, changed)
		return d.people, nil
	}
	if changed < d.seen {
		return d.people, nil // somebody has read more meanwhile
	}
	d.seen = changed
	d.people, d.readAt = make(map[string]*book.Staff, len(staff)), d.now()
	for i := range staff {
		d.people[staff[i].ID] = &staff[i]
	}
	return d.people, nil
}
