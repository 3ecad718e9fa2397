package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ringback/book"
	"ringback/callback"
)

// compare says whether lists and timelines show what was regenerated. What they
// lack may still be on its way: it is waited for a little. What they show
// beyond it may have happened since the history was read: it is read again.
func (a *Auditor) compare(ctx context.Context, r *replayed) (Verdict, error) {
	v := Verdict{OK: true, Events: r.history.Len()}
	again := false
	for tried := time.Duration(0); ; tried += compareEvery {
		view, shown, err := a.shown(ctx, r.history.CallbackID)
		if err != nil {
			return Verdict{}, err
		}
		have, want := int64(len(shown)), r.version()
		if have > want && !again {
			again = true
			h, err := a.History(ctx, r.history.CallbackID)
			if err != nil {
				return Verdict{}, err
			}
			if r = a.replay(h); r.err != nil {
				return r.verdict(), nil
			}
			v.Events, want = h.Len(), r.version()
		}
		detail := r.differsFrom(view, shown)
		if detail == "" && have < want {
			detail = fmt.Sprintf("lists show %d of %s", have, count(int(want), "timeline entry"))
			if tried < a.patience {
				if err := pause(ctx, compareEvery); err != nil {
					return Verdict{}, err
				}
				continue
			}
		}
		v.OutcomeMatches = detail == ""
		if detail == "" {
			detail = "lists and timeline show the same"
		}
		v.Detail = r.found() + "; " + detail
		return v, nil
	}
}

const compareEvery = 100 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// shown reads what is shown of a callback: nothing, if it is not there.
func (a *Auditor) shown(ctx context.Context, id string) (*callback.Callback, []book.Entry, error) {
	for {
		view, err := a.book.Callback(ctx, id)
		if errors.Is(err, book.ErrNotFound) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		shown, err := a.book.Timeline(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if view.State == nil && len(shown) == 0 {
			return nil, nil, nil
		}
		if view.State != nil && int64(len(shown)) <= view.State.Version {
			return view.State, shown, nil
		}
		// It moved on between the two.
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
}

func (r *replayed) version() int64 {
	if r.state == nil {
		return 0
	}
	return r.state.Version
}

// differsFrom names the first difference in what both have.
func (r *replayed) differsFrom(state *callback.Callback, shown []book.Entry) string {
	from := r.version() - int64(len(r.events)) // what earlier runs hold that are not at hand
	for i, e := range shown {
		if e.Seq != int64(i)+1 {
			return fmt.Sprintf("the timeline has a gap before entry %d", e.Seq)
		}
		if e.Seq > r.version() {
			return fmt.Sprintf("the timeline shows entry %d (%s), which the history does not have", e.Seq, e.Fact.Type())
		}
		if e.Seq <= from {
			continue
		}
		entry, err := json.Marshal(e.Event)
		if err != nil {
			return fmt.Sprintf("entry %d of the timeline cannot be read", e.Seq)
		}
		if where, differ := difference(r.entries[e.Seq-from-1], entry); differ {
			return fmt.Sprintf("the timeline differs from the history at entry %d (%s): %s", e.Seq, e.Fact.Type(), where)
		}
	}
	return r.stateDiffersFrom(state, shown)
}

// stateDiffersFrom compares the state that lists show with what the same number
// of entries fold to.
func (r *replayed) stateDiffersFrom(state *callback.Callback, shown []book.Entry) string {
	switch {
	case state == nil:
		return ""
	case state.Version != int64(len(shown)):
		return fmt.Sprintf("lists show version %d, the timeline has %s", state.Version, count(len(shown), "entry"))
	}
	folded := r.state
	if state.Version != r.version() {
		events := make([]callback.Event, len(shown))
		for i, e := range shown {
			events[i] = e.Event
		}
		var err error
		if folded, err = callback.Fold(nil, events); err != nil {
			return "the timeline does not fold"
		}
	}
	want, err := json.Marshal(folded)
	if err != nil {
		return err.Error()
	}
	have, err := json.Marshal(state)
	if err != nil {
		return err.Error()
	}
	if where, differ := difference(want, have); differ {
		return "lists show another state than the history leads to: " + where
	}
	return ""
}
