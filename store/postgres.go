package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

// Keys of advisory locks: the first number says that it is the desk's.
const (
	lockSpace = 0x72696e67 // "ring"
	lockFeed  = 1
	lockStaff = 2
)

// feedChannel is NOTIFYd of every row of the feed.
const feedChannel = "ringback_feed"

// OpenPostgres returns the store in the database that dsn names (a URL or
// key=value pairs, as libpq takes them). It connects when it is first used, so
// that a process may start while the database is away: see Ping and
// CheckVersion. The error says what is wrong with the dsn.
func OpenPostgres(_ context.Context, dsn string, o Options) (*Store, error) {
	o = o.withDefaults(16)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("store: the PostgreSQL DSN is not one: %w", err)
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > o.ConnectTimeout {
		config.ConnectTimeout = o.ConnectTimeout
	}
	parameter := func(name, value string) {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	parameter("application_name", "ringback")
	parameter("timezone", "UTC")
	parameter("statement_timeout", milliseconds(o.Timeout))
	// A process that stops in the middle of a transaction must not hold its locks.
	parameter("idle_in_transaction_session_timeout", milliseconds(o.Timeout))

	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(o.MaxConns)
	pool.SetMaxIdleConns(o.MaxConns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), gormConfig())
	if err != nil {
		_ = pool.Close()
		return nil, fmt.Errorf("store: %w", err)
	}
	s := newStore(postgresDialect(), o, db, db)
	s.patient = func() (*sql.DB, func(), error) {
		long := config.Copy()
		long.RuntimeParams["statement_timeout"], long.RuntimeParams["idle_in_transaction_session_timeout"] = "0", "0"
		db := stdlib.OpenDB(*long)
		return db, func() { _ = db.Close() }, nil
	}
	s.feed.number = s.numberFeed
	s.feed.listen = func(ctx context.Context, announce func()) { listen(ctx, config, announce) }
	return s, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func postgresDialect() dialect {
	migrations, err := fs.Sub(postgresMigrations, "migrations/postgres")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return dialect{
		name:        "postgres",
		migrations:  migrations,
		forUpdateOf: func(alias string) string { return " FOR NO KEY UPDATE OF " + alias },
		appendFeed:  `INSERT INTO feed (callback_id, version, state, at) VALUES (?, ?, ?, ?)`,
		indexWords:  `INSERT INTO search (callback_id, words) VALUES (?, array_to_tsvector(?::text[]))`,
		matchWord:   `SELECT callback_id FROM search WHERE words @@ ?::tsquery`,
		day:         `to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')`,
		hour:        `to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:00"Z"')`,
		required:    `(c.state ->> 'callback_required')::boolean`,
		contactedAt: `(c.state ->> 'contacted_at')`,
		quarter:     `to_char(date_bin('15 minutes', %[1]s, TIMESTAMPTZ '2000-01-01 00:00Z') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI')`,
		minutesToContact: `(CASE WHEN ` + firstContact + ` IS NOT NULL THEN GREATEST(FLOOR(EXTRACT(EPOCH FROM (` + firstContact + `
			- GREATEST(p.made_at, i.scheduled_for))) / 60), 0)::bigint END)`,
		attempts:    `(c.state ->> 'attempts')::bigint`,
		disposition: `(t.data ->> 'disposition')`,
		toWords: func(words []string) string {
			return "{" + strings.Join(words, ",") + "}" // letters, marks and digits only
		},
		toWordQuery: func(words ...string) string { return "'" + strings.Join(words, "':* | '") + "':*" },
		condition:   postgresCondition,
	}
}

// longer lifts the time limit of statements in a transaction of maintenance.
func (s *Store) longer(tx *gorm.DB) error {
	if s.name != "postgres" {
		return nil
	}
	return tx.Exec("SET LOCAL statement_timeout = 0").Error
}

// numberFeed gives the rows of the feed that have become visible their numbers.
//
// The transaction that appends a row does not draw its number: it would have to
// keep every other one waiting up to its commit, disk and all, for numbers to be
// in commit order, and one that stands still would stop the desk. Who numbers
// waits only for others who number, and numbers for all. A notification is sent
// from here for the same reason: PostgreSQL commits those one by one.
func (s *Store) numberFeed(ctx context.Context) error {
	return s.write(ctx, "number the feed", func(tx *gorm.DB) error {
		// A statement of its own: the next one then sees what was numbered before.
		if err := tx.Exec(fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d, %d)`, lockSpace, lockFeed)).Error; err != nil {
			return err
		}
		numbered := tx.Exec(`
			UPDATE feed SET seq = unnumbered.last + unnumbered.nth
			FROM (
				SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS nth, (SELECT COALESCE(MAX(seq), 0) FROM feed) AS last
				FROM feed WHERE seq IS NULL
			) AS unnumbered
			WHERE feed.id = unnumbered.id`)
		if numbered.Error != nil || numbered.RowsAffected == 0 {
			return numbered.Error
		}
		return tx.Exec(fmt.Sprintf(`SELECT pg_notify('%s', '')`, feedChannel)).Error
	})
}

// listen calls announce for every NOTIFY of the feed until ctx ends, and
// whenever it has connected, as there may have been some before.
func listen(ctx context.Context, config *pgx.ConnConfig, announce func()) {
	const shortest, longest = 100 * time.Millisecond, 5 * time.Second
	pause := shortest
	for ctx.Err() == nil {
		err := listenOnce(ctx, config, func() {
			pause = shortest
			announce()
		})
		if err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, longest)
		}
	}
}

// quiet is how long the connection may say nothing before it is asked whether
// it is still there, and what has been missed: a process may end between a
// commit and its notification.
const quiet = 10 * time.Second

func listenOnce(ctx context.Context, config *pgx.ConnConfig, announce func()) error {
	conn, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+feedChannel); err != nil {
		return err
	}
	announce()
	for {
		wait, cancel := context.WithTimeout(ctx, quiet)
		_, err := conn.WaitForNotification(wait)
		silent := wait.Err() != nil
		cancel()
		switch {
		case err == nil:
			announce()
		case ctx.Err() != nil || !silent:
			return err
		default:
			if err := conn.Ping(ctx); err != nil {
				return err
			}
			announce()
		}
	}
}
