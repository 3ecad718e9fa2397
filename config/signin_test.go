package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const signsIn = `organization: Train support
tiers: {associate: 1, supervisor: 2, manager: 3}
policies: {p: {title: P, ladder: [{tier: supervisor, queue: Supervisors - RM, tat: 1h}], resolution_reasons: [{code: done, title: Done}]}}
sign_in:
  oidc:
    issuer: https://id.example.com/realms/desk
    client_id: ringback
    client_secret_env: OIDC_CLIENT_SECRET
    audience: [ringback-api]
    scopes: [openid, groups]
    title: Train ID
    clock_skew: 30s
    userinfo: true
  claims:
    id: employee_id
    name: {claim: [profile, "full.name"]}
    tier: {claim: groups, values: {desk-sup: supervisor, desk-mgr: manager}, default: associate}
    queues: {claim: realm_access.roles, values: {rm: Supervisors - RM, all: [Supervisors - RM, Managers - RM]}}
    roles: {claim: groups, values: {desk-admin: admin, desk-audit: auditor}}
  session: {idle: 30m, absolute: 8h}
  api_keys: false
server: {listen: ":8080", public_url: "https://desk.example.com/"}
`

func TestSigningInIsConfigured(t *testing.T) {
	t.Parallel()
	c, err := Parse("r.yaml", []byte(signsIn))
	require.NoError(t, err)
	require.Equal(t, SignIn{
		OIDC: &OIDC{
			Issuer: "https://id.example.com/realms/desk", ClientID: "ringback", ClientSecretEnv: "OIDC_CLIENT_SECRET",
			Audience: []string{"ringback-api"}, Scopes: []string{"openid", "groups"}, Title: "Train ID", ClockSkew: 30 * time.Second, UserInfo: true,
		},
		Claims: Claims{
			ID: Claim{Path: []string{"employee_id"}}, Name: Claim{Path: []string{"profile", "full.name"}},
			Tier: Claim{
				Path: []string{"groups"}, Default: []string{"associate"},
				Values: map[string][]string{"desk-sup": {"supervisor"}, "desk-mgr": {"manager"}},
			},
			Queues: Claim{
				Path: []string{"realm_access.roles"}, Values: map[string][]string{"rm": {"Supervisors - RM"}, "all": {"Supervisors - RM", "Managers - RM"}},
			},
			Roles: Claim{Path: []string{"groups"}, Values: map[string][]string{"desk-admin": {"admin"}, "desk-audit": {"auditor"}}},
		},
		Idle: 30 * time.Minute, Absolute: 8 * time.Hour, APIKeys: false, keys: true,
	}, c.SignIn)
	require.True(t, c.SignIn.Configured())
	require.Equal(t, "https://desk.example.com", c.Settings.Server.PublicURL)
	require.False(t, c.Settings.Server.PublicLoopback())

	secret, err := c.SignIn.OIDC.Secret([]string{"A=b", "OIDC_CLIENT_SECRET=s=3"})
	require.NoError(t, err)
	require.Equal(t, "s=3", secret)
	_, err = c.SignIn.OIDC.Secret([]string{"OIDC_CLIENT_SECRET="})
	require.EqualError(t, err, "OIDC_CLIENT_SECRET: expected the client's secret: sign_in.oidc.client_secret_env names this variable")
}

func TestSigningInHasDefaults(t *testing.T) {
	t.Parallel()
	c, err := Parse("r.yaml", []byte(minimal))
	require.NoError(t, err)
	require.False(t, c.SignIn.Configured())
	require.Equal(t, time.Hour, c.SignIn.Idle)
	require.Equal(t, 12*time.Hour, c.SignIn.Absolute)
	require.True(t, c.SignIn.APIKeys)
	c, err = Parse("r.yaml", []byte(minimal+"sign_in: {api_keys: true}"))
	require.NoError(t, err)
	require.True(t, c.SignIn.Configured(), "keys alone are a way in, if the file says so")
	c, err = Parse("r.yaml", []byte(minimal+"sign_in: {oidc: {issuer: 'http://127.0.0.1:9000/oidc', client_id: desk}}"))
	require.NoError(t, err)
	require.Equal(t, &OIDC{
		Issuer: "http://127.0.0.1:9000/oidc", ClientID: "desk", Audience: []string{"desk"}, Scopes: []string{"openid", "profile"},
		Title: "single sign-on", ClockSkew: time.Minute,
	}, c.SignIn.OIDC)
	require.Equal(t, Claims{ID: Claim{Path: []string{"sub"}}, Name: Claim{Path: []string{"name"}}}, c.SignIn.Claims)
	secret, err := c.SignIn.OIDC.Secret(nil)
	require.NoError(t, err)
	require.Empty(t, secret, "a public client")
}

func TestMistakesInSigningIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, old, new, want string }{
		{"plain http", "https://id.example.com/realms/desk", "http://id.example.com", `6: sign_in.oidc.issuer: expected the provider's issuer as an https URL, like "https://id.example.com/realms/desk"`},
		{"no client", "    client_id: ringback\n", "", "5: sign_in.oidc.client_id: expected the client id of this desk at the provider"},
		{"the secret itself", "client_secret_env: OIDC_CLIENT_SECRET", "client_secret_env: hunter2!", "8: sign_in.oidc.client_secret_env: expected the name of the environment variable that holds the secret, not the secret itself"},
		{"the secret's own key", "client_secret_env: OIDC_CLIENT_SECRET", "client_secret: hunter2", "8: sign_in.oidc.client_secret: expected a known key: issuer, client_id, client_secret_env, audience, scopes, title, clock_skew, userinfo"},
		{"not openid", "[openid, groups]", "[groups]", "10: sign_in.oidc.scopes: expected openid among the scopes: without it the provider does not say who somebody is"},
		{"clocks apart", "clock_skew: 30s", "clock_skew: 1h", "12: sign_in.oidc.clock_skew: expected a Go duration of at most 5m: clocks that differ by more are wrong"},
		{"unknown tier", "desk-sup: supervisor", "desk-sup: supervisors", `17: sign_in.claims.tier.values.desk-sup: expected one of the tiers; did you mean "supervisor"?`},
		{"unknown default", "default: associate", "default: clerk", "17: sign_in.claims.tier.default: expected one of the tiers: associate, supervisor, manager"},
		{"unknown role", "desk-admin: admin", "desk-admin: root", "19: sign_in.claims.roles.values.desk-admin: expected a role: auditor, admin"},
		{"queue written otherwise", "rm: Supervisors - RM", "rm: supervisors-rm", `18: sign_in.claims.queues.values.rm: expected a queue; did you mean "Supervisors - RM"?`},
		{"a claim without a name", "{claim: groups, values: {desk-admin", "{values: {desk-admin", `19: sign_in.claims.roles.claim: expected a claim, like "groups" or {claim: groups, values: {desk-supervisors: supervisor}}`},
		{"limits that cross", "absolute: 8h", "absolute: 8m", "20: sign_in.session: expected an absolute limit that is no shorter than the idle one, 30m"},
		{"public URL", `"https://desk.example.com/"`, `"http://desk.example.com"`, `22: server.public_url: expected an https URL without a path, like "https://desk.example.com"; http only on a loopback address`},
		{"public URL with a path", `"https://desk.example.com/"`, `"https://desk.example.com/desk"`, `22: server.public_url: expected an https URL without a path, like "https://desk.example.com"; http only on a loopback address`},
		{"nowhere to come back to", `, public_url: "https://desk.example.com/"`, "", `server.public_url: expected the URL at which browsers find the desk, like "https://desk.example.com": the provider sends them back there`},
		{"dev tokens behind a proxy", `listen: ":8080",`, `listen: "127.0.0.1:8080", dev_tokens: true,`, "22: server.dev_tokens: expected false, or no public URL: such tokens prove nothing"},
		{"proxies", `listen: ":8080",`, `listen: ":8080", trusted_proxies: "the balancer",`, `22: server.trusted_proxies: expected addresses and networks with commas between them, like "10.0.0.0/8,192.0.2.7"`},
		{"rate", `listen: ":8080",`, `listen: ":8080", requests_per_second: some,`, "22: server.requests_per_second: expected a whole number, 0 or more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, 1, strings.Count(signsIn, test.old))
			_, err := Parse("r.yaml", []byte(strings.Replace(signsIn, test.old, test.new, 1)))
			require.Error(t, err)
			require.Equal(t, test.want, strings.TrimPrefix(err.Error(), "r.yaml:"))
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	_, err := Parse("r.yaml", []byte(minimal+"sign_in: {claims: {id: sub}}"))
	require.ErrorContains(t, err, "an oidc block beside it")
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	c, err := Load(Source{File: configFile(t, ""), Environ: []string{"RINGBACK_TRUSTED_PROXIES= 10.1.2.3/8 , 192.0.2.7,,2001:db8::1/32"}})
	require.NoError(t, err)
	require.Equal(t, []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"),
	}, c.Settings.Server.TrustedProxies)
}

// Development tokens stay on this machine, whoever switches them on.
func TestDevTokensCannotBeSwitchedOnBeyondLoopback(t *testing.T) {
	t.Parallel()
	for _, where := range []Source{
		{File: configFile(t, "server: {listen: '0.0.0.0:8080', dev_tokens: true}")},
		{File: configFile(t, "server: {dev_tokens: true}"), Environ: []string{"RINGBACK_LISTEN=0.0.0.0:8080"}},
		{File: configFile(t, "server: {dev_tokens: true}"), Flags: map[string]string{"listen": "192.0.2.7:8080"}},
		{File: configFile(t, ""), Environ: []string{"RINGBACK_LISTEN=:8080", "RINGBACK_DEV_TOKENS=true"}},
		{File: configFile(t, ""), Environ: []string{"RINGBACK_LISTEN=desk.example:8080"}, Flags: map[string]string{"dev-tokens": "true"}},
		{File: configFile(t, ""), Flags: map[string]string{"listen": "[::]:8080", "dev-tokens": "true"}},
		{File: configFile(t, ""), Flags: map[string]string{"public-url": "https://desk.example.com", "dev-tokens": "true"}},
		{File: configFile(t, "sign_in: {oidc: {issuer: 'https://id.example.com', client_id: desk}}"), Flags: map[string]string{"listen": ":8080", "public-url": "https://d.example", "dev-tokens": "true"}},
	} {
		_, err := Load(where)
		require.ErrorContains(t, err, "such tokens prove nothing")
	}
}
