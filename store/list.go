package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

// scanView scans the first row of a query of c.state and intakeColumns, after
// what else is asked for first; book.ErrNotFound where there is none.
func scanView(query *gorm.DB) (book.View, error) {
	var state document[*callback.Callback]
	var original intakeRow
	if err := one(query, append([]any{&state}, original.columns()...)...); err != nil {
		return book.View{}, err
	}
	return book.View{State: state.of, Intake: original.intake()}, nil
}

// Callback returns one callback.
func (s *Store) Callback(ctx context.Context, id string) (v book.View, err error) {
	err = s.read(ctx, "read a callback", func(db *gorm.DB) error {
		v, err = scanView(db.Raw(`SELECT c.state, `+intakeColumns+`
			FROM callbacks c JOIN intakes i ON i.callback_id = c.id
			WHERE c.id = ?`, id))
		return err
	})
	return v, err
}

// List returns one page of at most limit callbacks, 1 or more. It starts at the
// beginning, or after the page whose NextCursor is given; a cursor of another
// sort or filter, or none of this store's, is book.ErrBadCursor. A callback
// whose place in the order does not change while the pages are read is on
// exactly one of them.
func (s *Store) List(ctx context.Context, f book.Filter, order book.Sort, limit int, cursor string) (book.Page, error) {
	key, err := s.HashKey(ctx)
	if err != nil {
		return book.Page{}, err
	}
	var page book.Page
	err = s.read(ctx, "list callbacks", func(db *gorm.DB) error {
		list := s.filter(db.Table("callbacks AS c").Joins("JOIN intakes AS i ON i.callback_id = c.id"), f, key)
		if cursor != "" {
			after, err := openCursor(key, f, order, cursor)
			if err != nil {
				return err
			}
			list = after.apply(list, order)
		}
		switch order {
		case book.SortDueAt:
			list = list.Order("c.ahead, c.due_order, c.id")
		case book.SortPromise:
			list = list.Order("c.due_order, c.id")
		case book.SortRequestedAt:
			list = list.Order("c.requested_at DESC, c.id DESC")
		default:
			return fmt.Errorf("there is no order %q", order)
		}
		list = list.Select(`c.ahead, c.due_order, c.requested_at, c.state, ` + intakeColumns).Limit(limit + 1)

		var last position
		return each(list, func(rows *sql.Rows) error {
			if len(page.Items) == limit {
				page.NextCursor = last.cursor(key, f, order)
				return nil
			}
			var due, requested instant
			var state document[*callback.Callback]
			var original intakeRow
			into := append([]any{&last.Ahead, &due, &requested, &state}, original.columns()...)
			if err := rows.Scan(into...); err != nil {
				return err
			}
			last.DueOrder, last.RequestedAt, last.ID = due.Instant, requested.Instant, original.CallbackID
			page.Items = append(page.Items, book.View{State: state.of, Intake: original.intake()})
			return nil
		})
	})
	if err != nil {
		return book.Page{}, err
	}
	return page, nil
}

func (s *Store) filter(list *gorm.DB, f book.Filter, secret []byte) *gorm.DB {
	oneOf := func(column string, values []string) {
		if len(values) > 0 {
			list = list.Where(column+" IN ?", values)
		}
	}
	status := make([]string, len(f.Status))
	for i, st := range f.Status {
		status[i] = string(st)
	}
	oneOf("c.id", f.ID)
	oneOf("c.status", status)
	oneOf("c.tier", f.Tier)
	oneOf("c.queue", f.Queue)
	oneOf("c.policy", f.Policy)
	oneOf("c.owner", f.Owner)
	oneOf("c.assignee", f.Assignee)
	oneOf("i.requested_by", f.RequestedBy)
	if openOnly(f) {
		list = list.Where("c.closed_at IS NULL") // what the index of open ones is for
	}
	if f.Customer != "" {
		list = list.Where("i.customer_ref = ? AND i.customer_ref <> ''", f.Customer)
	}
	if f.Source != "" {
		system, ref, both := strings.Cut(f.Source, ":")
		is, values := "i.source_system = ? AND i.source_system <> ''", []any{system}
		if both {
			is, values = is+" AND i.source_ref = ?", append(values, ref)
		}
		if both && f.Erased {
			is = "(" + is + " OR i.erased_source = ? AND i.erased_source <> '')"
			values = append(values, sourceDigest(secret, system, ref))
		}
		list = list.Where(is, values...)
	}
	if f.Tag != "" {
		list = list.Where("c.id IN (SELECT callback_id FROM tags WHERE tag = ?)", f.Tag)
	}
	if f.Required != nil {
		list = list.Where(s.required+" = ?", *f.Required)
	}
	if f.Overdue != nil {
		list = list.Where("c.overdue = ?", *f.Overdue)
	}
	if !f.DueBefore.IsZero() {
		list = list.Where("c.due_at < ?", instant{f.DueBefore})
	}
	if f.Q != "" {
		list = s.matching(list, f.Q)
	}
	return list
}

// openOnly tells filters that no closed callback passes.
func openOnly(f book.Filter) bool {
	if f.Overdue != nil && *f.Overdue || f.Required != nil && *f.Required {
		return true
	}
	return len(f.Status) > 0 && !slices.ContainsFunc(f.Status, callback.Status.Closed)
}

// Counts counts the callbacks that pass a filter, grouped by none or several of
// their members, in the order of the groups' keys.
func (s *Store) Counts(ctx context.Context, f book.Filter, by []book.CountBy) ([]book.Count, error) {
	columns := make([]string, len(by))
	for i, b := range by {
		switch b {
		case book.CountByStatus, book.CountByTier, book.CountByQueue, book.CountByPolicy, book.CountByOwner, book.CountByAssignee:
			columns[i] = "c." + string(b)
		default:
			return nil, fmt.Errorf("store: count callbacks: cannot count by %q", b)
		}
	}
	key, err := s.HashKey(ctx)
	if err != nil {
		return nil, err
	}
	var counts []book.Count
	err = s.read(ctx, "count callbacks", func(db *gorm.DB) error {
		counted := db.Table("callbacks AS c")
		if len(f.RequestedBy) > 0 || f.Customer != "" || f.Source != "" { // else the originals, which are large, are left alone
			counted = counted.Joins("JOIN intakes AS i ON i.callback_id = c.id")
		}
		list := s.filter(counted, f, key)
		list = list.Select(strings.Join(append(slices.Clone(columns), "COUNT(*)", "COUNT(CASE WHEN c.overdue THEN 1 END)", "MIN(CASE WHEN "+s.contactedAt+" IS NULL THEN c.due_at END)"), ", "))
		if len(columns) > 0 {
			keys := strings.Join(columns, ", ")
			list = list.Group(keys)
		}
		return each(list, func(rows *sql.Rows) error {
			c := book.Count{Key: make([]string, len(by))}
			var due instant
			into := make([]any, 0, len(by)+3)
			for i := range c.Key {
				into = append(into, &c.Key[i])
			}
			if err := rows.Scan(append(into, &c.Count, &c.Overdue, &due)...); err != nil {
				return err
			}
			c.FirstDueAt = due.Instant
			counts = append(counts, c)
			return nil
		})
	})
	slices.SortFunc(counts, func(a, b book.Count) int { return slices.Compare(a.Key, b.Key) })
	return counts, err
}

// position is that of an item in a list.
type position struct {
	Ahead       int              `json:"a,omitempty"`
	DueOrder    callback.Instant `json:"d,omitzero"`
	RequestedAt callback.Instant `json:"r,omitzero"`
	ID          string           `json:"i"`
}

func (p position) apply(list *gorm.DB, order book.Sort) *gorm.DB {
	switch order {
	case book.SortRequestedAt:
		return list.Where("(c.requested_at, c.id) < (?, ?)", instant{p.RequestedAt}, p.ID)
	case book.SortPromise:
		return list.Where("(c.due_order, c.id) > (?, ?)", instant{p.DueOrder}, p.ID)
	case book.SortDueAt:
	}
	return list.Where("(c.ahead, c.due_order, c.id) > (?, ?, ?)", p.Ahead, instant{p.DueOrder}, p.ID)
}

const sealSize = 12 // bytes

// cursor is a position, sealed with the sort and the filters it belongs to.
func (p position) cursor(key []byte, f book.Filter, order book.Sort) string {
	switch order {
	case book.SortRequestedAt:
		p.Ahead, p.DueOrder = 0, callback.Instant{}
	case book.SortPromise:
		p.Ahead, p.RequestedAt = 0, callback.Instant{}
	case book.SortDueAt:
		p.RequestedAt = callback.Instant{}
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // it has nothing that cannot be marshalled
	}
	return base64.RawURLEncoding.EncodeToString(append(seal(key, f, order, b), b...))
}

func openCursor(key []byte, f book.Filter, order book.Sort, cursor string) (position, error) {
	var p position
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) < sealSize || !hmac.Equal(b[:sealSize], seal(key, f, order, b[sealSize:])) {
		return p, book.ErrBadCursor
	}
	if err := json.Unmarshal(b[sealSize:], &p); err != nil {
		return p, errors.Join(book.ErrBadCursor, err)
	}
	return p, nil
}

func seal(key []byte, f book.Filter, order book.Sort, position []byte) []byte {
	for _, values := range []*[]string{&f.ID, &f.RequestedBy, &f.Tier, &f.Queue, &f.Policy, &f.Owner, &f.Assignee} {
		*values = slices.Sorted(slices.Values(*values))
	}
	f.Status = slices.Sorted(slices.Values(f.Status))
	filters, err := json.Marshal(f)
	if err != nil {
		panic(err) // as above
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "cursor\n%s\n%s\n%s", order, filters, position)
	return mac.Sum(nil)[:sealSize]
}

// SameCustomer returns the open callbacks of a customer, by reference where
// there is one and by phone number otherwise, the oldest promise first.
func (s *Store) SameCustomer(ctx context.Context, c book.Customer, except string) (ids []string, err error) {
	by, value := "i.customer_ref", c.Ref
	if value == "" {
		by, value = "i.customer_phone", c.Phone
	}
	if value == "" {
		return nil, nil
	}
	err = s.read(ctx, "list a customer's callbacks", func(db *gorm.DB) error {
		ids, err = column[string](db.Raw(`SELECT c.id FROM intakes i JOIN callbacks c ON c.id = i.callback_id
			WHERE `+by+` = ? AND `+by+` <> '' AND c.closed_at IS NULL AND c.id <> ?
			ORDER BY c.due_order, c.id`, value, except))
		return err
	})
	return ids, err
}
