package desk_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"ringback/api"
	"ringback/book"
	"ringback/config"
	"ringback/desk"
	"ringback/e2e/harness/floor"
)

type object = map[string]any

// house is a desk with people at it.
type house struct {
	*floor.Floor
	t testing.TB
}

func open(t testing.TB) *house {
	t.Helper()
	return openWith(t, config.Builtin())
}

func openWith(t testing.TB, c *config.Config) *house {
	t.Helper()
	f, err := floor.Open(t.Context(), floor.Options{
		Config: c, Data: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return &house{f, t}
}

// seen is a page as a browser gets it.
type seen struct {
	t      testing.TB
	status int
	header http.Header
	body   string
	// sent is how many bytes came over the wire.
	sent int
	root *html.Node
}

func (h *house) get(as, path string) *seen {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Accept-Encoding", "gzip, br")
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	if as != "" {
		r.AddCookie(floor.Cookie(as))
	}
	w := httptest.NewRecorder()
	h.Handler.ServeHTTP(w, r)
	s := &seen{t: h.t, status: w.Code, header: w.Header(), sent: w.Body.Len(), body: w.Body.String()}
	if w.Header().Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
		require.NoError(h.t, err)
		plain, err := io.ReadAll(z)
		require.NoError(h.t, err)
		s.body = string(plain)
	}
	return s
}

// page requires a page.
func (h *house) page(as, path string) *seen {
	h.t.Helper()
	s := h.get(as, path)
	require.Equal(h.t, http.StatusOK, s.status, "%s for %s: %s", path, as, s.body)
	var err error
	s.root, err = html.Parse(strings.NewReader(s.body))
	require.NoError(h.t, err)
	return s
}

func (h *house) promise(change ...func(object)) string {
	h.t.Helper()
	id, err := h.Promise(h.t.Context(), "assoc1", change...)
	require.NoError(h.t, err)
	return id
}

func (h *house) give(as, id, command string, body any) {
	h.t.Helper()
	require.NoError(h.t, h.Do(h.t.Context(), as, http.MethodPost, "/v1/callbacks/"+id+"/"+command, body, nil))
}

func (h *house) move(d time.Duration) {
	h.t.Helper()
	require.NoError(h.t, h.Move(h.t.Context(), d))
}

func (h *house) callback(id string) (c api.Callback) {
	h.t.Helper()
	require.NoError(h.t, h.Do(h.t.Context(), "sup1", http.MethodGet, "/v1/callbacks/"+id, nil, &c))
	return c
}

// busy is a floor on which much has happened; it returns callbacks in every state.
func (h *house) busy() map[string]string {
	h.t.Helper()
	ids := map[string]string{}
	ids["queued"] = h.promise()
	ids["held"] = h.promise(func(b object) {
		b["source"] = object{"system": "freshdesk", "ref": "1", "url": "https://acme.freshdesk.com/1"}
	})
	h.give("sup1", ids["held"], "claim", nil)
	h.give("sup1", ids["held"], "hold", object{"reason": "Bank is closed", "until": h.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)})
	ids["reached"] = h.promise()
	h.give("sup1", ids["reached"], "claim", nil)
	h.give("sup1", ids["reached"], "start", nil)
	h.give("sup1", ids["reached"], "attempts", object{"disposition": "no_answer"})
	h.give("sup1", ids["reached"], "attempts", object{"disposition": "reached"})
	h.give("mgr1", ids["reached"], "notes", object{"kind": "note", "body": "Thank you"})
	ids["escalated"] = h.promise()
	h.give("sup2", ids["escalated"], "claim", nil)
	h.give("sup2", ids["escalated"], "escalate", object{"reason": "Asks for a manager"})
	ids["scheduled"] = h.promise(func(b object) { b["scheduled_for"] = h.Now().Add(26 * time.Hour).UTC().Format(time.RFC3339) })
	ids["completed"] = h.promise()
	h.give("sup2", ids["completed"], "claim", nil)
	h.give("sup2", ids["completed"], "start", nil)
	h.give("sup2", ids["completed"], "attempts", object{"disposition": "reached"})
	h.give("sup2", ids["completed"], "complete", object{"resolution_reason": "resolved", "call_summary": "All is well"})
	ids["cancelled"] = h.promise()
	h.give("mgr1", ids["cancelled"], "cancel", object{"reason": "Not needed any more"})
	ids["purchasing"] = h.promise(func(b object) {
		b["policy"], b["fields"] = "purchasing-escalation", object{"order_number": "ORD-4711", "what_is_needed": "hinges"}
	})
	return ids
}

// pages are the addresses of every page; those of one callback have {id}.
var pages = []string{
	"/", "/board", "/board?lanes=tier", "/board?lanes=queue&queue=Managers+-+RM", "/activities", "/activities?status=queued&status=claimed&sort=-requested_at",
	"/new", "/new?policy=purchasing-escalation", "/tags", "/wallboard", "/wallboard?bare=1", "/policies", "/search", "/search?q=asha", "/search?q=nobody", "/help",
	"/reports", "/reports?days=7&zone=Asia%2FKolkata&tier=manager", "/reports?from=2026-01-01&to=2026-01-31", "/reports/rows", "/reports/rows?result=missed&weekday=1&hour=9",
	"/systems", "/outages", "/callbacks/{id}", "/callbacks/{id}/customer", "/callbacks/{id}/promised",
}

var everybody = []string{"assoc1", "agent1", "sup1", "mgr1", "exec1", "aud1", "admin1"}

func addresses(ids map[string]string) []string {
	var all []string
	for _, p := range pages {
		if !strings.Contains(p, "{id}") {
			all = append(all, p)
			continue
		}
		for _, id := range ids {
			all = append(all, strings.ReplaceAll(p, "{id}", id))
		}
	}
	return all
}

func TestEveryPageForEverybody(t *testing.T) {
	t.Parallel()
	h := open(t)
	ids := h.busy()
	h.move(20 * time.Minute)
	for _, as := range everybody {
		for _, path := range addresses(ids) {
			s := h.page(as, path)
			s.wellFormed(path)
			s.safe(path)
			require.Contains(t, s.body, `<html lang="en"`)
			require.NotContains(t, s.body, "<no value>", path)
			require.NotContains(t, s.body, "%!", path)
		}
	}
}

// walk calls f for every element.
func (s *seen) walk(f func(n *html.Node)) {
	var visit func(n *html.Node)
	visit = func(n *html.Node) {
		if n.Type == html.ElementNode {
			f(n)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			visit(c)
		}
	}
	visit(s.root)
}

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

var void = []string{"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}

// wellFormed requires that what is opened is closed, in order, that an id is
// only there once, and that what refers to one finds it.
func (s *seen) wellFormed(path string) {
	s.t.Helper()
	var stack []string
	tokens := html.NewTokenizer(strings.NewReader(s.body))
	for kind := tokens.Next(); kind != html.ErrorToken; kind = tokens.Next() {
		token := tokens.Token()
		switch kind {
		case html.StartTagToken:
			if !slices.Contains(void, token.Data) {
				stack = append(stack, token.Data)
			}
		case html.EndTagToken:
			require.NotEmpty(s.t, stack, "%s: </%s> closes nothing", path, token.Data)
			require.Equal(s.t, stack[len(stack)-1], token.Data, "%s: %v", path, stack)
			stack = stack[:len(stack)-1]
		}
	}
	require.Empty(s.t, stack, path)

	ids := map[string]bool{}
	s.walk(func(n *html.Node) {
		if id, has := attribute(n, "id"); has {
			require.False(s.t, ids[id], "%s: the id %s is there twice", path, id)
			ids[id] = true
		}
	})
	s.walk(func(n *html.Node) {
		for _, name := range []string{"for", "aria-labelledby", "aria-controls", "list", "popovertarget", "data-dialog", "data-presets"} {
			if id, has := attribute(n, name); has {
				require.True(s.t, ids[id], "%s: %s=%q finds nothing", path, name, id)
			}
		}
	})
}

// safe requires that nothing on the page could be run but the desk's own scripts.
func (s *seen) safe(path string) {
	s.t.Helper()
	policy := s.header.Get("Content-Security-Policy")
	require.Contains(s.t, policy, "default-src 'none'", path)
	require.NotContains(s.t, policy, "unsafe", path)
	require.Equal(s.t, "nosniff", s.header.Get("X-Content-Type-Options"), path)
	require.Equal(s.t, "no-store", s.header.Get("Cache-Control"), path)
	s.walk(func(n *html.Node) {
		require.NotEqual(s.t, "style", n.Data, path)
		if n.Data == "script" {
			src, _ := attribute(n, "src")
			require.Regexp(s.t, `^/assets/[0-9a-f]{12}/[a-z]+\.js$`, src, path)
			require.Nil(s.t, n.FirstChild, path)
		}
		for _, a := range n.Attr {
			require.False(s.t, strings.HasPrefix(a.Key, "on") || a.Key == "style", "%s: %s=%q", path, a.Key, a.Val)
			if a.Key == "href" || a.Key == "src" || a.Key == "action" {
				require.NotRegexp(s.t, `(?i)^\s*(javascript|data|vbscript):`, a.Val, path)
			}
			if a.Key == "src" || n.Data == "link" && a.Key == "href" {
				require.True(s.t, strings.HasPrefix(a.Val, "/assets/"), "%s fetches %s", path, a.Val)
			}
		}
	})
}

// R26: what customers are called is text, whatever it looks like.
func TestHostileTextIsOnlyText(t *testing.T) {
	t.Parallel()
	h := open(t)
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(2)>{{.Me}}</textarea><!--`
	id := h.promise(func(b object) {
		b["customer"] = object{"name": bad, "phone": "+919876543210", "ref": bad}
		b["reason"], b["lob"] = bad, bad
		b["source"] = object{"system": "freshdesk", "ref": bad, "url": `https://example.com/"onmouseover=alert(3)`}
	})
	h.give("sup1", id, "claim", nil)
	h.give("sup1", id, "notes", object{"kind": "note", "body": bad})
	h.give("sup1", id, "start", nil)
	h.give("sup1", id, "attempts", object{"disposition": "busy", "note": bad})
	for _, path := range []string{
		"/", "/board", "/activities", "/tags", "/search?q=" + url.QueryEscape(bad), "/callbacks/" + id, "/callbacks/" + id + "/customer",
		"/callbacks/" + id + "/promised", "/activities?q=" + url.QueryEscape(bad), "/board/cards?id=" + id,
	} {
		s := h.page("sup1", path)
		require.NotContains(t, s.body, "<script>alert", path)
		require.NotContains(t, s.body, "<img", path)
		if !strings.HasPrefix(path, "/board/") {
			s.wellFormed(path)
			s.safe(path)
		}
	}
}

// Every link of every page leads somewhere.
func TestLinksResolve(t *testing.T) {
	t.Parallel()
	h := open(t)
	ids := h.busy()
	for _, as := range []string{"sup1", "mgr1", "assoc1", "aud1"} {
		looked := map[string]bool{}
		for _, path := range addresses(ids) {
			s := h.page(as, path)
			s.walk(func(n *html.Node) {
				for _, name := range []string{"href", "src"} {
					link, has := attribute(n, name)
					link, fragment, _ := strings.Cut(link, "#")
					if !has || !strings.HasPrefix(link, "/") || looked[link] || strings.HasPrefix(link, "/audit") && as != "aud1" || strings.HasPrefix(link, "/people") {
						continue
					}
					looked[link] = true
					found := h.get(as, link)
					require.Equal(t, http.StatusOK, found.status, "%s of %s for %s", link, path, as)
					if fragment != "" && link == "/help" {
						require.Contains(t, found.body, `id="`+fragment+`"`)
					}
				}
			})
		}
		require.Greater(t, len(looked), 25)
	}
}

// The first page, with everything that it loads.
func TestTheFirstPageIsSmall(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.busy()
	for i := range 30 {
		h.promise(func(b object) { b["reason"] = fmt.Sprintf("Reason %d: %s", i, strings.Repeat("words ", 20)) })
	}
	for _, path := range []string{"/", "/board", "/activities", "/new"} {
		s := h.page("sup1", path)
		sum := s.sent
		loaded := map[string]bool{}
		s.walk(func(n *html.Node) {
			for _, name := range []string{"href", "src"} {
				if link, has := attribute(n, name); has && strings.HasPrefix(link, "/assets/") && !loaded[link] {
					loaded[link] = true
					asset := h.get("", link)
					require.Equal(t, http.StatusOK, asset.status, link)
					require.Equal(t, "public, max-age=31536000, immutable", asset.header.Get("Cache-Control"))
					sum += asset.sent
				}
			}
		})
		require.Greater(t, len(loaded), 8)
		require.Less(t, sum, 150<<10, "%s and what it loads", path)
		t.Logf("%s: %d bytes", path, sum)
	}
}

func TestScriptsImportOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.page("sup1", "/board")
	prefix := regexp.MustCompile(`/assets/[0-9a-f]{12}/`).FindString(s.body)
	imported := regexp.MustCompile(`(?:from|import\()\s*"\./([a-z]+\.js)"`)
	for _, name := range []string{"app.js", "board.js", "activities.js", "new.js", "tags.js", "audit.js", "policies.js", "people.js"} {
		script := h.get("", prefix+name)
		require.Equal(t, http.StatusOK, script.status, name)
		require.Equal(t, "text/javascript; charset=utf-8", script.header.Get("Content-Type"))
		require.NotContains(t, script.body, "innerHTML", name)
		for _, m := range imported.FindAllStringSubmatch(script.body, -1) {
			require.Equal(t, http.StatusOK, h.get("", prefix+m[1]).status, "%s imports %s", name, m[1])
		}
	}
	require.Equal(t, http.StatusNotFound, h.get("", prefix+"none.js").status)
	old := h.get("", "/assets/000000000000/app.js")
	require.Equal(t, http.StatusOK, old.status, "a page of the last release")
	require.Equal(t, "no-cache", old.header.Get("Cache-Control"))
}

func TestWhoIsNotSignedInIsSentToSignIn(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.get("", "/board?lanes=tier")
	require.Equal(t, http.StatusSeeOther, s.status)
	require.Equal(t, "/sign-in?next=%2Fboard%3Flanes%3Dtier", s.header.Get("Location"))
	require.Equal(t, http.StatusSeeOther, h.get("stranger", "/").status)
}

// Every address of the desk, as everybody and as nobody.
func TestEveryAddressAsEverybody(t *testing.T) {
	t.Parallel()
	h := open(t)
	ids := h.busy()
	id := ids["completed"]
	mays := map[string][]string{ // who may; everybody else is refused
		"/people": {"admin1"}, "/people/sup1": {"admin1"},
		"/audit": {"aud1"}, "/audit/" + id: {"aud1"}, "/audit/" + id + "/history.json": {"aud1"}, "/audit/" + id + "/bundle.zip": {"aud1"},
	}
	for _, path := range append(addresses(map[string]string{"": id}), "/activities.csv", "/reports.csv", "/reports/rows.csv", "/board/cards?id="+id) {
		mays[path] = everybody
	}
	for path, who := range mays {
		for _, as := range everybody {
			want := http.StatusForbidden
			if slices.Contains(who, as) {
				want = http.StatusOK
			}
			s := h.get(as, path)
			require.Equal(t, want, s.status, "%s as %s", path, as)
			require.Contains(t, s.header.Get("Content-Security-Policy"), "default-src 'none'", path)
			if want != http.StatusOK {
				require.NotContains(t, s.body, id)
				require.NotContains(t, s.body, "Asha Rao")
			}
		}
		nobody := h.get("", path)
		require.Equal(t, http.StatusSeeOther, nobody.status, path)
		require.True(t, strings.HasPrefix(nobody.header.Get("Location"), "/sign-in?next="), path)
	}
}

func TestProblemsArePages(t *testing.T) {
	t.Parallel()
	h := open(t)
	for path, status := range map[string]int{
		"/nowhere": 404, "/callbacks/018f0000-0000-7000-8000-000000000000": 404, "/callbacks/x/customer": 404, "/activities?status=lost": 422,
		"/activities?cursor=x": 422, "/board/cards": 400, "/board/more": 400, "/activities.csv?status=lost": 422,
	} {
		s := h.get("sup1", path)
		require.Equal(t, status, s.status, "%s: %s", path, s.body)
		require.Equal(t, "text/html; charset=utf-8", s.header.Get("Content-Type"), path)
		require.Contains(t, s.body, "To My work", path)
	}
}

// CONTRACT §4: a program that asks for what is not there is answered as the API answers.
func TestProgramsGetProblems(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		r := httptest.NewRequestWithContext(t.Context(), method, "/nowhere", nil)
		w := httptest.NewRecorder()
		h.Handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		require.JSONEq(t, `{"type": "/docs#not_found", "title": "There is no such thing", "status": 404, "detail": "there is nothing at this address",
			"code": "not_found", "rule": null, "errors": [], "existing": null, "holder": null}`, w.Body.String())
	}
}

func TestADeskNeedsItsParts(t *testing.T) {
	t.Parallel()
	_, err := desk.New(desk.Options{})
	require.Error(t, err)
}

// The desk's figures are the API's.
func TestFiguresAreTheAPIs(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.busy()
	h.move(70 * time.Minute)
	count := func(query string) string {
		var c api.Counts
		require.NoError(t, h.Do(t.Context(), "mgr1", http.MethodGet, "/v1/counts?"+query, nil, &c))
		return strconv.FormatInt(c.Count, 10)
	}
	const openOnes = "status=scheduled,queued,claimed,in_progress"
	number := func(s *seen, pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(s.body)
		require.NotNil(t, m, pattern)
		return m[1]
	}
	require.Equal(t, count(openOnes), number(h.page("mgr1", "/board"), `data-total>(\d+)<`))
	require.Equal(t, count("status=queued&queue=Managers%20-%20RM"), number(h.page("mgr1", "/board?queue=Managers+-+RM"), `data-status="queued" data-count="(\d+)"`))
	require.Equal(t, count(""), number(h.page("mgr1", "/activities"), `activities-total" data-live>(\d+)<`))
	require.Equal(t, count("callback_required=true"), number(h.page("mgr1", "/tags"), `<strong>(\d+)</strong> tickets`))
	wall := h.page("mgr1", "/wallboard")
	require.Equal(t, count(openOnes), number(wall, `<dt>Open</dt><dd>(\d+)<`))
	require.Equal(t, count("status=queued"), number(wall, `<dt>Waiting</dt><dd>(\d+)<`))
	require.Equal(t, count("overdue=true"), number(wall, `<dt>Overdue</dt><dd>(\d+)<`))
	require.Equal(t, count("status=queued&queue=Managers%20-%20RM&queue=Managers%20-%20Customer%20Service"), number(h.page("mgr1", "/"), `(\d+) waiting in your queues`))

	var stats api.Stats
	midnight := time.Date(h.Now().UTC().Year(), h.Now().UTC().Month(), h.Now().UTC().Day(), 0, 0, 0, 0, time.UTC)
	require.NoError(t, h.Do(t.Context(), "mgr1", http.MethodGet, "/v1/stats?from="+midnight.Format(time.RFC3339), nil, &stats))
	require.Contains(t, wall.body, fmt.Sprintf("Today: %d promises made, %d kept, %d missed", stats.Made, stats.Kept, stats.MissedByPeople))

	// Reports show what the API reports, and a figure leads back to the same days.
	reports := h.page("mgr1", "/reports?from=2020-01-01&to=2020-02-01&zone=Asia%2FKolkata")
	var rows string
	reports.walk(func(n *html.Node) {
		if href, _ := attribute(n, "href"); strings.HasPrefix(href, "/reports/rows?") && rows == "" {
			rows = href
		}
	})
	require.Contains(t, html.UnescapeString(h.page("mgr1", rows).body), "/reports?from=2020-01-01&to=2020-02-01&zone=Asia%2FKolkata")
	at, err := url.Parse(rows)
	require.NoError(t, err)
	require.Equal(t, "2019-12-31T18:30:00.000Z", at.Query().Get("from"))
	require.Equal(t, "2020-02-01T18:30:00.000Z", at.Query().Get("to"))
	require.Contains(t, h.get("mgr1", "/reports.csv?"+at.RawQuery).body, "2020-01-01 00:00:00 to 2020-02-02 00:00:00 (Asia/Kolkata)")
	today := h.page("mgr1", "/reports?days=30")
	var report api.Report
	require.NoError(t, h.Do(t.Context(), "mgr1", http.MethodGet, "/v1/reports?zone=UTC&from="+midnight.AddDate(0, 0, -29).Format(time.RFC3339), nil, &report))
	require.Positive(t, report.Totals.Made)
	for name, n := range map[string]int64{"Made": report.Totals.Made, "Kept": report.Totals.Kept, "Missed by people": report.Totals.MissedByPeople, "Open": report.Totals.Open} {
		require.Equal(t, strconv.FormatInt(n, 10), number(today, `<dt>`+name+`</dt><dd><a [^>]*>(\d+)<`), name)
	}
}

func TestCSVCannotBeAFormula(t *testing.T) {
	t.Parallel()
	h := open(t)
	names := []string{`=HYPERLINK("http://evil")`, "+1", "-1", "@SUM(A1)", "\t=1", " =1", "＝1", "plain, with \"quotes\"\nand a line"}
	for _, name := range names {
		h.promise(func(b object) {
			b["customer"] = object{"name": "x" + name, "phone": "+919876543210"}
			b["reason"] = name
		})
	}
	s := h.get("sup1", "/activities.csv?sort=-requested_at")
	require.Equal(t, http.StatusOK, s.status)
	require.Equal(t, "text/csv; charset=utf-8", s.header.Get("Content-Type"))
	require.Contains(t, s.header.Get("Content-Disposition"), `filename="callbacks.csv"`)
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(s.body, "\ufeff"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, len(names)+1)
	reason := slices.Index(rows[0], "reason")
	for i, row := range rows[1:] {
		for _, cell := range row {
			require.NotRegexp(t, `^[\s\x{00a0}]*[=+@＝＋－＠-]`, cell)
		}
		want := names[len(names)-1-i]
		require.Equal(t, want, strings.TrimPrefix(row[reason], "'"), "nothing is lost")
	}
}

// A file has all rows, however many pages of the API that takes.
func TestCSVHasEveryRow(t *testing.T) {
	t.Parallel()
	h := open(t)
	for range 230 {
		h.promise()
	}
	s := h.get("sup1", "/activities.csv")
	require.Equal(t, 231, strings.Count(s.body, "\n"))
}

// What cannot be done is not offered, and what the policy asks for is asked.
func TestDialogsOfferWhatIsAllowed(t *testing.T) {
	t.Parallel()
	h := open(t)
	ids := h.busy()
	has := func(as, id string, dialogs ...string) {
		t.Helper()
		s := h.page(as, "/callbacks/"+id)
		var found []string
		s.walk(func(n *html.Node) {
			if d, is := attribute(n, "id"); is && n.Data == "dialog" && d != "keys" {
				found = append(found, d)
			}
		})
		require.ElementsMatch(t, dialogs, found, "%s at %s", as, id)
	}
	has("assoc1", ids["queued"], "customer-called")
	has("aud1", ids["queued"])
	has("sup1", ids["reached"], "complete", "escalate", "hold", "reschedule", "release", "cancel", "customer-called")
	has("mgr1", ids["reached"], "reassign", "cancel", "customer-called")
	has("sup1", ids["completed"])
	has("sup1", ids["held"], "escalate", "reschedule", "release", "cancel", "customer-called")

	reached := h.page("sup1", "/callbacks/"+ids["reached"])
	require.Contains(t, reached.body, `value="unreachable" required disabled`, "one of three attempts")
	require.Contains(t, reached.body, `value="resolved" required>`)
	require.Contains(t, reached.body, `id="complete-summary"`, "R12")
	h.give("sup1", ids["reached"], "notes", object{"kind": "call_summary", "body": "All is well"})
	require.NotContains(t, h.page("sup1", "/callbacks/"+ids["reached"]).body, `id="complete-summary"`, "it is there already")

	unreached := h.promise()
	h.give("sup1", unreached, "claim", nil)
	h.give("sup1", unreached, "start", nil)
	require.Contains(t, h.page("sup1", "/callbacks/"+unreached).body, `value="resolved" required disabled`, "R09")
	for range 3 {
		h.give("sup1", unreached, "attempts", object{"disposition": "no_answer"})
	}
	require.Contains(t, h.page("sup1", "/callbacks/"+unreached).body, `value="unreachable" required>`)
}

// Nobody calls next where nothing happens any more.
func TestWhatIsClosedHasNoNextCall(t *testing.T) {
	t.Parallel()
	h := open(t)
	ids := h.busy()
	for name, closed := range map[string]bool{"reached": false, "completed": true, "cancelled": true} {
		body := h.page("mgr1", "/callbacks/"+ids[name]).body
		require.Equal(t, closed, strings.Contains(body, "<dt>Had it last</dt>"), name)
		require.Equal(t, !closed, strings.Contains(body, "<dt>Calls next</dt>"), name)
	}
}

// My work: the most urgent first, and one next step.
func TestMyWorkIsInOrderOfPromise(t *testing.T) {
	t.Parallel()
	h := open(t)
	named := func(name string) string {
		return h.promise(func(b object) { b["customer"] = object{"name": name, "phone": "+919876543210"} })
	}
	late, soon, waits := named("Late"), named("Soon"), named("Waits")
	h.give("sup1", soon, "claim", nil)
	h.give("sup1", late, "claim", nil)
	first := func(as, name, step string) {
		t.Helper()
		body := html.UnescapeString(h.page(as, "/").body)
		body = body[strings.Index(body, `id="first"`):]
		body = body[:strings.Index(body, "</section>")]
		require.Contains(t, body, name)
		require.Contains(t, body, step)
	}
	first("sup1", "Late", ">Start<")
	h.give("sup1", late, "start", nil)
	first("sup1", "Late", "Call +91 98765 43210")
	first("sup1", "Late", `value="no_answer"`)
	h.give("sup1", late, "attempts", object{"disposition": "reached"})
	first("sup1", "Soon", ">Start<") // the other promise still runs
	h.give("sup1", soon, "release", object{"reason": "Lunch"})
	first("sup1", "Late", ">Complete<")
	h.give("mgr1", late, "notes", object{"kind": "note", "body": "Please hurry up"})
	require.Contains(t, h.page("sup1", "/").body, "Please hurry up", "whoever has it sees what others wrote")
	first("sup2", "customers wait in your queues", "Claim the next one")
	require.Contains(t, h.page("sup2", "/").body, waits)
	first("assoc1", "Promise a callback", "/new")
	require.Contains(t, h.page("assoc1", "/").body, "Promised by you")
	first("aud1", "You read, and give no command", "/audit")
}

// R01: whoever could take a live transfer and cannot be found for one is told so:
// who never said whether they are free, and who has lapsed to offline.
func TestR01WhoCannotBeFoundIsTold(t *testing.T) {
	t.Parallel()
	h := open(t)
	const button = `data-set-presence="available"`
	require.Contains(t, h.page("sup1", "/").body, "You have not said whether you are free")
	require.NoError(t, h.Do(t.Context(), "sup1", http.MethodPut, "/v1/me/presence", object{"state": "available"}, nil))
	require.NotContains(t, h.page("sup1", "/").body, button)
	h.move(16 * time.Minute)
	require.Contains(t, h.page("sup1", "/").body, "nothing was heard of you for 15 minutes")
	require.Contains(t, h.page("sup1", "/").body, button)
	require.NotContains(t, h.page("assoc1", "/").body, button, "nobody transfers to an associate")
	require.NotContains(t, h.page("aud1", "/").body, button)
}

// R01: the words to say, with the time as the customer's clock shows it.
func TestR01TheWordsToSay(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise(func(b object) {
		b["customer"] = object{"name": "Asha Rao", "phone": "+919876543210", "time_zone": "Asia/Kolkata"}
	})
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	require.NoError(t, err)
	due := h.callback(id).DueAt.In(kolkata)
	when := due.Format("15:04")
	if due.YearDay() != h.Now().In(kolkata).YearDay() {
		when = "tomorrow, " + when
	}
	require.Contains(t, h.page("assoc1", "/callbacks/"+id+"/promised").body,
		"Thank you, Asha Rao. A supervisor will call you on &#43;91 98765 43210 by "+when+" your time.")
}

// R01: where nobody said what the customer's clock is, their number may; and what
// happens now is what happens.
func TestR01TheWordsGoByTheNumber(t *testing.T) {
	t.Parallel()
	h := open(t)
	of := func(change func(object)) string {
		id := h.promise(func(b object) {
			b["customer"] = object{"name": "Asha Rao", "phone": "+919876543210"}
			change(b)
		})
		return html.UnescapeString(h.page("assoc1", "/callbacks/"+id+"/promised").body)
	}
	plain := of(func(object) {})
	require.Contains(t, plain, " your time.")
	require.Contains(t, plain, "Time: Asia/Kolkata, which their number belongs to.")
	require.Contains(t, plain, "It waits in the queue Supervisors - RM.")
	require.Contains(t, plain, "it climbs by itself")
	later := of(func(b object) { b["scheduled_for"] = h.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339) })
	require.Contains(t, later, h.Now().AddDate(1, 0, 0).In(time.FixedZone("", 5*3600+1800)).Format("2 January 2006"), "of another year it says which")
	require.Contains(t, later, "It waits for the time that they asked for, and comes into the queue Supervisors - RM then.")
	require.Contains(t, of(func(b object) { b["policy"] = "executive-escalation" }), "everybody is chased until it is done")
}

// A name that is written from right to left does not turn the sentence around it.
func TestNamesReadInTheirOwnDirection(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise(func(b object) {
		b["customer"] = object{"name": "محمد (2)", "phone": "+971501234567", "time_zone": "Asia/Dubai"}
	})
	require.Contains(t, h.page("assoc1", "/callbacks/"+id+"/promised").body, "Thank you, \u2068محمد (2)\u2069. A supervisor")
	for _, path := range []string{"/", "/board", "/activities", "/tags", "/search?q=971501234567", "/callbacks/" + id, "/callbacks/" + id + "/customer"} {
		require.Contains(t, h.page("sup1", path).body, "<bdi>محمد (2)</bdi>", path)
	}
}

// The menu leads to what is open, in order of promise; a list of everything
// begins with the newest, not with what was closed years ago.
func TestActivitiesBeginWithWhatMatters(t *testing.T) {
	t.Parallel()
	h := open(t)
	ids := h.busy()
	h.move(time.Second)
	newest := h.promise()
	rows := func(path string) (ids []string) {
		h.page("mgr1", path).walk(func(n *html.Node) {
			if id, has := attribute(n, "id"); has && n.Data == "tr" {
				ids = append(ids, strings.TrimPrefix(id, "r-"))
			}
		})
		return ids
	}
	var menu string
	h.page("mgr1", "/").walk(func(n *html.Node) {
		if href, _ := attribute(n, "href"); strings.HasPrefix(href, "/activities") && menu == "" {
			menu = href
		}
	})
	open := rows(menu)
	require.NotContains(t, open, ids["completed"])
	require.NotContains(t, open, ids["cancelled"])
	require.Contains(t, h.page("mgr1", menu).body, `aria-current="page">Open</a>`)
	require.True(t, slices.IsSortedFunc(open, func(a, b string) int { return h.callback(a).DueAt.Compare(h.callback(b).DueAt.Time) }))
	all := rows("/activities")
	require.Equal(t, newest, all[0])
	require.Contains(t, all, ids["completed"])
}

// What people read is a word, not a name of the configuration.
func TestTiersInWords(t *testing.T) {
	t.Parallel()
	h := open(t)
	wall := h.page("sup1", "/wallboard").body
	require.Contains(t, wall, `<th scope="row">Tier 3</th>`)
	require.NotContains(t, wall, `<th scope="row">Associate</th>`, "nobody is ever transferred to an associate")
	promise := h.page("assoc1", "/new").body
	for _, who := range []string{"a supervisor", "an executive", "an agent", "a tier 3"} {
		require.Contains(t, promise, `data-who="`+who+`"`)
	}
}

// A number is found as pages show it, and as people dial it.
func TestNumbersAreFoundAsTheyAreShown(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise(func(b object) { b["customer"] = object{"name": "Asha Rao", "phone": "+919876543210"} })
	for _, q := range []string{"+91 98765 43210", "+919876543210", "0091 98765-43210", "+91 98765", "rao"} {
		require.Contains(t, h.page("sup1", "/search?q="+url.QueryEscape(q)).body, "c-"+id, q)
		require.Contains(t, h.page("sup1", "/activities?q="+url.QueryEscape(q)).body, "r-"+id, q)
	}
	require.NotContains(t, h.page("sup1", "/search?q="+url.QueryEscape("+91 98765 43211")).body, "c-"+id)
}

// R15: all of one customer, open first, without a name or number in an address.
func TestR15TheCustomersPage(t *testing.T) {
	t.Parallel()
	h := open(t)
	of := func(ref, phone string) string {
		return h.promise(func(b object) {
			c := object{"name": "Asha Rao", "phone": phone}
			if ref != "" {
				c["ref"] = ref
			}
			b["customer"] = c
		})
	}
	a, b, other := of("crm-1", "+919876543210"), of("crm-1", "+46701234567"), of("crm-2", "+919876543210")
	s := h.page("sup1", "/callbacks/"+a+"/customer")
	require.Contains(t, s.body, b)
	require.NotContains(t, s.body, other)
	plain, same := of("", "+34612345678"), of("", "+34612345678")
	require.Contains(t, h.page("sup1", "/callbacks/"+plain+"/customer").body, same)
}

// Every button and number that is there to be dialled dials: My work, the
// callback's page (twice), and the customer's.
func TestR08_TheCallButtonDials(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise()
	h.give("sup1", id, "claim", nil)
	h.give("sup1", id, "start", nil)
	for path, links := range map[string]int{"/": 1, "/callbacks/" + id: 2, "/callbacks/" + id + "/customer": 1} {
		s := h.page("sup1", path)
		dials := 0
		s.walk(func(n *html.Node) {
			href, is := attribute(n, "href")
			if is && strings.HasPrefix(href, "tel:") {
				require.Equal(t, "tel:+919876543210", href)
				dials++
			}
		})
		require.Equal(t, links, dials, path)
		require.NotContains(t, s.body, "ZgotmplZ", path)
	}
}

// A page names a change up to which it shows all, so that its stream goes on from
// there.
func TestAPageSaysWhereItsStreamBegins(t *testing.T) {
	t.Parallel()
	h := open(t)
	require.Contains(t, h.page("sup1", "/").body, ` data-feed="0"`)
	h.promise()
	require.Eventually(t, func() bool { return strings.Contains(h.page("sup1", "/").body, ` data-feed="1"`) }, time.Minute, 10*time.Millisecond)
}

// R10: the list of open tags, and the chase.
func TestR10OpenTags(t *testing.T) {
	t.Parallel()
	h := open(t)
	ids := h.busy()
	h.move(61 * time.Minute)
	s := h.page("mgr1", "/tags")
	for name, open := range map[string]bool{"queued": true, "held": true, "reached": true, "escalated": true, "completed": false, "cancelled": false, "purchasing": false} {
		require.Equal(t, open, strings.Contains(s.body, `id="t-`+ids[name]+`"`), name)
	}
	var due []time.Time
	s.walk(func(n *html.Node) {
		if id, _ := attribute(n, "id"); strings.HasPrefix(id, "t-") {
			due = append(due, h.callback(strings.TrimPrefix(id, "t-")).DueAt.Time)
		}
	})
	require.True(t, slices.IsSortedFunc(due, time.Time.Compare), "oldest promise first")
	require.Contains(t, s.body, "data-chase")
	text := map[string]string{}
	s.walk(func(n *html.Node) {
		if said, has := attribute(n, "data-text"); has {
			id, _ := attribute(n.Parent.Parent, "data-id")
			text[id] = said
		}
	})
	// Whoever is chased may be in another zone, and can only put back what they have.
	require.Regexp(t, `^anybody of Managers - RM: a callback of the tier manager is due on \w+ \d+ \w+, \d\d:\d\d UTC\. Please claim it and call the customer\.$`, text[ids["queued"]])
	require.Regexp(t, `^Supervisor One: the customer was reached on .* UTC, and the callback is still open\.`, text[ids["reached"]])
	require.NotContains(t, h.page("aud1", "/tags").body, "data-chase")
}

// R10: oldest promise first, over all pages, whoever has called in again.
func TestR10OpenTagsAreInOrderOverAllPages(t *testing.T) {
	t.Parallel()
	h := open(t)
	var ids []string
	for range 103 {
		ids = append(ids, h.promise())
		h.move(time.Second)
	}
	for _, impatient := range ids[100:] {
		h.give("assoc1", impatient, "customer-called", object{})
	}
	var shown []string
	for next := "/tags"; next != ""; {
		page := h.page("mgr1", next)
		next = ""
		page.walk(func(n *html.Node) {
			if id, _ := attribute(n, "id"); strings.HasPrefix(id, "t-") {
				shown = append(shown, strings.TrimPrefix(id, "t-"))
			}
			if to, _ := attribute(n, "href"); strings.HasPrefix(to, "/tags?cursor=") {
				next = to
			}
		})
	}
	require.Equal(t, ids, shown)
}

// R24: histories are for auditors, and what they take along holds nothing personal.
func TestR24Audit(t *testing.T) {
	t.Parallel()
	h := open(t)
	ids := h.busy()
	for _, path := range []string{"/audit", "/audit/" + ids["completed"], "/audit/" + ids["completed"] + "/history.json", "/audit/" + ids["completed"] + "/bundle.zip"} {
		require.Equal(t, http.StatusForbidden, h.get("mgr1", path).status, path)
	}
	list := h.page("aud1", "/audit")
	list.wellFormed("/audit")
	list.safe("/audit")
	require.Contains(t, list.body, "/audit/"+ids["completed"])
	require.Equal(t, "/audit/"+ids["queued"], h.get("aud1", "/audit?id="+ids["queued"]).header.Get("Location"))
	page := h.page("aud1", "/audit/"+ids["completed"])
	page.wellFormed("history")
	page.safe("history")
	require.Contains(t, page.body, "Workflow execution started")
	require.Contains(t, page.body, "/namespaces/ringback/workflows/callback%2F"+ids["completed"])

	bundle := h.get("aud1", "/audit/"+ids["completed"]+"/bundle.zip")
	require.Equal(t, "application/zip", bundle.header.Get("Content-Type"))
	z, err := zip.NewReader(strings.NewReader(bundle.body), int64(len(bundle.body)))
	require.NoError(t, err)
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		files[f.Name] = string(b)
		for _, secret := range []string{"Asha", "9876543210", "All is well", "Refund"} {
			require.NotContains(t, string(b), secret, f.Name)
		}
	}
	require.Len(t, files, 5)
	require.Contains(t, files["timeline.json"], `"completed"`)
	for name, body := range files {
		if strings.HasSuffix(name, ".json") {
			require.Contains(t, files["SHA256SUMS"], fmt.Sprintf("%x  %s", sha256.Sum256([]byte(body)), name))
		}
	}
}

// A draft of policies is checked and drawn, and changes nothing.
func TestPolicyDrafts(t *testing.T) {
	t.Parallel()
	h := open(t)
	shown := h.page("mgr1", "/policies")
	require.Equal(t, len(h.Config.Policies), strings.Count(shown.body, `class="ladder-drawing"`))
	post := func(text string, header ...string) *seen {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/policies", strings.NewReader(url.Values{"text": {text}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(floor.Cookie("mgr1"))
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.Handler.ServeHTTP(w, r)
		s := &seen{t: t, status: w.Code, header: w.Header(), body: w.Body.String()}
		var err error
		s.root, err = html.Parse(strings.NewReader(s.body))
		require.NoError(t, err)
		return s
	}
	draft := "policies:\n  quick:\n    title: \"Quick <b>one</b>\"\n    ladder: [{tier: supervisor, queue: Supervisors - RM, tat: 10m}]\n    resolution_reasons: [{code: a, title: A}]\n"
	good := post(draft)
	require.Equal(t, http.StatusOK, good.status)
	good.wellFormed("draft")
	good.safe("draft")
	require.Contains(t, good.body, "It can be read")
	require.Contains(t, good.body, "Quick &lt;b&gt;one&lt;/b&gt;")
	bad := post(strings.Replace(draft, "tat: 10m", "tat: soon", 1) + "</textarea><script>alert(1)</script>")
	require.Contains(t, bad.body, `data-line="`)
	require.NotContains(t, bad.body, "<script>alert")
	require.Contains(t, html.UnescapeString(bad.body), "tat: soon", "what was typed is still there")
	require.Equal(t, http.StatusForbidden, post(draft, "Sec-Fetch-Site", "cross-site").status)
	require.Equal(t, len(h.Config.Policies), strings.Count(h.page("mgr1", "/policies").body, `class="ladder-drawing"`))
}

// People and keys are for administrators.
func TestPeople(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.busy()
	for _, path := range []string{"/people", "/people/sup1"} {
		require.Equal(t, http.StatusForbidden, h.get("mgr1", path).status, path)
		require.Equal(t, http.StatusForbidden, h.get("aud1", path).status, path)
	}
	require.NotContains(t, h.page("mgr1", "/").body, `href="/people"`)
	require.NoError(t, h.Do(t.Context(), "admin1", http.MethodPost, "/v1/keys", object{
		"name": "servicebench", "scopes": []string{"intake"}, "expires_at": h.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}, nil))
	for _, path := range []string{"/people", "/people?gone=1", "/people/sup1", "/people/aud1"} {
		s := h.page("admin1", path)
		s.wellFormed(path)
		s.safe(path)
	}
	list := h.page("admin1", "/people").body
	for _, s := range h.Staff() {
		require.Contains(t, list, `href="/people/`+s.ID+`"`)
	}
	require.Contains(t, list, "servicebench")
	require.Contains(t, h.page("admin1", "/people/sup1").body, `value="Supervisors - RM" checked`)
	require.Equal(t, http.StatusNotFound, h.get("admin1", "/people/nobody").status)
}

// R23: an outage is on everybody's desk, whatever page they are on.
func TestR23OutagesAreOnEveryPage(t *testing.T) {
	t.Parallel()
	h := open(t)
	require.NoError(t, h.Do(t.Context(), "mgr1", http.MethodPost, "/v1/outages", object{"lob": "flights", "words": "Bookings are <down>"}, nil))
	for _, as := range []string{"assoc1", "sup1", "aud1"} {
		for _, path := range []string{"/", "/new", "/board", "/reports"} {
			s := h.page(as, path)
			s.wellFormed(path)
			require.Contains(t, s.body, "Bookings are &lt;down&gt;", "%s for %s", path, as)
		}
	}
	require.Contains(t, h.page("mgr1", "/outages").body, `data-command="declare-outage"`)
	require.NotContains(t, h.page("sup1", "/outages").body, `data-command="declare-outage"`)
}

// Every page explains the procedure's own rules; that of help has them all.
func TestEveryPageHasHelp(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise()
	for _, pattern := range desk.Pages() {
		method, path, _ := strings.Cut(pattern, " ")
		if method != http.MethodGet || path == "/help" {
			continue
		}
		who := id
		if path == "/people/{id}" {
			who = "sup1"
		}
		as := "sup1"
		switch {
		case strings.HasPrefix(path, "/people"):
			as = "admin1"
		case strings.HasPrefix(path, "/audit"):
			as = "aud1"
		}
		path = strings.NewReplacer("{id}", who, "{$}", "").Replace(path)
		require.Contains(t, h.page(as, path).body, `id="help-rules"`, path)
	}
}

// R12: whether a summary was given, is due or is not asked for, the dialog says.
func TestR12_TheDialogSaysWhetherASummaryIsThere(t *testing.T) {
	t.Parallel()
	h := open(t)
	const given = "Your call summary is there already."
	buying := h.promise(func(b object) {
		b["policy"], b["fields"] = "purchasing-escalation", object{"order_number": "ORD-4711", "what_is_needed": "hinges"}
	})
	h.give("buyer1", buying, "claim", nil)
	h.give("buyer1", buying, "start", nil)
	s := h.page("buyer1", "/callbacks/"+buying).body
	require.NotContains(t, s, given)
	require.Contains(t, s, `(private note; optional)`)
	h.give("buyer1", buying, "notes", object{"kind": "call_summary", "body": "Ordered"})
	require.Contains(t, h.page("buyer1", "/callbacks/"+buying).body, given)
}

// R07: nobody is offered whom the API would refuse.
func TestR07_NobodyOfALowerTierIsOffered(t *testing.T) {
	t.Parallel()
	h := open(t)
	require.NoError(t, h.Do(t.Context(), "admin1", http.MethodPost, "/v1/staff", object{
		"id": "low1", "name": "Low One", "tier": "associate", "queues": []string{"Supervisors - RM"},
	}, nil))
	body := h.page("mgr1", "/callbacks/"+h.promise()).body
	require.Contains(t, body, `<option value="sup1">`)
	require.NotContains(t, body, `<option value="low1">`)
}

// R13, R14, R18: whatever of the configuration somebody can have, they can be given.
func TestPeopleAreOfferedTheWholeConfiguration(t *testing.T) {
	t.Parallel()
	c := config.Builtin()
	c.Tiers["board"], c.Calendars["nights"] = 9, c.Calendars["weekdays"] // nobody has these
	body := openWith(t, c).page("admin1", "/people").body
	for _, system := range []string{"email", "freshdesk", "oneview", "servicebench", "zoho"} {
		require.Contains(t, body, `name="identities.`+system+`"`)
	}
	for _, value := range []string{"board", "nights", "weekdays"} {
		require.Contains(t, body, `<option value="`+value+`">`)
	}
}

// R26: who is erased is nobody any more, on every page; only an administrator
// erases, and only who is not still to be called.
func TestR26_AnErasedCustomer(t *testing.T) {
	t.Parallel()
	h := open(t)
	id := h.promise(func(b object) {
		b["customer"] = object{"ref": "crm-9", "name": "Markname", "phone": "+34612345678", "email": "markname@example.com"}
		b["reason"], b["source"] = "marked reason", object{"system": "freshdesk", "ref": "marked", "url": "https://example.com/marked"}
	})
	page := "/callbacks/" + id + "/customer"
	require.NotContains(t, h.page("sup1", page).body, "Erase this customer")
	require.Contains(t, h.page("admin1", page).body, "complete or cancel what is open first")
	for _, command := range []string{"claim", "start"} {
		h.give("sup1", id, command, nil)
	}
	h.give("sup1", id, "attempts", object{"disposition": "reached"})
	h.give("sup1", id, "complete", object{"resolution_reason": "resolved", "call_summary": "marked summary"})
	require.Contains(t, h.page("admin1", page).body, `data-dialog="erase"`)
	require.NotContains(t, h.page("mgr1", page).body, `data-dialog="erase"`)
	h.move(2 * time.Hour)
	h.give("admin1", id, "erase", object{"ground": "no_longer_needed"})
	for _, at := range []string{page, "/callbacks/" + id, "/activities?status=completed", "/activities.csv?status=completed", "/callbacks/" + id + "/promised"} {
		s := h.page("admin1", at)
		require.NotContains(t, strings.ToLower(s.body), "mark", at)
		require.NotContains(t, s.body, "612 34 56 78", at)
	}
	s := h.page("admin1", "/callbacks/"+id)
	require.Contains(t, s.body, "Customer erased")
	require.Contains(t, s.body, "The customer was erased. It is no longer needed")
	require.Contains(t, s.body, "<em>Erased</em>")
	require.NotContains(t, h.page("admin1", page).body, `id="erase"`)
	require.NotContains(t, h.page("sup1", "/search?q=markname").body, id)
}

// Whoever looked at what, and whoever was refused it, is in the access log: pages, parts of pages and files.
func TestR24_TheAccessLogSaysWhoLookedAndWhoWasRefused(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer // every request has ended when it is read
	var mu sync.Mutex
	f, err := floor.Open(t.Context(), floor.Options{Data: t.TempDir(), Logger: slog.New(slog.NewJSONHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	h := &house{f, t}
	id := h.promise()
	const nobody = "01900000-0000-7000-8000-000000000000"
	for _, c := range []struct {
		as, path          string
		status            int
		route, about      string
		msg, code, byRule string
	}{
		{"sup1", "/", 200, "/", "", "request", "", ""},
		{"sup1", "/callbacks/" + id, 200, "/callbacks/{id}", id, "request", "", ""},
		{"sup1", "/callbacks/" + id + "/customer", 200, "/callbacks/{id}/customer", id, "request", "", ""},
		{"sup1", "/search?q=Asha", 200, "/search", "", "request", "", ""},
		{"sup1", "/board/cards?id=" + id, 200, "/board/cards", "", "request", "", ""},
		{"sup1", "/activities.csv", 200, "/activities.csv", "", "request", "", ""},
		{"aud1", "/audit/" + id + "/bundle.zip", 200, "/audit/{id}/bundle.zip", id, "request", "", ""},
		{"aud1", "/audit/" + id + "/history.json", 200, "/audit/{id}/history.json", id, "request", "", ""},
		{"sup1", "/audit/" + id + "/bundle.zip", 403, "/audit/{id}/bundle.zip", id, "refused", "forbidden", "R24"},
		{"sup1", "/audit", 403, "/audit", "", "refused", "forbidden", "R24"},
		{"sup1", "/people", 403, "/people", "", "refused", "forbidden", ""},
		{"sup1", "/people/Asha", 403, "/people/{id}", "", "refused", "forbidden", ""},
		{"sup1", "/callbacks/" + nobody, 404, "/callbacks/{id}", nobody, "refused", "not_found", ""},
		{"sup1", "/callbacks/Asha", 404, "/callbacks/{id}", "", "refused", "not_found", ""},
		{"sup1", "/board/more", 400, "/board/more", "", "refused", "malformed", ""},
		{"sup1", "/Asha", 404, "page", "", "refused", "not_found", ""},
		{"", "/callbacks/" + id, 303, "/callbacks/{id}", id, "refused", "unauthenticated", ""},
	} {
		mu.Lock()
		log.Reset()
		mu.Unlock()
		require.Equal(t, c.status, h.get(c.as, c.path).status, c.path)
		mu.Lock()
		lines := log.String()
		mu.Unlock()
		require.NotContains(t, lines, "Asha", c.path)
		var said object
		for line := range strings.Lines(lines) {
			var o object
			require.NoError(t, json.Unmarshal([]byte(line), &o))
			if o["route"] == c.route {
				require.Nil(t, said, "one line for %s", c.path)
				said = o
			}
		}
		require.NotNil(t, said, "%s: %s", c.path, lines)
		want := object{"msg": c.msg, "status": float64(c.status)}
		for key, value := range map[string]string{"principal": c.as, "callback_id": c.about, "code": c.code} {
			if value != "" {
				want[key] = value
			}
		}
		if c.code != "" {
			want["rule"] = c.byRule
		}
		for _, key := range []string{"time", "level", "request_id", "method", "route", "ms"} {
			require.Contains(t, said, key, c.path)
			delete(said, key)
		}
		require.Equal(t, want, said, c.path)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// R20: an administrator sees what came before vouching for it, as text and nothing else, and can decline it.
func TestR20_KeptMailIsSeenBeforeItIsVouchedFor(t *testing.T) {
	t.Parallel()
	h := open(t)
	require.NoError(t, h.Store.Keep(t.Context(), book.Message{
		ID: "k1", Connector: "servicebench", Reason: "no route takes it", Media: "application/json", Body: []byte(`{"note":"<img src=x onerror=alert(1)>"}`),
	}))
	list := h.page("admin1", "/systems")
	require.Contains(t, list.body, `href="/systems/kept/k1"`)
	require.NotContains(t, list.body, "/replay", "nobody vouches for what they have not seen")
	kept := h.page("admin1", "/systems/kept/k1")
	kept.safe("/systems/kept/k1")
	kept.wellFormed("/systems/kept/k1")
	require.Contains(t, kept.body, "  &#34;note&#34;: &#34;&lt;img src=x onerror=alert(1)&gt;&#34;")
	require.NotContains(t, kept.body, "<img src=x")
	require.Contains(t, kept.body, `action="/v1/inbound/k1/replay"`)
	require.Contains(t, kept.body, `action="/v1/inbound/k1/discard"`)
	require.Equal(t, http.StatusForbidden, h.get("mgr1", "/systems/kept/k1").status)
	require.Equal(t, http.StatusNotFound, h.get("admin1", "/systems/kept/k9").status)

	require.NoError(t, h.Do(t.Context(), "admin1", http.MethodPost, "/v1/inbound/k1/discard", object{"reason": "Nobody <b>wants</b> it"}, nil))
	gone := h.page("admin1", "/systems/kept/k1")
	require.Contains(t, gone.body, "Nobody &lt;b&gt;wants&lt;/b&gt; it")
	require.NotContains(t, gone.body, "onerror")
	require.NotContains(t, gone.body, "/replay")
	require.NotContains(t, h.page("admin1", "/systems").body, "kept/k1")
}
