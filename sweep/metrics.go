package sweep

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	open, overdue, late, lateness, lag, errands prometheus.Gauge
	missing, neglected, ended                   prometheus.Gauge
	archived, caughtUp, lost                    prometheus.Counter
	seconds                                     *prometheus.HistogramVec
	failures                                    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	counter := func(name, help string) prometheus.Counter {
		return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	return &metrics{
		open:      gauge("ringback_watchdog_open_callbacks", "Callbacks that are open, at the last look."),
		overdue:   gauge("ringback_watchdog_overdue_callbacks", "Open callbacks past their promise at the last tier, at the last look."),
		late:      gauge("ringback_watchdog_late_callbacks", "Callbacks for which the clock should have acted and has not."),
		lateness:  gauge("ringback_watchdog_oldest_late_seconds", "How long ago the first of them was due."),
		errands:   gauge("ringback_errands_open", "Commands without an answer: under way, or begun and given up."),
		lag:       gauge("ringback_projection_lag_seconds", "Age of the oldest command whose outcome may not be shown yet, after a sweep."),
		missing:   gauge("ringback_archive_missing_histories", "Closed callbacks whose history is neither in the engine nor in the archive."),
		neglected: gauge("ringback_archive_waiting_histories", "Callbacks that closed more than an hour ago and are not archived yet."),
		ended:     gauge("ringback_workflows_ended_from_outside", "Workflows of callbacks that were terminated, failed, cancelled or timed out."),
		archived:  counter("ringback_archive_histories_total", "Runs that were archived."),
		caughtUp:  counter("ringback_sweep_caught_up_total", "Callbacks of which the read model was behind and has caught up."),
		lost:      counter("ringback_sweep_lost_total", "Findings of a callback that lists show and of which there is no history."),
		seconds: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ringback_sweep_seconds", Help: "How long the parts of a sweep took.", Buckets: []float64{.01, .1, 1, 10, 60},
		}, []string{"task"})),
		failures: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringback_sweep_failures_total", Help: "Parts of a sweep that failed.",
		}, []string{"task"})),
	}
}

// register shows a metric; a second sweeper of the same process has the same ones.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	if err := r.Register(c); err != nil {
		if already, ok := err.(prometheus.AlreadyRegisteredError); ok { //nolint:errorlint // it is returned as it is
			if existing, ok := already.ExistingCollector.(C); ok {
				return existing
			}
		}
	}
	return c
}

// handOver takes back what only the one who sweeps can know, now that another
// does: an alarm that has gone out there must not ring on here.
func (m *metrics) handOver() {
	for _, g := range []prometheus.Gauge{m.lag, m.missing, m.neglected, m.ended} {
		g.Set(0)
	}
}

func (m *metrics) took(task string, d time.Duration, err error) {
	m.seconds.WithLabelValues(task).Observe(d.Seconds())
	if err != nil {
		m.failures.WithLabelValues(task).Inc()
	}
}
