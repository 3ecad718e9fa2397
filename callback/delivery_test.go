package callback

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestR13_WhatIsOwedIsSaidOnceUntilItIsThere(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.does(sup1, Claim{})
	f.does(sup1, Note{Kind: KindNote, TextID: "n"})
	events := f.owes("freshdesk", "no_identity")
	require.Equal(t, []EventType{TypeDeliveryOwed}, types(events))
	require.Equal(t, [2]string{"system:freshdesk", "R13"}, [2]string{events[0].Actor, string(events[0].Rule)})
	require.Equal(t, []Debt{{Destination: "freshdesk", Seq: 5, Code: "no_identity", Since: f.at(0)}}, f.Owed)
	require.Empty(t, f.owes("freshdesk", "unavailable"), "once for as long as it is owed")

	f.passes(time.Minute)
	require.Empty(t, f.owes("oneview", "unavailable")[0].Rule)
	require.Len(t, f.Owed, 2)
	f.delivers("freshdesk", 5)
	require.Equal(t, []Debt{{Destination: "oneview", Seq: 6, Code: "unavailable", Since: f.at(time.Minute)}}, f.Owed)
	require.Empty(t, f.Confirm(f.policy, "oneview", 5, f.now, f.work()), "another event")
	require.Empty(t, f.Confirm(f.policy, "freshdesk", 5, f.now, f.work()), "not owed any more")
	f.happened(f.Confirm(f.policy, "oneview", 6, f.now, f.work()))
	_, fact := last[*Delivered](f)
	require.Equal(t, &Delivered{Destination: "oneview", Seq: 6, By: DeliveredByConfirmed}, fact)
	require.Empty(t, f.Owed)
}

func TestR13_APersonGivesUpWhatIsOwed(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	f.works(sup1)
	f.owes("freshdesk", "no_identity")
	f.owes("oneview", "gone")
	f.refuses(CodeForbidden, "R13", sup2, Waive{Destination: "freshdesk"})
	f.refuses(CodeNotFound, "", sup1, Waive{Destination: "zohodesk"})
	f.refuses(CodeNotFound, "", sup1, Waive{Destination: "freshdesk", Seq: 1})
	require.Contains(t, f.allows(sup1), CommandWaive)
	require.NotContains(t, f.allows(sup2), CommandWaive)
	f.does(sup1, Waive{Destination: "freshdesk", Seq: 5, CopiedByHand: true, TextID: "t1"})
	e, fact := last[*Delivered](f)
	require.Equal(t, [2]string{"sup1", "R13"}, [2]string{e.Actor, string(e.Rule)})
	require.Equal(t, &Delivered{Destination: "freshdesk", Seq: 5, By: DeliveredByHand, TextID: "t1"}, fact)

	f.reaches(sup1)
	f.does(sup1, Complete{Reason: "resolved", SummaryID: "s"})
	f.refuses(CodeClosed, "R09", mgr1, Cancel{})
	f.does(mgr1, Waive{Destination: "oneview", TextID: "t2"})
	_, fact = last[*Delivered](f)
	require.Equal(t, DeliveredByWaiving, fact.By)
	require.Equal(t, StatusCompleted, f.Status, "after the end")
	f.refuses(CodeClosed, "R09", mgr1, Waive{Destination: "oneview"})
	require.Empty(t, f.allows(mgr1))
}

func TestR09_ATagTakenOffByHandIsPutBack(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback())
	missing := func() []Event { return f.happened(f.TagMissing(f.policy, "system:freshdesk", f.now, f.work())) }
	events := missing()
	require.Equal(t, []EventType{TypeTagged}, types(events))
	require.Equal(t, Event{Seq: 4, At: f.at(0), Actor: "system:freshdesk", Tier: "supervisor", Rule: "R09", Fact: &Tagged{Tag: "Callback Required"}}, events[0])
	require.Equal(t, []string{"Callback Required"}, f.Tags)
	require.Empty(t, missing(), "told twice it is told once")
	f.passes(time.Minute)
	require.Len(t, missing(), 1)
	f.does(mgr1, Cancel{})
	f.passes(time.Hour)
	require.Empty(t, missing(), "only while it is open")
	require.Equal(t, []string{"Callback Not Served"}, f.Tags)

	without := openFloor(t, supervisorCallback(func(p *Policy) { p.Tag = TagRule{} }))
	require.Empty(t, without.TagMissing(without.policy, "system:freshdesk", without.now, without.work()))
}

func holdingOutages(p *Policy) { p.Outage.Hold = true }

func TestR23_AnOutageStopsTheClockAndItsEndLetsItGoOn(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(holdingOutages))
	f.passes(20 * time.Minute)
	events := f.outageBegins("o1")
	require.Equal(t, []EventType{TypeHeld}, types(events))
	require.Equal(t, [2]string{"mgr1", "R23"}, [2]string{events[0].Actor, string(events[0].Rule)})
	require.Equal(t, "o1", f.Outage)
	require.Equal(t, &Hold{
		Since: f.at(20 * time.Minute), Until: f.at(24*time.Hour + 20*time.Minute), Remaining: 40 * minute,
		WarnIn: []Duration{10 * minute, 34 * minute}, CountsFrom: f.at(20 * time.Minute), Outage: "o1",
	}, f.Hold)
	require.Empty(t, f.outageBegins("o1"))
	require.Empty(t, f.outageBegins("o2"), "one at a time")
	require.Empty(t, f.outageEnds("o2"), "another one's end")
	f.refuses(CodeHeld, "", sup1, Claim{})
	f.passes(2 * time.Hour)
	events = f.outageEnds("o1")
	require.Equal(t, []EventType{TypeResumed}, types(events))
	require.Equal(t, [2]string{"mgr2", "R23"}, [2]string{events[0].Actor, string(events[0].Rule)})
	require.Equal(t, f.at(2*time.Hour+time.Hour), f.DueAt, "the working time that remained")
	require.Empty(t, f.Outage)
	require.Nil(t, f.Hold)
	require.Empty(t, f.outageEnds("o1"))
	require.Len(t, f.outageBegins("o2"), 1)
}

func TestR23_WhatAnOutageOnlyLinks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change []func(*Policy)
		build  func(f *floor)
	}{
		"where the policy says nothing": {nil, func(*floor) {}},
		"a promise that has passed":     {[]func(*Policy){holdingOutages, supervisorsOnly}, func(f *floor) { f.passes(time.Hour) }},
		"what somebody holds": {[]func(*Policy){holdingOutages}, func(f *floor) {
			f.works(sup1)
			f.does(sup1, HoldClock{Until: f.at(10 * time.Hour)})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := openFloor(t, supervisorCallback(c.change...))
			c.build(f)
			before := f.Clone()
			f.outageBegins("o1")
			_, held := last[*Held](f)
			require.True(t, held.ClockRuns)
			require.Equal(t, "o1", f.Outage)
			require.Equal(t, before.Hold, f.Hold)
			f.outageEnds("o1")
			_, resumed := last[*Resumed](f)
			require.True(t, resumed.ClockKept)
			after := f.Clone()
			after.Version, after.UpdatedAt = before.Version, before.UpdatedAt
			require.Equal(t, before, after, "the clock is as it was")
		})
	}
}

func TestR23_ResumedBeforeTheOutageEnds(t *testing.T) {
	t.Parallel()
	f := openFloor(t, supervisorCallback(holdingOutages))
	f.works(sup1)
	f.outageBegins("o1")
	f.passes(time.Hour)
	f.does(sup1, Resume{})
	require.Equal(t, "o1", f.Outage, "still affected")
	due := f.DueAt
	f.outageEnds("o1")
	require.Equal(t, due, f.DueAt)
	require.Empty(t, f.Outage)

	f = openFloor(t, supervisorCallback(holdingOutages))
	f.outageBegins("o1")
	f.passes(24 * time.Hour)
	_, resumed := last[*Resumed](f)
	require.Equal(t, byClock, resumed.By, "no hold is longer than the policy allows")
	require.Equal(t, f.at(25*time.Hour), f.DueAt)
}

func TestR23_PromisedDuringAnOutage(t *testing.T) {
	t.Parallel()
	news := &OutageNews{Outage: "o1", By: mgr1.ID}
	f := requestFloor(t, supervisorCallback(holdingOutages), Request{ID: "c1", By: assoc1.ID, At: At(monday), Outage: news})
	require.Equal(t, []EventType{TypeRequested, TypeTagged, TypeQueued, TypeHeld}, types(f.events))
	require.Equal(t, hour, f.Hold.Remaining)
	f.passes(3 * time.Hour)
	f.outageEnds("o1")
	require.Equal(t, f.at(4*time.Hour), f.DueAt)

	later := requestFloor(t, supervisorCallback(holdingOutages), Request{
		ID: "c2", By: assoc1.ID, At: At(monday), ScheduledFor: At(monday.Add(2 * time.Hour)), Outage: news,
	})
	later.passes(3 * time.Hour)
	require.Equal(t, []EventType{TypeResumed, TypeQueued}, types(later.outageEnds("o1")), "its time has come meanwhile")
	require.Equal(t, later.at(4*time.Hour), later.DueAt)

	linked := requestFloor(t, supervisorCallback(), Request{ID: "c3", By: assoc1.ID, At: At(monday), Outage: news})
	require.Nil(t, linked.Hold)
	require.Equal(t, "o1", linked.Outage)
	linked.does(mgr1, Cancel{})
	require.Empty(t, linked.outageEnds("o1"), "closed, nobody waits")
}
