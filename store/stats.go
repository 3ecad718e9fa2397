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

// Stats counts the promises made within the query's bounds, of which either may
// be zero, and what is open right now. Groups are by key; days are like
// 2026-11-22, hours like 2026-11-22T10:00Z, both in UTC.
func (s *Store) Stats(ctx context.Context, q book.StatsQuery) (book.Stats, error) {
	key, err := s.groupBy(q.By)
	if err != nil {
		return book.Stats{}, err
	}
	stats := book.Stats{Groups: []book.StatsGroup{}}
	err = s.read(ctx, "count promises", func(db *gorm.DB) error {
		err := one(db.Raw(`SELECT COUNT(*), COUNT(CASE WHEN overdue THEN 1 END) FROM callbacks WHERE closed_at IS NULL`),
			&stats.Open, &stats.Overdue)
		if err != nil {
			return err
		}
		promises := db.Table("promises").Select(key + ` AS grouped_by, COUNT(*),
			COUNT(CASE WHEN result = 'kept' THEN 1 END),
			COUNT(CASE WHEN result = 'missed' AND late_by <> 'system' THEN 1 END),
			COUNT(CASE WHEN result = 'missed' AND late_by = 'system' THEN 1 END)`)
		if !q.From.IsZero() {
			promises = promises.Where("made_at >= ?", instant{q.From})
		}
		if !q.To.IsZero() {
			promises = promises.Where("made_at < ?", instant{q.To})
		}
		return each(promises.Group("grouped_by").Order("grouped_by"), func(rows *sql.Rows) error {
			var g book.StatsGroup
			if err := rows.Scan(&g.Key, &g.Made, &g.Kept, &g.MissedByPeople, &g.MissedBySystem); err != nil {
				return err
			}
			g.Attainment = attainment(g.Kept, g.MissedByPeople+g.MissedBySystem)
			stats.Made += g.Made
			stats.Kept += g.Kept
			stats.MissedByPeople += g.MissedByPeople
			stats.MissedBySystem += g.MissedBySystem
			if q.By != "" {
				stats.Groups = append(stats.Groups, g)
			}
			return nil
		})
	})
	stats.Attainment = attainment(stats.Kept, stats.MissedByPeople+stats.MissedBySystem)
	return stats, err
}

func (s *Store) groupBy(by string) (string, error) {
	switch by {
	case "":
		return "''", nil
	case "queue", "tier", "policy":
		return by, nil
	case "day":
		return s.day, nil
	case "hour":
		return s.hour, nil
	}
	return "", fmt.Errorf("store: count promises: cannot group by %q", by)
}

func attainment(kept, missed int64) *float64 {
	if kept+missed == 0 {
		return nil
	}
	a := float64(kept) / float64(kept+missed)
	return &a
}

// Open counts the callbacks that are open, and those of them that are overdue.
func (s *Store) Open(ctx context.Context) (open, overdue int64, err error) {
	err = s.read(ctx, "count what is open", func(db *gorm.DB) error {
		return one(db.Raw(`SELECT COUNT(*), COUNT(CASE WHEN overdue THEN 1 END) FROM callbacks WHERE closed_at IS NULL`), &open, &overdue)
	})
	return open, overdue, err
}

// Watch compares what should have happened by an instant with what has: a clock
// that stands still cannot report itself. What is at most grace late is not
// late.
func (s *Store) Watch(ctx context.Context, now callback.Instant, grace time.Duration) (book.Watch, error) {
	var w book.Watch
	var due, errand instant
	err := s.read(ctx, "watch", func(db *gorm.DB) error {
		if err := one(db.Raw(`SELECT COUNT(*), COUNT(CASE WHEN overdue THEN 1 END) FROM callbacks WHERE closed_at IS NULL`),
			&w.Open, &w.Overdue); err != nil {
			return err
		}
		if err := one(db.Raw(`SELECT COUNT(*), MIN(next_at) FROM callbacks WHERE next_at < ?`,
			instant{callback.At(now.Add(-grace))}), &w.Late, &due); err != nil {
			return err
		}
		return one(db.Raw(`SELECT COUNT(*), MIN(created_at) FROM errands WHERE answered_at IS NULL`), &w.Errands, &errand)
	})
	if !due.IsZero() {
		w.Lateness = now.Sub(due.Time)
	}
	if !errand.IsZero() {
		w.OldestErrand = now.Sub(errand.Time)
	}
	return w, err
}
