package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"

	"github.com/spf13/cobra"

	"ringback/config"
	"ringback/tour"
)

func tourCommand(source *config.Source) *cobra.Command {
	var server string
	var slow bool
	cmd := &cobra.Command{
		Use:   "tour",
		Short: "Play the rules R01 to R12 at accelerated TATs, then replay the histories",
		Long: "Plays the rules R01 to R12 on a fresh desk in a temporary folder, at TATs of seconds, prints the timeline as it\n" +
			"happens, then replays the histories and prints the verdict. The exit status is 0 only if all of it held.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pace := tour.Brisk
			if slow {
				pace = tour.Slow
			}
			if server != "" {
				return told(cmd, tour.Run(cmd.Context(), server, pace, cmd.OutOrStdout()))
			}
			return onFreshDesk(cmd, pace)
		},
	}
	cmd.Flags().StringVar(&server, "server", "", "play against the running desk at this `URL`, whose TATs must be short")
	cmd.Flags().BoolVar(&slow, "slow", false, "for a machine that is slow or busy: longer TATs, and more patience with the clock")
	return cmd
}

func onFreshDesk(cmd *cobra.Command, pace tour.Pace) error {
	data, err := os.MkdirTemp("", "ringback-tour-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	cfg := *config.Builtin()
	cfg.Settings.Embedded = config.Embedded{Data: data}
	cfg.Settings.Server.Listen, cfg.Settings.Server.DevTokens = "127.0.0.1:0", true
	cfg.Settings.Telemetry.LogLevel = slog.LevelError
	cfg.Policies = maps.Clone(cfg.Policies)
	for name, p := range cfg.Policies {
		cfg.Policies[name] = pace.Accelerate(p)
	}
	return told(cmd, with(cmd.Context(), &cfg, func(ctx context.Context, p *process) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		open := make(chan string, 1)
		served := make(chan error, 1)
		go func() { served <- p.serve(ctx, func(base string) { open <- base }) }()
		select {
		case err := <-served:
			return err
		case base := <-open:
			toured := tour.Run(ctx, base, pace, cmd.OutOrStdout())
			stop()
			return errors.Join(toured, <-served)
		}
	}))
}

// told prints the verdict of the tour.
func told(cmd *cobra.Command, err error) error {
	if err != nil {
		return fmt.Errorf("the tour does not hold: %w", err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), "\nAll of it held.")
	return nil
}
