package identity

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
)

// What a session's cookie is called. A browser takes the prefix __Host- only
// from the host itself, over TLS (RFC 6265bis §4.1.3).
const (
	cookieName       = "ringback"
	cookieNameSecure = "__Host-ringback"
)

// Keys of what is kept in a session.
const (
	keyStaff = "staff" // who signed in
	keySince = "since" // when, as callback.Instant writes it
	keyBy    = "by"    // how: byDev or byProvider
	keyFlows = "flows" // sign-ins under way at the provider
)

// How somebody signed in.
const (
	byDev      = "dev"
	byProvider = "oidc"
)

// sessions are the browsers' sessions: tokens and cookies are the library's,
// the limits our own, so that they follow one clock.
type sessions struct {
	scs            *scs.SessionManager
	book           Book
	now            func() time.Time
	idle, absolute time.Duration

	mu    sync.Mutex
	swept time.Time
}

// newSessions are those behind the cookie of our name and a suffix.
func newSessions(o Options, suffix string, secure bool) *sessions {
	s := &sessions{book: o.Book, now: o.Now, idle: o.Idle, absolute: o.Absolute}
	m := scs.New()
	m.Lifetime = o.Absolute
	m.HashTokenInStore = true
	m.Store = shelf{o.Book, o.Now}
	m.Cookie.Name = cookieName + suffix
	m.Cookie.HttpOnly = true
	m.Cookie.SameSite = http.SameSiteLaxMode
	m.Cookie.Path = "/"
	m.Cookie.Persist = false // it ends with the browser, at the latest
	if secure {
		m.Cookie.Name, m.Cookie.Secure = cookieNameSecure+suffix, true
	}
	s.scs = m
	return s
}

// instant is the clock of the limits.
func (s *sessions) instant() callback.Instant { return callback.At(s.now()) }

// touchEvery is how much longer a session must be able to last before that is
// written: a browser that asks all the time costs a write a minute.
func (s *sessions) touchEvery() time.Duration { return min(time.Minute, s.idle/4) }

// unattended are requests that a page makes by itself when something changes, or
// every so often: they are no sign of somebody who sits there. Whoever works
// gives commands and opens pages.
func unattended(r *http.Request) bool {
	switch r.URL.Path {
	case "/v1/stream", "/v1/counts", "/v1/availability", "/board/cards":
		return true
	}
	return r.Header.Get("X-Ringback-Fragment") != ""
}

// token is what the cookie of a request holds; empty: it has none.
func (s *sessions) token(r *http.Request) string {
	c, err := r.Cookie(s.scs.Cookie.Name)
	if err != nil {
		return ""
	}
	return c.Value
}

// load opens the session of a request, or a new one that nothing is kept of yet.
func (s *sessions) load(r *http.Request) (context.Context, *book.Session, error) {
	found := &book.Session{}
	ctx, err := s.scs.Load(context.WithValue(r.Context(), foundKey{}, found), s.token(r))
	return ctx, found, err
}

// staffID is who a browser is signed in as, and keeps its session going.
func (s *sessions) staffID(r *http.Request) (string, error) {
	ctx, found, err := s.load(r)
	if err != nil {
		return "", err
	}
	id := s.scs.GetString(ctx, keyStaff)
	if id == "" || id != found.StaffID {
		return "", api.ErrUnauthenticated
	}
	end, ok := s.end(ctx)
	if !ok {
		return "", api.ErrUnauthenticated
	}
	if now := s.now(); !unattended(r) && earlier(end, now.Add(s.idle)).Sub(found.ExpiresAt.Time) >= s.touchEvery() {
		if err := s.book.ExtendSession(ctx, found.ID, callback.At(earlier(end, now.Add(s.idle)))); err != nil {
			return "", err
		}
	}
	return id, nil
}

// end is when a session ends whatever is asked in it; false: it has.
func (s *sessions) end(ctx context.Context) (time.Time, bool) {
	since, err := time.Parse(time.RFC3339Nano, s.scs.GetString(ctx, keySince))
	end := since.Add(s.absolute)
	return end, err == nil && s.now().Before(end)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// signIn makes the browser somebody's: under a new token, with nothing left of
// what was kept under the old one.
func (s *sessions) signIn(w http.ResponseWriter, r *http.Request, staffID, by string) error {
	ctx, _, err := s.load(r)
	if err != nil {
		return err
	}
	if err := s.scs.RenewToken(ctx); err != nil {
		return err
	}
	if err := s.scs.Clear(ctx); err != nil {
		return err
	}
	s.scs.Put(ctx, keyStaff, staffID)
	s.scs.Put(ctx, keyBy, by)
	s.scs.Put(ctx, keySince, s.instant().String())
	return s.commit(ctx, w, staffID, min(s.idle, s.absolute))
}

// commit keeps the session for so long, and tells the browser its token.
func (s *sessions) commit(ctx context.Context, w http.ResponseWriter, staffID string, lasts time.Duration) error {
	s.sweep(ctx)
	until := s.now().Add(lasts)
	token, expiry, err := s.scs.Commit(context.WithValue(ctx, wantedKey{}, book.Session{StaffID: staffID, ExpiresAt: callback.At(until)}))
	if err != nil {
		return err
	}
	s.scs.WriteSessionCookie(ctx, w, token, expiry)
	return nil
}

// signOut forgets the session and returns whose it was, empty: nobody's, and how
// they had signed in.
func (s *sessions) signOut(w http.ResponseWriter, r *http.Request) (staffID, by string, err error) {
	ctx, _, err := s.load(r)
	if err != nil {
		return "", "", err
	}
	staffID, by = s.scs.GetString(ctx, keyStaff), s.scs.GetString(ctx, keyBy)
	if err := s.scs.Destroy(ctx); err != nil {
		return "", "", err
	}
	s.scs.WriteSessionCookie(ctx, w, "", time.Time{})
	return staffID, by, nil
}

// sweepEvery is how often what has expired is forgotten, at most.
const sweepEvery = time.Minute

// sweep forgets what has expired. It rides along with sign-ins: where nobody
// signs in, nothing piles up.
func (s *sessions) sweep(ctx context.Context) {
	now := s.now()
	s.mu.Lock()
	due := now.Sub(s.swept) >= sweepEvery
	if due {
		s.swept = now
	}
	s.mu.Unlock()
	if due {
		_, _ = s.book.SweepSessions(ctx, callback.At(now)) // the next one does it
	}
}

// shelf is where the library keeps its sessions. Tokens arrive hashed.
type shelf struct {
	book Book
	now  func() time.Time
}

type (
	foundKey  struct{} // *book.Session: where to put what was found
	wantedKey struct{} // book.Session: whose a session is to be, and until when
)

// FindCtx implements scs.CtxStore.
func (s shelf) FindCtx(ctx context.Context, id string) (data []byte, found bool, err error) {
	kept, err := s.book.Session(ctx, id)
	if errors.Is(err, book.ErrNotFound) || err == nil && !kept.ExpiresAt.After(s.now()) {
		return nil, false, nil
	}
	if into, ok := ctx.Value(foundKey{}).(*book.Session); ok {
		*into = kept
	}
	return kept.Data, err == nil, err
}

// CommitCtx implements scs.CtxStore. When it ends is what commit wants, not
// what the library's own clock says.
func (s shelf) CommitCtx(ctx context.Context, id string, data []byte, _ time.Time) error {
	kept, ok := ctx.Value(wantedKey{}).(book.Session)
	if !ok {
		return errors.New("identity: a session is kept by commit alone")
	}
	kept.ID, kept.Data = id, data
	return s.book.KeepSession(ctx, kept)
}

// DeleteCtx implements scs.CtxStore.
func (s shelf) DeleteCtx(ctx context.Context, id string) error { return s.book.DropSession(ctx, id) }

var errNoContext = errors.New("identity: sessions are kept with a context")

// Delete implements scs.Store, which the library asks only without contexts.
func (shelf) Delete(string) error { return errNoContext }

// Find implements scs.Store.
func (shelf) Find(string) ([]byte, bool, error) { return nil, false, errNoContext }

// Commit implements scs.Store.
func (shelf) Commit(string, []byte, time.Time) error { return errNoContext }
