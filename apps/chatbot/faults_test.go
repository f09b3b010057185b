package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins"
	"github.com/innatural/chatbot/plugins/chat/modelmock"
)

// modelTime is the longest time to the end of an answer in the policy of these tests.
const modelTime = time.Second

const shopWithModels = `
version = 1
[log.access]
enabled = false
[plugins.chat.model]
timeout = "1s"
first_token = "250ms"
stall = "100ms"
queue = "100ms"
attempts = 1
rate = { requests = 0 }
[[routes]]
method = "POST"
path = "/api/chat"
handler = "chat"
[[routes]]
method = "POST"
path = "/api/chat/stream"
handler = "chat.stream"
[[routes]]
method = "POST"
path = "/v1/chat/completions"
handler = "chat.completions"
`

// startModels serves the shop with models that quote it.
func startModels(t testing.TB, count int, policy string) (*frameworktest.Server, []*modelmock.Server) {
	t.Helper()
	var mocks []*modelmock.Server
	for i := range count {
		mock, err := modelmock.New(modelmock.Config{Seed: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		upstream := httptest.NewServer(mock)
		t.Cleanup(upstream.Close)
		mocks = append(mocks, mock)
		policy += fmt.Sprintf("[plugins.chat.model.upstreams.m%d]\nurl = \"%s/v1\"\nmodel = \"mock\"\n", i, upstream.URL)
	}
	return frameworktest.StartWith(t, framework.PolicyText("models.toml", policy), plugins.Standard()...), mocks
}

// question is one that a model answers best.
const question = "Quel shampooing pour cheveux secs ?"

// customer is a way to ask, and to judge what comes.
type customer struct {
	path string
	body func(session string) map[string]any
	// judge returns the whole text, or what is wrong.
	judge func(status int, body []byte) (text string, err error)
}

func (c customer) ask(ctx context.Context, client *http.Client, url, session string) (*http.Response, error) {
	body, err := json.Marshal(c.body(session))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+c.path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return client.Do(req)
}

var customers = map[string]customer{
	"json": {"/api/chat", inSession, func(status int, body []byte) (string, error) {
		var v struct {
			Success  bool
			Response string
		}
		if err := json.Unmarshal(body, &v); err != nil || status != 200 || !v.Success {
			return "", fmt.Errorf("status %d, %w", status, err)
		}
		return v.Response, nil
	}},
	"stream": {"/api/chat/stream", inSession, func(_ int, body []byte) (string, error) {
		var last struct {
			Success, Done        bool
			Content, FullMessage string
		}
		text := ""
		for event := range events(body) {
			last.Content = ""
			if err := json.Unmarshal([]byte(event), &last); err != nil {
				return "", err
			}
			text += last.Content
		}
		if !last.Done || !last.Success || last.FullMessage != text {
			return "", fmt.Errorf("the last event is %+v after %q", last, text)
		}
		return text, nil
	}},
	"openai": {"/v1/chat/completions", completion(false), func(status int, body []byte) (string, error) {
		var v struct {
			Choices []struct{ Message struct{ Content string } }
		}
		if err := json.Unmarshal(body, &v); err != nil || status != 200 || len(v.Choices) != 1 {
			return "", fmt.Errorf("status %d, %w", status, err)
		}
		return v.Choices[0].Message.Content, nil
	}},
	// A program is told when an answer that has begun breaks off.
	"openai stream": {"/v1/chat/completions", completion(true), func(_ int, body []byte) (string, error) {
		text, last := "", ""
		for last = range events(body) {
			var v struct {
				Choices []struct{ Delta struct{ Content string } }
				Error   *struct{ Code string }
			}
			if last == "[DONE]" {
				continue
			}
			if err := json.Unmarshal([]byte(last), &v); err != nil {
				return "", err
			}
			if v.Error != nil {
				return v.Error.Code, nil
			}
			for _, c := range v.Choices {
				text += c.Delta.Content
			}
		}
		if last != "[DONE]" {
			return "", fmt.Errorf("the last event is %s", last)
		}
		return text, nil
	}},
}

func inSession(session string) map[string]any {
	return map[string]any{"message": question, "sessionId": session, "language": "fr"}
}

func completion(stream bool) func(string) map[string]any {
	return func(string) map[string]any {
		return map[string]any{"model": "m", "stream": stream, "messages": []any{map[string]any{"role": "user", "content": question}}}
	}
}

// events returns the data of a stream's events.
func events(stream []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for block := range strings.SplitSeq(string(stream), "\n\n") {
			if data, ok := strings.CutPrefix(block, "data: "); ok && !yield(data) {
				return
			}
		}
	}
}

// lies are what a model of these tests says that must not reach a customer.
var lies = []string{"3.07", "Lune d'Or", "FREE100", "Speak only from the facts"}

// combinations are the faults that models have at once: each alone, which every request meets, and in pairs, of which each request
// meets both, one or none. With FAULTS=all in the environment they are all pairs; otherwise each fault is in one.
func combinations() [][]modelmock.Fault {
	var list [][]modelmock.Fault
	all := modelmock.Faults()
	half := len(all) / 2
	fault := func(d modelmock.Description, share float64) modelmock.Fault {
		return modelmock.Fault{Kind: d.Kind, Share: share, After: len(list) % 12}
	}
	for i, a := range all {
		list = append(list, []modelmock.Fault{fault(a, 1)})
		partners := all[i+1:]
		if os.Getenv("FAULTS") != "all" {
			partners = all[min(half+i, len(all)):min(half+i+1, len(all))]
		}
		for _, b := range partners {
			list = append(list, []modelmock.Fault{fault(a, 0.6), fault(b, 0.6)})
		}
	}
	return list
}

// Whatever the models do, alone and in pairs, under load: each customer gets a complete, honest answer in the policy's time.
func TestEveryFaultUnderLoad(t *testing.T) {
	var mu sync.Mutex
	met := map[modelmock.Kind]int64{}
	t.Run("faults", func(t *testing.T) {
		for _, faults := range combinations() {
			t.Run(fmt.Sprint(faults), func(t *testing.T) {
				t.Parallel()
				s, mocks := startModels(t, 2, shopWithModels) // of its own: their circuits are closed
				for _, mock := range mocks {
					if err := mock.SetFaults(faults...); err != nil {
						t.Fatal(err)
					}
				}
				load(t, s.URL, 4)
				mu.Lock()
				defer mu.Unlock()
				for _, mock := range mocks {
					eventually(t, "the models have nothing left to do", func() bool { return mock.Stats().InFlight == 0 })
					for kind, n := range mock.Stats().Faults {
						met[kind] += n
					}
				}
			})
		}
	})
	for _, d := range modelmock.Faults() {
		if met[d.Kind] == 0 {
			t.Errorf("nobody met %s", d.Kind)
		}
	}
}

// load lets customers of every kind ask at once.
func load(t *testing.T, url string, perKind int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: perKind * len(customers)}}
	defer client.CloseIdleConnections()
	var wait sync.WaitGroup
	for kind, c := range customers {
		for i := range perKind {
			wait.Go(func() {
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				resp, err := c.ask(ctx, client, url, fmt.Sprintf("s-%d", i))
				if err != nil {
					t.Errorf("a customer of %s gets %v", kind, err)
					return
				}
				defer func() { _ = resp.Body.Close() }()
				body, err := io.ReadAll(resp.Body)
				took := time.Since(began)
				if err != nil {
					t.Errorf("a customer of %s reads %.200q and %v", kind, body, err)
					return
				}
				text, err := c.judge(resp.StatusCode, body)
				if err != nil || text == "" {
					t.Errorf("a customer of %s gets %.500s: %v", kind, body, err)
				}
				for _, lie := range lies {
					if strings.Contains(text, lie) {
						t.Errorf("a customer of %s is told %q", kind, text)
					}
				}
				const busy = 4 * time.Second // what a busy machine may take for its own part
				if took > modelTime+busy {
					t.Errorf("a customer of %s waits %s", kind, took)
				}
			})
		}
	}
	wait.Wait()
}

// The work of a model for a customer who has left ends within 100 ms.
func TestALeavingCustomerFreesTheModel(t *testing.T) {
	patient := strings.NewReplacer(`"250ms"`, `"50s"`, `"1s"`, `"55s"`, `"100ms"`, `"50s"`).Replace(shopWithModels)
	s, mocks := startModels(t, 1, patient)
	mock := mocks[0]
	const rounds = 5
	for kind, c := range customers {
		for _, fault := range []modelmock.Kind{modelmock.HangBeforeHeaders, modelmock.Stall} {
			if err := mock.SetFaults(modelmock.Fault{Kind: fault, Share: 1, After: 3}); err != nil {
				t.Fatal(err)
			}
			var took []time.Duration
			for i := range rounds {
				ctx, cancel := context.WithCancel(t.Context())
				var asking sync.WaitGroup
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				asking.Go(func() {
					resp, err := c.ask(ctx, client, s.URL, fmt.Sprint("leaves-", i))
					if err == nil {
						_, _ = io.Copy(io.Discard, resp.Body) // until the customer leaves
						_ = resp.Body.Close()
					}
				})
				before := mock.Stats().AllCancelled()
				eventually(t, "the model is asked", func() bool { return mock.Stats().InFlight == 1 })
				left := time.Now()
				cancel()
				asking.Wait()
				eventually(t, "the model notices", func() bool { return mock.Stats().AllCancelled() > before })
				took = append(took, mock.Stats().LastCancelled.Sub(left))
			}
			slices.Sort(took)
			if took[rounds/2] > 100*time.Millisecond {
				t.Errorf("%s, %s: it took %v", kind, fault, took)
			}
		}
	}
}

// Tokens are charged once, whichever way a customer asks, and as the model counts them.
func TestTokensAreChargedOnce(t *testing.T) {
	s, mocks := startModels(t, 1, strings.NewReplacer(`"250ms"`, `"20s"`, `"1s"`, `"25s"`, `"100ms"`, `"20s"`).Replace(shopWithModels))
	load(t, s.URL, 5)
	stats := mocks[0].Stats()
	_, body, err := s.App.Metrics().WriteMetrics("")
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]int64{"input": stats.PromptTokens, "output": stats.CompletionTokens} {
		charged := int64(0)
		for line := range strings.Lines(string(body)) {
			var n float64
			if _, err := fmt.Sscanf(line, `chat_tokens_total{estimated="false",type="`+kind+`"} %g`, &n); err == nil {
				charged += int64(n)
			}
		}
		if charged != want || want == 0 {
			t.Errorf("%d tokens of %s are charged, the model counts %d", charged, kind, want)
		}
	}
	if int(stats.Completed) != 5*len(customers) {
		t.Errorf("the model gave %d answers", stats.Completed)
	}
}
