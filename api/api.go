package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"ringback/callback"
	"ringback/connectors"
)

// Options are what an API is made of. Book, Engine, Config and a way to sign
// in are needed; everything else has a default.
type Options struct {
	Book   Book
	Engine Engine
	// Auditor answers history and replay; nil: they are unavailable.
	Auditor Auditor
	// Drafts checks policies that somebody writes; nil: that is unavailable.
	Drafts Drafts
	// Watch counts what is open for the metrics; nil: they lack it.
	Watch Watch

	// Authenticator finds out who bearer tokens belong to.
	Authenticator Authenticator
	// NoKeys refuses the keys of systems.
	NoKeys bool
	// Sessions knows the browsers that are signed in; nil: only tokens are known.
	Sessions Sessions
	// Throttle limits tokens of nobody from one address, and knows which address a
	// request is from; nil: there is no limit.
	Throttle *Throttle
	// SignIn answers /sign-in, what is below it, and /sign-out; nil: 404.
	SignIn http.Handler
	// Pages answers what is no address of the API: the web desk; nil: 404.
	Pages http.Handler
	// PublicURL is where browsers find the desk, where that is not the Host that
	// they ask for: behind a proxy. Its pages may command with a session.
	PublicURL string
	// DevTokens takes `dev:STAFF_ID` as a token. Listen must then be a loopback address.
	DevTokens bool
	// Listen is the HOST:PORT that the server listens on.
	Listen string

	Config Config
	// Connectors are the systems around the desk: callbacks are brought to those that
	// want them, and what they send is received.
	Connectors []connectors.Connector

	// Logger takes the access log; nil: slog.Default().
	Logger *slog.Logger
	// Registry takes the metrics and is what /metrics shows; nil: one of its own.
	Registry *prometheus.Registry
	// Tracer opens a span for every request; nil: none.
	Tracer trace.TracerProvider
	// TemporalUI is the address of the namespace's workflows in the Temporal UI,
	// like "http://127.0.0.1:8233/namespaces/ringback/workflows"; empty: no links.
	TemporalUI string
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	Limits Limits
	// Tick gives the stream its heartbeat; nil: time.NewTicker.
	Tick func(every time.Duration) (tick <-chan time.Time, stop func())
}

// Config is what the API knows of the configuration file.
type Config struct {
	Organization string
	// Policies by name, as configured: not yet pinned.
	Policies map[string]*callback.Policy
	// Tiers with their ranks.
	Tiers map[string]int
	// Calendars are what shifts are made of.
	Calendars map[string]*callback.Calendar
}

// Limits of the API; what is zero has the default that it names.
type Limits struct {
	// Request bounds every request but the stream's; 30 s.
	Request time.Duration
	// Engine is how long a command may take in the engine before its outcome is unknown; 10 s.
	Engine time.Duration
	// Settle is how long an accepted command waits for the read model before it is answered 202; 5 s.
	Settle time.Duration
	// Drain is how long requests under way may take when the server stops; 20 s.
	Drain time.Duration
	// PerSecond and Burst limit the requests of one principal; 0: no limit.
	PerSecond float64
	Burst     int
	// InboundPerSecond and InboundBurst limit the requests of one other system that
	// prove to be its, and those from one address that prove nothing; 50 and 200.
	InboundPerSecond float64
	InboundBurst     int
	// Streams is how many streams may be open at once; 1000.
	Streams int
	// Backlog is how many changes a stream's reader may fall behind before it is reset; 256.
	Backlog int
}

func (l Limits) withDefaults() Limits {
	for d, def := range map[*time.Duration]time.Duration{
		&l.Request: 30 * time.Second, &l.Engine: 10 * time.Second, &l.Settle: 5 * time.Second, &l.Drain: 20 * time.Second,
	} {
		if *d <= 0 {
			*d = def
		}
	}
	if l.InboundPerSecond <= 0 {
		l.InboundPerSecond = 50
	}
	if l.InboundBurst <= 0 {
		l.InboundBurst = 200
	}
	if l.Streams <= 0 {
		l.Streams = 1000
	}
	if l.Backlog <= 0 {
		l.Backlog = 256
	}
	return l
}

// API is the HTTP surface. Its Handler may be served by any server; Serve is one.
type API struct {
	book           Book
	engine         Engine
	auditor        Auditor
	drafts         Drafts
	config         Config
	authenticators []Authenticator
	keys           *apiKeys
	sessions       Sessions
	crossOrigin    *http.CrossOriginProtection
	throttle       *Throttle
	signIn, pages  http.Handler
	people         *directory
	connectors     []connectors.Connector
	outages        *activeOutages
	flights        flights
	limits         Limits
	limiter        *limiter
	inbound        *limiter
	unproven       *limiter
	log            *slog.Logger
	metrics        *metrics
	tracer         trace.Tracer
	temporalUI     string
	listen         string
	devTokens      bool
	clock          func() time.Time
	tick           func(time.Duration) (<-chan time.Time, func())

	gin  *gin.Engine
	huma huma.API
	hub  *hub
	// later runs what nobody waits for; closing ends it and the streams.
	later   *later
	closing chan struct{}
	close   sync.Once
}

func init() {
	gin.SetMode(gin.ReleaseMode)
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
}

// New builds the API. Errors: something is missing, or dev tokens are asked
// for on an address that others can reach.
func New(o Options) (*API, error) {
	if o.Book == nil || o.Engine == nil || len(o.Config.Policies) == 0 {
		return nil, errors.New("api: a book, an engine and at least one policy are needed")
	}
	if o.Authenticator == nil && o.Sessions == nil && !o.DevTokens && o.NoKeys {
		return nil, errors.New("api: nobody could sign in: give an Authenticator")
	}
	if o.DevTokens {
		if err := Loopback(o.Listen); err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tick == nil {
		o.Tick = func(every time.Duration) (<-chan time.Time, func()) {
			t := time.NewTicker(every)
			return t.C, t.Stop
		}
	}
	a := &API{
		book: o.Book, engine: o.Engine, auditor: o.Auditor, drafts: o.Drafts, config: o.Config,
		people:     &directory{read: o.Book.Staff, now: o.Now},
		connectors: o.Connectors, outages: &activeOutages{read: o.Book.ActiveOutages, now: o.Now},
		sessions: o.Sessions, crossOrigin: http.NewCrossOriginProtection(), throttle: o.Throttle, signIn: o.SignIn, pages: o.Pages,
		limits: o.Limits.withDefaults(), log: o.Logger, temporalUI: strings.TrimSuffix(o.TemporalUI, "/"),
		listen: o.Listen, devTokens: o.DevTokens, clock: o.Now, tick: o.Tick, closing: make(chan struct{}),
	}
	if o.PublicURL != "" {
		if err := a.crossOrigin.AddTrustedOrigin(strings.TrimSuffix(o.PublicURL, "/")); err != nil {
			return nil, fmt.Errorf("api: the public URL: %w", err)
		}
	}
	if o.Tracer != nil {
		a.tracer = o.Tracer.Tracer("ringback/api")
	}
	if a.limits.PerSecond > 0 {
		a.limiter = newLimiter(a.limits.PerSecond, a.limits.Burst)
	}
	a.inbound = newLimiter(a.limits.InboundPerSecond, a.limits.InboundBurst)
	a.unproven = newLimiter(a.limits.InboundPerSecond, a.limits.InboundBurst)
	var err error
	if a.metrics, err = newMetrics(o.Registry, o.Watch, o.Book); err != nil {
		return nil, fmt.Errorf("api: registering metrics: %w", err)
	}
	a.later = newLater(o.Logger)
	a.keys = newAPIKeys(o.Book, o.Now, a.later)
	if !o.NoKeys {
		a.authenticators = append(a.authenticators, a.keys)
	}
	if o.Authenticator != nil {
		a.authenticators = append(a.authenticators, o.Authenticator)
	}
	if o.DevTokens {
		a.authenticators = append(a.authenticators, devTokens{a.people})
	}
	a.hub = newHub(o.Book, o.Logger, a.limits.Backlog)
	a.routes(o.Registry)
	return a, nil
}

// now is the API's clock, in UTC.
func (a *API) now() time.Time { return a.clock().UTC() }

func (a *API) instant() callback.Instant { return callback.At(a.clock()) }

// Close ends the streams and what runs in the background. Requests under way
// go on; Serve waits for them.
func (a *API) Close() {
	a.close.Do(func() {
		close(a.closing)
		a.hub.close()
		a.later.close()
	})
}

// Serve answers on the listener until ctx is done; then it takes no more
// requests, ends the streams, and returns when the requests under way have been
// answered, or after Limits.Drain.
//
// Errors: dev tokens on a listener that others can reach; whatever ends the
// server before ctx does; requests that had to be cut off.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	if a.devTokens {
		if err := Loopback(l.Addr().String()); err != nil {
			return fmt.Errorf("api: %w", err)
		}
	}
	server := &http.Server{
		Handler:           a.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       a.limits.Request,
		WriteTimeout:      2 * a.limits.Request,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		a.Close()
		return fmt.Errorf("api: serving: %w", err)
	case <-ctx.Done():
	}
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.limits.Drain)
	defer cancel()
	a.Close()
	if err := server.Shutdown(draining); err != nil {
		return errors.Join(fmt.Errorf("api: draining: %w", err), server.Close())
	}
	return nil
}
