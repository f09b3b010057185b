package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// operator is k6-operator, whose CRD the manifest must fit.
const operator = "github.com/grafana/k6-operator@v0.0.19"

// readYAML reads a file as what JSON would have.
func readYAML(t *testing.T, path string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := yaml.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// crd returns the schema that a cluster checks a TestRun against, made strict: a key it does not know is a mistake.
func crd(t *testing.T) *jsonschema.Schema {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", operator).Output()
	if err != nil {
		t.Fatalf("download %s: %v\n%s", operator, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	definition := readYAML(t, filepath.Join(module.Dir, "config/crd/bases/k6.io_testruns.yaml"))
	version := definition["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
	schema := version["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
	strict(schema)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("testrun.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("testrun.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// strict forbids unknown keys wherever a schema names keys.
func strict(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		_, names := s["properties"].(map[string]any)
		if names && s["additionalProperties"] == nil && s["x-kubernetes-preserve-unknown-fields"] == nil {
			s["additionalProperties"] = false
		}
		for _, v := range s {
			strict(v)
		}
	case []any:
		for _, v := range s {
			strict(v)
		}
	}
}

func TestManifestFitsTheOperator(t *testing.T) {
	t.Parallel()
	schema := crd(t)
	manifest := readYAML(t, "../deploy/testrun.yaml")
	if manifest["apiVersion"] != "k6.io/v1alpha1" || manifest["kind"] != "TestRun" {
		t.Errorf("the manifest is a %v of %v", manifest["kind"], manifest["apiVersion"])
	}
	if err := schema.Validate(manifest); err != nil {
		t.Error(err)
	}
	manifest["spec"].(map[string]any)["paralelism"] = 4
	if schema.Validate(manifest) == nil {
		t.Error("the check lets a misspelt key pass")
	}
}

// The archive that the manifest's comment makes holds all that a scenario needs: it runs where there is nothing else, with the
// arguments of the manifest.
func TestArchiveRunsElsewhere(t *testing.T) {
	t.Parallel()
	spec := readYAML(t, "../deploy/testrun.yaml")["spec"].(map[string]any)
	file := spec["script"].(map[string]any)["configMap"].(map[string]any)["file"].(string)
	name := strings.TrimSuffix(file, ".tar")
	archive := filepath.Join(t.TempDir(), file)
	command(t, ".", nil, k6, "archive", "-e", "SCALE=0.02", "-O", archive, "../scenarios/"+name+".js")
	if size := fileSize(t, archive); size > 1<<20 {
		t.Errorf("the archive has %d bytes: a ConfigMap holds 1 MiB", size)
	}
	dir := t.TempDir()
	arguments := strings.NewReplacer("http://chatbot.shop.svc:5000", shop(t), "/tmp", dir).Replace(spec["arguments"].(string))
	arguments, _, _ = strings.Cut(arguments, " -o ") // Prometheus has a test of its own
	r := load(t, append(strings.Fields(arguments), archive)...)
	r.wants(t, 0, "PASSED")
	if fileSize(t, filepath.Join(dir, name+".html")) == 0 {
		t.Error("the report is empty")
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
