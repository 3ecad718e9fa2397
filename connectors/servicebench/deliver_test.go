package servicebench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/connectortest"
	"ringback/connectors/servicebench/servicebenchfake"
)

// testLogger fails the test where somebody's name or number is logged.
func testLogger(tb testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(nobody{tb}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type nobody struct{ tb testing.TB }

func (n nobody) Write(line []byte) (int, error) {
	for _, personal := range []string{"Asha", "98765 4", "9876543", "CRM-", "EX-", "JOB-", "Wants to know", "whsec_"} {
		if strings.Contains(string(line), personal) {
			n.tb.Errorf("logged: %s", line)
		}
	}
	return len(line), nil
}

func (f *floor) deliver() error { return f.desk.DeliverAll(context.Background(), f.c) }

func TestR18_StatusAndCompletionGoBack(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Comment = true })
	id := f.tell(servicebenchfake.Raise(1, f.clock.Now()), Promised)
	f.tell(servicebenchfake.Raise(2, f.clock.Now()).With("service_job_id", "JOB-1"), Duplicate)
	f.do("agent1", id, "claim", nil)
	f.do("agent1", id, "start", nil)
	f.do("agent1", id, "hold", map[string]any{"reason": "parts", "until": callback.At(f.clock.Now().Add(time.Hour))})
	f.do("agent1", id, "resume", nil)
	later := callback.At(f.clock.Now().Add(3 * time.Hour))
	f.do("agent1", id, "reschedule", map[string]any{"reason": "later", "scheduled_for": later})
	f.clock.Advance(3 * time.Hour)
	f.desk.Tick()
	f.do("agent2", id, "claim", nil)
	f.do("agent2", id, "start", nil)
	f.do("agent2", id, "attempts", map[string]any{"disposition": "reached"})
	f.do("agent2", id, "notes", map[string]any{"kind": "note", "body": "for us alone"})
	f.do("agent2", id, "complete", map[string]any{"resolution_reason": "information_given", "call_summary": "The part comes on Friday."})
	require.NoError(t, f.deliver())

	var told []string
	for _, n := range f.there.News() {
		require.Equal(t, "EX-1", n.Data.ExceptionID)
		require.Equal(t, []string{"EX-2"}, n.Data.Also)
		require.Equal(t, id, n.Data.CallbackID)
		s := n.Type + " " + n.Data.Status
		if n.Data.UserID != nil {
			s += " by " + *n.Data.UserID
		}
		if n.Data.Assignee != nil {
			s += " has " + *n.Data.Assignee
		}
		told = append(told, s)
	}
	require.Equal(t, []string{
		"exception.status Open by BPO1-7 has BPO1-7",
		"exception.status In Progress by BPO1-7 has BPO1-7",
		"exception.status Pending by BPO1-7 has BPO1-7",
		"exception.status In Progress by BPO1-7 has BPO1-7",
		"exception.status Follow Up by BPO1-7",
		"exception.status Open by BPO1-8 has BPO1-8",
		"exception.status In Progress by BPO1-8 has BPO1-8",
		"exception.status In Progress by BPO1-8 has BPO1-8",
		"exception.completed Complete by BPO1-8 has BPO1-8",
	}, told)
	news := f.there.News()
	require.Equal(t, later.String(), *news[4].Data.FollowUpAt)
	require.Equal(t, "The part comes on Friday.", *news[7].Data.Comment)
	last := news[8].Data
	require.Equal(t, "completed", *last.Outcome)
	require.Equal(t, "information_given", *last.ResolutionReason)
	require.Equal(t, "Question answered", *last.Resolution)
	require.True(t, *last.Served)
	require.Equal(t, "Complete", f.there.Status("EX-2"), "what belongs to the same callback ends with it (R14)")

	// It comes back as an update, and changes nothing: no loop.
	f.tell(servicebenchfake.Raise(1, f.clock.Now()).With("status", "Complete"), CompletedHere)
	require.NoError(t, f.deliver())
	require.Len(t, f.there.News(), 9)
}

func TestR18_CancelledHereIsCompleteThereAndSaysSo(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.tell(servicebenchfake.Raise(1, f.clock.Now()), Promised)
	f.do("mgr1", id, "cancel", map[string]any{"reason": "withdrew"})
	require.NoError(t, f.deliver())
	n := f.there.News()
	require.Len(t, n, 1)
	require.Equal(t, "exception.completed", n[0].Type)
	require.Equal(t, "cancelled", *n[0].Data.Outcome)
	require.False(t, *n[0].Data.Served)
	require.Nil(t, n[0].Data.ResolutionReason)
	require.Nil(t, n[0].Data.UserID, "somebody without an identity there is not somebody else (R13)")
}

func TestR18_TheClockEscalatesThereToo(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.tell(servicebenchfake.Raise(1, f.clock.Now()), Promised)
	f.clock.Advance(time.Hour)
	f.desk.Tick()
	require.NoError(t, f.deliver())
	n := f.there.News()
	require.Len(t, n, 1)
	require.Equal(t, "Open", n[0].Data.Status)
	require.Nil(t, n[0].Data.UserID)
}

func TestOnlyWhatCameFromThereIsSentThere(t *testing.T) {
	t.Parallel()
	f := open(t)
	require.False(t, f.c.Wants(book.Intake{}, nil))
	require.False(t, f.c.Wants(book.Intake{Source: &book.Source{System: "freshdesk", Ref: "1"}}, nil))
	require.True(t, f.c.Wants(book.Intake{Source: &book.Source{System: "servicebench", Ref: "1"}}, nil))
	require.NotContains(t, f.c.Types(), callback.TypeNoted, "summaries stay here unless they are configured to go")
}

func TestWhateverTheOtherSideDoesNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.tell(servicebenchfake.Raise(1, f.clock.Now()), Promised)
	f.do("agent1", id, "claim", nil)
	f.do("agent1", id, "start", nil)
	for _, test := range []struct {
		fault servicebenchfake.Fault
		code  connectors.OwedCode
		after time.Duration
	}{
		{servicebenchfake.Fault{Status: 500}, connectors.Unavailable, 0},
		{servicebenchfake.Fault{Status: 503, RetryAfter: "7"}, connectors.Unavailable, 7 * time.Second},
		{servicebenchfake.Fault{Status: 429, RetryAfter: "60"}, connectors.RateLimited, time.Minute},
		{servicebenchfake.Fault{Status: 401}, connectors.Unauthorized, 0},
		{servicebenchfake.Fault{Status: 410}, connectors.Gone, 0},
		{servicebenchfake.Fault{Status: 422}, connectors.Rejected, 0},
		{servicebenchfake.Fault{Status: 504, Lost: true}, connectors.Unavailable, 0},
	} {
		f.there.Fail(test.fault)
		var owed *connectors.Owed
		require.ErrorAs(t, f.deliver(), &owed)
		require.Equal(t, test.code, owed.Code)
		require.Equal(t, test.after, owed.RetryAfter)
		require.NotContains(t, owed.Error(), "EX-1")
	}
	require.NoError(t, f.deliver())
	require.Len(t, f.there.News(), 2, "what was lost on the way back is not done twice")
	f.memory.Fail(errors.New("away"))
	f.do("agent1", id, "attempts", map[string]any{"disposition": "no_answer"})
	f.do("agent1", id, "release", map[string]any{"reason": "end of shift"})
	require.Error(t, f.deliver())
	f.memory.Fail(nil)
	require.NoError(t, f.deliver())
	_, unsigned := f.there.Calls()
	require.Zero(t, unsigned)
}

// R14-R18 from the other side: a day of exceptions, said twice and in the wrong
// order, worked here and there, with faults both ways. In the end both agree.
func TestR14toR18_AtTheEndBothSidesAgree(t *testing.T) {
	t.Parallel()
	f := open(t, func(c *Config) { c.Completed = Completed{ResolutionReason: "visit_confirmed", Reached: true} })
	random := rand.New(rand.NewPCG(1, 2))
	const many = 200
	type message struct {
		n int
		x servicebenchfake.Exception
	}
	var queue []message
	for n := range many {
		x := servicebenchfake.Raise(n, f.clock.Now())
		queue = append(queue, message{n, x}, message{n, x}, message{n, x.At(f.clock.Now().Add(time.Minute), "Pending")})
		if n%3 == 0 {
			queue = append(queue, message{n, x.At(f.clock.Now().Add(2*time.Minute), "Complete")})
		}
	}
	random.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
	for _, m := range queue {
		for try := 0; ; try++ {
			if random.IntN(20) == 0 && try == 0 {
				f.desk.Fail(errors.New("away"))
			}
			code, _ := f.post(m.x.JSON())
			f.desk.Fail(nil)
			if code < 300 {
				break
			}
			require.Less(t, try, 3)
		}
	}
	for _, id := range f.desk.All() {
		if v := f.desk.View(id).State; !v.Status.Closed() {
			f.do("agent2", id, "claim", nil)
			f.do("agent2", id, "start", nil)
			f.do("agent2", id, "attempts", map[string]any{"disposition": "reached"})
			f.do("agent2", id, "complete", map[string]any{"resolution_reason": "information_given"})
		}
	}
	for try := 0; ; try++ {
		if try < 20 {
			f.there.Fail(servicebenchfake.Fault{}, servicebenchfake.Fault{Status: 500}, servicebenchfake.Fault{Status: 429, RetryAfter: "1"}, servicebenchfake.Fault{Status: 502, Lost: true})
		}
		if f.deliver() == nil {
			break
		}
		require.Less(t, try, 50)
	}
	require.Empty(t, f.kept.Messages())
	perException := map[string]int{}
	for _, id := range f.desk.All() {
		v := f.desk.View(id)
		perException[v.Intake.Source.Ref]++
		require.Equal(t, callback.StatusCompleted, v.State.Status)
		require.Equal(t, "Complete", f.there.Status(v.Intake.Source.Ref))
	}
	for ref, n := range perException {
		require.Equal(t, 1, n, ref)
	}
	completions := map[string]int{}
	for _, n := range f.there.News() {
		if n.Type == "exception.completed" {
			completions[n.Data.ExceptionID]++
		}
	}
	for ref, n := range completions {
		require.Equal(t, 1, n, ref)
	}
}

func TestR14_DroppedFilesAreTakenOnceAndMoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "inbox")
	f := open(t, func(c *Config) { c.DropDir = dir })
	require.NoError(t, f.c.Check(context.Background()), "the directory is made")
	drop := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	row := func(n int, status string) string {
		return fmt.Sprintf("servicebench,EX-%d,Customer Callback,%s,JOB-%d,CRM-1,BPO1-7,,2026-11-23T11:59:00Z,,Asha Rao,+9198765432%02d,,\n", n, status, n, n)
	}
	good := header + row(1, "Open") + row(2, "Open") + "short,row\n" + row(3, "Nonsense") + row(4, "Open")
	drop("a.csv", good)
	drop("b.csv.part", header+row(5, "Open"))
	drop("c.txt", header+row(6, "Open"))
	drop(".hidden.csv", header+row(7, "Open"))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.csv"), 0o700))
	outside := filepath.Join(t.TempDir(), "outside.csv")
	require.NoError(t, os.WriteFile(outside, []byte(header+row(8, "Open")), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link.csv")))

	require.NoError(t, f.c.sweep(context.Background()))
	require.Len(t, f.desk.All(), 3)
	require.Equal(t, []string{"a.csv", "a.rejected.csv"}, files(t, filepath.Join(dir, "done")))
	require.NotContains(t, files(t, dir), "a.csv")
	rejects, err := os.ReadFile(filepath.Join(dir, "done", "a.rejected.csv"))
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(rejects), "\n"))
	require.Contains(t, string(rejects), "expected 14 columns")
	require.Contains(t, string(rejects), "status: expected one of")

	// Renamed when it is whole.
	require.NoError(t, os.Rename(filepath.Join(dir, "b.csv.part"), filepath.Join(dir, "b.csv")))
	require.NoError(t, f.c.sweep(context.Background()))
	require.Len(t, f.desk.All(), 4)

	// The same again, whatever its name; and another one of the same name.
	drop("copy.csv", good)
	drop("a.csv", header+row(9, "Open"))
	require.NoError(t, f.c.sweep(context.Background()))
	require.Len(t, f.desk.All(), 5)
	done := files(t, filepath.Join(dir, "done"))
	require.Len(t, done, 5)
	require.Contains(t, done, "copy.csv")
	require.NotContains(t, done, "copy.rejected.csv")
}

func files(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

func TestR14_AFileGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, func(c *Config) { c.DropDir = dir })
	x := func(n int, user string) string {
		return fmt.Sprintf("servicebench,EX-%d,Customer Callback,Open,,CRM-1,%s,,2026-11-23T11:59:00Z,,Asha Rao,+9198765432%02d,,\n", n, user, n)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.csv"), []byte(header+x(1, "BPO1-7")+x(2, "BPO9")+x(3, "BPO1-7")), 0o600))
	f.desk.Fail(errors.New("away"))
	require.ErrorContains(t, f.c.sweep(context.Background()), "row of line 2")
	require.Equal(t, []string{"a.csv", "done"}, files(t, dir), "it waits where it is")
	f.desk.Fail(nil)
	f.kept.Fail(errors.New("away"))
	require.ErrorContains(t, f.c.sweep(context.Background()), "row of line 3")
	f.kept.Fail(nil)
	require.NoError(t, f.again().sweep(context.Background()))
	require.Len(t, f.desk.All(), 2)
	require.Equal(t, []string{"done"}, files(t, dir))

	// A row that has no route is kept as a message, to be replayed.
	require.Len(t, f.kept.Messages(), 1)
	f.config.Routes = append(f.config.Routes, Route{Policy: "callback-exception"})
	require.NoError(t, f.again().Replay(context.Background(), f.kept.Messages()[0]))
	require.Len(t, f.desk.All(), 3)
}

func TestR14_ARowThatFailsForGoodHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, func(c *Config) { c.DropDir = dir })
	mended := false
	f.deps.Desk = &connectortest.Fickle{Desk: f.desk, Fails: func(p connectors.Promise) error {
		if p.Source.Ref == "EX-1" && !mended {
			return callback.Refused(callback.CodeInternal)
		}
		return nil
	}}
	f.c = f.again()
	x := func(n int) string {
		return fmt.Sprintf("servicebench,EX-%d,Customer Callback,Open,,CRM-1,BPO1-7,,2026-11-23T11:59:00Z,,Asha Rao,+9198765432%02d,,\n", n, n)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.csv"), []byte(header+x(1)+x(2)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.csv"), []byte(header+x(3)), 0o600))
	require.ErrorContains(t, f.c.sweep(context.Background()), "row of line 2")
	f.clock.Advance(longest - time.Minute)
	f.c = f.again() // a restart gives it no new time
	require.ErrorContains(t, f.c.sweep(context.Background()), "row of line 2")
	require.Empty(t, f.kept.Messages())
	require.Empty(t, f.desk.All())
	f.clock.Advance(time.Minute)
	require.NoError(t, f.c.sweep(context.Background()))
	require.Len(t, f.desk.All(), 2)
	require.Len(t, f.kept.Messages(), 1)
	require.Equal(t, "it could not be taken for 6 hours: internal", f.kept.Messages()[0].Reason)
	require.Equal(t, []string{"done"}, files(t, dir))
	require.Zero(t, f.memory.Keys(name, "failing:"))
	mended = true
	require.NoError(t, f.c.Replay(context.Background(), f.kept.Messages()[0]))
	require.Len(t, f.desk.All(), 3)
}

func TestTheDropDirectoryIsWatchedUntilTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, func(c *Config) { c.DropDir = dir })
	ctx, cancel := context.WithCancel(context.Background())
	looks := 0
	f.deps.Sleep = func(ctx context.Context, d time.Duration) error {
		require.Equal(t, 5*time.Second, d)
		switch looks++; looks {
		case 1:
			require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.csv"), []byte("what,is,this\n"), 0o600))
		case 2:
			require.Equal(t, []string{"bad.csv", "bad.rejected.csv"}, files(t, filepath.Join(dir, "done")))
			require.NoError(t, os.RemoveAll(dir)) // somebody cleans up: it is made again
		case 4:
			require.Equal(t, []string{"done"}, files(t, dir))
			cancel()
		}
		return ctx.Err()
	}
	require.NoError(t, f.again().Run(ctx))
	require.Equal(t, 4, looks)

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, open(t).c.Run(ended), "without a directory there is nothing to watch")
	require.NoError(t, open(t).c.Check(ended))
	require.Error(t, open(t, func(c *Config) { c.DropDir = "/proc/nowhere" }).c.Check(ended))
}

var (
	_ connectors.Connector = (*Connector)(nil)
	_ connectors.Inbound   = (*Connector)(nil)
	_ connectors.Replayer  = (*Connector)(nil)
	_ connectors.Runner    = (*Connector)(nil)
	_ connectors.Checker   = (*Connector)(nil)
)
