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

// worked is a floor on which much has happened, the same on every database.
func worked(t *testing.T, s *store.Store) []*life {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 7))
	var lives []*life
	for range 60 {
		at := after(time.Duration(random.IntN(48*60)) * time.Minute)
		l := opened(t, at, func(i *book.Intake) {
			if random.IntN(6) == 0 {
				i.ScheduledFor = at.Plus(callback.Duration(3 * time.Hour))
			}
		})
		now := at
		if !l.ScheduledFor.IsZero() {
			now = l.ScheduledFor
		}
		pass := func(most int) {
			now = now.Plus(callback.Duration(time.Duration(1+random.IntN(most)) * time.Minute))
			l.wait(now)
		}
		who := supervisor("sup1")
		act := func() {
			if l.TierIndex > 0 {
				who = manager("mgr1")
			}
			for _, c := range []callback.Command{
				callback.Claim{}, callback.Start{}, callback.Attempt{Disposition: callback.NoAnswer},
				callback.Attempt{Disposition: callback.Dispositions[random.IntN(len(callback.Dispositions))]},
			} {
				l.try(c, who, now)
				pass(9)
			}
		}
		switch random.IntN(4) {
		case 0: // nobody comes
			for range 3 {
				pass(90)
			}
		case 1: // late
			pass(60)
			pass(60)
			act()
		default:
			pass(30)
			act()
			l.try(callback.Complete{Reason: "resolved", SummaryID: newID("text")}, who, now)
		}
		keep(t, s, l)
		lives = append(lives, l)
	}
	return lives
}

func TestReportsCountWhatIsListed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		lives := worked(t, s)
		for name, q := range map[string]book.ReportQuery{
			"all":        {From: noon, To: after(100 * time.Hour)},
			"a day":      {From: after(6 * time.Hour), To: after(30 * time.Hour)},
			"a tier":     {From: noon, To: after(100 * time.Hour), Tier: []string{"manager"}},
			"first tier": {From: noon, To: after(100 * time.Hour), Tier: []string{"supervisor"}, Queue: []string{"Supervisors", "None"}},
			"nothing":    {From: noon, To: after(100 * time.Hour), Policy: []string{"none"}},
		} {
			report, err := s.Report(t.Context(), q)
			require.NoError(t, err, name)
			rows := func(f book.PromiseFilter) []book.PromiseRow {
				t.Helper()
				var all []book.PromiseRow
				var last *book.PromiseRow
				for {
					page, err := s.Promises(t.Context(), q, f, last, 7)
					require.NoError(t, err)
					all = append(all, page...)
					if len(page) < 7 {
						return all
					}
					last = &page[6]
				}
			}
			var want []book.PromiseRow
			reached, attempts, unreached := map[int64]int64{}, map[int64]int64{}, int64(0)
			for _, l := range lives {
				for i, p := range l.Callback.Promises {
					if p.MadeAt.Before(q.From.Time) || !p.MadeAt.Before(q.To.Time) || len(q.Tier) > 0 && q.Tier[0] != p.Tier || len(q.Policy) > 0 {
						continue
					}
					want = append(want, book.PromiseRow{
						CallbackID: l.ID, TierIndex: p.TierIndex, Tier: p.Tier, Queue: p.Queue, Policy: l.Policy, MadeAt: p.MadeAt, DueAt: p.DueAt,
						Result: p.Result, ResultAt: p.At, LateBy: p.LateBy,
					})
					if i > 0 {
						continue
					}
					attempts[int64(l.Attempts)]++
					if minutes := minutesToContact(l); minutes < 0 {
						unreached++
					} else {
						reached[minutes]++
					}
				}
			}
			got := rows(book.PromiseFilter{})
			require.ElementsMatch(t, want, got, name)
			require.Equal(t, reached, report.Reached, name)
			require.Equal(t, attempts, report.Attempts, name)
			require.Equal(t, unreached, report.Unreached, name)

			// Both ways of counting promises agree with the list, quarter by quarter.
			count := func(cut func(book.PromiseRow) callback.Instant) map[book.PromiseCount]int64 {
				by := map[book.PromiseCount]int64{}
				for _, r := range got {
					c := book.PromiseCount{Tier: r.Tier, Queue: r.Queue, Policy: r.Policy, Result: r.Result, LateBy: r.LateBy, At: cut(r).Truncate(15 * time.Minute)}
					by[c]++
				}
				return by
			}
			counted := func(all []book.PromiseCount) map[book.PromiseCount]int64 {
				by := map[book.PromiseCount]int64{}
				for _, c := range all {
					n := c.Count
					c.Count = 0
					by[c] = n
				}
				return by
			}
			require.Equal(t, count(func(r book.PromiseRow) callback.Instant { return r.MadeAt }), counted(report.Made), name)
			require.Equal(t, count(func(r book.PromiseRow) callback.Instant { return r.DueAt }), counted(report.Due), name)

			// What is drilled into has as many rows as its figure says.
			for minutes, n := range report.Reached {
				upTo := minutes + 1
				require.Len(t, rows(book.PromiseFilter{First: true, ReachedFrom: &minutes, ReachedUpTo: &upTo}), int(n), name)
			}
			require.Len(t, rows(book.PromiseFilter{First: true, Unreached: true}), int(report.Unreached), name)
			for made, n := range report.Attempts {
				require.Len(t, rows(book.PromiseFilter{First: true, Attempts: &made}), int(n), name)
			}
			calls := int64(0)
			for _, n := range report.Dispositions {
				calls += n.Calls
			}
			all := int64(0)
			for made, n := range report.Attempts {
				all += made * n
			}
			require.Equal(t, all, calls, name)
			for d, n := range report.Dispositions {
				require.Len(t, rows(book.PromiseFilter{First: true, Disposition: string(d)}), int(n.Callbacks), name)
			}
			for _, r := range rows(book.PromiseFilter{Result: []string{"missed"}, LateBy: "people"}) {
				require.Equal(t, callback.ResultMissed, r.Result)
				require.Equal(t, callback.ByPeople, r.LateBy)
			}
		}
	})
}

// minutesToContact is how long the customer waited; -1: they were not reached.
func minutesToContact(l *life) int64 {
	for _, e := range l.events {
		if e.Fact.Type() != callback.TypeContacted {
			continue
		}
		from := l.RequestedAt
		if s := l.intake.ScheduledFor; s.After(from.Time) {
			from = s
		}
		return max(int64(e.At.Sub(from.Time)/time.Minute), 0)
	}
	return -1
}
