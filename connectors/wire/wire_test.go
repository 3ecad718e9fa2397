package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
)

func limiter(perMinute int) (*Limiter, *connectortest.Clock) {
	clock := connectortest.NewClock()
	return NewLimiter(perMinute, 5*time.Second, clock.Now, clock.Sleep), clock
}

func TestTheLimiterSpreadsCalls(t *testing.T) {
	t.Parallel()
	l, clock := limiter(60)
	for range 15 { // a quarter at once
		require.NoError(t, l.Wait(context.Background()))
	}
	require.Equal(t, connectortest.Monday, clock.Now())
	for range 10 {
		require.NoError(t, l.Wait(context.Background()))
	}
	require.Equal(t, 10*time.Second, clock.Now().Sub(connectortest.Monday))
}

func TestTheLimiterTellsWhoWouldWaitTooLong(t *testing.T) {
	t.Parallel()
	l, clock := limiter(0)
	require.Equal(t, 30*time.Second, l.Refused(30*time.Second))
	err := l.Wait(context.Background())
	require.True(t, Is(err, connectors.RateLimited))
	require.Equal(t, 30*time.Second, OwedAs(err).RetryAfter)
	clock.Advance(27 * time.Second)
	require.NoError(t, l.Wait(context.Background()), "three seconds are waited in place")
	require.Equal(t, 30*time.Second, clock.Now().Sub(connectortest.Monday))
}

func TestTheLimiterDoublesItsPauseWhereTheVendorSaysNothing(t *testing.T) {
	t.Parallel()
	l, _ := limiter(0)
	for _, want := range []float64{1, 2, 4, 8, 16, 32, 60, 60} {
		require.Equal(t, want, l.Refused(0).Seconds())
	}
	l.Saw(-1, -1)
	require.Equal(t, time.Second, l.Refused(0), "an answer begins anew")
}

func TestTheLimiterStopsBeforeItIsRefused(t *testing.T) {
	t.Parallel()
	l, clock := limiter(0)
	l.Saw(600, 3)
	clock.Advance(20 * time.Second)
	l.Saw(600, 0)
	require.Equal(t, 40*time.Second, OwedAs(l.Wait(context.Background())).RetryAfter, "until the window that began is over")
	clock.Advance(40 * time.Second)
	require.NoError(t, l.Wait(context.Background()))
	l.Saw(600, 599)
	require.NoError(t, l.Wait(context.Background()))
}

func TestAnswersBecomeReasons(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]connectors.OwedCode{
		301: connectors.Rejected, 400: connectors.Rejected, 401: connectors.Unauthorized, 403: connectors.Unauthorized, 404: connectors.Gone,
		408: connectors.Unavailable, 409: connectors.Conflict, 410: connectors.Gone, 412: connectors.Conflict, 422: connectors.Rejected,
		429: connectors.RateLimited, 500: connectors.Unavailable, 502: connectors.Unavailable, 503: connectors.Unavailable,
	} {
		l, _ := limiter(0)
		c := &Client{Vendor: "The vendor", Limiter: l}
		owed := c.Refusal(&Answer{Status: status, Header: http.Header{"Retry-After": {"7"}}}, "invalid_value", "user_id", "Some Body, +91 98765 43210")
		require.Equal(t, code, owed.Code, status)
		require.Equal(t, 7*time.Second, owed.RetryAfter, status)
		require.NotContains(t, owed.Detail, "98765")
		if status == 400 {
			require.Equal(t, "The vendor answered 400 (invalid_value, user_id)", owed.Detail)
		}
	}
}

func TestR26_CausesHaveNoAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	l, _ := limiter(0)
	c := &Client{Vendor: "The vendor", Base: server.URL, HTTP: NewHTTP(), Limiter: l, Timeout: time.Second}
	_, err := c.Call(context.Background(), http.MethodGet, "/tickets/48213", nil, nil)
	require.True(t, Is(err, connectors.Unavailable))
	require.NotContains(t, err.Error(), "48213")

	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hang.Close()
	c.Base, c.Timeout = hang.URL, 20*time.Millisecond
	_, err = c.Call(context.Background(), http.MethodGet, "/tickets/48213", nil, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, err.Error(), "48213")
}

func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	l, _ := limiter(0)
	c := &Client{Vendor: "The vendor", Base: server.URL, HTTP: NewHTTP(), Limiter: l, Timeout: time.Second}
	a, err := c.Call(context.Background(), http.MethodGet, "/", nil, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusFound, a.Status)
	require.Equal(t, 1, calls)
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := connectortest.Monday
	for said, want := range map[string]time.Duration{
		"30": 30 * time.Second, "1.5": 1500 * time.Millisecond, "": 0, "0": 0, "-1": 0, "soon": 0, "NaN": 0, "1e300": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		require.Equal(t, want, RetryAfter(http.Header{"Retry-After": {said}}, now), said)
	}
	require.Equal(t, 40, Number(http.Header{"X-Left": {"40"}}, "X-Left"))
	require.Equal(t, -1, Number(http.Header{"X-Left": {"many"}}, "X-Left"))
	require.Equal(t, -1, Number(http.Header{}, "X-Left"))
}

func TestRefusalsAreProblems(t *testing.T) {
	t.Parallel()
	for code, status := range map[callback.Code]int{
		callback.CodeMalformed: 400, callback.CodeUnauthenticated: 401, callback.CodeMethodNotAllowed: 405, callback.CodeTooLarge: 413,
		callback.CodeUnsupportedMediaType: 415, callback.CodeInvalid: 422, callback.CodeUnavailable: 503, callback.CodeInternal: 500,
	} {
		w := httptest.NewRecorder()
		Refuse(w, &callback.Fault{Code: code, Detail: "why"})
		require.Equal(t, status, w.Code)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		var p map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.Equal(t, string(code), p["code"])
		require.Equal(t, "why", p["detail"])
		require.Len(t, p, 9)
	}
}

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	read := func(body string, most int64) callback.Code {
		_, f := Body(httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), most)
		if f == nil {
			return ""
		}
		return f.Code
	}
	require.Empty(t, read("12345", 5))
	require.Equal(t, callback.CodeTooLarge, read("123456", 5))
	r := httptest.NewRequest(http.MethodPost, "/", failing{})
	_, f := Body(r, 5)
	require.Equal(t, callback.CodeMalformed, f.Code)
	r = httptest.NewRequest(http.MethodPost, "/", http.MaxBytesReader(httptest.NewRecorder(), http.NoBody, 1))
	r.Body = http.MaxBytesReader(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader("123")).Body, 1)
	_, f = Body(r, 5)
	require.Equal(t, callback.CodeTooLarge, f.Code)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("cut off") }

func TestSecretsAreCompared(t *testing.T) {
	t.Parallel()
	require.True(t, Same("s", "s"))
	require.False(t, Same("s", "S"))
	require.False(t, Same("", ""), "no secret is none that anybody knows")
}

func TestIDsAreDigits(t *testing.T) {
	t.Parallel()
	var v struct{ A, B, C ID }
	require.NoError(t, json.Unmarshal([]byte(`{"A": 3000000054002, "B": "3000000054002", "C": null}`), &v))
	require.Equal(t, ID("3000000054002"), v.A)
	require.Equal(t, v.A, v.B)
	require.Empty(t, v.C)
	for _, bad := range []string{`"../1"`, `1.5`, `-1`, `{}`, `"012"`, `"1 "`, `123456789012345678901`} {
		require.Error(t, json.Unmarshal(fmt.Appendf(nil, `{"A": %s}`, bad), &v), bad)
	}
}

func TestLocksAreByKey(t *testing.T) {
	t.Parallel()
	var k Keyed
	unlock := k.Lock("a")
	k.Lock("b")()
	got := make(chan struct{})
	go func() {
		defer close(got)
		k.Lock("a")()
	}()
	select {
	case <-got:
		require.Fail(t, "two hold one key")
	case <-time.After(10 * time.Millisecond):
	}
	unlock()
	<-got
	require.Empty(t, k.locks)
}

func TestEveryPausesAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	var slept []time.Duration
	sleep := func(_ context.Context, d time.Duration) error {
		if slept = append(slept, d); len(slept) == 3 {
			cancel()
		}
		return ctx.Err()
	}
	calls, failures := 0, 0
	require.NoError(t, Every(ctx, sleep, time.Minute, func(context.Context) error {
		if calls++; calls == 2 {
			return &connectors.Owed{Code: connectors.RateLimited, RetryAfter: time.Hour}
		}
		return nil
	}, func(error) { failures++ }))
	require.Equal(t, []time.Duration{time.Minute, time.Hour, time.Minute}, slept)
	require.Equal(t, 1, failures)
}

func TestFinalRefusalsAreToldFromThoseThatPass(t *testing.T) {
	t.Parallel()
	require.Nil(t, Final(nil))
	require.Nil(t, Final(errors.New("away")))
	for _, code := range []callback.Code{callback.CodeUnavailable, callback.CodeOutcomeUnknown, callback.CodeRateLimited} {
		require.Nil(t, Final(callback.Refused(code)))
	}
	require.Equal(t, callback.CodeClosed, Final(fmt.Errorf("then: %w", callback.Refused(callback.CodeClosed))).Code)
}

func TestWhatIsLeftOutIsFilledIn(t *testing.T) {
	t.Parallel()
	d := Complete(connectors.Deps{})
	require.NotNil(t, d.Logger)
	require.WithinDuration(t, time.Now(), d.Now(), time.Minute)
	require.NoError(t, d.Sleep(context.Background(), time.Microsecond))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, d.Sleep(ctx, time.Hour), context.Canceled)
	for address, good := range map[string]bool{
		"https://acme.freshdesk.com": true, "http://127.0.0.1:8080/x": true, "acme.freshdesk.com": false, "ftp://acme": false, "https://": false,
		"https://key:X@acme.freshdesk.com": false, "https://acme/?key=1": false, "https://acme/#x": false, ":": false,
	} {
		require.Equal(t, good, Address(address), address)
	}
}

func TestAnAnswerThatCannotBeReadPasses(t *testing.T) {
	t.Parallel()
	c := &Client{Vendor: "The vendor"}
	require.NoError(t, c.Read(&Answer{}, nil))
	require.NoError(t, c.Read(&Answer{Body: []byte(`{}`)}, nil))
	var v struct{ A int }
	require.NoError(t, c.Read(&Answer{Body: []byte(`{"A": 5}`)}, &v))
	require.Equal(t, 5, v.A)
	for _, body := range []string{"<html>Asha</html>", `{"A": "Asha"}`} {
		err := c.Read(&Answer{Body: []byte(body)}, &v)
		require.True(t, Is(err, connectors.Unavailable))
		require.NotContains(t, err.Error(), "Asha")
	}
	require.True(t, Is(c.Read(&Answer{Body: []byte("<html>")}, nil), connectors.Unavailable))
}
