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

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/internal/filewatch"
	"github.com/innatural/chatbot/framework/policy"
)

func (s *session) serve() *cobra.Command {
	var flags policyFlags
	var watch bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve a policy",
		Long: "Serve a policy until SIGTERM or SIGINT; then requests under way have the policy's drain time to end. A second\n" +
			"signal ends it at once. SIGHUP loads the policy and the certificates again; when they have problems these are\n" +
			"printed, and the old ones go on. SIGUSR2 starts the program anew, with what its file holds now, and hands the\n" +
			"sockets over to it: no request is lost. Under systemd it takes sockets, and says when it is ready.",
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

	next, err := newSuccession()
	if err != nil {
		return err
	}
	defer next.end()
	app, err := framework.New(framework.Config{Policy: src.load, Plugins: s.Plugins, Version: s.Version, Stdout: s.out})
	if err != nil {
		return src.placed(err)
	}
	var watched *filewatch.Watcher
	if watch {
		if watched, err = filewatch.New(src.file); err != nil {
			return errors.Join(err, app.Close())
		}
	}
	on, err := app.Listen(next.listen)
	if err != nil {
		return errors.Join(listenError(err), app.Close())
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, on) }()
	s.announce(app.Policy(), on)

	var reloaders sync.WaitGroup
	reloaders.Go(func() { app.BoundMemory(ctx) })
	reloaders.Go(func() { next.watchdog(ctx) })
	reloaders.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-reloads:
				s.reload(ctx, app, src)
			case <-next.asked:
				if err := next.handOver(); err == nil {
					stop(framework.ErrHandedOver)
				} else if ctx.Err() == nil {
					app.Log().ErrorContext(ctx, "Not handed over, this process goes on", "error", err)
				}
			}
		}
	})
	if watch {
		reloaders.Go(func() {
			watched.Run(ctx, func() {
				if src.changed() {
					s.reload(ctx, app, src)
				}
			})
		})
	}
	if err := next.ready(); err != nil {
		app.Log().Error("The process before this one, or systemd, does not know that this one is ready", "error", err)
	}
	for {
		select {
		case err := <-served:
			stop(nil)
			next.end()
			reloaders.Wait()
			return err
		case <-stops:
			if ctx.Err() != nil {
				return errStoppedAtOnce
			}
			stop(nil)
			next.end()
		}
	}
}

// reload loads the policy again and prints why it could not. The app logs both outcomes.
func (s *session) reload(ctx context.Context, app *framework.App, src *source) {
	tellManager(reloading())
	err := src.placed(app.Reload(ctx))
	tellManager(daemon.SdNotifyReady)
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
func (s *session) announce(p *policy.Policy, on framework.Listeners) {
	url, to := baseURL(p, on.Public.Addr().String()), s.aside(p)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s serves %s, %s, at %s\n", s.Name, s.Version, p.File(), routes(p), styled(to, bold, url))
	if on.Admin != nil {
		fmt.Fprintf(&b, "for admins: %s\n", adminURL(p, on.Admin.Addr().String()))
	}
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
func baseURL(p *policy.Policy, addr string) string { return localURL(p.Server.TLS.Cert != "", addr) }

// adminURL is the same of the listener for admins.
func adminURL(p *policy.Policy, addr string) string {
	return localURL(p.Server.Admin.TLS.Cert != "", addr)
}

func localURL(secure bool, addr string) string {
	scheme := "http"
	if secure {
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
		if (r.Method == "GET" || r.Method == "*") && r.Audience != "admin" && !slices.Contains(p.Server.Admin.Only, r.Path) && r.Path != "/" && !strings.ContainsAny(r.Path, ":*.") {
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
