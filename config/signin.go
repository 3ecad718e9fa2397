package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"ringback/callback"
)

// SignIn is how people and systems prove who they are.
type SignIn struct {
	// OIDC is the provider at which people sign in; nil: there is none.
	OIDC   *OIDC
	Claims Claims
	// Idle and Absolute limit a browser's session.
	Idle, Absolute time.Duration
	// APIKeys: keys of systems are accepted.
	APIKeys bool
	// keys: the file says so itself.
	keys bool
}

// Configured reports whether somebody could prove who they are beyond this
// machine: at a provider, or with the key of a system that the file speaks of.
func (s *SignIn) Configured() bool { return s.OIDC != nil || s.keys && s.APIKeys }

// OIDC is a provider of OpenID Connect.
type OIDC struct {
	Issuer   string
	ClientID string
	// ClientSecretEnv is the variable that holds the client's secret; empty: it has none.
	ClientSecretEnv string
	// Audience are whom bearer tokens may be meant for; any one of them.
	Audience []string
	Scopes   []string
	// Title is what the provider is called on the sign-in page.
	Title string
	// ClockSkew is by how much the provider's clock may be ahead or behind.
	ClockSkew time.Duration
	// UserInfo: claims are asked for at the provider too when a browser signs in.
	UserInfo bool
}

// Claims say what a token's claims mean here. A claim without a path is not read.
type Claims struct {
	ID, Name, Tier, Queues, Roles Claim
}

// Claim is where something stands in a token, and what its values mean here.
type Claim struct {
	// Path leads to it from the outside in. One step alone may also be written
	// with dots, where no claim has that whole name.
	Path []string
	// Values maps what is claimed to what it means here; what is not in it means
	// nothing. Nil: it means what it says.
	Values map[string][]string
	// Default is what holds where nothing else does.
	Default []string
}

const (
	defaultIdle      = time.Hour
	defaultAbsolute  = 12 * time.Hour
	defaultClockSkew = time.Minute
	mostClockSkew    = 5 * time.Minute
)

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

func (b *builder) buildSignIn(v value) {
	s := &b.SignIn
	s.Idle, s.Absolute, s.APIKeys = defaultIdle, defaultAbsolute, true
	f := v.fields(blockSignIn)
	if k := f.get("api_keys"); k.given() {
		s.APIKeys, s.keys = k.boolean(true), true
	}
	session := f.get("session").fields(blockSession)
	if d := session.get("idle"); d.given() {
		s.Idle = d.duration("1h")
	}
	if d := session.get("absolute"); d.given() {
		s.Absolute = d.duration("12h")
	}
	if s.Absolute < s.Idle {
		session.of.refer("an absolute limit that is no shorter than the idle one, %s", short(callback.Duration(s.Idle)))
	}
	oidc, claims := f.get("oidc"), f.get("claims")
	if oidc.given() {
		s.OIDC = buildOIDC(oidc)
	} else if claims.given() {
		claims.refer("an oidc block beside it: there are no claims without a provider")
	}
	s.Claims = b.buildClaims(claims)
}

func buildOIDC(v value) *OIDC {
	f := v.fields(blockOIDC)
	issuer := f.get("issuer")
	o := &OIDC{
		Issuer: issuer.text(`the provider's issuer, like "https://id.example.com/realms/desk"`), ClientID: f.get("client_id").text("the client id of this desk at the provider"),
		Scopes: []string{"openid", "profile"}, ClockSkew: defaultClockSkew, UserInfo: f.get("userinfo").boolean(false),
	}
	if u, err := url.Parse(o.Issuer); o.Issuer != "" && (err != nil || !trustworthy(u) || u.RawQuery != "" || u.Fragment != "") {
		issuer.fail(`the provider's issuer as an https URL, like "https://id.example.com/realms/desk"`)
	}
	if e := f.get("client_secret_env"); e.given() {
		o.ClientSecretEnv = e.text("the name of the environment variable that holds the secret")
		if !variable.MatchString(o.ClientSecretEnv) {
			e.fail("the name of the environment variable that holds the secret, not the secret itself")
		}
	}
	o.Title = "single sign-on"
	if t := f.get("title"); t.given() {
		o.Title = t.text("what the provider is called")
	}
	for _, a := range f.get("audience").list(`audiences, like ["ringback"]`) {
		o.Audience = append(o.Audience, a.text("an audience"))
	}
	if len(o.Audience) == 0 {
		o.Audience = []string{o.ClientID}
	}
	if scopes := f.get("scopes"); scopes.given() {
		o.Scopes = nil
		for _, s := range scopes.list(`scopes, like ["openid", "profile", "groups"]`) {
			o.Scopes = append(o.Scopes, s.text("a scope"))
		}
		if !slices.Contains(o.Scopes, "openid") {
			scopes.fail("openid among the scopes: without it the provider does not say who somebody is")
		}
	}
	if c := f.get("clock_skew"); c.given() {
		if o.ClockSkew = c.duration("1m"); o.ClockSkew > mostClockSkew {
			c.fail("a Go duration of at most 5m: clocks that differ by more are wrong")
		}
	}
	return o
}

// trustworthy is an address at which nobody between reads along: https, or this machine.
func trustworthy(u *url.URL) bool {
	if u.Scheme == "https" {
		return u.Hostname() != ""
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback())
}

func (b *builder) buildClaims(v value) Claims {
	f := v.fields(blockClaims)
	c := Claims{
		ID: buildClaim(f.get("id"), "sub"), Name: buildClaim(f.get("name"), "name"),
		Tier: buildClaim(f.get("tier"), ""), Queues: buildClaim(f.get("queues"), ""), Roles: buildClaim(f.get("roles"), ""),
	}
	for _, means := range meanings(f.get("tier")) {
		if _, known := b.Tiers[means.key]; !known {
			means.refer("%s", among("one of the tiers", means.key, b.tiers))
		}
	}
	for _, means := range meanings(f.get("roles")) {
		if !slices.Contains(roles, means.key) {
			means.refer("%s", among("a role", means.key, roles))
		}
	}
	b.staffQueues = append(b.staffQueues, meanings(f.get("queues"))...)
	return c
}

// buildClaim reads a claim: its path alone, or a mapping.
func buildClaim(v value, def string) Claim {
	const like = `a claim, like "groups" or {claim: groups, values: {desk-supervisors: supervisor}}`
	if !v.given() {
		if def == "" {
			return Claim{}
		}
		return Claim{Path: []string{def}}
	}
	if name, ok := v.scalar(); ok {
		if name == "" {
			v.fail(like)
		}
		return Claim{Path: []string{name}}
	}
	f := v.fields(blockClaim)
	var c Claim
	at := f.get("claim")
	if name, ok := at.scalar(); ok && name != "" {
		c.Path = []string{name}
	} else {
		for _, step := range at.list("names, from the outside in") {
			c.Path = append(c.Path, step.text("the name of a claim"))
		}
	}
	if len(c.Path) == 0 {
		at.fail(like)
	}
	for _, e := range f.get("values").entries("what each value means here") {
		if c.Values == nil {
			c.Values = map[string][]string{}
		}
		c.Values[e.key] = texts(e.value)
	}
	c.Default = texts(f.get("default"))
	return c
}

// texts reads one text, or a list of them.
func texts(v value) []string {
	if !v.given() {
		return nil
	}
	if s, ok := v.scalar(); ok && s != "" {
		return []string{v.text("what it means here")}
	}
	var all []string
	for _, item := range v.list("what it means here") {
		all = append(all, item.text("what it means here"))
	}
	return all
}

// meanings are what the values of a claim mean, each at its place.
func meanings(v value) []entry {
	if !v.given() || v.node.Kind != yaml.MappingNode {
		return nil
	}
	f := v.fields(blockClaim)
	places := []value{f.get("default")}
	for _, e := range f.get("values").entries("what each value means here") {
		places = append(places, e.value)
	}
	var all []entry
	for _, at := range places {
		for _, means := range texts(at) {
			all = append(all, entry{means, at})
		}
	}
	return all
}

// Secret is the client's secret in an environment, as from os.Environ. The error
// is an [*Error].
func (o *OIDC) Secret(environ []string) (string, error) {
	if o.ClientSecretEnv == "" {
		return "", nil
	}
	for _, pair := range environ {
		if name, secret, _ := strings.Cut(pair, "="); name == o.ClientSecretEnv && secret != "" {
			return secret, nil
		}
	}
	return "", &Error{Path: o.ClientSecretEnv, Expected: "the client's secret: sign_in.oidc.client_secret_env names this variable"}
}

func setPublicURL(s *Settings, v string) string {
	const expected = `an https URL without a path, like "https://desk.example.com"; http only on a loopback address`
	if v == "" {
		s.Server.PublicURL = ""
		return ""
	}
	u, err := url.Parse(v)
	if err != nil || !trustworthy(u) || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return expected
	}
	s.Server.PublicURL = u.Scheme + "://" + u.Host
	return ""
}

func setTrustedProxies(s *Settings, v string) string {
	s.Server.TrustedProxies = nil
	for part := range strings.SplitSeq(v, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if ip, single := netip.ParseAddr(part); single == nil {
			prefix, err = ip.Prefix(ip.BitLen())
		}
		if err != nil {
			return `addresses and networks with commas between them, like "10.0.0.0/8,192.0.2.7"`
		}
		s.Server.TrustedProxies = append(s.Server.TrustedProxies, prefix.Masked())
	}
	return ""
}

func shownProxies(all []netip.Prefix) string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

// PublicLoopback reports whether browsers are to find the desk on this machine only.
func (s Server) PublicLoopback() bool {
	if s.PublicURL == "" {
		return s.Loopback()
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}
