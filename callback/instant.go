package callback

import (
	"fmt"
	"time"
)

// InstantLayout is how every instant is written: RFC 3339 in UTC with exactly
// three decimals (CONTRACT §4).
const InstantLayout = "2006-01-02T15:04:05.000Z"

// Instant is a point in time in UTC, to the millisecond. The zero Instant means
// "never" and is null in JSON. Two Instants of the same time are ==.
type Instant struct{ time.Time }

// At returns t as an Instant; what is finer than a millisecond is cut off.
func At(t time.Time) Instant {
	if t.IsZero() {
		return Instant{}
	}
	return Instant{t.UTC().Truncate(time.Millisecond)}
}

// Plus returns the instant d later.
func (i Instant) Plus(d Duration) Instant { return At(i.Add(time.Duration(d))) }

// Reached reports whether the instant is set and not after now.
func (i Instant) Reached(now Instant) bool { return !i.IsZero() && !i.After(now.Time) }

// String implements fmt.Stringer; empty for the zero Instant.
func (i Instant) String() string {
	if i.IsZero() {
		return ""
	}
	return i.UTC().Format(InstantLayout)
}

// MarshalJSON implements json.Marshaler.
func (i Instant) MarshalJSON() ([]byte, error) {
	if i.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + i.UTC().Format(InstantLayout) + `"`), nil
}

// writable reports whether InstantLayout can write the instant so that it is
// read back: RFC 3339 has four digits for the year.
func (i Instant) writable() bool { return i.Year() >= 1 && i.Year() <= 9999 }

// UnmarshalJSON implements json.Unmarshaler. It takes any RFC 3339 time in the
// years 1 to 9999 of UTC, or null; the error says so.
func (i *Instant) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*i = Instant{}
		return nil
	}
	t, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(b))
	if err != nil || !At(t).writable() {
		return fmt.Errorf("expected an RFC 3339 time, like \"2026-11-22T10:00:00.000Z\"")
	}
	*i = At(t)
	return nil
}

// Duration is a length of time; in JSON and YAML it is a Go duration ("1h30m").
type Duration time.Duration

// optional reports whether d is left out or at least the shortest that may be
// configured (CONTRACT §3).
func (d Duration) optional() bool { return d == 0 || d >= Duration(time.Second) }

// String implements fmt.Stringer.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("expected a Go duration, like \"1h30m\" or \"45s\"")
	}
	*d = Duration(v)
	return nil
}
