package cache

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/cespare/xxhash/v2"
)

// An envelope is how a value lies in Redis:
//
//	magic and version | xxhash64 of the key | epoch | made | created | expires | tags | value | xxhash64 of all before
//
// Numbers are big-endian, times Unix microseconds, tags and their number carry uvarint lengths. So a reader needs one GET: it sees by
// itself whether the value is whole, of this key, still alive, and made before which purges.
type envelope struct {
	epoch, made      uint64 // of the log of purges when the making of the value began
	created, expires time.Time
	tags             []string
	value            []byte
}

const (
	envelopeMagic = "icv\x01" // the last byte is the version of the format
	envelopeFixed = len(envelopeMagic) + 5*8
	checksumSize  = 8
)

// errEnvelope says that bytes are no envelope of the key: another version, damaged, or foreign.
var errEnvelope = errors.New("not an envelope of this key")

func (e *envelope) encode(key string) []byte {
	size := envelopeFixed + binary.MaxVarintLen32*(1+len(e.tags)) + len(e.value) + checksumSize
	for _, tag := range e.tags {
		size += len(tag)
	}
	b := append(make([]byte, 0, size), envelopeMagic...)
	for _, n := range []uint64{
		xxhash.Sum64String(key), e.epoch, e.made, uint64(e.created.UnixMicro()), uint64(e.expires.UnixMicro()),
	} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(e.tags)))
	for _, tag := range e.tags {
		b = append(binary.AppendUvarint(b, uint64(len(tag))), tag...)
	}
	b = append(b, e.value...)
	return binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
}

// decodeEnvelope reads what encode wrote. The value shares b.
func decodeEnvelope(key string, b []byte) (envelope, error) {
	end := len(b) - checksumSize
	if end < envelopeFixed+1 || string(b[:len(envelopeMagic)]) != envelopeMagic ||
		binary.BigEndian.Uint64(b[end:]) != xxhash.Sum64(b[:end]) {
		return envelope{}, errEnvelope
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(b[len(envelopeMagic)+8*i:]) }
	if number(0) != xxhash.Sum64String(key) {
		return envelope{}, errEnvelope
	}
	e := envelope{
		epoch: number(1), made: number(2),
		created: time.UnixMicro(int64(number(3))), expires: time.UnixMicro(int64(number(4))),
	}
	rest := b[envelopeFixed:end:end]
	tags, rest, ok := cutUvarint(rest)
	if !ok || tags > uint64(len(rest)) {
		return envelope{}, errEnvelope
	}
	for range tags {
		var size uint64
		if size, rest, ok = cutUvarint(rest); !ok || size > uint64(len(rest)) {
			return envelope{}, errEnvelope
		}
		e.tags = append(e.tags, string(rest[:size]))
		rest = rest[size:]
	}
	e.value = rest
	return e, nil
}

func cutUvarint(b []byte) (n uint64, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, nil, false
	}
	return n, b[size:], true
}
