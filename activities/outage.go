package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// OutageBook is what telling callbacks of outages needs of the store.
type OutageBook interface {
	Outage(ctx context.Context, id string) (book.Outage, error)
	// Affected are open callbacks that it affects and that are linked to none, Linked
	// those that are linked to it; both in the order of their ids, after one.
	Affected(ctx context.Context, o book.Outage, after string, limit int) ([]string, error)
	Linked(ctx context.Context, outageID, after string, limit int) ([]string, error)
	EndOutage(ctx context.Context, id, by string, at callback.Instant) error
}

// Signaller tells workflows; client.Client is one.
type Signaller interface {
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
}

// Outages tells callbacks of outages (R23).
type Outages struct {
	Book   OutageBook
	Engine Signaller
	// Now is the clock; nil: time.Now. Look is the pause between two looks; 0: 2 s.
	Now  func() time.Time
	Look time.Duration
	// Logger; nil: slog.Default().
	Logger *slog.Logger
}

const (
	// tellAtOnce is how many callbacks are told at once, tellBatch how many between
	// two heartbeats: the engine's pace, not ours.
	tellAtOnce = 8
	tellBatch  = 100
	// told lasts how long it may take until lists show what a callback was told.
	toldLasts = 30 * time.Second
	// lateComers is how long after its end callbacks may still be linked to an outage:
	// whoever promised them had not heard.
	lateComers = 15 * time.Second
)

func (o *Outages) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

func (o *Outages) look() time.Duration {
	if o.Look == 0 {
		return 2 * time.Second
	}
	return o.Look
}

// TellBeginning tells every callback that the outage affects, and goes on to
// look for new ones until it is over. It takes up where its last heartbeat was.
func (o *Outages) TellBeginning(ctx context.Context, in contract.OutageTelling) error {
	t := o.telling(ctx, contract.SignalOutageBegan, in)
	defer beating(ctx, t.after.Load)() // a busy engine may take long to take one batch
	for {
		outage, err := o.Book.Outage(ctx, in.ID)
		if errors.Is(err, book.ErrNotFound) {
			return nil // it was never declared
		}
		if err != nil {
			return err
		}
		if !outage.Active() {
			return nil
		}
		if _, err := t.pass(ctx, func(ctx context.Context, after string) ([]string, error) {
			return o.Book.Affected(ctx, outage, after, tellBatch)
		}); err != nil {
			return err
		}
		if !pause(ctx, o.look()) {
			return ctx.Err()
		}
	}
}

// TellEnd tells every callback that is linked to the outage that it is over. It
// returns when none is, and nobody should be any more; whoever is shown to be
// linked even later is told by the sweeper.
func (o *Outages) TellEnd(ctx context.Context, in contract.OutageTelling) error {
	t := o.telling(ctx, contract.SignalOutageEnded, in)
	defer beating(ctx, t.after.Load)() // a busy engine may take long to take one batch
	began := o.now()
	if outage, err := o.Book.Outage(ctx, in.ID); err == nil && !outage.EndedAt.IsZero() {
		began = outage.EndedAt.Time
	}
	for {
		whole := t.after.Load() == "" // else it tells of the rest alone, where a try before was cut off
		found, err := t.pass(ctx, func(ctx context.Context, after string) ([]string, error) {
			return o.Book.Linked(ctx, in.ID, after, tellBatch)
		})
		if err != nil {
			return err
		}
		if whole && !found && o.now().Sub(began) >= lateComers {
			return nil
		}
		if !pause(ctx, o.look()) {
			return ctx.Err()
		}
	}
}

// NoteEnd notes that the outage is over.
func (o *Outages) NoteEnd(ctx context.Context, in contract.OutageInput) error {
	if in.Ended == nil {
		return fmt.Errorf("outage %s has not ended", in.ID)
	}
	return o.Book.EndOutage(ctx, in.ID, in.Ended.By, in.Ended.At)
}

// telling is one activity that tells many callbacks the same.
type telling struct {
	*Outages
	signal string
	news   callback.OutageNews
	// after is the last callback of the batch that was told, for whoever takes it up.
	after atomic.Value // string
	told  map[string]time.Time
}

func (o *Outages) telling(ctx context.Context, signal string, in contract.OutageTelling) *telling {
	t := &telling{
		Outages: o, signal: signal, news: callback.OutageNews{Outage: in.ID, By: in.By}, told: map[string]time.Time{},
	}
	after := ""
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &after); err != nil {
			after = "" // from the beginning: to be told twice changes nothing
		}
	}
	t.after.Store(after)
	return t
}

// pass tells everybody who is listed, batch by batch; it reports whether
// anybody was.
func (t *telling) pass(ctx context.Context, list func(ctx context.Context, after string) ([]string, error)) (found bool, err error) {
	for {
		ids, err := list(ctx, t.after.Load().(string))
		if err != nil {
			return found, err
		}
		if len(ids) == 0 {
			t.after.Store("")
			return found, nil
		}
		found = true
		if err := t.tell(ctx, ids); err != nil {
			return found, err
		}
		t.after.Store(ids[len(ids)-1])
		activity.RecordHeartbeat(ctx, t.after.Load())
	}
}

func (t *telling) tell(ctx context.Context, ids []string) error {
	now := t.now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(tellAtOnce)
	for _, id := range ids {
		if at, told := t.told[id]; told && now.Sub(at) < toldLasts {
			continue // lists do not show it yet
		}
		t.told[id] = now
		group.Go(func() error {
			err := t.Engine.SignalWorkflow(ctx, contract.WorkflowID(id), "", t.signal, t.news)
			var gone *serviceerror.NotFound
			if errors.As(err, &gone) {
				return nil // it has ended meanwhile
			}
			return err
		})
	}
	err := group.Wait()
	if err != nil {
		clear(t.told) // who of them was told is not known
	}
	for id, at := range t.told {
		if now.Sub(at) >= toldLasts {
			delete(t.told, id)
		}
	}
	return err
}
