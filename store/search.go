package store

import (
	"slices"
	"strings"
	"unicode"

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

// wordsOfIntake are those of what may be searched for in an original.
func wordsOfIntake(i *book.Intake) []string {
	texts := []string{i.Customer.Name, i.Customer.Ref, i.Customer.Phone, i.Customer.Email, i.Reason}
	if i.Source != nil {
		texts = append(texts, i.Source.Ref)
	}
	for _, value := range i.Fields {
		texts = append(texts, value)
	}
	return wordsOf(texts...)
}

// index lets a callback be found by words.
func (s *Store) index(tx *gorm.DB, callbackID string, words []string) error {
	if len(words) == 0 {
		return nil
	}
	return tx.Exec(s.indexWords, callbackID, s.toWords(words)).Error
}

// matching narrows a list to callbacks in which every word of a query begins a
// word, in the original or in any note; a query without a word matches nothing.
func (s *Store) matching(list *gorm.DB, query string) *gorm.DB {
	words := wordsOf(query)
	if len(words) == 0 {
		return list.Where("1 = 0")
	}
	for _, word := range words {
		list = list.Where("c.id IN ("+s.matchWord+")", s.toWordQuery(word))
	}
	return list
}
