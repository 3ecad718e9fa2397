package main

import (
	"context"
	"fmt"
	"time"

	"ringback/audit"
	"ringback/book"
	"ringback/callback"
)

// proofs measures what an audit takes: replaying histories that are at hand,
// and deriving the read model of everything that happened in this run anew.
func (b *bed) proofs(ctx context.Context, p plan, r *report) error {
	auditor := b.desk.Auditor()
	page, err := b.desk.Store.List(ctx, book.Filter{Status: []callback.Status{callback.StatusCompleted}}, book.SortRequestedAt, 200, "")
	if err != nil {
		return err
	}
	histories := make([]*audit.History, len(page.Items))
	for i, v := range page.Items {
		if histories[i], err = auditor.History(ctx, v.State.ID); err != nil {
			return err
		}
	}
	const rounds = 5
	began := time.Now()
	for range rounds {
		for _, h := range histories {
			if v := auditor.Replay(h); !v.Held() {
				return fmt.Errorf("a history does not replay: %s", v.Detail)
			}
		}
	}
	r.ReplayRate = float64(rounds*len(histories)) / time.Since(began).Seconds()
	progress("%.0f replays/s", r.ReplayRate)

	rebuilt, err := auditor.Rebuild(ctx, nil)
	if err != nil {
		return err
	}
	r.RebuildRate, r.Rebuilt = rebuilt.Rate(), rebuilt.Callbacks
	r.RebuildDiff = len(rebuilt.Changed) + len(rebuilt.Missing) + len(rebuilt.Extra)
	progress("%d rebuilt at %.0f/s, %d differences", r.Rebuilt, r.RebuildRate, r.RebuildDiff)
	return nil
}
