package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/e2e/harness/process"
	"ringback/store"
)

// vendor is another system, over real HTTP: it takes operations once, and is shaky.
type vendor struct {
	*httptest.Server
	down atomic.Bool

	mu      sync.Mutex
	chance  *rand.Rand
	faults  float64 // share of the requests
	order   map[string][]int64
	told    map[string]string // words, by callback
	taken   map[string]bool
	doubled []string
}

func openVendor(t *testing.T, faults float64) *vendor {
	t.Helper()
	v := &vendor{
		chance: rand.New(rand.NewPCG(1, 2)), faults: faults, order: map[string][]int64{}, told: map[string]string{}, taken: map[string]bool{},
	}
	v.Server = httptest.NewServer(http.HandlerFunc(v.serve))
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) serve(w http.ResponseWriter, r *http.Request) {
	if v.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	v.mu.Lock()
	fault, kind := v.chance.Float64() < v.faults, v.chance.IntN(4)
	v.mu.Unlock()
	switch {
	case !fault:
		v.take(w, r)
	case kind == 0: // it never got there
		panic(http.ErrAbortHandler)
	case kind == 1: // it got there, and nobody learns
		v.take(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case kind == 2:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (v *vendor) take(w http.ResponseWriter, r *http.Request) {
	var op struct {
		Operation, Callback string
		Seq                 int64
		Words               string
	}
	id, asked := strings.CutPrefix(r.URL.Path, "/operations/")
	if !asked {
		if err := json.NewDecoder(r.Body).Decode(&op); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if asked {
		if !v.taken[id] {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	if v.taken[op.Operation] {
		v.doubled = append(v.doubled, fmt.Sprintf("%s %d", op.Callback, op.Seq))
	}
	v.taken[op.Operation] = true
	v.order[op.Callback] = append(v.order[op.Callback], op.Seq)
	if op.Words != "" {
		v.told[op.Callback] = op.Words
	}
	w.WriteHeader(http.StatusCreated)
}

func (v *vendor) of(id string) []int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.order[id])
}

// outward is a running desk with one connector more.
type outward struct {
	desk
	vendor *vendor
	types  []string
}

func openOutward(t *testing.T, v *vendor, yaml string, types ...string) *outward {
	t.Helper()
	d := &outward{desk: placed(t), vendor: v, types: types}
	require.NoError(t, os.MkdirAll(d.data, 0o700))
	d.configure(yaml)
	d.start()
	d.endsWithItsTest(d.output)
	return d
}

func (d *outward) start() {
	d.t.Helper()
	cmd := exec.Command(built(d.t, "ringback/e2e/harness/plugged"), "--config", d.config, "--data", d.data,
		"--listen", "127.0.0.1:"+d.ports[0], "--temporal-port", d.ports[1], "--system", d.vendor.URL, "--types", strings.Join(d.types, ","))
	cmd.Env = append(os.Environ(), "RINGBACK_LOG_LEVEL=warn")
	p, err := process.Start(cmd, func(line string) bool { return line == "serving" })
	require.NoError(d.t, err)
	require.NoError(d.t, p.Tie())
	d.running = p
	d.eventually("ready", func() bool { return d.status("", "GET", "/readyz", nil) == http.StatusOK })
}

// again makes a request under a key until it is answered, whatever dies meanwhile.
func (d *desk) again(key, who, path string, body object) (object, error) {
	if body == nil {
		body = object{}
	}
	for began := time.Now(); ; <-time.After(100 * time.Millisecond) {
		status, _, answer, err := d.call(who, "POST", path, body, "Idempotency-Key", key)
		switch {
		case err == nil && status < 300 && status != http.StatusAccepted:
			return answer, nil
		case err == nil && status >= 400 && status < 500 && status != http.StatusTooManyRequests:
			return nil, fmt.Errorf("%s: %d: %v", path, status, answer)
		case time.Since(began) > 2*time.Minute:
			return nil, fmt.Errorf("%s: no answer: %d, %w", path, status, err)
		}
	}
}

// serve promises one callback and brings it to its end.
func (d *outward) serve(n int) (id string, err error) {
	key := func(what string) string { return fmt.Sprintf("%d-%s", n, what) }
	made, err := d.again(key("create"), "assoc1", "/v1/callbacks", promiseBody("promise"))
	if err != nil {
		return "", err
	}
	id, _ = made["id"].(string)
	for _, step := range []struct {
		name string
		body object
	}{
		{"claim", nil}, {"start", nil}, {"attempts", object{"disposition": "reached"}},
		{"complete", object{"resolution_reason": "resolved", "call_summary": "secret-summary"}},
	} {
		if _, err := d.again(key(step.name), "sup1", "/v1/callbacks/"+id+"/"+step.name, step.body); err != nil {
			return id, err
		}
	}
	return id, nil
}

// hurry has everything that is owed tried at once, and says how much that is.
func (d *outward) hurry() int {
	_, _, answer, err := d.call("sup1", "GET", "/v1/owed?limit=200", nil)
	items, _ := answer["items"].([]any)
	for _, item := range items {
		op, _ := item.(object)["operation"].(string)
		if status, _, answer, err := d.call("mgr1", "POST", "/v1/deliveries/"+op+"/retry", nil); err != nil || status != http.StatusAccepted {
			d.t.Logf("retry: %d %v %v", status, answer, err)
		}
	}
	if err != nil {
		return -1
	}
	return len(items)
}

// The system is shaky, away for a while, and the desk is killed twice: nothing is lost, nothing goes twice, all in order.
func TestR27_NothingIsDeliveredTwiceOrLost(t *testing.T) {
	const callbacks = 120
	v := openVendor(t, 0.15)
	wanted := []string{"tagged", "queued", "claimed", "noted", "completed", "untagged"}
	d := openOutward(t, v, strings.ReplaceAll(deskYAML, "@TAT@", "1h"), wanted...)
	var mu sync.Mutex
	var ids []string
	var all sync.WaitGroup
	next := atomic.Int64{}
	start := time.Now()
	for range 6 {
		all.Go(func() {
			for n := next.Add(1); n <= callbacks; n = next.Add(1) {
				id, err := d.serve(int(n))
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(ids) >= n
		}
	}
	d.eventually("some are served", done(callbacks/4))
	d.kill()
	d.start()
	v.down.Store(true)
	d.eventually("more are served", done(callbacks/2))
	d.kill()
	d.start()
	all.Wait()
	owed := d.must(http.StatusOK, "sup1", "GET", "/v1/stats", nil)["owed"].(float64)
	t.Logf("%d callbacks were served in %s, %v deliveries are owed", callbacks, time.Since(start).Round(time.Millisecond), owed)
	v.down.Store(false)

	left := slices.Clone(ids)
	began, hurried := time.Now(), time.Now()
	d.eventually("everything is there", func() bool {
		if time.Since(hurried) > 3*time.Second { // else what is owed is tried ever more seldom
			t.Logf("%s: %d callbacks left, %d owed", time.Since(began).Round(time.Second), len(left), d.hurry())
			hurried = time.Now()
		}
		left = slices.DeleteFunc(left, func(id string) bool {
			events, last := d.timeline(id), int64(0)
			for _, e := range events {
				if slices.Contains(wanted, string(e.Fact.Type())) {
					last = e.Seq
				}
			}
			there, is := events[len(events)-1].Fact.(*callback.Delivered)
			return is && there.Destination == "shaky" && there.Seq == last
		})
		return len(left) == 0
	})
	require.Empty(t, v.doubled, "operations that went twice")
	late := 0
	for _, id := range ids {
		var want []int64
		for _, e := range d.timeline(id) {
			if slices.Contains(wanted, string(e.Fact.Type())) {
				want = append(want, e.Seq)
			}
			if _, is := e.Fact.(*callback.DeliveryOwed); is {
				late++
			}
		}
		require.Equal(t, want, v.of(id), "callback %s", id)
		require.Empty(t, d.get(id)["owed"])
	}
	t.Logf("%d callbacks, %d operations, %d were owed for a while", len(ids), len(v.taken), late)
	require.Empty(t, d.must(http.StatusOK, "sup1", "GET", "/v1/owed", nil)["items"])
	verdict := d.must(http.StatusOK, "aud1", "POST", "/v1/callbacks/"+ids[0]+"/replay", nil)
	require.Equal(t, true, verdict["outcome_matches"], verdict)
	out, err := d.command("audit", "verify", "--server", d.base)
	require.NoError(t, err, out)
}

// An outage of thousands: all are linked and held, all go on and are told, though the desk is killed in the middle.
func TestR23_AnOutageOfThousandsEndsForAll(t *testing.T) {
	const callbacks = 2000
	v := openVendor(t, 0)
	yaml := strings.Replace(strings.ReplaceAll(deskYAML, "@TAT@", "1h"), "    overdue: {remind", "    outage: {hold: true}\n    overdue: {remind", 1)
	d := openOutward(t, v, yaml, "resumed")
	ids := make([]string, callbacks)
	var all sync.WaitGroup
	next := atomic.Int64{}
	for range 12 {
		all.Go(func() {
			for n := next.Add(1); n <= callbacks-1; n = next.Add(1) {
				made, err := d.again(fmt.Sprint(n), "assoc1", "/v1/callbacks", promiseBody("promise"))
				if err != nil {
					t.Error(err)
					return
				}
				ids[n-1] = made["id"].(string)
			}
		})
	}
	all.Wait()
	began := time.Now()
	outage := d.must(http.StatusCreated, "mgr1", "POST", "/v1/outages", object{"queue": "S", "words": "secret-words-meanwhile"})
	path := "/v1/outages/" + outage["id"].(string)
	linked := func() int { return int(d.must(http.StatusOK, "sup1", "GET", path, nil)["linked"].(float64)) }
	made := d.must(http.StatusCreated, "assoc1", "POST", "/v1/callbacks", promiseBody("promise"))
	ids[callbacks-1] = made["id"].(string)
	require.Equal(t, outage["id"], made["outage"], "a new one is linked at once")
	require.Equal(t, true, made["held"])
	d.eventually("all are linked", func() bool { return linked() == callbacks })
	t.Logf("%d callbacks were linked in %s", callbacks, time.Since(began).Round(time.Millisecond))

	began = time.Now()
	d.must(http.StatusOK, "mgr1", "POST", path+"/end", object{"words": "secret-words-at-the-end"})
	d.eventually("some go on", func() bool { return linked() < callbacks*9/10 })
	left := linked()
	d.kill()
	d.start()
	d.eventually("all go on", func() bool { return linked() == 0 })
	t.Logf("killed with %d to go; all went on in %s", left, time.Since(began).Round(time.Millisecond))
	d.eventually("all customers are told", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return len(v.told) == callbacks
	})
	t.Logf("all customers were told in %s", time.Since(began).Round(time.Millisecond))
	require.Empty(t, v.doubled)
	for i, id := range ids {
		require.Equal(t, "secret-words-at-the-end", v.told[id])
		if i%20 != 0 {
			continue
		}
		held, resumed := 0, 0
		for _, e := range d.timeline(id) {
			switch f := e.Fact.(type) {
			case *callback.Held:
				held++
			case *callback.Resumed:
				resumed++
				require.Equal(t, outage["id"], f.Outage)
			}
		}
		require.Equal(t, []int{1, 1}, []int{held, resumed}, "once each")
		shown := d.get(id)
		require.Nil(t, shown["outage"])
		require.Equal(t, false, shown["held"])
	}
	history := d.must(http.StatusOK, "aud1", "GET", "/v1/callbacks/"+ids[0]+"/history", nil)
	raw, err := json.Marshal(history)
	require.NoError(t, err)
	require.NotContains(t, readable(t, raw), "secret-")
	verdict := d.must(http.StatusOK, "aud1", "POST", "/v1/callbacks/"+ids[0]+"/replay", nil)
	require.Equal(t, true, verdict["outcome_matches"], verdict)
}

// What dead processes left half done of outages: one has no workflow, of another one nobody was told that it is over, and one
// is not there at all.
func TestR23_OutagesThatWereLeftHalfDone(t *testing.T) {
	v := openVendor(t, 0)
	yaml := strings.Replace(strings.ReplaceAll(deskYAML, "@TAT@", "1h"), "    overdue: {remind", "    outage: {hold: true}\n    overdue: {remind", 1)
	d := openOutward(t, v, yaml, "resumed")
	id := d.must(http.StatusCreated, "assoc1", "POST", "/v1/callbacks", promiseBody("promise"))["id"].(string)
	// between has a database to itself while the desk is dead.
	between := func(f func(s *store.Store, longAgo callback.Instant)) {
		t.Helper()
		d.kill()
		s, err := store.OpenSQLite(t.Context(), filepath.Join(d.data, "desk.db"), store.Options{})
		require.NoError(t, err)
		f(s, callback.At(time.Now().Add(-2*time.Minute)))
		require.NoError(t, s.Close())
		d.start()
	}
	linked := func() any { return d.get(id)["outage"] }
	one, two := uuid.Must(uuid.NewV7()).String(), uuid.Must(uuid.NewV7()).String()

	between(func(s *store.Store, longAgo callback.Instant) {
		_, err := s.Declare(t.Context(), book.Outage{ID: one, Queue: "S", DeclaredBy: "mgr1", DeclaredAt: longAgo})
		require.NoError(t, err)
	})
	d.eventually("it has begun", func() bool { return linked() == one })
	between(func(s *store.Store, longAgo callback.Instant) {
		require.NoError(t, s.EndOutage(t.Context(), one, "mgr1", longAgo))
	})
	d.eventually("it goes on", func() bool { return linked() == nil })
	between(func(s *store.Store, longAgo callback.Instant) {
		_, err := s.Declare(t.Context(), book.Outage{ID: two, Queue: "S", DeclaredBy: "mgr1", DeclaredAt: longAgo})
		require.NoError(t, err)
	})
	d.eventually("another one has begun", func() bool { return linked() == two })
	between(func(s *store.Store, _ callback.Instant) { require.NoError(t, s.Undeclare(t.Context(), two)) })
	d.eventually("it goes on again", func() bool { return linked() == nil })

	var told []string
	for _, e := range d.timeline(id) {
		switch f := e.Fact.(type) {
		case *callback.Held:
			told = append(told, "held "+e.Actor+" "+f.Outage)
		case *callback.Resumed:
			told = append(told, "resumed "+e.Actor+" "+f.Outage)
		}
	}
	require.Equal(t, []string{"held mgr1 " + one, "resumed mgr1 " + one, "held mgr1 " + two, "resumed clock " + two}, told)
	verdict := d.must(http.StatusOK, "aud1", "POST", "/v1/callbacks/"+id+"/replay", nil)
	require.Equal(t, true, verdict["outcome_matches"], verdict)
}

// What a connector asks of the desk goes through the same checks as everybody's requests, in its own name or that of a
// member of staff.
func TestR14_AConnectorSpeaksToTheDesk(t *testing.T) {
	v := openVendor(t, 0)
	yaml := strings.Replace(strings.ReplaceAll(deskYAML, "@TAT@", "1h"), "roles: [auditor]}", "roles: [auditor]}\n  - {id: adm1, name: Admin, tier: associate, roles: [admin]}", 1)
	d := openOutward(t, v, yaml, "tagged", "noted")
	say := func(body object) object {
		return d.must(http.StatusOK, "", "POST", "/v1/inbound/shaky", body)
	}
	source := object{"System": "shaky", "Ref": "job 7"}
	promise := object{"do": "promise", "key": "m <1>", "promise": object{
		"Policy": "promise", "Customer": object{"name": "Zebedee Quartermain", "email": "zq@example.org"}, "Source": source, "AssignTo": "sup2",
	}}
	id := say(promise)["id"].(string)
	require.Equal(t, id, say(promise)["id"], "the same key is the same callback")
	shown := d.get(id)
	require.Equal(t, []any{"claimed", "sup2", "system:shaky"}, []any{shown["status"], shown["assignee"], shown["requested_by"]})
	promise["key"] = "m <2>"
	require.Equal(t, object{"code": "duplicate", "existing": id, "id": ""}, say(promise))

	start := object{"do": "command", "key": "s", "staff": "sup2", "callback": id, "name": "start"}
	require.Equal(t, object{}, say(start))
	require.Equal(t, object{}, say(start))
	start["staff"], start["key"] = "sup1", "t"
	require.Equal(t, "not_assignee", say(start)["code"])
	start["staff"] = "nobody"
	require.Equal(t, "forbidden", say(start)["code"])
	require.Equal(t, object{}, say(object{"do": "command", "key": "n", "staff": "sup2", "callback": id, "name": "notes", "body": object{"kind": "note", "body": "secret-note"}}))
	require.Equal(t, object{}, say(object{"do": "called", "key": "c", "callback": id, "note": "secret-mail"}))
	require.Equal(t, object{}, say(object{"do": "tag missing", "callback": id}))
	require.Equal(t, "not_found", say(object{"do": "tag missing", "callback": "0193a0c0-0000-7000-8000-000000000001"})["code"])
	require.Equal(t, object{"ids": []any{id}}, say(object{"do": "callbacks", "promise": object{"Source": source}}))
	require.Equal(t, object{"ids": []any{id}}, say(object{"do": "open", "promise": object{"Source": source}}))
	require.Equal(t, object{"ids": []any{}}, say(object{"do": "open", "promise": object{"Source": object{"System": "other"}}}))
	d.eventually("the tag is put back", func() bool { return len(v.of(id)) == 3 })
	var types []string
	for _, e := range d.timeline(id) {
		types = append(types, string(e.Fact.Type())+" "+e.Actor)
	}
	require.Subset(t, types, []string{"requested system:shaky", "started sup2", "noted sup2", "customer_called system:shaky", "tagged system:shaky"})
	d.eventually("it runs", func() bool { return say(object{"do": "ran"})["ran"] == "yes" })

	say(object{"do": "nonsense", "note": "understood"})
	say(object{"do": "nonsense", "note": "not"})
	kept := d.must(http.StatusOK, "adm1", "GET", "/v1/inbound", nil)["items"].([]any)
	require.Len(t, kept, 2)
	for i, ok := range []bool{false, true} { // the newest first
		answer := d.must(http.StatusOK, "adm1", "POST", "/v1/inbound/"+kept[i].(object)["id"].(string)+"/replay", nil)
		require.Equal(t, ok, answer["ok"], answer)
	}
	require.Len(t, d.must(http.StatusOK, "adm1", "GET", "/v1/inbound?waiting=true", nil)["items"], 1)
	connector := d.must(http.StatusOK, "sup1", "GET", "/v1/connectors", nil)["items"].([]any)[0].(object)
	require.Equal(t, []any{"shaky", "ok", "/v1/inbound/shaky", 1.0}, []any{connector["name"], connector["status"], connector["inbound"], connector["kept"]})
}
