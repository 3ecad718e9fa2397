package zohodesk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/wire"
)

// maxEvents is the size of what one request may carry, in bytes; answerWithin is
// how long its answer may take. Zoho gives up after 5 s.
const (
	maxEvents    = 1 << 20
	answerWithin = 4 * time.Second
)

// Receive implements connectors.Inbound: POST /v1/inbound/zohodesk, and the GET by
// which Zoho Desk validates a subscription. The events are durable when they are
// answered, and worked off by Run. It never answers 410, which would end the
// subscription.
func (z *Zoho) Receive(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		w.WriteHeader(http.StatusOK) // it proves nothing, and learns nothing
		return
	case http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, POST")
		wire.Refuse(w, &callback.Fault{Code: callback.CodeMethodNotAllowed, Detail: "events are posted"})
		return
	}
	token := r.Header.Get("X-ZDesk-JWT")
	if token == "" && r.ContentLength == 0 {
		w.WriteHeader(http.StatusOK) // a validation by POST says nothing at all
		return
	}
	if err := z.proven(ctx, token); err != nil {
		if errors.Is(err, errUnproven) || errors.Is(err, errExpired) {
			wire.Refuse(w, &callback.Fault{Code: callback.CodeUnauthenticated, Detail: err.Error()})
			return
		}
		z.unavailable(ctx, w, err)
		return
	}
	if fault := connectors.Proven(ctx); fault != nil {
		wire.Refuse(w, fault)
		return
	}
	body, fault := wire.Body(r, maxEvents)
	if fault != nil {
		wire.Refuse(w, fault)
		return
	}
	if err := z.take(ctx, r.Header.Get("Content-Type"), body); err != nil {
		z.unavailable(ctx, w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (z *Zoho) unavailable(ctx context.Context, w http.ResponseWriter, err error) {
	z.log(ctx, "events of Zoho Desk could not be taken", err)
	wire.Refuse(w, &callback.Fault{Code: callback.CodeUnavailable, Detail: "they could not be written down: send them again"})
}

// proven checks a token for the subscriptions that there are: ours, and the one
// that somebody made by hand. Without any, nothing proves itself.
func (z *Zoho) proven(ctx context.Context, token string) error {
	ours, err := z.recall(ctx, "webhook")
	if err != nil {
		return err
	}
	return z.prove(ctx, strings.TrimPrefix(token, "Bearer "), []string{z.config.WebhookID, ours})
}

// take writes down what follows from the events, and keeps what cannot be
// understood.
func (z *Zoho) take(ctx context.Context, media string, body []byte) error {
	hints, bad := parseEvents(body, z.config.OrgID)
	for _, h := range hints {
		if err := z.events.Add(ctx, h.String()); err != nil {
			return err
		}
	}
	for _, b := range bad {
		err := z.deps.Kept.Keep(ctx, connectors.Message{Connector: Name, Media: media, Body: b.body, Reason: b.reason})
		if err != nil {
			return err
		}
	}
	return nil
}

// hint is what an event is about; what it says besides is not believed.
type hint struct {
	kind kind
	id   string
	how  string // "added", "updated" or "deleted"
}

// String is the hint as it is written down.
func (h hint) String() string { return string(h.kind) + " " + h.id + " " + h.how }

func parseHint(s string) (hint, bool) {
	f := strings.Fields(s)
	if len(f) != 3 || f[0] != string(tasks) && f[0] != string(tickets) || !wire.Digits(f[1]) {
		return hint{}, false
	}
	return hint{kind(f[0]), f[1], f[2]}, true
}

// misfit is an event that cannot be understood.
type misfit struct {
	body   []byte
	reason string
}

var known = map[string]hint{
	"Task_Add": {kind: tasks, how: "added"}, "Task_Update": {kind: tasks, how: "updated"}, "Task_Delete": {kind: tasks, how: "deleted"},
	"Ticket_Add": {kind: tickets, how: "added"}, "Ticket_Update": {kind: tickets, how: "updated"}, "Ticket_Delete": {kind: tickets, how: "deleted"},
}

// parseEvents reads Zoho Desk's array of events. They have no ids and come twice
// or late, so each is only a hint at what to look at, once. Events of other
// kinds are none of our business.
func parseEvents(body []byte, orgID string) (hints []hint, bad []misfit) {
	var events []json.RawMessage
	if err := json.Unmarshal(body, &events); err != nil {
		if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) || !json.Valid(body) {
			return nil, []misfit{{body, "expected a JSON array of events"}}
		}
		events = []json.RawMessage{body} // one by itself
	}
	for _, raw := range events {
		var e struct {
			EventType string  `json:"eventType"`
			OrgID     wire.ID `json:"orgId"`
			Payload   struct {
				ID wire.ID `json:"id"`
			} `json:"payload"`
		}
		err := json.Unmarshal(raw, &e)
		h, ours := known[e.EventType]
		h.id = string(e.Payload.ID)
		switch {
		case err != nil || e.EventType == "":
			bad = append(bad, misfit{raw, "expected an event with eventType, and payload with id"})
		case !ours:
		case h.id == "":
			bad = append(bad, misfit{raw, "expected the id of what the event is about in its payload"})
		case e.OrgID != "" && string(e.OrgID) != orgID:
			bad = append(bad, misfit{raw, "it is of another organization than org_id"})
		case !slices.Contains(hints, h):
			hints = append(hints, h)
		}
	}
	return hints, bad
}

// Replay implements connectors.Replayer: what was kept is events, or one hint.
func (z *Zoho) Replay(ctx context.Context, m connectors.Message) error {
	hints, bad := parseEvents(m.Body, z.config.OrgID)
	if len(bad) > 0 {
		return errors.New(bad[0].reason)
	}
	for _, h := range hints {
		if err := z.look(ctx, h, true); err != nil {
			return err
		}
	}
	return nil
}
