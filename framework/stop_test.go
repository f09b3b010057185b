package framework_test

import (
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest"
)

// A stop may come before the server has its listener: it ends all the same.
func TestStopAtOnce(t *testing.T) {
	for range 20 {
		frameworktest.Start(t, "version = 1\n").Stop()
	}
}
