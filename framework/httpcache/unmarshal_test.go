package httpcache

import (
	"bytes"
	"net/http"
	"slices"
	"testing"
	"time"
)

func FuzzUnmarshal(f *testing.F) {
	for _, header := range []http.Header{
		nil,
		{"Content-Type": {"application/json"}, "Last-Modified": {"Wed, 01 Jul 2026 10:00:00 GMT"}, "X-Own": {"1", "2"}},
		{"Cache-Control": {"no-store"}, "Etag": {`"v7"`}},
	} {
		f.Add(newRepresentation(&Response{Status: 200, Header: header, Body: []byte("body")}, time.Unix(1, 2)).marshal(1 << 20))
	}
	f.Add([]byte{})
	f.Add([]byte{200, 1, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := unmarshal(bytes.Clone(b), nil)
		if !ok {
			return
		}
		again, ok := unmarshal(r.marshal(1<<20), nil)
		if !ok || again.status != r.status || !again.made.Equal(r.made) || !again.lastModified.Equal(r.lastModified) ||
			again.plain.etag != r.plain.etag || again.negotiable != r.negotiable || !bytes.Equal(again.plain.body, r.plain.body) ||
			!slices.Equal(again.plain.full.fields, r.plain.full.fields) {
			t.Errorf("%x: %+v became %+v", b, r, again)
		}
	})
}

func FuzzUnmarshalStream(f *testing.F) {
	f.Add((&recorded{
		made: time.Unix(1, 2), fields: []field{{"Content-Type", "text/event-stream"}}, pieces: []piece{{time.Second, []byte("a")}, {0, nil}},
	}).marshal())
	f.Add([]byte{2, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := unmarshalStream(bytes.Clone(b), nil)
		if !ok {
			return
		}
		again, ok := unmarshalStream(r.marshal(), nil)
		same := func(a, b piece) bool { return max(a.after, 0) == b.after && bytes.Equal(a.body, b.body) }
		if !ok || !again.made.Equal(r.made) || !slices.Equal(again.fields, r.fields) || !slices.EqualFunc(r.pieces, again.pieces, same) {
			t.Errorf("%x: %+v became %+v", b, r, again)
		}
	})
}
