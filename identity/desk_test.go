package identity_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // to look into the file

	"ringback/api"
	"ringback/book"
	"ringback/identity"
	"ringback/store"
)

// noon is when the tests begin: a Monday.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is the time of a test; it stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// logged is a log that is written and read at once.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// door is a sign-in on a real store.
type door struct {
	t     testing.TB
	clock *clock
	book  *store.Store
	log   *logged
	// file is where the database is.
	file string
	*identity.SignIn
}

// row reads one row of the database, past the store.
func (d *door) row(query string, args []any, into ...any) {
	d.t.Helper()
	db, err := sql.Open("sqlite", d.file)
	require.NoError(d.t, err)
	defer func() { require.NoError(d.t, db.Close()) }()
	require.NoError(d.t, db.QueryRowContext(d.t.Context(), query, args...).Scan(into...))
}

func staff() []book.Staff {
	return []book.Staff{
		{ID: "assoc1", Name: "Associate One", Tier: "associate", Rank: 1},
		{ID: "sup1", Name: "Supervisor One", Tier: "supervisor", Rank: 2, Queues: []string{"Supervisors - RM", "Supervisors - Air"}},
		{ID: "admin1", Name: "Administrator <One>", Tier: "associate", Rank: 1, Roles: []string{"admin"}},
	}
}

// openDoor opens one; change alters the options before.
func openDoor(t testing.TB, change ...func(*identity.Options)) *door {
	t.Helper()
	d := &door{t: t, clock: &clock{at: noon}, log: &logged{}}
	path := filepath.Join(t.TempDir(), "desk.db")
	require.NoError(t, os.WriteFile(path, emptyDatabase(t), 0o600))
	d.file = path
	var err error
	d.book, err = store.OpenSQLite(t.Context(), path, store.Options{Now: d.clock.now, Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.book.Close()) })
	require.NoError(t, d.book.SyncStaff(t.Context(), staff()))
	o := identity.Options{
		Book: d.book, Organization: "Train support", PublicURL: "http://127.0.0.1:8080", Dev: true, Listen: "127.0.0.1:8080",
		Logger: slog.New(slog.NewJSONHandler(d.log, nil)), Now: d.clock.now,
	}
	for _, f := range change {
		f(&o)
	}
	d.SignIn, err = identity.New(o)
	require.NoError(t, err)
	return d
}

// migrated is a database file with its tables and nothing in them.
var migrated struct {
	once sync.Once
	file []byte
}

func emptyDatabase(t testing.TB) []byte {
	t.Helper()
	migrated.once.Do(func() {
		path := filepath.Join(t.TempDir(), "empty.db")
		s, err := store.OpenSQLite(t.Context(), path, store.Options{Timeout: time.Minute})
		require.NoError(t, err)
		require.NoError(t, s.Migrate(t.Context()))
		require.NoError(t, s.Close())
		migrated.file, err = os.ReadFile(path)
		require.NoError(t, err)
	})
	return migrated.file
}

// browser keeps cookies and asks one door.
type browser struct {
	*door
	cookies map[string]*http.Cookie
	header  map[string]string
}

func (d *door) browser() *browser {
	return &browser{door: d, cookies: map[string]*http.Cookie{}, header: map[string]string{
		"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Site": "same-origin",
	}}
}

func (b *browser) request(method, target string, form url.Values) *http.Request {
	b.t.Helper()
	body := strings.NewReader(form.Encode())
	r := httptest.NewRequestWithContext(b.t.Context(), method, target, body)
	r.Host, r.RemoteAddr = "127.0.0.1:8080", "127.0.0.1:50000"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range b.header {
		r.Header.Set(name, value)
	}
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

// do sends a request and keeps the cookies of the answer.
func (b *browser) do(r *http.Request) *http.Response {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	answer := w.Result()
	for _, c := range answer.Cookies() {
		b.cookies[c.Name] = c
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return answer
}

func (b *browser) get(target string) *http.Response {
	b.t.Helper()
	return b.do(b.request(http.MethodGet, target, nil))
}

func (b *browser) post(target string, form url.Values) *http.Response {
	b.t.Helper()
	return b.do(b.request(http.MethodPost, target, form))
}

// signsIn as somebody, by the development sign-in.
func (b *browser) signsIn(id string) {
	b.t.Helper()
	answer := b.post("/sign-in/dev", url.Values{"staff_id": {id}})
	require.Equal(b.t, http.StatusSeeOther, answer.StatusCode)
}

// is who the browser is signed in as; empty: nobody.
func (b *browser) is() string {
	b.t.Helper()
	who, err := b.Principal(b.request(http.MethodGet, "/", nil))
	if err != nil {
		require.ErrorIs(b.t, err, api.ErrUnauthenticated)
		return ""
	}
	require.Equal(b.t, who.ID, who.Staff.ID)
	return who.ID
}

func text(t testing.TB, r *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	_, err := b.ReadFrom(r.Body)
	require.NoError(t, err)
	return b.String()
}
