package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// deskPolicy and who works under it, of the built-in configuration.
const (
	deskPolicy = "supervisor-callback"
	associate  = "assoc1"
	supervisor = "sup1"
)

// deskSubject plays lifecycles against the desk, as a client does: each for a
// customer of their own.
type deskSubject struct {
	base      string
	customers atomic.Int64
}

func (s *deskSubject) lifecycle(ctx context.Context, _ string, timed func(step string, do func() error) error) error {
	var created struct {
		ID string `json:"id"`
	}
	phone := fmt.Sprintf("+44207%07d", 1_000_000+s.customers.Add(1))
	steps := []struct{ name, who, path, body string }{
		{"create", associate, "", `{"policy": "` + deskPolicy + `", "customer": {"name": "Ada Example", "phone": "` + phone + `"}, "reason": "Wants to speak to a supervisor"}`},
		{"claim", supervisor, "/claim", ""},
		{"start", supervisor, "/start", ""},
		{"attempt", supervisor, "/attempts", `{"disposition": "reached"}`},
		{"complete", supervisor, "/complete", `{"resolution_reason": "resolved", "call_summary": "Settled."}`},
	}
	for _, step := range steps {
		path := s.base + "/v1/callbacks"
		if step.path != "" {
			path += "/" + created.ID + step.path
		}
		err := timed(step.name, func() error { return s.post(ctx, step.who, path, step.body, &created) })
		if err != nil {
			return fmt.Errorf("desk %s: %w", step.name, err)
		}
	}
	return nil
}

func (s *deskSubject) post(ctx context.Context, who, url, body string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer dev:"+who)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return fmt.Errorf("status %d: %s", res.StatusCode, answer)
	}
	return json.Unmarshal(answer, out)
}
