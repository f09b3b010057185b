package main

const requests = "http_server_request_duration_seconds"

// service is the dashboard of every service that the framework runs.
func service() board {
	return board{
		name: "service", title: "INnatural / Service",
		about: "Response time, throughput, errors, saturation, promises and the process. The dashed red lines are what the policy promises.",
		variables: []variable{
			{"route", "Route", `label_values(http_server_request_duration_seconds_count{job=~"$job",instance=~"$instance"}, http_route)`},
		},
		rows: []row{
			{"Now", []panel{
				{
					title: "Requests", about: "Requests answered per second.", unit: "reqps", kind: number, width: 4,
					queries: []query{{`sum(rate(` + requests + `_count{@@}[$__rate_interval]))`, "requests"}},
				},
				{
					title: "P95", about: "Time within which 95 % of requests are answered. Red over 1 s, where HighResponseTime warns.",
					unit: "s", kind: number, width: 4, limits: []float64{1},
					queries: []query{{quantile(0.95, requests, "@@", ""), "P95"}},
				},
				{
					title: "Failed", about: "Share of requests answered 5xx or 408. The target is under 1 %.", unit: "percentunit", kind: number,
					width: 4, limits: []float64{0.01}, queries: []query{{failed(`http_response_status_code=~"5..|408"`), "failed"}},
				},
				{
					title: "Budget left", about: "Least part of an error budget that is left over the time shown; below 0 a promise is broken.",
					unit: "percentunit", kind: number, width: 4, limits: []float64{0}, floor: true,
					queries: []query{{`min(` + budgetLeft + `)`, "left"}},
				},
				{
					title: "Up", about: "Instances that answer Prometheus, of those that it knows.", unit: "percentunit", kind: number, width: 4,
					limits: []float64{1}, floor: true, queries: []query{{`avg(up{@})`, "up"}},
				},
				{
					title: "Version", about: "Versions that run, with their policies.", unit: "short", kind: text, width: 4,
					queries: []query{{`count by (version, hash) (policy_info{@})`, "{{version}} {{hash}}"}},
				},
			}},
			{"Response time", []panel{
				{
					title: "Response time", about: "Of all chosen routes together, streams until their first piece.", unit: "s",
					queries: quantiles(requests, "@@"),
				},
				{
					title: "P95 of promised routes", unit: "s",
					about: "Time within which 95 % of the requests of routes that promise something are answered, and what the policy promises.",
					queries: []query{
						{
							quantile(0.95, requests, "@@", "http_route, http_request_method") +
								` and on (http_route, http_request_method) policy_slo_latency_seconds{@@}`, "{{http_request_method}} {{http_route}}",
						},
						{
							`max by (http_route, http_request_method, quantile) (policy_slo_latency_seconds{@@})`,
							"promised of {{http_request_method}} {{http_route}} for {{quantile}}",
						},
					},
				},
				{
					title: "P95 by route", about: "Time within which 95 % of a route's requests are answered.", unit: "s",
					queries: []query{{quantile(0.95, requests, "@@", "http_route"), "{{http_route}}"}},
				},
				{
					title: "P99 by route", about: "Time within which 99 % of a route's requests are answered.", unit: "s",
					queries: []query{{quantile(0.99, requests, "@@", "http_route"), "{{http_route}}"}},
				},
				{
					title: "Slow requests", about: "Requests over their route's slow threshold, per second; the log line is \"Slow endpoint detected\".",
					unit: "reqps", queries: []query{{orZero(rate("http_server_slow_requests_total", "@@", "http_route").expr), "{{http_route}}"}},
				},
				{
					title: "P95 over 24 hours", about: "The trend of response time, whatever time is chosen above.", unit: "s", day: true,
					queries: []query{{quantile(0.95, requests, "@@", ""), "P95"}},
				},
			}},
			{"Throughput", []panel{
				{
					title: "Requests by route", about: "Requests answered per second.", unit: "reqps", stacked: true,
					queries: []query{rate(requests+"_count", "@@", "http_route")},
				},
				{
					title: "Sent", about: "Bytes of bodies sent per second, as compressed, by route.", unit: "Bps", stacked: true,
					queries: []query{rate("http_server_response_body_bytes_total", "@@", "http_route")},
				},
				{
					title: "Requests over 24 hours", about: "The trend of load, whatever time is chosen above.", unit: "reqps", day: true,
					queries: []query{{`sum(rate(` + requests + `_count{@@}[$__rate_interval]))`, "requests"}},
				},
			}},
			{"Errors", []panel{
				{
					title: "Errors: 4xx and 5xx", about: "Share of requests answered with an error: 4xx is the client's, 5xx ours. The line is the target, 1 %.",
					unit: "percentunit", limits: []float64{0.01},
					queries: []query{{failed(`http_response_status_code=~"4.."`), "4xx"}, {failed(`http_response_status_code=~"5.."`), "5xx"}},
				},
				{
					title: "Errors by route", about: "Requests answered 4xx or 5xx per second.", unit: "reqps", stacked: true,
					queries: []query{{
						orZero(rate(requests+"_count", `@@,http_response_status_code=~"[45].."`, "http_route, http_response_status_code").expr),
						"{{http_response_status_code}} {{http_route}}",
					}},
				},
				{
					title: "Errors over 24 hours", about: "Share of requests answered 5xx or 408, whatever time is chosen above; the target is 1 %.",
					unit: "percentunit", day: true, limits: []float64{0.01},
					queries: []query{{failed(`http_response_status_code=~"5..|408"`), "failed"}},
				},
				{
					title: "Timeouts and panics", about: "Requests answered 408 because their route's timeout passed, and handlers that panicked, per second.",
					unit: "reqps", queries: []query{
						{orZero(`sum by (http_route) (rate(http_server_request_timeouts_total{@@}[$__rate_interval]))`), "timeout {{http_route}}"},
						{orZero(`sum by (http_route) (rate(http_server_panics_total{@@}[$__rate_interval]))`), "panic {{http_route}}"},
					},
				},
				{
					title: "Clients gone", about: "Requests whose client left before the answer was complete, per second.", unit: "reqps",
					queries: []query{{orZero(rate("http_server_client_gone_total", "@@", "http_route").expr), "{{http_route}}"}},
				},
				{
					title: "Refused", about: "Requests refused before their handler ran, per second, by reason.", unit: "reqps", stacked: true,
					queries: []query{{orZero(rate("http_server_rejected_requests_total", "@", "reason").expr), "{{reason}}"}},
				},
			}},
			{"Promises", []panel{
				{
					title: "Burn rate over 5 minutes", unit: "short", width: 12,
					about:   "How fast error budgets are spent: at 1 (the line) a budget lasts for exactly its window. By the rules of rules/slo.yml.",
					queries: []query{{`slo:burn_rate:5m{job=~"$job",http_route=~"$route"}`, "{{objective}} {{http_request_method}} {{http_route}}"}},
					limits:  []float64{1},
				},
				{
					title: "Burn rate over an hour", unit: "short", width: 12,
					about:   "As over 5 minutes; SLOBudgetBurnsFast pages when both are over 14.4 for a window of 30 days.",
					queries: []query{{`slo:burn_rate:1h{job=~"$job",http_route=~"$route"}`, "{{objective}} {{http_request_method}} {{http_route}}"}},
					limits:  []float64{1},
				},
				{
					title: "Budget left", unit: "percentunit", width: 12,
					about:   "Part of each error budget that is left, when the time shown above is taken as its window. 0 is spent.",
					queries: []query{{budgetLeft, "{{objective}} {{http_request_method}} {{http_route}}"}},
					limits:  []float64{0}, floor: true,
				},
				{
					title: "Promised share of errors", unit: "percentunit", width: 12,
					about: "Requests answered 5xx or 408, by route, and the share that the policy allows.",
					queries: []query{
						{
							`sum by (http_route) (rate(http_server_slo_breaches_total{@@,objective="errors"}[$__rate_interval]))` +
								` / sum by (http_route) (rate(http_server_slo_requests_total{@@}[$__rate_interval]))`, "{{http_route}}",
						},
						{`max by (http_route, http_request_method) (policy_slo_error_ratio{@@})`, "promised of {{http_request_method}} {{http_route}}"},
					},
				},
			}},
			{"Saturation", []panel{
				{
					title: "In flight", about: "Requests and streams under way.", unit: "short", queries: []query{
						{`sum(http_server_active_requests{@})`, "requests"}, {`sum(http_server_open_streams{@})`, "streams"},
					},
				},
				{
					title: "Abandoned handlers", about: "Handlers that still run after their request timed out or its client left.", unit: "short",
					queries: []query{{`sum by (instance) (http_server_abandoned_handlers{@})`, "{{instance}}"}},
				},
				{
					title: "Connections", about: "Open connections of clients, idle ones included.", unit: "short",
					queries: []query{{`sum by (instance) (http_server_open_connections{@})`, "{{instance}}"}},
				},
				{
					title: "Handlers", about: "Handlers that run, of how many may at once, and requests that wait for theirs.", unit: "short",
					queries: []query{
						{`sum by (instance) (http_server_running_handlers{@})`, "{{instance}} running"},
						{`sum by (instance) (http_server_queued_requests{@})`, "{{instance}} waiting"},
						{`sum by (instance) (http_server_concurrency_limit{@} > 0)`, "promised most of {{instance}}"},
					},
				},
				{
					title: "Wait for a handler", about: "Time that requests waited, of those that had to: P50, P95 and P99.", unit: "s",
					queries: quantiles("http_server_queue_wait_seconds", "@"),
				},
				{
					title: "Refused by priority", about: "Requests refused before their handler ran, per second: the least important should go first.",
					unit: "reqps", stacked: true, queries: []query{rate("http_server_rejected_requests_total", "@", "priority, reason")},
				},
				{
					title: "Delayed", about: "Requests per second that were delayed because their client was near its limit.", unit: "reqps",
					queries: []query{{`sum by (instance) (rate(http_server_delayed_requests_total{@}[$__rate_interval]))`, "{{instance}}"}},
				},
				{
					title: "Limits counted", about: "Requests per second to routes whose limit is shared, by where they were counted. Memory: Redis was away.",
					unit: "reqps", queries: []query{rate("http_server_rate_decisions_total", "@", "store")},
				},
				{
					title: "Connections refused", about: "Connections closed at once because there were too many, per second.", unit: "cps",
					queries: []query{rate("http_server_refused_connections_total", "@", "reason")},
				},
			}},
			{"System", []panel{
				{
					title: "CPU", about: "Processor time of the process, of what it may use. The line is the bound to scale at, 70 %.", unit: "percentunit",
					limits:  []float64{0.7},
					queries: []query{{`rate(process_cpu_seconds_total{@}[$__rate_interval]) / go_sched_gomaxprocs_threads{@}`, "{{instance}}"}},
				},
				{
					title: "Memory", about: "Resident memory, of the limit that the service set itself or was given. The line is the bound, 80 %.",
					unit: "percentunit", limits: []float64{0.8},
					queries: []query{{`process_resident_memory_bytes{@} / go_gc_gomemlimit_bytes{@}`, "{{instance}}"}},
				},
				{
					title: "Memory in bytes", about: "What the operating system counts, and what lives on Go's heap.", unit: "bytes",
					queries: []query{
						{`process_resident_memory_bytes{@}`, "{{instance}} resident"}, {`go_memstats_heap_alloc_bytes{@}`, "{{instance}} heap"},
					},
				},
				{
					title: "Goroutines", about: "Goroutines, and threads of the operating system. A rise that does not end is a leak.", unit: "short",
					queries: []query{{`go_goroutines{@}`, "{{instance}}"}, {`go_threads{@}`, "{{instance}} threads"}},
				},
				{
					title: "Garbage collection", about: "Pauses: the longest of the last ones, and how many collections there were per second.", unit: "s",
					queries: []query{
						{`max by (instance) (go_gc_duration_seconds{@,quantile=~"1|1.0"})`, "{{instance}} longest pause"},
						{`rate(go_gc_duration_seconds_sum{@}[$__rate_interval])`, "{{instance}} paused, seconds per second"},
					},
				},
				{
					title: "Scheduler latency", about: "Time that goroutines waited for a processor, P50 and P99. It rises before requests get slow.",
					unit: "s", queries: []query{
						{quantile(0.5, "go_sched_latencies_seconds", "@", "instance"), "{{instance}} P50"},
						{quantile(0.99, "go_sched_latencies_seconds", "@", "instance"), "{{instance}} P99"},
					},
				},
				{
					title: "Allocations", about: "Bytes allocated per second: what gives the garbage collector its work.", unit: "Bps",
					queries: []query{{`rate(go_memstats_alloc_bytes_total{@}[$__rate_interval])`, "{{instance}}"}},
				},
				{
					title: "Files", about: "Open files and sockets, of what the operating system allows.", unit: "percentunit",
					queries: []query{{`process_open_fds{@} / process_max_fds{@}`, "{{instance}}"}},
				},
				{
					title: "Lost telemetry", about: "Log lines and spans of traces that were dropped, per second. Should be 0.", unit: "cps",
					queries: []query{
						{orZero(`sum by (sink) (rate(log_lines_dropped_total{@}[$__rate_interval]))`), "log lines {{sink}}"},
						{orZero(`sum by (result) (rate(trace_spans_total{@,result!="exported"}[$__rate_interval]))`), "spans {{result}}"},
					},
				},
			}},
			{"Policy and upstreams", []panel{
				{
					title: "Reloads", about: "Attempts to reload the policy, by result.", unit: "short", width: 6,
					queries: []query{{`sum by (result) (increase(policy_reloads_total{@}[$__rate_interval]))`, "{{result}}"}},
				},
				{
					title: "Undeclared reads", about: "Reads of inputs that are not in the cache key of their route: a fault of a plugin, or of the policy.",
					unit: "cps", width: 6, queries: []query{{orZero(rate("http_server_undeclared_reads_total", "@@", "http_route").expr), "{{http_route}}"}},
				},
				{
					title: "Proxied requests", about: "Requests to the targets behind the proxy, by result.", unit: "reqps", width: 6,
					queries: []query{rate("proxy_requests_total", "@", "upstream, target, result")},
				},
				{
					title: "Proxied response time", about: "P95 of the time to the head of a target's answer.", unit: "s", width: 6,
					queries: []query{{quantile(0.95, "proxy_request_duration_seconds", "@", "upstream, target"), "{{upstream}} {{target}}"}},
				},
				{
					title: "Targets", about: "Whether targets take requests: 1, or 0 after too many failures.", unit: "short", width: 12, max: 1.2,
					queries: []query{{`min by (upstream, target) (proxy_target_up{@})`, "{{upstream}} {{target}}"}},
				},
				{
					title: "Connections to targets", about: "Open connections, idle ones included.", unit: "short", width: 12,
					queries: []query{{`sum by (upstream, target) (proxy_open_connections{@})`, "{{upstream}} {{target}}"}},
				},
			}},
		},
	}
}

// budgetLeft is the part of each error budget that is left over the time shown.
const budgetLeft = `1 - sum by (http_route, http_request_method, objective) (increase(http_server_slo_breaches_total{@@}[$__range]))` +
	` / (sum by (http_route, http_request_method, objective) (` +
	`policy_slo_budget_ratio{@@} * on (instance, http_route, http_request_method) group_left ()` +
	` (increase(http_server_slo_requests_total{@@}[$__range]) > 0)))`

// failed is the share of requests with a status, 0 where there were none.
func failed(status string) string {
	return `(sum(rate(` + requests + `_count{@@,` + status + `}[$__rate_interval])) or vector(0)) / sum(rate(` + requests + `_count{@@}[$__rate_interval]))`
}
