package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

func (s *session) serve() *cobra.Command {
	var flags policyFlags
	var watch bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve a policy",
		Long: "Serve a policy until SIGTERM or SIGINT; then requests under way have the policy's drain time to end. A second\n" +
			"signal ends it at once. SIGHUP loads the policy again; when it has problems they are printed, and the old one\n" +
			"goes on.",
		Example: s.examples(
			"serve", "the built-in policy",
			"serve --policy policy.toml --watch", "a file, loaded again when it changes",
			"serve --listen :8080 --set log.level=debug", "over what the policy says",
		),
		Args: s.args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			layer, err := flags.layer()
			switch {
			case err != nil:
				return err
			case watch && flags.file == "":
				return errors.New("--watch has no file to watch; add --policy FILE")
			}
			return s.runServe(s.source(flags.file, layer), watch)
		},
	}
	flags.register(c)
	c.Flags().StringArrayVar(&flags.set, "set", nil, "`KEY=VALUE` over the policy's, by dotted path; may be repeated")
	c.Flags().BoolVarP(&watch, "watch", "w", false, "load the policy again when its file changes")
	return c
}

// errStoppedAtOnce says that a second signal came before the server had drained.
var errStoppedAtOnce = errors.New("stopped at once by a second signal, with work under way")

func (s *session) runServe(src *source, watch bool) error {
	stops, reloads := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(reloads, syscall.SIGHUP)
	defer signal.Stop(stops)
	defer signal.Stop(reloads)

	app, err := framework.New(framework.Config{Policy: src.load, Plugins: s.Plugins, Version: s.Version, Stdout: s.out})
	if err != nil {
		return err
	}
	var watched *watcher
	if watch {
		if watched, err = newWatcher(src.file); err != nil {
			return errors.Join(err, app.Close())
		}
	}
	l, err := app.Listen()
	if err != nil {
		return errors.Join(listenError(err), app.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, l) }()
	s.announce(app.Policy(), l.Addr())

	var reloaders sync.WaitGroup
	reloaders.Go(func() { app.BoundMemory(ctx) })
	reloaders.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-reloads:
				s.reload(ctx, app)
			}
		}
	})
	if watch {
		reloaders.Go(func() {
			_ = watched.run(ctx, func() { // it ends with ctx alone
				if src.changed() {
					s.reload(ctx, app)
				}
			})
		})
	}
	for {
		select {
		case err := <-served:
			stop()
			reloaders.Wait()
			return err
		case <-stops:
			if ctx.Err() != nil {
				return errStoppedAtOnce
			}
			stop()
		}
	}
}

// reload loads the policy again and prints why it could not. The app logs both outcomes.
func (s *session) reload(ctx context.Context, app *framework.App) {
	err := app.Reload(ctx)
	if err == nil || errors.Is(err, framework.ErrStopping) || ctx.Err() != nil {
		return
	}
	why, to := err.Error()+"\n", s.aside(app.Policy())
	if bad, ok := errors.AsType[*invalidPolicy](err); ok {
		why = bad.text(to)
	}
	_, _ = io.WriteString(to, "policy not reloaded, the old one goes on:\n"+why) // when that fails, nobody is left to tell
}

// aside is a stream that no sink of the log writes to, standard error if possible, so that programs can read the log.
func (s *session) aside(p *policy.Policy) io.Writer {
	logs := func(kind string) bool {
		return slices.ContainsFunc(p.Log.Sinks, func(sink policy.LogSink) bool { return sink.Type == kind })
	}
	switch {
	case !logs("stderr"):
		return s.err
	case !logs("stdout"):
		return s.out
	}
	return io.Discard
}

// announce says what is served where.
func (s *session) announce(p *policy.Policy, addr net.Addr) {
	url, to := baseURL(p, addr.String()), s.aside(p)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s serves %s, %s, at %s\n", s.Name, s.Version, p.File(), routes(p), styled(to, bold, url))
	fmt.Fprintf(&b, "try: curl %s\n", url+firstPath(p))
	if isTerminal(to) {
		fmt.Fprintf(&b, "Ctrl-C stops it; kill -HUP %d loads the policy again\n", os.Getpid())
	}
	_, _ = io.WriteString(to, b.String()) // when that fails, nobody is left to tell
}

// routes counts a policy's routes in words.
func routes(p *policy.Policy) string {
	if len(p.Routes) == 1 {
		return "1 route"
	}
	return fmt.Sprintf("%d routes", len(p.Routes))
}

// baseURL is where a client on this machine finds a server that listens on addr.
func baseURL(p *policy.Policy, addr string) string {
	scheme := "http"
	if p.Server.TLS.Cert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return scheme + "://" + addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// firstPath is a path that anybody can ask for, rather not the page at the root or a file of it.
func firstPath(p *policy.Policy) string {
	for _, r := range p.Routes {
		if (r.Method == "GET" || r.Method == "*") && r.Audience != "admin" && r.Path != "/" && !strings.ContainsAny(r.Path, ":*.") {
			return r.Path
		}
	}
	return "/"
}

// listenError adds what to do.
func listenError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; stop the program that uses it, or choose another address with --listen (port 0 is any free one)", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w; choose a port from 1024 on with --listen, or give the program the right", err)
	}
	return err
}
