package desk

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"ringback/api"
	"ringback/callback"
)

// wallPage is for a big screen: how the floor stands, without a name of a customer.
type wallPage struct {
	*Frame
	Open, Overdue, Waiting, Working int64
	FirstDueAt                      callback.Instant
	Queues                          []*wallQueue
	Today                           api.Stats
	Tiers                           []*wallTier
	// Bare leaves out what is around the page.
	Bare bool
}

type wallQueue struct {
	Name                                   string
	Scheduled, Waiting, Claimed, InProgess int64
	Overdue                                int64
	FirstDueAt                             callback.Instant
	Tone                                   tone
}

// wallTier is who of a tier says what of themselves.
type wallTier struct {
	Name             string
	Free, Busy, Away int
}

func (v *visit) wallboard() error {
	v.Title, v.Nav = "Wallboard", "wallboard"
	v.Rules = rulesAbout("R01", "R02", "R03", "R10")
	p := &wallPage{Frame: v.Frame, Bare: v.URL.Query().Get("bare") != ""}
	var counts api.Counts
	err := v.get("/v1/counts", url.Values{"status": openStatuses, "by": {"queue", "status"}}, &counts)
	if err != nil {
		return err
	}
	p.Open, p.Overdue, p.FirstDueAt = counts.Count, counts.Overdue, counts.FirstDueAt
	for _, g := range counts.Groups {
		p.count(g)
	}
	slices.SortFunc(p.Queues, func(a, b *wallQueue) int { // what has no promise to keep comes last
		switch {
		case a.FirstDueAt.IsZero() != b.FirstDueAt.IsZero():
			return map[bool]int{true: 1, false: -1}[a.FirstDueAt.IsZero()]
		case !a.FirstDueAt.Equal(b.FirstDueAt.Time):
			return a.FirstDueAt.Compare(b.FirstDueAt.Time)
		}
		return strings.Compare(a.Name, b.Name)
	})
	today := v.now.In(v.Zone)
	midnight := time.Date(today.Year(), today.Month(), today.Day(), 0, 0, 0, 0, v.Zone)
	if err := v.get("/v1/stats", url.Values{"from": {callback.At(midnight).String()}}, &p.Today); err != nil {
		return err
	}
	var there api.Availability
	if err := v.get("/v1/availability", nil, &there); err != nil {
		return err
	}
	// Only whom a ladder knows is ever transferred to; in the order of the ladders.
	choices, err := v.choose(nil)
	if err != nil {
		return err
	}
	for _, name := range choices.Tiers {
		p.Tiers = append(p.Tiers, &wallTier{Name: name})
	}
	for _, c := range there.Items {
		p.present(c)
	}
	return v.show("wallboard", p)
}

func (p *wallPage) count(g api.CountGroup) {
	name := text(g.Queue)
	i := slices.IndexFunc(p.Queues, func(q *wallQueue) bool { return q.Name == name })
	if i < 0 {
		i = len(p.Queues)
		p.Queues = append(p.Queues, &wallQueue{Name: name, Tone: toneCalm})
	}
	q := p.Queues[i]
	switch callback.Status(text(g.Status)) {
	case callback.StatusScheduled:
		q.Scheduled += g.Count
	case callback.StatusQueued:
		q.Waiting += g.Count
		p.Waiting += g.Count
	case callback.StatusClaimed:
		q.Claimed += g.Count
		p.Working += g.Count
	case callback.StatusInProgress:
		q.InProgess += g.Count
		p.Working += g.Count
	case callback.StatusCompleted, callback.StatusCancelled:
	}
	q.Overdue += g.Overdue
	if !g.FirstDueAt.IsZero() && (q.FirstDueAt.IsZero() || g.FirstDueAt.Before(q.FirstDueAt.Time)) {
		q.FirstDueAt = g.FirstDueAt
	}
	switch left := q.FirstDueAt.Sub(p.now); {
	case q.Overdue > 0:
		q.Tone = toneLate
	case !q.FirstDueAt.IsZero() && left < 10*time.Minute:
		q.Tone = toneWarn
	}
}

func (p *wallPage) present(c api.Candidate) {
	i := slices.IndexFunc(p.Tiers, func(t *wallTier) bool { return t.Name == c.Tier })
	switch {
	case i < 0:
	case c.Free:
		p.Tiers[i].Free++
	case text(c.State) == "busy":
		p.Tiers[i].Busy++
	default:
		p.Tiers[i].Away++
	}
}

// Percent is a share of one, in words; empty while nothing is decided.
func percent(share *float64) string {
	if share == nil {
		return "–"
	}
	return number(*share*100) + " %"
}
