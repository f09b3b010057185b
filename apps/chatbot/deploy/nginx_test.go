package deploy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// startNginx runs nginx.conf in front of two addresses, and returns its URL. Further replacements change what is in the file.
func startNginx(t *testing.T, one, two string, replace ...string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			t.Fatal("this test needs nginx: apt-get install nginx-light")
		}
	}
	dir := t.TempDir()
	address := frameworktest.FreeAddress(t)
	text := read(t, "nginx.conf")
	for i := range replace {
		if i%2 == 0 && !strings.Contains(text, replace[i]) {
			t.Fatalf("nginx.conf has no %q", replace[i])
		}
	}
	text = strings.NewReplacer(append(replace, "chatbot-1:5000", one, "chatbot-2:5000", two, "listen 8080", "listen "+address,
		"/tmp/", dir+"/", "/dev/stdout", dir+"/access.log")...).Replace(text)
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program, "-t", "-e", "stderr", "-p", dir, "-c", config).CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // its workers may have another user
		t.Fatal(err)
	}
	p := start(t, nil, program, "-e", "stderr", "-p", dir, "-c", config, "-g", "daemon off; user root;")
	t.Cleanup(func() { _ = p.cmd.Process.Signal(syscall.SIGTERM); <-p.exited }) // before it is killed, which would leave its workers
	eventually(t, "nginx answers", func() bool { return status("http://"+address+"/metrics") == http.StatusNotFound })
	return "http://" + address
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the contract promises of every answer comes through nginx as an instance said it. Server is nginx's own.
func TestNginxPassesWhatTheContractPromises(t *testing.T) {
	redis := redistest.Start(t)
	env := []string{"REDIS_HOST=127.0.0.1", fmt.Sprint("REDIS_PORT=", redis.Port)}
	one, two := startShop(t, "v1", "", env...), startShop(t, "v1", "", env...)
	url := startNginx(t, one.address, two.address)
	for _, c := range []struct {
		method, path, body string
		status             int
		headers            []string
	}{
		{"GET", "/api/products?language=en", "", 200, []string{"X-Cache", "Cache-Status", "Age", "Etag", "Cache-Control", "Vary"}},
		{"GET", "/api/health", "", 200, []string{"X-Cache", "Cache-Status"}},
		{"POST", "/api/chat", `{"message":"Bonjour","sessionId":"s1"}`, 200, []string{"Ratelimit", "Ratelimit-Policy", "Ratelimit-Remaining"}},
		{"POST", "/api/chat", `{}`, 400, nil},
		{"GET", "/api/none", "", 404, nil},
		{"DELETE", "/api/products", "", 405, []string{"Allow"}},
		{"POST", "/api/chat", `{"message":"` + strings.Repeat("x", 300<<10) + `"}`, 413, nil},
		{"POST", "/api/chat", strings.Repeat("x", 2<<20), 413, nil},
		{"GET", "/metrics", "", 404, nil},
		{"POST", "/-/reload", "", 404, nil},
		{"GET", "/api/cache/stats", "", 404, nil},
		{"GET", "/api/chat/export?sessionId=s1", "", 404, nil},
	} {
		a := ask(t, c.method, url+c.path, c.body, "X-Request-Id", "mine-1", "Accept-Encoding", "gzip")
		if a.status != c.status {
			t.Errorf("%s %s: %d %.200s", c.method, c.path, a.status, a.body)
		}
		headers := append([]string{"X-Content-Type-Options"}, c.headers...)
		if !strings.Contains(a.body, `"the body is larger than 1 MiB"`) && !strings.Contains(a.body, "there is nothing at this address") {
			headers = append(headers, "X-Response-Time", "X-Dns-Prefetch-Control") // nginx did not answer itself
		}
		for _, name := range headers {
			if len(a.header[name]) != 1 {
				t.Errorf("%s %s: %s is %q", c.method, c.path, name, a.header[name])
			}
		}
		if id := a.header.Get("X-Request-Id"); id != "mine-1" {
			t.Errorf("%s %s: the request's id is %q", c.method, c.path, id)
		}
		if c.status >= 400 && (!strings.HasPrefix(a.body, `{"success":false,`) || !strings.Contains(a.body, `"requestId":"mine-1"`) ||
			a.header.Get("Content-Type") != "application/json; charset=utf-8") {
			t.Errorf("%s %s: %s %.200s", c.method, c.path, a.header.Get("Content-Type"), a.body)
		}
	}
	first := ask(t, "GET", "http://"+one.address+"/api/products?language=ar", "")
	if second := ask(t, "GET", "http://"+two.address+"/api/products?language=ar", ""); first.header.Get("X-Cache") != "MISS" ||
		!strings.Contains(second.header.Get("Cache-Status"), "detail=shared") {
		t.Errorf("what one instance made, the other has by %s", second.header.Get("Cache-Status"))
	}
	if a := ask(t, "GET", url+"/api/products?language=ar", "", "If-None-Match", first.header.Get("Etag")); a.status != 304 {
		t.Errorf("a validator: %d", a.status)
	}
}

// upstream is a server that a test stands in an instance's place.
func upstream(t *testing.T, serve http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestNginxTellsInstancesWhoAsks(t *testing.T) {
	got := make(chan *http.Request, 1)
	serve := func(_ http.ResponseWriter, r *http.Request) { got <- r }
	url := startNginx(t, upstream(t, serve), upstream(t, serve))
	ask(t, "GET", url+"/a%2Fb?q=%20", "", "X-Forwarded-For", "203.0.113.7")
	r := <-got
	for name, want := range map[string]string{
		"X-Forwarded-For": "203.0.113.7, 127.0.0.1", "X-Forwarded-Proto": "http", "Connection": "",
	} {
		if value := r.Header.Get(name); value != want {
			t.Errorf("%s is %q", name, value)
		}
	}
	if r.RequestURI != "/a%2Fb?q=%20" || "http://"+r.Host != url || len(r.Header.Get("X-Request-Id")) != 32 {
		t.Errorf("%s %s %v", r.Host, r.RequestURI, r.Header)
	}
}

// Were a piece held back, the next one would not be sent.
func TestNginxPassesEachPieceOfAStreamAtOnce(t *testing.T) {
	const pieces = 20
	received := make(chan bool)
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Connection") != "close" && !r.Close {
			t.Error("the connection of a stream is kept")
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range pieces {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-received:
			case <-r.Context().Done():
				return
			}
		}
	}
	url := startNginx(t, upstream(t, serve), upstream(t, serve))
	for _, path := range []string{"/api/chat/stream", "/v1/chat/completions"} {
		res, err := fresh.Post(url+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(res.Body)
		n := 0
		for lines.Scan() {
			if lines.Text() == fmt.Sprint("data: ", n) {
				n++
				received <- true
			}
		}
		res.Body.Close()
		if n != pieces {
			t.Errorf("%s: %d of %d pieces: %v", path, n, pieces, lines.Err())
		}
	}
}

func TestNginxRepeatsNoPOST(t *testing.T) {
	var gets, posts atomic.Int64
	breaks := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the request has arrived whole
		if r.Method == http.MethodGet {
			gets.Add(1)
		} else {
			posts.Add(1)
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	}
	url := startNginx(t, upstream(t, breaks), upstream(t, breaks))
	for _, method := range []string{"GET", "POST"} {
		a := ask(t, method, url+"/api/chat", "{}")
		if a.status != 503 || a.header.Get("Retry-After") != "1" || !strings.Contains(a.body, `"code":"unavailable"`) {
			t.Errorf("%s: %d %v %s", method, a.status, a.header, a.body)
		}
	}
	if gets.Load() != 2 || posts.Load() != 1 {
		t.Errorf("a GET was sent %d times, a POST %d times", gets.Load(), posts.Load())
	}

	// An instance that does not answer costs its request, and no other one a second try.
	hung := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then it is seen that nginx hangs up
		posts.Add(1)
		<-r.Context().Done()
	}
	posts.Store(0)
	url = startNginx(t, upstream(t, hung), upstream(t, hung), "proxy_read_timeout 65s", "proxy_read_timeout 200ms")
	if a := ask(t, "POST", url+"/api/faq", "{}"); a.status != 503 || posts.Load() != 1 {
		t.Errorf("an instance that hangs: %d after %d tries", a.status, posts.Load())
	}

	// One where nobody listens has had nothing: the other one gets the POST.
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	url = startNginx(t, nobody.Addr().String(), upstream(t, func(http.ResponseWriter, *http.Request) {}))
	for range 4 {
		if a := ask(t, "POST", url+"/api/chat", "{}"); a.status != 200 {
			t.Errorf("with one instance down: %d", a.status)
		}
	}
}

// An instance that is killed costs no GET.
func TestAKilledInstanceCostsNoGET(t *testing.T) {
	t.Parallel() // it waits more than it works
	one, two := startShop(t, "v1", ""), startShop(t, "v1", "")
	l := startLoad(t, startNginx(t, one.address, two.address))
	l.await(t, "gets", 200)
	if err := one.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-one.exited
	l.await(t, "gets", 200)
	startShop(t, "v1", one.address)
	l.await(t, "gets", 200)
	l.stop()
	if failed := l.failures("gets"); len(failed) > 0 {
		t.Errorf("%d of %d GETs failed: %v", len(failed), l.count("gets"), failed[:min(5, len(failed))])
	}
	// Only what the instance was answering when it died is lost: at most one request of each client.
	if failed := append(l.failures("chats"), l.failures("streams")...); len(failed) > chatClients+streamClients {
		t.Errorf("%d POSTs failed: %v", len(failed), failed[:5])
	}
}
