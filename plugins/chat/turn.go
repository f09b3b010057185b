package chat

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/chat/internal/conversation"
	"github.com/innatural/chatbot/plugins/chat/internal/grounding"
	"github.com/innatural/chatbot/plugins/chat/internal/model"
	"github.com/innatural/chatbot/plugins/chat/internal/redact"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
)

// turnRequest is a message to answer, whichever way it came, once it is known to be valid.
type turnRequest struct {
	ID       string // of the request
	Message  string
	Language string               // that the customer asks for, or ""
	Profile  conversation.Profile // what the customer tells of themselves
	Tokens   int                  // about how many tokens the customer sent

	Client    netip.Addr
	SessionID string                // of the conversation, when it is kept here
	History   []grounding.Utterance // of the conversation before the message, when the client holds it

	MaxTokens *int     // most tokens of the answer; nil is no limit
	Stop      []string // the answer ends before the first of these
	Whole     bool     // the client takes the answer once it is whole
	Program   bool     // the client is one that is told when an answer breaks off, not helped on

	Repeatable *repeatable  // nil when it is to be answered anew each time
	Admitted   func() error // called before the answer is made, once nothing is in its way; or nil
}

// said returns what the customer said last before the message, in a conversation that the client holds.
func (r *turnRequest) said() []string {
	var said []string
	for _, u := range r.History {
		if u.ByCustomer {
			said = append(said, u.Text)
		}
	}
	return said[max(0, len(said)-maxReplayed):]
}

// sink takes the text of an answer piece by piece, as it comes, with its language. Its error ends the turn.
type sink func(language, piece string) error

// window returns what was said before, in about the last maxTokens.
func (t *turn) window(maxTokens int) []grounding.Utterance {
	if t.SessionID == "" {
		return t.History
	}
	var said []grounding.Utterance
	for _, turn := range t.before.Window(len(t.before.Turns), maxTokens, model.Tokens) {
		said = append(said, grounding.Utterance{ByCustomer: true, Text: turn.Message}, grounding.Utterance{Text: turn.Answer})
	}
	return said
}

// whole is the sink of those who take an answer once it is whole.
func whole(string, string) error { return nil }

// turn is a message on its way to its answer: what its stages found out.
type turn struct {
	*turnRequest
	began  time.Time
	sink   sink
	talk   *conversation.Talk        // nil when the client holds the conversation, or its store is away
	before conversation.Conversation // what was said before
	reply  reply                     // the local answer held ready, then the one that was given
	sent   strings.Builder           // what the sink took

	language string        // to answer in
	spoke    time.Time     // the first piece
	prompt   model.Request // of a model
	spent    model.Usage   // at a model
	erased   bool          // the conversation, while it was being answered in
}

// reply is an answer and how it came about.
type reply struct {
	responder.Answer
	Source       string
	Degraded     bool
	Reason       string   // why it is degraded
	Flagged      []string // what is wrong with it, when the policy only flags that
	Usage        usage
	FinishReason string
}

// The sources of answers.
const (
	embedded  = "embedded" // the responder
	fromModel = "model"
)

// stage is one step of a turn's way. It runs the rest of the way by next, or answers by itself.
type stage func(c *chat, ctx context.Context, t *turn, next func(context.Context) error) error

// way is the way of a turn, in this order, for every protocol.
var way = []stage{
	(*chat).attach,   // answers what was asked before as it was
	(*chat).measure,  // counts and times what the rest did
	(*chat).converse, // locks the conversation and reads what was said before
	(*chat).respond,  // makes the local answer and holds it ready
	(*chat).remember, // keeps the message, and then what the rest has said
	(*chat).consult,  // opens a ticket, or looks one up
	(*chat).choose,   // says the local answer, where it is the better one or the last
	(*chat).reuse,    // says what a model answered to another one who asked the same
	(*chat).limit,    // refuses a customer who sends many messages
	(*chat).reserve,  // sets the tokens aside that may be spent, and settles those that were
	(*chat).ask,      // has a model answer, and says what is borne out
}

// answer answers a message: its text goes to the sink as it comes, and the reply is returned once it is whole and kept.
func (c *chat) answer(ctx context.Context, r *turnRequest, s sink) (*reply, error) {
	t := &turn{turnRequest: r, began: time.Now(), sink: s}
	if err := c.run(ctx, t, way); err != nil {
		return nil, err
	}
	return &t.reply, nil
}

func (c *chat) run(ctx context.Context, t *turn, stages []stage) error {
	if len(stages) == 0 {
		return nil
	}
	return stages[0](c, ctx, t, func(ctx context.Context) error { return c.run(ctx, t, stages[1:]) })
}

// measure counts a turn, and logs what was said where the policy wants that.
func (c *chat) measure(ctx context.Context, t *turn, next func(context.Context) error) error {
	err := next(ctx)
	if c.logContent {
		known := t.before.Profile.With(t.Profile)
		c.log.InfoContext(ctx, "Turn", "message", redact.Text(t.Message, known.Name), "answer", redact.Text(t.sent.String(), known.Name),
			"language", t.reply.Language, "intent", t.reply.Intent.Name, "source", t.reply.Source)
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), framework.ErrClientGone) {
			phase := "stream"
			if t.sent.Len() == 0 {
				phase = "waiting"
			}
			c.metrics.clientGone.With(phase).Inc()
		}
		return err
	}
	c.metrics.messages.With(t.reply.Language, t.reply.Topic).Inc()
	telemetry.Exemplar(ctx, c.metrics.durations.With(t.reply.Source), time.Since(t.began).Seconds())
	return nil
}

// respond makes the local answer.
func (c *chat) respond(ctx context.Context, t *turn, next func(context.Context) error) error {
	q := question(t.before, t.turnRequest)
	t.language = q.Language
	t.reply = reply{Answer: c.responder.Answer(q), Source: embedded, FinishReason: "stop"}
	return next(ctx)
}

// speak says the local answer, after what was said already.
func (c *chat) speak(ctx context.Context, t *turn) error {
	text, finish := t.shorten(t.reply.Text)
	for _, piece := range pieces(text) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.say(t, piece); err != nil {
			return err
		}
	}
	t.reply.Text, t.reply.FinishReason = t.sent.String(), finish
	t.reply.Usage = usage{t.Tokens, model.Tokens(t.reply.Text), true}
	if t.spent == (model.Usage{}) {
		c.metrics.count(model.Usage{Input: t.Tokens, Output: t.reply.Usage.OutputTokens, Estimated: true})
	}
	return nil
}

// say gives a piece of the answer to the sink.
func (c *chat) say(t *turn, piece string) error {
	first := t.sent.Len() == 0
	if err := t.sink(t.reply.Language, piece); err != nil {
		return err
	}
	t.sent.WriteString(piece)
	if first {
		t.spoke = time.Now()
		c.metrics.firstToken.With(t.reply.Source).Observe(time.Since(t.began).Seconds())
	}
	return nil
}

// shorten applies the limits of the request to a text, and returns why it ends.
func (r *turnRequest) shorten(s string) (short, finish string) {
	for _, stop := range r.Stop {
		if before, _, found := strings.Cut(s, stop); stop != "" && found {
			s = before
		}
	}
	if r.MaxTokens == nil || model.Tokens(s) <= *r.MaxTokens {
		return s, "stop"
	}
	s = strings.ToValidUTF8(s[:*r.MaxTokens*model.BytesPerToken], "")
	if at := strings.LastIndexByte(s, ' '); at > 0 {
		s = s[:at]
	}
	return s, "length"
}

// wordsPerPiece is how many words a piece of a local answer has: enough not to drown a browser in events.
const wordsPerPiece = 3

// pieces cuts a text after every few words. Together the pieces are the text.
func pieces(s string) []string {
	var all []string
	words := 0
	start := 0
	for i := range len(s) {
		if s[i] != ' ' {
			continue
		}
		if words++; words == wordsPerPiece {
			all = append(all, s[start:i+1])
			start, words = i+1, 0
		}
	}
	if start < len(s) {
		all = append(all, s[start:])
	}
	return all
}
