package mailbox

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// Replies are known by a token: the callback's id with a signature, so that nobody
// gets at another's case by a guess. It is in the subject of what we send and in
// its Message-ID.

const macSize = 10 // 80 bits: there is no second guess

var alphabet = base32.StdEncoding.WithPadding(base32.NoPadding)

var (
	inSubject   = regexp.MustCompile(`\[RB-([A-Za-z2-7]{42})\]`)
	inMessageID = regexp.MustCompile(`^rb\.([a-z2-7]{42})\.[0-9a-f]{12}@`)
)

// key is what tokens are signed with: made once, and remembered.
func (c *Connector) key(ctx context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secret != nil {
		return c.secret, nil
	}
	fresh := make([]byte, sha256.Size)
	if _, err := rand.Read(fresh); err != nil {
		return nil, err
	}
	known, _, err := c.deps.Memory.Claim(ctx, name, "token-key", hex.EncodeToString(fresh))
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(known)
	if err != nil || len(key) < sha256.Size {
		return nil, errors.New("mailbox: the remembered key of tokens cannot be read")
	}
	c.secret = key
	return key, nil
}

// seal makes the token of a callback.
func seal(key []byte, callbackID string) (string, error) {
	id, err := uuid.Parse(callbackID)
	if err != nil {
		return "", err
	}
	return alphabet.EncodeToString(append(id[:], mac(key, id)...)), nil
}

// unseal returns the callback of a token.
func unseal(key []byte, token string) (callbackID string, ok bool) {
	raw, err := alphabet.DecodeString(strings.ToUpper(token))
	if err != nil || len(raw) != len(uuid.UUID{})+macSize {
		return "", false
	}
	id := uuid.UUID(raw[:len(uuid.UUID{})])
	return id.String(), hmac.Equal(raw[len(id):], mac(key, id))
}

func mac(key []byte, id uuid.UUID) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("callback\n"))
	h.Write(id[:])
	return h.Sum(nil)[:macSize]
}

// subjectToken is the callback that a subject names.
func subjectToken(key []byte, subject string) (string, bool) {
	for _, found := range inSubject.FindAllStringSubmatch(subject, 5) {
		if id, ok := unseal(key, found[1]); ok {
			return id, true
		}
	}
	return "", false
}

// ownMessageID is the callback that one of our own message ids names.
func ownMessageID(key []byte, messageID string) (string, bool) {
	found := inMessageID.FindStringSubmatch(messageID)
	if found == nil {
		return "", false
	}
	return unseal(key, found[1])
}

// messageID makes one of our own: the same for the same operation.
func messageID(token, operationID, domain string) string {
	sum := sha256.Sum256([]byte(operationID))
	return "rb." + strings.ToLower(token) + "." + hex.EncodeToString(sum[:6]) + "@" + domain
}
