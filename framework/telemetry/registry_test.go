package telemetry_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/goleak"

	"github.com/innatural/chatbot/framework/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape returns the metrics as Prometheus text.
func scrape(t testing.TB, r *telemetry.Registry) string {
	t.Helper()
	_, body, err := r.WriteMetrics("")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func lines(text, prefix string) (found []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestMetricsOutliveTheirUser(t *testing.T) {
	r := telemetry.NewRegistry()
	r.Counter("shop_orders_total", "Orders.", "country").With("FR").Add(2)
	r.Counter("shop_orders_total", "Orders.", "country").With("FR").Inc()
	r.Gauge("shop_open", "Whether the shop is open.").With().Set(1)
	r.Histogram("shop_wait_seconds", "Time at the till.", []float64{1, 10}).With().Observe(3)
	text := scrape(t, r)
	for _, want := range []string{`shop_orders_total{country="FR"} 3`, "shop_open 1", `shop_wait_seconds_bucket{le="10"} 1`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

func TestMistakesAreToldAndHarmless(t *testing.T) {
	same := func(r *telemetry.Registry) { r.Counter("shop_orders_total", "Orders.", "country").With("FR").Inc() }
	for name, c := range map[string]struct {
		ask  func(r *telemetry.Registry)
		want string
	}{
		"other labels": {
			func(r *telemetry.Registry) {
				r.Counter("shop_orders_total", "Orders.", "city", "shop").With("Lyon", "1").Inc()
			},
			`register metric "shop_orders_total": it exists with labels [country], not [city shop]`,
		},
		"other kind": {
			func(r *telemetry.Registry) { r.Gauge("shop_orders_total", "Orders.", "country").With("FR").Set(7) },
			`register metric "shop_orders_total": it exists as another kind of metric`,
		},
		"other kind, by function": {
			func(r *telemetry.Registry) {
				r.GaugeFunc("shop_orders_total", "Orders.", func() float64 { return 7 })()
			},
			`register metric "shop_orders_total": it exists as another kind of metric`,
		},
		"other buckets": {
			func(r *telemetry.Registry) {
				r.Histogram("shop_wait_seconds", "Wait.", []float64{1}).With().Observe(1)
				r.Histogram("shop_wait_seconds", "Wait.", []float64{2}).With().Observe(1)
			},
			`register metric "shop_wait_seconds": it exists with other buckets`,
		},
		"descending buckets": {
			func(r *telemetry.Registry) {
				r.Histogram("shop_wait_seconds", "Wait.", []float64{2, 1}).With().Observe(1)
			},
			`register metric "shop_wait_seconds": its buckets do not ascend`,
		},
		"reserved label": {
			func(r *telemetry.Registry) { r.Histogram("shop_wait_seconds", "Wait.", nil, "le").With("1").Observe(1) },
			`register metric "shop_wait_seconds": "le" is reserved and cannot be a label`,
		},
		"bad name": {
			func(r *telemetry.Registry) { r.Counter("", "Nothing.", "a").With("1").Inc() },
			`register metric "": descriptor`,
		},
		"a name of the runtime": {
			func(r *telemetry.Registry) { r.Gauge("go_goroutines", "Mine.", "a").With("1").Inc() },
			`register metric "go_goroutines": a previously registered descriptor`,
		},
		"a name of the policy": {
			func(r *telemetry.Registry) { r.Gauge(telemetry.PolicyInfo, "Mine.").With().Set(1) },
			`register metric "policy_info": a previously registered descriptor`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := telemetry.NewRegistry()
			same(r)
			c.ask(r)
			err := r.Err()
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("Err: %v, want %s…", err, c.want)
			}
			if err := r.Err(); err != nil {
				t.Errorf("told twice: %v", err)
			}
			same(r)
			if text := scrape(t, r); !strings.Contains(text, `shop_orders_total{country="FR"} 2`) {
				t.Errorf("the metric that was there is gone:\n%s", text)
			}
		})
	}
}

func TestLabelsAreBounded(t *testing.T) {
	r := telemetry.NewRegistry()
	events := r.Counter("shop_events_total", "Events.", "event")
	for i := range 5000 {
		events.With("event" + strconv.Itoa(i)).Inc()
	}
	found := lines(scrape(t, r), "shop_events_total{")
	if len(found) != 201 {
		t.Errorf("%d series, want 200 and %s", len(found), telemetry.Other)
	}
	if want := `shop_events_total{event="_OTHER"} 4800`; !strings.Contains(strings.Join(found, "\n"), want) {
		t.Errorf("no %s", want)
	}

	odd := r.Counter("shop_odd_total", "Odd.", "a", telemetry.LabelMethod)
	odd.With("x", "BREW").Inc()
	odd.With("x", "get").Inc()
	odd.With("x", "GET").Inc()
	odd.With(strings.Repeat("x", 129), "GET").Inc()
	odd.With("\xff", "GET").Inc()
	odd.With("x\xffGET").Inc()
	odd.With().Inc()
	odd.With("a", "b", "c").Inc()
	want := []string{
		`shop_odd_total{a="_OTHER",http_request_method="GET"} 2`,
		`shop_odd_total{a="_OTHER",http_request_method="_OTHER"} 3`,
		`shop_odd_total{a="x",http_request_method="GET"} 1`,
		`shop_odd_total{a="x",http_request_method="_OTHER"} 2`,
	}
	if found := lines(scrape(t, r), "shop_odd_total{"); strings.Join(found, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
}

func TestLabelValuesAreCopied(t *testing.T) {
	r := telemetry.NewRegistry()
	c := r.Counter("shop_copies_total", "Copies.", "a")
	buffer := []byte("first")
	c.With(string(buffer)).Inc()
	copy(buffer, "other")
	c.With("first").Inc()
	if got := r.Sum("shop_copies_total", "a"); got["first"] != 2 {
		t.Errorf("%v", got)
	}
}

func TestFunctionsOfGenerations(t *testing.T) {
	r := telemetry.NewRegistry()
	value := func() float64 { return r.Sum("shop_depth", "")[""] }
	fixed := func(v float64) func() float64 { return func() float64 { return v } }
	removeOld := r.GaugeFunc("shop_depth", "Depth.", fixed(1), "layer", "memory")
	removeBroken := r.GaugeFunc("shop_depth", "Depth.", fixed(2), "layer", "memory")
	if got := value(); got != 2 {
		t.Errorf("%v, want the latest", got)
	}
	removeBroken() // a generation that failed to build
	if got := value(); got != 1 {
		t.Errorf("%v, want the old one back", got)
	}
	removeNew := r.GaugeFunc("shop_depth", "Depth.", fixed(3), "layer", "memory")
	removeOld()
	removeOld()
	if got := value(); got != 3 {
		t.Errorf("%v, want the new one", got)
	}
	removeCount := r.CounterFunc("shop_hits_total", "Hits.", fixed(9), "layer", "memory")
	if got := lines(scrape(t, r), "shop_hits_total{"); len(got) != 1 || got[0] != `shop_hits_total{layer="memory"} 9` {
		t.Error(got)
	}
	removeNew()
	removeCount()
	if text := scrape(t, r); strings.Contains(text, "shop_depth") || strings.Contains(text, "shop_hits") {
		t.Errorf("still there:\n%s", text)
	}
}

func TestOneBrokenMetricDoesNotCostTheOthers(t *testing.T) {
	r := telemetry.NewRegistry()
	defer r.GaugeFunc("shop_broken", "Panics.", func() float64 { panic("broken") })()
	contentType, body, err := r.WriteMetrics("")
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error %v", err)
	}
	if !strings.HasPrefix(contentType, "text/plain") || !bytes.Contains(body, []byte("go_goroutines")) {
		t.Errorf("%s\n%s", contentType, body)
	}
}

func TestContentNegotiation(t *testing.T) {
	r := telemetry.NewRegistry()
	hold := r.Route("/api/products")
	hold.Observe("GET", 200, 1e6, 10)
	for accept, want := range map[string]string{
		"":              "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
		"text/html":     "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
		"*/*":           "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
		"\x00;;q=,nope": "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5": "application/openmetrics-text; version=1.0.0; " +
			"charset=utf-8; escaping=underscores",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/" +
			"vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores",
	} {
		got, body, err := r.WriteMetrics(accept)
		if err != nil || got != want {
			t.Errorf("Accept %q: %q, %v; want %q", accept, got, err, want)
		}
		if strings.Contains(want, "openmetrics") {
			if !bytes.Contains(body, []byte(telemetry.HTTPRequestDuration+"_bucket")) || !bytes.HasSuffix(body, []byte("# EOF\n")) {
				t.Errorf("not OpenMetrics: %s", body)
			}
			continue
		}
		decoder := expfmt.NewDecoder(bytes.NewReader(body), expfmt.Format(got))
		native, classic := 0, 0
		for {
			var f dto.MetricFamily
			if decoder.Decode(&f) != nil {
				break
			}
			if f.GetName() == telemetry.HTTPRequestDuration {
				h := f.GetMetric()[0].GetHistogram()
				native, classic = len(h.GetPositiveSpan()), len(h.GetBucket())
			}
		}
		if classic != len(telemetry.HTTPBuckets()) && classic != len(telemetry.HTTPBuckets())+1 {
			t.Errorf("Accept %q: %d classic buckets", accept, classic)
		}
		if strings.Contains(want, "protobuf") && native == 0 {
			t.Error("no native histogram in protobuf")
		}
	}
}

func TestNamesPassPromlint(t *testing.T) {
	r := telemetry.NewRegistry()
	defer r.Release(r.Route("/"))
	for _, c := range []struct{ name, help string }{
		{telemetry.HTTPRejectedRequests, telemetry.HTTPRejectedRequestsHelp},
		{telemetry.CacheRequests, telemetry.CacheRequestsHelp},
		{telemetry.CacheResponses, telemetry.CacheResponsesHelp},
		{telemetry.CacheEvictions, telemetry.CacheEvictionsHelp},
		{telemetry.ChatMessages, telemetry.ChatMessagesHelp},
		{telemetry.ChatTokens, telemetry.ChatTokensHelp},
		{telemetry.ChatDegraded, telemetry.ChatDegradedHelp},
		{telemetry.ChatClientGone, telemetry.ChatClientGoneHelp},
		{telemetry.ChatFeedback, telemetry.ChatFeedbackHelp},
		{telemetry.AnalyticsEvents, telemetry.AnalyticsEventsHelp},
		{telemetry.CatalogSearches, telemetry.CatalogSearchesHelp},
		{telemetry.FAQSearches, telemetry.FAQSearchesHelp},
		{telemetry.HTTPCompressedBytes, telemetry.HTTPCompressedBytesHelp},
		{telemetry.SLORequests, telemetry.SLORequestsHelp},
		{telemetry.SLOBreaches, telemetry.SLOBreachesHelp},
		{telemetry.CacheErrors, telemetry.CacheErrorsHelp},
		{telemetry.CacheConnectionWaits, telemetry.CacheConnectionWaitsHelp},
		{telemetry.CacheCoalesced, telemetry.CacheCoalescedHelp},
		{telemetry.CachePurges, telemetry.CachePurgesHelp},
		{telemetry.TraceSpans, telemetry.TraceSpansHelp},
		{telemetry.LogLinesDropped, telemetry.LogLinesDroppedHelp},
		{telemetry.QualificationSessions, telemetry.QualificationSessionsHelp},
	} {
		r.Counter(c.name, c.help).With().Inc()
	}
	for _, g := range []struct{ name, help string }{
		{telemetry.HTTPActiveRequests, telemetry.HTTPActiveRequestsHelp},
		{telemetry.HTTPAbandonedHandlers, telemetry.HTTPAbandonedHandlersHelp},
		{telemetry.HTTPOpenStreams, telemetry.HTTPOpenStreamsHelp},
		{telemetry.CacheKeys, telemetry.CacheKeysHelp},
		{telemetry.CacheBytes, telemetry.CacheBytesHelp},
		{telemetry.CacheMaxBytes, telemetry.CacheMaxBytesHelp},
		{telemetry.CacheUp, telemetry.CacheUpHelp},
		{telemetry.ChatSessionsActive, telemetry.ChatSessionsActiveHelp},
		{telemetry.HTTPOpenConnections, telemetry.HTTPOpenConnectionsHelp},
		{telemetry.CacheLatency, telemetry.CacheLatencyHelp},
		{telemetry.CacheConnections, telemetry.CacheConnectionsHelp},
	} {
		r.Gauge(g.name, g.help).With().Set(1)
	}
	for _, h := range []struct {
		name, help string
		buckets    []float64
	}{
		{telemetry.ProxyRequestDuration, telemetry.ProxyRequestDurationHelp, telemetry.HTTPBuckets()},
		{telemetry.ChatDuration, telemetry.ChatDurationHelp, telemetry.ChatBuckets()},
		{telemetry.ChatFirstToken, telemetry.ChatFirstTokenHelp, telemetry.FirstTokenBuckets()},
	} {
		r.Histogram(h.name, h.help, h.buckets).With().Observe(1)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(strings.NewReader(scrape(t, r))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "go_") || strings.HasPrefix(p.Metric, "process_") {
			continue // client_golang's own
		}
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestConcurrentUse(t *testing.T) {
	r := telemetry.NewRegistry()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 300 {
				r.Counter("shop_events_total", "Events.", "event").With(strconv.Itoa(j)).Inc()
				route := r.Route(fmt.Sprintf("/r%d", j%5))
				route.Observe("GET", 200+i, 1e6, 1)
				if j%50 == 0 {
					scrape(t, r)
					r.Requests()
				}
				r.Release(route)
			}
		})
	}
	wg.Wait()
	if got := r.Sum("shop_events_total", "")[""]; got != 2400 {
		t.Errorf("%v events, want 2400", got)
	}
	if found := lines(scrape(t, r), telemetry.HTTPRequestDuration); found != nil {
		t.Errorf("series of released routes: %v", found)
	}
}

func TestSum(t *testing.T) {
	r := telemetry.NewRegistry()
	messages := r.Counter(telemetry.ChatMessages, telemetry.ChatMessagesHelp, telemetry.LabelLanguage, telemetry.LabelTopic)
	messages.With("fr", "products").Add(3)
	messages.With("fr", "sav").Add(2)
	messages.With("ar", "sav").Add(1)
	for by, want := range map[string]map[string]float64{
		"language": {"fr": 5, "ar": 1}, "topic": {"products": 3, "sav": 3}, "": {"": 6}, "nothing": {},
	} {
		if got := r.Sum(telemetry.ChatMessages, by); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("by %q: %v, want %v", by, got, want)
		}
	}
	if got := r.Sum("nothing", ""); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func BenchmarkVecWith(b *testing.B) {
	c := telemetry.NewRegistry().Counter("shop_events_total", "Events.", "event", "language")
	b.ReportAllocs()
	for b.Loop() {
		c.With("opened", "fr").Inc()
	}
}

func BenchmarkScrape(b *testing.B) {
	r := telemetry.NewRegistry()
	for i := range 50 {
		route := r.Route(fmt.Sprintf("/api/route%d", i))
		for ms := range 100 {
			route.Observe("GET", 200, time.Duration(ms)*time.Millisecond, ms)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.WriteMetrics(""); err != nil {
			b.Fatal(err)
		}
	}
}
