package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
)

// cookies are sessions by what the cookie "who" says.
type cookies struct{ d *desk }

func (c cookies) Principal(r *http.Request) (api.Principal, error) {
	who, err := r.Cookie("who")
	if err != nil || who.Value == "nobody" {
		return api.Principal{}, api.ErrUnauthenticated
	}
	if who.Value == "later" {
		return api.Principal{}, book.ErrUnavailable
	}
	p, err := c.d.book.store.Person(r.Context(), who.Value)
	return api.Principal{ID: p.ID, Staff: &p.Staff}, err
}

func withCookies(t *testing.T, change ...func(*api.Options)) *desk {
	t.Helper()
	known := &cookies{}
	d := newDesk(t, append([]func(*api.Options){func(o *api.Options) { o.Sessions = known }}, change...)...)
	known.d = d
	return d
}

// browses sends a request with a cookie.
func (d *desk) browses(who, method, path string, body any, header map[string]string) *reply {
	d.t.Helper()
	all := map[string]string{"Cookie": "who=" + who}
	for name, v := range header {
		all[name] = v
	}
	return d.do(call{method: method, path: path, body: body, header: all})
}

func TestABrowserThatIsSignedInIsSomebody(t *testing.T) {
	t.Parallel()
	d := withCookies(t)
	require.Equal(t, "sup1", d.browses("sup1", "GET", "/v1/me", nil, nil).want(200).str("id"))
	d.browses("nobody", "GET", "/v1/me", nil, nil).refused(401, "unauthenticated", "")
	d.browses("later", "GET", "/v1/me", nil, nil).refused(503, "unavailable", "")
	// A token says more than a cookie: one that is wrong is not made good by it.
	d.browses("sup1", "GET", "/v1/me", nil, map[string]string{"Authorization": "Bearer dev:nobody"}).refused(401, "unauthenticated", "")
	require.Equal(t, "mgr1", d.browses("sup1", "GET", "/v1/me", nil, map[string]string{"Authorization": "Bearer dev:mgr1"}).str("id"))
}

func TestAPageOfAnotherOriginCannotCommand(t *testing.T) {
	t.Parallel()
	d := withCookies(t, func(o *api.Options) { o.PublicURL = "https://desk.example.com" })
	id := d.create()
	for name, header := range map[string]map[string]string{
		"another site":     {"Sec-Fetch-Site": "cross-site"},
		"a sibling":        {"Sec-Fetch-Site": "same-site"},
		"an old browser":   {"Origin": "https://evil.example"},
		"a hidden origin":  {"Origin": "null"},
		"plain http":       {"Origin": "http://desk.example.com"},
		"another port":     {"Origin": "http://127.0.0.1:9999"},
		"another sub-name": {"Origin": "https://x.desk.example.com"},
	} {
		for path, body := range map[string]any{
			"/v1/callbacks/" + id + "/claim": nil, "/v1/callbacks": asked(), "/v1/callbacks/" + id + "/notes": object{"kind": "note", "body": "x"},
		} {
			require.Equal(t, "forbidden", d.browses("sup1", "POST", path, body, header).refused(403, "forbidden", "").str("code"), name)
		}
		d.browses("sup1", "PUT", "/v1/me/presence", object{"state": "away"}, header).refused(403, "forbidden", "")
		d.browses("sup1", "GET", "/v1/me", nil, header).want(200) // what it reads, another origin is not shown
		d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/customer-called", as: "sup1", header: header}).want(202)
		d.browses("nobody", "POST", "/v1/callbacks/"+id+"/claim", nil, header).refused(401, "unauthenticated", "") // first of all
	}
	for _, header := range []map[string]string{
		{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://127.0.0.1:8080"}, {"Origin": "https://desk.example.com"}, {},
	} {
		d.browses("sup1", "POST", "/v1/callbacks/"+id+"/notes", object{"kind": "note", "body": "x"}, header).want(201)
	}
}

func TestTheDesksOwnPagesAskOnBehalfOfWhoLooks(t *testing.T) {
	t.Parallel()
	var d *desk
	d = newDesk(t, func(o *api.Options) {
		o.SignIn = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("sign in at " + r.URL.Path)) })
		o.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := d.book.store.Person(r.Context(), "sup1")
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			inside := httptest.NewRequestWithContext(api.As(r.Context(), api.Principal{ID: p.ID, Staff: &p.Staff}), http.MethodGet, "/v1/me", nil)
			d.http.ServeHTTP(w, inside)
		})
	})
	require.Contains(t, d.get("", "/work").want(200).text(), `"id":"sup1"`)
	for _, path := range []string{"/sign-in", "/sign-in/callback", "/sign-out"} {
		require.Equal(t, "sign in at "+path, d.get("", path).want(200).text())
	}
	require.Contains(t, d.get("", "/sign-inside").want(200).text(), "sup1", "a page of the desk's")
	d.get("", "/v1").refused(404, "not_found", "")
	d.get("", "/v1/sign-in").refused(404, "not_found", "")
	none := newDesk(t)
	for _, path := range []string{"/", "/work", "/sign-in", "/sign-out"} {
		none.get("", path).refused(404, "not_found", "")
	}
}

// Development tokens are good on this machine alone, whoever passes them on.
func TestDevTokensStayOnThisMachine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for name, change := range map[string]func(*http.Request){
		"another name (DNS rebinding)": func(r *http.Request) { r.Host = "evil.example:8080" },
		"another machine":              func(r *http.Request) { r.RemoteAddr = "192.0.2.7:4711" },
		"another address":              func(r *http.Request) { r.Host = "192.0.2.1:8080" },
		"a proxy":                      func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") },
		"a proxy by the standard":      func(r *http.Request) { r.Header.Set("Forwarded", "for=127.0.0.1") },
		"a proxy that names itself":    func(r *http.Request) { r.Header.Set("Via", "1.1 proxy") },
		"a proxy that names the host":  func(r *http.Request) { r.Header.Set("X-Forwarded-Host", "localhost") },
	} {
		r := call{method: http.MethodGet, path: "/v1/me", as: "sup1"}.request(t)
		change(r)
		w := httptest.NewRecorder()
		d.http.ServeHTTP(w, r)
		require.Equal(t, http.StatusUnauthorized, w.Code, name)
	}
	for _, host := range []string{"localhost:8080", "localhost", "127.0.0.1", "[::1]:8080", "127.9.9.9:1"} {
		r := call{method: http.MethodGet, path: "/v1/me", as: "sup1"}.request(t)
		r.Host, r.RemoteAddr = host, "[::1]:1"
		w := httptest.NewRecorder()
		d.http.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, host)
	}
}

func TestTokensOfNobodyAreLimitedPerAddress(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *api.Options) {
		o.Throttle = api.NewThrottle(9, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, o.Now)
	})
	ask := func(from, token, forwarded string) int {
		r := call{method: http.MethodGet, path: "/v1/me"}.request(t)
		r.RemoteAddr = from
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		w := httptest.NewRecorder()
		d.http.ServeHTTP(w, r)
		if w.Code == http.StatusTooManyRequests {
			require.Equal(t, "1", w.Header().Get("Retry-After"))
			require.Contains(t, w.Body.String(), `"code":"rate_limited"`)
		}
		return w.Code
	}
	for range 3 {
		require.Equal(t, 401, ask("127.0.0.1:1", "wrong", ""))
	}
	require.Equal(t, 429, ask("127.0.0.1:1", "wrong", ""))
	require.Equal(t, 429, ask("127.0.0.1:2", "wrong", "192.0.2.9"), "nobody is believed who merely says where they come from")
	require.Equal(t, 401, ask("127.0.0.1:1", "", ""), "without a token nothing is tried")
	require.Equal(t, 200, ask("127.0.0.1:1", "dev:sup1", ""), "whoever proves to be somebody is not held up")
	for range 3 {
		require.Equal(t, 401, ask("10.0.0.1:1", "wrong", "6.6.6.6, 192.0.2.9, 10.0.0.7"))
	}
	require.Equal(t, 429, ask("10.0.0.2:1", "wrong", "7.7.7.7, 192.0.2.9"), "the last one that no proxy of ours is")
	require.Equal(t, 401, ask("10.0.0.2:1", "wrong", "192.0.2.10"))
	require.Equal(t, 401, ask("10.0.0.2:1", "wrong", "nonsense"), "then it is the proxy's")
	d.clock.move(time.Minute)
	require.Equal(t, 401, ask("127.0.0.1:1", "wrong", ""))
}

// failing is an authenticator that cannot tell.
type failing struct{ err error }

func (f failing) Authenticate(context.Context, string) (api.Principal, error) {
	return api.Principal{}, f.err
}

func TestATokenThatCannotBeCheckedIsNobodysFault(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *api.Options) { o.Authenticator = failing{book.ErrUnavailable} })
	d.bearer("x.y.z", "GET", "/v1/me", nil).refused(503, "unavailable", "")
	d = newDesk(t, func(o *api.Options) { o.Authenticator = failing{errors.New("strange")} })
	d.bearer("x.y.z", "GET", "/v1/me", nil).refused(500, "internal", "")
	require.Equal(t, 1, strings.Count(d.log.String(), "strange"), "for the log alone")
}
