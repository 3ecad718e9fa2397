package browser_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/desk/browser"
)

// visits are every page, each as somebody for whom it shows most. {name} is a
// callback of house.busy; opened is a dialog, or what a click brings.
var visits = []struct{ as, path, opened string }{
	{"sup1", "/", ""},
	{"assoc1", "/", ""},
	{"aud1", "/", ""},
	{"mgr1", "/board", ""},
	{"mgr1", "/board?lanes=tier", ""},
	{"sup1", "/board?lanes=queue", "[data-menu]"},
	{"mgr1", "/activities", ""},
	{"mgr1", "/activities?status=queued&sort=-requested_at", "[data-save-view]"},
	{"assoc1", "/new", ""},
	{"assoc1", "/new?policy=purchasing-escalation", ""},
	{"mgr1", "/tags", ""},
	{"mgr1", "/tags", "[data-chase]"},
	{"mgr1", "/wallboard", ""},
	{"mgr1", "/wallboard?bare=1", ""},
	{"mgr1", "/reports?days=7", ""},
	{"mgr1", "/reports/rows?result=missed", ""},
	{"mgr1", "/policies", ""},
	{"mgr1", "/systems", ""},
	{"mgr1", "/outages", ""},
	{"aud1", "/audit", ""},
	{"aud1", "/audit/{reached}", ""},
	{"sup1", "/search", ""},
	{"sup1", "/search?q=asha", ""},
	{"sup1", "/help", ""},
	{"sup1", "/help", "[popovertarget=account]"},
	{"sup1", "/callbacks/{queued}", ""},
	{"sup1", "/callbacks/{held}", ""},
	{"sup1", "/callbacks/{reached}", ""},
	{"sup1", "/callbacks/{reached}", "[data-dialog=complete]"},
	{"sup1", "/callbacks/{reached}", "[data-dialog=escalate]"},
	{"sup1", "/callbacks/{claimed}", "[data-dialog=hold]"},
	{"sup1", "/callbacks/{claimed}", "[data-dialog=reschedule]"},
	{"mgr1", "/callbacks/{late}", ""},
	{"mgr1", "/callbacks/{claimed}", "[data-dialog=reassign]"},
	{"mgr1", "/callbacks/{completed}", ""},
	{"mgr1", "/callbacks/{queued}/customer", ""},
	{"assoc1", "/callbacks/{queued}/promised", ""},
	{"sup1", "/nowhere", ""},
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
	for _, width := range []int64{1440, 390} {
		for _, as := range []string{"sup1", "assoc1", "mgr1", "aud1"} {
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
						w.Is("dialog[open], :popover-open")
					}
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
