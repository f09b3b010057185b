//go:build linux

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/apps/bench/internal/compare"
	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// Exit codes of bench compare and bench ab.
const (
	exitNotComparable = 2
	exitInconclusive  = 3
	exitRegressed     = 4
)

const compareExit = `Exit codes: 0 no regression; 1 it could not run; 2 not comparable, or interrupted; 3 inconclusive (0 with --inconclusive=pass);
4 regressed.`

// judging are the flags of a comparison.
type judging struct {
	inconclusive string
	seed         uint64
	force        bool
}

func (j *judging) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&j.inconclusive, "inconclusive", "fail", "whether an inconclusive comparison is to `pass` or to fail")
	f.BoolVar(&j.force, "force", false, "compare what differs in configuration or host, or is invalid")
}

func (j *judging) check() error {
	if j.inconclusive != "pass" && j.inconclusive != "fail" {
		return fmt.Errorf("--inconclusive %q: it is pass or fail", j.inconclusive)
	}
	return nil
}

// compare compares two runs, writes what came of it, and returns the exit code.
func (j *judging) compare(c *cobra.Command, o *outputs, base, cand *result.Document) error {
	made, err := compare.Runs(base, cand, compare.Options{Seed: j.seed, Force: j.force})
	if errors.Is(err, compare.ErrNotComparable) {
		fmt.Fprintln(c.ErrOrStderr(), "bench:", err)
		return exitCode(exitNotComparable)
	} else if err != nil {
		return err
	}
	d := &result.Document{
		SchemaVersion: result.Version, Kind: result.KindComparison, Tool: result.Tool{Name: "bench", Version: version},
		Comparison: made, Base: base, Cand: cand,
	}
	if err := o.write(c.OutOrStdout(), d); err != nil {
		return err
	}
	switch {
	case made.Verdict == result.Regressed:
		return exitCode(exitRegressed)
	case made.Verdict == result.Inconclusive && j.inconclusive == "fail":
		return exitCode(exitInconclusive)
	}
	return nil
}

func compareCommand(schema *result.Schema) *cobra.Command {
	var j judging
	var o outputs
	c := &cobra.Command{
		Use:   "compare BASE CANDIDATE",
		Short: "Compares two results, and gives a verdict by endpoint and overall",
		Long: `compare compares two results of bench run, or of k6 with k6/x/chatbot, and gives a verdict by endpoint and overall:
improved, equivalent, regressed or inconclusive. Two runs that were made one after the other differ by what the machine did
meanwhile, too; bench ab takes turns.

` + compareExit,
		Example: `  bench compare before.json after.json --html change.html`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := errors.Join(j.check(), o.check()); err != nil {
				return err
			}
			base, err := schema.ReadFile(args[0])
			if err != nil {
				return err
			}
			cand, err := schema.ReadFile(args[1])
			if err != nil {
				return err
			}
			return j.compare(c, &o, base, cand)
		},
	}
	c.Flags().Uint64Var(&j.seed, "seed", 1, "of the bootstrap")
	j.flags(c)
	o.flags(c)
	return c
}
