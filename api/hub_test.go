package api

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/book"
)

// outagesBook says which outages go on, and counts how often it is asked.
type outagesBook struct {
	Book
	active []book.Outage
	asked  int
}

func (b *outagesBook) ActiveOutages(context.Context) ([]book.Outage, error) {
	b.asked++
	return b.active, nil
}

func TestR23_OutagesAreReadOnlyWhileAReaderAsksForThem(t *testing.T) {
	t.Parallel()
	b := &outagesBook{}
	h := newHub(b, slog.New(slog.DiscardHandler), 10)
	plain, asks := &subscription{}, &subscription{outages: true}
	look := func(want int) {
		h.lookAtOutages(t.Context())
		require.Equal(t, want, b.asked)
	}
	look(0)
	h.enter(plain)
	look(0)
	h.enter(asks)
	look(1)
	require.Contains(t, (<-asks.changes).outages, `"active": []`)
	look(2)
	require.Empty(t, asks.changes, "nothing has changed")
	h.leave(asks)
	look(2)

	// Whoever comes next was told something else when they came.
	h.enter(asks)
	look(3)
	require.Contains(t, (<-asks.changes).outages, `"active": []`)
	require.Empty(t, plain.changes)
}
