package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

type messageRow struct {
	ID         string `gorm:"primaryKey"`
	Connector  string
	ReceivedAt instant
	Reason     string
	Media      string
	Body       []byte
	Tries      int
	ReplayedAt instant
}

func (messageRow) TableName() string { return "inbound_messages" }

func (r *messageRow) message() book.Message {
	return book.Message{
		ID: r.ID, Connector: r.Connector, Received: r.ReceivedAt.Instant, Reason: r.Reason, Media: r.Media, Body: r.Body,
		Tries: r.Tries, ReplayedAt: r.ReplayedAt.Instant,
	}
}

// seenFor is how long a message that was understood does not wait again for the same reason.
const seenFor = callback.Duration(24 * time.Hour)

// Keep keeps what came in and was not understood. Without an ID it gets one,
// without an instant it is received now; of a message that is there already only
// the reason is renewed. If it was understood meanwhile it waits again, unless it
// comes with the same reason within a day: what a person has seen is not said at once again.
// One that was emptied by an erasure stays so (R26).
func (s *Store) Keep(ctx context.Context, m book.Message) error {
	if m.ID == "" {
		m.ID = uuid.Must(uuid.NewV7()).String()
	}
	if m.Received.IsZero() {
		m.Received = s.now()
	}
	if m.Body == nil {
		m.Body = []byte{}
	}
	return s.writeOne(ctx, "keep a message", func(tx *gorm.DB) error {
		return tx.Exec(`INSERT INTO inbound_messages (id, connector, received_at, reason, media, body, tries)
			VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT (id) DO UPDATE SET reason = excluded.reason,
				replayed_at = CASE WHEN inbound_messages.reason <> excluded.reason OR inbound_messages.replayed_at < ? THEN NULL
					ELSE inbound_messages.replayed_at END
				WHERE inbound_messages.reason <> ?`,
			m.ID, m.Connector, instant{m.Received}, m.Reason, m.Media, m.Body, instant{s.now().Plus(-seenFor)}, struck).Error
	})
}

// Message returns one that was kept, with its body.
func (s *Store) Message(ctx context.Context, id string) (book.Message, error) {
	var row messageRow
	err := s.read(ctx, "read a kept message", func(db *gorm.DB) error {
		return one(db.Raw(`SELECT id, connector, received_at, reason, media, body, tries, replayed_at FROM inbound_messages WHERE id = ?`, id),
			&row.ID, &row.Connector, &row.ReceivedAt, &row.Reason, &row.Media, &row.Body, &row.Tries, &row.ReplayedAt)
	})
	return row.message(), err
}

// Messages returns at most limit of those that were kept, without their bodies,
// the newest first, after the one that is given ("": from the newest on).
// Waiting narrows to those that were not understood yet.
func (s *Store) Messages(ctx context.Context, connector string, waiting bool, limit int, after string) ([]book.Message, error) {
	var rows []messageRow
	err := s.read(ctx, "list kept messages", func(db *gorm.DB) error {
		list := db.Select("id, connector, received_at, reason, media, tries, replayed_at")
		if connector != "" {
			list = list.Where("connector = ?", connector)
		}
		if waiting {
			list = list.Where("replayed_at IS NULL")
		}
		if after != "" {
			list = list.Where("(received_at, id) < (SELECT received_at, id FROM inbound_messages WHERE id = ?)", after)
		}
		return list.Order("received_at DESC, id DESC").Limit(limit).Find(&rows).Error
	})
	messages := make([]book.Message, len(rows))
	for i := range rows {
		messages[i] = rows[i].message()
	}
	return messages, err
}

// Replayed notes that a message was tried again: understood, unless a reason
// says why not.
func (s *Store) Replayed(ctx context.Context, id string, at callback.Instant, reason string) error {
	understood := instant{at}
	if reason != "" {
		understood = instant{}
	}
	return s.writeOne(ctx, "note a replay", func(tx *gorm.DB) error {
		return tx.Exec(`UPDATE inbound_messages SET tries = tries + 1, replayed_at = ?, reason = CASE WHEN ? = '' THEN reason ELSE ? END
			WHERE id = ?`, understood, reason, reason, id).Error
	})
}

// Waiting counts the kept messages that were not understood yet, by connector.
func (s *Store) Waiting(ctx context.Context) (map[string]int64, error) {
	waiting := map[string]int64{}
	err := s.read(ctx, "count kept messages", func(db *gorm.DB) error {
		return eachOf(db.Raw(`SELECT connector, COUNT(*) FROM inbound_messages WHERE replayed_at IS NULL GROUP BY connector`),
			func(connector string, n int64) { waiting[connector] = n })
	})
	return waiting, err
}
