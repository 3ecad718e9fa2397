package backlog

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/connectors"
	"ringback/connectors/connectortest"
)

func TestItIsWorkedOffInOrderAndLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, memory := context.Background(), connectortest.NewMemory()
	clock := connectortest.NewClock()
	b := New(memory, "c", "list", clock.Now)
	for _, v := range []string{"a", "b c", ""} {
		require.NoError(t, b.Add(ctx, v))
	}
	// Another process finds the end by looking.
	require.NoError(t, New(memory, "c", "list", clock.Now).Add(ctx, "d"))

	var done []string
	for {
		some, err := b.Once(ctx, func(_ context.Context, i Item) error {
			require.Equal(t, connectortest.Monday, i.Added.UTC())
			done = append(done, i.Value)
			return nil
		})
		require.NoError(t, err)
		if !some {
			break
		}
	}
	require.Equal(t, []string{"a", "b c", "", "d"}, done)
	require.Equal(t, 1, memory.Keys("c", ""), "the head alone is left")
}

func TestWhatFailsGoesToTheEndAndIsNotLost(t *testing.T) {
	t.Parallel()
	ctx, memory := context.Background(), connectortest.NewMemory()
	clock := connectortest.NewClock()
	b := New(memory, "c", "list", clock.Now)
	require.NoError(t, b.Add(ctx, "poison"))
	require.NoError(t, b.Add(ctx, "good"))
	var done []Item
	handle := func(_ context.Context, i Item) error {
		done = append(done, i)
		if i.Value == "poison" && i.Tries < 2 {
			return errors.New("not yet")
		}
		return nil
	}
	clock.Advance(time.Hour)
	for i := range 4 {
		some, err := b.Once(ctx, handle)
		require.True(t, some)
		require.Equal(t, i == 0 || i == 2, err != nil)
	}
	require.Equal(t, "good", done[1].Value)
	require.Equal(t, 2, done[3].Tries)
	require.Equal(t, connectortest.Monday, done[3].Added.UTC(), "its age is that of the first time")
	some, err := b.Once(ctx, handle)
	require.NoError(t, err)
	require.False(t, some)
}

func TestManyAddWhileOneWorksItOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	memory, now := connectortest.NewMemory(), connectortest.NewClock().Now
	const processes, each = 8, 50
	var adding sync.WaitGroup
	for p := range processes {
		adding.Go(func() {
			b := New(memory, "c", "list", now)
			for i := range each {
				require.NoError(t, b.Add(ctx, strconv.Itoa(p*each+i)))
			}
		})
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	worker := New(memory, "c", "list", now)
	for len(seen) < processes*each && ctx.Err() == nil {
		_, err := worker.Once(ctx, func(_ context.Context, i Item) error {
			mu.Lock()
			defer mu.Unlock()
			seen[i.Value] = true
			return nil
		})
		require.NoError(t, err)
	}
	adding.Wait()
	require.Len(t, seen, processes*each)
}

func TestWorkPausesAfterFailuresAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	memory := connectortest.NewMemory()
	b := New(memory, "c", "list", connectortest.NewClock().Now)
	var failures []error
	heard := make(chan string, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- b.Work(ctx, func(_ context.Context, i Item) error {
			heard <- i.Value
			if i.Tries == 0 && i.Value == "first" {
				return &connectors.Owed{Code: connectors.RateLimited, RetryAfter: time.Millisecond}
			}
			return nil
		}, func(err error) { failures = append(failures, err) })
	}()
	require.NoError(t, b.Add(ctx, "first"))
	require.NoError(t, b.Add(ctx, "second"))
	order := []string{<-heard, <-heard, <-heard}
	require.Equal(t, "first", order[0])
	slices.Sort(order)
	require.Equal(t, []string{"first", "first", "second"}, order)
	cancel()
	require.NoError(t, <-ended)
	require.Len(t, failures, 1)
}

func TestAMemoryThatIsAwayIsAnError(t *testing.T) {
	t.Parallel()
	ctx, memory := context.Background(), connectortest.NewMemory()
	b := New(memory, "c", "list", connectortest.NewClock().Now)
	require.NoError(t, b.Add(ctx, "a"))
	away := errors.New("away")
	memory.Fail(away)
	require.ErrorIs(t, b.Add(ctx, "b"), away)
	_, err := b.Once(ctx, func(context.Context, Item) error { return nil })
	require.ErrorIs(t, err, away)
	memory.Fail(nil)
	require.NoError(t, memory.Remember(ctx, "c", "list:head", "x"))
	_, err = b.Once(ctx, func(context.Context, Item) error { return nil })
	require.ErrorContains(t, err, "cannot be read")
}

func TestARoundSeesEverythingOnceAndKeepsWhatStays(t *testing.T) {
	t.Parallel()
	ctx, memory := context.Background(), connectortest.NewMemory()
	b := New(memory, "c", "list", connectortest.NewClock().Now)
	for i := range 5 {
		require.NoError(t, b.Add(ctx, strconv.Itoa(i)))
	}
	var seen []string
	visit := func(_ context.Context, v string) (bool, error) {
		seen = append(seen, v)
		return v != "3", nil
	}
	require.NoError(t, b.Round(ctx, visit))
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, seen)
	seen = nil
	require.NoError(t, b.Round(ctx, visit))
	require.Equal(t, []string{"0", "1", "2", "4"}, seen)
	seen = nil
	broken := errors.New("broken")
	require.ErrorIs(t, b.Round(ctx, func(_ context.Context, v string) (bool, error) {
		seen = append(seen, v)
		if v == "1" {
			return false, broken
		}
		return true, nil
	}), broken)
	require.Equal(t, []string{"0", "1"}, seen)
	seen = nil
	require.NoError(t, b.Round(ctx, visit))
	require.ElementsMatch(t, []string{"0", "1", "2", "4"}, seen, "what failed stays")
	require.NoError(t, New(memory, "c", "empty", connectortest.NewClock().Now).Round(ctx, visit))
}
