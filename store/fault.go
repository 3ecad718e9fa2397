package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"ringback/book"
)

// condition is what an error of the database means to a caller.
type condition int

const (
	conditionOther condition = iota
	// conditionUnavailable: not reached, refused, or too slow.
	conditionUnavailable
	// conditionConflict: given up in favour of another transaction; try again.
	conditionConflict
	// conditionDuplicate: a unique key is taken.
	conditionDuplicate
)

// fault names the operation that failed, and sorts the error.
func (s *Store) fault(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("store: %s: %w", op, book.ErrNotFound)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("store: %s: %w", op, err)
	case errors.Is(err, errAgain), unreachable(err), s.condition(err) == conditionUnavailable, s.condition(err) == conditionConflict:
		return fmt.Errorf("store: %s: %w: %w", op, book.ErrUnavailable, err)
	}
	return fmt.Errorf("store: %s: %w", op, err)
}

// unreachable tells an error on the way to any database.
func unreachable(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &network)
}

// postgresCondition sorts by SQLSTATE
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func postgresCondition(err error) condition {
	var refused *pgconn.ConnectError
	if errors.As(err, &refused) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) {
		return conditionUnavailable
	}
	var reported *pgconn.PgError
	if !errors.As(err, &reported) || len(reported.Code) != 5 {
		return conditionOther
	}
	switch reported.Code {
	case "23505": // unique_violation
		return conditionDuplicate
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return conditionConflict
	case "25006", // read_only_sql_transaction: a standby
		"25P03", // idle_in_transaction_session_timeout
		"55P03", // lock_not_available
		"57014", // query_canceled: statement_timeout
		"57P01", "57P02", "57P03", "57P05":
		return conditionUnavailable
	}
	switch reported.Code[:2] {
	case "08", "53", "58": // connection, resources, the system below
		return conditionUnavailable
	}
	return conditionOther
}

// sqliteCondition sorts by result code (https://www.sqlite.org/rescode.html).
func sqliteCondition(err error) condition {
	var reported *sqlite.Error
	if !errors.As(err, &reported) {
		return conditionOther
	}
	switch reported.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return conditionDuplicate
	}
	switch reported.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return conditionUnavailable
	}
	return conditionOther
}
