package framework_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Every goroutine of an app has an owner that waits for it. fasthttp keeps one for the Date header for as long as the process
// lives, and its idle workers for ten seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).workerFunc"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}
