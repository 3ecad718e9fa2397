package store

import (
	"context"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

type historyRow struct {
	CallbackID string `gorm:"primaryKey"`
	RunID      string `gorm:"primaryKey"`
	ClosedAt   instant
	History    []byte
}

func (historyRow) TableName() string { return "histories" }

// SaveHistory keeps the history of a closed run. Saving it again changes nothing.
func (s *Store) SaveHistory(ctx context.Context, a book.Archived) error {
	return s.writeOne(ctx, "save a history", func(tx *gorm.DB) error {
		row := historyRow{a.CallbackID, a.RunID, instant{a.ClosedAt}, a.History}
		return tx.Clauses(onConflict("callback_id", "run_id")).Create(&row).Error
	})
}

// Histories returns the archived runs of a callback, in the order in which they
// closed; none is no error.
func (s *Store) Histories(ctx context.Context, callbackID string) ([]book.Archived, error) {
	var rows []historyRow
	err := s.read(ctx, "read histories", func(db *gorm.DB) error {
		return db.Where("callback_id = ?", callbackID).Order("closed_at, run_id").Find(&rows).Error
	})
	archived := make([]book.Archived, len(rows))
	for i, r := range rows {
		archived[i] = book.Archived{CallbackID: r.CallbackID, RunID: r.RunID, ClosedAt: r.ClosedAt.Instant, History: r.History}
	}
	return archived, err
}

// ClosedWithoutHistory returns at most limit callbacks that closed before an
// instant, and whose last run is not in the archive, the longest closed first.
// A run that closed before its callback did was not the last. One that still
// owes something to another system is left out: its run goes on until that is there.
func (s *Store) ClosedWithoutHistory(ctx context.Context, closedBefore callback.Instant, limit int) (callbackIDs []string, err error) {
	err = s.read(ctx, "look for missing histories", func(db *gorm.DB) error {
		callbackIDs, err = column[string](db.Raw(`SELECT c.id FROM callbacks c
			WHERE c.closed_at < ? AND NOT EXISTS (
				SELECT 1 FROM histories h WHERE h.callback_id = c.id AND h.closed_at >= c.closed_at)
			AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.callback_id = c.id AND d.state = 'owed')
			ORDER BY c.closed_at, c.id LIMIT ?`, instant{closedBefore}, limit))
		return err
	})
	return callbackIDs, err
}
