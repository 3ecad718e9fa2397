package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"ringback/callback"
)

// Policies are the kinds of callbacks that can be promised, in the words of
// the configuration file (CONTRACT §3).
type (
	Policies struct {
		Items []Policy `json:"items"`
	}
	Policy struct {
		Name              string     `json:"name"`
		Title             string     `json:"title"`
		Calendar          *Calendar  `json:"calendar" doc:"null: around the clock"`
		Tag               Tag        `json:"tag"`
		Ladder            []Step     `json:"ladder"`
		Overdue           *Chase     `json:"overdue" doc:"reminders after the last tier's breach (R10)"`
		CloseWithin       *string    `json:"close_within" doc:"after contact; then chased like an overdue one"`
		Hold              Hold       `json:"hold"`
		Attempts          Attempts   `json:"attempts"`
		Completion        Completion `json:"completion"`
		Fields            []Field    `json:"fields"`
		ResolutionReasons []Reason   `json:"resolution_reasons"`
	}
	Calendar struct {
		TimeZone string              `json:"time_zone"`
		Hours    map[string][]string `json:"hours"`
		Holidays []string            `json:"holidays"`
		HalfDays map[string][]string `json:"half_days"`
	}
	Tag struct {
		Required *string `json:"required"`
		Done     *string `json:"done"`
		Unserved *string `json:"unserved"`
	}
	Step struct {
		Tier        string            `json:"tier"`
		Queue       string            `json:"queue"`
		QueueByLOB  map[string]string `json:"queue_by_lob"`
		TAT         string            `json:"tat" example:"1h0m0s"`
		WarnAt      []string          `json:"warn_at"`
		Assign      string            `json:"assign" enum:"pull,random,round_robin,least_loaded,direct_supervisor,direct"`
		AssignTo    *string           `json:"assign_to"`
		StartWithin *string           `json:"start_within"`
	}
	Chase struct {
		RemindEvery string `json:"remind_every"`
		Max         string `json:"max"`
	}
	Hold struct {
		Max string `json:"max"`
	}
	Attempts struct {
		Max     *int    `json:"max"`
		Spacing *string `json:"spacing"`
	}
	Completion struct {
		Requires []string `json:"requires" enum:"contact,call_summary,resolution_reason"`
	}
	Field struct {
		Name     string  `json:"name"`
		Title    *string `json:"title"`
		Required bool    `json:"required"`
		Pattern  *string `json:"pattern"`
	}
	Reason struct {
		Code          string `json:"code"`
		Title         string `json:"title"`
		NeedsContact  bool   `json:"needs_contact"`
		AfterAttempts int    `json:"after_attempts"`
	}
)

// TransformSchema implements huma.SchemaTransformer.
func (Policy) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	nullable(s, "calendar", "overdue")
	return s
}

// Queues are the teams' routing buckets.
type (
	Queues struct {
		Items []Queue `json:"items"`
	}
	Queue struct {
		Name     string   `json:"name"`
		Tiers    []string `json:"tiers" doc:"at which policies use it"`
		Policies []string `json:"policies"`
		Members  []string `json:"members" doc:"staff ids"`
	}
)

func (a *API) policyOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/policies", id: "policies", tag: "desk", access: accessPolicies, summary: "The kinds of callbacks",
			doc:     "As they are configured now; a running callback keeps the policy that it began with.",
			answers: []reply{{http.StatusOK, "every policy, by name", Policies{}, ""}},
			serve:   a.listPolicies,
		},
		{
			method: http.MethodGet, path: "/v1/queues", id: "queues", tag: "desk", access: accessRead, summary: "The queues and who is in them",
			answers: []reply{{http.StatusOK, "every queue, by name", Queues{}, ""}},
			serve:   a.listQueues,
		},
	}
}

func (a *API) listPolicies(_ context.Context, r *request) (*answer, error) {
	if err := r.may(); err != nil {
		return nil, err
	}
	given := Policies{Items: []Policy{}}
	for _, name := range slices.Sorted(maps.Keys(a.config.Policies)) {
		given.Items = append(given.Items, policyAs(a.config.Policies[name]))
	}
	return ok(given)
}

func policyAs(p *callback.Policy) Policy {
	w := Policy{
		Name: p.Name, Title: p.Title,
		Tag:         Tag{null(p.Tag.Required), null(p.Tag.Done), null(p.Tag.Unserved)},
		CloseWithin: length(p.CloseWithin), Hold: Hold{callback.DefaultHoldMax.String()},
		Attempts:   Attempts{Spacing: length(p.Attempts.Spacing)},
		Completion: Completion{Requires: []string{}}, Fields: []Field{}, ResolutionReasons: []Reason{}, Ladder: []Step{},
	}
	if c := p.Calendar; c != nil {
		w.Calendar = &Calendar{c.TimeZone, entries(c.Hours), list(c.Holidays), entries(c.HalfDays)}
	}
	for _, s := range p.Ladder {
		step := Step{
			Tier: s.Tier, Queue: s.Queue, QueueByLOB: entries(s.QueueByLOB), TAT: s.TAT.String(), WarnAt: []string{},
			Assign: string(s.Assign), AssignTo: null(s.AssignTo), StartWithin: length(s.StartWithin),
		}
		for _, at := range s.WarnAt {
			step.WarnAt = append(step.WarnAt, string(at))
		}
		w.Ladder = append(w.Ladder, step)
	}
	if o := p.Overdue; o != nil {
		w.Overdue = &Chase{o.Every.String(), o.Max.String()}
	}
	if p.HoldMax > 0 {
		w.Hold.Max = p.HoldMax.String()
	}
	if p.Attempts.Max > 0 {
		w.Attempts.Max = &p.Attempts.Max
	}
	if p.Completion.Contact {
		w.Completion.Requires = append(w.Completion.Requires, "contact")
	}
	if p.Completion.CallSummary {
		w.Completion.Requires = append(w.Completion.Requires, "call_summary")
	}
	w.Completion.Requires = append(w.Completion.Requires, "resolution_reason") // it always is (R17)
	for _, f := range p.Fields {
		w.Fields = append(w.Fields, Field{f.Name, null(f.Title), f.Required, null(f.Pattern)})
	}
	for _, reason := range p.Reasons {
		w.ResolutionReasons = append(w.ResolutionReasons, Reason{reason.Code, reason.Title, !reason.WithoutContact, reason.AfterAttempts})
	}
	return w
}

func length(d callback.Duration) *string {
	if d == 0 {
		return nil
	}
	s := d.String()
	return &s
}

// entries is never null in JSON.
func entries[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

func (a *API) listQueues(ctx context.Context, r *request) (*answer, error) {
	if err := r.may(); err != nil {
		return nil, err
	}
	everybody, err := a.people.everybody(ctx)
	if err != nil {
		return nil, err
	}
	queues := a.queues()
	for _, s := range everybody {
		for _, name := range s.Queues {
			q := queues[name]
			if q == nil {
				q = &Queue{Name: name, Tiers: []string{}, Policies: []string{}, Members: []string{}}
				queues[name] = q
			}
			q.Members = insert(q.Members, s.ID)
		}
	}
	given := Queues{Items: []Queue{}}
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		given.Items = append(given.Items, *queues[name])
	}
	return ok(given)
}

// queues are those that the policies use.
func (a *API) queues() map[string]*Queue {
	queues := map[string]*Queue{}
	use := func(name, tier, policy string) {
		q := queues[name]
		if q == nil {
			q = &Queue{Name: name, Tiers: []string{}, Policies: []string{}, Members: []string{}}
			queues[name] = q
		}
		q.Tiers, q.Policies = insert(q.Tiers, tier), insert(q.Policies, policy)
	}
	for _, p := range a.config.Policies {
		for _, s := range p.Ladder {
			use(s.Queue, s.Tier, p.Name)
			for _, queue := range s.QueueByLOB {
				use(queue, s.Tier, p.Name)
			}
		}
	}
	return queues
}

func (a *API) queueNames() []string { return slices.Sorted(maps.Keys(a.queues())) }

// insert keeps a list sorted and without repeats.
func insert(sorted []string, s string) []string {
	i, found := slices.BinarySearchFunc(sorted, s, strings.Compare)
	if found {
		return sorted
	}
	return slices.Insert(sorted, i, s)
}
