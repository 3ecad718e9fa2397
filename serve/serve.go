// Package serve assembles the processes of a desk from their parts: it is the
// one place that knows everybody. The commands in cmd choose what runs where.
package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.temporal.io/sdk/client"

	"ringback/activities"
	"ringback/api"
	"ringback/audit"
	"ringback/book"
	"ringback/callback"
	"ringback/config"
	"ringback/connectors"
	"ringback/desk"
	"ringback/identity"
	"ringback/store"
	"ringback/sweep"
	"ringback/worker"
)

// Desk is what every process of a desk shares.
type Desk struct {
	Config   *config.Config
	Store    *store.Store
	Client   client.Client
	Logger   *slog.Logger
	Registry *prometheus.Registry
	// TemporalUI is the address of the Temporal UI, "http://127.0.0.1:8233"; empty:
	// what the settings say.
	TemporalUI string
	// EngineInside: the engine is in this process and ends with it.
	EngineInside bool
	// Open is told once the API is whole and about to answer; nil: nobody is.
	Open func()
	// Beside answers further paths, next to the desk's pages; nil: none.
	Beside map[string]http.Handler
	// Plugged are connectors besides those that are configured (tests have some).
	Plugged []Plug
}

// Plug makes a connector that is not configured, with what a connector of its
// name is made with.
type Plug func(deps func(connector string) connectors.Deps) (connectors.Connector, error)

// Introduce writes what the configuration says of people into the database, so
// that draws and reservations find them. Where the file names nobody, people
// come from elsewhere, and only the ranks of their tiers and the hours of their
// shifts are the configuration's.
func (d *Desk) Introduce(ctx context.Context) error {
	if d.Config.Staff != nil {
		if err := d.Store.SyncStaff(ctx, d.Config.Staff); err != nil {
			return fmt.Errorf("introducing the staff: %w", err)
		}
	}
	if err := d.Store.ReviseStaff(ctx, d.Config.Tiers, d.Config.Calendars); err != nil {
		return fmt.Errorf("revising the staff: %w", err)
	}
	return nil
}

// API serves HTTP on the listener until ctx is done and every request under
// way has been answered.
func (d *Desk) API(ctx context.Context, l net.Listener) error {
	settings := d.Config.Settings
	asked := &floor{store: d.Store}
	connected, err := d.connect(asked)
	if err != nil {
		return err
	}
	options := api.Options{
		Book:       d.Store,
		Engine:     api.NewTemporalEngine(d.Client, settings.Temporal.Namespace, settings.Temporal.TaskQueue),
		Auditor:    auditor{d.Auditor()},
		Drafts:     Drafts(d.Config),
		Watch:      d.Store,
		Config:     d.apiConfig(),
		Connectors: connected,
		NoKeys:     !d.Config.SignIn.APIKeys,
		DevTokens:  settings.Server.DevTokens,
		Listen:     l.Addr().String(),
		PublicURL:  settings.Server.PublicURL,
		Limits:     api.Limits{PerSecond: float64(settings.Server.RequestsPerSecond), Burst: 2 * settings.Server.RequestsPerSecond},
		Throttle:   api.NewThrottle(settings.Server.AttemptsPerMinute, settings.Server.TrustedProxies, nil),
		Logger:     d.Logger,
		Registry:   d.Registry,
		Tracer:     otel.GetTracerProvider(),
	}
	options.TemporalUI = d.workflowsUI()
	signIn, err := d.signIn(options)
	if err != nil {
		return err
	}
	options.Sessions, options.Authenticator, options.SignIn = signIn, signIn, signIn.Handler()
	// The pages ask the API, which answers what is no page: each needs the other.
	var a *api.API
	options.Pages, err = desk.New(desk.Options{
		API:      http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.Handler().ServeHTTP(w, r) }),
		Sessions: signIn, Organization: d.Config.Organization, Logger: d.Logger,
		Tiers: d.Config.Tiers, Calendars: slices.Collect(maps.Keys(d.Config.Calendars)),
	})
	if err != nil {
		return err
	}
	options.Pages = beside(d.Beside, options.Pages)
	if a, err = api.New(options); err != nil {
		return err
	}
	asked.api = a
	if d.Open != nil {
		d.Open()
	}
	return a.Serve(ctx, l)
}

// workflowsUI is where the Temporal UI lists this desk's workflows; empty: nowhere.
func (d *Desk) workflowsUI() string {
	t := d.Config.Settings.Temporal
	base := cmp.Or(d.TemporalUI, t.UIURL)
	if base == "" {
		return ""
	}
	return base + "/namespaces/" + url.PathEscape(t.Namespace) + "/workflows"
}

func beside(further map[string]http.Handler, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := further[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// signIn is how people sign in to the API with these options.
func (d *Desk) signIn(o api.Options) (*identity.SignIn, error) {
	in := &d.Config.SignIn
	options := identity.Options{
		Book: d.Store, Organization: d.Config.Organization, PublicURL: o.PublicURL, Ranks: d.Config.Tiers, Throttle: o.Throttle,
		Dev: o.DevTokens, Listen: o.Listen, Idle: in.Idle, Absolute: in.Absolute, Logger: d.Logger,
	}
	if options.PublicURL == "" {
		options.PublicURL = "http://" + o.Listen
	}
	if p := in.OIDC; p != nil {
		secret, err := p.Secret(os.Environ())
		if err != nil {
			return nil, err
		}
		options.OIDC = &identity.OIDC{
			Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: secret, Audience: p.Audience, Scopes: p.Scopes, Title: p.Title,
			ClockSkew: p.ClockSkew, UserInfo: p.UserInfo,
			Claims: identity.Claims{
				ID: identity.Claim(in.Claims.ID), Name: identity.Claim(in.Claims.Name), Tier: identity.Claim(in.Claims.Tier),
				Queues: identity.Claim(in.Claims.Queues), Roles: identity.Claim(in.Claims.Roles),
			},
		}
	}
	return identity.New(options)
}

func (d *Desk) apiConfig() api.Config {
	return api.Config{
		Organization: d.Config.Organization, Policies: d.Config.Policies, Tiers: d.Config.Tiers, Calendars: d.Config.Calendars,
	}
}

// within is an API that answers this process's own connectors and nobody else.
func (d *Desk) within() ([]connectors.Connector, *api.API, error) {
	settings := d.Config.Settings
	asked := &floor{store: d.Store}
	connected, err := d.connect(asked)
	if err != nil || len(connected) == 0 {
		return nil, nil, err
	}
	asked.api, err = api.New(api.Options{
		Book: d.Store, Engine: api.NewTemporalEngine(d.Client, settings.Temporal.Namespace, settings.Temporal.TaskQueue),
		Config: d.apiConfig(), Connectors: connected, Authenticator: nobody{}, Logger: d.Logger,
	})
	return connected, asked.api, err
}

// sweepEvery is how soon what a dead process left undone is done.
const sweepEvery = 5 * time.Second

// Work runs workflows, activities and the sweeper until ctx is done; tasks
// under way are finished first.
func (d *Desk) Work(ctx context.Context) error {
	connected, inside, err := d.within()
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	w := worker.New(d.Client, worker.Options{
		TaskQueue:    d.Config.Settings.Temporal.TaskQueue,
		ReadModel:    d.Store,
		Ledger:       d.Store,
		Outages:      &activities.Outages{Book: d.Store, Engine: d.Client, Logger: d.Logger},
		Alone:        d.EngineInside,
		OnFatalError: func(err error) { failed <- err },
	})
	if err := w.Start(); err != nil {
		return fmt.Errorf("starting the worker: %w", err)
	}
	defer w.Stop()
	if inside != nil {
		defer inside.Close()
		ctx, cancel := context.WithCancel(ctx)
		wait, err := d.bring(ctx, connected)
		if err != nil {
			cancel()
			return err
		}
		defer func() { cancel(); wait() }()
	}
	sweeper := d.sweeper(terms(connected))
	swept := make(chan struct{})
	go func() { defer close(swept); _ = sweeper.Run(ctx) }() // it has no errors of its own
	select {
	case <-ctx.Done():
		<-swept
		return nil
	case err := <-failed:
		return fmt.Errorf("the worker stopped: %w", err)
	}
}

// sweeper is this process's. Of many workers one sweeps, and all keep the
// watch; where the engine is inside there is no other worker, and nobody to
// wait for after a crash.
func (d *Desk) sweeper(remembered []book.Term) *sweep.Sweeper {
	o := sweep.Options{
		Book: d.Store, Engine: d.Client, Namespace: d.Config.Settings.Temporal.Namespace,
		Outages: api.NewTemporalEngine(d.Client, d.Config.Settings.Temporal.Namespace, d.Config.Settings.Temporal.TaskQueue),
		Logger:  d.Logger, Registry: d.Registry, Every: sweepEvery, Terms: remembered,
	}
	if !d.EngineInside {
		o.Lease = d.Store
	}
	return sweep.New(o)
}

// Auditor returns an auditor of this desk.
func (d *Desk) Auditor() *audit.Auditor {
	return audit.New(audit.Options{
		Engine: d.Client, Namespace: d.Config.Settings.Temporal.Namespace, Book: d.Store, Logger: d.Logger,
	})
}

// auditor answers the API's auditors.
type auditor struct{ *audit.Auditor }

// History implements api.Auditor.
func (a auditor) History(ctx context.Context, callbackID string) ([]byte, error) {
	return a.HistoryJSON(ctx, callbackID)
}

// Replay implements api.Auditor.
func (a auditor) Replay(ctx context.Context, callbackID string) (api.Verdict, error) {
	v, err := a.Verdict(ctx, callbackID)
	return api.Verdict(v), err
}

// drafts reads drafts of policies as parts of a configuration.
type drafts struct{ *config.Config }

// Text implements api.Drafts.
func (d drafts) Text() (string, error) { return d.DraftText() }

// Check implements api.Drafts.
func (d drafts) Check(text string) (policies []*callback.Policy, mistake *api.DraftMistake) {
	read, names, err := d.CheckDraft([]byte(text))
	var wrong *config.Error
	switch {
	case errors.As(err, &wrong):
		return nil, &api.DraftMistake{Line: wrong.Line, Path: wrong.Path, Expected: wrong.Expected}
	case err != nil:
		return nil, &api.DraftMistake{Line: 1, Expected: "a draft that can be read"}
	}
	for _, name := range names {
		policies = append(policies, read[name])
	}
	return policies, nil
}

// Drafts reads drafts of policies as parts of this configuration.
func Drafts(c *config.Config) api.Drafts { return drafts{c} }
