package api_test

import (
	"bufio"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
)

// bearer sends a request with a token.
func (d *desk) bearer(token, method, path string, body any) *reply {
	d.t.Helper()
	return d.do(call{method: method, path: path, body: body, header: map[string]string{"Authorization": "Bearer " + token}})
}

// keyed makes a key as admin1 and returns what was answered.
func (d *desk) key(name string, lasts time.Duration, scopes ...string) *reply {
	d.t.Helper()
	return d.post("admin1", "/v1/keys", object{"name": name, "scopes": scopes, "expires_at": d.clock.now().Add(lasts)}).want(http.StatusCreated)
}

func TestAKeyIsShownOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	made := d.key("servicebench", time.Hour, "intake", "read")
	token := made.str("key")
	require.Regexp(t, `^rbk_[a-z2-7]{16}_[a-z2-7]{52}$`, token)
	require.Equal(t, "/v1/keys/"+made.str("id"), made.header.Get("Location"))
	require.Equal(t, "admin1", made.str("created_by"))
	require.Equal(t, []any{"intake", "read"}, made.at("scopes"))
	require.NotEqual(t, token, d.key("servicebench", time.Hour, "read").str("key"), "two may have one name")

	listed := d.get("admin1", "/v1/keys").want(200)
	require.Len(t, listed.items(), 2)
	_, secret, _ := strings.Cut(strings.TrimPrefix(token, "rbk_"), "_")
	require.NotContains(t, listed.text(), secret)
	require.Nil(t, listed.items()[1]["key"])
	kept, err := d.book.store.Key(t.Context(), made.str("id"))
	require.NoError(t, err)
	require.NotContains(t, string(kept.Hash), secret)
	require.Len(t, kept.Hash, 32)
	require.NotContains(t, d.log.String(), secret)

	id := d.bearer(token, "POST", "/v1/callbacks", asked()).want(201).str("id")
	require.Equal(t, "system:servicebench", d.bearer(token, "GET", "/v1/callbacks/"+id, nil).want(200).str("requested_by"))
	require.Equal(t, []any{}, d.bearer(token, "GET", "/v1/callbacks/"+id, nil).at("allowed"), "a system commands nothing")
	require.Equal(t, object{
		"id": "system:servicebench", "name": "system:servicebench", "tier": nil, "queues": []any{}, "roles": []any{},
		"scopes": []any{"intake", "read"}, "may": []any{"create"}, "presence": nil,
	}, d.bearer(token, "GET", "/v1/me", nil).want(200).json())
}

func TestAKeyThatIsAskedForAgainIsNotShownAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	body := object{"name": "x", "scopes": []string{"read"}, "expires_at": "2026-12-01T00:00:00Z"}
	ask := func(body any) *reply {
		return d.do(call{method: "POST", path: "/v1/keys", as: "admin1", key: "k1", body: body})
	}
	first := ask(body).want(201)
	require.NotNil(t, first.at("key"))
	again := ask(body).want(201)
	require.Equal(t, first.str("id"), again.str("id"))
	require.Nil(t, again.at("key"), "what is kept to be answered again has no secret in it")
	ask(object{"name": "y", "scopes": []string{"read"}, "expires_at": "2026-12-01T00:00:00Z"}).refused(422, "idempotency_key_reused", "")
	require.Len(t, d.get("admin1", "/v1/keys").items(), 1)

	var replies []*reply
	for _, r := range d.together(6, call{method: "POST", path: "/v1/keys", as: "admin1", key: "k2", body: body}) {
		replies = append(replies, r.want(201))
		require.Equal(t, replies[0].str("id"), r.str("id"))
	}
	require.Len(t, d.get("admin1", "/v1/keys").items(), 2)
}

func TestAKeyEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	expiring, revoked := d.key("a", time.Hour, "read"), d.key("b", time.Hour, "read")
	d.bearer(revoked.str("key"), "GET", "/v1/me", nil).want(200)
	gone := d.do(call{method: "DELETE", path: "/v1/keys/" + revoked.str("id"), as: "admin1"}).want(200)
	require.Equal(t, "admin1", gone.str("revoked_by"))
	d.bearer(revoked.str("key"), "GET", "/v1/me", nil).refused(401, "unauthenticated", "")
	at := gone.str("revoked_at")
	d.clock.move(59 * time.Minute)
	require.Equal(t, at, d.do(call{method: "DELETE", path: "/v1/keys/" + revoked.str("id"), as: "admin1"}).want(200).str("revoked_at"), "for good")
	d.bearer(expiring.str("key"), "GET", "/v1/me", nil).want(200)
	d.clock.move(time.Minute)
	d.bearer(expiring.str("key"), "GET", "/v1/me", nil).refused(401, "unauthenticated", "")
	d.do(call{method: "DELETE", path: "/v1/keys/none", as: "admin1"}).refused(404, "not_found", "")
	d.do(call{method: "DELETE", path: "/v1/keys/" + revoked.str("id"), as: "sup1"}).refused(403, "forbidden", "")
	d.do(call{method: "DELETE", path: "/v1/keys/none", as: "sup1"}).refused(403, "forbidden", "") // nor is it told which there are
}

func TestWhatIsNoKeyProvesNobody(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	good := d.key("a", time.Hour, "read").str("key")
	other := d.key("b", time.Hour, "read").str("key")
	for _, token := range []string{
		"rbk_", "rbk_x_y", good[:len(good)-1], good + "a", good[:len(good)-1] + "!", strings.ToUpper(good), good[:20] + other[20:], other[:21] + good[21:],
		strings.TrimPrefix(good, "rbk_"),
	} {
		d.bearer(token, "GET", "/v1/me", nil).refused(401, "unauthenticated", "")
	}
	off := newDesk(t, func(o *api.Options) { o.NoKeys = true })
	off.sup1HasRoles(t)
	off.bearer(off.key("a", time.Hour, "read").str("key"), "GET", "/v1/me", nil).refused(401, "unauthenticated", "")
}

func TestTheUseOfAKeyIsNotedOnceAMinute(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	made := d.key("a", time.Hour, "read")
	var noted atomic.Int64
	d.book.set(func(b *flakyBook) {
		b.before = func(name string) error {
			if name == "use key" {
				noted.Add(1)
			}
			return nil
		}
	})
	for range 10 {
		d.bearer(made.str("key"), "GET", "/v1/me", nil).want(200)
	}
	d.clock.move(59 * time.Second)
	d.bearer(made.str("key"), "GET", "/v1/me", nil).want(200)
	d.clock.move(time.Second)
	d.bearer(made.str("key"), "GET", "/v1/me", nil).want(200)
	d.api.Close() // waits for what runs in the background
	require.EqualValues(t, 2, noted.Load())
	kept, err := d.book.store.Key(t.Context(), made.str("id"))
	require.NoError(t, err)
	require.Equal(t, d.clock.now(), kept.LastUsedAt.Time)
}

func TestWhatAKeyMayBe(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	ask := func(change object) *reply {
		body := object{"name": "x", "scopes": []string{"read"}, "expires_at": "2026-12-01T00:00:00Z"}
		for name, v := range change {
			body[name] = v
		}
		return d.post("admin1", "/v1/keys", body)
	}
	ask(object{"name": "a b"}).invalid("name")
	ask(object{"name": "x:y"}).invalid("name")
	ask(object{"scopes": []string{}}).invalid("scopes")
	ask(object{"scopes": []string{"root"}}).invalid("scopes[0]")
	ask(object{"scopes": []string{"read", "read"}}).invalid("scopes")
	ask(object{"expires_at": "2026-11-23T12:00:06Z"}).invalid("expires_at")
	ask(object{"expires_at": "2029-01-01T00:00:00Z"}).invalid("expires_at")
	ask(object{"expires_at": nil}).invalid("expires_at")
	d.post("admin1", "/v1/keys", object{"name": "x", "scopes": []string{"read"}}).invalid("expires_at")
}

func TestASystemStaysItselfWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	known, unknown := d.key("a", time.Hour, "read").str("key"), d.key("b", time.Hour, "read").str("key")
	d.bearer(known, "GET", "/v1/me", nil).want(200)
	d.book.set(func(b *flakyBook) { b.away = true })
	d.bearer(known, "GET", "/v1/me", nil).want(200)
	d.bearer(known[:len(known)-1]+"b", "GET", "/v1/me", nil).refused(401, "unauthenticated", "")
	d.bearer(unknown, "GET", "/v1/me", nil).refused(503, "unavailable", "")
	d.clock.move(16 * time.Minute)
	d.bearer(known, "GET", "/v1/me", nil).refused(503, "unavailable", "")
}

func TestAStreamEndsWithItsReadersKey(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	made := d.key("a", time.Hour, "read")
	server := d.serve()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/stream", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+made.str("key"))
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	require.Equal(t, 200, answer.StatusCode)
	d.ticks <- d.clock.now()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() && lines.Text() != ": heartbeat" {
		continue
	}
	d.do(call{method: "DELETE", path: "/v1/keys/" + made.str("id"), as: "admin1"}).want(200)
	d.ticks <- d.clock.now()
	for lines.Scan() {
		require.NotEqual(t, ": heartbeat", lines.Text())
	}
	require.NoError(t, lines.Err(), "it ends in order")
}
