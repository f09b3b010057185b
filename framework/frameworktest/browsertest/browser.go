// Package browsertest drives a real browser in a test: Chromium without a window, one process for each test.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// patience bounds the start of the browser, and each step of a test.
const patience = 30 * time.Second

// Page is a tab of a browser that a test has for itself. Its methods fail the test when they don't succeed in time; it is
// for one goroutine.
type Page struct {
	t      testing.TB
	ctx    context.Context
	mu     sync.Mutex
	errors []string
	marks  map[string]chan struct{}
}

// Device is what the page believes to be shown on.
type Device struct {
	Width, Height int64  // CSS pixels
	Dark          bool   // prefers-color-scheme
	Still         bool   // prefers-reduced-motion
	Language      string // of the browser; empty is fr
	Script        string // runs before the page's own, to take something away from it
}

// Open starts a browser with one empty tab, closed at the end of the test. The test fails when there is no Chromium.
func Open(t testing.TB, d Device) *Page {
	t.Helper()
	path := executable(t)
	if d.Language == "" {
		d.Language = "fr"
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(int(d.Width), int(d.Height)),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", d.Language), chromedp.Flag("accept-lang", d.Language),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	var listener sync.WaitGroup
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("close browser: %v", err)
		}
		cancel()
		stop()
		listener.Wait()
	})
	start := time.AfterFunc(patience, cancel) // a deadline on ctx itself would end the browser's whole life
	defer start.Stop()
	p := listen(t, ctx, &listener)
	features := []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: "light"}, {Name: "prefers-reduced-motion", Value: ""},
	}
	if d.Dark {
		features[0].Value = "dark"
	}
	if d.Still {
		features[1].Value = "reduce"
	}
	p.do(chromedp.EmulateViewport(d.Width, d.Height))
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
	if d.Script != "" {
		call(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: d.Script})
	}
	return p
}

// listen returns the page of a browser's context, and hears its console until the context ends.
func listen(t testing.TB, ctx context.Context, listener *sync.WaitGroup) *Page {
	p := &Page{t: t, ctx: ctx, marks: map[string]chan struct{}{}}
	messages := chromedp.Console(ctx)
	listener.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			p.heard(m)
		}
	})
	return p
}

// Frame returns the frame of another site within the page, whose address begins with a text. It must have been loaded. What is
// typed reaches it by the page, when it has the focus there.
func (p *Page) Frame(address string) *Page {
	p.t.Helper()
	targets, err := chromedp.Targets(p.ctx)
	if err != nil {
		p.t.Fatalf("list targets: %v", err)
	}
	found := slices.IndexFunc(targets, func(i *target.Info) bool { return i.Type == "iframe" && strings.HasPrefix(i.URL, address) })
	if found < 0 {
		p.t.Fatalf("no frame of another site shows %s", address)
	}
	ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithTargetID(targets[found].TargetID))
	var listener sync.WaitGroup
	p.t.Cleanup(func() {
		cancel()
		listener.Wait()
	})
	return listen(p.t, ctx, &listener)
}

// Offline takes the network from the page, or gives it back.
func (p *Page) Offline(offline bool) {
	p.t.Helper()
	call(p, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1}},
	})
	call(p, network.OverrideNetworkState, network.OverrideNetworkStateParams{
		Offline: offline, DownloadThroughput: -1, UploadThroughput: -1,
	})
}

// executable finds Chromium. A browser test that is skipped protects nothing, so its absence is a failure.
func executable(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("this test needs Chromium: install it with \"apt-get install chromium fonts-noto-core\" or the like")
	return ""
}

// mark is how a console message says that all before it have been heard.
const mark = "browsertest mark "

func (p *Page) heard(m chromedp.ConsoleMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name, ok := strings.CutPrefix(m.Text, mark); ok {
		close(p.marks[name])
		return
	}
	switch m.Type {
	case chromedp.ConsoleError, chromedp.ConsoleException, chromedp.ConsoleWarning:
		p.errors = append(p.errors, m.String()+" "+m.URL)
	case chromedp.ConsoleLog, chromedp.ConsoleDebug, chromedp.ConsoleInfo:
	}
}

// Errors returns what the console has shown so far: errors, warnings, refused resources and uncaught exceptions.
func (p *Page) Errors() []string {
	p.t.Helper()
	heard := make(chan struct{})
	p.mu.Lock()
	name := fmt.Sprint(len(p.marks))
	p.marks[name] = heard
	p.mu.Unlock()
	Eval[chromedp.Void](p, fmt.Sprintf("console.debug(%q)", mark+name))
	select {
	case <-heard:
	case <-time.After(patience):
		p.t.Fatal("the console does not answer")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.errors)
}

// NoErrors fails the test when the console has shown an error.
func (p *Page) NoErrors() {
	p.t.Helper()
	if all := p.Errors(); len(all) > 0 {
		p.t.Errorf("the console shows:\n%s", strings.Join(all, "\n"))
	}
}

// Hears waits until the console shows an error that contains a text.
func (p *Page) Hears(text string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if slices.ContainsFunc(p.Errors(), func(e string) bool { return strings.Contains(e, text) }) {
			return
		}
		Eval[bool](p, "new Promise(requestAnimationFrame).then(() => true)")
	}
	p.t.Fatalf("the console does not show %q, but:\n%s", text, strings.Join(p.Errors(), "\n"))
}

// Go opens an address.
func (p *Page) Go(url string) {
	p.t.Helper()
	p.do(chromedp.Navigate(url))
}

// Click presses the mouse on the first visible element that a CSS selector finds.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Insert puts text in at the focus, as a paste does.
func (p *Page) Insert(text string) {
	p.t.Helper()
	call(p, input.InsertText, input.InsertTextParams{Text: text})
}

// keys are the keys that Press knows: the code, the number and the text of each.
var keys = map[string]struct {
	code int64
	text string
}{"Enter": {13, "\r"}, "Tab": {9, ""}, "Escape": {27, ""}, "Space": {32, " "}}

const shift = 8

// Press presses a key at the focus: Enter, Tab, Escape or Space, each also as Shift+.
func (p *Page) Press(key string) {
	p.t.Helper()
	name, shifted := strings.CutPrefix(key, "Shift+")
	k, ok := keys[name]
	if !ok {
		p.t.Fatalf("unknown key %s", key)
	}
	e := input.DispatchKeyEventParams{
		Type: input.DispatchKeyEventTypeKeyDown, Key: name, Code: name, WindowsVirtualKeyCode: k.code, Text: k.text,
	}
	if name == "Space" {
		e.Key = " "
	}
	if shifted {
		e.Modifiers = shift
	}
	if k.text == "" {
		e.Type = input.DispatchKeyEventTypeRawKeyDown
	}
	call(p, input.DispatchKeyEvent, e)
	e.Type, e.Text = input.DispatchKeyEventTypeKeyUp, ""
	call(p, input.DispatchKeyEvent, e)
}

// Wait waits until an expression of JavaScript is true.
func (p *Page) Wait(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	// The page's policy forbids eval, so the expression is part of the script.
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(
		"new Promise((done) => { const look = () => ((%s) ? done(true) : requestAnimationFrame(look)); look(); })", condition,
	), chromedp.EvalAwaitPromise))
	if err != nil {
		text, textErr := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		p.t.Fatalf("wait for %s: %v\nconsole: %q\npage (%v):\n%s", condition, err, p.Errors(), textErr, text)
	}
}

// Eval returns the value of an expression of JavaScript; a promise's, once it is kept.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return v
}

// Text returns what the first element that a CSS selector finds says, as a reader sees it.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return Eval[string](p, fmt.Sprintf("document.querySelector(%q)?.innerText ?? \"\"", selector))
}

// Count returns how many elements a CSS selector finds.
func (p *Page) Count(selector string) int {
	p.t.Helper()
	return Eval[int](p, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// settled is kept once nothing has moved for some frames, but for what never ends.
const settled = `(async () => {
	const frame = () => new Promise(requestAnimationFrame);
	const moving = () => document.getAnimations().some((a) => a.playState === "running" && a.effect.getComputedTiming().endTime < Infinity);
	const scrolled = () => [...document.querySelectorAll("*")].map((e) => e.scrollTop).join();
	for (let still = 0, before; still < 10; await frame()) {
		const now = scrolled();
		still = now === before && !moving() ? still + 1 : 0;
		before = now;
	}
	return true;
})()`

// Screenshot writes what the page looks like to a PNG file of a folder; with an empty folder it does nothing.
func (p *Page) Screenshot(folder, name string) {
	p.t.Helper()
	if folder == "" {
		return
	}
	Eval[bool](p, settled)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600)
	}
	if err != nil {
		p.t.Errorf("take screenshot %s: %v", name, err)
	}
}

func (p *Page) do(a chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, a); err != nil {
		p.t.Fatalf("drive browser: %v", err)
	}
}

func call[P, R any](p *Page, c cdp.Command[P, R], params P) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, c, params); err != nil {
		p.t.Fatalf("drive browser: %s: %v", c.Method, err)
	}
}
