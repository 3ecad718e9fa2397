package browser_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/config"
	"ringback/desk/browser"
	"ringback/e2e/harness/floor"
)

// labels are what is wrong with the words of the ladders that are shown, and how
// many words there are.
const labels = `(() => {
  const wrong = [];
  let count = 0;
  for (const figure of document.querySelectorAll(".ladder-drawing")) {
    const shown = [...figure.children].filter((e) => e.tagName === "svg" && e.getClientRects().length);
    if (shown.length !== 1) wrong.push(shown.length + " drawings of one ladder");
    for (const svg of shown) {
      const box = svg.getBoundingClientRect();
      const all = [...svg.querySelectorAll("text")].map((e) => ({text: e.textContent, size: parseFloat(getComputedStyle(e).fontSize), box: e.getBoundingClientRect()}));
      count += all.length;
      all.forEach((a, i) => {
        if (a.size < 12) wrong.push(a.text + " is too small");
        if (a.box.left < box.left - 1 || a.box.right > box.right + 1 || a.box.top < box.top - 1 || a.box.bottom > box.bottom + 1) wrong.push(a.text + " is cut off");
        for (const b of all.slice(i + 1)) {
          if (a.box.left < b.box.right && b.box.left < a.box.right && a.box.top < b.box.bottom && b.box.top < a.box.bottom) wrong.push(a.text + " and " + b.text + " overlap");
        }
        for (const tier of svg.querySelectorAll("rect")) {
          const r = tier.getBoundingClientRect();
          if (a.box.left < r.right && r.left < a.box.right && a.box.top < r.bottom && r.top < a.box.bottom) wrong.push(a.text + " is over a tier");
        }
      });
    }
  }
  return {wrong, count};
})()`

// The words of a ladder never overlap, however many tiers there are, and however
// short or long they are.
func TestTheWordsOfALadderNeverOverlap(t *testing.T) {
	step := func(tier string, rank int, tat time.Duration) callback.Step {
		return callback.Step{Tier: tier, Rank: rank, Queue: "Managers - RM", TAT: callback.Duration(tat), WarnAt: []callback.Warning{"50%", "90%"}, Assign: callback.AssignPull}
	}
	c := config.Builtin()
	c.Policies["steep"] = &callback.Policy{
		Name: "steep", Title: "Steep", HoldMax: callback.Duration(time.Hour), Overdue: &callback.ChaseRule{Every: callback.Duration(time.Minute), Max: callback.Duration(2 * time.Minute)},
		Ladder: []callback.Step{
			step("agent", 1, 10*time.Minute), step("supervisor", 2, 5*time.Minute), step("manager", 3, 150*time.Minute), step("executive", 4, 51*time.Hour), step("executive", 4, time.Minute),
		},
		Reasons: []callback.Reason{{Code: "done", Title: "Done"}},
	}
	h := open(t, func(o *floor.Options) { o.Config = c })
	w := h.window("mgr1", "/policies", browser.Look{})
	for _, width := range []int64{1440, 1000, 985, 390, 360} {
		w.Look(browser.Look{Width: width, Height: 844})
		var found struct {
			Wrong []string
			Count int
		}
		w.Eval(labels, &found)
		require.Empty(t, found.Wrong, "at %d", width)
		tiers := 0
		for _, p := range c.Policies {
			tiers += len(p.Ladder) + 3
		}
		require.Equal(t, tiers, found.Count, "every tier and three reminders have their words")
	}
}

// chartWords are what is wrong with the words of the charts that are shown.
const chartWords = `(() => {
  const wrong = [];
  for (const chart of document.querySelectorAll(".chart")) {
    const box = chart.getBoundingClientRect();
    const all = [...chart.querySelectorAll("text")].filter((e) => e.getClientRects().length && e.getBoundingClientRect().width).map((e) => ({text: e.textContent, size: parseFloat(getComputedStyle(e).fontSize), box: e.getBoundingClientRect()}));
    if (all.length < 4) wrong.push("too few words: " + all.map((a) => a.text));
    all.forEach((a, i) => {
      if (a.size < 12 || a.box.height < 12) wrong.push(a.text + " is too small");
      if (a.box.left < box.left - 4 || a.box.right > box.right + 4) wrong.push(a.text + " is outside");
      for (const b of all.slice(i + 1)) if (a.box.left < b.box.right && b.box.left < a.box.right && a.box.top < b.box.bottom && b.box.top < a.box.bottom) wrong.push(a.text + " and " + b.text + " overlap");
    });
  }
  return wrong;
})()`

// The words of charts can be read, and do not overlap, however many bars there are.
func TestTheWordsOfChartsCanBeRead(t *testing.T) {
	h := open(t)
	for range 12 {
		id := h.promise()
		h.give("sup1", id, "claim", nil)
		h.give("sup1", id, "start", nil)
		h.give("sup1", id, "attempts", object{"disposition": "reached"})
		h.give("sup1", id, "complete", object{"resolution_reason": "resolved", "call_summary": "All is well"})
		require.NoError(t, h.Move(t.Context(), 24*time.Hour))
	}
	w := h.window("mgr1", "/reports?days=30", browser.Look{})
	for _, width := range []int64{1440, 1000, 390} {
		w.Look(browser.Look{Width: width, Height: 844})
		var wrong []string
		w.Eval(chartWords, &wrong)
		require.Empty(t, wrong, "at %d", width)
	}
}
