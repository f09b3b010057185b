package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// TestSchema reads the dashboards as Grafana's schema has them, with the options of panels and queries: nothing is unknown to it, and no
// value is one that it forbids.
func TestSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob("../*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("dashboards are %v (%v)", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := check(string(text)); wrong != "" {
			t.Errorf("%s: %s", file, wrong)
		}
		// The check finds what is amiss in a dashboard, a panel, its options and a query.
		for _, name := range []string{"graphTooltip", "gridPos", "lineWidth", "showLegend", "legendFormat"} {
			if wrong := strings.Replace(string(text), `"`+name+`"`, `"another"`, 1); check(wrong) == "" {
				t.Errorf("%s: without its %s it is taken", file, name)
			}
		}
	}
}

// check says what is wrong with a dashboard.
func check(text string) string {
	var d dashboard.Dashboard //nolint:staticcheck // the first schema, which every Grafana imports
	// Without a mistake it returns an empty list of them.
	if err := d.UnmarshalJSONStrict([]byte(text)); err != nil && err.Error() != "" {
		return err.Error()
	}
	if err := d.Validate(); err != nil {
		return err.Error()
	}
	return ""
}
