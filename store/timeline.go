package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

// Timeline returns what happened to a callback, in order and without gaps, with
// the texts that it names.
func (s *Store) Timeline(ctx context.Context, callbackID string) ([]book.Entry, error) {
	var entries []book.Entry
	err := s.read(ctx, "read a timeline", func(db *gorm.DB) error {
		query := db.Raw(`SELECT l.seq, l.type, l.at, l.actor, l.tier, l.rule, l.data, COALESCE(t.body, '')
			FROM timeline l LEFT JOIN texts t ON t.id = l.text_id AND t.callback_id = l.callback_id
			WHERE l.callback_id = ?
			ORDER BY l.seq`, callbackID)
		err := each(query, func(rows *sql.Rows) error {
			var e book.Entry
			var at instant
			var kind, data string
			if err := rows.Scan(&e.Seq, &kind, &at, &e.Actor, &e.Tier, &e.Rule, &data, &e.Text); err != nil {
				return err
			}
			var err error
			e.Event, err = eventOf(e.Event, kind, at, data)
			entries = append(entries, e)
			return err
		})
		if err == nil && len(entries) == 0 {
			err = book.ErrNotFound
		}
		return err
	})
	return entries, err
}

// eventOf completes an event with its fact. Only callback.Event knows the facts
// by their type, so it is given the whole in its own words.
func eventOf(e callback.Event, kind string, at instant, data string) (callback.Event, error) {
	entry, err := json.Marshal(map[string]any{
		"seq": e.Seq, "type": kind, "at": at.Instant, "actor": e.Actor, "tier": e.Tier, "rule": e.Rule, "data": json.RawMessage(data),
	})
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(entry, &e); err != nil {
		return e, fmt.Errorf("an entry of a timeline cannot be read: %w", err)
	}
	return e, nil
}

// Notes returns the notes and call summaries of a callback that are visible, in
// the order in which they became so.
func (s *Store) Notes(ctx context.Context, callbackID string) ([]book.Text, error) {
	var notes []book.Text
	err := s.read(ctx, "read notes", func(db *gorm.DB) error {
		var rows []textRow
		err := db.Where("callback_id = ? AND seq IS NOT NULL AND kind IN ?", callbackID, noteKinds).Order("seq, id").Find(&rows).Error
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			var id string
			return one(db.Raw(`SELECT id FROM callbacks WHERE id = ?`, callbackID), &id)
		}
		notes = make([]book.Text, len(rows))
		for i := range rows {
			notes[i] = rows[i].text()
		}
		return nil
	})
	return notes, err
}
