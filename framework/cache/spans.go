package cache

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// spans makes a span of each exchange with the servers that a traced request causes, be it behind its answer. It names commands, and no
// keys.
type spans struct{}

// DialHook implements redis.Hook.
func (spans) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, end := span(ctx, "CONNECT")
		conn, err := next(ctx, network, address)
		end(err)
		return conn, err
	}
}

// ProcessHook implements redis.Hook.
func (spans) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, end := span(ctx, cmd.FullName())
		err := next(ctx, cmd)
		end(err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (spans) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		ctx, end := span(ctx, "PIPELINE")
		err := next(ctx, commands)
		end(err)
		return err
	}
}

// span begins the span of an operation, where that of ctx is recorded or was, until it ended.
func span(ctx context.Context, operation string) (context.Context, func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, func(error) {}
	}
	const name = "github.com/innatural/chatbot/framework/cache"
	ctx, s := parent.TracerProvider().Tracer(name).Start(ctx, operation, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.DBSystemNameRedis, semconv.DBOperationName(operation)))
	return ctx, func(err error) {
		if err != nil && !errors.Is(err, redis.Nil) {
			s.SetStatus(codes.Error, "")
			s.SetAttributes(semconv.ErrorType(err))
		}
		s.End()
	}
}
