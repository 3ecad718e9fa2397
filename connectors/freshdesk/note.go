package freshdesk

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"ringback/connectors"
	"ringback/connectors/wire"
)

// note is one of a ticket's conversations.
type note struct {
	ID     int64  `json:"id"`
	UserID int64  `json:"user_id"`
	Body   string `json:"body"`
}

// write writes the delivery's text as a private note under its author's own
// identity, and never under another (R12, R13).
func (f *Freshdesk) write(ctx context.Context, d connectors.Delivery, ticket, title string) error {
	if d.Text == nil {
		return nil // erased: there is nothing left to write
	}
	author, err := identity(d)
	if err != nil {
		return err
	}
	bar, err := f.barred(ctx, author, d.OperationID)
	if err != nil {
		return err
	}
	if bar.up && (bar.looked || !d.Again) {
		return misnamed()
	}
	written := (*note)(nil)
	if d.Again {
		if written, err = f.find(ctx, ticket, d.OperationID); err != nil {
			return err
		}
	}
	if written == nil && !bar.up {
		if written, err = f.post(ctx, ticket, author, body(title, d.Text.Body, d.OperationID)); err != nil {
			return err
		}
	}
	if written != nil && written.UserID == author {
		return f.unbar(ctx, bar, author, d.OperationID)
	}
	if written != nil {
		// The key's role let Freshdesk put it under the key's own name: take it back.
		err = f.call(ctx, http.MethodDelete, fmt.Sprintf("/conversations/%d", written.ID), nil, nil)
		if err != nil && !wire.Is(err, connectors.Gone) {
			owed := *wire.OwedAs(err)
			owed.Detail = "a note stands under the name of the API key and could not be taken back: " + owed.Detail
			return &owed
		}
	}
	if err := f.bar(ctx, bar, author, d.OperationID); err != nil {
		return err
	}
	return misnamed()
}

func misnamed() error {
	return &connectors.Owed{
		Code: connectors.NoIdentity,
		Detail: "Freshdesk writes notes under the name of the API key only, not the author's: it was taken back, and is not written again before " +
			"somebody asks for it. Let the key's role act for other agents and retry, or copy the note by hand",
	}
}

// bar is what is known of an author whose notes Freshdesk put under another name:
// none of theirs is written again until a person retries a delivery, or their
// identity becomes another (R13).
type bar struct {
	// asked names the last time that a person has retried; up: nobody has since.
	asked  string
	known  bool
	up     bool
	looked bool // the note in question does not stand there
}

// askedKey is under which Enable names each time; barKey holds the one that it was
// when a note of an author came out under another name, lookedKey marks that note.
const askedKey = "asked"

func barKey(author int64) string        { return "misnamed:" + strconv.FormatInt(author, 10) }
func lookedKey(operation string) string { return "taken-back:" + operation }

func (f *Freshdesk) barred(ctx context.Context, author int64, operation string) (b bar, err error) {
	since, known, err := f.deps.Memory.Recall(ctx, Name, barKey(author))
	if err != nil || !known {
		return b, err
	}
	b.known = true
	if b.asked, _, err = f.deps.Memory.Recall(ctx, Name, askedKey); err != nil {
		return b, err
	}
	b.up = b.asked == since
	_, b.looked, err = f.deps.Memory.Recall(ctx, Name, lookedKey(operation))
	return b, err
}

// bar remembers that nothing is to be written for an author, and that this is not there.
func (f *Freshdesk) bar(ctx context.Context, b bar, author int64, operation string) error {
	if !b.up {
		asked, _, err := f.deps.Memory.Recall(ctx, Name, askedKey)
		if err != nil {
			return err
		}
		if err := f.deps.Memory.Remember(ctx, Name, barKey(author), asked); err != nil {
			return err
		}
	}
	return f.deps.Memory.Remember(ctx, Name, lookedKey(operation), "")
}

// unbar forgets it: a note stands under its author's own name.
func (f *Freshdesk) unbar(ctx context.Context, b bar, author int64, operation string) error {
	if !b.known {
		return nil
	}
	return errors.Join(f.deps.Memory.Forget(ctx, Name, barKey(author)), f.deps.Memory.Forget(ctx, Name, lookedKey(operation)))
}

// Enable lets notes be tried again that came out under the wrong name: a person retries.
func (f *Freshdesk) Enable(ctx context.Context) error {
	return f.deps.Memory.Remember(ctx, Name, askedKey, uuid.NewString())
}

// identity is the author's id as an agent.
func identity(d connectors.Delivery) (int64, error) {
	if d.Author == nil {
		return 0, &connectors.Owed{Code: connectors.NoIdentity, Detail: "its author is no longer among the staff"}
	}
	said := d.Author.Identities[Name]
	if said == "" {
		return 0, &connectors.Owed{Code: connectors.NoIdentity, Detail: "its author has no identity in Freshdesk: give them one, or copy the note by hand"}
	}
	id, err := strconv.ParseInt(said, 10, 64)
	if err != nil || id <= 0 {
		return 0, &connectors.Owed{Code: connectors.NoIdentity, Detail: "its author's identity in Freshdesk is no id of an agent: expected a number"}
	}
	return id, nil
}

func (f *Freshdesk) post(ctx context.Context, ticket string, author int64, body string) (*note, error) {
	var written note
	p, err := f.callWith(ctx, http.MethodPost, "/tickets/"+ticket+"/notes",
		map[string]any{"body": body, "private": true, "user_id": author}, &written)
	if p == nil {
		return &written, err
	}
	for _, e := range p.Errors {
		if e.Field == "user_id" {
			return nil, &connectors.Owed{
				Code:   connectors.NoIdentity,
				Detail: "Freshdesk does not take the author (user_id): it is no agent there, or the API key's role may not write for others",
				Err:    err,
			}
		}
	}
	return nil, err
}

// find looks for a note that may have arrived.
func (f *Freshdesk) find(ctx context.Context, ticket, operation string) (*note, error) {
	for page := 1; ; page++ {
		var notes []note
		if err := f.call(ctx, http.MethodGet, fmt.Sprintf("/tickets/%s/conversations?per_page=100&page=%d", ticket, page), nil, &notes); err != nil {
			return nil, err
		}
		for _, n := range notes {
			if strings.Contains(n.Body, operation) {
				return &n, nil
			}
		}
		if len(notes) < 100 {
			return nil, nil
		}
	}
}

// body is a note as HTML; what people wrote is text in it, and nothing else.
// The operation id at its end is how it is found again.
func body(title, text, operation string) string {
	lines := strings.ReplaceAll(html.EscapeString(strings.ReplaceAll(text, "\r\n", "\n")), "\n", "<br>")
	return "<div><strong>" + html.EscapeString(title) + "</strong></div><div>" + lines +
		"</div><div><small>Ringback " + operation + "</small></div>"
}
