//go:build linux

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/innatural/chatbot/apps/bench/internal/load"
	"github.com/innatural/chatbot/apps/bench/internal/measure"
	"github.com/innatural/chatbot/apps/bench/internal/process"
	"github.com/innatural/chatbot/apps/bench/internal/report"
	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// minBlocks is the least number of blocks of a run: fewer are no sample.
const minBlocks = 10

func runCommand() *cobra.Command {
	var s settings
	var o outputs
	var address, policyFile string
	var duration, warmup time.Duration
	var blocks, pid int
	c := &cobra.Command{
		Use:   "run",
		Short: "Measures a server's endpoints, and judges what its policy promises of them",
		Long: `run measures a server's endpoints, and judges what its policy promises of them.

Latency counts from the time at which a request was due, the service time from when it was sent. Where they differ,
the server did not keep up. Exit codes: 0 fine; 1 it could not run; 2 invalid: the generator was the limit, nothing was
answered, or the run was interrupted; 99 a promise was broken.`,
		Example: `  bench run --url http://127.0.0.1:5000 --policy policies/chatbot.toml --duration 30s --html report.html
  bench run --url http://127.0.0.1:5000 --endpoint 'GET /api/products?language=fr' -c 16 --json capacity.json
  bench run --url http://127.0.0.1:5000 --endpoint 'POST /api/chat {"sessionId": "me", "message": "Bonjour"}' --rate 50`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			if blocks < minBlocks || duration <= 0 || warmup < 0 {
				return fmt.Errorf("--blocks must be %d or more, --duration more than none, and --warmup not less than none", minBlocks)
			}
			if err := errors.Join(s.check(c), o.check()); err != nil {
				return err
			}
			server, err := parseServer(address)
			if err != nil {
				return err
			}
			p, err := loadPolicy(policyFile)
			if err != nil {
				return err
			}
			endpoints, err := s.choose(ctx, server, p, func(text string) { fmt.Fprintln(c.ErrOrStderr(), "bench:", text) })
			if err != nil {
				return err
			}
			plan := s.plan(server, endpoints)
			plan.PID = pid
			g, err := load.New(plan)
			if err != nil {
				return err
			}
			defer g.Close()
			before := process.ReadMachine()
			line := newProgress(c.ErrOrStderr())
			recording, err := g.Run(ctx, warmup, duration, blocks, line.observer())
			line.clear()
			if err != nil {
				return err
			}
			config := s.config(endpoints)
			config.DurationSeconds, config.WarmupSeconds, config.Blocks = duration.Seconds(), warmup.Seconds(), blocks
			r := result.Run{ID: rand.Text(), Target: server.String(), Seed: s.seed}
			if err := r.Configure(config); err != nil {
				return err
			}
			measured, err := measure.Run(r, before, endpoints, []measure.Part{{Recording: recording}})
			if err != nil {
				return err
			}
			d := &result.Document{
				SchemaVersion: result.Version, Kind: result.KindRun, Tool: result.Tool{Name: "bench", Version: version}, Measured: measured,
			}
			if err := o.write(c.OutOrStdout(), d); err != nil {
				return err
			}
			return judged(d)
		},
	}
	f := c.Flags()
	f.StringVar(&address, "url", "http://127.0.0.1:5000", "`address` of the server")
	f.StringVar(&policyFile, "policy", "", "`file` of the server's policy: its GET routes are the endpoints, its promises are judged")
	f.DurationVar(&duration, "duration", 10*time.Second, "time that is measured")
	f.DurationVar(&warmup, "warmup", time.Second, "time before it that is not")
	f.IntVar(&blocks, "blocks", minBlocks, "parts of the run, the sample of a comparison")
	f.IntVar(&pid, "pid", 0, "process `id` of the server, on this machine: adds its CPU time per request")
	s.flags(c)
	o.flags(c)
	return c
}

func parseServer(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, fmt.Errorf("--url %q: write the address of a server, without a path, such as http://127.0.0.1:5000", address)
	}
	u.Path = ""
	return u, nil
}

// judged returns the exit code of a run.
func judged(d *result.Document) error {
	if !d.Validity.Valid {
		return exitCode(exitInvalid)
	}
	for _, s := range d.Series {
		for _, p := range s.Promises {
			if p.Kept != nil && !*p.Kept {
				return exitCode(exitBroken)
			}
		}
	}
	return nil
}

// outputs are the flags that say where results go.
type outputs struct {
	json, html, markdown, csv, gobench string
}

func (o *outputs) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.json, "json", "", "`file` for the result as JSON; - is stdout, here and below, instead of the text")
	f.StringVar(&o.html, "html", "", "`file` for a report as one page")
	f.StringVar(&o.markdown, "markdown", "", "`file` for a table in Markdown")
	f.StringVar(&o.csv, "csv", "", "`file` for the blocks as CSV")
	f.StringVar(&o.gobench, "gobench", "", "`file` for the blocks in Go's benchmark format, for benchstat")
}

// form is a way to write a document, and the file that was asked for.
type form struct {
	file  string
	write func(io.Writer, *result.Document) error
}

func (o *outputs) forms() []form {
	return []form{
		{o.json, func(w io.Writer, d *result.Document) error { return d.Write(w) }},
		{o.html, report.HTML},
		{o.markdown, report.Markdown},
		{o.csv, report.CSV},
		{o.gobench, report.GoBench},
	}
}

// check finds out before a run whether what comes of it can be written.
func (o *outputs) check() error {
	var problems []error
	stdout := 0
	for _, form := range o.forms() {
		switch form.file {
		case "":
		case "-":
			stdout++
		default:
			problems = append(problems, writable(form.file))
		}
	}
	if stdout > 1 {
		problems = append(problems, errors.New("only one result can go to stdout"))
	}
	return errors.Join(problems...)
}

// writable tries to open a file, and leaves it as it is.
func writable(name string) error {
	_, before := os.Stat(name)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil || before == nil {
		return err
	}
	return os.Remove(name)
}

// write writes a document in every form that was asked for, and as text. What can't be written keeps nothing else from being.
func (o *outputs) write(out io.Writer, d *result.Document) error {
	text := true
	var problems []error
	for _, form := range o.forms() {
		switch form.file {
		case "":
		case "-":
			text = false
			problems = append(problems, form.write(out, d))
		default:
			problems = append(problems, writeFile(form.file, d, form.write))
		}
	}
	if text {
		problems = append(problems, report.Text(out, d))
	}
	return errors.Join(problems...)
}

// writeFile writes beside a file and puts it in its place once it is whole, so that a full disk costs no older result. What is no
// file, such as /dev/stderr, is written as it is.
func writeFile(name string, d *result.Document, write func(io.Writer, *result.Document) error) error {
	whole := name
	if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() {
		whole = name + ".part"
	}
	f, err := os.Create(whole)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f, d), f.Close()); err != nil {
		if whole != name {
			_ = os.Remove(whole)
		}
		return fmt.Errorf("write %s: %w", name, err)
	}
	if whole == name {
		return nil
	}
	return os.Rename(whole, name)
}

// progress is a line on a terminal that is written over. Elsewhere it is nothing.
type progress struct {
	out   io.Writer
	shown bool
}

func newProgress(out io.Writer) *progress {
	if f, ok := out.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{out: out}
}

// observer shows how a run goes; nil where nobody looks.
func (p *progress) observer() func(load.Progress) {
	if p.out == nil {
		return nil
	}
	return p.show
}

func (p *progress) show(at load.Progress) {
	if at.Elapsed < 0 {
		p.say("warming up")
		return
	}
	p.say(fmt.Sprintf("%.0f of %.0f s  %.0f requests/s  P95 %v  %d errors",
		at.Elapsed.Seconds(), at.Of.Seconds(), at.Rate, at.P95.Round(10*time.Microsecond), at.Errors))
}

// say writes a text over the line.
func (p *progress) say(text string) {
	if p.out != nil {
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
		p.shown = true
	}
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
