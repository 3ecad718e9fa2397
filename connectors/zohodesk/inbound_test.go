package zohodesk

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/zohodesk/zohodeskfake"
)

// post sends events with a token.
func (fl *floor) post(token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/inbound/zohodesk", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("X-ZDesk-JWT", token)
	}
	w := httptest.NewRecorder()
	fl.Receive(w, r)
	return w
}

const byHand = "555"

// handmade is a floor whose subscription somebody made by hand.
func handmade(t *testing.T, changes ...func(*Config)) *floor {
	return newFloor(t, append(changes, func(c *Config) { c.WebhookID = byHand })...)
}

func (fl *floor) token() string { return fl.fake.Token(byHand, fl.clock.Now().Add(5*time.Minute)) }

func updated(id string) string {
	return `[{"eventType": "Task_Update", "eventTime": "2026-11-23T10:00:00.000Z", "orgId": "60001", "payload": {"id": "` + id + `", "status": "whatever"}}]`
}

func TestEventsProveThemselvesBeforeTheyAreRead(t *testing.T) {
	t.Parallel()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	fl := handmade(t)
	good := func() map[string]any {
		return map[string]any{"iss": "orgId:60001", "aud": "webhookId:" + byHand, "exp": fl.clock.Now().Add(time.Minute).Unix()}
	}
	with := func(name string, value any) map[string]any {
		c := good()
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	rs, now := func(c map[string]any) string { return fl.fake.Sign(jose.RS256, fl.fake.Key(), c) }, fl.clock.Now()
	for name, token := range map[string]string{
		"seconds":      rs(good()),
		"milliseconds": rs(with("exp", now.Add(time.Minute).UnixMilli())),
		"fraction":     rs(with("exp", float64(now.Add(time.Minute).Unix())+0.5)),
		"several":      rs(with("aud", []string{"webhookId:1", "webhookId:" + byHand})),
		"leeway":       rs(with("exp", now.Add(-30*time.Second).Unix())),
		"bearer":       "Bearer " + rs(good()),
	} {
		require.Equal(t, http.StatusOK, fl.post(token, updated("1")).Code, name)
	}
	unsigned := "eyJhbGciOiJub25lIn0." + strings.Split(rs(good()), ".")[1] + "."
	for name, token := range map[string]string{
		"none":                       "",
		"nonsense":                   "x.y.z",
		"not signed":                 unsigned,
		"another key":                fl.fake.Sign(jose.RS256, other, good()),
		"the public key as a secret": fl.fake.Sign(jose.HS256, []byte("-----BEGIN PUBLIC KEY-----1234567890"), good()),
		"another algorithm":          fl.fake.Sign(jose.PS256, fl.fake.Key(), good()),
		"another organization":       rs(with("iss", "orgId:60002")),
		"no issuer":                  rs(with("iss", nil)),
		"another webhook":            rs(with("aud", "webhookId:556")),
		"no webhook":                 rs(with("aud", nil)),
		"any webhook":                rs(with("aud", "webhookId:")),
		"expired":                    rs(with("exp", now.Add(-2*time.Minute).Unix())),
		"expired milliseconds":       rs(with("exp", now.Add(-2*time.Minute).UnixMilli())),
		"no end":                     rs(with("exp", nil)),
		"an end in words":            rs(with("exp", "tomorrow")),
		"an end far off":             rs(with("exp", 1e18)),
	} {
		w := fl.post(token, updated("2"))
		require.Equal(t, http.StatusUnauthorized, w.Code, name)
		var p struct{ Code string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.Equal(t, "unauthenticated", p.Code)
	}
	require.Equal(t, 6, fl.memory.Keys(Name, "events:"))

	stranger := newFloor(t) // no subscription is known
	require.Equal(t, http.StatusUnauthorized, stranger.post(stranger.token(), updated("1")).Code)
}

func TestR18_OnlyEventsThatProveThemselvesCount(t *testing.T) {
	t.Parallel()
	fl, gate := handmade(t), &connectortest.Gate{}
	post := func(token, body string) int {
		r := httptest.NewRequest(http.MethodPost, "/v1/inbound/zohodesk", strings.NewReader(body))
		r.Header.Set("X-ZDesk-JWT", token)
		w := httptest.NewRecorder()
		fl.Receive(w, gate.At(r))
		return w.Code
	}
	require.Equal(t, http.StatusUnauthorized, post("x.y.z", updated("1")))
	require.Equal(t, http.StatusOK, post("", ""), "a validation")
	require.Zero(t, gate.Proven)
	gate.Full = true
	require.Equal(t, http.StatusTooManyRequests, post(fl.token(), updated("1")))
	require.Zero(t, fl.memory.Keys(Name, "events:"))
	gate.Full = false
	require.Equal(t, http.StatusOK, post(fl.token(), updated("1")))
	require.Equal(t, 2, gate.Proven)
}

func TestKeysAreFetchedWhenNeededAndNotForEverybody(t *testing.T) {
	t.Parallel()
	fl := handmade(t)
	fetched, away := 0, false
	real := http.DefaultTransport
	fl.keys.client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if fetched++; away {
			return nil, errors.New("away")
		}
		return real.RoundTrip(r)
	})}
	for range 5 {
		require.Equal(t, http.StatusOK, fl.post(fl.token(), updated("1")).Code)
	}
	require.Equal(t, 1, fetched)
	fl.fake.KeyID = "k2" // they change their key
	require.Equal(t, http.StatusUnauthorized, fl.post(fl.token(), updated("1")).Code, "asked a moment ago")
	require.Equal(t, 1, fetched)
	fl.clock.Advance(2 * time.Minute)
	require.Equal(t, http.StatusOK, fl.post(fl.token(), updated("1")).Code)
	require.Equal(t, 2, fetched)
	away = true
	fl.clock.Advance(25 * time.Hour)
	require.Equal(t, http.StatusOK, fl.post(fl.token(), updated("1")).Code, "better old than none")
	require.Equal(t, 3, fetched)

	fresh := handmade(t)
	fresh.keys.client = fl.keys.client
	w := fresh.post(fresh.token(), updated("1"))
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "whether it is true cannot be known: it must be sent again")
	require.NotEmpty(t, w.Header().Get("Retry-After"))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAValidationIsAnswered(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	for method, status := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 200, http.MethodDelete: 405} {
		w := httptest.NewRecorder()
		fl.Receive(w, httptest.NewRequest(method, "/v1/inbound/zohodesk", nil))
		require.Equal(t, status, w.Code, method)
	}
	require.Zero(t, fl.memory.Keys(Name, ""))
}

func TestEventsAreAnsweredOnlyWhenTheyAreDurable(t *testing.T) {
	t.Parallel()
	fl := handmade(t)
	token := fl.token()
	fl.memory.Fail(errors.New("database away"))
	fl.kept.Fail(errors.New("database away"))
	require.Equal(t, http.StatusServiceUnavailable, fl.post(token, updated("1")).Code)
	fl.memory.Fail(nil)
	require.Equal(t, http.StatusServiceUnavailable, fl.post(token, `nonsense`).Code)
	require.Equal(t, http.StatusRequestEntityTooLarge, fl.post(token, "["+strings.Repeat(" ", maxEvents)+"]").Code)
}

func TestEventsThatCannotBeUnderstoodAreKept(t *testing.T) {
	t.Parallel()
	fl := handmade(t)
	body := `[{"eventType": "Task_Update", "payload": {"id": "77"}}, {"eventType": "Contact_Update", "payload": {"id": 5}},
		{"eventType": "Task_Update", "payload": {"id": "../x"}}, {"eventType": "Task_Update"}, "text", 5, {},
		{"eventType": "Task_Update", "orgId": "1", "payload": {"id": "78"}}, {"eventType": "Task_Update", "payload": {"id": 77}}]`
	require.Equal(t, http.StatusOK, fl.post(fl.token(), body).Code)
	require.Equal(t, 1, fl.memory.Keys(Name, "events:"), "the good ones are taken, each once")
	require.Len(t, fl.kept.Messages(), 6)
	for _, m := range fl.kept.Messages() {
		require.Equal(t, Name, m.Connector)
		require.NotEmpty(t, m.Reason)
		require.True(t, json.Valid(m.Body))
		require.Error(t, fl.Replay(context.Background(), m))
	}
	require.Equal(t, http.StatusOK, fl.post(fl.token(), `<xml/>`).Code)
	require.Len(t, fl.kept.Messages(), 7)
	require.Equal(t, http.StatusOK, fl.post(fl.token(), `{"eventType": "Task_Update", "payload": {"id": "79"}}`).Code, "one by itself")
	require.Equal(t, http.StatusOK, fl.post(fl.token(), `[]`).Code)
	require.Len(t, fl.kept.Messages(), 7)
}

func TestR18_CompletedThereIsCompletedHere(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) {
		c.ResolutionField, c.ResolutionReasons = "cf_reason", map[string]string{"Question answered": "information_given"}
	})
	fl.subscribed()
	id, task := fl.worked()
	fl.edit("2001", task, func(i *zohodeskfake.Item) { i.Status, i.Fields["cf_reason"] = "Completed", "Question answered" })
	fl.work()
	s := fl.state(id)
	require.Equal(t, callback.StatusCompleted, s.Status)
	require.Equal(t, "information_given", s.ResolutionReason)
	require.Equal(t, "agent1", s.ClosedBy, "in the name of whoever did it")
	require.NoError(t, fl.deliver(id))
	require.Equal(t, "Completed", fl.fake.Item(task).Status)
	fl.work()
	require.NoError(t, fl.poll(context.Background()))
	require.Empty(t, fl.kept.Messages())
	require.Empty(t, fl.fake.Item(task).Comments)
}

func TestR18_CompletedHereIsCompletedThere(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.subscribed()
	id, task := fl.worked()
	fl.do("agent1", id, "complete", map[string]any{"resolution_reason": "information_given"})
	version := fl.state(id).Version
	require.NoError(t, fl.deliver(id))
	require.Equal(t, "Completed", fl.fake.Item(task).Status)
	fl.work()
	require.NoError(t, fl.poll(context.Background()))
	require.Equal(t, version, fl.state(id).Version, "our own write comes back as nothing")
	require.Empty(t, fl.kept.Messages())
}

func TestR17_WhereTheResolutionReasonComesFrom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field, usual, want string
		mapped             map[string]string
	}{
		{field: "visit_confirmed", want: "visit_confirmed"},
		{field: " Confirmed ", mapped: map[string]string{"Confirmed": "visit_confirmed"}, want: "visit_confirmed"},
		{usual: "information_given", want: "information_given"},
		{field: "visit_confirmed", usual: "information_given", want: "visit_confirmed"},
		{},
		{field: "something else", usual: "information_given"},
	} {
		fl := newFloor(t, func(f *Config) {
			f.ResolutionField, f.DefaultReason, f.ResolutionReasons = "cf_reason", c.usual, c.mapped
		})
		fl.subscribed()
		id, task := fl.worked()
		fl.edit("2001", task, func(i *zohodeskfake.Item) {
			if i.Status = "Completed"; c.field != "" {
				i.Fields["cf_reason"] = c.field
			}
		})
		fl.work()
		require.Equal(t, c.want, fl.state(id).ResolutionReason)
		if c.want == "" {
			require.Equal(t, "In Progress", fl.fake.Item(task).Status, "without one it is refused, and put back")
			require.Contains(t, fl.kept.Messages()[0].Reason, "resolution_reason")
		}
	}
}

func TestR18_WhatTheDeskRefusesIsPutBackWithItsReason(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.DefaultReason, c.SummaryField = "resolved", "cf_summary" })
	fl.subscribed()
	ctx := context.Background()
	id := fl.promise("supervisor-callback")
	fl.do("sup1", id, "claim", nil)
	fl.do("sup1", id, "start", nil)
	require.NoError(t, fl.deliver(id))
	task := fl.only(false).ID

	fl.edit("2011", task, status("Completed"))
	fl.work()
	require.Equal(t, callback.StatusInProgress, fl.state(id).Status, "R09: the customer was not reached")
	back := fl.fake.Item(task)
	require.Equal(t, "In Progress", back.Status)
	require.Len(t, back.Comments, 1)
	require.Contains(t, back.Comments[0].Content, "contact_required")
	require.Len(t, fl.kept.Messages(), 1)
	require.Contains(t, fl.kept.Messages()[0].Reason, "contact_required")
	fl.work()
	require.NoError(t, fl.poll(ctx))
	require.Len(t, fl.fake.Item(task).Comments, 1, "said once")

	fl.do("sup1", id, "attempts", map[string]any{"disposition": "reached"})
	require.NoError(t, fl.deliver(id))
	fl.edit("2011", task, status("Completed"))
	fl.work()
	require.Contains(t, fl.fake.Item(task).Comments[1].Content, "call_summary_required")
	require.Len(t, fl.kept.Messages(), 2)

	fl.edit("2011", task, func(i *zohodeskfake.Item) { i.Status, i.Fields["cf_summary"] = "Completed", "Refunded." })
	fl.work()
	require.Equal(t, callback.StatusCompleted, fl.state(id).Status)
	require.Len(t, fl.kept.Messages(), 2)
	require.NoError(t, fl.Replay(ctx, fl.kept.Messages()[0]), "replayed late, it is done already")
}

func TestR18_APutBackSurvivesFaults(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for step := range 3 { // the fetch, the comment, the status
		for _, fault := range []connectortest.Fault{connectortest.Broken, connectortest.Lost, connectortest.Busy} {
			if step == 0 && fault == connectortest.Lost {
				continue // a read that is lost is read again by net/http itself
			}
			fl := newFloor(t)
			fl.subscribed()
			id, task := fl.worked()
			fl.edit("2001", task, status("Completed")) // without a reason
			script := make([]connectortest.Fault, step)
			fl.fake.Faults.Next(append(script, fault)...)
			_, err := fl.events.Once(ctx, fl.hinted)
			require.Error(t, err)
			fl.clock.Advance(10 * time.Second)
			fl.work()
			fl.work()
			require.Equal(t, callback.StatusInProgress, fl.state(id).Status)
			require.Equal(t, "In Progress", fl.fake.Item(task).Status)
			require.Len(t, fl.fake.Item(task).Comments, 1)
			require.Len(t, fl.kept.Messages(), 1)
		}
	}
}

// A change that may have arrived is not written again over what somebody did meanwhile.
func TestR18_WhatIsDoneThereWhileAnAnswerIsLostIsDoneHere(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]connectortest.Fault{"it had arrived": connectortest.Lost, "it had not": connectortest.Broken} {
		for _, hinted := range []string{"before", "after"} {
			t.Run(name+", hinted "+hinted, func(t *testing.T) {
				t.Parallel()
				fl := newFloor(t, func(c *Config) { c.ResolutionField = "cf_reason" })
				id := fl.promise("callback-exception")
				fl.do("agent1", id, "claim", nil)
				require.NoError(t, fl.deliver(id))
				fl.subscribed()
				fl.do("agent1", id, "start", nil)
				fl.fake.Faults.Only(func(r *http.Request) bool { return r.Method == http.MethodPatch })
				fl.fake.Faults.Next(fault)
				require.Equal(t, connectors.Unavailable, owed(t, fl.deliver(id)).Code)
				fl.edit("2001", fl.only(false).ID, func(i *zohodeskfake.Item) {
					i.Status, i.Fields = "Completed", map[string]any{"cf_reason": "information_given"}
				})
				if hinted == "before" {
					fl.work()
				}
				require.NoError(t, fl.deliver(id))
				fl.work()
				require.NoError(t, fl.deliver(id))
				require.Equal(t, callback.StatusCompleted, fl.state(id).Status)
				require.Equal(t, "information_given", fl.state(id).ResolutionReason)
				require.Equal(t, "Completed", fl.only(false).Status)
				require.Empty(t, fl.kept.Messages())
			})
		}
	}
}

func TestR18_WhatIsDoneThereBeforeWeKnowTheTaskIsDoneHere(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.ResolutionField = "cf_reason" })
	require.NoError(t, fl.poll(context.Background()))
	fl.subscribed()
	id := fl.promise("callback-exception")
	fl.do("agent1", id, "claim", nil)
	fl.do("agent1", id, "start", nil)
	fl.fake.Faults.Only(func(r *http.Request) bool { return r.Method == http.MethodPost })
	fl.fake.Faults.Next(connectortest.Lost)
	require.Equal(t, connectors.Unavailable, owed(t, fl.deliver(id)).Code)
	fl.edit("2001", fl.only(false).ID, func(i *zohodeskfake.Item) {
		i.Status, i.Fields = "Completed", map[string]any{"cf_reason": "information_given"}
	})
	fl.work()
	require.NoError(t, fl.deliver(id))
	require.Equal(t, "Completed", fl.only(false).Status)
	require.NoError(t, fl.poll(context.Background()))
	require.NoError(t, fl.deliver(id))
	require.Equal(t, callback.StatusCompleted, fl.state(id).Status)
	require.Equal(t, "information_given", fl.state(id).ResolutionReason)
	require.Empty(t, fl.kept.Messages())
}

func TestR18_WhoeverDidItMustBeSomebodyHere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by, owner, closedBy, why string
	}{
		"its assignee":              {by: "2001", owner: "2001", closedBy: "agent1"},
		"somebody else of the team": {by: "2002", owner: "2001", why: "not_assignee"},
		"a stranger":                {by: "9999", owner: "2001", why: "identity"},
		"a stranger, nobody's":      {by: "9999", why: "identity"},
		"not said: whose it is":     {owner: "2001", closedBy: "agent1"},
		"us: whose it is":           {by: zohodeskfake.Me, owner: "2001", closedBy: "agent1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fl := newFloor(t, func(c *Config) { c.DefaultReason = "information_given" })
			fl.subscribed()
			id := fl.promise("callback-exception")
			require.NoError(t, fl.deliver(id))
			fl.do("agent1", id, "claim", nil)
			fl.do("agent1", id, "start", nil)
			require.NoError(t, fl.deliver(id)) // we have learnt who we are there
			task := fl.only(false).ID
			fl.edit(c.by, task, func(i *zohodeskfake.Item) { i.Status, i.Owner = "Completed", c.owner })
			fl.work()
			require.Equal(t, c.closedBy, fl.state(id).ClosedBy)
			if c.why != "" {
				require.Equal(t, "In Progress", fl.fake.Item(task).Status)
				require.Contains(t, fl.kept.Messages()[0].Reason, c.why)
			}
		})
	}
}

func TestR16_InProgressThereIsInProgressHere(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.subscribed()
	id := fl.promise("callback-exception")
	require.NoError(t, fl.deliver(id))
	task := fl.only(false).ID
	fl.edit("2001", task, func(i *zohodeskfake.Item) { i.Owner, i.Status = "2001", "In Progress" })
	fl.work()
	require.Equal(t, callback.StatusInProgress, fl.state(id).Status)
	require.Equal(t, "agent1", fl.state(id).Assignee)
	require.NoError(t, fl.deliver(id))
	fl.edit("2001", task, status("Follow Up"))
	fl.work()
	require.Equal(t, callback.StatusInProgress, fl.state(id).Status, "a status of their own that is no end")
	require.Equal(t, "Follow Up", fl.fake.Item(task).Status)
	require.Empty(t, fl.kept.Messages())
}

func TestR18_CompletedWithoutHavingBeenStartedOrWhileHeld(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*floor, string){
		"queued":  func(*floor, string) {},
		"claimed": func(fl *floor, id string) { fl.do("agent1", id, "claim", nil) },
		"held": func(fl *floor, id string) {
			fl.do("agent1", id, "claim", nil)
			fl.do("agent1", id, "hold", map[string]any{"reason": "r", "until": "2026-11-23T12:00:00.000Z"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fl := newFloor(t, func(c *Config) { c.DefaultReason = "information_given" })
			fl.subscribed()
			id := fl.promise("callback-exception")
			before(fl, id)
			require.NoError(t, fl.deliver(id))
			task := fl.only(false).ID
			fl.edit("2001", task, status("Completed"))
			fl.work()
			require.Equal(t, callback.StatusCompleted, fl.state(id).Status)
			require.Equal(t, "agent1", fl.state(id).ClosedBy)
			require.Equal(t, 1, fl.desk.Count(id, callback.TypeStarted))
			require.NoError(t, fl.deliver(id))
			require.Empty(t, fl.kept.Messages())
		})
	}
	fl := newFloor(t) // no reason: what was done on the way stays, and the true status is shown
	fl.subscribed()
	id := fl.promise("callback-exception")
	require.NoError(t, fl.deliver(id))
	task := fl.only(false).ID
	fl.edit("2001", task, status("Completed"))
	fl.work()
	require.Equal(t, callback.StatusInProgress, fl.state(id).Status)
	require.Equal(t, "In Progress", fl.fake.Item(task).Status)
	require.NoError(t, fl.deliver(id))
	require.Equal(t, "In Progress", fl.fake.Item(task).Status)
}

func TestR18_CancelledThereIsCancelledHereByWhoMay(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.subscribed()
	id, task := fl.worked()
	fl.edit("2002", task, status("Out of Scope"))
	fl.work()
	require.Equal(t, callback.StatusInProgress, fl.state(id).Status)
	require.Contains(t, fl.fake.Item(task).Comments[0].Content, "forbidden")
	fl.edit("2001", task, status("Out of Scope"))
	fl.work()
	require.Equal(t, callback.StatusCancelled, fl.state(id).Status)
}

func TestR18_AClosedCallbackStaysClosed(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.subscribed()
	id, task := fl.worked()
	fl.do("agent1", id, "complete", map[string]any{"resolution_reason": "information_given"})
	require.NoError(t, fl.deliver(id))
	fl.edit("2001", task, status("In Progress"))
	fl.work()
	require.Equal(t, "Completed", fl.fake.Item(task).Status)
	comments := fl.fake.Item(task).Comments
	require.Contains(t, comments[len(comments)-1].Content, "closed")
	require.Len(t, fl.kept.Messages(), 1)
}

func TestDuplicatesAndEventsOutOfOrderAreTolerated(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.DefaultReason = "information_given" })
	fl.subscribed()
	fl.fake.Deliver = false
	id := fl.promise("callback-exception")
	require.NoError(t, fl.deliver(id))
	task := fl.only(false).ID
	for _, s := range []string{"In Progress", "Follow Up", "Completed"} {
		fl.edit("2001", task, status(s))
	}
	statuses := fl.fake.Send(func(in []int) []int { slices.Reverse(in); return append(in, in...) })
	require.Equal(t, []int{200}, statuses)
	require.Equal(t, 1, fl.memory.Keys(Name, "events:"), "one hint: look at it once")
	fl.work()
	require.Equal(t, callback.StatusCompleted, fl.state(id).Status)
	fl.fake.Post(fl.fake.Webhooks()[0].ID, []byte(updated(task)))
	fl.work()
	require.Equal(t, 1, fl.desk.Count(id, callback.TypeCompleted))
	require.Empty(t, fl.kept.Messages())
}

func TestR18_APollFindsWhatNoEventSaid(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.DefaultReason = "information_given" })
	ctx := context.Background()
	require.NoError(t, fl.poll(ctx))
	var ids, done []string
	for range 250 {
		id, _ := fl.worked()
		ids = append(ids, id)
		fl.clock.Advance(time.Second)
	}
	for n, i := range fl.fake.Items(false) {
		if n%2 == 0 {
			fl.edit("2001", i.ID, status("Completed"))
			done = append(done, ids[n])
		}
	}
	fl.fake.Forget()
	fl.fake.Faults.Only(func(r *http.Request) bool { return r.URL.Path == "/api/v1/tasks" })
	fl.fake.Faults.Next(connectortest.Well, connectortest.Broken)
	require.Error(t, fl.poll(ctx))
	require.NoError(t, fl.poll(ctx), "it begins where the last whole one ended")
	for n, id := range ids {
		require.Equal(t, n%2 == 0, fl.state(id).Status.Closed())
	}
	require.Len(t, done, 125)
	gets := fl.fake.Calls("GET /tasks/{id}")
	lists := fl.fake.Calls("GET /tasks")
	require.NoError(t, fl.desk.DeliverAll(ctx, fl.Zoho))
	fl.clock.Advance(time.Hour)
	require.NoError(t, fl.poll(ctx))
	require.Equal(t, gets, fl.fake.Calls("GET /tasks/{id}"), "nothing of theirs has changed: nothing is fetched")
	require.LessOrEqual(t, fl.fake.Calls("GET /tasks")-lists, 3)
}

func TestR18_ATaskThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.DefaultReason = "information_given" })
	ctx := context.Background()
	require.NoError(t, fl.poll(ctx))
	first, _ := fl.worked()
	second, _ := fl.worked()
	items := fl.fake.Items(false)
	for _, i := range items {
		fl.edit("2001", i.ID, status("Completed"))
		fl.clock.Advance(time.Second)
	}
	fl.fake.Forget()
	last := items[len(items)-1].ID // the newest change comes first
	fl.fake.Faults.Only(func(r *http.Request) bool { return r.URL.Path == "/api/v1/tasks/"+last })
	fl.fake.Faults.Always(connectortest.Broken)
	for range 3 {
		require.Error(t, fl.poll(ctx), "it may pass")
		require.False(t, fl.state(first).Status.Closed())
	}
	require.NoError(t, fl.poll(ctx))
	require.True(t, fl.state(first).Status.Closed())
	require.False(t, fl.state(second).Status.Closed())
	fl.fake.Faults.Always(connectortest.Well)
	fl.work()
	require.True(t, fl.state(second).Status.Closed())
}

// Nobody here knew of the task yet when somebody there took it up: that is not overwritten, and found by the poll.
func TestR18_WhatIsDoneToATaskWhoseMakingWasNotAnsweredIsDoneHere(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	require.NoError(t, fl.poll(ctx))
	id := fl.promise("callback-exception")
	fl.fake.Faults.Only(func(r *http.Request) bool { return r.Method == http.MethodPost })
	fl.fake.Faults.Next(connectortest.Lost)
	require.Equal(t, connectors.Unavailable, owed(t, fl.deliver(id)).Code)
	task := fl.only(false).ID
	fl.edit("2001", task, status("In Progress"))
	require.NoError(t, fl.deliver(id))
	require.Equal(t, "In Progress", fl.fake.Item(task).Status)
	require.NoError(t, fl.poll(ctx))
	require.Equal(t, callback.StatusInProgress, fl.state(id).Status)
	require.Equal(t, "agent1", fl.state(id).Assignee)
	require.Empty(t, fl.kept.Messages())
}

func TestR20_ASweepFindsTicketsThatWereClosed(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.DefaultReason = "resolved" })
	ctx := context.Background()
	var ids []string
	for range 5 {
		id := fl.promise("executive-escalation")
		ids = append(ids, id)
		require.NoError(t, fl.deliver(id))
	}
	require.NoError(t, fl.sweep(ctx))
	require.Equal(t, 5, fl.fake.Calls("GET /tickets/{id}"))
	items := fl.fake.Items(true)
	fl.edit("2031", items[1].ID, status("Closed"))
	fl.fake.Faults.Next(connectortest.Well, connectortest.Broken)
	require.Error(t, fl.sweep(ctx))
	require.NoError(t, fl.sweep(ctx))
	for n, id := range ids {
		require.Equal(t, n == 1, fl.state(id).Status.Closed())
	}
	require.NoError(t, fl.desk.DeliverAll(ctx, fl.Zoho))
	require.NoError(t, fl.sweep(ctx))
	gets := fl.fake.Calls("GET /tickets/{id}")
	require.NoError(t, fl.sweep(ctx))
	require.Equal(t, 4, fl.fake.Calls("GET /tickets/{id}")-gets, "what is done is not watched any more")
}

func TestATaskDeletedWhileItsCallbackIsOpenIsKept(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.subscribed()
	id, task := fl.worked()
	fl.edit("2001", task, func(i *zohodeskfake.Item) { i.Trashed = true })
	fl.work()
	require.Len(t, fl.kept.Messages(), 1)
	require.Contains(t, fl.kept.Messages()[0].Reason, "deleted")
	require.False(t, fl.state(id).Status.Closed())
	require.NoError(t, fl.Replay(context.Background(), fl.kept.Messages()[0]))
}

func TestAnEventThatFailsForADayIsKept(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.DefaultReason = "information_given" })
	ctx := context.Background()
	fl.subscribed()
	id, task := fl.worked()
	fl.edit("2001", task, status("Completed"))
	fl.desk.Fail(errors.New("database away"))
	for range 24 {
		_, err := fl.events.Once(ctx, fl.hinted)
		require.Error(t, err)
		fl.clock.Advance(time.Hour)
	}
	fl.clock.Advance(time.Minute)
	fl.work()
	require.Contains(t, fl.kept.Messages()[0].Reason, "unavailable")
	fl.desk.Fail(nil)
	require.NoError(t, fl.Replay(ctx, fl.kept.Messages()[0]))
	require.Equal(t, callback.StatusCompleted, fl.state(id).Status)
}

func TestR20_ATicketAddedThereBecomesACallback(t *testing.T) {
	t.Parallel()
	fl := newFloor(t, func(c *Config) { c.FromTickets, c.DefaultRegion = "executive-escalation", "IN" })
	fl.subscribed()
	fl.fake.Add(zohodeskfake.Item{Ticket: true, Subject: "To the director", Status: "Open", Contact: map[string]any{
		"id": "5", "firstName": "Asha", "lastName": "Rao", "email": "asha@example.com", "phone": nil, "mobile": "098765 43210",
	}})
	fl.fake.Add(zohodeskfake.Item{Ticket: true, Subject: "Done", Status: "Closed", Email: "a@example.com"})
	fl.fake.Add(zohodeskfake.Item{Ticket: true, Subject: "Elsewhere", Status: "Open", DepartmentID: "5", Email: "a@example.com"})
	fl.fake.Add(zohodeskfake.Item{Ticket: true, Subject: "Nobody", Status: "Open"})
	fl.work()
	require.Len(t, fl.desk.All(), 1)
	v := fl.desk.View(fl.desk.All()[0])
	require.Equal(t, book.Customer{Ref: "5", Name: "Asha Rao", Phone: "+919876543210", Email: "asha@example.com"}, v.Intake.Customer)
	require.Equal(t, "To the director", v.Intake.Reason)
	require.Equal(t, "exec1", v.State.Assignee)
	require.Len(t, fl.kept.Messages(), 1, "nobody can be called")
	require.Contains(t, fl.kept.Messages()[0].Reason, "customer")
	require.Error(t, fl.Replay(context.Background(), fl.kept.Messages()[0]))
	require.NoError(t, fl.deliver(v.State.ID))
	require.Equal(t, "2031", fl.fake.Item(v.Intake.Source.Ref).Owner)

	id := fl.promise("executive-escalation") // one of our own making
	require.NoError(t, fl.deliver(id))
	for _, i := range fl.fake.Items(true) {
		require.Equal(t, 200, fl.fake.Post(fl.fake.Webhooks()[0].ID, []byte(strings.ReplaceAll(updated(i.ID), "Task_Update", "Ticket_Add"))))
	}
	fl.work()
	require.Len(t, fl.desk.All(), 2)
}

func TestTheSubscriptionIsKeptAlive(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	fl.subscribed()
	hooks := fl.fake.Webhooks()
	require.Len(t, hooks, 1)
	require.Equal(t, fl.source, hooks[0].IgnoreSource)
	require.Contains(t, hooks[0].Subscriptions, "Task_Update")
	require.Contains(t, hooks[0].Subscriptions, "Ticket_Update")
	require.NotContains(t, hooks[0].Subscriptions, "Ticket_Add")
	require.NoError(t, fl.subscribe(ctx))
	require.Len(t, fl.fake.Webhooks(), 1)
	require.Zero(t, fl.fake.Calls("PATCH /webhooks/{id}"))

	fl.fake.SwitchOff()
	require.NoError(t, fl.subscribe(ctx))
	require.True(t, fl.fake.Webhooks()[0].Enabled)

	fl.config.FromTickets = "executive-escalation" // it should hear more from now on
	require.NoError(t, fl.subscribe(ctx))
	require.Contains(t, fl.fake.Webhooks()[0].Subscriptions, "Ticket_Add")
	require.Len(t, fl.fake.Webhooks(), 1)

	unreachable := newFloor(t, func(c *Config) { c.WebhookURL = "http://127.0.0.1:1" })
	o := owed(t, unreachable.subscribe(ctx))
	require.Equal(t, connectors.Rejected, o.Code)
	require.Contains(t, o.Detail, "/url:invalid")
}

func TestOurOwnChangesComeBackAsNoEvents(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	fl.subscribed()
	id, _ := fl.worked()
	fl.do("agent1", id, "release", map[string]any{"reason": "r"})
	require.NoError(t, fl.deliver(id))
	require.Zero(t, fl.memory.Keys(Name, "events:"))

	deaf := newFloor(t) // even if they do, they say nothing new
	deaf.subscribed()
	deaf.source = "00000000-0000-0000-0000-000000000000"
	id, _ = deaf.worked()
	deaf.do("agent1", id, "release", map[string]any{"reason": "r"})
	require.NoError(t, deaf.deliver(id))
	version := deaf.state(id).Version
	require.NotZero(t, deaf.memory.Keys(Name, "events:"))
	deaf.work()
	require.Equal(t, version, deaf.state(id).Version)
	require.Empty(t, deaf.kept.Messages())
}

func TestRunWorksOffEventsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	fl := handmade(t, func(c *Config) { c.DefaultReason = "information_given" })
	id, task := fl.worked()
	deps := fl.deps
	deps.Sleep = func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
	running, err := New(fl.config, deps)
	require.NoError(t, err)
	fl.edit("2001", task, status("Completed"))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx) }()
	fl.Zoho = running
	require.Equal(t, http.StatusOK, fl.post(fl.token(), updated(task)).Code)
	require.Eventually(t, func() bool { return fl.state(id).Status.Closed() }, 10*time.Second, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestR26_NothingPersonalAndNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	ctx := context.Background()
	fl.subscribed()
	id, task := fl.worked()
	fl.edit("2001", task, status("Completed"))
	fl.fake.Faults.Always(connectortest.Hanging)
	fl.client.Timeout = 20 * time.Millisecond
	_, err := fl.events.Once(ctx, fl.hinted)
	require.Error(t, err)
	fl.Zoho.log(ctx, "an event waits", err)
	fl.Zoho.log(ctx, "polling", fl.poll(ctx))
	fl.fake.Faults.Always(connectortest.Well)
	fl.fake.Revoke(true)
	fl.Zoho.log(ctx, "polling", fl.poll(ctx))
	require.NotEmpty(t, fl.log.String())
	for _, secret := range []string{task, account.ClientSecret, account.RefreshToken, "1000.access", "Asha", "98765", id} {
		require.NotContains(t, fl.log.String(), secret)
	}
}

func TestConfigurationSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	good := newFloor(t).config
	require.NoError(t, good.Validate())
	bad := Config{
		URL: "desk.zoho.com", AccountsURL: "https://accounts.zoho.com", OrgID: "acme", DepartmentID: "", Tasks: []string{"a"}, Tickets: []string{"a"},
		Statuses: map[string]string{"done": "Completed", "queued": ""}, TicketStatuses: map[string]string{"open": "Open"}, SourceID: "x",
		WebhookURL: "example.com", WebhookID: "x", TicketsDepartmentID: "x", DefaultRegion: "America", PollEvery: -1, Concurrency: -1,
	}
	var fault *callback.Fault
	require.ErrorAs(t, bad.Validate(), &fault)
	var paths []string
	for _, e := range fault.Errors {
		paths = append(paths, e.Path)
	}
	require.Equal(t, []string{
		"client_id_env", "client_secret_env", "concurrency", "default_region", "department_id", "org_id", "poll_every", "refresh_token_env",
		"source_id", "statuses.done", "statuses.queued", "ticket_statuses.open", "tickets", "tickets_department_id", "url", "webhook_id", "webhook_url",
	}, paths)
	_, err := New(bad, connectors.Deps{})
	require.ErrorAs(t, err, &fault)
}

func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		updated("7"), `[{"eventType":"Ticket_Add","payload":{"id":9}}]`, `{}`, `[]`, `null`, `[[]]`, `{"eventType":"Task_Delete","payload":{"id":"3"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		hints, bad := parseEvents(body, "60001")
		seen := map[hint]bool{}
		for _, h := range hints {
			require.False(t, seen[h])
			seen[h] = true
			again, ok := parseHint(h.String())
			require.True(t, ok)
			require.Equal(t, h, again)
		}
		for _, b := range bad {
			require.NotEmpty(t, b.reason)
			require.True(t, bytes.Contains(body, b.body))
		}
	})
}

func FuzzTokens(f *testing.F) {
	fake := zohodeskfake.New(account, connectortest.NewClock().Now)
	server := httptest.NewServer(fake.Handler())
	f.Cleanup(server.Close)
	z, err := New(Config{
		URL: server.URL, AccountsURL: server.URL, OrgID: account.OrgID, DepartmentID: "1", ClientID: "c", ClientSecret: "s", RefreshToken: "r",
	}, connectors.Deps{Now: connectortest.NewClock().Now})
	require.NoError(f, err)
	good := fake.Token(byHand, connectortest.Monday.Add(time.Minute))
	f.Add(good)
	f.Add(good + ".")
	f.Add(strings.ReplaceAll(good, ".", ".."))
	said := good[:strings.LastIndex(good, ".")+1] // the end may be written in other ways
	f.Fuzz(func(t *testing.T, token string) {
		if z.prove(context.Background(), token, []string{byHand}) == nil {
			require.True(t, strings.HasPrefix(strings.TrimSpace(token), said))
		}
	})
	require.NoError(f, z.prove(context.Background(), good, []string{byHand}))
}
