// Package servicebench takes the exceptions of a field-service system and gives
// back what becomes of them (R14, R16, R18).
//
// ServiceBench has no public interface with exceptions in it, so this is a
// neutral one: exceptions come in as signed webhooks and as CSV files in a
// directory, and status and completion go back as signed webhooks. The rule of
// the procedure holds in both: what exists and is not complete is not made twice.
package servicebench

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/phone"
	"ringback/connectors/signed"
	"ringback/connectors/wire"
)

// name of the connector, of its block in the configuration, and of people's identities there.
const name = "servicebench"

// Config is the block `servicebench` of the configuration.
type Config struct {
	// Secret signs both ways (Standard Webhooks, "whsec_…"); several with spaces
	// between while it is being replaced.
	Secret string
	// Sources are the values of an exception's source that are taken; none: "servicebench".
	Sources []string
	// DropDir is where CSV files are dropped; empty: none are.
	DropDir string
	// Poll is how often it is looked into; 0: 5 s.
	Poll time.Duration
	// TimeZone of times without an offset, in files; empty: there must be one.
	TimeZone string
	// Regions are those of phone numbers without a country code, like "IN", most
	// likely first.
	Regions []string
	// Routes say which callback an exception becomes: the first that matches (R14).
	Routes []Route
	// Completed says what an exception's Complete is here (R18).
	Completed Completed
	// URL takes status and completion; empty: they are not sent.
	URL string
	// Comment sends the call summary along with a completion.
	Comment bool
	// Client sends; nil: an ordinary one.
	Client *http.Client
}

// Route is one way of an exception to a queue.
type Route struct {
	// ExceptionType and UserID match whole values; "*" is any text, "?" any
	// character, upper and lower case are the same. Empty: any.
	ExceptionType string
	UserID        string
	Policy        string
	// Queue overrides the policy's first; empty: the policy's.
	Queue string
	// LOB is the callback's line of business; empty: none.
	LOB string
}

// Completed is how an exception that was completed there is completed here.
type Completed struct {
	// ResolutionReason is one of the policy's; empty: a person decides (the message is kept).
	ResolutionReason string
	// Reached: to complete it there means that the customer was reached; it is
	// recorded here as an attempt of whoever completed it. Otherwise a callback that
	// needs a contact and has none stays open (R09).
	Reached bool
}

// Connector speaks to ServiceBench.
type Connector struct {
	config  Config
	deps    connectors.Deps
	key     *signed.Key
	client  *http.Client
	zone    *time.Location
	routes  []route
	sources []string
	// locks keep one process from doing two things with one exception, or one job, at once:
	// the registers would sort it out, but by doing it again.
	locks wire.Keyed
	turns wire.Turns
}

type route struct {
	Route
	exceptionType, userID *regexp.Regexp
}

// New checks the configuration; a mistake in it is a *callback.Fault that names the key.
func New(c Config, deps connectors.Deps) (*Connector, error) {
	made := &Connector{config: c, deps: wire.Complete(deps), client: c.Client, sources: c.Sources}
	made.turns.Deps, made.turns.Connector, made.turns.Most = made.deps, name, longest
	if made.client == nil {
		made.client = signed.Client()
	}
	if len(made.sources) == 0 {
		made.sources = []string{name}
	}
	if made.config.Poll <= 0 {
		made.config.Poll = 5 * time.Second
	}
	var err error
	if made.key, err = signed.ParseKey(c.Secret); err != nil {
		return nil, callback.Invalid("secret_env", "%s", err.Error())
	}
	for i, s := range made.sources {
		if s == "" || len(s) > 100 || strings.ContainsAny(s, ": \t\n") || slices.Contains(made.sources[:i], s) {
			return nil, callback.Invalid(fmt.Sprintf("sources[%d]", i), "expected a name of its own, without colons and spaces")
		}
	}
	for i, r := range c.Regions {
		if !phone.Known(r) {
			return nil, callback.Invalid(fmt.Sprintf("regions[%d]", i), `expected a country of two capital letters, like "IN"`)
		}
	}
	if c.TimeZone != "" {
		if made.zone, err = time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "Local" {
			return nil, callback.Invalid("time_zone", "expected a time zone of the IANA database, like Asia/Kolkata")
		}
	}
	if len(c.Routes) == 0 {
		return nil, callback.Invalid("routes", "expected at least one: without it no exception becomes a callback (R14)")
	}
	for i, r := range c.Routes {
		if r.Policy == "" {
			return nil, callback.Invalid(fmt.Sprintf("routes[%d].policy", i), "expected the name of a policy")
		}
		made.routes = append(made.routes, route{Route: r, exceptionType: pattern(r.ExceptionType), userID: pattern(r.UserID)})
	}
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
			return nil, callback.Invalid("url", "expected an http or https address, without a user")
		}
	}
	if c.Completed.Reached && c.Completed.ResolutionReason == "" {
		return nil, callback.Invalid("completed.resolution_reason", "expected one of the policy's reasons beside reached (R17)")
	}
	return made, nil
}

// pattern makes a regular expression of a value with wildcards.
func pattern(s string) *regexp.Regexp {
	if s == "" {
		s = "*"
	}
	quoted := regexp.QuoteMeta(s)
	quoted = strings.ReplaceAll(quoted, `\*`, `.*`)
	quoted = strings.ReplaceAll(quoted, `\?`, `.`)
	return regexp.MustCompile(`(?is)^` + quoted + `$`)
}

// route returns the first that matches (R14).
func (c *Connector) route(x *Exception) (Route, bool) {
	for _, r := range c.routes {
		if r.exceptionType.MatchString(x.ExceptionType) && r.userID.MatchString(x.UserID) {
			return r.Route, true
		}
	}
	return Route{}, false
}

// Name implements connectors.Connector.
func (c *Connector) Name() string { return name }
