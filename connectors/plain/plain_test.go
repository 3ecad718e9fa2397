package plain

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestTextIsSafeToStoreAndShow(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"line ends", "a\r\nb\rc\u2028d", "a\nb\nc\nd"},
		{"at most one empty line", "a\n\n\n \t\nb\n\n", "a\n\nb"},
		{"no control characters", "a\x00b\x1b[31mc\x07\td", "ab[31mc\td"},
		{"no change of direction", "a\u202egpj.exe\u2066b", "agpj.exeb"},
		{"bad bytes are marked", "a\xffb", "a\ufffdb"},
		{"nothing", " \n ", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, Text(test.in, 100))
		})
	}
	require.Equal(t, "one two three", Line(" one\n\ntwo\tthree ", 100))
}

func TestWhatIsCutSaysSo(t *testing.T) {
	t.Parallel()
	require.Equal(t, "whole", Cut("whole", 5))
	require.Equal(t, "åä […]", Cut("åäöåäöåäö", 11))
	require.LessOrEqual(t, len(Cut(strings.Repeat("ö", 50), 33)), 33)
	require.Empty(t, Cut("abc", 0))
}

func TestHTMLBecomesWhatAReaderSees(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{
			"blocks are lines", "<html><head><title>No</title></head><body><p>Dear  desk,</p><div>call <b>me</b>,<br>now</div><ul><li>one<li>two</ul></body></html>",
			"Dear desk,\n\ncall me,\nnow\n\none\ntwo",
		},
		{"no scripts and styles", "a<script>alert('x')</script><style>p{}</style><noscript>no</noscript>b", "ab"},
		{"an open script swallows the rest", "a<script>alert(1)", "a"},
		{"entities", "&lt;script&gt; &amp; &euro;&#8364;", "<script> & €€"},
		{"no addresses of links", `<a href="javascript:alert(1)">here</a><img src=x onerror=alert(1) alt="no">`, "here"},
		{"comments", "a<!-- secret -->b<![if !mso]>c<![endif]>", "abc"},
		{"tables", "<table><tr><td>Name</td><td>Asha</td></tr><tr><td>Job</td><td>7</td></tr></table>", "Name Asha\nJob 7"},
		{"no HTML at all", "just text", "just text"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, FromHTML(test.in, 1000))
		})
	}
}

func FuzzFromHTML(f *testing.F) {
	for _, seed := range []string{"<p>a</p>", "<script><!--", "<a\x00b>&#0;&nosuch;", "<p", strings.Repeat("<div>", 1000), "\xff<br/>"} {
		f.Add(seed, 40)
	}
	f.Fuzz(func(t *testing.T, source string, limit int) {
		limit = int(uint(limit) % 1000)
		text := FromHTML(source, limit)
		require.LessOrEqual(t, len(text), limit)
		require.True(t, utf8.ValidString(text))
		require.NotContains(t, text, "\x00")
		require.Equal(t, text, Text(text, limit), "once is enough")
	})
}
