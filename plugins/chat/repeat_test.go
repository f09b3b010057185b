package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
)

// keyed is a message with an Idempotency-Key.
func keyed(key, session, message string) *framework.Request {
	body, err := json.Marshal(map[string]string{"message": message, "sessionId": session})
	if err != nil {
		panic(err)
	}
	return framework.NewRequest("POST", "/api/chat", body).WithHeader("Idempotency-Key", key)
}

// completionOf is a message to the façade with an Idempotency-Key.
func completionOf(key, message string) *framework.Request {
	body := fmt.Sprintf(`{"model":"innatural","messages":[{"role":"user","content":%q}]}`, message)
	return framework.NewRequest("POST", "/v1/chat/completions", []byte(body)).WithHeader("Idempotency-Key", key)
}

// text runs a handler and returns the text of its answer, of a stream the pieces together.
func (b *bot) text(ctx context.Context, handler string, req *framework.Request) (string, error) {
	resp, err := b.handlers[handler](ctx, req)
	if err != nil {
		return "", err
	}
	if resp.Stream == nil {
		var a struct {
			Response string
			Choices  []struct{ Message struct{ Content string } }
		}
		if err := json.Unmarshal(resp.Body, &a); err != nil {
			return "", err
		}
		for _, c := range a.Choices {
			a.Response += c.Message.Content
		}
		return a.Response, nil
	}
	recorded, err := framework.RecordStream(ctx, resp)
	if err != nil {
		return "", err
	}
	var pieces, last string
	for line := range bytes.Lines(recorded) {
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		var e struct {
			Content, FullMessage string
			Done                 bool
		}
		if err := json.Unmarshal(data, &e); err != nil {
			return "", err
		}
		pieces += e.Content
		if e.Done {
			last = e.FullMessage
		}
	}
	if pieces != last {
		return "", fmt.Errorf("the pieces are %q, the whole is %q", pieces, last)
	}
	return pieces, nil
}

func wantCode(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	if e, ok := errors.AsType[*framework.Error](err); !ok || e.Status != status || e.Code != code {
		t.Errorf("%s: %v, want %d %s", what, err, status, code)
	}
}

func TestRepeatedRequestIsAnsweredTheSame(t *testing.T) {
	for handler, request := range map[string]func(key, message string) *framework.Request{
		"chat":             func(key, message string) *framework.Request { return keyed(key, "s", message) },
		"chat.stream":      func(key, message string) *framework.Request { return keyed(key, "s", message) },
		"chat.completions": completionOf,
	} {
		t.Run(handler, func(t *testing.T) {
			b := newBot(t)
			first, err := b.text(t.Context(), handler, request("k1", "bonjour"))
			if err != nil || first == "" {
				t.Fatalf("%q, %v", first, err)
			}
			for range 3 {
				if again, err := b.text(t.Context(), handler, request("k1", "bonjour")); err != nil || again != first {
					t.Errorf("again: %q, %v; want %q", again, err, first)
				}
			}
			_, err = b.text(t.Context(), handler, request("k1", "un savon"))
			wantCode(t, "the key with another body", err, 422, "idempotency_key_reused")
			if other, err := b.text(t.Context(), handler, request("k2", "un savon")); err != nil || other == first {
				t.Errorf("another key: %q, %v", other, err)
			}
			for _, key := range []string{strings.Repeat("x", 256), "a b", "é"} {
				_, err = b.text(t.Context(), handler, request(key, "bonjour"))
				wantBad(t, "the key "+key, err, "Idempotency-Key")
			}
			if n := b.kept(t, "s").Count; handler != "chat.completions" && n != 2 {
				t.Errorf("%d turns are kept, want one for each key", n)
			}
			if n := b.answered(t); n != 2 {
				t.Errorf("%v messages are counted, want one for each key", n)
			}
		})
	}
}

// answered returns how many messages are counted as answered.
func (b *bot) answered(t testing.TB) (n float64) {
	t.Helper()
	_, text, err := b.metrics.WriteMetrics("text/plain")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "chat_messages_total{") {
			var v float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
				t.Fatal(err)
			}
			n += v
		}
	}
	return n
}

func TestKeysAreOfOneCustomerAndHandler(t *testing.T) {
	b := newBot(t)
	for _, c := range []struct{ handler, session, message string }{
		{"chat", "anna", "bonjour"}, {"chat", "bob", "un savon"}, {"chat.stream", "anna", "un shampooing"},
	} {
		if _, err := b.text(t.Context(), c.handler, keyed("same", c.session, c.message)); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, token := range []string{"Bearer one", "Bearer two"} {
		req := completionOf("same", "message of "+token).WithHeader("Authorization", token)
		if _, err := b.text(t.Context(), "chat.completions", req); err != nil {
			t.Errorf("%s: %v", token, err)
		}
	}
}

// wait waits until a condition holds, for ten seconds at most.
func wait(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not come about: %s", what)
		}
	}
}

func (b *bot) watchers() (n int) {
	b.flights.mu.Lock()
	defer b.flights.mu.Unlock()
	for _, f := range b.flights.byKey {
		n += f.watchers
	}
	return n
}

// Several send one request while its answer is held up; the first of them leaves.
func TestRepeatedRequestAttachesToTheAnswerUnderWay(t *testing.T) {
	for _, handler := range []string{"chat", "chat.stream"} {
		t.Run(handler, func(t *testing.T) {
			b := newBot(t)
			talk, err := b.talks.Begin(t.Context(), "s") // which holds up the answer
			if err != nil {
				t.Fatal(err)
			}
			leader, leave := context.WithCancelCause(t.Context())
			var all sync.WaitGroup
			all.Go(func() {
				if _, err := b.text(leader, handler, keyed("k", "s", "un savon")); !errors.Is(err, framework.ErrClientGone) {
					t.Errorf("who left: %v", err)
				}
			})
			wait(t, "the answer is under way", func() bool { return b.watchers() == 1 })
			texts := make([]string, 5)
			for i := range texts {
				all.Go(func() {
					var err error
					if texts[i], err = b.text(t.Context(), handler, keyed("k", "s", "un savon")); err != nil {
						t.Error(err)
					}
				})
			}
			wait(t, "all are attached", func() bool { return b.watchers() == 6 })
			_, err = b.text(t.Context(), handler, keyed("k", "s", "autre chose"))
			wantCode(t, "the key with another body", err, 422, "idempotency_key_reused")
			leave(framework.ErrClientGone)
			wait(t, "the first has left", func() bool { return b.watchers() == 5 })
			talk.End()
			all.Wait()
			b.flights.running.Wait()
			for _, text := range texts {
				if text == "" || text != texts[0] {
					t.Errorf("the answers are %q", texts)
				}
			}
			if n := b.kept(t, "s").Count; n != 1 || b.answered(t) != 1 {
				t.Errorf("%d turns are kept, %v messages counted", n, b.answered(t))
			}
		})
	}
}

func TestAnswerThatNobodyWaitsForEnds(t *testing.T) {
	b := newBot(t)
	talk, err := b.talks.Begin(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancelCause(t.Context())
	leave(framework.ErrClientGone)
	if _, err := b.text(ctx, "chat", keyed("k", "s", "un savon")); !errors.Is(err, framework.ErrClientGone) {
		t.Errorf("who left: %v", err)
	}
	b.flights.running.Wait() // it ends although the conversation is held up
	talk.End()
	if text, err := b.text(t.Context(), "chat", keyed("k", "s", "un savon")); err != nil || text == "" {
		t.Errorf("who comes back: %q, %v", text, err)
	}
	b.flights.running.Wait()
}

// Two instances with the same stores: one waits for the other's answer, and takes the place of one that failed.
func TestRepeatedRequestOnAnotherInstance(t *testing.T) {
	b, other := newBot(t), newBot(t)
	other.answers, other.talks = b.answers, b.talks
	talk, err := b.talks.Begin(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	texts := make([]string, 2)
	for i, b := range []*bot{b, other} {
		all.Go(func() {
			var err error
			if texts[i], err = b.text(t.Context(), "chat", keyed("k", "s", "un savon")); err != nil {
				t.Error(err)
			}
		})
		wait(t, "the answer is under way", func() bool { return b.watchers() == 1 })
	}
	talk.End()
	all.Wait()
	if texts[0] == "" || texts[0] != texts[1] || b.kept(t, "s").Count != 1 {
		t.Errorf("the answers are %q, %d turns are kept", texts, b.kept(t, "s").Count)
	}
	talk, err = b.talks.Begin(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.text(t.Context(), "chat", keyed("k2", "s", "bonjour"))
	wantCode(t, "a busy conversation", err, 409, "conversation_busy")
	talk.End()
	if text, err := other.text(t.Context(), "chat", keyed("k2", "s", "bonjour")); err != nil || text == "" {
		t.Errorf("after a failure: %q, %v", text, err)
	}
}

func TestPanicOfARepeatableAnswerIsAnError(t *testing.T) {
	b := newBot(t)
	b.responder = nil
	if _, err := b.text(t.Context(), "chat", keyed("k", "s", "un savon")); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("a panic: %v", err)
	}
	b.flights.running.Wait()
	if !strings.Contains(b.logs.String(), "Answering panicked") {
		t.Error("the panic is not logged")
	}
}
