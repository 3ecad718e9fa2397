package activities_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"ringback/activities"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// signals is an engine that takes signals.
type signals struct {
	mu   sync.Mutex
	told map[string]int
	fail map[string]error // once each, by workflow id
}

func (s *signals) SignalWorkflow(_ context.Context, id, _, _ string, arg any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail[id]; err != nil {
		delete(s.fail, id)
		return err
	}
	if news, is := arg.(callback.OutageNews); !is || news != (callback.OutageNews{Outage: "o1", By: "mgr1"}) {
		return fmt.Errorf("told something else: %v", arg)
	}
	s.told[id]++
	return nil
}

func (s *signals) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.told)
}

// affected is a book with callbacks that are told of an outage.
type affected struct {
	mu     sync.Mutex
	ids    []string // in order
	linked map[string]bool
	ended  callback.Instant
	looked []string // after which callbacks
}

func newAffected(n int, linked bool) *affected {
	a := &affected{linked: map[string]bool{}}
	for i := range n {
		id := fmt.Sprintf("c%04d", i)
		a.ids = append(a.ids, id)
		a.linked[id] = linked
	}
	return a
}

func (a *affected) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *affected) Outage(context.Context, string) (book.Outage, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return book.Outage{ID: "o1", EndedAt: a.ended}, nil
}

func (a *affected) page(after string, limit int, linked bool) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looked = append(a.looked, after)
	var page []string
	for _, id := range a.ids {
		if id > after && a.linked[id] == linked && len(page) < limit {
			page = append(page, id)
		}
	}
	return page
}

func (a *affected) Affected(_ context.Context, _ book.Outage, after string, limit int) ([]string, error) {
	return a.page(after, limit, false), nil
}

func (a *affected) Linked(_ context.Context, _, after string, limit int) ([]string, error) {
	return a.page(after, limit, true), nil
}

func (a *affected) EndOutage(_ context.Context, _, _ string, at callback.Instant) error {
	a.set(func() { a.ended = at })
	return nil
}

func newEnvironment() *testsuite.TestActivityEnvironment {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	return suite.NewTestActivityEnvironment()
}

var telling = contract.OutageTelling{ID: "o1", By: "mgr1"}

func TestR23_EverybodyIsToldOnceAndNewOnesToo(t *testing.T) {
	t.Parallel()
	s := &signals{told: map[string]int{}, fail: map[string]error{"callback/c0007": serviceerror.NewNotFound("it has ended")}}
	a := newAffected(951, false)
	o := &activities.Outages{Book: a, Engine: s, Look: time.Millisecond}
	env := newEnvironment()
	env.RegisterActivity(o)
	done := make(chan error, 1)
	go func() {
		_, err := env.ExecuteActivity(o.TellBeginning, telling)
		done <- err
	}()
	require.Eventually(t, func() bool { return s.count() == 950 }, 30*time.Second, time.Millisecond)
	a.set(func() { a.ids = append(a.ids, "c9999") })
	require.Eventually(t, func() bool { return s.count() == 951 }, 30*time.Second, time.Millisecond, "one that comes later")
	require.NoError(t, o.NoteEnd(t.Context(), contract.OutageInput{ID: "o1", Ended: &contract.OutageEnd{By: "mgr1", At: callback.At(time.Now())}}))
	require.NoError(t, <-done)
	for id, n := range s.told {
		require.Equal(t, 1, n, id)
	}
}

func TestR23_EverybodyIsToldThatItIsOver(t *testing.T) {
	t.Parallel()
	s := &signals{told: map[string]int{}}
	a := newAffected(450, true)
	a.ended = noon // long ago
	o := &activities.Outages{Book: a, Engine: s, Look: time.Millisecond}
	env := newEnvironment()
	env.RegisterActivity(o)
	done := make(chan error, 1)
	go func() {
		_, err := env.ExecuteActivity(o.TellEnd, telling)
		done <- err
	}()
	require.Eventually(t, func() bool { return s.count() == 450 }, 30*time.Second, time.Millisecond)
	a.set(func() { clear(a.linked) })
	require.NoError(t, <-done)
	for id, n := range s.told {
		require.Equal(t, 1, n, id)
	}
	require.Error(t, o.NoteEnd(t.Context(), contract.OutageInput{ID: "o1"}), "it has not ended")
}

func TestR23_ATellingThatDiedIsTakenUpWhereItWas(t *testing.T) {
	t.Parallel()
	s := &signals{told: map[string]int{}, fail: map[string]error{"callback/c0150": errors.New("the engine is busy")}}
	a := newAffected(300, true)
	a.ended = noon
	o := &activities.Outages{Book: a, Engine: s, Look: time.Millisecond}
	env := newEnvironment()
	env.RegisterActivity(o)
	var mu sync.Mutex
	last := ""
	env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
		mu.Lock()
		defer mu.Unlock()
		if err := details.Get(&last); err != nil {
			t.Error(err)
		}
	})
	_, err := env.ExecuteActivity(o.TellEnd, telling)
	require.ErrorContains(t, err, "the engine is busy")
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, "c0099", last, "the last batch that was told")

	again := newEnvironment()
	again.RegisterActivity(o)
	again.SetHeartbeatDetails(last)
	a.looked = nil
	s.told = map[string]int{}
	done := make(chan error, 1)
	go func() {
		_, err := again.ExecuteActivity(o.TellEnd, telling)
		done <- err
	}()
	require.Eventually(t, func() bool { return s.count() == 300 }, 30*time.Second, time.Millisecond, "those before it once more: they are still linked")
	a.set(func() {
		require.Equal(t, []string{"c0099", "c0199"}, a.looked[:2])
		clear(a.linked)
	})
	require.NoError(t, <-done)
}

// A try that goes on behind those whom it had told, and finds nobody there, has
// not seen who of them is linked still.
func TestR23_OnlyAPassOverEverybodyShowsThatNobodyIsLinked(t *testing.T) {
	t.Parallel()
	s := &signals{told: map[string]int{}}
	a := newAffected(5, true)
	a.ended = noon // long ago
	o := &activities.Outages{Book: a, Engine: s, Look: time.Millisecond}
	env := newEnvironment()
	env.RegisterActivity(o)
	env.SetHeartbeatDetails("c0004")
	done := make(chan error, 1)
	go func() {
		_, err := env.ExecuteActivity(o.TellEnd, telling)
		done <- err
	}()
	require.Eventually(t, func() bool { return s.count() == 5 || len(done) > 0 }, 30*time.Second, time.Millisecond)
	require.Equal(t, 5, s.count())
	a.set(func() { clear(a.linked) })
	require.NoError(t, <-done)
}
