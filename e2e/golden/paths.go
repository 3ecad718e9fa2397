package main

import (
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"ringback/callback"
	"ringback/contract"
)

// opened is how every callback begins that is not for later, served how one ends whose customer was reached.
const (
	opened = "requested tagged queued"
	served = "started attempted contacted noted completed untagged"
)

var reached = callback.Attempt{Disposition: callback.Reached}

func complete() callback.Complete { return callback.Complete{Reason: "resolved", SummaryID: text()} }

func begin(p *play) { p.create(p.request()) }

// serve lets the assignee reach the customer and close the callback.
func serve(p *play, by callback.Person) {
	do(p, by, callback.Start{})
	do(p, by, reached)
	do(p, by, complete())
}

func take(p *play, by callback.Person) {
	do(p, by, callback.Claim{})
	serve(p, by)
}

// paths are all ways that a callback can go. One that was recorded is never changed: a new way is a new path.
var paths = []path{
	// A promise and its clock.
	{
		name: "met", policy: policy(hour()),
		play: func(p *play) { begin(p); take(p, sup1) },
		want: opened + " claimed " + served,
	},
	{
		name: "warned", policy: policy(tats(6*time.Second, long), warnedAt("10%", "4800ms")),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeWarned, 2)
			take(p, sup1)
		},
		want: opened + " warned warned claimed " + served,
	},
	{
		name: "breached-at-last-tier-with-reminders", policy: policy(tats(time.Second, time.Second), reminded(time.Second, 3*time.Second)),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeReminded, 3)
			take(p, mgr1)
		},
		want: opened + " breached escalated breached reminded reminded reminded claimed " + served,
	},
	{
		name: "close-within-chased", policy: policy(hour(), closedWithin(time.Second), reminded(time.Second, 3*time.Second)),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Start{})
			do(p, sup1, reached)
			p.untilShown(callback.TypeReminded, 2)
			do(p, sup1, complete())
		},
		want: opened + " claimed started attempted contacted reminded reminded noted completed untagged",
	},
	{
		name: "start-within-lapses", policy: policy(hour(), startedWithin(time.Second)),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			p.untilShown(callback.TypeReleased, 1)
			take(p, sup2)
		},
		want: opened + " claimed released claimed " + served,
	},
	{
		name: "bare-policy", policy: bare(),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeBreached, 1)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Start{})
			do(p, sup1, callback.Complete{Reason: "supplied"})
		},
		want: "requested queued breached claimed started completed",
	},

	// Up the ladder.
	{
		name: "escalated-by-clock", policy: policy(tats(4*time.Second, long), warnedAt("75%")),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			p.untilShown(callback.TypeEscalated, 1)
			take(p, mgr1)
		},
		want: opened + " claimed warned breached escalated claimed " + served,
	},
	{
		name: "escalated-by-hand", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Start{})
			do(p, sup1, reached)
			do(p, sup1, callback.Escalate{TextID: text()})
			take(p, mgr1)
		},
		want: opened + " claimed started attempted contacted escalated claimed " + served,
	},
	{
		name: "escalated-twice", policy: policy(tats(time.Second, time.Second, long)),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeEscalated, 2)
			take(p, exec1)
		},
		want: opened + " breached escalated breached escalated claimed " + served,
	},
	{
		name: "escalated-by-hand-then-by-clock", policy: policy(tats(long, 3*time.Second, long)),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Escalate{TextID: text()})
			do(p, mgr1, callback.Claim{})
			p.untilShown(callback.TypeEscalated, 2)
			take(p, exec1)
		},
		want: opened + " claimed escalated claimed breached escalated claimed " + served,
	},
	{
		name: "transfer-on-escalate", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Escalate{TextID: text(), Transfer: &callback.Transfer{ID: newID(), To: mgr1}})
			serve(p, mgr1)
		},
		want: opened + " claimed escalated assigned " + served,
	},
	{
		name: "former-assignee-completes", policy: policy(tats(4*time.Second, long)),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Start{})
			p.untilShown(callback.TypeEscalated, 1)
			do(p, sup1, reached)
			do(p, sup1, complete())
		},
		want: opened + " claimed started breached escalated attempted contacted noted completed untagged",
	},

	// Calls.
	{
		name: "failed-attempts-then-reached", policy: policy(hour(), func(p *callback.Policy) { p.Tag.Done = "Callback Done" }),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Start{})
			for _, d := range []callback.Disposition{callback.NoAnswer, callback.Busy, callback.Voicemail} {
				do(p, sup1, callback.Attempt{Disposition: d, TextID: text()})
			}
			do(p, agent1, callback.Note{Kind: callback.KindNote, TextID: text()})
			do(p, sup1, reached)
			do(p, sup1, callback.Note{Kind: callback.KindCallSummary, TextID: text()})
			do(p, sup1, callback.Complete{Reason: "resolved"})
		},
		want: opened + " claimed started attempted attempted attempted warned noted attempted contacted noted completed untagged tagged",
	},
	{
		name: "unreachable", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Start{})
			for _, d := range []callback.Disposition{callback.WrongNumber, callback.CallDropped, callback.RefusedCall} {
				do(p, sup1, callback.Attempt{Disposition: d})
			}
			do(p, sup1, callback.Complete{Reason: "unreachable", SummaryID: text()})
		},
		want: opened + " claimed started attempted attempted attempted warned noted completed untagged tagged",
	},
	{
		name: "customer-called", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			p.customerCalls()
			p.untilShown(callback.TypeCustomerCalled, 1)
			do(p, sup1, callback.Claim{})
			p.customerCalls()
			p.untilShown(callback.TypeCustomerCalled, 2)
			serve(p, sup1)
		},
		want: opened + " customer_called claimed customer_called " + served,
	},

	// The clock stopped, and moved.
	{
		name: "hold-resumed-by-hand", policy: policy(hour(), warnedAt("50%", "90%"), startedWithin(15*time.Minute)),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.HoldClock{Until: later(4 * time.Hour), TextID: text()})
			do(p, sup1, callback.Resume{})
			serve(p, sup1)
		},
		want: opened + " claimed held resumed " + served,
	},
	{
		name: "hold-resumed-by-clock", policy: policy(tats(6*time.Second, long), warnedAt("90%")),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Start{})
			do(p, sup1, callback.HoldClock{Until: later(2 * time.Second), TextID: text()})
			p.untilShown(callback.TypeEscalated, 1)
			take(p, mgr1)
		},
		want: opened + " claimed started held resumed warned breached escalated claimed " + served,
	},
	{
		name: "hold-with-calendar", policy: policy(hour(), in(weekdays()), warnedAt("50%", "10m"), startedWithin(15*time.Minute)),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.HoldClock{Until: later(4 * time.Hour), TextID: text()})
			do(p, sup1, callback.Resume{})
			serve(p, sup1)
		},
		want: opened + " claimed held resumed " + served,
	},
	{
		name: "calendar-escalated-by-clock", policy: policy(tats(2*time.Second, long), in(always()), warnedAt("50%")),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeEscalated, 1)
			take(p, mgr1)
		},
		want: opened + " warned breached escalated claimed " + served,
	},
	{
		name: "reschedule", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Start{})
			do(p, sup1, reached)
			do(p, sup1, callback.Reschedule{For: later(1500 * time.Millisecond), TextID: text()})
			p.untilShown(callback.TypeQueued, 2)
			take(p, sup2)
		},
		want: opened + " claimed started attempted contacted rescheduled queued claimed " + served,
	},
	{
		name: "reschedule-after-breach", policy: policy(tats(time.Second, 2*time.Second), in(always())),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeEscalated, 1)
			do(p, mgr1, callback.Claim{})
			p.untilShown(callback.TypeBreached, 2)
			do(p, mgr1, callback.Reschedule{For: later(time.Hour), TextID: text()})
			take(p, mgr2)
		},
		want: opened + " breached escalated claimed breached rescheduled queued claimed " + served,
	},
	{
		name: "scheduled-create", policy: policy(hour()),
		play: func(p *play) {
			r := p.request()
			r.ScheduledFor = r.At.Plus(of(2 * time.Second))
			p.create(r)
			p.untilShown(callback.TypeQueued, 1)
			take(p, sup1)
		},
		want: "requested tagged scheduled queued claimed " + served,
	},
	{
		name: "scheduled-claimed-early", policy: policy(hour()),
		play: func(p *play) {
			r := p.request()
			r.ScheduledFor = r.At.Plus(of(2 * time.Hour))
			p.create(r)
			take(p, sup1)
		},
		want: "requested tagged scheduled queued claimed " + served,
	},

	// From hand to hand.
	{
		name: "reassign-owner", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, mgr1, callback.Reassign{To: sup2, TextID: text()})
			p.mustBe(p.state().Owner == sup2.ID, "the owner is %s", p.state().Owner)
			serve(p, sup2)
		},
		want: opened + " claimed reassigned " + served,
	},
	{
		name: "reassign-assignee-only", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Escalate{TextID: text()})
			do(p, mgr1, callback.Claim{})
			do(p, exec1, callback.Reassign{To: mgr2, TextID: text()})
			p.mustBe(p.state().Owner == sup1.ID, "the owner is %s", p.state().Owner)
			serve(p, mgr2)
		},
		want: opened + " claimed escalated claimed reassigned " + served,
	},
	{
		name: "release", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Start{})
			do(p, sup1, callback.Release{TextID: text()})
			take(p, sup2)
		},
		want: opened + " claimed started released claimed " + served,
	},
	{
		name: "claim-race", policy: policy(hour()),
		play: func(p *play) { begin(p); p.race(sup1, sup2, sup3) },
		want: opened + " claimed " + served,
	},
	{
		name: "cancel", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.Cancel{TextID: text()})
		},
		want: opened + " claimed cancelled untagged tagged",
	},
	{
		name: "cancel-while-queued", policy: policy(hour()),
		play: func(p *play) { begin(p); do(p, mgr1, callback.Cancel{TextID: text()}) },
		want: opened + " cancelled untagged tagged",
	},

	// Assigned by policy, or drawn.
	{
		name: "direct-assignment", policy: policy(hour(), named("executive-escalation"), assignedTo(0, sup1)),
		play: func(p *play) { begin(p); serve(p, sup1) },
		want: opened + " assigned " + served,
	},
	{
		name: "direct-assignment-on-escalation", policy: policy(tats(time.Second, long), assignedTo(1, mgr1)),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeAssigned, 1)
			serve(p, mgr1)
		},
		want: opened + " breached escalated assigned " + served,
	},
	{
		name:   "direct-supervisor",
		policy: policy(hour(), named("customer-service-escalation"), assigned(callback.AssignDirectSupervisor)).Pin("", sup1.ID),
		play:   func(p *play) { begin(p); serve(p, sup1) },
		want:   opened + " assigned " + served,
	},
	{
		name: "random-assignment", policy: policy(hour(), named("tier3-escalation"), assigned(callback.AssignRandom)),
		play: func(p *play) {
			p.ledger.set(sup1.ID, sup2.ID, sup3.ID)
			r := p.request()
			r.Parent = newID()
			p.create(r)
			p.untilShown(callback.TypeAssigned, 1)
			serve(p, sup1)
		},
		want: opened + " assigned " + served,
	},
	{
		name: "drawn-again-after-release", policy: policy(hour(), named("tier3-escalation"), assigned(callback.AssignRoundRobin)),
		play: func(p *play) {
			p.ledger.set(sup1.ID, sup2.ID)
			begin(p)
			p.untilShown(callback.TypeAssigned, 1)
			do(p, sup1, callback.Release{TextID: text()})
			p.untilShown(callback.TypeAssigned, 2)
			serve(p, sup2)
		},
		want: opened + " assigned released assigned " + served,
	},
	{
		name: "draw-waits-for-engine", policy: policy(hour(), named("tier3-escalation"), assigned(callback.AssignLeastLoaded)),
		play: func(p *play) {
			begin(p)
			p.until("a draw without candidates", func() bool { return p.ledger.asks() > 0 })
			p.ledger.set(sup1.ID)
			p.untilShown(callback.TypeAssigned, 1)
			serve(p, sup1)
		},
		want: opened + " assigned " + served,
	},
	{
		name: "draw-waits-then-candidate-available", policy: policy(hour(), named("tier3-escalation"), assigned(callback.AssignRandom)),
		play: func(p *play) {
			begin(p)
			p.until("three draws without candidates", func() bool { return p.ledger.asks() > 2 })
			p.ledger.set(sup1.ID)
			p.comesFree()
			p.untilShown(callback.TypeAssigned, 1)
			serve(p, sup1)
		},
		want: opened + " assigned " + served,
	},
	{
		name: "draw-called-off-by-claim", policy: policy(hour(), named("tier3-escalation"), assigned(callback.AssignLeastLoaded)),
		play: func(p *play) {
			begin(p)
			p.until("a draw without candidates", func() bool { return p.ledger.asks() > 0 })
			take(p, sup2)
		},
		want: opened + " claimed " + served,
	},
	{
		name: "draw-overtaken-by-escalation", policy: policy(tats(2*time.Second, long), assigned(callback.AssignRandom)),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeEscalated, 1)
			take(p, mgr1)
		},
		want: opened + " breached escalated claimed " + served,
	},
	{
		name: "draw-overtaken-by-the-next-tiers", policy: policy(tats(2*time.Second, long), assigned(callback.AssignRandom), func(p *callback.Policy) {
			p.Ladder[1].Assign = callback.AssignLeastLoaded
		}),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeEscalated, 1)
			p.ledger.set(mgr1.ID)
			p.untilShown(callback.TypeAssigned, 1)
			serve(p, mgr1)
		},
		want: opened + " breached escalated assigned " + served,
	},
	{
		name: "draw-stands-still-while-held", policy: policy(hour(), assigned(callback.AssignRandom)),
		play: func(p *play) {
			begin(p)
			p.ledger.set(sup1.ID)
			p.untilShown(callback.TypeAssigned, 1)
			p.ledger.set()
			do(p, sup1, callback.Release{TextID: text()})
			p.until("a draw without candidates", func() bool { return p.ledger.asks() > 0 })
			do(p, sup1, callback.HoldClock{Until: later(time.Hour), TextID: text()})
			p.ledger.set(sup2.ID)
			do(p, sup1, callback.Resume{})
			p.untilShown(callback.TypeAssigned, 2)
			serve(p, sup2)
		},
		want: opened + " assigned released held resumed assigned " + served,
	},

	// What is sent twice, late, or in vain.
	{
		name: "refused-commands", policy: policy(hour()),
		play: refusals,
		want: opened + " claimed held resumed " + served,
	},
	{
		name: "update-with-start-duplicate", policy: policy(hour()),
		play: func(p *play) {
			first, r := newID(), p.request()
			p.createAs(first, r)
			p.createAs(first, r)
			p.accepted-- // the same request twice is once
			r.At = r.At.Plus(of(time.Second))
			p.create(r) // another one for a callback that is there is answered the same
			take(p, sup1)
		},
		want: opened + " claimed " + served,
	},
	{
		name: "command-repeated", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			claim := newID()
			doAs(p, claim, contract.Order[callback.Claim]{By: sup1})
			doAs(p, claim, contract.Order[callback.Claim]{By: sup1})
			p.accepted++
			do(p, sup1, callback.Start{})
			do(p, sup1, callback.Start{}) // starting twice is once, and both are answered
			do(p, sup1, reached)
			do(p, sup1, reached)
			do(p, sup1, complete())
		},
		want: opened + " claimed started attempted contacted attempted noted completed untagged",
	},
	{
		name: "late-by-system", policy: policy(tats(time.Second, long)),
		play: lateBySystem,
		want: opened + " breached escalated claimed customer_called " + served,
	},

	// The read model.
	{
		name: "workflow-projects", policy: policy(hour()),
		play: func(p *play) {
			in := contract.Input{Policy: p.policy, Request: p.request()}
			_, err := p.engine.ExecuteWorkflow(p.ctx, client.StartWorkflowOptions{ID: p.workflowID(), TaskQueue: p.queue}, contract.WorkflowType, in)
			p.must(err)
			p.untilShown(callback.TypeQueued, 1)
			doBlind(p, sup1, callback.Claim{})
			doBlind(p, sup1, callback.Start{})
			doBlind(p, sup1, reached)
			doBlind(p, sup1, complete())
		},
		want: opened + " claimed " + served,
	},
	{
		name: "database-outage", policy: policy(tats(4*time.Second, long), warnedAt("75%")),
		play: func(p *play) {
			begin(p)
			p.book.goAway()
			doBlind(p, sup1, callback.Claim{})
			p.until("the clock to go on", func() bool { return p.news(0).Version >= 7 })
			p.until("writes in vain", func() bool { return p.book.failures() > 3 })
			p.book.comeBack()
			p.untilShown(callback.TypeEscalated, 1)
			take(p, mgr1)
		},
		want: opened + " claimed warned breached escalated claimed " + served,
	},
	{
		name: "caller-writes-what-workflow-owes", policy: policy(tats(30*time.Second, long), warnedAt("29s")),
		play: func(p *play) {
			begin(p)
			p.book.goAway()
			p.until("the clock to go on", func() bool { return p.news(0).Version >= 4 })
			p.until("writes in vain", func() bool { return p.book.failures() > 3 }) // the next is a while off
			p.book.comeBack()
			do(p, sup1, callback.Claim{})
			serve(p, sup1)
		},
		want: opened + " warned claimed " + served,
	},
	{
		name: "read-model-behind", policy: policy(tats(4*time.Second, long), warnedAt("75%")),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			p.book.forget(1)
			p.untilShown(callback.TypeEscalated, 1)
			take(p, mgr1)
		},
		want: opened + " claimed warned breached escalated claimed " + served,
	},

	// The engine.
	{
		name: "continue-as-new", policy: policy(hour()), runs: 2, dynamic: shortRuns,
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			p.fill(sup1, 6)
			serve(p, sup1)
		},
		want: opened + " claimed noted noted noted noted noted noted " + served,
	},
	{
		name: "continue-as-new-owing", policy: policy(hour()), runs: 2, dynamic: shortRuns,
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			p.book.goAway()
			p.customerCalls()
			p.fill(sup1, 6)
			p.until("writes in vain", func() bool { return p.book.failures() > 3 })
			p.book.comeBack()
			p.untilShown(callback.TypeNoted, 6)
			serve(p, sup1)
		},
		want: opened + " claimed customer_called noted noted noted noted noted noted " + served,
	},
	{
		name: "worker-replaced", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			p.worker.Stop()
			p.startWorker()
			serve(p, sup1)
		},
		want: opened + " claimed " + served,
	},
	{
		name: "worker-killed", policy: policy(tats(2*time.Second, long)),
		play: afterKilling(func(*mortal) {}),
		want: opened + " breached escalated claimed " + served,
	},
	{
		name: "worker-killed-at-deadline", policy: policy(tats(2*time.Second, long)),
		play: afterKilling((*mortal).takeTask),
		want: opened + " breached escalated claimed " + served,
	},
	{
		name: "still-open-and-held", policy: policy(hour(), in(weekdays())), open: true,
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			do(p, sup1, callback.HoldClock{Until: later(4 * time.Hour), TextID: text()})
		},
		want: opened + " claimed held",
	},
}

// shortRuns makes the engine suggest a new run early.
var shortRuns = map[string]any{"limit.historyCount.suggestContinueAsNew": 36}

func later(d time.Duration) callback.Instant { return callback.At(time.Now().Add(d)) }

func (p *play) state() *callback.Callback {
	state, err := callback.Fold(nil, p.book.timeline())
	p.must(err)
	return state
}

// race lets everybody claim at once; who wins serves the customer (R04).
func (p *play) race(all ...callback.Person) {
	var wg sync.WaitGroup
	errs := make([]error, len(all))
	since := p.book.version()
	for i, by := range all {
		wg.Go(func() {
			_, errs[i] = order(p, newID(), contract.Order[callback.Claim]{By: by, Since: since, CallerProjects: true})
		})
	}
	wg.Wait()
	var winner *callback.Person
	for i, err := range errs {
		if errors.Is(err, callback.Refused(callback.CodeAlreadyClaimed)) {
			continue
		}
		p.must(err)
		p.mustBe(winner == nil, "two have claimed it")
		winner = &all[i]
	}
	p.accepted++
	p.settle(p.news(since).Events)
	serve(p, *winner)
}

// refusals are one command of each kind that the rules refuse; nothing of them is in a history.
func refusals(p *play) {
	begin(p)
	refused(p, callback.CodeStaleVersion, contract.Order[callback.Claim]{By: sup1, IfVersion: 2})
	refused(p, callback.CodeNotYourQueue, contract.Order[callback.Claim]{By: mgr1})
	refused(p, callback.CodeForbidden, contract.Order[callback.Claim]{By: audit1})
	refused(p, callback.CodeNotClaimed, contract.Order[callback.Start]{By: sup1})
	refused(p, callback.CodeForbidden, contract.Order[callback.Cancel]{By: sup1})
	do(p, sup1, callback.Claim{})
	refused(p, callback.CodeAlreadyClaimed, contract.Order[callback.Claim]{By: sup2})
	refused(p, callback.CodeNotAssignee, contract.Order[callback.Start]{By: sup2})
	refused(p, callback.CodeNotStarted, contract.Order[callback.Attempt]{By: sup1, Command: reached})
	refused(p, callback.CodeForbidden, contract.Order[callback.Reassign]{By: sup1, Command: callback.Reassign{To: sup2}})
	refused(p, callback.CodeTransferDownForbidden, contract.Order[callback.Reassign]{By: mgr1, Command: callback.Reassign{To: agent1}})
	refused(p, callback.CodeInvalid, contract.Order[callback.HoldClock]{By: sup1, Command: callback.HoldClock{Until: later(48 * time.Hour)}})
	refused(p, callback.CodeInvalid, contract.Order[callback.Reschedule]{By: sup1, Command: callback.Reschedule{For: later(-time.Hour)}})
	do(p, sup1, callback.HoldClock{Until: later(time.Hour), TextID: text()})
	refused(p, callback.CodeHeld, contract.Order[callback.Start]{By: sup1})
	do(p, sup1, callback.Resume{})
	do(p, sup1, callback.Start{})
	refused(p, callback.CodeInvalid, contract.Order[callback.Note]{By: sup1, Command: callback.Note{Kind: "essay"}})
	refused(p, callback.CodeResolutionReasonRequired, contract.Order[callback.Complete]{By: sup1})
	refused(p, callback.CodeUnknownResolutionReason, contract.Order[callback.Complete]{By: sup1, Command: callback.Complete{Reason: "tired"}})
	refused(p, callback.CodeContactRequired, contract.Order[callback.Complete]{By: sup1, Command: complete()})
	refused(p, callback.CodeAttemptsLeft, contract.Order[callback.Complete]{By: sup1, Command: callback.Complete{Reason: "unreachable", SummaryID: text()}})
	do(p, sup1, reached)
	refused(p, callback.CodeCallSummaryRequired, contract.Order[callback.Complete]{By: sup1, Command: callback.Complete{Reason: "resolved"}})
	do(p, sup1, complete())
}

// lateBySystem has no worker when the promise falls due; the next one finds the deadline, a signal and a command at once.
func lateBySystem(p *play) {
	begin(p)
	p.worker.Stop()
	time.Sleep(callback.SystemLateness + 2*time.Second)
	p.customerCalls()
	claimed := make(chan error, 1)
	since := p.book.version()
	go func() {
		_, err := order(p, newID(), contract.Order[callback.Claim]{By: mgr1, Since: since, CallerProjects: true})
		claimed <- err
	}()
	time.Sleep(500 * time.Millisecond)
	p.startWorker()
	p.must(<-claimed)
	p.accepted++
	p.settle(p.news(since).Events)
	missed := p.state().Promises[0]
	p.mustBe(missed.LateBy == callback.BySystem, "it was late by %q", missed.LateBy)
	serve(p, mgr1)
}

// fill writes notes and sees that they took the callback into another run.
func (p *play) fill(by callback.Person, n int) {
	before := p.run()
	for range n {
		if p.book.isAway() {
			doBlind(p, by, callback.Note{Kind: callback.KindNote, TextID: text()})
		} else {
			do(p, by, callback.Note{Kind: callback.KindNote, TextID: text()})
		}
	}
	p.mustBe(p.run() != before, "%d notes made no new run", n)
}

// afterKilling lets the worker be lost before the promise falls due, or in the very task of the deadline; another one goes
// on where it was (R27).
func afterKilling(when func(*mortal)) func(*play) {
	return func(p *play) {
		p.worker.Stop()
		dying := p.startMortalWorker()
		begin(p)
		when(dying)
		dying.kill()
		p.startWorker()
		p.untilShown(callback.TypeEscalated, 1)
		take(p, mgr1)
	}
}
