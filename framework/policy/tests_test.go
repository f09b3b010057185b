package policy

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoadTests(t *testing.T) {
	tests, problems := LoadTests(Source{Name: "policies/shop_test.toml", Text: []byte(`
[[tests]]
name = "the search finds shea butter"
request = { path = "/api/products/search?q=shea", headers = { Accept-Language = "fr" } }
expect.route = "/api/products/search"
expect.headers = { X-Cache = "HIT|MISS", Server = "" }
expect.json = { success = true, "products.0.price" = 12.5, "product.name" = "~(?i)karit[ée]" }
expect.contains = ["price $", "${price}", "$$"]
expect.not_contains = ["error"]

[[tests]]
name = "an empty message is refused"
request = { method = "POST", path = "/api/chat", json = { message = "", list = [1, { a = 2026-01-01 }] } }
expect = { status = 400, timeout = "500ms" }
`)})
	if problems != nil {
		t.Fatal(problems)
	}
	if tests.Policy != "policies/shop.toml" || len(tests.Tests) != 2 {
		t.Fatalf("tests are %+v", tests)
	}
	want := Test{
		Name:    "the search finds shea butter",
		Request: TestRequest{Method: "GET", Path: "/api/products/search?q=shea", Headers: map[string]string{"Accept-Language": "fr"}},
		Expect: TestExpect{
			Status: 200, Route: "/api/products/search", Headers: map[string]string{"X-Cache": "HIT|MISS", "Server": ""},
			JSON:     map[string]any{"success": true, "products.0.price": 12.5, "product.name": "~(?i)karit[ée]"},
			Contains: []string{"price $", "${price}", "$$"}, NotContains: []string{"error"}, Timeout: Duration(10 * time.Second),
		},
		Place: Origin{Kind: FromFile, File: "policies/shop_test.toml", Line: 2, Col: 3},
	}
	if !reflect.DeepEqual(tests.Tests[0], want) {
		t.Errorf("test is %+v, want %+v", tests.Tests[0], want)
	}
	if second := tests.Tests[1]; second.Expect.Status != 400 || second.Expect.Timeout.D() != 500*time.Millisecond ||
		second.Request.JSON.(map[string]any)["message"] != "" {
		t.Errorf("test is %+v", second)
	}
}

func TestTestsHaveVariables(t *testing.T) {
	tests, problems := LoadTests(Source{Name: "a_test.toml", Text: []byte(
		"env = { B = '2', A = '1' }\n[[tests]]\nname = 'a'\nrequest.path = '/'\nexpect = {}\n")})
	if problems != nil {
		t.Fatal(problems)
	}
	if got := tests.Environ([]string{"A=0", "C=3"}); !slices.Equal(got, []string{"A=0", "C=3", "A=1", "B=2"}) {
		t.Errorf("the environment is %q", got)
	}
}

func TestLoadTestsNamesThePolicy(t *testing.T) {
	const rest = "[[tests]]\nname = 'a'\nrequest.path = '/'\nexpect = {}\n"
	for _, test := range []struct{ file, text, policy string }{
		{"a_test.toml", rest, "a.toml"},
		{"/etc/a_test.toml", rest, "/etc/a.toml"},
		{"x/other.toml", "policy = 'b.toml'\n" + rest, "x/b.toml"},
		{"x/other_test.toml", "policy = '../b.toml'\n" + rest, "b.toml"},
		{"x/a_test.toml", "policy = '/etc/b.toml'\n" + rest, "/etc/b.toml"},
	} {
		tests, problems := LoadTests(Source{Name: test.file, Text: []byte(test.text)})
		if problems != nil || tests.Policy != test.policy {
			t.Errorf("%s tests %v, want %s; %v", test.file, tests, test.policy, problems)
		}
	}
}

func TestLoadTestsProblems(t *testing.T) {
	const request = "[[tests]]\nname = 'a'\nrequest.path = '/'\n"
	const noRegexp, quoteIt = "not a regular expression: missing closing ", "; quote special characters with a backslash"
	const methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	for text, want := range map[string]string{
		"": "1:1: tests is required; write tests = … (The tests, run in the order in which they are written)",
		"[[tests]]\nname = ''\nexpect = {}": "1:3: tests[0]: request is required; write request = { … } (What is asked)\n" +
			"x_test.toml:2:8: tests[0].name: must not be empty",
		"tests = []":                                                  "1:9: tests: must not be empty",
		request + "expect = { statsu = 200 }":                         `4:12: tests[0].expect.statsu: unknown key; did you mean "status"?`,
		request + "expect = { status = 20 }":                          "4:21: tests[0].expect.status: 20 is out of range; use 100 to 599",
		request + "expect.headers = { A = '(' }":                      "4:24: tests[0].expect.headers.A: " + noRegexp + "): `(`" + quoteIt,
		request + "expect.json = { 'a.b' = '~[' }":                    "4:25: tests[0].expect.json.\"a.b\": " + noRegexp + "]: `[`" + quoteIt,
		request + "request.method = 'X'\nexpect={}":                   "4:18: tests[0].request.method: \"X\" is not one of " + methods,
		request + "request.body = 'a'\nrequest.json = 1\nexpect = {}": "5:16: tests[0].request.json: a request has one body; drop body or json",
		"[[tests]]\nname = 'a'\nrequest.path = 'a'\nexpect = {}":      `3:16: tests[0].request.path: "a" does not start with a slash; write "/a"`,
		"tests = 1 =": `1:11: syntax: expected newline but got U+003D '='`,
	} {
		tests, problems := LoadTests(Source{Name: "x_test.toml", Text: []byte(text)})
		if tests != nil || problems.Error() != "x_test.toml:"+want {
			t.Errorf("%q has problems:\n%v\nwant:\n%s", text, problems, want)
		}
	}
	if _, problems := LoadTests(Source{Name: "x.toml", Text: []byte(request + "expect = {}")}); len(problems) != 1 ||
		!strings.Contains(problems.Error(), "policy is required in a file whose name does not end in _test.toml") {
		t.Errorf("%v", problems)
	}
}

func TestExplanationAsJSON(t *testing.T) {
	options := "version = 1\nplugins.pay.key = '" + hush + "'\n"
	p := load(t, options+"[[routes]]\npath = '/pay/:id'\nhandler = 'pay'\ncache = { ttl = '1m' }\n", Layers{})
	text, err := json.Marshal(p.Explain("GET", "/pay/7", []string{"recover"}))
	if err != nil || strings.Contains(string(text), hush) {
		t.Fatalf("%s, %v", text, err)
	}
	var e Explanation
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(e, p.Explain("GET", "/pay/7", []string{"recover"})) {
		t.Errorf("read back: %+v", e)
	}
	if e.Route != "GET /pay/:id" || e.Place != "test.toml:3:3" || !e.Cached || e.Plugin != "pay" || e.Options[0].Value != hiddenText ||
		!reflect.DeepEqual(e.Params, []Param{{"id", "7"}}) ||
		!reflect.DeepEqual(e.CacheKey, []KeyPart{{Part: "method", Value: "GET"}, {Part: "path", Value: "/pay/7"}}) {
		t.Errorf("explanation is %+v", e)
	}
	if e := p.Explain("POST", "/pay/7", nil); e.Index != -1 || e.Route != "" || len(e.Allow) != 3 {
		t.Errorf("explanation is %+v", e)
	}
}
