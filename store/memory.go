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
	err = s.read(ctx, "recall", func(db *gorm.DB) error {
		found, err = recall(db, connector, key, &value)
		return err
	})
	return value, found, err
}

func recall(db *gorm.DB, connector, key string, value *string) (bool, error) {
	return maybe(db.Raw(`SELECT value FROM connector_memory WHERE connector = ? AND key = ?`, connector, key), value)
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
	err = s.write(ctx, "claim a key", func(tx *gorm.DB) error {
		claimed := tx.Clauses(onConflict("connector", "key")).Create(&memoryRow{connector, key, value, instant{s.now()}})
		if claimed.Error != nil {
			return claimed.Error
		}
		existing, first = value, claimed.RowsAffected == 1
		if first {
			return nil
		}
		found, err := recall(tx, connector, key, &existing)
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
	err = s.writeOne(ctx, "replace", func(tx *gorm.DB) error {
		replaced := tx.Exec(`UPDATE connector_memory SET value = ?, updated_at = ? WHERE connector = ? AND key = ? AND value = ?`,
			value, instant{s.now()}, connector, key, was)
		done = replaced.RowsAffected == 1
		return replaced.Error
	})
	return done && err == nil, err
}

// Forget forgets what is kept under a key; nothing there is no error.
func (s *Store) Forget(ctx context.Context, connector, key string) error {
	return s.writeOne(ctx, "forget", func(tx *gorm.DB) error {
		return tx.Exec(`DELETE FROM connector_memory WHERE connector = ? AND key = ?`, connector, key).Error
	})
}
