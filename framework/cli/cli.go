// Package cli gives a program built on the framework its commands: serve, check, explain, test, fmt, schema, new, plugins, cache,
// conversation, ticket, slo, doctor, healthcheck, version and completion.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

// Program is what Main makes commands for.
type Program struct {
	Name    string // what users type
	Version string
	Policy  string // what is served without a file
	Plugins []framework.Plugin

	Commands []*cobra.Command // of its own, beside those of every program
}

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1 // it could not run
	exitProblems = 2 // it ran, and found problems
)

// Main runs the command that the program's arguments name, and returns the exit code: 0 fine, 1 could not run, 2 problems
// in a policy or a failed policy test. It is called once, by main.
func Main(p Program) int {
	redis.SetLogger(silence{}) // what its clients meet is logged by the cache layer, once per change
	s := &session{Program: p, in: os.Stdin, out: os.Stdout, err: os.Stderr}
	return s.run(os.Args[1:])
}

// silence is a logger of a library.
type silence struct{}

// Printf implements the library's interface.
func (silence) Printf(context.Context, string, ...any) {}

// session is one run of the program.
type session struct {
	Program
	in       io.Reader
	out, err io.Writer
}

// errFound says that problems were found and have been printed.
var errFound = errors.New("problems found")

func (s *session) run(args []string) int {
	root := s.root()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.Execute()
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFound):
		return exitProblems
	}
	if bad, ok := errors.AsType[*invalidPolicy](err); ok {
		s.tell("%s", bad.text(s.err))
		return exitProblems
	}
	s.tell("%s: %s\n", s.Name, strings.TrimSpace(err.Error()))
	return exitFailed
}

func (s *session) root() *cobra.Command {
	root := &cobra.Command{
		Use:   s.Name,
		Short: "Serves HTTP from a policy file",
		Long: s.Name + " serves HTTP from a policy file: which handler answers a path, and how it is cached, compressed,\n" +
			"bounded and promised. Exit codes: 0 fine, 1 could not run, 2 problems in a policy or a failed policy test.",
		Example: s.examples(
			"serve", "serve the built-in policy",
			"check policy.toml", "find every mistake in a policy",
			"explain GET /api/health", "show what serves a request, and why",
			"new", "write a policy to start from",
		),
		Args:          s.command,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(s.flagError)
	root.AddCommand(
		s.serve(), s.check(), s.explain(), s.test(), s.format(), s.schema(), s.create(), s.plugins(), s.cache(),
		s.conversation(), s.ticket(), s.slo(), s.doctor(), s.healthcheck(),
		&cobra.Command{
			Use: "version", Short: "Print the version", Args: s.args(0, 0),
			RunE: func(*cobra.Command, []string) error { return s.printf("%s %s\n", s.Name, s.Version) },
		},
	)
	root.AddCommand(s.Commands...)
	return root
}

// printf writes to standard output.
func (s *session) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(s.out, format, args...)
	return err
}

// tell writes to standard error. When that fails, nobody is left to tell.
func (s *session) tell(format string, args ...any) { _, _ = fmt.Fprintf(s.err, format, args...) }

// examples lays out pairs of a command's arguments and what they do.
func (s *session) examples(pairs ...string) string {
	width := 0
	for pair := range slices.Chunk(pairs, 2) {
		width = max(width, len(pair[0]))
	}
	var b strings.Builder
	for pair := range slices.Chunk(pairs, 2) {
		fmt.Fprintf(&b, "  %s %-*s  # %s\n", s.Name, width, pair[0], pair[1])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// command refuses a command that there is not, with the nearest one that there is.
func (s *session) command(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, known := range c.Commands() {
		if known.IsAvailableCommand() {
			names = append(names, known.Name())
		}
	}
	return fmt.Errorf("unknown command %q; %s", args[0], nearest(args[0], names, s.Name+" help lists them"))
}

// args refuses another number of arguments than least to most; a negative most is any.
func (s *session) args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("an argument is missing; write %s", useLine(c))
		case most >= 0 && len(args) > most:
			return fmt.Errorf("%q is one argument too many; write %s", args[most], useLine(c))
		}
		return nil
	}
}

// useLine is how a command is written.
func useLine(c *cobra.Command) string { return strings.TrimSuffix(c.UseLine(), " [flags]") }

// flagError words what is wrong with a flag, with the nearest flag that there is.
func (s *session) flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	flag := "--" + unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		flag = "-" + unknown.GetSpecifiedName()
	}
	return fmt.Errorf("unknown flag %s; %s", flag, nearest(flag, names, c.CommandPath()+" --help lists them"))
}

// nearest suggests the name that differs in at most a third of its letters, or else what to do.
func nearest(name string, names []string, otherwise string) string {
	best, least := "", 0
	for _, candidate := range names {
		distance := levenshtein.ComputeDistance(name, candidate)
		if distance <= max(1, len(candidate)/3) && (best == "" || distance < least) {
			best, least = candidate, distance
		}
	}
	if best == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// isTerminal says whether a stream is one, where a person reads.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ANSI styles.
const (
	bold  = "1"
	red   = "31"
	green = "32"
)

// styled marks text for a terminal whose user has not asked for none (no-color.org).
func styled(stream io.Writer, style, text string) string {
	if !isTerminal(stream) || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// invalidPolicy is a policy's problems, with the text that they are in. As an error it is their text.
type invalidPolicy struct {
	policy.Problems
	source policy.Source
}

// text is the problems as stream shows them: with the lines that they are in on a terminal.
func (e *invalidPolicy) text(stream io.Writer) string {
	var b strings.Builder
	_ = e.WriteText(&b, e.source, isTerminal(stream)) // a Builder takes everything
	return b.String()
}

// Unwrap returns the problems alone.
func (e *invalidPolicy) Unwrap() error { return e.Problems }
