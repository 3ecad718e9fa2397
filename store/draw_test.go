package store_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/store"
)

func drawFor(l *life, method callback.Assign) book.DrawRequest {
	return book.DrawRequest{
		ID: fmt.Sprintf("%s@%d", l.ID, l.Version), CallbackID: l.ID, Version: l.Version, Queue: l.Queue, Tier: l.Tier,
		Method: method, Avoid: l.LastAssignee, At: noon,
	}
}

// assign projects that a draw was acted on.
func assign(t testing.TB, s *store.Store, l *life, r book.DrawRecord) {
	t.Helper()
	events := l.Assign(l.policy, callback.Draw{ID: r.ID, To: r.To, Candidates: r.Candidates}, noon.Time, (*callback.Calendar)(nil))
	l.events = append(l.events, events...)
	project(t, s, l, events)
}

func drawn(t testing.TB, s *store.Store, r book.DrawRequest) string {
	t.Helper()
	record, err := s.Draw(t.Context(), r)
	require.NoError(t, err)
	return record.To
}

func withCapacity(p book.Staff, n int) book.Staff {
	p.Capacity = n
	return p
}

func TestR21_EveryDrawIsRecordedWithItsCandidates(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		var asked []int
		s := open(t, store.Options{Pick: func(n int) int { asked = append(asked, n); return n - 1 }})
		employ(t, s, member("b", "supervisor", "Supervisors"), member("a", "supervisor", "Supervisors"), member("x", "supervisor", "Managers"))
		l := openedWith(t, policy(callback.AssignRandom), noon)
		keep(t, s, l)
		request := drawFor(l, callback.AssignRandom)
		record, err := s.Draw(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, book.DrawRecord{DrawRequest: request, Candidates: []string{"a", "b"}, To: "b"}, record)
		again, err := s.Draw(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, record, again)
		require.Equal(t, []int{2}, asked, "the same draw is drawn once")

		for _, c := range []struct {
			queue    string
			from, to callback.Instant
			want     int
		}{{"Supervisors", noon, after(1), 0}, {"Supervisors", noon, after(time.Second), 1}, {"", noon, after(time.Second), 1}, {"Managers", noon, after(time.Second), 0}} {
			ledger, err := s.Draws(t.Context(), c.queue, c.from, c.to)
			require.NoError(t, err)
			require.Len(t, ledger, c.want, "%+v", c)
			if c.want > 0 {
				require.Equal(t, record, ledger[0])
			}
		}
		_, err = s.Draw(t.Context(), book.DrawRequest{ID: "pull", Queue: "Supervisors", Method: callback.AssignPull})
		require.Error(t, err)
	})
}

func TestR21_WhoCanBeDrawn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		q := "Supervisors"
		off := member("offshift", "supervisor", q)
		off.Shift = &callback.Calendar{TimeZone: "UTC", Hours: map[string][]string{"daily": {"13:00-18:00"}}}
		on := member("onshift", "supervisor", q)
		on.Shift = &callback.Calendar{TimeZone: "UTC", Hours: map[string][]string{"daily": {"09:00-18:00"}}}
		employ(t, s, off, on, member("away", "supervisor", q), member("offline", "supervisor", q), member("lapsed", "supervisor", q),
			member("busy", "supervisor", q), member("available", "supervisor", q), member("silent", "supervisor", q),
			member("elsewhere", "supervisor", "Managers"), withCapacity(member("full", "supervisor", q), 1),
			withCapacity(member("roomy", "supervisor", q), 2))
		say15(t, s, "away", book.Away, noon)
		say15(t, s, "offline", book.Offline, noon)
		say15(t, s, "lapsed", book.Available, after(-16*time.Minute))
		say15(t, s, "busy", book.BusyState, noon)
		say15(t, s, "available", book.Available, noon)
		for _, id := range []string{"full", "roomy"} {
			l := opened(t, noon)
			l.do(t, noon, supervisor(id), callback.Claim{})
			keep(t, s, l)
			closed := opened(t, noon)
			closed.do(t, noon, supervisor(id), callback.Claim{})
			closed.do(t, noon, manager("m"), callback.Cancel{})
			keep(t, s, closed)
		}
		l := openedWith(t, policy(callback.AssignRandom), noon)
		keep(t, s, l)
		record, err := s.Draw(t.Context(), drawFor(l, callback.AssignRandom))
		require.NoError(t, err)
		require.Equal(t, []string{"available", "busy", "onshift", "roomy", "silent"}, record.Candidates)
		require.Contains(t, record.Candidates, record.To)
	})
}

func TestR21_WhoHadItLastIsDrawnOnlyAlone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("a", "supervisor", "Supervisors"), member("b", "supervisor", "Supervisors"))
		r := book.DrawRequest{ID: "1", CallbackID: "c", Version: 1, Queue: "Supervisors", Method: callback.AssignRandom, Avoid: "a", At: noon}
		for i := range 5 {
			r.ID = fmt.Sprint(i)
			record, err := s.Draw(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, []string{"b"}, record.Candidates)
		}
		say15(t, s, "b", book.Away, noon)
		r.ID = "alone"
		require.Equal(t, "a", drawn(t, s, r))
	})
}

func TestR21_RoundRobinGoesRound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("a", "supervisor", "Q", "P"), member("b", "supervisor", "Q"), member("c", "supervisor", "Q"))
		r := book.DrawRequest{Queue: "Q", Method: callback.AssignRoundRobin, At: noon}
		turn := func(n int, queue string) string {
			r.ID, r.CallbackID, r.Queue = fmt.Sprint(n), fmt.Sprint(n), queue
			return drawn(t, s, r)
		}
		var order []string
		for i := range 7 {
			order = append(order, turn(i, "Q"))
		}
		require.Equal(t, []string{"a", "b", "c", "a", "b", "c", "a"}, order)
		require.Equal(t, "a", turn(100, "P"))
		require.Equal(t, "b", turn(101, "Q"), "each queue goes round by itself")
	})
}

func TestR21_LeastLoadedIsDrawn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("a", "supervisor", "Supervisors"), member("b", "supervisor", "Supervisors"), member("c", "supervisor", "Supervisors"))
		for _, id := range []string{"a", "a", "b"} {
			l := opened(t, noon)
			l.do(t, noon, supervisor(id), callback.Claim{})
			keep(t, s, l)
		}
		var order []string
		for range 6 {
			l := openedWith(t, policy(callback.AssignLeastLoaded), noon)
			keep(t, s, l)
			record, err := s.Draw(t.Context(), drawFor(l, callback.AssignLeastLoaded))
			require.NoError(t, err)
			order = append(order, record.To)
			if len(order)%2 == 0 { // others are not in the read model yet: their draws count
				assign(t, s, l, record)
			}
		}
		// 2,1,0 → c → 2,1,1: c was drawn before, b never → b → 2,2,1 → c → 2,2,2 → a, never drawn → b, c.
		require.Equal(t, []string{"c", "b", "c", "a", "b", "c"}, order)
	})
}

func TestR21_CapacityIsNeverExceeded(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		// b belongs to both queues: draws in one count in the other.
		employ(t, s, withCapacity(member("a", "supervisor", "Supervisors"), 3), withCapacity(member("b", "supervisor", "Supervisors", "Managers"), 2),
			withCapacity(member("c", "manager", "Managers"), 3))
		const callbacks = 24
		var lives []*life
		for i := range callbacks {
			p := policy(callback.AssignRandom)
			p.Ladder[0].Queue = []string{"Supervisors", "Managers"}[i%2]
			l := openedWith(t, p, noon)
			keep(t, s, l)
			lives = append(lives, l)
		}
		var got [callbacks]string
		together(callbacks, func(i int) {
			record, err := s.Draw(t.Context(), drawFor(lives[i], callback.AssignRandom))
			if errors.Is(err, book.ErrNoneAvailable) {
				return
			} else if err != nil {
				t.Error(err)
				return
			}
			got[i] = record.To
			if i%3 == 0 { // the projection of the others lags behind
				l := lives[i]
				events := l.Assign(l.policy, callback.Draw{ID: record.ID, To: record.To}, noon.Time, (*callback.Calendar)(nil))
				if _, err := s.Project(t.Context(), l.batch(events)); err != nil {
					t.Error(err)
				}
			}
		})
		has := map[string]int{}
		for _, who := range got {
			has[who]++
		}
		delete(has, "")
		require.Equal(t, map[string]int{"a": 3, "b": 2, "c": 3}, has)
	})
}

func TestR21_WhatWasDrawnForAndClaimedBySomebodyElseIsNoLoad(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, withCapacity(member("a", "supervisor", "Supervisors"), 1))
		first, second := openedWith(t, policy(callback.AssignRandom), noon), openedWith(t, policy(callback.AssignRandom), noon)
		keep(t, s, first)
		keep(t, s, second)
		drawn(t, s, drawFor(first, callback.AssignRandom))
		_, err := s.Draw(t.Context(), drawFor(second, callback.AssignRandom))
		require.ErrorIs(t, err, book.ErrNoneAvailable)
		project(t, s, first, first.do(t, noon, supervisor("somebody"), callback.Claim{}))
		require.Equal(t, "a", drawn(t, s, drawFor(second, callback.AssignRandom)))
	})
}

func TestACallbackWaitsForSomebodyToBeDrawn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("a", "supervisor", "Supervisors"))
		say15(t, s, "a", book.Away, noon)
		var lives []*life
		for i := range 3 {
			l := openedWith(t, policy(callback.AssignRandom), after(-time.Duration(i)*time.Minute))
			keep(t, s, l)
			lives = append(lives, l)
			for range 2 {
				_, err := s.Draw(t.Context(), drawFor(l, callback.AssignRandom))
				require.ErrorIs(t, err, book.ErrNoneAvailable)
			}
		}
		waits := func(queues ...string) []string {
			ids, err := s.DrawWaits(t.Context(), queues)
			require.NoError(t, err)
			return ids
		}
		require.Equal(t, []string{lives[2].ID, lives[1].ID, lives[0].ID}, waits("Supervisors", "Managers"))
		require.Empty(t, waits("Managers"))
		require.Empty(t, waits())
		project(t, s, lives[1], lives[1].do(t, noon, supervisor("somebody"), callback.Claim{}))
		require.Equal(t, []string{lives[2].ID, lives[0].ID}, waits("Supervisors"))
		say15(t, s, "a", book.Available, noon)
		drawn(t, s, drawFor(lives[2], callback.AssignRandom))
		require.Equal(t, []string{lives[0].ID}, waits("Supervisors"))
	})
}

// Of 600 draws among three people each gets a third, as chance has it: the
// bound fails once in some 10,000 runs of a fair draw.
func TestR21_ARandomDrawIsFair(t *testing.T) {
	t.Parallel()
	s := openSQLite(t, store.Options{})
	employ(t, s, member("a", "supervisor", "Q"), member("b", "supervisor", "Q"), member("c", "supervisor", "Q"))
	const draws = 600
	var n atomic.Int64
	got := map[string]float64{}
	for range draws {
		id := fmt.Sprint(n.Add(1))
		got[drawn(t, s, book.DrawRequest{ID: id, CallbackID: id, Queue: "Q", Method: callback.AssignRandom, At: noon})]++
	}
	chi := 0.0
	for _, who := range []string{"a", "b", "c"} {
		d := got[who] - draws/3
		chi += d * d / (draws / 3)
	}
	require.Less(t, chi, 25.0, "%v", got)
}

func TestR24_AnAuditorIsNeitherDrawnNorReserved(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		auditor := member("a", "supervisor", "Supervisors")
		auditor.Roles = []string{"admin", "auditor"}
		employ(t, s, auditor)
		say15(t, s, "a", book.Available, noon)
		reserve := func() (book.Reservation, error) {
			return s.Reserve(t.Context(), book.Reservation{Tier: "supervisor", Queue: "Supervisors", By: "x", ExpiresAt: after(time.Minute)}, noon)
		}
		r := book.DrawRequest{ID: "1", CallbackID: "c", Version: 1, Queue: "Supervisors", Method: callback.AssignRandom, At: noon}
		_, err := s.Draw(t.Context(), r)
		require.ErrorIs(t, err, book.ErrNoneAvailable)
		_, err = reserve()
		require.ErrorIs(t, err, book.ErrNoneAvailable)

		employ(t, s, auditor, member("b", "supervisor", "Supervisors"))
		say15(t, s, "b", book.Available, noon)
		record, err := s.Draw(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, []string{"b"}, record.Candidates)
		reserved, err := reserve()
		require.NoError(t, err)
		require.Equal(t, "b", reserved.StaffID)
	})
}
