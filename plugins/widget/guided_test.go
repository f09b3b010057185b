package widget_test

import (
	"fmt"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest/browsertest"
)

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
