package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework/policy"
	"github.com/innatural/chatbot/framework/telemetry"
)

// logged returns what a logger of one sink writes while use runs.
func logged(t *testing.T, format string, use func(log *slog.Logger)) string {
	t.Helper()
	var out bytes.Buffer
	log, sinks, err := telemetry.NewLogger(policy.Log{Sinks: []policy.LogSink{{Type: "stdout", Format: format, Level: "debug"}}}, &out, telemetry.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	use(log)
	if err := sinks.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLinesCanBeGrepped(t *testing.T) {
	got := logged(t, "text", func(log *slog.Logger) {
		ctx := telemetry.WithRequest(trace.ContextWithRemoteSpanContext(t.Context(), parentOf(traceparent)), &telemetry.Request{ID: "req-1"})
		log.WarnContext(ctx, "Slow endpoint detected", "path", "/api/products", "duration", 1204*time.Millisecond, "threshold", time.Second)
		log.With("plugin", "chat").InfoContext(telemetry.WithRequest(t.Context(), &telemetry.Request{ID: "req-2"}), "Ready", "port", 5000)
	})
	first, second, _ := strings.Cut(got, "\n")
	stamp, first, _ := strings.Cut(first, " ")
	if at, err := time.Parse("time=2006-01-02T15:04:05.000Z", stamp); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("%s: not the time in UTC: %v", stamp, err)
	}
	if want := `level=WARN msg="Slow endpoint detected" path=/api/products duration=1.204s threshold=1s ` +
		`request_id=req-1 trace_id=4bf92f3577b34da6a3ce929d0e0e4736`; first != want {
		t.Errorf("got  %s\nwant %s", first, want)
	}
	if want := " level=INFO msg=Ready plugin=chat port=5000 request_id=req-2\n"; !strings.HasSuffix(second, want) {
		t.Errorf("got  %s\nwant %s", second, want)
	}
}

func TestHandlerContract(t *testing.T) {
	var out bytes.Buffer
	var sinks io.Closer
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		out.Reset()
		log, opened, err := telemetry.NewLogger(policy.Log{Sinks: []policy.LogSink{{Type: "stdout", Format: "json"}}}, &out, telemetry.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		sinks = opened
		return log.Handler()
	}, func(t *testing.T) map[string]any {
		if err := sinks.Close(); err != nil {
			t.Fatal(err)
		}
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		return line
	})
}

func TestRequestIDsStayAtTheTop(t *testing.T) {
	got := logged(t, "json", func(log *slog.Logger) {
		ctx := telemetry.WithRequest(t.Context(), &telemetry.Request{ID: "req-1"})
		log.WithGroup("chat").With("model", "m", "token", "t").WithGroup("usage").InfoContext(ctx, "Answered", "input", 3, "mail", "a@b.fr")
	})
	if want := `"msg":"Answered","chat":{"model":"m","token":"[redacted]","usage":{"input":3,"mail":"[redacted]"}},"request_id":"req-1"}` +
		"\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

type user struct{ Name, Password string }

type number int

func (n number) String() string { return "06 12 34 56 78" }

type broken struct{}

func (*broken) Error() string { panic("broken") }

func TestValuesAreRedacted(t *testing.T) {
	got := logged(t, "text", func(log *slog.Logger) {
		log.With("admin_token", "abc").Info("Mail from jean@example.fr",
			"a", policy.Secret("hidden"), "b", slog.GroupValue(slog.String("api_key", "k"), slog.String("to", "+33612345678")),
			"c", errors.New("dial redis://u:p@h:1: refused"), "d", number(1), "e", []byte("0612345678"),
			"f", user{"Jean", "hunter2"}, "g", []string{"x", "jean@example.fr"}, "h", nil, "i", (*broken)(nil), "j", 12*time.Second,
			"k", header{"Authorization": {"Basic abc"}}, "l", 0.5, "m", true)
	})
	_, got, _ = strings.Cut(got, " ")
	want := `level=INFO msg="Mail from [redacted]" admin_token=[redacted] a=[redacted] b.api_key=[redacted] b.to=[redacted] ` +
		`c="dial redis://[redacted]@h:1: refused" d=[redacted] e=[redacted] f="{Name:Jean Password:[redacted]}" g="[x [redacted]]" ` +
		`h=<nil> i=<nil> j=12s k=map[Authorization:[redacted] l=0.5 m=true` + "\n"
	if got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
}

type header map[string][]string

func TestLinesCannotBeForged(t *testing.T) {
	const evil = "x\nlevel=ERROR msg=forged\r\x1b[31m\u202e\x00\u009b"
	for _, format := range []string{"text", "json"} {
		got := logged(t, format, func(log *slog.Logger) {
			log.Info(evil, "path", evil, "k\ney", "value", "error", errors.New(evil), slog.Group("g", "k", evil))
		})
		if strings.Count(got, "\n") != 1 || strings.ContainsAny(strings.TrimSuffix(got, "\n"), "\n\r\x1b\x00\u009b") {
			t.Errorf("%s: %q", format, got)
		}
		if format == "json" && !json.Valid([]byte(got)) {
			t.Errorf("not JSON: %q", got)
		}
	}
}

func TestSinksHaveTheirOwnLevels(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "logs", "deep", "shop.log")
	var out bytes.Buffer
	var extra collector
	log, sinks, err := telemetry.NewLogger(policy.Log{Level: "info", Sinks: []policy.LogSink{
		{Type: "stdout", Format: "text", Level: "warn"},
		{Type: "file", Format: "json", Level: "debug", Path: path, MaxSize: 1 << 20, MaxFiles: 2},
	}}, &out, telemetry.NewRegistry(), &extra)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("One", "password", "x")
	log.Warn("Two")
	if got := extra.messages(); fmt.Sprint(got) != "[One Two]" {
		t.Errorf("extra handler, at once: %v", got)
	}
	if err := sinks.Close(); err != nil {
		t.Fatal(err)
	}
	log.Error("After the end") // lost, and harmless
	if err := sinks.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "msg=Two") {
		t.Errorf("stdout: %s", got)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(file); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"msg":"One","password":"[redacted]"}`) {
		t.Errorf("file: %s", got)
	}
}

// collector is a handler that keeps messages.
type collector struct {
	mu   sync.Mutex
	seen []string
}

func (c *collector) Enabled(context.Context, slog.Level) bool { return true }

func (c *collector) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, r.Message)
	return nil
}

func (c *collector) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *collector) WithGroup(string) slog.Handler      { return c }

func (c *collector) messages() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

func TestWithoutSinksTextGoesToStdout(t *testing.T) {
	var out bytes.Buffer
	log, sinks, err := telemetry.NewLogger(policy.Log{}, &out, telemetry.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("No")
	log.Info("Yes")
	if err := sinks.Close(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=INFO msg=Yes") {
		t.Error(got)
	}
}

func TestFilesRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.log")
	for range 3 { // three runs of the service append to one file
		log, sinks, err := telemetry.NewLogger(policy.Log{Sinks: []policy.LogSink{
			{Type: "file", Format: "text", Path: path, MaxSize: 1 << 20, MaxFiles: 2},
		}}, io.Discard, telemetry.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			log.Info("Line", "n", i, "text", strings.Repeat("x", 8000))
		}
		if err := sinks.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(files) < 1 || len(files) > 3 {
		t.Errorf("%d files, want at most the current one and two old ones: %v %v", len(files), files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > 1<<20 || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s: %v, %d bytes, %v", file, err, info.Size(), info.Mode())
		}
	}
}

func TestFileThatCannotBeWrittenIsToldAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(file, "shop.log"): "log.sinks[1]: create folder of log file: ",
		filepath.Dir(file):              "log.sinks[1]: open log file: ",
	} {
		_, _, err := telemetry.NewLogger(policy.Log{Sinks: []policy.LogSink{{Type: "stdout"}, {Type: "file", Path: path}}}, io.Discard, telemetry.NewRegistry())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s…", err, want)
		}
	}
}

// gate is a destination that can be made to fail or to hang.
type gate struct {
	mu   sync.Mutex
	text bytes.Buffer
	err  error
	hang chan struct{}
	used chan struct{} // told of each write
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	err, hang := g.err, g.hang
	g.mu.Unlock()
	select {
	case g.used <- struct{}{}:
	default:
	}
	if hang != nil {
		<-hang
	}
	if err != nil {
		return 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *gate) set(err error, hang chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err, g.hang = err, hang
}

func (g *gate) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

func twoSinks(t *testing.T, stdout io.Writer) (log *slog.Logger, sinks io.Closer, file func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.log")
	log, sinks, err := telemetry.NewLogger(policy.Log{Sinks: []policy.LogSink{
		{Type: "stdout", Format: "text"}, {Type: "file", Format: "text", Path: path},
	}}, stdout, telemetry.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return log, sinks, func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestSinkThatFailsHurtsNoOther(t *testing.T) {
	out := &gate{err: errors.New("no space left"), used: make(chan struct{}, 1)}
	log, sinks, file := twoSinks(t, out)
	for i := range 5 {
		log.Info("Lost", "n", i)
		<-out.used
	}
	out.set(nil, nil)
	log.Info("Back")
	<-out.used
	if err := sinks.Close(); err != nil {
		t.Fatal(err)
	}
	text := file()
	if n := strings.Count(text, "msg=Lost"); n != 5 {
		t.Errorf("%d lines in the file, want 5", n)
	}
	if n := strings.Count(text, `level=ERROR msg="Log sink failed" sink=stdout error="no space left"`); n != 1 {
		t.Errorf("told %d times:\n%s", n, text)
	}
	if !strings.Contains(text, `level=WARN msg="Log sink works again" sink=stdout dropped_lines=`) {
		t.Errorf("no word of its return:\n%s", text)
	}
	if !strings.Contains(out.String(), "msg=Back") {
		t.Errorf("stdout is not back:\n%s", out)
	}
}

func TestSinkThatHangsHoldsUpNobody(t *testing.T) {
	hang := make(chan struct{})
	out := &gate{hang: hang, used: make(chan struct{}, 1)}
	log, sinks, file := twoSinks(t, out)
	log.Info("First")
	<-out.used
	const lines = 2000
	for i := range lines { // 2 MB: more than may wait
		log.Info("Line", "n", i, "text", strings.Repeat("x", 1000))
	}
	out.set(nil, nil)
	close(hang)
	if err := sinks.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(file(), "msg=Line"); n < lines/2 {
		t.Errorf("%d lines in the file, want about %d", n, lines)
	}
	if n := strings.Count(file(), `msg="Log sink failed" sink=stdout error="the sink is too slow"`); n != 1 {
		t.Errorf("told %d times", n)
	}
	if n := strings.Count(out.String(), "msg=Line"); n == 0 || n >= lines {
		t.Errorf("%d lines on stdout, want those that could wait", n)
	}
}

func TestCloseDoesNotWaitForever(t *testing.T) {
	hang := make(chan struct{})
	out := &gate{hang: hang, used: make(chan struct{}, 1)}
	log, sinks, _ := twoSinks(t, out)
	log.Info("Stuck")
	<-out.used
	if err := sinks.Close(); err == nil || err.Error() != "close log sink stdout: it hangs" {
		t.Errorf("%v", err)
	}
	close(hang)
}

func TestLogsUnderConcurrency(t *testing.T) {
	got := logged(t, "json", func(log *slog.Logger) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 200 {
					log.WithGroup("g").With("i", i).Info("Line", "j", j)
				}
			})
		}
		wg.Wait()
	})
	if n := strings.Count(got, "\n"); n != 1600 {
		t.Errorf("%d lines, want 1600", n)
	}
	for line := range strings.Lines(got) {
		if !json.Valid([]byte(line)) {
			t.Fatalf("torn line: %s", line)
		}
	}
}

func TestSampled(t *testing.T) {
	for _, share := range []float64{0, 0.01, 0.25, 1} {
		kept := 0
		for i := range 20_000 {
			id := "req-" + strconv.Itoa(i)
			if telemetry.Sampled(id, share) {
				kept++
			}
			if telemetry.Sampled(id, share) && !telemetry.Sampled(id, min(1, share*2)) {
				t.Errorf("%s is in a share of %g and not in twice as much", id, share)
			}
		}
		if got := float64(kept) / 20_000; got < share-0.01 || got > share+0.01 {
			t.Errorf("%g of requests, want %g", got, share)
		}
	}
}

func BenchmarkLog(b *testing.B) {
	log, sinks, err := telemetry.NewLogger(policy.Log{}, io.Discard, telemetry.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := sinks.Close(); err != nil {
			b.Error(err)
		}
	}()
	ctx := telemetry.WithRequest(trace.ContextWithRemoteSpanContext(b.Context(), parentOf(traceparent)),
		&telemetry.Request{ID: "550e8400-e29b-41d4-a716-446655440000"})
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(ctx, slog.LevelInfo, "Request", slog.String("method", "GET"), slog.String("path", "/api/products"),
			slog.String("route", "/api/products"), slog.Int("status", 200), slog.Int("bytes", 2048), slog.Duration("duration", 1204*time.Microsecond))
	}
}
