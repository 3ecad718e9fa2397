package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/store"
)

func asGap(err error, gap **book.GapError) bool { return errors.As(err, gap) }

// listed returns the IDs of a list read page by page.
func listed(t testing.TB, s *store.Store, f book.Filter, order book.Sort, limit int) []string {
	t.Helper()
	var ids []string
	cursor := ""
	for {
		page, err := s.List(t.Context(), f, order, limit, cursor)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Items), limit)
		for _, v := range page.Items {
			require.Equal(t, v.State.ID, v.Intake.CallbackID)
			ids = append(ids, v.State.ID)
		}
		if page.NextCursor == "" {
			return ids
		}
		require.Len(t, page.Items, limit, "only the last page may be short")
		cursor = page.NextCursor
	}
}

func found(t testing.TB, s *store.Store, q string) []string {
	t.Helper()
	return listed(t, s, book.Filter{Q: q}, book.SortRequestedAt, 100)
}

func TestListsAreNarrowedByFilters(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		queued := opened(t, noon, func(i *book.Intake) { i.Source = &book.Source{System: "zoho", Ref: "a:1"} })
		keep(t, s, queued)
		claimed := opened(t, after(time.Second), func(i *book.Intake) { i.Customer.Ref, i.LOB = "crm-1", "x"; i.Reason = "lost luggage" })
		claimed.do(t, after(time.Minute), supervisor("sup1"), callback.Claim{})
		keep(t, s, claimed)
		overdue := opened(t, after(2*time.Second), func(i *book.Intake) { i.Source = &book.Source{System: "zoho", Ref: "2"} })
		overdue.wait(after(2 * time.Hour))
		overdue.wait(after(4 * time.Hour))
		keep(t, s, overdue)
		cancelled := opened(t, after(3*time.Second))
		cancelled.do(t, after(time.Minute), manager("mgr1"), callback.Cancel{})
		keep(t, s, cancelled)
		yes, no := true, false

		for name, c := range map[string]struct {
			filter book.Filter
			want   []*life
		}{
			"all":             {book.Filter{}, []*life{queued, claimed, overdue, cancelled}},
			"some by id":      {book.Filter{ID: []string{claimed.ID, cancelled.ID, "none"}}, []*life{claimed, cancelled}},
			"by whom":         {book.Filter{RequestedBy: []string{"agent1"}, ID: []string{queued.ID}}, []*life{queued}},
			"by nobody":       {book.Filter{RequestedBy: []string{"agent2"}}, nil},
			"tag on":          {book.Filter{Required: &yes}, []*life{queued, claimed, overdue}},
			"tag off":         {book.Filter{Required: &no}, []*life{cancelled}},
			"a status":        {book.Filter{Status: []callback.Status{callback.StatusClaimed}}, []*life{claimed}},
			"statuses":        {book.Filter{Status: []callback.Status{callback.StatusClaimed, callback.StatusCancelled}}, []*life{claimed, cancelled}},
			"open":            {book.Filter{Status: []callback.Status{callback.StatusQueued, callback.StatusClaimed}}, []*life{queued, claimed, overdue}},
			"a tier":          {book.Filter{Tier: []string{"manager"}}, []*life{overdue}},
			"queues":          {book.Filter{Queue: []string{"Managers", "None"}}, []*life{overdue}},
			"a policy":        {book.Filter{Policy: []string{"none"}}, nil},
			"an owner":        {book.Filter{Owner: []string{"sup1"}}, []*life{claimed}},
			"an assignee":     {book.Filter{Assignee: []string{"sup1", "sup2"}}, []*life{claimed}},
			"nobody":          {book.Filter{Assignee: []string{""}}, []*life{queued, overdue, cancelled}},
			"a customer":      {book.Filter{Customer: "crm-1"}, []*life{claimed}},
			"a system":        {book.Filter{Source: "zoho"}, []*life{queued, overdue}},
			"a source":        {book.Filter{Source: "zoho:a:1"}, []*life{queued}},
			"another source":  {book.Filter{Source: "zoho:3"}, nil},
			"a tag":           {book.Filter{Tag: "Callback Required"}, []*life{queued, claimed, overdue}},
			"the other tag":   {book.Filter{Tag: "Callback Not Served"}, []*life{cancelled}},
			"overdue":         {book.Filter{Overdue: &yes}, []*life{overdue}},
			"not overdue":     {book.Filter{Overdue: &no}, []*life{queued, claimed, cancelled}},
			"due before":      {book.Filter{DueBefore: after(time.Hour + time.Second)}, []*life{queued}},
			"a query":         {book.Filter{Q: "LUGG lost"}, []*life{claimed}},
			"all of it":       {book.Filter{Q: "asha", Tag: "Callback Required", Assignee: []string{"sup1"}, DueBefore: after(3 * time.Hour)}, []*life{claimed}},
			"all but nothing": {book.Filter{Q: "asha", Tag: "Callback Required", Assignee: []string{"sup2"}}, nil},
		} {
			var want []string
			for _, l := range c.want {
				want = append(want, l.ID)
			}
			got := listed(t, s, c.filter, book.SortRequestedAt, 2)
			slices.Reverse(got)
			require.Equal(t, want, got, name)
			got = listed(t, s, c.filter, book.SortDueAt, 2)
			require.ElementsMatch(t, want, got, name)
		}
	})
}

func TestCallbacksAreCounted(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		none, err := s.Counts(t.Context(), book.Filter{}, nil)
		require.NoError(t, err)
		require.Equal(t, []book.Count{{Key: []string{}}}, none)

		queued := opened(t, after(time.Second))
		keep(t, s, queued)
		keep(t, s, opened(t, noon))
		claimed := opened(t, after(2*time.Second))
		claimed.do(t, after(time.Minute), supervisor("sup1"), callback.Claim{})
		keep(t, s, claimed)
		overdue := opened(t, after(3*time.Second))
		overdue.wait(after(2 * time.Hour))
		overdue.wait(after(4 * time.Hour))
		keep(t, s, overdue)
		reached := opened(t, after(-time.Second))
		reached.do(t, after(time.Minute), supervisor("sup2"), callback.Claim{})
		reached.do(t, after(time.Minute), supervisor("sup2"), callback.Start{})
		reached.do(t, after(time.Minute), supervisor("sup2"), callback.Attempt{Disposition: callback.Reached})
		keep(t, s, reached)

		total, err := s.Counts(t.Context(), book.Filter{}, nil)
		require.NoError(t, err)
		require.Equal(t, []book.Count{{Key: []string{}, Count: 5, Overdue: 1, FirstDueAt: after(time.Hour)}}, total)
		byBoth, err := s.Counts(t.Context(), book.Filter{}, []book.CountBy{book.CountByStatus, book.CountByTier})
		require.NoError(t, err)
		require.Equal(t, []book.Count{
			{Key: []string{"claimed", "supervisor"}, Count: 1, FirstDueAt: claimed.DueAt},
			{Key: []string{"in_progress", "supervisor"}, Count: 1}, // its promise is kept
			{Key: []string{"queued", "manager"}, Count: 1, Overdue: 1, FirstDueAt: overdue.DueAt},
			{Key: []string{"queued", "supervisor"}, Count: 2, FirstDueAt: after(time.Hour)},
		}, byBoth)
		narrowed, err := s.Counts(t.Context(), book.Filter{Assignee: []string{"sup1"}, Q: "asha"}, []book.CountBy{book.CountByAssignee})
		require.NoError(t, err)
		require.Equal(t, []book.Count{{Key: []string{"sup1"}, Count: 1, FirstDueAt: claimed.DueAt}}, narrowed)
		_, err = s.Counts(t.Context(), book.Filter{}, []book.CountBy{"state"})
		require.Error(t, err)
	})
}

func TestListsAreInOrder(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		late, soon := opened(t, after(time.Minute)), opened(t, noon)
		same := opened(t, noon) // as soon: by ID
		called, calledClaimed := opened(t, after(3*time.Minute)), opened(t, after(2*time.Minute))
		for _, l := range []*life{called, calledClaimed} {
			l.events = append(l.events, l.CustomerCalls(l.policy, "agent1", "", after(4*time.Minute).Time, (*callback.Calendar)(nil))...)
		}
		calledClaimed.do(t, after(5*time.Minute), supervisor("sup1"), callback.Claim{})
		for _, l := range []*life{late, soon, same, called, calledClaimed} {
			keep(t, s, l)
		}
		require.Equal(t, []string{called.ID, soon.ID, same.ID, late.ID, calledClaimed.ID}, listed(t, s, book.Filter{}, book.SortDueAt, 2))
		require.Equal(t, []string{called.ID, calledClaimed.ID, late.ID, same.ID, soon.ID}, listed(t, s, book.Filter{}, book.SortRequestedAt, 2))
		promised := listed(t, s, book.Filter{}, book.SortPromise, 2)
		require.NotEqual(t, called.ID, promised[0], "R10: nobody is put before an older promise")
		require.True(t, slices.IsSortedFunc(promised, func(a, b string) int {
			at := map[string]callback.Instant{called.ID: called.DueAt, soon.ID: soon.DueAt, same.ID: same.DueAt, late.ID: late.DueAt, calledClaimed.ID: calledClaimed.DueAt}
			return at[a].Compare(at[b].Time)
		}))
		_, err := s.List(t.Context(), book.Filter{}, "sideways", 10, "")
		require.Error(t, err)
	})
}

func TestWhatMayBeSearchedIsFound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon, func(i *book.Intake) {
			i.Customer = book.Customer{Ref: "CRM-77/x", Name: "Zoë O'Brien-Östlund रमेश", Phone: "+46701234567", Email: "zoe.o@example.se"}
			i.Reason = "Refund for train 12:30; 'nothing' came & \"nobody\" called!"
			i.Source = &book.Source{System: "freshdesk", Ref: "FD_4711"}
			i.Fields = map[string]string{"order_number": "ORD-2026-9"}
		})
		keep(t, s, l)
		keep(t, s, opened(t, noon))
		say(t, s, l, note(l, book.TextNote, "Spoke to Bahnhofsmission"), nil)
		text := note(l, book.TextNote, "Asked for the vouchers")
		say(t, s, l, text, l.do(t, noon, supervisor("sup1"), callback.Note{Kind: callback.KindNote, TextID: text.ID}))

		for _, q := range []string{
			"zoë", "ZOË", "zoe", "Zoe\u0308", "brien", "östl", "ostlund", "ÖSTLUND", "OSTL", "रमे", "crm-77", "77", "+4670123", "46701234567", "zoe.o@example", "refund train", "train refund",
			"701234567", "+46 70-123 45 67", "070 123 45 67", "(070) 1234567", "0046701234567", "70.123.45",
			"12", "fd_4711", "4711", "ord-2026-9", "2026", "vouch", "zoë voucher", "'nothing'", "noth* OR", "  voucher  ",
		} {
			want := []string{l.ID}
			if q == "noth* OR" { // words, no syntax; "or…" begins ORD
				require.Equal(t, want, found(t, s, q), q)
				continue
			}
			require.Equal(t, want, found(t, s, q), q)
		}
		for q, want := range map[string]bool{"zoë vouch": true, "070-123 45 67": true, "zoë nobodyelse": false, "!": false} {
			matches, err := s.Matches(t.Context(), l.ID, q)
			require.NoError(t, err)
			require.Equal(t, want, matches, q)
		}
		foreign := opened(t, noon, func(i *book.Intake) {
			i.Reason = "Łódź Straße Δημήτρης Чайковский " + strings.Repeat("é", 3000)
		})
		keep(t, s, foreign)
		for _, q := range []string{"lodz", "ŁÓDŹ", "strasse", "STRASSE", "straße", "δημητρης", "ΔΗΜΗΤΡΗΣ", "чаиковскии", "ЧАЙКОВСКИЙ", "lodz strasse", strings.Repeat("é", 500)} {
			require.Equal(t, []string{foreign.ID}, found(t, s, q), q)
		}
		for _, q := range []string{"रमश", "070 123 45 68", "46 70 123 45 6 8", "234567", "bahnhof", "zoë nobodyelse", "efund", "!", "\"", "a:b:zz", "words:", "'); DROP TABLE intakes; --"} {
			require.Empty(t, found(t, s, q), q)
		}
	})
}

func TestACursorBelongsToItsListAlone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s, other := open(t, store.Options{}), open(t, store.Options{})
		for range 5 {
			keep(t, s, opened(t, noon))
		}
		f := book.Filter{Tier: []string{"supervisor", "manager"}, Q: "asha"}
		page, err := s.List(t.Context(), f, book.SortDueAt, 2, "")
		require.NoError(t, err)
		c := page.NextCursor
		require.NotContains(t, c, "asha")

		_, err = s.List(t.Context(), f, book.SortDueAt, 1, c)
		require.NoError(t, err, "another limit")
		_, err = s.List(t.Context(), book.Filter{Tier: []string{"manager", "supervisor"}, Q: "asha"}, book.SortDueAt, 2, c)
		require.NoError(t, err, "the same filter in other words")
		bad := func(s *store.Store, f book.Filter, order book.Sort, cursor string) {
			t.Helper()
			_, err := s.List(t.Context(), f, order, 2, cursor)
			require.ErrorIs(t, err, book.ErrBadCursor)
		}
		bad(s, f, book.SortRequestedAt, c)
		bad(s, f, book.SortPromise, c)
		bad(s, book.Filter{}, book.SortDueAt, c)
		bad(other, f, book.SortDueAt, c)
		forged := "A" + c[1:]
		if forged == c {
			forged = "B" + c[1:]
		}
		for _, cursor := range []string{"x", "%", c[:len(c)-4], forged, c + "AAAA"} {
			bad(s, f, book.SortDueAt, cursor)
		}
	})
}

// While a list is read page by page it changes; what did not move is on exactly
// one page.
func TestPagingIsStableUnderChange(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		for seed := range uint64(12) {
			random := rand.New(rand.NewPCG(seed, 0))
			queue := fmt.Sprintf("queue %d", seed)
			p := policy(callback.AssignPull)
			p.Ladder[0].Queue, p.Ladder[1].Queue = queue, queue
			clerk := callback.Person{ID: "sup1", Rank: 3, Queues: []string{queue}}
			add := func() *life {
				l := openedWith(t, p, after(time.Duration(random.IntN(20))*time.Second))
				keep(t, s, l)
				return l
			}
			var lives []*life
			for range 20 {
				lives = append(lives, add())
			}
			order := []book.Sort{book.SortDueAt, book.SortRequestedAt, book.SortPromise}[seed%3]
			still := map[string]bool{}
			for _, l := range lives {
				still[l.ID] = true
			}
			seen := map[string]int{}
			f := book.Filter{Queue: []string{queue}}
			limit := 1 + random.IntN(6)
			for cursor := ""; ; {
				page, err := s.List(t.Context(), f, order, limit, cursor)
				require.NoError(t, err)
				for _, v := range page.Items {
					seen[v.State.ID]++
				}
				if page.NextCursor == "" {
					break
				}
				cursor = page.NextCursor
				for range random.IntN(4) {
					l := lives[random.IntN(len(lives))]
					before, at := *l.Callback, after(10*time.Minute)
					switch random.IntN(5) {
					case 0:
						add() // it may or may not be seen
					case 1:
						l.events = append(l.events, l.CustomerCalls(p, "agent1", "", at.Time, (*callback.Calendar)(nil))...)
					case 2:
						l.wait(after(61*time.Minute + time.Duration(random.IntN(20))*time.Second)) // some escalate
					case 3:
						l.try(callback.Claim{}, clerk, at)
					case 4:
						l.try(callback.Cancel{}, clerk, at)
					}
					project(t, s, l, l.events)
					if order != book.SortRequestedAt && before.DueAt != l.DueAt || order == book.SortDueAt && ahead(&before) != ahead(l.Callback) {
						delete(still, l.ID)
					}
				}
			}
			for id := range still {
				require.Equal(t, 1, seen[id], "seed %d: %s", seed, id)
			}
		}
	})
}

func ahead(c *callback.Callback) bool {
	return c.Status == callback.StatusQueued && !c.CustomerCalledAt.IsZero()
}

func TestACustomersOtherCallbacks(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		customer := func(ref, phone string) func(*book.Intake) {
			return func(i *book.Intake) { i.Customer = book.Customer{Ref: ref, Name: "A", Phone: phone} }
		}
		second, first := opened(t, after(time.Minute), customer("r", "+1")), opened(t, noon, customer("r", "+2"))
		closed, noRef := opened(t, noon, customer("r", "+1")), opened(t, noon, customer("", "+1"))
		closed.do(t, noon, manager("mgr1"), callback.Cancel{})
		for _, l := range []*life{first, second, closed, noRef} {
			keep(t, s, l)
		}
		for _, c := range []struct {
			ref, phone, except string
			want               []string
		}{
			{"r", "+9", "", []string{first.ID, second.ID}},
			{"r", "", first.ID, []string{second.ID}},
			{"", "+1", "", []string{noRef.ID, second.ID}},
			{"", "", "", nil},
			{"none", "+1", "", nil},
		} {
			ids, err := s.SameCustomer(t.Context(), book.Customer{Ref: c.ref, Phone: c.phone}, c.except)
			require.NoError(t, err)
			require.Equal(t, c.want, ids, "%+v", c)
		}
	})
}
