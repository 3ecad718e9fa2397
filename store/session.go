package store

import (
	"context"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

// Session returns what is kept of a browser under a hash of its token, whether
// or not it has expired.
func (s *Store) Session(ctx context.Context, id string) (book.Session, error) {
	kept := book.Session{ID: id}
	var expires instant
	err := s.read(ctx, "read a session", func(db *gorm.DB) error {
		return one(db.Raw(`SELECT staff_id, data, expires_at FROM sessions WHERE id = ?`, id), &kept.StaffID, &kept.Data, &expires)
	})
	kept.ExpiresAt = expires.Instant
	return kept, err
}

// KeepSession writes a session, over what was kept under its ID before.
func (s *Store) KeepSession(ctx context.Context, kept book.Session) error {
	return s.writeOne(ctx, "keep a session", func(db *gorm.DB) error {
		return db.Exec(`INSERT INTO sessions (id, staff_id, data, expires_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET staff_id = excluded.staff_id, data = excluded.data, expires_at = excluded.expires_at`,
			kept.ID, kept.StaffID, kept.Data, instant{kept.ExpiresAt}).Error
	})
}

// ExtendSession moves the end of a session, if it is still kept.
func (s *Store) ExtendSession(ctx context.Context, id string, until callback.Instant) error {
	return s.writeOne(ctx, "extend a session", func(db *gorm.DB) error {
		return db.Exec(`UPDATE sessions SET expires_at = ? WHERE id = ?`, instant{until}, id).Error
	})
}

// DropSession forgets a session; one that is not kept is forgotten already.
func (s *Store) DropSession(ctx context.Context, id string) error {
	return s.writeOne(ctx, "drop a session", func(db *gorm.DB) error {
		return db.Exec(`DELETE FROM sessions WHERE id = ?`, id).Error
	})
}

// SweepSessions forgets what had expired by an instant, and returns how many.
func (s *Store) SweepSessions(ctx context.Context, now callback.Instant) (swept int64, err error) {
	err = s.writeOne(ctx, "sweep sessions", func(db *gorm.DB) error {
		done := db.Exec(`DELETE FROM sessions WHERE expires_at <= ?`, instant{now})
		swept = done.RowsAffected
		return done.Error
	})
	return swept, err
}
