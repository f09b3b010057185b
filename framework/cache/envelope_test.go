package cache

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

func FuzzEnvelope(f *testing.F) {
	whole := &envelope{epoch: 1, made: 2, created: time.UnixMicro(3), expires: time.UnixMicro(4), tags: []string{"a", ""}, value: []byte("v")}
	f.Add("k", whole.encode("k"), "a", []byte("v"))
	f.Add("", (&envelope{}).encode(""), "", []byte(nil))
	f.Add("k", whole.encode("other"), "a", []byte("v"))
	f.Add("k", whole.encode("k")[:20], "a", []byte("v"))
	f.Fuzz(func(t *testing.T, key string, b []byte, tag string, value []byte) {
		if e, err := decodeEnvelope(key, b); err == nil && !bytes.Equal(e.encode(key), b) {
			t.Errorf("%x was read and is written as %x", b, e.encode(key))
		}
		want := &envelope{
			epoch: 1 << 60, made: 1<<64 - 1, created: time.UnixMicro(1), expires: time.UnixMicro(2), tags: []string{tag, "", tag}, value: value,
		}
		encoded := want.encode(key)
		got, err := decodeEnvelope(key, encoded)
		if err != nil {
			t.Fatal(err)
		}
		if got.epoch != want.epoch || got.made != want.made || !got.created.Equal(want.created) || !got.expires.Equal(want.expires) ||
			!slices.Equal(got.tags, want.tags) || !bytes.Equal(got.value, value) {
			t.Errorf("%+v became %+v", want, got)
		}
		if _, err := decodeEnvelope(key+"x", encoded); err == nil {
			t.Error("read under another key")
		}
		for i := range encoded {
			damaged := bytes.Clone(encoded)
			damaged[i]++
			if _, err := decodeEnvelope(key, damaged); err == nil {
				t.Errorf("byte %d of %x was damaged, and it was read", i, encoded)
			}
		}
	})
}
