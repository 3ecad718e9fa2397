package store

import (
	"context"
	"database/sql"
	"regexp"
	"slices"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

// sweepAtOnce is how many rows one transaction deletes: nobody waits long for it.
const sweepAtOnce = 1000

// sweep deletes the rows of a table that a condition selects, and returns how many.
func (s *Store) sweep(ctx context.Context, op, table, condition string, values ...any) (swept int64, err error) {
	for {
		var deleted int64
		err := s.write(ctx, op, func(tx *gorm.DB) error {
			done := tx.Exec(`DELETE FROM `+table+` WHERE id IN (SELECT id FROM `+table+` WHERE `+condition+` LIMIT ?)`,
				append(values, sweepAtOnce)...)
			deleted = done.RowsAffected
			return done.Error
		})
		swept += deleted
		if err != nil || deleted < sweepAtOnce {
			return swept, err
		}
	}
}

// SweepTexts deletes texts written before an instant that no event has named
// and whose errand is over, and returns how many. Allow a projection that lags
// behind its time: what is deleted does not come back.
func (s *Store) SweepTexts(ctx context.Context, before callback.Instant) (int64, error) {
	return s.sweep(ctx, "sweep texts", "texts", `seq IS NULL AND created_at < ?
		AND NOT EXISTS (SELECT 1 FROM errands e WHERE e.id = texts.errand_id AND e.answered_at IS NULL)`, instant{before})
}

// SweepErrands deletes errands that were answered before an instant, and
// returns how many: their keys may be used again.
func (s *Store) SweepErrands(ctx context.Context, answeredBefore callback.Instant) (int64, error) {
	return s.sweep(ctx, "sweep errands", "errands", `answered_at < ?`, instant{answeredBefore})
}

// SweepReservations deletes reservations that expired before an instant, used
// or not, and returns how many.
func (s *Store) SweepReservations(ctx context.Context, expiredBefore callback.Instant) (int64, error) {
	return s.sweep(ctx, "sweep reservations", "reservations", `expires_at < ?`, instant{expiredBefore})
}

// SweepMessages deletes kept messages that were understood before an instant, with
// the personal data in them, and returns how many. Those that wait stay.
func (s *Store) SweepMessages(ctx context.Context, replayedBefore callback.Instant) (int64, error) {
	return s.sweep(ctx, "sweep kept messages", "inbound_messages", `replayed_at < ?`, instant{replayedBefore})
}

// SweepDrawWaits deletes what is remembered of draws that found nobody, for
// callbacks that no longer wait for one, and returns how many. It is done here and
// not when one is claimed: a draw that was under way then would come after it.
func (s *Store) SweepDrawWaits(ctx context.Context) (swept int64, err error) {
	err = s.writeOne(ctx, "sweep waits for draws", func(tx *gorm.DB) error {
		done := tx.Exec(`DELETE FROM draw_waits WHERE EXISTS (SELECT 1 FROM callbacks c WHERE c.id = draw_waits.callback_id AND c.status <> ?)`,
			string(callback.StatusQueued))
		swept = done.RowsAffected
		return done.Error
	})
	return swept, err
}

// anyID is what may be the id of a callback.
var anyID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// SweepMemory forgets what a connector need not remember any more (book.Term), and
// returns how much.
func (s *Store) SweepMemory(ctx context.Context, t book.Term, now callback.Instant) (swept int64, err error) {
	before := instant{now.Plus(-t.Lasts)}
	last := len(t.Prefix) - 1
	from, end := t.Prefix, t.Prefix[:last]+string(rune(t.Prefix[last]+1))
	for {
		seen, deleted := 0, int64(0)
		err := s.write(ctx, "sweep what a connector remembers", func(tx *gorm.DB) error {
			seen, deleted = 0, 0
			var keys []string
			names := map[string][]string{}
			err := each(tx.Raw(`SELECT key, value FROM connector_memory WHERE connector = ? AND key > ? AND key < ? AND updated_at < ?
				ORDER BY key LIMIT ?`, t.Connector, from, end, before, sweepAtOnce), func(rows *sql.Rows) error {
				var key, value string
				if err := rows.Scan(&key, &value); err != nil {
					return err
				}
				keys = append(keys, key)
				for _, id := range anyID.FindAllString(key+" "+value, -1) {
					names[id] = append(names[id], key)
				}
				return nil
			})
			if err != nil || len(keys) == 0 {
				return err
			}
			seen = len(keys)
			after := keys[seen-1]
			keys, err = unneeded(tx, keys, names, before)
			if err != nil || len(keys) == 0 {
				from = after
				return err
			}
			done := tx.Exec(`DELETE FROM connector_memory WHERE connector = ? AND key IN ? AND updated_at < ?`, t.Connector, keys, before)
			deleted = done.RowsAffected
			if done.Error == nil {
				from = after
			}
			return done.Error
		})
		swept += deleted
		if err != nil || seen < sweepAtOnce {
			return swept, err
		}
	}
}

// unneeded are the keys that name no callback which is open, or was closed lately.
func unneeded(tx *gorm.DB, keys []string, names map[string][]string, before instant) ([]string, error) {
	ids := make([]string, 0, len(names))
	for id := range names {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return keys, nil
	}
	needed, err := column[string](tx.Raw(`SELECT id FROM callbacks WHERE id IN ? AND (closed_at IS NULL OR closed_at >= ?)`, ids, before))
	if err != nil {
		return nil, err
	}
	stay := map[string]bool{}
	for _, id := range needed {
		for _, key := range names[id] {
			stay[key] = true
		}
	}
	return slices.DeleteFunc(keys, func(key string) bool { return stay[key] }), nil
}
