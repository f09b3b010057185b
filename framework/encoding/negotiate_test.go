package encoding_test

import (
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/encoding"
)

var serverOrder = []string{"br", "zstd", "gzip"}

func TestNegotiate(t *testing.T) {
	for _, test := range []struct {
		clause, accept string
		offered        []string
		want           string
		unacceptable   bool
	}{
		// RFC 9110, section 12.5.3, and the examples in it.
		{clause: "9110 12.5.3: no field, any coding; we send none", accept: "", want: "identity"},
		{clause: "9110 12.5.3 example", accept: "compress, gzip", want: "gzip"},
		{clause: "9110 12.5.3 example", accept: "*", want: "br"},
		{clause: "9110 12.5.3 example", accept: "compress;q=0.5, gzip;q=1.0", want: "gzip"},
		{clause: "9110 12.5.3 example", accept: "gzip;q=1.0, identity; q=0.5, *;q=0", want: "gzip"},
		{clause: "9110 12.5.3: * is any coding not listed", accept: "br;q=0, *", want: "zstd"},
		{clause: "9110 12.5.3: q=0 is not acceptable", accept: "br;q=0, zstd;q=0, gzip;q=0", want: "identity"},
		{clause: "9110 12.5.3: q=0 is not acceptable", accept: "gzip;q=0.000", want: "identity"},
		{clause: "9110 12.5.3: identity unless excluded", accept: "deflate", want: "identity"},
		{clause: "9110 12.5.3: identity;q=0", accept: "identity;q=0", want: "identity", unacceptable: true},
		{clause: "9110 12.5.3: identity;q=0", accept: "gzip, identity;q=0", want: "gzip"},
		{clause: "9110 12.5.3: *;q=0 excludes identity", accept: "*;q=0", want: "identity", unacceptable: true},
		{clause: "9110 12.5.3: *;q=0 with identity listed", accept: "*;q=0, identity", want: "identity"},
		{clause: "9110 12.5.3: identity preferred", accept: "identity, gzip;q=0.5", want: "identity"},
		{clause: "9110 12.5.3: identity by *", accept: "gzip;q=0.2, *;q=0.5", offered: []string{"gzip"}, want: "identity"},
		{clause: "9110 12.4.2: higher weight first", accept: "br;q=0.8, gzip;q=0.9", want: "gzip"},
		{clause: "9110 12.4.2: three decimals", accept: "br;q=0.998, gzip;q=0.999", want: "gzip"},
		{clause: "9110 12.4.2: Q in either case", accept: "gzip;Q=1.0, br;q=0.1", want: "gzip"},
		{clause: "server order among equals", accept: "gzip, deflate, br, zstd", want: "br"},
		{clause: "server order among equals", accept: "gzip, zstd", offered: []string{"gzip", "zstd"}, want: "gzip"},
		{clause: "9110 5.6.1: no spaces needed", accept: "gzip,br", want: "br"},
		{clause: "9110 5.6.1: empty members", accept: ",, gzip ,", want: "gzip"},
		{clause: "9110 5.3: lines joined", accept: strings.Join([]string{"gzip;q=0.5", "zstd"}, ", "), want: "zstd"},
		{clause: "9110 5.6.3: optional white space", accept: "\tgzip\t;\tq=1.0 ", want: "gzip"},
		{clause: "9110 8.4.1: codings in either case", accept: "GZIP", want: "gzip"},
		{clause: "9110 8.4.1.3: x-gzip", accept: "x-gzip", want: "gzip"},
		{clause: "9110 8.4.1.3: x-gzip", accept: "x-gzip;q=0, *;q=0.1", offered: []string{"gzip"}, want: "identity"},
		{clause: "malformed weight: member ignored", accept: "gzip;q=2", want: "identity"},
		{clause: "malformed weight: member ignored", accept: "gzip;q=-1", want: "identity"},
		{clause: "malformed weight: member ignored", accept: "gzip;q=0.1234", want: "identity"},
		{clause: "malformed weight: member ignored", accept: "gzip;q=1.001", want: "identity"},
		{clause: "malformed weight: member ignored", accept: "gzip;q=", want: "identity"},
		{clause: "malformed weight: member ignored", accept: "gzip;q", want: "identity"},
		{clause: "malformed weight: member ignored", accept: "gzip;level=9", want: "identity"},
		{clause: "malformed weight: member ignored", accept: "br;q=x, gzip", want: "gzip"},
		{clause: "first of two counts", accept: "gzip;q=0, gzip", want: "identity"},
		{clause: "nothing offered", accept: "gzip", offered: []string{}, want: "identity"},
	} {
		if test.offered == nil {
			test.offered = serverOrder
		}
		got, acceptable := encoding.Negotiate(test.accept, test.offered)
		if got != test.want || acceptable == test.unacceptable {
			t.Errorf("%s: Negotiate(%q, %q) = %q, %v", test.clause, test.accept, test.offered, got, acceptable)
		}
	}
}

func TestNegotiateAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { encoding.Negotiate("gzip, deflate, br;q=0.9, zstd", serverOrder) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNegotiate(b *testing.B) {
	for b.Loop() {
		encoding.Negotiate("gzip, deflate, br, zstd", serverOrder)
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, seed := range []string{
		"", "*", "gzip", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8, *;q=0.1", "identity;q=0", "gzip;q=0,*;q=0", "x-gzip;Q=.5",
		"gzip;q=1.000,,;;==,br;q=00", "\"gzip, br\"", "gzip;q=0.9999", "\x00gzip", strings.Repeat("gzip;q=0.1,", 100),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		got, acceptable := encoding.Negotiate(accept, serverOrder)
		lower := strings.ToLower(accept)
		switch {
		case got == encoding.Identity:
			if !acceptable && !strings.Contains(lower, "q=0") {
				t.Errorf("%q refuses identity without a weight of 0", accept)
			}
		case !acceptable:
			t.Errorf("%q: chose %s as unacceptable", accept, got)
		case !strings.Contains(lower, got) && !strings.Contains(lower, "*"):
			t.Errorf("%q does not accept %s", accept, got)
		}
		if again, _ := encoding.Negotiate(accept+",", serverOrder); again != got {
			t.Errorf("%q: an empty member changes %s to %s", accept, got, again)
		}
		for _, coding := range serverOrder {
			if only, _ := encoding.Negotiate(coding+";q=0,"+accept, []string{coding}); only != encoding.Identity {
				t.Errorf("%q: chose %s, which was refused", accept, coding)
			}
		}
	})
}

func TestCompressible(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/json":                          true,
		"application/json; charset=utf-8":           true,
		"APPLICATION/JSON":                          true,
		"application/problem+json":                  true,
		"application/vnd.api+json;version=1":        true,
		"application/xml":                           true,
		"application/rss+xml":                       true,
		"image/svg+xml":                             true,
		"text/html":                                 true,
		" text/plain ; version=0.0.4":               true,
		"text/css":                                  true,
		"text/javascript":                           true,
		"application/javascript":                    true,
		"application/wasm":                          true,
		"application/x-ndjson":                      true,
		"application/openmetrics-text; version=1.0": true,
		"font/ttf":                                  true,
		"text/event-stream":                         false,
		"text/event-stream; charset=utf-8":          false,
		"image/png":                                 false,
		"image/webp":                                false,
		"video/mp4":                                 false,
		"audio/mpeg":                                false,
		"application/zip":                           false,
		"application/gzip":                          false,
		"application/octet-stream":                  false,
		"application/pdf":                           false,
		"font/woff2":                                false,
		"":                                          false,
		"text":                                      false,
		"text/":                                     false,
		"json":                                      false,
		"application/jsonish":                       false,
	} {
		if got := encoding.Compressible(contentType); got != want {
			t.Errorf("Compressible(%q) = %v", contentType, got)
		}
	}
}
