// Package desk is the web desk: server-rendered pages at which people work all
// day. Everything is embedded, nothing is built and nothing is fetched from
// elsewhere.
//
// The desk is a client of the API like any other: what a page shows it asks of
// the API on behalf of whoever looks (api.As), and what a person does is a
// request of their browser to the API. So its figures are the API's figures,
// and every refusal is the API's.
package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ringback/api"
	"ringback/callback"
)

// Options are what a desk is made of. API and Sessions are needed.
type Options struct {
	// API answers what pages ask; it is called in this process.
	API http.Handler
	// Sessions knows who a browser is signed in as.
	Sessions api.Sessions
	// Organization is what the desk calls itself.
	Organization string
	// Tiers are the ranks by tier, Calendars the names of shifts: what the
	// configuration has, whether or not anybody is of it yet.
	Tiers     map[string]int
	Calendars []string
	// SignIn is the path to which whoever is not signed in is sent, with ?next=;
	// SignOut that to which the sign-out button posts. "/sign-in" and "/sign-out" unless set.
	SignIn, SignOut string
	// Logger takes what goes wrong while a page is made; nil: slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// site is the desk's pages.
type site struct {
	Options
	api    client
	assets *assets
	pages  map[string]*page
	// origin keeps pages of others from sending a form in somebody's name.
	origin *http.CrossOriginProtection
}

// New returns the desk's pages. Errors: something is missing, or a template is
// not one.
func New(o Options) (http.Handler, error) {
	if o.API == nil || o.Sessions == nil {
		return nil, errors.New("desk: an API and sessions are needed")
	}
	if o.Organization == "" {
		o.Organization = "Ringback"
	}
	if o.SignIn == "" {
		o.SignIn = "/sign-in"
	}
	if o.SignOut == "" {
		o.SignOut = "/sign-out"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &site{Options: o, api: client{o.API}, origin: http.NewCrossOriginProtection()}
	var err error
	if s.assets, err = embeddedAssets(); err != nil {
		return nil, fmt.Errorf("desk: assets: %w", err)
	}
	if s.pages, err = parsePages(s.assets); err != nil {
		return nil, fmt.Errorf("desk: templates: %w", err)
	}
	return s.handler(), nil
}

// route is an address of the desk.
type route struct {
	pattern string
	serve   handler
	kind    kind
}

// kind is what is at an address: a page, a part of one, or a file.
type kind int

const (
	isPage kind = iota
	isPart
	isFile
)

// routes are the addresses of the desk. What the API knows never comes here.
var routes = []route{
	{"GET /{$}", (*visit).work, isPage},
	{"GET /board", (*visit).board, isPage},
	{"GET /board/cards", (*visit).boardCards, isPart},
	{"GET /board/more", (*visit).boardMore, isPart},
	{"GET /callbacks/{id}", (*visit).callback, isPage},
	{"GET /callbacks/{id}/customer", (*visit).customer, isPage},
	{"GET /callbacks/{id}/promised", (*visit).promised, isPage},
	{"GET /new", (*visit).newCallback, isPage},
	{"GET /activities", (*visit).activities, isPage},
	{"GET /activities.csv", (*visit).activitiesCSV, isFile},
	{"GET /search", (*visit).search, isPage},
	{"GET /tags", (*visit).tags, isPage},
	{"GET /wallboard", (*visit).wallboard, isPage},
	{"GET /reports", (*visit).reports, isPage},
	{"GET /reports.csv", (*visit).reportCSV, isFile},
	{"GET /reports/rows", (*visit).reportRows, isPage},
	{"GET /reports/rows.csv", (*visit).reportRowsCSV, isFile},
	{"GET /policies", (*visit).policiesShown, isPage},
	{"POST /policies", (*visit).policiesChecked, isPage},
	{"GET /outages", (*visit).outagesShown, isPage},
	{"GET /systems", (*visit).systems, isPage},
	{"GET /systems/kept/{id}", (*visit).keptMessage, isPage},
	{"GET /people", (*visit).peopleShown, isPage},
	{"GET /people/{id}", (*visit).person, isPage},
	{"GET /audit", (*visit).audit, isPage},
	{"GET /audit/{id}", (*visit).history, isPage},
	{"GET /audit/{id}/history.json", (*visit).historyFile, isFile},
	{"GET /audit/{id}/bundle.zip", (*visit).bundle, isFile},
	{"GET /help", (*visit).help, isPage},
}

// Pages are the patterns of the pages, as http.ServeMux takes them: what looks
// at every page looks at these.
func Pages() []string {
	var patterns []string
	for _, r := range routes {
		if r.kind == isPage {
			patterns = append(patterns, r.pattern)
		}
	}
	return patterns
}

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", s.assets)
	mux.HandleFunc("GET /favicon.ico", s.assets.favicon)
	for _, r := range routes {
		mux.HandleFunc(r.pattern, s.visited(r.serve))
	}
	nowhere := s.visited(func(*visit) error {
		return &refusal{api.Problem{Status: http.StatusNotFound, Title: "There is no such page", Detail: "Nothing is at this address. The menu has every page there is."}}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			notFound(w, r) // a program asks
			return
		}
		nowhere(w, r)
	})
	return mux
}

// notFound answers a program as the API does (CONTRACT §4): unmatched routes too.
func notFound(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(api.Problem{
		Type: "/docs#not_found", Title: "There is no such thing", Status: http.StatusNotFound, Detail: "there is nothing at this address", Code: "not_found",
		Errors: []api.FieldError{},
	})
	if err != nil {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	api.Refused(r.Context(), callback.CodeNotFound, "")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write(body) // whoever went away does not wait for it
}

// handler makes one page, or writes something of its own.
type handler func(*visit) error

// visited finds out who looks, and answers with the page or with what went wrong.
func (s *site) visited(serve handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header())
		who, err := s.Sessions.Principal(r)
		api.Visited(r.Context(), shownPattern(r), who.ID, callbackIn(r))
		if err == nil {
			err = s.origin.Check(r)
		}
		switch {
		case errors.Is(err, api.ErrUnauthenticated):
			api.Refused(r.Context(), callback.CodeUnauthenticated, "")
			http.Redirect(w, r, s.SignIn+"?"+url.Values{"next": {here(r)}}.Encode(), http.StatusSeeOther)
			return
		case who.ID != "" && err != nil:
			v := &visit{site: s, Request: r, w: w}
			v.failed(&refusal{api.Problem{Status: http.StatusForbidden, Title: "Not from another page", Detail: "Another site's page cannot use your session here."}})
			return
		case err != nil:
			s.Logger.ErrorContext(r.Context(), "sessions cannot be read", "error", err.Error())
			v := &visit{site: s, Request: r, w: w}
			v.failed(&refusal{api.Problem{Status: http.StatusServiceUnavailable, Title: "Not available right now", Detail: "It cannot be told who you are. Try again in a moment."}})
			return
		}
		v := &visit{site: s, Request: r.WithContext(api.As(r.Context(), who)), w: w, who: who}
		if err := v.begin(); err != nil {
			v.failed(err)
			return
		}
		if err := serve(v); err != nil {
			v.failed(err)
		}
	}
}

// shownPattern is the pattern of the page that was matched; empty: there is none.
func shownPattern(r *http.Request) string {
	if r.Pattern == "/" {
		return ""
	}
	return r.Pattern
}

// callbackIn is the callback that the path names; empty: none.
func callbackIn(r *http.Request) string {
	_, path, _ := strings.Cut(r.Pattern, " ")
	if strings.HasPrefix(path, "/callbacks/{id}") || strings.HasPrefix(path, "/audit/{id}") {
		return r.PathValue("id")
	}
	return ""
}

// here is the page that is asked for, to come back to.
func here(r *http.Request) string {
	if r.Method != http.MethodGet {
		return "/"
	}
	return r.URL.RequestURI()
}

// contentPolicy allows what comes from the desk itself, and nothing inline.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func protect(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
}

// visit is one look of one person at one page.
type visit struct {
	*site
	*http.Request
	w   http.ResponseWriter
	who api.Principal
	*Frame
}

func (v *visit) ctx() context.Context { return v.Request.Context() }

// show answers with a page.
func (v *visit) show(name string, data any) error { return v.render(http.StatusOK, name, data) }

func (v *visit) render(status int, name string, data any) error {
	var b bytes.Buffer
	if err := v.pages[name].ExecuteTemplate(&b, "layout", data); err != nil {
		return fmt.Errorf("the page %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	send(v.w, v.Request, status, b.Bytes())
	return nil
}

// failed answers with what went wrong, in words.
func (v *visit) failed(err error) {
	var refused *refusal
	if !errors.As(err, &refused) {
		v.Logger.ErrorContext(v.ctx(), "a page could not be made", "error", err.Error())
		refused = &refusal{api.Problem{
			Status: http.StatusInternalServerError, Title: "Something went wrong here", Detail: "This page could not be made. It has been logged.",
		}}
	}
	refused.note(v.ctx())
	if v.Frame == nil {
		v.Frame = v.frame()
	}
	v.Title = refused.Title
	if err := v.render(refused.Status, "problem", problemPage{v.Frame, refused.Problem}); err != nil {
		v.Logger.ErrorContext(v.ctx(), "not even the page of a problem could be made", "error", err.Error())
		http.Error(v.w, refused.Title, refused.Status)
	}
}

type problemPage struct {
	*Frame
	Problem api.Problem
}
