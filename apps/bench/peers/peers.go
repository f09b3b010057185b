//go:build linux

package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/innatural/chatbot/apps/bench/internal/process"
)

//go:embed policy.toml nginx.conf.tmpl
var files embed.FS

var nginxConfig = template.Must(template.ParseFS(files, "nginx.conf.tmpl"))

// peer is a server that is measured.
type peer struct {
	version string // with the name
	address string
	process *process.Process
}

// shop is what peers are made from: a folder, and the answers that ours gives.
type shop struct {
	ctx         context.Context
	options     options
	folder      string
	gzip, plain answer
	running     []*process.Process
	receiver    *http.Server // of traces
}

func (s *shop) close() {
	if s.receiver != nil {
		_ = s.receiver.Close() // what is still sent is of no use
	}
	for _, p := range s.running {
		p.Stop()
	}
}

// start starts a peer at a free address, which arguments are made with.
func (s *shop) start(version, program string, args func(address string) ([]string, error)) (*peer, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%s is not installed", filepath.Base(program))
	}
	address, err := process.FreeAddress()
	if err != nil {
		return nil, err
	}
	arguments, err := args(address)
	if err != nil {
		return nil, err
	}
	// Varnish has a C compiler at work as it starts, whose files would stay when it is ended then.
	env := []string{"PEERS_FOLDER=" + s.folder, "TMPDIR=" + s.folder}
	p, err := process.Start(s.ctx, env, address, path, arguments...)
	if err != nil {
		return nil, err
	}
	s.running = append(s.running, p)
	return &peer{version: version, address: address, process: p}, nil
}

// ours starts the built server with a policy of its own and keeps what it answers.
func (s *shop) ours() (*peer, error) {
	text, err := files.ReadFile("policy.toml")
	if err != nil {
		return nil, err
	}
	policy := filepath.Join(s.folder, "policy.toml")
	if err := os.WriteFile(policy, text, 0o600); err != nil {
		return nil, err
	}
	p, err := s.start(version("innatural", s.options.server, "version"), s.options.server, func(address string) ([]string, error) {
		return []string{"serve", "--policy", policy, "--listen", address}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.options.server, err)
	}
	for range 2 { // the second time it is a hit
		if s.gzip, err = ask(s.ctx, p.address, request(p.address, acceptGzip)); err != nil {
			return nil, err
		}
		if s.plain, err = ask(s.ctx, p.address, request(p.address)); err != nil {
			return nil, err
		}
	}
	if s.gzip.Status != 200 || s.gzip.Encoding != "gzip" || s.gzip.get("X-Cache") != "HIT" || s.gzip.get("ETag") == "" {
		return nil, fmt.Errorf("%s does not answer as it should: %v %v", s.options.server, s.gzip, s.gzip.Header)
	}
	return p, s.gzip.same(answer{Status: 200, Encoding: "gzip", Plain: s.plain.Plain}, false)
}

// traced starts the built server once more, which traces a share of the requests, to a receiver that takes all.
func (s *shop) traced(share string) (*peer, error) {
	if s.receiver == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("listen for traces: %w", err)
		}
		s.receiver = &http.Server{Addr: l.Addr().String(), ReadHeaderTimeout: answerTimeout, Handler: http.HandlerFunc(
			func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })}
		go func() { _ = s.receiver.Serve(l) }() // it ends when it is closed
	}
	return s.start("", s.options.server, func(address string) ([]string, error) {
		return []string{
			"serve", "--policy", filepath.Join(s.folder, "policy.toml"), "--listen", address,
			"--set", "telemetry.traces.endpoint=http://" + s.receiver.Addr, "--set", "telemetry.traces.sample=" + share,
		}, nil
	})
}

var acceptGzip = field{"Accept-Encoding", "gzip"}

// fiber starts the bare Fiber program with an answer.
func (s *shop) fiber(name string, a answer) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	file := filepath.Join(s.folder, name+".json")
	if err := a.write(file); err != nil {
		return nil, err
	}
	return s.start("", self, func(address string) ([]string, error) { return []string{roleFiber, file, address}, nil })
}

// nginx starts nginx, in front of an origin, or with a file that it sends compressed as it lies there.
func (s *shop) nginx(workers, origin string) (*peer, error) {
	folder, err := os.MkdirTemp(s.folder, "nginx")
	if err != nil {
		return nil, err
	}
	plain, packed := filepath.Join(folder, "answer"), filepath.Join(folder, "answer.gz")
	if err := errors.Join(os.WriteFile(plain, s.plain.Body, 0o600), os.WriteFile(packed, s.gzip.Body, 0o600)); err != nil {
		return nil, err
	}
	return s.start(version("nginx", "nginx", "-v"), "nginx", func(address string) ([]string, error) {
		config, err := os.Create(filepath.Join(folder, "nginx.conf"))
		if err != nil {
			return nil, err
		}
		err = nginxConfig.Execute(config, struct {
			Root                                          bool
			Workers, Folder, Address, Origin, ContentType string
			Header                                        []field
		}{os.Getuid() == 0, workers, folder, address, origin, s.gzip.ContentType, s.gzip.Header})
		return []string{"-p", folder, "-c", config.Name()}, errors.Join(err, config.Close())
	})
}

// varnish starts Varnish in front of an origin.
func (s *shop) varnish(origin string) (*peer, error) {
	return s.start(version("varnish", "varnishd", "-V"), "varnishd", func(address string) ([]string, error) {
		return []string{
			"-F", "-j", "none", "-n", filepath.Join(s.folder, "varnish"), "-a", address, "-b", origin, "-s", "malloc,64m", "-t", "3600",
		}, nil
	})
}

// express starts what was served before: Express with compression and node-cache.
func (s *shop) express() (*peer, error) {
	script := filepath.Join(s.options.express, "server.js")
	if _, err := os.Stat(filepath.Join(s.options.express, "node_modules", "express")); err != nil {
		return nil, fmt.Errorf("its modules are not installed in %s", s.options.express)
	}
	file := filepath.Join(s.folder, "express.json")
	if err := s.gzip.write(file); err != nil {
		return nil, err
	}
	return s.start(version("node", "node", "--version"), "node", func(address string) ([]string, error) {
		_, port, err := net.SplitHostPort(address)
		return []string{script, file, port}, err
	})
}

var number = regexp.MustCompile(`\d+(\.\d+)+`)

// version returns a name with the version that a program gives.
func version(name, program, flag string) string {
	out, err := exec.Command(program, flag).CombinedOutput()
	if err != nil {
		return name
	}
	return strings.TrimSpace(name + " " + number.FindString(string(out)))
}
