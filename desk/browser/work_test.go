package browser_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/callback"
	"ringback/contract"
	"ringback/desk/browser"
	"ringback/e2e/harness/floor"
)

// R04: of two who claim at once one wins, and the other is told who.
func TestR04_TheLoserIsToldWhoWon(t *testing.T) {
	names := map[string]string{"sup1": "Supervisor One", "sup2": "Supervisor Two"}
	h := open(t, func(o *floor.Options) {
		change := o.Change
		o.Change = func(o *api.Options) {
			change(o)
			o.Engine = &together{Engine: o.Engine, all: int32(len(names)), arrived: make(chan struct{})}
		}
	})
	id := h.promise()
	windows := map[string]*browser.Window{}
	for as := range names {
		windows[as] = h.window(as, "/callbacks/"+id, browser.Look{})
		windows[as].Expect(`status of 409 .*/claim`)
		windows[as].Is("form[data-command=claim] button")
		// Both have seen it free, and press before either hears of the other.
		windows[as].Eval(`addEventListener("go", () => document.querySelector("form[data-command=claim] button").click())`, nil)
	}
	pressed := make(chan struct{}, len(windows))
	for _, w := range windows {
		go func() {
			w.Eval(`dispatchEvent(new Event("go"))`, nil)
			pressed <- struct{}{}
		}()
	}
	for range windows {
		<-pressed
	}
	var c api.Callback
	require.Eventually(t, func() bool { h.get("sup1", "/v1/callbacks/"+id, &c); return c.Assignee != nil }, browser.Patience, 20*time.Millisecond)
	winner := *c.Assignee
	loser := map[string]string{"sup1": "sup2", "sup2": "sup1"}[winner]
	windows[winner].Says("Claimed: it is yours.")
	windows[loser].Says(names[winner] + " was faster.")
	windows[loser].Says(names[winner] + " has it and makes the next call.")
	windows[loser].Gone("form[data-command=claim] button")
	require.NotContains(t, windows[winner].Text("body"), "was faster")
}

// together lets claims go on once all have come, so that none is shown the
// outcome of another before.
type together struct {
	api.Engine
	all     int32
	came    atomic.Int32
	arrived chan struct{}
}

func (g *together) Command(ctx context.Context, id, updateID string, name callback.CommandName, order any) (contract.Outcome, error) {
	if name == callback.CommandClaim && g.came.Add(1) == g.all {
		close(g.arrived)
	}
	select {
	case <-g.arrived:
	case <-ctx.Done():
		return contract.Outcome{}, ctx.Err()
	}
	return g.Engine.Command(ctx, id, updateID, name, order)
}

// From sign-in to a completed callback by keyboard alone.
func TestKeyboardAlone(t *testing.T) {
	h := open(t)
	h.named("Asha Rao")
	w := h.window("sup1", "/", browser.Look{})
	w.Until("document.querySelector('[data-key=c]')")

	w.Type("?")
	w.Is("#keys[open]")
	w.Type(kb.Escape)
	w.Gone("#keys")

	w.Type("gb") // the board, and its card by arrow keys and menu
	w.At("^/board$")
	w.Until("document.querySelector('.bcard')")
	w.Type("j")
	w.Until("document.activeElement.matches('.bcard')")
	w.Type("m")
	w.Is("#card-menu:popover-open")
	w.Until("document.activeElement.textContent === 'Claim'")
	w.Type(kb.Enter)
	w.Is("[data-status=claimed] .bcard")

	w.Type("gw")
	w.At("^/$")
	w.Until("document.querySelector('#first .act')?.textContent === 'Start'")
	w.Type("a")
	w.Until("document.querySelector('#first .dispositions')")
	w.Until("document.querySelector('#first a[data-act]')?.textContent.includes('Call +91')")
	tabTo(w, "document.activeElement.value === 'reached'")
	w.Type(kb.Enter)
	w.Until("document.querySelector('#first a[data-act]')?.textContent.includes('Complete')")
	w.Type("a")
	w.Is("#complete[open]")
	w.Until("document.activeElement.value === 'resolved'")
	w.Type(" ")
	w.Until("document.activeElement.checked")
	tabTo(w, "document.activeElement.id === 'complete-summary'")
	w.Type("The refund is on its way")
	w.Press(kb.Enter, chromedp.ModifierCtrl)
	w.Says("Completed. Thank you.")
	w.Says("How it ended")
	var c api.Counts
	h.get("sup1", "/v1/counts?status=completed", &c)
	require.EqualValues(t, 1, c.Count)
}

// tabTo presses Tab until an expression is true.
func tabTo(w *browser.Window, there string) {
	for range 80 {
		w.Type(kb.Tab)
		var yes bool
		if w.Eval(there, &yes); yes {
			return
		}
	}
	w.Until(there)
}

// What a server that is restarted says and shows: a banner while it is away,
// afterwards what has happened meanwhile, and what was typed is still there.
func TestReconnectAfterARestart(t *testing.T) {
	h := openLively(t)
	id := h.promise()
	var windows []*browser.Window
	for as, path := range map[string]string{"sup1": "/callbacks/" + id, "mgr1": "/", "sup2": "/board"} {
		w := h.window(as, path, browser.Look{})
		w.Expect(interrupted)
		windows = append(windows, w)
		if as == "sup1" {
			w.Fill("#note-body", "Half a sentence that nobody")
		}
	}
	h.down()
	for _, w := range windows {
		w.Is("#offline")
		w.Says("No connection to the desk.")
	}
	h.up()
	h.give("sup2", id, "claim", nil) // as the first thing, before a window can be back
	for _, w := range windows {
		w.Gone("#offline")
	}
	for _, w := range windows {
		var path string
		switch w.Eval("location.pathname", &path); path {
		case "/board":
			w.Is("[data-status=claimed] #b-" + id)
		case "/":
			w.Gone("#c-" + id)
		default:
			w.Says("Calls next Supervisor Two")
			w.Until(`document.querySelector("#note-body").value === "Half a sentence that nobody"`)
			w.Fill("#note-body", " finished")
			w.Click("[aria-labelledby=write-title] button[type=submit]")
			w.Says("Saved.")
			w.Until(`document.querySelector("#notes-title ~ ol")?.textContent.includes("Half a sentence that nobody finished")`)
			w.Go(path)
			w.Until(`document.querySelector("#note-body").value === ""`)
		}
	}
}

// What is typed survives a page that is left, too.
func TestNothingTypedIsLost(t *testing.T) {
	h := open(t)
	id := h.promise()
	h.give("sup1", id, "claim", nil)
	w := h.window("sup1", "/callbacks/"+id, browser.Look{})
	w.Fill("#note-body", "Customer prefers mornings")
	w.Click("[data-dialog=hold]")
	w.Fill("#hold-reason", "Bank opens at nine")
	w.Type(kb.Escape)
	w.Go("/board")
	w.Go("/callbacks/" + id)
	w.Until(`document.querySelector("#note-body").value === "Customer prefers mornings" && document.querySelector("#hold-reason").value === "Bank opens at nine"`)

	// Signing out keeps it, too, unless one says otherwise: somebody else may use this browser next.
	w.Click("[popovertarget=account]")
	w.Says("Forget the 2 texts that I have not sent")
	w.Type(kb.Escape)

	// Somebody else changes it while one types: the page follows, the words stay, and a stale command says so.
	w.Click("[data-dialog=release]")
	w.Fill("#release-reason", "Lunch")
	h.give("mgr1", id, "notes", object{"kind": "note", "body": "Seen by a manager"})
	w.Until(`document.querySelector("#callback").textContent.includes("Seen by a manager")`)
	w.Until(`document.querySelector("#release").open && document.querySelector("#release-reason").value === "Lunch"`)
	w.Click("#release button[type=submit]")
	w.Says("Back in its queue.")
}

// A form that lacks something says what, at its place, and has the focus there;
// what is wrong is said in words for people.
func TestAFormSaysWhatIsMissing(t *testing.T) {
	h := open(t)
	w := h.window("assoc1", "/new", browser.Look{})
	w.Expect("status of 422")
	w.Until(`document.querySelector("#outcome").value === "none_free"`)
	w.Click("form.new button[type=submit]")
	w.Until(`document.querySelector("#name + .field-error")?.textContent === "Is needed."`)
	w.Until(`document.querySelector("#phone + .field-error") && document.activeElement.id === "name"`)
	w.Fill("#name", "Asha Rao")
	w.Fill("#phone", "12345")
	w.Click("form.new button[type=submit]")
	w.Until(`document.querySelector("#phone + .field-error")?.textContent.startsWith("There is no such number.") && !document.querySelector("#name + .field-error")`)
	w.Eval(`document.querySelector("#phone").value = ""`, nil)
	w.Fill("#phone", "0091 98765 43210")
	w.Eval(`document.querySelector("#phone").dispatchEvent(new Event("change", {bubbles: true}))`, nil)
	w.Click("form.new button[type=submit]")
	w.At("/promised$")
	w.Says("A supervisor will call you on +91 98765 43210")
}

// The desk's figures are the API's, also after changes that came over the
// stream.
func TestFiguresOnScreenAreTheAPIs(t *testing.T) {
	h := open(t)
	h.busy()
	board := h.window("mgr1", "/board", browser.Look{})
	tags := h.window("mgr1", "/tags", browser.Look{})
	wall := h.window("mgr1", "/wallboard", browser.Look{})
	list := h.window("mgr1", "/activities", browser.Look{})
	count := func(query string) string {
		var c api.Counts
		h.get("mgr1", "/v1/counts?"+query, &c)
		return strconv.FormatInt(c.Count, 10)
	}
	const open = "status=scheduled&status=queued&status=claimed&status=in_progress"
	same := func() {
		t.Helper()
		shows := func(w *browser.Window, expression, query string) {
			t.Helper()
			w.Until("(" + expression + ")?.trim() === '" + count(query) + "'")
		}
		shows(board, "document.querySelector('[data-total]')?.textContent", open)
		for _, status := range []string{"scheduled", "queued", "claimed", "in_progress"} {
			shows(board, "document.querySelector('[data-status="+status+"] .count')?.textContent", "status="+status)
			board.Until("document.querySelectorAll('[data-status=" + status + "] .stack > *').length === " + count("status="+status))
		}
		shows(tags, "document.querySelector('#tags strong')?.textContent", "callback_required=true")
		tags.Until("document.querySelectorAll('#tags tr[data-row]').length === " + count("callback_required=true"))
		wallNumber := func(name string) string {
			return "[...document.querySelectorAll('.wall-numbers dt')].find((e) => e.textContent === '" + name + "')?.nextElementSibling.textContent"
		}
		shows(wall, wallNumber("Open"), open)
		shows(wall, wallNumber("Waiting"), "status=queued")
		shows(wall, wallNumber("Overdue"), "overdue=true")
		shows(list, "document.querySelector('#activities-total')?.textContent", "")
	}
	same()
	for i := range 5 {
		id := h.named("Later " + strconv.Itoa(i))
		if i%2 == 0 {
			h.give("sup1", id, "claim", nil)
		}
	}
	same()

	var report api.Report
	reports := h.window("mgr1", "/reports?days=7&zone=UTC", browser.Look{})
	var asked struct{ From, To string }
	reports.Eval("Object.fromEntries(new URL(document.querySelector('.numbers a').href).searchParams)", &asked)
	h.get("mgr1", "/v1/reports?zone=UTC&from="+asked.From+"&to="+asked.To, &report)
	number := func(name string) string {
		return "[...document.querySelectorAll('.numbers dt')].find((e) => e.textContent === '" + name + "')?.nextElementSibling.textContent"
	}
	for name, n := range map[string]int64{
		"Made": report.Totals.Made, "Kept": report.Totals.Kept, "Missed by people": report.Totals.MissedByPeople,
		"Missed by the system": report.Totals.MissedBySystem, "Open": report.Totals.Open, "Left before their time": report.Totals.Dropped,
	} {
		reports.Until(number(name) + " === '" + strconv.FormatInt(n, 10) + "'")
	}
	require.Positive(t, report.Totals.MissedByPeople)
	// A figure leads to just as many rows.
	reports.Click(".numbers a", strconv.FormatInt(report.Totals.Made, 10))
	reports.At("/reports/rows")
	reports.Until("document.querySelectorAll('tbody tr[data-row]').length === " + strconv.FormatInt(min(report.Totals.Made, 50), 10))
}

// Dragging a card does what its menu does.
func TestDragAndMenuDoTheSame(t *testing.T) {
	h := open(t)
	dragged, chosen := h.named("Dragged"), h.named("Chosen")
	w := h.window("sup1", "/board", browser.Look{})
	w.Is("#b-" + dragged)
	w.Eval(`(() => {
		const card = document.getElementById("b-`+dragged+`"), to = document.querySelector(".cell[data-status=claimed]"), data = new DataTransfer();
		const say = (e, name) => e.dispatchEvent(new DragEvent(name, {bubbles: true, cancelable: true, dataTransfer: data}));
		say(card, "dragstart"); say(to, "dragover"); say(to, "drop"); say(card, "dragend");
	})()`, nil)
	w.Is("[data-status=claimed] #b-" + dragged)
	w.Click("#b-" + chosen + " [data-menu]")
	w.Click("#card-menu button", "Claim")
	w.Is("[data-status=claimed] #b-" + chosen)
	for _, id := range []string{dragged, chosen} {
		var c api.Callback
		h.get("sup1", "/v1/callbacks/"+id, &c)
		require.Equal(t, "sup1", *c.Assignee)
	}
	w.Click("#b-" + chosen + " [data-menu]")
	w.Click("#card-menu button", "Release…")
	w.Fill("#release-reason", "Lunch")
	// A connection that comes back shows the whole board anew, and takes nothing from whoever types meanwhile.
	w.Eval(`(async () => {
		document.querySelector(".lane").dataset.old = "1";
		const live = await import(document.querySelector("link[rel=modulepreload][href$='live.js']").href);
		live.changes.dispatchEvent(new CustomEvent("reset"));
	})()`, nil)
	w.Until(`document.querySelector(".lane") && !document.querySelector(".lane[data-old]")`)
	w.Until(`document.querySelector("#release").open && document.querySelector("#release-reason").value === "Lunch"`)
	w.Click("#release button[type=submit]")
	w.Is("[data-status=queued] #b-" + chosen)
}
