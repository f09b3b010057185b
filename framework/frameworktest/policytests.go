package frameworktest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/policytest"
)

// RunPolicyTests runs a policy tests file against the policy that it names, each test as a subtest.
func RunPolicyTests(t *testing.T, file string, plugins ...framework.Plugin) {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatalf("read tests: %v", err)
	}
	tests, problems := policy.LoadTests(policy.Source{Name: file, Text: text})
	if len(problems) > 0 {
		t.Fatalf("load tests:\n%v", problems)
	}
	var logs lines
	config := framework.Config{
		Policy: framework.PolicyFileWith(tests.Policy, policy.Layers{
			Env:   tests.Environ(os.Environ()),
			Flags: map[string]string{"log.access.enabled": "false"}, // leaves what went wrong
		}),
		Plugins: plugins, Version: "test", Stdout: &logs,
	}
	err = policytest.Run(t.Context(), config, tests.Tests, func(r policytest.Result) {
		t.Run(r.Test.Name, func(t *testing.T) {
			for _, difference := range r.Differences {
				t.Errorf("%s: %s", r.Test.Place, difference)
			}
		})
	})
	if err != nil {
		t.Errorf("run %s: %v", file, err)
	}
	if t.Failed() {
		t.Logf("log of the app:\n%s", logs.String())
	}
}
