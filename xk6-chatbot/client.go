package chatbot

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/promises"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/lib/types"

	"github.com/innatural/chatbot/xk6-chatbot/internal/recovery"
	"github.com/innatural/chatbot/xk6-chatbot/internal/wire"
)

type clientOptions struct {
	BaseURL  string             `json:"baseURL"`
	Path     string             `json:"path"`
	Protocol wire.Protocol      `json:"protocol"`
	Model    string             `json:"model"`
	Stream   any                `json:"stream"`
	Timeout  types.NullDuration `json:"timeout"`
	Headers  map[string]string  `json:"headers"`
	Tags     map[string]string  `json:"tags"`
	SLO      *sloOptions        `json:"slo"`
	KeepText *bool              `json:"keepText"`
}

// sloOptions is a promise as scripts write it; times in milliseconds or as text.
type sloOptions struct {
	Latency    types.NullDuration `json:"latency"`
	FirstToken types.NullDuration `json:"firstToken"`
	Quantile   float64            `json:"quantile"`
	Errors     float64            `json:"errors"`
}

// Client is a chatbot under test, as one virtual user has it.
type Client struct {
	instance *instance
	options  clientOptions
	url      httpext.URL
	header   http.Header
	stream   bool // ask for a stream
	either   bool // and take what comes
	keep     bool
	timeout  time.Duration
	promise  recovery.Promise
}

func (i *instance) newClient(call sobek.ConstructorCall) *sobek.Object {
	rt := i.vu.Runtime()
	c := &Client{instance: i}
	if err := decode("new Client", call.Argument(0), &c.options); err != nil {
		common.Throw(rt, err)
	}
	if err := c.prepare(); err != nil {
		common.Throw(rt, fmt.Errorf("new Client: %w", err))
	}
	i.root.describe("client", c.options.BaseURL, map[string]any{
		"path": c.options.Path, "protocol": c.options.Protocol, "stream": c.options.Stream,
	})
	return rt.ToValue(c).ToObject(rt)
}

func (c *Client) prepare() error {
	o := &c.options
	base, err := url.Parse(o.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return fmt.Errorf("baseURL %q is not the address of a server, such as http://127.0.0.1:5000", o.BaseURL)
	}
	switch o.Stream {
	case nil, "auto":
		c.stream, c.either = true, true
	case true:
		c.stream = true
	case false:
	default:
		return fmt.Errorf("stream is %v; it is true, false or 'auto'", o.Stream)
	}
	path := ""
	switch o.Protocol {
	case "", wire.Innatural:
		o.Protocol, path = wire.Innatural, "/api/chat"
		if c.stream {
			path = "/api/chat/stream"
		}
	case wire.OpenAI:
		path = "/v1/chat/completions"
	default:
		return fmt.Errorf("protocol %q is not one of %s, %s", o.Protocol, wire.Innatural, wire.OpenAI)
	}
	if o.Path == "" {
		o.Path = path
	}
	if !strings.HasPrefix(o.Path, "/") {
		return fmt.Errorf("path %q does not begin with /", o.Path)
	}
	if c.url, err = httpext.NewURL(strings.TrimSuffix(o.BaseURL, "/")+o.Path, ""); err != nil {
		return fmt.Errorf("path %q: %w", o.Path, err)
	}
	c.timeout = time.Minute
	if o.Timeout.Valid {
		c.timeout = o.Timeout.TimeDuration()
	}
	if c.timeout <= 0 {
		return errors.New("timeout is not over 0")
	}
	c.keep = o.KeepText == nil || *o.KeepText
	c.header = http.Header{"Content-Type": {"application/json"}}
	for name, value := range o.Headers {
		c.header.Set(name, value)
	}
	c.promise = recovery.Promise{Quantile: 0.95}
	if s := o.SLO; s != nil {
		if s.Latency.TimeDuration() < 0 || s.FirstToken.TimeDuration() < 0 || s.Quantile < 0 || s.Quantile >= 1 {
			return errors.New("slo has a negative time, or a quantile that is not below 1")
		}
		c.promise.Latency = s.Latency.TimeDuration()
		if s.Quantile > 0 {
			c.promise.Quantile = s.Quantile
		}
	}
	return nil
}

// promised says whether all terms of the promise are met.
func (c *Client) promised(duration, firstToken time.Duration) bool {
	s := c.options.SLO
	return s == nil ||
		(!s.Latency.Valid || duration <= s.Latency.TimeDuration()) &&
			(!s.FirstToken.Valid || firstToken <= s.FirstToken.TimeDuration())
}

// request returns a request to the server, with what k6's options add to every one.
func (c *Client) request(state *lib.State, method string, to httpext.URL, header http.Header) *httpext.ParsedHTTPRequest {
	preq := &httpext.ParsedHTTPRequest{
		URL:              &to,
		Req:              &http.Request{Method: method, URL: to.GetURL(), Header: header},
		Timeout:          c.timeout,
		Throw:            state.Options.Throw.Bool,
		ResponseType:     httpext.ResponseTypeNone,
		ResponseCallback: func(status int) bool { return status >= 200 && status < 400 },
		Redirects:        state.Options.MaxRedirects,
		ActiveJar:        state.CookieJar,
		TagsAndMeta:      state.Tags.GetCurrentValues(),
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", state.Options.UserAgent.String)
	}
	if host := header.Get("Host"); host != "" {
		preq.Req.Host = host
	}
	httpext.SetRequestCookies(preq.Req, state.CookieJar, nil)
	for name, value := range c.options.Tags {
		preq.TagsAndMeta.SetTag(name, value)
	}
	return preq
}

// Health asks whether the server is well. It counts as no turn.
func (c *Client) Health() (*sobek.Promise, error) {
	i := c.instance
	state := i.vu.State()
	if state == nil {
		return nil, errors.New("health: requests can't be made in the init context")
	}
	to, err := httpext.NewURL(strings.TrimSuffix(c.options.BaseURL, "/")+"/api/health", "")
	if err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	preq := c.request(state, http.MethodGet, to, c.headers(nil))
	promise, resolve, reject := promises.New(i.vu)
	ctx := i.vu.Context()
	go func() {
		resp, err := httpext.MakeRequest(ctx, state, preq)
		if err != nil {
			reject(err)
			return
		}
		resolve(resp.Status == http.StatusOK)
	}()
	return promise, nil
}

// body returns what is sent for a message of a conversation.
func (c *Client) body(conversation *Conversation, text string, p *sendOptions) ([]byte, error) {
	if c.options.Protocol == wire.OpenAI {
		type options struct {
			IncludeUsage bool `json:"include_usage"`
		}
		request := struct {
			Model    string    `json:"model"`
			Messages []message `json:"messages"`
			Stream   bool      `json:"stream"`
			Options  *options  `json:"stream_options,omitempty"`
		}{c.options.Model, append(conversation.history, message{"user", text}), c.stream, nil}
		if request.Model == "" {
			request.Model = "default"
		}
		if c.stream {
			request.Options = &options{true}
		}
		return json.Marshal(request)
	}
	return json.Marshal(struct {
		Message  string         `json:"message"`
		Session  string         `json:"sessionId"`
		Language string         `json:"language,omitempty"`
		Profile  map[string]any `json:"userProfile,omitempty"`
	}{text, conversation.ID, p.Language, p.UserProfile})
}

// message is one of a conversation, as OpenAI's protocol has it.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// headers returns a copy of the client's headers with those of one request on top.
func (c *Client) headers(more map[string]string) http.Header {
	h := maps.Clone(c.header)
	for name, value := range more {
		h.Set(name, value)
	}
	return h
}

// describe notes what the run is made with, once.
func (r *Root) describe(name, target string, what map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.config[name]; ok {
		return
	}
	r.config[name] = what
	if target != "" {
		r.target = target
	}
}
