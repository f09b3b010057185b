package framework_test

import (
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest"
)

// Every goroutine of an app has an owner that waits for it.
func TestMain(m *testing.M) { frameworktest.VerifyNoLeaks(m) }
