// Package smtp sends the desk's own mail: answers to the executive inbox, and
// notices. What it sends says that no person wrote it, so that no machine
// answers (RFC 3834).
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	session "github.com/wneessen/go-mail/smtp"

	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/wire"
)

// Config is the block `smtp` of the configuration, as far as sending goes.
type Config struct {
	// URL is smtps://HOST:PORT (TLS from the start), or smtp://HOST:PORT: then
	// STARTTLS must be offered, but on a loopback address.
	URL string
	// From is who the mail is from: an address, with a name or without.
	From string
	// User and Password sign in; without a user nobody does.
	User, Password string
	// TLS is how to check who the server is; nil: by the machine's own certificates.
	TLS *tls.Config
	// Timeout bounds each step of sending a mail; 0: 30 s.
	Timeout time.Duration

	// dial is how tests get to a server by a name that it does not have.
	dial gomail.DialContextFunc
}

const standardTimeout = 30 * time.Second

// Mail is one mail to one person.
type Mail struct {
	// To is an address, without a name.
	To            string
	Subject, Text string
	// MessageID is without its brackets, and the same however often it is sent.
	MessageID string
	// InReplyTo and References are message ids, without brackets; empty: it begins a thread.
	InReplyTo  string
	References []string
}

// Sender sends mail through one server.
type Sender struct {
	from    *mail.Address
	host    string
	options []gomail.Option
	timeout time.Duration
}

// ErrAddress is the cause where it is the address that is refused, and not the desk:
// for good where the code is Rejected, by the server or because nothing can be written to
// it; else for now (a full mailbox, greylisting).
var ErrAddress = errors.New("smtp: the address is refused")

// New checks the configuration; a mistake in it is a *callback.Fault that names the key.
func New(c Config) (*Sender, error) {
	s := &Sender{timeout: c.Timeout}
	if s.timeout <= 0 {
		s.timeout = standardTimeout
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return nil, callback.Invalid("url", `expected smtps://HOST:PORT or smtp://HOST:PORT, without a user`)
	}
	if s.from, err = mail.ParseAddress(c.From); err != nil {
		return nil, callback.Invalid("from", "expected an e-mail address")
	}
	if c.User == "" && c.Password != "" {
		return nil, callback.Invalid("user_env", "expected a user beside the password")
	}
	s.host = u.Hostname()
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS != nil {
		secure = c.TLS.Clone()
	}
	if secure.ServerName == "" {
		secure.ServerName = s.host
	}
	auth, port := gomail.SMTPAuthAutoDiscover, 587
	s.options = []gomail.Option{gomail.WithTimeout(s.timeout), gomail.WithTLSConfig(secure)}
	switch {
	case u.Scheme == "smtps":
		port = 465
		s.options = append(s.options, gomail.WithSSL())
	case wire.Loopback(s.host):
		port, auth = 25, gomail.SMTPAuthPlainNoEnc
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return nil, callback.Invalid("url", "expected a port between 1 and 65535")
		}
	}
	s.options = append(s.options, gomail.WithPort(port))
	if c.User != "" {
		s.options = append(s.options, gomail.WithSMTPAuth(auth), gomail.WithUsername(c.User), gomail.WithPassword(c.Password))
	}
	if c.dial != nil {
		s.options = append(s.options, gomail.WithDialContextFunc(c.dial))
	}
	if _, domain, _ := strings.Cut(s.from.Address, "@"); domain != "" {
		s.options = append(s.options, gomail.WithHELO(domain))
	}
	if _, err := gomail.NewClient(s.host, s.options...); err != nil {
		return nil, callback.Invalid("url", "it cannot be used to send mail")
	}
	return s, nil
}

// From is the address that mail is from.
func (s *Sender) From() string { return s.from.Address }

// Domain is that of From, for message ids.
func (s *Sender) Domain() string {
	_, domain, _ := strings.Cut(s.from.Address, "@")
	return domain
}

// Check signs in and out again.
func (s *Sender) Check(ctx context.Context) error {
	return s.with(ctx, func(*gomail.Client, *session.Client) error { return nil })
}

// Send sends a mail. The error is a *connectors.Owed: Rejected where the address
// or the mail is refused for good, Unauthorized where the sign-in is; anything
// else passes. Neither the address nor what the server said of it is in it.
func (s *Sender) Send(ctx context.Context, m Mail) error {
	message, err := s.compose(m)
	if err != nil {
		return &connectors.Owed{Code: connectors.Rejected, Detail: "the address cannot be written to", Err: ErrAddress}
	}
	return s.with(ctx, func(client *gomail.Client, c *session.Client) error {
		if err := client.SendWithSMTPClient(c, message); err != nil && !message.IsDelivered() {
			return refusal(err)
		}
		return nil
	})
}

// messageID is what can stand between the brackets of a message id.
var messageID = regexp.MustCompile(`^[!-;=?-~]{1,250}$`)

// mostReferences bounds the header References.
const mostReferences = 20

// compose writes a mail as it will be sent.
func (s *Sender) compose(m Mail) (*gomail.Msg, error) {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.SetAddrHeaderFromMailAddress(gomail.HeaderFrom, s.from)
	if to, err := mail.ParseAddress(m.To); err != nil || to.Address != m.To {
		return nil, errors.New("no address")
	}
	if err := message.To(m.To); err != nil {
		return nil, err
	}
	message.Subject(m.Subject)
	message.SetDate()
	if m.MessageID != "" {
		message.SetMessageIDWithValue(m.MessageID)
	} else {
		message.SetMessageID()
	}
	// Ids come from strangers: what could end a line, or a list, is left out.
	if messageID.MatchString(m.InReplyTo) {
		message.SetGenHeaderPreformatted(gomail.HeaderInReplyTo, "<"+m.InReplyTo+">")
	}
	var references []string
	for _, id := range m.References[max(len(m.References)-mostReferences, 0):] {
		if messageID.MatchString(id) {
			references = append(references, "<"+id+">")
		}
	}
	if len(references) > 0 {
		message.SetGenHeaderPreformatted(gomail.HeaderReferences, strings.Join(references, "\r\n "))
	}
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader("X-Auto-Response-Suppress", "All")
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	return message, nil
}

// with runs f with a connection that is signed in, and ends it.
func (s *Sender) with(ctx context.Context, f func(*gomail.Client, *session.Client) error) error {
	// The library's time limits are for each step, and it hears of ctx only while it dials.
	options := s.options
	if deadline, limited := ctx.Deadline(); limited {
		left := max(min(time.Until(deadline), s.timeout), time.Millisecond)
		options = append(slices.Clone(options), gomail.WithTimeout(left))
	}
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return &connectors.Owed{Code: connectors.Rejected, Detail: "the configuration cannot be used", Err: errors.New("smtp: no client")}
	}
	c, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return refusal(err)
	}
	cut := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer cut()
	if err := f(client, c); err != nil {
		_ = c.Close()
		return err
	}
	_ = client.CloseWithSMTPClient(c) // what was to be sent is
	return nil
}

// refusal says what went wrong by its code: the words of a server repeat addresses.
func refusal(err error) error {
	var answered *textproto.Error
	var sending *gomail.SendError
	code := 0
	switch {
	case errors.As(err, &sending):
		code = sending.ErrorCode()
	case errors.As(err, &answered):
		code = answered.Code
	}
	switch {
	case code == 530, code == 534, code == 535, code == 538:
		return &connectors.Owed{Code: connectors.Unauthorized, Detail: fmt.Sprintf("the mail server does not take the sign-in (%d)", code), Err: fmt.Errorf("smtp: answer %d", code)}
	case code >= 500 && sending != nil && sending.Reason == gomail.ErrSMTPRcptTo:
		return &connectors.Owed{Code: connectors.Rejected, Detail: fmt.Sprintf("the mail server refuses the address (%d)", code), Err: ErrAddress}
	case code >= 400 && code < 500 && sending != nil && sending.Reason == gomail.ErrSMTPRcptTo:
		return &connectors.Owed{Code: connectors.Unavailable, Detail: fmt.Sprintf("the mail server does not take mail for the address now (%d)", code), Err: ErrAddress}
	case code >= 500:
		return &connectors.Owed{Code: connectors.Rejected, Detail: fmt.Sprintf("the mail server refuses the mail (%d)", code), Err: fmt.Errorf("smtp: answer %d", code)}
	case code >= 400:
		return &connectors.Owed{Code: connectors.Unavailable, Detail: fmt.Sprintf("the mail server does not take it now (%d)", code), Err: fmt.Errorf("smtp: answer %d", code)}
	case sending != nil:
		return &connectors.Owed{Code: connectors.Unavailable, Detail: "the mail server broke off", Err: errors.New("smtp: broken off while sending")}
	}
	return &connectors.Owed{Code: connectors.Unavailable, Detail: "the mail server cannot be reached", Err: fmt.Errorf("smtp: %w", err)}
}
