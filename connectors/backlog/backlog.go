// Package backlog is a durable list of things to do, first in, first out, in a
// connector's memory: a webhook is answered at once, and what it hints at is
// worked off for as long as it takes, whatever dies meanwhile.
package backlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"ringback/connectors"
)

// Backlog is one such list. Any process may add; one works it off at a time.
//
// Item n is under the key NAME:n, NAME:head says which is the oldest. Items are
// claimed without gaps, so the end is found by looking.
type Backlog struct {
	memory    connectors.Memory
	connector string
	name      string
	now       func() time.Time
	bell      chan struct{}

	mu   sync.Mutex
	tail int64 // probably free; 0: not known yet
}

// Item is one thing to do.
type Item struct {
	Value string
	// Added is when it was added first; Tries how often it has failed.
	Added time.Time
	Tries int
}

// New returns the list of that name of a connector.
func New(memory connectors.Memory, connector, name string, now func() time.Time) *Backlog {
	return &Backlog{memory: memory, connector: connector, name: name, now: now, bell: make(chan struct{}, 1)}
}

// Add appends a thing to do. Without an error it is durable.
func (b *Backlog) Add(ctx context.Context, value string) error {
	return b.add(ctx, Item{Value: value, Added: b.now()})
}

func (b *Backlog) add(ctx context.Context, item Item) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	written := fmt.Sprintf("%d %d %s", item.Added.UnixMilli(), item.Tries, item.Value)
	for {
		head, err := b.head(ctx)
		if err != nil {
			return err
		}
		at, err := b.end(ctx, max(head, b.tail))
		if err != nil {
			return err
		}
		for ; ; at++ {
			_, first, err := b.memory.Claim(ctx, b.connector, b.key(at), written)
			if err != nil {
				return err
			}
			if first {
				break
			}
		}
		b.tail = at
		lost, err := b.lost(ctx, at)
		if err != nil {
			return err
		}
		if !lost {
			break
		}
	}
	select {
	case b.bell <- struct{}{}:
	default:
	}
	return nil
}

// lost reports that whoever works the list off had come past a place before it
// was taken: what is there now would lie there for ever.
func (b *Backlog) lost(ctx context.Context, at int64) (bool, error) {
	head, err := b.head(ctx)
	if err != nil || head <= at {
		return false, err
	}
	_, found, err := b.memory.Recall(ctx, b.connector, b.key(at))
	if err != nil || !found {
		return false, err // it has been worked off
	}
	return true, b.memory.Forget(ctx, b.connector, b.key(at))
}

// end is a free place at or after from, and all before it are taken: it doubles
// its step until it finds one, then halves the rest.
func (b *Backlog) end(ctx context.Context, from int64) (int64, error) {
	taken, free := from-1, from
	for step := int64(1); ; step *= 2 {
		_, found, err := b.memory.Recall(ctx, b.connector, b.key(free))
		if err != nil {
			return 0, err
		}
		if !found {
			break
		}
		taken, free = free, free+step
	}
	for free-taken > 1 {
		middle := taken + (free-taken)/2
		_, found, err := b.memory.Recall(ctx, b.connector, b.key(middle))
		if err != nil {
			return 0, err
		}
		if found {
			taken = middle
		} else {
			free = middle
		}
	}
	return free, nil
}

func (b *Backlog) key(at int64) string { return b.name + ":" + strconv.FormatInt(at, 10) }

func (b *Backlog) head(ctx context.Context) (int64, error) {
	s, found, err := b.memory.Recall(ctx, b.connector, b.name+":head")
	if err != nil || !found {
		return 1, err
	}
	at, err := strconv.ParseInt(s, 10, 64)
	if err != nil || at < 1 {
		return 0, fmt.Errorf("the head of the backlog %s cannot be read", b.name)
	}
	return at, nil
}

// Once works off the oldest item; false: there is none. An item whose handling
// fails goes to the end, so that it holds up nothing; the error is that of the
// handling, or of the memory.
func (b *Backlog) Once(ctx context.Context, handle func(context.Context, Item) error) (bool, error) {
	at, err := b.head(ctx)
	if err != nil {
		return false, err
	}
	written, found, err := b.memory.Recall(ctx, b.connector, b.key(at))
	if err != nil || !found {
		return false, err
	}
	item := read(written)
	failed := handle(ctx, item)
	stays := errors.Is(failed, errStay)
	if stays {
		failed = nil
	} else if failed != nil {
		item.Tries++
	}
	if stays || failed != nil {
		if err := b.add(ctx, item); err != nil {
			return true, errors.Join(failed, err)
		}
	}
	if err := b.memory.Remember(ctx, b.connector, b.name+":head", strconv.FormatInt(at+1, 10)); err != nil {
		return true, errors.Join(failed, err)
	}
	return true, errors.Join(failed, b.memory.Forget(ctx, b.connector, b.key(at)))
}

// errStay sends an item to the end that has not failed.
var errStay = errors.New("it stays")

// Round goes once through what is on the list now: what visit wants to see again
// stays, at the end. The first error ends it; then the item stays too.
func (b *Backlog) Round(ctx context.Context, visit func(ctx context.Context, value string) (again bool, err error)) error {
	at, err := b.head(ctx)
	if err != nil {
		return err
	}
	end, err := b.end(ctx, at)
	if err != nil {
		return err
	}
	for ; at < end && ctx.Err() == nil; at++ {
		some, err := b.Once(ctx, func(ctx context.Context, i Item) error {
			again, err := visit(ctx, i.Value)
			if err == nil && again {
				return errStay
			}
			return err
		})
		if !some || err != nil {
			return err
		}
	}
	return ctx.Err()
}

func read(written string) Item {
	added, rest, _ := strings.Cut(written, " ")
	tries, value, _ := strings.Cut(rest, " ")
	ms, _ := strconv.ParseInt(added, 10, 64)
	n, _ := strconv.Atoi(tries)
	return Item{Value: value, Added: time.UnixMilli(ms), Tries: n}
}

// How long the work rests: while there is nothing, and after failures.
const (
	idle       = 2 * time.Second
	firstPause = time.Second
	lastPause  = time.Minute
)

// Work works the list off until ctx is done; failed hears of every failure. After
// one it pauses, longer each time or as long as the vendor asked for, until
// something succeeds.
func (b *Backlog) Work(ctx context.Context, handle func(context.Context, Item) error, failed func(error)) error {
	pause := firstPause
	for ctx.Err() == nil {
		wait := time.Duration(0)
		switch some, err := b.Once(ctx, handle); {
		case ctx.Err() != nil: // whatever failed failed because of that
		case err != nil:
			failed(err)
			wait, pause = pause, min(2*pause, lastPause)
			var owed *connectors.Owed
			if errors.As(err, &owed) {
				wait = max(wait, min(owed.RetryAfter, lastPause))
			}
		case some:
			pause = firstPause
		default:
			wait = idle
		}
		if wait > 0 {
			b.rest(ctx, wait, pause == firstPause)
		}
	}
	return nil
}

// rest waits; the bell ends it where nothing has failed.
func (b *Backlog) rest(ctx context.Context, d time.Duration, wakeable bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	bell := b.bell
	if !wakeable {
		bell = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-bell:
	}
}
