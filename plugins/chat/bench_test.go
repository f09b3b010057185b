package chat

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/model"
)

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

// BenchmarkCompletion is what an answer of a model takes here, through OpenAI's protocol on both sides: the model's is written already.
func BenchmarkCompletion(b *testing.B) {
	for _, stream := range []bool{false, true} {
		b.Run(fmt.Sprintf("stream=%v", stream), func(b *testing.B) {
			url := cannedModel(b, "Bien sûr ! Je vous aide avec plaisir à choisir.")
			bot := newBot(b, func(o *Options) {
				o.Model.Upstreams = map[string]model.Upstream{"canned": {URL: url + "/v1", Model: "m"}}
				o.Model.Rate.Requests = 0
			})
			body := fmt.Sprintf(`{"model": "m", "stream": %v, "messages": [{"role": "user", "content": %q}]}`, stream, open)
			b.ReportAllocs()
			for b.Loop() {
				answer, err := bot.handlers["chat.completions"](b.Context(), framework.NewRequest("POST", "/", []byte(body)))
				if err == nil && stream {
					_, err = framework.RecordStream(b.Context(), answer)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// cannedModel answers each request with the same stream, and returns its URL.
func cannedModel(b *testing.B, text string) string {
	b.Helper()
	var answer strings.Builder
	answer.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	event := func(format string, values ...any) {
		s := "data: " + fmt.Sprintf(format, values...) + "\n\n"
		fmt.Fprintf(&answer, "%x\r\n%s\r\n", len(s), s)
	}
	const chunk = `{"choices":[{"delta":%s,"finish_reason":%s,"index":0}],"created":1767225600,"id":"chatcmpl-1","model":"m","object":"chat.completion.chunk"}`
	event(chunk, `{"role":"assistant","content":""}`, "null")
	for word := range strings.SplitAfterSeq(text, " ") {
		event(chunk, fmt.Sprintf(`{"content":%q}`, word), "null")
	}
	event(chunk, "{}", `"stop"`)
	event(`{"choices":[],"usage":{"prompt_tokens":700,"completion_tokens":9,"total_tokens":709}}`)
	event("[DONE]")
	answer.WriteString("0\r\n\r\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				for {
					length := 0
					for line := " "; line != "\r\n"; {
						if line, err = in.ReadString('\n'); err != nil {
							return
						}
						_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
					}
					if _, err := in.Discard(length); err != nil {
						return
					}
					if _, err := conn.Write([]byte(answer.String())); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}
