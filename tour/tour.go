// Package tour plays the rules of the floor (R01 to R12) against a running
// desk, as its users would: over HTTP, with people who race, forget and try
// what they may not. It prints the timeline as it happens and stops at the
// first thing that does not hold.
package tour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"ringback/callback"
	"ringback/config"
)

// The people, the policy and the queues of the built-in configuration that the
// tour plays with.
const (
	policyName  = "supervisor-callback"
	requiredTag = "Callback Required"
	supervisors = "Supervisors - RM"
	managers    = "Managers - RM"
	agent       = "agent1"
	sup1, sup2  = "sup1", "sup2"
	mgr1        = "mgr1"
	auditor     = "aud1"
	disposed    = "disposition"
	patience    = 30 * time.Second
)

// Pace is how fast the tour plays, and how late it lets the clock act.
type Pace struct {
	by       float64
	punctual time.Duration
}

// An hour is four seconds, or eight where a machine is slow or has much else to do.
var (
	Brisk = Pace{900, time.Second}
	Slow  = Pace{450, 10 * time.Second}
)

// Accelerate returns the policy with the tour's promises: hours become seconds.
// Only who has claimed keeps the time there is to start: the tour does not hurry.
func (pace Pace) Accelerate(p *callback.Policy) *callback.Policy {
	fast := config.Accelerate(p, pace.by)
	for i := range fast.Ladder {
		fast.Ladder[i].StartWithin = p.Ladder[i].StartWithin
	}
	return fast
}

// Run plays the tour against the desk at baseURL (development tokens on) and
// writes what happens to out. The error is the first thing that did not hold.
func Run(ctx context.Context, baseURL string, pace Pace, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g := &guide{desk: desk{baseURL}, punctual: pace.punctual, out: out, began: time.Now(), changed: make(chan struct{}, 1)}
	if err := g.hurried(ctx); err != nil { // before anything is promised
		return err
	}
	printed := make(chan error, 1)
	go func() { printed <- g.follow(ctx) }()

	for _, scene := range []func(context.Context) error{g.forgotten, g.handedOver} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	stop()
	if err := <-printed; err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the stream broke off: %w", err)
	}
	return nil
}

type guide struct {
	desk     desk
	punctual time.Duration
	out      io.Writer
	began    time.Time
	mu       sync.Mutex
	changed  chan struct{}
}

func (g *guide) say(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fmt.Fprintf(g.out, "%6.2fs  %s\n", time.Since(g.began).Seconds(), fmt.Sprintf(format, args...))
}

// held says that a rule held.
func (g *guide) held(rule, format string, args ...any) {
	g.say("  ✓ %s %s", rule, fmt.Sprintf(format, args...))
}

// follow prints every change that the stream tells of.
func (g *guide) follow(ctx context.Context) error {
	return g.desk.stream(ctx, sup1, func(c item) {
		who := c.Assignee
		if who == "" {
			who = "nobody"
		}
		g.say("    %s v%-2d %-11s tier %s, with %s, due %s%s", short(c.ID), c.Version, c.Status, c.Tier, who,
			c.DueAt.Format("15:04:05.000"), map[bool]string{true: ", OVERDUE"}[c.Overdue])
		select {
		case g.changed <- struct{}{}:
		default:
		}
	})
}

// forgotten is the story of a promise that passes at both tiers.
func (g *guide) forgotten(ctx context.Context) error {
	g.say("A customer asks for a supervisor. The associate looks for a free one (R01).")
	if err := g.desk.refused(ctx, agent, "POST", "/v1/transfers", body{"tier": "supervisor", "queue": supervisors}, "none_available"); err != nil {
		return err
	}
	g.held("R01", "nobody is free for a live transfer, so a callback is promised")

	c, err := g.promise(ctx)
	if err != nil {
		return err
	}
	policy, err := g.policy(ctx)
	if err != nil {
		return err
	}
	tat := time.Duration(policy.Ladder[0].TAT)
	if got := c.DueAt.Sub(c.RequestedAt.Time); got != tat {
		return fmt.Errorf("R02: due_at is %s after requested_at, expected exactly %s", got, tat)
	}
	g.held("R02", "due_at is requested_at + %s to the millisecond", tat)
	if !c.tagged(requiredTag) || c.Queue != supervisors {
		return fmt.Errorf("R03: expected the tag %q and the queue %q, got %v and %q", requiredTag, supervisors, c.Tags, c.Queue)
	}
	g.held("R03", "the ticket wears %q and waits in %q", requiredTag, supervisors)

	winner, loser, err := g.race(ctx, c.ID)
	if err != nil {
		return err
	}
	if c, err = g.desk.get(ctx, c.ID); err != nil {
		return err
	}
	if c.Owner != winner || c.Assignee != winner {
		return fmt.Errorf("R05: expected %s as owner and assignee, got %q and %q", winner, c.Owner, c.Assignee)
	}
	g.held("R05", "%s owns it to the end", winner)

	path := "/v1/callbacks/" + c.ID
	if err := g.steps(ctx,
		refusal{winner, path + "/attempts", body{disposed: "no_answer"}, "not_started", "R16 no call before it is in progress"},
		accepted{winner, path + "/start", nil},
		accepted{winner, path + "/attempts", body{disposed: "no_answer"}},
		refusal{winner, path + "/complete", body{"resolution_reason": "resolved", "call_summary": "x"}, "contact_required", "R09 no end without a contact"},
		refusal{winner, path + "/complete", body{"resolution_reason": "unreachable", "call_summary": "x"}, "attempts_left", "R09 unreachable takes three attempts"},
		refusal{loser, path + "/attempts", body{disposed: "reached"}, "not_assignee", "R04 one supervisor at a time"},
		refusal{winner, path + "/reassign", body{"to": loser, "reason": "busy"}, "forbidden", "R05 no handing on to a colleague"},
	); err != nil {
		return err
	}

	g.say("Nobody reaches the customer. The hour passes.")
	if c, err = g.until(ctx, c.ID, func(c item) bool { return c.Tier == "manager" }); err != nil {
		return err
	}
	if err := g.escalatedInTime(ctx, c); err != nil {
		return err
	}
	if c.Owner != winner || !c.tagged(requiredTag) || c.Queue != managers {
		return fmt.Errorf("R11: expected owner %s, the tag on and the queue %q; got %q, %v and %q", winner, managers, c.Owner, c.Tags, c.Queue)
	}
	g.held("R05", "%s still owns it; R06 the tag stays", winner)
	if err := g.steps(ctx,
		refusal{winner, path + "/reassign", body{"to": loser, "reason": "busy"}, "transfer_down_forbidden", "R07 a manager call never goes down"},
		refusal{loser, path + "/claim", nil, "not_your_queue", "R08 it waits for a manager"},
	); err != nil {
		return err
	}

	g.say("The manager's hour passes too.")
	if c, err = g.until(ctx, c.ID, func(c item) bool { return c.Overdue }); err != nil {
		return err
	}
	g.held("R11", "breached at the last tier: open, tagged, overdue")
	if err := g.reminded(ctx, c.ID); err != nil {
		return err
	}
	open, err := g.desk.list(ctx, "?tag=Callback+Required")
	if err != nil {
		return err
	}
	if len(open) == 0 || open[0].ID != c.ID {
		return fmt.Errorf("R10: the list of open tags does not begin with the oldest promise")
	}
	g.held("R10", "it leads the list of open tags")

	if err := g.steps(ctx,
		accepted{mgr1, path + "/claim", nil},
		accepted{mgr1, path + "/start", nil},
		refusal{mgr1, path + "/complete", body{"resolution_reason": "resolved", "call_summary": "x"}, "contact_required", "R06 the manager still has to call"},
		accepted{mgr1, path + "/attempts", body{disposed: "reached"}},
		refusal{mgr1, path + "/complete", body{"call_summary": "x"}, "resolution_reason_required", "R17 no end without a reason"},
		refusal{mgr1, path + "/complete", body{"resolution_reason": "resolved"}, "call_summary_required", "R12 no end without a call summary"},
		accepted{mgr1, path + "/complete", body{"resolution_reason": "resolved", "call_summary": "Apologised, refunded."}},
	); err != nil {
		return err
	}
	return g.ended(ctx, c.ID, mgr1, winner)
}

// handedOver is the story of a live transfer to a manager that succeeds.
func (g *guide) handedOver(ctx context.Context) error {
	g.say("Another customer. The supervisor reaches them; they ask for a manager, and one is free.")
	c, err := g.promise(ctx)
	if err != nil {
		return err
	}
	path := "/v1/callbacks/" + c.ID
	if err := g.steps(ctx,
		accepted{sup1, path + "/claim", nil},
		accepted{sup1, path + "/start", nil},
		accepted{sup1, path + "/attempts", body{disposed: "reached"}},
	); err != nil {
		return err
	}
	if err := g.desk.do(ctx, mgr1, "PUT", "/v1/me/presence", body{"state": "available"}, nil); err != nil {
		return err
	}
	var reserved struct {
		ID      string `json:"id"`
		StaffID string `json:"staff_id"`
	}
	if err := g.desk.do(ctx, sup1, "POST", "/v1/transfers", body{"tier": "manager", "queue": managers}, &reserved); err != nil {
		return err
	}
	if err := g.steps(ctx,
		accepted{sup1, path + "/escalate", body{"reason": "asks for a manager", "transfer_id": reserved.ID}},
	); err != nil {
		return err
	}
	if c, err = g.desk.get(ctx, c.ID); err != nil {
		return err
	}
	if c.Assignee != reserved.StaffID || c.Owner != sup1 || !c.ContactedAt.IsZero() {
		return fmt.Errorf("R06: expected it with %s, owned by sup1, contact cleared; got %q, %q, %s", reserved.StaffID, c.Assignee, c.Owner, c.ContactedAt)
	}
	g.held("R06", "assigned to %s at once, fresh TAT, contact counts for the old tier only", c.Assignee)
	if err := g.steps(ctx,
		accepted{mgr1, path + "/start", nil},
		accepted{mgr1, path + "/attempts", body{disposed: "reached"}},
		accepted{mgr1, path + "/notes", body{"kind": "call_summary", "body": "Explained the fare rules."}},
		accepted{mgr1, path + "/complete", body{"resolution_reason": "resolved"}},
	); err != nil {
		return err
	}
	return g.ended(ctx, c.ID, mgr1, sup1)
}

func (g *guide) promise(ctx context.Context) (item, error) {
	var c item
	err := g.desk.do(ctx, agent, "POST", "/v1/callbacks", body{
		"policy": policyName, "reason": "Wants to speak to a supervisor",
		"customer":         body{"name": "Ada Example", "phone": "+442079460123"},
		"transfer_attempt": body{"tier": "supervisor", "outcome": "none_available"},
	}, &c)
	if err == nil {
		g.say("Promised %s: callback by %s.", short(c.ID), c.DueAt.Format("15:04:05.000"))
	}
	return c, err
}

func (g *guide) policy(ctx context.Context) (callback.Policy, error) {
	var all struct {
		Items []callback.Policy `json:"items"`
	}
	if err := g.desk.do(ctx, agent, "GET", "/v1/policies", nil, &all); err != nil {
		return callback.Policy{}, err
	}
	for _, p := range all.Items {
		if p.Name == policyName {
			return p, nil
		}
	}
	return callback.Policy{}, fmt.Errorf("the desk has no policy %s", policyName)
}

// hurried holds the desk's promises to be short enough to wait for.
func (g *guide) hurried(ctx context.Context) error {
	policy, err := g.policy(ctx)
	if err != nil {
		return err
	}
	for _, step := range policy.Ladder {
		if tat := time.Duration(step.TAT); tat > patience/2 {
			return fmt.Errorf("the desk promises within %s at the tier %s: the tour needs %s or less; without --server it brings a desk of its own", tat, step.Tier, patience/2)
		}
	}
	return nil
}

// race lets both supervisors claim at once.
func (g *guide) race(ctx context.Context, id string) (winner, loser string, err error) {
	people := []string{sup1, sup2}
	outcomes := make([]error, len(people))
	var both sync.WaitGroup
	for i, who := range people {
		both.Go(func() { outcomes[i] = g.desk.do(ctx, who, "POST", "/v1/callbacks/"+id+"/claim", nil, nil) })
	}
	both.Wait()
	var f *problem
	switch {
	case outcomes[0] == nil && errors.As(outcomes[1], &f) && f.Code == "already_claimed":
		winner, loser = sup1, sup2
	case outcomes[1] == nil && errors.As(outcomes[0], &f) && f.Code == "already_claimed":
		winner, loser = sup2, sup1
	default:
		return "", "", fmt.Errorf("R04: two claimed at once and the outcomes were %w and %w", outcomes[0], outcomes[1])
	}
	g.held("R04", "two claimed at once: %s has it, %s was told so", winner, loser)
	return winner, loser, nil
}

// until waits for the callback to become so, woken by the stream.
func (g *guide) until(ctx context.Context, id string, so func(item) bool) (item, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c, err := g.desk.get(ctx, id)
		if err != nil || so(c) {
			return c, err
		}
		select {
		case <-g.changed:
		case <-ctx.Done():
			return c, fmt.Errorf("callback %s stayed %s at tier %s: %w", id, c.Status, c.Tier, ctx.Err())
		}
	}
}

// escalatedInTime reads from the timeline when the clock acted.
func (g *guide) escalatedInTime(ctx context.Context, c item) error {
	entries, err := g.desk.timeline(ctx, c.ID)
	if err != nil {
		return err
	}
	warned := 0
	for i, e := range entries {
		if e.Seq != int64(i)+1 {
			return fmt.Errorf("R24: timeline entry %d has seq %d", i+1, e.Seq)
		}
		switch fact := e.Fact.(type) {
		case *callback.Warned:
			warned++
		case *callback.Escalated:
			late := fact.FiredAt.Sub(fact.DueAt.Time)
			if late < 0 || late > g.punctual {
				return fmt.Errorf("R11: escalated %s after it was due", late)
			}
			if fresh := fact.NewDueAt.Sub(e.At.Time); fresh != c.DueAt.Sub(e.At.Time) || fresh <= 0 {
				return fmt.Errorf("R11: the fresh promise is %s", fresh)
			}
			g.held("R11", "escalated %d ms after due, never before, with a fresh TAT", late.Milliseconds())
		}
	}
	if warned != 2 {
		return fmt.Errorf("expected two warnings before the breach, got %d", warned)
	}
	g.held("R04", "warned at 50%% and at 90%% of the hour")
	return nil
}

// reminded waits for the second reminder.
func (g *guide) reminded(ctx context.Context, id string) error {
	count := 0
	_, err := g.until(ctx, id, func(item) bool {
		entries, err := g.desk.timeline(ctx, id)
		if err != nil {
			return false
		}
		count = 0
		for _, e := range entries {
			if e.Fact.Type() == callback.TypeReminded {
				count++
			}
		}
		return count >= 2
	})
	if err != nil {
		return fmt.Errorf("R10: reminded %d times: %w", count, err)
	}
	g.held("R10", "everybody is chased, again and again")
	return nil
}

// ended checks the end of a callback and lets an auditor replay it.
func (g *guide) ended(ctx context.Context, id, by, owner string) error {
	c, err := g.desk.get(ctx, id)
	if err != nil {
		return err
	}
	if c.Status != callback.StatusCompleted || c.CallbackRequired || c.tagged(requiredTag) || c.CompletedBy != by || c.Owner != owner {
		return fmt.Errorf("R08: expected it completed by %s, owned by %s, tag off; got %s by %q, owned by %q, tags %v", by, owner, c.Status, c.CompletedBy, c.Owner, c.Tags)
	}
	g.held("R08", "the manager took the tag off; R09 only now that the customer was served")
	var verdict struct {
		OK             bool   `json:"ok"`
		Events         int    `json:"events"`
		OutcomeMatches bool   `json:"outcome_matches"`
		Detail         string `json:"detail"`
	}
	if err := g.desk.do(ctx, auditor, http.MethodPost, "/v1/callbacks/"+id+"/replay", nil, &verdict); err != nil {
		return err
	}
	if !verdict.OK || !verdict.OutcomeMatches {
		return fmt.Errorf("R24: the replay does not hold: %s", verdict.Detail)
	}
	g.held("R24", "%d events of history replayed: same outcome. %s", verdict.Events, verdict.Detail)
	return nil
}

// A step is one call with what is expected of it.
type step interface {
	play(ctx context.Context, g *guide) error
}

type accepted struct {
	who, path string
	body      body
}

type refusal struct {
	who, path string
	body      body
	code      string
	rule      string
}

func (s accepted) play(ctx context.Context, g *guide) error {
	return g.desk.do(ctx, s.who, http.MethodPost, s.path, s.body, nil)
}

func (s refusal) play(ctx context.Context, g *guide) error {
	if err := g.desk.refused(ctx, s.who, http.MethodPost, s.path, s.body, s.code); err != nil {
		return err
	}
	g.say("  ✓ %s (%s for %s)", s.rule, s.code, s.who)
	return nil
}

func (g *guide) steps(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		if err := s.play(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func short(id string) string { return id[len(id)-4:] }

type body map[string]any

// item is what the tour reads of a callback.
type item struct {
	ID               string           `json:"id"`
	Status           callback.Status  `json:"status"`
	Tier             string           `json:"tier"`
	Queue            string           `json:"queue"`
	Owner            string           `json:"owner"`
	Assignee         string           `json:"assignee"`
	Tags             []string         `json:"tags"`
	CallbackRequired bool             `json:"callback_required"`
	RequestedAt      callback.Instant `json:"requested_at"`
	DueAt            callback.Instant `json:"due_at"`
	ContactedAt      callback.Instant `json:"contacted_at"`
	Overdue          bool             `json:"overdue"`
	CompletedBy      string           `json:"completed_by"`
	Version          int64            `json:"version"`
}

func (c item) tagged(tag string) bool {
	for _, t := range c.Tags {
		if t == tag {
			return true
		}
	}
	return false
}
