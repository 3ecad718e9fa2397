// Package store keeps what is written down beside the histories: originals,
// the read model, people and the ledgers (see package book), in PostgreSQL or
// in one SQLite file. Both behave the same; one suite of tests runs on both.
//
// # Errors
//
// A method that finds no such row returns an error that wraps
// [book.ErrNotFound]. A database that cannot be reached, refuses or takes too
// long gives one that wraps [book.ErrUnavailable], after at most
// Options.Timeout; whether a write then took place is not known, but every
// write here may be repeated. What refuses for a reason of its own says so at
// the method.
//
// # Personal data
//
// It is all in here. No error, log or trace of this package holds a value from
// a row (R26).
package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"ringback/book"
	"ringback/callback"
)

// Options tune a store; the zero Options are good ones.
type Options struct {
	// Timeout of one call, all its statements together; 4 s unless set. Migrating,
	// digests and dropping projections take what they take.
	Timeout time.Duration
	// ConnectTimeout of PostgreSQL; 2 s unless set.
	ConnectTimeout time.Duration
	// MaxConns is how many connections PostgreSQL is asked for at most, or how many
	// readers an SQLite file has beside its one writer; 16 and 4 unless set.
	MaxConns int
	// PowerSafe makes SQLite wait for the disk at every commit. Without it a
	// commit survives the end of the process in any way, but not of the machine's
	// power: then the last ones may be missing. PostgreSQL waits as it is configured.
	PowerSafe bool
	// Pick makes the choice of a random draw among n; uniform unless set.
	Pick func(n int) int
	// Now is the clock for what the desk itself notes down, time.Now unless set. No
	// projected row depends on it.
	Now func() time.Time
}

func (o Options) withDefaults(conns int) Options {
	if o.Timeout == 0 {
		o.Timeout = 4 * time.Second
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 2 * time.Second
	}
	if o.MaxConns == 0 {
		o.MaxConns = conns
	}
	if o.Pick == nil {
		o.Pick = uniform
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Store is one database. Its methods may be called concurrently.
type Store struct {
	dialect
	options Options
	// writer and reader are the same on PostgreSQL; an SQLite file has one writer
	// and, as it is written ahead, readers that never wait for it.
	writer, reader *gorm.DB
	// patient opens connections whose statements take as long as they take: an index
	// over millions of rows is not made in the time that a call has.
	patient  func() (db *sql.DB, leave func(), err error)
	feed     feed
	policies sync.Map // hash -> *callback.Policy; what a hash names never changes
	hashKey  sync.Map // one entry: the key
	// beforeCommit lets a test stop a transaction that has done all its work.
	beforeCommit func(op string)
}

// dialect is where the two databases differ.
type dialect struct {
	name       string
	migrations fs.FS
	// reads of a row that is then written take its lock with this.
	forUpdateOf func(alias string) string
	appendFeed  string
	indexWords  string
	matchWord   string
	day, hour   string
	// required tells whether the policy's tag of a callback c is on; contactedAt is
	// when its tier reached the customer.
	required, contactedAt string
	// quarter cuts a column to the quarter of an hour, as quarterLayout has it.
	quarter string
	// minutesToContact are the whole minutes from a promise p with its intake i to
	// the first contact, NULL without one; attempts how many calls a callback c took;
	// disposition how a timeline entry t says that one went.
	minutesToContact, attempts, disposition string
	toWords                                 func(words []string) string
	toWordQuery                             func(words ...string) string // any of them
	// condition sorts an error of the database.
	condition func(error) condition
}

func newStore(d dialect, o Options, writer, reader *gorm.DB) *Store {
	s := &Store{dialect: d, options: o, writer: writer, reader: reader}
	s.patient = func() (*sql.DB, func(), error) {
		db, err := writer.DB()
		return db, func() {}, err
	}
	s.feed.subscribers = map[int]func(){}
	s.feed.lifetime, s.feed.end = context.WithCancel(context.Background())
	return s
}

// gormConfig: every statement here is in a transaction that says so itself, and
// nothing is logged, since statements carry personal data. Statements are
// prepared once per connection below GORM, in the driver: GORM's own cache
// prepares what it first saw in a transaction again in every other.
func gormConfig() *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction:   true,
		DisableAutomaticPing:     true,
		DisableNestedTransaction: true,
		Logger:                   logger.Discard,
	}
}

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	db, err := s.reader.DB()
	if err != nil {
		return s.fault("ping", err)
	}
	return s.fault("ping", db.PingContext(ctx))
}

// Close ends all connections. Subscriptions end.
func (s *Store) Close() error {
	s.feed.close()
	err := closeDB(s.writer)
	if s.reader != s.writer {
		err = errors.Join(closeDB(s.reader), err)
	}
	return err
}

func closeDB(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}

func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.options.Timeout)
}

// now is the desk's own clock.
func (s *Store) now() callback.Instant { return callback.At(s.options.Now()) }

// read runs queries outside of a transaction.
func (s *Store) read(ctx context.Context, op string, f func(db *gorm.DB) error) (err error) {
	ctx, end := s.span(ctx, op)
	defer func() { end(err) }()
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.fault(op, f(s.reader.WithContext(ctx)))
}

// span traces one operation by its name: a statement, or what it is given,
// would carry personal data (R26).
func (s *Store) span(ctx context.Context, op string) (context.Context, func(error)) {
	ctx, span := otel.Tracer("ringback/store").Start(ctx, "sql "+op, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", s.name)))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// conflictRetries is how often a transaction that the database gave up in
// favour of another is tried again.
const conflictRetries = 5

// write runs f in one transaction. Where the database gives it up in favour of
// another one, f runs again.
func (s *Store) write(ctx context.Context, op string, f func(tx *gorm.DB) error) (err error) {
	ctx, end := s.span(ctx, op)
	defer func() { end(err) }()
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.transact(ctx, op, f)
}

// writeOne runs f, which writes with one statement.
func (s *Store) writeOne(ctx context.Context, op string, f func(db *gorm.DB) error) (err error) {
	ctx, end := s.span(ctx, op)
	defer func() { end(err) }()
	ctx, cancel := s.bound(ctx)
	defer cancel()
	for tries := 1; ; tries++ {
		err := f(s.writer.WithContext(ctx))
		if s.again(ctx, err, tries) {
			continue
		}
		return s.fault(op, err)
	}
}

func (s *Store) again(ctx context.Context, err error, tries int) bool {
	conflict := errors.Is(err, errAgain) || s.condition(err) == conditionConflict
	return conflict && tries < conflictRetries && ctx.Err() == nil
}

func (s *Store) transact(ctx context.Context, op string, f func(tx *gorm.DB) error) error {
	for tries := 1; ; tries++ {
		err := s.writer.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := f(tx); err != nil {
				return err
			}
			if s.beforeCommit != nil {
				s.beforeCommit(op)
			}
			return nil
		})
		if s.again(ctx, err, tries) {
			continue
		}
		return s.fault(op, err)
	}
}

// one scans the first row of a query; book.ErrNotFound where there is none.
func one(query *gorm.DB, into ...any) error {
	found, err := maybe(query, into...)
	if err == nil && !found {
		return book.ErrNotFound
	}
	return err
}

// maybe scans the first row of a query, if there is one.
func maybe(query *gorm.DB, into ...any) (found bool, err error) {
	err = each(query, func(rows *sql.Rows) error {
		if found {
			return nil
		}
		found = true
		return rows.Scan(into...)
	})
	return found, err
}

// each calls f for every row of a query.
func each(query *gorm.DB, f func(rows *sql.Rows) error) (err error) {
	rows, err := query.Rows()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// column returns the only column of a query.
func column[T any](query *gorm.DB) ([]T, error) {
	var all []T
	err := each(query, func(rows *sql.Rows) error {
		var v T
		if err := rows.Scan(&v); err != nil {
			return err
		}
		all = append(all, v)
		return nil
	})
	return all, err
}

// eachOf calls f for every row of a query of two columns.
func eachOf[A, B any](query *gorm.DB, f func(A, B)) error {
	return each(query, func(rows *sql.Rows) error {
		var a A
		var b B
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		f(a, b)
		return nil
	})
}
