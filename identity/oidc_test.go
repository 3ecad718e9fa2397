package identity_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/identity"
)

func TestMain(m *testing.M) {
	mockoidc.NowFunc = func() time.Time { return noon }
	os.Exit(m.Run())
}

// claimed is somebody at the provider: their subject, and all that is claimed
// of them; change alters the token before it is signed.
type claimed struct {
	subject string
	claims  map[string]any
	change  func(jwt.MapClaims)
	info    map[string]any
}

func (c *claimed) ID() string { return c.subject }

func (c *claimed) Userinfo([]string) ([]byte, error) {
	if c.info == nil {
		return json.Marshal(map[string]any{"sub": c.subject})
	}
	return json.Marshal(c.info)
}

func (c *claimed) Claims(_ []string, base *mockoidc.IDTokenClaims) (jwt.Claims, error) {
	all := jwt.MapClaims{}
	b, err := json.Marshal(base)
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	maps.Copy(all, c.claims)
	if c.change != nil {
		c.change(all)
	}
	return all, err
}

// rita is a supervisor at the provider.
func rita(change ...func(*claimed)) *claimed {
	c := &claimed{subject: "s-1001", claims: map[string]any{
		"preferred_username": "rita", "name": "Rita Roy", "groups": []string{"desk-sup", "queue-rm", "others"},
		"realm_access": map[string]any{"roles": []string{"desk-admin"}},
	}}
	for _, f := range change {
		f(c)
	}
	return c
}

// provider is a real provider on this machine, and what reaches it.
type provider struct {
	t    testing.TB
	mock *mockoidc.MockOIDC

	mu    sync.Mutex
	away  bool
	asked map[string]int
	also  map[string]any // what discovery says besides
}

func openProvider(t testing.TB) *provider {
	t.Helper()
	m, err := mockoidc.Run()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown()) })
	return &provider{t: t, mock: m, asked: map[string]int{}}
}

// RoundTrip implements http.RoundTripper.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.asked[r.URL.Path]++
	away, also := p.away, p.also
	p.mu.Unlock()
	if away {
		return nil, errors.New("connection refused")
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || also == nil || !strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		return answer, err
	}
	var says map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&says); err != nil {
		return nil, err
	}
	maps.Copy(says, also)
	b, err := json.Marshal(says)
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return answer, err
}

func (p *provider) set(f func(p *provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

func (p *provider) times(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

func (p *provider) options() *identity.OIDC {
	return &identity.OIDC{
		Issuer: p.mock.Issuer(), ClientID: p.mock.ClientID, ClientSecret: p.mock.ClientSecret, Audience: []string{p.mock.ClientID, "ringback-api"},
		Scopes: []string{"openid", "profile"}, Title: "Train ID", ClockSkew: time.Minute, Transport: p,
		Claims: identity.Claims{
			ID: identity.Claim{Path: []string{"preferred_username"}}, Name: identity.Claim{Path: []string{"name"}},
			Tier:   identity.Claim{Path: []string{"groups"}, Values: map[string][]string{"desk-sup": {"supervisor"}, "desk-mgr": {"manager"}, "desk": {"associate"}}},
			Queues: identity.Claim{Path: []string{"groups"}, Values: map[string][]string{"queue-rm": {"Supervisors - RM"}, "queue-all": {"Supervisors - RM", "Supervisors - Air"}}},
			Roles:  identity.Claim{Path: []string{"realm_access.roles"}, Values: map[string][]string{"desk-admin": {"admin"}, "desk-audit": {"auditor"}}},
		},
	}
}

// with is a door at which people of the provider sign in.
func (p *provider) with(change ...func(*identity.Options)) *door {
	p.t.Helper()
	return openDoor(p.t, append([]func(*identity.Options){func(o *identity.Options) {
		o.Dev, o.OIDC = false, p.options()
		o.Ranks = map[string]int{"associate": 1, "supervisor": 2, "manager": 3}
	}}, change...)...)
}

// token is a bearer token of somebody's, signed by the provider.
func (p *provider) token(c *claimed) string {
	p.t.Helper()
	now := p.mock.Now()
	all := jwt.MapClaims{
		"iss": p.mock.Issuer(), "sub": c.subject, "aud": "ringback-api", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(all, c.claims)
	if c.change != nil {
		c.change(all)
	}
	raw, err := p.mock.Keypair.SignJWT(all)
	require.NoError(p.t, err)
	return raw
}

func (p *provider) rotate() {
	p.t.Helper()
	keys, err := mockoidc.RandomKeypair(2048)
	require.NoError(p.t, err)
	p.mock.Keypair = keys
}

// goes to the provider as somebody, and returns where that sends the browser back to.
func (b *browser) goes(p *provider, who *claimed, next string) string {
	b.t.Helper()
	p.mock.QueueUser(who)
	begun := b.get("/sign-in/oidc?next=" + url.QueryEscape(next))
	require.Equal(b.t, http.StatusSeeOther, begun.StatusCode)
	there, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, begun.Header.Get("Location"), nil)
	require.NoError(b.t, err)
	answer, err := http.DefaultTransport.RoundTrip(there)
	require.NoError(b.t, err)
	require.NoError(b.t, answer.Body.Close())
	require.Equal(b.t, http.StatusFound, answer.StatusCode)
	back, err := url.Parse(answer.Header.Get("Location"))
	require.NoError(b.t, err)
	require.Equal(b.t, "/sign-in/callback", back.Path)
	return back.RequestURI()
}

// signsInAt the provider, or is refused.
func (b *browser) signsInAt(p *provider, who *claimed) *http.Response {
	b.t.Helper()
	return b.get(b.goes(p, who, "/work"))
}

// refusedFor requires that somebody was not signed in, and why.
func (b *browser) refusedFor(answer *http.Response, why string) {
	b.t.Helper()
	require.Equal(b.t, http.StatusForbidden, answer.StatusCode)
	require.Contains(b.t, b.log.String(), `"why":"`+why+`"`)
	require.Empty(b.t, b.is())
}

func TestSomebodySignsInAtTheProvider(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	b := d.browser()
	require.Contains(t, text(t, b.get("/sign-in?next=/work")), `href="/sign-in/oidc?next=%2fwork">Sign in with Train ID`)
	answer := b.signsInAt(p, rita())
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
	require.Equal(t, "/work", answer.Header.Get("Location"))
	require.Equal(t, "rita", b.is())
	who, err := d.book.Person(t.Context(), "rita")
	require.NoError(t, err)
	require.Equal(t, book.Person{
		Staff:   book.Staff{ID: "rita", Name: "Rita Roy", Tier: "supervisor", Rank: 2, Queues: []string{"Supervisors - RM"}, Roles: []string{"admin"}},
		Version: 1, Origin: book.OriginSignIn, Subject: p.mock.Issuer() + " s-1001",
	}, who)
	require.Contains(t, d.log.String(), `"msg":"signed in","principal":"rita","by":"oidc"`)
	require.NotContains(t, d.log.String(), "Rita Roy")
	require.NotContains(t, d.log.String(), "s-1001")

	// The next sign-in changes what is claimed otherwise, and nothing else.
	again := d.browser()
	again.signsInAt(p, rita(func(c *claimed) { c.claims["groups"] = []string{"desk-mgr", "desk-sup", "queue-all"} }))
	who, err = d.book.Person(t.Context(), "rita")
	require.NoError(t, err)
	require.Equal(t, "manager", who.Tier, "the highest that is claimed")
	require.Equal(t, []string{"Supervisors - RM", "Supervisors - Air"}, who.Queues)
	require.EqualValues(t, 2, who.Version)
	again.signsInAt(p, rita(func(c *claimed) { c.claims["groups"] = []string{"desk-mgr", "desk-sup", "queue-all"} }))
	who, err = d.book.Person(t.Context(), "rita")
	require.NoError(t, err)
	require.EqualValues(t, 2, who.Version, "nothing has changed")
}

func TestTheProviderIsAskedSafely(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	b := p.with().browser()
	first, err := url.Parse(b.get("/sign-in/oidc").Header.Get("Location"))
	require.NoError(t, err)
	q := first.Query()
	require.Equal(t, "code", q.Get("response_type"))
	require.Equal(t, "S256", q.Get("code_challenge_method"))
	require.Len(t, q.Get("code_challenge"), 43)
	require.Equal(t, "http://127.0.0.1:8080/sign-in/callback", q.Get("redirect_uri"))
	require.Equal(t, "openid profile", q.Get("scope"))
	require.GreaterOrEqual(t, len(q.Get("state")), 26, "128 bits")
	require.GreaterOrEqual(t, len(q.Get("nonce")), 26)
	second, err := url.Parse(b.get("/sign-in/oidc").Header.Get("Location"))
	require.NoError(t, err)
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		require.NotEqual(t, q.Get(name), second.Query().Get(name))
	}
	for _, c := range b.cookies { // nothing of it is told to the browser
		require.NotContains(t, c.Value, q.Get("state"))
	}
}

func TestACallbackIsGoodOnce(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	b := d.browser()
	back := b.goes(p, rita(), "/work")
	b.get(back)
	require.Equal(t, "rita", b.is())
	b.post("/sign-out", nil)
	b.refusedFor(b.get(back), "unknown_state")

	// Nor is a code, under a state that is good.
	fresh, err := url.Parse(b.goes(p, rita(), "/work"))
	require.NoError(t, err)
	used, err := url.Parse(back)
	require.NoError(t, err)
	q := fresh.Query()
	q.Set("code", used.Query().Get("code"))
	b.refusedFor(b.get("/sign-in/callback?"+q.Encode()), "code_refused")
}

func TestACallbackIsForTheBrowserThatBegan(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	attacker, victim := d.browser(), d.browser()
	back := attacker.goes(p, rita(), "/work")
	victim.refusedFor(victim.get(back), "unknown_state")
	victim.goes(p, rita(), "/work")
	victim.refusedFor(victim.get(back), "unknown_state")

	// A code that was begun elsewhere does not fit the verifier (PKCE).
	stolen, err := url.Parse(back)
	require.NoError(t, err)
	own, err := url.Parse(victim.goes(p, rita(), "/work"))
	require.NoError(t, err)
	q := own.Query()
	q.Set("code", stolen.Query().Get("code"))
	victim.refusedFor(victim.get("/sign-in/callback?"+q.Encode()), "code_refused")
	for _, query := range []string{"", "?code=x", "?state=&code=x", "?state=guess&code=x"} {
		victim.refusedFor(victim.get("/sign-in/callback"+query), "unknown_state")
	}
}

func TestASignInTakesTenMinutesAtMost(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	b := d.browser()
	back := b.goes(p, rita(), "/work")
	d.clock.move(10 * time.Minute)
	b.refusedFor(b.get(back), "unknown_state")
}

func TestSeveralTabsSignIn(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	b := p.with().browser()
	one, two := b.goes(p, rita(), "/one"), b.goes(p, rita(), "/two")
	require.Equal(t, "/two", b.get(two).Header.Get("Location"))
	require.Equal(t, "/one", b.get(one).Header.Get("Location"))
	require.Equal(t, "rita", b.is())
	// Whoever begins again stays signed in until it is finished.
	b.goes(p, rita(), "/three")
	require.Equal(t, "rita", b.is())
	oldest := b.goes(p, rita(), "/")
	for range 5 {
		b.goes(p, rita(), "/")
	}
	require.Equal(t, http.StatusForbidden, b.get(oldest).StatusCode, "only so many are kept")
}

func TestSigningInAtTheProviderRotatesTheToken(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	b := p.with().browser()
	b.signsInAt(p, rita())
	old := b.request(http.MethodGet, "/", nil)
	b.signsInAt(p, rita())
	_, err := b.Principal(old)
	require.ErrorIs(t, err, api.ErrUnauthenticated)
}

func TestAnIDTokenMustBeForThisSignIn(t *testing.T) {
	t.Parallel()
	for why, change := range map[string]func(jwt.MapClaims){
		"issuer":            func(c jwt.MapClaims) { c["iss"] = "https://evil.example" },
		"audience":          func(c jwt.MapClaims) { c["aud"] = "another-client" },
		"nonce":             func(c jwt.MapClaims) { c["nonce"] = "another" },
		"expired":           func(c jwt.MapClaims) { c["exp"] = noon.Add(-61 * time.Second).Unix() },
		"from_the_future":   func(c jwt.MapClaims) { c["iat"] = noon.Add(61 * time.Second).Unix() },
		"authorized_party":  func(c jwt.MapClaims) { c["azp"] = "another-client" },
		"no_subject":        func(c jwt.MapClaims) { c["sub"] = "" },
		"no_staff_id":       func(c jwt.MapClaims) { c["preferred_username"] = "rita/../admin" },
		"no_tier":           func(c jwt.MapClaims) { c["groups"] = []string{"others"} },
		"access_token_hash": func(c jwt.MapClaims) { c["at_hash"] = "x" },
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			p := openProvider(t)
			b := p.with().browser()
			b.refusedFor(b.signsInAt(p, rita(func(c *claimed) { c.change = change })), why)
			_, err := b.book.Person(t.Context(), "rita")
			require.ErrorIs(t, err, book.ErrNotFound)
		})
	}
	p := openProvider(t)
	b := p.with().browser()
	b.signsInAt(p, rita(func(c *claimed) {
		c.change = func(c jwt.MapClaims) {
			c["exp"], c["iat"] = noon.Add(-59*time.Second).Unix(), noon.Add(59*time.Second).Unix() // clocks differ a little
			delete(c, "nbf")
		}
	}))
	require.Equal(t, "rita", b.is())
	b = p.with().browser()
	b.refusedFor(b.get(b.goes(p, rita(), "/")+"&iss=https://evil.example"), "issuer")
	b.refusedFor(b.get(b.goes(p, rita(), "/")+"&error=access_denied"), "provider_said_access_denied")
	b.refusedFor(b.get(b.goes(p, rita(), "/")+"&error=%3Cscript%3E"), "provider_said_error")
}

func TestARefusalSaysNothingOfWhoWorksHere(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	pages := map[string]bool{}
	require.NoError(t, d.book.SyncStaff(t.Context(), append(staff(), book.Staff{ID: "gone", Name: "Gone", Tier: "associate", Rank: 1})))
	require.NoError(t, d.book.SyncStaff(t.Context(), staff()))
	taken := d.browser()
	taken.signsInAt(p, rita())
	for name, who := range map[string]*claimed{
		"no longer here":     {subject: "a", claims: map[string]any{"preferred_username": "gone", "groups": "desk"}},
		"not of the desk":    {subject: "b", claims: map[string]any{"preferred_username": "stranger"}},
		"another subject's":  {subject: "c", claims: map[string]any{"preferred_username": "rita", "groups": "desk"}},
		"an unfit staff id":  {subject: "d", claims: map[string]any{"preferred_username": "a b", "groups": "desk"}},
		"the clock":          {subject: "e", claims: map[string]any{"preferred_username": "clock", "groups": "desk"}},
		"a system":           {subject: "f", claims: map[string]any{"preferred_username": "system:x", "groups": "desk"}},
		"two ids":            {subject: "g", claims: map[string]any{"preferred_username": []string{"x", "y"}, "groups": "desk"}},
		"a number for an id": {subject: "h", claims: map[string]any{"preferred_username": 7, "groups": "desk"}},
	} {
		b := d.browser()
		answer := b.signsInAt(p, who)
		require.Equal(t, http.StatusForbidden, answer.StatusCode, name)
		require.Empty(t, b.is(), name)
		pages[text(t, answer)] = true
	}
	require.Len(t, pages, 1)
}

func TestAStaffIDIsOneSubjects(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	b := d.browser()
	b.signsInAt(p, rita())
	// A name that becomes somebody else's at the provider does not become them here.
	other := d.browser()
	other.refusedFor(other.signsInAt(p, rita(func(c *claimed) { c.subject = "s-2002" })), "staff_id_is_another_subjects")
	// Whoever is renamed there stays who they are here: their id is in histories.
	renamed := d.browser()
	renamed.signsInAt(p, rita(func(c *claimed) { c.claims["preferred_username"] = "rita.rao" }))
	require.Equal(t, "rita", renamed.is())
	_, err := d.book.Person(t.Context(), "rita.rao")
	require.ErrorIs(t, err, book.ErrNotFound)
	// Somebody who was here before they first signed in is the same person.
	sup1 := d.browser()
	sup1.signsInAt(p, rita(func(c *claimed) { c.subject, c.claims["preferred_username"] = "s-3", "sup1" }))
	who, err := d.book.Person(t.Context(), "sup1")
	require.NoError(t, err)
	require.Equal(t, book.OriginFile, who.Origin)
	require.Equal(t, "Rita Roy", who.Name)
	require.NoError(t, d.book.SyncStaff(t.Context(), staff()[:1]))
	require.Equal(t, "sup1", sup1.is(), "from now on they are the provider's, not the file's")
}

func TestWhatAnAdministratorHasSetStays(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	d.browser().signsInAt(p, rita())
	_, err := d.book.EditPerson(t.Context(), "rita", func(r book.Roster) (book.Person, error) {
		now := *r.Person("rita")
		now.Set(book.Person{Staff: book.Staff{Queues: []string{"Managers - RM"}}}, []book.Attribute{book.AttributeQueues})
		return now, nil
	}, nil)
	require.NoError(t, err)
	d.browser().signsInAt(p, rita(func(c *claimed) { c.claims["name"] = "Rita Rao" }))
	who, err := d.book.Person(t.Context(), "rita")
	require.NoError(t, err)
	require.Equal(t, []string{"Managers - RM"}, who.Queues)
	require.Equal(t, "Rita Rao", who.Name)
}

func TestAClaimThatIsGoneIsAnEmptyOne(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	d.browser().signsInAt(p, rita())
	d.browser().signsInAt(p, rita(func(c *claimed) { delete(c.claims, "realm_access") }))
	who, err := d.book.Person(t.Context(), "rita")
	require.NoError(t, err)
	require.Empty(t, who.Roles, "nobody stays an administrator because nothing is said")
}

func TestWithoutATierInTheClaimsTheDatabaseSaysWhoWorksHere(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with(func(o *identity.Options) {
		o.OIDC.Claims.Tier, o.OIDC.Claims.Queues = identity.Claim{}, identity.Claim{}
	})
	b := d.browser()
	b.refusedFor(b.signsInAt(p, rita()), "nobody_here")
	b.signsInAt(p, rita(func(c *claimed) { c.claims["preferred_username"] = "sup1" }))
	require.Equal(t, "sup1", b.is())
	who, err := d.book.Person(t.Context(), "sup1")
	require.NoError(t, err)
	require.Equal(t, []string{"Supervisors - RM", "Supervisors - Air"}, who.Queues)
}

func TestWhoIsDeactivatedCannotSignIn(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	b := d.browser()
	b.signsInAt(p, rita())
	token := p.token(rita())
	_, err := d.Authenticate(t.Context(), token)
	require.NoError(t, err)
	_, err = d.book.EditPerson(t.Context(), "rita", func(r book.Roster) (book.Person, error) {
		now := *r.Person("rita")
		now.Set(book.Person{Inactive: true}, []book.Attribute{book.AttributeActive})
		return now, nil
	}, nil)
	require.NoError(t, err)
	require.Empty(t, b.is())
	b.refusedFor(b.signsInAt(p, rita()), "inactive")
	_, err = d.Authenticate(t.Context(), token)
	require.ErrorIs(t, err, api.ErrUnauthenticated)
}

func TestUserInfoIsAskedWhereItIsConfigured(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	who := rita(func(c *claimed) {
		delete(c.claims, "groups")
		c.info = map[string]any{"sub": c.subject, "groups": []string{"desk-sup"}, "preferred_username": "not taken: the token has one"}
	})
	b := p.with().browser()
	b.refusedFor(b.signsInAt(p, who), "no_tier")
	b = p.with(func(o *identity.Options) { o.OIDC.UserInfo = true }).browser()
	b.signsInAt(p, who)
	require.Equal(t, "rita", b.is())
	who.info["sub"] = "another"
	b = p.with(func(o *identity.Options) { o.OIDC.UserInfo = true }).browser()
	b.refusedFor(b.signsInAt(p, who), "userinfo")
}

func TestSigningOutThereToo(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	p.also = map[string]any{"end_session_endpoint": "https://id.example.com/logout?ui=en"}
	b := p.with().browser()
	b.signsInAt(p, rita())
	answer := b.post("/sign-out", nil)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	to := strings.TrimPrefix(answer.Header.Get("Refresh"), "0; url=")
	there, err := url.Parse(to)
	require.NoError(t, err)
	require.Equal(t, "id.example.com/logout", there.Host+there.Path)
	require.Equal(t, url.Values{"ui": {"en"}, "client_id": {p.mock.ClientID}, "post_logout_redirect_uri": {"http://127.0.0.1:8080/sign-in"}}, there.Query())
	require.Contains(t, text(t, answer), "Sign out of Train ID too")
	require.Empty(t, b.is())
}

func TestBehindTLSTheCookiesAreTheHostsAlone(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	b := p.with(func(o *identity.Options) { o.PublicURL = "https://desk.example.com" }).browser()
	b.signsInAt(p, rita())
	for _, name := range []string{"__Host-ringback", "__Host-ringback-flow"} {
		c := b.cookies[name]
		require.NotNil(t, c, name)
		require.True(t, c.Secure)
		require.True(t, c.HttpOnly)
		require.Equal(t, "/", c.Path)
		require.Empty(t, c.Domain)
		require.Equal(t, http.SameSiteLaxMode, c.SameSite)
	}
	shown := b.get("/sign-in")
	require.NotEmpty(t, shown.Header.Get("Strict-Transport-Security"))
	// Behind a proxy that changes the Host, the desk's own pages are its own.
	b.header = map[string]string{"Accept": "text/html", "Origin": "https://desk.example.com"}
	require.Equal(t, http.StatusSeeOther, b.post("/sign-out", nil).StatusCode)
}

func TestBearerTokens(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	who, err := d.Authenticate(t.Context(), p.token(rita()))
	require.NoError(t, err)
	require.Equal(t, "rita", who.ID)
	require.Equal(t, "supervisor", who.Staff.Tier)
	require.Empty(t, who.Scopes)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	claims := jwt.MapClaims{"iss": p.mock.Issuer(), "sub": "s-1001", "aud": "ringback-api", "exp": noon.Add(time.Hour).Unix(), "preferred_username": "rita", "groups": "desk-mgr"}
	forged := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	kid, err := p.mock.Keypair.KeyID()
	require.NoError(t, err)
	forged.Header["kid"] = kid
	forgery, err := forged.SignedString(key)
	require.NoError(t, err)
	// The public key as a secret: an old trick.
	public, err := p.mock.Keypair.JWKS()
	require.NoError(t, err)
	trick, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(public)
	require.NoError(t, err)
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	good := p.token(rita())
	parts := strings.Split(good, ".")
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	change := func(f func(jwt.MapClaims)) string { return p.token(rita(func(c *claimed) { c.change = f })) }
	logout := func() string {
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
		token.Header["kid"], token.Header["typ"] = kid, "logout+jwt"
		raw, err := token.SignedString(p.mock.Keypair.PrivateKey)
		require.NoError(t, err)
		return raw
	}
	for name, token := range map[string]string{
		"signed by another":      forgery,
		"signed by a public key": trick,
		"not signed":             none,
		"other claims":           parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2],
		"cut short":              good[:len(good)-10],
		"of another issuer":      change(func(c jwt.MapClaims) { c["iss"] = "https://evil.example" }),
		"for another audience":   change(func(c jwt.MapClaims) { c["aud"] = []string{"x", "y"} }),
		"for nobody":             change(func(c jwt.MapClaims) { delete(c, "aud") }),
		"expired":                change(func(c jwt.MapClaims) { c["exp"] = noon.Add(-61 * time.Second).Unix() }),
		"without an end":         change(func(c jwt.MapClaims) { delete(c, "exp") }),
		"not yet good":           change(func(c jwt.MapClaims) { c["nbf"] = noon.Add(time.Hour).Unix() }),
		"from the future":        change(func(c jwt.MapClaims) { c["iat"] = noon.Add(time.Hour).Unix() }),
		"of nobody":              change(func(c jwt.MapClaims) { c["sub"] = "" }),
		"not of the desk":        change(func(c jwt.MapClaims) { delete(c, "groups") }),
		"a logout token":         logout(),
		"no token":               "x.y.z",
		"nothing":                "",
		"a key":                  "rbk_a_b",
		"a development token":    "dev:sup1",
	} {
		_, err := d.Authenticate(t.Context(), token)
		require.ErrorIs(t, err, api.ErrUnauthenticated, name)
	}
	who, err = d.Authenticate(t.Context(), change(func(c jwt.MapClaims) { c["aud"] = []string{"x", p.mock.ClientID} }))
	require.NoError(t, err)
	require.Equal(t, "rita", who.ID)
	require.NotContains(t, d.log.String(), "Rita")
}

func TestKeysThatTurnOver(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	d := p.with()
	move := func(by time.Duration) {
		d.clock.move(by)
		p.mock.FastForward(by)
	}
	old := p.token(rita())
	for range 20 {
		_, err := d.Authenticate(t.Context(), old)
		require.NoError(t, err)
	}
	require.Equal(t, 1, p.times("/oidc/.well-known/jwks.json"), "keys are kept")
	p.rotate()
	fresh := p.token(rita())
	for range 20 {
		_, err := d.Authenticate(t.Context(), fresh)
		require.ErrorIs(t, err, api.ErrUnauthenticated)
	}
	require.Equal(t, 1, p.times("/oidc/.well-known/jwks.json"), "however many tokens name a key that is not there")
	move(10 * time.Second)
	// Keys are put away after the first who asked is told: whoever comes in between is judged
	// by those before. So a token may be shown again, but the provider is asked once.
	comes := func(to error, token, why string) {
		require.Eventually(t, func() bool {
			_, err := d.Authenticate(t.Context(), token)
			return errors.Is(err, to)
		}, time.Minute, time.Millisecond, why)
	}
	comes(nil, fresh, "a new key is fetched when it is first seen")
	comes(api.ErrUnauthenticated, old, "and the old one is no longer good")
	require.Equal(t, 2, p.times("/oidc/.well-known/jwks.json"))

	// A key that is withdrawn without another is good for an hour at most.
	p.rotate()
	move(time.Hour)
	_, err := d.Authenticate(t.Context(), fresh)
	require.ErrorIs(t, err, api.ErrUnauthenticated)
}

func TestAProviderThatIsAway(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	p.set(func(p *provider) { p.away = true })
	d := p.with()
	b := d.browser()
	require.Equal(t, http.StatusOK, b.get("/sign-in").StatusCode, "the desk opens without it")
	require.Equal(t, http.StatusServiceUnavailable, b.get("/sign-in/oidc").StatusCode)
	_, err := d.Authenticate(t.Context(), p.token(rita()))
	var f *callback.Fault
	require.ErrorAs(t, err, &f)
	require.Equal(t, callback.CodeUnavailable, f.Code)
	require.Equal(t, 1, p.times("/oidc/.well-known/openid-configuration"), "it is not asked all the time")
	p.set(func(p *provider) { p.away = false })
	d.clock.move(2 * time.Second)
	p.mock.FastForward(2 * time.Second)
	back := b.goes(p, rita(), "/work")
	p.set(func(p *provider) { p.away = true })
	require.Equal(t, http.StatusServiceUnavailable, b.get(back).StatusCode)
	p.set(func(p *provider) { p.away = false })
	b.signsInAt(p, rita())
	require.Equal(t, "rita", b.is())

	// Once it is known, tokens are checked without it.
	p.set(func(p *provider) { p.away = true })
	d.clock.move(2 * time.Hour)
	p.mock.FastForward(2 * time.Hour)
	_, err = d.Authenticate(t.Context(), p.token(rita()))
	require.NoError(t, err)
	require.NotContains(t, d.log.String(), p.mock.ClientSecret)
}

func TestWhoTriesTooOftenIsSlowedDown(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	clock := &clock{at: noon}
	d := p.with(func(o *identity.Options) { o.Throttle = api.NewThrottle(6, nil, clock.now) })
	b := d.browser()
	fails := func(from string) int {
		r := b.request(http.MethodGet, "/sign-in/callback?state=guess&code=x", nil)
		r.RemoteAddr = from
		r.Header.Set("X-Forwarded-For", from+"0") // believed of nobody
		return b.do(r).StatusCode
	}
	require.Equal(t, http.StatusForbidden, fails("192.0.2.1:1"))
	require.Equal(t, http.StatusForbidden, fails("192.0.2.1:2"))
	require.Equal(t, http.StatusTooManyRequests, fails("192.0.2.1:3"))
	require.Equal(t, http.StatusForbidden, fails("192.0.2.2:1"), "others are not")
	require.Equal(t, http.StatusForbidden, fails("[2001:db8::1]:1"))
	require.Equal(t, http.StatusForbidden, fails("[2001:db8::2]:1"))
	require.Equal(t, http.StatusTooManyRequests, fails("[2001:db8::3]:1"), "a network is one machine's")
	b.signsInAt(p, rita())
	require.Equal(t, "rita", b.is(), "whoever is who they say is not slowed down")
	clock.move(10 * time.Second)
	require.Equal(t, http.StatusForbidden, fails("192.0.2.1:4"))
	for range 20 {
		b.get("/sign-in/oidc")
	}
	require.Equal(t, http.StatusTooManyRequests, b.get("/sign-in/oidc").StatusCode)
}

// absent is a database that can be away.
type absent struct {
	identity.Book

	mu   sync.Mutex
	away bool
}

func (a *absent) gone() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		return book.ErrUnavailable
	}
	return nil
}

func (a *absent) set(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}

func (a *absent) Session(ctx context.Context, id string) (book.Session, error) {
	if err := a.gone(); err != nil {
		return book.Session{}, err
	}
	return a.Book.Session(ctx, id)
}

func (a *absent) Meet(ctx context.Context, m book.Meeting) (book.Person, error) {
	if err := a.gone(); err != nil {
		return book.Person{}, err
	}
	return a.Book.Meet(ctx, m)
}

func (a *absent) DropSession(ctx context.Context, id string) error {
	if err := a.gone(); err != nil {
		return err
	}
	return a.Book.DropSession(ctx, id)
}

func TestPeopleStayThemselvesWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	p := openProvider(t)
	var kept *absent
	d := p.with(func(o *identity.Options) {
		kept = &absent{Book: o.Book}
		o.Book = kept
	})
	b, late := d.browser(), d.browser()
	b.signsInAt(p, rita())
	late.signsInAt(p, rita())
	require.Equal(t, "rita", b.is())
	token := p.token(rita())
	_, err := d.Authenticate(t.Context(), token)
	require.NoError(t, err)
	kept.set(true)
	require.Equal(t, "rita", b.is())
	_, err = d.Authenticate(t.Context(), token)
	require.NoError(t, err)
	_, err = late.Principal(late.request(http.MethodGet, "/", nil))
	require.ErrorIs(t, err, book.ErrUnavailable, "who was never asked for cannot be told")
	require.Equal(t, http.StatusServiceUnavailable, b.get("/sign-in/oidc").StatusCode)
	require.Equal(t, http.StatusServiceUnavailable, b.post("/sign-out", nil).StatusCode)
	_, err = b.Principal(b.request(http.MethodGet, "/", nil))
	require.ErrorIs(t, err, book.ErrUnavailable, "whoever asked to be signed out is nobody")
	d.clock.move(15 * time.Minute)
	p.mock.FastForward(15 * time.Minute)
	_, err = d.Authenticate(t.Context(), p.token(rita()))
	require.ErrorIs(t, err, book.ErrUnavailable, "not for ever")
	kept.set(false)
	require.Equal(t, "rita", late.is())
}
