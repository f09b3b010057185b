package widget_test

import (
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
