package serve

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"ringback/sweep"
)

// idle is an engine in which nothing is.
type idle struct{ client.Client }

func (idle) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return &workflowservice.ListWorkflowExecutionsResponse{}, nil
}

func TestR27_OfManyWorkersOneSweeps(t *testing.T) {
	c, err := configured(t, "")
	require.NoError(t, err)
	s := opened(t)
	worker := func(inside bool) *Desk {
		d := deskOf(c, s)
		d.Client, d.EngineInside, d.Registry = idle{}, inside, prometheus.NewRegistry()
		return d
	}
	first, second := worker(false).sweeper(nil), worker(false).sweeper(nil)
	sweeps := func(w *sweep.Sweeper) bool {
		r, err := w.Once(t.Context())
		require.NoError(t, err)
		return !r.Idle
	}
	for range 3 {
		require.True(t, sweeps(first))
		require.False(t, sweeps(second))
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, first.Run(ended))
	for range 3 {
		require.True(t, sweeps(second), "the first is gone")
		require.False(t, sweeps(first))
	}
	require.True(t, sweeps(worker(true).sweeper(nil)), "after a crash, one with the engine inside waits for nobody")
}

// An auditor goes from a callback to its workflow where the settings say that the UI is.
func TestR24_TheTemporalUIIsWhereTheSettingsSay(t *testing.T) {
	c, err := configured(t, "temporal: {namespace: one.desk, ui_url: \"https://temporal.example.com/ui/\"}\n")
	require.NoError(t, err)
	d := deskOf(c, nil)
	require.Equal(t, "https://temporal.example.com/ui/namespaces/one.desk/workflows", d.workflowsUI())
	d.TemporalUI = "http://127.0.0.1:8233"
	require.Equal(t, "http://127.0.0.1:8233/namespaces/one.desk/workflows", d.workflowsUI(), "the engine's own UI, where it is inside")
	d.TemporalUI, c.Settings.Temporal.UIURL = "", ""
	require.Empty(t, d.workflowsUI())
}
