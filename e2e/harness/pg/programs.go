package pg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// programs says where PostgreSQL's programs are and as whom they run.
type programs struct {
	bin string
	// as is nil where they run as this process's user. PostgreSQL refuses to run as root.
	as *syscall.Credential
}

// places are where distributions keep initdb and postgres off the PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/local/pgsql/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
}

// find returns the programs or ends the test.
func find(tb testing.TB) programs {
	tb.Helper()
	bin, err := findBin()
	if err != nil {
		absent(tb, err.Error())
	}
	found := programs{bin: bin}
	if os.Getuid() == 0 {
		if found.as, err = unprivileged(); err != nil {
			absent(tb, err.Error())
		}
	}
	return found
}

// findBin returns the folder that holds both initdb and postgres, of the newest version.
func findBin() (string, error) {
	var candidates []string
	if path, err := exec.LookPath("initdb"); err == nil {
		// A link on the PATH leads to the folder where the rest of PostgreSQL is.
		if real, err := filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(real))
		}
	}
	for _, pattern := range places {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		slices.SortFunc(matches, func(a, b string) int { return version(b) - version(a) })
		candidates = append(candidates, matches...)
	}
	for _, bin := range candidates {
		if executable(filepath.Join(bin, "initdb")) && executable(filepath.Join(bin, "postgres")) {
			return bin, nil
		}
	}
	return "", errors.New("there is no initdb and postgres on the PATH or where distributions put them")
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// version is the number in a path such as /usr/lib/postgresql/15/bin; 0 if it has none.
func version(path string) (n int) {
	for _, r := range filepath.Base(filepath.Dir(path)) {
		if r >= '0' && r <= '9' {
			n = n*10 + int(r-'0')
		}
	}
	return n
}

// unprivileged is whom root lets PostgreSQL run as.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

// command prepares a program of PostgreSQL, or another of the system's, in a process group of its own: an interrupt
// typed at the terminal reaches the test alone, which ends the rest in order.
func (p programs) command(name string, args ...string) *exec.Cmd {
	path := name
	if inside := filepath.Join(p.bin, name); executable(inside) {
		path = inside
	}
	// It outlives every context of the test that starts it.
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Dir = string(filepath.Separator)
	cmd.Env = []string{"PATH=" + p.bin + string(os.PathListSeparator) + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.as}
	return cmd
}

// tempDir makes a folder that the programs can reach and write.
func (p programs) tempDir() (string, error) {
	var errs []error
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if p.as != nil {
			// A folder that is root's alone, such as a test's own, cannot be passed through.
			if err := traversable(parent); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		dir, err := os.MkdirTemp(parent, "ringback-pg-")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := p.give(dir); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
		return dir, nil
	}
	return "", errors.Join(errs...)
}

func traversable(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("%s is closed to other users", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// give makes the programs' user the owner.
func (p programs) give(path string) error {
	if p.as == nil {
		return nil
	}
	return os.Chown(path, int(p.as.Uid), int(p.as.Gid))
}
