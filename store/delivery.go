package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

type deliveryRow struct {
	OperationID string `gorm:"primaryKey"`
	Destination string
	CallbackID  string
	Seq         int64
	Type        string
	State       string
	Tries       int
	Code        string
	Detail      string
	FirstAt     instant
	TriedAt     instant
	NextAt      instant
	SettledAt   instant
	FailedAt    instant
}

func (deliveryRow) TableName() string { return "deliveries" }

func (r *deliveryRow) delivery() book.Delivery {
	return book.Delivery{
		OperationID: r.OperationID, Destination: r.Destination, CallbackID: r.CallbackID, Seq: r.Seq, Type: callback.EventType(r.Type),
		State: book.DeliveryState(r.State), Tries: r.Tries, Code: r.Code, Detail: r.Detail,
		FirstAt: r.FirstAt.Instant, TriedAt: r.TriedAt.Instant, NextAt: r.NextAt.Instant, SettledAt: r.SettledAt.Instant,
	}
}

// settledStates are those that no try changes any more.
const settledStates = `('delivered', 'waived')`

// NoteDelivery notes one try of a delivery, and what came of it. A delivery that
// is settled stays so: only its last success is renewed. Tries and FirstAt are
// kept by the store; without a code the last one stays.
func (s *Store) NoteDelivery(ctx context.Context, d book.Delivery) error {
	failedAt := instant{}
	if d.Code != "" {
		failedAt = instant{d.TriedAt}
	}
	return s.writeOne(ctx, "note a delivery", func(tx *gorm.DB) error {
		return tx.Exec(`INSERT INTO deliveries
			(operation_id, destination, callback_id, seq, type, state, tries, code, detail, first_at, tried_at, next_at, settled_at, failed_at)
			VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (operation_id) DO UPDATE SET
				tries = deliveries.tries + 1,
				tried_at = excluded.tried_at,
				state = CASE WHEN deliveries.state IN `+settledStates+` THEN deliveries.state
					WHEN deliveries.state = 'owed' AND excluded.state = 'trying' THEN 'owed' ELSE excluded.state END,
				settled_at = CASE WHEN deliveries.state IN `+settledStates+` THEN deliveries.settled_at ELSE excluded.settled_at END,
				next_at = CASE WHEN deliveries.state IN `+settledStates+` THEN NULL ELSE excluded.next_at END,
				failed_at = COALESCE(excluded.failed_at, deliveries.failed_at),
				code = CASE WHEN excluded.code = '' THEN deliveries.code ELSE excluded.code END,
				detail = CASE WHEN excluded.code = '' THEN deliveries.detail ELSE excluded.detail END`,
			d.OperationID, d.Destination, d.CallbackID, d.Seq, string(d.Type), string(d.State), d.Code, d.Detail,
			instant{d.TriedAt}, instant{d.TriedAt}, instant{d.NextAt}, instant{d.SettledAt}, failedAt).Error
	})
}

// States returns the states of operations that were tried; others are left out.
func (s *Store) States(ctx context.Context, operationIDs []string) (map[string]book.DeliveryState, error) {
	states := map[string]book.DeliveryState{}
	err := s.read(ctx, "read what became of deliveries", func(db *gorm.DB) error {
		return eachOf(db.Raw(`SELECT operation_id, state FROM deliveries WHERE operation_id IN ?`, operationIDs),
			func(id, state string) { states[id] = book.DeliveryState(state) })
	})
	return states, err
}

// writeOwed brings the ledger to where the timeline is: what is owed although
// nobody could try it, and what was given up or has arrived after all. Doing so
// again, as a rebuild does, changes nothing.
func writeOwed(tx *gorm.DB, callbackID string, events []callback.Event) error {
	for _, e := range events {
		var err error
		switch f := e.Fact.(type) {
		case *callback.DeliveryOwed:
			err = tx.Exec(`INSERT INTO deliveries
				(operation_id, destination, callback_id, seq, type, state, tries, code, detail, first_at, tried_at, failed_at)
				VALUES (?, ?, ?, ?, COALESCE((SELECT type FROM timeline WHERE callback_id = ? AND seq = ?), ''), 'owed', 0, ?, '', ?, ?, ?)
				ON CONFLICT (operation_id) DO UPDATE SET state = 'owed' WHERE deliveries.state = 'trying'`,
				book.OperationID(callbackID, f.Destination, f.Seq), f.Destination, callbackID, f.Seq, callbackID, f.Seq,
				f.Code, instant{e.At}, instant{e.At}, instant{e.At}).Error
		case *callback.Delivered:
			state := book.DeliveryDelivered
			if f.By == callback.DeliveredByWaiving || f.By == callback.DeliveredByHand {
				state = book.DeliveryWaived
			}
			err = tx.Exec(`UPDATE deliveries SET state = ?, settled_at = ?, next_at = NULL
				WHERE operation_id = ? AND state NOT IN `+settledStates,
				string(state), instant{e.At}, book.OperationID(callbackID, f.Destination, f.Seq)).Error
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Delivery returns one row of the ledger.
func (s *Store) Delivery(ctx context.Context, operationID string) (book.Delivery, error) {
	var row deliveryRow
	err := s.read(ctx, "read a delivery", func(db *gorm.DB) error {
		err := db.Take(&row, "operation_id = ?", operationID).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return book.ErrNotFound
		}
		return err
	})
	return row.delivery(), err
}

// Owed returns one page of at most limit deliveries that are owed, the longest
// owed first. Cursors are as those of List.
func (s *Store) Owed(ctx context.Context, f book.DeliveryFilter, limit int, cursor string) ([]book.Delivery, string, error) {
	f.State = []book.DeliveryState{book.DeliveryOwed}
	return s.deliveries(ctx, f, "first_at", false, limit, cursor)
}

// Deliveries returns one page of at most limit deliveries, the last tried
// first. Cursors are as those of List.
func (s *Store) Deliveries(ctx context.Context, f book.DeliveryFilter, limit int, cursor string) ([]book.Delivery, string, error) {
	return s.deliveries(ctx, f, "tried_at", true, limit, cursor)
}

// place is that of a row in a list by an instant.
type place struct {
	At callback.Instant `json:"a"`
	ID string           `json:"i"`
}

func (s *Store) deliveries(
	ctx context.Context, f book.DeliveryFilter, by string, newest bool, limit int, cursor string,
) (page []book.Delivery, next string, err error) {
	key, err := s.HashKey(ctx)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, "list deliveries", func(db *gorm.DB) error {
		list := filterDeliveries(db, f)
		if cursor != "" {
			after, err := openPlace(key, f, by, cursor)
			if err != nil {
				return err
			}
			compare := ") > (?, ?)"
			if newest {
				compare = ") < (?, ?)"
			}
			list = list.Where("("+by+", operation_id"+compare, instant{after.At}, after.ID)
		}
		direction := ""
		if newest {
			direction = " DESC"
		}
		var rows []deliveryRow
		if err := list.Order(by + direction + ", operation_id" + direction).Limit(limit + 1).Find(&rows).Error; err != nil {
			return err
		}
		if len(rows) > limit {
			last := rows[limit-1]
			at := last.FirstAt.Instant
			if newest {
				at = last.TriedAt.Instant
			}
			next = sealPlace(key, f, by, place{at, last.OperationID})
			rows = rows[:limit]
		}
		for i := range rows {
			page = append(page, rows[i].delivery())
		}
		return nil
	})
	return page, next, err
}

func filterDeliveries(db *gorm.DB, f book.DeliveryFilter) *gorm.DB {
	list := db.Table("deliveries")
	if len(f.Destination) > 0 {
		list = list.Where("destination IN ?", f.Destination)
	}
	if len(f.Code) > 0 {
		list = list.Where("code IN ?", f.Code)
	}
	switch {
	case len(f.State) == 1 && f.State[0] == book.DeliveryOwed:
		list = list.Where("state = 'owed'") // what the index of owed ones is for
	case len(f.State) > 0:
		states := make([]string, len(f.State))
		for i, st := range f.State {
			states[i] = string(st)
		}
		list = list.Where("state IN ?", states)
	}
	if f.CallbackID != "" {
		list = list.Where("callback_id = ?", f.CallbackID)
	}
	return list
}

// sealPlace makes a cursor of a place, bound to what it is a place in.
func sealPlace(key []byte, filter any, by string, p place) string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // it has nothing that cannot be marshalled
	}
	return base64.RawURLEncoding.EncodeToString(append(placeSeal(key, filter, by, b), b...))
}

func openPlace(key []byte, filter any, by, cursor string) (place, error) {
	var p place
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) < sealSize || !hmac.Equal(b[:sealSize], placeSeal(key, filter, by, b[sealSize:])) {
		return p, book.ErrBadCursor
	}
	if err := json.Unmarshal(b[sealSize:], &p); err != nil {
		return p, errors.Join(book.ErrBadCursor, err)
	}
	return p, nil
}

func placeSeal(key []byte, filter any, by string, position []byte) []byte {
	filters, err := json.Marshal(filter)
	if err != nil {
		panic(err) // as above
	}
	mac := hmac.New(sha256.New, key)
	for _, part := range [][]byte{[]byte("place"), []byte(by), filters, position} {
		_, _ = mac.Write(append(part, '\n')) // never fails
	}
	return mac.Sum(nil)[:sealSize]
}

// OwedCounts counts what is owed, by destination and code.
func (s *Store) OwedCounts(ctx context.Context) ([]book.OwedCount, error) {
	counts := []book.OwedCount{}
	err := s.read(ctx, "count what is owed", func(db *gorm.DB) error {
		return each(db.Raw(`SELECT destination, code, COUNT(*), MIN(first_at) FROM deliveries WHERE state = 'owed'
			GROUP BY destination, code ORDER BY destination, code`), func(rows *sql.Rows) error {
			var c book.OwedCount
			var oldest instant
			if err := rows.Scan(&c.Destination, &c.Code, &c.Count, &oldest); err != nil {
				return err
			}
			c.Oldest = oldest.Instant
			counts = append(counts, c)
			return nil
		})
	})
	return counts, err
}

// Health says how the deliveries to a destination have gone lately.
func (s *Store) Health(ctx context.Context, destination string) (h book.DestinationHealth, err error) {
	err = s.read(ctx, "look at a destination", func(db *gorm.DB) error {
		var success, failure instant
		if err := one(db.Raw(`SELECT MAX(settled_at) FROM deliveries WHERE destination = ? AND state = 'delivered'`, destination), &success); err != nil {
			return err
		}
		_, err := maybe(db.Raw(`SELECT failed_at, code, detail FROM deliveries WHERE destination = ? AND failed_at IS NOT NULL
			ORDER BY failed_at DESC LIMIT 1`, destination), &failure, &h.LastCode, &h.LastDetail)
		h.LastSuccess, h.LastFailure = success.Instant, failure.Instant
		return err
	})
	return h, err
}

// Text returns what somebody wrote about a callback; one that was erased is
// not there any more.
func (s *Store) Text(ctx context.Context, callbackID, id string) (book.Text, error) {
	var row textRow
	err := s.read(ctx, "read a text", func(db *gorm.DB) error {
		err := db.Take(&row, "id = ? AND callback_id = ?", id, callbackID).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return book.ErrNotFound
		}
		return err
	})
	return row.text(), err
}
