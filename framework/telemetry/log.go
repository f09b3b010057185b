package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/DeRuina/timberjack"
	"github.com/cespare/xxhash/v2"
	slogmulti "github.com/samber/slog-multi"
	"go.opentelemetry.io/otel/trace"

	"github.com/innatural/chatbot/framework/policy"
)

// NewLogger opens the sinks of a policy, or text on stdout when it names none, and returns a logger that writes every line
// to each sink of its level, and to the extra handlers, which are called in the caller's goroutine. Each line carries the
// ids of its context's request and trace; secrets and personal data are redacted before any handler sees them.
//
// A sink that fails or hangs holds up neither the caller nor the other sinks: lines wait for it in bounded memory, are
// dropped beyond that, and the log says so once and again when the sink is back. The Closer writes what waits and closes the
// files; it waits at most two seconds for a sink that hangs. A line logged afterwards is lost. A registry counts what is dropped.
func NewLogger(cfg policy.Log, stdout io.Writer, r *Registry, extra ...slog.Handler) (*slog.Logger, io.Closer, error) {
	wanted := cfg.Sinks
	if len(wanted) == 0 {
		wanted = []policy.LogSink{{Type: "stdout", Format: "text"}}
	}
	var open sinks
	dropped := r.Counter(LogLinesDropped, LogLinesDroppedHelp, LabelSink)
	handlers := slices.Clone(extra)
	for i, w := range wanted {
		name, out := w.Type, stdout
		switch w.Type {
		case "stderr":
			out = os.Stderr
		case "file":
			name = w.Path
			file, err := openFile(w)
			if err != nil {
				return nil, nil, fmt.Errorf("log.sinks[%d]: %w", i, err)
			}
			out = file
		}
		var level slog.Level
		if err := level.UnmarshalText([]byte(cmp.Or(w.Level, cfg.Level, "info"))); err != nil {
			return nil, nil, fmt.Errorf("log.sinks[%d]: %w", i, err)
		}
		s := newSink(name, out, dropped.With(w.Type))
		open = append(open, s)
		if w.Format == "json" {
			handlers = append(handlers, slog.NewJSONHandler(s, &slog.HandlerOptions{Level: level}))
		} else {
			handlers = append(handlers, slog.NewTextHandler(s, &slog.HandlerOptions{Level: level}))
		}
	}
	line := func(next slog.Handler) slog.Handler { return &lineHandler{next: next} }
	log := slog.New(slogmulti.Pipe(line).Handler(slogmulti.Fanout(handlers...)))
	for _, s := range open {
		s.start(log)
	}
	return log, open, nil
}

// openFile opens a rotating file in a folder that it creates. That the file can be written is known at once.
func openFile(w policy.LogSink) (io.WriteCloser, error) {
	if err := os.MkdirAll(filepath.Dir(w.Path), 0o750); err != nil {
		return nil, fmt.Errorf("create folder of log file: %w", err)
	}
	file, err := os.OpenFile(w.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	return &timberjack.Logger{Filename: w.Path, MaxSize: int(w.MaxSize >> 20), MaxBackups: w.MaxFiles, FileMode: 0o640}, nil
}

type requestKey struct{}

// Request is what the log lines of a request have in common.
type Request struct {
	ID string
}

// WithRequest returns a context whose log lines carry the id of a request, which must not change any more.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// Sampled says whether the access log has the successful request of that id, given the share that is logged, 0 to 1. It
// depends on the id alone, so that every instance and every line of a request agree.
func Sampled(requestID string, share float64) bool {
	return share >= 1 || float64(xxhash.Sum64String(requestID)) < share*math.MaxUint64
}

// lineHandler makes lines fit to be written: it adds the ids of the request at the top level, whatever groups are open, puts
// times in UTC and redacts.
type lineHandler struct {
	next   slog.Handler
	groups []openGroup
}

// openGroup is a group of WithGroup, and the attributes that WithAttrs added within it.
type openGroup struct {
	name  string
	attrs []slog.Attr
}

func (h *lineHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	var space [16]slog.Attr
	attrs := space[:0]
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, redactAttr(a))
		return true
	})
	for _, g := range slices.Backward(h.groups) {
		attrs = []slog.Attr{{Key: g.name, Value: slog.GroupValue(slices.Concat(g.attrs, attrs)...)}}
	}
	if of, ok := ctx.Value(requestKey{}).(*Request); ok {
		attrs = append(attrs, slog.String("request_id", of.ID))
	}
	if of := trace.SpanContextFromContext(ctx); of.IsValid() {
		attrs = append(attrs, slog.String("trace_id", of.TraceID().String()))
		if !of.IsRemote() {
			attrs = append(attrs, slog.String("span_id", of.SpanID().String()))
		}
	}
	at := r.Time
	if !at.IsZero() {
		at = at.UTC().Truncate(time.Microsecond)
	}
	out := slog.NewRecord(at, r.Level, redactText(r.Message), r.PC)
	out.AddAttrs(attrs...)
	return h.next.Handle(ctx, out)
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	attrs = redactAttrs(attrs)
	if len(h.groups) == 0 {
		return &lineHandler{next: h.next.WithAttrs(attrs)}
	}
	groups := slices.Clone(h.groups)
	last := &groups[len(groups)-1]
	last.attrs = slices.Concat(last.attrs, attrs)
	return &lineHandler{next: h.next, groups: groups}
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &lineHandler{next: h.next, groups: append(slices.Clip(h.groups), openGroup{name: name})}
}
