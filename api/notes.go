package api

import (
	"context"
	"net/http"

	"ringback/book"
	"ringback/callback"
)

// Note is a private note (R12).
type Note struct {
	ID     string           `json:"id" format:"uuid"`
	Kind   string           `json:"kind" enum:"note,call_summary"`
	Body   *string          `json:"body" doc:"null once erased"`
	Author string           `json:"author"`
	At     callback.Instant `json:"at"`
}

// Notes are the notes of one callback.
type Notes struct {
	Items []Note `json:"items"`
}

func noteOf(t book.Text) Note { return Note{t.ID, string(t.Kind), null(t.Body), t.Author, t.CreatedAt} }

func (a *API) noteOperations() []*operation {
	write := command(a, "notes", "Write a private note", "Under the caller's own identity (R12, R13).", nil, a.makeNote)
	write.tag, write.bodyOptional = "notes", false
	write.answers[0] = reply{http.StatusCreated, "the note", Note{}, ""}
	write.serve = func(ctx context.Context, r *request) (*answer, error) {
		return a.order(ctx, r, callback.CommandNote, func() (func(context.Context, *errand) (sender, error), error) {
			b, err := decode[noteBody](a, r)
			return func(ctx context.Context, e *errand) (sender, error) {
				c, err := a.makeNote(ctx, r, e, b)
				return orderOf(a, c), err
			}, err
		}, func(e *errand, v book.View) (*answer, error) {
			given := noteOf(e.texts[0])
			if v.Intake.Erased != nil {
				given.Body = nil // and what is kept for a repeat has none
			}
			body, err := encode(given)
			return &answer{status: http.StatusCreated, location: callbackPath(r.callbackID) + "/notes", body: body}, err
		})
	}
	return []*operation{write, {
		method: http.MethodGet, path: "/v1/callbacks/{id}/notes", id: "notes", tag: "notes", access: accessRead,
		summary: "Its notes and call summaries, in order",
		answers: []reply{{http.StatusOK, "the notes", Notes{}, ""}},
		serve: func(ctx context.Context, r *request) (*answer, error) {
			if _, err := a.read(ctx, r); err != nil {
				return nil, err
			}
			texts, err := a.book.Notes(ctx, r.callbackID)
			if err != nil {
				return nil, err
			}
			given := Notes{Items: make([]Note, 0, len(texts))}
			for _, t := range texts {
				given.Items = append(given.Items, noteOf(t))
			}
			return ok(given)
		},
	}}
}

func (a *API) makeNote(_ context.Context, _ *request, e *errand, b *noteBody) (callback.Note, error) {
	return callback.Note{Kind: callback.NoteKind(b.Kind), TextID: e.text(book.TextKind(b.Kind), b.Body)}, nil
}
