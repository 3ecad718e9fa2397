package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/connectors/connectortest"
	"ringback/connectors/servicebench/servicebenchfake"
	"ringback/connectors/zohodesk/zohodeskfake"
)

// tasks are those of a callback in Zoho Desk, or its tickets.
func (s *stories) tasks(id string, tickets bool) (all []zohodeskfake.Item) {
	marker := "(RB-" + id[strings.LastIndexByte(id, '-')+1:] + ")"
	for _, i := range s.zoho.Items(tickets) {
		if strings.Contains(i.Subject, marker) {
			all = append(all, i)
		}
	}
	return all
}

// task waits for the one task of a callback.
func (s *stories) task(id string) zohodeskfake.Item {
	s.t.Helper()
	s.eventually("there is a task", func() bool { return len(s.tasks(id, false)) > 0 })
	require.Len(s.t, s.tasks(id, false), 1)
	return s.tasks(id, false)[0]
}

// stands waits for a task to have a status.
func (s *stories) stands(task, status string) {
	s.t.Helper()
	s.eventually(status, func() bool { return s.zoho.Item(task).Status == status })
}

// sets is what an agent does in Zoho Desk, with its events, which come twice and in the wrong order.
func (s *stories) sets(agent, task string, changes ...func(*zohodeskfake.Item)) {
	for _, change := range changes {
		s.zoho.Edit(agent, task, change)
	}
	s.zoho.Send(func(events []int) []int {
		twice := append(slices.Clone(events), events...)
		slices.Reverse(twice)
		return twice
	})
}

func setTo(status string) func(*zohodeskfake.Item) {
	return func(i *zohodeskfake.Item) { i.Status = status }
}

func completedFor(reason string) func(*zohodeskfake.Item) {
	return func(i *zohodeskfake.Item) {
		i.Status, i.Fields = "Completed", map[string]any{"cf_reason": reason, "cf_summary": "secret-summary from Zoho"}
	}
}

// taskForEach: agents work their list in Zoho Desk, others the same callbacks here. Zoho loses an answer, has no room, ends
// its tokens, and loses events.
func taskForEach(s *stories) {
	t, zoho := s.t, s.zoho
	const inbound = "/v1/inbound/zohodesk"
	s.eventually("the subscription is made", func() bool { return len(zoho.Webhooks()) == 1 })
	hook := zoho.Webhooks()[0].ID
	for why, token := range map[string]string{
		"none": "", "another webhook's": zoho.Token("1", time.Now().Add(time.Minute)), "an old one": zoho.Token(hook, time.Now().Add(-time.Hour)),
	} {
		status, answer := s.send(s.request("POST", inbound, "application/json", `[{"eventType": "Task_Update"}]`, "X-ZDesk-JWT", token))
		require.Equal(t, http.StatusUnauthorized, status, "%s: %s", why, answer)
	}

	// R14: one task, though Zoho never said that it was made.
	breaks(&zoho.Faults, "POST /api/v1/tasks", connectortest.Lost)
	first := s.promised("assoc1", asked("callback-exception", nil))
	task := s.task(first)
	require.Equal(t, []any{"Not Started", "", s.get(first)["due_at"]}, []any{task.Status, task.Owner, task.DueDate})
	require.Contains(t, task.Description, "secret-reason")

	// R16: started here, while Zoho has no room and wants another token.
	zoho.EndTokens()
	breaks(&zoho.Faults, "PATCH /api/v1/tasks/"+task.ID, connectortest.BusySilently, connectortest.Broken)
	s.does("agent1", first, "claim", "start")
	s.stands(task.ID, "In Progress")
	require.Equal(t, "2001", zoho.Item(task.ID).Owner)
	require.Equal(t, []int{1, 1}, []int{zoho.Faults.Count(connectortest.BusySilently), zoho.Faults.Count(connectortest.Broken)})

	// R17, R18: completed there without a reason is refused here, and put back with why.
	s.sets("2001", task.ID, setTo("Completed"))
	refused := s.kept("zohodesk", "resolution_reason_required")
	s.stands(task.ID, "In Progress")
	require.Contains(t, zoho.Item(task.ID).Comments[0].Content, "resolution_reason_required")
	require.Equal(t, "in_progress", s.get(first)["status"])

	// Completed there as it should be is completed here, in the name of who did it.
	s.does("agent1", first, "attempts", reached)
	s.sets("2001", task.ID, setTo("Follow Up"), completedFor("Visit confirmed"))
	s.becomes(first, "status", "completed")
	shown := s.get(first)
	require.Equal(t, []any{"agent1", "visit_confirmed"}, []any{shown["completed_by"], shown["resolution_reason"]})
	notes := items(s.must(http.StatusOK, "aud1", "GET", "/v1/callbacks/"+first+"/notes", nil))
	require.Equal(t, "secret-summary from Zoho", notes[len(notes)-1]["body"])
	s.eventually("nothing is left of it", func() bool { return s.replayed(refused)["ok"] == true })

	// And the other way round.
	second := s.promised("assoc1", asked("callback-exception", nil))
	s.does("agent1", second, "claim", "start", "attempts", reached, "complete", object{"resolution_reason": "visit_confirmed", "call_summary": "secret-summary"})
	task = s.task(second)
	s.stands(task.ID, "Completed")
	require.Equal(t, "Visit confirmed", zoho.Item(task.ID).Fields["cf_reason"])
	require.Empty(t, zoho.Item(task.ID).Comments, "a note is its author's own (R13)")

	// The subscription is switched off, and events are lost: the poll finds what was done.
	zoho.SwitchOff()
	third := s.promised("assoc1", asked("callback-exception", nil))
	task = s.task(third)
	zoho.Edit("2001", task.ID, setTo("In Progress"))
	zoho.Forget()
	s.becomes(third, "status", "in_progress")
	require.Equal(t, "agent1", s.get(third)["assignee"])
	s.eventually("the subscription is on again", func() bool { return zoho.Webhooks()[0].Enabled })
}

// tell sends an exception, signed, and returns what became of it.
func (s *stories) tell(x servicebenchfake.Exception) (outcome, id string) {
	s.t.Helper()
	r := servicebenchfake.Request(s.t, s.base+"/v1/inbound/exceptions", x["exception_id"].(string), x.JSON(), time.Now())
	status, answer := s.send(r)
	require.Contains(s.t, []int{http.StatusOK, http.StatusAccepted}, status, answer)
	var said struct {
		Outcome  string
		Callback *string
	}
	require.NoError(s.t, json.Unmarshal([]byte(answer), &said))
	if said.Callback != nil {
		id = *said.Callback
	}
	return said.Outcome, id
}

// exceptionIsRaised: ServiceBench raises exceptions and says the same twice and late; agents work them in Zoho Desk. What
// becomes of them goes back to a ServiceBench that is broken, busy, and loses an answer.
func exceptionIsRaised(s *stories) {
	t := s.t
	raised := time.Now().Add(-time.Minute)
	x := servicebenchfake.Raise(7101, raised)
	old := servicebenchfake.Request(t, s.base+"/v1/inbound/exceptions", "1", x.JSON(), time.Now().Add(-time.Hour))
	code, _ := s.send(old)
	require.Equal(t, http.StatusUnauthorized, code)
	code, _ = s.send(s.request("POST", "/v1/inbound/exceptions", "application/json", string(x.JSON()), "Webhook-Id", "1", "Webhook-Timestamp", old.Header.Get("Webhook-Timestamp"), "Webhook-Signature", "v1,Zm9yZ2Vk"))
	require.Equal(t, http.StatusUnauthorized, code)
	require.Empty(t, s.callbacks("servicebench:EX-7101"))

	// R14: one callback, whatever is said how often and in which order.
	outcome, id := s.tell(x)
	require.Equal(t, "promised", outcome)
	for _, again := range []struct {
		outcome string
		x       servicebenchfake.Exception
	}{
		{"unchanged", x}, {"updated", x.At(raised.Add(10*time.Second), "Pending")}, {"stale", x.At(raised.Add(5*time.Second), "Complete")},
		{"duplicate", servicebenchfake.Raise(7102, raised).With("service_job_id", x["service_job_id"])},
	} {
		outcome, same := s.tell(again.x)
		require.Equal(t, []string{again.outcome, id}, []string{outcome, same})
	}
	outcome, other := s.tell(servicebenchfake.Raise(7103, raised).With("user_id", "BPO2-3"))
	require.Equal(t, "promised", outcome)
	queues := []any{s.get(id)["queue"], s.get(other)["queue"]}
	require.Equal(t, []any{"Callback BPO 1", "Callback BPO 2"}, queues, "by type and user, with wildcards")

	// R16: taken up in Zoho, and ServiceBench hears of it in the end.
	task := s.task(id)
	s.bench.Fail(servicebenchfake.Fault{Status: 500}, servicebenchfake.Fault{Status: 429, RetryAfter: "1"}, servicebenchfake.Fault{Status: 502, Lost: true})
	s.sets("2001", task.ID, setTo("In Progress"))
	s.becomes(id, "status", "in_progress")
	s.eventually("it stands so there", func() bool { return s.bench.Status("EX-7101") == "In Progress" })
	require.True(t, slices.ContainsFunc(facts[*callback.DeliveryOwed](s, id), func(d *callback.DeliveryOwed) bool {
		return d.Destination == "servicebench"
	}), "it was owed for a moment: three quick tries went wrong")

	// R18: completed in Zoho, and so here, and so there, with the other exception of the job.
	s.does("agent1", id, "attempts", reached)
	s.sets("2001", task.ID, completedFor("Visit confirmed"))
	s.becomes(id, "status", "completed")
	s.eventually("both are complete there", func() bool {
		return s.bench.Status("EX-7101") == "Complete" && s.bench.Status("EX-7102") == "Complete"
	})
	var heard []string
	for _, n := range s.bench.News() {
		if n.Data.CallbackID == id {
			heard = append(heard, n.Type+" "+n.Data.Status+" "+*n.Data.UserID)
		}
	}
	require.Equal(t, []string{
		"exception.status Open BPO1-7", "exception.status In Progress BPO1-7", "exception.completed Complete BPO1-7",
	}, heard, "in order, each once")

	// Or completed in ServiceBench, and so here and in Zoho.
	task = s.task(other)
	outcome, _ = s.tell(servicebenchfake.Raise(7103, raised).At(raised.Add(20*time.Second), "Complete").With("user_id", "BPO2-3").With("comment", "secret-comment"))
	require.Equal(t, "completed", outcome)
	shown := s.get(other)
	require.Equal(t, []any{"completed", "agent2", "visit_confirmed"}, []any{shown["status"], shown["completed_by"], shown["resolution_reason"]})
	s.stands(task.ID, "Completed")
	require.Equal(t, "2002", s.zoho.Item(task.ID).Owner)
	outcome, _ = s.tell(servicebenchfake.Raise(7103, raised).At(raised.Add(15*time.Second), "Open"))
	require.Equal(t, "stale", outcome, "what comes late opens nothing again")
}

// fileIsDropped: ServiceBench drops a file with a row that nobody can read.
func fileIsDropped(s *stories) {
	t := s.t
	const header = "source,exception_id,exception_type,status,service_job_id,user_id,updated_at,customer_name,customer_phones,customer_time_zone\n"
	at := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	row := func(id, kind, at string) string {
		return "servicebench," + id + "," + kind + ",Open,JOB-" + id + ",BPO1-9," + at + `,Asha Rao,098765 43277,Asia/Kolkata` + "\n"
	}
	file := header + row("EX-7201", "Customer Callback", at) + row("EX-7202", "Customer Callback", "soon") + row("EX-7203", "Customer Callback", at) +
		row("EX-7201", "Customer Callback", at)
	drop := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(s.drop, name+".part"), []byte(content), 0o600))
		require.NoError(t, os.Rename(filepath.Join(s.drop, name+".part"), filepath.Join(s.drop, name)))
		s.eventually("the file is taken", func() bool {
			_, err := os.Stat(filepath.Join(s.drop, "done", name))
			return err == nil
		})
	}
	require.NoError(t, os.WriteFile(filepath.Join(s.drop, "half.csv.part"), []byte(header+row("EX-7209", "Customer Callback", at)), 0o600))
	drop("day.csv", file)
	good := []string{s.found("servicebench:EX-7201"), s.found("servicebench:EX-7203")}
	require.Empty(t, s.callbacks("servicebench:EX-7202"))
	rejected, err := os.ReadFile(filepath.Join(s.drop, "done", "day.rejected.csv"))
	require.NoError(t, err)
	require.Contains(t, string(rejected), "EX-7202")
	require.Contains(t, string(rejected), ",3,")
	require.Contains(t, string(rejected), "updated_at: expected a time")
	require.NotContains(t, string(rejected), "EX-7201")

	drop("again.csv", file) // the same, under another name
	drop("mended.csv", strings.ReplaceAll(string(rejected), "soon", at))
	s.found("servicebench:EX-7202")
	for i, source := range []string{"servicebench:EX-7201", "servicebench:EX-7203"} {
		require.Equal(t, good[i:i+1], s.callbacks(source))
	}
	require.Empty(t, s.callbacks("servicebench:EX-7209"), "it is not whole")
}

// fixed: an exception that no route fits, and a Zoho that does not take the token any more. Both wait, in sight, until the
// configuration is mended and the desk started again.
func fixed(s *stories) {
	t := s.t
	x := servicebenchfake.Raise(7401, time.Now().Add(-time.Minute)).With("exception_type", "Part missing").With("user_id", "PARTS-1")
	outcome, _ := s.tell(x)
	require.Equal(t, "kept", outcome)
	message := s.kept("servicebench", "no route")
	require.Equal(t, 1.0, s.health("servicebench")["kept"])
	require.Equal(t, "forbidden", s.must(http.StatusForbidden, "mgr1", "GET", "/v1/inbound/"+message["id"].(string), nil)["code"])
	body := s.must(http.StatusOK, "adm1", "GET", "/v1/inbound/"+message["id"].(string), nil)["body"].(string)
	require.JSONEq(t, string(x.JSON()), body)
	again := s.replayed(message)
	require.Equal(t, false, again["ok"])
	require.Contains(t, again["reason"], "no route")

	id := s.promised("assoc1", asked("callback-exception", nil))
	task := s.task(id)
	s.zoho.Revoke(true) // what is refused is refused with 200
	s.does("agent1", id, "claim", "start", "attempts", reached, "complete", object{"resolution_reason": "visit_confirmed", "call_summary": "secret-summary"})
	require.Equal(t, "completed", s.get(id)["status"])
	debt := s.owed(id, "zohodesk")
	require.Equal(t, "unauthorized", debt["code"])
	require.Contains(t, debt["detail"], "invalid_code")
	require.Equal(t, "failing", s.health("zohodesk")["status"])
	require.Contains(t, s.metrics("ringback_owed_deliveries"), `ringback_owed_deliveries{code="unauthorized",destination="zohodesk"} 1`)

	yaml, err := os.ReadFile(s.config)
	require.NoError(t, err)
	const routes = "    routes:\n"
	s.configure(strings.Replace(string(yaml), routes, routes+`      - {exception_type: "Part*", policy: callback-exception, lob: second, queue: Callback BPO 2}`+"\n", 1))
	s.zoho.Revoke(false)
	s.restart()

	require.Equal(t, true, s.replayed(message)["ok"])
	require.Equal(t, "Callback BPO 2", s.get(s.found("servicebench:EX-7401"))["queue"])
	require.Empty(t, items(s.must(http.StatusOK, "adm1", "GET", "/v1/inbound?waiting=true&connector=servicebench", nil)))
	for _, debt := range s.owes(id, "zohodesk") { // else it is tried when its time comes
		s.retry(debt)
	}
	s.stands(task.ID, "Completed")
	s.eventually("nothing is owed", func() bool { return len(s.get(id)["owed"].([]any)) == 0 })
}

// restart ends the program as an operator does, and starts it again.
func (s *stories) restart() {
	s.t.Helper()
	require.NoError(s.t, s.running.End(syscall.SIGTERM))
	s.said.WriteString(s.running.Output())
	s.start()
	s.root.running = s.running
}

// inTheEnd: nothing is owed any more, and every system says the same of every callback as the desk. Nothing personal is in a
// history, in what the program said or in its metrics.
func inTheEnd(s *stories) {
	t := s.t
	s.eventually("nothing is owed", func() bool {
		owed := items(s.must(http.StatusOK, "aud1", "GET", "/v1/owed?limit=200", nil))
		for _, debt := range owed {
			s.retry(debt)
		}
		return len(owed) == 0
	})
	all := items(s.must(http.StatusOK, "aud1", "GET", "/v1/callbacks?limit=200", nil))
	t.Logf("%d callbacks, %d mails, %d tasks", len(all), len(s.post.Mails()), len(s.zoho.Items(false)))
	for _, c := range all {
		id, closed := c["id"].(string), c["completed_at"] != nil
		switch c["policy"] {
		case "callback-exception":
			s.eventually("Zoho says the same", func() bool { return (s.task(id).Status == "Completed") == closed })
		case "executive-escalation":
			s.eventually("Zoho says the same", func() bool {
				tickets := s.tasks(id, true)
				return len(tickets) == 1 && (tickets[0].Status == "Closed") == closed
			})
		}
		if source, is := c["source"].(object); is && source["system"] == "servicebench" && closed {
			require.Equal(t, "Complete", s.bench.Status(source["ref"].(string)))
		}
	}
	_, unsigned := s.bench.Calls()
	require.Zero(t, unsigned)

	out, err := s.command("audit", "verify", "--server", s.base) // looks for what is personal, too
	require.NoError(t, err, out)
	_, metrics := s.send(s.request("GET", "/metrics", "", ""))
	for _, personal := range []string{"secret", "Asha", "9876543210", "customer.example", "70048", "EX-7", "JOB-", "whsec"} {
		for what, said := range map[string]string{"log": s.said.String() + s.running.Output(), "metrics": metrics} {
			for _, line := range strings.Split(said, "\n") {
				require.NotContains(t, line, personal, what)
			}
		}
	}
}
