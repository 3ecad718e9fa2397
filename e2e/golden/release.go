package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	historypb "go.temporal.io/api/history/v1"

	"ringback/audit"
	"ringback/callback"
)

const (
	historySuffix = ".json.gz"
	outcomeSuffix = ".outcome.json"
	// sumsFile lists the SHA-256 of every file of the release as sha256sum does.
	sumsFile = "SUMS"
	// countFile holds how many histories the release has.
	countFile = "COUNT"
)

// recording is one run of a path.
type recording struct {
	name    string
	history *historypb.History
	outcome outcome
}

// outcome is what a run must come to whenever it is replayed: its last state, and the events that it knew.
type outcome struct {
	State  *callback.Callback `json:"state"`
	Events []callback.Event   `json:"events"`
}

// release is the folder of one release's histories, to which one can only add.
type release struct {
	dir  string
	sums map[string]string // SHA-256 by file name
}

// openRelease reads the folder, which need not exist. It is an error if one of its files is gone or altered.
func openRelease(dir string) (*release, error) {
	r := &release{dir: dir, sums: map[string]string{}}
	listed, err := os.ReadFile(r.file(sumsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(listed)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			return nil, fmt.Errorf("%s: unreadable line %q", r.file(sumsFile), line)
		}
		content, err := os.ReadFile(r.file(name))
		if err != nil {
			return nil, fmt.Errorf("%s is listed and gone; a golden history is kept for good: %w", name, err)
		}
		if sumOf(content) != sum {
			return nil, fmt.Errorf("%s has been altered; a golden history is never regenerated", r.file(name))
		}
		r.sums[name] = sum
	}
	return r, nil
}

func (r *release) file(name string) string { return filepath.Join(r.dir, name) }

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// has reports whether the path was recorded, in one run or several.
func (r *release) has(path string) bool {
	return r.sums[path+historySuffix] != "" || r.sums[runName(path, 0)+historySuffix] != ""
}

func runName(path string, i int) string { return path + "-run-" + strconv.Itoa(i+1) }

func (r *release) count() int {
	n := 0
	for name := range r.sums {
		if strings.HasSuffix(name, historySuffix) {
			n++
		}
	}
	return n
}

// add writes the runs of one path and lists them.
func (r *release) add(runs []recording) error {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	for _, run := range runs {
		history, err := audit.Pack(run.history)
		if err != nil {
			return err
		}
		if err := r.write(run.name+historySuffix, history); err != nil {
			return err
		}
		expected, err := json.MarshalIndent(run.outcome, "", "  ")
		if err != nil {
			return err
		}
		if err := r.write(run.name+outcomeSuffix, append(expected, '\n')); err != nil {
			return err
		}
	}
	var list bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(r.sums)) {
		fmt.Fprintf(&list, "%s  %s\n", r.sums[name], name)
	}
	if err := os.WriteFile(r.file(sumsFile), list.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(r.file(countFile), []byte(strconv.Itoa(r.count())+"\n"), 0o644)
}

// write writes a file that must not exist.
func (r *release) write(name string, content []byte) error {
	f, err := os.OpenFile(r.file(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		_ = f.Close()
		return err
	}
	r.sums[name] = sumOf(content)
	return f.Close()
}
