package browser_test

import (
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/desk/browser"
	"ringback/e2e/harness/floor"
	"ringback/engine/embedded/freeport"
)

// R23: once an outage is declared everybody is told, whatever page they are on,
// and nothing that they type is disturbed; when it is over, that is gone.
func TestR23_AnOutageIsOnEveryDeskAtOnce(t *testing.T) {
	h := open(t)
	affected := h.promise(func(b object) { b["lob"] = "flights" })
	declares := h.window("mgr1", "/outages", browser.Look{})
	associate := h.window("assoc1", "/new", browser.Look{})
	reader := h.window("aud1", "/help", browser.Look{Width: 390, Height: 844})
	supervisor := h.window("sup2", "/callbacks/"+affected, browser.Look{})
	everybody := []*browser.Window{declares, associate, reader, supervisor}
	associate.Fill("#name", "Half a na")
	for _, w := range everybody {
		w.Eval("globalThis.sameVisit = true", nil)
	}
	told := func(words string) {
		t.Helper()
		for _, w := range everybody {
			w.Says(words)
		}
	}

	declares.Fill("#outage-lob", "flights")
	declares.Fill("#outage-words", "Bookings are down: we call back")
	declares.Click("form[data-command=declare-outage] button[type=submit]")
	declares.Says("Declared: everybody is told.")
	told("(line of business flights): Bookings are down: we call back")
	supervisor.Says("Linked to an outage")
	declares.Says("1 open callback is linked to it.")

	// What another process of the desk was told is told here too.
	elsewhere := book.Outage{ID: uuid.Must(uuid.NewV7()).String(), Source: "zohodesk", Words: "Zoho is slow", DeclaredBy: "mgr2", DeclaredAt: callback.At(h.Now())}
	_, err := h.Store.Declare(t.Context(), elsewhere)
	require.NoError(t, err)
	told("Zoho is slow")

	var active api.Outages
	h.get("mgr1", "/v1/outages?active=true", &active)
	require.Len(t, active.Items, 2)
	for _, o := range active.Items {
		if o.ID != elsewhere.ID {
			declares.Fill("#outage-"+o.ID+" textarea", "Bookings work again")
			declares.Click("#outage-" + o.ID + " form button[type=submit]")
		}
	}
	declares.Says("Over: everything goes on.")
	require.NoError(t, h.Store.EndOutage(t.Context(), elsewhere.ID, "mgr2", callback.At(h.Now())))
	for _, w := range everybody {
		w.Gone("[data-outage]")
		w.Until("globalThis.sameVisit === true")
	}
	supervisor.Until(`!document.querySelector(".case").textContent.includes("Linked to an outage")`)
	associate.Until(`document.querySelector("#name").value === "Half a na"`)
	associate.Type("me") // where the cursor was
	associate.Until(`document.querySelector("#name").value === "Half a name"`)
}

// R13: what is owed to another system is given up with a reason, under a name.
func TestR13_WhatIsOwedIsGivenUp(t *testing.T) {
	h := open(t)
	id := h.named("Asha Rao")
	h.give("sup1", id, "claim", nil)
	require.NoError(t, h.Owe(t.Context(), id, "oneview", "no_identity"))
	systems := h.window("mgr1", "/systems", browser.Look{})
	systems.Says("the author has no identity there (R13)")
	w := h.window("sup1", "/callbacks/"+id, browser.Look{})
	w.Until(`document.querySelector("#owed .chip").textContent === "Owed"`)
	w.Click("[data-dialog=waive]")
	w.Is("#waive[open]")
	w.Click("#waive button[type=submit]")
	w.Until(`document.activeElement.id === "waive-reason" && !document.activeElement.validity.valid`) // not without a reason
	w.Type("Their account comes on Monday")
	w.Click("#waive input[name=copied_by_hand]")
	w.Click("#waive button[type=submit]")
	w.Says("Written down.")
	w.Until(`document.querySelector("#owed .chip").textContent === "Given up"`)
	w.Gone("[data-dialog=waive]")
	w.Until(`(e => e.includes("Copied to oneview by hand") && e.includes("Their account comes on Monday") && e.includes("Supervisor One"))(document.querySelector(".timeline li").textContent)`)
	systems.Says("Nothing is owed.")
	var owed api.Deliveries
	h.get("mgr1", "/v1/owed", &owed)
	require.Empty(t, owed.Items)

	// Whoever may not is not asked.
	require.NoError(t, h.Owe(t.Context(), id, "freshdesk", "unavailable"))
	other := h.window("sup2", "/callbacks/"+id, browser.Look{})
	other.Until(`document.querySelector("#owed").textContent.includes("Owed")`)
	other.Gone("[data-dialog=waive]")
}

// Search from everywhere, by whatever one has, without a mouse.
func TestSearchFromEverywhere(t *testing.T) {
	h := open(t)
	asha := h.promise(func(b object) {
		b["customer"] = object{"name": "Asha Rao", "phone": "+919811122233", "time_zone": "Asia/Kolkata"}
		b["source"] = object{"system": "freshdesk", "ref": "48151623"}
	})
	peter := h.named("Peter Novak")
	for range 12 {
		h.named("Peter Nobody")
	}
	w := h.window("sup1", "/help", browser.Look{})
	here := func(path string) {
		t.Helper()
		w.Go(path)
		w.Until("document.documentElement.dataset.ready !== undefined")
		w.Type("/")
		w.Until("document.activeElement.id === 'q' && document.activeElement.value === ''")
	}
	for _, by := range []struct{ from, typed, id string }{
		{"/reports", "asha ra", asha}, {"/board", "+91981112", asha}, {"/policies", "48151623", asha}, {"/wallboard", "novak", peter}, {"/", peter, peter},
	} {
		here(by.from)
		w.Type(by.typed)
		w.Until("!document.querySelector('#found').hidden && document.querySelectorAll('#found [data-href]').length === 1")
		w.Type(kb.ArrowDown)
		w.Until("document.querySelector('#q').getAttribute('aria-activedescendant') === 'found-0'")
		w.Type(kb.Enter)
		w.At("^/callbacks/" + by.id + "$")
	}
	here("/tags")
	w.Type("nobody at all")
	w.Says("Nothing found. Every word must occur, as the beginning of a word.")
	w.Type(kb.Escape)
	w.Gone("#found")
	w.Type("a") // still in the field, not a command
	w.Until("document.querySelector('#q').value === 'nobody at alla'")

	here("/")
	w.Type("peter")
	w.Until("document.querySelectorAll('#found [data-href]').length === 8") // the newest
	w.Type(kb.Enter)
	w.At("^/search$") // all of them
	w.Until("document.querySelectorAll('main .card').length === 13")

	// Pressed with the mouse, too; and on a phone the page of its own.
	here("/")
	w.Type("asha")
	w.Click("#found [data-href]", "Asha Rao")
	w.At("^/callbacks/" + asha + "$")
	phone := h.window("admin1", "/people", browser.Look{Width: 390, Height: 844})
	phone.Click("a[href='/search']")
	phone.At("^/search$")
	phone.Fill("#search-q", "+919811122233")
	phone.Type(kb.Enter)
	phone.Click("main .card a", "Asha Rao")
	phone.At("^/callbacks/" + asha + "$")
}

// Many at once: what will happen is shown before, what has changed meanwhile is
// not done blindly, and what came of each is said.
func TestManyAtOnceWithAPreview(t *testing.T) {
	h := open(t)
	waiting, taken, done := h.named("Waiting Wanda"), h.named("Taken Tom"), h.named("Done Dora")
	h.give("sup1", taken, "claim", nil)
	h.give("mgr1", done, "cancel", object{"reason": "Not needed any more"})
	w := h.window("mgr1", "/activities", browser.Look{})
	w.Expect(`status of (409|412) .*/(reassign|cancel)`)
	row := func(id string) string { return "#r-" + id + " [data-select]" }
	said := func(name string) string {
		return `[...document.querySelectorAll("[data-bulk-preview] li")].find((e) => e.textContent.startsWith("` + name + `"))?.textContent`
	}
	w.Click("[data-select-all]")
	w.Says("3 selected")
	w.Click("[data-bulk-do=reassign]")
	w.Is("#bulk[open]")
	w.Until(said("Done Dora") + ` === "Done Dora stays as it is: it is closed"`)
	w.Choose("#bulk-to", "sup2")
	w.Until(said("Taken Tom") + `.endsWith("goes to Supervisor Two (supervisor)")`)
	w.Until(said("Waiting Wanda") + ` === "Waiting Wanda has nobody, goes to Supervisor Two (supervisor)"`)
	w.Fill("#bulk-reason", "Supervisor One is ill")

	// Meanwhile somebody takes one of them.
	h.give("sup2", waiting, "claim", nil)
	w.Click("[data-bulk-go]")
	w.Says("1 done, 1 not: see above.")
	w.Until(said("Waiting Wanda") + `.includes("Something happened to it meanwhile")`)
	w.Until(said("Taken Tom") + ` === "Taken Tom given to Supervisor Two (supervisor)"`)
	w.Until(`document.querySelector("#bulk-reason").value === "Supervisor One is ill"`)
	w.Choose("#bulk-to", "sup1")
	w.Click("[data-bulk-go]") // it still holds: by what it has become
	w.Gone("#bulk")
	w.Says("1 callback reassigned.")
	var c api.Callback
	h.get("mgr1", "/v1/callbacks/"+taken, &c)
	require.Equal(t, "sup2", *c.Assignee)
	h.get("mgr1", "/v1/callbacks/"+waiting, &c)
	require.Equal(t, "sup1", *c.Assignee)
	w.Until(`document.querySelector("#r-` + taken + `").textContent.includes("Supervisor Two")`)

	// Cancelled: back does nothing, and nothing is cancelled that was not selected.
	kept := h.named("Kept Karl")
	w.Is(row(kept))
	w.Click("[data-select-none]") // the one that stayed as it was
	w.Gone("[data-bulk]")
	w.Click(row(waiting))
	w.Click(row(taken))
	w.Says("2 selected")
	w.Click("[data-bulk-do=cancel]")
	w.Until(said("Taken Tom") + ` === "Taken Tom closes without service; its tag is replaced"`)
	w.Fill("#bulk-reason", "They withdrew")
	w.Click("#bulk footer [data-close]")
	w.Gone("#bulk")
	h.get("mgr1", "/v1/callbacks/"+taken, &c)
	require.Equal(t, "claimed", c.Status)
	w.Click("[data-bulk-do=cancel]")
	w.Until(`document.querySelector("#bulk-reason").value === "They withdrew"`)
	w.Click("[data-bulk-go]")
	w.Says("2 callbacks cancelled.")
	for id, status := range map[string]string{waiting: "cancelled", taken: "cancelled", kept: "queued"} {
		h.get("mgr1", "/v1/callbacks/"+id, &c)
		require.Equal(t, status, c.Status)
		w.Until(`document.querySelector("#r-` + id + `").textContent.includes("` + map[string]string{"cancelled": "Cancelled", "queued": "Waiting"}[status] + `")`)
	}
	w.Gone("[data-bulk]")
}

// impatient makes a page close its stream almost as soon as it is hidden, and
// shows its streams to the test.
const impatient = `(() => {
  const later = setTimeout, Real = EventSource;
  globalThis.setTimeout = (f, ms, ...rest) => later(f, ms === 30000 ? 30 : ms, ...rest);
  globalThis.streams = [];
  globalThis.EventSource = class extends Real { constructor(...all) { super(...all); streams.push(this); } };
})()`

// A window that was in the background is up to date when one comes back to it.
func TestAWindowThatComesBackIsUpToDate(t *testing.T) {
	h := open(t)
	id := h.named("Asha Rao")
	windows := map[string]*browser.Window{}
	for as, path := range map[string]string{"sup1": "/callbacks/" + id, "sup2": "/board", "mgr1": "/activities", "assoc1": "/help"} {
		w := browser.Open(t, h.base, browser.Look{})
		w.Before(impatient)
		w.Go("/sign-in?as=" + as + "&next=" + path)
		w.Until("streams.at(-1)?.readyState === EventSource.OPEN")
		windows[as] = w
	}
	h.give("mgr1", id, "notes", object{"kind": "note", "body": "Seen before"})
	windows["sup1"].Says("Seen before")
	for _, w := range windows {
		w.Hide()
		w.Until("streams.at(-1).readyState === EventSource.CLOSED")
	}
	h.give("sup2", id, "claim", nil)
	h.give("sup2", id, "notes", object{"kind": "note", "body": "Meanwhile"})
	late := h.named("Came Meanwhile")
	h.outage("Bookings are down", object{"lob": "flights"})
	var shown string
	for _, w := range windows {
		w.Eval("document.body.textContent", &shown)
		require.NotContains(t, shown, "Meanwhile")
		require.NotContains(t, shown, "Bookings are down")
	}
	for _, w := range windows {
		w.Show()
	}
	windows["sup1"].Says("Meanwhile")
	windows["sup1"].Says("Calls next Supervisor Two")
	windows["sup2"].Is("[data-status=claimed] #b-" + id)
	windows["sup2"].Is("[data-status=queued] #b-" + late)
	windows["mgr1"].Says("Came Meanwhile")
	for _, w := range windows {
		w.Says("Bookings are down")
		w.Gone("#offline")
		w.Until("streams.length === 2 && streams[1].readyState === EventSource.OPEN")
	}
	h.give("sup2", id, "notes", object{"kind": "note", "body": "And after"})
	windows["sup1"].Says("And after")
}

// The way back leads to what is now, not to what was.
func TestGoingBackShowsWhatIsNow(t *testing.T) {
	h := open(t)
	id := h.named("Asha Rao")
	w := h.window("sup1", "/callbacks/"+id, browser.Look{})
	w.Says("Calls next nobody")
	w.Click("nav.menu a[href='/help']")
	w.At("^/help$")
	h.give("sup2", id, "claim", nil)
	w.Eval("history.back()", nil)
	w.At("^/callbacks/")
	w.Says("Calls next Supervisor Two")
}

// lively is a house that is shut and opened again, at its address.
type lively struct {
	*house
	listener net.Listener
	address  string
	options  floor.Options
	server   *http.Server
}

func openLively(t *testing.T) *lively {
	t.Helper()
	l := listenLively(t)
	l.up()
	return l
}

// listenLively has the address, and nothing there yet.
func listenLively(t *testing.T) *lively {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes seconds")
	}
	ports, err := freeport.Take(t.Context(), 0) // one that nobody is given while the server is away
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", freeport.Address(ports[0]))
	require.NoError(t, err)
	l := &lively{listener: listener, address: listener.Addr().String(), options: floor.Options{
		Data: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	}}
	l.house = &house{tb: t, base: "http://" + l.address}
	t.Cleanup(l.down)
	return l
}

func (l *lively) up() {
	l.tb.Helper()
	var err error
	l.Floor, err = floor.Open(l.tb.Context(), l.options)
	require.NoError(l.tb, err)
	l.options.Engine = l.Engine
	if l.listener == nil {
		l.listener, err = new(net.ListenConfig).Listen(l.tb.Context(), "tcp", l.address)
		require.NoError(l.tb, err)
	}
	l.server = &http.Server{Handler: l.Handler, ReadHeaderTimeout: time.Minute}
	go func(server *http.Server, on net.Listener) { _ = server.Serve(on) }(l.server, l.listener) // it ends by Close, below
}

func (l *lively) down() {
	if l.server == nil {
		return
	}
	require.NoError(l.tb, l.server.Close())
	require.NoError(l.tb, l.Close())
	l.server, l.listener = nil, nil
}

// interrupted is what the browser says of a server that is away.
const interrupted = `ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|status of 503`

// A server that goes away under a command costs no word, and the command is done
// once, however often it is pressed.
func TestNothingIsLostWhenTheServerGoes(t *testing.T) {
	h := openLively(t)
	id := h.named("Asha Rao")
	h.give("sup1", id, "claim", nil)
	h.give("sup1", id, "start", nil)
	h.give("sup1", id, "attempts", object{"disposition": "reached"})
	w := h.window("sup1", "/callbacks/"+id, browser.Look{})
	admin := h.window("admin1", "/people/sup2", browser.Look{})
	for _, w := range []*browser.Window{w, admin} {
		w.Expect(interrupted)
	}
	w.Click(".case-act [data-dialog=complete]")
	w.Click("#complete input[value=resolved]")
	w.Fill("#complete-summary", "Explained the refund, twice")
	admin.Replace("#person-capacity", "9")
	admin.Click("input[name=queues][value='Supervisors - RM']")
	admin.Choose("#person-reports", "mgr2")

	h.down()
	w.Click("#complete button[type=submit]")
	w.Until(`document.querySelector("#complete [data-refused]")?.textContent.includes("No connection. What you typed is kept.")`)
	w.Press(kb.Enter, chromedp.ModifierCtrl) // again, still in vain
	admin.Click("#person form[data-person] button[type=submit]")
	admin.Until(`document.querySelector("#person form[data-person] [data-refused]").textContent.includes("No connection.")`)
	for _, w := range []*browser.Window{w, admin} {
		w.Is("#offline")
	}
	w.Until(`document.querySelector("#complete").open && document.querySelector("#complete-summary").value === "Explained the refund, twice" && !document.querySelector("form[data-busy]")`)
	h.up()
	for _, w := range []*browser.Window{w, admin} {
		w.Gone("#offline")
	}
	w.Click("#complete button[type=submit]")
	w.Says("Completed. Thank you.")
	var notes api.Notes
	h.get("mgr1", "/v1/callbacks/"+id+"/notes", &notes)
	require.Len(t, notes.Items, 1)
	require.Equal(t, "Explained the refund, twice", *notes.Items[0].Body)

	// A page that is left, or loaded anew, has it still: what was typed, chosen, ticked and unticked.
	admin.Go("/people/sup2")
	admin.Until(`document.querySelector("#person-capacity").value === "9" && document.querySelector("#person-reports").value === "mgr2" &&
		!document.querySelector("input[name=queues][value='Supervisors - RM']").checked && document.querySelector("input[name=queues][value='Supervisors - Air']").checked`)
	admin.Click("#person form[data-person] button[type=submit]")
	admin.Says("Saved.")
	var p api.Person
	h.get("admin1", "/v1/staff/sup2", &p)
	require.Equal(t, 9, *p.Capacity)
	require.Equal(t, "mgr2", *p.ReportsTo)
	require.Equal(t, []string{"Supervisors - Air", "Supervisors - Customer Service"}, p.Queues)
	require.ElementsMatch(t, []string{"capacity", "reports_to", "queues"}, p.Pinned)
	admin.Go("/people/sup2")
	admin.Click("#person form[data-person] button[type=submit]")
	admin.Says("Nothing is different.") // and nothing is left of the draft
}

// A 409 says who was there before, and costs no word either.
func TestNothingIsLostToA409(t *testing.T) {
	h := open(t)
	id := h.named("Asha Rao")
	h.give("sup1", id, "claim", nil)
	w := h.window("sup1", "/callbacks/"+id, browser.Look{})
	w.Expect(`status of (409|412) `)
	w.Fill("#note-body", "Prefers mornings")
	w.Click("[data-dialog=escalate]")
	w.Fill("#escalate-reason", "Asks for a manager, loudly")
	h.give("mgr1", id, "cancel", object{"reason": "Called the other line"})
	w.Click("#escalate button[type=submit]")
	w.Until(`document.querySelector("#escalate [data-refused]")?.textContent.includes("It is closed. Somebody has completed or cancelled it meanwhile")`)
	w.Until(`document.querySelector("#escalate").open && document.querySelector("#escalate-reason").value === "Asks for a manager, loudly"`)
	w.Says("Called the other line") // what happened, behind it

	// One who made a promise for the same ticket is led to it, with the form as it was.
	source := func(b object) { b["source"] = object{"system": "freshdesk", "ref": "4711"} }
	exists := h.promise(source)
	w = h.window("assoc1", "/new", browser.Look{})
	w.Expect(`status of 409 `)
	w.Choose("#policy", "supervisor-callback")
	w.Fill("#name", "Asha Rao")
	w.Fill("#phone", "+919876543210")
	w.Fill("#reason", "Still no refund, and she is upset")
	w.Fill("#system", "freshdesk")
	w.Fill("#ticket", "4711")
	w.Says("There is an open callback already")
	w.Click("form.new button[type=submit]")
	w.Is("form.new [data-refused] a[href='/callbacks/" + exists + "']")
	w.Until(`document.querySelector("#reason").value === "Still no refund, and she is upset" && document.querySelector("#name").value === "Asha Rao"`)
	w.Go("/help")
	w.Go("/new")
	w.Until(`document.querySelector("#reason").value === "Still no refund, and she is upset"`)
}
