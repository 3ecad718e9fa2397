// Package activities touches the world on behalf of the workflows: it writes
// the read model and draws assignees. Each activity is a struct whose ports are
// declared beside it.
//
// Activities are retried by the engine until they succeed, so each is
// idempotent; an error is an outage, not an answer.
package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// ReadModel is where events become lists and boards.
type ReadModel interface {
	// Project writes consecutive events of one callback; those it has already are
	// skipped. A *book.GapError says that earlier ones are missing.
	Project(ctx context.Context, b book.Batch) (book.View, error)
}

// Projection writes the read model.
type Projection struct{ ReadModel ReadModel }

// Project writes the events. Only durable ones reach it: it is an ordinary
// activity, scheduled by the workflow task that made them part of the history,
// so a crash shows nothing that did not happen.
//
// A read model that lacks events from before this run (one restored from an old
// back-up) cannot be helped from here: it is tried again until a rebuild has
// brought them (R25).
func (p *Projection) Project(ctx context.Context, in contract.Projection) error {
	_, err := p.ReadModel.Project(ctx, book.Batch{CallbackID: in.CallbackID, Events: in.Events})
	var gap *book.GapError
	if errors.As(err, &gap) && gap.Have+1 >= in.From {
		return temporal.NewNonRetryableApplicationError("the read model is behind", GapErrorType, err, gap.Have)
	}
	return err
}

// GapErrorType is the type of the error by which Project asks for earlier
// events; its detail is the version that the read model has.
const GapErrorType = "gap"

// Ledger is where draws are decided and recorded (R21).
type Ledger interface {
	// Draw decides in one transaction; the same id again gives the same answer.
	// book.ErrNoneAvailable: nobody has room, is on shift and present.
	Draw(ctx context.Context, r book.DrawRequest) (book.DrawRecord, error)
}

// Assignment draws assignees.
type Assignment struct {
	Ledger Ledger
	// Now is the time at which a try is made; nil: time.Now.
	Now func() time.Time
}

// NobodyErrorType is the type of the error that a draw without candidates ends
// in: it is tried again until somebody can be drawn.
const NobodyErrorType = "none_available"

// Draw draws an assignee among the members of a queue who are on shift, present
// and have room (R21). While there is nobody it fails, and the engine tries it
// again without writing to the history. Each try asks who is there now, not who
// was when the draw was first wanted: shifts begin, and what people said of
// themselves lapses, while the callback waits.
func (a *Assignment) Draw(ctx context.Context, in contract.DrawRequest) (callback.Draw, error) {
	now := time.Now
	if a.Now != nil {
		now = a.Now
	}
	at := callback.At(now())
	if at.Before(in.At.Time) { // this machine's clock is behind the engine's
		at = in.At
	}
	record, err := a.Ledger.Draw(ctx, book.DrawRequest{
		ID: in.ID(), CallbackID: in.CallbackID, Version: in.Version,
		Queue: in.Queue, Tier: in.Tier, Method: in.Method, Avoid: in.Avoid, At: at,
	})
	if errors.Is(err, book.ErrNoneAvailable) {
		return callback.Draw{}, temporal.NewApplicationErrorWithOptions("nobody can be drawn", NobodyErrorType,
			temporal.ApplicationErrorOptions{Category: temporal.ApplicationErrorCategoryBenign})
	}
	if err != nil {
		return callback.Draw{}, err
	}
	return callback.Draw{ID: in.ID(), To: record.To, Candidates: record.Candidates}, nil
}
