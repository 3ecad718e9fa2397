package notice

import (
	"cmp"
	"context"
	"strings"
	"time"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/smtp"
	"ringback/connectors/wire"
)

// standardSubject is that of mail to customers.
const standardSubject = "News about the call that we promised you"

// Customers tells customers that an outage is over, in the words that were given for it
// (R23). It is a connector of its own: a customer's address that is refused is owed,
// and holds up nobody's notices.
type Customers struct {
	config Config
	deps   connectors.Deps
}

// NewCustomers checks the same configuration as New.
func NewCustomers(c Config, deps connectors.Deps) (*Customers, error) {
	if _, err := New(c, deps); err != nil {
		return nil, err
	}
	return &Customers{c, wire.Complete(deps)}, nil
}

// Name implements connectors.Connector.
func (c *Customers) Name() string { return name + ":customers" }

// Wants implements connectors.Connector.
func (c *Customers) Wants(in book.Intake, _ *callback.Policy) bool { return in.Customer.Email != "" }

// Types implements connectors.Connector.
func (c *Customers) Types() []callback.EventType { return []callback.EventType{callback.TypeResumed} }

// Deliver implements connectors.Connector.
func (c *Customers) Deliver(ctx context.Context, d connectors.Delivery) error {
	resumed, is := d.Event.Fact.(*callback.Resumed)
	if !is || resumed.Outage == "" || d.Outage == nil || strings.TrimSpace(d.Outage.EndWords) == "" || d.Intake.Customer.Email == "" {
		return nil
	}
	if d.Latest != nil && d.Latest.Status.Closed() {
		return nil // nobody is going to call any more
	}
	told := "told:" + d.OperationID
	if d.Again {
		if _, found, err := c.deps.Memory.Recall(ctx, c.Name(), told); err != nil || found {
			return err
		}
	}
	err := c.config.Post.Send(ctx, smtp.Mail{
		To: d.Intake.Customer.Email, Subject: cmp.Or(c.config.CustomerSubject, standardSubject), Text: strings.TrimSpace(d.Outage.EndWords) + "\n",
		MessageID: "notice." + d.OperationID + "@" + c.config.Post.Domain(),
	})
	if err != nil {
		return err
	}
	return c.deps.Memory.Remember(ctx, c.Name(), told, callback.At(c.deps.Now()).String())
}

// toldFor is how long a notice whose arrival was not noted is not sent again.
const toldFor = callback.Duration(60 * 24 * time.Hour)

// Terms implements connectors.Forgetful.
func (c *Customers) Terms() []book.Term {
	return []book.Term{{Connector: c.Name(), Prefix: "told:", Lasts: toldFor}}
}

var _ connectors.Forgetful = (*Customers)(nil)
