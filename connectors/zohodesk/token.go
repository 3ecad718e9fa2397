package zohodesk

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/oauth2"

	"ringback/connectors"
	"ringback/connectors/wire"
)

// Zoho gives at most 10 tokens in 10 minutes for a refresh token; two are left
// for whoever else has it.
const (
	tokensAtMost = 8
	tokensWithin = 10 * time.Minute
	// early is how long before its end a token is no longer used.
	early = time.Minute
	// sulk is how long after a refusal nobody asks again.
	sulk = time.Minute
)

// token is the one access token that all calls share. Of many that need a new
// one at once one gets it, and the others wait for that.
type token struct {
	config  oauth2.Config
	refresh string
	client  *http.Client
	timeout time.Duration
	now     func() time.Time

	turn    chan struct{} // whoever holds it may change what follows
	access  string
	until   time.Time
	asked   []time.Time
	refused error
	sulking time.Time
}

func newToken(c Config, deps connectors.Deps, client *http.Client) *token {
	return &token{
		config: oauth2.Config{
			ClientID: c.ClientID, ClientSecret: c.ClientSecret,
			Endpoint: oauth2.Endpoint{TokenURL: c.AccountsURL + "/oauth/v2/token", AuthStyle: oauth2.AuthStyleInParams},
		},
		refresh: c.RefreshToken, client: client, timeout: time.Duration(c.Timeout), now: deps.Now, turn: make(chan struct{}, 1),
	}
}

// get returns an access token that is still good. The error is ctx's, or an
// *connectors.Owed in which no secret is.
func (t *token) get(ctx context.Context) (string, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	now := t.now()
	switch {
	case t.access != "" && now.Before(t.until):
		return t.access, nil
	case t.refused != nil && now.Before(t.sulking):
		return "", t.refused
	}
	for len(t.asked) > 0 && now.Sub(t.asked[0]) >= tokensWithin {
		t.asked = t.asked[1:]
	}
	if len(t.asked) >= tokensAtMost {
		return "", &connectors.Owed{
			Code: connectors.RateLimited, Detail: "Zoho gives no more tokens for now", RetryAfter: tokensWithin - now.Sub(t.asked[0]),
		}
	}
	t.asked = append(t.asked, now)
	t.access, t.refused = "", nil
	access, lasts, err := t.ask(ctx)
	if err != nil {
		if wire.Is(err, connectors.Unauthorized) {
			t.refused, t.sulking = err, now.Add(sulk)
		}
		return "", err
	}
	t.access, t.until = access, now.Add(lasts-early)
	return t.access, nil
}

// drop forgets a token that was not taken, unless there is another one already.
func (t *token) drop(access string) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	if t.access == access {
		t.access = ""
	}
}

func (t *token) ask(ctx context.Context) (access string, lasts time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, t.client), t.timeout)
	defer cancel()
	given, err := t.config.TokenSource(ctx, &oauth2.Token{RefreshToken: t.refresh}).Token()
	if err != nil {
		return "", 0, t.reason(err)
	}
	seconds := given.ExpiresIn
	if seconds > 100_000 { // some answers count in milliseconds
		seconds /= 1000
	}
	if seconds <= 0 {
		seconds = 3600
	}
	return given.AccessToken, max(time.Duration(seconds)*time.Second, 2*early), nil
}

// reason says why there is no token. Zoho answers 200 to what it refuses; the
// library's own error may quote the answer, so only its code is repeated.
func (t *token) reason(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return &connectors.Owed{Code: connectors.Unavailable, Detail: "Zoho's sign-in does not answer", Err: wire.Cause(err)}
	}
	status := 0
	if refused.Response != nil {
		status = refused.Response.StatusCode
	}
	switch {
	case status >= 500:
		return &connectors.Owed{Code: connectors.Unavailable, Detail: "Zoho's sign-in answered " + strconv.Itoa(status)}
	case status == http.StatusTooManyRequests, refused.ErrorCode == "Access Denied":
		// That is how it says that too many tokens were asked for.
		return &connectors.Owed{Code: connectors.RateLimited, Detail: "Zoho gives no more tokens for now", RetryAfter: sulk}
	}
	why := ""
	if code := wire.Plain(refused.ErrorCode); code != "" {
		why = " (" + code + ")"
	}
	return &connectors.Owed{Code: connectors.Unauthorized, Detail: "Zoho does not take the refresh token" + why + ": has it been revoked, or is it of another data centre?"}
}
