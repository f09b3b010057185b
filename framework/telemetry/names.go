package telemetry

// The metrics of the whole product: framework and plugins name them here and nowhere else, so that dashboards, alerts and
// tests have one list to agree with. A name is followed by its help text; the comment gives its labels. Names follow the
// conventions of Prometheus (one-word prefix, base unit, _total on counters) and, for HTTP, of OpenTelemetry.
const (
	// Requests.

	HTTPRequestDuration     = "http_server_request_duration_seconds" // http_request_method, http_route, http_response_status_code
	HTTPRequestDurationHelp = "Time from the first byte of a request to the last of its answer, or to the first of a stream."

	HTTPActiveRequests     = "http_server_active_requests"
	HTTPActiveRequestsHelp = "Requests under way."

	HTTPResponseBodyBytes     = "http_server_response_body_bytes_total" // http_route
	HTTPResponseBodyBytesHelp = "Bytes of response bodies as they were sent, compressed ones counted compressed."

	HTTPSlowRequests     = "http_server_slow_requests_total" // http_route
	HTTPSlowRequestsHelp = "Requests that took longer than their route's slow threshold."

	HTTPRequestTimeouts     = "http_server_request_timeouts_total" // http_route
	HTTPRequestTimeoutsHelp = "Requests answered 408 because their route's timeout passed."

	HTTPAbandonedHandlers     = "http_server_abandoned_handlers"
	HTTPAbandonedHandlersHelp = "Handlers still running after their request timed out or its client left."

	HTTPPanics     = "http_server_panics_total" // http_route
	HTTPPanicsHelp = "Handlers that panicked."

	HTTPClientGone     = "http_server_client_gone_total" // http_route
	HTTPClientGoneHelp = "Requests whose client left before the answer was complete."

	HTTPUndeclaredReads     = "http_server_undeclared_reads_total" // http_route
	HTTPUndeclaredReadsHelp = "Reads of request inputs that are not in the cache key of their route, and so read as absent."

	HTTPOpenStreams     = "http_server_open_streams"
	HTTPOpenStreamsHelp = "Streamed answers under way."

	HTTPCompressedBytes     = "http_server_compressed_bytes_total" // content_encoding, side: in, out
	HTTPCompressedBytesHelp = "Bytes of bodies given to the compressors, and got from them; a stored body is compressed once."

	HTTPRejectedRequests     = "http_server_rejected_requests_total" // reason, priority
	HTTPRejectedRequestsHelp = "Requests refused before their handler ran."

	HTTPRateDecisions     = "http_server_rate_decisions_total" // store
	HTTPRateDecisionsHelp = "Requests to routes whose limit is shared, by where they were counted: redis, or memory where that was away or not needed."

	HTTPDelayedRequests     = "http_server_delayed_requests_total"
	HTTPDelayedRequestsHelp = "Requests that were delayed because their client was near its limit."

	HTTPConcurrencyLimit     = "http_server_concurrency_limit"
	HTTPConcurrencyLimitHelp = "How many handlers may run at once now; 0 is no limit."

	HTTPRunningHandlers     = "http_server_running_handlers"
	HTTPRunningHandlersHelp = "Handlers that run, those of streams until their first piece."

	HTTPQueuedRequests     = "http_server_queued_requests"
	HTTPQueuedRequestsHelp = "Requests that wait for their handler because as many run as may."

	HTTPQueueWait     = "http_server_queue_wait_seconds"
	HTTPQueueWaitHelp = "Time that requests waited for their handler, or until they were refused; of those that had to wait."

	HTTPOpenConnections     = "http_server_open_connections"
	HTTPOpenConnectionsHelp = "Open connections, idle ones included."

	HTTPRefusedConnections     = "http_server_refused_connections_total" // reason
	HTTPRefusedConnectionsHelp = "Connections closed at once because there were too many, of all clients or of one."

	// Policy.

	PolicyReloads     = "policy_reloads_total" // result
	PolicyReloadsHelp = "Attempts to reload the policy."

	PolicyLastReloadSuccess     = "policy_last_reload_success"
	PolicyLastReloadSuccessHelp = "Whether the last attempt to load the policy succeeded."

	PolicyLastReloadTimestamp     = "policy_last_reload_timestamp_seconds"
	PolicyLastReloadTimestampHelp = "Unix time of the last successful load of the policy."

	PolicyInfo     = "policy_info" // hash, version, file
	PolicyInfoHelp = "The policy in force and the version of the program that serves it; always 1."

	PolicySLOLatency     = "policy_slo_latency_seconds" // http_route, http_request_method, quantile
	PolicySLOLatencyHelp = "Promised time within which the quantile of requests is answered."

	PolicySLOErrorRatio     = "policy_slo_error_ratio" // http_route, http_request_method
	PolicySLOErrorRatioHelp = "Promised largest share of requests answered 5xx or 408."

	PolicySLOWindow     = "policy_slo_window_seconds" // http_route, http_request_method
	PolicySLOWindowHelp = "Time over which the promises of a route hold."

	SLORequests     = "http_server_slo_requests_total" // http_route, http_request_method
	SLORequestsHelp = "Answered requests of routes that promise something."

	SLOBreaches     = "http_server_slo_breaches_total" // http_route, http_request_method, objective
	SLOBreachesHelp = "Requests slower than promised (objective latency), or answered 5xx or 408 (objective errors)."

	SLOBudget     = "policy_slo_budget_ratio" // http_route, http_request_method, objective
	SLOBudgetHelp = "Share of requests that may breach a promise: 1 - quantile for latency, and the share of errors."

	PolicyTTL     = "policy_ttl_seconds" // http_route, http_request_method
	PolicyTTLHelp = "How long stored answers of a route are fresh."

	// Cache.

	CacheRequests     = "cache_requests_total" // layer, result
	CacheRequestsHelp = "Look-ups in a layer of the cache."

	CacheResponses     = "cache_responses_total" // http_route, result
	CacheResponsesHelp = "Answers of cached routes by what the response cache did."

	CacheWrites     = "cache_writes_total" // layer, result
	CacheWritesHelp = "Values given to a layer behind the answer, stored or dropped."

	CacheKeys     = "cache_keys" // layer
	CacheKeysHelp = "Entries held."

	CacheBytes     = "cache_bytes" // layer
	CacheBytesHelp = "Bytes held, entries and overhead."

	CacheMaxBytes     = "cache_max_bytes" // layer
	CacheMaxBytesHelp = "Most bytes that the layer may hold."

	CacheEvictions     = "cache_evictions_total" // layer
	CacheEvictionsHelp = "Entries dropped to make room."

	CacheUp     = "cache_up" // layer
	CacheUpHelp = "Whether the layer answers."

	CacheLatency     = "cache_latency_seconds" // layer
	CacheLatencyHelp = "Time that the last exchange with the servers of the layer took."

	CacheErrors     = "cache_errors_total" // layer
	CacheErrorsHelp = "Operations that the layer did not carry out."

	CacheConnections     = "cache_connections" // layer, state: idle, used
	CacheConnectionsHelp = "Connections to the servers of the layer."

	CacheConnectionWaits     = "cache_connection_waits_total" // layer, result: waited, timeout
	CacheConnectionWaitsHelp = "Operations that waited for a connection which others used, and that got none in time."

	CacheCoalesced     = "cache_coalesced_total"
	CacheCoalescedHelp = "Requests that waited for the fetch of another one, in place of one of their own."

	CachePurges     = "cache_purges_total" // layer
	CachePurgesHelp = "Purges that this instance was asked for."

	// Chat.

	ChatMessages     = "chat_messages_total" // language, topic
	ChatMessagesHelp = "Messages of customers."

	ChatSessionsActive     = "chat_sessions_active"
	ChatSessionsActiveHelp = "Conversations that this instance answered in within their ttl."

	ChatDuration     = "chat_duration_seconds" // source
	ChatDurationHelp = "Time from a message to the end of its answer."

	ChatFirstToken     = "chat_first_token_seconds" // source
	ChatFirstTokenHelp = "Time from a message to the first piece of its answer."

	ChatTokens     = "chat_tokens_total" // type, estimated
	ChatTokensHelp = "Tokens read and written."

	ChatDegraded     = "chat_degraded_total" // reason
	ChatDegradedHelp = "Answers given without the model although it was asked for."

	ChatStoreErrors     = "chat_store_errors_total" // store
	ChatStoreErrorsHelp = "Operations that a store of the chat did not carry out, so that memory took its place or nothing was kept."

	ChatClientGone     = "chat_client_gone_total" // phase
	ChatClientGoneHelp = "Conversations whose client left during an answer."

	ChatFeedback     = "chat_feedback_total" // rating
	ChatFeedbackHelp = "Ratings given by customers."

	ChatOverhead     = "chat_overhead_seconds"
	ChatOverheadHelp = "Time of an answer of a model that was spent here, neither at an upstream nor waiting for one."

	ChatQueueWait     = "chat_queue_wait_seconds"
	ChatQueueWaitHelp = "Time that a message waited for its turn at a model."

	ChatContradictions     = "chat_contradictions_total" // kind
	ChatContradictionsHelp = "Sentences of a model that catalogue and FAQ do not bear out."

	ChatCost     = "chat_cost_total" // upstream
	ChatCostHelp = "Cost of the tokens that upstreams counted, at the prices of the policy."

	ChatBudget     = "chat_budget_tokens"
	ChatBudgetHelp = "Tokens that all customers together may spend in each window; absent where the policy has no such limit."

	ChatBudgetSpent     = "chat_budget_spent_tokens"
	ChatBudgetSpentHelp = "Tokens of that budget which this instance has spent, or set aside for answers under way, in the window."

	// Models, by OpenTelemetry's conventions for generative AI.

	// gen_ai_operation_name, gen_ai_provider_name, gen_ai_request_model, upstream, and gen_ai_token_type or error_type
	GenAITokenUsage     = "gen_ai_client_token_usage"
	GenAITokenUsageHelp = "Tokens of a request to a model, as the upstream counted them."

	GenAIOperationDuration     = "gen_ai_client_operation_duration_seconds"
	GenAIOperationDurationHelp = "Time of a request to a model."

	GenAIFirstChunk     = "gen_ai_client_operation_time_to_first_chunk_seconds"
	GenAIFirstChunkHelp = "Time from a request to a model to its first token."

	GenAIPerChunk     = "gen_ai_client_operation_time_per_output_chunk_seconds"
	GenAIPerChunkHelp = "Mean time between two pieces of a model's answer."

	GenAIPerToken     = "gen_ai_server_time_per_output_token_seconds"
	GenAIPerTokenHelp = "Mean time between two tokens of a model's answer, as its customer gets it, after the first."

	// Shop.

	AnalyticsEvents     = "analytics_events_total" // event
	AnalyticsEventsHelp = "Events reported by the widget."

	CatalogSearches     = "catalog_searches_total" // language, result
	CatalogSearchesHelp = "Searches of the catalogue that no stored answer served, by whether anything was found."

	FAQSearches     = "faq_searches_total" // language, result
	FAQSearchesHelp = "Searches of the questions and answers that no stored answer served, by whether one was found."

	QualificationSessions     = "qualification_sessions_total" // category, result
	QualificationSessionsHelp = "Guided qualifications."

	// Servers behind this one.

	ProxyRequests     = "proxy_requests_total" // upstream, target, result
	ProxyRequestsHelp = "Requests to the targets of an upstream: answered, refused, broken, timeout or abandoned by the client."

	ProxyRequestDuration     = "proxy_request_duration_seconds" // upstream, target
	ProxyRequestDurationHelp = "Time from a request to a target to the head of its answer."

	ProxyOpenConnections     = "proxy_open_connections" // upstream, target
	ProxyOpenConnectionsHelp = "Open connections to a target, idle ones included."

	ProxyTargetUp     = "proxy_target_up" // upstream, target
	ProxyTargetUpHelp = "Whether a target takes requests: 1, or 0 after too many failures."

	// Operation.

	TraceSpans     = "trace_spans_total" // result: exported, failed, dropped
	TraceSpansHelp = "Spans of traces by what became of them; dropped are those beyond what may wait."

	LogLinesDropped     = "log_lines_dropped_total" // sink
	LogLinesDroppedHelp = "Log lines that a sink did not take."

	TLSCertificateExpiry     = "tls_certificate_expiry_timestamp_seconds" // listener: public, admin
	TLSCertificateExpiryHelp = "Unix time at which the certificate ends that a listener shows now."
)

// The labels.
const (
	LabelMethod    = "http_request_method" // normalised by Vec.With: a method that no standard names is Other
	LabelRoute     = "http_route"          // the template, never a path
	LabelStatus    = "http_response_status_code"
	LabelReason    = "reason"
	LabelPriority  = "priority"
	LabelResult    = "result"
	LabelHash      = "hash"
	LabelVersion   = "version"
	LabelFile      = "file"
	LabelQuantile  = "quantile"
	LabelLayer     = "layer"
	LabelLanguage  = "language"
	LabelTopic     = "topic"
	LabelSource    = "source"
	LabelStore     = "store"
	LabelType      = "type"
	LabelEstimated = "estimated"
	LabelPhase     = "phase"
	LabelRating    = "rating"
	LabelEvent     = "event"
	LabelCategory  = "category"
	LabelUpstream  = "upstream"
	LabelTarget    = "target"
	LabelKind      = "kind"
	LabelErrorType = "error_type"
	LabelObjective = "objective"
	LabelState     = "state"
	LabelSide      = "side"
	LabelEncoding  = "content_encoding"
	LabelSink      = "sink"
	LabelListener  = "listener"

	LabelGenAIOperation = "gen_ai_operation_name"
	LabelGenAIProvider  = "gen_ai_provider_name"
	LabelGenAIModel     = "gen_ai_request_model"
	LabelGenAITokenType = "gen_ai_token_type"
)

// Label values that several places must agree on.
const (
	Unmatched = "unmatched" // the route of a request that no route matches
	Other     = "_OTHER"    // a value beyond what a label may hold; OpenTelemetry's word for an unknown method
	Success   = "success"
	Failure   = "failure"
)

// The attributes of spans that OpenTelemetry's semantic conventions have in no package.
const (
	AttributeCacheResult        = "cache.result" // hit, miss, stale or bypass
	AttributeGenAIOperation     = "gen_ai.operation.name"
	AttributeGenAIProvider      = "gen_ai.provider.name"
	AttributeGenAIModel         = "gen_ai.request.model"
	AttributeGenAIInputTokens   = "gen_ai.usage.input_tokens"
	AttributeGenAIOutputTokens  = "gen_ai.usage.output_tokens"
	AttributeGenAIFirstChunk    = "gen_ai.response.time_to_first_chunk" // seconds
	AttributeGenAIFinishReasons = "gen_ai.response.finish_reasons"
)

// HTTPBuckets are the classic buckets of a request's duration, in seconds, as OpenTelemetry's semantic conventions advise.
func HTTPBuckets() []float64 {
	return []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
}

// ChatBuckets are the classic buckets of a whole answer, in seconds: 0.01·2ⁿ up to 81.92, as OpenTelemetry's conventions
// for generative AI advise.
func ChatBuckets() []float64 {
	return []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
}

// FirstTokenBuckets are the classic buckets of the time to an answer's first piece, in seconds, from the same conventions.
func FirstTokenBuckets() []float64 {
	return []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60}
}

// PerTokenBuckets are the classic buckets of the time between two pieces of an answer, in seconds, from the same conventions.
func PerTokenBuckets() []float64 {
	return []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
}

// TokenBuckets are the classic buckets of a number of tokens, powers of four, from the same conventions.
func TokenBuckets() []float64 {
	return []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
}
