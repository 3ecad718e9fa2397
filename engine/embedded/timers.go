package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	persistence "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/resolver"
)

// timersPlugin names the server's SQLite plugin with one query of its own: the one by which a shard finds the timers
// that are due, and looks for the next one, after each of them.
//
// The plugin's query bounds the index from above only, so every look reads all timers that came before: with thousands due
// at once that is most of what the machine does, and it holds the one connection meanwhile. Here it is bounded from
// below as well, and has a connection of its own, for readers do not wait in WAL.
const timersPlugin = "sqlite-timers"

func init() { persistence.RegisterPlugin(timersPlugin, plugin{}) }

type plugin struct{}

// CreateDB gives the SQLite plugin's database with the query replaced.
func (plugin) CreateDB(
	kind sqlplugin.DbKind, cfg *config.SQL, r resolver.ServiceResolver, logger log.Logger, m metrics.Handler,
) (sqlplugin.GenericDB, error) {
	underlying := *cfg
	underlying.PluginName = sqliteplugin.PluginName
	db, err := persistence.NewSQLDB(kind, &underlying, r, logger, m)
	if err != nil {
		return nil, err
	}
	whole, ok := db.(wholeDatabase)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the SQLite plugin's database is a %T", db), db.Close())
	}
	reader, err := sql.Open(sqliteplugin.PluginName, dsn(cfg.DatabaseName, cfg.ConnectAttributes["synchronous"] == full))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	reader.SetMaxOpenConns(1)
	return &database{wholeDatabase: whole, reader: reader}, nil
}

// GetVisibilityQueryConverter gives none: this plugin serves no visibility.
func (plugin) GetVisibilityQueryConverter() sqlplugin.VisibilityQueryConverter { return nil }

// wholeDatabase is what the server takes a database for, depending on what it is about to do.
type wholeDatabase interface {
	sqlplugin.DB
	sqlplugin.AdminDB
}

type database struct {
	wholeDatabase
	reader *sql.DB
}

// The order is that of the index; of timers of one instant those before a task id were read already.
const dueTimers = `SELECT visibility_timestamp, task_id, data, data_encoding FROM timer_tasks
WHERE shard_id = ?1 AND visibility_timestamp >= ?2 AND visibility_timestamp < ?4 AND (visibility_timestamp > ?2 OR task_id >= ?3)
ORDER BY visibility_timestamp, task_id LIMIT ?5`

// RangeSelectFromTimerTasks returns the timers in a range, in order, at most PageSize of them.
func (d *database) RangeSelectFromTimerTasks(
	ctx context.Context, f sqlplugin.TimerTasksRangeFilter,
) (tasks []sqlplugin.TimerTasksRow, err error) {
	rows, err := d.reader.QueryContext(ctx, dueTimers, f.ShardID, stored(f.InclusiveMinVisibilityTimestamp), f.InclusiveMinTaskID,
		stored(f.ExclusiveMaxVisibilityTimestamp), f.PageSize)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		task := sqlplugin.TimerTasksRow{ShardID: f.ShardID}
		if err := rows.Scan(&task.VisibilityTimestamp, &task.TaskID, &task.Data, &task.DataEncoding); err != nil {
			return nil, err
		}
		task.VisibilityTimestamp = meant(task.VisibilityTimestamp)
		tasks = append(tasks, task)
	}
	return tasks, rows.Err()
}

// never is the zero instant as the plugin writes it: before all others.
var never = time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)

// stored is an instant as the plugin writes it, meant what it means by one that it reads.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return never
	}
	return t.UTC().Truncate(time.Microsecond)
}

func meant(t time.Time) time.Time {
	if t.Equal(never) {
		return time.Time{}
	}
	return t.UTC()
}

// Close closes both connections.
func (d *database) Close() error { return errors.Join(d.reader.Close(), d.wholeDatabase.Close()) }
