package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/internal/shop"
)

// answer is any answer of the plugin.
type answer struct {
	Success  bool
	Product  *shop.ProductView
	Products []shop.ProductView
	Language string
	Message  string
}

// ask calls a handler. It returns the answer, or the status and the fields that are wrong.
func ask(t *testing.T, handler string, req *framework.Request) (a answer, status int, wrong []string) {
	t.Helper()
	c, _, err := load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := handlers(c, telemetry.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h[handler](t.Context(), req)
	if e := new(framework.Error); errors.As(err, &e) {
		for _, d := range e.Details {
			wrong = append(wrong, d.Field)
		}
		return a, e.Status, wrong
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	if err := json.Unmarshal(resp.Body, &a); err != nil {
		t.Fatal(err)
	}
	return a, http.StatusOK, nil
}

func TestList(t *testing.T) {
	for query, want := range map[string]string{
		"": "fr", "?language=": "fr", "?language=fr": "fr", "?language=en": "en", "?language=ar": "ar",
	} {
		a, status, _ := ask(t, "catalog.list", framework.NewRequest("GET", "/api/products"+query, nil))
		if status != http.StatusOK || !a.Success || a.Language != want || len(a.Products) < 30 {
			t.Errorf("%q: %d, %v in %q, %d products", query, status, a.Success, a.Language, len(a.Products))
		}
		missing := 0
		for _, p := range a.Products {
			if p.Language != want {
				missing++
			}
			if p.ID == "" || p.Name == "" || p.Type == "" || p.Price <= 0 || p.Currency != "EUR" || p.Image == "" {
				t.Errorf("%q: %+v", query, p)
			}
		}
		if missing > 2 {
			t.Errorf("%q: %d products in another language", query, missing)
		}
	}
	for _, bad := range []string{"de", "FR", "fr-FR", "<script>", "%00", strings.Repeat("f", 10_000)} {
		_, status, wrong := ask(t, "catalog.list", framework.NewRequest("GET", "/api/products?language="+bad, nil))
		if status != http.StatusBadRequest || !slices.Equal(wrong, []string{"language"}) {
			t.Errorf("language %.20q: %d, wrong %q", bad, status, wrong)
		}
	}
}

func TestSearch(t *testing.T) {
	for _, c := range []struct {
		q, language, limit string
		wantLanguage       string
		wantFirst          string // a type or an id
		wantCount          int    // 0: any
	}{
		{"shampooing cheveux secs", "fr", "", "fr", "shampoo", 0},
		{"shampooing cheveux secs", "", "", "fr", "shampoo", 0},
		{"shampoo for dry hair", "", "3", "en", "shampoo", 3},
		{"شامبو للشعر الجاف", "", "1", "ar", "shampoo", 1},
		{"shampoo for dry hair", "ar", "2", "ar", "shampoo", 2},
		{"dandruf shampo", "en", "1", "en", "shampooing-nigelle-purifiant", 1},
		{"argan", "", "1", "fr", "", 1},
		{"coffret", "fr", "1", "fr", "bundle", 1},
		{"savon", "fr", "50", "fr", "soap", 0},
		{"  savon  ", "fr", "", "fr", "soap", 0},
	} {
		query := url.Values{"q": {c.q}, "language": {c.language}, "limit": {c.limit}}.Encode()
		a, status, wrong := ask(t, "catalog.search", framework.NewRequest("GET", "/api/products/search?"+query, nil))
		if status != http.StatusOK || !a.Success || a.Language != c.wantLanguage || a.Product == nil || len(a.Products) == 0 {
			t.Errorf("%+v: %d, wrong %q, %+v", c, status, wrong, a)
			continue
		}
		first := a.Products[0]
		if first.ID != a.Product.ID || c.wantFirst != "" && c.wantFirst != first.Type && c.wantFirst != first.ID {
			t.Errorf("%+v: the first is %s, the product is %s", c, first.ID, a.Product.ID)
		}
		if c.wantCount != 0 && len(a.Products) != c.wantCount || len(a.Products) > 50 {
			t.Errorf("%+v: %d products", c, len(a.Products))
		}
	}
}

func TestSearchFindsNothing(t *testing.T) {
	messages := map[string]bool{}
	for _, c := range []struct{ q, language, want string }{
		{"météo demain", "", "fr"},
		{"capital of France", "", "en"},
		{"zzzzqqqq", "", "fr"},
		{"zzzzqqqq", "en", "en"},
		{"!!!", "ar", "ar"},
		{"<script>alert(1)</script>", "fr", "fr"},
		{"'; DROP TABLE products; --", "fr", "fr"},
		{"\xff\xfe", "fr", "fr"},
		{"\x00", "fr", "fr"},
		{strings.Repeat("<", maxQuestion), "fr", "fr"},
		{"../../etc/passwd", "fr", "fr"},
		{"${env:HOME}", "en", "en"},
	} {
		query := url.Values{"q": {c.q}, "language": {c.language}}.Encode()
		a, status, _ := ask(t, "catalog.search", framework.NewRequest("GET", "/api/products/search?"+query, nil))
		none := a.Product == nil && a.Products != nil && len(a.Products) == 0
		if status != http.StatusOK || a.Success || a.Message == "" || a.Language != c.want || !none {
			t.Errorf("%+v: %d, %+v", c, status, a)
		}
		messages[a.Message] = true
	}
	if len(messages) != 3 {
		t.Errorf("%d different messages for three languages", len(messages))
	}
}

func TestSearchIsChecked(t *testing.T) {
	for query, want := range map[string]string{
		"":                                     "q",
		"q=":                                   "q",
		"q=%20%09":                             "q",
		"q=" + strings.Repeat("a", 501):        "q",
		"q=savon&limit=0":                      "limit",
		"q=savon&limit=51":                     "limit",
		"q=savon&limit=-1":                     "limit",
		"q=savon&limit=many":                   "limit",
		"q=savon&limit=1e1":                    "limit",
		"q=savon&limit=99999999999999999999":   "limit",
		"q=savon&language=de":                  "language",
		"language=de&limit=x":                  "language q limit",
		"query=savon":                          "q",
		"q=" + strings.Repeat("%D8%B4", 501):   "q",
		"q=" + strings.Repeat("%D8%B4", 500):   "",
		"q=savon&q=&limit=3&limit=x&language=": "",
	} {
		_, status, wrong := ask(t, "catalog.search", framework.NewRequest("GET", "/api/products/search?"+query, nil))
		if got := strings.Join(wrong, " "); got != want || (status == http.StatusBadRequest) != (want != "") {
			t.Errorf("%.40q: %d, wrong %q, want %q", query, status, got, want)
		}
	}
}

func TestGet(t *testing.T) {
	for _, c := range []struct{ id, language, want, wantLanguage string }{
		{"huile-argan-pure", "", "Huile d'argan pure", "fr"},
		{"huile-argan-pure", "en", "Pure argan oil", "en"},
		{"huile-argan-pure", "ar", "زيت الأركان النقي", "ar"},
		{"coffret-argan-nutrition", "en", "Argan nourishing set", "en"},
	} {
		req := framework.NewRequest("GET", "/api/products/x?language="+c.language, nil).WithParam("id", c.id)
		a, status, _ := ask(t, "catalog.get", req)
		if status != http.StatusOK || !a.Success || a.Product.ID != c.id || a.Product.Language != c.wantLanguage ||
			a.Product.Name != c.want {
			t.Errorf("%+v: %d, %+v", c, status, a.Product)
		}
	}
	for _, id := range []string{
		"", "nothing", "search", "HUILE-ARGAN-PURE", "../x", "%2e%2e", "\x00", "huile-argan-pure ", strings.Repeat("x", 10_000),
	} {
		_, status, _ := ask(t, "catalog.get", framework.NewRequest("GET", "/api/products/x", nil).WithParam("id", id))
		if status != http.StatusNotFound {
			t.Errorf("%.20q: %d", id, status)
		}
	}
	req := framework.NewRequest("GET", "/api/products/x?language=xx", nil).WithParam("id", "huile-argan-pure")
	_, status, wrong := ask(t, "catalog.get", req)
	if status != http.StatusBadRequest || !slices.Equal(wrong, []string{"language"}) {
		t.Errorf("%d, wrong %q", status, wrong)
	}
}

// Every product's picture is there, and nothing else is.
func TestImages(t *testing.T) {
	c, _, err := load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := handlers(c, telemetry.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	picture := func(name string) (*framework.Response, error) {
		return h["catalog.image"](t.Context(), framework.NewRequest("GET", "/images/x", nil).WithParam("name", name))
	}
	urls := map[string]bool{}
	for _, p := range c.Products {
		urls[p.Image] = true
	}
	for _, b := range c.Bundles {
		urls[b.Image] = true
	}
	for u := range urls {
		resp, err := picture(strings.TrimPrefix(u, "/images/"))
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		if resp.Header.Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(string(resp.Body), "<svg") {
			t.Errorf("%s: %s, %.20q", u, resp.Header, resp.Body)
		}
		if strings.Contains(string(resp.Body), "<script") || strings.Contains(string(resp.Body), "href") {
			t.Errorf("%s: a picture that does more than show", u)
		}
		clear(resp.Body) // it is the caller's
		again, err := picture(strings.TrimPrefix(u, "/images/"))
		if err != nil || !strings.HasPrefix(string(again.Body), "<svg") {
			t.Errorf("%s: changed by the one who had it", u)
		}
	}
	for _, name := range []string{
		"", ".", "..", "../catalogue.json", "shampoo", "shampoo.svg/", "/shampoo.svg", "shampoo.png", "\x00",
		"..%2fcatalogue.json",
	} {
		var e *framework.Error
		if _, err := picture(name); !errors.As(err, &e) || e.Status != http.StatusNotFound {
			t.Errorf("%q: %v", name, err)
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

// The example is served, cached by exactly what its handlers read.
func TestExample(t *testing.T) {
	s := frameworktest.StartWith(t, framework.PolicyFile("example.toml", nil), Plugin())
	for path, want := range map[string]string{
		"/api/products?language=en":                  `"success":true`,
		"/api/products/search?q=savon":               `"type":"soap"`,
		"/api/products/huile-argan-pure?language=ar": "زيت",
		"/images/shampoo.svg":                        "<svg",
	} {
		for _, xcache := range []string{"MISS", "HIT"} {
			a := get(t, s, path)
			if a.status != http.StatusOK || a.xcache != xcache || !strings.Contains(a.body, want) {
				t.Errorf("%s: %d, X-Cache %q, %.60q", path, a.status, a.xcache, a.body)
			}
		}
	}
	for path, want := range map[string]int{
		"/api/products/search":        http.StatusBadRequest,
		"/api/products/nothing":       http.StatusNotFound,
		"/images/nothing.svg":         http.StatusNotFound,
		"/images/..%2fcatalogue.json": http.StatusNotFound,
	} {
		if a := get(t, s, path); a.status != want {
			t.Errorf("%s: %d, want %d: %s", path, a.status, want, a.body)
		}
	}
}

// The shop's own file is served, to plugins as well, and a reload reads it again; a broken one changes nothing.
func TestOwnFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mine.json")
	write := func(content string) {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"products": [{"id": "kessa", "name": "Gant kessa", "price": "8,90"}]}`)
	info := framework.Info{Name: "user", Handlers: []framework.HandlerInfo{{Name: "user"}}}
	user := framework.NewPlugin(info, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			c, err := framework.Use[*shop.Catalogue](h)
			return framework.Handlers{"user": func(context.Context, *framework.Request) (*framework.Response, error) {
				return framework.Text(fmt.Sprint(len(c.Products))), nil
			}}, err
		})
	s := frameworktest.Start(t, fmt.Sprintf(`version = 1
[plugins.catalog]
file = %q
[[routes]]
path = "/list"
handler = "catalog.list"
[[routes]]
path = "/user"
handler = "user"
`, name), user, Plugin())
	if a := get(t, s, "/list"); !strings.Contains(a.body, `"id":"kessa"`) || !strings.Contains(a.body, `"price":8.9`) {
		t.Errorf("got %s", a.body)
	}
	write(`{"products": [{"id": "kessa", "name": "Gant kessa"}, {"id": "kessa", "name": "Encore"}]}`)
	const want = "mine.json:1:54: products[1] (kessa): there is another"
	if err := s.App.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("reload with a broken file: %v", err)
	}
	if a := get(t, s, "/user"); a.body != "1" {
		t.Errorf("after a reload that failed the other plugin sees %s products", a.body)
	}
	write(`{"products": [{"id": "a", "name": "A"}, {"id": "b", "name": "B"}]}`)
	if err := s.App.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := get(t, s, "/user"); a.body != "2" {
		t.Errorf("after a reload the other plugin sees %s products", a.body)
	}
	if _, _, err := load(Options{File: name + ".nothing"}); err == nil || !strings.Contains(err.Error(), "read catalogue: open ") {
		t.Errorf("without the file: %v", err)
	}
}
