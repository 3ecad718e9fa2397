package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/e2e/harness/pg"
	"ringback/store"
)

// durable is a PostgreSQL that waits for the disk at every commit.
func durable(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	server := pg.Start(t, pg.Durable())
	s, err := store.OpenPostgres(t.Context(), server.Database(t), o)
	require.NoError(t, err)
	return migrated(t, s)
}

func benchmarks(b *testing.B, f func(b *testing.B, s *store.Store)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) { f(b, openSQLite(b, store.Options{})) })
	b.Run("postgres", func(b *testing.B) { f(b, durable(b, store.Options{})) })
	b.Run("postgres-nosync", func(b *testing.B) { f(b, openPostgres(b, store.Options{})) })
}

var answer = &book.Answer{Status: 200, ETag: `"1"`, Body: make([]byte, 1200)}

func render(book.View) (*book.Answer, error) { return answer, nil }

// BenchmarkCreate is the errand of a create with a key, from Begin to Settle.
func BenchmarkCreate(b *testing.B) {
	benchmarks(b, func(b *testing.B, s *store.Store) {
		for b.Loop() {
			l := opened(b, noon)
			begin := keyed(l.begin())
			_, err := s.Begin(context.Background(), begin)
			require.NoError(b, err)
			_, err = s.Settle(context.Background(), begin.Errand.ID, l.all(), render)
			require.NoError(b, err)
		}
	})
}

// BenchmarkCommand is the errand of a claim, and of a release, with a key.
func BenchmarkCommand(b *testing.B) {
	benchmarks(b, func(b *testing.B, s *store.Store) {
		l := opened(b, noon)
		keep(b, s, l)
		for n := 0; b.Loop(); n++ {
			var c callback.Command = callback.Claim{}
			if n%2 == 1 {
				c = callback.Release{}
			}
			command(b, s, l, c)
		}
	})
}

// BenchmarkCommandParallel is the same by many at once, each on a callback of its own.
func BenchmarkCommandParallel(b *testing.B) {
	benchmarks(b, func(b *testing.B, s *store.Store) {
		b.SetParallelism(8)
		b.RunParallel(func(p *testing.PB) {
			l := opened(b, noon)
			keep(b, s, l)
			for n := 0; p.Next(); n++ {
				var c callback.Command = callback.Claim{}
				if n%2 == 1 {
					c = callback.Release{}
				}
				command(b, s, l, c)
			}
		})
	})
}

func command(b *testing.B, s *store.Store, l *life, c callback.Command) {
	b.Helper()
	e := errand(l.ID, string(c.Name()))
	e.Key = "key of " + e.ID
	_, err := s.Begin(context.Background(), book.Begin{Errand: e})
	require.NoError(b, err)
	events := l.do(b, after(time.Second), supervisor("sup1"), c)
	_, err = s.Settle(context.Background(), e.ID, l.batch(events), render)
	require.NoError(b, err)
}

// BenchmarkList is a page of 50 of 2,000 open callbacks in one queue.
func BenchmarkList(b *testing.B) {
	benchmarks(b, func(b *testing.B, s *store.Store) {
		for range 2000 {
			keep(b, s, opened(b, noon))
		}
		b.ResetTimer()
		for b.Loop() {
			page, err := s.List(context.Background(), book.Filter{
				Status: []callback.Status{callback.StatusQueued}, Queue: []string{"Supervisors"},
			}, book.SortDueAt, 50, "")
			require.NoError(b, err)
			require.Len(b, page.Items, 50)
		}
	})
}
