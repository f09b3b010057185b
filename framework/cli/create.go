package cli

import (
	"embed"
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

// schemaFile is what a policy's first line names.
const schemaFile = "policy.schema.json"

func (s *session) create() *cobra.Command {
	c := &cobra.Command{
		Use:   "new [FILE]",
		Short: "Write a policy, or a plugin, to start from",
		Long: "Write a policy to start from, and beside it the schema with which editors complete and check it. Nothing is ever\n" +
			"overwritten.",
		Example: s.examples(
			"new", "writes policy.toml",
			"new shop.toml", "another name",
			"new plugin hello", "a plugin with its test, README and example",
		),
		Args: s.args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"policy.toml"}
			}
			return s.createPolicy(args[0])
		},
	}
	var dir string
	plugin := &cobra.Command{
		Use:   "plugin NAME",
		Short: "Write a plugin with its test, README and example",
		Long: "Write a folder with a plugin of about 25 lines that works, its test, its README and an example policy. NAME is the\n" +
			"Go package and the first part of the handlers' names.",
		Example: s.examples(
			"new plugin hello", "writes hello/",
			"new plugin hello --dir plugins", "writes plugins/hello/",
		),
		Args: s.args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return s.createPlugin(args[0], dir) },
	}
	plugin.Flags().StringVarP(&dir, "dir", "d", ".", "`FOLDER` in which the plugin's own is made")
	c.AddCommand(plugin)
	return c
}

func (s *session) createPolicy(file string) error {
	vocabulary := framework.Vocabulary(s.Plugins...)
	schema, err := policy.Schema(vocabulary)
	if err != nil {
		return err
	}
	if err := writeNew(file, policy.Starter(vocabulary)); err != nil {
		return err
	}
	wrote, beside := file, filepath.Join(filepath.Dir(file), schemaFile)
	switch err := writeNew(beside, schema); {
	case err == nil:
		wrote += " and " + beside
	case !errors.Is(err, fs.ErrExist): // one that is there serves every policy beside it
		return err
	}
	return s.printf("wrote %s\nnext: %s serve --policy %s --watch\n", wrote, s.Name, file)
}

// writeNew writes a file that is not there yet.
func writeNew(file string, text []byte) error {
	f, err := os.OpenFile(filepath.Clean(file), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write %s: %w; choose another name, or move it away", file, fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("write new file: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write new file: %w", err)
	}
	return nil
}

// pluginFiles are the templates of a plugin's files; plugin in a name is the plugin's.
//
//go:embed template
var pluginFiles embed.FS

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

func (s *session) createPlugin(name, dir string) error {
	switch {
	case !pluginName.MatchString(name) || token.IsKeyword(name) || name == "main" || name == "framework":
		return fmt.Errorf("%q cannot name a plugin; write lower-case letters and digits, and no word of Go's", name)
	case slices.ContainsFunc(s.Plugins, func(p framework.Plugin) bool { return p.Info().Name == name }):
		return fmt.Errorf("this program has a plugin named %q already; choose another name", name)
	}
	folder := filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("make folder: %w; choose another name, or move it away", err)
	}
	templates, err := template.ParseFS(pluginFiles, "template/*")
	if err != nil {
		return fmt.Errorf("read templates: %w", err)
	}
	for _, t := range templates.Templates() {
		var text strings.Builder
		if err := t.Execute(&text, map[string]string{"Name": name, "Program": s.Name}); err != nil {
			return fmt.Errorf("fill template: %w", err)
		}
		file := strings.ReplaceAll(strings.TrimSuffix(t.Name(), ".tmpl"), "plugin", name)
		if err := writeNew(filepath.Join(folder, file), []byte(text.String())); err != nil {
			return err
		}
	}
	path := filepath.ToSlash(folder)
	if !filepath.IsAbs(folder) {
		path = "./" + path
	}
	return s.printf("wrote %s: %s.go, %[2]s_test.go, README.md, example.toml\n"+
		"next: go test %[3]s, then add %[2]s.Plugin() to your program's plugins\n", folder, name, path)
}
