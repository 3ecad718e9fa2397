package browser_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/e2e/harness/chromium"
)

// Everything by keyboard: a callback from the promise to its end without a mouse.
func TestByKeyboardAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	w := h.window("assoc1", chromium.Options{})
	w.Visit("/")
	focus := func(id string) {
		t.Helper()
		for range 60 {
			if chromium.Value[bool](w, `document.activeElement.matches(`+"`"+id+"`"+`)`) {
				return
			}
			w.Keys(chromium.Tab)
		}
		t.Fatalf("the focus never comes to %s", id)
	}
	w.Keys("n")
	w.At("/new")
	w.Until(`document.getElementById("outcome").value === "none_free"`)
	focus("#name")
	w.Type("Asha Rao")
	w.Keys(chromium.Tab)
	w.Type("+919876543210")
	w.CtrlEnter()
	w.Sees("Promised. Say this now:")
	id := chromium.Value[string](w, `location.pathname.split("/")[2]`)

	w = h.window("sup1", chromium.Options{})
	w.Visit("/board")
	w.Keys("g", "w")
	w.At("/")
	w.Keys("c") // claim the next one
	w.SeesIn("#first", "Asha Rao")
	w.SeesIn("#first", "Start")
	w.Keys("a") // act
	w.SeesIn("#first", "Call +919876543210")
	w.Keys("j")
	w.Until(`document.activeElement.id === "first"`)
	w.Keys(chromium.Enter)
	w.At("/callbacks/" + id)
	focus("button[value=reached]")
	w.Keys(chromium.Enter)
	w.Sees("Promise kept")
	w.Keys("a")
	w.Until(`document.getElementById("complete").open`)
	focus(`#complete input[value=resolved]`)
	w.Keys(chromium.Space)
	focus("#complete-summary")
	w.Type("Refund explained")
	// Escape closes, and what was typed stays.
	w.Keys(chromium.Escape)
	w.Until(`!document.getElementById("complete").open`)
	w.Keys("a")
	w.Until(`document.getElementById("complete").open && document.getElementById("complete-summary").value === "Refund explained"`)
	focus("#complete-summary")
	w.CtrlEnter()
	w.Sees("Completed. Thank you.")
	require.Equal(t, "completed", h.callback(id).Status)

	// The board: cards by arrows, the menu by a key.
	first, second := h.promise("One"), h.promise("Two")
	w.Keys("g", "b")
	w.At("/board")
	w.Until(`document.querySelector('` + card(second) + `')`)
	w.Keys("j")
	w.Until(`document.activeElement.dataset.id === "` + first + `"`)
	w.Keys(chromium.ArrowDown)
	w.Until(`document.activeElement.dataset.id === "` + second + `"`)
	w.Keys("m")
	w.Until(`document.getElementById("card-menu").matches(":popover-open")`)
	w.SeesIn("#card-menu", "Two")
	w.Keys(chromium.Enter) // the first of it: claim
	w.Until(`document.querySelector('[data-drop=claimed] ` + card(second) + `')`)
	w.Until(`document.activeElement.dataset.id === "` + second + `"`) // the focus went along
	w.Keys(chromium.ArrowLeft)
	w.Until(`document.activeElement.dataset.id === "` + first + `"`)
	require.Equal(t, "sup1", *h.callback(second).Assignee)
	w.Keys("?")
	w.Until(`document.getElementById("keys").open`)
	w.Keys(chromium.Escape)
	w.Until(`!document.getElementById("keys").open`)
}
