package framework_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/innatural/chatbot/"

// rules say which imports a package, given by the beginning of its path, must not have, and why.
var rules = []struct {
	packages, forbidden []string
	except              []string
	reason              string
}{
	{
		[]string{"framework/policy"},
		[]string{"net/http", "github.com/gofiber/", "github.com/valyala/", "github.com/redis/", "github.com/prometheus/", module},
		nil,
		"a policy is names, patterns and values: it knows no HTTP, no Redis and nothing of ours",
	},
	{
		[]string{"framework/cache"},
		[]string{"net/http", "github.com/gofiber/", "github.com/valyala/", module},
		[]string{module + "framework/cache"},
		"the layers know neither HTTP nor policies, so that anything can be stored in them",
	},
	{
		[]string{"framework/encoding", "framework/limit"},
		[]string{"github.com/gofiber/", "github.com/valyala/", module},
		nil,
		"encoding and limits are used by the framework and know nothing of it",
	},
	{
		[]string{"framework/httpcache"},
		[]string{"github.com/gofiber/", "github.com/valyala/", module},
		[]string{module + "framework/cache", module + "framework/encoding"},
		"the response cache stands on the layers and the encoders alone",
	},
	{
		[]string{"framework/telemetry"},
		[]string{"github.com/gofiber/", "github.com/valyala/", module},
		[]string{module + "framework/policy"},
		"telemetry knows what a policy promises, and no server",
	},
	{
		[]string{"framework/"},
		[]string{module + "plugins", module + "apps", module + "policies"},
		nil,
		"the framework imports nothing that is built on it",
	},
	{
		[]string{"plugins/"},
		[]string{module + "apps", module + "framework/cli", "github.com/gofiber/", "github.com/valyala/"},
		nil,
		"a plugin sees requests and answers, not the server: it can be tested without one, and the server can change under it",
	},
}

// The house has one direction: apps, plugins, framework, its packages.
func TestDependencies(t *testing.T) {
	list, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(list))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			for _, r := range rules {
				if hasPrefix(name, r.packages) && hasPrefix(imported, r.forbidden) && !hasPrefix(imported, r.except) {
					t.Errorf("%s imports %s: %s", name, imported, r.reason)
				}
			}
			if plugin, other := pluginOf(name), pluginOf(strings.TrimPrefix(imported, module)); plugin != "" && other != "" && plugin != other {
				t.Errorf("%s imports %s: plugins never import each other; what they need of each other goes through the Host", name, imported)
			}
		}
	}
	if seen < 15 {
		t.Fatalf("only %d packages were looked at", seen)
	}
}

// hasPrefix says whether a package is one of those, or within one.
func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if s == p || strings.HasPrefix(s, strings.TrimSuffix(p, "/")+"/") {
			return true
		}
	}
	return false
}

// pluginOf returns the plugin that a package belongs to; what plugins share is in plugins/internal.
func pluginOf(name string) string {
	rest, ok := strings.CutPrefix(name, "plugins/")
	if !ok {
		return ""
	}
	plugin, _, _ := strings.Cut(rest, "/")
	if plugin == "internal" {
		return ""
	}
	return plugin
}
