package browser_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/desk/browser"
	"ringback/e2e/harness/floor"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

type object = map[string]any

// system is a system around the desk to which nothing is brought by itself.
type system string

func (s system) Name() string                                       { return string(s) }
func (s system) Wants(book.Intake, *callback.Policy) bool           { return true }
func (s system) Types() []callback.EventType                        { return nil }
func (s system) Deliver(context.Context, connectors.Delivery) error { return nil }

// house is a desk with people at it, at an address.
type house struct {
	*floor.Floor
	tb   testing.TB
	base string
}

// open opens one; change alters the options before.
func open(tb testing.TB, change ...func(*floor.Options)) *house {
	tb.Helper()
	if testing.Short() {
		tb.Skip("a browser takes seconds")
	}
	o := floor.Options{
		Data: tb.TempDir(), Logger: slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
		Change: func(o *api.Options) {
			o.Connectors = []connectors.Connector{system("freshdesk"), system("oneview"), system("zohodesk")}
		},
	}
	for _, f := range change {
		f(&o)
	}
	f, err := floor.Open(tb.Context(), o)
	require.NoError(tb, err)
	server := httptest.NewServer(f.Handler)
	tb.Cleanup(func() {
		server.CloseClientConnections() // streams have no end
		server.Close()
		require.NoError(tb, f.Close())
	})
	return &house{f, tb, server.URL}
}

// window is a window of somebody who is signed in and at a page.
func (h *house) window(as, path string, look browser.Look) *browser.Window {
	h.tb.Helper()
	w := browser.Open(h.tb, h.base, look)
	w.Go("/sign-in?as=" + as + "&next=/help")
	w.Go(path)
	return w
}

func (h *house) promise(change ...func(object)) string {
	h.tb.Helper()
	id, err := h.Promise(h.tb.Context(), "assoc1", change...)
	require.NoError(h.tb, err)
	return id
}

// named promises a callback to somebody of this name, with a number of their own.
func (h *house) named(name string) string {
	h.tb.Helper()
	return h.promise(func(b object) {
		b["customer"] = object{"name": name, "phone": fmt.Sprintf("+9198%08d", crc32.ChecksumIEEE([]byte(name))%100_000_000), "time_zone": "Asia/Kolkata"}
	})
}

func (h *house) give(as, id, command string, body any) {
	h.tb.Helper()
	require.NoError(h.tb, h.Do(h.tb.Context(), as, http.MethodPost, "/v1/callbacks/"+id+"/"+command, body, nil))
}

func (h *house) get(as, path string, out any) {
	h.tb.Helper()
	require.NoError(h.tb, h.Do(h.tb.Context(), as, http.MethodGet, path, nil, out))
}

// busy is a floor on which much has happened; it returns callbacks by what they are.
func (h *house) busy() map[string]string {
	h.tb.Helper()
	ids := map[string]string{}
	finish := func(id string) {
		h.give("sup2", id, "claim", nil)
		h.give("sup2", id, "start", nil)
		h.give("sup2", id, "attempts", object{"disposition": "reached"})
		h.give("sup2", id, "complete", object{"resolution_reason": "resolved", "call_summary": "Refund will arrive on Friday"})
	}
	ids["late"] = h.named("Meera Iyer")
	finish(h.named("Ravi Menon"))
	require.NoError(h.tb, h.Move(h.tb.Context(), 70*time.Minute)) // one promise is missed
	finish(h.named("Sunita Shah"))
	ids["queued"] = h.named("Asha Rao")
	h.promise(func(b object) {
		b["customer"], b["lob"] = object{"name": "Jonas Lind", "phone": "+46701234567", "time_zone": "Europe/Stockholm"}, "flights"
		b["reason"] = "Was rebooked twice and has lost a seat reservation"
	})
	ids["held"] = h.promise(func(b object) {
		b["customer"] = object{"name": "Li Wei", "phone": "+8613800138000", "time_zone": "Asia/Shanghai"}
		b["source"] = object{"system": "freshdesk", "ref": "4711", "url": "https://acme.freshdesk.com/a/tickets/4711"}
	})
	h.give("sup1", ids["held"], "claim", nil)
	h.give("sup1", ids["held"], "hold", object{"reason": "Bank is closed", "until": h.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)})
	ids["reached"] = h.named("Farhan Ali")
	h.give("sup1", ids["reached"], "claim", nil)
	h.give("sup1", ids["reached"], "start", nil)
	h.give("sup1", ids["reached"], "attempts", object{"disposition": "no_answer"})
	h.give("sup1", ids["reached"], "attempts", object{"disposition": "reached"})
	h.give("mgr1", ids["reached"], "notes", object{"kind": "note", "body": "The refund was approved this morning"})
	ids["claimed"] = h.named("Grace Mensah")
	h.give("sup1", ids["claimed"], "claim", nil)
	h.give("sup1", ids["claimed"], "start", nil)
	ids["escalated"] = h.named("Peter Novak")
	h.give("sup2", ids["escalated"], "claim", nil)
	h.give("sup2", ids["escalated"], "escalate", object{"reason": "Asks for a manager"})
	ids["scheduled"] = h.promise(func(b object) {
		b["customer"] = object{"name": "Ana Costa", "phone": "+351912345678", "time_zone": "Europe/Lisbon"}
		b["scheduled_for"] = h.Now().Add(26 * time.Hour).UTC().Format(time.RFC3339)
	})
	ids["completed"] = h.named("Tom Baker")
	finish(ids["completed"])
	ids["cancelled"] = h.named("Yuki Tanaka")
	h.give("mgr1", ids["cancelled"], "cancel", object{"reason": "Not needed any more"})
	require.NoError(h.tb, h.Do(h.tb.Context(), "mgr1", http.MethodPut, "/v1/me/presence", object{"state": "available"}, nil))
	return ids
}

// trouble is what goes wrong around a busy floor, and what administrators have:
// things owed, an outage and one that is over, keys, somebody who has left.
func (h *house) trouble(ids map[string]string) {
	h.tb.Helper()
	ctx := h.tb.Context()
	now := callback.At(h.Now())
	for _, id := range []string{ids["completed"], ids["reached"]} {
		require.NoError(h.tb, h.Store.NoteDelivery(ctx, book.Delivery{
			OperationID: book.OperationID(id, "freshdesk", 1), Destination: "freshdesk", CallbackID: id, Seq: 1, Type: callback.TypeRequested,
			State: book.DeliveryDelivered, TriedAt: now, SettledAt: now,
		}))
	}
	require.NoError(h.tb, h.Owe(ctx, ids["held"], "oneview", "no_identity"))
	require.NoError(h.tb, h.Owe(ctx, ids["reached"], "oneview", "unavailable"))
	require.NoError(h.tb, h.Store.Keep(ctx, book.Message{ID: "kept1", Connector: "freshdesk", Reason: "expected the ticket's number", Media: "application/json", Body: []byte("{}")}))
	over := book.Outage{ID: uuid.Must(uuid.NewV7()).String(), Source: "zohodesk", Words: "Zoho is slow", DeclaredBy: "mgr2", DeclaredAt: now.Plus(-callback.Duration(95 * time.Minute))}
	_, err := h.Store.Declare(ctx, over)
	require.NoError(h.tb, err)
	require.NoError(h.tb, h.Store.EndOutage(ctx, over.ID, "mgr2", now.Plus(-callback.Duration(20*time.Minute))))
	h.outage("Bookings of flights are down. We call you back as soon as they work, and nothing is lost", object{"lob": "flights"})
	key := func(name string, scopes ...string) api.Key {
		var made api.Key
		require.NoError(h.tb, h.Do(ctx, "admin1", http.MethodPost, "/v1/keys", object{
			"name": name, "scopes": scopes, "expires_at": h.Now().Add(90 * 24 * time.Hour).UTC().Format(time.RFC3339),
		}, &made))
		return made
	}
	require.NoError(h.tb, h.Do(ctx, "admin1", http.MethodDelete, "/v1/keys/"+key("oneview", "intake", "read").ID, nil, nil))
	key("servicebench", "intake")
	key("warehouse", "read", "audit")
	require.NoError(h.tb, h.Do(ctx, "admin1", http.MethodPatch, "/v1/staff/sup1", object{"capacity": 6}, nil))
	require.NoError(h.tb, h.Do(ctx, "admin1", http.MethodDelete, "/v1/staff/tech1", nil, nil))
}

// outage declares one.
func (h *house) outage(words string, of object) {
	h.tb.Helper()
	of["words"] = words
	require.NoError(h.tb, h.Do(h.tb.Context(), "mgr1", http.MethodPost, "/v1/outages", of, nil))
}
