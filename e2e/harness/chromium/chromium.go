// Package chromium gives tests a real browser: Debian's Chromium, headless. All
// tests of a process share one; each window has cookies and storage of its own,
// like a person at a machine of their own.
//
// Where there is no Chromium, the test is skipped and says so, unless
// RINGBACK_REQUIRE lists chromium: then it fails.
package chromium

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// Patience bounds how long a test waits for a browser to do one thing.
const Patience = 20 * time.Second

// names are what the program is called.
var names = []string{"chromium", "chromium-browser", "google-chrome"}

// Required reports whether RINGBACK_REQUIRE lists a word.
func Required(word string) bool {
	return slices.ContainsFunc(strings.Split(os.Getenv("RINGBACK_REQUIRE"), ","), func(w string) bool { return strings.TrimSpace(w) == word })
}

// find returns the program, or ends the test.
func find(tb testing.TB) string {
	tb.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if Required("chromium") {
		tb.Fatal("RINGBACK_REQUIRE lists chromium, and there is none: install Debian's package chromium")
	}
	tb.Skip("skipped: there is no chromium; install Debian's package chromium")
	return ""
}

var shared struct {
	sync.Mutex
	ctx context.Context
	end func()
}

// browser starts the process's own when it is first needed.
func browser(tb testing.TB) context.Context {
	tb.Helper()
	path := find(tb)
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx != nil {
		return shared.ctx
	}
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-extensions", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		// Several windows at once are all looked at.
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
	)
	ctx, end := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		end()
		endAllocator()
		tb.Fatalf("starting %s: %v", path, err)
	}
	shared.ctx, shared.end = ctx, func() { end(); endAllocator() }
	return ctx
}

// Close ends the browser of this process: for TestMain.
func Close() {
	shared.Lock()
	defer shared.Unlock()
	if shared.end != nil {
		shared.end()
		shared.ctx, shared.end = nil, nil
	}
}

// Window is one person's window.
type Window struct {
	tb   testing.TB
	ctx  context.Context
	base string

	mu       sync.Mutex
	failures []string
}

// Options of a window; the zero Options are a desk's screen.
type Options struct {
	Width, Height int64  // 1440 by 900
	Dark          bool   // the system's theme
	Zone          string // IANA; UTC
	Reduced       bool   // motion
}

// Open opens a window on a site. It closes with the test, which fails if
// anything went wrong in the page's scripts or against its content policy.
func Open(tb testing.TB, base string, o Options) *Window {
	tb.Helper()
	if o.Width == 0 {
		o.Width, o.Height = 1440, 900
	}
	if o.Zone == "" {
		o.Zone = "UTC"
	}
	ctx, end := chromedp.NewContext(browser(tb), chromedp.WithNewBrowserContext())
	w := &Window{tb: tb, ctx: ctx, base: base}
	require.NoError(tb, chromedp.Do(ctx, chromedp.EmulateViewport(o.Width, o.Height)))
	watching, stop := context.WithCancel(ctx)
	messages := chromedp.Console(watching)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for m, err := range messages {
			if err != nil {
				return
			}
			// Refusals of the API are logged by the browser as network errors: they are answers.
			if m.IsException() || m.Type == "error" && m.Source != "network" {
				w.mu.Lock()
				w.failures = append(w.failures, m.String()+" "+m.URL)
				w.mu.Unlock()
			}
		}
	}()
	tb.Cleanup(func() {
		stop()
		<-watched
		end()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.failures) > 0 {
			tb.Errorf("in the browser:\n%s", strings.Join(w.failures, "\n"))
		}
	})
	scheme, motion := "light", "no-preference"
	if o.Dark {
		scheme = "dark"
	}
	if o.Reduced {
		motion = "reduce"
	}
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
	}})
	require.NoError(tb, err)
	_, err = chromedp.Call(ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: o.Zone})
	require.NoError(tb, err)
	return w
}

// do does things, one after the other, each in good time.
func (w *Window) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		w.tb.Fatalf("%s: %v\n%s", what, err, w.where())
	}
}

// where is what the window shows, for a failure.
func (w *Window) where() string {
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText.slice(0, 3000)`))
	if err != nil {
		return err.Error()
	}
	return text
}

// Cookie sets one for the site.
func (w *Window) Cookie(name, value string) {
	w.tb.Helper()
	_, err := chromedp.Call(w.ctx, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: w.base + "/"})
	require.NoError(w.tb, err)
}

// Visit goes to a path of the site and waits for the page with its scripts.
func (w *Window) Visit(path string) {
	w.tb.Helper()
	w.do("visit "+path, chromedp.Navigate(w.base+path))
	w.Until(`document.readyState === "complete"`)
}

// At waits until the window is at a path, and its scripts have begun.
func (w *Window) At(path string) {
	w.tb.Helper()
	w.Until(fmt.Sprintf(`location.pathname === %q && "ready" in document.documentElement.dataset`, path))
}

// Reload asks for the page again.
func (w *Window) Reload() {
	w.tb.Helper()
	w.do("reload", chromedp.Reload())
}

// Click clicks the first visible element that a CSS selector finds.
func (w *Window) Click(css string) {
	w.tb.Helper()
	w.do("click "+css, chromedp.Click(chromedp.CSS(css), chromedp.NodeVisible))
}

// Press clicks the visible button or link of these words, in the innermost open dialog if there is one.
func (w *Window) Press(words string) {
	w.tb.Helper()
	w.Until(fmt.Sprintf(`(() => {
		const within = [...document.querySelectorAll("dialog[open]")].at(-1) || document;
		const found = [...within.querySelectorAll("button, a, summary, [role=button]")].find((e) =>
			e.textContent.trim().replace(/\s+/g, " ").startsWith(%q) && e.getClientRects().length && !e.disabled);
		if (!found) return false;
		for (const e of document.querySelectorAll("[data-pressed-by-test]")) e.removeAttribute("data-pressed-by-test");
		found.setAttribute("data-pressed-by-test", "");
		return true;
	})()`, words))
	w.Click("[data-pressed-by-test]")
}

// Fill types into a field, in place of what is there.
func (w *Window) Fill(css, text string) {
	w.tb.Helper()
	w.do("fill "+css, chromedp.WaitVisible(chromedp.CSS(css)), chromedp.Focus(chromedp.CSS(css)))
	w.Eval(fmt.Sprintf(`document.querySelector(%q).select?.()`, css))
	w.Type(text)
}

// Type types where the focus is.
func (w *Window) Type(text string) {
	w.tb.Helper()
	for _, r := range text {
		w.key(r)
	}
}

// key presses a key as a person does: whether it also types is the page's to prevent.
func (w *Window) key(r rune) {
	w.tb.Helper()
	k, known := kb.Keys[r]
	if !known {
		ctx, cancel := context.WithTimeout(w.ctx, Patience)
		defer cancel()
		_, err := chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: string(r)})
		require.NoError(w.tb, err)
		return
	}
	down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: k.Key, Code: k.Code, WindowsVirtualKeyCode: k.Windows}
	if k.Print || r == '\r' {
		down.Text = k.Text
	}
	if k.Shift {
		down.Modifiers = int64(kb.ModifierShift)
	}
	up := down
	up.Type, up.Text = input.DispatchKeyEventTypeKeyUp, ""
	for _, p := range []input.DispatchKeyEventParams{down, up} {
		ctx, cancel := context.WithTimeout(w.ctx, Patience)
		_, err := chromedp.Call(ctx, input.DispatchKeyEvent, p)
		cancel()
		require.NoError(w.tb, err)
	}
}

// Choose chooses a value of a select.
func (w *Window) Choose(css, value string) {
	w.tb.Helper()
	w.do("choose "+css, chromedp.WaitVisible(chromedp.CSS(css)))
	w.Eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event("change", {bubbles: true})); e.dispatchEvent(new Event("input", {bubbles: true})); })()`, css, value))
}

// Keys presses keys, one after the other.
func (w *Window) Keys(keys ...string) {
	w.tb.Helper()
	for _, k := range keys {
		w.Type(k)
	}
}

// CtrlEnter sends the form that has the focus.
func (w *Window) CtrlEnter() {
	w.tb.Helper()
	w.do("press Ctrl Enter", chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(kb.ModifierCtrl)))
}

// look is how often a window is looked at while it is waited for.
const look = 25 * time.Millisecond

// Until waits until a JavaScript expression is true, on whatever page the window
// is by then.
func (w *Window) Until(expression string) {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, Patience)
	defer cancel()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && is {
			return
		}
		select {
		case <-ctx.Done():
			w.tb.Fatalf("waiting for %s: %v\n%s", expression, err, w.where())
		case <-time.After(look):
		}
	}
}

// Sees waits until the window shows a text.
func (w *Window) Sees(text string) {
	w.tb.Helper()
	w.Until(fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// SeesIn waits until an element shows a text.
func (w *Window) SeesIn(css, text string) {
	w.tb.Helper()
	w.Until(fmt.Sprintf(`(document.querySelector(%q)?.innerText || "").includes(%q)`, css, text))
}

// Shows tells whether the window shows a text right now.
func (w *Window) Shows(text string) bool {
	w.tb.Helper()
	return Value[bool](w, fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// Eval runs an expression, a promise too, and forgets what comes of it.
func (w *Window) Eval(expression string) {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](expression, chromedp.EvalAwaitPromise)); err != nil {
		w.tb.Fatalf("%s: %v\n%s", expression, err, w.where())
	}
}

// Value is what an expression, a promise too, comes to.
func Value[T any](w *Window, expression string) T {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 3*Patience) // looking for barriers takes a while
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		w.tb.Fatalf("%.200s: %v\n%s", expression, err, w.where())
	}
	return v
}

// Drag drags one element onto another.
func (w *Window) Drag(from, to string) {
	w.tb.Helper()
	w.do("drag "+from+" to "+to, chromedp.DragAndDrop(chromedp.CSS(from), chromedp.CSS(to)))
}

// Path is where the window is.
func (w *Window) Path() string {
	w.tb.Helper()
	return Value[string](w, "location.pathname + location.search")
}

// Resize makes the window another size.
func (w *Window) Resize(width, height int64) {
	w.tb.Helper()
	w.do("resize", chromedp.EmulateViewport(width, height))
}

// Offline cuts the window's network off, or lets it come back.
func (w *Window) Offline(is bool) {
	w.tb.Helper()
	_, err := chromedp.Call(w.ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: is, DownloadThroughput: -1, UploadThroughput: -1}},
	})
	require.NoError(w.tb, err)
}

// Shot is a picture of what is to be seen, as PNG.
func (w *Window) Shot() []byte {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, Patience)
	defer cancel()
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	require.NoError(w.tb, err)
	return shot.Data
}

// Context is the window's, for what this package does not do.
func (w *Window) Context() context.Context { return w.ctx }

// Keys by name.
const (
	Enter      = kb.Enter
	Escape     = kb.Escape
	Tab        = kb.Tab
	ArrowDown  = kb.ArrowDown
	ArrowUp    = kb.ArrowUp
	ArrowLeft  = kb.ArrowLeft
	ArrowRight = kb.ArrowRight
	Space      = " "
)
