// Package analytics takes the events and ratings that the widget reports: it counts them as metrics and keeps the latest, within
// bounds.
package analytics

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
	"github.com/innatural/chatbot/plugins/internal/session"
)

// Options are the plugin's options.
type Options struct {
	Events    []string    `toml:"events" doc:"Names of events that are counted one by one; all others count as _OTHER."`
	MaxEvents int         `toml:"max_events" doc:"How many of the latest events are kept, and as many ratings." check:"min=1,max=100000"`
	MaxData   policy.Size `toml:"max_data" doc:"Largest data of one event; more is answered 400." check:"min=2B,max=64KiB"`
}

const maxComment = 1000 // characters

// eventName is what an event may be called.
var eventName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$`)

// Validate implements policy.Validator.
func (o Options) Validate() error {
	for _, name := range o.Events {
		if !eventName.MatchString(name) {
			err := fmt.Errorf("%q is not a name of 1 to 64 letters, digits and _ . : -", name)
			return &policy.OptionError{Key: "events", Err: err}
		}
	}
	if len(o.Events) > 100 {
		return &policy.OptionError{Key: "events", Err: fmt.Errorf("it has %d names; list at most 100", len(o.Events))}
	}
	return nil
}

// Plugin returns the plugin.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "analytics",
		Doc:  "Takes events and ratings from the widget, counts them and keeps the latest.",
		Handlers: []framework.HandlerInfo{
			{Name: "analytics.track", Doc: "Takes one event: event, sessionId and data."},
			{Name: "analytics.feedback", Doc: "Takes a rating from 1 to 5 with a comment."},
			{Name: "analytics.recent", Admin: true, Doc: "Returns the latest events and ratings."},
		},
	}, Options{
		Events: []string{
			"widget_opened", "widget_closed", "message_sent", "suggestion_clicked", "category_clicked", "product_viewed",
			"product_clicked", "language_changed", "qualification_started", "qualification_completed", "error",
		},
		MaxEvents: 1000,
		MaxData:   4 << 10,
	}, build)
}

func build(h *framework.Host, o Options) (framework.Handlers, error) {
	kept, err := framework.Shared(h, fmt.Sprintf("latest %d", o.MaxEvents), func() (*latest, error) {
		return newLatest(o.MaxEvents), nil
	})
	if err != nil {
		return nil, fmt.Errorf("open events: %w", err)
	}
	return newAnalytics(o, h.Metrics, kept).handlers(), nil
}

// analytics is the plugin of one generation.
type analytics struct {
	maxData  int
	counted  map[string]bool
	events   *telemetry.Counter
	feedback *telemetry.Counter
	latest   *latest
}

func newAnalytics(o Options, metrics *telemetry.Registry, kept *latest) *analytics {
	a := &analytics{
		maxData:  int(o.MaxData),
		counted:  map[string]bool{},
		events:   metrics.Counter(telemetry.AnalyticsEvents, telemetry.AnalyticsEventsHelp, telemetry.LabelEvent),
		feedback: metrics.Counter(telemetry.ChatFeedback, telemetry.ChatFeedbackHelp, telemetry.LabelRating),
		latest:   kept,
	}
	for _, name := range o.Events {
		a.counted[name] = true
	}
	return a
}

func (a *analytics) handlers() framework.Handlers {
	return framework.Handlers{
		"analytics.track":    a.track,
		"analytics.feedback": a.rate,
		"analytics.recent":   a.recent,
	}
}

// event is one event as it is kept.
type event struct {
	Event     string          `json:"event"`
	SessionID string          `json:"sessionId"`
	Data      json.RawMessage `json:"data,omitempty"`
	Timestamp time.Time       `json:"timestamp"`
}

// rating is one rating as it is kept.
type rating struct {
	SessionID string    `json:"sessionId"`
	Rating    int       `json:"rating"`
	Comment   string    `json:"comment,omitempty"`
	Timestamp time.Time `json:"timestamp"`
}

func (a *analytics) track(_ context.Context, req *framework.Request) (*framework.Response, error) {
	var body struct {
		Event     string          `json:"event"`
		SessionID string          `json:"sessionId"`
		Data      json.RawMessage `json:"data"`
	}
	if err := req.DecodeJSON(&body); err != nil {
		return nil, err
	}
	var wrong []framework.Detail
	if !eventName.MatchString(body.Event) {
		wrong = append(wrong, framework.Detail{Field: "event", Message: "must be 1 to 64 letters, digits and _ . : -"})
	}
	wrong = session.CheckID(wrong, body.SessionID)
	var data bytes.Buffer
	if len(body.Data) > 0 && string(body.Data) != "null" {
		switch err := json.Compact(&data, body.Data); {
		case err != nil || data.Bytes()[0] != '{' || !utf8.Valid(data.Bytes()):
			wrong = append(wrong, framework.Detail{Field: "data", Message: "must be an object in UTF-8"})
		case data.Len() > a.maxData:
			wrong = append(wrong, framework.Detail{Field: "data", Message: fmt.Sprintf("must have at most %d bytes", a.maxData)})
		}
	}
	if len(wrong) > 0 {
		return nil, framework.BadRequest("the event is not valid", wrong...)
	}
	name := body.Event
	if !a.counted[name] {
		name = telemetry.Other
	}
	a.events.With(name).Inc()
	a.latest.addEvent(event{body.Event, body.SessionID, bytes.Clone(data.Bytes()), time.Now().UTC()})
	return answer(map[string]any{"success": true})
}

func (a *analytics) rate(_ context.Context, req *framework.Request) (*framework.Response, error) {
	var body struct {
		SessionID string   `json:"sessionId"`
		Rating    *float64 `json:"rating"`
		Comment   string   `json:"comment"`
	}
	if err := req.DecodeJSON(&body); err != nil {
		return nil, err
	}
	wrong := session.CheckID(nil, body.SessionID)
	stars := 0
	if body.Rating != nil {
		stars = int(*body.Rating)
	}
	if stars < 1 || stars > 5 || float64(stars) != *body.Rating {
		wrong = append(wrong, framework.Detail{Field: "rating", Message: "must be a whole number from 1 to 5"})
	}
	comment := strings.TrimSpace(body.Comment)
	if utf8.RuneCountInString(comment) > maxComment {
		message := fmt.Sprintf("must have at most %d characters", maxComment)
		wrong = append(wrong, framework.Detail{Field: "comment", Message: message})
	}
	if len(wrong) > 0 {
		return nil, framework.BadRequest("the rating is not valid", wrong...)
	}
	a.feedback.With(strconv.Itoa(stars)).Inc()
	a.latest.addRating(rating{body.SessionID, stars, comment, time.Now().UTC()})
	return answer(map[string]any{"success": true})
}

func (a *analytics) recent(context.Context, *framework.Request) (*framework.Response, error) {
	events, ratings := a.latest.all()
	return answer(map[string]any{"success": true, "events": events, "feedback": ratings})
}

// answer is JSON that nobody may store.
func answer(v any) (*framework.Response, error) {
	resp, err := framework.JSON(v)
	if err != nil {
		return nil, err
	}
	return resp.Set("Cache-Control", "no-store"), nil
}
