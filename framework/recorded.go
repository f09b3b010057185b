package framework

import (
	"context"
	"maps"
	"net/http"
	"time"

	"github.com/innatural/chatbot/framework/httpcache"
)

// recorded returns a streaming handler whose streams are stored once they are whole, and replayed as the same pieces. Those who ask
// while a stream is made get one of their own.
func (rt *route) recorded(c *routeCache, next Handler) Handler {
	return func(ctx context.Context, req *Request) (*Response, error) {
		view := c.request(req.path, req.query, req.params, req.headers)
		if req.method != http.MethodGet {
			view.method = req.method
			return next(ctx, &view)
		}
		var k httpcache.Key
		c.read(&k, req.Header("Host"), req.path, req.query, req.headers)
		responses, key := rt.gen.app.responses, k.String()
		if stored, ok := responses.Replay(ctx, key, &c.rule); ok {
			rt.answered(httpcache.Hit)
			return replayed(stored), nil
		}
		rt.answered(httpcache.Miss)
		recording := responses.Record(key, &c.rule)
		response, err := next(ctx, &view)
		if err != nil || response == nil || response.Stream == nil {
			return response, err
		}
		answer := *response
		answer.Header = recording.Begin(
			&httpcache.Response{Status: response.Status, Header: response.Header, Tags: response.Tags},
		)
		maps.Copy(answer.Header, response.Header)
		answer.Stream = func(ctx context.Context, w *Stream) error {
			whole := false
			defer func() { recording.End(ctx, whole) }()
			w.sent = recording.Add
			err := response.Stream(ctx, w)
			whole = err == nil && !w.broken
			return err
		}
		return &answer, nil
	}
}

// replayed answers with a stored stream.
func replayed(stored *httpcache.Replay) *Response {
	header := http.Header{}
	for name, value := range stored.Header() {
		header.Add(name, value)
	}
	return &Response{Header: header, Stream: func(ctx context.Context, w *Stream) error {
		gap := time.NewTimer(0)
		defer gap.Stop()
		for after, piece := range stored.Pieces() {
			gap.Reset(after)
			select {
			case <-gap.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return nil
	}}
}
