package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/internal/filewatch"
	"github.com/innatural/chatbot/framework/policy"
)

// outputFormat is the --format flag of a command: text for people or JSON for machines.
type outputFormat string

const (
	formatText outputFormat = "text"
	formatJSON outputFormat = "json"
)

// String, Set and Type implement pflag.Value.
func (f *outputFormat) String() string { return string(*f) }

func (f *outputFormat) Set(value string) error {
	if value != string(formatText) && value != string(formatJSON) {
		return errors.New("write text or json")
	}
	*f = outputFormat(value)
	return nil
}

func (f *outputFormat) Type() string { return "FORMAT" }

func (f *outputFormat) register(c *cobra.Command) {
	*f = formatText
	c.Flags().Var(f, "format", "text or json")
}

// writeJSON writes v, indented, to standard output.
func (s *session) writeJSON(v any) error {
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func (s *session) check() *cobra.Command {
	var format outputFormat
	var watch bool
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Find every mistake in a policy",
		Long: "Find every mistake in a policy, under this program's plugins and this environment, also in the files that plugins\n" +
			"read. Nothing is started. Each problem is one line, file:line:col: path: what is wrong; what to do. Without a file it\n" +
			"checks the built-in policy.",
		Example: s.examples(
			"check policy.toml", "exit code 0 fine, 1 could not run, 2 problems",
			"check policy.toml --watch", "again whenever the file changes",
			"check policy.toml --format json", "an array of problems",
		),
		Args: s.args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			src := s.source(strings.Join(args, ""), nil)
			switch {
			case !watch:
				return s.checkOnce(src, format)
			case src.file == "":
				return errors.New("--watch has no file to watch; name one")
			}
			return s.checkOnChange(src, format)
		},
	}
	format.register(c)
	c.Flags().BoolVarP(&watch, "watch", "w", false, "check again when the file changes, until Ctrl-C")
	return c
}

func (s *session) checkOnce(src *source, format outputFormat) error {
	p, err := src.check(framework.Vocabulary(s.Plugins...))
	bad, found := errors.AsType[*invalidPolicy](err)
	switch {
	case err != nil && !found:
		return err
	case !found && format == formatJSON:
		return s.writeJSON(policy.Problems{})
	case !found:
		return s.printf("%s: %s, %s\n", p.File(), styled(s.out, green, "ok"), routes(p))
	case format == formatJSON:
		err = s.writeJSON(bad.Problems)
	default:
		err = s.printf("%s", bad.text(s.out))
	}
	if err != nil {
		return err
	}
	return errFound
}

// checkOnChange checks until the user ends it, which is no failure.
func (s *session) checkOnChange(src *source, format outputFormat) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	w, err := filewatch.New(src.file)
	if err != nil {
		return err
	}
	w.Run(ctx, func() {
		if !src.changed() {
			return
		}
		if err := s.checkOnce(src, format); err != nil && !errors.Is(err, errFound) {
			s.tell("%s: %s\n", s.Name, err)
		}
	})
	return nil
}

func (s *session) explain() *cobra.Command {
	var format outputFormat
	var file string
	c := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Show what serves a request, and why",
		Long: "Show which route serves a request, every value that holds for it and where the value comes from (a place in a file,\n" +
			"a variable, a default), its cache key, and the stages it passes. Secrets are hidden.",
		Example: s.examples(
			"explain GET '/api/products?language=fr'", "in the built-in policy",
			"explain POST http://127.0.0.1:5000/api/chat --policy policy.toml", "of a URL only path and query count",
		),
		Args: s.args(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			target, err := requestTarget(args[1])
			if err != nil {
				return err
			}
			p, err := s.loadPolicy(file, nil)
			if err != nil {
				return err
			}
			method := strings.ToUpper(args[0])
			e := p.Explain(method, target, framework.Stages())
			if e.Cached {
				e.Key = framework.CacheKey(&p.Routes[e.Index], framework.NewRequest(method, target, nil))
			}
			if format == formatJSON {
				return s.writeJSON(e)
			}
			return e.WriteText(s.out)
		},
	}
	format.register(c)
	c.Flags().StringVarP(&file, "policy", "p", "", "policy `FILE`; the built-in policy without it")
	return c
}

// requestTarget takes path and query from a URL.
func requestTarget(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("read URL: %w", err)
	}
	if u.Host == "" && !strings.HasPrefix(text, "/") {
		return "", fmt.Errorf("%q is not a URL; write a path such as /api/health, or all of it from http:// on", text)
	}
	return u.RequestURI(), nil
}

func (s *session) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of policies, for editors",
		Long: "Print the JSON Schema (draft 4) of the policies that this program takes. An editor with a TOML language server uses\n" +
			"it for completion and checks when the policy begins with the line  #:schema ./policy.schema.json",
		Example: s.examples("schema > policy.schema.json", "beside the policy"),
		Args:    s.args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			text, err := policy.Schema(framework.Vocabulary(s.Plugins...))
			if err != nil {
				return err
			}
			return s.printf("%s", text)
		},
	}
}
