package mailbox

import (
	"context"
	"strings"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/smtp"
)

// The desk's own words to whoever wrote.
const (
	standardSubject = "We have received your message"
	standardText    = "Thank you for your message. It has reached the person who will take care of it, and we will call you.\n\n" +
		"If you want to add something, just answer this mail.\n"
	standardWithoutPhone = "Thank you for your message. It has reached the person who will take care of it.\n\n" +
		"We would like to call you, and could not tell from your message at which number. Please answer this mail with the phone number at which you can be reached.\n"
)

// Wants implements connectors.Connector: the cases that mail made, where somebody can be answered.
func (c *Connector) Wants(in book.Intake, _ *callback.Policy) bool {
	return c.answers() && in.Source != nil && in.Source.System == name && in.RequestedBy == "system:"+name && in.Customer.Email != ""
}

func (c *Connector) answers() bool { return c.config.Post != nil && !c.config.Acknowledge.Off }

// Types implements connectors.Connector.
func (c *Connector) Types() []callback.EventType {
	if !c.answers() {
		return nil
	}
	return []callback.EventType{callback.TypeRequested}
}

// Deliver implements connectors.Connector: whoever wrote is told that the message
// has arrived, unless a machine wrote it (RFC 3834). Sent again it has the same
// Message-ID, by which mailboxes drop repeats.
func (c *Connector) Deliver(ctx context.Context, d connectors.Delivery) error {
	if d.Intake.Customer.Email == "" {
		return nil // erased meanwhile
	}
	first, found, err := c.recall(ctx, d.Intake.Source.Ref)
	if err != nil {
		return err
	}
	if !found || first.Automatic || c.own[strings.ToLower(d.Intake.Customer.Email)] {
		return nil
	}
	key, err := c.key(ctx)
	if err != nil {
		return err
	}
	token, err := seal(key, d.Callback.ID)
	if err != nil {
		return &connectors.Owed{Code: connectors.Rejected, Detail: "the callback's id makes no token", Err: err}
	}
	texts := c.config.Acknowledge
	m := smtp.Mail{
		To: d.Intake.Customer.Email, Subject: or(texts.Subject, standardSubject) + " [RB-" + token + "]",
		Text:      or(texts.Text, standardText),
		MessageID: messageID(token, d.OperationID, c.config.Post.Domain()),
	}
	if ref := d.Intake.Source.Ref; !strings.HasPrefix(ref, made) {
		m.InReplyTo, m.References = ref, []string{ref}
	}
	if d.Intake.Customer.Phone == "" {
		m.Text = or(texts.WithoutPhone, standardWithoutPhone)
	}
	return c.config.Post.Send(ctx, m)
}

func or(s, standard string) string {
	if s == "" {
		return standard
	}
	return s
}
