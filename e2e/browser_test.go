package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	chromium "ringback/desk/browser"
)

// somebody opens a window, signs in by choosing who to be, and is at My work.
func (d *desk) somebody(t *testing.T, as string, look chromium.Look) *chromium.Window {
	t.Helper()
	w := chromium.Open(t, d.base, look)
	w.Go("/")
	w.At("^/sign-in$")
	require.Empty(t, w.Axe(), "the page of the sign-in")
	w.Click("button[name=staff_id][value=" + as + "]")
	w.At("^/$")
	w.Says("My work")
	return w
}

// promiseInBrowser fills the page of a new callback and promises it.
func promiseInBrowser(w *chromium.Window, policy, name, phone string) (id string) {
	w.Choose("#policy", policy)
	w.Fill("#name", name)
	w.Fill("#phone", phone)
	w.Fill("#zone", "Europe/London")
	w.Fill("#reason", "Wants to hear it from a supervisor")
	w.Click("form.new button[type=submit]")
	w.At("^/callbacks/[^/]+/promised$")
	w.Eval(`location.pathname.split("/")[2]`, &id)
	return id
}

// The whole of R01 to R12 as three people live it, in three windows, on the
// program that one tries first.
func TestR01ToR12_ThreePeopleInThreeWindows(t *testing.T) {
	d := openDesk(t, 4*time.Second)
	associate := d.somebody(t, "assoc1", chromium.Look{})
	supervisor := d.somebody(t, "sup1", chromium.Look{})
	manager := d.somebody(t, "mgr1", chromium.Look{Dark: true})

	// R01: first a live transfer. A supervisor is free and is reserved, but it fails: that is recorded.
	associate.Click("nav.menu a[href='/new']")
	associate.Choose("#policy", "unhurried")
	associate.Says("Nobody is free right now.")
	associate.Until(`document.querySelector("#outcome").value === "none_free"`)
	supervisor.Choose("#presence-state", "available")
	supervisor.Says("You are free for live transfers.")
	associate.Go("/new")
	associate.Choose("#policy", "unhurried")
	associate.Says("Free now: Supervisor One.")
	associate.Click("[data-reserve]")
	associate.Says("Supervisor One is held for you until")
	associate.Click("[data-reserved] button", "The transfer failed")
	associate.Until(`document.querySelector("#outcome").value === "failed"`)

	// R02: the promise is an instant; the associate reads it out in the customer's time. R03: the tag, and the queue.
	id := promiseInBrowser(associate, "unhurried", "Zebedee Quartermain", "+442079460958")
	due, err := time.Parse(time.RFC3339, d.get(id)["due_at"].(string))
	require.NoError(t, err)
	london, err := time.LoadLocation("Europe/London")
	require.NoError(t, err)
	associate.Says("A supervisor will call you on +44 20 7946 0958 by ")
	associate.Says(due.In(london).Format("15:04") + " your time.")
	associate.Says("It waits in the queue S.")
	associate.Says("The ticket wears the tag “Callback Required”.")
	require.Equal(t, "failed", d.get(id)["transfer_attempt"].(object)["outcome"])

	// R04: the supervisor sees it come, without doing anything, and claims it.
	supervisor.Says("Zebedee Quartermain")
	supervisor.Click("[data-claim-next] button")
	supervisor.Says("Zebedee Quartermain is yours.")
	supervisor.Click("#first .act", "Start")
	supervisor.Until(`document.querySelector("#first [data-act]")?.textContent.includes("Call +44 20 7946 0958")`)

	// R05: who took it owns it; the associate's page says so by itself.
	associate.Go("/callbacks/" + id)
	associate.Says("Calls next Supervisor One Owns it Supervisor One")

	// R09: an attempt that fails changes nothing; the tag stays.
	supervisor.Click("#first .dispositions button[value=no_answer]")
	supervisor.Says("1 call so far")
	associate.Says("No answer")
	associate.Until(`document.querySelector(".chip.tag")?.textContent.includes("Callback Required")`)
	require.Equal(t, due.UTC().Format(time.RFC3339), rounded(t, d.get(id)["due_at"]), "the promise did not move")

	// R06, R07: the customer asks for a manager. None is free, so a manager's callback is promised: a fresh hour, the tag
	// and the owner stay. Down or sideways is not offered.
	supervisor.Click("#first h2 a")
	supervisor.At("^/callbacks/")
	supervisor.Click("[data-dialog=escalate]")
	supervisor.Says("Nobody is free right now.")
	supervisor.Fill("#escalate-reason", "Asks for a manager")
	supervisor.Click("#escalate button[type=submit]")
	supervisor.Says("Escalated.")
	supervisor.Says("Calls next nobody Owns it you")
	supervisor.Gone("[data-dialog=reassign]")
	supervisor.Gone("form[data-command=claim]")
	fresh, err := time.Parse(time.RFC3339, d.get(id)["due_at"].(string))
	require.NoError(t, err)
	require.True(t, fresh.After(due), "a fresh hour")
	associate.Says("Manager · M")

	// R08: the manager sees it come, claims, calls; "resolved" is offered only after the customer was reached.
	manager.Says("Zebedee Quartermain")
	manager.Click("[data-claim-next] button")
	manager.Click("#first .act", "Start")
	manager.Is("#first .dispositions")
	manager.Click("#first h2 a")
	manager.At("^/callbacks/")
	manager.Gone("[data-dialog=reassign] ~ form[data-command=claim]")
	manager.Click(".dispositions button[value=reached]")
	manager.Says("Promise kept")

	// R12: without a summary it is not completed: the browser asks for it, and the API would.
	manager.Click(".case-act [data-dialog=complete]")
	manager.Click("#complete input[value=resolved]")
	manager.Click("#complete button[type=submit]")
	manager.Until(`document.querySelector("#complete").open && document.activeElement.id === "complete-summary" && !document.querySelector("#complete-summary").validity.valid`)
	require.Equal(t, "in_progress", d.get(id)["status"])
	manager.Fill("#complete-summary", "Explained, and apologised")
	manager.Click("#complete button[type=submit]")
	manager.Says("Completed. Thank you.")
	manager.Says("How it ended")
	manager.Gone(".chip.tag")
	associate.Says("How it ended")
	associate.Says("Explained, and apologised")
	associate.Gone(".chip.tag")
	supervisor.Says("How it ended")

	// R11: nobody takes the next one in time. It climbs by itself, and the manager is shown it.
	associate.Go("/new")
	second := promiseInBrowser(associate, "promise", "Perpetua Lark", "+442079460959")
	manager.Go("/")
	manager.Says("Perpetua Lark")
	associate.Go("/callbacks/" + second)
	associate.Says("Manager · M")
	associate.Says("A promise was missed")
	associate.Says("Calls next nobody Owns it nobody")

	// R10: it is on the list of open tags, and is chased: whoever has it reads that.
	manager.Click("[data-claim-next] button")
	manager.Says("Perpetua Lark is yours.")
	supervisor.Go("/tags")
	supervisor.Says("1 ticket still wears its tag")
	supervisor.Click("#t-" + second + " [data-chase]")
	supervisor.Click("#chase button[type=submit]")
	supervisor.Says("Chased: it is on the timeline.")
	manager.Until(`document.querySelector("#first .news")?.textContent.includes("Supervisor One")`)

	// R09: closed without service, it says so: another tag.
	manager.Click("#first h2 a")
	manager.At("^/callbacks/")
	manager.Click("[data-dialog=cancel]")
	manager.Fill("#cancel-reason", "Called the other line meanwhile")
	manager.Click("#cancel button[type=submit]")
	manager.Says("Cancelled.")
	manager.Until(`document.querySelector(".chip.tag")?.textContent.includes("Callback Not Served")`)
	supervisor.Says("No tag is open: every promise is done.")

	// R24: what the windows brought about is what the histories say.
	out, err := d.command("audit", "verify", "--server", d.base)
	require.NoError(t, err, out)
}

// rounded is an instant to the second.
func rounded(t *testing.T, at any) string {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, at.(string))
	require.NoError(t, err)
	return parsed.UTC().Format(time.RFC3339)
}
