package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"ringback/callback"
)

// instant is a callback.Instant in a column: NULL where it is zero. It is
// written as callback.InstantLayout, which PostgreSQL reads as a timestamptz
// and which sorts by time as SQLite's text.
type instant struct{ callback.Instant }

// endOfTime sorts what has no due_at last.
var endOfTime = instant{callback.At(time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC))}

// GormDataType keeps GORM from looking inside.
func (instant) GormDataType() string { return "time" }

// Value implements driver.Valuer.
func (i instant) Value() (driver.Value, error) {
	if i.IsZero() {
		return nil, nil //nolint:nilnil // nil is NULL
	}
	return i.String(), nil
}

// Scan implements sql.Scanner.
func (i *instant) Scan(from any) error {
	switch from := from.(type) {
	case nil:
		*i = instant{}
	case time.Time:
		*i = instant{callback.At(from)}
	case string:
		t, err := time.Parse(time.RFC3339Nano, from)
		if err != nil {
			return fmt.Errorf("a column holds no instant: %w", err)
		}
		*i = instant{callback.At(t)}
	default:
		return fmt.Errorf("a column holds a %T for an instant", from)
	}
	return nil
}

// document is a value in a JSON column: NULL where it is nil. It is kept as
// text on both databases, so that it comes back as it was written.
type document[T any] struct{ of T }

// GormDataType keeps GORM from taking what is inside for a relation.
func (document[T]) GormDataType() string { return "json" }

// Value implements driver.Valuer.
func (d document[T]) Value() (driver.Value, error) {
	b, err := json.Marshal(d.of)
	if err != nil || string(b) == "null" {
		return nil, err
	}
	return string(b), nil
}

// Scan implements sql.Scanner.
func (d *document[T]) Scan(from any) error {
	var v T
	var err error
	switch from := from.(type) {
	case nil:
	case string:
		err = json.Unmarshal([]byte(from), &v)
	case []byte:
		err = json.Unmarshal(from, &v)
	default:
		err = fmt.Errorf("a column holds a %T for a document", from)
	}
	d.of = v
	return err
}
