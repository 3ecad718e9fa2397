// Package process runs another program for a test: it tells when the program is ready, keeps what it says, ends it
// gently or at once, and sees that it never outlives the test's own process.
package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Patience bounds how long Start waits for a program to be ready and End for it to be gone.
const Patience = 60 * time.Second

// keep is how many of the last lines of output Output has at least.
const keep = 500

// Process is a program that was started. Its methods may be called from any goroutine.
type Process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has; err is set then
	err    error
	guard  *exec.Cmd

	mu    sync.Mutex
	lines []string
}

// Start starts cmd in a process group of its own (an interrupt typed at the terminal reaches the test alone) and returns
// when ready says yes to a line of its output; with ready nil at once. What the program writes to standard output and
// standard error is taken together; cmd must leave both unset.
//
// Errors: it cannot be started; it ended, or Patience passed, before it was ready: then with what it said.
func Start(cmd *exec.Cmd, ready func(line string) bool) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	isReady := make(chan struct{})
	if ready == nil {
		close(isReady)
	}
	go func() {
		for lines := bufio.NewScanner(read); lines.Scan(); {
			p.say(lines.Text())
			if ready != nil && ready(lines.Text()) {
				close(isReady)
				ready = nil
			}
		}
		// A line too long for the scanner must not leave the program waiting for a reader.
		_, _ = io.Copy(io.Discard, read)
		_ = read.Close()
	}()
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	select {
	case <-isReady:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("%s ended before it was ready: %w\n%s", cmd.Path, p.err, p.Output())
	case <-time.After(Patience):
		return nil, errors.Join(fmt.Errorf("%s was not ready after %v\n%s", cmd.Path, Patience, p.Output()),
			p.End(syscall.SIGKILL))
	}
}

// Tie makes the process die with this one, however this one dies: a shell waits on a pipe from here and kills the
// process's group when the pipe closes.
func (p *Process) Tie() error {
	const script = `cat >/dev/null; kill -s KILL -- "-$1"`
	guard := exec.CommandContext(context.Background(), "sh", "-c", script, "sh", strconv.Itoa(p.PID()))
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := guard.StdinPipe(); err != nil {
		return err
	}
	if err := guard.Start(); err != nil {
		return err
	}
	p.guard = guard
	go func() {
		<-p.exited
		// The guard first: its process id may belong to another program tomorrow.
		_ = syscall.Kill(-guard.Process.Pid, syscall.SIGKILL)
		_ = guard.Wait()
	}()
	return nil
}

// PID is the process id, which is that of its process group too.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended, by itself or not.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err is what exec.Cmd.Wait said of the end; nil as long as the process runs.
func (p *Process) Err() error {
	select {
	case <-p.exited:
		return p.err
	default:
		return nil
	}
}

// End sends the process a signal and returns when it is gone; at once if it is gone already.
//
// Errors: it is still there after Patience; then it goes on.
func (p *Process) End(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(Patience):
		return fmt.Errorf("%s did not end within %v of %v\n%s", p.cmd.Path, Patience, signal, p.Output())
	}
}

// Output is the last of what the process said, some hundred lines.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

func (p *Process) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines = append(p.lines, line); len(p.lines) > 2*keep {
		p.lines = slices.Clone(p.lines[keep:])
	}
}
