package browser_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/desk/browser"
)

// BenchmarkBoard measures the board with 2,000 open callbacks: the time until
// it can be used, and with three windows open, how long a change takes to be
// on screen when there are 20 a second. One round is 10 s of changes.
func BenchmarkBoard(b *testing.B) {
	h := open(b)
	const callbacks, changes = 2000, 200
	ids := make([]string, callbacks)
	for i := range ids {
		ids[i] = h.named(fmt.Sprintf("Customer %04d", i))
	}
	for b.Loop() {
		windows := []*browser.Window{
			h.window("mgr1", "/help", browser.Look{}), h.window("sup1", "/help", browser.Look{}), h.window("sup2", "/help", browser.Look{}),
		}
		var interactive []float64
		for _, w := range windows {
			w.Go("/board")
			w.Is(".bcard")
			var ready struct{ Interactive, Loaded float64 }
			w.Eval(`(() => { const n = performance.getEntriesByType("navigation")[0]; return {Interactive: n.domContentLoadedEventEnd, Loaded: n.loadEventEnd}; })()`, &ready)
			interactive = append(interactive, ready.Interactive)
			// When a card has come to be of a version is kept, by the clock that the test has too; frames that took
			// longer than a blink are counted.
			w.Eval(`(() => {
				globalThis.seen = {}; globalThis.slowest = 0;
				new MutationObserver((all) => { for (const m of all) for (const n of m.addedNodes) {
					if (n.dataset?.id) requestAnimationFrame(() => { seen[n.dataset.id + ":" + n.dataset.version] ??= Date.now(); }); } })
					.observe(document.querySelector("[data-board]"), {childList: true, subtree: true});
				let last = performance.now();
				const frame = (now) => { slowest = Math.max(slowest, now - last); last = now; requestAnimationFrame(frame); };
				requestAnimationFrame(frame);
			})()`, nil)
		}
		type change struct {
			key string
			at  time.Time
		}
		var made []change
		ticker := time.NewTicker(time.Second / 20)
		for i := range changes {
			<-ticker.C
			id := ids[i%50] // those of the first screens, which every window shows
			var c struct{ Version int64 }
			began := time.Now()
			require.NoError(b, h.Do(b.Context(), "mgr1", "POST", "/v1/callbacks/"+id+"/notes", object{"kind": "note", "body": "Still waiting"}, nil))
			h.get("mgr1", "/v1/callbacks/"+id, &c)
			made = append(made, change{fmt.Sprintf("%s:%d", id, c.Version), began})
		}
		ticker.Stop()
		var took []float64
		var slowest float64
		for _, w := range windows {
			last := made[len(made)-1]
			w.Until(fmt.Sprintf("seen[%q]", last.key))
			var seen map[string]float64
			w.Eval("seen", &seen)
			for _, c := range made {
				if at, drawn := seen[c.key]; drawn { // a version that the next one overtook is not drawn
					took = append(took, at-float64(c.at.UnixMicro())/1000)
				}
			}
			var s float64
			w.Eval("slowest", &s)
			slowest = max(slowest, s)
		}
		require.Greater(b, len(took), changes, "most changes are drawn")
		slices.Sort(took)
		slices.Sort(interactive)
		b.ReportMetric(interactive[len(interactive)-1], "ms-interactive")
		b.ReportMetric(took[len(took)/2], "ms-change-p50")
		b.ReportMetric(took[len(took)*95/100], "ms-change-p95")
		b.ReportMetric(slowest, "ms-longest-frame")
		b.Logf("%d changes drawn in three windows", len(took))
	}
}
