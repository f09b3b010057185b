package widget_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest/browsertest"
)

// screenshots is the folder that gets a picture of each state, when it is set.
var screenshots = os.Getenv("SCREENSHOTS")

var desktop = browsertest.Device{Width: 1280, Height: 800}

// open shows the shop's page, greeted.
func open(t *testing.T, d browsertest.Device) (*shop, *browsertest.Page) {
	t.Helper()
	s := openShop(t, "")
	p := browsertest.Open(t, d)
	p.Go(s.url)
	p.Wait(`document.querySelector(".message.shop .choices")`)
	return s, p
}

// say types a message and sends it with the Enter key.
func say(p *browsertest.Page, text string) {
	p.Insert(text)
	p.Press("Enter")
}

// answered waits until n messages of the customer have got their answers.
func answered(p *browsertest.Page, n int) {
	p.Wait(fmt.Sprintf(`document.getElementById("stop").hidden && document.querySelectorAll(".message.user").length === %d`, n))
}

// words is a text with every space as a single blank.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// direction returns the direction in which an element is laid out.
func direction(p *browsertest.Page, selector string) string {
	return browsertest.Eval[string](p, fmt.Sprintf("getComputedStyle(document.querySelector(%q)).direction", selector))
}

// latest is the latest message of the shop.
const latest = ".message.shop:last-child"

func TestAConversationByKeyboardAlone(t *testing.T) {
	s, p := open(t, desktop)
	p.Focused("#message")
	p.Insert("Bonjour,")
	p.Press("Shift+Enter")
	p.Insert("deux lignes")
	if got := browsertest.Eval[string](p, `document.getElementById("message").value`); got != "Bonjour,\ndeux lignes" {
		t.Fatalf("Shift+Enter: %q", got)
	}
	p.Press("Enter")
	answered(p, 1)
	if got := p.Text(latest + " .text"); got != "Vous avez dit : Bonjour,\ndeux lignes" {
		t.Errorf("answer: %q", got)
	}
	p.Focused("#message")
	if got := browsertest.Eval[string](p, `document.getElementById("message").value`); got != "" {
		t.Errorf("the field still holds %q", got)
	}

	// From the field back to the suggestion, which is the last thing before it.
	for range 3 {
		if p.Press("Shift+Tab"); browsertest.Eval[bool](p, `document.activeElement.matches(".chip")`) {
			break
		}
	}
	p.Focused(latest + " .chip")
	p.Press("Enter")
	answered(p, 2)
	if got := p.Text(latest + " .text"); got != "Vous avez dit : Et ensuite ?" {
		t.Errorf("answer to the suggestion: %q", got)
	}
	p.Focused("#message")

	sent := s.got("/api/chat/stream")
	session, _ := sent[0]["sessionId"].(string)
	if len(sent) != 2 || sent[0]["language"] != "fr" || sent[1]["sessionId"] != session {
		t.Errorf("sent %v", sent)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`).MatchString(session) {
		t.Errorf("the session is %q", session)
	}
	p.NoErrors()
}

func TestTheGreetingOffersItsChoices(t *testing.T) {
	_, p := open(t, desktop)
	if got := p.Text(".message.shop .text"); got != "Bonjour !" {
		t.Errorf("greeting: %q", got)
	}
	for selector, want := range map[string]string{
		".option": "🌿 Un produit Pour vous", ".choices:not(.options) .chip": "💇 Cheveux",
	} {
		if got := words(p.Text(selector)); got != want {
			t.Errorf("%s: %q, want %q", selector, got, want)
		}
	}
	p.Click(".option")
	answered(p, 1)
	if got := p.Text(".message.user .text"); got != "Un produit" {
		t.Errorf("the option says %q", got)
	}
	if n := p.Count(".option"); n != 0 {
		t.Errorf("%d options are left from the greeting", n)
	}
	p.NoErrors()
}

func TestProductsAreCards(t *testing.T) {
	s, p := open(t, desktop)
	say(p, "products")
	answered(p, 1)
	shown := browsertest.Eval[[]string](p, `[...document.querySelectorAll(".card")].map((c) => c.dataset.product)`)
	if fmt.Sprint(shown) != "[shampoo mask odd]" {
		t.Fatalf("cards: %v", shown)
	}
	first := `[data-product=shampoo]`
	for selector, want := range map[string]string{
		" h2": "Shampooing à l'argan", " .price bdi": "11,90\u00a0€", " .price span": "250 ml", " .reason": "Pour cheveux secs",
	} {
		if got := p.Text(first + selector); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", selector, got, want)
		}
	}
	link := browsertest.Eval[string](p, `(({ href, target, rel }) => href + " " + target + " " + rel)(document.links[0])`)
	if link != s.url+"/produits/shampoo _blank noopener" {
		t.Errorf("link: %s", link)
	}
	p.Wait(`document.querySelector("[data-product=shampoo] img").naturalWidth > 0`)
	if got := p.Text("[data-product=odd] .price"); got != "3 ?" {
		t.Errorf("price in an unknown currency: %q", got)
	}
	if n := p.Count("[data-product=mask] a, [data-product=odd] a"); n != 0 {
		t.Error("a product without an address of the web has a link")
	}
	if got := p.Text(latest + " .choices .chip"); !strings.Contains(got, "Shampooings") {
		t.Errorf("subcategory: %q", got)
	}
	p.NoErrors()
}

func TestTextIsNeverHTML(t *testing.T) {
	_, p := open(t, desktop)
	if got := p.Text(".choices:last-child .chip:last-child"); got != hostile {
		t.Errorf("suggestion of the greeting: %q", got)
	}
	say(p, "hostile "+hostile)
	answered(p, 1)
	for selector, want := range map[string]string{
		".message.user .text": "hostile " + hostile, latest + " .text": hostile, "[data-product=mask] h2": hostile,
		"[data-product=mask] .reason": hostile, ".ticket strong": hostile, latest + " .chip": hostile,
	} {
		if got := p.Text(selector); got != want {
			t.Errorf("%s: %q", selector, got)
		}
	}
	if browsertest.Eval[bool](p, `"hacked" in window || document.querySelector("img[src=x], #log script") !== null`) {
		t.Error("text became HTML")
	}
	p.NoErrors()
}

func TestThePolicyRefusesHTMLMadeOfText(t *testing.T) {
	_, p := open(t, desktop)
	refused := browsertest.Eval[bool](p, `(() => {
		try {
			document.body.innerHTML = "<b>x</b>";
			return false;
		} catch {
			return true;
		}
	})()`)
	if !refused {
		t.Error("the page may turn text into HTML")
	}
}

func TestTicketDegradedAnswerAndRating(t *testing.T) {
	s, p := open(t, desktop)
	say(p, "ticket")
	answered(p, 1)
	if got := words(p.Text(".ticket")); got != "Demande SAV-42 ouverte" {
		t.Errorf("ticket: %q", got)
	}
	if got := p.Text(latest + " .note"); !strings.HasPrefix(got, "Réponse simplifiée") {
		t.Errorf("note: %q", got)
	}
	if lines := browsertest.Eval[int](p, `document.querySelectorAll(".note, .ticket").length`); lines != 2 || p.Count(".notice") != 0 {
		t.Error("a degraded answer is shown as an error")
	}
	p.Click(".copy")
	p.Wait(`document.querySelector(".ticket [role=status]").textContent === "Numéro copié"`)
	if got := browsertest.Eval[string](p, `getSelection().toString()`); got != "SAV-42" {
		t.Errorf("selected to be copied: %q", got)
	}
	p.Accessible()
	p.Click(latest + " .rating button")
	p.Wait(`document.querySelector(".rating span").textContent === "Merci pour votre avis !"`)
	p.Click(latest + " .rating button:nth-of-type(2)") // the opinion has been given
	p.Wait(`document.querySelectorAll(".rating [aria-pressed=true]").length === 1`)
	rated := s.got("/api/analytics/feedback")
	if len(rated) != 1 || rated[0]["rating"] != 5.0 || rated[0]["sessionId"] == "" {
		t.Errorf("feedback: %v", rated)
	}
	var events []string
	for _, e := range s.got("/api/analytics/track") {
		events = append(events, fmt.Sprint(e["event"]))
	}
	if got := strings.Join(events, " "); got != "widget_opened message_sent" {
		t.Errorf("events: %s", got)
	}
	p.NoErrors()
}

func TestTooLongAMessageIsHeldBack(t *testing.T) {
	s, p := open(t, desktop)
	p.Insert(strings.Repeat("é", 4499))
	if got := p.Text("#count"); got != "" {
		t.Errorf("counter far from the limit: %q", got)
	}
	p.Insert("🌿")
	if got := p.Text("#count"); got != "4\u202f500 / 5\u202f000" {
		t.Errorf("counter: %q", got)
	}
	p.Insert(strings.Repeat("é", 501))
	if got := p.Text("#count"); got != "5\u202f001 / 5\u202f000 : message trop long" {
		t.Errorf("counter past the limit: %q", got)
	}
	p.Press("Enter")
	if p.Count("#send:disabled") != 1 || p.Count("#message[aria-invalid=true]") != 1 || p.Count(".message.user") != 0 {
		t.Error("a message that is too long can be sent")
	}
	browsertest.Eval[bool](p, `document.execCommand("delete")`)
	p.Press("Enter")
	answered(p, 1)
	if got, _ := s.got("/api/chat/stream")[0]["message"].(string); len([]rune(got)) != 5000 {
		t.Errorf("sent %d characters", len([]rune(got)))
	}
}

func TestANewConversationForgetsTheOld(t *testing.T) {
	s, p := open(t, desktop)
	say(p, "hang")
	p.Wait(`document.querySelector(".message.shop:last-child .text")`)
	before := s.got("/api/chat/stream")[0]["sessionId"]
	p.Click("#new")
	s.left(t)
	p.Wait(`document.querySelectorAll(".message").length === 1 && document.querySelector(".options")`)
	p.Focused("#message")
	say(p, "Rebonjour")
	answered(p, 1)
	if after := s.got("/api/chat/stream")[1]["sessionId"]; after == before {
		t.Error("the session goes on")
	}
	if cleared := s.got("/api/clear-history"); len(cleared) != 1 || cleared[0]["sessionId"] != before {
		t.Errorf("cleared %v, want %v", cleared, before)
	}
	p.NoErrors()
}

func TestAForbiddenStorageIsNoHindrance(t *testing.T) {
	private := desktop
	private.Script = `Object.defineProperty(window, "localStorage", { get() { throw new DOMException("no", "SecurityError"); } })`
	s, p := open(t, private)
	say(p, "un")
	answered(p, 1)
	say(p, "deux")
	answered(p, 2)
	if sent := s.got("/api/chat/stream"); sent[0]["sessionId"] != sent[1]["sessionId"] {
		t.Error("each message has a session of its own")
	}
	p.NoErrors()
}

func TestAPageThatIsLoadedAgainGoesOn(t *testing.T) {
	s, p := open(t, desktop)
	say(p, "products")
	answered(p, 1)
	say(p, "ticket")
	answered(p, 2)
	say(p, "hang")
	p.Wait(`document.querySelector(".message.shop:last-child .text")`)
	p.Go(s.url)
	s.left(t)
	p.Wait(`document.querySelector(".message.shop:last-child .text")?.textContent === "Le début "`) // asked again, by itself
	said := browsertest.Eval[[]string](p, `[...document.querySelectorAll(".message > .text")].map((m) => m.textContent)`)
	if want := []string{"products", "Voici : ", "ticket", "Votre demande est ouverte.", "hang", "Le début "}; !slices.Equal(said, want) {
		t.Errorf("the page shows %q", said)
	}
	if p.Count(".card") != 3 || p.Count(".ticket") != 1 || p.Count(".note") != 1 {
		t.Error("cards, the ticket or the note are gone")
	}
	p.Focused("#message")
	sent := s.sent("/api/chat/stream")
	if last := sent[2:]; len(last) != 2 || last[0].key != last[1].key || fmt.Sprint(last[0].body) != fmt.Sprint(last[1].body) {
		t.Errorf("sent %v", last)
	}
	p.Click("#stop")
	s.left(t)

	// Another tab begins a new conversation.
	browsertest.Eval[any](p, `(() => {
		const key = "innatural.conversation";
		localStorage.setItem(key, JSON.stringify({ session: "of-the-other-tab", at: Date.now(), said: [{ customer: "ailleurs" }] }));
		dispatchEvent(new StorageEvent("storage", { key }));
	})()`)
	if got := p.Text(".message.user"); words(got) != "Vous : ailleurs" || p.Count(".message") != 1 {
		t.Errorf("the other tab's conversation is not shown: %q", got)
	}
	say(p, "Bonjour")
	answered(p, 2)
	if got := s.got("/api/chat/stream")[4]["sessionId"]; got != "of-the-other-tab" {
		t.Errorf("session %v", got)
	}
	p.NoErrors()
}

func TestWhatIsKeptHasBoundsAndAnEnd(t *testing.T) {
	s, p := open(t, desktop)
	long := strings.Repeat("é", 4900)
	const kept = `localStorage.getItem("innatural.conversation")`
	browsertest.Eval[any](p, `(() => {
		const said = Array.from({ length: 100 }, () => ({ customer: "`+long+`" }));
		localStorage.setItem("innatural.conversation", JSON.stringify({ session: "old", at: Date.now(), said }));
	})()`)
	p.Go(s.url)
	p.Wait(`document.querySelectorAll(".message").length === 100`)
	say(p, "Bonjour")
	answered(p, 101)
	if size := browsertest.Eval[int](p, kept+`.length`); size > 200000 || size < 150000 {
		t.Errorf("%d characters are kept", size)
	}
	browsertest.Eval[any](p, `(() => {
		const record = JSON.parse(`+kept+`);
		record.at = Date.now() - 86400001;
		localStorage.setItem("innatural.conversation", JSON.stringify(record));
	})()`)
	p.Go(s.url)
	p.Wait(`document.querySelector(".options")`) // a day later it is greeted anew
	if session := browsertest.Eval[string](p, `JSON.parse(`+kept+`).session`); session == "old" || p.Count(".message") != 1 {
		t.Error("an old conversation is taken up")
	}
	p.NoErrors()
}
