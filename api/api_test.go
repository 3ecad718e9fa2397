package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"ringback/api"
)

func TestNewRefusesWhatCannotBeSafe(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	good := api.Options{Book: d.book, Engine: d.engine, DevTokens: true, Listen: "127.0.0.1:8080", Config: api.Config{Policies: policies()}}
	for name, change := range map[string]func(*api.Options){
		"dev tokens for everybody":     func(o *api.Options) { o.Listen = "0.0.0.0:8080" },
		"dev tokens on every address":  func(o *api.Options) { o.Listen = ":8080" },
		"dev tokens on the network":    func(o *api.Options) { o.Listen = "192.168.1.5:8080" },
		"dev tokens on a name":         func(o *api.Options) { o.Listen = "desk.example:8080" },
		"dev tokens on an unknown one": func(o *api.Options) { o.Listen = "" },
		"nobody can sign in":           func(o *api.Options) { o.DevTokens, o.NoKeys = false, true },
		"no book":                      func(o *api.Options) { o.Book = nil },
		"no engine":                    func(o *api.Options) { o.Engine = nil },
		"no policy":                    func(o *api.Options) { o.Config.Policies = nil },
	} {
		o := good
		change(&o)
		_, err := api.New(o)
		require.Error(t, err, name)
	}
	for _, listen := range []string{"127.0.0.1:8080", "localhost:0", "[::1]:80", "127.1.2.3:1"} {
		o := good
		o.Listen = listen
		a, err := api.New(o)
		require.NoError(t, err, listen)
		a.Close()
		a.Close() // twice is once
	}
}

// keys are principals by token.
type keys map[string]api.Principal

func (k keys) Authenticate(_ context.Context, token string) (api.Principal, error) {
	who, known := k[token]
	if !known {
		return who, api.ErrUnauthenticated
	}
	return who, nil
}

func TestASystemMayOnlyTakeIn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *api.Options) {
		o.Authenticator = keys{
			"good": {ID: "system:servicebench", Scopes: []string{api.ScopeIntake}},
			"poor": {ID: "system:other"},
		}
	})
	send := func(token, method, path string, body any) *reply {
		return d.do(call{method: method, path: path, body: body, header: map[string]string{"Authorization": "bearer " + token}})
	}
	send("nobody", "GET", "/v1/me", nil).refused(401, "unauthenticated", "")
	made := send("good", "POST", "/v1/callbacks", asked()).want(201)
	require.Equal(t, "system:servicebench", made.str("requested_by"))
	require.Equal(t, []any{}, made.at("allowed"))
	id := made.str("id")
	require.Equal(t, "system:servicebench", d.get("sup1", "/v1/callbacks/"+id+"/timeline").items()[0]["actor"])
	send("poor", "POST", "/v1/callbacks", asked()).refused(403, "forbidden", "")
	require.Equal(t, []any{"intake"}, send("good", "GET", "/v1/me", nil).want(200).at("scopes"))
	send("good", "GET", "/v1/policies", nil).want(200)
	for _, path := range []string{
		"/v1/callbacks", "/v1/callbacks/" + id, "/v1/callbacks/" + id + "/timeline", "/v1/callbacks/" + id + "/notes", "/v1/callbacks/" + id + "/history",
		"/v1/stats", "/v1/staff", "/v1/queues", "/v1/availability", "/v1/stream",
	} {
		code := send("good", "GET", path, nil).want(403).str("code")
		require.Equal(t, "forbidden", code, path)
	}
	send("poor", "GET", "/v1/policies", nil).refused(403, "forbidden", "")
	send("good", "POST", "/v1/callbacks/"+id+"/notes", object{"kind": "note", "body": "x"}).refused(403, "forbidden", "")
	send("good", "POST", "/v1/callbacks/"+id+"/customer-called", nil).refused(403, "forbidden", "")
	send("good", "PUT", "/v1/me/presence", object{"state": "away"}).refused(403, "forbidden", "")
	send("good", "POST", "/v1/transfers", object{"tier": "manager", "queue": "Managers - RM"}).refused(403, "forbidden", "")
}

func TestServeDrains(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- d.api.Serve(ctx, l) }()

	begun, goOn := make(chan struct{}), make(chan struct{})
	d.engine.set(func(e *fakeEngine) {
		e.before = func(string) {
			close(begun)
			<-goOn
		}
	})
	send := func(method, path string) (*http.Response, error) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer dev:sup1")
		return http.DefaultTransport.RoundTrip(request)
	}
	stream, err := send("GET", "/v1/stream")
	require.NoError(t, err)
	var claimed *http.Response
	var wg sync.WaitGroup
	wg.Go(func() { claimed, err = send("POST", "/v1/callbacks/"+id+"/claim") })
	<-begun
	stop() // while a command is under way and a stream is open
	_, streamErr := io.ReadAll(stream.Body)
	require.NoError(t, streamErr, "the stream ends in order")
	select {
	case err := <-served:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	close(goOn)
	wg.Wait()
	require.NoError(t, err)
	require.Equal(t, 200, claimed.StatusCode)
	_ = claimed.Body.Close()
	require.NoError(t, <-served)
	_, err = send("GET", "/healthz")
	require.Error(t, err)
}

func TestServeRefusesDevTokensBeyondLoopback(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	require.ErrorContains(t, d.api.Serve(t.Context(), l), "127.0.0.1")
}

func TestR26_NothingPersonalIsLoggedCountedOrTraced(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	d := newDesk(t, func(o *api.Options) { o.Tracer = trace.NewTracerProvider(trace.WithSyncer(spans)) })
	id := d.started(func(b object) {
		b["source"] = object{"system": "freshdesk", "ref": "secret-ref", "url": "https://example.com/secret"}
	})
	d.command("sup1", id, "attempts", object{"disposition": "reached", "note": "secret note"}).want(200)
	d.command("sup1", id, "notes", object{"kind": "note", "body": "secret body"}).want(201)
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/notes", as: "sup1", key: "secret-key", body: object{"kind": "x", "secret": "y"}}).invalid("body", "kind", "secret")
	d.get("sup1", "/v1/callbacks?q=asha&customer=crm-1&source=freshdesk:secret-ref").want(200)
	d.get("sup1", "/v1/callbacks?q=asha&secret=1").want(422)
	d.post("agent1", "/v1/callbacks", asked(func(b object) { b["customer"].(object)["phone"] = "secret" })).invalid("customer.phone")
	d.book.set(func(b *flakyBook) {
		b.before = func(name string) error {
			if name == "settle" {
				panic("secret")
			}
			return nil
		}
	})
	d.post("agent1", "/v1/callbacks", asked()).refused(500, "internal", "")
	require.Contains(t, d.log.String(), "panic (string) at ")
	told := d.log.String() + d.get("", "/metrics").text()
	require.NotEmpty(t, spans.GetSpans())
	for _, s := range spans.GetSpans() {
		told += s.Name
		for _, a := range s.Attributes {
			told += string(a.Key) + "=" + a.Value.String() + "\n"
		}
	}
	for _, secret := range []string{"secret", "Asha", "asha", "9876543210", "crm-1", "Refund"} {
		require.NotContains(t, told, secret)
	}
	require.Contains(t, told, "ringback.callback_id="+id)
	require.Contains(t, told, `ringback_open_callbacks 1`)
}

// fuzzed is one desk for all inputs of a fuzzer.
func fuzzed(f *testing.F) *desk {
	f.Helper()
	return newDesk(f)
}

func (d *desk) survives(t *testing.T, r *http.Request) {
	t.Helper()
	onThisMachine(r).Header.Set("Authorization", "Bearer dev:sup1")
	w := httptest.NewRecorder()
	d.http.ServeHTTP(w, r)
	require.Less(t, w.Code, 500, "%s", w.Body)
	twin := *d
	twin.t = t
	twin.conforms(r, &reply{t, w.Code, w.Header(), w.Body.Bytes()})
}

func FuzzCreateBody(f *testing.F) {
	d := fuzzed(f)
	for _, seed := range []string{
		`{}`, `[]`, `null`, `{"policy":"supervisor-callback","customer":{"name":"A","phone":"+919876543210"}}`,
		`{"policy":"purchasing-escalation","customer":{"name":"A","phone":"+919876543210"},"fields":{"order_number":"ORD-1","needed":"x"}}`,
		`{"policy":"supervisor-callback","customer":{"name":"A","phone":"+919876543210","ref":null,"email":"a@b.c","time_zone":"UTC"},"reason":"\ud800","source":{"system":"s","ref":"r","url":"http://x"},"lob":"flights","transfer_attempt":{"tier":"manager","outcome":"x"},"scheduled_for":"2026-11-24T00:00:00+05:30","parent":"` + unknownID + `"}`,
		`{"policy":"supervisor-callback","customer":{"name":"A","phone":"+919876543210"},"customer":{"name":"B","phone":"+46701234567","name":"C"}}`,
		"{\"policy\":\"a\\u0000b\"}", `{"policy":1e999}`, strings.Repeat(`[`, 20000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/callbacks", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		d.survives(t, r)
	})
}

func FuzzQuery(f *testing.F) {
	d := fuzzed(f)
	d.create()
	for _, seed := range []string{
		"", "limit=1&sort=due_at", "status=queued,claimed&status=completed", "q=%22asha%22+OR+*", "q=NEAR(a+b)", "q=%00", "cursor=AAAA", "due_before=2026-11-23T12:00:00Z",
		"source=a:b:c", "source=:", "tag=%25", "limit=1;x", "a=b&&=", "owner=sup1&assignee=%F0%9F%93%9E", "overdue=true&customer=%27%3B--",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/v1/callbacks", "/v1/stats", "/v1/availability"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.URL = &url.URL{Path: path, RawQuery: query}
			d.survives(t, r)
		}
	})
}

func FuzzPath(f *testing.F) {
	d := fuzzed(f)
	for _, seed := range []string{unknownID, "../x", "%2e%2e", "", "a/b", "01900000-0000-7000-8000-00000000000G", "{01900000-0000-7000-8000-000000000000}"} {
		f.Add(seed, `"7"`, "key")
	}
	f.Fuzz(func(t *testing.T, id, match, key string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		r.URL = &url.URL{Path: "/v1/callbacks/" + id + "/claim"}
		r.Header.Set("If-Match", match)
		r.Header.Set("Idempotency-Key", key)
		d.survives(t, r)
	})
}

func TestMain(m *testing.M) {
	time.Local = time.FixedZone("elsewhere", 5*3600) // whatever the machine's zone, times are UTC
	m.Run()
}
