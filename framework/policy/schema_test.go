package policy

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestSchema(t *testing.T) {
	schema := compileSchema(t, shop)
	base := "version = 1\n[plugins.shop]\nfile = \"x\"\n"
	for _, test := range []struct{ name, text, refusal string }{
		{"least", "version = 1", ""},
		{"references", "version = 1\n" +
			"server = { listen = '${env:L}', body_limit = '${env:B}', drain = '${file:/d}' }\n" +
			"log.level = '${env:X}'", ""},
		{"durations", "version = 1\n[defaults]\n" +
			"timeout = '1h30m'\nslow = '1.5s'\nstream = { idle = '250µs', max = '1w' }\ncache.ttl = '0'", ""},
		{"sizes", "version = 1\ncache = { memory = '1.5 GiB', max_entry = '512KB' }", ""},
		{"whole number for a float", "version = 1\nlog.access.sample = 1", ""},
		{"any name in a map", "version = 1\npresets.cache_control.mine = '3h'", ""},
		{"route", "version = 1\n[[routes]]\npath = '/x/:id/*'\nhandler = 'shop.search'\nmethod = '*'\ncache = { ttl = '1h' }", ""},
		{"plugin without options", "version = 1\n[plugins.health]", ""},
		{"plugin", base + "currency = 'EUR'\nnames.a = 'A'\n" +
			"[[plugins.shop.bundles]]\nname = 'b'\n[plugins.shop.search]\nfields = ['name']", ""},

		{"no version", "", "version"},
		{"other version", "version = 2", "/version"},
		{"unknown key", "version = 1\nservr = {}", "servr"},
		{"unknown key below", "version = 1\nserver.tls.crt = 'x'", "crt"},
		{"unknown key of a route", "version = 1\n[[routes]]\npath = '/'\nhandler = 'health'\ncache.tll = '1h'", "tll"},
		{"wrong type", "version = 1\nserver.listen = 5000", "/server/listen"},
		{"string for a flag", "version = 1\nlog.access.enabled = 'yes'", "/log/access/enabled"},
		{"table for a list", "version = 1\nroutes = {}", "/routes"},
		{"duration without a unit", "version = 1\nserver.drain = '20'", "/server/drain"},
		{"number for a duration", "version = 1\nserver.drain = 20", "/server/drain"},
		{"size without a unit", "version = 1\nserver.body_limit = '20'", "/server/body_limit"},
		{"not one of", "version = 1\nlog.level = 'loud'", "/log/level"},
		{"not one of, in a list", "version = 1\ncompression.encodings = ['lzw']", "/compression/encodings/0"},
		{"empty list", "version = 1\ncompression.encodings = []", "/compression/encodings"},
		{"too small", "version = 1\ncompression.level = 0", "/compression/level"},
		{"too large", "version = 1\ncache.redis.port = 65536", "/cache/redis/port"},
		{"share over one", "version = 1\nlog.access.sample = 1.5", "/log/access/sample"},
		{"route without a path", "version = 1\n[[routes]]\nhandler = 'health'", "path"},
		{"relative path", "version = 1\n[[routes]]\npath = 'x'\nhandler = 'health'", "/routes/0/path"},
		{"unknown handler", "version = 1\n[[routes]]\npath = '/'\nhandler = 'halth'", "/routes/0/handler"},
		{"address without a port", "version = 1\nserver.listen = 'localhost'", "/server/listen"},
		{"unknown plugin", "version = 1\n[plugins.chat]", "chat"},
		{"unknown option", base + "fil = 'y'", "fil"},
		{"option of a plugin without any", "version = 1\nplugins.health.x = 1", "x"},
		{"option required", "version = 1\n[plugins.shop]", "file"},
		{"option out of range", base + "limit = 101", "/plugins/shop/limit"},
		{"option not one of", base + "currency = 'USD'", "/plugins/shop/currency"},
		{"tables by name", base + "brands.x = { name = 'X' }", ""},
		{"no table by name", base + "brands = {}", "/plugins/shop/brands"},
		{"unknown key in a table by name", base + "brands.x = { name = 'X', nam = 1 }", "nam"},
		{"unknown method", "version = 1\n[[routes]]\nmethod = 'FETCH'\npath = '/'\nhandler = 'health'", "/routes/0/method"},
		{"wrong type in a map", base + "names.a = 1", "/plugins/shop/names/a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := schema.Validate(decode(t, []byte(test.text)))
			switch {
			case test.refusal == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.refusal != "" && (err == nil || !strings.Contains(err.Error(), test.refusal)):
				t.Errorf("got %v, want a refusal that names %s", err, test.refusal)
			}
		})
	}
}

func TestSchemaAcceptsGoodFiles(t *testing.T) {
	schema := compileSchema(t, testVocabulary())
	for _, file := range caseFiles(t, "testdata/good") {
		if err := schema.Validate(decode(t, read(t, file))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestSchemaRefusesBadFiles wants a refusal of every file under testdata/bad in which Load finds a mistake that a schema can
// see: one within a single value that is written out in the file.
func TestSchemaRefusesBadFiles(t *testing.T) {
	schema := compileSchema(t, testVocabulary())
	refused := map[string]int{}
	for _, file := range caseFiles(t, "testdata/bad") {
		src, layers := readCase(t, file)
		_, problems := Load(src, testVocabulary(), layers)
		if len(problems) == 0 || problems[0].Kind == kindSyntax {
			continue
		}
		document := decode(t, src.Text)
		refusal := schema.Validate(document)
		for _, p := range problems {
			if !structural(p, document) {
				continue
			}
			refused[p.Kind]++
			if refusal == nil {
				t.Errorf("%s: accepted in spite of %v", file, p)
			}
		}
	}
	for _, kind := range []string{
		kindUnknownKey, kindUnknownPlugin, kindUnknownHandler, kindWrongType, kindRequired, kindEmpty, kindNotOneOf, kindOutOfRange,
	} {
		if refused[kind] == 0 {
			t.Errorf("no file has a structural mistake of kind %s", kind)
		}
	}
}

// structural reports whether a schema can see p.
func structural(p Problem, document map[string]any) bool {
	value := lookup(document, p.Path)
	if text, ok := value.(string); p.Line == 0 || ok && strings.Contains(text, "${") { // of a variable, a flag or a reference
		return false
	}
	switch p.Kind {
	case kindUnknownKey, kindUnknownPlugin, kindUnknownHandler, kindWrongType, kindNotOneOf, kindEmpty:
		return true
	case kindRequired: // a plugin that a route names may not be written at all; then the problem is that of the route's handler
		_, table := value.(map[string]any)
		return table
	case kindOutOfRange:
		_, text := value.(string) // a duration or size
		return !text
	}
	return false
}

var pathPart = regexp.MustCompile(`"[^"]*"|[^.\[\]"]+`)

// lookup returns the value at a problem's path, or nil.
func lookup(document map[string]any, path string) any {
	var value any = document
	for _, part := range pathPart.FindAllString(path, -1) {
		switch parent := value.(type) {
		case map[string]any:
			value = parent[strings.Trim(part, `"`)]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(parent) {
				return nil
			}
			value = parent[i]
		default:
			return nil
		}
	}
	return value
}

// TestSchemaAcceptsPolicies holds the schema against the policies of the repository. This package cannot know their plugins:
// options are left out, and the handlers that they name are taken to exist.
func TestSchemaAcceptsPolicies(t *testing.T) {
	files, err := filepath.Glob("../../policies/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.toml") {
			continue
		}
		document := decode(t, read(t, file))
		delete(document, "plugins")
		plugin := Plugin{Name: "any"}
		routes, _ := document["routes"].([]any)
		for _, route := range routes {
			if name, ok := route.(map[string]any)["handler"].(string); ok {
				plugin.Handlers = append(plugin.Handlers, Handler{Name: name})
			}
		}
		schema := compileSchema(t, Vocabulary{Plugins: []Plugin{plugin}})
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSchemaOfNoPlugins(t *testing.T) {
	schema := compileSchema(t, Vocabulary{})
	if err := schema.Validate(decode(t, []byte("version = 1\n[[routes]]\npath = '/'\nhandler = '${env:H}'"))); err != nil {
		t.Error(err)
	}
}

// TestSchemaSpeaksDraft4 refuses the words of later drafts, which TOML editors do not read.
func TestSchemaSpeaksDraft4(t *testing.T) {
	text, err := Schema(shop)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"$defs", "const", "if", "then", "examples", "$id", "contains", "propertyNames"} {
		if bytes.Contains(text, []byte(`"`+word+`":`)) {
			t.Errorf("says %q", word)
		}
	}
	again, err := Schema(shop)
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("two calls differ (%v)", err)
	}
}

// compileSchema checks Schema's output against the meta-schema of draft 4 and compiles it.
func compileSchema(t *testing.T, vocab Vocabulary) *jsonschema.Schema {
	t.Helper()
	text, err := Schema(vocab)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	if err := c.AddResource("policy.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	if compiled.DraftVersion != 4 {
		t.Fatalf("read as draft %d", compiled.DraftVersion)
	}
	return compiled
}

func decode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	document := map[string]any{}
	if err := toml.Unmarshal(trimBOM(text), &document); err != nil {
		t.Fatal(err)
	}
	return document
}
