package servicebench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/phone"
	"ringback/connectors/wire"
)

// Outcome is what became of one exception that came in.
type Outcome string

// The outcomes.
const (
	// Promised: it is a callback now.
	Promised Outcome = "promised"
	// Duplicate: a callback for the same job and type is open; none was made (R14).
	Duplicate Outcome = "duplicate"
	// Updated: what is known of it is newer now.
	Updated Outcome = "updated"
	// CompletedHere: its callback is closed now, or was already (R18).
	CompletedHere Outcome = "completed"
	// Unchanged: it was known as it is. Stale: something newer is known.
	Unchanged Outcome = "unchanged"
	Stale     Outcome = "stale"
	// Ignored: there is nothing to do: it was complete when it came first.
	Ignored Outcome = "ignored"
	// KeptBack: it was kept with its reason, and can be replayed after a fix.
	KeptBack Outcome = "kept"
)

// result is an outcome with the callback that it is about.
type result struct {
	Outcome  Outcome `json:"outcome"`
	Callback *string `json:"callback"`
	Reason   *string `json:"reason"`
}

// unfit is why an exception cannot be made, or done, what it should; nothing personal is in it.
type unfit struct{ reason string }

func (u *unfit) Error() string { return u.reason }

func unfitFor(format string, args ...any) error { return &unfit{fmt.Sprintf(format, args...)} }

// known is what is remembered of one exception.
type known struct {
	UpdatedAt callback.Instant `json:"updated_at"`
	Status    Status           `json:"status"`
	Callback  string           `json:"callback,omitempty"`
	// Ref is the exception whose callback it is, where that is another one of the same job (R14).
	Ref string `json:"ref,omitempty"`
	// Round counts how often it was opened again after Complete.
	Round int `json:"round,omitempty"`
}

// holder is the exception that has a job: while it is open, none of the same job and type is made.
type holder struct {
	ExceptionID string           `json:"exception_id"`
	At          callback.Instant `json:"at"`
}

const (
	// ahead is how far in the future an update may have been made: clocks differ, but
	// one that is far ahead would overrule every later one.
	ahead = 10 * time.Minute
	// holding is how long a job is taken by an exception that has no callback yet.
	holding = time.Minute
	// rounds bounds how often one message is decided upon where others change the same.
	rounds = 5
)

// take does what an exception asks for. An *unfit error says why it cannot be
// done; any other: try again.
func (c *Connector) take(ctx context.Context, x *Exception) (result, error) {
	allowed := false
	for _, s := range c.sources {
		allowed = allowed || s == x.Source
	}
	if !allowed {
		return result{}, unfitFor("source: it is none of those that are configured")
	}
	if x.UpdatedAt.After(c.deps.Now().Add(ahead)) {
		return result{}, unfitFor("updated_at: it lies in the future; a wrong offset?")
	}
	key := "exception:" + digest(x.Source, x.ExceptionID)
	defer c.locks.Lock(key)()
	r := register[known]{c.deps.Memory, key}
	for range rounds {
		was, at, err := r.load(ctx)
		if err != nil {
			return result{}, err
		}
		next, done, problem, err := c.decide(ctx, x, was, at.number)
		if err != nil {
			return result{}, err
		}
		if next != was {
			stored, err := r.store(ctx, at, next)
			if err != nil {
				return result{}, err
			}
			if !stored {
				continue // somebody else did something with it: look again
			}
		}
		if next.Callback != "" {
			done.Callback = &next.Callback
		}
		return done, problem
	}
	return result{}, errors.New("too many changes at once")
}

// decide does what x asks for, given what was known; number 0: nothing was. The
// problem is an *unfit that leaves something to remember.
func (c *Connector) decide(ctx context.Context, x *Exception, was known, number int) (next known, done result, problem, err error) {
	next = was
	switch {
	case number > 0 && x.UpdatedAt.Before(was.UpdatedAt.Time):
		return was, result{Outcome: Stale}, nil, nil
	case number > 0 && x.UpdatedAt == was.UpdatedAt && (was.Status == Complete || x.Status != Complete):
		// Repeated; but what could not be completed before may be possible now.
		done = result{Outcome: Unchanged}
		if x.Status == Complete && was.Status == Complete && was.Callback != "" && was.Ref == "" {
			done.Outcome, problem, err = c.complete(ctx, x, was.Callback)
		}
		return was, done, problem, err
	}
	next.UpdatedAt, next.Status = x.UpdatedAt, x.Status
	if x.Status == Complete && was.Callback == "" {
		// A person may have made one for it.
		if next.Callback, err = c.openOf(ctx, x.Source, x.ExceptionID); err != nil {
			return was, done, nil, err
		}
	}
	before := was.Callback
	reopened := was.Status == Complete && x.Status != Complete
	switch {
	case x.Status == Complete && next.Callback == "":
		return next, result{Outcome: Ignored}, nil, nil
	case x.Status == Complete && was.Ref != "":
		// The other exception of the job goes on.
		return next, result{Outcome: Updated}, nil, nil
	case x.Status == Complete:
		done.Outcome, problem, err = c.complete(ctx, x, next.Callback)
		return next, done, problem, err
	case was.Callback != "" && !reopened:
		return next, result{Outcome: Updated}, nil, nil
	}
	if reopened {
		next.Round++
	}
	next.Callback, next.Ref = "", ""
	done.Outcome, err = c.promise(ctx, x, &next, before)
	var no *unfit
	if errors.As(err, &no) {
		// Nothing is remembered: once it can be routed it is as new.
		return was, done, err, nil
	}
	return next, done, nil, err
}

// promise makes the callback, or finds the one there is (R14); before is the one of
// the round before, empty: none.
func (c *Connector) promise(ctx context.Context, x *Exception, next *known, before string) (Outcome, error) {
	route, ok := c.route(x)
	if !ok {
		return "", unfitFor("no route matches its exception_type and user_id (R14)")
	}
	if x.Customer.Name == "" {
		return "", unfitFor("customer.name: is required to make a callback")
	}
	number, others, ok := c.reach(x)
	if !ok {
		return "", unfitFor("customer.phones: none is a phone number that exists; one without a country code needs regions, or the customer's time zone")
	}
	open, err := c.openOf(ctx, x.Source, x.ExceptionID)
	if err != nil {
		return "", err
	}
	if open != "" {
		next.Callback = open
		return Unchanged, nil
	}
	if x.ServiceJobID != "" {
		defer c.locks.Lock("job:" + digest(x.Source, x.ServiceJobID, x.ExceptionType))()
		other, existing, err := c.takeJob(ctx, x)
		if err != nil {
			return "", err
		}
		if existing != "" {
			next.Callback, next.Ref = existing, other
			return Duplicate, c.join(ctx, existing, x.ExceptionID)
		}
	}
	id, err := c.deps.Desk.Promise(ctx, name, "exception:"+digest(x.Source, x.ExceptionID)+":"+strconv.Itoa(next.Round), connectors.Promise{
		Policy: route.Policy, Queue: route.Queue, LOB: route.LOB,
		Customer: book.Customer{Ref: x.CRMNumber, Name: x.Customer.Name, Phone: number, TimeZone: x.Customer.TimeZone},
		Source:   book.Source{System: x.Source, Ref: x.ExceptionID},
		Reason:   x.reason(others),
	})
	refused := final(err)
	switch {
	case err == nil:
		next.Callback = id
		return Promised, nil
	case errors.Is(err, callback.Refused(callback.CodeIdempotencyKeyReused)):
		// Promised before, when we would have asked for something else: it is that one,
		// as soon as it is shown.
		made, lookErr := c.promised(ctx, x, before)
		if lookErr != nil || made == "" {
			return "", errors.Join(lookErr, err)
		}
		next.Callback = made
		return Unchanged, nil
	case refused == nil:
		return "", err
	case refused.Code == callback.CodeDuplicate && refused.Existing != "":
		next.Callback = refused.Existing
		return Unchanged, nil
	}
	return "", unfitFor("the desk refuses it: %s", explain(refused))
}

// final is the refusal of the desk that err is, where it stays: a key that two updates
// at once have used is another one once the first is remembered.
func final(err error) *callback.Fault {
	f := wire.Final(err)
	if f != nil && (f.Code == callback.CodeIdempotencyKeyReused || f.Code == callback.CodeInternal) {
		return nil
	}
	return f
}

// explain is a refusal in words; the desk's never hold anything personal.
func explain(f *callback.Fault) string {
	s := string(f.Code)
	if f.Rule != "" {
		s += " (" + string(f.Rule) + ")"
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// openOf is the open callback of an exception; empty: none.
func (c *Connector) openOf(ctx context.Context, source, exceptionID string) (string, error) {
	views, err := c.deps.Desk.Callbacks(ctx, source, exceptionID)
	if err != nil {
		return "", err
	}
	for _, v := range views {
		if !v.State.Status.Closed() {
			return v.State.ID, nil
		}
	}
	return "", nil
}

// promised is the newest callback that we made of an exception, open or not, but for
// the one of the round before; empty: none is shown.
func (c *Connector) promised(ctx context.Context, x *Exception, before string) (string, error) {
	views, err := c.deps.Desk.Callbacks(ctx, x.Source, x.ExceptionID)
	if err != nil {
		return "", err
	}
	for _, v := range views {
		if v.State.ID != before && v.Intake.RequestedBy == "system:"+name {
			return v.State.ID, nil
		}
	}
	return "", nil
}

// takeJob makes x the exception that has its job. If another one has it, that is
// returned with its callback, which is open (R14: if it exists and is not
// complete, no second is made).
func (c *Connector) takeJob(ctx context.Context, x *Exception) (other, existing string, err error) {
	r := register[holder]{c.deps.Memory, "job:" + digest(x.Source, x.ServiceJobID, x.ExceptionType)}
	for range rounds {
		has, at, err := r.load(ctx)
		if err != nil {
			return "", "", err
		}
		if at.number > 0 && has.ExceptionID != x.ExceptionID {
			existing, err := c.busy(ctx, x.Source, has)
			if err != nil || existing != "" {
				return has.ExceptionID, existing, err
			}
		}
		stored, err := r.store(ctx, at, holder{ExceptionID: x.ExceptionID, At: callback.At(c.deps.Now())})
		if err != nil || stored {
			return "", "", err
		}
	}
	return "", "", errors.New("too many changes at once")
}

// busy is the open callback of the exception that has a job; empty: it is free. One
// that was completed there and could not be completed here is open still.
func (c *Connector) busy(ctx context.Context, source string, has holder) (string, error) {
	views, err := c.deps.Desk.Callbacks(ctx, source, has.ExceptionID)
	if err != nil {
		return "", err
	}
	if i := slices.IndexFunc(views, func(v book.View) bool { return !v.State.Status.Closed() }); i >= 0 {
		return views[i].State.ID, nil
	}
	of, _, err := register[known]{c.deps.Memory, "exception:" + digest(source, has.ExceptionID)}.load(ctx)
	if err != nil || of.Status == Complete && of.Callback == "" {
		return "", err
	}
	shown := slices.ContainsFunc(views, func(v book.View) bool { return v.State.ID == of.Callback })
	if !shown && c.deps.Now().Before(has.At.Add(holding)) {
		return "", errors.New("another exception of the same job is being made a callback")
	}
	return "", nil
}

// join remembers that an exception belongs to a callback that was made for another one.
func (c *Connector) join(ctx context.Context, callbackID, exceptionID string) error {
	for n := 0; ; n++ {
		existing, first, err := c.deps.Memory.Claim(ctx, name, "joined:"+callbackID+":"+strconv.Itoa(n), exceptionID)
		if err != nil || first || existing == exceptionID {
			return err
		}
	}
}

// joined are the exceptions that belong to a callback besides its own.
func (c *Connector) joined(ctx context.Context, callbackID string) ([]string, error) {
	all := []string{}
	for n := 0; ; n++ {
		id, found, err := c.deps.Memory.Recall(ctx, name, "joined:"+callbackID+":"+strconv.Itoa(n))
		if err != nil || !found {
			return all, err
		}
		all = append(all, id)
	}
}

// reach finds the first number to call, and those besides.
func (c *Connector) reach(x *Exception) (number string, others []string, ok bool) {
	for _, p := range x.Customer.Phones {
		e164, exists := phone.E164(p, phone.Hints{Regions: c.config.Regions, TimeZone: x.Customer.TimeZone})
		switch {
		case !exists:
			others = append(others, p)
		case number == "":
			number = e164
		case e164 != number:
			others = append(others, e164)
		}
	}
	return number, others, number != ""
}

// reason is what the person who calls should know.
func (x *Exception) reason(others []string) string {
	lines := []string{x.ExceptionType}
	add := func(label, value string) {
		if value != "" {
			lines = append(lines, label+": "+value)
		}
	}
	add("Job", x.ServiceJobID)
	add("Raised under", x.UserID)
	add("Preferred contact", x.Customer.PreferredContactMethod)
	add("Other numbers", strings.Join(others, ", "))
	if x.Comment != "" {
		lines = append(lines, "", x.Comment)
	}
	return strings.Join(lines, "\n")
}

// complete completes the callback of an exception that was completed there, in
// the name of the person who is known here by that user id (R18).
func (c *Connector) complete(ctx context.Context, x *Exception, callbackID string) (done Outcome, problem, err error) {
	views, err := c.deps.Desk.Callbacks(ctx, x.Source, x.ExceptionID)
	if err != nil {
		return "", nil, err
	}
	var state *callback.Callback
	for _, v := range views {
		if v.State.ID == callbackID {
			state = v.State
		}
	}
	if state == nil || state.Status.Closed() {
		return CompletedHere, nil, nil
	}
	if c.config.Completed.ResolutionReason == "" {
		return Updated, unfitFor("completed there, and which resolution reason that is here is not configured: a person completes it (R17, R18)"), nil
	}
	person, err := c.personOf(ctx, x.UserID)
	if err != nil {
		return "", nil, err
	}
	if person == "" {
		return Updated, unfitFor("completed there by somebody who has no identity here: a person completes it (R18)"), nil
	}
	if state.Assignee == "" && !c.config.Completed.Reached && state.ContactedAt.IsZero() {
		return Updated, unfitFor("completed there, and nobody here has reached the customer: a person completes it (R09, R18)"), nil
	}
	err = c.work(ctx, x, state, person)
	refused := final(err)
	switch {
	case err == nil, errors.Is(err, callback.Refused(callback.CodeClosed)):
		return CompletedHere, nil, nil
	case refused != nil:
		return Updated, unfitFor("completed there, and the desk refuses to complete it here: %s (R18)", explain(refused)), nil
	}
	return "", nil, err
}

// work does what a person would have done here on the way to completing it.
func (c *Connector) work(ctx context.Context, x *Exception, state *callback.Callback, person string) error {
	key := digest(x.Source, x.ExceptionID, x.UpdatedAt.String())
	do := func(command string, body any) error {
		return c.deps.Desk.Do(ctx, "complete:"+key+":"+command, person, state.ID, command, body)
	}
	if state.Status == callback.StatusQueued {
		if err := do("claim", struct{}{}); err != nil {
			return err
		}
	}
	if state.Status != callback.StatusInProgress {
		if err := do("start", struct{}{}); err != nil {
			return err
		}
	}
	if c.config.Completed.Reached && state.ContactedAt.IsZero() {
		if err := do("attempts", map[string]any{"disposition": callback.Reached}); err != nil {
			return err
		}
	}
	summary := x.Comment
	if summary == "" {
		summary = "Completed in the field-service system."
	}
	return do("complete", map[string]any{"resolution_reason": c.config.Completed.ResolutionReason, "call_summary": summary})
}

// personOf is the member of staff whose identity there is userID; empty: nobody, or more than one.
func (c *Connector) personOf(ctx context.Context, userID string) (string, error) {
	staff, err := c.deps.Desk.Staff(ctx)
	if err != nil || userID == "" {
		return "", err
	}
	found := ""
	for _, s := range staff {
		if !strings.EqualFold(s.Identities[name], userID) {
			continue
		}
		if found != "" {
			return "", nil
		}
		found = s.ID
	}
	return found, nil
}

// messages is the name space of the ids of kept messages: the same exception, kept again, is the same message.
var messages = uuid.MustParse("0f1f6d0e-52c1-5d0b-9f0e-2a4a5c9e4e07")

// keep keeps what came in with its reason.
func (c *Connector) keep(ctx context.Context, media string, body []byte, reason string) error {
	return c.deps.Kept.Keep(ctx, connectors.Message{
		ID: uuid.NewSHA1(messages, body).String(), Connector: name, Reason: reason, Media: media, Body: body,
	})
}

// takeOrKeep does what an exception asks for, or keeps it. Any error means: try again.
func (c *Connector) takeOrKeep(ctx context.Context, x *Exception, media string, body []byte) (result, error) {
	done, err := c.take(ctx, x)
	var no *unfit
	if !errors.As(err, &no) {
		return done, err
	}
	if err := c.keep(ctx, media, body, no.reason); err != nil {
		return result{}, err
	}
	return result{Outcome: KeptBack, Callback: done.Callback, Reason: &no.reason}, nil
}

// Replay implements connectors.Replayer: what was kept is tried again.
func (c *Connector) Replay(ctx context.Context, m connectors.Message) error {
	x, err := Parse(m.Body)
	if err != nil {
		return err
	}
	_, err = c.take(ctx, x)
	var no *unfit
	if errors.As(err, &no) {
		return &callback.Fault{Code: callback.CodeInvalid, Detail: no.reason}
	}
	return err
}

// raw is an exception as a message says it: how a row of a file is kept.
func (x *Exception) raw() ([]byte, error) { return json.Marshal(x) }
