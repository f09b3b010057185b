package main

import "fmt"

// loadtest is the dashboard of the k6 extension's load tests, beside what the server says at the same time. What k6 sends has neither job
// nor instance: "#" stands for the chosen test and scenario instead.
func loadtest() board {
	return board{
		name: "loadtest", title: "INnatural / Load test",
		about: "A load test as customers feel it, by phase, and the server at the same time. k6 sends it here: see dashboards/README.md.",
		variables: []variable{
			{"testid", "Test", `label_values(k6_vus, testid)`},
			{"scenario", "Scenario", `label_values(k6_chat_turns_total{testid=~"$testid"}, scenario)`},
		},
		rows: []row{
			{"Now", []panel{
				{
					title: "Users", about: "Virtual users under way.", unit: "short", kind: number, width: 4,
					queries: []query{{`sum(k6_vus{testid=~"$testid"})`, "users"}},
				},
				{
					title: "Turns", about: "Messages answered per second.", unit: "cps", kind: number, width: 4,
					queries: []query{{`sum(rate(k6_chat_turns_total{#}[$__rate_interval]))`, "turns"}},
				},
				{
					title: "P95 of a turn", about: "From sending a message to the last byte of its answer; turns that failed are not among them.", unit: "s",
					kind: number, width: 4, queries: []query{{k6Quantile(0.95, "k6_chat_duration_seconds", ""), "P95"}},
				},
				{
					title: "Failed", about: "Share of turns that failed.", unit: "percentunit", kind: number, width: 4, limits: []float64{0.01},
					queries: []query{{k6Failed(""), "failed"}},
				},
				{
					title: "Goodput", about: "Share of turns that kept every promise, since the test began.", unit: "percentunit", kind: number, width: 4,
					limits: []float64{0.95}, floor: true, queries: []query{{k6Share("k6_chat_goodput_rate", ""), "goodput"}},
				},
				{
					title: "Recovery", about: "Time from the end of a spike until the server was as before; it runs until then.", unit: "ms", kind: number,
					width: 4, limits: []float64{30000}, queries: []query{{`max(k6_chat_recovery_time{#})`, "recovery"}},
				},
			}},
			{"Load", []panel{
				{
					title: "Users", about: "Virtual users, and the most that there will be.", unit: "short",
					queries: []query{{`sum(k6_vus{testid=~"$testid"})`, "users"}, {`sum(k6_vus_max{testid=~"$testid"})`, "most"}},
				},
				{
					title: "Turns by phase", about: "Messages answered per second.", unit: "cps", stacked: true,
					queries: []query{{`sum by (scenario, phase) (rate(k6_chat_turns_total{#}[$__rate_interval]))`, "{{scenario}} {{phase}}"}},
				},
				{
					title: "Requests at the server", about: "What the server counts at the same time, by route.", unit: "reqps", stacked: true,
					queries: []query{rate(requests+"_count", "@", "http_route")},
				},
				{
					title: "Requests by status", about: "Requests of k6 per second, by the status that it got; 0 is none.", unit: "reqps", stacked: true,
					queries: []query{{`sum by (status) (rate(k6_http_reqs_total{#}[$__rate_interval]))`, "{{status}}"}},
				},
				{
					title: "Conversations", about: "Users' whole conversations per second, by phase.", unit: "cps",
					queries: []query{{`sum by (phase) (histogram_count(rate(k6_chat_conversation_duration_seconds{#}[$__rate_interval])))`, "{{phase}}"}},
				},
				{
					title: "Spike", about: "Turns per second in the phase peak.", unit: "cps",
					queries: []query{{`sum by (scenario) (rate(k6_spike_requests_total{#}[$__rate_interval]))`, "{{scenario}}"}},
				},
			}},
			{"Response time", []panel{
				{
					title: "Turns", about: "P50, P95 and P99 of a turn, and what the policy promises of the chat's routes.", unit: "s",
					queries: []query{
						{k6Quantile(0.5, "k6_chat_duration_seconds", ""), "P50"},
						{k6Quantile(0.95, "k6_chat_duration_seconds", ""), "P95"},
						{k6Quantile(0.99, "k6_chat_duration_seconds", ""), "P99"},
						{`min by (quantile) (policy_slo_latency_seconds{@,http_route=~".*/chat.*"})`, "promised for {{quantile}}"},
					},
				},
				{
					title: "P95 of turns by phase", about: "As customers of each phase feel it.", unit: "s",
					queries: []query{
						{k6Quantile(0.95, "k6_chat_duration_seconds", "phase"), "{{phase}}"},
						{`min by (quantile) (policy_slo_latency_seconds{@,http_route=~".*/chat.*"})`, "promised for {{quantile}}"},
					},
				},
				{
					title: "P95 at the server", unit: "s",
					about:   "What the server measures of the same answers. Where k6 sees more, it is the network, the queue before the server, or k6 itself.",
					queries: []query{{quantile(0.95, "chat_duration_seconds", "@", "source"), "{{source}}"}},
				},
				{
					title: "First token", about: "P95 of the time to the first piece of an answer, by phase.", unit: "s",
					queries: []query{{k6Quantile(0.95, "k6_chat_first_token_seconds", "phase"), "{{phase}}"}},
				},
				{
					title: "From when it was due", about: "P95 of turns counted from when they were due, so that a late start is not hidden, and how late they began.",
					unit: "s", queries: []query{
						{k6Quantile(0.95, "k6_chat_duration_corrected_seconds", ""), "turn"}, {k6Quantile(0.95, "k6_chat_schedule_lag_seconds", ""), "began late by"},
					},
				},
				{
					title: "P95 of turns by intent", about: "By what the message was about.", unit: "s",
					queries: []query{{k6Quantile(0.95, "k6_chat_duration_seconds", "intent"), "{{intent}}"}},
				},
			}},
			{"Errors", []panel{
				{
					title: "Failed by phase", about: "Share of turns that failed, by phase.", unit: "percentunit",
					queries: []query{{k6Failed("phase"), "{{phase}}"}},
				},
				{
					title: "Failed by type", about: "Turns that failed per second, by what went wrong.", unit: "cps", stacked: true,
					queries: []query{{orZero(`sum by (error_type) (rate(k6_chat_turns_total{#,error_type!=""}[$__rate_interval]))`), "{{error_type}}"}},
				},
				{
					title: "Shed", about: "Share of turns refused in order, 429 or 503 with Retry-After, since the test began, by phase.", unit: "percentunit",
					queries: []query{{k6Share("k6_chat_shed_rate", "phase"), "{{phase}}"}},
				},
				{
					title: "Errors at the server", about: "Requests answered 4xx or 5xx per second, as the server counts them.", unit: "reqps",
					queries: []query{{
						orZero(rate(requests+"_count", `@,http_response_status_code=~"[45].."`, "http_response_status_code").expr), "{{http_response_status_code}}",
					}},
				},
				{
					title: "Goodput by phase", about: "Share of turns that kept every promise, since the test began.", unit: "percentunit", max: 1,
					queries: []query{{k6Share("k6_chat_goodput_rate", "phase"), "{{phase}}"}},
				},
				{
					title: "Recovery", about: "Time from the end of a spike until the server was as before: a slope while it is not.", unit: "ms",
					queries: []query{{`max by (scenario) (k6_chat_recovery_time{#})`, "{{scenario}}"}},
				},
				{
					title: "Completed", about: "Share of conversations with every turn done, since the test began, by phase.", unit: "percentunit", max: 1,
					queries: []query{{`avg by (phase) (k6_chat_conversations_completed_rate{#})`, "{{phase}}"}},
				},
			}},
			{"The server under it", []panel{
				{
					title: "In flight", about: "Requests and streams under way at the server.", unit: "short", queries: []query{
						{`sum(http_server_active_requests{@})`, "requests"}, {`sum(http_server_open_streams{@})`, "streams"},
					},
				},
				{
					title: "CPU", about: "Processor time of the server, of what it may use. The line is the bound to scale at, 70 %.", unit: "percentunit",
					limits:  []float64{0.7},
					queries: []query{{`rate(process_cpu_seconds_total{@}[$__rate_interval]) / go_sched_gomaxprocs_threads{@}`, "{{instance}}"}},
				},
				{
					title: "Hit rate", about: "Of the response cache; the chat itself is never cached. The line is the target, 80 %.", unit: "percentunit", max: 1,
					limits: []float64{0.8}, floor: true,
					queries: []query{{
						`sum(rate(cache_responses_total{@,result=~"hit|stale"}[$__rate_interval])) / sum(rate(cache_responses_total{@}[$__rate_interval]))`,
						"hit rate",
					}},
				},
				{
					title: "Scheduler latency", about: "P99 of the time that goroutines waited for a processor.", unit: "s",
					queries: []query{{quantile(0.99, "go_sched_latencies_seconds", "@", "instance"), "{{instance}}"}},
				},
				{
					title: "Degraded", about: "Answers per second without the model although it was asked for, by reason.", unit: "cps",
					queries: []query{{orZero(rate("chat_degraded_total", "@", "reason").expr), "{{reason}}"}},
				},
				{
					title: "Tokens", about: "Tokens per second that the server told k6 about.", unit: "cps",
					queries: []query{
						{`sum(rate(k6_chat_input_tokens_total{#}[$__rate_interval]))`, "read"},
						{`sum(rate(k6_chat_output_tokens_total{#}[$__rate_interval]))`, "written"},
					},
				},
			}},
		},
	}
}

// k6Quantile asks for a quantile of one of k6's trends, sent as a native histogram, of turns that did not fail.
func k6Quantile(of float64, metric, by string) string {
	return fmt.Sprintf(`histogram_quantile(%v, sum by (%s) (rate(%s{#,expected_response="true"}[$__rate_interval])))`, of, by, metric)
}

// k6Failed is the share of turns that failed. The counter tells it of any time, k6's rate only of all time since the test began.
func k6Failed(by string) string {
	return fmt.Sprintf(`(sum by (%[1]s) (rate(k6_chat_turns_total{#,expected_response="false"}[$__rate_interval]))`+
		` or 0 * sum by (%[1]s) (rate(k6_chat_turns_total{#}[$__rate_interval]))) / sum by (%[1]s) (rate(k6_chat_turns_total{#}[$__rate_interval]))`, by)
}

// k6Share is the share that one of k6's rates tells, each series weighed by its turns.
func k6Share(metric, by string) string {
	return fmt.Sprintf(`sum by (%[1]s) (%[2]s{#} * on (testid, scenario, phase, turn, intent, cache, expected_response) group_left ()`+
		` sum by (testid, scenario, phase, turn, intent, cache, expected_response) (k6_chat_turns_total{#})) / sum by (%[1]s) (k6_chat_turns_total{#})`,
		by, metric)
}
