package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
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
	Active     bool
	Version    int64
	Origin     book.Origin
	Pinned     document[[]book.Attribute]
	Subject    string
}

// person is whom the row is about, without queues.
func (r *staffRow) person() book.Person {
	p := book.Person{
		Staff: book.Staff{
			ID: r.ID, Name: r.Name, Tier: r.Tier, Rank: r.Rank, Capacity: r.Capacity, ReportsTo: r.ReportsTo,
			Shift: r.Shift.of, ShiftName: r.ShiftName,
		},
		Inactive: !r.Active, Version: r.Version, Origin: r.Origin, Subject: r.Subject,
	}
	if len(r.Identities.of) > 0 {
		p.Identities = r.Identities.of
	}
	if len(r.Roles.of) > 0 {
		p.Roles = r.Roles.of
	}
	if len(r.Pinned.of) > 0 {
		p.Pinned = r.Pinned.of
	}
	return p
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

func rowOf(p *book.Person) staffRow {
	return staffRow{
		ID: p.ID, Name: p.Name, Tier: p.Tier, Rank: p.Rank, Capacity: p.Capacity, ReportsTo: p.ReportsTo,
		Shift: document[*callback.Calendar]{p.Shift}, ShiftName: p.ShiftName,
		Identities: document[map[string]string]{orEmptyMap(p.Identities)}, Roles: document[[]string]{orEmpty(p.Roles)},
		Active: !p.Inactive, Version: p.Version, Origin: p.Origin, Pinned: document[[]book.Attribute]{orEmpty(p.Pinned)}, Subject: p.Subject,
	}
}

func orEmpty[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func orEmptyMap(all map[string]string) map[string]string {
	if all == nil {
		return map[string]string{}
	}
	return all
}

// writePeople changes people, one transaction at a time: what one of them has
// read is still so when it writes.
func (s *Store) writePeople(ctx context.Context, op string, f func(tx *gorm.DB) error) error {
	return s.write(ctx, op, func(tx *gorm.DB) error {
		if s.name == "postgres" {
			if err := tx.Exec(fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d, %d)`, lockSpace, lockStaff)).Error; err != nil {
				return err
			}
		}
		return f(tx)
	})
}

// savePerson writes a person as they are now, with a new version, if that
// changes anything. Nil: nobody yet.
func savePerson(tx *gorm.DB, before *book.Person, now *book.Person) error {
	now.Version = 1
	if before != nil {
		now.Version = before.Version
		same, err := alike(before, now)
		if err != nil || same {
			return err
		}
		now.Version++
	}
	row := rowOf(now)
	if err := tx.Clauses(orUpdate("id")).Create(&row).Error; err != nil {
		return err
	}
	if err := tx.Exec(`DELETE FROM staff_queues WHERE staff_id = ?`, now.ID).Error; err != nil {
		return err
	}
	var queues []staffQueueRow
	for n, queue := range now.Queues {
		queues = append(queues, staffQueueRow{now.ID, queue, n})
	}
	if len(queues) > 0 {
		if err := tx.Create(&queues).Error; err != nil {
			return err
		}
	}
	var ends []string
	if now.Inactive || before != nil && before.Subject != "" && before.Subject != now.Subject {
		// Whoever signed in as them may not have been who they are now.
		ends = append(ends, `DELETE FROM sessions WHERE staff_id = ?`)
	}
	if now.Inactive {
		ends = append(ends, `DELETE FROM presence WHERE staff_id = ?`)
	}
	for _, gone := range ends {
		if err := tx.Exec(gone, now.ID).Error; err != nil {
			return err
		}
	}
	return nil
}

// alike compares what is written of two people, which says the same of nothing
// and of an empty list.
func alike(a, b *book.Person) (bool, error) {
	written := func(p *book.Person) ([]byte, error) {
		r := rowOf(p)
		return json.Marshal([]any{
			r.ID, r.Name, r.Tier, r.Rank, r.Capacity, r.ReportsTo, r.Shift.of, r.ShiftName, r.Identities.of, r.Roles.of,
			r.Active, r.Version, r.Origin, r.Pinned.of, r.Subject, orEmpty(p.Queues),
		})
	}
	x, err := written(a)
	if err != nil {
		return false, err
	}
	y, err := written(b)
	return bytes.Equal(x, y), err
}

// SyncStaff makes these the people of the configuration file: it adds them, and
// changes of each what no administrator has pinned. Who came from the file and is
// no longer in it is deactivated. Whoever signs in through a provider is the
// provider's, and is left alone.
func (s *Store) SyncStaff(ctx context.Context, listed []book.Staff) error {
	listed = slices.SortedFunc(slices.Values(listed), func(a, b book.Staff) int { return strings.Compare(a.ID, b.ID) })
	return s.writePeople(ctx, "write the staff", func(tx *gorm.DB) error {
		all, err := people(tx, "1 = 1", nil)
		if err != nil {
			return err
		}
		known := make(map[string]*book.Person, len(all))
		for i := range all {
			known[all[i].ID] = &all[i]
		}
		for i := range listed {
			before := known[listed[i].ID]
			delete(known, listed[i].ID)
			now := book.Person{Staff: listed[i], Origin: book.OriginFile}
			if before != nil {
				if before.Subject != "" {
					continue
				}
				now = *before
				now.Take(book.Person{Staff: listed[i]}, book.Attributes)
			}
			if err := savePerson(tx, before, &now); err != nil {
				return err
			}
		}
		for _, before := range known {
			if before.Origin != book.OriginFile || before.Subject != "" {
				continue
			}
			now := *before
			now.Take(book.Person{Inactive: true}, []book.Attribute{book.AttributeActive})
			if err := savePerson(tx, before, &now); err != nil {
				return err
			}
		}
		return nil
	})
}

// Staff returns everybody who works here, by ID.
func (s *Store) Staff(ctx context.Context) (people []book.Staff, err error) {
	err = s.read(ctx, "read the staff", func(db *gorm.DB) error {
		people, err = staff(db, "s.active", nil)
		return err
	})
	return people, err
}

// People returns everybody who works here or ever did, by ID.
func (s *Store) People(ctx context.Context) (all []book.Person, err error) {
	err = s.read(ctx, "read the people", func(db *gorm.DB) error {
		all, err = people(db, "1 = 1", nil)
		return err
	})
	return all, err
}

// Person returns somebody who works here or did.
func (s *Store) Person(ctx context.Context, id string) (p book.Person, err error) {
	err = s.read(ctx, "read a person", func(db *gorm.DB) error {
		p, err = person(db, id)
		return err
	})
	return p, err
}

func person(db *gorm.DB, id string) (book.Person, error) {
	found, err := people(db, "s.id = ?", []any{id})
	if err == nil && len(found) == 0 {
		err = book.ErrNotFound
	}
	if err != nil {
		return book.Person{}, err
	}
	return found[0], nil
}

const staffColumns = `s.id, s.name, s.tier, s.rank, s.capacity, s.reports_to, s.shift, s.shift_name, s.identities, s.roles,
	s.active, s.version, s.origin, s.pinned, s.subject`

// staff returns whom a condition on staff s and presence p selects, by ID.
func staff(db *gorm.DB, where string, values []any) ([]book.Staff, error) {
	found, err := people(db, where, values)
	var all []book.Staff
	for i := range found {
		all = append(all, found[i].Staff)
	}
	return all, err
}

func people(db *gorm.DB, where string, values []any) ([]book.Person, error) {
	var people []book.Person
	err := each(db.Raw(`SELECT `+staffColumns+`, q.queue
		FROM staff s LEFT JOIN presence p ON p.staff_id = s.id LEFT JOIN staff_queues q ON q.staff_id = s.id
		WHERE `+where+` ORDER BY s.id, q.position`, values...), func(rows *sql.Rows) error {
		var r staffRow
		var queue sql.NullString
		err := rows.Scan(&r.ID, &r.Name, &r.Tier, &r.Rank, &r.Capacity, &r.ReportsTo, &r.Shift, &r.ShiftName, &r.Identities, &r.Roles,
			&r.Active, &r.Version, &r.Origin, &r.Pinned, &r.Subject, &queue)
		if err != nil {
			return err
		}
		if n := len(people); n == 0 || people[n-1].ID != r.ID {
			people = append(people, r.person())
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
//
// What they say ends what MakeBusy has made of them; but saying busy meanwhile,
// as a page does that renews what it shows, only makes it last.
func (s *Store) SetPresence(ctx context.Context, staffID string, state book.PresenceState, now callback.Instant) (book.Presence, error) {
	until := instant{now.Plus(callback.Duration(PresenceLasts))}
	if state == book.Offline {
		until = instant{}
	}
	var row presenceRow
	err := s.writeOne(ctx, "set a presence", func(tx *gorm.DB) error {
		const renews = `excluded.state = 'busy' AND presence.busy_until > ?`
		at := instant{now}
		return one(tx.Raw(`INSERT INTO presence (staff_id, state, lapses_at)
			SELECT s.id, ?, ? FROM staff s WHERE s.id = ?
			ON CONFLICT (staff_id) DO UPDATE SET
				state = CASE WHEN `+renews+` THEN presence.state ELSE excluded.state END,
				lapses_at = CASE WHEN `+renews+` AND (presence.lapses_at IS NULL OR presence.lapses_at <= ?)
					THEN presence.lapses_at ELSE excluded.lapses_at END,
				busy_until = CASE WHEN `+renews+` THEN excluded.lapses_at END
			RETURNING `+presenceColumns, string(state), until, staffID, at, at, at, at), row.columns()...)
	})
	return row.at(now), err
}

// RenewPresence has what somebody said of themselves hold on, whatever it is, and
// says nothing: what has lapsed stays so. Who works a callback still stays busy with it.
func (s *Store) RenewPresence(ctx context.Context, staffID string, now callback.Instant) (book.Presence, error) {
	at, until := instant{now}, instant{now.Plus(callback.Duration(PresenceLasts))}
	row, found := presenceRow{StaffID: staffID}, false
	err := s.writeOne(ctx, "renew a presence", func(tx *gorm.DB) error {
		row = presenceRow{StaffID: staffID}
		var err error
		found, err = maybe(tx.Raw(`UPDATE presence SET
				lapses_at = CASE WHEN lapses_at > ? THEN ? ELSE lapses_at END,
				busy_until = CASE WHEN busy_until > ? AND EXISTS (SELECT 1 FROM callbacks c WHERE c.assignee = presence.staff_id AND c.status = 'in_progress')
					THEN ? ELSE busy_until END
			WHERE staff_id = ? RETURNING `+presenceColumns, at, until, at, until, staffID), row.columns()...)
		return err
	})
	if err != nil || !found {
		return book.Presence{StaffID: staffID}, err // they never said anything
	}
	return row.at(now), nil
}

// MakeBusy has somebody read busy for PresenceLasts, because they work a callback
// (CONTRACT §4).
//
// It stands beside what they say, as a reservation does, and does not replace it:
// nobody said anything, so when it is over they are again as they were. Whoever
// never uses presence stays among those who are drawn, instead of lapsing to
// offline with the first callback that they start.
func (s *Store) MakeBusy(ctx context.Context, staffID string, now callback.Instant) error {
	until := instant{now.Plus(callback.Duration(PresenceLasts))}
	return s.writeOne(ctx, "make somebody busy", func(tx *gorm.DB) error {
		return tx.Exec(`INSERT INTO presence (staff_id, state, busy_until)
			SELECT s.id, '', ? FROM staff s WHERE s.id = ?
			ON CONFLICT (staff_id) DO UPDATE SET busy_until = excluded.busy_until`, until, staffID).Error
	})
}

type presenceRow struct {
	StaffID       string
	State         book.PresenceState // empty: they never said anything
	LapsesAt      instant
	ReservedUntil instant
	BusyUntil     instant
}

const presenceColumns = `staff_id, state, lapses_at, reserved_until, busy_until`

func (r *presenceRow) columns() []any {
	return []any{&r.StaffID, &r.State, &r.LapsesAt, &r.ReservedUntil, &r.BusyUntil}
}

// at is what the row means at an instant.
func (r *presenceRow) at(now callback.Instant) book.Presence {
	p := book.Presence{StaffID: r.StaffID, State: r.State, Until: r.LapsesAt.Instant}
	if r.LapsesAt.Reached(now) {
		p.State = book.Offline
	}
	if !r.BusyUntil.IsZero() && !r.BusyUntil.Reached(now) {
		p.State, p.Until = book.BusyState, r.BusyUntil.Instant
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
// what has lapsed reads offline, who is reserved or works a callback reads busy.
func (s *Store) Presences(ctx context.Context, now callback.Instant) ([]book.Presence, error) {
	var all []book.Presence
	err := s.read(ctx, "read presences", func(db *gorm.DB) error {
		return each(db.Raw(`SELECT `+presenceColumns+` FROM presence ORDER BY staff_id`), func(rows *sql.Rows) error {
			var r presenceRow
			if err := rows.Scan(r.columns()...); err != nil {
				return err
			}
			if p := r.at(now); p.State != "" {
				all = append(all, p)
			}
			return nil
		})
	})
	return all, err
}
