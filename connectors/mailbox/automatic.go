package mailbox

import (
	"strings"

	"github.com/emersion/go-message"
)

// automatic says why a message may come from a machine (RFC 3834 and what
// machines send in fact); empty: a person wrote it. It is a case all the same,
// but nothing answers it by itself.
func automatic(h message.Header) string {
	value := func(field string) string { return strings.ToLower(strings.TrimSpace(h.Get(field))) }
	word := func(field string) string {
		w, _, _ := strings.Cut(value(field), ";")
		w, _, _ = strings.Cut(w, " ")
		return strings.TrimSpace(w)
	}
	if w := word("Auto-Submitted"); w != "" && w != "no" {
		return "Auto-Submitted"
	}
	switch word("Precedence") {
	case "bulk", "list", "junk", "auto_reply":
		return "Precedence"
	}
	if v := value("X-Auto-Response-Suppress"); v != "" && v != "none" {
		return "X-Auto-Response-Suppress"
	}
	for _, field := range []string{"X-Loop", "X-Autoreply", "X-Autorespond", "List-Id", "List-Unsubscribe", "Feedback-Id"} {
		if h.Has(field) {
			return field
		}
	}
	if h.Has("Return-Path") && strings.Trim(value("Return-Path"), "<> ") == "" {
		return "Return-Path"
	}
	if media, _, err := h.ContentType(); err == nil && strings.EqualFold(media, "multipart/report") {
		return "Content-Type"
	}
	from := value("From")
	for _, machine := range []string{"mailer-daemon@", "postmaster@", "no-reply@", "noreply@", "do-not-reply@", "donotreply@"} {
		if strings.Contains(from, machine) {
			return "From"
		}
	}
	return ""
}
