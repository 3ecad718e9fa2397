package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

// isFree is the condition on presence p that somebody can be reserved at an
// instant, given three times: they say so, nobody has reserved them, and they work
// no callback.
const isFree = `p.state = 'available' AND (p.lapses_at IS NULL OR p.lapses_at > ?)
	AND (p.reserved_until IS NULL OR p.reserved_until <= ?) AND (p.busy_until IS NULL OR p.busy_until <= ?)`

// belongs is the condition on staff s of a tier and a queue, either of which
// may be empty; each is given twice.
const belongs = `(s.tier = ? OR ? = '') AND (? = '' OR EXISTS (SELECT 1 FROM staff_queues m WHERE m.staff_id = s.id AND m.queue = ?))`

// Free returns who of a tier and a queue (each may be empty: any) can be
// reserved at an instant, by ID (R01).
func (s *Store) Free(ctx context.Context, tier, queue string, now callback.Instant) (people []book.Staff, err error) {
	at := instant{now}
	err = s.read(ctx, "list who is free", func(db *gorm.DB) error {
		people, err = staff(db, "s.active AND "+isFree+" AND "+belongs, []any{at, at, at, tier, tier, queue, queue})
		return err
	})
	return people, err
}

type reservationRow struct {
	ID         string `gorm:"primaryKey"`
	StaffID    string
	Tier       string
	Queue      string
	ReservedBy string
	ExpiresAt  instant
	UsedAt     instant
	ErrandID   string
}

func (reservationRow) TableName() string { return "reservations" }

func (r *reservationRow) reservation() book.Reservation {
	return book.Reservation{
		ID: r.ID, StaffID: r.StaffID, Tier: r.Tier, Queue: r.Queue, By: r.ReservedBy,
		ExpiresAt: r.ExpiresAt.Instant, UsedAt: r.UsedAt.Instant, ErrandID: r.ErrandID,
	}
}

// Reserve holds one free person of r.Tier and r.Queue, who is not r.By, until
// r.ExpiresAt; r.StaffID is for the store to say. The same ID again is the same
// reservation; without one it gets one. Whoever was reserved longest ago comes
// first, and of many who want the same person at once one gets them. Nobody
// free is book.ErrNoneAvailable.
//
// They read busy until it lapses, and then again as they were before.
func (s *Store) Reserve(ctx context.Context, r book.Reservation, now callback.Instant) (book.Reservation, error) {
	if r.ID == "" {
		r.ID = rand.Text()
	}
	row := reservationRow{ID: r.ID, Tier: r.Tier, Queue: r.Queue, ReservedBy: r.By, ExpiresAt: instant{r.ExpiresAt}}
	err := s.write(ctx, "reserve somebody", func(tx *gorm.DB) error {
		earlier, err := reservationByID(tx, r.ID)
		if !errors.Is(err, book.ErrNotFound) {
			row = earlier
			return err
		}
		if row.StaffID, err = takeFree(tx, r, instant{now}); err != nil {
			return err
		}
		err = tx.Create(&row).Error
		if s.condition(err) == conditionDuplicate {
			return errAgain
		}
		return err
	})
	if err != nil {
		return book.Reservation{}, err
	}
	return row.reservation(), nil
}

// takeFree reserves the first of those who are free that nobody else takes
// meanwhile: the update sees what another transaction has just committed.
func takeFree(tx *gorm.DB, r book.Reservation, now instant) (string, error) {
	var free []string
	err := each(tx.Raw(`SELECT s.id, s.roles FROM staff s JOIN presence p ON p.staff_id = s.id
		WHERE s.active AND `+isFree+` AND `+belongs+` AND s.id <> ?
		ORDER BY p.reserved_until NULLS FIRST, s.id`, now, now, now, r.Tier, r.Tier, r.Queue, r.Queue, r.By), func(rows *sql.Rows) error {
		var id string
		var roles document[[]string]
		err := rows.Scan(&id, &roles)
		if !mayNotCommand(roles.of) {
			free = append(free, id)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	for _, id := range free {
		taken := tx.Exec(`UPDATE presence AS p SET reserved_until = ? WHERE p.staff_id = ? AND `+isFree, instant{r.ExpiresAt}, id, now, now, now)
		if taken.Error != nil {
			return "", taken.Error
		}
		if taken.RowsAffected == 1 {
			return id, nil
		}
	}
	return "", book.ErrNoneAvailable
}

func reservationByID(db *gorm.DB, id string) (reservationRow, error) {
	var row reservationRow
	err := db.Take(&row, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = book.ErrNotFound
	}
	return row, err
}

// Reservation returns a reservation, used, live or lapsed: see its UsedAt and
// ExpiresAt.
func (s *Store) Reservation(ctx context.Context, id string) (book.Reservation, error) {
	var row reservationRow
	err := s.read(ctx, "read a reservation", func(db *gorm.DB) (err error) {
		row, err = reservationByID(db, id)
		return err
	})
	return row.reservation(), err
}

// use binds a reservation to the errand that uses it, once, while it is live: of
// many errands one gets it. One that was used, or has lapsed, is
// book.ErrNoneAvailable.
func use(tx *gorm.DB, id string, e book.Errand) error {
	at := instant{e.CreatedAt}
	used := tx.Exec(`UPDATE reservations SET used_at = ?, errand_id = ? WHERE id = ? AND used_at IS NULL AND expires_at > ?`, at, e.ID, id, at)
	if used.Error == nil && used.RowsAffected == 0 {
		return book.ErrNoneAvailable
	}
	return used.Error
}

// giveBack lets a reservation that an errand has not used up be used by another
// one, for as long as it is live.
func giveBack(tx *gorm.DB, errandID string) error {
	return tx.Exec(`UPDATE reservations SET used_at = NULL, errand_id = '' WHERE errand_id <> '' AND errand_id = ?`, errandID).Error
}

// Transferred makes whoever a reservation holds busy, until they say otherwise:
// they are on the call. Again changes nothing.
func (s *Store) Transferred(ctx context.Context, reservationID string) error {
	return s.writeOne(ctx, "note a transfer", func(tx *gorm.DB) error {
		return tx.Exec(`UPDATE presence SET reserved_until = NULL, state = CASE WHEN state = 'available' THEN 'busy' ELSE state END
			WHERE EXISTS (SELECT 1 FROM reservations r
				WHERE r.id = ? AND r.staff_id = presence.staff_id AND r.expires_at = presence.reserved_until)`, reservationID).Error
	})
}
