package chat

import "testing"

func BenchmarkModelTurn(b *testing.B) {
	bot, _ := newModelBot(b, honest, nil)
	for b.Loop() {
		if _, err := bot.answer(b.Context(), &turnRequest{Message: open, SessionID: "s", Language: "fr"}, whole); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEmbeddedTurn(b *testing.B) {
	bot := newBot(b)
	for b.Loop() {
		if _, err := bot.answer(b.Context(), &turnRequest{Message: open, SessionID: "s", Language: "fr"}, whole); err != nil {
			b.Fatal(err)
		}
	}
}
