package chatbot

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/executor"
	"go.k6.io/k6/v2/metrics"
)

// promised are the thresholds of a script on the extension's metrics. k6 lets most of them pass that nothing ever touched, as a
// server does that sheds everything; here that fails the test, once all scenarios are over. Its methods may be called from any
// goroutine.
type promised struct {
	root  *Root
	state *lib.State
	began time.Time // about when the test did
	all   []*threshold

	mu         sync.Mutex
	iterations map[string]*iterations // by scenario
	users      []*instance            // that asked for the ends of iterations
	failed     bool                   // the test, by this
}

// threshold is the promises about one metric under one set of tags.
type threshold struct {
	name, metric string
	tags         map[string]string
	passes       bool // k6 lets it pass when nothing touched it
	touched      atomic.Bool
}

// iterations of a scenario that used the extension.
type iterations struct {
	start, stop  time.Time // stop is when k6 interrupts what still goes on
	begun, ended int64
}

// fail fails the test, with an exit code of its own.
func (r *Root) fail(state *lib.State) {
	r.failed.Store(true) // first: the report must not miss it
	state.TestStatus.MarkFailed()
}

// promised returns what the script promises. The first caller's state holds.
func (r *Root) promised(state *lib.State) *promised {
	r.once.Do(func() {
		p := &promised{root: r, state: state, began: time.Now(), iterations: map[string]*iterations{}}
		for _, name := range slices.Sorted(maps.Keys(state.Options.Thresholds)) {
			metric, tags, err := metrics.ParseMetricName(name)
			if err != nil || !ours(metric) {
				continue // k6 has refused it, or it is not of a turn
			}
			t := &threshold{name: name, metric: metric, tags: map[string]string{}, passes: true}
			for _, tag := range tags {
				key, value, _ := strings.Cut(tag, ":")
				t.tags[strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"'`)
			}
			for _, source := range state.Options.Thresholds[name].Thresholds {
				t.passes = t.passes && keptByNothing(source.Source)
			}
			p.all = append(p.all, t)
		}
		r.promises.Store(p)
	})
	return r.promises.Load()
}

func ours(metric string) bool {
	return strings.HasPrefix(metric, "chat_") || metric == "errors" || metric == "spike_requests"
}

var limit = regexp.MustCompile(`(<=|>=|<|>|===?|!=)\s*([\d.]+)\s*$`)

// keptByNothing says whether k6 takes a threshold for kept when nothing was measured, which to it is 0.
func keptByNothing(source string) bool {
	parts := limit.FindStringSubmatch(source)
	if parts == nil {
		return true
	}
	than, _ := strconv.ParseFloat(parts[2], 64) // the expression matches numbers alone
	switch parts[1] {
	case "<", "!=":
		return than != 0
	case "<=":
		return true
	case ">":
		return false
	}
	return than == 0
}

// touch notes that a sample counts for the thresholds of its metric. How long it took to refuse a turn says nothing of how long an
// answer takes.
func (p *promised) touch(metric *metrics.Metric, tags *metrics.TagSet) {
	for _, t := range p.all {
		if t.metric != metric.Name || t.touched.Load() {
			continue
		}
		if good, said := tags.Get("expected_response"); strings.HasPrefix(t.metric, "chat_duration") && said && good == "false" &&
			t.tags["expected_response"] != "false" {
			continue
		}
		fits := true
		for key, want := range t.tags {
			got, _ := tags.Get(key)
			fits = fits && got == want
		}
		if fits {
			t.touched.Store(true)
		}
	}
}

// silent returns the thresholds of which nothing was measured, but for counters, to which nothing is a measurement.
func (p *promised) silent() map[string]bool {
	all := map[string]bool{}
	for _, t := range p.all {
		if !t.touched.Load() && !counter(t.metric) {
			all[t.name] = true
		}
	}
	return all
}

func counter(metric string) bool {
	return slices.Contains([]string{"chat_turns", "chat_input_tokens", "chat_output_tokens", "spike_requests"}, metric)
}

// iterEnd is the event of a user's iteration that has ended, in k6's own package for it, which only k6 can import. k6 waits for who
// asked to be told: nothing else comes before it looks whether the test has failed.
const iterEnd = 5

// attend counts the iteration that the user is in, and looks when it ends whether it was the last one.
func (i *instance) attend(ctx context.Context, s *running) {
	if i.within == ctx {
		return
	}
	i.within = ctx
	p := i.root.promised(i.vu.State())
	local := i.vu.Events().Local
	switch {
	case p.settled():
		i.unsubscribe()
		return
	case i.subscription.Load() == 0 && local != nil:
		id, ends := local.Subscribe(iterEnd)
		i.subscription.Store(id)
		p.join(i)
		go func() {
			for end := range ends {
				i.ended()
				end.Done()
			}
		}()
	}
	i.ended() // the one before, if nobody told
	i.iteration.Store(p.begin(s))
}

// unsubscribe asks no more for the ends of iterations. k6 waits in vain for an answer to that of one that it interrupts, and warns of
// it, so this comes before. It may be called from any goroutine.
func (i *instance) unsubscribe() {
	if id := i.subscription.Swap(0); id > 0 {
		i.vu.Events().Local.Unsubscribe(id)
	}
}

// interrupted notes that the iteration is.
func (i *instance) interrupted() {
	i.ended()
	i.unsubscribe()
}

// ended notes that the iteration has ended. It may be called from any goroutine.
func (i *instance) ended() {
	if n := i.iteration.Swap(nil); n != nil {
		i.root.promises.Load().end(n)
	}
}

// settled says whether nothing is left to be measured.
func (p *promised) settled() bool {
	return !slices.ContainsFunc(p.all, func(t *threshold) bool { return !t.touched.Load() })
}

func (p *promised) begin(s *running) *iterations {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.iterations[s.name]
	if n == nil {
		config := p.state.Options.Scenarios[s.name]
		n = &iterations{start: s.start, stop: s.start.Add(longest(config))}
		p.iterations[s.name] = n
		if length, _ := lengthOf(config); length > 0 {
			time.AfterFunc(time.Until(s.start.Add(length))-beforeEnd, p.check) // users may have nothing to do then
		}
		time.AfterFunc(time.Until(n.stop)-beforeEnd, func() { p.stop(n) })
	}
	n.begun++
	return n
}

// join takes note of a user who asked for the ends of iterations.
func (p *promised) join(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users = append(p.users, i)
}

// stop looks once more before k6 interrupts what still goes on in a scenario.
func (p *promised) stop(n *iterations) {
	p.mu.Lock()
	users := slices.Clone(p.users)
	p.mu.Unlock()
	for _, i := range users {
		if i.iteration.Load() == n {
			i.unsubscribe()
		}
	}
	p.check()
}

func (p *promised) end(n *iterations) {
	p.mu.Lock()
	n.ended++
	p.mu.Unlock()
	p.check()
}

// check fails the test for what was promised and nothing was measured of, when the test is over. Where k6 fails it anyway that is
// left to k6, which has an exit code of its own for it.
func (p *promised) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed || !p.over(time.Now()) {
		return
	}
	silent := p.silent()
	for _, t := range p.all {
		if !t.passes && !t.touched.Load() {
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(silent)) {
		p.state.Logger.Errorf("nothing was measured of what the threshold on %s promises", name)
		p.root.fail(p.state)
		p.failed = true
	}
}

// over says whether no scenario goes on. One that did not use the extension may begin to until its time is up.
func (p *promised) over(now time.Time) bool {
	for name, config := range p.state.Options.Scenarios {
		length, iterations := lengthOf(config)
		n := p.iterations[name]
		switch {
		case n == nil:
			if now.Before(p.began.Add(config.GetStartTime() + longest(config))) {
				return false
			}
		case !now.Before(n.stop.Add(-beforeEnd)):
		case n.begun > n.ended:
			return false
		case iterations > 0:
			if n.ended < iterations {
				return false
			}
		case now.Before(n.start.Add(length - beforeEnd)):
			return false
		}
	}
	return true
}

// longest returns how long a scenario takes, with what is under way at its end.
func longest(config lib.ExecutorConfig) time.Duration {
	tuple, _ := lib.NewExecutionTuple(nil, nil) // of the whole test, which is never wrong
	end, _ := lib.GetEndOffset(config.GetExecutionRequirements(tuple))
	return end
}

// lengthOf returns how long a scenario begins iterations, or how many it begins.
func lengthOf(config lib.ExecutorConfig) (length time.Duration, iterations int64) {
	switch c := config.(type) {
	case executor.SharedIterationsConfig:
		return 0, c.Iterations.Int64
	case executor.PerVUIterationsConfig:
		return 0, c.Iterations.Int64 * c.VUs.Int64
	case executor.ConstantVUsConfig:
		return c.Duration.TimeDuration(), 0
	case *executor.ConstantArrivalRateConfig:
		return c.Duration.TimeDuration(), 0
	case executor.RampingVUsConfig:
		return total(c.Stages), 0
	case *executor.RampingArrivalRateConfig:
		return total(c.Stages), 0
	}
	return 0, 0
}

func total(stages []executor.Stage) (length time.Duration) {
	for _, s := range stages {
		length += s.Duration.TimeDuration()
	}
	return length
}
