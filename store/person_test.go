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

func met(id, subject string, claimed ...book.Attribute) book.Meeting {
	return book.Meeting{
		Subject: subject, Claimed: claimed,
		Person: book.Person{Staff: book.Staff{ID: id, Name: "Claimed " + id, Tier: "supervisor", Rank: 2, Queues: []string{"A"}, Roles: []string{"admin"}}},
	}
}

var allClaimed = []book.Attribute{book.AttributeName, book.AttributeTier, book.AttributeQueues, book.AttributeRoles}

func TestWhoIsMetIsAddedAndChanged(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		_, err := s.Meet(t.Context(), met("x", "s1", book.AttributeName))
		require.ErrorIs(t, err, book.ErrNobodyHere)
		p, err := s.Meet(t.Context(), met("x", "s1", allClaimed...))
		require.NoError(t, err)
		kept, err := s.Person(t.Context(), "x")
		require.NoError(t, err)
		require.Equal(t, kept, p)
		require.Equal(t, book.Person{Staff: met("x", "").Person.Staff, Version: 1, Origin: book.OriginSignIn, Subject: "s1"}, p)
		p, err = s.Meet(t.Context(), met("x", "s1", allClaimed...))
		require.NoError(t, err)
		require.EqualValues(t, 1, p.Version, "nothing has changed")
		_, err = s.Meet(t.Context(), met("x", "s2", allClaimed...))
		require.ErrorIs(t, err, book.ErrSomebodyElse)
		p, err = s.Meet(t.Context(), met("y", "s1", allClaimed...))
		require.NoError(t, err)
		require.Equal(t, "x", p.ID, "whoever is renamed stays who they are")
		require.Equal(t, "Claimed y", p.Name)
		require.EqualValues(t, 2, p.Version)
	})
}

func TestManyMeetOnePersonAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		var refused, became atomic.Int32
		together(8, func(n int) {
			_, err := s.Meet(t.Context(), met("x", fmt.Sprintf("s%d", n%2), allClaimed...))
			switch {
			case errors.Is(err, book.ErrSomebodyElse):
				refused.Add(1)
			case err != nil:
				t.Error(err)
			default:
				became.Add(1)
			}
		})
		require.EqualValues(t, 4, refused.Load(), "one subject has the id")
		require.EqualValues(t, 4, became.Load())
	})
}

func TestWhatIsPinnedStays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("x", "agent", "A"))
		pin := func(p book.Person, which ...book.Attribute) {
			t.Helper()
			_, err := s.EditPerson(t.Context(), "x", func(r book.Roster) (book.Person, error) {
				now := *r.Person("x")
				now.Set(p, which)
				return now, nil
			}, nil)
			require.NoError(t, err)
		}
		pin(book.Person{Staff: book.Staff{Queues: []string{"B"}, Capacity: 7}}, book.AttributeQueues, book.AttributeCapacity)
		employ(t, s, member("x", "agent", "C"))
		p, err := s.Meet(t.Context(), met("x", "s1", allClaimed...))
		require.NoError(t, err)
		require.Equal(t, []string{"B"}, p.Queues)
		require.Equal(t, 7, p.Capacity)
		require.Equal(t, "supervisor", p.Tier)
		require.Equal(t, []book.Attribute{book.AttributeQueues, book.AttributeCapacity}, p.Pinned)

		// Once they sign in, the file says nothing of them any more.
		employ(t, s)
		again, err := s.Person(t.Context(), "x")
		require.NoError(t, err)
		require.Equal(t, p, again)

		_, err = s.EditPerson(t.Context(), "x", func(r book.Roster) (book.Person, error) {
			now := *r.Person("x")
			now.Unpin([]book.Attribute{book.AttributeQueues})
			return now, nil
		}, nil)
		require.NoError(t, err)
		p, err = s.Meet(t.Context(), met("x", "s1", allClaimed...))
		require.NoError(t, err)
		require.Equal(t, []string{"A"}, p.Queues, "given back")
	})
}

// A sign-in that is taken from a person ends wherever it was used.
func TestWhoeverSignedInAsSomebodyElseIsOut(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		_, err := s.Meet(t.Context(), met("x", "s1", allClaimed...))
		require.NoError(t, err)
		require.NoError(t, s.KeepSession(t.Context(), book.Session{ID: "hash", StaffID: "x", Data: []byte("d"), ExpiresAt: noon.Plus(callback.Duration(time.Hour))}))
		edit := func(change func(*book.Person)) {
			_, err := s.EditPerson(t.Context(), "x", func(r book.Roster) (book.Person, error) {
				now := *r.Person("x")
				change(&now)
				return now, nil
			}, nil)
			require.NoError(t, err)
		}
		edit(func(p *book.Person) {
			p.Set(book.Person{Staff: book.Staff{Capacity: 3}}, []book.Attribute{book.AttributeCapacity})
		})
		_, err = s.Session(t.Context(), "hash")
		require.NoError(t, err)
		edit(func(p *book.Person) { p.Subject = "" })
		_, err = s.Session(t.Context(), "hash")
		require.ErrorIs(t, err, book.ErrNotFound)
	})
}

func TestWhoIsDeactivatedIsGoneEverywhere(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("x", "agent", "A"), member("y", "agent", "A"))
		say15(t, s, "x", book.Available, noon)
		until := noon.Plus(callback.Duration(time.Hour))
		require.NoError(t, s.KeepSession(t.Context(), book.Session{ID: "hash", StaffID: "x", Data: []byte("d"), ExpiresAt: until}))
		require.NoError(t, s.KeepSession(t.Context(), book.Session{ID: "other", StaffID: "y", Data: []byte("d"), ExpiresAt: until}))
		_, err := s.EditPerson(t.Context(), "x", func(r book.Roster) (book.Person, error) {
			now := *r.Person("x")
			now.Set(book.Person{Inactive: true}, []book.Attribute{book.AttributeActive})
			return now, nil
		}, nil)
		require.NoError(t, err)
		people, err := s.Staff(t.Context())
		require.NoError(t, err)
		require.Len(t, people, 1)
		all, err := s.People(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 2)
		free, err := s.Free(t.Context(), "agent", "A", noon)
		require.NoError(t, err)
		require.Empty(t, free)
		_, err = s.Reserve(t.Context(), book.Reservation{Tier: "agent", Queue: "A", By: "y", ExpiresAt: until}, noon)
		require.ErrorIs(t, err, book.ErrNoneAvailable)
		_, err = s.Session(t.Context(), "hash")
		require.ErrorIs(t, err, book.ErrNotFound)
		_, err = s.Session(t.Context(), "other")
		require.NoError(t, err)
		drawn, err := s.Draw(t.Context(), book.DrawRequest{ID: "d1", CallbackID: "c1", Version: 1, Queue: "A", Tier: "agent", Method: callback.AssignRandom, At: noon})
		require.NoError(t, err)
		require.Equal(t, []string{"y"}, drawn.Candidates)
		employ(t, s, member("x", "agent", "A"))
		p, err := s.Person(t.Context(), "x")
		require.NoError(t, err)
		require.True(t, p.Inactive, "the file does not bring back whom an administrator has let go")
		met, err := s.Meet(t.Context(), met("x", "s1", allClaimed...))
		require.NoError(t, err)
		require.True(t, met.Inactive, "nor does a sign-in")
		require.Empty(t, met.Subject)
	})
}

func TestWhoLeavesTheFileComesBackWithIt(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("x", "agent", "A"))
		employ(t, s)
		p, err := s.Person(t.Context(), "x")
		require.NoError(t, err)
		require.True(t, p.Inactive)
		require.EqualValues(t, 2, p.Version)
		employ(t, s, member("x", "agent", "A"))
		people, err := s.Staff(t.Context())
		require.NoError(t, err)
		require.Equal(t, []book.Staff{member("x", "agent", "A")}, people)
	})
}

func TestOneChangesAPersonAtATime(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		employ(t, s, member("x", "agent", "A"))
		together(8, func(int) {
			_, err := s.EditPerson(t.Context(), "x", func(r book.Roster) (book.Person, error) {
				now := *r.Person("x")
				now.Capacity++
				return now, nil
			}, nil)
			if err != nil {
				t.Error(err)
			}
		})
		p, err := s.Person(t.Context(), "x")
		require.NoError(t, err)
		require.Equal(t, 8, p.Capacity)
		require.EqualValues(t, 9, p.Version)

		refused := errors.New("refused")
		_, err = s.EditPerson(t.Context(), "x", func(book.Roster) (book.Person, error) { return book.Person{}, refused }, nil)
		require.Equal(t, refused, err, "as it is")
		_, err = s.Person(t.Context(), "nobody")
		require.ErrorIs(t, err, book.ErrNotFound)
	})
}

func TestAnEditIsConcludedOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		add := func(id string) error {
			_, err := s.EditPerson(t.Context(), id, func(book.Roster) (book.Person, error) {
				return book.Person{Staff: member(id, "agent"), Origin: book.OriginAdmin}, nil
			}, func(p book.Person) (*book.Errand, error) {
				return &book.Errand{ID: "e1", Key: "k", Digest: "d", CreatedAt: noon, Answer: &book.Answer{Status: 201, Body: []byte(p.ID)}}, nil
			})
			return err
		}
		require.NoError(t, add("x"))
		require.ErrorIs(t, add("y"), book.ErrRepeated)
		_, err := s.Person(t.Context(), "y")
		require.ErrorIs(t, err, book.ErrNotFound, "all of it or nothing")
		e, err := s.Errand(t.Context(), "e1")
		require.NoError(t, err)
		require.Equal(t, &book.Answer{Status: 201, Body: []byte("x")}, e.Answer)
		left, err := s.OpenErrands(t.Context(), noon.Plus(callback.Duration(time.Hour)), 10)
		require.NoError(t, err)
		require.Empty(t, left, "there is nothing left to do about it")
	})
}

func TestRanksAndShiftsAreTheConfigurations(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		x := member("x", "agent", "A")
		x.ShiftName, x.Shift = "days", &callback.Calendar{TimeZone: "UTC", Hours: map[string][]string{"mon": {"09:00-10:00"}}}
		employ(t, s, x, member("y", "gone"))
		days := &callback.Calendar{TimeZone: "UTC", Hours: map[string][]string{"mon": {"08:00-10:00"}}}
		for range 2 {
			require.NoError(t, s.ReviseStaff(t.Context(), map[string]int{"agent": 5}, map[string]*callback.Calendar{"days": days}))
		}
		p, err := s.Person(t.Context(), "x")
		require.NoError(t, err)
		require.Equal(t, 5, p.Rank)
		require.Equal(t, days.Hours, p.Shift.Hours)
		require.EqualValues(t, 2, p.Version)
		p, err = s.Person(t.Context(), "y")
		require.NoError(t, err)
		require.EqualValues(t, 1, p.Version, "a tier that is gone stays as it was")
	})
}

func TestSessionsAreKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		_, err := s.Session(t.Context(), "a")
		require.ErrorIs(t, err, book.ErrNotFound)
		until := noon.Plus(callback.Duration(time.Hour))
		a := book.Session{ID: "a", Data: []byte{0, 1, 255}, ExpiresAt: until}
		require.NoError(t, s.KeepSession(t.Context(), a))
		kept, err := s.Session(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, a, kept)
		a.StaffID, a.Data = "x", []byte("more")
		require.NoError(t, s.KeepSession(t.Context(), a))
		later := until.Plus(callback.Duration(time.Minute))
		require.NoError(t, s.ExtendSession(t.Context(), "a", later))
		require.NoError(t, s.ExtendSession(t.Context(), "gone", later))
		a.ExpiresAt = later
		kept, err = s.Session(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, a, kept)
		_, err = s.Session(t.Context(), "gone")
		require.ErrorIs(t, err, book.ErrNotFound, "what is forgotten does not come back")
		swept, err := s.SweepSessions(t.Context(), until)
		require.NoError(t, err)
		require.Zero(t, swept)
		swept, err = s.SweepSessions(t.Context(), later)
		require.NoError(t, err)
		require.EqualValues(t, 1, swept)
		require.NoError(t, s.KeepSession(t.Context(), a))
		for range 2 {
			require.NoError(t, s.DropSession(t.Context(), "a"))
		}
		_, err = s.Session(t.Context(), "a")
		require.ErrorIs(t, err, book.ErrNotFound)
	})
}

func TestKeysAreKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		_, err := s.Key(t.Context(), "a")
		require.ErrorIs(t, err, book.ErrNotFound)
		a := book.Key{ID: "a", Name: "x", Scopes: []string{"read"}, Hash: []byte{0, 255}, CreatedAt: noon, CreatedBy: "adm", ExpiresAt: noon.Plus(callback.Duration(time.Hour))}
		b := a
		b.ID, b.Scopes, b.CreatedAt = "b", []string{}, noon.Plus(callback.Duration(time.Second))
		e := &book.Errand{ID: "e", Key: "k", Digest: "d", CreatedAt: noon, Answer: &book.Answer{Status: 201}}
		require.NoError(t, s.AddKey(t.Context(), a, e))
		require.ErrorIs(t, s.AddKey(t.Context(), b, e), book.ErrRepeated)
		require.NoError(t, s.AddKey(t.Context(), b, nil))
		kept, err := s.Key(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, a, kept)
		all, err := s.Keys(t.Context())
		require.NoError(t, err)
		require.Equal(t, []book.Key{b, a}, all)

		use := func(at time.Duration) callback.Instant {
			t.Helper()
			now := noon.Plus(callback.Duration(at))
			require.NoError(t, s.UseKey(t.Context(), "a", now, now.Plus(-callback.Duration(time.Minute))))
			kept, err := s.Key(t.Context(), "a")
			require.NoError(t, err)
			return kept.LastUsedAt
		}
		require.Equal(t, noon, use(0))
		require.Equal(t, noon, use(59*time.Second), "at most once a minute")
		require.Equal(t, noon.Plus(callback.Duration(time.Minute)), use(time.Minute))

		_, err = s.RevokeKey(t.Context(), "gone", "adm", noon)
		require.ErrorIs(t, err, book.ErrNotFound)
		revoked, err := s.RevokeKey(t.Context(), "a", "adm", noon)
		require.NoError(t, err)
		require.Equal(t, noon, revoked.RevokedAt)
		again, err := s.RevokeKey(t.Context(), "a", "other", noon.Plus(callback.Duration(time.Hour)))
		require.NoError(t, err)
		require.Equal(t, revoked, again, "for good")
		require.False(t, again.Good(noon))
	})
}
