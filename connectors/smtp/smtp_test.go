package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/smtp/smtpfake"
	"ringback/e2e/harness/dovecot"
)

func sender(t testing.TB, s *smtpfake.Server, change ...func(*Config)) *Sender {
	t.Helper()
	c := Config{URL: s.URL, From: "Train support <desk@example.com>", User: smtpfake.User, Password: smtpfake.Password, TLS: s.Trust, Timeout: 5 * time.Second}
	for _, f := range change {
		f(&c)
	}
	made, err := New(c)
	require.NoError(t, err)
	return made
}

var hello = Mail{
	To: "asha@customer.example", Subject: "Grüße", Text: "Hello,\nthis is ünïcode.\n",
	MessageID: "one@example.com", InReplyTo: "q@customer.example", References: []string{"p@customer.example", "q@customer.example"},
}

func TestMailArrivesAndSaysThatNoPersonWroteIt(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]smtpfake.Options{
		"plain on loopback": {}, "with a sign-in": {Auth: true}, "TLS": {TLS: true, Auth: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := smtpfake.Serve(t, o)
			made := sender(t, s, func(c *Config) {
				if !o.Auth {
					c.User, c.Password = "", ""
				}
			})
			require.NoError(t, made.Check(context.Background()))
			require.NoError(t, made.Send(context.Background(), hello))
			require.Len(t, s.Mails(), 1)
			m := s.Mails()[0]
			require.Equal(t, "desk@example.com", m.From)
			require.Equal(t, []string{"asha@customer.example"}, m.To)
			require.Equal(t, "Grüße", m.Subject())
			require.Equal(t, "Hello,\nthis is ünïcode.\n", strings.ReplaceAll(m.Text, "\r\n", "\n"))
			require.Equal(t, "<one@example.com>", m.Header.Get("Message-Id"))
			require.Equal(t, "<q@customer.example>", m.Header.Get("In-Reply-To"))
			require.Equal(t, []string{"<p@customer.example>", "<q@customer.example>"}, strings.Fields(m.Header.Get("References")))
			require.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
			require.Equal(t, "All", m.Header.Get("X-Auto-Response-Suppress"))
			require.Contains(t, m.Header.Get("From"), "Train support")
		})
	}
}

func TestOffLoopbackNothingIsSentWithoutTLS(t *testing.T) {
	t.Parallel()
	remote := func(s *smtpfake.Server) *Sender {
		return sender(t, s, func(c *Config) {
			c.URL = "smtp://example.com:587"
			c.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, strings.TrimPrefix(s.URL, "smtp://"))
			}
		})
	}
	s := smtpfake.Serve(t, smtpfake.Options{StartTLS: true, Auth: true})
	require.NoError(t, remote(s).Send(context.Background(), hello))
	require.Len(t, s.Mails(), 1)

	plain := smtpfake.Serve(t, smtpfake.Options{Auth: true})
	var owed *connectors.Owed
	require.ErrorAs(t, remote(plain).Send(context.Background(), hello), &owed)
	require.Equal(t, connectors.Unavailable, owed.Code)
	require.Empty(t, plain.Mails())
}

func TestWhatAServerRefusesIsOwedWithoutAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, stage string
		code        int
		want        connectors.OwedCode
	}{
		{"greylisted", "rcpt", 450, connectors.Unavailable},
		{"too busy", "mail", 421, connectors.Unavailable},
		{"full", "data", 452, connectors.Unavailable},
		{"no such user", "rcpt", 550, connectors.Rejected},
		{"sender refused", "mail", 553, connectors.Rejected},
		{"content refused", "data", 554, connectors.Rejected},
		{"sign-in refused", "auth", 535, connectors.Unauthorized},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := smtpfake.Serve(t, smtpfake.Options{Auth: true})
			s.Refuse(test.stage, test.code)
			err := sender(t, s).Send(context.Background(), hello)
			var owed *connectors.Owed
			require.ErrorAs(t, err, &owed)
			require.Equal(t, test.want, owed.Code)
			require.Equal(t, test.stage == "rcpt", errors.Is(err, ErrAddress))
			for _, secret := range []string{"asha", "customer.example", smtpfake.Password} {
				require.NotContains(t, owed.Error(), secret)
			}
			s.Refuse(test.stage, 0)
			require.NoError(t, sender(t, s).Send(context.Background(), hello))
		})
	}
}

func TestAServerThatIsAwayOrHangsPasses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	hanging := sender(t, &smtpfake.Server{URL: "smtp://" + listener.Addr().String()})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var owed *connectors.Owed
	require.ErrorAs(t, hanging.Send(ctx, hello), &owed)
	require.Equal(t, connectors.Unavailable, owed.Code)

	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone.Close()
	require.ErrorAs(t, sender(t, &smtpfake.Server{URL: "smtp://" + gone.Addr().String()}).Send(context.Background(), hello), &owed)
	require.Equal(t, connectors.Unavailable, owed.Code)

	// A server that nobody vouches for is not trusted.
	s := smtpfake.Serve(t, smtpfake.Options{TLS: true})
	require.ErrorAs(t, sender(t, s, func(c *Config) { c.TLS = &tls.Config{MinVersion: tls.VersionTLS12} }).Send(context.Background(), hello), &owed)
	require.Equal(t, connectors.Unavailable, owed.Code)
	require.Empty(t, s.Mails())
}

func TestStrangersIdsAddNoHeader(t *testing.T) {
	t.Parallel()
	s := smtpfake.Serve(t, smtpfake.Options{})
	made := sender(t, s, func(c *Config) { c.User, c.Password = "", "" })
	m := hello
	m.Subject = "a\r\nBcc: everybody@example.com"
	m.InReplyTo = "a@b>\r\nBcc: everybody@example.com"
	m.References = []string{"a b@c", "good@c", "c@d\r\nX: y"}
	require.NoError(t, made.Send(context.Background(), m))
	got := s.Mails()[0]
	require.Empty(t, got.Header.Get("Bcc"))
	require.Empty(t, got.Header.Get("X"))
	require.Empty(t, got.Header.Get("In-Reply-To"))
	require.Equal(t, "<good@c>", got.Header.Get("References"))
	for _, to := range []string{"", "nobody", "a@b, c@d", "A <a@b>", "a@b\r\nRCPT TO:<c@d>"} {
		m.To = to
		var owed *connectors.Owed
		require.ErrorAs(t, made.Send(context.Background(), m), &owed)
		require.Equal(t, connectors.Rejected, owed.Code, to)
	}
	require.Len(t, s.Mails(), 1)
}

func TestAMistakeInTheConfigurationNamesItsKey(t *testing.T) {
	t.Parallel()
	good := Config{URL: "smtps://mail.example:465", From: "desk@example.com"}
	tests := []struct {
		path   string
		change func(*Config)
	}{
		{"url", func(c *Config) { c.URL = "mail.example:465" }},
		{"url", func(c *Config) { c.URL = "https://mail.example" }},
		{"url", func(c *Config) { c.URL = "smtp://" }},
		{"url", func(c *Config) { c.URL = "smtps://user:secret@mail.example" }},
		{"url", func(c *Config) { c.URL = "smtps://mail.example:0" }},
		{"from", func(c *Config) { c.From = "" }},
		{"from", func(c *Config) { c.From = "the desk" }},
		{"user_env", func(c *Config) { c.Password = "secret" }},
	}
	for _, test := range tests {
		c := good
		test.change(&c)
		_, err := New(c)
		var f *callback.Fault
		require.ErrorAs(t, err, &f)
		require.Equal(t, test.path, f.Errors[0].Path)
		require.NotContains(t, err.Error(), "secret")
	}
	made, err := New(good)
	require.NoError(t, err)
	require.Equal(t, "desk@example.com", made.From())
	require.Equal(t, "example.com", made.Domain())
}

// Submission through a real server, with a sign-in, over TLS from the start and by STARTTLS.
func TestARealServerTakesMail(t *testing.T) {
	t.Parallel()
	end := smtpfake.Serve(t, smtpfake.Options{})
	d := dovecot.Start(t, strings.TrimPrefix(end.URL, "smtp://"))
	base := Config{From: "desk@example.com", User: dovecot.User, Password: dovecot.Password, TLS: d.Trust}
	for _, way := range []Config{
		{URL: d.SMTPS},
		{URL: d.SMTP},
		{URL: "smtp://example.com:587", dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, strings.TrimPrefix(d.SMTP, "smtp://"))
		}},
	} {
		c := base
		c.URL, c.dial = way.URL, way.dial
		made, err := New(c)
		require.NoError(t, err)
		require.NoError(t, made.Check(context.Background()))
		before := len(end.Mails())
		require.NoError(t, made.Send(context.Background(), hello), way.URL)
		require.Len(t, end.Mails(), before+1)
		require.Equal(t, "Grüße", end.Mails()[before].Subject())

		c.Password = "wrong"
		made, err = New(c)
		require.NoError(t, err)
		var owed *connectors.Owed
		require.ErrorAs(t, made.Send(context.Background(), hello), &owed)
		require.Equal(t, connectors.Unauthorized, owed.Code)
	}
	end.RefuseAddress("asha@customer.example", 550)
	c := base
	c.URL = d.SMTPS
	made, err := New(c)
	require.NoError(t, err)
	require.ErrorIs(t, made.Send(context.Background(), hello), ErrAddress)
}
