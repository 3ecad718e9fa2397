package store

import (
	"context"

	"gorm.io/gorm"

	"ringback/callback"
)

// sweepAtOnce is how many rows one transaction deletes: nobody waits long for it.
const sweepAtOnce = 1000

// sweep deletes the rows of a table that a condition selects, and returns how many.
func (s *Store) sweep(ctx context.Context, op, table, condition string, values ...any) (swept int64, err error) {
	for {
		var deleted int64
		err := s.write(ctx, op, func(tx *gorm.DB) error {
			done := tx.Exec(`DELETE FROM `+table+` WHERE id IN (SELECT id FROM `+table+` WHERE `+condition+` LIMIT ?)`,
				append(values, sweepAtOnce)...)
			deleted = done.RowsAffected
			return done.Error
		})
		swept += deleted
		if err != nil || deleted < sweepAtOnce {
			return swept, err
		}
	}
}

// SweepTexts deletes texts written before an instant that no event has named
// and whose errand is over, and returns how many. Allow a projection that lags
// behind its time: what is deleted does not come back.
func (s *Store) SweepTexts(ctx context.Context, before callback.Instant) (int64, error) {
	return s.sweep(ctx, "sweep texts", "texts", `seq IS NULL AND created_at < ?
		AND NOT EXISTS (SELECT 1 FROM errands e WHERE e.id = texts.errand_id AND e.answered_at IS NULL)`, instant{before})
}

// SweepErrands deletes errands that were answered before an instant, and
// returns how many: their keys may be used again.
func (s *Store) SweepErrands(ctx context.Context, answeredBefore callback.Instant) (int64, error) {
	return s.sweep(ctx, "sweep errands", "errands", `answered_at < ?`, instant{answeredBefore})
}

// SweepReservations deletes reservations that expired before an instant, used
// or not, and returns how many.
func (s *Store) SweepReservations(ctx context.Context, expiredBefore callback.Instant) (int64, error) {
	return s.sweep(ctx, "sweep reservations", "reservations", `expires_at < ?`, instant{expiredBefore})
}
