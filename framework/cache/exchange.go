package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// exchange notes purges and tells what was purged since a stamp; all of the log when the epoch is another. It begins a log where
// there is none. ARGV: channel, epoch, stamp, members that the log holds, 1 for a flush, members to note. It returns born, epoch,
// clock, floor, the subscribers that were told, and members with their stamps.
var exchange = redis.NewScript(`
local log = KEYS[1]
local function at(member) return tonumber(redis.call('ZSCORE', log, member)) or 0 end
local function text(n) return string.format('%.0f', n) end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local born, epoch, clock, floor, told = at('born'), at('epoch'), at('clock'), at('floor'), 0
local begin = clock == 0
if begin then born, epoch, clock = now, now, now end
local note = ARGV[5] == '1' or #ARGV > 5
if note then
	clock = math.max(clock + 1, now)
	if ARGV[5] == '1' then
		redis.call('DEL', log)
		epoch, floor = clock, 0
	end
	for i = 6, #ARGV do redis.call('ZADD', log, text(clock), ARGV[i]) end
	local most = tonumber(ARGV[4])
	local excess = redis.call('ZCARD', log) - most
	if excess > 0 then
		local last = excess + math.floor(most / 10)
		floor = tonumber(redis.call('ZRANGE', log, last, last, 'WITHSCORES')[2])
		redis.call('ZREMRANGEBYSCORE', log, '-inf', text(floor))
	end
end
if begin or note then
	redis.call('ZADD', log, text(born), 'born', text(epoch), 'epoch', text(clock), 'clock', text(floor), 'floor')
end
if note then told = redis.call('PUBLISH', ARGV[1], text(clock)) end
local from = '(' .. ARGV[3]
if text(epoch) ~= ARGV[2] then from = '-inf' end
return {text(born), text(epoch), text(clock), text(floor), told, redis.call('ZRANGEBYSCORE', log, from, '+inf', 'WITHSCORES')}
`)

// purge purges in Redis and so on the other instances, and returns how many of those were told. On an error that is made up for when
// Redis is back.
func (r *Redis) purge(ctx context.Context, p Purge) (told int, err error) {
	s := r.log.add(p)
	if r.circuit.Load() != circuitClosed {
		return 0, errors.New("purge redis: it does not answer; what was asked for is done when it does")
	}
	// It is not the caller's to give up half-way; agree has a limit of its own.
	told, err = r.agree(context.WithoutCancel(ctx), s)
	if err != nil {
		r.cut(err)
		return 0, fmt.Errorf("purge redis: %w; it is done when redis answers again", err)
	}
	if r.listening.Load() { // it is a subscriber, too
		told--
	}
	return max(told, 0), nil
}

// agree sends the outbox and reads on in the log. It returns how many subscribers were told of one of the purges.
func (r *Redis) agree(ctx context.Context, of *sent) (told int, err error) {
	ctx, cancel := context.WithTimeout(ctx, agreeWithin)
	defer cancel()
	r.log.agreeing.Lock()
	defer r.log.agreeing.Unlock()
	for range 3 { // the second time repeats what a Redis that began anew has lost
		pending, known := r.log.pending(), r.log.now()
		args := []any{r.channel(), known.epoch, known.seen, maxMembers, 0}
		for _, s := range pending {
			if s.purge.All {
				args[4] = 1
			}
			args = append(args, s.purge.members()...)
		}
		began := time.Now()
		answer, err := exchange.Run(ctx, r.control, []string{r.logKey()}, args...).Slice()
		if err != nil {
			return 0, fmt.Errorf("exchange purges: %w", err)
		}
		r.latency.Store(int64(time.Since(began)))
		news, err := parseNews(answer)
		if err != nil {
			return 0, err
		}
		if again := r.learn(news, pending); !again {
			if of != nil {
				told = of.told
			}
			return told, nil
		}
	}
	return 0, errors.New("redis loses the purges that it is given")
}

// news is what exchange returns.
type news struct {
	born, epoch, clock, floor uint64
	told                      int
	purges                    []stamped
}

type stamped struct {
	member string
	stamp  uint64
}

var errNews = errors.New("exchange purges: the log is not one of ours; is the prefix used by another program?")

func parseNews(answer []any) (*news, error) {
	n := &news{}
	if len(answer) != 6 {
		return nil, errNews
	}
	for i, into := range []*uint64{&n.born, &n.epoch, &n.clock, &n.floor} {
		text, _ := answer[i].(string)
		var err error
		if *into, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, errNews
		}
	}
	told, ok := answer[4].(int64)
	log, ok2 := answer[5].([]any)
	if !ok || !ok2 || len(log)%2 != 0 {
		return nil, errNews
	}
	n.told = int(told)
	for i := 0; i < len(log); i += 2 {
		member, _ := log[i].(string)
		score, _ := log[i+1].(string)
		stamp, err := strconv.ParseFloat(score, 64)
		if err != nil {
			return nil, errNews
		}
		n.purges = append(n.purges, stamped{member, uint64(stamp)})
	}
	return n, nil
}

// learn takes over what was purged, first for reads from Redis, then in memory: a read that was checked before and arrives in
// memory in between is refused there. It reports whether there are purges that Redis must be given again because it lost them.
func (r *Redis) learn(n *news, taken []*sent) (again bool) {
	var hard, soft Purge
	l := &r.log
	l.mu.Lock()
	first := l.epoch == 0
	lost := !first && (n.born != l.born || n.clock < l.seen)
	rolledBack := lost && n.born == l.born
	flushed := !first && !lost && n.epoch != l.epoch
	missed := !first && !lost && n.floor > l.seen // what is forgotten was not read before
	if n.epoch != l.epoch {
		l.hard, l.soft = newMarks(), newMarks()
	}
	if n.floor != l.floor {
		l.hard.forget(n.floor)
		l.soft.forget(n.floor)
	}
	for _, s := range n.purges {
		p := parseMember(s.member)
		all, marks := &hard, &l.hard
		if p.Soft {
			all, marks = &soft, &l.soft
		}
		marks.note(&p, s.stamp)
		all.merge(&p)
	}
	l.born, l.epoch, l.seen, l.floor = n.born, n.epoch, n.clock, n.floor
	for _, s := range taken {
		s.at, s.told = time.Now(), n.told
	}
	if lost {
		l.forgetTaken()
	}
	if rolledBack { // its values are older than its log says
		l.outbox = []*sent{{purge: Purge{All: true}}}
	}
	l.trim()
	again = lost && l.unsent > 0
	l.mu.Unlock()

	switch {
	case first:
	case flushed, missed:
		r.memory.Flush()
	default:
		r.memory.learn(&hard, &soft)
	}
	return again
}

// learn purges what others purged, without counting it.
func (m *Memory) learn(hard, soft *Purge) {
	hard.resolve()
	for _, key := range hard.Keys {
		m.Delete(key)
	}
	for _, tag := range hard.Tags {
		m.PurgeTag(tag)
	}
	if len(hard.Selectors) > 0 {
		m.Purge(hard.selects)
	}
	soft.resolve()
	if len(soft.Keys)+len(soft.Tags)+len(soft.Selectors) > 0 {
		m.soften(*soft)
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
			switch m := message.(type) {
			case *redis.Subscription:
				r.listening.Store(true)
			case *redis.Message:
				if stamp, err := strconv.ParseUint(m.Payload, 10, 64); err == nil && stamp > r.log.now().seen {
					r.rouse()
				}
			}
			continue
		}
		if r.circuit.Load() == circuitClosed && messages.Ping(r.stopped) != nil {
			r.listening.Store(false)
			r.rouse() // it was more than silence: the keeper finds out
			select {
			case <-r.stopped.Done():
			case <-time.After(probeEvery):
			}
		}
	}
}
