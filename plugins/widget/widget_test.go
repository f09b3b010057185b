package widget_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/plugins/widget"
)

// policyWith serves the page with options, written from line 4.
func policyWith(options string) string {
	return `
version = 1
[plugins.widget]
` + options + `
[[routes]]
path = "/"
handler = "widget"
cache = { ttl = "1h" }
`
}

func start(t *testing.T, options string) *frameworktest.Server {
	t.Helper()
	return frameworktest.Start(t, policyWith(options), widget.Plugin())
}

// get serves the page with options and returns its answer to a GET of /.
func get(t *testing.T, options string) frameworktest.Answer {
	t.Helper()
	return fetch(t, start(t, options))
}

func fetch(t *testing.T, s *frameworktest.Server, header ...string) frameworktest.Answer {
	t.Helper()
	return s.Get(t, "/", header...)
}

// inline returns what stands in the page's only element of a kind that has no attributes.
func inline(t *testing.T, page, element string) string {
	t.Helper()
	all := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1)
	if len(all) != 1 {
		t.Fatalf("the page has %d <%s>, want 1", len(all), element)
	}
	return all[0][1]
}

func TestThePageIsServedWithItsOwnHashesAndNothingUnsafe(t *testing.T) {
	got := get(t, "")
	if got.Status != http.StatusOK || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("got %d %s", got.Status, got.Header.Get("Content-Type"))
	}
	csp := got.Header.Get("Content-Security-Policy")
	for _, element := range []string{"script", "style"} {
		sum := sha256.Sum256([]byte(inline(t, got.Body, element)))
		if want := element + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(csp, want+";") {
			t.Errorf("the policy lacks %s:\n%s", want, csp)
		}
	}
	for _, want := range []string{
		"default-src 'none'", "img-src 'self' data:;", "connect-src 'self'", "base-uri 'none'", "frame-ancestors 'self'",
		"require-trusted-types-for 'script'",
	} {
		if !strings.Contains(csp, want) {
			t.Errorf("the policy lacks %s:\n%s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("unsafe: %s", csp)
	}
	if frame := got.Header.Get("X-Frame-Options"); frame != "SAMEORIGIN" {
		t.Errorf("X-Frame-Options: %q", frame)
	}
	if referrer := got.Header.Get("Referrer-Policy"); referrer != "strict-origin-when-cross-origin" {
		t.Errorf("Referrer-Policy: %q", referrer)
	}
}

func TestAnUnchangedPageIsNotSentAgain(t *testing.T) {
	s := start(t, "")
	tag := fetch(t, s).Header.Get("ETag")
	if again := fetch(t, s, "If-None-Match", tag); again.Status != http.StatusNotModified || again.Body != "" {
		t.Fatalf("got %d and %d bytes for ETag %q", again.Status, len(again.Body), tag)
	}
}

func TestOptionsReachThePageAndItsHeaders(t *testing.T) {
	t.Run("title and language", func(t *testing.T) {
		page := get(t, `title = "Olive & <b>Argan</b>"`+"\n"+`language = "ar"`).Body
		for _, want := range []string{"<title>Olive &amp; &lt;b&gt;Argan&lt;/b&gt;</title>", `<html lang="ar"`} {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %s", want)
			}
		}
	})
	for _, tt := range []struct{ name, options, csp, frame string }{
		{"no frames", `embed_origins = []`, "frame-ancestors 'none';", "DENY"},
		{
			"frames of others", `embed_origins = ["self", "https://www.shop.example"]`,
			"frame-ancestors 'self' https://www.shop.example;", "",
		},
		{
			"pictures of others", `image_origins = ["https://cdn.shop.example:8443"]`,
			"img-src 'self' data: https://cdn.shop.example:8443;", "SAMEORIGIN",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := get(t, tt.options).Header
			if csp := header.Get("Content-Security-Policy"); !strings.Contains(csp, tt.csp) {
				t.Errorf("the policy lacks %s:\n%s", tt.csp, csp)
			}
			if got := header.Get("X-Frame-Options"); got != tt.frame {
				t.Errorf("X-Frame-Options: %q, want %q", got, tt.frame)
			}
		})
	}
}

func TestOptionsThatCouldOpenThePolicyAreRefused(t *testing.T) {
	for _, tt := range []struct{ option, want string }{
		{`embed_origins = ["*"]`, `embed_origins: "*" is not an origin`},
		{`embed_origins = ["https://a.example; script-src *"]`, "is not an origin"},
		{`image_origins = ["https://a.example/path"]`, `image_origins: "https://a.example/path" is not an origin`},
		{`image_origins = ["'unsafe-inline'"]`, "is not an origin"},
		{`title = ""`, "title"},
		{`language = "de"`, "language"},
	} {
		t.Run(tt.option, func(t *testing.T) {
			load := framework.PolicyText("shop.toml", policyWith(tt.option))
			_, err := framework.New(framework.Config{Policy: load, Plugins: []framework.Plugin{widget.Plugin()}, Stdout: io.Discard})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "shop.toml:4:") {
				t.Fatalf("got %v, want a problem at shop.toml:4 with %s", err, tt.want)
			}
		})
	}
}

func TestThePageKeepsItsRules(t *testing.T) {
	page := get(t, "").Body
	script, style := inline(t, page, "script"), inline(t, page, "style")
	for _, tt := range []struct {
		rule, text string
		forbidden  *regexp.Regexp
	}{
		{
			"text never becomes HTML", script,
			regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|DOMParser`),
		},
		{"no handler or style in an attribute", page, regexp.MustCompile(`<[^>]* (on[a-z]+|style)=`)},
		{
			"nothing comes from another server", strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""),
			regexp.MustCompile(`https?://[a-z0-9]|@import|<script src|<link rel="stylesheet`),
		},
		{
			"both directions share one layout", style,
			regexp.MustCompile(`[;{ ](margin|padding|border|inset)?-?(left|right)( *:|-radius)|text-align: *(left|right)|float:`),
		},
	} {
		if found := tt.forbidden.FindString(tt.text); found != "" {
			t.Errorf("%s: found %q", tt.rule, found)
		}
	}
}

func TestEveryTextExistsInEveryLanguage(t *testing.T) {
	page := get(t, "").Body
	found := regexp.MustCompile(`(?s)<script type="application/json" id="strings">(.*?)</script>`).FindStringSubmatch(page)
	if found == nil {
		t.Fatal("the page has no texts")
	}
	var texts map[string]map[string]string
	if err := json.Unmarshal([]byte(found[1]), &texts); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(texts)); !slices.Equal(got, []string{"ar", "en", "fr"}) {
		t.Fatalf("languages: %v", got)
	}
	placeholder := regexp.MustCompile(`\{\w+\}`)
	for language, own := range texts {
		for key, french := range texts["fr"] {
			if own[key] == "" {
				t.Errorf("%s lacks %s", language, key)
			}
			want, got := placeholder.FindAllString(french, -1), placeholder.FindAllString(own[key], -1)
			slices.Sort(want)
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: %s has %v, want %v", language, key, got, want)
			}
		}
		if len(own) != len(texts["fr"]) {
			t.Errorf("%s has %d texts, fr %d", language, len(own), len(texts["fr"]))
		}
	}
	for _, use := range regexp.MustCompile(`\bt\("(\w+)"|data-(?:text|label|placeholder)="(\w+)"`).FindAllStringSubmatch(page, -1) {
		if key := use[1] + use[2]; texts["fr"][key] == "" {
			t.Errorf("the page uses the text %q, which does not exist", key)
		}
	}
}

func TestTheScriptIsSmallAndKept(t *testing.T) {
	example, err := os.ReadFile("example.toml")
	if err != nil {
		t.Fatal(err)
	}
	s := frameworktest.Start(t, string(example), widget.Plugin())
	got := s.Get(t, "/widget.js")
	if len(got.Body) == 0 || len(got.Body) > 5<<10 {
		t.Errorf("%d bytes", len(got.Body))
	}
	for name, want := range map[string]string{"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "max-age=86400"} {
		if !strings.Contains(got.Header.Get(name), want) {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if again := s.Get(t, "/widget.js", "If-None-Match", got.Header.Get("ETag")); again.Status != http.StatusNotModified {
		t.Errorf("unchanged: got %d", again.Status)
	}
}

func TestTheExampleServesThePage(t *testing.T) {
	example, err := os.ReadFile("example.toml")
	if err != nil {
		t.Fatal(err)
	}
	s := frameworktest.Start(t, string(example), widget.Plugin())
	if got := fetch(t, s); got.Status != http.StatusOK {
		t.Fatalf("got %d", got.Status)
	}
}
