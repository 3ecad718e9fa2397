package store

import (
	"context"
	"database/sql"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

type keyRow struct {
	ID         string `gorm:"primaryKey"`
	Name       string
	Scopes     document[[]string]
	Hash       []byte
	CreatedAt  instant `gorm:"autoCreateTime:false"`
	CreatedBy  string
	ExpiresAt  instant
	LastUsedAt instant
	RevokedAt  instant
	RevokedBy  string
}

func (keyRow) TableName() string { return "api_keys" }

const keyColumns = `id, name, scopes, hash, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by`

func (r *keyRow) columns() []any {
	return []any{
		&r.ID, &r.Name, &r.Scopes, &r.Hash, &r.CreatedAt, &r.CreatedBy, &r.ExpiresAt, &r.LastUsedAt, &r.RevokedAt, &r.RevokedBy,
	}
}

func (r *keyRow) key() book.Key {
	return book.Key{
		ID: r.ID, Name: r.Name, Scopes: r.Scopes.of, Hash: r.Hash, CreatedAt: r.CreatedAt.Instant, CreatedBy: r.CreatedBy,
		ExpiresAt: r.ExpiresAt.Instant, LastUsedAt: r.LastUsedAt.Instant, RevokedAt: r.RevokedAt.Instant, RevokedBy: r.RevokedBy,
	}
}

// AddKey keeps a new key, and with it an errand that has an answer; nil: none.
// book.ErrRepeated: that errand is there already, and nothing is written.
func (s *Store) AddKey(ctx context.Context, k book.Key, e *book.Errand) error {
	row := keyRow{
		ID: k.ID, Name: k.Name, Scopes: document[[]string]{orEmpty(k.Scopes)}, Hash: k.Hash, CreatedAt: instant{k.CreatedAt},
		CreatedBy: k.CreatedBy, ExpiresAt: instant{k.ExpiresAt},
	}
	return s.write(ctx, "add a key", func(tx *gorm.DB) error {
		if err := answered(tx, e, s.now()); err != nil {
			return err
		}
		return tx.Create(&row).Error
	})
}

// Key returns what is kept of a key, good or not.
func (s *Store) Key(ctx context.Context, id string) (book.Key, error) {
	var row keyRow
	err := s.read(ctx, "read a key", func(db *gorm.DB) error {
		return one(db.Raw(`SELECT `+keyColumns+` FROM api_keys WHERE id = ?`, id), row.columns()...)
	})
	return row.key(), err
}

// Keys returns all keys that ever were, the newest first.
func (s *Store) Keys(ctx context.Context) (all []book.Key, err error) {
	err = s.read(ctx, "read the keys", func(db *gorm.DB) error {
		all = nil
		return each(db.Raw(`SELECT `+keyColumns+` FROM api_keys ORDER BY created_at DESC, id`), func(rows *sql.Rows) error {
			var row keyRow
			if err := rows.Scan(row.columns()...); err != nil {
				return err
			}
			all = append(all, row.key())
			return nil
		})
	})
	return all, err
}

// RevokeKey ends a key for good; one that is revoked stays as it is.
func (s *Store) RevokeKey(ctx context.Context, id, by string, now callback.Instant) (book.Key, error) {
	var row keyRow
	err := s.writeOne(ctx, "revoke a key", func(db *gorm.DB) error {
		return one(db.Raw(`UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?), revoked_by = CASE WHEN revoked_at IS NULL THEN ? ELSE revoked_by END
			WHERE id = ? RETURNING `+keyColumns, instant{now}, by, id), row.columns()...)
	})
	return row.key(), err
}

// UseKey notes that a key was used, unless that was noted after a time.
func (s *Store) UseKey(ctx context.Context, id string, now, unlessAfter callback.Instant) error {
	return s.writeOne(ctx, "note the use of a key", func(db *gorm.DB) error {
		return db.Exec(`UPDATE api_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)`,
			instant{now}, id, instant{unlessAfter}).Error
	})
}
