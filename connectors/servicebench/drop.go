package servicebench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/wire"
)

// doneDir is where files are moved to, within the drop directory, with the rows that
// were rejected beside them.
const doneDir = "done"

// The states of a file, by its digest: whatever its name, what it says is taken once.
const (
	fileBegun = "begun"
	fileDone  = "done"
)

// Run implements connectors.Runner: it looks into the drop directory until ctx is done.
func (c *Connector) Run(ctx context.Context) error {
	if c.config.DropDir == "" {
		<-ctx.Done()
		return nil
	}
	said := "" // the same trouble is told once
	for ctx.Err() == nil {
		err := c.sweep(ctx)
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			c.deps.Logger.WarnContext(ctx, "dropped files wait", "error", err)
		}
		if err := c.deps.Sleep(ctx, c.config.Poll); err != nil {
			return nil //nolint:nilerr // it is asked to end
		}
	}
	return nil
}

// Check implements connectors.Checker: the drop directory can be written to.
func (c *Connector) Check(context.Context) error {
	if c.config.DropDir == "" {
		return nil
	}
	root, err := c.openDrop()
	if err != nil {
		return err
	}
	return root.Close()
}

// openDrop opens the directory, which it makes where it is missing. Nothing outside
// of it can be got at through it.
func (c *Connector) openDrop() (*os.Root, error) {
	if err := os.MkdirAll(filepath.Join(c.config.DropDir, doneDir), 0o750); err != nil {
		return nil, fmt.Errorf("drop_dir: %w", err)
	}
	root, err := os.OpenRoot(c.config.DropDir)
	if err != nil {
		return nil, fmt.Errorf("drop_dir: %w", err)
	}
	return root, nil
}

// sweep takes every file that is whole, by name. It ends at the first that has to wait.
func (c *Connector) sweep(ctx context.Context) error {
	root, err := c.openDrop()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fmt.Errorf("drop_dir: %w", err)
	}
	for _, entry := range entries {
		file := entry.Name()
		// .part is being written; a link may lead anywhere.
		if !entry.Type().IsRegular() || strings.HasPrefix(file, ".") || !strings.EqualFold(filepath.Ext(file), ".csv") {
			continue
		}
		if err := c.file(ctx, root, file); err != nil {
			return err
		}
	}
	return nil
}

// file takes one file and moves it away.
func (c *Connector) file(ctx context.Context, root *os.Root, file string) error {
	data, err := readAll(root, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody took it away
	}
	if err != nil {
		return fmt.Errorf("drop_dir: %w", err)
	}
	sum := sha256.Sum256(data)
	id := hex.EncodeToString(sum[:])
	state, first, err := c.deps.Memory.Claim(ctx, name, "file:"+id, fileBegun)
	if err != nil {
		return err
	}
	if !first && state == fileDone {
		c.deps.Logger.InfoContext(ctx, "a file was dropped again; nothing to do", "sha256", id[:12])
		return move(root, file, id, nil)
	}
	counts, bad, err := c.rows(ctx, data)
	if err != nil {
		return err
	}
	// The reject file first: a file that is done is never looked at again.
	if err := move(root, file, id, bad); err != nil {
		return err
	}
	if err := c.deps.Memory.Remember(ctx, name, "file:"+id, fileDone); err != nil {
		return err
	}
	args := []any{"sha256", id[:12]}
	for _, outcome := range slices.Sorted(maps.Keys(counts)) {
		args = append(args, string(outcome), counts[outcome])
	}
	c.deps.Logger.InfoContext(ctx, "a file was taken", args...)
	return nil
}

// rejectedRow counts the rows that are wrong.
const rejectedRow Outcome = "rejected"

// rows takes the rows of a file. bad is its reject file, nil where no row is wrong.
func (c *Connector) rows(ctx context.Context, data []byte) (counts map[Outcome]int, bad []byte, err error) {
	counts = make(map[Outcome]int)
	var header []string
	var rows, wrong []row
	if len(data) > maxFile {
		err = fmt.Errorf("the file is larger than %d bytes", maxFile)
	} else {
		header, rows, err = read(data, c.zone)
	}
	if err != nil {
		counts[rejectedRow]++
		bad, err = rejects(nil, []row{{Line: 1, Wrong: "the file cannot be read: " + err.Error()}})
		return counts, bad, err
	}
	for _, one := range rows {
		if one.X == nil {
			counts[rejectedRow]++
			wrong = append(wrong, one)
			continue
		}
		body, err := one.X.raw()
		if err != nil {
			return nil, nil, err
		}
		done, err := c.inTurn(ctx, one.X, body)
		if err != nil {
			return nil, nil, fmt.Errorf("row of line %d: %w", one.Line, err)
		}
		counts[done.Outcome]++
	}
	if len(wrong) > 0 {
		bad, err = rejects(header, wrong)
	}
	return counts, bad, err
}

// longest is how long one row may hold up those behind it, and the files.
const longest = 6 * time.Hour

// inTurn is takeOrKeep for a row that others wait behind: one that fails for hours
// is kept, and they go on.
func (c *Connector) inTurn(ctx context.Context, x *Exception, body []byte) (result, error) {
	key := digest(string(body))
	done, err := c.takeOrKeep(ctx, x, media, body)
	if err != nil && c.turns.Spent(ctx, key) {
		reason := fmt.Sprintf("it could not be taken for %d hours: %s", int(longest.Hours()), wire.Why(err))
		done, err = result{Outcome: KeptBack, Reason: &reason}, c.keep(ctx, media, body, reason)
	}
	if err == nil {
		c.turns.Over(ctx, key)
	}
	return done, err
}

// readAll reads a file; of one that is too large, one byte more than is allowed.
func readAll(root *os.Root, file string) ([]byte, error) {
	f, err := root.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// move puts a file into doneDir, with the rows that were rejected beside it. One
// that has the name there already is not overwritten.
func move(root *os.Root, file, id string, bad []byte) error {
	ext := filepath.Ext(file)
	stem := strings.TrimSuffix(file, ext)
	target := filepath.Join(doneDir, stem)
	for n := 0; exists(root, target+ext); n++ {
		if target = filepath.Join(doneDir, stem+"-"+id[:8]); n > 0 {
			target += fmt.Sprintf("-%d", n)
		}
	}
	if bad != nil {
		part := target + ".rejected.part"
		if err := root.WriteFile(part, bad, 0o640); err != nil {
			return fmt.Errorf("drop_dir: %w", err)
		}
		if err := root.Rename(part, target+".rejected.csv"); err != nil {
			return fmt.Errorf("drop_dir: %w", err)
		}
	}
	if err := root.Rename(file, target+ext); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop_dir: %w", err)
	}
	return nil
}

func exists(root *os.Root, file string) bool {
	_, err := root.Lstat(file)
	return err == nil
}

const (
	// filesKnown is how long a file that is dropped again is known as a whole; after
	// that its rows are, one by one.
	filesKnown = callback.Duration(90 * 24 * time.Hour)
	// joinedFor is how long exceptions that belong to another one's callback are told
	// of it after it was closed.
	joinedFor = callback.Duration(400 * 24 * time.Hour)
)

// Terms implements connectors.Forgetful. What is known of each exception and job stays:
// a system may come back to one after any time, and would make a second callback.
func (c *Connector) Terms() []book.Term {
	return []book.Term{
		{Connector: name, Prefix: "file:", Lasts: filesKnown}, {Connector: name, Prefix: "joined:", Lasts: joinedFor}, c.turns.Term(),
	}
}

var _ connectors.Forgetful = (*Connector)(nil)
