package zohodesk

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/zohodesk/zohodeskfake"
)

func TestR14_EachCallbackHasOneTask(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.CallbackField = "cf_callback" })
	id := fl.promise("callback-exception")
	require.NoError(t, fl.deliver(id))
	task := fl.only(false)
	require.Equal(t, "Not Started", task.Status)
	require.Equal(t, account.DepartmentID, task.DepartmentID)
	require.Empty(t, task.Owner)
	require.Equal(t, "2026-11-23T11:00:00.000Z", task.DueDate)
	require.Equal(t, "Call back: Asha Rao, Callback for an exception ("+marker(id)+")", task.Subject)
	for _, told := range []string{"Asha Rao", connectortest.Phone(1), "asha@example.com", "Part did not come", "Callback BPO 1", id} {
		require.Contains(t, task.Description, told)
	}
	require.Equal(t, id, task.Fields["cf_callback"])
	require.NoError(t, fl.deliver(id))
	require.Equal(t, 1, fl.fake.Calls("POST /tasks"))
	require.Zero(t, fl.fake.Calls("GET /tasks"), "nothing needs to be looked for the first time")
}

func TestR14_ATaskThatMayHaveBeenMadeIsLookedForFirst(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	for range 120 {
		require.NoError(t, fl.deliver(fl.promise("callback-exception")))
	}
	fl.clock.Advance(time.Minute)
	id := fl.promise("callback-exception")
	posts := func(r *http.Request) bool { return r.Method == http.MethodPost }
	fl.fake.Faults.Only(posts)
	fl.fake.Faults.Next(connectortest.Lost)
	require.Equal(t, connectors.Unavailable, owed(t, fl.deliver(id)).Code)
	require.Len(t, fl.fake.Items(false), 121, "it was made")
	for range 110 { // others come in between
		require.NoError(t, fl.deliver(fl.promise("callback-exception")))
	}
	require.NoError(t, fl.deliver(id))
	require.Len(t, fl.fake.Items(false), 231, "and is not doubled")

	id = fl.promise("callback-exception")
	fl.fake.Faults.Next(connectortest.Broken)
	require.Equal(t, connectors.Unavailable, owed(t, fl.deliver(id)).Code)
	require.NoError(t, fl.deliver(id))
	require.Len(t, fl.fake.Items(false), 232, "what was not made is made")

	id = fl.promise("callback-exception")
	fl.fake.Faults.Next(connectortest.Lost)
	require.Error(t, fl.deliver(id))
	fl.desk.Waive(fl.Zoho, id) // a person waives it: another event's delivery comes, for the first time
	require.NoError(t, fl.deliver(id))
	require.Len(t, fl.fake.Items(false), 233)

	id = fl.promise("callback-exception")
	away := errors.New("database away")
	fl.fake.Faults.Only(func(r *http.Request) bool {
		if posts(r) {
			fl.memory.Fail(away) // we die after it was made, before it was written down
		}
		return false
	})
	require.ErrorIs(t, fl.deliver(id), away)
	fl.fake.Faults.Only(nil)
	fl.memory.Fail(nil)
	require.NoError(t, fl.deliver(id))
	require.Len(t, fl.fake.Items(false), 234)
	require.Zero(t, fl.memory.Keys(Name, "making:"))
}

func TestR16_TheTaskFollowsTheCallback(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id := fl.promise("callback-exception")
	for _, step := range []struct {
		who, name           string
		body                map[string]any
		status, owner, due  string
		afterwards, patches int
	}{
		{status: "Not Started", due: "2026-11-23T11:00:00.000Z"},
		{who: "agent1", name: "claim", status: "Not Started", owner: "2001", due: "2026-11-23T11:00:00.000Z", patches: 1},
		{who: "agent1", name: "start", status: "In Progress", owner: "2001", due: "2026-11-23T11:00:00.000Z", patches: 2},
		{who: "agent1", name: "hold", body: map[string]any{"reason": "r", "until": "2026-11-23T12:00:00.000Z"}, status: "Pending", owner: "2001", due: "2026-11-23T13:00:00.000Z", patches: 3},
		{who: "agent1", name: "resume", status: "In Progress", owner: "2001", due: "2026-11-23T11:00:00.000Z", patches: 4},
		{who: "agent1", name: "release", body: map[string]any{"reason": "r"}, status: "Not Started", due: "2026-11-23T11:00:00.000Z", patches: 5},
		{who: "agent2", name: "claim", status: "Not Started", owner: "2002", due: "2026-11-23T11:00:00.000Z", patches: 6},
		{who: "sup1", name: "reassign", body: map[string]any{"to": "agent1", "reason": "r"}, status: "Not Started", owner: "2001", due: "2026-11-23T11:00:00.000Z", patches: 7},
	} {
		if step.name != "" {
			fl.do(step.who, id, step.name, step.body)
		}
		require.NoError(t, fl.deliver(id))
		task := fl.only(false)
		require.Equal(t, step.status, task.Status, step.name)
		require.Equal(t, step.owner, task.Owner, step.name)
		require.Equal(t, step.due, task.DueDate, step.name)
		require.Equal(t, step.patches, fl.fake.Calls("PATCH /tasks/{id}"), step.name)
	}
	fl.clock.Advance(61 * time.Minute)
	fl.desk.Tick()
	require.NoError(t, fl.deliver(id))
	task := fl.only(false)
	require.Equal(t, "2026-11-23T12:01:00.000Z", task.DueDate, "escalated: a fresh promise, and nobody's")
	require.Empty(t, task.Owner)
}

func TestWhatIsOvertakenCostsNothing(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id := fl.promise("callback-exception")
	for range 5 {
		fl.do("agent1", id, "claim", nil)
		fl.do("agent1", id, "release", map[string]any{"reason": "r"})
	}
	fl.do("agent1", id, "claim", nil)
	fl.do("agent1", id, "start", nil)
	require.NoError(t, fl.deliver(id))
	require.Equal(t, 1, fl.fake.Calls("POST /tasks"))
	require.Zero(t, fl.fake.Calls("PATCH /tasks/{id}"))
	require.Equal(t, "In Progress", fl.only(false).Status)
}

func TestR17_TheResolutionReasonGoesWithTheEnd(t *testing.T) {
	t.Parallel()
	ended := func(fl *floor) zohodeskfake.Item {
		id, _ := fl.worked()
		fl.do("agent1", id, "complete", map[string]any{"resolution_reason": "information_given"})
		require.NoError(t, fl.deliver(id))
		require.NoError(t, fl.deliver(id))
		return fl.only(false)
	}
	plain := ended(newFloor(t))
	require.Equal(t, "Completed", plain.Status)
	require.Len(t, plain.Comments, 1)
	require.Contains(t, plain.Comments[0].Content, "Question answered")

	field := ended(newFloor(t, func(c *Config) { c.ResolutionField = "cf_reason" }))
	require.Equal(t, "information_given", field.Fields["cf_reason"])
	require.Empty(t, field.Comments)

	mapped := ended(newFloor(t, func(c *Config) {
		c.ResolutionField, c.ResolutionReasons = "cf_reason", map[string]string{"Answered": "information_given"}
	}))
	require.Equal(t, "Answered", mapped.Fields["cf_reason"])

	fl := newFloor(t, func(c *Config) { c.Statuses = map[string]string{"cancelled": "Follow Up"} })
	id, _ := fl.worked()
	fl.do("sup1", id, "reassign", map[string]any{"to": "agent2", "reason": "r"})
	fl.do("mgr1", id, "cancel", map[string]any{"reason": "withdrew"})
	require.NoError(t, fl.deliver(id))
	require.Equal(t, "Follow Up", fl.only(false).Status, "statuses are configurable")
	require.Contains(t, fl.only(false).Comments[0].Content, "Cancelled")
}

func TestACommentThatMayHaveArrivedIsLookedForFirst(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id, task := fl.worked()
	for range 130 {
		fl.fake.Edit("2001", task, func(i *zohodeskfake.Item) {
			i.Comments = append(i.Comments, zohodeskfake.Comment{Content: "another", By: "2001"})
		})
	}
	fl.do("agent1", id, "complete", map[string]any{"resolution_reason": "information_given"})
	fl.fake.Faults.Only(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/comments") })
	fl.fake.Faults.Next(connectortest.Lost)
	require.Error(t, fl.deliver(id))
	require.Len(t, fl.fake.Item(task).Comments, 131)
	require.NoError(t, fl.deliver(id))
	require.Len(t, fl.fake.Item(task).Comments, 131)
}

func TestR13_WhoHasNoIdentityThereIsNotReplacedBySomebodyElse(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id := fl.promise("callback-exception")
	fl.do("agent1", id, "claim", nil)
	require.NoError(t, fl.deliver(id))
	require.Equal(t, "2001", fl.only(false).Owner)
	fl.do("sup1", id, "reassign", map[string]any{"to": "nobody", "reason": "r"})
	require.NoError(t, fl.deliver(id))
	require.Empty(t, fl.only(false).Owner, "nobody's, not agent1's any more")
}

func TestR13_NotesAreNotWrittenUnderTheTokensName(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	require.NotContains(t, fl.Types(), callback.TypeNoted)
	require.NotContains(t, fl.Types(), callback.TypeAttempted)
}

func TestR20_AnExecutiveCaseIsATicket(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id := fl.promise("executive-escalation")
	require.NoError(t, fl.deliver(id))
	ticket := fl.only(true)
	require.Equal(t, "2031", ticket.Owner, "assigned to a named person")
	require.Equal(t, []string{"Callback Required"}, ticket.Tags)
	require.Equal(t, map[string]any{"lastName": "Asha Rao", "email": "asha@example.com", "phone": connectortest.Phone(1)}, ticket.Contact)
	require.Empty(t, fl.fake.Items(false))
	fl.fake.Edit("2031", ticket.ID, func(i *zohodeskfake.Item) { i.Tags = append(i.Tags, "VIP") })
	fl.do("exec1", id, "start", nil)
	fl.do("exec1", id, "complete", map[string]any{"resolution_reason": "resolved"})
	require.NoError(t, fl.deliver(id))
	ticket = fl.only(true)
	require.Equal(t, "Closed", ticket.Status)
	require.Equal(t, "Resolved by the executive", ticket.Resolution)
	require.Equal(t, []string{"VIP"}, ticket.Tags, "tags are incremental: those of others stay")
}

func TestR20_ACallbackOfATicketHereIsThatTicket(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.Tickets = append(c.Tickets, "supervisor-callback") })
	ref := fl.fake.Add(zohodeskfake.Item{Ticket: true, Subject: "Complaint", Status: "Open"})
	for _, policy := range []string{"supervisor-callback", "callback-exception"} {
		id, err := fl.desk.Promise(context.Background(), "associate", policy, connectors.Promise{
			Policy: policy, Customer: book.Customer{Name: "Asha Rao", Phone: connectortest.Phone(1)}, Source: book.Source{System: Name, Ref: ref},
		})
		require.NoError(t, err)
		require.NoError(t, fl.deliver(id))
		if policy == "callback-exception" {
			continue
		}
		fl.do("sup1", id, "claim", nil)
		fl.do("sup1", id, "escalate", map[string]any{"reason": "r"})
		require.NoError(t, fl.deliver(id))
	}
	ticket := fl.only(true)
	require.Equal(t, ref, ticket.ID, "no second ticket is made")
	require.Equal(t, []string{"Callback Required"}, ticket.Tags)
	require.Len(t, ticket.Comments, 1)
	require.Contains(t, ticket.Comments[0].Content, "manager")
	require.False(t, ticket.Comments[0].IsPublic, "R12: private")
	require.Equal(t, ref, fl.only(false).TicketID, "the task of the other policy is one of this ticket")
}

func TestPoliciesSayWhatACallbackIsThere(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.Tasks, c.FromTickets = []string{"callback-exception"}, "supervisor-callback" })
	here := &book.Source{System: Name, Ref: "7"}
	for _, c := range []struct {
		in   book.Intake
		want kind // empty: nothing
	}{
		{book.Intake{Policy: "callback-exception"}, tasks},
		{book.Intake{Policy: "callback-exception", Source: here}, tasks},
		{book.Intake{Policy: "executive-escalation"}, tickets},
		{book.Intake{Policy: "supervisor-callback"}, ""},
		{book.Intake{Policy: "supervisor-callback", Source: here}, tickets},
	} {
		got, wanted := fl.kindOf(c.in)
		require.Equal(t, c.want, got, c.in.Policy)
		require.Equal(t, wanted, c.want != "")
		require.Equal(t, wanted, fl.Wants(c.in, nil))
	}
	got, _ := newFloor(t).kindOf(book.Intake{Policy: "supervisor-callback"})
	require.Equal(t, tasks, got, "without a list, all but tickets")
	require.NoError(t, fl.Deliver(context.Background(), connectors.Delivery{Callback: &callback.Callback{ID: "x"}}))
}

func TestTheCustomerCanBeWithheld(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.WithholdCustomer = true })
	require.NoError(t, fl.deliver(fl.promise("callback-exception")))
	require.NoError(t, fl.deliver(fl.promise("executive-escalation")))
	for _, i := range append(fl.fake.Items(false), fl.fake.Items(true)...) {
		require.NotContains(t, i.Subject+i.Description, "Asha")
		require.NotContains(t, i.Description, "98765")
		require.NotContains(t, i.Description, "Part")
	}
	require.Equal(t, map[string]any{"lastName": "Customer"}, fl.only(true).Contact)
}

func TestADeletedTaskIsGone(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id, task := fl.worked()
	fl.fake.Edit("2001", task, func(i *zohodeskfake.Item) { i.Trashed = true })
	fl.do("agent1", id, "hold", map[string]any{"reason": "r", "until": "2026-11-23T12:00:00.000Z"})
	o := owed(t, fl.deliver(id))
	require.Equal(t, connectors.Gone, o.Code)
	require.Equal(t, "the task has been deleted in Zoho Desk", o.Detail)
	fl.fake.Edit("2001", task, func(i *zohodeskfake.Item) { i.Trashed = false })
	require.NoError(t, fl.deliver(id))
}

func TestOneTokenForAll(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	var all sync.WaitGroup
	for range 30 {
		id := fl.promise("callback-exception")
		all.Go(func() { require.NoError(t, fl.deliver(id)) })
	}
	all.Wait()
	require.Equal(t, 1, fl.fake.Issued())
	fl.clock.Advance(58 * time.Minute)
	require.NoError(t, fl.Check(context.Background()))
	require.Equal(t, 1, fl.fake.Issued())
	fl.clock.Advance(90 * time.Second) // before it ends
	require.NoError(t, fl.Check(context.Background()))
	require.Equal(t, 2, fl.fake.Issued())
	fl.fake.EndTokens() // before its time
	require.NoError(t, fl.Check(context.Background()))
	require.Equal(t, 3, fl.fake.Issued())
}

func TestARevokedTokenIsSaidAndNotAskedForAgainAndAgain(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.fake.Revoke(true)
	id := fl.promise("callback-exception")
	asked := 0
	fl.fake.SignIn.Only(func(*http.Request) bool { asked++; return false })
	for range 50 {
		o := owed(t, fl.deliver(id))
		require.Equal(t, connectors.Unauthorized, o.Code)
		require.Contains(t, o.Detail, "invalid_code")
	}
	require.Equal(t, 1, asked)
	fl.fake.Revoke(false)
	fl.clock.Advance(61 * time.Second)
	require.NoError(t, fl.deliver(id))
}

func TestTokensAreRationed(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	for range 8 {
		fl.clock.Advance(time.Second)
		fl.fake.EndTokens()
		require.NoError(t, fl.Check(ctx))
	}
	fl.fake.EndTokens()
	o := owed(t, fl.Check(ctx))
	require.Equal(t, connectors.RateLimited, o.Code, "we stop before Zoho does")
	require.Greater(t, o.RetryAfter, 9*time.Minute)
	require.Equal(t, 8, fl.fake.Issued())
	fl.clock.Advance(o.RetryAfter)
	require.NoError(t, fl.Check(ctx))

	others := newFloor(t)
	others.fake.TokensWithin10Minutes = 1
	require.NoError(t, others.Check(ctx))
	others.fake.EndTokens()
	require.Equal(t, connectors.RateLimited, owed(t, others.Check(ctx)).Code, "somebody else has used them up")
}

// patientBut waits long for every answer but the one that never comes.
func patientBut(fault connectortest.Fault) func(*Config) {
	return func(c *Config) {
		if fault == connectortest.Hanging {
			c.Timeout = callback.Duration(50 * time.Millisecond)
		}
	}
}

func TestWhySignInFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for fault, code := range map[connectortest.Fault]connectors.OwedCode{
		connectortest.Broken: connectors.Unavailable, connectortest.Hanging: connectors.Unavailable, connectortest.Lost: connectors.Unavailable,
		connectortest.Nonsense: connectors.Unavailable, connectortest.Busy: connectors.RateLimited,
	} {
		fl := newFloor(t, patientBut(fault))
		fl.fake.SignIn.Next(fault)
		require.Equal(t, code, owed(t, fl.Check(ctx)).Code, fault)
		require.NoError(t, fl.Check(ctx))
	}
	fl := newFloor(t, func(c *Config) { c.ClientSecret = "wrong" })
	require.Contains(t, owed(t, fl.Check(ctx)).Detail, "invalid_client")
}

func TestWhyADeliveryIsOwed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for fault, code := range map[connectortest.Fault]connectors.OwedCode{
		connectortest.Broken: connectors.Unavailable, connectortest.Hanging: connectors.Unavailable, connectortest.Nonsense: connectors.Unavailable,
		connectortest.Busy: connectors.RateLimited, connectortest.BusySilently: connectors.RateLimited,
	} {
		fl := newFloor(t, patientBut(fault))
		fl.fake.Faults.Next(fault)
		require.Equal(t, code, owed(t, fl.Check(ctx)).Code, fault)
	}
	require.Equal(t, connectors.Unauthorized, owed(t, newFloor(t, func(c *Config) { c.OrgID = "5" }).Check(ctx)).Code)
	require.Equal(t, connectors.Rejected, owed(t, newFloor(t, func(c *Config) { c.DepartmentID = "5" }).Check(ctx)).Code)
	fl := newFloor(t, func(c *Config) { c.Statuses = map[string]string{"queued": "New"} })
	o := owed(t, fl.deliver(fl.promise("callback-exception")))
	require.Equal(t, connectors.Rejected, o.Code)
	require.Equal(t, "Zoho Desk answered 422 (INVALID_DATA, /status:invalid)", o.Detail)
}

func TestAllCallsShareTheRoomThatThereIs(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.Concurrency = 3 })
	fl.fake.Concurrency = 3
	var all sync.WaitGroup
	for range 40 {
		id := fl.promise("callback-exception")
		all.Go(func() { require.NoError(t, fl.deliver(id), "never one call too many") })
	}
	all.Wait()
	require.Len(t, fl.fake.Items(false), 40)
}

func TestWhateverZohoDoesBothSidesAgreeAtTheEnd(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	fl.fake.Faults.Randomly(0.2, 11)
	var ids []string
	for n := range 60 {
		policy := "callback-exception"
		if n%4 == 0 {
			policy = "executive-escalation"
		}
		id := fl.promise(policy)
		ids = append(ids, id)
		who := "agent1"
		if n%4 == 0 {
			who = "exec1"
		} else {
			fl.do(who, id, "claim", nil)
		}
		fl.do(who, id, "start", nil)
		switch n % 3 {
		case 0:
			reason := "resolved"
			if n%4 != 0 {
				reason = "information_given"
			}
			fl.do(who, id, "complete", map[string]any{"resolution_reason": reason})
		case 1:
			fl.do(who, id, "cancel", map[string]any{"reason": "r"})
		case 2:
			fl.do(who, id, "hold", map[string]any{"reason": "r", "until": "2026-11-23T12:00:00.000Z"})
		}
	}
	for tries := 0; fl.desk.DeliverAll(ctx, fl.Zoho) != nil; tries++ {
		require.Less(t, tries, 800)
		fl.clock.Advance(time.Second)
	}
	require.NotZero(t, fl.fake.Faults.Count(connectortest.Lost))
	require.Len(t, fl.fake.Items(false), 45)
	require.Len(t, fl.fake.Items(true), 15)
	for _, id := range ids {
		r, err := fl.known(ctx, id)
		require.NoError(t, err)
		i, s := fl.fake.Item(r.ID), fl.state(id)
		w, err := fl.wanted(ctx, r.Kind, s)
		require.NoError(t, err)
		require.Equal(t, sent{i.Status, i.Owner, i.DueDate}, w)
		require.Equal(t, s.Status.Closed(), r.Closed)
		if r.Kind == tickets {
			require.ElementsMatch(t, s.Tags, i.Tags)
		}
		require.LessOrEqual(t, len(i.Comments), 1, "none doubled")
	}
}
