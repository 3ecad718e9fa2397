package wire

import (
	"context"
	"errors"
	"sync"
	"time"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
)

// Turns is for what is taken one after the other: how long one thing that fails
// may hold up those behind it. What has failed first when is remembered, so that
// a restart gives it no new time.
type Turns struct {
	Deps      connectors.Deps
	Connector string
	// Most is how long one may hold up the others.
	Most time.Duration

	mu     sync.Mutex
	failed map[string]bool
}

// Term is how long a key that has failed is remembered where nobody said that it is over.
func (t *Turns) Term() book.Term {
	return book.Term{Connector: t.Connector, Prefix: turnKey(""), Lasts: callback.Duration(30 * 24 * time.Hour)}
}

func turnKey(key string) string { return "failing:" + key }

// Spent notes that key, which is whose turn it is, has failed, and reports whether
// it has held up the others for long enough. Where that cannot be noted nothing
// can be done for it either, and it goes on waiting.
func (t *Turns) Spent(ctx context.Context, key string) bool {
	now := t.Deps.Now().UTC()
	said, _, err := t.Deps.Memory.Claim(ctx, t.Connector, turnKey(key), now.Format(time.RFC3339))
	if err != nil {
		return false
	}
	t.mu.Lock()
	if t.failed == nil {
		t.failed = map[string]bool{}
	}
	t.failed[key] = true
	t.mu.Unlock()
	since, err := time.Parse(time.RFC3339, said)
	return err == nil && now.Sub(since) >= t.Most
}

// Over forgets a key that has failed: it is done, or waits elsewhere. What of it is
// left behind by a process that dies is swept by its age.
func (t *Turns) Over(ctx context.Context, key string) {
	t.mu.Lock()
	failed := t.failed[key]
	delete(t.failed, key)
	t.mu.Unlock()
	if failed {
		_ = t.Deps.Memory.Forget(ctx, t.Connector, turnKey(key)) // see above
	}
}

// Why is err as its code, which is nothing personal.
func Why(err error) string {
	var fault *callback.Fault
	if errors.As(err, &fault) {
		return string(fault.Code)
	}
	return string(OwedAs(err).Code)
}

// Rounds is for what is gone through in order, again and again: it counts how
// often the same thing has ended a round, so that it can be set aside.
type Rounds struct {
	mu    sync.Mutex
	times map[string]int
}

const (
	// tolerated is how many rounds one thing may end.
	tolerated = 3
	// manyThings bounds how many are counted.
	manyThings = 1000
)

// Failed takes note that key has failed with err, and returns that, which ends the
// round. When it has ended some, it is set aside by what is given, once, and nil is
// returned, so that the round goes on.
func (r *Rounds) Failed(key string, err error, aside func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times == nil || len(r.times) >= manyThings {
		r.times = map[string]int{}
	}
	switch {
	case r.times[key] < tolerated:
	case r.times[key] == tolerated:
		if failed := aside(); failed != nil {
			return errors.Join(err, failed)
		}
		err = nil
	default:
		return nil
	}
	r.times[key]++
	return err
}
