package proxy_test

import (
	"testing"

	"github.com/innatural/chatbot/framework/frameworktest/cachetest"
)

func TestStandardCacheByClauses(t *testing.T) {
	cachetest.Run(t, func(t *testing.T, origin string) string {
		return gateway(t, origin, "", `cache = { mode = "standard" }`).URL
	}, cachetest.Clauses())
}
