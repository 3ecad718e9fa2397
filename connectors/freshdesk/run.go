package freshdesk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"ringback/book"
	"ringback/connectors"
	"ringback/connectors/wire"
)

// Run implements connectors.Runner: it works off what hooks hinted at, asks for
// what has changed in case a hint was lost, and looks at the tickets of open
// callbacks now and then.
func (f *Freshdesk) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error {
		return f.hints.Work(ctx, f.hinted, func(err error) { f.log(ctx, "a hint of Freshdesk waits", err) })
	})
	g.Go(func() error {
		return wire.Every(ctx, f.deps.Sleep, time.Duration(f.config.PollEvery), f.poll, func(err error) {
			f.log(ctx, "changed tickets of Freshdesk cannot be read", err)
		})
	})
	if f.config.SweepEvery > 0 {
		g.Go(func() error {
			return wire.Every(ctx, f.deps.Sleep, time.Duration(f.config.SweepEvery), f.sweep, func(err error) {
				f.log(ctx, "the tickets of open callbacks cannot be read", err)
			})
		})
	}
	return g.Wait()
}

const (
	pageSize = 100
	lastPage = 300 // Freshdesk gives no more
	// overlap is looked at again by every poll: a change may show late in lists.
	overlap = time.Minute
)

// poll looks at what has changed since the last one. It goes by the time of the
// change and not by pages, which shift while tickets change, and remembers how
// far it has come after each page.
func (f *Freshdesk) poll(ctx context.Context) error {
	cursor, err := f.cursor(ctx)
	if err != nil {
		return err
	}
	from, page := cursor.Add(-overlap), 1
	for {
		tickets, err := f.changed(ctx, from, page)
		if err != nil {
			return err
		}
		for i := range tickets {
			if err := f.inTurn(ctx, &tickets[i]); err != nil {
				return err
			}
		}
		if n := len(tickets); n > 0 && tickets[n-1].UpdatedAt.After(cursor) {
			cursor = tickets[n-1].UpdatedAt
			if err := f.deps.Memory.Remember(ctx, Name, "poll", cursor.UTC().Format(time.RFC3339)); err != nil {
				return err
			}
		}
		if len(tickets) < pageSize {
			return nil
		}
		switch last := tickets[len(tickets)-1].UpdatedAt; {
		case last.After(from):
			from, page = last, 1
		case page < lastPage:
			page++ // all of them changed in the same second
		default:
			from, page = from.Add(time.Second), 1
		}
	}
}

func (f *Freshdesk) cursor(ctx context.Context) (time.Time, error) {
	said, found, err := f.deps.Memory.Recall(ctx, Name, "poll")
	if err != nil {
		return time.Time{}, err
	}
	if found {
		if at, err := time.Parse(time.RFC3339, said); err == nil {
			return at, nil
		}
	}
	start := f.deps.Now().Add(-time.Duration(f.config.Backfill)).UTC()
	return start, f.deps.Memory.Remember(ctx, Name, "poll", start.Format(time.RFC3339))
}

func (f *Freshdesk) changed(ctx context.Context, since time.Time, page int) ([]ticket, error) {
	q := url.Values{
		"updated_since": {since.UTC().Format(time.RFC3339)}, "order_by": {"updated_at"}, "order_type": {"asc"},
		"per_page": {fmt.Sprint(pageSize)}, "page": {fmt.Sprint(page)},
	}
	var tickets []ticket
	return tickets, f.call(ctx, http.MethodGet, "/tickets?"+q.Encode(), nil, &tickets)
}

// inTurn is noticed for a ticket that others wait behind: one that ends round after
// round becomes a hint, which holds up nothing and is tried for a day.
func (f *Freshdesk) inTurn(ctx context.Context, t *ticket) error {
	err := f.noticed(ctx, t)
	if err == nil || wire.Is(err, connectors.RateLimited) {
		return err
	}
	change := string(t.ID) + " " + t.UpdatedAt.UTC().Format(time.RFC3339)
	return f.rounds.Failed(change, err, func() error { return f.hints.Add(ctx, string(t.ID)) })
}

// noticed looks at a ticket as a list has it; only where something seems to
// follow is it fetched.
func (f *Freshdesk) noticed(ctx context.Context, t *ticket) error {
	if t.Deleted || t.Spam || t.ID == "" {
		return nil
	}
	s, err := f.look(ctx, t)
	if err != nil || s.nothing() {
		return err
	}
	return f.keep(ctx, string(t.ID), f.understand(ctx, string(t.ID)))
}

// failuresInARow after which a sweep ends: it is not the tickets, then.
const failuresInARow = 5

// sweep looks at the ticket of every open callback. One that fails does not hide
// those behind it.
func (f *Freshdesk) sweep(ctx context.Context) error {
	var failures []error
	inARow := 0
	err := f.deps.Desk.Open(ctx, Name, func(v book.View) error {
		if !v.State.CallbackRequired || !wire.Digits(v.Intake.Source.Ref) {
			return nil
		}
		err := f.understand(ctx, v.Intake.Source.Ref)
		if wire.Is(err, connectors.RateLimited) {
			// It can wait: what must be delivered goes first.
			if err := f.deps.Sleep(ctx, wire.OwedAs(err).RetryAfter); err != nil {
				return err
			}
			err = f.understand(ctx, v.Intake.Source.Ref)
		}
		if err = f.keep(ctx, v.Intake.Source.Ref, err); err == nil {
			inARow = 0
			return nil
		}
		if inARow++; inARow == failuresInARow || ctx.Err() != nil || wire.Is(err, connectors.RateLimited) {
			return err
		}
		failures = append(failures, err)
		return nil
	})
	return errors.Join(append(failures, err)...)
}
