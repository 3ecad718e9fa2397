package mailboxfake

import (
	"fmt"
	"strings"
)

// Letter is a mail to be written.
type Letter struct {
	From, To, Subject, ID string
	// Header has more lines, each "Name: value".
	Header []string
	Text   string
	// HTML is beside the text, as an alternative.
	HTML string
	// Attachment is the content of one, named invoice.pdf.
	Attachment string
}

// Customer is who writes where nobody else is named.
const Customer = "Asha Rao <asha@customer.example>"

// Inbox is the address of the inbox.
const Inbox = "executives@desk.example"

// Bytes is the letter as it is sent.
func (l Letter) Bytes() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	for _, h := range l.Header {
		line("%s", h)
	}
	line("From: %s", or(l.From, Customer))
	line("To: %s", or(l.To, Inbox))
	if l.Subject != "" {
		line("Subject: %s", l.Subject)
	}
	if l.ID != "" {
		line("Message-ID: <%s>", l.ID)
	}
	line("Date: Mon, 23 Nov 2026 12:00:00 +0000")
	line("MIME-Version: 1.0")
	text := strings.ReplaceAll(l.Text, "\n", "\r\n")
	if l.HTML == "" && l.Attachment == "" {
		line("Content-Type: text/plain; charset=utf-8")
		line("Content-Transfer-Encoding: 8bit")
		line("")
		line("%s", text)
		return []byte(b.String())
	}
	line(`Content-Type: multipart/mixed; boundary="outer"`)
	line("")
	line("--outer")
	line(`Content-Type: multipart/alternative; boundary="inner"`)
	line("")
	if l.Text != "" {
		line("--inner")
		line("Content-Type: text/plain; charset=utf-8")
		line("")
		line("%s", text)
	}
	if l.HTML != "" {
		line("--inner")
		line("Content-Type: text/html; charset=utf-8")
		line("")
		line("%s", l.HTML)
	}
	line("--inner--")
	if l.Attachment != "" {
		line("--outer")
		line("Content-Type: application/pdf; name=invoice.pdf")
		line("Content-Disposition: attachment; filename=invoice.pdf")
		line("")
		line("%s", l.Attachment)
	}
	line("--outer--")
	return []byte(b.String())
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
