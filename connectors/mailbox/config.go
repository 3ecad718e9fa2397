// Package mailbox makes cases of the mail that comes to an inbox for executives
// (R20): each is assigned to a named person at once, and whoever wrote is told
// that the message has arrived.
//
// Mail is read by IMAP, or posted by a mail gateway. A message is moved or
// flagged only after its case exists, and is known by its Message-ID ever after.
package mailbox

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/phone"
	"ringback/connectors/smtp"
	"ringback/connectors/wire"
)

// name of the connector, of its block in the configuration, and of the source system of its callbacks.
const name = "mailbox"

// Config is the block `mailbox` of the configuration.
type Config struct {
	// IMAP is imaps://HOST:PORT (TLS from the start), or imap://HOST:PORT: then
	// STARTTLS must be offered, but on a loopback address. Empty: mail is only posted.
	IMAP           string
	User, Password string
	// Folder is read; empty: INBOX.
	Folder string
	// MoveTo is the folder that a message goes to once its case exists; empty: it stays,
	// and is flagged as seen.
	MoveTo string
	// Poll is how often the folder is looked into where the server does not tell of new
	// mail by itself; 0: 30 s.
	Poll time.Duration
	// Policy of the callbacks.
	Policy string
	// Assign names who gets a message, by the address that it was written to; the key
	// "default" is for every other one. Without it the policy decides.
	Assign map[string]string
	// Addresses are the inbox's own, besides those of Assign: mail from them is never answered.
	Addresses []string
	// AuthservID is how our own mail server calls itself in Authentication-Results: mail that
	// fails DMARC by it, or that it did not check, waits for a person. Empty: nothing
	// is checked.
	AuthservID string
	// Regions are those of phone numbers without a country code, like "IN".
	Regions []string
	// OwnNumbers are the organization's: nobody writes them to be called there.
	OwnNumbers []string
	// MaxSize is how much of a message is read, in bytes; 0: 1 MiB. What is behind it,
	// which is attachments as a rule, stays in the mailbox.
	MaxSize int64
	// MaxPerSender is how many cases one address can make in an hour; more wait for a
	// person. 0: 10.
	MaxPerSender int
	// Acknowledge is the answer to whoever wrote.
	Acknowledge Acknowledge
	// Post sends it; nil: nobody is answered.
	Post Post
	// TLS is how to check who the IMAP server is; nil: by the machine's own certificates.
	TLS *tls.Config
}

// Acknowledge is the answer to whoever wrote: empty members have a text of the
// desk's own.
type Acknowledge struct {
	// Off answers nobody.
	Off bool
	// Subject is followed by the token that a reply is known by.
	Subject string
	// Text of the answer; WithoutPhone is that where no phone number was found: it asks for one.
	Text, WithoutPhone string
}

// Post sends mail; *smtp.Sender does.
type Post interface {
	Send(ctx context.Context, m smtp.Mail) error
	From() string
	Domain() string
}

// everybody is the key of Assign for whoever is not named.
const everybody = "default"

const (
	standardPoll = 30 * time.Second
	standardSize = 1 << 20
	standardRate = 10
)

// Connector reads an inbox.
type Connector struct {
	config Config
	deps   connectors.Deps
	server *url.URL
	assign map[string]string
	own    map[string]bool
	ours   map[string]bool // numbers
	turns  wire.Turns

	mu      sync.Mutex
	secret  []byte
	senders map[string]*rate.Limiter
}

// New checks the configuration; a mistake in it is a *callback.Fault that names the key.
func New(c Config, deps connectors.Deps) (*Connector, error) {
	if c.Folder == "" {
		c.Folder = "INBOX"
	}
	if c.Poll <= 0 {
		c.Poll = standardPoll
	}
	if c.MaxSize == 0 {
		c.MaxSize = standardSize
	}
	if c.MaxPerSender == 0 {
		c.MaxPerSender = standardRate
	}
	deps = wire.Complete(deps)
	made := &Connector{config: c, deps: deps, assign: map[string]string{}, own: map[string]bool{}, ours: map[string]bool{}, senders: map[string]*rate.Limiter{}}
	made.turns.Deps, made.turns.Connector, made.turns.Most = deps, name, longest
	if err := made.connection(); err != nil {
		return nil, err
	}
	if c.Policy == "" {
		return nil, callback.Invalid("policy", "expected the name of a policy")
	}
	for to, who := range c.Assign {
		if who == "" {
			return nil, callback.Invalid("assign."+to, "expected the id of somebody of the staff")
		}
		if to != everybody {
			if !address(to) {
				return nil, callback.Invalid("assign."+to, `expected an e-mail address, or "default"`)
			}
			made.own[strings.ToLower(to)] = true
		}
		made.assign[strings.ToLower(to)] = who
	}
	for i, a := range c.Addresses {
		if !address(a) {
			return nil, callback.Invalid(fmt.Sprintf("addresses[%d]", i), "expected an e-mail address")
		}
		made.own[strings.ToLower(a)] = true
	}
	if c.Post != nil {
		made.own[strings.ToLower(c.Post.From())] = true
	}
	if address(c.User) {
		made.own[strings.ToLower(c.User)] = true
	}
	for i, r := range c.Regions {
		if !phone.Known(r) {
			return nil, callback.Invalid(fmt.Sprintf("regions[%d]", i), `expected a country of two capital letters, like "IN"`)
		}
	}
	for i, n := range c.OwnNumbers {
		e164, ok := phone.E164(n, phone.Hints{Regions: c.Regions})
		if !ok {
			return nil, callback.Invalid(fmt.Sprintf("own_numbers[%d]", i), "expected a phone number that exists")
		}
		made.ours[e164] = true
	}
	if c.MaxSize < 10<<10 || c.MaxSize > 50<<20 {
		return nil, callback.Invalid("max_size", "expected 10 KiB to 50 MiB, in bytes")
	}
	if c.MaxPerSender < 0 {
		return nil, callback.Invalid("max_per_sender", "expected 1 or more")
	}
	if strings.ContainsAny(c.AuthservID, " ;\t") {
		return nil, callback.Invalid("authserv_id", "expected the name that our mail server puts first in Authentication-Results")
	}
	if c.AuthservID == "" {
		deps.Logger.Warn("mail is not checked for forged senders: authserv_id is not configured")
	}
	return made, nil
}

// connection checks how to get to the mailbox.
func (c *Connector) connection() error {
	if c.config.IMAP == "" {
		return nil
	}
	u, err := url.Parse(c.config.IMAP)
	if err != nil || u.Hostname() == "" || (u.Scheme != "imap" && u.Scheme != "imaps") || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return callback.Invalid("imap", "expected imaps://HOST:PORT or imap://HOST:PORT, without a user")
	}
	if c.config.User == "" {
		return callback.Invalid("user_env", "expected the user of the mailbox")
	}
	if c.config.MoveTo == c.config.Folder {
		return callback.Invalid("move_to", "expected another folder than the one that is read")
	}
	c.server = u
	return nil
}

func address(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

// Name implements connectors.Connector.
func (c *Connector) Name() string { return name }
