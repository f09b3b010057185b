package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The load kit's commands in the READMEs work as they stand there, against a running shop.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, target := range map[string]string{"xk6-chatbot": root + "/xk6-chatbot", "policies": root + "/policies", "bin/k6": k6} {
		link := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	address := shop(t)
	servers := strings.NewReplacer("http://127.0.0.1:9090", prometheus(t), "http://127.0.0.1:5000", address)
	ran := 0
	for _, file := range []string{"README.md", "xk6-chatbot/README.md"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(block[1], "bin/k6 ") {
				continue
			}
			ran++
			c := exec.CommandContext(t.Context(), "bash", "-e", "-c", servers.Replace(block[1]))
			c.Dir = dir
			// The READMEs' shop is at the default address; the test's is where it found a port.
			c.Env = append(os.Environ(), "K6_NO_USAGE_REPORT=true", "BASE_URL="+address)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s\n%s", file, err, block[1], out)
			}
		}
	}
	script, err := os.ReadFile(filepath.Join(root, "xk6-chatbot/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```js\n(.*?)^```").FindAllStringSubmatch(string(script), -1) {
		ran++
		if err := os.WriteFile(filepath.Join(dir, "mine.js"), []byte(servers.Replace(block[1])), 0o600); err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), "bin/k6", "run", "mine.js")
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("the script: %v\n%s", err, out)
		}
	}
	if ran < 5 {
		t.Errorf("the READMEs have %d blocks with k6", ran)
	}
	for _, report := range []string{"results/spike/spike.html", "results/basic/basic.json"} {
		if fileSize(t, filepath.Join(dir, report)) == 0 {
			t.Errorf("%s is empty", report)
		}
	}
}
