package store

import (
	"context"

	"gorm.io/gorm"
)

type memoryRow struct {
	Connector string `gorm:"primaryKey"`
	Key       string `gorm:"primaryKey"`
	Value     string
	UpdatedAt instant `gorm:"autoUpdateTime:false"`
}

func (memoryRow) TableName() string { return "connector_memory" }

// Recall returns what a connector remembers under a key.
func (s *Store) Recall(ctx context.Context, connector, key string) (value string, found bool, err error) {
	secret, err := s.HashKey(ctx)
	if err != nil {
		return "", false, err
	}
	err = s.read(ctx, "recall", func(db *gorm.DB) error {
		found, err = recall(db, secret, connector, key, &value)
		return err
	})
	return value, found, err
}

// recall also finds what has been moved to a digest of its key, by an erasure (R26).
func recall(db *gorm.DB, secret []byte, connector, key string, value *string) (bool, error) {
	return maybe(db.Raw(`SELECT value FROM connector_memory WHERE connector = ? AND key IN (?, ?)
		ORDER BY CASE WHEN key = ? THEN 0 ELSE 1 END`, connector, key, memoryDigest(secret, connector, key), key), value)
}

func forget(db *gorm.DB, connector string, keys ...string) error {
	return db.Exec(`DELETE FROM connector_memory WHERE connector = ? AND key IN ?`, connector, keys).Error
}

// Remember keeps a value under a key, in place of the one that is there.
func (s *Store) Remember(ctx context.Context, connector, key, value string) error {
	return s.writeOne(ctx, "remember", func(tx *gorm.DB) error {
		return tx.Clauses(orUpdate("connector", "key")).Create(&memoryRow{connector, key, value, instant{s.now()}}).Error
	})
}

// Claim keeps a value under a key unless there is one: then first is false, and
// existing is that one. Of many at once one is first.
func (s *Store) Claim(ctx context.Context, connector, key, value string) (existing string, first bool, err error) {
	secret, err := s.HashKey(ctx)
	if err != nil {
		return "", false, err
	}
	err = s.write(ctx, "claim a key", func(tx *gorm.DB) error {
		claimed := tx.Clauses(onConflict("connector", "key")).Create(&memoryRow{connector, key, value, instant{s.now()}})
		if claimed.Error != nil {
			return claimed.Error
		}
		existing, first = value, claimed.RowsAffected == 1
		if first {
			moved, err := maybe(tx.Raw(`SELECT value FROM connector_memory WHERE connector = ? AND key = ?`,
				connector, memoryDigest(secret, connector, key)), &existing)
			if err != nil || !moved {
				return err
			}
			first = false
			return forget(tx, connector, key)
		}
		found, err := recall(tx, secret, connector, key, &existing)
		if err == nil && !found {
			return errAgain // it was forgotten just now
		}
		return err
	})
	return existing, first && err == nil, err
}

// Replace keeps value under a key in place of was, if that is what is there; done
// reports whether. Of many at once that saw the same one does.
func (s *Store) Replace(ctx context.Context, connector, key, was, value string) (done bool, err error) {
	secret, err := s.HashKey(ctx)
	if err != nil {
		return false, err
	}
	err = s.writeOne(ctx, "replace", func(tx *gorm.DB) error {
		replaced := tx.Exec(`UPDATE connector_memory SET value = ?, updated_at = ? WHERE connector = ? AND key IN (?, ?) AND value = ?`,
			value, instant{s.now()}, connector, key, memoryDigest(secret, connector, key), was)
		done = replaced.RowsAffected == 1
		return replaced.Error
	})
	return done && err == nil, err
}

// Forget forgets what is kept under a key; nothing there is no error.
func (s *Store) Forget(ctx context.Context, connector, key string) error {
	secret, err := s.HashKey(ctx)
	if err != nil {
		return err
	}
	return s.writeOne(ctx, "forget", func(tx *gorm.DB) error {
		return forget(tx, connector, key, memoryDigest(secret, connector, key))
	})
}
