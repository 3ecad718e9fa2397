package process_test

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/e2e/harness/process"
)

func is(want string) func(string) bool { return func(line string) bool { return line == want } }

func TestReadyThenEnded(t *testing.T) {
	t.Parallel()
	p, err := process.Start(exec.CommandContext(t.Context(), "sh", "-c", "echo going; echo up >&2; exec sleep 1000"), is("up"))
	require.NoError(t, err)
	require.NoError(t, p.Err())
	require.NoError(t, p.End(syscall.SIGTERM))
	require.NoError(t, p.End(syscall.SIGTERM), "it is gone already")
	<-p.Exited()
	require.ErrorContains(t, p.Err(), "terminated")
	require.Equal(t, "going\nup", p.Output())
}

func TestEndsBeforeItIsReady(t *testing.T) {
	t.Parallel()
	_, err := process.Start(exec.CommandContext(t.Context(), "sh", "-c", "echo no port left; exit 3"), is("up"))
	require.ErrorContains(t, err, "exit status 3")
}

func TestDoesNotOutliveTheTest(t *testing.T) {
	const child = "RINGBACK_PROCESS_CHILD"
	if os.Getenv(child) != "" {
		p, err := process.Start(exec.CommandContext(t.Context(), "sleep", "1000"), nil)
		require.NoError(t, err)
		require.NoError(t, p.Tie())
		_, err = os.Stdout.WriteString("pid " + strconv.Itoa(p.PID()) + "\n")
		require.NoError(t, err)
		select {} // until it is killed
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDoesNotOutliveTheTest$")
	cmd.Env = append(os.Environ(), child+"=1")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan())
	pid, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "pid "))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0))

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return !runs(pid) }, 10*time.Second, 10*time.Millisecond)
}

// runs tells whether a process is there and not merely unburied.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}
