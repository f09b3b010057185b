package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/browsertest"
	"github.com/innatural/chatbot/plugins"
	"github.com/innatural/chatbot/policies"
)

// screenshots is the folder that gets a picture of each conversation, when it is set.
var screenshots = os.Getenv("SCREENSHOTS")

// open opens the page of the whole shop.
func open(t *testing.T, d browsertest.Device) (*frameworktest.Server, *browsertest.Page) {
	t.Helper()
	s := frameworktest.StartWith(t, framework.PolicyText("chatbot.toml", policies.Chatbot), plugins.Standard()...)
	p := browsertest.Open(t, d)
	p.Go(s.URL)
	p.Wait(`document.querySelector(".message.shop .choices")`)
	return s, p
}

// visit opens the page of the whole shop.
func visit(t *testing.T, d browsertest.Device) *browsertest.Page {
	t.Helper()
	_, p := open(t, d)
	return p
}

// looksRight checks what everyone can expect of a page, whatever it shows.
func looksRight(p *browsertest.Page) {
	p.FitsItsWidth()
	p.Contrast()
	p.Accessible()
}

// say types a message, sends it with the Enter key and returns the answer.
func say(p *browsertest.Page, text string) string {
	turn := p.Count(".message.user") + 1
	p.Insert(text)
	p.Press("Enter")
	answered(p, turn)
	return p.Text(answer + " .text")
}

// answered waits until n messages have got their answers.
func answered(p *browsertest.Page, n int) {
	p.Wait(fmt.Sprintf(`document.getElementById("stop").hidden && document.querySelectorAll(".message.user").length === %d`, n))
}

const answer = ".message.shop:last-child"

// shown returns the ids of the products of the latest answer.
func shown(p *browsertest.Page) []string {
	return browsertest.Eval[[]string](p, `[...document.querySelectorAll("`+answer+` .card")].map((card) => card.dataset.product)`)
}

func TestACustomerChatsWithTheShop(t *testing.T) {
	for _, tt := range []struct {
		language, direction string
		device              browsertest.Device
		greeting            string
		product, shampoos   string // a question, and what the products of its answer are called
		information, terms  string // a question, and what its answer speaks of
		price               string
	}{
		{
			"fr", "ltr",
			browsertest.Device{Width: 1280, Height: 820},
			"bienvenue chez INnatural",
			"Quel shampooing pour cheveux secs ?", "shampooing", "Quels sont les frais de livraison ?", "livraison", `^\d+,\d\d €$`,
		},
		{
			"ar", "rtl",
			browsertest.Device{Width: 1280, Height: 820},
			"INnatural",
			"ما هو الشامبو المناسب للشعر الجاف؟", "شامبو", "كم تكلفة التوصيل؟", "توصيل", `\d`,
		},
		{
			"fr", "ltr",
			browsertest.Device{Width: 360, Height: 740, Dark: true},
			"bienvenue chez INnatural",
			"Quel shampooing pour cheveux secs ?", "shampooing", "Quels sont les frais de livraison ?", "livraison", `^\d+,\d\d €$`,
		},
		{
			"en", "ltr",
			browsertest.Device{Width: 320, Height: 640},
			"welcome to INnatural",
			"Which shampoo for dry hair?", "shampoo", "How much is delivery?", "delivery", `^€\d+\.\d\d$`,
		},
	} {
		name := fmt.Sprintf("%s-%d", tt.language, tt.device.Width)
		t.Run(name, func(t *testing.T) {
			tt.device.Language = tt.language
			s, p := open(t, tt.device)
			if got := p.Text(".message.shop .text"); !strings.Contains(got, tt.greeting) {
				t.Errorf("greeting: %q", got)
			}
			p.Screenshot(screenshots, name+"-greeting")
			looksRight(p)

			if got := say(p, tt.product); got == "" {
				t.Error("no answer")
			}
			names := browsertest.Eval[[]string](p, `[...document.querySelectorAll(".card h2")].map((h) => h.textContent)`)
			if len(names) == 0 || !strings.Contains(strings.ToLower(names[0]), tt.shampoos) {
				t.Errorf("products: %q", names)
			}
			price := strings.NewReplacer("\u00a0", " ", "\u202f", " ").Replace(p.Text(".card .price bdi"))
			if !regexp.MustCompile(tt.price).MatchString(price) {
				t.Errorf("price: %q", price)
			}
			p.Wait(`document.querySelector(".card img").naturalWidth > 0`)
			if reasons, cards := p.Count(".card .reason"), p.Count(".card"); reasons != cards {
				t.Errorf("%d of %d products have a reason", reasons, cards)
			}
			if rel := browsertest.Eval[string](p, `document.querySelector(".card a").rel`); rel != "noopener" {
				t.Errorf("a product's link is rel=%q", rel)
			}
			p.Screenshot(screenshots, name+"-products")
			looksRight(p)

			if got := say(p, tt.information); !regexp.MustCompile(tt.terms).MatchString(got) {
				t.Errorf("answer about delivery: %q", got)
			}
			root := browsertest.Eval[string](p, `(({ lang, dir }) => lang + " " + dir)(document.documentElement)`)
			if want := tt.language + " " + tt.direction; root != want {
				t.Errorf("the page is %q, want %q", root, want)
			}
			p.Screenshot(screenshots, name+"-information")
			p.Focused("#message")
			looksRight(p)

			p.Go(s.URL)
			p.Wait(`document.querySelectorAll(".message.shop .text").length === 2`)
			if p.Count(".message.user") != 2 || p.Count(".card") != len(names) {
				t.Error("loaded again, the page shows another conversation")
			}
			p.NoErrors()

			p.Offline(true)
			p.Wait(`!navigator.onLine`)
			p.Insert(tt.information)
			p.Press("Enter")
			p.Wait(`document.querySelector(".notice")`)
			p.Screenshot(screenshots, name+"-offline")
			looksRight(p)
			p.Offline(false)
			answered(p, 3)
			if got := p.Text(answer + " .text"); !regexp.MustCompile(tt.terms).MatchString(got) {
				t.Errorf("answer after the connection was lost: %q", got)
			}
		})
	}
}

func TestTheButtonsOfTheShopLeadToProducts(t *testing.T) {
	p := visit(t, browsertest.Device{Width: 1280, Height: 820})
	for _, button := range []string{"Cheveux", "Masques"} { // a category, then one of its own
		found := fmt.Sprintf(`[...document.querySelectorAll("%s .chip")].find((chip) => chip.textContent.includes(%q))`, answer, button)
		p.Wait(found)
		turn := p.Count(".message.user") + 1
		browsertest.Eval[any](p, found+".click()")
		answered(p, turn)
	}
	for _, id := range shown(p) {
		if !strings.HasPrefix(id, "masque-") {
			t.Errorf("%s is not a mask", id)
		}
	}
	if len(shown(p)) == 0 {
		t.Error("no mask")
	}
	p.Screenshot(screenshots, "fr-category")
	p.NoErrors()
}

func TestTheGuidedQuestionsOfTheShopEndWithProducts(t *testing.T) {
	p := visit(t, browsertest.Device{Width: 1280, Height: 820})
	p.Click("#find")
	for step := 1; ; step++ {
		p.Wait(fmt.Sprintf(`document.querySelector("%[1]s progress[value='%[2]d'], %[1]s .card")`, answer, step))
		if p.Count(answer+" .card") > 0 {
			break
		}
		if p.Screenshot(screenshots, fmt.Sprintf("fr-question-%d", step)); step > 10 {
			t.Fatal("the questions do not end")
		}
		p.Press("Enter") // the first answer has the focus
		if p.Count(answer+" .chip[aria-pressed]") > 0 {
			p.Click(answer + " .button:not(.plain)")
		}
	}
	if n := len(shown(p)); n < 1 || n > 4 {
		t.Errorf("%d products", n)
	}
	p.Focused("#message")
	p.FitsItsWidth()
	p.Screenshot(screenshots, "fr-recommendations")
	p.NoErrors()
}

func TestAComplaintIsAnswered(t *testing.T) {
	p := visit(t, browsertest.Device{Width: 820, Height: 900})
	if got := say(p, "Mon colis est arrivé abîmé, le flacon est cassé"); !strings.Contains(got, "photo") {
		t.Errorf("answer: %q", got)
	}
	p.Screenshot(screenshots, "fr-complaint")
	p.NoErrors()
}
