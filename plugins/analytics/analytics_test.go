package analytics

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/telemetry"
)

// plugin is the plugin without a server.
type plugin struct {
	*analytics
	metrics *telemetry.Registry
}

func newPlugin(t testing.TB, change ...func(*Options)) plugin {
	t.Helper()
	o, ok := framework.Vocabulary(Plugin()).Plugins[0].Options.(Options)
	if !ok {
		t.Fatal("the plugin's options are of another type")
	}
	for _, f := range change {
		f(&o)
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	metrics := telemetry.NewRegistry()
	return plugin{newAnalytics(o, metrics, newLatest(o.MaxEvents)), metrics}
}

// post calls a handler, and returns the fields that are wrong.
func (p plugin) post(t testing.TB, handler, body string) (wrong []string, err error) {
	t.Helper()
	resp, err := p.handlers()[handler](t.Context(), framework.NewRequest("POST", "/", []byte(body)))
	if e, ok := errors.AsType[*framework.Error](err); ok {
		for _, d := range e.Details {
			wrong = append(wrong, d.Field)
		}
		if e.Status != 400 {
			t.Errorf("%s: status %d", body, e.Status)
		}
		return wrong, err
	}
	if err == nil && string(resp.Body) != `{"success":true}` {
		t.Errorf("%s: %s", body, resp.Body)
	}
	return nil, err
}

func (p plugin) metric(t *testing.T, line string) {
	t.Helper()
	_, all, err := p.metrics.WriteMetrics("text/plain")
	if err != nil || !slices.Contains(strings.Split(string(all), "\n"), line) {
		t.Errorf("%v: the metrics lack %s", err, line)
	}
}

func (p plugin) recentAnswer(t *testing.T) (v struct {
	Events   []event
	Feedback []rating
},
) {
	t.Helper()
	resp, err := p.recent(t.Context(), framework.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(resp.Body), "null") {
		t.Errorf("a list is null: %s", resp.Body)
	}
	if err := json.Unmarshal(resp.Body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRequests(t *testing.T) {
	for _, c := range []struct{ handler, body, wrong string }{
		{"analytics.track", `{"event":"message_sent","sessionId":"s"}`, ""},
		{"analytics.track", `{"event":"message_sent","sessionId":"s","data":{"a":[1,"<b>"]}}`, ""},
		{"analytics.track", `{"event":"message_sent","sessionId":"s","data":null}`, ""},
		{"analytics.track", `{"event":"anything.else:1-2","sessionId":"s"}`, ""},
		{"analytics.track", `{"sessionId":"s"}`, "event"},
		{"analytics.track", `{"event":"with blank","sessionId":"s"}`, "event"},
		{"analytics.track", `{"event":"` + strings.Repeat("a", 65) + `","sessionId":"s"}`, "event"},
		{"analytics.track", `{"event":7,"sessionId":"s"}`, "event"},
		{"analytics.track", `{"event":"a"}`, "sessionId"},
		{"analytics.track", `{"event":"a","sessionId":"é"}`, "sessionId"},
		{"analytics.track", `{"event":"a","sessionId":"s","data":[1]}`, "data"},
		{"analytics.track", `{"event":"a","sessionId":"s","data":"x"}`, "data"},
		{"analytics.track", "{\"event\":\"a\",\"sessionId\":\"s\",\"data\":{\"a\":\"\xff\"}}", "data"},
		{"analytics.track", `{"event":"a","sessionId":"s","data":{"a":"` + strings.Repeat("x", 4096) + `"}}`, "data"},
		{"analytics.feedback", `{"sessionId":"s","rating":5}`, ""},
		{"analytics.feedback", `{"sessionId":"s","rating":1.0,"comment":"très bien"}`, ""},
		{"analytics.feedback", `{"sessionId":"s"}`, "rating"},
		{"analytics.feedback", `{"sessionId":"s","rating":0}`, "rating"},
		{"analytics.feedback", `{"sessionId":"s","rating":6}`, "rating"},
		{"analytics.feedback", `{"sessionId":"s","rating":4.5}`, "rating"},
		{"analytics.feedback", `{"sessionId":"s","rating":1e300}`, "rating"},
		{"analytics.feedback", `{"sessionId":"s","rating":"5"}`, "rating"},
		{"analytics.feedback", `{"rating":5}`, "sessionId"},
		{"analytics.feedback", `{"sessionId":"s","rating":5,"comment":"` + strings.Repeat("é", 1001) + `"}`, "comment"},
	} {
		wrong, err := newPlugin(t).post(t, c.handler, c.body)
		if c.wrong == "" && err != nil || c.wrong != "" && !slices.Contains(wrong, c.wrong) {
			t.Errorf("%s %.70s: %v, want %q to be wrong", c.handler, c.body, err, c.wrong)
		}
	}
	if _, err := newPlugin(t).post(t, "analytics.track", `{`); err == nil {
		t.Error("half an object is taken")
	}
}

func TestEventsAreCountedByKnownNames(t *testing.T) {
	p := newPlugin(t, func(o *Options) { o.Events = []string{"message_sent", "error"} })
	for n := range 500 {
		if _, err := p.post(t, "analytics.track", fmt.Sprintf(`{"event":"flood%d","sessionId":"s"}`, n)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := p.post(t, "analytics.track", `{"event":"message_sent","sessionId":"s"}`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.post(t, "analytics.feedback", `{"sessionId":"s","rating":4}`); err != nil {
		t.Fatal(err)
	}
	p.metric(t, `analytics_events_total{event="message_sent"} 3`)
	p.metric(t, `analytics_events_total{event="_OTHER"} 500`)
	p.metric(t, `chat_feedback_total{rating="4"} 1`)
	_, all, err := p.metrics.WriteMetrics("text/plain")
	if err != nil || strings.Contains(string(all), "flood") {
		t.Errorf("%v: a client's name became a label", err)
	}
}

func TestTheLatestAreKept(t *testing.T) {
	p := newPlugin(t, func(o *Options) { o.MaxEvents = 3 })
	if v := p.recentAnswer(t); len(v.Events)+len(v.Feedback) != 0 {
		t.Errorf("at the start there are %v", v)
	}
	for n := range 5 {
		body := fmt.Sprintf(`{"event":"e%d","sessionId":"s","data":{"n": %d}}`, n, n)
		if _, err := p.post(t, "analytics.track", body); err != nil {
			t.Fatal(err)
		}
		v := p.recentAnswer(t)
		var names []string
		for _, e := range v.Events {
			names = append(names, e.Event)
		}
		want := []string{"e4", "e3", "e2", "e1", "e0"}[4-n:]
		if want = want[:min(3, len(want))]; !slices.Equal(names, want) {
			t.Errorf("after %d events there are %q, want %q", n+1, names, want)
		}
		if string(v.Events[0].Data) != fmt.Sprintf(`{"n":%d}`, n) || v.Events[0].Timestamp.IsZero() {
			t.Errorf("the latest is %v", v.Events[0])
		}
	}
	if _, err := p.post(t, "analytics.feedback", `{"sessionId":"s","rating":2,"comment":" bof "}`); err != nil {
		t.Fatal(err)
	}
	if got := p.recentAnswer(t).Feedback; len(got) != 1 || got[0].Rating != 2 || got[0].Comment != "bof" {
		t.Errorf("the ratings are %v", got)
	}
}

func TestConcurrentEvents(t *testing.T) {
	p := newPlugin(t, func(o *Options) { o.MaxEvents = 10 })
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			for range 100 {
				if _, err := p.post(t, "analytics.track", fmt.Sprintf(`{"event":"e","sessionId":"s%d"}`, n)); err != nil {
					t.Error(err)
				}
				if events, _ := p.latest.all(); len(events) > 10 {
					t.Errorf("%d events are kept", len(events))
				}
			}
		})
	}
	wait.Wait()
	p.metric(t, `analytics_events_total{event="_OTHER"} 800`)
}

func TestOptions(t *testing.T) {
	for _, names := range [][]string{{""}, {"with blank"}, {"ok", "é"}, make([]string, 101)} {
		if err := (Options{Events: names}).Validate(); err == nil {
			t.Errorf("%q are taken as names", names)
		}
	}
}

func isAnswer(err error) bool {
	_, ok := errors.AsType[*framework.Error](err)
	return ok
}

func FuzzTrack(f *testing.F) {
	for _, body := range []string{
		`{"event":"a","sessionId":"s","data":{}}`, `{"data":{"a":1}`, `{"data":"\ud800"}`, `{"rating":1e999}`,
	} {
		f.Add(body)
	}
	p := newPlugin(f)
	f.Fuzz(func(t *testing.T, body string) {
		for _, handler := range []string{"analytics.track", "analytics.feedback"} {
			if _, err := p.post(t, handler, body); err != nil && !isAnswer(err) {
				t.Errorf("%q: %v", body, err)
			}
		}
	})
}
