package notice

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ringback/callback"
	"ringback/connectors"
)

// entry is one thing that one person is to be told. Nothing personal is in it.
type entry struct {
	Operation string             `json:"operation"`
	Callback  string             `json:"callback"`
	Policy    string             `json:"policy"` // its title
	Type      callback.EventType `json:"type"`
	At        callback.Instant   `json:"at"`
	Tier      string             `json:"tier"`
	Queue     string             `json:"queue"`
	// Due is the promise that it is about.
	Due callback.Instant `json:"due"`
	// Number of the reminder; Words of what the type leaves open.
	Number int    `json:"number,omitempty"`
	Words  string `json:"words,omitempty"`
	// Added is when it was written down.
	Added callback.Instant `json:"added"`
}

// entryOf is what there is to tell of an event.
func entryOf(d connectors.Delivery) entry {
	e := entry{
		Operation: d.OperationID, Callback: d.Callback.ID, Policy: d.Callback.Policy, Type: d.Event.Fact.Type(), At: d.Event.At,
		Tier: d.Callback.Tier, Queue: d.Callback.Queue, Due: d.Callback.DueAt,
	}
	if d.Policy != nil && d.Policy.Title != "" {
		e.Policy = d.Policy.Title
	}
	switch fact := d.Event.Fact.(type) {
	case *callback.Warned:
		e.Due = fact.DueAt
		if fact.Of == callback.WarningOfAttempts {
			e.Words = "attempts"
		}
	case *callback.Breached:
		e.Due = fact.DueAt
	case *callback.Reminded:
		e.Number = fact.Number
	case *callback.Completed:
		e.Words = fact.Reason
		if d.Policy != nil {
			if reason, known := d.Policy.Reason(fact.Reason); known {
				e.Words = reason.Title
			}
		}
	}
	return e
}

// list is what one person is to be told, and was told lately: a first-in-first-out
// list in Memory, to which any process may add while one sends.
//
// Entry n is under PERSON:n, without gaps. PERSON:head is the first that was not sent yet,
// PERSON:tail the oldest that is still there, PERSON:upto where the mail ends that is being
// sent. mark:OPERATION:PERSON says that an operation has its entry, or since when it was sent.
type list struct {
	*Connector
	person string
}

func (c *Connector) list(staffID string) list { return list{c, staffID} }

const (
	// keepSent is how long what was sent is remembered.
	keepSent = 7 * 24 * time.Hour
	// replayAfter is when a delivery that comes again is one that a person wants to see
	// again, and not one whose end was not noticed.
	replayAfter = time.Hour
	// maxBundle is how much one mail tells.
	maxBundle = 100
)

const waiting = "waiting"

func (l list) key(part string) string { return "to:" + l.person + ":" + part }

func (l list) entryKey(n int64) string { return l.key(strconv.FormatInt(n, 10)) }

func (l list) markKey(operation string) string { return "mark:" + operation + ":" + l.person }

func (l list) place(ctx context.Context, part string) (int64, error) {
	s, found, err := l.deps.Memory.Recall(ctx, name, l.key(part))
	if err != nil || !found {
		return 1, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("what is remembered of %s cannot be read", l.key(part))
	}
	return n, nil
}

func (l list) setPlace(ctx context.Context, part string, n int64) error {
	return l.deps.Memory.Remember(ctx, name, l.key(part), strconv.FormatInt(n, 10))
}

func (l list) at(ctx context.Context, n int64) (e entry, found bool, err error) {
	s, found, err := l.deps.Memory.Recall(ctx, name, l.entryKey(n))
	if err != nil || !found {
		return e, false, err
	}
	if err := json.Unmarshal([]byte(s), &e); err != nil {
		return e, false, fmt.Errorf("what is remembered of %s cannot be read", l.key("entries"))
	}
	return e, true, nil
}

// add writes an entry down, once for its operation.
func (l list) add(ctx context.Context, e entry, again bool, now time.Time) error {
	defer l.locks.Lock(l.person)()
	if again {
		known, err := l.known(ctx, e.Operation, now)
		if err != nil || known {
			return err
		}
	}
	e.Added = callback.At(now)
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	n, err := l.place(ctx, "head")
	if err != nil {
		return err
	}
	for {
		_, first, err := l.deps.Memory.Claim(ctx, name, l.entryKey(n), string(raw))
		if err != nil {
			return err
		}
		if !first {
			n++
			continue
		}
		// Whoever sends may have come past this place meanwhile: with the entry, or without.
		head, err := l.place(ctx, "head")
		if err != nil {
			return err
		}
		if head <= n {
			break
		}
		if known, err := l.known(ctx, e.Operation, now); err != nil || known {
			return err
		}
		if err := l.deps.Memory.Forget(ctx, name, l.entryKey(n)); err != nil {
			return err
		}
		n = head
	}
	return l.deps.Memory.Remember(ctx, name, l.markKey(e.Operation), waiting)
}

// known reports whether an operation has its entry, or was sent lately.
func (l list) known(ctx context.Context, operation string, now time.Time) (bool, error) {
	mark, found, err := l.deps.Memory.Recall(ctx, name, l.markKey(operation))
	if err != nil || !found {
		return false, err
	}
	if mark == waiting {
		return true, nil
	}
	if sent, err := time.Parse(callback.InstantLayout, mark); err == nil {
		return now.Before(sent.Add(replayAfter)), nil
	}
	return true, nil
}

// bundle is what the next mail tells: entries up to one place, each operation once. What
// has been begun is finished as it was begun.
func (l list) bundle(ctx context.Context) (head, end int64, entries []entry, err error) {
	if head, err = l.place(ctx, "head"); err != nil {
		return 0, 0, nil, err
	}
	begun, err := l.place(ctx, "upto")
	if err != nil {
		return 0, 0, nil, err
	}
	seen := map[string]bool{}
	for end = head; end < head+maxBundle && (begun <= head || end < begun); end++ {
		e, found, err := l.at(ctx, end)
		if err != nil {
			return 0, 0, nil, err
		}
		if !found {
			break
		}
		if seen[e.Operation] {
			continue // its writer died before the mark, and came again
		}
		seen[e.Operation] = true
		mark, marked, err := l.deps.Memory.Recall(ctx, name, l.markKey(e.Operation))
		if err != nil {
			return 0, 0, nil, err
		}
		// The same, where it was sent meanwhile.
		if sent, err := time.Parse(callback.InstantLayout, mark); marked && err == nil && !sent.Before(e.Added.Time) {
			continue
		}
		entries = append(entries, e)
	}
	return head, end, entries, nil
}

// begin fixes where the mail ends that is about to be sent: sent again, it is the same.
func (l list) begin(ctx context.Context, end int64) error { return l.setPlace(ctx, "upto", end) }

// sent remembers that everything before end was told.
func (l list) sent(ctx context.Context, end int64, entries []entry, at callback.Instant) error {
	for _, e := range entries {
		if err := l.deps.Memory.Remember(ctx, name, l.markKey(e.Operation), at.String()); err != nil {
			return err
		}
	}
	if err := l.deps.Memory.Remember(ctx, name, l.key("last"), at.String()); err != nil {
		return err
	}
	return l.setPlace(ctx, "head", end)
}

// last is when the person was sent mail; zero: never.
func (l list) last(ctx context.Context) (time.Time, error) {
	s, found, err := l.deps.Memory.Recall(ctx, name, l.key("last"))
	if err != nil || !found {
		return time.Time{}, err
	}
	at, err := time.Parse(callback.InstantLayout, strings.TrimSpace(s))
	if err != nil {
		return time.Time{}, nil //nolint:nilerr // what cannot be read does not keep mail back
	}
	return at, nil
}

// forget drops what was told long ago.
func (l list) forget(ctx context.Context, head int64, now time.Time) error {
	tail, err := l.place(ctx, "tail")
	if err != nil {
		return err
	}
	first := tail
	for ; tail < head && tail < first+maxBundle; tail++ {
		e, found, err := l.at(ctx, tail)
		if err != nil {
			return err
		}
		if found && now.Before(e.Added.Add(keepSent)) {
			break
		}
		if found {
			if err := l.deps.Memory.Forget(ctx, name, l.markKey(e.Operation)); err != nil {
				return err
			}
			if err := l.deps.Memory.Forget(ctx, name, l.entryKey(tail)); err != nil {
				return err
			}
		}
	}
	if tail == first {
		return nil
	}
	return l.setPlace(ctx, "tail", tail)
}
