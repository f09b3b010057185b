package chatbot

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/promises"
	"go.k6.io/k6/v2/lib/types"
	"go.k6.io/k6/v2/metrics"

	"github.com/innatural/chatbot/xk6-chatbot/internal/phase"
	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
	"github.com/innatural/chatbot/xk6-chatbot/internal/search"
)

// Search is a search for the highest sustained rate, as one virtual user takes part in it. All users of a scenario take part in
// one.
type Search struct {
	instance *instance
	options  search.Options
}

func (i *instance) newSearch(call sobek.ConstructorCall) *sobek.Object {
	rt := i.vu.Runtime()
	o := struct {
		SLO       *sloOptions        `json:"slo"`
		Start     float64            `json:"start"`
		Max       float64            `json:"max"`
		Control   float64            `json:"control"`
		Step      types.NullDuration `json:"step"`
		Precision float64            `json:"precision"`
		Seed      uint64             `json:"seed"`
	}{Start: 4, Max: 1000, Step: types.NullDurationFrom(20 * time.Second), Precision: 1.1}
	if err := decode("new Search", call.Argument(0), &o); err != nil {
		common.Throw(rt, err)
	}
	if o.Control == 0 {
		o.Control = o.Start / 2
	}
	s := &Search{instance: i}
	s.options = search.Options{
		Start: o.Start, Max: o.Max, Control: o.Control, Step: o.Step.TimeDuration(), Precision: o.Precision, Seed: o.Seed,
		Quantile: 0.95,
	}
	if o.SLO != nil {
		s.options.Latency, s.options.Errors = o.SLO.Latency.TimeDuration(), o.SLO.Errors
		if o.SLO.Quantile > 0 {
			s.options.Quantile = o.SLO.Quantile
		}
	}
	if err := s.options.Validate(); err != nil {
		common.Throw(rt, fmt.Errorf("new Search: %w", err))
	}
	return rt.ToValue(s).ToObject(rt)
}

// shared returns the search of the scenario that runs.
func (s *Search) shared(name string) *search.Search {
	r := s.instance.root
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.searches[name] == nil {
		r.searches[name] = search.New(s.options, func(step search.Step) {
			r.recorder.Stepped(record.Step{
				Scenario: name, Phase: stepPhase(step.Rate, step.Control), Start: step.Start, Duration: step.Duration, Rate: step.Rate,
				Control: step.Control, Turns: step.Turns, Late: step.Late, Failed: step.Failed, Starved: step.Starved, Held: step.Held,
			})
		})
	}
	return r.searches[name]
}

// stepPhase names a step as a stage of a profile would be.
func stepPhase(rate float64, control bool) string {
	if control {
		return phase.Baseline
	}
	return "step_" + strconv.FormatFloat(rate, 'g', 3, 64)
}

// Run takes turns until the search has ended: for each it begins a conversation and sends its first message when it is due. The
// promise is of the number of turns that this user took.
func (s *Search) Run(begin sobek.Value) (*sobek.Promise, error) {
	i := s.instance
	make, ok := sobek.AssertFunction(begin)
	if !ok {
		return nil, errors.New("run: needs a function that returns a conversation")
	}
	ctx := i.vu.Context()
	running, err := i.running(ctx)
	if err != nil {
		return nil, err
	}
	state := i.vu.State()
	shared := s.shared(running.name)
	promise, resolve, reject := promises.New(i.vu)
	turns := 0
	var wait func()
	unsent := func(t search.Turn, err error) error {
		shared.Done(t, 0, 0, false) // the others wait for the step's last turn
		reject(err)
		return nil
	}
	one := func(t search.Turn) error {
		v, err := make(sobek.Undefined())
		if err != nil {
			return unsent(t, err)
		}
		c, ok := v.Export().(*Conversation)
		if !ok {
			return unsent(t, errors.New("run: the function has to return a conversation"))
		}
		c.due, c.waited, c.phase = t.Due, true, stepPhase(t.Rate, t.Control)
		prompt := c.prompts.draw()
		return c.send(prompt.Text, &sendOptions{Language: prompt.Language, Intent: prompt.Intent}, func(reply *Reply, err error) error {
			ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
			shared.Done(t, ms(reply.Timings.Duration), ms(reply.Timings.Corrected), reply.OK)
			if err != nil {
				reject(err)
				return nil
			}
			turns++
			wait()
			return nil
		})
	}
	wait = func() {
		callback := i.vu.RegisterCallback()
		go func() {
			turn, ok := shared.Next(ctx)
			callback(func() error {
				if ok {
					return one(turn)
				}
				if result, _, ended := shared.Result(); ended && ctx.Err() == nil {
					tags := state.Tags.GetCurrentValues()
					i.root.promised(state).touch(i.metrics.maxRate, tags.Tags)
					metrics.PushIfNotDone(ctx, state.Samples, metrics.Sample{
						TimeSeries: metrics.TimeSeries{Metric: i.metrics.maxRate, Tags: tags.Tags}, Time: time.Now(), Value: result.Rate,
					})
				}
				resolve(turns)
				return nil
			})
		}()
	}
	wait()
	return promise, nil
}

// Result returns what the search of the script's scenario has found so far: the rate that held, the lowest that did not (0 when
// there was none), and why it ended ("" while it goes on).
func (s *Search) Result() (map[string]any, error) {
	r := s.instance.root
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.searches) != 1 {
		return nil, fmt.Errorf("result: %d scenarios have searched; it needs one", len(r.searches))
	}
	for _, shared := range r.searches {
		result, steps, _ := shared.Result()
		upper := result.Upper
		if math.IsInf(upper, 1) {
			upper = 0
		}
		return map[string]any{"rate": result.Rate, "upper": upper, "reason": result.Reason, "steps": len(steps)}, nil
	}
	panic("unreachable")
}
