package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/api"
)

func TestPolicyDrafts(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	put := func(body any) *reply {
		return d.do(call{method: http.MethodPut, path: "/v1/policies/draft", as: "sup1", body: body})
	}
	require.Equal(t, "policies: {}", d.get("audit1", "/v1/policies/draft").want(200).str("text"))
	good := put(object{"text": "good"}).want(200)
	require.Equal(t, true, good.at("ok"))
	require.Nil(t, good.at("mistake"))
	require.Len(t, good.at("policies"), 1)
	bad := put(object{"text": "bad"}).want(200)
	require.Equal(t, false, bad.at("ok"))
	require.Equal(t, "at least one policy", bad.at("mistake", "expected"))
	require.EqualValues(t, 3, bad.at("mistake", "line"))
	require.Empty(t, bad.at("policies"))
	put(object{}).invalid("text")
	without := newDesk(t, func(o *api.Options) { o.Drafts = nil })
	without.get("sup1", "/v1/policies/draft").refused(503, "unavailable", "")
}
