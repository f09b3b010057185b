//go:build linux

// Command bench measures a server, and says what a change did to it: bench run, bench ab, bench compare, bench limit.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/apps/bench/internal/result"
)

var version = "dev" // set by the linker

//go:embed result.schema.json
var schemaText []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		stop() // a second signal ends it at once
		fmt.Fprintln(os.Stderr, "\nbench: ending, once what is under way is answered; Ctrl-C ends it at once")
	})
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes of bench run; those of compare and ab are 1 and verdictCode's.
const (
	exitFailed  = 1  // could not run
	exitInvalid = 2  // the figures can't be used, or compared, or it was interrupted
	exitBroken  = 99 // a promise of the policy was broken
)

// exitCode is an error that was told already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func run(ctx context.Context, args []string, out, problems io.Writer) int {
	root := &cobra.Command{
		Use:   "bench",
		Short: "Measures a server, and says what a change did to it",
		Long: `bench measures a server, and says what a change did to it.

  bench run --url http://127.0.0.1:5000 --policy policies/chatbot.toml   figures by endpoint, and whether promises hold
  bench ab --base-policy old.toml --cand-policy new.toml                 two servers in turns, and a verdict
  bench limit --base http://127.0.0.1:5000 --policy policies/chatbot.toml highest rate at which promises hold
  bench compare before.json after.json                                   two results of run, or of k6 with k6/x/chatbot`,
		Version: version, SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	schema, err := result.NewSchema(schemaText)
	if err == nil {
		root.AddCommand(runCommand(), abCommand(), compareCommand(schema), limitCommand())
		root.SetArgs(args)
		root.SetOut(out)
		root.SetErr(problems)
		err = root.ExecuteContext(ctx)
	}
	var code exitCode
	switch {
	case errors.As(err, &code):
		return int(code)
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(problems, "bench: interrupted before enough was measured: there is nothing to keep")
		return exitInvalid
	case err != nil:
		fmt.Fprintln(problems, "bench:", err)
		return exitFailed
	}
	return 0
}
