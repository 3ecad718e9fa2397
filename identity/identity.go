// Package identity knows who people are: browsers that are signed in
// (api.Sessions), the pages on which they sign in and out, and bearer tokens of
// an OpenID Connect provider (api.Authenticator).
//
// It holds nothing that lets somebody in by itself: the database has a hash of
// each session's token, and the provider's tokens are not kept at all.
package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
)

// Book is what identity needs of the store. Its errors are those of package
// book; anything else means that the database did not do what was asked.
type Book interface {
	// Staff is everybody who works here, by ID.
	Staff(ctx context.Context) ([]book.Staff, error)
	Person(ctx context.Context, id string) (book.Person, error)

	Session(ctx context.Context, id string) (book.Session, error)
	KeepSession(ctx context.Context, s book.Session) error
	// ExtendSession moves the end of a session that is still kept.
	ExtendSession(ctx context.Context, id string, until callback.Instant) error
	DropSession(ctx context.Context, id string) error
	SweepSessions(ctx context.Context, now callback.Instant) (int64, error)

	// Meet finds, adds or changes who has proved at the provider to be somebody;
	// whoever no longer works here is returned as they are. Errors:
	// book.ErrSomebodyElse, book.ErrNobodyHere.
	Meet(ctx context.Context, m book.Meeting) (book.Person, error)
}

// Options are what signing in is made of. Book and PublicURL are needed.
type Options struct {
	Book Book
	// Organization is what the desk calls itself.
	Organization string
	// PublicURL is where browsers find the desk, "https://desk.example.com".
	PublicURL string
	// OIDC is the provider at which people sign in; nil: there is none.
	OIDC *OIDC
	// Ranks are the tiers of the desk.
	Ranks map[string]int
	// Throttle limits how often one address may try; nil: there is no limit.
	Throttle *api.Throttle
	// Dev lets anybody sign in as anybody. Listen must then be a loopback address.
	Dev bool
	// Listen is the HOST:PORT that the server listens on.
	Listen string
	// Idle and Absolute limit a session: how long nothing may be asked in it, and
	// how long it lasts whatever is asked; 1 h and 12 h.
	Idle, Absolute time.Duration
	// Logger takes who signed in and out, and who was refused; nil: slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// SignIn signs browsers in and out, and knows who they are.
type SignIn struct {
	o       Options
	base    *url.URL
	log     *slog.Logger
	cookies *sessions
	// flows and provider are nil without OIDC.
	flows    *flows
	provider *provider
	// known is who somebody was found to be, for while the database is away.
	known   *api.Remembered[api.Principal]
	origin  *http.CrossOriginProtection
	handler http.Handler
}

// New returns a SignIn. Errors: something is missing or unfit, or everybody
// could be anybody on an address that others can reach.
func New(o Options) (*SignIn, error) {
	if o.Book == nil {
		return nil, errors.New("identity: a book is needed")
	}
	base, err := url.Parse(o.PublicURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || strings.Trim(base.Path, "/") != "" {
		return nil, errors.New("identity: the public URL must be http://HOST or https://HOST")
	}
	if o.Dev {
		if err := api.Loopback(o.Listen); err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		if !api.LoopbackHost(base.Host) {
			return nil, errors.New("identity: the development sign-in lets anybody be anybody: it cannot have a public URL")
		}
	}
	if o.Idle <= 0 {
		o.Idle = time.Hour
	}
	if o.Absolute <= 0 {
		o.Absolute = 12 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &SignIn{
		o: o, base: base, log: o.Logger, origin: http.NewCrossOriginProtection(), known: api.NewRemembered[api.Principal](o.Now),
		cookies: newSessions(o, "", base.Scheme == "https"),
	}
	if err := s.origin.AddTrustedOrigin(base.Scheme + "://" + base.Host); err != nil {
		return nil, fmt.Errorf("identity: the public URL: %w", err)
	}
	if o.OIDC != nil {
		s.provider = newProvider(o.OIDC, o.Now)
		s.flows = &flows{newSessions(o, "-flow", base.Scheme == "https")}
	}
	s.handler = s.routes()
	return s, nil
}

// Handler answers /sign-in, what is below it, and /sign-out.
func (s *SignIn) Handler() http.Handler { return s.handler }

// Principal implements api.Sessions.
func (s *SignIn) Principal(r *http.Request) (api.Principal, error) {
	token := s.cookies.token(r)
	if token == "" {
		return api.Principal{}, api.ErrUnauthenticated
	}
	return s.known.Ask(r.Context(), "session "+token, func(ctx context.Context) (api.Principal, error) {
		id, err := s.cookies.staffID(r.WithContext(ctx))
		if err != nil {
			return api.Principal{}, err
		}
		p, err := s.o.Book.Person(ctx, id)
		switch {
		case notFound(err), err == nil && p.Inactive:
			return api.Principal{}, api.ErrUnauthenticated
		case err != nil:
			return api.Principal{}, err
		}
		return api.Principal{ID: p.ID, Staff: &p.Staff}, nil
	})
}
