package deploy

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest"
)

// units copies the units to a folder, with a binary that is there.
func units(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var all []string
	for _, name := range []string{"chatbot.service", "chatbot.socket", "chatbot-admin.socket"} {
		text := strings.ReplaceAll(read(t, "systemd/"+name), "/usr/local/bin/chatbot", filepath.Join(built, "v1", "chatbot"))
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all = append(all, file)
	}
	return all
}

func analyze(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("this test needs systemd-analyze: apt-get install systemd")
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestSystemdKnowsTheUnits(t *testing.T) {
	files := units(t)
	for line := range strings.Lines(analyze(t, append([]string{"verify", "--man=no"}, files...)...)) {
		if strings.Contains(line, "chatbot") { // it speaks of the machine's own units too
			t.Error(line)
		}
	}
	out := analyze(t, "security", "--offline=true", files[0])
	score := regexp.MustCompile(`exposure level for chatbot.service: ([0-9.]+)`).FindStringSubmatch(out)
	if score == nil {
		t.Fatal(out)
	}
	if n, err := strconv.ParseFloat(score[1], 64); err != nil || n > 1.5 { // of 10; below 2 is what systemd calls OK
		t.Errorf("the service is exposed by %s:\n%s", score[1], out)
	}
	t.Logf("exposure %s of 10", score[1])
}

// The sockets are opened before the server is there, by systemd's own program for it, which starts the server at the first connection:
// what has connected waits for it.
func TestSocketsOfSystemd(t *testing.T) {
	program, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Fatal("this test needs systemd-socket-activate: apt-get install systemd")
	}
	public, admin := frameworktest.FreeAddress(t), frameworktest.FreeAddress(t)
	elsewhere := []string{"POLICY__SERVER__LISTEN=127.0.0.1:1", "POLICY__SERVER__ADMIN__LISTEN=127.0.0.1:2"} // where nothing can be opened
	args := []string{"-l", public, "-l", admin, "--fdname=public:admin", "-E", elsewhere[0], "-E", elsewhere[1]}
	start(t, nil, program, append(args, filepath.Join(built, "v1", "chatbot"), "serve", "--policy", policy)...)
	eventually(t, "the sockets are open", func() bool {
		conn, err := net.Dial("tcp", public)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	if got := status("http://" + public + "/api/products"); got != 200 {
		t.Errorf("the first request: %d", got)
	}
	if got := status("http://" + public + "/api/cache/stats"); got != 404 {
		t.Errorf("an admin route on the public socket: %d", got)
	}
	if got := status("http://" + admin + "/api/cache/stats"); got != 200 {
		t.Errorf("an admin route on the admins' socket: %d", got)
	}
}
