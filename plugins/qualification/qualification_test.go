package qualification

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/internal/shop"
	"github.com/innatural/chatbot/plugins/internal/text"
)

// plugin is the plugin without a server.
type plugin struct {
	*qualification
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
	data, err := os.ReadFile("../catalog/data/catalogue.json")
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := shop.LoadCatalogue("catalogue.json", data)
	if err != nil {
		t.Fatal(err)
	}
	metrics := telemetry.NewRegistry()
	q, err := newQualification(catalogue, newSessions(o), metrics)
	if err != nil {
		t.Fatal(err)
	}
	return plugin{q, metrics}
}

// answer is any answer of the plugin.
type answer struct {
	question
	Completed       bool
	Message         string
	Recommendations struct {
		Success, Completed bool
		Count              int
		Recommendations    []shop.Card
		Qualification      map[string][]chosen
		Message            string
	}
	Stats struct {
		TotalSessions, Completed, InProgress int
		ByCategory                           map[string]int
	}
	err   *framework.Error
	wrong []string // fields
}

func (p plugin) call(t testing.TB, handler string, req *framework.Request) (a answer) {
	t.Helper()
	resp, err := p.handlers()[handler](t.Context(), req)
	if errors.As(err, &a.err) {
		for _, d := range a.err.Details {
			a.wrong = append(a.wrong, d.Field)
		}
		return a
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control is %q", handler, got)
	}
	body := resp.Body
	if handler == "qualification.start" { // the question is nested
		var v struct {
			Success  bool
			Question json.RawMessage
		}
		if err := json.Unmarshal(body, &v); err != nil || !v.Success {
			t.Errorf("%s: %v: %s", handler, err, body)
		}
		body = v.Question
	}
	if handler == "qualification.answer" || handler == "qualification.start" {
		var v struct {
			question
			Completed bool
			Message   string
		}
		if err := json.Unmarshal(body, &v); err != nil || !v.Success {
			t.Errorf("%s: %v: %s", handler, err, resp.Body)
		}
		a.question, a.Completed, a.Message = v.question, v.Completed, v.Message
		return a
	}
	if err := json.Unmarshal(body, &a); err != nil || !a.Success {
		t.Errorf("%s: %v: %s", handler, err, resp.Body)
	}
	return a
}

func (p plugin) begin(t testing.TB, session, language string) answer {
	t.Helper()
	return p.call(t, "qualification.start", framework.NewRequest("POST", "/",
		fmt.Appendf(nil, `{"sessionId":%q,"language":%q}`, session, language)))
}

// reply answers a step, whose reference and selection are written as JSON.
func (p plugin) reply(t testing.TB, session, step, selected string) answer {
	t.Helper()
	return p.call(t, "qualification.answer", framework.NewRequest("POST", "/",
		fmt.Appendf(nil, `{"sessionId":%q,"step":%s,"answer":{"selected":%s}}`, session, step, selected)))
}

func (p plugin) recommended(t testing.TB, session, query string) answer {
	t.Helper()
	req := framework.NewRequest("GET", "/api/qualification/recommendations/"+session+query, nil).WithParam("sessionId", session)
	return p.call(t, "qualification.recommendations", req)
}

func TestWholePath(t *testing.T) {
	p := newPlugin(t)
	a := p.begin(t, "s", "fr")
	if a.CurrentStep != 1 || a.TotalSteps != 4 || a.Step != "area" || a.Type != "single" || len(a.Options) != 2 || a.Config.Max != 1 {
		t.Fatalf("the first question is %+v", a.question)
	}
	if a.Options[0].Label != "Mes cheveux" || a.Options[0].Icon == "" || a.Question == "" {
		t.Errorf("the first question is %+v", a.question)
	}
	for n, selected := range []string{`"hair"`, `["curly"]`, `"frizz"`} {
		a = p.reply(t, "s", fmt.Sprint(n+1), selected)
		if a.CurrentStep != n+2 || a.TotalSteps != 4 || a.Completed || a.err != nil {
			t.Fatalf("after %s: %+v %v", selected, a.question, a.err)
		}
	}
	if a.Type != "multiple" || a.Config.Min != 0 || a.Config.Max != len(a.Options) {
		t.Errorf("the last question is %+v", a.question)
	}
	if a = p.reply(t, "s", "4", `["silicone_free","vegan","vegan"]`); !a.Completed || a.Message == "" {
		t.Fatalf("at the end: %+v %v", a, a.err)
	}
	got := p.recommended(t, "s", "").Recommendations
	if !got.Success || !got.Completed || got.Count != 4 || len(got.Recommendations) != 4 || got.Message == "" {
		t.Fatalf("the recommendations are %+v", got)
	}
	if q := got.Qualification; q["area"][0].Label != "Mes cheveux" || len(q["preferences"]) != 2 {
		t.Errorf("the answers are %v", q)
	}
	for _, card := range got.Recommendations {
		product := p.catalogue.Find(card.ID)
		if !product.Vegan || !slices.Contains(product.Free, "silicones") || len(product.HairTypes) == 0 || card.Reason == "" {
			t.Errorf("recommended: %+v", card)
		}
	}
	if first := p.catalogue.Find(got.Recommendations[0].ID); !slices.Contains(first.Concerns.In("fr"), "frizz") {
		t.Errorf("the first is %s", first.ID)
	}
	stats := p.call(t, "qualification.stats", framework.NewRequest("GET", "/", nil)).Stats
	if stats.TotalSessions != 1 || stats.Completed != 1 || stats.InProgress != 0 ||
		stats.ByCategory["hair"] != 1 || stats.ByCategory["body"] != 0 {
		t.Errorf("the stats are %+v", stats)
	}
	_, metrics, err := p.metrics.WriteMetrics("text/plain")
	for _, line := range []string{
		`qualification_sessions_total{category="none",result="started"} 1`,
		`qualification_sessions_total{category="hair",result="completed"} 1`,
	} {
		if err != nil || !strings.Contains(string(metrics), line) {
			t.Errorf("%v: the metrics lack %s", err, line)
		}
	}
}

// Every path of the questions ends in products, in every language.
func TestEveryPathEndsInProducts(t *testing.T) {
	p := newPlugin(t)
	n := 0
	var walk func(progress)
	walk = func(at progress) {
		path := p.script.path(at)
		if next := at.next(path); next < len(path) {
			for _, o := range path[next].Options {
				walk(p.script.with(at, path[next], []string{o.ID}))
			}
			return
		}
		n++
		for _, l := range text.Languages {
			if len(p.catalogue.Recommend(p.script.needs(at), l, defaultLimit)) == 0 {
				t.Errorf("nothing is recommended for %v", at.answers)
			}
		}
	}
	walk(progress{})
	if n < 500 {
		t.Errorf("only %d paths were walked", n)
	}
}

func TestAnswersOutOfOrder(t *testing.T) {
	p := newPlugin(t)
	p.begin(t, "s", "fr")
	if a := p.reply(t, "s", "2", `"dry"`); !slices.Contains(a.wrong, "step") {
		t.Errorf("a step that was not asked yet is taken: %+v", a)
	}
	p.reply(t, "s", `"area"`, `"hair"`) // by id
	p.reply(t, "s", `"2"`, `"dry"`)     // by number in a string
	p.reply(t, "s", "3", `"dryness"`)
	if a := p.reply(t, "s", "2", `"oily"`); a.Step != "preferences" || a.CurrentStep != 4 {
		t.Errorf("after a step is answered again: %+v %v", a.question, a.err)
	}
	a := p.reply(t, "s", "1", `"body"`)
	if a.Step != "skin_type" || a.CurrentStep != 2 || a.TotalSteps != 4 {
		t.Errorf("after the first answer is changed: %+v", a.question)
	}
	if state, _ := p.sessions.Get("s"); len(state.answers) != 1 {
		t.Errorf("answers of the other path are left: %v", state.answers)
	}
	p.reply(t, "s", "2", `"sensitive"`)
	p.reply(t, "s", "3", `"dry_skin"`)
	if a = p.reply(t, "s", "4", `[]`); !a.Completed {
		t.Errorf("no preference is no answer: %+v %v", a.question, a.err)
	}
	if a = p.reply(t, "s", "3", `"odor"`); !a.Completed {
		t.Errorf("after the end, a step answered again: %+v", a.question)
	}
	if got := p.begin(t, "s", "fr"); got.CurrentStep != 1 {
		t.Errorf("beginning again: %+v", got.question)
	}
	if state, _ := p.sessions.Get("s"); len(state.answers) != 0 {
		t.Errorf("beginning again keeps %v", state.answers)
	}
}

func TestLanguageMayChange(t *testing.T) {
	p := newPlugin(t)
	p.begin(t, "s", "fr")
	a := p.call(t, "qualification.answer", framework.NewRequest("POST", "/",
		[]byte(`{"sessionId":"s","step":1,"answer":{"selected":"hair"},"language":"ar"}`)))
	if !strings.Contains(a.Question, "شعر") {
		t.Errorf("in Arabic: %s", a.Question)
	}
	if a = p.reply(t, "s", "2", `"dry"`); !strings.Contains(a.Question, "احتياج") {
		t.Errorf("the language is forgotten: %s", a.Question)
	}
	if got := p.recommended(t, "s", "?language=en").Recommendations; !strings.Contains(got.Message, "chosen") {
		t.Errorf("in English: %s", got.Message)
	}
}

func TestWrongRequests(t *testing.T) {
	p := newPlugin(t)
	p.begin(t, "s", "fr")
	for _, c := range []struct{ handler, body, wrong string }{
		{"qualification.start", `{}`, "sessionId"},
		{"qualification.start", `{"sessionId":"a b"}`, "sessionId"},
		{"qualification.start", `{"sessionId":"s","language":"de"}`, "language"},
		{"qualification.answer", `{"step":1,"answer":{"selected":"hair"}}`, "sessionId"},
		{"qualification.answer", `{"sessionId":"s","step":1,"answer":{"selected":"hair"},"language":"x"}`, "language"},
		{"qualification.answer", `{"sessionId":"s","answer":{"selected":"hair"}}`, "step"},
		{"qualification.answer", `{"sessionId":"s","step":0,"answer":{"selected":"hair"}}`, "step"},
		{"qualification.answer", `{"sessionId":"s","step":99,"answer":{"selected":"hair"}}`, "step"},
		{"qualification.answer", `{"sessionId":"s","step":"nothing","answer":{"selected":"hair"}}`, "step"},
		{"qualification.answer", `{"sessionId":"s","step":"skin_type","answer":{"selected":"dry"}}`, "step"},
		{"qualification.answer", `{"sessionId":"s","step":1}`, "answer.selected"},
		{"qualification.answer", `{"sessionId":"s","step":1,"answer":{"selected":null}}`, "answer.selected"},
		{"qualification.answer", `{"sessionId":"s","step":1,"answer":{"selected":[]}}`, "answer.selected"},
		{"qualification.answer", `{"sessionId":"s","step":1,"answer":{"selected":"feet"}}`, "answer.selected"},
		{"qualification.answer", `{"sessionId":"s","step":1,"answer":{"selected":["hair","body"]}}`, "answer.selected"},
	} {
		a := p.call(t, c.handler, framework.NewRequest("POST", "/", []byte(c.body)))
		if a.err == nil || a.err.Status != http.StatusBadRequest || !slices.Contains(a.wrong, c.wrong) {
			t.Errorf("%s %s: %v, want %s to be wrong", c.handler, c.body, a.err, c.wrong)
		}
	}
	for _, body := range []string{
		``, `{`, `[]`, `{"sessionId":"s","step":1.5}`, `{"sessionId":"s","step":1,"answer":{"selected":[1]}}`,
	} {
		a := p.call(t, "qualification.answer", framework.NewRequest("POST", "/", []byte(body)))
		if a.err == nil || a.err.Status != http.StatusBadRequest {
			t.Errorf("%s: %v, want 400", body, a.err)
		}
	}
	for query, wrong := range map[string]string{
		"?limit=0": "limit", "?limit=21": "limit", "?limit=x": "limit", "?language=de": "language",
	} {
		if a := p.recommended(t, "s", query); !slices.Contains(a.wrong, wrong) {
			t.Errorf("%s: %v", query, a.err)
		}
	}
	if a := p.recommended(t, "s", "?limit=2"); a.Recommendations.Count != 2 {
		t.Errorf("limit 2 gives %d", a.Recommendations.Count)
	}
	a := p.recommended(t, "unknown", "")
	if a.err == nil || a.err.Status != http.StatusNotFound || a.err.Code != "session_not_found" {
		t.Errorf("an unknown session: %v", a.err)
	}
	if a := p.reply(t, "unknown", "1", `"hair"`); a.err == nil || a.err.Status != http.StatusNotFound {
		t.Errorf("an unknown session: %v", a.err)
	}
	if state, _ := p.sessions.Get("s"); len(state.answers) != 0 {
		t.Errorf("a wrong answer was kept: %v", state.answers)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	p := newPlugin(t, func(o *Options) { o.MaxBytes = 1 << 20 })
	for n := range 10_000 {
		p.begin(t, fmt.Sprintf("s%d", n), "fr")
	}
	if held := p.sessions.Bytes(); held > 1<<20 || p.sessions.Len() < 1000 {
		t.Errorf("%d sessions hold %d bytes", p.sessions.Len(), held)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPlugin(t, func(o *Options) { o.TTL = policy.Duration(time.Hour) })
		p.begin(t, "s", "fr")
		time.Sleep(61 * time.Minute)
		if a := p.recommended(t, "s", ""); a.err == nil || a.err.Code != "session_not_found" {
			t.Errorf("a session outlives its time: %v", a.err)
		}
	})
}

func TestConcurrentAnswers(t *testing.T) {
	p := newPlugin(t)
	p.begin(t, "s", "fr")
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			for n, selected := range []string{`"body"`, `"dry"`, `"dry_skin"`, `"vegan"`} {
				if a := p.reply(t, "s", fmt.Sprint(n+1), selected); a.err != nil {
					t.Error(a.err)
				}
			}
		})
	}
	wait.Wait()
	if a := p.recommended(t, "s", ""); !a.Recommendations.Completed || a.Recommendations.Count == 0 {
		t.Errorf("after all answers: %+v", a.Recommendations)
	}
	_, metrics, err := p.metrics.WriteMetrics("text/plain")
	if err != nil || !strings.Contains(string(metrics), `qualification_sessions_total{category="body",result="completed"} 1`) {
		t.Errorf("%v: the end is not counted once", err)
	}
}

func TestScriptMistakes(t *testing.T) {
	for _, file := range []string{
		`{`, `{}`, `{"steps":[{"id":"a","type":"single"}]}`, `{"steps":[{"id":"a","type":"other","options":[{"id":"x"}]}]}`,
		`{"steps":[{"id":"a","type":"single","when":{"step":"b","is":["x"]},"options":[{"id":"x"}]},
			{"id":"b","type":"single","options":[{"id":"x"}]}]}`,
	} {
		if _, err := parseScript([]byte(file)); err == nil {
			t.Errorf("%s is taken", file)
		}
	}
	p := newPlugin(t)
	for _, st := range p.script.Steps {
		for _, l := range text.Languages {
			if _, actual := st.Question.In(l); actual != l {
				t.Errorf("step %s has no question in %s", st.ID, l)
			}
			for _, o := range st.Options {
				if _, actual := o.Label.In(l); actual != l {
					t.Errorf("option %s of step %s has no label in %s", o.ID, st.ID, l)
				}
			}
		}
		for _, o := range st.Options {
			for _, known := range []struct {
				property shop.Property
				ids      []string
			}{
				{shop.Types, o.Match.Types},
				{shop.HairTypes, o.Match.HairTypes},
				{shop.SkinTypes, o.Match.SkinTypes},
				{shop.Concerns, o.Match.Concerns},
				{shop.FreeOf, o.Match.Free},
			} {
				for _, id := range known.ids {
					if !slices.Contains(known.property.IDs(), id) {
						t.Errorf("option %s of step %s asks for %q, which is no value", o.ID, st.ID, id)
					}
				}
			}
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(`{"sessionId":"s","step":1,"answer":{"selected":"hair"}}`)
	f.Add(`{"sessionId":"s","step":"area","answer":{"selected":["hair"]},"language":"ar"}`)
	f.Add(`{"sessionId":"s","step":-1,"answer":{"selected":{}}}`)
	p := newPlugin(f)
	p.begin(f, "s", "fr")
	f.Fuzz(func(t *testing.T, body string) {
		if a := p.call(t, "qualification.answer", framework.NewRequest("POST", "/", []byte(body))); a.err != nil &&
			a.err.Status != http.StatusBadRequest && a.err.Status != http.StatusNotFound {
			t.Errorf("%q: %v", body, a.err)
		}
	})
}
