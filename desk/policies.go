package desk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"ringback/api"
)

// policiesPage shows each kind of callback, and checks what somebody writes.
type policiesPage struct {
	*Frame
	Policies []*policyView
	// Draft is what is in the editor; Checked: it was looked at, with what came of it.
	Draft   string
	Checked bool
	Mistake *api.DraftMistake
	Preview []*policyView
	// DraftAway says why there is no editor.
	DraftAway *api.Problem
}

// policyView is a policy with its ladder drawn along time.
type policyView struct {
	api.Policy
	frame *Frame
	// Of tells the ids of two views of one policy apart.
	Of string
	// Drawings are of the ladder, for windows with more room and with less.
	Drawings []ladderDrawing
	Days     []calendarDay
}

type calendarDay struct{ Days, Hours string }

// ID of its heading.
func (p *policyView) ID() string { return p.Of + "-" + p.Name }

// AssignWords is how a step finds its assignee.
func (p *policyView) AssignWords(s api.Step) string {
	switch s.Assign {
	case "random":
		return "drawn by lot among those on shift with room"
	case "round_robin":
		return "given in turn"
	case "least_loaded":
		return "given to whoever has least"
	case "direct_supervisor":
		return "given to the requester's own supervisor"
	case "direct":
		return "given to " + p.frame.Name(text(s.AssignTo))
	}
	return "claimed from the queue"
}

// Warns are a step's warnings in words.
func (p *policyView) Warns(s api.Step) string {
	said := make([]string, len(s.WarnAt))
	for i, w := range s.WarnAt {
		if strings.HasSuffix(w, "%") {
			said[i] = "at " + w
		} else {
			said[i] = length(w) + " before the end"
		}
	}
	return sentence(said, "and")
}

// Requires is what completing takes.
func (p *policyView) Requires() string {
	said := make([]string, len(p.Completion.Requires))
	for i, r := range p.Completion.Requires {
		said[i] = map[string]string{"contact": "the customer reached", "call_summary": "a call summary", "resolution_reason": "a reason"}[r]
	}
	return sentence(said, "and")
}

// LOBs are the lines of business that have queues of their own.
func (p *policyView) LOBs(s api.Step) string {
	var said []string
	for lob, queue := range s.QueueByLOB {
		said = append(said, lob+" to "+queue)
	}
	slices.Sort(said)
	return sentence(said, "and")
}

func (v *visit) policyView(of string, p api.Policy) *policyView {
	view := &policyView{Policy: p, frame: v.Frame, Of: of, Drawings: drawLadder(&p)}
	if c := p.Calendar; c != nil {
		for days, spans := range c.Hours {
			view.Days = append(view.Days, calendarDay{days, sentence(spans, "and")})
		}
		slices.SortFunc(view.Days, func(a, b calendarDay) int { return strings.Compare(a.Days, b.Days) })
	}
	return view
}

func (v *visit) policyPage() (*policiesPage, error) {
	v.Title, v.Nav, v.Module = "Policies", "policies", "policies.js"
	v.Rules = rulesAbout("R02", "R06", "R07", "R09", "R10", "R11", "R17", "R19", "R20", "R21", "R22")
	p := &policiesPage{Frame: v.Frame}
	all, err := v.policies()
	if err != nil {
		return nil, err
	}
	for _, policy := range all {
		p.Policies = append(p.Policies, v.policyView("policy", policy))
	}
	return p, nil
}

func (v *visit) policiesShown() error {
	p, err := v.policyPage()
	if err != nil {
		return err
	}
	var draft api.PolicyDraft
	err = v.get("/v1/policies/draft", nil, &draft)
	if refused, is := err.(*refusal); is { //nolint:errorlint // get's own
		p.DraftAway = &refused.Problem
	} else if err != nil {
		return err
	}
	p.Draft = draft.Text
	return v.show("policies", p)
}

// draftMost is how long a draft may be, in bytes, with what a form adds to it.
const draftMost = 1 << 20

// policiesChecked shows what a draft would mean. Nothing is kept.
func (v *visit) policiesChecked() error {
	p, err := v.policyPage()
	if err != nil {
		return err
	}
	v.Body = http.MaxBytesReader(v.w, v.Body, draftMost)
	if err := v.ParseForm(); err != nil {
		return &refusal{api.Problem{Status: http.StatusBadRequest, Title: "The draft cannot be read", Detail: "It is longer than 1 MiB, or did not arrive whole."}}
	}
	p.Draft, p.Checked = strings.ReplaceAll(v.PostForm.Get("text"), "\r\n", "\n"), true
	var check api.DraftCheck
	if err := v.put("/v1/policies/draft", map[string]string{"text": p.Draft}, &check); err != nil {
		return err
	}
	p.Mistake = check.Mistake
	for _, policy := range check.Policies {
		p.Preview = append(p.Preview, v.policyView("draft", policy))
	}
	return v.show("policies", p)
}

// put sends something that changes nothing: what a page asks has an answer, no
// effect.
func (v *visit) put(path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(v.ctx(), http.MethodPut, path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	w, err := v.api.do(r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(w.body.Bytes(), into); err != nil {
		return fmt.Errorf("decoding %s: %w", path, err)
	}
	return nil
}
