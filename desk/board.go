package desk

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"ringback/api"
	"ringback/callback"
)

// boardPage shows callbacks by status, in lanes of tier or queue. Each cell
// shows its first callbacks by promise, and how many it has in all.
type boardPage struct {
	*Frame
	Choices *choices
	LanesBy string
	Lanes   []lane
	Total   int64
	// Query is the page's own, for what it loads besides.
	Query string
}

type lane struct {
	Name  string
	Count int64
	Cells []*cell
}

// cell is one status of one lane.
type cell struct {
	Status, Lane string
	Count        int64
	Items        []*item
	// Next is the cursor of what comes after Items; Last the place of the last one.
	Next, Last string
}

// More is how many are there besides those shown.
func (c *cell) More() int64 { return c.Count - int64(len(c.Items)) }

const (
	cellShown   = 50 // without lanes
	laneShown   = 15
	cardsAtOnce = 100 // the API takes no more values
)

// lanes are what a board can be cut into; without one, it is whole.
var lanes = []string{"tier", "queue"}

// Place is where a callback is in the API's order by promise, as text that
// sorts the same way: who called in again first, then by promise, then by id.
func (c *item) Place() string {
	ahead, due := "1", "9"
	if c.Status == string(callback.StatusQueued) && !c.CustomerCalledAt.IsZero() {
		ahead = "0"
	}
	if !c.DueAt.IsZero() {
		due = c.DueAt.String()
	}
	return ahead + due + c.ID
}

// Lane is the value by which it is in a lane.
func (c *item) Lane(by string) string {
	switch by {
	case "tier":
		return c.Tier
	case "queue":
		return c.Queue
	}
	return ""
}

func (v *visit) board() error {
	v.Title, v.Nav, v.Module = "Board", "board", "board.js"
	v.Rules = rulesAbout("R15", "R04", "R16", "R09", "R11")
	p := &boardPage{Frame: v.Frame}
	f := v.filters()
	f.Del("status")
	var err error
	if p.Choices, err = v.choose(with(f)); err != nil {
		return err
	}
	if by := v.URL.Query().Get("lanes"); slices.Contains(lanes, by) {
		p.LanesBy = by
	}
	p.Query = with(f, "lanes", p.LanesBy).Encode()
	f["status"] = openStatuses
	asked := with(f)
	asked["by"] = []string{"status"}
	if p.LanesBy != "" {
		asked.Add("by", p.LanesBy)
	}
	var counts api.Counts
	if err := v.get("/v1/counts", asked, &counts); err != nil {
		return err
	}
	p.Total = counts.Count
	p.arrange(&counts)
	for i := range p.Lanes {
		for _, c := range p.Lanes[i].Cells {
			if err := v.fill(c, p.LanesBy, f, ""); err != nil {
				return err
			}
		}
	}
	return v.show("board", p)
}

// arrange makes lanes and cells of what there is.
func (p *boardPage) arrange(counts *api.Counts) {
	names := []string{""}
	if p.LanesBy != "" {
		names = p.Choices.Tiers
		if p.LanesBy == "queue" {
			names = p.Choices.Queues
		}
		names = slices.Clone(names)
	}
	laneOf := func(g api.CountGroup) string {
		switch p.LanesBy {
		case "tier":
			return text(g.Tier)
		case "queue":
			return text(g.Queue)
		}
		return ""
	}
	for _, g := range counts.Groups {
		if name := laneOf(g); !slices.Contains(names, name) {
			names = append(names, name) // of a policy that is no more
		}
	}
	for _, name := range names {
		l := lane{Name: name}
		for _, s := range openStatuses {
			c := &cell{Status: s, Lane: name}
			for _, g := range counts.Groups {
				if text(g.Status) == s && laneOf(g) == name {
					c.Count += g.Count
				}
			}
			l.Count += c.Count
			l.Cells = append(l.Cells, c)
		}
		if l.Count > 0 || len(names) == 1 {
			p.Lanes = append(p.Lanes, l)
		}
	}
}

// fill asks for a page of a cell's callbacks.
func (v *visit) fill(c *cell, by string, f url.Values, cursor string) error {
	if c.Count == 0 && cursor == "" {
		return nil
	}
	limit := cellShown
	if by != "" {
		limit = laneShown
		if given := f[by]; len(given) > 0 && !slices.Contains(given, c.Lane) {
			return nil
		}
	}
	q := with(f, "status", c.Status, "limit", strconv.Itoa(limit), "cursor", cursor)
	if by != "" {
		q.Set(by, c.Lane)
	}
	var err error
	if c.Items, c.Next, err = v.list(q); err != nil {
		return err
	}
	if n := len(c.Items); n > 0 {
		c.Last = c.Items[n-1].Place()
	}
	return nil
}

// boardMore gives what comes next in a cell, as cards.
func (v *visit) boardMore() error {
	asked := v.URL.Query()
	c := &cell{Status: asked.Get("status"), Lane: asked.Get("lane")}
	by := asked.Get("lanes")
	if !slices.Contains(lanes, by) {
		by = ""
	}
	if asked.Get("cursor") == "" || !slices.Contains(openStatuses, c.Status) {
		return &refusal{api.Problem{Status: http.StatusBadRequest, Title: "There is no more", Detail: "Ask for what comes after something."}}
	}
	f := v.filters()
	if _, err := v.policies(); err != nil {
		return err
	}
	if err := v.fill(c, by, f, asked.Get("cursor")); err != nil {
		return err
	}
	v.w.Header().Set("X-Next", c.Next)
	v.w.Header().Set("X-Last", c.Last)
	return v.cards(c.Items)
}

// boardCards gives some callbacks as cards: those of the ids that pass the
// board's filters. What is not among them is on the board no more.
func (v *visit) boardCards() error {
	ids := v.URL.Query()["id"]
	if len(ids) == 0 || len(ids) > cardsAtOnce {
		return &refusal{api.Problem{Status: http.StatusBadRequest, Title: "Which ones?", Detail: fmt.Sprintf("Name 1 to %d callbacks.", cardsAtOnce)}}
	}
	if _, err := v.policies(); err != nil {
		return err
	}
	f := v.filters()
	f.Del("status")
	f["id"], f["limit"] = ids, []string{strconv.Itoa(cardsAtOnce)}
	items, _, err := v.list(f)
	if err != nil {
		return err
	}
	return v.cards(items)
}

func (v *visit) cards(items []*item) error {
	var b bytes.Buffer
	for _, c := range items {
		if err := v.pages["board"].ExecuteTemplate(&b, "board-card", c); err != nil {
			return err
		}
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("X-Now", v.NowText())
	send(v.w, v.Request, http.StatusOK, b.Bytes())
	return nil
}
