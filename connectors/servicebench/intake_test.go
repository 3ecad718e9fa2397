package servicebench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/servicebench/servicebenchfake"
)

// floor is a desk with a connector and the system it speaks to.
type floor struct {
	tb     testing.TB
	clock  *connectortest.Clock
	desk   *connectortest.Desk
	memory *connectortest.Memory
	kept   *connectortest.Kept
	deps   connectors.Deps
	there  *servicebenchfake.Server
	config Config
	c      *Connector
}

func open(tb testing.TB, change ...func(*Config)) *floor {
	tb.Helper()
	f := &floor{tb: tb, clock: connectortest.NewClock(), memory: connectortest.NewMemory(), kept: &connectortest.Kept{}}
	f.clock.Advance(2 * time.Hour) // noon
	f.desk = connectortest.NewDesk(f.clock.Now, connectortest.CallbackException(), connectortest.SupervisorCallback())
	for _, s := range connectortest.Floor() {
		if s.Identities != nil {
			s.Identities[name] = map[string]string{"agent1": "BPO1-7", "agent2": "BPO1-8", "sup1": "SUP-1"}[s.ID]
		}
		f.desk.Hire(s)
	}
	f.there = servicebenchfake.Serve(tb, f.clock.Now)
	f.deps = connectors.Deps{Desk: f.desk, Memory: f.memory, Kept: f.kept, Logger: testLogger(tb), Now: f.clock.Now, Sleep: f.clock.Sleep}
	f.config = Config{
		Secret: servicebenchfake.Secret, URL: f.there.URL,
		Routes: []Route{
			{ExceptionType: "Customer Callback", UserID: "BPO1*", Policy: "callback-exception", Queue: "Callback BPO 1"},
			{ExceptionType: "* Escalation", Policy: "supervisor-callback", LOB: "flights"},
		},
	}
	for _, one := range change {
		one(&f.config)
	}
	f.c = f.again()
	return f
}

// again is the connector as another process has it.
func (f *floor) again() *Connector {
	c, err := New(f.config, f.deps)
	require.NoError(f.tb, err)
	return c
}

// post sends what is signed, and returns the status and the answer.
func (f *floor) post(body []byte) (int, result) {
	w := httptest.NewRecorder()
	f.c.Receive(w, servicebenchfake.Request(f.tb, "/v1/inbound/exceptions", "msg-1", body, f.clock.Now()))
	var answered result
	if w.Code < 300 {
		require.NoError(f.tb, json.Unmarshal(w.Body.Bytes(), &answered))
	}
	return w.Code, answered
}

// tell sends an exception that is taken at once.
func (f *floor) tell(x servicebenchfake.Exception, want Outcome) (callbackID string) {
	f.tb.Helper()
	code, answered := f.post(x.JSON())
	if want == KeptBack {
		require.Equal(f.tb, http.StatusAccepted, code)
		require.NotNil(f.tb, answered.Reason)
	} else {
		require.Equal(f.tb, http.StatusOK, code)
	}
	require.Equal(f.tb, want, answered.Outcome, answered.Reason)
	if answered.Callback == nil {
		return ""
	}
	return *answered.Callback
}

func (f *floor) do(staffID, callbackID, command string, body any) {
	f.tb.Helper()
	require.NoError(f.tb, f.desk.Do(context.Background(), strconv.Itoa(len(f.desk.Events(callbackID))), staffID, callbackID, command, body))
}

func TestR14_AnExceptionBecomesOneCallback(t *testing.T) {
	t.Parallel()
	f := open(t)
	x := servicebenchfake.Raise(1, f.clock.Now())
	id := f.tell(x, Promised)
	v := f.desk.View(id)
	require.Equal(t, "callback-exception", v.State.Policy)
	require.Equal(t, "Callback BPO 1", v.State.Queue)
	require.Equal(t, "system:servicebench", v.Intake.RequestedBy)
	require.Equal(t, &book.Source{System: "servicebench", Ref: "EX-1"}, v.Intake.Source)
	require.Equal(t, book.Customer{Ref: "CRM-1", Name: "Asha Rao", Phone: "+919876543211", TimeZone: "Asia/Kolkata"}, v.Intake.Customer)
	require.Contains(t, v.Intake.Reason, "Wants to know when the part comes.")
	require.Contains(t, v.Intake.Reason, "JOB-1")
	require.Contains(t, v.Intake.Reason, "12", "a number that is none is for the person who calls to see")

	require.Equal(t, id, f.tell(x, Unchanged), "the same again")
	require.Equal(t, id, f.tell(x.At(f.clock.Now().Add(time.Minute), "Pending"), Updated))
	require.Equal(t, id, f.tell(x, Stale))
	require.Len(t, f.desk.All(), 1)
}

func TestR14_RoutesByTypeAndUserFirstMatchWins(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) {
		c.Routes = []Route{
			{ExceptionType: "Customer Callback", UserID: "BPO1-?", Policy: "callback-exception", Queue: "Callback BPO 1"},
			{ExceptionType: "customer *", UserID: "bpo*", Policy: "callback-exception", Queue: "Supervisors - RM"},
			{ExceptionType: "Parts/Delay (late)", Policy: "supervisor-callback", LOB: "flights"},
		}
	})
	for i, test := range []struct{ exceptionType, user, queue, lob string }{
		{"Customer Callback", "BPO1-7", "Callback BPO 1", ""},
		{"CUSTOMER CALLBACK", "bpo1-7", "Callback BPO 1", ""},
		{"Customer Callback", "BPO1-77", "Supervisors - RM", ""},
		{"Customer Complaint", "BPO2", "Supervisors - RM", ""},
		{"Parts/Delay (late)", "anybody", "Supervisors - RM", "flights"},
		{"Parts/Delay (late)", "", "Supervisors - RM", "flights"},
		{"Customer Callback", "other", "", ""},
		{"Another customer callback", "BPO1-7", "", ""},
		{"Parts/Delay XlateX", "anybody", "", ""},
	} {
		x := servicebenchfake.Raise(i, f.clock.Now()).With("exception_type", test.exceptionType).With("user_id", test.user)
		if test.queue == "" {
			require.Empty(t, f.tell(x, KeptBack))
			continue
		}
		v := f.desk.View(f.tell(x, Promised))
		require.Equal(t, test.queue, v.State.Queue)
		require.Equal(t, test.lob, v.Intake.LOB)
	}
}

func TestR14_WithoutARouteItIsKeptAndCanBeReplayed(t *testing.T) {
	t.Parallel()
	f := open(t)
	x := servicebenchfake.Raise(1, f.clock.Now()).With("user_id", "BPO9")
	f.tell(x, KeptBack)
	f.tell(x, KeptBack)
	require.Empty(t, f.desk.All())
	kept := f.kept.Messages()
	require.Len(t, kept, 1, "the same, kept again, is the same message")
	require.Contains(t, kept[0].Reason, "no route")
	require.Equal(t, "application/json", kept[0].Media)
	require.Equal(t, x.JSON(), kept[0].Body)

	var fault *callback.Fault
	require.ErrorAs(t, f.c.Replay(context.Background(), kept[0]), &fault)
	require.Contains(t, fault.Detail, "no route")
	f.config.Routes = append(f.config.Routes, Route{Policy: "callback-exception"})
	require.NoError(t, f.again().Replay(context.Background(), kept[0]))
	require.Len(t, f.desk.All(), 1)
	require.NoError(t, f.again().Replay(context.Background(), kept[0]))
	require.Len(t, f.desk.All(), 1)

	require.ErrorAs(t, f.c.Replay(context.Background(), connectors.Message{Body: []byte("no")}), &fault)
}

func TestR14_WhatCannotBeDoneIsKeptWithAReasonThatNamesNobody(t *testing.T) {
	t.Parallel()
	f := open(t)
	good := servicebenchfake.Raise(1, f.clock.Now())
	customer := func(name string, zone string, phones ...any) servicebenchfake.Exception {
		return good.With("customer", map[string]any{"name": name, "phones": phones, "time_zone": zone})
	}
	for reason, x := range map[string]servicebenchfake.Exception{
		"source":              good.With("source", "elsewhere"),
		"updated_at":          good.At(f.clock.Now().Add(time.Hour), "Open"),
		"no route":            good.With("exception_type", "Secret"),
		"customer.name":       customer("", "Asia/Kolkata", "9876543210"),
		"customer.phones":     customer("Secret", "Asia/Kolkata"),
		"phone number that":   customer("Secret", "Asia/Kolkata", "12", "secret"),
		"needs regions":       customer("Secret", "", "9876543210"),
		"schema: expected":    good.With("schema", "9"),
		"cannot be unders":    good.With("secret", "secret"),
		"unknown_policy":      good.With("exception_type", "An Escalation").With("user_id", "X"),
		"status: expected":    good.With("status", "secret"),
		"expected a JSON obj": good.With("customer", "secret"),
	} {
		if reason == "unknown_policy" {
			f.config.Routes[1].Policy = "none"
			f.c = f.again()
		}
		before := len(f.kept.Messages())
		f.tell(x, KeptBack)
		kept := f.kept.Messages()
		require.Len(t, kept, before+1, reason)
		require.Contains(t, kept[before].Reason, reason)
		require.NotContains(t, strings.ToLower(kept[before].Reason), "secret")
	}
	require.Empty(t, f.desk.All())
	code, answered := f.post([]byte("{"))
	require.Equal(t, http.StatusAccepted, code)
	require.Equal(t, KeptBack, answered.Outcome)
}

func TestR14_RegionsReadANumberWithoutACountry(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Regions = []string{"SE", "IN"} })
	x := servicebenchfake.Raise(1, f.clock.Now()).With("customer", map[string]any{"name": "Börje", "phones": []any{"070-123 45 67"}})
	require.Equal(t, "+46701234567", f.desk.View(f.tell(x, Promised)).Intake.Customer.Phone)
}

func TestR14_WhileOneOfTheSameJobAndTypeIsOpenNoSecondIsMade(t *testing.T) {
	t.Parallel()
	f := open(t)
	now := f.clock.Now()
	first := servicebenchfake.Raise(1, now)
	id := f.tell(first, Promised)
	second := servicebenchfake.Raise(2, now).With("service_job_id", "JOB-1")
	require.Equal(t, id, f.tell(second, Duplicate))
	require.Equal(t, id, f.tell(second, Unchanged))
	f.tell(servicebenchfake.Raise(3, now).With("service_job_id", "JOB-1").With("exception_type", "An Escalation"), Promised)
	f.tell(servicebenchfake.Raise(4, now).With("service_job_id", nil), Promised)
	f.tell(servicebenchfake.Raise(5, now).With("service_job_id", nil), Promised)
	require.Len(t, f.desk.All(), 4)

	// The other exception's end is not the callback's.
	f.tell(second.At(now.Add(time.Minute), "Complete"), Updated)
	require.False(t, f.desk.View(id).State.Status.Closed())

	// The first is complete there and cannot be completed here: its callback is open.
	f.tell(first.At(now.Add(time.Minute), "Complete"), KeptBack)
	sixth := servicebenchfake.Raise(6, now).With("service_job_id", "JOB-1")
	require.Equal(t, id, f.tell(sixth, Duplicate))
	require.Len(t, f.desk.All(), 4)

	// Once a person has closed it, the job is free.
	f.desk.Hire(book.Staff{ID: "boss", Rank: 9, Tier: "executive"})
	f.do("boss", id, "cancel", map[string]any{"reason": "completed there"})
	f.tell(servicebenchfake.Raise(7, now).With("service_job_id", "JOB-1"), Promised)
	require.Len(t, f.desk.All(), 5)
}

func TestR14_AJobWhoseCallbackIsNotShownYetIsTaken(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.tell(servicebenchfake.Raise(1, f.clock.Now()), Promised)
	f.deps.Desk = &unshown{f.desk}
	f.c = f.again()
	second := servicebenchfake.Raise(2, f.clock.Now()).With("service_job_id", "JOB-1")
	code, _ := f.post(second.JSON())
	require.Equal(t, http.StatusServiceUnavailable, code)
	f.deps.Desk = f.desk
	f.c = f.again()
	f.tell(second, Duplicate)
	require.Len(t, f.desk.All(), 1)
}

// unshown is a desk whose lists are behind.
type unshown struct{ connectors.Desk }

func (*unshown) Callbacks(context.Context, string, string) ([]book.View, error) { return nil, nil }

func TestR14_ACallbackThatWasNotRememberedIsFoundAgainHoweverTheConfigurationHasChanged(t *testing.T) {
	t.Parallel()
	f := open(t)
	lost := true
	f.deps.Desk = &connectortest.Fickle{Desk: f.desk, After: true, Fails: func(connectors.Promise) error {
		if lost {
			return errors.New("no answer")
		}
		return nil
	}}
	f.c = f.again()
	x := servicebenchfake.Raise(1, f.clock.Now())
	code, _ := f.post(x.JSON())
	require.Equal(t, http.StatusServiceUnavailable, code)
	id := f.desk.All()[0]
	f.desk.Hire(book.Staff{ID: "boss", Rank: 9, Tier: "executive"})
	f.do("boss", id, "cancel", map[string]any{"reason": "not wanted any more"})

	lost = false
	f.config.Routes[0].LOB = "another"
	f.c = f.again()
	require.Equal(t, id, f.tell(x, Unchanged))
	require.Len(t, f.desk.All(), 1)

	// Opened again there is a new one, and not the one of the round before.
	f.tell(x.At(f.clock.Now().Add(time.Minute), "Complete"), CompletedHere)
	require.NotEqual(t, id, f.tell(x.At(f.clock.Now().Add(2*time.Minute), "Open"), Promised))
}

func TestR14_AJobIsFreeAgainWhenItsCallbackIsClosedHere(t *testing.T) {
	t.Parallel()
	f := open(t)
	first := servicebenchfake.Raise(1, f.clock.Now())
	id := f.tell(first, Promised)
	f.do("agent1", id, "claim", nil)
	f.do("agent1", id, "start", nil)
	f.do("agent1", id, "attempts", map[string]any{"disposition": "reached"})
	f.do("agent1", id, "complete", map[string]any{"resolution_reason": "information_given", "call_summary": "Told."})
	f.tell(servicebenchfake.Raise(2, f.clock.Now()).With("service_job_id", "JOB-1"), Promised)
	f.tell(first.At(f.clock.Now().Add(time.Second), "Pending"), Updated)
	require.Len(t, f.desk.All(), 2, "what lags behind makes nothing new")
}

func TestR14_OnlyTheLastOfWhatWasKnownIsRemembered(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx, now := context.Background(), f.clock.Now()
	x := servicebenchfake.Raise(1, now)
	id := f.tell(x, Promised)
	for n := range 20 {
		f.tell(x.At(now.Add(time.Duration(n+1)*time.Second), "Pending"), Updated)
	}
	require.Equal(t, 1, f.memory.Keys(name, "exception:"))
	require.Equal(t, 1, f.memory.Keys(name, "job:"))

	// As earlier releases remembered it: each value under a key of its own, and a hint that may be behind.
	second := servicebenchfake.Raise(2, now)
	key := "exception:" + digest("servicebench", "EX-2")
	for n, updated := range []string{"2026-11-23T11:00:00.000Z", "2026-11-23T11:30:00.000Z", callback.At(now).String()} {
		require.NoError(t, f.memory.Remember(ctx, name, fmt.Sprintf("%s#%d", key, n+1), `{"updated_at":"`+updated+`","status":"Open","callback":"`+id+`"}`))
	}
	require.NoError(t, f.memory.Remember(ctx, name, key, "2"))
	require.Equal(t, id, f.tell(second, Unchanged))
	require.Equal(t, 4, f.memory.Keys(name, key))
	require.Equal(t, id, f.tell(second.At(now.Add(time.Second), "Pending"), Updated))
	require.Equal(t, 1, f.memory.Keys(name, key))
	require.Equal(t, id, f.tell(second, Stale))
}

func TestR14_OfManyAtOnceOneIsMade(t *testing.T) {
	t.Parallel()
	f := open(t)
	now := f.clock.Now()
	processes := []*Connector{f.c, f.again(), f.again()}
	var wait sync.WaitGroup
	failed := make(chan error, 100)
	for n := range 30 {
		wait.Go(func() {
			// Five exceptions of one job, each told six times by three processes.
			x, err := Parse(servicebenchfake.Raise(n%5, now).With("service_job_id", "JOB").At(now.Add(time.Duration(n)*time.Second), "Open").JSON())
			if err != nil {
				failed <- err
				return
			}
			for range 50 {
				if _, err = processes[n%3].take(context.Background(), x); err == nil {
					return
				}
			}
			failed <- err
		})
	}
	wait.Wait()
	close(failed)
	for err := range failed {
		// Whoever has the job may be on its way yet: its sender tries again.
		require.ErrorContains(t, err, "another exception of the same job")
	}
	require.Len(t, f.desk.All(), 1)
	newest, _, err := register[known]{f.memory, "exception:" + digest("servicebench", "EX-4")}.load(context.Background())
	require.NoError(t, err)
	require.Equal(t, callback.At(now.Add(29*time.Second)), newest.UpdatedAt, "an older update never overrules a newer one")
}

func TestR14_OpenedAgainAfterCompleteIsANewOne(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Completed = Completed{ResolutionReason: "visit_confirmed", Reached: true} })
	now := f.clock.Now()
	x := servicebenchfake.Raise(1, now)
	first := f.tell(x, Promised)
	require.Equal(t, first, f.tell(x.At(now.Add(1*time.Minute), "Complete"), CompletedHere))
	second := f.tell(x.At(now.Add(2*time.Minute), "Open"), Promised)
	require.NotEqual(t, first, second)
	require.Equal(t, second, f.tell(x.At(now.Add(3*time.Minute), "Complete"), CompletedHere))
	require.Equal(t, second, f.tell(x.At(now.Add(2*time.Minute), "Open"), Stale))
	require.Len(t, f.desk.All(), 2)
}

func TestR14_CompleteBeforeItWasKnownMakesNothing(t *testing.T) {
	t.Parallel()
	f := open(t)
	x := servicebenchfake.Raise(1, f.clock.Now())
	f.tell(x.At(f.clock.Now().Add(time.Minute), "Complete"), Ignored)
	f.tell(x, Stale)
	require.Empty(t, f.desk.All())
}

func TestR18_CompletedThereIsCompletedHereInThatPersonsName(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Completed = Completed{ResolutionReason: "visit_confirmed", Reached: true} })
	now := f.clock.Now()
	for n, before := range []func(id string){
		func(string) {},
		func(id string) { f.do("agent1", id, "claim", nil) },
		func(id string) { f.do("agent1", id, "claim", nil); f.do("agent1", id, "start", nil) },
		func(id string) {
			f.do("agent1", id, "claim", nil)
			f.do("agent1", id, "start", nil)
			f.do("agent1", id, "attempts", map[string]any{"disposition": "reached"})
		},
	} {
		x := servicebenchfake.Raise(n, now)
		id := f.tell(x, Promised)
		before(id)
		require.Equal(t, id, f.tell(x.At(now.Add(time.Minute), "Complete"), CompletedHere))
		v := f.desk.View(id).State
		require.Equal(t, callback.StatusCompleted, v.Status)
		require.Equal(t, "agent1", v.ClosedBy)
		require.Equal(t, "visit_confirmed", v.ResolutionReason)
		require.Equal(t, 1, f.desk.Count(id, callback.TypeContacted))
		require.Equal(t, id, f.tell(x.At(now.Add(time.Minute), "Complete"), CompletedHere), "told twice it is done once")
		require.Equal(t, 1, f.desk.Count(id, callback.TypeCompleted))
	}
	require.Empty(t, f.kept.Messages())
}

func TestR18_WhatCannotBeCompletedHereWaitsForAPerson(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config Completed
		user   string
		before func(f *floor, id string)
		reason string
	}{
		{"no reason is configured", Completed{}, "BPO1-7", nil, "R17"},
		{"nobody has that identity", Completed{ResolutionReason: "visit_confirmed", Reached: true}, "BPO1-99", nil, "no identity"},
		{"nobody was reached", Completed{ResolutionReason: "visit_confirmed"}, "BPO1-7", nil, "R09"},
		{"somebody else has it", Completed{ResolutionReason: "visit_confirmed", Reached: true}, "BPO1-7", func(f *floor, id string) {
			f.do("agent2", id, "claim", nil)
		}, "not_assignee"},
		{"the reason is none of the policy's", Completed{ResolutionReason: "nonsense", Reached: true}, "BPO1-7", nil, "unknown_resolution_reason"},
		{"not of the queue", Completed{ResolutionReason: "visit_confirmed", Reached: true}, "SUP-1", nil, "not_your_queue"},
		{"the clock is held", Completed{ResolutionReason: "visit_confirmed", Reached: true}, "BPO1-7", func(f *floor, id string) {
			f.do("agent1", id, "claim", nil)
			f.do("agent1", id, "hold", map[string]any{"reason": "parts", "until": callback.At(f.clock.Now().Add(time.Hour))})
		}, "held"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, func(c *Config) { c.Completed = test.config })
			x := servicebenchfake.Raise(1, f.clock.Now())
			id := f.tell(x, Promised)
			if test.before != nil {
				test.before(f, id)
			}
			require.Equal(t, id, f.tell(x.At(f.clock.Now().Add(time.Minute), "Complete").With("user_id", test.user), KeptBack))
			require.False(t, f.desk.View(id).State.Status.Closed())
			kept := f.kept.Messages()
			require.Len(t, kept, 1)
			require.Contains(t, kept[0].Reason, test.reason)
			require.Error(t, f.c.Replay(context.Background(), kept[0]))

			// A person does it; then the message has nothing left to do.
			f.desk.Hire(book.Staff{ID: "boss", Rank: 9, Tier: "executive"})
			f.do("boss", id, "cancel", map[string]any{"reason": "completed there"})
			require.NoError(t, f.c.Replay(context.Background(), kept[0]))
		})
	}
}

func TestR18_ACallbackThatAPersonMadeIsCompletedToo(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Completed = Completed{ResolutionReason: "visit_confirmed", Reached: true} })
	id, err := f.desk.Promise(context.Background(), "desk", "k", connectors.Promise{
		Policy: "callback-exception", Customer: book.Customer{Name: "Asha", Phone: connectortest.Phone(1)}, Source: book.Source{System: "servicebench", Ref: "EX-1"},
	})
	require.NoError(t, err)
	require.Equal(t, id, f.tell(servicebenchfake.Raise(1, f.clock.Now()).With("status", "Complete"), CompletedHere))
	require.Equal(t, callback.StatusCompleted, f.desk.View(id).State.Status)
}

func TestWhatTheDeskCannotTakeNowIsAskedForAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	x := servicebenchfake.Raise(1, f.clock.Now())
	for name, fail := range map[string]func(error){"desk": f.desk.Fail, "memory": f.memory.Fail} {
		for _, err := range []error{errors.New("connection refused"), &callback.Fault{Code: callback.CodeUnavailable}, &callback.Fault{Code: callback.CodeOutcomeUnknown}} {
			fail(err)
			w := httptest.NewRecorder()
			f.c.Receive(w, servicebenchfake.Request(t, "/v1/inbound/exceptions", "msg-1", x.JSON(), f.clock.Now()))
			require.Equal(t, http.StatusServiceUnavailable, w.Code, name)
			require.NotEmpty(t, w.Header().Get("Retry-After"))
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			fail(nil)
		}
	}
	f.kept.Fail(errors.New("disk full"))
	code, _ := f.post(x.With("user_id", "nobody").JSON())
	require.Equal(t, http.StatusServiceUnavailable, code, "what cannot be kept either is its sender's still")
	f.kept.Fail(nil)
	f.tell(x, Promised)
	require.Empty(t, f.kept.Messages())
}

func TestOnlySignedExceptionsAreParsed(t *testing.T) {
	t.Parallel()
	f := open(t)
	x := servicebenchfake.Raise(1, f.clock.Now())
	request := func(change func(*http.Request)) int {
		r := servicebenchfake.Request(t, "/v1/inbound/exceptions", "msg-1", x.JSON(), f.clock.Now())
		change(r)
		w := httptest.NewRecorder()
		f.c.Receive(w, r)
		if w.Code >= 400 {
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		}
		return w.Code
	}
	require.Equal(t, http.StatusUnauthorized, request(func(r *http.Request) { r.Header.Del("Webhook-Signature") }))
	require.Equal(t, http.StatusUnauthorized, request(func(r *http.Request) { r.Header.Set("Webhook-Id", "other") }))
	require.Equal(t, http.StatusUnauthorized, request(func(r *http.Request) { r.Body = http.NoBody }))
	require.Equal(t, http.StatusUnsupportedMediaType, request(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }))
	require.Equal(t, http.StatusMethodNotAllowed, request(func(r *http.Request) { r.Method = http.MethodGet }))
	require.Equal(t, http.StatusOK, request(func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") }))

	w := httptest.NewRecorder()
	f.c.Receive(w, servicebenchfake.Request(t, "/v1/inbound/exceptions", "msg-1", make([]byte, maxBody+1), f.clock.Now()))
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	f.clock.Advance(time.Hour)
	w = httptest.NewRecorder()
	f.c.Receive(w, servicebenchfake.Request(t, "/v1/inbound/exceptions", "msg-1", x.JSON(), f.clock.Now().Add(-time.Hour)))
	require.Equal(t, http.StatusUnauthorized, w.Code, "caught and sent again an hour later")
	require.Empty(t, f.kept.Messages())
	require.Len(t, f.desk.All(), 1)
}

func TestR14_OnlyExceptionsThatProveThemselvesCount(t *testing.T) {
	t.Parallel()
	f, gate := open(t), &connectortest.Gate{}
	x := servicebenchfake.Raise(1, f.clock.Now())
	post := func(change func(*http.Request)) int {
		r := servicebenchfake.Request(t, "/v1/inbound/exceptions", "msg-1", x.JSON(), f.clock.Now())
		change(r)
		w := httptest.NewRecorder()
		f.c.Receive(w, gate.At(r))
		return w.Code
	}
	as := func(*http.Request) {}
	require.Equal(t, http.StatusUnauthorized, post(func(r *http.Request) { r.Header.Set("Webhook-Signature", "v1,Zm9yZ2Vk") }))
	require.Zero(t, gate.Proven)
	gate.Full = true
	require.Equal(t, http.StatusTooManyRequests, post(as))
	require.Empty(t, f.desk.All())
	gate.Full = false
	require.Equal(t, http.StatusOK, post(as))
	require.Equal(t, 2, gate.Proven)
}

func TestAMistakeInTheConfigurationNamesItsKey(t *testing.T) {
	t.Parallel()
	good := Config{Secret: servicebenchfake.Secret, Routes: []Route{{Policy: "p"}}}
	tests := []struct {
		path   string
		change func(*Config)
	}{
		{"secret_env", func(c *Config) { c.Secret = "" }},
		{"secret_env", func(c *Config) { c.Secret = "topsecret" }},
		{"routes", func(c *Config) { c.Routes = nil }},
		{"routes[1].policy", func(c *Config) { c.Routes = append(c.Routes, Route{}) }},
		{"sources[0]", func(c *Config) { c.Sources = []string{"a:b"} }},
		{"sources[1]", func(c *Config) { c.Sources = []string{"a", "a"} }},
		{"regions[0]", func(c *Config) { c.Regions = []string{"India"} }},
		{"time_zone", func(c *Config) { c.TimeZone = "Nowhere" }},
		{"url", func(c *Config) { c.URL = "ftp://x" }},
		{"url", func(c *Config) { c.URL = "https://user:topsecret@example.com" }},
		{"completed.resolution_reason", func(c *Config) { c.Completed.Reached = true }},
	}
	for _, test := range tests {
		c := good
		c.Routes = append([]Route(nil), good.Routes...)
		test.change(&c)
		_, err := New(c, connectors.Deps{})
		var fault *callback.Fault
		require.ErrorAs(t, err, &fault, test.path)
		require.Equal(t, test.path, fault.Errors[0].Path)
		require.NotContains(t, err.Error(), "topsecret")
	}
	c, err := New(good, connectors.Deps{})
	require.NoError(t, err)
	require.Equal(t, "exceptions", c.Path())
	require.Empty(t, c.Types(), "without an address nothing is sent")
}
