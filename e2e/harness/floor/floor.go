// Package floor is a desk for tests that need no Temporal: the real API, the
// real pages and the real rules on a real database, with an engine in memory.
// Its people and policies are those of the built-in configuration, and its
// clock can be moved.
package floor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/config"
	"ringback/contract"
	"ringback/desk"
	"ringback/identity"
	"ringback/serve"
	"ringback/store"
)

// Floor is such a desk.
type Floor struct {
	Store  *store.Store
	Engine *Engine
	Config *config.Config
	// Handler answers as a desk does.
	Handler http.Handler

	api   *api.API
	mu    sync.Mutex
	shift time.Duration
	stop  context.CancelFunc
	done  chan struct{}
}

// Options alter a floor; the zero Options are good ones.
type Options struct {
	// Data is the folder of the database.
	Data string
	// Config instead of the built-in one.
	Config *config.Config
	// Logger takes what goes wrong; nil: nothing does.
	Logger *slog.Logger
	// Engine goes on with what another floor had, as after a restart.
	Engine *Engine
	// Shift is by how much the clock is moved from the beginning.
	Shift time.Duration
	// SignIn makes the real sign-in, on the floor's own database; nil: whoever asks
	// is taken at their word.
	SignIn func(*store.Store) (*identity.SignIn, error)
	// Change alters the options of the API before it is made.
	Change func(*api.Options)
}

// tick is how often the engine looks at its clocks.
const tick = 20 * time.Millisecond

// Open opens a floor. Close it.
func Open(ctx context.Context, o Options) (*Floor, error) {
	f := &Floor{Config: o.Config, shift: o.Shift, done: make(chan struct{})}
	if f.Config == nil {
		f.Config = config.Builtin()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if f.Store, err = store.OpenSQLite(ctx, filepath.Join(o.Data, "desk.db"), store.Options{Now: f.Now, Timeout: time.Minute}); err != nil {
		return nil, err
	}
	if err := errors.Join(f.Store.Migrate(ctx), f.Store.SyncStaff(ctx, f.Config.Staff)); err != nil {
		return nil, errors.Join(err, f.Store.Close())
	}
	if f.Engine = o.Engine; f.Engine == nil {
		f.Engine = &Engine{runs: map[string]*run{}}
	}
	f.Engine.tell(f.Now)
	var sessions api.Sessions = f
	var signInPages http.Handler
	if o.SignIn != nil {
		real, err := o.SignIn(f.Store)
		if err != nil {
			return nil, errors.Join(err, f.Store.Close())
		}
		sessions, signInPages = real, real.Handler()
	}
	options := api.Options{
		Book: f.Store, Engine: f.Engine, Auditor: auditor{}, Drafts: serve.Drafts(f.Config), DevTokens: true, Listen: "127.0.0.1:0", Sessions: sessions,
		SignIn: signInPages,
		Config: api.Config{Organization: f.Config.Organization, Policies: f.Config.Policies, Tiers: f.Config.Tiers, Calendars: f.Config.Calendars},
		Logger: o.Logger, Now: f.Now, TemporalUI: "http://127.0.0.1:8233/namespaces/ringback/workflows",
		Limits: api.Limits{Backlog: 4096},
	}
	options.Pages, err = desk.New(desk.Options{
		API:      http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.api.Handler().ServeHTTP(w, r) }),
		Sessions: sessions, Organization: f.Config.Organization, Logger: o.Logger, Now: f.Now,
		Tiers: f.Config.Tiers, Calendars: slices.Collect(maps.Keys(f.Config.Calendars)),
	})
	if err != nil {
		return nil, errors.Join(err, f.Store.Close())
	}
	if o.Change != nil {
		o.Change(&options)
	}
	if f.api, err = api.New(options); err != nil {
		return nil, errors.Join(err, f.Store.Close())
	}
	f.Handler = f.api.Handler()
	if o.SignIn == nil {
		mux := http.NewServeMux()
		mux.HandleFunc("/sign-in", signIn)
		mux.Handle("/", f.api.Handler())
		f.Handler = mux
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	go f.run(running)
	return f, nil
}

func (f *Floor) run(ctx context.Context) {
	defer close(f.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = f.Engine.advance(ctx, f.Store) // it is tried again at the next tick
		}
	}
}

// Close ends it. Streams end too.
func (f *Floor) Close() error {
	f.stop()
	<-f.done
	f.api.Close()
	return f.Store.Close()
}

// Now is the floor's clock.
func (f *Floor) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Add(f.shift)
}

// Shift is by how much the clock was moved.
func (f *Floor) Shift() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shift
}

// Move moves the clock on, from one instant at which something is due to the
// next, as if nobody had stood still.
func (f *Floor) Move(ctx context.Context, d time.Duration) error {
	target := f.Now().Add(d)
	for {
		next, due := f.Engine.next()
		if !due || next.After(target) {
			f.set(target)
			return f.Engine.advance(ctx, f.Store)
		}
		f.set(next)
		if err := f.Engine.advance(ctx, f.Store); err != nil {
			return err
		}
	}
}

// set moves the clock to an instant, never back.
func (f *Floor) set(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shift = max(f.shift, time.Until(at))
}

// cookie is how a browser is signed in here.
const cookie = "ringback_floor"

// Cookie signs a request in as a member of staff.
func Cookie(staffID string) *http.Cookie {
	return &http.Cookie{Name: cookie, Value: staffID, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// signIn takes anybody at their word: /sign-in?as=STAFF_ID&next=PATH.
func signIn(w http.ResponseWriter, r *http.Request) {
	if who := r.URL.Query().Get("as"); who != "" {
		http.SetCookie(w, Cookie(who))
		next := r.URL.Query().Get("next")
		if u, err := url.Parse(next); err != nil || u.Host != "" || next == "" {
			next = "/"
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><title>Sign in</title><h1>Sign in</h1>")
}

// Principal implements api.Sessions.
func (f *Floor) Principal(r *http.Request) (api.Principal, error) {
	c, err := r.Cookie(cookie)
	if err != nil {
		return api.Principal{}, api.ErrUnauthenticated
	}
	staff, err := f.Store.Staff(r.Context())
	if err != nil {
		return api.Principal{}, err
	}
	for i := range staff {
		if staff[i].ID == c.Value {
			return api.Principal{ID: c.Value, Staff: &staff[i]}, nil
		}
	}
	return api.Principal{}, api.ErrUnauthenticated
}

// Do makes a call to the API as somebody and decodes a 2xx answer into out,
// if given. Any other answer is an error.
func (f *Floor) Do(ctx context.Context, as, method, path string, body, out any) error {
	var sent io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, path, sent)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer dev:"+as)
	r.Host, r.RemoteAddr = "127.0.0.1", "127.0.0.1:1" // such tokens are taken on this machine alone
	w := &answer{header: http.Header{}, status: http.StatusOK}
	f.api.Handler().ServeHTTP(w, r)
	if w.status/100 != 2 {
		return fmt.Errorf("%s %s by %s: %d: %s", method, path, as, w.status, w.body.String())
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(w.body.Bytes(), out)
}

type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answer) WriteHeader(status int)      { a.status = status }

// Promise makes a callback and returns its id; change alters what is sent.
func (f *Floor) Promise(ctx context.Context, by string, change ...func(map[string]any)) (string, error) {
	body := map[string]any{
		"policy": "supervisor-callback", "reason": "Refund not received",
		"customer":         map[string]any{"name": "Asha Rao", "phone": "+919876543210", "time_zone": "Asia/Kolkata"},
		"transfer_attempt": map[string]any{"tier": "supervisor", "outcome": "none_free"},
	}
	for _, c := range change {
		c(body)
	}
	var made api.Callback
	err := f.Do(ctx, by, http.MethodPost, "/v1/callbacks", body, &made)
	return made.ID, err
}

// Owe lets something be owed: the last event of a callback could not be brought
// to another system.
func (f *Floor) Owe(ctx context.Context, id, destination, code string) error {
	seq, of, err := f.Engine.Owe(id, destination, code)
	if err != nil {
		return err
	}
	now := callback.At(f.Now())
	if err := f.Store.NoteDelivery(ctx, book.Delivery{
		OperationID: book.OperationID(id, destination, seq), Destination: destination, CallbackID: id, Seq: seq, Type: of,
		State: book.DeliveryOwed, Code: code, TriedAt: now, NextAt: now.Plus(callback.Duration(5 * time.Minute)),
	}); err != nil {
		return err
	}
	return f.Engine.advance(ctx, f.Store)
}

// auditor knows nothing of histories: there are none without Temporal.
type auditor struct{}

func (auditor) History(context.Context, string) ([]byte, error) {
	return []byte(`{"events":[{"eventId":"1","eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"}]}`), nil
}

func (auditor) Replay(context.Context, string) (api.Verdict, error) {
	return api.Verdict{OK: true, Events: 21, OutcomeMatches: true, Detail: "6 events compared"}, nil
}

func (auditor) Heard(context.Context, string, string) (contract.Heard, bool, error) {
	return contract.Heard{}, false, nil
}

// Staff are the people of the floor.
func (f *Floor) Staff() []book.Staff { return f.Config.Staff }
