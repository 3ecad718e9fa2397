package mailbox

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/mailbox/mailboxfake"
	"ringback/connectors/smtp"
	"ringback/connectors/smtp/smtpfake"
	"ringback/e2e/harness/dovecot"
)

// patience bounds what a test waits for the reader to notice.
const waiting = 30 * time.Second

// reading starts the connector on a mailbox; it ends with the test, or before.
func (o *office) reading(s *mailboxfake.Server, change ...func(*Config)) (stop func()) {
	o.tb.Helper()
	o.config.IMAP, o.config.User, o.config.Password, o.config.TLS = s.URL, s.User, s.Password, s.Trust
	for _, f := range change {
		f(&o.config)
	}
	// Waiting takes a moment of the test's time, and as much of the desk's as is asked.
	o.deps.Sleep = func(ctx context.Context, d time.Duration) error {
		o.clock.Advance(d)
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	o.c = o.again()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.c.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			require.NoError(o.tb, err)
		case <-time.After(waiting):
			require.Fail(o.tb, "the reader does not end")
		}
	}
	o.tb.Cleanup(stop)
	return stop
}

func (o *office) eventually(what string, f func() bool) {
	o.tb.Helper()
	// In the test's own goroutine, since what f looks with may end the test.
	late := time.After(waiting)
	for !f() {
		select {
		case <-late:
			require.Fail(o.tb, "never: "+what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (o *office) cases(n int) {
	o.tb.Helper()
	o.eventually(strconv.Itoa(n)+" cases", func() bool { return len(o.desk.All()) == n })
}

// servers are what the contract of the mailbox is held against. A real account is
// one where RINGBACK_TEST_IMAP names it, imaps://USER:PASSWORD@HOST: it is only
// ever read from, and written to, in a folder of the test's own.
func servers() map[string]func(t *testing.T) *mailboxfake.Server {
	all := map[string]func(t *testing.T) *mailboxfake.Server{
		"in memory": func(t *testing.T) *mailboxfake.Server { return mailboxfake.Serve(t, mailboxfake.Options{}) },
		"in memory, with TLS": func(t *testing.T) *mailboxfake.Server {
			return mailboxfake.Serve(t, mailboxfake.Options{TLS: true})
		},
		"in memory, without IDLE": func(t *testing.T) *mailboxfake.Server {
			return mailboxfake.Serve(t, mailboxfake.Options{Silent: true})
		},
		"Dovecot": func(t *testing.T) *mailboxfake.Server {
			d := dovecot.Start(t, "")
			return mailboxfake.Behind(t, d.IMAP, dovecot.User, dovecot.Password, d.Trust)
		},
		"Dovecot, with TLS": func(t *testing.T) *mailboxfake.Server {
			d := dovecot.Start(t, "")
			return mailboxfake.Behind(t, d.IMAPS, dovecot.User, dovecot.Password, d.Trust)
		},
	}
	if account, err := url.Parse(os.Getenv("RINGBACK_TEST_IMAP")); err == nil && account.User != nil {
		all["an account"] = func(t *testing.T) *mailboxfake.Server {
			password, _ := account.User.Password()
			user := account.User.Username()
			return mailboxfake.Account(t, account.Scheme+"://"+account.Host, user, password)
		}
	}
	return all
}

func TestR20_TheContractOfTheMailbox(t *testing.T) {
	t.Parallel()
	for name, serve := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			folder := "Ringback-" + strconv.FormatInt(time.Now().UnixNano(), 36)
			s.Renew(t, folder)
			in := func(c *Config) { c.Folder = folder }
			o := openOffice(t)

			// What is there already and nobody has seen; then what comes.
			s.Put(t, folder, letterOf("one@customer.example").Bytes(), letterOf("two@customer.example").Bytes())
			stop := o.reading(s, in)
			o.cases(2)
			o.eventually("both are seen", func() bool {
				all := s.Look(t, folder)
				return len(all) == 2 && all[0].Seen() && all[1].Seen()
			})
			s.Put(t, folder, letterOf("three@customer.example").Bytes())
			o.cases(3)
			require.Equal(t, "exec1", o.desk.View(o.desk.All()[2]).State.Assignee)

			// One that waits for a person is flagged, and not seen by anybody.
			s.Put(t, folder, letterOf("four@customer.example", func(l *mailboxfake.Letter) {
				l.Subject, l.Header = "Forged", []string{"Authentication-Results: mx.desk.example; dmarc=fail"}
			}).Bytes(), letterOf("five@customer.example").Bytes())
			o.cases(4)
			o.eventually("it is flagged", func() bool {
				all := s.Look(t, folder)
				return len(all) == 5 && all[3].Flagged() && !all[3].Seen() && all[4].Seen()
			})
			require.Len(t, o.kept.Messages(), 1)

			// The same message in another copy, and a reply.
			s.Put(t, folder, letterOf("one@customer.example").Bytes(), letterOf("six@customer.example", func(l *mailboxfake.Letter) {
				l.Header = append(l.Header, "In-Reply-To: <one@customer.example>")
			}).Bytes())
			first := o.desk.All()[0]
			o.eventually("the reply has joined", func() bool { return o.desk.Count(first, callback.TypeCustomerCalled) == 1 })

			// Another process goes on where this one ended.
			stop()
			s.Put(t, folder, letterOf("seven@customer.example").Bytes())
			o.reading(s, in)
			o.cases(5)

			// The folder is numbered anew: everything is there again, unseen.
			s.Renew(t, folder)
			s.Put(t, folder, letterOf("one@customer.example").Bytes(), letterOf("eight@customer.example").Bytes())
			s.Cut()
			o.cases(6)
			require.Len(t, o.kept.Messages(), 1)
			require.Equal(t, 1, o.desk.Count(first, callback.TypeCustomerCalled))
		})
	}
}

func TestR20_WhatIsDoneIsMovedAndWhatWaitsStays(t *testing.T) {
	t.Parallel()
	for name, serve := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			folder := "Ringback-in-" + strconv.FormatInt(time.Now().UnixNano(), 36)
			done := "Ringback-done-" + strconv.FormatInt(time.Now().UnixNano(), 36)
			s.Renew(t, folder)
			o := openOffice(t)
			stop := o.reading(s, func(c *Config) { c.Folder, c.MoveTo = folder, done })
			s.Put(t, folder, letterOf("one@customer.example").Bytes(), []byte("no mail\r\n"), letterOf("two@customer.example").Bytes())
			o.cases(2)
			o.eventually("what is done is moved", func() bool { return len(s.Look(t, done)) == 2 && len(s.Look(t, folder)) == 1 })
			o.eventually("what waits is flagged", func() bool { return s.Look(t, folder)[0].Flagged() })
			require.Len(t, o.kept.Messages(), 1, "what cannot be read is kept, or that it is there")
			require.True(t, s.Look(t, done)[0].Seen())
			stop()
			s.Remove(t, folder, done)
		})
	}
}

func TestR20_AServerThatCanMoveNothingLosesNothing(t *testing.T) {
	t.Parallel()
	s := mailboxfake.Serve(t, mailboxfake.Options{Plain: true})
	o := openOffice(t)
	// Somebody is about to throw a message away: without UIDPLUS a move would do it for them.
	s.Put(t, "INBOX", letterOf("mine@customer.example").Bytes())
	client := s.Client(t)
	_, err := client.Select("INBOX", nil).Wait()
	require.NoError(t, err)
	require.NoError(t, client.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted, imap.FlagSeen}}, nil).Close())
	require.NoError(t, client.Close())
	o.reading(s, func(c *Config) { c.MoveTo = "Done" })
	s.Put(t, "INBOX", letterOf("one@customer.example").Bytes())
	o.cases(1)
	o.eventually("it is seen", func() bool { all := s.Look(t, "INBOX"); return len(all) == 2 && all[1].Seen() })
	require.Empty(t, s.Look(t, "Done"))
}

func TestR20_NothingIsMarkedBeforeItsCaseExists(t *testing.T) {
	t.Parallel()
	s := mailboxfake.Serve(t, mailboxfake.Options{})
	o := openOffice(t)
	s.Put(t, "INBOX", letterOf("one@customer.example").Bytes(), letterOf("two@customer.example").Bytes())
	o.desk.Fail(errors.New("away"))
	stop := o.reading(s)
	passed := s.Passed()
	o.eventually("it has tried again", func() bool { return s.Passed() > passed+2 })
	for _, m := range s.Look(t, "INBOX") {
		require.Empty(t, m.Flags, "a look leaves no trace")
	}
	o.desk.Fail(nil)
	o.cases(2)
	stop()

	// It died after the case was made and before that was remembered.
	again := openOffice(t)
	id := again.give(letterOf("one@customer.example"), Promised)
	again.reading(s)
	s.Put(t, "INBOX", letterOf("three@customer.example").Bytes(), letterOf("one@customer.example").Bytes())
	again.cases(2)
	again.eventually("all are seen", func() bool {
		all := s.Look(t, "INBOX")
		return len(all) == 4 && all[2].Seen() && all[3].Seen()
	})
	require.Equal(t, id, again.desk.All()[0])
}

func TestR20_AMessageThatFailsForGoodHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := mailboxfake.Serve(t, mailboxfake.Options{})
	o := openOffice(t)
	var mended atomic.Bool
	o.deps.Desk = &connectortest.Fickle{Desk: o.desk, Fails: func(p connectors.Promise) error {
		if p.Source.Ref == "one@customer.example" && !mended.Load() {
			return callback.Refused(callback.CodeInternal)
		}
		return nil
	}}
	s.Put(t, "INBOX", letterOf("one@customer.example").Bytes(), letterOf("two@customer.example").Bytes())
	stop := o.reading(s)
	o.eventually("the first has failed", func() bool { return o.memory.Keys(name, "failing:") == 1 })
	require.Empty(t, o.kept.Messages(), "it may pass")
	o.clock.Advance(longest)
	o.cases(1)
	o.eventually("the first waits for a person, and shows it", func() bool { return s.Look(t, "INBOX")[0].Flagged() })
	kept := o.kept.Messages()
	require.Len(t, kept, 1)
	require.Equal(t, "it could not be taken for 6 hours: internal", kept[0].Reason)
	require.Zero(t, o.memory.Keys(name, "failing:"))
	stop()

	// Once it is mended a person replays it.
	require.Error(t, o.c.Replay(context.Background(), kept[0]))
	mended.Store(true)
	require.NoError(t, o.c.Replay(context.Background(), kept[0]))
	require.Len(t, o.desk.All(), 2)
}

func TestR20_AnOutageOfTheMailServerIsNoError(t *testing.T) {
	t.Parallel()
	s := mailboxfake.Serve(t, mailboxfake.Options{})
	o := openOffice(t)
	s.Shut(true)
	o.reading(s)
	require.Error(t, o.c.Check(context.Background()))
	s.Put(t, "INBOX", letterOf("one@customer.example").Bytes())
	s.Shut(false)
	o.cases(1)
	require.NoError(t, o.c.Check(context.Background()))
	for i := range 5 {
		s.Cut() // while it listens
		s.Put(t, "INBOX", letterOf(strconv.Itoa(i)+"@customer.example").Bytes())
		o.cases(2 + i)
	}
}

// A connection that breaks after the folder was read is made anew soon, however often.
func TestR20_AConnectionThatBreaksAgainAndAgainDelaysNoMail(t *testing.T) {
	t.Parallel()
	s := mailboxfake.Serve(t, mailboxfake.Options{})
	o := openOffice(t)
	o.reading(s)
	for i := range 9 { // one sender's, of whom ten would be a flood
		s.Put(t, "INBOX", letterOf(strconv.Itoa(i)+"@customer.example").Bytes())
		o.cases(i + 1)
		o.eventually("it is seen", func() bool { all := s.Look(t, "INBOX"); return len(all) == i+1 && all[i].Seen() })
		passed := s.Passed()
		s.Cut()
		o.eventually("it is there again", func() bool { return s.Passed() > passed })
	}
	require.Less(t, o.clock.Now().Sub(connectortest.Monday), time.Minute)
}

func TestASignInThatIsRefusedIsSaidWithoutSecrets(t *testing.T) {
	t.Parallel()
	s := mailboxfake.Serve(t, mailboxfake.Options{TLS: true})
	o := openOffice(t, func(c *Config) {
		c.IMAP, c.User, c.Password, c.TLS = s.URL, mailboxfake.User, "a-wrong-secret-password", s.Trust
	})
	err := o.c.Check(context.Background())
	require.ErrorContains(t, err, "signing in")
	require.NotContains(t, err.Error(), "secret")
	o.config.TLS = nil
	require.ErrorContains(t, o.again().Check(context.Background()), "certificate", "a server that nobody vouches for is not trusted")
	o.config.IMAP, o.config.Password = "", ""
	require.NoError(t, o.again().Check(context.Background()))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, o.again().Run(ended), "without a mailbox there is nothing to read")
}

func TestAServerThatHangsIsLeft(t *testing.T) {
	t.Parallel()
	s := mailboxfake.Serve(t, mailboxfake.Options{TLS: true})
	o := openOffice(t, func(c *Config) {
		// TLS on one side, none on the other: both wait for the other to speak.
		c.IMAP, c.User, c.Password = strings.Replace(s.URL, "imaps", "imap", 1), mailboxfake.User, mailboxfake.Password
	})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	require.Error(t, o.c.Check(ctx))
}

// R20 with a real server on both ways: an executive's inbox in Dovecot, answers
// submitted through it with a sign-in over TLS, and the customer's reply to them.
func TestR20_TheStoryOfAMailThroughARealServer(t *testing.T) {
	t.Parallel()
	customer := smtpfake.Serve(t, smtpfake.Options{}) // where mail to customers ends
	d := dovecot.Start(t, strings.TrimPrefix(customer.URL, "smtp://"))
	sender, err := smtp.New(smtp.Config{URL: d.SMTPS, From: "The desk <executives@desk.example>", User: dovecot.User, Password: dovecot.Password, TLS: d.Trust})
	require.NoError(t, err)
	require.NoError(t, sender.Check(context.Background()))
	s := mailboxfake.Behind(t, d.IMAPS, dovecot.User, dovecot.Password, d.Trust)
	o := openOffice(t)
	o.reading(s, func(c *Config) { c.Post = sender })
	s.Put(t, "INBOX", letterOf("one@customer.example", func(l *mailboxfake.Letter) { l.Text = "Why does nobody call?" }).Bytes())
	o.cases(1)
	id := o.desk.All()[0]
	require.Empty(t, o.desk.View(id).Intake.Customer.Phone)
	require.NoError(t, o.deliver())
	require.Len(t, customer.Mails(), 1)
	ack := customer.Mails()[0]
	require.Equal(t, []string{"asha@customer.example"}, ack.To)
	require.Contains(t, ack.Text, "phone number")
	require.Equal(t, "auto-generated", ack.Header.Get("Auto-Submitted"))

	s.Put(t, "INBOX", mailboxfake.Letter{
		ID: "two@customer.example", Subject: "Re: " + ack.Subject(), Text: "On 98765 43210, please.",
		Header: []string{passed, "In-Reply-To: " + ack.Header.Get("Message-Id")},
	}.Bytes())
	o.eventually("the number has come", func() bool { return o.desk.Count(id, callback.TypeCustomerCalled) == 1 })

	// The server goes away and comes back.
	require.NoError(t, d.Stop())
	require.NoError(t, d.Resume())
	s.Put(t, "INBOX", letterOf("three@customer.example").Bytes())
	o.cases(2)
	wrong, err := smtp.New(smtp.Config{URL: d.SMTP, From: "executives@desk.example", User: dovecot.User, Password: "wrong"})
	require.NoError(t, err)
	require.ErrorContains(t, wrong.Check(context.Background()), "unauthorized")
}

func TestR20_OneMessageThatTheServerCannotGiveHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := mailboxfake.Serve(t, mailboxfake.Options{})
	var refusals atomic.Int32
	s.Spoil(func(line string) bool {
		bad := strings.Contains(line, "UID FETCH 2 ")
		if bad {
			refusals.Add(1)
		}
		return bad
	})
	o := openOffice(t)
	o.reading(s)
	s.Put(t, "INBOX", letterOf("one@customer.example").Bytes(), letterOf("two@customer.example").Bytes(), letterOf("three@customer.example").Bytes())
	o.cases(2)
	require.Len(t, o.kept.Messages(), 1)
	require.Contains(t, o.kept.Messages()[0].Reason, "UID 2")
	require.EqualValues(t, 1, refusals.Load())
	var fault *callback.Fault
	require.ErrorAs(t, o.c.Replay(context.Background(), o.kept.Messages()[0]), &fault)
}
