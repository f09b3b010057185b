package policy

import (
	"strings"
	"testing"
)

func TestStarter(t *testing.T) {
	for _, test := range []struct {
		name   string
		vocab  Vocabulary
		routes int
	}{
		{"with health", shop, 1},
		{"without health", Vocabulary{}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := Starter(test.vocab)
			p, problems := Load(Source{Name: "starter.toml", Text: text}, test.vocab, Layers{})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if len(p.Routes) != test.routes || p.Server.Listen != "127.0.0.1:5000" {
				t.Errorf("%d routes, listens on %s", len(p.Routes), p.Server.Listen)
			}
			if formatted, err := Format(text); err != nil || string(formatted) != string(text) {
				t.Errorf("Format changes it (%v):\n%s", err, formatted)
			}
			if !strings.HasPrefix(string(text), "#:schema ./policy.schema.json\n") {
				t.Error("no schema header")
			}
		})
	}
}

// TestStarterExamples uncomments every example, which then has to pass too.
func TestStarterExamples(t *testing.T) {
	var text strings.Builder
	for line := range strings.Lines(string(Starter(shop))) {
		example := strings.TrimPrefix(line, "# ")
		if strings.HasPrefix(example, "[") || strings.Contains(example, " = ") {
			line = example
		}
		text.WriteString(line)
	}
	env := []string{"REDIS_HOST=127.0.0.1"}
	p, problems := Load(Source{Name: "starter.toml", Text: []byte(text.String())}, shop, Layers{Env: env})
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, text.String())
	}
	if route := p.Routes[0]; p.Cache.Redis.Host != "127.0.0.1" || route.SLO.Latency == 0 || route.Limits.Requests == 0 {
		t.Errorf("examples have no effect: %+v", route)
	}
}
