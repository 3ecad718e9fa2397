package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nyaruka/phonenumbers"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// What is sent to make a callback.
type (
	createBody struct {
		Policy          string            `json:"policy" minLength:"1" maxLength:"200" example:"supervisor-callback"`
		Customer        customerBody      `json:"customer"`
		Reason          *string           `json:"reason" required:"false" maxLength:"4000" doc:"why the customer wants to be called"`
		Source          *sourceBody       `json:"source" required:"false" doc:"the ticket, job or mail that it comes from; an open callback of the same policy and source is not made twice"`
		LOB             *string           `json:"lob" required:"false" maxLength:"200" doc:"line of business; may choose the queue (R03)"`
		TransferAttempt *transferTried    `json:"transfer_attempt" required:"false" doc:"the live transfer that was tried first (R01)"`
		ScheduledFor    *moment           `json:"scheduled_for" required:"false" doc:"when the customer asked to be called; at most 366 days ahead"`
		Fields          map[string]string `json:"fields" required:"false" maxProperties:"100" doc:"what the policy asks for besides (R22)"`
		Parent          *string           `json:"parent" required:"false" maxLength:"36" doc:"the callback that is handed over as this one (R21)"`
	}
	customerBody struct {
		Ref      *string `json:"ref" required:"false" maxLength:"200" doc:"the customer's id with you"`
		Name     string  `json:"name" pattern:"\\S" patternDescription:"some text" maxLength:"200"`
		Phone    string  `json:"phone" minLength:"1" maxLength:"30" doc:"E.164" example:"+919876543210"`
		Email    *string `json:"email" required:"false" maxLength:"320"`
		TimeZone *string `json:"time_zone" required:"false" maxLength:"64" doc:"IANA" example:"Asia/Kolkata"`
	}
	sourceBody struct {
		System string  `json:"system" pattern:"^[^:\\s]+$" patternDescription:"a name without colons and spaces" maxLength:"100" example:"freshdesk"`
		Ref    string  `json:"ref" pattern:"\\S" patternDescription:"some text" maxLength:"200" example:"48213"`
		URL    *string `json:"url" required:"false" maxLength:"2000" doc:"http or https"`
	}
	transferTried struct {
		Tier    string `json:"tier" minLength:"1" maxLength:"100"`
		Outcome string `json:"outcome" pattern:"\\S" patternDescription:"some text" maxLength:"64" example:"none_free"`
	}
)

// Page is one page of callbacks.
type Page struct {
	Items      []Callback `json:"items"`
	NextCursor *string    `json:"next_cursor" doc:"null on the last page"`
}

const maxFieldLength = 1000

func (a *API) callbackOperations() []*operation {
	return []*operation{
		{
			method: http.MethodPost, path: "/v1/callbacks", id: "create", tag: "callbacks", access: accessCreate,
			summary: "Promise a callback",
			doc: "The promise, `due_at`, is `requested_at` + TAT, in working time where the policy has a calendar (R02). " +
				"An open callback of the same customer is no hindrance, but a warning.",
			body: createBody{},
			answers: []reply{
				{http.StatusCreated, "the callback", Callback{}, ""},
				{http.StatusAccepted, "accepted and durable, but not shown in lists yet; a repeat with the same key becomes 201", Accepted{}, ""},
			},
			refusals: []callback.Code{callback.CodeUnknownPolicy, callback.CodeDuplicate},
			serve:    a.create,
		},
		{
			method: http.MethodGet, path: "/v1/callbacks", id: "list", tag: "callbacks", access: accessRead,
			summary: "Find callbacks",
			doc: "Every filter narrows; several values of one, repeated or with commas, widen. " +
				"A cursor binds sort and filters, not `limit`; an item whose sort key does not change meanwhile is given exactly once.",
			query:   append(filterParams(), listParams()...),
			answers: []reply{{http.StatusOK, "one page", Page{}, ""}},
			serve:   a.list,
		},
		{
			method: http.MethodGet, path: "/v1/callbacks/{id}", id: "get", tag: "callbacks", access: accessRead,
			summary: "One callback", doc: "With `allowed`: the commands that the caller may give now.",
			answers: []reply{
				{http.StatusOK, "the callback", Callback{}, ""},
				{http.StatusNotModified, "it still has the version of If-None-Match", nil, ""},
			},
			serve: a.get,
		},
	}
}

func (a *API) get(ctx context.Context, r *request) (*answer, error) {
	v, err := a.read(ctx, r)
	if err != nil {
		return nil, err
	}
	if ifNoneMatch(r.Request, v.Version()) {
		return &answer{status: http.StatusNotModified, etag: etag(v.Version())}, nil
	}
	p, err := a.policyOf(ctx, v.Intake)
	if err != nil {
		return nil, err
	}
	return a.answerCallback(http.StatusOK, a.show(*v, p, r.who))
}

// read finds the callback for somebody who only reads.
func (a *API) read(ctx context.Context, r *request) (*book.View, error) {
	v, dbAway, err := a.find(ctx, r)
	if err == nil {
		err = dbAway
	}
	if err == nil {
		err = r.may()
	}
	return v, err
}

func (a *API) list(ctx context.Context, r *request) (*answer, error) {
	q := r.query()
	filter := a.filter(q)
	sort := book.Sort(q.choice("sort", string(book.SortDueAt), string(book.SortPromise), string(book.SortRequestedAt)))
	if sort == "" {
		sort = book.SortDueAt
	}
	limit, cursor := q.integer("limit", 1, 200, 50), q.one("cursor")
	if err := q.fault(); err != nil {
		return nil, err
	}
	if err := r.may(); err != nil {
		return nil, err
	}
	page, err := a.book.List(ctx, filter, sort, limit, cursor)
	if err != nil {
		return nil, err
	}
	given := Page{Items: make([]Callback, 0, len(page.Items)), NextCursor: null(page.NextCursor)}
	for _, v := range page.Items {
		p, err := a.policyOf(ctx, v.Intake)
		if err != nil {
			return nil, err
		}
		given.Items = append(given.Items, a.show(v, p, r.who))
	}
	return ok(given)
}

// filter reads what narrows a list, or the stream.
func (a *API) filter(q *query) book.Filter {
	f := book.Filter{
		ID: q.many("id"), RequestedBy: q.many("requested_by"), Required: q.flag("callback_required"),
		Tier: q.many("tier"), Queue: q.many("queue", a.queueNames()...), Policy: q.many("policy"),
		Owner: q.many("owner"), Assignee: q.many("assignee"),
		Customer: q.one("customer"), Source: q.one("source"), Tag: q.one("tag"),
		Overdue: q.flag("overdue"), DueBefore: q.instant("due_before"), Q: q.one("q"),
	}
	for _, s := range q.many("status") {
		if !slices.Contains(callback.Statuses, callback.Status(s)) {
			q.refuse("status", "expected one of scheduled, queued, claimed, in_progress, completed, cancelled")
			break
		}
		f.Status = append(f.Status, callback.Status(s))
	}
	if len(f.Q) > 500 {
		q.refuse("q", "expected at most 500 characters")
	}
	return f
}

// filterParams are the parameters that narrow a list, or the stream.
func filterParams() []*huma.Param {
	return []*huma.Param{
		manyParam("id", "the callbacks themselves"),
		manyParam("status", "where it stands", "scheduled", "queued", "claimed", "in_progress", "completed", "cancelled"),
		manyParam("tier", "the tier that it is at now"),
		manyParam("queue", "the queue that it is in now"),
		manyParam("policy", "its policy"),
		manyParam("owner", "staff ids"),
		manyParam("assignee", "staff ids"),
		manyParam("requested_by", "who promised it: staff ids, or `system:NAME`"),
		param("customer", "the customer's id with you"),
		param("source", "`system`, or `system:ref`"),
		param("tag", "a tag that it wears now"),
		choiceParam("callback_required", "its policy's tag is on (R09, R10)", "true", "false"),
		choiceParam("overdue", "past its promise at the last tier", "true", "false"),
		timeParam("due_before", "promised before this instant"),
		param("q", "words that all occur, as beginnings, in name, reference, phone, e-mail, reason, source, fields or notes"),
	}
}

func listParams() []*huma.Param {
	least, most := 1.0, 200.0
	return []*huma.Param{
		choiceParam("sort", "by promise, whoever called in again first; by promise alone (R10); or newest first",
			string(book.SortDueAt), string(book.SortPromise), string(book.SortRequestedAt)),
		{Name: "limit", In: "query", Description: "items on a page", Schema: &huma.Schema{
			Type: huma.TypeInteger, Minimum: &least, Maximum: &most, Default: 50,
		}},
		param("cursor", "the next_cursor of the page before"),
	}
}

func param(name, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
}

func timeParam(name, doc string) *huma.Param {
	p := param(name, doc)
	p.Schema.Format = "date-time"
	return p
}

func choiceParam(name, doc string, from ...string) *huma.Param {
	p := param(name, doc)
	for _, v := range from {
		p.Schema.Enum = append(p.Schema.Enum, v)
	}
	return p
}

func manyParam(name, doc string, from ...string) *huma.Param {
	p := choiceParam(name, doc+"; several: any of them", from...)
	explode := true
	p.Explode = &explode
	p.Schema = &huma.Schema{Type: huma.TypeArray, Items: p.Schema}
	return p
}

// create makes the promise.
func (a *API) create(ctx context.Context, r *request) (*answer, error) {
	b, err := decode[createBody](a, r)
	if err == nil {
		err = b.check()
	}
	if err != nil {
		return nil, err
	}
	return a.promise(ctx, r, b, route{})
}

func (a *API) promise(ctx context.Context, r *request, b *createBody, to route) (*answer, error) {
	id, err := newCallbackID()
	if err != nil {
		return nil, err
	}
	w := &work{name: contract.UpdateCreate, callbackID: id}
	w.prepare = func(ctx context.Context, e *errand) error {
		if err := r.may(); err != nil {
			return err
		}
		e.needsBook = true
		var in book.Intake
		var pinned *callback.Policy
		var err error
		if e.taken {
			in, pinned, err = a.begun(ctx, e.CallbackID)
		} else {
			in, pinned, err = a.intake(ctx, r.who, e.Errand, b, to)
		}
		if err != nil {
			return err
		}
		same, err := a.book.SameCustomer(ctx, in.Customer, in.CallbackID)
		if err != nil {
			return err
		}
		e.intake = &in
		destinations, outage := a.destinations(in, pinned), a.outages.affecting(ctx, in, pinned)
		e.send = func(ctx context.Context, _ bool) (contract.Outcome, error) {
			if e.taken {
				// What is shown was promised. An engine that has forgotten it would begin it anew.
				if v, err := a.book.Callback(ctx, in.CallbackID); err == nil {
					return contract.Outcome{Version: v.State.Version, Digest: e.Digest}, nil
				}
			}
			return a.engine.Create(ctx, e.ID, contract.Input{
				Policy: pinned, StarterProjects: true, Destinations: destinations,
				Request: callback.Request{
					ID: in.CallbackID, By: in.RequestedBy, At: in.RequestedAt, Parent: in.Parent, ScheduledFor: in.ScheduledFor,
					Outage: outage,
				},
			}, e.Digest)
		}
		e.answer = func(v book.View) (*answer, error) {
			shown := a.show(v, pinned, r.who)
			for _, existing := range same {
				shown.Warnings = append(shown.Warnings, Warning{"same_customer", null(existing)})
			}
			return a.answerCallback(http.StatusCreated, shown)
		}
		return nil
	}
	return a.carry(ctx, r, w)
}

// begun is what an earlier try of the same request has written down.
func (a *API) begun(ctx context.Context, callbackID string) (in book.Intake, pinned *callback.Policy, err error) {
	if in, err = a.book.Intake(ctx, callbackID); err != nil {
		return in, nil, err
	}
	pinned, err = a.book.Policy(ctx, in.PolicyHash)
	return in, pinned, err
}

// check refuses what a schema cannot say; it depends on the body alone.
func (b *createBody) check() error {
	var wrong []callback.FieldError
	refuse := func(path, message string) { wrong = append(wrong, callback.FieldError{Path: path, Message: message}) }
	if phone, ok := e164(b.Customer.Phone); ok {
		b.Customer.Phone = phone
	} else if b.Customer.Phone != "" {
		refuse("customer.phone", "expected a phone number that exists, in E.164, like +919876543210")
	}
	if e := deref(b.Customer.Email); e != "" {
		if parsed, err := mail.ParseAddress(e); err != nil || parsed.Address != e {
			refuse("customer.email", "expected an e-mail address")
		}
	}
	if z := deref(b.Customer.TimeZone); z != "" {
		if _, err := time.LoadLocation(z); err != nil || z == "Local" {
			refuse("customer.time_zone", "expected a time zone of the IANA database, like Asia/Kolkata")
		}
	}
	if b.Source != nil {
		if u := deref(b.Source.URL); u != "" {
			if parsed, err := url.Parse(u); err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
				refuse("source.url", "expected an http or https address")
			}
		}
	}
	for name, value := range b.Fields {
		if len(value) > maxFieldLength || len(name) > maxFieldLength {
			refuse("fields", "expected values of at most 1000 bytes")
			break
		}
	}
	if p := deref(b.Parent); p != "" {
		if _, err := parseID(p); err != nil {
			refuse("parent", "expected the id of a callback")
		}
	}
	if b.ScheduledFor != nil {
		if err := within("scheduled_for", b.ScheduledFor.Instant); err != nil {
			refuse("scheduled_for", "expected a time between the years 1970 and 9999")
		}
	}
	if len(wrong) > 0 {
		return invalid(wrong)
	}
	return nil
}

// e164 returns a phone number that exists in its canonical form. Spaces and the
// like between the digits are forgiven.
func e164(s string) (string, bool) {
	digits, international := strings.CutPrefix(s, "+")
	if !international || strings.Trim(digits, "0123456789 ()-.") != "" {
		return "", false
	}
	n, err := phonenumbers.Parse(s, "")
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", false
	}
	return phonenumbers.Format(n, phonenumbers.E164), true
}

// mostAhead is how far ahead a callback can be scheduled.
const mostAhead = 366 * 24 * time.Hour

func (a *API) soonEnough(at callback.Instant) error {
	if at.After(a.now().Add(mostAhead)) {
		return callback.Invalid("scheduled_for", "expected a time at most 366 days ahead")
	}
	return nil
}

// intake is what was asked, under the policy that is pinned for it.
func (a *API) intake(ctx context.Context, who Principal, e book.Errand, b *createBody, to route) (book.Intake, *callback.Policy, error) {
	in := book.Intake{
		CallbackID: e.CallbackID, Policy: b.Policy,
		Customer: book.Customer{
			Ref: deref(b.Customer.Ref), Name: strings.TrimSpace(b.Customer.Name), Phone: b.Customer.Phone,
			Email: deref(b.Customer.Email), TimeZone: deref(b.Customer.TimeZone),
		},
		Reason: deref(b.Reason), LOB: deref(b.LOB), Fields: b.Fields, Parent: deref(b.Parent),
		RequestedBy: who.ID, RequestedAt: e.CreatedAt,
	}
	if s := b.Source; s != nil {
		in.Source = &book.Source{System: s.System, Ref: s.Ref, URL: deref(s.URL)}
	}
	if t := b.TransferAttempt; t != nil {
		in.Transfer = &book.TransferAttempt{Tier: t.Tier, Outcome: strings.TrimSpace(t.Outcome)}
	}
	if b.ScheduledFor != nil {
		in.ScheduledFor = b.ScheduledFor.Instant
	}
	policy, known := a.config.Policies[b.Policy]
	if !known {
		return in, nil, refuse(callback.CodeUnknownPolicy, "", "there is no such policy: see /v1/policies")
	}
	if err := a.checkIntake(ctx, &in, policy); err != nil {
		return in, nil, err
	}
	supervisor, err := a.superior(ctx, who)
	if err != nil {
		return in, nil, err
	}
	pinned := policy.Pin(in.LOB, supervisor).Route(to.queue, to.assignTo)
	hash, err := policyHash(pinned)
	if err != nil {
		return in, nil, err
	}
	in.PolicyHash = hash
	return in, pinned, a.book.SavePolicy(ctx, hash, pinned)
}

// superior is whom somebody reports to, if they work here (R19); empty: nobody.
func (a *API) superior(ctx context.Context, who Principal) (string, error) {
	if who.Staff == nil || who.Staff.ReportsTo == "" {
		return "", nil
	}
	everybody, err := a.people.everybody(ctx)
	if err != nil || everybody[who.Staff.ReportsTo] == nil {
		return "", err
	}
	return who.Staff.ReportsTo, nil
}

// checkIntake refuses what is wrong under this policy, now.
func (a *API) checkIntake(ctx context.Context, in *book.Intake, p *callback.Policy) error {
	wrong := p.CheckFields(in.Fields)
	if t := in.Transfer; t != nil {
		if _, known := a.config.Tiers[t.Tier]; !known {
			wrong = append(wrong, callback.FieldError{Path: "transfer_attempt.tier", Message: "expected a tier of this desk"})
		}
	}
	if at := in.ScheduledFor; !at.IsZero() {
		if !at.After(in.RequestedAt.Time) {
			wrong = append(wrong, callback.FieldError{Path: "scheduled_for", Message: "expected a time in the future"})
		} else if err := a.soonEnough(at); err != nil {
			wrong = append(wrong, callback.FieldError{Path: "scheduled_for", Message: "expected a time at most 366 days ahead"})
		}
	}
	if in.Parent != "" {
		_, err := a.book.Callback(ctx, in.Parent)
		if errors.Is(err, book.ErrNotFound) {
			wrong = append(wrong, callback.FieldError{Path: "parent", Message: "expected the id of a callback"})
		} else if err != nil {
			return err
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	f := invalid(wrong)
	if strings.HasPrefix(wrong[0].Path, "fields.") {
		f.Rule = "R22"
	}
	return f
}

// policyHash names a pinned policy.
func policyHash(p *callback.Policy) (string, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
