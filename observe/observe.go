// Package observe sets up what a process says of itself: logs, metrics and
// traces. None of it ever carries anything personal (R26).
package observe

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	temporaltracing "go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
)

// Logger writes JSON lines from a level on.
func Logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// Registry is where a process's metrics are gathered, with those of the Go
// runtime already in it.
func Registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Tracing sends traces to an OTLP/HTTP endpoint ("http://127.0.0.1:4318") and
// returns what Temporal's client needs to take part, and a function that sends
// what is left. With an empty endpoint nothing is traced and both are inert.
//
// API, workflows and activities, and the SQL below them, share one trace: what
// crosses Temporal is the trace's id, no baggage.
func Tracing(ctx context.Context, endpoint, service string) ([]interceptor.ClientInterceptor, func(context.Context) error, error) {
	if endpoint == "" {
		return nil, func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, nil, fmt.Errorf("traces to %s: %w", endpoint, err)
	}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(exporter),
		trace.WithResource(resource.NewSchemaless(semconv.ServiceName(service))),
	)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	tracing, err := temporaltracing.NewTracingInterceptor(temporaltracing.TracerOptions{
		Tracer: provider.Tracer("ringback"), DisableBaggage: true,
		// A callback may be older than the way it was traced.
		AllowInvalidParentSpans: true,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("tracing Temporal: %w", err)
	}
	return []interceptor.ClientInterceptor{tracing}, provider.Shutdown, nil
}
