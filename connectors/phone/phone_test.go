package phone

import (
	"testing"
	_ "time/tzdata" // the same zones on every machine

	"github.com/stretchr/testify/require"
)

func TestANumberIsReadByItsHints(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, number string
		hints        Hints
		want         string
	}{
		{"international needs no hint", "+91 98765-43210", Hints{}, "+919876543210"},
		{"by its prefix too", "00 46 70 123 45 67", Hints{}, "+46701234567"},
		{"its own country counts, not the hint's", "+1 415 736 5000", Hints{Regions: []string{"IN"}}, "+14157365000"},
		{"a trunk zero in brackets", "+44 (0)20 7946 0018", Hints{}, "+442079460018"},
		{"an address of a phone", "tel:+46-70-1234567;ext=1", Hints{}, "+46701234567"},
		{"national by region", "070-123 45 67", Hints{Regions: []string{"SE"}}, "+46701234567"},
		{"the first region that has it", "9876543210", Hints{Regions: []string{"SE", "IN"}}, "+919876543210"},
		{"national by time zone", "9876543210", Hints{TimeZone: "Asia/Kolkata"}, "+919876543210"},
		{"by an old name of the zone", "9876543210", Hints{TimeZone: "Asia/Calcutta"}, "+919876543210"},
		{"the zone before the region", "0203 496 0000", Hints{Regions: []string{"IN"}, TimeZone: "Europe/London"}, "+442034960000"},
		{"a region that fits the zone before others", "(212) 736-5000", Hints{Regions: []string{"US"}, TimeZone: "America/New_York"}, "+12127365000"},
		{"the region where the zone says nothing", "9876543210", Hints{Regions: []string{"IN"}, TimeZone: "Antarctica/Troll"}, "+919876543210"},
		{"no hint", "9876543210", Hints{}, ""},
		{"letters are no digits", "1-800-FLOWERS", Hints{Regions: []string{"US"}}, ""},
		{"it does not exist", "+15555550100", Hints{}, ""},
		{"too short", "12345", Hints{Regions: []string{"IN"}}, ""},
		{"nothing", "", Hints{Regions: []string{"IN"}}, ""},
		{"just a plus", "+", Hints{Regions: []string{"IN"}}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, ok := E164(test.number, test.hints)
			require.Equal(t, test.want, got)
			require.Equal(t, test.want != "", ok)
		})
	}
	require.True(t, Known("IN"))
	require.False(t, Known("XX"))
}

func TestNumbersAreFoundInAText(t *testing.T) {
	t.Parallel()
	hints := Hints{Regions: []string{"SE", "IN"}}
	tests := []struct {
		name, text string
		want       []string
	}{
		{"in a sentence", "Please call me on 070-123 45 67, or write.", []string{"+46701234567"}},
		{"in a signature, once", "Mob: +46 70 123 45 67\nTel 070 123 45 67", []string{"+46701234567"}},
		{"two", "+91 98765 43210 or 0701234567", []string{"+919876543210", "+46701234567"}},
		{"dates and times are none", "on 2026-11-23 10:00, 23.11.2026, 23/11/26", nil},
		{"nor what is part of a word", "ref ABC9876543210, x9876543210y, 9876543210@example.com", nil},
		{"nor of an address", "https://example.com/9876543210 #9876543210 a=9876543210", nil},
		{"nor what does not exist", "order 12345678901", nil},
		{"in brackets", "(070-123 45 67)", []string{"+46701234567"}},
		{"nothing", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, Find(test.text, hints))
		})
	}
}

func FuzzFind(f *testing.F) {
	for _, seed := range []string{"call +91 98765 43210", "070-123 45 67 070-1234567", "(((((1", "+\u2010\u2010123456789"} {
		f.Add(seed, "IN", "Asia/Kolkata")
	}
	f.Fuzz(func(t *testing.T, text, region, zone string) {
		for _, found := range Find(text, Hints{Regions: []string{region}}) {
			again, ok := E164(found, Hints{})
			require.True(t, ok, "what is found exists")
			require.Equal(t, found, again)
		}
		if len(text) < 40 {
			if found, ok := E164(text, Hints{Regions: []string{region}, TimeZone: zone}); ok {
				again, _ := E164(found, Hints{})
				require.Equal(t, found, again)
			}
		}
	})
}
