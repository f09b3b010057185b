package plugins_test

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
	"github.com/innatural/chatbot/plugins"
	"github.com/innatural/chatbot/plugins/chat/modelmock"
)

// receiver takes traces as a collector of OpenTelemetry does, by OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	about map[string]string // the resource
	spans []*otlp.Span
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		unpacked, err := gzip.NewReader(req.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(unpacked)
		var sent collector.ExportTraceServiceRequest
		if err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			t.Errorf("%s %s is not OTLP: %v", req.Method, req.URL.Path, err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, of := range sent.GetResourceSpans() {
			r.about = map[string]string{}
			for _, a := range of.GetResource().GetAttributes() {
				r.about[a.GetKey()] = a.GetValue().GetStringValue()
			}
			for _, scope := range of.GetScopeSpans() {
				r.spans = append(r.spans, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

// tree writes the spans of a trace below a parent, indented by their depth.
func (r *receiver) tree(trace, parent, indent string) string {
	var b strings.Builder
	below := slices.DeleteFunc(slices.Clone(r.spans), func(s *otlp.Span) bool {
		return hex.EncodeToString(s.GetTraceId()) != trace || hex.EncodeToString(s.GetParentSpanId()) != parent
	})
	slices.SortFunc(below, func(a, b *otlp.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	for _, s := range below {
		kind := strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"))
		fmt.Fprintf(&b, "%s%s (%s)\n%s", indent, s.GetName(), kind, r.tree(trace, hex.EncodeToString(s.GetSpanId()), indent+"  "))
	}
	return b.String()
}

// await waits until the tree of a trace has a text: what is done behind an answer ends after it.
func (r *receiver) await(t *testing.T, trace, parent, text string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r.mu.Lock()
		tree := r.tree(trace, parent, "")
		r.mu.Unlock()
		if strings.Contains(tree, text) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("trace %s has no\n%sbut is\n%s", trace, text, tree)
		}
	}
}

// attribute returns an attribute of the only span of a trace that has it, as text.
func (r *receiver) attribute(t *testing.T, trace, name string) string {
	t.Helper()
	for _, s := range r.spans {
		for _, a := range s.GetAttributes() {
			if hex.EncodeToString(s.GetTraceId()) == trace && a.GetKey() == name {
				switch v := a.GetValue(); {
				case v.GetStringValue() != "":
					return v.GetStringValue()
				case v.GetArrayValue() != nil:
					return v.GetArrayValue().GetValues()[0].GetStringValue()
				default:
					return fmt.Sprint(v.GetIntValue())
				}
			}
		}
	}
	t.Errorf("no span of %s has %s", trace, name)
	return ""
}

const tracedPolicy = `
version = 1
[telemetry.traces]
endpoint = "%s"
service = "shop"
[log.access]
enabled = true
[cache.redis]
host = "127.0.0.1"
port = %d
[plugins.chat.model.upstreams.main]
url = "%s/v1"
model = "mock"
[plugins.proxy.upstreams.origin]
targets = ["%s"]
[[routes]]
path = "/api/products"
handler = "catalog.list"
cache = { ttl = "1h" }
[[routes]]
path = "/api/faq"
handler = "faq"
cache = { ttl = "1ms", stale_while_revalidate = "1h" }
[[routes]]
method = "POST"
path = "/api/chat"
handler = "chat"
[[routes]]
path = "/behind/*"
handler = "proxy"
[[routes]]
path = "/metrics"
handler = "metrics"
`

// TestTraces follows requests through the service, and beyond: into a collector, with cache, Redis, handler and model, each below what
// caused it.
func TestTraces(t *testing.T) {
	r, redis := newReceiver(t), redistest.Start(t)
	var mu sync.Mutex
	received := map[string]string{} // traceparent by path, at the servers behind this one
	note := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			received[req.URL.Path] = strings.Join(req.Header.Values("Traceparent"), " ")
			mu.Unlock()
			next.ServeHTTP(w, req)
		})
	}
	mock, err := modelmock.New(modelmock.Config{})
	if err != nil {
		t.Fatal(err)
	}
	model := httptest.NewServer(note(mock))
	t.Cleanup(model.Close)
	origin := httptest.NewServer(note(http.NotFoundHandler()))
	t.Cleanup(origin.Close)
	server := frameworktest.Start(t, fmt.Sprintf(tracedPolicy, r.URL, redis.Port, model.URL, origin.URL), plugins.Standard()...)

	trace := func(n int) string { return fmt.Sprintf("%032x", n) }
	const caller = "00f067aa0ba902b7"
	from := func(n int, flags string) []string {
		return []string{"traceparent", "00-" + trace(n) + "-" + caller + "-" + flags, "tracestate", "shop=1"}
	}
	const miss, hit, chat, behind, unsampled, stale = 1, 2, 3, 4, 5, 6
	server.Get(t, "/api/products", from(miss, "01")...)
	server.Get(t, "/api/products", from(hit, "01")...)
	message := `{"sessionId": "me", "message": "Quel shampooing pour cheveux secs ?"}`
	if a := server.Do(t, http.MethodPost, "/api/chat", message, append(from(chat, "01"), "Content-Type", "application/json")...); !strings.Contains(a.Body, `"source":"model"`) {
		t.Errorf("the model does not answer: %s", a.Body)
	}
	server.Get(t, "/behind/a", from(behind, "01")...)
	server.Get(t, "/behind/b", from(unsampled, "00")...)
	server.Get(t, "/api/products", from(unsampled, "00")...)
	server.Get(t, "/nowhere") // a trace of its own
	server.Get(t, "/api/faq?q=livraison")
	time.Sleep(10 * time.Millisecond) // past its ttl
	if a := server.Get(t, "/api/faq?q=livraison", from(stale, "01")...); a.Header.Get("X-Cache") != "STALE" {
		t.Errorf("a stale answer is %s", a.Header.Get("X-Cache"))
	}
	r.await(t, trace(stale), caller, "    faq (internal)\n    set (client)\n")
	r.await(t, trace(miss), caller, "    catalog.list (internal)\n    set (client)\n")
	exposed := server.Get(t, "/metrics", "Accept", "application/openmetrics-text;version=1.0.0").Body
	server.Stop() // sends what waits

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.about["service.name"] != "shop" || r.about["service.version"] != "test" {
		t.Errorf("the resource is %v", r.about)
	}
	redisSpans := regexp.MustCompile(`(?m)^( +)(?:[A-Z]+|[a-z]+(?: [a-z]+)?) \(client\)\n(?:^ +[A-Za-z ]+ \(client\)\n)*`)
	for n, want := range map[int]string{
		miss: "GET /api/products (server)\n  cache (internal)\n    REDIS\n    catalog.list (internal)\n    REDIS\n",
		hit:  "GET /api/products (server)\n  cache (internal)\n",
		chat: "POST /api/chat (server)\n  chat (internal)\n    chat mock (client)\n",
	} {
		got := r.tree(trace(n), caller, "")
		if n == miss {
			if !strings.Contains(got, "    get (client)\n") {
				t.Errorf("no span of Redis:\n%s", got)
			}
			got = redisSpans.ReplaceAllString(got, "${1}REDIS\n")
		}
		if got != want {
			t.Errorf("trace %d is\n%swant\n%s", n, got, want)
		}
	}
	if got := r.tree(trace(behind), caller, ""); got != "GET /behind/* (server)\n  proxy (internal)\n    GET (client)\n" {
		t.Errorf("through the proxy:\n%s", got)
	}
	if got := r.tree(trace(unsampled), caller, ""); got != "" {
		t.Errorf("what the caller does not trace is traced:\n%s", got)
	}
	if !slices.ContainsFunc(r.spans, func(s *otlp.Span) bool { return s.GetName() == "GET" && len(s.GetParentSpanId()) == 0 }) {
		t.Error("a request without a trace begins none")
	}
	for name, want := range map[string]string{
		"http.route": "/api/products", "http.request.method": "GET", "http.response.status_code": "200", "cache.result": "miss",
		"db.system.name": "redis", "url.path": "/api/products", "client.address": "127.0.0.1",
	} {
		if got := r.attribute(t, trace(miss), name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"gen_ai.operation.name": "chat", "gen_ai.request.model": "mock", "gen_ai.response.finish_reasons": "stop",
	} {
		if got := r.attribute(t, trace(chat), name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for path, want := range map[string]string{
		"/v1/chat/completions": "^00-" + trace(chat) + "-[0-9a-f]{16}-01$", "/behind/a": "^00-" + trace(behind) + "-[0-9a-f]{16}-01$",
		"/behind/b": "^00-" + trace(unsampled) + "-" + caller + "-00$",
	} {
		if got := received[path]; !regexp.MustCompile(want).MatchString(got) || strings.Contains(want, "16}") && strings.Contains(got, caller) {
			t.Errorf("%s was asked with traceparent %q, want %s", path, got, want)
		}
	}
	if want := `# {trace_id="` + trace(hit) + `"}`; !strings.Contains(exposed, want) {
		t.Errorf("no exemplar %s", want)
	}
	line := regexp.MustCompile(`msg=Request .*path=/api/chat .*trace_id=` + trace(chat) + ` span_id=[0-9a-f]{16}`)
	if !line.MatchString(server.Logs()) {
		t.Errorf("no line with trace and span id in\n%s", server.Logs())
	}
}
