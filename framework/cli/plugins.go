package cli

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

func (s *session) plugins() *cobra.Command {
	return &cobra.Command{
		Use:   "plugins [NAME]",
		Short: "List the plugins and their handlers, or describe one",
		Example: s.examples(
			"plugins", "all of them, with the handlers that routes can name",
			"plugins health", "one, with its options",
		),
		Args: s.args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return s.listPlugins()
			}
			i := slices.IndexFunc(s.Plugins, func(p framework.Plugin) bool { return p.Info().Name == args[0] })
			if i < 0 {
				var names []string
				for _, p := range s.Plugins {
					names = append(names, p.Info().Name)
				}
				return fmt.Errorf("no plugin named %q in this program; %s", args[0],
					nearest(args[0], names, s.Name+" plugins lists them"))
			}
			return s.describePlugin(s.Plugins[i])
		},
	}
}

func (s *session) listPlugins() error {
	t := newTable()
	for _, p := range s.Plugins {
		t.row(p.Info().Name, p.Info().Doc)
		for _, h := range p.Info().Handlers {
			t.row("  "+h.Name, h.Doc)
		}
	}
	return s.printf("%s", t)
}

func (s *session) describePlugin(p framework.Plugin) error {
	info, t := p.Info(), newTable()
	for _, h := range info.Handlers {
		t.row("  "+h.Name, h.Doc+reads(h))
	}
	if err := s.printf("%s: %s\n\nHandlers, for handler = \"NAME\" of a route:\n%s", info.Name, info.Doc, t); err != nil {
		return err
	}
	options := policy.Describe(framework.Vocabulary(p)).Key("plugins").Key(info.Name)
	if len(options.Keys) == 0 {
		return s.printf("\nIt has no options.\n")
	}
	t = newTable()
	t.options(options, "  ")
	return s.printf("\nOptions, in [plugins.%s]:\n%s", info.Name, t)
}

// reads says what of a request a handler reads, which is what the cache key of its route holds.
func reads(h framework.HandlerInfo) string {
	var b strings.Builder
	for _, kind := range []struct {
		of    string
		names []string
	}{{"query", h.Reads.Query}, {"headers", h.Reads.Headers}, {"cookies", h.Reads.Cookies}} {
		if len(kind.names) > 0 {
			fmt.Fprintf(&b, " Reads the %s %s.", kind.of, strings.Join(kind.names, ", "))
		}
	}
	if h.Stream {
		b.WriteString(" It streams.")
	}
	return b.String()
}

// table lays rows out in aligned columns.
type table struct {
	text strings.Builder
	tabs *tabwriter.Writer
}

func newTable() *table {
	t := &table{}
	t.tabs = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	return t
}

// row adds a line. A Builder takes everything.
func (t *table) row(cells ...string) { _, _ = fmt.Fprintln(t.tabs, strings.Join(cells, "\t")) }

// options adds a row for each key of a table, and of the tables in it.
func (t *table) options(of *policy.Key, indent string) {
	for _, k := range of.Keys {
		kind, elem := string(k.Type), k
		for elem.Elem != nil {
			elem = elem.Elem
			kind += " of " + string(elem.Type)
		}
		value := k.Default
		if k.Rules.Required {
			value = "required"
		}
		t.row(indent+k.Name, kind, value, k.Doc)
		t.options(elem, indent+"  ")
	}
}

func (t *table) String() string {
	_ = t.tabs.Flush() // a Builder takes everything
	var b strings.Builder
	for line := range strings.Lines(t.text.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n") // an empty last cell has been filled up
	}
	return b.String()
}
