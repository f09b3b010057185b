package policy

import (
	"errors"
	"strings"
	"testing"
)

// needy are options that need Redis.
type needy struct {
	Text string `toml:"text" doc:"What it says."`
}

func (o needy) CheckDependencies(p *Policy) error {
	if p.Cache.Redis.Configured() {
		return nil
	}
	return &OptionError{Key: "text", Err: errors.New(o.Text + " needs Redis; add its host")}
}

func TestDependencies(t *testing.T) {
	vocab := Vocabulary{Plugins: []Plugin{{Name: "needy", Options: needy{}, Handlers: []Handler{{Name: "needy"}}}}}
	const unmet = "p.toml:3:8: plugins.needy.text: it needs Redis; add its host"
	for _, tt := range []struct{ name, text, load, check string }{
		{"unmet", "version = 1\n[plugins.needy]\ntext = \"it\"\n", "", unmet},
		{"among others", "version = 1\n[plugins.needy]\ntext = \"it\"\n[cache]\nttl = 1\n", "p.toml:5:1: cache.ttl: unknown key", unmet + "\np.toml:5:1: cache.ttl: unknown key"},
		{"met", "version = 1\n[plugins.needy]\ntext = \"it\"\n[cache.redis]\nhost = \"r\"\n", "", ""},
		{"by a route alone", "version = 1\n[[routes]]\npath = \"/\"\nhandler = \"needy\"\n", "", "p.toml:1:1: plugins.needy.text:  needs Redis; add its host"},
		{"not used", "version = 1\n", "", ""},
		{"options with problems", "version = 1\n[plugins.needy]\ntext = 1\n", "p.toml:3:8: plugins.needy.text: ", "p.toml:3:8: plugins.needy.text: "},
		{"secret", "version = 1\n[plugins.needy]\ntext = \"${env:HUSH}\"\n", "", "p.toml:3:8: plugins.needy.text: •••• needs Redis; add its host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src, layers := Source{"p.toml", []byte(tt.text)}, Layers{Env: []string{"HUSH=hunter2"}}
			want := func(what string, problems Problems, want string) {
				if got := problems.Error(); !strings.HasPrefix(got, want) || want == "" && got != "" || strings.Count(got, "\n") != strings.Count(want, "\n") {
					t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
				}
			}
			p, problems := Load(src, vocab, layers)
			want("Load", problems, tt.load)
			if p != nil {
				want("Unmet", p.Unmet(), tt.check)
			}
			checked, problems := Check(src, vocab, layers)
			want("Check", problems, tt.check)
			if (checked == nil) != (tt.check != "") {
				t.Errorf("Check returned %v", checked)
			}
		})
	}
}
