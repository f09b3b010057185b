package widget_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest/browsertest"
)

var desktop = browsertest.Device{Width: 1280, Height: 800}

// open shows the shop's page, greeted.
func open(t *testing.T, d browsertest.Device) (*shop, *browsertest.Page) {
	t.Helper()
	s := openShop(t)
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

func TestTheConversationIsALiveRegion(t *testing.T) {
	s, p := open(t, desktop)
	region := browsertest.Eval[string](p, `(({ role, ariaLive, ariaLabel }) => [role, ariaLive, ariaLabel].join(" "))(log)`)
	if region != "log polite Conversation" {
		t.Errorf("log: %q", region)
	}
	say(p, "hang")
	p.Wait(`document.querySelector(".message.shop:last-child .text")`)
	if n := p.Count("#log[aria-busy=true]"); n != 1 {
		t.Error("a screen reader would read an answer that is still arriving")
	}
	p.Click("#stop")
	answered(p, 1)
	if n := p.Count("#log[aria-busy]"); n != 0 {
		t.Error("the log stays busy")
	}
	s.left(t)
	p.NoErrors()
}

func TestArabicTurnsThePage(t *testing.T) {
	_, p := open(t, desktop)
	p.Click("[data-language=ar]")
	p.Wait(`document.querySelector(".message.shop .text")?.textContent === "أهلًا بكم!"`)
	root := browsertest.Eval[string](p, `(({ lang, dir }) => lang + " " + dir)(document.documentElement)`)
	if log := direction(p, "#log"); root != "ar rtl" || log != "rtl" {
		t.Errorf("the page is %q, the conversation %q", root, log)
	}
	if got := p.Text("#find"); got != "ابحث عن عنايتي" {
		t.Errorf("the button says %q", got)
	}
	p.Click("#message")
	say(p, "products")
	answered(p, 1)
	if !browsertest.Eval[bool](p, `(() => {
		const box = (s) => document.querySelector(s).getBoundingClientRect();
		return box(".picture").left > box(".card h3").left && box("#send").left < box("#message").left;
	})()`) {
		t.Error("the layout does not follow the direction")
	}
	p.Click("[data-language=en]")
	if got := browsertest.Eval[string](p, `document.documentElement.dir`); got != "ltr" {
		t.Errorf("back in English the direction is %q", got)
	}
	if n := p.Count(".message.user"); n != 1 {
		t.Error("a change of language loses the conversation")
	}
	p.NoErrors()
}

func TestAMessageInArabicScriptIsSentAsArabic(t *testing.T) {
	s, p := open(t, desktop)
	say(p, "ما هو الشامبو؟")
	answered(p, 1)
	if got := s.got("/api/chat/stream")[0]["language"]; got != "ar" {
		t.Errorf("language %v", got)
	}
	if page, message := direction(p, "html"), direction(p, ".message.user .text"); page != "ltr" || message != "rtl" {
		t.Errorf("the page is %s, the message %s", page, message)
	}
}

func TestTheLanguageIsThatOfTheBrowserThenOfTheCustomer(t *testing.T) {
	_, p := open(t, browsertest.Device{Width: 800, Height: 600, Language: "en-GB"})
	if got := p.Text(".message.shop .text"); got != "Hello!" {
		t.Errorf("greeting: %q", got)
	}
	p.Click("[data-language=ar]")
	p.Wait(`document.querySelector(".message.shop .text")?.textContent === "أهلًا بكم!"`)
	before := browsertest.Eval[string](p, `localStorage.getItem("innatural.session")`)
	p.Go(browsertest.Eval[string](p, "location.href"))
	p.Wait(`document.querySelector(".message.shop .text")?.textContent === "أهلًا بكم!"`)
	if after := browsertest.Eval[string](p, `localStorage.getItem("innatural.session")`); after != before {
		t.Errorf("the session is %q, was %q", after, before)
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
		" h3": "Shampooing à l'argan", " .price bdi": "11,90\u00a0€", " .price span": "250 ml", " .reason": "Pour cheveux secs",
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
		".message.user .text": "hostile " + hostile, latest + " .text": hostile, "[data-product=mask] h3": hostile,
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

func TestAStreamIsReadHoweverItIsCut(t *testing.T) {
	_, p := open(t, desktop)
	say(p, "split")
	answered(p, 1)
	if got := p.Text(latest + " .text"); got != "Ça coule — بسلاسة, en deux lignes." {
		t.Errorf("got %q", got)
	}
	p.NoErrors()
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

func TestAFailedAnswerCanBeAskedAgain(t *testing.T) {
	for _, tt := range []struct{ how, notice, button string }{
		{"fail", "Pardon, réessayez.", "Réessayer"},
		{"end", "La connexion a été perdue avant la fin de la réponse.", "Se reconnecter"},
		{"cut", "La connexion a été perdue avant la fin de la réponse.", "Se reconnecter"},
	} {
		t.Run(tt.how, func(t *testing.T) {
			s, p := open(t, desktop)
			say(p, tt.how)
			answered(p, 1)
			if got := p.Text(".notice p"); got != tt.notice {
				t.Errorf("notice: %q, want %q", got, tt.notice)
			}
			if got := p.Text(".notice button"); got != tt.button {
				t.Errorf("button: %q, want %q", got, tt.button)
			}
			p.Contrast()
			p.Click(".notice button")
			p.Wait(`document.querySelector(".message.shop:last-child .text")?.textContent.startsWith("Vous avez dit")`)
			answered(p, 1)
			if p.Count(".notice") != 0 || p.Count(".message.shop") != 2 {
				t.Error("the failed answer is still there")
			}
			if sent := s.got("/api/chat/stream"); len(sent) != 2 || sent[0]["message"] != sent[1]["message"] {
				t.Errorf("sent %v", sent)
			}
			p.Focused("#message")
		})
	}
}

func TestABusyShopSaysWhen(t *testing.T) {
	_, p := open(t, desktop)
	say(p, "busy")
	answered(p, 1)
	if got := p.Text(".notice p"); got != "Beaucoup de messages arrivent en ce moment. Réessayez dans 7 s." {
		t.Errorf("notice: %q", got)
	}
}

func TestSilenceIsALostConnection(t *testing.T) {
	impatient := desktop
	impatient.Script = `{
		const later = setTimeout;
		window.setTimeout = (f, ms, ...rest) => later(f, ms === 45000 ? 100 : ms, ...rest);
	}`
	s, p := open(t, impatient)
	say(p, "silent")
	p.Wait(`document.querySelector(".notice")`)
	if got := p.Text(".notice p"); got != "La connexion a été perdue avant la fin de la réponse." {
		t.Errorf("notice: %q", got)
	}
	s.left(t)
}

func TestStopEndsTheAnswer(t *testing.T) {
	s, p := open(t, desktop)
	say(p, "hang")
	p.Wait(`document.querySelector(".message.shop:last-child .text")`)
	p.Insert("Autre chose")
	p.Press("Enter") // waits for the answer that is arriving
	p.Click("#stop")
	answered(p, 1)
	s.left(t)
	if got := p.Text(latest+" .text") + p.Text(latest+" .note"); got != "Le début Réponse arrêtée." {
		t.Errorf("answer: %q", got)
	}
	p.Focused("#message")
	p.Press("Enter")
	answered(p, 2)
	if got := p.Text(latest + " .text"); got != "Vous avez dit : Autre chose" {
		t.Errorf("next answer: %q", got)
	}
	p.NoErrors()
}

func TestTypingShowsUntilTheFirstPiece(t *testing.T) {
	still := desktop
	still.Still = true
	s, p := open(t, still)
	say(p, "silent")
	p.Wait(`document.querySelector(".typing")`)
	if n := browsertest.Eval[int](p, `document.getAnimations().length`); n != 0 {
		t.Errorf("%d animations for a customer who wants none", n)
	}
	p.Click("#stop")
	s.left(t)
	say(p, "hang")
	p.Wait(`document.querySelector(".message.shop:last-child .text")`)
	if n := p.Count(".typing"); n != 0 {
		t.Error("it still types")
	}
	p.Click("#stop")
	s.left(t)
}

func TestAnAnswerIsReadFromItsBeginning(t *testing.T) {
	s, p := open(t, desktop)
	say(p, "slow")
	const top, end, more = `(log.getBoundingClientRect().top - document.querySelector(".message.user").getBoundingClientRect().top)`,
		`(log.scrollHeight > 1000 && log.scrollHeight - log.scrollTop - log.clientHeight < 2)`, `!latest.hidden`
	p.Wait(`Math.abs(` + top + `) < 40 && ` + more)
	s.more <- struct{}{}
	p.Wait(`log.scrollHeight > 2000`)
	p.Wait(`Math.abs(` + top + `) < 40 && ` + more)

	p.Click("#latest") // from here on the end is what counts
	p.Wait(end + ` && latest.hidden`)
	s.more <- struct{}{}
	p.Wait(`log.scrollHeight > 3000 && ` + end)

	browsertest.Eval[bool](p, `new Promise((done) => {
		log.addEventListener("scroll", () => done(true), { once: true });
		log.scrollTo({ top: 0, behavior: "instant" });
	})`)
	s.more <- struct{}{}
	answered(p, 1)
	if top := browsertest.Eval[float64](p, `log.scrollTop`); top > 10 {
		t.Errorf("the page scrolled a reader from the beginning to %v", top)
	}
	p.Wait(more)
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

func TestGuidedQuestionsLeadToProducts(t *testing.T) {
	s, p := open(t, desktop)
	p.Click("#find")
	p.Wait(`document.querySelector(".progress")`)
	p.Focused(latest + " .chip")
	p.Press("Enter") // one answer
	p.Wait(`document.querySelector(".progress progress[value='2']")`)
	if n := p.Count(latest + " .button:not(.plain):disabled"); n != 1 {
		t.Error("nothing is chosen and the questions can go on")
	}
	p.Click(latest + " .chip")
	p.Click(latest + " .chip:nth-of-type(2)")
	p.Click(latest + " .button:not(.plain)")
	p.Wait(`document.querySelector(".progress progress[value='3']")`)
	if got := p.Text(latest + " .button:not(.plain)"); got != "Passer" {
		t.Errorf("a question that may be left open offers %q", got)
	}
	p.Click(latest + " .button:not(.plain)")
	p.Wait(`document.querySelectorAll(".card").length === 2`)
	answers := s.got("/api/qualification/answer")
	if len(answers) != 3 {
		t.Fatalf("answers: %v", answers)
	}
	for i, want := range []string{"map[selected:a]", "map[selected:[a b]]", "map[selected:[]]"} {
		if got := fmt.Sprint(answers[i]["answer"]); got != want {
			t.Errorf("answer %d: %s, want %s", i+1, got, want)
		}
	}
	said := browsertest.Eval[[]string](p, `[...document.querySelectorAll(".message.user .text")].map((m) => m.textContent)`)
	if fmt.Sprint(said) != "[Trouver mon soin Option A Option A, Option B Passer]" {
		t.Errorf("the customer said %v", said)
	}
	if got := p.Text(latest + " .text"); got != "Voici vos soins." {
		t.Errorf("answer: %q", got)
	}
	p.Focused("#message")
	p.NoErrors()
}

func TestGuidedQuestionsCanBeLeft(t *testing.T) {
	_, p := open(t, desktop)
	p.Click("#find")
	p.Wait(`document.querySelector(".progress")`)
	p.Click(latest + " .button.plain")
	p.Focused("#message")
	if n := p.Count("#log .chip"); n != 0 {
		t.Errorf("%d answers can still be picked", n)
	}
	p.NoErrors()
}

func TestForgottenAnswersAreAskedAgain(t *testing.T) {
	_, p := open(t, desktop)
	p.Click("#find")
	p.Wait(`document.querySelector(".progress")`)
	p.Click(latest + " .chip:nth-of-type(2)")
	p.Wait(`document.querySelector(".notice button")`)
	p.Click(".notice button")
	p.Wait(`document.querySelector(".message.shop:last-child .progress progress[value='1']")`)
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

func TestEverythingFitsAndIsLegible(t *testing.T) {
	for _, d := range []browsertest.Device{
		{Width: 320, Height: 568},
		{Width: 360, Height: 740, Dark: true},
		{Width: 768, Height: 1024},
		{Width: 1440, Height: 900, Dark: true},
		{Width: 1440, Height: 900},
		{Width: 640, Height: 300},
	} {
		t.Run(fmt.Sprintf("%dx%d dark %t", d.Width, d.Height, d.Dark), func(t *testing.T) {
			s, p := open(t, d)
			for i, language := range []string{"fr", "en", "ar"} {
				p.Click("[data-language=" + language + "]")
				p.Wait(`document.documentElement.lang === "` + language + `" && document.querySelector(".message")`)
				if i == 0 {
					p.FitsItsWidth()
					p.Contrast()
					p.Click("#message")
					for n, text := range []string{"products", "ticket", "fail", strings.Repeat("mot", 100)} {
						say(p, text)
						answered(p, n+1)
					}
					say(p, "hang")
					p.Wait(`document.querySelector(".message.shop:last-child .text")`)
				}
				p.FitsItsWidth()
				p.Contrast()
			}
			p.Click("#stop")
			s.left(t)
		})
	}
}
