package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

type drawRow struct {
	Seq        int64 `gorm:"primaryKey;autoIncrement"`
	ID         string
	CallbackID string
	Version    int64
	Queue      string
	Tier       string
	Method     string
	Avoid      string
	At         instant
	Candidates document[[]string]
	Drawn      string
	Settled    bool
}

func (drawRow) TableName() string { return "draws" }

func (r *drawRow) record() book.DrawRecord {
	return book.DrawRecord{
		DrawRequest: book.DrawRequest{
			ID: r.ID, CallbackID: r.CallbackID, Version: r.Version, Queue: r.Queue, Tier: r.Tier,
			Method: callback.Assign(r.Method), Avoid: r.Avoid, At: r.At.Instant,
		},
		Candidates: r.Candidates.of, To: r.Drawn,
	}
}

type drawWaitRow struct {
	CallbackID string `gorm:"primaryKey"`
	Queue      string
}

func (drawWaitRow) TableName() string { return "draw_waits" }

// uniform returns a number below n, each as likely as any other.
func uniform(n int) int {
	v, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // rand.Reader never fails
	}
	return int(v.Int64())
}

// Draw draws an assignee among the members of a queue who may give commands, are on
// shift at r.At, neither away nor offline, and have room: fewer open callbacks, and draws that
// their projection has not caught up with, than their capacity (R21). It is
// decided and recorded in one transaction, which holds every other draw among
// the same people; the same ID again gives the same record.
//
// Nobody is book.ErrNoneAvailable; the callback is then among DrawWaits, until
// it is drawn for or claimed.
func (s *Store) Draw(ctx context.Context, r book.DrawRequest) (book.DrawRecord, error) {
	if !r.Method.Draws() {
		return book.DrawRecord{}, fmt.Errorf("store: draw: %q draws nobody", r.Method)
	}
	var record book.DrawRecord
	nobody := false
	err := s.write(ctx, "draw", func(tx *gorm.DB) error {
		members, err := s.lockMembers(tx, r.Queue)
		if err != nil {
			return err
		}
		earlier, found, err := drawByID(tx, r.ID)
		if err != nil || found {
			record = earlier
			return err
		}
		candidates, err := s.candidates(tx, r, members)
		if err != nil {
			return err
		}
		if nobody = len(candidates) == 0; nobody {
			return tx.Clauses(orUpdate("callback_id")).Create(&drawWaitRow{r.CallbackID, r.Queue}).Error
		}
		row := drawRow{
			ID: r.ID, CallbackID: r.CallbackID, Version: r.Version, Queue: r.Queue, Tier: r.Tier, Method: string(r.Method),
			Avoid: r.Avoid, At: instant{r.At}, Drawn: s.choose(r.Method, candidates).id,
		}
		for _, c := range candidates {
			row.Candidates.of = append(row.Candidates.of, c.id)
		}
		if err := tx.Create(&row).Error; err != nil {
			if s.condition(err) == conditionDuplicate {
				return errAgain
			}
			return err
		}
		record = row.record()
		return tx.Exec(`DELETE FROM draw_waits WHERE callback_id = ?`, r.CallbackID).Error
	})
	if err == nil && nobody {
		err = s.fault("draw", book.ErrNoneAvailable)
	}
	if err != nil {
		return book.DrawRecord{}, err
	}
	return record, nil
}

// candidate is a member of a queue.
type candidate struct {
	id       string
	capacity int
	shift    *callback.Calendar
	presence presenceRow
	load     int
	last     int64 // the number of their last draw in this queue, 0: never
}

// lockMembers reads the members of a queue by ID, those who could work a
// callback, and keeps others from drawing any of them.
func (s *Store) lockMembers(tx *gorm.DB, queue string) ([]candidate, error) {
	var members []candidate
	query := tx.Raw(`SELECT s.id, s.capacity, s.shift, s.roles, p.state, p.lapses_at, p.busy_until
		FROM staff s JOIN staff_queues q ON q.staff_id = s.id LEFT JOIN presence p ON p.staff_id = s.id
		WHERE q.queue = ? AND s.active
		ORDER BY s.id`+s.forUpdateOf("s"), queue)
	err := each(query, func(rows *sql.Rows) error {
		var c candidate
		var shift document[*callback.Calendar]
		var roles document[[]string]
		var state sql.NullString
		if err := rows.Scan(&c.id, &c.capacity, &shift, &roles, &state, &c.presence.LapsesAt, &c.presence.BusyUntil); err != nil {
			return err
		}
		if mayNotCommand(roles.of) {
			return nil
		}
		c.shift, c.presence.State = shift.of, book.PresenceState(state.String)
		members = append(members, c)
		return nil
	})
	return members, err
}

func drawByID(db *gorm.DB, id string) (record book.DrawRecord, found bool, err error) {
	var row drawRow
	err = db.Take(&row, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return record, false, nil
	}
	return row.record(), err == nil, err
}

// candidates returns who of the members can be drawn, by ID.
func (s *Store) candidates(tx *gorm.DB, r book.DrawRequest, members []candidate) ([]candidate, error) {
	can := slices.DeleteFunc(members, func(c candidate) bool {
		state := c.presence.at(r.At).State
		return state == book.Away || state == book.Offline || !c.shift.Open(r.At.Time)
	})
	if len(can) == 0 {
		return nil, nil
	}
	if err := weigh(tx, r, can); err != nil {
		return nil, err
	}
	can = slices.DeleteFunc(can, func(c candidate) bool { return c.capacity > 0 && c.load >= c.capacity })
	if len(can) > 1 {
		can = slices.DeleteFunc(can, func(c candidate) bool { return c.id == r.Avoid })
	}
	return can, nil
}

// weigh counts what each candidate has to do, and finds their last draw.
func weigh(tx *gorm.DB, r book.DrawRequest, candidates []candidate) error {
	ids := make([]string, len(candidates))
	byID := make(map[string]*candidate, len(candidates))
	for i := range candidates {
		ids[i] = candidates[i].id
		byID[ids[i]] = &candidates[i]
	}
	// A draw is settled once its callback has moved on, or is drawn for again.
	err := tx.Exec(`UPDATE draws SET settled = TRUE
		WHERE NOT settled AND (
			drawn IN ? AND EXISTS (SELECT 1 FROM callbacks c WHERE c.id = draws.callback_id AND c.version > draws.version)
			OR callback_id = ? AND version < ?)`, ids, r.CallbackID, r.Version).Error
	if err != nil {
		return err
	}
	err = each(tx.Raw(`SELECT who, COUNT(*) FROM (
			SELECT assignee AS who, id FROM callbacks WHERE closed_at IS NULL AND assignee <> '' AND assignee IN ?
			UNION
			SELECT drawn, callback_id FROM draws WHERE NOT settled AND drawn IN ?
		) AS work GROUP BY who`, ids, ids), func(rows *sql.Rows) error {
		var who string
		var load int
		if err := rows.Scan(&who, &load); err != nil {
			return err
		}
		byID[who].load = load
		return nil
	})
	if err != nil || r.Method == callback.AssignRandom {
		return err
	}
	return each(tx.Raw(`SELECT s.id, (SELECT COALESCE(MAX(d.seq), 0) FROM draws d WHERE d.queue = ? AND d.drawn = s.id)
		FROM staff s WHERE s.id IN ?`, r.Queue, ids), func(rows *sql.Rows) error {
		var who string
		var last int64
		if err := rows.Scan(&who, &last); err != nil {
			return err
		}
		byID[who].last = last
		return nil
	})
}

// choose picks one of the candidates, of which there is one or more.
func (s *Store) choose(method callback.Assign, candidates []candidate) candidate {
	if method == callback.AssignRandom {
		return candidates[s.options.Pick(len(candidates))]
	}
	return slices.MinFunc(candidates, func(a, b candidate) int {
		if method == callback.AssignLeastLoaded && a.load != b.load {
			return cmp.Compare(a.load, b.load)
		}
		return cmp.Compare(a.last, b.last)
	})
}

// mostDrawWaits is for how many callbacks a draw is tried again at once when
// somebody comes free; the engine tries all of them again by itself.
const mostDrawWaits = 100

// DrawWaits returns callbacks of queues for which nobody could be drawn, and
// that are still in the queue: those with the oldest promises, oldest first.
func (s *Store) DrawWaits(ctx context.Context, queues []string) (callbackIDs []string, err error) {
	if len(queues) == 0 {
		return nil, nil
	}
	err = s.read(ctx, "list who waits for a draw", func(db *gorm.DB) error {
		callbackIDs, err = column[string](db.Raw(`SELECT c.id FROM draw_waits w JOIN callbacks c ON c.id = w.callback_id
			WHERE w.queue IN ? AND c.queue = w.queue AND c.status = ?
			ORDER BY c.due_order, c.id LIMIT ?`, queues, string(callback.StatusQueued), mostDrawWaits))
		return err
	})
	return callbackIDs, err
}

// Draws returns the ledger of a queue, or of all if it is empty, for draws that
// were wanted within [from, to), in the order in which they were decided.
func (s *Store) Draws(ctx context.Context, queue string, from, to callback.Instant) ([]book.DrawRecord, error) {
	var rows []drawRow
	err := s.read(ctx, "read the ledger of draws", func(db *gorm.DB) error {
		ledger := db.Where("at >= ? AND at < ?", instant{from}, instant{to})
		if queue != "" {
			ledger = ledger.Where("queue = ?", queue)
		}
		return ledger.Order("seq").Find(&rows).Error
	})
	records := make([]book.DrawRecord, len(rows))
	for i := range rows {
		records[i] = rows[i].record()
	}
	return records, err
}
