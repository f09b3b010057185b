package deploy

import (
	"debug/elf"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// The binary of the image needs no file beside it, nor a user's name, nor anywhere to write.
func TestTheImagesBinaryNeedsNothing(t *testing.T) {
	binary := filepath.Join(built, "v1", "chatbot")
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Error("the binary is not static")
		}
	}
	if os.Getuid() != 0 {
		t.Skip("to run it in a root of its own, without rights, takes root")
	}
	image := t.TempDir()
	for file, from := range map[string]string{"chatbot": binary, "etc/chatbot/chatbot.toml": policy} {
		to := filepath.Join(image, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		text := read(t, from)
		if err := os.WriteFile(to, []byte(text), 0o555); err != nil {
			t.Fatal(err)
		}
	}
	for dir := image; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o555); err != nil { // nothing in it can be written by the user of the image
			t.Fatal(err)
		}
	}
	inside := func(env []string, args ...string) *exec.Cmd {
		cmd := exec.Command("/chatbot", args...)
		cmd.Env = env
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: image, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		cmd.Dir = "/"
		return cmd
	}
	// As the Dockerfile has them, but for ports of the test's own.
	text := read(t, "Dockerfile")
	env := regexp.MustCompile(`POLICY__\w+=\S+`).FindAllString(text, -1)
	address, admin := frameworktest.FreeAddress(t), frameworktest.FreeAddress(t)
	env = append(env, "POLICY__SERVER__LISTEN="+address, "POLICY__SERVER__ADMIN__LISTEN="+admin, "POLICY__SERVER__GRACE=0s")
	server := inside(env, "serve", "--policy", "/etc/chatbot/chatbot.toml")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill() // it has ended
		_ = server.Wait()
	}()
	eventually(t, "it serves", func() bool { return status("http://"+address+"/api/products") == http.StatusOK })
	if out, err := inside(env, "healthcheck", "--policy", "/etc/chatbot/chatbot.toml").CombinedOutput(); err != nil {
		t.Errorf("the health check: %v\n%s", err, out)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if out, err := inside(env, "healthcheck", "--policy", "/etc/chatbot/chatbot.toml").CombinedOutput(); err == nil {
		t.Errorf("the health check of a server that has ended: %s", out)
	}
}

// redis.conf makes a cache of a server: bounded, with room made by what was used least recently, and nothing on disk.
func TestRedisConfiguration(t *testing.T) {
	file, err := filepath.Abs("redis.conf")
	if err != nil {
		t.Fatal(err)
	}
	s := redistest.Start(t, file)
	for key, want := range map[string]string{"maxmemory": strconv.Itoa(512 << 20), "maxmemory-policy": "allkeys-lru", "save": "", "appendonly": "no"} {
		if got := s.Client.ConfigGet(t.Context(), key).Val()[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if err := s.Client.ConfigSet(t.Context(), "maxmemory", "8mb").Err(); err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 64<<10)
	for i := range 400 { // 25 MB
		if err := s.Client.Set(t.Context(), fmt.Sprint("key", i), value, 0).Err(); err != nil {
			t.Fatalf("a full cache refuses: %v", err)
		}
	}
	if info := s.Client.Info(t.Context(), "stats").Val(); strings.Contains(info, "evicted_keys:0\r") {
		t.Error("nothing made room")
	}
}

// The shop shares its cache over a Redis Cluster too; the test of a rollout has Sentinels.
func TestInstancesShareACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	env := []string{"POLICY__CACHE__REDIS__ADDRESSES=" + strings.Join(cluster.Addresses(), ",")}
	one, two := startShop(t, "v1", "", env...), startShop(t, "v1", "", env...)
	paths := []string{"/api/products", "/api/products?language=en", "/api/products?language=ar", "/api/faq?q=livraison", "/"} // in several slots
	for _, path := range paths {
		if a := ask(t, "GET", "http://"+one.address+path, ""); a.status != 200 || a.header.Get("X-Cache") != "MISS" {
			t.Errorf("%s: %d %s", path, a.status, a.header.Get("X-Cache"))
		}
		if a := ask(t, "GET", "http://"+two.address+path, ""); !strings.Contains(a.header.Get("Cache-Status"), "detail=shared") {
			t.Errorf("%s on the other instance: %s", path, a.header.Get("Cache-Status"))
		}
	}
}

// What README.md says of a CDN: a policy sets CDN-Cache-Control by headers, beside what browsers are told.
func TestAPolicyTellsACDN(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(blocks) != 1 {
		t.Fatalf("README.md has %d policies", len(blocks))
	}
	file := filepath.Join(t.TempDir(), "cdn.toml")
	if err := os.WriteFile(file, []byte(blocks[0][1]), 0o600); err != nil {
		t.Fatal(err)
	}
	address := frameworktest.FreeAddress(t)
	start(t, nil, filepath.Join(built, "v1", "chatbot"), "serve", "--policy", file, "--listen", address)
	eventually(t, "it serves", func() bool { return status("http://"+address+"/api/products") == http.StatusOK })
	for range 2 { // made, and from the cache
		a := ask(t, "GET", "http://"+address+"/api/products?language=en", "")
		if a.header.Get("Cdn-Cache-Control") != "max-age=3600, stale-while-revalidate=600" ||
			a.header.Get("Cache-Tag") != "products" || a.header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("got %v", a.header)
		}
	}
}
