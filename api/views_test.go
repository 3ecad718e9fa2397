package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestListViews(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	put := func(as, name, query string) *reply {
		return d.do(call{method: http.MethodPut, path: "/v1/me/views", as: as, body: object{"name": name, "query": query}})
	}
	require.Empty(t, d.get("sup1", "/v1/me/views").want(200).items())
	put("sup1", " Waiting ", "status=queued&sort=due_at").want(200)
	put("sup1", "Air", "queue=Supervisors+-+Air").want(200)
	put("audit1", "Late", "overdue=true").want(200)
	mine := put("sup1", "Waiting", "status=queued,claimed").want(200).items()
	require.Equal(t, []map[string]any{{"name": "Air", "query": "queue=Supervisors+-+Air"}, {"name": "Waiting", "query": "status=queued%2Cclaimed"}}, mine)

	put("sup1", "A customer", "q=Asha").invalid("query")
	put("sup1", "A customer", "customer=crm-1").invalid("query")
	put("sup1", "A ticket", "source=freshdesk:1").invalid("query")
	put("sup1", "Broken", "status=%zz").invalid("query")
	put("sup1", "  ", "status=queued").invalid("name")
	d.do(call{method: http.MethodDelete, path: "/v1/me/views", as: "sup1"}).invalid("name")
	left := d.do(call{method: http.MethodDelete, path: "/v1/me/views?name=Air", as: "sup1"}).want(200).items()
	require.Len(t, left, 1)
	require.Len(t, d.get("audit1", "/v1/me/views").items(), 1, "each their own")

	for i := range 49 {
		put("sup1", fmt.Sprint(i), "").want(200)
	}
	put("sup1", "one too many", "").invalid("name")
	put("sup1", "Waiting", "status=claimed").want(200)
}
