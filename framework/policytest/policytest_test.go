package policytest_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/policytest"
)

func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }

const served = `version = 1

[[routes]]
path = "/echo"
method = "POST"
handler = "mirror"

[[routes]]
path = "/silent"
handler = "mirror.silent"
`

// mirror answers with what it was sent, or not at all.
var mirror = framework.NewPlugin(framework.Info{
	Name: "mirror", Handlers: []framework.HandlerInfo{{Name: "mirror"}, {Name: "mirror.silent"}},
}, framework.NoOptions{}, func(*framework.Host, framework.NoOptions) (framework.Handlers, error) {
	return framework.Handlers{
		"mirror": func(_ context.Context, req *framework.Request) (*framework.Response, error) {
			return framework.Bytes(req.Header("Content-Type"), req.Body()).Set("X-Host", req.Header("Host")), nil
		},
		"mirror.silent": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
	}, nil
})

func run(t *testing.T, ctx context.Context, tests string) ([]policytest.Result, error) {
	t.Helper()
	loaded, problems := policy.LoadTests(policy.Source{Name: "x_test.toml", Text: []byte(tests)})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var results []policytest.Result
	err := policytest.Run(ctx, framework.Config{
		Policy: framework.PolicyText("x.toml", served), Plugins: []framework.Plugin{mirror}, Stdout: io.Discard,
	}, loaded.Tests, func(r policytest.Result) { results = append(results, r) })
	return results, err
}

func TestRun(t *testing.T) {
	results, err := run(t, t.Context(), `
[[tests]]
name = "JSON is sent as JSON"
request = { method = "POST", path = "/echo", headers = { Host = "shop.example" }, json = { a = [1, "b"] } }
expect = { json = { a = [1, "b"] }, headers = { Content-Type = "^application/json", X-Host = "^shop.example$" } }

[[tests]]
name = "a body is sent as it is"
request = { method = "POST", path = "/echo", headers = { Content-Type = "text/plain" }, body = "{ }" }
expect = { contains = ["{ }"], headers = { Content-Type = "^text/plain$" } }

[[tests]]
name = "no answer in time"
request = { path = "/silent" }
expect = { timeout = "20ms" }
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 3 {
		t.Fatalf("results: got %d, want 3", len(results))
	}
	for _, r := range results[:2] {
		if len(r.Differences) > 0 {
			t.Errorf("%s: %q", r.Test.Name, r.Differences)
		}
	}
	if got := results[2].Differences; !slices.ContainsFunc(got, func(d string) bool {
		return strings.HasPrefix(d, "timeout: want the whole answer within 20ms, got none after ")
	}) {
		t.Errorf("%s: %q", results[2].Test.Name, got)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := run(t, ctx, `
[[tests]]
name = "no answer"
request = { path = "/silent" }
expect = { timeout = "1h" }

[[tests]]
name = "never asked"
request = { path = "/silent" }
expect = {}
`); err == nil {
		t.Error("no error")
	}
}
