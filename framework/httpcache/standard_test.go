package httpcache

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func FuzzCacheControl(f *testing.F) {
	for _, s := range []string{
		"max-age=100", `no-cache="a, b", private="c"`, `foo="bar\"", no-store`, "max-age=100, max-age=x", `"`, `a="b`, "=,=", "s-maxage=99999999999999999999",
		"max-age=100.5;x=y, (1 2);q, foo=?0", "max-stale, min-fresh=1, only-if-cached",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, name := range []string{"Cache-Control", "Cdn-Cache-Control"} {
			h := http.Header{name: {s}}
			c := responseControl(h)
			for _, d := range []delta{c.maxAge, c.sMaxAge, c.staleWhileRevalidate, c.staleIfError} {
				if d.seconds < 0 || d.seconds > maxDelta*time.Second || d.valid && !d.given {
					t.Errorf("%q: %+v", s, d)
				}
			}
			now := time.Now()
			if life, _ := freshnessLifetime(&c, h, http.StatusOK, now, now); life < 0 {
				t.Errorf("%q is fresh for %v", s, life)
			}
			if both := (http.Header{name: {s, "no-store"}}); name == "Cache-Control" && !responseControl(both).noStore {
				t.Errorf("%q hides no-store in another line", s)
			}
		}
		requestDirectives([]string{s})
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "0", "", "Sun, 06 Nov 1994 08:49:37 EST",
		"Sunday, 29-Feb-00 08:49:37 GMT",
	} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		date, ok := parseDate(s, now)
		if !ok {
			return
		}
		if again, ok := parseDate(date.Format(http.TimeFormat), now); !ok || !again.Equal(date) {
			t.Errorf("%q is %v, which reads %v %v", s, date, again, ok)
		}
		if date.Location() != time.UTC {
			t.Errorf("%q is in %v", s, date.Location())
		}
	})
}

func TestYearsOfTwoDigits(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for in, want := range map[string]int{
		"Sunday, 06-Nov-94 08:49:37 GMT": 1994, "Monday, 06-Nov-76 08:49:37 GMT": 2076, "Monday, 06-Dec-76 08:49:37 GMT": 1976,
		"Monday, 06-Nov-00 08:49:37 GMT": 2000, "Monday, 06-Nov-26 08:49:37 GMT": 2026,
	} {
		if got, ok := parseDate(in, now); !ok || got.Year() != want {
			t.Errorf("%s is of %d (%v), want %d", in, got.Year(), ok, want)
		}
	}
}

func FuzzAge(f *testing.F) {
	for _, s := range []string{"0", "7200", "-1", "1.5", "7200, 0", `"7200"`, "99999999999999999999999", ",", " 7 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if age := ageValue(http.Header{"Age": {s}}); age < 0 || age > maxDelta*time.Second {
			t.Errorf("%q is %v", s, age)
		}
	})
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-4", "bytes=-3", "bytes=5-", "bytes=9-2", "lines=1-2", "bytes=0-1,3-4", "bytes=99999999999999999999-"} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, s string, size int) {
		size = max(0, min(size, 1<<20))
		start, end, kind := parseRange(s, size)
		if kind == rangeSatisfiable && (start < 0 || start >= end || end > size) {
			t.Errorf("%q of %d is %d to %d", s, size, start, end)
		}
	})
}

func resourceForTest() *resource {
	fields := []field{{"Cache-Control", "max-age=100"}, {"Etag", `"a"`}, {"Vary", "X-A"}}
	one := newStored(http.StatusOK, fields, []byte("one"), time.Unix(1_700_000_000, 5))
	one.age, one.secondary = 7*time.Second, "\x011\n"
	two := newStored(http.StatusNotFound, fields[:1], nil, time.Unix(1_700_000_001, 0))
	return &resource{variants: []*stored{one, two}}
}

func TestResourceSurvivesTheSharedLayer(t *testing.T) {
	r := resourceForTest()
	got, ok := unmarshalResource(r.marshal(1<<20), []string{"tag"})
	if !ok || len(got.variants) != 2 {
		t.Fatalf("%+v %v", got, ok)
	}
	for i, v := range got.variants {
		want := r.variants[i]
		if v.status != want.status || !slices.Equal(v.fields, want.fields) || !bytes.Equal(v.body, want.body) || v.age != want.age ||
			!v.arrived.Equal(want.arrived) || v.secondary != want.secondary || v.lifetime != want.lifetime || v.etag != want.etag {
			t.Errorf("response %d is %+v, want %+v", i, v, want)
		}
	}
	if got, ok := unmarshalResource(r.marshal(storedBytes), nil); !ok || len(got.variants) != 1 {
		t.Error("what does not fit must go, and the first must stay")
	}
	if _, ok := unmarshal(r.marshal(1<<20), nil); ok {
		t.Error("policy mode takes what standard mode wrote for its own")
	}
	policy := newRepresentation((&Response{Body: []byte("x")}).normalized(), time.Now())
	if _, ok := unmarshalResource(policy.marshal(1<<20), nil); ok {
		t.Error("standard mode takes what policy mode wrote for its own")
	}
}

func FuzzResource(f *testing.F) {
	b := resourceForTest().marshal(1 << 20)
	f.Add(b)
	f.Add(b[:len(b)-3])
	f.Add([]byte{resourceFormat})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := unmarshalResource(b, nil)
		if !ok {
			return
		}
		r.choose(&StandardRequest{Method: http.MethodGet, Values: http.Header{"Range": {"bytes=1-2"}}.Values})
		if again, ok := unmarshalResource(r.marshal(1<<30), nil); !ok || len(again.variants) != len(r.variants) {
			t.Error("what was read can't be written and read again")
		}
	})
}

func FuzzTargetKey(f *testing.F) {
	f.Add("scope", "shop.example", "/a?b=c", "scope", "shop.example", "/a%3fb=c")
	f.Add("s", "a b", "/c", "s", "a", "b /c")
	f.Fuzz(func(t *testing.T, scope, host, target, scope2, host2, target2 string) {
		same := scope == scope2 && lower(host) == lower(host2) && target == target2
		if (TargetKey(scope, host, target) == TargetKey(scope2, host2, target2)) != same {
			t.Errorf("%q %q %q and %q %q %q", scope, host, target, scope2, host2, target2)
		}
	})
}

func TestVariantsAreBounded(t *testing.T) {
	rule := &StandardRule{MaxEntry: 1 << 10}
	var r *resource
	for i := range 3 * maxVariants {
		v := newStored(http.StatusOK, []field{{"Vary", "X-A"}, {"Cache-Control", "max-age=100"}}, make([]byte, 100), time.Now())
		value := strings.Repeat("x", i+1)
		req := &StandardRequest{Values: func(string) []string { return []string{value} }}
		v.secondary = secondary(v.vary, req.Values)
		r = r.with(v, nil, req, rule)
	}
	total := 0
	for _, v := range r.variants {
		total += len(v.body)
	}
	if len(r.variants) > maxVariants || total > maxVariantsSize*rule.MaxEntry {
		t.Errorf("%d variants of %d bytes", len(r.variants), total)
	}
}
