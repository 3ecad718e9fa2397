package desk

import (
	"net/url"
	"slices"
	"strconv"

	"ringback/api"
	"ringback/callback"
)

// openStatuses are those of callbacks that are not closed.
var openStatuses = []string{"scheduled", "queued", "claimed", "in_progress"}

// workPage is what somebody must do now, in order of promise.
type workPage struct {
	*Frame
	// First is the one to do now; Mine the others that the viewer is to call.
	First *workItem
	Mine  []*workItem
	// Owned are those that others call and the viewer answers for (R05).
	Owned []*item
	// Waiting are the first of those that the viewer may claim, of WaitingCount.
	Waiting      []*item
	WaitingCount int64
	// Promised are the viewer's own promises that are still open.
	Promised []*item
	// More than a page of them: the list has all.
	MoreMine, MoreOwned, MorePromised bool
}

// workItem is one of the viewer's own, with what others did to it last.
type workItem struct {
	*item
	News *told
}

const (
	waitingShown = 15
	newsShown    = 10
)

// work is the page of what the viewer must do now.
func (v *visit) work() error {
	v.Title, v.Nav = "My work", "work"
	v.Rules = rulesAbout("R04", "R05", "R16", "R10", "R11", "R07")
	p := &workPage{Frame: v.Frame}
	if _, err := v.policies(); err != nil {
		return err
	}
	mine, next, err := v.list(url.Values{"assignee": {v.Me.ID}, "status": openStatuses, "limit": {"100"}})
	if err != nil {
		return err
	}
	p.MoreMine = next != ""
	slices.SortStableFunc(mine, func(a, b *item) int { return a.urgency() - b.urgency() })
	for i, c := range mine {
		w := &workItem{item: c}
		if i < newsShown {
			if w.News, err = v.news(c); err != nil {
				return err
			}
		}
		if p.First == nil && c.Next() != nil && c.urgency() < urgencyLater { // nobody is urged to end a hold
			p.First = w
			continue
		}
		p.Mine = append(p.Mine, w)
	}
	if p.Owned, next, err = v.list(url.Values{"owner": {v.Me.ID}, "status": openStatuses, "limit": {"100"}}); err != nil {
		return err
	}
	p.MoreOwned = next != ""
	if err := v.waiting(p); err != nil {
		return err
	}
	p.Owned = slices.DeleteFunc(p.Owned, func(c *item) bool { // what is on the page already
		return c.Mine() || slices.ContainsFunc(p.Waiting, func(w *item) bool { return w.ID == c.ID })
	})
	if len(v.Me.Queues) == 0 && v.Commands() {
		if p.Promised, next, err = v.list(url.Values{"requested_by": {v.Me.ID}, "status": openStatuses, "limit": {"100"}}); err != nil {
			return err
		}
		p.MorePromised = next != ""
	}
	return v.show("work", p)
}

// waiting asks for what the viewer may claim.
func (v *visit) waiting(p *workPage) error {
	if len(v.Me.Queues) == 0 || !v.Commands() {
		return nil
	}
	claimable := url.Values{"status": {"queued"}, "queue": v.Me.Queues}
	var counts api.Counts
	err := v.get("/v1/counts", claimable, &counts)
	if err != nil {
		return err
	}
	p.WaitingCount = counts.Count
	claimable.Set("limit", strconv.Itoa(waitingShown))
	p.Waiting, _, err = v.list(claimable)
	return err
}

// How urgent something is; less is more.
const (
	urgencyNow = iota
	urgencyToClose
	urgencyLater
)

// urgency sorts what the viewer has: promises that run, then customers that
// were reached, then clocks that stand still. Within each it is the API's order.
func (c *item) urgency() int {
	switch {
	case c.Held || c.Status == string(callback.StatusScheduled):
		return urgencyLater
	case c.Contacted():
		return urgencyToClose
	}
	return urgencyNow
}

// news is what somebody else did last to one of the viewer's own; nil: nothing
// since the viewer did something.
func (v *visit) news(c *item) (*told, error) {
	var t api.Timeline
	if err := v.get(callbackPath(c.ID)+"/timeline", nil, &t); err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(t.Items) {
		switch {
		case e.Actor == v.Me.ID:
			return nil, nil //nolint:nilnil // documented
		case e.Type == string(callback.TypeTagged), e.Type == string(callback.TypeQueued), e.Type == string(callback.TypeRequested):
		default:
			return v.tell(e, nil), nil
		}
	}
	return nil, nil //nolint:nilnil // documented
}
