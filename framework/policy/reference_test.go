package policy

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shopOptions have a key of every type.
type shopOptions struct {
	File     string                `toml:"file" doc:"Data file | or none." check:"required"`
	Currency string                `toml:"currency" doc:"Currency of prices." check:"oneof=DZD|EUR"`
	Limit    int                   `toml:"limit" doc:"Results of a search." check:"min=1,max=100"`
	Boost    float64               `toml:"boost" doc:"Weight of the name." check:"min=0"`
	Refresh  Duration              `toml:"refresh" doc:"How often the file is read again." check:"min=1s,max=1d"`
	Page     Size                  `toml:"page" doc:"Size of a page." check:"max=1MiB"`
	Key      Secret                `toml:"key" doc:"Key of the shop."`
	Open     bool                  `toml:"open" doc:"Whether the shop is open."`
	Names    map[string]string     `toml:"names" doc:"Display names."`
	Bundles  []shopBundle          `toml:"bundles" doc:"What is sold together."`
	Search   shopSearch            `toml:"search" doc:"How search works."`
	Brands   map[string]shopBundle `toml:"brands" doc:"Brands by their short name." check:"nonempty"`
}

type shopBundle struct {
	Name string `toml:"name" doc:"Name of the bundle." check:"required"`
}

type shopSearch struct {
	Fields []string `toml:"fields" doc:"Fields that are searched." check:"nonempty,oneof=name|usage"`
}

var shop = Vocabulary{Plugins: []Plugin{
	{Name: "health", Doc: "Says whether the service is well.", Handlers: []Handler{{Name: "health", Doc: "Answers the status."}}},
	{
		Name: "shop", Doc: "Serves the shop's data.",
		Options: shopOptions{
			Currency: "EUR", Limit: 10, Boost: 2, Refresh: Duration(60e9), Page: 64 << 10,
			Search: shopSearch{Fields: []string{"name"}},
		},
		Handlers: []Handler{
			{Name: "shop.search", Doc: "Finds products.", Reads: Inputs{Query: []string{"q", "limit"}, Headers: []string{"Accept-Language"}}},
			{Name: "shop.cart", Doc: "Shows the cart.", Reads: Inputs{Cookies: []string{"cart"}}},
		},
	},
}}

func TestReference(t *testing.T) {
	got := Reference(shop)
	for _, want := range []string{
		"\n### Top level\n\n| key | type | default | what it does |\n|---|---|---|---|\n" +
			"| `version` | integer | required | Version of the policy",
		"\n### `[server]`\n\n| key |",
		"| `body_limit` | size | `\"1MiB\"` | " +
			"Largest request body; a larger one is answered 413. From 1KiB to 1GiB. |",
		"\n### `[server.tls]`\n",
		"\n### `[[log.sinks]]`\n",
		"\n### `[routes.cache]`\n",
		"| `ttl` | duration | that of `defaults.cache.ttl` |",
		"| `timeout` | duration | that of `defaults.timeout` |",
		"| `idle` | duration | that of `defaults.stream.idle` |",
		"| `level` | string | that of `log.level` |",
		"| `latency` | duration |  | Time within",
		"| `password` | secret |  | Password",
		"| `encodings` | list of string | `[\"br\", \"zstd\", \"gzip\"]` | " +
			"Encodings offered, the preferred one first. One of gzip, br or zstd. |",
		"\n### Plugin `health`\n\nSays whether the service is well.\n\n" +
			"| handler | reads | what it does |\n|---|---|---|\n| `health` |  | Answers",
		"| `shop.search` | query `q`, `limit`; headers `Accept-Language` | Finds products. |",
		"| `shop.cart` | cookies `cart` | Shows the cart. |",
		"\nOptions, in `[plugins.shop]`:\n\n| key |",
		"| `file` | string | required | Data file \\| or none. |",
		"| `boost` | float | `2.0` | Weight of the name. At least 0. |",
		"| `page` | size | `\"64KiB\"` | Size of a page. At most 1MiB. |",
		"| `names` | map of string |  | Display names. |",
		"| `bundles` | array of tables |  | What is sold together. |",
		"\n### `[[plugins.shop.bundles]]`\n",
		"\n### `[plugins.shop.search]`\n",
		"\n### `[plugins.shop.brands.NAME]`\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.Contains(got, "[plugins]") || Reference(shop) != got {
		t.Error("plugins have a section of keys, or two calls differ")
	}
	cells := regexp.MustCompile(`(?m)^\|(([^|\\\n]|\\.)*\|){3,4}$`)
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "|") && !cells.MatchString(line) {
			t.Errorf("not a row: %s", line)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// TestReferenceNamesEveryKey walks the described keys, so that a new kind of table cannot be left out.
func TestReferenceNamesEveryKey(t *testing.T) {
	sections := strings.Split(Reference(shop), "\n### ")
	var walk func(k *Key, path []string)
	walk = func(k *Key, path []string) {
		if k.Elem != nil {
			k = k.Elem
		}
		for _, child := range k.Keys {
			below := append(slices.Clip(path), child.Name)
			walk(child, below)
			if below[0] == "plugins" && len(below) < 3 {
				continue // a plugin's own section
			}
			var found bool
			for _, section := range sections {
				heading, rows, _ := strings.Cut(section, "\n")
				name := strings.TrimSuffix(strings.Trim(heading, "`[]"), ".NAME")
				own := name == strings.Join(path, ".") || len(path) == 0 && name == "Top level" ||
					len(path) == 2 && path[0] == "plugins" && heading == "Plugin `"+path[1]+"`"
				found = found || own && strings.Contains(rows, "\n| `"+child.Name+"` | ")
			}
			if !found {
				t.Errorf("lacks %s", strings.Join(below, "."))
			}
		}
	}
	walk(Describe(shop), nil)
}
