package signed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"ringback/connectors"
	"ringback/connectors/wire"
)

const (
	// Timeout bounds one request, answer included: within the 15 to 30 seconds that
	// the specification asks for.
	Timeout = 20 * time.Second
	// MaxBody is how large a payload may be.
	MaxBody = 20_000
	// longestWait caps what a Retry-After may ask for.
	longestWait = 24 * time.Hour
	// enoughAnswer is read of an answer so that the connection can be used again.
	enoughAnswer = 64 << 10
)

// Client is for posting: it follows no redirect, since what is signed is for
// one address.
func Client() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Post is one message on its way to one address.
type Post struct {
	URL string
	// ID is the same however often it is sent: the receiver tells repeats by it.
	ID   string
	Body []byte
	// Media is application/json where it is empty.
	Media string
}

// Send signs and posts a message. The error is a *connectors.Owed: 410 is Gone,
// 401 and 403 Unauthorized, 429 RateLimited, a message that is refused for what
// it says Rejected; whatever else is not 2xx passes. No answer's text is in it.
func (k *Key) Send(ctx context.Context, client *http.Client, p Post, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if len(p.Body) >= MaxBody {
		return &connectors.Owed{Code: connectors.Rejected, Detail: fmt.Sprintf("the payload has %d bytes, and must have less than %d", len(p.Body), MaxBody)}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader(p.Body))
	if err != nil {
		return &connectors.Owed{Code: connectors.Rejected, Detail: "the address cannot be used"}
	}
	media := p.Media
	if media == "" {
		media = "application/json"
	}
	r.Header.Set("Content-Type", media)
	r.Header.Set("User-Agent", "Ringback")
	if err := k.Sign(r.Header, p.ID, now, p.Body); err != nil {
		return &connectors.Owed{Code: connectors.Unavailable, Detail: "it could not be signed", Err: err}
	}
	answer, err := client.Do(r)
	if err != nil {
		detail := "no answer"
		if errors.Is(err, context.DeadlineExceeded) {
			detail = fmt.Sprintf("no answer within %s", Timeout)
		}
		return &connectors.Owed{Code: connectors.Unavailable, Detail: detail, Err: wire.Cause(err)}
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, enoughAnswer)
	return judge(answer, now)
}

// judge is what an answer means for the delivery.
func judge(answer *http.Response, now time.Time) error {
	status := answer.StatusCode
	if status/100 == 2 {
		return nil
	}
	owed := &connectors.Owed{
		Code: connectors.Unavailable, Detail: fmt.Sprintf("it answered %d", status),
		RetryAfter: min(wire.RetryAfter(answer.Header, now), longestWait),
	}
	switch status {
	case http.StatusGone:
		owed.Code = connectors.Gone
	case http.StatusTooManyRequests:
		owed.Code = connectors.RateLimited
	case http.StatusUnauthorized, http.StatusForbidden:
		owed.Code = connectors.Unauthorized
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		owed.Code = connectors.Rejected
	}
	if status/100 == 3 {
		owed.Code, owed.Detail = connectors.Rejected, fmt.Sprintf("it answered %d: redirects are not followed, configure the address itself", status)
	}
	return owed
}
