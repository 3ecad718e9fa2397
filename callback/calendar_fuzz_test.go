package callback

import (
	"errors"
	"testing"
	"time"
)

// FuzzCalendarHours: reading a calendar never panics, and whatever is accepted
// leads to deadlines.
func FuzzCalendarHours(f *testing.F) {
	f.Add("Asia/Kolkata", "mon-fri", "09:00-13:00", "14:00-18:00", "2026-12-25", "2026-12-24", "09:00-13:00")
	f.Add("America/New_York", "daily", "22:00-06:00", "06:00-07:00", "2026-03-08", "2026-11-01", "01:30-01:45")
	f.Add("Pacific/Apia", "sat, sun", "00:00-24:00", "", "2011-12-30", "2011-12-31", "23:59-00:01")
	f.Add("Local", "fri-mon", "24:00-00:00", "09:00–18:00", "2026-02-29", "", "00:00-00:00")
	f.Add("right/UTC", "mon-mon,tue", "99:99-99:99", "xx:xx-xx:xx", "0000-01-01", "9999-12-31", "00:00-23:59")
	f.Fuzz(func(t *testing.T, zone, days, first, second, holiday, half, halfSpan string) {
		c := &Calendar{TimeZone: zone, Hours: map[string][]string{days: {first}}}
		if second != "" {
			c.Hours[days] = append(c.Hours[days], second)
		}
		if holiday != "" {
			c.Holidays = []string{holiday}
		}
		if half != "" {
			c.HalfDays = map[string][]string{half: {halfSpan}}
		}
		err := c.Validate()
		if again := c.Validate(); (err == nil) != (again == nil) || err != nil && err.Error() != again.Error() {
			t.Fatalf("not the same mistake twice: %v, %v", err, again)
		}
		var mistake *CalendarError
		if err != nil && (!errors.As(err, &mistake) || mistake.Path == "" || mistake.Want == "") {
			t.Fatalf("a mistake that does not say where and what: %#v", err)
		}
		for _, from := range []time.Time{
			time.Date(2026, 3, 7, 23, 30, 0, 1, time.UTC),
			time.Date(2026, 10, 31, 5, 59, 59, 999, time.UTC),
			time.Date(2011, 12, 29, 20, 0, 0, 0, time.UTC),
		} {
			const d = 90 * time.Minute
			due := c.Add(from, d)
			if due.Before(from.Add(d)) || c.Between(from, due) != d || !c.Open(due.Add(-1)) {
				t.Fatalf("%+v: %v after %v is not %v", c, d, from, due)
			}
			if err == nil && due.After(from.AddDate(5, 0, 0)) {
				t.Fatalf("%+v: accepted, but %v after %v is %v", c, d, from, due)
			}
		}
	})
}
