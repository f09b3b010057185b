package model

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/innatural/chatbot/framework/policy"
)

// Options are what a policy says of the model.
type Options struct {
	Upstreams       map[string]Upstream `toml:"upstreams" doc:"Servers that speak OpenAI's chat completions, by a name of your choice. Without any that has a url, all answers are embedded ones."`
	Degraded        bool                `toml:"degraded" doc:"Whether customers get the embedded answer when no model gives one; otherwise they get an error."`
	OnContradiction string              `toml:"on_contradiction" doc:"What happens to a sentence that catalogue and FAQ do not bear out: the embedded answer takes its place, or it is sent and flagged." check:"oneof=replace|flag"`
	Timeout         policy.Duration     `toml:"timeout" doc:"Longest time to the end of an answer, waiting and attempts included; routes that end earlier shorten it." check:"min=100ms,max=1h"`
	FirstToken      policy.Duration     `toml:"first_token" doc:"Longest time to the first token of an answer, waiting and attempts included." check:"min=10ms,max=10m"`
	Stall           policy.Duration     `toml:"stall" doc:"Longest silence within an answer." check:"min=10ms,max=10m"`
	Queue           policy.Duration     `toml:"queue" doc:"Longest time that a message waits for its turn at a busy upstream." check:"min=0s,max=1m"`
	Attempts        int                 `toml:"attempts" doc:"How often a message is tried, at any upstream, before its first token." check:"min=1,max=10"`
	MaxTokens       int                 `toml:"max_tokens" doc:"Most tokens of an answer." check:"min=16,max=100000"`
	PromptTokens    int                 `toml:"prompt_tokens" doc:"About the most tokens of a prompt: what was said before gives way first, the rules never." check:"min=500,max=1000000"`
	Temperature     float64             `toml:"temperature" doc:"How freely the model chooses its words." check:"min=0,max=2"`
	Reuse           policy.Duration     `toml:"reuse" doc:"How long the answer of a model is given to others who ask the same, where nothing but the question matters; 0 is never." check:"min=0s,max=30d"`
	Customer        string              `toml:"customer" doc:"Whom rate and budget count as one customer: a session, or an address, where the server sees those of customers." check:"oneof=session|address"`
	Rate            Rate                `toml:"rate" doc:"Messages of one customer that go to a model; beyond it answers are embedded ones."`
	Budget          Budget              `toml:"budget" doc:"Tokens that are spent in a span of time."`
}

// Upstream is one server.
type Upstream struct {
	URL         string          `toml:"url" doc:"Base URL, such as https://api.example/v1; an empty one leaves the upstream out."`
	Model       string          `toml:"model" doc:"Name of the model." check:"required,nonempty"`
	Key         policy.Secret   `toml:"key" doc:"Bearer token."`
	Priority    int             `toml:"priority" doc:"Upstreams of the lowest number are tried first; those of the same number share the work." check:"min=0,max=1000"`
	FirstToken  policy.Duration `toml:"first_token" doc:"Longest time of one attempt to its first token; that of the model when absent." check:"min=10ms,max=10m"`
	Stall       policy.Duration `toml:"stall" doc:"Longest silence within an answer; that of the model when absent." check:"min=10ms,max=10m"`
	Concurrency int             `toml:"concurrency" doc:"Most requests at once, 100 when absent; fewer while the upstream is overloaded, down to 5." check:"min=1,max=10000"`
	NoUsage     bool            `toml:"no_usage" doc:"Whether the upstream is not asked to count tokens, for servers that refuse stream_options."`
	Price       Price           `toml:"price" doc:"What tokens cost, for the metric of costs."`
}

// Price is what an upstream's tokens cost, in any currency, the same for all upstreams.
type Price struct {
	Input  float64 `toml:"input" doc:"Price of a million tokens of prompts." check:"min=0,max=1000000"`
	Output float64 `toml:"output" doc:"Price of a million tokens of answers." check:"min=0,max=1000000"`
}

// Rate bounds the messages of one customer.
type Rate struct {
	Requests int             `toml:"requests" doc:"Messages in each window; 0 is no limit." check:"min=0,max=1000000"`
	Window   policy.Duration `toml:"window" doc:"The span of time." check:"min=1s,max=1d"`
}

// Budget bounds the tokens that are spent.
type Budget struct {
	Window   policy.Duration `toml:"window" doc:"The span of time, counted from midnight UTC where it divides a day." check:"min=1s,max=365d"`
	Customer int             `toml:"customer" doc:"Tokens of one customer in each window; 0 is no limit." check:"min=0,max=1000000000000"`
	Total    int             `toml:"total" doc:"Tokens of all customers in each window; 0 is no limit." check:"min=0,max=1000000000000"`
}

// Defaults returns what holds where a policy says nothing: no upstream, so no model.
func Defaults() Options {
	return Options{
		Degraded: true, OnContradiction: Replace,
		Timeout: policy.Duration(25 * time.Second), FirstToken: policy.Duration(8 * time.Second),
		Stall: policy.Duration(5 * time.Second), Queue: policy.Duration(2 * time.Second), Attempts: 3,
		MaxTokens: 500, PromptTokens: 4000, Temperature: 0.3,
		Reuse: policy.Duration(time.Hour), Customer: "session",
		Rate:   Rate{Requests: 20, Window: policy.Duration(time.Minute)},
		Budget: Budget{Window: policy.Duration(24 * time.Hour)},
	}
}

// What happens to a sentence that contradicts what is known.
const (
	Replace = "replace"
	Flag    = "flag"
)

// Names returns the names of the upstreams that have a URL, the first ones first.
func (o Options) Names() []string {
	names := slices.Sorted(maps.Keys(o.Upstreams))
	names = slices.DeleteFunc(names, func(n string) bool { return o.Upstreams[n].URL == "" })
	slices.SortStableFunc(names, func(a, b string) int { return o.Upstreams[a].Priority - o.Upstreams[b].Priority })
	return names
}

// Validate returns what is wrong with the table model, as policy.Validator does with all options.
func (o Options) Validate() error {
	var mistakes []error
	for _, name := range o.Names() {
		if _, err := endpoint(o.Upstreams[name].URL); err != nil {
			mistakes = append(mistakes, &policy.OptionError{Key: "model.upstreams." + name + ".url", Err: err})
		}
	}
	return errors.Join(mistakes...)
}

// endpoint returns where an upstream takes chat completions.
func endpoint(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the address of a server; write it like http://127.0.0.1:9000/v1", base)
	}
	return u.JoinPath("chat/completions"), nil
}
