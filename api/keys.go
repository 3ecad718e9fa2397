package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"ringback/book"
	"ringback/callback"
)

// Key is an API key of a system.
type Key struct {
	ID         string           `json:"id" doc:"the public part of the key"`
	Name       string           `json:"name" doc:"the system; what it does is done by system:NAME"`
	Scopes     []string         `json:"scopes" enum:"intake,read,audit"`
	Key        *string          `json:"key" doc:"the key itself: in the first answer to its creation, and never again"`
	CreatedAt  callback.Instant `json:"created_at"`
	CreatedBy  string           `json:"created_by"`
	ExpiresAt  callback.Instant `json:"expires_at"`
	LastUsedAt callback.Instant `json:"last_used_at" doc:"to a minute; null: never"`
	RevokedAt  callback.Instant `json:"revoked_at"`
	RevokedBy  *string          `json:"revoked_by"`
}

// KeyList is every key that ever was.
type KeyList struct {
	Items []Key `json:"items"`
}

type keyBody struct {
	Name      string   `json:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" patternDescription:"letters, digits, . _ and -" maxLength:"64" example:"servicebench"`
	Scopes    []string `json:"scopes" enum:"intake,read,audit" minItems:"1" maxItems:"3" uniqueItems:"true"`
	ExpiresAt moment   `json:"expires_at" doc:"at most two years ahead"`
}

const (
	// keyPrefix tells keys from other tokens, and their finders what they have found.
	keyPrefix = "rbk_"
	// A key's secret has 256 bits, its public part enough to be the only one.
	keySecretBytes, keyIDBytes = 32, 10
	// keyLasts is how far ahead a key may expire.
	keyLasts = 2 * 366 * 24 * time.Hour
	// keyNoted is how often the use of a key is noted, at most.
	keyNoted = time.Minute
)

var keyLetters = base32.StdEncoding.WithPadding(base32.NoPadding)

func keyText(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return strings.ToLower(keyLetters.EncodeToString(b))
}

// MintKey makes a key for a system that is good for so long, and what is kept of
// it. The error says what is wrong with what was asked for.
func MintKey(name string, scopes []string, by string, lasts time.Duration) (token string, k book.Key, err error) {
	switch {
	case !systemName.MatchString(name):
		return "", k, errors.New("expected the name of a system: letters, digits, . _ and -, at most 64")
	case len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(allScopes, s) }):
		return "", k, errors.New("expected scopes: " + strings.Join(allScopes, ", "))
	case lasts <= 0 || lasts > keyLasts:
		return "", k, errors.New("expected it to be good for two years at most")
	}
	now := callback.At(time.Now())
	token, k = mint(name, scopes, by, now, now.Plus(callback.Duration(lasts)))
	return token, k, nil
}

func mint(name string, scopes []string, by string, now, expires callback.Instant) (token string, k book.Key) {
	id, secret := keyText(keyIDBytes), keyText(keySecretBytes)
	hash := sha256.Sum256([]byte(secret))
	return keyPrefix + id + "_" + secret, book.Key{
		ID: id, Name: name, Scopes: slices.Clone(scopes), Hash: hash[:], CreatedAt: now, CreatedBy: by, ExpiresAt: expires,
	}
}

// apiKeys knows which system a key is.
type apiKeys struct {
	book  Keys
	clock func() time.Time
	later *later
	known *Remembered[book.Key]

	mu    sync.Mutex
	noted map[string]time.Time // when the use of a key was last noted
}

func newAPIKeys(b Keys, clock func() time.Time, l *later) *apiKeys {
	return &apiKeys{book: b, clock: clock, later: l, known: NewRemembered[book.Key](clock), noted: map[string]time.Time{}}
}

// Authenticate implements Authenticator.
func (k *apiKeys) Authenticate(ctx context.Context, token string) (Principal, error) {
	rest, ok := strings.CutPrefix(token, keyPrefix)
	id, secret, whole := strings.Cut(rest, "_")
	if !ok || !whole || len(id) != keyLetters.EncodedLen(keyIDBytes) || len(secret) != keyLetters.EncodedLen(keySecretBytes) {
		return Principal{}, ErrUnauthenticated
	}
	kept, err := k.known.Ask(ctx, id, func(ctx context.Context) (book.Key, error) { return k.book.Key(ctx, id) })
	if errors.Is(err, book.ErrNotFound) {
		return Principal{}, ErrUnauthenticated
	}
	if err != nil {
		return Principal{}, err
	}
	now := callback.At(k.clock())
	hash := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(hash[:], kept.Hash) != 1 || !kept.Good(now) {
		return Principal{}, ErrUnauthenticated
	}
	k.note(id, now)
	return Principal{ID: systemPrefix + kept.Name, Scopes: kept.Scopes}, nil
}

// systemPrefix begins the id of a system.
const systemPrefix = "system:"

// note has the use of a key written down, once a minute. Nobody waits for it.
func (k *apiKeys) note(id string, now callback.Instant) {
	k.mu.Lock()
	due := now.Sub(k.noted[id]) >= keyNoted
	if due {
		k.noted[id] = now.Time
	}
	k.mu.Unlock()
	if due {
		k.later.do(func(ctx context.Context) {
			_ = k.book.UseKey(ctx, id, now, now.Plus(-callback.Duration(keyNoted))) // the next use is noted again
		})
	}
}

func (a *API) keyOperations() []*operation {
	return []*operation{
		{
			method: http.MethodPost, path: "/v1/keys", id: "create-key", tag: "administration", access: accessAdmin,
			summary: "Make a key for a system",
			doc: "The key is in the first answer and nowhere else: what is kept is a hash. A repeat with the same " +
				"Idempotency-Key gives that answer again with `key` null. Two keys may have one name, so that one can follow the other.",
			body:    keyBody{},
			answers: []reply{{http.StatusCreated, "the key", Key{}, ""}},
			serve:   a.createKey,
		},
		{
			method: http.MethodGet, path: "/v1/keys", id: "keys", tag: "administration", access: accessAdmin,
			summary: "Every key, the newest first",
			answers: []reply{{http.StatusOK, "those that are good and those that were", KeyList{}, ""}},
			serve:   a.listKeys,
		},
		{
			method: http.MethodDelete, path: "/v1/keys/{id}", id: "revoke-key", tag: "administration", access: accessAdmin, names: namesKey,
			summary: "Revoke a key", doc: "At once, and for good. A key that is revoked stays as it is.",
			answers: []reply{{http.StatusOK, "the key", Key{}, ""}},
			serve:   a.revokeKey,
		},
	}
}

func keyAs(k book.Key) Key {
	return Key{
		ID: k.ID, Name: k.Name, Scopes: list(k.Scopes), CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, ExpiresAt: k.ExpiresAt,
		LastUsedAt: k.LastUsedAt, RevokedAt: k.RevokedAt, RevokedBy: null(k.RevokedBy),
	}
}

func (a *API) createKey(ctx context.Context, r *request) (*answer, error) {
	b, err := decode[keyBody](a, r)
	if err == nil {
		err = within("expires_at", b.ExpiresAt.Instant)
	}
	if err != nil {
		return nil, err
	}
	return a.once(ctx, r, "create-key", func(ctx context.Context, e *errand) (*answer, error) {
		if err := r.may(); err != nil {
			return nil, err
		}
		if at := b.ExpiresAt.Time; !at.After(a.now()) || at.After(a.now().Add(keyLasts)) {
			return nil, callback.Invalid("expires_at", "expected a time in the future, at most two years ahead")
		}
		token, k := mint(b.Name, b.Scopes, r.who.ID, a.instant(), b.ExpiresAt.Instant)
		shown := keyAs(k)
		body, err := encode(shown)
		if err != nil {
			return nil, err
		}
		given := &answer{status: http.StatusCreated, location: "/v1/keys/" + k.ID, body: body}
		if err := a.book.AddKey(ctx, k, e.concluded(given)); err != nil {
			return nil, err
		}
		a.log.InfoContext(ctx, "key made", "principal", r.who.ID, "key_id", k.ID, "system", k.Name, "scopes", k.Scopes)
		shown.Key = &token
		given.body, err = encode(shown)
		return given, err
	})
}

func (a *API) listKeys(ctx context.Context, r *request) (*answer, error) {
	if err := r.may(); err != nil {
		return nil, err
	}
	keys, err := a.book.Keys(ctx)
	if err != nil {
		return nil, err
	}
	given := KeyList{Items: make([]Key, 0, len(keys))}
	for _, k := range keys {
		given.Items = append(given.Items, keyAs(k))
	}
	return ok(given)
}

// revokeKey says who may before it says what there is: nobody else sees keys.
func (a *API) revokeKey(ctx context.Context, r *request) (*answer, error) {
	if err := r.may(); err != nil {
		return nil, err
	}
	k, err := a.book.RevokeKey(ctx, r.pathID, r.who.ID, a.instant())
	if errors.Is(err, book.ErrNotFound) {
		return nil, refuse(callback.CodeNotFound, "", "there is no key with this id")
	}
	if err != nil {
		return nil, err
	}
	a.keys.known.Forget(k.ID)
	a.log.InfoContext(ctx, "key revoked", "principal", r.who.ID, "key_id", k.ID, "system", k.Name)
	return ok(keyAs(k))
}
