package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// reader reads one YAML document and collects what is wrong in it. What it
// reads after a mistake is worth nothing but further mistakes.
type reader struct {
	file string
	// What is wrong, by kind. Mistakes of a later kind may only follow from those
	// of an earlier one: a key that is misspelt is also one that is missing.
	mistakes [kinds][]*Error
}

// kind of a mistake.
type kind int

const (
	unread    kind = iota // YAML that cannot be read
	form                  // a key that is unknown, or there twice
	shape                 // a value that is missing, or not what belongs there
	reference             // a name that leads nowhere, or what does not go with another place
	kinds
)

// mistake returns the one to report, nil if there is none: the first in the file of the first kind.
func (r *reader) mistake() error {
	for _, found := range r.mistakes {
		if len(found) > 0 {
			return first(found)
		}
	}
	return nil
}

func (r *reader) note(k kind, e *Error) { r.mistakes[k] = append(r.mistakes[k], e) }

// value is a place in the document, whether or not something is there.
type value struct {
	r    *reader
	node *yaml.Node // nil: nothing; never an alias, never null
	path string
	line int // of its key, so that it is known also where nothing is
}

func (r *reader) value(node *yaml.Node, path string, line int) value {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node != nil && node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		node = nil // a key with nothing behind it is as good as left out
	}
	return value{r, node, path, line}
}

// document reads the one document of a file. Nothing in it is like an empty mapping.
func (r *reader) document(data []byte) value {
	root := value{r: r, line: 1}
	if line := unreadable(data); line > 0 {
		root.line = line
		root.garbled("text in UTF-8 without control characters")
		return root
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return root
	case err != nil:
		r.note(unread, syntaxError(r.file, data, err))
		return root
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.note(unread, syntaxError(r.file, data, err))
		return root
	default:
		root.line = second.Line
		root.garbled("one YAML document in the file, not another one after ---")
		return root
	}
	if len(doc.Content) != 1 {
		return root
	}
	v := r.value(doc.Content[0], "", doc.Content[0].Line)
	if !v.given() {
		return root
	}
	return v
}

// unreadable returns the first line that YAML does not allow, 0 if there is none.
func unreadable(data []byte) int {
	line := 1
	for rest := data; len(rest) > 0; {
		c, size := utf8.DecodeRune(rest)
		switch {
		case c == utf8.RuneError && size == 1,
			unicode.IsControl(c) && c != '\t' && c != '\n' && c != '\r' && c != 0x85:
			return line
		case c == '\n':
			line++
		}
		rest = rest[size:]
	}
	return 0
}

var (
	yamlMessage   = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	// The library counts lines from 0 in what its parser refuses, from 1 in what its scanner does.
	fromParser = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or)|^found (undefined tag handle|duplicate %|incompatible YAML)`)
)

// syntaxError puts into our words what the YAML library refused.
func syntaxError(file string, data []byte, err error) *Error {
	e := &Error{File: file, Line: 1}
	parts := yamlMessage.FindStringSubmatch(err.Error())
	if parts == nil {
		e.Expected = "YAML that can be read (" + err.Error() + ")"
		return e
	}
	what := parts[2]
	if line, err := strconv.Atoi(parts[1]); err == nil {
		e.Line = line
		if fromParser.MatchString(what) {
			e.Line++
		}
	}
	if anchor := unknownAnchor.FindStringSubmatch(what); anchor != nil {
		if at := bytes.Index(data, []byte("*"+anchor[1])); at >= 0 {
			e.Line = 1 + bytes.Count(data[:at], []byte("\n"))
		}
	}
	e.Line = min(e.Line, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n")))
	e.Expected = "YAML that can be read (" + what + ")"
	return e
}

// fail notes that something is missing or not what belongs there.
func (v value) fail(format string, args ...any) { v.r.note(shape, v.error(format, args...)) }

// refer notes a name that leads nowhere, or what is only wrong beside another place.
func (v value) refer(format string, args ...any) { v.r.note(reference, v.error(format, args...)) }

func (v value) misplaced(format string, args ...any) { v.r.note(form, v.error(format, args...)) }

func (v value) garbled(format string, args ...any) { v.r.note(unread, v.error(format, args...)) }

func (v value) error(format string, args ...any) *Error {
	return &Error{File: v.r.file, Line: v.line, Path: v.path, Expected: fmt.Sprintf(format, args...)}
}

func (v value) given() bool { return v.node != nil }

// entry is one key of a mapping with what is behind it.
type entry struct {
	key string
	value
}

// entries reads a mapping whose keys are names that the writer chose; what says
// what was expected. In the file's order; none if nothing is there.
func (v value) entries(what string) []entry {
	if !v.given() {
		return nil
	}
	if v.node.Kind != yaml.MappingNode {
		v.fail("%s", what)
		return nil
	}
	var all []entry
	seen := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, node := v.node.Content[i], v.node.Content[i+1]
		at := v.r.value(node, v.path, key.Line)
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null":
			at.misplaced("a name as key")
			continue
		case key.Tag == "!!merge":
			at.misplaced("keys that are written out; merging with << is not read")
			continue
		}
		at.path = join(v.path, key.Value)
		if line, ok := seen[key.Value]; ok {
			at.misplaced("each key once; it is on line %d already", line)
			continue
		}
		seen[key.Value] = at.line
		all = append(all, entry{key.Value, at})
	}
	return all
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fields is a mapping whose keys are fixed.
type fields struct {
	of  value
	all map[string]value
}

// fields reads a mapping with the keys of a block, and notes any other.
func (v value) fields(b block) fields {
	keys := blocks[b]
	f := fields{of: v, all: map[string]value{}}
	for _, e := range v.entries("a mapping with the keys " + strings.Join(keys, ", ")) {
		if !slices.Contains(keys, e.key) {
			e.misplaced("%s", among("a known key", e.key, keys))
			continue
		}
		f.all[e.key] = e.value
	}
	return f
}

// get returns the value of a key, or the place where it would be.
func (f fields) get(key string) value {
	if v, ok := f.all[key]; ok {
		return v
	}
	return value{r: f.of.r, path: join(f.of.path, key), line: f.of.line}
}

// list reads a sequence; none if nothing is there.
func (v value) list(what string) []value {
	if !v.given() {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		v.fail("a list of %s", what)
		return nil
	}
	all := make([]value, len(v.node.Content))
	for i, node := range v.node.Content {
		all[i] = v.r.value(node, v.path+"["+strconv.Itoa(i)+"]", node.Line)
	}
	return all
}

// scalar returns the text of a scalar as it is written, whatever YAML takes it
// for: 1001 is as good an id as "1001".
func (v value) scalar() (string, bool) {
	if !v.given() || v.node.Kind != yaml.ScalarNode {
		return "", false
	}
	switch v.node.Tag {
	case "!!str", "!!int", "!!float", "!!timestamp":
		return v.node.Value, true
	}
	return "", false
}

// longest is how many characters a name or a title may have.
const longest = 200

// text reads one line of text, which must be there.
func (v value) text(what string) string {
	s, ok := v.scalar()
	switch {
	case !ok || s == "":
		v.fail("%s", what)
	case utf8.RuneCountInString(s) > longest || strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl):
		v.fail("%s, in one line of at most %d characters without spaces around it", what, longest)
	}
	return s
}

// identifier is what is part of an address, a search attribute or a token.
var identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

const identifierWords = `letters, digits, ".", "_", "@" and "-", beginning with a letter or digit, at most 64`

// id reads an identifier, which must be there.
func (v value) id(what string) string {
	s, ok := v.scalar()
	switch {
	case !ok || s == "":
		v.fail("%s", what)
	case !identifier.MatchString(s):
		v.fail("%s: %s", what, identifierWords)
	}
	return s
}

// boolean reads true or false; def if nothing is there.
func (v value) boolean(def bool) bool {
	if !v.given() {
		return def
	}
	b := def
	if v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!bool" || v.node.Decode(&b) != nil {
		v.fail("true or false")
	}
	return b
}

// most is the largest number that is read: none of them counts that far.
const most = 1_000_000

// number reads a whole number, 0 if nothing is there.
func (v value) number(what string, least int) int {
	if !v.given() {
		return 0
	}
	n := 0
	if v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!int" || v.node.Decode(&n) != nil || n < least || n > most {
		v.fail("%s, %d or more", what, least)
	}
	return n
}

// The limits of a duration. The upper one keeps sums of them far from where
// they would overflow.
const (
	shortestDuration = time.Second
	longestDuration  = 10 * 365 * 24 * time.Hour
)

// duration reads a Go duration, which must be there; like is an example of one.
func (v value) duration(like string) time.Duration {
	s, ok := v.scalar()
	d, err := time.ParseDuration(s)
	switch {
	case !ok || err != nil || d < shortestDuration:
		v.fail(`a Go duration of 1s or longer, like %q`, like)
	case d > longestDuration:
		v.fail("a Go duration of at most %s, ten years", strings.TrimSuffix(longestDuration.String(), "0m0s"))
	}
	return d
}
