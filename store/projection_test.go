package store_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/store"
)

// lived is a callback with some twenty events.
func lived(t testing.TB) *life {
	t.Helper()
	l := opened(t, noon)
	sup, mgr := supervisor("sup1"), manager("mgr1")
	l.do(t, after(time.Minute), sup, callback.Claim{})
	l.do(t, after(2*time.Minute), sup, callback.Start{})
	l.do(t, after(3*time.Minute), sup, callback.Attempt{Disposition: callback.NoAnswer})
	l.do(t, after(4*time.Minute), sup, callback.HoldClock{Until: after(10 * time.Minute)})
	l.wait(after(11 * time.Minute))
	l.wait(after(50 * time.Minute))
	l.wait(after(2 * time.Hour)) // escalates
	l.wait(after(4 * time.Hour)) // breaches
	l.do(t, after(5*time.Hour), mgr, callback.Claim{})
	l.do(t, after(5*time.Hour), mgr, callback.Start{})
	l.do(t, after(6*time.Hour), mgr, callback.Attempt{Disposition: callback.Reached})
	l.do(t, after(7*time.Hour), mgr, callback.Complete{Reason: "resolved", SummaryID: newID("text")})
	require.Greater(t, len(l.events), 15)
	return l
}

func TestProjectingIsIdempotent(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := lived(t)
		for range 2 {
			for i := range l.events { // one more at a time, from the first
				v := project(t, s, l, l.events[:i+1])
				if i+1 == len(l.events) {
					requireState(t, l.Callback, v.State)
				}
			}
		}
		requireGapless(t, s, l)
	})
}

// requireGapless compares what is shown of a callback with its events.
func requireGapless(t testing.TB, s *store.Store, l *life) {
	t.Helper()
	v, err := s.Callback(t.Context(), l.ID)
	require.NoError(t, err)
	requireState(t, l.Callback, v.State)
	entries, err := s.Timeline(t.Context(), l.ID)
	require.NoError(t, err)
	require.Len(t, entries, len(l.events))
	for i, e := range entries {
		require.EqualValues(t, i+1, e.Seq)
		require.Equal(t, l.events[i], e.Event)
	}
}

func TestABatchThatLeavesAGapIsRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := lived(t)
		refused := func(b book.Batch, have, first int64) {
			t.Helper()
			_, err := s.Project(t.Context(), b)
			var gap *book.GapError
			require.ErrorAs(t, err, &gap)
			require.Equal(t, book.GapError{Have: have, First: first}, *gap)
			_, err = s.Settle(t.Context(), "none", b, render)
			require.ErrorAs(t, err, &gap)
		}
		refused(l.batch(l.events[3:]), 0, 4)
		project(t, s, l, l.events[:3])
		refused(l.batch(l.events[5:]), 3, 6)
		refused(l.batch(append(l.events[2:4:4], l.events[6:]...)), 3, 7)
		v, err := s.Callback(t.Context(), l.ID)
		require.NoError(t, err)
		require.EqualValues(t, 3, v.State.Version)
		project(t, s, l, l.events[1:])
		requireGapless(t, s, l)
	})
}

func TestEventsOfAnotherCallbackAreRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		_, err := s.Project(t.Context(), book.Batch{CallbackID: "another", Events: l.events})
		require.Error(t, err)
		require.Zero(t, count(t, s, "callbacks")+count(t, s, "intakes"))
	})
}

func TestACallbackThatNobodyAskedThisDeskFor(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		v := project(t, s, l, l.events)
		require.Equal(t, book.Intake{CallbackID: l.ID, Policy: l.Policy, RequestedBy: "agent1", RequestedAt: noon}, v.Intake)
		page, err := s.List(t.Context(), book.Filter{}, book.SortDueAt, 10, "")
		require.NoError(t, err)
		require.Equal(t, []book.View{v}, page.Items)
	})
}

func TestR24_ManyProjectAtOnceWithoutAGap(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		lives := []*life{lived(t), lived(t), lived(t)}
		together(99, func(i int) {
			l := lives[i%len(lives)]
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for have := int64(0); have < l.Version; {
				// Some batch that overlaps with what is there, or leaves a gap.
				from := max(0, int(have)-random.IntN(4)+random.IntN(3))
				to := min(len(l.events), from+1+random.IntN(6))
				v, err := s.Project(t.Context(), l.batch(l.events[min(from, to):to]))
				if gap := (*book.GapError)(nil); err != nil && !asGap(err, &gap) {
					t.Errorf("projecting: %v", err)
					return
				} else if gap != nil {
					have = gap.Have
				} else {
					have = v.State.Version
				}
			}
		})
		for _, l := range lives {
			requireGapless(t, s, l)
		}
	})
}

func TestTextsAreShownOnceAnEventNamesThem(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		keep(t, s, l)
		sup := supervisor("sup1")
		reason, first, summary := note(l, book.TextReason, "shift ends"), note(l, book.TextNote, "called"), note(l, book.TextCallSummary, "refunded")
		staged := errand(l.ID, "note")
		_, err := s.Begin(t.Context(), book.Begin{Errand: staged, Texts: []book.Text{first, note(l, book.TextNote, "unsaid")}})
		require.NoError(t, err)
		notes, err := s.Notes(t.Context(), l.ID)
		require.NoError(t, err)
		require.Empty(t, notes, "staged texts are seen by nobody")

		project(t, s, l, l.do(t, after(time.Minute), sup, callback.Claim{}))
		project(t, s, l, l.do(t, after(2*time.Minute), sup, callback.Start{}))
		project(t, s, l, l.do(t, after(3*time.Minute), sup, callback.Attempt{Disposition: callback.Reached, TextID: first.ID}))
		say(t, s, l, reason, l.do(t, after(4*time.Minute), sup, callback.Release{TextID: reason.ID}))
		project(t, s, l, l.do(t, after(5*time.Minute), sup, callback.Claim{}))
		project(t, s, l, l.do(t, after(6*time.Minute), sup, callback.Start{}))
		events := l.do(t, after(7*time.Minute), sup, callback.Complete{Reason: "resolved", SummaryID: summary.ID})
		e := errand(l.ID, "complete")
		_, err = s.Begin(t.Context(), book.Begin{Errand: e, Texts: []book.Text{summary}})
		require.NoError(t, err)
		for _, event := range events { // noted and completed name it both, and may come apart
			_, err = s.Settle(t.Context(), e.ID, l.batch([]callback.Event{event}), nil)
			require.NoError(t, err)
		}

		notes, err = s.Notes(t.Context(), l.ID)
		require.NoError(t, err)
		require.Equal(t, []book.Text{first, summary}, notes, "reasons are not notes")
		entries, err := s.Timeline(t.Context(), l.ID)
		require.NoError(t, err)
		said := map[callback.EventType]string{}
		for _, entry := range entries {
			if entry.Text != "" {
				said[entry.Fact.Type()] = entry.Text
			}
		}
		require.Equal(t, map[callback.EventType]string{
			callback.TypeAttempted: "called", callback.TypeReleased: "shift ends", callback.TypeNoted: "refunded", callback.TypeCompleted: "refunded",
		}, said)
		for _, q := range []string{"called", "refund"} {
			require.Equal(t, []string{l.ID}, found(t, s, q), q)
		}
		require.Empty(t, found(t, s, "shift"))
		require.Empty(t, found(t, s, "unsaid"))
	})
}

func TestR26_TextsOfAnotherCallbackAreNotShown(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		mine, theirs := opened(t, noon), opened(t, noon)
		keep(t, s, mine)
		keep(t, s, theirs)
		secret := note(theirs, book.TextNote, "secret")
		_, err := s.Begin(t.Context(), book.Begin{Errand: errand(theirs.ID, "note"), Texts: []book.Text{secret}})
		require.NoError(t, err)
		project(t, s, mine, mine.do(t, noon, supervisor("sup1"), callback.Note{Kind: callback.KindNote, TextID: secret.ID}))
		for _, id := range []string{mine.ID, theirs.ID} {
			notes, err := s.Notes(t.Context(), id)
			require.NoError(t, err)
			require.Empty(t, notes)
		}
		entries, err := s.Timeline(t.Context(), mine.ID)
		require.NoError(t, err)
		require.Empty(t, entries[len(entries)-1].Text)
		require.Empty(t, found(t, s, "secret"))
	})
}

// workload writes callbacks with random lives, as errands and by the clock.
func workload(t testing.TB, s *store.Store, n int) []*life {
	t.Helper()
	random := rand.New(rand.NewPCG(11, 25))
	var lives []*life
	for range n {
		l := opened(t, after(time.Duration(random.IntN(1000))*time.Second), func(i *book.Intake) {
			if random.IntN(3) == 0 {
				i.Source = &book.Source{System: "servicebench", Ref: newID("exception")}
			}
			if random.IntN(4) == 0 {
				i.ScheduledFor = i.RequestedAt.Plus(callback.Duration(time.Hour))
			}
		})
		keep(t, s, l)
		lives = append(lives, l)
		at := l.RequestedAt
		for range random.IntN(20) {
			if l.Status.Closed() {
				break
			}
			at = at.Plus(callback.Duration(time.Duration(random.IntN(1500)) * time.Second))
			if random.IntN(3) == 0 {
				if events := l.wait(at); len(events) > 0 {
					project(t, s, l, events)
				}
				continue
			}
			by := []callback.Person{supervisor("sup1"), supervisor("sup2"), manager("mgr1")}[random.IntN(3)]
			text := note(l, []book.TextKind{book.TextNote, book.TextReason, book.TextCallSummary}[random.IntN(3)], newID("words"))
			command := []callback.Command{
				callback.Claim{}, callback.Claim{}, callback.Start{}, callback.Start{},
				callback.Attempt{Disposition: callback.Dispositions[random.IntN(len(callback.Dispositions))], TextID: text.ID},
				callback.Attempt{Disposition: callback.Reached},
				callback.Note{Kind: callback.NoteKind([]string{"note", "call_summary"}[random.IntN(2)]), TextID: text.ID},
				callback.Escalate{TextID: text.ID}, callback.Release{TextID: text.ID}, callback.Resume{},
				callback.HoldClock{Until: at.Plus(callback.Duration(time.Hour)), TextID: text.ID},
				callback.Reschedule{For: at.Plus(callback.Duration(2 * time.Hour)), TextID: text.ID},
				callback.Complete{Reason: "resolved", SummaryID: text.ID}, callback.Complete{Reason: "unreachable", SummaryID: text.ID},
				callback.Cancel{TextID: text.ID},
			}[random.IntN(15)]
			if events := l.try(command, by, at); len(events) > 0 {
				say(t, s, l, text, events)
			}
		}
	}
	return lives
}

func TestR25_WhatWasThrownAwayComesOutTheSame(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		lives := workload(t, s, 60)
		unsaid, err := s.SweepTexts(t.Context(), after(1000*time.Hour))
		require.NoError(t, err)
		require.NotZero(t, unsaid)
		before, err := s.Digest(t.Context())
		require.NoError(t, err)
		require.Len(t, before, len(lives))
		listed := everything(t, s)
		stats, err := s.Stats(t.Context(), book.StatsQuery{By: "hour"})
		require.NoError(t, err)
		texts, sources := count(t, s, "texts"), count(t, s, "open_sources")

		require.NoError(t, s.DropProjections(t.Context()))
		empty, err := s.Digest(t.Context())
		require.NoError(t, err)
		require.Empty(t, empty)
		require.Empty(t, everything(t, s))
		swept, err := s.SweepTexts(t.Context(), after(1000*time.Hour))
		require.NoError(t, err)
		require.Zero(t, swept, "a sweep during a rebuild must not take what was said")

		ids := map[string]bool{}
		require.NoError(t, s.EachCallbackID(t.Context(), func(id string) error { ids[id] = true; return nil }))
		random := rand.New(rand.NewPCG(7, 7))
		for _, i := range random.Perm(len(lives)) {
			l := lives[i]
			require.True(t, ids[l.ID])
			for from := 0; from < len(l.events); { // in other batches than before
				to := min(len(l.events), from+1+random.IntN(5))
				project(t, s, l, l.events[from:to])
				from = to
			}
		}
		again, err := s.Digest(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, again)
		require.Equal(t, listed, everything(t, s))
		same, err := s.Stats(t.Context(), book.StatsQuery{By: "hour"})
		require.NoError(t, err)
		require.Equal(t, stats, same)
		require.Equal(t, texts, count(t, s, "texts"))
		require.Equal(t, sources, count(t, s, "open_sources"))
	})
}

// everything is all that lists, timelines and notes show, and what can be found.
func everything(t testing.TB, s *store.Store) map[string]any {
	t.Helper()
	shown := map[string]any{}
	for _, order := range []book.Sort{book.SortDueAt, book.SortRequestedAt} {
		page, err := s.List(t.Context(), book.Filter{}, order, 1000, "")
		require.NoError(t, err)
		var ids []string
		for _, v := range page.Items {
			id := v.State.ID
			ids = append(ids, id)
			shown[id] = v
			entries, err := s.Timeline(t.Context(), id)
			require.NoError(t, err)
			notes, err := s.Notes(t.Context(), id)
			require.NoError(t, err)
			shown["past of "+id] = entries
			shown["notes of "+id] = notes
		}
		if ids != nil {
			shown["order "+string(order)] = ids
		}
	}
	for _, q := range []string{"words", "crm", "9198"} {
		if ids := found(t, s, q); ids != nil {
			shown["found "+q] = ids
		}
	}
	return shown
}

func TestADigestSeesEveryChange(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := lived(t)
		project(t, s, l, l.events)
		before, err := s.Digest(t.Context())
		require.NoError(t, err)
		for _, change := range []string{
			`UPDATE callbacks SET queue = 'other'`, `UPDATE timeline SET actor = 'other' WHERE seq = 4`,
			`UPDATE promises SET late_by = 'people' WHERE tier_index = 1`, `DELETE FROM timeline WHERE seq = 5`,
		} {
			_, err := s.DB().ExecContext(t.Context(), change)
			require.NoError(t, err)
			now, err := s.Digest(t.Context())
			require.NoError(t, err)
			require.NotEqual(t, before, now, change)
			before = now
		}
	})
}

func TestR25_WhatListsFileACallbackUnderIsWhatItIs(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		nothing, err := s.Misfiled(t.Context(), newID("callback"))
		require.NoError(t, err)
		require.Empty(t, nothing, "nothing is shown of it")
		l := lived(t)
		for i := range l.events { // at every step of its life
			project(t, s, l, l.events[:i+1])
			table, err := s.Misfiled(t.Context(), l.ID)
			require.NoError(t, err)
			require.Empty(t, table, "after %d events", i+1)
		}
		for table, changes := range map[string][2]string{
			"callbacks": {`UPDATE callbacks SET assignee = 'other' || assignee`, `UPDATE callbacks SET assignee = substr(assignee, 6)`},
			"promises":  {`UPDATE promises SET result = 'x' || result`, `UPDATE promises SET result = substr(result, 2)`},
			"tags":      {`INSERT INTO tags (tag, callback_id) SELECT 'x', id FROM callbacks`, `DELETE FROM tags WHERE tag = 'x'`},
		} {
			for i, want := range []string{table, ""} {
				_, err := s.DB().ExecContext(t.Context(), changes[i])
				require.NoError(t, err)
				have, err := s.Misfiled(t.Context(), l.ID)
				require.NoError(t, err)
				require.Equal(t, want, have, changes[i])
			}
		}
	})
}
