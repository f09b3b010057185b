package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cli"
	"github.com/innatural/chatbot/plugins/health"
)

// probe is an embedder's own program: the commands, with a plugin whose requests last until a test releases them.
func probe() {
	os.Exit(cli.Main(cli.Program{
		Name: "probe", Version: "v9.9.9", Policy: probePolicy,
		Plugins: []framework.Plugin{health.Plugin(), framework.NewPlugin(framework.Info{
			Name: "gate",
			Doc:  "Keeps requests waiting until it is told to let them go.",
			Handlers: []framework.HandlerInfo{
				{Name: "gate.wait", Doc: "Waits."},
				{Name: "gate.stream", Doc: "Streams, and waits.", Stream: true},
				{Name: "gate.waiting", Doc: "Counts who waits.", Always: true},
				{Name: "gate.open", Doc: "Lets all go.", Always: true},
			},
		}, gateOptions{Answer: "released"}, buildGate)},
	}))
}

const probePolicy = `version = 1

[server]
listen = "127.0.0.1:0"
drain = "20s"

[[routes]]
path = "/"
handler = "gate.waiting"

[[routes]]
path = "/waiting"
handler = "gate.waiting"

[[routes]]
path = "/wait"
handler = "gate.wait"

[[routes]]
path = "/stream"
handler = "gate.stream"

[[routes]]
method = "POST"
path = "/open"
handler = "gate.open"

[[routes]]
path = "/livez"
handler = "health.live"

[[routes]]
path = "/readyz"
handler = "health.ready"
`

type gateOptions struct {
	Answer string         `toml:"answer" doc:"What those say who were let go." check:"nonempty"`
	Colour string         `toml:"colour" doc:"Nothing." check:"oneof=|red|blue"`
	Sizes  []int          `toml:"sizes" doc:"Nothing." check:"min=1"`
	Token  map[string]int `toml:"token" doc:"Nothing."`
}

// gate is shared by the requests of one generation.
type gate struct {
	waiting atomic.Int64
	once    sync.Once
	open    chan struct{}
}

func buildGate(_ *framework.Host, o gateOptions) (framework.Handlers, error) {
	g := &gate{open: make(chan struct{})}
	wait := func(ctx context.Context) error {
		g.waiting.Add(1)
		defer g.waiting.Add(-1)
		select {
		case <-g.open:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return framework.Handlers{
		"gate.wait": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
			if err := wait(ctx); err != nil {
				return nil, err
			}
			return framework.Text(o.Answer + "\n"), nil
		},
		"gate.stream": func(context.Context, *framework.Request) (*framework.Response, error) {
			return framework.EventStream(func(ctx context.Context, w *framework.Stream) error {
				if err := w.Event("first"); err != nil {
					return err
				}
				if err := wait(ctx); err != nil {
					return w.Event(err.Error())
				}
				return w.Event("last")
			}), nil
		},
		"gate.waiting": func(context.Context, *framework.Request) (*framework.Response, error) {
			return framework.Text(fmt.Sprintln(g.waiting.Load(), "waiting")), nil
		},
		"gate.open": func(context.Context, *framework.Request) (*framework.Response, error) {
			g.once.Do(func() { close(g.open) })
			return framework.Text("open\n"), nil
		},
	}, nil
}
