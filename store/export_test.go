package store

import (
	"database/sql"
	"maps"
	"slices"
)

// BeforeCommit has f called in every transaction that has done all its work.
func (s *Store) BeforeCommit(f func(op string)) { s.beforeCommit = f }

// DB is the connection pool below.
func (s *Store) DB() *sql.DB {
	db, err := s.writer.DB()
	if err != nil {
		panic(err)
	}
	return db
}

// IsPostgres tells which of the two databases this is.
func (s *Store) IsPostgres() bool { return s.name == "postgres" }

// PersonalTables are those of which is said what they hold of a customer.
func PersonalTables() []string { return slices.Sorted(maps.Keys(personal)) }
