package mailbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/phone"
	"ringback/connectors/plain"
	"ringback/connectors/wire"
)

// Outcome is what became of a message.
type Outcome string

// The outcomes.
const (
	// Promised: it is a case now, assigned to a named person (R20).
	Promised Outcome = "promised"
	// Joined: it belongs to a case that is open; the customer has come back.
	Joined Outcome = "joined"
	// Known: it was taken before.
	Known Outcome = "known"
	// Answered: a machine answered what we sent about an open case; nothing comes of it.
	Answered Outcome = "answered"
	// Ours: we sent it.
	Ours Outcome = "ours"
	// KeptBack: it waits for a person, with its reason.
	KeptBack Outcome = "kept"
)

// result is an outcome with the callback that it is about.
type result struct {
	Outcome  Outcome `json:"outcome"`
	Callback *string `json:"callback"`
	Reason   *string `json:"reason"`
}

// unfit is why a message waits for a person; nothing personal is in it.
type unfit struct{ reason string }

func (u *unfit) Error() string { return u.reason }

// record is what is remembered of a message, by its Message-ID.
type record struct {
	// Callback is the case that it made or joined; empty: it is on its way.
	Callback string `json:"callback,omitempty"`
	// Ref is that case's source: the Message-ID of what it began with.
	Ref string `json:"ref,omitempty"`
	// Automatic: nothing answers it.
	Automatic bool `json:"automatic,omitempty"`
}

// media of messages.
const media = "message/rfc822"

const (
	// maxReason and maxNote bound what is stored of a message, in bytes.
	maxReason = 4000
	maxNote   = 8000
	// longest is how long one message may hold up those behind it.
	longest = 6 * time.Hour
	// manySenders bounds how many are counted.
	manySenders = 10_000
)

func recordKey(messageID string) string { return "mail:" + digest(messageID) }

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// takeOrKeep does what a message asks for, or keeps it. Any error means: try again.
func (c *Connector) takeOrKeep(ctx context.Context, raw []byte, cut bool) (result, error) {
	done, err := c.take(ctx, raw, cut, false)
	var no *unfit
	if !errors.As(err, &no) {
		return done, err
	}
	return c.keepBack(ctx, raw, no.reason)
}

// keepBack keeps a message for a person.
func (c *Connector) keepBack(ctx context.Context, raw []byte, reason string) (result, error) {
	err := c.deps.Kept.Keep(ctx, connectors.Message{
		ID: uuid.NewSHA1(messages, raw).String(), Connector: name, Reason: reason, Media: media, Body: raw,
	})
	return result{Outcome: KeptBack, Reason: &reason}, err
}

// inTurn is takeOrKeep for a message that others wait behind: one that fails for
// hours is kept, and they go on (R20).
func (c *Connector) inTurn(ctx context.Context, raw []byte, cut bool) (result, error) {
	key := digest(string(raw))
	done, err := c.takeOrKeep(ctx, raw, cut)
	if err != nil && c.turns.Spent(ctx, key) {
		done, err = c.keepBack(ctx, raw, fmt.Sprintf("it could not be taken for %d hours: %s", int(longest.Hours()), wire.Why(err)))
	}
	if err == nil {
		c.turns.Over(ctx, key)
	}
	return done, err
}

// messages is the name space of the ids of kept messages: the same, kept again, is the same message.
var messages = uuid.MustParse("7b2f5d0a-3b57-5d39-8d1e-2f3f0f5c8f11")

// Replay implements connectors.Replayer. A person who replays a message vouches
// for its sender: what they looked at is not checked again.
func (c *Connector) Replay(ctx context.Context, m connectors.Message) error {
	_, err := c.take(ctx, m.Body, int64(len(m.Body)) >= c.config.MaxSize, true)
	var no *unfit
	if errors.As(err, &no) {
		return &callback.Fault{Code: callback.CodeInvalid, Detail: no.reason}
	}
	return err
}

// Show implements connectors.Shower: the text alone, as a case would have it.
func (c *Connector) Show(m connectors.Message) (connectors.Shown, error) {
	l, err := open(m.Body, int64(len(m.Body)) >= c.config.MaxSize)
	if err != nil {
		return connectors.Shown{}, err
	}
	sender := l.From.Address
	if l.From.Name != "" {
		sender = l.From.Name + " <" + l.From.Address + ">"
	}
	text := l.Text
	if enclosed := l.enclosed(); enclosed != "" {
		text = strings.TrimSpace(text + "\n\n" + enclosed)
	}
	return connectors.Shown{Sender: plain.Line(sender, maxReason), Subject: l.Subject, Verdict: c.verdictOf(l), Text: text}, nil
}

// verdictOf is what our mail server found out about the sender, in words.
func (c *Connector) verdictOf(l *letter) string {
	if c.config.AuthservID == "" {
		return "DMARC is not looked at here: nobody checked whether the sender is forged"
	}
	switch judge(l.Results, c.config.AuthservID) {
	case authentic:
		return "DMARC does not fail: the sender's domain vouches for it, or says nothing"
	case forged:
		return "DMARC fails: the sender may be forged"
	case unchecked:
	}
	return "our mail server did not check DMARC, or could not: the sender may be forged"
}

// take does what a message asks for. An *unfit error says why it waits for a
// person; any other: try again. vouched: a person has looked at it.
func (c *Connector) take(ctx context.Context, raw []byte, cut, vouched bool) (result, error) {
	l, err := open(raw, cut)
	if err != nil {
		return result{}, &unfit{"it cannot be understood: " + err.Error()}
	}
	key, err := c.key(ctx)
	if err != nil {
		return result{}, err
	}
	if _, ours := ownMessageID(key, l.ID); ours {
		return result{Outcome: Ours}, nil
	}
	if c.own[l.From.Address] && l.Automatic == "" {
		l.Automatic = "our own address"
	}
	was, _, err := c.recall(ctx, l.ID)
	if err != nil {
		return result{}, err
	}
	if was.Callback != "" {
		return result{Outcome: Known, Callback: &was.Callback}, nil
	}
	if !vouched && c.config.AuthservID != "" {
		switch judge(l.Results, c.config.AuthservID) {
		case authentic:
		case forged:
			return result{}, &unfit{"it fails DMARC: its sender may be forged (R20)"}
		case unchecked:
			return result{}, &unfit{"our mail server did not check whether its sender is forged, or could not (R20)"}
		}
	}
	before, err := c.thread(ctx, key, l)
	if err != nil {
		return result{}, err
	}
	if before != nil && !before.State.Status.Closed() {
		done, err := c.join(ctx, l, before)
		if !errors.Is(err, callback.Refused(callback.CodeClosed)) {
			return done, err
		}
	}
	limit := c.limit(l.From.Address)
	if !vouched && limit.TokensAt(c.deps.Now()) < 1 {
		return result{}, &unfit{fmt.Sprintf("its sender has written more than %d messages in an hour", c.config.MaxPerSender)}
	}
	done, err := c.promise(ctx, l, before)
	if err == nil {
		limit.AllowN(c.deps.Now(), 1) // counted once, however often it had to be tried
	}
	return done, err
}

func (c *Connector) recall(ctx context.Context, messageID string) (r record, found bool, err error) {
	raw, found, err := c.deps.Memory.Recall(ctx, name, recordKey(messageID))
	if err != nil || !found {
		return r, false, err
	}
	if err := json.Unmarshal([]byte(raw), &r); err != nil {
		return r, false, fmt.Errorf("what is remembered of a message: %w", err)
	}
	return r, true, nil
}

func (c *Connector) remember(ctx context.Context, messageID string, r record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.deps.Memory.Remember(ctx, name, recordKey(messageID), string(raw))
}

// thread finds the case that a message belongs to: by what it answers (ours, or
// what has come before), then by the token in its subject. nil: none.
func (c *Connector) thread(ctx context.Context, key []byte, l *letter) (*book.View, error) {
	for _, answered := range l.Answers {
		if id, ours := ownMessageID(key, answered); ours {
			if v, err := c.caseOf(ctx, id, ""); err != nil || v != nil {
				return v, err
			}
		}
		r, found, err := c.recall(ctx, answered)
		if err != nil {
			return nil, err
		}
		if found && r.Callback != "" {
			if v, err := c.caseOf(ctx, r.Callback, r.Ref); err != nil || v != nil {
				return v, err
			}
		}
	}
	if id, ok := subjectToken(key, l.Subject); ok {
		return c.caseOf(ctx, id, "")
	}
	return nil, nil //nolint:nilnil // documented
}

// caseOf is one of our cases; nil: it is none, or is gone.
func (c *Connector) caseOf(ctx context.Context, callbackID, ref string) (*book.View, error) {
	if ref == "" {
		known, found, err := c.deps.Memory.Recall(ctx, name, "case:"+callbackID)
		if err != nil || !found {
			return nil, err
		}
		ref = known
	}
	views, err := c.deps.Desk.Callbacks(ctx, name, ref)
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		if v.State.ID == callbackID {
			return &v, nil
		}
	}
	return nil, nil //nolint:nilnil // documented
}

// join tells the case that the customer came back. What a machine wrote tells nothing.
func (c *Connector) join(ctx context.Context, l *letter, to *book.View) (result, error) {
	id := to.State.ID
	r := record{Callback: id, Ref: to.Intake.Source.Ref, Automatic: l.Automatic != ""}
	if l.Automatic != "" {
		return result{Outcome: Answered, Callback: &id}, c.remember(ctx, l.ID, r)
	}
	if err := c.deps.Desk.CustomerCalled(ctx, name, "mail:"+digest(l.ID), id, l.note()); err != nil {
		return result{}, refusal(err)
	}
	return result{Outcome: Joined, Callback: &id}, c.remember(ctx, l.ID, r)
}

// promise makes the case (R20). after is a closed one that the message belongs to; nil: none.
func (c *Connector) promise(ctx context.Context, l *letter, after *book.View) (result, error) {
	customer, hint := c.customer(l, after)
	// Whether it may be answered is known before the case is, since the answer follows at once.
	if err := c.remember(ctx, l.ID, record{Automatic: l.Automatic != ""}); err != nil {
		return result{}, err
	}
	ref := l.ID
	p := connectors.Promise{
		Policy: c.config.Policy, Customer: customer, Reason: l.reason(hint), AssignTo: c.assignee(l),
		Source: book.Source{System: name, Ref: ref},
	}
	if after != nil {
		p.Parent = after.State.ID
	}
	id, err := c.deps.Desk.Promise(ctx, name, "mail:"+digest(l.ID), p)
	var refused *callback.Fault
	switch {
	case errors.As(err, &refused) && refused.Code == callback.CodeDuplicate && refused.Existing != "":
		id, err = refused.Existing, nil
	case errors.Is(err, callback.Refused(callback.CodeIdempotencyKeyReused)):
		// Promised before, when we would have asked for something else: it is that case.
		if before, lookErr := c.promised(ctx, ref); lookErr != nil || before != "" {
			id, err = before, lookErr
		}
	}
	if err != nil {
		return result{}, refusal(err)
	}
	if err := c.deps.Memory.Remember(ctx, name, "case:"+id, ref); err != nil {
		return result{}, err
	}
	return result{Outcome: Promised, Callback: &id}, c.remember(ctx, l.ID, record{Callback: id, Ref: ref, Automatic: l.Automatic != ""})
}

// promised is the case that we made of a message; empty: none is shown, yet.
func (c *Connector) promised(ctx context.Context, ref string) (string, error) {
	views, err := c.deps.Desk.Callbacks(ctx, name, ref)
	if err != nil {
		return "", err
	}
	for _, v := range views {
		if v.Intake.RequestedBy == "system:"+name {
			return v.State.ID, nil
		}
	}
	return "", nil
}

// refusal tells what passes by itself from what waits for a person.
func refusal(err error) error {
	f := wire.Final(err)
	if f == nil || f.Code == callback.CodeIdempotencyKeyReused || f.Code == callback.CodeInternal || f.Code == callback.CodeClosed {
		return err
	}
	return &unfit{"the desk refuses it: " + f.Error()}
}

// customer is who wrote, with the number to call where that is beyond doubt. The
// hint is for the person who calls.
func (c *Connector) customer(l *letter, after *book.View) (who book.Customer, hint string) {
	who = book.Customer{Ref: plain.Line(l.From.Address, 200), Name: l.From.Name, Email: l.From.Address}
	found := c.numbers(l.Own)
	if len(found) == 0 {
		found = c.numbers(l.Text)
	}
	switch {
	case len(found) == 1:
		who.Phone = found[0]
	case after != nil && strings.EqualFold(after.Intake.Customer.Email, l.From.Address) && after.Intake.Customer.Phone != "" &&
		(len(found) == 0 || slices.Contains(found, after.Intake.Customer.Phone)):
		who.Phone = after.Intake.Customer.Phone
	case len(found) == 0:
		hint = "[No phone number was found in the message.]"
	default:
		hint = "[Several phone numbers were found in the message: " + strings.Join(found[:min(len(found), 5)], ", ") + "]"
	}
	return who, hint
}

// numbers are those in a text that are not the organization's own.
func (c *Connector) numbers(text string) []string {
	found := phone.Find(text, phone.Hints{Regions: c.config.Regions})
	return slices.DeleteFunc(found, func(n string) bool { return c.ours[n] })
}

// assignee is who gets a message that was written to these addresses (R20); empty:
// as the policy says.
func (c *Connector) assignee(l *letter) string {
	for _, to := range l.To {
		if who := c.assign[to]; who != "" && to != everybody {
			return who
		}
	}
	return c.assign[everybody]
}

// limit counts the cases that an address makes.
func (c *Connector) limit(sender string) *rate.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.senders[sender]
	if limit == nil {
		if len(c.senders) >= manySenders {
			clear(c.senders)
		}
		limit = rate.NewLimiter(rate.Every(time.Hour/time.Duration(c.config.MaxPerSender)), c.config.MaxPerSender)
		c.senders[sender] = limit
	}
	return limit
}

// reason is a message as the person who calls reads it.
func (l *letter) reason(hint string) string {
	return l.compose(l.Text, hint, maxReason)
}

// note is a reply as it stands on the timeline: without what it quotes.
func (l *letter) note() string {
	text := l.Own
	if text == "" {
		text = l.Text
	}
	return l.compose(text, "", maxNote)
}

func (l *letter) compose(text, hint string, limit int) string {
	var tail []string
	for _, s := range []string{hint, l.enclosed()} {
		if s != "" {
			tail = append(tail, s)
		}
	}
	end := plain.Cut(strings.Join(tail, "\n"), limit/2)
	head := l.Subject
	if text != "" {
		head = strings.TrimSpace(head + "\n\n" + text)
	}
	if end == "" {
		return plain.Text(head, limit)
	}
	return strings.TrimSpace(plain.Text(head, limit-len(end)-2) + "\n\n" + end)
}

// knownFor is how long what is known of messages counts: a reply to a case that was
// closed longer ago begins one that names none.
const knownFor = callback.Duration(400 * 24 * time.Hour)

// Terms implements connectors.Forgetful.
func (c *Connector) Terms() []book.Term {
	return []book.Term{
		{Connector: name, Prefix: "mail:", Lasts: knownFor}, {Connector: name, Prefix: "case:", Lasts: knownFor}, c.turns.Term(),
	}
}

var _ connectors.Forgetful = (*Connector)(nil)
