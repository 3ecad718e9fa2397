package mailbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // of bodies and headers
	"github.com/emersion/go-message/mail"

	"ringback/connectors/plain"
)

// letter is a message as far as it matters here.
type letter struct {
	// ID is its Message-ID without brackets; one of its own where it has none.
	ID string
	// Answers are the messages that it answers, the nearest first.
	Answers []string
	// From is who wrote: Address in lower case.
	From struct{ Name, Address string }
	// To are all whom it was written to, in lower case.
	To      []string
	Subject string
	// Text is what was written, as plain text; Own is that without what is quoted.
	Text, Own string
	// Attachments are not read.
	Attachments []attachment
	// Cut: there is more of it than was read.
	Cut bool
	// Automatic is why nobody but a machine may have written it; empty: a person did.
	Automatic string
	// Results are the header fields Authentication-Results.
	Results []string
}

// attachment is what is known of one.
type attachment struct {
	Name, Media string
	Size        int64
}

const (
	// maxText is read of a text part, maxParts and maxDepth of parts.
	maxText  = 256 << 10
	maxParts = 100
	maxDepth = 8
	// maxSubject and maxName are stored, in bytes.
	maxSubject = 300
	maxName    = 200
	maxID      = 200
	// maxHeader bounds a message's header.
	maxHeader = 256 << 10
	// maxAnswers bounds the messages that are looked up for one.
	maxAnswers = 50
)

// open reads a message, or what there is of it where cut. The error says what is
// wrong with it and repeats nothing.
func open(raw []byte, cut bool) (*letter, error) {
	entity, err := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if entity == nil {
		_ = err // it repeats what cannot be read
		return nil, errors.New("it is no mail, or its header cannot be read")
	}
	l := &letter{Cut: cut}
	h := mail.Header{Header: entity.Header}
	if err := l.sender(h); err != nil {
		return nil, err
	}
	l.ID = id(h.Get("Message-Id"))
	if l.ID == "" {
		sum := sha256.Sum256(raw)
		l.ID = made + hex.EncodeToString(sum[:16])
	}
	l.Answers = ids(h.Get("In-Reply-To"))
	for _, id := range slices.Backward(ids(h.Get("References"))) {
		if !slices.Contains(l.Answers, id) && len(l.Answers) < maxAnswers {
			l.Answers = append(l.Answers, id)
		}
	}
	for _, field := range []string{"To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To"} {
		l.to(h, field)
	}
	subject, err := h.Subject()
	if err != nil {
		subject = h.Get("Subject")
	}
	l.Subject = plain.Line(subject, maxSubject)
	l.Automatic = automatic(h.Header)
	for fields := h.FieldsByKey("Authentication-Results"); fields.Next(); {
		l.Results = append(l.Results, fields.Value())
	}
	parts := 0
	l.Text = plain.Text(l.read(entity, 0, &parts), maxText)
	l.Own = own(l.Text)
	return l, nil
}

// sender finds who wrote. A message with two senders shows one to the reader and
// another to the checks: it is nobody's.
func (l *letter) sender(h mail.Header) error {
	fields := h.FieldsByKey("From")
	if fields.Len() != 1 {
		return errors.New("expected one header field From")
	}
	from, err := h.AddressList("From")
	if err != nil || len(from) != 1 || !address(from[0].Address) {
		return errors.New("expected one sender in the header field From")
	}
	l.From.Address = strings.ToLower(from[0].Address)
	if l.From.Name = plain.Line(from[0].Name, maxName); l.From.Name == "" {
		l.From.Name, _, _ = strings.Cut(from[0].Address, "@")
	}
	return nil
}

func (l *letter) to(h mail.Header, field string) {
	for fields := h.FieldsByKey(field); fields.Next(); {
		list, err := mail.ParseAddressList(fields.Value())
		if err != nil {
			continue
		}
		for _, a := range list {
			if to := strings.ToLower(a.Address); !slices.Contains(l.To, to) {
				l.To = append(l.To, to)
			}
		}
	}
}

var bracketed = regexp.MustCompile(`<([^<>\s\x00-\x1f\x7f]{1,1000})>`)

// ids are the message ids in a header field.
func ids(s string) []string {
	var all []string
	for _, found := range bracketed.FindAllStringSubmatch(s, maxAnswers) {
		if id := short(found[1]); !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// short is an id as it is stored: a very long one by its digest.
func short(id string) string {
	if len(id) <= maxID {
		return id
	}
	return made + digest(id)
}

// made begins the ids that are not the message's own.
const made = "sha256."

func id(s string) string {
	if all := ids(s); len(all) > 0 {
		return all[0]
	}
	if s = strings.TrimSpace(s); s != "" && !strings.ContainsAny(s, "<> \t\r\n") && utf8.ValidString(s) {
		return short(s)
	}
	return ""
}

// read returns the text of a part and of what is in it, and notes its attachments.
func (l *letter) read(e *message.Entity, depth int, parts *int) string {
	if *parts++; *parts > maxParts || depth > maxDepth {
		l.Cut = true
		return ""
	}
	media, _, err := e.Header.ContentType()
	if err != nil || media == "" {
		media = "text/plain" // RFC 2045: what is unreadable is text
	}
	media = strings.ToLower(media)
	disposition, params, err := e.Header.ContentDisposition()
	attached := err == nil && (strings.EqualFold(disposition, "attachment") || params["filename"] != "")
	switch {
	case strings.HasPrefix(media, "multipart/"):
		return l.many(e, media, depth, parts)
	case !attached && media == "text/plain":
		return l.text(e)
	case !attached && media == "text/html":
		return plain.FromHTML(l.text(e), maxText)
	}
	size, err := io.Copy(io.Discard, e.Body)
	l.Cut = l.Cut || err != nil
	file := params["filename"]
	if file == "" {
		if _, params, err := e.Header.ContentType(); err == nil {
			file = params["name"]
		}
	}
	l.Attachments = append(l.Attachments, attachment{plain.Line(file, 100), plain.Line(media, 60), size})
	return ""
}

func (l *letter) text(e *message.Entity) string {
	text, err := io.ReadAll(io.LimitReader(e.Body, maxText+1))
	l.Cut = l.Cut || err != nil || len(text) > maxText
	return string(text)
}

// many returns the text of several parts: of alternatives the plain one.
func (l *letter) many(e *message.Entity, media string, depth int, parts *int) string {
	reader := e.MultipartReader()
	if reader == nil {
		return ""
	}
	var texts []string
	chosen := false
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if part == nil {
			l.Cut = true // broken off, or cut
			break
		}
		kind, _, _ := part.Header.ContentType()
		text := l.read(part, depth+1, parts)
		if strings.TrimSpace(text) == "" {
			if *parts > maxParts {
				break
			}
			continue
		}
		if media != "multipart/alternative" {
			texts = append(texts, text)
			continue
		}
		// The plain text is what was written; the rest says the same.
		if isPlain := strings.EqualFold(kind, "text/plain"); len(texts) == 0 || (isPlain && !chosen) {
			texts, chosen = []string{text}, isPlain
		}
	}
	return strings.Join(texts, "\n\n")
}

// own is a text without what it quotes.
func own(text string) string {
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if original.MatchString(line) {
			break
		}
		if strings.HasPrefix(strings.TrimSpace(line), ">") {
			// "On Monday, the desk wrote:"
			if n := len(kept); n > 0 && strings.HasSuffix(kept[n-1], ":") {
				kept = kept[:n-1]
			}
			continue
		}
		kept = append(kept, line)
	}
	return strings.TrimSpace(strings.Join(kept, "\n"))
}

var original = regexp.MustCompile(`^\s*(?:-{2,}\s*(?:Original Message|Forwarded message|Ursprüngliche Nachricht|Message d'origine)\s*-{2,}|_{20,})\s*$`)

// enclosed says what was attached, for people to read.
func (l *letter) enclosed() string {
	if len(l.Attachments) == 0 && !l.Cut {
		return ""
	}
	var all []string
	for i, a := range l.Attachments {
		if i == 10 {
			all = append(all, fmt.Sprintf("%d more", len(l.Attachments)-i))
			break
		}
		what := a.Media
		if a.Name != "" {
			what = a.Name + ", " + a.Media
		}
		all = append(all, fmt.Sprintf("%s, %d KiB", what, (a.Size+1023)/1024))
	}
	if l.Cut {
		all = append(all, "and more that was not read")
	}
	return "[In the mailbox besides: " + strings.Join(all, "; ") + "]"
}
