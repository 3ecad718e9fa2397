package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/store"
)

func TestPoliciesAreKeptByTheirHash(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		p := policy(callback.AssignRandom)
		p.Calendar = &callback.Calendar{TimeZone: "Asia/Kolkata", Hours: map[string][]string{"daily": {"09:00-18:00"}}}
		for range 2 {
			require.NoError(t, s.SavePolicy(t.Context(), "h1", p))
		}
		_, err := s.DB().ExecContext(t.Context(), "INSERT INTO policies SELECT 'h2', policy FROM policies")
		require.NoError(t, err)
		kept, err := s.Policy(t.Context(), "h2")
		require.NoError(t, err)
		require.Equal(t, p, kept)
		kept, err = s.Policy(t.Context(), "h1")
		require.NoError(t, err)
		require.Equal(t, p, kept)
	})
}

func TestTheHashKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		var mu sync.Mutex
		keys := map[string]bool{}
		together(12, func(int) {
			key, err := s.HashKey(t.Context())
			if err != nil || len(key) != 32 {
				t.Errorf("%v: %d bytes", err, len(key))
			}
			mu.Lock()
			defer mu.Unlock()
			keys[string(key)] = true
		})
		require.Len(t, keys, 1)
	})
}

func TestHistoriesAreArchived(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		none, err := s.Histories(t.Context(), "none")
		require.NoError(t, err)
		require.Empty(t, none)

		var lives []*life
		for i := range 4 { // the last one stays open
			l := opened(t, noon)
			if i < 3 {
				l.do(t, after(time.Duration(3-i)*time.Minute), manager("mgr1"), callback.Cancel{})
			}
			keep(t, s, l)
			lives = append(lives, l)
		}
		missing := func(before callback.Instant, limit int) []string {
			ids, err := s.ClosedWithoutHistory(t.Context(), before, limit)
			require.NoError(t, err)
			return ids
		}
		require.Equal(t, []string{lives[2].ID, lives[1].ID, lives[0].ID}, missing(after(time.Hour), 10))
		require.Equal(t, []string{lives[2].ID, lives[1].ID}, missing(after(time.Hour), 2))
		require.Equal(t, []string{lives[2].ID}, missing(after(2*time.Minute), 10))

		last := book.Archived{CallbackID: lives[2].ID, RunID: "run-1", ClosedAt: after(time.Minute), History: []byte{1, 0, 255}}
		first := book.Archived{CallbackID: lives[2].ID, RunID: "run-2", ClosedAt: after(time.Second), History: []byte("{}")}
		require.NoError(t, s.SaveHistory(t.Context(), first))
		require.Contains(t, missing(after(time.Hour), 10), lives[2].ID, "that run was continued as new")
		for range 2 {
			require.NoError(t, s.SaveHistory(t.Context(), last))
		}
		require.NotContains(t, missing(after(time.Hour), 10), lives[2].ID)
		kept, err := s.Histories(t.Context(), lives[2].ID)
		require.NoError(t, err)
		require.Equal(t, []book.Archived{first, last}, kept)
	})
}

func TestPromisesAreCounted(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		empty, err := s.Stats(t.Context(), book.StatsQuery{})
		require.NoError(t, err)
		require.Equal(t, book.Stats{Groups: []book.StatsGroup{}}, empty)

		kept := opened(t, noon)
		kept.do(t, noon, supervisor("sup1"), callback.Claim{})
		kept.do(t, noon, supervisor("sup1"), callback.Start{})
		kept.do(t, after(time.Minute), supervisor("sup1"), callback.Attempt{Disposition: callback.Reached})
		missed := opened(t, after(time.Minute))
		missed.wait(after(time.Minute + time.Hour)) // on time: by people; the manager's is open
		late := opened(t, after(24*time.Hour))
		late.wait(after(26 * time.Hour)) // the system's fault, and open at the manager
		late.wait(after(28 * time.Hour)) // and overdue there
		dropped := opened(t, after(24*time.Hour))
		dropped.do(t, after(24*time.Hour), supervisor("sup1"), callback.Claim{})
		dropped.do(t, after(24*time.Hour), supervisor("sup1"), callback.Escalate{})
		for _, l := range []*life{kept, missed, late, dropped} {
			keep(t, s, l)
		}
		share := func(f float64) *float64 { return &f }
		stats, err := s.Stats(t.Context(), book.StatsQuery{})
		require.NoError(t, err)
		require.Equal(t, book.Stats{
			Open: 4, Overdue: 1, Made: 7, Kept: 1, MissedByPeople: 1, MissedBySystem: 2, Attainment: share(0.25), Groups: []book.StatsGroup{},
		}, stats)
		for by, want := range map[string][]book.StatsGroup{
			"tier": {
				{Key: "manager", Made: 3, MissedBySystem: 1, Attainment: share(0)},
				{Key: "supervisor", Made: 4, Kept: 1, MissedByPeople: 1, MissedBySystem: 1, Attainment: share(1. / 3)},
			},
			"queue": {
				{Key: "Managers", Made: 3, MissedBySystem: 1, Attainment: share(0)},
				{Key: "Supervisors", Made: 4, Kept: 1, MissedByPeople: 1, MissedBySystem: 1, Attainment: share(1. / 3)},
			},
			"policy": {{Key: "supervisor-callback", Made: 7, Kept: 1, MissedByPeople: 1, MissedBySystem: 2, Attainment: share(0.25)}},
			"day": {
				{Key: "2026-11-23", Made: 3, Kept: 1, MissedByPeople: 1, Attainment: share(0.5)},
				{Key: "2026-11-24", Made: 4, MissedBySystem: 2, Attainment: share(0)},
			},
			"hour": {
				{Key: "2026-11-23T12:00Z", Made: 2, Kept: 1, MissedByPeople: 1, Attainment: share(0.5)},
				{Key: "2026-11-23T13:00Z", Made: 1},
				{Key: "2026-11-24T12:00Z", Made: 3, MissedBySystem: 1, Attainment: share(0)},
				{Key: "2026-11-24T14:00Z", Made: 1, MissedBySystem: 1, Attainment: share(0)},
			},
		} {
			stats, err := s.Stats(t.Context(), book.StatsQuery{By: by})
			require.NoError(t, err)
			require.Equal(t, want, stats.Groups, by)
		}
		stats, err = s.Stats(t.Context(), book.StatsQuery{From: after(time.Minute), To: after(24 * time.Hour)})
		require.NoError(t, err)
		require.EqualValues(t, 2, stats.Made, "from is in, to is not")
		_, err = s.Stats(t.Context(), book.StatsQuery{By: "weather"})
		require.Error(t, err)
		unclosed, overdue, err := s.Open(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int64{4, 1}, []int64{unclosed, overdue})
	})
}

func TestAStoppedClockIsSeen(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		quiet, err := s.Watch(t.Context(), after(time.Hour), time.Second)
		require.NoError(t, err)
		require.Equal(t, book.Watch{}, quiet)

		p := policy(callback.AssignPull)
		p.Ladder[0].WarnAt = nil
		closed, held, first, second := openedWith(t, p, noon), openedWith(t, p, noon), openedWith(t, p, noon), openedWith(t, p, after(time.Second))
		closed.do(t, noon, manager("m"), callback.Cancel{})
		held.do(t, noon, supervisor("sup1"), callback.Claim{})
		held.do(t, noon, supervisor("sup1"), callback.HoldClock{Until: after(10 * time.Hour)})
		for _, l := range []*life{closed, held, first, second} {
			keep(t, s, l)
		}
		_, err = s.Begin(t.Context(), book.Begin{Errand: errand(first.ID, "claim")})
		require.NoError(t, err)
		w, err := s.Watch(t.Context(), after(time.Hour+5*time.Second), 5*time.Second)
		require.NoError(t, err)
		require.Equal(t, book.Watch{Open: 3, Errands: 1, OldestErrand: time.Hour + 5*time.Second}, w, "what is no later than grace is not late")
		w, err = s.Watch(t.Context(), after(time.Hour+10*time.Second), 5*time.Second)
		require.NoError(t, err)
		require.Equal(t, book.Watch{Open: 3, Late: 2, Lateness: 10 * time.Second, Errands: 1, OldestErrand: time.Hour + 10*time.Second}, w)
		project(t, s, first, first.wait(after(time.Hour))) // its clock goes: escalated, with an hour more
		project(t, s, second, second.wait(after(2*time.Hour)))
		w, err = s.Watch(t.Context(), after(time.Hour+10*time.Second), 5*time.Second)
		require.NoError(t, err)
		require.Zero(t, w.Late)
	})
}

func TestWhatIsNoLongerNeededIsSwept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		var now atomic.Pointer[callback.Instant]
		now.Store(&noon)
		s := open(t, store.Options{Now: func() time.Time { return now.Load().Time }})
		answered, unanswered := opened(t, noon), opened(t, noon)
		said, unsaid, waiting := note(answered, book.TextNote, "said"), note(answered, book.TextNote, "unsaid"), note(unanswered, book.TextNote, "waiting")
		answered.do(t, noon, supervisor("sup1"), callback.Note{Kind: callback.KindNote, TextID: said.ID})
		a, u := keyed(answered.begin(said, unsaid)), keyed(unanswered.begin(waiting))
		for _, b := range []book.Begin{a, u} {
			_, err := s.Begin(t.Context(), b)
			require.NoError(t, err)
		}
		_, err := s.Settle(t.Context(), a.Errand.ID, answered.all(), render)
		require.NoError(t, err)

		for _, c := range []struct {
			sweep func() (int64, error)
			want  int64
		}{
			{func() (int64, error) { return s.SweepTexts(t.Context(), noon) }, 0},
			{func() (int64, error) { return s.SweepTexts(t.Context(), after(time.Second)) }, 1},
			{func() (int64, error) { return s.SweepTexts(t.Context(), after(time.Second)) }, 0},
			{func() (int64, error) { return s.SweepErrands(t.Context(), noon) }, 0},
			{func() (int64, error) { return s.SweepErrands(t.Context(), after(time.Second)) }, 1},
		} {
			n, err := c.sweep()
			require.NoError(t, err)
			require.Equal(t, c.want, n)
		}
		_, err = s.Errand(t.Context(), u.Errand.ID)
		require.NoError(t, err)
		notes, err := s.Notes(t.Context(), answered.ID)
		require.NoError(t, err)
		require.Equal(t, []book.Text{said}, notes)
		require.Equal(t, 2, count(t, s, "texts"))
	})
}

func TestAMessageThatWasUnderstoodIsSweptAndOneThatWaitsStays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		var now atomic.Pointer[callback.Instant]
		now.Store(&noon)
		s := open(t, store.Options{Now: func() time.Time { return now.Load().Time }})
		for _, id := range []string{"a", "b", "c"} {
			require.NoError(t, s.Keep(t.Context(), book.Message{ID: id, Connector: "mailbox", Received: noon, Reason: "why", Body: []byte("dear all")}))
		}
		require.NoError(t, s.Replayed(t.Context(), "a", noon, ""))
		require.NoError(t, s.Replayed(t.Context(), "b", noon, ""))
		require.NoError(t, s.Replayed(t.Context(), "c", noon, "still not"))
		require.NoError(t, s.Keep(t.Context(), book.Message{ID: "b", Connector: "mailbox", Reason: "again", Body: []byte("dear all")}))
		for want, before := range []callback.Instant{noon, after(time.Second)} {
			swept, err := s.SweepMessages(t.Context(), before)
			require.NoError(t, err)
			require.Equal(t, int64(want), swept)
		}
		all, err := s.Messages(t.Context(), "", true, 10, "")
		require.NoError(t, err)
		require.Len(t, all, 2, "what came again, and was not understood again, waits again")
		require.Equal(t, 2, count(t, s, "inbound_messages"))

		// What a person has seen is not said at once again.
		for at, want := range []int{1, 1, 2} {
			then := after(time.Duration(at)*12*time.Hour + time.Minute)
			if at == 0 {
				require.NoError(t, s.Replayed(t.Context(), "b", noon, ""))
			}
			now.Store(&then)
			require.NoError(t, s.Keep(t.Context(), book.Message{ID: "b", Connector: "mailbox", Reason: "again"}))
			all, err = s.Messages(t.Context(), "", true, 10, "")
			require.NoError(t, err)
			require.Len(t, all, want)
		}
	})
}

func TestR21_WhoNoLongerWaitsForADrawIsForgotten(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		claimed, waiting, ended := opened(t, noon), opened(t, noon), opened(t, noon)
		for i, l := range []*life{claimed, waiting, ended} {
			keep(t, s, l)
			_, err := s.Draw(t.Context(), book.DrawRequest{
				ID: string(rune('a' + i)), CallbackID: l.ID, Version: 3, Queue: "Supervisors", Tier: "supervisor", Method: callback.AssignRandom, At: noon,
			})
			require.ErrorIs(t, err, book.ErrNoneAvailable)
		}
		require.Equal(t, 3, count(t, s, "draw_waits"))
		project(t, s, claimed, claimed.do(t, noon, supervisor("sup1"), callback.Claim{}))
		project(t, s, ended, ended.do(t, noon, manager("mgr1"), callback.Cancel{}))
		swept, err := s.SweepDrawWaits(t.Context())
		require.NoError(t, err)
		require.Equal(t, int64(2), swept)
		ids, err := s.DrawWaits(t.Context(), []string{"Supervisors"})
		require.NoError(t, err)
		require.Equal(t, []string{waiting.ID}, ids)
	})
}

func TestWhatAConnectorNeedNotRememberIsForgotten(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		var now atomic.Pointer[callback.Instant]
		now.Store(&noon)
		s := open(t, store.Options{Now: func() time.Time { return now.Load().Time }})
		day := 24 * time.Hour
		named := func(i *book.Intake) { i.CallbackID = uuid.NewString() }
		stays, lately, long := opened(t, noon, named), opened(t, noon, named), opened(t, noon, named)
		long.do(t, after(time.Minute), manager("mgr1"), callback.Cancel{})
		lately.do(t, after(60*day), manager("mgr1"), callback.Cancel{})
		for _, l := range []*life{stays, lately, long} {
			keep(t, s, l)
			require.NoError(t, s.Remember(t.Context(), "mailbox", "case:"+l.ID, "ref"))
			require.NoError(t, s.Remember(t.Context(), "mailbox", "mail:"+l.ID[:8], `{"callback":"`+l.ID+`"}`))
		}
		for _, key := range []string{"mail:none", "folder:1", "mail", "mail;", "mbil:1"} {
			require.NoError(t, s.Remember(t.Context(), "mailbox", key, "v"))
		}
		require.NoError(t, s.Remember(t.Context(), "another", "mail:none", "v"))
		fresh := after(60 * day)
		now.Store(&fresh)
		require.NoError(t, s.Remember(t.Context(), "mailbox", "mail:fresh", "v"))

		forget := func(prefix string, at callback.Instant) int64 {
			n, err := s.SweepMemory(t.Context(), book.Term{Connector: "mailbox", Prefix: prefix, Lasts: callback.Duration(30 * day)}, at)
			require.NoError(t, err)
			return n
		}
		require.Zero(t, forget("mail:", after(29*day)))
		require.Equal(t, int64(2), forget("mail:", after(61*day)), "that of nobody, and of who was closed long ago")
		require.Equal(t, int64(1), forget("case:", after(61*day)))
		require.Equal(t, int64(1), forget("case:", after(91*day)), "and the other, a month after it was closed")
		require.Zero(t, forget("case:", after(400*day)), "one that is open is never forgotten")
		require.Equal(t, 9, count(t, s, "connector_memory"))

		// In pages, of which some hold nothing to forget.
		for i := range 2500 {
			value := "v"
			if i < 1100 {
				value = stays.ID
			}
			_, err := s.DB().ExecContext(t.Context(), fmt.Sprintf(
				"INSERT INTO connector_memory SELECT 'mailbox', 'told:%04d', '%s', updated_at FROM connector_memory WHERE key = 'folder:1'", i, value))
			require.NoError(t, err)
		}
		require.Equal(t, int64(1400), forget("told:", after(61*day)))
	})
}

func TestAMemoryIsReplacedByWhoKnowsIt(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		done, err := s.Replace(t.Context(), "c", "k", "", "one")
		require.NoError(t, err)
		require.False(t, done, "there is nothing to replace")
		require.NoError(t, s.Remember(t.Context(), "c", "k", "0"))
		var won atomic.Int64
		together(12, func(n int) {
			done, err := s.Replace(t.Context(), "c", "k", "0", fmt.Sprint(n+1))
			if err != nil {
				t.Error(err)
			}
			if done {
				won.Add(1)
			}
		})
		require.Equal(t, int64(1), won.Load())
	})
}
