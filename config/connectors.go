package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"ringback/callback"
)

// Connectors are the blocks of the systems around the desk (CONTRACT §6). What
// is in a block is read by whoever makes its connector, through [Block]; a key
// that nobody asks for is a mistake, as everywhere in the file.
type Connectors struct {
	// Names of the blocks, in the file's order.
	Names []string
	all   map[string][]*Block
}

// Blocks returns those of a name; none where it is not configured. Webhooks are
// a list, so there may be several.
func (c *Connectors) Blocks(name string) []*Block { return c.all[name] }

// connectors takes up the blocks.
func (b *builder) connectors(v value) Connectors {
	c := Connectors{all: map[string][]*Block{}}
	known := v.fields(blockConnectors)
	for _, e := range v.entries("connectors by name") {
		of, is := known.all[e.key]
		if !is {
			continue
		}
		items := []value{of}
		if e.key == "webhooks" {
			items = of.list(`hooks, like [{url: "https://example.com/hook", secret_env: HOOK_SECRET, types: [completed]}]`)
		}
		c.Names = append(c.Names, e.key)
		for _, item := range items {
			if item.given() && item.node.Kind == yaml.MappingNode {
				c.all[e.key] = append(c.all[e.key], b.block(item))
			} else {
				item.fail("a mapping with the keys of this connector")
			}
		}
	}
	return c
}

func (b *builder) block(v value) *Block {
	own := &reader{file: b.file}
	at := own.value(v.node, v.path, v.line)
	block := &Block{of: b.Config, reader: own, at: at, keys: map[string]value{}, environment: b.environment}
	for _, e := range at.entries("a mapping with the keys of this connector") {
		block.keys[e.key] = e.value
	}
	return block
}

// Block is one connector's, read key by key. Every method notes what is wrong;
// Err gives the first of it once all has been asked for.
type Block struct {
	of          *Config
	reader      *reader
	at          value
	keys        map[string]value
	asked       []string
	environment map[string]string
	unset       []*Error
}

// Err returns the first mistake, an [*Error]: a key that nobody asked for, or a
// value that is not what belongs there.
func (b *Block) Err() error {
	for _, key := range slices.Sorted(maps.Keys(b.keys)) {
		if !slices.Contains(b.asked, key) {
			b.keys[key].misplaced("%s", among("a known key", key, b.Asked()))
		}
	}
	return b.reader.mistake()
}

// Unset returns an [*Error] where a variable that should hold a secret holds
// none: only a process that speaks to the system needs them.
func (b *Block) Unset() error {
	if len(b.unset) == 0 {
		return nil
	}
	return first(b.unset)
}

// Asked are the keys that were asked for, in order.
func (b *Block) Asked() []string { return slices.Compact(slices.Sorted(slices.Values(b.asked))) }

// Wrong is a mistake that whoever made the connector found, at a path below the
// block, dotted; expected completes "expected …".
func (b *Block) Wrong(path, expected string) error {
	at := b.at
	for rest, found := path, true; rest != "" && found && at.given(); {
		at, rest, found = below(at, rest)
	}
	where := b.at.path
	if path != "" {
		where = join(where, path)
	}
	return &Error{File: b.reader.file, Line: at.line, Path: where, Expected: strings.TrimPrefix(expected, "expected ")}
}

// below follows a path by one key or index.
func below(v value, path string) (at value, rest string, found bool) {
	switch v.node.Kind { //nolint:exhaustive // nothing is below the others
	case yaml.MappingNode:
		for _, e := range v.entries("") {
			tail, is := strings.CutPrefix(path, e.key)
			if is && (tail == "" || tail[0] == '.' || tail[0] == '[') {
				return e.value, strings.TrimPrefix(tail, "."), true
			}
		}
	case yaml.SequenceNode:
		index, tail, is := strings.Cut(strings.TrimPrefix(path, "["), "]")
		n, err := strconv.Atoi(index)
		if is && err == nil && n >= 0 && n < len(v.node.Content) {
			node := v.node.Content[n]
			return v.r.value(node, v.path+"["+index+"]", node.Line), strings.TrimPrefix(tail, "."), true
		}
	}
	return v, path, false
}

// get returns the value of a key, or the place where it would be.
func (b *Block) get(key string) value {
	b.asked = append(b.asked, key)
	if v, given := b.keys[key]; given {
		return v
	}
	return value{r: b.at.r, path: join(b.at.path, key), line: b.at.line}
}

// Given reports whether a key is there.
func (b *Block) Given(key string) bool { return b.get(key).given() }

// Text reads one line of text, which must be there; what says what was expected.
func (b *Block) Text(key, what string) string { return b.get(key).text(what) }

// Optional reads one line of text, empty where it is left out.
func (b *Block) Optional(key string) string {
	v := b.get(key)
	if !v.given() {
		return ""
	}
	return v.text("a line of text")
}

// Secret reads the name of an environment variable, which must be given, and
// returns what the variable holds.
func (b *Block) Secret(key string) string {
	v := b.get(key)
	return b.secret(v, v.text("the name of an environment variable that holds the secret"))
}

// OptionalSecret is Secret for a key that may be left out.
func (b *Block) OptionalSecret(key string) string {
	v := b.get(key)
	if !v.given() {
		return ""
	}
	return b.secret(v, v.text("the name of an environment variable that holds the secret"))
}

func (b *Block) secret(v value, name string) string {
	held := b.environment[name]
	if name != "" && held == "" {
		b.unset = append(b.unset, v.error("the environment variable %s to hold the secret; it is not set", name))
	}
	return held
}

// Bool reads true or false; def where it is left out.
func (b *Block) Bool(key string, def bool) bool { return b.get(key).boolean(def) }

// Number reads a whole number of at least least, 0 where it is left out.
func (b *Block) Number(key, what string, least int) int { return b.get(key).number(what, least) }

// Duration reads a Go duration, 0 where it is left out; like is an example.
func (b *Block) Duration(key, like string) time.Duration {
	v := b.get(key)
	if !v.given() {
		return 0
	}
	return v.duration(like)
}

// Texts reads a list of lines; none where it is left out.
func (b *Block) Texts(key, what string) []string {
	var all []string
	for _, item := range b.get(key).list(what) {
		all = append(all, item.text(what))
	}
	return all
}

// TextByName reads a mapping of names to lines; nil where it is left out.
func (b *Block) TextByName(key, what string) map[string]string {
	return byName(b.get(key), what, func(v value) string { return v.text(what) })
}

// NumberByName reads a mapping of names to whole numbers; nil where it is left out.
func (b *Block) NumberByName(key, what string) map[string]int64 {
	return byName(b.get(key), what, func(v value) int64 {
		text, _ := v.scalar()
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			v.fail("%s", what)
		}
		return n
	})
}

func byName[T any](v value, what string, read func(value) T) map[string]T {
	var all map[string]T
	for _, e := range v.entries(what) {
		if all == nil {
			all = map[string]T{}
		}
		all[e.key] = read(e.value)
	}
	return all
}

// Policy reads the name of a policy of this file; empty where it is left out,
// unless it must be there.
func (b *Block) Policy(key string, must bool) string {
	return b.reference(key, must, "one of the policies", b.of.PolicyNames)
}

// Queue reads the name of a queue of this file; empty where it is left out.
func (b *Block) Queue(key string) string {
	return b.reference(key, false, "one of the queues", slices.Sorted(maps.Keys(b.of.Queues)))
}

// Staff reads the id of somebody under staff; empty where it is left out. Where
// people come from elsewhere any id will do.
func (b *Block) Staff(key string) string { return b.staff(b.get(key)) }

// StaffByName reads a mapping of names to ids of people.
func (b *Block) StaffByName(key, what string) map[string]string {
	return byName(b.get(key), what, b.staff)
}

func (b *Block) staff(v value) string {
	if !v.given() {
		return ""
	}
	id := v.id("a staff id")
	if b.of.Staff == nil {
		return id
	}
	var ids []string
	for _, s := range b.of.Staff {
		ids = append(ids, s.ID)
	}
	if !slices.Contains(ids, id) {
		v.refer("%s", among("the id of somebody under staff", id, ids))
	}
	return id
}

func (b *Block) reference(key string, must bool, what string, names []string) string {
	v := b.get(key)
	if !v.given() && !must {
		return ""
	}
	name := v.text(what)
	if name != "" && !slices.Contains(names, name) {
		v.refer("%s", among(what, name, names))
	}
	return name
}

// Known notes a mistake where a name that was read from a key is none of names.
func (b *Block) Known(key, name, what string, names []string) {
	if name != "" && !slices.Contains(names, name) {
		b.get(key).refer("%s", among(what, name, names))
	}
}

// EventTypes reads a list of types of timeline entries; none where it is left out.
func (b *Block) EventTypes(key string) []callback.EventType {
	var all []callback.EventType
	names := make([]string, len(callback.EventTypes))
	for i, t := range callback.EventTypes {
		names[i] = string(t)
	}
	for _, item := range b.get(key).list("types of timeline entries, like [escalated, completed]") {
		name := item.text("a type of timeline entries")
		if name != "" && !slices.Contains(names, name) {
			item.refer("%s", among("a type of timeline entries", name, names))
		}
		all = append(all, callback.EventType(name))
	}
	return all
}

// List reads a list of mappings, each a block of its own: ask them all for
// their keys before Err.
func (b *Block) List(key, what string) []*Block {
	var all []*Block
	for _, item := range b.get(key).list(what) {
		all = append(all, b.inner(item))
	}
	return all
}

// Inner reads a mapping as a block of its own; one without keys where it is left out.
func (b *Block) Inner(key string) *Block { return b.inner(b.get(key)) }

func (b *Block) inner(v value) *Block {
	inner := &Block{of: b.of, reader: b.reader, at: v, keys: map[string]value{}, environment: b.environment}
	for _, e := range v.entries("a mapping") {
		inner.keys[e.key] = e.value
	}
	return inner
}

// Join lets the mistakes and secrets of inner blocks count as this one's.
func (b *Block) Join(inner ...*Block) {
	for _, i := range inner {
		b.unset = append(b.unset, i.unset...)
		for _, key := range slices.Sorted(maps.Keys(i.keys)) {
			if !slices.Contains(i.asked, key) {
				i.keys[key].misplaced("%s", among("a known key", key, i.Asked()))
			}
		}
	}
}

// Line is where the block is, for messages: "ringback.yaml:54".
func (b *Block) Line() string { return fmt.Sprintf("%s:%d", b.reader.file, b.at.line) }
