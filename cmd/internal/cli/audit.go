package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ringback/audit"
)

// Opener opens the desk to work on; server is the address of a running one,
// empty for none.
type Opener func(ctx context.Context, server string) (*Desk, error)

// errDoesNotHold ends a command whose verdicts are printed already.
var errDoesNotHold = errors.New("it does not hold")

// Audit is the auditor's tools. With beside, --server works beside a running desk.
func Audit(open Opener, beside bool) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Export, replay and verify histories (R24)",
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var server string
	if beside {
		serverFlag(cmd, &server)
	}
	with := func(do func(cmd *cobra.Command, a *audit.Auditor, args []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error { return withDesk(cmd, open, server, args, do) }
	}
	var output string
	export := &cobra.Command{
		Use: "export ID -o FILE", Short: "Write a callback's history as protobuf JSON", Args: cobra.ExactArgs(1),
		RunE: with(func(cmd *cobra.Command, a *audit.Auditor, args []string) error {
			return exportTo(cmd.Context(), a, args[0], output, cmd.OutOrStdout())
		}),
	}
	export.Flags().StringVarP(&output, "output", "o", "-", "`FILE` to write; - is the terminal")
	cmd.AddCommand(export,
		&cobra.Command{
			Use: "replay ID|FILE|DIR", Short: "Replay histories against this version and compare the outcome", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				info, err := os.Stat(args[0])
				if err != nil {
					return withDesk(cmd, open, server, args, replayID)
				}
				return replayFiles(cmd, audit.New(audit.Options{}), args[0], info.IsDir())
			},
		},
		&cobra.Command{
			Use: "timeline ID", Short: "Derive a callback's timeline from its history alone", Args: cobra.ExactArgs(1),
			RunE: with(func(cmd *cobra.Command, a *audit.Auditor, args []string) error {
				events, err := a.Timeline(cmd.Context(), args[0])
				for _, e := range events {
					data, err := json.Marshal(e.Fact)
					if err != nil {
						return err
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%3d  %s  %-14s %-10s %-12s %-3s %s\n", e.Seq, e.At, e.Fact.Type(), e.Actor, e.Tier, e.Rule, data)
				}
				return err
			}),
		},
		&cobra.Command{
			Use: "verify", Short: "Check every callback: history, replay, timeline, tag, nothing personal", Args: cobra.NoArgs,
			RunE: with(func(cmd *cobra.Command, a *audit.Auditor, _ []string) error { return verify(cmd, a) }),
		},
	)
	return cmd
}

func serverFlag(cmd *cobra.Command, server *string) {
	cmd.PersistentFlags().StringVar(server, "server", "", "work beside the running desk at this `URL`; without it, nothing else may run on the data")
}

func withOpen(cmd *cobra.Command, open Opener, server string, do func(*Desk) error) error {
	d, err := open(cmd.Context(), server)
	if err != nil {
		return err
	}
	return errors.Join(do(d), d.Close())
}

func withDesk(cmd *cobra.Command, open Opener, server string, args []string, do func(*cobra.Command, *audit.Auditor, []string) error) error {
	return withOpen(cmd, open, server, func(d *Desk) error { return do(cmd, d.Auditor(), args) })
}

// exportTo writes the whole of an export or nothing: what was there before is not
// lost to one that fails.
func exportTo(ctx context.Context, a *audit.Auditor, id, output string, terminal io.Writer) error {
	var history bytes.Buffer
	if err := a.Export(ctx, id, &history); err != nil {
		return err
	}
	if output == "-" {
		_, err := history.WriteTo(terminal)
		return err
	}
	return os.WriteFile(output, history.Bytes(), 0o600)
}

func replayID(cmd *cobra.Command, a *audit.Auditor, args []string) error {
	v, err := a.Verdict(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	return say(cmd.OutOrStdout(), args[0], v)
}

func replayFiles(cmd *cobra.Command, a *audit.Auditor, path string, dir bool) error {
	if !dir {
		v, err := a.ReplayFile(path)
		if err != nil {
			return err
		}
		return say(cmd.OutOrStdout(), path, v)
	}
	var failed error
	err := a.ReplayDir(cmd.Context(), path, func(id string, v audit.Verdict) {
		failed = errors.Join(failed, say(cmd.OutOrStdout(), id, v))
	})
	if err == nil && failed != nil {
		err = errDoesNotHold
	}
	return err
}

// say prints a verdict; it is an error where there is something to object to.
func say(out io.Writer, what string, v audit.Verdict) error {
	word := "holds"
	if !v.Held() {
		word = "DOES NOT HOLD"
	}
	fmt.Fprintf(out, "%s %s: %d events. %s\n", what, word, v.Events, v.Detail)
	if !v.Held() {
		return errDoesNotHold
	}
	return nil
}

func verify(cmd *cobra.Command, a *audit.Auditor) error {
	shown := newProgress(cmd.ErrOrStderr())
	report, err := a.Verify(cmd.Context(), shown.step)
	shown.end()
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	for _, f := range report.Findings {
		for _, problem := range f.Problems {
			fmt.Fprintf(out, "%s  %s\n", f.CallbackID, problem)
		}
	}
	fmt.Fprintf(out, "%d callbacks, %d runs, %d events checked in %s; %d pending; %d with problems.\n",
		report.Callbacks, report.Runs, report.Events, report.Elapsed.Round(time.Millisecond), report.Pending, len(report.Findings))
	if !report.OK() {
		return errDoesNotHold
	}
	return nil
}
