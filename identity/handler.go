package identity

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
)

// mostForm is the most that a form of ours carries, in bytes.
const mostForm = 16 << 10

func (s *SignIn) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sign-in", s.showSignIn)
	mux.HandleFunc("GET /sign-in/style.css", style)
	mux.HandleFunc("GET /sign-out", s.showSignOut)
	mux.HandleFunc("POST /sign-out", s.signOut)
	if s.o.OIDC != nil {
		mux.HandleFunc("GET /sign-in/oidc", s.begin)
		mux.HandleFunc("GET /sign-in/callback", s.back)
	}
	if s.o.Dev {
		mux.HandleFunc("POST /sign-in/dev", s.signInDev)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if s.base.Scheme == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if err := s.origin.Check(r); err != nil {
			s.refuse(w, r, callback.CodeForbidden, "This form was sent by a page of another site. Start from the sign-in page.", "cross_origin")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		handler, pattern := mux.Handler(r)
		api.Visited(r.Context(), pattern, "", "")
		if pattern == "" {
			s.refuseUnmatched(w, r, mux)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// contentPolicy allows a page its style sheet and its forms, and nothing else.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// refuseUnmatched says what is not there, or not with this method.
func (s *SignIn) refuseUnmatched(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := mux.Handler(probe); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.refuse(w, r, callback.CodeNotFound, "There is nothing at this address.", "")
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.refuse(w, r, callback.CodeMethodNotAllowed, "This address is not asked in this way.", "")
}

// refuse answers with a page, or where no page is wanted with a problem. why is
// for the log, and for nobody else; empty: it is not worth a line.
func (s *SignIn) refuse(w http.ResponseWriter, r *http.Request, code callback.Code, words, why string) {
	api.Refused(r.Context(), code, "")
	if why != "" {
		s.log.WarnContext(r.Context(), "sign-in refused", "code", string(code), "why", why)
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		api.WriteProblem(w, &callback.Fault{Code: code, Detail: words})
		return
	}
	s.render(w, r, api.StatusOf(code), "problem", page{Title: api.TitleOf(code), Words: words})
}

// away answers while it cannot be told who somebody is.
func (s *SignIn) away(w http.ResponseWriter, r *http.Request, err error) {
	s.log.ErrorContext(r.Context(), "sign-in is not available", "error", err.Error())
	w.Header().Set("Retry-After", "2")
	s.refuse(w, r, callback.CodeUnavailable, "Signing in is not possible right now. Try again in a moment.", "")
}

// failed refuses an attempt, which counts: after too many it does not say why.
func (s *SignIn) failed(w http.ResponseWriter, r *http.Request, code callback.Code, words, why string) {
	if !s.o.Throttle.Failed(r) {
		s.tooMany(w, r)
		return
	}
	s.refuse(w, r, code, words, why)
}

func (s *SignIn) tooMany(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "10")
	s.refuse(w, r, callback.CodeRateLimited, "There were too many attempts from where you are. Wait a moment.", "too_many_attempts")
}

func (s *SignIn) showSignIn(w http.ResponseWriter, r *http.Request) {
	next := safeNext(r.URL.Query().Get("next"))
	p := page{Title: "Sign in", Next: next, SignedOut: r.URL.Query().Has("signed_out")}
	who, err := s.Principal(r)
	switch {
	case err == nil && !p.SignedOut && r.URL.Query().Has("next"):
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	case err == nil:
		p.Who = who.Staff
	case !unauthenticated(err):
		s.away(w, r, err)
		return
	}
	if s.o.OIDC != nil {
		p.Provider = s.o.OIDC.Title
	}
	if s.o.Dev && api.Local(r) {
		staff, err := s.o.Book.Staff(r.Context())
		if err != nil {
			s.away(w, r, err)
			return
		}
		p.Dev = true
		p.People = byTier(staff)
	}
	s.render(w, r, http.StatusOK, "sign-in", p)
}

// signInDev takes anybody at their word: only on this machine.
func (s *SignIn) signInDev(w http.ResponseWriter, r *http.Request) {
	if !api.Local(r) {
		s.refuse(w, r, callback.CodeNotFound, "There is nothing at this address.", "dev_beyond_loopback")
		return
	}
	if err := r.ParseForm(); err != nil {
		s.refuse(w, r, callback.CodeMalformed, "This form cannot be read.", "")
		return
	}
	p, err := s.o.Book.Person(r.Context(), r.PostForm.Get("staff_id"))
	switch {
	case notFound(err), err == nil && p.Inactive:
		s.failed(w, r, callback.CodeUnauthenticated, "Nobody here has this staff id.", "unknown_person")
		return
	case err != nil:
		s.away(w, r, err)
		return
	}
	s.welcome(w, r, &p, byDev, r.PostForm.Get("next"))
}

// welcome signs the browser in and sends it on.
func (s *SignIn) welcome(w http.ResponseWriter, r *http.Request, p *book.Person, by, next string) {
	if err := s.cookies.signIn(w, r, p.ID, by); err != nil {
		s.away(w, r, err)
		return
	}
	api.Visited(r.Context(), "", p.ID, "")
	s.log.InfoContext(r.Context(), "signed in", "principal", p.ID, "by", by)
	http.Redirect(w, r, safeNext(next), http.StatusSeeOther)
}

func (s *SignIn) showSignOut(w http.ResponseWriter, r *http.Request) {
	who, err := s.Principal(r)
	if err != nil && !unauthenticated(err) {
		s.away(w, r, err)
		return
	}
	if err != nil {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	s.render(w, r, http.StatusOK, "sign-out", page{Title: "Sign out", Who: who.Staff})
}

func (s *SignIn) signOut(w http.ResponseWriter, r *http.Request) {
	if token := s.cookies.token(r); token != "" {
		s.known.Forget("session " + token)
	}
	id, by, err := s.cookies.signOut(w, r)
	if err != nil {
		s.away(w, r, err)
		return
	}
	if id != "" {
		api.Visited(r.Context(), "", id, "")
		s.log.InfoContext(r.Context(), "signed out", "principal", id)
	}
	if by == byProvider && s.provider != nil {
		if known, err := s.provider.discover(r.Context(), s.redirectURL()); err == nil && known.endSession != "" {
			s.signOutThere(w, r, known.endSession)
			return
		}
	}
	http.Redirect(w, r, "/sign-in?signed_out", http.StatusSeeOther)
}

// signOutThere sends the browser to the provider's own sign-out (OpenID Connect
// RP-Initiated Logout). By a page, since a form may lead to our own addresses
// alone, by redirection too. No token is kept that could be sent as a hint.
func (s *SignIn) signOutThere(w http.ResponseWriter, r *http.Request, endSession string) {
	to, err := url.Parse(endSession)
	if err != nil || to.Scheme != "https" && to.Scheme != "http" {
		http.Redirect(w, r, "/sign-in?signed_out", http.StatusSeeOther)
		return
	}
	q := to.Query()
	q.Set("client_id", s.o.OIDC.ClientID)
	q.Set("post_logout_redirect_uri", s.base.Scheme+"://"+s.base.Host+"/sign-in")
	to.RawQuery = q.Encode()
	w.Header().Set("Refresh", "0; url="+to.String())
	s.render(w, r, http.StatusOK, "signed-out", page{Title: "Signed out", Provider: s.o.OIDC.Title, Next: to.String()})
}

// tierWord is a tier as people read it: "tier3" is "tier 3".
func tierWord(name string) string {
	bare := strings.TrimRight(name, "0123456789")
	if bare == "" || bare == name || strings.HasSuffix(bare, " ") {
		return name
	}
	return bare + " " + name[len(bare):]
}

// tier is a tier with its people; those with a role are a group of their own.
type tier struct {
	Name   string
	People []book.Staff
}

// byTier groups people by tier, the lowest first; after them whoever has a role:
// what they do is not their tier's.
func byTier(staff []book.Staff) []tier {
	slices.SortStableFunc(staff, func(a, b book.Staff) int {
		switch {
		case len(a.Roles) != 0 != (len(b.Roles) != 0):
			return len(a.Roles) - len(b.Roles)
		case a.Rank != b.Rank:
			return a.Rank - b.Rank
		}
		return strings.Compare(a.Tier, b.Tier)
	})
	var all []tier
	for _, s := range staff {
		name := tierWord(s.Tier)
		if len(s.Roles) > 0 {
			name = "administration and audit"
		}
		if n := len(all); n == 0 || all[n-1].Name != name {
			all = append(all, tier{Name: name})
		}
		last := &all[len(all)-1]
		last.People = append(last.People, s)
	}
	return all
}
