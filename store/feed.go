package store

import (
	"context"
	"database/sql"
	"sync"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

// append adds a row to the feed.
func (s *Store) append(tx *gorm.DB, row *callbackRow) error {
	return tx.Exec(s.appendFeed, row.ID, row.Version, row.State, instant{s.now()}).Error
}

// appendErased does so for a callback whose customer was erased: its newest entry is
// in no history, and its number one more.
func (s *Store) appendErased(tx *gorm.DB, v book.View) error {
	state := *v.State
	state.Version, state.UpdatedAt = v.Version(), v.UpdatedAt()
	row, err := rowOfCallback(&state)
	if err != nil {
		return err
	}
	return s.append(tx, &row)
}

// Feed returns changes after a sequence number, in commit order: who has read
// up to a number will never be given a smaller one.
func (s *Store) Feed(ctx context.Context, after int64, limit int) ([]book.FeedItem, error) {
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	var items []book.FeedItem
	err := s.read(ctx, "read the feed", func(db *gorm.DB) error {
		return each(db.Raw(`SELECT f.seq, f.state, COALESCE(i.lob, '') FROM feed f LEFT JOIN intakes i ON i.callback_id = f.callback_id
			WHERE f.seq > ? ORDER BY f.seq LIMIT ?`, after, limit), func(rows *sql.Rows) error {
			var seq int64
			var state document[*callback.Callback]
			var lob string
			if err := rows.Scan(&seq, &state, &lob); err != nil {
				return err
			}
			items = append(items, book.FeedItem{Seq: seq, State: state.of, LOB: lob})
			return nil
		})
	})
	return items, err
}

// catchUp numbers what a process has left without a number: one that ended, or
// that is about to number it.
func (s *Store) catchUp(ctx context.Context) error {
	if s.feed.number == nil {
		return nil
	}
	var behind bool
	err := s.read(ctx, "read the feed", func(db *gorm.DB) error {
		return one(db.Raw(`SELECT EXISTS (SELECT 1 FROM feed WHERE seq IS NULL)`), &behind)
	})
	if err != nil || !behind {
		return err
	}
	return s.feed.number(ctx)
}

// FeedBounds returns the first and the last number of the feed, both 0 where
// nothing was ever changed. Who has read up to a number smaller than oldest-1
// has missed something.
func (s *Store) FeedBounds(ctx context.Context) (oldest, newest int64, err error) {
	if err := s.catchUp(ctx); err != nil {
		return 0, 0, err
	}
	err = s.read(ctx, "read the feed", func(db *gorm.DB) error {
		return one(db.Raw(`SELECT COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0) FROM feed`), &oldest, &newest)
	})
	return oldest, newest, err
}

// TrimFeed forgets the feed up to the first row that was written at an instant
// or later; the newest row always stays.
func (s *Store) TrimFeed(ctx context.Context, before callback.Instant) error {
	return s.write(ctx, "trim the feed", func(tx *gorm.DB) error {
		return tx.Exec(`DELETE FROM feed WHERE seq < COALESCE(
			(SELECT MIN(seq) FROM feed WHERE at >= ?),
			(SELECT MAX(seq) FROM feed))`, instant{before}).Error
	})
}

// Subscribe has f called after every change of the feed: by this store at once,
// by other processes on the same PostgreSQL soon after, and whenever some may
// have been missed. f must return quickly, and may be called by many at once.
func (s *Store) Subscribe(f func()) (cancel func()) { return s.feed.subscribe(f) }

// feed tells subscribers of changes.
type feed struct {
	// number gives new rows their numbers; nil: they have them already.
	number func(context.Context) error
	// listen calls announce for what other processes add; nil: there are none.
	listen func(ctx context.Context, announce func())

	lifetime context.Context // of all that runs
	end      context.CancelFunc
	running  sync.WaitGroup

	mu          sync.Mutex
	subscribers map[int]func()
	last        int
	listening   bool
	behind      chan struct{} // holds one where rows wait for their numbers; nil: nobody numbers yet
}

func (f *feed) subscribe(g func()) (cancel func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	id := f.last
	f.subscribers[id] = g
	if f.listen != nil && !f.listening {
		f.listening = true
		f.run(func(ctx context.Context) { f.listen(ctx, f.announce) })
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subscribers, id)
	}
}

// run starts what runs until the feed is closed. The caller holds mu.
func (f *feed) run(g func(context.Context)) {
	if f.lifetime.Err() == nil {
		f.running.Go(func() { g(f.lifetime) })
	}
}

// grown says that a transaction has added to the feed.
func (f *feed) grown() {
	if f.number == nil {
		f.announce()
		return
	}
	f.mu.Lock()
	if f.behind == nil {
		f.behind = make(chan struct{}, 1)
		f.run(f.numberAll)
	}
	f.mu.Unlock()
	select {
	case f.behind <- struct{}{}:
	default: // it is about to look
	}
}

// numberAll numbers whatever has been added since it last did. Where that fails
// the next one does it, here or in another process, or whoever reads the feed.
func (f *feed) numberAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.behind:
		}
		if f.number(ctx) == nil {
			f.announce()
		}
	}
}

func (f *feed) announce() {
	f.mu.Lock()
	subscribers := make([]func(), 0, len(f.subscribers))
	for _, g := range f.subscribers {
		subscribers = append(subscribers, g)
	}
	f.mu.Unlock()
	for _, g := range subscribers {
		g()
	}
}

func (f *feed) close() {
	f.mu.Lock()
	f.end()
	clear(f.subscribers)
	f.mu.Unlock()
	f.running.Wait()
}
