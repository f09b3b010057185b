package httpcache

import (
	"context"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"github.com/innatural/chatbot/framework/encoding"
)

// Inspect looks at what both layers hold for a target and says what a request for it would get, and why. It changes nothing and
// counts nothing. It may be called concurrently.
func (s *Standard) Inspect(ctx context.Context, rule *StandardRule, req *StandardRequest) Inspection {
	found := Inspection{Stored: []Stored{}}
	asked := requestDirectives(req.Values("Cache-Control"))
	p := newPassage(s, rule, req, &asked, nil)
	found.add("memory", p)
	if v, ok := p.foresee("in memory"); ok {
		found.Verdict = v
	}
	shared := s.memory.Shared()
	if value, ok := shared.Peek(ctx, req.Key); ok {
		if r, ok := unmarshalResource(value.Value, value.Tags); ok {
			there := newPassage(s, rule, req, &asked, nil)
			there.res, there.soft = r, value.Stale
			there.old, _ = r.choose(req)
			found.add("redis", there)
			if v, ok := there.foresee("in Redis and not in this instance's memory"); ok && found.Verdict.Outcome == "" && v.Outcome == Hit {
				found.Verdict = v
			}
		}
	}
	if found.Verdict.Outcome != "" {
		return found
	}
	found.Verdict = Verdict{Outcome: Miss, CacheStatus: s.name + "; fwd=" + p.why, Reason: p.goesOn()}
	switch state := shared.Stats(); {
	case asked.onlyIfCached:
		found.Verdict = Verdict{
			Status: http.StatusGatewayTimeout, Reason: "no stored answer serves the request, and it takes no other (only-if-cached)",
		}
	case p.res == nil && state.Circuit != "disabled" && !state.Available:
		found.Verdict.Reason = "memory holds no answer for this target, and Redis does not answer"
	}
	return found
}

// add tells what a layer holds.
func (i *Inspection) add(layer string, p *passage) {
	if p.res == nil {
		return
	}
	for _, v := range p.res.variants {
		i.Stored = append(i.Stored, p.describe(layer, v))
	}
}

// foresee says how the stored response would answer, if it would.
func (p *passage) foresee(where string) (Verdict, bool) {
	if p.old == nil {
		return Verdict{}, false
	}
	res, detail, ok := p.reusable("")
	if !ok {
		return Verdict{}, false
	}
	v := Verdict{Outcome: res.Outcome, Status: res.Status, Reason: "it is fresh, " + where}
	if res.Outcome == Stale {
		v.Reason = "it is stale, " + where + ", and sent while a new one is made (stale-while-revalidate)"
		if detail != whileRevalidating {
			v.Reason = "it is stale, " + where + ", and the request takes it (" + detail + ")"
		}
	}
	if res.Body != nil {
		v.Encoding = encoding.Identity
	}
	v.read(&res)
	return v, true
}

// goesOn says why the request goes on to the origin.
func (p *passage) goesOn() string {
	switch {
	case p.why == "request":
		return "what is stored is fresh, and the request asks for more than that (its Cache-Control)"
	case p.why == "vary-miss":
		return "what is stored is for requests with other fields (Vary)"
	case p.old == nil:
		return "no layer holds an answer for this target"
	case p.old.validator():
		return "what is stored is stale; the origin is asked whether it still holds"
	}
	return "what is stored is stale, and has nothing to ask the origin by whether it still holds"
}

func (p *passage) describe(layer string, v *stored) Stored {
	age, left := p.left(v)
	whileRevalidate, onError := left, left
	if !v.control.strict() {
		whileRevalidate += max(p.rule.StaleWhileRevalidate, v.control.staleWhileRevalidate.seconds)
		onError += max(p.rule.StaleIfError, v.control.staleIfError.seconds)
	}
	s := Stored{
		Layer: layer, Status: v.status, Made: v.arrived.Add(-v.age).UTC().Truncate(time.Millisecond), Age: int64(age / time.Second),
		TTL: int64(left / time.Second), Revalidate: int64(whileRevalidate / time.Second), OnError: int64(onError / time.Second),
		SoftlyPurged: !p.soft.IsZero(), Tags: append([]string{}, v.tags...), Vary: strings.Join(v.vary, ", "), For: v.asked(),
	}
	if !v.lastModified.IsZero() {
		s.LastModified = v.lastModified.UTC().Format(http.TimeFormat)
	}
	body := Body{encoding.Identity, len(v.body), v.etag}
	for _, f := range v.fields {
		if f.name == "Content-Encoding" {
			body.Encoding = f.value
		}
	}
	s.Variants = []Body{body}
	return s
}

// asked returns the fields that requests must have to get the response, as the secondary key has them.
func (v *stored) asked() []string {
	var fields []string
	rest := []byte(v.secondary)
	for _, name := range v.vary {
		lines, size := binary.Uvarint(rest)
		if size <= 0 {
			break
		}
		rest = rest[size:]
		if lines == 0 {
			fields = append(fields, "no "+name)
			continue
		}
		value, after, _ := strings.Cut(string(rest), "\n")
		rest = []byte(after)
		fields = append(fields, name+": "+value)
	}
	return fields
}
