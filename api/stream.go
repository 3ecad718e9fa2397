package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ringback/book"
	"ringback/callback"
)

const (
	streamID  = "stream"
	heartbeat = 15 * time.Second
	// writePatience is how long one write to a reader may take before it is given up.
	writePatience = 30 * time.Second
	// feedPage is how many changes are read at once.
	feedPage = 200
	// feedRetry is when the feed is tried again after the database did not answer.
	feedRetry = time.Second
)

func (a *API) streamOperations() []*operation {
	return []*operation{{
		method: http.MethodGet, path: "/v1/stream", id: streamID, tag: "callbacks", access: accessRead,
		summary: "Every change, as it happens",
		doc: "Server-Sent Events: `event: callback` with the callback, without anything personal, once for each change that passes the filters. " +
			"A comment every 15 s keeps the connection. `Last-Event-ID` resumes where a reader was, in commit order; " +
			"`event: reset` says that this cannot be done: read the lists again and go on from here. " +
			"The answer's own `Last-Event-ID` is where the stream begins; HEAD asks for that alone. " +
			"Whoever asks for `outages` is told at first, and whenever that changes, which outages go on: `event: outages`, `{\"active\": [their ids]}`.",
		query: append(filterParams(),
			choiceParam("heartbeats", "true: the heartbeat is an event too, `event: heartbeat`: the script of a page sees no comment", "true", "false"),
			choiceParam("outages", "true: tell of outages too (R23)", "true", "false"),
			param("last_event_id", "as Last-Event-ID, for a browser that begins a new stream where an old one ended; the header goes before it")),
		answers: []reply{{http.StatusOK, "the stream", "", "text/event-stream"}},
		serve:   a.stream,
	}}
}

func (a *API) stream(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	filter := a.filter(q)
	last, outages, heartbeats := q.one("last_event_id"), q.flag("outages"), q.flag("heartbeats")
	if header := r.Header.Get("Last-Event-ID"); header != "" {
		last = header // of the browser's own reconnecting, which repeats the address it began with
	}
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	joining, cancel := context.WithTimeout(ctx, a.limits.Settle)
	defer cancel()
	s := &stream{api: a, filter: filter, out: http.NewResponseController(r.write), w: r.write, still: func() error { return a.still(r) }}
	s.outages = outages != nil && *outages
	s.beats = heartbeats != nil && *heartbeats
	if err := a.hub.join(joining, &s.subscription, a.limits.Streams); err != nil {
		return nil, err
	}
	defer a.hub.leave(&s.subscription)
	from, resumes, err := s.from(joining, last)
	if err != nil {
		return nil, err
	}
	a.metrics.streams.Inc()
	defer a.metrics.streams.Dec()
	h := r.write.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies would hold events back
	h.Set("Last-Event-ID", strconv.FormatInt(from, 10))
	r.write.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		// How a stream ends is its reader's business.
		if err := s.run(ctx, from, resumes); err != nil && ctx.Err() == nil {
			a.log.DebugContext(ctx, "a stream ended", "error", err.Error())
		}
	}
	return &answer{written: true}, nil
}

// stream is one reader of changes.
type stream struct {
	subscription
	api    *API
	filter book.Filter
	w      http.ResponseWriter
	out    *http.ResponseController
	// still says whether the reader may still read.
	still func() error
	// beats: the heartbeat is an event too, for a reader that sees no comment.
	beats bool
	// at is the change up to which the reader has been told; said is the id it knows.
	at, said int64
}

// still refuses a stream whose reader has been signed out, revoked or
// deactivated since it began, or has become somebody else. Where that cannot be
// told right now, it goes on.
func (a *API) still(r *request) error {
	who, err := a.authenticate(r.Request)
	if err == nil && who.ID == r.who.ID {
		return who.may(r.op.access)
	}
	if err == nil || fault(err).Code == callback.CodeUnauthenticated {
		return ErrUnauthenticated
	}
	return nil
}

var errStreamLost = errors.New("the reader fell too far behind")

// from is where the reader goes on; resumes: what it has missed can be told.
func (s *stream) from(ctx context.Context, lastEventID string) (from int64, resumes bool, err error) {
	if lastEventID == "" {
		return s.joined, true, nil
	}
	oldest, newest, err := s.api.book.FeedBounds(ctx)
	if err != nil {
		return 0, false, err
	}
	id, err := strconv.ParseInt(lastEventID, 10, 64)
	if err != nil || id < oldest-1 || id < 0 || id > newest {
		return s.joined, false, nil //nolint:nilerr // an id that is none of ours is one that is too old: reset
	}
	return id, true, nil
}

func (s *stream) run(ctx context.Context, from int64, resumes bool) error {
	_ = s.out.SetReadDeadline(time.Time{}) // not every writer has one
	tick, stop := s.api.tick(heartbeat)
	defer stop()
	s.at = from
	var err error
	if resumes {
		err = s.write("retry: 2000\n: changes from here\n" + s.id() + "\n")
	} else {
		err = s.reset()
	}
	if err == nil && s.outages {
		err = s.tellOutages(ctx)
	}
	if err == nil {
		err = s.catchUp(ctx)
	}
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.api.closing:
			return nil
		case <-tick:
			if err = s.still(); err != nil {
				return err
			}
			err = s.write(": heartbeat\n" + s.id() + s.beat() + "\n")
		case <-s.lost:
			err = errStreamLost
		case c := <-s.changes:
			err = s.tell(ctx, c)
		}
		if errors.Is(err, errStreamLost) {
			s.api.hub.rejoin(&s.subscription)
			s.at = s.joined
			err = s.reset()
		}
	}
	return err
}

// id names the change up to which all has been told, if the reader does not
// know it yet: what the filters keep back need not be read again.
func (s *stream) id() string {
	if s.said == s.at {
		return ""
	}
	s.said = s.at
	return "id: " + strconv.FormatInt(s.at, 10) + "\n"
}

// beat is the heartbeat as an event. Who did not ask for it is told of changes only.
func (s *stream) beat() string {
	if !s.beats {
		return ""
	}
	return "event: heartbeat\ndata: {}\n"
}

func (s *stream) reset() error {
	s.api.metrics.resets.Inc()
	return s.write("event: reset\n" + s.id() + "data: {}\n\n")
}

// catchUp tells what happened between where the reader was and where it joined.
func (s *stream) catchUp(ctx context.Context) error {
	for s.at < s.joined {
		items, err := s.api.book.Feed(ctx, s.at, feedPage)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return nil
		}
		for _, item := range items {
			if err := s.tell(ctx, &change{FeedItem: item}); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellOutages writes which outages go on. It is in the hub by now: whatever
// changes after this is told.
func (s *stream) tellOutages(ctx context.Context) error {
	active, err := s.api.book.ActiveOutages(ctx)
	if err != nil {
		return err
	}
	return s.write(outagesEvent(active))
}

func outagesEvent(active []book.Outage) string {
	ids := make([]string, len(active))
	for i, o := range active {
		ids[i] = strconv.Quote(o.ID)
	}
	return "event: outages\ndata: {\"active\": [" + strings.Join(ids, ", ") + "]}\n\n"
}

// tell writes one change, if it is new and passes the filters.
func (s *stream) tell(ctx context.Context, c *change) error {
	if c.outages != "" {
		return s.write(c.outages)
	}
	if c.Seq <= s.at {
		return nil
	}
	passes, err := s.passes(ctx, c.State)
	if err != nil {
		return errStreamLost // what cannot be decided is not kept back silently
	}
	s.at = c.Seq
	if !passes {
		return nil
	}
	data, err := c.encoded(s.api)
	if err != nil {
		return err
	}
	return s.write(s.id() + "event: callback\ndata: " + string(data) + "\n\n")
}

func (s *stream) write(event string) error {
	if event == "" {
		return nil
	}
	_ = s.out.SetWriteDeadline(time.Now().Add(writePatience)) // not every writer has one
	if _, err := s.w.Write([]byte(event)); err != nil {
		return err
	}
	return s.out.Flush()
}

// passes applies the filters of lists to one callback.
func (s *stream) passes(ctx context.Context, c *callback.Callback) (bool, error) {
	f := s.filter
	among := func(values []string, v string) bool { return len(values) == 0 || slices.Contains(values, v) }
	if !among(f.ID, c.ID) || !among(f.Tier, c.Tier) || !among(f.Queue, c.Queue) || !among(f.Policy, c.Policy) ||
		!among(f.RequestedBy, c.RequestedBy) || !among(f.Owner, c.Owner) || !among(f.Assignee, c.Assignee) ||
		len(f.Status) > 0 && !slices.Contains(f.Status, c.Status) ||
		f.Tag != "" && !slices.Contains(c.Tags, f.Tag) ||
		f.Required != nil && *f.Required != c.CallbackRequired ||
		f.Overdue != nil && *f.Overdue != c.Overdue ||
		!f.DueBefore.IsZero() && (c.DueAt.IsZero() || !c.DueAt.Before(f.DueBefore.Time)) {
		return false, nil
	}
	if f.Q != "" {
		if found, err := s.api.book.Matches(ctx, c.ID, f.Q); err != nil || !found {
			return false, err
		}
	}
	if f.Customer == "" && f.Source == "" {
		return true, nil
	}
	v, err := s.api.book.Callback(ctx, c.ID)
	if errors.Is(err, book.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return (f.Customer == "" || v.Intake.Customer.Ref == f.Customer) && fromSource(v.Intake.Source, f.Source), nil
}

func fromSource(s *book.Source, want string) bool {
	if want == "" {
		return true
	}
	system, ref, both := strings.Cut(want, ":")
	return s != nil && s.System == system && (!both || s.Ref == ref)
}

// change is one change on its way to many readers; it is encoded once.
type change struct {
	book.FeedItem
	// outages is news of those, as it is written, and nothing else; empty: a callback changed.
	outages string
	once    sync.Once
	data    []byte
	err     error
}

func (c *change) encoded(a *API) ([]byte, error) {
	c.once.Do(func() {
		w := a.impersonal(c.State)
		w.LOB = null(c.LOB)
		c.data, c.err = encode(w)
		c.data = bytes.ReplaceAll(c.data, []byte("\n"), nil)
	})
	return c.data, c.err
}

// subscription is a reader's place in the hub.
type subscription struct {
	changes chan *change
	lost    chan struct{} // closed when it fell too far behind
	joined  int64         // it is told every change after this one
	outages bool          // it is told of outages too
}

// hub reads the feed once for all streams of this process.
type hub struct {
	book    Book
	log     *slog.Logger
	backlog int
	wake    chan struct{}
	// outages wakes it for news of those, where they were made in this process.
	outages chan struct{}
	// told is what was said of outages last; only run changes it.
	told string

	mu       sync.Mutex
	at       int64
	readers  map[*subscription]struct{}
	started  bool
	closed   bool
	cancel   func() // of the subscription to the book
	stop     context.CancelFunc
	finished chan struct{}
}

func newHub(b Book, log *slog.Logger, backlog int) *hub {
	return &hub{book: b, log: log, backlog: backlog, wake: make(chan struct{}, 1), outages: make(chan struct{}, 1), readers: map[*subscription]struct{}{}}
}

// join lets a reader in at the newest change. The first one starts the reading
// of the feed. Errors: the database is away; too many readers.
func (h *hub) join(ctx context.Context, s *subscription, most int) error {
	h.mu.Lock()
	started := h.started
	h.mu.Unlock()
	newest := int64(0)
	if !started {
		var err error
		if _, newest, err = h.book.FeedBounds(ctx); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return refuse(callback.CodeUnavailable, "", "this server is about to stop")
	case len(h.readers) >= most:
		return refuse(callback.CodeRateLimited, "", "too many streams are open")
	}
	if !h.started {
		h.started, h.at = true, newest
		running, stop := context.WithCancel(context.Background())
		h.stop, h.finished = stop, make(chan struct{})
		h.cancel = h.book.Subscribe(h.knock)
		go h.run(running)
		h.knock() // for what was written before the subscription
	}
	h.enter(s)
	return nil
}

// rejoin lets a reader that was lost in again.
func (h *hub) rejoin(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.enter(s)
}

func (h *hub) enter(s *subscription) {
	s.changes, s.lost, s.joined = make(chan *change, h.backlog), make(chan struct{}), h.at
	h.readers[s] = struct{}{}
}

func (h *hub) leave(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, s)
}

func (h *hub) knock() { wake(h.wake) }

// outagesChanged has the readers told of outages at once.
func (h *hub) outagesChanged() { wake(h.outages) }

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (h *hub) run(ctx context.Context) {
	defer close(h.finished)
	elsewhere := time.NewTicker(activeAge)
	defer elsewhere.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.outages:
			h.lookAtOutages(ctx)
			continue
		case <-elsewhere.C: // they may have been declared, or have ended, in another process
			h.lookAtOutages(ctx)
			continue
		case <-h.wake:
		}
		for {
			more, err := h.page(ctx)
			if err != nil && !pause(ctx, feedRetry) {
				return
			}
			if err == nil && !more {
				break
			}
		}
	}
}

// lookAtOutages hands on which outages go on, where that has changed and somebody
// asks for it.
func (h *hub) lookAtOutages(ctx context.Context) {
	if !h.asked() {
		h.told = "" // whoever asks next may have been told something else
		return
	}
	active, err := h.book.ActiveOutages(ctx)
	if err != nil {
		h.log.DebugContext(ctx, "outages cannot be read", "error", err.Error()) // it is tried again soon
		return
	}
	if now := outagesEvent(active); now != h.told {
		h.told = now
		h.hand(&change{outages: now})
	}
}

// asked reports whether any reader is to be told of outages.
func (h *hub) asked() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.readers {
		if s.outages {
			return true
		}
	}
	return false
}

// hand gives a change to every reader; whoever is too far behind is lost.
func (h *hub) hand(c *change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.outages == "" {
		h.at = c.Seq
	}
	for s := range h.readers {
		if c.outages != "" && !s.outages {
			continue
		}
		select {
		case s.changes <- c:
		default:
			close(s.lost)
			delete(h.readers, s)
		}
	}
}

// page reads some changes and hands them on; more: there may be others.
func (h *hub) page(ctx context.Context) (more bool, err error) {
	items, err := h.book.Feed(ctx, h.at, feedPage) // only run changes at
	if err != nil {
		h.log.WarnContext(ctx, "the feed cannot be read", "error", err.Error())
		return false, err
	}
	for _, item := range items {
		h.hand(&change{FeedItem: item})
	}
	return len(items) == feedPage, nil
}

func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	started := h.started
	h.mu.Unlock()
	if started {
		h.stop()
		h.cancel()
		<-h.finished
	}
}
