package callback

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy is a kind of callback: its ladder of tiers and promises, its calendar,
// what it takes to complete. It is pinned into a callback when that starts, so
// editing a policy never moves a running one.
type Policy struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// Calendar in which TATs, warnings and start_within count; nil is around the clock.
	Calendar *Calendar `json:"calendar,omitempty"`
	Tag      TagRule   `json:"tag,omitzero"`
	// Ladder has at least one step; escalation climbs it in order.
	Ladder []Step `json:"ladder"`
	// Overdue chases a callback whose last tier has missed its TAT (R10); nil: no reminders.
	Overdue *ChaseRule `json:"overdue,omitempty"`
	// CloseWithin is how long after contact a callback may stay open before it is
	// chased like an overdue one (R10), by the wall clock; 0: it is not chased.
	CloseWithin Duration `json:"close_within,omitempty"`
	// HoldMax is the longest hold, by the wall clock; 0 means DefaultHoldMax.
	HoldMax    Duration       `json:"hold_max,omitempty"`
	Attempts   AttemptRule    `json:"attempts,omitzero"`
	Completion CompletionRule `json:"completion,omitzero"`
	// Fields that a request of this policy carries (R22).
	Fields []Field `json:"fields,omitempty"`
	// Reasons are the resolution reasons, in the order in which they are offered (R17).
	Reasons []Reason `json:"resolution_reasons"`
	// CancelRank is the rank from which anybody may cancel: that of the manager tier.
	CancelRank int `json:"cancel_rank,omitempty"`
	// Outage says what a system outage does to the callbacks that it affects (R23).
	Outage OutageRule `json:"outage,omitzero"`
	// Edition is that of the rules by which a callback is played: those that it was
	// promised under, so that its history replays as it was recorded (R24). Set by
	// Pin; 0: the first.
	Edition int `json:"edition,omitempty"`
}

// The editions of the rules.
const (
	// EditionWorkingHolds: a hold remembers from when its promise counts (R27),
	// start_within stands still in working time, and who had claimed without having
	// started when the clock escalated is the former assignee too (R11).
	EditionWorkingHolds = 1

	currentEdition = EditionWorkingHolds
)

// OutageRule is what a system outage does to a callback besides linking it.
type OutageRule struct {
	// Hold: its clock stands still meanwhile, for as long as a hold may last.
	Hold bool `json:"hold,omitempty"`
}

// DefaultHoldMax caps a hold where the policy says nothing: a hold without a
// cap would be a way to forget a promise.
const DefaultHoldMax = Duration(24 * time.Hour)

// TagRule says which tag a ticket wears (R03, R08, R09). Without Required the
// policy has no tag and callback_required is always false.
type TagRule struct {
	// Required is on exactly while the callback is open.
	Required string `json:"required,omitempty"`
	// Done replaces it when the customer was served; empty: it is just removed.
	Done string `json:"done,omitempty"`
	// Unserved replaces it when the callback closed without service.
	Unserved string `json:"unserved,omitempty"`
}

// Step is one rung: a tier with its queue and its promise.
type Step struct {
	Tier string `json:"tier"`
	// Rank of the tier; a higher one outranks (R05, R07).
	Rank  int    `json:"rank"`
	Queue string `json:"queue"`
	// QueueByLOB overrides Queue by line of business (R03). Resolved by Pin.
	QueueByLOB map[string]string `json:"queue_by_lob,omitempty"`
	// TAT is the promise, 1 s or longer, in working time of the policy's calendar.
	TAT Duration `json:"tat"`
	// WarnAt: "50%" of the TAT gone, or a duration before its end ("10m").
	WarnAt []Warning `json:"warn_at,omitempty"`
	Assign Assign    `json:"assign"`
	// AssignTo is the staff id of a direct assignment (R20), or the requester's
	// direct supervisor once pinned (R19).
	AssignTo string `json:"assign_to,omitempty"`
	// StartWithin sends a claimed but unstarted callback back to its queue, after
	// that much working time; 0: never.
	StartWithin Duration `json:"start_within,omitempty"`
}

// Assign is how a tier's callbacks find their assignee.
type Assign string

// The ways of assigning (CONTRACT §3).
const (
	AssignPull             Assign = "pull"
	AssignRandom           Assign = "random"
	AssignRoundRobin       Assign = "round_robin"
	AssignLeastLoaded      Assign = "least_loaded"
	AssignDirectSupervisor Assign = "direct_supervisor"
	AssignDirect           Assign = "direct"
)

// Draws reports whether an assignee is drawn from the queue's members.
func (a Assign) Draws() bool {
	return a == AssignRandom || a == AssignRoundRobin || a == AssignLeastLoaded
}

// Valid reports whether a is one of the ways of assigning.
func (a Assign) Valid() bool {
	return a.Draws() || a == AssignPull || a == AssignDirectSupervisor || a == AssignDirect
}

// ChaseRule is a repeating reminder: first after Every, then doubling up to Max.
type ChaseRule struct {
	Every Duration `json:"remind_every"`
	Max   Duration `json:"max"`
}

// AttemptRule spaces calls out. Neither value refuses anything: Spacing sets
// next_attempt_at, Max warns once.
type AttemptRule struct {
	Max     int      `json:"max,omitempty"`
	Spacing Duration `json:"spacing,omitempty"`
}

// CompletionRule is what completing takes besides a resolution reason, which
// it always takes (R17).
type CompletionRule struct {
	Contact     bool `json:"contact,omitempty"`      // R09: the customer was reached at this tier
	CallSummary bool `json:"call_summary,omitempty"` // R12
}

// Field is a member of a request's `fields` (R22).
type Field struct {
	Name     string `json:"name"`
	Title    string `json:"title,omitempty"`
	Required bool   `json:"required,omitempty"`
	// Pattern is an RE2 expression that the whole value must match; empty: any.
	Pattern string `json:"pattern,omitempty"`
}

// Reason is a resolution reason: why a callback could be closed.
type Reason struct {
	Code  string `json:"code"`
	Title string `json:"title"`
	// WithoutContact closes without service (needs_contact: false in the
	// configuration): the promise counts as not kept (R09).
	WithoutContact bool `json:"without_contact,omitempty"`
	// AfterAttempts is how many attempts must have reached nobody first.
	AfterAttempts int `json:"after_attempts,omitempty"`
}

// Warning is when to warn before a TAT passes: "50%" of it gone, or a Go
// duration before its end, 1s or longer.
type Warning string

// After returns how much of tat has gone when the warning is due. The error
// says what is expected.
func (w Warning) After(tat Duration) (Duration, error) {
	s := string(w)
	if percent, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(p > 0 && p < 100) {
			return 0, fmt.Errorf("warn_at %q: expected a percentage above 0%% and below 100%%", s)
		}
		return Duration(float64(tat) * p / 100), nil
	}
	before, err := time.ParseDuration(s)
	if err != nil || before < time.Second || before >= time.Duration(tat) {
		return 0, fmt.Errorf("warn_at %q: expected a percentage like \"50%%\", or a duration of 1s or longer, but shorter than the TAT of %s", s, tat)
	}
	return tat - Duration(before), nil
}

// Validate reports the first thing wrong with the policy, in words for whoever
// wrote it. Whether queues have members is the configuration's to check.
func (p *Policy) Validate() error {
	if p.Name == "" {
		return fmt.Errorf("a policy needs a name")
	}
	if p.Calendar != nil {
		if err := p.Calendar.Validate(); err != nil {
			return fmt.Errorf("calendar: %w", err)
		}
	}
	if p.Tag.Required == "" && (p.Tag.Done != "" || p.Tag.Unserved != "") {
		return fmt.Errorf("tag: done and unserved replace a required tag, and there is none")
	}
	if p.Tag.Required != "" && (p.Tag.Done == p.Tag.Required || p.Tag.Unserved == p.Tag.Required) {
		return fmt.Errorf("tag: done and unserved must differ from required, which is on only while the callback is open (R09)")
	}
	if len(p.Ladder) == 0 {
		return fmt.Errorf("ladder: expected at least one step")
	}
	for i := range p.Ladder {
		if err := p.Ladder[i].validate(); err != nil {
			return fmt.Errorf("ladder[%d]: %w", i, err)
		}
		if i > 0 && p.Ladder[i].Rank < p.Ladder[i-1].Rank {
			return fmt.Errorf("ladder[%d]: tier %s ranks below %s; a ladder only climbs (R07)", i, p.Ladder[i].Tier, p.Ladder[i-1].Tier)
		}
	}
	if o := p.Overdue; o != nil && (o.Every < Duration(time.Second) || o.Max < o.Every) {
		return fmt.Errorf("overdue: expected remind_every of 1s or longer, and max no shorter than it")
	}
	if !p.CloseWithin.optional() || !p.HoldMax.optional() || !p.Attempts.Spacing.optional() {
		return fmt.Errorf("close_within, hold.max and attempts.spacing: expected 1s or longer, where given")
	}
	if p.Attempts.Max < 0 {
		return fmt.Errorf("attempts.max: cannot be negative")
	}
	if p.CloseWithin > 0 && p.Overdue == nil {
		return fmt.Errorf("close_within: it is chased as overdue says, and there is no overdue block")
	}
	if err := p.validateFields(); err != nil {
		return err
	}
	return p.validateReasons()
}

func (s *Step) validate() error {
	switch {
	case s.Tier == "":
		return fmt.Errorf("expected a tier")
	case s.Queue == "":
		return fmt.Errorf("expected a queue")
	case s.TAT < Duration(time.Second):
		return fmt.Errorf("tat: expected 1s or longer")
	case !s.StartWithin.optional():
		return fmt.Errorf("start_within: expected 1s or longer, where given")
	case !s.Assign.Valid():
		return fmt.Errorf("assign: expected pull, random, round_robin, least_loaded, direct_supervisor or direct: STAFF_ID")
	case s.Assign == AssignDirect && s.AssignTo == "":
		return fmt.Errorf("assign: direct needs a staff id")
	case s.AssignTo != "" && s.Assign != AssignDirect && s.Assign != AssignDirectSupervisor:
		return fmt.Errorf("assign: %s names nobody", s.Assign)
	}
	for _, w := range s.WarnAt {
		if _, err := w.After(s.TAT); err != nil {
			return err
		}
	}
	return nil
}

func (p *Policy) validateFields() error {
	seen := map[string]bool{}
	for i, f := range p.Fields {
		if f.Name == "" || seen[f.Name] {
			return fmt.Errorf("fields[%d]: expected a name of its own", i)
		}
		seen[f.Name] = true
		if _, err := regexp.Compile(f.Pattern); err != nil {
			return fmt.Errorf("fields[%d]: pattern: %w", i, err)
		}
		if _, err := f.whole(); err != nil { // as in \Q without its \E
			return fmt.Errorf("fields[%d]: pattern: %w", i, err)
		}
	}
	return nil
}

func (p *Policy) validateReasons() error {
	if len(p.Reasons) == 0 {
		return fmt.Errorf("resolution_reasons: expected at least one; nothing could be completed (R17)")
	}
	seen := map[string]bool{}
	for i, r := range p.Reasons {
		if r.Code == "" || seen[r.Code] {
			return fmt.Errorf("resolution_reasons[%d]: expected a code of its own", i)
		}
		seen[r.Code] = true
		if r.AfterAttempts < 0 {
			return fmt.Errorf("resolution_reasons[%d]: after_attempts cannot be negative", i)
		}
	}
	return nil
}

// Pin returns the policy as one callback will carry it: queues chosen for its
// line of business, and the direct supervisor of its requester named (R19;
// empty: the step is pulled), with the current edition of the rules. Neither the line of business nor anything else of
// the request is in it (R26).
func (p *Policy) Pin(lob, directSupervisor string) *Policy {
	pinned := *p
	pinned.Edition = currentEdition
	pinned.Ladder = make([]Step, len(p.Ladder))
	for i, s := range p.Ladder {
		if q, ok := s.QueueByLOB[lob]; ok {
			s.Queue = q
		}
		s.QueueByLOB = nil
		if s.Assign == AssignDirectSupervisor {
			s.AssignTo = directSupervisor
			if directSupervisor == "" {
				s.Assign = AssignPull
			}
		}
		pinned.Ladder[i] = s
	}
	return &pinned
}

// Route returns a pinned policy with another queue at its first step, and with
// whom that step assigns to; empty: as the policy says (R14, R20).
func (p *Policy) Route(queue, assignTo string) *Policy {
	if queue == "" && assignTo == "" {
		return p
	}
	routed := *p
	routed.Ladder = slices.Clone(p.Ladder)
	first := &routed.Ladder[0]
	if queue != "" {
		first.Queue = queue
	}
	if assignTo != "" {
		first.Assign, first.AssignTo = AssignDirect, assignTo
	}
	return &routed
}

// CheckFields reports what is wrong with a request's fields (R22): a required
// one missing, a value that does not match, a name the policy does not know.
func (p *Policy) CheckFields(values map[string]string) []FieldError {
	var wrong []FieldError
	known := map[string]bool{}
	for _, f := range p.Fields {
		known[f.Name] = true
		v, given := values[f.Name]
		switch {
		case f.Required && strings.TrimSpace(v) == "":
			wrong = append(wrong, FieldError{"fields." + f.Name, "is required by this policy"})
		case given && v != "" && !f.matches(v):
			wrong = append(wrong, FieldError{"fields." + f.Name, "expected a value that matches " + f.Pattern})
		}
	}
	unknown := make([]string, 0)
	for name := range values {
		if !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		wrong = append(wrong, FieldError{"fields." + name, "is not a field of this policy"})
	}
	return wrong
}

func (f *Field) matches(v string) bool {
	if f.Pattern == "" {
		return true
	}
	re, err := f.whole()
	return err == nil && re.MatchString(v)
}

// whole is the pattern made to match nothing but a whole value.
func (f *Field) whole() (*regexp.Regexp, error) { return regexp.Compile(`^(?:` + f.Pattern + `)$`) }

// Reason returns the resolution reason of that code.
func (p *Policy) Reason(code string) (Reason, bool) {
	for _, r := range p.Reasons {
		if r.Code == code {
			return r, true
		}
	}
	return Reason{}, false
}

func (p *Policy) holdMax() Duration {
	if p.HoldMax > 0 {
		return p.HoldMax
	}
	return DefaultHoldMax
}
