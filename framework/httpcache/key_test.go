package httpcache_test

import (
	"cmp"
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/httpcache"
)

func TestKey(t *testing.T) {
	for _, test := range []struct {
		key      httpcache.Key
		want     string
		readable string
	}{
		{key: httpcache.Key{Method: "GET", Path: "/api/products"}, want: "GET@ /api/products"},
		{key: httpcache.Key{Method: "HEAD", Path: "/api/products"}, want: "GET@ /api/products"},
		{key: httpcache.Key{Method: "GET", Host: "Shop.Example", Path: "/"}, want: "GET@shop.example /"},
		{key: httpcache.Key{
			Method: "GET", Path: "/p", Query: []httpcache.Input{
				{"tag", "b"}, {"tag", "a"}, {"language", "fr"}, {"empty", ""},
			},
		}, want: "GET@ /p?empty=&language=fr&tag=b&tag=a"},
		{
			key: httpcache.Key{
				Method: "GET", Path: "/p",
				Headers: []httpcache.Input{{"X-Tenant", "1"}, {"Authorization", "Bearer x"}, {"Cookie", "a"}},
				Cookies: []httpcache.Input{{"session", "s"}},
			},
			want:     "GET@ /p h:authorization=Bearer%20x h:cookie=a h:x-tenant=1 c:session=s",
			readable: "GET@ /p h:authorization=•••• h:cookie=•••• h:x-tenant=1 c:session=••••",
		},
		{
			key:  httpcache.Key{Method: "GET", Path: "/a?b=c d%", Query: []httpcache.Input{{"q&", "زيت=1\n"}}},
			want: "GET@ /a%3Fb%3Dc%20d%25?q%26=زيت%3D1%0A",
		},
	} {
		if test.readable == "" {
			test.readable = test.want
		}
		if got := test.key.String(); got != test.want {
			t.Errorf("key %s; want %s", got, test.want)
		}
		if got := test.key.Readable(); got != test.readable {
			t.Errorf("readable %s; want %s", got, test.readable)
		}
	}
}

func TestKeyLeavesItsInputsAlone(t *testing.T) {
	key := httpcache.Key{
		Query:   []httpcache.Input{{"b", "1"}, {"a", "2"}},
		Headers: []httpcache.Input{{"B", "1"}, {"A", "2"}},
	}
	_ = key.String()
	if key.Query[0].Name != "b" || key.Headers[0].Name != "B" {
		t.Errorf("%+v", key)
	}
}

// FuzzKeyIsInjective takes keys apart again: two keys that differ can't have one string if each string gives back its key.
func FuzzKeyIsInjective(f *testing.F) {
	for _, key := range []httpcache.Key{
		{Method: "GET", Path: "/"},
		{Method: "GET", Host: "\xffK\u212a", Path: "/\xfe"},
		{Method: "HEAD", Host: "h", Path: "/a b?c=d&e h:f=g c:i=j"},
		{Path: "", Query: []httpcache.Input{{"", ""}, {"", ""}, {"a=b", ""}, {"a", "b=c&d"}}},
		{
			Path: "/", Headers: []httpcache.Input{{"x", "1 h:y=2"}, {"Y", "c:z=3"}},
			Cookies: []httpcache.Input{{"%41", "%"}},
		},
		{
			Path: "/", Query: []httpcache.Input{{"q", "1 c:a=2"}},
			Cookies: []httpcache.Input{{"a", "2"}, {"@", "\x00\xff"}},
		},
	} {
		b, err := json.Marshal([3][]httpcache.Input{key.Query, key.Headers, key.Cookies})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(key.Method, key.Host, key.Path, b)
	}
	f.Fuzz(func(t *testing.T, method, host, path string, inputs []byte) {
		var lists [3][]httpcache.Input
		if json.Unmarshal(inputs, &lists) != nil {
			return
		}
		key := httpcache.Key{Method: method, Host: host, Path: path, Query: lists[0], Headers: lists[1], Cookies: lists[2]}
		want := httpcache.Key{
			Method: method, Host: lower(host), Path: path,
			Query: pairs(lists[0], false), Headers: pairs(lists[1], true), Cookies: pairs(lists[2], false),
		}
		if method == "HEAD" {
			want.Method = "GET"
		}
		if got := parse(t, key.String()); !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis %#v\nnot %#v", key.String(), got, want)
		}
	})
}

// pairs returns inputs as a key compares them: by name.
func pairs(inputs []httpcache.Input, fold bool) []httpcache.Input {
	var list []httpcache.Input
	for _, in := range inputs {
		if fold {
			in.Name = lower(in.Name)
		}
		list = append(list, in)
	}
	slices.SortStableFunc(list, func(a, b httpcache.Input) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// lower folds ASCII only: \xfe, \xff and the Kelvin sign stay what they are.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// parse takes the string of a key apart.
func parse(t *testing.T, s string) httpcache.Key {
	unescape := func(s string) string {
		s, err := url.PathUnescape(s)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	pair := func(s string) httpcache.Input {
		name, value, _ := strings.Cut(s, "=")
		return httpcache.Input{Name: unescape(name), Value: unescape(value)}
	}
	parts := strings.Split(s, " ")
	method, host, _ := strings.Cut(parts[0], "@")
	path, query, asked := strings.Cut(parts[1], "?")
	key := httpcache.Key{Method: unescape(method), Host: unescape(host), Path: unescape(path)}
	if asked {
		for p := range strings.SplitSeq(query, "&") {
			key.Query = append(key.Query, pair(p))
		}
	}
	for _, part := range parts[2:] {
		if rest, ok := strings.CutPrefix(part, "h:"); ok {
			key.Headers = append(key.Headers, pair(rest))
		} else {
			key.Cookies = append(key.Cookies, pair(strings.TrimPrefix(part, "c:")))
		}
	}
	return key
}

func BenchmarkKey(b *testing.B) {
	key := httpcache.Key{
		Method: "GET", Path: "/api/products",
		Query: []httpcache.Input{{"language", "fr"}, {"limit", "10"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = key.String()
	}
}
