package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/plugins/chat/modelmock"
)

// modelMock is the command that serves a model which misbehaves on demand.
func modelMock() *cobra.Command {
	var listen, profile string
	var faults []string
	var share float64
	var after int
	var first, per time.Duration
	var config modelmock.Config
	c := &cobra.Command{
		Use:   "model-mock",
		Short: "Serve a model that misbehaves on demand",
		Long: "Serve OpenAI's protocol with a model that is not one: it quotes the first thing that its prompt lists, or says a given\n" +
			"text, as fast as a real model, and fails as real servers have failed. For tests and demonstrations.\n\n" +
			"Profiles: instant; fast, typical and slow have log-normal times with medians of 80 ms, 350 ms and 2 s to the first\n" +
			"token, and 8 ms, 25 ms and 80 ms between tokens. --ttft and --per-token set fixed times instead.\n\nFaults:\n" + faultHelp() +
			"\nWhile it runs, PUT /faults takes [{\"fault\": \"stall\", \"share\": 0.2, \"after\": 3}] instead of the flags, each fault with\n" +
			"its own share; [] ends them. PUT /profile takes a name: \"slow\". GET /stats tells how many requests came, are in\n" +
			"flight, and were cancelled by their clients.",
		Example: strings.Join([]string{
			"  chatbot model-mock --listen 127.0.0.1:9000 --profile typical    # a well-behaved model",
			"  chatbot model-mock --fault stall --fault no-usage --share 0.2   # a fifth of the answers has either",
			`  curl -X PUT -d '[{"fault": "500", "share": 1}]' 127.0.0.1:9000/faults`,
		}, "\n"),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if config.Profile, err = modelmock.ProfileNamed(profile); err != nil {
				return err
			}
			if c.Flags().Changed("ttft") {
				config.Profile.FirstToken = modelmock.Latency{Median: first}
			}
			if c.Flags().Changed("per-token") {
				config.Profile.PerToken = modelmock.Latency{Median: per}
			}
			if config.Profile.Tokens, err = c.Flags().GetInt("tokens"); err != nil {
				return err
			}
			for _, kind := range faults {
				config.Faults = append(config.Faults, modelmock.Fault{Kind: modelmock.Kind(kind), Share: share, After: after})
			}
			return serveModel(c, listen, config)
		},
	}
	f := c.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:9000", "`ADDRESS` to listen on; port 0 is any free one")
	f.StringVar(&config.Model, "model", "mock", "`NAME` of the model")
	f.StringVar(&config.Text, "text", "", "`TEXT` of every answer, instead of a quotation")
	f.StringVar(&profile, "profile", "instant", "latencies by `NAME`: instant, fast, typical, slow")
	f.DurationVar(&first, "ttft", 0, "fixed `TIME` to the first token, over the profile's")
	f.DurationVar(&per, "per-token", 0, "fixed `TIME` between tokens, over the profile's")
	f.Int("tokens", 0, "`NUMBER` of tokens of every answer; 0 is as many as its text has")
	f.StringArrayVar(&faults, "fault", nil, "`FAULT` of the list above; may be repeated")
	f.Float64Var(&share, "share", 1, "`SHARE` of the requests that each fault meets, 0 to 1")
	f.IntVar(&after, "after", 3, "`NUMBER` of tokens before stall, cut, ended-early and broken-json")
	f.Uint64Var(&config.Seed, "seed", 1, "`NUMBER` that latencies and faults are drawn with")
	return c
}

// faultHelp lists the faults.
func faultHelp() string {
	var b strings.Builder
	for _, d := range modelmock.Faults() {
		fmt.Fprintf(&b, "  %-24s %s\n", d.Kind, d.Doc)
	}
	return b.String()
}

// serveModel serves until SIGTERM or SIGINT, which answers under way do not outlast.
func serveModel(c *cobra.Command, listen string, config modelmock.Config) error {
	mock, err := modelmock.New(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mock, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	c.PrintErrf("chatbot model-mock serves %s, %d faults, at http://%s\n", config.Model, len(config.Faults), l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
