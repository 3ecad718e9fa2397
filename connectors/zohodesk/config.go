package zohodesk

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/nyaruka/phonenumbers"

	"ringback/callback"
	"ringback/connectors/wire"
)

// Config is the block connectors.zohodesk (CONTRACT §6).
type Config struct {
	// URL of Zoho Desk and AccountsURL of Zoho's sign-in, of the organization's data
	// centre (url, accounts_url): https://desk.zoho.com and https://accounts.zoho.com.
	URL, AccountsURL string
	// OrgID and DepartmentID are Zoho Desk's ids (org_id, department_id).
	OrgID, DepartmentID string
	// Secrets: client_id_env, client_secret_env, refresh_token_env.
	ClientID, ClientSecret, RefreshToken string

	// Tasks are the policies whose callbacks get a task (tasks); none: all that are
	// not in Tickets. Tickets are those whose callbacks are tickets (tickets).
	Tasks, Tickets []string
	// FromTickets is the policy of callbacks that tickets become which are added in
	// TicketsDepartmentID (from_tickets, tickets_department_id; empty: no ticket does,
	// and DepartmentID).
	FromTickets, TicketsDepartmentID string
	// DefaultRegion reads national phone numbers, like US (default_region).
	DefaultRegion string

	// Statuses and TicketStatuses are Zoho's words for ours: scheduled, queued,
	// claimed, in_progress, held, completed, cancelled (statuses, ticket_statuses). The
	// picklists vary by team; what is left out is as in defaultStatuses.
	Statuses, TicketStatuses map[string]string
	// ResolutionField is the custom field with the resolution reason of a task, like
	// cf_resolution_reason (resolution_field); ResolutionReasons are our codes by its
	// values, where they differ (resolution_reasons); DefaultReason is for a task
	// without one (default_resolution_reason; empty: the desk refuses it).
	ResolutionField   string
	ResolutionReasons map[string]string
	DefaultReason     string
	// SummaryField is the custom field with the call summary that a task is completed
	// with (summary_field); CallbackField gets the callback's id (callback_field).
	SummaryField, CallbackField string
	// WithholdCustomer keeps the customer's name, number and reason out of Zoho
	// (withhold_customer).
	WithholdCustomer bool

	// WebhookURL is where Zoho reaches /v1/inbound/zohodesk: the subscription is made and
	// kept alive (webhook_url). Or WebhookID is one that somebody made by hand
	// (webhook_id). Without either no event is taken.
	WebhookURL, WebhookID string
	// SourceID marks our own changes, a UUID, so that they come back as no events
	// (source_id; empty: one made of OrgID).
	SourceID string

	// PollEvery is how often changed tasks are asked for (poll_every; 0: 2 minutes),
	// SweepEvery how often open tickets and the subscription are looked at (sweep_every;
	// 0: 10 minutes).
	PollEvery, SweepEvery callback.Duration
	// Concurrency is how many calls are under way at once (concurrency; 0: 10), and
	// CallsPerMinute how many are made (calls_per_minute; 0: no limit of our own).
	Concurrency, CallsPerMinute int
	// Timeout of one call (timeout; 0: 20 s).
	Timeout callback.Duration
}

// Our statuses, as they are named in the configuration: a callback's, and held.
const statusHeld = "held"

var defaultStatuses = map[kind]map[string]string{
	tasks: {
		string(callback.StatusScheduled): "Not Started", string(callback.StatusQueued): "Not Started",
		string(callback.StatusClaimed): "Not Started", string(callback.StatusInProgress): "In Progress", statusHeld: "Pending",
		string(callback.StatusCompleted): "Completed", string(callback.StatusCancelled): "Out of Scope",
	},
	tickets: {
		string(callback.StatusScheduled): "On Hold", string(callback.StatusQueued): "Open", string(callback.StatusClaimed): "Open",
		string(callback.StatusInProgress): "Open", statusHeld: "On Hold",
		string(callback.StatusCompleted): "Closed", string(callback.StatusCancelled): "Closed",
	},
}

// Validate reports everything that is wrong with the configuration: a
// *callback.Fault with a path below connectors.zohodesk for each.
func (c *Config) Validate() error {
	var wrong []callback.FieldError
	say := func(path, format string, args ...any) {
		wrong = append(wrong, callback.FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	for path, address := range map[string]string{"url": c.URL, "accounts_url": c.AccountsURL} {
		if !wire.Address(address) {
			say(path, "expected an address like https://desk.zoho.com")
		}
	}
	if c.WebhookURL != "" && !wire.Address(c.WebhookURL) {
		say("webhook_url", "expected the address at which Zoho reaches /v1/inbound/zohodesk")
	}
	for path, id := range map[string]string{"org_id": c.OrgID, "department_id": c.DepartmentID} {
		if !wire.Digits(id) {
			say(path, "expected an id of digits")
		}
	}
	for path, id := range map[string]string{"tickets_department_id": c.TicketsDepartmentID, "webhook_id": c.WebhookID} {
		if id != "" && !wire.Digits(id) {
			say(path, "expected an id of digits")
		}
	}
	for path, secret := range map[string]string{
		"client_id_env": c.ClientID, "client_secret_env": c.ClientSecret, "refresh_token_env": c.RefreshToken,
	} {
		if secret == "" {
			say(path, "expected the name of an environment variable that is set")
		}
	}
	for _, p := range c.Tasks {
		if slices.Contains(c.Tickets, p) {
			say("tickets", "expected %s here or among the tasks, not both", p)
		}
	}
	for path, words := range map[string]map[string]string{"statuses": c.Statuses, "ticket_statuses": c.TicketStatuses} {
		for _, ours := range slices.Sorted(maps.Keys(words)) {
			if _, known := defaultStatuses[tasks][ours]; !known {
				say(path+"."+ours, "expected scheduled, queued, claimed, in_progress, held, completed or cancelled")
			} else if words[ours] == "" {
				say(path+"."+ours, "expected a status of Zoho Desk")
			}
		}
	}
	if c.SourceID != "" && uuid.Validate(c.SourceID) != nil {
		say("source_id", "expected a UUID")
	}
	if c.DefaultRegion != "" && !phonenumbers.GetSupportedRegions()[c.DefaultRegion] {
		say("default_region", "expected a region like US")
	}
	for path, d := range map[string]callback.Duration{"poll_every": c.PollEvery, "sweep_every": c.SweepEvery, "timeout": c.Timeout} {
		if d < 0 {
			say(path, "expected a duration like 2m")
		}
	}
	for path, n := range map[string]int{"concurrency": c.Concurrency, "calls_per_minute": c.CallsPerMinute} {
		if n < 0 {
			say(path, "cannot be negative")
		}
	}
	return wire.Wrong(wrong)
}

// words are Zoho's statuses of a kind, by ours.
func (c *Config) words(k kind) map[string]string {
	words := maps.Clone(defaultStatuses[k])
	switch k {
	case tasks:
		maps.Copy(words, c.Statuses)
	case tickets:
		maps.Copy(words, c.TicketStatuses)
	}
	return words
}
