// Package freshdesk works callbacks in Freshdesk (API v2).
//
// Outward: the ticket wears the tag and is in the group of its queue when the
// callback is promised (R03), follows it on escalation, gets every note under
// its author's own identity (R12, R13), and loses the tag, or gets the one that
// says how it ended, when the callback is closed (R08, R09).
//
// Inward: a ticket in one of the groups becomes a callback, and a tag that was
// taken off by hand is told to the desk (R09). Hooks carry no signature, so what
// they say is a hint: the ticket is fetched. A poll finds what no hook said.
package freshdesk

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/backlog"
	"ringback/connectors/wire"
)

// Name is the connector's, its configuration's and its sources' system.
const Name = "freshdesk"

// Config is the block connectors.freshdesk (CONTRACT §6).
type Config struct {
	// URL of the account, like https://acme.freshdesk.com (url).
	URL string
	// APIKey is an agent's (api_key_env), WebhookToken what automations send in
	// X-Ringback-Token (webhook_token_env): secrets. Without a token no hook is taken.
	APIKey, WebhookToken string
	// Policy of callbacks that tickets become (policy); empty: tickets become none.
	Policy string
	// Groups are Freshdesk's ids of queues (groups). A queue that is not there leaves
	// the ticket in its group.
	Groups map[string]int64
	// DefaultRegion reads national phone numbers, like IN (default_region); empty:
	// only international ones are read.
	DefaultRegion string
	// LOBField is the custom field with the line of business, like cf_lob (lob_field).
	LOBField string
	// PollEvery is how often changed tickets are asked for (poll_every; 0: a minute),
	// SweepEvery how often every open callback's ticket is looked at, in case
	// taking off a tag does not count as a change there (sweep_every; 0: half an hour, negative: never).
	PollEvery, SweepEvery callback.Duration
	// Backfill is how far back the first poll looks (backfill; 0: not at all).
	Backfill callback.Duration
	// CallsPerMinute is a limit of our own, until Freshdesk says what the account's
	// is (calls_per_minute; 0: none).
	CallsPerMinute int
	// Timeout of one call (timeout; 0: 20 s).
	Timeout callback.Duration
}

// Validate reports everything that is wrong with the configuration: a
// *callback.Fault with a path below connectors.freshdesk for each.
func (c *Config) Validate() error {
	var wrong []callback.FieldError
	say := func(path, format string, args ...any) {
		wrong = append(wrong, callback.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if !wire.Address(c.URL) {
		say("url", "expected an address like https://acme.freshdesk.com")
	}
	if c.APIKey == "" {
		say("api_key_env", "expected the name of an environment variable that is set")
	}
	groups := map[int64]string{}
	for _, queue := range slices.Sorted(maps.Keys(c.Groups)) {
		id := c.Groups[queue]
		if id <= 0 {
			say("groups."+queue, "expected the id of a group, a number above 0")
		} else if other, taken := groups[id]; taken {
			say("groups."+queue, "expected a group of its own: %s has it", other)
		}
		groups[id] = queue
	}
	if c.Policy != "" && len(c.Groups) == 0 {
		say("groups", "expected a group at least: tickets in a group become callbacks of the policy")
	}
	if c.DefaultRegion != "" && !phonenumbers.GetSupportedRegions()[c.DefaultRegion] {
		say("default_region", "expected a region like IN")
	}
	for path, d := range map[string]callback.Duration{"poll_every": c.PollEvery, "backfill": c.Backfill, "timeout": c.Timeout} {
		if d < 0 {
			say(path, "expected a duration like 1m")
		}
	}
	if c.CallsPerMinute < 0 {
		say("calls_per_minute", "cannot be negative")
	}
	return wire.Wrong(wrong)
}

// Freshdesk is one account.
type Freshdesk struct {
	config  Config
	deps    connectors.Deps
	client  *wire.Client
	limiter *wire.Limiter
	queues  map[int64]string
	tickets wire.Keyed
	hints   *backlog.Backlog
	rounds  wire.Rounds
}

var (
	_ connectors.Inbound  = (*Freshdesk)(nil)
	_ connectors.Replayer = (*Freshdesk)(nil)
	_ connectors.Runner   = (*Freshdesk)(nil)
	_ connectors.Checker  = (*Freshdesk)(nil)
)

// New returns the connector; the error is that of Config.Validate.
func New(c Config, deps connectors.Deps) (*Freshdesk, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	deps = wire.Complete(deps)
	wire.Default(&c.PollEvery, time.Minute)
	wire.Default(&c.SweepEvery, 30*time.Minute)
	wire.Default(&c.Timeout, 20*time.Second)
	f := &Freshdesk{
		config: c, deps: deps, queues: map[int64]string{},
		limiter: wire.NewLimiter(c.CallsPerMinute, wire.Patience, deps.Now, deps.Sleep),
		hints:   backlog.New(deps.Memory, Name, "hints", deps.Now),
	}
	for queue, id := range c.Groups {
		f.queues[id] = queue
	}
	key := "Basic " + base64.StdEncoding.EncodeToString([]byte(c.APIKey+":X"))
	f.client = &wire.Client{
		Vendor: "Freshdesk", Base: strings.TrimRight(c.URL, "/") + "/api/v2", HTTP: wire.NewHTTP(), Limiter: f.limiter,
		Timeout: time.Duration(c.Timeout),
		Authorize: func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", key)
			return nil
		},
	}
	return f, nil
}

// Name implements connectors.Connector.
func (f *Freshdesk) Name() string { return Name }

// Path implements connectors.Inbound.
func (f *Freshdesk) Path() string { return Name }

// Wants implements connectors.Connector: callbacks that come from a ticket here.
func (f *Freshdesk) Wants(in book.Intake, _ *callback.Policy) bool {
	return in.Source != nil && in.Source.System == Name
}

// Types implements connectors.Connector.
func (f *Freshdesk) Types() []callback.EventType {
	return []callback.EventType{
		callback.TypeRequested, callback.TypeTagged, callback.TypeUntagged, callback.TypeEscalated,
		callback.TypeNoted, callback.TypeAttempted,
	}
}

// Check implements connectors.Checker: the key is taken, and the groups are there.
func (f *Freshdesk) Check(ctx context.Context) error {
	if err := f.call(ctx, http.MethodGet, "/agents/me", nil, nil); err != nil {
		return err
	}
	missing := maps.Clone(f.queues)
	for page := 1; len(missing) > 0; page++ {
		var groups []struct {
			ID int64 `json:"id"`
		}
		if err := f.call(ctx, http.MethodGet, fmt.Sprintf("/groups?per_page=100&page=%d", page), nil, &groups); err != nil {
			return err
		}
		for _, g := range groups {
			delete(missing, g.ID)
		}
		if len(groups) < 100 {
			break
		}
	}
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		return &connectors.Owed{Code: connectors.Rejected, Detail: fmt.Sprintf("Freshdesk has no group %d, which is that of the queue %s", id, missing[id])}
	}
	return nil
}

// Deliver implements connectors.Connector.
func (f *Freshdesk) Deliver(ctx context.Context, d connectors.Delivery) error {
	ticket := d.Intake.Source.Ref
	if !wire.Digits(ticket) {
		return &connectors.Owed{Code: connectors.Rejected, Detail: "the source's reference is no number of a ticket"}
	}
	switch e := d.Event.Fact.(type) {
	case *callback.Requested:
		return f.promised(ctx, d, ticket, e.Queue)
	case *callback.Tagged:
		return f.tagged(ctx, d, ticket, e.Tag)
	case *callback.Untagged:
		return f.untagged(ctx, d, ticket, e.Tag)
	case *callback.Escalated:
		return f.enter(ctx, ticket, change{group: f.config.Groups[e.Queue]})
	case *callback.Noted:
		title := "Note"
		if e.Kind == callback.KindCallSummary {
			title = "Call summary"
		}
		return f.write(ctx, d, ticket, title)
	case *callback.Attempted:
		if e.TextID == "" {
			return nil
		}
		return f.write(ctx, d, ticket, "Call: "+strings.ReplaceAll(string(e.Disposition), "_", " "))
	}
	return nil
}

// promised puts the tag on and the ticket into its group, in one write (R03).
func (f *Freshdesk) promised(ctx context.Context, d connectors.Delivery, ticket, queue string) error {
	c := change{group: f.config.Groups[queue]}
	if d.Policy != nil && d.Policy.Tag.Required != "" {
		c.add = d.Policy.Tag.Required
	}
	if err := f.enter(ctx, ticket, c); err != nil || c.add == "" {
		return err
	}
	return f.wears(ctx, d)
}

// enter changes a ticket and remembers that it is where it is because of us.
func (f *Freshdesk) enter(ctx context.Context, ticket string, c change) error {
	defer f.tickets.Lock(ticket)()
	if err := f.changeLocked(ctx, ticket, c); err != nil || c.group == 0 {
		return err
	}
	return f.deps.Memory.Forget(ctx, Name, leftKey(ticket))
}

// tagged puts a tag on, for the first time or back (R03, R09).
func (f *Freshdesk) tagged(ctx context.Context, d connectors.Delivery, ticket, tag string) error {
	if d.Event.Seq == 2 {
		// It follows the promise, which has put it on, unless that delivery was waived.
		if _, on, err := f.deps.Memory.Recall(ctx, Name, wornKey(d.Callback.ID)); err != nil || on {
			return err
		}
	}
	if err := f.change(ctx, ticket, change{add: tag}); err != nil {
		return err
	}
	if d.Callback.Status.Closed() {
		return nil
	}
	return f.wears(ctx, d)
}

// untagged takes a tag off (R08, R09), unless another callback of this ticket
// still needs it.
func (f *Freshdesk) untagged(ctx context.Context, d connectors.Delivery, ticket, tag string) error {
	// From now on nobody has to wonder where the tag is.
	if err := f.deps.Memory.Forget(ctx, Name, wornKey(d.Callback.ID)); err != nil {
		return err
	}
	others, err := f.deps.Desk.Callbacks(ctx, Name, ticket)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.State.ID != d.Callback.ID && !o.State.Status.Closed() && o.State.CallbackRequired && slices.Contains(o.State.Tags, tag) {
			return nil
		}
	}
	return f.change(ctx, ticket, change{remove: tag})
}

// wears remembers that the ticket wears the callback's tag, and through which
// delivery: only a tag that was on can have been taken off by hand.
func (f *Freshdesk) wears(ctx context.Context, d connectors.Delivery) error {
	return f.deps.Memory.Remember(ctx, Name, wornKey(d.Callback.ID), d.OperationID)
}

func wornKey(callbackID string) string { return "worn:" + callbackID }

// change is what a ticket should be like; zero members leave it as it is.
type change struct {
	add, remove string
	group       int64
}

// change reads the ticket, changes what must be changed, and reads it again:
// tags are written as a whole list and nothing tells who wrote last, so what is
// not there afterwards was overwritten by somebody.
func (f *Freshdesk) change(ctx context.Context, ticket string, c change) error {
	defer f.tickets.Lock(ticket)()
	return f.changeLocked(ctx, ticket, c)
}

func (f *Freshdesk) changeLocked(ctx context.Context, ticket string, c change) error {
	t, err := f.ticket(ctx, ticket)
	if err != nil {
		return err
	}
	update := map[string]any{}
	if tags := c.tags(t.Tags); !slices.Equal(tags, t.Tags) {
		update["tags"] = tags
	}
	if c.group != 0 && t.GroupID != c.group {
		update["group_id"] = c.group
	}
	if len(update) == 0 {
		return nil
	}
	if err := f.call(ctx, http.MethodPut, "/tickets/"+ticket, update, nil); err != nil {
		return err
	}
	if t, err = f.ticket(ctx, ticket); err != nil {
		return err
	}
	if !slices.Equal(c.tags(t.Tags), t.Tags) || c.group != 0 && t.GroupID != c.group {
		return &connectors.Owed{Code: connectors.Conflict, Detail: "somebody else changed the ticket in the same moment"}
	}
	return nil
}

// tags is the whole list as it should be; never nil, since an empty list must
// be sent as one.
func (c change) tags(now []string) []string {
	tags := make([]string, 0, len(now)+1)
	for _, t := range now {
		if c.remove == "" || !strings.EqualFold(t, c.remove) {
			tags = append(tags, t)
		}
	}
	if c.add != "" && !wearing(tags, c.add) {
		tags = append(tags, c.add)
	}
	return tags
}

// wearing compares as Freshdesk does: case does not make another tag.
func wearing(tags []string, tag string) bool {
	return slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, tag) })
}

// ticket is what is read of one.
type ticket struct {
	ID        wire.ID        `json:"id"`
	Subject   string         `json:"subject"`
	Tags      []string       `json:"tags"`
	GroupID   int64          `json:"group_id"`
	Status    int            `json:"status"`
	Deleted   bool           `json:"deleted"`
	Spam      bool           `json:"spam"`
	UpdatedAt time.Time      `json:"updated_at"`
	Custom    map[string]any `json:"custom_fields"`
	Requester struct {
		ID     wire.ID `json:"id"`
		Name   string  `json:"name"`
		Email  string  `json:"email"`
		Phone  string  `json:"phone"`
		Mobile string  `json:"mobile"`
	} `json:"requester"`
}

// done reports a ticket that is resolved or closed.
func (t *ticket) done() bool { return t.Status == 4 || t.Status == 5 }

// ticket fetches one. Deleted tickets can still be read: they are as good as gone.
func (f *Freshdesk) ticket(ctx context.Context, id string) (*ticket, error) {
	var t ticket
	if err := f.call(ctx, http.MethodGet, "/tickets/"+url.PathEscape(id)+"?include=requester", nil, &t); err != nil {
		return nil, err
	}
	if t.Deleted || t.Spam {
		return nil, &connectors.Owed{Code: connectors.Gone, Detail: "the ticket has been deleted in Freshdesk"}
	}
	if t.Tags == nil {
		t.Tags = []string{}
	}
	return &t, nil
}

// problem is what Freshdesk says about a refusal. Messages may quote what was
// sent, so only codes and names of fields are repeated.
type problem struct {
	Code   string `json:"code"`
	Errors []struct {
		Field string `json:"field"`
		Code  string `json:"code"`
	} `json:"errors"`
}

func (p *problem) words() []string {
	words := []string{p.Code}
	for _, e := range p.Errors {
		words = append(words, strings.Trim(e.Field+":"+e.Code, ":"))
	}
	return words
}

// call makes one call and reads the answer into v unless it is nil. Errors are
// *connectors.Owed, or ctx's.
func (f *Freshdesk) call(ctx context.Context, method, path string, body, v any) error {
	_, err := f.callWith(ctx, method, path, body, v)
	return err
}

// callWith also returns what Freshdesk says about a refusal.
func (f *Freshdesk) callWith(ctx context.Context, method, path string, body, v any) (*problem, error) {
	a, err := f.client.Call(ctx, method, path, nil, body)
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusTooManyRequests {
		f.limiter.Saw(wire.Number(a.Header, "X-RateLimit-Total"), wire.Number(a.Header, "X-RateLimit-Remaining"))
	}
	if a.OK() {
		return nil, f.client.Read(a, v)
	}
	var p problem
	_ = f.client.Read(a, &p) // what cannot be read says nothing
	owed := f.client.Refusal(a, p.words()...)
	switch {
	case a.Status == http.StatusMethodNotAllowed, owed.Code == connectors.Gone:
		owed.Code, owed.Detail = connectors.Gone, "the ticket has been deleted in Freshdesk"
	case owed.Code == connectors.Unauthorized:
		owed.Detail += ": is the API key right, and may its agent do this?"
	}
	return &p, owed
}

func (f *Freshdesk) log(ctx context.Context, what string, err error) {
	f.deps.Logger.LogAttrs(ctx, slog.LevelWarn, what, slog.String("connector", Name), slog.String("error", err.Error()))
}

// How long what is known of a closed callback's ticket, and of a note that was taken
// back, counts.
const (
	wornFor   = callback.Duration(400 * 24 * time.Hour)
	lookedFor = callback.Duration(30 * 24 * time.Hour) // then it is looked for once more
)

// Terms implements connectors.Forgetful. Which tickets have left the groups stays: it is
// how a ticket that enters again is told from one that never left.
func (f *Freshdesk) Terms() []book.Term {
	return []book.Term{
		{Connector: Name, Prefix: wornKey(""), Lasts: wornFor}, {Connector: Name, Prefix: lookedKey(""), Lasts: lookedFor},
	}
}

var _ connectors.Forgetful = (*Freshdesk)(nil)
