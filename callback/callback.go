package callback

import "slices"

// Status is where a callback stands (CONTRACT §1). Held and overdue are flags
// beside it, a tier is no status.
type Status string

// The statuses, in the order of a callback's life.
const (
	StatusScheduled  Status = "scheduled"
	StatusQueued     Status = "queued"
	StatusClaimed    Status = "claimed"
	StatusInProgress Status = "in_progress"
	StatusCompleted  Status = "completed"
	StatusCancelled  Status = "cancelled"
)

// Statuses lists every status in the order of a callback's life.
var Statuses = []Status{StatusScheduled, StatusQueued, StatusClaimed, StatusInProgress, StatusCompleted, StatusCancelled}

// Closed reports whether nothing can happen any more.
func (s Status) Closed() bool { return s == StatusCompleted || s == StatusCancelled }

// Callback is the whole state of one promise to call a customer: what its
// events fold to. Nothing personal is in it (R26).
type Callback struct {
	ID     string `json:"id"`
	Policy string `json:"policy"`
	Status Status `json:"status"`
	Place

	// Owner is accountable to the end, Assignee makes the next call (R05); empty: nobody.
	Owner    string `json:"owner,omitempty"`
	Assignee string `json:"assignee,omitempty"`
	// OwnerTier is the index of the tier at which Owner became it.
	OwnerTier int `json:"owner_tier,omitempty"`
	// Former had it when the clock escalated, and may still record the contact and
	// complete until somebody of the new tier takes over (R11).
	Former string `json:"former,omitempty"`
	// LastAssignee had it last; a draw prefers others.
	LastAssignee string `json:"last_assignee,omitempty"`

	RequestedAt  Instant `json:"requested_at"`
	RequestedBy  string  `json:"requested_by"`
	ScheduledFor Instant `json:"scheduled_for"`
	Parent       string  `json:"parent,omitempty"`

	// DueAt is the promise at this tier (R02); WarnAt the warnings still to come.
	DueAt  Instant   `json:"due_at"`
	WarnAt []Instant `json:"warn_at,omitempty"`
	// StartBy sends a claimed callback back to its queue.
	StartBy Instant `json:"start_by,omitzero"`
	// ChaseAt is the next reminder, ChaseEvery the pause after it (R10).
	ChaseAt    Instant  `json:"chase_at,omitzero"`
	ChaseEvery Duration `json:"chase_every,omitempty"`
	Reminders  int      `json:"reminders,omitempty"`

	WarnedAt      Instant `json:"warned_at"`    // this tier's
	ContactedAt   Instant `json:"contacted_at"` // this tier's (R06)
	NextAttemptAt Instant `json:"next_attempt_at"`
	BreachedAt    Instant `json:"breached_at"` // the latest promise missed
	// Breached: this tier's promise has passed unmet.
	Breached bool `json:"breached,omitempty"`
	// Overdue: past due_at unmet, at the last tier (R10).
	Overdue bool `json:"overdue,omitempty"`

	Hold             *Hold   `json:"hold,omitempty"`
	CustomerCalledAt Instant `json:"customer_called_at,omitzero"`

	Attempts    int `json:"attempts"`
	Unreached   int `json:"unreached,omitempty"` // attempts that reached nobody, over all tiers
	Escalations int `json:"escalations"`
	// Summaries are the authors of call summaries at this tier (R12).
	Summaries []string `json:"summaries,omitempty"`

	Tags             []string `json:"tags,omitempty"`
	CallbackRequired bool     `json:"callback_required"` // the policy's tag is on (R09)
	// PutBackAt is when a tag that was taken off by hand was last put back (R09).
	PutBackAt Instant   `json:"put_back_at,omitzero"`
	Promises  []Outcome `json:"promises,omitempty"`

	// Outage is the one that it is linked to (R23).
	Outage string `json:"outage,omitempty"`
	// Owed could not be brought to other systems yet: one for each destination.
	Owed []Debt `json:"owed,omitempty"`

	ResolutionReason string  `json:"resolution_reason,omitempty"`
	ClosedAt         Instant `json:"closed_at,omitzero"`
	ClosedBy         string  `json:"closed_by,omitempty"`
	Served           bool    `json:"served,omitempty"`

	// Version is the Seq of the last event; UpdatedAt its instant.
	Version   int64   `json:"version"`
	UpdatedAt Instant `json:"updated_at"`
}

// Hold is the clock standing still.
type Hold struct {
	Since Instant `json:"since"`
	Until Instant `json:"until"`
	// Remaining working time of the promise, and until its warnings.
	Remaining Duration   `json:"remaining"`
	WarnIn    []Duration `json:"warn_in,omitempty"`
	// CountsFrom is the instant from which the promise counts at the earliest: Since,
	// or the time that the customer had asked for and that had not come yet. Zero:
	// not recorded (before EditionWorkingHolds).
	CountsFrom Instant `json:"counts_from,omitzero"`
	// Outage is the one for which it stands still (R23); empty: somebody held it.
	Outage string `json:"outage,omitempty"`
}

// Debt is an event that could not be brought to a destination yet; what follows
// it waits.
type Debt struct {
	Destination string  `json:"destination"`
	Seq         int64   `json:"seq"`
	Code        string  `json:"code"`
	Since       Instant `json:"since"`
}

// Outcome is what became of the promise of one tier. One promise per tier: it
// is what attainment counts (CONTRACT §4, stats).
type Outcome struct {
	TierIndex int     `json:"tier_index"`
	Tier      string  `json:"tier"`
	Queue     string  `json:"queue"`
	MadeAt    Instant `json:"made_at"`
	DueAt     Instant `json:"due_at"`
	Result    Result  `json:"result"`
	At        Instant `json:"at"`
	// LateBy is set where the promise was missed.
	LateBy Party `json:"late_by,omitempty"`
}

// Result is how a promise ended.
type Result string

// How a promise ends. A dropped one was replaced by that of a higher tier
// before its time and counts neither way.
const (
	ResultOpen    Result = "open"
	ResultKept    Result = "kept"
	ResultMissed  Result = "missed"
	ResultDropped Result = "dropped"
)

// Held reports whether the clock stands still.
func (c *Callback) Held() bool { return c.Hold != nil }

// Clone returns a deep copy.
func (c *Callback) Clone() *Callback {
	d := *c
	d.WarnAt = slices.Clone(c.WarnAt)
	d.Summaries = slices.Clone(c.Summaries)
	d.Tags = slices.Clone(c.Tags)
	d.Promises = slices.Clone(c.Promises)
	d.Owed = slices.Clone(c.Owed)
	if c.Hold != nil {
		h := *c.Hold
		h.WarnIn = slices.Clone(c.Hold.WarnIn)
		d.Hold = &h
	}
	return &d
}

// Debt returns what is owed to a destination; false: nothing is.
func (c *Callback) Debt(destination string) (Debt, bool) {
	i := slices.IndexFunc(c.Owed, func(d Debt) bool { return d.Destination == destination })
	if i < 0 {
		return Debt{}, false
	}
	return c.Owed[i], true
}

// promise returns the promise of the current tier.
func (c *Callback) promise() *Outcome {
	if n := len(c.Promises); n > 0 {
		return &c.Promises[n-1]
	}
	return &Outcome{}
}
