package oneview

import (
	"context"
	"encoding/base64"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/oneview/oneviewfake"
)

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef01234567"))

// floor is a desk beside Oneview.
type floor struct {
	*Oneview
	t     *testing.T
	fake  *oneviewfake.Fake
	desk  *connectortest.Desk
	clock *connectortest.Clock
	n     int
}

func newFloor(t *testing.T, changes ...func(*Config)) *floor {
	t.Helper()
	clock := connectortest.NewClock()
	fake, err := oneviewfake.New(secret, clock.Now)
	require.NoError(t, err)
	server := httptest.NewServer(fake.Handler())
	t.Cleanup(server.Close)
	fl := &floor{t: t, fake: fake, clock: clock, desk: connectortest.NewDesk(clock.Now, connectortest.SupervisorCallback())}
	fl.desk.Hire(connectortest.Floor()...)
	c := Config{URL: server.URL + "/notes", Secret: secret}
	for _, change := range changes {
		change(&c)
	}
	fl.Oneview, err = New(c, connectors.Deps{Now: clock.Now, Sleep: clock.Sleep})
	require.NoError(t, err)
	return fl
}

// worked is a callback of a ticket that somebody works.
func (fl *floor) worked(who string) string {
	fl.t.Helper()
	fl.n++
	id, err := fl.desk.Promise(context.Background(), "associate", strconv.Itoa(fl.n), connectors.Promise{
		Policy: "supervisor-callback", Customer: book.Customer{Name: "Asha Rao", Phone: connectortest.Phone(fl.n)},
		Source: book.Source{System: "freshdesk", Ref: strconv.Itoa(fl.n), URL: "https://acme.freshdesk.com/a/tickets/" + strconv.Itoa(fl.n)},
	})
	require.NoError(fl.t, err)
	fl.do(who, id, "claim", nil)
	fl.do(who, id, "start", nil)
	return id
}

func (fl *floor) do(who, id, name string, body map[string]any) {
	fl.t.Helper()
	fl.n++
	require.NoError(fl.t, fl.desk.Do(context.Background(), strconv.Itoa(fl.n), who, id, name, body))
}

func (fl *floor) note(who, id, body string) {
	fl.do(who, id, "notes", map[string]any{"kind": "note", "body": body})
}

func (fl *floor) deliver(id string) error {
	return fl.desk.Deliver(context.Background(), fl.Oneview, id)
}

func owed(t *testing.T, err error) *connectors.Owed {
	t.Helper()
	var o *connectors.Owed
	require.ErrorAs(t, err, &o)
	require.NotContains(t, o.Error(), secret)
	return o
}

func TestR13_NotesGoUnderTheirAuthorsOwnIdentity(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id := fl.worked("sup1")
	fl.do("sup1", id, "attempts", map[string]any{"disposition": "no_answer", "note": "Rang out"})
	fl.do("sup1", id, "attempts", map[string]any{"disposition": "reached"})
	fl.note("mgr1", id, "Asked about it")
	fl.do("sup1", id, "complete", map[string]any{"resolution_reason": "resolved", "call_summary": "Refunded <b>all</b> & \"more\""})
	require.NoError(t, fl.deliver(id))
	require.NoError(t, fl.deliver(id))
	notes := fl.fake.Notes()
	require.Len(t, notes, 3, "a call without a note is none")
	for n, want := range []struct{ kind, author, body string }{
		{"attempt", "sup1@oneview", "Rang out"}, {"note", "mgr1@oneview", "Asked about it"},
		{"call_summary", "sup1@oneview", "Refunded <b>all</b> & \"more\""},
	} {
		require.Equal(t, want.kind, notes[n].Kind)
		require.Equal(t, want.author, notes[n].Author)
		require.Equal(t, want.body, notes[n].Body)
		require.Equal(t, id, notes[n].CallbackID)
		require.Equal(t, "freshdesk", notes[n].Ticket.System)
		require.Equal(t, "1", notes[n].Ticket.Ref)
		require.Equal(t, connectortest.Monday, notes[n].WrittenAt)
	}
	require.Equal(t, "no_answer", *notes[0].Disposition)
	require.Nil(t, notes[1].Disposition)
}

func TestR13_AnAuthorWithoutAnIdentityIsOwed(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id := fl.worked("nobody")
	fl.note("nobody", id, "hello")
	fl.note("sup1", id, "after it")
	require.Equal(t, connectors.NoIdentity, owed(t, fl.deliver(id)).Code)
	require.Empty(t, fl.fake.Notes(), "not posted as somebody else, and nothing overtakes it")
	fl.desk.Waive(fl.Oneview, id) // copied by hand
	require.NoError(t, fl.deliver(id))
	require.Len(t, fl.fake.Notes(), 1)

	fl.fake.Knows = func(author string) bool { return author != "sup2@oneview" }
	id = fl.worked("sup2")
	fl.note("sup2", id, "hello")
	require.Equal(t, connectors.NoIdentity, owed(t, fl.deliver(id)).Code)
	fl.desk.Hire(book.Staff{ID: "sup2", Identities: map[string]string{Name: "supervisor.two@oneview"}})
	require.NoError(t, fl.deliver(id))

	fl.note("sup1", id, "from somebody who leaves")
	text := connectors.Delivery{
		Event: callback.Event{Fact: &callback.Noted{}}, Callback: &callback.Callback{}, Text: &book.Text{Body: "x"},
	}
	require.Equal(t, connectors.NoIdentity, owed(t, fl.Deliver(context.Background(), text)).Code)
}

func TestANoteIsTakenOnceHoweverOftenItIsSent(t *testing.T) {
	t.Parallel()
	fl := newFloor(t)
	id := fl.worked("sup1")
	fl.note("sup1", id, "hello")
	fl.fake.Faults.Next(connectortest.Lost)
	require.Equal(t, connectors.Unavailable, owed(t, fl.deliver(id)).Code)
	require.NoError(t, fl.deliver(id))
	require.Equal(t, 2, fl.fake.Seen())
	require.Len(t, fl.fake.Notes(), 1)
	fl.note("sup1", id, "erased meanwhile")
	fl.desk.Erase(id)
	require.NoError(t, fl.deliver(id))
	require.Len(t, fl.fake.Notes(), 1)
}

// patientBut waits long for every answer but the one that never comes.
func patientBut(fault connectortest.Fault) func(*Config) {
	return func(c *Config) {
		if fault == connectortest.Hanging {
			c.Timeout = callback.Duration(50 * time.Millisecond)
		}
	}
}

func TestWhyANoteIsOwed(t *testing.T) {
	t.Parallel()
	for fault, code := range map[connectortest.Fault]connectors.OwedCode{
		connectortest.Broken: connectors.Unavailable, connectortest.Hanging: connectors.Unavailable,
		connectortest.Busy: connectors.RateLimited, connectortest.BusySilently: connectors.RateLimited,
	} {
		fl := newFloor(t, patientBut(fault))
		fl.fake.Faults.RetryAfter = 90 * time.Second
		id := fl.worked("sup1")
		fl.note("sup1", id, "hello")
		fl.fake.Faults.Next(fault)
		o := owed(t, fl.deliver(id))
		require.Equal(t, code, o.Code, fault)
		if fault == connectortest.Busy {
			require.Equal(t, 90*time.Second, o.RetryAfter)
		}
		fl.clock.Advance(2 * time.Minute)
		require.NoError(t, fl.deliver(id))
	}
	other := "whsec_" + base64.StdEncoding.EncodeToString([]byte("another secret, as long as it"))
	fl := newFloor(t, func(c *Config) { c.Secret = other })
	id := fl.worked("sup1")
	fl.note("sup1", id, "hello")
	require.Equal(t, connectors.Unauthorized, owed(t, fl.deliver(id)).Code)
	fl = newFloor(t)
	fl.fake.Has = func(string) bool { return false }
	id = fl.worked("sup1")
	fl.note("sup1", id, "hello")
	require.Equal(t, connectors.Gone, owed(t, fl.deliver(id)).Code)
}

func TestOnlyNotesOfTicketsAreWanted(t *testing.T) {
	t.Parallel()
	ticket := &book.Source{System: "freshdesk", Ref: "7"}
	fl := newFloor(t)
	require.False(t, fl.Wants(book.Intake{}, nil))
	require.True(t, fl.Wants(book.Intake{Source: ticket}, nil))
	fl = newFloor(t, func(c *Config) { c.Policies = []string{"supervisor-callback"} })
	require.False(t, fl.Wants(book.Intake{Source: ticket, Policy: "callback-exception"}, nil))
	require.True(t, fl.Wants(book.Intake{Source: ticket, Policy: "supervisor-callback"}, nil))
	require.NoError(t, fl.Deliver(context.Background(), connectors.Delivery{Event: callback.Event{Fact: &callback.Queued{}}, Callback: &callback.Callback{}}))
}

func TestConfigurationSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "secret", "whsec_", "whsec_short", "whsec_" + strings.Repeat("!", 60)} {
		c := Config{URL: "oneview.example", Secret: bad, Timeout: -1, CallsPerMinute: -1}
		var fault *callback.Fault
		require.ErrorAs(t, c.Validate(), &fault)
		var paths []string
		for _, e := range fault.Errors {
			paths = append(paths, e.Path)
			if bad != "" && bad != "secret" && bad != "whsec_" {
				require.NotContains(t, e.Message, bad)
			}
		}
		require.Equal(t, []string{"calls_per_minute", "secret_env", "timeout", "url"}, paths)
		_, err := New(c, connectors.Deps{})
		require.ErrorAs(t, err, &fault)
	}
	good := Config{URL: "https://oneview.example/notes", Secret: secret}
	require.NoError(t, good.Validate())
}

// TestContract is what this package relies on. It runs against the fake, and
// against a real dashboard where RINGBACK_TEST_ONEVIEW_URL, _SECRET, _AUTHOR (an
// identity) and _TICKET (a reference that it knows) say which. It leaves a note.
func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		fake, err := oneviewfake.New(secret, time.Now)
		require.NoError(t, err)
		server := httptest.NewServer(fake.Handler())
		t.Cleanup(server.Close)
		contract(t, server.URL, secret, "sup1@oneview", "7")
		require.Len(t, fake.Notes(), 1)
	})
	env := func(name string) string { return os.Getenv("RINGBACK_TEST_ONEVIEW_" + name) }
	if env("URL") == "" {
		return // set RINGBACK_TEST_ONEVIEW_URL, _SECRET, _AUTHOR and _TICKET to run this against one
	}
	t.Run("dashboard", func(t *testing.T) {
		t.Parallel()
		contract(t, env("URL"), env("SECRET"), env("AUTHOR"), env("TICKET"))
	})
}

func contract(t *testing.T, url, secret, author, ticket string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o, err := New(Config{URL: url, Secret: secret}, connectors.Deps{})
	require.NoError(t, err)
	d := connectors.Delivery{
		OperationID: connectors.OperationID(time.Now().String(), Name, 1),
		Event:       callback.Event{Seq: 1, At: callback.At(time.Now()), Fact: &callback.Noted{Kind: callback.KindNote, TextID: "1"}},
		Callback:    &callback.Callback{ID: "contract"}, Intake: book.Intake{Source: &book.Source{System: "freshdesk", Ref: ticket}},
		Text: &book.Text{Body: "Contract <test> & more"}, Author: &book.Staff{Identities: map[string]string{Name: author}},
	}
	require.NoError(t, o.Deliver(ctx, d))
	d.Again = true
	require.NoError(t, o.Deliver(ctx, d), "a repeat is taken, and is not a second note")
	stranger, err := New(Config{URL: url, Secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte("nobody's secret, but long enough"))}, connectors.Deps{})
	require.NoError(t, err)
	require.Equal(t, connectors.Unauthorized, owed(t, stranger.Deliver(ctx, d)).Code)
}
