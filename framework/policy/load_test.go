package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files of Load, Explain and LoadTests")

// hush stands for every secret in testdata.
const hush = "hunter2"

// testCase is a policy of testdata with what the comments at its top say: # env: NAME=value, # flag: path=value and
// # explain: METHOD TARGET.
type testCase struct {
	src      Source
	layers   Layers
	explains []string
}

func openCase(t testing.TB, file string) testCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := testCase{src: Source{Name: file, Text: text}, layers: Layers{Flags: map[string]string{}}}
	for line := range strings.Lines(string(trimBOM(text))) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch what {
		case "# env":
			c.layers.Env = append(c.layers.Env, rest)
		case "# flag":
			name, value, _ := strings.Cut(rest, "=")
			c.layers.Flags[name] = value
		case "# explain":
			c.explains = append(c.explains, rest)
		}
	}
	return c
}

// readCase reads the source and the layers of a policy of testdata.
func readCase(t testing.TB, file string) (Source, Layers) {
	t.Helper()
	c := openCase(t, file)
	return c.src, c.layers
}

func (c testCase) load(t testing.TB) *Policy {
	t.Helper()
	p, problems := Load(c.src, testVocabulary(), c.layers)
	if p == nil || len(problems) > 0 {
		t.Fatalf("%s has problems:\n%v", c.src.Name, problems)
	}
	return p
}

// golden compares got with a file, or writes the file with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with go test -update", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", file, got, want)
	}
}

func caseFiles(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.toml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no policies in %s: %v", folder, err)
	}
	return files
}

func TestBadPolicies(t *testing.T) {
	t.Chdir("testdata/bad")
	seen := map[string]bool{}
	for _, file := range caseFiles(t, ".") {
		name := strings.TrimSuffix(file, ".toml")
		t.Run(name, func(t *testing.T) {
			c := openCase(t, file)
			p, problems := Load(c.src, testVocabulary(), c.layers)
			if p != nil || len(problems) == 0 {
				t.Fatal("loaded without a problem")
			}
			var text bytes.Buffer
			if err := problems.WriteText(&text, c.src, true); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".want", text.String())
			for _, problem := range problems {
				seen[problem.Kind] = true
			}
			if strings.Contains(text.String(), hush) && name != "reference_in_options" {
				t.Error("a secret is shown")
			}
		})
	}
	for _, kind := range problemKinds {
		if !seen[kind] {
			t.Errorf("no policy in testdata/bad has a problem of kind %s", kind)
		}
		delete(seen, kind)
	}
	if len(seen) > 0 {
		t.Errorf("problemKinds lacks %v", seen)
	}
}

func TestGoodPolicies(t *testing.T) {
	t.Chdir("testdata/good")
	for _, file := range caseFiles(t, ".") {
		name := strings.TrimSuffix(file, ".toml")
		t.Run(name, func(t *testing.T) {
			c := openCase(t, file)
			p := c.load(t)
			var text bytes.Buffer
			for _, request := range c.explains {
				method, target, _ := strings.Cut(request, " ")
				if err := p.Explain(method, target, []string{"recover", "route", "handler"}).WriteText(&text); err != nil {
					t.Fatal(err)
				}
				text.WriteByte('\n')
			}
			golden(t, name+".want", text.String())
			if strings.Contains(text.String(), hush) {
				t.Error("a secret is shown")
			}
			printed := fmt.Sprintf("%v %+v %#v", p.Server, p.Cache, p.Plugins["pay"])
			if name == "full" && strings.Contains(printed, hush) {
				t.Errorf("a secret is printed: %s", printed)
			}
		})
	}
}

// TestFullPolicyNamesEveryKey keeps testdata/good/full.toml complete, since other tests take it for all of the language.
func TestFullPolicyNamesEveryKey(t *testing.T) {
	p := openCase(t, "testdata/good/full.toml").load(t)
	var walk func(key *Key, path string)
	walk = func(key *Key, path string) {
		for _, child := range key.Keys {
			at := join(path, child.Name)
			if child.Type == TypeList && child.Elem.Type == TypeTable {
				for _, grandchild := range child.Elem.Keys {
					written := false
					for i := range 3 {
						_, ok := p.meta.places[join(element(at, i), grandchild.Name)]
						written = written || ok
					}
					if !written {
						t.Errorf("%s[].%s is not in full.toml", at, grandchild.Name)
					}
				}
				continue
			}
			if p.Origin(at).Kind != FromFile && !strings.HasPrefix(at, "plugins.") {
				t.Errorf("%s is not in full.toml", at)
			}
			walk(child, at)
		}
	}
	walk(Describe(testVocabulary()), "")
}

func TestDefaultsAndInheritance(t *testing.T) {
	p := load(t, `
version = 1
defaults = { timeout = "7s", slow = "2s", stream = { idle = "1s" }, cache = { ttl = "9m" } }
log = { level = "warn", sinks = [{ type = "stdout" }, { type = "stderr", level = "error" }] }
[presets.cache_control]
short = "1m"
[[routes]]
path = "/a"
handler = "catalog.search"
cache = {}
[[routes]]
path = "/b"
handler = "chat.stream"
timeout = "1s"
`, Layers{})
	want := defaultRoute(p.Defaults)
	want.Path, want.Handler = "/a", "catalog.search"
	want.Cache = &RouteCache{
		Mode: "policy",
		TTL:  Duration(9 * time.Minute), Query: []string{"q", "language"}, Headers: []string{"Accept-Language"},
	}
	if !reflect.DeepEqual(p.Routes[0], want) {
		t.Errorf("route is %+v, want %+v", p.Routes[0], want)
	}
	if want.Timeout.D() != 7*time.Second || want.Stream.Idle.D() != time.Second || want.Stream.Max.D() != 10*time.Minute {
		t.Errorf("defaults are %+v", p.Defaults)
	}
	if r := p.Routes[1]; r.Compress || r.Timeout.D() != time.Second || r.Slow.D() != 2*time.Second || r.Cache != nil {
		t.Errorf("streaming route is %+v", r)
	}
	if p.Log.Sinks[0].Level != "warn" || p.Log.Sinks[1].Level != "error" || p.Log.Sinks[0].Format != "text" {
		t.Errorf("sinks are %+v", p.Log.Sinks)
	}
	if presets := p.Presets.CacheControl; presets["short"].D() != time.Minute || presets["long"].D() != 24*time.Hour {
		t.Errorf("presets are %v", presets)
	}
	if p.File() != "test.toml" {
		t.Errorf("file is %q", p.File())
	}
	for path, origin := range map[string]string{
		"routes[0]":           "test.toml:7:3",
		"routes[0].timeout":   "test.toml:3:14",
		"routes[0].cache.ttl": "test.toml:3:79",
		"routes[1].timeout":   "test.toml:14:1",
		"routes[1].audience":  "default",
		"log.sinks[0].level":  "test.toml:4:9",
		"server.listen":       "default",
	} {
		if got := p.Origin(path).String(); got != origin {
			t.Errorf("%s comes from %s, want %s", path, got, origin)
		}
	}
}

func TestOptions(t *testing.T) {
	vocab := testVocabulary()
	defaults := vocab.Plugins[1].Options.(catalogOptions)
	p := load(t, "version = 1\n", Layers{})
	if !reflect.DeepEqual(p.Plugins["catalog"], any(defaults)) {
		t.Errorf("options without a table are %+v", p.Plugins["catalog"])
	}
	if options, there := p.Plugins["health"]; !there || options != nil {
		t.Errorf("options of a plugin that has none are %v", options)
	}
	c := openCase(t, "testdata/good/full.toml")
	full, problems := Load(c.src, vocab, c.layers)
	if problems != nil {
		t.Fatal(problems)
	}
	options := full.Plugins["catalog"].(catalogOptions)
	if options.Ratio != 1 || options.Sizes[0] != "L" || options.Allow[1].String() != "::1/128" || !options.Extra.Fuzzy ||
		options.Feeds[0].Token.Reveal() != hush || options.Labels["a.b"] != "c" {
		t.Errorf("options are %+v", options)
	}
	if want := map[string]int{"name": 5, "text": 1, "long text": 2}; !reflect.DeepEqual(options.Weights, want) {
		t.Errorf("weights are %v, want %v", options.Weights, want)
	}
	if got := vocab.Plugins[1].Options; !reflect.DeepEqual(got, any(defaults)) || defaults.Weights["name"] != 3 {
		t.Error("loading a policy changed the plugin's defaults")
	}
}

func TestReferences(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"secret": "from file\r\n", "lines": "a\nb\n\n", "large": strings.Repeat("x", 65<<10), "binary": "\xff\xfe",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for value, want := range map[string]string{
		"${env:A}":                     "alpha",
		"${env:A}-${env:B}/${env:A}":   "alpha-be$a/alpha",
		"$$${env:A}$":                  "$alpha$",
		"${env:A:-x}${env:C:-y:-z}":    "alphay:-z",
		"${env:EMPTY:-x}/${env:D:-}":   "x/",
		"$${env:A} costs $5":           "${env:A} costs $5",
		"${file:secret}":               "from file",
		"${file:lines}":                "a\nb\n",
		"${file:" + folder + "/lines}": "a\nb\n",
	} {
		text := "version = 1\nplugins.pay.url = '" + value + "'\nplugins.pay.key = 'x'\n"
		src := Source{Name: filepath.Join(folder, "p.toml"), Text: []byte(text)}
		p, problems := Load(src, testVocabulary(), Layers{Env: []string{"A=alpha", "B=be$a", "EMPTY="}})
		if problems != nil {
			t.Errorf("%s: %v", value, problems)
		} else if got := p.Plugins["pay"].(payOptions).URL; got != want {
			t.Errorf("%s is %q, want %q", value, got, want)
		}
	}
	for _, name := range []string{"large", "binary", "missing", "."} {
		text := "version = 1\nserver.admin_token = '${file:" + name + "}'\n"
		src := Source{Name: filepath.Join(folder, "p.toml"), Text: []byte(text)}
		if _, problems := Load(src, testVocabulary(), Layers{}); len(problems) != 1 || problems[0].Kind != kindReference {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestLayers(t *testing.T) {
	text := `
version = 1
log.sinks = [{ type = "stdout" }]
cache.redis.host = "file"
[presets.cache_control]
Poster-2 = "1h"
[[routes]]
path = "/a"
handler = "health"
headers = { X-Frame-Options = "DENY" }
`
	p := load(t, text, Layers{
		Env: []string{
			"REDIS_HOST=short", "REDIS_PORT=7000", "REDIS_PASSWORD=" + hush, "COMPRESSION_LEVEL=9", "CACHE_TTL_DEFAULT=90",
			"REQUEST_TIMEOUT=1500", "POLICY__CACHE__REDIS__HOST=general", "POLICY__SERVER__LISTEN=:1", "POLICY__SERVER__DRAIN=",
			"POLICY__COMPRESSION__ENCODINGS=gzip, br", "POLICY__LOG__SINKS__0__FORMAT=json", "POLICY__ROUTES__0__CACHE__TTL=3m",
			"POLICY__ROUTES__0__HEADERS__X_FRAME_OPTIONS=SAMEORIGIN", "POLICY__ROUTES__0__CACHE__HOST=true",
			"POLICY__PRESETS__CACHE_CONTROL__POSTER_2=2h", "POLICY__PRESETS__CACHE_CONTROL__NEW=3h",
			"POLICY__PLUGINS__CATALOG__SEARCH__BOOST=1KiB", "POLICY__SERVER__ADMIN_TOKEN=${env:REDIS_PORT}", "PATH=/bin", "=odd",
			"POLICY__LOG__ACCESS__SAMPLE=0.5",
		},
		Flags: map[string]string{"server.listen": ":2", "routes[0].timeout": "4s", "server.admin_token": ""},
	})
	got := []any{
		p.Cache.Redis.Host, p.Cache.Redis.Port, p.Cache.Redis.Password.Reveal(), p.Compression.Level, p.Defaults.Cache.TTL,
		p.Defaults.Timeout, p.Server.Listen, p.Server.Drain, p.Compression.Encodings, p.Log.Sinks[0].Format, p.Routes[0].Cache.TTL,
		p.Routes[0].Headers, p.Routes[0].Cache.Host, p.Presets.CacheControl["Poster-2"], p.Presets.CacheControl["new"],
		p.Plugins["catalog"].(catalogOptions).Search.Boost, p.Routes[0].Timeout, p.Server.AdminToken, p.Log.Access.Sample,
	}
	want := []any{
		"general", 7000, hush, 9, Duration(90 * time.Second),
		Duration(1500 * time.Millisecond), ":2", Duration(20 * time.Second),
		[]string{"gzip", "br"},
		"json", Duration(3 * time.Minute),
		map[string]string{"X-Frame-Options": "SAMEORIGIN"},
		true, Duration(2 * time.Hour), Duration(3 * time.Hour),
		Size(1 << 10), Duration(4 * time.Second), Secret(""), 0.5,
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("value %d is %v, want %v", i, got[i], want[i])
		}
	}
	for path, origin := range map[string]string{
		"cache.redis.host":        "env POLICY__CACHE__REDIS__HOST",
		"cache.redis.port":        "env REDIS_PORT",
		"defaults.timeout":        "env REQUEST_TIMEOUT",
		"server.listen":           "flag --set server.listen",
		"routes[0].timeout":       "flag --set routes[0].timeout",
		"routes[0].slow":          "default",
		"routes[0].cache.ttl":     "env POLICY__ROUTES__0__CACHE__TTL",
		"compression.encodings":   "env POLICY__COMPRESSION__ENCODINGS",
		"routes[0].path":          "test.toml:8:1",
		"server.drain":            "default",
		"log.sinks[0].format":     "env POLICY__LOG__SINKS__0__FORMAT",
		"plugins.catalog.refresh": "default",
	} {
		if got := p.Origin(path).String(); got != origin {
			t.Errorf("%s comes from %s, want %s", path, got, origin)
		}
	}
	if plain := load(t, text, Layers{}); plain.Cache.Redis.Host != "file" || plain.Routes[0].Cache != nil {
		t.Errorf("without layers: %+v", plain.Cache.Redis)
	}
}

func TestHash(t *testing.T) {
	const server, route = "[server]\nlisten = ':1'\nadmin_token = 'a'\nadmin.listen = ':2'\n", "[[routes]]\npath = '/a'\nhandler = 'health'\n"
	base := load(t, "version = 1\n"+server+route, Layers{}).Hash()
	if len(base) != 64 {
		t.Fatalf("hash is %q", base)
	}
	for text, same := range map[string]bool{
		"server = { admin_token = 'a', listen = ':1', admin.listen = ':2' } # other\n[[routes]]\nhandler = 'health'\n\npath = \"/a\"\n": true,
		strings.NewReplacer("':1'", "':3'", "':2'", "':4'").Replace(server) + route:                                                     true,
		strings.Replace(server, "admin.listen = ':2'", "", 1) + route:                                                                   false,
		strings.Replace(server, "'a'", "'b'", 1) + route:                                                                                false,
		server + strings.Replace(route, "health", "health.live", 1):                                                                     false,
		server + route + "slow = '2s'\n":                                                                                                false,
		server + route + route[:11] + "path = '/b'\nhandler = 'health'\n":                                                               false,
		"plugins.catalog.feeds = [{ url = 'a', token = 'b' }]\n" + server + route:                                                       false,
		"plugins.catalog.labels = { a = 'b' }\n" + server + route:                                                                       false,
		server + route + "cache = {}\n":                                                                                                 false,
		"presets.cache_control = { short = '5m', none = '0s' } # as is\n" + server + route:                                              true,
	} {
		if got := load(t, "version = 1\n"+text, Layers{}).Hash(); (got == base) != same {
			t.Errorf("same hash is %t for\n%s", got == base, text)
		}
	}
}

// What instances may differ in is not in it.
func TestAnswersHash(t *testing.T) {
	const route = "[[routes]]\npath = '/a'\nhandler = 'health'\n"
	base := load(t, "version = 1\n"+route, Layers{}).AnswersHash()
	for text, same := range map[string]bool{
		"server = { listen = ':2', admin_token = 'x' }\nlog.level = 'error'\ncache.memory = '1GiB'\n" + route: true,
		route + "timeout = '5s'\n":                       false,
		"presets.cache_control.long = '2d'\n" + route:    false,
		"plugins.catalog.labels = { a = 'b' }\n" + route: false,
	} {
		if got := load(t, "version = 1\n"+text, Layers{}).AnswersHash(); (got == base) != same {
			t.Errorf("same hash is %t for\n%s", got == base, text)
		}
	}
}

func TestLargeFiles(t *testing.T) {
	numbered := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for name, test := range map[string]struct {
		text string
		line int
	}{
		"file":         {strings.Repeat("\n", maxFile+1), 1},
		"keys":         {"[a]\n" + numbered(maxKeys+1, "k%d = 1\n"), maxKeys + 2},
		"tables":       {numbered(maxKeys+1, "[t%d]\n"), maxKeys + 1},
		"list":         {"a = [" + strings.Repeat("1,", maxItems+1) + "]", 1},
		"list of maps": {strings.Repeat("[[a]]\n", maxItems+1), maxItems + 1},
	} {
		p, problems := Load(Source{Name: "p.toml", Text: []byte(test.text)}, testVocabulary(), Layers{})
		if p != nil || len(problems) != 1 || problems[0].Kind != kindSyntax || problems[0].Line != test.line {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestProblems(t *testing.T) {
	problems := Problems{
		{File: "p.toml", Line: 3, Col: 1, Path: "a.b", Kind: kindUnknownKey, What: "unknown key", Hint: "drop it"},
		{File: "env X", Path: "a", Kind: kindEmpty, What: "empty"},
	}
	var err error = problems
	if want := "p.toml:3:1: a.b: unknown key; drop it\nenv X: a: empty"; err.Error() != want {
		t.Errorf("text is %q", err.Error())
	}
	text, err := json.Marshal(problems)
	want := `[{"file":"p.toml","line":3,"col":1,"path":"a.b","kind":"unknown-key","what":"unknown key","hint":"drop it"},` +
		`{"file":"env X","line":0,"col":0,"path":"a","kind":"empty","what":"empty"}]`
	if err != nil || string(text) != want {
		t.Errorf("JSON is %s, %v", text, err)
	}
	var plain strings.Builder
	err = problems.WriteText(&plain, Source{Name: "p.toml", Text: []byte("a\n\nb\n")}, false)
	if err != nil || plain.String() != problems.Error()+"\n" {
		t.Errorf("without carets: %q, %v", plain.String(), err)
	}
}

func TestLoadConcurrently(t *testing.T) {
	c := openCase(t, "testdata/good/full.toml")
	vocab := testVocabulary()
	want := c.load(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			p, problems := Load(c.src, vocab, c.layers)
			if problems != nil || p.Hash() != want.Hash() || want.Explain("GET", "/shop/a", nil).Index != 0 {
				t.Errorf("%v", problems)
			}
		})
	}
	group.Wait()
}

// TestUnknownKeyIsAlwaysAProblem inserts a key at any table of valid policies.
func TestUnknownKeyIsAlwaysAProblem(t *testing.T) {
	var policies []testCase
	for _, file := range caseFiles(t, "testdata/good") {
		policies = append(policies, openCase(t, file))
	}
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(policies).Draw(t, "policy")
		lines := strings.Split(string(trimBOM(c.src.Text)), "\n")
		lines = dropLines(t, c, lines)
		// A table starts at the top, behind each header and behind each brace.
		spots := []int{0}
		for i, line := range lines {
			if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "[") || strings.Contains(line, "= {") {
				spots = append(spots, i+1)
			}
		}
		spot := rapid.SampledFrom(spots).Draw(t, "after line")
		key := rapid.StringMatching(`[a-z_-]{1,12}|"[a-zé .]{0,5}"|zz\.[a-z]{2}`).Draw(t, "key")
		where := spot + 1
		if spot > 0 && strings.Contains(lines[spot-1], "= {") {
			where = spot
			rest := lines[spot-1]
			at := strings.Index(rest, "= {") + len("= {")
			comma := ","
			if strings.HasPrefix(strings.TrimSpace(rest[at:]), "}") {
				comma = ""
			}
			lines[spot-1] = rest[:at] + " " + key + " = {}" + comma + rest[at:]
		} else {
			lines = slices.Insert(lines, spot, key+" = {}")
		}
		src := Source{Name: c.src.Name, Text: []byte(strings.Join(lines, "\n"))}
		root := Describe(testVocabulary())
		if doc, syntax := parse(src); syntax == nil && knownAt(root, doc, where) {
			t.Skip("the key is known")
		}
		_, problems := Load(src, testVocabulary(), c.layers)
		if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Line == where }) {
			t.Fatalf("no problem at line %d of\n%s\n%v", where, src.Text, problems)
		}
	})
}

// dropLines removes a few lines, so that more policies than those of testdata are tried; the result is still valid.
func dropLines(t *rapid.T, c testCase, lines []string) []string {
	dropped := slices.Clone(lines)
	for range rapid.IntRange(0, 5).Draw(t, "drops") {
		i := rapid.IntRange(0, len(dropped)-1).Draw(t, "dropped line")
		shorter := slices.Delete(slices.Clone(dropped), i, i+1)
		src := Source{Name: c.src.Name, Text: []byte(strings.Join(shorter, "\n"))}
		if _, problems := Load(src, testVocabulary(), c.layers); problems == nil && len(shorter) > 0 {
			dropped = shorter
		}
	}
	return dropped
}

// knownAt reports whether a line writes an empty table that the policy knows, which is no mistake.
func knownAt(root *Key, doc *document, line int) bool {
	for path, at := range doc.places {
		if at.Line != line {
			continue
		}
		key := root
		for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
			if key.Elem != nil {
				key = key.Elem
			} else {
				key = key.Key(name)
			}
			if key == nil {
				break
			}
		}
		if key != nil && (key.Type == TypeTable || key.Type == TypeMap) {
			return true
		}
	}
	return false
}

func FuzzLoad(f *testing.F) {
	for _, folder := range []string{"testdata/good", "testdata/bad"} {
		for _, file := range caseFiles(f, folder) {
			f.Add(openCase(f, file).src.Text)
		}
	}
	vocab := testVocabulary()
	f.Fuzz(func(t *testing.T, text []byte) {
		src := Source{Name: "testdata/good/fuzz.toml", Text: text}
		p, problems := Load(src, vocab, Layers{})
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("policy %v with problems %v", p, problems)
		}
		lines := strings.Count(string(text), "\n") + 1
		if !slices.IsSortedFunc(problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
		}) {
			t.Fatalf("problems are not sorted: %v", problems)
		}
		for _, problem := range problems {
			if problem.Line < 1 || problem.Line > lines || problem.Col < 1 || problem.Kind == "" || problem.What == "" ||
				strings.ContainsAny(problem.String(), "\n\x1b") {
				t.Fatalf("%+v", problem)
			}
		}
		var out bytes.Buffer
		if err := problems.WriteText(&out, src, true); err != nil {
			t.Fatal(err)
		}
		if p == nil {
			return
		}
		again, _ := Load(src, vocab, Layers{})
		if again == nil || again.Hash() != p.Hash() {
			t.Fatal("loaded twice, the policy differs")
		}
		for _, route := range p.Routes {
			if e := p.Explain(route.Method, route.Path, nil); e.Index < 0 {
				t.Fatalf("route %s %s does not serve its own path", route.Method, route.Path)
			}
		}
		formatted, err := Format(text)
		if err != nil {
			t.Fatal(err)
		}
		if tidy, problems := Load(Source{Name: src.Name, Text: formatted}, vocab, Layers{}); tidy == nil || tidy.Hash() != p.Hash() {
			t.Fatalf("formatting changed the policy: %v", problems)
		}
	})
}

// load reads a policy that has no problems.
func load(t testing.TB, text string, layers Layers) *Policy {
	t.Helper()
	p, problems := Load(Source{Name: "test.toml", Text: []byte(text)}, testVocabulary(), layers)
	if problems != nil {
		t.Fatalf("%v", problems)
	}
	return p
}

func BenchmarkLoad10000Routes(b *testing.B) {
	src := Source{Name: "large.toml", Text: largePolicy(10_000)}
	vocab := testVocabulary()
	b.SetBytes(int64(len(src.Text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := Load(src, vocab, Layers{Env: []string{"REQUEST_TIMEOUT=1000"}}); problems != nil {
			b.Fatal(problems)
		}
	}
}

// largePolicy writes a policy of n routes, a third of them with parameters.
func largePolicy(n int) []byte {
	var b bytes.Buffer
	b.WriteString("version = 1\n")
	for i := range n {
		path := fmt.Sprintf("/api/section%d/page%d", i%100, i)
		if i%3 == 0 {
			path += "/:id/detail"
		}
		fmt.Fprintf(&b, "\n[[routes]]\npath = %q\nhandler = \"catalog.search\"\ntimeout = \"5s\"\n"+
			"cache = { ttl = \"1h\", stale_if_error = \"1d\", tags = [\"products\"] }\nslo = { latency = \"100ms\" }\n", path)
	}
	return b.Bytes()
}
