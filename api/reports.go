package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ringback/book"
	"ringback/callback"
)

// Report is how promises were kept: where, when and by whom they were missed,
// and how long customers waited. Hours and days are those of a time zone.
type (
	Report struct {
		From          callback.Instant `json:"from" doc:"promises made at this instant or later"`
		To            callback.Instant `json:"to" doc:"and before this one"`
		Zone          string           `json:"zone" doc:"IANA; hours, weekdays and days are this one's"`
		Totals        Tally            `json:"totals"`
		ByQueue       []TallyOf        `json:"by_queue"`
		ByTier        []TallyOf        `json:"by_tier"`
		ByPolicy      []TallyOf        `json:"by_policy"`
		ByDay         []TallyOf        `json:"by_day" doc:"by the day on which they were made; days without a promise are there too"`
		Hours         []HourTally      `json:"hours" doc:"by the weekday and hour at which they fell due; only those with any"`
		TimeToContact Waits            `json:"time_to_contact"`
		Attempts      Calls            `json:"attempts"`
	}
	// Tally counts promises; attainment as in stats.
	Tally struct {
		Made           int64    `json:"made"`
		Open           int64    `json:"open" doc:"not decided yet"`
		Kept           int64    `json:"kept"`
		Missed         int64    `json:"missed"`
		MissedByPeople int64    `json:"missed_by_people"`
		MissedBySystem int64    `json:"missed_by_system"`
		Dropped        int64    `json:"dropped" doc:"replaced by a higher tier's before their time; they count neither way"`
		Attainment     *float64 `json:"attainment" doc:"kept / (kept + missed); null while nothing has been decided"`
	}
	TallyOf struct {
		Key string `json:"key"`
		Tally
	}
	HourTally struct {
		Weekday int `json:"weekday" minimum:"1" maximum:"7" doc:"1 is Monday"`
		Hour    int `json:"hour" minimum:"0" maximum:"23"`
		Tally
	}
	// Waits is how long it took from the promise, or from the time that the customer
	// asked for, to the first contact at any tier.
	Waits struct {
		Reached     int64      `json:"reached"`
		Unreached   int64      `json:"unreached" doc:"not reached, so far or at all"`
		MedianAfter *int64     `json:"median_minutes" doc:"null while nobody was reached"`
		NinetyAfter *int64     `json:"p90_minutes"`
		Spans       []WaitSpan `json:"spans"`
	}
	WaitSpan struct {
		From  int64  `json:"from_minutes"`
		UpTo  *int64 `json:"up_to_minutes" doc:"not included; null: no end"`
		Count int64  `json:"count"`
	}
	// Calls is how many calls it took, and how they went.
	Calls struct {
		Callbacks    []CallsMade    `json:"callbacks" doc:"by how many calls were made"`
		Dispositions []DispositionN `json:"dispositions" doc:"calls, by how they went"`
	}
	CallsMade struct {
		Attempts int64 `json:"attempts"`
		Count    int64 `json:"count"`
	}
	DispositionN struct {
		Disposition string `json:"disposition"`
		Count       int64  `json:"count" doc:"calls"`
		Callbacks   int64  `json:"callbacks" doc:"with one such call or several: as many rows"`
	}
)

// PromisePage is one page of the promises behind a report's figures.
type (
	PromisePage struct {
		Items      []PromiseOf `json:"items"`
		NextCursor *string     `json:"next_cursor" doc:"null on the last page"`
	}
	PromiseOf struct {
		CallbackID string `json:"callback_id" format:"uuid"`
		Policy     string `json:"policy"`
		Promise
	}
)

// waitSpans are the minutes at which the spans of a report begin.
var waitSpans = []int64{0, 5, 10, 15, 30, 45, 60, 90, 120, 240, 480, 1440}

// reportParams bound a report.
func reportParams() []*huma.Param {
	return []*huma.Param{
		timeParam("from", "promises made at this instant or later; 30 days before to unless told"), timeParam("to", "and before this one; now unless told"),
		param("zone", "the IANA time zone of days and hours; UTC unless told"),
		manyParam("tier", "promised at this tier"), manyParam("queue", "promised in this queue"), manyParam("policy", "of this policy"),
	}
}

func (a *API) reportOperations() []*operation {
	one, seven, none, last, most, def := 1.0, 7.0, 0.0, 23.0, 200.0, 100
	whole := func(name, doc string, least, most *float64) *huma.Param {
		return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: least, Maximum: most}}
	}
	limit := whole("limit", "items on a page", &one, &most)
	limit.Schema.Default = def
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/reports", id: "report", tag: "desk", access: accessRead, summary: "Where, when and by whom promises are missed",
			doc: "Of the promises made from `from` up to `to`, 366 days at most. Each figure is the number of rows that `/v1/promises` lists for it: " +
				"`weekday` and `hour` are those at which a promise fell due, `day` that on which it was made.",
			query:   reportParams(),
			answers: []reply{{http.StatusOK, "the report", Report{}, ""}},
			serve:   a.report,
		},
		{
			method: http.MethodGet, path: "/v1/promises", id: "promises", tag: "desk", access: accessRead, summary: "The promises behind a report's figures",
			doc: "In the order in which they were made. `reached_from`, `reached_up_to`, `unreached`, `attempts` and `disposition` are about a whole callback, " +
				"and list its first promise alone.",
			query: append(reportParams(),
				manyParam("result", "what became of it", "open", "kept", "missed", "dropped"), choiceParam("late_by", "who let it pass", "people", "system"),
				whole("weekday", "it fell due on this weekday; 1 is Monday", &one, &seven), whole("hour", "and at this hour", &none, &last),
				param("day", "it was made on this day, like 2026-11-22"),
				whole("reached_from", "the customer was reached after so many whole minutes or more", &none, nil),
				whole("reached_up_to", "and after fewer than so many", &none, nil),
				choiceParam("unreached", "the customer was not reached", "true"),
				whole("attempts", "so many calls were made", &none, nil), choiceParam("disposition", "a call went like this", words(callback.Dispositions)...),
				limit, param("cursor", "the next_cursor of the page before")),
			answers: []reply{{http.StatusOK, "one page", PromisePage{}, ""}},
			serve:   a.promises,
		},
	}
}

func words[S ~string](all []S) []string {
	plain := make([]string, len(all))
	for i, s := range all {
		plain[i] = string(s)
	}
	return plain
}

// reportQuery reads what bounds a report.
func (a *API) reportQuery(q *query) (book.ReportQuery, *time.Location) {
	r := book.ReportQuery{
		From: q.instant("from"), To: q.instant("to"), Tier: q.many("tier"), Queue: q.many("queue", a.queueNames()...), Policy: q.many("policy"),
	}
	if r.To.IsZero() {
		r.To = a.instant().Plus(callback.Duration(time.Millisecond)) // what has just been promised counts
	}
	if r.From.IsZero() {
		r.From = callback.At(r.To.Add(-statsDays))
	}
	switch length := r.To.Sub(r.From.Time); {
	case len(q.wrong) > 0:
	case length <= 0:
		q.refuse("from", "expected an instant before to")
	case length > statsMost:
		q.refuse("from", "expected at most 366 days before to")
	}
	zone := time.UTC
	if name := q.one("zone"); name != "" {
		var err error
		if zone, err = time.LoadLocation(name); err != nil || name == "Local" {
			q.refuse("zone", "expected a time zone of the IANA database, like Asia/Kolkata")
			zone = time.UTC
		}
	}
	return r, zone
}

func (a *API) report(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	bounds, zone := a.reportQuery(q)
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	found, err := a.book.Report(ctx, bounds)
	if err != nil {
		return nil, err
	}
	return ok(reportOf(bounds, zone, &found))
}

func reportOf(q book.ReportQuery, zone *time.Location, found *book.Report) Report {
	given := Report{From: q.From, To: q.To, Zone: zone.String(), Hours: []HourTally{}, TimeToContact: waits(found), Attempts: calls(found)}
	queues, tiers, policies, days := map[string]*Tally{}, map[string]*Tally{}, map[string]*Tally{}, map[string]*Tally{}
	for day := startOf(q.From.In(zone)); day.Before(q.To.Time); day = day.AddDate(0, 0, 1) {
		days[day.Format(time.DateOnly)] = &Tally{}
	}
	in := func(by map[string]*Tally, key string) *Tally {
		if by[key] == nil {
			by[key] = &Tally{}
		}
		return by[key]
	}
	for _, c := range found.Made {
		for _, t := range []*Tally{&given.Totals, in(queues, c.Queue), in(tiers, c.Tier), in(policies, c.Policy), in(days, c.At.In(zone).Format(time.DateOnly))} {
			t.add(c)
		}
	}
	given.Totals.settle()
	given.ByQueue, given.ByTier, given.ByPolicy, given.ByDay = sorted(queues), sorted(tiers), sorted(policies), sorted(days)
	hours := map[int]*Tally{}
	for _, c := range found.Due {
		if c.At.IsZero() {
			continue
		}
		at := c.At.In(zone)
		key := weekday(at)*24 + at.Hour()
		if hours[key] == nil {
			hours[key] = &Tally{}
		}
		hours[key].add(c)
	}
	for _, key := range slices.Sorted(maps.Keys(hours)) {
		t := hours[key]
		t.settle()
		given.Hours = append(given.Hours, HourTally{key / 24, key % 24, *t})
	}
	return given
}

// startOf is the beginning of a day.
func startOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// weekday counts from Monday, which is 1 (ISO 8601).
func weekday(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }

func (t *Tally) add(c book.PromiseCount) {
	t.Made += c.Count
	switch c.Result {
	case callback.ResultOpen:
		t.Open += c.Count
	case callback.ResultKept:
		t.Kept += c.Count
	case callback.ResultMissed:
		t.Missed += c.Count
		if c.LateBy == callback.BySystem {
			t.MissedBySystem += c.Count
		} else {
			t.MissedByPeople += c.Count
		}
	case callback.ResultDropped:
		t.Dropped += c.Count
	}
}

func (t *Tally) settle() {
	if decided := t.Kept + t.Missed; decided > 0 {
		share := float64(t.Kept) / float64(decided)
		t.Attainment = &share
	}
}

func sorted(by map[string]*Tally) []TallyOf {
	all := []TallyOf{}
	for _, key := range slices.Sorted(maps.Keys(by)) {
		by[key].settle()
		all = append(all, TallyOf{key, *by[key]})
	}
	return all
}

func waits(found *book.Report) Waits {
	w := Waits{Unreached: found.Unreached, Spans: []WaitSpan{}}
	for i, from := range waitSpans {
		s := WaitSpan{From: from}
		if i+1 < len(waitSpans) {
			s.UpTo = &waitSpans[i+1]
		}
		for minutes, n := range found.Reached {
			if minutes >= from && (s.UpTo == nil || minutes < *s.UpTo) {
				s.Count += n
			}
		}
		w.Reached += s.Count
		w.Spans = append(w.Spans, s)
	}
	// after is after how many minutes a share of those who were reached were.
	after := func(share float64) *int64 {
		passed := int64(0)
		for _, minutes := range slices.Sorted(maps.Keys(found.Reached)) {
			if passed += found.Reached[minutes]; float64(passed) >= share*float64(w.Reached) {
				return &minutes
			}
		}
		return nil
	}
	w.MedianAfter, w.NinetyAfter = after(.5), after(.9)
	return w
}

func calls(found *book.Report) Calls {
	c := Calls{Callbacks: []CallsMade{}, Dispositions: []DispositionN{}}
	for _, made := range slices.Sorted(maps.Keys(found.Attempts)) {
		c.Callbacks = append(c.Callbacks, CallsMade{made, found.Attempts[made]})
	}
	for _, d := range callback.Dispositions {
		if n := found.Dispositions[d]; n.Calls > 0 {
			c.Dispositions = append(c.Dispositions, DispositionN{string(d), n.Calls, n.Callbacks})
		}
	}
	return c
}

// drill is what a list of promises is narrowed by, besides what the store does:
// weekdays, hours and days depend on a time zone that no database is asked about.
type drill struct {
	book.ReportQuery
	book.PromiseFilter
	zone          *time.Location
	weekday, hour int // -1: any
	day           string
	// list names what is listed: a cursor belongs to it alone.
	list string
}

func (a *API) drill(q *query) *drill {
	bounds, zone := a.reportQuery(q)
	d := &drill{
		ReportQuery: bounds, zone: zone, list: listOf(q.values),
		weekday: q.integer("weekday", 1, 7, -1), hour: q.integer("hour", 0, 23, -1), day: q.one("day"),
	}
	d.Result, d.LateBy = q.many("result"), q.choice("late_by", "people", "system")
	for _, r := range d.Result {
		if !slices.Contains([]callback.Result{callback.ResultOpen, callback.ResultKept, callback.ResultMissed, callback.ResultDropped}, callback.Result(r)) {
			q.refuse("result", "expected one of open, kept, missed, dropped")
			break
		}
	}
	if _, err := time.Parse(time.DateOnly, d.day); d.day != "" && err != nil {
		q.refuse("day", "expected a day, like 2026-11-22")
	}
	number := func(name string) *int64 {
		if n := int64(q.integer(name, 0, 1<<31-1, -1)); n >= 0 {
			d.First = true
			return &n
		}
		return nil
	}
	d.ReachedFrom, d.ReachedUpTo, d.Attempts = number("reached_from"), number("reached_up_to"), number("attempts")
	d.Unreached = q.choice("unreached", "true") != ""
	d.Disposition = q.choice("disposition", words(callback.Dispositions)...)
	d.First = d.First || d.Unreached || d.Disposition != ""
	return d
}

func (d *drill) passes(p *book.PromiseRow) bool {
	due := p.DueAt.In(d.zone)
	return (d.weekday < 0 || !p.DueAt.IsZero() && weekday(due) == d.weekday) && (d.hour < 0 || !p.DueAt.IsZero() && due.Hour() == d.hour) &&
		(d.day == "" || p.MadeAt.In(d.zone).Format(time.DateOnly) == d.day)
}

// promisesRead is how many promises are read at once.
const promisesRead = 500

func (a *API) promises(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	d := a.drill(q)
	limit, cursor := q.integer("limit", 1, 200, 100), q.one("cursor")
	var after *book.PromiseRow
	if cursor != "" && len(q.wrong) == 0 {
		var err error
		if after, err = d.open(cursor); err != nil {
			return nil, err
		}
	}
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	given := PromisePage{Items: []PromiseOf{}}
	for {
		rows, err := a.book.Promises(ctx, d.ReportQuery, d.PromiseFilter, after, promisesRead)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if !d.passes(&rows[i]) {
				continue
			}
			if len(given.Items) == limit {
				given.NextCursor = null(d.cursor(after))
				return ok(given)
			}
			p := rows[i]
			after = &p
			given.Items = append(given.Items, PromiseOf{p.CallbackID, p.Policy, Promise{
				p.TierIndex, p.Tier, p.Queue, p.MadeAt, p.DueAt, string(p.Result), p.ResultAt, null(string(p.LateBy)),
			}})
		}
		if len(rows) < promisesRead {
			return ok(given)
		}
		after = &rows[len(rows)-1]
	}
}

// place is that of a promise in the list, with what it is a list of.
type place struct {
	List string           `json:"l"`
	At   callback.Instant `json:"a"`
	ID   string           `json:"i"`
	Tier int              `json:"t"`
}

// listOf names a list by how it was asked for.
func listOf(asked url.Values) string {
	asked = maps.Clone(asked)
	asked.Del("limit")
	asked.Del("cursor")
	sum := sha256.Sum256([]byte(asked.Encode()))
	return hex.EncodeToString(sum[:6])
}

func (d *drill) cursor(last *book.PromiseRow) string {
	b, err := json.Marshal(place{d.list, last.MadeAt, last.CallbackID, last.TierIndex})
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func (d *drill) open(cursor string) (*book.PromiseRow, error) {
	var p place
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || json.Unmarshal(b, &p) != nil || p.List != d.list || p.At.IsZero() || strings.ContainsRune(p.ID, 0) {
		return nil, book.ErrBadCursor
	}
	return &book.PromiseRow{MadeAt: p.At, CallbackID: p.ID, TierIndex: p.Tier}, nil
}
