package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Given --server, the auditor's tools find a running desk (CONTRACT §2).
func TestARunningDeskSaysWhereItIs(t *testing.T) {
	t.Parallel()
	handler, err := whereaboutsOf("somewhere", "127.0.0.1:17233", "ringback")
	require.NoError(t, err)
	running := httptest.NewServer(handler)
	t.Cleanup(running.Close)
	here, err := filepath.Abs("somewhere")
	require.NoError(t, err)
	configured := whereabouts{Data: ".ringback", Temporal: "127.0.0.1:7233", Namespace: "other"}
	told, err := configured.told(t.Context(), running.URL+"/")
	require.NoError(t, err)
	require.Equal(t, whereabouts{here, "127.0.0.1:17233", "ringback"}, told)

	silent := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(silent.Close)
	told, err = configured.told(t.Context(), silent.URL)
	require.NoError(t, err)
	require.Equal(t, configured, told)

	for name, change := range map[string]func(*http.Request){
		"passed on":    func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") },
		"another name": func(r *http.Request) { r.Host = "desk.example.com" },
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:8080"+whereaboutsPath, nil)
		r.RemoteAddr = "127.0.0.1:50000"
		change(r)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusNotFound, w.Code, name)
	}
}
