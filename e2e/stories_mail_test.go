package e2e

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/connectors/connectortest"
	"ringback/connectors/mailbox/mailboxfake"
)

// checked is what our own mail server says of a sender.
func checked(dmarc string) []string {
	return []string{"Authentication-Results: mx.desk.example; dmarc=" + dmarc + " header.from=customer.example"}
}

// lies is how a message looks in the inbox.
func (s *stories) lies(subject string) (seen, flagged bool) {
	for _, m := range s.inbox.Look(s.t, "INBOX") {
		if m.Subject == subject {
			return m.Seen(), m.Flagged()
		}
	}
	return false, false
}

// mailToTheExecutives: a customer writes to an executive, with an attachment that nobody wants in a history, and writes again.
// The mail server takes no answer at first, then loses one, and hangs up on the reader.
func mailToTheExecutives(s *stories) {
	t := s.t
	const customer, source = "asha@customer.example", "mailbox:one-7301@customer.example"
	s.post.RefuseAddress(customer, 451)
	s.inbox.Put(t, "INBOX", mailboxfake.Letter{
		From: "Asha Rao <" + customer + ">", Subject: "secret-subject 7301", ID: "one-7301@customer.example", Header: checked("pass"),
		Text: "secret-text: nobody calls me back on +91 98765 43210.", Attachment: strings.Repeat("secret-attachment\r\n", 4000),
	}.Bytes())
	id := s.found(source)
	shown := s.get(id)
	require.Equal(t, []any{"executive-escalation", "claimed", "exec1", "system:mailbox"}, []any{shown["policy"], shown["status"], shown["assignee"], shown["requested_by"]})
	require.Equal(t, []any{"Asha Rao", "+919876543210", customer},
		[]any{shown["customer"].(object)["name"], shown["customer"].(object)["phone"], shown["customer"].(object)["email"]})
	reason := shown["reason"].(string)
	require.Contains(t, reason, "secret-text")
	require.Contains(t, reason, "In the mailbox besides: invoice.pdf")
	require.Contains(t, reason, "more that was not read")
	require.NotContains(t, reason, "secret-attachment")
	s.eventually("it is seen once its case exists", func() bool { seen, _ := s.lies("secret-subject 7301"); return seen })

	// The answer waits, and goes once, whatever the mail server says.
	debt := s.owed(id, "mailbox")
	require.Equal(t, "unavailable", debt["code"])
	require.NotContains(t, debt["detail"], customer)
	s.post.LoseAnswersTo(customer, 1)
	s.post.RefuseAddress(customer, 0)
	s.retry(debt)
	s.eventually("nothing is owed", func() bool { return len(s.owes(id, "mailbox")) == 0 })
	answers := s.mails(customer)
	require.Len(t, answers, 1)
	require.Equal(t, "<one-7301@customer.example>", answers[0].Header.Get("In-Reply-To"))
	require.Equal(t, "auto-generated", answers[0].Header.Get("Auto-Submitted"))

	// The reply belongs to the case, though the mail server hung up and was away for a while.
	s.inbox.Shut(true)
	reply := mailboxfake.Letter{
		From: customer, Subject: "Re: " + answers[0].Subject(), ID: "two-7301@customer.example", Text: "secret-text: still nobody.",
		Header: append(checked("pass"), "In-Reply-To: "+answers[0].Header.Get("Message-Id")),
	}.Bytes()
	s.inbox.Put(t, "INBOX", reply, reply)
	s.inbox.Shut(false)
	s.changed(func() bool { return slices.Contains(s.did(id), "customer_called system:mailbox") })
	require.Empty(t, s.callbacks("mailbox:two-7301@customer.example"))

	// In Zoho it is a ticket (R20), which ends with the case.
	s.does("exec1", id, "start", "attempts", reached, "complete", served)
	s.eventually("the ticket is closed", func() bool {
		tickets := s.tasks(id, true)
		return len(tickets) == 1 && tickets[0].Status == "Closed" && tickets[0].Resolution == "Resolved on the call"
	})
	s.inbox.Put(t, "INBOX", mailboxfake.Letter{
		From: customer, To: "Chair <chair@desk.example>", Subject: "It is broken again", ID: "three-7301@customer.example", Text: "secret-text",
		Header: append(checked("pass"), "References: <one-7301@customer.example> <two-7301@customer.example>"),
	}.Bytes())
	after := s.get(s.found("mailbox:three-7301@customer.example"))
	require.Equal(t, []any{id, "exec2", "+919876543210"}, []any{after["parent"], after["assignee"], after["customer"].(object)["phone"]}, "a new case that names the old one")
	called := 0
	for _, did := range s.did(id) {
		if strings.HasPrefix(did, "customer_called") {
			called++
		}
	}
	require.Equal(t, 1, called, "a message that comes twice is one")
	s.eventually("the new case is answered too", func() bool { return len(s.mails(customer)) == 2 })

	raw, err := json.Marshal(s.must(http.StatusOK, "aud1", "GET", "/v1/callbacks/"+id+"/history", nil))
	require.NoError(t, err)
	history := readable(t, raw)
	require.Contains(t, history, `"to":"exec1"`)
	for _, personal := range []string{"secret", "customer.example", "Asha", "9876543210"} {
		require.NotContains(t, history, personal)
	}
}

// mailOfOthers: a machine, a forger, and the desk's own mail that comes back.
func mailOfOthers(s *stories) {
	t := s.t
	const inbound, person, robot = "/v1/inbound/email", "bela@customer.example", "robot@customer.example"
	key := s.must(http.StatusCreated, "adm1", "POST", "/v1/keys", object{
		"name": "gateway", "scopes": []string{"intake"}, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	})["key"].(string)
	post := func(token string, message []byte) (status int, said object) {
		status, answer := s.send(s.request("POST", inbound, "message/rfc822", string(message), "Authorization", "Bearer "+token))
		require.NoError(t, json.Unmarshal([]byte(answer), &said), answer)
		return status, said
	}
	letter := func(from, id string, header ...string) []byte {
		return mailboxfake.Letter{From: from, ID: id, Subject: "secret-subject " + id, Text: "secret-text +91 98765 43210", Header: header}.Bytes()
	}
	for token, want := range map[string]int{"rbk_guess": http.StatusUnauthorized, "dev:exec1": http.StatusForbidden} {
		status, _ := post(token, letter(person, "no-7311@customer.example", checked("pass")...))
		require.Equal(t, want, status, token)
	}

	// Loops: its own mail, and whatever a machine answers to it, make nothing; a machine's own mail makes a case and is not answered.
	status, said := post(key, letter(person, "one-7311@customer.example", checked("pass")...))
	require.Equal(t, []any{http.StatusOK, "promised"}, []any{status, said["outcome"]})
	id := said["callback"].(string)
	s.eventually("it is answered", func() bool { return len(s.mails(person)) == 1 })
	ours := s.mails(person)[0]
	for _, m := range []struct {
		outcome string
		message []byte
	}{
		{"known", letter(person, "one-7311@customer.example", checked("pass")...)},
		{"ours", ours.Raw},
		{"answered", letter(person, "two-7311@customer.example", append(checked("pass"), "Auto-Submitted: auto-replied", "In-Reply-To: "+ours.Header.Get("Message-Id"))...)},
	} {
		status, said := post(key, m.message)
		require.Equal(t, []any{http.StatusOK, m.outcome}, []any{status, said["outcome"]})
	}
	s.inbox.Put(t, "INBOX", letter(robot, "one-7312@customer.example", append(checked("pass"), "Auto-Submitted: auto-generated")...))
	machine := s.found("mailbox:one-7312@customer.example")
	require.Equal(t, "exec1", s.get(machine)["assignee"])

	// A forged sender waits for a person, who vouches for it.
	s.inbox.Put(t, "INBOX", letter("forged@customer.example", "one-7313@customer.example", checked("fail")...))
	forged := s.kept("mailbox", "DMARC")
	require.Empty(t, s.callbacks("mailbox:one-7313@customer.example"))
	s.eventually("it is flagged", func() bool {
		seen, flagged := s.lies("secret-subject one-7313@customer.example")
		return flagged && !seen
	})
	require.Equal(t, true, s.replayed(forged)["ok"])
	require.Equal(t, "exec1", s.get(s.found("mailbox:one-7313@customer.example"))["assignee"])

	s.eventually("all that is to be answered is", func() bool {
		delivered := items(s.must(http.StatusOK, "aud1", "GET", "/v1/deliveries?destination=mailbox&state=delivered&callback="+machine, nil))
		return len(delivered) == 1
	})
	require.Empty(t, s.mails(robot))
	require.Len(t, s.mails(person), 1)
	require.Equal(t, []string{id}, s.callbacks("mailbox:one-7311@customer.example"))
}

// outage: the hotels' system is down. Promises stand still, and when it is over whoever waits is told by mail; one address is
// refused, and the answer about another mail is lost.
func outage(s *stories) {
	t := s.t
	about := func(lob, email string) object {
		return object{"lob": lob, "customer": object{"name": "Asha Rao", "phone": "+919876543210", "email": email}}
	}
	before := s.promised("assoc1", asked("unhurried", about("hotels", "before@customer.example")))
	bounces := s.promised("assoc1", asked("unhurried", about("hotels", "bounces@customer.example")))
	withdrawn := s.promised("assoc1", asked("unhurried", about("hotels", "withdrawn@customer.example")))
	elsewhere := s.promised("assoc1", asked("unhurried", about("flights", "elsewhere@customer.example")))
	due := func(id string) time.Time {
		at, err := time.Parse(time.RFC3339, s.get(id)["due_at"].(string))
		require.NoError(t, err)
		return at
	}
	promise := due(before)
	declared := object{"lob": "hotels", "words": "secret-words: we cannot book"}
	require.Equal(t, "forbidden", s.must(http.StatusForbidden, "sup1", "POST", "/v1/outages", declared)["code"])
	down := s.must(http.StatusCreated, "mgr1", "POST", "/v1/outages", declared)
	path := "/v1/outages/" + down["id"].(string)
	during := s.promised("assoc1", asked("room", about("hotels", "during@customer.example")))
	passes := s.promised("assoc1", asked("room", about("flights", "passes@customer.example")))
	require.Equal(t, []any{down["id"], true}, []any{s.get(during)["outage"], s.get(during)["held"]}, "a new one is linked at once")
	s.changed(func() bool { return s.must(http.StatusOK, "aud1", "GET", path, nil)["linked"] == 4.0 })
	active := items(s.must(http.StatusOK, "aud1", "GET", "/v1/outages?active=true", nil))
	require.Len(t, active, 1)
	require.Equal(t, declared["words"], active[0]["words"])
	require.Nil(t, s.get(elsewhere)["outage"])
	require.Equal(t, "held", s.must(http.StatusConflict, "sup1", "POST", "/v1/callbacks/"+before+"/claim", nil)["code"])
	s.does("mgr1", withdrawn, "cancel", object{"reason": "secret-reason"})

	s.becomes(passes, "tier", "manager") // its four seconds are over, and so would be the others'
	require.Equal(t, []any{"supervisor", true, nil}, []any{s.get(during)["tier"], s.get(during)["held"], s.get(during)["breached_at"]})

	s.post.RefuseAddress("bounces@customer.example", 550)
	s.post.LoseAnswersTo("before@customer.example", 1)
	s.must(http.StatusOK, "mgr1", "POST", path+"/end", object{"words": "secret-words: we can book again"})
	for _, id := range []string{before, bounces, during} {
		s.changed(func() bool { return s.get(id)["outage"] == nil })
	}
	for _, to := range []string{"before", "during"} {
		s.eventually("the customer is told", func() bool { return len(s.mails(to+"@customer.example")) == 1 })
		m := s.mails(to + "@customer.example")[0]
		require.Equal(t, []string{"News about your call", "secret-words: we can book again"}, []string{m.Subject(), strings.TrimSpace(m.Text)})
	}
	debt := s.owed(bounces, "smtp:customers")
	require.Equal(t, "rejected", debt["code"], "who cannot be told is owed, and holds up nobody")
	s.must(http.StatusOK, "mgr1", "POST", "/v1/callbacks/"+bounces+"/waive", object{"operation": debt["operation"], "reason": "secret-reason: told by telephone"})

	stood := facts[*callback.Held](s, before)[0]
	resumed := facts[*callback.Resumed](s, before)[0]
	require.Equal(t, []string{down["id"].(string), down["id"].(string)}, []string{stood.Outage, resumed.Outage})
	var held time.Duration
	for _, e := range s.timeline(before) {
		switch e.Fact.(type) {
		case *callback.Held:
			held -= time.Duration(e.At.UnixMilli()) * time.Millisecond
		case *callback.Resumed:
			held += time.Duration(e.At.UnixMilli()) * time.Millisecond
		}
	}
	require.Equal(t, promise.Add(held), due(before), "as long as it stood still it is later")
	s.becomes(during, "tier", "manager") // the clock goes on: four seconds, and nobody called
	s.eventually("nothing is owed", func() bool { return len(s.owes(before, "smtp:customers")) == 0 })
	for _, to := range []string{"withdrawn", "elsewhere", "passes"} {
		require.Empty(t, s.mails(to+"@customer.example"))
	}
}

// noticesAreSent: nobody calls at night. Who is there is told by mail, who is not is left in peace; their other system by
// signed webhook, which loses an answer, and then says that it is gone. One person's mail server wants to be asked later.
func noticesAreSent(s *stories) {
	t := s.t
	told := func(who string) (text string, mails int) {
		for _, m := range s.mails(who + "@desk.example") {
			require.NotContains(t, string(m.Raw), "Asha")
			require.NotContains(t, string(m.Raw), "secret")
			text, mails = text+m.Subject()+"\n"+m.Text+"\n", mails+1
		}
		return text, mails
	}
	s.post.RefuseAddress("away1@desk.example", 450)
	s.hook.Next(connectortest.Lost, connectortest.Broken)
	id := s.promised("host1", asked("night", nil))
	s.changed(func() bool { return len(facts[*callback.Reminded](s, id)) >= 3 })
	require.Equal(t, true, s.get(id)["overdue"])
	s.eventually("who is on shift is told", func() bool {
		text, _ := told("day1")
		return strings.Contains(text, "due at") && strings.Contains(text, "missed, was due at")
	})
	s.eventually("and who is above them", func() bool {
		text, _ := told("boss1")
		return strings.Contains(text, "escalated to manager") && strings.Contains(text, "still open, reminder 4")
	})
	text, mails := told("boss1")
	require.Less(t, mails, len(happening.FindAllString(text, -1)), "bundled, not one by one:\n%s", text)

	// Their receiver says that it is gone: nothing more is sent until a person tries again.
	types := []callback.EventType{callback.TypeWarned, callback.TypeBreached, callback.TypeEscalated, callback.TypeReminded, callback.TypeCompleted}
	s.hook.Answer(http.StatusGone, nil)
	debt := s.owed(id, "webhook:ops")
	require.Equal(t, "gone", debt["code"])
	require.Equal(t, []any{"failing", false}, []any{s.health("webhook:ops")["status"], s.health("webhook:ops")["enabled"]})
	s.does("boss1", id, "claim", "start", "complete", object{"resolution_reason": "resolved"})
	s.hook.Answer(0, nil)
	s.retry(debt)
	var wanted []float64
	for _, e := range s.timeline(id) {
		if slices.Contains(types, e.Fact.Type()) {
			wanted = append(wanted, float64(e.Seq))
		}
	}
	received := func() (seqs []float64) {
		for _, m := range s.hook.Messages() {
			if m.Event["subject"] == id {
				seqs = append(seqs, m.Event["data"].(object)["seq"].(float64))
			}
		}
		return seqs
	}
	s.eventually("all of it is there", func() bool { return len(received()) == len(wanted) })
	require.Equal(t, wanted, received(), "in order, each once")
	require.Equal(t, true, s.health("webhook:ops")["enabled"])
	repeats, unsigned := s.hook.Counts()
	require.Equal(t, []int{1, 0}, []int{repeats, unsigned}, "what may have arrived was sent again, as it was")
	last := s.hook.Messages()[len(s.hook.Messages())-1]
	require.Equal(t, []any{"1.0", "ringback.callback.completed"}, []any{last.Event["specversion"], last.Event["type"]})
	require.NotContains(t, string(last.Body), "Asha")

	// A delivery is replayed under its old id.
	log := items(s.must(http.StatusOK, "aud1", "GET", "/v1/deliveries?destination=webhook:ops&state=delivered&callback="+id, nil))
	require.Len(t, log, len(wanted))
	s.retry(log[0])
	s.eventually("it comes again", func() bool { repeats, _ := s.hook.Counts(); return repeats == 2 })
	require.Equal(t, wanted, received())

	// Whoever asked for it has gone home, and is told when they come back.
	second := s.promised("day1", asked("night", nil))
	s.does("boss1", s.escalated(second), "claim", "start", "complete", object{"resolution_reason": "resolved"})
	s.eventually("who is there is told that it is done", func() bool {
		text, _ := told("day1")
		return strings.Contains(text, "completed: Resolved on the call")
	})
	for _, who := range []string{"host1", "off1"} {
		_, mails := told(who)
		require.Zero(t, mails, "%s is off shift", who)
	}
	s.must(http.StatusOK, "adm1", "PATCH", "/v1/staff/host1", object{"shift": "always"})
	s.eventually("their shift begins", func() bool {
		text, _ := told("host1")
		return strings.Contains(text, "completed: Resolved on the call")
	})
}

// happening is a line of a notice about one event.
var happening = regexp.MustCompile(`(?m)^  \d\d:\d\d  `)

// escalated waits until a callback is the managers'.
func (s *stories) escalated(id string) string {
	s.t.Helper()
	s.becomes(id, "tier", "manager")
	return id
}
