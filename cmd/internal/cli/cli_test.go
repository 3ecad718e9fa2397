package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"ringback/audit"
	"ringback/book"
)

// A mistake in the call is told from what went wrong (CONTRACT §2): exit status 2.
func TestArgumentsThatACommandDoesNotTakeAreMistakes(t *testing.T) {
	t.Parallel()
	opened := errors.New("opened")
	never := func(context.Context, string) (*Desk, error) { return nil, opened }
	run := func(args ...string) error {
		root := &cobra.Command{Use: "ringback", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(Audit(never, true), Rebuild(never, true))
		root.SetOut(io.Discard)
		root.SetArgs(args)
		mistakenArgs(root)
		return root.ExecuteContext(t.Context())
	}
	for _, args := range [][]string{
		{"audit", "nope"}, {"audit", "replay"}, {"audit", "replay", "a", "b"}, {"audit", "export"}, {"audit", "timeline"}, {"audit", "verify", "x"}, {"rebuild", "x"},
	} {
		var wrong *mistake
		require.ErrorAs(t, run(args...), &wrong, "%v", args)
	}
	require.NoError(t, run("audit"))
	require.ErrorIs(t, run("audit", "verify"), opened)
}

type empty struct{}

func (empty) Histories(context.Context, string) ([]book.Archived, error) { return nil, nil }
func (empty) Callback(context.Context, string) (book.View, error) {
	return book.View{}, book.ErrNotFound
}
func (empty) Timeline(context.Context, string) ([]book.Entry, error) { return nil, nil }

func TestR24_AnExportThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	a := audit.New(audit.Options{Book: empty{}})
	file := filepath.Join(t.TempDir(), "history.json")
	require.Error(t, exportTo(t.Context(), a, "nobody", file, io.Discard))
	require.NoFileExists(t, file)
	require.NoError(t, os.WriteFile(file, []byte("the one of yesterday"), 0o600))
	require.Error(t, exportTo(t.Context(), a, "nobody", file, io.Discard))
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "the one of yesterday", string(kept))
}
