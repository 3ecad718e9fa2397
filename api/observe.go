package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"ringback/callback"
)

// trail is what is remembered of a request for the log, the metrics and the
// trace: ids and codes, never anything personal.
type trail struct {
	requestID string
	// route is the pattern of the page that answered; empty: what the API matched.
	route      string
	callbackID string
	principal  string
	fault      *callback.Fault
	err        error
}

const (
	trailKey        = "ringback.trail"
	headerRequestID = "X-Request-Id"
)

func trailOf(c *gin.Context) *trail {
	if t, ok := c.MustGet(trailKey).(*trail); ok {
		return t
	}
	return &trail{}
}

type trailContext struct{}

// Visited notes for the access log which page answers the request of this
// context, as its pattern, to whom, and about which callback; what is empty, or
// no callback's id, is not noted. Pages are not the API's, but its log is theirs.
func Visited(ctx context.Context, pattern, principal, callbackID string) {
	t, known := ctx.Value(trailContext{}).(*trail)
	if !known {
		return
	}
	if pattern != "" {
		_, path, found := strings.Cut(pattern, " ")
		if !found {
			path = pattern
		}
		t.route = strings.TrimSuffix(path, "{$}")
	}
	if principal != "" {
		t.principal = principal
	}
	if id, err := parseID(callbackID); err == nil {
		t.callbackID = id
	}
}

// Refused notes for the access log with which code, and by which rule if any, a
// page refused.
func Refused(ctx context.Context, code callback.Code, rule callback.Rule) {
	if t, known := ctx.Value(trailContext{}).(*trail); known {
		t.fault = &callback.Fault{Code: code, Rule: rule}
	}
}

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// observe is around every request: it gives it an id, and says afterwards what
// became of it.
func (a *API) observe(c *gin.Context) {
	began := time.Now()
	t := &trail{requestID: c.GetHeader(headerRequestID)}
	if !saneRequestID.MatchString(t.requestID) {
		t.requestID = uuid.NewString()
	}
	c.Set(trailKey, t)
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), trailContext{}, t))
	c.Header(headerRequestID, t.requestID)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "no-store")

	route := strings.ReplaceAll(c.FullPath(), ":id", "{id}")
	switch {
	case route != "":
	case a.pagesAt(c.Request.URL.Path) != nil:
		route = "page"
	default:
		route = "unmatched"
	}
	end := a.trace(c, route)
	defer func() {
		a.recover(c, t, recover())
		took, status := time.Since(began), c.Writer.Status()
		a.metrics.requests.WithLabelValues(c.Request.Method, route, strconv.Itoa(status)).Observe(took.Seconds())
		end(status, t)
		if t.route != "" {
			route = t.route
		}
		a.logRequest(c, t, route, status, took)
	}()
	c.Next()
}

// recover answers a request whose handler panicked.
func (a *API) recover(c *gin.Context, t *trail, p any) {
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // it asks for the connection to be cut
	}
	// What is panicked with may be anything: its type says enough beside the stack.
	t.err = fmt.Errorf("panic (%T) at %s", p, stack())
	if !c.Writer.Written() {
		a.refuse(c, refuse(callback.CodeInternal, "", "an error that should not happen; it has been logged"))
	}
}

// stack is where the panic was, without the arguments of the calls.
func stack() string {
	var at []string
	for line := range strings.Lines(string(debug.Stack())) {
		if strings.HasPrefix(line, "\t") {
			file, _, _ := strings.Cut(strings.TrimSpace(line), " +0x")
			at = append(at, file)
		}
	}
	if len(at) > 3 {
		at = at[3:] // debug.Stack, stack and recover themselves
	}
	return strings.Join(at[:min(len(at), 12)], " < ")
}

func (a *API) logRequest(c *gin.Context, t *trail, route string, status int, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case errors.Is(c.Request.Context().Err(), context.Canceled):
		// Whoever asked has gone away: nothing is wrong here.
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	case inside(c.Request.Context()):
		level = slog.LevelDebug // the page that asks is logged itself
	}
	fields := []slog.Attr{
		slog.String("request_id", t.requestID), slog.String("method", c.Request.Method), slog.String("route", route),
		slog.Int("status", status), slog.Float64("ms", float64(took.Microseconds())/1000),
	}
	for key, value := range map[string]string{"callback_id": t.callbackID, "principal": t.principal} {
		if value != "" {
			fields = append(fields, slog.String(key, value))
		}
	}
	message := "request"
	if t.fault != nil {
		message = "refused"
		fields = append(fields, slog.String("code", string(t.fault.Code)), slog.String("rule", string(t.fault.Rule)))
	}
	if t.err != nil {
		fields = append(fields, slog.String("error", t.err.Error()))
	}
	a.log.LogAttrs(c.Request.Context(), level, message, fields...)
}

// trace opens a span, if traces are on.
func (a *API) trace(c *gin.Context, route string) (end func(status int, t *trail)) {
	if a.tracer == nil {
		return func(int, *trail) {}
	}
	ctx := propagation.TraceContext{}.Extract(c.Request.Context(), propagation.HeaderCarrier(c.Request.Header))
	ctx, span := a.tracer.Start(ctx, c.Request.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", c.Request.Method), attribute.String("http.route", route),
	))
	c.Request = c.Request.WithContext(ctx)
	return func(status int, t *trail) {
		span.SetAttributes(
			attribute.Int("http.response.status_code", status), attribute.String("ringback.request_id", t.requestID),
			attribute.String("ringback.callback_id", t.callbackID),
		)
		if t.fault != nil {
			span.SetAttributes(attribute.String("ringback.code", string(t.fault.Code)), attribute.String("ringback.rule", string(t.fault.Rule)))
		}
		if status >= http.StatusInternalServerError {
			span.SetStatus(otelcodes.Error, "")
		}
		span.End()
	}
}

type metrics struct {
	requests *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	streams  prometheus.Gauge
	resets   prometheus.Counter
}

func newMetrics(r prometheus.Registerer, w Watch, l Ledgers) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ringback_http_request_seconds", Help: "Requests answered, by route and status.",
			Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}, []string{"method", "route", "status"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringback_refusals_total", Help: "Requests refused, by code.",
		}, []string{"code"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ringback_streams", Help: "Event streams that are open.",
		}),
		resets: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringback_stream_resets_total", Help: "Streams that could not be resumed, or whose reader fell too far behind.",
		}),
	}
	collectors := []prometheus.Collector{m.requests, m.refusals, m.streams, m.resets, owedNow{l}}
	if w != nil {
		collectors = append(collectors, openNow{w})
	}
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	for code := range kinds {
		m.refusals.WithLabelValues(string(code))
	}
	return m, nil
}

// openNow counts when it is asked.
type openNow struct{ Watch }

var (
	openDesc    = prometheus.NewDesc("ringback_open_callbacks", "Callbacks that are open.", nil, nil)
	overdueDesc = prometheus.NewDesc("ringback_overdue_callbacks", "Open callbacks past their promise at the last tier.", nil, nil)
)

// Describe implements prometheus.Collector.
func (openNow) Describe(ch chan<- *prometheus.Desc) {
	ch <- openDesc
	ch <- overdueDesc
}

// Collect implements prometheus.Collector. While the database is away there is nothing to tell.
func (w openNow) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	open, overdue, err := w.Open(ctx)
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(open))
	ch <- prometheus.MustNewConstMetric(overdueDesc, prometheus.GaugeValue, float64(overdue))
}

// owedNow counts what is owed, kept and out of order when it is asked.
type owedNow struct{ Ledgers }

var (
	owedDesc       = prometheus.NewDesc("ringback_owed_deliveries", "Deliveries that are owed to other systems.", []string{"destination", "code"}, nil)
	oldestOwedDesc = prometheus.NewDesc("ringback_owed_oldest_seconds", "Age of the oldest delivery that is owed.", []string{"destination"}, nil)
	keptDesc       = prometheus.NewDesc("ringback_inbound_kept_messages", "Messages that came in and were not understood yet.", []string{"connector"}, nil)
	outagesDesc    = prometheus.NewDesc("ringback_outages_active", "System outages that go on.", nil, nil)
	linkedDesc     = prometheus.NewDesc("ringback_outage_linked_callbacks", "Open callbacks that are linked to an outage.", nil, nil)
)

// Describe implements prometheus.Collector.
func (owedNow) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{owedDesc, oldestOwedDesc, keptDesc, outagesDesc, linkedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. While the database is away there is nothing to tell.
func (l owedNow) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if counts, err := l.OwedCounts(ctx); err == nil {
		oldest := map[string]time.Time{}
		for _, n := range counts {
			gauge(owedDesc, float64(n.Count), n.Destination, n.Code)
			if at, known := oldest[n.Destination]; !known || n.Oldest.Before(at) {
				oldest[n.Destination] = n.Oldest.Time
			}
		}
		for destination, at := range oldest {
			gauge(oldestOwedDesc, time.Since(at).Seconds(), destination)
		}
	}
	if kept, err := l.Waiting(ctx); err == nil {
		for connector, n := range kept {
			gauge(keptDesc, float64(n), connector)
		}
	}
	if active, err := l.ActiveOutages(ctx); err == nil {
		gauge(outagesDesc, float64(len(active)))
	}
	if linked, err := l.LinkedCounts(ctx); err == nil {
		total := int64(0)
		for _, n := range linked {
			total += n
		}
		gauge(linkedDesc, float64(total))
	}
}
