// Package chat is the shop's chatbot: it answers customers over HTTP, at once or as a stream, in French, English and Arabic, and
// to the clients of OpenAI. What it says comes from the responder, which knows the catalogue and the FAQ, or, where the policy names
// one, from a model that is told what the responder found, and whose words are checked; conversations and tickets are kept where
// the policy says, within bounds, and outlive reloads of it. A message takes the way that turn.go lists.
package chat

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/chat/internal/conversation"
	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/chat/internal/grounding"
	"github.com/innatural/chatbot/plugins/chat/internal/intent"
	"github.com/innatural/chatbot/plugins/chat/internal/model"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
	"github.com/innatural/chatbot/plugins/chat/internal/store"
	"github.com/innatural/chatbot/plugins/internal/session"
	"github.com/innatural/chatbot/plugins/internal/shop"
)

// Options are the plugin's options.
type Options struct {
	Store       string          `toml:"store" doc:"Where conversations and tickets are kept: in memory, where they end with the process; in the Redis of cache.redis, which instances share; or in a file of this instance." check:"oneof=memory|redis|bbolt"`
	Path        string          `toml:"path" doc:"File of the store bbolt; it is created, in a folder that exists."`
	MaxBytes    policy.Size     `toml:"max_bytes" doc:"Most bytes that all conversations hold; beyond it the least recently used are forgotten. Redis has a limit of its own, maxmemory." check:"min=1MiB,max=64GiB"`
	TTL         policy.Duration `toml:"ttl" doc:"How long a conversation is kept after its last message." check:"min=1m,max=30d"`
	MaxTurns    int             `toml:"max_turns" doc:"How many of the latest turns of each conversation are kept." check:"min=1,max=200"`
	TicketTTL   policy.Duration `toml:"ticket_ttl" doc:"How long an after-sales ticket is kept." check:"min=1d,max=3650d"`
	TicketBytes policy.Size     `toml:"ticket_bytes" doc:"Most bytes that all tickets hold; beyond it the oldest go." check:"min=1MiB,max=64GiB"`
	LogContent  bool            `toml:"log_content" doc:"Whether messages and answers are logged, without the personal data that has a known form: addresses, phone, bank, card and order numbers, names where they are told as such."`
	Model       model.Options   `toml:"model" doc:"The model that answers what the embedded answers do not answer best."`
}

// Plugin returns the plugin. It needs plugins that provide the catalogue and the FAQ.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "chat",
		Doc:  "Answers customers from the catalogue and the FAQ, at once or as a stream, and speaks OpenAI's protocol.",
		Handlers: []framework.HandlerInfo{
			{Name: "chat", Doc: "Answers a message as JSON."},
			{Name: "chat.stream", Doc: "Answers a message as server-sent events.", Stream: true},
			{
				Name: "chat.greeting", Doc: "Returns what to show before the first message.",
				Reads: framework.Inputs{Query: []string{"language", "sessionId"}},
			},
			{Name: "chat.clear", Doc: "Forgets a conversation."},
			{
				Name: "chat.export", Admin: true, Doc: "Returns all that is kept of a customer.",
				Reads: framework.Inputs{Query: []string{"sessionId"}},
			},
			{
				Name: "chat.tickets", Admin: true, Doc: "Lists the tickets of all customers, the oldest first.",
				Reads: framework.Inputs{Query: []string{"status", "after", "limit"}},
			},
			{Name: "chat.ticket", Admin: true, Doc: "Closes a ticket or opens it again."},
			{Name: "chat.erase", Admin: true, Doc: "Erases what is kept of a customer."},
			{Name: "chat.recommendations", Doc: "Recommends products for a hair type and concerns."},
			{Name: "chat.completions", Doc: "Answers as OpenAI's chat completions do, stream and not.", Stream: true, Heeds: true},
			{Name: "chat.models", Doc: "Lists the one model, as OpenAI's API does."},
		},
	}, Options{
		Store: inMemory, MaxBytes: 64 << 20, TTL: policy.Duration(24 * time.Hour), MaxTurns: 20,
		TicketTTL: policy.Duration(90 * 24 * time.Hour), TicketBytes: 64 << 20, Model: model.Defaults(),
	}, build)
}

func build(h *framework.Host, o Options) (framework.Handlers, error) {
	catalogue, err := framework.Use[*shop.Catalogue](h)
	if err != nil {
		return nil, err
	}
	faq, err := framework.Use[*shop.FAQ](h)
	if err != nil {
		return nil, err
	}
	s, err := openStores(h, o)
	if err != nil {
		return nil, err
	}
	m, err := openModels(h, o.Model)
	if err != nil {
		return nil, err
	}
	o.Model.Timeout = policy.Duration(timeout(h, o.Model))
	classifier, err := intent.Embedded()
	if err != nil {
		return nil, fmt.Errorf("learn intents: %w", err)
	}
	c, err := newChat(o, catalogue, faq, classifier, s, m, h.Cache, h.Log, h.Metrics)
	if err != nil {
		return nil, err
	}
	c.watch = &watch{kind: o.Store, tickets: s.tickets, log: h.Log, run: h.Go}
	h.AddCheck("store", c.watch.check)
	h.OnStop(func(context.Context) error {
		c.flights.running.Wait()
		c.removeGauge()
		return nil
	})
	return c.handlers(), nil
}

//go:embed data/greeting.json
var greetingFile []byte

//go:embed data/messages.json
var messagesFile []byte

// greeting is what greeting.json says.
type greeting struct {
	Message     shop.Text  `json:"message"`
	Suggestions shop.Texts `json:"suggestions"`
	responder.Menu
}

// chat is the plugin of one generation. It may be used concurrently.
type chat struct {
	responder   *responder.Responder
	talks       *conversation.Talks
	desk        *desk.Desk
	active      *session.Store[struct{}]
	answers     store.Store
	stored      stores
	cache       *cache.Cache // of answers for others who ask the same
	watch       *watch       // of what is kept
	flights     flights
	upstreams   *models
	options     model.Options
	shop        *grounding.Shop // nil without a model
	greeting    greeting
	messages    map[string]shop.Text
	log         *slog.Logger
	logContent  bool
	metrics     metrics
	removeGauge func()
}

func newChat(
	o Options, catalogue *shop.Catalogue, faq *shop.FAQ, classifier *intent.Classifier, s stores, m *models,
	reusable *cache.Cache, log *slog.Logger, registry *telemetry.Registry,
) (*chat, error) {
	c := &chat{
		talks: conversation.New(s.conversations, o.MaxTurns), desk: desk.New(s.tickets, o.TicketTTL.D()), active: s.active, answers: s.answers, stored: s,
		cache:     reusable,
		upstreams: m, options: o.Model, log: log, logContent: o.LogContent, metrics: newMetrics(registry),
	}
	if m.Model != nil {
		c.shop = grounding.NewShop(catalogue, faq)
	}
	if err := json.Unmarshal(greetingFile, &c.greeting); err != nil {
		return nil, fmt.Errorf("read greeting.json: %w", err)
	}
	if err := json.Unmarshal(messagesFile, &c.messages); err != nil {
		return nil, fmt.Errorf("read messages.json: %w", err)
	}
	var err error
	if c.responder, err = responder.New(catalogue, faq, c.greeting.Menu, classifier, time.Now); err != nil {
		return nil, err
	}
	c.removeGauge = registry.GaugeFunc(telemetry.ChatSessionsActive, telemetry.ChatSessionsActiveHelp,
		func() float64 { return float64(s.active.Len()) })
	return c, nil
}

func (c *chat) handlers() framework.Handlers {
	return framework.Handlers{
		"chat":                 c.chat,
		"chat.stream":          c.stream,
		"chat.greeting":        c.greet,
		"chat.clear":           c.clear,
		"chat.export":          c.export,
		"chat.erase":           c.eraseFor,
		"chat.tickets":         c.tickets,
		"chat.ticket":          c.settle,
		"chat.recommendations": c.recommend,
		"chat.completions":     c.completions,
		"chat.models":          c.models,
	}
}

// message returns a text of messages.json.
func (c *chat) message(key, language string) string {
	s, _ := c.messages[key].In(language)
	return s
}

// metrics are the plugin's metrics.
type metrics struct {
	messages    *telemetry.Counter
	durations   *telemetry.Histogram
	firstToken  *telemetry.Histogram
	tokens      *telemetry.Counter
	clientGone  *telemetry.Counter
	storeErrors *telemetry.Counter

	degraded       *telemetry.Counter
	contradictions *telemetry.Counter
	overhead       *telemetry.Histogram
	perToken       *telemetry.Histogram
}

// count counts tokens.
func (m *metrics) count(u model.Usage) {
	estimated := strconv.FormatBool(u.Estimated)
	m.tokens.With("input", estimated).Add(float64(u.Input))
	m.tokens.With("output", estimated).Add(float64(u.Output))
}

func newMetrics(r *telemetry.Registry) metrics {
	return metrics{
		messages: r.Counter(telemetry.ChatMessages, telemetry.ChatMessagesHelp, telemetry.LabelLanguage, telemetry.LabelTopic),
		durations: r.Histogram(telemetry.ChatDuration, telemetry.ChatDurationHelp, telemetry.ChatBuckets(),
			telemetry.LabelSource),
		firstToken: r.Histogram(telemetry.ChatFirstToken, telemetry.ChatFirstTokenHelp, telemetry.FirstTokenBuckets(),
			telemetry.LabelSource),
		tokens:      r.Counter(telemetry.ChatTokens, telemetry.ChatTokensHelp, telemetry.LabelType, telemetry.LabelEstimated),
		storeErrors: r.Counter(telemetry.ChatStoreErrors, telemetry.ChatStoreErrorsHelp, telemetry.LabelStore),
		clientGone:  r.Counter(telemetry.ChatClientGone, telemetry.ChatClientGoneHelp, telemetry.LabelPhase),

		degraded:       r.Counter(telemetry.ChatDegraded, telemetry.ChatDegradedHelp, telemetry.LabelReason),
		contradictions: r.Counter(telemetry.ChatContradictions, telemetry.ChatContradictionsHelp, telemetry.LabelKind),
		overhead:       r.Histogram(telemetry.ChatOverhead, telemetry.ChatOverheadHelp, telemetry.FirstTokenBuckets()),
		perToken:       r.Histogram(telemetry.GenAIPerToken, telemetry.GenAIPerTokenHelp, telemetry.PerTokenBuckets()),
	}
}
