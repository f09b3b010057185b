package chatbot

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/lib/types"
	"go.k6.io/k6/v2/metrics"
)

// Rules of the cache contract.
const (
	ruleAgree = "agree" // the headers that tell of the cache tell the same
	ruleHit   = "hit"   // what was stored is found again within its TTL
	ruleFresh = "fresh" // and not after it
	ruleSame  = "same"  // what is found is what was stored
	ruleLeak  = "leak"  // nothing of another user's request is in it
)

// slack is what the clocks and the whole seconds of Age may differ by.
const slack = 1500 * time.Millisecond

// maxStored bounds the URLs whose answers are followed.
const maxStored = 10_000

// stored is what is known of a cached URL.
type stored struct {
	mu   sync.Mutex
	at   time.Time // it was stored not before; zero when unknown
	hash uint64
}

// Cached is the answer of a cached route.
type Cached struct {
	OK       bool     `js:"ok"`
	Status   int      `js:"status"`
	Text     string   `js:"text"`
	Cache    string   `js:"cache"`
	Age      float64  `js:"age"`      // seconds; -1 when the answer has none
	Duration float64  `js:"duration"` // milliseconds
	Broken   []string `js:"broken"`   // rules of the contract
}

// Cached asks for a cached route and checks what it tells of its cache.
func (c *Client) Cached(path string, options sobek.Value) (*sobek.Promise, error) {
	i := c.instance
	state := i.vu.State()
	if state == nil {
		return nil, errors.New("cached: requests can't be made in the init context")
	}
	var o struct {
		TTL     types.NullDuration `json:"ttl"`
		Headers map[string]string  `json:"headers"`
		Tags    map[string]string  `json:"tags"`
	}
	if err := decode("cached", options, &o); err != nil {
		return nil, err
	}
	if o.TTL.TimeDuration() <= 0 || !strings.HasPrefix(path, "/") {
		return nil, errors.New("cached: needs a path that begins with / and the route's ttl, such as policy.cache has it")
	}
	to, err := httpext.NewURL(strings.TrimSuffix(c.options.BaseURL, "/")+path, "")
	if err != nil {
		return nil, fmt.Errorf("cached: %w", err)
	}
	i.count++
	nonce := fmt.Sprintf("k6-%s-%d-%d", i.root.run, state.VUIDGlobal, i.count)
	header := c.headers(o.Headers)
	header.Del("Content-Type")
	header.Set("X-Request-Id", nonce)
	preq := c.request(state, http.MethodGet, to, header)
	preq.ResponseType = httpext.ResponseTypeText
	for name, value := range o.Tags {
		preq.TagsAndMeta.SetTag(name, value)
	}
	promise, resolve, reject := i.vu.Runtime().NewPromise()
	callback := i.vu.RegisterCallback()
	ctx := i.vu.Context()
	go func() {
		sent := time.Now()
		resp, err := httpext.MakeRequest(ctx, state, preq)
		answer := &Cached{Cache: "unknown", Age: -1}
		var samples []metrics.Sample
		if err == nil && resp.Status != 0 {
			text, _ := resp.Body.(string)
			h := http.Header{}
			for name, value := range resp.Headers {
				h.Set(name, value)
			}
			answer = &Cached{
				OK: resp.Status == http.StatusOK, Status: resp.Status, Text: text, Cache: cacheStatus(h), Age: -1,
				Duration: resp.Timings.Duration,
			}
			if seconds, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
				answer.Age = float64(seconds)
			}
			if answer.OK {
				samples = c.check(answer, i.root.stored(to.URL), h, nonce, o.TTL.TimeDuration(), sent, preq.TagsAndMeta)
			}
		}
		for _, s := range samples {
			i.root.promised(state).touch(s.Metric, s.Tags)
		}
		if len(samples) > 0 {
			metrics.PushIfNotDone(ctx, state.Samples, metrics.Samples(samples))
		}
		callback(func() error {
			if err != nil {
				return reject(err)
			}
			return resolve(answer)
		})
	}()
	return promise, nil
}

func (r *Root) stored(url string) *stored {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.cached[url]
	if s == nil {
		s = &stored{}
		if len(r.cached) < maxStored {
			r.cached[url] = s
		}
	}
	return s
}

// check holds an answer against the rules that apply to it, and returns a sample for each.
func (c *Client) check(
	a *Cached, s *stored, h http.Header, nonce string, ttl time.Duration, sent time.Time, tags metrics.TagsAndMeta,
) []metrics.Sample {
	m := c.instance.metrics
	now := time.Now()
	var samples []metrics.Sample
	tags.SetTag("cache", a.Cache)
	if a.Cache == "hit" || a.Cache == "miss" {
		samples = append(samples, metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: m.cacheHits, Tags: tags.Tags}, Time: now, Value: map[string]float64{"hit": 1}[a.Cache],
		})
	}
	rule := func(name string, kept bool) {
		value := 1.0
		if !kept {
			value = 0
			a.Broken = append(a.Broken, name)
		}
		samples = append(samples, metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: m.cacheContract, Tags: tags.Tags.With("rule", name)}, Time: now, Value: value,
		})
	}
	hit := a.Cache == "hit"
	stale := strings.EqualFold(h.Get("X-Cache"), "STALE")
	rule(ruleAgree, agree(h, hit, a.Age))
	foreign := h.Get("X-Request-Id") != nonce || strings.Contains(a.Text, "k6-"+c.instance.root.run+"-")
	rule(ruleLeak, !foreign && (!hit || h.Get("Set-Cookie") == ""))
	if hit && !stale {
		rule(ruleFresh, a.Age <= (ttl+slack).Seconds())
	}
	hash := xxhash.Sum64String(a.Text)
	age := time.Duration(max(0, a.Age) * float64(time.Second))
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.Add(-age)
	newer := s.at.IsZero() || at.Sub(s.at) > slack // somebody else had it stored again
	if !s.at.IsZero() && now.Sub(s.at) < ttl-slack && !sent.Before(s.at) {
		rule(ruleHit, hit)
		if hit && !newer {
			rule(ruleSame, hash == s.hash)
		}
	}
	if a.Cache == "miss" || hit && newer {
		s.at, s.hash = at, hash
	}
	return samples
}

// agree says whether the headers tell the same about a hit.
func agree(h http.Header, hit bool, age float64) bool {
	x, status := h.Get("X-Cache"), h.Get("Cache-Status")
	if x == "" && status == "" {
		return false // a cached route has to say what it did
	}
	if x != "" && status != "" && hit != strings.Contains(status, "hit") {
		return false
	}
	control := h.Get("Cache-Control")
	return !hit || age >= 0 && !strings.Contains(control, "no-store") && !strings.Contains(control, "private")
}
