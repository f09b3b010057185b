package dashboards_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
)

const patience = time.Minute

// prometheus is a running one.
type prometheus struct {
	t   *testing.T
	url string
}

// faster is by how much the rules' times are shortened: what takes minutes, a test sees in as many seconds.
const faster = 60

var (
	ranges = regexp.MustCompile(`\[(\d+)([smhd])\]`)
	waits  = regexp.MustCompile(`(?m)^( +for: )(\d+)([smhd])$`)
	units  = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
)

// shorten divides a time by faster.
func shorten(number, unit string) string {
	n, _ := strconv.Atoi(number)
	return strconv.FormatInt((time.Duration(n)*units[unit]/faster).Milliseconds(), 10) + "ms"
}

// startPrometheus starts Prometheus with the rules, at another pace, on the targets of the job chatbot and of further ones, with further
// arguments.
func startPrometheus(t *testing.T, targets map[string][]string, args ...string) *prometheus {
	t.Helper()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "rules"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range files(t, "rules/*.yml") {
		text := ranges.ReplaceAllStringFunc(read(t, file), func(s string) string {
			m := ranges.FindStringSubmatch(s)
			return "[" + shorten(m[1], m[2]) + "]"
		})
		text = waits.ReplaceAllStringFunc(text, func(s string) string {
			m := waits.FindStringSubmatch(s)
			return m[1] + shorten(m[2], m[3])
		})
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := strings.Replace(read(t, "prometheus.yml"), `["127.0.0.1:5000"]`, list(targets["chatbot"]), 1)
	config = strings.ReplaceAll(config, "15s", "500ms")
	for job, addresses := range targets {
		if job != "chatbot" {
			config += fmt.Sprintf("  - job_name: %s\n    static_configs:\n      - targets: %s\n", job, list(addresses))
		}
	}
	file := filepath.Join(folder, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := frameworktest.FreeAddress(t)
	log := &strings.Builder{}
	args = append(args, "--config.file", file, "--storage.tsdb.path", filepath.Join(folder, "data"),
		"--web.listen-address", address, "--enable-feature=exemplar-storage", "--log.level=warn")
	cmd := exec.Command("prometheus", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs prometheus (apt-get install prometheus): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus says:\n%s", log)
		}
	})
	p := &prometheus{t: t, url: "http://" + address}
	p.await("it is ready", func() bool {
		res, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return p
}

// list writes texts as YAML has them.
func list(texts []string) string {
	b, _ := json.Marshal(texts) // texts never fail
	return string(b)
}

func (p *prometheus) await(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("Prometheus: %s: did not come about", what)
		}
	}
}

func (p *prometheus) get(path string) []byte {
	p.t.Helper()
	res, err := http.Get(p.url + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("GET %s: %d %s (%v)", path, res.StatusCode, body, err)
	}
	return body
}

// values returns the values of one label in what a query finds now.
func (p *prometheus) values(label, query string) []string {
	p.t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if err := json.Unmarshal(p.get("/api/v1/query?query="+url.QueryEscape(query)), &answer); err != nil {
		p.t.Fatal(err)
	}
	var all []string
	for _, r := range answer.Data.Result {
		all = append(all, r.Metric[label])
	}
	slices.Sort(all)
	return slices.Compact(all)
}
