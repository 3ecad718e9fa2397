package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/contract"
)

// system is a connector in a test.
type system struct {
	name, path string
	types      []callback.EventType
	wants      func(in book.Intake, p *callback.Policy) bool

	mu       sync.Mutex
	received []string
	tooLarge bool
	replayed []string
	replay   error
	disabled bool
	// hold keeps a request until it returns.
	hold func()
}

func (s *system) Name() string                                       { return s.name }
func (s *system) Types() []callback.EventType                        { return s.types }
func (s *system) Deliver(context.Context, connectors.Delivery) error { return nil }
func (s *system) Path() string                                       { return s.path }

func (s *system) Wants(in book.Intake, p *callback.Policy) bool {
	return s.wants == nil || s.wants(in, p)
}

// secret is what a system proves itself by.
const secret = "X-Test-Secret"

func (s *system) Receive(w http.ResponseWriter, r *http.Request) {
	if s.hold != nil {
		s.hold()
	}
	if s.path != "email" {
		f := &callback.Fault{Code: callback.CodeUnauthenticated, Detail: "no secret"}
		if r.Header.Get(secret) != "" {
			f = connectors.Proven(r.Context())
		}
		if f != nil {
			api.WriteProblem(w, f)
			return
		}
	}
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tooLarge = errors.As(err, &large); s.tooLarge {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = w.Write([]byte(`{"type":"/docs#too_large","title":"The request is too large","status":413,"detail":"x","code":"too_large","rule":null,"errors":[],"existing":null,"holder":null}`))
		return
	}
	s.received = append(s.received, r.Method+" "+string(body))
	w.WriteHeader(http.StatusAccepted)
}

func (s *system) Replay(_ context.Context, m connectors.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replayed = append(s.replayed, string(m.Body))
	return s.replay
}

func (s *system) Enable(context.Context) error { s.disabled = false; return nil }

func (s *system) Disabled(context.Context) (bool, error) { return s.disabled, nil }

// scoped asks the API for a key.
type scoped struct{ *system }

func (scoped) Scope() string  { return "intake" }
func (scoped) MaxBody() int64 { return 2 << 20 }

func withSystems(all ...connectors.Connector) func(*api.Options) {
	return func(o *api.Options) { o.Connectors = all }
}

// owes lets something be owed for a callback.
func (d *desk) owes(id, destination, code string, seq int64) {
	d.t.Helper()
	require.NoError(d.t, d.engine.happens(id, func(r *run) []callback.Event {
		return r.state.Owe(r.policy, destination, code, seq, d.clock.now(), r.policy.Calendar)
	}))
	require.NoError(d.t, d.engine.advance(d.t.Context(), d.book.store))
}

func TestR13_DestinationsArePinnedWhenItIsPromised(t *testing.T) {
	t.Parallel()
	freshdesk := &system{name: "freshdesk", types: []callback.EventType{callback.TypeTagged}, wants: func(in book.Intake, p *callback.Policy) bool {
		return in.Source != nil && in.Source.System == "freshdesk" && p.Tag.Required != ""
	}}
	hook := &system{name: "webhook:example", types: []callback.EventType{callback.TypeCompleted, callback.TypeEscalated}}
	idle := &system{name: "idle"}
	d := newDesk(t, withSystems(freshdesk, hook, idle))
	with := d.create(func(b object) { b["source"] = object{"system": "freshdesk", "ref": "1"} })
	without := d.create(func(b object) { b["customer"].(object)["ref"] = "crm-2" })
	require.Equal(t, []contract.Destination{
		{Name: "freshdesk", Types: freshdesk.types}, {Name: "webhook:example", Types: hook.types},
	}, d.engine.inputs[with].Destinations)
	require.Equal(t, []contract.Destination{{Name: "webhook:example", Types: hook.types}}, d.engine.inputs[without].Destinations)

	none := newDesk(t)
	require.Empty(t, none.engine.inputs[none.create()].Destinations)
}

func TestR13_WhatIsOwedIsShownAndCanBeWaived(t *testing.T) {
	t.Parallel()
	d := newDesk(t, withSystems(&system{name: "freshdesk"}))
	id := d.started()
	require.Equal(t, []any{}, d.get("sup1", "/v1/callbacks/"+id).at("owed"))
	d.owes(id, "freshdesk", "no_identity", 2)
	d.clock.move(time.Minute)
	d.owes(id, "oneview", "unavailable", 4)
	shown := d.get("sup1", "/v1/callbacks/"+id).want(200)
	require.Equal(t, []any{
		object{
			"operation": book.OperationID(id, "freshdesk", 2), "destination": "freshdesk", "seq": 2.0, "code": "no_identity",
			"since": "2026-11-23T12:00:00.000Z",
		},
		object{
			"operation": book.OperationID(id, "oneview", 4), "destination": "oneview", "seq": 4.0, "code": "unavailable",
			"since": "2026-11-23T12:01:00.000Z",
		},
	}, shown.at("owed"))
	require.Contains(t, shown.at("allowed"), "waive")
	require.NotContains(t, d.get("sup2", "/v1/callbacks/"+id).at("allowed"), "waive")

	owed := d.get("agent1", "/v1/owed").want(200).items()
	require.Len(t, owed, 2)
	require.Equal(t, []any{"freshdesk", "owed", "no_identity", id}, []any{owed[0]["destination"], owed[0]["state"], owed[0]["code"], owed[0]["callback_id"]})
	require.Len(t, d.get("agent1", "/v1/owed?destination=oneview").items(), 1)
	require.Len(t, d.get("agent1", "/v1/owed?code=no_identity,unavailable&callback="+id).items(), 2)
	page := d.get("agent1", "/v1/owed?limit=1").want(200)
	require.Len(t, page.items(), 1)
	next := d.get("agent1", "/v1/owed?limit=1&cursor="+page.str("next_cursor")).want(200)
	require.Equal(t, "oneview", next.items()[0]["destination"])
	require.Nil(t, next.at("next_cursor"))
	d.get("agent1", "/v1/owed?cursor="+page.str("next_cursor")+"&code=gone").refused(422, "invalid", "")
	d.get("agent1", "/v1/owed?limit=0").invalid("limit")
	d.get("agent1", "/v1/deliveries?state=lost").invalid("state")
	stats := d.get("sup1", "/v1/stats").want(200)
	require.Equal(t, 2.0, stats.at("owed"))
	require.Equal(t, []any{
		object{"destination": "freshdesk", "code": "no_identity", "count": 1.0, "oldest": "2026-11-23T12:00:00.000Z"},
		object{"destination": "oneview", "code": "unavailable", "count": 1.0, "oldest": "2026-11-23T12:01:00.000Z"},
	}, stats.at("owed_to"))
	metrics := d.get("", "/metrics").text()
	require.Contains(t, metrics, `ringback_owed_deliveries{code="no_identity",destination="freshdesk"} 1`)
	require.Contains(t, metrics, `ringback_owed_oldest_seconds{destination="oneview"}`)

	why := object{"destination": "freshdesk", "reason": "Noted there by phone"}
	d.command("sup2", id, "waive", why).refused(403, "forbidden", "R13")
	d.command("audit1", id, "waive", why).refused(403, "forbidden", "R24")
	d.command("sup1", id, "waive", object{"destination": "freshdesk"}).invalid("reason")
	d.command("sup1", id, "waive", object{"reason": "x"}).invalid("destination")
	d.command("sup1", id, "waive", object{"destination": "zohodesk", "reason": "x"}).refused(404, "not_found", "")
	d.command("sup1", id, "waive", object{"operation": unknownID, "reason": "x"}).invalid("operation")
	d.command("sup1", id, "waive", object{"operation": book.OperationID(id, "oneview", 4), "destination": "freshdesk", "reason": "x"}).invalid("operation")
	why["copied_by_hand"] = true
	left := d.command("sup1", id, "waive", why).want(200)
	require.Len(t, left.at("owed"), 1)
	timeline := d.get("sup1", "/v1/callbacks/"+id+"/timeline").items()
	last := timeline[len(timeline)-1]
	require.Equal(t, []any{"delivered", "sup1", "R13"}, []any{last["type"], last["actor"], last["rule"]})
	data := last["data"].(object)
	require.Equal(t, []any{"freshdesk", 2.0, "copied_by_hand", "Noted there by phone"}, []any{data["destination"], data["seq"], data["by"], data["text"]})
	log := d.get("agent1", "/v1/deliveries?state=waived").items()
	require.Len(t, log, 1)
	require.Equal(t, "2026-11-23T12:01:00.000Z", log[0]["settled_at"])

	// After the end it is still owed, and can still be given up.
	d.command("sup1", id, "attempts", object{"disposition": "reached"}).want(200)
	d.command("sup1", id, "complete", object{"resolution_reason": "resolved", "call_summary": "Refund explained"}).want(200)
	d.command("mgr1", id, "cancel", object{"reason": "x"}).refused(409, "closed", "R09")
	require.Equal(t, []any{"waive"}, d.get("mgr1", "/v1/callbacks/"+id).at("allowed"))
	d.command("mgr1", id, "waive", object{"operation": book.OperationID(id, "oneview", 4), "reason": "The ticket is gone"}).want(200)
	d.command("mgr1", id, "waive", object{"destination": "oneview", "reason": "again"}).refused(409, "closed", "R09")
	require.Empty(t, d.get("agent1", "/v1/owed").items())
}

func TestR13_TheSameWaiveIsOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.started()
	d.owes(id, "freshdesk", "gone", 2)
	waive := func(reason string) *reply {
		return d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/waive", as: "sup1", key: "k1", body: object{"destination": "freshdesk", "reason": reason}})
	}
	first := waive("x").want(200)
	require.Equal(t, first.body, waive("x").want(200).body)
	waive("y").refused(422, "idempotency_key_reused", "")
}

func TestDeliveriesAreTriedAgainByHand(t *testing.T) {
	t.Parallel()
	hook := &system{name: "webhook:example", disabled: true}
	d := newDesk(t, withSystems(hook))
	id := d.started()
	d.owes(id, "webhook:example", "gone", 2)
	op := book.OperationID(id, "webhook:example", 2)
	connector := d.get("sup1", "/v1/connectors").want(200).items()[0]
	require.Equal(t, []any{"webhook:example", "failing", false, 1.0, true},
		[]any{connector["name"], connector["status"], connector["enabled"], connector["owed"], connector["configured"]})
	d.post("sup1", "/v1/deliveries/"+op+"/retry", nil).refused(403, "forbidden", "")
	d.post("mgr1", "/v1/deliveries/"+unknownID+"/retry", nil).refused(404, "not_found", "")
	d.post("mgr1", "/v1/deliveries/nonsense/retry", nil).refused(404, "not_found", "")
	given := d.post("mgr1", "/v1/deliveries/"+op+"/retry", nil).want(202)
	require.Equal(t, "owed", given.at("state"))
	require.Equal(t, []string{id}, d.engine.hurried)
	require.False(t, hook.disabled, "it goes on")

	require.NoError(t, d.book.store.NoteDelivery(t.Context(), book.Delivery{
		OperationID: op, Destination: "webhook:example", CallbackID: id, Seq: 2, Type: callback.TypeTagged, State: book.DeliveryDelivered,
		TriedAt: callback.At(d.clock.now()), SettledAt: callback.At(d.clock.now()),
	}))
	again := func() *reply {
		return d.do(call{method: "POST", path: "/v1/deliveries/" + op + "/retry", as: "mgr1", key: "again"})
	}
	first := again().want(202)
	require.Equal(t, first.body, again().want(202).body)
	require.Len(t, d.engine.redelivered, 1, "once for one key")
	for _, in := range d.engine.redelivered {
		require.Equal(t, contract.Delivery{CallbackID: id, Destination: "webhook:example", Events: []int64{2}}, in)
	}
	health := d.get("sup1", "/v1/connectors").items()[0]
	require.Equal(t, []any{"ok", true, 0.0}, []any{health["status"], health["enabled"], health["owed"]})
	d.engine.set(func(e *fakeEngine) { e.away = true })
	d.post("mgr1", "/v1/deliveries/"+op+"/retry", nil).refused(503, "unavailable", "")
}

func TestConnectorsTellHowTheyAre(t *testing.T) {
	t.Parallel()
	d := newDesk(t, withSystems(&system{name: "freshdesk", path: "freshdesk"}, &system{name: "smtp"}))
	id := d.started()
	d.owes(id, "gone-system", "unavailable", 2)
	require.NoError(t, d.book.store.Keep(t.Context(), book.Message{Connector: "freshdesk", Reason: "no such ticket"}))
	all := d.get("agent1", "/v1/connectors").want(200).items()
	require.Len(t, all, 3)
	require.Equal(t, []any{"freshdesk", "idle", "/v1/inbound/freshdesk", 1.0, nil}, []any{all[0]["name"], all[0]["status"], all[0]["inbound"], all[0]["kept"], all[0]["last_error"]})
	require.Nil(t, all[0]["last_success"])
	require.Equal(t, []any{"gone-system", "failing", false}, []any{all[2]["name"], all[2]["status"], all[2]["configured"]})
	require.Equal(t, "unavailable", all[2]["last_error"].(object)["code"])
	require.Contains(t, d.get("", "/metrics").text(), `ringback_inbound_kept_messages{connector="freshdesk"} 1`)
}

func TestInboundIsLimitedInSizeAndRate(t *testing.T) {
	t.Parallel()
	freshdesk := &system{name: "freshdesk", path: "freshdesk"}
	zoho := &system{name: "zohodesk", path: "zohodesk"}
	mailbox := scoped{&system{name: "mailbox", path: "email"}}
	own := &system{name: "own", path: "own"}
	d := newDesk(t, withSystems(freshdesk, zoho, mailbox, own), func(o *api.Options) {
		o.Authenticator = keys{"good": {ID: "system:mail", Scopes: []string{api.ScopeIntake}}, "poor": {ID: "system:other"}}
		o.Limits.InboundBurst, o.Limits.InboundPerSecond = 5, 1
	})
	send := func(method, path, token, body string) *reply {
		header := map[string]string{"Content-Type": "text/plain", secret: "x"}
		if token != "" {
			header["Authorization"] = "Bearer " + token
		}
		return d.do(call{method: method, path: "/v1/inbound/" + path, body: body, header: header})
	}
	send("POST", "freshdesk", "", "hint").want(202)
	require.Equal(t, []string{"POST hint"}, freshdesk.received)
	send("GET", "zohodesk", "", "").want(202)
	require.Equal(t, []string{"GET "}, zoho.received)
	send("POST", "own", "", "x").want(202)
	require.Equal(t, []string{"POST x"}, own.received)
	send("POST", "exceptions", "", "x").refused(404, "not_found", "")
	send("POST", "nowhere", "", "x").want(405)
	large := strings.Repeat("x", 1<<20+1)
	require.Equal(t, 413, send("POST", "freshdesk", "", large).status)
	require.True(t, freshdesk.tooLarge)

	send("POST", "email", "", "mail").refused(401, "unauthenticated", "")
	send("POST", "email", "poor", "mail").refused(403, "forbidden", "")
	send("POST", "email", "dev:sup1", "mail").refused(403, "forbidden", "")
	require.Empty(t, mailbox.received)
	send("POST", "email", "good", large).want(202)
	require.Len(t, mailbox.received, 1)

	for range 3 {
		send("POST", "freshdesk", "", "hint").want(202)
	}
	send("POST", "freshdesk", "", "hint").refused(429, "rate_limited", "")
	send("GET", "zohodesk", "", "").want(202) // each has its own
}

// Whoever cannot prove anything uses up what their own address may, and nothing
// of what a system may that proves where it comes from: neither by what they send
// in its name, nor by how much of it at once.
func TestR14_JunkDoesNotKeepSignedMessagesOut(t *testing.T) {
	t.Parallel()
	bench, mailbox := &system{name: "servicebench", path: "exceptions"}, scoped{&system{name: "mailbox", path: "email"}}
	d := newDesk(t, withSystems(bench, mailbox), func(o *api.Options) {
		o.Authenticator = keys{"good": {ID: "system:mail", Scopes: []string{api.ScopeIntake}}}
		o.Limits.InboundBurst, o.Limits.InboundPerSecond = 5, 1
		o.Throttle = api.NewThrottle(0, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, o.Now)
	})
	post := func(path, from, forwarded, proof string) *httptest.ResponseRecorder {
		r := call{method: "POST", path: "/v1/inbound/" + path, body: "x"}.request(t)
		r.RemoteAddr = from
		for name, value := range map[string]string{"X-Forwarded-For": forwarded, secret: proof, "Authorization": proof} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		d.http.ServeHTTP(w, r)
		return w
	}
	const stranger, vendor, gateway, proxy = "192.0.2.9:1", "198.51.100.1:1", "198.51.100.2:1", "10.0.0.1:1"
	for _, path := range []string{"exceptions", "email"} {
		for range 3 {
			post(path, stranger, "", "")
		}
	}
	require.Equal(t, 429, post("exceptions", stranger, "", "").Code)
	refused := post("email", stranger, "", "")
	require.Equal(t, []any{429, "1"}, []any{refused.Code, refused.Header().Get("Retry-After")})
	require.Empty(t, bench.received)
	for range 5 {
		require.Equal(t, 202, post("exceptions", vendor, "", "x").Code)
		require.Equal(t, 202, post("email", gateway, "", "Bearer good").Code)
	}
	require.Equal(t, 429, post("exceptions", vendor, "", "x").Code, "of those that are signed there may be too many too")
	require.Equal(t, 429, post("email", gateway, "", "Bearer good").Code)
	require.Len(t, bench.received, 5)

	// Behind a proxy of ours everybody has an address of their own.
	d.clock.move(time.Minute)
	for range 6 {
		post("exceptions", proxy, "192.0.2.10", "")
	}
	require.Equal(t, 429, post("exceptions", proxy, "192.0.2.10", "").Code)
	require.Equal(t, 202, post("exceptions", proxy, "198.51.100.1", "x").Code)
	require.Equal(t, 401, post("exceptions", proxy, "192.0.2.11", "").Code)

	// What came at once while enough was left is owed by those who come next.
	d.clock.move(time.Minute)
	var at, all sync.WaitGroup
	at.Add(8)
	bench.hold = func() { at.Done(); at.Wait() }
	codes := make([]int, 8)
	for i := range codes {
		all.Go(func() { codes[i] = post("exceptions", stranger, "", "").Code })
	}
	all.Wait()
	require.Equal(t, slices.Repeat([]int{401}, 8), codes)
	bench.hold = nil
	d.clock.move(3 * time.Second)
	require.Equal(t, 429, post("exceptions", stranger, "", "").Code)
	d.clock.move(2 * time.Second)
	require.Equal(t, 401, post("exceptions", stranger, "", "").Code)
}

// Mail is posted by a system that says who it is: a repeat with its key gets the
// first answer, as everywhere (CONTRACT §4).
func TestR20_PostedMailIsRepeatable(t *testing.T) {
	t.Parallel()
	mailbox := scoped{&system{name: "mailbox", path: "email"}}
	d := newDesk(t, withSystems(mailbox), func(o *api.Options) {
		o.Authenticator = keys{"good": {ID: "system:mail", Scopes: []string{api.ScopeIntake}}, "other": {ID: "system:other", Scopes: []string{api.ScopeIntake}}}
	})
	send := func(token, key, body string) *reply {
		return d.do(call{method: "POST", path: "/v1/inbound/email", key: key, body: body, header: map[string]string{
			"Authorization": "Bearer " + token, "Content-Type": "message/rfc822",
		}})
	}
	large := strings.Repeat("x", 2<<20+1)
	send("good", "k1", large).refused(413, "too_large", "")
	first := send("good", "k1", "mail").want(202)
	require.Equal(t, first.text(), send("good", "k1", "mail").want(202).text())
	require.Len(t, mailbox.received, 1)
	send("good", "k1", "another mail").refused(422, "idempotency_key_reused", "")
	send("other", "k1", "mail").want(202)
	require.Len(t, mailbox.received, 2)
	send("good", "a b", "mail").invalid("Idempotency-Key")
	send("poor", "k1", "mail").refused(401, "unauthenticated", "")
}

func TestAddressesThatTakeMessagesTakeNothingElse(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, path := range []string{"freshdesk", "exceptions", "email"} {
		for _, method := range []string{"GET", "HEAD", "PUT"} {
			r := d.do(call{method: method, path: "/v1/inbound/" + path}).want(405)
			require.Contains(t, r.header.Get("Allow"), "POST", "%s %s", method, path)
		}
	}
	d.do(call{method: "GET", path: "/v1/inbound/zohodesk"}).refused(404, "not_found", "")
}

func TestWhatWasNotUnderstoodCanBeReplayed(t *testing.T) {
	t.Parallel()
	exceptions := &system{name: "servicebench", path: "exceptions", replay: &callback.Fault{Code: "invalid", Detail: "user_id: is required"}}
	d := newDesk(t, withSystems(exceptions), func(o *api.Options) {
		o.Authenticator = keys{"admin": {ID: "adm", Staff: &book.Staff{ID: "adm", Roles: []string{"admin"}}}}
	})
	as := func(method, path string) *reply {
		return d.do(call{method: method, path: path, header: map[string]string{"Authorization": "Bearer admin"}})
	}
	for i, body := range []string{"good text", "\xff\xfe"} {
		require.NoError(t, d.book.store.Keep(t.Context(), book.Message{
			ID: []string{"m1", "m2"}[i], Connector: "servicebench", Received: callback.At(d.clock.now()), Reason: "no such type", Media: "text/csv", Body: []byte(body),
		}))
	}
	require.NoError(t, d.book.store.Keep(t.Context(), book.Message{ID: "m3", Connector: "nobody", Received: callback.At(noon.Add(-time.Hour)), Reason: "?"}))
	d.get("mgr1", "/v1/inbound").refused(403, "forbidden", "")
	d.get("mgr1", "/v1/inbound/m1").refused(403, "forbidden", "")
	d.post("mgr1", "/v1/inbound/m1/replay", nil).refused(403, "forbidden", "")
	as("GET", "/v1/inbound/m9").refused(404, "not_found", "")
	all := as("GET", "/v1/inbound").want(200).items()
	require.Equal(t, []any{"m2", "m1", "m3"}, []any{all[0]["id"], all[1]["id"], all[2]["id"]})
	require.Nil(t, all[0]["body"])
	page := as("GET", "/v1/inbound?limit=2&connector=servicebench&waiting=true").want(200)
	require.Len(t, page.items(), 2)
	require.Nil(t, page.at("next_cursor"))
	require.Equal(t, "m1", as("GET", "/v1/inbound?limit=2").str("next_cursor"))
	require.Len(t, as("GET", "/v1/inbound?limit=2&cursor=m1").items(), 1)
	as("GET", "/v1/inbound?cursor=m8").invalid("cursor")
	require.Equal(t, []any{"good text", false}, []any{as("GET", "/v1/inbound/m1").at("body"), as("GET", "/v1/inbound/m1").at("base64")})
	require.Equal(t, []any{"//4=", true}, []any{as("GET", "/v1/inbound/m2").at("body"), as("GET", "/v1/inbound/m2").at("base64")})

	require.Equal(t, object{"ok": false, "reason": "invalid: user_id: is required"}, as("POST", "/v1/inbound/m1/replay").want(200).json())
	require.Equal(t, "invalid: user_id: is required", as("GET", "/v1/inbound/m1").at("reason"))
	exceptions.replay = errors.New("secret text")
	require.Equal(t, object{"ok": false, "reason": "it was not understood: see the log"}, as("POST", "/v1/inbound/m1/replay").want(200).json())
	exceptions.replay = nil
	require.Equal(t, true, as("POST", "/v1/inbound/m1/replay").at("ok"))
	require.Equal(t, true, as("POST", "/v1/inbound/m1/replay").at("ok"))
	require.Equal(t, []string{"good text", "good text", "good text"}, exceptions.replayed, "understood once")
	require.Equal(t, 3.0, as("GET", "/v1/inbound/m1").at("tries"))
	require.Equal(t, false, as("POST", "/v1/inbound/m3/replay").at("ok"), "its connector is not configured")
	require.Len(t, as("GET", "/v1/inbound?waiting=true").items(), 2)
}

// showing is a connector that can show what it has kept.
type showing struct{ *system }

func (showing) Show(m connectors.Message) (connectors.Shown, error) {
	if string(m.Body) == "?" {
		return connectors.Shown{}, errors.New("nothing to read")
	}
	return connectors.Shown{Sender: "Asha <asha@customer.example>", Subject: "Refund", Verdict: "DMARC fails", Text: "pay\u202e\x07 me\n"}, nil
}

func TestR20_WhatWaitsForAPersonIsShownAndCanBeDeclined(t *testing.T) {
	t.Parallel()
	mailbox := &system{name: "mailbox", path: "email"}
	d := newDesk(t, withSystems(showing{mailbox}, &system{name: "servicebench"}), func(o *api.Options) {
		o.Authenticator = keys{"admin": {ID: "adm", Staff: &book.Staff{ID: "adm", Roles: []string{"admin"}}}}
	})
	as := func(method, path string, body any, key ...string) *reply {
		c := call{method: method, path: path, body: body, header: map[string]string{"Authorization": "Bearer admin"}}
		if len(key) > 0 {
			c.key = key[0]
		}
		return d.do(c)
	}
	keep := func(id, connector, media, body string) {
		require.NoError(t, d.book.store.Keep(t.Context(), book.Message{ID: id, Connector: connector, Reason: "waits", Media: media, Body: []byte(body)}))
	}
	keep("m1", "mailbox", "message/rfc822", "From: asha")
	keep("m2", "servicebench", "application/json", `{"user_id":9007199254740993,"b":"<b>\u202e"}`)
	keep("m3", "servicebench", "text/csv", "a,b\n1,2")
	keep("m4", "mailbox", "message/rfc822", "?")
	keep("m5", "servicebench", "application/octet-stream", "\xff")
	keep("m6", "servicebench", "application/json", strings.Repeat("ä", 64<<10))

	require.Equal(t, object{"sender": "Asha <asha@customer.example>", "subject": "Refund", "verdict": "DMARC fails", "text": "pay me\n"},
		as("GET", "/v1/inbound/m1", nil).want(200).at("shown"))
	text := func(id string) any { return as("GET", "/v1/inbound/"+id, nil).want(200).at("shown").(object)["text"] }
	require.Equal(t, "{\n  \"user_id\": 9007199254740993,\n  \"b\": \"<b>\\u202e\"\n}", text("m2"), "no figure is rounded, and nothing turns the text") //nolint:testifylint // the very text
	require.Equal(t, "a,b\n1,2", text("m3"))
	require.Equal(t, "?", text("m4"), "what the connector cannot show is shown as it came")
	require.Nil(t, as("GET", "/v1/inbound/m5", nil).at("shown"))
	require.True(t, strings.HasSuffix(text("m6").(string), "ä […]"))
	require.Empty(t, mailbox.replayed, "to look at it is not to vouch for it")

	d.post("mgr1", "/v1/inbound/m1/discard", object{"reason": "forged"}).refused(403, "forbidden", "")
	as("POST", "/v1/inbound/m9/discard", object{"reason": "x"}).refused(404, "not_found", "")
	as("POST", "/v1/inbound/m1/discard", object{}).invalid("reason")
	as("POST", "/v1/inbound/m1/discard", object{"reason": " "}).invalid("reason")
	require.Contains(t, d.get("", "/metrics").text(), `ringback_inbound_kept_messages{connector="mailbox"} 2`)

	first := as("POST", "/v1/inbound/m1/discard", object{"reason": " It is forged "}, "k").want(200)
	require.Equal(t, []any{"adm", "It is forged", nil, nil}, []any{first.at("discarded_by"), first.at("discard_reason"), first.at("body"), first.at("shown")})
	require.Equal(t, first.text(), as("POST", "/v1/inbound/m1/discard", object{"reason": " It is forged "}, "k").want(200).text())
	d.clock.move(time.Hour)
	require.Equal(t, first.json(), as("POST", "/v1/inbound/m1/discard", object{"reason": "Other words"}).want(200).json(), "who was first has said why")
	require.Equal(t, first.json(), as("GET", "/v1/inbound/m1", nil).want(200).json())
	require.Equal(t, object{"ok": false, "reason": "it was discarded"}, as("POST", "/v1/inbound/m1/replay", nil).want(200).json())
	require.Empty(t, mailbox.replayed)
	require.Contains(t, d.get("", "/metrics").text(), `ringback_inbound_kept_messages{connector="mailbox"} 1`)
	require.Len(t, as("GET", "/v1/inbound?waiting=true", nil).items(), 5)

	require.Equal(t, true, as("POST", "/v1/inbound/m3/replay", nil).at("ok"))
	as("POST", "/v1/inbound/m3/discard", object{"reason": "too late"}).refused(409, "closed", "")
}

func TestR09_ConnectorsTellThatATagIsMissing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.started()
	who := api.Principal{ID: "system:freshdesk", Scopes: []string{api.ScopeConnector}}
	require.NoError(t, d.api.TagMissing(t.Context(), who, id))
	require.NoError(t, d.engine.advance(t.Context(), d.book.store))
	timeline := d.get("sup1", "/v1/callbacks/"+id+"/timeline").items()
	last := timeline[len(timeline)-1]
	require.Equal(t, []any{"tagged", "system:freshdesk", "R09"}, []any{last["type"], last["actor"], last["rule"]})
	require.Equal(t, []any{"Callback Required"}, d.get("sup1", "/v1/callbacks/"+id).at("tags"))
	require.ErrorIs(t, d.api.TagMissing(t.Context(), who, unknownID), callback.Refused(callback.CodeNotFound))
	require.ErrorIs(t, d.api.TagMissing(t.Context(), who, d.completed()), callback.Refused(callback.CodeClosed))
}

func TestR20_ConnectorsPromise(t *testing.T) {
	t.Parallel()
	d := newDesk(t, withSystems(&system{name: "freshdesk", types: []callback.EventType{callback.TypeTagged}}))
	who := api.Principal{ID: "system:mailbox", Scopes: []string{api.ScopeIntake, api.ScopeConnector}}
	mail := api.Asked{
		Policy: "supervisor-callback", Customer: book.Customer{Name: "Asha Rao", Email: "asha@example.com"}, Reason: "Please call me",
		Source: book.Source{System: "email", Ref: "<1@example.com>"}, Queue: "Supervisors - Air", AssignTo: "sup1",
	}
	id, err := d.api.Promise(t.Context(), who, "<1@example.com> with spaces", mail)
	require.NoError(t, err)
	again, err := d.api.Promise(t.Context(), who, "<1@example.com> with spaces", mail)
	require.NoError(t, err)
	require.Equal(t, id, again, "the same key is the same callback")
	shown := d.get("sup1", "/v1/callbacks/"+id).want(200)
	require.Equal(t, []any{"claimed", "sup1", "Supervisors - Air", "system:mailbox", nil, "asha@example.com"}, []any{
		shown.at("status"), shown.at("assignee"), shown.at("queue"), shown.at("requested_by"), shown.at("customer", "phone"), shown.at("customer", "email"),
	})
	refused := func(key string, code callback.Code, change func(*api.Asked)) {
		t.Helper()
		p := mail
		change(&p)
		_, err := d.api.Promise(t.Context(), who, key, p)
		require.ErrorIs(t, err, callback.Refused(code))
	}
	refused("k2", callback.CodeDuplicate, func(*api.Asked) {})
	refused("k3", callback.CodeInvalid, func(p *api.Asked) { p.Customer.Email = "" })
	refused("k4", callback.CodeInvalid, func(p *api.Asked) { p.Customer.Phone = "12" })
	refused("k5", callback.CodeInvalid, func(p *api.Asked) { p.Customer.Name = " " })
	refused("k6", callback.CodeInvalid, func(p *api.Asked) { p.Queue = "Nowhere" })
	refused("k7", callback.CodeInvalid, func(p *api.Asked) { p.AssignTo = "nobody" })
	refused("k8", callback.CodeUnknownPolicy, func(p *api.Asked) { p.Policy = "none" })
	d.engine.set(func(e *fakeEngine) { e.away = true })
	later := mail
	later.Source.Ref = "<2@example.com>"
	_, err = d.api.Promise(t.Context(), who, "k9", later)
	var f *callback.Fault
	require.Error(t, err)
	require.NotErrorAs(t, err, &f, "try again")
	_, err = d.api.Promise(t.Context(), api.Principal{ID: "system:poor"}, "k10", later)
	require.ErrorIs(t, err, callback.Refused(callback.CodeForbidden))
}

func TestConnectorsTellThatTheCustomerCalled(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.create()
	r := call{method: "POST", path: "/v1/callbacks/" + id + "/customer-called", body: object{"note": "wrote again"}}.request(t)
	for who, status := range map[string]int{api.ScopeConnector: 202, api.ScopeIntake: 403} {
		ctx := api.As(t.Context(), api.Principal{ID: "system:mailbox", Scopes: []string{who}})
		w := &recorder{}
		d.http.ServeHTTP(w, r.Clone(ctx))
		require.Equal(t, status, w.status, who)
		r = call{method: "POST", path: "/v1/callbacks/" + id + "/customer-called", body: object{"note": "wrote again"}}.request(t)
	}
}

// recorder notes the status of an answer.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

func (r *recorder) WriteHeader(status int) { r.status = status }
