package browser_test

import (
	"cmp"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/desk"
	"ringback/desk/browser"
)

// visit is a look at a page, as somebody for whom it shows most. {name} is a
// callback of house.busy.
type visit struct {
	as, path string
	// opened is clicked; shows is what that brings: a dialog or a menu unless it says so.
	opened, shows string
	// posted: the click leads to the same address, by POST.
	posted bool
}

// visits are every page: TestNoPageIsForgotten sees to that.
var visits = []visit{
	{as: "sup1", path: "/"},
	{as: "assoc1", path: "/"},
	{as: "aud1", path: "/"},
	{as: "mgr1", path: "/board"},
	{as: "mgr1", path: "/board?lanes=tier"},
	{as: "sup1", path: "/board?lanes=queue", opened: "[data-menu]"},
	{as: "mgr1", path: "/activities"},
	{as: "mgr1", path: "/activities?status=queued&sort=-requested_at", opened: "[data-save-view]"},
	{as: "assoc1", path: "/new"},
	{as: "assoc1", path: "/new?policy=purchasing-escalation"},
	{as: "mgr1", path: "/tags"},
	{as: "mgr1", path: "/tags", opened: "[data-chase]"},
	{as: "mgr1", path: "/wallboard"},
	{as: "mgr1", path: "/wallboard?bare=1"},
	{as: "mgr1", path: "/reports?days=7"},
	{as: "mgr1", path: "/reports/rows?result=missed"},
	{as: "mgr1", path: "/policies"},
	{as: "mgr1", path: "/policies", opened: "#editor button[type=submit]", shows: "#preview", posted: true},
	{as: "mgr1", path: "/systems"},
	{as: "admin1", path: "/systems"},
	{as: "mgr1", path: "/outages"},
	{as: "sup1", path: "/outages"},
	{as: "aud1", path: "/audit"},
	{as: "aud1", path: "/audit/{reached}"},
	{as: "sup1", path: "/search"},
	{as: "sup1", path: "/search?q=asha"},
	{as: "sup1", path: "/help"},
	{as: "sup1", path: "/help", opened: "[popovertarget=account]"},
	{as: "sup1", path: "/callbacks/{queued}"},
	{as: "sup1", path: "/callbacks/{held}"},
	{as: "sup1", path: "/callbacks/{held}", opened: "[data-dialog=waive]"},
	{as: "sup1", path: "/callbacks/{reached}"},
	{as: "sup1", path: "/callbacks/{reached}", opened: "[data-dialog=complete]"},
	{as: "sup1", path: "/callbacks/{reached}", opened: "[data-dialog=escalate]"},
	{as: "sup1", path: "/callbacks/{claimed}", opened: "[data-dialog=hold]"},
	{as: "sup1", path: "/callbacks/{claimed}", opened: "[data-dialog=reschedule]"},
	{as: "mgr1", path: "/callbacks/{late}"},
	{as: "mgr1", path: "/callbacks/{claimed}", opened: "[data-dialog=reassign]"},
	{as: "mgr1", path: "/callbacks/{completed}"},
	{as: "mgr1", path: "/callbacks/{queued}/customer"},
	{as: "assoc1", path: "/callbacks/{queued}/promised"},
	{as: "admin1", path: "/callbacks/{completed}/customer", opened: "[data-dialog=erase]"},
	{as: "admin1", path: "/people"},
	{as: "admin1", path: "/people", opened: "#new-person summary", shows: "#person-name"},
	{as: "admin1", path: "/people", opened: "[data-revoke]"},
	{as: "admin1", path: "/people?gone=1"},
	{as: "admin1", path: "/people/sup1"},
	{as: "admin1", path: "/people/tech1"},
	{as: "admin1", path: "/help", opened: "[popovertarget=account]"},
	{as: "sup1", path: "/nowhere"},
}

// overflow is by how much a page is wider than its window, and what is to blame.
const overflow = `(() => {
  const d = document.documentElement, over = d.scrollWidth - d.clientWidth;
  return over <= 0 ? "" : over + " px: " + [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > d.clientWidth + 1)
    .slice(0, 5).map((e) => e.outerHTML.slice(0, 120)).join("\n");
})()`

// Every page, at both widths and in both themes: nothing that axe finds,
// nothing wider than the window, no error, nobody else asked (as a window
// always requires), and not much to load.
func TestEveryPageIsAccessibleAndFits(t *testing.T) {
	h := open(t)
	ids := h.busy()
	h.trouble(ids)
	for _, width := range []int64{1440, 390} {
		for _, as := range []string{"sup1", "assoc1", "mgr1", "aud1", "admin1"} {
			t.Run(as+map[int64]string{390: " on a phone", 1440: ""}[width], func(t *testing.T) {
				hh := &house{h.Floor, t, h.base}
				w := hh.window(as, "/help", browser.Look{Width: width, Height: 844})
				w.Expect(`status of 404 .*/nowhere$`)
				for _, v := range visits {
					if v.as != as {
						continue
					}
					path := v.path
					for name, id := range ids {
						path = strings.ReplaceAll(path, "{"+name+"}", id)
					}
					w.Go(path)
					if v.opened != "" {
						w.Click(v.opened)
						w.Is(cmp.Or(v.shows, "dialog[open], :popover-open"))
					}
					var status int
					if w.Eval("performance.getEntriesByType('navigation')[0].responseStatus", &status); status != http.StatusOK && path != "/nowhere" {
						t.Errorf("%s answers %d", v.path, status)
					}
					w.Still()
					var wide string
					w.Eval(overflow, &wide)
					if wide != "" {
						t.Errorf("%s %s at %d: wider than the window by %s", v.path, v.opened, width, wide)
					}
					for _, dark := range []bool{false, true} {
						w.Look(browser.Look{Width: width, Height: 844, Dark: dark})
						for _, found := range w.Axe() {
							t.Errorf("%s %s at %d, dark %v: %s", v.path, v.opened, width, dark, found)
						}
					}
					w.Look(browser.Look{Width: width, Height: 844})
				}
			})
		}
	}
}

// spills are the places out of which something sticks that can be seen, and what it is.
const spills = `(() => {
  const found = [];
  for (const box of document.querySelectorAll(".card, .bcard, .hero, .case, .cell, .said, .table td, .table th, .chip, .crumbs, .menu, .wall-numbers > div, dialog[open]")) {
    const r = box.getBoundingClientRect();
    if (!r.width || getComputedStyle(box).overflowX !== "visible") continue;
    const words = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
    for (let text; (text = words.nextNode());) {
      if (!text.data.trim() || text.parentElement.closest(".hidden")) continue;
      let clipped = false;
      for (let e = text.parentElement; e !== box; e = e.parentElement) clipped ||= getComputedStyle(e).overflowX !== "visible";
      const range = document.createRange();
      range.selectNodeContents(text);
      const q = range.getBoundingClientRect();
      if (!clipped && q.width && q.right > r.right + 1) found.push(Math.round(q.right - r.right) + " px: " + box.className + ": " + text.data.trim().slice(0, 60));
    }
  }
  return found;
})()`

// R15: whatever people are called, and whatever they say, nothing is wider than its
// place: names of one long word, as addresses are.
func TestR15_NothingIsWiderThanItsPlaceWhateverPeopleAreCalled(t *testing.T) {
	h := open(t)
	long := strings.Repeat("Wolfeschlegelsteinhausen", 8) // 192 characters, and no place to break
	promise := func() string {
		return h.promise(func(b object) {
			b["customer"] = object{"name": long, "phone": "+919876500001", "email": strings.Repeat("w", 60) + "@" + strings.Repeat("mail.", 10) + "example.com", "ref": strings.Repeat("R", 100)}
			b["reason"] = "It is about " + strings.Repeat("x", 300)
			b["source"] = object{"system": "freshdesk", "ref": strings.Repeat("4711", 20), "url": "https://acme.freshdesk.com/a/tickets/" + strings.Repeat("4711", 20)}
		})
	}
	open := promise()
	h.give("sup1", open, "claim", nil)
	h.give("sup1", open, "start", nil)
	h.give("sup1", open, "attempts", object{"disposition": "no_answer", "note": strings.Repeat("y", 200)})
	h.named("Wolfe" + strings.Repeat(" Schlegel", 20)) // and one of many words
	for _, width := range []int64{1440, 390} {
		w := h.window("sup1", "/help", browser.Look{Width: width, Height: 844})
		for _, path := range []string{
			"/", "/board", "/board?lanes=queue", "/activities", "/tags", "/wallboard", "/search?q=Wolfeschlegel", "/callbacks/{id}", "/callbacks/{id}/customer", "/callbacks/{id}/promised",
		} {
			w.Go(strings.ReplaceAll(path, "{id}", open))
			w.Still()
			var wide string
			w.Eval(overflow, &wide)
			require.Empty(t, wide, "%s at %d", path, width)
			var spilt []string
			w.Eval(spills, &spilt)
			require.Empty(t, spilt, "%s at %d", path, width)
		}
	}
}

// needsScript is what does nothing without.
const needsScript = "[data-command], [data-claim-next], [data-dialog], [data-chase], [data-menu], [data-select], [data-select-all], [data-save-view], [data-presence], .drag-hint"

// Without script a page can be read, says so where everybody sees it, and offers
// nothing that would do nothing.
func TestWithoutScriptThePagesAreReadAndSaySo(t *testing.T) {
	h := open(t)
	ids := h.busy()
	paths := []string{"/", "/board", "/activities", "/tags", "/callbacks/" + ids["claimed"]}
	const shown = `[...document.querySelectorAll("` + needsScript + `")].filter((e) => e.checkVisibility()).length`
	with, offered := h.window("sup1", "/help", browser.Look{}), 0
	for _, path := range paths {
		with.Go(path)
		var n int
		with.Eval(shown, &n)
		offered += n
		with.Gone("noscript .offline")
	}
	require.Greater(t, offered, 10, "with script there is much to press")
	for _, width := range []int64{1440, 390} {
		w := h.window("sup1", "/help", browser.Look{Width: width, Height: 844})
		w.WithoutScript()
		for _, path := range paths {
			w.Go(path)
			w.Is("noscript .offline")
			var place struct{ Width, Above, Below float64 }
			w.Eval(`(() => {
  const of = (s) => document.querySelector(s).getBoundingClientRect(), said = of("noscript .offline");
  return {Width: said.width, Above: said.top - of(".top").bottom, Below: of("main").top - said.bottom};
})()`, &place)
			require.InDelta(t, width, place.Width, 20, "%s at %d: from side to side", path, width)
			require.GreaterOrEqual(t, place.Above, -1.0, "%s at %d: below the bar", path, width)
			require.GreaterOrEqual(t, place.Below, -1.0, "%s at %d: it hides nothing", path, width)
			require.Contains(t, w.Text("noscript"), "Reading works without script.")
			var n int
			w.Eval(shown, &n)
			require.Zero(t, n, "%s at %d: nothing is offered", path, width)
			var wide string
			w.Eval(overflow, &wide)
			require.Empty(t, wide, "%s at %d", path, width)
		}
	}
}

// A page that no visit looks at is seen by nobody who cannot see.
func TestNoPageIsForgotten(t *testing.T) {
	visited, mux := map[string]bool{}, http.NewServeMux()
	for _, pattern := range desk.Pages() {
		mux.Handle(pattern, http.NotFoundHandler())
	}
	for _, v := range visits {
		method := http.MethodGet
		if v.posted {
			method = http.MethodPost
		}
		r, err := http.NewRequestWithContext(t.Context(), method, strings.NewReplacer("{", "", "}", "").Replace(v.path), nil)
		require.NoError(t, err)
		_, pattern := mux.Handler(r)
		visited[pattern] = true
	}
	require.Greater(t, len(desk.Pages()), 20)
	for _, pattern := range desk.Pages() {
		require.True(t, visited[pattern], "%s is among no visits", pattern)
	}
}

// The first page, with everything that it loads, as it comes over the wire.
func TestTheFirstPageIsUnder150kB(t *testing.T) {
	h := open(t)
	h.busy()
	for _, path := range []string{"/", "/board", "/new", "/reports"} {
		w := browser.Open(t, h.base, browser.Look{})
		w.Go("/sign-in?as=sup1&next=" + path)
		w.Until("document.readyState === 'complete' && performance.getEntriesByType('resource').length > 8")
		require.Less(t, w.Received(), 150_000, path)
		require.Greater(t, w.Received(), 10_000, path)
		t.Logf("%s: %d bytes", path, w.Received())
	}
}

// late is how many elements do not have the colours yet that they come to have,
// right after a change of theme.
const late = `(async () => {
  const all = [...document.querySelectorAll("*")];
  const look = () => all.map((e) => { const s = getComputedStyle(e); return s.color + s.backgroundColor + s.borderColor; });
  let late = 0, changed = 0;
  for (const theme of ["dark", "light"]) {
    const before = look();
    document.documentElement.dataset.theme = theme;
    const now = look();
    for (let i = 0; i < 10; i++) await new Promise(requestAnimationFrame);
    const then = look();
    late += now.filter((c, i) => c !== then[i]).length;
    changed += before.filter((c, i) => c !== then[i]).length;
  }
  return {late, changed};
})()`

// A theme is there at once: nothing of it lags behind.
func TestAThemeIsThereAtOnce(t *testing.T) {
	h := open(t)
	h.busy()
	w := h.window("mgr1", "/board", browser.Look{})
	w.Is(".bcard")
	var found struct{ Late, Changed int }
	w.Eval(late, &found)
	require.Zero(t, found.Late)
	require.Greater(t, found.Changed, 200)
}
