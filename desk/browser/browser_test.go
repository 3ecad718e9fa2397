package browser_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/e2e/harness/chromium"
	"ringback/e2e/harness/floor"
)

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Close()
	os.Exit(code)
}

type object = map[string]any

// house is a desk that listens.
type house struct {
	*floor.Floor
	t    testing.TB
	base string
	data string

	mu     sync.Mutex
	server *http.Server
	race   func()
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, data: t.TempDir()}
	f, err := floor.Open(t.Context(), floor.Options{Data: h.data})
	require.NoError(t, err)
	h.Floor = f
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h.base = "http://" + l.Addr().String()
	h.serve(l)
	t.Cleanup(func() {
		h.stop()
		require.NoError(t, h.Floor.Close())
	})
	return h
}

func (h *house) serve(l net.Listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	mux := http.NewServeMux()
	mux.Handle("/", h.Handler)
	mux.HandleFunc("/test/race", func(http.ResponseWriter, *http.Request) {
		h.mu.Lock()
		race := h.race
		h.mu.Unlock()
		race()
	})
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	server := h.server
	go func() { _ = server.Serve(l) }()
}

func (h *house) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.server.Close()
}

// onRace is what happens when a page asks for /test/race.
func (h *house) onRace(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.race = f
}

// restart stops the server, does something, and opens it again on the same address.
func (h *house) restart(between func()) {
	h.t.Helper()
	h.stop()
	require.NoError(h.t, h.Floor.Close())
	between()
	f, err := floor.Open(h.t.Context(), floor.Options{Data: h.data, Engine: h.Engine, Shift: h.Shift()})
	require.NoError(h.t, err)
	h.Floor = f
	var l net.Listener
	require.Eventually(h.t, func() bool {
		l, err = net.Listen("tcp", h.base[len("http://"):])
		return err == nil
	}, chromium.Patience, 50*time.Millisecond)
	h.serve(l)
}

// window is somebody's.
func (h *house) window(as string, o chromium.Options) *chromium.Window {
	h.t.Helper()
	w := chromium.Open(h.t, h.base, o)
	w.Cookie(floor.Cookie(as).Name, as)
	return w
}

func (h *house) promise(name string, change ...func(object)) string {
	h.t.Helper()
	id, err := h.Promise(h.t.Context(), "assoc1", append([]func(object){func(b object) {
		b["customer"] = object{"name": name, "phone": "+919876543210", "time_zone": "Asia/Kolkata"}
	}}, change...)...)
	require.NoError(h.t, err)
	return id
}

func (h *house) give(as, id, command string, body any) {
	h.t.Helper()
	require.NoError(h.t, h.Do(h.t.Context(), as, http.MethodPost, "/v1/callbacks/"+id+"/"+command, body, nil))
}

func (h *house) move(d time.Duration) {
	h.t.Helper()
	require.NoError(h.t, h.Move(h.t.Context(), d))
}

func (h *house) callback(id string) (c api.Callback) {
	h.t.Helper()
	require.NoError(h.t, h.Do(h.t.Context(), "sup1", http.MethodGet, "/v1/callbacks/"+id, nil, &c))
	return c
}

func (h *house) timeline(id string) (types []string) {
	h.t.Helper()
	var t api.Timeline
	require.NoError(h.t, h.Do(h.t.Context(), "sup1", http.MethodGet, "/v1/callbacks/"+id+"/timeline", nil, &t))
	for _, e := range t.Items {
		types = append(types, e.Type)
	}
	return types
}

// card names a callback's card on a page.
func card(id string) string { return fmt.Sprintf(`[data-id="%s"]`, id) }

// axe is the source of axe-core, which npm ci brings; the test is skipped where it is missing.
func axe(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("RINGBACK_AXE")
	if folder == "" {
		folder = filepath.Join("node_modules", "axe-core")
	}
	source, err := os.ReadFile(filepath.Join(folder, "axe.min.js"))
	if err == nil {
		return string(source)
	}
	if chromium.Required("axe") {
		t.Fatalf("RINGBACK_REQUIRE lists axe, and it is not there (%v): run npm ci in desk/browser", err)
	}
	t.Skip("skipped: there is no axe-core; run npm ci in desk/browser, or set RINGBACK_AXE")
	return ""
}
