package framework_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/cachetest"
)

const standardPolicy = `
version = 1
[log.access]
enabled = false
[[routes]]
method = "*"
path = "/*"
handler = "test.forward"
cache = { mode = "standard" }
`

// forwarder passes requests on to an origin as plainly as can be.
func forwarder(t testing.TB, origin string) framework.Plugin {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return plugin("test", framework.Handlers{"test.forward": func(ctx context.Context, r *framework.Request) (*framework.Response, error) {
		return forward(ctx, transport, origin, r)
	}})
}

func forward(ctx context.Context, transport *http.Transport, origin string, r *framework.Request) (*framework.Response, error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), r.Method(), origin+r.Target(), nil)
	if err != nil {
		return nil, err
	}
	for name, value := range r.Headers() {
		req.Header.Add(name, value)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, &framework.Error{Status: http.StatusBadGateway, Code: "origin", Message: "the origin does not answer", Err: err}
	}
	return &framework.Response{
		Status: res.StatusCode, Header: res.Header,
		Stream: func(_ context.Context, w *framework.Stream) error {
			defer res.Body.Close()
			_, err := io.Copy(w, res.Body)
			return err
		},
	}, nil
}

func TestStandardModeByClauses(t *testing.T) {
	cachetest.Run(t, func(t *testing.T, origin string) string {
		return frameworktest.Start(t, standardPolicy, forwarder(t, origin)).URL
	}, cachetest.Clauses())
}
