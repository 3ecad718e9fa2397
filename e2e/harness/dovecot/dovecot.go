// Package dovecot gives tests a real mail server: Dovecot, with a mailbox over IMAP, and submission over SMTP to
// wherever a test says. It links nothing of the desk.
//
// The server is the one that the package finds on the PATH or where distributions put it. Where there is none, the test
// is skipped and says so, unless RINGBACK_REQUIRE lists dovecot: then it fails.
package dovecot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"

	"ringback/e2e/harness/process"
	"ringback/engine/embedded/freeport"
)

// The only user. Whatever is in the mailbox begins empty with each server.
const (
	User     = "desk"
	Password = "a-secret-password"
)

// Server is a mail server of a test's own.
type Server struct {
	// IMAP and IMAPS are addresses for a client: without TLS, and with it from the start. SMTP and SMTPS are those of submission.
	IMAP, IMAPS, SMTP, SMTPS string
	// Trust is a client's TLS configuration that knows the server.
	Trust *tls.Config

	dir     string
	cmd     func() *exec.Cmd
	running *process.Process
}

// Start starts a server that ends with the test. What is submitted to it goes on to relay, a HOST:PORT of SMTP; empty: nothing can be.
func Start(tb testing.TB, relay string) *Server {
	tb.Helper()
	program := find(tb)
	as, account := owner(tb)
	s := &Server{}
	for try := 0; ; try++ {
		err := s.start(tb, program, as, account, relay)
		if err == nil {
			return s
		}
		if try == 4 || !strings.Contains(err.Error(), "Address already in use") {
			tb.Fatalf("starting Dovecot: %v", err)
		}
	}
}

// Stop ends the server; Resume starts it again, on the same ports and with the same mail.
func (s *Server) Stop() error { return s.running.End(syscall.SIGTERM) }

// Resume starts a server that was stopped.
func (s *Server) Resume() (err error) {
	// It says so when it listens.
	s.running, err = process.Start(s.cmd(), func(line string) bool { return strings.Contains(line, "starting up for") })
	if err != nil {
		return err
	}
	return s.running.Tie()
}

// Output is the last of what the server said.
func (s *Server) Output() string { return s.running.Output() }

func (s *Server) start(tb testing.TB, program string, as *syscall.Credential, account *user.User, relay string) error {
	ports, err := freeport.Take(tb.Context(), 0, 0, 0, 0)
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "ringback-dovecot-"); err != nil {
		return err
	}
	tb.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	if err := s.certify(); err != nil {
		return err
	}
	group, err := user.LookupGroupId(account.Gid)
	if err != nil {
		return err
	}
	relayHost, relayPort := "127.0.0.1", "1" // where nobody listens
	if relay != "" {
		if relayHost, relayPort, err = net.SplitHostPort(relay); err != nil {
			return err
		}
	}
	file, err := os.Create(filepath.Join(s.dir, "dovecot.conf"))
	if err != nil {
		return err
	}
	err = configuration.Execute(file, map[string]any{
		"Dir": s.dir, "User": account.Username, "Group": group.Name, "Name": User, "Password": Password, "RelayHost": relayHost, "RelayPort": relayPort,
		"IMAP": ports[0], "IMAPS": ports[1], "SMTP": ports[2], "SMTPS": ports[3],
	})
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	for _, dir := range []string{"run", "state", "mail", "home"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o700); err != nil {
			return err
		}
	}
	if as != nil {
		err := filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Chown(path, int(as.Uid), int(as.Gid)))
		})
		if err != nil {
			return err
		}
	}
	s.IMAP, s.IMAPS = "imap://"+freeport.Address(ports[0]), "imaps://"+freeport.Address(ports[1])
	s.SMTP, s.SMTPS = "smtp://"+freeport.Address(ports[2]), "smtps://"+freeport.Address(ports[3])
	s.cmd = func() *exec.Cmd {
		// It outlives every context of the test that starts it.
		cmd := exec.CommandContext(context.Background(), program, "-F", "-c", filepath.Join(s.dir, "dovecot.conf"))
		cmd.Dir = string(filepath.Separator)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	if err := s.Resume(); err != nil {
		return err
	}
	tb.Cleanup(func() {
		_ = s.Stop()
		if tb.Failed() {
			tb.Logf("Dovecot said:\n%s", s.Output())
		}
	})
	return nil
}

// certify writes the certificate of httptest, which is for 127.0.0.1.
func (s *Server) certify() error {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	s.Trust = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	key, err := x509.MarshalPKCS8PrivateKey(web.TLS.Certificates[0].PrivateKey)
	if err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	return errors.Join(
		os.WriteFile(filepath.Join(s.dir, "cert.pem"), certificate, 0o600),
		os.WriteFile(filepath.Join(s.dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
	)
}

// configuration of a server whose processes are all one user's: none of them changes to another, or into a chroot.
var configuration = template.Must(template.New("").Parse(`
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/state
log_path = /dev/stderr
protocols = imap submission
listen = 127.0.0.1
hostname = mail.example
ssl = yes
ssl_cert = <{{.Dir}}/cert.pem
ssl_key = <{{.Dir}}/key.pem
ssl_dh =
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
default_internal_user = {{.User}}
default_login_user = {{.User}}
default_internal_group = {{.Group}}
first_valid_uid = 1
mail_location = maildir:{{.Dir}}/mail/%u
mail_max_userip_connections = 100
passdb {
  driver = static
  args = user={{.Name}} password={{.Password}}
}
userdb {
  driver = static
  args = uid={{.User}} gid={{.Group}} home={{.Dir}}/home/%u
}
namespace inbox {
  inbox = yes
  separator = /
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = {{.IMAP}}
  }
  inet_listener imaps {
    port = {{.IMAPS}}
    ssl = yes
  }
}
service submission-login {
  chroot =
  inet_listener submission {
    port = {{.SMTP}}
  }
  inet_listener submissions {
    port = {{.SMTPS}}
    ssl = yes
  }
}
submission_relay_host = {{.RelayHost}}
submission_relay_port = {{.RelayPort}}
`))

// find returns the program, or ends the test.
func find(tb testing.TB) string {
	tb.Helper()
	for _, parts := range []string{"/usr/lib/dovecot", "/usr/libexec/dovecot", "/usr/local/libexec/dovecot", "/opt/homebrew/opt/dovecot/libexec/dovecot"} {
		_, imapErr := exec.LookPath(filepath.Join(parts, "imap-login"))
		_, submissionErr := exec.LookPath(filepath.Join(parts, "submission-login"))
		if imapErr != nil || submissionErr != nil {
			continue
		}
		for _, candidate := range []string{"dovecot", "/usr/sbin/dovecot", "/usr/local/sbin/dovecot"} {
			if path, err := exec.LookPath(candidate); err == nil {
				return path
			}
		}
	}
	absent(tb, "there is no dovecot with IMAP and submission on the PATH or where distributions put it")
	return ""
}

// owner is whom the server runs as: nobody, where the test is root's; credential nil: this process's user.
func owner(tb testing.TB) (*syscall.Credential, *user.User) {
	tb.Helper()
	account, err := user.Current()
	if os.Getuid() != 0 {
		if err != nil {
			absent(tb, err.Error())
		}
		return nil, account
	}
	if account, err = user.Lookup("nobody"); err != nil {
		absent(tb, "Dovecot does not deliver mail as root, and there is no user nobody")
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		absent(tb, err.Error())
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}, account
}

// absent ends a test that cannot have what it needs.
func absent(tb testing.TB, why string) {
	tb.Helper()
	required := strings.Split(os.Getenv("RINGBACK_REQUIRE"), ",")
	if slices.ContainsFunc(required, func(word string) bool { return strings.TrimSpace(word) == "dovecot" }) {
		tb.Fatalf("RINGBACK_REQUIRE lists dovecot, but %s", why)
	}
	tb.Skipf("skipped: %s; install Dovecot with IMAP and submission (Debian: dovecot-imapd, dovecot-submissiond)", why)
}
