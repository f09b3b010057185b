package chatbot

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib/fsext"
	"go.k6.io/k6/v2/lib/types"
	"go.k6.io/k6/v2/metrics"

	"github.com/innatural/chatbot/xk6-chatbot/internal/phase"
	"github.com/innatural/chatbot/xk6-chatbot/internal/policy"
	"github.com/innatural/chatbot/xk6-chatbot/internal/report"
	"github.com/innatural/chatbot/xk6-chatbot/internal/scenario"
)

// scenario returns one of the shop's load profiles for k6's options.
func (i *instance) scenario(name string, options sobek.Value) (map[string]any, error) {
	var o scenario.Options
	if err := decode("scenario", options, &o); err != nil {
		return nil, err
	}
	s, err := scenario.New(name, o)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	i.root.describe("scenario "+name, "", s)
	return s, nil
}

// phase returns the name of the phase that the test is in.
func (i *instance) phase() (string, error) {
	running, err := i.running(i.vu.Context())
	if err != nil {
		return "", err
	}
	return running.phase(time.Now()).Name, nil
}

// Policy is what a script sees of a policy file.
type Policy struct {
	SLO   map[string]any   `js:"slo"`   // of the chat's route; null when nothing is promised
	Cache []map[string]any `js:"cache"` // the cached routes

	slo *policy.SLO
}

func (i *instance) loadPolicy(path string, options sobek.Value) (*Policy, error) {
	o := struct {
		Route string `json:"route"`
	}{"POST /api/chat"}
	if err := decode("loadPolicy", options, &o); err != nil {
		return nil, err
	}
	env := i.vu.InitEnv()
	if env == nil {
		return nil, common.NewInitContextError("a policy is loaded in the init context, outside of functions")
	}
	if path == "" {
		return nil, fmt.Errorf("loadPolicy: needs the path of a policy, relative to the script")
	}
	data, err := fsext.ReadFile(env.FileSystems["file"], env.GetAbsFilePath(path))
	if err != nil {
		return nil, fmt.Errorf("loadPolicy: %w", err)
	}
	parsed, err := policy.Parse(path, data, env.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("loadPolicy: %w", err)
	}
	method, route, ok := strings.Cut(o.Route, " ")
	found := parsed.Route(method, route)
	if !ok || found == nil {
		return nil, fmt.Errorf("loadPolicy: %s has no route %q; name it as method and path, such as \"POST /api/chat\"", path, o.Route)
	}
	p := &Policy{Cache: []map[string]any{}, slo: found.SLO}
	if s := found.SLO; s != nil {
		p.SLO = map[string]any{"latency": metrics.D(s.Latency), "quantile": s.Quantile, "errors": s.Errors}
	}
	for _, r := range parsed.Routes {
		if r.Cache != nil {
			p.Cache = append(p.Cache, map[string]any{
				"method": r.Method, "path": r.Path, "ttl": metrics.D(r.Cache.TTL), "stale": metrics.D(r.Cache.Stale),
			})
		}
	}
	return p, nil
}

// answered ends the selector of a threshold on turns that were answered.
const answered = ",expected_response:true}"

type thresholdOptions struct {
	Phases   []any              `json:"phases"`
	Recovery types.NullDuration `json:"recovery"`
}

type promiseOfPhase struct {
	Name     string             `json:"name"`
	Latency  types.NullDuration `json:"latency"`
	Quantile float64            `json:"quantile"`
	Errors   *float64           `json:"errors"`
}

// Thresholds returns k6's thresholds for phases: the policy's promise, an answered turn at least, and the time to recover.
func (p *Policy) Thresholds(options sobek.Value) (map[string]any, error) {
	var o thresholdOptions
	if err := decode("thresholds", options, &o); err != nil {
		return nil, err
	}
	if len(o.Phases) == 0 {
		return nil, fmt.Errorf("thresholds: needs phases, such as ['baseline', 'recovery']")
	}
	all := map[string]any{}
	for _, given := range o.Phases {
		promise := promiseOfPhase{}
		if name, ok := given.(string); ok {
			promise.Name = name
		} else if err := decodeExported("thresholds: phases", given, &promise); err != nil {
			return nil, err
		}
		if p.slo == nil && (!promise.Latency.Valid || promise.Errors == nil) {
			return nil, fmt.Errorf(
				"thresholds: the policy promises nothing of this route (it has no slo), so phase %q needs latency and errors", promise.Name)
		}
		if promise.Name == "" {
			return nil, fmt.Errorf("thresholds: a phase has no name")
		}
		if !promise.Latency.Valid {
			promise.Latency = types.NullDurationFrom(p.slo.Latency)
		}
		if promise.Quantile == 0 {
			promise.Quantile = 0.95
			if p.slo != nil {
				promise.Quantile = p.slo.Quantile
			}
		}
		if promise.Errors == nil {
			promise.Errors = &p.slo.Errors
		}
		number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
		tag := "{phase:" + promise.Name
		all["chat_duration_corrected"+tag+answered] = []string{
			fmt.Sprintf("p(%s)<=%s", number(100*promise.Quantile), number(metrics.D(promise.Latency.TimeDuration()))),
		}
		all["errors"+tag+"}"] = []string{"rate<=" + number(*promise.Errors)}
		// k6 lets a threshold pass that nothing ever touched, as what is shed touches neither of the other two.
		all["chat_turns"+tag+answered] = []string{"count>0"}
		if promise.Name == phase.Recovery {
			limit := "30000"
			if o.Recovery.Valid {
				limit = number(metrics.D(o.Recovery.TimeDuration()))
			}
			all["chat_recovery_time"] = []string{"value<" + limit}
		}
	}
	return all, nil
}

// summary writes what the run showed, for handleSummary to return.
func (i *instance) summary(data map[string]any, options sobek.Value) (map[string]any, error) {
	var o struct {
		Dir    string         `json:"dir"`
		Name   string         `json:"name"`
		Config map[string]any `json:"config"`
		Seed   int64          `json:"seed"`
	}
	if err := decode("summary", options, &o); err != nil {
		return nil, err
	}
	r := i.root
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]string, 0, len(r.scenarios))
	for name, s := range r.scenarios {
		names = append(names, name)
		if s.tracker == nil {
			continue
		}
		for _, open := range s.tracker.Open() {
			r.recorder.Recovered(name, open.Spike, open.After, false)
		}
	}
	slices.Sort(names)
	if o.Name == "" {
		o.Name = strings.Join(names, "-")
	}
	var silent map[string]bool
	if p := r.promises.Load(); p != nil {
		silent = p.silent()
	}
	config := maps.Clone(r.config)
	maps.Copy(config, o.Config)
	files, err := report.Files(r.recorder.Snapshot(), data,
		report.Options{Dir: o.Dir, Name: o.Name, Target: r.target, Config: config, Seed: o.Seed, Silent: silent, Failed: r.failed.Load()})
	if err != nil {
		return nil, fmt.Errorf("summary: %w", err)
	}
	return files, nil
}
