package callback

import (
	"testing"
	"time"
)

// aLife is a callback whose supervisor reached the customer, and its events.
func aLife(tb testing.TB) *floor {
	f := openFloor(tb, supervisorCallback())
	f.reaches(sup1)
	f.does(sup1, Complete{Reason: "resolved", SummaryID: "s"})
	return f
}

func BenchmarkDo(b *testing.B) {
	fresh := openFloor(b, supervisorCallback())
	working := openFloor(b, supervisorCallback())
	working.works(sup1)
	for _, c := range []struct {
		name string
		on   *floor
		by   Person
		cmd  Command
	}{
		{"claim", fresh, sup1, Claim{}},
		{"refused", fresh, mgr1, Claim{}},
		{"reached", working, sup1, Attempt{Disposition: Reached}},
		{"escalate", working, sup1, Escalate{}},
		{"hold", working, sup1, HoldClock{Until: working.at(time.Hour)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				state := *c.on.Callback // Do works on a copy and then assigns: this is enough
				_, _ = state.Do(c.on.policy, c.cmd, c.by, c.on.now, c.on.work())
			}
		})
	}
}

func BenchmarkAdvance(b *testing.B) {
	f := openFloor(b, supervisorCallback())
	for _, c := range []struct {
		name  string
		after time.Duration
	}{{"nothing due", time.Minute}, {"warned", 30 * time.Minute}, {"escalated", time.Hour}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				state := *f.Callback
				state.Advance(f.policy, monday.Add(c.after), f.work())
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	f := openFloor(b, supervisorCallback())
	b.ReportAllocs()
	for b.Loop() {
		f.Next()
	}
}

func BenchmarkAllowed(b *testing.B) {
	f := openFloor(b, supervisorCallback())
	f.works(sup1)
	b.ReportAllocs()
	for b.Loop() {
		f.allows(sup1)
	}
}

func BenchmarkFold(b *testing.B) {
	f := aLife(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Fold(nil, f.events); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(f.events)), "events/op")
}
