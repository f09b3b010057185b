package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// The handler of the summary, and the path that it has in the HTTP contract.
const summaryHandler, summaryPath = "metrics.summary", "/api/metrics/summary"

func (s *session) slo() *cobra.Command {
	var to adminFlags
	c := &cobra.Command{
		Use:   "slo [URL]",
		Short: "Show how a running server keeps what its policy promises",
		Long: "Show how a running server keeps what its policy promises (slo): what is promised of each route, what was measured\n" +
			"since its start, how much of the budget is left, and how fast it burns in windows of 5 minutes to 6 hours: at 1 it\n" +
			"lasts for exactly the promise's window. The numbers are those of one instance; the rules in dashboards/ add up all.\n" +
			"Without a URL the server is the one that serve starts with the same policy and environment. Exit codes: 0 kept,\n" +
			"1 could not run, 2 a promise is broken.",
		Example: s.examples("slo", "as a table", "slo http://127.0.0.1:5000 --format json", "of another server, for programs"),
		Args:    s.args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			to.server = strings.Join(append(args, to.server), "")
			client, err := s.admin(&to)
			if err != nil {
				return err
			}
			promises, err := client.promises()
			if err != nil {
				return err
			}
			if to.format == formatJSON {
				err = s.writeJSON(promises)
			} else {
				err = s.printf("%s", sloTable(promises))
			}
			for _, p := range promises {
				if err == nil && !p.Kept {
					err = errFound
				}
			}
			return err
		},
	}
	to.register(c)
	return c
}

// promises asks a server how it keeps what it promises, by route.
func (c *adminClient) promises() (map[string]telemetry.PromiseReport, error) {
	answer, err := c.ask(call{summaryHandler, http.MethodGet, summaryPath, "", nil})
	if err != nil {
		return nil, err
	}
	var summary struct {
		Metrics struct {
			SLO map[string]telemetry.PromiseReport `json:"slo"`
		} `json:"metrics"`
	}
	if err := json.Unmarshal(answer, &summary); err != nil {
		return nil, fmt.Errorf("read summary: %w", err)
	}
	return summary.Metrics.SLO, nil
}

// sloTable lays out promises, a line for each.
func sloTable(promises map[string]telemetry.PromiseReport) string {
	if len(promises) == 0 {
		return "The policy promises nothing: no route has slo.\n"
	}
	head := []string{"ROUTE", "PROMISED", "MEASURED", "BUDGET LEFT"}
	for _, window := range telemetry.Windows() {
		head = append(head, "BURN "+telemetry.WindowName(window))
	}
	t := newTable()
	t.row(append(head, "REQUESTS", "")...)
	for _, route := range slices.Sorted(maps.Keys(promises)) {
		p := promises[route]
		line := func(promised, measured string, of func(telemetry.Rates) float64) {
			cells := []string{route, promised, measured, percent(of(p.BudgetLeft))}
			for _, window := range telemetry.Windows() {
				cells = append(cells, strconv.FormatFloat(of(p.BurnRates[telemetry.WindowName(window)].Rates), 'f', 1, 64))
			}
			state := "kept"
			switch {
			case p.Requests == 0:
				cells[2], state = "", "not asked for"
			case of(p.BudgetLeft) < 0:
				state = "broken"
			}
			t.row(append(cells, strconv.FormatUint(p.Requests, 10), state)...)
			route = ""
		}
		if p.LatencyMS > 0 {
			line(fmt.Sprintf("%s within %s", percent(p.Quantile), policy.Duration(p.LatencyMS*float64(time.Millisecond))),
				percent(1-p.Measured.Slow), func(r telemetry.Rates) float64 { return r.Latency })
		}
		if p.Errors > 0 {
			line("at most "+percent(p.Errors)+" errors", percent(p.Measured.Errors), func(r telemetry.Rates) float64 { return r.Errors })
		}
	}
	return t.String()
}

// percent writes a share with as many digits as tell something.
func percent(share float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(100*share, 'f', 2, 64), "0"), ".") + " %"
}
