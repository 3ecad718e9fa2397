package identity

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzNext: wherever somebody is sent after signing in, it is here.
func FuzzNext(f *testing.F) {
	for _, seed := range []string{
		"/", "/work?x=1#y", "//evil.example", "/\\evil.example", "/\t/evil.example", "/.//evil.example", "/..//evil.example", "/%2f/evil.example",
		"/;//evil.example", "/@evil.example", "/?//evil.example", "https:///evil.example", "/\u2044/evil.example", "/a/..//evil.example",
	} {
		f.Add(seed)
	}
	desk, err := url.Parse("https://desk.example/sign-in/callback")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, next string) {
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sign-in/callback", nil), safeNext(next), http.StatusSeeOther)
		location := w.Header().Get("Location")
		// As browsers read it (WHATWG URL §4.4): without tabs and line breaks, \ as /.
		read := strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(strings.TrimSpace(location))
		require.True(t, strings.HasPrefix(read, "/") && !strings.HasPrefix(read, "//"), "%q leads to %q", next, location)
		to, err := desk.Parse(read)
		require.NoError(t, err)
		require.Equal(t, "https", to.Scheme)
		require.Equal(t, "desk.example", to.Host, "%q leads to %q", next, location)
		require.Nil(t, to.User)
	})
}
