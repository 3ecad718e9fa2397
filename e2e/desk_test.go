package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	chromium "ringback/desk/browser"
	"ringback/e2e/harness/process"
	"ringback/engine/embedded/freeport"
)

// The whole system from outside: the real program, in a process of its own,
// over HTTP.

var programs struct {
	sync.Mutex
	dir   string
	built map[string]string
}

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Close()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// program builds a command once and returns where it is.
func program(t *testing.T, name string) string {
	t.Helper()
	return built(t, "ringback/cmd/"+name)
}

func built(t *testing.T, name string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	if programs.built == nil {
		dir, err := os.MkdirTemp("", "ringback-e2e-")
		require.NoError(t, err)
		programs.dir, programs.built = dir, map[string]string{}
	}
	if programs.built[name] == "" {
		path := filepath.Join(programs.dir, filepath.Base(name))
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, name).CombinedOutput()
		require.NoError(t, err, "%s", out)
		programs.built[name] = path
	}
	return programs.built[name]
}

// desk is a running ringback-dev.
type desk struct {
	t       *testing.T
	data    string
	config  string
	ports   []string
	running *process.Process
	base    string
}

// openDesk starts a desk on an empty folder, with a configuration file whose
// TATs are as given.
func openDesk(t *testing.T, tat time.Duration) *desk {
	t.Helper()
	d := placed(t)
	d.configure(strings.ReplaceAll(deskYAML, "@TAT@", tat.String()))
	d.start()
	d.endsWithItsTest(d.output)
	return &d
}

// placed is a desk that has ports and an empty folder, and was not started yet.
func placed(t *testing.T) desk {
	t.Helper()
	if testing.Short() {
		t.Skip("a whole system takes seconds")
	}
	ports, err := freeport.Take(t.Context(), 0, 0)
	require.NoError(t, err)
	folder := t.TempDir()
	return desk{
		t: t, data: filepath.Join(folder, "data"), config: filepath.Join(folder, "ringback.yaml"),
		ports: []string{fmt.Sprint(ports[0]), fmt.Sprint(ports[1])}, base: fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
	}
}

func (d *desk) configure(yaml string) {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(d.config, []byte(yaml), 0o600))
}

// output is what the running program has written.
func (d *desk) output() string { return d.running.Output() }

// endsWithItsTest asks the desk to end when its test does, and tells what it said if that failed.
func (d *desk) endsWithItsTest(said func() string) {
	t := d.t
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the desk said:\n%s", said())
		}
		require.NoError(t, d.running.End(syscall.SIGTERM))
	})
}

const deskYAML = `
organization: Whole system
tiers: {associate: 1, supervisor: 2, manager: 3}
staff:
  - {id: assoc1, name: Associate, tier: associate}
  - {id: sup1, name: Supervisor One, tier: supervisor, queues: [S]}
  - {id: sup2, name: Supervisor Two, tier: supervisor, queues: [S]}
  - {id: mgr1, name: Manager, tier: manager, queues: [M]}
  - {id: aud1, name: Auditor, tier: associate, roles: [auditor]}
  - {id: admin1, name: Administrator, tier: associate, roles: [admin]}
policies:
  promise:
    title: Promise
    tag: {required: Callback Required, unserved: Callback Not Served}
    ladder:
      - {tier: supervisor, queue: S, tat: "@TAT@"}
      - {tier: manager, queue: M, tat: 1h}
    overdue: {remind_every: 15m, max: 4h}
    completion: {requires: [contact, call_summary, resolution_reason]}
    resolution_reasons: [{code: resolved, title: Resolved}]
  unhurried:
    title: Unhurried
    tag: {required: Callback Required, unserved: Callback Not Served}
    ladder:
      - {tier: supervisor, queue: S, tat: 1h}
      - {tier: manager, queue: M, tat: 1h}
    completion: {requires: [contact, call_summary, resolution_reason]}
    resolution_reasons: [{code: resolved, title: Resolved}]
  drawn:
    title: Drawn
    ladder: [{tier: supervisor, queue: S, tat: 1h, assign: random}]
    resolution_reasons: [{code: resolved, title: Resolved}]
`

func (d *desk) start() {
	d.t.Helper()
	cmd := exec.Command(program(d.t, "ringback-dev"), "--config", d.config, "--data", d.data,
		"--listen", "127.0.0.1:"+d.ports[0], "--temporal-port", d.ports[1], "--ui-port", "0", "--log-level", "warn")
	p, err := process.Start(cmd, func(line string) bool { return strings.Contains(line, "Promise a callback") })
	require.NoError(d.t, err)
	require.NoError(d.t, p.Tie())
	d.running = p
	d.eventually("ready", func() bool { return d.status("", "GET", "/readyz", nil) == http.StatusOK })
}

func (d *desk) kill() {
	d.t.Helper()
	require.NoError(d.t, d.running.End(syscall.SIGKILL))
}

type object = map[string]any

// call makes a request and returns the status, the headers and the decoded body.
func (d *desk) call(who, method, path string, body object, headers ...string) (int, http.Header, object, error) {
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, nil, err
		}
		sent = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, sent)
	if err != nil {
		return 0, nil, nil, err
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer dev:"+who)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	var answer object
	if data, err := io.ReadAll(res.Body); err != nil {
		return 0, nil, nil, err
	} else if len(data) > 0 && strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(data, &answer); err != nil {
			return 0, nil, nil, err
		}
	}
	return res.StatusCode, res.Header, answer, nil
}

func (d *desk) status(who, method, path string, body object) int {
	status, _, _, err := d.call(who, method, path, body)
	if err != nil {
		return 0
	}
	return status
}

// must makes a request that must be answered with the status.
func (d *desk) must(status int, who, method, path string, body object, headers ...string) object {
	d.t.Helper()
	got, _, answer, err := d.call(who, method, path, body, headers...)
	require.NoError(d.t, err)
	require.Equal(d.t, status, got, "%s %s: %v", method, path, answer)
	return answer
}

func promiseBody(policy string) object {
	return object{
		"policy": policy, "reason": "reason-that-is-free-text",
		"customer": object{"name": "Zebedee Quartermain", "phone": "+442079460958", "ref": "CUST-77812", "email": "zq@example.org"},
		"lob":      "flights",
	}
}

func (d *desk) promise(policy string) string {
	d.t.Helper()
	return d.must(http.StatusCreated, "assoc1", "POST", "/v1/callbacks", promiseBody(policy))["id"].(string)
}

func (d *desk) get(id string) object {
	d.t.Helper()
	return d.must(http.StatusOK, "sup1", "GET", "/v1/callbacks/"+id, nil)
}

func (d *desk) timeline(id string) []callback.Event {
	d.t.Helper()
	answer := d.must(http.StatusOK, "sup1", "GET", "/v1/callbacks/"+id+"/timeline", nil)
	data, err := json.Marshal(answer["items"])
	require.NoError(d.t, err)
	var events []callback.Event
	require.NoError(d.t, json.Unmarshal(data, &events))
	for i, e := range events {
		require.Equal(d.t, int64(i)+1, e.Seq, "the timeline has no gap")
	}
	return events
}

// changed waits for the stream to tell of a change for which so says yes.
func (d *desk) changed(so func() bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+"/v1/stream", nil)
	require.NoError(d.t, err)
	req.Header.Set("Authorization", "Bearer dev:sup1")
	res, err := http.DefaultClient.Do(req)
	require.NoError(d.t, err)
	defer res.Body.Close()
	require.Equal(d.t, http.StatusOK, res.StatusCode)
	if so() {
		return
	}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data:") && so() {
			return
		}
	}
	d.t.Fatal("the stream ended before it was so")
}

// eventually polls for what no stream tells of: a process coming up, and what
// sweepers do later.
func (d *desk) eventually(what string, so func() bool) {
	d.t.Helper()
	require.Eventually(d.t, so, 5*time.Minute, 50*time.Millisecond, what)
}

// command runs ringback-dev with arguments on the desk's data.
func (d *desk) command(args ...string) (string, error) {
	args = append(args, "--config", d.config, "--data", d.data, "--temporal-port", d.ports[1], "--log-level", "error")
	out, err := exec.CommandContext(d.t.Context(), program(d.t, "ringback-dev"), args...).CombinedOutput()
	return string(out), err
}

func TestR04_OfTwelveClaimsAtOnceOneWins(t *testing.T) {
	d := openDesk(t, time.Hour)
	id := d.promise("promise")
	outcomes := make(chan object, 12)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			status, _, answer, err := d.call([]string{"sup1", "sup2"}[i%2], "POST", "/v1/callbacks/"+id+"/claim", nil)
			outcomes <- object{"status": status, "code": answer["code"], "rule": answer["rule"], "err": err}
		})
	}
	all.Wait()
	close(outcomes)
	won := 0
	for o := range outcomes {
		require.Nil(t, o["err"])
		if o["status"] == http.StatusOK {
			won++
			continue
		}
		require.Equal(t, object{"status": http.StatusConflict, "code": "already_claimed", "rule": "R04", "err": nil}, o)
	}
	require.Equal(t, 1, won)
	require.Len(t, d.timeline(id), 4)
}

func TestSameKeyTwentyTimesIsOneCallback(t *testing.T) {
	d := openDesk(t, time.Hour)
	ids := make(chan string, 20)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, _, answer, err := d.call("assoc1", "POST", "/v1/callbacks", promiseBody("promise"), "Idempotency-Key", "twenty")
			id, _ := answer["id"].(string)
			ids <- fmt.Sprint(id, err)
		})
	}
	all.Wait()
	close(ids)
	different := map[string]bool{}
	for id := range ids {
		different[id] = true
	}
	require.Len(t, different, 1)
	page := d.must(http.StatusOK, "sup1", "GET", "/v1/callbacks", nil)
	require.Len(t, page["items"], 1)
	other := promiseBody("promise")
	other["reason"] = "another"
	answer := d.must(http.StatusUnprocessableEntity, "assoc1", "POST", "/v1/callbacks", other, "Idempotency-Key", "twenty")
	require.Equal(t, "idempotency_key_reused", answer["code"])
}

func TestR11_EscalatesByItselfAndNeverBefore(t *testing.T) {
	d := openDesk(t, 3*time.Second)
	id := d.promise("promise")
	d.changed(func() bool { return d.get(id)["tier"] == "manager" })
	for _, e := range d.timeline(id) {
		if x, ok := e.Fact.(*callback.Escalated); ok {
			t.Logf("escalated %s after due", x.FiredAt.Sub(x.DueAt.Time))
			require.False(t, x.FiredAt.Before(x.DueAt.Time), "never before it is due (R27)")
			require.Equal(t, time.Hour, x.NewDueAt.Sub(e.At.Time), "a fresh TAT")
		}
	}
}

func TestR27_KilledUnderLoadLosesNothingAndMovesNoPromise(t *testing.T) {
	d := openDesk(t, 12*time.Second)
	accepted := map[string]any{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				status, _, answer, err := d.call("assoc1", "POST", "/v1/callbacks", promiseBody("promise"))
				if err != nil || status != http.StatusCreated {
					return // the desk is dead
				}
				mu.Lock()
				accepted[answer["id"].(string)] = answer["due_at"]
				mu.Unlock()
			}
		})
	}
	d.eventually("some accepted", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(accepted) >= 40
	})
	d.kill()
	killed := time.Now()
	all.Wait()
	var last time.Time
	for _, due := range accepted {
		at, err := time.Parse(time.RFC3339, due.(string))
		require.NoError(t, err)
		if at.After(last) {
			last = at
		}
	}
	<-time.After(time.Until(last.Add(callback.SystemLateness + time.Second))) // every promise passes while nothing runs
	d.start()
	for id, due := range accepted {
		d.eventually("escalated", func() bool { return d.get(id)["tier"] == "manager" })
		var escalated *callback.Escalated
		for _, e := range d.timeline(id) {
			switch f := e.Fact.(type) {
			case *callback.Requested:
				require.Equal(t, due, f.DueAt.String(), "the promise did not move (R02)")
			case *callback.Breached:
				if f.DueAt.After(killed) { // what passed before, on a machine that was slow, is nobody's fault
					require.Equal(t, callback.BySystem, f.LateBy)
				}
			case *callback.Escalated:
				escalated = f
			}
		}
		require.Equal(t, due, escalated.DueAt.String())
	}
	t.Logf("%d accepted, killed, all escalated after the restart", len(accepted))
	out, err := d.command("audit", "verify", "--server", d.base)
	require.NoError(t, err, out)
}

func TestR24_R25_R26_WhatAnAuditorFinds(t *testing.T) {
	d := openDesk(t, time.Hour)
	id := d.promise("promise")
	path := "/v1/callbacks/" + id
	d.must(http.StatusOK, "sup1", "POST", path+"/claim", nil)
	d.must(http.StatusOK, "sup1", "POST", path+"/start", nil)
	d.must(http.StatusCreated, "sup2", "POST", path+"/notes", object{"kind": "note", "body": "secret-note-body"})
	d.must(http.StatusOK, "sup1", "POST", path+"/attempts", object{"disposition": "reached", "note": "secret-attempt-note"})
	d.must(http.StatusOK, "sup1", "POST", path+"/complete", object{"resolution_reason": "resolved", "call_summary": "secret-summary"})
	drawn := d.promise("drawn")
	d.changed(func() bool { return d.get(drawn)["assignee"] != nil })

	verdict := d.must(http.StatusOK, "aud1", "POST", path+"/replay", nil)
	require.Equal(t, true, verdict["ok"], verdict)
	require.Equal(t, true, verdict["outcome_matches"], verdict)
	require.Equal(t, "forbidden", d.must(http.StatusForbidden, "mgr1", "GET", path+"/history", nil)["code"])
	require.Equal(t, "forbidden", d.must(http.StatusForbidden, "aud1", "POST", "/v1/callbacks/"+drawn+"/claim", nil)["code"])

	before := d.must(http.StatusOK, "sup1", "GET", "/v1/callbacks?sort=-requested_at", nil)
	for _, at := range [][]string{{"--server", d.base}, {}} { // beside the running desk, and with nothing else running
		if len(at) == 0 {
			require.NoError(t, d.running.End(syscall.SIGTERM))
		}
		file := filepath.Join(t.TempDir(), "history.json")
		out, err := d.command(append([]string{"audit", "export", id, "-o", file}, at...)...)
		require.NoError(t, err, out)
		exported, err := os.ReadFile(file)
		require.NoError(t, err)
		history := readable(t, exported)
		require.Contains(t, history, `"resolution_reason":"resolved"`)
		for _, personal := range []string{"Zebedee", "442079460958", "CUST-77812", "zq@example", "free-text", "secret-", "flights"} {
			require.NotContains(t, history, personal)
		}
		out, err = d.command("audit", "replay", file)
		require.NoError(t, err, out)
		for _, args := range [][]string{{"audit", "replay", id}, {"audit", "timeline", id}, {"audit", "verify"}} {
			out, err := d.command(append(args, at...)...)
			require.NoError(t, err, "%v: %s", args, out)
		}
		out, err = d.command(append([]string{"rebuild"}, at...)...)
		require.NoError(t, err, out)
		require.Contains(t, out, "came out as it was")
	}
	d.start()
	require.Equal(t, before, d.must(http.StatusOK, "sup1", "GET", "/v1/callbacks?sort=-requested_at", nil))
}

// readable is a history in protobuf JSON with what its payloads hold, which is in base64 there, in its place.
func readable(t *testing.T, history []byte) string {
	t.Helper()
	payload := regexp.MustCompile(`"data":\s*"([A-Za-z0-9+/=]*)"`)
	return string(payload.ReplaceAllFunc(history, func(found []byte) []byte {
		held, err := base64.StdEncoding.DecodeString(string(payload.FindSubmatch(found)[1]))
		require.NoError(t, err)
		return append([]byte(`"data": `), held...)
	}))
}

// Asked to stop, a desk answers what is under way: the worker that it takes is
// still there.
func TestR27_AStoppingDeskAnswersWhatIsUnderWay(t *testing.T) {
	d := openDesk(t, time.Hour)
	answers := make(chan int, 1)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				status, _, _, err := d.call("assoc1", "POST", "/v1/callbacks", promiseBody("promise"))
				if err != nil {
					return // nobody listens any more
				}
				answers <- status
			}
		})
	}
	ended := make(chan error, 1)
	for n := 0; n < 100; n++ {
		require.Equal(t, http.StatusCreated, <-answers)
	}
	go func() {
		ended <- d.running.End(syscall.SIGTERM)
		all.Wait()
		close(answers)
	}()
	for status := range answers {
		require.Equal(t, http.StatusCreated, status)
	}
	require.NoError(t, <-ended)
	d.start()
}

func TestTourHolds(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole system takes seconds")
	}
	out, err := exec.CommandContext(t.Context(), program(t, "ringback-dev"), "tour", "--slow").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "All of it held.")
}

func TestMistakesAreOneMessageAndExitTwo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ringback.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(deskYAML, "@TAT@", "soon")), 0o600))
	for _, args := range [][]string{
		{"--config", file}, {"--listen", "0.0.0.0:8080"}, {"--no-such-flag"}, {"no-such-command"},
	} {
		cmd := exec.CommandContext(t.Context(), program(t, "ringback-dev"), args...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%v", args)
		require.Equal(t, 2, exit.ExitCode(), "%v: %s", args, out)
		require.Len(t, strings.Split(strings.TrimSpace(string(out)), "\n"), 1, "%s", out)
	}
}
