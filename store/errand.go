package store

import (
	"context"
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"ringback/book"
	"ringback/callback"
)

type errandRow struct {
	ID             string `gorm:"primaryKey"`
	Principal      string
	Path           string
	IdempotencyKey string
	Digest         string
	CallbackID     string
	Command        string
	CreatedAt      instant
	LeaseUntil     instant
	AnsweredAt     instant
	AnswerStatus   int
	AnswerLocation string
	AnswerETag     string `gorm:"column:answer_etag"`
	AnswerBody     []byte
}

func (errandRow) TableName() string { return "errands" }

func (r *errandRow) errand() book.Errand {
	e := book.Errand{
		ID: r.ID, Principal: r.Principal, Path: r.Path, Key: r.IdempotencyKey, Digest: r.Digest,
		CallbackID: r.CallbackID, Command: r.Command, CreatedAt: r.CreatedAt.Instant, LeaseUntil: r.LeaseUntil.Instant,
	}
	if !r.AnsweredAt.IsZero() {
		e.Answer = &book.Answer{Status: r.AnswerStatus, Location: r.AnswerLocation, ETag: r.AnswerETag, Body: r.AnswerBody}
	}
	return e
}

type textRow struct {
	ID         string `gorm:"primaryKey"`
	CallbackID string
	ErrandID   string
	Kind       string
	Author     string
	Body       string
	CreatedAt  instant
}

func (textRow) TableName() string { return "texts" }

func (r *textRow) text() book.Text {
	return book.Text{
		ID: r.ID, CallbackID: r.CallbackID, Kind: book.TextKind(r.Kind), Author: r.Author, Body: r.Body,
		CreatedAt: r.CreatedAt.Instant,
	}
}

type openSourceRow struct {
	Policy       string `gorm:"primaryKey"`
	SourceSystem string `gorm:"primaryKey"`
	SourceRef    string `gorm:"primaryKey"`
	CallbackID   string
}

func (openSourceRow) TableName() string { return "open_sources" }

// commandCreate is the Command of an errand that makes a callback.
const commandCreate = "create"

// errAgain starts a transaction over: what it saw was gone when it looked again.
var errAgain = errors.New("another transaction was quicker, again and again")

// Begin writes an errand down, with what is personal in it, before anything is
// sent: all of it or nothing.
//
// An errand of that ID that is there already is returned, and nothing is
// written: of parallel repeats one begins. A create whose source an open
// callback of the same policy has is refused with a *book.DuplicateError (R14),
// and a reservation that another errand uses, or that has lapsed, with
// book.ErrNoneAvailable (R06).
func (s *Store) Begin(ctx context.Context, b book.Begin) (existing *book.Errand, err error) {
	// One statement needs no transaction around it.
	run := s.write
	if b.Intake == nil && len(b.Texts) == 0 && b.Reservation == "" {
		run = s.writeOne
	}
	err = run(ctx, "begin an errand", func(tx *gorm.DB) error {
		existing = nil
		e := b.Errand
		row := errandRow{
			ID: e.ID, Principal: e.Principal, Path: e.Path, IdempotencyKey: e.Key, Digest: e.Digest,
			CallbackID: e.CallbackID, Command: e.Command, CreatedAt: instant{e.CreatedAt}, LeaseUntil: instant{e.LeaseUntil},
		}
		began := tx.Clauses(onConflict("id")).Create(&row)
		if began.Error != nil {
			return began.Error
		}
		if began.RowsAffected == 0 {
			found, err := errandByID(tx, e.ID)
			if errors.Is(err, book.ErrNotFound) {
				return errAgain
			}
			existing = &found
			return err
		}
		if b.Reservation != "" {
			if err := use(tx, b.Reservation, e); err != nil {
				return err
			}
		}
		if b.Intake != nil {
			if err := s.takeIn(tx, b.Intake); err != nil {
				return err
			}
		}
		return stage(tx, e.ID, b.Texts)
	})
	return existing, err
}

// takeIn writes the original of a callback that is about to be, and takes its source.
func (s *Store) takeIn(tx *gorm.DB, i *book.Intake) error {
	if i.Source != nil && i.Source.Ref != "" {
		row := openSourceRow{i.Policy, i.Source.System, i.Source.Ref, i.CallbackID}
		taken := tx.Clauses(onConflict("policy", "source_system", "source_ref")).Create(&row)
		if taken.Error != nil {
			return taken.Error
		}
		if taken.RowsAffected == 0 {
			return duplicateOf(tx, row)
		}
	}
	row := rowOfIntake(i)
	return tx.Create(&row).Error
}

func duplicateOf(tx *gorm.DB, taken openSourceRow) error {
	var existing string
	found, err := maybe(tx.Raw(`SELECT callback_id FROM open_sources WHERE policy = ? AND source_system = ? AND source_ref = ?`,
		taken.Policy, taken.SourceSystem, taken.SourceRef), &existing)
	switch {
	case err != nil:
		return err
	case !found:
		return errAgain // it closed just now
	}
	return &book.DuplicateError{Existing: existing}
}

// stage writes texts that nobody sees until an event names them.
func stage(tx *gorm.DB, errandID string, texts []book.Text) error {
	if len(texts) == 0 {
		return nil
	}
	rows := make([]textRow, len(texts))
	for i, t := range texts {
		rows[i] = textRow{t.ID, t.CallbackID, errandID, string(t.Kind), t.Author, t.Body, instant{t.CreatedAt}}
	}
	return tx.Create(&rows).Error
}

// onConflict leaves a row alone whose key is taken; RowsAffected is then 0.
func onConflict(key ...string) clause.OnConflict {
	return clause.OnConflict{Columns: columnsOf(key), DoNothing: true}
}

// orUpdate replaces the other columns of a row whose key is taken.
func orUpdate(key ...string) clause.OnConflict {
	return clause.OnConflict{Columns: columnsOf(key), UpdateAll: true}
}

func columnsOf(names []string) []clause.Column {
	columns := make([]clause.Column, len(names))
	for i, name := range names {
		columns[i].Name = name
	}
	return columns
}

func errandByID(db *gorm.DB, id string) (book.Errand, error) {
	var row errandRow
	if err := db.Take(&row, "id = ?", id).Error; err != nil {
		if errors.Is(err, gorm.ErrRecordNotFound) {
			err = book.ErrNotFound
		}
		return book.Errand{}, err
	}
	return row.errand(), nil
}

// Errand returns the errand of an ID.
func (s *Store) Errand(ctx context.Context, id string) (e book.Errand, err error) {
	err = s.read(ctx, "read an errand", func(db *gorm.DB) error {
		e, err = errandByID(db, id)
		return err
	})
	return e, err
}

// TakeOver makes the caller the one who is at the errand, until leaseUntil: if
// it has no answer and its lease ran out before staleBefore. Of parallel callers
// one gets true. The errand is returned either way.
func (s *Store) TakeOver(ctx context.Context, id string, staleBefore, leaseUntil callback.Instant) (e book.Errand, taken bool, err error) {
	err = s.write(ctx, "take an errand over", func(tx *gorm.DB) error {
		update := tx.Exec(`UPDATE errands SET lease_until = ?
			WHERE id = ? AND answered_at IS NULL AND (lease_until IS NULL OR lease_until < ?)`,
			instant{leaseUntil}, id, instant{staleBefore})
		if update.Error != nil {
			return update.Error
		}
		taken = update.RowsAffected == 1
		e, err = errandByID(tx, id)
		return err
	})
	return e, taken && err == nil, err
}

// Release gives the errand up: a repeat of its request may take it over at once.
func (s *Store) Release(ctx context.Context, id string) error {
	return s.writeOne(ctx, "release an errand", func(tx *gorm.DB) error {
		return tx.Exec(`UPDATE errands SET lease_until = NULL WHERE id = ? AND answered_at IS NULL`, id).Error
	})
}

// OpenErrands returns unanswered errands whose lease ran out before
// leaseBefore, the oldest first.
func (s *Store) OpenErrands(ctx context.Context, leaseBefore callback.Instant, limit int) ([]book.Errand, error) {
	var rows []errandRow
	err := s.read(ctx, "list open errands", func(db *gorm.DB) error {
		return db.Where("answered_at IS NULL AND (lease_until IS NULL OR lease_until < ?)", instant{leaseBefore}).
			Order("created_at, id").Limit(limit).Find(&rows).Error
	})
	errands := make([]book.Errand, len(rows))
	for i := range rows {
		errands[i] = rows[i].errand()
	}
	return errands, err
}

// Settle projects what came of an errand, and ends it, all in one transaction.
//
// With an empty batch nothing came of it, and the callback is as it was. render
// makes the answer of the view after projection; it may be called again where
// the database starts the transaction over, and its error undoes all. An errand
// with a key keeps its first answer, to be given again; every other errand, and
// any if render is nil or returns nil, is deleted. An errand that is gone
// already, or answered by somebody else meanwhile, is no error.
//
// Errors are those of Project.
func (s *Store) Settle(ctx context.Context, id string, b book.Batch, render func(book.View) (*book.Answer, error)) (book.View, error) {
	return s.projecting(ctx, "settle an errand", b, func(tx *gorm.DB, v book.View) error {
		var answer *book.Answer
		if render != nil {
			var err error
			if answer, err = render(v); err != nil {
				return err
			}
		}
		if answer != nil {
			kept := tx.Exec(`UPDATE errands
				SET answered_at = ?, answer_status = ?, answer_location = ?, answer_etag = ?, answer_body = ?
				WHERE id = ? AND idempotency_key <> '' AND answered_at IS NULL`,
				instant{s.now()}, answer.Status, answer.Location, answer.ETag, answer.Body, id)
			if kept.Error != nil || kept.RowsAffected == 1 {
				return kept.Error
			}
		}
		return tx.Exec(`DELETE FROM errands WHERE id = ? AND answered_at IS NULL`, id).Error
	})
}

// answered writes an errand that was done at once, with its answer; nil: none.
func answered(tx *gorm.DB, e *book.Errand, now callback.Instant) error {
	if e == nil {
		return nil
	}
	row := errandRow{
		ID: e.ID, Principal: e.Principal, Path: e.Path, IdempotencyKey: e.Key, Digest: e.Digest, CallbackID: e.CallbackID,
		Command: e.Command, CreatedAt: instant{e.CreatedAt}, AnsweredAt: instant{now},
		AnswerStatus: e.Answer.Status, AnswerLocation: e.Answer.Location, AnswerETag: e.Answer.ETag, AnswerBody: e.Answer.Body,
	}
	written := tx.Clauses(onConflict("id")).Create(&row)
	if written.Error == nil && written.RowsAffected == 0 {
		return book.ErrRepeated
	}
	return written.Error
}

// Answer keeps the first answer to an errand that is about no callback, to be
// given again; an errand without a key, or answered already, is left alone.
func (s *Store) Answer(ctx context.Context, id string, a book.Answer) error {
	return s.writeOne(ctx, "answer an errand", func(tx *gorm.DB) error {
		return tx.Exec(`UPDATE errands
			SET answered_at = ?, answer_status = ?, answer_location = ?, answer_etag = ?, answer_body = ?
			WHERE id = ? AND idempotency_key <> '' AND answered_at IS NULL`,
			instant{s.now()}, a.Status, a.Location, a.ETag, a.Body, id).Error
	})
}

// Drop undoes Begin: the command was refused, and leaves nothing behind. What
// an event has named meanwhile stays, as does the original of a callback that
// exists; an answered errand and one that is not there are left alone. A
// reservation is given back: of an errand that was accepted it has lapsed by
// then.
func (s *Store) Drop(ctx context.Context, id string) error {
	return s.write(ctx, "drop an errand", func(tx *gorm.DB) error {
		e, err := errandByID(tx, id)
		if errors.Is(err, book.ErrNotFound) || err == nil && e.Answer != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Command == commandCreate {
			if err := s.forgetIntake(tx, e.CallbackID); err != nil {
				return err
			}
		}
		if err := giveBack(tx, id); err != nil {
			return err
		}
		if err := tx.Exec(`DELETE FROM texts WHERE errand_id = ? AND seq IS NULL`, id).Error; err != nil {
			return err
		}
		return tx.Exec(`DELETE FROM errands WHERE id = ? AND answered_at IS NULL`, id).Error
	})
}

// forgetIntake deletes the original of a callback that never came to be. Its
// row is locked first, as the projection of the first event does: what is seen
// after that is so.
func (s *Store) forgetIntake(tx *gorm.DB, callbackID string) error {
	var locked string
	if _, err := maybe(tx.Raw(`SELECT i.callback_id FROM intakes i WHERE i.callback_id = ?`+s.forUpdateOf("i"), callbackID), &locked); err != nil {
		return err
	}
	for _, table := range []string{"open_sources", "intakes"} {
		err := tx.Exec(`DELETE FROM `+table+` WHERE callback_id = ? AND NOT EXISTS (SELECT 1 FROM callbacks WHERE id = ?)`,
			callbackID, callbackID).Error
		if err != nil {
			return err
		}
	}
	return nil
}
