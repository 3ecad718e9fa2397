package engine_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"ringback/engine"
)

func gather(t *testing.T, registry prometheus.Gatherer) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	out := map[string]*dto.MetricFamily{}
	for _, family := range families {
		out[family.GetName()] = family
	}
	return out
}

func TestMetricsAreShown(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	handler := engine.Metrics(registry).WithTags(map[string]string{"namespace": "ringback"})

	handler.WithTags(map[string]string{"operation": "Poll"}).Counter("temporal_request").Inc(2)
	handler.WithTags(map[string]string{"operation": "Poll"}).Counter("temporal_request").Inc(1)
	handler.WithTags(map[string]string{"operation": "Start", "namespace": "other"}).Counter("temporal_request").Inc(5)
	handler.Gauge("temporal_worker_task_slots_used").Update(7)
	handler.Gauge("temporal_worker_task_slots_used").Update(3)
	handler.Timer("temporal_request_latency").Record(30 * time.Millisecond)
	handler.Timer("temporal_request_latency").Record(90 * time.Minute)

	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP temporal_request_total Measured by the Temporal SDK.
# TYPE temporal_request_total counter
temporal_request_total{namespace="other",operation="Start"} 5
temporal_request_total{namespace="ringback",operation="Poll"} 3
# HELP temporal_worker_task_slots_used Measured by the Temporal SDK.
# TYPE temporal_worker_task_slots_used gauge
temporal_worker_task_slots_used{namespace="ringback"} 3
# HELP ringback_engine_metric_series Series that the Temporal SDK's metrics consist of.
# TYPE ringback_engine_metric_series gauge
ringback_engine_metric_series 4
`), "temporal_request_total", "temporal_worker_task_slots_used", "ringback_engine_metric_series"))
	histogram := gather(t, registry)["temporal_request_latency_seconds"].GetMetric()[0].GetHistogram()
	require.EqualValues(t, 2, histogram.GetSampleCount())
	require.InDelta(t, 5400.03, histogram.GetSampleSum(), 1e-9, "seconds")
}

func TestMetricsNeverPanic(t *testing.T) {
	t.Parallel()
	t.Run("labels that differ from call to call", func(t *testing.T) {
		t.Parallel()
		registry := prometheus.NewRegistry()
		handler := engine.Metrics(registry)
		handler.Counter("temporal_request").Inc(1)
		handler.WithTags(map[string]string{"a": "1"}).Counter("temporal_request").Inc(1)
		handler.WithTags(map[string]string{"b": "1", "a": "2"}).Counter("temporal_request").Inc(1)
		require.Len(t, gather(t, registry)["temporal_request_total"].GetMetric(), 3)
	})
	t.Run("a second handler has the same series", func(t *testing.T) {
		t.Parallel()
		registry := prometheus.NewRegistry()
		engine.Metrics(registry).Counter("temporal_request").Inc(1)
		engine.Metrics(registry).Counter("temporal_request").Inc(1)
		engine.Metrics(prometheus.WrapRegistererWith(prometheus.Labels{"process": "api"}, registry)).Counter("other").Inc(1)
		require.InDelta(t, 2, gather(t, registry)["temporal_request_total"].GetMetric()[0].GetCounter().GetValue(), 0)
	})
	t.Run("a name that is another kind", func(t *testing.T) {
		t.Parallel()
		registry := prometheus.NewRegistry()
		handler := engine.Metrics(registry)
		handler.Counter("temporal_thing_total").Inc(1)
		handler.Gauge("temporal_thing_total").Update(9)
		handler.Gauge("temporal_level_seconds").Update(9)
		handler.Timer("temporal_level").Record(time.Second)
		families := gather(t, registry)
		require.Equal(t, dto.MetricType_COUNTER, families["temporal_thing_total"].GetType())
		require.Equal(t, dto.MetricType_GAUGE, families["temporal_level_seconds"].GetType())
	})
	t.Run("odd names, labels and values", func(t *testing.T) {
		t.Parallel()
		registry := prometheus.NewRegistry()
		handler := engine.Metrics(registry)
		handler.Counter("").Inc(1)
		handler.Counter("9 lives-of.a cat").Inc(-1)
		handler.WithTags(map[string]string{"le": "x", "__name__": "y", "ü": "\xff", "": "z"}).Timer("temporal_request").Record(-1)
		handler.WithTags(nil).Gauge("temporal_gauge").Update(1)
		require.Contains(t, gather(t, registry), "_9_lives_of_a_cat_total")
	})
	t.Run("many at once", func(t *testing.T) {
		t.Parallel()
		registry := prometheus.NewRegistry()
		handler := engine.Metrics(registry)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 100 {
					handler.WithTags(map[string]string{"operation": "Poll"}).Counter("temporal_request").Inc(1)
					_, err := registry.Gather()
					require.NoError(t, err)
				}
			})
		}
		all.Wait()
		require.InDelta(t, 800, gather(t, registry)["temporal_request_total"].GetMetric()[0].GetCounter().GetValue(), 0)
	})
}
