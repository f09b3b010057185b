// Package policy reads, from the file that the server serves by, what the load kit has to know: what is promised of a route, and
// how long its answers are cached. All else in the file is for the server to check.
package policy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Policy is what is read of a policy file.
type Policy struct {
	Routes []Route
}

// Route is one route of a policy.
type Route struct {
	Method, Path string
	SLO          *SLO   // what is promised of it, or nil
	Cache        *Cache // how its answers are cached, or nil
}

// SLO is a promise: the quantile of requests is answered within latency, and at most a share of them fails.
type SLO struct {
	Latency          time.Duration
	Quantile, Errors float64
}

// Cache is how long an answer is fresh, and how long it may be served afterwards.
type Cache struct {
	TTL, Stale time.Duration
}

// Parse reads a policy. lookup returns variables of the environment, for values written ${env:NAME} or ${env:NAME:-default}.
func Parse(name string, data []byte, lookup func(string) (string, bool)) (*Policy, error) {
	var file struct {
		Routes []struct {
			Method string `toml:"method"`
			Path   string `toml:"path"`
			SLO    *struct {
				Latency  string  `toml:"latency"`
				Quantile float64 `toml:"quantile"`
				Errors   float64 `toml:"errors"`
			} `toml:"slo"`
			Cache *struct {
				TTL          string `toml:"ttl"`
				Revalidating string `toml:"stale_while_revalidate"`
				Failing      string `toml:"stale_if_error"`
			} `toml:"cache"`
		} `toml:"routes"`
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, column := decode.Position()
			return nil, fmt.Errorf("%s:%d:%d: %w", name, row, column, err)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &Policy{}
	for _, r := range file.Routes {
		route := Route{Method: r.Method, Path: r.Path}
		if route.Method == "" {
			route.Method = "GET"
		}
		var problem error
		span := func(key, value string) time.Duration {
			d, err := parseDuration(resolve(value, lookup))
			if err != nil && problem == nil {
				problem = fmt.Errorf("%s: route %s %s: %s: %w", name, route.Method, route.Path, key, err)
			}
			return d
		}
		if r.SLO != nil {
			route.SLO = &SLO{Latency: span("slo.latency", r.SLO.Latency), Quantile: r.SLO.Quantile, Errors: r.SLO.Errors}
			if s := route.SLO; problem == nil && (s.Latency <= 0 || s.Quantile <= 0 || s.Quantile >= 1 || s.Errors < 0 || s.Errors > 1) {
				problem = fmt.Errorf("%s: route %s %s: slo needs a latency over 0, a quantile between 0 and 1, errors from 0 to 1",
					name, route.Method, route.Path)
			}
		}
		if r.Cache != nil {
			route.Cache = &Cache{
				TTL:   span("cache.ttl", r.Cache.TTL),
				Stale: max(span("cache.stale_while_revalidate", r.Cache.Revalidating), span("cache.stale_if_error", r.Cache.Failing)),
			}
		}
		if problem != nil {
			return nil, problem
		}
		p.Routes = append(p.Routes, route)
	}
	return p, nil
}

// Route returns the route of a method and a path as the policy writes them, nil when there is none.
func (p *Policy) Route(method, path string) *Route {
	for i := range p.Routes {
		if r := &p.Routes[i]; r.Method == method && r.Path == path {
			return r
		}
	}
	return nil
}

func resolve(value string, lookup func(string) (string, bool)) string {
	reference, ok := strings.CutPrefix(value, "${env:")
	reference, closed := strings.CutSuffix(reference, "}")
	if !ok || !closed {
		return value
	}
	variable, fallback, _ := strings.Cut(reference, ":-")
	if set, ok := lookup(variable); ok {
		return set
	}
	return fallback
}

// parseDuration reads a span as policies write it, which has days and weeks: "500ms", "1h30m", "7d". An empty one is 0.
func parseDuration(text string) (time.Duration, error) {
	var total float64
	isDigit := func(r rune) bool { return r == '.' || r >= '0' && r <= '9' }
	for rest := text; rest != "" && text != "0"; {
		afterDigits := strings.TrimLeftFunc(rest, isDigit)
		digits := rest[:len(rest)-len(afterDigits)]
		end := strings.IndexFunc(afterDigits, isDigit)
		if end < 0 {
			end = len(afterDigits)
		}
		value, err := strconv.ParseFloat(digits, 64)
		unit, ok := map[string]time.Duration{
			"ns": 1, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
			"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
		}[afterDigits[:end]]
		if total += value * float64(unit); err != nil || !ok || total > math.MaxInt64/2 {
			return 0, fmt.Errorf("%q is not a duration such as \"30s\", \"1h30m\" or \"7d\"", text)
		}
		rest = afterDigits[end:]
	}
	return time.Duration(math.Round(total)), nil
}
