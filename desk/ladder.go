package desk

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ringback/api"
)

// ladderDrawing is a policy's ladder along time, as it goes if nobody reaches
// the customer. Along time everything is a share of the width that there is;
// words keep their size, so how many rows they need depends on the least width.
type ladderDrawing struct {
	// Class says where it is shown; Width is how wide it is, Height in pixels.
	Class, Width string
	Height       int
	// Top is where the tiers begin.
	Top      int
	Segments []ladderSegment
	Warnings []share
	Chases   []share
	Labels   []ladderLabel
}

// ladderSegment is a tier's time.
type ladderSegment struct {
	X, Width share
	Odd      bool
}

// ladderLabel is what is said of a tier, or of a reminder: words in a row, and a
// line from there to what they are about.
type ladderLabel struct {
	Text string
	// X and Anchor are where the words are, Y the row.
	X      share
	Anchor string
	Y      int
	// At is what they are about; the line goes From there To there.
	At       share
	From, To int
	Small    bool
}

// share is a part of the whole, between 0 and 1.
type share float64

// String implements fmt.Stringer: as SVG takes it.
func (s share) String() string { return strconv.FormatFloat(float64(s)*100, 'f', 2, 64) + "%" }

const (
	// chasesDrawn is how many reminders are drawn.
	chasesDrawn = 3
	// Sizes in pixels: a row of words, the letters in it, what is kept free between
	// words, and how high a tier is.
	rowHeight, letter, gap, tierHeight = 18, 13, 8, 22
)

// ladderWidths are the least widths of a drawing, by how much room a window has:
// assets/desk.css shows one of them.
var ladderWidths = []struct {
	class string
	least float64
}{{"broad", 960}, {"middling", 620}, {"narrow-one", 285}}

// drawLadder draws a ladder for each width; nil where there is nothing to draw.
func drawLadder(p *api.Policy) []ladderDrawing {
	whole, chases := time.Duration(0), []time.Duration{}
	for _, s := range p.Ladder {
		whole += duration(s.TAT)
	}
	end := whole
	if o := p.Overdue; o != nil {
		every, most := duration(o.RemindEvery), duration(o.Max)
		for range chasesDrawn {
			end += every
			chases = append(chases, end-whole)
			every = min(2*every, most)
		}
	}
	if end == 0 {
		return nil
	}
	of := func(at time.Duration) share { return share(float64(at) / float64(end) / 1.01) } // the last mark is whole
	var d ladderDrawing
	var above, below []remark
	at := time.Duration(0)
	for i, s := range p.Ladder {
		tat := duration(s.TAT)
		d.Segments = append(d.Segments, ladderSegment{of(at), of(at+tat) - of(at), i%2 == 1})
		above = append(above, remark{of(at), title(s.Tier) + ", " + length(s.TAT)})
		for _, w := range s.WarnAt {
			if percent, is := strings.CutSuffix(w, "%"); !is {
				d.Warnings = append(d.Warnings, of(at+tat-duration(w)))
			} else if f, err := strconv.ParseFloat(percent, 64); err == nil {
				d.Warnings = append(d.Warnings, of(at+time.Duration(float64(tat)*f/100)))
			}
		}
		at += tat
	}
	for i, c := range chases {
		d.Chases = append(d.Chases, of(whole+c))
		said := "+" + short(c)
		if i == 0 {
			said = "chased " + said
		}
		below = append(below, remark{of(whole + c), said})
	}
	all := make([]ladderDrawing, len(ladderWidths))
	for i, w := range ladderWidths {
		all[i] = d.laidOut(w.class, w.least, above, below)
	}
	return all
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return d
}

// remark is what is said of a point in time.
type remark struct {
	at   share
	text string
}

// laidOut is the drawing with its words in rows: no two overlap where it is so
// wide, and none then where it is wider, since they only move apart.
func (d ladderDrawing) laidOut(class string, least float64, above, below []remark) ladderDrawing {
	d.Class, d.Width = class, "100%"
	for _, w := range append(above[:len(above):len(above)], below...) {
		if takes := wide(w.text); takes > least {
			least = takes
			d.Width = fmt.Sprintf("%.0f", least) // it is scrolled
		}
	}
	over, rows := inRows(above, least)
	d.Top = rows*rowHeight + 4
	for _, l := range over {
		row := l.Y
		l.Y = d.Top - 9 - row*rowHeight
		l.From, l.To = l.Y+4, d.Top
		d.Labels = append(d.Labels, l)
	}
	under, rows := inRows(below, least)
	for _, l := range under {
		row := l.Y
		l.Y = d.Top + tierHeight + 17 + row*rowHeight
		l.From, l.To, l.Small = d.Top, l.Y-letter, true
		d.Labels = append(d.Labels, l)
	}
	d.Height = d.Top + tierHeight + 6 + rows*rowHeight
	return d
}

// inRows gives each remark a place and a row, 0 being that next to the tiers. The
// later ones are nearer, so that lines to the earlier ones pass before them.
func inRows(all []remark, width float64) (placed []ladderLabel, rows int) {
	type span struct{ from, to float64 }
	taken := [][]span{}
	placed = make([]ladderLabel, len(all))
	for i := len(all) - 1; i >= 0; i-- {
		w, takes := all[i], wide(all[i].text)
		l := ladderLabel{Text: w.text, At: w.at, X: w.at, Anchor: "start"}
		at := float64(w.at) * width
		is := span{at, at + takes}
		if is.to > width {
			l.Anchor, is = "end", span{at - takes, at}
		}
		if is.from < 0 {
			l.X, l.Anchor, is = .5, "middle", span{(width - takes) / 2, (width + takes) / 2}
		}
		free := func(row []span) bool {
			for _, o := range row {
				if is.from < o.to+gap && o.from < is.to+gap {
					return false
				}
			}
			return true
		}
		for l.Y < len(taken) && !free(taken[l.Y]) {
			l.Y++
		}
		if l.Y == len(taken) {
			taken = append(taken, nil)
		}
		taken[l.Y] = append(taken[l.Y], is)
		placed[i] = l
	}
	return placed, len(taken)
}

// wide is how wide words are at most, in pixels, in any common font.
func wide(text string) float64 {
	sum := 0.0
	for _, r := range text {
		switch {
		case r > 0x24f: // beyond Latin: as wide as high
			sum += 1.1
		case strings.ContainsRune("MWmw@%", r):
			sum++
		default:
			sum += .66
		}
	}
	return sum * letter
}
