package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"ringback/audit"
)

// Rebuild throws the read model away and derives it again (R25).
func Rebuild(open Opener, beside bool) *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Throw the read model away and derive it again from the histories; print the difference (R25)", Args: cobra.NoArgs,
	}
	if beside {
		serverFlag(cmd, &server)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withDesk(cmd, open, server, args, func(cmd *cobra.Command, a *audit.Auditor, _ []string) error {
			shown := newProgress(cmd.ErrOrStderr())
			rebuilt, err := a.Rebuild(cmd.Context(), shown.step)
			shown.end()
			tell(cmd.OutOrStdout(), rebuilt)
			return err
		})
	}
	return cmd
}

func tell(out io.Writer, r audit.Rebuilt) {
	for _, kind := range []struct {
		word string
		ids  []string
	}{{"was shown otherwise", r.Changed}, {"was missing", r.Missing}, {"had no history", r.Extra}} {
		for _, id := range kind.ids {
			fmt.Fprintf(out, "%s  %s\n", id, kind.word)
		}
	}
	for _, f := range r.Unreplayable {
		for _, problem := range f.Problems {
			fmt.Fprintf(out, "%s  %s\n", f.CallbackID, problem)
		}
	}
	verdict := "it came out as it was"
	if !r.Same() {
		verdict = fmt.Sprintf("%d were shown otherwise, %d were missing, %d had no history", len(r.Changed), len(r.Missing), len(r.Extra))
	}
	fmt.Fprintf(out, "%d callbacks, %d timeline entries in %s (%.0f/s): %s.\n",
		r.Callbacks, r.Events, r.Elapsed.Round(time.Millisecond), r.Rate(), verdict)
}

// progress shows how far a long task is, on a terminal.
type progress struct {
	out   io.Writer
	live  bool
	shown time.Time
}

func newProgress(out io.Writer) *progress {
	f, ok := out.(*os.File)
	return &progress{out: out, live: ok && isatty.IsTerminal(f.Fd())}
}

func (p *progress) step(s audit.Step) {
	if !p.live || time.Since(p.shown) < 100*time.Millisecond && s.Done != s.Total {
		return
	}
	p.shown = time.Now()
	fmt.Fprintf(p.out, "\r\033[K%s: %d of %d (%.0f/s)", s.Doing, s.Done, s.Total, s.Rate())
}

func (p *progress) end() {
	if p.live {
		fmt.Fprint(p.out, "\r\033[K")
	}
}
