package widget_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest/browsertest"
)

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

func TestAStreamIsReadHoweverItIsCut(t *testing.T) {
	_, p := open(t, desktop)
	say(p, "split")
	answered(p, 1)
	if got := p.Text(latest + " .text"); got != "Ça coule — بسلاسة, en deux lignes." {
		t.Errorf("got %q", got)
	}
	p.NoErrors()
}

// patient never tries again by itself; hasty hardly waits before it does.
var (
	patient = browsertest.Device{Width: 1280, Height: 800, Script: `{
		const later = setTimeout;
		window.setTimeout = (f, ms, ...rest) => (ms > 200 && ms < 14000 ? 0 : later(f, ms, ...rest));
	}`}
	hasty = browsertest.Device{Width: 1280, Height: 800, Script: `{
		const later = setTimeout;
		window.setTimeout = (f, ms, ...rest) => later(f, ms < 15000 ? ms / 40 : ms === 35000 ? 200 : ms, ...rest);
	}`}
)

// attempted checks that a message was sent so many times, always the same and with the same key.
func (s *shop) attempted(t *testing.T, message string, attempts int) {
	t.Helper()
	sent := slices.DeleteFunc(s.sent("/api/chat/stream"), func(c called) bool { return c.body["message"] != message })
	if len(sent) != attempts {
		t.Errorf("%d attempts, want %d", len(sent), attempts)
	}
	for _, c := range sent {
		if c.key == "" || c.key != sent[0].key || fmt.Sprint(c.body) != fmt.Sprint(sent[0].body) {
			t.Errorf("sent %v, then %v", sent[0], c)
		}
	}
}

// cut breaks a "cut" off once its first piece is shown.
func (s *shop) cut(p *browsertest.Page) {
	p.Wait(`document.querySelector(".message.shop:last-child .text")`)
	s.more <- struct{}{}
}

func TestAnInterruptedAnswerIsAskedForAgain(t *testing.T) {
	const lost = "La connexion a été perdue avant la fin de la réponse. Nouvel essai…"
	s, p := open(t, patient)
	for i, tt := range []struct{ how, received, notice, button string }{
		{"fail", "", "Pardon, réessayez.", "Réessayer"},
		{"stopping", "Le début ", "La réponse s’est interrompue. Nouvel essai…", "Réessayer maintenant"},
		{"end", "Le début ", lost, "Réessayer maintenant"},
		{"cut", "Le début ", lost, "Réessayer maintenant"},
		{"portal", "", lost, "Réessayer maintenant"},
		{"gone", "", "La boutique ne répond pas pour le moment. Nouvel essai…", "Réessayer maintenant"},
	} {
		t.Run(tt.how, func(t *testing.T) {
			say(p, tt.how)
			if tt.how == "cut" {
				s.cut(p)
			}
			p.Wait(`document.querySelector(".notice")`)
			if got := p.Text(".notice p"); got != tt.notice {
				t.Errorf("notice: %q, want %q", got, tt.notice)
			}
			if got := p.Text(".notice button"); got != tt.button {
				t.Errorf("button: %q, want %q", got, tt.button)
			}
			if got := p.Text(latest + " .text"); got != tt.received {
				t.Errorf("left of what was received: %q", got)
			}
			p.Accessible()
			p.Screenshot(screenshots, "interrupted-"+tt.how)
			p.Click(".notice button")
			p.Wait(`document.querySelector(".message.shop:last-child .rating")`)
			if got := p.Text(latest + " .text"); got != "Vous avez dit : "+tt.how {
				t.Errorf("answer: %q", got)
			}
			if p.Count(".notice") != 0 || p.Count(".message.shop") != i+2 {
				t.Error("the failure is still there")
			}
			s.attempted(t, tt.how, 2)
			p.Focused("#message")
		})
	}
}

func TestThePageTriesAgainByItselfForAWhile(t *testing.T) {
	s, p := open(t, hasty)
	say(p, "flaky")
	answered(p, 1)
	if got := p.Text(".notice"); words(got) != "La connexion a été perdue avant la fin de la réponse. Réessayer" {
		t.Errorf("notice: %q", got)
	}
	s.attempted(t, "flaky", 5)
	p.Click(".notice button") // the sixth attempt is answered
	p.Wait(`document.querySelector(".rating")`)
	s.attempted(t, "flaky", 6)
}

func TestABusyShopSaysWhen(t *testing.T) {
	s, p := open(t, patient)
	for _, tt := range []struct{ how, notice, button string }{
		{"busy", `^Beaucoup de messages arrivent en ce moment\. Nouvel essai dans [789] secondes\.$`, "Réessayer maintenant"},
		{"crowded", `^Beaucoup de messages arrivent en ce moment\. Réessayez dans un instant\.$`, "Réessayer"},
	} {
		t.Run(tt.how, func(t *testing.T) {
			say(p, tt.how)
			p.Wait(`document.querySelector(".notice")`)
			if got := strings.ReplaceAll(p.Text(".notice p"), "\u00a0", " "); !regexp.MustCompile(tt.notice).MatchString(got) {
				t.Errorf("notice: %q", got)
			}
			if got := p.Text(".notice button"); got != tt.button {
				t.Errorf("button: %q", got)
			}
			p.Click(".notice button")
			p.Wait(`document.querySelector(".message.shop:last-child .rating")`)
			s.attempted(t, tt.how, 2)
		})
	}
}

func TestARefusedMessageCanBeChanged(t *testing.T) {
	s, p := open(t, desktop)
	say(p, "refuse moi")
	answered(p, 1)
	if got := words(p.Text(".notice")); got != "Ce message n’a pas pu être accepté. Essayez de le reformuler. Modifier le message" {
		t.Errorf("notice: %q", got)
	}
	p.Click(".notice button")
	p.Focused("#message")
	if got := browsertest.Eval[string](p, `document.getElementById("message").value`); got != "refuse moi" {
		t.Errorf("the field holds %q", got)
	}
	s.attempted(t, "refuse moi", 1)
}

func TestSilenceIsALostConnection(t *testing.T) {
	s, p := open(t, hasty)
	say(p, "mute")
	s.left(t)
	answered(p, 1)
	if got := p.Text(latest + " .text"); got != "Vous avez dit : mute" {
		t.Errorf("answer: %q", got)
	}
	s.attempted(t, "mute", 2)
}

func TestAMessageWaitsForTheConnection(t *testing.T) {
	s, p := open(t, desktop)
	p.Offline(true)
	p.Wait(`!navigator.onLine`)
	say(p, "Bonjour")
	p.Wait(`document.querySelector(".notice")`)
	if got := p.Text(".notice p"); got != "Vous êtes hors ligne. Votre message partira dès le retour de la connexion." {
		t.Errorf("notice: %q", got)
	}
	p.Accessible()
	p.Screenshot(screenshots, "offline")
	p.Offline(false)
	answered(p, 1)
	if got := p.Text(latest + " .text"); got != "Vous avez dit : Bonjour" {
		t.Errorf("answer: %q", got)
	}
	s.attempted(t, "Bonjour", 1) // the others never reached the shop
}

func TestStopEndsTheWaiting(t *testing.T) {
	s, p := open(t, patient)
	say(p, "cut")
	s.cut(p)
	p.Wait(`document.querySelector(".notice")`)
	p.Click("#stop")
	answered(p, 1)
	if got := words(p.Text(latest)); got != "INnatural : Le début Réponse arrêtée." {
		t.Errorf("answer: %q", got)
	}
	s.attempted(t, "cut", 1)
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
