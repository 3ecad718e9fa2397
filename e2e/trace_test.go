package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes traces over OTLP as a collector does.
type collector struct {
	mu sync.Mutex
	// names are those of the spans, by trace.
	names map[string][]string
	all   bytes.Buffer
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	raw, err := io.ReadAll(body)
	var sent collectorpb.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(raw, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Write(raw)
	for _, resource := range sent.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				id := hex.EncodeToString(span.GetTraceId())
				c.names[id] = append(c.names[id], span.GetName())
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// has reports whether one trace has spans of all these names.
func (c *collector) has(names ...string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, spans := range c.names {
		joined := "\n" + strings.Join(spans, "\n") + "\n"
		found := true
		for _, name := range names {
			found = found && strings.Contains(joined, "\n"+name+"\n")
		}
		if found {
			return true
		}
	}
	return false
}

// TestR26_TracesCoverAPIWorkflowActivityAndSQL: one trace goes from the request
// through the workflow to the activity that its clock brings about, and the SQL
// below; nothing personal is in any.
func TestR26_TracesCoverAPIWorkflowActivityAndSQL(t *testing.T) {
	c := &collector{names: map[string][]string{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	t.Setenv("RINGBACK_OTLP_ENDPOINT", server.URL)
	d := openDesk(t, time.Second)
	id := d.promise("promise")
	require.Eventually(t, func() bool { return d.get(id)["tier"] == "manager" }, 2*time.Minute, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		return c.has("POST /v1/callbacks", "sql begin an errand", "UpdateWithStartWorkflow:create", "HandleUpdate:create",
			"StartActivity:Project", "RunActivity:Project", "sql project")
	}, 2*time.Minute, 100*time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, personal := range []string{"Zebedee", "Quartermain", "442079460958", "CUST-77812", "zq@example.org", "reason-that-is-free-text"} {
		require.NotContains(t, c.all.String(), personal)
	}
}
