package desk

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringback/api"
	"ringback/callback"
)

// reportsPage is how promises were kept. Every figure leads to its rows.
type reportsPage struct {
	*Frame
	Choices *choices
	Report  api.Report
	// Days is the period that was chosen; 0: From and To, as days of the zone.
	Days     int
	From, To string
	Zones    []string
	Daily    chart
	Waits    chart
	Calls    chart
	Heat     []heatRow
	// Most is the most that one hour has missed.
	Most int64
	// asked bounds what figures lead to, as the API has it.
	asked url.Values
}

// chart is a drawing of bars: across in shares of the width that there is, up in
// pixels, so that words keep their size.
type chart struct {
	Height int
	Bars   []chartBar
	Labels []chartLabel
	Lines  []chartLine
}

// chartBar is one bar, of parts on top of each other.
type chartBar struct {
	X, Width share
	Parts    []chartPart
	Title    string
	Href     string
}

type chartPart struct {
	Y, Height int
	Class     string
}

type chartLabel struct {
	X    share
	Y    int
	Text string
	// Class is empty where there is always room for it.
	Class string
}

type chartLine struct {
	Y    int
	Text string
}

// heatRow is a weekday of 24 hours.
type heatRow struct {
	Name  string
	Cells []heatCell
}

// heatCell is one hour of one weekday.
type heatCell struct {
	Hour                 int
	Missed, System, Made int64
	// Heat is how bad it is, from 0 to 5, among the hours shown.
	Heat int
	Href string
}

var weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// periods are offered, in days.
var periods = []int{1, 7, 30, 90, 365}

func (v *visit) reports() error {
	v.Title, v.Nav = "Reports", "reports"
	v.Rules = rulesAbout("R02", "R09", "R10", "R11", "R06")
	p := &reportsPage{Frame: v.Frame}
	zone, err := v.period(p)
	if err != nil {
		return err
	}
	if p.Choices, err = v.choose(v.filters()); err != nil {
		return err
	}
	if err := v.get("/v1/reports", p.asked, &p.Report); err != nil {
		return err
	}
	p.asked.Set("from", p.Report.From.String())
	p.asked.Set("to", p.Report.To.String())
	for _, name := range append([]string{v.ZoneName(), "UTC", zone.String()}, zones...) {
		if !slices.Contains(p.Zones, name) {
			p.Zones = append(p.Zones, name)
		}
	}
	p.drawDays()
	p.drawHeat()
	p.drawWaits()
	p.drawCalls()
	return v.show("reports", p)
}

// period reads which promises are meant.
func (v *visit) period(p *reportsPage) (*time.Location, error) {
	asked := v.URL.Query()
	zone := v.Zone
	if name := asked.Get("zone"); name != "" && name != "Local" {
		z, err := time.LoadLocation(name)
		if err != nil {
			return nil, &refusal{api.Problem{Status: 422, Title: "Unknown time zone", Detail: "Expected one of the IANA database, like Asia/Kolkata."}}
		}
		zone = z
	}
	p.asked = url.Values{"zone": {zone.String()}}
	for _, name := range []string{"tier", "queue", "policy"} {
		for _, value := range asked[name] {
			if value != "" {
				p.asked.Add(name, value)
			}
		}
	}
	today := midnight(v.now.In(zone))
	from, fromErr := time.ParseInLocation(time.DateOnly, asked.Get("from"), zone)
	to, toErr := time.ParseInLocation(time.DateOnly, asked.Get("to"), zone)
	days, daysErr := strconv.Atoi(asked.Get("days"))
	switch {
	case asked.Get("days") == "" && fromErr == nil && toErr == nil && !to.Before(from):
		p.asked.Set("from", callback.At(from).String())
		p.asked.Set("to", callback.At(to.AddDate(0, 0, 1)).String())
	default:
		if daysErr != nil || days < 1 || days > 366 {
			days = 30
		}
		p.Days, from, to = days, today.AddDate(0, 0, 1-days), today
		p.asked.Set("from", callback.At(from).String())
	}
	p.From, p.To = from.Format(time.DateOnly), to.Format(time.DateOnly)
	return zone, nil
}

// Periods are the choices.
func (p *reportsPage) Periods() []int {
	if p.Days == 0 || slices.Contains(periods, p.Days) {
		return periods
	}
	return slices.Sorted(slices.Values(append(slices.Clone(periods), p.Days)))
}

// PeriodWord is what a period is called.
func (p *reportsPage) PeriodWord(days int) string {
	if days == 1 {
		return "Today"
	}
	return fmt.Sprintf("%d days", days)
}

// Rows is where the rows of a figure are; pairs narrow.
func (p *reportsPage) Rows(pairs ...string) string {
	return "/reports/rows?" + with(p.asked, pairs...).Encode()
}

// CSV is the whole report as a file.
func (p *reportsPage) CSV() string { return "/reports.csv?" + p.asked.Encode() }

// Percent is a share in words.
func (p *reportsPage) Percent(share *float64) string { return percent(share) }

// Share is a share as a number of a hundred, for a bar.
func (p *reportsPage) Share(share *float64) string {
	if share == nil {
		return "0"
	}
	return strconv.FormatFloat(*share*100, 'f', 1, 64)
}

// Minutes says minutes in words.
func (p *reportsPage) Minutes(minutes *int64) string {
	if minutes == nil {
		return "–"
	}
	return words(time.Duration(*minutes) * time.Minute)
}

const (
	chartHeight = 220
	// chartTop leaves room above, chartBase is where bars stand.
	chartTop, chartBase = 12, 192
	// labelsMost is how many labels there is room for below bars; on a phone for half of them.
	labelsMost = 8
	// barMost is how wide a bar is at most: a single day is no wall of colour.
	barMost = .12
)

// labelled says of the i-th of n bars whether there is room for its label, and
// its class if only with much room.
func labelled(i, n int) (class string, is bool) {
	every := max((n+labelsMost-1)/labelsMost, 1)
	switch {
	case i%(2*every) == 0, n <= labelsMost/2:
		return "", true
	case i%every == 0:
		return "only-wide", true
	}
	return "", false
}

// scale returns a round number no less than most, and the steps to it.
func scale(most int64) (top int64, steps []int64) {
	step := int64(1)
	for step*4 < most {
		switch {
		case strings.HasPrefix(strconv.FormatInt(step, 10), "2"):
			step = step / 2 * 5
		default:
			step *= 2
		}
	}
	for i := int64(0); i <= 4; i++ {
		steps = append(steps, i*step)
		if i*step >= most && i > 0 {
			break
		}
	}
	return steps[len(steps)-1], steps
}

// axis begins a chart of n bars up to most.
func axis(n int, most int64) (c chart, x func(i int) (at, width share), y func(v int64) int) {
	top, steps := scale(max(most, 1))
	c = chart{Height: chartHeight}
	y = func(v int64) int { return chartBase - int(v*(chartBase-chartTop)/top) }
	for _, s := range steps {
		c.Lines = append(c.Lines, chartLine{y(s), strconv.FormatInt(s, 10)})
	}
	slot := 1 / float64(max(n, 1))
	x = func(i int) (share, share) {
		bar := min(slot-min(slot*.2, .012), barMost)
		return share(slot*float64(i) + (slot-bar)/2), share(bar)
	}
	return c, x, y
}

// drawDays draws what became of each day's promises.
func (p *reportsPage) drawDays() {
	days := p.Report.ByDay
	most := int64(0)
	for _, d := range days {
		most = max(most, d.Made)
	}
	c, x, y := axis(len(days), most)
	for i, d := range days {
		at, width := x(i)
		b := chartBar{X: at, Width: width, Href: p.Rows("day", d.Key), Title: fmt.Sprintf(
			"%s: %d made, %d kept, %d missed by people, %d by the system, %d open", d.Key, d.Made, d.Kept, d.MissedByPeople, d.MissedBySystem, d.Open)}
		sum := int64(0)
		for _, part := range []struct {
			n     int64
			class string
		}{{d.Kept, "kept"}, {d.Open, "open"}, {d.Dropped, "dropped"}, {d.MissedBySystem, "system"}, {d.MissedByPeople, "people"}} {
			if part.n > 0 {
				b.Parts = append(b.Parts, chartPart{y(sum + part.n), y(sum) - y(sum+part.n), part.class})
				sum += part.n
			}
		}
		c.Bars = append(c.Bars, b)
		if day, err := time.Parse(time.DateOnly, d.Key); err == nil {
			if class, is := labelled(i, len(days)); is {
				c.Labels = append(c.Labels, chartLabel{at + width/2, chartHeight - 8, day.Format("2 Jan"), class})
			}
		}
	}
	p.Daily = c
}

// drawHeat sorts misses by weekday and hour.
func (p *reportsPage) drawHeat() {
	for _, h := range p.Report.Hours {
		p.Most = max(p.Most, h.Missed)
	}
	for d, name := range weekdays {
		row := heatRow{Name: name}
		for hour := range 24 {
			cell := heatCell{Hour: hour}
			for _, h := range p.Report.Hours {
				if h.Weekday == d+1 && h.Hour == hour {
					cell.Missed, cell.System, cell.Made = h.Missed, h.MissedBySystem, h.Made
				}
			}
			if cell.Missed > 0 {
				cell.Heat = 1 + int((cell.Missed-1)*5/max(p.Most, 5))
				cell.Href = p.Rows("weekday", strconv.Itoa(d+1), "hour", strconv.Itoa(hour), "result", "missed")
			}
			row.Cells = append(row.Cells, cell)
		}
		p.Heat = append(p.Heat, row)
	}
}

// SpanWord is a span of waiting in words.
func (p *reportsPage) SpanWord(s api.WaitSpan) string {
	from := short(time.Duration(s.From) * time.Minute)
	if s.From == 0 {
		from = "0 min"
	}
	if s.UpTo == nil {
		return from + " or more"
	}
	return from + " to " + short(time.Duration(*s.UpTo)*time.Minute)
}

// SpanRows are its rows.
func (p *reportsPage) SpanRows(s api.WaitSpan) string {
	upTo := ""
	if s.UpTo != nil {
		upTo = strconv.FormatInt(*s.UpTo, 10)
	}
	return p.Rows("reached_from", strconv.FormatInt(s.From, 10), "reached_up_to", upTo)
}

func (p *reportsPage) drawWaits() {
	spans := p.Report.TimeToContact.Spans
	most := int64(0)
	for _, s := range spans {
		most = max(most, s.Count)
	}
	c, x, y := axis(len(spans), most)
	for i, s := range spans {
		at, width := x(i)
		b := chartBar{X: at, Width: width, Href: p.SpanRows(s), Title: fmt.Sprintf("%s: %d", p.SpanWord(s), s.Count)}
		if s.Count > 0 {
			b.Parts = []chartPart{{y(s.Count), chartBase - y(s.Count), "kept"}}
		}
		c.Bars = append(c.Bars, b)
		class, is := labelled(i, len(spans))
		if !is {
			continue // there is no room for all
		}
		c.Labels = append(c.Labels, chartLabel{X: at, Y: chartHeight - 8, Class: class, Text: strings.TrimSuffix(strings.ReplaceAll(short(time.Duration(s.From)*time.Minute), " 00 min", ""), " 0 h")})
	}
	c.Labels[0].Text = "0"
	p.Waits = c
}

func (p *reportsPage) drawCalls() {
	made := p.Report.Attempts.Callbacks
	most := int64(0)
	for _, m := range made {
		most = max(most, m.Count)
	}
	c, x, y := axis(max(len(made), 6), most)
	for i, m := range made {
		at, width := x(i)
		n := strconv.FormatInt(m.Attempts, 10)
		c.Bars = append(c.Bars, chartBar{
			X: at, Width: width, Href: p.Rows("attempts", n), Title: fmt.Sprintf("%s: %d", many(m.Attempts, "call"), m.Count),
			Parts: []chartPart{{y(m.Count), chartBase - y(m.Count), "open"}},
		})
		c.Labels = append(c.Labels, chartLabel{X: at + width/2, Y: chartHeight - 8, Text: n})
	}
	p.Calls = c
}

// rowsPage are the promises behind one figure.
type rowsPage struct {
	*Frame
	Rows    []row
	Next    string
	CSV     string
	Narrows []string
	Back    string
}

type row struct {
	api.PromiseOf
	Of *item
}

// ResultWord is what became of the promise.
func (r row) ResultWord() string {
	switch r.Result {
	case "kept":
		return "Kept"
	case "missed":
		if text(r.LateBy) == "system" {
			return "Missed because the system was down"
		}
		return "Missed"
	case "dropped":
		return "Left before its time"
	}
	return "Open"
}

// ResultTone is how it looks.
func (r row) ResultTone() tone {
	switch r.Result {
	case "kept":
		return toneGood
	case "missed":
		return toneLate
	case "dropped":
		return toneQuiet
	}
	return toneCalm
}

// rowFilters are what narrows rows, in words.
var rowFilters = []string{
	"from", "to", "zone", "tier", "queue", "policy", "result", "late_by", "weekday", "hour", "day", "reached_from", "reached_up_to", "unreached", "attempts", "disposition",
}

// promisesAsked are the filters of a page of rows.
func (v *visit) promisesAsked() url.Values {
	asked := url.Values{}
	for _, name := range rowFilters {
		for _, value := range v.URL.Query()[name] {
			if value != "" {
				asked.Add(name, value)
			}
		}
	}
	return asked
}

func (v *visit) reportRows() error {
	v.Title, v.Nav = "Rows of a report", "reports"
	v.Rules = rulesAbout("R02", "R06", "R10", "R11")
	asked := v.promisesAsked()
	p := &rowsPage{Frame: v.Frame, CSV: "/reports/rows.csv?" + asked.Encode(), Narrows: narrows(asked)}
	back := url.Values{}
	for _, name := range []string{"zone", "tier", "queue", "policy"} {
		if asked.Has(name) {
			back[name] = asked[name]
		}
	}
	// The report is of whole days, up to the one in which its last moment is.
	if zone, err := time.LoadLocation(asked.Get("zone")); err == nil && asked.Has("zone") {
		from, fromErr := time.Parse(time.RFC3339, asked.Get("from"))
		to, toErr := time.Parse(time.RFC3339, asked.Get("to"))
		if fromErr == nil && toErr == nil {
			back.Set("from", from.In(zone).Format(time.DateOnly))
			back.Set("to", to.Add(-time.Millisecond).In(zone).Format(time.DateOnly))
		}
	}
	p.Back = strings.TrimSuffix("/reports?"+back.Encode(), "?")
	if _, err := v.policies(); err != nil {
		return err
	}
	var next string
	var err error
	if p.Rows, next, err = v.promiseRows(with(asked, "limit", "50", "cursor", v.URL.Query().Get("cursor"))); err != nil {
		return err
	}
	if next != "" {
		p.Next = "/reports/rows?" + with(asked, "cursor", next).Encode()
	}
	return v.show("rows", p)
}

// promiseRows asks for promises, with their callbacks.
func (v *visit) promiseRows(asked url.Values) (rows []row, next string, err error) {
	var page api.PromisePage
	if err := v.get("/v1/promises", asked, &page); err != nil {
		return nil, "", err
	}
	of := map[string]*item{}
	var ids []string
	for _, promise := range page.Items {
		if !slices.Contains(ids, promise.CallbackID) {
			ids = append(ids, promise.CallbackID)
		}
	}
	for some := range slices.Chunk(ids, cardsAtOnce) {
		items, _, err := v.list(url.Values{"id": some, "limit": {strconv.Itoa(cardsAtOnce)}})
		if err != nil {
			return nil, "", err
		}
		for _, c := range items {
			of[c.ID] = c
		}
	}
	for _, promise := range page.Items {
		rows = append(rows, row{promise, of[promise.CallbackID]})
	}
	return rows, text(page.NextCursor), nil
}

// narrows says in words what rows are of.
func narrows(asked url.Values) []string {
	var said []string
	for _, name := range rowFilters {
		value := strings.Join(asked[name], ", ")
		if value == "" {
			continue
		}
		switch name {
		case "from", "to":
			continue
		case "zone":
			said = append(said, "in the time of "+value)
		case "weekday":
			if n, err := strconv.Atoi(value); err == nil && n >= 1 && n <= len(weekdays) {
				said = append(said, "due on a "+weekdays[n-1])
			}
		case "hour":
			said = append(said, "due in the hour from "+value+":00")
		case "day":
			said = append(said, "made on "+value)
		case "late_by":
			said = append(said, "missed by "+map[string]string{"people": "people", "system": "the system"}[value])
		case "result":
			if value == "dropped" {
				value = "left before their time"
			}
			said = append(said, value)
		case "reached_from":
			said = append(said, "reached after "+value+" minutes or more")
		case "reached_up_to":
			said = append(said, "reached after less than "+value+" minutes")
		case "unreached":
			said = append(said, "not reached")
		case "attempts":
			n, _ := strconv.ParseInt(value, 10, 64) // the API has refused what is none
			said = append(said, "with "+many(n, "call"))
		case "disposition":
			said = append(said, "with a call: "+title(value))
		case "tier":
			said = append(said, "tier: "+plain(value))
		default:
			said = append(said, title(name)+" "+value)
		}
	}
	return said
}

// reportRowsCSV is every row of a figure as a file.
func (v *visit) reportRowsCSV() error {
	asked := v.promisesAsked()
	zone := v.Zone
	if name := asked.Get("zone"); name != "" {
		if z, err := time.LoadLocation(name); err == nil {
			zone = z
		}
	}
	if _, err := v.policies(); err != nil {
		return err
	}
	rows, next, err := v.promiseRows(with(asked, "limit", "200"))
	if err != nil {
		return err
	}
	at := func(i callback.Instant) string {
		if i.IsZero() {
			return ""
		}
		return i.In(zone).Format("2006-01-02 15:04:05")
	}
	write, flush := v.table("promises", "callback", "customer", "kind", "tier", "queue", "made ("+zone.String()+")", "due ("+zone.String()+")", "result", "result at ("+zone.String()+")", "late by")
	for {
		for _, r := range rows {
			name := ""
			if r.Of != nil {
				name = r.Of.CustomerName()
			}
			if err := write(r.CallbackID, name, v.PolicyTitle(r.Policy), r.Tier, r.Queue, at(r.MadeAt), at(r.DueAt), r.Result, at(r.ResultAt), text(r.LateBy)); err != nil {
				return nil //nolint:nilerr // whoever asked has gone; there is nobody to tell
			}
		}
		if next == "" {
			break
		}
		if rows, next, err = v.promiseRows(with(asked, "limit", "200", "cursor", next)); err != nil {
			v.cutOff(err)
		}
	}
	_ = flush() // whoever went away does not wait for it
	return nil
}

// reportCSV is the report's tables as a file.
func (v *visit) reportCSV() error {
	asked := v.promisesAsked()
	var r api.Report
	if err := v.get("/v1/reports", asked, &r); err != nil {
		return err
	}
	zone, err := time.LoadLocation(r.Zone)
	if err != nil {
		return fmt.Errorf("the zone of a report: %w", err)
	}
	write, flush := v.table("report", "by", "of", "made", "open", "kept", "missed", "missed by people", "missed by the system", "left before its time", "attainment")
	line := func(by, of string, t api.Tally) {
		attainment := ""
		if t.Attainment != nil {
			attainment = strconv.FormatFloat(*t.Attainment, 'f', 4, 64)
		}
		n := func(n int64) string { return strconv.FormatInt(n, 10) }
		_ = write(by, of, n(t.Made), n(t.Open), n(t.Kept), n(t.Missed), n(t.MissedByPeople), n(t.MissedBySystem), n(t.Dropped), attainment) // kept for flush
	}
	line("all", r.From.In(zone).Format(time.DateTime)+" to "+r.To.In(zone).Format(time.DateTime)+" ("+r.Zone+")", r.Totals)
	for _, table := range []struct {
		by     string
		groups []api.TallyOf
	}{{"queue", r.ByQueue}, {"tier", r.ByTier}, {"kind", r.ByPolicy}, {"day", r.ByDay}} {
		for _, g := range table.groups {
			line(table.by, g.Key, g.Tally)
		}
	}
	for _, h := range r.Hours {
		line("weekday and hour due ("+r.Zone+")", fmt.Sprintf("%s %02d:00", weekdays[h.Weekday-1], h.Hour), h.Tally)
	}
	_ = flush() // whoever went away does not wait for it
	return nil
}
