package widget_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins/widget"
)

// shop answers as the HTTP contract says, and misbehaves when a message asks for it by its first word.
type shop struct {
	url     string
	more    chan struct{} // lets "slow" write its next piece
	stopped chan error    // why the context of a "hang" ended

	mu    sync.Mutex
	calls []called
}

// called is a request that the shop got.
type called struct {
	path string
	key  string // its Idempotency-Key
	body map[string]any
}

const shopPolicy = `
version = 1
[server]
drain = "1s"
[[routes]]
path = "/"
handler = "widget"
cache = { ttl = "1h" }
[[routes]]
path = "/widget.js"
handler = "widget.script"
cache = { ttl = "1h" }
[[routes]]
method = "POST"
path = "/api/chat/stream"
handler = "shop.stream"
[[routes]]
method = "POST"
path = "/api/*"
handler = "shop.post"
[[routes]]
path = "/api/*"
handler = "shop.get"
[[routes]]
path = "/images/*"
handler = "shop.image"
`

// openShop opens a shop whose page has options.
func openShop(t *testing.T, options string) *shop {
	t.Helper()
	s := &shop{more: make(chan struct{}), stopped: make(chan error, 1)}
	info := framework.Info{Name: "shop", Doc: "Stands in for the shop.", Handlers: []framework.HandlerInfo{
		{Name: "shop.stream", Doc: "Chats.", Stream: true},
		{Name: "shop.post", Doc: "Takes."},
		{Name: "shop.get", Doc: "Gives."},
		{Name: "shop.image", Doc: "Shows."},
	}}
	build := func(*framework.Host, framework.NoOptions) (framework.Handlers, error) {
		return framework.Handlers{"shop.stream": s.stream, "shop.post": s.post, "shop.get": s.get, "shop.image": image}, nil
	}
	policy := shopPolicy + "[plugins.widget]\n" + options + "\n"
	s.url = frameworktest.Start(t, policy, widget.Plugin(), framework.NewPlugin(info, framework.NoOptions{}, build)).URL
	return s
}

// sent returns the requests to a path, in order.
func (s *shop) sent(path string) []called {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c called) bool { return c.path != path })
}

// got returns the bodies of the requests to a path, in order.
func (s *shop) got(path string) []map[string]any {
	var bodies []map[string]any
	for _, c := range s.sent(path) {
		bodies = append(bodies, c.body)
	}
	return bodies
}

// left waits until the customer has left a stream that waits.
func (s *shop) left(t *testing.T) {
	t.Helper()
	if cause := <-s.stopped; !errors.Is(cause, framework.ErrClientGone) {
		t.Errorf("the stream ended with %v", cause)
	}
}

// note keeps a request and returns its body.
func (s *shop) note(req *framework.Request) (map[string]any, error) {
	var body map[string]any
	if err := req.DecodeJSON(&body); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, called{req.Path(), req.Header("Idempotency-Key"), body})
	return body, nil
}

var greetings = map[string]string{"fr": "Bonjour !", "en": "Hello!", "ar": "أهلًا بكم!"}

func (s *shop) get(_ context.Context, req *framework.Request) (*framework.Response, error) {
	language := req.Query("language")
	switch path := req.Path(); {
	case path == "/api/greeting":
		return framework.JSON(object{
			"success": true, "message": greetings[language], "sessionId": req.Query("sessionId"), "language": language,
			"showInitialChoice": true,
			"initialOptions":    []object{{"id": "products", "label": "Un produit", "icon": "🌿", "description": "Pour vous"}},
			"showCategories":    true, "categories": []object{{"id": "hair", "label": "Cheveux", "icon": "💇"}},
			"suggestions": []string{"Quel shampooing ?", hostile},
		})
	case strings.HasPrefix(path, "/api/qualification/recommendations/"):
		return framework.JSON(object{"success": true, "recommendations": object{
			"success": true, "count": 2, "recommendations": products[:2], "message": "Voici vos soins.",
		}})
	}
	return nil, framework.NotFound("no such thing")
}

func (s *shop) post(_ context.Context, req *framework.Request) (*framework.Response, error) {
	body, err := s.note(req)
	if err != nil {
		return nil, err
	}
	question := func(step int, kind string, least int) object {
		return object{
			"success": true, "currentStep": step, "totalSteps": 3, "question": "Question ?", "type": kind,
			"config":  object{"min": least, "max": 2},
			"options": []object{{"id": "a", "label": "Option A", "icon": "🌿"}, {"id": "b", "label": "Option B"}},
		}
	}
	switch req.Path() {
	case "/api/qualification/start":
		return framework.JSON(object{"success": true, "question": question(1, "single", 1)})
	case "/api/qualification/answer":
		switch body["step"] {
		case 1.0:
			if answer, _ := body["answer"].(object); answer["selected"] == "b" {
				return nil, framework.NotFound("there is no such session")
			}
			return framework.JSON(question(2, "multiple", 1))
		case 2.0:
			return framework.JSON(question(3, "multiple", 0))
		}
		return framework.JSON(object{"success": true, "completed": true, "message": "Merci !"})
	}
	return framework.JSON(object{"success": true, "message": "ok"})
}

func image(context.Context, *framework.Request) (*framework.Response, error) {
	const leaf = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4" fill="#8a6"/></svg>`
	return framework.Bytes("image/svg+xml", []byte(leaf)), nil
}

type object = map[string]any

// hostile would run, were it ever read as HTML.
const hostile = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`

var products = []object{
	{
		"id": "shampoo", "name": "Shampooing à l'argan", "price": 11.9, "currency": "EUR", "size": "250 ml",
		"image": "/images/a.svg", "url": "/produits/shampoo", "reason": "Pour cheveux secs",
	},
	{
		"id": "mask", "name": hostile, "price": 15, "currency": "EUR", "size": "200 ml",
		"image": "", "url": "javascript:window.hacked=1", "reason": hostile,
	},
	{"id": "odd", "name": "Sans devise", "price": 3, "currency": "?", "image": "/images/b.svg", "url": ""},
}

// stream answers a message. Its first word says how.
func (s *shop) stream(_ context.Context, req *framework.Request) (*framework.Response, error) {
	body, err := s.note(req)
	if err != nil {
		return nil, err
	}
	message, _ := body["message"].(string)
	language, _ := body["language"].(string)
	how, _, _ := strings.Cut(message, " ")
	attempts := len(slices.DeleteFunc(s.got("/api/chat/stream"), func(b map[string]any) bool { return b["message"] != message }))
	switch first := attempts == 1; {
	case how == "busy" && first:
		return nil, &framework.Error{Status: http.StatusConflict, Code: "conversation_busy", RetryAfter: 7 * time.Second}
	case how == "crowded" && first:
		return nil, &framework.Error{Status: http.StatusServiceUnavailable, Code: "overloaded", RetryAfter: time.Hour}
	case how == "gone" && first:
		return nil, &framework.Error{Status: http.StatusBadGateway, Code: "upstream_bad_response", Message: "internal words"}
	case how == "portal" && first:
		return framework.Bytes("text/html", []byte("<p>Please log in to this network</p>")), nil
	case how == "refuse":
		return nil, framework.BadRequest("internal words")
	}
	return framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
		piece := func(text string) error {
			return w.Event(object{"success": true, "content": text, "done": false, "language": language})
		}
		last := func(text string, more object) error {
			end := object{
				"success": true, "content": "", "done": true, "fullMessage": text, "language": language,
				"suggestions": []string{"Et ensuite ?"},
			}
			maps.Copy(end, more)
			return w.Event(end)
		}
		if err := w.Event(object{"type": "connected", "sessionId": body["sessionId"]}); err != nil {
			return err
		}
		switch how {
		case "fail": // once
			if attempts == 1 {
				return w.Event(object{"success": false, "done": true, "error": "x", "code": "internal", "message": "Pardon, réessayez."})
			}
		case "stopping": // once, as a server that is about to stop does
			if attempts == 1 {
				if err := piece("Le début "); err != nil {
					return err
				}
				return w.Event(object{"success": false, "done": true, "error": "x", "code": "stopping", "message": "x"})
			}
		case "flaky": // five times
			if attempts <= 5 {
				return nil
			}
		case "cut": // once, by a broken connection, after a piece
			if attempts == 1 {
				if err := piece("Le début "); err != nil {
					return err
				}
				<-s.more
				return context.Canceled
			}
		case "end": // once, in order but without the last event
			if attempts == 1 {
				return piece("Le début ")
			}
		case "hang":
			if err := piece("Le début "); err != nil {
				return err
			}
			<-ctx.Done()
			s.stopped <- context.Cause(ctx)
			return nil
		case "silent", "mute":
			if how == "mute" && attempts > 1 { // silent once
				break
			}
			<-ctx.Done()
			s.stopped <- context.Cause(ctx)
			return nil
		case "slow":
			for range 3 {
				if err := piece(strings.Repeat("Une ligne de plus.\n", 40)); err != nil {
					return err
				}
				select {
				case <-s.more:
				case <-ctx.Done():
					return nil
				}
			}
			return last("", nil)
		case "hostile":
			if err := piece(hostile); err != nil {
				return err
			}
			ticket := object{"id": hostile, "status": hostile}
			return last(hostile, object{"suggestions": []string{hostile}, "products": products, "ticket": ticket})
		case "products":
			if err := piece("Voici : "); err != nil {
				return err
			}
			if err := w.Event(object{"showProducts": true, "products": products, "language": language, "done": false}); err != nil {
				return err
			}
			return last("Voici : ", object{
				"products": products, "showSubcategories": true,
				"subcategories": []object{{"id": "shampoo", "label": "Shampooings", "icon": "🧼"}},
			})
		case "ticket":
			if err := piece("Votre demande est ouverte."); err != nil {
				return err
			}
			return last("Votre demande est ouverte.", object{"degraded": true, "ticket": object{"id": "SAV-42", "status": "open"}})
		case "numbers": // in Arabic, with what is written from the left
			const text = "اتصل بنا على +33 6 12 34 56 78 قبل 2026-11-24، طلبك CMD-2026-0042 بخصم -35% وسعره 11,90 €."
			language = "ar"
			if err := piece(text); err != nil {
				return err
			}
			return last(text, object{"degraded": true, "ticket": object{"id": "SAV-7K4M22", "status": "open"}})
		case "split": // comments, and events that come in parts, with every line ending that the standard knows
			event, err := json.Marshal(object{"success": true, "content": "Ça coule — بسلاسة", "done": false, "language": language})
			if err != nil {
				return err
			}
			raw := ": ping\r\n\r\ndata: " + string(event) + "\r\n\r\n" +
				": ping\rdata: {\"success\": true,\rdata: \"content\": \", en deux lignes.\"}\r\r"
			for i := range len(raw) { // a byte at a time cuts characters, too
				if _, err := w.Write([]byte(raw[i : i+1])); err != nil {
					return err
				}
			}
			if err := w.Comment("ping"); err != nil {
				return err
			}
			return last("Ça coule — بسلاسة, en deux lignes.", nil)
		}
		for _, text := range []string{"Vous avez dit : ", message} {
			if err := piece(text); err != nil {
				return err
			}
		}
		return last("Vous avez dit : "+message, nil)
	}), nil
}
