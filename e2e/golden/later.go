package main

import (
	"errors"
	"time"

	"ringback/callback"
	"ringback/contract"
)

// holdsInWorkingTime is the edition of the rules that v3 has brought.
func holdsInWorkingTime(p *callback.Policy) { p.Edition = callback.EditionWorkingHolds }

// roomyRuns lets the engine suggest a new run early, but not twice in one path.
var roomyRuns = map[string]any{"limit.historyCount.suggestContinueAsNew": 60}

// repeatedPaths are requests that are made again in a later run, and what the second edition of the rules does otherwise:
// what v3 has brought.
var repeatedPaths = []path{
	{
		name: "repeated-after-continue-as-new", since: "v3", policy: policy(hour(), holdsInWorkingTime), runs: 2, dynamic: roomyRuns,
		play: repeatedInALaterRun,
		want: opened + " claimed customer_called started attempted " + "noted noted noted noted noted noted noted " + "attempted contacted noted completed untagged",
	},
	{
		name: "reassigned-while-held-before-its-time", since: "v3", policy: policy(hour(), holding, holdsInWorkingTime),
		play: func(p *play) {
			r := p.request()
			r.ScheduledFor = later(20 * time.Hour)
			p.create(r)
			p.outageBegins(outage1)
			p.untilShown(callback.TypeHeld, 1)
			due := p.state().DueAt
			do(p, mgr1, callback.Reassign{To: sup1, TextID: text()})
			p.outageEnds(outage1)
			p.untilShown(callback.TypeResumed, 1)
			p.mustBe(r.ScheduledFor.Before(p.state().DueAt.Time) && p.state().DueAt.Before(due.Time), "it is due at %s", p.state().DueAt)
			serve(p, sup1)
		},
		want: "requested tagged scheduled held queued reassigned resumed " + served,
	},
	{
		name: "start-within-over-a-hold", since: "v3", policy: policy(hour(), startedWithin(time.Hour), in(always()), holdsInWorkingTime),
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
		name: "claimed-when-the-clock-escalated", since: "v3", policy: policy(tats(2*time.Second, long), holdsInWorkingTime),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			p.untilShown(callback.TypeEscalated, 1)
			do(p, sup1, reached)
			do(p, sup1, complete())
		},
		want: opened + " claimed breached escalated attempted contacted noted completed untagged",
	},
}

// repeatedInALaterRun gives commands, and tells something, whose answers are lost: the requests come again when the
// callback has gone on in another run.
func repeatedInALaterRun(p *play) {
	begin(p)
	claimed, attempted, called := newID(), newID(), contract.CustomerCalled{By: agent1.ID, TextID: text(), Operation: newID()}
	again := func() {
		doAs(p, claimed, contract.Order[callback.Claim]{By: sup1})
		p.must(p.api.CustomerCalled(p.ctx, p.id, called))
		p.must(p.api.CustomerCalled(p.ctx, p.id, called))
		p.untilShown(callback.TypeCustomerCalled, 1)
	}
	attempt := func() {
		doAs(p, attempted, contract.Order[callback.Attempt]{By: sup1, Command: callback.Attempt{Disposition: callback.NoAnswer}})
	}
	again()
	do(p, sup1, callback.Start{})
	attempt()
	p.fill(sup1, 7)
	version := p.book.version()
	_, err := order(p, claimed, contract.Order[callback.Claim]{By: sup1, Digest: digest(attempted)})
	p.mustBe(errors.Is(err, callback.Refused(callback.CodeIdempotencyKeyReused)), "another body: %v", err)
	again()
	attempt()
	p.mustBe(p.book.version() == version, "something happened twice")
	p.accepted += 4 // of each command both are in the history
	do(p, sup1, reached)
	do(p, sup1, complete())
}
