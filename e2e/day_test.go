package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/config"
	"ringback/connectors/connectortest"
	"ringback/connectors/freshdesk/freshdeskfake"
	"ringback/connectors/mailbox/mailboxfake"
	"ringback/connectors/oneview/oneviewfake"
	"ringback/connectors/servicebench/servicebenchfake"
	"ringback/connectors/smtp/smtpfake"
	"ringback/connectors/webhook/webhookfake"
	"ringback/connectors/zohodesk/zohodeskfake"
)

// A day of traffic with every system around the desk, each of which fails at one call in twenty. At its end both sides
// agree, row by row (agree_test.go).

// callsOfADay is how many callbacks there are unless RINGBACK_TEST_DAY says so: a whole day is RINGBACK_TEST_DAY=5000, for which
// go test needs -timeout 2h.
const callsOfADay = 300

const (
	secretOfADay = servicebenchfake.Secret
	// faultsOfADay is the share of the calls to other systems that fail.
	faultsOfADay = 0.05
	// atOnce is how many callbacks people work on, and underWay how many there are with those that wait for something.
	atOnce, underWay = 16, 120
	// patienceOfADay is how long what another system brings about may take.
	patienceOfADay = 10 * time.Minute
)

// day is a desk and every system around it.
type day struct {
	desk
	freshdesk *freshdeskfake.Fake
	zoho      *zohodeskfake.Fake
	oneview   *oneviewfake.Fake
	bench     *servicebenchfake.Server
	hook      *webhookfake.Receiver
	mail      *smtpfake.Server
	inbox     *mailboxfake.Server
	drop      string
	// faults are those of the systems that speak HTTP.
	faults map[string]*connectortest.Faults
	// cuts are how often the mailbox was cut off, letters what was put into it.
	cuts, letters atomic.Int64
	began         time.Time
	// room is for those callbacks that are worked on.
	room chan struct{}
}

// identities of everybody who works that day, in the systems around.
var identities = map[string]map[string]string{
	"assoc1": {"freshdesk": "1001", "oneview": "assoc1", "email": "assoc1@desk.example"},
	"sup1":   {"freshdesk": "1101", "oneview": "sup1", "email": "sup1@desk.example"},
	"mgr1":   {"freshdesk": "1201", "oneview": "mgr1", "email": "mgr1@desk.example"},
	"agent1": {"zoho": "2001", "oneview": "agent1", "servicebench": "BPO1-7", "email": "agent1@desk.example"},
	"exec1":  {"zoho": "2301", "oneview": "exec1", "email": "exec1@desk.example"},
}

// groups are Freshdesk's ids of queues.
var groups = map[string]int64{"Supervisors - RM": 101, "Managers - RM": 102}

// elsewhere is a group of tickets that are nobody's callback.
const elsewhere = 900

// hookTypes are what the webhook is told of.
var hookTypes = []callback.EventType{
	callback.TypeRequested, callback.TypeClaimed, callback.TypeBreached, callback.TypeEscalated, callback.TypeCompleted, callback.TypeCancelled,
}

// hurried is a policy whose promises nobody can keep.
const hurried = `
policies:
  hurried-callback:
    title: Hurried callback
    tag: {required: Callback Required, unserved: Callback Not Served}
    ladder:
      - {tier: supervisor, queue: Supervisors - RM, tat: 2s, warn_at: [50%]}
      - {tier: manager, queue: Managers - RM, tat: 2s}
    overdue: {remind_every: 15m, max: 4h}
    completion: {requires: [contact, call_summary, resolution_reason]}
    resolution_reasons: [{code: resolved, title: Resolved on the call}]
`

func openDay(t *testing.T) *day {
	t.Helper()
	d := &day{
		desk: placed(t), drop: filepath.Join(t.TempDir(), "exceptions"), faults: map[string]*connectortest.Faults{}, began: time.Now(),
		room: make(chan struct{}, atOnce),
	}
	yaml := d.staffed() + d.around()
	require.NoError(t, os.MkdirAll(d.drop, 0o700))
	d.configure(yaml)
	d.start()
	d.endsWithItsTest(func() string {
		said := d.output()
		return said[max(0, len(said)-20000):]
	})
	return d
}

// staffed is the built-in configuration with everybody's identities, the hurried policy, and no limit to what one has.
func (d *day) staffed() string {
	d.t.Helper()
	yaml := strings.Replace(string(config.BuiltinYAML()), "\npolicies:\n", hurried, 1)
	for who, is := range identities {
		start := strings.Index(yaml, "- {id: "+who+",")
		require.Positive(d.t, start)
		line, rest, _ := strings.Cut(yaml[start:], "identities: {")
		_, rest, found := strings.Cut(rest, "}")
		require.True(d.t, found)
		as, err := json.Marshal(is)
		require.NoError(d.t, err)
		yaml = yaml[:start] + strings.Replace(line, "capacity: 5, ", "", 1) + "identities: " + string(as) + rest
	}
	return yaml
}

// around starts the other systems and returns how the desk gets to them.
func (d *day) around() string {
	t := d.t
	t.Helper()
	// Who takes a message for good by its status alone cannot know that a 200 was nonsense.
	honest := []connectortest.Fault{connectortest.Broken, connectortest.Lost, connectortest.Busy, connectortest.BusySilently}
	failing := func(name string, f *connectortest.Faults, ways ...connectortest.Fault) {
		f.Randomly(faultsOfADay, uint64(len(d.faults)+1), ways...)
		d.faults[name] = f
	}
	listen := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}

	d.freshdesk = freshdeskfake.New("key-of-the-day", time.Now)
	d.freshdesk.AddGroup(elsewhere, "Elsewhere")
	for name, id := range groups {
		d.freshdesk.AddGroup(id, name)
	}
	var agents []string
	for who, is := range identities {
		if id, err := strconv.ParseInt(is["freshdesk"], 10, 64); err == nil {
			d.freshdesk.AddAgent(id, who)
		}
		if is["zoho"] != "" {
			agents = append(agents, is["zoho"])
		}
	}
	failing("freshdesk", &d.freshdesk.Faults)
	freshdesk := listen(d.freshdesk.Handler())
	d.freshdesk.Hook(d.base+"/v1/inbound/freshdesk", "token-of-the-day", &http.Client{Timeout: 5 * time.Second})

	d.zoho = zohodeskfake.New(zohodeskfake.Account{
		OrgID: "60001", DepartmentID: "70001", ClientID: "1000.CLIENT", ClientSecret: "secret-5f1d", RefreshToken: "1000.refresh-9c2e",
	}, time.Now, agents...)
	d.zoho.Concurrency, d.zoho.Deliver = 12, true
	d.zoho.SignIn.Next(connectortest.Broken)
	failing("zohodesk", &d.zoho.Faults)
	zoho := listen(d.zoho.Handler())

	var err error
	d.oneview, err = oneviewfake.New(secretOfADay, time.Now)
	require.NoError(t, err)
	failing("oneview", &d.oneview.Faults, honest...)
	oneview := listen(d.oneview.Handler())

	d.bench = servicebenchfake.Serve(t, time.Now)
	target, err := url.Parse(d.bench.URL)
	require.NoError(t, err)
	before := &connectortest.Faults{}
	failing("servicebench", before, honest...)
	bench := listen(before.Wrap(httputil.NewSingleHostReverseProxy(target)))

	d.hook = webhookfake.Serve(t, time.Now)
	failing("webhook", &d.hook.Faults, honest...)

	d.mail = smtpfake.Serve(t, smtpfake.Options{})
	d.mail.FailRandomly(faultsOfADay, 6)
	d.inbox = mailboxfake.Serve(t, mailboxfake.Options{})
	var mu sync.Mutex
	chance := rand.New(rand.NewPCG(7, 7))
	d.inbox.Spoil(func(string) bool {
		mu.Lock()
		fails := chance.Float64() < faultsOfADay
		mu.Unlock()
		if fails {
			d.cuts.Add(1)
			d.inbox.Cut()
		}
		return false
	})

	for name, value := range map[string]string{
		"DAY_SECRET": secretOfADay, "DAY_KEY": "key-of-the-day", "DAY_TOKEN": "token-of-the-day", "DAY_ZOHO_ID": "1000.CLIENT",
		"DAY_ZOHO_SECRET": "secret-5f1d", "DAY_ZOHO_REFRESH": "1000.refresh-9c2e", "DAY_USER": mailboxfake.User, "DAY_PASSWORD": mailboxfake.Password,
		"RINGBACK_REQUESTS_PER_SECOND": "0",
	} {
		t.Setenv(name, value)
	}
	types, err := json.Marshal(hookTypes)
	require.NoError(t, err)
	return fmt.Sprintf(`
connectors:
  freshdesk: {url: %q, api_key_env: DAY_KEY, webhook_token_env: DAY_TOKEN, policy: supervisor-callback, poll_every: 10s,
              groups: {"Supervisors - RM": 101, "Managers - RM": 102}}
  zohodesk: {url: %q, accounts_url: %q, org_id: "60001", department_id: "70001", client_id_env: DAY_ZOHO_ID, client_secret_env: DAY_ZOHO_SECRET,
             refresh_token_env: DAY_ZOHO_REFRESH, webhook_url: %q, tasks: [callback-exception], tickets: [executive-escalation],
             poll_every: 20s, sweep_every: 15s, resolution_field: cf_reason, summary_field: cf_summary}
  oneview: {url: %q, secret_env: DAY_SECRET}
  servicebench:
    {secret_env: DAY_SECRET, drop_dir: %q, poll: 1s, url: %q, completed: {resolution_reason: visit_confirmed, reached: true},
     routes: [{exception_type: "Customer Callback", user_id: "BPO1*", policy: callback-exception, queue: "Callback BPO 1"}]}
  mailbox: {imap: %q, user_env: DAY_USER, password_env: DAY_PASSWORD, policy: executive-escalation, assign: {default: exec1}}
  smtp: {url: %q, from: "executives@desk.example", every: 1s}
  webhooks: [{url: %q, secret_env: DAY_SECRET, name: day, types: %s}]
`, freshdesk, zoho, zoho, d.base+"/v1/inbound/zohodesk", oneview, d.drop, bench, d.inbox.URL, d.mail.URL, d.hook.URL, types)
}

// step is one command.
type step struct {
	who, name string
	body      object
}

// does gives commands, each until it is answered.
func (d *day) does(id string, steps ...step) error {
	for i, s := range steps {
		if _, err := d.again(fmt.Sprint("day-", i, s.name), s.who, "/v1/callbacks/"+id+"/"+s.name, s.body); err != nil {
			return err
		}
	}
	return nil
}

// served is how somebody who has a callback brings it to its end.
func served(who, reason string) []step {
	return []step{
		{who, "start", nil}, {who, "attempts", object{"disposition": "reached", "note": "secret-call"}},
		{who, "complete", object{"resolution_reason": reason, "call_summary": "secret-summary of " + who}},
	}
}

// promises promises a callback, in the name of assoc1.
func (d *day) promises(key string, body object) (id string, err error) {
	made, err := d.again(key, "assoc1", "/v1/callbacks", body)
	if err != nil {
		return "", err
	}
	return text(made["id"]), nil
}

// soon waits for what another system, or the clock, brings about; others work meanwhile.
func (d *day) soon(what string, so func() (bool, error)) error {
	if is, err := so(); is || err != nil {
		return err
	}
	<-d.room
	defer func() { d.room <- struct{}{} }()
	pause := 100 * time.Millisecond
	for began := time.Now(); time.Since(began) < patienceOfADay; <-time.After(pause) {
		if is, err := so(); is || err != nil {
			return err
		}
		pause = min(pause*5/4, 2*time.Second)
	}
	return fmt.Errorf("not within %s: %s", patienceOfADay, what)
}

// of is the callback of a source, once there is one.
func (d *day) of(system, ref string) (id string, err error) {
	err = d.soon("a callback of "+system+" "+ref, func() (bool, error) {
		status, _, page, err := d.call("sup1", "GET", "/v1/callbacks?source="+url.QueryEscape(system+":"+ref), nil)
		if err != nil || status != http.StatusOK {
			return false, fmt.Errorf("%s %s: %d %v %w", system, ref, status, page, err)
		}
		items, _ := page["items"].([]any)
		if len(items) == 0 {
			return false, nil
		}
		id = text(items[0].(object)["id"])
		return true, nil
	})
	return id, err
}

// becomes waits until a callback is so.
func (d *day) becomes(id, what string, so func(shown object) bool) error {
	return d.soon(id+" becomes "+what, func() (bool, error) {
		status, _, shown, err := d.call("sup1", "GET", "/v1/callbacks/"+id, nil)
		if err != nil || status != http.StatusOK {
			return false, fmt.Errorf("%s: %d %w", id, status, err)
		}
		return so(shown), nil
	})
}

func (d *day) isNow(id, status string) error {
	return d.becomes(id, status, func(shown object) bool { return shown["status"] == status })
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

const tagOfADay = "Callback Required"

// aTicket is a callback for a ticket in Freshdesk: promised by an associate, or by moving it into the group.
func (d *day) aTicket(k int) error {
	ticket := freshdeskfake.Ticket{
		ID: int64(10000 + k), Subject: "Refund", Tags: []string{"vip"}, GroupID: elsewhere,
		Requester: freshdeskfake.Requester{ID: int64(70000 + k), Name: "Asha Rao", Phone: connectortest.Phone(k)},
	}
	d.freshdesk.Add(ticket)
	if k%4 == 0 { // one that is nobody's callback
		other := ticket
		other.ID += 500_000
		d.freshdesk.Add(other)
	}
	ref, way := fmt.Sprint(ticket.ID), k%8
	var id string
	var err error
	if way == 4 || way == 5 {
		d.freshdesk.Edit(ticket.ID, func(t *freshdeskfake.Ticket) { t.GroupID = groups["Supervisors - RM"] })
		id, err = d.of("freshdesk", ref)
	} else {
		policy := "supervisor-callback"
		if way == 7 {
			policy = "hurried-callback"
		}
		id, err = d.promises("ticket-"+ref, object{
			"policy": policy, "reason": "secret-reason", "source": object{"system": "freshdesk", "ref": ref},
			"customer": object{"name": "Asha Rao", "phone": connectortest.Phone(k)},
		})
	}
	if err != nil {
		return err
	}
	note := step{"assoc1", "notes", object{"kind": "note", "body": fmt.Sprintf("secret-note %d: <b>\"urgent\"</b> & so on", k)}}
	claim := step{"sup1", "claim", nil}
	switch way {
	case 0: // somebody takes the tag off by hand
		wears := func() (bool, error) { return slices.Contains(d.freshdesk.Ticket(ticket.ID).Tags, tagOfADay), nil }
		if err := d.soon("the tag of "+ref, wears); err != nil {
			return err
		}
		d.freshdesk.Edit(ticket.ID, func(t *freshdeskfake.Ticket) { t.Tags = []string{"vip"} })
		if err := d.soon("the tag of "+ref+" again", wears); err != nil {
			return err
		}
	case 1, 5: // handed up
		return d.does(id, append([]step{
			claim, note, {"sup1", "escalate", object{"reason": "secret-why"}}, {"mgr1", "claim", nil},
		}, served("mgr1", "resolved")...)...)
	case 2: // withdrawn
		return d.does(id, note, step{"mgr1", "cancel", object{"reason": "secret-why"}})
	case 3: // never reached
		missed := step{"sup1", "attempts", object{"disposition": "no_answer", "note": "secret-call"}}
		return d.does(id, claim, step{"sup1", "start", nil}, missed, missed, missed,
			step{"sup1", "complete", object{"resolution_reason": "unreachable", "call_summary": "secret-summary"}})
	case 7: // missed at both tiers
		if err := d.becomes(id, "overdue", func(shown object) bool { return shown["overdue"] == true }); err != nil {
			return err
		}
		return d.does(id, append([]step{{"mgr1", "claim", nil}}, served("mgr1", "resolved")...)...)
	}
	return d.does(id, append([]step{claim, note}, served("sup1", "resolved")...)...)
}

// says sends one exception until it is taken.
func (d *day) says(id string, x servicebenchfake.Exception) error {
	return d.soon(id+" is taken", func() (bool, error) {
		res, err := http.DefaultClient.Do(servicebenchfake.Request(d.t, d.base+"/v1/inbound/exceptions", id, x.JSON(), time.Now()))
		if err != nil {
			return false, nil // it is sent again
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		switch {
		case err != nil, res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= 500:
			return false, nil // it is sent again
		case res.StatusCode != http.StatusOK:
			return false, fmt.Errorf("%s: %d %s", id, res.StatusCode, answer)
		}
		return true, nil
	})
}

// How an exception of a number comes, and what comes with it.
func inAFile(k int) bool     { return k%5 == 4 }
func besideABad(k int) bool  { return k%10 == 4 }
func ofSameJob(k int) string { return fmt.Sprintf("EX-%d-b", k) }
func hasSame(k int) bool     { return k%7 == 2 }

// drops puts a file with an exception into the directory, with a row that is none where that is to be.
func (d *day) drops(k int, x servicebenchfake.Exception) error {
	rows := "exception_id,source,schema,exception_type,status,service_job_id,user_id,created_at,updated_at,customer_name,customer_phones,customer_time_zone\n"
	row := func(ref string) string {
		return strings.Join([]string{
			ref, "servicebench", "1", "Customer Callback", "Open", text(x["service_job_id"]), "BPO1-7", text(x["created_at"]), text(x["updated_at"]),
			"Asha Rao", connectortest.Phone(k), "Asia/Kolkata",
		}, ",") + "\n"
	}
	if besideABad(k) {
		rows += row("")
	}
	name := filepath.Join(d.drop, fmt.Sprintf("%d.csv", k))
	if err := os.WriteFile(name+".part", []byte(rows+row(text(x["exception_id"]))), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".part", name)
}

// anException is raised in ServiceBench, by a call or in a file, and completed at the desk, there, or in Zoho Desk.
func (d *day) anException(k int) error {
	x := servicebenchfake.Raise(k, d.began)
	ref := text(x["exception_id"])
	if inAFile(k) {
		if err := d.drops(k, x); err != nil {
			return err
		}
	} else {
		if k%3 == 0 { // the newer one comes first
			if err := d.says(ref+"-newer", x.At(d.began.Add(time.Second), "In Progress")); err != nil {
				return err
			}
		}
		for range 1 + k%2 { // and some twice
			if err := d.says(ref, x); err != nil {
				return err
			}
		}
	}
	id, err := d.of("servicebench", ref)
	if err != nil {
		return err
	}
	if hasSame(k) { // another one of the same job: no second callback (R14)
		if err := d.says(ofSameJob(k), x.With("exception_id", ofSameJob(k))); err != nil {
			return err
		}
	}
	start := []step{{"agent1", "claim", nil}, {"agent1", "start", nil}}
	switch k % 4 {
	case 1: // there
		if err := d.says(ref+"-done", x.At(time.Now(), "Complete")); err != nil {
			return err
		}
		return d.isNow(id, "completed")
	case 2: // in Zoho Desk
		if err := d.does(id, append(start, step{"agent1", "attempts", object{"disposition": "reached", "note": "secret-call"}})...); err != nil {
			return err
		}
		task := ""
		err := d.soon("the task of "+id+" is in progress", func() (bool, error) {
			i, found := d.zoho.Find(marker(id))
			task = i.ID
			return found && i.Status == "In Progress", nil
		})
		if err != nil {
			return err
		}
		d.zoho.Edit("2001", task, func(i *zohodeskfake.Item) {
			i.Status, i.Fields = "Completed", map[string]any{"cf_reason": "parts_arranged", "cf_summary": "secret-summary"}
		})
		return d.isNow(id, "completed")
	case 3: // it was an error
		return d.does(id, append(start, step{"agent1", "complete", object{"resolution_reason": "raised_in_error", "call_summary": "secret-summary"}})...)
	}
	return d.does(id, append(start[:1], served("agent1", "information_given")...)...)
}

// marker is in the subject of what is made for a callback in Zoho Desk.
func marker(id string) string { return "RB-" + id[strings.LastIndexByte(id, '-')+1:] }

// answers: whoever wrote that mail writes again.
func answers(k int) bool { return k%2 == 0 }

// aMail comes to the executives.
func (d *day) aMail(k int) error {
	put := func(l mailboxfake.Letter) {
		d.inbox.Put(d.t, "INBOX", l.Bytes())
		d.letters.Add(1)
	}
	ref := fmt.Sprintf("%d@customer.example", k)
	first := mailboxfake.Letter{
		From: fmt.Sprintf("Asha Rao <asha%d@customer.example>", k), Subject: "Nobody calls", ID: ref, Text: "Please call me on " + connectortest.Phone(k) + ".",
	}
	put(first)
	if k%3 == 0 { // the same one comes twice
		put(first)
	}
	id, err := d.of("mailbox", ref)
	if err != nil {
		return err
	}
	if answers(k) {
		put(mailboxfake.Letter{
			From: first.From, Subject: "Re: Nobody calls", ID: "re." + ref, Header: []string{"In-Reply-To: <" + ref + ">"}, Text: "secret-words: still nobody.",
		})
		err := d.soon("the second mail of "+id, func() (bool, error) {
			status, _, timeline, err := d.call("sup1", "GET", "/v1/callbacks/"+id+"/timeline", nil)
			items, _ := timeline["items"].([]any)
			return status == http.StatusOK && slices.ContainsFunc(items, func(e any) bool { return e.(object)["type"] == "customer_called" }), err
		})
		if err != nil {
			return err
		}
	}
	if err := d.isNow(id, "claimed"); err != nil {
		return err
	}
	return d.does(id, served("exec1", "commitment_made")...)
}

// aForm comes from nowhere else.
func (d *day) aForm(k int) error {
	id, err := d.promises(fmt.Sprint("form-", k), object{
		"policy": "customer-service-escalation", "customer": object{"name": "Asha Rao", "phone": connectortest.Phone(k)}, "reason": "secret-reason",
	})
	if err != nil {
		return err
	}
	if err := d.isNow(id, "claimed"); err != nil {
		return err
	}
	return d.does(id, served("sup1", "goodwill")...)
}

// works lets people work until all callbacks have come to their ends.
func (d *day) works(callbacks int) {
	kinds := []func(k int) error{
		d.aTicket, d.anException, d.aTicket, d.aMail, d.aTicket, d.anException, d.aTicket, d.anException, d.aTicket, d.aForm,
	}
	of := []string{"ticket", "exception", "ticket", "mail", "ticket", "exception", "ticket", "exception", "ticket", "form"}
	numbers := map[string]int{}
	var all sync.WaitGroup
	places := make(chan struct{}, underWay)
	done, failed := atomic.Int64{}, atomic.Int64{}
	for n := range callbacks {
		kind := of[n%len(of)]
		k := numbers[kind]
		numbers[kind]++
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			d.room <- struct{}{}
			defer func() { <-d.room }()
			if err := kinds[n%len(kinds)](k); err != nil && failed.Add(1) < 10 {
				d.t.Errorf("%s %d: %v", kind, k, err)
			}
			if n := done.Add(1); n%250 == 0 {
				d.t.Logf("%d callbacks after %s", n, d.since())
			}
		})
	}
	all.Wait()
}

func (d *day) since() time.Duration { return time.Since(d.began).Round(100 * time.Millisecond) }

// hurries has what is owed tried again, which else is tried ever more seldom; it says how much that is.
func (d *day) hurries() (owed int, err error) {
	_, _, page, err := d.call("sup1", "GET", "/v1/owed?limit=200", nil)
	items, _ := page["items"].([]any)
	for _, item := range items {
		if _, _, _, err := d.call("mgr1", "POST", "/v1/deliveries/"+text(item.(object)["operation"])+"/retry", nil); err != nil {
			return len(items), err
		}
	}
	return len(items), err
}

func TestADayOfTrafficWithEverySystem(t *testing.T) {
	callbacks := callsOfADay
	if n, err := strconv.Atoi(os.Getenv("RINGBACK_TEST_DAY")); err == nil {
		callbacks = n
	}
	d := openDay(t)
	d.works(callbacks)
	t.Logf("%d callbacks in %s; %v deliveries are owed", callbacks, d.since(), d.must(http.StatusOK, "sup1", "GET", "/v1/stats", nil)["owed"])
	if t.Failed() {
		return
	}
	rows := d.drained()
	require.Len(t, rows, callbacks)
	d.settles(rows)
	t.Logf("everybody has everything after %s", d.since())

	s := d.sides(rows)
	for _, f := range []struct {
		name string
		of   int
	}{
		{"tickets", len(s.tickets)}, {"notes in Freshdesk", s.notesInAll()}, {"tasks and tickets in Zoho Desk", len(s.items)}, {"notes in Oneview", len(s.oneview)},
		{"news to ServiceBench", len(s.news)}, {"webhooks", len(s.hooks)}, {"mails", len(s.mails)}, {"letters", len(s.letters)},
	} {
		t.Logf("compared: %d %s", f.of, f.name)
	}
	d.tellsFaults()
	wrong := s.disagreements()
	require.Empty(t, wrong[:min(len(wrong), 20)], "%d disagreements", len(wrong))
	s.canDisagree(t)
	d.countsAgree(rows)
	t.Logf("compared: %d deliveries in the desk's own log", d.logAgrees(rows))
	require.Empty(t, d.must(http.StatusOK, "sup1", "GET", "/v1/owed", nil)["items"])
	require.Empty(t, d.must(http.StatusOK, "admin1", "GET", "/v1/inbound?waiting=true", nil)["items"], "everything that came in was understood")
	out, err := d.command("audit", "verify", "--server", d.base)
	require.NoError(t, err, out)
	t.Logf("all of it in %s", d.since())
}

// tellsFaults says what was done to the systems, and that it was about as much as was meant.
func (d *day) tellsFaults() {
	d.t.Helper()
	names := map[connectortest.Fault]string{
		connectortest.Broken: "500", connectortest.Lost: "answer lost", connectortest.Busy: "429 with Retry-After", connectortest.BusySilently: "429 without",
		connectortest.Nonsense: "nonsense 200",
	}
	all, failed := 0, 0
	for _, system := range slices.Sorted(maps.Keys(d.faults)) {
		f := d.faults[system]
		calls, bad, line := f.Count(connectortest.Well), 0, ""
		for _, way := range []connectortest.Fault{connectortest.Broken, connectortest.Lost, connectortest.Busy, connectortest.BusySilently, connectortest.Nonsense} {
			if n := f.Count(way); n > 0 {
				line += fmt.Sprintf(", %s %d", names[way], n)
				bad += n
			}
		}
		d.t.Logf("faults: %s: %d of %d calls%s", system, bad, calls+bad, line)
		all, failed = all+calls+bad, failed+bad
	}
	d.t.Logf("faults: smtp: %v of %d mails; imap: cut off %d times", d.mail.Failed(), len(d.mail.Mails()), d.cuts.Load())
	require.InDelta(d.t, faultsOfADay, float64(failed)/float64(all), faultsOfADay/2, "the share of the calls that failed")
	require.Positive(d.t, d.cuts.Load())
	if len(d.mail.Mails()) > 40 {
		require.NotEmpty(d.t, d.mail.Failed())
	}
}
