package widget_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest/browsertest"
)

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
		return box(".picture").left > box(".card h2").left && box("#send").left < box("#message").left;
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

func TestNumbersWithinArabicAreReadFromTheLeft(t *testing.T) {
	_, p := open(t, desktop)
	say(p, "numbers")
	answered(p, 1)
	// Each pair stands in this order from the left; texts of one pair are on one line.
	for _, pair := range [][2]string{
		{"+", "33 6"},
		{"+33", "6 12"},
		{"6 12", "34 56 78"},
		{"2026-", "11-24"},
		{"CMD-", "2026-0042"},
		{"-35", "%"},
		{"11,90", "€"},
		{"2026-11-24", "34 56 78"}, // and the sentence from the right
	} {
		left := func(text string) float64 {
			return browsertest.Eval[float64](p, fmt.Sprintf(`(() => {
				const walk = document.createTreeWalker(document.querySelector("%s .text"), NodeFilter.SHOW_TEXT);
				for (let node; (node = walk.nextNode()); ) {
					const at = node.data.replace(/\u00a0/g, " ").indexOf(%q), range = document.createRange();
					if (at < 0) continue;
					range.setStart(node, at);
					range.setEnd(node, at + %d);
					return range.getBoundingClientRect().left;
				}
				throw new Error("no such text");
			})()`, latest, text, len([]rune(text))))
		}
		if first, second := left(pair[0]), left(pair[1]); first >= second {
			t.Errorf("%s is at %v, %s at %v", pair[0], first, pair[1], second)
		}
	}
	if got := p.Text(".text .code"); got != "CMD-2026-0042" {
		t.Errorf("kept on one line: %q", got)
	}
	if got := words(p.Text(".ticket")); got != "طلب رقم SAV-7K4M22 مفتوح" {
		t.Errorf("ticket: %q", got)
	}
	if got := direction(p, "html") + " " + direction(p, ".ticket") + " " + direction(p, ".note"); got != "ltr rtl rtl" {
		t.Errorf("the page, the ticket and the note are %s", got)
	}
	p.Screenshot(screenshots, "arabic-numbers")
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
	const session = `JSON.parse(localStorage.getItem("innatural.conversation")).session`
	before := browsertest.Eval[string](p, session)
	p.Go(browsertest.Eval[string](p, "location.href"))
	p.Wait(`document.querySelector(".message.shop .text")?.textContent === "أهلًا بكم!"`)
	if after := browsertest.Eval[string](p, session); after != before {
		t.Errorf("the session is %q, was %q", after, before)
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
					p.Screenshot(screenshots, fmt.Sprintf("states-%dx%d", d.Width, d.Height))
					say(p, "hang")
					p.Wait(`document.querySelector(".message.shop:last-child .text")`)
				}
				p.FitsItsWidth()
				p.Contrast()
			}
			p.Accessible()
			p.Click("#stop")
			s.left(t)
		})
	}
}
