package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter gives everybody a rate of their own. Nil: no limit.
type limiter struct {
	perSecond rate.Limit
	burst     int

	mu sync.Mutex
	of map[string]*rate.Limiter
}

// limiterMost is how many are kept apart at once.
const limiterMost = 20_000

func newLimiter(perSecond float64, burst int) *limiter {
	return &limiter{perSecond: rate.Limit(perSecond), burst: max(burst, 1), of: map[string]*rate.Limiter{}}
}

func (l *limiter) allow(who string, now time.Time) bool {
	if l == nil {
		return true
	}
	return l.limit(who, now).AllowN(now, 1)
}

func (l *limiter) limit(who string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.of[who]
	if of == nil {
		l.makeRoom(now)
		of = rate.NewLimiter(l.perSecond, l.burst)
		l.of[who] = of
	}
	return of
}

// left tells whether allow would, and counts nothing.
func (l *limiter) left(who string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.of[who]
	return of == nil || of.TokensAt(now) >= 1
}

// count counts one that was let in when enough was left; what many at once took
// too much is held against those who come next.
func (l *limiter) count(who string, now time.Time) { l.limit(who, now).ReserveN(now, 1) }

// makeRoom forgets those who have been quiet so long that forgetting them makes
// no difference; where that is not enough, any.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.of) < limiterMost {
		return
	}
	for who, of := range l.of {
		if of.TokensAt(now) >= float64(l.burst) {
			delete(l.of, who)
		}
	}
	for who := range l.of {
		if len(l.of) < limiterMost {
			return
		}
		delete(l.of, who)
	}
}

// Throttle limits how often an address may fail to prove who it is. Nil: there
// is no limit, and no proxy is believed.
type Throttle struct {
	failed, begun *limiter
	proxies       []netip.Prefix
	now           func() time.Time
}

// beginsPerFailure is how many sign-ins one address may begin for each that may
// fail: a whole floor can sign in at nine o'clock from behind one address.
const beginsPerFailure = 10

// NewThrottle lets one address fail so many times a minute, and a third of them
// at once; 0: there is no limit. Proxies pass on whom they ask for in
// X-Forwarded-For; nobody else is believed in that.
func NewThrottle(perMinute int, proxies []netip.Prefix, now func() time.Time) *Throttle {
	if now == nil {
		now = time.Now
	}
	of := func(perMinute int) *limiter {
		if perMinute <= 0 {
			return nil
		}
		return newLimiter(float64(perMinute)/60, perMinute/3)
	}
	return &Throttle{failed: of(perMinute), begun: of(beginsPerFailure * perMinute), proxies: proxies, now: now}
}

// Failed counts a failure; false: there were too many, and this one is not worth
// saying why.
func (t *Throttle) Failed(r *http.Request) bool {
	return t == nil || t.failed.allow(t.address(r), t.now())
}

// Begin counts a sign-in that is begun; false: there were too many.
func (t *Throttle) Begin(r *http.Request) bool {
	return t == nil || t.begun.allow(t.address(r), t.now())
}

// address is where a request comes from, as far as it can be believed. Of IPv6
// it is the network, all of whose addresses one machine may have.
func (t *Throttle) address(r *http.Request) string {
	at, ok := parseAddress(r.RemoteAddr)
	if !ok {
		return "unknown"
	}
	if t.trusts(at) {
		passedOn := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, text := range slices.Backward(passedOn) {
			before, ok := parseAddress(strings.TrimSpace(text))
			if !ok {
				break
			}
			if at = before; !t.trusts(at) {
				break
			}
		}
	}
	if at.Is6() {
		network, err := at.Prefix(64)
		if err == nil {
			return network.String()
		}
	}
	return at.String()
}

func (t *Throttle) trusts(at netip.Addr) bool {
	return t != nil && slices.ContainsFunc(t.proxies, func(p netip.Prefix) bool { return p.Contains(at) })
}

// parseAddress reads an address with or without a port.
func parseAddress(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	at, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return at.Unmap().WithZone(""), err == nil
}
