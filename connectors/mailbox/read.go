package mailbox

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/google/uuid"

	"ringback/connectors"
	"ringback/connectors/wire"
)

const (
	// step bounds one exchange with the server, and fetching a message.
	step = time.Minute
	// idling is how long the server is listened to before it is looked for new mail
	// all the same: a connection that has died does not say so, and some servers do
	// not tell of what came while it was not listened to.
	idling = time.Minute
	// firstPause and longestPause are between attempts to connect.
	firstPause, longestPause = time.Second, time.Minute
)

// place is how far the folder was read.
type place struct {
	Validity uint32   `json:"uid_validity"`
	Last     imap.UID `json:"last_uid"`
}

func (c *Connector) placeKey() string {
	return "folder:" + digest(c.config.IMAP+"\n"+c.config.User+"\n"+c.config.Folder)
}

// Run implements connectors.Runner: it reads the folder until ctx is done.
func (c *Connector) Run(ctx context.Context) error {
	if c.server == nil {
		<-ctx.Done()
		return nil
	}
	pause, said := firstPause, ""
	for ctx.Err() == nil {
		began := c.deps.Now()
		read, err := c.session(ctx)
		if read { // a connection that breaks again and again is no server that is away
			pause = firstPause
		}
		if c.deps.Now().Sub(began) > longestPause {
			said = ""
		}
		if err != nil && ctx.Err() == nil && err.Error() != said { // the same trouble is told once
			said = err.Error()
			c.deps.Logger.WarnContext(ctx, "the mailbox is not read", "error", err)
		}
		// Not all at the same moment, when a server comes back.
		if c.deps.Sleep(ctx, pause/2+rand.N(pause/2)) != nil {
			return nil //nolint:nilerr // it is asked to end
		}
		pause = min(2*pause, longestPause)
	}
	return nil
}

// Check implements connectors.Checker: the folder can be opened.
func (c *Connector) Check(ctx context.Context) error {
	if c.server == nil {
		return nil
	}
	s, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return s.do("logging out", func() error { return s.client.Logout().Wait() })
}

// session is one connection to the server, with the folder open.
type session struct {
	*Connector
	client *imapclient.Client
	// news is signalled when the server tells of mail.
	news   chan struct{}
	folder *imap.SelectData
	stop   func() bool
	// read: a message was taken, or there was none.
	read bool
}

func (s *session) close() {
	s.stop()
	_ = s.client.Close() // nothing is owed to it
}

// connect dials, signs in and opens the folder.
func (c *Connector) connect(ctx context.Context) (*session, error) {
	host, port := c.server.Hostname(), c.server.Port()
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.config.TLS != nil {
		secure = c.config.TLS.Clone()
	}
	if secure.ServerName == "" {
		secure.ServerName = host
	}
	if port == "" {
		port = map[string]string{"imap": "143", "imaps": "993"}[c.server.Scheme]
	}
	s := &session{Connector: c, news: make(chan struct{}, 1)}
	options := &imapclient.Options{
		TLSConfig: secure,
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				s.signal()
			}
		}},
	}
	dialling, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(dialling, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("imap: %w", err)
	}
	// The library knows no context: the end of it cuts the connection.
	s.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	impatient := time.AfterFunc(step, func() { _ = conn.Close() })
	defer impatient.Stop()
	switch {
	case c.server.Scheme == "imaps":
		encrypted := tls.Client(conn, secure)
		if err := encrypted.HandshakeContext(dialling); err != nil {
			s.stop()
			_ = conn.Close()
			return nil, fmt.Errorf("imap: %w", err)
		}
		s.client = imapclient.New(encrypted, options)
	case wire.Loopback(host):
		s.client = imapclient.New(conn, options)
	default:
		if s.client, err = imapclient.NewStartTLS(conn, options); err != nil {
			s.stop()
			_ = conn.Close()
			return nil, plainly("STARTTLS", err)
		}
	}
	if err := s.open(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) signal() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// open signs in and opens the folder.
func (s *session) open() error {
	if err := s.do("greeting", s.client.WaitGreeting); err != nil {
		return err
	}
	err := s.do("signing in", func() error {
		if caps := s.client.Caps(); !caps.Has(imap.AuthCap(sasl.Plain)) {
			return s.client.Login(s.config.User, s.config.Password).Wait()
		}
		return s.client.Authenticate(sasl.NewPlainClient("", s.config.User, s.config.Password))
	})
	if err != nil {
		return err
	}
	if s.config.MoveTo != "" {
		_ = s.do("making a folder", s.client.Create(s.config.MoveTo, nil).Wait) // it is there already, as a rule
	}
	return s.do("opening the folder", func() (err error) {
		s.folder, err = s.client.Select(s.config.Folder, nil).Wait()
		return err
	})
}

// do runs one exchange, and cuts the connection where it takes too long.
func (s *session) do(what string, f func() error) error {
	impatient := time.AfterFunc(step, func() { _ = s.client.Close() })
	defer impatient.Stop()
	return plainly(what, f())
}

// plainly is an error without the server's words, which may repeat anything.
func plainly(what string, err error) error {
	var answered *imap.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answered):
		return &refused{fmt.Sprintf("imap: %s: the server answers %s %s", what, answered.Type, answered.Code)}
	}
	return fmt.Errorf("imap: %s: %w", what, err)
}

// refused is an answer of the server that says no.
type refused struct{ words string }

func (r *refused) Error() string { return r.words }

// session reads what is there, and then what comes; read: some of it was, or there
// was nothing.
func (c *Connector) session(ctx context.Context) (read bool, err error) {
	s, err := c.connect(ctx)
	if err != nil {
		return false, err
	}
	defer s.close()
	for {
		if err := s.sweep(ctx); err != nil {
			return s.read, err
		}
		s.read = true
		if err := s.wait(ctx); err != nil {
			return s.read, err
		}
	}
}

// sweep takes every message that has come since the last one that was taken, in order.
func (s *session) sweep(ctx context.Context) error {
	at, found, err := s.place(ctx)
	if err != nil {
		return err
	}
	criteria := &imap.SearchCriteria{}
	fresh := !found || at.Validity != s.folder.UIDValidity
	if fresh {
		// It is read for the first time, or the server has numbered it anew: what nobody
		// has seen is new. Repeats are known by their Message-ID.
		at = place{Validity: s.folder.UIDValidity}
		criteria.NotFlag = []imap.Flag{imap.FlagSeen}
	} else {
		criteria.UID = []imap.UIDSet{{imap.UIDRange{Start: at.Last + 1}}} // to the end
	}
	var uids []imap.UID
	err = s.do("searching", func() error {
		// Some servers see what is new only then.
		if err := s.client.Noop().Wait(); err != nil {
			return err
		}
		all, err := s.client.UIDSearch(criteria, nil).Wait()
		if err == nil {
			uids = all.AllUIDs()
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(uids)
	for _, uid := range uids {
		if uid <= at.Last {
			continue // "5:*" is the last message too, where there is none after it
		}
		if err := s.message(ctx, uid); err != nil {
			return err
		}
		s.read = true
		if fresh {
			continue // not before all of the old ones are taken
		}
		at.Last = uid
		if err := s.remember(ctx, at); err != nil {
			return err
		}
	}
	if !fresh {
		return nil
	}
	if len(uids) > 0 {
		at.Last = uids[len(uids)-1]
	}
	if next := s.folder.UIDNext; next > 0 && next-1 > at.Last {
		at.Last = next - 1
	}
	return s.remember(ctx, at)
}

func (s *session) place(ctx context.Context) (at place, found bool, err error) {
	raw, found, err := s.deps.Memory.Recall(ctx, name, s.placeKey())
	if err != nil || !found {
		return at, false, err
	}
	if err := json.Unmarshal([]byte(raw), &at); err != nil {
		return at, false, fmt.Errorf("how far the folder was read: %w", err)
	}
	return at, true, nil
}

func (s *session) remember(ctx context.Context, at place) error {
	raw, err := json.Marshal(at)
	if err != nil {
		return err
	}
	return s.deps.Memory.Remember(ctx, name, s.placeKey(), string(raw))
}

// message fetches one message without a trace, does what it asks for, and only then
// moves or flags it.
func (s *session) message(ctx context.Context, uid imap.UID) error {
	section := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Offset: 0, Size: s.config.MaxSize}}
	var raw []byte
	var size int64
	there := false
	err := s.do("fetching a message", func() error {
		found, err := s.client.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{
			UID: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{section},
		}).Collect()
		if err != nil {
			return err
		}
		for _, m := range found {
			if m.UID == uid {
				there, size = true, m.RFC822Size
				if len(m.BodySection) > 0 {
					raw = m.BodySection[0].Bytes
				}
			}
		}
		return nil
	})
	var no *refused
	switch {
	case errors.As(err, &no), err == nil && there && len(raw) == 0:
		// One message that the server cannot give must not hold up those after it.
		if err := s.withheld(ctx, uid); err != nil {
			return err
		}
		return s.mark(ctx, uid, KeptBack)
	case err != nil:
		return err
	case !there:
		return nil // somebody took it away
	}
	done, err := s.inTurn(ctx, raw, size > int64(len(raw)))
	if err != nil {
		return fmt.Errorf("a message waits: %w", err)
	}
	s.tell(ctx, done)
	return s.mark(ctx, uid, done.Outcome)
}

// withheld keeps that there is a message which the server does not give.
func (s *session) withheld(ctx context.Context, uid imap.UID) error {
	id := uuid.NewSHA1(messages, fmt.Appendf(nil, "%s\n%d\n%d", s.placeKey(), s.folder.UIDValidity, uid)).String()
	return s.deps.Kept.Keep(ctx, connectors.Message{
		ID: id, Connector: name, Media: media, Body: []byte{},
		Reason: fmt.Sprintf("the mail server does not give the message with the UID %d: a person looks into the mailbox", uid),
	})
}

// mark shows people what became of a message. What the server refuses of it changes
// nothing: what is to be done is done.
func (s *session) mark(ctx context.Context, uid imap.UID, outcome Outcome) error {
	err := s.show(uid, outcome)
	var no *refused
	if errors.As(err, &no) {
		s.deps.Logger.WarnContext(ctx, "a message that was taken looks as it did", "error", err)
		return nil
	}
	return err
}

// show flags a message that waits for people; any other is seen, or moved.
func (s *session) show(uid imap.UID, outcome Outcome) error {
	set := imap.UIDSetNum(uid)
	caps := s.client.Caps()
	if outcome != KeptBack && s.config.MoveTo != "" && (caps.Has(imap.CapMove) || caps.Has(imap.CapUIDPlus)) {
		if err := s.flag(set, imap.FlagSeen); err != nil {
			return err
		}
		return s.do("moving a message", func() error {
			_, err := s.client.Move(set, s.config.MoveTo).Wait()
			return err
		})
	}
	if outcome == KeptBack {
		return s.flag(set, imap.FlagFlagged)
	}
	return s.flag(set, imap.FlagSeen)
}

func (s *session) flag(set imap.UIDSet, flag imap.Flag) error {
	return s.do("flagging a message", func() error {
		return s.client.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{flag}}, nil).Close()
	})
}

// wait returns when there may be mail.
func (s *session) wait(ctx context.Context) error {
	select {
	case <-s.news:
		return nil
	default:
	}
	if !s.client.Caps().Has(imap.CapIdle) {
		return s.deps.Sleep(ctx, s.config.Poll)
	}
	var idle *imapclient.IdleCommand
	err := s.do("listening", func() (err error) {
		idle, err = s.client.Idle()
		return err
	})
	if err != nil {
		return err
	}
	long := time.NewTimer(idling)
	defer long.Stop()
	select {
	case <-s.news:
	case <-long.C:
	case <-s.client.Closed():
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.do("listening", func() error {
		if err := idle.Close(); err != nil {
			return err
		}
		return idle.Wait()
	})
}

var _ connectors.Runner = (*Connector)(nil)
