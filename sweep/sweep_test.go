package sweep_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ringback/audit"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
	"ringback/sweep"
)

// continueAfter is that of the recorded callback that has continued as new.
const continueAfter = 20

// desk is a sweeper between a database and an engine that the test plays.
type desk struct {
	*sweep.Sweeper
	t     *testing.T
	book  *notebook
	clock *clock
	temp  *temporal
	log   *lockedBuffer
	shown *prometheus.Registry
}

func newDesk(t *testing.T, change ...func(*sweep.Options)) *desk {
	t.Helper()
	d := &desk{
		t: t, book: newNotebook(), log: &lockedBuffer{}, shown: prometheus.NewRegistry(),
		clock: &clock{now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)},
		temp:  &temporal{news: map[string][]callback.Event{}, asked: map[string]int{}, told: map[string][]callback.OutageNews{}, errs: map[string]error{}, status: map[string]enums.WorkflowExecutionStatus{}},
	}
	o := sweep.Options{
		Book: d.book, Engine: d.temp, Outages: d.temp, Now: d.clock.Now, Registry: d.shown, ContinueAfter: continueAfter,
		Logger: slog.New(slog.NewTextHandler(d.log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	d.Sweeper = sweep.New(o)
	return d
}

func (d *desk) once() sweep.Report {
	d.t.Helper()
	r, err := d.Once(d.t.Context())
	require.NoError(d.t, err)
	return r
}

func (d *desk) metric(name string) float64 {
	d.t.Helper()
	families, err := d.shown.Gather()
	require.NoError(d.t, err)
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	require.Fail(d.t, "no such metric", name)
	return 0
}

func (d *desk) ago(age time.Duration) callback.Instant { return callback.At(d.clock.Now().Add(-age)) }

// begin writes an errand of that age whose lease has run out.
func (d *desk) begin(id, callbackID, command, key string, age time.Duration) {
	d.book.errands[id] = book.Errand{ID: id, CallbackID: callbackID, Command: command, Key: key, CreatedAt: d.ago(age)}
}

// happened makes the engine know events of a callback.
func (d *desk) happened(id string, n int) {
	var events []callback.Event
	for i := range n {
		var fact callback.Fact = &callback.Noted{Kind: callback.KindNote}
		if i == 0 {
			fact = &callback.Requested{ID: id}
		}
		events = append(events, callback.Event{Seq: int64(i) + 1, Actor: "a", Fact: fact})
	}
	d.temp.news[id] = events
}

func recording(t *testing.T, name string) *audit.History {
	t.Helper()
	h, err := audit.ReadFile("../audit/testdata/" + name + ".json")
	require.NoError(t, err)
	return h
}

func TestWhatWasAcceptedIsShownAndItsErrandEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.happened("c1", 5)
	d.book.show("c1", d.temp.news["c1"][:3])
	d.begin("e1", "c1", "claim", "", 2*time.Minute)
	d.begin("e2", "c1", "note", "", 3*time.Minute)

	r := d.once()
	require.Equal(t, 1, r.CaughtUp)
	require.Equal(t, 2, r.Dropped)
	require.Len(t, d.book.timeline["c1"], 5)
	require.Empty(t, d.book.errands)
	require.Equal(t, 1, d.temp.asked["c1"], "one question serves all errands of a callback")
	require.Zero(t, d.metric("ringback_projection_lag_seconds"))

	require.Equal(t, sweep.Report{}, d.once(), "there is nothing left to do")
	require.Equal(t, 1, d.temp.asked["c1"])
}

func TestWhatCameToNothingIsForgottenOnceItCannotComeAnyMore(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.happened("c1", 3)
	d.book.show("c1", d.temp.news["c1"])
	d.begin("e1", "c1", "claim", "", 20*time.Second)

	r := d.once()
	require.Equal(t, 1, r.Postponed, "the command may still be on its way to the engine")
	require.InDelta(t, 20, d.metric("ringback_projection_lag_seconds"), 0.1)
	d.clock.pass(30 * time.Second)
	d.once()
	require.Equal(t, 1, d.temp.asked["c1"], "until then it is not asked about again")

	// It was accepted after all.
	d.happened("c1", 4)
	d.clock.pass(31 * time.Second)
	r = d.once()
	require.Equal(t, 1, r.CaughtUp)
	require.Equal(t, 1, r.Dropped)
	require.Len(t, d.book.timeline["c1"], 4)
	require.Empty(t, d.book.errands)
}

// A request with a key may be repeated, and then gets its answer; until then
// it is asked about ever more seldom.
func TestARequestWithAKeyIsKept(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.happened("c1", 4)
	d.begin("e1", "c1", "claim", "k", 2*time.Minute)
	r := d.once()
	require.Equal(t, 1, r.CaughtUp)
	require.Len(t, d.book.timeline["c1"], 4)
	require.Contains(t, d.book.errands, "e1")
	require.True(t, d.book.errands["e1"].LeaseUntil.IsZero(), "a repeat need not wait")

	for range 24 * 60 {
		d.clock.pass(time.Minute)
		d.once()
	}
	require.Less(t, d.temp.asked["c1"], 35, "in a day")
	require.Greater(t, d.temp.asked["c1"], 20)

	// A repeat of it was accepted, and died as well.
	d.happened("c1", 5)
	d.clock.pass(time.Hour)
	require.Equal(t, 1, d.once().CaughtUp)

	d.clock.pass(30 * 24 * time.Hour)
	require.Equal(t, 1, d.once().Dropped, "its key counts no more")
	require.Empty(t, d.book.errands)
}

// R27: a create that never reached the engine promises nothing; one that may
// still reach it is left alone.
func TestR27_ACreateWithoutAWorkflowIsDroppedWhenItCannotComeAnyMore(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.begin("young", "c1", "create", "", 20*time.Second)
	d.begin("old", "c2", "create", "", 2*time.Minute)
	d.begin("keyed", "c3", "create", "k", 2*time.Minute)
	r := d.once()
	require.Equal(t, 1, r.Dropped)
	require.ElementsMatch(t, []string{"young", "keyed"}, slices.Collect(maps.Keys(d.book.errands)), "a repeat may just have been sent")
	require.True(t, d.book.errands["keyed"].LeaseUntil.IsZero())

	d.clock.pass(61 * time.Second)
	d.once()
	require.Empty(t, d.book.errands)
	require.Equal(t, []string{"keyed", "old", "young"}, d.book.drops())
}

// R27: while the engine cannot say whether it was accepted, nothing is dropped:
// workers may be down, and take the command when they are back.
func TestR27_NothingIsDroppedWhileItCouldStillBeAccepted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.begin("e1", "c1", "create", "", 2*time.Minute)
	d.begin("e2", "c2", "claim", "k", 2*time.Minute)
	d.temp.errs["c1"] = serviceerror.NewDeadlineExceeded("no workers")
	d.temp.errs["c2"] = serviceerror.NewWorkflowNotReady("first task pending")
	for range 200 {
		r, err := d.Once(t.Context())
		require.NotErrorIs(t, err, context.Canceled)
		require.Zero(t, r.Dropped)
		d.clock.pass(time.Minute)
	}
	require.Len(t, d.book.errands, 2)
	require.Greater(t, d.metric("ringback_projection_lag_seconds"), 100.0*60)

	clear(d.temp.errs)
	d.happened("c1", 3)
	d.happened("c2", 3)
	d.clock.pass(time.Minute)
	require.Equal(t, 2, d.once().CaughtUp)
	require.Len(t, d.book.timeline["c1"], 3)
}

// Whoever repeats the request has it; the sweeper keeps away.
func TestAnErrandThatSomebodyIsAtIsLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.happened("c1", 3)
	d.begin("e1", "c1", "claim", "k", time.Hour)
	d.book.taken = map[string]bool{"e1": true}
	require.Equal(t, sweep.Report{}, d.once())
	require.Zero(t, d.temp.asked["c1"])
	require.Contains(t, d.book.errands, "e1")
}

func TestAnErrandOfNoCallbackEndsByItself(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.begin("e1", "", "transfer", "", time.Hour)
	d.begin("e2", "", "transfer", "k", time.Hour)
	require.Equal(t, 1, d.once().Dropped)
	require.Contains(t, d.book.errands, "e2")
	require.Empty(t, d.temp.asked)
}

// What a run does not know is in the histories of the runs before, or in the
// archive.
func TestR25_GapsAreFilledFromTheHistories(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := recording(t, "continued")
	d.temp.histories = []*audit.History{h}
	last, err := audit.New(audit.Options{Engine: d.temp, ContinueAfter: continueAfter}).Timeline(t.Context(), h.CallbackID)
	require.NoError(t, err)
	d.temp.news[h.CallbackID] = last[len(last)-2:]
	d.begin("e1", h.CallbackID, "claim", "", time.Hour)
	require.Equal(t, 1, d.once().CaughtUp)
	require.Len(t, d.book.timeline[h.CallbackID], len(last))

	// The engine has forgotten a callback that closed; the archive has not.
	d = newDesk(t, func(o *sweep.Options) { o.ContinueAfter = 0 })
	h = recording(t, "met")
	d.book.archive(t, h)
	d.begin("e1", h.CallbackID, "complete", "", time.Hour)
	require.Equal(t, 1, d.once().CaughtUp)
	require.Len(t, d.book.timeline[h.CallbackID], 11)
}

func TestR27_ALostPromiseIsAnAlarm(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.happened("c1", 3)
	d.book.show("c1", d.temp.news["c1"])
	clear(d.temp.news)
	d.begin("e1", "c1", "claim", "k", time.Hour)
	d.once()
	require.InDelta(t, 1, d.metric("ringback_sweep_lost_total"), 0)
	require.Contains(t, d.log.String(), "a promise is lost")
}

func TestAnEngineThatIsAwayIsAskedOnlyAFewTimes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for i := range 20 {
		id := string(rune('a' + i))
		d.begin("e"+id, "c"+id, "claim", "", time.Hour)
		d.temp.errs["c"+id] = serviceerror.NewUnavailable("away")
	}
	d.book.watch = book.Watch{Open: 7}
	r, err := d.Once(t.Context())
	require.Error(t, err)
	require.Equal(t, 20, r.Postponed)
	require.Len(t, d.temp.asked, 3)
	require.Equal(t, int64(7), r.Watch.Open, "the other tasks are done")
	require.Positive(t, d.book.cleaned)
	require.InDelta(t, 1, d.metric("ringback_sweep_failures_total"), 0)
}

func TestOneTaskThatFailsDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"errands", "outages", "links", "watch", "archive", "texts", "feed"} {
		d := newDesk(t)
		d.book.broken = broken
		d.book.watch = book.Watch{Late: 1}
		_, err := d.Once(t.Context())
		require.ErrorIs(t, err, errBroken, broken)
		d.book.broken = ""
		calls := d.book.calls()
		for _, call := range []string{"errands", "outages", "links", "watch", "archive", "texts", "answers", "reservations", "feed"} {
			require.Contains(t, calls, call, broken)
		}
		d.once()
	}
}

func TestClosedHistoriesAreArchived(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	met, whole := recording(t, "met"), recording(t, "continued")
	d.temp.histories = []*audit.History{met, whole}
	d.book.closed = []string{met.CallbackID}
	r := d.once()
	require.Equal(t, 1+len(whole.Runs)-1, r.Archived, "and the runs that continued, of a callback that is open")
	require.Zero(t, r.Missing)
	saved := d.book.histories[met.CallbackID][0]
	require.Equal(t, audit.RunID(met.Runs[0]), saved.RunID)
	require.Equal(t, callback.At(met.Runs[0].Events[met.Len()-1].GetEventTime().AsTime()), saved.ClosedAt)
	v := audit.New(audit.Options{Engine: &temporal{}, Book: d.book})
	h, err := v.History(t.Context(), met.CallbackID)
	require.NoError(t, err)
	require.True(t, v.Replay(h).Held())

	r = d.once()
	require.Zero(t, r.Archived, "what is archived is not archived again")
	require.InDelta(t, float64(len(whole.Runs)), d.metric("ringback_archive_histories_total"), 0)
}

// A workflow that still owes something to somebody has not ended.
func TestAHistoryIsArchivedWhenItsWorkflowHasEnded(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	met := recording(t, "met")
	all := met.Runs[0].Events
	met.Runs[0].Events = all[:len(all)-1]
	d.temp.histories = []*audit.History{met}
	d.book.closed = []string{met.CallbackID}
	r := d.once()
	require.Zero(t, r.Archived)
	require.Zero(t, r.Missing)
	met.Runs[0].Events = all
	require.Equal(t, 1, d.once().Archived)
}

func TestAMissingHistoryIsAnAlarm(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.book.closed = []string{"gone"}
	require.Equal(t, 1, d.once().Missing)
	require.InDelta(t, 1, d.metric("ringback_archive_missing_histories"), 0)
	require.Equal(t, 1, strings.Count(d.log.String(), "history of a closed callback is missing"))
	d.once()
	require.Equal(t, 1, strings.Count(d.log.String(), "history of a closed callback is missing"), "once is enough")
	require.Contains(t, d.log.String(), "callback_id=gone")
	require.InDelta(t, 0, d.metric("ringback_archive_waiting_histories"), 0)
}

func TestHistoriesThatWaitTooLongAreAnAlarm(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.temp.away = serviceerror.NewUnavailable("away")
	d.book.closed = []string{"c1", "c2"}
	_, err := d.Once(t.Context())
	require.Error(t, err)
	require.InDelta(t, 2, d.metric("ringback_archive_waiting_histories"), 0)
	require.Contains(t, d.log.String(), "wait for their archive")
}

func TestWorkflowsThatSomebodyEndedAreAnAlarm(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	met := recording(t, "met")
	d.temp.histories = []*audit.History{met}
	d.temp.status[met.CallbackID] = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
	require.Equal(t, 1, d.once().Ended)
	require.InDelta(t, 1, d.metric("ringback_workflows_ended_from_outside"), 0)
	require.Contains(t, d.log.String(), "nobody keeps those promises")
}

// A stopped clock cannot report itself.
func TestR10_ALateClockIsAnAlarm(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.book.watch = book.Watch{Open: 12, Overdue: 3, Late: 2, Lateness: 90 * time.Second, Errands: 4}
	d.once()
	require.InDelta(t, 12, d.metric("ringback_watchdog_open_callbacks"), 0)
	require.InDelta(t, 3, d.metric("ringback_watchdog_overdue_callbacks"), 0)
	require.InDelta(t, 2, d.metric("ringback_watchdog_late_callbacks"), 0)
	require.InDelta(t, 90, d.metric("ringback_watchdog_oldest_late_seconds"), 0)
	require.InDelta(t, 4, d.metric("ringback_errands_open"), 0)
	require.Equal(t, callback.At(d.clock.Now()), d.book.watchedAt)
	require.Equal(t, 10*time.Second, d.book.grace)
	d.once()
	require.Equal(t, 1, strings.Count(d.log.String(), "the clock is late"))

	d.book.watch = book.Watch{}
	d.once()
	require.Zero(t, d.metric("ringback_watchdog_late_callbacks"))
	require.Contains(t, d.log.String(), "the clock has caught up")
}

func TestWhatIsNoLongerNeededIsDeleted(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *sweep.Options) {
		o.Terms = []book.Term{{Connector: "mailbox", Prefix: "mail:", Lasts: callback.Duration(400 * 24 * time.Hour)}}
	})
	d.once()
	now := callback.At(d.clock.Now())
	day := callback.Duration(24 * time.Hour)
	require.Equal(t, map[string]callback.Instant{
		"texts": now.Plus(-2 * day), "answers": now.Plus(-30 * day), "reservations": now.Plus(-30 * day), "feed": now.Plus(-day),
		"draws": {}, "messages": now.Plus(-30 * day), "memory of mailbox mail:": now.Plus(-400 * day),
		"links": now.Plus(-callback.Duration(time.Minute)),
	}, d.book.before)
	require.Equal(t, 6, d.book.cleaned)
	d.clock.pass(9 * time.Minute)
	d.once()
	require.Equal(t, 6, d.book.cleaned, "not at every look")
	d.clock.pass(time.Minute)
	d.once()
	require.Equal(t, 12, d.book.cleaned)
	require.Equal(t, 1, d.book.forgot, "what is remembered is gone through once a day")
	d.clock.pass(24 * time.Hour)
	require.Equal(t, int64(1), d.once().Forgotten)
}

func TestOneSweeperOfManySweeps(t *testing.T) {
	t.Parallel()
	lease := &lease{}
	with := func(o *sweep.Options) { o.Lease = lease }
	first, second := newDesk(t, with), newDesk(t, with)
	second.clock = first.clock
	second.begin("e1", "c1", "claim", "", time.Hour)
	require.False(t, first.once().Idle)
	r := second.once()
	require.True(t, r.Idle)
	require.Contains(t, second.book.calls(), "watch", "everybody watches the clock")
	require.Contains(t, second.book.errands, "e1")

	// The first is stopped, and lets the other go on.
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, first.Run(ctx))
	require.False(t, second.once().Idle)
	require.NotContains(t, second.book.errands, "e1")

	lease.err = errBroken
	r, err := second.Once(t.Context())
	require.ErrorIs(t, err, errBroken)
	require.True(t, r.Idle)
}

// What only the one who sweeps can know is not left standing where it has ceased to.
func TestASweeperThatIsNoLongerOneAlarmsNobody(t *testing.T) {
	t.Parallel()
	lease := &lease{}
	d := newDesk(t, func(o *sweep.Options) { o.Lease = lease })
	met := recording(t, "met")
	d.temp.histories = []*audit.History{met}
	d.temp.status[met.CallbackID] = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
	d.book.closed = []string{"gone"}
	d.begin("e1", "c1", "claim", "", time.Hour)
	d.temp.errs["c1"] = serviceerror.NewUnavailable("away")
	_, err := d.Once(t.Context())
	require.Error(t, err)
	only := []string{
		"ringback_workflows_ended_from_outside", "ringback_archive_missing_histories", "ringback_projection_lag_seconds",
	}
	for _, name := range only {
		require.Positive(t, d.metric(name), name)
	}
	lease.err = errBroken
	_, err = d.Once(t.Context())
	require.ErrorIs(t, err, errBroken)
	require.Positive(t, d.metric(only[0]), "it may still be the one")

	lease.err, lease.holder, lease.until = nil, "another", d.ago(-24*time.Hour)
	require.True(t, d.once().Idle)
	for _, name := range only {
		require.Zero(t, d.metric(name), name)
	}
}

func TestRunLooksAtEveryTickAndFinishesWhatItIsAt(t *testing.T) {
	t.Parallel()
	tick := make(chan time.Time)
	d := newDesk(t, func(o *sweep.Options) { o.Tick = tick })
	entered, leave := make(chan struct{}), make(chan struct{})
	d.book.atProject = func(ctx context.Context) {
		entered <- struct{}{}
		<-leave
		require.NoError(t, ctx.Err(), "what is being written is written")
	}
	d.happened("c1", 3)
	d.happened("c2", 3)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	tick <- d.clock.Now()
	tick <- d.clock.Now()
	// It looks for the third time.
	d.book.mu.Lock()
	d.begin("e1", "c1", "claim", "", 2*time.Minute)
	d.begin("e2", "c2", "claim", "", time.Minute)
	d.book.mu.Unlock()
	// The look that is under way finds them, or else the next one.
	select {
	case tick <- d.clock.Now():
		<-entered
	case <-entered:
	}
	stop()
	leave <- struct{}{}
	require.NoError(t, <-done)
	require.Len(t, d.book.timeline["c1"], 3)
	require.NotContains(t, d.book.errands, "e1")
	require.Empty(t, d.book.timeline["c2"], "nothing new is begun")
	require.Contains(t, d.book.errands, "e2")
}

func TestTwoSweepersShareTheirMetrics(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.book.watch = book.Watch{Open: 3}
	again := sweep.New(sweep.Options{Book: d.book, Engine: d.temp, Outages: d.temp, Now: d.clock.Now, Registry: d.shown})
	_, err := again.Once(t.Context())
	require.NoError(t, err)
	require.InDelta(t, 3, d.metric("ringback_watchdog_open_callbacks"), 0)
}

// The parts that the test plays.

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type lease struct {
	holder string
	until  callback.Instant
	err    error
}

func (l *lease) Lease(_ context.Context, _, holder string, now, until callback.Instant) (bool, error) {
	if l.err != nil {
		return false, l.err
	}
	if l.holder != holder && l.until.After(now.Time) {
		return false, nil
	}
	l.holder, l.until = holder, until
	return true, nil
}

// temporal is an engine.
type temporal struct {
	news      map[string][]callback.Event
	errs      map[string]error
	asked     map[string]int
	histories []*audit.History
	status    map[string]enums.WorkflowExecutionStatus
	away      error
	told      map[string][]callback.OutageNews
	begun     []contract.OutageInput
}

func (e *temporal) SignalWorkflow(_ context.Context, id, _, signal string, arg any) error {
	callbackID, _ := contract.CallbackID(id)
	news, is := arg.(callback.OutageNews)
	if err := e.errs[callbackID]; err != nil || !is || signal != contract.SignalOutageEnded {
		return err
	}
	e.told[callbackID] = append(e.told[callbackID], news)
	return nil
}

func (e *temporal) BeginOutage(_ context.Context, in contract.OutageInput) error {
	if err := e.errs[in.ID]; err != nil {
		return err
	}
	e.begun = append(e.begun, in)
	return nil
}

func (e *temporal) QueryWorkflow(ctx context.Context, id, _, query string, args ...any) (converter.EncodedValue, error) {
	callbackID, _ := contract.CallbackID(id)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.asked[callbackID]++
	if err := e.errs[callbackID]; err != nil {
		return nil, err
	}
	events, known := e.news[callbackID]
	if !known || query != contract.QueryEvents {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	since, _ := args[0].(int64)
	news := contract.News{Version: events[len(events)-1].Seq, From: events[0].Seq}
	for _, ev := range events {
		if ev.Seq > since {
			news.Events = append(news.Events, ev)
		}
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(news)
	return client.NewValue(payloads), err
}

type iterator struct {
	run *historypb.History
	err error
	at  int
}

func (i *iterator) HasNext() bool { return i.err != nil || i.at < len(i.run.GetEvents()) }

func (i *iterator) Next() (*historypb.HistoryEvent, error) {
	if i.err != nil {
		return nil, i.err
	}
	i.at++
	return i.run.Events[i.at-1], nil
}

func (e *temporal) GetWorkflowHistory(_ context.Context, id, runID string, _ bool, _ enums.HistoryEventFilterType) client.HistoryEventIterator {
	if e.away != nil {
		return &iterator{err: e.away}
	}
	for _, h := range e.histories {
		for i, run := range h.Runs {
			if id == contract.WorkflowID(h.CallbackID) && (audit.RunID(run) == runID || runID == "" && i == len(h.Runs)-1) {
				return &iterator{run: run}
			}
		}
	}
	return &iterator{err: serviceerror.NewNotFound("no such workflow")}
}

func (e *temporal) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	page := &workflowservice.ListWorkflowExecutionsResponse{}
	for _, h := range e.histories {
		for i, run := range h.Runs {
			status := enums.WORKFLOW_EXECUTION_STATUS_RUNNING
			if i < len(h.Runs)-1 {
				status = enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
			} else if s, set := e.status[h.CallbackID]; set {
				status = s
			}
			if strings.Contains(r.GetQuery(), "'"+status.String()+"'") {
				page.Executions = append(page.Executions, &workflowpb.WorkflowExecutionInfo{
					Execution: &commonpb.WorkflowExecution{WorkflowId: contract.WorkflowID(h.CallbackID), RunId: audit.RunID(run)},
					Status:    status, CloseTime: timestamppb.New(run.Events[len(run.Events)-1].GetEventTime().AsTime()),
				})
			}
		}
	}
	return page, nil
}

var errBroken = errors.New("broken")

// notebook is a database.
type notebook struct {
	mu        sync.Mutex
	errands   map[string]book.Errand
	taken     map[string]bool
	dropped   []string
	views     map[string]*callback.Callback
	timeline  map[string][]callback.Event
	histories map[string][]book.Archived
	closed    []string
	watch     book.Watch
	watchedAt callback.Instant
	grace     time.Duration
	before    map[string]callback.Instant
	cleaned   int
	forgot    int
	called    []string
	broken    string
	active    []book.Outage
	links     []book.OutageLink
	atProject func(context.Context)
}

func newNotebook() *notebook {
	return &notebook{
		errands: map[string]book.Errand{}, views: map[string]*callback.Callback{}, timeline: map[string][]callback.Event{},
		histories: map[string][]book.Archived{}, before: map[string]callback.Instant{},
	}
}

func (b *notebook) call(name string) error {
	b.called = append(b.called, name)
	if b.broken == name {
		return errBroken
	}
	return nil
}

func (b *notebook) calls() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.called)
}

func (b *notebook) drops() []string {
	slices.Sort(b.dropped)
	return b.dropped
}

func (b *notebook) show(id string, events []callback.Event) {
	state, err := callback.Fold(nil, events)
	if err != nil {
		panic(err)
	}
	b.views[id], b.timeline[id] = state, slices.Clone(events)
}

func (b *notebook) archive(t *testing.T, h *audit.History) {
	t.Helper()
	for _, run := range h.Runs {
		packed, err := audit.Pack(run)
		require.NoError(t, err)
		b.histories[h.CallbackID] = append(b.histories[h.CallbackID], book.Archived{RunID: audit.RunID(run), History: packed})
	}
}

func (b *notebook) OpenErrands(_ context.Context, leaseBefore callback.Instant, limit int) ([]book.Errand, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.call("errands"); err != nil {
		return nil, err
	}
	var open []book.Errand
	for _, e := range b.errands {
		if e.LeaseUntil.Before(leaseBefore.Time) {
			open = append(open, e)
		}
	}
	slices.SortFunc(open, func(x, y book.Errand) int { return x.CreatedAt.Compare(y.CreatedAt.Time) })
	return open[:min(limit, len(open))], nil
}

func (b *notebook) TakeOver(_ context.Context, id string, _, until callback.Instant) (book.Errand, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, known := b.errands[id]
	if !known {
		return e, false, book.ErrNotFound
	}
	if b.taken[id] {
		return e, false, nil
	}
	e.LeaseUntil = until
	b.errands[id] = e
	return e, true, nil
}

func (b *notebook) Release(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.errands[id]
	e.LeaseUntil = callback.Instant{}
	b.errands[id] = e
	return nil
}

func (b *notebook) Drop(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.errands, id)
	b.dropped = append(b.dropped, id)
	return nil
}

func (b *notebook) Project(ctx context.Context, batch book.Batch) (book.View, error) {
	if b.atProject != nil {
		b.atProject(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	id := batch.CallbackID
	for _, e := range batch.Events {
		have := int64(len(b.timeline[id]))
		if e.Seq <= have {
			continue
		}
		if e.Seq > have+1 {
			return book.View{}, &book.GapError{Have: have, First: e.Seq}
		}
		state, err := callback.Fold(b.views[id], []callback.Event{e})
		if err != nil {
			return book.View{}, err
		}
		b.views[id], b.timeline[id] = state, append(b.timeline[id], e)
	}
	return book.View{State: b.views[id]}, nil
}

func (b *notebook) Callback(_ context.Context, id string) (book.View, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.views[id] == nil {
		return book.View{}, book.ErrNotFound
	}
	return book.View{State: b.views[id]}, nil
}

func (b *notebook) Timeline(context.Context, string) ([]book.Entry, error) {
	return nil, book.ErrNotFound
}

func (b *notebook) Histories(_ context.Context, id string) ([]book.Archived, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.histories[id], nil
}

func (b *notebook) SaveHistory(_ context.Context, a book.Archived) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.histories[a.CallbackID] = append(b.histories[a.CallbackID], a)
	return nil
}

func (b *notebook) ClosedWithoutHistory(_ context.Context, _ callback.Instant, limit int) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.call("archive"); err != nil {
		return nil, err
	}
	var ids []string
	for _, id := range b.closed {
		if len(b.histories[id]) == 0 && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (b *notebook) ActiveOutages(context.Context) ([]book.Outage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.active, b.call("outages")
}

func (b *notebook) EndedLinks(_ context.Context, before callback.Instant, limit int) ([]book.OutageLink, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before["links"] = before
	return b.links[:min(limit, len(b.links))], b.call("links")
}

func (b *notebook) Watch(_ context.Context, now callback.Instant, grace time.Duration) (book.Watch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchedAt, b.grace = now, grace
	return b.watch, b.call("watch")
}

func (b *notebook) clean(what string, before callback.Instant) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before[what] = before
	b.cleaned++
	return b.call(what)
}

func (b *notebook) SweepTexts(_ context.Context, before callback.Instant) (int64, error) {
	return 0, b.clean("texts", before)
}

func (b *notebook) SweepErrands(_ context.Context, before callback.Instant) (int64, error) {
	return 0, b.clean("answers", before)
}

func (b *notebook) SweepReservations(_ context.Context, before callback.Instant) (int64, error) {
	return 0, b.clean("reservations", before)
}

func (b *notebook) SweepDrawWaits(context.Context) (int64, error) {
	return 0, b.clean("draws", callback.Instant{})
}

func (b *notebook) SweepMessages(_ context.Context, before callback.Instant) (int64, error) {
	return 0, b.clean("messages", before)
}

func (b *notebook) SweepMemory(_ context.Context, t book.Term, now callback.Instant) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before["memory of "+t.Connector+" "+t.Prefix] = now.Plus(-t.Lasts)
	b.forgot++
	return 1, b.call("memory")
}

func (b *notebook) TrimFeed(_ context.Context, before callback.Instant) error {
	return b.clean("feed", before)
}
