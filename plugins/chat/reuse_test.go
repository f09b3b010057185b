package chat

import (
	"testing"

	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/plugins/chat/internal/model"
)

// general is a question to which nothing matters but itself.
const (
	general       = "Quels moyens de paiement acceptez-vous ?"
	generalAnswer = "Vous pouvez payer par carte bancaire."
)

func (b *bot) source(t testing.TB, session, language, message string) any {
	t.Helper()
	return b.ask(t, "chat", "/", map[string]any{"message": message, "sessionId": session, "language": language})["source"]
}

func TestAnswerIsReusedForWhoAsksTheSame(t *testing.T) {
	b, mock := newModelBot(t, generalAnswer, nil)
	if got := b.source(t, "a", "fr", general); got != "model" {
		t.Fatalf("the first answer is of %v", got)
	}
	asked := mock.Stats().Requests
	for _, message := range []string{general, "acceptez-vous quels moyens de PAIEMENT"} {
		got := b.ask(t, "chat", "/", map[string]any{"message": message, "sessionId": "b", "language": "fr"})
		if got["source"] != "cache" || got["response"] != generalAnswer || got["degraded"] != false || got["finishReason"] != "stop" {
			t.Errorf("%s: %v", message, got)
		}
	}
	if n := mock.Stats().Requests; n != asked {
		t.Errorf("the model was asked %d times more", n-asked)
	}
	if turns := b.kept(t, "b").Turns; len(turns) != 2 || turns[0].Source != "cache" || turns[0].Answer != generalAnswer {
		t.Errorf("the conversation keeps %+v", turns)
	}
	events, text, err := b.streamed(t, general)
	if last := events[len(events)-1]; err != nil || text != generalAnswer || last["source"] != "cache" {
		t.Errorf("the stream says %q, %v", text, err)
	}
}

func TestAnswerIsNotReused(t *testing.T) {
	for name, c := range map[string]struct {
		first, then string
		language    string
		change      func(*Options)
		before      string // said by the first customer before
	}{
		"another question of the intent": {first: general, then: "Acceptez-vous les chèques comme moyen de paiement ?"},
		"a negation":                     {first: general, then: "Quels moyens de paiement n'acceptez-vous pas ?"},
		"who tells a name":               {first: general + " Je suis Zéphyrine", then: general},
		"another language":               {first: general, then: general, language: "en"},
		"needs products":                 {first: open, then: open},
		"switched off":                   {first: general, then: general, change: func(o *Options) { o.Model.Reuse = 0 }},
		"after another conversation":     {before: "je m'appelle Zéphyrine, un savon ?", first: general, then: general},
	} {
		t.Run(name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*Options) {}
			}
			b, _ := newModelBot(t, generalAnswer, nil, change, func(o *Options) { o.Model.OnContradiction = model.Flag })
			if c.before != "" {
				b.say(t, "a", c.before)
			}
			b.source(t, "a", "fr", c.first)
			language := c.language
			if language == "" {
				language = "fr"
			}
			if got := b.source(t, "b", language, c.then); got == "cache" {
				t.Errorf("%q is answered with the answer to %q", c.then, c.first)
			}
		})
	}
}

// What catalogue and FAQ do not bear out is for nobody else.
func TestFlaggedAnswerIsNotReused(t *testing.T) {
	b, _ := newModelBot(t, "Vous pouvez payer par carte. La livraison coûte 99,99 € partout.", nil,
		func(o *Options) { o.Model.OnContradiction = model.Flag })
	for _, session := range []string{"a", "b"} {
		if got := b.source(t, session, "fr", general); got != "model" {
			t.Errorf("the answer for %s is of %v", session, got)
		}
	}
}

func TestReusedAnswerEnds(t *testing.T) {
	b, _ := newModelBot(t, generalAnswer, nil, func(o *Options) { o.Model.Reuse = policy.Duration(1) }) // a nanosecond
	b.source(t, "a", "fr", general)
	if got := b.source(t, "b", "fr", general); got != "model" {
		t.Errorf("after its time the answer is of %v", got)
	}
}
