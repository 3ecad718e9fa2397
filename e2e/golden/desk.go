package main

import (
	"context"
	"errors"
	"slices"
	"sync"

	"ringback/book"
	"ringback/callback"
)

// readModel is the database of one path: what lists would show of its callback.
type readModel struct {
	mu     sync.Mutex
	events []callback.Event
	away   bool
	failed int // writes, while it was away
}

// Project implements activities.ReadModel.
func (m *readModel) Project(_ context.Context, b book.Batch) (book.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		m.failed++
		return book.View{}, book.ErrUnavailable
	}
	for _, e := range b.Events {
		switch have := int64(len(m.events)); {
		case e.Seq <= have:
		case e.Seq == have+1:
			m.events = append(m.events, e)
		default:
			return book.View{}, &book.GapError{Have: have, First: e.Seq}
		}
	}
	state, err := callback.Fold(nil, m.events)
	return book.View{State: state}, err
}

func (m *readModel) timeline() []callback.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

func (m *readModel) version() int64 { return int64(len(m.timeline())) }

// goAway lets every write fail from now on, comeBack no more.
func (m *readModel) goAway() { m.set(func() { m.away, m.failed = true, 0 }) }

func (m *readModel) comeBack() { m.set(func() { m.away = false }) }

// forget loses everything after a version, as a database restored from a back-up has.
func (m *readModel) forget(version int64) { m.set(func() { m.events = m.events[:version] }) }

func (m *readModel) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *readModel) isAway() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away
}

func (m *readModel) failures() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// ledger draws whoever comes first of those who are free.
type ledger struct {
	mu    sync.Mutex
	free  []string
	asked int
}

// Draw implements activities.Ledger.
func (l *ledger) Draw(_ context.Context, r book.DrawRequest) (book.DrawRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if len(l.free) == 0 {
		return book.DrawRecord{}, book.ErrNoneAvailable
	}
	to := l.free[0]
	if to == r.Avoid {
		to = l.free[len(l.free)-1]
	}
	return book.DrawRecord{DrawRequest: r, Candidates: slices.Clone(l.free), To: to}, nil
}

func (l *ledger) set(free ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free, l.asked = free, 0
}

func (l *ledger) asks() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// settle writes an outcome as the API does: what is missing before it is fetched from the workflow.
func (p *play) settle(events []callback.Event) {
	for {
		_, err := p.book.Project(p.ctx, book.Batch{CallbackID: p.id, Events: events})
		var gap *book.GapError
		if !errors.As(err, &gap) {
			p.must(err)
			return
		}
		events = p.news(gap.Have).Events
	}
}
