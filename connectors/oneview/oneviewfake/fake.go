// Package oneviewfake stands in for Oneview: it takes signed notes, each once,
// of authors and about tickets that it knows.
package oneviewfake

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"ringback/connectors/connectortest"
)

// Note is one note as it was taken.
type Note struct {
	OperationID string `json:"operation_id"`
	CallbackID  string `json:"callback_id"`
	Ticket      struct {
		System, Ref, URL string
	} `json:"ticket"`
	Author      string    `json:"author"`
	Kind        string    `json:"kind"`
	Disposition *string   `json:"disposition"`
	Body        string    `json:"body"`
	WrittenAt   time.Time `json:"written_at"`
}

// Fake is one dashboard.
type Fake struct {
	// Faults make it fail.
	Faults connectortest.Faults
	// Knows says whether an author is one of its people, Has whether it has a ticket;
	// nil: it knows and has all.
	Knows func(author string) bool
	Has   func(ref string) bool

	key *standardwebhooks.Webhook
	now func() time.Time

	mu    sync.Mutex
	notes []Note
	taken map[string]bool
	seen  int
}

// New returns a dashboard with that secret, "whsec_…".
func New(secret string, now func() time.Time) (*Fake, error) {
	key, err := standardwebhooks.NewWebhook(secret)
	return &Fake{key: key, now: now, taken: map[string]bool{}}, err
}

// Notes are those that it has taken, in order.
func (f *Fake) Notes() []Note {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Note(nil), f.notes...)
}

// Seen is how many requests got through to it, repeats too.
func (f *Fake) Seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// Handler is the dashboard over HTTP.
func (f *Fake) Handler() http.Handler { return f.Faults.Wrap(http.HandlerFunc(f.take)) }

func (f *Fake) take(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": "Something about what was sent"})
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || r.Method != http.MethodPost {
		refuse(http.StatusBadRequest, "malformed")
		return
	}
	// Its tolerance is of the clock that it was given, not of the library's.
	sent, err := strconv.ParseInt(r.Header.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
	if off := f.now().Sub(time.Unix(sent, 0)); err != nil || off > 5*time.Minute || off < -5*time.Minute ||
		f.key.VerifyIgnoringTimestamp(body, r.Header) != nil {
		refuse(http.StatusUnauthorized, "unauthenticated")
		return
	}
	var n struct {
		Type string
		Data Note
	}
	switch id := r.Header.Get(standardwebhooks.HeaderWebhookID); {
	case json.Unmarshal(body, &n) != nil, n.Type != "note.written", n.Data.Author == "", n.Data.Body == "", n.Data.OperationID != id:
		refuse(http.StatusUnprocessableEntity, "invalid")
	case f.Knows != nil && !f.Knows(n.Data.Author):
		refuse(http.StatusUnprocessableEntity, "unknown_author")
	case f.Has != nil && !f.Has(n.Data.Ticket.Ref):
		refuse(http.StatusNotFound, "unknown_ticket")
	case f.taken[id]:
		w.WriteHeader(http.StatusOK)
	default:
		f.taken[id] = true
		f.notes = append(f.notes, n.Data)
		w.WriteHeader(http.StatusAccepted)
	}
}
