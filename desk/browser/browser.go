// Package browser gives tests a real browser: one Chromium for the process,
// and windows of people who know nothing of each other.
//
// It is found on the PATH, or named by RINGBACK_CHROMIUM. Where there is none,
// the test is skipped and says so, unless RINGBACK_REQUIRE lists chromium: then
// it fails. axe-core is found in node_modules beside this package (npm install
// there), or named by RINGBACK_AXE; RINGBACK_REQUIRE may list axe.
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// Patience bounds what a window waits for one condition; look is how often it
// looks.
const (
	Patience = time.Minute
	look     = 25 * time.Millisecond
)

var shared struct {
	sync.Mutex
	ctx  context.Context
	stop []context.CancelFunc
}

// start starts the process's browser when it is first needed.
func start(tb testing.TB) context.Context {
	tb.Helper()
	program := os.Getenv("RINGBACK_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program == "" {
			program, _ = exec.LookPath(name) // empty: it is not there
		}
	}
	if program == "" {
		absent(tb, "chromium", "there is no chromium on the PATH; install Debian's package chromium or set RINGBACK_CHROMIUM")
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx != nil {
		return shared.ctx
	}
	options := slices.Clone(chromedp.DefaultExecAllocatorOptions[:])
	options = append(options, chromedp.ExecPath(program))
	for name, value := range map[string]any{
		"headless": "new", "no-sandbox": true, "disable-gpu": true, "disable-quic": true, "no-first-run": true, "disable-background-networking": true,
		"disable-component-update": true, "disable-sync": true, "lang": "en-GB",
	} {
		options = append(options, chromedp.Flag(name, value))
	}
	allocated, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocated)
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		end()
		tb.Fatalf("starting %s: %v", program, err)
	}
	shared.ctx, shared.stop = ctx, []context.CancelFunc{cancel, end}
	return ctx
}

// Close ends the process's browser; TestMain calls it.
func Close() {
	shared.Lock()
	defer shared.Unlock()
	for _, stop := range shared.stop {
		stop()
	}
	shared.ctx, shared.stop = nil, nil
}

// absent ends a test that cannot have what it needs.
func absent(tb testing.TB, what, why string) {
	tb.Helper()
	required := strings.Split(os.Getenv("RINGBACK_REQUIRE"), ",")
	if slices.ContainsFunc(required, func(word string) bool { return strings.TrimSpace(word) == what }) {
		tb.Fatalf("RINGBACK_REQUIRE lists %s, but %s", what, why)
	}
	tb.Skipf("skipped: %s", why)
}

// Look is how a window is; the zero Look is a light screen of 1440 by 900.
type Look struct {
	Width, Height int64
	Dark          bool
	// Zone is the viewer's time zone; empty: Asia/Kolkata.
	Zone string
}

// Window is a window of somebody of their own: no cookie is shared.
type Window struct {
	tb   testing.TB
	ctx  context.Context
	base *url.URL

	mu       sync.Mutex
	problems []string
	expected []*regexp.Regexp
	hosts    map[string]bool
	received float64
}

// Open opens a window on the desk at base. When the test ends, the window must
// have had no error, and asked nothing of anybody else.
func Open(tb testing.TB, base string, l Look) *Window {
	tb.Helper()
	at, err := url.Parse(base)
	require.NoError(tb, err)
	w := &Window{tb: tb, base: at, hosts: map[string]bool{}}
	ctx, cancel := chromedp.NewContext(start(tb), chromedp.WithNewBrowserContext())
	w.ctx = ctx
	tb.Cleanup(func() {
		cancel()
		if !tb.Failed() {
			require.Empty(tb, w.Problems())
		}
	})
	require.NoError(tb, chromedp.Listen(ctx, w.hear))
	_, err = chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (any, error) {
		if _, err := cdp.Call(ctx, t, cdplog.Enable, cdp.Empty{}); err != nil {
			return nil, err
		}
		_, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
		return nil, err
	})
	require.NoError(tb, err)
	w.Look(l)
	return w
}

// Look changes how it is.
func (w *Window) Look(l Look) {
	w.tb.Helper()
	if l.Width == 0 {
		l.Width, l.Height = 1440, 900
	}
	if l.Zone == "" {
		l.Zone = "Asia/Kolkata"
	}
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	require.NoError(w.tb, chromedp.Do(w.ctx, chromedp.EmulateViewport(l.Width, l.Height)))
	_, err := chromedp.Run(w.ctx, func(ctx context.Context, t *chromedp.Target) (any, error) {
		if _, err := cdp.Call(ctx, t, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: l.Zone}); err != nil {
			return nil, err
		}
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return nil, err
	})
	require.NoError(w.tb, err)
	w.Until("matchMedia('(prefers-color-scheme: " + scheme + ")').matches && innerWidth === " + strconv.FormatInt(l.Width, 10))
	w.Still()
}

// WithoutScript makes it a window whose pages may run no script, as from its next page on.
// What the tests themselves ask is answered still.
func (w *Window) WithoutScript() {
	w.tb.Helper()
	_, err := chromedp.Run(w.ctx, func(ctx context.Context, t *chromedp.Target) (any, error) {
		return cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	})
	require.NoError(w.tb, err)
}

// still is true once the page is as it will be: the styles of now are computed,
// no transition or animation that has an end goes on, and a frame was made of it.
const still = `(async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await document.fonts.ready;
  await frame();
  for (let going; (going = document.getAnimations().filter((a) => a.playState === "running" && a.effect.getComputedTiming().endTime !== Infinity)).length;) {
    await Promise.allSettled(going.map((a) => a.finished));
    await frame();
  }
  await frame();
  return true;
})()`

// Still waits until the page is at rest: colours and places are what they will be.
func (w *Window) Still() {
	w.tb.Helper()
	w.Eval(still, nil)
}

// hear keeps what went wrong.
func (w *Window) hear(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	say := func(format string, args ...any) { w.problems = append(w.problems, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		say("exception: %s", text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var said []string
			for _, a := range e.Args {
				said = append(said, string(a.Value)+a.Description)
			}
			say("console: %s", strings.Join(said, " "))
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			say("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != w.base.Host && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "ws" || u.Scheme == "wss") {
			say("asked %s", e.Request.URL)
		}
	case *network.EventLoadingFinished:
		w.received += e.EncodedDataLength
	}
}

// Expect names a problem that this test brings about: the browser itself calls
// every refusal an error.
func (w *Window) Expect(pattern string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected = append(w.expected, regexp.MustCompile(pattern))
}

// Problems are what went wrong so far, besides what was expected: exceptions,
// errors and warnings of the console, violations of the content policy, what
// could not be loaded, and whoever else was asked for something.
func (w *Window) Problems() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.problems), func(p string) bool {
		return slices.ContainsFunc(w.expected, func(e *regexp.Regexp) bool { return e.MatchString(p) })
	})
}

// Received is how many bytes came over the wire so far.
func (w *Window) Received() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int(w.received)
}

// Go goes to a path of the desk and waits until it is all there.
func (w *Window) Go(path string) {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, Patience)
	defer cancel()
	require.NoError(w.tb, chromedp.Do(ctx, chromedp.Navigate(w.base.String()+path)), path)
	w.Until("document.readyState === 'complete'")
}

// eval evaluates an expression, which may be a promise.
func (w *Window) eval(expression string, out any) error {
	ctx, cancel := context.WithTimeout(w.ctx, Patience)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[string]("(async () => JSON.stringify(await ("+expression+")) ?? 'null')()", chromedp.EvalAwaitPromise))
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal([]byte(raw), out)
}

// Eval evaluates an expression, which may be a promise, into out.
func (w *Window) Eval(expression string, out any) {
	w.tb.Helper()
	require.NoError(w.tb, w.eval(expression, out), expression)
}

// Text is the text of the first element that a selector finds.
func (w *Window) Text(selector string) string {
	w.tb.Helper()
	var s string
	w.Eval("document.querySelector("+quote(selector)+")?.textContent.trim().replace(/\\s+/g, ' ') ?? ''", &s)
	return s
}

// Until waits until an expression is true; pages may come and go meanwhile.
func (w *Window) Until(expression string) {
	w.tb.Helper()
	w.UntilIn(Patience, expression)
}

// UntilIn is Until with more patience, or with less.
func (w *Window) UntilIn(patience time.Duration, expression string) {
	w.tb.Helper()
	var last error
	so := w.until(patience, func() bool {
		var yes bool
		last = w.eval("!!("+expression+")", &yes)
		return last == nil && yes
	})
	if so {
		return
	}
	var here, shown string
	_ = w.eval("location.pathname + location.search", &here)     // it says more where it can
	_ = w.eval("document.body.innerText.slice(0, 2500)", &shown) // as above
	w.tb.Fatalf("it did not come true: %s\nlast error: %v\nat %s, which shows:\n%s\nproblems: %v", expression, last, here, shown, w.Problems())
}

func (w *Window) until(patience time.Duration, so func() bool) bool {
	deadline, ticker := time.NewTimer(patience), time.NewTicker(look)
	defer deadline.Stop()
	defer ticker.Stop()
	for !so() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			return false
		case <-w.ctx.Done():
			return false
		}
	}
	return true
}

// Says waits until the page shows a text.
func (w *Window) Says(text string) {
	w.tb.Helper()
	w.Until("document.body?.innerText.replace(/\\s+/g, ' ').includes(" + quote(text) + ")")
}

// Is waits until an element is there and can be seen.
func (w *Window) Is(selector string) {
	w.tb.Helper()
	w.Until("document.querySelector(" + quote(selector) + ")?.getClientRects().length > 0")
}

// Gone waits until no such element can be seen.
func (w *Window) Gone(selector string) {
	w.tb.Helper()
	w.Until("!(document.querySelector(" + quote(selector) + ")?.getClientRects().length > 0)")
}

// At waits until the window is at a path.
func (w *Window) At(pattern string) {
	w.tb.Helper()
	w.Until("document.readyState === 'complete' && new RegExp(" + quote(pattern) + ").test(location.pathname)")
}

// place is where the middle of an element is, when it is there, at rest,
// enabled, and nothing is in front of it.
const place = `(() => {
  const e = [...document.querySelectorAll(%s)].find((e) => e.getClientRects().length && e.textContent.includes(%s) && !e.disabled);
  if (!e) return null;
  e.scrollIntoView({block: "center", inline: "center"});
  const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2, top = document.elementFromPoint(x, y);
  return top && (e.contains(top) || top.contains(e)) ? {x, y} : null;
})()`

// Click presses the mouse on the first enabled element that a selector finds
// and that contains the text.
func (w *Window) Click(selector string, text ...string) {
	w.tb.Helper()
	expression := fmt.Sprintf(place, quote(selector), quote(strings.Join(text, "")))
	var at *struct{ X, Y float64 }
	var last error
	if !w.until(Patience, func() bool { last = w.eval(expression, &at); return last == nil && at != nil }) {
		var shown string
		_ = w.eval("location.pathname + '\\n' + document.body.innerText.slice(0, 2500)", &shown) // it says more where it can
		w.tb.Fatalf("nothing to click: %s %q: %v\n%s", selector, text, last, shown)
	}
	require.NoError(w.tb, chromedp.Do(w.ctx, chromedp.MouseClickXY(at.X, at.Y)))
}

// Type types into whatever has the focus. The keys of the package kb may be
// part of it.
func (w *Window) Type(keys string) {
	w.tb.Helper()
	w.Press(keys)
}

// Press presses keys together with others. As from a real keyboard, a key whose
// press is taken by the page writes nothing.
func (w *Window) Press(keys string, with ...chromedp.Modifier) {
	w.tb.Helper()
	_, err := chromedp.Run(w.ctx, func(ctx context.Context, t *chromedp.Target) (any, error) {
		for _, r := range keys {
			strokes := kb.Encode(r)
			down, up := strokes[0], strokes[len(strokes)-1]
			if len(strokes) == 3 && len(with) == 0 {
				down.Text, down.UnmodifiedText = strokes[1].Text, strokes[1].UnmodifiedText
			}
			for _, stroke := range []*input.DispatchKeyEventParams{down, up} {
				for _, m := range with {
					stroke.Modifiers |= int64(m)
				}
				if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, *stroke); err != nil {
					return nil, err
				}
			}
		}
		return nil, nil
	})
	require.NoError(w.tb, err, keys)
}

// Fill clicks into a field and types.
func (w *Window) Fill(selector, text string) {
	w.tb.Helper()
	w.Click(selector)
	w.Until("document.activeElement === document.querySelector(" + quote(selector) + ")")
	w.Type(text)
	w.Until("document.querySelector(" + quote(selector) + ").value.endsWith(" + quote(text) + ")")
}

// Replace clicks into a field and types instead of what is there.
func (w *Window) Replace(selector, text string) {
	w.tb.Helper()
	w.Click(selector)
	w.Until("document.activeElement === document.querySelector(" + quote(selector) + ")")
	w.Eval("document.activeElement.select()", nil)
	if text == "" {
		w.Type(kb.Delete)
	} else {
		w.Type(text)
	}
	w.Until("document.querySelector(" + quote(selector) + ").value === " + quote(text))
}

// Set gives a field a value that people set by a picker.
func (w *Window) Set(selector, value string) {
	w.tb.Helper()
	s := quote(selector)
	w.Is(selector)
	w.Eval("(() => { const e = document.querySelector("+s+"); e.value = "+quote(value)+
		"; e.dispatchEvent(new Event('input', {bubbles: true})); e.dispatchEvent(new Event('change', {bubbles: true})); })()", nil)
	w.Until("document.querySelector(" + s + ").value === " + quote(value))
}

// Before has a script run in every page from now on, before its own.
func (w *Window) Before(script string) {
	w.tb.Helper()
	_, err := chromedp.Run(w.ctx, func(ctx context.Context, t *chromedp.Target) (any, error) {
		return cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	})
	require.NoError(w.tb, err)
}

// Hide puts another tab before the page, as people do; Show comes back to it.
func (w *Window) Hide() {
	w.tb.Helper()
	other, cancel := chromedp.NewContext(w.ctx, chromedp.WithNewWindow(false))
	w.tb.Cleanup(cancel)
	require.NoError(w.tb, chromedp.Do(other, chromedp.Navigate("about:blank")))
	_, err := chromedp.Run(other, func(ctx context.Context, t *chromedp.Target) (any, error) {
		return cdp.Call(ctx, t, page.BringToFront, cdp.Empty{})
	})
	require.NoError(w.tb, err)
	w.Until("document.hidden")
}

// Show brings the page to the front again.
func (w *Window) Show() {
	w.tb.Helper()
	_, err := chromedp.Run(w.ctx, func(ctx context.Context, t *chromedp.Target) (any, error) {
		return cdp.Call(ctx, t, page.BringToFront, cdp.Empty{})
	})
	require.NoError(w.tb, err)
	w.Until("!document.hidden")
}

// Choose chooses an option of a list by its value, as a person would see it.
func (w *Window) Choose(selector, value string) {
	w.tb.Helper()
	s := quote(selector)
	w.Until("[...(document.querySelector(" + s + ")?.options ?? [])].some((o) => o.value === " + quote(value) + ")")
	w.Eval("(() => { const s = document.querySelector("+s+"); s.value = "+quote(value)+
		"; s.dispatchEvent(new Event('input', {bubbles: true})); s.dispatchEvent(new Event('change', {bubbles: true})); })()", nil)
}

// Screenshot is what the window shows, as PNG.
func (w *Window) Screenshot() []byte {
	w.tb.Helper()
	b, err := chromedp.Run(w.ctx, chromedp.CaptureScreenshot())
	require.NoError(w.tb, err)
	return b
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string always can be
		panic(err)
	}
	return string(b)
}

// violation is what axe reports, as far as it matters here.
type violation struct {
	ID, Help string
	Nodes    []struct {
		HTML           string
		FailureSummary string `json:"failureSummary"`
	}
}

var axe struct {
	sync.Once
	source string
	err    error
}

// Axe looks for what hinders people, by the rules of WCAG 2.2 A and AA and by
// good practice, and returns what it found.
func (w *Window) Axe() []string {
	w.tb.Helper()
	axe.Do(func() {
		path := os.Getenv("RINGBACK_AXE")
		if path == "" {
			_, here, _, _ := goruntime.Caller(0)
			path = filepath.Join(filepath.Dir(here), "node_modules", "axe-core", "axe.min.js")
		}
		var b []byte
		b, axe.err = os.ReadFile(path)
		axe.source = string(b)
	})
	if axe.err != nil {
		absent(w.tb, "axe", "axe-core is not there; run npm install in desk/browser or set RINGBACK_AXE: "+axe.err.Error())
	}
	var there bool
	if w.Eval("!!globalThis.axe", &there); !there {
		_, err := chromedp.Run(w.ctx, chromedp.Evaluate[*runtime.RemoteObject](axe.source+";0"))
		require.NoError(w.tb, err)
	}
	var found []violation
	w.Eval(`axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then((r) => r.violations.map((v) => ({ID: v.id, Help: v.help, Nodes: v.nodes.map((n) => ({HTML: n.html.slice(0, 300), failureSummary: n.failureSummary}))})))`, &found)
	var all []string
	for _, v := range found {
		for _, n := range v.Nodes {
			all = append(all, fmt.Sprintf("%s: %s\n  %s\n  %s", v.ID, v.Help, n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n  ")))
		}
	}
	return all
}
