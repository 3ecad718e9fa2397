package main

import (
	"context"
	"log/slog"
	"sync"

	sdkworker "go.temporal.io/sdk/worker"

	"ringback/activities"
	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/worker"
)

// system is another system that a path's callback is brought to.
type system struct {
	play   *play
	name   string
	worker sdkworker.Worker

	mu   sync.Mutex
	got  []int64
	owed map[int64]connectors.OwedCode // by event; under 0: everything
	// block, if set, is waited for in every delivery; entered hears of one.
	block   chan struct{}
	entered chan struct{}
	states  map[string]book.DeliveryState
}

func (s *system) start() {
	s.worker = worker.Deliveries(s.play.engine, s.play.queue, activities.NewDelivery(activities.DeliveryOptions{
		Connector: s, Shown: s.play.book, Ledger: s, Logger: slog.New(slog.DiscardHandler),
	}), worker.DeliveryRate{})
	s.play.must(s.worker.Start())
}

func (s *system) stop() {
	if s.worker != nil {
		s.worker.Stop()
		s.worker = nil
	}
}

// refuses lets an event be owed for a reason from now on; 0: every event. Empty: it is taken again.
func (s *system) refuses(seq int64, code connectors.OwedCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owed == nil {
		s.owed = map[int64]connectors.OwedCode{}
	}
	s.owed[seq] = code
}

// holds lets every delivery wait from now on until the returned function is called.
func (s *system) holds() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block, s.entered = make(chan struct{}), make(chan struct{}, 100)
	block := s.block
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.block = nil
		close(block)
	}
}

func (s *system) has() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int64(nil), s.got...)
}

// Name implements connectors.Connector.
func (s *system) Name() string { return s.name }

// Wants implements connectors.Connector.
func (s *system) Wants(book.Intake, *callback.Policy) bool { return true }

// Types implements connectors.Connector.
func (s *system) Types() []callback.EventType { return nil }

// Deliver implements connectors.Connector.
func (s *system) Deliver(ctx context.Context, d connectors.Delivery) error {
	s.mu.Lock()
	code := s.owed[d.Event.Seq]
	if code == "" {
		code = s.owed[0]
	}
	block, entered := s.block, s.entered
	s.mu.Unlock()
	if block != nil {
		entered <- struct{}{}
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if code != "" {
		return &connectors.Owed{Code: code, Detail: "as the path wants it"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, d.Event.Seq)
	return nil
}

// States implements activities.Deliveries.
func (s *system) States(_ context.Context, ids []string) (map[string]book.DeliveryState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]book.DeliveryState{}
	for _, id := range ids {
		if state, known := s.states[id]; known {
			found[id] = state
		}
	}
	return found, nil
}

// NoteDelivery implements activities.Deliveries.
func (s *system) NoteDelivery(_ context.Context, d book.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states == nil {
		s.states = map[string]book.DeliveryState{}
	}
	s.states[d.OperationID] = d.State
	return nil
}

// What deliveries are made from: the read model of the path implements activities.Shown.

// Callback implements activities.Shown.
func (m *readModel) Callback(context.Context, string) (book.View, error) {
	events := m.timeline()
	if len(events) == 0 {
		return book.View{}, book.ErrNotFound
	}
	state, err := callback.Fold(nil, events)
	return book.View{State: state}, err
}

// Timeline implements activities.Shown.
func (m *readModel) Timeline(context.Context, string) ([]book.Entry, error) {
	events := m.timeline()
	entries := make([]book.Entry, len(events))
	for i, e := range events {
		entries[i].Event = e
	}
	return entries, nil
}

// Text implements activities.Shown.
func (m *readModel) Text(context.Context, string, string) (book.Text, error) {
	return book.Text{}, book.ErrNotFound
}

// Policy implements activities.Shown.
func (m *readModel) Policy(context.Context, string) (*callback.Policy, error) {
	return nil, book.ErrNotFound
}

// Staff implements activities.Shown.
func (m *readModel) Staff(context.Context) ([]book.Staff, error) { return nil, nil }

// Outage implements activities.Shown.
func (m *readModel) Outage(context.Context, string) (book.Outage, error) {
	return book.Outage{}, book.ErrNotFound
}
