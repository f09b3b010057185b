package policy

import "time"

// Policy is what a policy file says once every layer is merged: built-in defaults, the file, the environment and flags.
// It is immutable once loaded and may be read concurrently. Every field is effective: presets are resolved and a route's
// unset values are those of Defaults.
//
// Struct tags are the single description of a policy's keys: `toml` is the key, `doc` the sentence that the reference,
// the schema and `explain` print, `check` the rules of its value (min, max, oneof, required, nonempty), comma separated.
type Policy struct {
	Version     int            `toml:"version" doc:"Version of the policy language: 1." check:"required,oneof=1"`
	Server      Server         `toml:"server" doc:"The listener and what bounds every request."`
	Log         Log            `toml:"log" doc:"Where log lines go and how many."`
	Telemetry   Telemetry      `toml:"telemetry" doc:"What is told of requests beside logs and metrics."`
	Cache       Cache          `toml:"cache" doc:"The layers that store answers."`
	Compression Compression    `toml:"compression" doc:"How answers are compressed."`
	Defaults    Defaults       `toml:"defaults" doc:"What a route does where it says nothing itself."`
	Presets     Presets        `toml:"presets" doc:"Named values that routes refer to."`
	Plugins     map[string]any `toml:"plugins" doc:"Options of each plugin, by its name; see chatbot plugins NAME."`
	Routes      []Route        `toml:"routes" doc:"The routes, tried in the order in which they are written."`

	meta meta
}

// Server is the listener and the limits of every request.
type Server struct {
	Listen         string   `toml:"listen" doc:"Address to listen on, host:port; changing it needs a restart." check:"nonempty,address"`
	TLS            TLS      `toml:"tls" doc:"Certificate and key; without them the server speaks plain HTTP."`
	Admin          Admin    `toml:"admin" doc:"A listener of their own for the routes whose audience is admin; without it they answer on the one above."`
	BodyLimit      Size     `toml:"body_limit" doc:"Largest request body; a larger one is answered 413." check:"min=1KiB,max=1GiB"`
	HeaderLimit    Size     `toml:"header_limit" doc:"Largest request line and headers together; larger ones are answered 431." check:"min=1KiB,max=1MiB"`
	URLLimit       Size     `toml:"url_limit" doc:"Longest path and query; longer ones are answered 414." check:"min=64B,max=1MiB"`
	ReadTimeout    Duration `toml:"read_timeout" doc:"Longest time to receive one whole request; of a body that a gateway passes on piece by piece, longest pause." check:"min=100ms,max=1h"`
	MinRate        Size     `toml:"min_rate" doc:"Least bytes a second, on average, of a body that a gateway passes on piece by piece; a slower one is answered 408. 0B is no limit." check:"min=0B,max=1GiB"`
	WriteTimeout   Duration `toml:"write_timeout" doc:"Longest time that one write to a client may block." check:"min=100ms,max=1h"`
	IdleTimeout    Duration `toml:"idle_timeout" doc:"How long an idle keep-alive connection stays open." check:"min=100ms,max=1h"`
	MaxTimeout     Duration `toml:"max_timeout" doc:"The longest timeout that a route may have." check:"min=1ms,max=1h"`
	Grace          Duration `toml:"grace" doc:"How long a stopping server, not ready any more, still takes what comes, so that load balancers notice and clients close their connections; then it takes no new connections and drains." check:"min=0s,max=10m"`
	Drain          Duration `toml:"drain" doc:"How long a stop waits for requests and streams under way; a reload waits for as long as their routes allow." check:"min=0s,max=1h"`
	Connections    int      `toml:"connections" doc:"Most open connections; beyond it new ones are closed. The process's limit of open files stands above it." check:"min=1,max=10000000"`
	PerClient      int      `toml:"connections_per_client" doc:"Most open connections of one client's address (of an IPv6 client, its /64 network), those of trusted proxies not counted; beyond it new ones are closed. 0 is no limit." check:"min=0,max=10000000"`
	Overload       Overload `toml:"overload" doc:"How many handlers run at once, and who waits and who is refused when that is not enough."`
	TrustedProxies []string `toml:"trusted_proxies" doc:"Addresses and networks, such as 10.0.0.0/8, of the reverse proxies before this server, which are believed about who their clients are." check:"network"`
	ClientHeader   string   `toml:"client_header" doc:"The header in which trusted proxies say who their clients are." check:"oneof=X-Forwarded-For|Forwarded"`
	MaxAbandoned   int      `toml:"max_abandoned" doc:"How many handlers may still run after their request timed out; beyond it new requests are answered 503, critical ones excepted." check:"min=1,max=1000000"`
	AdminToken     Secret   `toml:"admin_token" doc:"Bearer token of routes whose audience is admin; without it they answer only on loopback, and to nothing that a proxy has forwarded."`
}

// Overload bounds what handlers take on at once. Stored answers, health and metrics never wait for it.
type Overload struct {
	InFlight int      `toml:"in_flight" doc:"Most handlers that run at once; a lower limit is found from how long they take. 0 is no limit." check:"min=0,max=1000000"`
	Queue    int      `toml:"queue" doc:"Most requests that wait for their handler; beyond it those of the lowest priority are answered 503." check:"min=0,max=1000000"`
	Wait     Duration `toml:"wait" doc:"Longest time that a request waits for its handler, and at most half of the latency that its route promises; a twentieth of it while the queue does not empty. Past it 503." check:"min=10ms,max=1m"`
}

// TLS names the certificate of the listener.
type TLS struct {
	Cert string `toml:"cert" doc:"PEM file of the certificate chain; it is read again when it changes."`
	Key  string `toml:"key" doc:"PEM file of the private key; it is read again when it changes."`
}

// Admin is the listener of those who run the server.
type Admin struct {
	Listen string   `toml:"listen" doc:"Address to listen on, host:port; changing it needs a restart." check:"nonempty,address"`
	Only   []string `toml:"only" doc:"Paths of further routes that answer on this listener only, such as /metrics. Health and metrics answer here in any case."`
	TLS    AdminTLS `toml:"tls" doc:"Certificate and key of this listener, and who its clients must be."`
}

// AdminTLS names the certificate of the admin listener.
type AdminTLS struct {
	Cert     string `toml:"cert" doc:"PEM file of the certificate chain; it is read again when it changes."`
	Key      string `toml:"key" doc:"PEM file of the private key; it is read again when it changes."`
	ClientCA string `toml:"client_ca" doc:"PEM file of the authorities that sign the clients' certificates; without a certificate of theirs nobody is let in, and with one no token is needed where none is configured. It is read again when it changes."`
}

// Log chooses the sinks.
type Log struct {
	Level  string    `toml:"level" doc:"Lowest level that is logged." check:"oneof=debug|info|warn|error"`
	Access AccessLog `toml:"access" doc:"The line that each request leaves."`
	Sinks  []LogSink `toml:"sinks" doc:"Where lines go; every sink gets each line of its level. Without any: text on stdout."`
}

// AccessLog is the line that each request leaves.
type AccessLog struct {
	Enabled      bool    `toml:"enabled" doc:"Whether requests are logged."`
	Sample       float64 `toml:"sample" doc:"Share of successful requests that is logged, 0 to 1; errors and slow requests always are." check:"min=0,max=1"`
	MaxPerSecond int     `toml:"max_per_second" doc:"Most successful requests that are logged in a second; the number of those left out is logged instead." check:"min=0,max=1000000"`
}

// LogSink is one destination of log lines.
type LogSink struct {
	Type     string `toml:"type" doc:"Kind of sink." check:"required,oneof=stdout|stderr|file"`
	Format   string `toml:"format" doc:"How a line is written." check:"oneof=text|json"`
	Level    string `toml:"level" doc:"Lowest level of this sink; that of log when absent." check:"oneof=debug|info|warn|error"`
	Path     string `toml:"path" doc:"The file, for a file sink; its folder is created."`
	MaxSize  Size   `toml:"max_size" doc:"Size at which the file is rotated." check:"min=1MiB,max=10GiB"`
	MaxFiles int    `toml:"max_files" doc:"Rotated files that are kept." check:"min=1,max=1000"`
}

// Telemetry is what is told of requests beside logs and metrics.
type Telemetry struct {
	Traces Traces `toml:"traces" doc:"Traces of requests, by OpenTelemetry; without an endpoint there are none."`
}

// Traces says where traces go, and of which requests.
type Traces struct {
	Endpoint string  `toml:"endpoint" doc:"Base URL of a receiver of OTLP over HTTP, such as http://127.0.0.1:4318; /v1/traces is added."`
	Sample   float64 `toml:"sample" doc:"Share of requests that are traced, 0 to 1; a request that comes with a trace is traced if that is." check:"min=0,max=1"`
	Service  string  `toml:"service" doc:"Name of the service in its traces." check:"nonempty"`
}

// Cache describes the layers.
type Cache struct {
	Memory   Size  `toml:"memory" doc:"Most bytes that the memory layer holds, entries and overhead." check:"min=1MiB,max=1TiB"`
	MaxEntry Size  `toml:"max_entry" doc:"Largest answer that is stored." check:"min=1KiB,max=64MiB"`
	Redis    Redis `toml:"redis" doc:"The layer that instances share; without a host and addresses the memory layer serves alone."`
}

// Redis is the shared layer: one server, or a master that Sentinels name, or a Cluster.
type Redis struct {
	Host      string   `toml:"host" doc:"Host name or address of the Redis server."`
	Port      int      `toml:"port" doc:"Port of the Redis server." check:"min=1,max=65535"`
	Addresses []string `toml:"addresses" doc:"Addresses, host:port, of Sentinels if master is given, else of nodes of a Redis Cluster; instead of host and port." check:"address"`
	Master    string   `toml:"master" doc:"Name by which the Sentinels know the master."`
	Username  string   `toml:"username" doc:"User of the Redis servers, where their access lists have more than the default one."`
	Password  Secret   `toml:"password" doc:"Password of the Redis servers."`
	TLS       bool     `toml:"tls" doc:"Whether the Redis servers are spoken to over TLS, with the system's certificate authorities."`
}

// Configured reports whether the policy names a Redis server.
func (r Redis) Configured() bool { return r.Host != "" || len(r.Addresses) > 0 }

// Compression is how answers are compressed.
type Compression struct {
	Enabled   bool     `toml:"enabled" doc:"Whether answers are compressed."`
	Level     int      `toml:"level" doc:"Effort, 1 (fastest) to 9 (smallest)." check:"min=1,max=9"`
	MinSize   Size     `toml:"min_size" doc:"Smallest body that is compressed." check:"min=0B,max=1GiB"`
	Best      bool     `toml:"best" doc:"Whether a stored answer that is asked for again and again is compressed once more in the background, at the best level."`
	Encodings []string `toml:"encodings" doc:"Encodings offered, the preferred one first." check:"nonempty,oneof=gzip|br|zstd"`
}

// Defaults is what a route does where it says nothing itself.
type Defaults struct {
	Timeout  Duration      `toml:"timeout" doc:"Longest time to an answer: 408 past it; on a stream, to its first byte." check:"min=1ms,max=1h"`
	Slow     Duration      `toml:"slow" doc:"A request that takes longer is logged as slow and counted." check:"min=1ms,max=1h"`
	Compress bool          `toml:"compress" doc:"Whether answers are compressed."`
	Stream   Stream        `toml:"stream" doc:"Limits of streams."`
	Cache    DefaultsCache `toml:"cache" doc:"What a cached route does where it says nothing itself."`
}

// DefaultsCache is what a cached route does where it says nothing itself.
type DefaultsCache struct {
	TTL Duration `toml:"ttl" doc:"How long an answer is fresh." check:"min=0s,max=365d"`
}

// Stream bounds a streamed answer.
type Stream struct {
	Idle Duration `toml:"idle" doc:"Longest silence within a stream." check:"min=1ms,max=1h"`
	Max  Duration `toml:"max" doc:"Longest life of a stream." check:"min=1ms,max=24h"`
}

// Presets are named values.
type Presets struct {
	CacheControl map[string]Duration `toml:"cache_control" doc:"Names for max-age: none, short, medium, long, static, and your own." check:"min=0s,max=365d"`
}

// Route is one entry: what is served, by which handler, and how.
type Route struct {
	Method       string            `toml:"method" doc:"Method of the request; HEAD and OPTIONS follow by themselves, * is any." check:"nonempty,method"`
	Path         string            `toml:"path" doc:"Path, with :name for one segment and * at the end for the rest." check:"required,route"`
	Handler      string            `toml:"handler" doc:"Name of the handler; see chatbot plugins." check:"required"`
	Timeout      Duration          `toml:"timeout" doc:"Longest time to an answer: 408 past it; on a stream, to its first byte." check:"min=1ms,max=1h"`
	Slow         Duration          `toml:"slow" doc:"A request that takes longer is logged as slow and counted." check:"min=1ms,max=1h"`
	Compress     bool              `toml:"compress" doc:"Whether the answer is compressed."`
	Cache        *RouteCache       `toml:"cache" doc:"Stores the answers; a route without this table is never cached."`
	CacheControl string            `toml:"cache_control" doc:"Preset of presets.cache_control for how long browsers and proxies may keep an answer from when they get it; without it no-store unless the handler says otherwise."`
	Stream       Stream            `toml:"stream" doc:"Limits of the stream, for a handler that streams."`
	Limits       Limits            `toml:"limits" doc:"What one client, and all together, may ask for."`
	Headers      map[string]string `toml:"headers" doc:"Headers set on every answer of the route."`
	CORS         CORS              `toml:"cors" doc:"Which web origins may read the answers; none by default."`
	Priority     string            `toml:"priority" doc:"Who goes first when the server is overloaded, and who is refused last; critical never waits. Admin, health and metrics are critical where nothing is written." check:"oneof=critical|high|normal|low"`
	Audience     string            `toml:"audience" doc:"Who an answer is meant for: public may be shared, user never is, admin needs the admin token." check:"oneof=public|user|admin"`
	SLO          *SLO              `toml:"slo" doc:"What is promised of the route: exported, alerted on, and judged by load tests. A route without this table promises nothing."`
}

// RouteCache says how a route's answers are stored. The key is method, path and exactly the inputs named here or
// declared by the handler; a handler of a cached route reads nothing else.
//
// In standard mode the answers themselves say how they are stored, and for whom: the key is the whole target with what their Vary
// names, and the handler reads the whole request.
type RouteCache struct {
	Mode                 string              `toml:"mode" doc:"Who says how answers are stored: policy, this table; standard, the answers themselves, by RFC 9111." check:"oneof=policy|standard"`
	TTL                  Duration            `toml:"ttl" doc:"How long an answer is fresh; that of defaults.cache when absent, 0s is never." check:"min=0s,max=365d"`
	StatusTTL            map[string]Duration `toml:"status_ttl" doc:"How long answers of other statuses than 200 are fresh, such as { 404 = \"30s\" }; a status that is not named is never stored." check:"min=0s,max=365d"`
	Jitter               float64             `toml:"jitter" doc:"Largest share of its time by which the time of each stored answer is shortened, so that answers stored together do not end together." check:"min=0,max=0.5"`
	EarlyRefresh         float64             `toml:"early_refresh" doc:"Share of its time, at the end, in which the first hit on an answer has a new one made behind it." check:"min=0,max=0.9"`
	StaleWhileRevalidate Duration            `toml:"stale_while_revalidate" doc:"How long after its TTL an answer is still sent while a new one is made behind it (RFC 5861)." check:"min=0s,max=365d"`
	StaleIfError         Duration            `toml:"stale_if_error" doc:"How long after its TTL an answer is still sent when the handler fails (RFC 5861)." check:"min=0s,max=365d"`
	Key                  string              `toml:"key" doc:"Template of the key, such as user:{id} or {path}:{query.language}, instead of method, path and the inputs below: {id} is a parameter of the path, {*} its rest, {path}, {host}, {query.name}, {header.name} and {cookie.name} are of the request. The handler reads nothing else." check:"keytemplate"`
	Query                []string            `toml:"query" doc:"Query parameters in the key; those that the handler declares when absent."`
	Headers              []string            `toml:"headers" doc:"Request headers in the key; those that the handler declares when absent."`
	Cookies              []string            `toml:"cookies" doc:"Cookies in the key; those that the handler declares when absent."`
	Host                 bool                `toml:"host" doc:"Whether the host is in the key."`
	Stream               bool                `toml:"stream" doc:"Whether the streams of a handler that streams are stored once they are whole, and replayed piece by piece."`
	Tags                 []string            `toml:"tags" doc:"Tags of every answer, for invalidation."`
}

// Limits bounds what a route takes on. Zero is no limit.
type Limits struct {
	Requests int      `toml:"requests" doc:"Requests that one client may make in each window; 0 is no limit." check:"min=0,max=1000000000"`
	Window   Duration `toml:"window" doc:"Length of the window." check:"min=1s,max=24h"`
	Shared   bool     `toml:"shared" doc:"Whether requests are counted by all instances together, in cache.redis; while that does not answer each instance counts its own."`
	From     float64  `toml:"delay_from" doc:"Share of requests, 0 to 1, after which a client's answers are delayed, ever longer up to delay_max." check:"min=0,max=1"`
	Delay    Duration `toml:"delay_max" doc:"Longest delay, of the last request before 429; 0s delays nothing. Stored answers are not delayed." check:"min=0s,max=1m"`
	InFlight int      `toml:"in_flight" doc:"Requests of the route under way at once, of all clients, stored answers not counted; beyond it 503. 0 is no limit." check:"min=0,max=1000000"`
}

// CORS says which web origins may read the answers (Fetch standard, section 3.2).
type CORS struct {
	Origins     []string `toml:"origins" doc:"Allowed origins, such as https://shop.example; * is any, without credentials."`
	Headers     []string `toml:"headers" doc:"Request headers allowed beyond the safelisted ones."`
	Credentials bool     `toml:"credentials" doc:"Whether cookies and authorization may be sent."`
	MaxAge      Duration `toml:"max_age" doc:"How long a browser may keep the answer to a preflight." check:"min=0s,max=24h"`
}

// SLO is what is promised of a route. A zero Latency promises nothing. Zero Errors promise that none fails, to load tests; the server
// exports none, as nothing of such a share can be used up.
type SLO struct {
	Latency  Duration `toml:"latency" doc:"Time within which the quantile of requests is answered." check:"min=1ms,max=1h"`
	Quantile float64  `toml:"quantile" doc:"Share of requests within latency, such as 0.95." check:"min=0.5,max=0.9999"`
	Errors   float64  `toml:"errors" doc:"Largest share of requests answered 5xx or 408." check:"min=0,max=1"`
	Window   Duration `toml:"window" doc:"Time over which the promise holds." check:"min=1h,max=90d"`
}

// Default returns the built-in policy: what holds where no file, variable or flag says otherwise. It has no routes.
func Default() *Policy {
	return &Policy{
		Version: 1,
		Server: Server{
			Listen:       "127.0.0.1:5000",
			BodyLimit:    1 << 20,
			HeaderLimit:  16 << 10,
			URLLimit:     8 << 10,
			MinRate:      240,
			Connections:  16384,
			Overload:     Overload{InFlight: 1000, Queue: 1000, Wait: Duration(500 * time.Millisecond)},
			ClientHeader: "X-Forwarded-For",
			ReadTimeout:  Duration(10 * time.Second),
			WriteTimeout: Duration(30 * time.Second),
			IdleTimeout:  Duration(75 * time.Second),
			MaxTimeout:   Duration(60 * time.Second),
			Drain:        Duration(20 * time.Second),
			MaxAbandoned: 4096,
		},
		Log:       Log{Level: "info", Access: AccessLog{Enabled: true, Sample: 1, MaxPerSecond: 1000}},
		Telemetry: Telemetry{Traces: Traces{Sample: 1, Service: "chatbot"}},
		Cache: Cache{
			Memory:   128 << 20,
			MaxEntry: 1 << 20,
			Redis:    Redis{Port: 6379},
		},
		Compression: Compression{Enabled: true, Level: 6, MinSize: 1 << 10, Encodings: []string{"br", "zstd", "gzip"}},
		Defaults: Defaults{
			Timeout:  Duration(30 * time.Second),
			Slow:     Duration(time.Second),
			Compress: true,
			Stream:   Stream{Idle: Duration(30 * time.Second), Max: Duration(10 * time.Minute)},
			Cache:    DefaultsCache{TTL: Duration(5 * time.Minute)},
		},
		Presets: Presets{CacheControl: map[string]Duration{
			"none":   0,
			"short":  Duration(5 * time.Minute),
			"medium": Duration(time.Hour),
			"long":   Duration(24 * time.Hour),
			"static": Duration(7 * 24 * time.Hour),
		}},
		Plugins: map[string]any{},
	}
}

// defaultRoute returns what a route does before the file speaks, given the policy's defaults.
func defaultRoute(d Defaults) Route {
	return Route{
		Method:   "GET",
		Timeout:  d.Timeout,
		Slow:     d.Slow,
		Compress: d.Compress,
		Stream:   d.Stream,
		Limits:   Limits{Window: Duration(time.Minute), From: 0.8},
		Priority: "normal",
		CORS:     CORS{MaxAge: Duration(10 * time.Minute)},
		Audience: "public",
	}
}

// defaultRouteCache returns what a route's cache table does before the file speaks.
func defaultRouteCache(d Defaults) RouteCache { return RouteCache{Mode: "policy", TTL: d.Cache.TTL} }

// Standard reports whether the answers themselves say how they are stored.
func (c *RouteCache) Standard() bool { return c != nil && c.Mode == "standard" }

// Stores reports whether answers are stored for any time.
func (c *RouteCache) Stores() bool { return c != nil && (c.Standard() || c.TTL > 0) }

// defaultSLO returns what a route's slo table promises before the file speaks.
func defaultSLO() SLO {
	return SLO{Quantile: 0.95, Errors: 0.01, Window: Duration(30 * 24 * time.Hour)}
}

// defaultSink returns what a log sink does before the file speaks.
func defaultSink(l Log) LogSink {
	return LogSink{Format: "text", Level: l.Level, MaxSize: 100 << 20, MaxFiles: 5}
}
