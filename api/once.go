package api

import (
	"context"
	"errors"

	"ringback/book"
	"ringback/callback"
)

// once answers a request that is done at once and in the database alone, by
// nothing but do. With an Idempotency-Key a repeat gets the first answer: do
// writes the errand, with its answer, in the transaction that does the work, and
// returns book.ErrRepeated where somebody was quicker.
func (a *API) once(ctx context.Context, r *request, name string, do func(ctx context.Context, e *errand) (*answer, error)) (*answer, error) {
	e, err := a.newErrand(ctx, r, &work{name: name})
	if err != nil {
		return nil, err
	}
	if e.Key == "" {
		return do(ctx, e)
	}
	leave, err := a.flights.board(ctx, e.ID)
	if err != nil {
		return nil, ErrOutcomeUnknown
	}
	defer leave()
	for {
		earlier, err := a.book.Errand(ctx, e.ID)
		switch {
		case err == nil && earlier.Digest != e.Digest:
			return nil, keyReused()
		case err == nil && earlier.Answer != nil:
			return again(earlier.Answer), nil
		case err == nil:
			return nil, ErrOutcomeUnknown
		case !errors.Is(err, book.ErrNotFound):
			return nil, err
		}
		given, err := do(ctx, e)
		if !errors.Is(err, book.ErrRepeated) {
			return given, err
		}
	}
}

// concluded is the errand as it is kept for a repeat; nil: without a key there is none.
func (e *errand) concluded(given *answer) *book.Errand {
	if e.Key == "" {
		return nil
	}
	kept := e.Errand
	kept.Answer = &book.Answer{Status: given.status, Location: given.location, ETag: given.etag, Body: given.body}
	return &kept
}

// repeatable carries a request that is about no callback, and does more than write to the database: of parallel and later
// repeats with its key one does it, and all get its answer. What it does must
// come out the same when it is done again with the same errand, since whoever
// began it may die in the middle.
func (a *API) repeatable(ctx context.Context, r *request, name string, do func(ctx context.Context, e *errand) (*answer, error)) (*answer, error) {
	e, err := a.newErrand(ctx, r, &work{name: name})
	if err != nil {
		return nil, err
	}
	if e.Key == "" {
		return do(context.WithoutCancel(ctx), e)
	}
	leave, err := a.flights.board(ctx, e.ID)
	if err != nil {
		return nil, ErrOutcomeUnknown
	}
	defer leave()
	for {
		given, err := a.resume(ctx, e)
		if given != nil || err != nil {
			return given, err
		}
		if e.taken {
			break
		}
		e.LeaseUntil = a.lease()
		existing, err := a.book.Begin(ctx, book.Begin{Errand: e.Errand})
		if err != nil {
			return nil, err
		}
		if existing == nil {
			break
		}
	}
	ctx = context.WithoutCancel(ctx)
	given, err := do(ctx, e)
	var f *callback.Fault
	switch {
	case errors.As(err, &f), !e.taken && (errors.Is(err, ErrEngineBusy) || errors.Is(err, ErrEngineAway)):
		return nil, a.drop(ctx, e, err)
	case err != nil:
		a.release(ctx, e)
		return nil, err
	}
	kept := book.Answer{Status: given.status, Location: given.location, ETag: given.etag, Body: given.body}
	if err := a.book.Answer(ctx, e.ID, kept); err != nil {
		a.log.WarnContext(ctx, "done, but its answer could not be kept; a repeat does it again, to the same effect", "error", err.Error())
		a.release(ctx, e)
	}
	return given, nil
}
