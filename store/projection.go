package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

type callbackRow struct {
	ID          string `gorm:"primaryKey"`
	Version     int64
	Status      string
	Tier        string
	Queue       string
	Policy      string
	Owner       string
	Assignee    string
	RequestedAt instant
	DueAt       instant
	Ahead       int
	DueOrder    instant
	NextAt      instant
	Overdue     bool
	ClosedAt    instant
	State       string
	Outage      string
}

func (callbackRow) TableName() string { return "callbacks" }

func rowOfCallback(c *callback.Callback) (callbackRow, error) {
	state, err := json.Marshal(c)
	if err != nil {
		return callbackRow{}, err
	}
	next, _ := c.Next()
	r := callbackRow{
		ID: c.ID, Version: c.Version, Status: string(c.Status), Tier: c.Tier, Queue: c.Queue, Policy: c.Policy,
		Owner: c.Owner, Assignee: c.Assignee, RequestedAt: instant{c.RequestedAt}, DueAt: instant{c.DueAt}, Ahead: 1,
		DueOrder: instant{c.DueAt}, NextAt: instant{next}, Overdue: c.Overdue, ClosedAt: instant{c.ClosedAt}, State: string(state),
		Outage: c.Outage,
	}
	if c.Status == callback.StatusQueued && !c.CustomerCalledAt.IsZero() {
		r.Ahead = 0
	}
	if c.DueAt.IsZero() {
		r.DueOrder = endOfTime
	}
	return r, nil
}

type timelineRow struct {
	CallbackID string `gorm:"primaryKey"`
	Seq        int64  `gorm:"primaryKey;autoIncrement:false"`
	Type       string
	At         instant
	Actor      string
	Tier       string
	Rule       string
	TextID     *string
	Data       string
}

func (timelineRow) TableName() string { return "timeline" }

type promiseRow struct {
	CallbackID string `gorm:"primaryKey"`
	TierIndex  int    `gorm:"primaryKey;autoIncrement:false"`
	Tier       string
	Queue      string
	Policy     string
	MadeAt     instant
	DueAt      instant
	Result     string
	ResultAt   instant
	LateBy     string
}

func (promiseRow) TableName() string { return "promises" }

type tagRow struct {
	Tag        string `gorm:"primaryKey"`
	CallbackID string `gorm:"primaryKey"`
}

func (tagRow) TableName() string { return "tags" }

// Project writes news of a callback into the read model, and returns what is
// then there. Events that are there already are skipped, so that it may be
// repeated, and called by many at once; the timeline stays without gaps.
//
// A batch that does not follow on what is there is refused with a
// *book.GapError; an empty one, and one of old events only, changes nothing.
// A callback that was made without an errand gets an empty original.
func (s *Store) Project(ctx context.Context, b book.Batch) (book.View, error) {
	return s.projecting(ctx, "project", b, nil)
}

// projecting projects a batch, and does what is to be done beside it.
func (s *Store) projecting(ctx context.Context, op string, b book.Batch, beside func(*gorm.DB, book.View) error) (view book.View, err error) {
	changed := false
	err = s.write(ctx, op, func(tx *gorm.DB) error {
		p, err := s.project(tx, b)
		if err != nil {
			return err
		}
		view, changed = p.view, p.row != nil
		if beside != nil {
			if err := beside(tx, view); err != nil {
				return err
			}
		}
		if !changed {
			return nil
		}
		if view.Intake.Erased != nil {
			return s.appendErased(tx, view)
		}
		return s.append(tx, p.row)
	})
	if err != nil {
		return book.View{}, err
	}
	if changed {
		s.feed.grown()
	}
	return view, nil
}

// projected is what a batch came to; row is nil where it changed nothing.
type projected struct {
	view book.View
	row  *callbackRow
}

func (s *Store) project(tx *gorm.DB, b book.Batch) (projected, error) {
	old, known, err := s.lock(tx, b.CallbackID)
	if err != nil {
		return projected{}, err
	}
	have := int64(0)
	if known {
		have = old.State.Version
	}
	events, err := news(b.Events, have)
	if err != nil {
		return projected{}, err
	}
	if len(events) == 0 {
		if !known {
			return projected{}, book.ErrNotFound
		}
		return projected{view: old}, nil
	}
	state, err := callback.Fold(old.State, events)
	if err != nil {
		return projected{}, err
	}
	if state.ID != b.CallbackID {
		return projected{}, fmt.Errorf("the events are of the callback %q, not of %q", state.ID, b.CallbackID)
	}
	row, err := rowOfCallback(state)
	if err != nil {
		return projected{}, err
	}
	p := projected{view: book.View{State: state, Intake: old.Intake}, row: &row}
	if known {
		err = tx.Select("*").Updates(&row).Error
	} else {
		p.view.Intake, err = s.insert(tx, &row, state)
		old.State = &callback.Callback{}
	}
	if err != nil {
		return projected{}, err
	}
	if err := s.writeTimeline(tx, b.CallbackID, events, p.view.Intake.Erased != nil); err != nil {
		return projected{}, err
	}
	if err := writeOwed(tx, b.CallbackID, events); err != nil {
		return projected{}, err
	}
	if err := writePromises(tx, old.State, state); err != nil {
		return projected{}, err
	}
	if err := writeTags(tx, old.State, state); err != nil {
		return projected{}, err
	}
	if state.Status.Closed() && !old.State.Status.Closed() {
		err = tx.Exec(`DELETE FROM open_sources WHERE callback_id = ?`, state.ID).Error
	}
	return p, err
}

// lock reads a callback and keeps others from changing it until the
// transaction ends.
func (s *Store) lock(tx *gorm.DB, id string) (view book.View, known bool, err error) {
	view, err = scanView(tx.Raw(`SELECT c.state, `+intakeColumns+`
		FROM callbacks c JOIN intakes i ON i.callback_id = c.id
		WHERE c.id = ?`+s.forUpdateOf("c"), id))
	if err == book.ErrNotFound { //nolint:errorlint // scanView's own
		return book.View{}, false, nil
	}
	return view, err == nil, err
}

// news returns the events after a version; they must follow on it.
func news(events []callback.Event, have int64) ([]callback.Event, error) {
	for len(events) > 0 && events[0].Seq <= have {
		events = events[1:]
	}
	for i := range events {
		if events[i].Seq != have+1+int64(i) {
			return nil, &book.GapError{Have: have, First: events[i].Seq}
		}
	}
	return events, nil
}

// insert writes the row of a callback that is new, and returns its original.
func (s *Store) insert(tx *gorm.DB, row *callbackRow, c *callback.Callback) (book.Intake, error) {
	var original intakeRow
	known, err := maybe(tx.Raw(`SELECT `+intakeColumns+` FROM intakes i WHERE i.callback_id = ?`+s.forUpdateOf("i"), c.ID), original.columns()...)
	if err != nil {
		return book.Intake{}, err
	}
	if !known {
		original = rowOfIntake(emptyIntake(c))
		if err := tx.Clauses(onConflict("callback_id")).Create(&original).Error; err != nil {
			return book.Intake{}, err
		}
	}
	added := tx.Clauses(onConflict("id")).Create(row)
	switch {
	case added.Error != nil:
		return book.Intake{}, added.Error
	case added.RowsAffected == 0:
		return book.Intake{}, errAgain // somebody else has just projected it
	}
	intake := original.intake()
	return intake, s.index(tx, c.ID, wordsOfIntake(&intake))
}

// textNamed is how a fact names a text (R26).
type textNamed struct {
	TextID string `json:"text_id"`
}

func (s *Store) writeTimeline(tx *gorm.DB, callbackID string, events []callback.Event, erased bool) error {
	rows := make([]timelineRow, len(events))
	for i, e := range events {
		data, err := json.Marshal(e.Fact)
		if err != nil {
			return err
		}
		rows[i] = timelineRow{
			CallbackID: callbackID, Seq: e.Seq, Type: string(e.Fact.Type()), At: instant{e.At}, Actor: e.Actor,
			Tier: e.Tier, Rule: string(e.Rule), Data: string(data),
		}
		if !bytes.Contains(data, []byte(`"text_id"`)) {
			continue
		}
		var named textNamed
		if err := json.Unmarshal(data, &named); err != nil {
			return err
		}
		rows[i].TextID = &named.TextID
		if err := s.reveal(tx, callbackID, named.TextID, e.Seq, erased); err != nil {
			return err
		}
	}
	return tx.Create(&rows).Error
}

// reveal makes a staged text visible: an event has named it. One that comes after
// its customer's erasure is emptied (R26).
func (s *Store) reveal(tx *gorm.DB, callbackID, textID string, seq int64, erased bool) error {
	if erased {
		if err := tx.Exec(`UPDATE texts SET body = '' WHERE id = ? AND callback_id = ?`, textID, callbackID).Error; err != nil {
			return err
		}
	}
	var first int64
	var kind, body string
	found, err := maybe(tx.Raw(`UPDATE texts SET seq = CASE WHEN seq < ? THEN seq ELSE ? END
		WHERE id = ? AND callback_id = ?
		RETURNING seq, kind, body`, seq, seq, textID, callbackID), &first, &kind, &body)
	if err != nil || !found || first != seq || !isNote(book.TextKind(kind)) {
		return err
	}
	return s.index(tx, callbackID, wordsOf(body))
}

// noteKinds are shown as notes.
var noteKinds = []book.TextKind{book.TextNote, book.TextCallSummary}

func isNote(k book.TextKind) bool { return slices.Contains(noteKinds, k) }

// writePromises writes those that have changed.
func writePromises(tx *gorm.DB, old, now *callback.Callback) error {
	var changed []callback.Outcome
	for i, p := range now.Promises {
		if i < len(old.Promises) && old.Promises[i] == p {
			continue
		}
		changed = append(changed, p)
	}
	rows := rowsOfPromises(now.ID, now.Policy, changed)
	if len(rows) == 0 {
		return nil
	}
	return tx.Clauses(orUpdate("callback_id", "tier_index")).Create(&rows).Error
}

func rowsOfPromises(callbackID, policy string, promises []callback.Outcome) []promiseRow {
	var rows []promiseRow
	for _, p := range promises {
		rows = append(rows, promiseRow{
			CallbackID: callbackID, TierIndex: p.TierIndex, Tier: p.Tier, Queue: p.Queue, Policy: policy,
			MadeAt: instant{p.MadeAt}, DueAt: instant{p.DueAt}, Result: string(p.Result), ResultAt: instant{p.At}, LateBy: string(p.LateBy),
		})
	}
	return rows
}

func writeTags(tx *gorm.DB, old, now *callback.Callback) error {
	for _, tag := range old.Tags {
		if slices.Contains(now.Tags, tag) {
			continue
		}
		if err := tx.Exec(`DELETE FROM tags WHERE tag = ? AND callback_id = ?`, tag, now.ID).Error; err != nil {
			return err
		}
	}
	for _, tag := range now.Tags {
		if slices.Contains(old.Tags, tag) {
			continue
		}
		if err := tx.Clauses(onConflict("tag", "callback_id")).Create(&tagRow{tag, now.ID}).Error; err != nil {
			return err
		}
	}
	return nil
}
