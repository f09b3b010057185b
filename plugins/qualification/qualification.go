// Package qualification finds out what a customer needs with a few questions, then recommends products. The questions, who
// is asked which, and what an answer means for the choice are data, in data/qualification.json.
package qualification

import (
	_ "embed"
	"fmt"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/internal/session"
	"github.com/innatural/chatbot/plugins/internal/shop"
)

// Options are the plugin's options.
type Options struct {
	MaxBytes policy.Size     `toml:"max_bytes" doc:"Most bytes that all sessions hold; beyond it the least recently used are forgotten." check:"min=1MiB,max=1GiB"`
	TTL      policy.Duration `toml:"ttl" doc:"How long a session is kept after its last answer." check:"min=1m,max=30d"`
}

// Plugin returns the plugin. It needs a plugin that provides the catalogue.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "qualification",
		Doc:  "Asks a customer a few questions, one after another, and recommends products.",
		Handlers: []framework.HandlerInfo{
			{Name: "qualification.start", Doc: "Begins, or begins again, and returns the first question."},
			{Name: "qualification.answer", Doc: "Takes an answer and returns the next question, or the end."},
			{
				Name:  "qualification.recommendations",
				Doc:   "Returns products for the answers; its route needs the parameter sessionId.",
				Reads: framework.Inputs{Query: []string{"language", "limit"}},
			},
			{Name: "qualification.stats", Doc: "Counts the sessions held."},
		},
	}, Options{MaxBytes: 16 << 20, TTL: policy.Duration(24 * time.Hour)}, build)
}

func build(h *framework.Host, o Options) (framework.Handlers, error) {
	catalogue, err := framework.Use[*shop.Catalogue](h)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("sessions %s %s", o.MaxBytes, o.TTL)
	sessions, err := framework.Shared(h, key, func() (*session.Store[progress], error) { return newSessions(o), nil })
	if err != nil {
		return nil, fmt.Errorf("open sessions: %w", err)
	}
	q, err := newQualification(catalogue, sessions, h.Metrics)
	if err != nil {
		return nil, err
	}
	return q.handlers(), nil
}

func newSessions(o Options) *session.Store[progress] {
	return session.NewStore(int64(o.MaxBytes), o.TTL.D(), progress.bytes)
}

//go:embed data/qualification.json
var scriptFile []byte

//go:embed data/messages.json
var messagesFile []byte

// qualification is the plugin of one generation. It may be used concurrently.
type qualification struct {
	catalogue *shop.Catalogue
	script    *script
	messages  map[string]shop.Text
	sessions  *session.Store[progress]
	counted   *telemetry.Counter
}

func newQualification(
	catalogue *shop.Catalogue, sessions *session.Store[progress], metrics *telemetry.Registry,
) (*qualification, error) {
	s, err := parseScript(scriptFile)
	if err != nil {
		return nil, err
	}
	messages, err := parseMessages(messagesFile)
	if err != nil {
		return nil, err
	}
	return &qualification{
		catalogue: catalogue, script: s, messages: messages, sessions: sessions,
		counted: metrics.Counter(telemetry.QualificationSessions, telemetry.QualificationSessionsHelp,
			telemetry.LabelCategory, telemetry.LabelResult),
	}, nil
}

func (q *qualification) handlers() framework.Handlers {
	return framework.Handlers{
		"qualification.start":           q.start,
		"qualification.answer":          q.answer,
		"qualification.recommendations": q.recommendations,
		"qualification.stats":           q.stats,
	}
}
