package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/plugins/internal/session"
)

// events decodes a stream, each event of which is one line.
func events(t *testing.T, data []byte) []map[string]any {
	t.Helper()
	var all []map[string]any
	for block := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n\n"), "\n\n") {
		line, ok := strings.CutPrefix(block, "data: ")
		if !ok || strings.Contains(line, "\n") {
			t.Fatalf("not one line of data: %q", block)
		}
		var v map[string]any
		if line != "[DONE]" {
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
		}
		all = append(all, v)
	}
	return all
}

func TestStreamIsWhole(t *testing.T) {
	b := newBot(t)
	for _, message := range []string{
		"Quel shampooing pour cheveux secs ?", "bonjour", "où est ma commande ?", "Cheveux", "euh", "ما هي طرق الدفع؟",
	} {
		resp, err := b.call(t, "chat.stream", "/api/chat/stream", map[string]string{"message": message, "sessionId": "s"})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		data, err := framework.RecordStream(t.Context(), resp)
		if err != nil {
			t.Fatal(err)
		}
		all := events(t, data)
		if first := all[0]; first["type"] != "connected" || first["sessionId"] != "s" || first["requestId"] != "test" {
			t.Errorf("%s: the first event is %v", message, first)
		}
		last := all[len(all)-1]
		var whole strings.Builder
		shown := false
		for _, e := range all[1 : len(all)-1] {
			if e["done"] != false || e["language"] != last["language"] {
				t.Errorf("%s: an event in between is %v", message, e)
			}
			if e["showProducts"] == true {
				shown = true
				continue
			}
			whole.WriteString(e["content"].(string))
		}
		if last["done"] != true || last["success"] != true || last["content"] != "" ||
			last["fullMessage"] != whole.String() || whole.Len() == 0 {
			t.Errorf("%s: the pieces are %q, the last event %v", message, whole.String(), last)
		}
		products, _ := last["products"].([]any)
		if shown != (len(products) > 0) {
			t.Errorf("%s: products are shown: %v, of %d", message, shown, len(products))
		}
		for _, field := range []string{"sessionId", "source", "degraded", "products", "suggestions", "usage", "finishReason"} {
			if last[field] == nil {
				t.Errorf("%s: the last event has no %s", message, field)
			}
		}
		if message == "Cheveux" && (last["showSubcategories"] != true || len(last["subcategories"].([]any)) == 0) {
			t.Errorf("no subcategories in %v", last)
		}
		if message == "euh" && (last["showCategories"] != true || len(last["categories"].([]any)) == 0) {
			t.Errorf("no categories in %v", last)
		}
	}
}

// A stream that is broken off says so: no client takes half an answer for a whole one.
func TestStreamIsBrokenOff(t *testing.T) {
	b := newBot(t)
	for _, c := range []struct {
		cause error
		code  string
	}{
		{framework.ErrStopping, "stopping"},
		{framework.ErrStreamMax, "timeout"},
		{framework.ErrStreamIdle, "timeout"},
		{fmt.Errorf("dial tcp 10.0.0.7:443: %w", errors.New("upstream says: secret")), "internal"},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(c.cause)
		resp, err := b.call(t, "chat.stream", "/", map[string]string{"message": "أين طلبي؟", "sessionId": "s", "language": "ar"})
		if err != nil {
			t.Fatal(err)
		}
		data, err := framework.RecordStream(ctx, resp)
		if !errors.Is(err, c.cause) {
			t.Errorf("the stream ended with %v, want %v", err, c.cause)
		}
		all := events(t, append(data, resp.StreamFailed(err)...))
		last := all[len(all)-1]
		if last["success"] != false || last["done"] != true || last["code"] != c.code || last["error"] == "" ||
			last["message"] != b.message("interrupted", "ar") {
			t.Errorf("%v: the last event is %v", c.cause, last)
		}
		if told := resp.StreamFailed(err); bytes.Contains(told, []byte("secret")) || bytes.Contains(told, []byte("10.0.0.7")) {
			t.Errorf("the client reads an internal error: %s", told)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(framework.ErrClientGone)
	resp, err := b.call(t, "chat.stream", "/", map[string]string{"message": "bonjour", "sessionId": "s"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := framework.RecordStream(ctx, resp); !errors.Is(err, framework.ErrClientGone) {
		t.Errorf("the stream of a client that left ended with %v", err)
	}
	_, metrics, err := b.metrics.WriteMetrics("text/plain")
	if err != nil || !strings.Contains(string(metrics), `chat_client_gone_total{phase="waiting"} 1`) {
		t.Errorf("%v: the client that left is not counted", err)
	}
}

func TestStreamKeepsTheTurnBeforeItsLastEvent(t *testing.T) {
	b := newBot(t)
	resp, err := b.call(t, "chat.stream", "/", map[string]string{"message": "un savon", "sessionId": "s", "language": "fr"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := framework.RecordStream(t.Context(), resp); err != nil {
		t.Fatal(err)
	}
	if c := b.kept(t, "s"); len(c.Turns) != 1 {
		t.Fatalf("%d turns are kept", len(c.Turns))
	}
	if products, _ := b.say(t, "s", "le moins cher ?")["products"].([]any); len(products) != 1 {
		t.Errorf("the list of the stream is forgotten: %v", products)
	}
}

func TestPieces(t *testing.T) {
	for _, s := range []string{
		"", "a", "a b c d e f g", " ", "  a  b ", "é è ê ë à", strings.Repeat("mot ", 100), "شامبو الأركان المغذي بسعر 11.90 يورو",
	} {
		all := pieces(s)
		if got := strings.Join(all, ""); got != s {
			t.Errorf("the pieces of %q are %q", s, got)
		}
		for _, p := range all {
			if n := strings.Count(strings.TrimSpace(p), " "); n >= wordsPerPiece+1 {
				t.Errorf("a piece is too long: %q", p)
			}
		}
	}
}

func TestSessionIDs(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "A-z_09": true, strings.Repeat("a", 100): true,
		strings.Repeat("a", 101): false, "": false, "a b": false, "é": false, "a\n": false,
	} {
		if session.ValidID(id) != want {
			t.Errorf("%q is valid: %v", id, !want)
		}
	}
}
