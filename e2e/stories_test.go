package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/connectors/connectortest"
	"ringback/connectors/freshdesk/freshdeskfake"
	"ringback/connectors/mailbox/mailboxfake"
	"ringback/connectors/oneview/oneviewfake"
	"ringback/connectors/servicebench/servicebenchfake"
	"ringback/connectors/smtp/smtpfake"
	"ringback/connectors/webhook/webhookfake"
	"ringback/connectors/zohodesk/zohodeskfake"
	"ringback/e2e/harness/process"
)

// The story of each procedure as the system sees it in which it is worked: the real program with every connector of CONTRACT
// §6, its configuration from a file and its secrets from the environment; the vendors over real HTTP, IMAP and SMTP; promises
// of seconds. In the middle of each story something breaks. What one connector does in every case is tested beside it.
//
// All stories are told to one desk at once, as systems are. Each has customers, tickets and jobs of its own; where it breaks a
// system it breaks only what is its own there.
func TestStories(t *testing.T) {
	s := openStories(t)
	t.Run("Meanwhile", func(t *testing.T) {
		var all sync.WaitGroup // they wait more than they work: all at once, on however many processors
		defer all.Wait()
		for name, tell := range map[string]func(*stories){
			"R03_R08_R09_R11_R12_ATicketThatEntersTheGroup":             ticketEntersTheGroup,
			"R09_R13_ATicketThatIsDeletedIsOwedUntilAPersonWaivesIt":    ticketIsDeleted,
			"R13_NotesGoToBothSystemsUnderTheirAuthorsName":             notesGoToBoth,
			"R14_R16_R17_R18_ATaskForEachCallback":                      taskForEach,
			"R14_R16_R18_AnExceptionBecomesATaskAndItsEndGoesBack":      exceptionIsRaised,
			"R14_R18_AFileOfExceptionsWithABadRow":                      fileIsDropped,
			"R20_AMailToTheExecutivesIsSomebodysAtOnce":                 mailToTheExecutives,
			"R20_MachinesForgersAndTheirLettersAreNobodysBusiness":      mailOfOthers,
			"R23_CustomersAreToldThatAnOutageIsOver":                    outage,
			"R10_R11_WhoShouldKnowIsToldByMailAndTheirSystemsByWebhook": noticesAreSent,
		} {
			all.Go(func() { t.Run(name, func(t *testing.T) { tell(s.as(t)) }) })
		}
	})
	t.Run("R14_R18_WhatWaitsForAFixIsDoneAfterIt", func(t *testing.T) { fixed(s.as(t)) })
	t.Run("R24_R26_BothSidesAgreeAndNothingPersonalWasSaid", func(t *testing.T) { inTheEnd(s.as(t)) })
}

// stories is a desk with all the systems around it.
type stories struct {
	desk
	root      *stories // whose program is ended with the test
	freshdesk *freshdeskfake.Fake
	zoho      *zohodeskfake.Fake
	oneview   *oneviewfake.Fake
	bench     *servicebenchfake.Server
	inbox     *mailboxfake.Server
	post      *smtpfake.Server
	hook      *webhookfake.Receiver
	drop      string
	env       map[string]string
	said      *strings.Builder // what processes said that have ended
}

// What the vendors know of each other's secrets and numbers.
const (
	groupSupervisors, groupManagers, groupBilling = 101, 102, 900

	freshdeskToken = "secret-token-of-the-automation"
)

var zohoAccount = zohodeskfake.Account{
	OrgID: "60001", DepartmentID: "70001", ClientID: "secret-client", ClientSecret: "secret-of-the-client", RefreshToken: "secret-refresh-token",
}

// storiesYAML has the connectors as CONTRACT §6 has them, with what else docs/connectors says of each.
const storiesYAML = `
organization: The systems around the desk
tiers: {associate: 1, agent: 1, supervisor: 2, manager: 3, executive: 4}
staff:
  - {id: assoc1, name: Associate One, tier: associate, identities: {freshdesk: "1001", oneview: assoc1}}
  - {id: sup1, name: Supervisor One, tier: supervisor, queues: [Supervisors - RM], reports_to: mgr1, identities: {freshdesk: "1101", oneview: sup1}}
  - {id: sup2, name: Supervisor Two, tier: supervisor, queues: [Supervisors - RM], reports_to: mgr1, identities: {freshdesk: "1102"}}
  - {id: sup3, name: Supervisor Three, tier: supervisor, queues: [Supervisors - Rooms]}
  - {id: mgr1, name: Manager One, tier: manager, queues: [Managers - RM], identities: {freshdesk: "1201", oneview: mgr1}}
  - {id: agent1, name: Agent One, tier: agent, queues: [Callback BPO 1], identities: {zoho: "2001", servicebench: BPO1-7}}
  - {id: agent2, name: Agent Two, tier: agent, queues: [Callback BPO 2], identities: {zoho: "2002", servicebench: BPO2-3}}
  - {id: exec1, name: Executive One, tier: executive, queues: [Executives]}
  - {id: exec2, name: Executive Two, tier: executive, queues: [Executives]}
  - {id: away1, name: Out of reach, tier: supervisor, queues: [Supervisors - Night], identities: {email: away1@desk.example}}
  - {id: day1, name: On shift, tier: supervisor, queues: [Supervisors - Night], reports_to: boss1, shift: always, identities: {email: day1@desk.example}}
  - {id: off1, name: Off shift, tier: supervisor, queues: [Supervisors - Night], reports_to: boss1, shift: another-day, identities: {email: off1@desk.example}}
  - {id: boss1, name: Night manager, tier: manager, queues: [Managers - Night], identities: {email: boss1@desk.example}}
  - {id: host1, name: Gone home, tier: associate, shift: another-day, identities: {email: host1@desk.example}}
  - {id: aud1, name: Auditor, tier: associate, roles: [auditor]}
  - {id: adm1, name: Administrator, tier: associate, roles: [admin]}
calendars:
  always: {time_zone: UTC, hours: {daily: ["00:00-24:00"]}}
  another-day: {time_zone: UTC, hours: {@ANOTHER DAY@: ["09:00-10:00"]}}
policies:
  supervisor-callback:
    title: Supervisor callback
    tag: {required: Callback Required, unserved: Callback Not Served}
    ladder:
      - {tier: supervisor, queue: Supervisors - RM, tat: 8s}
      - {tier: manager, queue: Managers - RM, tat: 1h}
    completion: &served {requires: [contact, call_summary, resolution_reason]}
    resolution_reasons: &resolved [{code: resolved, title: Resolved on the call}]
  unhurried:
    title: Unhurried
    tag: {required: Callback Required, unserved: Callback Not Served}
    ladder:
      - {tier: supervisor, queue: Supervisors - RM, tat: 1h}
      - {tier: manager, queue: Managers - RM, tat: 1h}
    outage: {hold: true}
    completion: *served
    resolution_reasons: *resolved
  callback-exception:
    title: Callback for an exception
    ladder:
      - {tier: agent, queue: Callback BPO 1, tat: 1h, queue_by_lob: {second: Callback BPO 2}}
    completion: *served
    resolution_reasons: [{code: visit_confirmed, title: Visit confirmed as planned}, {code: information_given, title: Question answered}]
  executive-escalation:
    title: Executive escalation
    tag: {required: Callback Required, unserved: Callback Not Served}
    ladder: [{tier: executive, queue: Executives, tat: 1h, assign: {direct: exec2}}]
    completion: *served
    resolution_reasons: *resolved
  room:
    title: A room
    ladder:
      - {tier: supervisor, queue: Supervisors - Rooms, tat: 4s}
      - {tier: manager, queue: Managers - RM, tat: 1h}
    outage: {hold: true}
    resolution_reasons: *resolved
  night:
    title: At night
    ladder:
      - {tier: supervisor, queue: Supervisors - Night, tat: 4s, warn_at: [50%]}
      - {tier: manager, queue: Managers - Night, tat: 2s}
    overdue: {remind_every: 1s}
    resolution_reasons: *resolved
connectors:
  freshdesk: {url: "@FRESHDESK@", api_key_env: FRESHDESK_API_KEY, webhook_token_env: FRESHDESK_WEBHOOK_TOKEN,
              policy: supervisor-callback, groups: {Supervisors - RM: 101, Managers - RM: 102}, poll_every: 1s, timeout: 2s}
  zohodesk: {url: "@ZOHO@", accounts_url: "@ZOHO@", org_id: "60001", department_id: "70001",
             client_id_env: ZOHO_CLIENT_ID, client_secret_env: ZOHO_CLIENT_SECRET, refresh_token_env: ZOHO_REFRESH_TOKEN,
             webhook_url: "@DESK@/v1/inbound/zohodesk", tasks: [callback-exception], tickets: [executive-escalation],
             resolution_field: cf_reason, resolution_reasons: {Visit confirmed: visit_confirmed}, summary_field: cf_summary,
             poll_every: 2s, sweep_every: 2s, timeout: 2s}
  oneview: {url: "@ONEVIEW@/notes", secret_env: ONEVIEW_SECRET, policies: [supervisor-callback, unhurried], timeout: 2s}
  servicebench:
    secret_env: SERVICEBENCH_SECRET
    url: "@SERVICEBENCH@/callbacks"
    drop_dir: "@DROP@"
    poll: 1s
    completed: {resolution_reason: visit_confirmed, reached: true}
    routes:
      - {exception_type: "Customer Callback", user_id: "BPO1*", policy: callback-exception, queue: Callback BPO 1}
      - {exception_type: "*callback", user_id: "bpo2-?", policy: callback-exception, queue: Callback BPO 2}
  mailbox: {imap: "@IMAP@", user_env: MAIL_USER, password_env: MAIL_PASSWORD, folder: INBOX, policy: executive-escalation,
            assign: {default: exec1, chair@desk.example: exec2}, authserv_id: mx.desk.example, max_size: 16384}
  smtp: {url: "@SMTP@", from: "The desk <desk@desk.example>", every: 3s, customer_subject: News about your call}
  webhooks: [{name: ops, url: "@HOOK@", secret_env: HOOK_SECRET, policies: [night], types: [warned, breached, escalated, reminded, completed]}]
`

func openStories(t *testing.T) *stories {
	t.Helper()
	s := &stories{
		desk:      placed(t),
		freshdesk: freshdeskfake.New("secret-api-key", time.Now),
		zoho:      zohodeskfake.New(zohoAccount, time.Now, "2001", "2002"),
		bench:     servicebenchfake.Serve(t, time.Now),
		inbox:     mailboxfake.Serve(t, mailboxfake.Options{}),
		post:      smtpfake.Serve(t, smtpfake.Options{}),
		hook:      webhookfake.Serve(t, time.Now),
		drop:      filepath.Join(t.TempDir(), "exceptions"),
		said:      &strings.Builder{},
	}
	s.root = s
	s.env = map[string]string{
		"FRESHDESK_API_KEY": "secret-api-key", "FRESHDESK_WEBHOOK_TOKEN": freshdeskToken,
		"ZOHO_CLIENT_ID": zohoAccount.ClientID, "ZOHO_CLIENT_SECRET": zohoAccount.ClientSecret, "ZOHO_REFRESH_TOKEN": zohoAccount.RefreshToken,
		"ONEVIEW_SECRET":      "whsec_" + base64.StdEncoding.EncodeToString([]byte("of Oneview, and of nobody besides")),
		"SERVICEBENCH_SECRET": servicebenchfake.Secret, "HOOK_SECRET": webhookfake.Secret,
		"MAIL_USER": mailboxfake.User, "MAIL_PASSWORD": mailboxfake.Password,
	}
	for id, name := range map[int64]string{groupSupervisors: "Supervisors - RM", groupManagers: "Managers - RM", groupBilling: "Billing"} {
		s.freshdesk.AddGroup(id, name)
	}
	for _, agent := range []int64{1001, 1101, 1102, 1201} {
		s.freshdesk.AddAgent(agent, "Some agent")
	}
	var err error
	s.oneview, err = oneviewfake.New(s.env["ONEVIEW_SECRET"], time.Now)
	require.NoError(t, err)
	serve := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	require.NoError(t, os.MkdirAll(s.drop, 0o700))
	s.configure(strings.NewReplacer(
		"@FRESHDESK@", serve(s.freshdesk.Handler()), "@ZOHO@", serve(s.zoho.Handler()), "@ONEVIEW@", serve(s.oneview.Handler()),
		"@SERVICEBENCH@", s.bench.URL, "@IMAP@", s.inbox.URL, "@SMTP@", s.post.URL, "@HOOK@", s.hook.URL, "@DESK@", s.base, "@DROP@", s.drop,
		"@ANOTHER DAY@", strings.ToLower(time.Now().UTC().AddDate(0, 0, 3).Format("Mon")),
	).Replace(storiesYAML))
	s.freshdesk.Hook(s.base+"/v1/inbound/freshdesk", freshdeskToken, http.DefaultClient)
	s.start()
	s.endsWithItsTest(func() string { return s.said.String() + "\n" + s.output() })
	return s
}

// start starts the program with the secrets in its environment.
func (s *stories) start() {
	s.t.Helper()
	cmd := exec.Command(program(s.t, "ringback-dev"), "--config", s.config, "--data", s.data,
		"--listen", "127.0.0.1:"+s.ports[0], "--temporal-port", s.ports[1], "--ui-port", "0", "--log-level", "warn")
	cmd.Env = os.Environ()
	for name, secret := range s.env {
		cmd.Env = append(cmd.Env, name+"="+secret)
	}
	p, err := process.Start(cmd, func(line string) bool { return strings.Contains(line, "Promise a callback") })
	require.NoError(s.t, err)
	require.NoError(s.t, p.Tie())
	s.running = p
	s.eventually("ready", func() bool { return s.status("", "GET", "/readyz", nil) == http.StatusOK })
}

// eventually polls, as a desk's does, in the goroutine of the test: what is asked may fail it.
func (s *stories) eventually(what string, so func() bool) {
	s.t.Helper()
	for began := time.Now(); !so(); <-time.After(50 * time.Millisecond) {
		require.Less(s.t, time.Since(began), 2*time.Minute, "%s: it never was so", what)
	}
}

// as is the same desk for a test of its own.
func (s *stories) as(t *testing.T) *stories {
	own := *s
	own.t = t
	return &own
}

// breaks makes calls of one route go wrong in these ways, one each.
func breaks(f *connectortest.Faults, route string, faults ...connectortest.Fault) {
	method, path, _ := strings.Cut(route, " ")
	f.Only(func(r *http.Request) bool { return r.Method == method && r.URL.Path == path })
	f.Next(faults...)
}

// send makes a request as another system does, and returns the status and the body.
func (s *stories) send(r *http.Request) (status int, answer string) {
	s.t.Helper()
	res, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, string(body)
}

func (s *stories) request(method, path, media, body string, headers ...string) *http.Request {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader([]byte(body)))
	require.NoError(s.t, err)
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// asked is what an associate promises.
func asked(policy string, more object) object {
	body := object{"policy": policy, "reason": "secret-reason", "customer": object{"name": "Asha Rao", "phone": "+919876543210"}}
	for name, value := range more {
		body[name] = value
	}
	return body
}

func (s *stories) promised(who string, body object) string {
	s.t.Helper()
	return s.must(http.StatusCreated, who, "POST", "/v1/callbacks", body)["id"].(string)
}

// does gives commands of one person, in order.
func (s *stories) does(who, id string, commands ...any) {
	s.t.Helper()
	for i := 0; i < len(commands); i++ {
		name, body := commands[i].(string), object(nil)
		if i+1 < len(commands) {
			if b, is := commands[i+1].(object); is {
				body, i = b, i+1
			}
		}
		status, _, answer, err := s.call(who, "POST", "/v1/callbacks/"+id+"/"+name, body)
		require.NoError(s.t, err)
		require.Contains(s.t, []int{http.StatusOK, http.StatusCreated, http.StatusAccepted}, status, "%s: %v", name, answer)
	}
}

var (
	reached  = object{"disposition": "reached"}
	resolved = object{"resolution_reason": "resolved", "call_summary": "secret-summary"}
)

// callbacks are those of a source, the newest first.
func (s *stories) callbacks(source string) (ids []string) {
	s.t.Helper()
	page := s.must(http.StatusOK, "aud1", "GET", "/v1/callbacks?sort=-requested_at&source="+url.QueryEscape(source), nil)
	for _, item := range page["items"].([]any) {
		ids = append(ids, item.(object)["id"].(string))
	}
	return ids
}

// found waits for the one callback of a source.
func (s *stories) found(source string) string {
	s.t.Helper()
	var ids []string
	s.changed(func() bool {
		ids = s.callbacks(source)
		return len(ids) > 0
	})
	require.Len(s.t, ids, 1)
	return ids[0]
}

func (s *stories) becomes(id, member string, value any) {
	s.t.Helper()
	s.changed(func() bool { return s.get(id)[member] == value })
}

// owes are what is owed for a callback to a system.
func (s *stories) owes(id, destination string) []object {
	s.t.Helper()
	return items(s.must(http.StatusOK, "aud1", "GET", "/v1/owed?callback="+id+"&destination="+url.QueryEscape(destination), nil))
}

// owed waits for something to be owed, and returns it.
func (s *stories) owed(id, destination string) object {
	s.t.Helper()
	var debts []object
	s.eventually("it is owed", func() bool {
		debts = s.owes(id, destination)
		return len(debts) > 0
	})
	require.Len(s.t, debts, 1, "what follows waits behind it")
	return debts[0]
}

// retry has what is owed tried at once, as a manager does who has mended it.
func (s *stories) retry(debt object) {
	s.t.Helper()
	s.must(http.StatusAccepted, "mgr1", "POST", "/v1/deliveries/"+debt["operation"].(string)+"/retry", nil)
}

func items(page object) (all []object) {
	listed, _ := page["items"].([]any)
	for _, item := range listed {
		all = append(all, item.(object))
	}
	return all
}

// facts are a callback's of one kind.
func facts[F callback.Fact](s *stories, id string) (all []F) {
	s.t.Helper()
	for _, e := range s.timeline(id) {
		if f, is := e.Fact.(F); is {
			all = append(all, f)
		}
	}
	return all
}

// did is who did what, in order, without what became of deliveries.
func (s *stories) did(id string) (all []string) {
	s.t.Helper()
	for _, e := range s.timeline(id) {
		switch e.Fact.(type) {
		case *callback.Delivered, *callback.DeliveryOwed:
		default:
			all = append(all, string(e.Fact.Type())+" "+e.Actor)
		}
	}
	return all
}

// kept waits for a message of a connector that waits for a person, with words in its reason.
func (s *stories) kept(connector, words string) object {
	s.t.Helper()
	var one object
	s.eventually("a message is kept", func() bool {
		for _, m := range items(s.must(http.StatusOK, "adm1", "GET", "/v1/inbound?limit=200&waiting=true&connector="+connector, nil)) {
			if strings.Contains(m["reason"].(string), words) {
				one = m
				return true
			}
		}
		return false
	})
	return one
}

func (s *stories) replayed(m object) object {
	s.t.Helper()
	return s.must(http.StatusOK, "adm1", "POST", "/v1/inbound/"+m["id"].(string)+"/replay", nil)
}

// mails are those that somebody got, each once: what is sent again has its old Message-ID.
func (s *stories) mails(to string) (all []smtpfake.Mail) {
	var seen []string
	for _, m := range s.post.Mails() {
		id := m.Header.Get("Message-Id")
		if slices.Contains(m.To, to) && !slices.Contains(seen, id) {
			seen, all = append(seen, id), append(all, m)
		}
	}
	return all
}

// metrics are those of a name with their labels, by line.
func (s *stories) metrics(name string) (lines []string) {
	s.t.Helper()
	status, body := s.send(s.request("GET", "/metrics", "", ""))
	require.Equal(s.t, http.StatusOK, status)
	for _, line := range strings.Split(body, "\n") {
		if strings.HasPrefix(line, name+"{") {
			lines = append(lines, line)
		}
	}
	return lines
}

// health is how a system is, as everybody sees it.
func (s *stories) health(connector string) object {
	s.t.Helper()
	for _, c := range items(s.must(http.StatusOK, "aud1", "GET", "/v1/connectors", nil)) {
		if c["name"] == connector {
			return c
		}
	}
	s.t.Fatalf("there is no connector %s", connector)
	return nil
}
