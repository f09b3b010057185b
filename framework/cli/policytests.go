package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/policytest"
)

// testSuffix ends the name of a policy tests file.
const testSuffix = "_test.toml"

func (s *session) test() *cobra.Command {
	return &cobra.Command{
		Use:   "test [FILE...]",
		Short: "Run the tests beside policies",
		Long: "Run the tests that lie beside policies: policy_test.toml states requests to policy.toml and what must hold of the\n" +
			"answers. A FILE is a tests file, a policy, or a folder of them; without one it is the folder policies where there\n" +
			"is one, or else this folder. Each file's policy is served on a free port of this machine while its tests run.",
		Example: s.examples(
			"test", "exit code 0 all passed, 1 could not run, 2 something differed",
			"test policy.toml", "what policy_test.toml states",
		),
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			files, err := testFiles(args)
			if err != nil {
				return err
			}
			failed := false
			for _, file := range files {
				err := s.testFile(ctx, file)
				if failed = failed || errors.Is(err, errFound); err != nil && !errors.Is(err, errFound) {
					return err
				}
			}
			if failed {
				return errFound
			}
			return nil
		},
	}
}

// testFiles finds the tests files that arguments mean.
func testFiles(args []string) ([]string, error) {
	if len(args) == 0 {
		args = []string{"."}
		if info, err := os.Stat("policies"); err == nil && info.IsDir() {
			args = []string{"policies"}
		}
	}
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			return nil, fmt.Errorf("find tests: %w", err)
		case info.IsDir():
			found, err := filepath.Glob(filepath.Join(arg, "*"+testSuffix))
			if err != nil {
				return nil, fmt.Errorf("find tests: %w", err)
			}
			if len(found) == 0 {
				return nil, fmt.Errorf("no policy tests in %s; write some in POLICY%s beside POLICY.toml", arg, testSuffix)
			}
			files = append(files, found...)
		case strings.HasSuffix(arg, testSuffix):
			files = append(files, arg)
		default:
			beside := strings.TrimSuffix(arg, ".toml") + testSuffix
			if _, err := os.Stat(beside); err != nil {
				return nil, fmt.Errorf("no policy tests for %s; write some in %s", arg, beside)
			}
			files = append(files, beside)
		}
	}
	return files, nil
}

// testFile runs the tests of one file, a line each, with what differed below it.
func (s *session) testFile(ctx context.Context, file string) error {
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return fmt.Errorf("read tests: %w", err)
	}
	src := policy.Source{Name: file, Text: text}
	tests, problems := policy.LoadTests(src)
	if len(problems) > 0 {
		return &invalidPolicy{problems, src}
	}
	source := s.source(tests.Policy, nil)
	source.environ = tests.Environ(source.environ)
	config := framework.Config{Policy: source.load, Plugins: s.Plugins, Version: s.Version, Stdout: io.Discard}
	passed, failed := 0, 0
	var writes []error
	err = policytest.Run(ctx, config, tests.Tests, func(r policytest.Result) {
		if len(r.Differences) == 0 {
			passed++
			writes = append(writes, s.printf("%s %s: %s\n", styled(s.out, green, "PASS"), file, r.Test.Name))
			return
		}
		failed++
		writes = append(writes, s.printf("%s %s: %s\n     %s\n", styled(s.out, red, "FAIL"), r.Test.Place, r.Test.Name,
			strings.Join(r.Differences, "\n     ")))
	})
	writes = append(writes, s.printf("%s: %d passed, %d failed\n", file, passed, failed))
	if err := errors.Join(append(writes, err)...); err != nil {
		return err
	}
	if failed > 0 {
		return errFound
	}
	return nil
}
