package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/store"
)

func TestViewsAreKeptByPerson(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		b, a := book.ListView{StaffID: "sup1", Name: "b", Query: "status=queued"}, book.ListView{StaffID: "sup1", Name: "a", Query: "overdue=true"}
		theirs := book.ListView{StaffID: "sup2", Name: "a", Query: "tier=manager"}
		for _, v := range []book.ListView{b, a, theirs} {
			require.NoError(t, s.SaveListView(t.Context(), v))
		}
		views, err := s.ListViews(t.Context(), "sup1")
		require.NoError(t, err)
		require.Equal(t, []book.ListView{a, b}, views)

		b.Query = "status=claimed"
		require.NoError(t, s.SaveListView(t.Context(), b))
		require.NoError(t, s.ForgetListView(t.Context(), "sup1", "a"))
		require.NoError(t, s.ForgetListView(t.Context(), "sup1", "never"))
		views, err = s.ListViews(t.Context(), "sup1")
		require.NoError(t, err)
		require.Equal(t, []book.ListView{b}, views)
		views, err = s.ListViews(t.Context(), "sup2")
		require.NoError(t, err)
		require.Equal(t, []book.ListView{theirs}, views)
	})
}
