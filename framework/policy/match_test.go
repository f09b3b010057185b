package policy

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	var text strings.Builder
	text.WriteString("version = 1\n")
	for _, route := range []string{
		"GET /", "GET /a", "POST /a", "GET /a/", "GET /p/search", "GET /p/:id", "DELETE /p/:id", "GET /p/:id/size/:size",
		"PUT /files/*", "HEAD /files/x", "GET /:one/:two/three", "* /any", "OPTIONS /opt", "GET /opt",
	} {
		method, path, _ := strings.Cut(route, " ")
		fmt.Fprintf(&text, "[[routes]]\nmethod = %q\npath = %q\nhandler = \"health\"\n", method, path)
	}
	p := load(t, text.String(), Layers{})
	for _, test := range []struct {
		request string
		index   int
		params  []Param
		allow   []string
	}{
		{"GET /", 0, nil, nil},
		{"HEAD /", 0, nil, nil},
		{"POST /a", 2, nil, nil},
		{"GET /a/", 3, nil, nil},
		{"GET /A", -1, nil, nil},
		{"GET /p/search", 4, nil, nil},
		{"GET /p/42%2F", 5, []Param{{"id", "42%2F"}}, nil},
		{"DELETE /p/search", 6, []Param{{"id", "search"}}, nil},
		{"GET /p/1/size/L", 7, []Param{{"id", "1"}, {"size", "L"}}, nil},
		{"GET /p/", -1, nil, nil},
		{"GET /p//size/L", -1, nil, nil},
		{"PUT /files/a/b", 8, []Param{{"*", "a/b"}}, nil},
		{"PUT /files/", 8, []Param{{"*", ""}}, nil},
		{"PUT /files", 8, []Param{{"*", ""}}, nil},
		{"PUT /filesystem", -1, nil, nil},
		{"GET /files/x", -1, nil, []string{"HEAD", "OPTIONS", "PUT"}},
		{"PATCH /a", -1, nil, []string{"GET", "HEAD", "OPTIONS", "POST"}},
		{"GET /q/r/three", 10, []Param{{"one", "q"}, {"two", "r"}}, nil},
		{"PROPFIND /any", 11, nil, nil},
		{"POST /opt", -1, nil, []string{"GET", "HEAD", "OPTIONS"}},
		{"GET a", -1, nil, nil},
		{"GET ", -1, nil, nil},
		{"OPTIONS *", -1, nil, nil},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		got := p.Match(method, path)
		if got.Index != test.index || !reflect.DeepEqual(got.Params, test.params) || !slices.Equal(got.Allow, test.allow) {
			t.Errorf("%s matches %d with %v, allowing %v", test.request, got.Index, got.Params, got.Allow)
		}
		if (got.Route == nil) != (test.index < 0) || (got.Route != nil && got.Route != &p.Routes[test.index]) {
			t.Errorf("%s has route %v", test.request, got.Route)
		}
	}
	if m := (&Policy{}).Match("GET", "/"); m.Route != nil || m.Index != -1 {
		t.Errorf("an empty policy matches %v", m)
	}
}

// TestMatchAgreesWithFiber registers random patterns with the router that serves them, and asks both.
func TestMatchAgreesWithFiber(t *testing.T) {
	segment := rapid.SampledFrom([]string{"a", "b", "ab", "a-b", "a.b", ":x", ":y", ":z", "api", "*", ""})
	word := rapid.SampledFrom([]string{"a", "b", "ab", "a-b", "a.b", "api", "", "x%2Fy", "~", ":x", "*", "A", "q=1"})
	method := rapid.SampledFrom([]string{"GET", "POST", "HEAD", "*"})
	rapid.Check(t, func(t *rapid.T) {
		app := fiber.New(fiber.Config{CaseSensitive: true, StrictRouting: true, DisableStartupMessage: true})
		p := &Policy{meta: meta{router: &router{}}}
		for range rapid.IntRange(1, 8).Draw(t, "routes") {
			path := "/" + strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(t, "segments"), "/")
			segments, err := parsePattern(path)
			if err != nil {
				continue
			}
			route := Route{Method: method.Draw(t, "method"), Path: path}
			index := len(p.Routes)
			p.Routes = append(p.Routes, route)
			p.meta.router.add(segments, index)
			names := patternNames(segments)
			answer := func(c *fiber.Ctx) error {
				values := url.Values{}
				for _, name := range names {
					values.Add(name, c.Params(name))
				}
				c.Set("X-Route", strconv.Itoa(index))
				c.Set("X-Params", values.Encode())
				return nil
			}
			switch route.Method {
			case "*":
				app.All(path, answer)
			case "GET":
				app.Get(path, answer)
			default:
				app.Add(route.Method, path, answer)
			}
		}
		for range 8 {
			path := "/" + strings.Join(rapid.SliceOfN(word, 1, 5).Draw(t, "words"), "/")
			asked := rapid.SampledFrom([]string{"GET", "POST", "HEAD", "DELETE"}).Draw(t, "asked")
			if strings.HasPrefix(path, "//") {
				continue // http.NewRequest would read a host
			}
			if len(path) == 2 && slices.ContainsFunc(p.Routes, func(r Route) bool { return r.Path == path+"/*" }) {
				continue // Fiber sorts routes by their first three bytes, and misses /a/* for /a though not /ab/* for /ab
			}
			request := httptest.NewRequest(asked, path, nil)
			response, err := app.Test(request, -1)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			want := response.Header.Get("X-Route")
			got, values := "", url.Values{}
			match := p.Match(asked, path)
			if match.Route != nil {
				got = strconv.Itoa(match.Index)
				for _, param := range match.Params {
					values.Add(param.Name, param.Value)
				}
			}
			if got != want || (got != "" && values.Encode() != response.Header.Get("X-Params")) {
				t.Fatalf("%s %s: policy says %q with %v, fiber says %q with %s; routes %v", asked, path, got, values, want,
					response.Header.Get("X-Params"), p.Routes)
			}
		}
	})
}

func patternNames(segments []string) []string {
	var names []string
	for _, segment := range segments {
		if name, ok := strings.CutPrefix(segment, ":"); ok {
			names = append(names, name)
		} else if segment == "*" {
			names = append(names, "*")
		}
	}
	return names
}

// TestReach compares what Load says of shadowed routes with what Match finds.
func TestReach(t *testing.T) {
	segment := rapid.SampledFrom([]string{"a", "b", ":x", ":y", "*"})
	method := rapid.SampledFrom([]string{"GET", "POST", "HEAD", "*"})
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		text.WriteString("version = 1\n")
		var routes []Route
		for range rapid.IntRange(2, 6).Draw(t, "routes") {
			r := Route{Method: method.Draw(t, "method"), Path: "/" + strings.Join(rapid.SliceOfN(segment, 1, 3).Draw(t, "segments"), "/")}
			if _, err := parsePattern(r.Path); err == nil {
				routes = append(routes, r)
				fmt.Fprintf(&text, "[[routes]]\nmethod = %q\npath = %q\nhandler = \"health\"\n", r.Method, r.Path)
			}
		}
		_, problems := Load(Source{Name: "p.toml", Text: []byte(text.String())}, testVocabulary(), Layers{})
		reported := map[string]bool{}
		for _, problem := range problems {
			reported[problem.Path] = true
		}
		for i, r := range routes {
			// A route is covered when one earlier route serves every kind of path that it serves.
			covered := slices.ContainsFunc(routes[:i], func(earlier Route) bool {
				single := &Policy{Routes: []Route{earlier}, meta: meta{router: &router{}}}
				segments, _ := parsePattern(earlier.Path)
				single.meta.router.add(segments, 0)
				return !slices.ContainsFunc(samples(r.Path), func(path string) bool {
					return single.Match(strings.Replace(r.Method, "*", "PATCH", 1), path).Route == nil
				})
			})
			if reported[element("routes", i)+".path"] != covered {
				t.Fatalf("route %d, %s %s, is covered: %t; problems:\n%v\n%s", i, r.Method, r.Path, covered, problems, text.String())
			}
		}
	})
}

// samples returns a path of each kind that a pattern serves.
func samples(pattern string) []string {
	path := strings.NewReplacer(":x", "other", ":y", "other").Replace(pattern)
	base, ok := strings.CutSuffix(path, "*")
	if !ok {
		return []string{path}
	}
	paths := []string{base, base + "other", base + "other/more"}
	if base != "/" {
		paths = append(paths, strings.TrimSuffix(base, "/"))
	}
	return paths
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		p, problems := Load(Source{Name: "p.toml", Text: largePolicy(n)}, testVocabulary(), Layers{})
		if problems != nil {
			b.Fatal(problems)
		}
		path := p.Routes[n-1].Path
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Match("GET", path).Route == nil {
					b.Fatal("no match")
				}
			}
		})
	}
}
