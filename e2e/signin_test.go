package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"
	"github.com/stretchr/testify/require"

	"ringback/e2e/harness/pg"
	"ringback/engine/embedded/freeport"
)

// browser keeps cookies and follows redirections, as browsers do.
type browser struct {
	t    *testing.T
	base string
	http *http.Client
}

func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t, base, &http.Client{Jar: jar, Timeout: time.Minute}}
}

// ask sends a form, or without one gets a page, from a page of an origin.
func (b *browser) ask(path, origin string, form url.Values) (*http.Response, object) {
	b.t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(body))
	require.NoError(b.t, err)
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.HasPrefix(path, "/v1/") {
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	answer, err := b.http.Do(r)
	require.NoError(b.t, err)
	defer func() { require.NoError(b.t, answer.Body.Close()) }()
	var shown object
	if strings.Contains(answer.Header.Get("Content-Type"), "json") {
		require.NoError(b.t, json.NewDecoder(answer.Body).Decode(&shown))
	}
	return answer, shown
}

// is who the browser is signed in as; empty: nobody.
func (b *browser) is() string {
	b.t.Helper()
	answer, me := b.ask("/v1/me", "", nil)
	if answer.StatusCode == http.StatusUnauthorized {
		return ""
	}
	require.Equal(b.t, http.StatusOK, answer.StatusCode, me)
	return me["id"].(string)
}

func TestABrowserSignsInByAClick(t *testing.T) {
	d := openDesk(t, time.Hour)
	b := newBrowser(t, d.base)
	require.Empty(t, b.is())
	answer, _ := b.ask("/sign-in", "", nil)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "text/html; charset=utf-8", answer.Header.Get("Content-Type"))
	b.ask("/sign-in/dev", d.base, url.Values{"staff_id": {"sup1"}, "next": {"/v1/staff"}}) // no page of the desk's: home
	require.Equal(t, "sup1", b.is())

	id := d.promise("promise")
	claim := "/v1/callbacks/" + id + "/claim"
	answer, refused := b.ask(claim, "https://evil.example", url.Values{})
	require.Equal(t, http.StatusForbidden, answer.StatusCode, refused)
	answer, claimed := b.ask(claim, d.base, url.Values{})
	require.Equal(t, http.StatusOK, answer.StatusCode, claimed)
	require.Equal(t, "sup1", claimed["assignee"])

	d.kill()
	d.start()
	require.Equal(t, "sup1", b.is(), "whoever is signed in stays so")
	b.ask("/sign-out", "https://evil.example", url.Values{})
	require.Equal(t, "sup1", b.is())
	b.ask("/sign-out", d.base, url.Values{})
	require.Empty(t, b.is())

	// An administrator's edit survives a restart with the same file. (sup2 is made one by the file here.)
	text, err := os.ReadFile(d.config)
	require.NoError(t, err)
	text = []byte(strings.Replace(string(text), "queues: [M]}", "queues: [M], roles: [admin]}", 1))
	require.NoError(t, os.WriteFile(d.config, text, 0o600))
	d.kill()
	d.start()
	d.must(http.StatusOK, "mgr1", "PATCH", "/v1/staff/sup2", object{"capacity": 3})
	d.kill()
	d.start()
	require.EqualValues(t, 3, d.must(http.StatusOK, "sup1", "GET", "/v1/staff/sup2", nil)["capacity"])
}

// api is the production API on a database of its own. It starts while Temporal
// is away: who somebody is does not depend on it.
type api struct {
	*production
	file string
	port int
}

func openAPI(t *testing.T, signIn string) *api {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a database")
	}
	ports, err := freeport.Take(t.Context(), 0, 0)
	require.NoError(t, err)
	a := &api{&production{desk: desk{t: t}}, filepath.Join(t.TempDir(), "ringback.yaml"), ports[0]}
	a.base = fmt.Sprintf("http://127.0.0.1:%d", a.port)
	require.NoError(t, os.WriteFile(a.file, []byte(strings.ReplaceAll(deskYAML, "@TAT@", "1h")+signIn), 0o600))
	a.env = append(os.Environ(), "RINGBACK_CONFIG="+a.file, "RINGBACK_DATABASE_URL="+pg.Database(t),
		fmt.Sprintf("RINGBACK_TEMPORAL_ADDRESS=127.0.0.1:%d", ports[1]), "RINGBACK_LOG_LEVEL=info")
	out, err := a.ringback("migrate")
	require.Error(t, err, "there is no Temporal here")
	require.Contains(t, out, "The database is up to date.")
	return a
}

func TestSystemsGetInBeyondLoopbackWithKeys(t *testing.T) {
	a := openAPI(t, "\nsign_in: {api_keys: true}\n")
	a.env = append(a.env, fmt.Sprintf("RINGBACK_LISTEN=0.0.0.0:%d", a.port))
	cmd := exec.CommandContext(t.Context(), program(t, "ringback"), "key", "checker", "--scope", "read")
	cmd.Env = a.env
	printed, err := cmd.Output()
	require.NoError(t, err)
	token := strings.TrimSpace(string(printed))
	require.Regexp(t, `^rbk_[a-z2-7]{16}_[a-z2-7]{52}$`, token)
	running := a.production.start("api", "serving")
	status, _, me, err := a.call("", "GET", "/v1/me", nil, "Authorization", "Bearer "+token)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, me)
	require.Equal(t, "system:checker", me["id"])
	require.Equal(t, http.StatusUnauthorized, a.status("sup1", "GET", "/v1/me", nil), "development tokens are not good here")
	require.Empty(t, newBrowser(t, a.base).is())
	require.NotContains(t, running.Output(), token)
	out, err := a.ringback("key", "checker", "--scope", "root")
	require.Error(t, err)
	require.Contains(t, out, "expected scopes: intake, read, audit")
}

func TestPeopleSignInAtAProvider(t *testing.T) {
	provider, err := mockoidc.Run()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, provider.Shutdown()) })
	a := openAPI(t, fmt.Sprintf(`
sign_in:
  oidc: {issuer: %q, client_id: %q, client_secret_env: DESK_SECRET, scopes: [openid, profile, groups]}
  claims:
    id: preferred_username
    tier: {claim: groups, values: {engineering: supervisor}}
    queues: {claim: groups, values: {design: S}}
`, provider.Issuer(), provider.ClientID))
	a.env = append(a.env, fmt.Sprintf("RINGBACK_LISTEN=127.0.0.1:%d", a.port))
	out, err := a.ringback("api")
	require.Error(t, err)
	require.Contains(t, out, "DESK_SECRET: expected the client's secret")
	a.env = append(a.env, "DESK_SECRET="+provider.ClientSecret)
	running := a.production.start("api", "serving")
	b := newBrowser(t, a.base)
	b.ask("/sign-in/oidc?next=/work", "", nil) // there and back again
	require.Equal(t, "jane.doe", b.is())
	_, me := b.ask("/v1/me", "", nil)
	require.Equal(t, "supervisor", me["tier"])
	require.Equal(t, []any{"S"}, me["queues"])
	require.Equal(t, http.StatusUnauthorized, a.status("sup1", "GET", "/v1/me", nil), "development tokens are not good where people sign in")
	require.NotContains(t, running.Output(), provider.ClientSecret)
	require.NotContains(t, running.Output(), "jane.doe@example.com")
	require.Contains(t, running.Output(), `"msg":"signed in","principal":"jane.doe","by":"oidc"`)
	b.ask("/sign-out", a.base, url.Values{})
	require.Empty(t, b.is())
}

// Whatever says that development tokens are wanted: beyond loopback there are none, and nothing starts.
func TestAPIRefusesToListenBeyondLoopback(t *testing.T) {
	for _, want := range []struct {
		file, env string
		args      []string
	}{
		{args: []string{"--listen", "0.0.0.0:0"}},
		{args: []string{"--listen", "0.0.0.0:0", "--dev-tokens"}},
		{env: "RINGBACK_LISTEN=:0"},
		{env: "RINGBACK_DEV_TOKENS=true", args: []string{"--listen", "192.0.2.7:8080"}},
		{args: []string{"--public-url", "https://desk.example.com"}},
		{args: []string{"--public-url", "https://desk.example.com", "--dev-tokens"}},
		{file: "server: {listen: '0.0.0.0:0', dev_tokens: true}"},
		{file: "sign_in: {api_keys: true}\nserver: {listen: '0.0.0.0:0', dev_tokens: true}"},
		{file: "sign_in: {api_keys: false}\nserver: {listen: '0.0.0.0:0'}"},
	} {
		for _, name := range []string{"ringback", "ringback-dev"} {
			file := filepath.Join(t.TempDir(), "ringback.yaml")
			require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(deskYAML, "@TAT@", "1h")+"\n"+want.file+"\n"), 0o600))
			args := want.args
			if name == "ringback" {
				args = append([]string{"api"}, args...)
			} else if len(args) > 0 && args[0] == "--public-url" || len(args) > 2 {
				continue // it has no such flags
			}
			cmd := exec.CommandContext(t.Context(), program(t, name), args...)
			cmd.Env = append(os.Environ(), "RINGBACK_CONFIG="+file, "RINGBACK_DATABASE_URL=postgres://127.0.0.1:1/none", want.env)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s %v", name, args)
			require.Equal(t, 2, exit.ExitCode(), "%s %v: %s", name, args, out)
		}
	}
}
