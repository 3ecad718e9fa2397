package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"ringback/book"
	"ringback/callback"
)

// Rebuilt says what a rebuild found: what lists showed before against what
// follows from the histories (R25).
type Rebuilt struct {
	Callbacks int `json:"callbacks"`
	// Events are timeline entries.
	Events int `json:"events"`
	// Changed were shown otherwise, Missing were not shown, Extra were shown
	// without a history.
	Changed []string `json:"changed"`
	Missing []string `json:"missing"`
	Extra   []string `json:"extra"`
	// Unreplayable have a history that does not lead to a timeline: then nothing was
	// thrown away.
	Unreplayable []Finding     `json:"unreplayable"`
	Elapsed      time.Duration `json:"elapsed"`
}

// Same reports whether everything came out as it was.
func (r Rebuilt) Same() bool {
	return len(r.Changed)+len(r.Missing)+len(r.Extra)+len(r.Unreplayable) == 0
}

// Rate is how many callbacks a second were rebuilt.
func (r Rebuilt) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Callbacks) / r.Elapsed.Seconds()
}

// ErrNotRebuilt: some histories do not replay, and nothing was thrown away.
var ErrNotRebuilt = errors.New("some histories do not replay: nothing was thrown away")

// Rebuild derives all that lists, boards and timelines show from the histories
// alone, throws away what they show now, and puts the former in its place. It
// reports the difference.
//
// Everything is replayed before anything is thrown away. Lists are short of
// callbacks while they are put back. The desk may go on working meanwhile: what
// happens during a rebuild is read again at its end.
func (a *Auditor) Rebuild(ctx context.Context, progress func(Step)) (Rebuilt, error) {
	ledger, err := a.ledger()
	if err != nil {
		return Rebuilt{}, err
	}
	began := time.Now()
	b := &rebuilding{auditor: a, ledger: ledger, tell: func(s Step) {
		if progress != nil {
			s.Elapsed = time.Since(began)
			progress(s)
		}
	}}
	b.Changed, b.Missing, b.Extra, b.Unreplayable = []string{}, []string{}, []string{}, []Finding{}
	err = b.run(ctx)
	b.Elapsed = time.Since(began)
	return b.Rebuilt, err
}

type rebuilding struct {
	Rebuilt
	auditor *Auditor
	ledger  Ledger
	tell    func(Step)
}

func (b *rebuilding) run(ctx context.Context) error {
	ids, err := b.auditor.everyCallback(ctx, b.ledger)
	if err != nil {
		return err
	}
	spool, err := newSpool()
	if err != nil {
		return err
	}
	defer spool.close()
	if err := b.derive(ctx, ids, spool); err != nil {
		return err
	}
	if len(b.Unreplayable) > 0 {
		return fmt.Errorf("%w (%d of %d)", ErrNotRebuilt, len(b.Unreplayable), len(ids))
	}
	before, err := b.ledger.Digest(ctx)
	if err != nil {
		return err
	}
	if err := b.ledger.DropProjections(ctx); err != nil {
		return err
	}
	if err := b.putBack(ctx, spool); err != nil {
		return fmt.Errorf("putting back what lists show, rebuild again: %w", err)
	}
	differences, err := b.differences(ctx, before)
	if err != nil {
		return err
	}
	// What differs may have gone on while it was rebuilt.
	for _, id := range differences {
		if err := b.catchUp(ctx, id); err != nil {
			return err
		}
	}
	return b.report(ctx, before, differences)
}

// derive replays every history and spools its timeline.
func (b *rebuilding) derive(ctx context.Context, ids []string, spool *spool) error {
	type derived struct {
		events []callback.Event
		err    error
	}
	done := 0
	var spooling error
	err := inParallel(ctx, b.auditor.parallel, ids, func(ctx context.Context, id string) (derived, error) {
		events, err := b.auditor.Timeline(ctx, id)
		var object *problem
		switch {
		case errors.Is(err, ErrNoHistory): // it promises nothing
			return derived{}, nil
		case errors.As(err, &object), errors.Is(err, ErrRunMissing):
			return derived{err: err}, nil
		}
		return derived{events: events}, err
	}, func(id string, d derived) {
		done++
		if d.err != nil {
			b.Unreplayable = append(b.Unreplayable, Finding{CallbackID: id, Problems: []string{d.err.Error()}})
		}
		if spooling == nil && len(d.events) > 0 {
			spooling = spool.add(book.Batch{CallbackID: id, Events: d.events})
		}
		b.tell(Step{Doing: "replaying", Done: done, Total: len(ids)})
	})
	slices.SortFunc(b.Unreplayable, byCallback)
	return errors.Join(err, spooling)
}

// putBack writes what was derived.
func (b *rebuilding) putBack(ctx context.Context, spool *spool) error {
	return spool.each(func(batch book.Batch) error {
		if err := b.project(ctx, batch); err != nil {
			return err
		}
		b.Callbacks++
		b.Events += len(batch.Events)
		b.tell(Step{Doing: "writing", Done: b.Callbacks, Total: spool.n})
		return nil
	})
}

// project writes, and goes on through an outage of the database.
func (b *rebuilding) project(ctx context.Context, batch book.Batch) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		_, err := b.ledger.Project(ctx, batch)
		if !errors.Is(err, book.ErrUnavailable) {
			return err
		}
		b.auditor.logger.Warn("a rebuild waits for the database", "error", err)
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

func (b *rebuilding) differences(ctx context.Context, before map[string]string) ([]string, error) {
	after, err := b.ledger.Digest(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for id, digest := range after {
		if before[id] != digest {
			ids = append(ids, id)
		}
	}
	for id := range before {
		if _, there := after[id]; !there {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// catchUp writes what a history has come to since it was replayed.
func (b *rebuilding) catchUp(ctx context.Context, id string) error {
	events, err := b.auditor.Timeline(ctx, id)
	if errors.Is(err, ErrNoHistory) {
		return nil
	}
	if err != nil || len(events) == 0 {
		return err
	}
	return b.project(ctx, book.Batch{CallbackID: id, Events: events})
}

// report sorts the differences that remain.
func (b *rebuilding) report(ctx context.Context, before map[string]string, candidates []string) error {
	if len(candidates) == 0 {
		return nil
	}
	after, err := b.ledger.Digest(ctx)
	if err != nil {
		return err
	}
	for _, id := range candidates {
		was, shown := before[id]
		is, derived := after[id]
		switch {
		case shown && derived && was != is:
			b.Changed = append(b.Changed, id)
		case derived && !shown:
			b.Missing = append(b.Missing, id)
		case shown && !derived:
			b.Extra = append(b.Extra, id)
		}
	}
	return nil
}

// spool keeps timelines in a file of its own until they are written.
type spool struct {
	file *os.File
	out  *json.Encoder
	buf  *bufio.Writer
	n    int
}

func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "ringback-rebuild-*")
	if err != nil {
		return nil, err
	}
	buf := bufio.NewWriterSize(file, 1<<20)
	return &spool{file: file, buf: buf, out: json.NewEncoder(buf)}, nil
}

func (s *spool) add(b book.Batch) error {
	s.n++
	return s.out.Encode(b)
}

func (s *spool) each(f func(book.Batch) error) error {
	if err := s.buf.Flush(); err != nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := json.NewDecoder(bufio.NewReaderSize(s.file, 1<<20))
	for range s.n {
		var b book.Batch
		if err := in.Decode(&b); err != nil {
			return err
		}
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

func (s *spool) close() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}
