package store

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"gorm.io/gorm"

	"ringback/book"
)

// wordsOf returns the words of a text, lower-cased, each once: runs of letters,
// marks and digits of any script. Both databases are given words, never text,
// so that they agree on what one is.
func wordsOf(texts ...string) []string {
	var words []string
	for _, text := range texts {
		words = append(words, strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
			return !unicode.In(r, unicode.L, unicode.M, unicode.N)
		})...)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// longestWord is how many characters of a word are indexed: as many as a query
// may have, and fewer than the 2046 bytes that PostgreSQL has room for.
const longestWord = 500

// indexed are the words by which a text is found: each as it is written, and
// plain, since whoever asks on the phone hears no accents.
func indexed(words []string) []string {
	all := make([]string, 0, 2*len(words))
	for _, word := range words {
		if letters := []rune(word); len(letters) > longestWord {
			word = string(letters[:longestWord])
		}
		all = append(all, word, plain(word))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// latin are letters that carry their mark in themselves: no normal form takes it off.
var latin = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ħ", "h", "ı", "i", "æ", "ae", "œ", "oe")

// plain is a word without what keyboards differ in: case in full (ß is ss), and
// the accents of Latin, Greek and Cyrillic letters. Marks of other scripts are
// vowels, and stay.
func plain(word string) string {
	letters := strings.Map(func(r rune) rune {
		if r >= '\u0300' && r <= '\u036f' {
			return -1
		}
		return r
	}, norm.NFD.String(cases.Fold().String(word)))
	return norm.NFC.String(latin.Replace(letters))
}

// wordsOfIntake are those of what may be searched for in an original.
func wordsOfIntake(i *book.Intake) []string {
	texts := []string{i.Customer.Name, i.Customer.Ref, i.Customer.Email, i.Reason}
	texts = append(texts, phoneWords(i.Customer.Phone)...)
	if i.Source != nil {
		texts = append(texts, i.Source.Ref)
	}
	for _, value := range i.Fields {
		texts = append(texts, value)
	}
	return wordsOf(texts...)
}

// longestCountryCode is how many digits of a phone number may be its country's.
const longestCountryCode = 3

// phoneWords are a number as it is, and without its country code, since people
// ask for either. Which digits are the country's is not told: any may be.
func phoneWords(phone string) []string {
	digits := onlyDigits(phone)
	words := []string{digits}
	for n := 1; n <= longestCountryCode && n < len(digits); n++ {
		words = append(words, digits[n:])
	}
	return words
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// shortestDialled is how many digits make a query a phone number.
const shortestDialled = 7

// dialled returns the digits of a query that may be a phone number as people
// write them, in groups, with brackets and hyphens, or with the zeros that one
// dials before it; empty: it is none.
func dialled(query string) string {
	if strings.Trim(query, "+0123456789 ().-/") != "" {
		return ""
	}
	digits := strings.TrimLeft(onlyDigits(query), "0")
	if len(digits) < shortestDialled {
		return ""
	}
	return digits
}

// index lets a callback be found by words.
func (s *Store) index(tx *gorm.DB, callbackID string, words []string) error {
	if len(words) == 0 {
		return nil
	}
	return tx.Exec(s.indexWords, callbackID, s.toWords(indexed(words))).Error
}

// Matches reports whether a list would find a callback by the words of a query.
func (s *Store) Matches(ctx context.Context, callbackID, query string) (found bool, err error) {
	err = s.read(ctx, "search a callback", func(db *gorm.DB) error {
		ids, err := column[string](s.matching(db.Table("callbacks AS c").Select("c.id").Where("c.id = ?", callbackID), query))
		found = len(ids) > 0
		return err
	})
	return found, err
}

// matching narrows a list to callbacks in which every word of a query begins a
// word, with or without its accents, in the original or in any note; a query without a word matches nothing.
// What may be a phone number is looked for as one, too.
func (s *Store) matching(list *gorm.DB, query string) *gorm.DB {
	words := wordsOf(query)
	if len(words) == 0 {
		return list.Where("1 = 0")
	}
	begins := "c.id IN (" + s.matchWord + ")"
	where, values := begins, []any{s.eitherWord(words[0])}
	for _, word := range words[1:] {
		where += " AND " + begins
		values = append(values, s.eitherWord(word))
	}
	if digits := dialled(query); digits != "" {
		where = "((" + where + ") OR " + begins + ")"
		values = append(values, s.eitherWord(digits))
	}
	return list.Where(where, values...)
}

// eitherWord asks for a word as it is written, by which older indexes know it, or plain.
func (s *Store) eitherWord(word string) string {
	return s.toWordQuery(slices.Compact([]string{word, plain(word)})...)
}
