// Package phone finds out which number somebody means: in E.164, and only where
// there is no doubt.
package phone

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nyaruka/phonenumbers"
)

// Hints say how to read a number without a country code.
type Hints struct {
	// Regions are ISO 3166 codes, like "IN", most likely first.
	Regions []string
	// TimeZone of whoever is called, an IANA name; empty: not known. A number of a
	// configured region that is used there is preferred, then one of any region.
	TimeZone string
}

// Known reports whether region is one whose numbers can be read.
func Known(region string) bool { return phonenumbers.GetSupportedRegions()[region] }

// E164 returns a number that exists in its canonical form. A number that starts
// with "+" needs no hints. Without one, and with no hint or with hints that
// make it two different numbers, it is no number.
func E164(number string, hints Hints) (string, bool) {
	number = tidy(number)
	if !hasDigits(number) {
		return "", false
	}
	if strings.HasPrefix(number, "+") {
		e164, _, ok := read(number, "")
		return e164, ok
	}
	if hints.TimeZone != "" {
		if e164, ok := only(number, hints.Regions, hints.TimeZone); ok {
			return e164, true
		}
		if e164, ok := only(number, regionsOf(hints.TimeZone), hints.TimeZone); ok {
			return e164, true
		}
	}
	for _, region := range hints.Regions {
		if e164, _, ok := read(number, region); ok {
			return e164, true
		}
	}
	return "", false
}

// only returns the one number that number is in any of the regions, among those used
// in the time zone.
func only(number string, regions []string, zone string) (e164 string, ok bool) {
	for _, region := range regions {
		found, n, exists := read(number, region)
		if !exists || found == e164 || !usedIn(n, zone) {
			continue
		}
		if e164 != "" {
			return "", false
		}
		e164 = found
	}
	return e164, e164 != ""
}

// candidate is what may be a phone number in a text: it starts with a digit, "+" or
// "(", and is not part of a longer word.
var candidate = regexp.MustCompile(`(?:^|[^\pL\pN+@/_.,:#=-])(\+?\(?\d[\d ()./\x{2010}-\x{2015}\x{a0}-]{5,24}\d)(?:$|[^\pL\pN@_/])`)

// Find returns the numbers in a text that exist, in E.164, each once, in order.
// What looks like a date, a time or part of an address on the web is none.
func Find(text string, hints Hints) []string {
	var found []string
	for rest := text; ; {
		at := candidate.FindStringSubmatchIndex(rest)
		if at == nil {
			return found
		}
		raw := rest[at[2]:at[3]]
		rest = rest[at[3]:]
		if date.MatchString(raw) || (!strings.HasPrefix(raw, "+") && digits(raw) < 7) {
			continue
		}
		if e164, ok := E164(raw, hints); ok && !slices.Contains(found, e164) {
			found = append(found, e164)
		}
	}
}

var date = regexp.MustCompile(`^(?:\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[./-]\d{1,2}[./-]\d{1,2})(?:\b.*)?$`)

// read is the number as a caller of the region would dial it.
func read(number, region string) (e164 string, n *phonenumbers.PhoneNumber, ok bool) {
	n, err := phonenumbers.Parse(number, region)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", nil, false
	}
	if region != "" && !slices.Contains(phonenumbers.GetRegionCodesForCountryCode(int(n.GetCountryCode())), region) {
		return "", nil, false // it was dialled out of the region
	}
	return phonenumbers.Format(n, phonenumbers.E164), n, true
}

// regionsOfZone is by zone, since to find them takes milliseconds: []string.
var regionsOfZone sync.Map

// regionsOf are the regions some of whose numbers are used in a time zone, in order.
func regionsOf(zone string) []string {
	if known, found := regionsOfZone.Load(zone); found {
		return known.([]string)
	}
	var regions []string
	if _, err := time.LoadLocation(zone); err != nil || zone == "" {
		return nil // it is nobody's, and not to be remembered
	}
	byCode := map[int]bool{}
	for region := range phonenumbers.GetSupportedRegions() {
		code := phonenumbers.GetCountryCodeForRegion(region)
		used, known := byCode[code]
		if !known {
			zones, err := phonenumbers.GetTimezonesForPrefix(strconv.Itoa(code))
			used = err == nil && isOneOf(zone, zones)
			byCode[code] = used
		}
		if used {
			regions = append(regions, region)
		}
	}
	slices.Sort(regions)
	regionsOfZone.Store(zone, regions)
	return regions
}

// usedIn reports whether the number is used in a time zone, by name or by the same
// clocks (Asia/Calcutta is Asia/Kolkata).
func usedIn(n *phonenumbers.PhoneNumber, zone string) bool {
	zones, err := phonenumbers.GetTimezonesForNumber(n)
	return err == nil && isOneOf(zone, zones)
}

func isOneOf(zone string, zones []string) bool {
	if slices.Contains(zones, zone) {
		return true
	}
	return slices.ContainsFunc(zones, func(z string) bool { return sameClocks(z, zone) })
}

// sameClocks compares two zones over a year: a renamed one is the same.
func sameClocks(a, b string) bool {
	left, err := time.LoadLocation(a)
	if err != nil {
		return false
	}
	right, err := time.LoadLocation(b)
	if err != nil {
		return false
	}
	if continent(a) != continent(b) {
		return false
	}
	for month := time.January; month <= time.December; month++ {
		at := time.Date(2025, month, 1, 0, 0, 0, 0, time.UTC)
		nameA, offsetA := at.In(left).Zone()
		nameB, offsetB := at.In(right).Zone()
		if nameA != nameB || offsetA != offsetB {
			return false
		}
	}
	return true
}

func continent(zone string) string {
	c, _, _ := strings.Cut(zone, "/")
	return c
}

// tidy drops what people write around a number.
func tidy(s string) string {
	s = strings.TrimSpace(s)
	if rest, ok := cutFold(s, "tel:"); ok {
		s = strings.TrimSpace(rest)
	}
	s, _, _ = strings.Cut(s, ";")
	s = strings.Replace(s, "(0)", "", 1) // as in +44 (0)20 7946 0018
	if rest, ok := strings.CutPrefix(s, "00"); ok && digits(rest) > 7 {
		s = "+" + rest
	}
	return s
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func digits(s string) int {
	n := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			n++
		}
	}
	return n
}

// hasDigits refuses what the library would make a number of: letters are digits
// to it ("1-800-FLOWERS").
func hasDigits(s string) bool {
	return digits(s) > 0 && strings.Trim(s, "+0123456789 ()-./\u00a0\u2010\u2011\u2012\u2013\u2014\u2015") == ""
}
