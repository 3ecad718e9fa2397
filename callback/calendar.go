package callback

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Calendar is the working time of a team: weekly hours in one time zone, less
// holidays, with other hours on half days. The zero *Calendar (nil) is around
// the clock. A Calendar is plain data, pinned with its policy into a running
// callback's input; its methods only read it, so it may be used concurrently
// and copied freely.
//
// # What a span means
//
// A span such as "09:00-13:00" is half-open and belongs to the date it starts
// on. It lasts from the instant at which the clocks of the zone show its first
// reading to the instant at which they show its second, and counts as much
// time as really passes between the two. Where the clocks change:
//
//   - A reading that is skipped (spring) is the instant of the jump; a span
//     that lies wholly in the gap, or on a date that does not exist, is empty.
//   - A reading that comes twice (autumn) is its first occurrence as a start
//     and its second as an end, so no span is shorter than people work it.
//   - 24:00 is the end of its date. Spans that touch or that such a change
//     makes overlap are counted once.
//
// A span that ends before it starts, such as "22:00-06:00", runs into the next
// date. Holidays and half days replace everything on their date: such a span
// stops at midnight before one, and one that would start on one does not.
//
// # Bounds
//
// Every calendar that [Calendar.Validate] accepts works at least a minute a
// week and names finitely many holidays, so any amount of working time is
// reached. As a bound on the search, nothing before the year 1 is working time
// and everything after the year 9999, the last one RFC 3339 can write, is. A
// calendar that Validate refuses is taken as around the clock: what it promises
// is then early, never lost.
//
// The answers depend on the time-zone database of the process: a deadline is
// computed once and recorded, never computed again in a replay.
type Calendar struct {
	// TimeZone is an IANA name, such as "Asia/Kolkata". Never "Local".
	TimeZone string `json:"time_zone"`
	// Hours are spans "HH:MM-HH:MM" by day: "mon", "mon-fri", "sat,sun",
	// "fri-mon", or "daily". A day named by several keys has the spans of all.
	Hours map[string][]string `json:"hours"`
	// Holidays are the dates, "2026-12-25", that are closed all day.
	Holidays []string `json:"holidays,omitempty"`
	// HalfDays are dates with spans that replace the hours of that date.
	HalfDays map[string][]string `json:"half_days,omitempty"`
}

// Segment is a stretch of working time, [From, To), in UTC.
type Segment struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// CalendarError says what is wrong in a Calendar, and where.
type CalendarError struct {
	Path  string // where, by the names in the file: "hours.mon-fri[1]"
	Value string // what is there
	Want  string // what was expected
}

func (e *CalendarError) Error() string {
	return fmt.Sprintf("%s: got %q, expected %s", e.Path, e.Value, e.Want)
}

// Validate returns the first mistake in c as a [*CalendarError], or nil. Which
// one is first does not depend on the order of the maps. nil is valid.
func (c *Calendar) Validate() error {
	if c == nil {
		return nil
	}
	_, err := c.compile()
	return err
}

// Add returns the instant, in UTC, at which d of working time has passed since
// from (R02: a TAT becomes a due_at). It is the earliest such instant: a
// deadline that falls on the end of a span stays there and does not move to
// the start of the next one. If d <= 0 it returns from.
func (c *Calendar) Add(from time.Time, d time.Duration) time.Time {
	due := plainUTC(from)
	c.spend(from, d, func(s Segment) { due = s.To })
	return due
}

// Segments explains Add: the working time that d takes up, in order, the last
// one ending at Add(from, d). Their lengths sum to d, none is empty, and no two
// touch. There are none if d <= 0.
func (c *Calendar) Segments(from time.Time, d time.Duration) []Segment {
	var used []Segment
	c.spend(from, d, func(s Segment) {
		if last := len(used) - 1; last >= 0 && used[last].To.Equal(s.From) {
			used[last].To = s.To
			return
		}
		used = append(used, s)
	})
	return used
}

// spend gives use the working time from from on, in order, until d is used up.
func (c *Calendar) spend(from time.Time, d time.Duration, use func(Segment)) {
	if d <= 0 {
		return
	}
	c.workingTime(from, func(s Segment) bool {
		if length := s.To.Sub(s.From); length < d {
			use(s)
			d -= length
			return true
		}
		use(Segment{s.From, s.From.Add(d)})
		return false
	})
}

// Between returns the working time in [from, to), 0 if to is not after from.
// It saturates at the longest Duration, 292 years.
func (c *Calendar) Between(from, to time.Time) time.Duration {
	to = plainUTC(to)
	var sum time.Duration
	c.workingTime(from, func(s Segment) bool {
		if !s.From.Before(to) {
			return false
		}
		more := s.To.After(to)
		if more {
			s.To = to
		}
		length := s.To.Sub(s.From)
		if sum > math.MaxInt64-length {
			sum, more = math.MaxInt64, true
		} else {
			sum += length
		}
		return !more
	})
	return sum
}

// Open reports whether at is working time. The start of a span is, its end is not.
func (c *Calendar) Open(at time.Time) bool {
	open := false
	c.workingTime(at, func(s Segment) bool {
		open = !s.From.After(at)
		return false
	})
	return open
}

// plainUTC is t in UTC without a monotonic reading, which is not durable.
func plainUTC(t time.Time) time.Time { return t.Round(0).UTC() }

// The bounds of the search, as days since 1970 and as the Unix time, in
// seconds, from which all is working time; forever is later than any Duration reaches.
const (
	firstDay = -719162 // 0001-01-01
	pastDay  = 2932897 // 10000-01-01
	pastAll  = pastDay * secondsPerDay
	forever  = 1 << 60

	secondsPerDay = 24 * 60 * 60
	minutesPerDay = 24 * 60
)

// workingTime yields the working time from from on, in order and without
// overlap, until yield returns false. What touches may come in pieces.
func (c *Calendar) workingTime(from time.Time, yield func(Segment) bool) {
	from = plainUTC(from)
	piece := func(start, end int64) bool {
		s := Segment{time.Unix(start, 0).UTC(), time.Unix(end, 0).UTC()}
		if s.From.Before(from) {
			s.From = from
		}
		return !s.From.Before(s.To) || yield(s)
	}
	if c == nil {
		piece(from.Unix(), forever)
		return
	}
	w, err := c.compile()
	if err != nil {
		piece(from.Unix(), forever)
		return
	}
	clock := zoneClock{zone: w.zone}
	done := int64(math.MinInt64) // all before is yielded
	// The date before the earliest that it can be anywhere: a fold over
	// midnight lets a date end after the next has begun.
	for day := max(firstDay, floorDiv(from.Unix()-maxOffset, secondsPerDay)-1); day < pastDay; day++ {
		for _, o := range w.on(day) {
			start := max(done, clock.first(day*secondsPerDay+int64(o.from)*60))
			end := clock.last(day*secondsPerDay+int64(o.to)*60, o.to == minutesPerDay)
			if start >= end {
				continue
			}
			if !piece(start, end) {
				return
			}
			done = end
		}
	}
	piece(max(done, pastAll), forever)
}

// maxOffset, in seconds, is more than any zone is or was away from UTC.
const maxOffset = 25 * 60 * 60

// zoneClock turns readings of a zone's clocks into instants. A reading is
// written as the Unix time, in seconds, at which UTC would show it.
type zoneClock struct {
	zone *time.Location
	// the period looked at last: [start, end) with one offset; none at first
	start, end, offset int64
}

// look moves to a period that holds the instant at, and ends after it. It may be
// part of a longer one: Go cuts some at the end of a year.
func (k *zoneClock) look(at int64) {
	t := time.Unix(at, 0).In(k.zone)
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	k.start, k.end, k.offset = math.MinInt64/2, math.MaxInt64/2, int64(offset)
	if !start.IsZero() {
		k.start = start.Unix()
	}
	if !end.IsZero() {
		k.end = end.Unix()
	}
	if k.end <= at {
		// From 2038 on, time.tzset takes every year to have 365 days: on 31
		// December of a leap year the period has "ended" before at.
		k.end = (floorDiv(at, secondsPerDay) + 1) * secondsPerDay
	}
}

// steady reports whether reading is so far inside the period looked at that no
// other can show it.
func (k *zoneClock) steady(reading int64) bool {
	at := reading - k.offset
	return at-2*maxOffset >= k.start && at+2*maxOffset < k.end
}

// first is the earliest instant at which the clocks show reading or later: the
// first occurrence, or the jump over it.
func (k *zoneClock) first(reading int64) int64 {
	if k.steady(reading) {
		return reading - k.offset
	}
	for at := reading - maxOffset; ; at = k.end {
		k.look(at)
		if shown := max(at, reading-k.offset); shown < k.end {
			return shown
		}
	}
}

// last is the latest instant until which the clocks show reading or earlier:
// the last occurrence, or the jump over it. With before, only earlier readings
// count: it is then where a date ends, even if its last midnight comes twice.
func (k *zoneClock) last(reading int64, before bool) int64 {
	if k.steady(reading) {
		return reading - k.offset
	}
	last := reading - maxOffset
	for at := reading - maxOffset; at <= reading+maxOffset; at = k.end {
		k.look(at)
		shown := reading - k.offset
		if shown > k.start || shown == k.start && !before {
			last = min(shown, k.end)
		}
	}
	return last
}

// workweek is a Calendar understood.
type workweek struct {
	zone *time.Location
	week [7][]opening // by time.Weekday
	// days since 1970 whose hours are not those of the week: holidays, half
	// days, and the days after them where a span across midnight differs
	exceptions map[int64][]opening
}

// opening is a span on one date, in minutes since its midnight.
type opening struct {
	from, to int
	of       *source
}

// source is where a span is written: spans[index] of a key in hours or half_days.
type source struct {
	group, key string
	index      int
	text       string
}

func (s *source) path() string { return s.group + "." + s.key + "[" + strconv.Itoa(s.index) + "]" }

// on returns the openings of a day since 1970, in order.
func (w *workweek) on(day int64) []opening {
	if openings, ok := w.exceptions[day]; ok {
		return openings
	}
	return w.week[weekday(day)]
}

func weekday(day int64) int { return int(((day+4)%7 + 7) % 7) } // day 0 was a Thursday

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (c *Calendar) compile() (*workweek, error) {
	zone, err := loadZone(c.TimeZone)
	if err != nil {
		return nil, err
	}
	w := &workweek{zone: zone}

	var own, tails [7][]opening // tails: what the day's spans take of the next one
	spans := 0
	for _, key := range keysInOrder(c.Hours) {
		days, err := parseDays(key)
		if err != nil {
			return nil, err
		}
		today, tomorrow, err := parseSpans("hours", key, c.Hours[key])
		if err != nil {
			return nil, err
		}
		for _, d := range days {
			own[d] = append(own[d], today...)
			tails[d] = append(tails[d], tomorrow...)
		}
		spans += len(today)
	}
	if spans == 0 {
		return nil, &CalendarError{"hours", "", `at least one span, such as mon-fri: ["09:00-18:00"]`}
	}
	for i := range w.week {
		d := (i + int(time.Monday)) % 7
		if w.week[d], err = ordered(weekdays[d], own[d], tails[(d+6)%7]); err != nil {
			return nil, err
		}
	}

	if len(c.Holidays)+len(c.HalfDays) == 0 {
		return w, nil
	}
	w.exceptions = make(map[int64][]opening, len(c.Holidays)+len(c.HalfDays))
	type tail struct {
		day     int64
		replace []opening
	}
	var replaced []tail // in order, so that the first mistake is always the same
	for i, date := range c.Holidays {
		day, ok := parseDate(date)
		_, twice := w.exceptions[day]
		if !ok || twice {
			wrong := &CalendarError{"holidays[" + strconv.Itoa(i) + "]", date, wantDate}
			if ok {
				wrong.Want = "each date once"
			}
			return nil, wrong
		}
		w.exceptions[day] = nil
		replaced = append(replaced, tail{day, nil})
	}
	for _, date := range keysInOrder(c.HalfDays) {
		day, ok := parseDate(date)
		if !ok {
			return nil, &CalendarError{"half_days", date, wantDate}
		}
		if _, ok := w.exceptions[day]; ok {
			return nil, &CalendarError{"half_days", date, "a date that is not one of the holidays"}
		}
		today, tomorrow, err := parseSpans("half_days", date, c.HalfDays[date])
		if err != nil {
			return nil, err
		}
		if w.exceptions[day], err = ordered(date, today, nil); err != nil {
			return nil, err
		}
		replaced = append(replaced, tail{day, tomorrow})
	}
	for _, t := range replaced {
		_, special := w.exceptions[t.day+1]
		if special || len(t.replace)+len(tails[weekday(t.day)]) == 0 {
			continue
		}
		next := time.Unix((t.day+1)*secondsPerDay, 0).UTC().Format(time.DateOnly)
		if w.exceptions[t.day+1], err = ordered(next, own[weekday(t.day+1)], t.replace); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// ordered puts the openings of one date in order and refuses an overlap.
func ordered(date string, own, tail []opening) ([]opening, error) {
	all := own
	if len(tail) > 0 {
		all = slices.Concat(own, tail)
	}
	slices.SortStableFunc(all, func(a, b opening) int { return a.from - b.from })
	for i := 1; i < len(all); i++ {
		if a, b := all[i-1], all[i]; b.from < a.to {
			return nil, &CalendarError{b.of.path(), b.of.text, fmt.Sprintf("no overlap with %q (%s) on %s", a.of.text, a.of.path(), date)}
		}
	}
	return all, nil
}

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // by time.Weekday

// parseDays reads a key of Hours: days, and ranges of days, separated by commas.
func parseDays(key string) ([]int, error) {
	wrong := &CalendarError{"hours", key, `days as in "mon", "mon-fri", "sat,sun" or "daily"`}
	if key == "daily" {
		return []int{0, 1, 2, 3, 4, 5, 6}, nil
	}
	var days []int
	for part := range strings.SplitSeq(key, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		first, last := slices.Index(weekdays[:], from), slices.Index(weekdays[:], to)
		if first < 0 || last < 0 {
			return nil, wrong
		}
		for d := first; ; d = (d + 1) % 7 {
			if slices.Contains(days, d) {
				wrong.Want = "each day once, but " + weekdays[d] + " is named twice"
				return nil, wrong
			}
			days = append(days, d)
			if d == last {
				break
			}
		}
	}
	return days, nil
}

// parseSpans reads the spans of a key: what each takes of its own date and of the next.
func parseSpans(group, key string, spans []string) (today, tomorrow []opening, err error) {
	if len(spans) == 0 {
		return nil, nil, &CalendarError{group + "." + key, "", "at least one span; a day that is left out is closed, a date among the holidays too"}
	}
	today = make([]opening, 0, len(spans))
	for i, text := range spans {
		of := &source{group, key, i, text}
		from, to, ok := parseSpan(text)
		switch {
		case !ok:
			return nil, nil, &CalendarError{of.path(), text, `a span "HH:MM-HH:MM", 00:00 to 24:00`}
		case from == to:
			return nil, nil, &CalendarError{of.path(), text, `a span that ends when it does not start; the whole day is "00:00-24:00"`}
		case from < to:
			today = append(today, opening{from, to, of})
		default:
			today = append(today, opening{from, minutesPerDay, of})
			if to > 0 {
				tomorrow = append(tomorrow, opening{0, to, of})
			}
		}
	}
	return today, tomorrow, nil
}

// parseSpan reads "HH:MM-HH:MM", in minutes since midnight.
func parseSpan(text string) (from, to int, ok bool) {
	if len(text) != len("HH:MM-HH:MM") || text[5] != '-' {
		return 0, 0, false
	}
	from, okFrom := parseMinutes(text[:5])
	to, okTo := parseMinutes(text[6:])
	return from, to, okFrom && okTo && from < minutesPerDay
}

// parseMinutes reads "HH:MM", 00:00 to 24:00.
func parseMinutes(s string) (int, bool) {
	for i, ch := range []byte(s) {
		if i == 2 && ch != ':' || i != 2 && (ch < '0' || ch > '9') {
			return 0, false
		}
	}
	hours := int(s[0]-'0')*10 + int(s[1]-'0')
	minutes := int(s[3]-'0')*10 + int(s[4]-'0')
	total := hours*60 + minutes
	return total, minutes < 60 && total <= minutesPerDay
}

const wantDate = "a date that exists, as YYYY-MM-DD"

// parseDate reads a date as days since 1970.
func parseDate(date string) (day int64, ok bool) {
	t, err := time.Parse(time.DateOnly, date)
	return floorDiv(t.Unix(), secondsPerDay), err == nil
}

// zones holds the zones loaded so far, by name: loading one reads a file.
var zones sync.Map

func loadZone(name string) (*time.Location, error) {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	wrong := &CalendarError{"time_zone", name, `an IANA time zone that is known here, such as "Asia/Kolkata"`}
	switch root, _, _ := strings.Cut(name, "/"); root {
	// "" is silently UTC; the others depend on the machine or count leap seconds.
	case "", "Local", "localtime", "posixrules", "posix", "right":
		return nil, wrong
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, wrong
	}
	zones.Store(name, zone)
	return zone, nil
}

func keysInOrder(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	//workflowcheck:ignore the order is made next
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
