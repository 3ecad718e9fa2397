package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

type staffRow struct {
	ID         string `gorm:"primaryKey"`
	Name       string
	Tier       string
	Rank       int
	Capacity   int
	ReportsTo  string
	Shift      document[*callback.Calendar]
	ShiftName  string
	Identities document[map[string]string]
	Roles      document[[]string]
}

func (staffRow) TableName() string { return "staff" }

// mayNotCommand: an auditor of a queue may see to it, but not work in it (R24).
func mayNotCommand(roles []string) bool { return slices.Contains(roles, "auditor") }

type staffQueueRow struct {
	StaffID  string `gorm:"primaryKey"`
	Queue    string `gorm:"primaryKey"`
	Position int
}

func (staffQueueRow) TableName() string { return "staff_queues" }

func rowOfStaff(p *book.Staff) staffRow {
	r := staffRow{
		ID: p.ID, Name: p.Name, Tier: p.Tier, Rank: p.Rank, Capacity: p.Capacity, ReportsTo: p.ReportsTo,
		Shift: document[*callback.Calendar]{p.Shift}, ShiftName: p.ShiftName,
		Identities: document[map[string]string]{p.Identities}, Roles: document[[]string]{p.Roles},
	}
	if p.Identities == nil {
		r.Identities.of = map[string]string{}
	}
	if p.Roles == nil {
		r.Roles.of = []string{}
	}
	return r
}

// SyncStaff makes these the people who work here: it adds, changes and removes.
// What is kept of somebody beside that (presence, ledgers) stays with who stays.
func (s *Store) SyncStaff(ctx context.Context, people []book.Staff) error {
	people = slices.SortedFunc(slices.Values(people), func(a, b book.Staff) int { return strings.Compare(a.ID, b.ID) })
	rows := make([]staffRow, len(people))
	ids := make([]string, len(people))
	var queues []staffQueueRow
	for i := range people {
		rows[i] = rowOfStaff(&people[i])
		ids[i] = people[i].ID
		for n, queue := range people[i].Queues {
			queues = append(queues, staffQueueRow{people[i].ID, queue, n})
		}
	}
	return s.write(ctx, "write the staff", func(tx *gorm.DB) error {
		if s.name == "postgres" { // one at a time
			if err := tx.Exec(fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d, %d)`, lockSpace, lockStaff)).Error; err != nil {
				return err
			}
		}
		if len(rows) == 0 {
			return tx.Exec(`DELETE FROM staff`).Error
		}
		if err := tx.Exec(`DELETE FROM staff WHERE id NOT IN ?`, ids).Error; err != nil {
			return err
		}
		if err := tx.Clauses(orUpdate("id")).CreateInBatches(&rows, 500).Error; err != nil {
			return err
		}
		if err := tx.Exec(`DELETE FROM staff_queues`).Error; err != nil || len(queues) == 0 {
			return err
		}
		return tx.CreateInBatches(&queues, 500).Error
	})
}

// Staff returns everybody who works here, by ID.
func (s *Store) Staff(ctx context.Context) (people []book.Staff, err error) {
	err = s.read(ctx, "read the staff", func(db *gorm.DB) error {
		people, err = staff(db, "", nil)
		return err
	})
	return people, err
}

const staffColumns = `s.id, s.name, s.tier, s.rank, s.capacity, s.reports_to, s.shift, s.shift_name, s.identities, s.roles`

// staff returns whom a condition on staff s and presence p selects, by ID.
func staff(db *gorm.DB, where string, values []any) ([]book.Staff, error) {
	if where != "" {
		where = " WHERE " + where
	}
	var people []book.Staff
	err := each(db.Raw(`SELECT `+staffColumns+`, q.queue
		FROM staff s LEFT JOIN presence p ON p.staff_id = s.id LEFT JOIN staff_queues q ON q.staff_id = s.id`+where+`
		ORDER BY s.id, q.position`, values...), func(rows *sql.Rows) error {
		var r staffRow
		var queue sql.NullString
		err := rows.Scan(&r.ID, &r.Name, &r.Tier, &r.Rank, &r.Capacity, &r.ReportsTo, &r.Shift, &r.ShiftName, &r.Identities, &r.Roles, &queue)
		if err != nil {
			return err
		}
		if n := len(people); n == 0 || people[n-1].ID != r.ID {
			p := book.Staff{
				ID: r.ID, Name: r.Name, Tier: r.Tier, Rank: r.Rank, Capacity: r.Capacity, ReportsTo: r.ReportsTo,
				Shift: r.Shift.of, ShiftName: r.ShiftName,
			}
			if len(r.Identities.of) > 0 {
				p.Identities = r.Identities.of
			}
			if len(r.Roles.of) > 0 {
				p.Roles = r.Roles.of
			}
			people = append(people, p)
		}
		if queue.Valid {
			last := &people[len(people)-1]
			last.Queues = append(last.Queues, queue.String)
		}
		return nil
	})
	return people, err
}

// PresenceLasts is how long what somebody says of themselves holds, unless they
// say it again (CONTRACT §4).
const PresenceLasts = 15 * time.Minute

// SetPresence writes what somebody says of themselves. Saying offline holds for
// ever, all else for PresenceLasts.
func (s *Store) SetPresence(ctx context.Context, staffID string, state book.PresenceState, now callback.Instant) (book.Presence, error) {
	until := instant{now.Plus(callback.Duration(PresenceLasts))}
	if state == book.Offline {
		until = instant{}
	}
	var row presenceRow
	err := s.writeOne(ctx, "set a presence", func(tx *gorm.DB) error {
		return one(tx.Raw(`INSERT INTO presence (staff_id, state, lapses_at)
			SELECT s.id, ?, ? FROM staff s WHERE s.id = ?
			ON CONFLICT (staff_id) DO UPDATE SET state = excluded.state, lapses_at = excluded.lapses_at
			RETURNING staff_id, state, lapses_at, reserved_until`, string(state), until, staffID), row.columns()...)
	})
	return row.at(now), err
}

type presenceRow struct {
	StaffID       string
	State         book.PresenceState
	LapsesAt      instant
	ReservedUntil instant
}

func (r *presenceRow) columns() []any {
	return []any{&r.StaffID, &r.State, &r.LapsesAt, &r.ReservedUntil}
}

// at is what the row means at an instant.
func (r *presenceRow) at(now callback.Instant) book.Presence {
	p := book.Presence{StaffID: r.StaffID, State: r.State, Until: r.LapsesAt.Instant}
	if r.LapsesAt.Reached(now) {
		p.State = book.Offline
	}
	if !r.ReservedUntil.IsZero() && !r.ReservedUntil.Reached(now) {
		p.ReservedUntil = r.ReservedUntil.Instant
		if p.State == book.Available {
			p.State = book.BusyState
		}
	}
	return p
}

// Presences returns how everybody who ever said it is at an instant, by ID:
// what has lapsed reads offline, who is reserved reads busy.
func (s *Store) Presences(ctx context.Context, now callback.Instant) ([]book.Presence, error) {
	var all []book.Presence
	err := s.read(ctx, "read presences", func(db *gorm.DB) error {
		return each(db.Raw(`SELECT staff_id, state, lapses_at, reserved_until FROM presence ORDER BY staff_id`), func(rows *sql.Rows) error {
			var r presenceRow
			if err := rows.Scan(r.columns()...); err != nil {
				return err
			}
			all = append(all, r.at(now))
			return nil
		})
	})
	return all, err
}
