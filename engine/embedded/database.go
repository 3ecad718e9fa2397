package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	sqliteschema "go.temporal.io/server/schema/sqlite"
)

const full = "full"

// pragmas make SQLite write ahead: a reader never waits for the writer, and a commit is one append to the log.
//
// synchronous=NORMAL hands every commit to the operating system before it returns, so killing the process (SIGKILL, a
// crash) loses nothing; only losing the machine's power may lose the last commits, and even then the file is
// consistent, as SQLite syncs the log before it moves pages into the file (https://www.sqlite.org/pragma.html#pragma_synchronous).
// FULL, Config.PowerSafe, syncs at each commit.
func pragmas(powerSafe bool) map[string]string {
	synchronous := "normal"
	if powerSafe {
		synchronous = full
	}
	return map[string]string{
		"journal_mode":       "wal",
		"synchronous":        synchronous,
		"busy_timeout":       "10000",  // ms; another process may read the file, nobody else writes it
		"cache_size":         "-16384", // KiB: hot pages of some hundred open workflows
		"temp_store":         "memory",
		"journal_size_limit": strconv.Itoa(16 << 20), // bytes the log keeps after a burst
	}
}

// starts makes the connection string of every server in this process another one. The SQLite plugin never closes a
// connection and finds it again by that string, so a server on a path whose file was replaced would get the old file.
var starts atomic.Int64

// sqlConfig is the plugin's view of the database file.
func sqlConfig(path string, powerSafe bool) *config.SQL {
	attributes := pragmas(powerSafe)
	attributes["mode"] = "rwc"
	// SQLite ignores it, the plugin lets it pass.
	attributes["setup"] = "start-" + strconv.FormatInt(starts.Add(1), 10)
	return &config.SQL{
		PluginName:        sqliteplugin.PluginName,
		DatabaseName:      filepath.ToSlash(path),
		ConnectAttributes: attributes,
		// One connection: SQLite has one writer anyway, and the plugin's transactions begin as readers, which makes two
		// at a time fail instead of wait.
		MaxConns:     1,
		MaxIdleConns: 1,
		// The only way to have the plugin's connection of a stopped server closed.
		MaxConnLifetime: 10 * time.Minute,
	}
}

// dsn is the connection string of the file, which writes instants as the plugin does.
func dsn(path string, powerSafe bool) string {
	query := url.Values{"mode": {"rwc"}, "_time_format": {"sqlite"}}
	for name, value := range pragmas(powerSafe) {
		query.Add("_pragma", name+"="+value)
	}
	return "file:" + filepath.ToSlash(path) + "?" + query.Encode()
}

// open opens the database file beside the plugin, to be closed.
func open(path string, powerSafe bool) (*sql.DB, error) {
	db, err := sql.Open(sqliteplugin.PluginName, dsn(path, powerSafe))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// setUp makes the tables of a new file, all or none, and refuses a file that has other tables than this server's. Both
// files get all tables, as the server's schema comes in one piece; each uses its own.
func setUp(ctx context.Context, path string, powerSafe bool) (err error) {
	db, err := open(path, powerSafe)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx,
		"CREATE TABLE IF NOT EXISTS ringback_schema (main TEXT NOT NULL, visibility TEXT NOT NULL)"); err != nil {
		return err
	}
	var main, visibility string
	err = tx.QueryRowContext(ctx, "SELECT main, visibility FROM ringback_schema").Scan(&main, &visibility)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case main != sqliteschema.Version || visibility != sqliteschema.VisibilityVersion:
		return fmt.Errorf("the file has the tables of Temporal schema %s/%s, this server needs %s/%s",
			main, visibility, sqliteschema.Version, sqliteschema.VisibilityVersion)
	default:
		return nil
	}
	if err := sqliteschema.SetupSchemaOnDB(inTransaction{ctx: ctx, tx: tx}); err != nil {
		return err
	}
	if err := dropIndexes(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO ringback_schema (main, visibility) VALUES (?, ?)",
		sqliteschema.Version, sqliteschema.VisibilityVersion); err != nil {
		return err
	}
	return tx.Commit()
}

// keptIndexes serve the lists of the Temporal UI and the sweep over closed workflows.
var keptIndexes = []string{"default_idx", "by_workflow_id", "by_workflow_type", "by_status"}

// dropIndexes takes from the visibility table all but a few of its sixty indexes, one for every column that anybody
// might search by. Each write of a workflow's visibility pays for all of them: without, it takes 2.3 kB of disk instead
// of 17 (measured), and less time. Searches by the other columns read the lists in order instead.
func dropIndexes(ctx context.Context, tx *sql.Tx) (err error) {
	rows, err := tx.QueryContext(ctx,
		"SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'executions_visibility' AND sql IS NOT NULL")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var dropped []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if !slices.Contains(keptIndexes, name) {
			dropped = append(dropped, name)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, name := range dropped {
		if _, err := tx.ExecContext(ctx, "DROP INDEX "+name); err != nil {
			return err
		}
	}
	return nil
}

// inTransaction lets the server's schema be written in one transaction; a process killed half-way leaves an empty file.
// Nothing of AdminDB but Exec is called.
type inTransaction struct {
	sqlplugin.AdminDB
	ctx context.Context
	tx  *sql.Tx
}

func (t inTransaction) Exec(statement string, args ...any) error {
	_, err := t.tx.ExecContext(t.ctx, statement, args...)
	return err
}

// checkpoint moves the write-ahead log into the file, so that the file alone is the whole. (A file that was not
// checkpointed, because the process was killed, is whole together with its log.)
func checkpoint(path string, powerSafe bool) (err error) {
	db, err := open(path, powerSafe)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}
