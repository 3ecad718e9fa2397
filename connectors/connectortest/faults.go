package connectortest

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"
)

// Fault is one way in which a vendor fails.
type Fault int

// The ways of failing.
const (
	// Well: it does not fail.
	Well Fault = iota
	// Broken answers 500; nothing has happened.
	Broken
	// Lost does what was asked, and the connection breaks before the answer.
	Lost
	// Busy answers 429 and says for how long; BusySilently does not say.
	Busy
	BusySilently
	// Hanging never answers.
	Hanging
	// Nonsense answers 200 with what is no JSON; nothing has happened.
	Nonsense
)

// Faults decides how a fake vendor fails. The zero Faults never fail.
type Faults struct {
	mu     sync.Mutex
	script []Fault
	always Fault
	share  float64
	random *rand.Rand
	ways   []Fault
	only   func(*http.Request) bool
	counts map[Fault]int
	// RetryAfter is what a Busy vendor asks for; 0: a second.
	RetryAfter time.Duration
}

// Next makes the next calls fail in these ways, one each.
func (f *Faults) Next(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = append(f.script, faults...)
}

// Always makes every call fail in that way, until it is Well.
func (f *Faults) Always(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.always = fault
}

// Randomly makes that share of calls fail, 0 to 1, in ways drawn with the seed;
// without ways: Broken, Lost, Busy, BusySilently or Nonsense.
func (f *Faults) Randomly(share float64, seed uint64, ways ...Fault) {
	if len(ways) == 0 {
		ways = []Fault{Broken, Lost, Busy, BusySilently, Nonsense}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.share, f.random, f.ways = share, rand.New(rand.NewPCG(seed, seed)), ways
}

// Only limits failing to calls of which it says true; nil: all.
func (f *Faults) Only(of func(*http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.only = of
}

// Count says how many calls have failed in that way.
func (f *Faults) Count(fault Fault) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[fault]
}

func (f *Faults) draw(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := f.always
	switch {
	case f.only != nil && !f.only(r):
		return Well
	case len(f.script) > 0:
		fault, f.script = f.script[0], f.script[1:]
	case fault == Well && f.random != nil && f.random.Float64() < f.share:
		fault = f.ways[f.random.IntN(len(f.ways))]
	}
	if f.counts == nil {
		f.counts = make(map[Fault]int)
	}
	f.counts[fault]++
	return fault
}

// Wrap lets a vendor fail.
func (f *Faults) Wrap(vendor http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch f.draw(r) {
		case Well:
			vendor.ServeHTTP(w, r)
		case Broken:
			http.Error(w, `{"message":"broken"}`, http.StatusInternalServerError)
		case Lost:
			vendor.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case Busy:
			w.Header().Set("Retry-After", strconv.Itoa(max(1, int(f.RetryAfter.Seconds()))))
			http.Error(w, `{"message":"busy"}`, http.StatusTooManyRequests)
		case BusySilently:
			http.Error(w, `{"message":"busy"}`, http.StatusTooManyRequests)
		case Hanging:
			_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed that the caller gives up
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case Nonsense:
			_, _ = w.Write([]byte("<html>We are down for maintenance</html>"))
		}
	})
}
