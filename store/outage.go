package store

import (
	"context"
	"database/sql"
	"errors"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

type outageRow struct {
	ID         string `gorm:"primaryKey"`
	Queue      string
	LOB        string `gorm:"column:lob"`
	Source     string
	Words      string
	EndWords   string
	DeclaredBy string
	DeclaredAt instant
	EndedBy    string
	EndedAt    instant
}

func (outageRow) TableName() string { return "outages" }

func (r *outageRow) outage() book.Outage {
	return book.Outage{
		ID: r.ID, Queue: r.Queue, LOB: r.LOB, Source: r.Source, Words: r.Words, EndWords: r.EndWords,
		DeclaredBy: r.DeclaredBy, DeclaredAt: r.DeclaredAt.Instant, EndedBy: r.EndedBy, EndedAt: r.EndedAt.Instant,
	}
}

// Declare writes an outage down (R23). The same ID again is the same outage:
// the one that is there is returned.
func (s *Store) Declare(ctx context.Context, o book.Outage) (book.Outage, error) {
	var kept book.Outage
	err := s.write(ctx, "declare an outage", func(tx *gorm.DB) error {
		row := outageRow{
			ID: o.ID, Queue: o.Queue, LOB: o.LOB, Source: o.Source, Words: o.Words,
			DeclaredBy: o.DeclaredBy, DeclaredAt: instant{o.DeclaredAt},
		}
		if err := tx.Clauses(onConflict("id")).Create(&row).Error; err != nil {
			return err
		}
		found, err := outageByID(tx, o.ID)
		kept = found
		return err
	})
	return kept, err
}

// Undeclare forgets an outage that never began; no callback is linked to it.
func (s *Store) Undeclare(ctx context.Context, id string) error {
	return s.writeOne(ctx, "undeclare an outage", func(tx *gorm.DB) error {
		return tx.Exec(`DELETE FROM outages WHERE id = ? AND ended_at IS NULL`, id).Error
	})
}

func outageByID(db *gorm.DB, id string) (book.Outage, error) {
	var row outageRow
	err := db.Take(&row, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = book.ErrNotFound
	}
	return row.outage(), err
}

// Outage returns one outage.
func (s *Store) Outage(ctx context.Context, id string) (o book.Outage, err error) {
	err = s.read(ctx, "read an outage", func(db *gorm.DB) error {
		o, err = outageByID(db, id)
		return err
	})
	return o, err
}

// ActiveOutages are those that go on, the oldest first.
func (s *Store) ActiveOutages(ctx context.Context) ([]book.Outage, error) {
	return s.outages(ctx, func(db *gorm.DB) *gorm.DB {
		return db.Where("ended_at IS NULL").Order("declared_at, id")
	})
}

// Outages returns at most limit outages, the newest first, after the one that
// is given ("": from the newest on).
func (s *Store) Outages(ctx context.Context, limit int, after string) ([]book.Outage, error) {
	return s.outages(ctx, func(db *gorm.DB) *gorm.DB {
		if after != "" {
			db = db.Where("(declared_at, id) < (SELECT declared_at, id FROM outages WHERE id = ?)", after)
		}
		return db.Order("declared_at DESC, id DESC").Limit(limit)
	})
}

func (s *Store) outages(ctx context.Context, which func(*gorm.DB) *gorm.DB) ([]book.Outage, error) {
	var rows []outageRow
	err := s.read(ctx, "list outages", func(db *gorm.DB) error { return which(db).Find(&rows).Error })
	outages := make([]book.Outage, len(rows))
	for i := range rows {
		outages[i] = rows[i].outage()
	}
	return outages, err
}

// SayAtEnd keeps what to tell customers when an outage is over.
func (s *Store) SayAtEnd(ctx context.Context, id, words string) error {
	return s.writeOne(ctx, "say how an outage ended", func(tx *gorm.DB) error {
		return tx.Exec(`UPDATE outages SET end_words = ? WHERE id = ?`, words, id).Error
	})
}

// EndOutage notes that an outage is over; the first to say so is right.
func (s *Store) EndOutage(ctx context.Context, id, by string, at callback.Instant) error {
	return s.writeOne(ctx, "end an outage", func(tx *gorm.DB) error {
		return tx.Exec(`UPDATE outages SET ended_by = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL`, by, instant{at}, id).Error
	})
}

// Affected returns at most limit open callbacks that an outage affects and that
// are linked to none, in the order of their IDs, after the one that is given.
func (s *Store) Affected(ctx context.Context, o book.Outage, after string, limit int) (ids []string, err error) {
	err = s.read(ctx, "list what an outage affects", func(db *gorm.DB) error {
		list := db.Table("callbacks AS c").Joins("JOIN intakes AS i ON i.callback_id = c.id").
			Where("c.closed_at IS NULL AND c.outage = '' AND c.id > ?", after)
		for column, value := range map[string]string{"c.queue": o.Queue, "i.lob": o.LOB, "i.source_system": o.Source} {
			if value != "" {
				list = list.Where(column+" = ?", value)
			}
		}
		ids, err = column[string](list.Select("c.id").Order("c.id").Limit(limit))
		return err
	})
	return ids, err
}

// EndedLinks returns at most limit open callbacks that are linked to an outage
// that ended before an instant, or to one that is not there, in the order of
// their IDs.
func (s *Store) EndedLinks(ctx context.Context, endedBefore callback.Instant, limit int) (links []book.OutageLink, err error) {
	err = s.read(ctx, "list what is linked to outages that are over", func(db *gorm.DB) error {
		links = nil
		return each(db.Raw(`SELECT c.id, c.outage, COALESCE(o.ended_by, '')
			FROM callbacks c LEFT JOIN outages o ON o.id = c.outage
			WHERE c.closed_at IS NULL AND c.outage <> '' AND (o.id IS NULL OR o.ended_at < ?)
			ORDER BY c.id LIMIT ?`, instant{endedBefore}, limit), func(rows *sql.Rows) error {
			var l book.OutageLink
			err := rows.Scan(&l.CallbackID, &l.Outage, &l.EndedBy)
			links = append(links, l)
			return err
		})
	})
	return links, err
}

// Linked returns at most limit open callbacks that are linked to an outage, in
// the order of their IDs, after the one that is given.
func (s *Store) Linked(ctx context.Context, outageID, after string, limit int) (ids []string, err error) {
	err = s.read(ctx, "list what is linked to an outage", func(db *gorm.DB) error {
		ids, err = column[string](db.Raw(`SELECT id FROM callbacks
			WHERE closed_at IS NULL AND outage <> '' AND outage = ? AND id > ? ORDER BY id LIMIT ?`, outageID, after, limit))
		return err
	})
	return ids, err
}

// LinkedCounts counts the open callbacks that are linked to outages, by outage.
func (s *Store) LinkedCounts(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	err := s.read(ctx, "count what is linked to outages", func(db *gorm.DB) error {
		return eachOf(db.Raw(`SELECT outage, COUNT(*) FROM callbacks WHERE closed_at IS NULL AND outage <> '' GROUP BY outage`),
			func(id string, n int64) { counts[id] = n })
	})
	return counts, err
}
