package zohodesk

import (
	"context"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ringback/connectors"
	"ringback/connectors/wire"
)

// Run implements connectors.Runner: it works off events, asks for what has
// changed in case one was lost, and keeps the subscription alive.
func (z *Zoho) Run(ctx context.Context) error {
	var g errgroup.Group
	every := func(pause time.Duration, do func(context.Context) error, failed string) {
		g.Go(func() error {
			return wire.Every(ctx, z.deps.Sleep, pause, do, func(err error) { z.log(ctx, failed, err) })
		})
	}
	g.Go(func() error {
		return z.events.Work(ctx, z.hinted, func(err error) { z.log(ctx, "an event of Zoho Desk waits", err) })
	})
	every(time.Duration(z.config.PollEvery), z.poll, "changed tasks of Zoho Desk cannot be read")
	every(time.Duration(z.config.SweepEvery), z.sweep, "tickets of Zoho Desk cannot be read")
	if z.config.WebhookURL != "" {
		every(time.Duration(z.config.SweepEvery), z.subscribe, "the webhook of Zoho Desk cannot be kept alive")
	}
	return g.Wait()
}

// poll looks at the tasks that have changed since the last one, newest first, so
// that what changes meanwhile only comes twice.
func (z *Zoho) poll(ctx context.Context) error {
	said, err := z.recall(ctx, "poll")
	if err != nil {
		return err
	}
	since, err := time.Parse(time.RFC3339, said)
	if err != nil {
		since = z.deps.Now() // the first one
	}
	newest := since
	for page := 0; ; page++ {
		found, err := z.list(ctx, tasks, "-modifiedTime", page)
		if err != nil {
			return err
		}
		for n := range found {
			if err := z.noticed(ctx, &found[n]); err != nil {
				return err
			}
			if at := found[n].ModifiedTime.Time; at.After(newest) {
				newest = at
			}
		}
		if len(found) < pageSize || found[len(found)-1].ModifiedTime.Before(since.Add(-skew)) {
			break
		}
	}
	return z.deps.Memory.Remember(ctx, Name, "poll", newest.UTC().Format(time.RFC3339))
}

// noticed looks at a task as a list has it; only one of ours that is not as we
// wrote it is fetched.
func (z *Zoho) noticed(ctx context.Context, i *item) error {
	callbackID, err := z.recall(ctx, ofKey(tasks, string(i.ID)))
	if err != nil || callbackID == "" {
		return err
	}
	r, err := z.known(ctx, callbackID)
	if err != nil || r == nil || i.Status == r.Status || i.Status == r.Sending {
		return err
	}
	h := hint{tasks, string(i.ID), "updated"}
	if err = z.look(ctx, h, false); err == nil || wire.Is(err, connectors.RateLimited) {
		return err
	}
	// One that ends round after round becomes an event, which holds up nothing and is
	// tried for a day.
	return z.rounds.Failed(h.id+" "+i.occasion(), err, func() error { return z.events.Add(ctx, h.String()) })
}

// sweep looks at every ticket of an open callback: lists of tickets cannot be had
// by the time of their change.
func (z *Zoho) sweep(ctx context.Context) error {
	return z.watched.Round(ctx, func(ctx context.Context, callbackID string) (again bool, err error) {
		r, err := z.known(ctx, callbackID)
		if err != nil {
			return true, err
		}
		if r == nil || r.Closed {
			return false, nil
		}
		return true, z.look(ctx, hint{r.Kind, r.ID, "updated"}, false)
	})
}

// webhook is a subscription.
type webhook struct {
	ID            wire.ID        `json:"id,omitempty"`
	Name          string         `json:"name"`
	Description   string         `json:"description"`
	URL           string         `json:"url"`
	Subscriptions map[string]any `json:"subscriptions"`
	IgnoreSource  string         `json:"ignoreSourceId"`
	From          []string       `json:"includeEventsFrom"`
	Enabled       bool           `json:"isEnabled"`
}

// subscribe makes the subscription if there is none, and puts it right if it is
// off or hears too little. Zoho Desk calls the address before it takes it.
func (z *Zoho) subscribe(ctx context.Context) error {
	var there struct {
		Data []webhook `json:"data"`
	}
	if err := z.call(ctx, http.MethodGet, "/webhooks", nil, &there); err != nil {
		return err
	}
	want := z.webhook()
	for _, w := range there.Data {
		if !strings.EqualFold(strings.TrimRight(w.URL, "/"), strings.TrimRight(want.URL, "/")) {
			continue
		}
		// Known before it is put right: its events may come at once.
		if err := z.deps.Memory.Remember(ctx, Name, "webhook", string(w.ID)); err != nil {
			return err
		}
		if w.Enabled && w.IgnoreSource == want.IgnoreSource && hearsAll(w.Subscriptions, want.Subscriptions) {
			return nil
		}
		return z.call(ctx, http.MethodPatch, "/webhooks/"+string(w.ID), map[string]any{
			"subscriptions": want.Subscriptions, "ignoreSourceId": want.IgnoreSource, "includeEventsFrom": want.From, "isEnabled": true,
		}, nil)
	}
	var made webhook
	if err := z.call(ctx, http.MethodPost, "/webhooks", want, &made); err != nil {
		return err
	}
	if made.ID == "" {
		return &connectors.Owed{Code: connectors.Unavailable, Detail: "Zoho Desk did not say which webhook it made"}
	}
	return z.deps.Memory.Remember(ctx, Name, "webhook", string(made.ID))
}

func hearsAll(there, want map[string]any) bool {
	for event := range want {
		if _, heard := there[event]; !heard {
			return false
		}
	}
	return true
}

// webhook is the subscription as it should be.
func (z *Zoho) webhook() webhook {
	w := webhook{
		Name: "Ringback", Description: "Tells Ringback what is done with its tasks and tickets", URL: z.config.WebhookURL,
		IgnoreSource: z.source, From: []string{"AUTOMATION"}, Enabled: true,
		Subscriptions: map[string]any{
			"Task_Update": map[string]any{"departmentIds": []string{z.config.DepartmentID}, "includePrevState": false},
			"Task_Delete": nil,
		},
	}
	if len(z.config.Tickets) > 0 || z.config.FromTickets != "" {
		departments := []string{z.config.TicketsDepartmentID}
		w.Subscriptions["Ticket_Update"] = map[string]any{"departmentIds": departments, "includePrevState": false}
		w.Subscriptions["Ticket_Delete"] = nil
	}
	if z.config.FromTickets != "" {
		w.Subscriptions["Ticket_Add"] = map[string]any{"departmentIds": []string{z.config.TicketsDepartmentID}}
	}
	return w
}
