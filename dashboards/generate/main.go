// Command generate writes the dashboards: go run -C dashboards/generate .
//
// Four dashboards of a hundred panels share their variables, annotations, links, layout and looks. In JSON each panel says them all
// again, in eighty lines; here a panel is what is its own: title, description, unit, queries. Grafana's SDK writes the JSON that its
// schema asks for. Whoever imports a dashboard needs the JSON alone; the tests of ../ check that JSON and not this program.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	folder := ".."
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	for _, b := range []board{service(), cache(), chat(), loadtest()} {
		if err := write(folder, b); err != nil {
			fmt.Fprintln(os.Stderr, "generate:", err)
			os.Exit(1)
		}
	}
}

func write(folder string, b board) error {
	built, err := b.build()
	if err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	text, err := json.MarshalIndent(built, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	return os.WriteFile(filepath.Join(folder, b.name+".json"), append(text, '\n'), 0o644)
}
