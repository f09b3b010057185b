package widget_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest/browsertest"
)

// elsewhere opens a page of another site that has the chat by one tag, under a policy of its own that allows nothing but it.
func elsewhere(t *testing.T, d browsertest.Device) (*shop, *browsertest.Page) {
	t.Helper()
	host := httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(host.Listener.Addr().String(), ":")
	origin := "http://localhost:" + port // the shop's is 127.0.0.1
	s := openShop(t, `embed_origins = ["`+origin+`"]`)
	host.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; script-src %[1]s; frame-src %[1]s; img-src data:; "+
			"require-trusted-types-for 'script'", s.url))
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Elsewhere</title><link rel="icon" href="data:,">
<script src="%s/widget.js" defer data-language="fr"></script>
<main><h1>A page of another site</h1><p><a href="#more">A link of its own</a></p></main></html>`, s.url)
	})
	host.Start()
	t.Cleanup(host.Close)
	p := browsertest.Open(t, d)
	p.Go(origin)
	p.Wait(button + ` !== undefined`)
	return s, p
}

const (
	tree   = `document.querySelector("innatural-chat")?.shadowRoot`
	button = tree + `?.querySelector("button")`
	ready  = tree + `.querySelector(".ready")`
	closed = tree + `.querySelector(".panel").hidden`
)

// focus returns what has the focus, on the page or in the chat's shadow tree.
func focus(p *browsertest.Page) string {
	return browsertest.Eval[string](p, tree+`.activeElement?.localName ?? document.activeElement.localName`)
}

func TestOneTagPutsTheChatOnAnotherSite(t *testing.T) {
	s, p := elsewhere(t, browsertest.Device{Width: 1024, Height: 768, Language: "en"})
	if name := browsertest.Eval[string](p, button+`.ariaLabel`); name != "Discuter avec la boutique" {
		t.Errorf("the button is called %q", name)
	}
	if n := browsertest.Eval[int](p, tree+`.querySelectorAll("iframe").length`); n != 0 {
		t.Error("the chat is loaded before anyone wants it")
	}
	globals := browsertest.Eval[[]string](p, `Object.getOwnPropertyNames(window).filter((name) => /innatural/i.test(name))`)
	if fmt.Sprint(globals) != "[innaturalChat]" {
		t.Errorf("globals: %v", globals)
	}
	p.Accessible()

	p.Press("Tab")
	p.Press("Tab") // the link, then the button
	p.Press("Enter")
	p.Wait(ready)
	frame := p.Frame(s.url)
	frame.Wait(`document.activeElement.id === "message" && document.querySelector(".chip")`)
	if greeting := frame.Text(".message.shop .text"); greeting != "Bonjour !" {
		t.Errorf("greeting: %q", greeting) // the tag's language goes before the browser's
	}
	say(p, "products")
	answered(frame, 1)
	if n := frame.Count(".card"); n != 3 {
		t.Errorf("%d cards", n)
	}
	frame.FitsItsWidth()
	frame.Contrast()
	frame.Accessible()
	p.Screenshot(screenshots, "embedded")

	p.Press("Escape")
	p.Wait(closed)
	if on := focus(p); on != "button" {
		t.Errorf("after Escape the focus is on %s", on)
	}
	p.Press("Space")
	p.Wait(`!` + closed)
	frame.Wait(`document.activeElement.id === "message"`)
	if n := frame.Count(".card"); n != 3 {
		t.Error("the conversation is lost when the chat is closed")
	}
	frame.Click("#close")
	p.Wait(closed)
	if open := browsertest.Eval[string](p, button+`.ariaExpanded`); open != "false" || focus(p) != "button" {
		t.Errorf("expanded %s, focus on %s", open, focus(p))
	}
	p.NoErrors()
	frame.NoErrors()
}

func TestAPhoneShowsTheChatAlone(t *testing.T) {
	s, p := elsewhere(t, browsertest.Device{Width: 360, Height: 740})
	browsertest.Eval[any](p, `innaturalChat.open()`)
	p.Wait(ready)
	frame := p.Frame(s.url)
	size := browsertest.Eval[string](frame, `innerWidth + " " + innerHeight`)
	if size != "360 740" {
		t.Errorf("the chat is %s", size)
	}
	if shown := browsertest.Eval[bool](p, button+`.checkVisibility()`); shown {
		t.Error("the button covers the chat")
	}
	frame.Wait(`document.querySelector(".chip")`)
	frame.FitsItsWidth()
	p.Screenshot(screenshots, "embedded-phone")
	frame.Click("#close")
	p.Wait(closed)
	p.NoErrors()
}

func TestMessagesOfOthersDoNothing(t *testing.T) {
	_, p := elsewhere(t, browsertest.Device{Width: 1024, Height: 768})
	browsertest.Eval[any](p, `innaturalChat.open()`)
	p.Wait(ready)
	// A message of the page itself comes from the wrong window; one that claims the frame, from the wrong origin.
	browsertest.Eval[bool](p, `new Promise((heard) => {
		const source = `+tree+`.querySelector("iframe").contentWindow;
		dispatchEvent(new MessageEvent("message", { data: "close", source, origin: "https://evil.example" }));
		addEventListener("message", () => heard(true), { once: true });
		postMessage("close", location.origin);
	})`)
	if browsertest.Eval[bool](p, closed) {
		t.Error("a message of another window or origin closes the chat")
	}
}

func TestASiteThatIsNotNamedCannotShowTheChat(t *testing.T) {
	s := openShop(t, `embed_origins = ["https://www.shop.example"]`)
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">
<body><script src="%s/widget.js"></script>`, s.url)
	}))
	t.Cleanup(host.Close)
	p := browsertest.Open(t, desktop)
	p.Go(host.URL)
	p.Wait(`window.innaturalChat`)
	browsertest.Eval[any](p, `innaturalChat.open()`)
	p.Hears("frame-ancestors")
	if browsertest.Eval[bool](p, ready+` !== null`) {
		t.Error("the chat is shown")
	}
	browsertest.Eval[any](p, `innaturalChat.close()`) // the button is still there
	p.Wait(closed)
}
