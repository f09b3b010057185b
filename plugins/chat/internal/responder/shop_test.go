package responder

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/intent"
	"github.com/innatural/chatbot/plugins/internal/shop"
)

// today is when the tests take place.
var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// newTestResponder answers for the shop that the repository ships.
func newTestResponder(t testing.TB) *Responder {
	t.Helper()
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	catalogue, err := shop.LoadCatalogue("catalogue.json", read("../../../catalog/data/catalogue.json"))
	if err != nil {
		t.Fatal(err)
	}
	faq, err := shop.LoadFAQ("faq.json", read("../../../faq/data/faq.json"))
	if err != nil {
		t.Fatal(err)
	}
	var menu Menu
	if err := json.Unmarshal(read("../../data/greeting.json"), &menu); err != nil {
		t.Fatal(err)
	}
	r, err := New(catalogue, faq, menu, newTestClassifier(t), func() time.Time { return today })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newTestClassifier returns the one classifier of all tests.
func newTestClassifier(t testing.TB) *intent.Classifier {
	t.Helper()
	c, err := intent.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// talk is a conversation with a responder.
type talk struct {
	t      testing.TB
	r      *Responder
	turn   Turn
	answer Answer
}

func newTalk(t testing.TB, r *Responder, language string) *talk {
	return &talk{t: t, r: r, turn: Turn{Language: language, Session: "s"}}
}

// say sends a message and returns the answer.
func (c *talk) say(message string) Answer {
	c.turn.Message = message
	c.answer = c.r.Answer(c.turn)
	c.turn.Number++
	c.turn.Before = c.answer.Memory
	return c.answer
}
