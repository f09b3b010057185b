package chatbot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/promises"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"

	"github.com/innatural/chatbot/xk6-chatbot/internal/pace"
	"github.com/innatural/chatbot/xk6-chatbot/internal/wire"
)

type conversationOptions struct {
	Turns  []int       `json:"turns"`  // fewest and most
	Think  *pace.Think `json:"think"`  // before each message
	Pacing string      `json:"pacing"` // reactive or fixed
	Seed   uint64      `json:"seed"`
}

type sendOptions struct {
	Language    string            `json:"language"`
	Intent      string            `json:"intent"`
	UserProfile map[string]any    `json:"userProfile"`
	Headers     map[string]string `json:"headers"`
	Tags        map[string]string `json:"tags"`
}

// Conversation is one customer's talk. It lives within one iteration, on its user's goroutine.
type Conversation struct {
	ID   string `js:"id"`
	Turn int    `js:"turn"` // messages sent so far

	client  *Client
	running *running
	state   *lib.State // k6's own
	tapped  *lib.State // the same with a tap in its transport
	rng     *rand.Rand
	prompts *PromptSet
	turns   int
	think   pace.Think
	fixed   bool
	history []message // of OpenAI's protocol
	began   time.Time
	due     time.Time // when the next message should be sent
	waited  bool      // due says so; otherwise it is due when it is sent
	phase   string    // overrides that of the profile
}

// phaseAt returns the phase of a moment.
func (c *Conversation) phaseAt(at time.Time) string {
	if c.phase != "" {
		return c.phase
	}
	return c.running.phase(at).Name
}

// Conversation begins a talk.
func (c *Client) Conversation(options sobek.Value) (*Conversation, error) {
	const what = "conversation"
	i := c.instance
	state := i.vu.State()
	if state == nil {
		return nil, errors.New("a conversation can't begin in the init context: begin it in the script's default function")
	}
	running, err := i.running(i.vu.Context())
	if err != nil {
		return nil, err
	}
	var o conversationOptions
	var prompts *PromptSet
	if !absent(options) {
		exported := options.Export()
		if given, ok := exported.(map[string]any); ok {
			if p := given["prompts"]; p != nil {
				if prompts, ok = p.(*PromptSet); !ok {
					return nil, fmt.Errorf("%s: prompts is a PromptSet", what)
				}
			}
			delete(given, "prompts")
		}
		if err := decodeExported(what, exported, &o); err != nil {
			return nil, err
		}
	}
	if o.Turns == nil {
		o.Turns = []int{3, 5}
	}
	think := pace.DefaultThink()
	if o.Think != nil {
		think = *o.Think
	}
	switch err := think.Validate(); {
	case err != nil:
		return nil, fmt.Errorf("%s: think: %w", what, err)
	case len(o.Turns) != 2 || o.Turns[0] < 1 || o.Turns[1] < o.Turns[0]:
		return nil, fmt.Errorf("%s: turns is %v; it is the fewest and the most, such as [3, 5]", what, o.Turns)
	case o.Pacing != "" && o.Pacing != "reactive" && o.Pacing != "fixed":
		return nil, fmt.Errorf("%s: pacing %q is not one of reactive, fixed", what, o.Pacing)
	}
	if prompts == nil {
		if prompts, err = i.defaultPrompts(); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	due, waited := now, false
	// Only the first conversation of an iteration is due when the iteration was.
	if number := state.GetScenarioGlobalVUIter(); running.arrivals != nil && i.arrived != number+1 {
		due, waited, i.arrived = running.due(number, now, running.busy()), true, number+1
	}
	i.count++
	conversation := &Conversation{
		ID:     fmt.Sprintf("k6-%s-%d-%d", i.root.run, state.VUIDGlobal, i.count),
		client: c, running: running, state: state, tapped: tapped(state),
		rng:     rand.New(rand.NewPCG(o.Seed, state.VUIDGlobal<<32|uint64(i.count))), // #nosec G404 G115 -- this is no secret
		prompts: prompts, think: think, fixed: o.Pacing == "fixed", began: now,
		due: due, waited: waited,
	}
	conversation.turns = o.Turns[0] + conversation.rng.IntN(o.Turns[1]-o.Turns[0]+1)
	return conversation, nil
}

// Send sends a message. The promise is of a Reply; it is rejected only where k6's option throw asks for it.
func (c *Conversation) Send(text string, params sobek.Value) (*sobek.Promise, error) {
	var p sendOptions
	if err := decode("send", params, &p); err != nil {
		return nil, err
	}
	promise, resolve, reject := c.client.instance.vu.Runtime().NewPromise()
	return promise, c.send(text, &p, func(reply *Reply, err error) error {
		if err != nil {
			return reject(err)
		}
		return resolve(reply)
	})
}

// send sends a message and calls back on the event loop.
func (c *Conversation) send(text string, p *sendOptions, done func(*Reply, error) error) error {
	i := c.client.instance
	ctx := i.vu.Context()
	body, err := c.client.body(c, text, p)
	if err != nil {
		return err
	}
	c.Turn++
	request := c.ID + "-" + strconv.Itoa(c.Turn)
	header := c.client.headers(p.Headers)
	header.Set("X-Request-Id", request)
	preq := c.client.request(c.state, "POST", c.client.url, header)
	for name, value := range p.Tags {
		preq.TagsAndMeta.SetTag(name, value)
	}
	preq.TagsAndMeta.SetMetadata("conversation", c.ID)
	now := time.Now()
	t := &turn{
		index: c.Turn - 1, intent: p.Intent, intended: now, tags: preq.TagsAndMeta,
		exchange: exchange{
			expect: wire.Expect{
				Protocol: c.client.options.Protocol, Session: c.ID, Request: request,
				Keep: c.client.keep || c.client.options.Protocol == wire.OpenAI,
			},
			stream: c.client.stream, either: c.client.either,
		},
	}
	if c.waited {
		t.intended = c.due
	}
	c.due, c.waited = t.intended, false
	preq.TagsAndMeta.SetTag("phase", c.phaseAt(now))
	c.attend(now)

	callback := i.vu.RegisterCallback()
	go func() {
		result, err := t.do(ctx, c.tapped, preq, body)
		var reply *Reply
		if ctx.Err() == nil {
			reply = c.report(ctx, t, result)
		} else { // the test is over: nothing that happened says anything about the server
			c.interrupted(now)
			i.interrupted()
			reply, err = &Reply{
				Turn: t.index + 1, ErrorType: "interrupted", Error: "the test ended", Usage: Usage{-1, -1},
			}, nil
		}
		callback(func() error {
			if c.client.options.Protocol == wire.OpenAI && reply.OK {
				c.history = append(c.history, message{"user", text}, message{"assistant", t.answer.Text})
			}
			return done(reply, err)
		})
	}()
	return nil
}

// Think waits as long as the user takes for the next message.
func (c *Conversation) Think() *sobek.Promise {
	promise, resolve, _ := c.client.instance.vu.Runtime().NewPromise()
	c.pause(func() error { return resolve(nil) })
	return promise
}

// pause waits until the next message is due and calls back on the event loop. A fixed schedule counts from when the last one was
// due, a reactive user from now.
func (c *Conversation) pause(done func() error) {
	now := time.Now()
	from := now
	if c.fixed && (c.Turn > 0 || c.waited) {
		from = c.due
	}
	c.due, c.waited = from.Add(c.think.Draw(c.rng)), true
	wait := max(0, c.due.Sub(now))
	c.sleep(wait, func() error {
		tags := c.state.Tags.GetCurrentValues()
		c.push(&tags, now, sample{c.client.instance.metrics.thinkTime, metrics.D(wait)})
		return done()
	})
}

// sleep calls back on the event loop after a while, or when the test ends.
func (c *Conversation) sleep(d time.Duration, done func() error) {
	i := c.client.instance
	ctx := i.vu.Context()
	callback := i.vu.RegisterCallback()
	go func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			i.interrupted()
		}
		callback(done)
	}()
}

// maxRetries is how often run sends a message again that was shed, after the time that the server asked for.
const maxRetries = 3

// Run holds the whole conversation: messages of the prompts, with pauses to type between them. It calls onReply with each reply
// and ends when that returns false. The promise is true when all turns were answered.
func (c *Conversation) Run(onReply sobek.Value) (*sobek.Promise, error) {
	i := c.client.instance
	rt := i.vu.Runtime()
	var each sobek.Callable
	if !absent(onReply) {
		var ok bool
		if each, ok = sobek.AssertFunction(onReply); !ok {
			return nil, errors.New("run: onReply is a function")
		}
	}
	promise, resolve, reject := promises.New(i.vu)
	left, retries := c.turns, 0
	var step func() error
	var prompt Prompt
	finish := func(errorType string) {
		c.completed(i.vu.Context(), errorType)
		resolve(errorType == "")
	}
	next := func(reply *Reply) error {
		switch left--; {
		case !reply.OK && reply.ErrorType != "":
			finish(reply.ErrorType)
		case !reply.OK:
			finish("shed")
		case left == 0:
			finish("")
		default:
			prompt = c.prompts.draw()
			c.pause(step)
		}
		return nil
	}
	step = func() error {
		if i.vu.Context().Err() != nil {
			resolve(false)
			return nil
		}
		return c.send(prompt.Text, &sendOptions{Language: prompt.Language, Intent: prompt.Intent}, func(reply *Reply, err error) error {
			switch {
			case err != nil:
				reject(err)
				return nil
			case reply.ErrorType == "interrupted":
				resolve(false)
				return nil
			}
			var goOn sobek.Value
			if each != nil {
				if goOn, err = each(sobek.Undefined(), rt.ToValue(reply)); err != nil {
					reject(err)
					return nil
				}
			}
			return c.then(goOn, reject, func(v sobek.Value) error {
				switch {
				case rt.ToValue(false).StrictEquals(v):
					finish("")
				case reply.Shed && retries < maxRetries:
					retries++
					c.sleep(time.Duration(reply.RetryAfter*float64(time.Second)), step)
				default:
					retries = 0
					return next(reply)
				}
				return nil
			})
		})
	}
	prompt = c.prompts.draw()
	if c.waited { // an arrival of an open model has typed already
		return promise, step()
	}
	c.pause(step)
	return promise, nil
}

// then calls back with a value, or with what it resolves to when it is a promise.
func (c *Conversation) then(v sobek.Value, reject func(any), done func(sobek.Value) error) error {
	if absent(v) {
		return done(v)
	}
	if _, ok := v.Export().(*sobek.Promise); !ok {
		return done(v)
	}
	rt := c.client.instance.vu.Runtime()
	o := v.ToObject(rt)
	then, ok := sobek.AssertFunction(o.Get("then"))
	if !ok {
		return done(v)
	}
	_, err := then(o, rt.ToValue(done), rt.ToValue(func(reason sobek.Value) { reject(reason) }))
	return err
}

// completed reports the end of a conversation.
func (c *Conversation) completed(ctx context.Context, errorType string) {
	m := c.client.instance.metrics
	now := time.Now()
	if ctx.Err() != nil {
		return
	}
	tags := c.state.Tags.GetCurrentValues()
	tags.SetTag("phase", c.phaseAt(now))
	tags.SetMetadata("conversation", c.ID)
	value := 1.0
	if errorType != "" {
		value = 0
		tags.SetTag("error_type", errorType)
	}
	c.push(&tags, now,
		sample{m.conversationsCompleted, value},
		sample{m.conversationDuration, metrics.D(now.Sub(c.began))})
}
