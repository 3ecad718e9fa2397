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

// member is somebody of a tier and its queues.
func member(id, tier string, queues ...string) book.Staff {
	return book.Staff{ID: id, Name: "Name of " + id, Tier: tier, Rank: 2, Queues: queues}
}

func employ(t testing.TB, s *store.Store, people ...book.Staff) {
	t.Helper()
	require.NoError(t, s.SyncStaff(t.Context(), people))
}

func say15(t testing.TB, s *store.Store, id string, state book.PresenceState, at callback.Instant) {
	t.Helper()
	_, err := s.SetPresence(t.Context(), id, state, at)
	require.NoError(t, err)
}

func TestTheStaffIsWhoTheConfigurationSays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		people, err := s.Staff(t.Context())
		require.NoError(t, err)
		require.Empty(t, people)

		b := book.Staff{
			ID: "b", Name: "Bee", Tier: "supervisor", Rank: 2, Queues: []string{"Z", "A"}, Capacity: 5, ReportsTo: "m",
			Shift:     &callback.Calendar{TimeZone: "Asia/Kolkata", Hours: map[string][]string{"mon-fri": {"09:00-13:00"}}},
			ShiftName: "weekdays", Identities: map[string]string{"freshdesk": "1"}, Roles: []string{"auditor"},
		}
		a := member("a", "agent")
		employ(t, s, b, a)
		people, err = s.Staff(t.Context())
		require.NoError(t, err)
		require.Equal(t, []book.Staff{a, b}, people)

		say15(t, s, "b", book.Available, noon)
		b.Queues, b.Capacity, b.Shift = []string{"A"}, 0, nil
		c := member("c", "agent", "A")
		employ(t, s, c, b)
		people, err = s.Staff(t.Context())
		require.NoError(t, err)
		require.Equal(t, []book.Staff{b, c}, people)
		present, err := s.Presences(t.Context(), noon)
		require.NoError(t, err)
		require.Len(t, present, 1, "who stays is as they were")
		employ(t, s)
		people, err = s.Staff(t.Context())
		require.NoError(t, err)
		require.Empty(t, people)
	})
}

func TestManyProcessesIntroduceTheStaffAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		var people []book.Staff
		for i := range 30 {
			people = append(people, member(fmt.Sprintf("p%02d", i), "agent", "A", "B"))
		}
		together(8, func(int) {
			if err := s.SyncStaff(t.Context(), people); err != nil {
				t.Error(err)
			}
		})
		now, err := s.Staff(t.Context())
		require.NoError(t, err)
		require.Equal(t, people, now)
	})
}

// Who works a callback is busy meanwhile, and then again as they were: nobody said anything.
func TestR21_WorkingACallbackTakesNobodyOutOfTheDraws(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("away", "agent", "Q"), member("free", "agent", "Q"), member("never", "agent", "Q"), member("offline", "agent", "Q"))
		say15(t, s, "free", book.Available, noon)
		say15(t, s, "away", book.Away, noon)
		say15(t, s, "offline", book.Offline, noon)
		work := func(now callback.Instant) {
			for _, id := range []string{"away", "free", "never", "offline", "nobody"} {
				require.NoError(t, s.MakeBusy(t.Context(), id, now))
			}
		}
		states := func(now callback.Instant) map[string]book.PresenceState {
			all, err := s.Presences(t.Context(), now)
			require.NoError(t, err)
			by := map[string]book.PresenceState{}
			for _, p := range all {
				by[p.StaffID] = p.State
			}
			return by
		}
		busy := map[string]book.PresenceState{"away": book.BusyState, "free": book.BusyState, "never": book.BusyState, "offline": book.BusyState}
		free := func(now callback.Instant) int {
			people, err := s.Free(t.Context(), "agent", "Q", now)
			require.NoError(t, err)
			return len(people)
		}
		drawn := func(id string, now callback.Instant) []string {
			record, err := s.Draw(t.Context(), book.DrawRequest{
				ID: id, CallbackID: id, Version: 1, Queue: "Q", Tier: "agent", Method: callback.AssignRoundRobin, At: now,
			})
			require.NoError(t, err)
			return record.Candidates
		}
		require.Equal(t, 1, free(noon))
		work(noon)
		require.Equal(t, busy, states(after(14*time.Minute)))
		require.Zero(t, free(noon), "not free for a transfer meanwhile")
		_, err := s.Reserve(t.Context(), book.Reservation{Tier: "agent", Queue: "Q", By: "x", ExpiresAt: after(time.Minute)}, noon)
		require.ErrorIs(t, err, book.ErrNoneAvailable)
		require.Len(t, drawn("d1", noon), 4, "busy is drawn")

		// What was said beneath goes on by its own rule.
		say15(t, s, "free", book.BusyState, after(10*time.Minute)) // a page renews what it shows
		require.Equal(t, map[string]book.PresenceState{"away": book.Offline, "free": book.BusyState, "offline": book.Offline}, states(after(15*time.Minute)))
		require.Equal(t, []string{"free", "never"}, drawn("d2", after(15*time.Minute)))
		require.Equal(t, map[string]book.PresenceState{"away": book.Offline, "free": book.Offline, "offline": book.Offline}, states(after(25*time.Minute)))
		require.Equal(t, []string{"never"}, drawn("d3", after(time.Hour)), "who never said anything is drawn for ever")

		// Who renews as busy what was never said has still said nothing.
		work(after(time.Hour))
		p, err := s.SetPresence(t.Context(), "never", book.BusyState, after(70*time.Minute))
		require.NoError(t, err)
		require.Equal(t, book.Presence{StaffID: "never", State: book.BusyState, Until: after(85 * time.Minute)}, p)
		require.Equal(t, book.BusyState, states(after(84 * time.Minute))["never"])
		require.NotContains(t, states(after(85*time.Minute)), "never")

		// A word of their own ends it; saying busy of oneself lapses to offline.
		work(after(2 * time.Hour))
		say15(t, s, "free", book.Available, after(121*time.Minute))
		require.Equal(t, book.Available, states(after(122 * time.Minute))["free"])
		require.Equal(t, 1, free(after(122*time.Minute)))
		say15(t, s, "never", book.BusyState, after(3*time.Hour))
		require.Equal(t, book.Offline, states(after(4 * time.Hour))["never"])
		// And saying what they are anyway makes them that again: available, until it lapses.
		say15(t, s, "free", book.Available, after(5*time.Hour))
		require.NoError(t, s.MakeBusy(t.Context(), "free", after(5*time.Hour-10*time.Minute)))
		require.Equal(t, book.BusyState, states(after(5 * time.Hour))["free"])
		require.Equal(t, book.Available, states(after(5*time.Hour + 6*time.Minute))["free"])
	})
}

// R01: what somebody said holds on as it is, whoever asks for that: it is neither
// said again nor something else.
func TestR01_RenewingSaysNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("away", "agent", "Q"), member("lapsed", "agent", "Q"), member("never", "agent", "Q"), member("offline", "agent", "Q"), member("worked", "agent", "Q"))
		say15(t, s, "away", book.Away, noon)
		say15(t, s, "lapsed", book.Available, after(-20*time.Minute))
		say15(t, s, "offline", book.Offline, noon)
		say15(t, s, "worked", book.Available, noon)
		require.NoError(t, s.MakeBusy(t.Context(), "worked", noon))
		renewed := func(id string, now callback.Instant) book.Presence {
			p, err := s.RenewPresence(t.Context(), id, now)
			require.NoError(t, err)
			return p
		}
		require.Equal(t, book.Presence{StaffID: "away", State: book.Away, Until: after(25 * time.Minute)}, renewed("away", after(10*time.Minute)))
		require.Equal(t, book.Offline, renewed("lapsed", after(10*time.Minute)).State)
		require.Equal(t, book.Offline, renewed("offline", after(10*time.Minute)).State)
		require.Equal(t, book.Presence{StaffID: "never"}, renewed("never", after(10*time.Minute)))
		// No callback of theirs goes on: it is over when it is over, and what they said has held on meanwhile.
		require.Equal(t, book.Presence{StaffID: "worked", State: book.BusyState, Until: after(15 * time.Minute)}, renewed("worked", after(10*time.Minute)))
		require.Equal(t, book.Available, renewed("worked", after(16*time.Minute)).State)
	})
}

func TestPresenceLapses(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("a", "agent"), member("b", "agent"), member("c", "agent"))
		p, err := s.SetPresence(t.Context(), "a", book.Away, noon)
		require.NoError(t, err)
		require.Equal(t, book.Presence{StaffID: "a", State: book.Away, Until: after(15 * time.Minute)}, p)
		p, err = s.SetPresence(t.Context(), "b", book.Offline, noon)
		require.NoError(t, err)
		require.Equal(t, book.Presence{StaffID: "b", State: book.Offline}, p)

		at := func(now callback.Instant) map[string]book.PresenceState {
			all, err := s.Presences(t.Context(), now)
			require.NoError(t, err)
			states := map[string]book.PresenceState{}
			for _, p := range all {
				states[p.StaffID] = p.State
			}
			return states
		}
		require.Equal(t, map[string]book.PresenceState{"a": book.Away, "b": book.Offline}, at(after(15*time.Minute-time.Millisecond)))
		require.Equal(t, map[string]book.PresenceState{"a": book.Offline, "b": book.Offline}, at(after(15*time.Minute)))
		say15(t, s, "a", book.Available, after(14*time.Minute))
		require.Equal(t, book.Available, at(after(16 * time.Minute))["a"], "renewed")
	})
}

func TestR01_WhoIsFree(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("a", "supervisor", "S"), member("b", "supervisor", "S", "T"), member("c", "manager", "S"),
			member("d", "supervisor", "S"), member("e", "supervisor", "S"))
		say15(t, s, "a", book.Available, noon)
		say15(t, s, "b", book.Available, noon)
		say15(t, s, "c", book.Available, noon)
		say15(t, s, "d", book.BusyState, noon) // e has never said anything
		free := func(tier, queue string, now callback.Instant) (ids []string) {
			people, err := s.Free(t.Context(), tier, queue, now)
			require.NoError(t, err)
			for _, p := range people {
				ids = append(ids, p.ID)
			}
			return ids
		}
		require.Equal(t, []string{"a", "b"}, free("supervisor", "S", noon))
		require.Equal(t, []string{"b"}, free("supervisor", "T", noon))
		require.Equal(t, []string{"a", "b", "c"}, free("", "S", noon))
		require.Equal(t, []string{"a", "b", "c"}, free("", "", noon))
		require.Empty(t, free("", "", after(15*time.Minute)))
		_, err := s.Reserve(t.Context(), book.Reservation{Tier: "supervisor", Queue: "T", By: "x", ExpiresAt: after(time.Minute)}, noon)
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, free("supervisor", "S", noon))
	})
}

func TestR01_OfManyWhoReserveOnePersonOneDoes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("a", "supervisor", "S"))
		say15(t, s, "a", book.Available, noon)
		var got atomic.Int32
		together(16, func(i int) {
			r, err := s.Reserve(t.Context(), book.Reservation{Tier: "supervisor", Queue: "S", By: fmt.Sprint(i), ExpiresAt: after(time.Minute)}, noon)
			switch {
			case err == nil && r.StaffID == "a" && r.ID != "":
				got.Add(1)
			case !errors.Is(err, book.ErrNoneAvailable):
				t.Errorf("%v %+v", err, r)
			}
		})
		require.EqualValues(t, 1, got.Load())
	})
}

func TestR01_ManyReserveManyAndNobodyTwice(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		var people []book.Staff
		for i := range 6 {
			people = append(people, member(fmt.Sprintf("p%d", i), "supervisor", "S"))
		}
		employ(t, s, people...)
		for _, p := range people {
			say15(t, s, p.ID, book.Available, noon)
		}
		taken := make(chan string, 20)
		var none atomic.Int32
		together(20, func(int) {
			r, err := s.Reserve(t.Context(), book.Reservation{Queue: "S", By: "x", ExpiresAt: after(time.Minute)}, noon)
			if errors.Is(err, book.ErrNoneAvailable) {
				none.Add(1)
			} else if err != nil {
				t.Error(err)
			} else {
				taken <- r.StaffID
			}
		})
		close(taken)
		var ids []string
		for id := range taken {
			ids = append(ids, id)
		}
		require.ElementsMatch(t, []string{"p0", "p1", "p2", "p3", "p4", "p5"}, ids)
		require.EqualValues(t, 14, none.Load())
	})
}

func TestAReservationLapsesByItself(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("a", "supervisor", "S"), member("b", "supervisor", "S"))
		say15(t, s, "a", book.Available, noon)
		reserve := func(id, by string, now callback.Instant) (book.Reservation, error) {
			return s.Reserve(t.Context(), book.Reservation{ID: id, Tier: "supervisor", Queue: "S", By: by, ExpiresAt: now.Plus(callback.Duration(time.Minute))}, now)
		}
		_, err := reserve("r0", "a", noon)
		require.ErrorIs(t, err, book.ErrNoneAvailable, "nobody reserves themselves")
		r, err := reserve("r1", "x", noon)
		require.NoError(t, err)
		require.Equal(t, book.Reservation{ID: "r1", StaffID: "a", Tier: "supervisor", Queue: "S", By: "x", ExpiresAt: after(time.Minute)}, r)
		again, err := reserve("r1", "x", after(time.Second))
		require.NoError(t, err)
		require.Equal(t, r, again, "the same again is the same")
		kept, err := s.Reservation(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, r, kept)

		state := func(now callback.Instant) book.Presence {
			all, err := s.Presences(t.Context(), now)
			require.NoError(t, err)
			require.Len(t, all, 1)
			return all[0]
		}
		require.Equal(t, book.Presence{StaffID: "a", State: book.BusyState, Until: after(15 * time.Minute), ReservedUntil: after(time.Minute)}, state(noon))
		say15(t, s, "a", book.Available, after(time.Second)) // a page that renews frees nobody
		require.Equal(t, book.BusyState, state(after(2*time.Second)).State)
		_, err = reserve("r2", "y", after(59*time.Second))
		require.ErrorIs(t, err, book.ErrNoneAvailable)
		require.Equal(t, book.Available, state(after(time.Minute)).State)
		_, err = reserve("r2", "y", after(time.Minute))
		require.NoError(t, err)

		// The longest unreserved comes first.
		say15(t, s, "b", book.Available, after(time.Minute))
		r, err = reserve("r3", "z", after(3*time.Minute))
		require.NoError(t, err)
		require.Equal(t, "b", r.StaffID)
		r, err = reserve("r4", "z", after(3*time.Minute))
		require.NoError(t, err)
		require.Equal(t, "a", r.StaffID)
		require.Equal(t, book.Offline, state2(t, s, "a", after(time.Hour)))
	})
}

func state2(t testing.TB, s *store.Store, id string, now callback.Instant) book.PresenceState {
	t.Helper()
	all, err := s.Presences(t.Context(), now)
	require.NoError(t, err)
	for _, p := range all {
		if p.StaffID == id {
			return p.State
		}
	}
	return ""
}

func TestR06_AReservationIsUsedOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("a", "supervisor", "S"), member("b", "supervisor", "S"))
		say15(t, s, "a", book.Available, noon)
		r, err := s.Reserve(t.Context(), book.Reservation{ID: "r", Queue: "S", By: "x", ExpiresAt: after(time.Minute)}, noon)
		require.NoError(t, err)
		use := func(errand, reservation string, at callback.Instant) (*book.Errand, error) {
			return s.Begin(t.Context(), book.Begin{
				Errand: book.Errand{ID: errand, Command: "escalate", CallbackID: "c" + errand, CreatedAt: at}, Reservation: reservation,
			})
		}
		var used atomic.Int32
		together(10, func(i int) {
			switch _, err := use(fmt.Sprint(i), r.ID, noon); {
			case err == nil:
				used.Add(1)
			case !errors.Is(err, book.ErrNoneAvailable):
				t.Error(err)
			}
		})
		require.EqualValues(t, 1, used.Load())
		r, err = s.Reservation(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, noon, r.UsedAt)
		begun, err := s.OpenErrands(t.Context(), after(time.Hour), 10)
		require.NoError(t, err)
		require.Len(t, begun, 1, "of those that did not get it nothing is left")
		require.Equal(t, begun[0].ID, r.ErrandID)
		existing, err := use(r.ErrandID, r.ID, noon)
		require.NoError(t, err)
		require.NotNil(t, existing, "it is its own already")

		// It was refused: another may have it, as long as it is live.
		require.NoError(t, s.Drop(t.Context(), "none"))
		_, err = use("next", r.ID, noon)
		require.ErrorIs(t, err, book.ErrNoneAvailable)
		require.NoError(t, s.Drop(t.Context(), r.ErrandID))
		_, err = use("next", r.ID, after(time.Minute))
		require.ErrorIs(t, err, book.ErrNoneAvailable, "it has lapsed")
		_, err = use("next", r.ID, after(time.Second))
		require.NoError(t, err)
		r, err = s.Reservation(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, []any{after(time.Second), "next"}, []any{r.UsedAt, r.ErrandID})

		require.Equal(t, book.Available, state2(t, s, "a", after(2*time.Minute)))
		require.NoError(t, s.Transferred(t.Context(), r.ID))
		require.Equal(t, book.BusyState, state2(t, s, "a", after(2*time.Minute)), "on the call until they say otherwise")
		say15(t, s, "a", book.Available, after(3*time.Minute))
		require.NoError(t, s.Transferred(t.Context(), r.ID))
		require.Equal(t, book.Available, state2(t, s, "a", after(3*time.Minute)))

		say15(t, s, "b", book.Available, noon)
		lapsed, err := s.Reserve(t.Context(), book.Reservation{Queue: "S", By: "a", ExpiresAt: after(time.Minute)}, noon)
		require.NoError(t, err)
		late := after(time.Minute)
		_, err = use("late", lapsed.ID, late)
		require.ErrorIs(t, err, book.ErrNoneAvailable)
		require.Equal(t, book.Available, state2(t, s, "b", late))

		swept, err := s.SweepReservations(t.Context(), after(time.Minute+time.Millisecond))
		require.NoError(t, err)
		require.EqualValues(t, 2, swept)
	})
}
