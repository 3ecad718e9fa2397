// Package smtpfake is a mail server for tests, in memory: it takes mail, and
// fails in the ways that real ones do.
package smtpfake

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"net/mail"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // of bodies
	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
)

// The sign-in that servers with Options.Auth take.
const (
	User     = "desk"
	Password = "a-secret-password"
)

// Options say how a server behaves.
type Options struct {
	// TLS from the start (smtps). StartTLS offers it instead.
	TLS, StartTLS bool
	// Auth demands a sign-in.
	Auth bool
}

// Server is a mail server.
type Server struct {
	// URL for the configuration.
	URL string
	// Trust is a client's TLS configuration that knows the server.
	Trust *tls.Config

	options Options
	server  *gosmtp.Server
	mu      sync.Mutex
	mails   []Mail
	refuse  map[string]int
	refused int
	lose    int
	share   float64
	random  *rand.Rand
	failed  map[string]int
	loseTo  map[string]int
	arrived chan struct{}
}

// Mail is what the server took.
type Mail struct {
	From string
	To   []string
	// Header is of the mail, Text its decoded body, Raw all of it.
	Header message.Header
	Text   string
	Raw    []byte
}

// Subject is the decoded subject.
func (m Mail) Subject() string {
	s, err := m.Header.Text("Subject")
	if err != nil {
		return m.Header.Get("Subject")
	}
	return s
}

// Serve starts a server on loopback that ends with the test.
func Serve(tb testing.TB, o Options) *Server {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{options: o, refuse: map[string]int{}, loseTo: map[string]int{}, arrived: make(chan struct{}, 1)}
	s.server = gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) {
		session := &session{server: s}
		if o.Auth {
			return &authenticated{session}, nil
		}
		return session, nil
	}))
	s.server.Domain = "mail.example"
	s.server.MaxMessageBytes = 10 << 20
	s.server.AllowInsecureAuth = !o.TLS && !o.StartTLS
	s.server.ErrorLog = quiet{}
	certified, trust := Certificate(tb)
	s.Trust = trust
	s.URL = "smtp://" + listener.Addr().String()
	if o.TLS {
		listener = tls.NewListener(listener, certified)
		s.URL = "smtps://" + listener.Addr().String()
	} else if o.StartTLS {
		s.server.TLSConfig = certified
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.server.Serve(listener)
	}()
	tb.Cleanup(func() {
		_ = listener.Close() // the server does not know it yet where the test was quick
		_ = s.server.Close()
		<-done
	})
	return s
}

// Certificate returns a server's TLS configuration for 127.0.0.1 and example.com,
// and the client's that trusts it.
func Certificate(tb testing.TB) (server, client *tls.Config) {
	tb.Helper()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	return &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Mails are those that arrived, in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Arrived is signalled when mail has come since it was signalled last.
func (s *Server) Arrived() <-chan struct{} { return s.arrived }

// Refuse answers a stage ("auth", "mail", "rcpt" or "data") with a code, until it is 0.
func (s *Server) Refuse(stage string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[stage] = code
}

// RefuseAddress answers every mail to an address with a code, until it is 0.
func (s *Server) RefuseAddress(address string, code int) { s.Refuse("rcpt "+address, code) }

// Refused counts what was refused.
func (s *Server) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// LoseAnswers takes the next n mails and hangs up before it says so.
func (s *Server) LoseAnswers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = n
}

// FailRandomly makes that share of the mails fail for a while, 0 to 1, in a way drawn
// with the seed: refused at the stage "mail" or "data", or "lost": taken, and the
// answer does not say so.
func (s *Server) FailRandomly(share float64, seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.share, s.random, s.failed = share, rand.New(rand.NewPCG(seed, seed)), map[string]int{}
}

// Failed counts what FailRandomly has done, by its way.
func (s *Server) Failed() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.failed)
}

// fails draws whether and how the mail fails that is about to come.
func (s *Server) fails() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.random == nil || s.random.Float64() >= s.share {
		return ""
	}
	way := []string{"mail", "data", "lost"}[s.random.IntN(3)]
	s.failed[way]++
	return way
}

// LoseAnswersTo is LoseAnswers for mails to one address.
func (s *Server) LoseAnswersTo(address string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loseTo[address] = n
}

// loses reports whether the answer about a mail is lost; with the lock held.
func (s *Server) loses(to []string) bool {
	if s.lose > 0 {
		s.lose--
		return true
	}
	for _, address := range to {
		if s.loseTo[address] > 0 {
			s.loseTo[address]--
			return true
		}
	}
	return false
}

func (s *Server) judge(stage, address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := s.refuse[stage]
	if code == 0 {
		code = s.refuse[stage+" "+address]
	}
	if code != 0 {
		s.refused++
		// As real ones do, it repeats whom it refuses.
		return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{code / 100, 1, 1}, Message: "<" + address + ">: refused"}
	}
	return nil
}

type session struct {
	server *Server
	from   string
	to     []string
	fails  string
}

// busy is how a server asks for patience.
var busy = &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 3, 2}, Message: "busy"}

func (s *session) Mail(from string, _ *gosmtp.MailOptions) error {
	s.from = from
	if s.fails = s.server.fails(); s.fails == "mail" {
		return busy
	}
	return s.server.judge("mail", from)
}

func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if err := s.server.judge("rcpt", to); err != nil {
		return err
	}
	s.to = append(s.to, to)
	return nil
}

var errHungUp = errors.New("hung up")

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.fails == "data" {
		return busy
	}
	if err := s.server.judge("data", s.from); err != nil {
		return err
	}
	m := Mail{From: s.from, To: slices.Clone(s.to), Raw: raw}
	entity, err := message.Read(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	text, err := io.ReadAll(entity.Body)
	if err != nil {
		return err
	}
	m.Header, m.Text = entity.Header, string(text)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, m)
	select {
	case s.server.arrived <- struct{}{}:
	default:
	}
	if s.fails == "lost" || s.server.loses(s.to) {
		return &gosmtp.SMTPError{Code: 421, EnhancedCode: gosmtp.EnhancedCode{4, 4, 2}, Message: errHungUp.Error()}
	}
	return nil
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

// authenticated is a session that signs in first.
type authenticated struct{ *session }

func (a *authenticated) AuthMechanisms() []string { return []string{sasl.Plain} }

func (a *authenticated) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if err := a.server.judge("auth", user); err != nil {
			return err
		}
		if user != User || password != Password {
			return gosmtp.ErrAuthFailed
		}
		return nil
	}), nil
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// Address is an e-mail address alone, for comparing.
func Address(s string) string {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return s
	}
	return a.Address
}
