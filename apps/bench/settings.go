//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/apps/bench/internal/load"
	"github.com/innatural/chatbot/apps/bench/internal/measure"
	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/plugins"
)

// settings are the flags that say what is asked, and how.
type settings struct {
	endpoints   []string
	headers     []string
	examples    map[string]string
	rate        float64
	closed      int
	even        bool
	connections int
	timeout     time.Duration
	seed        uint64
}

const (
	defaultRate        = 1000
	defaultConnections = 512
)

func (s *settings) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&s.endpoints, "endpoint", nil,
		"`request` to send, such as '/api/faq?q=prix' or 'POST /api/chat {…}'; may be repeated; without it the policy's GET routes")
	f.StringArrayVarP(&s.headers, "header", "H", nil,
		"`header` of every request, such as 'X-Key: 1'; may be repeated (Accept-Encoding is gzip unless it is set)")
	f.StringToStringVar(&s.examples, "example", nil, "`name=value` of a parameter in the policy's paths, such as id=shampooing")
	f.Float64Var(&s.rate, "rate", defaultRate, "requests per second, of all endpoints together, whether or not the server keeps up")
	f.IntVarP(&s.closed, "closed", "c", 0,
		"instead of a rate, so many `connections` that each send a request as soon as they have an answer: for capacity")
	f.BoolVar(&s.even, "even", false, "requests are due at even intervals, instead of as a Poisson process")
	f.IntVar(&s.connections, "connections", defaultConnections, "most connections at a rate")
	f.DurationVar(&s.timeout, "timeout", 10*time.Second, "longest wait for an answer")
	f.Uint64Var(&s.seed, "seed", 1, "of everything random")
	c.MarkFlagsMutuallyExclusive("rate", "closed")
	c.MarkFlagsMutuallyExclusive("connections", "closed")
}

// check says what can't be meant.
func (s *settings) check(c *cobra.Command) error {
	switch {
	case c.Flags().Changed("closed") && s.closed < 1:
		return fmt.Errorf("--closed %d: there must be a connection or more", s.closed)
	case s.rate == 0:
		return errors.New("--rate 0: nothing would be due; --closed CONNECTIONS asks as fast as it is answered")
	}
	return nil
}

// config is what is compared before two runs are: every setting that changes what is measured.
type config struct {
	Loop            string         `json:"loop"`
	Rate            float64        `json:"rate,omitempty"`
	Spacing         string         `json:"spacing,omitempty"`
	Connections     int            `json:"connections"`
	TimeoutSeconds  float64        `json:"timeout_seconds"`
	DurationSeconds float64        `json:"duration_seconds"`
	WarmupSeconds   float64        `json:"warmup_seconds"`
	Blocks          int            `json:"blocks"`
	Interleaved     bool           `json:"interleaved"`
	Endpoints       []configTarget `json:"endpoints"`
}

type configTarget struct {
	Method string      `json:"method"`
	Target string      `json:"target"`
	Header [][2]string `json:"header"`
	Body   string      `json:"body_sha256,omitempty"`
}

func (s *settings) config(endpoints []measure.Endpoint) config {
	c := config{Loop: "open", Rate: s.rate, Spacing: "poisson", Connections: s.connections, TimeoutSeconds: s.timeout.Seconds()}
	if s.even {
		c.Spacing = "even"
	}
	if s.closed > 0 {
		c.Loop, c.Rate, c.Spacing, c.Connections = "closed", 0, "", s.closed
	}
	for _, e := range endpoints {
		t := configTarget{Method: e.Request.Method, Target: e.Request.Target, Header: e.Request.Header}
		if len(e.Request.Body) > 0 {
			sum := sha256.Sum256(e.Request.Body)
			t.Body = hex.EncodeToString(sum[:])
		}
		c.Endpoints = append(c.Endpoints, t)
	}
	return c
}

// plan is how a server is asked for endpoints.
func (s *settings) plan(server *url.URL, endpoints []measure.Endpoint) load.Plan {
	p := load.Plan{URL: server, Rate: s.rate, Even: s.even, Connections: s.connections, Timeout: s.timeout, Seed: s.seed}
	if s.closed > 0 {
		p.Rate, p.Connections = 0, s.closed
	}
	for _, e := range endpoints {
		p.Requests = append(p.Requests, e.Request)
	}
	return p
}

// loadPolicy reads the policy that promises are read from, as the server reads it.
func loadPolicy(file string) (*policy.Policy, error) {
	if file == "" {
		return nil, nil
	}
	return framework.PolicyFile(file, nil)(framework.Vocabulary(plugins.Standard()...))
}

// choose returns the endpoints: those given, or those of the policy's GET routes that anyone may ask for. A route is asked for by its
// path; where that has parameters, or is refused without a query, by the first request of the policy's own tests that it answers.
func (s *settings) choose(ctx context.Context, server *url.URL, p *policy.Policy, note func(string)) ([]measure.Endpoint, error) {
	header, err := s.header()
	if err != nil {
		return nil, err
	}
	var groups [][]measure.Endpoint // candidates of each endpoint, of which one is taken
	for _, text := range s.endpoints {
		e, err := parseEndpoint(text, header)
		if err != nil {
			return nil, err
		}
		promise(&e, p)
		groups = append(groups, []measure.Endpoint{e})
	}
	if len(groups) == 0 {
		if p == nil {
			return nil, errors.New("nothing to ask for: name a policy with --policy FILE, or requests with --endpoint 'GET /path'")
		}
		if groups = s.ofPolicy(p, header); groups == nil {
			return nil, fmt.Errorf("%s has no GET route that anyone may ask for: give requests with --endpoint 'GET /path'", p.File())
		}
	}
	var chosen []measure.Endpoint
	for _, candidates := range groups {
		e, status, err := s.first(ctx, server, candidates)
		if err != nil {
			return nil, err
		}
		switch {
		case e != nil:
			if status >= 400 {
				note(fmt.Sprintf("%s is answered %d at first, and is measured all the same", e.Name, status))
			}
			chosen = append(chosen, *e)
		case len(s.endpoints) > 0:
			return nil, fmt.Errorf("%s is answered %d: give a request that the server answers", candidates[0].Name, status)
		default:
			note(fmt.Sprintf("left out: %s is answered %d; give an example with --endpoint or --example", candidates[0].Name, status))
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("the server answers none of the policy's GET routes: is it the server of this policy?")
	}
	return chosen, nil
}

// first returns the first candidate that the server answers, or else the first that it fails at, and how it was answered; of those that
// it has no answer for, only how the last was.
func (s *settings) first(ctx context.Context, server *url.URL, candidates []measure.Endpoint) (e *measure.Endpoint, status int, err error) {
	g, err := load.New(s.plan(server, candidates))
	if err != nil {
		return nil, 0, err
	}
	defer g.Close()
	failed := 0
	for i := range candidates {
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if status, err = g.Probe(i); err != nil {
			return nil, 0, fmt.Errorf("ask %s: %w; is the server running there?", server, err)
		}
		switch {
		case status < 400:
			return &candidates[i], status, nil
		case e == nil && served(status):
			e, failed = &candidates[i], status
		}
	}
	if e != nil {
		return e, failed, nil
	}
	return nil, status, nil
}

// served reports whether an answer's status is that of a request that the server is there for. If it fails (5xx), is late (408) or refuses
// for now (429, 503), that is for the measurement to say; any other 4xx says that the request is wrong.
func served(status int) bool { return status < 400 || status >= 500 || status == 408 || status == 429 }

func (s *settings) header() ([][2]string, error) {
	header, encoding := [][2]string{{"User-Agent", "bench/" + version}}, true
	for _, h := range s.headers {
		name, value, ok := strings.Cut(h, ":")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !ok || name == "" || strings.ContainsAny(name+value, "\r\n") {
			return nil, fmt.Errorf("--header %q: write it as 'Name: value'", h)
		}
		encoding = encoding && !strings.EqualFold(name, "Accept-Encoding")
		header = append(header, [2]string{name, value})
	}
	if encoding {
		header = append(header, [2]string{"Accept-Encoding", "gzip"})
	}
	return header, nil
}

// parseEndpoint reads METHOD TARGET BODY, of which only the target must be there.
func parseEndpoint(text string, header [][2]string) (measure.Endpoint, error) {
	method, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	if strings.HasPrefix(method, "/") {
		method, rest = "GET", text
	}
	target, body, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if u, err := url.ParseRequestURI(target); err != nil || !strings.HasPrefix(target, "/") || u.Fragment != "" || strings.ToUpper(method) != method {
		return measure.Endpoint{}, fmt.Errorf("--endpoint %q: write it as 'GET /path?query', or with a body as 'POST /path {…}'", text)
	}
	if body = strings.TrimSpace(body); strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
		header = append(slices.Clip(header), [2]string{"Content-Type", "application/json"})
	}
	return measure.Endpoint{
		Name: method + " " + target, Request: load.Request{Method: method, Target: target, Header: header, Body: []byte(body)},
	}, nil
}

// promise gives an endpoint the route that serves it, and what is promised of that.
func promise(e *measure.Endpoint, p *policy.Policy) {
	if p == nil {
		return
	}
	path, _, _ := strings.Cut(e.Request.Target, "?")
	if m := p.Match(e.Request.Method, path); m.Route != nil {
		e.Route, e.SLO = m.Route.Method+" "+m.Route.Path, m.Route.SLO
		if e.SLO != nil {
			e.Origin = p.Origin(fmt.Sprintf("routes[%d].slo", m.Index)).String()
		}
	}
}

// ofPolicy returns the candidates of each GET route that does not stream and that anyone may ask for.
func (s *settings) ofPolicy(p *policy.Policy, header [][2]string) [][]measure.Endpoint {
	streams := map[string]bool{}
	for _, plugin := range framework.Vocabulary(plugins.Standard()...).Plugins {
		for _, h := range plugin.Handlers {
			streams[h.Name] = h.Stream
		}
	}
	examples := testRequests(p)
	var groups [][]measure.Endpoint
	for i, r := range p.Routes {
		if r.Method != "GET" || r.Audience == "admin" || streams[r.Handler] {
			continue
		}
		var candidates []measure.Endpoint
		add := func(target string) {
			e := measure.Endpoint{Name: "GET " + target, Request: load.Request{Method: "GET", Target: target, Header: header}}
			path, _, _ := strings.Cut(target, "?")
			if p.Find("GET", path) == i {
				promise(&e, p)
				candidates = append(candidates, e)
			}
		}
		path := r.Path
		for name, value := range s.examples {
			path = strings.ReplaceAll(path+"/", "/:"+name+"/", "/"+url.PathEscape(value)+"/")
			path = strings.TrimSuffix(path, "/")
		}
		if path == "" {
			path = "/"
		}
		if !strings.ContainsAny(path, ":*") {
			add(path)
		}
		for _, target := range examples {
			add(target)
		}
		if len(candidates) > 0 {
			groups = append(groups, candidates)
		}
	}
	return groups
}

// testRequests returns the plain GET requests of the policy's own tests that are answered 200; none when there are no tests.
func testRequests(p *policy.Policy) []string {
	name := strings.TrimSuffix(p.File(), ".toml") + "_test.toml"
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	tests, _ := policy.LoadTests(policy.Source{Name: name, Text: text})
	if tests == nil {
		return nil
	}
	var targets []string
	for _, t := range tests.Tests {
		r := t.Request
		if (r.Method == "" || r.Method == "GET") && len(r.Headers) == 0 && (t.Expect.Status == 0 || t.Expect.Status == 200) {
			targets = append(targets, r.Path)
		}
	}
	return targets
}
