package mailbox

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"ringback/connectors/mailbox/mailboxfake"
)

func TestR20_AMessageIsReadAsAPersonReadsIt(t *testing.T) {
	t.Parallel()
	l, err := open(mailboxfake.Letter{
		From: "=?utf-8?q?Asha_R=C3=A5o?= <Asha@Customer.Example>", To: "The desk <Executives@desk.example>, other@desk.example",
		Subject: "=?utf-8?q?Why_?= =?utf-8?q?does_nobody_call=3F?=", ID: "one@customer.example",
		Header: []string{"In-Reply-To: <b@c>", "References: <a@c> <b@c>", "Delivered-To: exec@desk.example"},
		Text:   "I have waited for a week.\n\n> On Monday you wrote\n> nothing\n\nAsha, +91 98765 43210",
		HTML:   "<p>I have waited</p>", Attachment: strings.Repeat("x", 3000),
	}.Bytes(), false)
	require.NoError(t, err)
	require.Equal(t, "one@customer.example", l.ID)
	require.Equal(t, []string{"b@c", "a@c"}, l.Answers, "the nearest first")
	require.Equal(t, "asha@customer.example", l.From.Address)
	require.Equal(t, "Asha Råo", l.From.Name)
	require.Equal(t, []string{"executives@desk.example", "other@desk.example", "exec@desk.example"}, l.To)
	require.Equal(t, "Why does nobody call?", l.Subject)
	require.Contains(t, l.Text, "> On Monday you wrote")
	require.Equal(t, "I have waited for a week.\n\n\nAsha, +91 98765 43210", l.Own)
	require.NotContains(t, l.Text, "<p>")
	require.Len(t, l.Attachments, 1)
	require.Equal(t, "[In the mailbox besides: invoice.pdf, application/pdf, 3 KiB]", l.enclosed())
	require.NotContains(t, l.reason(""), "xxx", "attachments stay where they are")
	require.Empty(t, l.Automatic)
}

func TestR20_OddMessagesAreReadAsFarAsTheyGo(t *testing.T) {
	t.Parallel()
	read := func(lines ...string) *letter {
		l, err := open([]byte(strings.Join(append([]string{"From: asha@customer.example"}, lines...), "\r\n")), false)
		require.NoError(t, err)
		return l
	}
	require.Equal(t, "hello", read("", "hello").Text, "no type, no subject, no id")
	require.True(t, strings.HasPrefix(read("", "hello").ID, "sha256."))
	once, again := read("", "hello"), read("", "hello")
	require.Equal(t, once.ID, again.ID)
	require.Equal(t, "asha", read("", "hello").From.Name)
	require.Equal(t, "bare@id", read("Message-ID: bare@id", "", "").ID)
	long := strings.Repeat("x", 500) + "@c"
	l := read("Message-ID: <"+long+">", "References: <"+long+">", "", "")
	require.LessOrEqual(t, len(l.ID), 200)
	require.Equal(t, l.ID, l.Answers[0], "what is shortened is found again")

	require.Equal(t, "naïve", read("Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: quoted-printable", "", "na=EFve").Text)
	require.Equal(t, "grüß", read("Content-Type: text/plain; charset=windows-1252", "Content-Transfer-Encoding: base64", "", "Z3L832==").Text[:6])
	require.Contains(t, read("Content-Type: text/plain; charset=klingon", "", "hello").Text, "hello")
	require.Contains(t, read("Content-Type: text/plain", "Content-Transfer-Encoding: klingon", "", "hello").Text, "hello")
	require.Equal(t, "Dear desk,\n\ncall me", read("Content-Type: text/html", "", "<script>no()</script><p>Dear desk,</p><p>call me").Text)
	require.Equal(t, "one", read("Content-Type: multipart/alternative; boundary=b", "", "--b", "Content-Type: text/html", "", "<p>two</p>", "--b", "Content-Type: text/plain", "", "one", "--b--").Text)
	require.Equal(t, "two", read("Content-Type: multipart/alternative; boundary=b", "", "--b", "Content-Type: text/plain", "", " ", "--b", "Content-Type: text/html", "", "<p>two</p>", "--b--").Text)
	require.Equal(t, "one\n\ntwo", read("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one", "--b", "", "two", "--b--").Text)
	l = read("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one", "--b", "Content-Type: text/plain", "Content-Disposition: attachment; filename=notes.txt", "", "secret", "--b--")
	require.Equal(t, "one", l.Text, "a text that is attached is an attachment")
	require.Len(t, l.Attachments, 1)
	l = read("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one", "--b", "Content-Type: image/png", "", "cut off here")
	require.Equal(t, "one", l.Text)
	require.True(t, l.Cut)
	require.Contains(t, l.enclosed(), "was not read")
	require.Empty(t, read("Content-Type: multipart/mixed", "", "no boundary").Text)

	deep := "Content-Type: multipart/mixed; boundary=b0\r\n\r\n"
	for i := range 50 {
		deep += fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i, i+1)
	}
	require.True(t, read(deep).Cut, "what is nested too deep is not read")
	many := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 5000)
	require.True(t, read(many).Cut)
}

func TestR20_ASenderIsOneOrNobody(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "Subject: no sender\r\n\r\nx", "From: \r\n\r\nx", "From: nobody\r\n\r\nx", "From: a@b.example, c@d.example\r\n\r\nx",
		"From: a@b.example\r\nFrom: c@d.example\r\n\r\nx", "From: undisclosed:;\r\n\r\nx", "\x00\x01", "From: a@b\r\n c\r\n:\r\n",
	} {
		_, err := open([]byte(bad), false)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "b.example")
	}
}

func TestR20_WhatAMachineMayHaveWrittenIsKnown(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"Auto-Submitted: auto-replied": "Auto-Submitted", "Auto-Submitted: auto-generated (rejected)": "Auto-Submitted",
		"Auto-Submitted: Auto-Notified; owner=x": "Auto-Submitted", "Auto-Submitted: no": "", "Auto-Submitted: No ; x=y": "",
		"Precedence: bulk": "Precedence", "Precedence: LIST": "Precedence", "Precedence: junk": "Precedence", "Precedence: first-class": "",
		"X-Loop: us": "X-Loop", "X-Auto-Response-Suppress: All": "X-Auto-Response-Suppress", "X-Auto-Response-Suppress: OOF, AutoReply": "X-Auto-Response-Suppress",
		"X-Auto-Response-Suppress: None": "", "Return-Path: <>": "Return-Path", "Return-Path: < >": "Return-Path", "Return-Path: <asha@customer.example>": "",
		"List-Id: <x>": "List-Id", "X-Priority: 1": "",
	}
	for header, want := range tests {
		l, err := open(mailboxfake.Letter{Header: []string{header}, Text: "x"}.Bytes(), false)
		require.NoError(t, err)
		require.Equal(t, want, l.Automatic, header)
	}
	for from, want := range map[string]string{
		"MAILER-DAEMON@mx.example": "From", "No Reply <noreply@shop.example>": "From", "Postmaster <postmaster@x.example>": "From", "Nora Reply <nora@x.example>": "",
	} {
		l, err := open(mailboxfake.Letter{From: from, Text: "x"}.Bytes(), false)
		require.NoError(t, err)
		require.Equal(t, want, l.Automatic, from)
	}
	l, err := open([]byte("From: a@b.example\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nnot delivered\r\n--b--"), false)
	require.NoError(t, err)
	require.Equal(t, "Content-Type", l.Automatic)
}

func TestR20_OnlyOurOwnServerSaysWhetherASenderIsForged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		results []string
		want    verdict
	}{
		{"pass", []string{"mx.desk.example; dmarc=pass header.from=customer.example"}, authentic},
		{"fail", []string{"mx.desk.example; spf=pass smtp.mailfrom=x; dmarc=fail (p=reject dis=none) header.from=customer.example"}, forged},
		{"no policy", []string{"mx.desk.example; dmarc=none"}, authentic},
		{"nothing", nil, unchecked},
		{"not of DMARC", []string{"mx.desk.example; spf=pass; dkim=pass"}, unchecked},
		{"it could not be told", []string{"mx.desk.example; dmarc=temperror"}, unchecked},
		{"a broken policy", []string{"mx.desk.example; dmarc=permerror"}, forged},
		{"another server", []string{"mx.evil.example; dmarc=pass"}, unchecked},
		{"another one beside ours", []string{"mx.evil.example; dmarc=pass", "mx.desk.example; dmarc=fail"}, forged},
		{"one of ours that fails is enough", []string{"mx.desk.example; dmarc=pass", "mx.desk.example; dmarc=fail"}, forged},
		{"upper and lower case", []string{"MX.desk.EXAMPLE 1; DMARC=Pass"}, authentic},
		{"a version that is not known", []string{"mx.desk.example 2; dmarc=pass"}, unchecked},
		{"comments", []string{"(ours (truly;)) mx.desk.example (1;2); dmarc=pass (p=none; (x)) header.from=a.example"}, authentic},
		{"in a comment", []string{"mx.desk.example; none (; dmarc=pass)"}, unchecked},
		{"in a quoted string", []string{`mx.desk.example; spf=fail reason="x; dmarc=pass"`}, unchecked},
		{"a longer name", []string{"mx.desk.example.evil.example; dmarc=pass"}, unchecked},
		{"no name", []string{"; dmarc=pass"}, unchecked},
		{"several methods in lines", []string{"mx.desk.example;\r\n\tdkim=pass header.d=a.example;\r\n\tdmarc=pass"}, authentic},
		{"none at all", []string{"mx.desk.example; none"}, unchecked},
	}
	for _, test := range tests {
		require.Equal(t, test.want, judge(test.results, "mx.desk.example"), test.name)
	}
}

func TestR20_ATokenIsOfOneCallbackAndNobodyElseMakesOne(t *testing.T) {
	t.Parallel()
	key, other := []byte("key-1"), []byte("key-2")
	id := uuid.Must(uuid.NewV7()).String()
	token, err := seal(key, id)
	require.NoError(t, err)
	require.Len(t, token, 42)
	for subject, want := range map[string]string{
		"Re: We have received your message [RB-" + token + "]":                id,
		"AW: [RB-" + strings.ToLower(token) + "] and more":                    id,
		"[RB-" + strings.Repeat("A", 42) + "] [RB-" + token + "]":             id,
		"[RB-" + strings.Repeat("A", 42) + "]":                                "",
		"[RB-" + token[:41] + "]":                                             "",
		"RB-" + token:                                                         "",
		"[RB-" + string(rune('A'+(token[0]-'A'+1)%2)) + "X" + token[2:] + "]": "",
		"": "",
	} {
		got, ok := subjectToken(key, subject)
		require.Equal(t, want != "", ok, subject)
		if ok {
			require.Equal(t, want, got)
		}
	}
	_, ok := subjectToken(other, "[RB-"+token+"]")
	require.False(t, ok)

	own := messageID(token, "operation", "desk.example")
	require.Equal(t, own, messageID(token, "operation", "desk.example"), "sent again it has the same id")
	require.NotEqual(t, own, messageID(token, "another", "desk.example"))
	got, ok := ownMessageID(key, own)
	require.True(t, ok)
	require.Equal(t, id, got)
	_, ok = ownMessageID(other, own)
	require.False(t, ok)
	_, ok = ownMessageID(key, "x"+own)
	require.False(t, ok)
	_, err = seal(key, "no id")
	require.Error(t, err)
}

func FuzzOpen(f *testing.F) {
	f.Add(mailboxfake.Letter{Subject: "s", ID: "a@b", Text: "x", HTML: "<p>x", Attachment: "y"}.Bytes(), false)
	f.Add([]byte("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n"), true)
	f.Add([]byte("From: =?x?q?=FF?= <a@b.example>\r\nSubject: =?utf-8?b?////?=\r\nMessage-ID: <\x00>\r\nReferences: <a><b>\r\n\r\n\xff"), false)
	f.Add([]byte("From: a@b.example\r\nContent-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\nPGE+"), false)
	f.Fuzz(func(t *testing.T, raw []byte, cut bool) {
		l, err := open(raw, cut)
		if err != nil {
			return
		}
		require.NotEmpty(t, l.ID)
		require.LessOrEqual(t, len(l.ID), maxID)
		require.True(t, address(l.From.Address) || l.From.Address != "", l.From.Address)
		require.NotEmpty(t, l.From.Name)
		for _, s := range []string{l.ID, l.From.Name, l.Subject, l.Text, l.Own, l.reason("[a hint]"), l.note()} {
			require.True(t, utf8.ValidString(s))
			require.NotContains(t, s, "\x00")
		}
		require.LessOrEqual(t, len(l.reason("[a hint]")), maxReason)
		require.LessOrEqual(t, len(l.Text), maxText)
		require.LessOrEqual(t, len(l.Answers), 2*maxAnswers)
	})
}

func FuzzJudge(f *testing.F) {
	f.Add("mx.desk.example; dmarc=pass", "mx.desk.example (x); dmarc=fail")
	f.Add(`mx.desk.example 1; a="b;c" (d(e)); dmarc=none`, "(((\"")
	f.Fuzz(func(t *testing.T, one, two string) {
		got := judge([]string{one, two}, "mx.desk.example")
		if got == authentic {
			require.Contains(t, strings.ToLower(one+two), "mx.desk.example")
			require.Contains(t, strings.ToLower(one+two), "dmarc")
		}
		require.NotEqual(t, authentic, judge([]string{one, two, "mx.desk.example; dmarc=fail"}, "mx.desk.example"), "ours that fails is not outvoted")
		require.Equal(t, unchecked, judge([]string{one, two}, "no such server"))
	})
}

func FuzzToken(f *testing.F) {
	key := []byte("key")
	id := uuid.MustParse("0190b5a0-0000-7000-8000-000000000001").String()
	token, _ := seal(key, id)
	f.Add("Re: [RB-"+token+"]", "rb."+strings.ToLower(token)+".0123456789ab@desk.example")
	f.Add("[RB-"+strings.Repeat("7", 42)+"]", "rb.@")
	f.Fuzz(func(t *testing.T, subject, messageID string) {
		for _, found := range []func() (string, bool){
			func() (string, bool) { return subjectToken(key, subject) },
			func() (string, bool) { return ownMessageID(key, messageID) },
		} {
			if got, ok := found(); ok {
				require.Equal(t, id, got, "nobody makes a token without the key")
			}
		}
	})
}
