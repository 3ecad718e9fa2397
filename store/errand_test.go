package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/store"
)

// together runs f n times at once.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

func TestACallbackIsKeptAsItWasAsked(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon, func(i *book.Intake) {
			i.Source = &book.Source{System: "freshdesk", Ref: "4711", URL: "https://acme.example/4711"}
			i.Parent = "cb-parent"
			i.ScheduledFor = after(time.Hour)
			i.Reason = "Rückerstattung \"fehlt\" नमस्ते\nzweite Zeile"
		})
		v := keep(t, s, l)
		requireState(t, l.Callback, v.State)
		require.Equal(t, l.intake, v.Intake)

		again, err := s.Callback(t.Context(), l.ID)
		require.NoError(t, err)
		require.Equal(t, v, again)

		i, err := s.Intake(t.Context(), l.ID)
		require.NoError(t, err)
		require.Equal(t, l.intake, i)
	})
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		ctx := t.Context()
		missing := map[string]func() error{
			"Callback":    func() error { _, err := s.Callback(ctx, "none"); return err },
			"Intake":      func() error { _, err := s.Intake(ctx, "none"); return err },
			"Timeline":    func() error { _, err := s.Timeline(ctx, "none"); return err },
			"Notes":       func() error { _, err := s.Notes(ctx, "none"); return err },
			"Errand":      func() error { _, err := s.Errand(ctx, "none"); return err },
			"TakeOver":    func() error { _, _, err := s.TakeOver(ctx, "none", noon, noon); return err },
			"Settle":      func() error { _, err := s.Settle(ctx, "none", book.Batch{CallbackID: "none"}, nil); return err },
			"Project":     func() error { _, err := s.Project(ctx, book.Batch{CallbackID: "none"}); return err },
			"Policy":      func() error { _, err := s.Policy(ctx, "none"); return err },
			"Reservation": func() error { _, err := s.Reservation(ctx, "none"); return err },
			"SetPresence": func() error { _, err := s.SetPresence(ctx, "none", book.Available, noon); return err },
		}
		for name, f := range missing {
			require.ErrorIs(t, f(), book.ErrNotFound, name)
		}
	})
}

func TestAnErrandBeginsOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon, func(i *book.Intake) { i.Source = &book.Source{System: "zoho", Ref: "1"} })
		b := keyed(l.begin())
		var began atomic.Int32
		together(20, func(int) {
			existing, err := s.Begin(t.Context(), b)
			if err == nil && existing == nil {
				began.Add(1)
				return
			}
			if err != nil || existing.Digest != b.Errand.Digest || existing.CallbackID != l.ID {
				t.Errorf("%v %+v", err, existing)
			}
		})
		require.EqualValues(t, 1, began.Load())
		e, err := s.Errand(t.Context(), b.Errand.ID)
		require.NoError(t, err)
		require.Equal(t, b.Errand, e)
	})
}

func TestAKeyedErrandKeepsItsFirstAnswer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		b := keyed(l.begin())
		_, err := s.Begin(t.Context(), b)
		require.NoError(t, err)
		first := &book.Answer{Status: 201, Location: "/v1/callbacks/" + l.ID, ETag: `"3"`, Body: []byte(`{"id":"x"}`)}
		v, err := s.Settle(t.Context(), b.Errand.ID, l.all(), func(v book.View) (*book.Answer, error) {
			require.Equal(t, l.Version, v.State.Version, "rendered before the projection")
			require.Equal(t, l.intake, v.Intake)
			return first, nil
		})
		require.NoError(t, err)
		requireState(t, l.Callback, v.State)

		_, err = s.Settle(t.Context(), b.Errand.ID, l.batch(nil), func(book.View) (*book.Answer, error) {
			return &book.Answer{Status: 200}, nil
		})
		require.NoError(t, err)
		existing, err := s.Begin(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, first, existing.Answer)

		// Nor does refusing or releasing it, or taking it over, change an answer given.
		require.NoError(t, s.Drop(t.Context(), b.Errand.ID))
		require.NoError(t, s.Release(t.Context(), b.Errand.ID))
		e, taken, err := s.TakeOver(t.Context(), b.Errand.ID, after(time.Hour), after(2*time.Hour))
		require.NoError(t, err)
		require.False(t, taken)
		require.Equal(t, first, e.Answer)
	})
}

func TestAnErrandWithoutAKeyOrAnAnswerIsGoneWhenSettled(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		for name, c := range map[string]struct {
			key    string
			render func(book.View) (*book.Answer, error)
		}{
			"no key":    {"", func(book.View) (*book.Answer, error) { return &book.Answer{Status: 201}, nil }},
			"no render": {"key", nil},
			"no answer": {"key", func(book.View) (*book.Answer, error) { return nil, nil }},
		} {
			l := opened(t, noon)
			b := l.begin()
			b.Errand.Key = c.key
			_, err := s.Begin(t.Context(), b)
			require.NoError(t, err, name)
			_, err = s.Settle(t.Context(), b.Errand.ID, l.all(), c.render)
			require.NoError(t, err, name)
			_, err = s.Errand(t.Context(), b.Errand.ID)
			require.ErrorIs(t, err, book.ErrNotFound, name)
			_, err = s.Callback(t.Context(), l.ID)
			require.NoError(t, err, name)
		}
	})
}

func TestAnAnswerThatCannotBeMadeUndoesAll(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		b := keyed(l.begin())
		_, err := s.Begin(t.Context(), b)
		require.NoError(t, err)
		broken := errors.New("broken")
		_, err = s.Settle(t.Context(), b.Errand.ID, l.all(), func(book.View) (*book.Answer, error) { return nil, broken })
		require.ErrorIs(t, err, broken)
		_, err = s.Callback(t.Context(), l.ID)
		require.ErrorIs(t, err, book.ErrNotFound)
		e, err := s.Errand(t.Context(), b.Errand.ID)
		require.NoError(t, err)
		require.Nil(t, e.Answer)
	})
}

func TestACommandThatChangedNothingIsSettled(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		kept := keep(t, s, l)
		_, newest, err := s.FeedBounds(t.Context())
		require.NoError(t, err)
		e := errand(l.ID, "start")
		_, err = s.Begin(t.Context(), book.Begin{Errand: e})
		require.NoError(t, err)
		v, err := s.Settle(t.Context(), e.ID, l.batch(nil), nil)
		require.NoError(t, err)
		require.Equal(t, kept, v)
		_, still, err := s.FeedBounds(t.Context())
		require.NoError(t, err)
		require.Equal(t, newest, still, "nothing changed, and the feed says that something did")
	})
}

func TestR14_ASourceHasOneOpenCallbackOfAPolicy(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		from := func(system, ref string) func(*book.Intake) {
			return func(i *book.Intake) { i.Source = &book.Source{System: system, Ref: ref} }
		}
		first := opened(t, noon, from("servicebench", "E-1"))
		keep(t, s, first)

		second := opened(t, noon, from("servicebench", "E-1"))
		b := keyed(second.begin(note(second, book.TextReason, "again")))
		_, err := s.Begin(t.Context(), b)
		var duplicate *book.DuplicateError
		require.ErrorAs(t, err, &duplicate)
		require.Equal(t, first.ID, duplicate.Existing)
		_, err = s.Errand(t.Context(), b.Errand.ID)
		require.ErrorIs(t, err, book.ErrNotFound, "a refused errand was written")
		_, err = s.Intake(t.Context(), second.ID)
		require.ErrorIs(t, err, book.ErrNotFound)

		for name, change := range map[string]func(*book.Intake){
			"another system":    from("zoho", "E-1"),
			"another reference": from("servicebench", "E-2"),
			"another policy":    func(i *book.Intake) { from("servicebench", "E-1")(i); i.Policy = "other" },
			"no reference":      from("servicebench", ""),
			"none again":        from("servicebench", ""),
		} {
			_, err := s.Begin(t.Context(), opened(t, noon, change).begin())
			require.NoError(t, err, name)
		}

		project(t, s, first, first.do(t, after(time.Minute), manager("mgr1"), callback.Cancel{}))
		_, err = s.Begin(t.Context(), b)
		require.NoError(t, err, "the first one is closed")
	})
}

func TestR14_OfManyAtOnceOneGetsTheSource(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		var got atomic.Int32
		together(16, func(int) {
			l := opened(t, noon, func(i *book.Intake) { i.Source = &book.Source{System: "servicebench", Ref: "E-1"} })
			_, err := s.Begin(t.Context(), l.begin())
			var duplicate *book.DuplicateError
			switch {
			case err == nil:
				got.Add(1)
			case !errors.As(err, &duplicate):
				t.Error(err)
			}
		})
		require.EqualValues(t, 1, got.Load())
	})
}

func TestAnErrandIsTakenOverOnceItsLeaseIsOver(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		b := opened(t, noon).begin()
		_, err := s.Begin(t.Context(), b)
		require.NoError(t, err)
		id := b.Errand.ID

		e, taken, err := s.TakeOver(t.Context(), id, b.Errand.LeaseUntil, after(time.Hour))
		require.NoError(t, err)
		require.False(t, taken, "its lease is not over")
		require.Equal(t, b.Errand, e)

		var won atomic.Int32
		together(12, func(int) {
			_, taken, err := s.TakeOver(t.Context(), id, after(11*time.Second), after(time.Minute))
			if err != nil {
				t.Error(err)
			}
			if taken {
				won.Add(1)
			}
		})
		require.EqualValues(t, 1, won.Load())

		require.NoError(t, s.Release(t.Context(), id))
		e, taken, err = s.TakeOver(t.Context(), id, noon, after(time.Minute))
		require.NoError(t, err)
		require.True(t, taken, "it was released")
		require.Equal(t, after(time.Minute), e.LeaseUntil)
	})
}

func TestOpenErrandsAreTheOldestUnanswered(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		var ids []string
		for i := range 5 {
			b := keyed(opened(t, noon).begin())
			b.Errand.CreatedAt = after(-time.Duration(i) * time.Minute)
			_, err := s.Begin(t.Context(), b)
			require.NoError(t, err)
			ids = append([]string{b.Errand.ID}, ids...)
		}
		busy := opened(t, noon).begin()
		busy.Errand.LeaseUntil = after(time.Hour)
		_, err := s.Begin(t.Context(), busy)
		require.NoError(t, err)
		settled := opened(t, noon)
		b := keyed(settled.begin())
		_, err = s.Begin(t.Context(), b)
		require.NoError(t, err)
		_, err = s.Settle(t.Context(), b.Errand.ID, settled.all(), render)
		require.NoError(t, err)

		found, err := s.OpenErrands(t.Context(), after(time.Minute), 10)
		require.NoError(t, err)
		var got []string
		for _, e := range found {
			got = append(got, e.ID)
		}
		require.Equal(t, ids, got)
		found, err = s.OpenErrands(t.Context(), after(time.Minute), 2)
		require.NoError(t, err)
		require.Len(t, found, 2)
	})
}

func TestARefusedCommandLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		source := func(i *book.Intake) { i.Source = &book.Source{System: "zoho", Ref: "7"} }
		l := opened(t, noon, source)
		b := l.begin(note(l, book.TextReason, "secret"))
		_, err := s.Begin(t.Context(), b)
		require.NoError(t, err)
		require.NoError(t, s.Drop(t.Context(), b.Errand.ID))
		require.NoError(t, s.Drop(t.Context(), b.Errand.ID), "dropping twice is once")
		for _, table := range []string{"errands", "intakes", "texts", "open_sources"} {
			require.Zero(t, count(t, s, table), table)
		}
		_, err = s.Begin(t.Context(), opened(t, noon, source).begin())
		require.NoError(t, err, "the source is free again")
	})
}

func TestDroppingTakesNothingThatHappened(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon, func(i *book.Intake) { i.Source = &book.Source{System: "zoho", Ref: "7"} })
		text := note(l, book.TextNote, "called the station")
		b := l.begin(text, note(l, book.TextNote, "never said"))
		_, err := s.Begin(t.Context(), b)
		require.NoError(t, err)
		project(t, s, l, l.events) // by the workflow: the errand is still open
		project(t, s, l, l.do(t, after(time.Minute), supervisor("sup1"), callback.Note{Kind: callback.KindNote, TextID: text.ID}))
		require.NoError(t, s.Drop(t.Context(), b.Errand.ID))

		v, err := s.Callback(t.Context(), l.ID)
		require.NoError(t, err)
		require.Equal(t, l.intake, v.Intake)
		notes, err := s.Notes(t.Context(), l.ID)
		require.NoError(t, err)
		require.Equal(t, []book.Text{text}, notes)
		require.Equal(t, 1, count(t, s, "texts"))
		require.Equal(t, 1, count(t, s, "open_sources"))
	})
}

func count(t testing.TB, s *store.Store, table string) int {
	t.Helper()
	var n int
	require.NoError(t, s.DB().QueryRowContext(context.Background(), "SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

func TestSettlingOfManyErrandsOfOneCallback(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		keep(t, s, l)
		type step struct {
			errand string
			text   book.Text
			batch  book.Batch
		}
		var steps []step
		for i := range 20 {
			text := note(l, book.TextNote, fmt.Sprintf("note %d", i))
			e := errand(l.ID, "note")
			_, err := s.Begin(t.Context(), book.Begin{Errand: e, Texts: []book.Text{text}})
			require.NoError(t, err)
			l.do(t, after(time.Duration(i)*time.Second), supervisor("sup1"), callback.Note{Kind: callback.KindNote, TextID: text.ID})
			steps = append(steps, step{e.ID, text, l.all()}) // each knows all until then
		}
		together(len(steps), func(i int) {
			v, err := s.Settle(t.Context(), steps[i].errand, steps[i].batch, nil)
			if err != nil || v.State.Version < steps[i].batch.Events[len(steps[i].batch.Events)-1].Seq {
				t.Errorf("%v: %+v", err, v.State)
			}
		})
		notes, err := s.Notes(t.Context(), l.ID)
		require.NoError(t, err)
		require.Len(t, notes, len(steps))
		for i := range notes {
			require.Equal(t, steps[i].text, notes[i])
		}
		require.Zero(t, count(t, s, "errands"))
	})
}
