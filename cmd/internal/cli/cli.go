// Package cli is what the commands share: how they end, how they load their
// configuration, and the auditor's tools.
package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ringback/config"
	"ringback/serve"
)

// Main runs a command until it ends or is asked to (SIGINT, SIGTERM). Exit
// status: 0 done, 2 a mistake in the configuration or the call, 1 anything else.
func Main(cmd *cobra.Command) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &mistake{err.Error()} })
	mistakenArgs(cmd)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := cmd.ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	var wrong *mistake
	var configured *config.Error
	if errors.As(err, &wrong) || errors.As(err, &configured) || strings.HasPrefix(err.Error(), "unknown command") {
		os.Exit(2)
	}
	os.Exit(1)
}

// mistakenArgs makes arguments that a command does not take a mistake in the call.
func mistakenArgs(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				return Mistake("%s: %s", cmd.CommandPath(), err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		mistakenArgs(sub)
	}
}

type mistake struct{ message string }

func (m *mistake) Error() string { return m.message }

// Mistake is an error in how a command was called or configured: exit status 2.
func Mistake(format string, args ...any) error { return &mistake{fmt.Sprintf(format, args...)} }

// Load reads the configuration with this process's environment.
func Load(source config.Source) (*config.Config, error) {
	source.Environ = os.Environ()
	cfg, err := config.Load(source)
	if err != nil {
		return nil, err
	}
	return cfg, serve.CheckConnectors(cfg)
}

// Running asks a process whether it is ready.
func Running(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/readyz", nil)
	if err != nil {
		return Mistake("%s: expected the URL of a running process", base)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not ready: %s", base, res.Status)
	}
	return nil
}

// Desk is an opened desk, held until Close.
type Desk struct {
	*serve.Desk
	end   context.CancelFunc
	ended chan error
}

// Close lets go of the desk.
func (d *Desk) Close() error {
	d.end()
	return <-d.ended
}

// Hold opens a desk with run, which calls ready when it is and holds it until
// its context is done.
func Hold(ctx context.Context, run func(ctx context.Context, ready func(*serve.Desk)) error) (*Desk, error) {
	ctx, end := context.WithCancel(ctx)
	d := &Desk{end: end, ended: make(chan error, 1)}
	ready := make(chan *serve.Desk, 1)
	go func() { d.ended <- run(ctx, func(opened *serve.Desk) { ready <- opened }) }()
	select {
	case d.Desk = <-ready:
		return d, nil
	case err := <-d.ended:
		end()
		return nil, err
	}
}
