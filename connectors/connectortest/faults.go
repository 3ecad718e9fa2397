package connectortest

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Fault is what a server does instead of answering one request.
type Fault struct {
	// Status to answer with; 0: the connection is cut.
	Status int
	// RetryAfter, in seconds, goes with it; 0: the header is left out.
	RetryAfter int
	// Body and Media of the answer.
	Body, Media string
	// After: the request is done first, and only its answer is lost or replaced. Else
	// it never gets there.
	After bool
	// Hang waits that long, or until the caller gives up, before anything else.
	Hang time.Duration
	// Match says for which requests it is meant; nil: any. Others pass it by.
	Match func(*http.Request) bool
}

// Faults is a handler in front of a fake that lets scripted faults happen, each
// once, in order; without any it passes everything on.
type Faults struct {
	Next http.Handler

	mu     sync.Mutex
	script []Fault
	always func(*http.Request) *Fault
	seen   int
}

// Script adds faults.
func (f *Faults) Script(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = append(f.script, faults...)
}

// Always is asked about every request for which nothing is scripted; nil: no fault.
func (f *Faults) Always(of func(*http.Request) *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.always = of
}

// Left is how many scripted faults have not happened yet.
func (f *Faults) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.script)
}

// Seen is how many requests came.
func (f *Faults) Seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// take is the fault that is meant for a request.
func (f *Faults) take(r *http.Request) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	for i := range f.script {
		fault := f.script[i]
		if fault.Match == nil || fault.Match(r) {
			f.script = append(f.script[:i:i], f.script[i+1:]...)
			return &fault
		}
	}
	if f.always != nil {
		return f.always(r)
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := f.take(r)
	if fault == nil {
		f.Next.ServeHTTP(w, r)
		return
	}
	if fault.Hang > 0 {
		timer := time.NewTimer(fault.Hang)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	if fault.After {
		f.Next.ServeHTTP(&lost{header: http.Header{}}, r)
	}
	if fault.Status == 0 {
		panic(http.ErrAbortHandler) // net/http cuts the connection
	}
	if fault.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(fault.RetryAfter))
	}
	if fault.Media != "" {
		w.Header().Set("Content-Type", fault.Media)
	}
	w.WriteHeader(fault.Status)
	_, _ = w.Write([]byte(fault.Body)) // who does not listen does not matter
}

// lost is an answer that nobody gets.
type lost struct{ header http.Header }

// Header implements http.ResponseWriter.
func (l *lost) Header() http.Header { return l.header }

// Write implements http.ResponseWriter.
func (l *lost) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (l *lost) WriteHeader(int) {}
