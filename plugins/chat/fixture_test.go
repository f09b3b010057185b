package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/chat/internal/conversation"
	"github.com/innatural/chatbot/plugins/chat/internal/intent"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
	"github.com/innatural/chatbot/plugins/internal/session"
	"github.com/innatural/chatbot/plugins/internal/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bot is the plugin without a server.
type bot struct {
	*chat
	handlers      framework.Handlers
	metrics       *telemetry.Registry
	conversations *store.Memory
	logs          *bytes.Buffer
}

// kept returns what is kept of a conversation.
func (b *bot) kept(t testing.TB, session string) conversation.Conversation {
	t.Helper()
	c, err := b.talks.Read(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func defaults(t testing.TB) Options {
	t.Helper()
	o, ok := framework.Vocabulary(Plugin()).Plugins[0].Options.(Options)
	if !ok {
		t.Fatal("the plugin's options are of another type")
	}
	return o
}

// newBot answers for the shop that the repository ships.
func newBot(t testing.TB, change ...func(*Options)) *bot {
	t.Helper()
	o := defaults(t)
	for _, f := range change {
		f(&o)
	}
	catalogue, err := loadCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	faq, err := loadFAQ()
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := intent.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	b := &bot{
		metrics: telemetry.NewRegistry(), logs: &bytes.Buffer{},
		conversations: store.NewMemory(store.Limits{TTL: o.TTL.D(), MaxBytes: int64(o.MaxBytes)}),
	}
	s := stores{
		conversations: b.conversations,
		tickets:       store.NewMemory(store.Limits{TTL: o.TicketTTL.D(), MaxBytes: int64(o.TicketBytes)}),
		answers:       store.NewMemory(store.Limits{TTL: answersTTL, MaxBytes: answersBytes}),
		active:        session.NewStore(activeBytes, o.TTL.D(), func(struct{}) int { return 0 }),
	}
	m, err := newModels(o.Model, b.metrics)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	layers, err := cache.NewMemory(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = layers.Close(context.Background()) })
	log := slog.New(slog.NewTextHandler(b.logs, nil))
	if b.chat, err = newChat(o, catalogue, faq, classifier, s, m, layers.Cache("chat"), log, b.metrics); err != nil {
		t.Fatal(err)
	}
	if err := b.metrics.Err(); err != nil {
		t.Fatal(err)
	}
	b.watch = &watch{kind: o.Store, tickets: s.tickets, log: log, run: func(f func(context.Context)) { f(context.Background()) }}
	b.handlers = b.chat.handlers()
	return b
}

// The shop is loaded once: it takes a while under the race detector.
var (
	loadCatalogue = sync.OnceValues(func() (*shop.Catalogue, error) {
		data, err := os.ReadFile("../catalog/data/catalogue.json")
		if err != nil {
			return nil, err
		}
		return shop.LoadCatalogue("catalogue.json", data)
	})
	loadFAQ = sync.OnceValues(func() (*shop.FAQ, error) {
		data, err := os.ReadFile("../faq/data/faq.json")
		if err != nil {
			return nil, err
		}
		return shop.LoadFAQ("faq.json", data)
	})
)

// call runs a handler with a JSON body.
func (b *bot) call(t testing.TB, handler, target string, body any) (*framework.Response, error) {
	t.Helper()
	var data []byte
	method := "GET"
	switch v := body.(type) {
	case nil:
	case string:
		method, data = "POST", []byte(v)
	default:
		method = "POST"
		var err error
		if data, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	return b.handlers[handler](t.Context(), framework.NewRequest(method, target, data))
}

// ask runs a handler that has to answer, and decodes the answer.
func (b *bot) ask(t testing.TB, handler, target string, body any) map[string]any {
	t.Helper()
	resp, err := b.call(t, handler, target, body)
	if err != nil {
		t.Fatalf("%s %s: %v", handler, target, err)
	}
	if got := resp.Header.Get("Cache-Control"); handler != "chat.models" && got != "no-store" {
		t.Errorf("%s: Cache-Control is %q, want no-store", handler, got)
	}
	var v map[string]any
	if err := json.Unmarshal(resp.Body, &v); err != nil {
		t.Fatalf("%s: %v in %s", handler, err, resp.Body)
	}
	return v
}

// say sends a message and returns the answer.
func (b *bot) say(t testing.TB, session, message string) map[string]any {
	t.Helper()
	return b.ask(t, "chat", "/api/chat", map[string]any{"message": message, "sessionId": session})
}
