package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
)

// event is one block of a stream.
type event struct {
	id, kind, data, comment string
}

// listener reads a stream.
type listener struct {
	t      testing.TB
	events chan event
	close  func()
}

// serve has the desk answer over a real connection.
func (d *desk) serve() *httptest.Server {
	d.t.Helper()
	server := httptest.NewServer(d.http)
	d.t.Cleanup(func() {
		d.api.Close()
		server.Close()
	})
	return server
}

func (d *desk) listen(server *httptest.Server, as, query, lastEventID string) *listener {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/stream"+query, nil)
	require.NoError(d.t, err)
	request.Header.Set("Authorization", "Bearer dev:"+as)
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := server.Client().Do(request)
	require.NoError(d.t, err)
	require.Equal(d.t, 200, response.StatusCode)
	require.Equal(d.t, "text/event-stream", response.Header.Get("Content-Type"))
	l := &listener{t: d.t, events: make(chan event, 1000), close: cancel}
	go func() {
		defer close(l.events)
		defer func() { _ = response.Body.Close() }()
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 1<<20)
		var e event
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				e.data = value
			case "":
				if lines.Text() == "" {
					l.events <- e
					e = event{}
					continue
				}
				e.comment = value
			}
		}
	}()
	d.t.Cleanup(cancel)
	return l
}

// next returns the next block that is an event.
func (l *listener) next() event {
	l.t.Helper()
	for {
		e := l.any()
		if e.kind != "" {
			return e
		}
	}
}

func (l *listener) any() event {
	l.t.Helper()
	select {
	case e, open := <-l.events:
		require.True(l.t, open, "the stream has ended")
		return e
	case <-time.After(20 * time.Second):
		l.t.Fatal("no event came")
		return event{}
	}
}

func (e event) callback(t testing.TB) map[string]any {
	t.Helper()
	require.Equal(t, "callback", e.kind)
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(e.data), &m))
	return m
}

func TestStreamTellsEveryChangeWithoutAnythingPersonal(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	server := d.serve()
	l := d.listen(server, "sup1", "", "")
	l.any() // it is there
	id := d.create(func(b object) {
		b["source"], b["lob"] = object{"system": "freshdesk", "ref": "secret-ref", "url": "https://example.com/secret"}, "flights"
	})
	d.command("sup1", id, "claim", nil).want(200)
	first, second := l.next(), l.next()
	made := first.callback(t)
	require.Equal(t, id, made["id"])
	require.Equal(t, "queued", made["status"])
	require.Equal(t, "sup1", second.callback(t)["assignee"])
	require.Equal(t, "flights", made["lob"], "a line of business is nobody's")
	require.Equal(t, "flights", second.callback(t)["lob"])
	for _, name := range append(contractMembers, "transfer_attempt", "allowed", "warnings") {
		require.Contains(t, made, name)
	}
	for _, name := range []string{"customer", "reason", "source", "fields", "transfer_attempt", "allowed"} {
		require.Nil(t, made[name], name)
	}
	for _, secret := range []string{"Asha", "9876543210", "crm-1", "secret", "Refund"} {
		require.NotContains(t, first.data, secret)
	}
	a, err := strconv.Atoi(first.id)
	require.NoError(t, err)
	b, err := strconv.Atoi(second.id)
	require.NoError(t, err)
	require.Less(t, a, b)
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	server := d.serve()
	l := d.listen(server, "sup1", "", "")
	l.any()
	id := d.create()
	last := l.next().id
	l.close()
	d.command("sup1", id, "claim", nil).want(200)
	d.command("sup1", id, "start", nil).want(200)
	resumed := d.listen(server, "sup2", "", last)
	require.Equal(t, "claimed", resumed.next().callback(t)["status"])
	require.Equal(t, "in_progress", resumed.next().callback(t)["status"])
	other := d.create()
	require.Equal(t, other, resumed.next().callback(t)["id"], "and goes on")
	d.command("sup1", other, "claim", nil).want(200)
	e := resumed.next()
	require.Equal(t, "claimed", e.callback(t)["status"])

	again := d.listen(server, "sup2", "", e.id)
	again.any()
	d.command("sup1", other, "start", nil).want(200)
	require.Equal(t, "in_progress", again.next().callback(t)["status"])
}

// A browser cannot give a new stream a header.
func TestStreamResumesByItsAddress(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	server := d.serve()
	l := d.listen(server, "sup1", "", "")
	l.any()
	id := d.create()
	created := l.next().id
	d.command("sup1", id, "claim", nil).want(200)
	claimed := l.next().id
	l.close()
	d.command("sup1", id, "start", nil).want(200)
	resumed := d.listen(server, "sup2", "?last_event_id="+created, "")
	require.Equal(t, "claimed", resumed.next().callback(t)["status"])
	require.Equal(t, "in_progress", resumed.next().callback(t)["status"])
	again := d.listen(server, "sup2", "?last_event_id="+created, claimed)
	require.Equal(t, "in_progress", again.next().callback(t)["status"], "the header is the newer one")
	require.Equal(t, "reset", d.listen(server, "sup2", "?last_event_id=abc", "").next().kind)
}

// The script of a page sees no comment: who asks for it has the heartbeat as an event
// too, and nobody else has.
func TestStreamHeartbeatAsAnEvent(t *testing.T) {
	t.Parallel()
	for query, kind := range map[string]string{"": "", "?heartbeats=false": "", "?heartbeats=true": "heartbeat"} {
		d := newDesk(t)
		l := d.listen(d.serve(), "sup1", query, "")
		require.Equal(t, "changes from here", l.any().comment)
		d.ticks <- noon
		e := l.any()
		require.Equal(t, "heartbeat", e.comment, "it goes on to be a comment")
		require.Equal(t, kind, e.kind, query)
	}
}

// HEAD tells where a stream would begin: one that goes on from there later has
// missed nothing.
func TestStreamTellsWhereItBegins(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	server := d.serve()
	begins := func() string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+"/v1/stream", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer dev:sup1")
		response, err := server.Client().Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		return response.Header.Get("Last-Event-ID")
	}
	at := begins()
	require.Equal(t, "0", at, "nothing has happened yet")
	id := d.create()
	l := d.listen(server, "sup1", "?last_event_id="+at, "")
	e := l.next()
	require.Equal(t, id, e.callback(t)["id"])
	require.Equal(t, e.id, begins())
}

func TestStreamResets(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	server := d.serve()
	id := d.create()
	d.command("sup1", id, "claim", nil).want(200)
	d.clock.move(time.Hour)
	d.command("agent1", d.create(), "notes", object{"kind": "note", "body": "x"}).want(201)
	require.NoError(t, d.book.store.TrimFeed(t.Context(), callback.At(noon.Add(time.Minute))))
	_, newest, err := d.book.FeedBounds(t.Context())
	require.NoError(t, err)
	for _, lastEventID := range []string{"0", "1", "99", "-1", "abc"} {
		l := d.listen(server, "sup1", "", lastEventID)
		reset := l.next()
		require.Equal(t, "reset", reset.kind, lastEventID)
		require.Equal(t, strconv.FormatInt(newest, 10), reset.id, "from where it goes on")
		l.close()
	}
	l := d.listen(server, "sup1", "", "0")
	require.Equal(t, "reset", l.next().kind)
	d.command("agent1", id, "notes", object{"kind": "note", "body": "x"}).want(201)
	require.Equal(t, id, l.next().callback(t)["id"])
	require.Contains(t, d.get("", "/metrics").text(), "ringback_stream_resets_total")
}

func TestStreamFilters(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	server := d.serve()
	queued := d.listen(server, "sup1", "?status=queued&tier=supervisor", "")
	mine := d.listen(server, "sup1", "?assignee=sup1", "")
	air := d.listen(server, "sup1", "?queue=Supervisors+-+Air&tag=Callback+Required&overdue=false&due_before=2026-11-24T00:00:00Z", "")
	customer := d.listen(server, "sup1", "?customer=crm-2&source=freshdesk:7", "")
	words := d.listen(server, "sup1", "?q=CRM-2", "")
	for _, l := range []*listener{queued, mine, air, customer, words} {
		l.any()
	}
	plain := d.create()
	d.command("sup1", plain, "claim", nil).want(200)
	flight := d.create(func(b object) {
		b["lob"], b["source"] = "flights", object{"system": "freshdesk", "ref": "7"}
		b["customer"].(object)["ref"] = "crm-2"
	})
	require.Equal(t, plain, queued.next().callback(t)["id"])
	require.Equal(t, flight, queued.next().callback(t)["id"])
	require.Equal(t, plain, mine.next().callback(t)["id"])
	require.Equal(t, flight, air.next().callback(t)["id"])
	require.Equal(t, flight, customer.next().callback(t)["id"])
	require.Equal(t, flight, words.next().callback(t)["id"])
}

func TestStreamHeartbeat(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	server := d.serve()
	l := d.listen(server, "sup1", "?status=completed", "")
	require.Equal(t, "changes from here", l.any().comment)
	d.ticks <- noon
	require.Equal(t, "heartbeat", l.any().comment)
	d.create()
	for { // until the change has gone by
		d.ticks <- noon
		if beat := l.any(); beat.id != "" {
			require.Equal(t, "1", beat.id, "what the filters keep back need not be read again")
			return
		}
	}
}

// TestStreamSlowReader: who does not read is not waited for.
func TestStreamSlowReader(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *api.Options) { o.Limits.Backlog = 2 })
	slow := &slowWriter{header: http.Header{}, gate: make(chan struct{}), wrote: make(chan string, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request := call{method: "GET", path: "/v1/stream", as: "sup1"}.request(t).WithContext(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); d.http.ServeHTTP(slow, request) }()
	slow.gate <- struct{}{}
	require.Contains(t, <-slow.wrote, "changes from here")
	quick := d.listen(d.serve(), "sup2", "", "")
	quick.any()
	for range 6 {
		id := d.create()
		require.Equal(t, id, quick.next().callback(t)["id"])
	}
	close(slow.gate)
	text := ""
	for !strings.Contains(text, "event: reset") {
		text += <-slow.wrote
	}
	require.Contains(t, text, "id: 6\ndata: {}\n\n")
	cancel()
	<-ended
}

// slowWriter waits at its gate before every write.
type slowWriter struct {
	header http.Header
	gate   chan struct{}
	wrote  chan string
}

func (w *slowWriter) Header() http.Header { return w.header }
func (w *slowWriter) WriteHeader(int)     {}
func (w *slowWriter) Flush()              {}
func (w *slowWriter) Write(b []byte) (int, error) {
	<-w.gate
	w.wrote <- string(b)
	return len(b), nil
}

func TestStreamSurvivesTheDatabase(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	server := d.serve()
	l := d.listen(server, "sup1", "", "")
	l.any()
	failed := make(chan struct{}, 100)
	d.book.set(func(b *flakyBook) {
		b.before = func(name string) error {
			if name == "feed" {
				failed <- struct{}{}
				return book.ErrUnavailable
			}
			return nil
		}
	})
	id := d.create()
	<-failed
	d.book.set(func(b *flakyBook) { b.before = nil })
	require.Equal(t, id, l.next().callback(t)["id"])
}

func TestStreamsEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *api.Options) { o.Limits.Streams = 1 })
	server := d.serve()
	l := d.listen(server, "sup1", "", "")
	l.any()
	d.get("sup1", "/v1/stream").refused(429, "rate_limited", "")
	d.api.Close()
	for range l.events { // until it ends
	}
	d.get("sup1", "/v1/stream").refused(503, "unavailable", "")
}

// R23: whoever asks is told which outages go on: at first, and when that
// changes, in this process or in another.
func TestR23_TheStreamTellsOfOutages(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	server := d.serve()
	plain := d.listen(server, "sup1", "", "")
	plain.any()
	asked := d.listen(server, "sup1", "?outages=true", "")
	active := func(want ...string) {
		t.Helper()
		for {
			e := asked.any()
			if e.kind != "outages" {
				continue
			}
			var got struct{ Active []string }
			require.NoError(t, json.Unmarshal([]byte(e.data), &got))
			if len(got.Active) == len(want) {
				require.ElementsMatch(t, want, got.Active)
				return
			}
		}
	}
	active()
	id := d.post("mgr1", "/v1/outages", object{"lob": "flights"}).want(201).str("id")
	active(id)
	elsewhere, err := d.book.store.Declare(t.Context(), book.Outage{ID: unknownID, LOB: "trains", DeclaredBy: "mgr2", DeclaredAt: callback.At(noon)})
	require.NoError(t, err)
	active(id, elsewhere.ID)
	d.post("mgr1", "/v1/outages/"+id+"/end", nil).want(200)
	active(elsewhere.ID)
	late := d.listen(server, "agent1", "?outages=true", "")
	for e := late.any(); e.kind != "outages"; e = late.any() {
		require.NotEqual(t, "callback", e.kind)
	}
	d.get("sup1", "/v1/stream?outages=perhaps").invalid("outages")

	made := d.create()
	require.Equal(t, made, plain.next().callback(t)["id"], "who does not ask hears of callbacks alone")
}
