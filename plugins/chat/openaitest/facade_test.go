package openaitest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// The routes of the façade.
const (
	completions = `
[[routes]]
method = "POST"
path = "/v1/chat/completions"
handler = "chat.completions"
`
	models = `
[[routes]]
path = "/v1/models"
handler = "chat.models"
`
)

// each runs a test with both clients.
func each(t *testing.T, test func(t *testing.T, c client)) {
	t.Run("go", func(t *testing.T) { test(t, goClient{}) })
	t.Run("node", func(t *testing.T) { test(t, startNode(t)) })
}

const question = `{"model": "gpt-5", "messages": [{"role": "user", "content": "Quel shampooing pour cheveux secs ?"}],
	"temperature": 0.2, "top_p": 1, "user": "u", "metadata": {"a": "b"}, "something_new": {"x": [1]}`

func TestClients(t *testing.T) {
	url := serve(t, completions+models)
	each(t, func(t *testing.T, c client) {
		base := url + "/v1"
		t.Run("models", func(t *testing.T) {
			if o := c.do(t, call{Base: base, Key: "k", Action: "models"}); o.Error != nil || len(o.IDs) != 1 || o.IDs[0] != "innatural" {
				t.Errorf("the client sees %+v", o)
			}
		})
		whole := c.do(t, call{Base: base, Key: "k", Action: "create", Params: json.RawMessage(question + `}`)})
		for _, test := range []struct {
			name, action, more string
			usages             int
			finish             string
		}{
			{"answer", "create", "", 1, "stop"},
			{"stream", "stream", "", 0, "stop"},
			{"stream with usage", "stream", `, "stream_options": {"include_usage": true}`, 1, "stop"},
			{"short answer", "create", `, "max_completion_tokens": 5`, 1, "length"},
			{"short stream", "stream", `, "max_tokens": 5`, 0, "length"},
		} {
			t.Run(test.name, func(t *testing.T) {
				o := c.do(t, call{Base: base, Key: "k", Action: test.action, Params: json.RawMessage(question + test.more + `}`)})
				if o.Error != nil || len(o.IDs) != 1 || o.Finish != test.finish || len(o.Usages) != test.usages {
					t.Fatalf("the client sees %+v, %+v", o, o.Error)
				}
				if same := o.Text == whole.Text; same != (test.finish == "stop") || o.Text == "" {
					t.Errorf("the text is %q, at another time %q", o.Text, whole.Text)
				}
				for _, u := range o.Usages {
					if u.Prompt < 1 || u.Completion < 1 || u.Total != u.Prompt+u.Completion {
						t.Errorf("usage is %+v", u)
					}
				}
				if cards, _ := o.Extension["cards"].([]any); len(cards) == 0 || o.Extension["topic"] != "products" || o.Extension["degraded"] != false {
					t.Errorf("the extension is %v", o.Extension)
				}
			})
		}
	})
}

// Every error of the server is one that the clients understand, and they ask again only where that helps.
func TestErrors(t *testing.T) {
	shop := serve(t, completions+models+`
[[routes]]
method = "POST"
path = "/v1/hourly/chat/completions"
handler = "chat.completions"
limits = { requests = 1, window = "1h" }
[[routes]]
method = "POST"
path = "/v1/limited/chat/completions"
handler = "chat.completions"
limits = { requests = 1, window = "1s" }
[[routes]]
method = "POST"
path = "/v1/admin/chat/completions"
handler = "chat.completions"
audience = "admin"
[server]
body_limit = "16KiB"
admin_token = "secret"
`)
	user := func(content string) string {
		data, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		return `{"model": "m", "messages": [{"role": "user", "content": ` + string(data) + `}]}`
	}
	each(t, func(t *testing.T, c client) {
		for _, test := range []struct {
			name, action, base, params, path string
			status                           int
			kind, code, retry                string
			requests                         int // with two retries
		}{
			{"no messages", "create", "/v1", `{"model": "m", "messages": []}`, "", 400, "invalid_request_error", "invalid_request", "false", 1},
			{"two answers", "create", "/v1", question + `, "n": 2}`, "", 400, "invalid_request_error", "invalid_request", "false", 1},
			{"another type", "create", "/v1", `{"model": "m", "messages": "hello"}`, "", 400, "invalid_request_error", "invalid_request", "false", 1},
			{"too long", "stream", "/v1", user(strings.Repeat("a", 5001)), "", 400, "invalid_request_error", "message_too_long", "false", 1},
			{"too large", "create", "/v1", user(strings.Repeat("a", 20000)), "", 413, "invalid_request_error", "body_too_large", "false", 1},
			{"no such path", "get", "/v1", "", "engines", 404, "not_found_error", "not_found", "false", 1},
			{"another method", "get", "/v1", "", "chat/completions", 405, "invalid_request_error", "method_not_allowed", "false", 1},
			{"wrong token", "create", "/v1/admin", user("salut"), "", 403, "permission_error", "forbidden", "false", 1},
			{"rate", "stream", "/v1/hourly", user("salut"), "", 429, "rate_limit_error", "rate_limited", "true", 1},
		} {
			t.Run(test.name, func(t *testing.T) {
				between := count(t, shop)
				ask := call{Base: between.url + test.base, Key: "k", Retries: 2, Action: test.action, Path: test.path}
				if ask.Params = json.RawMessage(test.params); test.params == "" {
					ask.Params = nil
				}
				if test.code == "rate_limited" { // which would be asked again an hour later
					ask.Retries = 0
					c.do(t, call{Base: shop + test.base, Key: "k", Action: test.action, Params: ask.Params})
				}
				o := c.do(t, ask)
				if o.Error == nil {
					t.Fatalf("the client sees %+v", o)
				}
				got := *o.Error
				if got.Status != test.status || got.Type != test.kind || got.Code != test.code || got.Message == "" || got.Request == "" {
					t.Errorf("the client sees %+v", got)
				}
				if requests, retry := between.seen(); requests != test.requests || retry != test.retry {
					t.Errorf("%d requests, x-should-retry is %q", requests, retry)
				}
			})
		}
		t.Run("rate that passes", func(t *testing.T) {
			between := count(t, shop)
			const asked = 2 // of which one at least is refused, and repeated when its time has come
			for range asked {
				o := c.do(t, call{Base: between.url + "/v1/limited", Key: "k", Retries: 2, Action: "create", Params: json.RawMessage(user("salut"))})
				if o.Error != nil {
					t.Errorf("the client gives up: %+v", o.Error)
				}
			}
			if requests, _ := between.seen(); requests <= asked {
				t.Errorf("%d requests: nothing was refused", requests)
			}
		})
	})
}

// What the clients cannot send is answered in their form too.
func TestOtherErrors(t *testing.T) {
	url := serve(t, completions+`
[[routes]]
method = "POST"
path = "/v1/admin/chat/completions"
handler = "chat.completions"
audience = "admin"
[server]
admin_token = "secret"
`)
	for _, test := range []struct {
		path, body string
		status     int
		kind, code string
	}{
		{"/v1/chat/completions", "{", 400, "invalid_request_error", "invalid_json"},
		{"/v1/admin/chat/completions", "{}", 401, "authentication_error", "unauthorized"},
	} {
		req, err := http.NewRequestWithContext(bounded(t), http.MethodPost, url+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var v struct{ Error failure }
		err = json.NewDecoder(resp.Body).Decode(&v)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != test.status || v.Error.Type != test.kind || v.Error.Code != test.code ||
			resp.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s %s: %d %+v %v", test.path, test.body, resp.StatusCode, v.Error, err)
		}
	}
}

// withModel serves the façade before a model, whose address comes first. The policy has more lines for the model.
func withModel(t *testing.T, policy string) (model, url string) {
	t.Helper()
	model = start(t, "model-mock", "--text", "Bien sûr ! Je cherche avec vous. Un instant, je vous prie de patienter encore.")
	return model, serve(t, `
[plugins.chat.model]
first_token = "1s"
stall = "300ms"
attempts = 1
rate = { requests = 0 }
`+policy+`
[plugins.chat.model.upstreams.mock]
url = "`+model+`/v1"
model = "mock"
`+completions)
}

// give gives a model a fault, or none.
func give(t *testing.T, model, fault string) {
	t.Helper()
	faults := "[]"
	if fault != "" {
		faults = `[{"fault": "` + fault + `", "share": 1, "after": 12}]`
	}
	req, err := http.NewRequestWithContext(bounded(t), http.MethodPut, model+"/faults", strings.NewReader(faults))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Fatalf("the model takes no %s", fault)
	}
}

// While degraded answers are on, the clients get the shop's own answer in place of an error, and only an answer that breaks off
// once it has begun is an error: both clients would take its end for a whole answer.
func TestAModelThatFails(t *testing.T) {
	model, url := withModel(t, "")
	each(t, func(t *testing.T, c client) {
		for _, fault := range []string{"500", "hang-before-first-token", "cut", "stall", "ended-early"} {
			t.Run(fault, func(t *testing.T) {
				between := count(t, url)
				ask := call{Base: between.url + "/v1", Key: "k", Retries: 2, Action: "create", Params: json.RawMessage(question + `}`)}
				give(t, model, "")
				if o := c.do(t, ask); o.Error != nil || o.Extension["source"] != "model" {
					t.Errorf("a model that is well: the client sees %+v, %+v", o, o.Error)
				}
				give(t, model, fault)
				if o := c.do(t, ask); o.Error != nil || o.Extension["degraded"] != true || o.Text == "" {
					t.Errorf("an answer: the client sees %+v, %+v", o, o.Error)
				}
				ask.Action = "stream"
				o := c.do(t, ask)
				switch fault {
				case "cut", "stall", "ended-early":
					if o.Error == nil || o.Error.Code != "upstream_stream_interrupted" || o.Error.Message == "" || o.Finish != "" {
						t.Errorf("a stream that breaks off: the client sees %+v, %+v", o, o.Error)
					}
				default:
					if o.Error != nil || o.Extension["degraded"] != true || o.Finish != "stop" {
						t.Errorf("a stream: the client sees %+v, %+v", o, o.Error)
					}
				}
				if requests, _ := between.seen(); requests != 3 {
					t.Errorf("%d requests for three answers", requests)
				}
			})
		}
	})
}

// Without degraded answers each reason is an error, which the clients repeat only where that helps.
func TestAModelThatFailsIsAnError(t *testing.T) {
	model, url := withModel(t, "degraded = false")
	_, poor := withModel(t, "degraded = false\nbudget = { customer = 1 }")
	_, broke := withModel(t, "degraded = false\nbudget = { total = 1 }")
	for _, test := range []struct {
		fault, url string
		status     int
		kind, code string
		requests   int // with one retry
	}{
		{"", poor, 429, "insufficient_quota", "user_token_budget", 1},
		{"", broke, 429, "insufficient_quota", "global_budget", 1},
		{"500", url, 502, "upstream_error", "upstream_bad_response", 1},
		{"cut", url, 502, "upstream_error", "upstream_stream_interrupted", 1},
		{"hang-before-headers", url, 504, "timeout_error", "ttft_timeout", 1},
		{"", url, 503, "overloaded_error", "circuit_open", 2},
	} {
		t.Run(test.code, func(t *testing.T) {
			ask := call{Base: url + "/v1", Key: "k", Action: "create", Params: json.RawMessage(question + `}`)}
			if give(t, model, ""); test.url == url {
				goClient{}.do(t, ask) // ends what has failed in a row
			}
			if test.code == "circuit_open" {
				give(t, model, "500")
				for range 5 {
					goClient{}.do(t, ask)
				}
			}
			give(t, model, test.fault)
			each(t, func(t *testing.T, c client) {
				between := count(t, test.url)
				ask.Base, ask.Retries = between.url+"/v1", 1
				o := c.do(t, ask)
				if o.Error == nil || o.Error.Status != test.status || o.Error.Type != test.kind || o.Error.Code != test.code {
					t.Errorf("the client sees %+v, %+v", o, o.Error)
				}
				want := map[bool]string{true: "true", false: "false"}[test.requests > 1]
				if requests, retry := between.seen(); requests != test.requests || retry != want {
					t.Errorf("%d requests, x-should-retry is %q", requests, retry)
				}
			})
		})
	}
}
