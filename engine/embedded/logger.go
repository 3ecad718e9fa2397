package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// serverLogger gives what the Temporal server says to slog: warnings and errors, the rest is dropped.
type serverLogger struct {
	slog *slog.Logger
	// stopping is set while the server goes down, when its parts complain of each other's absence: then only what is
	// fatal is passed on.
	stopping *atomic.Bool
}

var (
	_ log.Logger     = serverLogger{}
	_ log.WithLogger = serverLogger{}
)

// noise are warnings that tell nothing in a server of one process, each of them at every start.
var noise = []string{
	"HTTP API port has not been set", // Nexus, which the desk does not use
}

func (l serverLogger) Debug(string, ...tag.Tag) {}
func (l serverLogger) Info(string, ...tag.Tag)  {}

func (l serverLogger) Warn(msg string, tags ...tag.Tag)   { l.say(slog.LevelWarn, msg, tags) }
func (l serverLogger) Error(msg string, tags ...tag.Tag)  { l.say(slog.LevelError, msg, tags) }
func (l serverLogger) DPanic(msg string, tags ...tag.Tag) { l.say(slog.LevelError, msg, tags) }

func (l serverLogger) Panic(msg string, tags ...tag.Tag) {
	l.log(slog.LevelError, msg, tags)
	panic(fatal{msg, tags})
}

// Fatal must not return. It panics rather than exit, so that a server that cannot start is an error of Start.
func (l serverLogger) Fatal(msg string, tags ...tag.Tag) {
	l.log(slog.LevelError, msg, tags)
	panic(fatal{msg, tags})
}

func (l serverLogger) With(tags ...tag.Tag) log.Logger {
	l.slog = l.slog.With(attrs(tags)...)
	return l
}

func (l serverLogger) say(level slog.Level, msg string, tags []tag.Tag) {
	if l.stopping.Load() {
		return
	}
	for _, known := range noise {
		if strings.HasPrefix(msg, known) {
			return
		}
	}
	l.log(level, msg, tags)
}

func (l serverLogger) log(level slog.Level, msg string, tags []tag.Tag) {
	l.slog.Log(context.Background(), level, msg, attrs(tags)...) // the server's own words
}

func attrs(tags []tag.Tag) []any {
	out := make([]any, 0, len(tags))
	for _, t := range tags {
		out = append(out, slog.Any(strings.ReplaceAll(t.Key(), "-", "_"), t.Value()))
	}
	return out
}

// fatal is what the server's logger panics with.
type fatal struct {
	msg  string
	tags []tag.Tag
}

func (f fatal) Error() string {
	var b strings.Builder
	b.WriteString(f.msg)
	for _, t := range f.tags {
		fmt.Fprintf(&b, " %s=%v", t.Key(), t.Value())
	}
	return b.String()
}
