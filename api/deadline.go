package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
)

// Deadline explains a promise: under which policy, from when, through which
// working time and which holds it comes to its due_at, and what comes next.
type (
	Deadline struct {
		Policy        *Policy          `json:"policy" doc:"the one that the callback began with; null: nobody knows it"`
		PolicyVersion *string          `json:"policy_version" doc:"names the policy's content: two callbacks with the same one have the same rules"`
		TierIndex     int              `json:"tier_index"`
		CountsFrom    callback.Instant `json:"counts_from" doc:"where the promise at this tier counts from"`
		TAT           string           `json:"tat" example:"1h0m0s" doc:"in working time of the policy's calendar"`
		DueAt         callback.Instant `json:"due_at"`
		WarnAt        []string         `json:"warn_at" format:"date-time" doc:"warnings still to come"`
		StartBy       callback.Instant `json:"start_by" doc:"claimed and not started by then, it goes back to its queue"`
		NextAt        callback.Instant `json:"next_at" doc:"when time alone brings something about next; null: never"`
		Next          *string          `json:"next" doc:"what that is" enum:"end of hold,release,reminder,opening,warning,deadline"`
		Segments      []Segment        `json:"segments" doc:"the working time that the promise takes up, in order; the last one ends at due_at"`
		Holds         []HoldSpan       `json:"holds" doc:"while the clock stood still at this tier"`
		HeldUntil     callback.Instant `json:"held_until" doc:"while it stands still: when it goes on at the latest"`
		Remaining     *string          `json:"remaining" doc:"while it stands still: the working time that is left" example:"24m0s"`
		Promises      []Promise        `json:"promises" doc:"one per tier so far, and what became of it"`
	}
	// Segment is a stretch of working time, from a first instant up to a last.
	Segment struct {
		From callback.Instant `json:"from"`
		To   callback.Instant `json:"to"`
	}
	// HoldSpan is a time for which the clock stood still.
	HoldSpan struct {
		From   callback.Instant `json:"from"`
		To     callback.Instant `json:"to" doc:"when it went on, or will at the latest"`
		Actor  string           `json:"actor" doc:"who stopped it"`
		Outage *string          `json:"outage" doc:"the outage for which it was (R23); null: none"`
		Over   bool             `json:"over"`
	}
	// Promise is what one tier owed, and what became of it (CONTRACT §4, stats).
	Promise struct {
		TierIndex int              `json:"tier_index"`
		Tier      string           `json:"tier"`
		Queue     string           `json:"queue"`
		MadeAt    callback.Instant `json:"made_at"`
		DueAt     callback.Instant `json:"due_at"`
		Result    string           `json:"result" enum:"open,kept,missed,dropped" doc:"dropped: a higher tier's took its place before its time"`
		ResultAt  callback.Instant `json:"result_at"`
		LateBy    *string          `json:"late_by" enum:"people,system" doc:"who let it pass"`
	}
)

// TransformSchema implements huma.SchemaTransformer.
func (Deadline) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	nullable(s, "policy")
	return enumOrNull(s, "next")
}

// TransformSchema implements huma.SchemaTransformer.
func (Promise) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return enumOrNull(s, "late_by")
}

// policyVersionLength is how many digits of a policy's hash name it: enough for
// people to compare.
const policyVersionLength = 12

func (a *API) deadlineOperations() []*operation {
	return []*operation{{
		method: http.MethodGet, path: "/v1/callbacks/{id}/deadline", id: "deadline", tag: "callbacks", access: accessRead,
		summary: "Why it is due when it is due",
		doc:     "The promise as it was made (R02): its policy, its working time, the holds, and what the clock does next.",
		answers: []reply{{http.StatusOK, "the explanation", Deadline{}, ""}},
		serve: func(ctx context.Context, r *request) (*answer, error) {
			v, err := a.read(ctx, r)
			if err != nil {
				return nil, err
			}
			policy, err := a.policyOf(ctx, v.Intake)
			if err != nil {
				return nil, err
			}
			entries, err := a.book.Timeline(ctx, r.callbackID)
			if err != nil {
				return nil, err
			}
			return ok(explain(v, policy, entries))
		},
	}}
}

// explain retells how the promise of the current tier came to its due_at.
func explain(v *book.View, p *callback.Policy, entries []book.Entry) Deadline {
	c := v.State
	d := Deadline{
		TierIndex: c.TierIndex, DueAt: c.DueAt, WarnAt: []string{}, StartBy: c.StartBy,
		Segments: []Segment{}, Holds: []HoldSpan{}, Promises: []Promise{},
	}
	for _, at := range c.WarnAt {
		d.WarnAt = append(d.WarnAt, at.String())
	}
	if next, set := c.Next(); set {
		d.NextAt, d.Next = next, null(c.NextIs())
	}
	if h := c.Hold; h != nil {
		d.HeldUntil, d.Remaining = h.Until, null(h.Remaining.String())
	}
	for _, o := range c.Promises {
		d.Promises = append(d.Promises, Promise{
			o.TierIndex, o.Tier, o.Queue, o.MadeAt, o.DueAt, string(o.Result), o.At, null(string(o.LateBy)),
		})
	}
	if !knows(p, c) {
		return d
	}
	if hash := v.Intake.PolicyHash; len(hash) > policyVersionLength {
		d.PolicyVersion = null(hash[:policyVersionLength])
	}
	shown := policyAs(p)
	d.Policy, d.TAT = &shown, p.Ladder[c.TierIndex].TAT.String()
	clock := retelling{policy: p}
	for _, e := range entries {
		clock.hear(e.Event)
	}
	d.CountsFrom = clock.from
	d.Segments, d.Holds = list(clock.segments), list(clock.holds)
	return d
}

// retelling follows the clock of one tier through the events.
type retelling struct {
	policy   *callback.Policy
	tier     int
	from     callback.Instant
	segments []Segment
	holds    []HoldSpan
	// left is the working time that a hold keeps; 0 where the promise had been met.
	left callback.Duration
}

func (r *retelling) hear(e callback.Event) {
	switch f := e.Fact.(type) {
	case *callback.Requested:
		r.begin(f.TierIndex, e.At)
	case *callback.Scheduled:
		r.begin(r.tier, f.For)
	case *callback.Escalated:
		r.begin(f.TierIndex, e.At)
	case *callback.Rescheduled:
		r.begin(r.tier, f.For)
	case *callback.Held:
		if f.ClockRuns {
			return // linked to an outage that lets the clock be (R23)
		}
		r.holds = append(r.holds, HoldSpan{From: e.At, To: f.Until, Actor: e.Actor, Outage: null(f.Outage)})
		r.left = f.Remaining
		r.standStill()
	case *callback.Resumed:
		n := len(r.holds)
		if n == 0 || f.ClockKept {
			return
		}
		h := &r.holds[n-1]
		h.Over = true
		if f.By != callback.ActorClock {
			h.To = e.At
		} // else it went on when it was to, whoever looked late (R02)
		r.standStill()
	}
}

// begin starts a promise afresh.
func (r *retelling) begin(tier int, from callback.Instant) {
	r.tier, r.from, r.segments, r.holds = tier, from, nil, nil
	r.run(from, r.policy.Ladder[tier].TAT)
}

func (r *retelling) run(from callback.Instant, d callback.Duration) {
	for _, s := range r.policy.Calendar.Segments(from.Time, time.Duration(d)) {
		r.segments = append(r.segments, Segment{callback.At(s.From), callback.At(s.To)})
	}
}

// standStill takes the working time after the beginning of the last hold away,
// and lets what is left run from its end: not before the promise counts.
func (r *retelling) standStill() {
	if r.left == 0 {
		return
	}
	h := r.holds[len(r.holds)-1]
	var before []Segment
	for _, s := range r.segments {
		if s.To.After(h.From.Time) {
			s.To = h.From
		}
		if s.From.Before(s.To.Time) {
			before = append(before, s)
		}
	}
	r.segments = before
	on := h.To
	if r.from.After(on.Time) {
		on = r.from
	}
	r.run(on, r.left)
}
