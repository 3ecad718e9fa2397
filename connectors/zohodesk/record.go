package zohodesk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
)

// record is what we know of a callback's task or ticket: which it is, and what
// we wrote there last. There is no upsert in Zoho Desk, so the map is ours.
type record struct {
	Callback string `json:"callback"`
	Kind     kind   `json:"kind"`
	ID       string `json:"id"`
	sent
	// Sending is a status that is about to be written, or was: what shows there is
	// then no news.
	Sending string `json:"sending,omitempty"`
	// Closed: what we wrote last was the end.
	Closed bool `json:"closed,omitempty"`
}

// sent are the members that we write.
type sent struct {
	Status string `json:"status"`
	Owner  string `json:"owner"`
	Due    string `json:"due"`
}

func recordKey(callbackID string) string { return "record:" + callbackID }

func ofKey(k kind, id string) string { return "of:" + string(k) + ":" + id }

// known returns the record of a callback; nil: there is none yet.
func (z *Zoho) known(ctx context.Context, callbackID string) (*record, error) {
	said, err := z.recall(ctx, recordKey(callbackID))
	if err != nil || said == "" {
		return nil, err
	}
	var r record
	if err := json.Unmarshal([]byte(said), &r); err != nil {
		return nil, fmt.Errorf("what is remembered of a callback cannot be read: %w", err)
	}
	return &r, nil
}

func (z *Zoho) save(ctx context.Context, r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return z.deps.Memory.Remember(ctx, Name, recordKey(r.Callback), string(b))
}

// find returns the record of a delivery's callback; where there is none, its task
// or ticket is looked for if it may have been made, and else made.
func (z *Zoho) find(ctx context.Context, d *connectors.Delivery, k kind) (*record, error) {
	id := d.Callback.ID
	r, err := z.known(ctx, id)
	if err != nil || r != nil {
		return r, err
	}
	state := d.Latest
	if state.Status.Closed() {
		state = d.Callback // its end is written when its turn comes
	}
	r = &record{Callback: id, Kind: k}
	if r.sent, err = z.wanted(ctx, k, state); err != nil {
		return nil, err
	}
	if source := sourceTicket(d.Intake); k == tickets && source != "" {
		r.ID, r.sent = source, sent{}
		return r, z.adopt(ctx, r)
	}
	making, err := json.Marshal(r.sent)
	if err != nil {
		return nil, err
	}
	before, first, err := z.deps.Memory.Claim(ctx, Name, makingKey(id), string(making))
	if err != nil {
		return nil, err
	}
	if !first || d.Again {
		made, err := z.lookFor(ctx, k, id, d.Intake.RequestedAt.Time)
		if err != nil {
			return nil, err
		}
		if made != nil {
			r.ID = string(made.ID)
			wanted := r.Status
			r.sent = asMade(before, first)
			if made.closed() {
				r.Status = wanted // not over what somebody did there meanwhile: a poll finds it
			}
		} else if err := z.deps.Memory.Remember(ctx, Name, makingKey(id), string(making)); err != nil {
			return nil, err
		}
	}
	if r.ID == "" {
		var made item
		if err := z.call(ctx, http.MethodPost, "/"+string(k), z.body(d, r), &made); err != nil {
			return nil, err
		}
		if r.ID = string(made.ID); r.ID == "" {
			return nil, &connectors.Owed{Code: connectors.Unavailable, Detail: "Zoho Desk did not say which " + k.one() + " it made"}
		}
	}
	return r, z.adopt(ctx, r)
}

// makingKey is where it is remembered what a task or ticket is made with, until it is known.
func makingKey(callbackID string) string { return "making:" + callbackID }

// asMade is what something was made with whose making was not answered: what somebody has
// done there since is then seen, and not overwritten (R18). Where that is not known it is
// written again, to be sure.
func asMade(before string, first bool) sent {
	var made sent
	if first || json.Unmarshal([]byte(before), &made) != nil {
		return sent{}
	}
	return made
}

// adopt writes the map, in both directions: the way back first, since without
// the other one it is made again.
func (z *Zoho) adopt(ctx context.Context, r *record) error {
	if err := z.deps.Memory.Remember(ctx, Name, ofKey(r.Kind, r.ID), r.Callback); err != nil {
		return err
	}
	if r.Kind == tickets {
		if err := z.watched.Add(ctx, r.Callback); err != nil {
			return err
		}
	}
	if err := z.save(ctx, r); err != nil {
		return err
	}
	return z.deps.Memory.Forget(ctx, Name, makingKey(r.Callback))
}

// marker is in the subject of what is made for a callback: by it, it is found again.
func marker(callbackID string) string {
	return "RB-" + callbackID[strings.LastIndexByte(callbackID, '-')+1:]
}

// lookFor looks for what may have been made, among the newest: the list is exact
// where search is behind. nil: it was not made.
func (z *Zoho) lookFor(ctx context.Context, k kind, callbackID string, since time.Time) (*item, error) {
	for page := range 50 {
		found, err := z.list(ctx, k, "-createdTime", page)
		if err != nil {
			return nil, err
		}
		for n := range found {
			if strings.Contains(found[n].Subject, marker(callbackID)) {
				return &found[n], nil
			}
		}
		if len(found) < pageSize || found[len(found)-1].CreatedTime.Before(since.Add(-skew)) {
			break
		}
	}
	return nil, nil //nolint:nilnil // documented
}

const (
	pageSize = 100
	// skew is how far Zoho's clock may be from ours.
	skew = 5 * time.Minute
)

// list returns a page of the department's, counted from 0. Whether `from` counts
// from 0 or 1 is not said the same way everywhere: a page may begin with the
// last of the one before.
func (z *Zoho) list(ctx context.Context, k kind, sortBy string, page int) ([]item, error) {
	q := url.Values{"departmentId": {z.department(k)}, "limit": {fmt.Sprint(pageSize)}, "sortBy": {sortBy}}
	if page > 0 {
		q.Set("from", fmt.Sprint(page*pageSize))
	}
	var found struct {
		Data []item `json:"data"`
	}
	return found.Data, z.call(ctx, http.MethodGet, "/"+string(k)+"?"+q.Encode(), nil, &found)
}

func (z *Zoho) department(k kind) string {
	if k == tickets {
		return z.config.TicketsDepartmentID
	}
	return z.config.DepartmentID
}

// wanted is what should be written of a callback in that state. Whose assignee has
// no identity there is nobody's: it is not given to somebody else (R13).
func (z *Zoho) wanted(ctx context.Context, k kind, c *callback.Callback) (sent, error) {
	ours := string(c.Status)
	if c.Held() {
		ours = statusHeld
	}
	w := sent{Status: z.words[k][ours]}
	if !c.DueAt.IsZero() {
		w.Due = c.DueAt.String()
	}
	var err error
	w.Owner, err = z.agentOf(ctx, c.Assignee)
	return w, err
}

// members are what must be written so that it is as wanted; an empty owner is nobody.
func (w sent) members(k kind, before sent) map[string]any {
	owner := "ownerId"
	if k == tickets {
		owner = "assigneeId"
	}
	m := map[string]any{}
	if w.Status != before.Status {
		m["status"] = w.Status
	}
	if w.Due != before.Due {
		m["dueDate"] = w.Due
	}
	if w.Owner != before.Owner {
		m[owner] = nil
		if w.Owner != "" {
			m[owner] = w.Owner
		}
	}
	return m
}

// body is what a task or ticket is made of.
func (z *Zoho) body(d *connectors.Delivery, r *record) map[string]any {
	b := r.members(r.Kind, sent{})
	b["departmentId"] = z.department(r.Kind)
	title := d.Intake.Policy
	if d.Policy != nil && d.Policy.Title != "" {
		title = d.Policy.Title
	}
	about, who := title, d.Intake.Customer
	var told []string
	tell := func(what, said string) {
		if said != "" {
			told = append(told, what+": "+said)
		}
	}
	if !z.config.WithholdCustomer {
		about = who.Name + ", " + title
		tell("Customer", who.Name)
		tell("Phone", who.Phone)
		tell("E-mail", who.Email)
		tell("Reason", d.Intake.Reason)
	}
	tell("Queue", d.Callback.Queue)
	tell("Ringback", r.Callback)
	b["subject"] = cut("Call back: "+about, 200) + " (" + marker(r.Callback) + ")"
	b["description"] = cut(strings.Join(told, "\n"), 30_000)
	if z.config.CallbackField != "" {
		b["cf"] = map[string]any{z.config.CallbackField: r.Callback}
	}
	switch r.Kind {
	case tasks:
		if source := sourceTicket(d.Intake); source != "" {
			b["ticketId"] = source
		}
	case tickets:
		b["contact"] = z.contact(who)
	}
	return b
}

// contact is whose ticket it is; Zoho Desk finds it again by its address.
func (z *Zoho) contact(who book.Customer) map[string]any {
	if z.config.WithholdCustomer {
		return map[string]any{"lastName": "Customer"}
	}
	c := map[string]any{"lastName": cut(who.Name, 100)}
	if who.Email != "" {
		c["email"] = who.Email
	}
	if who.Phone != "" {
		c["phone"] = who.Phone
	}
	return c
}

// cut shortens a text to at most n bytes, at the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "…"
}

// write brings what is there to what is wanted; more goes with it. What is about to
// be written is remembered before, so that it is not taken for somebody's doing.
func (z *Zoho) write(ctx context.Context, r *record, w sent, more map[string]any, closed bool) error {
	theirs := false
	if r.Sending != "" && !closed {
		var err error
		if theirs, err = z.arrived(ctx, r); err != nil {
			return err
		}
	}
	m := w.members(r.Kind, r.sent)
	if theirs {
		delete(m, "status") // what follows from theirs, look finds out
	}
	for name, value := range more {
		m[name] = value
	}
	if len(m) == 0 && r.Closed == closed {
		return nil
	}
	if r.Sending = w.Status; w.Status != r.Status {
		if err := z.save(ctx, r); err != nil {
			return err
		}
	}
	if len(m) > 0 {
		if err := z.patch(ctx, r, m); err != nil {
			return err
		}
	}
	r.sent, r.Sending, r.Closed = w, "", closed
	return z.save(ctx, r)
}

// arrived finds out what became of a status whose writing was not answered: it may
// be there, and somebody may have given another since, which is theirs and stays.
func (z *Zoho) arrived(ctx context.Context, r *record) (theirs bool, err error) {
	i, err := z.fetch(ctx, r.Kind, r.ID, "")
	if err != nil {
		return false, err
	}
	switch i.Status {
	case r.Status:
	case r.Sending:
		r.Status = r.Sending
	default:
		return true, nil
	}
	return false, nil
}

// patch changes members there, and learns as whom.
func (z *Zoho) patch(ctx context.Context, r *record, members map[string]any) error {
	var now item
	if err := z.call(ctx, http.MethodPatch, "/"+string(r.Kind)+"/"+r.ID, members, &now); err != nil {
		return goneAs(r.Kind, err)
	}
	if now.ModifiedBy == nil || now.ModifiedBy.ID == "" {
		return nil
	}
	return z.learn(ctx, string(now.ModifiedBy.ID))
}

// learn remembers which agent we are there.
func (z *Zoho) learn(ctx context.Context, agent string) error {
	z.mu.Lock()
	known := z.me == agent
	z.me = agent
	z.mu.Unlock()
	if known {
		return nil
	}
	return z.deps.Memory.Remember(ctx, Name, "me", agent)
}

// by are who may have done what was done last: whoever it says; or, where it says
// nothing, or us, whose it is.
func (z *Zoho) by(ctx context.Context, i *item) ([]string, error) {
	z.mu.Lock()
	me := z.me
	z.mu.Unlock()
	if me == "" {
		var err error
		if me, err = z.recall(ctx, "me"); err != nil {
			return nil, err
		}
	}
	if i.ModifiedBy != nil && i.ModifiedBy.ID != "" && string(i.ModifiedBy.ID) != me {
		return []string{string(i.ModifiedBy.ID)}, nil
	}
	return []string{string(i.OwnerID), string(i.AssigneeID)}, nil
}

const (
	// recordsFor is how long what is done to the task or ticket of a closed callback is
	// noticed, and put back.
	recordsFor = callback.Duration(400 * 24 * time.Hour)
	// backsFor is how long a comment is looked for before it is written again.
	backsFor = callback.Duration(30 * 24 * time.Hour)
)

// Terms implements connectors.Forgetful.
func (z *Zoho) Terms() []book.Term {
	return []book.Term{
		{Connector: Name, Prefix: recordKey(""), Lasts: recordsFor}, {Connector: Name, Prefix: "of:", Lasts: recordsFor},
		{Connector: Name, Prefix: "back:", Lasts: backsFor},
	}
}

var _ connectors.Forgetful = (*Zoho)(nil)
