package chat

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/limit"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/chat/internal/budget"
	"github.com/innatural/chatbot/plugins/chat/internal/grounding"
	"github.com/innatural/chatbot/plugins/chat/internal/model"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
)

// bySession says that a session counts as a customer.
const bySession = "session"

// models is the upstreams and what is spent at them. It outlives reloads that do not change its options.
type models struct {
	*model.Model // nil when the policy names no upstream
	ledger       *budget.Ledger
	limiter      *limit.Limiter // nil is no limit
	unexport     []func()
}

// Close drops the connections to the upstreams.
func (m *models) Close() error {
	for _, remove := range m.unexport {
		remove()
	}
	if m.Model == nil {
		return nil
	}
	return m.Model.Close()
}

func newModels(o model.Options, registry *telemetry.Registry) (*models, error) {
	upstreams, err := model.New(o, registry)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	m := &models{Model: upstreams, ledger: budget.New(budget.Limits{
		Window: o.Budget.Window.D(), Customer: int64(o.Budget.Customer), Total: int64(o.Budget.Total),
	})}
	if o.Rate.Requests > 0 {
		m.limiter = limit.New(o.Rate.Requests, o.Rate.Window.D())
	}
	if total := float64(o.Budget.Total); total > 0 {
		m.unexport = []func(){
			registry.GaugeFunc(telemetry.ChatBudget, telemetry.ChatBudgetHelp, func() float64 { return total }),
			registry.GaugeFunc(telemetry.ChatBudgetSpent, telemetry.ChatBudgetSpentHelp,
				func() float64 { return float64(m.ledger.Spent()) }),
		}
	}
	return m, nil
}

// openModels returns the models of a policy.
func openModels(h *framework.Host, o model.Options) (*models, error) {
	var key strings.Builder
	fmt.Fprintf(&key, "%+v", o)
	for _, name := range o.Names() {
		key.WriteString(name + "\x00" + o.Upstreams[name].Key.Reveal() + "\x00")
	}
	m, err := framework.Shared(h, fmt.Sprintf("models %x", sha256.Sum256([]byte(key.String()))), func() (*models, error) {
		return newModels(o, h.Metrics)
	})
	if err != nil {
		return nil, err
	}
	m.ledger.Use(h.Redis())
	if m.Model == nil {
		h.AddCheck("model", func(context.Context) framework.Check { // answers come from catalogue and FAQ alone
			return framework.Check{Status: "disabled", Fields: map[string]any{"latencyMs": 0}}
		})
		return m, nil
	}
	m.UseLog(h.Log)
	h.AddCheck("model", m.Check)
	return m, nil
}

// timeout returns how long the answer of a model may take, so that it ends before the routes that wait for it do.
func timeout(h *framework.Host, o model.Options) time.Duration {
	longest := o.Timeout.D()
	for _, r := range h.Policy().Routes {
		switch r.Handler {
		case "chat", "chat.completions":
			longest = min(longest, ahead(r.Timeout.D()))
		case "chat.stream":
			longest = min(longest, ahead(r.Stream.Max.D()))
		}
	}
	return longest
}

// ahead returns a time that ends a tenth, at most a second, before another.
func ahead(d time.Duration) time.Duration { return d - min(d/10, time.Second) }

// choose has the responder answer what it answers best, and a model the rest. When no model does, the local answer is the last
// rung, unless the policy has errors instead.
func (c *chat) choose(ctx context.Context, t *turn, next func(context.Context) error) error {
	info, known := c.responder.IntentInfo(t.reply.Intent.Name)
	if c.upstreams.Model == nil || !known || info.Local {
		return c.speak(ctx, t)
	}
	err := next(ctx)
	var f *model.Failure
	if !errors.As(err, &f) {
		return err
	}
	c.metrics.degraded.With(string(f.Reason)).Inc()
	contradicts := f.Reason == model.Contradiction // for which the policy has the local answer
	if !contradicts && (!c.options.Degraded || t.sent.Len() > 0 && t.Program) {
		return refusal(f)
	}
	if t.sent.Len() > 0 {
		key := "resumed"
		if contradicts {
			key = "corrected"
		}
		if err := c.say(t, "\n\n"+c.message(key, t.reply.Language)+" "); err != nil {
			return err
		}
	}
	t.reply.Source, t.reply.Degraded, t.reply.Reason = embedded, true, string(f.Reason)
	return c.speak(ctx, t)
}

// customer returns whom rate and budget count the turn for.
func (c *chat) customer(t *turn) string {
	if t.SessionID != "" && c.options.Customer == bySession {
		return t.SessionID
	}
	return t.Client.String()
}

var errManyMessages = errors.New("the customer sends many messages")

// limit refuses a customer who sends many messages.
func (c *chat) limit(ctx context.Context, t *turn, next func(context.Context) error) error {
	if c.upstreams.limiter != nil {
		if d := c.upstreams.limiter.AllowName(c.customer(t)); !d.OK {
			return &model.Failure{Reason: model.RateLimited, RetryAfter: d.RetryAfter, Err: errManyMessages}
		}
	}
	return next(ctx)
}

// reserve sets the tokens aside that the answer may take at most, and settles what it took.
func (c *chat) reserve(ctx context.Context, t *turn, next func(context.Context) error) error {
	t.prompt = model.Request{MaxTokens: c.options.MaxTokens, Stop: t.Stop, Messages: c.shop.Prompt(
		t.language, t.reply.Evidence, t.window(c.options.PromptTokens), t.Message, c.options.PromptTokens,
	)}
	if t.MaxTokens != nil {
		t.prompt.MaxTokens = min(t.prompt.MaxTokens, *t.MaxTokens)
	}
	r, err := c.upstreams.ledger.Reserve(ctx, c.customer(t), t.prompt.Tokens()+t.prompt.MaxTokens)
	switch {
	case errors.Is(err, budget.ErrCustomer):
		return &model.Failure{Reason: model.CustomerBudget, Err: err}
	case err != nil:
		return &model.Failure{Reason: model.TotalBudget, Err: err}
	}
	err = next(ctx)
	r.Settle(ctx, t.spent.Input+t.spent.Output)
	c.metrics.count(t.spent)
	return err
}

// ask has a model answer, sentence by sentence as far as they are borne out.
func (c *chat) ask(ctx context.Context, t *turn, _ func(context.Context) error) error {
	a := &asking{chat: c, turn: t, guard: c.shop.NewGuard(t.reply.Evidence, t.Message)}
	a.guard.Sentences = t.Whole
	source, language := t.reply.Source, t.reply.Language
	t.reply.Source, t.reply.Language = fromModel, t.language
	prompt := t.prompt
	t.prompt, t.reply.Evidence = model.Request{}, responder.Evidence{} // which are long, and not needed while the answer comes
	result, err := c.upstreams.Complete(ctx, prompt, t.began.Add(c.options.Timeout.D()), a.take)
	t.spent = result.Usage
	if err == nil {
		err = a.send(a.guard.Close())
	}
	if err == nil && t.Whole {
		err = c.say(t, a.held.String())
	}
	if err != nil {
		t.reply.Source, t.reply.Language = source, language // the local answer is as it was
		return err
	}
	t.reply.Text, t.reply.FinishReason, t.reply.Flagged = t.sent.String(), result.FinishReason, a.flagged
	t.reply.Usage = usage{result.Usage.Input, result.Usage.Output, result.Usage.Estimated}
	if n := result.Usage.Output; n > 1 && !t.Whole {
		c.metrics.perToken.With().Observe(time.Since(t.spoke).Seconds() / float64(n-1))
	}
	c.metrics.overhead.With().Observe((time.Since(t.began) - result.Upstream - result.Waited).Seconds())
	return nil
}

// asking is an answer of a model on its way to the customer.
type asking struct {
	*chat
	*turn
	guard   *grounding.Guard
	held    strings.Builder // until the answer is whole, for who takes it so
	flagged []string
}

func (a *asking) take(text string) error { return a.send(a.guard.Write(text)) }

// send sends what the guard let through.
func (a *asking) send(text string, wrong grounding.Kind) error {
	if wrong != "" {
		a.metrics.contradictions.With(string(wrong)).Inc()
		if a.options.OnContradiction == model.Replace {
			return &model.Failure{Reason: model.Contradiction, Err: fmt.Errorf("what the model says of a %s is not known", wrong)}
		}
		a.flagged = append(a.flagged, string(wrong))
	}
	switch {
	case text == "":
		return nil
	case a.Whole:
		a.held.WriteString(text)
		return nil
	}
	return a.say(a.turn, text)
}

// refusal is the error for a failure of the models.
func refusal(f *model.Failure) error {
	e := &framework.Error{
		Status: http.StatusBadGateway, Code: "upstream_bad_response", Message: "the model gave no answer", Final: true, Err: f,
	}
	switch f.Reason {
	case model.RateLimited:
		e.Status, e.Code, e.Message, e.Final = http.StatusTooManyRequests, "user_rpm", "too many messages, try again later", false
		e.RetryAfter = f.RetryAfter
	case model.CustomerBudget:
		e.Status, e.Code = http.StatusTooManyRequests, "user_token_budget"
		e.Message = "your share of the model is used up for now"
	case model.TotalBudget:
		e.Status, e.Code, e.Message = http.StatusTooManyRequests, "global_budget", "the model's budget is used up for now"
	case model.QueueFull, model.CircuitOpen:
		e.Status, e.Code, e.Message = http.StatusServiceUnavailable, string(f.Reason), "the model is busy, try again soon"
		e.Final, e.RetryAfter = false, time.Second
	case model.FirstToken:
		e.Status, e.Code, e.Message = http.StatusGatewayTimeout, "ttft_timeout", "the model did not begin to answer in time"
	case model.Timeout:
		e.Status, e.Code, e.Message = http.StatusGatewayTimeout, "total_timeout", "the model did not answer in time"
	case model.Stalled, model.Interrupted:
		e.Code, e.Message = "upstream_stream_interrupted", "the answer was interrupted"
	}
	return e
}
