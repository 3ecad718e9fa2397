package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// OIDC is the provider at which people sign in.
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	// Audience are whom bearer tokens may be meant for; any one of them.
	Audience []string
	Scopes   []string
	// Title is what people call it.
	Title string
	// ClockSkew is by how much its clock may be ahead or behind.
	ClockSkew time.Duration
	// UserInfo: claims are asked for there too when a browser signs in.
	UserInfo bool
	Claims   Claims
	// Transport reaches the provider; nil: http.DefaultTransport.
	Transport http.RoundTripper
}

const (
	// rediscoverEvery is how long what the provider says of itself, and its keys, are
	// good for: a key that it has withdrawn is trusted that long at most.
	rediscoverEvery = time.Hour
	// discoverRetry is how soon it is asked again where it could not be reached.
	discoverRetry = 2 * time.Second
	// providerPatience bounds one answer of the provider's.
	providerPatience = 10 * time.Second
)

// errProviderAway: the provider could not be reached, or made no sense.
var errProviderAway = errors.New("the identity provider cannot be reached")

// provider is asked about itself when it is first needed, so that the desk
// opens while it is away.
type provider struct {
	o    *OIDC
	now  func() time.Time
	http *http.Client // for what may be kept: discovery and keys

	asking sync.Mutex // whoever asks the provider holds it

	mu      sync.Mutex // of what follows
	known   *discovered
	triedAt time.Time
	failure error
}

// discovered is what the provider says of itself.
type discovered struct {
	at         time.Time
	provider   *oidc.Provider
	oauth      oauth2.Config
	endSession string
	ids        *oidc.IDTokenVerifier // of ID tokens, which are meant for us alone
	bearers    *oidc.IDTokenVerifier // of bearer tokens, whose audience is checked apart
}

func newProvider(o *OIDC, now func() time.Time) *provider {
	base := o.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	return &provider{o: o, now: now, http: &http.Client{Transport: &thrift{base: base, now: now, kept: map[string]*kept{}}, Timeout: providerPatience}}
}

// discover returns what is known of the provider. While it cannot be reached,
// what was known before stands.
func (p *provider) discover(ctx context.Context, redirectURL string) (*discovered, error) {
	known, due, err := p.current()
	if !due {
		return known, err
	}
	if known == nil {
		p.asking.Lock()
	} else if !p.asking.TryLock() {
		return known, nil // somebody asks already
	}
	defer p.asking.Unlock()
	if known, due, err = p.current(); !due {
		return known, err
	}
	found, err := p.ask(ctx, redirectURL)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.triedAt = p.now()
	if p.failure = err; err == nil {
		p.known = found
	}
	if p.known != nil {
		return p.known, nil
	}
	return nil, p.failure
}

// current is what is known now; due: the provider should be asked.
func (p *provider) current() (known *discovered, due bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	switch {
	case p.known != nil && now.Sub(p.known.at) < rediscoverEvery:
		return p.known, false, nil
	case p.failure != nil && now.Sub(p.triedAt) < discoverRetry && p.known != nil:
		return p.known, false, nil
	case p.failure != nil && now.Sub(p.triedAt) < discoverRetry:
		return nil, false, p.failure
	}
	return p.known, true, nil
}

func (p *provider) ask(ctx context.Context, redirectURL string) (*discovered, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.WithoutCancel(ctx), p.http), providerPatience)
	defer cancel()
	found, err := oidc.NewProvider(ctx, p.o.Issuer)
	var says struct {
		EndSession string   `json:"end_session_endpoint"`
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err == nil {
		err = found.Claims(&says)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProviderAway, err)
	}
	keys := keySet{oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), p.http), says.Keys)}
	config := oidc.Config{
		ClientID:             p.o.ClientID,
		SupportedSigningAlgs: slices.DeleteFunc(says.Algorithms, func(a string) bool { return !slices.Contains(asymmetric, a) }),
		Now:                  func() time.Time { return p.now().Add(-p.o.ClockSkew) },
	}
	ofBearers := config
	ofBearers.ClientID, ofBearers.SkipClientIDCheck = "", true
	return &discovered{
		at: p.now(), provider: found, endSession: says.EndSession,
		oauth: oauth2.Config{
			ClientID: p.o.ClientID, ClientSecret: p.o.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: redirectURL, Scopes: p.o.Scopes,
		},
		ids:     oidc.NewVerifier(p.o.Issuer, keys, &config),
		bearers: oidc.NewVerifier(p.o.Issuer, keys, &ofBearers),
	}, nil
}

// asymmetric are the algorithms by which a key that everybody may know proves
// who has signed (RFC 7518 §3.1).
var asymmetric = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// verify checks a token: signature, issuer, expiry, that it is not from the
// future. A refusal is a *refusal; any other error means that it cannot be told.
func (p *provider) verify(ctx context.Context, by *oidc.IDTokenVerifier, raw string) (*oidc.IDToken, error) {
	away := false
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, awayKey{}, &away), providerPatience)
	defer cancel()
	token, err := by.Verify(ctx, raw)
	var expired *oidc.TokenExpiredError
	switch {
	case err == nil && token.IssuedAt.After(p.now().Add(p.o.ClockSkew)):
		return nil, &refusal{"from_the_future"}
	case err == nil && token.Subject == "":
		return nil, &refusal{"no_subject"}
	case err == nil:
		return token, nil
	case away:
		return nil, fmt.Errorf("%w: its keys: %w", errProviderAway, err)
	case errors.As(err, &expired):
		return nil, &refusal{"expired"}
	case strings.Contains(err.Error(), "different provider"):
		return nil, &refusal{"issuer"}
	case strings.Contains(err.Error(), "audience"):
		return nil, &refusal{"audience"}
	case strings.Contains(err.Error(), "signature"):
		return nil, &refusal{"signature"}
	}
	return nil, &refusal{"malformed"}
}

// refusal is why something proves nobody: for the log, and for nobody else.
type refusal struct{ why string }

func (r *refusal) Error() string { return "proves nobody: " + r.why }

// keySet tells keys that could not be fetched from keys that do not fit.
type keySet struct{ *oidc.RemoteKeySet }

type awayKey struct{} // *bool: the keys could not be fetched

// VerifySignature implements oidc.KeySet.
func (k keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.RemoteKeySet.VerifySignature(ctx, jwt)
	if errors.Unwrap(err) != nil { // it wraps only what happened on the way to the keys
		if away, ok := ctx.Value(awayKey{}).(*bool); ok {
			*away = true
		}
	}
	return payload, err
}

const (
	// thriftFresh is how long an answer of the provider's is not asked for again,
	// however many tokens name a key that it does not have.
	thriftFresh = 10 * time.Second
	// thriftStale is how long an answer is good enough while there is no newer one.
	thriftStale = 24 * time.Hour
	// thriftMost is the most that such an answer may be, in bytes.
	thriftMost = 1 << 20
)

// thrift asks a provider for what it publishes no more often than it has to.
type thrift struct {
	base http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex
	kept map[string]*kept // by URL; a provider publishes two
}

type kept struct {
	header http.Header
	body   []byte
	at     time.Time // when it was answered
	asked  time.Time // when it was last asked for
}

// RoundTrip implements http.RoundTripper.
func (t *thrift) RoundTrip(r *http.Request) (*http.Response, error) {
	url := r.URL.String()
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
		return t.base.RoundTrip(r)
	}
	now := t.now()
	t.mu.Lock()
	k := t.kept[url]
	again := k == nil || now.Sub(k.asked) >= thriftFresh || now.Before(k.asked)
	if again && k != nil {
		k.asked = now
	}
	t.mu.Unlock()
	if !again {
		return k.answer(r), nil
	}
	fresh, answer, err := t.ask(r, now)
	if fresh == nil && k != nil && now.Sub(k.at) < thriftStale {
		if answer != nil {
			_ = answer.Body.Close()
		}
		return k.answer(r), nil
	}
	if fresh == nil {
		return answer, err
	}
	t.mu.Lock()
	t.kept[url] = fresh
	t.mu.Unlock()
	return fresh.answer(r), nil
}

// ask returns an answer to keep, or what came instead.
func (t *thrift) ask(r *http.Request, now time.Time) (*kept, *http.Response, error) {
	answer, err := t.base.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		return nil, answer, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, thriftMost))
	if err != nil {
		return nil, nil, err
	}
	return &kept{header: answer.Header, body: body, at: now, asked: now}, nil, nil
}

func (k *kept) answer(r *http.Request) *http.Response {
	return &http.Response{
		Status: http.StatusText(http.StatusOK), StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: k.header, Body: io.NopCloser(bytes.NewReader(k.body)), ContentLength: int64(len(k.body)), Request: r,
	}
}
