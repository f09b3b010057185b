package httpcache

import (
	"slices"
	"time"
)

// Bounds of what is stored for one target.
const (
	maxVariants     = 64
	maxVariantsSize = 4 // times the largest body that is stored
	// passTime is how long requests for a target whose answers could not be shared don't wait for each other.
	passTime = 10 * time.Second
)

// resource is what is stored for one target: the responses that its Vary tells apart, the last one first. It never changes.
type resource struct {
	variants []*stored
	pass     time.Time // until then nobody waits for another's fetch
}

// choose returns the stored response for a request, if any, and else why there is none, in the words of RFC 9211 (RFC 9111, section
// 4.1). Where some responses have a Vary, the newest of those that match is chosen, and none that came without; a part is chosen when
// it has what the request asks for and no whole is there.
func (r *resource) choose(req *StandardRequest) (v *stored, missing string) {
	missing = "uri-miss"
	if r == nil {
		return nil, missing
	}
	var plain, matching *stored
	varied := false
	newer := func(a, b *stored) bool {
		if b != nil && (a.part.size > 0) != (b.part.size > 0) {
			return b.part.size > 0
		}
		return b == nil || a.date.After(b.date) || a.date.Equal(b.date) && a.arrived.After(b.arrived)
	}
	for _, v := range r.variants {
		if v.part.size > 0 {
			if _, _, ok := v.covers(req); !ok {
				missing = "partial"
				continue
			}
		}
		switch {
		case len(v.vary) == 0:
			if newer(v, plain) {
				plain = v
			}
		case v.matches(req.Values):
			varied = true
			if newer(v, matching) {
				matching = v
			}
		default:
			varied = true
		}
	}
	if varied {
		return matching, "vary-miss"
	}
	return plain, missing
}

// with returns the resource with a response more, in place of the one that it replaces and of those that matched the request that
// it answers.
func (r *resource) with(v *stored, replaces *stored, req *StandardRequest, rule *StandardRule) *resource {
	next := &resource{variants: []*stored{v}}
	left := maxVariantsSize*rule.MaxEntry - len(v.body)
	if r == nil {
		return next
	}
	next.pass = r.pass
	for _, old := range r.variants {
		same := slices.Equal(old.vary, v.vary) && old.secondary == v.secondary || req != nil && old.matches(req.Values)
		if old == replaces || same && v.replaces(old) || len(next.variants) == maxVariants || len(old.body) > left {
			continue
		}
		left -= len(old.body)
		next.variants = append(next.variants, old)
	}
	return next
}

// without returns the resource without a response.
func (r *resource) without(v *stored) *resource {
	if r == nil || !slices.Contains(r.variants, v) {
		return r
	}
	return &resource{variants: slices.DeleteFunc(slices.Clone(r.variants), func(o *stored) bool { return o == v }), pass: r.pass}
}

// varyNames returns the names of all the responses' Vary.
func (r *resource) varyNames() []string {
	if r == nil {
		return nil
	}
	var names []string
	for _, v := range r.variants {
		names = append(names, v.vary...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// passing reports whether requests must not wait for each other.
func (r *resource) passing(now time.Time) bool { return r != nil && now.Before(r.pass) }

// keptUntil returns when the resource is of no use any more.
func (r *resource) keptUntil(rule *StandardRule) time.Time {
	until := r.pass
	for _, v := range r.variants {
		if t := v.keptUntil(rule); t.After(until) {
			until = t
		}
	}
	return until
}

// cost returns the bytes that the resource occupies.
func (r *resource) cost() int {
	n := 64
	for _, v := range r.variants {
		n += v.cost()
	}
	return n
}

// tags returns those of all the responses.
func (r *resource) tags() []string {
	var tags []string
	for _, v := range r.variants {
		tags = append(tags, v.tags...)
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// resourceFormat is the version of what marshal writes. No representation begins with it: a status is at least 100.
const resourceFormat = 1

// marshal returns what the shared layer keeps: the last responses, as many as limit bytes take.
func (r *resource) marshal(limit int) []byte {
	b := []byte{resourceFormat}
	for _, v := range r.variants {
		if len(b) > 1 && len(b)+v.cost() > limit {
			break
		}
		b = v.marshal(b)
	}
	return b
}

// unmarshalResource reads what marshal wrote, and reports whether it could. The bodies share b.
func unmarshalResource(b []byte, tags []string) (*resource, bool) {
	d := decoder{b: b}
	if d.uvarint() != resourceFormat {
		return nil, false
	}
	r := &resource{}
	for len(d.b) > 0 {
		v, ok := unmarshalStored(&d, tags)
		if !ok || len(r.variants) == maxVariants {
			return nil, false
		}
		r.variants = append(r.variants, v)
	}
	return r, len(r.variants) > 0
}

// merge returns the resource with the responses of another instance that it lacks or holds older ones of, and whether there are any.
func (r *resource) merge(found *resource, rule *StandardRule) (*resource, bool) {
	if r == nil {
		return found, true
	}
	merged := r
	for _, v := range slices.Backward(found.variants) {
		i := slices.IndexFunc(merged.variants, func(old *stored) bool {
			return slices.Equal(old.vary, v.vary) && old.secondary == v.secondary && old.part == v.part
		})
		if i < 0 || v.arrived.After(merged.variants[i].arrived) {
			merged = merged.with(v, nil, nil, rule)
		}
	}
	return merged, merged != r
}
