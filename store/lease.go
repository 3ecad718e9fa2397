package store

import (
	"context"

	"gorm.io/gorm"

	"ringback/callback"
)

// Lease gives a name to a holder until an instant, if nobody else holds it at
// now; it reports whether the holder has it. Until no later than now gives it up.
func (s *Store) Lease(ctx context.Context, name, holder string, now, until callback.Instant) (held bool, err error) {
	err = s.writeOne(ctx, "lease", func(tx *gorm.DB) error {
		done := tx.Exec(`INSERT INTO leases (name, holder, until) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE leases.holder = excluded.holder OR leases.until <= ?`, name, holder, instant{until}, instant{now})
		held = done.RowsAffected == 1
		return done.Error
	})
	return held && err == nil, err
}
