// Package mailboxfake has what tests of the inbox need: a mail server in memory,
// a gate before any server that can be shut and cut, and hands that put mail into
// a mailbox and look at what became of it.
package mailboxfake

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"ringback/connectors/smtp/smtpfake"
)

// The sign-in of servers in memory.
const (
	User     = "desk"
	Password = "a-secret-password"
)

// Options say how a server in memory behaves.
type Options struct {
	// TLS from the start (imaps).
	TLS bool
	// Silent servers do not tell of new mail by themselves: no IDLE.
	Silent bool
	// Plain servers know neither MOVE nor UIDPLUS.
	Plain bool
}

// Server is a mail server with its gate.
type Server struct {
	// URL for the configuration: through the gate.
	URL            string
	User, Password string
	// Trust is a client's TLS configuration that knows the server.
	Trust *tls.Config
	*Gate

	secure bool
}

// Serve starts a server in memory that ends with the test. It has an INBOX.
func Serve(tb testing.TB, o Options) *Server {
	tb.Helper()
	users := imapmemserver.New()
	user := imapmemserver.NewUser(User, Password)
	if err := user.Create("INBOX", nil); err != nil {
		tb.Fatal(err)
	}
	users.AddUser(user)
	caps := make(imap.CapSet)
	caps[imap.CapIMAP4rev1] = struct{}{}
	if !o.Plain {
		caps[imap.CapMove], caps[imap.CapUIDPlus] = struct{}{}, struct{}{}
	}
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return attentive{users.NewSession().(imapserver.SessionIMAP4rev2)}, nil, nil
		},
		Caps: caps, InsecureAuth: true, Logger: quiet{},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address, scheme := listener.Addr().String(), "imap"
	certified, trust := smtpfake.Certificate(tb)
	if o.Silent {
		listener = silent{listener}
	}
	if o.TLS {
		listener, scheme = tls.NewListener(listener, certified), "imaps"
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	tb.Cleanup(func() {
		_ = listener.Close() // the server does not know it yet where the test was quick
		_ = server.Close()
		<-done
	})
	return Behind(tb, scheme+"://"+address, User, Password, trust)
}

// Behind puts a gate before a server that is there already.
func Behind(tb testing.TB, url, user, password string, trust *tls.Config) *Server {
	tb.Helper()
	scheme, address, _ := strings.Cut(url, "://")
	gate := NewGate(tb, address)
	return &Server{URL: scheme + "://" + gate.Address, User: user, Password: password, Trust: trust, Gate: gate, secure: scheme == "imaps"}
}

// Account is a person's own, anywhere: there is no gate before it that could be shut.
func Account(tb testing.TB, url, user, password string) *Server {
	tb.Helper()
	scheme, address, _ := strings.Cut(url, "://")
	if !strings.Contains(address, ":") {
		address += map[string]string{"imap": ":143", "imaps": ":993"}[scheme]
	}
	return &Server{
		URL: scheme + "://" + address, User: user, Password: password, secure: scheme == "imaps",
		Gate: &Gate{Address: address, target: address, open: map[net.Conn]bool{}},
	}
}

// Client signs in beside the gate. The test closes it.
func (s *Server) Client(tb testing.TB) *imapclient.Client {
	tb.Helper()
	var client *imapclient.Client
	var err error
	if s.secure {
		client, err = imapclient.DialTLS(s.target, &imapclient.Options{TLSConfig: s.Trust})
	} else {
		client, err = imapclient.DialInsecure(s.target, nil)
	}
	if err == nil {
		err = client.Login(s.User, s.Password).Wait()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// Put delivers messages into a folder.
func (s *Server) Put(tb testing.TB, folder string, messages ...[]byte) {
	tb.Helper()
	client := s.Client(tb)
	defer func() { _ = client.Close() }()
	for _, m := range messages {
		command := client.Append(folder, int64(len(m)), nil)
		_, err := io.Copy(command, bytes.NewReader(m))
		if err = errors.Join(err, command.Close()); err == nil {
			_, err = command.Wait()
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// Renew deletes a folder and makes it anew: the same name with another UIDVALIDITY.
func (s *Server) Renew(tb testing.TB, folder string) {
	tb.Helper()
	client := s.Client(tb)
	defer func() { _ = client.Close() }()
	_ = client.Delete(folder).Wait() // there may be none
	if err := client.Create(folder, nil).Wait(); err != nil {
		tb.Fatal(err)
	}
}

// Remove deletes folders, with all that is in them.
func (s *Server) Remove(tb testing.TB, folders ...string) {
	tb.Helper()
	client := s.Client(tb)
	defer func() { _ = client.Close() }()
	for _, folder := range folders {
		if err := client.Delete(folder).Wait(); err != nil {
			tb.Fatal(err)
		}
	}
}

// Message is what is in a folder.
type Message struct {
	UID     imap.UID
	Subject string
	Flags   []imap.Flag
}

// Seen reports whether it is flagged so.
func (m Message) Seen() bool { return m.has(imap.FlagSeen) }

// Flagged reports whether it is flagged for people.
func (m Message) Flagged() bool { return m.has(imap.FlagFlagged) }

func (m Message) has(flag imap.Flag) bool {
	for _, f := range m.Flags {
		if strings.EqualFold(string(f), string(flag)) {
			return true
		}
	}
	return false
}

// Look is what is in a folder; none where there is no such folder.
func (s *Server) Look(tb testing.TB, folder string) []Message {
	tb.Helper()
	client := s.Client(tb)
	defer func() { _ = client.Close() }()
	box, err := client.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil || box.NumMessages == 0 {
		return nil
	}
	var set imap.SeqSet
	set.AddRange(1, 0)
	found, err := client.Fetch(set, &imap.FetchOptions{UID: true, Envelope: true, Flags: true}).Collect()
	if err != nil {
		tb.Fatal(err)
	}
	all := make([]Message, len(found))
	for i, m := range found {
		all[i] = Message{UID: m.UID, Subject: m.Envelope.Subject, Flags: m.Flags}
	}
	return all
}

// attentive tells whoever begins to listen of what has come meanwhile, as servers do
// and the library's does not.
type attentive struct{ imapserver.SessionIMAP4rev2 }

// Idle implements imapserver.Session.
func (a attentive) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if err := a.Poll(w, true); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-stop:
			return nil
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// silent takes IDLE out of what a server says that it can.
type silent struct{ net.Listener }

func (s silent) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	return silentConn{conn}, err
}

type silentConn struct{ net.Conn }

func (s silentConn) Write(b []byte) (int, error) {
	if _, err := s.Conn.Write(bytes.ReplaceAll(b, []byte(" IDLE"), nil)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Gate stands before a server.
type Gate struct {
	// Address is where clients connect.
	Address string

	target string
	mu     sync.Mutex
	shut   bool
	open   map[net.Conn]bool
	passed int
	spoil  func(line string) bool
}

// NewGate puts a gate before a server; it ends with the test.
func NewGate(tb testing.TB, target string) *Gate {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g := &Gate{Address: listener.Addr().String(), target: target, open: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { g.pass(conn) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		g.Cut()
		running.Wait()
	})
	return g
}

func (g *Gate) pass(client net.Conn) {
	defer func() { _ = client.Close() }()
	var dialer net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server, err := dialer.DialContext(ctx, "tcp", g.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	g.mu.Lock()
	if g.shut {
		g.mu.Unlock()
		return
	}
	g.passed++
	g.open[client], g.open[server] = true, true
	g.mu.Unlock()
	var both sync.WaitGroup
	hang := func() {
		_ = client.Close()
		_ = server.Close()
	}
	both.Go(func() {
		defer hang()
		_, _ = io.Copy(client, server)
	})
	both.Go(func() {
		defer hang()
		g.mu.Lock()
		spoil := g.spoil
		g.mu.Unlock()
		if spoil == nil {
			_, _ = io.Copy(server, client)
			return
		}
		for lines := bufio.NewReader(client); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if spoil(line) {
				tag, _, _ := strings.Cut(line, " ")
				_, err = io.WriteString(client, tag+" NO [SERVERBUG] it is broken: asha@customer.example\r\n")
			} else {
				_, err = io.WriteString(server, line)
			}
			if err != nil {
				return
			}
		}
	})
	both.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, client)
	delete(g.open, server)
}

// Cut ends every connection that goes through.
func (g *Gate) Cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.open {
		_ = conn.Close()
	}
}

// Shut lets nobody through any more, or again.
func (g *Gate) Shut(shut bool) {
	g.mu.Lock()
	g.shut = shut
	g.mu.Unlock()
	if shut {
		g.Cut()
	}
}

// Spoil makes the server answer NO to the commands that f says; only lines of
// commands that come after are shown to it, and only without TLS.
func (g *Gate) Spoil(f func(line string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spoil = f
}

// Passed counts the connections that went through.
func (g *Gate) Passed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.passed
}
