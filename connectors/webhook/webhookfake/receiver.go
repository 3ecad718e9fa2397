// Package webhookfake receives webhooks as a careful system does: it takes what
// is signed, each message once, and fails as it is told to.
package webhookfake

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"ringback/connectors/connectortest"
	"ringback/connectors/signed"
)

// Secret is the one that is shared.
const Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// Message is what was received.
type Message struct {
	ID     string
	Header http.Header
	Body   []byte
	// Event is the body as JSON.
	Event map[string]any
}

// Receiver is a system that was given a hook.
type Receiver struct {
	*httptest.Server
	connectortest.Faults
	now func() time.Time

	mu       sync.Mutex
	status   int
	header   http.Header
	seen     map[string]bool
	messages []Message
	repeats  int
	unsigned int
}

// Serve starts one that ends with the test.
func Serve(tb testing.TB, now func() time.Time) *Receiver {
	tb.Helper()
	r := &Receiver{now: now, seen: map[string]bool{}}
	r.Server = httptest.NewServer(r.Wrap(http.HandlerFunc(r.take)))
	tb.Cleanup(r.Close)
	return r
}

// Answer makes it answer every message so, and take none, until status is 0.
func (r *Receiver) Answer(status int, header http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.header = status, header
}

// Messages are those that it took, each once, in order.
func (r *Receiver) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// Counts are how many messages came again, and how many were not signed.
func (r *Receiver) Counts() (repeats, unsigned int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.repeats, r.unsigned
}

func (r *Receiver) take(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	key, keyErr := signed.ParseKey(Secret)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil || keyErr != nil || key.Verify(q.Header, body, r.now()) != nil:
		r.unsigned++
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.status != 0:
		for name, values := range r.header {
			w.Header()[name] = values
		}
		w.WriteHeader(r.status)
		return
	}
	m := Message{ID: q.Header.Get("Webhook-Id"), Header: q.Header.Clone(), Body: body}
	if json.Unmarshal(body, &m.Event) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.seen[m.ID] {
		r.repeats++
	} else {
		r.seen[m.ID] = true
		r.messages = append(r.messages, m)
	}
	w.WriteHeader(http.StatusNoContent)
}
