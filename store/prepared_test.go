package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/store"
)

// The same statement may be wanted while its rows are still being read.
func TestAPreparedStatementInUse(t *testing.T) {
	t.Parallel()
	s := openSQLite(t, store.Options{})
	conn, err := s.DB().Conn(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	const query = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n`
	for range 2 {
		outer, err := conn.QueryContext(t.Context(), query, 3)
		require.NoError(t, err)
		var pairs []int
		for outer.Next() {
			inner, err := conn.QueryContext(t.Context(), query, 2)
			require.NoError(t, err)
			var o, i int
			require.NoError(t, outer.Scan(&o))
			for inner.Next() {
				require.NoError(t, inner.Scan(&i))
				pairs = append(pairs, 10*o+i)
			}
			require.NoError(t, inner.Close())
		}
		require.NoError(t, outer.Close())
		require.Equal(t, []int{11, 12, 21, 22, 31, 32}, pairs)
	}
}

func TestPreparedStatementsAreBounded(t *testing.T) {
	t.Parallel()
	s := openSQLite(t, store.Options{})
	for i := range 1200 {
		var n int
		require.NoError(t, s.DB().QueryRowContext(t.Context(), fmt.Sprintf("SELECT ? + %d", i), 1).Scan(&n))
		require.Equal(t, i+1, n)
	}
}
