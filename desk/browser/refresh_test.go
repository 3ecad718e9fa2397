package browser_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/desk/browser"
)

// started is a callback that somebody works on.
func (h *house) started(as, name string) string {
	h.tb.Helper()
	id := h.named(name)
	h.give(as, id, "claim", nil)
	h.give(as, id, "start", nil)
	return id
}

// here is where a window is, marked: it is another once the page was left.
const here = `globalThis.sameVisit === true`

// R12: what is written about one call is never recorded on another callback,
// though that has come into the same place meanwhile.
func TestR12_WordsStayWithTheirCallback(t *testing.T) {
	h := open(t)
	a, b := h.started("sup1", "Asha Rao"), h.started("sup1", "Bela Nagy")
	w := h.window("sup1", "/", browser.Look{})
	w.Eval("globalThis.sameVisit = true", nil)
	w.Until(`document.querySelector("#first").dataset.id === "` + a + `"`)
	w.Fill("#first input[name=note]", "Asha wants her money back")
	h.give("mgr1", a, "reassign", object{"to": "sup2", "reason": "Supervisor One is ill"})
	w.Until(`document.querySelector("#first").dataset.id === "` + b + `"`)
	w.Type("n") // who types goes on for a moment: it is no command
	w.Says("What you were typing in has gone")
	w.Until(here)
	var shown, kept string
	w.Eval(`document.querySelector("#first input[name=note]").value`, &shown)
	require.Empty(t, shown)
	w.Eval(`localStorage.getItem("draft:sup1:attempt:`+a+`")`, &kept)
	require.Contains(t, kept, "Asha wants her money back")
	w.Click("#first .dispositions button", "Reached")
	w.Says("The call is recorded.")
	var c api.Callback
	h.get("sup1", "/v1/callbacks/"+b, &c)
	require.Equal(t, 1, c.Attempts)
	var timeline string
	w.Eval(`fetch("/v1/callbacks/`+b+`/timeline").then((r) => r.text())`, &timeline)
	require.NotContains(t, timeline, "money back")
}

// R04: what one presses is what one saw, and who has the focus keeps it, when
// others before it go.
func TestR04_AButtonNeverBecomesAnothers(t *testing.T) {
	h := open(t)
	alice, anna, bob, carl := h.named("Alice"), h.named("Anna"), h.named("Bob"), h.named("Carl")
	w := h.window("sup1", "/", browser.Look{})
	w.Is("#c-" + carl)
	w.Eval(`(() => { globalThis.pressed = document.querySelector("#c-`+alice+` ~ .card-act button"); pressed.focus(); })()`, nil)
	w.Until(`document.activeElement.getAttribute("aria-label") === "Claim: Alice"`)
	h.give("sup2", alice, "claim", nil)
	w.Until(`!document.getElementById("c-` + alice + `")`)
	var label string
	w.Eval(`document.activeElement.getAttribute("aria-label") ?? ""`, &label)
	require.Empty(t, label, "nothing else is there to be pressed by whoever was about to")
	w.Eval(`pressed.getAttribute("aria-label")`, &label)
	require.Equal(t, "Claim: Alice", label)

	w.Eval(`document.getElementById("c-`+carl+`").focus()`, nil)
	h.give("sup2", anna, "claim", nil)
	w.Until(`!document.getElementById("c-` + anna + `")`)
	var focused string
	w.Eval(`document.activeElement.id`, &focused)
	require.Equal(t, "c-"+carl, focused)
	w.Type("c")
	w.Says("Claimed: it is yours.")
	var c api.Callback
	h.get("sup1", "/v1/callbacks/"+carl, &c)
	require.NotNil(t, c.Assignee)
	require.Equal(t, "sup1", *c.Assignee)
	h.get("sup1", "/v1/callbacks/"+bob, &c)
	require.Nil(t, c.Assignee)
}

// Who types a note while parts of the page come and go types on, and no letter
// is taken for a command.
func TestTypingGoesOnWhileThePageChanges(t *testing.T) {
	h := open(t)
	id := h.started("sup1", "Asha Rao")
	w := h.window("sup1", "/callbacks/"+id, browser.Look{})
	w.Eval("globalThis.sameVisit = true", nil)
	w.Is("#record")
	w.Fill("#note-body", "Half a ")
	h.give("mgr1", id, "reassign", object{"to": "sup2", "reason": "Supervisor One is ill"})
	w.Says("Calls next Supervisor Two")
	w.Gone("#record")
	w.Type("note")
	w.Until(`document.querySelector("#note-body").value === "Half a note" && document.activeElement.id === "note-body" && ` + here)

	// And if it goes itself, what is typed on goes nowhere, and what was typed is kept.
	w.Type(" more")
	h.give("mgr1", id, "cancel", object{"reason": "Called the other line"})
	w.Says("How it ended")
	w.Type("n")
	w.Says("What you were typing in has gone")
	w.Until(here)
	var kept string
	w.Eval(`localStorage.getItem("draft:sup1:note:`+id+`")`, &kept)
	require.Contains(t, kept, "Half a note more")
}

// Between the making of a page and its stream lies whatever the browser needs:
// what happens then is shown too.
func TestNothingIsMissedWhileAPageOpens(t *testing.T) {
	h := open(t)
	id := h.named("Asha Rao")
	opened := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/stream" {
			select {
			case <-opened:
			case <-r.Context().Done():
			}
		}
		h.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	h.base = server.URL
	w := h.window("sup1", "/callbacks/"+id, browser.Look{})
	w.Says("Calls next nobody")
	h.give("sup2", id, "claim", nil)
	close(opened)
	w.Says("Calls next Supervisor Two")
}

// signedOut is what a page does once it is told that nobody is signed in.
const signedOut = `(async () => {
	const live = await import(document.querySelector("link[rel=modulepreload][href$='live.js']").href);
	live.signedOut();
})()`

// Who was signed out and is signed in again, in another window, has the page
// alive again as it was, and what happened meanwhile; also when the server goes
// away after that.
func TestThePageLivesAgainAfterSigningInAgain(t *testing.T) {
	h := openLively(t)
	id := h.named("Asha Rao")
	w := h.window("sup1", "/callbacks/"+id, browser.Look{})
	w.Expect(interrupted)
	w.Says("Calls next nobody")
	w.Fill("#note-body", "Half a sentence")
	w.Eval(signedOut, nil)
	w.Says("You are signed out. What you typed is kept. Sign in again")
	h.give("sup2", id, "claim", nil)
	w.Eval(`dispatchEvent(new Event("focus"))`, nil) // back from the other window
	w.Gone("#signed-out")
	w.Says("Calls next Supervisor Two")
	h.down()
	w.Is("#offline")
	w.Says("No connection to the desk.")
	h.up()
	h.give("sup2", id, "notes", object{"kind": "note", "body": "And after"})
	w.Gone("#offline")
	w.Says("And after")
	w.Until(`document.querySelector("#note-body").value === "Half a sentence"`)
}

// R01: a page renews what somebody said last, wherever they said it, and shows it.
func TestR01_APageRenewsWhatWasSaidLast(t *testing.T) {
	h := open(t)
	w := browser.Open(t, h.base, browser.Look{})
	w.Before(`(() => { const every = setInterval; globalThis.setInterval = (f, ms, ...rest) => { if (ms === 300000) globalThis.fiveMinutes = f; return every(f, ms, ...rest); }; })()`)
	w.Go("/sign-in?as=sup2&next=/reports") // a page that follows no change
	w.Until("globalThis.fiveMinutes && document.documentElement.dataset.ready !== undefined")
	w.Choose("#presence-state", "available")
	w.Says("You are free for live transfers.")
	require.NoError(t, h.Do(t.Context(), "sup2", http.MethodPut, "/v1/me/presence", object{"state": "away"}, nil))
	w.Type("x") // somebody is there
	w.Eval("fiveMinutes()", nil)
	w.Until(`document.querySelector("#presence-state").value === "away"`)
	var me api.Me
	h.get("sup2", "/v1/me", &me)
	require.Equal(t, "away", *me.Presence.State)
}

// What is typed while a command is under way is no part of it, and stays.
func TestWhatIsTypedMeanwhileStays(t *testing.T) {
	h := open(t)
	id := h.named("Asha Rao")
	asked, goOn := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			close(asked)
			<-goOn
		}
		h.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	h.base = server.URL
	w := h.window("sup1", "/callbacks/"+id, browser.Look{})
	w.Fill("#note-body", "Prefers mornings")
	w.Press(kb.Enter, chromedp.ModifierCtrl)
	<-asked
	w.Type(", not Mondays")
	close(goOn)
	w.Says("Saved.")
	w.Until(`document.querySelector("#note-body").value === "Prefers mornings, not Mondays"`)
	w.Go("/callbacks/" + id)
	w.Until(`document.querySelector("#note-body").value === "Prefers mornings, not Mondays"`)
}

// A draft of a chase is there however often its dialog is opened.
func TestAChaseKeepsItsDraft(t *testing.T) {
	h := open(t)
	id := h.named("Asha Rao")
	w := h.window("mgr1", "/tags", browser.Look{})
	for range 3 {
		w.Click("[data-id='" + id + "'] [data-chase]")
		w.Is("#chase[open]")
		w.Until(`document.activeElement.closest("#chase")`)
		w.Eval(`(() => { const e = document.querySelector("#chase [name=body]"); if (!e.value.includes("Please hurry")) { if (globalThis.wrote) throw new Error("forgotten"); globalThis.wrote = true; e.value = "Please hurry"; e.dispatchEvent(new Event("input", {bubbles: true})); } })()`, nil)
		w.Type(kb.Escape)
		w.Gone("#chase")
	}
}

// A stream that has fallen silent is opened anew, and one that is heard is not.
func TestASilentStreamIsOpenedAnew(t *testing.T) {
	h := open(t)
	w := browser.Open(t, h.base, browser.Look{})
	w.Before(impatient)
	w.Before(`(() => {
		const every = setInterval, now = performance.now.bind(performance);
		globalThis.later = 0;
		performance.now = () => now() + later;
		globalThis.setInterval = (f, ms, ...rest) => { if (ms === 5000) globalThis.listen = f; return every(f, ms, ...rest); };
	})()`)
	w.Go("/sign-in?as=sup1&next=/help")
	w.Until("globalThis.listen && streams.length === 1 && streams[0].readyState === EventSource.OPEN")
	var n int
	w.Eval(`(() => { later = 41000; streams[0].dispatchEvent(new MessageEvent("heartbeat", {data: "{}"})); listen(); return streams.length; })()`, &n)
	require.Equal(t, 1, n)
	w.Eval(`(() => { later = 82000; listen(); return streams.length; })()`, &n)
	require.Equal(t, 2, n)
}

// R02: where the computer's clock is put right while one looks, a title and a
// countdown tell of the instant that is shown.
func TestR02_TimesTellOfWhatIsShown(t *testing.T) {
	h := open(t)
	id := h.named("Asha Rao")
	w := h.window("sup1", "/board", browser.Look{})
	w.Is("#b-" + id)
	w.Eval(`(() => { const real = Date.now; Date.now = () => real() + 2 * 3600000; })()`, nil) // put forward two hours
	w.Until(`document.querySelector("#b-` + id + ` [data-time=left]").textContent.endsWith("late")`)
	h.give("sup2", id, "claim", nil)
	w.Is("[data-status=claimed] #b-" + id)
	w.Until(`document.querySelector("#b-` + id + ` [data-time=left]").textContent.endsWith("left")`)
	var title [2]string
	w.Eval(`(async () => {
		const time = await import(document.querySelector("link[rel=modulepreload][href$='time.js']").href), e = document.querySelector("#b-`+id+` [data-time=left]"), was = e.title;
		e.dateTime = "2027-01-01T00:00:00Z";
		time.paint();
		return [was, e.title];
	})()`, &title)
	require.NotEqual(t, title[0], title[1])
	require.Contains(t, title[1], "2027")
}
