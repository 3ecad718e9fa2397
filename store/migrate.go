package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// VersionError says that the database does not have the tables that this
// program needs: run migrate.
type VersionError struct{ Have, Want int64 }

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the database is at version %d and this program needs %d: run migrate", e.Have, e.Want)
}

func (s *Store) provider(db *sql.DB) (*goose.Provider, error) {
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if s.name == "postgres" {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, err
		}
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialect, db, s.migrations, options...)
}

// Migrate brings the tables up to what this program needs. Processes that do so
// at once wait for each other.
func (s *Store) Migrate(ctx context.Context) error {
	db, leave, err := s.patient()
	if err != nil {
		return s.fault("migrate", err)
	}
	defer leave()
	p, err := s.provider(db)
	if err != nil {
		return s.fault("migrate", err)
	}
	_, err = p.Up(ctx)
	return s.fault("migrate", err)
}

// CheckVersion returns a *VersionError where the database is older than this
// program needs. A newer one is welcome: migrations only add, so that the
// processes of the last release go on while the next one is rolled out.
func (s *Store) CheckVersion(ctx context.Context) error {
	const op = "check the version"
	ctx, cancel := s.bound(ctx)
	defer cancel()
	db, err := s.writer.DB()
	if err != nil {
		return s.fault(op, err)
	}
	p, err := s.provider(db)
	if err != nil {
		return s.fault(op, err)
	}
	sources := p.ListSources()
	want := sources[len(sources)-1].Version
	have, err := s.version(ctx)
	if err != nil {
		return s.fault(op, err)
	}
	if have < want {
		return s.fault(op, &VersionError{have, want})
	}
	return nil
}

// version reads what goose wrote, 0 where it never did; goose itself would make
// its table.
func (s *Store) version(ctx context.Context) (v int64, err error) {
	db := s.reader.WithContext(ctx)
	exists := `SELECT COUNT(*) FROM sqlite_schema WHERE name = 'goose_db_version'`
	if s.name == "postgres" {
		exists = `SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('goose_db_version')`
	}
	var tables int
	if err := one(db.Raw(exists), &tables); err != nil || tables == 0 {
		return 0, err
	}
	return v, one(db.Raw(`SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`), &v)
}
