package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ofTheCustomer are what the erased customer must not be known by any more.
var ofTheCustomer = []string{"Zebedee", "Quartermain", "442079460958", "CUST-77812", "zq@example.org", "reason-that-is-free-text", "secret-note", "secret-attempt", "secret-summary", "TICKET-4711"}

// erased lives through one callback, erases its customer, and returns its path;
// that it is gone is looked at here, over HTTP.
func (d *desk) erased() string {
	t := d.t
	body := promiseBody("promise")
	body["source"] = object{"system": "helpdesk", "ref": "TICKET-4711", "url": "https://example.org/TICKET-4711"}
	made := d.must(http.StatusCreated, "assoc1", "POST", "/v1/callbacks", body, "Idempotency-Key", "promise-zebedee")
	path := "/v1/callbacks/" + made["id"].(string)
	ground := object{"ground": "request"}
	require.Equal(t, "contact_required", d.must(http.StatusConflict, "admin1", "POST", path+"/erase", ground)["code"])
	d.must(http.StatusOK, "sup1", "POST", path+"/claim", nil)
	d.must(http.StatusOK, "sup1", "POST", path+"/start", nil)
	note := object{"kind": "note", "body": "secret-note-body"}
	d.must(http.StatusCreated, "sup2", "POST", path+"/notes", note, "Idempotency-Key", "note")
	d.must(http.StatusOK, "sup1", "POST", path+"/attempts", object{"disposition": "reached", "note": "secret-attempt-note"})
	done := d.must(http.StatusOK, "sup1", "POST", path+"/complete", object{"resolution_reason": "resolved", "call_summary": "secret-summary"})

	// Its history is in the archive within a minute.
	var answer object
	d.eventually("erased", func() bool {
		status, _, said, err := d.call("admin1", "POST", path+"/erase", ground, "Idempotency-Key", "erase")
		require.NoError(t, err)
		if status == http.StatusConflict {
			require.Equal(t, "held", said["code"], said)
			return false
		}
		require.Equal(t, http.StatusOK, status, said)
		answer = said
		return true
	})
	require.Equal(t, object{"erased": 1.0, "left": 0.0}, answer)
	require.Equal(t, answer, d.must(http.StatusOK, "admin1", "POST", path+"/erase", ground, "Idempotency-Key", "erase"))

	now := d.must(http.StatusOK, "sup1", "GET", path, nil)
	require.Equal(t, done["version"].(float64)+1, now["version"])
	items := d.must(http.StatusOK, "sup1", "GET", path+"/timeline", nil)["items"].([]any)
	require.Len(t, items, int(now["version"].(float64)))
	last := items[len(items)-1].(object)
	require.Equal(t, []any{now["version"], "erased", "admin1", "R26"}, []any{last["seq"], last["type"], last["actor"], last["rule"]})

	// A repeat of what was asked before is the same callback, and brings nothing back.
	again := d.must(http.StatusCreated, "assoc1", "POST", "/v1/callbacks", body, "Idempotency-Key", "promise-zebedee")
	require.Equal(t, made["id"], again["id"])
	d.must(http.StatusCreated, "sup2", "POST", path+"/notes", note, "Idempotency-Key", "note")
	shown := fmt.Sprint(again)
	for _, at := range []string{path, path + "/timeline", path + "/notes", "/v1/callbacks?sort=-requested_at", "/v1/callbacks?q=zebedee"} {
		shown += fmt.Sprint(d.must(http.StatusOK, "sup1", "GET", at, nil))
	}
	for _, personal := range ofTheCustomer {
		require.NotContains(t, shown, personal)
	}
	verdict := d.must(http.StatusOK, "aud1", "POST", path+"/replay", nil)
	require.Equal(t, []any{true, true}, []any{verdict["ok"], verdict["outcome_matches"]}, verdict)
	return path
}

// An erased customer is in no file of the desk any more, the histories among
// them; they replay, and a rebuild comes out the same (R24, R25, R26).
func TestR26_AnErasedCustomerIsNowhereAndTheHistoryStillReplays(t *testing.T) {
	d := openDesk(t, time.Hour)
	path := d.erased()
	id := filepath.Base(path)
	before := d.must(http.StatusOK, "sup1", "GET", path, nil)
	timeline := d.must(http.StatusOK, "sup1", "GET", path+"/timeline", nil)
	require.NoError(t, d.running.End(syscall.SIGTERM))
	file := filepath.Join(t.TempDir(), "history.json")
	for _, args := range [][]string{{"audit", "export", id, "-o", file}, {"audit", "replay", file}, {"audit", "replay", id}, {"audit", "verify"}, {"rebuild"}, {"audit", "verify"}} {
		out, err := d.command(args...)
		require.NoError(t, err, "%v: %s", args, out)
	}
	require.NoError(t, filepath.WalkDir(d.data, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(name)
		left := slices.DeleteFunc(slices.Clone(ofTheCustomer), func(personal string) bool {
			return !bytes.Contains(bytes.ToLower(raw), []byte(strings.ToLower(personal)))
		})
		require.Empty(t, left, "in %s", filepath.Base(name))
		return err
	}))
	d.start()
	require.Equal(t, before, d.must(http.StatusOK, "sup1", "GET", path, nil), "and nothing has come back")
	require.Equal(t, timeline, d.must(http.StatusOK, "sup1", "GET", path+"/timeline", nil))
}

// The same on PostgreSQL and a Temporal server, as in production.
func TestR26_AnErasureInProduction(t *testing.T) {
	p := openProduction(t, time.Hour)
	path := p.erased()
	before, timeline := p.must(http.StatusOK, "sup1", "GET", path, nil), p.must(http.StatusOK, "sup1", "GET", path+"/timeline", nil)
	out, err := p.ringback("audit", "verify")
	require.NoError(t, err, out)
	out, err = p.ringback("rebuild")
	require.NoError(t, err, out)
	require.Contains(t, out, "came out as it was")
	out, err = p.ringback("audit", "replay", filepath.Base(path))
	require.NoError(t, err, out)
	require.Equal(t, before, p.must(http.StatusOK, "sup1", "GET", path, nil))
	require.Equal(t, timeline, p.must(http.StatusOK, "sup1", "GET", path+"/timeline", nil))
	for _, personal := range ofTheCustomer {
		require.NotContains(t, p.output(), personal)
	}
}
