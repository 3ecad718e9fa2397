package identity_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/identity"
)

func TestABrowserSignsInAndOut(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	b := d.browser()
	require.Empty(t, b.is())
	shown := b.get("/sign-in?next=/work?tab=mine")
	require.Equal(t, http.StatusOK, shown.StatusCode)
	page := text(t, shown)
	require.Contains(t, page, `value="sup1"`)
	require.Contains(t, page, "Administrator &lt;One&gt;")
	require.Greater(t, strings.Index(page, "administration and audit"), strings.Index(page, `value="sup1"`), "whoever has a role is a group of their own")
	require.Contains(t, page, `name="next" value="/work?tab=mine"`)

	answer := b.post("/sign-in/dev", url.Values{"staff_id": {"sup1"}, "next": {"/work?tab=mine"}})
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
	require.Equal(t, "/work?tab=mine", answer.Header.Get("Location"))
	require.Equal(t, "sup1", b.is())
	who, err := b.Principal(b.request(http.MethodGet, "/", nil))
	require.NoError(t, err)
	require.Equal(t, []string{"Supervisors - RM", "Supervisors - Air"}, who.Staff.Queues)

	require.Equal(t, "/", b.get("/sign-in?next=%2F").Header.Get("Location"), "signed in already")
	require.Contains(t, text(t, b.get("/sign-out")), "Supervisor One")
	answer = b.post("/sign-out", nil)
	require.Equal(t, "/sign-in?signed_out", answer.Header.Get("Location"))
	require.Empty(t, b.cookies)
	require.Empty(t, b.is())
	require.Contains(t, text(t, b.get("/sign-in?signed_out")), "signed out")
	require.Contains(t, d.log.String(), `"msg":"signed in","principal":"sup1","by":"dev"`)
	require.Contains(t, d.log.String(), `"msg":"signed out","principal":"sup1"`)
}

func TestASignedOutSessionStaysSo(t *testing.T) {
	t.Parallel()
	b := openDoor(t).browser()
	b.signsIn("sup1")
	kept := b.request(http.MethodGet, "/", nil)
	b.post("/sign-out", nil)
	_, err := b.Principal(kept)
	require.Error(t, err, "the cookie that somebody kept opens nothing")
}

func TestSigningInRotatesTheToken(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	b := d.browser()
	// A token that was planted is not taken over (session fixation).
	b.cookies["ringback"] = &http.Cookie{Name: "ringback", Value: "planted"}
	b.signsIn("sup1")
	first := b.cookies["ringback"].Value
	require.NotEqual(t, "planted", first)

	old := b.request(http.MethodGet, "/", nil)
	b.signsIn("assoc1")
	require.NotEqual(t, first, b.cookies["ringback"].Value)
	require.Equal(t, "assoc1", b.is())
	_, err := b.Principal(old)
	require.Error(t, err, "the old token is nobody's")
}

func TestTheTokenIsKeptAsAHash(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	b := d.browser()
	b.signsIn("sup1")
	token := b.cookies["ringback"].Value
	require.Len(t, token, 43, "256 bits")
	_, err := d.book.Session(t.Context(), token)
	require.ErrorIs(t, err, book.ErrNotFound)
	var rows, clear int
	d.row(`SELECT COUNT(*), COUNT(*) FILTER (WHERE instr(id || data, ?) > 0) FROM sessions`, []any{token}, &rows, &clear)
	require.Equal(t, 1, rows)
	require.Zero(t, clear)
}

func TestASessionEndsWhenNothingIsAsked(t *testing.T) {
	t.Parallel()
	d := openDoor(t, func(o *identity.Options) { o.Idle, o.Absolute = 30*time.Minute, 8*time.Hour })
	b := d.browser()
	b.signsIn("sup1")
	for range 10 { // five hours of work
		d.clock.move(29 * time.Minute)
		require.Equal(t, "sup1", b.is())
	}
	d.clock.move(30 * time.Minute)
	require.Empty(t, b.is())
}

func TestWhatAPageAsksByItselfIsNoSignOfSomebody(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/stream", "/v1/counts", "/v1/availability", "/board/cards", "/work"} {
		d := openDoor(t, func(o *identity.Options) { o.Idle = 30 * time.Minute })
		b := d.browser()
		b.signsIn("sup1")
		d.clock.move(29 * time.Minute)
		r := b.request(http.MethodGet, path, nil)
		if path == "/work" { // a page that refreshes itself
			r.Header.Set("X-Ringback-Fragment", "1")
		}
		_, err := b.Principal(r)
		require.NoError(t, err)
		d.clock.move(time.Minute)
		require.Empty(t, b.is(), path)
	}
}

func TestASessionEndsWhateverIsAsked(t *testing.T) {
	t.Parallel()
	d := openDoor(t, func(o *identity.Options) { o.Idle, o.Absolute = time.Hour, 2*time.Hour })
	b := d.browser()
	b.signsIn("sup1")
	for range 11 {
		d.clock.move(10 * time.Minute)
		require.Equal(t, "sup1", b.is())
	}
	d.clock.move(10*time.Minute - time.Second)
	require.Equal(t, "sup1", b.is())
	d.clock.move(time.Second)
	require.Empty(t, b.is())
}

func TestABusyBrowserCostsFewWrites(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	b := d.browser()
	b.signsIn("sup1")
	end := func() callback.Instant {
		var at string
		d.row(`SELECT expires_at FROM sessions`, nil, &at)
		parsed, err := time.Parse(time.RFC3339Nano, at)
		require.NoError(t, err)
		return callback.At(parsed)
	}
	began := end()
	d.clock.move(59 * time.Second)
	require.Equal(t, "sup1", b.is())
	require.Equal(t, began, end())
	d.clock.move(time.Second)
	require.Equal(t, "sup1", b.is())
	require.Equal(t, began.Plus(callback.Duration(time.Minute)), end())
}

func TestWhatHasExpiredIsForgotten(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.browser().signsIn("sup1")
	d.clock.move(2 * time.Hour)
	d.browser().signsIn("assoc1")
	var left int
	d.row(`SELECT COUNT(*) FROM sessions`, nil, &left)
	require.Equal(t, 1, left)
}

func TestWhoNoLongerWorksHereIsSignedOut(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	b := d.browser()
	b.signsIn("sup1")
	require.NoError(t, d.book.SyncStaff(t.Context(), staff()[:1]))
	require.Empty(t, b.is())
	require.NoError(t, d.book.SyncStaff(t.Context(), staff()))
	require.Empty(t, b.is(), "nor does the session come back with them")
	require.Equal(t, http.StatusUnauthorized, b.post("/sign-in/dev", url.Values{"staff_id": {"nobody"}}).StatusCode)
}

func TestTheCookie(t *testing.T) {
	t.Parallel()
	b := openDoor(t).browser()
	b.signsIn("sup1")
	c := b.cookies["ringback"]
	require.Equal(t, "/", c.Path)
	require.Empty(t, c.Domain)
	require.True(t, c.HttpOnly)
	require.False(t, c.Secure, "plain http on this machine")
	require.Equal(t, http.SameSiteLaxMode, c.SameSite)
	require.True(t, c.Expires.IsZero(), "it ends with the browser")
	require.Zero(t, c.MaxAge)
}

func TestOnlyThisMachineIsTakenAtItsWord(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*identity.Options){
		func(o *identity.Options) { o.Listen = "0.0.0.0:8080" },
		func(o *identity.Options) { o.Listen = ":8080" },
		func(o *identity.Options) { o.Listen = "" },
		func(o *identity.Options) { o.Listen = "192.168.1.5:8080" },
		func(o *identity.Options) { o.PublicURL = "https://desk.example.com" },
	} {
		o := identity.Options{Book: openDoor(t).book, PublicURL: "http://127.0.0.1:8080", Dev: true, Listen: "127.0.0.1:8080"}
		change(&o)
		_, err := identity.New(o)
		require.Error(t, err)
	}
	d := openDoor(t)
	for name, change := range map[string]func(*http.Request){
		"a name that points here": func(r *http.Request) { r.Host = "evil.example:8080" },
		"another machine":         func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1234" },
		"a proxy":                 func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") },
		"another proxy":           func(r *http.Request) { r.Header.Set("Forwarded", "for=127.0.0.1") },
	} {
		b := d.browser()
		r := b.request(http.MethodPost, "/sign-in/dev", url.Values{"staff_id": {"sup1"}})
		change(r)
		require.Equal(t, http.StatusNotFound, b.do(r).StatusCode, name)
		require.Empty(t, b.cookies)
		r = b.request(http.MethodGet, "/sign-in", nil)
		change(r)
		require.NotContains(t, text(t, b.do(r)), "sup1", name)
	}
	off := openDoor(t, func(o *identity.Options) { o.Dev = false }).browser()
	require.Equal(t, http.StatusNotFound, off.post("/sign-in/dev", url.Values{"staff_id": {"sup1"}}).StatusCode)
	require.NotContains(t, text(t, off.get("/sign-in")), "sup1")
}

func TestAPageOfAnotherSiteCannotSignInOrOut(t *testing.T) {
	t.Parallel()
	b := openDoor(t).browser()
	b.signsIn("assoc1")
	for _, header := range []map[string]string{
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site"},
		{"Origin": "https://evil.example"},
		{"Origin": "null"},
	} {
		b.header = header
		require.Equal(t, http.StatusForbidden, b.post("/sign-in/dev", url.Values{"staff_id": {"sup1"}}).StatusCode, "%v", header)
		require.Equal(t, http.StatusForbidden, b.post("/sign-out", nil).StatusCode, "%v", header)
	}
	require.Equal(t, "assoc1", b.is())
}

func TestThereIsNoOpenRedirect(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	for _, next := range []string{
		"https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "/ /evil.example",
		"http:evil.example", "evil.example", "javascript:alert(1)", "/sign-out", "/sign-in/oidc", "/v1/me", "/%0d%0aSet-Cookie:x\r\n", "", "//",
		"/" + string(make([]byte, 3000)), "?x", "/%zz", "/%2f/evil",
	} {
		answer := d.browser().post("/sign-in/dev", url.Values{"staff_id": {"sup1"}, "next": {next}})
		require.Equal(t, "/", answer.Header.Get("Location"), "%q", next)
	}
	for _, next := range []string{"/", "/work", "/board?queue=Supervisors%20-%20RM&x=//a", "/callbacks/1#notes"} {
		answer := d.browser().post("/sign-in/dev", url.Values{"staff_id": {"sup1"}, "next": {next}})
		require.Equal(t, next, answer.Header.Get("Location"))
	}
}

func TestThePagesAreInTheThemeThatWasChosenAtTheDesk(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	b := d.browser()
	in := func(target, value string) string {
		r := b.request(http.MethodGet, target, nil)
		r.AddCookie(&http.Cookie{Name: "ringback_theme", Value: value})
		return text(t, b.do(r))
	}
	for _, target := range []string{"/sign-in", "/sign-in?signed_out", "/sign-in/nothing"} {
		for _, chosen := range []string{"light", "dark"} {
			page := in(target, chosen)
			require.Contains(t, page, `<html lang="en" data-theme="`+chosen+`">`)
			require.Contains(t, page, `<meta name="color-scheme" content="`+chosen+`">`)
		}
		for _, none := range []string{"", "pink"} {
			page := in(target, none)
			require.Contains(t, page, `<html lang="en">`)
			require.Contains(t, page, `<meta name="color-scheme" content="light dark">`)
		}
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	b := d.browser()
	b.signsIn("sup1")
	for _, target := range []string{"/sign-in", "/sign-out", "/sign-in/nothing", "/sign-in/style.css"} {
		h := b.get(target).Header
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'")
		require.NotContains(t, h.Get("Content-Security-Policy"), "unsafe")
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "DENY", h.Get("X-Frame-Options"))
		require.Empty(t, h.Get("Strict-Transport-Security"))
	}
	page := text(t, b.get("/sign-in"))
	require.NotRegexp(t, `(?i)<script|<style| style=| on[a-z]+=|https?://`, page, "nothing inline, nothing from elsewhere")
	css := b.get("/sign-in/style.css")
	require.Equal(t, "text/css; charset=utf-8", css.Header.Get("Content-Type"))
	again := b.request(http.MethodGet, "/sign-in/style.css", nil)
	again.Header.Set("If-None-Match", css.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, b.do(again).StatusCode)

	wrong := b.post("/sign-in", nil)
	require.Equal(t, http.StatusMethodNotAllowed, wrong.StatusCode)
	require.Equal(t, "GET", wrong.Header.Get("Allow"))
	program := b.request(http.MethodGet, "/sign-in/nothing", nil)
	program.Header.Set("Accept", "application/json")
	answer := b.do(program)
	require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"))
	require.Contains(t, text(t, answer), `"code":"not_found"`)
	huge := httptest.NewRecorder()
	d.Handler().ServeHTTP(huge, b.request(http.MethodPost, "/sign-in/dev", url.Values{"staff_id": {string(make([]byte, 20<<10))}}))
	require.Equal(t, http.StatusBadRequest, huge.Code)
}
