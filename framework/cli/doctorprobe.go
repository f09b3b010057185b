package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/innatural/chatbot/framework/telemetry"
)

// maxProbes is how many cached routes are asked for.
const maxProbes = 8

// examined is what came of asking twice for a path whose answers are stored, and once compressed.
type examined struct{ second, packed *reply }

// cachedPaths asks for the paths of the policy that are stored and can be asked for as they are, and returns those that were
// answered.
func (p *patient) cachedPaths() []string {
	for _, path := range slices.Sorted(maps.Keys(p.by(telemetry.PolicyTTL, telemetry.LabelRoute, telemetry.LabelMethod, http.MethodGet))) {
		if ttl, _ := p.sum(telemetry.PolicyTTL, telemetry.LabelRoute, path); ttl == 0 || strings.ContainsAny(path, ":*") || len(p.examined) == maxProbes {
			continue
		}
		if _, done := p.examined[path]; done {
			continue
		}
		of := call{"", http.MethodGet, path, "", nil}
		if first, err := p.ask(of); err != nil || first.status != http.StatusOK { // it may want parameters
			continue
		}
		second, err := p.ask(of)
		packed, err2 := p.ask(of, "Accept-Encoding", "gzip")
		if err == nil && err2 == nil {
			p.examined[path] = examined{second, packed}
		}
	}
	return slices.Sorted(maps.Keys(p.examined))
}

func (p *patient) checkCache() finding {
	if f, is := p.blind(); is {
		return f
	}
	paths := p.cachedPaths()
	for _, path := range paths {
		r := p.examined[path].second
		switch outcome := r.header.Get("X-Cache"); outcome {
		case "HIT", "STALE":
		case "":
			return fail("something on the way removes it, or answers itself: ask the server directly", "GET %s, asked twice, has no X-Cache", path)
		default:
			return fail(fmt.Sprintf("Cache-Status says why; %s explain GET %s shows what the policy says of it", p.client.program, path),
				"GET %s, asked twice, is a %s: %s", path, outcome, r.header.Get("Cache-Status"))
		}
	}
	if len(paths) == 0 {
		return fine("no stored route can be asked for without parameters")
	}
	return fine("asked twice, %s hit: %s", plural(int64(len(paths)), "path"), strings.Join(paths, " "))
}

func (p *patient) checkCompression() finding {
	if f, is := p.blind(); is {
		return f
	}
	const worthIt = 2 << 10 // bytes
	path, size := "", 0
	for _, candidate := range p.cachedPaths() {
		r := p.examined[candidate].second
		kind := r.header.Get("Content-Type")
		text := strings.HasPrefix(kind, "text/") || strings.Contains(kind, "json") || strings.Contains(kind, "javascript")
		if n := len(r.body); text && n >= worthIt && n > size {
			path, size = candidate, n
		}
	}
	if path == "" {
		return fine("no path that was asked for is large enough to tell")
	}
	packed := p.examined[path].packed
	n := len(packed.body)
	switch coding := packed.header.Get("Content-Encoding"); {
	case coding == "":
		return fail("compression.enabled, the route's compress and compression.min_size turn it on; a proxy may remove Accept-Encoding: ask the server directly",
			"GET %s with Accept-Encoding: gzip comes as it is, %s", path, humanize.IBytes(uint64(size)))
	case n > size/2:
		return warn("raise compression.level", "GET %s shrinks from %d to %d bytes only (%s)", path, size, n, coding)
	default:
		return fine("GET %s shrinks from %d to %d bytes, by %.0f %% (%s)", path, size, n, 100-100*float64(n)/float64(size), coding)
	}
}

// conversation is what came of one message that was answered as a stream.
type conversation struct {
	status      int
	err         error
	header      http.Header
	sized       bool // it came with a length, whole
	events      int
	first, last time.Duration // until the first event and the last
	degraded    string        // why the model did not answer
}

// talk asks a customer's question, reads the answer as it comes, and has the conversation forgotten.
func (p *patient) talk() {
	session := "doctor-" + rand.Text()
	body, err := json.Marshal(map[string]string{"sessionId": session, "message": "Quel shampooing pour cheveux secs ?", "language": "fr"})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), doctorDeadline)
	defer cancel()
	url := p.client.url(call{"chat.stream", http.MethodPost, "/api/chat/stream", "", nil})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	c := &conversation{}
	p.chat = c
	began := time.Now()
	res, err := p.http.Do(req)
	if err != nil {
		c.err = err
		return
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	c.status, c.header, c.sized = res.StatusCode, res.Header, res.ContentLength >= 0
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		if c.last = time.Since(began); c.events == 0 {
			c.first = c.last
		}
		c.events++
		var event struct{ DegradedReason string }
		if json.Unmarshal([]byte(data), &event) == nil && event.DegradedReason != "" {
			c.degraded = event.DegradedReason
		}
	}
	c.err = lines.Err()
	if forget, err := json.Marshal(map[string]string{"sessionId": session}); err == nil {
		_, _ = p.ask(call{"chat.clear", http.MethodPost, "/api/clear-history", "", forget}) // it would be forgotten in a day anyway
	}
}

// telling is the shortest answer whose times tell whether it was held back.
const telling = 100 * time.Millisecond

func (p *patient) checkStream() finding {
	c := p.chat
	const advice = "a proxy on the way holds it back: turn its buffering off for this path (nginx: proxy_buffering off, or leave it " +
		"X-Accel-Buffering), and ask the server directly to compare"
	switch {
	case c == nil:
		return fine("not asked for")
	case c.status == http.StatusNotFound:
		return fine("there is no chat")
	case c.err != nil:
		return fail("ask the server directly, past any proxy", "a chat message failed: %v", c.err)
	case c.status != http.StatusOK:
		return fail("the answer and the log say why", "a chat message is answered %d", c.status)
	case !strings.HasPrefix(c.header.Get("Content-Type"), "text/event-stream"):
		return fail("something on the way answers itself", "a chat message is answered as %s", c.header.Get("Content-Type"))
	case c.sized:
		return fail(advice, "the events came as one answer with a length")
	case c.header.Get("Content-Encoding") != "":
		return fail("a proxy on the way compresses it, and so holds it back: exclude text/event-stream", "the events came compressed (%s)",
			c.header.Get("Content-Encoding"))
	case c.last > telling && c.last-c.first < c.last/10:
		return fail(advice, "all %d events came together, after %v", c.events, c.first.Round(time.Millisecond))
	}
	return fine("%d events, the first after %v, the last after %v", c.events, c.first.Round(time.Millisecond/10), c.last.Round(time.Millisecond/10))
}
