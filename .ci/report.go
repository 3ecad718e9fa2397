//go:build ignore

// Command report reads `go test -json` from standard input and says what a person wants to know: a line per package, the
// whole output of what failed, everything that was skipped with its reason, the slowest tests, and the counts.
//
// It exits 1 if a test or package failed, if none ran, or, with -no-skips, if any was skipped.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is what go test -json prints, and what it prints when a build fails.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

type key struct{ pkg, test string }

func (k key) String() string {
	if k.test == "" {
		return k.pkg
	}
	return k.pkg + " " + k.test
}

type tally struct {
	output                  map[key][]string
	builds                  map[string][]string
	took                    map[key]float64
	passed, failed, skipped []key
	failedPackages          []key
	packages                int
}

func main() {
	noSkips := flag.Bool("no-skips", false, "a skipped test is a failure")
	slowest := flag.Int("slowest", 8, "how many of the slowest tests to name")
	flag.Parse()

	t := &tally{output: map[key][]string{}, builds: map[string][]string{}, took: map[key]float64{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Action == "" {
			fmt.Println(lines.Text()) // go's own words: a download, a broken pattern
			continue
		}
		t.take(e)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !t.report(*noSkips, *slowest) {
		os.Exit(1)
	}
}

func (t *tally) take(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		t.builds[e.ImportPath] = append(t.builds[e.ImportPath], e.Output)
	case "output":
		t.output[k] = append(t.output[k], e.Output)
	case "pass", "fail", "skip":
		t.took[k] = e.Elapsed
		if e.Test == "" {
			t.endPackage(e, k)
			return
		}
		switch e.Action {
		case "pass":
			t.passed = append(t.passed, k)
			delete(t.output, k)
		case "fail":
			t.failed = append(t.failed, k)
		case "skip":
			t.skipped = append(t.skipped, k)
		}
	}
}

func (t *tally) endPackage(e event, k key) {
	switch e.Action {
	case "pass":
		t.packages++
		fmt.Printf("ok  \t%s\t%.3fs\n", e.Package, e.Elapsed)
	case "fail":
		t.packages++
		t.failedPackages = append(t.failedPackages, k)
		fmt.Printf("FAIL\t%s\t%.3fs\n", e.Package, e.Elapsed)
		for _, line := range t.builds[e.FailedBuild] {
			fmt.Print("    ", line)
		}
	case "skip":
		fmt.Printf("?   \t%s\t[no test files]\n", e.Package)
	}
}

func (t *tally) report(noSkips bool, slowest int) bool {
	for _, k := range append(slices.Clone(t.failed), t.failedPackages...) {
		if out := t.output[k]; len(out) > 0 {
			fmt.Printf("\n--- output of %s\n", k)
			for _, line := range tail(out, 400) {
				fmt.Print(line)
			}
		}
	}

	names := slices.SortedFunc(maps.Keys(t.took), func(a, b key) int { return cmp.Compare(t.took[b], t.took[a]) })
	names = slices.DeleteFunc(names, func(k key) bool { return k.test == "" || strings.Contains(k.test, "/") || t.took[k] < 1 })
	if len(names) > 0 {
		fmt.Println("\nslowest:")
	}
	for _, k := range names[:min(slowest, len(names))] {
		fmt.Printf("  %6.1fs  %s\n", t.took[k], k)
	}

	if len(t.skipped) == 0 {
		fmt.Println("\nskipped: nothing")
	} else {
		fmt.Println("\nskipped:")
	}
	for _, k := range t.skipped {
		fmt.Printf("  %s: %s\n", k, reason(t.output[k]))
	}
	for _, k := range t.failed {
		fmt.Printf("failed: %s\n", k)
	}

	broken := len(t.failed)
	if broken == 0 {
		broken = len(t.failedPackages) // a build, a panic or a time-out: no test has its name on it
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", len(t.passed), broken, len(t.skipped))
	switch {
	case broken > 0 || len(t.failedPackages) > 0:
		return false
	case t.packages == 0 || len(t.passed) == 0:
		fmt.Println("no test ran")
		return false
	case noSkips && len(t.skipped) > 0:
		fmt.Println("nothing may be skipped here")
		return false
	}
	return true
}

// reason is what a skipped test said.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}

func tail(lines []string, n int) []string {
	if len(lines) <= n {
		return lines
	}
	return append([]string{fmt.Sprintf("... %d lines left out\n", len(lines)-n)}, lines[len(lines)-n:]...)
}
