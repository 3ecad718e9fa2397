package store

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"ringback/book"
	"ringback/callback"
)

// Meet finds who a subject of the provider is here, adds them if they are new
// and a tier is claimed of them, and changes what is claimed otherwise than it is
// written, except what an administrator has pinned. Whoever no longer works
// here is returned as they are. Errors: book.ErrSomebodyElse, book.ErrNobodyHere.
func (s *Store) Meet(ctx context.Context, m book.Meeting) (met book.Person, err error) {
	// Mostly nothing has changed, and reading says so.
	changes := false
	err = s.read(ctx, "meet somebody", func(db *gorm.DB) error {
		var before *book.Person
		before, met, err = meet(db, m)
		if err != nil || before == nil {
			changes = err == nil
			return err
		}
		same, err := alike(before, &met)
		changes = !same
		return err
	})
	if err != nil || !changes {
		return met, err
	}
	err = s.writePeople(ctx, "write who was met", func(tx *gorm.DB) error {
		var before *book.Person
		if before, met, err = meet(tx, m); err != nil {
			return err
		}
		return savePerson(tx, before, &met)
	})
	return met, err
}

// meet returns who they were, nil for nobody yet, and who they are now.
func meet(db *gorm.DB, m book.Meeting) (before *book.Person, now book.Person, err error) {
	// Whoever has signed in before stays who they are, whatever id is claimed now.
	found, err := people(db, "s.subject = ? OR s.id = ?", []any{m.Subject, m.Person.ID})
	if err != nil {
		return nil, now, err
	}
	i := slices.IndexFunc(found, func(p book.Person) bool { return p.Subject == m.Subject })
	if i < 0 {
		i = slices.IndexFunc(found, func(p book.Person) bool { return p.ID == m.Person.ID })
	}
	if i < 0 {
		if !slices.Contains(m.Claimed, book.AttributeTier) {
			return nil, now, book.ErrNobodyHere
		}
		now = m.Person
		now.Subject, now.Origin = m.Subject, book.OriginSignIn
		return nil, now, nil
	}
	before = &found[i]
	if before.Subject != "" && before.Subject != m.Subject {
		return nil, now, book.ErrSomebodyElse
	}
	now = *before
	if now.Inactive {
		return before, now, nil
	}
	now.Subject = m.Subject
	now.Take(m.Person, m.Claimed)
	return before, now, nil
}

// EditPerson adds or changes one person, while nobody else changes any. The new
// version is the store's to give; where edit changes nothing it stays. What
// edit returns as an error is returned as it is.
//
// conclude, which may be nil, makes an errand with its answer of the person, to
// be written with them; book.ErrRepeated: it is there already, and nothing is
// written. Like edit it may be called again where the database starts over.
func (s *Store) EditPerson(
	ctx context.Context, id string, edit func(book.Roster) (book.Person, error), conclude func(book.Person) (*book.Errand, error),
) (edited book.Person, err error) {
	var refused error
	err = s.writePeople(ctx, "change a person", func(tx *gorm.DB) error {
		refused = nil
		all, err := people(tx, "1 = 1", nil)
		if err != nil {
			return err
		}
		roster := book.Roster{People: all}
		if err := one(tx.Raw(`SELECT COUNT(*) FROM callbacks WHERE closed_at IS NULL AND assignee = ?`, id), &roster.Assigned); err != nil {
			return err
		}
		if edited, err = edit(roster); err != nil {
			refused = err
			return err
		}
		edited.ID = id
		if err := savePerson(tx, roster.Person(id), &edited); err != nil || conclude == nil {
			return err
		}
		e, err := conclude(edited)
		if err != nil {
			return err
		}
		return answered(tx, e, s.now())
	})
	if refused != nil {
		return book.Person{}, refused
	}
	return edited, err
}

// ReviseStaff gives people the ranks and shifts that the configuration now has
// under the names that are written. A tier or calendar that is gone stays as it was.
func (s *Store) ReviseStaff(ctx context.Context, ranks map[string]int, shifts map[string]*callback.Calendar) error {
	return s.writePeople(ctx, "revise the staff", func(tx *gorm.DB) error {
		all, err := people(tx, "1 = 1", nil)
		if err != nil {
			return err
		}
		for i := range all {
			now := all[i]
			if rank, known := ranks[now.Tier]; known {
				now.Rank = rank
			}
			if shift, known := shifts[now.ShiftName]; known {
				now.Shift = shift
			}
			if err := savePerson(tx, &all[i], &now); err != nil {
				return err
			}
		}
		return nil
	})
}
