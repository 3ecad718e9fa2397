package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"ringback/callback"
)

// PolicyDraft is the running policies as text, for a draft to begin with.
type PolicyDraft struct {
	Text string `json:"text" doc:"YAML: the calendars and policies of the configuration file"`
}

// DraftCheck is what a draft would mean, or what is wrong with it.
type DraftCheck struct {
	OK       bool          `json:"ok"`
	Policies []Policy      `json:"policies" doc:"in the draft's order; none while something is wrong"`
	Mistake  *DraftMistake `json:"mistake" doc:"the first thing that is wrong"`
}

// TransformSchema implements huma.SchemaTransformer.
func (DraftCheck) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	nullable(s, "mistake")
	return s
}

type draftBody struct {
	Text string `json:"text" maxLength:"200000" doc:"YAML: calendars and policies as in the configuration file"`
}

func (a *API) draftOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/policies/draft", id: "policy-draft", tag: "desk", access: accessRead,
			summary: "The running policies as text",
			answers: []reply{{http.StatusOK, "a draft to begin with", PolicyDraft{}, ""}},
			serve: func(_ context.Context, r *request) (*answer, error) {
				if err := a.mayDraft(r); err != nil {
					return nil, err
				}
				text, err := a.drafts.Text()
				if err != nil {
					return nil, err
				}
				return ok(PolicyDraft{text})
			},
		},
		{
			method: http.MethodPut, path: "/v1/policies/draft", id: "check-policy-draft", tag: "desk", access: accessRead,
			summary: "What policies would mean",
			doc:     "Reads a draft as the configuration file would be read, with the people, tiers and queues of this desk. Nothing is kept and nothing changes.",
			body:    draftBody{},
			answers: []reply{{http.StatusOK, "the policies, or the first mistake", DraftCheck{}, ""}},
			serve: func(_ context.Context, r *request) (*answer, error) {
				b, err := decode[draftBody](a, r)
				if err == nil {
					err = a.mayDraft(r)
				}
				if err != nil {
					return nil, err
				}
				policies, mistake := a.drafts.Check(b.Text)
				given := DraftCheck{OK: mistake == nil, Policies: []Policy{}, Mistake: mistake}
				for _, p := range policies {
					given.Policies = append(given.Policies, policyAs(p))
				}
				return ok(given)
			},
		},
	}
}

func (a *API) mayDraft(r *request) error {
	if err := r.may(); err != nil {
		return err
	}
	if a.drafts == nil {
		return refuse(callback.CodeUnavailable, "", "this server cannot read drafts")
	}
	return nil
}
