package store

import (
	"context"
	"crypto/rand"

	"gorm.io/gorm"

	"ringback/callback"
)

type policyRow struct {
	Hash   string `gorm:"primaryKey"`
	Policy document[*callback.Policy]
}

func (policyRow) TableName() string { return "policies" }

// SavePolicy keeps a pinned policy under its hash. Saving it again changes nothing.
func (s *Store) SavePolicy(ctx context.Context, hash string, p *callback.Policy) error {
	if _, kept := s.policies.Load(hash); kept {
		return nil
	}
	err := s.writeOne(ctx, "save a policy", func(tx *gorm.DB) error {
		return tx.Clauses(onConflict("hash")).Create(&policyRow{hash, document[*callback.Policy]{p}}).Error
	})
	if err == nil {
		s.policies.Store(hash, p)
	}
	return err
}

// Policy returns the pinned policy of a hash. It is shared: do not change it.
func (s *Store) Policy(ctx context.Context, hash string) (*callback.Policy, error) {
	if p, kept := s.policies.Load(hash); kept {
		return p.(*callback.Policy), nil // nothing else is stored there
	}
	var p document[*callback.Policy]
	err := s.read(ctx, "read a policy", func(db *gorm.DB) error {
		return one(db.Raw(`SELECT policy FROM policies WHERE hash = ?`, hash), &p)
	})
	if err != nil {
		return nil, err
	}
	s.policies.Store(hash, p.of)
	return p.of, nil
}

type settingRow struct {
	Name  string `gorm:"primaryKey"`
	Value []byte
}

func (settingRow) TableName() string { return "settings" }

// HashKey returns 32 random bytes that belong to this database, made when they
// are first asked for: what is derived from personal data and leaves the
// database is keyed with them (R26).
func (s *Store) HashKey(ctx context.Context) ([]byte, error) {
	const name = "hash_key"
	if key, kept := s.hashKey.Load(name); kept {
		return key.([]byte), nil // as above
	}
	read := func(db *gorm.DB) (key []byte, found bool, err error) {
		found, err = maybe(db.Raw(`SELECT value FROM settings WHERE name = ?`, name), &key)
		return key, found, err
	}
	var key []byte
	var found bool
	err := s.read(ctx, "read the hash key", func(db *gorm.DB) (err error) {
		key, found, err = read(db)
		return err
	})
	if err == nil && !found {
		err = s.write(ctx, "make the hash key", func(tx *gorm.DB) error {
			made := make([]byte, 32)
			_, _ = rand.Read(made) // never fails
			if err := tx.Clauses(onConflict("name")).Create(&settingRow{name, made}).Error; err != nil {
				return err
			}
			key, _, err = read(tx)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	s.hashKey.Store(name, key)
	return key, nil
}
