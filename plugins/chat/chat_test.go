package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

func TestAnswerHasTheShapeOfTheContract(t *testing.T) {
	b := newBot(t)
	got := b.ask(t, "chat", "/api/chat", map[string]any{
		"message": "  Quel shampooing pour cheveux secs ?  ", "sessionId": "s-1", "language": "fr",
		"userProfile": map[string]any{
			"language": "fr", "hairType": "dry", "concerns": []string{"dryness", "?"}, "name": "Léa", "email": "l@x.fr",
		},
	})
	for field, want := range map[string]any{
		"success": true, "language": "fr", "sessionId": "s-1", "source": "embedded", "degraded": false, "topic": "products",
		"finishReason": "stop", "requestId": "test", "message": got["response"],
	} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	intent, _ := got["intent"].(map[string]any)
	if intent["name"] == "" || intent["confidence"].(float64) <= 0 || intent["confidence"].(float64) > 1 {
		t.Errorf("intent is %v", intent)
	}
	usage, _ := got["usage"].(map[string]any)
	if usage["inputTokens"].(float64) < 1 || usage["outputTokens"].(float64) < 1 || usage["estimated"] != true {
		t.Errorf("usage is %v", usage)
	}
	if at, err := time.Parse(time.RFC3339, got["timestamp"].(string)); err != nil || at.Location() != time.UTC {
		t.Errorf("timestamp is %v: %v", got["timestamp"], err)
	}
	cards, _ := got["products"].([]any)
	if len(cards) == 0 || len(cards) > 4 {
		t.Fatalf("%d products", len(cards))
	}
	for _, c := range cards {
		card, _ := c.(map[string]any)
		for _, field := range []string{"id", "name", "currency", "size", "image", "url", "reason"} {
			if s, _ := card[field].(string); s == "" {
				t.Errorf("a card has no %s: %v", field, card)
			}
		}
		if price, _ := card["price"].(float64); price <= 0 {
			t.Errorf("a card has no price: %v", card)
		}
	}
	for _, message := range []string{"bonjour", "au revoir", "météo ?", "euh", "où est ma commande ?"} {
		resp, err := b.call(t, "chat", "/api/chat", map[string]string{"message": message, "sessionId": "s"})
		if err != nil || strings.Contains(string(resp.Body), "null") {
			t.Errorf("%s: %v: a list is null in %s", message, err, resp.Body)
		}
	}
}

func TestWrongRequests(t *testing.T) {
	b := newBot(t)
	long := strings.Repeat("é", 5001)
	for _, c := range []struct{ handler, body, field string }{
		{"chat", ``, ""},
		{"chat", `{`, ""},
		{"chat", `[]`, ""},
		{"chat", `"message"`, ""},
		{"chat", `null`, "message"},
		{"chat", `{}`, "message"},
		{"chat", `{"message":"a","sessionId":"s"} {}`, ""},
		{"chat", `{"message":7,"sessionId":"s"}`, "message"},
		{"chat", `{"message":" \n\t ","sessionId":"s"}`, "message"},
		{"chat", `{"message":"` + long + `","sessionId":"s"}`, "message"},
		{"chat", "{\"message\":\"\xff\",\"sessionId\":\"s\"}", ""},
		{"chat", `{"message":"a"}`, "sessionId"},
		{"chat", `{"message":"a","sessionId":""}`, "sessionId"},
		{"chat", `{"message":"a","sessionId":"a b"}`, "sessionId"},
		{"chat", `{"message":"a","sessionId":"é"}`, "sessionId"},
		{"chat", `{"message":"a","sessionId":"a\n"}`, "sessionId"},
		{"chat", `{"message":"a","sessionId":"` + strings.Repeat("a", 101) + `"}`, "sessionId"},
		{"chat", `{"message":"a","sessionId":9}`, "sessionId"},
		{"chat", `{"message":"a","sessionId":"s","language":"de"}`, "language"},
		{"chat", `{"message":"a","sessionId":"s","language":"FR"}`, "language"},
		{"chat", `{"message":"a","sessionId":"s","userProfile":[]}`, "userProfile"},
		{"chat", `{"message":"a","sessionId":"s","userProfile":{"language":"x"}}`, "userProfile.language"},
		{"chat", `{"message":"a","sessionId":"s","userProfile":{"hairType":"blue"}}`, "userProfile.hairType"},
		{"chat", `{"message":"a","sessionId":"s","userProfile":{"concerns":"dryness"}}`, "userProfile.concerns"},
		{
			"chat", `{"message":"a","sessionId":"s","userProfile":{"concerns":["` + strings.Repeat("a", 101) + `"]}}`,
			"userProfile.concerns[0]",
		},
		{
			"chat", `{"message":"a","sessionId":"s","userProfile":{"concerns":[` + strings.Repeat(`"a",`, 20) + `"a"]}}`,
			"userProfile.concerns",
		},
		{"chat", `{"message":"a","sessionId":"s","userProfile":{"name":"` + strings.Repeat("a", 101) + `"}}`, "userProfile.name"},
		{"chat", `{"message":"a","sessionId":"s","userProfile":{"email":"not an address"}}`, "userProfile.email"},
		{"chat.clear", `{}`, "sessionId"},
		{"chat.clear", `{"sessionId":"a/b"}`, "sessionId"},
		{"chat.recommendations", `{"hairType":"blue"}`, "hairType"},
		{"chat.recommendations", `{"concerns":{}}`, "concerns"},
		{"chat.recommendations", `{"language":"de"}`, "language"},
		{"chat.recommendations", `{"sessionId":"a b"}`, "sessionId"},
	} {
		handlers := []string{c.handler}
		if c.handler == "chat" {
			handlers = append(handlers, "chat.stream") // refused before it begins
		}
		for _, handler := range handlers {
			_, err := b.call(t, handler, "/", c.body)
			wantBad(t, fmt.Sprintf("%s %.60s", handler, c.body), err, c.field)
		}
	}
	for _, query := range []string{"language=de", "sessionId=a%20b"} {
		field, _, _ := strings.Cut(query, "=")
		_, err := b.call(t, "chat.greeting", "/api/greeting?"+query, nil)
		wantBad(t, query, err, field)
	}
	if n := b.conversations.Len(); n != 0 {
		t.Errorf("wrong requests left %d conversations", n)
	}
}

// wantBad wants a 400 that names a field, if there is one.
func wantBad(t *testing.T, what string, err error, field string) {
	t.Helper()
	var e *framework.Error
	if !errors.As(err, &e) || e.Status != http.StatusBadRequest {
		t.Errorf("%s: %v, want 400", what, err)
		return
	}
	if field != "" && !slices.ContainsFunc(e.Details, func(d framework.Detail) bool { return d.Field == field }) {
		t.Errorf("%s: details %v do not name %s", what, e.Details, field)
	}
}

func TestTheLongestMessageIsCountedInCharacters(t *testing.T) {
	b := newBot(t)
	for _, message := range []string{strings.Repeat("é", 5000), strings.Repeat("<", 5000), strings.Repeat("ش", 5000)} {
		b.say(t, "s", message)
	}
}

func TestLanguage(t *testing.T) {
	b := newBot(t)
	language := func(session, language, message string) any {
		return b.ask(t, "chat", "/", map[string]any{"message": message, "sessionId": session, "language": language})["language"]
	}
	for _, c := range []struct{ session, asked, message, want string }{
		{"new1", "", "Which shampoo for dry hair?", "en"},
		{"new2", "", "أريد شامبو", "ar"},
		{"new3", "", "12345", "fr"},
		{"new4", "en", "Quel shampooing pour cheveux secs ?", "en"},
		{"kept", "ar", "bonjour", "ar"},
		{"kept", "", "Which shampoo for dry hair?", "ar"}, // the session's comes before what is detected
		{"kept", "fr", "ok", "fr"},
		{"kept", "", "ok", "fr"},
		{"turn", "", "je cherche un savon", "fr"},
		{"turn", "", "ok", "fr"},
		{"turn", "", "do you have a shampoo for dry hair", "en"}, // nobody asked for French: follow the customer
	} {
		if got := language(c.session, c.asked, c.message); got != c.want {
			t.Errorf("%s: %q asked for in %q is answered in %v, want %s", c.session, c.message, c.asked, got, c.want)
		}
	}
	got := b.ask(t, "chat", "/", map[string]any{"message": "ok", "sessionId": "p", "userProfile": map[string]any{"language": "ar"}})
	if got["language"] != "ar" {
		t.Errorf("the profile's language is not taken: %v", got["language"])
	}
}

func TestSessionKeepsProfileAndDialogue(t *testing.T) {
	b := newBot(t)
	b.ask(t, "chat", "/", map[string]any{
		"message": "bonjour", "sessionId": "s", "language": "fr",
		"userProfile": map[string]any{"hairType": "curly", "name": "Léa"},
	})
	shown, _ := b.say(t, "s", "un shampooing")["products"].([]any)
	if first, _ := shown[0].(map[string]any); !strings.Contains(first["reason"].(string), "bouclés") {
		t.Errorf("the profile is forgotten: %v", first)
	}
	if cheapest, _ := b.say(t, "s", "le moins cher ?")["products"].([]any); len(cheapest) != 1 {
		t.Errorf("the list is forgotten: %v", cheapest)
	}
	if got := b.ask(t, "chat.clear", "/", map[string]string{"sessionId": "s"}); got["success"] != true || got["message"] == "" {
		t.Errorf("clear: %v", got)
	}
	if b.conversations.Len() != 0 {
		t.Error("the conversation is still there")
	}
	got := b.ask(t, "chat.clear", "/", map[string]string{"sessionId": "never", "language": "en"})
	if !strings.Contains(got["message"].(string), "cleared") {
		t.Errorf("clear of what is not there: %v", got)
	}
}

func TestConversationsAreBounded(t *testing.T) {
	b := newBot(t, func(o *Options) { o.MaxBytes = 1 << 20; o.MaxTurns = 3 })
	for n := range 5 {
		b.say(t, "s", fmt.Sprintf("bonjour %d", n))
	}
	c := b.kept(t, "s")
	if len(c.Turns) != 3 || c.Count != 5 || c.Turns[2].Message != "bonjour 4" {
		t.Errorf("%d turns of %d are kept, the last is %q", len(c.Turns), c.Count, c.Turns[len(c.Turns)-1].Message)
	}
	long := strings.Repeat("é", 5000)
	for n := range 300 {
		b.say(t, fmt.Sprintf("s%d", n), long)
		if held := b.conversations.Bytes(); held > 1<<20 {
			t.Fatalf("%d bytes are held, more than a MiB", held)
		}
	}
	if n := b.conversations.Len(); n < 50 || n > 104 {
		t.Errorf("%d conversations of about 10 KB are held in a MiB", n)
	}
}

func TestConversationsEndAfterTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, func(o *Options) { o.TTL = policy.Duration(time.Hour) })
		b.say(t, "s", "un savon")
		time.Sleep(59 * time.Minute)
		b.say(t, "s", "le moins cher ?")
		time.Sleep(59 * time.Minute)
		if b.kept(t, "s").Count != 2 {
			t.Error("a conversation that goes on was forgotten")
		}
		time.Sleep(61 * time.Minute)
		if b.conversations.Len() != 0 {
			t.Error("a conversation outlives its time")
		}
	})
}

// Messages of one session at a time: every turn is kept whole, and no other session sees it.
func TestOneSessionAtATime(t *testing.T) {
	b := newBot(t, func(o *Options) { o.MaxTurns = 200 })
	var wait sync.WaitGroup
	for n := range 50 {
		wait.Go(func() { b.say(t, "one", fmt.Sprintf("message %d sur un savon", n)) })
		wait.Go(func() { b.say(t, fmt.Sprintf("other%d", n), "bonjour") })
	}
	wait.Wait()
	c := b.kept(t, "one")
	seen := map[string]bool{}
	for _, turn := range c.Turns {
		seen[turn.Message] = turn.Answer != ""
	}
	if len(seen) != 50 || c.Count != 50 {
		t.Errorf("%d of 50 turns are kept, %d counted", len(seen), c.Count)
	}
	for n := range 50 {
		if c := b.kept(t, fmt.Sprintf("other%d", n)); len(c.Turns) != 1 || c.Turns[0].Message != "bonjour" {
			t.Errorf("session other%d holds %v", n, c.Turns)
		}
	}
}

func TestGreeting(t *testing.T) {
	b := newBot(t)
	got := b.ask(t, "chat.greeting", "/api/greeting?language=ar&sessionId=abc", nil)
	for field, want := range map[string]any{
		"success": true, "sessionId": "abc", "language": "ar", "showInitialChoice": true, "showCategories": true,
	} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	for _, field := range []string{"suggestions", "initialOptions", "categories"} {
		if list, _ := got[field].([]any); len(list) == 0 {
			t.Errorf("%s is %v", field, got[field])
		}
	}
	option, _ := got["initialOptions"].([]any)[0].(map[string]any)
	for _, field := range []string{"id", "label", "icon", "description"} {
		if s, _ := option[field].(string); s == "" {
			t.Errorf("an option has no %s: %v", field, option)
		}
	}
	if !strings.Contains(got["message"].(string), "INnatural") {
		t.Errorf("message is %v", got["message"])
	}
	one, two := b.ask(t, "chat.greeting", "/api/greeting", nil), b.ask(t, "chat.greeting", "/api/greeting", nil)
	if one["sessionId"] == two["sessionId"] || one["language"] != "fr" {
		t.Errorf("two visitors get the session %v in %v", one["sessionId"], one["language"])
	}
	b.ask(t, "chat", "/", map[string]any{"message": "hi", "sessionId": "known", "language": "en"})
	if got := b.ask(t, "chat.greeting", "/api/greeting?sessionId=known", nil); got["language"] != "en" {
		t.Errorf("a known visitor is greeted in %v", got["language"])
	}
}

func TestRecommendations(t *testing.T) {
	b := newBot(t)
	for _, body := range []string{
		`{}`, `{"hairType":"dry","concerns":["dryness"],"language":"fr","sessionId":"s"}`,
		`{"hairType":"curly","concerns":["frizz","unheard of","<b>"],"language":"en"}`,
		`{"concerns":["تساقط الشعر"]}`, `{"concerns":null,"hairType":""}`, `{"concerns":["chute de cheveux"],"sessionId":"s"}`,
	} {
		got := b.ask(t, "chat.recommendations", "/api/recommendations", body)
		products, _ := got["products"].([]any)
		if got["success"] != true || got["message"] == "" || len(products) == 0 || got["language"] == "" {
			t.Errorf("%s: %v", body, got)
		}
		if _, ok := got["sessionId"].(string); !ok {
			t.Errorf("%s: no sessionId", body)
		}
	}
	got := b.ask(t, "chat.recommendations", "/", `{"concerns":["hair_loss"],"language":"en"}`)
	first, _ := got["products"].([]any)[0].(map[string]any)
	if !strings.Contains(first["reason"].(string), "hair loss") {
		t.Errorf("for hair loss the first is %v", first)
	}
}

func TestMetricsCountMessages(t *testing.T) {
	b := newBot(t)
	b.say(t, "a", "bonjour")
	b.say(t, "a", "quel shampooing pour cheveux secs ?")
	_, body, err := b.metrics.WriteMetrics("text/plain")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`chat_messages_total{language="fr",topic="smalltalk"} 1`, `chat_messages_total{language="fr",topic="products"} 1`,
		`chat_sessions_active 1`, `chat_duration_seconds_count{source="embedded"} 2`,
		`chat_tokens_total{estimated="true",type="input"}`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(string(body), "shampooing") {
		t.Error("the metrics hold what a customer said")
	}
}

// A message that the check lets through is answered, and one that it refuses is refused with 400.
func FuzzChat(f *testing.F) {
	for _, body := range []string{
		`{"message":"bonjour","sessionId":"s"}`, `{"message":"a","sessionId":"s","language":"ar","userProfile":{"concerns":["x"]}}`,
		`{"message":"\ud800","sessionId":"s"}`, `{"message":1e999}`, `[]`, `{"userProfile":{"email":"@"}}`, "\xff",
		`{"message":"` + strings.Repeat("<", 300) + `"}`,
	} {
		f.Add([]byte(body))
	}
	b := newBot(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, err := b.handlers["chat"](t.Context(), framework.NewRequest("POST", "/api/chat", body))
		var e *framework.Error
		switch {
		case err != nil && (!errors.As(err, &e) || e.Status != http.StatusBadRequest):
			t.Errorf("%q: %v", body, err)
		case err == nil && (!json.Valid(resp.Body) || !utf8.Valid(resp.Body)):
			t.Errorf("%q: %s", body, resp.Body)
		}
	})
}

func BenchmarkChat(b *testing.B) {
	bot := newBot(b)
	body := []byte(`{"message":"Quel shampooing pour cheveux secs ?","sessionId":"s","language":"fr"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bot.handlers["chat"](b.Context(), framework.NewRequest("POST", "/api/chat", body)); err != nil {
			b.Fatal(err)
		}
	}
}
