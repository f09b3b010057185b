package chat

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/chat/internal/model"
)

func TestCompletion(t *testing.T) {
	b := newBot(t)
	got := b.ask(t, "chat.completions", "/v1/chat/completions", `{
		"model": "gpt-4o", "temperature": 0.2, "top_p": 1, "user": "u", "metadata": {}, "unknown": [1], "stop": null, "n": 1,
		"messages": [
			{"role": "system", "content": "Be brief."},
			{"role": "user", "content": [
				{"type": "text", "text": "Quel shampooing pour"}, {"type": "image_url"}, {"type": "text", "text": "cheveux secs ?"}]}
		]}`)
	if got["object"] != "chat.completion" || got["model"] != "innatural" || got["id"] != "chatcmpl-test" ||
		got["created"].(float64) <= 0 {
		t.Errorf("the head is %v", got)
	}
	choice, _ := got["choices"].([]any)[0].(map[string]any)
	message, _ := choice["message"].(map[string]any)
	if choice["finish_reason"] != "stop" || message["role"] != "assistant" || !strings.Contains(message["content"].(string), "€") {
		t.Errorf("the choice is %v", choice)
	}
	usage, _ := got["usage"].(map[string]any)
	if p, c := usage["prompt_tokens"].(float64), usage["completion_tokens"].(float64); p < 1 || c < 1 || usage["total_tokens"] != p+c {
		t.Errorf("usage is %v", usage)
	}
	shop, _ := got["innatural"].(map[string]any)
	if cards, _ := shop["cards"].([]any); len(cards) == 0 || shop["topic"] != "products" {
		t.Errorf("the extension is %v", shop)
	}
	if b.conversations.Len() != 0 {
		t.Error("a client that holds its conversation left one here")
	}
}

// The client holds the conversation: what the last message refers to is in the ones before.
func TestCompletionReadsTheConversation(t *testing.T) {
	b := newBot(t)
	got := b.ask(t, "chat.completions", "/", `{"messages": [
		{"role": "user", "content": "un savon pour peau sèche"}, {"role": "assistant", "content": "…"},
		{"role": "user", "content": "le moins cher ?"}]}`)
	shop, _ := got["innatural"].(map[string]any)
	if cards, _ := shop["cards"].([]any); len(cards) != 1 || shop["language"] != "fr" {
		t.Errorf("the cheapest of the list before: %v", shop)
	}
}

func TestCompletionIsShortened(t *testing.T) {
	b := newBot(t)
	for _, c := range []struct {
		extra, finish string
		fits          func(string) bool
	}{
		{`"max_tokens": 5`, "length", func(s string) bool { return model.Tokens(s) <= 5 && s != "" }},
		{`"max_completion_tokens": 7, "max_tokens": 5000`, "length", func(s string) bool { return model.Tokens(s) <= 7 }},
		{`"max_tokens": 5000`, "stop", func(s string) bool { return len(s) > 30 }},
		{`"stop": "à"`, "stop", func(s string) bool { return !strings.Contains(s, "à") }},
		{`"stop": ["zzz", "jours"]`, "stop", func(s string) bool { return !strings.Contains(s, "jours") }},
	} {
		got := b.ask(t, "chat.completions", "/",
			`{"messages": [{"role": "user", "content": "frais de livraison en France"}], `+c.extra+`}`)
		choice, _ := got["choices"].([]any)[0].(map[string]any)
		message, _ := choice["message"].(map[string]any)
		if s, _ := message["content"].(string); choice["finish_reason"] != c.finish || !c.fits(s) {
			t.Errorf("%s: %v: %q", c.extra, choice["finish_reason"], s)
		}
	}
}

func TestCompletionRefuses(t *testing.T) {
	b := newBot(t)
	user := `"messages": [{"role": "user", "content": "bonjour"}]`
	for _, c := range []struct{ body, code string }{
		{`{`, "invalid_json"},
		{``, "invalid_json"},
		{`{}`, "invalid_request"},
		{`{"messages": []}`, "invalid_request"},
		{`{"messages": [{"role": "user", "content": null}]}`, "invalid_request"},
		{`{"messages": [{"role": "assistant", "content": "a"}]}`, "invalid_request"},
		{`{"messages": [` + strings.Repeat(`{"role":"user","content":"a"},`, 500) + user[13:] + `}`, "invalid_request"},
		{`{` + user + `, "n": 2}`, "invalid_request"},
		{`{` + user + `, "max_tokens": 0}`, "invalid_request"},
		{`{` + user + `, "stop": ["a","b","c","d","e"]}`, "invalid_request"},
		{`{` + user + `, "stream": "yes"}`, "invalid_request"},
		{`{"messages": [{"role": "user", "content": "` + strings.Repeat("a", 5001) + `"}]}`, "message_too_long"},
	} {
		_, err := b.call(t, "chat.completions", "/", c.body)
		var e *framework.Error
		if !errors.As(err, &e) || e.Status != 400 || e.Code != c.code {
			t.Errorf("%.80s: %v, want 400 %s", c.body, err, c.code)
		}
	}
}

func TestCompletionStream(t *testing.T) {
	b := newBot(t)
	for _, withUsage := range []bool{false, true} {
		body := map[string]any{
			"stream": true, "stream_options": map[string]any{"include_usage": withUsage},
			"messages": []map[string]string{{"role": "user", "content": "Which shampoo for dry hair?"}},
		}
		resp, err := b.call(t, "chat.completions", "/", body)
		if err != nil {
			t.Fatal(err)
		}
		data, err := framework.RecordStream(t.Context(), resp)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(data), "data: [DONE]\n\n") || strings.Contains(string(data), "event:") {
			t.Errorf("the stream is %s", data)
		}
		all := events(t, data)
		all = all[:len(all)-1]
		usages, finishes, text := 0, 0, ""
		for i, chunk := range all {
			if chunk["object"] != "chat.completion.chunk" || chunk["id"] != "chatcmpl-test" || chunk["model"] != "innatural" {
				t.Errorf("the head of a chunk is %v", chunk)
			}
			if chunk["usage"] != nil {
				usages++
			}
			choices, _ := chunk["choices"].([]any)
			if len(choices) == 0 {
				if chunk["usage"] == nil || i != len(all)-1 {
					t.Errorf("chunk %d has neither choices nor usage: %v", i, chunk)
				}
				continue
			}
			choice, _ := choices[0].(map[string]any)
			delta, _ := choice["delta"].(map[string]any)
			if (delta["role"] == "assistant") != (i == 0) {
				t.Errorf("chunk %d has the role %v", i, delta["role"])
			}
			if choice["finish_reason"] != nil {
				finishes++
			}
			s, _ := delta["content"].(string)
			text += s
		}
		if finishes != 1 || (usages == 1) != withUsage || usages > 1 || !strings.Contains(text, "€") {
			t.Errorf("%d reasons to finish, %d usages, text %q", finishes, usages, text)
		}
	}
}

func TestCompletionStreamIsBrokenOff(t *testing.T) {
	b := newBot(t)
	resp, err := b.call(t, "chat.completions", "/", `{"stream": true, "messages": [{"role": "user", "content": "bonjour"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(framework.ErrStopping)
	data, err := framework.RecordStream(ctx, resp)
	if !errors.Is(err, framework.ErrStopping) {
		t.Errorf("the stream ended with %v", err)
	}
	all := events(t, append(data, resp.StreamFailed(err)...))
	e, _ := all[len(all)-1]["error"].(map[string]any)
	if e["type"] != "server_error" || e["code"] != "upstream_stream_interrupted" || e["message"] == "" {
		t.Errorf("the last event is %v", all[len(all)-1])
	}
	if strings.Contains(string(data), "[DONE]") {
		t.Error("a broken stream says that it is done")
	}
}

func TestModels(t *testing.T) {
	got := newBot(t).ask(t, "chat.models", "/v1/models", nil)
	list, _ := got["data"].([]any)
	if got["object"] != "list" || len(list) != 1 {
		t.Fatalf("models are %v", got)
	}
	if m, _ := list[0].(map[string]any); m["id"] != "innatural" || m["object"] != "model" {
		t.Errorf("the model is %v", m)
	}
}

func FuzzCompletion(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":"bonjour"}],"stop":["o"],"max_tokens":1}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"stream":true,"stop":""}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":7}]}`))
	b := newBot(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, err := b.handlers["chat.completions"](t.Context(), framework.NewRequest("POST", "/", body))
		var e *framework.Error
		switch {
		case err != nil:
			if !errors.As(err, &e) || e.Status != 400 {
				t.Errorf("%q: %v", body, err)
			}
		case resp.Stream != nil:
			data, err := framework.RecordStream(t.Context(), resp)
			if err != nil || !strings.HasSuffix(string(data), "data: [DONE]\n\n") {
				t.Errorf("%q: %v: %s", body, err, data)
			}
		case !json.Valid(resp.Body):
			t.Errorf("%q: %s", body, resp.Body)
		}
	})
}
