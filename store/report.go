package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

// promised narrows promises p to those of a report.
func promised(list *gorm.DB, q book.ReportQuery) *gorm.DB {
	list = list.Where("p.made_at >= ? AND p.made_at < ?", instant{q.From}, instant{q.To})
	for column, values := range map[string][]string{"p.tier": q.Tier, "p.queue": q.Queue, "p.policy": q.Policy} {
		if len(values) > 0 {
			list = list.Where(column+" IN ?", values)
		}
	}
	return list
}

// firstContact is when the customer of a promise p was first reached, at any tier.
const firstContact = `(SELECT MIN(t.at) FROM timeline t WHERE t.callback_id = p.callback_id AND t.type = 'contacted')`

// Report counts the promises made within the query's bounds, and what became of
// their callbacks.
func (s *Store) Report(ctx context.Context, q book.ReportQuery) (book.Report, error) {
	r := book.Report{
		Made: []book.PromiseCount{}, Due: []book.PromiseCount{},
		Reached: map[int64]int64{}, Attempts: map[int64]int64{}, Dispositions: map[callback.Disposition]book.Calls{}, //nolint:exhaustive // those that occur
	}
	err := s.read(ctx, "make a report", func(db *gorm.DB) error {
		for column, into := range map[string]*[]book.PromiseCount{"p.made_at": &r.Made, "p.due_at": &r.Due} {
			counts := promised(db.Table("promises AS p"), q).
				Select("p.tier, p.queue, p.policy, p.result, p.late_by, " + fmt.Sprintf(s.quarter, column) + " AS quarter, COUNT(*)").
				Group("p.tier, p.queue, p.policy, p.result, p.late_by, quarter")
			if err := each(counts, func(rows *sql.Rows) error { return scanCount(rows, into) }); err != nil {
				return err
			}
		}
		first := func() *gorm.DB {
			return promised(db.Table("promises AS p").Joins("JOIN intakes AS i ON i.callback_id = p.callback_id"), q).Where("p.tier_index = 0")
		}
		err := each(first().Select(s.minutesToContact+" AS minutes, COUNT(*)").Group("minutes"), func(rows *sql.Rows) error {
			var minutes sql.NullInt64
			var n int64
			if err := rows.Scan(&minutes, &n); err != nil {
				return err
			}
			if minutes.Valid {
				r.Reached[minutes.Int64] = n
			} else {
				r.Unreached = n
			}
			return nil
		})
		if err != nil {
			return err
		}
		attempts := first().Joins("JOIN callbacks AS c ON c.id = p.callback_id").Select(s.attempts + " AS attempts, COUNT(*)").Group("attempts")
		err = each(attempts, func(rows *sql.Rows) error {
			var made, n int64
			if err := rows.Scan(&made, &n); err != nil {
				return err
			}
			r.Attempts[made] = n
			return nil
		})
		if err != nil {
			return err
		}
		calls := first().Joins("JOIN timeline AS t ON t.callback_id = p.callback_id AND t.type = 'attempted'").
			Select(s.disposition + " AS disposition, COUNT(*), COUNT(DISTINCT p.callback_id)").Group("disposition")
		return each(calls, func(rows *sql.Rows) error {
			var d string
			var n book.Calls
			if err := rows.Scan(&d, &n.Calls, &n.Callbacks); err != nil {
				return err
			}
			r.Dispositions[callback.Disposition(d)] = n
			return nil
		})
	})
	return r, err
}

// quarterLayout is how both databases write a quarter of an hour.
const quarterLayout = "2006-01-02T15:04"

func scanCount(rows *sql.Rows, into *[]book.PromiseCount) error {
	var c book.PromiseCount
	var quarter sql.NullString
	if err := rows.Scan(&c.Tier, &c.Queue, &c.Policy, &c.Result, &c.LateBy, &quarter, &c.Count); err != nil {
		return err
	}
	if quarter.Valid {
		at, err := time.Parse(quarterLayout, quarter.String)
		if err != nil {
			return fmt.Errorf("a quarter of an hour cannot be read: %w", err)
		}
		c.At = at
	}
	*into = append(*into, c)
	return nil
}

// Promises are at most limit of those that a report counts, narrowed, in the
// order in which they were made, after one of them; nil: from the beginning.
func (s *Store) Promises(ctx context.Context, q book.ReportQuery, f book.PromiseFilter, after *book.PromiseRow, limit int) (found []book.PromiseRow, err error) {
	err = s.read(ctx, "list promises", func(db *gorm.DB) error {
		list := promised(db.Table("promises AS p").Joins("JOIN intakes AS i ON i.callback_id = p.callback_id"), q)
		if len(f.Result) > 0 {
			list = list.Where("p.result IN ?", f.Result)
		}
		if f.LateBy != "" {
			list = list.Where("p.late_by = ?", f.LateBy)
		}
		if f.First {
			list = list.Where("p.tier_index = 0")
		}
		if f.ReachedFrom != nil {
			list = list.Where(s.minutesToContact+" >= ?", *f.ReachedFrom)
		}
		if f.ReachedUpTo != nil {
			list = list.Where(s.minutesToContact+" < ?", *f.ReachedUpTo)
		}
		if f.Unreached {
			list = list.Where(firstContact + " IS NULL")
		}
		if f.Attempts != nil {
			list = list.Joins("JOIN callbacks AS c ON c.id = p.callback_id").Where(s.attempts+" = ?", *f.Attempts)
		}
		if f.Disposition != "" {
			list = list.Where("EXISTS (SELECT 1 FROM timeline t WHERE t.callback_id = p.callback_id AND t.type = 'attempted' AND "+s.disposition+" = ?)", f.Disposition)
		}
		if after != nil {
			list = list.Where("(p.made_at, p.callback_id, p.tier_index) > (?, ?, ?)", instant{after.MadeAt}, after.CallbackID, after.TierIndex)
		}
		list = list.Select("p.callback_id, p.tier_index, p.tier, p.queue, p.policy, p.made_at, p.due_at, p.result, p.result_at, p.late_by").
			Order("p.made_at, p.callback_id, p.tier_index").Limit(limit)
		return each(list, func(rows *sql.Rows) error {
			var r promiseRow
			err := rows.Scan(&r.CallbackID, &r.TierIndex, &r.Tier, &r.Queue, &r.Policy, &r.MadeAt, &r.DueAt, &r.Result, &r.ResultAt, &r.LateBy)
			if err != nil {
				return err
			}
			found = append(found, book.PromiseRow{
				CallbackID: r.CallbackID, TierIndex: r.TierIndex, Tier: r.Tier, Queue: r.Queue, Policy: r.Policy,
				MadeAt: r.MadeAt.Instant, DueAt: r.DueAt.Instant, Result: callback.Result(r.Result), ResultAt: r.ResultAt.Instant,
				LateBy: callback.Party(r.LateBy),
			})
			return nil
		})
	})
	return found, err
}
