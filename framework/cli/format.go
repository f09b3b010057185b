package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework/policy"
)

func (s *session) format() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "fmt FILE...",
		Short: "Lay policies out in the one form",
		Long: "Lay policies out in the one form that they have, and print the names of those that changed. Comments, order and\n" +
			"meaning stay. The file - is standard input, written to standard output.",
		Example: s.examples(
			"fmt policies/*.toml", "in place",
			"fmt --check policies/*.toml", "only name what would change; exit code 2 when something would",
			"fmt - < policy.toml", "to standard output",
		),
		Args: s.args(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			found := false
			for _, file := range args {
				switch err := s.formatFile(file, check); {
				case errors.Is(err, errFound):
					found = true
				case err != nil:
					return err
				}
			}
			if found {
				return errFound
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "change nothing; exit code 2 when a file is not in its form")
	return c
}

func (s *session) formatFile(file string, check bool) error {
	before, err := s.readText(file)
	if err != nil {
		return err
	}
	after, err := policy.Format(before)
	switch {
	case err != nil:
		s.tell("%s:%s\n", file, err)
		return errFound
	case check && !bytes.Equal(before, after):
		if err := s.printf("%s\n", file); err != nil {
			return err
		}
		return errFound
	case check:
		return nil
	case file == "-":
		return s.printf("%s", after)
	case bytes.Equal(before, after):
		return nil
	}
	if err := replaceFile(file, after); err != nil {
		return err
	}
	return s.printf("%s\n", file)
}

func (s *session) readText(file string) ([]byte, error) {
	if file != "-" {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
		return text, nil
	}
	text, err := io.ReadAll(s.in)
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	return text, nil
}

// replaceFile gives a file new content in one step, so that a reader sees the old or the new, and keeps its mode. A symbolic
// link stays one.
func replaceFile(file string, text []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("replace policy: %w", err)
		}
	}()
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
