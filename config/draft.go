package config

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"ringback/callback"
)

// blockDraft is a file of which only calendars and policies are there.
const blockDraft block = "draft"

// CheckDraft reads the policies of a draft, with its calendars, as if they were
// in this configuration: with its tiers, people, queues and other calendars.
// Nothing comes of it but the policies. The error is an [*Error] whose lines are
// those of the draft.
func (c *Config) CheckDraft(text []byte) (policies map[string]*callback.Policy, names []string, err error) {
	b := &builder{
		reader:   reader{file: "draft"},
		Config:   &Config{Tiers: c.Tiers, Staff: c.Staff, Calendars: map[string]*callback.Calendar{}, Queues: maps.Clone(c.Queues)},
		hasStaff: c.Staff != nil,
		tiers:    slices.SortedFunc(maps.Keys(c.Tiers), func(x, y string) int { return c.Tiers[x] - c.Tiers[y] }),
	}
	root := b.document(text)
	if len(b.mistakes[unread]) == 0 {
		top := root.fields(blockDraft)
		b.buildCalendars(top.get("calendars"))
		for name, calendar := range c.Calendars {
			if b.Calendars[name] == nil {
				b.Calendars[name] = calendar
			}
		}
		b.buildPolicies(top.get("policies"))
	}
	if err := b.mistake(); err != nil {
		return nil, nil, err
	}
	return b.Policies, b.PolicyNames, nil
}

// The policies as a person would write them, for a draft to begin with.
type (
	policyText struct {
		Title       string          `yaml:"title"`
		Calendar    string          `yaml:"calendar,omitempty"`
		Tag         *tagText        `yaml:"tag,omitempty,flow"`
		Ladder      []stepText      `yaml:"ladder"`
		Overdue     *overdueText    `yaml:"overdue,omitempty,flow"`
		CloseWithin string          `yaml:"close_within,omitempty"`
		Hold        *holdText       `yaml:"hold,omitempty,flow"`
		Attempts    *attemptsText   `yaml:"attempts,omitempty,flow"`
		Completion  *completionText `yaml:"completion,omitempty,flow"`
		Fields      []fieldText     `yaml:"fields,omitempty"`
		Reasons     []reasonText    `yaml:"resolution_reasons"`
	}
	tagText struct {
		Required string `yaml:"required"`
		Done     string `yaml:"done,omitempty"`
		Unserved string `yaml:"unserved,omitempty"`
	}
	stepText struct {
		Tier        string             `yaml:"tier"`
		Queue       string             `yaml:"queue"`
		QueueByLOB  map[string]string  `yaml:"queue_by_lob,omitempty,flow"`
		TAT         string             `yaml:"tat"`
		WarnAt      []callback.Warning `yaml:"warn_at,omitempty,flow"`
		Assign      any                `yaml:"assign,omitempty,flow"`
		StartWithin string             `yaml:"start_within,omitempty"`
	}
	overdueText struct {
		RemindEvery string `yaml:"remind_every"`
		Max         string `yaml:"max"`
	}
	holdText struct {
		Max string `yaml:"max"`
	}
	attemptsText struct {
		Max     int    `yaml:"max,omitempty"`
		Spacing string `yaml:"spacing,omitempty"`
	}
	completionText struct {
		Requires []string `yaml:"requires,flow"`
	}
	fieldText struct {
		Name     string `yaml:"name"`
		Title    string `yaml:"title,omitempty"`
		Required bool   `yaml:"required,omitempty"`
		Pattern  string `yaml:"pattern,omitempty"`
	}
	reasonText struct {
		Code          string `yaml:"code"`
		Title         string `yaml:"title"`
		NeedsContact  *bool  `yaml:"needs_contact,omitempty"`
		AfterAttempts int    `yaml:"after_attempts,omitempty"`
	}
	calendarText struct {
		TimeZone string              `yaml:"time_zone"`
		Hours    map[string][]string `yaml:"hours,flow"`
		Holidays []string            `yaml:"holidays,omitempty,flow"`
		HalfDays map[string][]string `yaml:"half_days,omitempty,flow"`
	}
)

// DraftText is the calendars and policies of this configuration as a draft that
// CheckDraft reads to the same.
func (c *Config) DraftText() (string, error) {
	calendars, policies := mapping(), mapping()
	for _, name := range slices.Sorted(maps.Keys(c.Calendars)) {
		at := c.Calendars[name]
		if err := put(calendars, name, calendarText{at.TimeZone, at.Hours, at.Holidays, at.HalfDays}); err != nil {
			return "", err
		}
	}
	for _, name := range c.PolicyNames {
		if err := put(policies, name, c.textOf(c.Policies[name])); err != nil {
			return "", err
		}
	}
	root := mapping()
	if len(calendars.Content) > 0 {
		if err := put(root, "calendars", calendars); err != nil {
			return "", err
		}
	}
	if err := put(root, "policies", policies); err != nil {
		return "", err
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	err := errors.Join(e.Encode(root), e.Close())
	return out.String(), err
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

func put(into *yaml.Node, key string, of any) error {
	v, is := of.(*yaml.Node)
	if !is {
		v = &yaml.Node{}
		if err := v.Encode(of); err != nil {
			return err
		}
	}
	into.Content = append(into.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, v)
	return nil
}

func (c *Config) textOf(p *callback.Policy) policyText {
	t := policyText{Title: p.Title, CloseWithin: brief(p.CloseWithin)}
	for name, calendar := range c.Calendars {
		if calendar == p.Calendar {
			t.Calendar = name
		}
	}
	if p.Tag.Required != "" {
		t.Tag = &tagText{p.Tag.Required, p.Tag.Done, p.Tag.Unserved}
	}
	for _, s := range p.Ladder {
		step := stepText{Tier: s.Tier, Queue: s.Queue, QueueByLOB: s.QueueByLOB, TAT: brief(s.TAT), WarnAt: s.WarnAt, StartWithin: brief(s.StartWithin)}
		switch {
		case s.Assign == callback.AssignDirect:
			step.Assign = map[string]string{"direct": s.AssignTo}
		case s.Assign != callback.AssignPull:
			step.Assign = string(s.Assign)
		}
		t.Ladder = append(t.Ladder, step)
	}
	if o := p.Overdue; o != nil {
		t.Overdue = &overdueText{brief(o.Every), brief(o.Max)}
	}
	if p.HoldMax > 0 {
		t.Hold = &holdText{brief(p.HoldMax)}
	}
	if p.Attempts != (callback.AttemptRule{}) {
		t.Attempts = &attemptsText{p.Attempts.Max, brief(p.Attempts.Spacing)}
	}
	t.Completion = &completionText{}
	for name, required := range map[string]bool{"contact": p.Completion.Contact, "call_summary": p.Completion.CallSummary, "resolution_reason": true} {
		if required {
			t.Completion.Requires = append(t.Completion.Requires, name)
		}
	}
	slices.SortFunc(t.Completion.Requires, func(x, y string) int { return slices.Index(requirements, x) - slices.Index(requirements, y) })
	for _, f := range p.Fields {
		t.Fields = append(t.Fields, fieldText{f.Name, f.Title, f.Required, f.Pattern})
	}
	for _, r := range p.Reasons {
		reason := reasonText{Code: r.Code, Title: r.Title, AfterAttempts: r.AfterAttempts}
		if r.WithoutContact {
			reason.NeedsContact = new(bool)
		}
		t.Reasons = append(t.Reasons, reason)
	}
	return t
}

// brief writes a duration without what is zero; empty for none.
func brief(d callback.Duration) string {
	if d == 0 {
		return ""
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
