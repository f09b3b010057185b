//go:build linux

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/apps/bench/internal/compare"
	"github.com/innatural/chatbot/apps/bench/internal/load"
	"github.com/innatural/chatbot/apps/bench/internal/measure"
	"github.com/innatural/chatbot/apps/bench/internal/process"
	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// side is one of the two servers.
type side struct {
	name   string // base or cand
	url    string
	policy string
	set    []string // settings of the policy, key=value

	server  *url.URL
	running *process.Process // when it was started here
	g       *load.Generator
	parts   []measure.Part
	why     string // it bears no more, as a search has found
}

// begin starts the servers, which the caller stops, also when there is an error, and chooses the endpoints of the policy whose promises
// count: the one named, or that of the last server that has one.
func (s *settings) begin(c *cobra.Command, program, promises string, sides ...*side) ([]measure.Endpoint, error) {
	for _, side := range sides {
		if err := side.start(c.Context(), program); err != nil {
			return nil, fmt.Errorf("%s: %w", side.name, err)
		}
	}
	p, err := loadPolicy(cmp.Or(promises, sides[len(sides)-1].policy, sides[0].policy))
	if err != nil {
		return nil, err
	}
	note := func(text string) { fmt.Fprintln(c.ErrOrStderr(), "bench:", text) }
	return s.choose(c.Context(), sides[0].server, p, note)
}

func (s *side) flags(c *cobra.Command, what string) {
	f := c.Flags()
	f.StringVar(&s.url, s.name, "", "`address` of "+what+", which runs; or")
	f.StringVar(&s.policy, s.name+"-policy", "", "`file` of the policy that "+what+" is started with")
	f.StringArrayVar(&s.set, s.name+"-set", nil, "`key=value` over that policy, such as compression.level=9; may be repeated")
}

func abCommand() *cobra.Command {
	base, cand := &side{name: "base"}, &side{name: "cand"}
	var s settings
	var o outputs
	var j judging
	var promises, program string
	var block, settle time.Duration
	var rounds int
	c := &cobra.Command{
		Use:   "ab",
		Short: "Measures two servers in turns, and gives a verdict on the second",
		Long: `ab measures two servers in turns, base first and candidate first alternately, and gives a verdict on the candidate. What the
machine does meanwhile falls on both, and each pair of blocks is compared by itself. The servers run already, or are started here with
a policy each; only one is asked at a time.

` + compareExit,
		Example: `  bench ab --base http://127.0.0.1:5000 --cand http://127.0.0.1:5001 --policy policies/chatbot.toml
  bench ab --base-policy policies/chatbot.toml --cand-policy policies/chatbot.toml --cand-set compression.level=9 -c 8`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(j.check(), s.check(c), o.check()); err != nil {
				return err
			}
			if rounds < compare.MinBlocks || block <= 0 || settle < 0 {
				return errors.New("--rounds must be 6 or more, and better 20, --block more than none, and --settle not less than none")
			}
			j.seed = s.seed
			ctx := c.Context()
			defer base.stop()
			defer cand.stop()
			endpoints, err := s.begin(c, program, promises, base, cand)
			if err != nil {
				return err
			}
			for _, side := range []*side{base, cand} {
				if err := side.prepare(&s, endpoints); err != nil {
					return fmt.Errorf("%s: %w", side.name, err)
				}
			}
			before := process.ReadMachine()
			line := newProgress(c.ErrOrStderr())
			cut := turns(ctx, base, cand, rounds, settle, block, line)
			line.clear()
			done := min(len(base.parts), len(cand.parts))
			if cut != nil && done < compare.MinBlocks {
				return cut
			}
			config := s.config(endpoints)
			config.DurationSeconds, config.WarmupSeconds = float64(rounds)*block.Seconds(), settle.Seconds()
			config.Blocks, config.Interleaved = rounds, true
			var runs []*result.Document
			for _, side := range []*side{base, cand} {
				side.parts = side.parts[:done]
				d, err := side.document(config, s.seed, before, endpoints)
				if err != nil {
					return err
				}
				runs = append(runs, d)
			}
			for _, d := range runs {
				if cut != nil {
					d.Validity.Valid = false
					d.Validity.Reasons = append(d.Validity.Reasons, fmt.Sprintf("it ended after %d of %d rounds: %v", done, rounds, cut))
				}
			}
			if j.force || runs[0].Validity.Valid && runs[1].Validity.Valid {
				return j.compare(c, &o, runs[0], runs[1])
			}
			j.force = true // what was measured is shown, but it is not what was asked for
			if err := j.compare(c, &o, runs[0], runs[1]); err != nil && !errors.As(err, new(exitCode)) {
				return err
			}
			return exitCode(exitNotComparable)
		},
	}
	base.flags(c, "the server that a change starts from")
	cand.flags(c, "the server with the change")
	f := c.Flags()
	f.StringVar(&promises, "policy", "", "`file` of the policy of the endpoints and of what is promised; the candidate's by default")
	f.StringVar(&program, "server", "bin/chatbot", "`program` that serves the policies")
	f.IntVar(&rounds, "rounds", 20, "pairs of blocks")
	f.DurationVar(&block, "block", time.Second, "length of a block")
	f.DurationVar(&settle, "settle", 200*time.Millisecond, "time before each block that is not measured")
	s.flags(c)
	j.flags(c)
	o.flags(c)
	return c
}

// start finds the server, or starts it.
func (s *side) start(ctx context.Context, program string) error {
	if (s.url == "") == (s.policy == "") {
		return fmt.Errorf("name a server with --%s URL, or a policy to serve with --%s-policy FILE", s.name, s.name)
	}
	address := s.url
	if s.policy != "" {
		free, err := process.FreeAddress()
		if err != nil {
			return err
		}
		args := []string{"serve", "--policy", s.policy, "--listen", free}
		for _, set := range s.set {
			args = append(args, "--set", set)
		}
		if s.running, err = process.Start(ctx, nil, free, program, args...); err != nil {
			return fmt.Errorf("%s: %w", program, err)
		}
		address = "http://" + free
	} else if len(s.set) > 0 {
		return fmt.Errorf("--%s-set needs --%s-policy", s.name, s.name)
	}
	var err error
	s.server, err = parseServer(address)
	return err
}

func (s *side) stop() {
	if s.g != nil {
		s.g.Close()
	}
	if s.running != nil {
		s.running.Stop()
	}
}

// prepare asks for every endpoint once: both servers must have it.
func (s *side) prepare(settings *settings, endpoints []measure.Endpoint) error {
	plan := settings.plan(s.server, endpoints)
	if s.running != nil {
		plan.PID = s.running.PID()
	}
	var err error
	if s.g, err = load.New(plan); err != nil {
		return err
	}
	for i, e := range endpoints {
		status, err := s.g.Probe(i)
		if err != nil {
			return fmt.Errorf("ask %s: %w; is the server running there?", s.server, err)
		}
		if !served(status) {
			return fmt.Errorf("%s is answered %d", e.Name, status)
		}
	}
	return nil
}

// turns measures the servers in turns: base and candidate, then candidate and base, and so on.
func turns(ctx context.Context, base, cand *side, rounds int, settle, block time.Duration, line *progress) error {
	order := []*side{base, cand}
	for round := range rounds {
		for _, side := range order {
			line.say(fmt.Sprintf("round %d of %d, %s", round+1, rounds, side.name))
			recording, err := side.g.Run(ctx, settle, block, 1, nil)
			if err == nil {
				err = recording.Cut
			}
			switch {
			case ctx.Err() != nil:
				return errors.New("it was interrupted")
			case side.running != nil && side.running.Ended() != nil:
				return fmt.Errorf("%s: %w", side.name, side.running.Ended())
			case err != nil:
				return fmt.Errorf("%s: %w", side.name, err)
			}
			side.parts = append(side.parts, measure.Part{Recording: recording, Pair: &round})
		}
		slices.Reverse(order)
	}
	return nil
}

func (s *side) document(config config, seed uint64, before process.Machine, endpoints []measure.Endpoint) (*result.Document, error) {
	r := result.Run{ID: rand.Text(), Target: s.server.String(), Seed: seed, Server: strings.Join(append([]string{s.policy}, s.set...), " ")}
	if err := r.Configure(config); err != nil {
		return nil, err
	}
	measured, err := measure.Run(r, before, endpoints, s.parts)
	if err != nil {
		return nil, err
	}
	return &result.Document{
		SchemaVersion: result.Version, Kind: result.KindRun, Tool: result.Tool{Name: "bench", Version: version}, Measured: measured,
	}, nil
}
