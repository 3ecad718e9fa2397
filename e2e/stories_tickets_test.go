package e2e

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/connectors/connectortest"
	"ringback/connectors/freshdesk/freshdeskfake"
)

// ticketEntersTheGroup: an associate tags a ticket in Freshdesk by moving it to the supervisors' group, and never opens the
// desk. Freshdesk is busy, loses an answer, and is away when the manager is done.
func ticketEntersTheGroup(s *stories) {
	t, fake := s.t, s.freshdesk
	const ticket, source = 7004821, "freshdesk:7004821"
	path := "/api/v2/tickets/7004821"
	tagged := []string{"VIP", "Callback Required"}
	tags := func(want ...string) func() bool {
		return func() bool { return slices.Equal(fake.Ticket(ticket).Tags, want) }
	}
	fake.Add(freshdeskfake.Ticket{
		ID: ticket, Subject: "secret-subject", Tags: []string{"VIP"}, GroupID: groupBilling,
		Requester: freshdeskfake.Requester{ID: 880041, Name: "Asha Rao", Phone: "+91 98765 43210"},
	})
	require.Empty(t, s.callbacks(source), "not in one of the groups")
	status, _ := s.send(s.request("POST", "/v1/inbound/freshdesk", "application/json", `{"ticket_id": 7004821}`, "X-Ringback-Token", "a guess"))
	require.Equal(t, http.StatusUnauthorized, status)

	// R03: it becomes a callback, once, however often the automation says so.
	breaks(&fake.Faults, "PUT "+path, connectortest.Busy, connectortest.BusySilently)
	fake.Edit(ticket, func(t *freshdeskfake.Ticket) { t.GroupID = groupSupervisors })
	for range 2 {
		require.Equal(t, http.StatusAccepted, fake.Notify(ticket))
	}
	id := s.found(source)
	shown := s.get(id)
	require.Equal(t, []any{"supervisor-callback", "Supervisors - RM", "system:freshdesk", []any{"Callback Required"}, "secret-subject"},
		[]any{shown["policy"], shown["queue"], shown["requested_by"], shown["tags"], shown["reason"]})
	require.Equal(t, "+919876543210", shown["customer"].(object)["phone"])
	s.eventually("it is tagged", tags(tagged...))
	require.Equal(t, []int{1, 1}, []int{fake.Faults.Count(connectortest.Busy), fake.Faults.Count(connectortest.BusySilently)})

	// R12, R13: a note under its author's name, private; its answer is lost.
	breaks(&fake.Faults, "POST "+path+"/notes", connectortest.Lost)
	s.does("sup1", id, "notes", object{"kind": "note", "body": "secret-note <b>of sup1</b>"})
	s.eventually("it is noted", func() bool { return len(fake.Notes(ticket)) > 0 })

	// R11: nobody claims it, and the hour of eight seconds passes.
	s.becomes(id, "tier", "manager")
	s.eventually("it is the managers'", func() bool { return fake.Ticket(ticket).GroupID == groupManagers })
	require.Equal(t, tagged, fake.Ticket(ticket).Tags, "no escalation takes it off (R09)")

	// R09: somebody takes the tag off by hand, and no automation says so.
	s.does("mgr1", id, "claim", "start")
	breaks(&fake.Faults, "PUT "+path, connectortest.Broken)
	fake.EditQuietly(ticket, func(t *freshdeskfake.Ticket) { t.Tags = []string{"VIP"} })
	s.eventually("it is put back", tags(tagged...))
	require.Contains(t, s.did(id), "tagged system:freshdesk")

	// Freshdesk is away. The callback goes on without it.
	fake.Faults.Only(func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, path) })
	fake.Faults.Always(connectortest.Broken)
	s.does("mgr1", id, "attempts", object{"disposition": "reached", "note": "secret-note of the call"}, "complete", served)
	require.Equal(t, []any{"completed", []any{}}, []any{s.get(id)["status"], s.get(id)["tags"]})
	debt := s.owed(id, "freshdesk")
	require.Equal(t, []any{"attempted", "unavailable"}, []any{debt["type"], debt["code"]})
	require.Equal(t, tagged, fake.Ticket(ticket).Tags)
	fake.Faults.Always(connectortest.Well)
	s.retry(debt)
	s.eventually("the manager's tag comes off (R08)", tags("VIP"))
	s.eventually("nothing is owed", func() bool { return len(s.owes(id, "freshdesk")) == 0 })

	var notes []string
	for _, n := range fake.Notes(ticket) {
		require.True(t, n.Private)
		require.NotContains(t, n.Body, "<b>", "what people wrote is text")
		author, words := map[int64]string{1101: "sup1", 1201: "mgr1"}[n.UserID], "?"
		for _, w := range []string{"secret-note &lt;b&gt;of sup1", "secret-note of the call", "secret-summary"} {
			if strings.Contains(n.Body, w) {
				words = w
			}
		}
		notes = append(notes, author+": "+words)
	}
	require.Equal(t, []string{"sup1: secret-note &lt;b&gt;of sup1", "mgr1: secret-note of the call", "mgr1: secret-summary"}, notes, "in order, none twice")
	fake.Notify(ticket)
	require.Equal(t, []string{id}, s.callbacks(source), "it stays in the group, and is no callback again")
}

// ticketIsDeleted: an associate promises a callback for a ticket, which somebody deletes in Freshdesk. What cannot be brought
// there any more is seen everywhere and waits for a person.
func ticketIsDeleted(s *stories) {
	t, fake := s.t, s.freshdesk
	const ticket = 7004830
	fake.Add(freshdeskfake.Ticket{ID: ticket, Subject: "secret-subject", GroupID: groupBilling, Requester: freshdeskfake.Requester{ID: 880042, Name: "Asha Rao"}})
	id := s.promised("assoc1", asked("unhurried", object{"source": object{"system": "freshdesk", "ref": "7004830"}}))
	s.eventually("it is tagged and in the group (R03)", func() bool {
		there := fake.Ticket(ticket)
		return there.GroupID == groupSupervisors && slices.Equal(there.Tags, []string{"Callback Required"})
	})
	s.does("sup1", id, "claim", "start")
	fake.Edit(ticket, func(t *freshdeskfake.Ticket) { t.Deleted = true })
	s.does("sup1", id, "attempts", object{"disposition": "reached", "note": "secret-note"})

	debt := s.owed(id, "freshdesk")
	require.Equal(t, []any{"attempted", "gone", "owed"}, []any{debt["type"], debt["code"], debt["state"]})
	owed := s.get(id)["owed"].([]any)
	require.Len(t, owed, 1)
	require.Equal(t, []any{debt["operation"], "freshdesk", "gone"},
		[]any{owed[0].(object)["operation"], owed[0].(object)["destination"], owed[0].(object)["code"]})
	stats := s.must(http.StatusOK, "aud1", "GET", "/v1/stats", nil)
	require.True(t, slices.ContainsFunc(stats["owed_to"].([]any), func(n any) bool {
		return n.(object)["destination"] == "freshdesk" && n.(object)["code"] == "gone" && n.(object)["count"] == 1.0
	}), "%v", stats["owed_to"])
	require.Contains(t, s.metrics("ringback_owed_deliveries"), `ringback_owed_deliveries{code="gone",destination="freshdesk"} 1`)
	require.Equal(t, "failing", s.health("freshdesk")["status"])

	waive := "/v1/callbacks/" + id + "/waive"
	because := object{"destination": "freshdesk", "reason": "secret-reason: merged there by mistake"}
	require.Equal(t, "forbidden", s.must(http.StatusForbidden, "sup2", "POST", waive, because)["code"])
	require.Equal(t, "invalid", s.must(http.StatusUnprocessableEntity, "mgr1", "POST", waive, object{"destination": "freshdesk"})["code"])
	s.must(http.StatusOK, "mgr1", "POST", waive, because)

	// What follows cannot be brought there either, but holds up nothing here.
	s.does("sup1", id, "complete", served)
	require.Equal(t, "completed", s.get(id)["status"])
	for _, event := range []string{"noted", "untagged"} {
		require.Equal(t, event, s.owed(id, "freshdesk")["type"])
		s.must(http.StatusOK, "sup1", "POST", waive, because) // its owner, after it has ended
	}
	var by []callback.DeliveredBy
	for _, d := range facts[*callback.Delivered](s, id) {
		if d.Destination == "freshdesk" {
			require.NotEmpty(t, d.TextID)
			by = append(by, d.By)
		}
	}
	require.Equal(t, []callback.DeliveredBy{callback.DeliveredByWaiving, callback.DeliveredByWaiving, callback.DeliveredByWaiving}, by)
	require.Empty(t, s.get(id)["owed"])
	require.Empty(t, fake.Notes(ticket))
}

// notesGoToBoth: what supervisors write is in Freshdesk and in Oneview, each under its author's own name; who is nobody in
// Oneview is not posted for as somebody else. Oneview loses an answer and is busy.
func notesGoToBoth(s *stories) {
	t := s.t
	const ticket = 7004840
	s.freshdesk.Add(freshdeskfake.Ticket{ID: ticket, Subject: "secret-subject", GroupID: groupBilling, Requester: freshdeskfake.Requester{ID: 880043, Name: "Asha Rao"}})
	id := s.promised("assoc1", asked("unhurried", object{"source": object{"system": "freshdesk", "ref": "7004840"}}))
	inOneview := func() (all []string) {
		for _, n := range s.oneview.Notes() {
			if n.CallbackID == id {
				require.Equal(t, "7004840", n.Ticket.Ref)
				all = append(all, n.Author+": "+n.Body)
			}
		}
		return all
	}
	s.does("sup2", id, "notes", object{"kind": "note", "body": "secret-note 1"})
	debt := s.owed(id, "oneview")
	require.Equal(t, "no_identity", debt["code"])
	s.does("sup1", id, "notes", object{"kind": "note", "body": "secret-note 2"})
	s.eventually("both are in Freshdesk", func() bool { return len(s.freshdesk.Notes(ticket)) == 2 })
	authors := []int64{}
	for _, n := range s.freshdesk.Notes(ticket) {
		authors = append(authors, n.UserID)
	}
	require.Equal(t, []int64{1102, 1101}, authors)
	require.Empty(t, inOneview(), "in order, and nobody's note under another's name")

	// Copied by hand, and ticked off by who did it.
	s.oneview.Faults.Next(connectortest.BusySilently, connectortest.Lost)
	s.must(http.StatusOK, "mgr1", "POST", "/v1/callbacks/"+id+"/waive", object{"operation": debt["operation"], "reason": "secret-reason", "copied_by_hand": true})
	s.eventually("what waited behind it arrives", func() bool { return slices.Equal(inOneview(), []string{"sup1: secret-note 2"}) })
	for _, e := range s.timeline(id) {
		if d, is := e.Fact.(*callback.Delivered); is && d.Destination == "oneview" {
			require.Equal(t, []any{callback.DeliveredByHand, "mgr1"}, []any{d.By, e.Actor})
			break
		}
	}

	// Or they are given a name there, and it is tried again.
	s.does("sup2", id, "notes", object{"kind": "note", "body": "secret-note 3"})
	debt = s.owed(id, "oneview")
	require.Equal(t, "no_identity", debt["code"])
	s.must(http.StatusOK, "adm1", "PATCH", "/v1/staff/sup2", object{"identities": object{"freshdesk": "1102", "oneview": "supervisor.two"}})
	s.eventually("it arrives", func() bool {
		if owed := s.owes(id, "oneview"); len(owed) > 0 {
			s.retry(owed[0]) // people are known for some seconds
		}
		return slices.Equal(inOneview(), []string{"sup1: secret-note 2", "supervisor.two: secret-note 3"})
	})
	require.Equal(t, []int{1, 1}, []int{s.oneview.Faults.Count(connectortest.BusySilently), s.oneview.Faults.Count(connectortest.Lost)})
	s.eventually("what may have arrived is sent again, and taken once", func() bool { return s.oneview.Seen() > len(s.oneview.Notes()) })
}
