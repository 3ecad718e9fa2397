// Package signed speaks Standard Webhooks (standardwebhooks.com) in both
// directions: it verifies what comes in before anybody parses it, and signs and
// sends what goes out.
package signed

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Tolerance is how far a signature's time may be off, either way.
const Tolerance = 5 * time.Minute

const (
	secretPrefix = "whsec_"
	// The specification wants keys of 24 to 64 bytes.
	shortestKey, longestKey = 24, 64
)

// ErrSignature: what came in is not signed, or not with this key, or too long ago.
var ErrSignature = errors.New("no valid signature")

// Key signs and verifies. While a secret is being replaced it holds both: it
// signs with all of them and takes what any of them signed.
type Key struct{ hooks []*standardwebhooks.Webhook }

// ParseKey reads "whsec_" and base64, or several of these with spaces between.
// The error does not repeat them.
func ParseKey(secrets string) (*Key, error) {
	k := &Key{}
	for _, s := range strings.Fields(secrets) {
		raw, ok := strings.CutPrefix(s, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(raw)
		if !ok || err != nil || len(key) < shortestKey || len(key) > longestKey {
			return nil, fmt.Errorf("expected a secret of Standard Webhooks: %s and %d to %d bytes in base64", secretPrefix, shortestKey, longestKey)
		}
		hook, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, errors.New("expected a secret of Standard Webhooks")
		}
		k.hooks = append(k.hooks, hook)
	}
	if len(k.hooks) == 0 {
		return nil, errors.New("expected a secret, and there is none")
	}
	return k, nil
}

// Sign puts id, time and signature into the headers of a request with that body.
func (k *Key) Sign(h http.Header, id string, at time.Time, body []byte) error {
	signatures := make([]string, 0, len(k.hooks))
	for _, hook := range k.hooks {
		signature, err := hook.Sign(id, at, body)
		if err != nil {
			return fmt.Errorf("signing: %w", err)
		}
		signatures = append(signatures, signature)
	}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// Verify reports ErrSignature unless one of the keys signed that body, not
// longer ago (or ahead) than Tolerance.
func (k *Key) Verify(h http.Header, body []byte, now time.Time) error {
	for _, hook := range k.hooks {
		if hook.VerifyIgnoringTimestamp(body, h) != nil {
			continue
		}
		seconds, err := strconv.ParseInt(h.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
		if err != nil {
			return ErrSignature
		}
		if off := now.Sub(time.Unix(seconds, 0)); off > Tolerance || off < -Tolerance {
			return fmt.Errorf("%w: it was signed too long ago, or in the future", ErrSignature)
		}
		return nil
	}
	return ErrSignature
}
