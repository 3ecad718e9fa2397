package api

import (
	"context"
	"net/http"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// History is a Temporal history as protobuf JSON.
type History struct {
	_      struct{}         `additionalProperties:"true"`
	Events []map[string]any `json:"events"`
}

const commandReplay = "replay"

func (a *API) historyOperations() []*operation {
	return []*operation{
		{
			method: http.MethodGet, path: "/v1/callbacks/{id}/history", id: "history", tag: "audit", access: accessAudit,
			summary: "Its Temporal history, for auditors", doc: "Protobuf JSON, as `temporal workflow show --output json` prints it (R24).",
			answers: []reply{{http.StatusOK, "the history", History{}, ""}},
			serve: func(ctx context.Context, r *request) (*answer, error) {
				if _, err := a.audited(ctx, r); err != nil {
					return nil, err
				}
				history, err := a.auditor.History(ctx, r.callbackID)
				return &answer{status: http.StatusOK, body: history}, err
			},
		},
		{
			method: http.MethodPost, path: "/v1/callbacks/{id}/replay", id: commandReplay, tag: "audit", access: accessAudit,
			summary: "Replay its history against the code that runs now, for auditors",
			body:    nothing{}, bodyOptional: true,
			answers: []reply{{http.StatusOK, "what came of it", Verdict{}, ""}},
			serve:   a.replay,
		},
	}
}

// audited finds a callback for an auditor.
func (a *API) audited(ctx context.Context, r *request) (*book.View, error) {
	v, dbAway, err := a.find(ctx, r)
	if err == nil {
		err = dbAway
	}
	if err == nil {
		err = r.may()
	}
	if err == nil && a.auditor == nil {
		err = refuse(callback.CodeUnavailable, "", "this server cannot read histories")
	}
	return v, err
}

func (a *API) replay(ctx context.Context, r *request) (*answer, error) {
	v, dbAway, err := a.find(ctx, r)
	if err == nil {
		err = dbAway
	}
	if err == nil {
		_, err = decode[nothing](a, r)
	}
	if err != nil {
		return nil, err
	}
	w := &work{name: commandReplay, callbackID: r.callbackID, view: v, local: true, evenClosed: true}
	w.prepare = func(_ context.Context, e *errand) error {
		var verdict Verdict
		e.needsBook = true
		e.check = func() error {
			_, err := a.audited(ctx, r)
			return err
		}
		e.send = func(ctx context.Context, _ bool) (o contract.Outcome, err error) {
			verdict, err = a.auditor.Replay(ctx, r.callbackID)
			if err != nil {
				// Nothing was commanded: nothing is unknown.
				err = fault(err)
			}
			return contract.Outcome{Digest: e.Digest}, err
		}
		e.answer = func(book.View) (*answer, error) { return ok(verdict) }
		e.unsettled = func() (*answer, error) { return ok(verdict) }
		return nil
	}
	return a.carry(ctx, r, w)
}
