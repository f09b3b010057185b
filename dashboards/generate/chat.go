package main

// chat is the dashboard of the shop's chatbot.
func chat() board {
	return board{
		name: "chat", title: "INnatural / Chat",
		about: "What customers ask, how fast they are answered and by whom, what the model costs and how it fails.",
		rows: []row{
			{"Now", []panel{
				{
					title: "Messages", about: "Messages of customers per second.", unit: "cps", kind: number, width: 4,
					queries: []query{{`sum(rate(chat_messages_total{@}[$__rate_interval]))`, "messages"}},
				},
				{
					title: "Conversations", about: "Conversations that were answered within their ttl.", unit: "short", kind: number, width: 4,
					queries: []query{{`sum(chat_sessions_active{@})`, "conversations"}},
				},
				{
					title: "P95 of an answer", about: "Time from a message to the end of its answer. Red over 3 s, what the shop promises.", unit: "s",
					kind: number, width: 4, limits: []float64{3}, queries: []query{{quantile(0.95, "chat_duration_seconds", "@", ""), "P95"}},
				},
				{
					title: "P95 of the first token", about: "Time from a message to the first piece of its answer.", unit: "s", kind: number, width: 4,
					queries: []query{{quantile(0.95, "chat_first_token_seconds", "@", ""), "P95"}},
				},
				{
					title: "Degraded", about: "Messages answered without the model although it was asked for. ModelDegraded warns over 10 %.",
					unit: "percentunit", kind: number, width: 4, limits: []float64{0.1}, queries: []query{{
						`(sum(rate(chat_degraded_total{@}[$__rate_interval])) or vector(0)) / sum(rate(chat_messages_total{@}[$__rate_interval]))`, "degraded",
					}},
				},
				{
					title: "Cost", about: "Cost of tokens over the time shown, at the prices of the policy; 0 without prices.", unit: "short", kind: number,
					width: 4, queries: []query{{`sum(increase(chat_cost_total{@}[$__range]))`, "cost"}},
				},
			}},
			{"Customers", []panel{
				{
					title: "Messages by language", about: "Messages per second.", unit: "cps", stacked: true,
					queries: []query{rate("chat_messages_total", "@", "language")},
				},
				{
					title: "Messages by topic", about: "Messages per second: products, after-sales service (sav), information, small talk, other.", unit: "cps",
					stacked: true, queries: []query{rate("chat_messages_total", "@", "topic")},
				},
				{
					title: "Messages over 24 hours", about: "The trend, whatever time is chosen above.", unit: "cps", day: true,
					queries: []query{{`sum(rate(chat_messages_total{@}[$__rate_interval]))`, "messages"}},
				},
				{
					title: "Ratings", about: "Ratings given by customers, 1 to 5.", unit: "short", stacked: true,
					queries: []query{{`sum by (rating) (increase(chat_feedback_total{@}[$__rate_interval]))`, "{{rating}}"}},
				},
				{
					title: "Events of the widget", about: "Events per second that the widget reported.", unit: "cps",
					queries: []query{rate("analytics_events_total", "@", "event")},
				},
				{
					title: "Guided qualification", about: "Qualifications, by category and result.", unit: "short",
					queries: []query{{`sum by (category, result) (increase(qualification_sessions_total{@}[$__rate_interval]))`, "{{category}} {{result}}"}},
				},
				{
					title: "Searches of the catalogue", about: "Searches per second. Many without a result: customers want what the shop lacks, or words that it does not know.",
					unit: "cps", queries: []query{rate("catalog_searches_total", "@", "language, result")},
				},
				{
					title: "Searches of the FAQ", about: "Questions per second. Many without a result: answers that should be written.", unit: "cps",
					queries: []query{rate("faq_searches_total", "@", "language, result")},
				},
				{
					title: "Clients gone", about: "Conversations whose client left during an answer, per second, by phase.", unit: "cps",
					queries: []query{{orZero(rate("chat_client_gone_total", "@", "phase").expr), "{{phase}}"}},
				},
			}},
			{"Answers", []panel{
				{
					title: "Time of an answer", about: "From a message to the end of its answer, and what the policy promises of the chat's routes.", unit: "s",
					queries: append(quantiles("chat_duration_seconds", "@"),
						query{`min by (quantile) (policy_slo_latency_seconds{@,http_route=~".*/chat.*"})`, "promised for {{quantile}}"}),
				},
				{
					title: "P95 by source", about: "By who answered: the model, the embedded assistant, or a stored answer.", unit: "s",
					queries: []query{{quantile(0.95, "chat_duration_seconds", "@", "source"), "{{source}}"}},
				},
				{
					title: "First token", about: "From a message to the first piece of its answer.", unit: "s",
					queries: quantiles("chat_first_token_seconds", "@"),
				},
				{
					title: "Answers by source", about: "Answers per second.", unit: "cps", stacked: true,
					queries: []query{rate("chat_duration_seconds_count", "@", "source")},
				},
				{
					title: "Degraded by reason", about: "Answers per second that the model should have given and did not.", unit: "cps", stacked: true,
					queries: []query{{orZero(rate("chat_degraded_total", "@", "reason").expr), "{{reason}}"}},
				},
				{
					title: "Contradictions", about: "Sentences of a model, per second, that catalogue and FAQ do not bear out.", unit: "cps",
					queries: []query{{orZero(rate("chat_contradictions_total", "@", "kind").expr), "{{kind}}"}},
				},
				{
					title: "Wait for the model", about: "Time that a message waited for its turn at a model. If it rises: another upstream, or more concurrency.",
					unit: "s", queries: quantiles("chat_queue_wait_seconds", "@"),
				},
				{
					title: "Own time", about: "Time of an answer of a model that was spent in this service.", unit: "s",
					queries: quantiles("chat_overhead_seconds", "@"),
				},
				{
					title: "Stores", about: "Operations per second that a store of conversations did not carry out; memory took its place.", unit: "ops",
					queries: []query{{orZero(rate("chat_store_errors_total", "@", "store").expr), "{{store}}"}},
				},
			}},
			{"Tokens and cost", []panel{
				{
					title: "Tokens", about: "Tokens read and written per second, as counted or estimated.", unit: "cps", stacked: true,
					queries: []query{{rate("chat_tokens_total", "@", "type, estimated").expr, "{{type}}, estimated: {{estimated}}"}},
				},
				{
					title: "Cost by upstream", about: "Cost per hour, at the prices of the policy.", unit: "short",
					queries: []query{{`sum by (upstream) (rate(chat_cost_total{@}[$__rate_interval])) * 3600`, "{{upstream}}"}},
				},
				{
					title: "Tokens over 24 hours", about: "The trend, whatever time is chosen above.", unit: "cps", day: true,
					queries: []query{rate("chat_tokens_total", "@", "type")},
				},
				{
					title: "Budget", about: "Tokens spent in the budget's window, or set aside, and how many may be. TokenBudgetSpent warns when all are.",
					unit: "short", queries: []query{
						{`sum(chat_budget_spent_tokens{@})`, "spent"}, {`max(chat_budget_tokens{@})`, "promised at most"},
					},
				},
				{
					title: "Tokens per request", about: "P50 and P95 of the tokens of a request to a model, as the upstream counted them.", unit: "short",
					queries: []query{
						{quantile(0.5, "gen_ai_client_token_usage", "@", "gen_ai_token_type"), "{{gen_ai_token_type}} P50"},
						{quantile(0.95, "gen_ai_client_token_usage", "@", "gen_ai_token_type"), "{{gen_ai_token_type}} P95"},
					},
				},
				{
					title: "Time between tokens", about: "Mean time between two tokens of an answer, as its customer gets it: P50 and P95.", unit: "s",
					queries: []query{
						{quantile(0.5, "gen_ai_server_time_per_output_token_seconds", "@", ""), "P50"},
						{quantile(0.95, "gen_ai_server_time_per_output_token_seconds", "@", ""), "P95"},
					},
				},
			}},
			{"Upstreams", []panel{
				{
					title: "Requests", about: "Requests to models per second, by upstream and by what went wrong.", unit: "reqps",
					queries: []query{{
						rate("gen_ai_client_operation_duration_seconds_count", "@", "upstream, error_type").expr, "{{upstream}} {{error_type}}",
					}},
				},
				{
					title: "Time of a request", about: "P95 of a request to a model, by upstream.", unit: "s", queries: []query{
						{quantile(0.95, "gen_ai_client_operation_duration_seconds", "@", "upstream, gen_ai_request_model"), "{{upstream}} {{gen_ai_request_model}}"},
					},
				},
				{
					title: "First token and pace", about: "P95 of the time to a model's first token, and of the time between two pieces.", unit: "s",
					queries: []query{
						{quantile(0.95, "gen_ai_client_operation_time_to_first_chunk_seconds", "@", "upstream"), "{{upstream}} first token"},
						{quantile(0.95, "gen_ai_client_operation_time_per_output_chunk_seconds", "@", "upstream"), "{{upstream}} between pieces"},
					},
				},
			}},
		},
	}
}
