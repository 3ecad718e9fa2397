package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/smtp"
	"ringback/connectors/smtp/smtpfake"
)

// floor is a desk whose people get mail.
type floor struct {
	tb     testing.TB
	clock  *connectortest.Clock
	desk   *connectortest.Desk
	memory *connectortest.Memory
	server *smtpfake.Server
	deps   connectors.Deps
	config Config
	c      *Connector
}

func open(tb testing.TB, change ...func(*Config)) *floor {
	tb.Helper()
	f := &floor{tb: tb, clock: connectortest.NewClock(), memory: connectortest.NewMemory()}
	policy := connectortest.SupervisorCallback()
	policy.Ladder[0].WarnAt = []callback.Warning{"50%"}
	policy.Overdue = &callback.ChaseRule{Every: callback.Duration(15 * time.Minute), Max: callback.Duration(4 * time.Hour)}
	f.desk = connectortest.NewDesk(f.clock.Now, policy)
	for _, s := range connectortest.Floor() {
		if s.Identities != nil {
			s.Identities[identity] = s.ID + "@desk.example"
		}
		s.ReportsTo = map[string]string{"sup1": "mgr1", "sup2": "mgr1", "mgr1": "exec1"}[s.ID]
		f.desk.Hire(s)
	}
	f.server = smtpfake.Serve(tb, smtpfake.Options{})
	post, err := smtp.New(smtp.Config{URL: f.server.URL, From: "The desk <desk@desk.example>"})
	require.NoError(tb, err)
	f.deps = connectors.Deps{Desk: f.desk, Memory: f.memory, Logger: slog.New(slog.NewTextHandler(nobody{tb}, nil)), Now: f.clock.Now, Sleep: f.clock.Sleep}
	f.config = Config{Post: post, Link: "https://desk.example/callbacks/{id}"}
	for _, one := range change {
		one(&f.config)
	}
	f.c = f.again()
	return f
}

// nobody fails the test where somebody is named in a log.
type nobody struct{ tb testing.TB }

func (n nobody) Write(line []byte) (int, error) {
	for _, personal := range []string{"Asha", "98765 4", "9876543", "customer.example", "desk.example", "waited"} {
		if strings.Contains(string(line), personal) {
			n.tb.Errorf("logged: %s", line)
		}
	}
	return len(line), nil
}

func (f *floor) again() *Connector {
	c, err := New(f.config, f.deps)
	require.NoError(f.tb, err)
	return c
}

func (f *floor) promise() string {
	id, err := f.desk.Promise(context.Background(), "freshdesk", uuid.NewString(), connectors.Promise{
		Policy: "supervisor-callback", Customer: book.Customer{Ref: "CRM-1", Name: "Asha Rao", Phone: connectortest.Phone(1), Email: "asha@customer.example"},
		Reason: "She has waited for a week", Source: book.Source{System: "freshdesk", Ref: "T-" + uuid.NewString()},
	})
	require.NoError(f.tb, err)
	return id
}

func (f *floor) do(staffID, id, command string, body any) {
	f.tb.Helper()
	require.NoError(f.tb, f.desk.Do(context.Background(), uuid.NewString(), staffID, id, command, body))
}

// pass lets time pass on the desk, and tells what has happened.
func (f *floor) pass(d time.Duration) {
	f.tb.Helper()
	f.clock.Advance(d)
	f.desk.Tick()
	require.NoError(f.tb, f.deliver())
}

func (f *floor) deliver() error { return f.desk.DeliverAll(context.Background(), f.c) }

// mail sends what can be sent, once things have settled, and returns what each person was sent by this.
func (f *floor) mail() map[string][]smtpfake.Mail {
	f.tb.Helper()
	before := len(f.server.Mails())
	f.clock.Advance(settling)
	require.NoError(f.tb, f.c.round(context.Background(), true))
	sent := map[string][]smtpfake.Mail{}
	for _, m := range f.server.Mails()[before:] {
		require.Len(f.tb, m.To, 1)
		sent[m.To[0]] = append(sent[m.To[0]], m)
		for _, personal := range []string{"Asha", "98765 4", "9876543", "customer.example", "waited", "CRM-1", "T-"} {
			require.NotContains(f.tb, string(m.Raw), personal)
		}
	}
	return sent
}

func who(sent map[string][]smtpfake.Mail) []string {
	var all []string
	for to := range sent {
		name, _, _ := strings.Cut(to, "@")
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func TestR10_TheRightPeopleAreTold(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.promise()
	require.NoError(t, f.deliver())
	require.Empty(t, f.mail())

	// Nobody has it: its queue is warned.
	f.pass(30 * time.Minute)
	sent := f.mail()
	require.Equal(t, []string{"sup1", "sup2"}, who(sent), "who has no address is told nothing")
	require.Equal(t, "Supervisor callback: due at 11:00 UTC on 23 November", sent["sup1@desk.example"][0].Subject())
	require.Equal(t, "desk@desk.example", smtpfake.Address(sent["sup1@desk.example"][0].Header.Get("From")))
	require.Equal(t, "auto-generated", sent["sup1@desk.example"][0].Header.Get("Auto-Submitted"))
	text := strings.ReplaceAll(sent["sup1@desk.example"][0].Text, "\r\n", "\n")
	require.Equal(t, "Supervisor callback, in the queue Supervisors - RM\n"+
		"  10:30  due at 11:00 UTC on 23 November\n"+
		"  https://desk.example/callbacks/"+id+"\n\n"+
		"Times are those of UTC. The desk always shows how things stand now.\n", text)

	// It passes: the queue and who is above; and it is the managers' now. One mail for both.
	f.pass(30 * time.Minute)
	sent = f.mail()
	require.Equal(t, []string{"mgr1", "sup1", "sup2"}, who(sent))
	require.Equal(t, "1 callback: 1 breached, 1 escalated", sent["mgr1@desk.example"][0].Subject())
	require.Equal(t, "Supervisor callback: missed, was due at 11:00 UTC on 23 November", sent["sup1@desk.example"][0].Subject())

	// The manager has it, and misses it: chased, and from the second time on the next above too.
	f.do("mgr1", id, "claim", nil)
	f.pass(time.Hour)
	require.Equal(t, []string{"exec1", "mgr1"}, who(f.mail()))
	f.pass(15 * time.Minute)
	sent = f.mail()
	require.Equal(t, []string{"mgr1"}, who(sent))
	require.Equal(t, "Supervisor callback: still open, reminder 1", sent["mgr1@desk.example"][0].Subject())
	f.pass(30 * time.Minute)
	require.Equal(t, []string{"exec1", "mgr1"}, who(f.mail()))

	// Done: nobody is told what they did themselves.
	f.do("mgr1", id, "start", nil)
	f.do("mgr1", id, "attempts", map[string]any{"disposition": "reached"})
	f.do("mgr1", id, "complete", map[string]any{"resolution_reason": "resolved", "call_summary": "Settled"})
	f.pass(10 * time.Minute)
	require.Empty(t, f.mail())
}

func TestR05_TheOwnerIsToldWhatOthersDo(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Types = []string{"escalated", "completed", "assigned"} })
	id := f.promise()
	f.do("sup1", id, "claim", nil)
	f.do("sup1", id, "start", nil)
	f.do("sup1", id, "escalate", map[string]any{"reason": "beyond me"})
	f.pass(0)
	require.Equal(t, []string{"mgr1"}, who(f.mail()))
	f.do("mgr1", id, "claim", nil)
	f.do("mgr1", id, "start", nil)
	f.do("mgr1", id, "attempts", map[string]any{"disposition": "reached"})
	f.do("mgr1", id, "complete", map[string]any{"resolution_reason": "resolved", "call_summary": "Settled"})
	f.pass(10 * time.Minute)
	sent := f.mail()
	require.Equal(t, []string{"sup1"}, who(sent))
	require.Equal(t, "Supervisor callback: completed: Resolved on the call", sent["sup1@desk.example"][0].Subject())
}

func TestOneMailForAllThatHasHappenedLately(t *testing.T) {
	t.Parallel()
	f := open(t)
	for range 5 {
		f.promise()
	}
	f.pass(30 * time.Minute)
	sent := f.mail()
	require.Len(t, sent["sup1@desk.example"], 1)
	require.Equal(t, "5 callbacks: 5 warned", sent["sup1@desk.example"][0].Subject())

	f.promise()
	f.pass(30 * time.Minute) // five are missed, one is warned of
	require.Len(t, f.mail()["sup1@desk.example"], 1)
	for range 3 {
		f.promise()
	}
	f.clock.Advance(-time.Minute)
	f.pass(time.Minute)
	require.Empty(t, f.mail())
	f.pass(30 * time.Minute)
	sent = f.mail()
	require.Equal(t, "4 callbacks: 1 breached, 3 warned", sent["sup1@desk.example"][0].Subject())
	id := f.promise()
	f.do("sup1", id, "claim", nil)
	f.do("sup1", id, "escalate", map[string]any{"reason": "at once"})
	f.pass(time.Minute)
	require.Empty(t, f.mail()["mgr1@desk.example"], "not so soon again")
	f.clock.Advance(5 * time.Minute)
	require.Len(t, f.mail()["mgr1@desk.example"], 1)
}

func TestOutsideTheirShiftPeopleAreLeftInPeace(t *testing.T) {
	t.Parallel()
	early := &callback.Calendar{TimeZone: "Asia/Kolkata", Hours: map[string][]string{"daily": {"09:00-17:00"}}} // until 11:30 in UTC
	late := &callback.Calendar{TimeZone: "Asia/Kolkata", Hours: map[string][]string{"daily": {"18:00-23:00"}}}  // from 12:30 in UTC
	f := open(t)
	of := func(id, queue string, shift *callback.Calendar) book.Staff {
		return book.Staff{ID: id, Rank: 2, Tier: "supervisor", Queues: []string{queue}, Shift: shift, Identities: map[string]string{identity: id + "@desk.example"}}
	}
	f.desk.Hire(of("sup1", "Supervisors - RM", early), of("sup2", "Supervisors - RM", late), book.Staff{ID: "nobody"})
	f.promise()
	f.pass(30 * time.Minute)
	sent := f.mail()
	require.Equal(t, []string{"sup1"}, who(sent), "somebody of the queue is there")
	require.Contains(t, sent["sup1@desk.example"][0].Subject(), "16:30 IST")

	// Nobody is there: it waits for whoever comes.
	f.clock.Advance(time.Hour)
	f.promise()
	f.pass(30 * time.Minute)
	f.c = f.again()
	sent = f.mail()
	require.Equal(t, []string{"mgr1"}, who(sent), "whose callback it is by now")
	f.clock.Advance(time.Hour)
	sent = f.mail()
	require.Equal(t, []string{"sup2"}, who(sent))

	f.config.AnyTime = true
	f.c = f.again()
	require.Contains(t, who(f.mail()), "sup1")
}

func TestWhateverDiesIsToldOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.promise()
	f.clock.Advance(30 * time.Minute)
	f.desk.Tick()
	f.memory.Fail(errors.New("away"))
	require.Error(t, f.deliver())
	f.memory.Fail(nil)
	require.NoError(t, f.deliver())

	// The same delivery again, before it was sent and after.
	again := func() {
		id := f.desk.All()[0]
		v := f.desk.View(id)
		for _, e := range f.desk.Events(id) {
			if e.Fact.Type() == callback.TypeWarned {
				require.NoError(t, f.again().Deliver(context.Background(), connectors.Delivery{
					OperationID: connectors.OperationID(id, name, e.Seq), Again: true, Event: e, Callback: v.State, Latest: v.State, Intake: v.Intake,
				}))
			}
		}
	}
	again()
	sent := f.mail()
	require.Equal(t, []string{"sup1", "sup2"}, who(sent))
	require.Contains(t, sent["sup1@desk.example"][0].Subject(), "due at")
	again()
	f.clock.Advance(10 * time.Minute)
	require.Empty(t, f.mail())

	// A person who looks into it days later sees it again.
	f.clock.Advance(2 * time.Hour)
	again()
	require.Equal(t, []string{"sup1", "sup2"}, who(f.mail()))
	f.clock.Advance(10 * time.Minute)
	require.Empty(t, f.mail())
}

func TestAMailThatMayHaveArrivedIsSentAgainAsItWas(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.promise()
	f.pass(30 * time.Minute)
	f.server.LoseAnswers(1)
	f.clock.Advance(settling)
	require.Error(t, f.c.round(context.Background(), true))
	f.promise() // more happens meanwhile
	f.clock.Advance(-30 * time.Minute)
	f.pass(30 * time.Minute)
	f.c = f.again()
	require.NoError(t, f.c.round(context.Background(), true))
	var first []smtpfake.Mail
	for _, m := range f.server.Mails() {
		if m.To[0] == f.server.Mails()[0].To[0] {
			first = append(first, m)
		}
	}
	require.Len(t, first, 2)
	require.Equal(t, first[0].Header.Get("Message-Id"), first[1].Header.Get("Message-Id"))
	require.Equal(t, first[0].Text, first[1].Text)
}

func TestWhileNoMailCanBeSentItIsOwedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.promise()
	f.pass(30 * time.Minute)
	f.server.Refuse("mail", 421)
	f.clock.Advance(settling)
	require.Error(t, f.c.round(context.Background(), true))
	require.NoError(t, f.deliver(), "a server that wants to be asked again in a moment is no trouble yet")
	f.clock.Advance(lasting)
	require.Error(t, f.c.round(context.Background(), true))

	f.promise()
	f.clock.Advance(30 * time.Minute)
	f.desk.Tick()
	var owed *connectors.Owed
	require.ErrorAs(t, f.deliver(), &owed)
	require.Equal(t, connectors.Unavailable, owed.Code, "it passes by itself")
	require.Contains(t, owed.Detail, "421")
	require.ErrorAs(t, f.deliver(), &owed, "still")
	f.server.Refuse("mail", 0)
	f.server.Refuse("data", 554) // now it is the content that the server does not like
	f.clock.Advance(2 * time.Hour)
	require.NoError(t, f.c.round(context.Background(), true))
	require.ErrorAs(t, f.deliver(), &owed)
	require.Contains(t, owed.Detail, "554")

	f.server.Refuse("data", 0)
	f.clock.Advance(2 * time.Hour)
	f.mail()
	require.NoError(t, f.deliver(), "what waited behind it is written down too")
	f.clock.Advance(time.Hour)
	f.mail()
	told := map[string]int{}
	for _, m := range f.server.Mails() {
		person, _, _ := strings.Cut(m.To[0], "@")
		for _, what := range []string{"  due at", "  missed", "  escalated"} {
			told[person+what] += strings.Count(m.Text, what)
		}
	}
	require.Equal(t, map[string]int{
		"sup1  due at": 2, "sup1  missed": 1, "sup1  escalated": 0, "sup2  due at": 2, "sup2  missed": 1, "sup2  escalated": 0,
		"mgr1  due at": 0, "mgr1  missed": 1, "mgr1  escalated": 1,
	}, told)
}

func TestAPersonWhoseAddressIsRefusedHoldsUpNobody(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.desk.Hire(book.Staff{ID: "sup1", Rank: 2, Tier: "supervisor", Queues: []string{"Supervisors - RM"}, Identities: map[string]string{identity: "gone@desk.example"}})
	f.server.RefuseAddress("gone@desk.example", 550)
	f.promise()
	f.pass(30 * time.Minute)
	require.Equal(t, []string{"sup2"}, who(f.mail()))
	require.NoError(t, f.deliver(), "nothing is owed for it")

	f.clock.Advance(10 * time.Minute)
	calls := f.server.Refused()
	require.Empty(t, f.mail())
	require.Equal(t, calls, f.server.Refused(), "it is left alone for a while")
	f.server.RefuseAddress("gone@desk.example", 0)
	f.clock.Advance(time.Hour)
	require.Equal(t, []string{"gone"}, who(f.mail()), "somebody has put it right")

	f.server.RefuseAddress("gone@desk.example", 550)
	f.promise()
	f.pass(30 * time.Minute)
	f.mail()
	f.clock.Advance(lostAfter + time.Hour)
	f.mail()
	f.server.RefuseAddress("gone@desk.example", 0)
	f.clock.Advance(2 * time.Hour)
	require.Empty(t, f.mail(), "after days it is given up")
}

// Of one person alone: a full mailbox, or a server that greylists.
func TestR10_AnAddressThatIsRefusedForNowHoldsUpNobody(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.server.RefuseAddress("sup1@desk.example", 450)
	f.promise()
	f.pass(30 * time.Minute)
	require.Equal(t, []string{"sup2"}, who(f.mail()))
	require.NoError(t, f.deliver(), "nothing is owed for it")
	calls := f.server.Refused()
	require.Empty(t, f.mail())
	require.Equal(t, calls, f.server.Refused(), "it is left alone for a while")
	f.server.RefuseAddress("sup1@desk.example", 0)
	f.clock.Advance(notNowFor)
	require.Equal(t, []string{"sup1"}, who(f.mail()), "minutes later, not an hour")
}

func TestManyProcessesWriteAndOneSends(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Every = time.Second })
	staff, err := f.desk.Staff(context.Background())
	require.NoError(t, err)
	sup1 := staff[slices.IndexFunc(staff, func(s book.Staff) bool { return s.ID == "sup1" })]
	var writing sync.WaitGroup
	const writers, each = 4, 50
	for w := range writers {
		c := f.again()
		writing.Go(func() {
			for n := range each {
				e := entry{Operation: fmt.Sprintf("op-%d-%d", w, n), Callback: "c", Policy: "p", Type: callback.TypeWarned}
				if err := c.list("sup1").add(context.Background(), e, n%7 == 0, f.clock.Now()); err != nil {
					panic(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		f.clock.Advance(10 * time.Second)
		_, err := f.c.send(context.Background(), &sup1)
		require.NoError(t, err)
	}
	for {
		f.clock.Advance(10 * time.Second)
		before := len(f.server.Mails())
		_, err := f.c.send(context.Background(), &sup1)
		require.NoError(t, err)
		if len(f.server.Mails()) == before {
			break
		}
	}
	told := 0
	for _, m := range f.server.Mails() {
		told += strings.Count(m.Text, "due at")
	}
	require.Equal(t, writers*each, told, "each once")

	// What was told long ago is forgotten.
	f.clock.Advance(keepSent + time.Hour)
	for range 10 {
		_, err := f.c.send(context.Background(), &sup1)
		require.NoError(t, err)
	}
	require.Zero(t, f.memory.Keys(name, "mark:"))
	require.LessOrEqual(t, f.memory.Keys(name, "to:"), 4)
}

func TestItRunsUntilTheEnd(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.promise()
	ctx, cancel := context.WithCancel(context.Background())
	looks := 0
	f.deps.Sleep = func(ctx context.Context, d time.Duration) error {
		f.clock.Advance(d)
		switch looks++; {
		case looks == 1:
			f.clock.Advance(30 * time.Minute)
			f.desk.Tick()
			require.NoError(t, f.deliver())
		case looks == 10:
			f.server.Refuse("mail", 451)
			f.pass(30 * time.Minute)
		case looks == 20:
			f.server.Refuse("mail", 0)
		case len(f.server.Mails()) == 5 || looks > 100:
			cancel()
		}
		return ctx.Err()
	}
	f.c = f.again()
	require.NoError(t, f.c.Run(ctx))
	require.Len(t, f.server.Mails(), 5, "two are warned, three are told that it passed")
}

func TestR23_CustomersAreToldThatAnOutageIsOver(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.CustomerSubject = "We can call you again" })
	customers, err := NewCustomers(f.config, f.deps)
	require.NoError(t, err)
	require.Equal(t, "smtp:customers", customers.Name())
	require.Equal(t, []callback.EventType{callback.TypeResumed}, customers.Types())
	in := book.Intake{Customer: book.Customer{Name: "Asha", Email: "asha@customer.example"}}
	require.True(t, customers.Wants(in, nil))
	require.False(t, customers.Wants(book.Intake{}, nil))

	over := &book.Outage{ID: "o", Words: "Our phones are down.", EndWords: "Our phones work again.\n", EndedAt: callback.At(f.clock.Now())}
	d := connectors.Delivery{
		OperationID: "op-1", Event: callback.Event{Fact: &callback.Resumed{Outage: "o"}}, Outage: over,
		Callback: &callback.Callback{ID: "c", Status: callback.StatusQueued}, Latest: &callback.Callback{Status: callback.StatusQueued}, Intake: in,
	}
	deliver := func(change func(*connectors.Delivery)) error {
		d := d
		change(&d)
		return customers.Deliver(context.Background(), d)
	}
	for _, nothing := range []func(*connectors.Delivery){
		func(d *connectors.Delivery) { d.Event.Fact = &callback.Resumed{} }, // an ordinary hold
		func(d *connectors.Delivery) { d.Outage = nil },
		func(d *connectors.Delivery) { d.Outage = &book.Outage{} }, // no words
		func(d *connectors.Delivery) { d.Intake = book.Intake{} },  // erased
		func(d *connectors.Delivery) { d.Latest = &callback.Callback{Status: callback.StatusCancelled} },
	} {
		require.NoError(t, deliver(nothing))
	}
	require.Empty(t, f.server.Mails())
	f.server.Refuse("rcpt", 450)
	var owed *connectors.Owed
	require.ErrorAs(t, deliver(func(*connectors.Delivery) {}), &owed)
	require.Equal(t, connectors.Unavailable, owed.Code)
	f.server.Refuse("rcpt", 0)
	require.NoError(t, deliver(func(d *connectors.Delivery) { d.Again = true }))
	require.NoError(t, deliver(func(d *connectors.Delivery) { d.Again = true }), "told once")
	require.Len(t, f.server.Mails(), 1)
	m := f.server.Mails()[0]
	require.Equal(t, []string{"asha@customer.example"}, m.To)
	require.Equal(t, "We can call you again", m.Subject())
	require.Equal(t, "Our phones work again.", strings.TrimSpace(m.Text))
	f.server.Refuse("rcpt", 550)
	require.ErrorAs(t, deliver(func(d *connectors.Delivery) { d.OperationID = "op-2" }), &owed)
	require.Equal(t, connectors.Rejected, owed.Code, "a person decides")
	require.NotContains(t, owed.Error(), "asha")
	_, err = NewCustomers(Config{}, f.deps)
	require.Error(t, err)
}

func TestAMistakeInTheConfigurationNamesItsKey(t *testing.T) {
	t.Parallel()
	f := open(t)
	for path, change := range map[string]func(*Config){
		"url":      func(c *Config) { c.Post = nil },
		"types[0]": func(c *Config) { c.Types = []string{"noted"} },
		"types[1]": func(c *Config) { c.Types = []string{"warned", "warned"} },
		"every":    func(c *Config) { c.Every = 48 * time.Hour },
		"link":     func(c *Config) { c.Link = "https://desk.example/callbacks/" },
	} {
		c := f.config
		change(&c)
		_, err := New(c, f.deps)
		var fault *callback.Fault
		require.ErrorAs(t, err, &fault, path)
		require.Equal(t, path, fault.Errors[0].Path)
	}
	require.NoError(t, f.c.Check(context.Background()))
	require.Equal(t, "smtp", f.c.Name())
	require.True(t, f.c.Wants(book.Intake{}, nil))
}

var (
	_ connectors.Connector = (*Connector)(nil)
	_ connectors.Connector = (*Customers)(nil)
	_ connectors.Checker   = (*Connector)(nil)
)
