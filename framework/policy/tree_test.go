package policy

import (
	"strings"
	"testing"
)

func TestDescribeCoversThePolicy(t *testing.T) {
	root := Describe(Vocabulary{Plugins: []Plugin{{Name: "bare", Doc: "Has no options."}}})
	for _, test := range []struct {
		path, def string
		typ       Type
	}{
		{"version", "", TypeInteger},
		{"server", "", TypeTable},
		{"server.body_limit", `"1MiB"`, TypeSize},
		{"server.admin_token", `""`, TypeSecret},
		{"compression.encodings", `["br", "zstd", "gzip"]`, TypeList},
		{"log.access.sample", "1.0", TypeFloat},
		{"log.sinks", "", TypeList},
		{"presets.cache_control", `{ long = "1d", medium = "1h", none = "0s", short = "5m", static = "1w" }`, TypeMap},
		{"plugins", "", TypeTable},
		{"plugins.bare", "", TypeTable},
		{"routes", "", TypeList},
		{"routes.handler", "", TypeString},
		{"routes.timeout", `"30s"`, TypeDuration},
		{"routes.cache.ttl", `"5m"`, TypeDuration},
	} {
		key := root
		for name := range strings.SplitSeq(test.path, ".") {
			if key.Elem != nil {
				key = key.Elem
			}
			if key = key.Key(name); key == nil {
				t.Fatalf("no key %s", test.path)
			}
		}
		if key.Type != test.typ || key.Default != test.def || key.Doc == "" {
			t.Errorf("%s is a %s with default %s and doc %q", test.path, key.Type, key.Default, key.Doc)
		}
	}
	if encodings := root.Key("compression").Key("encodings"); !encodings.Rules.NonEmpty || len(encodings.Elem.Rules.OneOf) != 3 {
		t.Errorf("rules of a list and its elements: %+v, %+v", encodings.Rules, encodings.Elem.Rules)
	}
}

func TestDescribeRefusesWhatItCannotDescribe(t *testing.T) {
	for _, options := range []any{
		struct {
			C chan int `toml:"c"`
		}{},
		struct {
			S string `toml:"s" check:"min=3"`
		}{},
		struct {
			S string `toml:"s" check:"sometimes"`
		}{},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T was described", options)
				}
			}()
			Describe(Vocabulary{Plugins: []Plugin{{Name: "p", Options: options}}})
		}()
	}
}
