package servicebench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ringback/callback"
	"ringback/connectors/plain"
)

// Schema is the version of the form of an exception that is understood.
const Schema = "1"

// Exception is one exception of a field-service system, as one message or one
// row of a file says it (CONTRACT §6).
type Exception struct {
	// Schema is the version of this form: Schema.
	Schema string `json:"schema"`
	// Source is the system that it comes from; with ExceptionID it is its identity.
	Source        string `json:"source"`
	ExceptionID   string `json:"exception_id"`
	ExceptionType string `json:"exception_type"`
	Status        Status `json:"status"`
	// ServiceJobID is the job that it is about; of one job and type one is worked at a time (R14).
	ServiceJobID string `json:"service_job_id"`
	CRMNumber    string `json:"crm_number"`
	// UserID is under which it was raised, or was changed last.
	UserID    string           `json:"user_id"`
	CreatedAt callback.Instant `json:"created_at"`
	// UpdatedAt orders what is said of one exception.
	UpdatedAt callback.Instant `json:"updated_at"`
	Comment   string           `json:"comment"`
	Customer  Customer         `json:"customer"`
}

// Customer is whom to call.
type Customer struct {
	Name string `json:"name"`
	// Phones in the order in which to try them, in any form.
	Phones                 []string `json:"phones"`
	PreferredContactMethod string   `json:"preferred_contact_method"`
	// TimeZone is an IANA name.
	TimeZone string `json:"time_zone"`
}

// Status is where an exception stands there.
type Status string

// The statuses.
const (
	Open       Status = "Open"
	InProgress Status = "In Progress"
	Pending    Status = "Pending"
	FollowUp   Status = "Follow Up"
	Complete   Status = "Complete"
)

// Statuses lists every status.
var Statuses = []Status{Open, InProgress, Pending, FollowUp, Complete}

// status reads one however it is spelt: "in_progress" is "In Progress".
func status(s string) (Status, bool) {
	fold := func(s string) string {
		return strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(s))
	}
	for _, known := range Statuses {
		if fold(s) == fold(string(known)) {
			return known, true
		}
	}
	return "", false
}

// The lengths that are stored, in bytes.
const (
	maxID      = 200
	maxName    = 200
	maxComment = 3000
	maxPhones  = 10
	maxPhone   = 40
)

// first is version 1, however it is spelt: 1, "v1", "exception/1", "exception.v1", "1.0".
var first = regexp.MustCompile(`(?i)^(?:.*[/_:@-]|.*\.v)?v?1(?:\.\d+)?$`)

// members of an exception, and of its customer, with what reads each.
type member struct {
	name string
	read func(x *Exception, raw json.RawMessage) error
}

var members = []member{
	{"schema", func(x *Exception, raw json.RawMessage) error {
		said, err := word(raw, maxID)
		if err != nil {
			return err
		}
		if said == "" {
			return nil
		}
		if !first.MatchString(said) {
			return fmt.Errorf("expected version %s: no other is known here", Schema)
		}
		x.Schema = Schema
		return nil
	}},
	{"source", into(func(x *Exception) *string { return &x.Source }, 100)},
	{"exception_id", into(func(x *Exception) *string { return &x.ExceptionID }, maxID)},
	{"exception_type", into(func(x *Exception) *string { return &x.ExceptionType }, maxID)},
	{"status", func(x *Exception, raw json.RawMessage) error {
		said, err := word(raw, maxID)
		if err != nil || said == "" {
			return err
		}
		var known bool
		if x.Status, known = status(said); !known {
			return fmt.Errorf("expected one of Open, In Progress, Pending, Follow Up, Complete")
		}
		return nil
	}},
	{"service_job_id", into(func(x *Exception) *string { return &x.ServiceJobID }, maxID)},
	{"crm_number", into(func(x *Exception) *string { return &x.CRMNumber }, maxID)},
	{"user_id", into(func(x *Exception) *string { return &x.UserID }, maxID)},
	{"created_at", instant(func(x *Exception) *callback.Instant { return &x.CreatedAt })},
	{"updated_at", instant(func(x *Exception) *callback.Instant { return &x.UpdatedAt })},
	{"comment", func(x *Exception, raw json.RawMessage) (err error) {
		x.Comment, err = text(raw)
		x.Comment = plain.Text(x.Comment, maxComment)
		return err
	}},
	{"customer", func(x *Exception, raw json.RawMessage) error {
		if isNull(raw) {
			return nil
		}
		return object(x, "customer.", raw, customerMembers)
	}},
}

var customerMembers = []member{
	{"name", func(x *Exception, raw json.RawMessage) (err error) {
		x.Customer.Name, err = text(raw)
		x.Customer.Name = plain.Line(x.Customer.Name, maxName)
		return err
	}},
	{"phones", func(x *Exception, raw json.RawMessage) error {
		var said []string
		if err := json.Unmarshal(raw, &said); err != nil {
			return errors.New("expected a list of strings")
		}
		if len(said) > maxPhones {
			return fmt.Errorf("expected at most %d", maxPhones)
		}
		for _, p := range said {
			if p = plain.Line(p, maxPhone); p != "" {
				x.Customer.Phones = append(x.Customer.Phones, p)
			}
		}
		return nil
	}},
	{"preferred_contact_method", into(func(x *Exception) *string { return &x.Customer.PreferredContactMethod }, maxID)},
	{"time_zone", func(x *Exception, raw json.RawMessage) (err error) {
		if x.Customer.TimeZone, err = word(raw, 64); err != nil || x.Customer.TimeZone == "" {
			return err
		}
		return zone(x.Customer.TimeZone)
	}},
}

func zone(s string) error {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		return errors.New("expected a time zone of the IANA database, like Asia/Kolkata")
	}
	return nil
}

// into reads a word, which a number is too: ids are often written as such.
func into(where func(*Exception) *string, limit int) func(*Exception, json.RawMessage) error {
	return func(x *Exception, raw json.RawMessage) (err error) {
		*where(x), err = word(raw, limit)
		return err
	}
}

func instant(where func(*Exception) *callback.Instant) func(*Exception, json.RawMessage) error {
	return func(x *Exception, raw json.RawMessage) error { return json.Unmarshal(raw, where(x)) }
}

// word reads one line; a longer one than can be stored is refused, since two that
// are cut may be the same.
func word(raw json.RawMessage, limit int) (string, error) {
	s, err := text(raw)
	if err != nil {
		var number json.Number
		if json.Unmarshal(raw, &number) != nil {
			return "", err
		}
		s = number.String()
	}
	line := plain.Line(s, len(s)+utf8.UTFMax)
	if len(line) > limit {
		return "", fmt.Errorf("expected at most %d bytes", limit)
	}
	return line, nil
}

func text(raw json.RawMessage) (string, error) {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", errors.New("expected a string")
	}
	if s == nil {
		return "", nil
	}
	return *s, nil
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// Parse reads one exception. The error is a *callback.Fault that names the member
// and never repeats what it says. A member that is left out is empty; one that
// nobody knows is refused, and so is one that comes twice.
func Parse(body []byte) (*Exception, error) {
	x := &Exception{}
	if !utf8.Valid(body) {
		return nil, callback.Invalid("body", "expected UTF-8")
	}
	if err := object(x, "", body, members); err != nil {
		return nil, err
	}
	return x, x.check()
}

// check refuses what is not enough to tell one exception, and what is news of it.
func (x *Exception) check() error {
	var wrong []callback.FieldError
	for _, need := range []struct{ path, value string }{
		{"schema", x.Schema}, {"source", x.Source}, {"exception_id", x.ExceptionID}, {"exception_type", x.ExceptionType},
		{"status", string(x.Status)}, {"updated_at", x.UpdatedAt.String()},
	} {
		if need.value == "" {
			wrong = append(wrong, callback.FieldError{Path: need.path, Message: "is required"})
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return &callback.Fault{Code: callback.CodeInvalid, Detail: wrong[0].Path + ": " + wrong[0].Message, Errors: wrong}
}

// object reads an object member by member.
func object(x *Exception, path string, raw []byte, known []member) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return callback.Invalid(whole(path), "expected a JSON object")
	}
	var seen []string
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return callback.Invalid(whole(path), "expected a JSON object")
		}
		at := slices.IndexFunc(known, func(m member) bool { return m.name == key })
		if at < 0 {
			return callback.Invalid(path+"*", "holds a member that is not known: expected %s", names(known))
		}
		if slices.Contains(seen, key) {
			return callback.Invalid(path+key, "is given twice")
		}
		seen = append(seen, key)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return callback.Invalid(path+key, "expected a JSON value")
		}
		if err := known[at].read(x, value); err != nil {
			var f *callback.Fault
			if errors.As(err, &f) {
				return f
			}
			return callback.Invalid(path+key, "%s", err.Error())
		}
	}
	if _, err := d.Token(); err != nil {
		return callback.Invalid(whole(path), "expected a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return callback.Invalid("body", "expected one JSON object and nothing after it")
	}
	return nil
}

// whole names the object whose members' paths begin with path.
func whole(path string) string {
	if path == "" {
		return "body"
	}
	return strings.TrimSuffix(path, ".")
}

func names(known []member) string {
	all := make([]string, len(known))
	for i, m := range known {
		all[i] = m.name
	}
	return strings.Join(all, ", ")
}
