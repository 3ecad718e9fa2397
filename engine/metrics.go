package engine

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
)

// timerBuckets are the upper bounds in seconds of every timer's histogram. They reach from a local activity to the life
// of a callback (temporal_workflow_endtoend_latency).
var timerBuckets = []float64{
	.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600,
}

// Metrics returns a handler that shows what the Temporal SDK measures in registerer. Counters are named NAME_total,
// timers are histograms in seconds named NAME_seconds, gauges keep their name; names are those of Temporal's "SDK
// metrics" reference.
//
// It never panics and never returns nil: a second call with the same registerer returns the same series, and what
// cannot be shown (a name that was another kind of metric before) is dropped. The registerer also gains the gauge
// ringback_engine_metric_series, the number of series held.
func Metrics(registerer prometheus.Registerer) client.MetricsHandler {
	series := &seriesSet{kinds: map[string]metricKind{}, byKey: map[seriesKey]prometheus.Metric{}}
	var already prometheus.AlreadyRegisteredError
	switch err := registerer.Register(seriesCount{series}); {
	case errors.As(err, &already):
		if existing, ok := already.ExistingCollector.(seriesCount); ok {
			return metricsHandler{series: existing.seriesSet}
		}
		return metricsHandler{series: series}
	case err != nil:
		return metricsHandler{series: series}
	}
	// An unchecked collector: the SDK gives the same name different labels from call to call, which the checked ones
	// refuse. Registering one cannot fail.
	_ = registerer.Register(series)
	return metricsHandler{series: series}
}

type metricKind int

const (
	counterKind metricKind = iota + 1
	gaugeKind
	timerKind
)

// seriesKey names one series; labels are in the order of their names.
type seriesKey struct{ name, labels string }

// seriesSet holds every series; it is the unchecked collector.
type seriesSet struct {
	mu    sync.RWMutex
	kinds map[string]metricKind
	byKey map[seriesKey]prometheus.Metric
}

// Describe describes nothing, which makes the collector an unchecked one.
func (s *seriesSet) Describe(chan<- *prometheus.Desc) {}

// Collect gives all series.
func (s *seriesSet) Collect(ch chan<- prometheus.Metric) {
	s.mu.RLock()
	all := slices.Collect(maps.Values(s.byKey))
	s.mu.RUnlock()
	for _, m := range all {
		ch <- m
	}
}

// get returns the series of a name and labels, made at its first use; nil where the name belongs to another kind.
func (s *seriesSet) get(kind metricKind, name string, labels prometheus.Labels, rendered string) prometheus.Metric {
	key := seriesKey{name, rendered}
	s.mu.RLock()
	known, m := s.kinds[name], s.byKey[key]
	s.mu.RUnlock()
	if m != nil && known == kind {
		return m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.kinds[name]; ok && known != kind {
		return nil
	}
	if m := s.byKey[key]; m != nil {
		return m
	}
	s.kinds[name] = kind
	m = newSeries(kind, name, labels)
	s.byKey[key] = m
	return m
}

func newSeries(kind metricKind, name string, labels prometheus.Labels) prometheus.Metric {
	// All series of a name must have the same help.
	const help = "Measured by the Temporal SDK."
	switch kind {
	case counterKind:
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	case gaugeKind:
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	case timerKind:
	}
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, ConstLabels: labels, Buckets: timerBuckets})
}

var seriesCountDesc = prometheus.NewDesc("ringback_engine_metric_series",
	"Series that the Temporal SDK's metrics consist of.", nil, nil)

// seriesCount is the described collector by which a registerer recognises that it has the series already.
type seriesCount struct{ *seriesSet }

func (c seriesCount) Describe(ch chan<- *prometheus.Desc) { ch <- seriesCountDesc }

func (c seriesCount) Collect(ch chan<- prometheus.Metric) {
	c.mu.RLock()
	n := len(c.byKey)
	c.mu.RUnlock()
	ch <- prometheus.MustNewConstMetric(seriesCountDesc, prometheus.GaugeValue, float64(n))
}

// metricsHandler is a view of the series with some tags set.
type metricsHandler struct {
	series   *seriesSet
	labels   prometheus.Labels
	rendered string
}

// WithTags adds to the tags or overwrites them.
func (h metricsHandler) WithTags(tags map[string]string) client.MetricsHandler {
	if len(tags) == 0 {
		return h
	}
	labels := make(prometheus.Labels, len(h.labels)+len(tags))
	maps.Copy(labels, h.labels)
	for name, value := range tags {
		labels[labelName(name)] = strings.ToValidUTF8(value, "�")
	}
	var rendered strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		rendered.WriteString(name)
		rendered.WriteByte(0)
		rendered.WriteString(labels[name])
		rendered.WriteByte(0)
	}
	return metricsHandler{series: h.series, labels: labels, rendered: rendered.String()}
}

func (h metricsHandler) Counter(name string) client.MetricsCounter {
	counter, ok := h.series.get(counterKind, metricName(name, "_total"), h.labels, h.rendered).(prometheus.Counter)
	if !ok {
		return client.MetricsNopHandler.Counter(name)
	}
	return counterFunc(func(n int64) {
		// A Prometheus counter panics when it is told to fall.
		if n > 0 {
			counter.Add(float64(n))
		}
	})
}

func (h metricsHandler) Gauge(name string) client.MetricsGauge {
	gauge, ok := h.series.get(gaugeKind, metricName(name, ""), h.labels, h.rendered).(prometheus.Gauge)
	if !ok {
		return client.MetricsNopHandler.Gauge(name)
	}
	return gaugeFunc(gauge.Set)
}

func (h metricsHandler) Timer(name string) client.MetricsTimer {
	timer, ok := h.series.get(timerKind, metricName(name, "_seconds"), h.labels, h.rendered).(prometheus.Histogram)
	if !ok {
		return client.MetricsNopHandler.Timer(name)
	}
	return timerFunc(func(d time.Duration) { timer.Observe(d.Seconds()) })
}

type (
	counterFunc func(int64)
	gaugeFunc   func(float64)
	timerFunc   func(time.Duration)
)

func (f counterFunc) Inc(n int64)          { f(n) }
func (f gaugeFunc) Update(v float64)       { f(v) }
func (f timerFunc) Record(d time.Duration) { f(d) }

// metricName makes a legal Prometheus name that ends in suffix.
func metricName(name, suffix string) string {
	name = legalName(name, ':')
	return strings.TrimSuffix(name, suffix) + suffix
}

// labelName makes a legal Prometheus label that is not one of its own: those begin with two underscores, and le is a
// histogram's.
func labelName(name string) string {
	name = legalName(name, '_')
	if strings.HasPrefix(name, "__") || name == "le" {
		name = "tag_" + strings.TrimLeft(name, "_")
	}
	return name
}

// legalName keeps ASCII letters, digits, underscores and one more character, makes the rest underscores, and sees that
// no digit comes first.
func legalName(name string, also rune) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == also:
			return r
		}
		return '_'
	}, name)
	if name == "" || (name[0] >= '0' && name[0] <= '9') {
		name = "_" + name
	}
	return name
}
