package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"ringback/book"
	"ringback/callback"
)

// Timeline is what happened to one callback.
type Timeline struct {
	Items []Entry `json:"items"`
}

// Entry is one thing that happened.
type Entry struct {
	Seq   int64            `json:"seq" minimum:"1" doc:"gapless from 1; the callback's version after it"`
	Type  string           `json:"type" enum:"requested,customer_called,scheduled,queued,assigned,claimed,started,attempted,contacted,noted,warned,breached,escalated,reminded,reassigned,released,held,resumed,rescheduled,tagged,untagged,completed,cancelled,delivered,delivery_owed,erased"`
	At    callback.Instant `json:"at"`
	Actor string           `json:"actor" doc:"a staff id, clock, or system:NAME"`
	Tier  string           `json:"tier" doc:"the tier at which it happened"`
	Rule  *string          `json:"rule" doc:"on what authority" example:"R04"`
	Data  map[string]any   `json:"data" doc:"what it says besides; text is what somebody wrote, null where there is none or it was erased"`
}

func (a *API) timelineOperations() []*operation {
	return []*operation{{
		method: http.MethodGet, path: "/v1/callbacks/{id}/timeline", id: "timeline", tag: "callbacks", access: accessRead,
		summary: "What happened, in order", doc: "Who did what, when, and on what authority (R24).",
		answers: []reply{{http.StatusOK, "the timeline", Timeline{}, ""}},
		serve: func(ctx context.Context, r *request) (*answer, error) {
			v, err := a.read(ctx, r)
			if err != nil {
				return nil, err
			}
			entries, err := a.book.Timeline(ctx, r.callbackID)
			if err != nil {
				return nil, err
			}
			given := Timeline{Items: make([]Entry, 0, len(entries))}
			for _, e := range entries {
				given.Items = append(given.Items, entryOf(e))
			}
			given.Items = withErasure(given.Items, v.Intake.Erased)
			return ok(given)
		},
	}}
}

func entryOf(e book.Entry) Entry {
	data := map[string]any{}
	members(reflect.ValueOf(e.Fact), data)
	if _, named := data["text_id"]; named {
		data["text"] = null(e.Text)
	}
	return Entry{e.Seq, string(e.Fact.Type()), e.At, e.Actor, e.Tier, null(string(e.Rule)), data}
}

// members lists what a fact says under its wire names, with null or [] for
// what histories leave out.
func members(v reflect.Value, into map[string]any) {
	v = reflect.Indirect(v)
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			members(value, into)
		case value.Kind() == reflect.Slice && value.IsNil():
			into[name] = []any{}
		case strings.Contains(options, "omit") && value.IsZero():
			into[name] = nil
		default:
			into[name] = value.Interface()
		}
	}
}
