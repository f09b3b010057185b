package dashboards_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what is read of one of Grafana's.
type dashboard struct {
	UID, Title, Description string
	Editable                bool
	SchemaVersion           int
	Inputs                  json.RawMessage `json:"__inputs"`
	Templating              struct{ List []variable }
	Annotations             struct{ List []struct{ Name, Expr string } }
	Links                   []struct {
		Type                  string
		Tags                  []string
		IncludeVars, KeepTime bool
	}
	Tags   []string
	Panels []panel
}

type variable struct {
	Name, Label, Type, Query string
	Datasource               struct{ UID string }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	TimeFrom                 string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ UID string }
	Targets                  []struct {
		Expr, LegendFormat string
		Datasource         struct{ UID string }
	}
	FieldConfig struct{ Defaults struct{ Unit string } }
}

// boards are the dashboards by the names of their files.
func boards(t *testing.T) map[string]dashboard {
	t.Helper()
	all := map[string]dashboard{}
	for _, file := range files(t, "*.json") {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, file)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(file, ".json")] = d
	}
	if len(all) != 4 {
		t.Fatalf("%d dashboards", len(all))
	}
	return all
}

// queries are all that a dashboard asks, for panels and for annotations.
func (d dashboard) queries() []string {
	var all []string
	for _, a := range d.Annotations.List {
		all = append(all, a.Expr)
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, q.Expr)
		}
	}
	return all
}

// TestDashboards holds the dashboards to the house's rules.
func TestDashboards(t *testing.T) {
	uids := map[string]string{}
	for name, d := range boards(t) {
		t.Run(name, func(t *testing.T) {
			if d.UID != "innatural-"+name || d.Title == "" || d.Description == "" {
				t.Errorf("uid %q, title %q, description %q", d.UID, d.Title, d.Description)
			}
			if other, ok := uids[d.UID]; ok {
				t.Errorf("uid %s is that of %s too", d.UID, other)
			}
			uids[d.UID] = name
			if d.Editable || d.Inputs != nil || d.SchemaVersion < 39 {
				t.Errorf("editable %v, __inputs %s, schemaVersion %d", d.Editable, d.Inputs, d.SchemaVersion)
			}
			checkFrame(t, d)
			checkLayout(t, d.Panels)
			day := false
			for _, p := range d.Panels {
				if p.Type != "row" {
					checkPanel(t, p)
					day = day || p.TimeFrom == "24h"
				}
			}
			if !day && name != "loadtest" {
				t.Error("no panel shows the trend of 24 hours")
			}
		})
	}
}

// checkFrame looks at what stands around the panels.
func checkFrame(t *testing.T, d dashboard) {
	t.Helper()
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if v.Label == "" || v.Type == "query" && v.Datasource.UID != "${datasource}" {
			t.Errorf("variable %s: label %q, data source %q", v.Name, v.Label, v.Datasource.UID)
		}
	}
	if len(names) < 3 || !slices.Equal(names[:3], []string{"datasource", "job", "instance"}) || d.Templating.List[0].Label != "Data source" {
		t.Errorf("variables %v", names)
	}
	var marks []string
	for _, a := range d.Annotations.List {
		marks = append(marks, a.Name)
	}
	if !slices.Equal(marks, []string{"Reloads", "Versions"}) {
		t.Errorf("annotations %v", marks)
	}
	if len(d.Links) != 1 || d.Links[0].Type != "dashboards" || !d.Links[0].KeepTime || !d.Links[0].IncludeVars || !slices.Equal(d.Links[0].Tags, d.Tags) {
		t.Errorf("links %+v", d.Links)
	}
}

// checkLayout holds panels to the grid of 24 columns, none over another.
func checkLayout(t *testing.T, panels []panel) {
	t.Helper()
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("%s: id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("%s lies outside the grid: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// checkPanel holds a panel to what every one has.
func checkPanel(t *testing.T, p panel) {
	t.Helper()
	if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
		t.Errorf("%q: description %q, unit %q, %d queries", p.Title, p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
	}
	if !strings.HasSuffix(p.Description, ".") {
		t.Errorf("%s: %q is no sentence", p.Title, p.Description)
	}
	for _, q := range p.Targets {
		if q.Datasource.UID != "${datasource}" || q.LegendFormat == "" {
			t.Errorf("%s: data source %q, legend %q", p.Title, q.Datasource.UID, q.LegendFormat)
		}
		if err := checkQuery(q.Expr); err != nil {
			t.Errorf("%s: %v in\n%s", p.Title, err, q.Expr)
		}
	}
}

var (
	labelLists = regexp.MustCompile(`\b(by|on|ignoring|group_left) \([^)]*\)`)
	selectors  = regexp.MustCompile(`([a-z_][a-z0-9_:]*)\{([^}]*)\}(\[[^]]*\])?`)
	bare       = regexp.MustCompile(`\b[a-z][a-z0-9]*[_:][a-z0-9_:]+\b`)
	functions  = []string{"histogram_quantile", "histogram_count", "group_left"}
)

// checkQuery returns what is wrong with a query: who chooses a job, an instance or a test gets only that; counters are asked for their
// rate or increase, over a time that fits the resolution.
func checkQuery(expr string) error {
	for _, s := range selectors.FindAllStringSubmatchIndex(expr, -1) {
		name, matchers := expr[s[2]:s[3]], expr[s[4]:s[5]]
		within := ""
		if s[6] >= 0 {
			within = expr[s[6]:s[7]]
		}
		for _, want := range chosen(name) {
			if !strings.Contains(matchers, want) {
				return fmt.Errorf("%s does not ask for %s", name, want)
			}
		}
		before := expr[:s[0]]
		rated := strings.HasSuffix(before, "rate(") || strings.HasSuffix(before, "increase(")
		if within != "" && within != "[$__rate_interval]" && within != "[$__range]" {
			return fmt.Errorf("%s is asked over %s", name, within)
		}
		counts := regexp.MustCompile(`_(total|count|sum|bucket)$`).MatchString(name)
		if weight := name == "k6_chat_turns_total" && strings.Contains(expr, "_rate{"); counts && !rated && !weight {
			return fmt.Errorf("%s counts, and is not asked for its rate or increase", name)
		}
		if rated && !counts && !strings.HasPrefix(name, "k6_") {
			return fmt.Errorf("%s does not count, and is asked for its rate", name)
		}
	}
	rest := labelLists.ReplaceAllString(selectors.ReplaceAllString(expr, ""), "")
	for _, name := range bare.FindAllString(rest, -1) {
		if !slices.Contains(functions, name) {
			return fmt.Errorf("%s has no matchers", name)
		}
	}
	return nil
}

// chosen are the matchers that every selector of a metric has.
func chosen(metric string) []string {
	switch {
	case strings.HasPrefix(metric, "k6_vus"):
		return []string{`testid=~"$testid"`}
	case strings.HasPrefix(metric, "k6_"):
		return []string{`testid=~"$testid"`, `scenario=~"$scenario"`}
	case strings.Contains(metric, ":"): // recorded of all instances
		return []string{`job=~"$job"`}
	}
	return []string{`job=~"$job"`, `instance=~"$instance"`}
}

// asked are the metrics that a query asks for.
func asked(expr string) []string {
	var names []string
	for _, s := range selectors.FindAllStringSubmatch(expr, -1) {
		names = append(names, s[1])
	}
	return names
}

// TestQueriesAreChecked sees that the rules of queries find what breaks them.
func TestQueriesAreChecked(t *testing.T) {
	for expr, want := range map[string]string{
		`sum(rate(chat_messages_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))`: "",
		`sum(rate(chat_messages_total{job=~"$job"}[$__rate_interval]))`:                       "does not ask for instance",
		`sum(rate(chat_messages_total[$__rate_interval]))`:                                    "has no matchers",
		`sum(rate(chat_messages_total{job=~"$job",instance=~"$instance"}[5m]))`:               "is asked over [5m]",
		`sum(chat_messages_total{job=~"$job",instance=~"$instance"})`:                         "counts",
		`rate(cache_keys{job=~"$job",instance=~"$instance"}[$__rate_interval])`:               "does not count",
	} {
		err := checkQuery(expr)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expr, err, want)
		}
	}
}
