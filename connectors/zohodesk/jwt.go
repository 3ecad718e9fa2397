package zohodesk

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ringback/connectors/wire"
)

// What is wrong with a token; nothing of it is repeated.
var (
	errUnproven = errors.New("the token does not prove that the request is from this organization's Zoho Desk")
	errExpired  = errors.New("the token has expired")
)

// leeway is how far Zoho's clock may be from ours when tokens are checked.
const leeway = time.Minute

// claims are those of X-ZDesk-JWT. It does not sign the body: what the body says
// is a hint, however good the token.
type claims struct {
	Issuer   string          `json:"iss"`
	Audience jwt.Audience    `json:"aud"`
	Expiry   json.RawMessage `json:"exp"`
}

// prove checks the token of a request for one of the subscriptions. The error is
// errUnproven or errExpired, or means that the keys could not be got.
func (z *Zoho) prove(ctx context.Context, token string, webhooks []string) error {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(parsed.Headers) != 1 {
		return errUnproven
	}
	candidates, err := z.keys.of(ctx, parsed.Headers[0].KeyID)
	if err != nil {
		return err
	}
	var c claims
	if !slices.ContainsFunc(candidates, func(k jose.JSONWebKey) bool { return parsed.Claims(k.Key, &c) == nil }) {
		return errUnproven
	}
	if c.Issuer != "orgId:"+z.config.OrgID {
		return errUnproven
	}
	if !slices.ContainsFunc(webhooks, func(id string) bool { return id != "" && c.Audience.Contains("webhookId:"+id) }) {
		return errUnproven
	}
	until, ok := milliseconds(string(c.Expiry))
	if !ok {
		return errUnproven
	}
	if z.deps.Now().After(time.UnixMilli(until).Add(leeway)) {
		return errExpired
	}
	return nil
}

// milliseconds reads an instant that counts seconds or milliseconds since 1970.
// Zoho's tokens have both: taken for seconds, milliseconds would never expire.
func milliseconds(s string) (int64, bool) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n <= 0 || n > 1e14 {
		return 0, false
	}
	if n < 1e11 { // as seconds: before the year 5138
		n *= 1000
	}
	return int64(n), true
}

// keySet are the keys with which Zoho Desk signs, fetched when they are needed:
// again when there is an unknown one, but not for everybody who makes one up.
type keySet struct {
	url     string
	client  *http.Client
	timeout time.Duration
	now     func() time.Time

	mu      sync.Mutex
	keys    jose.JSONWebKeySet
	fetched time.Time
}

const (
	keysLast  = 24 * time.Hour
	keysPause = time.Minute
)

// of returns the keys that may have signed: those of an id, or all where there is none.
func (k *keySet) of(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	known := k.signing(id)
	if !k.fetched.IsZero() && (len(known) > 0 && now.Sub(k.fetched) < keysLast || now.Sub(k.fetched) < keysPause) {
		return known, nil
	}
	if err := k.fetch(ctx); err != nil {
		if len(known) > 0 {
			return known, nil // better old than none
		}
		return nil, err
	}
	k.fetched = now
	return k.signing(id), nil
}

func (k *keySet) signing(id string) (found []jose.JSONWebKey) {
	for _, key := range k.keys.Keys {
		if (id == "" || key.KeyID == id) && key.Use != "enc" && key.IsPublic() {
			found = append(found, key)
		}
	}
	return found
}

func (k *keySet) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return wire.Cause(err)
	}
	answer, err := k.client.Do(r)
	if err != nil {
		return wire.Cause(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return errors.New("the keys of Zoho Desk cannot be read: it answered " + strconv.Itoa(answer.StatusCode))
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&keys); err != nil {
		return errors.New("the keys of Zoho Desk cannot be read")
	}
	k.keys = keys
	return nil
}
