package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"

	"gorm.io/gorm"

	"ringback/callback"
)

// projections are the tables that are derived from histories, and from
// originals, alone (R25). The feed is none: it says when things were shown.
var projections = []string{"callbacks", "timeline", "promises", "tags", "search"}

// DropProjections throws the read model away; Project derives it again (R25).
// Lists are empty until then. Originals, people, ledgers and archive stay.
func (s *Store) DropProjections(ctx context.Context) error {
	return s.transact(ctx, "drop the projections", func(tx *gorm.DB) error {
		if err := s.longer(tx); err != nil {
			return err
		}
		for _, table := range projections {
			if err := tx.Exec(`DELETE FROM ` + table).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// Digest returns, for every callback, a digest of all that is projected of it:
// its row, its timeline, its promises. Before and after a rebuild they are the same.
func (s *Store) Digest(ctx context.Context) (map[string]string, error) {
	running := map[string]hash.Hash{}
	add := func(tx *gorm.DB, query string) error {
		return each(tx.Raw(query), func(rows *sql.Rows) error { return digestRow(rows, running) })
	}
	// One look: nothing moves between the tables.
	snapshot := &sql.TxOptions{ReadOnly: true}
	if s.name == "postgres" {
		snapshot.Isolation = sql.LevelRepeatableRead
	}
	err := s.reader.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := s.longer(tx); err != nil {
			return err
		}
		for _, query := range []string{
			`SELECT id, version, status, tier, queue, policy, owner, assignee, requested_at, due_at, ahead, due_order, next_at, overdue,
				closed_at, state, outage FROM callbacks`,
			`SELECT callback_id, seq, type, at, actor, tier, rule, text_id, data FROM timeline ORDER BY callback_id, seq`,
			`SELECT callback_id, tier_index, tier, queue, policy, made_at, due_at, result, result_at, late_by FROM promises
				ORDER BY callback_id, tier_index`,
			`SELECT callback_id, tag FROM tags ORDER BY callback_id, tag`,
		} {
			if err := add(tx, query); err != nil {
				return err
			}
		}
		return nil
	}, snapshot)
	if err != nil {
		return nil, s.fault("digest", err)
	}
	digests := make(map[string]string, len(running))
	for id, h := range running {
		digests[id] = hex.EncodeToString(h.Sum(nil))
	}
	return digests, nil
}

// digestRow adds a row to the digest of the callback that its first column names.
func digestRow(rows *sql.Rows, running map[string]hash.Hash) error {
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]any, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	id := fmt.Sprint(values[0])
	h := running[id]
	if h == nil {
		h = sha256.New()
		running[id] = h
	}
	for _, v := range values {
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		_, _ = fmt.Fprintf(h, "%v\x00", v) // never fails
	}
	return nil
}

// Misfiled names the table in which a callback stands otherwise than its state
// says: what lists filter and sort by, its promises, its tags. Empty: in none, or
// nothing is shown of it.
func (s *Store) Misfiled(ctx context.Context, id string) (table string, err error) {
	snapshot := &sql.TxOptions{ReadOnly: true}
	if s.name == "postgres" {
		snapshot.Isolation = sql.LevelRepeatableRead
	}
	err = s.reader.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		table, err = misfiled(tx, id)
		return err
	}, snapshot)
	if err != nil {
		return "", s.fault("compare what lists show", err)
	}
	return table, nil
}

func misfiled(tx *gorm.DB, id string) (table string, err error) {
	var have []callbackRow
	if err := tx.Find(&have, "id = ?", id).Error; err != nil {
		return "", err
	}
	c := &callback.Callback{}
	if len(have) > 0 {
		if err := json.Unmarshal([]byte(have[0].State), c); err != nil {
			return "callbacks", nil //nolint:nilerr // that is the answer
		}
		want, err := rowOfCallback(c)
		if err != nil {
			return "", err
		}
		want.ID, want.State = id, have[0].State // the state itself is compared with the history
		if want != have[0] {
			return "callbacks", nil
		}
	}
	var promises []promiseRow
	if err := tx.Order("tier_index").Find(&promises, "callback_id = ?", id).Error; err != nil {
		return "", err
	}
	if !slices.Equal(promises, rowsOfPromises(id, c.Policy, c.Promises)) {
		return "promises", nil
	}
	tags, err := column[string](tx.Raw(`SELECT tag FROM tags WHERE callback_id = ?`, id))
	if err != nil {
		return "", err
	}
	if !slices.Equal(slices.Sorted(slices.Values(tags)), slices.Compact(slices.Sorted(slices.Values(c.Tags)))) {
		return "tags", nil
	}
	return "", nil
}

// EachCallbackID calls f with the ID of every callback that the desk has an
// original of, also of one that never came to be, in order. It goes on while
// there are more and f returns nil.
func (s *Store) EachCallbackID(ctx context.Context, f func(id string) error) error {
	const atOnce = 1000
	after := ""
	for {
		var ids []string
		err := s.read(ctx, "list callbacks", func(db *gorm.DB) (err error) {
			ids, err = column[string](db.Raw(`SELECT callback_id FROM intakes WHERE callback_id > ? ORDER BY callback_id LIMIT ?`, after, atOnce))
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := f(id); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
}
