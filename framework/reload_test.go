package framework_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/policy"
)

// versions is a loader whose policy tells its version; a broken one has a mistake.
func versions(current *atomic.Int64) framework.Loader {
	return func(v policy.Vocabulary) (*policy.Policy, error) {
		n, broken := current.Load()/2, current.Load()%2 == 1
		text := fmt.Sprintf(`
version = 1
[log.access]
enabled = false
[plugins.test]
number = %d
[[routes]]
path = "/number"
handler = "test"
[[routes]]
path = "/cached"
handler = "test"
cache = { ttl = "1ms" }
[[routes]]
path = "/stream"
handler = "test.stream"
`, n)
		if broken {
			text += "tll = 1\n"
		}
		return framework.PolicyText("versions.toml", text)(v)
	}
}

type numbered struct {
	Number int `toml:"number" doc:"What is answered." check:"min=0"`
}

func TestReloadsUnderLoad(t *testing.T) {
	const reloads = 200
	var current atomic.Int64
	var built, stopped atomic.Int64
	next := make(chan struct{})
	p := framework.NewPlugin(framework.Info{
		Name: "test", Handlers: []framework.HandlerInfo{{Name: "test"}, {Name: "test.stream", Stream: true}},
	}, numbered{}, func(h *framework.Host, o numbered) (framework.Handlers, error) {
		built.Add(1)
		open := true
		h.OnStop(func(context.Context) error {
			open = false // the race detector sees a handler that runs on
			stopped.Add(1)
			return nil
		})
		return framework.Handlers{
			"test": func(context.Context, *framework.Request) (*framework.Response, error) {
				if !open {
					return nil, fmt.Errorf("the generation is closed")
				}
				return framework.Text(fmt.Sprint(o.Number)), nil
			},
			"test.stream": func(context.Context, *framework.Request) (*framework.Response, error) {
				return framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
					for range 10 {
						if err := w.Event(map[string]any{"number": o.Number, "open": open}); err != nil {
							return err
						}
						select {
						case <-next:
						case <-ctx.Done():
							return context.Cause(ctx)
						}
					}
					return nil
				}), nil
			},
		}, nil
	})
	s := frameworktest.StartWith(t, versions(&current), p)

	res, err := s.Client.Get(s.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	streamed := make(chan []string, 1)
	go func() {
		var got []string
		if err := events(res.Body, func(data string) { got = append(got, data) }); err != nil {
			t.Errorf("the stream broke: %v", err)
		}
		streamed <- got
	}()

	stop := make(chan struct{})
	var wait sync.WaitGroup
	var requests atomic.Int64
	for _, path := range []string{"/number", "/cached", "/number", "/cached"} {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a := s.Get(t, path); a.Status != http.StatusOK {
					t.Errorf("%s: %d %s", path, a.Status, a.Body)
					return
				}
				requests.Add(1)
			}
		})
	}
	for i := 1; i <= reloads; i++ {
		served := requests.Load()
		current.Store(int64(i))
		err := s.App.Reload(t.Context())
		if broken := i%2 == 1; (err != nil) != broken {
			t.Fatalf("reload %d: %v", i, err)
		} else if broken && !strings.Contains(err.Error(), `did you mean "ttl"`) && !strings.Contains(err.Error(), "unknown key") {
			t.Fatalf("reload %d does not say why: %v", i, err)
		}
		if a := s.Get(t, "/number"); a.Body != fmt.Sprint(i/2) {
			t.Fatalf("after reload %d the number is %s", i, a.Body)
		}
		if i%20 == 0 {
			next <- struct{}{}
		}
		eventually(t, "the load goes on", func() bool { return requests.Load() > served })
	}
	close(stop)
	wait.Wait()
	got := <-streamed
	if len(got) != 10 {
		t.Fatalf("the stream delivered %d of 10 events: %v", len(got), got)
	}
	for _, data := range got {
		if data != `{"number":0,"open":true}` {
			t.Errorf("the stream did not keep its generation: %s", data)
		}
	}
	eventually(t, "old generations are closed", func() bool { return stopped.Load() == built.Load()-1 })
	if got := metric(t, s, `policy_reloads_total{result="failure"}`); got != "100" {
		t.Errorf("failed reloads counted: %s", got)
	}
	if got := metric(t, s, "policy_last_reload_success"); got != "1" {
		t.Errorf("last reload success is %s", got)
	}
	t.Logf("%d requests during %d reloads, %d of them broken", requests.Load(), reloads, reloads/2)
}

func TestAFailedBuildChangesNothingAndClosesWhatItBuilt(t *testing.T) {
	var fail atomic.Bool
	var closed atomic.Int64
	first := framework.NewPlugin(framework.Info{Name: "first", Handlers: []framework.HandlerInfo{{Name: "first"}}}, framework.NoOptions{},
		func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
			h.OnStop(func(context.Context) error {
				closed.Add(1)
				return nil
			})
			return framework.Handlers{"first": text("first")}, nil
		})
	second := framework.NewPlugin(framework.Info{Name: "second", Handlers: []framework.HandlerInfo{{Name: "second"}}}, framework.NoOptions{},
		func(*framework.Host, framework.NoOptions) (framework.Handlers, error) {
			if fail.Load() {
				return nil, fmt.Errorf("no disk")
			}
			return framework.Handlers{"second": text("second")}, nil
		})
	s := frameworktest.Start(t, `
version = 1
[[routes]]
path = "/first"
handler = "first"
[[routes]]
path = "/second"
handler = "second"
`, first, second)
	fail.Store(true)
	err := s.App.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "build plugin second: no disk") {
		t.Fatalf("got %v", err)
	}
	if closed.Load() != 1 {
		t.Errorf("%d plugins of the failed generation were closed, want 1", closed.Load())
	}
	if a := s.Get(t, "/second"); a.Body != "second" {
		t.Errorf("the old generation answers %q", a.Body)
	}
	if s.Stop(); !strings.Contains(s.Logs(), "no disk") {
		t.Error("the log does not say why")
	}
}

const drainPolicy = `
version = 1
[server]
drain = "3s"
[[routes]]
path = "/slow"
handler = "test.slow"
[[routes]]
path = "/stream"
handler = "test.stream"
[[routes]]
path = "/ready"
handler = "test.ready"
`

func TestStopEndsWhatIsUnderWay(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	p := framework.NewPlugin(framework.Info{Name: "test", Handlers: []framework.HandlerInfo{
		{Name: "test.slow"}, {Name: "test.stream", Stream: true}, {Name: "test.ready", Always: true},
	}}, framework.NoOptions{}, func(h *framework.Host, _ framework.NoOptions) (framework.Handlers, error) {
		return framework.Handlers{
			"test.slow": func(context.Context, *framework.Request) (*framework.Response, error) {
				close(entered)
				<-leave
				return framework.Text("done"), nil
			},
			"test.stream": func(context.Context, *framework.Request) (*framework.Response, error) {
				return framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
					if err := w.Event("open"); err != nil {
						return err
					}
					<-ctx.Done()
					return w.Event(context.Cause(ctx).Error())
				}), nil
			},
			"test.ready": func(context.Context, *framework.Request) (*framework.Response, error) {
				return framework.Text(fmt.Sprint(!h.Status().Draining)), nil
			},
		}, nil
	})
	s := frameworktest.Start(t, drainPolicy, p)
	slow := make(chan frameworktest.Answer, 1)
	go func() { slow <- s.Get(t, "/slow") }()
	<-entered
	res, err := s.Client.Get(s.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stopped := make(chan time.Duration, 1)
	go func() {
		began := time.Now()
		s.Stop()
		stopped <- time.Since(began)
	}()
	eventually(t, "not ready", func() bool { return s.Get(t, "/ready").Body == "false" })
	if a := s.Get(t, "/slow"); a.Status != 503 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, `"stopping"`) {
		t.Errorf("new work while stopping: %d %s", a.Status, a.Body)
	}
	close(leave)
	if a := <-slow; a.Status != 200 || a.Body != "done" {
		t.Errorf("what was under way: %+v", a)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(body), "the server is stopping") {
		t.Errorf("the stream was not told: %q, %v", body, err)
	}
	if took := <-stopped; took > 4*time.Second {
		t.Errorf("the stop took %v, beyond its drain time of 3 s", took)
	}
}

func TestStopDoesNotWaitForAHandlerThatNeverEnds(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	defer close(leave)
	s := frameworktest.Start(t, strings.Replace(drainPolicy, `"3s"`, `"1s"`, 1), plugin("test", framework.Handlers{
		"test.slow": func(context.Context, *framework.Request) (*framework.Response, error) {
			close(entered)
			<-leave
			return framework.Text("done"), nil
		},
		"test.stream": text(""), "test.ready": text(""),
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := s.Client.Get(s.URL + "/slow"); err == nil {
			res.Body.Close()
		}
	}()
	<-entered
	began := time.Now()
	s.Stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the stop took %v, beyond its drain time of 1 s", took)
	}
	<-done
}
