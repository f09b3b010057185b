package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/plugins"
)

//go:generate go test -run TestGenerated -update .

// The lines of the README between which the policy reference stands.
const (
	referenceBegin = "<!-- policy reference: begin -->\n"
	referenceEnd   = "<!-- policy reference: end -->\n"
)

// What is generated from the code is current: the README's policy reference and the schema beside the policies. With
// -update it is written.
func TestGenerated(t *testing.T) {
	vocabulary := framework.Vocabulary(plugins.Standard()...)
	schema, err := policy.Schema(vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	current(t, filepath.Join(root, "policies", "policy.schema.json"), string(schema))

	readme := filepath.Join(root, "README.md")
	text := read(t, readme)
	before, rest, begun := strings.Cut(text, referenceBegin)
	_, after, ended := strings.Cut(rest, referenceEnd)
	if !begun || !ended {
		t.Fatalf("%s has no place for the policy reference: add the lines\n%s%s", readme, referenceBegin, referenceEnd)
	}
	current(t, readme, before+referenceBegin+"\n"+policy.Reference(vocabulary)+"\n"+referenceEnd+after)
}

// current compares a file with what it should hold, or writes it.
func current(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := read(t, file); got != want {
		t.Errorf("%s is not current; run make generate", file)
	}
}
