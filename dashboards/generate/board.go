package main

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// board is a dashboard.
type board struct {
	name, title, about string
	variables          []variable // beside the data source, the job and the instance
	rows               []row
}

// variable is a label whose values the reader chooses among.
type variable struct{ name, label, query string }

// row is a group of panels under a heading.
type row struct {
	title  string
	panels []panel
}

// panel is one picture.
type panel struct {
	title, about, unit string
	queries            []query
	kind               kind
	width              uint32    // of the 24 columns; 8 when it is not said
	stacked            bool      // as parts of a whole
	limits             []float64 // drawn as lines: a target, or a bound that should not be passed
	floor              bool      // a limit that should not be fallen below
	max                float64
	day                bool // the last 24 hours, whatever the reader chose
}

// kind is how a panel is drawn.
type kind int

const (
	lines  kind = iota
	number      // the latest value
	text        // the latest labels
)

// query is what a panel asks Prometheus. In expr, "@" stands for the chosen job and instance, "@@" for the chosen
// routes as well, "#" for the chosen load test. A
// legend that begins with "promised" is drawn as a dashed line.
type query struct{ expr, legend string }

const (
	chosen       = `job=~"$job",instance=~"$instance"`
	chosenRoutes = chosen + `,http_route=~"$route"`
	chosenTest   = `testid=~"$testid",scenario=~"$scenario"`
)

func (q query) text() string {
	return strings.NewReplacer("@@", chosenRoutes, "@", chosen, "#", chosenTest).Replace(q.expr)
}

func source() common.DataSourceRef {
	return common.DataSourceRef{Type: new("prometheus"), Uid: new("${datasource}")}
}

// build makes the dashboard of Grafana's first schema, which every Grafana imports; its second is for new ones only.
//
//nolint:staticcheck // the SDK prefers the second
func (b board) build() (dashboard.Dashboard, error) {
	d := dashboard.NewDashboardBuilder(b.title).
		Uid("innatural-"+b.name).
		Description(b.about).
		Tags([]string{"innatural"}).
		Readonly().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Refresh("30s").
		Time("now-1h", "now").
		Timezone("browser").
		Link(dashboard.NewDashboardLinkBuilder("INnatural").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{"innatural"}).
			Tooltip("The other dashboards, at the same time and instances").IncludeVars(true).KeepTime(true)).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"))
	all := append([]variable{
		{"job", "Job", `label_values(policy_info, job)`},
		{"instance", "Instance", `label_values(policy_info{job=~"$job"}, instance)`},
	}, b.variables...)
	for _, v := range all {
		d.WithVariable(dashboard.NewQueryVariableBuilder(v.name).Label(v.label).Datasource(source()).
			Query(dashboard.StringOrMap{String: new(v.query)}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).AllValue(".*").
			Current(dashboard.VariableOption{
				Text:  dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
				Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
			}))
	}
	d.Annotation(annotation("Reloads", "blue", `changes(policy_last_reload_timestamp_seconds{@}[$__interval]) > 0`, "{{instance}} reloaded its policy"))
	d.Annotation(annotation("Versions", "purple", `count by (version) (policy_info{@} unless policy_info{@} offset $__interval)`,
		"version {{version}}, or its policy, is new"))
	id := uint32(0)
	for _, r := range b.rows {
		id++
		d.WithRow(dashboard.NewRowBuilder(r.title).Id(id))
		for _, p := range r.panels {
			id++
			d.WithPanel(p.build(id))
		}
	}
	built, err := d.Build()
	for i := range built.Links { // the SDK's default hides them in a menu
		built.Links[i].Placement = nil
	}
	for i := range built.Annotations.List {
		built.Annotations.List[i].Placement = nil
	}
	return built, err
}

func annotation(name, color, expr, text string) *dashboard.AnnotationQueryBuilder {
	return dashboard.NewAnnotationQueryBuilder().Name(name).Datasource(source()).Enable(true).IconColor(color).
		Expr(query{expr: expr}.text()).Step("30s").TitleFormat(name).TextFormat(text)
}

// build makes a panel.
func (p panel) build(id uint32) cog.Builder[dashboard.Panel] {
	if p.width == 0 {
		p.width = 8
	}
	if p.kind != lines {
		return p.number(id)
	}
	t := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Datasource(source()).
		Span(p.width).Height(8).LineWidth(1).FillOpacity(8).ShowPoints(common.VisibilityModeNever).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).Calcs([]string{})).
		OverrideByRegexp("/^promised/", []dashboard.DynamicConfigValue{
			{Id: "custom.lineStyle", Value: map[string]any{"fill": "dash", "dash": []int{8, 6}}},
			{Id: "custom.fillOpacity", Value: 0},
			{Id: "custom.stacking", Value: map[string]any{"mode": "none"}},
			{Id: "color", Value: map[string]any{"mode": "fixed", "fixedColor": "red"}},
		})
	if p.stacked {
		t.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal)).FillOpacity(40)
	}
	if len(p.limits) == 0 || p.limits[0] > 0 { // below 0 is what a spent budget is
		t.Min(0)
	}
	if p.max > 0 {
		t.Max(p.max)
	}
	if p.day {
		t.TimeFrom("24h")
	}
	if len(p.limits) > 0 {
		t.Thresholds(p.thresholds()).
			ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	for i, q := range p.queries {
		t.WithTarget(q.target(i).Range())
	}
	return t
}

func (p panel) number(id uint32) cog.Builder[dashboard.Panel] {
	s := stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Datasource(source()).
		Span(p.width).Height(4).Thresholds(p.thresholds()).ColorMode(common.BigValueColorModeValue).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	if p.kind == text {
		s.TextMode(common.BigValueTextModeName).GraphMode(common.BigValueGraphModeNone)
	} else {
		s.GraphMode(common.BigValueGraphModeArea)
	}
	for i, q := range p.queries {
		if p.kind == text {
			s.WithTarget(q.target(i).Instant())
		} else {
			s.WithTarget(q.target(i).Range())
		}
	}
	return s
}

// thresholds are the limits: red beyond them, or below a floor.
func (p panel) thresholds() *dashboard.ThresholdsConfigBuilder {
	below, beyond := "green", "red"
	if p.floor {
		below, beyond = "red", "green"
	}
	if len(p.limits) == 0 {
		below = "text"
	}
	steps := []dashboard.Threshold{{Color: below}}
	for _, limit := range p.limits {
		steps = append(steps, dashboard.Threshold{Value: new(limit), Color: beyond})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func (q query) target(i int) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Datasource(source()).
		Expr(q.text()).LegendFormat(q.legend).Exemplar(strings.Contains(q.expr, "_bucket")).EditorMode(prometheus.QueryEditorModeCode)
}

// quantile asks for a quantile of a histogram's series, by labels.
func quantile(of float64, metric, match, by string) string {
	labels := "le"
	if by != "" {
		labels += ", " + by
	}
	return fmt.Sprintf("histogram_quantile(%v, sum by (%s) (rate(%s_bucket{%s}[$__rate_interval])))", of, labels, metric, match)
}

// quantiles ask for P50, P95 and P99 of a histogram.
func quantiles(metric, match string) []query {
	return []query{
		{quantile(0.5, metric, match, ""), "P50"}, {quantile(0.95, metric, match, ""), "P95"}, {quantile(0.99, metric, match, ""), "P99"},
	}
}

// rate asks for the rate of a counter, by a label.
func rate(metric, match, by string) query {
	return query{fmt.Sprintf("sum by (%s) (rate(%s{%s}[$__rate_interval]))", by, metric, match), legend(by)}
}

// legend shows the values of labels.
func legend(by string) string {
	return "{{" + strings.ReplaceAll(by, ", ", "}} {{") + "}}"
}

// orZero keeps a line at 0 where something never happened yet, so that a healthy service has a line and not an empty panel.
func orZero(expr string) string { return "(" + expr + ") or vector(0)" }
