package zohodesk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nyaruka/phonenumbers"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/backlog"
	"ringback/connectors/wire"
)

// patient is how long a hint is tried before it is kept for people.
const patient = 24 * time.Hour

// hinted works off one hint. An error means: try again.
func (z *Zoho) hinted(ctx context.Context, i backlog.Item) error {
	h, ok := parseHint(i.Value)
	if !ok {
		return nil
	}
	err := z.look(ctx, h, false)
	if err != nil && z.deps.Now().Sub(i.Added) > patient {
		return z.keep(ctx, h, "", "it could not be looked at for a day: "+string(wire.OwedAs(err).Code))
	}
	return err
}

// keep keeps a hint for a person; the same occasion is one message.
func (z *Zoho) keep(ctx context.Context, h hint, occasion, reason string) error {
	event := "Task_Update"
	for name, k := range known {
		if k.kind == h.kind && k.how == h.how {
			event = name
		}
	}
	body, err := json.Marshal([]any{map[string]any{"eventType": event, "payload": map[string]string{"id": h.id}}})
	if err != nil {
		return err
	}
	return z.deps.Kept.Keep(ctx, connectors.Message{
		ID:        uuid.NewSHA1(names, []byte("kept:"+z.config.OrgID+":"+h.String()+":"+occasion)).String(),
		Connector: Name, Media: "application/json", Body: body, Reason: reason,
	})
}

// look fetches what a hint is about and does what follows from how it is. The
// error means: try again; replayed, also that it still cannot be done.
func (z *Zoho) look(ctx context.Context, h hint, replayed bool) error {
	callbackID, err := z.recall(ctx, ofKey(h.kind, h.id))
	if err != nil {
		return err
	}
	if callbackID == "" {
		if h.kind == tickets && h.how == "added" && z.config.FromTickets != "" {
			return z.promise(ctx, h, replayed)
		}
		return nil // it is nobody's callback
	}
	defer z.locks.Lock(callbackID)()
	r, err := z.known(ctx, callbackID)
	if err != nil || r == nil || r.ID != h.id {
		return err // its delivery is under way
	}
	i, err := z.fetch(ctx, h.kind, h.id, "")
	if wire.Is(err, connectors.Gone) {
		if r.Closed {
			return nil
		}
		return z.keep(ctx, h, "gone", "the "+h.kind.one()+" of an open callback has been deleted in Zoho Desk: restore it there, or waive what is owed")
	}
	if err != nil {
		return err
	}
	return z.compare(ctx, h, i, r, replayed)
}

// compare does here what somebody did there.
func (z *Zoho) compare(ctx context.Context, h hint, i *item, r *record, replayed bool) error {
	words := z.words[r.Kind]
	closed := i.closed() || i.Status == words[string(callback.StatusCompleted)]
	if r.Status == "" || i.Status == r.Status || i.Status == r.Sending || r.Closed && closed {
		return nil // it is as we wrote it, or not written yet
	}
	working := words[string(callback.StatusInProgress)]
	var did string
	switch {
	case r.Closed:
		return z.putBack(ctx, h, i, r, r.Status, replayed, "this callback is closed and stays so; promise another one")
	case closed && i.Status == words[string(callback.StatusCancelled)] && i.Status != words[string(callback.StatusCompleted)]:
		did = "cancel"
	case closed:
		did = "complete"
	case i.Status == working && working != words[string(callback.StatusQueued)] && working != words[string(callback.StatusClaimed)]:
		did = "start"
	default:
		return nil // a status of their own that is no end
	}
	by, err := z.by(ctx, i)
	if err != nil {
		return err
	}
	who, err := z.staffOf(ctx, by)
	if err != nil {
		return err
	}
	if who == "" {
		return z.putBack(ctx, h, i, r, r.Status, replayed, "nobody of the staff has the identity of whoever changed it, or whose it is")
	}
	d := deed{zoho: z, who: who, record: r, item: i}
	truly, err := d.do(ctx, did)
	fault := wire.Final(err)
	switch {
	case err == nil:
		return nil
	case fault == nil:
		return err
	case fault.Code == callback.CodeClosed, fault.Code == callback.CodeIdempotencyKeyReused:
		return nil // it is done already
	}
	return z.putBack(ctx, h, i, r, truly, replayed, string(fault.Code)+": "+fault.Detail)
}

// deed is what somebody did there, to be done here in their name.
type deed struct {
	zoho   *Zoho
	who    string
	record *record
	item   *item
}

// do gives the commands, and says what the true status there is if they are refused.
// Whoever completes what they did not take or start, or what is held, takes it,
// starts it, lets its clock go on: they have evidently worked it.
func (d *deed) do(ctx context.Context, did string) (truly string, err error) {
	truly = d.record.Status
	body := map[string]any{}
	switch did {
	case "complete":
		if reason := d.zoho.reasonOf(d.item); reason != "" {
			body["resolution_reason"] = reason
		}
		if summary, _ := d.item.Fields[d.zoho.config.SummaryField].(string); strings.TrimSpace(summary) != "" {
			body["call_summary"] = summary
		}
	case "cancel":
		body["reason"] = "Set to " + d.item.Status + " in Zoho Desk."
	}
	err = d.give(ctx, did, body)
	if errors.Is(err, callback.Refused(callback.CodeHeld)) {
		if err := d.give(ctx, "resume", nil); err != nil {
			return truly, err
		}
		err = d.give(ctx, did, body)
	}
	if errors.Is(err, callback.Refused(callback.CodeNotClaimed)) {
		if err := d.give(ctx, "claim", nil); err != nil {
			return truly, err
		}
		err = d.give(ctx, did, body)
	}
	if errors.Is(err, callback.Refused(callback.CodeNotStarted)) {
		if err := d.give(ctx, "start", nil); err != nil {
			return truly, err
		}
		truly = d.zoho.words[d.record.Kind][string(callback.StatusInProgress)]
		err = d.give(ctx, did, body)
	}
	return truly, err
}

// give gives one command; the same change there gives it once.
func (d *deed) give(ctx context.Context, name string, body map[string]any) error {
	var sent any
	if len(body) > 0 {
		sent = body
	}
	key := strings.Join([]string{string(d.record.Kind), d.record.ID, name, d.item.occasion()}, ":")
	return d.zoho.deps.Desk.Do(ctx, key, d.who, d.record.Callback, name, sent)
}

// occasion tells one change there from the next.
func (i *item) occasion() string { return strconv.FormatInt(i.ModifiedTime.UnixMilli(), 10) }

// reasonOf is the resolution reason that was chosen there, in our codes.
func (z *Zoho) reasonOf(i *item) string {
	value, _ := i.Fields[z.config.ResolutionField].(string)
	value = strings.TrimSpace(value)
	if code, mapped := z.config.ResolutionReasons[value]; mapped {
		return code
	}
	if value != "" {
		return value // our code itself, or the desk refuses it
	}
	return z.config.DefaultReason
}

// putBack gives a task or ticket its true status again, says there why, and keeps
// the message for a person (R18).
func (z *Zoho) putBack(ctx context.Context, h hint, i *item, r *record, truly string, replayed bool, why string) error {
	if err := z.keep(ctx, h, i.occasion(), "what was done in Zoho Desk cannot be done here: "+why); err != nil {
		return err
	}
	operation := uuid.NewSHA1(names, []byte("back:"+r.Callback+":"+i.occasion())).String()
	_, first, err := z.deps.Memory.Claim(ctx, Name, "back:"+operation, "")
	if err != nil {
		return err
	}
	text := fmt.Sprintf("Set back to %s by Ringback, which could not do the same: %s", truly, why)
	if err := z.comment(ctx, r, operation, !first, text); err != nil {
		return err
	}
	if r.Sending = truly; truly != r.Status {
		if err := z.save(ctx, r); err != nil {
			return err
		}
	}
	if err := z.patch(ctx, r, map[string]any{"status": truly}); err != nil {
		return err
	}
	r.Status, r.Sending = truly, ""
	if err := z.save(ctx, r); err != nil {
		return err
	}
	if err := z.deps.Memory.Forget(ctx, Name, "back:"+operation); err != nil {
		return err
	}
	if replayed {
		return errors.New("what was done in Zoho Desk cannot be done here: " + why)
	}
	return nil
}

// promise makes a callback of a ticket that was added there (R20).
func (z *Zoho) promise(ctx context.Context, h hint, replayed bool) error {
	t, err := z.fetch(ctx, tickets, h.id, "?include=contacts")
	if wire.Is(err, connectors.Gone) {
		return nil
	}
	if err != nil {
		return err
	}
	if string(t.DepartmentID) != z.config.TicketsDepartmentID || t.closed() || strings.Contains(t.Subject, "(RB-") {
		return nil // another department's, done, or one that we made
	}
	_, err = z.deps.Desk.Promise(ctx, Name, "ticket:"+h.id, connectors.Promise{
		Policy: z.config.FromTickets, Customer: z.customer(t), Reason: t.Subject,
		Source: book.Source{System: Name, Ref: h.id, URL: t.WebURL},
	})
	fault := wire.Final(err)
	switch {
	case err == nil, fault != nil && fault.Code == callback.CodeDuplicate:
		return nil
	case fault == nil, fault.Code == callback.CodeIdempotencyKeyReused:
		return err // the second: promised a moment ago, when the ticket was different
	}
	reason := "the desk refuses it (" + string(fault.Code) + "): " + fault.Detail
	if err := z.keep(ctx, h, "", reason); err != nil {
		return err
	}
	if replayed {
		return errors.New(reason)
	}
	return nil
}

// customer is whose ticket it is.
func (z *Zoho) customer(t *item) book.Customer {
	c := book.Customer{Email: t.Email}
	numbers := []string{t.Phone}
	if t.Contact != nil {
		c.Ref = string(t.Contact.ID)
		c.Name = strings.TrimSpace(t.Contact.FirstName + " " + t.Contact.LastName)
		if c.Email == "" {
			c.Email = t.Contact.Email
		}
		numbers = append(numbers, t.Contact.Phone, t.Contact.Mobile)
	}
	for _, s := range numbers {
		n, err := phonenumbers.Parse(s, z.config.DefaultRegion)
		if err == nil && phonenumbers.IsValidNumber(n) {
			c.Phone = phonenumbers.Format(n, phonenumbers.E164)
			break
		}
	}
	if c.Name == "" {
		c.Name = c.Email
	}
	return c
}
