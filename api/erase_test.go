package api_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
)

// servedCustomer is a callback that was completed, with all that can be said of a
// customer, and its history in the archive.
func (d *desk) servedCustomer(change ...func(object)) string {
	d.t.Helper()
	id := d.started(append([]func(object){func(b object) {
		b["customer"].(object)["email"] = "asha@example.com"
		b["source"] = object{"system": "freshdesk", "ref": fmt.Sprint("ticket-", d.clock.now().UnixMilli()), "url": "https://example.com/ticket"}
		b["transfer_attempt"] = object{"tier": "supervisor", "outcome": "secret_outcome"}
	}}, change...)...)
	d.command("sup1", id, "attempts", object{"disposition": "reached", "note": "secret of the call"}).want(200)
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/notes", as: "sup1", key: "note-" + id, body: object{"kind": "note", "body": "secret note"}}).want(201)
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/complete", as: "sup1", key: "complete-" + id, body: object{
		"resolution_reason": "resolved", "call_summary": "secret summary",
	}}).want(200)
	d.archive(id)
	return id
}

func (d *desk) archive(id string) {
	d.t.Helper()
	require.NoError(d.t, d.book.store.SaveHistory(context.WithoutCancel(d.t.Context()), book.Archived{
		CallbackID: id, RunID: "run", ClosedAt: callback.At(d.clock.now()), History: []byte("history"),
	}))
}

var ground = object{"ground": "request"}

func (d *desk) erase(as, id string) *reply { return d.post(as, "/v1/callbacks/"+id+"/erase", ground) }

func TestR26_ACustomerIsErasedWithAllTheirCallbacks(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	ids := []string{d.servedCustomer(), ""}
	d.clock.move(time.Minute)
	ids[1] = d.servedCustomer()
	other := d.servedCustomer(func(b object) {
		b["customer"] = object{"ref": "crm-2", "name": "Ben", "phone": "+919876543210"}
		b["source"].(object)["ref"] = "another"
	})
	before := d.get("sup1", "/v1/callbacks/"+ids[0]).want(200)
	entries := d.get("sup1", "/v1/callbacks/"+ids[0]+"/timeline").want(200).items()
	d.clock.move(time.Minute)

	r := d.do(call{method: "POST", path: "/v1/callbacks/" + ids[0] + "/erase", as: "admin1", key: "erase", body: ground, header: map[string]string{"If-Match": before.header.Get("ETag")}}).want(200)
	require.Equal(t, object{"erased": 2.0, "left": 1.0}, r.json())
	require.Equal(t, r.text(), d.do(call{method: "POST", path: "/v1/callbacks/" + ids[0] + "/erase", as: "admin1", key: "erase", body: ground}).want(200).text(), "repeated with its key it is the first answer")
	require.Equal(t, object{"erased": 0.0, "left": 0.0}, d.erase("admin1", ids[0]).want(200).json(), "done again it does nothing")

	for _, id := range ids {
		now := d.get("sup1", "/v1/callbacks/"+id).want(200)
		require.Equal(t, object{"ref": nil, "name": nil, "phone": nil, "email": nil, "time_zone": nil}, now.at("customer"))
		for _, member := range []string{"reason", "source", "transfer_attempt"} {
			require.Nil(t, now.at(member), member)
		}
		require.Equal(t, object{}, now.at("fields"))
		require.Equal(t, "completed", now.str("status"))
		require.Equal(t, "resolved", now.str("resolution_reason"))
		for _, n := range d.get("sup1", "/v1/callbacks/"+id+"/notes").want(200).items() {
			require.Nil(t, n["body"])
			require.Equal(t, "sup1", n["author"])
		}
		for _, where := range []string{"", "/timeline", "/notes", "/deadline"} {
			require.NotContains(t, d.get("sup1", "/v1/callbacks/"+id+where).want(200).text(), "secret")
		}
	}
	now := d.get("sup1", "/v1/callbacks/"+ids[0])
	version := len(entries) + 1
	require.EqualValues(t, version, now.at("version"))
	require.Equal(t, fmt.Sprintf(`"%d"`, version), now.header.Get("ETag"), "who has the older one is given the new one")
	require.Equal(t, "2026-11-23T12:02:06.000Z", now.str("updated_at"))
	told := d.get("sup1", "/v1/callbacks/"+ids[0]+"/timeline").items()
	require.Len(t, told, version)
	for i, e := range told {
		require.EqualValues(t, i+1, e["seq"], "gapless from 1")
		if i < len(entries) {
			require.Equal(t, entries[i]["type"], e["type"])
		}
	}
	require.Equal(t, object{
		"seq": float64(version), "type": "erased", "at": "2026-11-23T12:02:06.000Z", "actor": "admin1", "tier": "supervisor", "rule": "R26",
		"data": object{"ground": "request"},
	}, told[len(told)-1])

	require.Empty(t, d.get("sup1", "/v1/callbacks?customer=crm-1").items())
	require.Empty(t, d.get("sup1", "/v1/callbacks?q=asha").items())
	require.Len(t, d.get("sup1", "/v1/callbacks?q=9876543210").items(), 1, "of another customer with the same phone")
	require.Len(t, d.get("sup1", "/v1/callbacks").items(), 3, "what happened stays")
	require.Equal(t, "Ben", d.get("sup1", "/v1/callbacks/"+other).at("customer").(object)["name"])
	require.Contains(t, d.log.String(), "a customer was erased")
	require.NotContains(t, d.log.String(), "Asha")
}

func TestR26_ARepeatOfAnOldRequestBringsNothingBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	body := asked()
	made := d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "secret-key", body: body}).want(201)
	id := made.str("id")
	d.command("sup1", id, "claim", nil).want(200)
	d.command("sup1", id, "start", nil).want(200)
	d.command("sup1", id, "attempts", object{"disposition": "reached"}).want(200)
	note := call{method: "POST", path: "/v1/callbacks/" + id + "/notes", as: "sup1", key: "note", body: object{"kind": "call_summary", "body": "secret note"}}
	d.do(note).want(201)
	d.command("sup1", id, "complete", object{"resolution_reason": "resolved"}).want(200)
	d.archive(id)
	d.erase("admin1", id).want(200)

	again := d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "secret-key", body: body}).want(201)
	require.Equal(t, id, again.str("id"), "it is the same callback")
	require.Equal(t, made.header.Get("ETag"), again.header.Get("ETag"))
	require.Nil(t, again.at("customer").(object)["name"])
	require.Nil(t, again.at("reason"))
	require.Equal(t, made.at("due_at"), again.at("due_at"))
	require.Nil(t, d.do(note).want(201).at("body"))
	d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "secret-key", body: asked(func(b object) { b["reason"] = "other" })}).refused(422, "idempotency_key_reused", "")

	// Its source is free for another promise.
	require.NotEqual(t, id, d.do(call{method: "POST", path: "/v1/callbacks", as: "agent1", key: "new", body: body}).want(201).str("id"))
}

func TestR26_AnErasureWaitsForThePromise(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	id := d.started()
	r := d.erase("admin1", id)
	r.refused(409, "contact_required", "R09")
	require.Equal(t, id, r.str("existing"))
	require.Equal(t, "Asha Rao", d.get("sup1", "/v1/callbacks/"+id).at("customer").(object)["name"])
	d.command("sup1", id, "attempts", object{"disposition": "reached"}).want(200)
	d.command("sup1", id, "complete", object{"resolution_reason": "resolved", "call_summary": "x"}).want(200)
	d.erase("admin1", id).refused(409, "held", "R26") // its history is on its way into the archive
	d.archive(id)
	owed := book.Delivery{
		OperationID: book.OperationID(id, "freshdesk", 2), Destination: "freshdesk", CallbackID: id, Seq: 2, Type: callback.TypeTagged,
		State: book.DeliveryOwed, Code: "unavailable", FirstAt: callback.At(noon), TriedAt: callback.At(noon),
	}
	require.NoError(t, d.book.store.NoteDelivery(t.Context(), owed))
	d.erase("admin1", id).refused(409, "held", "R26")
	owed.State, owed.SettledAt = book.DeliveryDelivered, callback.At(noon)
	require.NoError(t, d.book.store.NoteDelivery(t.Context(), owed))
	d.erase("admin1", id).want(200)
	d.post("admin1", "/v1/deliveries/"+owed.OperationID+"/retry", nil).refused(409, "closed", "R26")
	require.Empty(t, d.engine.redelivered)
}

func TestR26_OnlyAnAdministratorErases(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	id := d.servedCustomer()
	for _, who := range []string{"agent1", "sup1", "mgr1", "audit1"} {
		require.Equal(t, "forbidden", d.erase(who, id).want(403).str("code"), who)
	}
	d.post("admin1", "/v1/callbacks/"+id+"/erase", object{}).invalid("ground")
	d.post("admin1", "/v1/callbacks/"+id+"/erase", object{"ground": "because Asha asked"}).invalid("ground")
	d.post("admin1", "/v1/callbacks/"+id+"/erase", object{"ground": "request", "why": "x"}).invalid("why")
	d.erase("admin1", unknownID).refused(404, "not_found", "")
	d.do(call{method: "POST", path: "/v1/callbacks/" + id + "/erase", as: "admin1", body: ground, header: map[string]string{"If-Match": `"1"`}}).refused(412, "stale_version", "")
	require.Equal(t, "Asha Rao", d.get("sup1", "/v1/callbacks/"+id).at("customer").(object)["name"])
	d.erase("admin1", id).want(200)
	d.command("mgr1", id, "cancel", object{"reason": "x"}).refused(409, "closed", "R09")
}

func TestR26_TheStreamTellsOfAnErasure(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sup1HasRoles(t)
	id := d.servedCustomer()
	before := d.get("sup1", "/v1/callbacks/"+id).at("version").(float64)
	_, newest, err := d.book.store.FeedBounds(t.Context())
	require.NoError(t, err)
	d.erase("admin1", id).want(200)
	e := d.listen(d.serve(), "sup1", "", fmt.Sprint(newest)).next()
	require.InDelta(t, before+1, e.callback(t)["version"], 0)
	for _, secret := range []string{"Asha", "secret", "crm-1"} {
		require.NotContains(t, e.data, secret)
	}
}
