package main

import (
	"slices"
	"time"

	"ringback/callback"
	"ringback/connectors"
	"ringback/contract"
)

// tickets is what a ticket desk is given, notes what a note sink is, rare what hardly ever happens.
var (
	tickets = []callback.EventType{callback.TypeTagged, callback.TypeUntagged, callback.TypeQueued, callback.TypeEscalated, callback.TypeNoted, callback.TypeHeld, callback.TypeResumed}
	notes   = []callback.EventType{callback.TypeNoted}
	rare    = []callback.EventType{callback.TypeReassigned}
)

func freshdesk() []contract.Destination {
	return []contract.Destination{{Name: "freshdesk", Types: tickets}}
}

func both() []contract.Destination {
	return append(freshdesk(), contract.Destination{Name: "oneview", Types: notes})
}

// note writes a note: an event that both want.
func note(p *play) {
	do(p, sup1, callback.Note{Kind: callback.KindNote, TextID: text()})
}

func (p *play) signal(name string, in any) {
	p.must(p.engine.SignalWorkflow(p.ctx, p.workflowID(), "", name, in))
}

func (p *play) outageBegins(id string) {
	p.signal(contract.SignalOutageBegan, callback.OutageNews{Outage: id, By: mgr1.ID})
}

func (p *play) outageEnds(id string) {
	p.signal(contract.SignalOutageEnded, callback.OutageNews{Outage: id, By: mgr1.ID})
}

func holding(p *callback.Policy) { p.Outage.Hold = true }

// outages have ids like those of callbacks.
const (
	outage1 = "0193a0c0-0000-7000-8000-000000000001"
	outage2 = "0193a0c0-0000-7000-8000-000000000002"
)

// outwardPaths are the ways to other systems and through outages: what v2 has brought.
var outwardPaths = []path{
	{
		name: "delivered", since: "v2", policy: policy(hour()), to: freshdesk(),
		play: func(p *play) { begin(p); take(p, sup1) },
		want: opened + " claimed " + served + " delivered",
	},
	{
		name: "delivered-to-two", since: "v2", policy: policy(hour()), to: both(),
		play: func(p *play) {
			begin(p)
			note(p)
			take(p, sup1)
		},
		want: opened + " noted claimed " + served + " delivered delivered",
	},
	{
		name: "nothing-wanted", since: "v2", policy: policy(hour()), to: []contract.Destination{{Name: "webhook", Types: rare}},
		play: func(p *play) { begin(p); take(p, sup1) },
		want: opened + " claimed " + served,
	},
	{
		name: "delivered-after-escalation", since: "v2", policy: policy(tats(2*time.Second, long)), to: freshdesk(),
		play: func(p *play) {
			begin(p)
			p.untilShown(callback.TypeEscalated, 1)
			take(p, mgr1)
		},
		want: opened + " breached escalated claimed " + served + " delivered",
	},
	{
		name: "owed-then-delivered", since: "v2", policy: policy(hour()), to: freshdesk(),
		play: func(p *play) {
			p.systems["freshdesk"].refuses(0, connectors.Unavailable)
			begin(p)
			p.untilShown(callback.TypeDeliveryOwed, 1)
			note(p)
			p.systems["freshdesk"].refuses(0, "")
			p.untilShown(callback.TypeDelivered, 1)
			p.until("the note", func() bool { return slices.Contains(p.systems["freshdesk"].has(), 5) })
			take(p, sup1)
		},
		want: opened + " delivery_owed noted delivered claimed " + served + " delivered",
	},
	{
		name: "owed-past-the-end", since: "v2", policy: policy(hour()), to: []contract.Destination{{Name: "oneview", Types: notes}},
		play: func(p *play) {
			p.systems["oneview"].refuses(0, connectors.Unauthorized)
			begin(p)
			take(p, sup1)
			p.untilShown(callback.TypeDeliveryOwed, 1)
			p.systems["oneview"].refuses(0, "")
		},
		want: opened + " claimed " + served + " delivery_owed delivered",
	},
	{
		name: "second-of-a-batch-owed-and-waived", since: "v2", policy: policy(hour()), to: freshdesk(),
		play: func(p *play) {
			p.systems["freshdesk"].refuses(3, connectors.Gone)
			begin(p)
			p.untilShown(callback.TypeDeliveryOwed, 1)
			do(p, mgr1, callback.Waive{Destination: "freshdesk", Seq: 3, TextID: text()})
			take(p, sup1)
		},
		want: opened + " delivery_owed delivered claimed " + served + " delivered",
	},
	{
		name: "copied-by-hand-after-the-end", since: "v2", policy: policy(hour()), to: []contract.Destination{{Name: "oneview", Types: notes}},
		play: func(p *play) {
			p.systems["oneview"].refuses(0, connectors.NoIdentity)
			begin(p)
			take(p, sup1)
			p.untilShown(callback.TypeDeliveryOwed, 1)
			do(p, sup1, callback.Waive{Destination: "oneview", CopiedByHand: true, TextID: text()})
		},
		want: opened + " claimed " + served + " delivery_owed delivered",
	},
	{
		name: "waived-while-it-is-tried", since: "v2", policy: policy(hour()), to: freshdesk(),
		play: func(p *play) {
			p.systems["freshdesk"].refuses(2, connectors.Rejected)
			begin(p)
			p.untilShown(callback.TypeDeliveryOwed, 1)
			release := p.systems["freshdesk"].holds()
			p.hurry()
			<-p.systems["freshdesk"].entered
			do(p, mgr1, callback.Waive{Destination: "freshdesk", TextID: text()})
			note(p)
			release()
			take(p, sup1)
		},
		want: opened + " delivery_owed delivered noted claimed " + served + " delivered",
	},
	{
		name: "arrived-after-all", since: "v2", policy: policy(hour()), to: freshdesk(),
		play: func(p *play) {
			p.systems["freshdesk"].refuses(2, connectors.Unavailable)
			begin(p)
			p.untilShown(callback.TypeDeliveryOwed, 1)
			p.signal(contract.SignalDeliveryConfirmed, contract.DeliveryConfirmed{Destination: "freshdesk", Seq: 3})
			p.signal(contract.SignalDeliveryConfirmed, contract.DeliveryConfirmed{Destination: "freshdesk", Seq: 2})
			p.untilShown(callback.TypeDelivered, 1)
			take(p, sup1)
		},
		want: opened + " delivery_owed delivered claimed " + served + " delivered",
	},
	{
		name: "no-worker-for-deliveries", since: "v2", policy: policy(hour()), to: freshdesk(), patience: 4 * time.Minute,
		play: func(p *play) {
			p.systems["freshdesk"].stop()
			begin(p)
			take(p, sup1)
			p.untilShown(callback.TypeDeliveryOwed, 1)
			p.systems["freshdesk"].start()
		},
		want: opened + " claimed " + served + " delivery_owed delivered delivered",
	},
	{
		name: "tag-put-back", since: "v2", policy: policy(hour()), to: freshdesk(),
		play: func(p *play) {
			begin(p)
			p.signal(contract.SignalTagMissing, contract.TagMissing{By: "system:freshdesk"})
			p.signal(contract.SignalTagMissing, contract.TagMissing{By: "system:freshdesk"})
			p.untilShown(callback.TypeTagged, 2)
			take(p, sup1)
		},
		want: opened + " tagged claimed " + served + " delivered",
	},
	{
		name: "owed-over-two-runs", since: "v2", policy: policy(hour()), to: []contract.Destination{{Name: "oneview", Types: notes}},
		runs: 2, dynamic: map[string]any{"limit.historyCount.suggestContinueAsNew": 62},
		play: func(p *play) {
			p.systems["oneview"].refuses(0, connectors.Unavailable)
			begin(p)
			note(p)
			p.untilShown(callback.TypeDeliveryOwed, 1)
			before := p.run()
			for range 9 {
				note(p)
			}
			p.until("another run", func() bool { return p.run() != before })
			p.systems["oneview"].refuses(0, "")
			p.untilShown(callback.TypeDelivered, 1)
			take(p, sup1)
		},
		want: opened + " noted delivery_owed noted noted noted noted noted noted noted noted noted delivered claimed " + served + " delivered",
	},
	{
		name: "outage-holds", since: "v2", policy: policy(hour(), holding), to: freshdesk(),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			p.outageBegins(outage1)
			p.outageBegins(outage1)
			p.untilShown(callback.TypeHeld, 1)
			refused(p, callback.CodeHeld, contract.Order[callback.Start]{By: sup1})
			p.outageEnds(outage2)
			p.outageEnds(outage1)
			p.untilShown(callback.TypeResumed, 1)
			serve(p, sup1)
		},
		want: opened + " claimed held resumed " + served + " delivered",
	},
	{
		name: "outage-holds-in-working-time", since: "v2", policy: policy(hour(), holding, in(always())),
		play: func(p *play) {
			begin(p)
			p.outageBegins(outage1)
			p.untilShown(callback.TypeHeld, 1)
			p.outageEnds(outage1)
			p.untilShown(callback.TypeResumed, 1)
			take(p, sup1)
		},
		want: opened + " held resumed claimed " + served,
	},
	{
		name: "outage-links", since: "v2", policy: policy(hour()),
		play: func(p *play) {
			begin(p)
			p.outageBegins(outage1)
			p.untilShown(callback.TypeHeld, 1)
			do(p, sup1, callback.Claim{})
			p.outageEnds(outage1)
			p.untilShown(callback.TypeResumed, 1)
			p.outageBegins(outage2)
			p.untilShown(callback.TypeHeld, 2)
			serve(p, sup1)
		},
		want: opened + " held claimed resumed held " + served,
	},
	{
		name: "outage-from-the-beginning", since: "v2", policy: policy(hour(), holding), to: freshdesk(),
		play: func(p *play) {
			r := p.request()
			r.Outage = &callback.OutageNews{Outage: outage1, By: mgr1.ID}
			p.create(r)
			p.outageEnds(outage1)
			p.untilShown(callback.TypeResumed, 1)
			take(p, sup1)
		},
		want: opened + " held resumed claimed " + served + " delivered",
	},
	{
		name: "outage-resumed-by-hand", since: "v2", policy: policy(hour(), holding),
		play: func(p *play) {
			begin(p)
			do(p, sup1, callback.Claim{})
			p.outageBegins(outage1)
			p.untilShown(callback.TypeHeld, 1)
			do(p, sup1, callback.Resume{})
			p.outageEnds(outage1)
			p.untilShown(callback.TypeResumed, 2)
			serve(p, sup1)
		},
		want: opened + " claimed held resumed resumed " + served,
	},
}

// hurry has what is owed tried at once.
func (p *play) hurry() { p.must(p.api.HurryDelivery(p.ctx, p.id)) }
