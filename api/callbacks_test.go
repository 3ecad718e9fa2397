package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestR02_CreateMakesThePromise(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	made := d.post("agent1", "/v1/callbacks", asked()).want(http.StatusCreated)
	id := made.str("id")
	require.Equal(t, "/v1/callbacks/"+id, made.header.Get("Location"))
	require.Equal(t, `"3"`, made.header.Get("ETag"))
	require.Equal(t, "2026-11-23T12:00:00.000Z", made.str("requested_at"))
	require.Equal(t, "2026-11-23T13:00:00.000Z", made.str("due_at"))
	require.Equal(t, "queued", made.str("status"))
	require.Equal(t, "Asha Rao", made.str("customer", "name"))
	require.Equal(t, []any{"note"}, made.at("allowed"))

	seen := d.get("sup1", "/v1/callbacks/"+id).want(http.StatusOK)
	require.Equal(t, []any{"claim", "note"}, seen.at("allowed"))
	claimed := d.command("sup1", id, "claim", nil).want(http.StatusOK)
	require.Equal(t, "sup1", claimed.str("owner"))
	require.Equal(t, `"4"`, claimed.header.Get("ETag"))
}
