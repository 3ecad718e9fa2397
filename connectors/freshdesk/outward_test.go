package freshdesk

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/freshdesk/freshdeskfake"
)

func TestR03_TheTicketIsTaggedAndInItsGroupWhenPromised(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, elsewhr, "VIP", "refund")
	id := fl.promise(7, "supervisor-callback")
	require.NoError(t, fl.deliver(id))
	ticket := fl.fake.Ticket(7)
	require.Equal(t, []string{"VIP", "refund", "Callback Required"}, ticket.Tags)
	require.Equal(t, int64(rm), ticket.GroupID)
	require.Equal(t, 1, fl.fake.Calls("PUT /tickets/{id}"), "tag and group are one write")
	require.Equal(t, 2, fl.fake.Calls("GET /tickets/{id}"), "read, and read again")
	require.NoError(t, fl.deliver(id))
	require.Equal(t, 1, fl.fake.Calls("PUT /tickets/{id}"), "once")
}

func TestR03_AQueueWithoutAGroupLeavesTheTicketWhereItIs(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.Groups = map[string]int64{"Managers - RM": mgr} })
	fl.ticket(7, elsewhr)
	require.NoError(t, fl.deliver(fl.promise(7, "supervisor-callback")))
	require.Equal(t, int64(elsewhr), fl.fake.Ticket(7).GroupID)
	require.Equal(t, []string{"Callback Required"}, fl.tags(7))
}

func TestR03_APolicyWithoutATagMovesTheTicketOnly(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.Groups["Callback BPO 1"] = elsewhr })
	fl.ticket(7, rm, "VIP")
	require.NoError(t, fl.deliver(fl.promise(7, "callback-exception")))
	require.Equal(t, []string{"VIP"}, fl.tags(7))
	require.Equal(t, int64(elsewhr), fl.fake.Ticket(7).GroupID)
}

func TestR03_OnlyCallbacksOfTicketsAreWanted(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	require.False(t, fl.Wants(book.Intake{}, nil))
	require.False(t, fl.Wants(book.Intake{Source: &book.Source{System: "zohodesk", Ref: "7"}}, nil))
	require.True(t, fl.Wants(book.Intake{Source: &book.Source{System: Name, Ref: "7"}}, nil))
	err := fl.Deliver(context.Background(), connectors.Delivery{
		Event:  callback.Event{Seq: 1, Fact: &callback.Requested{}},
		Intake: book.Intake{Source: &book.Source{System: Name, Ref: "../agents/me"}},
	})
	require.Equal(t, connectors.Rejected, owed(t, err).Code)
}

func TestR06_EscalationMovesTheGroupAndTheTagStays(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm)
	id := fl.worked("sup1")
	fl.do("sup1", id, "escalate", map[string]any{"reason": "asks for a manager"})
	require.NoError(t, fl.deliver(id))
	require.Equal(t, int64(mgr), fl.fake.Ticket(7).GroupID)
	require.Equal(t, []string{"Callback Required"}, fl.tags(7))
}

func TestR09_TheTagComesOffOnlyWhenTheCustomerWasServed(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, elsewhr)
	id := fl.worked("sup1")
	fl.do("sup1", id, "attempts", map[string]any{"disposition": "no_answer"})
	fl.clock.Advance(61 * time.Minute)
	fl.desk.Tick() // the hour passes: escalated by the clock
	fl.do("mgr1", id, "claim", nil)
	fl.do("mgr1", id, "start", nil)
	fl.do("mgr1", id, "attempts", reached())
	require.NoError(t, fl.deliver(id))
	require.Equal(t, []string{"Callback Required"}, fl.tags(7), "neither a failed call, nor a timer, nor an escalation")
	fl.do("mgr1", id, "complete", resolved("Refunded."))
	require.NoError(t, fl.deliver(id))
	require.Empty(t, fl.tags(7), "an empty list is sent as one")
}

func TestR09_ACallbackClosedWithoutServiceSaysSo(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm, "VIP")
	id := fl.worked("sup1")
	fl.do("sup1", id, "cancel", map[string]any{"reason": "the customer withdrew"})
	require.NoError(t, fl.deliver(id))
	require.Equal(t, []string{"VIP", "Callback Not Served"}, fl.tags(7))
	require.Zero(t, fl.memory.Keys(Name, "worn:"), "nothing is remembered of what is closed")
}

func TestR09_ATagThatAnotherCallbackNeedsStays(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm)
	first := fl.worked("sup1")
	fl.do("sup1", first, "cancel", map[string]any{"reason": "withdrew"})
	second, err := fl.desk.Promise(context.Background(), "associate", "again", connectors.Promise{
		Policy: "supervisor-callback", Customer: book.Customer{Name: "Asha Rao", Phone: connectortest.Phone(7)},
		Source: book.Source{System: Name, Ref: "7"},
	})
	require.NoError(t, err)
	require.NoError(t, fl.deliver(second))
	require.NoError(t, fl.deliver(first), "its deliveries come late")
	require.Contains(t, fl.tags(7), "Callback Required")
}

func TestR09_CaseDoesNotMakeAnotherTag(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm, "callback required")
	id := fl.worked("sup1")
	require.NoError(t, fl.deliver(id))
	require.Equal(t, []string{"callback required"}, fl.tags(7))
	fl.do("sup1", id, "attempts", reached())
	fl.do("sup1", id, "complete", resolved("Done."))
	require.NoError(t, fl.deliver(id))
	require.Empty(t, fl.tags(7))
}

func TestR09_WhoeverWritesMeanwhileIsNotTakenForUs(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm, "VIP")
	id := fl.promise(7, "supervisor-callback")
	// Freshdesk's own automation replaces the list right after ours.
	var after func()
	fl.fake.BeforeWrite = func(int64) {
		after = func() { fl.fake.EditQuietly(7, func(t *freshdeskfake.Ticket) { t.Tags = []string{"auto"} }) }
	}
	fl.client.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		a, err := http.DefaultTransport.RoundTrip(r)
		if r.Method == http.MethodPut && after != nil {
			after()
			after = nil
		}
		return a, err
	})}
	require.Equal(t, connectors.Conflict, owed(t, fl.deliver(id)).Code)
	fl.fake.BeforeWrite = nil
	require.NoError(t, fl.deliver(id))
	require.Equal(t, []string{"auto", "Callback Required"}, fl.tags(7))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestR12_EveryNoteIsPrivateAndTextOnly(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm)
	id := fl.worked("sup1")
	fl.do("sup1", id, "attempts", map[string]any{"disposition": "no_answer", "note": "Rang out"})
	fl.do("sup1", id, "attempts", map[string]any{"disposition": "busy"})
	fl.do("sup1", id, "attempts", reached())
	fl.do("sup1", id, "complete", resolved("<script>alert(1)</script> & \"5 > 3\"\r\nsecond line"))
	require.NoError(t, fl.deliver(id))
	notes := fl.fake.Notes(7)
	require.Len(t, notes, 2, "a call without a note is none")
	require.Contains(t, notes[0].Body, "Call: no answer")
	require.Contains(t, notes[0].Body, "Rang out")
	require.Contains(t, notes[1].Body, "Call summary")
	require.Contains(t, notes[1].Body, "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;5 &gt; 3&#34;<br>second line")
	for _, n := range notes {
		require.True(t, n.Private)
		require.Equal(t, int64(1011), n.UserID, "R13: under its author's own identity")
	}
}

func TestR12_AnErasedNoteIsNotWritten(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm)
	id := fl.worked("sup1")
	fl.do("sup1", id, "notes", map[string]any{"kind": "note", "body": "Asha's number is wrong"})
	fl.desk.Erase(id)
	require.NoError(t, fl.deliver(id))
	require.Empty(t, fl.fake.Notes(7))
}

func TestR13_AnAuthorWithoutAnIdentityIsNotPostedFor(t *testing.T) {
	t.Parallel()
	for name, identities := range map[string]map[string]string{
		"none": nil, "empty": {Name: ""}, "no number": {Name: "nobody@example.com"}, "negative": {Name: "-5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fl := newFloor(t)
			fl.ticket(7, rm)
			fl.desk.Hire(book.Staff{ID: "sup1", Rank: 2, Queues: []string{"Supervisors - RM"}, Identities: identities})
			id := fl.worked("sup1")
			fl.do("sup1", id, "notes", map[string]any{"kind": "note", "body": "hello"})
			require.Equal(t, connectors.NoIdentity, owed(t, fl.deliver(id)).Code)
			require.Empty(t, fl.fake.Notes(7))
			// Somebody gives them one: it is written as theirs, once.
			fl.desk.Hire(connectortest.Floor()...)
			require.NoError(t, fl.deliver(id))
			require.Len(t, fl.fake.Notes(7), 1)
		})
	}
}

func TestR13_AKeyThatMayNotWriteForOthersWritesNothing(t *testing.T) {
	t.Parallel()
	for role, code := range map[freshdeskfake.Authorship]connectors.OwedCode{
		freshdeskfake.Forbidden: connectors.Unauthorized, freshdeskfake.Invalid: connectors.NoIdentity, freshdeskfake.Ignored: connectors.NoIdentity,
	} {
		fl := newFloor(t)
		fl.fake.Role = role
		fl.ticket(7, rm)
		id := fl.worked("sup1")
		fl.do("sup1", id, "notes", map[string]any{"kind": "note", "body": "hello"})
		require.Equal(t, code, owed(t, fl.deliver(id)).Code)
		require.Empty(t, fl.fake.Notes(7), "what was written under the key's name is taken back")
		require.Equal(t, code, owed(t, fl.deliver(id)).Code)
		require.Empty(t, fl.fake.Notes(7))
		fl.fake.Role = freshdeskfake.Allowed
		require.NoError(t, fl.Enable(context.Background()), "a person retries")
		require.NoError(t, fl.deliver(id))
		require.Len(t, fl.fake.Notes(7), 1)
	}
}

func TestR13_ANoteThatCameOutUnderAnotherNameIsNotWrittenAgainUntilAPersonAsks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	fl := newFloor(t)
	fl.fake.Role = freshdeskfake.Ignored
	var ids []string
	for ticket := range int64(2) {
		fl.ticket(7+ticket, rm)
		id := fl.promise(7+ticket, "supervisor-callback")
		require.NoError(t, fl.deliver(id))
		fl.do("sup1", id, "claim", nil)
		require.NoError(t, fl.deliver(id))
		fl.do("sup1", id, "notes", map[string]any{"kind": "note", "body": "hello"})
		ids = append(ids, id)
	}
	posts := func() int { return fl.fake.Calls("POST /tickets/{id}/notes") }
	for range 5 {
		require.Equal(t, connectors.NoIdentity, owed(t, fl.deliver(ids[0])).Code)
		require.Equal(t, connectors.NoIdentity, owed(t, fl.deliver(ids[1])).Code)
	}
	require.Equal(t, 1, posts(), "neither again, nor another one of the same author")
	require.Equal(t, 1, fl.fake.Calls("DELETE /conversations/{id}"))
	require.LessOrEqual(t, fl.fake.Calls("GET /tickets/{id}/conversations"), 1)

	// A person asks, in vain.
	require.NoError(t, fl.Enable(ctx))
	require.Equal(t, connectors.NoIdentity, owed(t, fl.deliver(ids[1])).Code)
	require.Equal(t, connectors.NoIdentity, owed(t, fl.deliver(ids[0])).Code)
	require.Equal(t, 2, posts())
	require.Empty(t, append(fl.fake.Notes(7), fl.fake.Notes(8)...))

	// Somebody else's identity is another matter.
	fl.fake.Role = freshdeskfake.Allowed
	sup1 := connectortest.Floor()[2]
	sup1.Identities = map[string]string{Name: "1012"}
	fl.desk.Hire(sup1)
	require.NoError(t, fl.deliver(ids[0]))
	require.Len(t, fl.fake.Notes(7), 1)
	fl.desk.Hire(connectortest.Floor()...)
	require.Equal(t, connectors.NoIdentity, owed(t, fl.deliver(ids[1])).Code)
	require.NoError(t, fl.Enable(ctx))
	require.NoError(t, fl.deliver(ids[1]))
	require.Len(t, fl.fake.Notes(8), 1)
	require.Zero(t, fl.memory.Keys(Name, "misnamed:"))
}

func TestR13_AWrongNameThatCannotBeTakenBackIsSaid(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.fake.Role = freshdeskfake.Ignored
	fl.ticket(7, rm)
	id := fl.worked("sup1")
	fl.do("sup1", id, "notes", map[string]any{"kind": "note", "body": "hello"})
	fl.fake.Faults.Only(func(r *http.Request) bool { return r.Method == http.MethodDelete })
	fl.fake.Faults.Next(connectortest.Broken)
	o := owed(t, fl.deliver(id))
	require.Equal(t, connectors.Unavailable, o.Code)
	require.Contains(t, o.Detail, "could not be taken back")
	require.Equal(t, connectors.NoIdentity, owed(t, fl.deliver(id)).Code, "it is found, and taken back now")
	require.Empty(t, fl.fake.Notes(7))
}

func TestANoteThatMayHaveArrivedIsLookedForFirst(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(7, rm)
	id := fl.worked("sup1")
	require.NoError(t, fl.deliver(id))
	for range 130 { // two pages of others
		fl.do("sup2", id, "notes", map[string]any{"kind": "note", "body": "another"})
	}
	require.NoError(t, fl.deliver(id))
	require.Zero(t, fl.fake.Calls("GET /tickets/{id}/conversations"), "nothing needs to be looked for the first time")

	fl.do("sup1", id, "notes", map[string]any{"kind": "note", "body": "the one"})
	fl.fake.Faults.Only(func(r *http.Request) bool { return r.Method == http.MethodPost })
	fl.fake.Faults.Next(connectortest.Lost)
	require.Equal(t, connectors.Unavailable, owed(t, fl.deliver(id)).Code)
	require.Len(t, fl.fake.Notes(7), 131, "it did arrive")
	require.NoError(t, fl.deliver(id))
	require.Len(t, fl.fake.Notes(7), 131, "and is not doubled")

	fl.do("sup1", id, "notes", map[string]any{"kind": "note", "body": "the other"})
	fl.fake.Faults.Next(connectortest.Broken)
	require.Equal(t, connectors.Unavailable, owed(t, fl.deliver(id)).Code)
	require.NoError(t, fl.deliver(id))
	require.Len(t, fl.fake.Notes(7), 132, "what did not arrive is sent again")
}

func TestADeletedTicketIsGone(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]func(*floor){
		"in the trash": func(fl *floor) { fl.fake.EditQuietly(7, func(t *freshdeskfake.Ticket) { t.Deleted = true }) },
		"for ever":     func(fl *floor) { fl.fake.Purge(7) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fl := newFloor(t)
			fl.ticket(7, rm)
			id := fl.worked("sup1")
			require.NoError(t, fl.deliver(id))
			gone(fl)
			fl.do("sup1", id, "notes", map[string]any{"kind": "note", "body": "hello"})
			require.Equal(t, connectors.Gone, owed(t, fl.deliver(id)).Code)
			fl.desk.Waive(fl.Freshdesk, id)
			fl.do("sup1", id, "escalate", map[string]any{"reason": "r"})
			require.Equal(t, connectors.Gone, owed(t, fl.deliver(id)).Code)
		})
	}
}

// patientBut waits long for every answer but the one that never comes.
func patientBut(fault connectortest.Fault) func(*Config) {
	return func(c *Config) {
		if fault == connectortest.Hanging {
			c.Timeout = callback.Duration(50 * time.Millisecond)
		}
	}
}

func TestWhyADeliveryIsOwed(t *testing.T) {
	t.Parallel()
	for fault, code := range map[connectortest.Fault]connectors.OwedCode{
		connectortest.Broken: connectors.Unavailable, connectortest.Hanging: connectors.Unavailable, connectortest.Nonsense: connectors.Unavailable,
		connectortest.Busy: connectors.RateLimited, connectortest.BusySilently: connectors.RateLimited, connectortest.Lost: connectors.Unavailable,
	} {
		fl := newFloor(t, patientBut(fault))
		fl.fake.Faults.RetryAfter = 17 * time.Second
		fl.ticket(7, rm)
		id := fl.promise(7, "supervisor-callback")
		fl.fake.Faults.Next(fault, fault, fault)
		o := owed(t, fl.deliver(id))
		require.Equal(t, code, o.Code, fault)
		if fault == connectortest.Busy {
			require.Equal(t, 17*time.Second, o.RetryAfter)
		}
		for range 40 {
			if fl.clock.Advance(time.Minute); fl.deliver(id) == nil {
				break
			}
		}
		require.Equal(t, []string{"Callback Required"}, fl.tags(7), fault)
	}
	fl := newFloor(t, func(c *Config) { c.APIKey = "another" })
	fl.ticket(7, rm)
	require.Equal(t, connectors.Unauthorized, owed(t, fl.deliver(fl.promise(7, "supervisor-callback"))).Code)
	fl = newFloor(t, func(c *Config) { c.Groups["Supervisors - RM"] = 555 })
	fl.ticket(7, rm)
	o := owed(t, fl.deliver(fl.promise(7, "supervisor-callback")))
	require.Equal(t, connectors.Rejected, o.Code)
	require.Equal(t, "Freshdesk answered 400 (group_id:invalid_value)", o.Detail)
}

func TestAllCallsAreUnderOneLimit(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} {
		fl := newFloor(t)
		fl.fake.PerMinute, fl.fake.SilentLimit = 40, silent
		const tickets = 40
		for i := range int64(tickets) {
			fl.ticket(100+i, elsewhr)
			fl.promise(100+i, "supervisor-callback")
		}
		start := fl.clock.Now()
		for range 200 {
			err := fl.desk.DeliverAll(context.Background(), fl.Freshdesk)
			if err == nil {
				break
			}
			require.Equal(t, connectors.RateLimited, owed(t, err).Code)
			fl.clock.Advance(owed(t, err).RetryAfter)
		}
		for i := range int64(tickets) {
			require.Equal(t, []string{"Callback Required"}, fl.tags(100+i))
			require.Equal(t, int64(rm), fl.fake.Ticket(100+i).GroupID)
		}
		minutes := fl.clock.Now().Sub(start).Minutes()
		require.Less(t, minutes, 6.0, "120 calls at 40 a minute")
		made := fl.fake.Calls("GET /tickets/{id}") + fl.fake.Calls("PUT /tickets/{id}")
		require.LessOrEqual(t, made, 3*tickets+5, "hardly a call is refused")
	}
}

func TestR26_NothingPersonalAndNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.ticket(48213, rm)
	fl.fake.Faults.Always(connectortest.Broken)
	require.NoError(t, fl.hints.Add(context.Background(), "48213"))
	_, err := fl.hints.Once(context.Background(), fl.hinted)
	require.Error(t, err)
	fl.Freshdesk.log(context.Background(), "a hint waits", err)
	fl.fake.Faults.Always(connectortest.Hanging)
	fl.client.Timeout = 20 * time.Millisecond
	fl.Freshdesk.log(context.Background(), "polling", fl.poll(context.Background()))
	require.NotEmpty(t, fl.log.String())
	for _, secret := range []string{"48213", apiKey, token, "Asha", "98765"} {
		require.NotContains(t, fl.log.String(), secret)
	}
}

// A day with faults: whatever Freshdesk does, both sides agree at the end.
func TestWhateverFreshdeskDoesBothSidesAgreeAtTheEnd(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	fl.fake.Faults.Randomly(0.2, 7)
	ids := map[int64]string{}
	for n := range int64(60) {
		fl.ticket(100+n, elsewhr, "VIP")
		id := fl.promise(100+n, "supervisor-callback")
		ids[100+n] = id
		fl.do("sup1", id, "claim", nil)
		fl.do("sup1", id, "start", nil)
		switch n % 3 {
		case 0:
			fl.do("sup1", id, "attempts", reached())
			fl.do("sup1", id, "complete", resolved("Summary of "+strconv.FormatInt(n, 10)))
		case 1:
			fl.do("sup1", id, "escalate", map[string]any{"reason": "r"})
			fl.do("mgr1", id, "notes", map[string]any{"kind": "note", "body": "Looking at " + strconv.FormatInt(n, 10)})
		case 2:
			fl.do("sup1", id, "cancel", map[string]any{"reason": "r"})
		}
	}
	for tries := 0; fl.desk.DeliverAll(ctx, fl.Freshdesk) != nil; tries++ {
		require.Less(t, tries, 500)
		fl.clock.Advance(time.Minute)
	}
	require.NotZero(t, fl.fake.Faults.Count(connectortest.Lost))
	for n, id := range ids {
		ticket, state := fl.fake.Ticket(n), fl.desk.View(id).State
		require.Equal(t, append([]string{"VIP"}, state.Tags...), ticket.Tags)
		require.Equal(t, fl.config.Groups[state.Queue], ticket.GroupID)
		var bodies []string
		for _, note := range fl.fake.Notes(n) {
			bodies = append(bodies, note.Body)
		}
		require.Len(t, bodies, fl.desk.Count(id, callback.TypeNoted), "none lost, none doubled")
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(bodies))), len(bodies))
	}
}

func FuzzNotesAreTextOnly(f *testing.F) {
	f.Add("Call summary", "<b>hi</b>\n&amp;")
	f.Fuzz(func(t *testing.T, title, text string) {
		made := body(title, text, "0195")
		for _, ours := range []string{"<div>", "</div>", "<strong>", "</strong>", "<small>", "</small>", "<br>"} {
			made = strings.ReplaceAll(made, ours, "")
		}
		require.NotContains(t, made, "<")
		require.NotContains(t, made, ">")
	})
}
