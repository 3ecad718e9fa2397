package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// report is everything that was measured.
type report struct {
	Plan          plan
	When          time.Time
	Lifecycles    []lifecycleResult
	HistoryEvents int
	HeldEvents    int     // in heldFor
	MemoryPerOpen float64 // bytes of heap
	DiskPerOpen   float64 // bytes
	Punctual      latenessResult
	Stampede      latenessResult
	ReplayRate    float64 // histories a second
	RebuildRate   float64 // callbacks a second
	Rebuilt       int
	RebuildDiff   int
}

// lifecycleResult gathers the rounds of one subject at one number of clients.
type lifecycleResult struct {
	Subject string
	Clients int
	rates   []float64
	steps   map[string][]time.Duration
	// PerSecond is the median of the rounds; Steps sums up all of them.
	PerSecond float64
	Steps     map[string]summary
}

func (l *lifecycleResult) add(perSecond float64, steps map[string][]time.Duration) {
	l.rates = append(l.rates, perSecond)
	if l.steps == nil {
		l.steps = map[string][]time.Duration{}
	}
	for name, took := range steps {
		l.steps[name] = append(l.steps[name], took...)
	}
}

func (l lifecycleResult) medians() lifecycleResult {
	slices.Sort(l.rates)
	l.PerSecond = l.rates[len(l.rates)/2]
	l.Steps = map[string]summary{}
	for name, took := range l.steps {
		l.Steps[name] = summarize(took)
	}
	return l
}

// summary is a distribution in three numbers.
type summary struct{ P50, P95, P99, Max time.Duration }

func summarize(all []time.Duration) summary {
	if len(all) == 0 {
		return summary{}
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[min(int(q*float64(len(all))), len(all)-1)] }
	return summary{at(.50), at(.95), at(.99), all[len(all)-1]}
}

// String gives milliseconds.
func (s summary) String() string {
	return fmt.Sprintf("%s / %s / %s", milliseconds(s.P50), milliseconds(s.P95), milliseconds(s.P99))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

// latenessResult is how late the clock acted.
type latenessResult struct {
	Rate, N    int
	Lateness   summary
	OutOfOrder float64
}

func (r *report) find(subject string, clients int) lifecycleResult {
	for _, l := range r.Lifecycles {
		if strings.HasPrefix(l.Subject, subject) && l.Clients == clients {
			return l
		}
	}
	return lifecycleResult{Steps: map[string]summary{}}
}

// say prints what one part measured.
func (r *report) say(out io.Writer, part string) error {
	var err error
	switch part {
	case "lifecycles":
		for _, l := range r.Lifecycles {
			_, err = fmt.Fprintf(out, "%s, %d clients: %.1f lives/s; ms p50 / p95 / p99: create %s, claim %s, complete %s\n",
				l.Subject, l.Clients, l.PerSecond, l.Steps["create"], l.Steps["claim"], l.Steps["complete"])
		}
	case "open":
		_, err = fmt.Fprintf(out, "%.0f kB of heap, %.1f kB of disk for an open callback\n", r.MemoryPerOpen/1000, r.DiskPerOpen/1000)
	case "punctuality":
		_, err = fmt.Fprintf(out, "%d at %d/s: late by %s ms, %s at most\n", r.Punctual.N, r.Punctual.Rate, r.Punctual.Lateness, milliseconds(r.Punctual.Lateness.Max))
	case "stampede":
		_, err = fmt.Fprintf(out, "%d at once: late by %s ms, %s at most\n", r.Stampede.N, r.Stampede.Lateness, milliseconds(r.Stampede.Lateness.Max))
	case "proofs":
		_, err = fmt.Fprintf(out, "%.0f replays/s, %.0f rebuilt/s\n", r.ReplayRate, r.RebuildRate)
	}
	return err
}

func (r *report) write(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "performance.md"), []byte(r.markdown()), 0o644); err != nil {
		return err
	}
	return r.plot(filepath.Join(dir, "performance.svg"))
}

func (r *report) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Performance\n")
	p("Measured by `go run ./bench` on %s: %d cores, %s, everything (engine, databases, workers, API and clients) in one process on",
		r.When.Format("2006-01-02"), runtime.NumCPU(), runtime.Version())
	p("one machine, SQLite files in WAL. Three subjects on the same server, rounds interleaved, medians of %d rounds:\n", r.Plan.Rounds)
	p("- **(a) textbook**: a bare workflow of the same shape with the SDK's defaults; one row written by an activity after each of five updates.")
	p("- **(b) best bare**: the same with local activities and autoscaling pollers.")
	p("- **(c) desk**: Ringback through HTTP, with rules, customers, timeline, full text, feed and idempotency.\n")
	p("![throughput](performance.svg)\n")
	p("## Whole lifecycles: create, claim, start, reach, complete\n")
	p("| clients | (a) lives/s | (b) lives/s | (c) lives/s | (c)/(a) | (c)/(b) |")
	p("|---|---|---|---|---|---|")
	for _, n := range r.Plan.Clients {
		x, y, z := r.find("(a)", n).PerSecond, r.find("(b)", n).PerSecond, r.find("(c)", n).PerSecond
		p("| %d | %.1f | %.1f | %.1f | %.2f | %.2f |", n, x, y, z, z/x, z/y)
	}
	p("\nLatency in ms, p50 / p95 / p99:\n")
	p("| clients | step | (a) | (b) | (c) |")
	p("|---|---|---|---|---|")
	for _, n := range r.Plan.Clients {
		for _, step := range []string{"create", "claim", "complete"} {
			p("| %d | %s | %s | %s | %s |", n, step, r.find("(a)", n).Steps[step], r.find("(b)", n).Steps[step], r.find("(c)", n).Steps[step])
		}
	}
	p("\n## The clock\n")
	p("| promises | due | lateness p50 / p95 / p99 ms | latest ms |")
	p("|---|---|---|---|")
	p("| %d | %d a second | %s | %s |", r.Punctual.N, r.Punctual.Rate, r.Punctual.Lateness, milliseconds(r.Punctual.Lateness.Max))
	p("| %d | at one instant | %s | %s |", r.Stampede.N, r.Stampede.Lateness, milliseconds(r.Stampede.Lateness.Max))
	p("\nNone was lost and none escalated early (the run fails otherwise). In the stampede %.2f %% of neighbours in the order of firing had", r.Stampede.OutOfOrder*100)
	p("promises the other way round by more than 100 ms.\n")
	p("## What it takes\n")
	p("| | |")
	p("|---|---|")
	p("| history events of create-claim-start-reach-complete | %d |", r.HistoryEvents)
	p("| history events in %s of being held | %d |", heldFor, r.HeldEvents)
	p("| memory of an open callback (heap, %d open, workflow cached) | %.0f kB |", r.Plan.Open, r.MemoryPerOpen/1000)
	p("| disk of an open callback (engine and read model) | %.1f kB |", r.DiskPerOpen/1000)
	p("| replays | %.0f histories/s |", r.ReplayRate)
	p("| rebuild of the read model | %.0f callbacks/s (%d rebuilt, %d differences) |", r.RebuildRate, r.Rebuilt, r.RebuildDiff)
	p("\nA life's events: the start; for each of five commands three of its workflow task and two of its update; a timer that is set, and")
	p("moved three times (to `start_within` at the claim, back to the warning at the start, to `close_within` at the contact), each a")
	p("cancellation and a new one; search attributes at claim, start and completion (those of the promise come with the start); the end. No activity: the caller")
	p("writes what it waits for into the read model. Fewer would leave a deadline unwatched or visibility behind.")
	p("\nA timer's time begins with the end of the workflow task that sets it, so lateness includes how long that task took.")
	p("\n## Against the aims\n")
	p("| aim | measured | |")
	p("|---|---|---|")
	for _, aim := range r.aims() {
		p("| %s | %s | %s |", aim.what, aim.measured, map[bool]string{true: "met", false: "**not met**"}[aim.met])
	}
	return b.String()
}

type aim struct {
	what, measured string
	met            bool
}

func (r *report) aims() []aim {
	var aims []aim
	for _, n := range r.Plan.Clients {
		x, y, z := r.find("(a)", n).PerSecond, r.find("(b)", n).PerSecond, r.find("(c)", n).PerSecond
		aims = append(aims,
			aim{fmt.Sprintf("throughput at %d clients level with (a) or better", n), fmt.Sprintf("%.2f of (a)", z/x), z >= x},
			aim{fmt.Sprintf("throughput at %d clients 0.85 of (b)", n), fmt.Sprintf("%.2f of (b)", z/y), z >= 0.85*y})
	}
	claim := float64(r.find("(c)", 1).Steps["claim"].P50) / float64(r.find("(b)", 1).Steps["claim"].P50)
	return append(aims,
		aim{"unloaded claim within 1.3x of (b)", fmt.Sprintf("%.2fx", claim), claim <= 1.3},
		aim{"lateness p99 under 200 ms at a due rate the engine holds", milliseconds(r.Punctual.Lateness.P99) + " ms", r.Punctual.Lateness.P99 < 200*time.Millisecond},
		aim{"10,000 due at one instant escalated in under 100 s", fmt.Sprintf("%d in %.1f s", r.Stampede.N, r.Stampede.Lateness.Max.Seconds()), r.Stampede.N >= 10_000 && r.Stampede.Lateness.Max < 100*time.Second})
}

// plot draws the throughput of the three at each number of clients.
func (r *report) plot(file string) error {
	chart := plot.New()
	chart.Title.Text = "Whole lifecycles a second"
	chart.Y.Label.Text = "lives/s"
	chart.Y.Min = 0
	chart.Legend.Top, chart.Legend.Left = true, true
	const width = 18
	names := make([]string, len(r.Plan.Clients))
	for i, subject := range []string{"(a) textbook", "(b) best bare", "(c) desk"} {
		values := make(plotter.Values, len(r.Plan.Clients))
		for k, n := range r.Plan.Clients {
			values[k] = r.find(subject, n).PerSecond
			names[k] = fmt.Sprintf("%d clients", n)
		}
		bars, err := plotter.NewBarChart(values, vg.Points(width))
		if err != nil {
			return err
		}
		bars.Color, bars.Offset = plotutil.Color(i), vg.Points(float64(i-1)*width)
		bars.LineStyle.Width = 0
		chart.Add(bars)
		chart.Legend.Add(subject, bars)
	}
	chart.NominalX(names...)
	return chart.Save(6*vg.Inch, 3.5*vg.Inch, file)
}
