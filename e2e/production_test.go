package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/e2e/harness/cluster"
	"ringback/e2e/harness/pg"
	"ringback/e2e/harness/process"
	"ringback/engine/embedded/freeport"
)

// production is the topology of docker-compose.yml, run natively: a real
// Temporal server on a real PostgreSQL, two workers, one API.
type production struct {
	desk
	database *pg.Server
	temporal *cluster.Cluster
	env      []string
	workers  []*process.Process
	ports    []int
}

func openProduction(t *testing.T, tat time.Duration) *production {
	t.Helper()
	if testing.Short() {
		t.Skip("a whole system takes seconds")
	}
	p := &production{desk: desk{t: t}, database: pg.Start(t)}
	p.temporal = cluster.Start(t) // on a PostgreSQL of its own, so that either can be away
	ports, err := freeport.Take(t.Context(), 0, 0, 0)
	require.NoError(t, err)
	p.ports = ports
	p.base = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	file := filepath.Join(t.TempDir(), "ringback.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(deskYAML, "@TAT@", tat.String())), 0o600))
	p.env = append(os.Environ(), "RINGBACK_CONFIG="+file, "RINGBACK_DATABASE_URL="+p.database.Database(t),
		"RINGBACK_TEMPORAL_ADDRESS="+p.temporal.Address(), "RINGBACK_LOG_LEVEL=info",
		"RINGBACK_REQUESTS_PER_SECOND=0") // one person does the work of many here

	out, err := p.ringback("migrate")
	require.NoError(t, err, out)
	p.running = p.run("api", ports[0], "serving")
	p.workers = []*process.Process{p.run("worker", ports[1], "working"), p.run("worker", ports[2], "working")}
	p.eventually("ready", func() bool { return p.status("", "GET", "/readyz", nil) == http.StatusOK })
	return p
}

// ringback runs a command to its end.
func (p *production) ringback(args ...string) (string, error) {
	cmd := exec.CommandContext(p.t.Context(), program(p.t, "ringback"), args...)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run starts a process and returns when it says the word.
func (p *production) run(name string, port int, word string) *process.Process {
	p.t.Helper()
	return p.start(name, word, fmt.Sprintf("RINGBACK_LISTEN=127.0.0.1:%d", port))
}

// start runs a process in this environment and more of it.
func (p *production) start(name, word string, env ...string) *process.Process {
	p.t.Helper()
	cmd := exec.Command(program(p.t, "ringback"), name)
	cmd.Env = append(append([]string{}, p.env...), env...)
	started, err := process.Start(cmd, func(line string) bool { return strings.Contains(line, `"msg":"`+word) })
	require.NoError(p.t, err)
	require.NoError(p.t, started.Tie())
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("%s said:\n%s", name, started.Output())
		}
		require.NoError(p.t, started.End(syscall.SIGTERM))
	})
	return started
}

// live plays one whole life.
func (p *production) live(key string) error {
	status, _, answer, err := p.retry(key, "assoc1", "/v1/callbacks", promiseBody("promise"))
	if err != nil || status != http.StatusCreated {
		return fmt.Errorf("create: %d %v %w", status, answer, err)
	}
	path := "/v1/callbacks/" + answer["id"].(string)
	for _, step := range []struct {
		path string
		body object
	}{
		{"/claim", nil}, {"/start", nil}, {"/attempts", object{"disposition": "reached"}},
		{"/complete", object{"resolution_reason": "resolved", "call_summary": "done"}},
	} {
		if status, _, answer, err = p.retry(key, "sup1", path+step.path, step.body); err != nil || status != http.StatusOK {
			return fmt.Errorf("%s: %d %v %w", step.path, status, answer, err)
		}
	}
	return nil
}

// retry repeats a request with its key while its outcome is unknown, as a client does.
func (p *production) retry(key, who, path string, body object) (status int, h http.Header, answer object, err error) {
	for range 20 {
		status, h, answer, err = p.call(who, "POST", path, body, "Idempotency-Key", key)
		if err == nil && status != http.StatusGatewayTimeout && status != http.StatusServiceUnavailable && status != http.StatusAccepted {
			break
		}
	}
	return status, h, answer, err
}

func TestR27_WorkerKilledUnderLoad(t *testing.T) {
	p := openProduction(t, time.Hour)
	var lives atomic.Int64
	var all sync.WaitGroup
	failures := make(chan error, 8)
	ctx, stop := context.WithCancel(t.Context())
	for i := range 8 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := p.live(fmt.Sprintf("life-%d-%d", i, n)); err != nil {
					failures <- err
					return
				}
				lives.Add(1)
			}
		})
	}
	p.eventually("under load", func() bool { return lives.Load() >= 20 || len(failures) > 0 })
	require.NoError(t, p.workers[0].End(syscall.SIGKILL))
	at := lives.Load()
	p.eventually("the other worker goes on", func() bool { return lives.Load() >= at+20 || len(failures) > 0 })
	stop()
	all.Wait()
	close(failures)
	require.NoError(t, <-failures)
	t.Logf("%d lives, one worker killed", lives.Load())

	stats := p.must(http.StatusOK, "sup1", "GET", "/v1/stats", nil)
	require.EqualValues(t, lives.Load(), stats["kept"])
	require.EqualValues(t, 0, stats["open"])
	out, err := p.ringback("audit", "verify")
	require.NoError(t, err, out)
	out, err = p.ringback("rebuild")
	require.NoError(t, err, out)
	require.Contains(t, out, "came out as it was")
}

func TestR27_EngineAndDatabaseAway(t *testing.T) {
	p := openProduction(t, 90*time.Second)
	claimed, waiting := p.promise("promise"), p.promise("promise")
	p.must(http.StatusOK, "sup1", "POST", "/v1/callbacks/"+claimed+"/claim", nil)
	before := p.get(waiting)

	require.NoError(t, p.temporal.Kill())
	p.get(waiting) // reads go on
	p.eventually("it is known that the engine is away", func() bool { return p.status("", "GET", "/readyz", nil) == http.StatusServiceUnavailable })
	status, headers, answer, err := p.call("sup1", "POST", "/v1/callbacks/"+waiting+"/claim", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status, answer)
	require.Equal(t, "unavailable", answer["code"])
	require.NotEmpty(t, headers.Get("Retry-After"))
	require.Equal(t, "unavailable", p.must(http.StatusServiceUnavailable, "assoc1", "POST", "/v1/callbacks", promiseBody("promise"))["code"])
	p.must(http.StatusServiceUnavailable, "", "GET", "/readyz", nil)
	require.NoError(t, p.temporal.Restart(t.Context()))
	p.eventually("ready again", func() bool { return p.status("", "GET", "/readyz", nil) == http.StatusOK })
	require.Len(t, p.must(http.StatusOK, "sup1", "GET", "/v1/callbacks", nil)["items"], 2, "nothing was left half-done")

	require.NoError(t, p.database.Crash())
	require.Equal(t, "unavailable", p.must(http.StatusServiceUnavailable, "sup1", "GET", "/v1/callbacks", nil)["code"])
	require.Equal(t, "unavailable", p.must(http.StatusServiceUnavailable, "assoc1", "POST", "/v1/callbacks", promiseBody("promise"))["code"])
	p.eventually("a command without text goes on", func() bool {
		return p.status("sup1", "POST", "/v1/callbacks/"+claimed+"/start", nil) == http.StatusAccepted
	})
	due, err := time.Parse(time.RFC3339, before["due_at"].(string))
	require.NoError(t, err)
	<-time.After(time.Until(due.Add(time.Second))) // the promises pass while the database is away
	require.NoError(t, p.database.Resume())
	p.eventually("escalated, and in the lists", func() bool {
		_, _, c, err := p.call("sup1", "GET", "/v1/callbacks/"+waiting, nil)
		return err == nil && c["tier"] == "manager"
	})
	p.eventually("the start is in the lists", func() bool {
		_, _, c, err := p.call("sup1", "GET", "/v1/callbacks/"+claimed, nil)
		return err == nil && c["escalations"] == 1.0
	})
	started := false
	for _, e := range p.timeline(claimed) {
		started = started || e.Fact.Type() == callback.TypeStarted
	}
	require.True(t, started)
	out, err := p.ringback("audit", "verify")
	require.NoError(t, err, out)
}
