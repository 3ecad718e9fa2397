package browser_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/e2e/harness/chromium"
)

// R04: two claim at once; one gets it, and the other is told who.
func TestR04TwoClaimAtOnceAndTheLoserIsTold(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise("Asha Rao")
	one, two := h.window("sup1", chromium.Options{}), h.window("sup2", chromium.Options{})
	one.Visit("/callbacks/" + id)
	two.Visit("/callbacks/" + id)
	// The loser has not heard of it yet: what the stream would say is kept from the page.
	two.Eval(`document.querySelector("form[data-command=claim]").closest("[data-live]").setAttribute("data-keep", "")`)
	one.Press("Claim")
	one.Sees("Claimed: it is yours.")
	two.Press("Claim")
	two.Sees("Supervisor One was faster.")
	require.Equal(t, "sup1", *h.callback(id).Assignee)
}

// Claim next goes on to the next one where somebody was faster.
func TestClaimNextPassesOverWhatIsGone(t *testing.T) {
	t.Parallel()
	h := open(t)
	first, second := h.promise("First"), h.promise("Second")
	w := h.window("sup2", chromium.Options{})
	w.Visit("/")
	// Between the list and the claim somebody else claims the first one.
	w.Eval(`const fetched = window.fetch; window.fetch = async (url, o) => {
		if (String(url).endsWith("/` + first + `/claim") && !window.raced) { window.raced = true; await fetched("/test/race"); }
		return fetched(url, o);
	}`)
	h.onRace(func() { h.give("sup1", first, "claim", nil) })
	w.Press("Claim the next one")
	w.Sees("Second is yours.")
	w.Sees("Supervisor One was faster with the one before.")
	w.SeesIn("#first", "Second")
	require.Equal(t, "sup1", *h.callback(first).Assignee)
	require.Equal(t, "sup2", *h.callback(second).Assignee)
}

// A whole callback from My work alone, and what others see of it meanwhile.
func TestACallbackFromMyWork(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise("Asha Rao")
	w, other := h.window("sup1", chromium.Options{}), h.window("mgr1", chromium.Options{})
	other.Visit("/board")
	other.Until(`document.querySelector('[data-status=queued] ` + card(id) + `')`)
	w.Visit("/")
	w.Press("Claim the next one")
	w.SeesIn("#first", "Start")
	other.Until(`document.querySelector('[data-drop=claimed] ` + card(id) + `')`)
	other.SeesIn(card(id), "Supervisor One")
	w.Press("Start")
	w.SeesIn("#first", "Call +919876543210")
	other.Until(`document.querySelector('[data-drop=in_progress] ` + card(id) + `')`)
	w.Fill("#first input[name=note]", "Rang out")
	w.Press("No answer")
	w.Sees("1 call so far")
	w.Press("Reached")
	w.SeesIn("#first", "Reached, close it")
	other.SeesIn(card(id), "Reached, close it")
	w.Press("Complete")
	w.Until(`document.getElementById("complete")?.open`)
	w.Click(`input[value=resolved]`)
	w.Fill("#complete-summary", "Refund explained, comes on Friday.")
	w.Press("Complete")
	w.Sees("Completed. Thank you.")
	w.Sees("How it ended")
	other.Until(`document.querySelector('[data-closed] ` + card(id) + `')`)
	other.Until(`document.querySelector("[data-total]").textContent === "0"`)
	c := h.callback(id)
	require.Equal(t, "completed", c.Status)
	require.Empty(t, c.CallbackRequired)
	require.Equal(t, 2, c.Attempts)
}

// Whatever is typed stays: through a refresh, a reload, and a refusal.
func TestNothingTypedIsLost(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise("Asha Rao")
	h.give("sup1", id, "claim", nil)
	h.give("sup1", id, "start", nil)
	h.give("sup1", id, "attempts", object{"disposition": "reached"})
	w := h.window("sup1", chromium.Options{})
	w.Visit("/callbacks/" + id)
	w.Fill("#note-body", "A thought")
	// Something happens elsewhere: the page shows it, and the thought stays.
	h.give("mgr1", id, "notes", object{"kind": "note", "body": "Seen from above"})
	w.Sees("Seen from above")
	require.Equal(t, "A thought", chromium.Value[string](w, `document.getElementById("note-body").value`))
	w.Reload()
	w.Until(`document.getElementById("note-body").value === "A thought"`)

	// A dialog that is open while the callback changes under it.
	w.Press("Complete")
	w.Fill("#complete-summary", "Refund explained")
	h.give("mgr1", id, "notes", object{"kind": "note", "body": "And again"})
	w.Until(`document.getElementById("timeline-title").closest("section").innerText.includes("And again")`)
	require.Equal(t, "Refund explained", chromium.Value[string](w, `document.getElementById("complete-summary").value`))

	// Closed by somebody else meanwhile: it is said, and the text is still there.
	w.Eval(`window.EventSource = class { close() {} addEventListener() {} }`)
	h.give("mgr1", id, "cancel", object{"reason": "The customer withdrew"})
	w.Until(`document.getElementById("complete").open`)
	w.Click("#complete input[value=resolved]")
	w.Press("Complete")
	w.SeesIn("#complete [data-refused]", "It is closed.")
	require.Equal(t, "Refund explained", chromium.Value[string](w, `document.getElementById("complete-summary").value`))

	// Another person at the same machine sees nothing of it.
	w.Cookie("ringback_floor", "sup2")
	w.Visit("/callbacks/" + h.promise("Another"))
	require.Empty(t, chromium.Value[string](w, `document.getElementById("note-body").value`))
}

// The server restarts: the banner says so, the page comes back by itself, and
// nothing that happened meanwhile is missed.
func TestReconnectAfterTheServerRestarts(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise("Asha Rao")
	w, board := h.window("sup1", chromium.Options{}), h.window("mgr1", chromium.Options{})
	w.Visit("/callbacks/" + id)
	board.Visit("/board")
	board.Until(`document.querySelector('[data-status=queued] ` + card(id) + `')`)
	w.Fill("#note-body", "Kept through the restart")
	h.restart(func() {
		w.Until(`!document.getElementById("offline").hidden`)
		w.Sees("No connection to the desk.")
		board.Until(`!document.getElementById("offline").hidden`)
		w.Press("Save")
		w.Sees("No connection.")
	})
	h.give("sup2", id, "claim", nil)
	w.Until(`document.getElementById("offline").hidden`)
	w.Sees("Supervisor Two")
	board.Until(`document.querySelector('[data-drop=claimed] ` + card(id) + `')`)
	require.Equal(t, "Kept through the restart", chromium.Value[string](w, `document.getElementById("note-body").value`))
	w.Press("Save")
	w.SeesIn(".notes", "Kept through the restart")
	require.Equal(t, 1, count(h.timeline(id), "noted"), "pressed twice, written once")
}

func count(all []string, what string) (n int) {
	for _, s := range all {
		if s == what {
			n++
		}
	}
	return n
}

// Dragging and the menu do the same, and offer only what is allowed.
func TestTheBoardByMouseAndByMenu(t *testing.T) {
	t.Parallel()
	h := open(t)
	dragged, menued := h.promise("Dragged"), h.promise("Menued")
	w := h.window("sup1", chromium.Options{})
	w.Visit("/board")
	w.Drag(`[data-status=queued] `+card(dragged), `[data-drop=claimed]`)
	w.Sees("Dragged is yours.")
	w.Until(`document.querySelector('[data-drop=claimed] ` + card(dragged) + `')`)
	w.Drag(card(dragged), `[data-drop=in_progress]`)
	w.Until(`document.querySelector('[data-drop=in_progress] ` + card(dragged) + `')`)
	require.Equal(t, "in_progress", h.callback(dragged).Status)

	w.Click(card(menued) + " [data-menu]")
	w.Press("Claim")
	w.Until(`document.querySelector('[data-drop=claimed] ` + card(menued) + `')`)
	// Back to the queue takes a reason, in the dialog of the callback's own page.
	w.Drag(card(menued), `[data-drop=queued]`)
	w.Until(`document.getElementById("release")?.open`)
	w.Fill("#release-reason", "Lunch")
	w.Press("Release")
	w.Until(`document.querySelector('[data-drop=queued] ` + card(menued) + `')`)
	require.Contains(t, h.timeline(menued), "released")
	// In progress to closed asks what completing takes.
	h.give("sup1", dragged, "attempts", object{"disposition": "reached"})
	w.SeesIn(card(dragged), "Reached, close it")
	w.Drag(card(dragged), `[data-drop=closed]`)
	w.Until(`document.getElementById("complete")?.open`)
	w.Eval(`document.getElementById("complete").close()`)
	// What waits cannot go to completed: it is not even offered.
	w.Drag(card(menued), `[data-drop=closed]`)
	require.Equal(t, "queued", h.callback(menued).Status)
}

// Filters are in the address, and a reload shows the same.
func TestFiltersAreInTheAddress(t *testing.T) {
	t.Parallel()
	h := open(t)
	plain := h.promise("Plain")
	air := h.promise("Air", func(b object) { b["lob"] = "flights" })
	w := h.window("mgr1", chromium.Options{})
	w.Visit("/board")
	w.Choose(`select[name=queue]`, "Supervisors - Air")
	w.Until(`location.search === "?queue=Supervisors+-+Air"`)
	w.Until(`document.querySelector('` + card(air) + `') && !document.querySelector('` + card(plain) + `')`)
	w.Reload()
	w.Until(`document.querySelector('` + card(air) + `') && !document.querySelector('` + card(plain) + `')`)
	// What comes to pass the filters comes onto the board, and nothing else does.
	other := h.promise("Other air", func(b object) { b["lob"] = "flights" })
	h.promise("Other plain")
	w.Until(`document.querySelector('` + card(other) + `')`)
	require.False(t, w.Shows("Other plain"))
	w.Choose(`select[name=lanes]`, "tier")
	w.Until(`location.search.includes("lanes=tier") && document.querySelector(".lane[data-lane=supervisor]")`)
}

// Views are kept by the desk; many callbacks are reassigned after a look at what
// will happen.
func TestActivitiesViewsAndManyAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	mine, theirs, closed := h.promise("Mine"), h.promise("Theirs"), h.promise("Closed")
	h.give("sup1", mine, "claim", nil)
	h.give("mgr1", closed, "cancel", object{"reason": "x"})
	w := h.window("mgr1", chromium.Options{})
	w.Visit("/activities?status=queued&status=claimed")
	w.Press("Save as view")
	w.Fill("#view-name", "To give out")
	w.Press("Save")
	w.SeesIn(".presets", "To give out")
	w.Visit("/activities")
	w.Press("To give out")
	w.Until(`location.search.includes("status=claimed") && document.querySelector(".saved [aria-current]")`)

	w.Visit("/activities")
	w.Click(`[data-select-all]`)
	w.SeesIn("[data-bulk]", "3 selected")
	w.Press("Reassign")
	w.Until(`document.getElementById("bulk").open`)
	w.SeesIn(".bulk-preview", "Closed stays as it is: it is closed")
	w.SeesIn("#bulk-title", "Reassign (2)")
	w.Choose("#bulk-to", "sup2")
	w.SeesIn(".bulk-preview", "Mine taken from sup1, goes to Supervisor Two")
	w.Fill("#bulk-reason", "Sick today")
	w.Press("Reassign")
	w.Sees("2 callbacks reassigned.")
	require.Equal(t, "sup2", *h.callback(mine).Assignee)
	require.Equal(t, "sup2", *h.callback(theirs).Assignee)
	require.Equal(t, "cancelled", h.callback(closed).Status)

	// What has changed since the look is not done blindly.
	w.Click(`[data-select][value="` + mine + `"]`)
	w.Press("Cancel")
	w.Until(`document.getElementById("bulk").open`)
	h.give("sup2", mine, "start", nil)
	w.Fill("#bulk-reason", "They withdrew")
	w.Click("[data-bulk-go]")
	w.SeesIn(".bulk-preview", "Something happened to it meanwhile.")
	require.Equal(t, "in_progress", h.callback(mine).Status)
	w.Click("[data-bulk-go]") // the same look again would be the same refusal
	w.Eval(`document.getElementById("bulk").close()`)
	w.Press("Cancel")
	w.Until(`document.getElementById("bulk").open`)
	w.Click("[data-bulk-go]")
	w.Sees("1 callback cancelled.")
}

// R10: a chase is seen by whoever has it, at once.
func TestR10AChaseReachesWhoeverHasIt(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise("Asha Rao")
	h.give("sup1", id, "claim", nil)
	has, chases := h.window("sup1", chromium.Options{}), h.window("mgr1", chromium.Options{})
	has.Visit("/")
	chases.Visit("/tags")
	chases.Press("Chase")
	chases.SeesIn("#chase", "Supervisor One")
	chases.Until(`document.getElementById("chase-text").value.startsWith("Supervisor One: a supervisor call is due at")`)
	chases.Press("Chase")
	chases.Sees("Chased: it is on the timeline.")
	has.SeesIn("#first", "Manager One")
	has.SeesIn("#first", "Please call the customer now")
	require.Contains(t, h.timeline(id), "noted")
}

// R01, R02, R14: availability first, a twin is noticed while typing, and the words to say.
func TestR01APromiseBeginsWithWhoIsFree(t *testing.T) {
	t.Parallel()
	h := open(t)
	twin := h.promise("Asha Rao")
	w := h.window("assoc1", chromium.Options{Zone: "Europe/Madrid"})
	w.Visit("/new")
	w.Sees("Nobody is free right now.")
	w.Until(`document.getElementById("outcome").value === "none_free"`)
	require.NoError(t, h.Do(t.Context(), "sup1", http.MethodPut, "/v1/me/presence", object{"state": "available"}, nil))
	w.Reload()
	w.Sees("Free now: Supervisor One.")
	w.Until(`document.getElementById("outcome").value === ""`)
	w.Press("Reserve somebody")
	w.Sees("Supervisor One is held for you until")
	w.Press("The transfer failed")
	w.Until(`document.getElementById("outcome").value === "failed"`)
	w.Fill("#name", "Asha Rao")
	w.Fill("#phone", "+91 98765 43210")
	w.SeesIn("[data-twins]", "There is an open callback already")
	require.Contains(t, chromium.Value[string](w, `document.querySelector("[data-twins] a").href`), twin)
	w.Fill("#zone", "Asia/Kolkata")
	w.Sees("for the customer")
	w.Fill("#reason", "Refund not received")
	w.Press("Promise the callback")
	w.Sees("Promised. Say this now:")
	w.SeesIn("#say", "Thank you, Asha Rao. A supervisor will call you on +919876543210 by")
	w.SeesIn("#say", "your time.")
	w.Sees("This customer has other open callbacks")
	id := chromium.Value[string](w, `location.pathname.split("/")[2]`)
	c := h.callback(id)
	require.Equal(t, "failed", c.TransferAttempt.Outcome, "what was tried is kept")
	require.Equal(t, "supervisor", c.TransferAttempt.Tier)
	require.Equal(t, time.Hour, c.DueAt.Sub(c.RequestedAt.Time))
	w.Visit("/new")
	require.Empty(t, chromium.Value[string](w, `document.getElementById("name").value`), "what was accepted is forgotten")
}

// What is wrong is said where it is wrong.
func TestRefusalsAreShownAtTheirFields(t *testing.T) {
	t.Parallel()
	h := open(t)
	w := h.window("assoc1", chromium.Options{})
	w.Visit("/new?policy=purchasing-escalation")
	w.Fill("#name", "Asha Rao")
	w.Fill("#phone", "12345")
	w.Press("Promise the callback")
	w.SeesIn("#wrong-customer\\.phone", "Expected a phone number that exists")
	w.Until(`document.activeElement.id === "phone" && document.activeElement.getAttribute("aria-describedby") === "wrong-customer.phone"`)
	w.Fill("#phone", "+919876543210")
	w.Press("Promise the callback")
	w.SeesIn("#wrong-fields\\.order_number", "Is required by this policy")
	require.Equal(t, "Asha Rao", chromium.Value[string](w, `document.getElementById("name").value`))
	// The same ticket again is one callback (R14).
	h.promise("Asha Rao", func(b object) { b["source"] = object{"system": "freshdesk", "ref": "77"} })
	w.Choose("#policy", "supervisor-callback")
	w.Fill("#system", "freshdesk")
	w.Fill("#ticket", "77")
	w.Press("Promise the callback")
	w.Sees("There is one already.")
	w.Sees("Open the one that exists")
}

// R06: a manager call begins with who is free; reserved, it is theirs at once.
func TestR06EscalateToWhoeverIsReserved(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise("Asha Rao")
	h.give("sup1", id, "claim", nil)
	h.give("sup1", id, "start", nil)
	require.NoError(t, h.Do(t.Context(), "mgr1", http.MethodPut, "/v1/me/presence", object{"state": "available"}, nil))
	w, manager := h.window("sup1", chromium.Options{}), h.window("mgr1", chromium.Options{})
	manager.Visit("/")
	w.Visit("/callbacks/" + id)
	w.Press("Escalate")
	w.SeesIn("#escalate", "Free now: Manager One.")
	w.Press("Reserve somebody")
	w.SeesIn("#escalate", "Manager One is held for you until")
	w.Fill("#escalate-reason", "Asks for a manager")
	w.Press("Escalate")
	w.Sees("Escalated.")
	manager.SeesIn("#first", "Asha Rao")
	manager.Sees("New for you: Asha Rao.")
	c := h.callback(id)
	require.Equal(t, "mgr1", *c.Assignee)
	require.Equal(t, "sup1", *c.Owner, "R05")
}

// The clock of the page is the server's, whatever the computer's says; a missed
// promise turns red and moves without a reload.
func TestClocksTellTheTruth(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.move(37 * time.Hour) // the browser's own clock is now wrong by that much
	id := h.promise("Asha Rao")
	w := h.window("sup1", chromium.Options{Zone: "Asia/Kolkata"})
	w.Visit("/callbacks/" + id)
	w.SeesIn(".case", "59 min left")
	due := h.callback(id).DueAt
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	require.NoError(t, err)
	w.Sees(due.In(kolkata).Format("Mon 2 Jan 2006, 15:04"))
	w.Reload() // now the server knows the zone
	require.Equal(t, "Asia/Kolkata", chromium.Value[string](w, `document.documentElement.dataset.zone`))
	h.move(61 * time.Minute)
	w.SeesIn(".case", "A promise was missed")
	w.SeesIn(".case", "Manager")
	h.move(80 * time.Minute)
	w.SeesIn(".case", "Overdue")
	w.Sees("Chased")
}

// What the server writes and what the script writes are the same words.
func TestServerAndScriptSayTimesAlike(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.busy()
	w := h.window("mgr1", chromium.Options{Zone: "America/New_York"})
	w.Cookie("ringback_zone", "America/New_York")
	w.Visit("/activities")
	written := chromium.Value[[]string](w, `fetch(location.href).then((r) => r.text()).then((t) =>
		[...new DOMParser().parseFromString(t, "text/html").querySelectorAll("time[data-time]")].map((e) => e.dataset.time + " " + e.dateTime + " " + e.textContent))`)
	shown := chromium.Value[[]string](w, `[...document.querySelectorAll("time[data-time]")].map((e) => e.dataset.time + " " + e.dateTime + " " + e.textContent)`)
	require.NotEmpty(t, written)
	same := 0
	for _, s := range written {
		if slices.Contains(shown, s) {
			same++
		}
	}
	// A minute may have turned between the two.
	require.GreaterOrEqual(t, same, len(written)*9/10, "%v\n%v", written, shown)
}

// Search from everywhere.
func TestSearchFromEverywhere(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise("Zoë Müller", func(b object) { b["source"] = object{"system": "freshdesk", "ref": "48213"} })
	h.promise("Asha Rao")
	w := h.window("sup1", chromium.Options{})
	for _, words := range []string{"zoë", "48213", "müll 9198"} {
		w.Visit("/reports")
		w.Keys("/")
		w.Type(words)
		w.SeesIn("#found", "Zoë Müller")
		require.Equal(t, 1, chromium.Value[int](w, `document.querySelectorAll("#found [data-href]").length`))
		w.Keys(chromium.ArrowDown, chromium.Enter)
		w.At("/callbacks/" + id)
	}
	w.Keys("/")
	w.Type("nobody of this name")
	w.SeesIn("#found", "Nothing found.")
	w.Keys(chromium.Enter)
	w.At("/search")
}

// The theme, and the keys that can be turned off, are kept.
func TestChoicesAreKept(t *testing.T) {
	t.Parallel()
	h := open(t)
	w := h.window("sup1", chromium.Options{})
	w.Visit("/")
	background := func() string {
		return chromium.Value[string](w, `getComputedStyle(document.body.parentElement).backgroundColor`)
	}
	light := background()
	w.Click(`[popovertarget=account]`)
	w.Click(`input[name=theme][value=dark]`)
	require.NotEqual(t, light, background())
	w.Click("[data-single-keys]")
	w.Reload()
	require.Equal(t, "dark", chromium.Value[string](w, `document.documentElement.dataset.theme`))
	w.Keys("?")
	require.False(t, chromium.Value[bool](w, `document.getElementById("keys").open`))
}

// A hidden window hears nothing, and catches up when it is looked at.
func TestAHiddenWindowCatchesUp(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise("Asha Rao")
	w := h.window("sup1", chromium.Options{})
	w.Visit("/callbacks/" + id)
	w.Eval(`Object.defineProperty(document, "hidden", { configurable: true, get: () => window.isHidden === true });
		const after = window.setTimeout; window.setTimeout = (f, ms) => after(f, ms === 30000 ? 10 : ms);
		window.isHidden = true; document.dispatchEvent(new Event("visibilitychange"))`)
	w.Until(`performance.getEntriesByType("resource").some((r) => r.name.includes("/v1/stream"))`) // it is over
	h.give("sup2", id, "claim", nil)
	w.Eval(`window.isHidden = false; document.dispatchEvent(new Event("visibilitychange"))`)
	w.Sees("Supervisor Two")
}
