package policy

import (
	"os"
	"strings"
	"testing"
	"time"
)

func none(string) (string, bool) { return "", false }

// The shop's own policy says what the load kit is about.
func TestShopPolicy(t *testing.T) {
	data, err := os.ReadFile("../../../policies/chatbot.toml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse("chatbot.toml", data, none)
	if err != nil {
		t.Fatal(err)
	}
	if r := p.Route("POST", "/api/chat"); r == nil || r.SLO == nil || r.SLO.Latency != 3*time.Second || r.SLO.Errors != 0.02 || r.Cache != nil {
		t.Errorf("chat: %+v", r)
	}
	if r := p.Route("GET", "/api/products"); r == nil || r.Cache == nil || r.Cache.TTL != time.Hour || r.Cache.Stale != 24*time.Hour {
		t.Errorf("products: %+v", r)
	}
	if p.Route("GET", "/nowhere") != nil {
		t.Error("a route that isn't there")
	}
}

func TestEnvironment(t *testing.T) {
	const text = "[[routes]]\npath = '/a'\ncache = { ttl = '${env:TTL:-90s}' }"
	for _, c := range []struct {
		set  string
		want time.Duration
	}{{"", 90 * time.Second}, {"2m", 2 * time.Minute}} {
		p, err := Parse("x.toml", []byte(text), func(name string) (string, bool) { return c.set, c.set != "" && name == "TTL" })
		if err != nil || p.Routes[0].Cache.TTL != c.want {
			t.Errorf("TTL=%q: %v, %v", c.set, p, err)
		}
	}
}

func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		"version = ": "x.toml:1:",
		"[[routes]]\npath = '/a'\nslo = { latency = 'soon', quantile = 0.9 }": `x.toml: route GET /a: slo.latency: "soon" is not a duration`,
		"[[routes]]\npath = '/a'\nslo = { latency = '1s', quantile = 1.0 }":   "slo needs a latency over 0",
		"[[routes]]\npath = '/a'\ncache = { ttl = 3 }":                        "x.toml:3:",
	} {
		if _, err := Parse("x.toml", []byte(text), none); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "1.5s": 1500 * time.Millisecond, "2w": 336 * time.Hour,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"5", "s", "-1s", "1y", "1s2", "99999999w"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
