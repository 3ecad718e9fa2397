package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ringback/connectors"
)

// MaxAnswer is how much of an answer is read, in bytes.
const MaxAnswer = 16 << 20

// Client calls one system.
type Client struct {
	// Vendor is its name in what people read.
	Vendor string
	// Base is the address before every path, without a slash at its end.
	Base string
	HTTP *http.Client
	// Limiter is waited for before every call.
	Limiter *Limiter
	// Timeout is of one call.
	Timeout time.Duration
	// Authorize puts the secret on a request.
	Authorize func(ctx context.Context, r *http.Request) error
}

// NewHTTP returns a client that keeps connections, and follows no redirects:
// one that leads elsewhere would be given the secret.
func NewHTTP() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer is what a system answered, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// OK reports a status of 2xx.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// Call makes one call; body is sent as JSON unless it is nil, or bytes, which
// are sent as they are. The error is an *connectors.Owed, or ctx's: there was no answer.
func (c *Client) Call(ctx context.Context, method, path string, header http.Header, body any) (*Answer, error) {
	sent, err := encode(body)
	if err != nil {
		return nil, &connectors.Owed{Code: connectors.Rejected, Detail: "what is to be sent cannot be written as JSON", Err: err}
	}
	if err := c.Limiter.Wait(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.Base+path, sent)
	if err != nil {
		return nil, &connectors.Owed{Code: connectors.Rejected, Detail: "the address of " + c.Vendor + " cannot be used", Err: Cause(err)}
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "Ringback")
	if body != nil && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.Authorize != nil {
		if err := c.Authorize(ctx, r); err != nil {
			return nil, err
		}
	}
	answer, err := c.HTTP.Do(r)
	if err != nil {
		return nil, c.noAnswer(err)
	}
	defer func() { _ = answer.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(answer.Body, MaxAnswer))
	if err != nil {
		return nil, c.noAnswer(err)
	}
	return &Answer{Status: answer.StatusCode, Header: answer.Header, Body: read}, nil
}

func encode(body any) (io.Reader, error) {
	switch b := body.(type) {
	case nil:
		return http.NoBody, nil
	case []byte:
		return bytes.NewReader(b), nil
	}
	b, err := json.Marshal(body)
	return bytes.NewReader(b), err
}

func (c *Client) noAnswer(err error) error {
	return &connectors.Owed{Code: connectors.Unavailable, Detail: c.Vendor + " does not answer", Err: Cause(err)}
}

// Read reads an answer's JSON into v; where v is nil, there may be none. The error
// is an *connectors.Owed that passes: what answers so is not the vendor, or not
// well. It quotes nothing.
func (c *Client) Read(a *Answer, v any) error {
	if v == nil {
		if len(bytes.TrimSpace(a.Body)) == 0 {
			return nil
		}
		v = &json.RawMessage{}
	}
	if json.Unmarshal(a.Body, v) != nil {
		return &connectors.Owed{Code: connectors.Unavailable, Detail: "the answer of " + c.Vendor + " cannot be read"}
	}
	return nil
}

// Refusal is what an answer that is no 2xx means where the vendor says nothing
// more special. Why are codes and field names for people: nothing that the
// vendor may have quoted from what was sent.
func (c *Client) Refusal(a *Answer, why ...string) *connectors.Owed {
	owed := &connectors.Owed{RetryAfter: RetryAfter(a.Header, c.Limiter.now())}
	said := "answered " + strconv.Itoa(a.Status)
	if codes := Plain(why...); codes != "" {
		said += " (" + codes + ")"
	}
	switch {
	case a.Status == http.StatusTooManyRequests:
		owed.Code, said = connectors.RateLimited, "refuses more calls for now"
		owed.RetryAfter = c.Limiter.Refused(owed.RetryAfter)
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		owed.Code = connectors.Unauthorized
	case a.Status == http.StatusNotFound, a.Status == http.StatusGone:
		owed.Code = connectors.Gone
	case a.Status == http.StatusConflict, a.Status == http.StatusPreconditionFailed:
		owed.Code = connectors.Conflict
	case a.Status >= 500, a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly:
		owed.Code = connectors.Unavailable
	case a.Status >= 300 && a.Status <= 399:
		owed.Code = connectors.Rejected
		said += ", a redirect: is its address right?"
	default:
		owed.Code = connectors.Rejected
	}
	owed.Detail = c.Vendor + " " + said
	return owed
}

// Plain leaves of a vendor's words only what looks like a code or the name of a
// field: nothing that it may have quoted.
func Plain(words ...string) string {
	var kept []string
	for _, w := range words {
		if code.MatchString(w) {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, ", ")
}

var code = regexp.MustCompile(`^[A-Za-z_/.:-]{1,64}$`)

// RetryAfter reads the header of that name: seconds or a date; 0 where it says nothing.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	said := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(said, 64); err == nil && seconds > 0 && seconds < 1e6 {
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(said); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// Number reads a header that is a number; -1 where it is none.
func Number(h http.Header, name string) int {
	if n, err := strconv.ParseFloat(h.Get(name), 64); err == nil && n >= 0 && n < 1e9 {
		return int(n)
	}
	return -1
}

// Cause is an error without the address that was called: a ticket's number may
// be in it, and it is for the log (R26).
func Cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return fmt.Errorf("time out: %w", context.DeadlineExceeded)
		}
		return u.Err
	}
	return err
}

// OwedAs returns err as the reason why something is owed: any other error
// counts as one that passes.
func OwedAs(err error) *connectors.Owed {
	var owed *connectors.Owed
	if errors.As(err, &owed) {
		return owed
	}
	return &connectors.Owed{Code: connectors.Unavailable, Detail: "it could not be tried", Err: err}
}

// Is reports whether err says that something is owed for that reason.
func Is(err error, code connectors.OwedCode) bool {
	var owed *connectors.Owed
	return errors.As(err, &owed) && owed.Code == code
}
