package embedded

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	persistence "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/resolver"
	"pgregory.net/rapid"
)

func timerDatabase(t *testing.T) *database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "main.db")
	require.NoError(t, setUp(t.Context(), path, false))
	cfg := *sqlConfig(path, false)
	cfg.PluginName = timersPlugin
	db, err := persistence.NewSQLDB(sqlplugin.DbKindMain, &cfg, resolver.NewNoopResolver(), log.NewNoopLogger(), metrics.NoopMetricsHandler)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	d, ok := db.(*database)
	require.True(t, ok)
	return d
}

// Whatever is asked, the answer is that of the server's own query.
func TestTimersAreThoseOfTheServersQuery(t *testing.T) {
	t.Parallel()
	d := timerDatabase(t)
	began := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 9).Draw(t, "none") == 0 {
			return time.Time{}
		}
		return began.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "µs")) * time.Microsecond)
	})
	written := int64(0)
	rapid.Check(t, func(t *rapid.T) {
		var rows []sqlplugin.TimerTasksRow
		for range rapid.IntRange(1, 5).Draw(t, "new") {
			written++
			rows = append(rows, sqlplugin.TimerTasksRow{
				ShardID: int32(rapid.IntRange(1, 2).Draw(t, "shard")), VisibilityTimestamp: instant.Draw(t, "fires"), TaskID: written,
				Data: []byte{byte(written)}, DataEncoding: "Proto3",
			})
		}
		_, err := d.InsertIntoTimerTasks(context.Background(), rows)
		require.NoError(t, err)

		asked := sqlplugin.TimerTasksRangeFilter{
			ShardID: 1, InclusiveMinTaskID: rapid.Int64Range(0, written).Draw(t, "task"), PageSize: rapid.IntRange(1, 30).Draw(t, "page"),
			InclusiveMinVisibilityTimestamp: instant.Draw(t, "from"), ExclusiveMaxVisibilityTimestamp: instant.Draw(t, "to"),
		}
		want, err := d.wholeDatabase.RangeSelectFromTimerTasks(context.Background(), asked)
		require.NoError(t, err)
		got, err := d.RangeSelectFromTimerTasks(context.Background(), asked)
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i, row := range want {
			row.ShardID = asked.ShardID // the server's query does not say
			require.Equal(t, row, got[i])
		}
	})
}

// A look for what is due costs the same however many timers came before it.
func TestTimersAreFoundByBothEndsOfTheRange(t *testing.T) {
	t.Parallel()
	d := timerDatabase(t)
	var id, parent, unused int
	var plan string
	err := d.reader.QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN "+dueTimers, 1, time.Now(), 1, time.Now(), 1).
		Scan(&id, &parent, &unused, &plan)
	require.NoError(t, err)
	require.Contains(t, plan, "(shard_id=? AND visibility_timestamp>? AND visibility_timestamp<?)")
}
