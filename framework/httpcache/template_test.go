package httpcache_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/httpcache"
)

func TestTemplate(t *testing.T) {
	parts := func(parts ...httpcache.TemplatePart) *httpcache.Template { return httpcache.NewTemplate(parts) }
	literal := func(text string) httpcache.TemplatePart { return httpcache.TemplatePart{Text: text} }
	key := httpcache.Key{
		Scope: "s", Method: "GET", Host: "Shop.Example", Path: "/a/b:c/d%2Fe/f",
		Query:   []httpcache.Input{{Name: "q", Value: "1:2 %"}, {Name: "q", Value: ""}, {Name: "p", Value: ""}},
		Headers: []httpcache.Input{{Name: "authorization", Value: "Bearer x"}, {Name: "x-shop", Value: "fès"}},
		Cookies: []httpcache.Input{{Name: "currency", Value: "MAD"}},
	}
	for _, test := range []struct {
		template *httpcache.Template
		want     string
		readable string
	}{
		{parts(), "s ", ""},
		{parts(literal("home")), "s home", "home"},
		{
			parts(literal("user:"), httpcache.TemplatePart{From: httpcache.FromSegment, Segment: 1}), "s user:b%3Ac", "user:b%3Ac",
		},
		{parts(httpcache.TemplatePart{From: httpcache.FromSegment, Segment: 1}), "s b:c", "b:c"},
		{parts(httpcache.TemplatePart{From: httpcache.FromSegment, Segment: 9}), "s ", ""},
		{
			parts(literal("/"), httpcache.TemplatePart{From: httpcache.FromRest, Segment: 2}),
			"s /d%252Fe%2Ff", "/d%252Fe%2Ff",
		},
		{
			parts(httpcache.TemplatePart{From: httpcache.FromPath}, literal("|"), httpcache.TemplatePart{From: httpcache.FromHost}),
			"s /a/b:c/d%252Fe/f|shop.example", "/a/b:c/d%252Fe/f|shop.example",
		},
		{
			parts(httpcache.TemplatePart{From: httpcache.FromQuery, Text: "q"}, literal(":"),
				httpcache.TemplatePart{From: httpcache.FromQuery, Text: "p"}, literal(":"),
				httpcache.TemplatePart{From: httpcache.FromQuery, Text: "none"}),
			"s 1%3A2%20%25%%::%", "1%3A2%20%25%%::%",
		},
		{
			parts(httpcache.TemplatePart{From: httpcache.FromHeader, Text: "authorization"}, literal("-"),
				httpcache.TemplatePart{From: httpcache.FromHeader, Text: "x-shop"}, literal("-"),
				httpcache.TemplatePart{From: httpcache.FromCookie, Text: "currency"}),
			"s Bearer%20x-fès-MAD", "••••-fès-••••",
		},
	} {
		key.Template = test.template
		if got := key.String(); got != test.want {
			t.Errorf("key %q; want %q", got, test.want)
		}
		if got := key.Readable(); got != test.readable {
			t.Errorf("readable %q; want %q", got, test.readable)
		}
	}
}

// FuzzTemplateIsInjective takes keys apart again, with literals of every kind between the inputs.
func FuzzTemplateIsInjective(f *testing.F) {
	for _, seed := range []struct {
		before, between, path string
		values                [3][]string
	}{
		{"user:", ":", "/a", [3][]string{{"1"}, {"2"}, {"3"}}},
		{"", "-", "/a-b", [3][]string{{"a-b", "c"}, {}, {"", ""}}},
		{"x", "A/F", "/2F%", [3][]string{{"%"}, {"%%"}, {"2F"}}},
		{"", "F0~", "\xff", [3][]string{{"", "%"}, {"F0~"}, nil}},
	} {
		values, err := json.Marshal(seed.values)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed.before, seed.between, seed.path, values)
	}
	f.Fuzz(func(t *testing.T, before, between, path string, encoded []byte) {
		visible := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '%' }
		delimiter := strings.IndexFunc(between, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
		if strings.ContainsFunc(before+between, visible) || delimiter < 0 { // what a policy does not allow
			return
		}
		var values [3][]string
		if json.Unmarshal(encoded, &values) != nil {
			return
		}
		key := httpcache.Key{Path: path}
		lists := []*[]httpcache.Input{&key.Query, &key.Headers, &key.Cookies}
		for i, list := range lists {
			for _, value := range values[i] {
				*list = append(*list, httpcache.Input{Name: "n", Value: value})
			}
		}
		key.Template = httpcache.NewTemplate([]httpcache.TemplatePart{
			{Text: before},
			{From: httpcache.FromPath},
			{Text: between},
			{From: httpcache.FromQuery, Text: "n"},
			{Text: between},
			{From: httpcache.FromHeader, Text: "n"},
			{Text: between},
			{From: httpcache.FromCookie, Text: "n"},
		})
		rest, ok := strings.CutPrefix(key.String(), before)
		if !ok {
			t.Fatalf("%q does not begin with %q", key.String(), before)
		}
		var got []string // up to each literal, which its delimiter marks
		for range 3 {
			at := strings.IndexByte(rest, between[delimiter]) - delimiter
			if at < 0 || !strings.HasPrefix(rest[at:], between) {
				t.Fatalf("%q cannot be taken apart at %q", key.String(), between)
			}
			got, rest = append(got, rest[:at]), rest[at+len(between):]
		}
		got = append(got, rest)
		if unescape(t, got[0]) != path {
			t.Errorf("path %q became %q", path, got[0])
		}
		for i, text := range got[1:] {
			var back []string
			if text != "%" {
				for _, value := range splitValues(text) {
					back = append(back, unescape(t, value))
				}
			}
			if len(back)+len(values[i]) > 0 && !reflect.DeepEqual(back, values[i]) {
				t.Errorf("%q became %q", values[i], text)
			}
		}
	})
}

func unescape(t *testing.T, s string) string {
	t.Helper()
	plain, err := url.PathUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// splitValues splits at %%, which is read from the left: an escape is % and two digits.
func splitValues(s string) []string {
	var values []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%' && i+1 < len(s) && s[i+1] == '%':
			values = append(values, s[start:i])
			i++
			start = i + 1
		case s[i] == '%':
			i += 2
		}
	}
	return append(values, s[start:])
}
