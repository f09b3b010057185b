package cli

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/innatural/chatbot/framework/telemetry"
)

// checks are what the doctor looks at, in the order in which it tells.
var checks = []struct {
	name string
	run  func(*patient) finding
}{
	{"server", (*patient).checkServer},
	{"clock", (*patient).checkClock},
	{"policy", (*patient).checkPolicy},
	{"cache", (*patient).checkCache},
	{"hit rate", (*patient).checkHitRate},
	{"compression", (*patient).checkCompression},
	{"redis", (*patient).checkRedis},
	{"model", (*patient).checkModel},
	{"store", (*patient).checkStore},
	{"stream", (*patient).checkStream},
	{"refusals", (*patient).checkRefusals},
	{"errors", (*patient).checkErrors},
	{"promises", (*patient).checkPromises},
	{"slow", (*patient).checkSlow},
	{"growth", (*patient).checkGrowth},
	{"telemetry", (*patient).checkTelemetry},
}

func (p *patient) checkServer() finding {
	ready, err := p.ask(call{"health.ready", http.MethodGet, "/readyz", "", nil})
	took := p.live.arrived.Sub(p.live.sent).Round(10 * time.Microsecond)
	switch {
	case p.live.status != http.StatusOK:
		return fail("is it this program that answers there, and does its policy have a route with the handler health.live?",
			"%s/livez is answered %d", p.client.server, p.live.status)
	case err == nil && ready.status == http.StatusServiceUnavailable:
		return warn("it takes no new work; if it does not end, look for streams that stay open", "it stops: /readyz is answered 503")
	}
	return fine("version %s answers within %v", cmp.Or(p.health.Version, "unknown"), took)
}

// Differences between clocks that are told.
const (
	skewTold = 3 * time.Second
	skewBad  = 30 * time.Second
)

func (p *patient) checkClock() finding {
	date, err := http.ParseTime(p.live.header.Get("Date"))
	if err != nil {
		return warn("something on the way removes it; caches need it", "the answer has no Date")
	}
	// A date has whole seconds, cut off.
	skew := date.Add(500 * time.Millisecond).Sub(p.live.sent.Add(p.live.arrived.Sub(p.live.sent) / 2)).Round(time.Second)
	const advice = "let both machines follow a time server (timedatectl); ages of stored answers, limits and tickets depend on it"
	switch {
	case skew.Abs() >= skewBad:
		return fail(advice, "its clock and the one here differ by %v", skew.Abs())
	case skew.Abs() >= skewTold:
		return warn(advice, "its clock and the one here differ by %v", skew.Abs())
	}
	return fine("its clock and the one here agree")
}

// blind is the finding of a check that needs metrics which are not shown.
func (p *patient) blind() (finding, bool) {
	return warn("name the server's policy with --policy, and the admin token if its route asks for one", "cannot be seen: %s", p.unread),
		p.metrics == nil
}

func (p *patient) checkPolicy() finding {
	if f, is := p.blind(); is {
		return f
	}
	if ok, there := p.sum(telemetry.PolicyLastReloadSuccess); there && ok == 0 {
		file := slices.Collect(maps.Keys(p.by(telemetry.PolicyInfo, telemetry.LabelFile)))
		return fail(fmt.Sprintf("%s check %s, with the server's environment, says why; a restart would fail", p.client.program, strings.Join(file, " ")),
			"the last reload was refused, the policy before it is served")
	}
	at, _ := p.sum(telemetry.PolicyLastReloadTimestamp)
	return fine("loaded %s", humanize.Time(time.Unix(int64(at), 0)))
}

func (p *patient) checkHitRate() finding {
	if f, is := p.blind(); is {
		return f
	}
	by := p.by(telemetry.CacheResponses, telemetry.LabelResult)
	asked := by["hit"] + by["stale"] + by["miss"]
	const few = 100 // look-ups say nothing
	evictions, _ := p.sum(telemetry.CacheEvictions, telemetry.LabelLayer, "memory")
	rate := (by["hit"] + by["stale"]) / max(asked, 1)
	switch {
	case asked < few:
		return fine("too early to tell: %.0f look-ups", asked)
	case rate < 0.5 && evictions > asked/10: //nolint:mnd // a tenth
		return fail("raise cache.memory", "%s of %.0f look-ups hit, and %.0f entries were evicted for others", percent(rate), asked, evictions)
	case rate < 0.5: //nolint:mnd // as the alert has it
		route, misses := largest(p.by(telemetry.CacheResponses, telemetry.LabelRoute, telemetry.LabelResult, "miss"))
		return fail(fmt.Sprintf("%s explain GET %s shows what its key is made of: a parameter that differs each time is another key; "+
			"or its ttl is short", p.client.program, route), "%s of %.0f look-ups hit; most misses, %.0f, are of %s", percent(rate), asked, misses, route)
	}
	return fine("%s of %.0f look-ups", percent(rate), asked)
}

func (p *patient) checkRedis() finding {
	if f, is := p.blind(); is {
		return f
	}
	up, there := p.sum(telemetry.CacheUp, telemetry.LabelLayer, "redis")
	latency, _ := p.sum(telemetry.CacheLatency, telemetry.LabelLayer, "redis")
	waits, _ := p.sum(telemetry.CacheConnectionWaits, telemetry.LabelLayer, "redis", telemetry.LabelResult, "timeout")
	const slow = 0.02 // seconds
	switch {
	case !there:
		return fine("the policy names none")
	case up == 0:
		return fail("redis-cli -h HOST -p PORT ping, from the server's machine; the log line \"Redis does not answer\" says why. Memory serves alone",
			"it does not answer (circuit %s)", p.health.Services["redis"].Circuit)
	case latency > slow:
		return warn("look at its slowlog and its machine, and the network between", "its last answer took %.0f ms", 1000*latency)
	case waits > 0:
		return warn("more is asked of it at once than its 64 connections carry", "%.0f operations got no connection in time", waits)
	}
	return fine("answers within %.1f ms", 1000*latency)
}

func (p *patient) checkModel() finding {
	service, there := p.health.Services["model"]
	degraded := p.by(telemetry.ChatDegraded, telemetry.LabelReason)
	total := 0.0
	for _, n := range degraded {
		total += n
	}
	reason, _ := largest(degraded)
	messages, _ := p.sum(telemetry.ChatMessages)
	advice := "the log line \"Model attempt failed\" says why; customers get embedded answers"
	switch {
	case !there:
		return fine("there is no chat")
	case service.Status == "disabled":
		return fine("the policy names none: answers are embedded ones")
	case service.Status != "healthy":
		var open []string
		for _, name := range slices.Sorted(maps.Keys(service.Upstreams)) {
			if state := service.Upstreams[name].Circuit; state != "closed" {
				open = append(open, name+" is "+state)
			}
		}
		return fail(advice, "it is %s: circuit of %s", service.Status, strings.Join(open, ", "))
	case p.chat != nil && p.chat.degraded != "":
		return fail(advice, "it did not answer the doctor's question: %s", p.chat.degraded)
	case messages > 0 && total > messages/10: //nolint:mnd // as the alert has it
		return warn(advice, "%.0f of %.0f messages were answered without it, most for %s", total, messages, reason)
	}
	return fine("it answers")
}

func (p *patient) checkStore() finding {
	service, there := p.health.Services["store"]
	switch {
	case !there:
		return fine("there is no chat")
	case service.Status != "healthy":
		return fail("the log line \"The chat's store can't be written\" says why: its disk, or Redis; customers are answered, and forgotten",
			"conversations and tickets can't be kept (%s)", service.Kind)
	}
	return fine("conversations and tickets are kept (%s)", service.Kind)
}

func (p *patient) checkRefusals() finding {
	if f, is := p.blind(); is {
		return f
	}
	by := p.by(telemetry.HTTPRejectedRequests, telemetry.LabelReason)
	delete(by, "stopping")
	requests, _ := p.sum(telemetry.HTTPRequestDuration)
	total := 0.0
	for _, n := range by {
		total += n
	}
	advice := map[string]string{
		"rate":      "a load test is one client: raise limits.requests of the route; behind a proxy all customers may be one",
		"in_flight": "the route's limits.in_flight: its handler is slow, or there is more load than the server was given",
		"abandoned": "handlers ignore their context after a timeout: mend them; server.max_abandoned bounds them",
	}
	reason, n := largest(by)
	switch {
	case total == 0:
		return fine("none of %.0f requests", requests)
	case reason == "rate":
		return warn(advice[reason], "%.0f requests were answered 429", n)
	}
	return fail(cmp.Or(advice[reason], "the server had more to do than it takes"), "%.0f requests were answered 503 (%s)", n, reason)
}

func (p *patient) checkErrors() finding {
	if f, is := p.blind(); is {
		return f
	}
	all, _ := p.sum(telemetry.HTTPRequestDuration)
	failed, worst, most := 0.0, "", 0.0
	for status := range p.by(telemetry.HTTPRequestDuration, telemetry.LabelStatus) {
		if status < "500" && status != "408" || status == telemetry.Other {
			continue
		}
		for route, n := range p.by(telemetry.HTTPRequestDuration, telemetry.LabelRoute, telemetry.LabelStatus, status) {
			if failed += n; n > most {
				worst, most = route+" "+status, n
			}
		}
	}
	switch {
	case failed == 0:
		return fine("none of %.0f requests", all)
	case failed > all/100: //nolint:mnd // as the alert has it
		return fail("grep 'Request failed' and 'Request timeout' in the log", "%.0f of %.0f requests were answered 5xx or 408, most %s", failed, all, worst)
	}
	return fine("%s of %.0f requests, most %s", percent(failed/all), all, worst)
}

func (p *patient) checkPromises() finding {
	promises, err := p.client.promises()
	if err != nil {
		return warn("the policy needs a route with the handler "+summaryHandler, "cannot be seen: %v", err)
	}
	var broken, burning []string
	for _, route := range slices.Sorted(maps.Keys(promises)) {
		r := promises[route]
		if now := r.BurnRates["1h"]; !r.Kept {
			broken = append(broken, route)
		} else if now.Latency > 1 || now.Errors > 1 {
			burning = append(burning, route)
		}
	}
	switch advice := p.client.program + " slo " + p.client.server + " shows by how much"; {
	case len(broken) > 0:
		return fail(advice, "broken: %s", strings.Join(broken, ", "))
	case len(burning) > 0:
		return warn(advice, "kept, but broken in the last hour: %s", strings.Join(burning, ", "))
	}
	return fine("%s, kept", plural(int64(len(promises)), "route"))
}

func (p *patient) checkSlow() finding {
	if f, is := p.blind(); is {
		return f
	}
	slow := p.by(telemetry.HTTPSlowRequests, telemetry.LabelRoute)
	route, n := largest(slow)
	all, _ := p.sum(telemetry.HTTPRequestDuration, telemetry.LabelRoute, route)
	abandoned, _ := p.sum(telemetry.HTTPAbandonedHandlers)
	switch {
	case abandoned > 0:
		return warn("they ignore their context; each holds memory until it ends", "%.0f handlers run on after their requests have ended", abandoned)
	case n > all/100: //nolint:mnd // one in a hundred
		return warn("grep 'Slow endpoint detected' in the log; cache the route, or mend what it waits for",
			"%.0f of %.0f requests of %s were slow", n, all, route)
	}
	return fine("no route is slow more often than once in a hundred times")
}

func (p *patient) checkGrowth() finding {
	if f, is := p.blind(); is {
		return f
	}
	const (
		beside     = 512 << 20 // bytes that a process may have beside the layer
		goroutines = 20_000
	)
	rss, _ := p.sum("process_resident_memory_bytes")
	layer, _ := p.sum(telemetry.CacheMaxBytes)
	running, _ := p.sum("go_goroutines")
	streams, _ := p.sum(telemetry.HTTPOpenStreams)
	size := humanize.IBytes(uint64(rss))
	switch {
	case running > goroutines+4*streams:
		return warn("a plugin may leak them: /debug/pprof/goroutine?debug=1 counts them by place", "%.0f goroutines", running)
	case rss > layer*1.15+beside:
		return warn("a profile says who holds it: go tool pprof URL/debug/pprof/heap", "%s of memory, %s of which is for the cache", size,
			humanize.IBytes(uint64(layer)))
	}
	return fine("%s of memory, %.0f goroutines", size, running)
}

func (p *patient) checkTelemetry() finding {
	if f, is := p.blind(); is {
		return f
	}
	lines, _ := p.sum(telemetry.LogLinesDropped)
	spans := p.by(telemetry.TraceSpans, telemetry.LabelResult)
	switch lost := spans["failed"] + spans["dropped"]; {
	case lines > 0:
		return warn("a sink is full or slow; the other sinks have \"Log sink failed\"", "%.0f log lines were lost", lines)
	case lost > 0:
		return warn("the receiver at telemetry.traces.endpoint is away or slow", "%.0f spans of %.0f were lost", lost, lost+spans["exported"])
	}
	return fine("no log line and no span was lost")
}

// largest returns the name with the largest number.
func largest(of map[string]float64) (name string, n float64) {
	for _, candidate := range slices.Sorted(maps.Keys(of)) {
		if of[candidate] > n {
			name, n = candidate, of[candidate]
		}
	}
	return name, n
}
