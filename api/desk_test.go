package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
	"ringback/store"
)

// noon is when the tests begin: a Monday.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is the time of a test; it stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// desk is an API on a real store and an engine that runs the real rules.
type desk struct {
	t      testing.TB
	clock  *clock
	book   *flakyBook
	engine *fakeEngine
	api    *api.API
	http   http.Handler
	log    *logged
	spec   *openapi3.T
	*schemas
	// registry holds the metrics; ticks is the stream's heartbeat.
	registry *prometheus.Registry
	ticks    chan time.Time
}

// newDesk opens one; change alters the options before.
func newDesk(t testing.TB, change ...func(*api.Options)) *desk {
	t.Helper()
	d := &desk{t: t, clock: &clock{at: noon}, log: &logged{}, registry: prometheus.NewRegistry(), ticks: make(chan time.Time)}
	path := filepath.Join(t.TempDir(), "desk.db")
	require.NoError(t, os.WriteFile(path, emptyDatabase(t), 0o600))
	s, err := store.OpenSQLite(t.Context(), path, store.Options{Now: d.clock.now, Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.SyncStaff(t.Context(), staff()))
	d.book = &flakyBook{Book: s, store: s}
	d.engine = newFakeEngine(d.clock.now, d.book)
	o := api.Options{
		Book: d.book, Engine: d.engine, Auditor: fakeAuditor{d.engine}, Drafts: fakeDrafts{}, Watch: s, DevTokens: true, Listen: "127.0.0.1:0",
		Config: api.Config{
			Organization: "Train support", Policies: policies(),
			Tiers: map[string]int{"associate": 1, "supervisor": 2, "manager": 3, "executive": 4},
		},
		Logger: slog.New(slog.NewJSONHandler(d.log, nil)), Registry: d.registry, Now: d.clock.now,
		TemporalUI: "http://127.0.0.1:8233/namespaces/ringback/workflows",
		Limits:     api.Limits{Engine: 10 * time.Second, Settle: 2 * time.Second},
		Tick:       func(time.Duration) (<-chan time.Time, func()) { return d.ticks, func() {} },
	}
	for _, f := range change {
		f(&o)
	}
	d.api, err = api.New(o)
	require.NoError(t, err)
	t.Cleanup(d.api.Close)
	d.http = d.api.Handler()
	d.spec, d.schemas = description(t, d.http)
	return d
}

// migrated is a database file with its tables and nothing in them.
var migrated struct {
	once sync.Once
	file []byte
}

func emptyDatabase(t testing.TB) []byte {
	t.Helper()
	migrated.once.Do(func() {
		path := filepath.Join(t.TempDir(), "empty.db")
		s, err := store.OpenSQLite(t.Context(), path, store.Options{Timeout: time.Minute})
		require.NoError(t, err)
		require.NoError(t, s.Migrate(t.Context()))
		require.NoError(t, s.Close())
		migrated.file, err = os.ReadFile(path)
		require.NoError(t, err)
	})
	return migrated.file
}

func policies() map[string]*callback.Policy {
	hour := callback.Duration(time.Hour)
	supervisor := &callback.Policy{
		Name: "supervisor-callback", Title: "Supervisor callback",
		Tag: callback.TagRule{Required: "Callback Required", Unserved: "Callback Not Served"},
		Ladder: []callback.Step{
			{Tier: "supervisor", Rank: 2, Queue: "Supervisors - RM", QueueByLOB: map[string]string{"flights": "Supervisors - Air"}, TAT: hour, WarnAt: []callback.Warning{"50%", "90%"}, Assign: callback.AssignPull},
			{Tier: "manager", Rank: 3, Queue: "Managers - RM", TAT: hour, Assign: callback.AssignPull},
		},
		Overdue:    &callback.ChaseRule{Every: callback.Duration(15 * time.Minute), Max: callback.Duration(4 * time.Hour)},
		HoldMax:    24 * hour,
		Attempts:   callback.AttemptRule{Max: 3, Spacing: callback.Duration(10 * time.Minute)},
		Completion: callback.CompletionRule{Contact: true, CallSummary: true},
		Reasons: []callback.Reason{
			{Code: "resolved", Title: "Resolved on the call"},
			{Code: "unreachable", Title: "Customer could not be reached", WithoutContact: true, AfterAttempts: 3},
		},
		CancelRank: 3,
	}
	purchasing := &callback.Policy{
		Name: "purchasing-escalation", Title: "Purchasing escalation",
		Ladder: []callback.Step{{Tier: "supervisor", Rank: 2, Queue: "Supervisors - RM", TAT: hour, Assign: callback.AssignRandom}},
		Fields: []callback.Field{
			{Name: "order_number", Required: true, Pattern: "[A-Z0-9-]{4,20}"},
			{Name: "needed", Required: true},
		},
		Reasons: []callback.Reason{{Code: "supplied", Title: "Supplied"}},
	}
	direct := &callback.Policy{
		Name: "customer-service-escalation", Title: "Customer-service escalation",
		Ladder: []callback.Step{
			{Tier: "supervisor", Rank: 2, Queue: "Supervisors - RM", TAT: hour, Assign: callback.AssignDirectSupervisor},
			{Tier: "manager", Rank: 3, Queue: "Managers - RM", TAT: hour, Assign: callback.AssignPull},
		},
		Reasons: []callback.Reason{{Code: "resolved", Title: "Resolved"}},
	}
	return map[string]*callback.Policy{supervisor.Name: supervisor, purchasing.Name: purchasing, direct.Name: direct}
}

func staff() []book.Staff {
	return []book.Staff{
		{ID: "agent1", Name: "Associate One", Tier: "associate", Rank: 1, ReportsTo: "sup1"},
		{ID: "sup1", Name: "Supervisor One", Tier: "supervisor", Rank: 2, Queues: []string{"Supervisors - RM", "Supervisors - Air"}, Capacity: 5, ReportsTo: "mgr1"},
		{ID: "sup2", Name: "Supervisor Two", Tier: "supervisor", Rank: 2, Queues: []string{"Supervisors - RM"}, ReportsTo: "mgr1"},
		{ID: "mgr1", Name: "Manager One", Tier: "manager", Rank: 3, Queues: []string{"Managers - RM"}},
		{ID: "mgr2", Name: "Manager Two", Tier: "manager", Rank: 3, Queues: []string{"Managers - RM"}},
		{ID: "audit1", Name: "Auditor One", Tier: "manager", Rank: 3, Queues: []string{"Managers - RM"}, Roles: []string{"auditor"}},
	}
}

// call is one request; the zero Body is none.
type call struct {
	method, path string
	as           string // staff id; empty: nobody
	key          string
	header       map[string]string
	body         any // marshalled, unless it is a string or []byte
}

// reply is what came of it.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

func (r *reply) json() map[string]any {
	r.t.Helper()
	var m map[string]any
	require.NoError(r.t, json.Unmarshal(r.body, &m), "%s", r.body)
	return m
}

func (r *reply) str(path ...string) string {
	r.t.Helper()
	s, _ := r.at(path...).(string)
	return s
}

func (r *reply) at(path ...string) any {
	r.t.Helper()
	var v any = r.json()
	for _, name := range path {
		m, ok := v.(map[string]any)
		require.True(r.t, ok, "%s of %s", name, r.body)
		v, ok = m[name]
		require.True(r.t, ok, "%s is missing in %s", name, r.body)
	}
	return v
}

// text is the body as it is.
func (r *reply) text() string { return string(r.body) }

func (r *reply) items() []map[string]any {
	r.t.Helper()
	var m struct{ Items []map[string]any }
	require.NoError(r.t, json.Unmarshal(r.body, &m))
	return m.Items
}

// as returns the reply, which must have this status.
func (r *reply) want(status int) *reply {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s", r.body)
	return r
}

// refused requires a problem of this status, code and rule.
func (r *reply) refused(status int, code, rule string) *reply {
	r.t.Helper()
	r.want(status)
	require.Equal(r.t, "application/problem+json", r.header.Get("Content-Type"))
	m := r.json()
	require.Equal(r.t, code, m["code"], "%s", r.body)
	require.EqualValues(r.t, status, m["status"])
	require.Equal(r.t, "/docs#"+code, m["type"])
	require.NotEmpty(r.t, m["title"])
	require.NotEmpty(r.t, m["detail"])
	if rule == "" {
		require.Nil(r.t, m["rule"], "%s", r.body)
	} else {
		require.Equal(r.t, rule, m["rule"], "%s", r.body)
	}
	return r
}

// invalid requires 422 invalid with exactly these paths.
func (r *reply) invalid(paths ...string) *reply {
	r.t.Helper()
	r.want(http.StatusUnprocessableEntity)
	var p struct {
		Code   string
		Errors []struct{ Path, Message string }
	}
	require.NoError(r.t, json.Unmarshal(r.body, &p))
	require.Equal(r.t, "invalid", p.Code, "%s", r.body)
	got := []string{}
	for _, e := range p.Errors {
		require.NotEmpty(r.t, e.Message)
		got = append(got, e.Path)
	}
	require.ElementsMatch(r.t, paths, got, "%s", r.body)
	return r
}

func (c call) request(t testing.TB) *http.Request {
	t.Helper()
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	case []byte:
		body = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		require.NoError(t, err)
		body = bytes.NewReader(raw)
	}
	r := onThisMachine(httptest.NewRequestWithContext(t.Context(), c.method, c.path, body))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.as != "" {
		r.Header.Set("Authorization", "Bearer dev:"+c.as)
	}
	if c.key != "" {
		r.Header.Set("Idempotency-Key", c.key)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	return r
}

// onThisMachine makes a request one that dev tokens are good for.
func onThisMachine(r *http.Request) *http.Request {
	r.Host, r.RemoteAddr = "127.0.0.1:8080", "127.0.0.1:50000"
	return r
}

// do sends a request; the answer must be as it is published.
func (d *desk) do(c call) *reply {
	d.t.Helper()
	request := c.request(d.t)
	w := httptest.NewRecorder()
	d.http.ServeHTTP(w, request)
	r := &reply{d.t, w.Code, w.Header(), w.Body.Bytes()}
	d.conforms(request, r)
	return r
}

func (d *desk) get(as, path string) *reply {
	d.t.Helper()
	return d.do(call{method: http.MethodGet, path: path, as: as})
}

func (d *desk) post(as, path string, body any) *reply {
	d.t.Helper()
	return d.do(call{method: http.MethodPost, path: path, as: as, body: body})
}

// command posts to one callback.
func (d *desk) command(as, id, command string, body any) *reply {
	d.t.Helper()
	return d.post(as, "/v1/callbacks/"+id+"/"+command, body)
}

type object = map[string]any

// asked is what makes a callback; change alters it.
func asked(change ...func(object)) object {
	b := object{
		"policy": "supervisor-callback", "customer": object{"ref": "crm-1", "name": "Asha Rao", "phone": "+919876543210", "email": "asha@example.com", "time_zone": "Asia/Kolkata"},
		"reason": "Refund not received", "transfer_attempt": object{"tier": "supervisor", "outcome": "none_free"},
	}
	for _, f := range change {
		f(b)
	}
	return b
}

// create makes a callback and returns its id.
func (d *desk) create(change ...func(object)) string {
	d.t.Helper()
	return d.post("agent1", "/v1/callbacks", asked(change...)).want(http.StatusCreated).str("id")
}

// started makes a callback that sup1 works.
func (d *desk) started(change ...func(object)) string {
	d.t.Helper()
	id := d.create(change...)
	d.command("sup1", id, "claim", nil).want(http.StatusOK)
	d.command("sup1", id, "start", nil).want(http.StatusOK)
	return id
}

// completed makes one that is closed.
func (d *desk) completed() string {
	d.t.Helper()
	id := d.started()
	d.command("sup1", id, "attempts", object{"disposition": "reached"}).want(http.StatusOK)
	d.command("sup1", id, "complete", object{"resolution_reason": "resolved", "call_summary": "Refund explained"}).want(http.StatusOK)
	return id
}

// described is what the servers of these tests say of themselves; they all say the same.
var described struct {
	once sync.Once
	spec *openapi3.T
	*schemas
}

func description(t testing.TB, h http.Handler) (*openapi3.T, *schemas) {
	t.Helper()
	described.once.Do(func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi.json", nil))
		require.Equal(t, http.StatusOK, w.Code)
		spec, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
		require.NoError(t, err)
		described.spec, described.schemas = spec, newSchemas(t, w.Body.Bytes())
	})
	return described.spec, described.schemas
}

// conforms requires an answer to be one that the description knows.
func (d *desk) conforms(request *http.Request, r *reply) {
	d.t.Helper()
	path, item := d.published(request.URL.Path)
	require.NotEmpty(d.t, r.header.Get("X-Request-Id"))
	if item == nil || item.GetOperation(request.Method) == nil {
		return // unmatched, 405, HEAD, OPTIONS
	}
	op := item.GetOperation(request.Method)
	found := op.Responses.Value(fmt.Sprint(r.status))
	require.NotNil(d.t, found, "%s %s does not describe the status %d: %s", request.Method, path, r.status, r.body)
	described := found.Value
	if r.status >= 400 {
		require.Contains(d.t, *found.Value.Description, "`"+r.str("code")+"`", "%s %s does not describe the code", request.Method, path)
	}
	if kind, _, _ := strings.Cut(r.header.Get("Content-Type"), ";"); len(described.Content) > 0 {
		require.Contains(d.t, described.Content, kind)
		if strings.HasSuffix(kind, "json") {
			d.check(d.t, path, request.Method, r, kind)
		}
	} else {
		require.Empty(d.t, r.body)
	}
	d.everyMember(described, r)
}

// schemas are those of the answers, compiled when they are first needed.
type schemas struct {
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

func newSchemas(t testing.TB, description []byte) *schemas {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	require.NoError(t, c.AddResource("openapi.json", document))
	return &schemas{compiler: c, compiled: map[string]*jsonschema.Schema{}}
}

// check requires the body of an answer to be as it is published.
func (s *schemas) check(t testing.TB, path, method string, r *reply, media string) {
	t.Helper()
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace
	at := fmt.Sprintf("openapi.json#/paths/%s/%s/responses/%d/content/%s/schema", escape(path), strings.ToLower(method), r.status, escape(media))
	s.mu.Lock()
	schema := s.compiled[at]
	if schema == nil {
		var err error
		schema, err = s.compiler.Compile(at)
		require.NoError(t, err)
		s.compiled[at] = schema
	}
	s.mu.Unlock()
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.body))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(body), "%s %s: %s", method, path, r.body)
}

// everyMember requires that nothing is left out (CONTRACT §4).
func (d *desk) everyMember(described *openapi3.Response, r *reply) {
	d.t.Helper()
	media := described.Content["application/json"]
	if media == nil {
		return
	}
	for name := range media.Schema.Value.Properties {
		require.Contains(d.t, r.json(), name, "a member is missing: %s", r.body)
	}
}

// published finds a path of the description.
func (d *desk) published(path string) (string, *openapi3.PathItem) {
	if item := d.spec.Paths.Map()[path]; item != nil {
		return path, item
	}
	for pattern, item := range d.spec.Paths.Map() {
		a, b := strings.Split(pattern, "/"), strings.Split(path, "/")
		same := len(a) == len(b)
		for i := 0; same && i < len(a); i++ {
			same = a[i] == b[i] || a[i] == "{id}"
		}
		if same {
			return pattern, item
		}
	}
	return "", nil
}

// logged keeps what was logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fakeDrafts knows one draft.
type fakeDrafts struct{}

func (fakeDrafts) Text() (string, error) { return "policies: {}", nil }

func (fakeDrafts) Check(text string) ([]*callback.Policy, *api.DraftMistake) {
	if text != "good" {
		return nil, &api.DraftMistake{Line: 3, Path: "policies", Expected: "at least one policy"}
	}
	return []*callback.Policy{policies()["supervisor-callback"]}, nil
}

type fakeAuditor struct{ engine *fakeEngine }

// Heard knows all that the engine ever accepted.
func (a fakeAuditor) Heard(_ context.Context, callbackID, id string) (contract.Heard, bool, error) {
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	if a.engine.unreadable != nil {
		return contract.Heard{}, false, a.engine.unreadable
	}
	h, known := a.engine.history[callbackID].Of(id)
	return h, known, nil
}

func (fakeAuditor) History(context.Context, string) ([]byte, error) {
	return []byte(`{"events":[{"eventId":"1","eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"}]}`), nil
}

func (fakeAuditor) Replay(context.Context, string) (api.Verdict, error) {
	return api.Verdict{OK: true, Events: 21, OutcomeMatches: true, Detail: "6 events compared"}, nil
}

// reserve makes mgr1 free, reserves them for somebody, and returns the reservation's id.
func (d *desk) reserve(by string) string {
	d.t.Helper()
	d.do(call{method: http.MethodPut, path: "/v1/me/presence", as: "mgr1", body: object{"state": "available"}}).want(http.StatusOK)
	return d.post(by, "/v1/transfers", object{"tier": "manager", "queue": "Managers - RM"}).want(http.StatusCreated).str("id")
}
