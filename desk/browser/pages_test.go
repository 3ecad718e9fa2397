package browser_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/e2e/harness/chromium"
)

// busy is a floor on which something of everything has happened.
func (h *house) busy() map[string]string {
	h.t.Helper()
	ids := map[string]string{}
	ids["queued"] = h.promise("Asha Rao")
	ids["held"] = h.promise("O'Neil & Sons", func(b object) {
		b["source"] = object{"system": "freshdesk", "ref": "48213", "url": "https://acme.freshdesk.com/a/tickets/48213"}
	})
	h.give("sup1", ids["held"], "claim", nil)
	h.give("sup1", ids["held"], "hold", object{"reason": "The bank opens later", "until": h.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)})
	ids["reached"] = h.promise("María José Fernández")
	h.give("sup1", ids["reached"], "claim", nil)
	h.give("sup1", ids["reached"], "start", nil)
	h.give("sup1", ids["reached"], "attempts", object{"disposition": "no_answer"})
	h.give("sup1", ids["reached"], "attempts", object{"disposition": "reached"})
	h.give("mgr1", ids["reached"], "notes", object{"kind": "note", "body": "Please close it before noon."})
	ids["working"] = h.promise("Wang Xiu")
	h.give("sup1", ids["working"], "claim", nil)
	h.give("sup1", ids["working"], "start", nil)
	ids["escalated"] = h.promise("Zoë Müller")
	h.give("sup2", ids["escalated"], "claim", nil)
	h.give("sup2", ids["escalated"], "escalate", object{"reason": "Asks for a manager"})
	ids["scheduled"] = h.promise("Kwame Mensah", func(b object) { b["scheduled_for"] = h.Now().Add(26 * time.Hour).UTC().Format(time.RFC3339) })
	ids["completed"] = h.promise("Priya Nair")
	h.give("sup2", ids["completed"], "claim", nil)
	h.give("sup2", ids["completed"], "start", nil)
	h.give("sup2", ids["completed"], "attempts", object{"disposition": "reached"})
	h.give("sup2", ids["completed"], "complete", object{"resolution_reason": "resolved", "call_summary": "All is well"})
	ids["purchasing"] = h.promise("Lena Sørensen", func(b object) {
		b["policy"], b["fields"] = "purchasing-escalation", object{"order_number": "ORD-4711", "what_is_needed": "hinges"}
	})
	h.move(40 * time.Minute)
	return ids
}

// everyPage are all pages, as whoever sees most of each.
func everyPage(ids map[string]string) []struct{ as, path string } {
	return []struct{ as, path string }{
		{"sup1", "/"}, {"assoc1", "/"}, {"aud1", "/"}, {"mgr1", "/board"}, {"mgr1", "/board?lanes=tier"}, {"mgr1", "/activities"},
		{"assoc1", "/new"}, {"sup1", "/callbacks/" + ids["reached"]}, {"sup1", "/callbacks/" + ids["working"]}, {"mgr1", "/callbacks/" + ids["escalated"]},
		{"sup1", "/callbacks/" + ids["completed"]}, {"sup1", "/callbacks/" + ids["reached"] + "/customer"}, {"assoc1", "/callbacks/" + ids["queued"] + "/promised"},
		{"mgr1", "/tags"}, {"mgr1", "/wallboard"}, {"mgr1", "/reports"}, {"mgr1", "/reports/rows"}, {"mgr1", "/policies"}, {"sup1", "/search?q=asha"},
		{"aud1", "/audit"}, {"aud1", "/audit/" + ids["completed"]}, {"sup1", "/help"}, {"sup1", "/nowhere"},
	}
}

// violation is what axe found.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// barriers looks for barriers in what the window shows, and says all of them.
func barriers(t testing.TB, w *chromium.Window, source, where string) {
	t.Helper()
	w.Eval(source + "; void 0")
	// Finite animations would be caught half way.
	found := chromium.Value[string](w, `Promise.all(document.getAnimations().map((a) => a.finished.catch(() => {}))).then(() => axe.run(document, {
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"],
	})).then((r) => JSON.stringify(r.violations))`)
	var violations []violation
	require.NoError(t, json.Unmarshal([]byte(found), &violations))
	var said []string
	for _, v := range violations {
		for _, n := range v.Nodes {
			said = append(said, fmt.Sprintf("%s (%s): %s\n\t%.300s\n\t%s", v.ID, v.Impact, v.Help, n.HTML, n.FailureSummary))
		}
	}
	if len(said) > 0 {
		t.Errorf("%s:\n%s", where, strings.Join(said, "\n"))
	}
}

// Every page, in both themes, on a screen and on a phone: no barrier that axe
// knows, and nothing wider than the window.
func TestNoPageHasBarriers(t *testing.T) {
	t.Parallel()
	source := axe(t)
	h := open(t)
	ids := h.busy()
	for _, o := range []chromium.Options{{}, {Dark: true}, {Width: 390, Height: 844}, {Width: 390, Height: 844, Dark: true}} {
		w := h.window("sup1", o)
		for _, p := range everyPage(ids) {
			where := fmt.Sprintf("%s for %s, %+v", p.path, p.as, o)
			w.Cookie("ringback_floor", p.as)
			w.Visit(p.path)
			barriers(t, w, source, where)
			if wider := chromium.Value[int](w, "document.documentElement.scrollWidth - innerWidth"); wider > 0 {
				t.Errorf("%s is %d px wider than the window", where, wider)
			}
		}
	}
}

// Dialogs and menus too.
func TestNoDialogHasBarriers(t *testing.T) {
	t.Parallel()
	source := axe(t)
	h := open(t)
	ids := h.busy()
	for _, dark := range []bool{false, true} {
		w := h.window("sup1", chromium.Options{Dark: dark})
		for _, dialog := range []string{"complete", "escalate", "hold", "reschedule", "release", "cancel", "customer-called"} {
			w.Visit("/callbacks/" + ids["working"] + "#" + dialog)
			if chromium.Value[bool](w, fmt.Sprintf("!document.getElementById(%q)", dialog)) {
				t.Fatalf("there is no dialog %s", dialog)
			}
			w.Until(fmt.Sprintf("document.getElementById(%q).open", dialog))
			barriers(t, w, source, dialog)
			w.Visit("/help")
		}
		w.Visit("/board")
		w.Click(card(ids["working"]) + " [data-menu]")
		w.Until(`document.getElementById("card-menu").matches(":popover-open")`)
		barriers(t, w, source, "the menu of a card")
		w.Visit("/")
		w.Keys("?")
		w.Until(`document.getElementById("keys").open`)
		barriers(t, w, source, "the keys")
		w.Cookie("ringback_floor", "mgr1")
		w.Visit("/tags")
		w.Press("Chase")
		w.Until(`document.getElementById("chase").open`)
		barriers(t, w, source, "the chase")
		w.Visit("/activities")
		w.Click(`[data-select][value="` + ids["working"] + `"]`)
		w.Press("Reassign")
		w.Until(`document.getElementById("bulk").open`)
		barriers(t, w, source, "the bulk dialog")
	}
}
