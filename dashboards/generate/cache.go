package main

// cache is the dashboard of the cache's layers and of the response cache.
func cache() board {
	return board{
		name: "cache", title: "INnatural / Cache",
		about: "Whether the cache spares the handlers: hit rates against the target of 80 %, memory, Redis, purges, compression.",
		variables: []variable{
			{"route", "Route", `label_values(cache_responses_total{job=~"$job",instance=~"$instance"}, http_route)`},
		},
		rows: []row{
			{"Now", []panel{
				{
					title: "Hit rate", about: "Answers of cached routes that came from the cache. The target is 80 %; LowCacheHitRate warns under 50 %.",
					unit: "percentunit", kind: number, width: 5, limits: []float64{0.8}, floor: true, queries: []query{{hitRate(""), "hit rate"}},
				},
				{
					title: "Redis", about: "Whether Redis answers: 1, or 0; memory alone serves then. No data where no Redis is configured.", unit: "short",
					kind: number, width: 5, limits: []float64{1}, floor: true, queries: []query{{`min(cache_up{@,layer="redis"})`, "up"}},
				},
				{
					title: "Memory used", about: "Of what cache.memory allows. It may be full: then entries that are asked for least make room.",
					unit: "percentunit", kind: number, width: 5,
					queries: []query{{`sum(cache_bytes{@,layer="memory"}) / sum(cache_max_bytes{@,layer="memory"})`, "used"}},
				},
				{
					title: "Entries", about: "Entries in the memory of all instances.", unit: "short", kind: number, width: 4,
					queries: []query{{`sum(cache_keys{@,layer="memory"})`, "entries"}},
				},
				{
					title: "Spared", about: "Requests per second that no handler had to answer.", unit: "reqps", kind: number, width: 5,
					queries: []query{{`sum(rate(cache_responses_total{@@,result=~"` + hits + `"}[$__rate_interval]))`, "spared"}},
				},
			}},
			{"Hit rate", []panel{
				{
					title: "Hit rate", about: "Of the response cache, fresh and stale answers. The line is the target, 80 %.", unit: "percentunit", max: 1,
					limits: []float64{0.8}, floor: true, queries: []query{{hitRate(""), "hit rate"}},
				},
				{
					title: "Hit rate by route", about: "A route far below the others has too short a ttl, or too much in its key.", unit: "percentunit",
					max: 1, limits: []float64{0.8}, floor: true, queries: []query{{hitRate("http_route"), "{{http_route}}"}},
				},
				{
					title: "Hit rate by layer", about: "Look-ups that found something: memory first, Redis for what memory lacks.", unit: "percentunit", max: 1,
					queries: []query{{
						`sum by (layer) (rate(cache_requests_total{@,result="hit"}[$__rate_interval]))` +
							` / sum by (layer) (rate(cache_requests_total{@}[$__rate_interval]))`, "{{layer}}",
					}},
				},
				{
					title: "Results", about: "Answers of cached routes per second, by what the response cache did.", unit: "reqps", stacked: true,
					queries: []query{rate("cache_responses_total", "@@", "result")},
				},
				{
					title: "Look-ups", about: "Look-ups per second, by layer and result.", unit: "ops",
					queries: []query{rate("cache_requests_total", "@", "layer, result")},
				},
				{
					title: "Hit rate over 24 hours", about: "The trend, whatever time is chosen above. The line is the target, 80 %.", unit: "percentunit",
					max: 1, day: true, limits: []float64{0.8}, floor: true, queries: []query{{hitRate(""), "hit rate"}},
				},
				{
					title: "Coalesced", about: "Requests per second that waited for the fetch of another one, in place of one of their own.", unit: "reqps",
					queries: []query{{`sum by (instance) (rate(cache_coalesced_total{@}[$__rate_interval]))`, "{{instance}}"}},
				},
				{
					title: "Time to live", about: "How long stored answers of a route are fresh, by the policy.", unit: "s",
					queries: []query{{`max by (http_route, http_request_method) (policy_ttl_seconds{@@})`, "{{http_request_method}} {{http_route}}"}},
				},
				{
					title: "What the cache is worth", about: "P95 of the cached routes chosen above, hits and misses together.", unit: "s",
					queries: []query{{quantile(0.95, requests, "@@", "http_route"), "{{http_route}}"}},
				},
			}},
			{"Memory", []panel{
				{
					title: "Memory", about: "Bytes held by the memory layer, and what cache.memory allows.", unit: "bytes", queries: []query{
						{`sum by (instance) (cache_bytes{@,layer="memory"})`, "{{instance}}"},
						{`max(cache_max_bytes{@,layer="memory"})`, "promised most"},
					},
				},
				{
					title: "Entries", about: "Entries held by the memory layer.", unit: "short",
					queries: []query{{`sum by (instance) (cache_keys{@,layer="memory"})`, "{{instance}}"}},
				},
				{
					title: "Evictions", about: "Entries dropped per second to make room. Many, with a low hit rate: raise cache.memory.", unit: "ops",
					queries: []query{{`sum by (instance, layer) (rate(cache_evictions_total{@}[$__rate_interval]))`, "{{instance}} {{layer}}"}},
				},
			}},
			{"Redis", []panel{
				{
					title: "Redis answers", about: "1, or 0 while memory alone serves.", unit: "short", max: 1.2,
					queries: []query{{`cache_up{@,layer="redis"}`, "{{instance}}"}},
				},
				{
					title: "Connections", about: "Connections to Redis, idle and used.", unit: "short", stacked: true,
					queries: []query{{`sum by (state) (cache_connections{@,layer="redis"})`, "{{state}}"}},
				},
				{
					title: "Latency", about: "Time of the last exchange with Redis.", unit: "s",
					queries: []query{{`cache_latency_seconds{@,layer="redis"}`, "{{instance}}"}},
				},
				{
					title: "Waits for a connection", about: "Operations per second that waited for a connection, or got none in time: the pool is too small.",
					unit: "ops", queries: []query{rate("cache_connection_waits_total", `@,layer="redis"`, "result")},
				},
				{
					title: "Errors", about: "Operations per second that a layer did not carry out.", unit: "ops",
					queries: []query{rate("cache_errors_total", "@", "layer")},
				},
				{
					title: "Writes", about: "Values per second given to a layer behind the answer, stored or dropped. Dropped: Redis is too slow.", unit: "ops",
					queries: []query{rate("cache_writes_total", "@", "layer, result")},
				},
			}},
			{"Purges and compression", []panel{
				{
					title: "Purges", about: "Purges that instances were asked for, by layer.", unit: "short",
					queries: []query{{`sum by (layer) (increase(cache_purges_total{@}[$__rate_interval]))`, "{{layer}}"}},
				},
				{
					title: "Compressed to", about: "Size of what the compressors gave, of what they got. JSON should be at most 30 % (the line).",
					unit: "percentunit", max: 1, limits: []float64{0.3}, queries: []query{{
						`sum by (content_encoding) (rate(http_server_compressed_bytes_total{@,side="out"}[$__rate_interval]))` +
							` / sum by (content_encoding) (rate(http_server_compressed_bytes_total{@,side="in"}[$__rate_interval]))`, "{{content_encoding}}",
					}},
				},
				{
					title: "Compressed", about: "Bytes per second given to the compressors; a stored body is compressed once, so this is far below what is sent.",
					unit: "Bps", queries: []query{rate("http_server_compressed_bytes_total", `@,side="in"`, "content_encoding")},
				},
			}},
		},
	}
}

// hits are the results of the response cache that no handler was needed for.
const hits = "hit|stale"

// hitRate is the share of the answers of cached routes that came from the cache.
func hitRate(by string) string {
	sum := "sum"
	if by != "" {
		sum = "sum by (" + by + ")"
	}
	return sum + `(rate(cache_responses_total{@@,result=~"` + hits + `"}[$__rate_interval])) / ` + sum +
		`(rate(cache_responses_total{@@,result!="bypass"}[$__rate_interval]))`
}
