package httpcache

import (
	"context"
	"fmt"
	"strings"

	"github.com/innatural/chatbot/framework/cache"
)

// TargetKey returns the key of what is stored for a target URI: of its host, without regard to case, and of its path and query byte for
// byte. The scope is that of the policy and the data that answers are made with.
func TargetKey(scope, host, target string) string {
	b := appendEscaped(make([]byte, 0, len(scope)+len(host)+len(target)+16), scope)
	b = append(b, "~standard GET@"...) // no scope of policy mode has the mark
	b = appendEscaped(b, lower(host))
	return string(append(append(b, ' '), target...))
}

// ReadableTargetKey returns the key for people: without the scope.
func ReadableTargetKey(host, target string) string {
	_, readable, _ := strings.Cut(TargetKey("", host, target), " ")
	return readable
}

// Invalidate purges what is stored for targets, everywhere, and keeps what is being fetched for them from being stored (RFC 9111,
// section 4.4). On an error the shared layer does not answer; it makes up for it once it does.
func (s *Standard) Invalidate(ctx context.Context, keys ...string) error {
	if _, err := s.memory.PurgeShared(ctx, cache.Purge{Keys: keys}); err != nil {
		return fmt.Errorf("invalidate: %w", err)
	}
	return nil
}
