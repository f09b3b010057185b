package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	openWithin    = 2 * time.Second  // for the lock of a file that another process may hold
	batchDelay    = time.Millisecond // that a write waits for others to be flushed to the disk with it
	sweepEvery    = time.Minute
	sweepAtOnce   = 1000 // values that one transaction of the sweeper removes
	valueOverhead = 100  // bytes of a value's index and of the pages' headers, about
)

// The buckets within that of a space.
var (
	valuesBucket  = []byte("values")  // key: when it expires, value
	expiresBucket = []byte("expires") // when it expires, key: nothing
)

var bytesKey = []byte("bytes") // in the bucket of a space: what its values hold

// File keeps stores in one file of the disk (bbolt): what was written outlives the process, and a power cut. One process at a time
// may open it.
type File struct {
	db    *bbolt.DB
	locks sync.Map // by space: *locks, which outlive the generations that use them
	stop  context.CancelFunc
	swept sync.WaitGroup
}

// OpenFile opens a file, or creates it, readable by this user alone. Close it in the end.
func OpenFile(path string) (*File, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: openWithin, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: another process has it open", path)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.MaxBatchDelay = batchDelay
	ctx, stop := context.WithCancel(context.Background())
	f := &File{db: db, stop: stop}
	f.swept.Go(func() { f.sweeper(ctx) })
	return f, nil
}

// Close ends the sweeper and closes the file.
func (f *File) Close() error {
	f.stop()
	f.swept.Wait()
	if err := f.db.Close(); err != nil {
		return fmt.Errorf("close %s: %w", f.db.Path(), err)
	}
	return nil
}

// Space returns the store of a name. Beyond its bytes those values go that would expire first.
func (f *File) Space(name string, limits Limits) (Store, error) {
	err := f.db.Update(func(tx *bbolt.Tx) error {
		space, err := tx.CreateBucketIfNotExists([]byte(name))
		if err != nil {
			return err
		}
		_, err = space.CreateBucketIfNotExists(valuesBucket)
		_, err2 := space.CreateBucketIfNotExists(expiresBucket)
		return errors.Join(err, err2)
	})
	if err != nil {
		return nil, fmt.Errorf("open %s of %s: %w", name, f.db.Path(), err)
	}
	shared, _ := f.locks.LoadOrStore(name, &locks{})
	return &local{&fileRecords{f.db, []byte(name), limits}, shared.(*locks)}, nil
}

type fileRecords struct {
	db     *bbolt.DB
	name   []byte
	limits Limits
}

func (r *fileRecords) get(key string) (value []byte, err error) {
	err = r.db.View(func(tx *bbolt.Tx) error {
		stored := tx.Bucket(r.name).Bucket(valuesBucket).Get([]byte(key))
		if len(stored) >= 8 && expiry(stored).After(time.Now()) {
			value = bytes.Clone(stored[8:]) // what bbolt returns lasts as long as the transaction
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.name, err)
	}
	return value, nil
}

func (r *fileRecords) put(key string, value []byte) error {
	err := r.db.Batch(func(tx *bbolt.Tx) error {
		s := openSpace(tx, r.name)
		if err := s.remove([]byte(key)); err != nil {
			return err
		}
		if err := s.add([]byte(key), value, time.Now().Add(r.limits.TTL)); err != nil {
			return err
		}
		for s.bytes > r.limits.MaxBytes {
			first, _ := s.expires.Cursor().First()
			if first == nil {
				break
			}
			if err := s.remove(first[8:]); err != nil {
				return err
			}
		}
		return s.close()
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", r.name, err)
	}
	return nil
}

func (r *fileRecords) remove(key string) error {
	err := r.db.Batch(func(tx *bbolt.Tx) error {
		s := openSpace(tx, r.name)
		if err := s.remove([]byte(key)); err != nil {
			return err
		}
		return s.close()
	})
	if err != nil {
		return fmt.Errorf("delete from %s: %w", r.name, err)
	}
	return nil
}

// space is a space within a transaction.
type space struct {
	bucket, values, expires *bbolt.Bucket
	bytes                   int64
}

func openSpace(tx *bbolt.Tx, name []byte) *space {
	b := tx.Bucket(name)
	s := &space{bucket: b, values: b.Bucket(valuesBucket), expires: b.Bucket(expiresBucket)}
	if n := b.Get(bytesKey); len(n) == 8 {
		s.bytes = int64(binary.BigEndian.Uint64(n)) //nolint:gosec // it was one
	}
	return s
}

func (s *space) close() error {
	return s.bucket.Put(bytesKey, binary.BigEndian.AppendUint64(nil, uint64(max(0, s.bytes)))) //nolint:gosec // not negative
}

func (s *space) add(key, value []byte, expires time.Time) error {
	at := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(value)), uint64(expires.UnixNano())) //nolint:gosec // after 1970
	s.bytes += sizeOf(key, value)
	return errors.Join(s.expires.Put(bytes.Join([][]byte{at, key}, nil), nil), s.values.Put(key, append(at, value...)))
}

func (s *space) remove(key []byte) error {
	stored := s.values.Get(key)
	if stored == nil {
		return nil
	}
	s.bytes -= sizeOf(key, stored[8:])
	index := bytes.Join([][]byte{stored[:8], key}, nil)
	return errors.Join(s.expires.Delete(index), s.values.Delete(index[8:]))
}

func sizeOf(key, value []byte) int64 { return int64(2*len(key) + len(value) + valueOverhead) }

func expiry(stored []byte) time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(stored))) //nolint:gosec // it was one
}

// sweeper removes what has expired, until the file is closed.
func (f *File) sweeper(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for ctx.Err() == nil && f.sweep(time.Now()) == sweepAtOnce {
		}
	}
}

// sweep removes some of what has expired and returns how many values that were. What fails is tried again the next time.
func (f *File) sweep(now time.Time) (removed int) {
	err := f.db.Update(func(tx *bbolt.Tx) error {
		removed = 0
		return tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
			s := openSpace(tx, name)
			for removed < sweepAtOnce {
				first, _ := s.expires.Cursor().First()
				if first == nil || expiry(first).After(now) {
					break
				}
				if err := s.remove(first[8:]); err != nil {
					return err
				}
				removed++
			}
			return s.close()
		})
	})
	if err != nil {
		return 0
	}
	return removed
}
