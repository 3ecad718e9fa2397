// Package plain makes plain text of what other systems send: of HTML too, and
// never longer than asked.
package plain

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Text returns s as text that can be stored and shown: valid UTF-8, lines that
// end in "\n", no control characters but tabs, none that changes the direction of
// what follows, no trailing blanks, at most one empty line in a row, at most max
// bytes.
func Text(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n", "\u00a0", " ").Replace(s)
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), r == '\ufeff', r == '\u200b', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, s)
	lines := strings.Split(s, "\n")
	kept := lines[:0]
	for _, line := range lines {
		line = strings.TrimRight(line, " \t")
		if line == "" && len(kept) > 0 && kept[len(kept)-1] == "" {
			continue
		}
		kept = append(kept, line)
	}
	return Cut(strings.TrimSpace(strings.Join(kept, "\n")), limit)
}

// Line returns s as one line of at most max bytes.
func Line(s string, limit int) string {
	return Cut(strings.Join(strings.Fields(Text(s, len(s)+utf8.UTFMax)), " "), limit)
}

// cutMark ends what was cut.
const cutMark = " […]"

// Cut returns at most limit bytes of s, whole characters, and marks that it was cut.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := max(limit-len(cutMark), 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	if s = s[:n]; limit >= len(cutMark) {
		s = strings.TrimLeft(strings.TrimRight(s, " \n\t")+cutMark, " ")
	}
	return s
}

// FromHTML returns the text that a reader of the HTML sees: no scripts, styles,
// addresses of links or pictures; one line for each block. What is hidden by
// style sheets is not known to be.
func FromHTML(source string, limit int) string {
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(source))
	z.SetMaxBuf(1 << 20)
	skip := 0 // depth of elements whose text is not for readers
	for {
		switch z.Next() {
		case html.ErrorToken:
			return Text(out.String(), limit)
		case html.TextToken:
			if skip == 0 {
				words(&out, string(z.Text()))
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			switch a := atom.Lookup(name); {
			case unread[a]:
				skip++
			case skip == 0:
				space(&out, a)
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			switch a := atom.Lookup(name); {
			case unread[a]:
				skip = max(skip-1, 0)
			case skip == 0:
				space(&out, a)
			}
		case html.SelfClosingTagToken:
			if name, _ := z.TagName(); skip == 0 {
				space(&out, atom.Lookup(name))
			}
		case html.CommentToken, html.DoctypeToken:
		}
	}
}

// unread are elements whose text nobody reads.
var unread = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Head: true, atom.Title: true, atom.Template: true, atom.Noscript: true,
	atom.Iframe: true, atom.Object: true, atom.Svg: true, atom.Math: true, atom.Select: true, atom.Textarea: true,
}

// space writes what an element begins or ends with, by how it is shown.
func space(out *strings.Builder, a atom.Atom) {
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Table, atom.Ul, atom.Ol, atom.Hr, atom.Pre:
		breakLine(out, "\n\n")
	case atom.Br:
		out.WriteByte('\n')
	case atom.Div, atom.Tr, atom.Li, atom.Dt, atom.Dd, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Address, atom.Form:
		breakLine(out, "\n")
	case atom.Td, atom.Th:
		blank(out)
	}
}

// breakLine ends the line where that has not been done.
func breakLine(out *strings.Builder, end string) {
	for out.Len() > 0 && !strings.HasSuffix(out.String(), end) {
		out.WriteByte('\n')
	}
}

// blank parts words, where nothing does yet.
func blank(out *strings.Builder) {
	if s := out.String(); s != "" && s[len(s)-1] != ' ' && s[len(s)-1] != '\n' {
		out.WriteByte(' ')
	}
}

// words writes text with its white space collapsed, as browsers show it.
func words(out *strings.Builder, s string) {
	fields := strings.Fields(s)
	if first, _ := utf8.DecodeRuneInString(s); unicode.IsSpace(first) {
		blank(out)
	}
	out.WriteString(strings.Join(fields, " "))
	if last, _ := utf8.DecodeLastRuneInString(s); len(fields) > 0 && unicode.IsSpace(last) {
		blank(out)
	}
}
