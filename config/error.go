package config

import (
	"fmt"
	"slices"
	"strings"
)

// Error is a mistake in the configuration: one message that says where it is
// and what was expected there. It never repeats a value that may be secret.
// Commands print it and exit with status 2 (CONTRACT §2).
type Error struct {
	// File as it was named; empty for a mistake in the environment or a flag.
	File string
	// Line counts from 1; 0 where no line can be named.
	Line int
	// Path is the place by the file's own names, "policies.x.ladder[0].tat", or
	// the variable, "RINGBACK_LISTEN", or the flag, "--listen". Empty: the file.
	Path string
	// Expected completes "expected …".
	Expected string
}

// Error implements error: "ringback.yaml:17: policies.x.ladder[0].tat: expected …".
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString("expected " + e.Expected)
	return b.String()
}

// listed is how many names a message lists at most.
const listed = 12

// among words what was expected where a name is not one of those known: the
// nearest one if there is one, else all of them unless they are many.
func among(what, got string, names []string) string {
	if near := nearest(got, names); near != "" {
		return fmt.Sprintf("%s; did you mean %q?", what, near)
	}
	if len(names) == 0 || len(names) > listed {
		return fmt.Sprintf("%s, not %q", what, got)
	}
	return what + ": " + strings.Join(names, ", ")
}

// nearest returns the name that got is most likely a slip of the pen for; empty
// where none is close. Of two as close, the first.
func nearest(got string, names []string) string {
	best, least := "", min(2, max(1, len(got)/3))+1
	for _, name := range names {
		d := slips(strings.ToLower(got), strings.ToLower(name))
		if d < least {
			best, least = name, d
		}
	}
	return best
}

// slips counts the letters left out, put in, changed, or swapped with their
// neighbour that make a into b (optimal string alignment).
func slips(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > 2 || len(y)-len(x) > 2 {
		return 3 // enough: nobody asks for more than 2
	}
	var before []int
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		next := make([]int, len(y)+1)
		next[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(y)]
}

// first returns the mistake that comes first in the file.
func first(mistakes []*Error) *Error {
	return slices.MinFunc(mistakes, func(a, b *Error) int { return a.Line - b.Line })
}
