package framework_test

import (
	"os"
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest"
)

// Every goroutine of an app has an owner that waits for it.
func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(runChild(role))
	}
	frameworktest.VerifyNoLeaks(m)
}
