package modelmock_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins/chat/modelmock"
)

func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }

func serve(t *testing.T, c modelmock.Config) (*modelmock.Server, string) {
	t.Helper()
	mock, err := modelmock.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(mock)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return mock, server.URL
}

const prompt = `{"messages": [{"role": "system", "content": "You know:\n- Shampooing doux, 12.50 EUR\n- Savon, 4 EUR"},
	{"role": "user", "content": "Give me a discount"}], "stream": %, "stream_options": {"include_usage": true}}`

// ask sends a prompt, and returns the answer with what was read of its body and why no more was.
func ask(ctx context.Context, t *testing.T, url string, stream bool) (*http.Response, string, error) {
	t.Helper()
	body := strings.ReplaceAll(prompt, "%", map[bool]string{true: "true", false: "false"}[stream])
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return resp, string(data), err
}

// answer is a whole answer or the parts of a stream's chunks that matter.
type answer struct {
	ID      string
	Choices []struct {
		Message, Delta struct{ Content string }
		FinishReason   *string `json:"finish_reason"`
	}
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	}
	Error *struct{ Message string }
}

// join adds up the chunks of a stream. whole says whether it ended as it should.
func join(t *testing.T, stream string) (text string, usages int, whole bool) {
	t.Helper()
	finished := false
	for line := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		if line == "data: [DONE]" {
			return text, usages, finished
		}
		var chunk answer
		if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &chunk); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		for _, c := range chunk.Choices {
			text += c.Delta.Content
			finished = finished || c.FinishReason != nil
		}
		if chunk.Usage != nil {
			usages++
		}
	}
	return text, usages, false
}

func TestAnAnswerQuotesItsPrompt(t *testing.T) {
	const want = "Shampooing doux, 12.50 EUR"
	mock, url := serve(t, modelmock.Config{})
	resp, body, err := ask(t.Context(), t, url, false)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	var a answer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatal(err)
	}
	if got := a.Choices[0].Message.Content; got != want || a.Usage.CompletionTokens != 4 || a.Usage.PromptTokens == 0 {
		t.Errorf("the answer is %s", body)
	}
	_, body, err = ask(t.Context(), t, url, true)
	if text, usages, whole := join(t, body); err != nil || text != want || usages != 1 || !whole {
		t.Errorf("the stream is %s", body)
	}
	stats := mock.Stats()
	if stats.Requests != 2 || stats.Completed != 2 || stats.InFlight != 0 || stats.CompletionTokens != 8 || stats.AllCancelled() != 0 {
		t.Errorf("the server counts %+v", stats)
	}
}

func TestATextAndASize(t *testing.T) {
	_, url := serve(t, modelmock.Config{Text: "un deux", Profile: modelmock.Profile{Tokens: 5}})
	_, body, err := ask(t.Context(), t, url, true)
	if text, _, _ := join(t, body); err != nil || text != "un deux un deux un " {
		t.Errorf("the text is %q", text)
	}
}

// Each fault shows in a stream and in a whole answer as its client meets it.
func TestFaults(t *testing.T) {
	type met struct {
		status int
		body   string
		err    error
		late   bool // nothing came until the client left
	}
	content := func(t *testing.T, stream bool, m met) string {
		t.Helper()
		if stream {
			text, _, whole := join(t, m.body)
			if !whole {
				t.Errorf("the stream is not whole: %.300s", m.body)
			}
			return text
		}
		var a answer
		if err := json.Unmarshal([]byte(m.body), &a); err != nil || len(a.Choices) == 0 {
			t.Fatalf("%v in %.300s", err, m.body)
		}
		return a.Choices[0].Message.Content
	}
	broken := func(t *testing.T, body string) {
		t.Helper()
		if strings.Contains(body, "[DONE]") || json.Valid([]byte(body)) {
			t.Errorf("the answer is whole: %s", body)
		}
	}
	faults := map[modelmock.Kind]func(t *testing.T, stream bool, m met){
		modelmock.Refused: func(t *testing.T, _ bool, m met) {
			if m.err == nil || m.status != 0 || m.late {
				t.Errorf("the client gets %+v", m)
			}
		},
		modelmock.HangBeforeHeaders: func(t *testing.T, _ bool, m met) {
			if m.status != 0 || !m.late {
				t.Errorf("the client gets %+v", m)
			}
		},
		modelmock.HangBeforeFirstToken: func(t *testing.T, _ bool, m met) {
			if m.status != 200 || m.body != "" || !m.late {
				t.Errorf("the client gets %+v", m)
			}
		},
		modelmock.RateLimited:         func(t *testing.T, _ bool, m met) { wantStatus(t, m.status, 429) },
		modelmock.RateLimitedWithHint: func(t *testing.T, _ bool, m met) { wantStatus(t, m.status, 429) },
		modelmock.ServerError:         func(t *testing.T, _ bool, m met) { wantStatus(t, m.status, 500) },
		modelmock.WrongContentType: func(t *testing.T, _ bool, m met) {
			if wantStatus(t, m.status, 200); !strings.HasPrefix(m.body, "<!doctype html>") {
				t.Errorf("the body is %s", m.body)
			}
		},
		modelmock.ErrorAfterStatus: func(t *testing.T, _ bool, m met) {
			var a answer
			err := json.Unmarshal([]byte(strings.TrimPrefix(m.body, "data: ")), &a)
			if m.status != 200 || err != nil || a.Error == nil {
				t.Errorf("the client gets %+v", m)
			}
		},
		modelmock.ChoicesNull: func(t *testing.T, stream bool, m met) {
			if !strings.Contains(m.body, `"choices":null`) || stream && content(t, stream, m) == "" {
				t.Errorf("the body is %s", m.body)
			}
		},
		modelmock.HugeLine: func(t *testing.T, stream bool, m met) {
			if content(t, stream, m) == "" || len(m.body) < 8<<20 {
				t.Errorf("the body has %d bytes", len(m.body))
			}
		},
		modelmock.Stall: func(t *testing.T, _ bool, m met) {
			if broken(t, m.body); !m.late || !strings.Contains(m.body, "Shampooing") {
				t.Errorf("the client gets %+v", m)
			}
		},
		modelmock.Cut: func(t *testing.T, _ bool, m met) {
			if broken(t, m.body); m.late || !errors.Is(m.err, io.ErrUnexpectedEOF) {
				t.Errorf("the client gets %+v", m)
			}
		},
		modelmock.EndedEarly: func(t *testing.T, _ bool, m met) {
			if broken(t, m.body); m.err != nil {
				t.Errorf("the client gets %+v", m)
			}
		},
		modelmock.BrokenJSON: func(t *testing.T, stream bool, m met) {
			valid := 0
			for event := range strings.SplitSeq(m.body, "\n\n") {
				if json.Valid([]byte(strings.TrimPrefix(event, "data: "))) {
					valid++
				}
			}
			if m.err != nil || json.Valid([]byte(m.body)) || stream && (valid < 5 || !strings.Contains(m.body, "[DONE]")) {
				t.Errorf("the client gets %+v", m)
			}
		},
		modelmock.NoUsage: func(t *testing.T, stream bool, m met) {
			if content(t, stream, m) == "" || strings.Contains(m.body, "prompt_tokens") {
				t.Errorf("the body is %s", m.body)
			}
		},
		modelmock.UsageOnChoices: func(t *testing.T, stream bool, m met) {
			if content(t, stream, m); strings.Count(m.body, "prompt_tokens") != 1 || strings.Contains(m.body, `"choices":[]`) {
				t.Errorf("the body is %s", m.body)
			}
		},
		modelmock.Contradiction: func(t *testing.T, stream bool, m met) {
			if text := content(t, stream, m); strings.Contains(text, "12.50") || !strings.Contains(text, "Shampooing doux") {
				t.Errorf("the text is %s", text)
			}
		},
		modelmock.Injection: func(t *testing.T, stream bool, m met) {
			if text := content(t, stream, m); !strings.Contains(text, "Give me a discount") {
				t.Errorf("the text is %s", text)
			}
		},
		modelmock.Leak: func(t *testing.T, stream bool, m met) {
			if text := content(t, stream, m); !strings.Contains(text, "You know:") {
				t.Errorf("the text is %s", text)
			}
		},
		modelmock.Empty: func(t *testing.T, stream bool, m met) {
			if text := content(t, stream, m); text != "" {
				t.Errorf("the text is %s", text)
			}
		},
	}
	for _, d := range modelmock.Faults() {
		check, ok := faults[d.Kind]
		if !ok {
			t.Errorf("%s has no test", d.Kind)
			continue
		}
		for _, stream := range []bool{false, true} {
			t.Run(string(d.Kind)+map[bool]string{true: "/stream"}[stream], func(t *testing.T) {
				t.Parallel()
				mock, url := serve(t, modelmock.Config{Faults: []modelmock.Fault{{Kind: d.Kind, Share: 1, After: 1}}})
				patience := time.Minute
				switch d.Kind {
				case modelmock.HangBeforeHeaders, modelmock.HangBeforeFirstToken, modelmock.Stall:
					patience = 300 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				var m met
				resp, body, err := ask(ctx, t, url, stream)
				if m = (met{body: body, err: err, late: ctx.Err() != nil}); resp != nil {
					m.status = resp.StatusCode
					hint := resp.Header.Get("Retry-After")
					if (hint != "") != (d.Kind == modelmock.RateLimitedWithHint) {
						t.Errorf("Retry-After is %q", hint)
					}
				}
				check(t, stream, m)
				if got := mock.Stats().Faults[d.Kind]; got != 1 {
					t.Errorf("the server counts %d faults", got)
				}
			})
		}
	}
}

func wantStatus(t *testing.T, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("the status is %d, want %d", got, want)
	}
}

func TestTheServerSeesItsClientsLeave(t *testing.T) {
	mock, url := serve(t, modelmock.Config{Faults: []modelmock.Fault{{Kind: modelmock.Stall, Share: 1}}})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(`{"stream": true}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if got := mock.Stats().InFlight; got != 1 {
		t.Errorf("%d are in flight", got)
	}
	left := time.Now()
	cancel()
	for mock.Stats().InFlight > 0 && time.Since(left) < 10*time.Second {
		time.Sleep(time.Millisecond)
	}
	stats := mock.Stats()
	if stats.AllCancelled() != 1 || stats.InFlight != 0 || stats.LastCancelled.Before(left) {
		t.Errorf("the server counts %+v", stats)
	}
}

func TestFaultsChangeWhileItRuns(t *testing.T) {
	_, url := serve(t, modelmock.Config{})
	put := func(path, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(bytes.TrimSpace(data))
	}
	for _, step := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/faults", `[{"fault": "500", "share": 1}]`, 200, `"share":1`},
		{"/faults", `[{"fault": "5OO", "share": 1}]`, 400, "unknown fault"},
		{"/faults", `[{"fault": "500", "share": 2}]`, 400, "from 0 to 1"},
		{"/faults", `[{"fault": "cut", "share": 1, "after": -1}]`, 400, "at least 0"},
		{"/faults", `{`, 400, "set faults"},
		{"/profile", `"slow"`, 200, "slow"},
		{"/profile", `"sloth"`, 400, "unknown profile"},
	} {
		if status, body := put(step.path, step.body); status != step.status || !strings.Contains(body, step.want) {
			t.Errorf("PUT %s %s answers %d %s", step.path, step.body, status, body)
		}
	}
	if resp, _, err := ask(t.Context(), t, url, false); err != nil || resp.StatusCode != 500 {
		t.Errorf("the request gets %v, %v", resp, err)
	}
	if status, body := put("/faults", `[]`); status != 200 || body != "[]" {
		t.Errorf("no faults: %d %s", status, body)
	}
}

// Shares are drawn for each fault by itself, and the same seed draws the same.
func TestFaultsComeInShares(t *testing.T) {
	count := func(seed uint64) modelmock.Stats {
		mock, err := modelmock.New(modelmock.Config{Seed: seed, Faults: []modelmock.Fault{
			{Kind: modelmock.ServerError, Share: 0.5}, {Kind: modelmock.NoUsage, Share: 0.2},
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(`{}`))
			mock.ServeHTTP(httptest.NewRecorder(), req)
		}
		return mock.Stats()
	}
	first, again, other := count(1), count(1), count(2)
	for kind, around := range map[modelmock.Kind]int64{modelmock.ServerError: 500, modelmock.NoUsage: 200} {
		if n := first.Faults[kind]; n < around-60 || n > around+60 || n != again.Faults[kind] {
			t.Errorf("%s came %d times, and %d", kind, n, again.Faults[kind])
		}
	}
	if first.Faults[modelmock.ServerError] == other.Faults[modelmock.ServerError] &&
		first.Faults[modelmock.NoUsage] == other.Faults[modelmock.NoUsage] {
		t.Error("another seed draws the same")
	}
}

func TestAProfileTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock, err := modelmock.New(modelmock.Config{Text: "un deux trois", Profile: modelmock.Profile{
			FirstToken: modelmock.Latency{Median: time.Second}, PerToken: modelmock.Latency{Median: 100 * time.Millisecond},
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{`{}`, `{"stream": true}`} {
			began := time.Now()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
			mock.ServeHTTP(httptest.NewRecorder(), req)
			if took := time.Since(began); took != 1200*time.Millisecond {
				t.Errorf("%s takes %s", body, took)
			}
		}
	})
}

// flushed notes how much was written whenever something new is sent.
type flushed struct {
	*httptest.ResponseRecorder
	sizes []int
}

func (f *flushed) Flush() {
	if n := f.Body.Len(); n > 0 && (len(f.sizes) == 0 || n > f.sizes[len(f.sizes)-1]) {
		f.sizes = append(f.sizes, n)
	}
}

// Tokens go out together where nothing is between them, and one by one where there are pauses.
func TestTokensGoOutWithTheirPauses(t *testing.T) {
	for pause, want := range map[time.Duration]int{0: 1, time.Millisecond: 3} {
		synctest.Test(t, func(t *testing.T) {
			mock, err := modelmock.New(modelmock.Config{Text: "un deux trois", Profile: modelmock.Profile{
				FirstToken: modelmock.Latency{Median: time.Second}, PerToken: modelmock.Latency{Median: pause},
			}})
			if err != nil {
				t.Fatal(err)
			}
			w := &flushed{ResponseRecorder: httptest.NewRecorder()}
			mock.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"stream": true}`)))
			if len(w.sizes) != want {
				t.Errorf("with pauses of %s it is sent at %d bytes, want %d times", pause, w.sizes, want)
			}
		})
	}
}

func TestProfilesByName(t *testing.T) {
	for name := range modelmock.Profiles() {
		if _, err := modelmock.ProfileNamed(name); err != nil {
			t.Error(err)
		}
	}
}
