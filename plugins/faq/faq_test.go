package faq

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/telemetry"
)

// ask calls the handler. It returns the answer, or the status and the fields that are wrong.
func ask(t *testing.T, query string) (a answer, status int, wrong string) {
	t.Helper()
	f, _, err := load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := faq{f, telemetry.NewRegistry().Counter("searches_total", "Searches.", "language", "result")}.answer(t.Context(), framework.NewRequest("GET", "/api/faq?"+query, nil))
	if e := new(framework.Error); errors.As(err, &e) {
		var fields []string
		for _, d := range e.Details {
			fields = append(fields, d.Field)
		}
		return a, e.Status, strings.Join(fields, " ")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(resp.Body, &a); err != nil {
		t.Fatal(err)
	}
	return a, http.StatusOK, ""
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct{ q, language, wantLanguage, want string }{
		{"livraison", "fr", "fr", "4,90 €"},
		{"livraison", "", "fr", "4,90 €"},
		{"combien coute la livrason", "", "fr", "4,90 €"},
		{"how much is delivery", "", "en", "€4.90"},
		{"livraison", "en", "en", "€4.90"},
		{"كم تكلفة التوصيل", "", "ar", "4.90 يورو"},
		{"delivery", "ar", "ar", "4.90 يورو"},
		{"  retourner un produit  ", "fr", "fr", "30 jours"},
	} {
		a, status, wrong := ask(t, url.Values{"q": {c.q}, "language": {c.language}}.Encode())
		said := a.Question != "" && strings.Contains(a.Message, c.want)
		if status != http.StatusOK || !a.Success || a.Language != c.wantLanguage || !said {
			t.Errorf("%+v: %d, wrong %q, %+v", c, status, wrong, a)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	messages := map[string]bool{}
	for _, c := range []struct{ q, language, want string }{
		{"météo demain", "", "fr"},
		{"what is the capital of France", "", "en"},
		{"zzzzqqqq", "en", "en"},
		{"zzzzqqqq", "", "fr"},
		{"ما هي عاصمة فرنسا", "", "ar"},
		{"<script>alert(1)</script>", "fr", "fr"},
		{"\xff", "fr", "fr"},
		{"\x00", "fr", "fr"},
		{strings.Repeat("<", maxQuestion), "fr", "fr"},
	} {
		a, status, _ := ask(t, url.Values{"q": {c.q}, "language": {c.language}}.Encode())
		if status != http.StatusOK || a.Success || a.Question != "" || a.Message == "" || a.Language != c.want {
			t.Errorf("%+v: %d, %+v", c, status, a)
		}
		if strings.Contains(a.Message, "<") {
			t.Errorf("%+v: the message repeats the question", c)
		}
		messages[a.Message] = true
	}
	if len(messages) != 3 {
		t.Errorf("%d different messages for three languages", len(messages))
	}
}

func TestQuestionIsChecked(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   "q",
		"q=":                                 "q",
		"q=%20%0A":                           "q",
		"question=livraison":                 "q",
		"q=" + strings.Repeat("a", 501):      "q",
		"q=" + strings.Repeat("%D8%B4", 501): "q",
		"q=" + strings.Repeat("%D8%B4", 500): "",
		"q=livraison&language=de":            "language",
		"q=livraison&language=FR":            "language",
		"language=de":                        "q language",
		"q=livraison&language=":              "",
		"q=livraison&q=&limit=x":             "",
	} {
		_, status, wrong := ask(t, query)
		if wrong != want || (status == http.StatusBadRequest) != (want != "") {
			t.Errorf("%.40q: %d, wrong %q, want %q", query, status, wrong, want)
		}
	}
}

// got is an answer over HTTP.
type got struct {
	status int
	xcache string
	body   string
}

func get(t *testing.T, s *frameworktest.Server, path string) got {
	t.Helper()
	resp, err := s.Client.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return got{resp.StatusCode, resp.Header.Get("X-Cache"), string(body)}
}

// The example is served, cached by exactly what its handler reads.
func TestExample(t *testing.T) {
	s := frameworktest.StartWith(t, framework.PolicyFile("example.toml", nil), Plugin())
	for _, xcache := range []string{"MISS", "HIT"} {
		a := get(t, s, "/api/faq?q=livraison&language=fr")
		if a.status != http.StatusOK || a.xcache != xcache || !strings.Contains(a.body, "4,90 €") {
			t.Errorf("%d, X-Cache %q, %s", a.status, a.xcache, a.body)
		}
	}
	if a := get(t, s, "/api/faq?q=livraison&language=en"); !strings.Contains(a.body, "€4.90") {
		t.Errorf("%d, %s: the answer in another language", a.status, a.body)
	}
	if a := get(t, s, "/api/faq"); a.status != http.StatusBadRequest || !strings.Contains(a.body, `"success":false`) {
		t.Errorf("without a question: %d, %s", a.status, a.body)
	}
}

// The shop's own file is answered from, and a mistake in it keeps the app from starting.
func TestOwnFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mine.json")
	policy := fmt.Sprintf("version = 1\n[plugins.faq]\nfile = %q\n[[routes]]\npath = \"/faq\"\nhandler = \"faq\"\n", name)
	write := func(content string) {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"faqs": [{"question": "Un atelier ?", "answer": {"en": "On Fridays."}}]}`)
	s := frameworktest.Start(t, policy, Plugin())
	if a := get(t, s, "/faq?q=atelier&language=ar"); !strings.Contains(a.body, `"message":"On Fridays.","language":"en"`) {
		t.Errorf("got %s", a.body)
	}
	write(`{"faqs": [{"question": "Un atelier ?"}]}`)
	const want = "mine.json:1:11: faqs[0] (faq-1): answer is required"
	if err := s.App.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("with a broken file: %v", err)
	}
	if _, _, err := load(Options{File: name + ".nothing"}); err == nil || !strings.Contains(err.Error(), "read FAQ: open ") {
		t.Errorf("without the file: %v", err)
	}
}
