package freshdesk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
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

// maxHook is the size of a hint, in bytes: an id and some words about it.
const maxHook = 64 << 10

// patient is how long a hint is tried before it is kept for people.
const patient = 24 * time.Hour

// Receive implements connectors.Inbound: POST /v1/inbound/freshdesk. The hint is
// durable when it is answered, and worked off by Run.
func (f *Freshdesk) Receive(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		wire.Refuse(w, &callback.Fault{Code: callback.CodeMethodNotAllowed, Detail: "hooks are posted"})
		return
	}
	if !wire.Same(r.Header.Get("X-Ringback-Token"), f.config.WebhookToken) {
		wire.Refuse(w, &callback.Fault{Code: callback.CodeUnauthenticated, Detail: "expected the token of this hook in X-Ringback-Token"})
		return
	}
	if fault := connectors.Proven(r.Context()); fault != nil {
		wire.Refuse(w, fault)
		return
	}
	body, fault := wire.Body(r, maxHook)
	if fault != nil {
		wire.Refuse(w, fault)
		return
	}
	var err error
	if ticket, understood := parseHint(body); understood {
		err = f.hints.Add(r.Context(), ticket)
	} else {
		err = f.deps.Kept.Keep(r.Context(), connectors.Message{
			Connector: Name, Media: r.Header.Get("Content-Type"), Body: body,
			Reason: "expected JSON with ticket_id, the number of a ticket",
		})
	}
	if err != nil {
		f.log(r.Context(), "a hint of Freshdesk could not be written down", err)
		wire.Refuse(w, &callback.Fault{Code: callback.CodeUnavailable, Detail: "it could not be written down: send it again"})
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// parseHint reads {"ticket_id": …}, a number or a string; what else is there is
// the automation's own.
func parseHint(body []byte) (ticket string, understood bool) {
	var hint struct {
		TicketID wire.ID `json:"ticket_id"`
	}
	if err := json.Unmarshal(body, &hint); err != nil {
		return "", false
	}
	// Ids are 64 bits wide there.
	if _, err := strconv.ParseInt(string(hint.TicketID), 10, 64); err != nil {
		return "", false
	}
	return string(hint.TicketID), true
}

// Replay implements connectors.Replayer.
func (f *Freshdesk) Replay(ctx context.Context, m connectors.Message) error {
	ticket, understood := parseHint(m.Body)
	if !understood {
		return errors.New("expected JSON with ticket_id, the number of a ticket")
	}
	return f.understand(ctx, ticket)
}

// undoable is a ticket that cannot become a callback, and why.
type undoable struct{ reason string }

func (u *undoable) Error() string { return u.reason }

// hinted works off one hint. An error means: try again.
func (f *Freshdesk) hinted(ctx context.Context, hint backlog.Item) error {
	err := f.understand(ctx, hint.Value)
	if err != nil && f.deps.Now().Sub(hint.Added) > patient {
		err = &undoable{"it could not be looked at for a day: " + string(wire.OwedAs(err).Code)}
	}
	return f.keep(ctx, hint.Value, err)
}

// keep keeps what cannot be done, for a person; one message for one ticket.
func (f *Freshdesk) keep(ctx context.Context, ticket string, err error) error {
	var u *undoable
	if !errors.As(err, &u) {
		return err
	}
	body, err := json.Marshal(map[string]string{"ticket_id": ticket})
	if err != nil {
		return err
	}
	return f.deps.Kept.Keep(ctx, connectors.Message{
		ID:        uuid.NewSHA1(uuid.NameSpaceURL, []byte("ringback:freshdesk:"+f.config.URL+":"+ticket)).String(),
		Connector: Name, Media: "application/json", Body: body, Reason: u.reason,
	})
}

// understand looks at a ticket and does what follows from how it is. The error
// is an *undoable, or means: try again.
func (f *Freshdesk) understand(ctx context.Context, id string) error {
	defer f.tickets.Lock(id)()
	t, err := f.ticket(ctx, id)
	if wire.Is(err, connectors.Gone) {
		return nil // its deliveries say so, where there are any
	}
	if err != nil {
		return err
	}
	seen, err := f.look(ctx, t)
	if err != nil {
		return err
	}
	for _, callbackID := range seen.bare {
		if err := f.missing(ctx, callbackID); err != nil {
			return err
		}
	}
	switch {
	case seen.promise:
		return f.promise(ctx, t, seen.queue, seen.before)
	case seen.leaves:
		return f.deps.Memory.Remember(ctx, Name, leftKey(id), "")
	case seen.enters:
		return f.deps.Memory.Forget(ctx, Name, leftKey(id))
	}
	return nil
}

// sight is what follows from how a ticket is.
type sight struct {
	// bare are the open callbacks whose tag is missing although it was put on.
	bare []string
	// promise: it is to become a callback in that queue; before are how many there were.
	promise bool
	queue   string
	before  int
	// leaves and enters: what is remembered of where it is must change.
	leaves, enters bool
}

func (s *sight) nothing() bool { return len(s.bare) == 0 && !s.promise && !s.leaves && !s.enters }

// look compares a ticket with the desk. A ticket that was a callback already stays
// in its group when that is done: it is one again only if it has left the groups,
// which is remembered, and enters again.
func (f *Freshdesk) look(ctx context.Context, t *ticket) (sight, error) {
	id := string(t.ID)
	views, err := f.deps.Desk.Callbacks(ctx, Name, id)
	if err != nil {
		return sight{}, err
	}
	s := sight{before: len(views)}
	queue, inside := f.queues[t.GroupID]
	s.queue = queue
	open := false
	for _, v := range views {
		if v.State.Status.Closed() {
			continue
		}
		open = open || v.Intake.Policy == f.config.Policy
		bare := func(tag string) bool { return !wearing(t.Tags, tag) }
		if v.State.CallbackRequired && slices.ContainsFunc(v.State.Tags, bare) {
			_, worn, err := f.deps.Memory.Recall(ctx, Name, wornKey(v.State.ID))
			if err != nil {
				return sight{}, err
			}
			if worn {
				s.bare = append(s.bare, v.State.ID)
			}
		}
	}
	if f.config.Policy == "" || len(views) == 0 {
		s.promise = f.config.Policy != "" && inside && !t.done()
		return s, nil
	}
	_, left, err := f.deps.Memory.Recall(ctx, Name, leftKey(id))
	s.leaves = !inside && !left
	s.enters = inside && left && open
	s.promise = inside && left && !open && !t.done()
	return s, err
}

func leftKey(ticket string) string { return "left:" + ticket }

// missing tells the desk once that a tag was taken off by hand; it is put back
// by a delivery, after which it can be missing again (R09).
func (f *Freshdesk) missing(ctx context.Context, callbackID string) error {
	through, _, err := f.deps.Memory.Recall(ctx, Name, wornKey(callbackID))
	if err != nil {
		return err
	}
	err = f.deps.Desk.TagMissing(ctx, Name, callbackID)
	if err != nil && !errors.Is(err, callback.Refused(callback.CodeClosed)) {
		return refused(err)
	}
	// Unless it has been put back meanwhile.
	if now, worn, err := f.deps.Memory.Recall(ctx, Name, wornKey(callbackID)); err != nil || !worn || now != through {
		return err
	}
	return f.deps.Memory.Forget(ctx, Name, wornKey(callbackID))
}

// promise makes a callback of a ticket (R03).
func (f *Freshdesk) promise(ctx context.Context, t *ticket, queue string, before int) error {
	id := string(t.ID)
	phone, found := f.phone(t.Requester.Phone, t.Requester.Mobile)
	if !found {
		return &undoable{"the ticket's requester has no phone number that can be called: give them one in Freshdesk, in international form, and replay this"}
	}
	name := strings.TrimSpace(t.Requester.Name)
	if name == "" {
		name = "(no name)"
	}
	lob, _ := t.Custom[f.config.LOBField].(string)
	_, err := f.deps.Desk.Promise(ctx, Name, "ticket:"+id+":"+strconv.Itoa(before), connectors.Promise{
		Policy:   f.config.Policy,
		Customer: book.Customer{Ref: string(t.Requester.ID), Name: name, Phone: phone, Email: t.Requester.Email},
		Reason:   t.Subject, LOB: lob, Queue: queue,
		Source: book.Source{System: Name, Ref: id, URL: strings.TrimRight(f.config.URL, "/") + "/a/tickets/" + id},
	})
	switch {
	case errors.Is(err, callback.Refused(callback.CodeIdempotencyKeyReused)):
		return err // promised a moment ago, when the ticket was different: it will show
	case err != nil && !errors.Is(err, callback.Refused(callback.CodeDuplicate)):
		return refused(err)
	}
	return f.deps.Memory.Forget(ctx, Name, leftKey(id))
}

// refused makes an *undoable of what the desk will refuse again.
func refused(err error) error {
	if fault := wire.Final(err); fault != nil {
		return &undoable{"the desk refuses it (" + string(fault.Code) + "): " + fault.Detail}
	}
	return err
}

// phone is the first number that is one, in E.164.
func (f *Freshdesk) phone(given ...string) (string, bool) {
	for _, s := range given {
		n, err := phonenumbers.Parse(s, f.config.DefaultRegion)
		if err == nil && phonenumbers.IsValidNumber(n) {
			return phonenumbers.Format(n, phonenumbers.E164), true
		}
	}
	return "", false
}
