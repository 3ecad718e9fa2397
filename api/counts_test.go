package api_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCountsAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	claimed := d.create()
	d.create(func(b object) { b["lob"] = "flights" })
	d.create()
	d.completed()
	d.command("sup1", claimed, "claim", nil).want(200)

	all := d.get("sup1", "/v1/counts").want(200).json()
	require.EqualValues(t, 4, all["count"])
	require.Empty(t, all["groups"])
	require.Empty(t, all["by"])

	open := "status=queued,claimed,in_progress,scheduled"
	byStatus := d.get("sup1", "/v1/counts?by=status&by=queue&"+open).want(200)
	require.EqualValues(t, 3, byStatus.at("count"))
	require.Equal(t, "2026-11-23T13:00:00.000Z", byStatus.at("first_due_at"))
	groups, _ := byStatus.at("groups").([]any)
	require.Len(t, groups, 3)
	total := 0
	for _, g := range groups {
		group, _ := g.(map[string]any)
		require.Nil(t, group["tier"])
		status, _ := group["status"].(string)
		queue, _ := group["queue"].(string)
		listed := d.get("sup1", "/v1/callbacks?status="+status+"&queue="+url.QueryEscape(queue)).want(200).items()
		require.EqualValues(t, len(listed), group["count"], group)
		total += len(listed)
	}
	require.Equal(t, 3, total)
	require.EqualValues(t, 1, d.get("sup1", "/v1/counts?assignee=sup1&by=assignee&"+open).at("count"))
	require.EqualValues(t, 3, d.get("audit1", "/v1/counts?callback_required=true").at("count"))
	require.EqualValues(t, 1, d.get("mgr1", "/v1/counts?callback_required=false").at("count"))
}

func TestCountsRefuse(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.get("sup1", "/v1/counts?by=state").invalid("by")
	d.get("sup1", "/v1/counts?by=status,tier,queue,policy").invalid("by")
	d.get("sup1", "/v1/counts?callback_required=yes").invalid("callback_required")
	d.get("sup1", "/v1/counts?status=lost").invalid("status")
	d.get("", "/v1/counts").refused(401, "unauthenticated", "")
}

func TestListOfSomeByID(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a, b := d.create(), d.create()
	d.create()
	require.Equal(t, []string{a, b}, ids(d.get("sup1", "/v1/callbacks?id="+strings.Join([]string{a, b, unknownID}, ",")).want(200).items()))
	require.Equal(t, []string{b}, ids(d.get("sup1", "/v1/callbacks?id="+b+"&callback_required=true").want(200).items()))
	require.Empty(t, d.get("sup1", "/v1/callbacks?id="+b+"&callback_required=false").want(200).items())
}
