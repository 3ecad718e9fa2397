package store_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/e2e/harness/pg"
	"ringback/store"
)

func TestAnUnmigratedDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	onBothEmpty(t, func(t *testing.T, s *store.Store) {
		var version *store.VersionError
		require.ErrorAs(t, s.CheckVersion(t.Context()), &version)
		require.Zero(t, version.Have)
		require.NoError(t, s.Migrate(t.Context()))
		require.NoError(t, s.CheckVersion(t.Context()))

		newest := version.Want
		set := func(v int64) {
			_, err := s.DB().ExecContext(t.Context(), fmt.Sprintf("UPDATE goose_db_version SET version_id = %d WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)", v))
			require.NoError(t, err)
		}
		set(newest - 1)
		require.ErrorAs(t, s.CheckVersion(t.Context()), &version)
		require.Equal(t, store.VersionError{Have: newest - 1, Want: newest}, *version)
		set(newest + 1)
		require.NoError(t, s.CheckVersion(t.Context()), "the next release has migrated it already")
	})
}

// onBothEmpty runs a test on databases without tables.
func onBothEmpty(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	run := func(open func(t *testing.T) (*store.Store, error)) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			s, err := open(t)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			test(t, s)
		}
	}
	t.Run("sqlite", run(func(t *testing.T) (*store.Store, error) {
		t.Helper()
		return store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "desk.db"), patient(store.Options{}))
	}))
	t.Run("postgres", run(func(t *testing.T) (*store.Store, error) {
		t.Helper()
		return store.OpenPostgres(t.Context(), pg.Database(t), patient(store.Options{}))
	}))
}

// What a call may take is no bound for migrations, which may make an index over
// millions of rows.
func TestMigratingTakesWhatItTakes(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	s, err := store.OpenPostgres(t.Context(), dsn, store.Options{Timeout: time.Millisecond, ConnectTimeout: time.Minute})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	require.NoError(t, s.Close())
	s, err = store.OpenPostgres(t.Context(), dsn, patient(store.Options{}))
	require.NoError(t, err)
	require.NoError(t, s.CheckVersion(t.Context()))
	require.NoError(t, s.Close())
}

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	together(4, func(int) {
		s, err := store.OpenPostgres(t.Context(), dsn, patient(store.Options{}))
		if err == nil {
			err = errors.Join(s.Migrate(t.Context()), s.CheckVersion(t.Context()), s.Close())
		}
		if err != nil {
			t.Error(err)
		}
	})
}

var update = flag.Bool("update", false, "write the schema files from the migrations")

// The migrations lead to the schema that is checked in, and so does that file
// by itself.
func TestTheSchemaIsCheckedIn(t *testing.T) {
	t.Parallel()
	onBothEmpty(t, func(t *testing.T, s *store.Store) {
		file, dump := "schema/sqlite.sql", sqliteSchema
		if s.IsPostgres() {
			file, dump = "schema/postgres.sql", postgresSchema
		}
		require.NoError(t, s.Migrate(t.Context()))
		now := dump(t, s.DB())
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(now), 0o600))
		}
		kept, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(kept), now, "run go test ./store -run Schema -update")
	})
	onBothEmpty(t, func(t *testing.T, s *store.Store) {
		file, dump := "schema/sqlite.sql", sqliteSchema
		if s.IsPostgres() {
			file, dump = "schema/postgres.sql", postgresSchema
		}
		kept, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = s.DB().ExecContext(t.Context(), string(kept))
		require.NoError(t, err)
		require.Equal(t, string(kept), dump(t, s.DB()))
	})
}

const generated = "-- The whole schema, as the migrations make it. Written by go test ./store -run Schema -update; do not edit.\n"

func sqliteSchema(t testing.TB, db *sql.DB) string {
	t.Helper()
	return generated + strings.Join(lines(t, db, `
		SELECT sql || ';' FROM sqlite_schema
		WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'sqlite_%' AND tbl_name NOT LIKE 'goose_%' AND tbl_name NOT LIKE 'search_%'
		ORDER BY tbl_name, type DESC, name`), "\n") + "\n"
}

func postgresSchema(t testing.TB, db *sql.DB) string {
	t.Helper()
	return generated + strings.Join(lines(t, db, `
		WITH tables AS (
			SELECT oid, relname FROM pg_class
			WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'goose_%'
		)
		SELECT line FROM (
			SELECT relname, 1 AS part, '' AS name, 'CREATE TABLE ' || relname || E' (\n' || (
				SELECT string_agg('    ' || attname || ' ' || format_type(atttypid, atttypmod)
					|| CASE WHEN attcollation NOT IN (0, 'pg_catalog."default"'::regcollation) THEN ' COLLATE ' || attcollation::regcollation ELSE '' END
					|| CASE attidentity WHEN 'a' THEN ' GENERATED ALWAYS AS IDENTITY' WHEN 'd' THEN ' GENERATED BY DEFAULT AS IDENTITY' ELSE '' END
					|| CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
					|| COALESCE(' DEFAULT ' || pg_get_expr(adbin, adrelid), ''), E',\n' ORDER BY attnum)
				FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
				WHERE attrelid = tables.oid AND attnum > 0 AND NOT attisdropped
			) || COALESCE((
				SELECT string_agg(E',\n    CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid), '' ORDER BY contype, conname)
				FROM pg_constraint WHERE conrelid = tables.oid AND contype IN ('c', 'p', 'u', 'x')
			), '') || E'\n);' AS line FROM tables
			UNION ALL
			SELECT relname, 2, indexrelid::regclass::text, pg_get_indexdef(indexrelid) || ';'
			FROM pg_index JOIN tables ON tables.oid = indrelid
			WHERE NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
			UNION ALL
			SELECT 'zz', 3, conname, 'ALTER TABLE ' || relname || ' ADD CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid) || ';'
			FROM pg_constraint JOIN tables ON tables.oid = conrelid WHERE contype = 'f'
		) AS lines ORDER BY relname COLLATE "C", part, name COLLATE "C"`), "\n") + "\n"
}

func lines(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var all []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		all = append(all, line)
	}
	require.NoError(t, rows.Err())
	return all
}
