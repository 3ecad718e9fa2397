package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/store"
)

// tried is one try of bringing an event to a destination.
func tried(l *life, destination string, seq int64, state book.DeliveryState, code string, at callback.Instant) book.Delivery {
	d := book.Delivery{
		OperationID: book.OperationID(l.ID, destination, seq), Destination: destination, CallbackID: l.ID, Seq: seq,
		Type: callback.TypeNoted, State: state, Code: code, TriedAt: at,
	}
	if code != "" {
		d.Detail, d.NextAt = "in words", at.Plus(callback.Duration(time.Minute))
	} else {
		d.SettledAt = at
	}
	return d
}

func (l *life) owe(destination, code string, seq int64, at callback.Instant) []callback.Event {
	events := l.Owe(l.policy, destination, code, seq, at.Time, (*callback.Calendar)(nil))
	l.events = append(l.events, events...)
	return events
}

func TestR13_TheLedgerOfDeliveries(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		keep(t, s, l)
		note := func(d book.Delivery) { require.NoError(t, s.NoteDelivery(t.Context(), d)) }
		get := func(destination string, seq int64) book.Delivery {
			d, err := s.Delivery(t.Context(), book.OperationID(l.ID, destination, seq))
			require.NoError(t, err)
			return d
		}
		_, err := s.Delivery(t.Context(), "none")
		require.ErrorIs(t, err, book.ErrNotFound)

		first := tried(l, "freshdesk", 2, book.DeliveryTrying, "unavailable", noon)
		note(first)
		want := first
		want.Tries, want.FirstAt = 1, noon
		require.Equal(t, want, get("freshdesk", 2))
		note(tried(l, "freshdesk", 2, book.DeliveryOwed, "rate_limited", after(time.Minute)))
		note(tried(l, "freshdesk", 2, book.DeliveryTrying, "conflict", after(2*time.Minute)))
		d := get("freshdesk", 2)
		require.Equal(t, []any{3, book.DeliveryOwed, "conflict", noon, after(2 * time.Minute), after(3 * time.Minute), callback.Instant{}},
			[]any{d.Tries, d.State, d.Code, d.FirstAt, d.TriedAt, d.NextAt, d.SettledAt}, "owed stays owed")
		note(tried(l, "freshdesk", 2, book.DeliveryDelivered, "", after(4*time.Minute)))
		d = get("freshdesk", 2)
		require.Equal(t, []any{4, book.DeliveryDelivered, "conflict", callback.Instant{}, after(4 * time.Minute)},
			[]any{d.Tries, d.State, d.Code, d.NextAt, d.SettledAt})
		note(tried(l, "freshdesk", 2, book.DeliveryOwed, "gone", after(5*time.Minute)))
		require.Equal(t, book.DeliveryDelivered, get("freshdesk", 2).State, "settled stays settled")
		require.Equal(t, after(4*time.Minute), get("freshdesk", 2).SettledAt)

		states, err := s.States(t.Context(), []string{d.OperationID, "unknown"})
		require.NoError(t, err)
		require.Equal(t, map[string]book.DeliveryState{d.OperationID: book.DeliveryDelivered}, states)

		health, err := s.Health(t.Context(), "freshdesk")
		require.NoError(t, err)
		require.Equal(t, book.DestinationHealth{
			LastSuccess: after(4 * time.Minute), LastFailure: after(5 * time.Minute), LastCode: "gone", LastDetail: "in words",
		}, health)
		health, err = s.Health(t.Context(), "oneview")
		require.NoError(t, err)
		require.Zero(t, health)
	})
}

func TestR13_TheLedgerFollowsTheTimeline(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		keep(t, s, l)
		// Nobody could try it: its worker never ran.
		project(t, s, l, l.owe("oneview", "unavailable", 2, after(time.Minute)))
		// Somebody is at it.
		require.NoError(t, s.NoteDelivery(t.Context(), tried(l, "freshdesk", 2, book.DeliveryTrying, "no_identity", after(2*time.Minute))))
		project(t, s, l, l.owe("freshdesk", "no_identity", 2, after(2*time.Minute)))
		owed, next, err := s.Owed(t.Context(), book.DeliveryFilter{}, 10, "")
		require.NoError(t, err)
		require.Empty(t, next)
		require.Len(t, owed, 2)
		require.Equal(t, book.Delivery{
			OperationID: book.OperationID(l.ID, "oneview", 2), Destination: "oneview", CallbackID: l.ID, Seq: 2, Type: callback.TypeTagged,
			State: book.DeliveryOwed, Code: "unavailable", FirstAt: after(time.Minute), TriedAt: after(time.Minute),
		}, owed[0], "the longest owed first")
		require.Equal(t, []any{"freshdesk", book.DeliveryOwed, 1}, []any{owed[1].Destination, owed[1].State, owed[1].Tries})

		before, err := s.Digest(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.DropProjections(t.Context()))
		project(t, s, l, l.events)
		after1, err := s.Digest(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, after1, "R25")
		again, _, err := s.Owed(t.Context(), book.DeliveryFilter{}, 10, "")
		require.NoError(t, err)
		require.Equal(t, owed, again, "an original: a rebuild changes nothing in it")

		closed := opened(t, noon)
		closed.do(t, noon, manager("mgr1"), callback.Cancel{})
		keep(t, s, closed)
		missing := func() []string {
			ids, err := s.ClosedWithoutHistory(t.Context(), after(time.Hour), 10)
			require.NoError(t, err)
			return ids
		}
		require.Equal(t, []string{closed.ID}, missing())
		require.NoError(t, s.NoteDelivery(t.Context(), tried(closed, "smtp", 5, book.DeliveryOwed, "gone", noon)))
		require.Empty(t, missing(), "its run goes on")
		require.NoError(t, s.NoteDelivery(t.Context(), tried(closed, "smtp", 5, book.DeliveryDelivered, "", after(time.Minute))))
		require.Equal(t, []string{closed.ID}, missing())
		health, err := s.Health(t.Context(), "smtp")
		require.NoError(t, err)
		require.Equal(t, []callback.Instant{noon, after(time.Minute)}, []callback.Instant{health.LastFailure, health.LastSuccess}, "a success is no failure")

		project(t, s, l, l.do(t, after(3*time.Minute), manager("mgr1"), callback.Waive{Destination: "freshdesk", CopiedByHand: true}))
		d, err := s.Delivery(t.Context(), book.OperationID(l.ID, "freshdesk", 2))
		require.NoError(t, err)
		require.Equal(t, []any{book.DeliveryWaived, after(3 * time.Minute), callback.Instant{}}, []any{d.State, d.SettledAt, d.NextAt})
		confirmed := l.Confirm(l.policy, "oneview", 2, after(4*time.Minute).Time, (*callback.Calendar)(nil))
		l.events = append(l.events, confirmed...)
		project(t, s, l, confirmed)
		d, err = s.Delivery(t.Context(), book.OperationID(l.ID, "oneview", 2))
		require.NoError(t, err)
		require.Equal(t, book.DeliveryDelivered, d.State)
		counts, err := s.OwedCounts(t.Context())
		require.NoError(t, err)
		require.Empty(t, counts)
	})
}

func TestWhatIsOwedIsListedAndCounted(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon)
		keep(t, s, l)
		for i := range 7 {
			at := after(time.Duration(i/2) * time.Minute) // some at the same time
			destination, code := "freshdesk", "unavailable"
			if i%3 == 0 {
				destination, code = "oneview", "no_identity"
			}
			require.NoError(t, s.NoteDelivery(t.Context(), tried(l, destination, int64(i+1), book.DeliveryOwed, code, at)))
		}
		require.NoError(t, s.NoteDelivery(t.Context(), tried(l, "smtp", 1, book.DeliveryDelivered, "", noon)))
		counts, err := s.OwedCounts(t.Context())
		require.NoError(t, err)
		require.Equal(t, []book.OwedCount{
			{Destination: "freshdesk", Code: "unavailable", Count: 4, Oldest: noon},
			{Destination: "oneview", Code: "no_identity", Count: 3, Oldest: noon},
		}, counts)
		for _, size := range []int{1, 2, 3, 7, 10} {
			for name, list := range map[string]func(cursor string) ([]book.Delivery, string, error){
				"owed": func(cursor string) ([]book.Delivery, string, error) {
					return s.Owed(t.Context(), book.DeliveryFilter{}, size, cursor)
				},
				"log": func(cursor string) ([]book.Delivery, string, error) {
					return s.Deliveries(t.Context(), book.DeliveryFilter{}, size, cursor)
				},
			} {
				var all []book.Delivery
				for cursor := ""; ; {
					page, next, err := list(cursor)
					require.NoError(t, err)
					require.LessOrEqual(t, len(page), size)
					all = append(all, page...)
					if cursor = next; cursor == "" {
						break
					}
				}
				want, compare := 7, func(a, b book.Delivery) int { return a.FirstAt.Compare(b.FirstAt.Time) }
				if name == "log" {
					want, compare = 8, func(a, b book.Delivery) int { return b.TriedAt.Compare(a.TriedAt.Time) }
				}
				require.Len(t, all, want, "%s by %d", name, size)
				require.True(t, slices.IsSortedFunc(all, compare))
			}
		}
		only := func(f book.DeliveryFilter) int {
			page, _, err := s.Deliveries(t.Context(), f, 50, "")
			require.NoError(t, err)
			return len(page)
		}
		require.Equal(t, 3, only(book.DeliveryFilter{Destination: []string{"oneview"}}))
		require.Equal(t, 4, only(book.DeliveryFilter{Code: []string{"unavailable"}}))
		require.Equal(t, 1, only(book.DeliveryFilter{State: []book.DeliveryState{book.DeliveryDelivered, book.DeliveryWaived}}))
		require.Zero(t, only(book.DeliveryFilter{CallbackID: "another"}))
		_, cursor, err := s.Owed(t.Context(), book.DeliveryFilter{}, 2, "")
		require.NoError(t, err)
		for _, f := range []book.DeliveryFilter{{Destination: []string{"oneview"}}} {
			_, _, err = s.Owed(t.Context(), f, 2, cursor)
			require.ErrorIs(t, err, book.ErrBadCursor, "a cursor of other filters")
		}
		_, _, err = s.Deliveries(t.Context(), book.DeliveryFilter{}, 2, cursor)
		require.ErrorIs(t, err, book.ErrBadCursor, "of another list")
	})
}

func TestConnectorsRemember(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		_, found, err := s.Recall(t.Context(), "zohodesk", "task")
		require.NoError(t, err)
		require.False(t, found)
		for _, value := range []string{"1", "2"} {
			require.NoError(t, s.Remember(t.Context(), "zohodesk", "task", value))
			got, found, err := s.Recall(t.Context(), "zohodesk", "task")
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, value, got)
		}
		_, found, err = s.Recall(t.Context(), "freshdesk", "task")
		require.NoError(t, err)
		require.False(t, found, "each has its own")
		existing, first, err := s.Claim(t.Context(), "zohodesk", "task", "3")
		require.NoError(t, err)
		require.Equal(t, []any{"2", false}, []any{existing, first})
		var mu sync.Mutex
		winners := map[string]int{}
		together(12, func(i int) {
			existing, first, err := s.Claim(t.Context(), "freshdesk", "claimed", fmt.Sprint(i))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			winners[existing]++
			if first {
				winners["first"]++
			}
		})
		require.Len(t, winners, 2, "one claims, and all learn who")
		require.Equal(t, 1, winners["first"])
		for range 2 {
			require.NoError(t, s.Forget(t.Context(), "zohodesk", "task"))
		}
		_, first, err = s.Claim(t.Context(), "zohodesk", "task", "4")
		require.NoError(t, err)
		require.True(t, first)
	})
}

func TestMessagesAreKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		for i := range 5 {
			require.NoError(t, s.Keep(t.Context(), book.Message{
				ID: fmt.Sprintf("m%d", i), Connector: "servicebench", Received: after(time.Duration(i/2) * time.Minute),
				Reason: "no such type", Media: "text/csv", Body: []byte{0, 255, byte(i)},
			}))
		}
		require.NoError(t, s.Keep(t.Context(), book.Message{ID: "m0", Connector: "x", Reason: "still no such type", Body: []byte("other")}))
		require.NoError(t, s.Keep(t.Context(), book.Message{Connector: "mailbox", Reason: "DMARC"}))
		m, err := s.Message(t.Context(), "m0")
		require.NoError(t, err)
		require.Equal(t, book.Message{
			ID: "m0", Connector: "servicebench", Received: noon, Reason: "still no such type", Media: "text/csv", Body: []byte{0, 255, 0},
		}, m)
		_, err = s.Message(t.Context(), "m9")
		require.ErrorIs(t, err, book.ErrNotFound)

		require.NoError(t, s.Replayed(t.Context(), "m1", after(time.Hour), "not yet"))
		require.NoError(t, s.Replayed(t.Context(), "m2", after(time.Hour), ""))
		m, err = s.Message(t.Context(), "m1")
		require.NoError(t, err)
		require.Equal(t, []any{"not yet", 1, callback.Instant{}}, []any{m.Reason, m.Tries, m.ReplayedAt})
		m, err = s.Message(t.Context(), "m2")
		require.NoError(t, err)
		require.Equal(t, []any{"no such type", 1, after(time.Hour)}, []any{m.Reason, m.Tries, m.ReplayedAt})
		waiting, err := s.Waiting(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"servicebench": 4, "mailbox": 1}, waiting)

		var all []string
		for last := ""; ; {
			page, err := s.Messages(t.Context(), "servicebench", true, 2, last)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, m := range page {
				require.Nil(t, m.Body)
				all = append(all, m.ID)
			}
			last = all[len(all)-1]
		}
		require.Equal(t, []string{"m4", "m3", "m1", "m0"}, all)

		declined := book.Discard{At: after(2 * time.Hour), By: "adm", Reason: "forged"}
		require.NoError(t, s.Discard(t.Context(), "m0", declined))
		require.NoError(t, s.Discard(t.Context(), "m0", book.Discard{At: after(3 * time.Hour), By: "other", Reason: "late"}))
		require.NoError(t, s.Discard(t.Context(), "m2", declined))
		require.NoError(t, s.Replayed(t.Context(), "m0", after(4*time.Hour), ""))
		require.NoError(t, s.Keep(t.Context(), book.Message{ID: "m0", Connector: "servicebench", Reason: "still no such type", Body: []byte{0, 255, 0}}))
		m, err = s.Message(t.Context(), "m0")
		require.NoError(t, err)
		require.Equal(t, []any{&declined, 0, 0, callback.Instant{}}, []any{m.Discarded, len(m.Body), m.Tries, m.ReplayedAt}, "it stays declined, and empty")
		require.NoError(t, s.Discard(t.Context(), "m3", declined))
		require.NoError(t, s.Keep(t.Context(), book.Message{ID: "m3", Connector: "servicebench", Reason: "no phone number", Body: []byte{7}}))
		m, err = s.Message(t.Context(), "m3")
		require.NoError(t, err)
		require.Nil(t, m.Discarded, "another reason is for a person to see")
		require.Equal(t, []byte{7}, m.Body)
		m, err = s.Message(t.Context(), "m2")
		require.NoError(t, err)
		require.Nil(t, m.Discarded, "it was understood before")
		require.Len(t, m.Body, 3)
		waiting, err = s.Waiting(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"servicebench": 3, "mailbox": 1}, waiting)
		page, err := s.Messages(t.Context(), "servicebench", true, 9, "")
		require.NoError(t, err)
		require.Len(t, page, 3)
	})
}

func TestALeaseHasOneHolder(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		lease := func(holder string, now, until callback.Instant) bool {
			held, err := s.Lease(t.Context(), "runner", holder, now, until)
			require.NoError(t, err)
			return held
		}
		require.True(t, lease("a", noon, after(time.Minute)))
		require.True(t, lease("a", after(time.Second), after(2*time.Minute)), "one's own is renewed")
		require.False(t, lease("b", after(time.Minute), after(3*time.Minute)))
		require.True(t, lease("b", after(2*time.Minute), after(3*time.Minute)), "it ran out")
		require.True(t, lease("b", after(2*time.Minute), after(2*time.Minute)), "given up")
		require.True(t, lease("a", after(2*time.Minute), after(3*time.Minute)))
		var mu sync.Mutex
		won := 0
		together(12, func(i int) {
			held, err := s.Lease(t.Context(), "other", fmt.Sprint(i), noon, after(time.Minute))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if held {
				won++
			}
		})
		require.Equal(t, 1, won)
	})
}

func TestR23_OutagesAndWhatTheyAffect(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		o := book.Outage{ID: "o1", Queue: "Supervisors", LOB: "flights", Words: "Systems are down", DeclaredBy: "mgr1", DeclaredAt: noon}
		for _, words := range []string{"Systems are down", "Something else"} {
			declared := o
			declared.Words = words
			kept, err := s.Declare(t.Context(), declared)
			require.NoError(t, err)
			require.Equal(t, o, kept, "the same ID is the same outage")
		}
		byLOB := func(lob, system string) func(*book.Intake) {
			return func(i *book.Intake) {
				i.LOB = lob
				i.Source = &book.Source{System: system, Ref: newID("ref")}
			}
		}
		var affected []string
		for i := range 5 {
			l := opened(t, noon, byLOB("flights", "freshdesk"))
			if i == 4 {
				l.do(t, noon, manager("mgr1"), callback.Cancel{})
			} else {
				affected = append(affected, l.ID)
			}
			keep(t, s, l)
		}
		other := opened(t, noon, byLOB("trains", "zohodesk"))
		keep(t, s, other)
		all := func(o book.Outage) []string {
			var ids []string
			for last := ""; ; last = ids[len(ids)-1] {
				page, err := s.Affected(t.Context(), o, last, 2)
				require.NoError(t, err)
				if len(page) == 0 {
					return ids
				}
				ids = append(ids, page...)
			}
		}
		require.Equal(t, affected, all(o))
		require.Equal(t, []string{other.ID}, all(book.Outage{Source: "zohodesk"}))
		require.Len(t, all(book.Outage{Queue: "Supervisors"}), 5)
		require.Empty(t, all(book.Outage{Queue: "Managers"}))

		news := callback.OutageNews{Outage: "o1", By: "mgr1"}
		events := other.OutageBegan(other.policy, news, after(time.Minute).Time, (*callback.Calendar)(nil))
		other.events = append(other.events, events...)
		project(t, s, other, events)
		linked, err := s.Linked(t.Context(), "o1", "", 10)
		require.NoError(t, err)
		require.Equal(t, []string{other.ID}, linked)
		require.Empty(t, all(book.Outage{Source: "zohodesk"}), "linked already")
		counts, err := s.LinkedCounts(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"o1": 1}, counts)

		active, err := s.ActiveOutages(t.Context())
		require.NoError(t, err)
		require.Equal(t, []book.Outage{o}, active)
		over := func(before callback.Instant, limit int) []book.OutageLink {
			links, err := s.EndedLinks(t.Context(), before, limit)
			require.NoError(t, err)
			return links
		}
		require.Empty(t, over(after(3*time.Hour), 10), "it goes on")
		require.NoError(t, s.SayAtEnd(t.Context(), "o1", "All is well again"))
		require.NoError(t, s.EndOutage(t.Context(), "o1", "mgr2", after(time.Hour)))
		require.NoError(t, s.EndOutage(t.Context(), "o1", "mgr1", after(2*time.Hour)))
		require.NoError(t, s.Undeclare(t.Context(), "o1"))
		ended, err := s.Outage(t.Context(), "o1")
		require.NoError(t, err)
		require.Equal(t, []any{"mgr2", after(time.Hour), "All is well again", false}, []any{ended.EndedBy, ended.EndedAt, ended.EndWords, ended.Active()})
		active, err = s.ActiveOutages(t.Context())
		require.NoError(t, err)
		require.Empty(t, active)

		never := opened(t, after(time.Minute), byLOB("trains", "zohodesk"))
		keep(t, s, never)
		events = never.OutageBegan(never.policy, callback.OutageNews{Outage: "never", By: "mgr1"}, after(time.Minute).Time, (*callback.Calendar)(nil))
		project(t, s, never, events)
		late, gone := book.OutageLink{CallbackID: other.ID, Outage: "o1", EndedBy: "mgr2"}, book.OutageLink{CallbackID: never.ID, Outage: "never"}
		require.Equal(t, []book.OutageLink{gone}, over(after(time.Hour), 10))
		require.ElementsMatch(t, []book.OutageLink{late, gone}, over(after(2*time.Hour), 10))
		require.Len(t, over(after(2*time.Hour), 1), 1)
		events = other.OutageEnded(other.policy, callback.OutageNews{Outage: "o1", By: "mgr2"}, after(time.Hour).Time, (*callback.Calendar)(nil))
		project(t, s, other, events)
		require.Equal(t, []book.OutageLink{gone}, over(after(2*time.Hour), 10))

		_, err = s.Declare(t.Context(), book.Outage{ID: "o2", LOB: "trains", DeclaredBy: "mgr1", DeclaredAt: after(time.Minute)})
		require.NoError(t, err)
		page, err := s.Outages(t.Context(), 1, "")
		require.NoError(t, err)
		require.Equal(t, "o2", page[0].ID, "the newest first")
		page, err = s.Outages(t.Context(), 5, "o2")
		require.NoError(t, err)
		require.Equal(t, []book.Outage{ended}, page)
		require.NoError(t, s.Undeclare(t.Context(), "o2"))
		_, err = s.Outage(t.Context(), "o2")
		require.ErrorIs(t, err, book.ErrNotFound)
	})
}
