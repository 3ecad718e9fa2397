package store

import (
	"context"
	"database/sql"

	"gorm.io/gorm"

	"ringback/book"
)

type listViewRow struct {
	StaffID string `gorm:"primaryKey"`
	Name    string `gorm:"primaryKey"`
	Query   string
}

func (listViewRow) TableName() string { return "list_views" }

// SaveListView keeps a view, in place of that of the same person and name.
func (s *Store) SaveListView(ctx context.Context, v book.ListView) error {
	return s.writeOne(ctx, "save a view", func(db *gorm.DB) error {
		return db.Clauses(orUpdate("staff_id", "name")).Create(&listViewRow{v.StaffID, v.Name, v.Query}).Error
	})
}

// ForgetListView forgets a view; one that is not there too.
func (s *Store) ForgetListView(ctx context.Context, staffID, name string) error {
	return s.writeOne(ctx, "forget a view", func(db *gorm.DB) error {
		return db.Exec(`DELETE FROM list_views WHERE staff_id = ? AND name = ?`, staffID, name).Error
	})
}

// ListViews are those of a person, by name.
func (s *Store) ListViews(ctx context.Context, staffID string) (views []book.ListView, err error) {
	err = s.read(ctx, "read views", func(db *gorm.DB) error {
		return each(db.Raw(`SELECT name, query FROM list_views WHERE staff_id = ? ORDER BY name`, staffID), func(rows *sql.Rows) error {
			v := book.ListView{StaffID: staffID}
			if err := rows.Scan(&v.Name, &v.Query); err != nil {
				return err
			}
			views = append(views, v)
			return nil
		})
	})
	return views, err
}
