package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// timings are how long each step took, by its name.
type timings struct {
	mu    sync.Mutex
	steps map[string][]time.Duration
}

func (t *timings) timed(step string, do func() error) error {
	began := time.Now()
	err := do()
	took := time.Since(began)
	t.mu.Lock()
	t.steps[step] = append(t.steps[step], took)
	t.mu.Unlock()
	return err
}

// lifecycles measures whole lives at each number of clients; the subjects take
// turns in every round, so that what the machine does meanwhile hits all alike.
func (b *bed) lifecycles(ctx context.Context, p plan, r *report) error {
	for _, s := range b.subjects { // everything warm before anything counts
		if _, _, err := b.round(ctx, s, 4, 16); err != nil {
			return err
		}
	}
	for _, clients := range p.Clients {
		results := make([]lifecycleResult, len(b.subjects))
		for round := range p.Rounds {
			for i, s := range b.subjects {
				lives := p.Lifecycles
				if clients == 1 {
					lives = max(p.Lifecycles/4, 8)
				}
				perSecond, steps, err := b.round(ctx, s, clients, lives)
				if err != nil {
					return err
				}
				progress("%d clients, round %d of %d: %s %.1f lives/s", clients, round+1, p.Rounds, s.Name, perSecond)
				results[i].add(perSecond, steps)
			}
		}
		for i, s := range b.subjects {
			results[i].Subject, results[i].Clients = s.Name, clients
			r.Lifecycles = append(r.Lifecycles, results[i].medians())
		}
	}
	return nil
}

// round plays some lives with that many clients at once.
func (b *bed) round(ctx context.Context, s subject, clients, lives int) (perSecond float64, steps map[string][]time.Duration, err error) {
	t := &timings{steps: map[string][]time.Duration{}}
	var left atomic.Int64
	left.Store(int64(lives))
	began := time.Now()
	var all errgroup.Group
	for range clients {
		all.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := s.runs.lifecycle(ctx, uuid.NewString(), t.timed); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = all.Wait()
	return float64(lives) / time.Since(began).Seconds(), t.steps, err
}

// openCallbacks measures what an open callback takes, and a whole life's history.
func (b *bed) openCallbacks(ctx context.Context, p plan, r *report) error {
	memory, disk, err := b.footprint(ctx)
	if err != nil {
		return err
	}
	progress("opening %d callbacks", p.Open)
	if err := b.promise(ctx, p.Open, 32, func(int) *callback.Policy { return b.policy }); err != nil {
		return err
	}
	memoryAfter, diskAfter, err := b.footprint(ctx)
	if err != nil {
		return err
	}
	r.MemoryPerOpen = float64(memoryAfter-memory) / float64(p.Open)
	r.DiskPerOpen = float64(diskAfter-disk) / float64(p.Open)

	page, err := b.desk.Store.List(ctx, book.Filter{Status: []callback.Status{callback.StatusCompleted}}, book.SortRequestedAt, 1, "")
	if err != nil || len(page.Items) == 0 {
		return fmt.Errorf("no completed callback to look at: %w", err)
	}
	history, err := b.desk.Auditor().History(ctx, page.Items[0].State.ID)
	if err != nil {
		return err
	}
	r.HistoryEvents = history.Len()
	r.HeldEvents, err = b.held(ctx)
	return err
}

// heldFor is how long a held callback is watched.
const heldFor = 5 * time.Second

// held counts the history events that a callback costs while its clock stands.
func (b *bed) held(ctx context.Context) (int, error) {
	s := &deskSubject{base: b.base}
	var c struct {
		ID string `json:"id"`
	}
	path := b.base + "/v1/callbacks"
	err := s.post(ctx, associate, path, `{"policy": "`+deskPolicy+`", "customer": {"name": "Ada Example", "phone": "+442079460123"}}`, &c)
	if err == nil {
		err = s.post(ctx, supervisor, path+"/"+c.ID+"/claim", "", &c)
	}
	if err == nil {
		until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		err = s.post(ctx, supervisor, path+"/"+c.ID+"/hold", `{"reason": "parts are on their way", "until": "`+until+`"}`, &c)
	}
	if err != nil {
		return 0, err
	}
	before, err := b.desk.Auditor().History(ctx, c.ID)
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(heldFor):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := b.desk.Auditor().History(ctx, c.ID)
	if err != nil {
		return 0, err
	}
	return after.Len() - before.Len(), nil
}

// footprint is this process's memory after a collection, and the size of the
// engine's and the desk's databases.
func (b *bed) footprint(ctx context.Context) (memory, disk int64, err error) {
	if _, err = b.desk.Store.Stats(ctx, book.StatsQuery{}); err != nil {
		return 0, 0, err
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	for _, pattern := range []string{"temporal*.db*", "desk.db*"} {
		files, err := filepath.Glob(filepath.Join(b.dir, pattern))
		if err != nil {
			return 0, 0, err
		}
		for _, f := range files {
			info, err := os.Stat(f)
			if err != nil {
				return 0, 0, err
			}
			disk += info.Size()
		}
	}
	return int64(m.HeapAlloc), disk, nil
}

// promise makes many promises straight in the engine, some at a time.
func (b *bed) promise(ctx context.Context, n, atATime int, policy func(i int) *callback.Policy) error {
	var all errgroup.Group
	all.SetLimit(atATime)
	var made atomic.Int64
	for i := range n {
		all.Go(func() error {
			id := uuid.Must(uuid.NewV7()).String()
			_, err := b.engine.Create(ctx, uuid.NewString(), contract.Input{
				Policy:  policy(i).Pin("", ""),
				Request: callback.Request{ID: id, By: associate, At: callback.At(time.Now())},
			}, "")
			if k := made.Add(1); k%1000 == 0 {
				progress("%d promised", k)
			}
			return err
		})
	}
	return all.Wait()
}

// dueIn is the policy with a promise at its first tier that is kept by nobody,
// without warnings, and due after d.
func (b *bed) dueIn(name string, d time.Duration) *callback.Policy {
	p := *b.policy
	p.Name = name
	p.Ladder = slices.Clone(p.Ladder)
	p.Ladder[0].TAT, p.Ladder[0].WarnAt = callback.Duration(d), nil
	return &p
}

// punctuality measures how late the clock acts at a rate that the engine holds.
func (b *bed) punctuality(ctx context.Context, p plan, r *report) error {
	n := p.Rate * p.DueFor
	first := time.Now().Add(time.Duration(n)*40*time.Millisecond + 3*time.Second) // all are promised by then
	// A timer's time begins with the end of the task that sets it, so it is late by as long as that task took: a crowd
	// of promises made at once would be measured here, not the clock.
	err := b.promise(ctx, n, 4, func(i int) *callback.Policy {
		return b.dueIn("punctual", time.Until(first.Add(time.Duration(i)*time.Second/time.Duration(p.Rate))))
	})
	if err != nil {
		return err
	}
	if time.Now().After(first) {
		return fmt.Errorf("promising %d took longer than thought: nothing was measured", n)
	}
	progress("%d promises fall due at %d a second", n, p.Rate)
	late, _, err := b.lateness(ctx, "punctual", n)
	r.Punctual = latenessResult{Rate: p.Rate, N: n, Lateness: summarize(late)}
	return err
}

// stampede lets many promises fall due at one instant.
func (b *bed) stampede(ctx context.Context, p plan, r *report) error {
	instant := time.Now().Add(time.Duration(p.AtOnce)*20*time.Millisecond + 10*time.Second)
	progress("promising %d for one instant, %s from now", p.AtOnce, time.Until(instant).Round(time.Second))
	err := b.promise(ctx, p.AtOnce, 32, func(int) *callback.Policy { return b.dueIn("stampede", time.Until(instant)) })
	if err != nil {
		return err
	}
	if time.Now().After(instant) {
		return fmt.Errorf("promising %d took longer than thought: nothing was measured", p.AtOnce)
	}
	late, order, err := b.lateness(ctx, "stampede", p.AtOnce)
	r.Stampede = latenessResult{N: p.AtOnce, Lateness: summarize(late), OutOfOrder: order}
	return err
}

// lateness waits until all n callbacks of a policy have escalated, and reads
// from the timelines how late the clock was. OutOfOrder is the share of
// neighbours in the order of firing whose promises were the other way round by
// more than 100 ms.
func (b *bed) lateness(ctx context.Context, policy string, n int) (late []time.Duration, outOfOrder float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	var fired []callback.Escalated
	seen := map[string]bool{}
	look := time.NewTicker(2 * time.Second) // looking costs what is being measured: not too often
	defer look.Stop()
	for len(fired) < n {
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("%d of %d escalated: %w", len(fired), n, ctx.Err())
		}
		cursor := ""
		for {
			page, err := b.desk.Store.List(ctx, book.Filter{Policy: []string{policy}, Tier: []string{"manager"}}, book.SortDueAt, 200, cursor)
			if err != nil {
				return nil, 0, err
			}
			for _, v := range page.Items {
				if seen[v.State.ID] {
					continue
				}
				entries, err := b.desk.Store.Timeline(ctx, v.State.ID)
				if err != nil {
					return nil, 0, err
				}
				for _, e := range entries {
					if x, ok := e.Fact.(*callback.Escalated); ok {
						seen[v.State.ID] = true
						fired = append(fired, *x)
						break
					}
				}
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		progress("%d of %d escalated", len(fired), n)
	}
	slices.SortFunc(fired, func(x, y callback.Escalated) int { return x.FiredAt.Compare(y.FiredAt.Time) })
	swapped := 0
	for i, x := range fired {
		late = append(late, x.FiredAt.Sub(x.DueAt.Time))
		if x.FiredAt.Before(x.DueAt.Time) {
			return nil, 0, fmt.Errorf("a callback escalated before it was due (R27)")
		}
		if i > 0 && fired[i-1].DueAt.Sub(x.DueAt.Time) > 100*time.Millisecond {
			swapped++
		}
	}
	return late, float64(swapped) / float64(max(len(fired)-1, 1)), nil
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}
