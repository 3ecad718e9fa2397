// Package servicebenchfake stands in for the field-service system: it raises
// exceptions and signs them, says the same thing twice and in the wrong order as
// queues do, and takes what becomes of them, once, if it is signed.
package servicebenchfake

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"ringback/connectors/signed"
)

// Secret is the one that both sides sign with.
const Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// Exception is one exception there, in the form of CONTRACT §6. Members may be
// changed to anything, to say what nobody understands.
type Exception map[string]any

// Raise returns an exception of the ordinary kind, number n, as it is at a time.
func Raise(n int, at time.Time) Exception {
	return Exception{
		"schema": "1", "source": "servicebench", "exception_id": "EX-" + strconv.Itoa(n), "exception_type": "Customer Callback",
		"status": "Open", "service_job_id": "JOB-" + strconv.Itoa(n), "crm_number": "CRM-" + strconv.Itoa(n), "user_id": "BPO1-7",
		"created_at": at.UTC().Format(time.RFC3339), "updated_at": at.UTC().Format(time.RFC3339), "comment": "Wants to know when the part comes.",
		"customer": map[string]any{
			"name": "Asha Rao", "phones": []any{"12", "098765 432" + strconv.Itoa(10+n%90)}, "preferred_contact_method": "phone", "time_zone": "Asia/Kolkata",
		},
	}
}

// With returns the exception with one member changed; nil takes it out.
func (x Exception) With(member string, value any) Exception {
	y := Exception{}
	for k, v := range x {
		y[k] = v
	}
	if y[member] = value; value == nil {
		delete(y, member)
	}
	return y
}

// At returns the exception with another status, updated then.
func (x Exception) At(at time.Time, status string) Exception {
	return x.With("updated_at", at.UTC().Format(time.RFC3339)).With("status", status)
}

// JSON is how it is sent.
func (x Exception) JSON() []byte {
	b, err := json.Marshal(x)
	if err != nil {
		panic(err) // it is plain data
	}
	return b
}

// Request is the signed call with a body, for a connector's Receive or a server's address.
func Request(tb testing.TB, target, id string, body []byte, at time.Time) *http.Request {
	tb.Helper()
	key, err := signed.ParseKey(Secret)
	if err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, target, bytes.NewReader(body))
	r.RequestURI = ""
	r.Header.Set("Content-Type", "application/json")
	if err := key.Sign(r.Header, id, at, body); err != nil {
		tb.Fatal(err)
	}
	return r
}

// News is what was sent to it about one exception.
type News struct {
	// ID is the webhook-id that it came under.
	ID   string `json:"-"`
	Type string `json:"type"`
	Data struct {
		Source           string   `json:"source"`
		ExceptionID      string   `json:"exception_id"`
		Also             []string `json:"also"`
		Status           string   `json:"status"`
		UserID           *string  `json:"user_id"`
		Assignee         *string  `json:"assignee"`
		FollowUpAt       *string  `json:"follow_up_at"`
		CallbackID       string   `json:"callback_id"`
		Outcome          *string  `json:"outcome"`
		ResolutionReason *string  `json:"resolution_reason"`
		Resolution       *string  `json:"resolution"`
		Served           *bool    `json:"served"`
		Comment          *string  `json:"comment"`
	} `json:"data"`
}

// Server takes news. Its clock is the test's.
type Server struct {
	*httptest.Server
	now func() time.Time

	mu       sync.Mutex
	seen     map[string]bool
	news     []News
	status   map[string]string
	calls    int
	unsigned int
	faults   []Fault
}

// Fault is how one call goes wrong.
type Fault struct {
	Status     int
	RetryAfter string
	// Lost: it is done, but the answer is Status.
	Lost bool
}

// Serve starts one that ends with the test.
func Serve(tb testing.TB, now func() time.Time) *Server {
	tb.Helper()
	s := &Server{now: now, seen: map[string]bool{}, status: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.take))
	tb.Cleanup(s.Close)
	return s
}

// Fail makes the next calls go wrong, in order.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// News are what it has taken, each once, in order.
func (s *Server) News() []News {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.news)
}

// Status is where an exception stands there; empty: nothing was said of it.
func (s *Server) Status(exceptionID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status[exceptionID]
}

// Calls are how many there were, and how many of them were not signed.
func (s *Server) Calls() (all, unsigned int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls, s.unsigned
}

func (s *Server) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	key, keyErr := signed.ParseKey(Secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if err != nil || keyErr != nil || key.Verify(r.Header, body, s.now()) != nil {
		s.unsigned++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var fault Fault
	if len(s.faults) > 0 {
		fault, s.faults = s.faults[0], s.faults[1:]
	}
	if fault.Status == 0 || fault.Lost {
		s.store(r.Header.Get("Webhook-Id"), body)
	}
	if fault.RetryAfter != "" {
		w.Header().Set("Retry-After", fault.RetryAfter)
	}
	if fault.Status == 0 {
		fault.Status = http.StatusNoContent
	}
	w.WriteHeader(fault.Status)
}

func (s *Server) store(id string, body []byte) {
	if s.seen[id] {
		return
	}
	s.seen[id] = true
	var n News
	if json.Unmarshal(body, &n) != nil {
		return
	}
	n.ID = id
	s.news = append(s.news, n)
	for _, x := range append(n.Data.Also, n.Data.ExceptionID) {
		s.status[x] = n.Data.Status
	}
}
