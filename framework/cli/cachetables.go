package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/cache"
	"github.com/innatural/chatbot/framework/httpcache"
	"github.com/innatural/chatbot/framework/policy"
)

// statsTable lays out the state of the layers.
func statsTable(r *cache.Report) string {
	t, m, shared := newTable(), r.Memory, r.Redis
	t.row("LAYER", "STATE", "KEYS", "SIZE", "HITS", "MISSES", "HIT RATE", "EVICTIONS", "LATENCY")
	t.row("memory", "serves", humanize.Comma(m.Keys),
		humanize.IBytes(uint64(m.Bytes))+" of "+humanize.IBytes(uint64(m.MaxBytes)), //nolint:gosec // sizes are not negative
		humanize.Comma(m.Hits), humanize.Comma(m.Misses), m.HitRate, humanize.Comma(m.Evictions), "")
	switch {
	case shared.Circuit == "disabled":
		t.row("redis", "disabled")
	case !shared.Available:
		t.row("redis", "does not answer", "", "", humanize.Comma(shared.Hits), humanize.Comma(shared.Misses))
	default:
		t.row("redis", "serves", humanize.Comma(shared.Keys), "", humanize.Comma(shared.Hits), humanize.Comma(shared.Misses),
			rate(shared.Hits, shared.Misses), "", strconv.FormatFloat(shared.LatencyMS, 'f', 2, 64)+" ms")
	}
	return t.String()
}

func rate(hits, misses int64) string {
	if hits+misses == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f%%", 100*float64(hits)/float64(hits+misses))
}

// inspection lays out what is stored for a request.
func (s *session) inspection(found *framework.Inspection) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", styled(s.out, bold, found.Method+" "+found.URL))
	t := newTable()
	if found.Route != "" {
		t.row("  route", found.Route+" to "+found.Handler+", "+found.Place)
	}
	if found.Key != "" {
		t.row("  key", found.Key)
		t.row("  mode", found.Mode)
	}
	outcome := cmp.Or(string(found.Verdict.Outcome), "no answer")
	if found.Verdict.Outcome == httpcache.Hit {
		outcome = styled(s.out, green, outcome)
	}
	t.row("  now", outcome+": "+found.Verdict.Reason)
	if v := found.Verdict; v.Status != 0 {
		sent := strconv.Itoa(v.Status)
		if v.Encoding != "" {
			sent += ", " + v.Encoding
		}
		t.row("  sent", sent)
	}
	if found.Verdict.CacheStatus != "" {
		t.row("  Cache-Status", found.Verdict.CacheStatus)
	}
	b.WriteString(t.String())
	for i := range found.Stored {
		b.WriteString(s.stored(&found.Stored[i]))
	}
	return b.String()
}

// stored lays out an answer that a layer holds.
func (s *session) stored(a *httpcache.Stored) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", styled(s.out, bold, "in "+a.Layer))
	t := newTable()
	t.row("  status", strconv.Itoa(a.Status))
	t.row("  age", seconds(a.Age))
	if a.SoftlyPurged {
		t.row("  fresh", "until it was purged softly, "+seconds(-a.TTL)+" ago")
	} else {
		t.row("  fresh", until(a.TTL))
	}
	if a.Revalidate > a.TTL {
		t.row("  stale while revalidating", until(a.Revalidate))
	}
	if a.OnError > a.TTL {
		t.row("  stale on error", until(a.OnError))
	}
	if len(a.Tags) > 0 {
		t.row("  tags", strings.Join(a.Tags, ", "))
	}
	if a.LastModified != "" {
		t.row("  last modified", a.LastModified)
	}
	if a.Vary != "" {
		t.row("  vary", a.Vary)
	}
	for _, f := range a.For {
		t.row("  for", f)
	}
	b.WriteString(t.String())
	t = newTable()
	t.row("  ENCODING", "SIZE", "ETAG")
	for _, v := range a.Variants {
		t.row("  "+v.Encoding, humanize.IBytes(uint64(v.Size)), cmp.Or(v.ETag, "none")) //nolint:gosec // sizes are not negative
	}
	b.WriteString(t.String())
	return b.String()
}

// until says how long something still holds, or for how long it has not.
func until(left int64) string {
	if left < 0 {
		return "ended " + seconds(-left) + " ago"
	}
	return "for " + seconds(left) + " more"
}

func seconds(n int64) string { return policy.Duration(time.Duration(n) * time.Second).String() }

// plural counts in words.
func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return humanize.Comma(n) + " " + what + "s"
}
