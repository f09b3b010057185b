package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// served is a command of the program in a process of its own.
type served struct {
	url string
	pid int
}

// serveCommand runs a program that serves, until the end of the benchmark.
func serveCommand(b *testing.B, program string, args ...string) served {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, append(args, "--listen", "127.0.0.1:0")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	said := &output{}
	cmd.Stdout, cmd.Stderr = io.Discard, said
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Wait() }) // it ends with the benchmark's context
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if at, ok := said.find(regexp.MustCompile(`at (http://\S+)`)); ok {
			return served{at[1], cmd.Process.Pid}
		}
	}
	b.Fatalf("%v does not start:\n%s", args, said)
	return served{}
}

// serveGateway serves the façade before a model, each in a process of its own; memory is what the gateway's cache may take.
func serveGateway(b *testing.B, memory string, model ...string) (mock, gateway served) {
	b.Helper()
	mock = serveCommand(b, "chatbot", append([]string{"model-mock"}, model...)...)
	file := filepath.Join(b.TempDir(), "gateway.toml")
	policy := fmt.Sprintf(`
version = 1
[server]
max_timeout = "5m"
[log.access]
enabled = false
[cache]
memory = "%s"
[plugins.chat.model]
timeout = "5m"
first_token = "1m"
stall = "2m"
rate = { requests = 0 }
[plugins.chat.model.upstreams.mock]
url = "%s/v1"
model = "mock"
concurrency = 10000
[[routes]]
method = "POST"
path = "/v1/chat/completions"
handler = "chat.completions"
timeout = "5m"
stream = { idle = "2m", max = "10m" }
`, memory, mock.url)
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		b.Fatal(err)
	}
	return mock, serveCommand(b, "chatbot", "serve", "--policy", file)
}

// plainProxy is a program that passes requests on to the server that its first argument names, as the standard library's proxy does, and
// knows nothing of them.
func plainProxy() {
	to, err := url.Parse(os.Args[1])
	if err != nil {
		panic(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, FlushInterval: -1,
		Transport: &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stderr, "at http://%s\n", l.Addr())
	server := http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // an answer that begins before the proxy has seen the body's end would break off
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	})}
	panic(server.Serve(l)) // it is ended by a signal
}

// completionBody asks what a model answers best.
func completionBody(b *testing.B, stream bool) []byte {
	b.Helper()
	body, err := json.Marshal(completion(stream)(""))
	if err != nil {
		b.Fatal(err)
	}
	return body
}

// took is how long a request took from the moment at which it was due.
type took struct{ first, whole time.Duration }

// openLoop asks at a steady rate, whether answers come or not, and returns what each request took.
func openLoop(b *testing.B, client *http.Client, url string, body []byte, perSecond int, duration time.Duration) []took {
	b.Helper()
	all := make([]took, perSecond*int(duration.Milliseconds())/1000)
	ctx, cancel := context.WithTimeout(b.Context(), duration+patience)
	defer cancel()
	var wait sync.WaitGroup
	start := time.Now()
	for i := range all {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(due))
		wait.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			r := bufio.NewReader(resp.Body)
			for {
				line, err := r.ReadSlice('\n')
				if all[i].first == 0 && bytes.Contains(line, []byte(`"content":"`)) && !bytes.Contains(line, []byte(`"content":""`)) {
					all[i].first = time.Since(due)
				}
				if err == io.EOF {
					break
				} else if err != nil && err != bufio.ErrBufferFull { //nolint:errorlint // never wrapped
					b.Error(err)
					return
				}
			}
			if all[i].whole = time.Since(due); resp.StatusCode != http.StatusOK {
				b.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	wait.Wait()
	return all
}

// quantile returns a quantile of what is selected, in milliseconds.
func quantile(all []took, q float64, of func(took) time.Duration) float64 {
	list := make([]time.Duration, len(all))
	for i, t := range all {
		list[i] = of(t)
	}
	slices.Sort(list)
	return float64(list[int(q*float64(len(list)-1))]) / float64(time.Millisecond)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkOverhead measures what the gateway adds to a model's answer, at 500 requests per second, as whole answers and as streams: in
// rounds of all, one after the other, of which the median counts. Promised are 0.5 ms for the median, 2 ms for the 99th percentile
// and 1 ms for the first token. What the standard library's proxy adds, which knows nothing of chats, shows how much of that is the
// machine's; the processor's time that the gateway takes is what other work changes least.
//
// What comes whole from the model comes as a stream to the gateway, in a dozen events that the mock writes at once. A model would take
// the time of its tokens for either; the mock takes longer for the stream, which counts as added. How long it takes to be read to its
// end, directly, is told beside it.
func BenchmarkOverhead(b *testing.B) {
	const perSecond, duration = 500, 3 * time.Second
	mock, gateway := serveGateway(b, "128MiB", "--text", "Bien sûr ! Je vous aide avec plaisir à choisir.", "--ttft", "20ms")
	plain := serveCommand(b, "plain-proxy", mock.url)
	between := map[string]served{"gateway": gateway, "plain": plain}
	for _, stream := range []bool{false, true} {
		b.Run(map[bool]string{false: "json", true: "stream"}[stream], func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true}}
			defer client.CloseIdleConnections()
			body := completionBody(b, stream)
			of, name := func(t took) time.Duration { return t.whole }, "whole"
			if stream {
				of, name = func(t took) time.Duration { return t.first }, "first"
			}
			for _, warm := range []served{mock, gateway, plain} { // connections, code and heap
				openLoop(b, client, warm.url, body, perSecond, time.Second)
			}
			results := map[string][]float64{}
			note := func(key string, value float64) { results[key] = append(results[key], value) }
			for range max(3, b.N) {
				direct := openLoop(b, client, mock.url, body, perSecond, duration)
				if !stream {
					asStream := openLoop(b, client, mock.url, completionBody(b, true), perSecond, duration)
					note("whole-p50-direct-stream-ms", quantile(asStream, 0.5, of))
				}
				for who, server := range between {
					before := cpuTime(b, server.pid)
					through := openLoop(b, client, server.url, body, perSecond, duration)
					spent := float64(cpuTime(b, server.pid)-before) / float64(time.Millisecond)
					note(who+"-cpu-ms/request", spent/float64(len(through)))
					for _, q := range []float64{0.5, 0.99} {
						note(fmt.Sprintf("%s-%s-p%.0f-added-ms", who, name, 100*q), quantile(through, q, of)-quantile(direct, q, of))
					}
				}
				for _, q := range []float64{0.5, 0.99} {
					note(fmt.Sprintf("%s-p%.0f-direct-ms", name, 100*q), quantile(direct, q, of))
				}
			}
			b.ReportMetric(0, "ns/op")
			for name, list := range results {
				b.ReportMetric(median(list), name)
			}
		})
	}
}

// BenchmarkOpenStreams measures what 5,000 streams through the gateway take while the model is silent, and that all of them end well.
// Promised are 32 KiB each. What opening them and starting the gateway left behind is given back first.
func BenchmarkOpenStreams(b *testing.B) {
	const count = 5000
	// The first sentence comes at once, so that each stream is known to be open, the rest when all are.
	// The collector makes use of what the cache may take and does not: here that is little.
	_, gateway := serveGateway(b, "8MiB", "--text", "Bien.\u00a0Oui. Voilà.", "--per-token", "45s")
	body := completionBody(b, true)
	before := settledBytes(b, gateway.pid)
	readers := make([]*bufio.Reader, count)
	address := strings.TrimPrefix(gateway.url, "http://")
	request := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: shop\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	began := time.Now()
	var again atomic.Int64
	var opening errgroup.Group
	opening.SetLimit(50) // customers do not come all at once
	for i := range readers {
		opening.Go(func() (err error) {
			readers[i], err = openStream(b, address, request, &again)
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		b.Fatal(err)
	}
	opened := time.Since(began)
	each := float64(settledBytes(b, gateway.pid)-before) / count / 1024
	lost := 0
	for _, r := range readers {
		if until(r, "data: [DONE]") != nil {
			lost++
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(each, "KiB/stream")
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(opened.Seconds(), "s-to-open")
	b.ReportMetric(float64(again.Load()), "told-to-come-again")
	if lost > 0 {
		b.Errorf("%d of %d streams did not end as they should", lost, count)
	}
}

// openStream asks for a stream until its first word is there. It comes again when it is told to, as clients do: the gateway, the model and
// all who ask share the processors, which those who open streams as fast as they can take whole.
func openStream(b *testing.B, address, request string, again *atomic.Int64) (*bufio.Reader, error) {
	for end := time.Now().Add(patience); ; again.Add(1) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(conn, request); err != nil {
			return nil, err
		}
		r := bufio.NewReaderSize(conn, 512)
		status, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if strings.Contains(status, " 200 ") {
			b.Cleanup(func() { _ = conn.Close() })
			return r, until(r, `"content":"`)
		}
		if err := conn.Close(); err != nil || !strings.Contains(status, " 503 ") || time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("%.100q", status), err)
		}
		time.Sleep(time.Second) // its Retry-After
	}
}

// until reads lines until one contains a text.
func until(r *bufio.Reader, text string) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil || strings.Contains(line, text) && !strings.Contains(line, `"content":""`) {
			return err
		}
	}
}

// cpuTime returns the processor's time that a process has taken.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("only Linux tells what a process takes")
	}
	const user, perSecond = 11, 100 // fields after the name; clock ticks (proc_pid_stat(5))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	ticks := 0
	for _, field := range fields[user : user+2] {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / perSecond
}

// settledBytes returns what a process holds in memory once it holds no less a while later, or after some seconds.
func settledBytes(b *testing.B, pid int) int {
	b.Helper()
	const looks, same = 20, 5
	held, since := residentBytes(b, pid), 0
	for i := 0; i < looks && since < same; i++ {
		time.Sleep(time.Second)
		since++
		if now := residentBytes(b, pid); now < held-held/200 {
			held, since = now, 0
		}
	}
	return held
}

// residentBytes returns what a process holds in memory.
func residentBytes(b *testing.B, pid int) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("only Linux tells what a process holds in memory")
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		b.Fatal("the kernel does not tell what the process holds")
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		b.Fatal(err)
	}
	return kib * 1024
}
