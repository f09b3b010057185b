//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/apps/bench/internal/chart"
	"github.com/innatural/chatbot/apps/bench/internal/load"
	"github.com/innatural/chatbot/apps/bench/internal/measure"
	"github.com/innatural/chatbot/apps/bench/internal/process"
	"github.com/innatural/chatbot/apps/bench/internal/result"
)

func limitCommand() *cobra.Command {
	base, cand := &side{name: "base"}, &side{name: "cand"}
	var l limits
	var promises, program string
	c := &cobra.Command{
		Use:   "limit",
		Short: "Finds the highest rate at which a server keeps its policy's promises",
		Long: `limit finds the highest rate at which a server keeps its policy's promises: it doubles the rate until one is broken
twice, and halves the difference until that is 5 %. Who was refused, or answered too late, was not served. Of two servers the
steps are made in turns.

Exit codes: 0 found; 1 it could not run; 2 no rate was found at which the promises hold, or interrupted.`,
		Example: `  bench limit --base http://127.0.0.1:5000 --policy policies/chatbot.toml --endpoint /api/health
  bench limit --base-policy old.toml --cand-policy new.toml --endpoint /api/products`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := l.check(c); err != nil {
				return err
			}
			ctx := c.Context()
			l.sides = []*side{base}
			if cand.url != "" || cand.policy != "" {
				l.sides = append(l.sides, cand)
			}
			defer base.stop()
			defer cand.stop()
			var err error
			if l.endpoints, err = l.begin(c, program, promises, l.sides...); err != nil {
				return err
			}
			longest := time.Duration(0)
			for _, e := range l.endpoints {
				if e.SLO == nil || e.SLO.Latency == 0 {
					return fmt.Errorf("nothing is promised of %s: its route needs slo.latency in the policy that --policy names", e.Name)
				}
				longest = max(longest, time.Duration(e.SLO.Latency))
			}
			if !c.Flags().Changed("timeout") {
				l.timeout = 2 * longest // who waits longer has not been served anyway
			}
			before := process.ReadMachine()
			line := newProgress(c.ErrOrStderr())
			found, err := l.find(ctx, line)
			line.clear()
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), before)
			return l.report(c.OutOrStdout(), found)
		},
	}
	base.flags(c, "the server, or the first of two")
	cand.flags(c, "the second server")
	f := c.Flags()
	f.StringVar(&promises, "policy", "", "`file` of the policy of the endpoints and of what is promised; the candidate's, or the base's, by default")
	f.StringVar(&program, "server", "bin/chatbot", "`program` that serves the policies")
	f.DurationVar(&l.length, "step", 2*time.Second, "time that a rate is tried for")
	f.DurationVar(&l.settle, "settle", 500*time.Millisecond, "time before it that is not measured")
	f.IntVar(&l.searches, "searches", 3, "how often it is searched: the median is what was found")
	l.flags(c)
	return c
}

// limits is what is searched, and how.
type limits struct {
	settings
	sides          []*side
	endpoints      []measure.Endpoint
	length, settle time.Duration // of a step
	searches       int
}

func (l *limits) check(c *cobra.Command) error {
	if err := l.settings.check(c); err != nil {
		return err
	}
	if l.closed > 0 {
		return errors.New("a limit is a rate: --closed has no place")
	}
	if l.length <= 0 || l.settle < 0 || l.searches < 1 {
		return errors.New("--step must be more than none, --settle not less than none, and --searches 1 or more")
	}
	return nil
}

// find returns the rates that each server was found to bear, one of each search.
func (l *limits) find(ctx context.Context, line *progress) ([][]float64, error) {
	found := make([][]float64, len(l.sides))
	// Each step of a server has arrivals of its own: else one pattern, kind or not, would decide them all. A second server gets the same.
	seeds := make([]*rand.Rand, len(l.sides))
	for i := range seeds {
		seeds[i] = rand.New(rand.NewPCG(l.seed, 3))
	}
	for n := range l.searches {
		all := make([]*search, len(l.sides))
		for i := range all {
			all[i] = &search{first: l.rate}
		}
		err := inTurns(all, func(i int, rate float64) (bool, error) {
			side := l.sides[i]
			line.say(fmt.Sprintf("%s, search %d of %d: %s requests/s", side.name, n+1, l.searches, chart.Number(rate)))
			broken, err := l.step(ctx, side, rate, seeds[i].Uint64())
			if broken != "" {
				side.why = broken
			}
			return broken == "", err
		})
		if err != nil {
			return nil, err
		}
		for i, search := range all {
			found[i] = append(found[i], search.kept)
		}
	}
	return found, nil
}

// report says what was found.
func (l *limits) report(out io.Writer, found [][]float64) error {
	for i, side := range l.sides {
		if slices.Min(found[i]) == 0 {
			fmt.Fprintf(out, "%s: no rate was found at which the promises hold: %s\n", side.label(), side.why)
			return exitCode(exitInvalid)
		}
		beyond := cmp.Or(side.why, "bench sends no more")
		fmt.Fprintf(out, "%s: up to %s requests/s; beyond it %s\n", side.label(), spread(found[i]), beyond)
	}
	if len(l.sides) == 2 {
		times := make([]float64, l.searches)
		for i := range times {
			times[i] = found[1][i] / found[0][i]
		}
		fmt.Fprintf(out, "candidate over base: %s times\n", spread(times))
	}
	return nil
}

// label says which server a side is.
func (s *side) label() string {
	if s.policy == "" {
		return s.name + " " + s.url
	}
	return s.name + " " + strings.Join(append([]string{s.policy}, s.set...), " ")
}

// step asks a server at a rate, and says which promise was broken; "" when all were kept. Its seed is of its arrivals.
func (l *limits) step(ctx context.Context, s *side, rate float64, seed uint64) (string, error) {
	at := l.settings
	at.rate, at.seed = rate, seed
	g, err := load.New(at.plan(s.server, l.endpoints))
	if err != nil {
		return "", err
	}
	defer g.Close()
	recording, err := g.Run(ctx, l.settle, l.length, 1, nil)
	if err == nil {
		err = recording.Cut
	}
	if s.running != nil {
		err = cmp.Or(s.running.Ended(), err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.name, err)
	}
	m, err := measure.Run(result.Run{}, process.Machine{}, l.endpoints, []measure.Part{{Recording: recording}})
	if err != nil {
		return "", err
	}
	broken := brokenBy(m)
	if cpu := *m.Validity.ClientCPURatio; broken != "" && cpu > measure.MaxClientCPU {
		broken += fmt.Sprintf(", but the generator used %.0f %% of its CPU time, so the server may bear more", 100*cpu)
	}
	return broken, nil
}

// brokenBy says which promise a run broke, when who was refused or never asked counts as one who was not served.
func brokenBy(m *result.Measured) string {
	for _, s := range m.Series {
		for _, p := range s.Promises {
			measured := math.Inf(1)
			switch {
			case p.Unit == result.UnitRatio && s.Count > 0:
				measured = float64(s.Errors.Total+s.Shed+m.Validity.Dropped) / float64(s.Count+m.Validity.Dropped)
			case p.Unit == result.UnitMS && p.Measured != nil:
				measured = *p.Measured
			}
			switch {
			case measured <= p.Limit:
			case p.Unit == result.UnitRatio:
				lost, most := chart.Number(100*measured), chart.Number(100*p.Limit)
				return fmt.Sprintf("%s: %s %% were not served of at most %s %%", s.Name, lost, most)
			case math.IsInf(measured, 1):
				return fmt.Sprintf("%s: nobody was served", s.Name)
			default:
				return fmt.Sprintf("%s: %s %s ms of at most %s ms", s.Name, p.What, chart.Number(measured), chart.Number(p.Limit))
			}
		}
	}
	return ""
}

// spread is the median of some figures, and their range.
func spread(v []float64) string {
	sorted := slices.Sorted(slices.Values(v))
	n := len(sorted)
	text := chart.Number((sorted[(n-1)/2] + sorted[n/2]) / 2)
	if n > 1 {
		text += fmt.Sprintf(" (%s to %s in %d searches)", chart.Number(sorted[0]), chart.Number(sorted[n-1]), n)
	}
	return text
}

// search looks for the highest rate at which something holds.
type search struct {
	first        float64 // rate that is tried
	kept, broken float64 // highest at which it held, lowest at which it did not; 0 is none
	doubted      bool    // whether it did not hold once, at the rate that is next
}

// precise is how near to each other a rate that holds and one that does not are in the end.
const precise = 1.05

// next returns the rate to try, and false when the search is over.
func (s *search) next() (float64, bool) {
	switch {
	case s.kept == 0 && s.broken == 0:
		return s.first, true
	case s.broken == 0:
		return min(2*s.kept, load.MaxRate), s.kept < load.MaxRate
	case s.kept == 0:
		return s.broken / 2, s.broken > 2
	}
	return math.Sqrt(s.kept * s.broken), s.broken/s.kept > precise
}

// tell takes how the rate that was next went. What does not hold is tried once more, since any server may be disturbed.
func (s *search) tell(rate float64, held bool) {
	switch {
	case held:
		s.kept, s.doubted = rate, false
	case s.doubted:
		s.broken, s.doubted = rate, false
	default:
		s.doubted = true
	}
}

// inTurns makes a step of each search in turn until all are over.
func inTurns(all []*search, try func(i int, rate float64) (held bool, err error)) error {
	for more := true; more; {
		more = false
		for i, s := range all {
			rate, ok := s.next()
			if !ok {
				continue
			}
			more = true
			held, err := try(i, rate)
			if err != nil {
				return err
			}
			s.tell(rate, held)
		}
	}
	return nil
}
