package store_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/e2e/harness/pg"
	"ringback/store"
)

// follower reads the feed as a stream does: always after the last number it has seen.
type follower struct {
	last int64
	seen map[string][]int64 // versions, by callback
}

func (f *follower) read(t testing.TB, s *store.Store) {
	t.Helper()
	for {
		items, err := s.Feed(context.Background(), f.last, 7)
		require.NoError(t, err)
		if len(items) == 0 {
			return
		}
		for _, i := range items {
			require.Greater(t, i.Seq, f.last)
			f.last = i.Seq
			f.seen[i.State.ID] = append(f.seen[i.State.ID], i.State.Version)
		}
	}
}

// One transaction has done all its work and stands still before its commit
// while another one, begun later, commits.
func TestNobodyMissesADelayedTransaction(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		delayed, quick := opened(t, noon), opened(t, noon)
		f := follower{seen: map[string][]int64{}}
		stands, goOn := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		s.BeforeCommit(func(op string) {
			if op == "project" && first.CompareAndSwap(false, true) {
				close(stands)
				<-goOn
			}
		})
		done := make(chan error, 2)
		go func() {
			_, err := s.Project(context.Background(), delayed.all())
			done <- err
		}()
		<-stands
		f.read(t, s)
		require.Empty(t, f.seen)
		go func() {
			_, err := s.Project(context.Background(), quick.all())
			done <- err
		}()
		if s.IsPostgres() { // an SQLite file has one writer: it waits
			require.NoError(t, <-done, "one transaction that stands still keeps another waiting")
			f.read(t, s)
			require.Equal(t, map[string][]int64{quick.ID: {quick.Version}}, f.seen)
		}
		close(goOn)
		for n := cap(done); n > len(f.seen); n-- {
			require.NoError(t, <-done)
		}
		f.read(t, s)
		require.Equal(t, map[string][]int64{quick.ID: {quick.Version}, delayed.ID: {delayed.Version}}, f.seen)
	})
}

func TestAFollowerSeesEveryChangeOnceAndInOrder(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		s.BeforeCommit(func(string) { runtime.Gosched() })
		var lives []*life
		for range 8 {
			lives = append(lives, lived(t))
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			together(len(lives), func(i int) {
				for _, e := range lives[i].events {
					if _, err := s.Project(context.Background(), lives[i].batch([]callback.Event{e})); err != nil {
						t.Error(err)
					}
				}
			})
		}()
		f := follower{seen: map[string][]int64{}}
		for over := false; !over; {
			select {
			case <-written:
				over = true
			default:
			}
			f.read(t, s)
		}
		for _, l := range lives {
			require.Len(t, f.seen[l.ID], len(l.events))
			for i, version := range f.seen[l.ID] {
				require.EqualValues(t, i+1, version)
			}
		}
	})
}

func TestTheFeedShowsWhatWasThen(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		oldest, newest, err := s.FeedBounds(t.Context())
		require.NoError(t, err)
		require.Zero(t, oldest+newest)

		l := opened(t, noon)
		keep(t, s, l)
		queued := l.Clone()
		project(t, s, l, l.do(t, after(time.Minute), supervisor("sup1"), callback.Claim{}))
		project(t, s, l, l.events) // nothing new
		items, err := s.Feed(t.Context(), 0, 10)
		require.NoError(t, err)
		require.Len(t, items, 2)
		requireState(t, queued, items[0].State)
		requireState(t, l.Callback, items[1].State)
		oldest, newest, err = s.FeedBounds(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int64{items[0].Seq, items[1].Seq}, []int64{oldest, newest})
		items, err = s.Feed(t.Context(), oldest, 1)
		require.NoError(t, err)
		require.Equal(t, newest, items[0].Seq)
	})
}

func TestTheFeedIsTrimmedFromItsBeginning(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		var minute atomic.Int64
		s := open(t, store.Options{Now: func() time.Time { return noon.Add(time.Duration(minute.Load()) * time.Minute) }})
		for range 6 {
			keep(t, s, opened(t, noon))
			minute.Add(1)
		}
		bounds := func() [2]int64 {
			oldest, newest, err := s.FeedBounds(t.Context())
			require.NoError(t, err)
			return [2]int64{oldest, newest}
		}
		require.Equal(t, [2]int64{1, 6}, bounds())
		minute.Store(1) // a clock that goes back leaves no hole
		keep(t, s, opened(t, noon))
		require.NoError(t, s.TrimFeed(t.Context(), after(2*time.Minute)))
		require.Equal(t, [2]int64{3, 7}, bounds())
		require.NoError(t, s.TrimFeed(t.Context(), after(time.Hour)))
		require.Equal(t, [2]int64{7, 7}, bounds(), "the newest stays: a stream goes on after it")
		keep(t, s, opened(t, noon))
		require.Equal(t, [2]int64{7, 8}, bounds())
	})
}

func TestSubscribersAreCalled(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		called := make(chan struct{}, 1000)
		cancel := s.Subscribe(func() { called <- struct{}{} })
		l := opened(t, noon)
		f := follower{seen: map[string][]int64{}}
		keep(t, s, l)
		for len(f.seen) == 0 {
			<-called
			f.read(t, s)
		}
		cancel()
		cancel()
	})
}

func TestSubscribersHearOfOtherProcesses(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	one, err := store.OpenPostgres(t.Context(), dsn, patient(store.Options{}))
	require.NoError(t, err)
	migrated(t, one)
	other, err := store.OpenPostgres(t.Context(), dsn, patient(store.Options{}))
	require.NoError(t, err)
	migrated(t, other)

	called := make(chan struct{}, 1000)
	defer one.Subscribe(func() { called <- struct{}{} })()
	<-called // it listens
	f := follower{seen: map[string][]int64{}}
	hear := func() {
		l := opened(t, noon)
		keep(t, other, l)
		for f.seen[l.ID] == nil {
			select {
			case <-called:
			case <-time.After(30 * time.Second):
				require.FailNow(t, "nobody said anything")
			}
			f.read(t, one)
		}
	}
	hear()
	// The connection that listens is cut, and comes back.
	_, err = other.DB().ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	require.NoError(t, err)
	hear()
}

func TestWhatAProcessLeftUnnumberedIsNumberedByTheNextReader(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{})
	keep(t, s, opened(t, noon))
	f := follower{seen: map[string][]int64{}}
	f.read(t, s)
	_, err := s.DB().ExecContext(t.Context(), `INSERT INTO feed (callback_id, version, state, at) SELECT 'cb-x', 1, '{"id":"cb-x","version":1}', now()`)
	require.NoError(t, err)
	f.read(t, s)
	require.Equal(t, []int64{1}, f.seen["cb-x"])
	oldest, newest, err := s.FeedBounds(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2}, []int64{oldest, newest})
}
