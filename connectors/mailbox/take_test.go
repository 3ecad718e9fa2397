package mailbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/mailbox/mailboxfake"
	"ringback/connectors/smtp"
	"ringback/connectors/smtp/smtpfake"
)

// office is a desk with an inbox, and the mail server that it answers through.
type office struct {
	tb     testing.TB
	clock  *connectortest.Clock
	desk   *connectortest.Desk
	memory *connectortest.Memory
	kept   *connectortest.Kept
	deps   connectors.Deps
	post   *smtpfake.Server
	config Config
	c      *Connector
}

func openOffice(tb testing.TB, change ...func(*Config)) *office {
	tb.Helper()
	o := &office{tb: tb, clock: connectortest.NewClock(), memory: connectortest.NewMemory(), kept: &connectortest.Kept{}}
	o.desk = connectortest.NewDesk(o.clock.Now, connectortest.ExecutiveEscalation())
	o.desk.Hire(connectortest.Floor()...)
	o.desk.Hire(book.Staff{ID: "exec2", Rank: 4, Tier: "executive", Queues: []string{"Executive Escalations"}})
	o.deps = connectors.Deps{Desk: o.desk, Memory: o.memory, Kept: o.kept, Logger: slog.New(slog.NewTextHandler(nobody{tb}, nil)), Now: o.clock.Now, Sleep: o.clock.Sleep}
	o.post = smtpfake.Serve(tb, smtpfake.Options{})
	sender, err := smtp.New(smtp.Config{URL: o.post.URL, From: "The desk <desk@desk.example>"})
	require.NoError(tb, err)
	o.config = Config{
		Policy: "executive-escalation", Assign: map[string]string{"default": "exec1", "Chair@desk.example": "exec2"},
		AuthservID: "mx.desk.example", Regions: []string{"IN"}, OwnNumbers: []string{"+912246110000"}, Post: sender,
	}
	for _, f := range change {
		f(&o.config)
	}
	o.c = o.again()
	return o
}

// nobody fails the test where somebody is named in a log.
type nobody struct{ tb testing.TB }

func (n nobody) Write(line []byte) (int, error) {
	for _, personal := range []string{"Asha", "asha", "98765 4", "9876543", "customer.example", "waited", "secret-password"} {
		if strings.Contains(string(line), personal) {
			n.tb.Errorf("logged: %s", line)
		}
	}
	return len(line), nil
}

// again is the connector as another process has it.
func (o *office) again() *Connector {
	c, err := New(o.config, o.deps)
	require.NoError(o.tb, err)
	return c
}

const passed = "Authentication-Results: mx.desk.example; dmarc=pass header.from=customer.example"

// letter is one that our server has found to be real.
func letterOf(id string, change ...func(*mailboxfake.Letter)) mailboxfake.Letter {
	l := mailboxfake.Letter{
		ID: id, Subject: "Nobody calls", Header: []string{passed}, Text: "I have waited for a week. My number is 98765 43210.\n\nAsha",
	}
	for _, f := range change {
		f(&l)
	}
	return l
}

// post gives a message to the connector as a gateway does.
func (o *office) give(l mailboxfake.Letter, want Outcome) (callbackID string) {
	o.tb.Helper()
	done, code := o.send(l.Bytes())
	if want == KeptBack {
		require.Equal(o.tb, http.StatusAccepted, code)
		require.NotNil(o.tb, done.Reason)
	} else {
		require.Equal(o.tb, http.StatusOK, code)
	}
	require.Equal(o.tb, want, done.Outcome)
	if done.Callback == nil {
		return ""
	}
	return *done.Callback
}

func (o *office) send(raw []byte) (done result, code int) {
	o.tb.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/inbound/email", bytes.NewReader(raw))
	r.Header.Set("Content-Type", "message/rfc822")
	w := httptest.NewRecorder()
	o.c.Receive(w, r)
	if w.Code < 300 {
		require.NoError(o.tb, json.Unmarshal(w.Body.Bytes(), &done))
	}
	return done, w.Code
}

func (o *office) deliver() error { return o.desk.DeliverAll(context.Background(), o.c) }

func (o *office) complete(id, staffID string) {
	for _, command := range []string{"start", "attempts", "complete"} {
		require.NoError(o.tb, o.desk.Do(context.Background(), command, staffID, id, command, map[string]any{
			"disposition": "reached", "resolution_reason": "resolved", "call_summary": "Settled.",
		}))
	}
}

func TestR20_AMailMakesACaseThatANamedPersonHas(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	id := o.give(letterOf("one@customer.example"), Promised)
	v := o.desk.View(id)
	require.Equal(t, "executive-escalation", v.State.Policy)
	require.Equal(t, callback.StatusClaimed, v.State.Status, "not in a pool")
	require.Equal(t, "exec1", v.State.Assignee)
	require.Equal(t, "exec1", v.State.Owner)
	require.Equal(t, "system:mailbox", v.Intake.RequestedBy)
	require.Equal(t, book.Customer{Ref: "asha@customer.example", Name: "Asha Rao", Phone: "+919876543210", Email: "asha@customer.example"}, v.Intake.Customer)
	require.Equal(t, &book.Source{System: "mailbox", Ref: "one@customer.example"}, v.Intake.Source)
	require.Equal(t, "Nobody calls\n\nI have waited for a week. My number is 98765 43210.\n\nAsha", v.Intake.Reason)

	require.Equal(t, id, o.give(letterOf("one@customer.example"), Known), "the same message again")
	require.Len(t, o.desk.All(), 1)

	chair := o.give(letterOf("two@customer.example", func(l *mailboxfake.Letter) { l.To = "info@elsewhere.example, chair@DESK.example" }), Promised)
	require.Equal(t, "exec2", o.desk.View(chair).State.Assignee, "by the address that it was written to")
}

func TestR20_AMessageWithoutAnIDIsKnownByWhatItSays(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	id := o.give(letterOf(""), Promised)
	require.Equal(t, id, o.give(letterOf(""), Known))
	o.give(letterOf("", func(l *mailboxfake.Letter) { l.Subject = "Another" }), Promised)
	require.NoError(t, o.deliver())
	require.Empty(t, o.post.Mails()[0].Header.Get("In-Reply-To"))
}

func TestR20_TheNumberToCallIsTakenOnlyWhereItIsBeyondDoubt(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	tests := []struct{ name, text, phone, hint string }{
		{"in the signature", "Please call.\n\n-- \nAsha\nTel. +91 98765 43210", "+919876543210", ""},
		{"not our own", "I called 022 4611 0000 in vain. Call 9876543210", "+919876543210", ""},
		{"what is quoted is not what is meant", "Call 9876543210\n\n> or +91 98765 43211", "+919876543210", ""},
		{"but better than none", "As I wrote:\n\n> Call 9876543210", "+919876543210", ""},
		{"two", "Call 9876543210 or 9876543211", "", "[Several phone numbers were found in the message: +919876543210, +919876543211]"},
		{"none", "Call me!", "", "[No phone number was found in the message.]"},
	}
	for i, test := range tests {
		id := o.give(letterOf(strconv.Itoa(i)+"@customer.example", func(l *mailboxfake.Letter) { l.Text = test.text }), Promised)
		in := o.desk.View(id).Intake
		require.Equal(t, test.phone, in.Customer.Phone, test.name)
		if test.hint != "" {
			require.True(t, strings.HasSuffix(in.Reason, test.hint), in.Reason)
		} else {
			require.NotContains(t, in.Reason, "[")
		}
		require.Equal(t, "exec1", o.desk.View(id).State.Assignee, "with a number or without, it reaches the named person")
	}
}

func TestR20_AReplyBelongsToItsCase(t *testing.T) {
	t.Parallel()
	replies := map[string]func(first string, ack smtpfake.Mail, l *mailboxfake.Letter){
		"to our answer": func(_ string, ack smtpfake.Mail, l *mailboxfake.Letter) {
			l.Header = append(l.Header, "In-Reply-To: "+ack.Header.Get("Message-Id"))
		},
		"further down the thread": func(_ string, ack smtpfake.Mail, l *mailboxfake.Letter) {
			l.Header = append(l.Header, "In-Reply-To: <unknown@elsewhere>", "References: <x@y> "+ack.Header.Get("Message-Id")+" <unknown@elsewhere>")
		},
		"to their own message": func(first string, _ smtpfake.Mail, l *mailboxfake.Letter) {
			l.Header = append(l.Header, "References: <"+first+">")
		},
		"by the token alone": func(_ string, ack smtpfake.Mail, l *mailboxfake.Letter) { l.Subject = "SV: " + ack.Subject() },
	}
	for name, reply := range replies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openOffice(t)
			id := o.give(letterOf("one@customer.example"), Promised)
			require.NoError(t, o.deliver())
			ack := o.post.Mails()[0]
			answer := letterOf("two@customer.example", func(l *mailboxfake.Letter) {
				l.Text = "And now it is worse.\n\nOn Monday, the desk wrote:\n> Thank you"
				reply("one@customer.example", ack, l)
			})
			o.c = o.again() // another process
			require.Equal(t, id, o.give(answer, Joined))
			require.Equal(t, id, o.give(answer, Known))
			require.Equal(t, 1, o.desk.Count(id, callback.TypeCustomerCalled))
			require.Len(t, o.desk.All(), 1)
			require.NoError(t, o.deliver())
			require.Len(t, o.post.Mails(), 1, "a reply is not answered again")

			// On to the reply's own id.
			o.give(letterOf("three@customer.example", func(l *mailboxfake.Letter) { l.Header = append(l.Header, "In-Reply-To: <two@customer.example>") }), Joined)
			require.Equal(t, 2, o.desk.Count(id, callback.TypeCustomerCalled))
		})
	}
}

func TestR20_AReplyToAClosedCaseIsANewOneThatNamesIt(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	first := o.give(letterOf("one@customer.example"), Promised)
	o.complete(first, "exec1")
	answer := func(id, from string) mailboxfake.Letter {
		return letterOf(id, func(l *mailboxfake.Letter) {
			l.From, l.Text = from, "It is not settled."
			l.Header = append(l.Header, "In-Reply-To: <one@customer.example>")
		})
	}
	second := o.give(answer("two@customer.example", mailboxfake.Customer), Promised)
	v := o.desk.View(second)
	require.Equal(t, first, v.Intake.Parent)
	require.Equal(t, "+919876543210", v.Intake.Customer.Phone, "the number of the case before, of the same customer")
	o.complete(second, "exec1")
	other := o.desk.View(o.give(answer("three@customer.example", "Somebody <else@customer.example>"), Promised))
	require.Empty(t, other.Intake.Customer.Phone, "of another one it is not")
}

func TestR20_WhoeverWroteIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.give(letterOf("one@customer.example"), Promised)
	o.post.Refuse("rcpt", 450)
	var owed *connectors.Owed
	require.ErrorAs(t, o.deliver(), &owed)
	require.Equal(t, connectors.Unavailable, owed.Code)
	require.NotContains(t, owed.Error(), "asha")
	o.post.Refuse("rcpt", 0)
	o.post.LoseAnswers(1)
	require.Error(t, o.deliver())
	require.NoError(t, o.deliver())
	mails := o.post.Mails()
	require.Len(t, mails, 2)
	require.Equal(t, mails[0].Header.Get("Message-Id"), mails[1].Header.Get("Message-Id"), "what may have arrived is sent again under the same id")
	m := mails[1]
	require.Equal(t, []string{"asha@customer.example"}, m.To)
	require.Equal(t, "desk@desk.example", smtpfake.Address(m.Header.Get("From")))
	require.Contains(t, m.Subject(), "We have received your message [RB-")
	require.Equal(t, "<one@customer.example>", m.Header.Get("In-Reply-To"))
	require.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
	require.Contains(t, m.Text, "we will call you")
	require.NotContains(t, m.Text, "waited", "what was written is not sent back")
	require.NoError(t, o.deliver())
	require.Len(t, o.post.Mails(), 2)

	o.give(letterOf("two@customer.example", func(l *mailboxfake.Letter) { l.Text = "Call me." }), Promised)
	require.NoError(t, o.deliver())
	require.Contains(t, o.post.Mails()[2].Text, "answer this mail with the phone number")
}

func TestR20_WordsOfTheOrganizationsOwn(t *testing.T) {
	t.Parallel()
	o := openOffice(t, func(c *Config) {
		c.Acknowledge = Acknowledge{Subject: "Vielen Dank", Text: "Wir rufen an.", WithoutPhone: "Welche Nummer?"}
	})
	o.give(letterOf("one@customer.example"), Promised)
	o.give(letterOf("two@customer.example", func(l *mailboxfake.Letter) { l.Text = "Hallo" }), Promised)
	require.NoError(t, o.deliver())
	mails := o.post.Mails()
	require.True(t, strings.HasPrefix(mails[0].Subject(), "Vielen Dank [RB-"))
	require.Contains(t, mails[0].Text, "Wir rufen an.")
	require.Contains(t, mails[1].Text, "Welche Nummer?")
}

func TestR20_AMachineIsNeverAnswered(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	for i, change := range []func(*mailboxfake.Letter){
		func(l *mailboxfake.Letter) { l.Header = append(l.Header, "Auto-Submitted: auto-replied") },
		func(l *mailboxfake.Letter) { l.Header = append(l.Header, "Precedence: bulk") },
		func(l *mailboxfake.Letter) { l.Header = append(l.Header, "X-Loop: x") },
		func(l *mailboxfake.Letter) { l.Header = append(l.Header, "X-Auto-Response-Suppress: OOF") },
		func(l *mailboxfake.Letter) { l.Header = append(l.Header, "Return-Path: <>") },
		func(l *mailboxfake.Letter) { l.From = "MAILER-DAEMON@mx.example" },
		func(l *mailboxfake.Letter) { l.From = "Desk <DESK@desk.example>" }, // our own address
		func(l *mailboxfake.Letter) { l.From = "chair@desk.example" },
	} {
		id := o.give(letterOf(strconv.Itoa(i)+"@machine.example", change), Promised)
		require.Equal(t, "exec1", o.desk.View(id).State.Assignee, "it is a case all the same")
	}
	o.c = o.again()
	require.NoError(t, o.deliver())
	require.Empty(t, o.post.Mails())
}

func TestR20_TwoMachinesDoNotTalkToEachOther(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	id := o.give(letterOf("one@customer.example"), Promised)
	require.NoError(t, o.deliver())
	ack := o.post.Mails()[0]
	// The customer is on holiday, and so is the customer's deputy.
	for i := range 5 {
		require.Equal(t, id, o.give(letterOf(strconv.Itoa(i)+"@holiday.example", func(l *mailboxfake.Letter) {
			l.Subject = "Out of office: " + ack.Subject()
			l.Header = append(l.Header, "Auto-Submitted: auto-replied", "In-Reply-To: "+ack.Header.Get("Message-Id"))
		}), Answered))
	}
	require.Zero(t, o.desk.Count(id, callback.TypeCustomerCalled), "a machine is no customer who calls again")
	// Our own mail comes back to us.
	o.give(mailboxfake.Letter{From: "desk@desk.example", ID: strings.Trim(ack.Header.Get("Message-Id"), "<>"), Header: []string{passed}, Text: "Thank you"}, Ours)
	require.NoError(t, o.deliver())
	require.Len(t, o.post.Mails(), 1)
	require.Len(t, o.desk.All(), 1)
}

func TestR20_AForgedSenderWaitsForAPerson(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	tests := map[string][]string{
		"fails DMARC":    {"Authentication-Results: mx.desk.example; dmarc=fail header.from=customer.example"},
		"did not check":  {},
		"did not check ": {"Authentication-Results: mx.evil.example; dmarc=pass header.from=customer.example"},
	}
	for reason, header := range tests {
		l := letterOf(strings.ReplaceAll(reason, " ", "-")+"@customer.example", func(l *mailboxfake.Letter) { l.Header = header })
		before := len(o.kept.Messages())
		o.give(l, KeptBack)
		o.give(l, KeptBack)
		kept := o.kept.Messages()
		require.Len(t, kept, before+1, "the same, kept again, is the same message")
		m := kept[before]
		require.Contains(t, m.Reason, strings.TrimSpace(reason))
		require.Equal(t, "message/rfc822", m.Media)
		require.Equal(t, l.Bytes(), m.Body)
		require.NotContains(t, m.Reason, "asha")
	}
	require.Empty(t, o.desk.All())
	require.NoError(t, o.c.Replay(context.Background(), o.kept.Messages()[0]), "a person vouches for it")
	require.Len(t, o.desk.All(), 1)
	require.NoError(t, o.c.Replay(context.Background(), o.kept.Messages()[0]))
	require.Len(t, o.desk.All(), 1)

	unchecked := openOffice(t, func(c *Config) { c.AuthservID = "" })
	unchecked.give(letterOf("one@customer.example", func(l *mailboxfake.Letter) { l.Header = nil }), Promised)
}

func TestR20_AFloodFromOneSenderWaitsForAPerson(t *testing.T) {
	t.Parallel()
	o := openOffice(t, func(c *Config) { c.MaxPerSender = 3 })
	for i := range 3 {
		o.desk.Fail(errors.New("away"))
		_, code := o.send(letterOf(strconv.Itoa(i) + "@customer.example").Bytes())
		require.Equal(t, http.StatusServiceUnavailable, code)
		o.desk.Fail(nil)
		o.give(letterOf(strconv.Itoa(i)+"@customer.example"), Promised)
	}
	o.give(letterOf("more@customer.example"), KeptBack)
	require.Contains(t, o.kept.Messages()[0].Reason, "more than 3 messages")
	o.give(letterOf("other@customer.example", func(l *mailboxfake.Letter) { l.From = "other@customer.example" }), Promised)
	o.clock.Advance(20 * time.Minute)
	o.give(letterOf("later@customer.example"), Promised)
	require.NoError(t, o.c.Replay(context.Background(), o.kept.Messages()[0]))
	require.Len(t, o.desk.All(), 6)
}

func TestR20_ACaseThatWasNotRememberedIsFoundAgainHoweverTheConfigurationHasChanged(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	lost := true
	o.deps.Desk = &connectortest.Fickle{Desk: o.desk, After: true, Fails: func(connectors.Promise) error {
		if lost {
			return callback.Refused(callback.CodeOutcomeUnknown)
		}
		return nil
	}}
	o.c = o.again()
	l := letterOf("one@customer.example")
	_, code := o.send(l.Bytes())
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Len(t, o.desk.All(), 1, "it was promised, and we do not know")

	lost = false
	o.config.Assign = map[string]string{"default": "exec2"}
	o.config.Regions = nil
	o.c = o.again()
	require.Equal(t, o.desk.All()[0], o.give(l, Promised))
	o.give(l, Known)
	require.Len(t, o.desk.All(), 1)

	// It is shown a little later only: until then it is asked for again.
	o.deps.Desk = &lateDesk{Desk: o.desk}
	o.config.Assign = nil
	require.NoError(t, o.memory.Forget(context.Background(), name, recordKey("one@customer.example")))
	o.c = o.again()
	_, code = o.send(l.Bytes())
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Empty(t, o.kept.Messages())
}

// lateDesk shows nothing yet.
type lateDesk struct{ connectors.Desk }

func (*lateDesk) Callbacks(context.Context, string, string) ([]book.View, error) { return nil, nil }

func TestWhatIsNoMailIsKept(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	done, code := o.send([]byte("no mail at all"))
	require.Equal(t, http.StatusAccepted, code)
	require.Contains(t, *done.Reason, "cannot be understood")
	var fault *callback.Fault
	require.ErrorAs(t, o.c.Replay(context.Background(), o.kept.Messages()[0]), &fault)
	o.config.Policy = "no such policy"
	o.c = o.again()
	o.give(letterOf("one@customer.example"), KeptBack)
	require.Contains(t, o.kept.Messages()[1].Reason, "unknown_policy")
	o.config.Policy = "executive-escalation"
	o.c = o.again()
	require.NoError(t, o.c.Replay(context.Background(), o.kept.Messages()[1]))
	require.Len(t, o.desk.All(), 1)
}

func TestALargeMessageIsReadAsFarAsIsAllowed(t *testing.T) {
	t.Parallel()
	o := openOffice(t, func(c *Config) { c.MaxSize = 10 << 10 })
	id := o.give(letterOf("one@customer.example", func(l *mailboxfake.Letter) { l.Attachment = strings.Repeat("x", 2<<20) }), Promised)
	reason := o.desk.View(id).Intake.Reason
	require.Contains(t, reason, "I have waited for a week")
	require.Contains(t, reason, "was not read")
	require.Less(t, len(reason), 1000)
	long := o.give(letterOf("two@customer.example", func(l *mailboxfake.Letter) { l.Text = strings.Repeat("long ", 1500) }), Promised)
	require.LessOrEqual(t, len(o.desk.View(long).Intake.Reason), maxReason)
}

func TestOnlyMailIsPosted(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	request := func(change func(*http.Request)) int {
		r := httptest.NewRequest(http.MethodPost, "/v1/inbound/email", bytes.NewReader(letterOf("one@customer.example").Bytes()))
		r.Header.Set("Content-Type", "message/rfc822")
		change(r)
		w := httptest.NewRecorder()
		o.c.Receive(w, r)
		if w.Code >= 400 {
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		}
		return w.Code
	}
	require.Equal(t, http.StatusMethodNotAllowed, request(func(r *http.Request) { r.Method = http.MethodGet }))
	require.Equal(t, http.StatusUnsupportedMediaType, request(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }))
	require.Equal(t, http.StatusRequestEntityTooLarge, request(func(r *http.Request) { r.Body = http.MaxBytesReader(nil, r.Body, 10) }))
	require.Equal(t, http.StatusOK, request(func(*http.Request) {}))
	for _, fail := range []func(error){o.desk.Fail, o.memory.Fail} {
		fail(errors.New("away"))
		_, code := o.send(letterOf("two@customer.example").Bytes())
		require.Equal(t, http.StatusServiceUnavailable, code)
		fail(nil)
	}
	o.kept.Fail(errors.New("away"))
	_, code := o.send([]byte("no mail"))
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "email", o.c.Path())
	require.Equal(t, "intake", o.c.Scope())
	require.EqualValues(t, maxBody, o.c.MaxBody())
}

func TestNobodyIsAnsweredWhereThatIsOffOrCannotBe(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*Config){func(c *Config) { c.Acknowledge.Off = true }, func(c *Config) { c.Post = nil }} {
		o := openOffice(t, change)
		id := o.give(letterOf("one@customer.example"), Promised)
		require.False(t, o.c.Wants(o.desk.View(id).Intake, nil))
		require.Empty(t, o.c.Types())
	}
	o := openOffice(t)
	in := o.desk.View(o.give(letterOf("one@customer.example"), Promised)).Intake
	require.True(t, o.c.Wants(in, nil))
	erased := in
	erased.Customer = book.Customer{}
	require.False(t, o.c.Wants(erased, nil))
	require.NoError(t, o.c.Deliver(context.Background(), connectors.Delivery{Intake: erased, Callback: &callback.Callback{}}), "erased meanwhile")
	byHand := in
	byHand.RequestedBy = "assoc1"
	require.False(t, o.c.Wants(byHand, nil), "who was spoken to is not written to")
}

func TestAMistakeInTheConfigurationNamesItsKey(t *testing.T) {
	t.Parallel()
	good := Config{IMAP: "imaps://mail.example:993", User: "u", Password: "topsecret", Policy: "p"}
	tests := []struct {
		path   string
		change func(*Config)
	}{
		{"imap", func(c *Config) { c.IMAP = "mail.example" }},
		{"imap", func(c *Config) { c.IMAP = "pop3://mail.example" }},
		{"imap", func(c *Config) { c.IMAP = "imaps://u:topsecret@mail.example" }},
		{"imap", func(c *Config) { c.IMAP = "imaps://mail.example/folder" }},
		{"user_env", func(c *Config) { c.User = "" }},
		{"move_to", func(c *Config) { c.MoveTo = "INBOX" }},
		{"policy", func(c *Config) { c.Policy = "" }},
		{"assign.default", func(c *Config) { c.Assign = map[string]string{"default": ""} }},
		{"assign.chair", func(c *Config) { c.Assign = map[string]string{"chair": "exec1"} }},
		{"addresses[0]", func(c *Config) { c.Addresses = []string{"no"} }},
		{"regions[1]", func(c *Config) { c.Regions = []string{"IN", "India"} }},
		{"own_numbers[0]", func(c *Config) { c.OwnNumbers = []string{"12"} }},
		{"max_size", func(c *Config) { c.MaxSize = 5 }},
		{"max_per_sender", func(c *Config) { c.MaxPerSender = -1 }},
		{"authserv_id", func(c *Config) { c.AuthservID = "mx; dmarc=pass" }},
	}
	deps := connectors.Deps{Logger: slog.New(slog.DiscardHandler)}
	for _, test := range tests {
		c := good
		test.change(&c)
		_, err := New(c, deps)
		var fault *callback.Fault
		require.ErrorAs(t, err, &fault, test.path)
		require.Equal(t, test.path, fault.Errors[0].Path)
		require.NotContains(t, err.Error(), "topsecret")
	}
	_, err := New(good, deps)
	require.NoError(t, err)
}

var (
	_ connectors.Connector = (*Connector)(nil)
	_ connectors.Inbound   = (*Connector)(nil)
	_ connectors.Scoped    = (*Connector)(nil)
	_ connectors.Sized     = (*Connector)(nil)
	_ connectors.Replayer  = (*Connector)(nil)
	_ connectors.Runner    = (*Connector)(nil)
	_ connectors.Checker   = (*Connector)(nil)
)

// R20: what a person looks at before they vouch for a sender.
func TestR20_KeptMailIsShownAsText(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	raw := "From: The Chair <Chair@Bank.example>\r\nSubject: =?utf-8?q?Ur=E2=80=AEgent?=\r\nMessage-ID: <m1@bank.example>\r\n" +
		"Authentication-Results: mx.desk.example; dmarc=fail header.from=bank.example\r\nContent-Type: text/html\r\n\r\n" +
		"<p>Pay <b>now</b></p><img src='https://evil.example/x'><script>alert(1)</script>\r\n"
	shown, err := o.c.Show(connectors.Message{Body: []byte(raw)})
	require.NoError(t, err)
	require.Equal(t, connectors.Shown{
		Sender: "The Chair <chair@bank.example>", Subject: "Urgent", Verdict: "DMARC fails: the sender may be forged", Text: "Pay now",
	}, shown)
	for _, c := range []struct{ from, to, want string }{
		{"dmarc=fail", "dmarc=pass", "vouches"}, {"mx.desk.example;", "other.example;", "did not check"},
	} {
		shown, err := o.c.Show(connectors.Message{Body: []byte(strings.Replace(raw, c.from, c.to, 1))})
		require.NoError(t, err)
		require.Contains(t, shown.Verdict, c.want)
	}
	_, err = o.c.Show(connectors.Message{Body: []byte("\xff")})
	require.Error(t, err)
	require.Empty(t, o.desk.All(), "to look at it makes no case")

	blind := openOffice(t, func(c *Config) { c.AuthservID = "" })
	shown, err = blind.c.Show(connectors.Message{Body: []byte(raw)})
	require.NoError(t, err)
	require.Contains(t, shown.Verdict, "not looked at")
}
