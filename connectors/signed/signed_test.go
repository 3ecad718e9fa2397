package signed

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/connectors"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	other  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func key(t testing.TB, secrets string) *Key {
	t.Helper()
	k, err := ParseKey(secrets)
	require.NoError(t, err)
	return k
}

func TestASecretIsOneOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", " ", "plain words", "whsec_", "whsec_!!!", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", secret + " whsec_short"} {
		_, err := ParseKey(bad)
		require.Error(t, err, bad)
		for _, part := range []string{"plain", "!!!", "c2hvcnQ", "MfKQ9r8", "short"} {
			require.NotContains(t, err.Error(), part, "an error never repeats a secret")
		}
	}
}

func TestOnlyWhatIsSignedInTimeIsTaken(t *testing.T) {
	t.Parallel()
	body := []byte(`{"a":1}`)
	sign := func(secrets string, at time.Time) http.Header {
		h := http.Header{}
		require.NoError(t, key(t, secrets).Sign(h, "msg_1", at, body))
		return h
	}
	with := func(h http.Header, name, value string) http.Header {
		h.Set(name, value)
		return h
	}
	tests := []struct {
		name   string
		header http.Header
		body   string
		ok     bool
	}{
		{"signed", sign(secret, at), string(body), true},
		{"signed with the old and the new key", sign(other+" "+secret, at), string(body), true},
		{"a little off", sign(secret, at.Add(-Tolerance)), string(body), true},
		{"ahead", sign(secret, at.Add(Tolerance)), string(body), true},
		{"long ago", sign(secret, at.Add(-Tolerance-time.Second)), string(body), false},
		{"far ahead", sign(secret, at.Add(Tolerance+time.Second)), string(body), false},
		{"another key", sign(other, at), string(body), false},
		{"another body", sign(secret, at), `{"a":2}`, false},
		{"another id", with(sign(secret, at), "webhook-id", "msg_2"), string(body), false},
		{"another time", with(sign(secret, at), "webhook-timestamp", strconv.FormatInt(at.Unix()+1, 10)), string(body), false},
		{"no time", with(sign(secret, at), "webhook-timestamp", "now"), string(body), false},
		{"no signature", with(sign(secret, at), "webhook-signature", ""), string(body), false},
		{"an unknown version", with(sign(secret, at), "webhook-signature", "v2,"+sign(secret, at).Get("webhook-signature")[3:]), string(body), false},
		{"no headers", http.Header{}, string(body), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := key(t, secret).Verify(test.header, []byte(test.body), at)
			if test.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrSignature)
		})
	}
	require.NoError(t, key(t, other+" "+secret).Verify(sign(secret, at), body, at), "while a secret is replaced, both are taken")
}

func TestWhatIsSentIsSignedAndAnAnswerIsJudged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		header http.Header
		want   connectors.OwedCode
		after  time.Duration
	}{
		{200, nil, "", 0}, {202, nil, "", 0}, {204, nil, "", 0},
		{301, http.Header{"Location": {"/elsewhere"}}, connectors.Rejected, 0},
		{400, nil, connectors.Rejected, 0}, {413, nil, connectors.Rejected, 0}, {422, nil, connectors.Rejected, 0},
		{401, nil, connectors.Unauthorized, 0}, {403, nil, connectors.Unauthorized, 0},
		{404, nil, connectors.Unavailable, 0}, {409, nil, connectors.Unavailable, 0},
		{410, nil, connectors.Gone, 0},
		{429, http.Header{"Retry-After": {"17"}}, connectors.RateLimited, 17 * time.Second},
		{429, nil, connectors.RateLimited, 0},
		{500, nil, connectors.Unavailable, 0},
		{503, http.Header{"Retry-After": {at.Add(90 * time.Second).Format(http.TimeFormat)}}, connectors.Unavailable, 90 * time.Second},
		{503, http.Header{"Retry-After": {"999999"}}, connectors.Unavailable, longestWait},
		{503, http.Header{"Retry-After": {"-5"}}, connectors.Unavailable, 0},
		{503, http.Header{"Retry-After": {"soon"}}, connectors.Unavailable, 0},
	}
	for _, test := range tests {
		t.Run(strconv.Itoa(test.status), func(t *testing.T) {
			t.Parallel()
			calls := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++
				body, err := io.ReadAll(r.Body)
				if err != nil || key(t, secret).Verify(r.Header, body, at) != nil || r.Header.Get("Webhook-Id") != "op-1" || r.URL.Path != "/hook" {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				for name, values := range test.header {
					w.Header()[name] = values
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, "a text that names Asha")
			}))
			defer server.Close()
			err := key(t, secret).Send(context.Background(), Client(), Post{URL: server.URL + "/hook", ID: "op-1", Body: []byte(`{}`)}, at)
			require.Equal(t, 1, calls, "a redirect is not followed")
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			var owed *connectors.Owed
			require.ErrorAs(t, err, &owed)
			require.Equal(t, test.want, owed.Code)
			require.Equal(t, test.after, owed.RetryAfter)
			require.NotContains(t, owed.Error(), "Asha")
		})
	}
}

func TestNoAnswerPassesAndTheAddressIsNotRepeated(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	err := key(t, secret).Send(context.Background(), Client(), Post{URL: server.URL + "/hook?token=abc", ID: "op-1", Body: []byte(`{}`)}, at)
	var owed *connectors.Owed
	require.ErrorAs(t, err, &owed)
	require.Equal(t, connectors.Unavailable, owed.Code)
	require.NotContains(t, owed.Error(), "token")

	err = key(t, secret).Send(context.Background(), Client(), Post{URL: server.URL, ID: "op-1", Body: make([]byte, MaxBody)}, at)
	require.ErrorAs(t, err, &owed)
	require.Equal(t, connectors.Rejected, owed.Code)
}
