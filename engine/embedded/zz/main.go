package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ringback/engine"
	"ringback/engine/embedded"
)

func env(k string, d int) int {
	if v := os.Getenv(k); v != "" {
		n, _ := strconv.Atoi(v)
		return n
	}
	return d
}

var late sync.Map
var fired atomic.Int64

func promise(ctx workflow.Context, tat time.Duration, due time.Time) (int, error) {
	n, done := 0, false
	workflow.SetUpdateHandler(ctx, "claim", func(workflow.Context) (int, error) { n++; return n, nil })
	workflow.SetUpdateHandler(ctx, "finish", func(workflow.Context) (int, error) { n++; done = true; return n, nil })
	if os.Getenv("X_NOSA") == "" {
		workflow.UpsertTypedSearchAttributes(ctx, temporal.NewSearchAttributeKeyKeyword(engine.AttributeStatus).ValueSet("queued"),
			temporal.NewSearchAttributeKeyTime(engine.AttributeDueAt).ValueSet(workflow.Now(ctx).Add(tat)))
	}
	if tat == 0 {
		tat = due.Sub(workflow.Now(ctx))
	}
	ctx2, cancel := workflow.WithCancel(ctx)
	defer cancel()
	tm := workflow.NewTimer(ctx2, tat)
	workflow.GetSignalChannel(ctx, "called")
	workflow.Await(ctx, func() bool { return done || tm.IsReady() })
	if tm.IsReady() && !done && !due.IsZero() {
		if !workflow.IsReplaying(ctx) {
			late.Store(workflow.GetInfo(ctx).WorkflowExecution.ID, time.Since(due))
			fired.Add(1)
		}
	}
	return n, nil
}

func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
func rss() string {
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, "VmRSS") || strings.HasPrefix(l, "RssAnon") {
			return strings.Fields(l)[1]
		}
	}
	return ""
}
func rssAnon() string {
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, "RssAnon") {
			return strings.Fields(l)[1]
		}
	}
	return ""
}
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
func pct(d []time.Duration, p float64) time.Duration {
	slices.Sort(d)
	if len(d) == 0 {
		return 0
	}
	return d[int(float64(len(d)-1)*p)].Round(10 * time.Microsecond)
}

func main() {
	ctx := context.Background()
	dir := must(os.MkdirTemp("", "bench"))
	defer os.RemoveAll(dir)
	var dyn map[string]any
	if v := os.Getenv("X_DYN"); v != "" {
		if err := json.Unmarshal([]byte(v), &dyn); err != nil {
			panic(err)
		}
	}
	t0 := time.Now()
	s, err := embedded.Start(ctx, embedded.Config{DataDir: dir, UIPort: -1, Dynamic: dyn, PowerSafe: os.Getenv("X_FULL") != ""})
	if err != nil {
		panic(err)
	}
	fmt.Printf("ready %v rss %s\n", time.Since(t0).Round(time.Millisecond), rss())
	if env("X_IDLE", 0) > 0 {
		time.Sleep(3 * time.Second)
		c0 := cpu()
		time.Sleep(time.Duration(env("X_IDLE", 0)) * time.Second)
		fmt.Printf("idle cpu %v over %ds, rss %s anon %s kB\n", cpu()-c0, env("X_IDLE", 0), rss(), rssAnon())
	}
	c := must(engine.Dial(ctx, engine.Config{Address: s.Address(), Logger: slog.New(slog.DiscardHandler)}))
	w := worker.New(c, "ringback", worker.Options{
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{InitialNumberOfPollers: 4, MinimumNumberOfPollers: 2, MaximumNumberOfPollers: 20})})
	w.RegisterWorkflowWithOptions(promise, workflow.RegisterOptions{Name: "promise"})
	if err := w.Start(); err != nil {
		panic(err)
	}
	upd := func(id, name string) time.Duration {
		t := time.Now()
		h, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: id, UpdateName: name, WaitForStage: client.WorkflowUpdateStageCompleted})
		if err != nil {
			panic(err)
		}
		if err := h.Get(ctx, nil); err != nil {
			panic(err)
		}
		return time.Since(t)
	}
	var n atomic.Int64
	start := func(tat time.Duration, due time.Time) string {
		id := fmt.Sprintf("callback/%d", n.Add(1))
		if _, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: "ringback"}, "promise", tat, due); err != nil {
			panic(err)
		}
		return id
	}
	// unloaded
	var creates, claims []time.Duration
	for i := range 60 {
		t := time.Now()
		id := start(time.Hour, time.Time{})
		cr := time.Since(t)
		time.Sleep(30 * time.Millisecond)
		cl := upd(id, "claim")
		time.Sleep(20 * time.Millisecond)
		upd(id, "finish")
		if i > 10 {
			creates, claims = append(creates, cr), append(claims, cl)
		}
	}
	fmt.Printf("unloaded create p50 %v p95 %v; claim p50 %v p95 %v p99 %v\n", pct(creates, .5), pct(creates, .95), pct(claims, .5), pct(claims, .95), pct(claims, .99))
	// load
	for _, clients := range []int{8, 32} {
		dur := time.Duration(env("X_SECS", 12)) * time.Second
		var life []time.Duration
		var cl []time.Duration
		var mu sync.Mutex
		var wg sync.WaitGroup
		end := time.Now().Add(dur)
		c0, b := cpu(), time.Now()
		for range clients {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for time.Now().Before(end) {
					t := time.Now()
					id := start(time.Hour, time.Time{})
					x := upd(id, "claim")
					c.SignalWorkflow(ctx, id, "", "called", nil)
					upd(id, "finish")
					mu.Lock()
					life, cl = append(life, time.Since(t)), append(cl, x)
					mu.Unlock()
				}
			}()
		}
		wg.Wait()
		el := time.Since(b)
		fmt.Printf("load %d: %.1f wf/s, cpu %.1f ms/wf, claim p50 %v p95 %v p99 %v\n", clients, float64(len(life))/el.Seconds(),
			float64((cpu()-c0).Milliseconds())/float64(len(life)), pct(cl, .5), pct(cl, .95), pct(cl, .99))
	}
	// timers at 30/s after being opened
	num := env("X_TIMERS", 300)
	rate := env("X_RATE", 30)
	if num > 0 {
		base := time.Now().Add(time.Duration(num/rate/2+9) * time.Second)
		var wg sync.WaitGroup
		sem := make(chan bool, 8)
		for i := range num {
			wg.Add(1)
			sem <- true
			go func() {
				defer wg.Done()
				defer func() { <-sem }()
				start(0, base.Add(time.Duration(i)*time.Second/time.Duration(rate)))
			}()
		}
		wg.Wait()
		fmt.Printf("  opened all %v before first due\n", time.Until(base).Round(time.Millisecond))
		for fired.Load() < int64(num) && time.Since(base) < 90*time.Second {
			time.Sleep(100 * time.Millisecond)
		}
		var l []time.Duration
		late.Range(func(_, v any) bool { l = append(l, v.(time.Duration)); return true })
		fmt.Printf("timers %d/s: fired %d lateness min %v p50 %v p95 %v p99 %v max %v\n", rate, len(l), pct(l, 0), pct(l, .5), pct(l, .95), pct(l, .99), pct(l, 1))
	}
	fmt.Printf("rss end %s\n", rss())
	w.Stop()
	c.Close()
	t1 := time.Now()
	s.Stop()
	fi, _ := os.Stat(dir + "/temporal.db")
	fmt.Printf("stop %v, file %d kB\n", time.Since(t1).Round(time.Millisecond), fi.Size()/1024)
}
