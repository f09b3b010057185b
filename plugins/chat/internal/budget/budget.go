// Package budget bounds the tokens that are spent in a span of time, by each customer and by all. Tokens are reserved before they
// are spent and settled afterwards, so that however many requests come at once, they do not pass the budget together.
package budget

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/innatural/chatbot/framework/cache"
)

// Limits are the tokens of each window; 0 is no limit.
type Limits struct {
	Window          time.Duration
	Customer, Total int64
}

// Why tokens are refused.
var (
	ErrCustomer = errors.New("the customer's budget is spent")
	ErrTotal    = errors.New("the budget of all customers is spent")
)

// Ledger keeps the accounts: in memory and, where there is Redis, there too, for all instances. While Redis does not answer each
// instance counts for itself. It may be used concurrently.
type Ledger struct {
	limits Limits
	redis  atomic.Pointer[cache.Redis] // nil is none

	mu        sync.Mutex
	window    int64
	customers map[string]int64
	total     int64
}

// maxCustomers is how many customers have accounts of their own in a window; the others share one.
const maxCustomers = 100_000

// New returns a ledger that counts in memory.
func New(l Limits) *Ledger { return &Ledger{limits: l, customers: map[string]int64{}} }

// Use makes the ledger count in Redis from now on; nil is none.
func (l *Ledger) Use(r *cache.Redis) { l.redis.Store(r) }

// Reservation is tokens set aside for one customer. Settle ends it.
type Reservation struct {
	ledger   *Ledger
	customer string
	window   int64
	tokens   int64
	shared   bool // they are set aside in Redis too
}

// Reserve sets tokens aside. The error is ErrCustomer or ErrTotal.
func (l *Ledger) Reserve(ctx context.Context, customer string, tokens int) (*Reservation, error) {
	if l.limits.Customer == 0 && l.limits.Total == 0 {
		return &Reservation{}, nil
	}
	r := &Reservation{ledger: l, customer: accountOf(customer), window: l.now(), tokens: int64(tokens)}
	// What this instance counts is never more than what all count together: what it refuses, they would.
	if err := l.reserve(r); err != nil {
		return nil, err
	}
	var refused error
	r.shared = l.exchange(ctx, r, func(ctx context.Context, client redis.UniversalClient, keys []string) error {
		n, err := reserve.Run(ctx, client, keys, r.tokens, l.limits.Customer, l.limits.Total, l.keep()).Int()
		refused = []error{nil, ErrCustomer, ErrTotal}[max(0, min(n, 2))] //nolint:mnd // what the script answers
		return err
	})
	if r.shared && refused != nil {
		l.add(r, -r.tokens)
		return nil, refused
	}
	return r, nil
}

// Settle replaces what was reserved by what was spent. It goes on when ctx has ended: the customer may have left.
func (r *Reservation) Settle(ctx context.Context, spent int) {
	if r.ledger == nil {
		return
	}
	change := int64(spent) - r.tokens
	r.ledger.add(r, change)
	if r.shared {
		r.ledger.exchange(context.WithoutCancel(ctx), r, func(ctx context.Context, client redis.UniversalClient, keys []string) error {
			return settle.Run(ctx, client, keys, change).Err()
		})
	}
}

// Spent returns the tokens of all customers that this instance has spent, or set aside, in the window. Without any Limits it
// counts none.
func (l *Ledger) Spent() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window != l.now() {
		return 0
	}
	return l.total
}

// now numbers the window.
func (l *Ledger) now() int64 { return time.Now().UnixNano() / int64(l.limits.Window) }

// accountOf names an account without the name of the customer.
func accountOf(customer string) string {
	sum := sha256.Sum256([]byte(customer))
	return hex.EncodeToString(sum[:16])
}

// reserve sets tokens aside in memory.
func (l *Ledger) reserve(r *Reservation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window != r.window {
		l.window, l.total = r.window, 0
		clear(l.customers)
	}
	if _, known := l.customers[r.customer]; !known && len(l.customers) >= maxCustomers {
		r.customer = "others"
	}
	switch {
	case l.limits.Customer > 0 && l.customers[r.customer]+r.tokens > l.limits.Customer:
		return ErrCustomer
	case l.limits.Total > 0 && l.total+r.tokens > l.limits.Total:
		return ErrTotal
	}
	l.customers[r.customer] += r.tokens
	l.total += r.tokens
	return nil
}

// add changes what is counted in memory, unless its window is over.
func (l *Ledger) add(r *Reservation, tokens int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window == r.window {
		l.customers[r.customer] += tokens
		l.total += tokens
	}
}

// exchange lets f use the accounts in Redis, and says whether it could.
func (l *Ledger) exchange(
	ctx context.Context, r *Reservation, f func(ctx context.Context, client redis.UniversalClient, keys []string) error,
) bool {
	shared := l.redis.Load()
	if shared == nil {
		return false
	}
	// All accounts have one slot of a Cluster, for the script that reads two.
	at := strconv.FormatInt(r.window, 36)
	keys := []string{shared.Key("budget:", "tokens", at+":"+r.customer), shared.Key("budget:", "tokens", at)}
	return shared.Do(ctx, func(ctx context.Context, client redis.UniversalClient) error { return f(ctx, client, keys) }) == nil
}

// keep returns how long accounts are kept, in milliseconds: the window, and what answers under way at its end may take.
func (l *Ledger) keep() int64 { return (l.limits.Window + time.Hour).Milliseconds() }

// reserve takes the accounts of a customer and of all, the tokens, the limits of both, and how long they are kept.
var reserve = redis.NewScript(`
local customer = tonumber(redis.call('GET', KEYS[1]) or '0')
local total = tonumber(redis.call('GET', KEYS[2]) or '0')
local tokens = tonumber(ARGV[1])
if tonumber(ARGV[2]) > 0 and customer + tokens > tonumber(ARGV[2]) then return 1 end
if tonumber(ARGV[3]) > 0 and total + tokens > tonumber(ARGV[3]) then return 2 end
for _, key in ipairs(KEYS) do
  redis.call('INCRBY', key, tokens)
  redis.call('PEXPIRE', key, ARGV[4])
end
return 0
`)

// settle changes the accounts that are still there.
var settle = redis.NewScript(`
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then redis.call('INCRBY', key, ARGV[1]) end
end
return 0
`)
