package main

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	"ringback/engine"
)

// mortal is a worker that can end as a process does that is killed.
type mortal struct {
	play   *play
	client client.Client
	worker sdkworker.Worker
	doomed atomic.Bool
	// taken hears of a task that was worked on and will never be answered.
	taken chan struct{}
}

func (p *play) startMortalWorker() *mortal {
	m := &mortal{play: p, taken: make(chan struct{}, 1)}
	var err error
	m.client, err = engine.Dial(p.ctx, engine.Config{
		Address: p.address, Identity: identity, Logger: slog.New(slog.DiscardHandler),
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(m.intercept)},
	})
	p.must(err)
	m.worker = p.startWorkerOn(m.client)
	return m
}

// intercept sends nothing more once the worker is doomed.
func (m *mortal) intercept(
	ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, send grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if !m.doomed.Load() {
		return send(ctx, method, request, answer, conn, options...)
	}
	if strings.HasSuffix(method, "/RespondWorkflowTaskCompleted") {
		select {
		case m.taken <- struct{}{}:
		default:
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// takeTask waits until the worker has taken a task, which it will not answer.
func (m *mortal) takeTask() {
	m.doomed.Store(true)
	select {
	case <-m.taken:
	case <-m.play.ctx.Done():
		m.play.must(m.play.ctx.Err())
	}
}

// kill cuts the worker off without a word.
func (m *mortal) kill() {
	m.doomed.Store(true)
	m.client.Close()
	go m.worker.Stop() // it gives up on its own, in its time
}
