package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"ringback/api"
	"ringback/callback"
)

// whereabouts are where a running desk keeps what it has: an auditor beside it
// needs to be told no more than its address.
type whereabouts struct {
	Data      string `json:"data"`
	Temporal  string `json:"temporal"`
	Namespace string `json:"namespace"`
}

// whereaboutsPath is where a desk tells them, to this machine alone.
const whereaboutsPath = "/ringback-dev"

func whereaboutsOf(data, temporal, namespace string) (http.Handler, error) {
	data, err := filepath.Abs(data)
	if err != nil {
		return nil, fmt.Errorf("the data folder: %w", err)
	}
	body, err := json.Marshal(whereabouts{data, temporal, namespace})
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !api.Local(r) {
			api.WriteProblem(w, &callback.Fault{Code: callback.CodeNotFound, Detail: "there is nothing at this address"})
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // whoever asked has gone
	}), nil
}

// told asks a running desk; one that does not say is where it was configured to be.
func (w whereabouts) told(ctx context.Context, server string) (whereabouts, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(server, "/")+whereaboutsPath, nil)
	if err != nil {
		return w, err
	}
	request.Header.Set("Accept", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return w, fmt.Errorf("asking %s where it is: %w", server, err)
	}
	defer answer.Body.Close()
	told := w
	if answer.StatusCode != http.StatusOK || json.NewDecoder(answer.Body).Decode(&told) != nil {
		return w, nil
	}
	return told, nil
}
