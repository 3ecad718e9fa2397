package store

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	sqlitedialect "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"modernc.org/sqlite"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// OpenSQLite returns the store in the file at path, which is made if it is not
// there; its folder must be. One process at a time may have it open.
func OpenSQLite(ctx context.Context, path string, o Options) (*Store, error) {
	o = o.withDefaults(4)
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	d := sqliteDialect()
	writer, err := openSQLite(ctx, path, o, 1, url.Values{"_txlock": {"immediate"}})
	if err != nil {
		return nil, newStore(d, o, nil, nil).fault("open", err)
	}
	reader, err := openSQLite(ctx, path, o, o.MaxConns, url.Values{"_pragma": {"query_only(1)"}})
	if err != nil {
		_ = closeDB(writer)
		return nil, newStore(d, o, nil, nil).fault("open", err)
	}
	return newStore(d, o, writer, reader), nil
}

// openSQLite opens a file that is written ahead: readers never wait for the
// writer. synchronous=NORMAL hands every commit to the operating system before
// it returns, so that no end of this process can lose it
// (https://www.sqlite.org/pragma.html#pragma_synchronous).
func openSQLite(ctx context.Context, path string, o Options, conns int, query url.Values) (*gorm.DB, error) {
	synchronous := "synchronous(normal)"
	if o.PowerSafe {
		synchronous = "synchronous(full)"
	}
	query["_pragma"] = append([]string{
		"busy_timeout(" + milliseconds(o.Timeout) + ")",
		"journal_mode(wal)",
		synchronous,
		"foreign_keys(1)",
		"temp_store(memory)",
		"cache_size(-16384)",           // KiB, of each connection
		"journal_size_limit(67108864)", // bytes the log keeps after a burst
		"wal_autocheckpoint(4000)",     // pages
		"mmap_size(0)",
		"secure_delete(fast)", // what is deleted is overwritten, where a page is written anyway (R26)
	}, query["_pragma"]...)
	connector, err := sqlite.NewConnector("file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + query.Encode())
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(preparing{connector})
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	if err := pool.PingContext(ctx); err != nil {
		_ = pool.Close()
		return nil, err
	}
	db, err := gorm.Open(sqlitedialect.New(sqlitedialect.Config{Conn: pool}), gormConfig())
	if err != nil {
		_ = pool.Close()
		return nil, err
	}
	return db, nil
}

func sqliteDialect() dialect {
	migrations, err := fs.Sub(sqliteMigrations, "migrations/sqlite")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return dialect{
		name:        "sqlite",
		migrations:  migrations,
		forUpdateOf: func(string) string { return "" }, // a writer's transaction is the only one
		appendFeed:  `INSERT INTO feed (callback_id, version, state, at) VALUES (?, ?, ?, ?)`,
		indexWords:  `INSERT INTO search (callback_id, words) VALUES (?, ?)`,
		matchWord:   `SELECT callback_id FROM search WHERE search MATCH ?`,
		day:         `substr(made_at, 1, 10)`,
		hour:        `substr(made_at, 1, 13) || ':00Z'`,
		required:    `(c.state ->> '$.callback_required')`,
		contactedAt: `(c.state ->> '$.contacted_at')`,
		quarter:     `(substr(%[1]s, 1, 14) || printf('%%02d', CAST(substr(%[1]s, 15, 2) AS integer) / 15 * 15))`,
		// In whole milliseconds: days as a fraction would not come to whole minutes exactly.
		minutesToContact: `(MAX(CAST(ROUND((julianday(` + firstContact + `)
			- julianday(MAX(p.made_at, COALESCE(i.scheduled_for, p.made_at)))) * 86400000) AS integer), 0) / 60000)`,
		attempts:    `(c.state ->> '$.attempts')`,
		disposition: `(t.data ->> '$.disposition')`,
		toWords:     func(words []string) string { return strings.Join(words, " ") },
		toWordQuery: func(words ...string) string { return `"` + strings.Join(words, `"* OR "`) + `"*` },
		condition:   sqliteCondition,
	}
}
