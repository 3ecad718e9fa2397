package browser_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/desk/browser"
)

func (h *house) person(id string) (p api.Person) {
	h.tb.Helper()
	h.get("admin1", "/v1/staff/"+id, &p)
	return p
}

// Somebody is added with queues, a shift and who they are elsewhere (R13), and
// changed; what was not touched is nobody's but the file's.
func TestR13_SomebodyIsAddedAndChanged(t *testing.T) {
	h := open(t)
	w := h.window("admin1", "/people", browser.Look{})
	w.Expect(`status of (409|412|422) .*/v1/staff`)
	w.Click("#new-person summary")
	w.Fill("#person-id", "sup9")
	w.Fill("#person-name", "Supervisor Nine")
	w.Choose("#person-tier", "supervisor")
	w.Choose("#person-reports", "mgr1")
	w.Fill("#person-capacity", "3")
	w.Fill("#person-shift", "nights")
	w.Click("input[name=queues][value='Supervisors - RM']")
	w.Fill("#identity-freshdesk", "1199")
	w.Click("#new-person button[type=submit]")
	w.Says("Expected one of the calendars: weekdays.")
	w.Until("document.activeElement.id === 'person-shift' && document.querySelector('#person-name').value === 'Supervisor Nine'")
	w.Click("#new-person button[type=submit]")
	w.Until("!document.querySelector('form[data-busy]') && document.querySelectorAll('.field-error').length === 1")
	w.Replace("#person-shift", "weekdays")
	w.Click("#new-person button[type=submit]")
	w.At("^/people/sup9$")
	w.Says("Supervisor Nine works here now.")
	p := h.person("sup9")
	require.Equal(t, []any{"Supervisor Nine", "supervisor", "mgr1", 3, "weekdays", "admin"}, []any{p.Name, p.Tier, *p.ReportsTo, *p.Capacity, *p.Shift, p.Origin})
	require.Equal(t, []string{"Supervisors - RM"}, p.Queues)
	require.Equal(t, map[string]string{"freshdesk": "1199"}, p.Identities)

	// They can work at once.
	id := h.named("Asha Rao")
	theirs := h.window("sup9", "/", browser.Look{})
	theirs.Says("Asha Rao")
	theirs.Click("[data-claim-next] button")
	theirs.Says("Asha Rao is yours.")
	var c api.Callback
	h.get("sup9", "/v1/callbacks/"+id, &c)
	require.Equal(t, "sup9", *c.Assignee)

	// Changed: another queue, no shift, another identity; the same again is nothing.
	w.Click("input[name=queues][value='Supervisors - RM']")
	w.Click("input[name=queues][value='Supervisors - Air']")
	w.Replace("#person-shift", "")
	w.Replace("#identity-freshdesk", "")
	w.Replace("#identity-zoho", "2199")
	w.Click("#person form[data-person] button[type=submit]")
	w.Says("Saved.")
	p = h.person("sup9")
	require.Equal(t, []string{"Supervisors - Air"}, p.Queues)
	require.Nil(t, p.Shift)
	require.Equal(t, map[string]string{"zoho": "2199"}, p.Identities)
	w.Click("#person form[data-person] button[type=submit]")
	w.Says("Nothing is different.")

	// Only what is touched is set by hand, and can be given back.
	w.Go("/people/sup1")
	w.Replace("#person-capacity", "7")
	w.Click("#person form[data-person] button[type=submit]")
	w.Says("Saved.")
	w.Says("set by hand")
	require.Equal(t, []string{"capacity"}, h.person("sup1").Pinned)
	w.Click("input[name=unpin][value=capacity]")
	w.Click("form[data-unpin] button")
	w.Says("Given back.")
	w.Gone("form[data-unpin]")
	require.Empty(t, h.person("sup1").Pinned)

	// Who has open callbacks does not leave; without them they do, and come back.
	w.Go("/people/sup9")
	w.Click("form[data-leave] button")
	w.Says("has 1 open callbacks: reassign those first")
	h.give("sup9", id, "release", object{"reason": "Shift is over"})
	w.Click("form[data-leave] button")
	w.Says("Supervisor Nine no longer works here.")
	w.Is("form[data-leave=PATCH]")
	require.False(t, h.person("sup9").Active)
	w.Click("form[data-leave] button")
	w.Says("Supervisor Nine works here again.")
	require.True(t, h.person("sup9").Active)
}

// Of two administrators who change somebody at once, the second is told, keeps
// what was typed, and sees what the first has made of it.
func TestTwoAdministratorsAtOnce(t *testing.T) {
	h := open(t)
	require.NoError(t, h.Do(t.Context(), "admin1", http.MethodPatch, "/v1/staff/assoc1", object{"roles": []string{"admin"}}, nil))
	w := h.window("admin1", "/people/sup2", browser.Look{})
	w.Expect(`status of 412 .*/v1/staff`)
	w.Replace("#person-capacity", "9")
	require.NoError(t, h.Do(t.Context(), "assoc1", http.MethodPatch, "/v1/staff/sup2", object{"name": "Supervisor Two, renamed"}, nil))
	w.Click("#person form[data-person] button[type=submit]")
	w.Says("Something happened to it meanwhile.")
	w.Says("Supervisor Two, renamed")
	w.Until("document.querySelector('#person-capacity').value === '9' && document.querySelector('#person-name').value === 'Supervisor Two, renamed'")
	w.Click("#person form[data-person] button[type=submit]")
	w.Says("Saved.")
	p := h.person("sup2")
	require.Equal(t, "Supervisor Two, renamed", p.Name)
	require.Equal(t, 9, *p.Capacity)
}

// asks makes a request with a key as a system does, over the wire.
func (h *house) asks(key, path string) (status int, body map[string]any) {
	h.tb.Helper()
	r, err := http.NewRequestWithContext(h.tb.Context(), http.MethodGet, h.base+path, nil)
	require.NoError(h.tb, err)
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(h.tb, err)
	defer func() { require.NoError(h.tb, answer.Body.Close()) }()
	require.NoError(h.tb, json.NewDecoder(answer.Body).Decode(&body))
	return answer.StatusCode, body
}

// A key is shown exactly once, lets a system in, and once revoked does not.
func TestAKeyIsShownOnceAndRevoked(t *testing.T) {
	h := open(t)
	w := h.window("admin1", "/people", browser.Look{})
	w.Expect(`status of 422 .*/v1/keys`)
	w.Says("There is none: no system may ask.")
	w.Fill("#key-name", "checker")
	w.Set("#key-expires", h.Now().Add(30*24*time.Hour).Format(time.DateOnly))
	w.Click("[data-key-form] button[type=submit]")
	w.Is("[data-key-form] [data-refused]") // nothing is ticked
	w.Until("document.querySelector('#key-name').value === 'checker'")
	w.Click("[data-key-form] input[value=read]")
	w.Click("[data-key-form] button[type=submit]")
	w.Is("[data-new-key] code")
	w.Says("It is shown this once")
	key := w.Text("[data-new-key] code")
	require.Regexp(t, `^rbk_[a-z2-7]{16}_[a-z2-7]{52}$`, key)
	id := strings.Split(key, "_")[1]
	w.Is("#key-" + id)
	w.Gone("[data-key-form] [data-refused]")

	status, me := h.asks(key, "/v1/me")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "system:checker", me["id"])
	status, refused := h.asks(key, "/v1/keys")
	require.Equal(t, http.StatusForbidden, status, refused)

	// Nobody can look it up again: not here, not elsewhere, not in what the browser keeps.
	nowhere := func(w *browser.Window) {
		t.Helper()
		w.Is("#key-" + id)
		var kept string
		w.Eval("document.documentElement.outerHTML + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie", &kept)
		require.NotContains(t, kept, key)
		require.NotContains(t, kept, strings.Split(key, "_")[2])
	}
	nowhere(h.window("admin1", "/people", browser.Look{}))
	w.Go("/people")
	nowhere(w)
	w.Gone("[data-new-key]")

	w.Click("#key-" + id + " [data-revoke]")
	w.Is("#revoke[open]")
	w.Says("checker is turned away from its next request on.")
	w.Type(kb.Enter) // the button has the focus
	w.Gone("#revoke")
	w.Until("document.querySelector('#key-" + id + "').textContent.includes('Revoked')")
	w.Gone("#key-" + id + " [data-revoke]")
	status, refused = h.asks(key, "/v1/me")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "unauthenticated", refused["code"])
}

// R26: an administrator erases a customer, by keyboard alone: the word is asked for,
// what is on screen elsewhere goes with it, and who may not is not offered it.
func TestR26_ACustomerIsErased(t *testing.T) {
	h := open(t)
	ids := []string{h.named("Asha Rao"), h.named("Asha Rao")}
	page := "/callbacks/" + ids[0] + "/customer"
	w := h.window("admin1", page, browser.Look{})
	w.Says("complete or cancel what is open first")
	w.Gone("[data-dialog=erase]")
	for _, id := range ids {
		h.give("sup1", id, "claim", nil)
		h.give("sup1", id, "start", nil)
		h.give("sup1", id, "attempts", object{"disposition": "reached"})
		h.give("sup1", id, "complete", object{"resolution_reason": "resolved", "call_summary": "Refund explained"})
	}
	w.Is("[data-dialog=erase]")
	w.Expect(`status of 409 .*/erase`)
	elsewhere := h.window("sup1", "/callbacks/"+ids[1], browser.Look{})
	elsewhere.Says("Refund explained")
	h.window("mgr1", page, browser.Look{}).Gone("[data-dialog=erase]")

	w.Until("document.querySelector('[data-dialog=erase]').focus() || document.activeElement.dataset.dialog === 'erase'")
	w.Press(kb.Enter)
	w.Is("dialog#erase[open]")
	w.Says("What stays:")
	w.Choose("#erase-ground", "request")
	w.Fill("#erase-word", "yes")
	w.Press(kb.Enter)
	w.Until("document.querySelector('#erase-word').validity.patternMismatch && document.querySelector('dialog#erase').open")
	w.Replace("#erase-word", "Erase")
	w.Press(kb.Enter)
	w.Says("Not yet.") // their histories are still on their way into the archive
	require.NoError(t, h.Move(t.Context(), 2*time.Hour))
	w.Replace("#erase-word", "Erase")
	w.Press(kb.Enter)
	w.Says("The customer is erased.")
	w.Says("This customer was erased")
	w.Gone("dialog#erase")
	w.Until("!document.documentElement.outerHTML.includes('Asha')")
	elsewhere.Says("Customer erased")
	elsewhere.Says("The customer was erased.")
	elsewhere.Until("!document.documentElement.outerHTML.includes('Asha') && !document.body.textContent.includes('Refund explained')")
	for _, id := range ids {
		var c api.Callback
		h.get("sup1", "/v1/callbacks/"+id, &c)
		require.Nil(t, c.Customer.Name)
	}
}
