package desk

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// words says how long something is, as people do: at most two units, the
// smaller one cut off. assets/time.js says the same.
func words(d time.Duration) string {
	d = d.Abs()
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return many(s, "second")
	case s < 3600:
		return many(s/60, "minute")
	case s < 86400:
		return both(many(s/3600, "hour"), s/60%60, "minute")
	}
	return both(many(s/86400, "day"), s/3600%24, "hour")
}

// short is words where there is little room.
func short(d time.Duration) string {
	d = d.Abs()
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 86400:
		return fmt.Sprintf("%d h %02d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
}

func many(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func both(first string, n int64, unit string) string {
	if n == 0 {
		return first
	}
	return first + " " + many(n, unit)
}

// length says a Go duration of the API's in words; as it is where it is none.
func length(s string) string {
	d, err := time.ParseDuration(s)
	if err != nil {
		return s
	}
	return words(d)
}

// title makes a word of the API's one for people: "no_answer" is "No answer",
// "tier3" is "Tier 3".
func title(s string) string { return capital(plain(s)) }

// plain is title within a sentence.
func plain(s string) string {
	s = strings.ReplaceAll(s, "_", " ")
	name := strings.TrimRight(s, "0123456789")
	if name == "" || name == s || !unicode.IsLetter(rune(name[len(name)-1])) {
		return s
	}
	return name + " " + s[len(name):]
}

// somebodyOf is one of a tier: "a supervisor", "an executive".
func somebodyOf(tier string) string {
	if strings.ContainsRune("aeio", unicode.ToLower(rune((tier + " ")[0]))) {
		return "an " + plain(tier)
	}
	return "a " + plain(tier)
}

// capital makes the first letter a big one.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// sentence joins words as a sentence does.
func sentence(all []string, last string) string {
	switch n := len(all); n {
	case 0:
		return ""
	case 1:
		return all[0]
	default:
		return strings.Join(all[:n-1], ", ") + " " + last + " " + all[n-1]
	}
}

// isolated keeps a name that is written from right to left from turning what is
// around it.
func isolated(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana, unicode.Nko)
	}) {
		return "\u2068" + s + "\u2069"
	}
	return s
}

// initials stand for a name where there is no room for it.
func initials(name string) string {
	var out []rune
	for word := range strings.FieldsSeq(name) {
		if len(out) < 2 {
			out = append(out, []rune(word)[0])
		}
	}
	return strings.ToUpper(string(out))
}

// number says a number with at most one decimal, without one that is zero.
func number(f float64) string { return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") }
