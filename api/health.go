package api

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"ringback/callback"
)

// Health is how a process, and what it depends on, is.
type Health struct {
	Status string `json:"status" enum:"ok"`
}

const readyPatience = 2 * time.Second

func (a *API) healthOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/healthz", id: "healthz", tag: "operation", open: true, summary: "Whether the process is up",
			answers: []reply{{http.StatusOK, "it is", Health{}, ""}},
			serve:   func(context.Context, *request) (*answer, error) { return ok(Health{"ok"}) },
		},
		{
			method: http.MethodGet, path: "/readyz", id: "readyz", tag: "operation", open: true,
			summary:  "Whether engine and database can be reached",
			answers:  []reply{{http.StatusOK, "both can", Health{}, ""}},
			refusals: []callback.Code{callback.CodeUnavailable},
			serve:    a.ready,
		},
	}
}

func (a *API) ready(ctx context.Context, r *request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	var engine, database error
	var wg sync.WaitGroup
	wg.Go(func() { engine = a.engine.Healthy(ctx) })
	wg.Go(func() { database = a.book.Ping(ctx) })
	wg.Wait()
	var down []string
	if engine != nil {
		down = append(down, "the engine")
	}
	if database != nil {
		down = append(down, "the database")
	}
	if len(down) > 0 {
		return nil, refuse(callback.CodeUnavailable, "", strings.Join(down, " and ")+" cannot be reached")
	}
	return ok(Health{"ok"})
}
