package callback

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func calendarTime(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	require.NoError(t, err)
	return at
}

func calendarHours(zone string, keysAndSpans ...string) *Calendar {
	c := &Calendar{TimeZone: zone, Hours: map[string][]string{}}
	for i := 0; i < len(keysAndSpans); i += 2 {
		c.Hours[keysAndSpans[i]] = strings.Fields(keysAndSpans[i+1])
	}
	return c
}

// calendarKolkata is the example of CONTRACT §3 with more special dates.
func calendarKolkata() *Calendar {
	c := calendarHours("Asia/Kolkata", "mon-fri", "09:00-13:00 14:00-18:00")
	c.Holidays = []string{"2026-12-25"}
	c.HalfDays = map[string][]string{"2026-12-24": {"09:00-13:00"}, "2028-02-29": {"10:00-12:00"}}
	return c
}

func TestR02_CalendarAddsWorkingTime(t *testing.T) {
	weekdays := calendarKolkata()
	nights := calendarHours("Asia/Kolkata", "mon-fri", "22:00-06:00")
	nights.Holidays = []string{"2026-11-25"}                                 // a Wednesday
	nights.HalfDays = map[string][]string{"2026-12-02": {"20:00-02:00"}}     // a Wednesday
	apia := calendarHours("Pacific/Apia", "daily", "09:00-17:00")            // no 2011-12-30
	apiaWeek := calendarHours("Pacific/Apia", "mon-fri", "09:00-17:00")      // it would have been a Friday
	newYork := calendarHours("America/New_York", "daily", "01:30-02:30")     // 8 March: 02:00 to 03:00; 1 November: 02:00 to 01:00
	london := calendarHours("Europe/London", "sun", "00:30-01:30")           // 29 March: 01:00 to 02:00; 25 October: 02:00 to 01:00
	lordHowe := calendarHours("Australia/Lord_Howe", "daily", "01:45-02:15") // 5 April: 02:00 to 01:30; 4 October: 02:00 to 02:30
	clock := calendarHours("America/New_York", "daily", "00:00-24:00")
	tests := []struct {
		name     string
		calendar *Calendar
		from     string
		d        time.Duration
		want     string
	}{
		{"within a span", weekdays, "2026-11-23T09:15:00+05:30", time.Hour, "2026-11-23T10:15:00+05:30"},
		{"over lunch", weekdays, "2026-11-23T12:30:00+05:30", time.Hour, "2026-11-23T14:30:00+05:30"},
		{"from lunch", weekdays, "2026-11-23T13:20:00+05:30", time.Hour, "2026-11-23T15:00:00+05:30"},
		{"to the end of a span, not the start of the next", weekdays, "2026-11-23T12:00:00+05:30", time.Hour, "2026-11-23T13:00:00+05:30"},
		{"to the end of the day, not the next morning", weekdays, "2026-11-23T17:00:00+05:30", time.Hour, "2026-11-23T18:00:00+05:30"},
		{"from the end of the day", weekdays, "2026-11-23T18:00:00+05:30", time.Hour, "2026-11-24T10:00:00+05:30"},
		{"over the evening", weekdays, "2026-11-23T17:30:00+05:30", time.Hour, "2026-11-24T09:30:00+05:30"},
		{"over the weekend", weekdays, "2026-11-27T17:30:00+05:30", time.Hour, "2026-11-30T09:30:00+05:30"},
		{"from the weekend", weekdays, "2026-11-28T11:00:00+05:30", time.Hour, "2026-11-30T10:00:00+05:30"},
		{"a whole week", weekdays, "2026-11-23T09:00:00+05:30", 40 * time.Hour, "2026-11-27T18:00:00+05:30"},
		{"a week and a bit", weekdays, "2026-11-23T09:00:00+05:30", 40*time.Hour + time.Millisecond, "2026-11-30T09:00:00.001+05:30"},
		{"half day, holiday, weekend", weekdays, "2026-12-24T12:30:00+05:30", time.Hour, "2026-12-28T09:30:00+05:30"},
		{"leap day, with its own hours", weekdays, "2028-02-28T17:30:00+05:30", time.Hour, "2028-02-29T10:30:00+05:30"},
		{"over a leap day", weekdays, "2028-02-28T17:30:00+05:30", 3 * time.Hour, "2028-03-01T09:30:00+05:30"},
		{"nanoseconds", weekdays, "2026-11-23T12:59:59.999999999+05:30", 2, "2026-11-23T14:00:00.000000001+05:30"},

		{"across midnight", nights, "2026-11-23T23:30:00+05:30", time.Hour, "2026-11-24T00:30:00+05:30"},
		{"Friday's night ends on Saturday", nights, "2026-11-28T05:30:00+05:30", time.Hour, "2026-11-30T22:30:00+05:30"},
		{"a night stops before a holiday and starts none on it", nights, "2026-11-24T23:30:00+05:30", time.Hour, "2026-11-26T22:30:00+05:30"},
		{"a half day replaces the tail of the night before", nights, "2026-12-01T23:30:00+05:30", time.Hour, "2026-12-02T20:30:00+05:30"},
		{"a half day's own span runs into the next date", nights, "2026-12-03T01:30:00+05:30", time.Hour, "2026-12-03T22:30:00+05:30"},

		{"spring: the span ends at the jump", newYork, "2026-03-08T01:30:00-05:00", 30 * time.Minute, "2026-03-08T03:00:00-04:00"},
		{"spring: the rest is the next day's", newYork, "2026-03-08T01:30:00-05:00", 40 * time.Minute, "2026-03-09T01:40:00-04:00"},
		{"autumn: from the first 01:30, both hours count", newYork, "2026-11-01T01:30:00-04:00", 2 * time.Hour, "2026-11-01T02:30:00-05:00"},
		{"autumn: from the second 01:30", newYork, "2026-11-01T01:30:00-05:00", time.Hour, "2026-11-01T02:30:00-05:00"},
		{"around the local clock in spring", clock, "2026-03-08T00:00:00-05:00", 24 * time.Hour, "2026-03-09T01:00:00-04:00"},
		{"around the local clock in autumn", clock, "2026-11-01T00:00:00-04:00", 24 * time.Hour, "2026-11-01T23:00:00-05:00"},
		{"31 December of a far leap year, where Go's zone periods have a hole", clock, "2040-12-30T12:00:00-05:00", 48 * time.Hour, "2041-01-01T12:00:00-05:00"},
		{"London in spring", london, "2026-03-29T00:00:00Z", 45 * time.Minute, "2026-04-05T00:45:00+01:00"},
		{"London in autumn", london, "2026-10-25T00:00:00+01:00", 2 * time.Hour, "2026-10-25T01:30:00Z"},
		{"Lord Howe in autumn: half an hour more", lordHowe, "2026-04-05T01:45:00+11:00", time.Hour, "2026-04-05T02:15:00+10:30"},
		{"Lord Howe in spring: half of it is skipped", lordHowe, "2026-10-04T01:45:00+10:30", 30 * time.Minute, "2026-10-05T02:00:00+11:00"},

		{"Apia: the day after the 29th is the 31st", apia, "2011-12-29T16:30:00-10:00", time.Hour, "2011-12-31T09:30:00+14:00"},
		{"Apia: a Friday that did not exist is no working day", apiaWeek, "2011-12-29T16:30:00-10:00", time.Hour, "2012-01-02T09:30:00+14:00"},

		{"nil is around the clock", nil, "2026-11-28T23:30:00+05:30", time.Hour, "2026-11-29T00:30:00+05:30"},
		{"nothing to add, outside the hours", weekdays, "2026-11-28T11:00:00+05:30", 0, "2026-11-28T11:00:00+05:30"},
		{"less than nothing", weekdays, "2026-11-23T11:00:00+05:30", -time.Hour, "2026-11-23T11:00:00+05:30"},
		{"less than nothing, around the clock", nil, "2026-11-23T11:00:00+05:30", -time.Hour, "2026-11-23T11:00:00+05:30"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, tt.calendar.Validate())
			from := calendarTime(t, tt.from)
			got := tt.calendar.Add(from, tt.d)
			require.Equal(t, calendarTime(t, tt.want).UTC(), got)
			require.Equal(t, max(0, tt.d), tt.calendar.Between(from, got))
		})
	}
}

func TestR02_CalendarMeasuresRealTimeWhereTheClocksChange(t *testing.T) {
	tests := []struct {
		name, zone, spans, from, to string
		want                        time.Duration
	}{
		{"a whole day in spring", "America/New_York", "00:00-24:00", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00", 23 * time.Hour},
		{"a whole day in autumn", "America/New_York", "00:00-24:00", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 25 * time.Hour},
		{"wholly in the gap", "America/New_York", "02:15-02:45", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00", 0},
		{"start in the gap", "America/New_York", "02:30-04:00", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00", time.Hour},
		{"end in the gap", "America/New_York", "01:30-02:30", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00", 30 * time.Minute},
		{"over the gap", "America/New_York", "01:00-04:00", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00", 2 * time.Hour},
		{"wholly in the fold", "America/New_York", "01:30-01:45", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 75 * time.Minute},
		{"start in the fold", "America/New_York", "01:30-03:00", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 150 * time.Minute},
		{"end in the fold", "America/New_York", "00:00-01:30", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 150 * time.Minute},
		{"end where the fold begins", "America/New_York", "00:00-01:00", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 2 * time.Hour},
		{"start where the fold ends", "America/New_York", "02:00-03:00", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", time.Hour},
		{"spans that the fold makes overlap", "America/New_York", "00:00-01:30 01:30-03:00", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 4 * time.Hour},
		{"a night in spring", "America/New_York", "22:00-06:00", "2026-03-07T12:00:00-05:00", "2026-03-08T12:00:00-04:00", 7 * time.Hour},
		{"a night in autumn", "America/New_York", "22:00-06:00", "2026-10-31T12:00:00-04:00", "2026-11-01T12:00:00-05:00", 9 * time.Hour},
		{"London in spring", "Europe/London", "00:00-06:00", "2026-03-29T00:00:00Z", "2026-03-29T12:00:00+01:00", 5 * time.Hour},
		{"London in autumn", "Europe/London", "00:00-06:00", "2026-10-25T00:00:00+01:00", "2026-10-25T12:00:00Z", 7 * time.Hour},
		{"Lord Howe, half an hour in the fold", "Australia/Lord_Howe", "01:30-02:00", "2026-04-05T00:00:00+11:00", "2026-04-05T12:00:00+10:30", time.Hour},
		{"Lord Howe, half an hour in the gap", "Australia/Lord_Howe", "02:00-02:30", "2026-10-04T00:00:00+10:30", "2026-10-04T12:00:00+11:00", 0},
		{"São Paulo, where midnight was skipped", "America/Sao_Paulo", "00:00-06:00", "2018-11-03T12:00:00-03:00", "2018-11-04T12:00:00-02:00", 5 * time.Hour},
		{"São Paulo, where the hour before midnight came twice", "America/Sao_Paulo", "22:00-24:00", "2018-02-17T12:00:00-02:00", "2018-02-18T12:00:00-03:00", 3 * time.Hour},
		{"Havana, where midnight comes twice", "America/Havana", "00:00-24:00", "2026-10-31T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 49 * time.Hour},
		{"Havana, to the first midnight", "America/Havana", "22:00-24:00", "2026-10-31T12:00:00-04:00", "2026-11-01T12:00:00-05:00", 2 * time.Hour},
		{"St. John's, where a date came back for an hour", "America/St_Johns", "00:00-24:00", "2010-11-06T00:00:00-02:30", "2010-11-08T00:00:00-03:30", 49 * time.Hour},
		{"Apia, around the missing day", "Pacific/Apia", "00:00-24:00", "2011-12-29T00:00:00-10:00", "2012-01-01T00:00:00+14:00", 48 * time.Hour},
		{"Apia, the nights around the missing day", "Pacific/Apia", "22:00-06:00", "2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00", 8 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := calendarHours(tt.zone, "daily", tt.spans)
			require.NoError(t, c.Validate())
			from, to := calendarTime(t, tt.from), calendarTime(t, tt.to)
			require.Equal(t, tt.want, c.Between(from, to))
			require.Zero(t, c.Between(to, from))
			calendarSampled(t, c, from, to)
		})
	}
}

// calendarSampled checks Between against Open minute by minute; everything
// must lie on whole minutes.
func calendarSampled(t require.TestingT, c *Calendar, from, to time.Time) {
	var sum time.Duration
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		if c.Open(at) {
			sum += time.Minute
		}
	}
	require.Equal(t, sum, c.Between(from, to), "minutes that are open, against Between")
}

func TestR02_CalendarSegmentsExplainTheDeadline(t *testing.T) {
	c := calendarKolkata()
	from := calendarTime(t, "2026-12-24T12:30:00+05:30")
	segment := func(from, to string) Segment {
		return Segment{calendarTime(t, from).UTC(), calendarTime(t, to).UTC()}
	}
	require.Equal(t, []Segment{
		segment("2026-12-24T12:30:00+05:30", "2026-12-24T13:00:00+05:30"),
		segment("2026-12-28T09:00:00+05:30", "2026-12-28T13:00:00+05:30"),
		segment("2026-12-28T14:00:00+05:30", "2026-12-28T14:30:00+05:30"),
	}, c.Segments(from, 5*time.Hour))
	require.Empty(t, c.Segments(from, 0))

	night := calendarHours("Asia/Kolkata", "daily", "22:00-06:00 06:00-07:00")
	require.Equal(t, []Segment{segment("2026-12-24T22:00:00+05:30", "2026-12-25T06:30:00+05:30")},
		night.Segments(from, 8*time.Hour+30*time.Minute), "one stretch, whatever it is written as")

	var always *Calendar
	require.Equal(t, []Segment{segment("2026-12-24T12:30:00+05:30", "2026-12-24T13:30:00+05:30")}, always.Segments(from, time.Hour))

	data, err := json.Marshal(always.Segments(from, time.Hour))
	require.NoError(t, err)
	require.JSONEq(t, `[{"from": "2026-12-24T07:00:00Z", "to": "2026-12-24T08:00:00Z"}]`, string(data))
}

func TestR02_CalendarOpenIsHalfOpen(t *testing.T) {
	c := calendarKolkata()
	for at, want := range map[string]bool{
		"2026-11-23T08:59:59.999999999+05:30": false,
		"2026-11-23T09:00:00+05:30":           true,
		"2026-11-23T12:59:59.999999999+05:30": true,
		"2026-11-23T13:00:00+05:30":           false,
		"2026-11-28T10:00:00+05:30":           false,
		"2026-12-24T10:00:00+05:30":           true,
		"2026-12-24T15:00:00+05:30":           false,
		"2026-12-25T10:00:00+05:30":           false,
	} {
		require.Equal(t, want, c.Open(calendarTime(t, at)), at)
	}
	var always *Calendar
	require.True(t, always.Open(time.Time{}))
}

func TestCalendarValidate(t *testing.T) {
	with := func(change func(*Calendar)) *Calendar {
		c := calendarKolkata()
		change(c)
		return c
	}
	hours := func(keysAndSpans ...string) *Calendar { return calendarHours("Asia/Kolkata", keysAndSpans...) }
	zone := func(name string) *Calendar { return calendarHours(name, "mon", "09:00-18:00") }
	const (
		wantSpan = `expected a span "HH:MM-HH:MM", 00:00 to 24:00`
		wantDays = `expected days as in "mon", "mon-fri", "sat,sun" or "daily"`
		wantDate = `expected a date that exists, as YYYY-MM-DD`
		wantZone = `expected an IANA time zone that is known here, such as "Asia/Kolkata"`
	)
	tests := []struct {
		calendar *Calendar
		want     string // "" is valid
	}{
		{nil, ""},
		{calendarKolkata(), ""},
		{hours("mon-fri", "09:00-13:00 13:00-18:00", "sat, sun", "00:00-24:00"), ""},
		{hours("mon", "22:00-06:00", "tue", "06:00-22:00"), ""},
		{hours("mon", "22:00-00:00", "tue", "00:00-01:00"), ""},
		{hours("fri-mon", "09:00-18:00", "daily", "20:00-21:00"), ""},
		{zone("UTC"), ""},

		{zone(""), `time_zone: got "", ` + wantZone},
		{zone("Local"), `time_zone: got "Local", ` + wantZone},
		{zone("Asia/Kolkatta"), `time_zone: got "Asia/Kolkatta", ` + wantZone},
		{zone("../Asia/Kolkata"), `time_zone: got "../Asia/Kolkata", ` + wantZone},
		{zone("right/Asia/Kolkata"), `time_zone: got "right/Asia/Kolkata", ` + wantZone},
		{&Calendar{}, `time_zone: got "", ` + wantZone},
		{hours(), `hours: got "", expected at least one span, such as mon-fri: ["09:00-18:00"]`},
		{hours("sat", ""), `hours.sat: got "", expected at least one span; a day that is left out is closed, a date among the holidays too`},

		{hours("monday", "09:00-18:00"), `hours: got "monday", ` + wantDays},
		{hours("Mon", "09:00-18:00"), `hours: got "Mon", ` + wantDays},
		{hours("", "09:00-18:00"), `hours: got "", ` + wantDays},
		{hours("mon-", "09:00-18:00"), `hours: got "mon-", ` + wantDays},
		{hours("mon-wed-fri", "09:00-18:00"), `hours: got "mon-wed-fri", ` + wantDays},
		{hours("mon,daily", "09:00-18:00"), `hours: got "mon,daily", ` + wantDays},
		{hours("mon-fri,wed", "09:00-18:00"), `hours: got "mon-fri,wed", expected each day once, but wed is named twice`},

		{hours("mon", "9:00-18:00"), `hours.mon[0]: got "9:00-18:00", ` + wantSpan},
		{hours("mon", "09:00-12:00 09.00-18.00"), `hours.mon[1]: got "09.00-18.00", ` + wantSpan},
		{hours("mon", "09:00–18:00"), `hours.mon[0]: got "09:00–18:00", ` + wantSpan},
		{hours("mon", "09:60-18:00"), `hours.mon[0]: got "09:60-18:00", ` + wantSpan},
		{hours("mon", "09:00-24:01"), `hours.mon[0]: got "09:00-24:01", ` + wantSpan},
		{hours("mon", "24:00-06:00"), `hours.mon[0]: got "24:00-06:00", ` + wantSpan},
		{hours("mon", "+9:00-18:00"), `hours.mon[0]: got "+9:00-18:00", ` + wantSpan},
		{hours("mon", "09:00-09:00"), `hours.mon[0]: got "09:00-09:00", expected a span that ends when it does not start; the whole day is "00:00-24:00"`},

		{hours("mon", "09:00-13:00 12:00-18:00"), `hours.mon[1]: got "12:00-18:00", expected no overlap with "09:00-13:00" (hours.mon[0]) on mon`},
		{hours("mon-fri", "09:00-13:00", "wed", "12:59-18:00"), `hours.wed[0]: got "12:59-18:00", expected no overlap with "09:00-13:00" (hours.mon-fri[0]) on wed`},
		{hours("mon", "22:00-06:00", "tue", "05:00-09:00"), `hours.tue[0]: got "05:00-09:00", expected no overlap with "22:00-06:00" (hours.mon[0]) on tue`},
		{hours("sun", "22:00-06:00", "mon", "05:00-09:00"), `hours.mon[0]: got "05:00-09:00", expected no overlap with "22:00-06:00" (hours.sun[0]) on mon`},

		{with(func(c *Calendar) { c.Holidays[0] = "2026-02-29" }), `holidays[0]: got "2026-02-29", ` + wantDate},
		{with(func(c *Calendar) { c.Holidays = append(c.Holidays, "26-1-2") }), `holidays[1]: got "26-1-2", ` + wantDate},
		{with(func(c *Calendar) { c.Holidays = append(c.Holidays, "2026-12-25") }), `holidays[1]: got "2026-12-25", expected each date once`},
		{with(func(c *Calendar) { c.HalfDays["24.12.2026"] = nil }), `half_days: got "24.12.2026", ` + wantDate},
		{with(func(c *Calendar) { c.HalfDays["2026-12-25"] = []string{"09:00-13:00"} }), `half_days: got "2026-12-25", expected a date that is not one of the holidays`},
		{with(func(c *Calendar) { c.HalfDays["2026-12-24"] = nil }), `half_days.2026-12-24: got "", expected at least one span; a day that is left out is closed, a date among the holidays too`},
		{with(func(c *Calendar) { c.HalfDays["2026-12-24"] = []string{"9-13"} }), `half_days.2026-12-24[0]: got "9-13", ` + wantSpan},
		{with(func(c *Calendar) { c.HalfDays["2026-12-24"] = []string{"09:00-13:00", "12:00-14:00"} }), `half_days.2026-12-24[1]: got "12:00-14:00", expected no overlap with "09:00-13:00" (half_days.2026-12-24[0]) on 2026-12-24`},
		{with(func(c *Calendar) { c.HalfDays["2026-12-22"] = []string{"20:00-10:00"} }), `hours.mon-fri[0]: got "09:00-13:00", expected no overlap with "20:00-10:00" (half_days.2026-12-22[0]) on 2026-12-23`},
		{with(func(c *Calendar) { c.HalfDays["2026-12-23"] = []string{"20:00-10:00"} }), ""}, // the 24th has its own hours
	}
	for _, tt := range tests {
		err := tt.calendar.Validate()
		if tt.want == "" {
			require.NoError(t, err, "%+v", tt.calendar)
			continue
		}
		var mistake *CalendarError
		require.ErrorAs(t, err, &mistake)
		require.EqualError(t, err, tt.want)
	}
}

func TestR02_CalendarThatIsInvalidPromisesEarlyNotNever(t *testing.T) {
	from := calendarTime(t, "2026-11-28T11:00:00Z")
	for _, c := range []*Calendar{{}, {TimeZone: "Asia/Kolkata"}, calendarHours("Nowhere", "mon", "09:00-18:00")} {
		require.Error(t, c.Validate())
		require.Equal(t, from.Add(time.Hour), c.Add(from, time.Hour))
		require.Equal(t, time.Hour, c.Between(from, from.Add(time.Hour)))
		require.True(t, c.Open(from))
	}
}

func TestR02_CalendarAlwaysComesToAnEnd(t *testing.T) {
	from := calendarTime(t, "2026-11-23T09:00:00Z")

	closed := calendarHours("UTC", "daily", "09:00-18:00")
	for day := range 3 * 365 {
		closed.Holidays = append(closed.Holidays, from.AddDate(0, 0, day).Format(time.DateOnly))
	}
	require.NoError(t, closed.Validate())
	require.Equal(t, calendarTime(t, "2029-11-22T10:00:00Z"), closed.Add(from, time.Hour), "after the last holiday")

	inTheGap := calendarHours("America/New_York", "sun", "02:15-02:16")
	require.Equal(t, calendarTime(t, "2026-03-15T02:16:00-04:00").UTC(),
		inTheGap.Add(calendarTime(t, "2026-03-07T00:00:00Z"), time.Minute), "a week in which the only span is skipped")

	forever := calendarHours("America/New_York", "sat", "10:00-10:01")
	for _, from := range []time.Time{time.Unix(-1<<60, 0), from.AddDate(7900, 0, 0), from.AddDate(9000, 0, 0)} {
		due := forever.Add(from, math.MaxInt64)
		require.True(t, due.After(from))
		require.Equal(t, time.Duration(math.MaxInt64), forever.Between(from, due))
	}
	end := calendarTime(t, "9999-12-31T23:00:00Z")
	require.Equal(t, end.Add(2*time.Hour), forever.Add(end, time.Hour), "after the year 9999 every hour counts")
	require.Equal(t, time.Duration(math.MaxInt64), (*Calendar)(nil).Between(time.Time{}, end), "saturated")
	require.Equal(t, time.Duration(math.MaxInt64), calendarHours("UTC", "daily", "00:00-24:00").Between(time.Time{}, end), "saturated")
}

func TestCalendarSurvivesJSON(t *testing.T) {
	c := calendarKolkata()
	data, err := json.Marshal(c)
	require.NoError(t, err)
	from := calendarTime(t, "2026-12-24T12:30:00+05:30")
	c.Add(from, time.Hour)
	var again Calendar
	require.NoError(t, json.Unmarshal(data, &again))
	require.Equal(t, *c, again, "using a calendar leaves nothing in it")
	require.Equal(t, c.Add(from, time.Hour), again.Add(from, time.Hour))
	require.JSONEq(t, `{"time_zone": "Asia/Kolkata", "hours": {"mon-fri": ["09:00-13:00", "14:00-18:00"]}, "holidays": ["2026-12-25"],
		"half_days": {"2026-12-24": ["09:00-13:00"], "2028-02-29": ["10:00-12:00"]}}`, string(data))
}

func TestCalendarIsRaceFree(t *testing.T) {
	c := calendarKolkata()
	from := calendarTime(t, "2026-12-24T12:30:00+05:30")
	want := c.Add(from, 5*time.Hour)
	got := make([]time.Time, 8)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			got[i] = c.Add(from, 5*time.Hour)
			c.Open(from)
			c.Between(from, got[i])
			_ = c.Validate()
		})
	}
	all.Wait()
	for _, at := range got {
		require.Equal(t, want, at)
	}
}

// calendarDrawn draws a valid calendar, now and then nil. Spans across midnight
// end before 06:00, all others start after it, so none overlap.
func calendarDrawn(t *rapid.T) *Calendar {
	if rapid.IntRange(0, 19).Draw(t, "nil") == 0 {
		return nil
	}
	clock := func(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }
	spans := func(label string) []string {
		cuts := rapid.SliceOfNDistinct(rapid.IntRange(360, 1320), 2, 6, rapid.ID[int]).Draw(t, label)
		slices.Sort(cuts)
		var spans []string
		for i := 0; i+1 < len(cuts); i += 2 {
			spans = append(spans, clock(cuts[i])+"-"+clock(cuts[i+1]))
		}
		switch rapid.IntRange(0, 4).Draw(t, label+" night") {
		case 0:
			spans = append(spans, clock(rapid.IntRange(1320, 1439).Draw(t, "from"))+"-24:00")
		case 1:
			spans = append(spans, clock(rapid.IntRange(1320, 1439).Draw(t, "from"))+"-"+clock(rapid.IntRange(0, 360).Draw(t, "to")))
		case 2:
			spans = []string{"06:00-06:00"}
			spans[0] = "06:00-" + clock(rapid.IntRange(0, 359).Draw(t, "to"))
		}
		return spans
	}
	c := &Calendar{
		TimeZone: rapid.SampledFrom([]string{
			"Asia/Kolkata", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Pacific/Apia",
			"America/Havana", "America/Sao_Paulo", "America/St_Johns", "Africa/Casablanca", "UTC",
		}).Draw(t, "zone"),
		Hours: map[string][]string{},
	}
	for _, key := range rapid.SampledFrom([][]string{
		{"daily"}, {"mon-fri"}, {"mon-fri", "sat,sun"}, {"sun"}, {"fri-mon", "wed"}, {"mon,wed,fri", "sat"},
	}).Draw(t, "keys") {
		c.Hours[key] = spans(key)
	}
	special := rapid.SliceOfNDistinct(rapid.IntRange(-30, 30), 0, 8, rapid.ID[int]).Draw(t, "special")
	base := calendarChange.Draw(t, "special near")
	for i, day := range special {
		date := base.AddDate(0, 0, day).Format(time.DateOnly)
		if i%2 == 0 {
			c.Holidays = append(c.Holidays, date)
			continue
		}
		if c.HalfDays == nil {
			c.HalfDays = map[string][]string{}
		}
		c.HalfDays[date] = spans(date)
	}
	return c
}

// calendarChange draws a time near which some zone's clocks change.
var calendarChange = rapid.Map(rapid.SampledFrom([]string{
	"2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z", "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z",
	"2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z", "2011-12-30T10:00:00Z", "2018-11-04T03:00:00Z", "2018-02-18T02:00:00Z",
	"2010-11-07T02:31:00Z", "2026-11-01T05:00:00Z", "2028-02-29T00:00:00Z", "2040-12-31T12:00:00Z", "2025-12-31T23:00:00Z", "1900-01-01T00:00:00Z",
}), func(s string) time.Time { at, _ := time.Parse(time.RFC3339, s); return at })

// calendarInstant draws an instant, mostly within days of such a change.
func calendarInstant(t *rapid.T, label string) time.Time {
	around := rapid.SampledFrom([]int64{3, 40, 5000}).Draw(t, label+" days") * int64(24*time.Hour)
	return calendarChange.Draw(t, label+" near").Add(time.Duration(rapid.Int64Range(-around, around).Draw(t, label)))
}

func calendarAmount(t *rapid.T, label string) time.Duration {
	most := rapid.SampledFrom([]time.Duration{time.Minute, 2 * time.Hour, 100 * time.Hour}).Draw(t, label+" up to")
	return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, label))
}

func TestR02_CalendarLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := calendarDrawn(t)
		require.NoError(t, c.Validate())
		x, a, b := calendarInstant(t, "x"), calendarAmount(t, "a"), calendarAmount(t, "b")

		due := c.Add(x, a)
		require.Equal(t, time.UTC, due.Location())
		require.False(t, due.Before(x), "never before from")
		require.GreaterOrEqual(t, due.Sub(x), a, "never sooner than around the clock")
		require.Equal(t, a, c.Between(x, due), "Between measures what Add added")
		require.False(t, c.Add(x, a+b).Before(due), "more time, no earlier deadline")
		y := x.Add(calendarAmount(t, "later"))
		require.False(t, c.Add(y, a).Before(due), "asked later, due no earlier")
		if a > 0 {
			require.Equal(t, c.Add(x, a+b), c.Add(due, b), "a promise may be added to in parts")
			require.True(t, c.Open(due.Add(-1)), "a deadline is reached while working")
			require.Equal(t, a-1, c.Between(x, due.Add(-1)), "and not before")
		}
		far := y.Add(calendarAmount(t, "far"))
		require.Equal(t, c.Between(x, far), c.Between(x, y)+c.Between(y, far), "Between adds up")
		require.LessOrEqual(t, c.Between(x, far), far.Sub(x))
		require.Zero(t, c.Between(far, x))

		if c == nil {
			require.True(t, due.Equal(x.Add(a)))
			require.Equal(t, far.Sub(x), c.Between(x, far))
			require.True(t, c.Open(x))
		}
	})
}

func TestR02_CalendarSegmentsLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := calendarDrawn(t)
		x, a := calendarInstant(t, "x"), calendarAmount(t, "a")
		segments := c.Segments(x, a)
		var sum time.Duration
		before := x.Add(-1)
		for _, s := range segments {
			require.True(t, s.From.After(before), "in order, not touching")
			require.True(t, s.To.After(s.From), "not empty")
			require.Equal(t, s.To.Sub(s.From), c.Between(s.From, s.To))
			require.True(t, c.Open(s.From))
			require.True(t, c.Open(s.To.Add(-1)))
			if before.After(x) {
				require.Zero(t, c.Between(before, s.From), "closed between two")
				require.False(t, c.Open(before))
			}
			sum, before = sum+s.To.Sub(s.From), s.To
		}
		require.Equal(t, a, sum)
		if a > 0 {
			require.Equal(t, c.Add(x, a), segments[len(segments)-1].To)
		}
	})
}

func TestR02_CalendarIsOpenWhenTheClockOnTheWallSaysSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := calendarDrawn(t)
		at := calendarInstant(t, "at").Truncate(time.Minute)
		if at.Year() >= 1990 { // before, zones were seconds off
			calendarSampled(t, c, at, at.Add(2*time.Hour))
		}
		if c == nil {
			return
		}
		zone, err := time.LoadLocation(c.TimeZone)
		require.NoError(t, err)
		start, end := at.In(zone).ZoneBounds()
		if !start.IsZero() && at.Sub(start) < 72*time.Hour || !end.IsZero() && end.Sub(at) < 72*time.Hour {
			t.Skip("the clocks change near by")
		}
		require.Equal(t, calendarOnTheWall(c, at.In(zone)), c.Open(at), "%v", at.In(zone))
	})
}

// calendarOnTheWall reads the calendar anew, as a person would who looks at the
// clock: is one of today's spans on, or one of yesterday's that ran over midnight?
func calendarOnTheWall(c *Calendar, local time.Time) bool {
	spansOf := func(date time.Time) (spans []string, special bool) {
		day := date.Format(time.DateOnly)
		if slices.Contains(c.Holidays, day) {
			return nil, true
		}
		if spans, ok := c.HalfDays[day]; ok {
			return spans, true
		}
		const week = "mon tue wed thu fri sat sun mon tue wed thu fri sat sun"
		today := strings.ToLower(date.Weekday().String()[:3])
		for key, keySpans := range c.Hours {
			for _, part := range strings.Split(strings.ReplaceAll(key, "daily", "mon-sun"), ",") {
				first, last, _ := strings.Cut(part+"-"+part, "-")
				last = last[:3]
				from := week[strings.Index(week, first):]
				if strings.Contains(from[:strings.Index(from, last)+3], today) {
					spans = append(spans, keySpans...)
				}
			}
		}
		return spans, false
	}
	now := local.Format("15:04")
	today, special := spansOf(local)
	for _, span := range today {
		from, to, _ := strings.Cut(span, "-")
		if now >= from && (now < to || to < from) {
			return true
		}
	}
	if special {
		return false
	}
	yesterday, _ := spansOf(local.AddDate(0, 0, -1))
	for _, span := range yesterday {
		if from, to, _ := strings.Cut(span, "-"); to < from && now < to {
			return true
		}
	}
	return false
}

func ExampleCalendar_Add() {
	desk := &Calendar{
		TimeZone: "Asia/Kolkata",
		Hours:    map[string][]string{"mon-fri": {"09:00-13:00", "14:00-18:00"}},
	}
	friday := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) // 17:30 in Kolkata
	fmt.Println(desk.Add(friday, time.Hour).Format(time.RFC3339))
	for _, s := range desk.Segments(friday, time.Hour) {
		fmt.Println(s.From.Format(time.RFC3339), s.To.Format(time.RFC3339))
	}
	// Output:
	// 2026-11-30T04:00:00Z
	// 2026-11-27T12:00:00Z 2026-11-27T12:30:00Z
	// 2026-11-30T03:30:00Z 2026-11-30T04:00:00Z
}

func BenchmarkCalendar(b *testing.B) {
	c := calendarKolkata()
	for day := range 30 {
		c.Holidays = append(c.Holidays, time.Date(2027, 1, 1+7*day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
	}
	require.NoError(b, c.Validate())
	from := calendarTime(b, "2026-11-27T17:30:00+05:30")
	for _, d := range []time.Duration{time.Hour, 24 * time.Hour, 2000 * time.Hour} {
		b.Run("Add/"+d.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Add(from, d)
			}
		})
	}
	b.Run("Open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Open(from)
		}
	})
	b.Run("AroundTheClock", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			(*Calendar)(nil).Add(from, time.Hour)
		}
	})
}
