// Package encoding chooses the content coding of an answer and compresses it.
//
// It knows content codings and media types (RFC 9110, sections 8.3, 8.4 and 12.5.3) and nothing else of HTTP.
package encoding

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The content codings that an Encoder makes, and identity, which is none.
const (
	Gzip     = "gzip"
	Brotli   = "br"
	Zstd     = "zstd"
	Identity = "identity"
)

// Best is the level of a body that is compressed once and sent often: the smallest result, at any cost.
const Best = 10

// Every encoder's own level for the levels 1 to 9 of a policy, and Best. Up to level 6 brotli stays with the fast match finder, at quality
// 3 at most: on the shop's JSON that gives fewer bytes than the classic encoder's quality 4, in half its time. What higher
// qualities save costs several times the CPU.
var (
	brotliLevels = [...]int{1, 2, 3, 3, 3, 3, 5, 6, 9, 11}
	zstdLevels   = [...]zstd.EncoderLevel{
		zstd.SpeedFastest, zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedDefault, zstd.SpeedDefault, zstd.SpeedDefault,
		zstd.SpeedBetterCompression, zstd.SpeedBetterCompression, zstd.SpeedBestCompression, zstd.SpeedBestCompression,
	}
)

// zstdWindow is the largest window that a decoder of the content coding has to have (RFC 9659, section 3).
const zstdWindow = 8 << 20

// Encoder compresses bodies at one level. It may be used concurrently.
type Encoder struct {
	// Compressed is told of each body that was compressed: its coding, and its bytes before and after. Nil is told nothing. It must
	// not change once the Encoder is used.
	Compressed func(coding string, in, out int)

	minSize int
	offered []string

	buffers sync.Pool // *bytes.Buffer
	gzip    sync.Pool // writer
	brotli  sync.Pool // writer
	zstd    *zstd.Encoder
}

// New returns an Encoder of level 1 (fastest) to 9 (smallest), or Best, that offers the codings in the order of the server's
// preference and leaves bodies below minSize bytes alone.
func New(level, minSize int, offered []string) (*Encoder, error) {
	if level < 1 || level > Best {
		return nil, fmt.Errorf("compression level %d is not between 1 and %d", level, Best)
	}
	for _, coding := range offered {
		if coding != Gzip && coding != Brotli && coding != Zstd {
			return nil, fmt.Errorf("content coding %q is not one of %s, %s and %s", coding, Gzip, Brotli, Zstd)
		}
	}
	options := []zstd.EOption{zstd.WithEncoderLevel(zstdLevels[level-1]), zstd.WithWindowSize(zstdWindow)}
	if level == Best {
		options = append(options, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true)) // it is used by one at a time
	}
	z, err := zstd.NewWriter(nil, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare zstd: %w", err)
	}
	return &Encoder{
		minSize: minSize,
		offered: slices.Clone(offered),
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
		gzip: sync.Pool{New: func() any {
			w, err := gzip.NewWriterLevel(nil, min(level, gzip.BestCompression))
			if err != nil {
				panic("encoding: a checked gzip level was refused: " + err.Error())
			}
			return w
		}},
		brotli: sync.Pool{New: func() any {
			if level <= 6 {
				return brotli.NewWriterV2(nil, brotliLevels[level-1])
			}
			return brotli.NewWriterLevel(nil, brotliLevels[level-1])
		}},
		zstd: z,
	}, nil
}

// Offered returns the codings that the Encoder makes, the preferred one first. It must not be changed.
func (e *Encoder) Offered() []string { return e.offered }

// MinSize returns the size in bytes of the smallest body that is worth compressing.
func (e *Encoder) MinSize() int { return e.minSize }

// Encode returns body in the given coding, in a slice of its own. It returns false when the Encoder does not offer the
// coding, and when the result would not be smaller than body.
func (e *Encoder) Encode(coding string, body []byte) ([]byte, bool) {
	if !slices.Contains(e.offered, coding) {
		return nil, false
	}
	buf := e.buffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer e.buffers.Put(buf)

	switch coding {
	case Gzip:
		compress(&e.gzip, buf, body)
	case Brotli:
		compress(&e.brotli, buf, body)
	case Zstd:
		buf.Grow(e.zstd.MaxEncodedSize(len(body)))
		buf.Write(e.zstd.EncodeAll(body, buf.AvailableBuffer()))
	}
	if e.Compressed != nil {
		e.Compressed(coding, len(body), buf.Len())
	}
	if buf.Len() >= len(body) {
		return nil, false
	}
	return bytes.Clone(buf.Bytes()), true
}

// writer compresses a stream and can be used again.
type writer interface {
	io.WriteCloser
	Reset(io.Writer)
}

// compress runs body through a pooled writer into buf, which never fails.
func compress(pool *sync.Pool, buf *bytes.Buffer, body []byte) {
	w := pool.Get().(writer)
	w.Reset(buf)
	w.Write(body) //nolint:errcheck // a bytes.Buffer takes every byte
	w.Close()
	w.Reset(nil)
	pool.Put(w)
}
