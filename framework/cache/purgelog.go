package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// The log of purges is what instances agree on. It lies in Redis, as two sorted sets whose scores are stamps:
//
//   - log: the last purge of each tag and selector, and three moments: born, when the log was begun; epoch, when everything was
//     flushed; clock, when anything was purged;
//   - deleted: the keys that were purged lately. Their values are removed at once; the entry refuses the writes that come late and
//     tells the other instances.
//
// A stamp is the server's time in microseconds, or one more than the last stamp if that is greater. The epoch is a part of every
// value's key, so a flush is one small write. A purge is a script that takes a stamp and notes it; a read is a GET, checked against
// what the instance knows of the log; a write is a script that refuses what the log voids since the value's making began.
//
// Each instance reads on in the log every second, and at once when a message says that there is something. So a lost message
// costs a second at most. A purge that Redis did not take is kept, and no value is read from Redis before it took it.
// The last purges are kept for a while in any case: when Redis comes back without its data, they are noted again.
const (
	bornMember, epochMember, clockMember = "born", "epoch", "clock"
	tagMember, selectorMember, keyMember = "t:", "s:", "k:"

	keysKept     = 10 * time.Minute // how long deleted remembers
	repeatWithin = 10 * time.Second // how long a purge that Redis took is kept, should Redis lose it
	maxOutbox    = 1000             // purges that are kept; more become a flush
	maxTags      = 10_000           // in the log; more become a flush
	maxSelectors = 256
)

// preamble reads the server's time and the log's clock, and begins a log where there is none.
const preamble = `
local log, deleted = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local clock = tonumber(redis.call('ZSCORE', log, 'clock')) or 0
local function text(n) return string.format('%.0f', n) end
if clock == 0 then
	clock = now
	redis.call('ZADD', log, text(now), 'born', text(now), 'epoch', text(now), 'clock')
end
`

// record notes purges. KEYS from 3: values to remove. ARGV: channel, microseconds that deleted remembers, 1 for a flush, members.
var record = redis.NewScript(preamble + `
local stamp = text(math.max(clock + 1, now))
if ARGV[3] == '1' then
	local born = redis.call('ZSCORE', log, 'born')
	redis.call('DEL', log, deleted)
	redis.call('ZADD', log, born, 'born', stamp, 'epoch')
end
redis.call('ZADD', log, stamp, 'clock')
for i = 4, #ARGV do
	local set = log
	if string.sub(ARGV[i], 1, 2) == 'k:' then set = deleted end
	redis.call('ZADD', set, stamp, ARGV[i])
end
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('ZREMRANGEBYSCORE', deleted, '-inf', text(now - ARGV[2]))
redis.call('PUBLISH', ARGV[1], stamp)
return stamp
`)

// read returns born, epoch, clock, the server's time, its number of keys, and what was purged after a stamp; all of the log
// when the epoch is another. ARGV: epoch, stamp.
var read = redis.NewScript(preamble + `
local epoch = redis.call('ZSCORE', log, 'epoch')
local from = '(' .. ARGV[2]
if tonumber(epoch) ~= tonumber(ARGV[1]) then from = '-inf' end
return {
	text(redis.call('ZSCORE', log, 'born')), text(epoch), text(clock), text(now), text(redis.call('DBSIZE')),
	redis.call('ZRANGEBYSCORE', log, from, '+inf', 'WITHSCORES'),
	redis.call('ZRANGEBYSCORE', deleted, from, '+inf'),
}
`)

// store stores a value unless the log voids it. KEYS: log, deleted, the value's. ARGV: epoch, stamp, value, milliseconds, the
// key's member, the tags' members.
var store = redis.NewScript(`
local log, deleted, made = KEYS[1], KEYS[2], tonumber(ARGV[2])
if tonumber(redis.call('ZSCORE', log, 'epoch')) ~= tonumber(ARGV[1]) then return 0 end
if (tonumber(redis.call('ZSCORE', log, 'selected')) or 0) > made then return 0 end
if (tonumber(redis.call('ZSCORE', deleted, ARGV[5])) or 0) > made then return 0 end
for i = 6, #ARGV do
	if (tonumber(redis.call('ZSCORE', log, ARGV[i])) or 0) > made then return 0 end
end
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
return 1
`)

// selectedMember is the last purge by any selector, which refuses all late writes: the script can't match.
const selectedMember = "selected"

// purgeLog is what an instance knows of the log.
type purgeLog struct {
	mu                sync.RWMutex
	born, epoch, seen uint64 // 0 before the first exchange
	serverTime        uint64 // at the last exchange
	tags              map[string]uint64
	selectors         map[Selector]uint64
	outbox            []*sent
	unsent            int // of the outbox: while there are any, no value of Redis can be trusted

	agreeing sync.Mutex // held during an exchange
}

// sent is a purge of this instance; at is when Redis took it, zero before.
type sent struct {
	purge Purge
	at    time.Time
}

func (l *purgeLog) now() Moment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return Moment{epoch: l.epoch, seen: l.seen}
}

// purged reports whether a value was purged after it was made.
func (l *purgeLog) purged(key string, e *envelope) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if e.epoch != l.epoch || l.unsent > 0 {
		return true
	}
	for _, tag := range e.tags {
		if l.tags[tag] > e.made {
			return true
		}
	}
	for selector, stamp := range l.selectors {
		if stamp > e.made && selector.Matches(key) {
			return true
		}
	}
	return false
}

// add puts a purge into the outbox.
func (l *purgeLog) add(p Purge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.outbox) >= maxOutbox || len(l.tags)+len(p.Tags) > maxTags || len(l.selectors)+len(p.Selectors) > maxSelectors {
		l.outbox, l.unsent, p = nil, 0, Purge{All: true}
	}
	l.outbox = append(l.outbox, &sent{purge: p})
	l.unsent++
}

// pending returns the purges that Redis has not taken.
func (l *purgeLog) pending() (pending []*sent) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.outbox {
		if s.at.IsZero() {
			pending = append(pending, s)
		}
	}
	return pending
}

// purge purges in Redis and so on the other instances. On an error that is made up for when Redis is back.
func (r *Redis) purge(ctx context.Context, p Purge) error {
	r.log.add(p)
	if r.circuit.Load() != circuitClosed {
		return errors.New("purge redis: it does not answer; what was asked for is done when it does")
	}
	// It is not the caller's to give up half-way; agree has a limit of its own.
	if err := r.agreeWith(context.WithoutCancel(ctx)); err != nil {
		r.cut(err)
		return fmt.Errorf("purge redis: %w; it is done when redis answers again", err)
	}
	return nil
}

func (r *Redis) agree() error { return r.agreeWith(r.stopped) }

// agreeWith sends the outbox and reads on in the log.
func (r *Redis) agreeWith(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, agreeWithin)
	defer cancel()
	r.log.agreeing.Lock()
	defer r.log.agreeing.Unlock()
	for range 3 { // the second time repeats what a Redis that began anew has lost
		known := r.log.now()
		if known.epoch != 0 { // without the epoch, the values to remove have no names
			if err := r.send(ctx, known.epoch); err != nil {
				return fmt.Errorf("note purges: %w", err)
			}
		}
		began := time.Now()
		answer, err := read.Run(ctx, r.control, []string{r.logKey(), r.deletedKey()}, known.epoch, known.seen).Slice()
		if err != nil {
			return fmt.Errorf("read purges: %w", err)
		}
		r.latency.Store(int64(time.Since(began)))
		news, err := parseNews(answer)
		if err != nil {
			return err
		}
		r.keys.Store(int64(news.keys))
		if again := r.learn(news); !again {
			return nil
		}
	}
	return errors.New("redis loses the purges that it is given")
}

// send notes the pending purges in the log, and removes the values of their keys.
func (r *Redis) send(ctx context.Context, epoch uint64) error {
	pending := r.log.pending()
	if len(pending) == 0 {
		return nil
	}
	keys := []string{r.logKey(), r.deletedKey()}
	args := []any{r.channel(), keysKept.Microseconds(), 0}
	for _, s := range pending {
		if s.purge.All {
			args[2] = 1
		}
		for _, key := range s.purge.Keys {
			keys = append(keys, r.valueKey(epoch, key))
			args = append(args, keyMember+key)
		}
		for _, tag := range s.purge.Tags {
			args = append(args, tagMember+tag)
		}
		for _, selector := range s.purge.Selectors {
			args = append(args, selectorMember+selector.text(), selectedMember)
		}
	}
	if err := record.Run(ctx, r.control, keys, args...).Err(); err != nil {
		return err
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	for _, s := range pending {
		s.at = time.Now()
	}
	r.log.count()
	return nil
}

// count brings unsent up to date.
func (l *purgeLog) count() {
	l.unsent = 0
	for _, s := range l.outbox {
		if s.at.IsZero() {
			l.unsent++
		}
	}
}

// news is what read returns.
type news struct {
	born, epoch, clock, serverTime, keys uint64
	tags                                 map[string]uint64
	selectors                            map[Selector]uint64
	deleted                              []string
}

var errNews = errors.New("read purges: the log is not one of ours; is the prefix used by another program?")

func parseNews(answer []any) (*news, error) {
	n := &news{tags: map[string]uint64{}, selectors: map[Selector]uint64{}}
	if len(answer) != 7 {
		return nil, errNews
	}
	for i, into := range []*uint64{&n.born, &n.epoch, &n.clock, &n.serverTime, &n.keys} {
		text, _ := answer[i].(string)
		var err error
		if *into, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, errNews
		}
	}
	log, ok := answer[5].([]any)
	deleted, ok2 := answer[6].([]any)
	if !ok || !ok2 || len(log)%2 != 0 {
		return nil, errNews
	}
	for i := 0; i < len(log); i += 2 {
		member, _ := log[i].(string)
		score, _ := log[i+1].(string)
		stamp, err := strconv.ParseFloat(score, 64)
		if err != nil {
			return nil, errNews
		}
		if tag, ok := strings.CutPrefix(member, tagMember); ok {
			n.tags[tag] = uint64(stamp)
		} else if text, ok := strings.CutPrefix(member, selectorMember); ok {
			n.selectors[parseSelector(text)] = uint64(stamp)
		}
	}
	for _, member := range deleted {
		text, _ := member.(string)
		n.deleted = append(n.deleted, strings.TrimPrefix(text, keyMember))
	}
	return n, nil
}

// learn takes over what was purged, first for reads from Redis, then in memory: a read that was checked before and arrives in
// memory in between is refused there. It reports whether there are purges that Redis must be given first, or again because it lost them.
func (r *Redis) learn(n *news) (again bool) {
	l := &r.log
	l.mu.Lock()
	first := l.epoch == 0
	lost := !first && (n.born != l.born || n.clock < l.seen)
	flushed := !first && !lost && n.epoch != l.epoch
	// What was away for longer than deleted remembers may have missed something.
	missed := !first && !lost && n.serverTime-l.serverTime > uint64(keysKept.Microseconds())
	if n.epoch != l.epoch {
		l.tags, l.selectors = map[string]uint64{}, map[Selector]uint64{}
	}
	maps.Copy(l.tags, n.tags)
	maps.Copy(l.selectors, n.selectors)
	rolledBack := lost && n.born == l.born
	l.born, l.epoch, l.seen, l.serverTime = n.born, n.epoch, n.clock, n.serverTime
	var kept []*sent
	for _, s := range l.outbox {
		if !s.at.IsZero() && time.Since(s.at) > repeatWithin {
			continue
		}
		if lost {
			s.at = time.Time{}
		}
		kept = append(kept, s)
	}
	if rolledBack { // its values are older than its log says
		kept = []*sent{{purge: Purge{All: true}}}
	}
	l.outbox = kept
	l.count()
	again = (lost || first) && l.unsent > 0
	l.mu.Unlock()

	switch {
	case first:
	case flushed, missed:
		r.memory.Flush()
	default:
		p := Purge{Keys: n.deleted}
		for tag := range n.tags {
			p.Tags = append(p.Tags, tag)
		}
		for selector := range n.selectors {
			p.Selectors = append(p.Selectors, selector)
		}
		r.memory.void(p)
	}
	return again
}

// void purges what others purged, without counting it.
func (m *Memory) void(p Purge) {
	for _, key := range p.Keys {
		m.Delete(key)
	}
	for _, tag := range p.Tags {
		m.PurgeTag(tag)
	}
	if len(p.Selectors) > 0 {
		m.Purge(p.selects)
	}
}

// listen waits for messages about purges. They are hints: what they are about is read from the log.
func (r *Redis) listen() {
	messages := r.control.Subscribe(r.stopped, r.channel())
	defer context.AfterFunc(r.stopped, func() { _ = messages.Close() })()
	defer messages.Close()
	for r.stopped.Err() == nil {
		if r.circuit.Load() != circuitClosed { // what is missed now is read from the log
			select {
			case <-r.stopped.Done():
			case <-time.After(probeEvery):
			}
			continue
		}
		message, err := messages.ReceiveTimeout(r.stopped, repeatWithin)
		if err == nil {
			if m, ok := message.(*redis.Message); ok {
				if stamp, err := strconv.ParseUint(m.Payload, 10, 64); err == nil && stamp > r.log.now().seen {
					r.rouse()
				}
			}
			continue
		}
		if r.circuit.Load() == circuitClosed && messages.Ping(r.stopped) != nil {
			r.rouse() // it was more than silence: the keeper finds out
			select {
			case <-r.stopped.Done():
			case <-time.After(probeEvery):
			}
		}
	}
}

// text is the selector in one string, and parseSelector its inverse.
func (s Selector) text() string {
	switch {
	case s.Key != "":
		return "=" + s.Key
	case s.Pattern != "":
		return "~" + s.Pattern
	}
	return "^" + s.Prefix
}

func parseSelector(text string) Selector {
	if text == "" {
		return Selector{}
	}
	switch rest := text[1:]; text[0] {
	case '=':
		return Selector{Key: rest}
	case '~':
		return Selector{Pattern: rest}
	default:
		return Selector{Prefix: rest}
	}
}
